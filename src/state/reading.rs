//! Verdicts: the reader's own, before the network's result is seen in blind-first mode, and the reader's opinion of the
//! result; with the times at which each happened. The clock comes from outside.

use super::worklist::ReadingKey;
use super::*;
use crate::reading::table::{Line as TableLine, Told};
use crate::reading::{self, Answer, Moment, Opinion, Own, Reading, Said};
use crate::study::describe;
use crate::truth::Level;

/// What the three keys say: to "is there a finding?" before the result is seen, to "do you agree?" afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Yes,
    Unsure,
    No,
}

/// A wish that concerns verdicts.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadingCommand {
    Reply(Reply),
    SetLevel(Option<Level>),
    SetNote(String),
    /// The note has been written.
    KeepNote,
    /// Makes the reader's own verdict final and shows the result.
    Commit,
    ToggleBlindFirst,
    /// May be empty.
    SetReader(String),
}

/// What stands where a result would be.
pub const HIDDEN: &str = "hidden until you commit your own verdict (blind-first)";
/// Why no report is written before the verdict.
pub const NO_REPORT: &str =
    "A report would show the results, which are hidden until you commit your own verdict of this study (blind-first)";

impl AppState {
    /// The present moment, told before each [`AppState::apply`] and [`AppState::receive`].
    pub fn set_now(&mut self, now: Moment) {
        self.now = now;
    }

    /// "Y finding, U unsure, J no finding above your threshold", by the keys in force.
    pub fn verdict_keys(&self) -> String {
        let key = |name: &str| self.keymap.keys(name).first().map_or("(no key)".to_owned(), ToString::to_string);
        format!(
            "{} finding, {} unsure, {} no finding above your threshold",
            key("verdict-yes"),
            key("verdict-unsure"),
            key("verdict-no")
        )
    }

    /// Why no report is written before the verdict, and what to do.
    pub fn no_report(&self) -> String {
        format!("{NO_REPORT}: {}, then Enter.", self.verdict_keys())
    }

    /// Results of a study are kept from the reader.
    pub fn row_hidden(&self, row: usize) -> bool {
        self.settings.blind_first && self.worklist.rows.get(row).is_none_or(|row| row.reading.own.is_none())
    }

    /// Results of the study being read are kept from the reader.
    pub fn results_hidden(&self) -> bool {
        let Some(row) = self.active_row() else { return self.settings.blind_first && self.active.is_some() };
        self.row_hidden(row)
    }

    /// What the reader has done with the study being read.
    pub fn reading(&self) -> Option<&Reading> {
        Some(&self.worklist.rows.get(self.active_row()?)?.reading)
    }

    /// Pictures of the study are on the screen.
    fn is_reading(&self) -> bool {
        !self.shows_worklist() && self.active.as_ref().is_some_and(|active| active.decoded() > 0)
    }

    /// Counts the time since the last call for the study that was on the screen.
    pub(super) fn count_time(&mut self) {
        let since = self.clock_at.replace(self.now);
        let (Some(since), true, Some(row)) = (since, self.is_reading(), self.active_row()) else { return };
        if let Some(row) = self.worklist.rows.get_mut(row) {
            row.reading.add_ms(self.now.ms_since(since));
        }
    }

    /// Writes down what has just come on the screen: a study, or a result.
    pub(super) fn note_what_is_seen(&mut self, effects: &mut Vec<Effect>) {
        let active = self.active_row();
        let (now, reading, listed) = (self.now, self.is_reading(), self.shows_worklist());
        let here = self.findings().is_some_and(|f| f.slices.iter().any(|s| s.score().is_some()));
        for index in 0..self.worklist.rows.len() {
            let on_screen = reading && active == Some(index);
            let seen = (listed && self.seen_result(index).is_some()) || (on_screen && here);
            let Some(row) = self.worklist.rows.get_mut(index).filter(|row| row.reading_read) else { continue };
            let (opens, reveals) = (on_screen && row.reading.opened.is_none(), seen && row.reading.revealed.is_none());
            if opens {
                row.reading.opened = Some(now);
            }
            if reveals {
                row.reading.revealed = Some(now);
            }
            if opens || reveals {
                self.save_reading(index, effects);
            }
        }
    }

    pub(super) fn apply_reading(&mut self, command: ReadingCommand, effects: &mut Vec<Effect>) {
        match command {
            ReadingCommand::ToggleBlindFirst => {
                self.settings.blind_first = !self.settings.blind_first;
                self.forget_evidence();
                self.occlusion_on = false;
                self.export = None;
                Self::save(effects);
                return;
            }
            ReadingCommand::SetReader(name) => return self.set_reader(&name, effects),
            _ => {}
        }
        let Some(index) = self.active_row().filter(|_| !self.shows_worklist()) else { return };
        let (hidden, now) = (self.row_hidden(index), self.now);
        let no_result = !hidden && !self.has_result();
        let Some(row) = self.worklist.rows.get_mut(index) else { return };
        match command {
            ReadingCommand::Reply(reply) if hidden => {
                row.reading.draft.answer = Some(match reply {
                    Reply::Yes => Answer::Finding,
                    Reply::Unsure => Answer::Unsure,
                    Reply::No => Answer::NoFinding,
                });
            }
            ReadingCommand::Reply(_) if no_result => {
                let text = "There is no result of this study yet to agree or disagree with.";
                return self.notice(Severity::Info, text);
            }
            ReadingCommand::Reply(reply) => {
                let opinion = match reply {
                    Reply::Yes => Opinion::Agree,
                    Reply::Unsure => Opinion::Unsure,
                    Reply::No => Opinion::Disagree,
                };
                row.reading.said = Some(Said { opinion, at: now });
            }
            ReadingCommand::SetLevel(level) if hidden => row.reading.draft.level = level,
            ReadingCommand::SetNote(text) => *row.reading.note_now(hidden) = reading::note(&text),
            ReadingCommand::Commit if hidden => return self.commit(index, effects),
            ReadingCommand::KeepNote => {}
            _ => return,
        }
        self.save_reading(index, effects);
    }

