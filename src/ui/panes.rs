//! How the screen is divided into panes, and the lines in which the planes of the panes cross.

use egui::{Align2, Color32, FontId, Pos2, Rect, Stroke, StrokeKind, vec2};

use super::{UiCache, beside_pane, bone_pane, overlay, side_strip, theme, viewport};
use crate::geometry::{PatientPoint, Plane, Sheet, SlicePose, Vec3, through_words};
use crate::state::{ActiveSeries, AppState, Beside, Command, Planes};
use crate::study::plane_text;
use crate::view::fidelity::Fidelity;
use crate::view::planes::{Layout, Pane, screen_step_mm};
use crate::view::{Interpolation, ResolvedView};

/// Points between two panes.
const GAP: f32 = 2.0;

pub fn show(ui: &mut egui::Ui, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let area = ui.available_rect_before_wrap();
    cache.pointed_before = cache.pointed.take();
    cache.shown.clear();
    let (area, second) = match state.beside() {
        Some(_) => beside_pane::divide(ui, area, state, commands),
        None => (area, None),
    };
    let rects = places(area, state.settings.layout);
    let focused = state.focused_pane();
    let hands_off = state.beside().is_some_and(Beside::is_focused);
    for (pane, rect) in state.panes().into_iter().zip(&rects) {
        viewport::show(ui, *rect, pane, state, cache, commands);
        if rects.len() > 1 || second.is_some() {
            let colour = if pane == focused && !hands_off { theme::ACCENT } else { theme::LINE };
            ui.painter().rect_stroke(*rect, 0.0, Stroke::new(1.0, colour), StrokeKind::Inside);
        }
    }
    if let Some(second) = second {
        let slices = state.panes().iter().position(|pane| *pane == Pane::Slices);
        let first = slices.and_then(|at| rects.get(at)).copied();
        beside_pane::show(ui, second, first, state, cache, commands);
    }
    cache.actual_pixels = false;
    if cache.pointed != cache.pointed_before && state.beside().is_some() {
        ui.ctx().request_repaint();
    }
    if let (Layout::Four, Some(rect)) = (state.settings.layout, rects.get(3)) {
        bone_pane::show(ui, *rect, state, cache, commands);
    }
}

/// The rectangles of the panes: the slices take the left half where there are three.
fn places(area: Rect, layout: Layout) -> Vec<Rect> {
    let cell = |x0: f32, x1: f32, y0: f32, y1: f32| {
        let at = |x: f32, y: f32| area.min + vec2(area.width() * x, area.height() * y);
        let inner = |v: f32, end: f32| if v > 0.0 && v < 1.0 { end * GAP / 2.0 } else { 0.0 };
        Rect::from_min_max(
            at(x0, y0) + vec2(inner(x0, 1.0), inner(y0, 1.0)),
            at(x1, y1) + vec2(inner(x1, -1.0), inner(y1, -1.0)),
        )
    };
    match layout {
        Layout::One => vec![area],
        Layout::Three => vec![cell(0.0, 0.5, 0.0, 1.0), cell(0.5, 1.0, 0.0, 0.5), cell(0.5, 1.0, 0.5, 1.0)],
        Layout::Four => {
            vec![cell(0.0, 0.5, 0.0, 0.5), cell(0.5, 1.0, 0.0, 0.5), cell(0.0, 0.5, 0.5, 1.0), cell(0.5, 1.0, 0.5, 1.0)]
        }
    }
}

/// A muted hue per plane, so that a line can be matched with its pane.
pub fn colour(plane: Plane) -> Color32 {
    match plane {
        Plane::Axial => theme::ACCENT,
        Plane::Sagittal => theme::SAGITTAL,
        Plane::Coronal => theme::CORONAL,
    }
}

/// Where a pane's pixels lie in the patient.
#[derive(Debug, Clone, Copy)]
pub struct PaneMap<'a> {
    pub rect: Rect,
    pub pixels_per_point: f32,
    pub resolved: ResolvedView,
    /// A spacing of 1 stands for one that is unknown.
    pub sheet: Sheet<'a>,
}

