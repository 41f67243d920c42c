//! Series that stay in memory after they were read, so that going back is instant: as many as the budget holds, the
//! least recently read freed first.

use super::*;

/// A series as it was left.
#[derive(Debug)]
struct Shelved {
    active: ActiveSeries,
    analysis: AnalysisState,
    findings: Option<Findings>,
    judged: Option<Vec<Line>>,
}

/// The least recently read first.
#[derive(Debug, Default)]
pub(super) struct Shelf(Vec<Shelved>);

fn bytes_of(active: &ActiveSeries) -> u64 {
    active.slices.iter().flatten().map(|slice| slice.pixels.bytes() as u64).sum()
}

impl AppState {
    /// Series in memory, the one on the screen among them, and their bytes.
    pub fn in_memory(&self) -> (usize, u64) {
        let all = self.shelf.0.iter().map(|shelved| &shelved.active).chain(&self.active);
        all.fold((0, 0), |(count, bytes), active| (count + 1, bytes + bytes_of(active)))
    }

    /// Puts the series on the screen aside, or drops it where it has not been read whole. What ran for it ends.
    pub(super) fn leave_series(&mut self, effects: &mut Vec<Effect>) {
        let row = self.active_row();
        if matches!(self.analysis, AnalysisState::Preparing(_) | AnalysisState::Running) {
            let waits = self.settings.auto_analyse && self.has_worklist();
            self.mark_active(if waits { Work::Queued } else { Work::NotRun });
        }
        if let Some(row) = row {
            self.save_reading(row, effects);
        }
        effects.push(Effect::CancelAnalysis);
        let (analysis, findings, judged) =
            (std::mem::take(&mut self.analysis), self.findings.take(), self.judged.take());
        self.forget_analysis();
        let Some(mut active) = self.active.take_if(|active| active.loaded.is_some()) else { return };
        active.measures.draft = None;
        let unfinished = matches!(analysis, AnalysisState::Preparing(_) | AnalysisState::Running);
        self.shelf.0.push(match unfinished {
            true => Shelved { active, analysis: AnalysisState::NotRun, findings: None, judged: None },
            false => Shelved { active, analysis, findings, judged },
        });
        self.keep_budget();
    }

    /// Brings a series back that is still in memory. `window` is the one that the reader looks through.
    pub(super) fn bring_back(&mut self, index: usize, window: Option<Window>, effects: &mut Vec<Effect>) -> bool {
        let Some(at) = self.shelf.0.iter().position(|shelved| shelved.active.index == index) else { return false };
        let Shelved { mut active, analysis, findings, judged } = self.shelf.0.remove(at);
        active.window = window.filter(|_| active.series.values_are_hu).unwrap_or(active.window);
        let (current, fresh) = (active.current, matches!(analysis, AnalysisState::NotRun));
        self.active = Some(active);
        (self.analysis, self.judged) = (analysis, judged);
        self.findings = findings.map(|findings| {
            let chosen = self.settings.thresholds.get(&findings.provenance.model.sha256).copied();
            Findings { chosen, ..findings }
        });
        self.heat_is_stale = true;
        effects.extend([Effect::CancelLoad, Effect::Focus(current)]);
        self.load_request = self.next_request();
        if fresh && self.settings.auto_analyse {
            self.start_analysis(super::apply::Asked::BY_ITSELF, effects);
        }
        true
    }

    /// Frees what the budget does not hold; the series on the screen always stays.
    pub(super) fn keep_budget(&mut self) {
        let budget = self.settings.memory_mb << 20;
        while self.in_memory().1 > budget && !self.shelf.0.is_empty() {
            self.shelf.0.remove(0);
        }
    }

    pub(super) fn clear_shelf(&mut self) {
        self.shelf.0.clear();
    }

    /// Another network: what the last one said counts no more.
    pub(super) fn forget_shelved_results(&mut self) {
        for shelved in &mut self.shelf.0 {
            (shelved.analysis, shelved.findings, shelved.judged) = (AnalysisState::NotRun, None, None);
        }
    }

    /// The open series with that sheet, on the screen or aside.
    pub(super) fn with_sheet(&mut self, key: &SheetKey) -> Option<&mut ActiveSeries> {
        let aside = self.shelf.0.iter_mut().map(|shelved| &mut shelved.active);
        self.active.iter_mut().chain(aside).find(|active| active.measures.key.as_ref() == Some(key))
    }
}
