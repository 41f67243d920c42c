//! From logits to probabilities: temperature and Platt scaling, and how far given probabilities are off. Fitted on validation
//! data only, never on what is then reported.

use super::proper::log_loss_of_logits;

/// With fewer positives than this the temperature is drawn to 1, and Platt scaling is not tried.
pub const ENOUGH_POSITIVES: usize = 30;
/// Standard deviation of ln T in the prior that draws it to 1.
const PRIOR_SD: f64 = 0.5;
/// ln T is sought between minus and plus this.
const LOG_RANGE: f64 = 4.0;
/// Parts of the cross-validation that decides between temperature and Platt.
const PARTS: usize = 5;

/// `p = sigmoid(slope * logit + intercept)`; a temperature is a slope of `1 / T` without an intercept.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scaling {
    pub slope: f64,
    pub intercept: f64,
}

impl Scaling {
    pub const NONE: Self = Self { slope: 1.0, intercept: 0.0 };

    pub fn logit(&self, logit: f64) -> f64 {
        self.slope * logit + self.intercept
    }
    pub fn probability(&self, logit: f64) -> f64 {
        sigmoid(self.logit(logit))
    }
}

/// A fitted calibration as a card stores it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Calibration {
    /// Of the temperature alone.
    pub temperature: f64,
    /// Given where it is the better one.
    pub platt: Option<Scaling>,
    pub n: usize,
    pub positives: usize,
}

impl Calibration {
    /// What is to be applied.
    pub fn scaling(&self) -> Scaling {
        self.platt.unwrap_or(Scaling { slope: 1.0 / self.temperature, intercept: 0.0 })
    }
}

pub fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}

/// ln(p / (1 - p)), kept finite.
pub fn logit(probability: f64) -> f64 {
    let p = probability.clamp(1e-15, 1.0 - 1e-15);
    libm::log(p / (1.0 - p))
}

/// Temperature, and Platt's two parameters where there are 30 positives and five-fold cross-validation prefers them. `None` for
/// one class only or values that are not finite.
pub fn calibrate(logits: &[f64], labels: &[bool]) -> Option<Calibration> {
    let temperature = temperature(logits, labels)?;
    let positives = labels.iter().filter(|&&label| label).count();
    let better = positives >= ENOUGH_POSITIVES && labels.len() - positives >= PARTS && platt_wins(logits, labels)?;
    let platt = if better { platt(logits, labels) } else { None };
    Some(Calibration { temperature, platt, n: labels.len(), positives })
}

fn has_two_classes(logits: &[f64], labels: &[bool]) -> bool {
    logits.len() == labels.len()
        && logits.iter().all(|z| z.is_finite())
        && labels.contains(&true)
        && labels.contains(&false)
}

/// The temperature that minimises the log-loss (golden section on ln T), with fewer than 30 positives under a log-normal prior
/// around 1; `None` as for [`calibrate`].
pub fn temperature(logits: &[f64], labels: &[bool]) -> Option<f64> {
    if !has_two_classes(logits, labels) {
        return None;
    }
    let few = labels.iter().filter(|&&label| label).count() < ENOUGH_POSITIVES;
    let cost = |log_t: f64| {
        let scaled: Vec<f64> = logits.iter().map(|z| z * libm::exp(-log_t)).collect();
        let prior = if few { log_t * log_t / (2.0 * PRIOR_SD * PRIOR_SD) } else { 0.0 };
        log_loss_of_logits(&scaled, labels).unwrap_or(f64::INFINITY) * labels.len() as f64 + prior
    };
    Some(libm::exp(golden_section(cost, -LOG_RANGE, LOG_RANGE)))
}

/// The minimum of a function with one valley.
fn golden_section(cost: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let ratio = 0.5 * (5.0f64.sqrt() - 1.0);
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_a, mut at_b) = (cost(a), cost(b));
    while high - low > 1e-9 {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - ratio * (high - low);
            at_a = cost(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + ratio * (high - low);
            at_b = cost(b);
        }
    }
    0.5 * (low + high)
}

