//! What stands on the image besides the image: corner text, orientation letters, ruler, heatmap scale, flags.

use egui::{Align2, Color32, FontId, Painter, Pos2, Rect, Stroke, vec2};

use super::theme;
use crate::findings::describe::{counted, standing};
use crate::geometry::{PixelPoint, Plane, SlicePose};
use crate::state::{ActiveSeries, AppState, OverlayDensity};
use crate::study::describe::{self, CornerText, Identity};
use crate::study::plane_text;
use crate::view::fidelity::Fidelity;
use crate::view::planes::{Layout, Pane};
use crate::view::{HeatmapStyle, OUTLINE_SHARE, ResolvedView, ViewState, ruler_length_mm};

/// The corner text of the view as the window shows it; exports burn in the same lines.
pub fn corner_lines(state: &AppState, active: &ActiveSeries) -> CornerText {
    corner_lines_in(state, active, &active.view)
}

/// The same for slices that are looked at through another view than their own.
pub fn corner_lines_in(state: &AppState, active: &ActiveSeries, view: &ViewState) -> CornerText {
    let identity = if state.hide_identity { Identity::Hidden } else { Identity::Shown };
    let mut text = describe::corner_text(&active.series, active.current, &active.window, view.zoom, identity)
        .flipped(view.flip_horizontal, view.flip_vertical);
    if active.invert {
        text.bottom_right.push("inverted by the reader".to_owned());
    }
    text
}

/// As [`corner_lines`], for a plane across the slices.
pub fn plane_corner_text(state: &AppState, active: &ActiveSeries, plane: Plane, pose: SlicePose) -> CornerText {
    let Some(planes) = &active.planes else { return CornerText::default() };
    let identity = if state.hide_identity { Identity::Hidden } else { Identity::Shown };
    let view = active.view_of(Pane::Across(plane));
    let bent = planes.bent(plane);
    let cut = plane_text::Cut { plane, through: planes.crosshair, pose, bent: bent.as_ref() };
    let shown = (&active.window, view.zoom);
    let mut text = plane_text::corner_text(&cut, &active.series, shown, identity)
        .flipped(view.flip_horizontal, view.flip_vertical);
    if active.invert {
        text.bottom_right.push("inverted by the reader".to_owned());
    }
    text
}

/// "HU 642 at (-12.0, 31.2, -175.0) mm"; `None` off the image or before the slice has been read.
pub fn readout(active: &ActiveSeries, at: PixelPoint) -> Option<String> {
    let slice = active.slice()?;
    let (column, row) = ((at.column + 0.5).floor(), (at.row + 0.5).floor());
    if column < 0.0 || row < 0.0 {
        return None;
    }
    let value = slice.at(column as usize, row as usize)?;
    let unit = if active.series.values_are_hu { "HU" } else { "value" };
    let number = if slice.is_padding(value) { "padding".to_owned() } else { format!("{value}") };
    let pose = active.series.slices.get(active.current).and_then(|s| s.pose);
    let place = match (pose, active.series.spacing_mm) {
        (Some(pose), Some(spacing_mm)) => {
            let p = pose.patient_from_pixel(PixelPoint { column, row }, spacing_mm).0;
            format!("({:.1}, {:.1}, {:.1}) mm", p.x, p.y, p.z)
        }
        _ => format!("column {column:.0}, row {row:.0}"),
    };
    Some(format!("{unit} {number} at {place}"))
}

/// Where text stands on a view.
pub struct Placed {
    pub taken: Vec<Rect>,
    /// The word that says how the picture comes from the file's values.
    pub badge: Rect,
}

/// Everything over the image. `pointer` is in physical pixels from the view's corner.
pub fn paint(
    painter: &Painter,
    rect: Rect,
    state: &AppState,
    active: &ActiveSeries,
    resolved: &ResolvedView,
    pointer: Option<PixelPoint>,
    fidelity: &Fidelity,
) -> Placed {
    let mut text = corner_lines(state, active);
    if let Some(line) = pointer.and_then(|at| readout(active, at)) {
        text.bottom_left.push(line);
    }
    reference(painter, rect, state, active, resolved);
    let placed = paint_text(painter, rect, state, active, resolved, text, &notes(state, active), fidelity);
    if state.settings.overlay != OverlayDensity::None {
        heatmap_scale(painter, rect, state);
    }
    placed
}