impl PaneMap<'_> {
    pub fn patient(&self, at: Pos2) -> PatientPoint {
        let scale = f64::from(self.pixels_per_point);
        let (x, y) = (f64::from(at.x - self.rect.left()) * scale, f64::from(at.y - self.rect.top()) * scale);
        self.sheet.patient_from_pixel(self.resolved.pixel_from_screen.pixel(x, y))
    }
    /// The direction from one point to another within the pane's plane, from rows towards columns; degrees.
    pub fn angle_deg(&self, to: PatientPoint, from: PatientPoint) -> f64 {
        let d = to.0 - from.0;
        d.dot(self.sheet.pose.along_column).atan2(d.dot(self.sheet.pose.along_row)).to_degrees()
    }
    /// Where the foot of a point on the pane's plane is seen.
    pub fn screen(&self, at: PatientPoint) -> Pos2 {
        let (x, y) = self.resolved.pixel_from_screen.screen(self.sheet.pixel_from_patient(at));
        let scale = f64::from(self.pixels_per_point);
        self.rect.min + vec2((x / scale) as f32, (y / scale) as f32)
    }
}

/// The line in which another pane's plane crosses this one: straight, or in pieces where either of the two is bent.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub of: Pane,
    pub plane: Plane,
    /// At least two.
    points: Vec<Pos2>,
    /// Of the line down the body that the other plane follows, with their numbers: where it is bent and is seen as a curve.
    knots: Vec<(usize, Pos2)>,
    can_turn: bool,
}

impl Line {
    /// The cursor that shows how the line can be moved.
    pub fn cursor(&self) -> egui::CursorIcon {
        let along = self.ends().map_or(egui::Vec2::ZERO, |(from, to)| to - from);
        if along.x.abs() > along.y.abs() {
            egui::CursorIcon::ResizeVertical
        } else {
            egui::CursorIcon::ResizeHorizontal
        }
    }
    /// Distance of a point from the line, points.
    pub fn distance(&self, at: Pos2) -> f32 {
        self.pieces().map(|(from, to)| distance(at, from, to)).fold(f32::INFINITY, f32::min)
    }
    fn pieces(&self) -> impl Iterator<Item = (Pos2, Pos2)> {
        self.points.windows(2).map(|ends| (ends[0], ends[1]))
    }
    fn ends(&self) -> Option<(Pos2, Pos2)> {
        Some((*self.points.first()?, *self.points.last()?))
    }
    /// The ends of a line that can be turned.
    fn turnable(&self) -> Option<(Pos2, Pos2)> {
        self.ends().filter(|_| self.can_turn)
    }
}

/// Of a point from a segment.
fn distance(at: Pos2, from: Pos2, to: Pos2) -> f32 {
    let (along, d) = (to - from, at - from);
    let share = if along.length_sq() > 0.0 { (d.dot(along) / along.length_sq()).clamp(0.0, 1.0) } else { 0.0 };
    (d - along * share).length()
}

/// The lines of the other panes' planes, where several panes are shown.
pub fn lines(state: &AppState, active: &ActiveSeries, pane: Pane, map: &PaneMap) -> Vec<Line> {
    let Some(planes) = active.planes.as_ref().filter(|_| state.lines_on && state.settings.layout != Layout::One) else {
        return Vec::new();
    };
    let own = planes.pane_of(planes.acquired);
    let others = [own].into_iter().chain(planes.across().map(Pane::Across)).filter(|other| *other != pane);
    others.filter_map(|other| crossing(active, planes, other, map)).collect()
}

