//! What a reader says of a study before and after the network's result is seen, when, and how long it took. Plain data
//! and its file form; [`table`] is its CSV form.

pub mod table;

use crate::truth::Level;

/// Changes with the meaning of what is written.
const VERSION: u64 = 1;
/// A longer note is no note; characters.
const LONGEST_NOTE: usize = 2000;

/// Milliseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl Moment {
    /// Never negative: a clock that was set back has lost time, not won it.
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }
    /// "2026-03-04T12:33:05.120Z"; empty where it is no date.
    pub fn text(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map(|at| format!("{at:.3}")).unwrap_or_default()
    }
}

/// The reader's own verdict. The absence of a finding is never called health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Finding,
    Unsure,
    NoFinding,
}

impl Answer {
    pub const ALL: [Self; 3] = [Self::Finding, Self::Unsure, Self::NoFinding];

    pub fn name(self) -> &'static str {
        match self {
            Self::Finding => "finding",
            Self::Unsure => "unsure",
            Self::NoFinding => "no finding above my threshold",
        }
    }
}

/// What the reader thinks of the network's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opinion {
    Agree,
    Unsure,
    Disagree,
}

impl Opinion {
    pub const ALL: [Self; 3] = [Self::Agree, Self::Unsure, Self::Disagree];

    pub fn name(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Unsure => "unsure",
            Self::Disagree => "disagree",
        }
    }
}

/// A verdict that has not been given yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Draft {
    pub answer: Option<Answer>,
    pub level: Option<Level>,
    pub note: String,
}

/// A verdict of the reader's own; it is not changed any more.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Own {
    pub answer: Answer,
    pub level: Option<Level>,
    pub note: String,
    pub at: Moment,
}

/// An opinion on the network's result; the last one counts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Said {
    pub opinion: Opinion,
    pub at: Moment,
}

/// Everything that one reader has done with one study.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Reading {
    /// When a picture of it was first on the screen.
    pub opened: Option<Moment>,
    /// How long it was on the screen before the reader's own verdict, and in all, ms.
    pub before_ms: i64,
    pub on_screen_ms: i64,
    pub draft: Draft,
    pub own: Option<Own>,
    /// When a result of the network could first be seen.
    pub revealed: Option<Moment>,
    pub said: Option<Said>,
    /// Written after the result was seen.
    pub note: String,
}

impl Reading {
    /// The reader's own verdict was given before any result could be seen.
    pub fn is_blind(&self) -> bool {
        self.own.as_ref().is_some_and(|own| self.revealed.is_none_or(|revealed| revealed >= own.at))
    }
    /// Counts time on the screen.
    pub fn add_ms(&mut self, ms: i64) {
        self.on_screen_ms = self.on_screen_ms.saturating_add(ms);
        if self.own.is_none() {
            self.before_ms = self.before_ms.saturating_add(ms);
        }
    }
    /// The note that is being written: before the verdict the verdict's, then the other.
    pub fn note_now(&mut self, own_is_due: bool) -> &mut String {
        if own_is_due { &mut self.draft.note } else { &mut self.note }
    }
}

/// A note as it is kept: not endless, and on one line.
pub fn note(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_NOTE).collect()
}

#[derive(serde::Serialize, serde::Deserialize)]
struct File {
    dens_reading: u64,
    #[serde(flatten)]
    reading: Reading,
}

/// Why a file of a reading cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("it is no JSON of this form ({0})")]
    Form(#[from] serde_json::Error),
    #[error("it was written by a newer version of dens (form {0})")]
    Newer(u64),
}

/// Indented JSON. Of text it holds the reader's notes alone.
///
/// # Errors
/// Only where a number has no JSON form.
pub fn to_json(reading: &Reading) -> Result<Vec<u8>, FileError> {
    Ok(serde_json::to_vec_pretty(&File { dens_reading: VERSION, reading: reading.clone() })?)
}

/// # Errors
/// The file cannot be used.
pub fn from_json(bytes: &[u8]) -> Result<Reading, FileError> {
    let file: File = serde_json::from_slice(bytes)?;
    if file.dens_reading > VERSION { Err(FileError::Newer(file.dens_reading)) } else { Ok(file.reading) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_comes_back_and_a_newer_one_is_refused() {
        let reading = Reading {
            opened: Some(Moment(1_700_000_000_123)),
            before_ms: 4200,
            own: Some(Own {
                answer: Answer::NoFinding,
                level: Some(Level::C5),
                note: "\"quoted\"".into(),
                at: Moment(1_700_000_004_000),
            }),
            revealed: Some(Moment(1_700_000_004_000)),
            said: Some(Said { opinion: Opinion::Disagree, at: Moment(1_700_000_009_000) }),
            ..Reading::default()
        };
        let bytes = to_json(&reading).expect("JSON");
        assert_eq!(from_json(&bytes).expect("read"), reading);
        let newer = String::from_utf8(bytes).expect("text").replace("\"dens_reading\": 1", "\"dens_reading\": 2");
        assert!(matches!(from_json(newer.as_bytes()), Err(FileError::Newer(2))));
        assert!(from_json(b"{\"dens_reading\": 1, \"own\": 5}").is_err() && from_json(b"").is_err());
    }

    #[test]
    fn blind_means_that_the_verdict_came_first() {
        let own = |at| Some(Own { answer: Answer::Finding, level: None, note: String::new(), at: Moment(at) });
        let blind = |own, revealed: Option<i64>| {
            Reading { own, revealed: revealed.map(Moment), ..Reading::default() }.is_blind()
        };
        assert!(blind(own(10), None) && blind(own(10), Some(10)) && blind(own(10), Some(11)));
        assert!(!blind(own(10), Some(9)) && !blind(None, None));
        let mut reading = Reading::default();
        reading.add_ms(5);
        reading.own = own(10);
        reading.add_ms(7);
        assert_eq!((reading.before_ms, reading.on_screen_ms), (5, 12));
        assert_eq!(Moment(1).ms_since(Moment(5)), 0);
    }
}
