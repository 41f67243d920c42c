//! What the network said, in the geometry of the source slices. Plain data.

pub mod card;
pub mod describe;
mod occlusion;
pub mod operating;
pub mod passport;

use std::sync::Arc;

pub use crate::geometry::PixelBox;
use crate::geometry::PixelPoint;
use crate::study::quality::Line;
use crate::volume::VolumeId;
pub use occlusion::Occlusion;
use operating::{Thresholds, Validation};

/// Where a result comes from. No finding exists without it.
#[derive(Debug, Clone, PartialEq)]
pub struct Provenance {
    pub model: Arc<ModelInfo>,
    pub volume: VolumeId,
    pub series_uid: String,
    /// `paper` or another recipe name with its version, e.g. "paper/1".
    pub recipe: String,
    /// The device in words, e.g. "CPU, 1 thread".
    pub device: String,
    pub software: String,
    /// When, where it was computed before this program was started and kept since.
    pub computed_earlier: Option<String>,
}

/// What the user must know of a model wherever a number of its stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    pub name: String,
    /// e.g. "ResNet-50 + BLSTM-128".
    pub architecture: String,
    /// SHA-256 of the weight file (or of the generated weights), hex.
    pub sha256: String,
    /// "untrained: the numbers mean nothing" or e.g. "synthetic necks only".
    pub trained_on: String,
    pub trained: bool,
    /// Slice scores at or above are "above threshold".
    pub threshold: f32,
    /// Scores may be called probabilities.
    pub calibrated: bool,
    pub recipe: String,
    /// Calibration, the case's threshold and what else the card says of the numbers.
    pub operating: Operating,
    /// The card as stored in the file, for reports.
    pub card: serde_json::Value,
    /// Why the program chose this network and how long it takes, where nobody named one.
    pub choice: Option<String>,
}

/// How a model's numbers are to be read, from its card.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Operating {
    /// `None`: the slices' threshold.
    pub case_threshold: Option<f32>,
    /// How the thresholds were chosen, in words; may be empty.
    pub rule: String,
    pub slice_scaling: Scaling,
    pub case_scaling: Scaling,
    pub points: Vec<OperatingPoint>,
    /// Results on cases that no training saw, set by set.
    pub validation: Vec<Validation>,
    /// Share of fractured cases in training, 0..=1: the prevalence that a calibrated score assumes.
    pub prevalence: Option<f32>,
    /// Every training case was a synthetic neck.
    pub phantoms_only: bool,
}

/// From the network's logit to the calibrated one: `slope * logit + intercept`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    pub slope: f32,
    pub intercept: f32,
}

impl Default for Scaling {
    fn default() -> Self {
        Self { slope: 1.0, intercept: 0.0 }
    }
}

impl Scaling {
    /// The score that belongs to a logit, 0..=1.
    pub fn score(self, logit: f32) -> f32 {
        1.0 / (1.0 + (-(self.slope * logit + self.intercept)).exp())
    }
}

/// A threshold with a name, e.g. "high_sensitivity".
#[derive(Debug, Clone, PartialEq)]
pub struct OperatingPoint {
    pub name: String,
    pub slice: Option<f32>,
    pub case: Option<f32>,
    /// How it was chosen, in words.
    pub rule: String,
    /// Validation cases it was chosen on.
    pub n: Option<u64>,
}

/// Why a score must be read with care; it then stands in amber with the reason beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// "outside-training-data" or "quality"; part of the JSON's contract.
    pub kind: &'static str,
    pub text: String,
}

impl Doubt {
    /// The study is of another kind than what the network learned from.
    pub fn outside_training(text: impl Into<String>) -> Self {
        Self { kind: "outside-training-data", text: text.into() }
    }
    pub fn is_outside_training(&self) -> bool {
        self.kind == "outside-training-data"
    }
    /// The series does not pass a quality gate and was scored on request.
    pub fn quality(text: impl Into<String>) -> Self {
        Self { kind: "quality", text: text.into() }
    }
}

impl ModelInfo {
    /// Case scores at or above are "above threshold".
    pub fn case_threshold(&self) -> f32 {
        self.operating.case_threshold.unwrap_or(self.threshold)
    }
    /// Those of the card.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds { slice: self.threshold, case: self.case_threshold() }
    }
    /// First eight hex digits, for the screen.
    pub fn short_hash(&self) -> &str {
        self.sha256.get(..8).unwrap_or(&self.sha256)
    }
}

