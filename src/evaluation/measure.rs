//! All metrics of a set of scored things in one pass, with a weight for each thing, so that balanced sets and bootstrap draws cost
//! no sorting.

use serde::ser::SerializeMap;

use super::confusion::Confusion;
use super::proper::{POSITIVE_WEIGHT, bins_of_groups, error_of_bins, loss};

/// Bins of the calibration error and the reliability diagram.
pub const BINS: usize = 10;

/// What is reported of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    RocAuc,
    AveragePrecision,
    Sensitivity,
    Specificity,
    Ppv,
    Npv,
    F1,
    Accuracy,
    BalancedAccuracy,
    Mcc,
    Youden,
    Brier,
    LogLoss,
    /// Log-loss in which a positive counts as two negatives: over cases the patient_overall part of RSNA 2022's metric.
    WeightedLogLoss,
    CalibrationError,
}

impl Metric {
    pub const ALL: [Self; 15] = [
        Self::RocAuc,
        Self::AveragePrecision,
        Self::Sensitivity,
        Self::Specificity,
        Self::Ppv,
        Self::Npv,
        Self::F1,
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::Mcc,
        Self::Youden,
        Self::Brier,
        Self::LogLoss,
        Self::WeightedLogLoss,
        Self::CalibrationError,
    ];

    /// Its key in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::RocAuc => "roc_auc",
            Self::AveragePrecision => "average_precision",
            Self::Sensitivity => "tpr",
            Self::Specificity => "tnr",
            Self::Ppv => "ppv",
            Self::Npv => "npv",
            Self::F1 => "f1",
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::Mcc => "mcc",
            Self::Youden => "youden",
            Self::Brier => "brier",
            Self::LogLoss => "log_loss",
            Self::WeightedLogLoss => "log_loss_positives_twice",
            Self::CalibrationError => "ece",
        }
    }
    /// Its name in a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::RocAuc => "ROC-AUC",
            Self::AveragePrecision => "Average precision (AUPRC)",
            Self::Sensitivity => "Sensitivity (TPR)",
            Self::Specificity => "Specificity (TNR)",
            Self::Ppv => "PPV",
            Self::Npv => "NPV",
            Self::F1 => "F1",
            Self::Accuracy => "Accuracy",
            Self::BalancedAccuracy => "Balanced accuracy (the paper's \"AUC\")",
            Self::Mcc => "MCC",
            Self::Youden => "Youden J",
            Self::Brier => "Brier score",
            Self::LogLoss => "Log-loss",
            Self::WeightedLogLoss => "Log-loss, positives twice",
            Self::CalibrationError => "Calibration error (ECE)",
        }
    }
}

/// A value with its interval, what it is counted over, and its spread over folds.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Estimate {
    /// `None`: undefined, as a ratio over nothing or an area with one class only.
    pub value: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    /// How many things the value is a ratio over: positives for sensitivity, the called ones for PPV, else all.
    pub n: usize,
    /// How the interval was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folds: Option<OverFolds>,
}

/// Mean and standard deviation (n - 1) over the folds in which the value is defined. No standard error.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct OverFolds {
    pub mean: f64,
    /// `None` for a single fold.
    pub sd: Option<f64>,
    /// Folds counted.
    pub folds: usize,
}

impl OverFolds {
    pub(super) fn of(values: &[Option<f64>]) -> Option<Self> {
        let defined: Vec<f64> = values.iter().flatten().copied().collect();
        let n = defined.len() as f64;
        if defined.is_empty() {
            return None;
        }
        let mean = defined.iter().sum::<f64>() / n;
        let squares: f64 = defined.iter().map(|v| (v - mean) * (v - mean)).sum();
        let sd = (defined.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Some(Self { mean, sd, folds: defined.len() })
    }
}

/// Estimates of all metrics, a map in JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metrics(pub Vec<(Metric, Estimate)>);

impl Metrics {
    pub fn get(&self, metric: Metric) -> Estimate {
        self.0.iter().find(|(other, _)| *other == metric).map_or_else(Estimate::default, |found| found.1)
    }
}

impl serde::Serialize for Metrics {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (metric, estimate) in &self.0 {
            map.serialize_entry(metric.key(), estimate)?;
        }
        map.end()
    }
}

