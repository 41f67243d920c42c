//! What a study and its series are called before people: corner texts, dates, ages, names, geometry in words.
//!
//! Used by the window, by exported pictures and by reports, so that the same series reads the same everywhere.
//! Nothing is invented: what the file does not say has no line.

use std::fmt::Write as _;

use super::{Patient, Series, StudyInfo};
use crate::geometry::{SlicePose, Vec3, orientation_letters};
use crate::volume::{VoiFunction, VoiTable, Window};

/// Whether texts may say who the patient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Identity {
    #[default]
    Shown,
    /// Name, id, birth date, accession number, institution, dates and the free text of the study are left out.
    Hidden,
}

/// Stands where a name would stand.
pub const IDENTITY_HIDDEN: &str = "identity hidden";
/// Stands in a sentence where something identifying stood.
pub const HIDDEN: &str = "[hidden]";
/// Stands on every picture of a made-up patient, also when the identity is hidden.
pub const SYNTHETIC_LINE: &str = "SYNTHETIC, not a patient";

/// Texts of a view's four corners, one string per line, and the letters of its four edges.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CornerText {
    pub top_left: Vec<String>,
    pub top_right: Vec<String>,
    pub bottom_left: Vec<String>,
    pub bottom_right: Vec<String>,
    /// Orientation letters: top, right, bottom, left; empty where unknown.
    pub letters: [String; 4],
}

impl CornerText {
    /// The same text for a view that is mirrored: the letters change sides.
    pub fn flipped(mut self, horizontal: bool, vertical: bool) -> Self {
        if horizontal {
            self.letters.swap(1, 3);
        }
        if vertical {
            self.letters.swap(0, 2);
        }
        self
    }
}

/// The four corners by role, for a slice (0-based, display order): patient and study top left, series and technique
/// top right, image and position bottom left, window and zoom bottom right. `zoom` is 1 where the slice just fits.
/// The letters are those of a view that is not mirrored; see [`CornerText::flipped`].
pub fn corner_text(series: &Series, slice_index: usize, window: &Window, zoom: f64, identity: Identity) -> CornerText {
    let pose = series.slices.get(slice_index).and_then(|s| s.pose);
    CornerText {
        top_left: patient_and_study_lines(series, identity),
        top_right: series_lines(series),
        bottom_left: slice_lines(series, slice_index),
        bottom_right: vec![window_text(window), zoom_text(zoom)],
        letters: edge_letters(pose.as_ref()),
    }
}

/// Top left: who, what examination, when, where.
pub fn patient_and_study_lines(series: &Series, identity: Identity) -> Vec<String> {
    let (patient, study) = (&*series.patient, &*series.study);
    let person = sex_and_age(patient, study, identity);
    if identity == Identity::Hidden {
        return lines([IDENTITY_HIDDEN.to_owned(), person]);
    }
    let born = prefixed("born ", &date(&patient.birth_date));
    lines([
        person_name(&patient.name),
        joined([prefixed("ID ", &patient.id), person, born]),
        study.description.trim().to_owned(),
        date_and_time(study),
        study.institution.trim().to_owned(),
    ])
}

/// Top right: which series, how acquired, and what about its values must not be forgotten.
pub fn series_lines(series: &Series) -> Vec<String> {
    let number = series.number.map_or_else(String::new, |n| format!("series {n}"));
    let mut lines = lines([
        joined([series.modality.clone(), number]),
        series.description.trim().to_owned(),
        part_text(series),
        exposure_text(series),
        prefixed("kernel ", &series.technique.kernel),
        prefixed("contrast ", &series.technique.contrast_agent),
        tilt_text(series),
        lossy_text(series),
    ]);
    if !series.values_are_hu {
        lines.push("values are not HU".to_owned());
    }
    if is_synthetic(series) {
        lines.push(SYNTHETIC_LINE.to_owned());
    }
    lines
}

