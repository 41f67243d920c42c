//! Intervals at 95 % and comparisons: Clopper and Pearson, Wilson, DeLong, McNemar, percentiles of a bootstrap.

use statrs::function::beta::beta_reg;
use statrs::function::erf::erfc;

/// Two-sided quantile of the standard normal at 95 %.
const Z: f64 = 1.959_963_984_540_054;
/// What lies outside on each side.
const TAIL: f64 = 0.025;

/// A value with its interval; the ends are `None` where none can be given.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Interval {
    pub lower: Option<f64>,
    pub upper: Option<f64>,
}

impl Interval {
    pub fn new(lower: f64, upper: f64) -> Self {
        Self { lower: Some(lower), upper: Some(upper) }
    }
}

/// Clopper and Pearson's exact interval for `successes` of `total`; both ends `None` for an empty total.
pub fn clopper_pearson(successes: u64, total: u64) -> Interval {
    if total == 0 || successes > total {
        return Interval::default();
    }
    let (k, n) = (successes as f64, total as f64);
    let lower = if successes == 0 { 0.0 } else { beta_quantile(k, n - k + 1.0, TAIL) };
    let upper = if successes == total { 1.0 } else { beta_quantile(k + 1.0, n - k, 1.0 - TAIL) };
    Interval::new(lower, upper)
}

