//! Labelled studies, wherever they come from: synthetic patients by seed or from a folder, RSNA 2022, Health Data Nexus.

use std::path::PathBuf;

use crate::jobs::{Cancelled, JobCtx};
use crate::study::LoadedSeries;
use crate::truth::CaseTruth;

/// A study with its voxels and what is known of it.
#[derive(Debug, Clone)]
pub struct LabelledCase {
    pub loaded: LoadedSeries,
    pub truth: CaseTruth,
}

/// A study of a data set, known before its pixels are read.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRef {
    /// Short, unique in the data set, free of identity; what logs and tables show.
    pub id: String,
    /// Cases of one patient are never parted by a split.
    pub patient: String,
    /// `None` where the data set does not say.
    pub fractured: Option<bool>,
    /// 'M' or 'F'.
    pub sex: Option<char>,
    pub age_years: Option<f64>,
    /// e.g. "phantom", "rsna2022".
    pub source: String,
    /// Id of the same patient with or without the fracture.
    pub twin: Option<String>,
    /// Says the same for the same pixels and labels, whatever the machine; keys the cache of preprocessed slices.
    pub content_key: String,
    pub(crate) at: Place,
}

/// Where a case's pixels come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    /// A folder of DICOM with the truth read beside it.
    Folder(PathBuf),
}

/// A case that is left out, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Excluded {
    pub id: String,
    pub reason: String,
}

/// An opened data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// In words, for cards and reports.
    pub name: String,
    /// Sorted by id.
    pub cases: Vec<CaseRef>,
    pub excluded: Vec<Excluded>,
    /// Sentences the user should read (studies in the table but not on disk, missing boxes, ...).
    pub notes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// What is missing or wrong, and what to do.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Opens `phantom:SEEDS`, `phantom:DIR`, `rsna2022:DIR` or `hdn-cspine:DIR`.
///
/// # Errors
/// An unknown kind, a layout that does not fit (named), or no usable case.
pub fn open(spec: &str, ctx: &JobCtx) -> Result<Dataset, DatasetError> {
    ctx.check()?;
    Err(DatasetError::Refused(format!("{spec:?} is no data set this program can open")))
}

impl CaseRef {
    /// Reads or makes the voxels and the truth.
    ///
    /// # Errors
    /// A sentence with the case's id.
    pub fn load(&self, ctx: &JobCtx) -> Result<LabelledCase, DatasetError> {
        ctx.check()?;
        match &self.at {
            Place::Folder(_) => {
                Err(DatasetError::Refused(format!("{}: this kind of study cannot be read yet", self.id)))
            }
        }
    }
}