    fn commit(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(row) = self.worklist.rows.get_mut(index) else { return };
        if !row.reading_read {
            return self
                .notice(Severity::Info, "What is kept of this study is still being read; try again in a moment.");
        }
        let Some(answer) = row.reading.draft.answer else {
            let text = format!("Say first what you see: {}; then Enter.", self.verdict_keys());
            return self.notice(Severity::Info, text);
        };
        let draft = std::mem::take(&mut row.reading.draft);
        row.reading.own = Some(Own { answer, level: draft.level, note: draft.note, at: now });
        self.heat_is_stale = true;
        self.save_reading(index, effects);
    }

    /// A score of the study being read may be seen.
    fn has_result(&self) -> bool {
        self.findings().is_some_and(|f| f.case.is_some() || f.slices.iter().any(|s| s.score().is_some()))
    }

    pub(super) fn save_reading(&self, index: usize, effects: &mut Vec<Effect>) {
        let Some(row) = self.worklist.rows.get(index) else { return };
        // What is on disk is not overwritten before it has been looked at, nor by nothing.
        if row.reading_read && row.reading != Reading::default() {
            effects.push(Effect::SaveReading { key: row.key.clone(), reading: Box::new(row.reading.clone()) });
        }
    }

    pub(super) fn ask_for_readings(&mut self, effects: &mut Vec<Effect>) {
        let keys: Vec<ReadingKey> = self.worklist.rows.iter().map(|row| row.key.clone()).collect();
        if !keys.is_empty() {
            effects.push(Effect::ReadReadings { keys });
        }
    }

    /// Each reader has readings of their own.
    fn set_reader(&mut self, name: &str, effects: &mut Vec<Effect>) {
        let name: String = reading::note(name.trim()).chars().take(80).collect();
        if name == self.settings.reader {
            return;
        }
        if let Some(row) = self.active_row() {
            self.save_reading(row, effects);
        }
        self.settings.reader = name;
        let catalog = self.study.as_ref().map(|s| s.catalog.clone()).unwrap_or_default();
        for row in &mut self.worklist.rows {
            let Some(series) = catalog.series.get(row.chosen) else { continue };
            row.key = ReadingKey::new(series, &self.settings.reader);
            (row.reading, row.reading_read, row.reading_lost) = (Reading::default(), false, None);
        }
        self.ask_for_readings(effects);
        Self::save(effects);
    }

    pub(super) fn readings_read(&mut self, read: Vec<(ReadingKey, Result<Reading, String>)>) {
        for (key, result) in read {
            let Some(row) = self.worklist.rows.iter_mut().find(|row| row.key == key) else { continue };
            match result {
                Ok(mut reading) => {
                    // What was written into the note meanwhile is not lost.
                    if reading.own.is_none() && row.reading.draft != reading::Draft::default() {
                        reading.draft = row.reading.draft.clone();
                    }
                    row.reading = reading;
                    row.reading_read = true;
                }
                Err(why) => {
                    row.reading_lost = Some(why.clone());
                    row.reading_read = true;
                    self.notice(Severity::Warning, format!("Verdicts of one study begin anew: {why}"));
                }
            }
        }
    }

    pub(super) fn reading_saved(&mut self, key: &ReadingKey, result: Result<(), String>) {
        let Some(row) = self.worklist.rows.iter_mut().find(|row| row.key == *key) else { return };
        let before = std::mem::replace(&mut row.reading_lost, result.err());
        if let Some(why) = row.reading_lost.clone().filter(|why| before.as_ref() != Some(why)) {
            self.notice(Severity::Error, format!("A verdict could not be saved: {why}"));
        }
    }

    /// The whole list for the table; studies as they were found.
    pub fn reading_lines(&self) -> Vec<TableLine> {
        (0..self.worklist.rows.len()).filter_map(|row| self.reading_line(row)).collect()
    }

    fn reading_line(&self, index: usize) -> Option<TableLine> {
        let row = self.worklist.rows.get(index)?;
        let series = self.row_series(row)?;
        let named = |text: &str| if self.hide_identity { String::new() } else { text.to_owned() };
        let told = self.seen_result(index).map(|result| {
            let thresholds = self.thresholds_of(&result.model);
            Told {
                case_score: result.case,
                case_threshold: thresholds.case,
                peak_score: result.top.map(|top| top.score),
                peak_slice: result.top.map(|top| top.slice + 1),
                peak_z_mm: result.top.and_then(|top| top.z_mm()),
                peak_level: self.top_level(result).map_or_else(String::new, |level| level.name().to_owned()),
                slice_threshold: thresholds.slice,
                verdict: self.row_verdict(result).to_owned(),
                model: result.model.name.clone(),
                sha256: result.model.sha256.clone(),
                standing: crate::findings::describe::standing(&result.model),
                recipe: result.recipe.clone(),
                software: result.software.clone(),
                computed_earlier: result.computed_earlier.clone().unwrap_or_default(),
            }
        });
        Some(TableLine {
            reader: self.settings.reader.clone(),
            patient_id: named(&series.patient.id),
            study_uid: named(&series.study.uid),
            study_date: named(&describe::date(&series.study.date)),
            study_key: ReadingKey::new(series, "").short(),
            slices: series.slices.len(),
            analysis: self.work_text(index, None),
            hidden: self.row_hidden(index),
            told,
            passport: self.row_passport(index).map(|(text, _)| text).unwrap_or_default(),
            reading: row.reading.clone(),
        })
    }
}
