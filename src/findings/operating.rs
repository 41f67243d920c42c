//! Thresholds, and what a model card's results say of them. Plain numbers; nothing is invented between two points that
//! were measured: there the truth is only known to lie between theirs.

/// Scores of slices and of cases at or above are "above threshold".
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Thresholds {
    pub slice: f32,
    pub case: f32,
}

/// A share of cases with its 95 % interval, 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub value: f64,
    pub interval: Option<[f64; 2]>,
}

/// What a threshold of the case score did on one set of cases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub threshold: f32,
    pub sensitivity: Rate,
    pub specificity: Rate,
}

/// The results of one set of cases that no training saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    pub name: String,
    pub cases: u64,
    pub positive_cases: u64,
    pub synthetic: bool,
    /// Ascending by threshold, at least one.
    points: Vec<Measured>,
}

/// Between which values a share lies: both are one where it was measured at this very threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub low: f64,
    pub high: f64,
    /// How far the 95 % intervals of both reach.
    pub interval: Option<[f64; 2]>,
}

/// What is known of a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    pub sensitivity: Span,
    pub specificity: Span,
    pub measured_here: bool,
}

/// Thresholds are shown with three decimals; closer than that they are one.
const SAME: f32 = 5e-4;
/// What a share is known of where nothing was measured beyond.
const NONE: Rate = Rate { value: 0.0, interval: Some([0.0, 0.0]) };
const ALL: Rate = Rate { value: 1.0, interval: Some([1.0, 1.0]) };

impl Validation {
    /// `None` without a point.
    pub fn new(name: String, cases: [u64; 2], synthetic: bool, mut points: Vec<Measured>) -> Option<Self> {
        points.retain(|p| p.threshold.is_finite());
        points.sort_by(|a, b| a.threshold.total_cmp(&b.threshold));
        let [cases, positive_cases] = cases;
        (!points.is_empty()).then_some(Self { name, cases, positive_cases, synthetic, points })
    }
    pub fn points(&self) -> &[Measured] {
        &self.points
    }
    /// What is known of a threshold of the case score: a higher one finds no more fractures and alarms no more often, so
    /// the shares lie between those of the neighbouring points.
    pub fn at(&self, threshold: f32) -> Known {
        if let Some(here) = self.points.iter().find(|p| (p.threshold - threshold).abs() < SAME) {
            let (sensitivity, specificity) =
                (span(here.sensitivity, here.sensitivity), span(here.specificity, here.specificity));
            return Known { sensitivity, specificity, measured_here: true };
        }
        let below = self.points.iter().rev().find(|p| p.threshold < threshold);
        let above = self.points.iter().find(|p| p.threshold > threshold);
        Known {
            sensitivity: span(above.map_or(NONE, |p| p.sensitivity), below.map_or(ALL, |p| p.sensitivity)),
            specificity: span(below.map_or(NONE, |p| p.specificity), above.map_or(ALL, |p| p.specificity)),
            measured_here: false,
        }
    }
}

fn span(low: Rate, high: Rate) -> Span {
    let interval = low.interval.zip(high.interval).map(|([lower, _], [_, upper])| [lower, upper]);
    Span { low: low.value.min(high.value), high: low.value.max(high.value), interval }
}

impl Known {
    /// Positive and negative predictive value where that share of all cases is fractured, 0..=1; `None` where nothing
    /// would be called so. Both grow with sensitivity and with specificity, so the ends are those of the shares.
    pub fn predictive_values(&self, prevalence: f64) -> [Option<Span>; 2] {
        [positive, negative].map(|value| {
            let at = |sensitivity: f64, specificity: f64| value(sensitivity, specificity, prevalence);
            let interval = self.sensitivity.interval.zip(self.specificity.interval);
            let interval = interval.and_then(|(se, sp)| Some([at(se[0], sp[0])?, at(se[1], sp[1])?]));
            let low = at(self.sensitivity.low, self.specificity.low)?;
            let high = at(self.sensitivity.high, self.specificity.high)?;
            Some(Span { low, high, interval })
        })
    }
}

