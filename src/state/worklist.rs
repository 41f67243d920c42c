//! Several studies at once: the list, its order, and the queue that analyses one after the other. The study being read
//! has precedence: while it is loaded or analysed the queue waits.

use sha2::{Digest, Sha256};

use super::*;
use crate::findings::describe::verdict_of;
use crate::measure::Levels;
use crate::reading::Reading;
use crate::study::describe;
use crate::study::quality::Weight;

/// Where the readings of a study by one reader are kept: a name that says nothing of the patient.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ReadingKey(String);

impl ReadingKey {
    /// From the study's UID and the patient's, or what stands in for them, and the reader; without a reader it stands for
    /// the study.
    pub fn new(series: &Series, reader: &str) -> Self {
        let mut hash = Sha256::new();
        let mut take = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        take("dens reading");
        take(reader.trim());
        take(series.study.uid.trim());
        take(series.patient.id.trim());
        if series.study.uid.trim().is_empty() {
            take(series.uid.trim());
            take(&series.slices.first().map(|s| s.path.display().to_string()).unwrap_or_default());
        }
        Self(hex::encode(hash.finalize()))
    }
    /// Fit for a file's name.
    pub fn name(&self) -> &str {
        &self.0
    }
    /// Enough to tell studies apart in a table.
    pub fn short(&self) -> String {
        self.0.chars().take(16).collect()
    }
}

/// The state of a study's analysis.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Work {
    #[default]
    NotRun,
    Queued,
    /// Slices are being read for the queue.
    Reading,
    Running,
    Done,
    /// By the reader.
    Stopped,
    Failed(String),
    /// A quality gate, in words.
    Gated(String),
    /// A hard stop in words.
    NotApplicable(String),
}

/// The slice with the highest score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopSlice {
    /// 0-based, display order.
    pub slice: usize,
    pub score: f32,
    /// Where it lies, if the file says so.
    pub pose: Option<SlicePose>,
}

impl TopSlice {
    /// z of the slice's first pixel in LPS, mm.
    pub fn z_mm(&self) -> Option<f64> {
        self.pose.map(|pose| pose.origin.0.z)
    }
}

/// What a finished analysis leaves in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct RowResult {
    /// Of the catalog.
    pub series: usize,
    pub case: Option<f32>,
    pub top: Option<TopSlice>,
    /// Doubts stand against the score.
    pub doubtful: bool,
    pub passport: (String, Weight),
    pub model: Arc<ModelInfo>,
    pub recipe: String,
    pub software: String,
    pub computed_earlier: Option<String>,
}

/// One study.
#[derive(Debug, Default)]
pub struct Row {
    /// Its series, as the catalog counts them.
    pub series: Vec<usize>,
    /// The one that is analysed and opened.
    pub chosen: usize,
    pub key: ReadingKey,
    pub work: Work,
    /// What was said of header and voxels before a score.
    pub judged: Option<Vec<Line>>,
    pub result: Option<RowResult>,
    pub reading: Reading,
    /// What is on disk has been looked at.
    pub reading_read: bool,
    /// The vertebrae that the reader has named in its series, as far as that is known: as they were kept, then as they
    /// were last drawn.
    pub(super) named: Vec<(usize, Levels)>,
    /// Why the reading is in this window only.
    pub reading_lost: Option<String>,
}

/// What the list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    #[default]
    AsFound,
    Name,
    Date,
    Result,
}

#[derive(Debug, Clone, Copy)]
struct QueueJob {
    row: usize,
    request: RequestId,
}

/// The studies that are open; one alone is no list to look at, but is read in the same way.
#[derive(Debug, Default)]
pub struct Worklist {
    pub rows: Vec<Row>,
    /// The row that keys act upon.
    pub cursor: usize,
    pub sort: SortBy,
    pub backwards: bool,
    pub filter: String,
    pub shown: bool,
    pub paused: bool,
    job: Option<QueueJob>,
}

/// How far the queue has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueCount {
    pub studies: usize,
    pub done: usize,
    pub waiting: usize,
    pub failed: usize,
}

/// A wish that concerns the list.
#[derive(Debug, Clone, PartialEq)]
pub enum WorklistCommand {
    Show,
    /// Between the list and the study being read.
    Toggle,
    MoveCursor(i64),
    OpenCursor,
    Open(usize),
    /// To the next study of the list as it is ordered.
    StepStudy(i32),
    /// By the same again: the other way round.
    SortBy(SortBy),
    SetFilter(String),
    TogglePause,
    AnalyseAll,
    /// Nothing more is analysed until it is asked for.
    StopQueue,
}

