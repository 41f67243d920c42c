//! How good a network is: metrics, intervals, calibration, tables. Plain numbers in, plain numbers out.

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
    /// The hottest cell of the heatmap lies inside a reference box; `None` without a box.
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
    pub contrast: Option<bool>,
    /// Which part of the data it is from, e.g. "iid", "shift", "rsna2022".
    pub source: String,
    /// The other half of a pair with and without the fracture.
    pub twin: Option<String>,
    /// Values for the trivial baselines, by name (e.g. "mean-bone-hu", "dark-ridge").
    pub baselines: std::collections::BTreeMap<String, f64>,
}