/// By bisection: slow, and as exact as the function it inverts.
fn beta_quantile(a: f64, b: f64, share: f64) -> f64 {
    let (mut low, mut high) = (0.0f64, 1.0f64);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if beta_reg(a, b, middle) < share { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Wilson's score interval, for the bars of a reliability diagram; `weight` need not be whole.
pub fn wilson(observed: f64, weight: f64) -> Interval {
    if weight.is_nan() || weight <= 0.0 {
        return Interval::default();
    }
    let z2 = Z * Z;
    let centre = (observed + z2 / (2.0 * weight)) / (1.0 + z2 / weight);
    let half = Z / (1.0 + z2 / weight) * (observed * (1.0 - observed) / weight + z2 / (4.0 * weight * weight)).sqrt();
    Interval::new((centre - half).max(0.0), (centre + half).min(1.0))
}

/// An area under the ROC curve with its variance by DeLong, DeLong, Clarke-Pearson (1988).
#[derive(Debug, Clone, PartialEq)]
pub struct Delong {
    pub auc: f64,
    /// `None` with fewer than two of a class.
    pub variance: Option<f64>,
    /// Share of negatives below each positive, and of positives above each negative.
    placements: [Vec<f64>; 2],
}

/// DeLong's estimate; `None` for one class only or NaN.
pub fn delong(scores: &[f64], labels: &[bool]) -> Option<Delong> {
    if scores.len() != labels.len() || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let of = |wanted: bool| -> Vec<f64> {
        scores.iter().zip(labels).filter(|(_, label)| **label == wanted).map(|(score, _)| *score).collect()
    };
    let (positives, negatives) = (of(true), of(false));
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    let below = placements(&positives, &negatives);
    let above = placements(&negatives, &positives).into_iter().map(|share| 1.0 - share).collect::<Vec<f64>>();
    let auc = mean(&below);
    let variance = covariance(&below, &below)
        .zip(covariance(&above, &above))
        .map(|(p, n)| p / positives.len() as f64 + n / negatives.len() as f64);
    Some(Delong { auc, variance, placements: [below, above] })
}

/// For each value the share of `others` below it, ties counted half.
fn placements(values: &[f64], others: &[f64]) -> Vec<f64> {
    let mut sorted = others.to_vec();
    sorted.sort_by(f64::total_cmp);
    let share = |value: &f64| {
        let below = sorted.partition_point(|other| other < value);
        let up_to = sorted.partition_point(|other| other <= value);
        (below as f64 + 0.5 * (up_to - below) as f64) / sorted.len() as f64
    };
    values.iter().map(share).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn covariance(a: &[f64], b: &[f64]) -> Option<f64> {
    let (ma, mb) = (mean(a), mean(b));
    let products = a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>();
    (a.len() >= 2).then(|| products / (a.len() - 1) as f64)
}

impl Delong {
    /// On the logit scale, so that it stays inside 0 to 1. Where every pair is ordered alike the variance is 0 and says nothing;
    /// the interval then is the exact one for the smaller class as so many successes in a row.
    pub fn interval(&self) -> Interval {
        let auc = self.auc;
        if auc <= 0.0 || auc >= 1.0 {
            let n = self.placements[0].len().min(self.placements[1].len()) as u64;
            return clopper_pearson(if auc >= 1.0 { n } else { 0 }, n);
        }
        let Some(variance) = self.variance else { return Interval::default() };
        let centre = libm::log(auc / (1.0 - auc));
        let half = Z * variance.sqrt() / (auc * (1.0 - auc));
        let back = |logit: f64| 1.0 / (1.0 + libm::exp(-logit));
        Interval::new(back(centre - half), back(centre + half))
    }
}

/// Two areas on the same things.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct AucDifference {
    /// First less second.
    pub difference: f64,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    /// Two-sided; `None` where the difference does not vary.
    pub p: Option<f64>,
    pub n: usize,
}

/// Paired DeLong test of two scores of the same things; `None` for one class only or NaN.
pub fn delong_difference(first: &[f64], second: &[f64], labels: &[bool]) -> Option<AucDifference> {
    let (a, b) = (delong(first, labels)?, delong(second, labels)?);
    let difference = a.auc - b.auc;
    let part = |class: usize| -> Option<f64> {
        let (x, y) = (&a.placements[class], &b.placements[class]);
        let spread: Vec<f64> = x.iter().zip(y).map(|(x, y)| x - y).collect();
        Some(covariance(&spread, &spread)? / x.len() as f64)
    };
    let error = part(0).zip(part(1)).map(|(p, n)| (p + n).sqrt());
    let p = error.filter(|&error| error > 0.0).map(|error| two_sided(difference / error));
    let end = |sign: f64| error.map(|error| difference + sign * Z * error);
    Some(AucDifference { difference, lower: end(-1.0), upper: end(1.0), p, n: labels.len() })
}

/// Two-sided tail of the standard normal.
fn two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// McNemar's test of two hard answers to the same things.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Mcnemar {
    /// Right by the first only.
    pub first_only: u64,
    /// Right by the second only.
    pub second_only: u64,
    /// Exact, two-sided; 1 where they never disagree.
    pub p: f64,
    pub n: usize,
}

/// The exact (binomial) form of McNemar's test.
pub fn mcnemar(first: &[bool], second: &[bool], labels: &[bool]) -> Mcnemar {
    let (mut first_only, mut second_only) = (0u64, 0u64);
    for ((a, b), label) in first.iter().zip(second).zip(labels) {
        match (a == label, b == label) {
            (true, false) => first_only += 1,
            (false, true) => second_only += 1,
            _ => {}
        }
    }
    let discordant = first_only + second_only;
    let fewer = first_only.min(second_only);
    // P(X <= k) for n fair coins is I_1/2(n - k, k + 1).
    let tail = |k: u64| beta_reg((discordant - k) as f64, k as f64 + 1.0, 0.5);
    let p = if discordant == 0 || 2 * fewer == discordant { 1.0 } else { (2.0 * tail(fewer)).min(1.0) };
    Mcnemar { first_only, second_only, p, n: labels.len() }
}

/// Percentile with linear interpolation between neighbours, as numpy's default; `sorted` must be.
pub(super) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let low = place.floor();
    let (a, b) = (sorted.get(low as usize)?, sorted.get((low as usize + 1).min(last))?);
    Some(a + (b - a) * (place - low))
}