impl Worklist {
    /// The row that the queue works on.
    pub fn running_row(&self) -> Option<usize> {
        self.job.map(|job| job.row)
    }
    pub fn count(&self) -> QueueCount {
        let count = |holds: fn(&Work) -> bool| self.rows.iter().filter(|row| holds(&row.work)).count();
        QueueCount {
            studies: self.rows.len(),
            done: count(|work| *work == Work::Done),
            waiting: count(|work| matches!(work, Work::Queued | Work::Reading | Work::Running)),
            failed: count(|work| matches!(work, Work::Failed(_) | Work::Gated(_) | Work::NotApplicable(_))),
        }
    }
}

impl AppState {
    /// The list is what is on the screen.
    pub fn shows_worklist(&self) -> bool {
        self.worklist.shown && self.has_worklist()
    }

    /// There is more than one study.
    pub fn has_worklist(&self) -> bool {
        self.worklist.rows.len() > 1
    }

    /// The study that the active series belongs to.
    pub fn active_row(&self) -> Option<usize> {
        let index = self.active.as_ref()?.index;
        self.worklist.rows.iter().position(|row| row.series.contains(&index))
    }

    pub fn row_series(&self, row: &Row) -> Option<&Series> {
        self.study.as_ref()?.catalog.series.get(row.chosen)
    }

    /// Rows as they stand on the screen: filtered and in order.
    pub fn rows_in_order(&self) -> Vec<usize> {
        let list = &self.worklist;
        let wanted = list.filter.trim().to_lowercase();
        let mut rows: Vec<usize> = (0..list.rows.len()).collect();
        rows.retain(|row| wanted.is_empty() || self.row_text(*row).to_lowercase().contains(&wanted));
        let name = |row: &usize| list.rows.get(*row).and_then(|r| self.row_series(r)).map(|s| s.patient.name.as_str());
        let date = |row: &usize| {
            let study = list.rows.get(*row).and_then(|r| self.row_series(r)).map(|s| &s.study);
            study.map(|study| (study.date.as_str(), study.time.as_str()))
        };
        match list.sort {
            SortBy::AsFound => {}
            SortBy::Name => rows.sort_by(|a, b| name(a).cmp(&name(b))),
            SortBy::Date => rows.sort_by(|a, b| date(a).cmp(&date(b))),
            // Highest first; where a result is hidden its place must not tell it.
            SortBy::Result => {
                let score = |row: usize| self.seen_result(row).and_then(|r| r.case).unwrap_or(-1.0);
                rows.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
            }
        }
        if list.backwards {
            rows.reverse();
        }
        rows
    }

    /// What the filter looks at; nothing that is hidden.
    fn row_text(&self, index: usize) -> String {
        let Some(series) = self.worklist.rows.get(index).and_then(|row| self.row_series(row)) else {
            return String::new();
        };
        if self.hide_identity {
            return Mask::new(series, &[], true).scrub(&series.description);
        }
        [
            &describe::date(&series.study.date),
            &series.study.description,
            &series.description,
            &series.patient.name,
            &self.row_name(index),
            &series.patient.id,
        ]
        .map(String::as_str)
        .join(" ")
    }

    /// Who a study says it is about, in the words of the list.
    pub fn row_name(&self, index: usize) -> String {
        let series = self.worklist.rows.get(index).and_then(|row| self.row_series(row));
        let Some(series) = series else { return String::new() };
        match (self.hide_identity, series.patient.name.trim()) {
            (true, _) => "identity hidden".to_owned(),
            (false, "") => "no name".to_owned(),
            (false, name) => describe::person_name(name),
        }
    }

    /// The result of a study, unless it is hidden from the reader.
    pub fn seen_result(&self, row: usize) -> Option<&RowResult> {
        self.worklist.rows.get(row)?.result.as_ref().filter(|_| !self.row_hidden(row))
    }

    /// The passport of a study: with its score's remarks only where the score may be seen.
    pub fn row_passport(&self, index: usize) -> Option<(String, Weight)> {
        if let Some(result) = self.seen_result(index) {
            return Some(result.passport.clone());
        }
        let row = self.worklist.rows.get(index)?;
        let passport = passport::compose(self.row_series(row)?, self.refused_files(), row.judged.as_deref(), None);
        Some((passport.verdict, passport.weight))
    }

