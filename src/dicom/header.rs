//! What a file says of itself besides its pixels: patient, study, series, place in space.

use dicom_core::Tag;

use super::Problem;
use super::dataset::{DataSet, Numbers};
use super::picture::{self, MODALITY, Picture, Rescale};
use super::text;
use crate::geometry::{PatientPoint, SlicePose, Vec3};
use crate::study::{Patient, StudyInfo, Technique};
use crate::volume::{VoiFunction, Window};

const IMAGE_TYPE: Tag = Tag(0x0008, 0x0008);
const SOP_INSTANCE: Tag = Tag(0x0008, 0x0018);
const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
const STUDY_TIME: Tag = Tag(0x0008, 0x0030);
const ACCESSION: Tag = Tag(0x0008, 0x0050);
const ACQUISITION_DATE_TIME: Tag = Tag(0x0008, 0x002A);
const ACQUISITION_TIME: Tag = Tag(0x0008, 0x0032);
const CONTENT_TIME: Tag = Tag(0x0008, 0x0033);
const MANUFACTURER: Tag = Tag(0x0008, 0x0070);
const INSTITUTION: Tag = Tag(0x0008, 0x0080);
const STUDY_DESCRIPTION: Tag = Tag(0x0008, 0x1030);
const SERIES_DESCRIPTION: Tag = Tag(0x0008, 0x103E);
const MODEL: Tag = Tag(0x0008, 0x1090);
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const BIRTH_DATE: Tag = Tag(0x0010, 0x0030);
const SEX: Tag = Tag(0x0010, 0x0040);
const AGE: Tag = Tag(0x0010, 0x1010);
const CONTRAST: Tag = Tag(0x0018, 0x0010);
const BODY_PART: Tag = Tag(0x0018, 0x0015);
const THICKNESS: Tag = Tag(0x0018, 0x0050);
const KVP: Tag = Tag(0x0018, 0x0060);
const TRIGGER_TIME_MS: Tag = Tag(0x0018, 0x1060);
const TILT: Tag = Tag(0x0018, 0x1120);
const EXPOSURE_TIME_MS: Tag = Tag(0x0018, 0x1150);
const TUBE_CURRENT_MA: Tag = Tag(0x0018, 0x1151);
const EXPOSURE_MAS: Tag = Tag(0x0018, 0x1152);
const EXPOSURE_UAS: Tag = Tag(0x0018, 0x1153);
const KERNEL: Tag = Tag(0x0018, 0x1210);
const PATIENT_POSITION: Tag = Tag(0x0018, 0x5100);
const STUDY: Tag = Tag(0x0020, 0x000D);
const SERIES: Tag = Tag(0x0020, 0x000E);
const SERIES_NUMBER: Tag = Tag(0x0020, 0x0011);
const ACQUISITION_NUMBER: Tag = Tag(0x0020, 0x0012);
const INSTANCE_NUMBER: Tag = Tag(0x0020, 0x0013);
const POSITION: Tag = Tag(0x0020, 0x0032);
const ORIENTATION: Tag = Tag(0x0020, 0x0037);
const FRAME_OF_REFERENCE: Tag = Tag(0x0020, 0x0052);
const TEMPORAL_IDENTIFIER: Tag = Tag(0x0020, 0x0100);
const TEMPORAL_INDEX: Tag = Tag(0x0020, 0x9128);
const CARDIAC_PERCENT: Tag = Tag(0x0020, 0x9241);
const PIXEL_SPACING: Tag = Tag(0x0028, 0x0030);
const WINDOW_CENTER: Tag = Tag(0x0028, 0x1050);
const WINDOW_WIDTH: Tag = Tag(0x0028, 0x1051);
const RESCALE_TYPE: Tag = Tag(0x0028, 0x1054);
const WINDOW_EXPLANATION: Tag = Tag(0x0028, 0x1055);
const VOI_FUNCTION: Tag = Tag(0x0028, 0x1056);
pub(super) const LOSSY: Tag = Tag(0x0028, 0x2110);
pub(super) const LOSSY_RATIO: Tag = Tag(0x0028, 0x2112);
pub(super) const LOSSY_METHOD: Tag = Tag(0x0028, 0x2114);

