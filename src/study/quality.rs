//! What a series' header says for and against a score, before any voxel is looked at. Sentences for the reader.
//!
//! Text that scanners and archives write freely (body part, kernel) is weak evidence: it words a warning, never a stop.

use super::describe::{self, short};
use super::{Kind, Series};
use crate::geometry::SlicePose;

/// How much a finding about a series weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Looked at and in order, or merely worth knowing.
    Note,
    /// The score must be read with care.
    Warning,
    /// No score unless the reader asks for it all the same.
    Stop,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    pub weight: Weight,
    /// A word or two: "Spacing", "Kernel", "Left out".
    pub topic: &'static str,
    pub text: String,
}

/// Topic of the line on how the slices lie; a stop where they are not axial.
pub const ORDER: &str = "Order";
/// Topic of the line on which levels of the neck are covered.
pub const LEVELS: &str = "Levels";

impl Line {
    pub fn new(weight: Weight, topic: &'static str, text: impl Into<String>) -> Self {
        Self { weight, topic, text: text.into() }
    }
    pub fn note(topic: &'static str, text: impl Into<String>) -> Self {
        Self::new(Weight::Note, topic, text)
    }
    pub fn warning(topic: &'static str, text: impl Into<String>) -> Self {
        Self::new(Weight::Warning, topic, text)
    }
    pub fn stop(topic: &'static str, text: impl Into<String>) -> Self {
        Self::new(Weight::Stop, topic, text)
    }
}

/// Slices further apart than this miss much of a vertebra, mm.
const MAX_SLICE_SPACING_MM: f64 = 3.05;
/// Less than this is no cervical spine, mm ...
const MIN_COVERAGE_MM: f64 = 60.0;
/// ... nor are fewer slices.
const MIN_SLICES: usize = 40;
/// The largest tilt of what is still called axial, degrees.
pub const MAX_OFF_AXIAL_DEG: f64 = 20.0;
/// Slices thicker than this blur fine cracks, mm.
const MAX_THICKNESS_MM: f64 = 1.5;
/// Slices that are thinner than their distance by more than this leave something unseen between them.
const GAP_SHARE: f64 = 1.05;
/// Pixels that the models have seen, mm.
const PIXEL_MM: [f64; 2] = [0.2, 0.8];
/// A vertebra with its processes and some neck around it, mm.
const MIN_FIELD_MM: f64 = 110.0;
/// Growth plates of younger patients look like fractures, years.
const MIN_AGE_YEARS: f64 = 16.0;

/// Everything that the header tells, in the order in which one looks at a series.
pub fn of_header(series: &Series) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(kind(series));
    lines.extend(body_part(series));
    lines.extend(extent(series));
    lines.extend(direction(series));
    lines.extend(spacing(series));
    lines.extend(thickness(series));
    lines.extend(pixels(series));
    lines.extend(kernel(series));
    lines.extend(patient(series));
    lines
}

/// What was found when the files were grouped and ordered.
pub fn of_files(series: &Series, refused: usize) -> Vec<Line> {
    let mut lines: Vec<Line> =
        series.warnings.iter().map(|w| Line::warning(topic_of(w.kind), w.text.clone())).collect();
    if refused > 0 {
        let files = if refused == 1 { "1 file".to_owned() } else { format!("{refused} files") };
        lines.push(Line::warning(
            "Left out",
            format!("{files} under the opened path could not be used; each is listed with its reason"),
        ));
    }
    lines
}

fn topic_of(kind: Kind) -> &'static str {
    match kind {
        Kind::GantryTilt => "Tilt",
        Kind::IrregularSpacing => "Gaps",
        Kind::DuplicateSlices => "Duplicates",
        Kind::LocalizerExcluded | Kind::SlicesExcluded => "Left out",
        Kind::NoRescale | Kind::BadRescale | Kind::NotHu => "Values",
        Kind::NoSpacing => "Pixels",
        Kind::NoGeometry | Kind::BadGeometry => "Order",
        Kind::LossyCompression => "Compression",
        Kind::InconsistentSeries => "Series",
        Kind::Reformatted => "Reformatted",
        _ => "Files",
    }
}