    /// "no finding above threshold" and the like, at the thresholds in use.
    pub fn row_verdict(&self, result: &RowResult) -> &'static str {
        let thresholds = self.thresholds_of(&result.model);
        let slice = result.top.is_some_and(|top| top.score >= thresholds.slice);
        verdict_of(slice, result.case.map(|case| case >= thresholds.case))
    }

    pub fn work_text(&self, index: usize, progress: Option<(usize, usize)>) -> String {
        let Some(row) = self.worklist.rows.get(index) else { return String::new() };
        let counted = |what: &str| match progress.filter(|(_, total)| *total > 0) {
            Some((done, total)) => format!("{what} {done}/{total}"),
            None => what.to_owned(),
        };
        match &row.work {
            Work::NotRun => "not run".to_owned(),
            Work::Queued if self.worklist.paused => "paused".to_owned(),
            Work::Queued => "queued".to_owned(),
            Work::Reading => counted("reading"),
            Work::Running => counted("running"),
            Work::Done => "done".to_owned(),
            Work::Stopped => "stopped".to_owned(),
            Work::Failed(why) => format!("failed: {why}"),
            Work::Gated(why) | Work::NotApplicable(why) => why.clone(),
        }
    }

    /// The reader's thresholds with a model, else the card's.
    pub fn thresholds_of(&self, model: &ModelInfo) -> Thresholds {
        self.settings.thresholds.get(&model.sha256).copied().unwrap_or_else(|| model.thresholds())
    }

    /// Makes the list of what was found. More than one study is shown as a list first.
    pub(super) fn list_studies(&mut self, effects: &mut Vec<Effect>) {
        let Some(catalog) = self.study.as_ref().map(|s| s.catalog.clone()) else { return };
        let reader = self.settings.reader.clone();
        let studies = catalog.studies();
        let several = studies.len() > 1;
        let row = |series: Vec<usize>| {
            let chosen = catalog.likeliest_of(&series)?;
            let key = ReadingKey::new(catalog.series.get(chosen)?, &reader);
            let work = if several && self.settings.auto_analyse { Work::Queued } else { Work::NotRun };
            Some(Row { series, chosen, key, work, ..Row::default() })
        };
        let rows: Vec<Row> = studies.into_iter().filter_map(row).collect();
        self.worklist = Worklist { rows, shown: several, ..Worklist::default() };
        self.ask_for_readings(effects);
    }

    pub(super) fn apply_worklist(&mut self, command: WorklistCommand, effects: &mut Vec<Effect>) {
        match command {
            WorklistCommand::Show => self.show_list(effects),
            WorklistCommand::Toggle if self.shows_worklist() => self.worklist.shown = self.active.is_none(),
            WorklistCommand::Toggle => self.show_list(effects),
            WorklistCommand::MoveCursor(by) => self.move_cursor(by),
            WorklistCommand::OpenCursor => self.open_row(self.worklist.cursor, effects),
            WorklistCommand::Open(row) => self.open_row(row, effects),
            WorklistCommand::StepStudy(by) => self.step_study(by, effects),
            WorklistCommand::SortBy(by) => {
                let again = self.worklist.sort == by;
                self.worklist.backwards = again && !self.worklist.backwards;
                self.worklist.sort = by;
            }
            WorklistCommand::SetFilter(text) => {
                self.worklist.filter = text;
                let rows = self.rows_in_order();
                if !rows.contains(&self.worklist.cursor) {
                    self.worklist.cursor = rows.first().copied().unwrap_or(self.worklist.cursor);
                }
            }
            WorklistCommand::TogglePause => self.worklist.paused = !self.worklist.paused,
            WorklistCommand::AnalyseAll => {
                self.worklist.paused = false;
                for row in &mut self.worklist.rows {
                    if matches!(row.work, Work::NotRun | Work::Stopped | Work::Failed(_)) {
                        row.work = Work::Queued;
                    }
                }
            }
            WorklistCommand::StopQueue => {
                self.drop_job(effects);
                self.worklist.paused = false;
                for row in &mut self.worklist.rows {
                    if row.work == Work::Queued {
                        row.work = Work::Stopped;
                    }
                }
            }
        }
    }

    /// The series that its study is known by from now on; a scout is looked at and left.
    pub(super) fn choose_series(&mut self, index: usize) {
        let analysable = self.study.as_ref().and_then(|s| s.catalog.series.get(index));
        if analysable.is_some_and(|s| !s.is_localizer && s.analysis_stop().is_none())
            && let Some(row) = self.worklist.rows.iter_mut().find(|row| row.series.contains(&index))
        {
            row.chosen = index;
        }
    }

    fn show_list(&mut self, effects: &mut Vec<Effect>) {
        if !self.has_worklist() {
            let text = "There is no worklist: one study is open. A folder that holds several opens as one.";
            return self.notice(Severity::Info, text);
        }
        self.cine = None;
        if let Some(row) = self.active_row() {
            self.worklist.cursor = row;
            self.save_reading(row, effects);
        }
        self.worklist.shown = true;
    }

    fn move_cursor(&mut self, by: i64) {
        let rows = self.rows_in_order();
        let Some(last) = rows.len().checked_sub(1) else { return };
        let at = rows.iter().position(|row| *row == self.worklist.cursor).unwrap_or(0);
        let to = at.saturating_add_signed(isize::try_from(by).unwrap_or(0)).min(last);
        self.worklist.cursor = rows.get(to).copied().unwrap_or(self.worklist.cursor);
    }

    fn open_row(&mut self, row: usize, effects: &mut Vec<Effect>) {
        // What the filter hides is not what the reader means.
        if !self.rows_in_order().contains(&row) {
            return;
        }
        let Some(chosen) = self.worklist.rows.get(row).map(|row| row.chosen) else { return };
        self.worklist.cursor = row;
        self.worklist.shown = false;
        self.show_series(chosen, effects);
    }

    fn step_study(&mut self, by: i32, effects: &mut Vec<Effect>) {
        if self.shows_worklist() {
            return self.move_cursor(i64::from(by));
        }
        if self.active.is_none() || !self.has_worklist() {
            return;
        }
        match self.row_from_active(by) {
            Some(row) => self.open_row(row, effects),
            None if by > 0 => self.notice(Severity::Info, "This is the last study of the worklist (F8 shows it)."),
            None => self.notice(Severity::Info, "This is the first study of the worklist (F8 shows it)."),
        }
    }

    /// The row that lies so far below the study being read, as the list is ordered now.
    pub(super) fn row_from_active(&self, by: i32) -> Option<usize> {
        let (rows, active) = (self.rows_in_order(), self.active_row()?);
        let to = match rows.iter().position(|row| *row == active) {
            Some(at) => at.checked_add_signed(by as isize)?,
            // The filter hides the study being read.
            None => 0,
        };
        rows.get(to).copied()
    }

    /// Writes down how far the analysis of the study being read has come.
    pub(super) fn mark_active(&mut self, work: Work) {
        let Some((index, row)) = self.active.as_ref().map(|a| a.index).zip(self.active_row()) else { return };
        let Some(row) = self.worklist.rows.get_mut(row) else { return };
        // A scout that is looked at does not take away the result of its study.
        if work != Work::Done && row.result.as_ref().is_some_and(|result| result.series != index) {
            return;
        }
        row.work = work;
    }

    /// Puts the finished result of the study being read into the list.
    pub(super) fn result_of_active(&mut self) {
        let (Some(active), Some(findings)) = (&self.active, &self.findings) else { return };
        let (Some(row), refused) = (self.active_row(), self.refused_files()) else { return };
        let result = row_result(active.index, &active.series, refused, findings);
        let judged = findings.judged.clone();
        if let Some(row) = self.worklist.rows.get_mut(row) {
            row.result = Some(result);
            row.judged = Some(judged);
            row.work = Work::Done;
        }
    }

    /// Another network: what the last one said counts no more.
    pub(super) fn forget_results(&mut self, effects: &mut Vec<Effect>) {
        self.drop_job(effects);
        let work = if self.has_worklist() && self.settings.auto_analyse { Work::Queued } else { Work::NotRun };
        for row in &mut self.worklist.rows {
            (row.result, row.judged) = (None, None);
            if !matches!(row.work, Work::NotApplicable(_)) {
                row.work = work.clone();
            }
        }
    }

    /// Takes the running job away; its study waits again.
    pub(super) fn drop_job(&mut self, effects: &mut Vec<Effect>) {
        let Some(job) = self.worklist.job.take() else { return };
        if let Some(row) = self.worklist.rows.get_mut(job.row) {
            row.work = Work::Queued;
        }
        effects.push(Effect::CancelQueue);
    }

    /// The study being read is loaded or analysed.
    fn reader_has_precedence(&self) -> bool {
        let occluding = self.occlusion.as_ref().is_some_and(|check| matches!(check.state, OcclusionState::Running));
        let analysing = matches!(self.analysis, AnalysisState::Preparing(_) | AnalysisState::Running);
        self.is_loading() || analysing || occluding
    }

    /// Starts, stops or leaves alone the queue's job, whatever has just happened.
    pub(super) fn drive_queue(&mut self, effects: &mut Vec<Effect>) {
        if self.worklist.paused || self.reader_has_precedence() {
            return self.drop_job(effects);
        }
        while self.worklist.job.is_none() {
            let Some(next) = self.next_in_queue() else { return };
            let series = self.worklist.rows.get(next).and_then(|row| self.row_series(row)).cloned();
            let (Some(series), Some(_)) = (series, self.worklist.rows.get(next)) else { return };
            if let Some(stop) = series.analysis_stop() {
                if let Some(row) = self.worklist.rows.get_mut(next) {
                    row.work = Work::NotApplicable(stop);
                }
                continue;
            }
            let request = self.next_request();
            self.worklist.job = Some(QueueJob { row: next, request });
            if let Some(row) = self.worklist.rows.get_mut(next) {
                row.work = Work::Reading;
            }
            effects.push(Effect::AnalyseStudy(StudyOrder {
                request,
                series: Arc::new(series),
                machine: self.settings.machine(),
                keep_bytes: self.settings.kept_results_mb << 20,
            }));
        }
    }

    /// The next that waits after the study being read, as the list is ordered, then from the top; what the filter hides
    /// comes last.
    fn next_in_queue(&self) -> Option<usize> {
        let waits = |row: &usize| self.worklist.rows.get(*row).is_some_and(|row| row.work == Work::Queued);
        let rows = self.rows_in_order();
        let at = self.active_row().and_then(|active| rows.iter().position(|row| *row == active)).unwrap_or(0);
        let (before, after) = rows.split_at(at.min(rows.len()));
        after.iter().chain(before).copied().find(waits).or_else(|| (0..self.worklist.rows.len()).find(waits))
    }

    /// Takes what the queue's job sends; answers of jobs that were dropped are of no interest.
    pub(super) fn receive_queue(&mut self, event: Event) {
        let refused = self.refused_files();
        let Some(job) = self.worklist.job else { return };
        let Some(series) = self.worklist.rows.get(job.row).and_then(|row| self.row_series(row)).cloned() else {
            return;
        };
        let Some(row) = self.worklist.rows.get_mut(job.row) else { return };
        match event {
            Event::StudyRead { request } if request == job.request => row.work = Work::Running,
            Event::StudyJudged { request, lines } if request == job.request => row.judged = Some(lines),
            Event::StudyNamed { request, levels } if request == job.request => {
                // What was drawn since the program was started is not older than what the job has read.
                let known = row.named.iter().any(|(series, _)| *series == row.chosen);
                row.named.extend((!known).then_some((row.chosen, levels)));
            }
            Event::StudyAnalysed { request, result } if request == job.request => {
                self.worklist.job = None;
                row.work = match result {
                    Ok(findings) => {
                        row.judged = Some(findings.judged.clone());
                        row.result = Some(row_result(row.chosen, &series, refused, &findings));
                        Work::Done
                    }
                    Err(Ended::Cancelled) => Work::Stopped,
                    Err(Ended::Stopped(text)) => Work::Gated(text),
                    Err(Ended::Failed(text)) => Work::Failed(text),
                };
                self.tell_when_done();
            }
            _ => {}
        }
    }

    fn tell_when_done(&mut self) {
        let count = self.worklist.count();
        if count.waiting == 0 {
            let failed = match count.failed {
                0 => String::new(),
                n => format!("; {n} without a result, the list says why"),
            };
            let text = format!("The worklist has been analysed: {} of {} done{failed}.", count.done, count.studies);
            self.notice(Severity::Info, text);
        }
    }

    pub(super) fn refused_files(&self) -> usize {
        self.study.as_ref().map_or(0, |s| s.catalog.refused.len())
    }
}

fn row_result(index: usize, series: &Series, refused: usize, findings: &Findings) -> RowResult {
    let passport = passport::compose(series, refused, Some(&findings.judged), Some(findings));
    let top = findings.top();
    let at = |slice: usize| series.slices.get(slice).and_then(|s| s.pose);
    RowResult {
        series: index,
        case: findings.case.as_ref().map(|case| case.score),
        top: top.map(|(slice, score)| TopSlice { slice, score, pose: at(slice) }),
        doubtful: !findings.doubts.is_empty(),
        passport: (passport.verdict, passport.weight),
        model: findings.provenance.model.clone(),
        recipe: findings.provenance.recipe.clone(),
        software: findings.provenance.software.clone(),
        computed_earlier: findings.provenance.computed_earlier.clone(),
    }
}
