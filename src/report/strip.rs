//! The strip as a plot: head at the left, feet at the right, one bar per slice, readable without colour.

use super::page::{ACCENT, BAR, DIM, INK, Item, Page, RULE, Style};
use crate::findings::describe::score_text;
use crate::findings::{Findings, SliceState};
use crate::study::{Series, describe};

const LABEL: Style = Style::text(6.8, DIM);
/// Distance of hatching lines, points.
const HATCH: f32 = 3.6;

/// Where the bars are, `[left, top, right, bottom]`, and how many slices share a column.
struct Plot {
    rect: [f32; 4],
    slices: usize,
    per_column: usize,
}

impl Plot {
    fn new(outer: [f32; 4], slices: usize) -> Self {
        let rect = [outer[0] + 22.0, outer[1] + 16.0, outer[2] - 52.0, outer[3] - 28.0];
        // A bar narrower than this cannot be told from its neighbour in print; the highest of a column is drawn.
        let columns = ((rect[2] - rect[0]) / 1.0) as usize;
        Self { rect, slices, per_column: slices.div_ceil(columns.max(1)).max(1) }
    }
    fn x(&self, slice: f32) -> f32 {
        self.rect[0] + (self.rect[2] - self.rect[0]) * slice / self.slices.max(1) as f32
    }
    fn y(&self, score: f32) -> f32 {
        self.rect[3] - (self.rect[3] - self.rect[1]) * score.clamp(0.0, 1.0)
    }
}

/// Draws the strip into `[left, top, right, bottom]`; `numbered` are the slices (0-based) that get a number.
pub(super) fn draw(page: &mut Page, outer: [f32; 4], series: &Series, findings: &Findings, numbered: &[usize]) {
    let plot = Plot::new(outer, findings.slices.len());
    axes(page, &plot, series, findings.threshold());
    for start in (0..plot.slices).step_by(plot.per_column) {
        let end = (start + plot.per_column).min(plot.slices);
        let score = findings.slices.get(start..end).unwrap_or(&[]).iter().filter_map(SliceState::score);
        if let Some(score) = score.fold(None, |highest: Option<f32>, s| Some(highest.map_or(s, |h| h.max(s)))) {
            bar(page, &plot, start, end, score, score >= findings.threshold());
        }
    }
    let mut hatched = Vec::new();
    for (start, end, not_run) in spans_without_score(findings) {
        hatch(page, &plot, start, end, not_run);
        hatched.push(not_run);
    }
    threshold_line(page, &plot, findings.threshold());
    peak_numbers(page, &plot, findings, numbered);
    legend(page, &plot, &hatched);
}

fn axes(page: &mut Page, plot: &Plot, series: &Series, threshold: f32) {
    let [left, top, right, bottom] = plot.rect;
    for score in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = plot.y(score);
        page.rule([left, y], [right, y], if score == 0.0 { 0.8 } else { 0.3 }, if score == 0.0 { INK } else { RULE });
        if [0.0, 0.5, 1.0].contains(&score) {
            page.right(left - 4.0, y + 2.4, LABEL, &format!("{score:.1}"));
        }
    }
    page.rule([left, top], [left, bottom], 0.5, DIM);
    page.text(right + 5.0, plot.y(threshold) - 1.0, Style::text(6.8, INK), "threshold");
    page.text(right + 5.0, plot.y(threshold) + 7.0, Style::text(6.8, INK), &score_text(threshold));
    let step = tick_step(plot.slices);
    let ticks = (step..plot.slices.saturating_sub(step / 2)).step_by(step);
    for number in [1].into_iter().chain(ticks).chain([plot.slices]) {
        let x = plot.x(number as f32 - 0.5);
        page.rule([x, bottom], [x, bottom + 2.5], 0.4, DIM);
        page.centred(x, bottom + 9.5, LABEL, &number.to_string());
    }
    let (first, last) = if series.is_axial() { ("head", "feet") } else { ("first slice", "last slice") };
    let end = |name: &str, slice: Option<&crate::study::SliceInfo>| {
        let pose = slice.and_then(|s| s.pose);
        pose.map_or_else(|| name.to_owned(), |p| format!("{name}, {}", describe::position_text(&p)))
    };
    let strong = Style::strong(7.6, INK);
    page.text(left, bottom + 20.0, strong, &end(first, series.slices.first()));
    page.right(right, bottom + 20.0, strong, &end(last, series.slices.last()));
}

/// A round number of slices between ticks, giving about eight of them.
fn tick_step(slices: usize) -> usize {
    [5, 10, 20, 25, 50, 100, 200, 500].into_iter().find(|step| slices / step <= 10).unwrap_or(1000)
}

fn bar(page: &mut Page, plot: &Plot, start: usize, end: usize, score: f32, reaches: bool) {
    let (x0, x1) = (plot.x(start as f32), plot.x(end as f32));
    let gap = ((x1 - x0) * 0.18).min(1.2);
    // A score of 0 still shows that the slice was assessed.
    let top = plot.y(score).min(plot.rect[3] - 0.6);
    page.fill([x0 + gap / 2.0, top, x1 - gap / 2.0, plot.rect[3]], if reaches { ACCENT } else { BAR });
}