/// "phase 2 of 3: acquisition 4"; nothing for a series of one stack.
pub fn part_text(series: &Series) -> String {
    series.part.as_ref().map_or_else(String::new, super::Part::words)
}

/// What a series is called in lists: its description, else its modality, with the phase where it has several.
pub fn series_name(series: &Series) -> String {
    let name = if series.description.is_empty() { &series.modality } else { &series.description };
    joined_by(", ", [name.clone(), series.part.as_ref().map_or_else(String::new, super::Part::short)])
}

/// Bottom left: which image, where, how thick.
pub fn slice_lines(series: &Series, slice_index: usize) -> Vec<String> {
    let image = format!("image {}/{}", slice_index.saturating_add(1), series.slices.len());
    let position = series.slices.get(slice_index).and_then(|s| s.pose).map_or_else(String::new, |p| position_text(&p));
    lines([joined([image, position]), thickness_text(series)])
}

/// "z -175.0 mm" along the body axis that the slices are stacked on; the sign is that of DICOM's patient space.
pub fn position_text(pose: &SlicePose) -> String {
    let (n, o) = (pose.normal(), pose.origin.0);
    let (axis, value) = if n.z.abs() >= n.x.abs() && n.z.abs() >= n.y.abs() {
        ('z', o.z)
    } else if n.y.abs() >= n.x.abs() {
        ('y', o.y)
    } else {
        ('x', o.x)
    };
    format!("{axis} {value:.1} mm")
}

/// Thickness and distance of the slices, which are two things: "0.75 mm thick, every 0.4 mm".
pub fn thickness_text(series: &Series) -> String {
    let thick = series.technique.slice_thickness_mm.map_or_else(String::new, |t| format!("{} mm thick", short(t)));
    let every = series.slice_spacing_mm.map_or_else(String::new, |s| format!("every {} mm", short(s)));
    let unknown = if series.spacing_mm.is_none() { "pixel spacing unknown, no millimetres" } else { "" };
    [thick, every, unknown.to_owned()].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", ")
}

/// "bone  W 1800 L 500"; without a name when it is no preset, with the function when it is not LINEAR; "VOI LUT NAME" for a
/// table of the file's.
pub fn window_text(window: &Window) -> String {
    if let Some(table) = &window.table {
        return table_text(table);
    }
    let mut text = window.preset_name().map_or_else(String::new, |name| format!("{name}  "));
    let _infallible = write!(text, "W {} L {}", short(window.width), short(window.center));
    match window.function {
        VoiFunction::Linear => {}
        VoiFunction::LinearExact => text.push_str(" LINEAR_EXACT"),
        VoiFunction::Sigmoid => text.push_str(" SIGMOID"),
    }
    text
}

/// "VOI LUT BONE", as the file calls it.
pub fn table_text(table: &VoiTable) -> String {
    joined_by(" ", ["VOI LUT".to_owned(), table.name().to_owned()])
}

/// "zoom 1.40x", 1 being the whole slice fitted.
pub fn zoom_text(zoom: f64) -> String {
    if zoom >= 10.0 { format!("zoom {zoom:.1}x") } else { format!("zoom {zoom:.2}x") }
}

/// Letters of the four edges (top, right, bottom, left) of a view that is not mirrored; empty without a pose.
pub fn edge_letters(pose: Option<&SlicePose>) -> [String; 4] {
    let Some(pose) = pose else { return Default::default() };
    let back = |v: Vec3| orientation_letters(v * -1.0);
    let to = orientation_letters;
    [back(pose.along_column), to(pose.along_row), to(pose.along_column), back(pose.along_row)]
}

/// The patient is named as made up. Descriptions do not count: a "synthetic CT" computed from a real patient's MR
/// says the same word.
pub fn is_synthetic(series: &Series) -> bool {
    [&series.patient.name, &series.patient.id].iter().any(|text| text.to_lowercase().contains("synthetic"))
}

