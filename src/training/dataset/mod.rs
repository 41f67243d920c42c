//! Labelled studies, wherever they come from: synthetic patients by seed or from a folder, RSNA 2022, Health Data Nexus.
//!
//! | Text | Where the pixels come from | Where the labels come from |
//! |---|---|---|
//! | `phantom:1-200;difficulty=hard` | made when asked for | the generator's geometry |
//! | `phantom:DIR` | a folder written by `dens phantom` | its csv files |
//! | `rsna2022:DIR` | `train_images/UID/N.dcm` | `train.csv`, boxes, segmentations |
//! | `hdn-cspine:DIR` | multi-frame CT | segmentations of the fractures |
//!
//! A study that cannot be used is in [`Dataset::excluded`] with a reason; what concerns the whole is in
//! [`Dataset::notes`]. Pixels are read when a case is loaded and not before; RSNA's headers are read once, into an index.

mod dens;
mod folder;
mod hdn;
mod index;
mod labels;
mod oddities;
mod rsna;
mod synthetic;
mod table;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::jobs::{Cancelled, JobCtx};
use crate::phantom::PatientSpec;
use crate::study::{LoadedSeries, Series};
use crate::truth::CaseTruth;

pub use write::{Order, Summary, write};

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
    /// Made when asked for.
    Phantom { spec: Box<PatientSpec> },
    /// A study of a folder that `dens phantom` wrote.
    Dens(Arc<dens::Study>),
    /// A study in RSNA 2022's layout.
    Rsna(Arc<rsna::Study>),
    /// A multi-frame CT with segmentations.
    Hdn(Arc<hdn::Study>),
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
    let unknown = || {
        DatasetError::Refused(format!(
            "\"{spec}\" names no data set; give phantom:SEEDS (such as phantom:1-200), phantom:DIR, \
             rsna2022:DIR or hdn-cspine:DIR"
        ))
    };
    let (kind, rest) = spec.split_once(':').ok_or_else(unknown)?;
    let dataset = match kind {
        "phantom" if synthetic::names_seeds(rest) => synthetic::Wish::parse(rest)?.dataset(rest),
        "phantom" => dens::open(Path::new(rest))?,
        "rsna2022" => rsna::open(Path::new(rest), ctx)?,
        "hdn-cspine" => hdn::open(Path::new(rest), ctx)?,
        _ => return Err(unknown()),
    };
    if dataset.cases.is_empty() {
        let why = dataset
            .excluded
            .first()
            .map_or(String::new(), |e| format!(" The first left out: {} ({}).", e.id, e.reason));
        return Err(DatasetError::Refused(format!("{spec} holds no study that can be used.{why}")));
    }
    Ok(dataset)
}

/// The reference standard that lies beside a study on disk, in the layout of RSNA 2022 or of `dens phantom`
/// (two folders above its slices); `None` where there is none or it says nothing of this study.
pub fn truth_beside(series: &Series) -> Option<CaseTruth> {
    let (root, uid) = folder::layout_of(series)?;
    match dens::study_beside(&root, &uid) {
        Some(study) => Some(dens::truth(&study, series)),
        None => Some(rsna::truth(&rsna::study_beside(&root, &uid)?, series)),
    }
}

impl CaseRef {
    /// Reads or makes the voxels and the truth.
    ///
    /// # Errors
    /// A sentence with the case's id.
    pub fn load(&self, ctx: &JobCtx) -> Result<LabelledCase, DatasetError> {
        ctx.check()?;
        match &self.at {
            Place::Phantom { spec } => synthetic::load(spec, ctx),
            Place::Dens(study) => {
                let loaded = folder::load(&self.id, &study.folder, ctx)?;
                let truth = dens::truth(study, &loaded.series);
                Ok(LabelledCase { loaded, truth })
            }
            Place::Hdn(study) => hdn::load(&self.id, study, ctx),
            Place::Rsna(study) => {
                let loaded = folder::load(&self.id, &study.folder, ctx)?;
                let truth = rsna::truth(study, &loaded.series);
                Ok(LabelledCase { loaded, truth })
            }
        }
    }
}

/// 32 hexadecimal digits that stand for these texts.
fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hex::encode(&hash.finalize()[..16])
}
