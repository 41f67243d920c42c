//! Readings and results of a list of studies as CSV (RFC 4180): one line per study, for statistics elsewhere.

use super::Reading;

/// What the network said of a study, where it may be told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    pub case_score: Option<f32>,
    pub case_threshold: f32,
    /// The highest slice score.
    pub peak_score: Option<f32>,
    /// From 1, display order.
    pub peak_slice: Option<usize>,
    pub peak_z_mm: Option<f64>,
    /// By the vertebrae that the reader has named; empty where none are.
    pub peak_level: String,
    pub slice_threshold: f32,
    pub verdict: String,
    pub model: String,
    pub sha256: String,
    /// What the weights were trained on.
    pub standing: String,
    pub recipe: String,
    pub software: String,
    /// When, where it was not computed since the program was started.
    pub computed_earlier: String,
}

/// One study.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Line {
    pub reader: String,
    /// Empty where the identity is hidden, like the UID.
    pub patient_id: String,
    pub study_uid: String,
    /// As YYYY-MM-DD.
    pub study_date: String,
    /// Stands for the study without naming anybody.
    pub study_key: String,
    pub slices: usize,
    /// The state of the analysis in words.
    pub analysis: String,
    /// Results are kept from the reader until the verdict.
    pub hidden: bool,
    pub told: Option<Told>,
    /// The verdict of the input passport.
    pub passport: String,
    pub reading: Reading,
}

/// In this order; the README says what each holds.
pub const COLUMNS: [&str; 36] = [
    "order",
    "reader",
    "patient_id",
    "study_uid",
    "study_date",
    "study_key",
    "slices",
    "analysis",
    "results",
    "case_score",
    "case_threshold",
    "peak_score",
    "peak_slice",
    "peak_z_mm",
    "peak_level",
    "slice_threshold",
    "network_verdict",
    "model",
    "model_sha256",
    "weights",
    "recipe",
    "software",
    "computed_earlier",
    "passport",
    "blind",
    "opened",
    "committed",
    "revealed",
    "opinion_at",
    "seconds_to_verdict",
    "seconds_on_screen",
    "own_verdict",
    "own_level",
    "own_note",
    "opinion",
    "note",
];

/// Name of the last column, which has the research line in every row.
const RESEARCH: &str = "research";

