//! Slices of analyses that were stopped, so that the same analysis goes on where it was.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::kept::KeptKey;
use crate::findings::SliceFinding;

/// A reader steps back to one of the last few studies; what is kept of a neck takes some megabytes.
const MOST: usize = 4;

/// What the network said of a slice. A slice that gave no finite number has no features.
#[derive(Debug, Clone)]
pub(super) struct Scored {
    pub index: usize,
    pub finding: SliceFinding,
    pub features: Option<Vec<f32>>,
}

/// What slices took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub preprocess: Duration,
    pub in_network: Duration,
    /// With all that lies between.
    pub total: Duration,
}

/// How far an analysis has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub scored: Vec<Scored>,
    pub spent: Spent,
}

/// The last few analyses that are under way or were stopped, by the names of their keys, in memory alone.
#[derive(Debug, Default)]
pub struct Unfinished(Mutex<VecDeque<(String, Part)>>);

impl Unfinished {
    fn parts(&self) -> MutexGuard<'_, VecDeque<(String, Part)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// What there is of an analysis. Reads no voxel where there is none like it.
    pub(super) fn part(&self, key: &KeptKey) -> Option<Part> {
        let is_alike = self.parts().iter().any(|(of, _)| of.starts_with(key.likeness()));
        let name = is_alike.then(|| key.name())?;
        self.parts().iter().find(|(of, _)| of == name).map(|(_, part)| part.clone())
    }
    /// One more slice of an analysis; the oldest of too many analyses goes.
    pub(super) fn add(&self, key: &KeptKey, scored: Scored, spent: Spent) {
        let name = key.name();
        let mut parts = self.parts();
        let mut part = match parts.iter().position(|(of, _)| of == name).and_then(|at| parts.remove(at)) {
            Some((_, part)) => part,
            None => Part::default(),
        };
        part.scored.push(scored);
        part.spent = spent;
        parts.push_back((name.to_owned(), part));
        while parts.len() > MOST {
            parts.pop_front();
        }
    }
    /// The analysis is done.
    pub(super) fn remove(&self, key: &KeptKey) {
        let name = key.name();
        self.parts().retain(|(of, _)| of != name);
    }
}
