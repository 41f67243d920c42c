//! The test sets: as they come, one to one, and (for images) those of as many negative as positive cases.

use rayon::prelude::*;

use super::intervals::{Interval, clopper_pearson, delong, percentile_interval};
use super::measure::{Estimate, Item, Metric, Metrics, OverFolds, Values, measure};
use super::{Confusion, Options};
use crate::jobs::{Cancelled, JobCtx};
use crate::random::Stream;

/// A test set with all metrics.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TestSet {
    /// What is in it, in words.
    pub what: String,
    /// Images or cases (in each draw, where it is drawn).
    pub n: usize,
    pub positives: usize,
    pub negatives: usize,
    pub prevalence: Option<f64>,
    /// Draws whose mean is given; `None` for a set taken whole.
    pub draws: Option<usize>,
    /// At the operating threshold; the mean of the draws.
    pub confusion: Confusion,
    pub metrics: Metrics,
}

/// How a set is made of the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Balance {
    Natural,
    /// As many things of one class as of the other.
    OneToOne,
    /// All things of as many negative as positive cases.
    Cases,
}

/// Scored things, ready to be measured often.
pub(super) struct Sample {
    /// By falling score.
    items: Vec<Item>,
    /// Whether a case is positive.
    case_labels: Vec<bool>,
    /// Whether a patient has a positive case.
    patient_labels: Vec<bool>,
    folds: usize,
}