/// The table with its header. Studies stand as they are given; their order of reading is counted by the moment at which
/// each was first opened.
///
/// # Errors
/// Only where writing into memory fails.
pub fn to_csv(lines: &[Line]) -> Result<Vec<u8>, csv::Error> {
    let mut opened: Vec<_> = lines.iter().filter_map(|line| line.reading.opened).collect();
    opened.sort();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(COLUMNS.into_iter().chain([RESEARCH]))?;
    for line in lines {
        let order = line.reading.opened.and_then(|at| opened.iter().position(|other| *other == at));
        let order = order.map_or_else(String::new, |order| (order + 1).to_string());
        let cells = [order].into_iter().chain(study(line)).chain(told(line)).chain(reading(&line.reading));
        writer.write_record(cells.chain([crate::RESEARCH_LINE_SHORT.to_owned()]))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn study(line: &Line) -> [String; 8] {
    [
        plain(&line.reader),
        plain(&line.patient_id),
        plain(&line.study_uid),
        plain(&line.study_date),
        line.study_key.clone(),
        line.slices.to_string(),
        plain(&line.analysis),
        match (&line.told, line.hidden) {
            (_, true) => "hidden until the reader's verdict".to_owned(),
            (Some(_), false) => "shown".to_owned(),
            (None, false) => "none".to_owned(),
        },
    ]
}

fn told(line: &Line) -> [String; 15] {
    let passport = plain(&line.passport);
    let Some(told) = line.told.as_ref().filter(|_| !line.hidden) else {
        let mut cells: [String; 15] = Default::default();
        cells[14] = passport;
        return cells;
    };
    let score = |score: Option<f32>| score.map_or_else(String::new, |score| format!("{score:.4}"));
    [
        score(told.case_score),
        score(Some(told.case_threshold)),
        score(told.peak_score),
        told.peak_slice.map_or_else(String::new, |slice| slice.to_string()),
        told.peak_z_mm.map_or_else(String::new, |z| format!("{z:.1}")),
        told.peak_level.clone(),
        score(Some(told.slice_threshold)),
        told.verdict.clone(),
        plain(&told.model),
        told.sha256.clone(),
        plain(&told.standing),
        told.recipe.clone(),
        told.software.clone(),
        told.computed_earlier.clone(),
        passport,
    ]
}

fn reading(reading: &Reading) -> [String; 12] {
    let at = |moment: Option<super::Moment>| moment.map(super::Moment::text).unwrap_or_default();
    let seconds = |ms: i64| format!("{:.1}", ms as f64 / 1000.0);
    let own = reading.own.as_ref();
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    [
        own.map_or_else(String::new, |_| yes_no(reading.is_blind())),
        at(reading.opened),
        at(own.map(|own| own.at)),
        at(reading.revealed),
        at(reading.said.as_ref().map(|said| said.at)),
        own.map_or_else(String::new, |_| seconds(reading.before_ms)),
        reading.opened.map_or_else(String::new, |_| seconds(reading.on_screen_ms)),
        own.map_or_else(String::new, |own| own.answer.name().to_owned()),
        own.and_then(|own| own.level).map_or_else(String::new, |level| level.name().to_owned()),
        own.map_or_else(String::new, |own| plain(&own.note)),
        reading.said.as_ref().map_or_else(String::new, |said| said.opinion.name().to_owned()),
        plain(&reading.note),
    ]
}

/// Text from a file or a person. A table program takes some beginnings for a formula; an apostrophe keeps them text.
fn plain(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, Moment, Opinion, Own, Said};
    use super::*;

    fn line(opened: Option<i64>) -> Line {
        Line {
            patient_id: "A".into(),
            told: Some(Told { case_score: Some(0.75), case_threshold: 0.5, ..Told::default() }),
            reading: Reading { opened: opened.map(Moment), ..Reading::default() },
            ..Line::default()
        }
    }

    fn cells(lines: &[Line]) -> Vec<std::collections::HashMap<String, String>> {
        let bytes = to_csv(lines).expect("CSV");
        let mut reader = csv::Reader::from_reader(&*bytes);
        let rows: Result<Vec<_>, _> = reader.deserialize().collect();
        rows.expect("every row has every column")
    }

    #[test]
    fn quotes_commas_and_line_ends_survive() {
        let mut odd = line(Some(5));
        odd.patient_id = "=cmd|' /C calc'!A0".into();
        odd.reading.own = Some(Own {
            answer: Answer::Finding,
            level: Some(crate::truth::Level::C6),
            note: "says \"no\", then\r\nyes; \u{e4}".into(),
            at: Moment(8),
        });
        odd.reading.said = Some(Said { opinion: Opinion::Agree, at: Moment(9) });
        odd.reading.before_ms = 3456;
        let text = String::from_utf8(to_csv(&[odd.clone()]).expect("CSV")).expect("UTF-8");
        assert!(text.starts_with("order,reader,patient_id,") && text.lines().count() == 3);
        assert!(text.contains("\"says \"\"no\"\", then\r\nyes; \u{e4}\"") && text.ends_with("\r\n"));
        let row = &cells(&[odd])[0];
        assert_eq!(row["patient_id"], "'=cmd|' /C calc'!A0");
        assert_eq!(row["own_note"], "says \"no\", then\r\nyes; \u{e4}");
        assert_eq!((row["own_level"].as_str(), row["seconds_to_verdict"].as_str()), ("C6", "3.5"));
        assert_eq!((row["opinion"].as_str(), row["blind"].as_str()), ("agree", "yes"));
        assert_eq!(row["opened"], "1970-01-01T00:00:00.005Z");
        assert!(row["research"].contains("Not for diagnosis"));
    }

    #[test]
    fn the_order_is_that_of_opening() {
        let rows = cells(&[line(Some(30)), line(None), line(Some(10))]);
        let order: Vec<&str> = rows.iter().map(|row| row["order"].as_str()).collect();
        assert_eq!(order, ["2", "", "1"]);
    }

    #[test]
    fn a_hidden_result_is_not_told() {
        let mut hidden = line(None);
        hidden.hidden = true;
        let text = String::from_utf8(to_csv(&[hidden]).expect("CSV")).expect("UTF-8");
        assert!(!text.contains("0.75") && text.contains("hidden until the reader's verdict"));
        assert_eq!(cells(&[line(None)])[0]["case_score"], "0.7500");
    }
}