fn kind(series: &Series) -> Vec<Line> {
    let mut lines = Vec::new();
    if series.is_localizer {
        lines.push(Line::stop("Series", "this is a localizer, not a stack of axial slices"));
    }
    if let Some(part) = &series.part {
        let text = format!(
            "{} of one series; a score is of this {} alone",
            part.words(),
            if part.is_phase { "phase" } else { "part" }
        );
        lines.push(Line::note("Series", text));
    }
    match series.analysis_stop() {
        Some(why) => lines.push(Line::stop("Values", why)),
        None => lines.push(Line::note("Values", format!("{}, Hounsfield units", series.modality))),
    }
    lines
}

/// Names that archives give to what holds a neck.
const NECK_WORDS: [&str; 4] = ["NECK", "CSPINE", "CERV", "SPINE"];

fn body_part(series: &Series) -> Option<Line> {
    let said = series.technique.body_part.trim();
    let letters: String = said.to_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
    if letters.is_empty() {
        return None;
    }
    let neck = NECK_WORDS.iter().any(|word| letters.contains(word));
    Some(match neck {
        true => Line::note("Body part", format!("the header says {said}")),
        false => Line::warning(
            "Body part",
            format!("the header says {said}, not the neck; such texts are often wrong, so it stops nothing by itself"),
        ),
    })
}

fn extent(series: &Series) -> Vec<Line> {
    let mut lines = Vec::new();
    let count = series.slices.len();
    if count < MIN_SLICES {
        lines.push(Line::stop(
            "Extent",
            format!("the series has {count} slices; a cervical spine needs at least {MIN_SLICES}"),
        ));
    }
    if let Some(spacing_mm) = series.slice_spacing_mm {
        let covered = spacing_mm * count as f64;
        if covered < MIN_COVERAGE_MM {
            lines.push(Line::stop("Extent", format!("the series covers {covered:.0} mm, less than a cervical spine")));
        } else {
            let ends = [series.slices.first(), series.slices.last()].map(|s| s.and_then(super::SliceInfo::z_mm));
            let range = match ends {
                [Some(first), Some(last)] => format!(", z {first:.1} to {last:.1} mm"),
                _ => String::new(),
            };
            lines.push(Line::note("Extent", format!("{count} slices over {covered:.0} mm{range}")));
        }
    }
    lines
}

/// How far the slices lean from axial, degrees; `None` where they have no position.
pub fn off_axial_deg(series: &Series) -> Option<f64> {
    series.slices.first().and_then(|slice| slice.pose).map(|pose| off_deg_of(&pose))
}

fn off_deg_of(pose: &SlicePose) -> f64 {
    pose.normal().z.abs().clamp(0.0, 1.0).acos().to_degrees()
}

fn direction(series: &Series) -> Option<Line> {
    let Some(pose) = series.slices.first().and_then(|slice| slice.pose) else {
        let text = "the slices have no position; the network expects axial slices from head to feet";
        return Some(Line::warning(ORDER, text));
    };
    let off_deg = off_deg_of(&pose);
    Some(if off_deg > MAX_OFF_AXIAL_DEG {
        let text = format!(
            "the slices are {off_deg:.0} degrees off axial, more than {MAX_OFF_AXIAL_DEG:.0}; the network reads axial \
             slices, which can be reformatted from these"
        );
        Line::stop(ORDER, text)
    } else {
        Line::note(ORDER, format!("axial within {off_deg:.0} degrees, head to feet by position"))
    })
}

fn spacing(series: &Series) -> Option<Line> {
    let spacing_mm = series.slice_spacing_mm?;
    // Slices that were interpolated between others show no more than those.
    let source = series.reformatted.as_ref();
    if let Some((of, mm)) =
        source.and_then(|of| Some((of, of.from_spacing_mm?))).filter(|(_, mm)| *mm > MAX_SLICE_SPACING_MM)
    {
        let text = format!(
            "the slices of {}, which these were reformatted from, lie {mm:.1} mm apart; a fracture may lie between them",
            of.from
        );
        return Some(Line::stop("Spacing", text));
    }
    Some(if spacing_mm > MAX_SLICE_SPACING_MM {
        Line::stop("Spacing", format!("the slices lie {spacing_mm:.1} mm apart; a fracture may lie between them"))
    } else {
        Line::note("Spacing", format!("a slice every {} mm", short(spacing_mm)))
    })
}