/// Runs of slices without a score: first, one past the last, and whether they were not reached (or else left out).
fn spans_without_score(findings: &Findings) -> Vec<(usize, usize, bool)> {
    let mut spans: Vec<(usize, usize, bool)> = Vec::new();
    for (i, state) in findings.slices.iter().enumerate().filter(|(_, s)| s.score().is_none()) {
        let not_run = state.excluded().is_none();
        match spans.last_mut() {
            Some((_, end, kind)) if *end == i && *kind == not_run => *end = i + 1,
            _ => spans.push((i, i + 1, not_run)),
        }
    }
    spans
}

/// Slanted lines for slices left out, upright dashes for slices not reached.
fn hatch(page: &mut Page, plot: &Plot, start: usize, end: usize, not_run: bool) {
    let ([_, top, _, bottom], x0, x1) = (plot.rect, plot.x(start as f32), plot.x(end as f32));
    let height = bottom - top;
    let mut from = if not_run { x0 + HATCH / 2.0 } else { x0 - height };
    while from < x1 {
        let item = if not_run {
            let ends = ([from, bottom], [from, top]);
            Item::Line { from: ends.0, to: ends.1, width: 0.4, colour: DIM, dash: Some([1.0, 2.5]) }
        } else {
            let clip = |x: f32| (x.clamp(x0, x1), bottom - (x.clamp(x0, x1) - from));
            let ((ax, ay), (bx, by)) = (clip(from), clip(from + height));
            Item::Line { from: [ax, ay], to: [bx, by], width: 0.4, colour: DIM, dash: None }
        };
        page.items.push(item);
        from += HATCH;
    }
    for x in [x0, x1] {
        page.rule([x, top], [x, bottom], 0.3, DIM);
    }
}

fn threshold_line(page: &mut Page, plot: &Plot, threshold: f32) {
    let [left, _, right, _] = plot.rect;
    let y = plot.y(threshold);
    let dash = Some([3.0, 2.0]);
    page.items.push(Item::Line { from: [left, y], to: [right + 3.0, y], width: 0.9, colour: INK, dash });
}

/// Numbers over the peaks, the higher peak keeping its place where two would touch.
fn peak_numbers(page: &mut Page, plot: &Plot, findings: &Findings, numbered: &[usize]) {
    let mut taken: Vec<f32> = Vec::new();
    for (rank, &index) in numbered.iter().enumerate() {
        let Some(score) = findings.slices.get(index).and_then(SliceState::score) else { continue };
        let x = plot.x(index as f32 + 0.5);
        if taken.iter().any(|t| (t - x).abs() < 9.0) {
            continue;
        }
        taken.push(x);
        let y = plot.y(score);
        page.rule([x, y - 1.0], [x, y - 4.0], 0.6, INK);
        page.centred(x, y - 5.5, Style::strong(8.0, INK), &(rank + 1).to_string());
    }
}

fn legend(page: &mut Page, plot: &Plot, hatched: &[bool]) {
    let mut parts = vec!["dark: at or above the threshold"];
    if plot.per_column > 1 {
        parts.push("each bar is the highest of its slices");
    }
    if hatched.contains(&false) {
        parts.push("slanted lines: left out");
    }
    if hatched.contains(&true) {
        parts.push("dotted lines: not reached");
    }
    let middle = (plot.rect[0] + plot.rect[2]) / 2.0;
    page.centred(middle, plot.rect[3] + 20.0, LABEL, &parts.join("  \u{b7}  "));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::tests::with_scores;

    #[test]
    fn a_peak_survives_when_slices_share_a_column() {
        let plot = Plot::new([0.0, 0.0, 500.0, 142.0], 2000);
        assert!(plot.per_column > 1 && plot.slices.div_ceil(plot.per_column) as f32 <= plot.rect[2] - plot.rect[0]);
        let mut scores = vec![Some(0.1); 2000];
        scores[1234] = Some(0.9);
        let findings = with_scores(&scores);
        let dark = |item: &Item| matches!(item, Item::Fill { colour, .. } if *colour == ACCENT);
        let mut page = Page::default();
        for start in (0..plot.slices).step_by(plot.per_column) {
            let end = (start + plot.per_column).min(plot.slices);
            let highest = findings.slices[start..end].iter().filter_map(SliceState::score).fold(0.0, f32::max);
            bar(&mut page, &plot, start, end, highest, highest >= findings.threshold());
        }
        assert_eq!(page.items.iter().filter(|i| dark(i)).count(), 1);
    }

    #[test]
    fn spans_keep_left_out_and_not_reached_apart() {
        let mut findings = with_scores(&[Some(0.1), None, None, None, Some(0.2)]);
        let outcome = crate::findings::SliceOutcome::Excluded(crate::findings::Exclusion::EmptySlice);
        findings.slices[1] = SliceState::Done(crate::findings::SliceFinding { outcome, flags: Vec::new() });
        assert_eq!(spans_without_score(&findings), [(1, 2, false), (2, 4, true)]);
    }

    #[test]
    fn hatching_stays_inside_its_slices() {
        let plot = Plot::new([0.0, 0.0, 500.0, 142.0], 10);
        let mut page = Page::default();
        hatch(&mut page, &plot, 2, 4, false);
        for item in &page.items {
            let Item::Line { from, to, .. } = item else { panic!("only lines") };
            for p in [from, to] {
                assert!(p[0] >= plot.x(2.0) - 1e-3 && p[0] <= plot.x(4.0) + 1e-3, "{p:?}");
                assert!(p[1] >= plot.rect[1] - 1e-3 && p[1] <= plot.rect[3] + 1e-3, "{p:?}");
            }
        }
    }
}
