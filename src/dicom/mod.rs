//! Files to a catalog of series, checks, decoding and volumes. The only place that knows dicom-rs.

use std::path::Path;
use std::sync::Arc;

use crate::jobs::{Cancelled, JobCtx, MaybeCancelled};
use crate::study::{Catalog, LoadedSeries, Refused, Series};
use crate::volume::Slice;

/// Why nothing at all could be opened. Trouble with single files is in [`Catalog::refused`] instead.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} could not be read: {source}. Check that it exists and that you may read it.")]
    Unreadable { path: String, source: std::io::Error },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
impl MaybeCancelled for OpenError {
    fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

/// Why a series of the catalog gave no volume.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("no slice of this series could be decoded; the first reason was: {}", .0.first().map_or("unknown", |r| r.text.as_str()))]
    NothingDecoded(Vec<Refused>),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
impl MaybeCancelled for LoadError {
    fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

/// Walks a folder (or takes one file), reads headers in parallel, groups and orders. No pixels are decoded.
/// Progress counts files.
pub fn scan(_path: &Path, _ctx: &JobCtx) -> Result<Catalog, OpenError> {
    Ok(Catalog::default())
}

/// A series read completely. Slices that could not be decoded are gone from it and stand in `refused`;
/// a warning of kind `slices-excluded` says so.
#[derive(Debug)]
pub struct Loaded {
    pub loaded: LoadedSeries,
    pub refused: Vec<Refused>,
}

/// Decodes all slices on pool threads, those nearest `first` (0-based, display order) first, and calls `on_slice`
/// with each as it is done, on any thread. Indices are those of `series`. Progress counts slices.
pub fn load_series(
    _series: &Arc<Series>,
    _first: usize,
    _ctx: &JobCtx,
    _on_slice: &(dyn Fn(usize, Arc<Slice>) + Sync),
) -> Result<Loaded, LoadError> {
    Err(LoadError::NothingDecoded(Vec::new()))
}

/// Decodes one slice of a series (0-based, display order), for thumbnails and `dens render`.
pub fn decode_slice(_series: &Series, _index: usize) -> Result<Slice, Refused> {
    Err(Refused { file: String::new(), kind: crate::study::Kind::Corrupt, text: String::new() })
}
