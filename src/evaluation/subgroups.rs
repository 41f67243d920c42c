//! The same question in parts of the data: who, what scanner, which fracture; and twins, which differ in nothing but the fracture.

use std::collections::BTreeMap;

use super::intervals::{Interval, clopper_pearson, delong};
use super::measure::Estimate;
use super::{CasePrediction, Confusion, level_name, roc_auc};

/// One part of the data. Intervals take its cases as independent.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Subgroup {
    /// What the data are parted by, e.g. "sex".
    pub by: &'static str,
    pub group: String,
    pub positives: usize,
    /// For parts that only positives have (level, kind, conspicuity) these are all negatives.
    pub negatives: usize,
    pub sensitivity: Estimate,
    pub specificity: Estimate,
    pub roc_auc: Estimate,
}

/// Pairs of one patient with and without the fracture.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Twins {
    pub pairs: usize,
    /// Pairs in which the fractured one scores higher; a tie counts half in the value and not in the interval.
    pub fractured_higher: Estimate,
    /// Median of the fractured one's logit less the other's.
    pub median_logit_difference: f64,
}

/// Area of one level's slices: fractured ones of the level against those that are not.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LevelResult {
    pub level: String,
    pub positives: usize,
    pub negatives: usize,
    /// Over slices, without an interval since slices are not independent.
    pub roc_auc: Option<f64>,
}

/// Groups that the alphabet would put in the wrong order.
const ORDER: [&str; 6] = ["below 50", "50 to 70", "above 70", "up to 1 mm", "above 1 to 2 mm", "above 2 mm"];

/// A case with the threshold of its fold.
pub(super) type Judged<'a> = (&'a CasePrediction, f64);

pub(super) fn subgroups(cases: &[Judged<'_>]) -> Vec<Subgroup> {
    let mut found = Vec::new();
    let mut part = |by: &'static str, of: &dyn Fn(&CasePrediction) -> Vec<String>, positives_only: bool| {
        let mut parts: BTreeMap<String, Vec<Judged<'_>>> = BTreeMap::new();
        for &(case, threshold) in cases {
            of(case).into_iter().for_each(|group| parts.entry(group).or_default().push((case, threshold)));
        }
        let mut parts: Vec<(String, Vec<Judged<'_>>)> = parts.into_iter().collect();
        parts.sort_by_key(|(group, _)| ORDER.iter().position(|name| name == group));
        for (group, mut members) in parts {
            if positives_only {
                members.retain(|(case, _)| case.label);
                members.extend(cases.iter().filter(|(case, _)| !case.label));
            }
            found.push(subgroup(by, group, &members));
        }
    };
    let one = |text: Option<String>| text.into_iter().collect::<Vec<String>>();
    part("source", &|case| vec![case.source.clone()], false);
    part("sex", &|case| one(case.sex.map(String::from)), false);
    part("age", &|case| one(case.age_years.map(age_band)), false);
    part("slice thickness", &|case| one(case.slice_thickness_mm.map(thickness_band)), false);
    part(
        "contrast medium",
        &|case| one(case.contrast.map(|yes| if yes { "given" } else { "not given" }.into())),
        false,
    );
    part("level", &|case| distinct(case.fractures.iter().map(|f| level_group(f.level).to_owned())), true);
    part("fracture kind", &|case| distinct(case.fractures.iter().map(|f| f.kind.clone())), true);
    let quartiles = conspicuity_quartiles(cases);
    part("conspicuity", &|case| one(conspicuity(case).and_then(|c| quartile(c, quartiles))), true);
    found
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<std::collections::BTreeSet<String>>().into_iter().collect()
}

fn age_band(years: f64) -> String {
    match years {
        y if y < 50.0 => "below 50",
        y if y <= 70.0 => "50 to 70",
        _ => "above 70",
    }
    .to_owned()
}

fn thickness_band(mm: f64) -> String {
    match mm {
        t if t <= 1.0 => "up to 1 mm",
        t if t <= 2.0 => "above 1 to 2 mm",
        _ => "above 2 mm",
    }
    .to_owned()
}

fn level_group(level: usize) -> &'static str {
    match level {
        0 | 1 => "C1-C2",
        2..=4 => "C3-C5",
        5 | 6 => "C6-C7",
        _ => "below C7",
    }
}

/// Of the most conspicuous fracture, which is the one to be found first.
fn conspicuity(case: &CasePrediction) -> Option<f64> {
    case.fractures.iter().filter_map(|f| f.conspicuity).filter(|c| c.is_finite()).max_by(f64::total_cmp)
}

fn conspicuity_quartiles(cases: &[Judged<'_>]) -> Option<[f64; 3]> {
    let mut values: Vec<f64> =
        cases.iter().filter(|(case, _)| case.label).filter_map(|(case, _)| conspicuity(case)).collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| super::intervals::percentile(&values, share);
    (values.len() >= 8).then_some(())?;
    Some([at(0.25)?, at(0.5)?, at(0.75)?])
}

fn quartile(value: f64, quartiles: Option<[f64; 3]>) -> Option<String> {
    let names = ["1st quartile (faintest)", "2nd quartile", "3rd quartile", "4th quartile (clearest)"];
    let place = quartiles?.iter().filter(|&&border| value > border).count();
    names.get(place).map(|&name| name.to_owned())
}

fn subgroup(by: &'static str, group: String, members: &[Judged<'_>]) -> Subgroup {
    let mut counts = Confusion::default();
    members.iter().for_each(|(case, threshold)| counts.add(case.score >= *threshold, case.label, 1.0));
    let scores: Vec<f64> = members.iter().map(|(case, _)| case.score).collect();
    let labels: Vec<bool> = members.iter().map(|(case, _)| case.label).collect();
    let area = delong(&scores, &labels);
    let Interval { lower, upper } = area.as_ref().map(|area| area.interval()).unwrap_or_default();
    Subgroup {
        by,
        group,
        positives: counts.positives() as usize,
        negatives: counts.negatives() as usize,
        sensitivity: share(counts.tp, counts.positives()),
        specificity: share(counts.tn, counts.negatives()),
        roc_auc: Estimate {
            value: area.map(|area| area.auc),
            lower,
            upper,
            n: members.len(),
            method: lower.map(|_| "DeLong, logit scale"),
            folds: None,
        },
    }
}