fn thickness(series: &Series) -> Vec<Line> {
    let (thickness_mm, every_mm) = match &series.reformatted {
        Some(source) => (source.from_thickness_mm, source.from_spacing_mm),
        None => (series.technique.slice_thickness_mm, series.slice_spacing_mm),
    };
    let Some(mm) = thickness_mm else {
        return vec![Line::note("Thickness", "the header does not say how thick the slices are")];
    };
    let mut lines = Vec::new();
    if mm > MAX_THICKNESS_MM {
        lines.push(Line::warning(
            "Thickness",
            format!(
                "slices of {} mm blur fine fracture lines; thin slices up to {MAX_THICKNESS_MM} mm are better",
                short(mm)
            ),
        ));
    }
    if let Some(spacing_mm) = every_mm.filter(|spacing| mm > 0.0 && *spacing > mm * GAP_SHARE) {
        lines.push(Line::warning(
            "Gaps",
            format!(
                "slices are {} mm thick every {} mm: what lies between them was not imaged",
                short(mm),
                short(spacing_mm)
            ),
        ));
    }
    if lines.is_empty() {
        lines.push(Line::note("Thickness", format!("{} mm", short(mm))));
    }
    lines
}

fn pixels(series: &Series) -> Vec<Line> {
    let Some([row, column]) = series.spacing_mm else { return Vec::new() };
    let mut lines = Vec::new();
    if [row, column].iter().any(|mm| !(PIXEL_MM[0]..=PIXEL_MM[1]).contains(mm)) {
        let [low, high] = PIXEL_MM;
        let text = format!("pixels of {row:.2} x {column:.2} mm lie outside the usual {low} to {high} mm");
        lines.push(Line::warning("Pixels", text));
    } else {
        lines.push(Line::note("Pixels", format!("{} x {} mm", short(row), short(column))));
    }
    let (wide, high) = (column * series.columns as f64, row * series.rows as f64);
    let text = format!("{wide:.0} x {high:.0} mm");
    lines.push(if wide.min(high) < MIN_FIELD_MM {
        Line::warning("Field of view", format!("{text}: parts of the vertebrae or of the neck may be cut off"))
    } else {
        Line::note("Field of view", text)
    });
    lines
}

fn kernel(series: &Series) -> Option<Line> {
    let kernel = series.technique.kernel.trim();
    Some(match (kernel.is_empty(), kernel_is_soft(kernel)) {
        (true, _) => Line::note("Kernel", "the header does not name the kernel"),
        (false, Some(true)) => Line::warning(
            "Kernel",
            format!("{kernel} is a soft kernel; fine fracture lines are seen better with one for bone"),
        ),
        (false, Some(false)) => Line::note("Kernel", format!("{kernel}, a sharp one")),
        (false, None) => Line::note("Kernel", format!("{kernel}; this program does not know how sharp it is")),
    })
}

/// Whether the header names a soft kernel; `None` where it names none, or one that this program does not know.
pub fn kernel_known(series: &Series) -> Option<bool> {
    kernel_is_soft(series.technique.kernel.trim())
}

/// By the names that the large vendors give; `None` for others.
fn kernel_is_soft(kernel: &str) -> Option<bool> {
    let name = kernel.to_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["BONE", "EDGE", "LUNG", "SHARP", "ULTRA", "HEAD BONE"]) {
        return Some(false);
    }
    if has(&["STANDARD", "SOFT", "SMOOTH", "DETAIL"]) {
        return Some(true);
    }
    let number: String = name.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let number: u32 = number.parse().ok()?;
    let letters: String = name.chars().take_while(|c| !c.is_ascii_digit()).filter(char::is_ascii_alphabetic).collect();
    match letters.as_str() {
        // B30f, H40s, Br59d, I70f, Hr64: 10 is the softest, 80 the sharpest.
        "B" | "H" | "I" | "U" | "T" | "BR" | "HR" | "BF" | "HF" | "BL" | "QR" | "J" => Some(number < 50),
        // FC01 to FC29 are for soft tissue, FC30 and on for bone and lung.
        "FC" => Some(number < 30),
        _ => None,
    }
}

fn patient(series: &Series) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(years) = age_years(&series.patient.age).filter(|years| *years < MIN_AGE_YEARS) {
        let text = format!("the patient is {years:.0} years old; open growth plates look like fractures to a network");
        lines.push(Line::warning("Age", text));
    }
    if describe::contrast_given(series) == Some(true) {
        let text = "the series was taken with contrast agent; networks of this kind change their scores with it";
        lines.push(Line::warning("Contrast", text));
    }
    lines
}

