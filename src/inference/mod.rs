//! Volume to findings: order of slices, device, progress. Knows no window and no file format.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::findings::{CaseResult, Findings, ModelInfo, Provenance, SliceFinding};
use crate::jobs::{Cancelled, JobCtx, MaybeCancelled};
use crate::model::{ModelError, Network};
use crate::study::LoadedSeries;

/// One analysis.
#[derive(Clone)]
pub struct Request {
    pub loaded: LoadedSeries,
    pub network: Arc<Network>,
    pub model: Arc<ModelInfo>,
    /// The slice being read (0-based), read anew before each slice so that the reader's neighbourhood comes first.
    pub focus: Arc<AtomicUsize>,
    /// Compute threads; leave a core's worth of room for the window.
    pub threads: usize,
    /// Seconds that loading took, for the record.
    pub load_seconds: f64,
}

/// What happens during an analysis, in order, called on the worker's thread.
#[derive(Debug, Clone)]
pub enum Event {
    Started(Provenance),
    Running(usize),
    Slice(usize, SliceFinding),
    Case(CaseResult),
}

#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// A hard stop in words ([`crate::study::Series::analysis_stop`]).
    #[error("{0}")]
    NotApplicable(String),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
impl MaybeCancelled for AnalysisError {
    fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

/// What the user must know of a network, from its card.
pub fn model_info(_network: &Network) -> ModelInfo {
    unreachable!("stub")
}

/// Threads for the network when the user has not chosen: all cores but one, at least one.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1))
}

/// Runs the whole analysis: slices near the focus first, then every eighth slice, then the rest, then the case.
pub fn analyse(_request: &Request, _ctx: &JobCtx, _on_event: &mut dyn FnMut(Event)) -> Result<Findings, AnalysisError> {
    Err(AnalysisError::NotApplicable("not built yet".into()))
}