impl Sample {
    pub(super) fn new(mut items: Vec<Item>, case_labels: Vec<bool>, patient_labels: Vec<bool>, folds: usize) -> Self {
        items.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.fold, a.case).cmp(&(b.fold, b.case))));
        Self { items, case_labels, patient_labels, folds }
    }
    pub(super) fn scores_and_labels(&self) -> (Vec<f64>, Vec<bool>) {
        self.items.iter().map(|item| (item.score, item.label)).unzip()
    }
    /// No two things are of one patient, so that they may be taken as independent.
    fn is_independent(&self) -> bool {
        let mut seen = vec![false; self.patient_labels.len()];
        self.items.iter().all(|item| seen.get_mut(item.patient).is_some_and(|seen| !std::mem::replace(seen, true)))
    }
    fn count(&self, label: bool) -> usize {
        self.items.iter().filter(|item| item.label == label).count()
    }

    /// The set with its intervals.
    pub(super) fn test_set(
        &self,
        balance: Balance,
        what: &str,
        options: &Options,
        ctx: &JobCtx,
    ) -> Result<TestSet, Cancelled> {
        let (values, confusion, draws) = self.point(balance, options, |_| true);
        let drawn = self.bootstrap(balance, options, ctx)?;
        let (scores, labels) = self.scores_and_labels();
        let exact = balance == Balance::Natural && self.is_independent();
        let area = if exact { delong(&scores, &labels) } else { None };
        let folds = self.over_folds(balance, options);
        let estimate = |(place, metric): (usize, Metric)| {
            let of_draws: Vec<Option<f64>> = drawn.iter().map(|values| values[place]).collect();
            let (interval, method) = match (exact, metric, &area) {
                (true, Metric::RocAuc, Some(area)) => (area.interval(), "DeLong, logit scale"),
                (true, _, _) if counted(metric, &confusion).is_some() => {
                    let (k, n) = counted(metric, &confusion).unwrap_or_default();
                    (clopper_pearson(k, n), "Clopper-Pearson")
                }
                _ => (percentile_interval(&of_draws), "bootstrap over patients"),
            };
            let value = values[place];
            let Interval { lower, upper } = if value.is_some() { interval } else { Interval::default() };
            let method = lower.is_some().then_some(method);
            let folds = folds.get(place).copied().flatten();
            (metric, Estimate { value, lower, upper, n: denominator(metric, &confusion), method, folds })
        };
        Ok(TestSet {
            what: what.to_owned(),
            n: confusion.total().round() as usize,
            positives: confusion.positives().round() as usize,
            negatives: confusion.negatives().round() as usize,
            prevalence: (confusion.total() > 0.0).then(|| confusion.positives() / confusion.total()),
            draws,
            confusion,
            metrics: Metrics(Metric::ALL.into_iter().enumerate().map(estimate).collect()),
        })
    }

    /// The metrics of the set made of the things that `take` takes, and how many draws they are the mean of.
    fn point(
        &self,
        balance: Balance,
        options: &Options,
        take: impl Fn(&Item) -> bool + Sync,
    ) -> (Values, Confusion, Option<usize>) {
        let weight = |item: &Item| if take(item) { 1.0 } else { 0.0 };
        if balance == Balance::Natural {
            let (values, counts) = measure(&self.items, |_, item| weight(item));
            return (values, counts, None);
        }
        let results: Vec<(Values, Confusion)> = (0..options.balanced_draws)
            .into_par_iter()
            .map(|draw| {
                let kept = self.balanced_draw(balance, &take, options.seed, draw as u64);
                measure(&self.items, |index, item| if kept[index] { weight(item) } else { 0.0 })
            })
            .collect();
        let n = results.len().max(1) as f64;
        let mut counts = Confusion::default();
        for (_, drawn) in &results {
            counts.tp += drawn.tp / n;
            counts.fn_ += drawn.fn_ / n;
            counts.fp += drawn.fp / n;
            counts.tn += drawn.tn / n;
        }
        let mean = |place: usize| {
            let defined: Vec<f64> = results.iter().filter_map(|(values, _)| values[place]).collect();
            (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
        };
        (std::array::from_fn(mean), counts, Some(results.len()))
    }

    /// Which things are in a balanced draw: all of the smaller class, and as many of the larger.
    fn balanced_draw(&self, balance: Balance, take: &dyn Fn(&Item) -> bool, seed: u64, draw: u64) -> Vec<bool> {
        let mut stream = Stream::named(seed, "balanced set", draw);
        let mut pick = |of: [Vec<usize>; 2]| -> Vec<usize> {
            let size = of[0].len().min(of[1].len());
            let mut chosen = Vec::with_capacity(2 * size);
            for mut class in of {
                if class.len() > size {
                    stream.shuffle(&mut class);
                    class.truncate(size);
                }
                chosen.append(&mut class);
            }
            chosen
        };
        if balance == Balance::OneToOne {
            let of = |label: bool| -> Vec<usize> {
                let fits = |item: &Item| item.label == label && take(item);
                (0..self.items.len()).filter(|&index| fits(&self.items[index])).collect()
            };
            let mut kept = vec![false; self.items.len()];
            pick([of(false), of(true)]).into_iter().for_each(|index| kept[index] = true);
            return kept;
        }
        let mut present = vec![false; self.case_labels.len()];
        self.items.iter().filter(|item| take(item)).for_each(|item| present[item.case] = true);
        let of = |label: bool| -> Vec<usize> {
            (0..present.len()).filter(|&case| present[case] && self.case_labels[case] == label).collect()
        };
        let mut cases = vec![false; self.case_labels.len()];
        pick([of(false), of(true)]).into_iter().for_each(|case| cases[case] = true);
        self.items.iter().map(|item| cases[item.case]).collect()
    }

    /// The metrics of each bootstrap draw: patients with replacement, those with and without a positive case apart. A balanced set
    /// is weighted to its balance, which is what its draws are on average.
    fn bootstrap(&self, balance: Balance, options: &Options, ctx: &JobCtx) -> Result<Vec<Values>, Cancelled> {
        let strata: [Vec<usize>; 2] = [false, true].map(|label| {
            (0..self.patient_labels.len()).filter(|&patient| self.patient_labels[patient] == label).collect()
        });
        let case_scale = {
            let positives = self.case_labels.iter().filter(|&&label| label).count() as f64;
            [1.0f64.min(positives / (self.case_labels.len() as f64 - positives).max(1.0)), 1.0]
        };
        let one = |draw: u64| -> Result<Values, Cancelled> {
            ctx.check()?;
            let mut stream = Stream::named(options.seed, "bootstrap over patients", draw);
            let mut times = vec![0.0f64; self.patient_labels.len()];
            for stratum in &strata {
                (0..stratum.len()).for_each(|_| times[stratum[stream.below(stratum.len())]] += 1.0);
            }
            let class_scale = if balance == Balance::OneToOne { self.one_to_one_scale(&times) } else { [1.0; 2] };
            let weight = |_: usize, item: &Item| {
                let scale = match balance {
                    Balance::Natural => 1.0,
                    Balance::OneToOne => class_scale[usize::from(item.label)],
                    Balance::Cases => case_scale[usize::from(self.case_labels[item.case])],
                };
                times[item.patient] * scale
            };
            Ok(measure(&self.items, weight).0)
        };
        (0..options.draws as u64).into_par_iter().map(one).collect()
    }

    /// Weights of the negatives and the positives that make both classes equally heavy.
    fn one_to_one_scale(&self, times: &[f64]) -> [f64; 2] {
        let mut sums = [0.0f64; 2];
        self.items.iter().for_each(|item| sums[usize::from(item.label)] += times[item.patient]);
        let smaller = sums[0].min(sums[1]);
        sums.map(|sum| if sum > 0.0 { smaller / sum } else { 1.0 })
    }

    /// Mean and spread over the folds, where there are several.
    fn over_folds(&self, balance: Balance, options: &Options) -> Vec<Option<OverFolds>> {
        if self.folds < 2 {
            return Vec::new();
        }
        let per_fold: Vec<Values> =
            (0..self.folds).map(|fold| self.point(balance, options, |item| item.fold == fold).0).collect();
        let of = |place: usize| OverFolds::of(&per_fold.iter().map(|values| values[place]).collect::<Vec<_>>());
        (0..Metric::ALL.len()).map(of).collect()
    }

    /// Positive and negative things.
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.count(true), self.count(false)]
    }
}

