//! Series that stay in memory after they were read, so that going back is instant: as many as the budget holds, the
//! least recently read freed first.

use super::apply::Asked;
use super::*;
use crate::measure::Levels;
use crate::truth::Level;

/// What was computed of a series that is not being read now.
#[derive(Debug, Default)]
pub(super) struct Computed {
    analysis: AnalysisState,
    findings: Option<Findings>,
    judged: Option<Vec<Line>>,
}

/// A series as it was left.
#[derive(Debug)]
struct Shelved {
    active: ActiveSeries,
    computed: Computed,
    /// It has been on the screen.
    seen: bool,
}

/// The least recently read first.
#[derive(Debug, Default)]
pub(super) struct Shelf(Vec<Shelved>);

fn bytes_of(active: &ActiveSeries) -> u64 {
    active.slices.iter().flatten().map(|slice| slice.pixels.bytes() as u64).sum()
}

impl AppState {
    /// Series in memory, those on the screen among them, and their bytes.
    pub fn in_memory(&self) -> (usize, u64) {
        let beside = self.beside.as_ref().map(|beside| &beside.shown);
        let all = self.shelf.0.iter().map(|shelved| &shelved.active).chain(&self.active).chain(beside);
        // What was made here stays in memory, on the screen or not.
        let made = self.held_by_catalog();
        all.fold((0, made), |(count, bytes), active| {
            let own = if active.series.reformatted.is_some() { 0 } else { bytes_of(active) };
            (count + 1, bytes + own)
        })
    }

    /// Puts the series on the screen aside, or drops it where it has not been read whole. What ran for it ends.
    pub(super) fn leave_series(&mut self, effects: &mut Vec<Effect>) {
        self.shelve_series(effects);
        self.keep_budget();
    }

    /// As [`Self::leave_series`], whatever the budget.
    pub(super) fn shelve_series(&mut self, effects: &mut Vec<Effect>) {
        self.drop_canal(effects);
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
        let computed = if unfinished { Computed::default() } else { Computed { analysis, findings, judged } };
        self.put_aside(active, computed);
    }

    /// Puts a series aside, whatever the budget.
    pub(super) fn put_aside(&mut self, active: ActiveSeries, computed: Computed) {
        self.shelf.0.push(Shelved { active, computed, seen: true });
    }

    /// Keeps a series that was read before anybody asked for it, as far as the budget goes.
    pub(super) fn put_ahead(&mut self, active: ActiveSeries) {
        self.shelf.0.push(Shelved { active, computed: Computed::default(), seen: false });
        self.keep_budget();
    }

    /// Takes a series out that is still in memory.
    pub(super) fn take_from_shelf(&mut self, index: usize) -> Option<(ActiveSeries, Computed)> {
        let at = self.shelf.0.iter().position(|shelved| shelved.active.index == index)?;
        let Shelved { active, computed, seen } = self.shelf.0.remove(at);
        if !seen {
            self.report_refused(&active.refused);
        }
        Some((active, computed))
    }

    /// Brings a series back that is still in memory. `window` is the one that the reader looks through.
    pub(super) fn bring_back(&mut self, index: usize, window: Option<Window>, effects: &mut Vec<Effect>) -> bool {
        let Some((mut active, computed)) = self.take_from_shelf(index) else { return false };
        let Computed { analysis, findings, judged } = computed;
        if let Some(window) = super::windows::carried(window, &active.series) {
            active.window = window;
        }
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
        self.ask_for_measures(effects);
        if fresh {
            self.start_analysis(Asked::unless_kept_only(self.settings.auto_analyse), effects);
        }
        true
    }

    /// A series that has been read and is in memory, on the screen, beside it or aside.
    pub(super) fn in_hand(&self, index: usize) -> Option<&ActiveSeries> {
        let beside = self.beside.as_ref().map(|beside| &beside.shown);
        let aside = self.shelf.0.iter().map(|shelved| &shelved.active);
        self.active.iter().chain(beside).chain(aside).find(|active| active.index == index)
    }

    /// The level of a study's highest slice, by the vertebrae that the reader has named in its series, now or before the
    /// program was started.
    pub fn top_level(&self, result: &RowResult) -> Option<Level> {
        let row = self.worklist.rows.iter().find(|row| row.series.contains(&result.series))?;
        let (_, levels) = row.named.iter().find(|(series, _)| *series == result.series)?;
        levels.on(&result.top?.pose?)
    }

    /// Writes down which vertebrae are named in a series, for when it is no longer in memory.
    pub(super) fn note_levels(&mut self, index: usize, levels: Levels) {
        let Some(row) = self.worklist.rows.iter_mut().find(|row| row.series.contains(&index)) else { return };
        row.named.retain(|(series, _)| *series != index);
        row.named.push((index, levels));
    }

    /// Frees what the budget does not hold; the series on the screen always stays.
    pub(super) fn keep_budget(&mut self) {
        let budget = self.settings.memory_mb << 20;
        while self.in_memory().1 > budget && self.free_one() {}
    }

    /// Frees what stands in the way of so many bytes more; false where all that was put aside does not make up for them.
    pub(super) fn make_room(&mut self, bytes: u64) -> bool {
        let budget = self.settings.memory_mb << 20;
        let aside: u64 = self.shelf.0.iter().map(|shelved| bytes_of(&shelved.active)).sum();
        if (self.in_memory().1 - aside).saturating_add(bytes) > budget {
            return false;
        }
        while self.in_memory().1.saturating_add(bytes) > budget && self.free_one() {}
        true
    }

    /// The study that was read ahead is the last to go. False where nothing is left.
    fn free_one(&mut self) -> bool {
        let ahead = self.prefetch.map(|prefetch| prefetch.series);
        let oldest = self.shelf.0.iter().position(|shelved| Some(shelved.active.index) != ahead);
        let Some(at) = oldest.or(self.shelf.0.len().checked_sub(1)) else { return false };
        self.shelf.0.remove(at);
        true
    }

    pub(super) fn clear_shelf(&mut self) {
        self.shelf.0.clear();
    }

    /// Another network: what the last one said counts no more.
    pub(super) fn forget_shelved_results(&mut self) {
        let aside = self.shelf.0.iter_mut().map(|shelved| &mut shelved.computed);
        let beside = self.beside.iter_mut().map(|beside| &mut beside.computed);
        aside.chain(beside).for_each(|computed| *computed = Computed::default());
    }

    /// The open series with that sheet, on the screen, beside it or aside.
    pub(super) fn with_sheet(&mut self, key: &SheetKey) -> Option<&mut ActiveSeries> {
        let aside = self.shelf.0.iter_mut().map(|shelved| &mut shelved.active);
        let beside = self.beside.iter_mut().map(|beside| &mut beside.shown);
        self.active.iter_mut().chain(beside).chain(aside).find(|active| active.measures.key.as_ref() == Some(key))
    }
}