fn crossing(active: &ActiveSeries, planes: &Planes, other: Pane, map: &PaneMap) -> Option<Line> {
    let (plane, normal, on_plane) = match other {
        Pane::Across(plane) => (plane, planes.normal(plane), planes.crosshair.0),
        Pane::Slices => {
            let pose = active.series.slices.get(active.current)?.pose?;
            (planes.acquired, pose.normal(), pose.origin.0)
        }
    };
    let bent = if let Pane::Across(plane) = other { planes.bent(plane) } else { None };
    let points = match (&bent, map.sheet.bent) {
        (None, None) => where_cut(map, (normal, on_plane), planes.crosshair.0)?.into(),
        (Some(other), Some(own)) => seen(map, &own.cut_by_bent(other)),
        (None, Some(own)) => seen(map, &own.cut_by(normal, on_plane)),
        (Some(other), None) => seen(map, &other.cut_by(map.sheet.pose.normal(), map.sheet.pose.origin.0)),
    };
    let is_curve = bent.is_some() && points.len() > 2;
    let knots = if is_curve { planes.knots(plane) } else { Vec::new() };
    let knots = knots.iter().map(|knot| map.screen(*knot)).enumerate();
    let knots = knots.filter(|(_, at)| map.rect.shrink(4.0).contains(*at)).collect();
    let can_turn = bent.is_none() && map.sheet.bent.is_none();
    (points.len() > 1).then_some(Line { of: other, plane, points, knots, can_turn })
}

fn seen(map: &PaneMap, points: &[PatientPoint]) -> Vec<Pos2> {
    points.iter().map(|point| map.screen(*point)).collect()
}

/// The ends, far outside, of the line in which a plane (unit normal, a point) cuts a pane's, near a point.
fn where_cut(map: &PaneMap, other: (Vec3, Vec3), near: Vec3) -> Option<[Pos2; 2]> {
    /// Longer than any patient.
    const FAR_MM: f64 = 3000.0;
    let own = map.sheet.pose.normal();
    let along = own.cross(other.0).normalized()?;
    let through = on_both((own, map.sheet.pose.origin.0), other, near)?;
    Some([-FAR_MM, FAR_MM].map(|t| map.screen(PatientPoint(through + along * t))))
}

/// Draws where a slice of another series cuts a pane, unless they are all but parallel or the pane's plane is bent.
pub fn paint_cut(painter: &egui::Painter, map: &PaneMap, other: &SlicePose, near: PatientPoint) {
    let normal = other.normal();
    if map.sheet.bent.is_some() || normal.dot(map.sheet.pose.normal()).abs() > 0.9 {
        return;
    }
    let Some([from, to]) = where_cut(map, (normal, other.origin.0), near.0) else { return };
    let Some((from, to)) = clipped(painter.clip_rect(), from, to) else { return };
    painter.line_segment([from, to], Stroke::new(3.0, Color32::from_black_alpha(120)));
    painter.line_segment([from, to], Stroke::new(1.0, colour(Plane::nearest(normal))));
}

/// A cross, open in its middle, at a place that is pointed at in another series; none where it lies off this pane's plane.
pub fn paint_pointed(painter: &egui::Painter, map: &PaneMap, at: PatientPoint, reach_mm: f64) {
    if map.sheet.off_mm(at).abs() > reach_mm {
        return;
    }
    let middle = map.screen(at);
    for (width, colour) in [(3.0, Color32::from_black_alpha(160)), (1.2, theme::ACCENT)] {
        for along in [vec2(1.0, 0.0), vec2(-1.0, 0.0), vec2(0.0, 1.0), vec2(0.0, -1.0)] {
            painter.line_segment([middle + along * 4.0, middle + along * 12.0], Stroke::new(width, colour));
        }
    }
}

/// The point on two planes (unit normal, a point) that is nearest to `from`.
fn on_both((n, p): (Vec3, Vec3), (m, q): (Vec3, Vec3), from: Vec3) -> Option<Vec3> {
    let g = n.dot(m);
    let (a, b) = ((p - from).dot(n), (q - from).dot(m));
    let share = 1.0 - g * g;
    (share > 1e-9).then(|| from + n * ((a - g * b) / share) + m * ((b - g * a) / share))
}