/// Everything over the series beside the one being read: nothing of a network, for nothing is computed of it here.
pub(super) fn paint_beside(
    painter: &Painter,
    rect: Rect,
    state: &AppState,
    (shown, view): (&ActiveSeries, &ViewState),
    resolved: &ResolvedView,
    pointer: Option<PixelPoint>,
    fidelity: &Fidelity,
) -> Placed {
    let mut text = corner_lines_in(state, shown, view);
    if let Some(line) = pointer.and_then(|at| readout(shown, at)) {
        text.bottom_left.push(line);
    }
    paint_text(painter, rect, state, shown, resolved, text, &beside_notes(state, shown), fidelity)
}

/// What must be seen of the second series.
pub(super) fn beside_notes(state: &AppState, shown: &ActiveSeries) -> Vec<Note> {
    let other = shown.series.warnings.iter().filter(|w| w.kind != crate::study::Kind::LossyCompression).count();
    let warnings = (other > 0).then(|| format!("{} on this series", counted(other, "warning")));
    let patient = state.beside_warning().map(|text| (text.to_owned(), theme::WARNING));
    patient.into_iter().chain(warnings.map(|text| (text, theme::WARNING))).collect()
}

/// Corner text, letters and ruler, as far as the density allows; the notes and the badge always.
#[expect(clippy::too_many_arguments, reason = "a view and all that is said of it")]
pub(super) fn paint_text(
    painter: &Painter,
    rect: Rect,
    state: &AppState,
    active: &ActiveSeries,
    resolved: &ResolvedView,
    mut text: CornerText,
    notes: &[Note],
    fidelity: &Fidelity,
) -> Placed {
    let density = state.settings.overlay;
    if density == OverlayDensity::None {
        text = CornerText::default();
    }
    letters(painter, rect, &text.letters);
    if density == OverlayDensity::Minimal {
        text.top_left.clear();
        text.top_right.clear();
        text.bottom_right.truncate(2);
    }
    let badge = badge_lines(painter, rect, fidelity);
    let badge_colour = if fidelity.is_caution() { theme::WARNING } else { theme::DIM };
    let lines = badge.len();
    text.bottom_right.extend(badge);
    let mut placed = corners(painter, rect, &text, (lines, badge_colour));
    placed.taken.extend(paint_notes(painter, rect, &text, notes));
    if active.series.spacing_mm.is_some() && density != OverlayDensity::None {
        ruler(painter, rect, resolved, &placed.taken);
    }
    placed
}

/// The boxes of the reference standard on this slice, with a line that says whose they are.
fn reference(painter: &Painter, rect: Rect, state: &AppState, active: &ActiveSeries, resolved: &ResolvedView) {
    let Some(slice) = state.truth().and_then(|truth| truth.slices.get(active.current)) else { return };
    let scale = f64::from(painter.pixels_per_point());
    // Boxes are given by pixel edges, the view by pixel centres.
    let place = |x: f64, y: f64| {
        let (x, y) = resolved.pixel_from_screen.screen(PixelPoint { column: x - 0.5, row: y - 0.5 });
        rect.min + vec2((x / scale) as f32, (y / scale) as f32)
    };
    for (index, &[x0, y0, x1, y1]) in slice.boxes.iter().enumerate() {
        let frame = Rect::from_two_pos(place(x0, y0), place(x1, y1));
        let stroke = |width: f32, colour| Stroke::new(width, colour);
        painter.rect_stroke(frame, 0.0, stroke(3.5, Color32::from_black_alpha(190)), egui::StrokeKind::Outside);
        painter.rect_stroke(frame, 0.0, stroke(1.5, theme::REFERENCE), egui::StrokeKind::Outside);
        if index == 0 {
            let level = slice.level.map_or_else(String::new, |level| format!(" {}", level.name()));
            let at = frame.left_top() - vec2(0.0, 4.0);
            legible(painter, at, Align2::LEFT_BOTTOM, &format!("reference{level}"), font(rect), theme::REFERENCE);
        }
    }
}