/// Successes and trials of a metric that is a plain share.
fn counted(metric: Metric, counts: &Confusion) -> Option<(u64, u64)> {
    let Confusion { tp, fn_, fp, tn } = *counts;
    let (k, n) = match metric {
        Metric::Sensitivity => (tp, tp + fn_),
        Metric::Specificity => (tn, tn + fp),
        Metric::Ppv => (tp, tp + fp),
        Metric::Npv => (tn, tn + fn_),
        Metric::Accuracy => (tp + tn, counts.total()),
        _ => return None,
    };
    Some((k as u64, n as u64))
}

fn denominator(metric: Metric, counts: &Confusion) -> usize {
    let n = match metric {
        Metric::Sensitivity => counts.positives(),
        Metric::Specificity => counts.negatives(),
        Metric::Ppv => counts.tp + counts.fp,
        Metric::Npv => counts.tn + counts.fn_,
        _ => counts.total(),
    };
    n.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 patients of one case with 10 slices each, every fourth positive with 2 positive slices.
    fn slices() -> Sample {
        let mut stream = Stream::named(1, "test", 0);
        let mut items = Vec::new();
        for case in 0..40 {
            for slice in 0..10 {
                let label = case % 4 == 0 && slice < 2;
                let score = (0.3 * stream.unit() + if label { 0.4 } else { 0.2 }).clamp(0.0, 1.0);
                items.push(Item::new(score, 0.45, label, [case, case, case % 5]));
            }
        }
        let labels: Vec<bool> = (0..40).map(|case| case % 4 == 0).collect();
        Sample::new(items, labels.clone(), labels, 5)
    }

    fn options() -> Options {
        Options { draws: 200, balanced_draws: 50, ..Options::default() }
    }

    #[test]
    fn each_set_has_its_balance() {
        let set = |balance| slices().test_set(balance, "", &options(), &JobCtx::detached()).expect("not cancelled");
        let natural = set(Balance::Natural);
        assert_eq!((natural.n, natural.positives), (400, 20));
        let even = set(Balance::OneToOne);
        assert_eq!((even.positives, even.negatives, even.draws), (20, 20, Some(50)));
        // Ten cases of each kind: 200 slices, 20 of them positive.
        let cases = set(Balance::Cases);
        assert_eq!((cases.positives, cases.negatives), (20, 180));
        let auc = |set: &TestSet| set.metrics.get(Metric::RocAuc).value.expect("two classes");
        assert!((auc(&natural) - auc(&even)).abs() < 0.02, "balance does not move the area");
        let ppv = |set: &TestSet| set.metrics.get(Metric::Ppv).value.expect("some are called");
        assert!(ppv(&natural) < ppv(&cases) && ppv(&cases) < ppv(&even));
        for set in [natural, even, cases] {
            for (metric, estimate) in &set.metrics.0 {
                let (Some(value), Some(lower), Some(upper)) = (estimate.value, estimate.lower, estimate.upper) else {
                    panic!("{metric:?} has no interval");
                };
                // The error of calibration is biased upwards in draws; the others hold their value.
                let holds = *metric == Metric::CalibrationError || (lower - 1e-9..=upper + 1e-9).contains(&value);
                assert!(holds, "{metric:?}: {lower} {value} {upper}");
                assert_eq!(estimate.folds.map(|f| f.folds), Some(5), "{metric:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_on_any_pool() {
        let make = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| slices().test_set(Balance::Cases, "", &options(), &JobCtx::detached())).expect("done")
        };
        assert_eq!(make(1), make(3));
    }

    #[test]
    fn independent_cases_have_exact_intervals_and_twins_have_not() {
        let labels: Vec<bool> = (0..20).map(|case| case % 2 == 0).collect();
        let items = |patients: usize| -> Vec<Item> {
            (0..20).map(|i| Item::new(i as f64 / 20.0, 0.5, labels[i], [i, i % patients, 0])).collect()
        };
        let methods = |patients: usize| {
            let patient_labels = vec![true; patients];
            let sample = Sample::new(items(patients), labels.clone(), patient_labels, 1);
            let set = sample.test_set(Balance::Natural, "", &options(), &JobCtx::detached()).expect("done");
            [Metric::Sensitivity, Metric::RocAuc, Metric::Mcc].map(|metric| set.metrics.get(metric).method)
        };
        let bootstrap = Some("bootstrap over patients");
        assert_eq!(methods(20), [Some("Clopper-Pearson"), Some("DeLong, logit scale"), bootstrap]);
        assert_eq!(methods(10), [bootstrap; 3]);
    }

    #[test]
    fn cancelling_stops_the_draws() {
        let ctx = JobCtx::detached();
        ctx.cancel();
        assert!(slices().test_set(Balance::Natural, "", &options(), &ctx).is_err());
    }
}