/// Draws the lines, open around the crosshair so that they hide nothing of what it points at.
pub fn paint_lines(painter: &egui::Painter, lines: &[Line], crosshair: Pos2) {
    for line in lines {
        let pieces: Vec<(Pos2, Pos2)> = line
            .pieces()
            .filter_map(|(from, to)| clipped(painter.clip_rect(), from, to))
            .flat_map(|piece| opened(piece, crosshair))
            .collect();
        let strokes = [Stroke::new(3.0, Color32::from_black_alpha(120)), Stroke::new(1.0, colour(line.plane))];
        for (stroke, (from, to)) in strokes.iter().flat_map(|stroke| pieces.iter().map(move |piece| (stroke, piece))) {
            painter.line_segment([*from, *to], *stroke);
        }
    }
}

/// What is left of a segment around the crosshair.
fn opened((from, to): (Pos2, Pos2), crosshair: Pos2) -> Vec<(Pos2, Pos2)> {
    const OPEN: f32 = 14.0;
    let (along, length) = ((to - from).normalized(), (to - from).length());
    let foot = (crosshair - from).dot(along);
    let aside = (from + along * foot).distance(crosshair);
    if aside >= OPEN || length == 0.0 {
        return vec![(from, to)];
    }
    let half = (OPEN * OPEN - aside * aside).sqrt();
    let parts = [(0.0, (foot - half).min(length)), ((foot + half).max(0.0), length)];
    parts.into_iter().filter(|(a, b)| b > a).map(|(a, b)| (from + along * a, from + along * b)).collect()
}

/// Distance at which a knot of the line that a bent plane follows is taken hold of, points.
const KNOT_GRIP: f32 = 9.0;

fn knots(lines: &[Line]) -> impl Iterator<Item = (Plane, usize, Pos2)> {
    lines.iter().flat_map(|line| line.knots.iter().map(|(index, at)| (line.plane, *index, *at)))
}

/// The knot under a point: of which plane's line, and which.
pub fn knot_under(lines: &[Line], at: Pos2) -> Option<(Plane, usize)> {
    let near = knots(lines).filter(|(.., knot)| knot.distance(at) <= KNOT_GRIP);
    let (plane, index, _) = near.min_by(|a, b| a.2.distance(at).total_cmp(&b.2.distance(at)))?;
    Some((plane, index))
}

/// Small squares on the curves, filled under the pointer.
pub fn paint_knots(painter: &egui::Painter, lines: &[Line], pointer: Option<Pos2>) {
    let under = pointer.and_then(|pointer| knot_under(lines, pointer));
    for (plane, index, at) in knots(lines) {
        let square = Rect::from_center_size(at, vec2(7.0, 7.0));
        let fill = if under == Some((plane, index)) { colour(plane) } else { Color32::from_black_alpha(150) };
        painter.rect(square, 0.0, fill, Stroke::new(1.3, colour(plane)), StrokeKind::Inside);
    }
}

/// Distance at which a line's end is taken hold of, points.
const TURN_GRIP: f32 = 9.0;

/// Where a line is taken hold of to turn it: near its two ends on the pane, where they lie far enough from the crosshair.
fn grips(line: &Line, rect: Rect, crosshair: Pos2) -> impl Iterator<Item = Pos2> + use<> {
    /// Nearer to the crosshair a hand could not turn finely, points.
    const NEAREST: f32 = 48.0;
    let within = line.turnable().and_then(|(from, to)| clipped(rect.shrink(26.0), from, to));
    let ends = within.map(|(from, to)| [from, to]).into_iter().flatten();
    ends.map(move |end| crosshair + (end - crosshair) * 0.86).filter(move |at| at.distance(crosshair) >= NEAREST)
}

/// The line whose end lies under a point.
pub fn turn_grip<'a>(lines: &'a [Line], at: Pos2, map: &PaneMap, planes: &Planes) -> Option<&'a Line> {
    let crosshair = map.screen(planes.crosshair);
    lines.iter().find(|line| grips(line, map.rect, crosshair).any(|grip| grip.distance(at) <= TURN_GRIP))
}

