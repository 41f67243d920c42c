//! Cross-validation by patient (method 1.10): stratified folds, and inside each training part an inner validation for
//! early stopping, thresholds and calibration. Nothing here depends on the order in which cases were listed.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::{key_of, scramble};

/// One in so many training patients belongs to the inner validation.
pub const INNER_PARTS: usize = 8;

/// What the split needs to know of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    pub patient: String,
    pub fractured: bool,
    pub source: String,
    pub sex: Option<char>,
    pub age_years: Option<f64>,
}

/// The three parts of one fold, as indices of cases, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    pub train: Vec<usize>,
    pub inner: Vec<usize>,
    pub test: Vec<usize>,
}

/// Age bands of the subgroup tables (method 8.3).
fn age_band(age_years: Option<f64>) -> u8 {
    match age_years {
        None => 0,
        Some(age) if age < 50.0 => 1,
        Some(age) if age <= 70.0 => 2,
        Some(_) => 3,
    }
}

/// The part, `0..parts`, of each case. Patients are sorted by label, source, sex and age band, within those by a hash of
/// their key with the seed, and dealt out in turn: every stratum is spread evenly, and sizes differ by one patient at most.
pub fn deal(subjects: &[Subject], parts: usize, seed: u64) -> Vec<usize> {
    let mut patients: BTreeMap<&str, (bool, &Subject)> = BTreeMap::new();
    for subject in subjects {
        let entry = patients.entry(&subject.patient).or_insert((false, subject));
        entry.0 |= subject.fractured;
    }
    let hash = |patient: &str| scramble(scramble(seed) ^ key_of(patient));
    let mut order: Vec<(&str, bool, &Subject)> =
        patients.into_iter().map(|(key, (label, s))| (key, label, s)).collect();
    order.sort_by_key(|&(key, label, s)| (!label, &s.source, s.sex, age_band(s.age_years), hash(key), key));
    let dealt: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(place, &(key, ..))| (key, place % parts.max(1))).collect();
    subjects.iter().map(|subject| dealt.get(subject.patient.as_str()).copied().unwrap_or(0)).collect()
}

/// The parts of fold `fold` of `folds`, given what [`deal`] said of each case.
pub fn parts(subjects: &[Subject], fold_of: &[usize], fold: usize, seed: u64) -> Parts {
    let (test, rest): (Vec<usize>, Vec<usize>) =
        (0..subjects.len()).partition(|&case| fold_of.get(case) == Some(&fold));
    let others: Vec<Subject> = rest.iter().filter_map(|&case| subjects.get(case).cloned()).collect();
    let inner_of = deal(&others, INNER_PARTS, seed ^ scramble(fold as u64 + 1));
    let (inner, train): (Vec<_>, Vec<_>) = rest.into_iter().zip(inner_of).partition(|&(_, part)| part == 0);
    let cases = |pairs: Vec<(usize, usize)>| pairs.into_iter().map(|(case, _)| case).collect();
    Parts { train: cases(train), inner: cases(inner), test }
}

/// Patients that stand in more than one of the three parts; a split of ours has none.
pub fn shared_patients(subjects: &[Subject], parts: &Parts) -> BTreeSet<String> {
    let of = |cases: &[usize]| -> BTreeSet<String> {
        cases.iter().filter_map(|&case| Some(subjects.get(case)?.patient.clone())).collect()
    };
    let (train, inner, test) = (of(&parts.train), of(&parts.inner), of(&parts.test));
    let mut shared: BTreeSet<String> = train.intersection(&inner).cloned().collect();
    shared.extend(train.intersection(&test).cloned());
    shared.extend(inner.intersection(&test).cloned());
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn subjects(count: usize, positives: usize) -> Vec<Subject> {
        (0..count)
            .map(|i| Subject {
                patient: format!("p{i}"),
                fractured: i < positives,
                source: "test".into(),
                sex: Some(if i % 3 == 0 { 'F' } else { 'M' }),
                age_years: Some(20.0 + (i * 7 % 70) as f64),
            })
            .collect()
    }

    #[test]
    fn the_papers_numbers_come_out() {
        let subjects = subjects(3666, 729);
        let fold_of = deal(&subjects, 7, 1);
        for fold in 0..7 {
            let of = |label: bool| (0..3666).filter(|&c| fold_of[c] == fold && subjects[c].fractured == label).count();
            assert!((104..=105).contains(&of(true)) && (419..=420).contains(&of(false)), "{} {}", of(true), of(false));
        }
    }

    #[test]
    fn another_seed_deals_otherwise_and_the_same_seed_the_same() {
        let subjects = subjects(70, 20);
        assert_eq!(deal(&subjects, 7, 3), deal(&subjects, 7, 3));
        assert_ne!(deal(&subjects, 7, 3), deal(&subjects, 7, 4));
    }

    proptest! {
        #[test]
        fn every_case_has_one_place_and_no_patient_two(
            count in 16usize..90, shared in 1usize..5, folds in 2usize..8, seed in any::<u64>()
        ) {
            let mut subjects = subjects(count, count / 4);
            for (i, subject) in subjects.iter_mut().enumerate() {
                subject.patient = format!("p{}", i / shared);
            }
            let fold_of = deal(&subjects, folds, seed);
            let mut tested = vec![0; count];
            for fold in 0..folds {
                let parts = parts(&subjects, &fold_of, fold, seed);
                prop_assert!(shared_patients(&subjects, &parts).is_empty());
                let mut all: Vec<usize> = [&parts.train[..], &parts.inner, &parts.test].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
                parts.test.iter().for_each(|&case| tested[case] += 1);
            }
            prop_assert!(tested.iter().all(|&n| n == 1));
        }

        #[test]
        fn the_order_of_the_list_does_not_matter(seed in any::<u64>(), turn in 0usize..40) {
            let subjects = subjects(40, 9);
            let mut turned = subjects.clone();
            turned.rotate_left(turn);
            let mut dealt = deal(&turned, 7, seed);
            dealt.rotate_right(turn);
            prop_assert_eq!(dealt, deal(&subjects, 7, seed));
        }
    }
}