const TEXTS: [Tag; 41] = [
    ACQUISITION_DATE_TIME,
    ACQUISITION_TIME,
    CONTENT_TIME,
    TRIGGER_TIME_MS,
    TEMPORAL_IDENTIFIER,
    TEMPORAL_INDEX,
    CARDIAC_PERCENT,
    IMAGE_TYPE,
    SOP_INSTANCE,
    STUDY_DATE,
    STUDY_TIME,
    ACCESSION,
    MANUFACTURER,
    INSTITUTION,
    STUDY_DESCRIPTION,
    SERIES_DESCRIPTION,
    MODEL,
    PATIENT_NAME,
    PATIENT_ID,
    BIRTH_DATE,
    SEX,
    AGE,
    CONTRAST,
    BODY_PART,
    THICKNESS,
    KVP,
    TILT,
    EXPOSURE_TIME_MS,
    TUBE_CURRENT_MA,
    EXPOSURE_MAS,
    EXPOSURE_UAS,
    KERNEL,
    PATIENT_POSITION,
    STUDY,
    SERIES,
    SERIES_NUMBER,
    ACQUISITION_NUMBER,
    INSTANCE_NUMBER,
    POSITION,
    ORIENTATION,
    FRAME_OF_REFERENCE,
];

/// Is the tag read by [`Header::read`] or [`Picture::read`].
pub(super) fn is_wanted(tag: Tag) -> bool {
    picture::is_wanted(tag) || TEXTS.contains(&tag)
}

/// A geometric attribute: there, not there, or there and not to be believed (with what it says).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stated<T> {
    Is(T),
    Absent,
    Bad(String),
}

impl<T: Copy> Stated<T> {
    pub(super) fn get(&self) -> Option<T> {
        match self {
            Self::Is(value) => Some(*value),
            Self::Absent | Self::Bad(_) => None,
        }
    }
}

/// What makes values of a CT no Hounsfield units.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Units {
    Hu,
    /// The modality has none.
    Other,
    NoRescale,
    BadRescale(String),
    /// RescaleType says so.
    Stated(String),
    /// A projection.
    Localizer,
}

/// When a picture was taken, for telling phases apart; empty where the file does not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Moment {
    pub temporal_index: Option<i64>,
    pub temporal_identifier: Option<i64>,
    /// Seconds of the day.
    pub acquired_s: Option<f64>,
    pub content_s: Option<f64>,
    /// Behind the R wave.
    pub trigger_ms: Option<f64>,
    pub cardiac_percent: Option<f64>,
    /// Values of a frame's dimensions that do not say where it lies.
    pub dimensions: String,
}

impl Moment {
    fn read(data: &DataSet) -> Self {
        let finite = |tag| data.decimal(tag).filter(|v| v.is_finite());
        let acquired = seconds_of(&data.plain(ACQUISITION_TIME));
        let with_date = || data.plain(ACQUISITION_DATE_TIME).get(8..).and_then(seconds_of);
        Self {
            temporal_index: data.integer(TEMPORAL_INDEX),
            temporal_identifier: data.integer_text(TEMPORAL_IDENTIFIER),
            acquired_s: acquired.or_else(with_date),
            content_s: seconds_of(&data.plain(CONTENT_TIME)),
            trigger_ms: finite(TRIGGER_TIME_MS),
            cardiac_percent: finite(CARDIAC_PERCENT),
            dimensions: String::new(),
        }
    }
}

/// Seconds of the day of a time "HHMMSS.FFFFFF" (TM, PS3.5 6.2), which may be cut short; what follows it is ignored.
pub(super) fn seconds_of(time: &str) -> Option<f64> {
    let two = |from: usize| time.get(from..from + 2)?.parse::<u32>().ok().filter(|n| *n < 61);
    let (hours, minutes) = (two(0).filter(|hours| *hours < 24)?, two(2)?);
    let digits: String = time.get(4..)?.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let seconds = if digits.is_empty() { 0.0 } else { digits.parse::<f64>().ok().filter(|s| *s < 61.0)? };
    Some(f64::from(hours * 3600 + minutes * 60) + seconds)
}

/// One file of a series.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub sop_instance: String,
    pub study: StudyInfo,
    pub patient: Patient,
    pub series: String,
    pub series_number: Option<i64>,
    pub series_description: String,
    pub modality: String,
    pub image_type: String,
    pub acquisition_number: Option<i64>,
    pub instance_number: Option<i64>,
    pub moment: Moment,
    pub frame_of_reference: String,
    pub pose: Stated<SlicePose>,
    pub spacing_mm: Stated<[f64; 2]>,
    pub technique: Technique,
    /// With what the file calls them.
    pub windows: Vec<(Window, String)>,
    /// There are tables beside them.
    pub has_voi_luts: bool,
    pub units: Units,
    pub is_localizer: bool,
    /// Text whose bytes did not fit the stated character set.
    pub doubtful_text: bool,
    pub mended: Option<&'static str>,
}

