//! What needs no threshold: ROC and precision-recall, with ties treated as one step.

/// `(score, positives, negatives)` per distinct score, highest first; `None` for NaN or lists of two lengths.
fn steps(scores: &[f64], labels: &[bool]) -> Option<Vec<(f64, f64, f64)>> {
    if scores.len() != labels.len() || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut steps: Vec<(f64, f64, f64)> = Vec::new();
    for index in order {
        // Compared as numbers, so that 0 and -0 are one step.
        if steps.last().is_none_or(|step| step.0 != scores[index]) {
            steps.push((scores[index], 0.0, 0.0));
        }
        if let Some(step) = steps.last_mut() {
            if labels[index] { step.1 += 1.0 } else { step.2 += 1.0 }
        }
    }
    Some(steps)
}

fn totals(steps: &[(f64, f64, f64)]) -> (f64, f64) {
    steps.iter().fold((0.0, 0.0), |(p, n), step| (p + step.1, n + step.2))
}

/// Area under the ROC curve by mid-ranks (ties count half); `None` for one class only or NaN.
pub fn roc_auc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let steps = steps(scores, labels)?;
    let (positives, negatives) = totals(&steps);
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut above = 0.0;
    let mut wins = 0.0;
    for (_, p, n) in steps {
        wins += n * (above + 0.5 * p);
        above += p;
    }
    Some(wins / (positives * negatives))
}

/// Average precision: the sum over steps of recall gained times precision, not interpolated; `None` without positives or
/// with NaN.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let steps = steps(scores, labels)?;
    let (positives, _) = totals(&steps);
    if positives == 0.0 {
        return None;
    }
    let (mut tp, mut called, mut sum) = (0.0, 0.0, 0.0);
    for (_, p, n) in steps {
        tp += p;
        called += p + n;
        sum += p / positives * (tp / called);
    }
    Some(sum)
}

/// `(false positive rate, true positive rate)` from (0, 0) to (1, 1); empty where [`roc_auc`] is `None`.
pub fn roc_curve(scores: &[f64], labels: &[bool]) -> Vec<(f64, f64)> {
    let Some(steps) = steps(scores, labels) else { return Vec::new() };
    let (positives, negatives) = totals(&steps);
    if positives == 0.0 || negatives == 0.0 {
        return Vec::new();
    }
    let mut curve = vec![(0.0, 0.0)];
    let (mut tp, mut fp) = (0.0, 0.0);
    for (_, p, n) in steps {
        tp += p;
        fp += n;
        curve.push((fp / negatives, tp / positives));
    }
    curve
}

/// `(recall, precision)` by falling threshold; empty without positives.
pub fn precision_recall_curve(scores: &[f64], labels: &[bool]) -> Vec<(f64, f64)> {
    let Some(steps) = steps(scores, labels) else { return Vec::new() };
    let (positives, _) = totals(&steps);
    if positives == 0.0 {
        return Vec::new();
    }
    let (mut tp, mut called) = (0.0, 0.0);
    let point = |(_, p, n): (f64, f64, f64)| {
        tp += p;
        called += p + n;
        (tp / positives, tp / called)
    };
    steps.into_iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCORES: [f64; 9] = [0.9, 0.8, 0.4, 0.6, 0.1, 0.3, 0.5, 0.2, 0.4];
    const LABELS: [bool; 9] = [true, true, true, true, false, false, false, false, false];

    #[test]
    fn worked_values() {
        assert!((roc_auc(&SCORES, &LABELS).expect("two classes") - 0.925).abs() < 1e-12);
        assert!((average_precision(&SCORES, &LABELS).expect("positives") - 0.9166667).abs() < 1e-7);
    }

    #[test]
    fn one_class_and_nan_have_no_area() {
        assert_eq!((roc_auc(&[0.1, 0.2], &[true, true]), roc_auc(&[], &[])), (None, None));
        assert_eq!(roc_auc(&[f64::NAN, 0.2], &[true, false]), None);
        assert_eq!(average_precision(&[0.1, 0.2], &[false, false]), None);
        assert_eq!(average_precision(&[0.1, 0.2], &[true, true]), Some(1.0));
    }

    proptest! {
        #[test]
        fn area_counts_pairs(data in prop::collection::vec((0u8..6, any::<bool>()), 2..40)) {
            let scores: Vec<f64> = data.iter().map(|d| f64::from(d.0)).collect();
            let labels: Vec<bool> = data.iter().map(|d| d.1).collect();
            let mut pairs = 0.0;
            let mut wins = 0.0;
            for (i, _) in labels.iter().enumerate().filter(|l| *l.1) {
                for (j, _) in labels.iter().enumerate().filter(|l| !*l.1) {
                    pairs += 1.0;
                    wins += if scores[i] > scores[j] { 1.0 } else if scores[i] == scores[j] { 0.5 } else { 0.0 };
                }
            }
            match roc_auc(&scores, &labels) {
                None => prop_assert_eq!(pairs, 0.0),
                Some(area) => prop_assert!((area - wins / pairs).abs() < 1e-12),
            }
        }

        #[test]
        fn area_lies_under_the_curve(data in prop::collection::vec((0u8..9, any::<bool>()), 2..40)) {
            let scores: Vec<f64> = data.iter().map(|d| f64::from(d.0)).collect();
            let labels: Vec<bool> = data.iter().map(|d| d.1).collect();
            let curve = roc_curve(&scores, &labels);
            let area: f64 = curve.windows(2).map(|w| (w[1].0 - w[0].0) * 0.5 * (w[0].1 + w[1].1)).sum();
            if let Some(auc) = roc_auc(&scores, &labels) {
                prop_assert!((area - auc).abs() < 1e-12);
            }
        }
    }
}
