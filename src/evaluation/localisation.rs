//! Whether the network looked at the right place: free-response curve over the marks on the strip, hit rate of the heatmap's peak.

use super::intervals::clopper_pearson;
use super::measure::Estimate;
use super::{CasePrediction, SlicePrediction};

/// Marks of one case lie more than this many slices apart, as the peaks on the strip do.
const APART: usize = 2;
/// False marks per case at which the curve is read.
const RATES: [f64; 7] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];

/// Free-response result. A finding is a run of positive slices; it is found by a mark on one of its slices whose heatmap peak touches
/// a box (or just on it, where there are no boxes). Marks on slices that count neither way are dropped.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Froc {
    pub findings: usize,
    pub cases: usize,
    /// `(false marks per case, share of findings found)`.
    pub points: Vec<(f64, f64)>,
    /// The curve at the usual rates; `None` beyond where the marks reach.
    pub at: Vec<FrocPoint>,
}

#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct FrocPoint {
    pub false_marks_per_case: f64,
    pub sensitivity: Option<f64>,
}

/// How often the hottest cell of the heatmap touches a reference box, on positive slices.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct HitRate {
    /// On all positive slices with a box.
    pub all: Estimate,
    /// On those of them at or above the threshold.
    pub called: Estimate,
}

/// A mark: score, and the finding it hits (`None`: a false one).
struct Mark {
    score: f64,
    finding: Option<usize>,
}

/// `None` where no case has a positive slice.
pub(super) fn froc(cases: &[&CasePrediction]) -> Option<Froc> {
    let mut findings = 0;
    let mut marks = Vec::new();
    for case in cases {
        let runs = runs(&case.slices);
        let count = runs.iter().flatten().max().map_or(0, |last| last + 1);
        for place in peaks(&case.slices) {
            let Some(slice) = case.slices.get(place) else { continue };
            let finding = match (slice.label, runs.get(place).copied().flatten(), slice.peak_in_box) {
                (None, ..) => continue,
                (Some(true), Some(run), Some(true) | None) => Some(findings + run),
                _ => None,
            };
            marks.push(Mark { score: slice.score, finding });
        }
        findings += count;
    }
    if findings == 0 {
        return None;
    }
    marks.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut found = vec![false; findings];
    let (mut hits, mut wrong) = (0usize, 0usize);
    let mut points = vec![(0.0, 0.0)];
    for (place, mark) in marks.iter().enumerate() {
        match mark.finding {
            Some(finding) => hits += usize::from(!std::mem::replace(&mut found[finding], true)),
            None => wrong += 1,
        }
        // Marks of one score come together.
        if marks.get(place + 1).is_none_or(|next| next.score != mark.score) {
            points.push((wrong as f64 / cases.len() as f64, hits as f64 / findings as f64));
        }
    }
    let reach = points.last().map_or(0.0, |point| point.0);
    let best_within = |rate: f64| points.iter().filter(|p| p.0 <= rate).map(|p| p.1).fold(0.0, f64::max);
    let at = RATES
        .iter()
        .map(|&rate| FrocPoint { false_marks_per_case: rate, sensitivity: (rate <= reach).then(|| best_within(rate)) })
        .collect();
    Some(Froc { findings, cases: cases.len(), points, at })
}

/// For each slice the number of the run of positive slices it is in. A slice that counts neither way does not end a run.
fn runs(slices: &[SlicePrediction]) -> Vec<Option<usize>> {
    let mut next = 0;
    let mut open = false;
    let mut of = |slice: &SlicePrediction| match slice.label {
        Some(true) => {
            if !open {
                next += 1;
                open = true;
            }
            Some(next - 1)
        }
        Some(false) => {
            open = false;
            None
        }
        None => None,
    };
    slices.iter().map(&mut of).collect()
}

/// Places of the local maxima, best first, more than [`APART`] slices apart.
fn peaks(slices: &[SlicePrediction]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..slices.len()).collect();
    order.sort_by(|&a, &b| slices[b].score.total_cmp(&slices[a].score).then(a.cmp(&b)));
    let score = |place: Option<usize>| place.and_then(|p| slices.get(p)).map_or(f64::NEG_INFINITY, |s| s.score);
    let mut kept: Vec<usize> = Vec::new();
    for place in order {
        let here = slices[place].score;
        let is_peak = here >= score(place.checked_sub(1)) && here >= score(place.checked_add(1));
        if is_peak && kept.iter().all(|&k| slices[k].index.abs_diff(slices[place].index) > APART) {
            kept.push(place);
        }
    }
    kept
}