impl Header {
    pub(super) fn read(data: &DataSet, picture: &Picture) -> Self {
        let mut doubtful = false;
        let modality = data.plain(MODALITY);
        let image_type = data.plain(IMAGE_TYPE).to_ascii_uppercase();
        let is_localizer = image_type.split('\\').any(|v| matches!(v.trim(), "LOCALIZER" | "SCOUT" | "TOPOGRAM"));
        let units = units(data, &modality, &picture.rescale, is_localizer);
        Self {
            sop_instance: data.plain(SOP_INSTANCE),
            study: StudyInfo {
                uid: data.plain(STUDY),
                description: data.text(STUDY_DESCRIPTION, &mut doubtful),
                date: data.plain(STUDY_DATE),
                time: data.plain(STUDY_TIME),
                accession: data.text(ACCESSION, &mut doubtful),
                institution: data.text(INSTITUTION, &mut doubtful),
            },
            patient: Patient {
                name: text::person(&data.text(PATIENT_NAME, &mut doubtful)),
                id: data.text(PATIENT_ID, &mut doubtful),
                birth_date: data.plain(BIRTH_DATE),
                sex: data.plain(SEX),
                age: data.plain(AGE),
            },
            series: data.plain(SERIES),
            series_number: data.integer_text(SERIES_NUMBER),
            series_description: data.text(SERIES_DESCRIPTION, &mut doubtful),
            modality,
            image_type,
            acquisition_number: data.integer_text(ACQUISITION_NUMBER),
            instance_number: data.integer_text(INSTANCE_NUMBER),
            moment: Moment::read(data),
            frame_of_reference: data.plain(FRAME_OF_REFERENCE),
            pose: pose(data),
            spacing_mm: spacing(data),
            technique: technique(data, picture, &mut doubtful),
            windows: windows(data, &mut doubtful),
            has_voi_luts: data.sequence(super::elements::VOI_LUTS).is_some(),
            units,
            is_localizer,
            doubtful_text: doubtful,
            mended: data.mended,
        }
    }

    /// Cross sections that are stacked; everything else is a picture of its own.
    pub(super) fn is_cross_section(&self) -> bool {
        matches!(self.modality.as_str(), "CT" | "MR" | "PT" | "NM")
    }
}

/// Reads what precedes the pixels of one data set.
pub(super) fn read(data: &DataSet, source: &mut super::source::Source) -> Result<(Header, Picture), Problem> {
    let picture = Picture::read(data, source)?;
    Ok((Header::read(data, &picture), picture))
}

fn units(data: &DataSet, modality: &str, rescale: &Rescale, is_localizer: bool) -> Units {
    let stated = data.plain(RESCALE_TYPE).to_ascii_uppercase();
    match (modality, rescale) {
        (_, Rescale::Unreadable(said)) => Units::BadRescale(said.clone()),
        ("CT", Rescale::Absent) => Units::NoRescale,
        ("CT", Rescale::Linear { .. }) if is_localizer => Units::Localizer,
        ("CT", Rescale::Linear { .. }) if matches!(stated.as_str(), "" | "HU") => Units::Hu,
        ("CT", Rescale::Linear { .. }) => Units::Stated(stated),
        _ => Units::Other,
    }
}

fn vector(numbers: &[f64]) -> Option<Vec3> {
    match numbers {
        [x, y, z] => Some(Vec3::new(*x, *y, *z)),
        _ => None,
    }
}

/// ImagePositionPatient and ImageOrientationPatient (PS3.3 C.7.6.2.1.1).
fn pose(data: &DataSet) -> Stated<SlicePose> {
    let said = || {
        format!(
            "ImagePositionPatient \"{}\", ImageOrientationPatient \"{}\"",
            data.plain(POSITION),
            data.plain(ORIENTATION)
        )
    };
    let (position, orientation): (Numbers, Numbers) = match (data.decimals(POSITION), data.decimals(ORIENTATION)) {
        (None, None) => return Stated::Absent,
        (Some(position), Some(orientation)) => (position, orientation),
        _ => return Stated::Bad(said()),
    };
    let checked = || -> Option<SlicePose> {
        let origin = vector(&position.ok()?).filter(|p| p.is_finite() && p.length() < 1e6)?;
        let six = orientation.ok()?;
        let (row, column) = (vector(six.get(..3)?)?, vector(six.get(3..)?)?);
        // Written with few digits, so near enough; far from it means something else was written there.
        let unit = |v: Vec3| (v.length() - 1.0).abs() < 0.02;
        if !unit(row) || !unit(column) || row.dot(column).abs() > 0.02 {
            return None;
        }
        Some(SlicePose {
            origin: PatientPoint(origin),
            along_row: row.normalized()?,
            along_column: column.normalized()?,
        })
    };
    checked().map_or_else(|| Stated::Bad(said()), Stated::Is)
}

