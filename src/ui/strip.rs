//! The strip beside the image: one row per slice, head at the top. Bar length is the score, so that it can be read
//! without colour; hatching is "not run", a cross is "left out", numbered flags are the peaks.

use egui::{Align2, Color32, FontId, PointerButton, Pos2, Rect, Sense, Stroke, pos2, vec2};

use super::{UiCache, measure, theme, viewport};
use crate::findings::SliceState;
use crate::findings::describe::score_text;
use crate::geometry::orientation_letters;
use crate::state::{ActiveSeries, AppState, CineEnd, Command, HIDDEN};
use crate::study::Series;

const WIDTH: f32 = 84.0;

pub fn show(ui: &mut egui::Ui, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let Some(active) = &state.active else { return };
    let frame = egui::Frame::NONE.fill(theme::BACKGROUND).inner_margin(egui::Margin::symmetric(4, 4));
    egui::Panel::right("strip").frame(frame).exact_size(WIDTH).resizable(false).show(ui, |ui| {
        let rect = ui.available_rect_before_wrap();
        let response = ui.allocate_rect(rect, Sense::click_and_drag());
        let layout = Layout::new(rect, active.slice_count());
        draw(&ui.painter_at(rect), &layout, state, active);
        super::scrolls_with_arrows(ui, &response, cache);
        let label = spoken(state, active);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Slider, true, label.clone()));
        let on_cine = cine_drag(&response, &layout, active, cache, commands);
        response.context_menu(|ui| cine_menu(ui, state, active, commands));
        let primary = response.dragged_by(PointerButton::Primary) || response.clicked();
        if let Some(at) = response.interact_pointer_pos().filter(|_| primary && !on_cine) {
            let target = if response.clicked() { layout.peak_near(at.y, &state.peaks()) } else { None };
            commands.push(match target {
                Some(peak) => Command::GoToPeak(peak),
                None => Command::GoToSlice(layout.slice_at(at.y)),
            });
        }
        if let Some(at) = response.hover_pos().filter(|_| !response.dragged()) {
            let index = layout.slice_at(at.y);
            response.on_hover_text_at_pointer(hover_text(state, active, index));
        }
    });
}

/// How near to a mark of the cine's range it is taken hold of, points.
const GRIP: f32 = 6.0;
/// The marks stand so far into the strip, points.
const MARKS: f32 = 11.0;

/// The marks of the cine's range: which end, and where.
fn cine_marks(layout: &Layout, active: &ActiveSeries) -> impl Iterator<Item = (CineEnd, f32)> {
    let [first, last] = active.cine_range.of(active.slice_count());
    let marks = [(CineEnd::First, layout.top_of(first)), (CineEnd::Last, layout.top_of(last + 1))];
    marks.into_iter().filter(|(end, _)| active.cine_range.is_set(*end))
}

/// Drags a mark; true while that is what the mouse does.
fn cine_drag(
    response: &egui::Response,
    layout: &Layout,
    active: &ActiveSeries,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) -> bool {
    let pressed = response.ctx.input(|i| i.pointer.press_origin());
    if let Some(from) = pressed.filter(|_| response.drag_started_by(PointerButton::Primary)) {
        let near = |(_, y): &(CineEnd, f32)| (y - from.y).abs() <= GRIP && from.x <= layout.rows.left() + MARKS;
        cache.cine_end = cine_marks(layout, active).find(near).map(|(end, _)| end);
    }
    let Some(end) = cache.cine_end else { return false };
    if response.dragged()
        && let Some(at) = response.interact_pointer_pos()
    {
        // The mark of the end lies below its slice.
        let y = if end == CineEnd::Last { at.y - layout.row_height() } else { at.y };
        commands.push(Command::MoveCineEnd(end, layout.slice_at(y + layout.row_height() / 2.0)));
    }
    cache.cine_end = cache.cine_end.filter(|_| response.dragged());
    true
}

