//! How good a network is: metrics, intervals, calibration, tables. Plain numbers in, plain numbers out.

mod account;
mod assess;
mod baselines;
mod calibration;
mod confusion;
mod document;
mod intervals;
mod localisation;
mod measure;
mod paper;
mod proper;
mod ranking;
mod sets;
mod subgroups;
mod summary;
mod thresholds;

pub use account::account;
pub use assess::{Assessment, CalibrationReport, ReliabilityBin};
pub use baselines::{Baseline, LEAK_AUC};
pub use calibration::{
    Calibration, ENOUGH_POSITIVES, Scaling, calibrate, intercept_in_the_large, logit, platt, shifted_to_prevalence,
    sigmoid, slope_and_intercept, temperature,
};
pub use confusion::{Confusion, predictive_values};
pub use document::{Block, Document, Picture, unbroken};
pub use intervals::{
    AucDifference, Delong, Interval, Mcnemar, clopper_pearson, delong, delong_difference, mcnemar, wilson,
};
pub use localisation::{Froc, FrocPoint, HitRate, hottest_cell_touches};
pub use measure::{BINS, Estimate, Metric, Metrics, OverFolds};
pub use proper::{
    Bin, best_constant_weighted_loss, brier, brier_skill, calibration_error, equal_mass_bins, log_loss,
    log_loss_of_logits, rsna_weighted_log_loss,
};
pub use ranking::{average_precision, precision_recall_curve, roc_auc, roc_curve};
pub use sets::TestSet;
pub use subgroups::{LevelResult, Subgroup, Twins};
pub use summary::{
    CaseSets, Curve, Curves, Evaluation, EvaluationError, Failure, ImageSets, LeftOut, ModelProvenance, NamedThreshold,
    Options, Part, PointResult, Population, Provenance, Thresholds, evaluate,
};
pub use thresholds::{OperatingPoint, PREVALENCES, TARGET, high_sensitivity, high_specificity, youden};

/// What the network said of one slice, beside what is known of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SlicePrediction {
    /// 0-based, display order of the series.
    pub index: usize,
    pub logit: f64,
    /// sigmoid(logit), 0..=1.
    pub score: f64,
    /// `None`: neither trained on nor counted.
    pub label: Option<bool>,
    /// 0 for C1, 7 for T1, where known.
    pub level: Option<usize>,
    /// The hottest cell of the heatmap touches a reference box ([`hottest_cell_touches`]); `None` without a box.
    pub peak_in_box: Option<bool>,
}

/// One fracture of the reference standard, for subgroups.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Fracture {
    /// 0 for C1, 7 for T1.
    pub level: usize,
    pub kind: String,
    pub displacement_mm: Option<f64>,
    pub conspicuity: Option<f64>,
}

/// What the network said of one case, beside what is known of it. A run keeps these as JSON, one list per fold.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CasePrediction {
    /// Short and free of identity.
    pub id: String,
    /// Cases of one patient are resampled together.
    pub patient: String,
    pub label: bool,
    pub logit: f64,
    /// The sequence network's score, 0..=1.
    pub score: f64,
    /// Scored slices only.
    pub slices: Vec<SlicePrediction>,
    pub fractures: Vec<Fracture>,
    /// 'M' or 'F', where known.
    pub sex: Option<char>,
    pub age_years: Option<f64>,
    pub slice_thickness_mm: Option<f64>,
    /// Contrast agent was given; `None` where the header does not say.
    pub contrast: Option<bool>,
    /// Which part of the data it is from, e.g. "iid", "shift", "rsna2022".
    pub source: String,
    /// The other half of a pair with and without the fracture.
    pub twin: Option<String>,
    /// Values for the trivial baselines, by name (e.g. "mean-bone-hu", "dark-ridge").
    pub baselines: std::collections::BTreeMap<String, f64>,
}

/// The vertebra of a level's number.
fn level_name(level: usize) -> &'static str {
    ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1"].get(level).copied().unwrap_or("below T1")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A case with these `(score, label)` slices.
    pub(crate) fn case(id: &str, label: bool, score: f64, slices: &[(f64, bool)]) -> CasePrediction {
        let slice = |(index, &(score, label)): (usize, &(f64, bool))| SlicePrediction {
            index,
            logit: logit(score),
            score,
            label: Some(label),
            level: Some(index % 7),
            peak_in_box: None,
        };
        CasePrediction {
            id: id.to_owned(),
            patient: id.to_owned(),
            label,
            logit: logit(score),
            score,
            slices: slices.iter().enumerate().map(slice).collect(),
            fractures: Vec::new(),
            sex: None,
            age_years: None,
            slice_thickness_mm: None,
            contrast: None,
            source: "test".to_owned(),
            twin: None,
            baselines: std::collections::BTreeMap::new(),
        }
    }
}