/// The percentile interval of bootstrap draws. Draws in which the value is undefined are left out; where they are more than half,
/// there is no interval.
pub(super) fn percentile_interval(draws: &[Option<f64>]) -> Interval {
    let mut values: Vec<f64> = draws.iter().flatten().copied().collect();
    if values.len() * 2 <= draws.len() {
        return Interval::default();
    }
    values.sort_by(f64::total_cmp);
    Interval { lower: percentile(&values, TAIL), upper: percentile(&values, 1.0 - TAIL) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(interval: Interval, lower: f64, upper: f64, tolerance: f64) {
        let (a, b) = (interval.lower.expect("lower"), interval.upper.expect("upper"));
        assert!((a - lower).abs() < tolerance && (b - upper).abs() < tolerance, "{a} {b}");
    }

    #[test]
    fn clopper_pearson_worked_values() {
        let worked = [
            ((0, 10), (0.0, 0.308497)),
            ((10, 10), (0.691503, 1.0)),
            ((67, 104), (0.544333, 0.735682)),
            ((80, 104), (0.676367, 0.846201)),
            ((352, 419), (0.801426, 0.873876)),
        ];
        for ((k, n), (lower, upper)) in worked {
            check(clopper_pearson(k, n), lower, upper, 5e-7);
        }
        assert_eq!(clopper_pearson(0, 0), Interval::default());
        // Closed form for nothing of n: 1 - 0.025^(1/n).
        check(clopper_pearson(0, 10), 0.0, 1.0 - 0.025f64.powf(0.1), 1e-12);
    }

    #[test]
    fn delong_worked_value() {
        let scores = [0.9, 0.8, 0.4, 0.6, 0.1, 0.3, 0.5, 0.2, 0.4];
        let labels = [true, true, true, true, false, false, false, false, false];
        let found = delong(&scores, &labels).expect("two classes");
        assert!((found.auc - 0.925).abs() < 1e-12 && (found.variance.expect("enough") - 0.008125).abs() < 1e-12);
        let interval = found.interval();
        assert!(interval.lower.expect("lower") > 0.45 && interval.upper.expect("upper") < 1.0);
        let same = delong_difference(&scores, &scores, &labels).expect("two classes");
        assert_eq!((same.difference, same.p), (0.0, None));
    }

    #[test]
    fn a_perfect_area_has_an_interval_that_narrows_with_n() {
        let perfect = |n: usize| {
            let scores: Vec<f64> = (0..2 * n).map(|i| i as f64).collect();
            let labels: Vec<bool> = (0..2 * n).map(|i| i >= n).collect();
            delong(&scores, &labels).expect("two classes").interval()
        };
        check(perfect(10), 0.691503, 1.0, 1e-6);
        assert!(perfect(100).lower > perfect(10).lower);
    }

    #[test]
    fn mcnemar_by_hand() {
        // 1 against 5 of 6: 2 * (1 + 6) / 64.
        let first = [true, false, false, false, false, false, true];
        let second = [false, true, true, true, true, true, true];
        let found = mcnemar(&first, &second, &[true; 7]);
        assert_eq!((found.first_only, found.second_only), (1, 5));
        assert!((found.p - 14.0 / 64.0).abs() < 1e-12);
        assert_eq!(mcnemar(&first, &first, &[true; 7]).p, 1.0);
    }

    #[test]
    fn percentiles_interpolate_and_undefined_draws_are_left_out() {
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.5));
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile_interval(&[Some(1.0), None, None]), Interval::default());
        assert_eq!(percentile_interval(&[Some(1.0), Some(1.0), None]), Interval::new(1.0, 1.0));
    }

    #[test]
    fn wilson_holds_the_value_and_stays_inside() {
        for (observed, weight) in [(0.0, 5.0), (1.0, 5.0), (0.4, 12.5)] {
            let interval = wilson(observed, weight);
            let (low, high) = (interval.lower.expect("lower"), interval.upper.expect("upper"));
            assert!((0.0..=observed + 1e-15).contains(&low) && high <= 1.0 && high >= observed - 1e-15);
        }
    }
}