/// Whether contrast agent was given, as far as the header says. DICOM fills the tag only where it was, and archives that
/// remove identities often empty it, so an empty one says nothing, except in what this program made.
pub fn contrast_given(series: &Series) -> Option<bool> {
    let agent = series.technique.contrast_agent.trim().to_lowercase();
    match agent.as_str() {
        "" => is_synthetic(series).then_some(false),
        "none" | "no" | "n" => Some(false),
        _ => Some(true),
    }
}

/// "120 kV, 200 mAs", as far as known.
pub fn exposure_text(series: &Series) -> String {
    let kv = series.technique.kvp.map_or_else(String::new, |v| format!("{} kV", short(v)));
    let mas = series.technique.mas.map_or_else(String::new, |v| format!("{} mAs", short(v)));
    [kv, mas].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", ")
}

/// "gantry tilt 12.0 deg"; nothing for an upright gantry.
pub fn tilt_text(series: &Series) -> String {
    match series.technique.gantry_tilt_deg {
        Some(tilt) if tilt.abs() >= 0.05 => format!("gantry tilt {tilt:.1}\u{b0}"),
        _ => String::new(),
    }
}

/// "LOSSY SOURCE: ..." when the pixels have been through lossy compression at any time.
pub fn lossy_text(series: &Series) -> String {
    series.technique.lossy.as_ref().map_or_else(String::new, |how| format!("LOSSY SOURCE: {}", how.trim()))
}

/// A DICOM person name (PS3.5 6.2.1) as one reads it: "Family, Given Middle, Suffix", prefix left in front of the
/// given name; the first component group with text in it. A name already joined stays as it is.
pub fn person_name(text: &str) -> String {
    let group = text.split('=').map(str::trim).find(|g| !g.trim_matches('^').is_empty()).unwrap_or("");
    if !group.contains('^') {
        return group.to_owned();
    }
    let mut parts = group.split('^').map(str::trim);
    let mut next = || parts.next().unwrap_or("");
    let (family, given, middle, prefix, suffix) = (next(), next(), next(), next(), next());
    let given = [prefix, given, middle].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ");
    [family, given.as_str(), suffix].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(", ")
}

/// A DICOM date as ISO 8601 ("2019-03-04"); what is no date stays as the file has it.
pub fn date(text: &str) -> String {
    match date_parts(text) {
        Some((year, month, day)) => format!("{year:04}-{month:02}-{day:02}"),
        None => text.trim().to_owned(),
    }
}

/// A DICOM time as "12:33" or "12:33:05"; what is no time stays as the file has it.
pub fn time(text: &str) -> String {
    let text = text.trim();
    let whole = text.split('.').next().unwrap_or("");
    let two = |from: usize| whole.get(from..from + 2);
    match (whole.len(), whole.bytes().all(|b| b.is_ascii_digit()), two(0), two(2), two(4)) {
        (4, true, Some(h), Some(m), _) => format!("{h}:{m}"),
        (6, true, Some(h), Some(m), Some(s)) => format!("{h}:{m}:{s}"),
        _ => text.to_owned(),
    }
}

/// When the study was made: "2019-03-04 12:33:05".
pub fn date_and_time(study: &StudyInfo) -> String {
    joined_by(" ", [date(&study.date), time(&study.time)])
}

/// "M, 54 y", as far as known.
pub fn sex_and_age(patient: &Patient, study: &StudyInfo, identity: Identity) -> String {
    joined_by(", ", [patient.sex.trim().to_owned(), age_text(patient, study, identity)])
}

