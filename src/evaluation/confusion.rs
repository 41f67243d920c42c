//! Counts at a fixed threshold and the ratios made of them. An undefined ratio is `None`, never 0.

/// How many of each kind; not always whole numbers, since sets may be weighted.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Confusion {
    pub tp: f64,
    #[serde(rename = "fn")]
    pub fn_: f64,
    pub fp: f64,
    pub tn: f64,
}

impl Confusion {
    /// `called` are the hard answers.
    pub fn of(called: &[bool], labels: &[bool]) -> Self {
        let mut counts = Self::default();
        called.iter().zip(labels).for_each(|(&called, &label)| counts.add(called, label, 1.0));
        counts
    }
    /// Scores at or above the threshold are called positive.
    pub fn at(threshold: f64, scores: &[f64], labels: &[bool]) -> Self {
        let called: Vec<bool> = scores.iter().map(|&score| score >= threshold).collect();
        Self::of(&called, labels)
    }
    pub(super) fn add(&mut self, called: bool, label: bool, weight: f64) {
        *match (called, label) {
            (true, true) => &mut self.tp,
            (false, true) => &mut self.fn_,
            (true, false) => &mut self.fp,
            (false, false) => &mut self.tn,
        } += weight;
    }
    pub fn positives(&self) -> f64 {
        self.tp + self.fn_
    }
    pub fn negatives(&self) -> f64 {
        self.tn + self.fp
    }
    pub fn total(&self) -> f64 {
        self.positives() + self.negatives()
    }
    /// TPR, recall.
    pub fn sensitivity(&self) -> Option<f64> {
        ratio(self.tp, self.positives())
    }
    /// TNR.
    pub fn specificity(&self) -> Option<f64> {
        ratio(self.tn, self.negatives())
    }
    /// Precision.
    pub fn ppv(&self) -> Option<f64> {
        ratio(self.tp, self.tp + self.fp)
    }
    pub fn npv(&self) -> Option<f64> {
        ratio(self.tn, self.tn + self.fn_)
    }
    pub fn f1(&self) -> Option<f64> {
        ratio(2.0 * self.tp, 2.0 * self.tp + self.fp + self.fn_)
    }
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.tp + self.tn, self.total())
    }
    /// Half of sensitivity plus specificity: what the paper's tables print as "AUC".
    pub fn balanced_accuracy(&self) -> Option<f64> {
        Some(0.5 * (self.sensitivity()? + self.specificity()?))
    }
    /// Youden's J.
    pub fn youden(&self) -> Option<f64> {
        Some(self.sensitivity()? + self.specificity()? - 1.0)
    }
    /// Matthews' correlation; 0 where its denominator is 0, `None` only for an empty set.
    pub fn mcc(&self) -> Option<f64> {
        let Self { tp, fn_, fp, tn } = *self;
        let denominator = ((tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_)).sqrt();
        match (self.total() > 0.0, denominator > 0.0) {
            (false, _) => None,
            (true, false) => Some(0.0),
            (true, true) => Some((tp * tn - fp * fn_) / denominator),
        }
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Positive and negative predictive value at another prevalence, by Bayes.
pub fn predictive_values(sensitivity: f64, specificity: f64, prevalence: f64) -> [Option<f64>; 2] {
    let (sick, well) = (prevalence, 1.0 - prevalence);
    [
        ratio(sensitivity * sick, sensitivity * sick + (1.0 - specificity) * well),
        ratio(specificity * well, specificity * well + (1.0 - sensitivity) * sick),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_values() {
        let counts = Confusion { tp: 67.0, fn_: 37.0, fp: 66.0, tn: 353.0 };
        let close = |value: Option<f64>, expected: f64| (value.expect("defined") - expected).abs() < 5e-7;
        assert!(close(counts.mcc(), 0.446106) && close(counts.f1(), 0.565401));
        assert!(close(counts.balanced_accuracy(), 0.743356));
        assert!((counts.youden().expect("defined") - (2.0 * 0.743356 - 1.0)).abs() < 1e-6);
    }

    #[test]
    fn undefined_is_none_and_not_zero() {
        let never = Confusion::at(2.0, &[0.1, 0.9], &[false, true]);
        assert_eq!((never.ppv(), never.npv(), never.mcc(), never.f1()), (None, Some(0.5), Some(0.0), Some(0.0)));
        let negatives_only = Confusion::at(0.5, &[0.1, 0.2], &[false, false]);
        assert_eq!((negatives_only.sensitivity(), negatives_only.balanced_accuracy()), (None, None));
        assert_eq!((Confusion::default().mcc(), Confusion::default().accuracy()), (None, None));
    }

    #[test]
    fn the_papers_image_row_follows_from_bayes() {
        // 77.42 balanced accuracy at 1:1 gives PPV 77.5 and NPV 77.3, not the printed 13.78 and 98.67.
        let [ppv, npv] = predictive_values(0.7721, 0.8006, 0.017364);
        assert!((ppv.expect("defined") - 0.0641).abs() < 2e-4 && (npv.expect("defined") - 0.9950).abs() < 2e-4);
    }
}