/// What the reference standard says, while it is shown.
fn reference_line(state: &AppState, active: &ActiveSeries) -> Option<String> {
    let truth = state.truth()?;
    let here = if truth.is_positive(active.current) { "; this slice shows it" } else { "" };
    Some(format!("{}{here}", truth.sentence()))
}

pub(super) fn font(rect: Rect) -> FontId {
    FontId::proportional(if rect.height() > 1300.0 { 15.0 } else { 12.5 })
}

/// Text that can be read on bone as well as on air.
pub(super) fn legible(painter: &Painter, at: Pos2, align: Align2, text: &str, font: FontId, colour: Color32) -> Rect {
    let shade = Color32::from_black_alpha(190);
    for offset in [vec2(1.0, 1.0), vec2(-1.0, 0.0), vec2(0.0, -1.0), vec2(1.0, 0.0)] {
        painter.text(at + offset, align, text, font.clone(), shade);
    }
    painter.text(at, align, text, font, colour)
}

const MARGIN: f32 = 10.0;

fn line_height(font: &FontId) -> f32 {
    font.size + 3.5
}

/// So that two corners do not meet, and leave the letter between them free.
fn widest_corner(rect: Rect) -> f32 {
    (rect.width() / 2.0 - 44.0).max(60.0)
}

/// The badge in as many lines as its parts need in a corner, so that no amount is cut off.
fn badge_lines(painter: &Painter, rect: Rect, fidelity: &Fidelity) -> Vec<String> {
    let (font, widest) = (font(rect), widest_corner(rect));
    let width = |t: &str| painter.layout_no_wrap(t.to_owned(), font.clone(), theme::TEXT).size().x;
    let mut lines: Vec<String> = Vec::new();
    for part in fidelity.parts() {
        let joined = lines.last().map(|line| format!("{line}, {part}")).filter(|joined| width(joined) <= widest);
        match (lines.last_mut(), joined) {
            (Some(line), Some(joined)) => *line = joined,
            _ => lines.push(part.to_owned()),
        }
    }
    lines
}

/// The last lines at the bottom right are the badge and have a colour of their own.
fn corners(painter: &Painter, rect: Rect, text: &CornerText, (badge_lines, badge_colour): (usize, Color32)) -> Placed {
    let font = font(rect);
    let (line, widest) = (line_height(&font), widest_corner(rect));
    let mut taken = Vec::new();
    let mut block = |lines: &[String], corner: Align2, down: bool, badge: usize| {
        let at = corner.pos_in_rect(&rect.shrink(MARGIN));
        for (i, text) in lines.iter().enumerate() {
            let steps = if down { i } else { lines.len() - 1 - i } as f32;
            let y = if down { at.y + steps * line } else { at.y - steps * line };
            let text = fitting(painter, text, &font, widest);
            let colour = if i + badge >= lines.len() { badge_colour } else { theme::TEXT };
            taken.push(legible(painter, Pos2::new(at.x, y), corner, &text, font.clone(), colour));
        }
    };
    block(&text.top_left, Align2::LEFT_TOP, true, 0);
    block(&text.top_right, Align2::RIGHT_TOP, true, 0);
    block(&text.bottom_left, Align2::LEFT_BOTTOM, false, 0);
    block(&text.bottom_right, Align2::RIGHT_BOTTOM, false, badge_lines);
    let badge = taken.iter().rev().take(badge_lines).fold(Rect::NOTHING, |all, line| all.union(*line));
    Placed { taken, badge }
}