/// PixelSpacing, between rows first (PS3.3 10.7.1.3). ImagerPixelSpacing is at the detector and never used as millimetres.
fn spacing(data: &DataSet) -> Stated<[f64; 2]> {
    // Between a thousandth of a millimetre and 10 cm per pixel.
    let believable = |v: &f64| (1e-3..=100.0).contains(v);
    match data.decimals(PIXEL_SPACING) {
        None => Stated::Absent,
        Some(Ok(numbers)) => match numbers.as_slice() {
            [rows, columns] if believable(rows) && believable(columns) => Stated::Is([*rows, *columns]),
            _ => Stated::Bad(data.plain(PIXEL_SPACING)),
        },
        Some(Err(said)) => Stated::Bad(said),
    }
}

fn technique(data: &DataSet, picture: &Picture, doubtful: &mut bool) -> Technique {
    let positive = |tag| data.decimal(tag).filter(|v| *v > 0.0);
    let product = || Some(positive(TUBE_CURRENT_MA)? * positive(EXPOSURE_TIME_MS)? / 1000.0);
    let manufacturer = [data.text(MANUFACTURER, doubtful), data.text(MODEL, doubtful)];
    let manufacturer = manufacturer.iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join(" ");
    Technique {
        manufacturer,
        kernel: data.text(KERNEL, doubtful).replace('\\', ", "),
        kvp: positive(KVP),
        mas: positive(EXPOSURE_MAS).or_else(|| positive(EXPOSURE_UAS).map(|v| v / 1000.0)).or_else(product),
        slice_thickness_mm: positive(THICKNESS),
        gantry_tilt_deg: data.decimal(TILT).filter(|v| v.abs() < 90.0),
        contrast_agent: data.text(CONTRAST, doubtful),
        body_part: data.plain(BODY_PART),
        patient_position: data.plain(PATIENT_POSITION),
        lossy: lossy(
            &data.plain(LOSSY),
            &data.plain(LOSSY_METHOD),
            data.decimals(LOSSY_RATIO).and_then(Result::ok).and_then(|r| r.last().copied()),
            picture,
        ),
    }
}

/// LossyImageCompression (PS3.3 C.7.6.1.1.5) or a syntax that says so; JPEG 2000 can be either.
pub(super) fn lossy(flag: &str, method: &str, ratio: Option<f64>, picture: &Picture) -> Option<String> {
    let either = matches!(picture.syntax.uid, "1.2.840.10008.1.2.4.91" | "1.2.840.10008.1.2.4.203");
    if flag != "01" && !picture.syntax.lossy && !(either && flag != "00") {
        return None;
    }
    let method = method.replace('\\', ", ");
    let ratio = ratio.filter(|ratio| *ratio >= 1.0);
    let name = match (method.is_empty(), picture.syntax.is_encapsulated()) {
        (false, _) => method,
        (true, true) => picture.syntax.name.to_owned(),
        (true, false) => "method not stated".to_owned(),
    };
    Some(match ratio {
        Some(ratio) => format!("{name}, {ratio:.1}:1"),
        None => name,
    })
}

/// The windows that the file offers (PS3.3 C.11.2.1.2), those that can be used.
fn windows(data: &DataSet, doubtful: &mut bool) -> Vec<(Window, String)> {
    let (Some(Ok(centers)), Some(Ok(widths))) = (data.decimals(WINDOW_CENTER), data.decimals(WINDOW_WIDTH)) else {
        return Vec::new();
    };
    let function = match data.plain(VOI_FUNCTION).to_ascii_uppercase().as_str() {
        "LINEAR_EXACT" => VoiFunction::LinearExact,
        "SIGMOID" => VoiFunction::Sigmoid,
        _ => VoiFunction::Linear,
    };
    let said = data.text(WINDOW_EXPLANATION, doubtful);
    let names = said.split('\\').map(|name| name.trim().to_owned()).chain(std::iter::repeat(String::new()));
    let pairs = centers.into_iter().zip(widths).zip(names);
    let windows = pairs.map(|((center, width), name)| (Window { center, width, function, table: None }, name));
    windows.filter(|(window, _)| window.is_valid()).take(16).collect()
}