/// The age at the study: as the file says it, else from birth and study date. With the identity hidden "over 89 y"
/// beyond 89, because a greater age can name a person.
pub fn age_text(patient: &Patient, study: &StudyInfo, identity: Identity) -> String {
    let years_text = |years: u32| match identity {
        Identity::Hidden if years > 89 => "over 89 y".to_owned(),
        _ => format!("{years} y"),
    };
    let stated = patient.age.trim();
    if let Some((count, unit)) = stated.split_at_checked(stated.len().saturating_sub(1))
        && let Ok(count) = count.trim().parse::<u32>()
    {
        return match unit {
            "Y" => years_text(count),
            "M" => format!("{count} months"),
            "W" => format!("{count} weeks"),
            "D" => format!("{count} days"),
            _ if identity == Identity::Hidden => String::new(),
            _ => stated.to_owned(),
        };
    }
    if !stated.is_empty() && identity == Identity::Shown {
        return stated.to_owned();
    }
    match (date_parts(&patient.birth_date), date_parts(&study.date)) {
        (Some(born), Some(at)) if at >= born => {
            let birthday_to_come = (at.1, at.2) < (born.1, born.2);
            years_text((at.0 - born.0).saturating_sub(u32::from(birthday_to_come)))
        }
        _ => String::new(),
    }
}

/// A length or setting without needless zeros: "0.75", "1", "120", at most three decimals.
pub fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Year, month, day of "YYYYMMDD" or the older "YYYY.MM.DD".
fn date_parts(text: &str) -> Option<(u32, u32, u32)> {
    let digits: String = text.trim().chars().filter(|c| *c != '.').collect();
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<u32>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    ((1..=12).contains(&month) && (1..=31).contains(&day) && year > 0).then_some((year, month, day))
}

fn prefixed(prefix: &str, text: &str) -> String {
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!("{prefix}{text}") }
}

fn lines<const N: usize>(all: [String; N]) -> Vec<String> {
    all.into_iter().filter(|l| !l.is_empty()).collect()
}

fn joined<const N: usize>(parts: [String; N]) -> String {
    joined_by("  ", parts)
}