/// DICOM's age string (PS3.5 6.2: "045Y", "006M", "012W", "003D"), years.
fn age_years(age: &str) -> Option<f64> {
    let text = age.trim();
    let number: f64 = text.get(..text.len().checked_sub(1)?)?.trim().parse().ok()?;
    match text.chars().last()? {
        'Y' => Some(number),
        'M' => Some(number / 12.0),
        'W' => Some(number / 52.18),
        'D' => Some(number / 365.25),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{DEMO_SEED, demo_study};

    fn demo() -> Series {
        (*demo_study(DEMO_SEED).series).clone()
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Series), weight: Weight, expected: &str) {
        let mut series = demo();
        change(&mut series);
        let lines = of_header(&series);
        let found = lines.iter().find(|line| line.text.contains(expected));
        assert_eq!(found.map(|line| line.weight), Some(weight), "{expected}: {lines:#?}");
    }

    #[test]
    fn the_demo_is_fit_and_says_that_its_slices_do_not_touch() {
        let lines = of_header(&demo());
        let remarks: Vec<&str> = lines.iter().filter(|l| l.weight > Weight::Note).map(|l| l.text.as_str()).collect();
        assert_eq!(remarks, ["slices are 1 mm thick every 2 mm: what lies between them was not imaged"]);
        assert!(lines.len() >= 8);
    }

    #[test]
    fn what_is_no_neck_is_stopped_with_the_value() {
        check(|s| s.is_localizer = true, Weight::Stop, "localizer");
        check(|s| s.values_are_hu = false, Weight::Stop, "not Hounsfield units");
        check(|s| s.slices.truncate(39), Weight::Stop, "39 slices");
        check(|s| s.slice_spacing_mm = Some(3.1), Weight::Stop, "3.1 mm apart");
        check(|s| s.slice_spacing_mm = Some(0.7), Weight::Stop, "less than a cervical spine");
        let tilt = |s: &mut Series| {
            for pose in s.slices.iter_mut().filter_map(|slice| slice.pose.as_mut()) {
                pose.along_column = pose.along_column * 0.9 + pose.normal() * 0.4359;
            }
        };
        check(tilt, Weight::Stop, "26 degrees off axial");
    }

    #[test]
    fn what_asks_for_care_is_a_warning_with_the_value() {
        check(|s| s.technique.slice_thickness_mm = Some(2.5), Weight::Warning, "slices of 2.5 mm blur");
        check(
            |s| (s.technique.slice_thickness_mm, s.slice_spacing_mm) = (Some(1.0), Some(2.0)),
            Weight::Warning,
            "1 mm thick every 2 mm",
        );
        check(|s| s.spacing_mm = Some([0.9, 0.9]), Weight::Warning, "0.90 x 0.90 mm");
        check(|s| s.spacing_mm = Some([0.2, 0.2]), Weight::Warning, "may be cut off");
        check(|s| s.technique.kernel = "STANDARD".into(), Weight::Warning, "STANDARD is a soft kernel");
        check(|s| s.technique.body_part = "ABDOMEN".into(), Weight::Warning, "the header says ABDOMEN");
        check(
            |s| s.patient = std::sync::Arc::new(crate::study::Patient { age: "007Y".into(), ..Default::default() }),
            Weight::Warning,
            "7 years old",
        );
        check(|s| s.technique.contrast_agent = "Iohexol".into(), Weight::Warning, "contrast agent");
        check(|s| s.slices.iter_mut().for_each(|slice| slice.pose = None), Weight::Warning, "no position");
        check(|s| s.technique.slice_thickness_mm = None, Weight::Note, "does not say how thick");
    }

    #[test]
    fn kernels_of_the_large_vendors_are_known_and_others_are_not_guessed() {
        let soft = ["B30f", "H31s", "Br36d", "STANDARD", "FC08", "SOFT"];
        let sharp = ["B60s", "Br64f", "BONEPLUS", "EDGE", "FC30", "I70f\\\\3", "LUNG"];
        assert_eq!(soft.map(kernel_is_soft), [Some(true); 6]);
        assert_eq!(sharp.map(kernel_is_soft), [Some(false); 7]);
        assert_eq!(["YC", "", "Q", "UB"].map(kernel_is_soft), [None; 4]);
    }

    #[test]
    fn ages_are_read_in_all_units() {
        assert_eq!(["045Y", "006M", "", "abcY", "Y"].map(age_years), [Some(45.0), Some(0.5), None, None, None]);
    }
}