/// `None` where no positive slice has a box. Slices of a case are not independent, so the interval is the exact one of as many
/// independent answers as there are cases: wide, and honest.
pub(super) fn hit_rate(cases: &[(&CasePrediction, f64)]) -> Option<HitRate> {
    let rate = |only_called: bool| {
        let (mut hits, mut n, mut of_cases) = (0usize, 0usize, 0u64);
        for (case, threshold) in cases {
            let boxed = case.slices.iter().filter(|slice| slice.label == Some(true));
            let answers: Vec<bool> = boxed
                .filter(|slice| !only_called || slice.score >= *threshold)
                .filter_map(|slice| slice.peak_in_box)
                .collect();
            hits += answers.iter().filter(|&&hit| hit).count();
            n += answers.len();
            of_cases += u64::from(!answers.is_empty());
        }
        let value = (n > 0).then(|| hits as f64 / n as f64);
        let interval =
            value.map(|v| clopper_pearson((v * of_cases as f64).round() as u64, of_cases)).unwrap_or_default();
        let method = value.map(|_| "Clopper-Pearson over cases");
        Estimate { value, lower: interval.lower, upper: interval.upper, n, method, folds: None }
    };
    let all = rate(false);
    all.value.map(|_| HitRate { all, called: rate(true) })
}

/// Whether the hottest of `columns * rows` cells laid over `region` touches one of the boxes (all `[x0, y0, x1, y1]` in the same
/// pixels); the first of equals. A cell is some ten millimetres wide and a hairline less, so its centre need not lie inside.
/// `None` without boxes or with a map that is not of that size or not of numbers.
pub fn hottest_cell_touches(
    map: &[f32],
    [columns, rows]: [usize; 2],
    region: [f64; 4],
    boxes: &[[f64; 4]],
) -> Option<bool> {
    if boxes.is_empty() || map.is_empty() || map.len() != columns * rows || map.iter().any(|v| v.is_nan()) {
        return None;
    }
    let hotter = |best: usize, at: usize| if map[at] > map[best] { at } else { best };
    let hottest = (1..map.len()).fold(0, hotter);
    // A map without any heat points nowhere.
    if map[hottest] <= 0.0 {
        return Some(false);
    }
    let cell = [(region[2] - region[0]) / columns as f64, (region[3] - region[1]) / rows as f64];
    let left = region[0] + cell[0] * (hottest % columns) as f64;
    let top = region[1] + cell[1] * (hottest / columns) as f64;
    let touches = |b: &[f64; 4]| b[0] < left + cell[0] && left < b[2] && b[1] < top + cell[1] && top < b[3];
    Some(boxes.iter().any(touches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::tests::case;

    #[test]
    fn a_perfect_reader_finds_all_without_false_marks() {
        let positive = case("a", true, 0.9, &[(0.1, false), (0.9, true), (0.8, true), (0.1, false), (0.2, false)]);
        let negative = case("b", false, 0.1, &[(0.1, false), (0.2, false), (0.1, false)]);
        let found = froc(&[&positive, &negative]).expect("a finding");
        assert_eq!((found.findings, found.points[1]), (1, (0.0, 1.0)));
        assert_eq!(found.at[0].sensitivity, Some(1.0));
        assert_eq!(froc(&[&negative]), None);
    }

    #[test]
    fn a_mark_beside_the_box_is_a_false_one() {
        let mut one = case("a", true, 0.9, &[(0.1, false), (0.9, true), (0.1, false)]);
        one.slices[1].peak_in_box = Some(false);
        let found = froc(&[&one]).expect("a finding");
        assert_eq!(found.points.last(), Some(&(1.0, 0.0)));
        let rate = hit_rate(&[(&one, 0.5)]).expect("a box");
        assert_eq!((rate.all.value, rate.all.n), (Some(0.0), 1));
        assert_eq!(hit_rate(&[(&case("a", true, 0.9, &[(0.9, true)]), 0.5)]), None);
    }

    #[test]
    fn the_hottest_cell_touches_what_lies_in_it() {
        let map = [0.0, 0.1, 0.0, 0.9];
        let touches = |b: [f64; 4]| hottest_cell_touches(&map, [2, 2], [10.0, 20.0, 30.0, 40.0], &[b]);
        assert_eq!(touches([29.0, 39.0, 29.5, 39.5]), Some(true), "a small box anywhere in the cell");
        assert_eq!(touches([11.0, 21.0, 19.0, 29.0]), Some(false));
        assert_eq!(touches([11.0, 21.0, 21.0, 31.0]), Some(true), "a corner of the box");
        assert_eq!(hottest_cell_touches(&map, [2, 2], [0.0, 0.0, 1.0, 1.0], &[]), None);
        assert_eq!(hottest_cell_touches(&map, [3, 2], [0.0, 0.0, 1.0, 1.0], &[[0.0; 4]]), None);
        assert_eq!(hottest_cell_touches(&[0.0; 4], [2, 2], [0.0, 0.0, 1.0, 1.0], &[[0.0, 0.0, 1.0, 1.0]]), Some(false));
    }

    #[test]
    fn two_runs_are_two_findings_and_unlabelled_slices_join() {
        let mut one = case(
            "a",
            true,
            0.9,
            &[(0.5, true), (0.4, true), (0.3, true), (0.1, false), (0.1, false), (0.6, true), (0.1, false)],
        );
        one.slices[1].label = None;
        assert_eq!(runs(&one.slices), [Some(0), None, Some(0), None, None, Some(1), None]);
        let found = froc(&[&one]).expect("findings");
        assert_eq!((found.findings, found.points[2]), (2, (0.0, 1.0)));
    }
}