fn cine_menu(ui: &mut egui::Ui, state: &AppState, active: &ActiveSeries, commands: &mut Vec<Command>) {
    viewport::menu_entry(ui, state, ("Play or stop", "cine"), commands);
    viewport::menu_entry(ui, state, ("Cine begins at this slice", "cine-first"), commands);
    viewport::menu_entry(ui, state, ("Cine ends at this slice", "cine-last"), commands);
    let all = egui::Button::new("Cine over all slices");
    if ui.add_enabled(!active.cine_range.is_all(), all).clicked() {
        commands.push(Command::ClearCineRange);
        ui.close();
    }
}

/// A bracket beside the slices that a cine plays, where these are not all; its ends are what is dragged.
fn cine_range(painter: &egui::Painter, layout: &Layout, active: &ActiveSeries) {
    if active.cine_range.is_all() {
        return;
    }
    let [first, last] = active.cine_range.of(active.slice_count());
    let (x, stroke) = (layout.rows.left() + 2.0, Stroke::new(2.0, theme::ACCENT));
    painter.line_segment([pos2(x, layout.top_of(first)), pos2(x, layout.top_of(last + 1))], stroke);
    for (end, y) in cine_marks(layout, active) {
        let inwards = if end == CineEnd::First { 5.0 } else { -5.0 };
        let corners = vec![pos2(x, y), pos2(x + MARKS - 3.0, y), pos2(x, y + inwards)];
        painter.add(egui::Shape::convex_polygon(corners, theme::ACCENT, Stroke::NONE));
    }
}

/// Where slices lie in the strip.
struct Layout {
    /// The rows, without the letters above and below.
    rows: Rect,
    bars: Rect,
    slices: usize,
}

impl Layout {
    fn new(rect: Rect, slices: usize) -> Self {
        let rows = Rect::from_min_max(rect.min + vec2(0.0, 20.0), rect.max - vec2(0.0, 20.0));
        let bars = Rect::from_min_max(rows.min + vec2(28.0, 0.0), rows.max - vec2(14.0, 0.0));
        Self { rows, bars, slices: slices.max(1) }
    }
    fn row_height(&self) -> f32 {
        self.rows.height() / self.slices as f32
    }
    fn top_of(&self, slice: usize) -> f32 {
        self.rows.top() + slice as f32 * self.row_height()
    }
    fn centre_of(&self, slice: usize) -> f32 {
        self.top_of(slice) + self.row_height() / 2.0
    }
    fn slice_at(&self, y: f32) -> usize {
        let row = ((y - self.rows.top()) / self.row_height()).floor();
        if row.is_finite() && row > 0.0 { (row as usize).min(self.slices - 1) } else { 0 }
    }
    /// The peak whose flag is under the pointer, if any: flags are easier to hit than rows of two pixels.
    fn peak_near(&self, y: f32, peaks: &[usize]) -> Option<usize> {
        let distance = |p: usize| (self.centre_of(p) - y).abs();
        let nearest = peaks.iter().copied().min_by(|a, b| distance(*a).total_cmp(&distance(*b)))?;
        (distance(nearest) <= (self.row_height() / 2.0).max(6.0)).then_some(nearest)
    }
    /// Rows as drawn: one per slice, or one per point with the slices it stands for when there are more slices.
    fn rows(&self) -> Vec<(f32, f32, std::ops::Range<usize>)> {
        if self.row_height() >= 1.0 {
            let gap = if self.row_height() >= 4.0 { 1.0 } else { 0.0 };
            return (0..self.slices)
                .map(|i| (self.top_of(i), self.top_of(i) + self.row_height() - gap, i..i + 1))
                .collect();
        }
        let lines = self.rows.height().floor().max(1.0) as usize;
        (0..lines)
            .map(|y| {
                let top = self.rows.top() + y as f32;
                let range = y * self.slices / lines..((y + 1) * self.slices / lines).min(self.slices);
                (top, top + 1.0, range)
            })
            .collect()
    }
}

