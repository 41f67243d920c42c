//! How far scores are from probabilities, with what a reliability diagram shows.

use super::calibration::{intercept_in_the_large, logit, sigmoid, slope_and_intercept};
use super::intervals::wilson;
use super::measure::BINS;
use super::proper::{brier, brier_skill, calibration_error, equal_mass_bins};

/// A bin of the reliability diagram with its bar.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ReliabilityBin {
    pub mean_probability: f64,
    pub observed: f64,
    /// Wilson's interval of the bin.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub n: f64,
}

/// Calibration of one list of probabilities.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Assessment {
    pub ece: Option<f64>,
    pub brier: Option<f64>,
    /// Brier skill against always saying the prevalence.
    pub brier_skill: Option<f64>,
    /// Intercept at a slope of 1; above 0 the scores are too low.
    pub intercept_in_the_large: Option<f64>,
    /// Of the logistic regression of the labels on the logits.
    pub slope: Option<f64>,
    pub intercept: Option<f64>,
    pub bins: Vec<ReliabilityBin>,
}

/// Before and after the calibration that the model card applies.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct CalibrationReport {
    pub n: usize,
    pub positives: usize,
    /// sigmoid(logit).
    pub before: Assessment,
    /// The scores as they are shown; `None` where they are the same.
    pub after: Option<Assessment>,
}

/// `logits` are the network's, `scores` what is shown of them.
pub(super) fn report(logits: &[f64], scores: &[f64], labels: &[bool]) -> CalibrationReport {
    let raw: Vec<f64> = logits.iter().map(|&z| sigmoid(z)).collect();
    // Scores may have been rounded to f32 on their way.
    let changed = raw.iter().zip(scores).any(|(a, b)| (a - b).abs() > 1e-5);
    let shown_logits = || scores.iter().map(|&p| logit(p)).collect::<Vec<f64>>();
    CalibrationReport {
        n: labels.len(),
        positives: labels.iter().filter(|&&label| label).count(),
        before: assess(&raw, logits, labels),
        after: changed.then(|| assess(scores, &shown_logits(), labels)),
    }
}

fn assess(probabilities: &[f64], logits: &[f64], labels: &[bool]) -> Assessment {
    let line = slope_and_intercept(logits, labels);
    let bins = equal_mass_bins(probabilities, labels, BINS);
    let bin = |bin: &super::Bin| {
        let bar = wilson(bin.observed, bin.weight);
        let (lower, upper) = (bar.lower, bar.upper);
        ReliabilityBin { mean_probability: bin.mean_probability, observed: bin.observed, lower, upper, n: bin.weight }
    };
    Assessment {
        ece: calibration_error(probabilities, labels, BINS),
        brier: brier(probabilities, labels),
        brier_skill: brier_skill(probabilities, labels),
        intercept_in_the_large: intercept_in_the_large(logits, labels),
        slope: line.map(|line| line.slope),
        intercept: line.map(|line| line.intercept),
        bins: bins.iter().map(bin).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibration_that_helps_shows_in_every_figure() {
        // Too sure by a factor of 4; the scores shown are right.
        let logits: Vec<f64> = (0..400).map(|i| f64::from(i % 20 - 10) * 0.8).collect();
        let scores: Vec<f64> = logits.iter().map(|z| sigmoid(z / 4.0)).collect();
        let mut stream = crate::random::Stream::named(2, "test", 0);
        let labels: Vec<bool> = scores.iter().map(|&p| stream.chance(p)).collect();
        let found = report(&logits, &scores, &labels);
        let after = found.after.expect("scores differ");
        assert!(after.ece < found.before.ece && after.brier < found.before.brier);
        assert!(found.before.slope.expect("two classes") < 0.5 && after.slope.expect("two classes") > 0.6);
        assert_eq!(after.bins.len(), BINS);
        assert_eq!(report(&logits, &logits.iter().map(|&z| sigmoid(z)).collect::<Vec<_>>(), &labels).after, None);
    }
}