/// Why a slice has no score; the kebab-case name is the contract's `excluded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusion {
    /// Nothing but air or padding in the slice.
    EmptySlice,
    /// The network returned NaN or infinity; never drawn as 0.
    NotFinite,
    /// The slice could not be decoded.
    Undecodable,
    /// Above or below the cervical spine as the recipe found it.
    OutsideRange,
}

impl Exclusion {
    pub const ALL: [Self; 4] = [Self::EmptySlice, Self::NotFinite, Self::Undecodable, Self::OutsideRange];

    pub fn name(self) -> &'static str {
        match self {
            Self::EmptySlice => "empty-slice",
            Self::NotFinite => "not-finite",
            Self::Undecodable => "undecodable",
            Self::OutsideRange => "outside-range",
        }
    }
    pub fn sentence(self) -> &'static str {
        match self {
            Self::EmptySlice => "left out: the slice holds nothing but air or padding",
            Self::NotFinite => "left out: the network returned no finite number for this slice",
            Self::Undecodable => "left out: the slice could not be decoded",
            Self::OutsideRange => "left out: the slice lies above or below the cervical spine",
        }
    }
}

/// Native Grad-CAM of one slice before any scaling, row-major over the network's grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Cam {
    pub rows: usize,
    pub columns: usize,
    /// Non-negative (after the ReLU), in units of the logit.
    pub values: Vec<f32>,
}

impl Cam {
    pub fn max(&self) -> f32 {
        self.values.iter().copied().fold(0.0, f32::max)
    }
    pub fn at(&self, row: usize, column: usize) -> f32 {
        self.values.get(row * self.columns + column).copied().unwrap_or(0.0)
    }
    /// Bilinear sample at `u, v` in 0..=1 across the map (half-cell centres, edges repeated).
    /// The CPU twin of the heatmap's sampling in `shaders/heatmap.wgsl`.
    pub fn sample(&self, u: f64, v: f64) -> f32 {
        if self.rows == 0 || self.columns == 0 {
            return 0.0;
        }
        let (c0, c1, fc) = between_cells(u, self.columns);
        let (r0, r1, fr) = between_cells(v, self.rows);
        let top = self.at(r0, c0) * (1.0 - fc) + self.at(r0, c1) * fc;
        let bottom = self.at(r1, c0) * (1.0 - fc) + self.at(r1, c1) * fc;
        top * (1.0 - fr) + bottom * fr
    }
    /// The value of the cell that holds `u, v` in 0..=1 across the map.
    pub fn cell(&self, u: f64, v: f64) -> f32 {
        let nearest = |t: f64, n: usize| {
            let (low, high, f) = between_cells(t, n);
            if f >= 0.5 { high } else { low }
        };
        if self.rows == 0 || self.columns == 0 { 0.0 } else { self.at(nearest(v, self.rows), nearest(u, self.columns)) }
    }
    /// The middle of the cell with the largest value, `(u, v)` in 0..=1 across the map; `None` for a map of zeros.
    pub fn hottest(&self) -> Option<(f64, f64)> {
        let (index, value) = self.values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))?;
        if self.columns == 0 || self.rows == 0 || *value <= 0.0 {
            return None;
        }
        let middle = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
        Some((middle(index % self.columns, self.columns), middle(index / self.columns, self.rows)))
    }
}

/// The cells around a place in 0..=1 across `n` of them, edges repeated, and the fraction towards the second.
fn between_cells(t: f64, n: usize) -> (usize, usize, f32) {
    let x = (t * n as f64 - 0.5).clamp(0.0, (n - 1) as f64);
    let low = x.floor();
    (low as usize, ((low as usize) + 1).min(n - 1), (x - low) as f32)
}

/// A finished slice.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceFinding {
    pub outcome: SliceOutcome,
    /// Recipe flags such as "no_bone": the box was borrowed from neighbours.
    pub flags: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SliceOutcome {
    Scored {
        /// After calibration, 0..=1.
        score: f32,
        /// As the network gave it.
        logit: f32,
        region: PixelBox,
        cam: Arc<Cam>,
    },
    Excluded(Exclusion),
}

/// State of a slice in the strip.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum SliceState {
    #[default]
    NotRun,
    Running,
    Done(SliceFinding),
}