/// A scored thing: a slice or a case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// 0..=1.
    pub(super) score: f64,
    /// The hard answer, by the threshold of the fold it is from.
    pub(super) called: bool,
    pub(super) label: bool,
    /// The case it belongs to.
    pub(super) case: usize,
    /// The patient, who is resampled as a whole.
    pub(super) patient: usize,
    pub(super) fold: usize,
    loss: f64,
}

impl Item {
    pub(super) fn new(score: f64, threshold: f64, label: bool, [case, patient, fold]: [usize; 3]) -> Self {
        Self { score, called: score >= threshold, label, case, patient, fold, loss: loss(score, label) }
    }
}

/// One value per [`Metric::ALL`].
pub(super) type Values = [Option<f64>; Metric::ALL.len()];

/// All metrics of items sorted by falling score; an item of weight 0 is not there.
pub(super) fn measure(items: &[Item], weight: impl Fn(usize, &Item) -> f64) -> (Values, Confusion) {
    let mut counts = Confusion::default();
    let (mut squares, mut losses, mut weighted_losses) = (0.0, 0.0, 0.0);
    let mut groups: Vec<(f64, f64, f64)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let w = weight(index, item);
        if w <= 0.0 {
            continue;
        }
        counts.add(item.called, item.label, w);
        let away = item.score - if item.label { 1.0 } else { 0.0 };
        squares += w * away * away;
        losses += w * item.loss;
        weighted_losses += w * item.loss * if item.label { POSITIVE_WEIGHT } else { 1.0 };
        if groups.last().is_none_or(|group| group.0 != item.score) {
            groups.push((item.score, 0.0, 0.0));
        }
        if let Some(group) = groups.last_mut() {
            group.1 += w;
            group.2 += if item.label { w } else { 0.0 };
        }
    }
    let (area, precision) = areas(&groups, counts.positives(), counts.negatives());
    groups.reverse();
    let total = counts.total();
    let mean = |sum: f64| (total > 0.0).then(|| sum / total);
    let ece = if total > 0.0 { error_of_bins(&bins_of_groups(&groups, BINS)) } else { None };
    let values = Metric::ALL.map(|metric| match metric {
        Metric::RocAuc => area,
        Metric::AveragePrecision => precision,
        Metric::Sensitivity => counts.sensitivity(),
        Metric::Specificity => counts.specificity(),
        Metric::Ppv => counts.ppv(),
        Metric::Npv => counts.npv(),
        Metric::F1 => counts.f1(),
        Metric::Accuracy => counts.accuracy(),
        Metric::BalancedAccuracy => counts.balanced_accuracy(),
        Metric::Mcc => counts.mcc(),
        Metric::Youden => counts.youden(),
        Metric::Brier => mean(squares),
        Metric::LogLoss => mean(losses),
        Metric::WeightedLogLoss => {
            let weights = POSITIVE_WEIGHT * counts.positives() + counts.negatives();
            (weights > 0.0).then(|| weighted_losses / weights)
        }
        Metric::CalibrationError => ece,
    });
    (values, counts)
}

