//! Scores of probabilities: Brier, log-loss, calibration error, reliability, and RSNA's weighted log-loss.

/// Probabilities are kept this far from 0 and 1 in a logarithm, as scikit-learn does for f64.
const CLIP: f64 = f64::EPSILON;

fn usable(probabilities: &[f64], labels: &[bool]) -> bool {
    !labels.is_empty() && probabilities.len() == labels.len() && probabilities.iter().all(|p| (0.0..=1.0).contains(p))
}

fn target(label: bool) -> f64 {
    if label { 1.0 } else { 0.0 }
}

/// Mean squared distance from the label; `None` for an empty list, NaN or values outside 0 to 1.
pub fn brier(probabilities: &[f64], labels: &[bool]) -> Option<f64> {
    let squares = || probabilities.iter().zip(labels).map(|(p, &y)| (p - target(y)) * (p - target(y)));
    usable(probabilities, labels).then(|| squares().sum::<f64>() / labels.len() as f64)
}

/// Brier score against that of always saying the prevalence: 1 is perfect, 0 is no better than the prevalence.
pub fn brier_skill(probabilities: &[f64], labels: &[bool]) -> Option<f64> {
    let prevalence = labels.iter().filter(|&&y| y).count() as f64 / labels.len().max(1) as f64;
    let reference = prevalence * (1.0 - prevalence);
    (reference > 0.0).then_some(())?;
    Some(1.0 - brier(probabilities, labels)? / reference)
}

/// Log-loss of one answer, clipped.
pub(super) fn loss(probability: f64, label: bool) -> f64 {
    let p = probability.clamp(CLIP, 1.0 - CLIP);
    -libm::log(if label { p } else { 1.0 - p })
}

/// Mean negative log-likelihood; `None` as for [`brier`].
pub fn log_loss(probabilities: &[f64], labels: &[bool]) -> Option<f64> {
    let losses = || probabilities.iter().zip(labels).map(|(&p, &y)| loss(p, y));
    usable(probabilities, labels).then(|| losses().sum::<f64>() / labels.len() as f64)
}

/// The same from logits, without a detour over probabilities that round to 0 or 1.
pub fn log_loss_of_logits(logits: &[f64], labels: &[bool]) -> Option<f64> {
    if labels.is_empty() || logits.len() != labels.len() || logits.iter().any(|z| !z.is_finite()) {
        return None;
    }
    let loss = |(&z, &y): (&f64, &bool)| z.max(0.0) - z * target(y) + libm::log1p(libm::exp(-z.abs()));
    Some(logits.iter().zip(labels).map(loss).sum::<f64>() / labels.len() as f64)
}

/// A bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Bin {
    pub mean_probability: f64,
    pub observed: f64,
    /// Of the things in the bin; not whole where a tie is shared between bins.
    pub weight: f64,
}

/// `bins` bins of equal mass by probability. Things of one probability are alike: where a bin's border falls among them, each bin
/// takes its share of their mean, so that the order of the list does not matter.
pub fn equal_mass_bins(probabilities: &[f64], labels: &[bool], bins: usize) -> Vec<Bin> {
    if !usable(probabilities, labels) || bins == 0 {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let mut groups: Vec<(f64, f64, f64)> = Vec::new();
    for index in order {
        if groups.last().is_none_or(|group| group.0 != probabilities[index]) {
            groups.push((probabilities[index], 0.0, 0.0));
        }
        if let Some(group) = groups.last_mut() {
            group.1 += 1.0;
            group.2 += target(labels[index]);
        }
    }
    bins_of_groups(&groups, bins)
}

/// [`equal_mass_bins`] of `(probability, weight, weight of the positives)` in rising order of probability.
pub(super) fn bins_of_groups(groups: &[(f64, f64, f64)], bins: usize) -> Vec<Bin> {
    let total: f64 = groups.iter().map(|group| group.1).sum();
    let size = total / bins as f64;
    let mut filled: Vec<Bin> = Vec::with_capacity(bins);
    let mut open = Bin { mean_probability: 0.0, observed: 0.0, weight: 0.0 };
    for &(probability, weight, positives) in groups {
        let mut left = weight;
        // What rounding leaves over stays in the last bin.
        while left > 1e-12 * size {
            let last = filled.len() + 1 >= bins;
            let taken = if last { left } else { left.min(size - open.weight) };
            open.weight += taken;
            open.mean_probability += taken * probability;
            open.observed += taken * positives / weight;
            left -= taken;
            if !last && size - open.weight <= 1e-9 * size {
                filled.push(open);
                open = Bin { mean_probability: 0.0, observed: 0.0, weight: 0.0 };
            }
        }
    }
    filled.push(open);
    filled.retain(|bin| bin.weight > 0.0);
    for bin in &mut filled {
        bin.mean_probability /= bin.weight;
        bin.observed /= bin.weight;
    }
    filled
}

/// Expected calibration error over bins: mean distance between what was said and what was seen.
pub(super) fn error_of_bins(bins: &[Bin]) -> Option<f64> {
    let total: f64 = bins.iter().map(|bin| bin.weight).sum();
    let distance = |bin: &Bin| bin.weight * (bin.mean_probability - bin.observed).abs();
    (total > 0.0).then(|| bins.iter().map(distance).sum::<f64>() / total)
}

/// Expected calibration error over `bins` bins of equal mass; `None` as for [`brier`].
pub fn calibration_error(probabilities: &[f64], labels: &[bool], bins: usize) -> Option<f64> {
    error_of_bins(&equal_mass_bins(probabilities, labels, bins))
}

/// How often RSNA 2022's metric counts a positive.
pub(super) const POSITIVE_WEIGHT: f64 = 2.0;

/// The least log-loss with positives counted twice that one answer for all can have, at a prevalence (0..=1): what any network
/// must beat.
pub fn best_constant_weighted_loss(prevalence: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&prevalence) {
        return None;
    }
    let (yes, no) = (POSITIVE_WEIGHT * prevalence, 1.0 - prevalence);
    let answer = yes / (yes + no);
    let part = |weight: f64, probability: f64| if weight > 0.0 { -weight * probability.ln() } else { 0.0 };
    Some((part(yes, answer) + part(no, 1.0 - answer)) / (yes + no))
}