impl SliceState {
    pub fn score(&self) -> Option<f32> {
        match self {
            Self::Done(SliceFinding { outcome: SliceOutcome::Scored { score, .. }, .. }) => Some(*score),
            _ => None,
        }
    }
    pub fn excluded(&self) -> Option<Exclusion> {
        match self {
            Self::Done(SliceFinding { outcome: SliceOutcome::Excluded(why), .. }) => Some(*why),
            _ => None,
        }
    }
    pub fn cam(&self) -> Option<(&PixelBox, &Arc<Cam>)> {
        match self {
            Self::Done(SliceFinding { outcome: SliceOutcome::Scored { region, cam, .. }, .. }) => Some((region, cam)),
            _ => None,
        }
    }
}

/// What the sequence network said about the whole study.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseResult {
    /// After calibration, 0..=1.
    pub score: f32,
    /// As the network gave it.
    pub logit: f32,
    /// Contribution of each scored slice to the case logit (sum over features of value x gradient), display order,
    /// one entry per slice of the series; `None` for slices without a score.
    pub attribution: Vec<Option<f32>>,
}

/// Seconds spent, for the report and the contract's `seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Seconds {
    pub load: f64,
    pub preprocess: f64,
    pub network: f64,
    pub total: f64,
}

/// Everything known so far about one series under one model. Filled slice by slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    pub provenance: Provenance,
    /// One per slice, display order.
    pub slices: Vec<SliceState>,
    pub case: Option<CaseResult>,
    pub seconds: Seconds,
    /// Why the scores must be read with care; empty when nothing stands against them.
    pub doubts: Vec<Doubt>,
    /// Sentences about the analysis (device fell back, box borrowed on n slices, ...).
    pub warnings: Vec<String>,
    /// What was said of header and voxels before the first score, for the passport.
    pub judged: Vec<Line>,
    /// What the reader put in place of the card's thresholds.
    pub chosen: Option<Thresholds>,
}

impl Findings {
    pub fn new(provenance: Provenance, slices: usize) -> Self {
        Self {
            provenance,
            slices: vec![SliceState::NotRun; slices],
            case: None,
            seconds: Seconds::default(),
            doubts: Vec::new(),
            warnings: Vec::new(),
            judged: Vec::new(),
            chosen: None,
        }
    }
    /// The thresholds in use: the reader's, else the card's.
    pub fn thresholds(&self) -> Thresholds {
        self.chosen.unwrap_or_else(|| self.provenance.model.thresholds())
    }
    pub fn threshold(&self) -> f32 {
        self.thresholds().slice
    }
    pub fn case_threshold(&self) -> f32 {
        self.thresholds().case
    }
    /// `(done, total)`.
    pub fn progress(&self) -> (usize, usize) {
        (self.slices.iter().filter(|s| matches!(s, SliceState::Done(_))).count(), self.slices.len())
    }
    pub fn is_complete(&self) -> bool {
        let (done, total) = self.progress();
        done == total
    }
    /// Largest map value of the study, the heatmap's common scale. 0 when nothing has been scored.
    pub fn cam_maximum(&self) -> f32 {
        self.slices.iter().filter_map(|s| s.cam()).map(|(_, cam)| cam.max()).fold(0.0, f32::max)
    }
    /// The slice with the highest score, above a threshold or not; the first of several.
    pub fn top(&self) -> Option<(usize, f32)> {
        let scores = self.slices.iter().enumerate().filter_map(|(i, s)| Some((i, s.score()?)));
        scores.fold(None, |top: Option<(usize, f32)>, (i, s)| top.filter(|(_, best)| *best >= s).or(Some((i, s))))
    }
    /// Where a slice's map is hottest: the middle of that cell in the slice's pixels. `None` without a map, and for one
    /// of zeros.
    pub fn hottest(&self, index: usize) -> Option<PixelPoint> {
        let ([x0, y0, x1, y1], cam) = self.slices.get(index)?.cam()?;
        let (u, v) = cam.hottest()?;
        Some(PixelPoint { column: x0 + u * (x1 - x0) - 0.5, row: y0 + v * (y1 - y0) - 0.5 })
    }
    /// Local maxima of the scores at or above the threshold, best first, at least `PEAK_DISTANCE` slices apart.
    /// If nothing reaches the threshold the list is empty.
    pub fn peaks(&self) -> Vec<usize> {
        self.peaks_above(self.threshold())
    }
    /// As [`Findings::peaks`] with a threshold of one's own (0 lists all local maxima).
    pub fn peaks_above(&self, threshold: f32) -> Vec<usize> {
        let mut candidates: Vec<(usize, f32)> = self
            .slices
            .iter()
            .enumerate()
            .filter_map(|(i, s)| s.score().map(|score| (i, score)))
            .filter(|(_, score)| *score >= threshold)
            .collect();
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut peaks: Vec<usize> = Vec::new();
        for (index, _) in candidates {
            if peaks.iter().all(|&p| p.abs_diff(index) > PEAK_DISTANCE) && self.is_local_maximum(index) {
                peaks.push(index);
            }
        }
        peaks
    }
    fn is_local_maximum(&self, index: usize) -> bool {
        let score = |i: usize| self.slices.get(i).and_then(SliceState::score).unwrap_or(f32::NEG_INFINITY);
        let here = score(index);
        let before = index.checked_sub(1).map_or(f32::NEG_INFINITY, score);
        here >= before && here >= score(index + 1)
    }
}