fn draw(painter: &egui::Painter, layout: &Layout, state: &AppState, active: &ActiveSeries) {
    let (head, feet) = ends(&active.series);
    let font = FontId::proportional(13.0);
    let x = layout.bars.center().x;
    painter.text(pos2(x, layout.rows.top() - 3.0), Align2::CENTER_BOTTOM, head, font.clone(), theme::DIM);
    painter.text(pos2(x, layout.rows.bottom() + 3.0), Align2::CENTER_TOP, feet, font, theme::DIM);
    painter.rect_filled(layout.bars, 0.0, theme::PANEL);
    decoded_edge(painter, layout, active);
    scores(painter, layout, state);
    if let Some(findings) = state.findings() {
        let x = egui::lerp(layout.bars.left()..=layout.bars.right(), findings.threshold().clamp(0.0, 1.0));
        painter.line_segment([pos2(x, layout.bars.top()), pos2(x, layout.bars.bottom())], Stroke::new(1.0, theme::DIM));
    }
    if let Some(truth) = state.truth() {
        reference(painter, layout, &truth.positive_stretches());
    }
    measure::paint_marks(painter, layout.bars.left() - 1.0, &|slice| layout.centre_of(slice), active);
    named_levels(painter, layout, active);
    cine_range(painter, layout, active);
    current(painter, layout, active.current);
    flags(painter, layout, &state.peaks());
}

/// Brackets beside the slices that the reference standard calls positive, as in the paper's figure 3.
fn reference(painter: &egui::Painter, layout: &Layout, stretches: &[[usize; 2]]) {
    let stroke = Stroke::new(2.0, theme::REFERENCE);
    let x = layout.bars.left() - 3.0;
    for &[first, last] in stretches {
        let (top, bottom) = (layout.top_of(first), layout.top_of(last + 1).max(layout.top_of(first) + 2.0));
        painter.line_segment([pos2(x, top), pos2(x, bottom)], stroke);
        for y in [top, bottom] {
            painter.line_segment([pos2(x, y), pos2(x + 7.0, y)], stroke);
        }
    }
}

/// The names of the vertebrae that the reader has named, at their slices.
fn named_levels(painter: &egui::Painter, layout: &Layout, active: &ActiveSeries) {
    let levels = active.levels();
    let mut last: Option<f32> = None;
    for (level, at) in levels.named().iter().filter(|_| levels.in_order()) {
        let Some(slice) = active.nearest_slice(*at) else { continue };
        let y = layout.centre_of(slice);
        // The number of the slice being read stands in the same place.
        let covered = (layout.centre_of(active.current) - y).abs() < 11.0 || last.is_some_and(|last| y - last < 11.0);
        painter.line_segment(
            [pos2(layout.bars.left() - 4.0, y), pos2(layout.bars.left(), y)],
            Stroke::new(1.0, theme::MEASURE),
        );
        if !covered {
            let font = FontId::proportional(10.0);
            painter.text(pos2(layout.bars.left() - 6.0, y), Align2::RIGHT_CENTER, level.name(), font, theme::MEASURE);
            last = Some(y);
        }
    }
}

/// Letters of the two ends of the stack: H and F for axial series, first and last number without geometry.
fn ends(series: &Series) -> (String, String) {
    let pose = |s: Option<&crate::study::SliceInfo>| s.and_then(|s| s.pose);
    let (first, last) = (pose(series.slices.first()), pose(series.slices.last()));
    match (first, last) {
        (Some(a), Some(b)) if series.slices.len() > 1 => {
            let way = b.origin.0 - a.origin.0;
            let along = a.normal() * way.dot(a.normal()).signum();
            (orientation_letters(along * -1.0), orientation_letters(along))
        }
        _ => ("1".to_owned(), series.slices.len().to_string()),
    }
}

/// A thin edge that fills while slices are being read.
fn decoded_edge(painter: &egui::Painter, layout: &Layout, active: &ActiveSeries) {
    if active.loaded.is_some() {
        return;
    }
    for (top, bottom, range) in layout.rows() {
        if active.slices.get(range).is_some_and(|s| s.iter().all(Option::is_some)) {
            let x = layout.bars.left() - 3.0;
            painter.rect_filled(Rect::from_min_max(pos2(x, top), pos2(x + 2.0, bottom)), 0.0, theme::ACCENT);
        }
    }
}

