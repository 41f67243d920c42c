//! What the network has to beat: rules that need no network, or none of its sequence part.

use super::intervals::{AucDifference, Interval, Mcnemar, delong, delong_difference, mcnemar};
use super::measure::Estimate;
use super::{CasePrediction, average_precision};

/// Above this the age or the bone's density alone tells the fractured from the others, and a synthetic population leaks its labels.
pub const LEAK_AUC: f64 = 0.60;

/// A trivial rule over the cases that it can judge.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Baseline {
    pub name: String,
    /// In words.
    pub what: String,
    /// Cases that it judges.
    pub n: usize,
    pub roc_auc: Estimate,
    pub average_precision: Option<f64>,
    /// Of its hard answers, where it gives any.
    pub accuracy: Option<f64>,
    pub balanced_accuracy: Option<f64>,
    /// The network's area less this one's on the same cases, paired DeLong.
    pub network_less_this: Option<AucDifference>,
    /// The network's hard answers against these.
    pub mcnemar: Option<Mcnemar>,
    /// Said loudly.
    pub warning: Option<String>,
}

/// A case with the thresholds of its fold for slices and for the case.
pub(super) struct Judged<'a> {
    pub(super) case: &'a CasePrediction,
    pub(super) slice_threshold: f64,
    pub(super) case_threshold: f64,
}

/// All baselines the data allow; the first is always there.
pub(super) fn baselines(cases: &[Judged<'_>], synthetic: bool) -> Vec<Baseline> {
    let mut found = vec![always_negative(cases)];
    found.extend(of_slices(cases, "max-of-slices", "the highest slice score, called by the slice threshold", 1));
    found.extend(of_slices(
        cases,
        "top-3-mean",
        "the mean of the three highest slice scores, without a sequence network",
        3,
    ));
    let mut add = |name: &str, what: &str, value: &dyn Fn(&CasePrediction) -> Option<f64>| {
        if let Some(mut baseline) = of_values(cases, name, what, value) {
            let may_leak = synthetic && ["age", "mean-bone-hu"].contains(&name);
            baseline.warning = if may_leak { leak(name, &baseline.roc_auc) } else { None };
            found.push(baseline);
        }
    };
    add("age", "the patient's age alone, older is likelier", &|case| case.age_years);
    let names: std::collections::BTreeSet<&String> = cases.iter().flat_map(|j| j.case.baselines.keys()).collect();
    for name in names {
        add(name, known(name), &|case| case.baselines.get(name.as_str()).copied());
    }
    found
}

fn known(name: &str) -> &'static str {
    match name {
        "mean-bone-hu" => "the mean HU of all bone alone",
        "dark-ridge" => "the largest dark ridge inside bone, found without learning",
        _ => "a value given with the predictions",
    }
}