/// Platt's slope and intercept with his softened targets (Platt 1999), which keep separable data finite; `None` as for
/// [`calibrate`].
pub fn platt(logits: &[f64], labels: &[bool]) -> Option<Scaling> {
    if !has_two_classes(logits, labels) {
        return None;
    }
    let positives = labels.iter().filter(|&&label| label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
    let targets: Vec<f64> = labels.iter().map(|&label| if label { high } else { low }).collect();
    logistic(logits, &targets)
}

/// Logistic regression of targets in 0..=1 on one variable by Newton's method with halved steps.
fn logistic(x: &[f64], targets: &[f64]) -> Option<Scaling> {
    let cost = |s: Scaling| -> f64 {
        let loss = |z: f64, t: f64| z.max(0.0) - z * t + libm::log1p(libm::exp(-z.abs()));
        x.iter().zip(targets).map(|(&x, &t)| loss(s.logit(x), t)).sum()
    };
    let mut at = Scaling { slope: 0.0, intercept: 0.0 };
    let mut here = cost(at);
    for _ in 0..200 {
        let (mut g, mut h) = ([0.0f64; 2], [0.0f64; 3]);
        for (&x, &t) in x.iter().zip(targets) {
            let p = at.probability(x);
            let w = (p * (1.0 - p)).max(1e-12);
            g[0] += (p - t) * x;
            g[1] += p - t;
            h[0] += w * x * x;
            h[1] += w * x;
            h[2] += w;
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        if !(determinant > 0.0 && determinant.is_finite()) {
            return None;
        }
        let step = [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant];
        let mut scale = 1.0;
        let (next, there) = loop {
            let next = Scaling { slope: at.slope - scale * step[0], intercept: at.intercept - scale * step[1] };
            let there = cost(next);
            if there <= here || scale < 1e-10 {
                break (next, there);
            }
            scale *= 0.5;
        };
        if there > here {
            return Some(at);
        }
        let moved = (next.slope - at.slope).abs() + (next.intercept - at.intercept).abs();
        (at, here) = (next, there);
        if moved < 1e-11 * (1.0 + at.slope.abs() + at.intercept.abs()) {
            return Some(at);
        }
    }
    // A slope that never settles belongs to separable data.
    None
}

/// Whether Platt scaling has the lower cross-validated log-loss. Parts are dealt out class by class, in the order given.
fn platt_wins(logits: &[f64], labels: &[bool]) -> Option<bool> {
    let mut seen = [0usize; 2];
    let part: Vec<usize> = labels
        .iter()
        .map(|&label| {
            let count = &mut seen[usize::from(label)];
            *count += 1;
            *count % PARTS
        })
        .collect();
    let (mut by_platt, mut by_temperature) = (0.0, 0.0);
    for held_out in 0..PARTS {
        let pick = |inside: bool| -> (Vec<f64>, Vec<bool>) {
            let chosen = (0..labels.len()).filter(|&i| (part[i] == held_out) == inside);
            chosen.map(|i| (logits[i], labels[i])).unzip()
        };
        let ((fit_z, fit_y), (test_z, test_y)) = (pick(false), pick(true));
        let losses = |scaling: Scaling| -> Option<f64> {
            let scaled: Vec<f64> = test_z.iter().map(|&z| scaling.logit(z)).collect();
            Some(log_loss_of_logits(&scaled, &test_y)? * test_y.len() as f64)
        };
        by_platt += losses(platt(&fit_z, &fit_y)?)?;
        by_temperature += losses(Scaling { slope: 1.0 / temperature(&fit_z, &fit_y)?, intercept: 0.0 })?;
    }
    Some(by_platt < by_temperature)
}

/// Calibration slope with its intercept: the logistic regression of the labels on the logits. 1 and 0 are perfect; `None` for one
/// class only or classes that can be parted without error.
pub fn slope_and_intercept(logits: &[f64], labels: &[bool]) -> Option<Scaling> {
    if !has_two_classes(logits, labels) {
        return None;
    }
    let targets: Vec<f64> = labels.iter().map(|&label| if label { 1.0 } else { 0.0 }).collect();
    logistic(logits, &targets).filter(|found| found.slope.abs() < 1e3)
}

/// Calibration in the large: the intercept at a slope of 1; above 0 the scores are too low.
pub fn intercept_in_the_large(logits: &[f64], labels: &[bool]) -> Option<f64> {
    if !has_two_classes(logits, labels) {
        return None;
    }
    let positives = labels.iter().filter(|&&label| label).count() as f64;
    let (mut low, mut high) = (-60.0f64, 60.0f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        let expected: f64 = logits.iter().map(|z| sigmoid(z + middle)).sum();
        if expected < positives { low = middle } else { high = middle }
    }
    Some(0.5 * (low + high))
}

/// The logit as it would be where another share of cases is positive (Bayes; the network's evidence is left as it is).
pub fn shifted_to_prevalence(logit_at_training: f64, training: f64, local: f64) -> f64 {
    logit_at_training + logit(local) - logit(training)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Labels drawn so that `sigmoid(logit / t + shift)` is the truth.
    fn drawn(n: usize, t: f64, shift: f64) -> (Vec<f64>, Vec<bool>) {
        let mut stream = Stream::named(3, "calibration test", 0);
        let of = |_| {
            let z = 4.0 * stream.normal();
            (z, stream.chance(sigmoid(z / t + shift)))
        };
        (0..n).map(of).unzip()
    }

    #[test]
    fn the_temperature_is_found() {
        let (z, y) = drawn(20_000, 2.5, 0.0);
        let found = temperature(&z, &y).expect("two classes");
        assert!((found - 2.5).abs() < 0.1, "{found}");
    }

    #[test]
    fn few_positives_draw_the_temperature_to_one() {
        let z = [3.0, 2.0, -2.0, -3.0, -1.0];
        let y = [true, true, false, false, false];
        let found = temperature(&z, &y).expect("two classes");
        assert!(found > 0.2 && found < 1.0, "without a prior it would go to 0: {found}");
        assert_eq!(temperature(&z, &[true; 5]), None);
        assert_eq!(temperature(&[f64::NAN, 1.0], &[true, false]), None);
    }

    #[test]
    fn platt_is_taken_where_an_intercept_is_needed() {
        let (z, y) = drawn(4000, 2.0, -1.5);
        let found = calibrate(&z, &y).expect("two classes");
        let platt = found.platt.expect("better");
        assert!((platt.slope - 0.5).abs() < 0.05 && (platt.intercept + 1.5).abs() < 0.15, "{platt:?}");
        let (z, y) = drawn(40, 2.0, -1.5);
        assert_eq!(calibrate(&z, &y).expect("two classes").platt, None, "too few positives");
    }

    #[test]
    fn slope_and_intercept_of_perfect_probabilities_are_one_and_nought() {
        let (z, y) = drawn(20_000, 1.0, 0.0);
        let found = slope_and_intercept(&z, &y).expect("two classes");
        assert!((found.slope - 1.0).abs() < 0.05 && found.intercept.abs() < 0.08, "{found:?}");
        assert!(intercept_in_the_large(&z, &y).expect("two classes").abs() < 0.08);
        assert_eq!(slope_and_intercept(&[-2.0, -1.0, 1.0, 2.0], &[false, false, true, true]), None);
    }

    #[test]
    fn prevalence_shifts_by_the_difference_of_logits() {
        assert!((sigmoid(shifted_to_prevalence(logit(0.2), 0.2, 0.05)) - 0.05).abs() < 1e-12);
    }
}
