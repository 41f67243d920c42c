//! The next study of the worklist, read while another one is on the screen, so that going on is instant. It goes to the
//! shelf like a series that was read before, within the same budget.

use super::*;

/// What was begun for the study that comes next. Each is begun once: one that failed, or that had to go again, is left to be
/// read when it is opened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prefetch {
    /// Of the catalog.
    pub series: usize,
    /// `None` when it has ended, in whatever way.
    request: Option<RequestId>,
}

/// A study that was read ahead.
#[derive(Debug, Clone)]
pub struct ReadAhead {
    pub loaded: LoadedSeries,
    pub refused: Vec<Refused>,
    pub truth: Option<Arc<CaseTruth>>,
    pub seconds: f64,
}

/// What the voxels of a series take at most where they are whole numbers, as those of CT are.
fn expected_bytes(series: &Series) -> u64 {
    [series.rows, series.columns, series.slices.len(), 2].into_iter().fold(1, |all, n| all.saturating_mul(n as u64))
}

impl AppState {
    /// The study would be on the screen at once: its voxels are in memory.
    pub fn row_is_ready(&self, row: usize) -> bool {
        let chosen = self.worklist.rows.get(row).map(|row| row.chosen);
        chosen.and_then(|index| self.in_hand(index)).is_some_and(|held| held.loaded.is_some())
    }

    /// The study is being read ahead.
    pub fn row_is_on_its_way(&self, row: usize) -> bool {
        let chosen = self.worklist.rows.get(row).map(|row| row.chosen);
        self.prefetch.is_some_and(|prefetch| prefetch.request.is_some() && Some(prefetch.series) == chosen)
    }

    /// The series that the reader goes on to.
    fn wanted_next(&self) -> Option<usize> {
        if !self.settings.prefetch || !self.has_worklist() {
            return None;
        }
        self.worklist.rows.get(self.row_from_active(1)?).map(|row| row.chosen)
    }

    /// The disk is wanted for what is on the screen, or by the queue.
    fn others_are_reading(&self) -> bool {
        let queue_reads = self.worklist.rows.iter().any(|row| row.work == Work::Reading);
        queue_reads || self.is_loading() || self.beside.as_ref().is_some_and(Beside::is_loading)
    }

    /// Begins or gives up reading ahead, whatever has just happened.
    pub(super) fn drive_prefetch(&mut self, effects: &mut Vec<Effect>) {
        let wanted = self.wanted_next();
        if self.prefetch.is_some_and(|prefetch| Some(prefetch.series) != wanted) {
            self.drop_prefetch(effects);
        }
        let Some(index) = wanted.filter(|index| self.prefetch.is_none() && self.in_hand(*index).is_none()) else {
            return;
        };
        if self.others_are_reading() {
            return;
        }
        let Some(series) = self.study.as_ref().and_then(|study| study.catalog.series.get(index)).cloned() else {
            return;
        };
        let bytes = expected_bytes(&series);
        // What is on the screen stays, so there may be no room at all.
        let request = self.make_room(bytes).then(|| self.next_request());
        self.prefetch = Some(Prefetch { series: index, request });
        if let Some(request) = request {
            effects.push(Effect::Prefetch { request, series: Arc::new(series) });
        }
    }

    pub(super) fn drop_prefetch(&mut self, effects: &mut Vec<Effect>) {
        if self.prefetch.take().is_some_and(|prefetch| prefetch.request.is_some()) {
            effects.push(Effect::CancelPrefetch);
        }
    }

    /// A failure is told when the study is opened and meets it again.
    pub(super) fn prefetched(&mut self, request: RequestId, result: Result<Box<ReadAhead>, Ended>) {
        let Some(prefetch) = self.prefetch.as_mut().filter(|prefetch| prefetch.request == Some(request)) else {
            return;
        };
        prefetch.request = None;
        let index = prefetch.series;
        // It may have been opened beside the one being read meanwhile.
        let Some(read) = result.ok().filter(|_| self.in_hand(index).is_none()) else { return };
        let ReadAhead { loaded, refused, truth, seconds } = *read;
        let mut active = active_series(index, loaded.series.clone(), None);
        active.take_loaded(loaded, &refused);
        (active.truth, active.load_seconds) = (truth, seconds);
        self.put_ahead(active);
    }
}