fn joined_by<const N: usize>(separator: &str, parts: [String; N]) -> String {
    lines(parts).join(separator)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::geometry::PatientPoint;
    use crate::study::{Photometric, SliceInfo, Technique};

    /// One slice that says nothing of itself.
    pub(crate) fn bare() -> Series {
        Series {
            uid: String::new(),
            frame_of_reference: String::new(),
            study: Arc::default(),
            patient: Arc::default(),
            modality: String::new(),
            number: None,
            description: String::new(),
            rows: 4,
            columns: 4,
            spacing_mm: Some([1.0, 1.0]),
            slice_spacing_mm: None,
            slices: vec![SliceInfo {
                path: PathBuf::new(),
                packed: None,
                frame: None,
                file: String::new(),
                sop_instance_uid: String::new(),
                instance_number: None,
                pose: None,
            }],
            technique: Technique::default(),
            photometric: Photometric::Monochrome2,
            values_are_hu: true,
            is_localizer: false,
            part: None,
            file_windows: Vec::new(),
            file_window_names: Vec::new(),
            reformatted: None,
            warnings: Vec::new(),
        }
    }

    fn full() -> Series {
        let mut series = bare();
        series.patient = Arc::new(Patient {
            name: "Doe, Jane".into(),
            id: "4711".into(),
            birth_date: "19650502".into(),
            sex: "F".into(),
            age: "054Y".into(),
        });
        series.study = Arc::new(StudyInfo {
            description: "CT neck".into(),
            date: "20190304".into(),
            time: "123305.120".into(),
            institution: "General".into(),
            ..StudyInfo::default()
        });
        series.modality = "CT".into();
        series.number = Some(3);
        series.slice_spacing_mm = Some(0.4);
        series.technique.slice_thickness_mm = Some(0.625);
        series.technique.kvp = Some(120.0);
        series.technique.lossy = Some("JPEG 10:1".into());
        let pose = SlicePose {
            origin: PatientPoint(Vec3::new(0.0, 0.0, -175.04)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        series.slices.iter_mut().for_each(|s| s.pose = Some(pose));
        series
    }

    #[test]
    fn a_file_that_says_nothing_gets_no_lines() {
        let text = corner_text(&bare(), 0, &Window::BONE, 1.0, Identity::Shown);
        assert!(text.top_left.is_empty() && text.top_right.is_empty(), "{text:?}");
        assert_eq!(text.bottom_left, ["image 1/1"]);
        assert_eq!(text.letters, ["", "", "", ""]);
    }

    #[test]
    fn corners_carry_their_roles() {
        let text = corner_text(&full(), 0, &Window::BONE, 1.4, Identity::Shown);
        assert_eq!(
            text.top_left,
            ["Doe, Jane", "ID 4711  F, 54 y  born 1965-05-02", "CT neck", "2019-03-04 12:33:05", "General"]
        );
        assert_eq!(text.top_right, ["CT  series 3", "120 kV", "LOSSY SOURCE: JPEG 10:1"]);
        assert_eq!(text.bottom_left, ["image 1/1  z -175.0 mm", "0.625 mm thick, every 0.4 mm"]);
        assert_eq!(text.bottom_right, ["bone  W 1800 L 500", "zoom 1.40x"]);
        assert_eq!(text.letters, ["A", "L", "P", "R"]);
        assert_eq!(text.flipped(true, false).letters, ["A", "R", "P", "L"]);
    }

    #[test]
    fn hiding_leaves_only_sex_and_age() {
        let text = corner_text(&full(), 0, &Window::BONE, 1.0, Identity::Hidden);
        assert_eq!(text.top_left, ["identity hidden", "F, 54 y"]);
    }

    #[test]
    fn dates_times_names_and_ages_read_well_or_stay_as_they_are() {
        assert_eq!(date("20190304"), "2019-03-04");
        assert_eq!(date("2019.03.04"), "2019-03-04");
        assert_eq!(date("20191399"), "20191399");
        assert_eq!(date("soon"), "soon");
        assert_eq!(time("0915"), "09:15");
        assert_eq!(time("morning"), "morning");
        assert_eq!(time("\u{e9}\u{e9}\u{e9}"), "\u{e9}\u{e9}\u{e9}");
        assert_eq!(person_name("Doe^Jane^Q^Dr^III"), "Doe, Dr Jane Q, III");
        assert_eq!(person_name("=\u{5c71}\u{7530}^\u{592a}\u{90ce}"), "\u{5c71}\u{7530}, \u{592a}\u{90ce}");
        assert_eq!(person_name("Doe, Jane"), "Doe, Jane");
        assert_eq!(person_name("^^^^"), "");
        let aged = |age: &str, born: &str| {
            let patient = Patient { age: age.into(), birth_date: born.into(), ..Patient::default() };
            let study = StudyInfo { date: "20190304".into(), ..StudyInfo::default() };
            [Identity::Shown, Identity::Hidden].map(|identity| age_text(&patient, &study, identity))
        };
        assert_eq!(aged("", "19650502"), ["53 y"; 2]);
        assert_eq!(aged("095Y", ""), ["95 y", "over 89 y"]);
        assert_eq!(aged("007M", ""), ["7 months"; 2]);
        assert_eq!(aged("\u{e9}", ""), ["\u{e9}", ""]);
        assert_eq!(aged("", "20250101"), [""; 2]);
    }

    #[test]
    fn a_synthetic_study_says_so_also_when_hidden() {
        let mut series = bare();
        series.patient = Arc::new(Patient { name: "SYNTHETIC, Neck".into(), ..Patient::default() });
        let text = corner_text(&series, 0, &Window::BONE, 1.0, Identity::Hidden);
        assert_eq!(text.top_right, [SYNTHETIC_LINE]);
    }

    #[test]
    fn an_empty_tag_does_not_say_that_no_contrast_agent_was_given() {
        let with = |agent: &str| {
            let technique = Technique { contrast_agent: agent.into(), ..Technique::default() };
            contrast_given(&Series { technique, ..bare() })
        };
        assert_eq!([with(""), with("OMNIPAQUE 350"), with("None ")], [None, Some(true), Some(false)]);
        let patient = crate::study::Patient { name: "SYNTHETIC^ONE".into(), ..Default::default() };
        assert_eq!(contrast_given(&Series { patient: Arc::new(patient), ..bare() }), Some(false));
    }
}