fn positive(sensitivity: f64, specificity: f64, prevalence: f64) -> Option<f64> {
    share(sensitivity * prevalence, (1.0 - specificity) * (1.0 - prevalence))
}

fn negative(sensitivity: f64, specificity: f64, prevalence: f64) -> Option<f64> {
    share(specificity * (1.0 - prevalence), (1.0 - sensitivity) * prevalence)
}

fn share(right: f64, wrong: f64) -> Option<f64> {
    (right + wrong > 0.0).then(|| right / (right + wrong))
}

/// "51 % (37 to 65 %)"; where it is only known to lie between two values "51 to 93 % (37 to 98 %)".
pub fn span_text(span: &Span) -> String {
    let percent = |v: f64| format!("{:.0}", 100.0 * v);
    let (low, high) = (percent(span.low), percent(span.high));
    let value = if low == high { low } else { format!("{low} to {high}") };
    let interval = span.interval.map_or_else(String::new, |[a, b]| format!(" ({} to {} %)", percent(a), percent(b)));
    format!("{value} %{interval}")
}

/// Whose cases these are: "100 synthetic necks, 55 fractured (iid)".
pub fn set_text(set: &Validation) -> String {
    let what = if set.synthetic { "synthetic necks" } else { "cases" };
    format!("{} {what}, {} fractured ({})", set.cases, set.positive_cases, set.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(value: f64, lower: f64, upper: f64) -> Rate {
        Rate { value, interval: Some([lower, upper]) }
    }

    fn set() -> Validation {
        let points = vec![
            Measured { threshold: 0.6, sensitivity: rate(0.5, 0.4, 0.6), specificity: rate(0.8, 0.7, 0.9) },
            Measured { threshold: 0.3, sensitivity: rate(0.9, 0.8, 0.95), specificity: rate(0.2, 0.1, 0.3) },
        ];
        Validation::new("iid".into(), [100, 55], true, points).expect("points")
    }

    #[test]
    fn what_was_measured_is_told_and_between_two_points_only_that_it_lies_between() {
        let here = set().at(0.6003);
        assert!(here.measured_here);
        assert_eq!(
            (span_text(&here.sensitivity), span_text(&here.specificity)),
            ("50 % (40 to 60 %)".into(), "80 % (70 to 90 %)".into())
        );
        let between = set().at(0.4);
        assert!(!between.measured_here);
        assert_eq!(span_text(&between.sensitivity), "50 to 90 % (40 to 95 %)");
        assert_eq!(span_text(&between.specificity), "20 to 80 % (10 to 90 %)");
        assert_eq!(span_text(&set().at(0.1).sensitivity), "90 to 100 % (80 to 100 %)");
        assert_eq!(span_text(&set().at(0.1).specificity), "0 to 20 % (0 to 30 %)");
        assert_eq!(span_text(&set().at(0.9).sensitivity), "0 to 50 % (0 to 60 %)");
        assert_eq!(span_text(&set().at(0.9).specificity), "80 to 100 % (70 to 100 %)");
        assert_eq!(set_text(&set()), "100 synthetic necks, 55 fractured (iid)");
    }

    #[test]
    fn predictive_values_are_those_of_bayes() {
        let [ppv, npv] = set().at(0.6).predictive_values(0.05).map(|span| span.expect("defined"));
        // 0.5 * 0.05 / (0.5 * 0.05 + 0.2 * 0.95), and 0.8 * 0.95 / (0.8 * 0.95 + 0.5 * 0.05).
        assert!((ppv.low - 0.116_279).abs() < 1e-6 && ppv.low == ppv.high, "{ppv:?}");
        assert!((npv.low - 0.968_153).abs() < 1e-6, "{npv:?}");
        let [low, high] = ppv.interval.expect("an interval");
        assert!(low < ppv.low && ppv.high < high);
        let nothing = Known { sensitivity: span(NONE, NONE), specificity: span(ALL, ALL), measured_here: true };
        assert_eq!(nothing.predictive_values(0.5)[0], None, "nothing is called positive");
    }
}
