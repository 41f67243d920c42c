//! What a study and its series say of themselves. Plain data, filled by `dicom` (or `phantom`), read by everybody.
//!
//! All text here has had control characters replaced already and may be shown as it is; it may still name a
//! patient, so it is never logged and never used as a path.

pub mod attributes;
pub mod describe;
pub mod mask;
pub mod password;
pub mod plane_text;
pub mod quality;
mod reformat;

use std::path::PathBuf;
use std::sync::Arc;

use self::password::Lock;
pub use reformat::{ReformatError, Reformatted, to_axial};

use crate::geometry::{SlicePose, StackError, StackGeometry};
use crate::volume::{Stack, Volume, Window};

/// Why a file or series was refused, or what about it the reader must keep in mind.
/// The kebab-case names are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    // refusals
    NotDicom,
    Truncated,
    Corrupt,
    NoPixelData,
    BadDimensions,
    UnsupportedTransferSyntax,
    UnsupportedBitDepth,
    UnsupportedPhotometric,
    UnsupportedModality,
    UnsupportedSopClass,
    InconsistentSeries,
    BadGeometry,
    Unreadable,
    /// In a zip archive, or one where a picture was expected: see `dicom::scan`.
    NestedArchive,
    ArchiveLimit,
    Encrypted,
    UnsupportedCompression,
    // warnings
    GantryTilt,
    IrregularSpacing,
    DuplicateSlices,
    NoRescale,
    BadRescale,
    NoSpacing,
    NoGeometry,
    NotHu,
    PhotometricAssumed,
    ExcessPixelData,
    LossyCompression,
    LocalizerExcluded,
    SlicesExcluded,
    MissingUid,
    RecoveredFile,
    DoubtfulText,
    /// Made here from another series.
    Reformatted,
    VoiLut,
}

impl Kind {
    /// The kebab-case name used in JSON.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// A warning that stays visible with its series. `text` says what happened, what was kept, what to do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    pub kind: Kind,
    pub text: String,
}

/// A file that could not be used. `file` is relative to the opened path.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    pub file: String,
    pub kind: Kind,
    pub text: String,
}

/// Who the study says it is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patient {
    /// Family^Given components joined for reading ("Family, Given").
    pub name: String,
    pub id: String,
    /// YYYYMMDD as in the file.
    pub birth_date: String,
    pub sex: String,
    /// As in the file, e.g. "054Y".
    pub age: String,
}

/// The examination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StudyInfo {
    pub uid: String,
    pub description: String,
    /// YYYYMMDD.
    pub date: String,
    /// HHMMSS as in the file.
    pub time: String,
    pub accession: String,
    pub institution: String,
}

/// How the series was acquired, as far as the header says; `None` or empty where it does not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Technique {
    pub manufacturer: String,
    pub kernel: String,
    pub kvp: Option<f64>,
    pub mas: Option<f64>,
    pub slice_thickness_mm: Option<f64>,
    pub gantry_tilt_deg: Option<f64>,
    pub contrast_agent: String,
    pub body_part: String,
    pub patient_position: String,
    /// "lossy JPEG 10:1" or the like when the source says it was compressed lossily at any time.
    pub lossy: Option<String>,
}

/// Grey picture polarity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Photometric {
    /// Low values are white; shown inverted, HU unchanged.
    Monochrome1,
    #[default]
    Monochrome2,
}

/// Where the bytes of one file lie in a zip archive, as the archive's directory says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Packed {
    /// Offset of the first packed byte in the archive.
    pub start: u64,
    pub packed_bytes: u64,
    pub bytes: u64,
    pub crc32: u32,
    /// Else stored as it is.
    pub deflated: bool,
    /// It is encrypted.
    pub lock: Option<Lock>,
}

/// An archive some files of which are encrypted and were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedArchive {
    pub path: PathBuf,
    /// What people see.
    pub name: String,
    pub files: usize,
    /// There was a password, which opened none of them.
    pub tried: bool,
}

/// One picture of a series, in display order.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceInfo {
    /// Where the pixels are: the file, or the archive that holds it; empty for a built-in study.
    pub path: PathBuf,
    /// Where in the archive; `None` for a file of its own.
    pub packed: Option<Packed>,
    /// Frame of a multi-frame object, 0-based; `None` where the file is one picture.
    pub frame: Option<usize>,
    /// `path` relative to what was opened, or the archive's name and the name in it; with `/` between parts. What people
    /// and JSON see, never a path.
    pub file: String,
    pub sop_instance_uid: String,
    pub instance_number: Option<i64>,
    pub pose: Option<SlicePose>,
}

impl SliceInfo {
    /// z of the slice's first pixel in LPS, mm.
    pub fn z_mm(&self) -> Option<f64> {
        self.pose.map(|p| p.origin.0.z)
    }
}

/// Which of several stacks with one SeriesInstanceUID one is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// From 1.
    pub number: usize,
    pub of: usize,
    /// Of time, contrast or the heart; else another reconstruction or the like.
    pub is_phase: bool,
    /// What differs, in words: "acquisition 4, +12.5 s".
    pub by: String,
}

impl Part {
    /// "phase 2 of 3".
    pub fn short(&self) -> String {
        format!("{} {} of {}", if self.is_phase { "phase" } else { "part" }, self.number, self.of)
    }
    /// "phase 2 of 3: acquisition 4, +12.5 s".
    pub fn words(&self) -> String {
        if self.by.is_empty() { self.short() } else { format!("{}: {}", self.short(), self.by) }
    }
}