/// A share with its exact interval.
pub(super) fn share(part: f64, whole: f64) -> Estimate {
    let Interval { lower, upper } = clopper_pearson(part as u64, whole as u64);
    let value = (whole > 0.0).then(|| part / whole);
    Estimate { value, lower, upper, n: whole as usize, method: lower.map(|_| "Clopper-Pearson"), folds: None }
}

/// `None` where there are no pairs.
pub(super) fn twins(cases: &[&CasePrediction]) -> Option<Twins> {
    let by_id: BTreeMap<&str, &CasePrediction> = cases.iter().map(|case| (case.id.as_str(), *case)).collect();
    let mut differences: Vec<f64> = cases
        .iter()
        .filter(|case| case.label)
        .filter_map(|case| {
            let twin = by_id.get(case.twin.as_deref()?)?;
            (!twin.label).then_some(case.logit - twin.logit)
        })
        .collect();
    if differences.is_empty() {
        return None;
    }
    differences.sort_by(f64::total_cmp);
    let pairs = differences.len();
    let higher = differences.iter().filter(|&&d| d > 0.0).count() as f64;
    let ties = differences.iter().filter(|&&d| d == 0.0).count() as f64;
    let mut fractured_higher = share(higher, pairs as f64);
    fractured_higher.value = Some((higher + 0.5 * ties) / pairs as f64);
    let median_logit_difference = super::intervals::percentile(&differences, 0.5).unwrap_or(0.0);
    Some(Twins { pairs, fractured_higher, median_logit_difference })
}

/// Levels of which there is a slice with a label.
pub(super) fn levels(cases: &[&CasePrediction]) -> Vec<LevelResult> {
    let of = |level: usize| {
        let slices = cases.iter().flat_map(|case| &case.slices).filter(|slice| slice.level == Some(level));
        let (scores, labels): (Vec<f64>, Vec<bool>) =
            slices.filter_map(|slice| Some((slice.score, slice.label?))).unzip();
        let positives = labels.iter().filter(|&&label| label).count();
        let negatives = labels.len() - positives;
        let roc_auc = roc_auc(&scores, &labels);
        (!labels.is_empty()).then(|| LevelResult { level: level_name(level).to_owned(), positives, negatives, roc_auc })
    };
    (0..8).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Fracture;
    use crate::evaluation::tests::case;

    fn fracture(level: usize, kind: &str, conspicuity: f64) -> Fracture {
        Fracture { level, kind: kind.into(), displacement_mm: None, conspicuity: Some(conspicuity) }
    }

    #[test]
    fn parts_that_only_positives_have_are_compared_with_all_negatives() {
        let mut cases: Vec<CasePrediction> = (0..10).map(|i| case(&format!("n{i}"), false, 0.1, &[])).collect();
        for i in 0..8 {
            let mut one = case(&format!("p{i}"), true, if i < 4 { 0.9 } else { 0.3 }, &[]);
            let kinds = if i < 4 { "dens II" } else { "facet" };
            one.fractures = vec![fracture(if i < 4 { 1 } else { 5 }, kinds, i as f64), fracture(5, kinds, 0.0)];
            cases.push(one);
        }
        let judged: Vec<Judged<'_>> = cases.iter().map(|case| (case, 0.5)).collect();
        let found = subgroups(&judged);
        let row = |by: &str, group: &str| {
            found.iter().find(|s| s.by == by && s.group == group).unwrap_or_else(|| panic!("{by} {group}"))
        };
        let dens = row("fracture kind", "dens II");
        assert_eq!((dens.positives, dens.negatives, dens.sensitivity.value), (4, 10, Some(1.0)));
        assert_eq!(row("fracture kind", "facet").sensitivity.value, Some(0.0));
        assert_eq!((row("level", "C1-C2").positives, row("level", "C6-C7").positives), (4, 8));
        let faintest = row("conspicuity", "1st quartile (faintest)");
        assert_eq!((faintest.positives, faintest.specificity.value), (2, Some(1.0)));
    }

    #[test]
    fn twins_are_matched_by_name() {
        let pair = |k: usize, broken: f64, whole: f64| {
            let (mut a, mut b) = (case(&format!("{k}f"), true, broken, &[]), case(&format!("{k}w"), false, whole, &[]));
            (a.twin, b.twin) = (Some(b.id.clone()), Some(a.id.clone()));
            [a, b]
        };
        let cases: Vec<CasePrediction> = [pair(1, 0.9, 0.2), pair(2, 0.4, 0.4), pair(3, 0.3, 0.6)].concat();
        let found = twins(&cases.iter().collect::<Vec<_>>()).expect("pairs");
        assert_eq!((found.pairs, found.fractured_higher.value, found.median_logit_difference), (3, Some(0.5), 0.0));
        assert_eq!(twins(&[&cases[0]]), None);
    }

    #[test]
    fn ages_and_thicknesses_fall_into_the_bands_named() {
        assert_eq!([49.9, 50.0, 70.0, 70.1].map(age_band), ["below 50", "50 to 70", "50 to 70", "above 70"]);
        assert_eq!(thickness_band(1.25), "above 1 to 2 mm");
    }
}