/// Rings where the lines can be turned, filled under the pointer.
pub fn paint_grips(painter: &egui::Painter, lines: &[Line], map: &PaneMap, planes: &Planes, pointer: Option<Pos2>) {
    for line in lines {
        for at in grips(line, map.rect, map.screen(planes.crosshair)) {
            let near = pointer.is_some_and(|pointer| pointer.distance(at) <= TURN_GRIP);
            let fill = if near { colour(line.plane) } else { Color32::from_black_alpha(140) };
            painter.circle(at, 5.5, Color32::from_black_alpha(140), Stroke::NONE);
            painter.circle(at, 4.5, fill, Stroke::new(1.3, colour(line.plane)));
        }
    }
}

/// The part of a segment within a rectangle; far ends would lose their place in a shape.
fn clipped(rect: Rect, from: Pos2, to: Pos2) -> Option<(Pos2, Pos2)> {
    let d = to - from;
    let (mut enter, mut leave) = (0.0_f32, 1.0_f32);
    for (p, q) in [
        (-d.x, from.x - rect.left()),
        (d.x, rect.right() - from.x),
        (-d.y, from.y - rect.top()),
        (d.y, rect.bottom() - from.y),
    ] {
        if p == 0.0 {
            if q < 0.0 {
                return None;
            }
        } else if p < 0.0 {
            enter = enter.max(q / p);
        } else {
            leave = leave.min(q / p);
        }
    }
    (enter <= leave).then(|| (from + d * enter, from + d * leave))
}

/// The text over a plane. With several panes only what tells it from the others: who and which series, and the window,
/// stand on the slices already. Returns where text stands.
pub fn paint_plane_text(
    painter: &egui::Painter,
    state: &AppState,
    active: &ActiveSeries,
    plane: Plane,
    map: &PaneMap,
    pointer: Option<PatientPoint>,
    (notes, fidelity): (&[String], &Fidelity),
) -> overlay::Placed {
    let mut text = overlay::plane_corner_text(state, active, plane, map.sheet.pose);
    let one = state.settings.layout == Layout::One;
    let Some(planes) = &active.planes else { return overlay::Placed { taken: Vec::new(), badge: Rect::NOTHING } };
    // The slices' own plane, turned, stands in their place and says what they would.
    let leads = one || plane == planes.acquired;
    // As a slab the slices' own plane lies where its slice does, and goes by that one's number.
    if plane != planes.acquired || planes.tilt(plane).is_some() || planes.is_bent(plane) {
        text.bottom_left.splice(..1, place_lines(planes, plane, leads));
    }
    if !leads {
        text.top_left.clear();
        text.top_right.clear();
        text.bottom_left.pop();
        text.bottom_right.remove(0);
    }
    if let Some(line) = pointer.and_then(|at| value_at(state, active, plane, at, one)) {
        text.bottom_left.push(line);
    }
    let mut notes: Vec<overlay::Note> = notes.iter().map(|note| (note.clone(), theme::WARNING)).collect();
    if leads {
        notes.extend(overlay::plane_heatmap_note(state).map(|note| (note, theme::WARNING)));
    }
    // Clear of the bars along the edge.
    let bars = if side_strip::is_shown(state, active, map) { side_strip::WIDTH } else { 0.0 };
    let rect = Rect::from_min_max(map.rect.min + vec2(bars, 0.0), map.rect.max);
    let mut placed = overlay::paint_text(painter, rect, state, active, &map.resolved, text, &notes, fidelity);
    if leads {
        overlay::plane_heatmap_scale(painter, rect, state);
    } else {
        let corner = rect.min + vec2(10.0, 8.0);
        let name = FontId::proportional(12.5);
        let at = corner + vec2(20.0, 0.0);
        placed.taken.push(overlay::legible(painter, at, Align2::LEFT_TOP, plane.name(), name, theme::TEXT));
        if state.lines_on {
            let swatch = Rect::from_min_size(corner + vec2(0.0, 7.0), vec2(14.0, 3.0));
            painter.rect_filled(swatch, 0.0, colour(plane));
        }
    }
    placed
}