/// One stack of pictures that belong together: same series, orientation, size, spacing, phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub uid: String,
    /// FrameOfReferenceUID; empty where the file gives none.
    pub frame_of_reference: String,
    pub study: Arc<StudyInfo>,
    pub patient: Arc<Patient>,
    pub modality: String,
    pub number: Option<i64>,
    pub description: String,
    pub rows: usize,
    pub columns: usize,
    /// `[between rows, between columns]`, `None` where the file gives none that can be believed.
    pub spacing_mm: Option<[f64; 2]>,
    /// Median distance of neighbouring slices along the normal; `None` for a single slice or without geometry.
    pub slice_spacing_mm: Option<f64>,
    /// Display order.
    pub slices: Vec<SliceInfo>,
    pub technique: Technique,
    pub photometric: Photometric,
    /// Values are Hounsfield units: a CT with a rescale that can be believed.
    pub values_are_hu: bool,
    pub is_localizer: bool,
    /// Where its SeriesInstanceUID holds several stacks that some attribute tells apart.
    pub part: Option<Part>,
    /// Windows the file offers, then its tables (VOI LUT), from the middle slice.
    pub file_windows: Vec<Window>,
    /// What the file calls them, in the same order; empty where it does not say.
    pub file_window_names: Vec<String>,
    pub warnings: Vec<Warning>,
    /// Made here from another series; `None` for what files hold and for built-in studies.
    pub reformatted: Option<Reformatted>,
}

impl Series {
    pub fn is_axial(&self) -> bool {
        self.slices.first().and_then(|s| s.pose).is_some_and(|p| p.is_axial())
    }
    /// Display order runs opposite to the slice normal (head to feet on a normal that points to the head).
    pub fn display_descends_along_normal(&self) -> bool {
        let along = |s: &SliceInfo| s.pose.map(|p| p.position_along_normal_mm());
        match (self.slices.first().and_then(along), self.slices.last().and_then(along)) {
            (Some(first), Some(last)) => first > last,
            _ => false,
        }
    }
    /// Positions of the slices along the first one's normal, mm; no number where a slice has no pose.
    pub fn position_mm(&self) -> Vec<f64> {
        let normal = self.slices.iter().find_map(|slice| slice.pose).map(|pose| pose.normal());
        let along = |slice: &SliceInfo| Some(slice.pose?.origin.0.dot(normal?));
        self.slices.iter().map(|slice| along(slice).unwrap_or(f64::NAN)).collect()
    }
    /// Where the voxels lie, each slice at its own position; why not, where planes cannot be cut.
    pub fn stack_geometry(&self) -> Result<StackGeometry, StackError> {
        let poses: Vec<Option<SlicePose>> = self.slices.iter().map(|slice| slice.pose).collect();
        StackGeometry::new(&poses, self.spacing_mm, self.rows, self.columns)
    }
    /// Why no score may be computed from this series, in words; `None` when nothing stands against it.
    /// These are the two hard stops of the program; everything milder is a warning.
    pub fn analysis_stop(&self) -> Option<String> {
        if !self.values_are_hu {
            return Some(
                "not applicable: the values of this series are not Hounsfield units, and the network reads HU only"
                    .to_owned(),
            );
        }
        if self.spacing_mm.is_none() {
            return Some(
                "not applicable: the pixel spacing of this series is unknown, and the network needs millimetres"
                    .to_owned(),
            );
        }
        None
    }
}

/// Everything found under the opened path, likeliest series first by [`Catalog::likeliest`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    pub series: Vec<Series>,
    pub refused: Vec<Refused>,
    /// Files that are no images and no errors either (DICOMDIR and the like), counted.
    pub ignored: usize,
    /// Archives that ask for a password; their encrypted files are in `refused` too.
    pub locked: Vec<LockedArchive>,
}

impl Catalog {
    /// Series by study, in their order. Without a study UID the folder of the first slice tells studies apart.
    pub fn studies(&self) -> Vec<Vec<usize>> {
        let mut keys: Vec<(&str, &str, &str, Option<&std::path::Path>)> = Vec::new();
        let mut studies: Vec<Vec<usize>> = Vec::new();
        for (index, series) in self.series.iter().enumerate() {
            let uid = series.study.uid.trim();
            let folder = series.slices.first().and_then(|s| s.path.parent()).filter(|_| uid.is_empty());
            let key = (uid, series.patient.id.as_str(), series.patient.name.as_str(), folder);
            match keys.iter().position(|known| *known == key).and_then(|at| studies.get_mut(at)) {
                Some(study) => study.push(index),
                None => {
                    keys.push(key);
                    studies.push(vec![index]);
                }
            }
        }
        studies
    }
    /// As [`Catalog::likeliest`] among some of the series.
    pub fn likeliest_of(&self, among: &[usize]) -> Option<usize> {
        let likely = |i: usize| {
            let s = self.series.get(i)?;
            let axial_ct = s.modality == "CT" && s.values_are_hu && !s.is_localizer && s.is_axial();
            Some((axial_ct, s.slices.len(), std::cmp::Reverse(i)))
        };
        among.iter().copied().filter(|i| likely(*i).is_some()).max_by_key(|i| likely(*i))
    }
    /// Index of the series most likely wanted: the largest axial CT that is no localizer, else the largest stack.
    pub fn likeliest(&self) -> Option<usize> {
        self.likeliest_of(&(0..self.series.len()).collect::<Vec<_>>())
    }
}

/// A series with its voxels.
#[derive(Debug, Clone)]
pub struct LoadedSeries {
    pub series: Arc<Series>,
    pub volume: Arc<Volume>,
}

impl LoadedSeries {
    /// The voxels with their places, to cut planes from.
    pub fn stack(&self) -> Result<Stack, StackError> {
        Ok(Stack { volume: self.volume.clone(), geometry: Arc::new(self.series.stack_geometry()?) })
    }
}