fn always_negative(cases: &[Judged<'_>]) -> Baseline {
    let labels: Vec<bool> = cases.iter().map(|judged| judged.case.label).collect();
    let negatives = labels.iter().filter(|&&label| !label).count();
    let both = negatives > 0 && negatives < labels.len();
    let called = network_answers(cases);
    Baseline {
        name: "always-negative".into(),
        what: "always answers negative".into(),
        n: labels.len(),
        roc_auc: Estimate { value: both.then_some(0.5), n: labels.len(), ..Estimate::default() },
        average_precision: (negatives < labels.len()).then(|| 1.0 - negatives as f64 / labels.len() as f64),
        accuracy: (!labels.is_empty()).then(|| negatives as f64 / labels.len() as f64),
        balanced_accuracy: both.then_some(0.5),
        network_less_this: None,
        mcnemar: Some(mcnemar(&called, &vec![false; labels.len()], &labels)),
        warning: None,
    }
}

fn network_answers(cases: &[Judged<'_>]) -> Vec<bool> {
    cases.iter().map(|judged| judged.case.score >= judged.case_threshold).collect()
}

/// The mean of the highest slice scores.
fn top_mean(case: &CasePrediction, count: usize) -> Option<f64> {
    let mut scores: Vec<f64> = case.slices.iter().map(|slice| slice.score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    scores.truncate(count);
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

fn of_slices(cases: &[Judged<'_>], name: &str, what: &str, count: usize) -> Option<Baseline> {
    let mut baseline = of_values(cases, name, what, &|case| top_mean(case, count))?;
    let judged: Vec<(&Judged<'_>, f64)> =
        cases.iter().filter_map(|judged| Some((judged, top_mean(judged.case, count)?))).collect();
    let called: Vec<bool> = judged.iter().map(|(judged, value)| *value >= judged.slice_threshold).collect();
    let network: Vec<bool> = judged.iter().map(|(judged, _)| judged.case.score >= judged.case_threshold).collect();
    let labels: Vec<bool> = judged.iter().map(|(judged, _)| judged.case.label).collect();
    let counts = super::Confusion::of(&called, &labels);
    baseline.accuracy = counts.accuracy();
    baseline.balanced_accuracy = counts.balanced_accuracy();
    baseline.mcnemar = Some(mcnemar(&network, &called, &labels));
    Some(baseline)
}

/// `None` where no case has the value.
fn of_values(
    cases: &[Judged<'_>],
    name: &str,
    what: &str,
    value: &dyn Fn(&CasePrediction) -> Option<f64>,
) -> Option<Baseline> {
    let usable = cases.iter().filter_map(|judged| Some((value(judged.case).filter(|v| v.is_finite())?, judged.case)));
    let judged: Vec<(f64, &CasePrediction)> = usable.collect();
    let values: Vec<f64> = judged.iter().map(|(value, _)| *value).collect();
    let labels: Vec<bool> = judged.iter().map(|(_, case)| case.label).collect();
    let network: Vec<f64> = judged.iter().map(|(_, case)| case.score).collect();
    if values.is_empty() {
        return None;
    }
    let area = delong(&values, &labels);
    let Interval { lower, upper } = area.as_ref().map(|area| area.interval()).unwrap_or_default();
    Some(Baseline {
        name: name.to_owned(),
        what: what.to_owned(),
        n: values.len(),
        roc_auc: Estimate {
            value: area.map(|area| area.auc),
            lower,
            upper,
            n: values.len(),
            method: lower.map(|_| "DeLong, logit scale"),
            folds: None,
        },
        average_precision: average_precision(&values, &labels),
        accuracy: None,
        balanced_accuracy: None,
        network_less_this: delong_difference(&network, &values, &labels),
        mcnemar: None,
        warning: None,
    })
}

/// In either direction; a set so small that its interval holds 0.5 shows nothing.
fn leak(name: &str, area: &Estimate) -> Option<String> {
    let auc = area.value?;
    let (away, nearest) = if auc >= 0.5 { (auc, area.lower?) } else { (1.0 - auc, 1.0 - area.upper?) };
    let ages = if name == "age" {
        " The population's ages differ between fractured and unfractured unless they are matched: evaluate a data set with matched \
         ages before blaming the network."
    } else {
        ""
    };
    (away > LEAK_AUC && nearest > 0.5).then(|| {
        format!(
            "LEAK: {name} alone reaches an AUC of {auc:.2}, beyond {LEAK_AUC:.2}. The synthetic population tells its \
             labels by something that is no fracture.{ages}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::tests::case;

    fn cases() -> Vec<CasePrediction> {
        (0..40)
            .map(|i| {
                let label = i % 4 == 0;
                let top = if label { 0.8 } else { 0.3 };
                let mut one = case(&format!("{i}"), label, 0.4, &[(0.1, false), (top, label), (0.2, false)]);
                one.age_years = Some(if label { 70.0 } else { 40.0 } + f64::from(i % 7));
                one.baselines.insert("mean-bone-hu".into(), f64::from((i * 7) % 40));
                one
            })
            .collect()
    }
    fn found(synthetic: bool) -> Vec<Baseline> {
        let cases = cases();
        let judged: Vec<Judged<'_>> =
            cases.iter().map(|case| Judged { case, slice_threshold: 0.5, case_threshold: 0.5 }).collect();
        baselines(&judged, synthetic)
    }
    fn named(list: &[Baseline], name: &str) -> Baseline {
        list.iter().find(|b| b.name == name).unwrap_or_else(|| panic!("{name}")).clone()
    }

    #[test]
    fn always_negative_has_the_accuracy_of_the_negatives() {
        let one = named(&found(true), "always-negative");
        assert_eq!((one.accuracy, one.balanced_accuracy, one.roc_auc.value), (Some(0.75), Some(0.5), Some(0.5)));
    }

    #[test]
    fn slices_alone_beat_a_network_that_says_nothing() {
        let max = named(&found(true), "max-of-slices");
        assert_eq!((max.roc_auc.value, max.balanced_accuracy), (Some(1.0), Some(1.0)));
        assert!((max.network_less_this.expect("two classes").difference + 0.5).abs() < 1e-12);
        assert_eq!(max.mcnemar.expect("answers").second_only, 10);
    }

    #[test]
    fn a_leak_is_said_of_synthetic_data_only() {
        let age = named(&found(true), "age").warning.expect("70 against 40");
        assert!(age.starts_with("LEAK: age") && age.contains("matched"), "{age}");
        assert_eq!(named(&found(false), "age").warning, None);
        assert_eq!(named(&found(true), "mean-bone-hu").warning, None, "it is the same in both");
    }
}