/// The text itself, or its beginning with an ellipsis, so that long names do not run into the other corner.
fn fitting(painter: &Painter, text: &str, font: &FontId, widest: f32) -> String {
    let width = |t: &str| painter.layout_no_wrap(t.to_owned(), font.clone(), theme::TEXT).size().x;
    if width(text) <= widest {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let cut = |n: usize| letters.iter().take(n).collect::<String>() + "...";
    let (mut fits, mut too_long) = (0, letters.len());
    while too_long - fits > 1 {
        let middle = (fits + too_long) / 2;
        if width(&cut(middle)) <= widest { fits = middle } else { too_long = middle }
    }
    cut(fits)
}

fn letters(painter: &Painter, rect: Rect, letters: &[String; 4]) {
    let font = FontId::proportional(font(rect).size + 3.5);
    let places = [Align2::CENTER_TOP, Align2::RIGHT_CENTER, Align2::CENTER_BOTTOM, Align2::LEFT_CENTER];
    for (text, place) in letters.iter().zip(places) {
        if !text.is_empty() {
            let at = place.pos_in_rect(&rect.shrink(MARGIN));
            legible(painter, at, place, text, font.clone(), theme::TEXT);
        }
    }
}

/// Room below the ruler for its own text, points.
const RULER_TEXT: f32 = 24.0;
/// The ruler and its text, points from the right edge.
const RULER_WIDTH: f32 = 48.0;
/// A shorter one measures nothing by eye, points.
const SHORTEST_RULER: f32 = 20.0;

/// A bar of a round length at the right edge, upright, between the letter and the text below it; none where there is no
/// room for one.
fn ruler(painter: &Painter, rect: Rect, resolved: &ResolvedView, taken: &[Rect]) {
    let points_per_mm = (resolved.screen_px_per_unit / f64::from(painter.pixels_per_point())) as f32;
    let below_letter = rect.center().y + font(rect).size + 4.0;
    let own = rect.right() - RULER_WIDTH;
    let below = taken.iter().filter(|text| text.right() > own && text.top() > below_letter).map(|text| text.top());
    let above_corner = below.fold(rect.bottom() - MARGIN, f32::min) - RULER_TEXT;
    let room = (above_corner - below_letter).min(rect.height() * 0.3);
    let Some(length_mm) = ruler_length_mm(f64::from(room / points_per_mm)) else { return };
    let length = length_mm as f32 * points_per_mm;
    if length < SHORTEST_RULER {
        return;
    }
    let x = rect.right() - 14.0;
    let bottom =
        (rect.center().y + rect.height() * 0.12 + length / 2.0 + 30.0).min(above_corner).max(below_letter + length);
    let (top, bottom) = (Pos2::new(x, bottom - length), Pos2::new(x, bottom));
    for (width, colour) in [(4.0, Color32::from_black_alpha(190)), (1.5, theme::TEXT)] {
        let stroke = Stroke::new(width, colour);
        painter.line_segment([top, bottom], stroke);
        for i in 0..=10 {
            let y = egui::lerp(top.y..=bottom.y, i as f32 / 10.0);
            let tick = if i % 5 == 0 { 7.0 } else { 4.0 };
            painter.line_segment([Pos2::new(x - tick, y), Pos2::new(x, y)], stroke);
        }
    }
    let text = if length_mm >= 10.0 { format!("{:.0} cm", length_mm / 10.0) } else { format!("{length_mm} mm") };
    let at = Pos2::new(x, bottom.y + 5.0);
    legible(painter, at, Align2::RIGHT_TOP, &text, FontId::proportional(11.5), theme::TEXT);
}

/// Below this height, points, the foot of a view is full of text.
const LOW_VIEW: f32 = 420.0;

/// The scale of the heatmap on the slices, while one is drawn in the panes that they stand for.
fn heatmap_scale(painter: &Painter, rect: Rect, state: &AppState) {
    let here = state.heatmap_layer().map(|layer| (layer.maximum, [layer.cam.columns, layer.cam.rows]));
    let beside = || state.plane_heat().filter(|_| several(state)).map(|heat| (heat.stack.maximum, heat.stack.cells()));
    if let Some((maximum, cells)) = here.or_else(beside) {
        paint_scale(painter, rect, state, maximum, cells);
    }
}

/// The scale of the heatmap on a plane that stands alone.
pub(super) fn plane_heatmap_scale(painter: &Painter, rect: Rect, state: &AppState) {
    if let Some(heat) = state.plane_heat().filter(|_| state.settings.overlay != OverlayDensity::None) {
        paint_scale(painter, rect, state, heat.stack.maximum, heat.stack.cells());
    }
}

fn several(state: &AppState) -> bool {
    state.settings.layout != Layout::One
}

/// The ramp with numbers; for an outline the mark that it stands at.
fn paint_scale(painter: &Painter, rect: Rect, state: &AppState, maximum: f32, [columns, rows]: [usize; 2]) {
    let style = state.settings.heatmap_style;
    let height = (rect.height() * 0.18).clamp(60.0, 160.0);
    let scale = Rect::from_min_size(Pos2::new(rect.left() + 14.0, rect.center().y + 30.0), vec2(9.0, height));
    let y = |t: f32| egui::lerp(scale.bottom()..=scale.top(), t);
    const STEPS: usize = 48;
    for i in 0..STEPS {
        let (a, b) = (i as f32 / STEPS as f32, (i + 1) as f32 / STEPS as f32);
        let cell = Rect::from_min_max(Pos2::new(scale.left(), y(b)), Pos2::new(scale.right(), y(a)));
        painter.rect_filled(cell, 0.0, theme::heat((a + b) / 2.0));
    }
    painter.rect_stroke(scale, 0.0, Stroke::new(1.0, theme::LINE), egui::StrokeKind::Outside);
    let font = FontId::proportional(11.0);
    let label = |y: f32, text: String| {
        legible(painter, Pos2::new(scale.right() + 5.0, y), Align2::LEFT_CENTER, &text, font.clone(), theme::TEXT);
    };
    // In a low view the notes stand where the name would.
    let low = rect.height() < LOW_VIEW;
    let (kind, of) = match state.shown_occlusion() {
        Some(_) => ("occlusion (drop of the score)", "largest drop on this slice"),
        None => ("Grad-CAM (logit)", "study's maximum"),
    };
    let name = match style {
        HeatmapStyle::Smooth => format!("{kind}, smooth"),
        HeatmapStyle::Cells => format!("{kind}, {columns} x {rows} cells"),
        HeatmapStyle::Outline => format!("{kind}, outline"),
    };
    let top = format!("{}  {of}", short_number(maximum));
    label(scale.top(), if low { format!("{top}, {name}") } else { top });
    let half = short_number(maximum * OUTLINE_SHARE);
    if style == HeatmapStyle::Outline {
        let mark = |x: f32| Pos2::new(x, y(OUTLINE_SHARE));
        painter.line_segment([mark(scale.left() - 4.0), mark(scale.right() + 3.0)], Stroke::new(2.0, theme::TEXT));
        label(y(OUTLINE_SHARE), format!("{half}  outline"));
    } else {
        label(y(OUTLINE_SHARE), half);
    }
    label(scale.bottom(), "0".to_owned());
    if !low {
        let below = Pos2::new(scale.left(), scale.bottom() + 10.0);
        legible(painter, below, Align2::LEFT_TOP, &name, font.clone(), theme::DIM);
    }
}

fn short_number(v: f32) -> String {
    if v >= 100.0 || v == 0.0 {
        format!("{v:.0}")
    } else if v >= 0.01 {
        format!("{v:.2}")
    } else {
        format!("{v:.1e}")
    }
}

/// What the network behind the heatmap on the slice was trained on; `None` where no heatmap is drawn.
pub fn heatmap_note(state: &AppState) -> Option<String> {
    let layer = state.heatmap_layer()?;
    if state.shown_occlusion().is_some() {
        let model = &state.findings()?.provenance.model;
        return Some(format!("Occlusion: drop of the score where a patch is covered ({})", standing(model)));
    }
    // An outline that is nowhere would look like a heatmap that failed.
    let below = layer.cam.max() < layer.maximum * OUTLINE_SHARE;
    if layer.style == HeatmapStyle::Outline && below {
        return Some("No outline here: this slice's map stays below half of the study's maximum".to_owned());
    }
    trained_note(state)
}

/// The same for planes across the slices.
pub fn plane_heatmap_note(state: &AppState) -> Option<String> {
    state.plane_heat()?;
    trained_note(state)
}

fn trained_note(state: &AppState) -> Option<String> {
    let model = &state.findings()?.provenance.model;
    Some(if model.trained {
        // What it is worth comes first: a long name is cut at its end.
        format!("Heatmap of a network trained on {} ({})", model.trained_on, model.name)
    } else {
        "Heatmap of an UNTRAINED network: means nothing".to_owned()
    })
}

/// A sentence that must be seen whatever the density of the text.
pub(super) type Note = (String, Color32);

/// Sentences in the middle at the foot: between the corners below it, or above them where the view is too narrow.
fn paint_notes(painter: &Painter, rect: Rect, text: &CornerText, notes: &[Note]) -> Vec<Rect> {
    let font = font(rect);
    let width = |text: &str| painter.layout_no_wrap(text.to_owned(), font.clone(), theme::TEXT).size().x;
    let widest = |lines: &[String]| lines.iter().map(|line| width(line)).fold(0.0, f32::max);
    let corner = widest(&text.bottom_left).max(widest(&text.bottom_right)).min(widest_corner(rect));
    let note = notes.iter().map(|(note, _)| width(note)).fold(0.0, f32::max);
    let lines = text.bottom_left.len().max(text.bottom_right.len()) as f32;
    let meets = note > rect.width() - 2.0 * (MARGIN + corner + MARGIN);
    let above_corners = if meets { lines * line_height(&font) + 4.0 } else { 0.0 };
    let mut y = rect.bottom() - MARGIN - above_corners.max(26.0);
    let mut taken = Vec::new();
    for (note, colour) in notes.iter().rev() {
        let note = fitting(painter, note, &font, rect.width() - 2.0 * MARGIN);
        let at = Pos2::new(rect.center().x, y);
        taken.push(legible(painter, at, Align2::CENTER_BOTTOM, &note, font.clone(), *colour));
        y -= font.size + 4.0;
    }
    taken
}

/// The words of the evidence; what the network was trained on only where the heatmap's note does not say it already.
fn evidence(state: &AppState) -> Vec<String> {
    let mut lines = state.evidence_lines();
    if heatmap_note(state).is_some() || plane_heatmap_note(state).is_some_and(|_| several(state)) {
        lines.truncate(2);
    }
    lines
}

/// What must be seen of a slice: warnings, what the heatmap's network knows, the reference standard.
fn notes(state: &AppState, active: &ActiveSeries) -> Vec<Note> {
    let mut lines = Vec::new();
    let other = active.series.warnings.iter().filter(|w| w.kind != crate::study::Kind::LossyCompression).count();
    if other > 0 && !state.settings.show_findings {
        lines.push(
            state.keymap.hint(
                &format!("{other} warning{} on this series", if other == 1 { "" } else { "s" }),
                "findings-panel",
            ),
        );
    }
    // With several panes the slices speak for the planes beside them.
    lines.extend(heatmap_note(state).or_else(|| plane_heatmap_note(state).filter(|_| several(state))));
    let mut notes: Vec<Note> = lines.into_iter().map(|line| (line, theme::WARNING)).collect();
    if active.is_key_slice(active.current) {
        notes.push(("key slice".to_owned(), theme::MEASURE));
    }
    notes.extend(evidence(state).into_iter().map(|line| (line, theme::TEXT)));
    let compared = state.occlusion_sentence().filter(|_| state.shown_occlusion().is_some());
    notes.extend(compared.map(|line| (line, theme::TEXT)));
    notes.extend(reference_line(state, active).map(|line| (line, theme::REFERENCE)));
    notes
}
