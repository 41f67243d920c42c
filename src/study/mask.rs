//! Hides who the patient is: which texts must not appear, and how they are taken out of sentences that may hold them.

use super::describe::{self, HIDDEN, Identity};
use super::{Refused, Series};

/// Shorter words of a name than this would tear holes into ordinary sentences.
const SHORTEST_WORD: usize = 3;

/// Takes identifying texts out of sentences; lets everything pass when the identity is shown.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    /// Longest first, so that a file's path goes before its name.
    needles: Vec<String>,
    hide: bool,
}

impl Mask {
    /// Of a series and the files beside it that were refused.
    pub fn new(series: &Series, refused: &[Refused], hide: bool) -> Self {
        if !hide {
            return Self::default();
        }
        let (patient, study) = (&series.patient, &series.study);
        let mut needles: Vec<String> = [
            &patient.name,
            &patient.id,
            &patient.birth_date,
            &study.accession,
            &study.institution,
            &study.description,
            &study.date,
            &study.uid,
            &series.uid,
        ]
        .into_iter()
        .cloned()
        .collect();
        needles.extend([describe::person_name(&patient.name), describe::date(&patient.birth_date)]);
        needles.push(describe::date(&study.date));
        let words = |text: &str| text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect::<Vec<_>>();
        // The name of a made-up patient is made of ordinary words and protects nobody.
        let synthetic = describe::is_synthetic(series);
        if !synthetic {
            needles.extend(words(&patient.name));
        }
        for slice in &series.slices {
            needles.push(slice.sop_instance_uid.clone());
            needles.extend(file_needles(&slice.file));
        }
        refused.iter().for_each(|r| needles.extend(file_needles(&r.file)));
        needles.iter_mut().for_each(|n| *n = n.trim().to_owned());
        needles.retain(|n| n.chars().count() >= SHORTEST_WORD);
        needles.retain(|n| !(synthetic && n.eq_ignore_ascii_case("synthetic")));
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        needles.dedup();
        Self { needles, hide }
    }
    /// Whether it takes anything out at all.
    pub fn hides(&self) -> bool {
        self.hide
    }
    /// For the words of [`describe`].
    pub fn identity(&self) -> Identity {
        if self.hide { Identity::Hidden } else { Identity::Shown }
    }
    /// The sentence with every identifying text in it replaced, in whatever case it is written.
    pub fn scrub(&self, text: &str) -> String {
        self.needles.iter().fold(text.to_owned(), |text, needle| replaced(&text, needle))
    }
    /// A file's name: shown, or nothing.
    pub fn file(&self, file: &str) -> Option<String> {
        (!self.hide).then(|| file.to_owned())
    }
}

/// The path as listed, its parts and its stem: a folder may carry the name, too.
fn file_needles(file: &str) -> Vec<String> {
    let mut needles = vec![file.to_owned()];
    for part in file.split(['/', '\\']) {
        needles.push(part.to_owned());
        if let Some((stem, _)) = part.rsplit_once('.') {
            needles.push(stem.to_owned());
        }
    }
    // A bare number is no name and stands in every sentence.
    needles.retain(|n| n.len() > SHORTEST_WORD && !n.bytes().all(|b| b.is_ascii_digit()));
    needles
}

/// Replaces whole-word occurrences, ASCII letters in either case.
fn replaced(text: &str, needle: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let starts_word = !before.is_some_and(char::is_alphanumeric);
        let hit = rest.get(..needle.len()).filter(|head| starts_word && head.eq_ignore_ascii_case(needle));
        let after = hit.and_then(|_| rest.get(needle.len()..));
        match after.filter(|a| !a.chars().next().is_some_and(char::is_alphanumeric)) {
            Some(after) => {
                out.push_str(HIDDEN);
                before = needle.chars().last();
                rest = after;
            }
            None => {
                out.push(c);
                before = Some(c);
                rest = rest.get(c.len_utf8()..).unwrap_or("");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_go_in_either_case_and_parts_of_words_stay() {
        assert_eq!(replaced("DOE, doe and Doering", "doe"), "[hidden], [hidden] and Doering");
        assert_eq!(replaced("\u{e9}doe doe\u{e9} \u{e9}", "doe"), "\u{e9}doe doe\u{e9} \u{e9}");
        assert_eq!(replaced("a/b/SMITH_JOHN.dcm is", "a/b/smith_john.dcm"), "[hidden] is");
    }

    #[test]
    fn numbered_files_are_no_needles() {
        assert_eq!(file_needles("0012.dcm"), ["0012.dcm", "0012.dcm"]);
        assert!(file_needles("1234").is_empty());
    }
}