fn scores(painter: &egui::Painter, layout: &Layout, state: &AppState) {
    let Some(findings) = state.findings() else {
        return hatch(painter, layout.bars);
    };
    let mut waiting_from: Option<f32> = None;
    for (top, bottom, range) in layout.rows() {
        let Some(slices) = findings.slices.get(range) else { continue };
        let best =
            slices.iter().filter_map(SliceState::score).fold(None, |m: Option<f32>, s| Some(m.map_or(s, |m| m.max(s))));
        let waiting = best.is_none() && slices.contains(&SliceState::NotRun);
        if !waiting && let Some(from) = waiting_from.take() {
            hatch(painter, Rect::from_min_max(pos2(layout.bars.left(), from), pos2(layout.bars.right(), top)));
        }
        let row = |width: f32| {
            Rect::from_min_max(pos2(layout.bars.left(), top), pos2(layout.bars.left() + width, bottom.max(top + 1.0)))
        };
        if let Some(score) = best {
            painter.rect_filled(row((layout.bars.width() * score.clamp(0.0, 1.0)).max(1.0)), 0.0, theme::heat(score));
        } else if waiting {
            waiting_from = waiting_from.or(Some(top));
        } else if slices.contains(&SliceState::Running) {
            painter.rect_stroke(
                row(layout.bars.width()),
                0.0,
                Stroke::new(1.0, theme::ACCENT),
                egui::StrokeKind::Inside,
            );
        } else {
            cross(painter, pos2(layout.bars.center().x, (top + bottom) / 2.0));
        }
    }
    if let Some(from) = waiting_from {
        hatch(painter, Rect::from_min_max(pos2(layout.bars.left(), from), layout.bars.max));
    }
}

/// Diagonal lines: nothing has been computed here.
fn hatch(painter: &egui::Painter, rect: Rect) {
    let painter = painter.with_clip_rect(rect.intersect(painter.clip_rect()));
    let stroke = Stroke::new(1.0, theme::LINE);
    let mut y = rect.top() - rect.width();
    // Lines start on a grid of the screen, so that neighbouring blocks join.
    y = (y / 7.0).floor() * 7.0;
    while y < rect.bottom() {
        painter.line_segment([pos2(rect.left(), y + rect.width()), pos2(rect.right(), y)], stroke);
        y += 7.0;
    }
}

fn cross(painter: &egui::Painter, at: Pos2) {
    let stroke = Stroke::new(1.0, theme::DIM);
    let d = 2.0;
    painter.line_segment([at - vec2(d, d), at + vec2(d, d)], stroke);
    painter.line_segment([at - vec2(d, -d), at + vec2(d, -d)], stroke);
}

fn current(painter: &egui::Painter, layout: &Layout, index: usize) {
    let y = layout.centre_of(index.min(layout.slices - 1));
    let half = (layout.row_height() / 2.0).max(1.5);
    let row = Rect::from_min_max(pos2(layout.bars.left() - 2.0, y - half), pos2(layout.bars.right() + 2.0, y + half));
    painter.rect_stroke(row, 0.0, Stroke::new(1.0, theme::TEXT), egui::StrokeKind::Outside);
    let text = (index + 1).to_string();
    let label_y = y.clamp(layout.rows.top() + 6.0, layout.rows.bottom() - 6.0);
    let right = layout.bars.left() - 6.0;
    painter.text(pos2(right, label_y), Align2::RIGHT_CENTER, text, FontId::proportional(12.0), theme::TEXT);
}