/// Area under the ROC curve and average precision of `(score, weight, weight of the positives)` by falling score.
fn areas(groups: &[(f64, f64, f64)], positives: f64, negatives: f64) -> (Option<f64>, Option<f64>) {
    let (mut above, mut called, mut wins, mut precision) = (0.0, 0.0, 0.0, 0.0);
    for &(_, weight, hit) in groups {
        wins += (weight - hit) * (above + 0.5 * hit);
        above += hit;
        called += weight;
        precision += hit * (above / called);
    }
    let has = |count: f64| count > 0.0;
    (
        (has(positives) && has(negatives)).then(|| wins / (positives * negatives)),
        has(positives).then(|| precision / positives),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evaluation::{average_precision, brier, calibration_error, log_loss, roc_auc};

    fn items(data: &[(u8, bool, u8)]) -> Vec<Item> {
        let of = |d: &(u8, bool, u8)| Item::new(f64::from(d.0) / 10.0, 0.5, d.1, [0, 0, 0]);
        let mut items: Vec<Item> = data.iter().map(of).collect();
        items.sort_by(|a, b| b.score.total_cmp(&a.score));
        items
    }

    proptest! {
        #[test]
        fn one_pass_gives_what_each_function_gives(data in prop::collection::vec((0u8..=10, any::<bool>(), 0u8..1), 1..50)) {
            let scores: Vec<f64> = data.iter().map(|d| f64::from(d.0) / 10.0).collect();
            let labels: Vec<bool> = data.iter().map(|d| d.1).collect();
            let (values, counts) = measure(&items(&data), |_, _| 1.0);
            let alone = Confusion::at(0.5, &scores, &labels);
            prop_assert_eq!(counts, alone);
            for (metric, expected) in [
                (Metric::RocAuc, roc_auc(&scores, &labels)),
                (Metric::AveragePrecision, average_precision(&scores, &labels)),
                (Metric::Brier, brier(&scores, &labels)),
                (Metric::LogLoss, log_loss(&scores, &labels)),
                (Metric::CalibrationError, calibration_error(&scores, &labels, BINS)),
            ] {
                let found = values[Metric::ALL.iter().position(|m| *m == metric).expect("listed")];
                prop_assert_eq!(found.is_some(), expected.is_some());
                if let (Some(a), Some(b)) = (found, expected) {
                    prop_assert!((a - b).abs() < 1e-9, "{:?}: {} {}", metric, a, b);
                }
            }
        }

        #[test]
        fn a_weight_is_a_repetition(data in prop::collection::vec((0u8..=10, any::<bool>(), 0u8..4), 1..30)) {
            let sorted = {
                let mut sorted = data.clone();
                sorted.sort_by_key(|d| std::cmp::Reverse(d.0));
                sorted
            };
            let weights: Vec<f64> = sorted.iter().map(|d| f64::from(d.2)).collect();
            let repeated: Vec<(u8, bool, u8)> =
                sorted.iter().flat_map(|d| std::iter::repeat_n(*d, usize::from(d.2))).collect();
            let (weighted, _) = measure(&items(&sorted), |index, _| weights[index]);
            let (counted, _) = measure(&items(&repeated), |_, _| 1.0);
            for (a, b) in weighted.into_iter().zip(counted) {
                prop_assert_eq!(a.is_some(), b.is_some());
                prop_assert!((a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_positive_counts_twice_in_the_weighted_loss() {
        let place = Metric::ALL.iter().position(|metric| *metric == Metric::WeightedLogLoss).expect("listed");
        let (values, _) = measure(&items(&[(9, true, 0), (2, false, 0)]), |_, _| 1.0);
        let expected = (2.0 * -(0.9f64.ln()) - 0.8f64.ln()) / 3.0;
        assert!((values[place].expect("two things") - expected).abs() < 1e-12);
        // The same answer for all, at best: the weighted share of the positives.
        let constant = crate::evaluation::best_constant_weighted_loss(0.2).expect("both classes");
        let p: f64 = 0.4 / 1.2;
        assert!((constant - -(0.4 * p.ln() + 0.8 * (1.0 - p).ln()) / 1.2).abs() < 1e-12);
        assert_eq!(
            [0.0, 1.0, f64::NAN].map(crate::evaluation::best_constant_weighted_loss),
            [Some(0.0), Some(0.0), None]
        );
    }

    #[test]
    fn folds_without_a_value_are_not_counted() {
        let found = OverFolds::of(&[Some(1.0), None, Some(3.0)]).expect("two");
        assert_eq!((found.mean, found.folds), (2.0, 2));
        assert!((found.sd.expect("two") - 2.0f64.sqrt()).abs() < 1e-12);
        assert_eq!(OverFolds::of(&[Some(1.0)]).expect("one").sd, None);
        assert_eq!(OverFolds::of(&[None]), None);
    }
}