/// Where a plane lies: its coordinate, or how it leans and through which point.
fn place_lines(planes: &Planes, plane: Plane, named: bool) -> Vec<String> {
    let name = if named { format!("{}, ", plane.name()) } else { String::new() };
    if let Some(bent) = planes.bent(plane) {
        return vec![format!("{name}along a curve"), bent.place_words()];
    }
    match planes.tilt(plane) {
        None => vec![format!("{name}{} {:.1} mm", plane.letter(), planes.coordinate_mm(plane))],
        Some(tilt) => {
            let mut lines = tilt.parts();
            if let Some(first) = lines.first_mut() {
                first.insert_str(0, &name);
            }
            lines.push(through_words(planes.crosshair));
            lines
        }
    }
}

/// The value that the plane shows at a point, and how it was made. Nothing where the scanner filled in.
fn value_at(
    state: &AppState,
    active: &ActiveSeries,
    plane: Plane,
    at: PatientPoint,
    with_place: bool,
) -> Option<String> {
    let planes = active.planes.as_ref()?;
    let (stack, slab) = (&planes.stack, planes.slab_of(plane, state.slab));
    let sampling = state.settings.interpolation.sampling();
    let how = match state.settings.interpolation {
        Interpolation::Nearest => "nearest voxel",
        Interpolation::Linear | Interpolation::Cubic => "interpolated",
        Interpolation::Smooth => "smoothed",
    };
    let step_mm = screen_step_mm(&slab, stack.geometry.smallest_spacing_mm());
    let value = stack.sample_slab(at, planes.normal_at(plane, at), &slab, step_mm, sampling)?;
    if stack.volume.padding().is_some_and(|[low, high]| value >= low && value <= high) {
        return None;
    }
    let unit = if active.series.values_are_hu { "HU" } else { "value" };
    let how = plane_text::slab_text(&slab).unwrap_or_else(|| how.to_owned());
    let p = at.0;
    let place = if with_place { format!(", at ({:.1}, {:.1}, {:.1}) mm", p.x, p.y, p.z) } else { String::new() };
    Some(format!("{unit} {value:.0}, {how}{place}"))
}

#[cfg(test)]
mod tests {
    use egui::pos2;

    use super::*;

    #[test]
    fn panes_share_the_area_without_overlap() {
        let area = Rect::from_min_max(pos2(10.0, 20.0), pos2(810.0, 620.0));
        for (layout, count) in [(Layout::One, 1), (Layout::Three, 3), (Layout::Four, 4)] {
            let rects = places(area, layout);
            assert_eq!(rects.len(), count);
            let sum: f32 = rects.iter().map(|r| r.width() * r.height()).sum();
            assert!(sum > 0.98 * area.width() * area.height());
            for (i, a) in rects.iter().enumerate() {
                assert!(area.contains_rect(*a));
                assert!(rects[i + 1..].iter().all(|b| !a.intersects(*b)));
            }
        }
    }

    #[test]
    fn two_planes_meet_in_a_line_through_both() {
        let (n, m) = (Vec3::new(0.0, 0.6, 0.8), Vec3::new(1.0, 0.0, 0.0));
        let (p, q) = (Vec3::new(5.0, 1.0, 2.0), Vec3::new(-3.0, 8.0, 9.0));
        let at = on_both((n, p), (m, q), Vec3::new(10.0, 10.0, 10.0)).expect("they cross");
        assert!((at - p).dot(n).abs() < 1e-9 && (at - q).dot(m).abs() < 1e-9);
        assert_eq!(on_both((n, p), (n, q), p), None);
    }

    #[test]
    fn a_segment_is_cut_at_the_edges() {
        let rect = Rect::from_min_max(pos2(0.0, 0.0), pos2(10.0, 10.0));
        let cut = clipped(rect, pos2(-1e4, 5.0), pos2(1e4, 5.0)).expect("crosses");
        assert!((cut.0.x - 0.0).abs() < 0.01 && (cut.1.x - 10.0).abs() < 0.01);
        assert_eq!(clipped(rect, pos2(-5.0, 20.0), pos2(15.0, 20.0)), None);
    }
}
