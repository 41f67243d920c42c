//! Operating points, chosen on validation data and never on test data.

use super::confusion::{Confusion, predictive_values};
use super::intervals::clopper_pearson;

/// Prevalences at which predictive values are told.
pub const PREVALENCES: [f64; 3] = [0.05, 0.20, 0.50];
/// What the lower bound of sensitivity (or specificity) must reach unless said otherwise.
pub const TARGET: f64 = 0.90;

/// A named threshold with what it does on the data it was chosen on.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OperatingPoint {
    /// "youden", "high-sensitivity" or "high-specificity".
    pub name: String,
    /// Scores at or above are called positive.
    pub threshold: f64,
    pub sensitivity: f64,
    pub specificity: f64,
    /// The rule in words.
    pub rule: String,
    pub positives: usize,
    pub negatives: usize,
}

impl OperatingPoint {
    /// `(prevalence, PPV, NPV)` at [`PREVALENCES`].
    pub fn predictive_values(&self) -> [(f64, Option<f64>, Option<f64>); 3] {
        PREVALENCES.map(|prevalence| {
            let [ppv, npv] = predictive_values(self.sensitivity, self.specificity, prevalence);
            (prevalence, ppv, npv)
        })
    }
}

/// Thresholds halfway between neighbouring scores, with the counts at each, from the lowest up.
fn candidates(scores: &[f64], labels: &[bool]) -> Vec<(f64, Confusion)> {
    if scores.len() != labels.len() || scores.iter().any(|score| !score.is_finite()) {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let positives = labels.iter().filter(|&&label| label).count() as f64;
    let mut counts = Confusion { tp: positives, fp: labels.len() as f64 - positives, ..Confusion::default() };
    let mut found = Vec::new();
    let mut below: Option<f64> = None;
    for index in order {
        let score = scores[index];
        if below.is_none_or(|below| below != score) {
            found.push((below.map_or(score, |below| 0.5 * (below + score)), counts));
        }
        if labels[index] {
            counts.tp -= 1.0;
            counts.fn_ += 1.0;
        } else {
            counts.fp -= 1.0;
            counts.tn += 1.0;
        }
        below = Some(score);
    }
    found
}

fn point(name: &str, rule: String, (threshold, counts): (f64, Confusion)) -> Option<OperatingPoint> {
    Some(OperatingPoint {
        name: name.to_owned(),
        threshold,
        sensitivity: counts.sensitivity()?,
        specificity: counts.specificity()?,
        rule,
        positives: counts.positives() as usize,
        negatives: counts.negatives() as usize,
    })
}

/// The threshold with the largest Youden J, the higher one of equals; `None` for one class only or NaN.
pub fn youden(scores: &[f64], labels: &[bool]) -> Option<OperatingPoint> {
    let best = candidates(scores, labels)
        .into_iter()
        .filter_map(|candidate| Some((candidate.1.youden()?, candidate)))
        .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.0.total_cmp(&b.1.0)))?;
    point("youden", "largest sensitivity + specificity - 1 on the validation part".into(), best.1)
}

/// The largest threshold whose lower 95 % bound of sensitivity reaches the target.
///
/// # Errors
/// A sentence: one class only, or too few positives to reach the target whatever the threshold.
pub fn high_sensitivity(scores: &[f64], labels: &[bool], target: f64) -> Result<OperatingPoint, String> {
    let rule = format!("largest threshold whose lower 95 % bound of sensitivity is at least {target:.2}");
    let bound = |counts: &Confusion| lower_bound(counts.tp, counts.positives());
    let found = candidates(scores, labels).into_iter().rev().find(|candidate| bound(&candidate.1) >= target);
    found
        .and_then(|found| point("high-sensitivity", rule, found))
        .ok_or_else(|| too_few("positive", labels, true, target))
}

/// The smallest threshold whose lower 95 % bound of specificity reaches the target.
///
/// # Errors
/// As [`high_sensitivity`], of the negatives.
pub fn high_specificity(scores: &[f64], labels: &[bool], target: f64) -> Result<OperatingPoint, String> {
    let rule = format!("smallest threshold whose lower 95 % bound of specificity is at least {target:.2}");
    let bound = |counts: &Confusion| lower_bound(counts.tn, counts.negatives());
    let found = candidates(scores, labels).into_iter().find(|candidate| bound(&candidate.1) >= target);
    found
        .and_then(|found| point("high-specificity", rule, found))
        .ok_or_else(|| too_few("negative", labels, false, target))
}

fn lower_bound(successes: f64, total: f64) -> f64 {
    clopper_pearson(successes as u64, total as u64).lower.unwrap_or(0.0)
}

fn too_few(class: &str, labels: &[bool], wanted: bool, target: f64) -> String {
    let have = labels.iter().filter(|&&label| label == wanted).count();
    // All of n right has the lower bound 0.025^(1/n).
    let needed = (0.025f64.ln() / target.ln()).ceil();
    format!(
        "no threshold reaches {target:.2} with its lower 95 % bound on {have} {class} cases of the validation part (at least \
         {needed} are needed, all of them right)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn youden_parts_what_can_be_parted() {
        let found = youden(&[0.1, 0.2, 0.7, 0.9], &[false, false, true, true]).expect("two classes");
        assert!((found.threshold - 0.45).abs() < 1e-12 && found.sensitivity == 1.0 && found.specificity == 1.0);
        assert_eq!(youden(&[0.1, 0.2], &[true, true]), None);
        assert_eq!(youden(&[0.1, f64::NAN], &[true, false]), None);
    }

    #[test]
    fn high_sensitivity_needs_enough_positives() {
        let scores: Vec<f64> = (0..80).map(f64::from).collect();
        let labels: Vec<bool> = (0..80).map(|i| i >= 40).collect();
        let found = high_sensitivity(&scores, &labels, TARGET).expect("40 positives");
        assert!(found.sensitivity >= 0.975 && found.threshold > 38.0, "{found:?}");
        let refused = high_sensitivity(&scores[..60], &labels[..60], TARGET).expect_err("20 positives");
        assert!(refused.contains("20 positive") && refused.contains("36"), "{refused}");
        let found = high_specificity(&scores, &labels, TARGET).expect("40 negatives");
        assert!(found.specificity >= 0.975 && found.threshold < 41.0, "{found:?}");
    }

    #[test]
    fn predictive_values_follow_prevalence() {
        let found =
            youden(&[0.1, 0.6, 0.2, 0.4, 0.5, 0.9], &[false, false, false, true, true, true]).expect("two classes");
        assert!(found.specificity < 1.0, "else PPV would be 1 everywhere");
        let values = found.predictive_values();
        assert!(values[0].1 < values[1].1 && values[1].1 < values[2].1);
    }
}