fn flags(painter: &egui::Painter, layout: &Layout, peaks: &[usize]) {
    // Best first; a flag that would lie on a better one gives way.
    let mut taken: Vec<f32> = Vec::new();
    for (rank, &peak) in peaks.iter().enumerate() {
        let y = layout.centre_of(peak);
        if taken.iter().any(|t| (t - y).abs() < 12.0) {
            continue;
        }
        taken.push(y);
        let x = layout.bars.right() + 3.0;
        let pole = Stroke::new(1.0, theme::TEXT);
        painter.line_segment([pos2(layout.bars.right(), y), pos2(x, y)], pole);
        let flag = Rect::from_center_size(pos2(x + 6.0, y), vec2(12.0, 11.0));
        painter.rect_filled(flag, 1.0, theme::RAISED);
        painter.text(
            flag.center(),
            Align2::CENTER_CENTER,
            (rank + 1).to_string(),
            FontId::proportional(10.0),
            theme::TEXT,
        );
    }
}

/// What a slice's row says in words.
fn hover_text(state: &AppState, active: &ActiveSeries, index: usize) -> String {
    let z = active.series.slices.get(index).and_then(|s| s.z_mm());
    let place = match z {
        Some(z) => format!("slice {}, z {z:.1} mm", index + 1),
        None => format!("slice {}", index + 1),
    };
    let place = match active.level_at(index) {
        Some(level) => format!("{place}, {} by your names", level.name()),
        None => place,
    };
    let Some(findings) = state.findings() else {
        let why = if state.results_hidden() { HIDDEN } else { "not run" };
        return format!("{place}: {why}");
    };
    let said = match findings.slices.get(index) {
        Some(SliceState::Running) => "running".to_owned(),
        Some(done @ SliceState::Done(_)) => match (done.score(), done.excluded()) {
            (Some(score), _) => {
                let side = if score >= findings.threshold() { "at or above" } else { "below" };
                let whose = if findings.chosen.is_some() { " that you chose" } else { "" };
                let (score, threshold) = (score_text(score), score_text(findings.threshold()));
                format!("score {score}, {side} the threshold of {threshold}{whose}")
            }
            (None, Some(why)) => why.sentence().to_owned(),
            (None, None) => "no score".to_owned(),
        },
        _ => "not run".to_owned(),
    };
    let model = &findings.provenance.model;
    let note = if model.trained { format!("trained on: {}", model.trained_on) } else { model.trained_on.clone() };
    let reference = match state.truth() {
        Some(truth) if truth.is_positive(index) => "\nreference: fracture in this slice",
        _ => "",
    };
    format!("{place}: {said}{reference}\n{note}")
}

fn spoken(state: &AppState, active: &ActiveSeries) -> String {
    let said = hover_text(state, active, active.current);
    let cine = match active.cine_range.of(active.slice_count()) {
        _ if active.cine_range.is_all() => String::new(),
        [first, last] => format!(", cine from {} to {}", first + 1, last + 1),
    };
    format!("Score strip, {} slices{cine}, {}", active.slice_count(), said.replace('\n', "; "))
}

/// Colour of a score in lists, the same as in the strip.
pub fn score_colour(score: f32) -> Color32 {
    theme::heat(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(slices: usize) -> Layout {
        Layout::new(Rect::from_min_size(Pos2::ZERO, vec2(84.0, 640.0)), slices)
    }

    #[test]
    fn every_slice_is_hit_at_its_centre_and_the_ends_are_safe() {
        for n in [1, 5, 64, 3000] {
            let l = layout(n);
            for i in 0..n {
                assert_eq!(l.slice_at(l.centre_of(i)), i);
            }
            assert_eq!((l.slice_at(-50.0), l.slice_at(1e9)), (0, n - 1));
        }
    }

    #[test]
    fn pooled_rows_cover_every_slice_once_so_no_peak_is_skipped() {
        for n in [64, 599, 601, 3000, 7001] {
            let mut next = 0;
            for (top, bottom, range) in layout(n).rows() {
                assert_eq!(range.start, next);
                assert!(bottom >= top);
                next = range.end;
            }
            assert_eq!(next, n);
        }
    }

    #[test]
    fn a_click_beside_a_peak_finds_it() {
        let l = layout(600);
        assert_eq!(l.peak_near(l.centre_of(100) + 4.0, &[100, 300]), Some(100));
        assert_eq!(l.peak_near(l.centre_of(200), &[100, 300]), None);
    }
}