/// RSNA 2022's weighted log-loss: per study C1 to C7 and the patient as a whole; weights 1 for a negative and 2 for a
/// positive level, 7 and 14 for the patient, divided by the sum of weights.
pub fn rsna_weighted_log_loss(probabilities: &[[f64; 8]], labels: &[[bool; 8]]) -> Option<f64> {
    if labels.is_empty() || labels.len() != probabilities.len() {
        return None;
    }
    let (mut sum, mut weights) = (0.0, 0.0);
    for (row, truth) in probabilities.iter().zip(labels) {
        for (place, (&p, &y)) in row.iter().zip(truth).enumerate() {
            if !(0.0..=1.0).contains(&p) {
                return None;
            }
            let weight = if place == 7 { 7.0 } else { 1.0 } * if y { POSITIVE_WEIGHT } else { 1.0 };
            sum += weight * loss(p, y);
            weights += weight;
        }
    }
    Some(sum / weights)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn perfect_and_worst() {
        let labels = [true, false];
        assert_eq!((brier(&[1.0, 0.0], &labels), brier(&[0.0, 1.0], &labels)), (Some(0.0), Some(1.0)));
        assert_eq!(
            (brier(&[1.2, 0.0], &labels), log_loss(&[f64::NAN, 0.0], &labels), brier(&[], &[])),
            (None, None, None)
        );
        assert!(log_loss(&[0.0, 1.0], &labels).expect("clipped") > 36.0);
        assert_eq!(brier_skill(&[0.5, 0.5], &labels), Some(0.0));
        assert_eq!(brier_skill(&[0.5, 0.5], &[true, true]), None);
    }

    #[test]
    fn the_best_constant_on_rsna_is_the_known_one() {
        // Positives per level and of patients among the 2,019 studies; each constant is the weighted share of positives.
        let positives = [146.0, 285.0, 73.0, 108.0, 162.0, 277.0, 393.0, 961.0];
        let (mut sum, mut weights) = (0.0, 0.0);
        for (place, p) in positives.into_iter().enumerate() {
            let scale = if place == 7 { 7.0 } else { 1.0 };
            let (yes, no) = (2.0 * p * scale, (2019.0 - p) * scale);
            let constant = yes / (yes + no);
            sum += yes * loss(constant, true) + no * loss(constant, false);
            weights += yes + no;
        }
        assert!((sum / weights - 0.567f64).abs() < 1e-3, "{}", sum / weights);
        let one = rsna_weighted_log_loss(&[[0.5; 8]], &[[true; 8]]).expect("a row");
        assert!((one - std::f64::consts::LN_2).abs() < 1e-12);
    }

    #[test]
    fn bins_hold_equal_mass_whatever_the_order() {
        let p = [0.1, 0.2, 0.2, 0.2, 0.9, 0.9];
        let y = [false, true, false, false, true, true];
        let bins = equal_mass_bins(&p, &y, 3);
        assert_eq!(bins.len(), 3);
        assert!(bins.iter().all(|bin| (bin.weight - 2.0).abs() < 1e-12));
        let reversed: (Vec<f64>, Vec<bool>) = p.into_iter().zip(y).rev().unzip();
        assert_eq!(calibration_error(&p, &y, 3), calibration_error(&reversed.0, &reversed.1, 3));
        assert!((bins[1].observed - 1.0 / 3.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn bins_keep_all(data in prop::collection::vec((0u8..=20, any::<bool>()), 1..60), bins in 1usize..12) {
            let p: Vec<f64> = data.iter().map(|d| f64::from(d.0) / 20.0).collect();
            let y: Vec<bool> = data.iter().map(|d| d.1).collect();
            let found = equal_mass_bins(&p, &y, bins);
            let weight: f64 = found.iter().map(|b| b.weight).sum();
            let positives: f64 = found.iter().map(|b| b.weight * b.observed).sum();
            prop_assert!((weight - p.len() as f64).abs() < 1e-9);
            prop_assert!((positives - y.iter().filter(|&&l| l).count() as f64).abs() < 1e-9);
            prop_assert!(found.len() <= bins);
            prop_assert!(found.windows(2).all(|w| w[0].mean_probability <= w[1].mean_probability + 1e-12));
        }

        #[test]
        fn logits_and_probabilities_agree(data in prop::collection::vec((-8.0f64..8.0, any::<bool>()), 1..40)) {
            let z: Vec<f64> = data.iter().map(|d| d.0).collect();
            let y: Vec<bool> = data.iter().map(|d| d.1).collect();
            let p: Vec<f64> = z.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
            let (a, b) = (log_loss(&p, &y).expect("finite"), log_loss_of_logits(&z, &y).expect("finite"));
            prop_assert!((a - b).abs() < 1e-9 * (1.0 + a));
        }
    }
}