/// Two peaks lie at least this many slices apart.
pub const PEAK_DISTANCE: usize = 2;

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::sync::Arc;

    /// Findings with these scores and nothing else, for tests here and elsewhere.
    pub fn with_scores(scores: &[Option<f32>]) -> Findings {
        let model = ModelInfo {
            name: "test".into(),
            architecture: String::new(),
            sha256: "0".repeat(64),
            trained_on: "nothing".into(),
            trained: false,
            threshold: 0.5,
            calibrated: false,
            recipe: "paper/1".into(),
            operating: Operating::default(),
            card: serde_json::Value::Null,
            choice: None,
        };
        let volume = crate::volume::Volume::new(vec![Arc::new(crate::volume::Slice {
            rows: 1,
            columns: 1,
            pixels: crate::volume::SlicePixels::I16(vec![0].into()),
            padding: None,
        })])
        .expect("one slice");
        let provenance = Provenance {
            model: Arc::new(model),
            volume: volume.id(),
            series_uid: "1.2".into(),
            recipe: "paper/1".into(),
            device: "CPU".into(),
            software: "dens".into(),
            computed_earlier: None,
        };
        let mut findings = Findings::new(provenance, scores.len());
        for (state, score) in findings.slices.iter_mut().zip(scores) {
            if let Some(score) = *score {
                let cam = Arc::new(Cam { rows: 1, columns: 1, values: vec![score] });
                let outcome = SliceOutcome::Scored { score, logit: 0.0, region: [0.0, 0.0, 1.0, 1.0], cam };
                *state = SliceState::Done(SliceFinding { outcome, flags: Vec::new() });
            }
        }
        findings
    }

    #[test]
    fn peaks_are_separate_local_maxima_above_threshold_best_first() {
        let f = with_scores(&[0.2, 0.6, 0.9, 0.8, 0.1, 0.1, 0.7, 0.3].map(Some));
        assert_eq!(f.peaks(), [2, 6]);
        assert_eq!(with_scores(&[Some(0.1), None, Some(0.4)]).peaks(), [] as [usize; 0]);
    }

    #[test]
    fn the_hottest_cell_is_a_place_on_the_slice() {
        let mut findings = with_scores(&[Some(0.9), None]);
        let cam = Arc::new(Cam { rows: 2, columns: 4, values: vec![0.0, 0.1, 0.2, 0.1, 0.0, 0.0, 0.0, 0.7] });
        let outcome = SliceOutcome::Scored { score: 0.9, logit: 2.0, region: [10.0, 20.0, 50.0, 40.0], cam };
        findings.slices[0] = SliceState::Done(SliceFinding { outcome, flags: Vec::new() });
        // Cells of 10 x 10 pixels; the last one's middle is the edge between pixels 44 and 45, and 34 and 35.
        assert_eq!(findings.hottest(0), Some(PixelPoint { column: 44.5, row: 34.5 }));
        assert_eq!(findings.hottest(1), None);
        assert_eq!(Cam { rows: 1, columns: 2, values: vec![0.0; 2] }.hottest(), None);
    }

    #[test]
    fn cam_sample_is_exact_at_cell_centres() {
        let cam = Cam { rows: 2, columns: 2, values: vec![0.0, 1.0, 2.0, 3.0] };
        assert_eq!(cam.sample(0.25, 0.25), 0.0);
        assert_eq!(cam.sample(0.75, 0.75), 3.0);
        assert_eq!(cam.sample(0.5, 0.5), 1.5);
        assert_eq!(cam.sample(0.0, 1.0), 2.0);
        assert_eq!(
            [(0.1, 0.1), (0.49, 0.9), (0.5, 0.0), (1.0, 1.0)].map(|(u, v)| cam.cell(u, v)),
            [0.0, 2.0, 1.0, 3.0]
        );
    }
}
