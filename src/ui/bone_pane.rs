//! The fourth pane: the surface of the bone from any side, with the crosshair, the plane of the slices and the peaks on
//! it; or where the crosshair stands, in words.

use egui::{Align2, Color32, FontId, Key, PointerButton, Pos2, Rect, Response, RichText, Sense, Stroke, StrokeKind};
use egui::{pos2, vec2};

use super::{Shown, ShownPane, UiCache, overlay, theme};
use crate::findings::describe::standing;
use crate::geometry::{PatientPoint, Vec3, orientation_letters};
use crate::gpu::paint;
use crate::state::{ActiveSeries, AppState, BONE_HU, Command, FourthPane, SolidState, SurfaceCommand};
use crate::study::plane_text;
use crate::view::PixelFromScreen;
use crate::view::fidelity::Fidelity;
use crate::view::planes::Pane;
use crate::view::surface::{self, Camera, Side, SurfaceDraw};
use crate::volume::Sampling;

/// Under text that may lie on bone.
const PLATE: Color32 = Color32::from_black_alpha(150);
/// Of the pictures drawn by the processor, beside those of the other panes.
const VIEW_BY_PROCESSOR: u32 = 7;
/// Degrees per point of a drag, and per press of an arrow key.
const DEG_PER_POINT: f64 = 0.45;
const DEG_PER_KEY: f64 = 5.0;
/// Room for the buttons at the top, points.
const HEADER: f32 = 26.0;
/// In a narrower pane the sides are named by their first letters.
const NARROW: f32 = 400.0;

pub fn show(ui: &mut egui::Ui, rect: Rect, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let Some(active) = &state.active else { return };
    ui.painter().rect_stroke(rect, 0.0, Stroke::new(1.0, theme::LINE), StrokeKind::Inside);
    let inner = rect.shrink(1.0);
    match (state.settings.fourth_pane, state.surface_draw()) {
        (FourthPane::Place, _) => place(ui, inner, state, active, cache.max_volume_side),
        (FourthPane::Bone, Some(draw)) => bone(ui, inner, state, active, draw, cache, commands),
        (FourthPane::Bone, None) => {
            cache.bone_shown = None;
            let at = inner.center();
            let text = waiting(active);
            let font = FontId::proportional(14.0);
            let galley = ui.painter().layout(text, font, theme::DIM, inner.width() * 0.8);
            ui.painter().galley(at - galley.size() / 2.0, galley, theme::DIM);
        }
    }
    header(ui, inner, state, commands);
}

fn waiting(active: &ActiveSeries) -> String {
    match (&active.surface.solid, &active.no_planes, &active.load_failed) {
        (SolidState::Failed(why), ..) => why.clone(),
        (_, Some(why), _) | (_, None, Some(why)) => format!("no bone view: {why}"),
        (SolidState::Making(_), ..) => "the bone view is being made".to_owned(),
        _ => format!(
            "the bone view follows when all slices have been read: {} of {}",
            active.decoded(),
            active.slice_count()
        ),
    }
}

/// Which of the two is shown, and from which side.
fn header(ui: &mut egui::Ui, rect: Rect, state: &AppState, commands: &mut Vec<Command>) {
    let bar = Rect::from_min_max(rect.min + vec2(6.0, 3.0), pos2(rect.right() - 6.0, rect.top() + HEADER));
    let mut ui =
        ui.new_child(egui::UiBuilder::new().max_rect(bar).layout(egui::Layout::left_to_right(egui::Align::Center)));
    // The surface reaches up here.
    ui.painter().rect_filled(bar.expand2(vec2(6.0, 3.0)).intersect(rect), 0.0, PLATE);
    // On black in both themes, as the image is.
    let dark = ui.ctx().style_of(egui::Theme::Dark);
    ui.style_mut().visuals = dark.visuals.clone();
    ui.spacing_mut().item_spacing.x = 3.0;
    ui.spacing_mut().button_padding = vec2(5.0, 1.0);
    let small = |text: &str| RichText::new(text).size(12.0);
    let shown = state.settings.fourth_pane;
    for (what, name, hint) in [
        (FourthPane::Bone, "Bone", "The surface of the bone, for orientation"),
        (FourthPane::Place, "Place", "Where the crosshair stands, in words and numbers"),
    ] {
        if ui.selectable_label(shown == what, small(name)).on_hover_text(hint).clicked() {
            commands.push(Command::Surface(SurfaceCommand::Show(what)));
        }
    }
    let Some(draw) = state.surface_draw().filter(|_| shown == FourthPane::Bone) else { return };
    ui.add_space(6.0);
    let narrow = rect.width() < NARROW;
    let side = draw.view.side();
    for of in Side::ALL {
        let side_name = of.name().to_lowercase();
        let hint = state.keymap.hint(&format!("From the patient's {side_name}"), &format!("bone-{side_name}"));
        let shown = if narrow { of.name().get(..1).unwrap_or(of.name()) } else { of.name() };
        let button = egui::Button::selectable(side == Some(of), small(shown));
        let response = ui.add(button).on_hover_text(hint);
        response.widget_info(|| {
            egui::WidgetInfo::selected(egui::Role::Button, true, side == Some(of), format!("Bone from: {}", of.name()))
        });
        if response.clicked() {
            commands.push(Command::Surface(SurfaceCommand::Look(of)));
        }
    }
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
        let mut hu = draw.threshold_hu;
        let drag =
            egui::DragValue::new(&mut hu).range(BONE_HU).speed(4.0).max_decimals(0).suffix(" HU").prefix("from ");
        let response =
            ui.add(drag).on_hover_text("Where the surface lies: drag, or click and type; lower shows thinner bone");
        if response.accessible_name("Bone threshold").changed() {
            commands.push(Command::Surface(SurfaceCommand::SetThreshold(hu)));
        }
    });
}

fn bone(
    ui: &mut egui::Ui,
    rect: Rect,
    state: &AppState,
    active: &ActiveSeries,
    draw: SurfaceDraw,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    let response = ui.interact(rect, ui.scope_id().with("bone"), Sense::click_and_drag());
    let scale = ui.ctx().pixels_per_point();
    let size_px = [rect.width(), rect.height()].map(|points| f64::from((points * scale).round()));
    let camera = Camera::new(&draw.view, &draw.solid, size_px);
    let label = spoken(&draw);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, label.clone()));
    hands(ui, &response, rect, (&draw, &camera), scale, cache, commands);
    keyboard(ui, &response, commands);

    cache.shown.push(Shown { what: ShownPane::Bone(Box::new(draw.clone())), rect });
    let painter = ui.painter_at(rect);
    let progress = active.surface.progress.clone();
    if state.graphics_fault.is_some() {
        cache.by_processor.surface(&painter, rect, VIEW_BY_PROCESSOR, draw.clone());
    } else {
        // The picture comes in parts, each with a frame of its own.
        let before = progress.is_complete();
        painter.add(paint::surface_callback(rect, draw.clone(), response.dragged(), progress));
        let moved = !cache.bone_shown.as_ref().is_some_and(|(of, at)| of.is_same(&draw) && *at == rect);
        if moved || !(before || response.dragged()) {
            ui.ctx().request_repaint();
        }
        cache.bone_shown = Some((draw.clone(), rect));
    }
    let screen = |at: PatientPoint| {
        let ([x, y], depth_mm) = camera.screen(at);
        (rect.min + vec2(x as f32, y as f32) / scale, depth_mm)
    };
    let marks = Marks { painter: &painter, draw: &draw, camera: &camera, screen: &screen };
    marks.slice(active);
    marks.points(state, active);
    let badge = texts(&painter, rect, state, active, &camera);
    if let (Some(fidelity), Some(badge)) = (state.surface_fidelity(), badge) {
        let response = ui.interact(badge.expand(2.0), ui.scope_id().with("bone fidelity"), Sense::hover());
        let label = format!("Shown, bone: {}. {}", fidelity.words(), fidelity.sentence());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, label.clone()));
        response.on_hover_text(fidelity.sentence());
    }
    if response.has_focus() {
        painter.rect_stroke(rect, 0.0, Stroke::new(1.0, theme::ACCENT), StrokeKind::Inside);
    }
}

/// The bone view in words.
pub fn spoken(draw: &SurfaceDraw) -> String {
    let side = match draw.view.side() {
        Some(side) => format!("seen from the patient's {}", side.name().to_lowercase()),
        None => format!(
            "seen from {:.0} degrees round from the front and {:.0} degrees above",
            draw.view.azimuth_deg, draw.view.elevation_deg
        ),
    };
    format!("Bone surface from {:.0} HU, {side}", draw.threshold_hu)
}

fn hands(
    ui: &egui::Ui,
    response: &Response,
    rect: Rect,
    (draw, camera): (&SurfaceDraw, &Camera),
    scale: f32,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    let delta = response.drag_delta();
    let [dx, dy] = [delta.x, delta.y].map(f64::from);
    let mut wish = |command: SurfaceCommand| commands.push(Command::Surface(command));
    let shift = ui.input(|i| i.modifiers.shift || i.key_down(Key::Space));
    if delta != egui::Vec2::ZERO {
        if response.dragged_by(PointerButton::Middle) || (response.dragged_by(PointerButton::Primary) && shift) {
            wish(SurfaceCommand::Pan([dx, dy].map(|v| v / f64::from(rect.height().max(1.0)))));
        } else if response.dragged_by(PointerButton::Secondary) {
            wish(SurfaceCommand::Zoom((-dy * 0.008).exp()));
        } else if response.dragged_by(PointerButton::Primary) {
            // The near side goes with the hand.
            wish(SurfaceCommand::Turn([-dx * DEG_PER_POINT, dy * DEG_PER_POINT]));
        }
    }
    if response.hovered() {
        ui.ctx().set_cursor_icon(if response.dragged() { egui::CursorIcon::Grabbing } else { egui::CursorIcon::Grab });
        let (events, time_s) = ui.input(|i| (i.events.clone(), i.time));
        for event in events {
            match event {
                egui::Event::MouseWheel { unit, delta, .. } => {
                    let notches = cache.wheel.notches(unit, delta, time_s);
                    wish(SurfaceCommand::Zoom(f64::from(notches * 0.15).exp()));
                }
                egui::Event::Zoom(factor) => wish(SurfaceCommand::Zoom(f64::from(factor))),
                _ => {}
            }
        }
    }
    if response.double_clicked_by(PointerButton::Primary) {
        return wish(SurfaceCommand::Reset);
    }
    if let (true, Some(at)) = (response.clicked_by(PointerButton::Primary), response.interact_pointer_pos()) {
        let [x, y] = [at.x - rect.left(), at.y - rect.top()].map(|points| f64::from(points * scale));
        if let Some((point, _)) = surface::hit(draw, camera, x, y) {
            commands.push(Command::MoveCrosshair(point));
        }
    }
}

/// Arrow keys turn the bone while the pane has the keyboard (Tab).
fn keyboard(ui: &egui::Ui, response: &Response, commands: &mut Vec<Command>) {
    if !response.has_focus() {
        return;
    }
    let arrows = egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
    ui.memory_mut(|m| m.set_focus_lock_filter(response.id, arrows));
    ui.input(|i| {
        let plain = !i.modifiers.any();
        for (key, by) in [
            (Key::ArrowLeft, [-DEG_PER_KEY, 0.0]),
            (Key::ArrowRight, [DEG_PER_KEY, 0.0]),
            (Key::ArrowUp, [0.0, DEG_PER_KEY]),
            (Key::ArrowDown, [0.0, -DEG_PER_KEY]),
        ] {
            if plain && i.key_pressed(key) {
                commands.push(Command::Surface(SurfaceCommand::Turn(by)));
            }
        }
    });
}

/// What is marked on the bone.
struct Marks<'a> {
    painter: &'a egui::Painter,
    draw: &'a SurfaceDraw,
    camera: &'a Camera,
    /// Where a point is seen, and its depth, mm.
    screen: &'a dyn Fn(PatientPoint) -> (Pos2, f64),
}

impl Marks<'_> {
    /// The crosshair, and a ring with its number at each peak: filled where it is seen, hollow where bone lies before it.
    fn points(&self, state: &AppState, active: &ActiveSeries) {
        for (rank, (_, at)) in state.peak_points().into_iter().enumerate().rev() {
            let pos = self.ball(at, 5.0, theme::heat(0.85));
            let text = (rank + 1).to_string();
            overlay::legible(
                self.painter,
                pos + vec2(8.0, 0.0),
                Align2::LEFT_CENTER,
                &text,
                FontId::proportional(12.5),
                theme::TEXT,
            );
        }
        if let Some(planes) = &active.planes {
            self.ball(planes.crosshair, 4.0, theme::ACCENT);
        }
    }
    fn ball(&self, at: PatientPoint, radius: f32, colour: Color32) -> Pos2 {
        let (pos, _) = (self.screen)(at);
        let hidden = surface::hides(self.draw, self.camera, at);
        self.painter.circle_stroke(pos, radius, Stroke::new(3.5, Color32::from_black_alpha(170)));
        if hidden {
            self.painter.circle_stroke(pos, radius, Stroke::new(1.8, colour));
        } else {
            self.painter.circle(pos, radius, colour, Stroke::new(1.0, Color32::WHITE));
        }
        pos
    }
    /// Where the plane of the slices cuts the box of the bone.
    fn slice(&self, active: &ActiveSeries) {
        let Some(planes) = &active.planes else { return };
        let normal = planes.normal(planes.acquired);
        let corners = cut(self.draw.solid.bounds(), planes.crosshair, normal);
        let mut points: Vec<Pos2> = corners.into_iter().map(|at| (self.screen)(at).0).collect();
        if let Some(first) = points.first().copied() {
            points.push(first);
            let colour = super::panes::colour(planes.acquired);
            self.painter.line(points.clone(), Stroke::new(3.0, Color32::from_black_alpha(110)));
            self.painter.line(points, Stroke::new(1.0, colour));
        }
    }
}

/// The corners of the polygon in which a plane cuts a box, in turn.
fn cut([low, high]: [PatientPoint; 2], through: PatientPoint, normal: Vec3) -> Vec<PatientPoint> {
    let corner = |i: usize| {
        let pick = |bit: usize, a: f64, b: f64| if i & bit == 0 { a } else { b };
        Vec3::new(pick(1, low.0.x, high.0.x), pick(2, low.0.y, high.0.y), pick(4, low.0.z, high.0.z))
    };
    let mut points: Vec<Vec3> = Vec::new();
    for (from, bit) in (0..8).flat_map(|from| [1, 2, 4].map(|bit| (from, bit))).filter(|(from, bit)| from & bit == 0) {
        let (a, b) = (corner(from), corner(from | bit));
        let (da, db) = ((a - through.0).dot(normal), (b - through.0).dot(normal));
        if (da <= 0.0) != (db <= 0.0) {
            points.push(a + (b - a) * (da / (da - db)));
        }
    }
    let Some(first) = points.first().copied() else { return Vec::new() };
    let middle = points.iter().fold(Vec3::default(), |sum, p| sum + *p) * (1.0 / points.len() as f64);
    let (u, v) = (first - middle, normal.cross(first - middle));
    points.sort_by(|a, b| {
        let angle = |p: &Vec3| (*p - middle).dot(v).atan2((*p - middle).dot(u));
        angle(a).total_cmp(&angle(b))
    });
    points.into_iter().map(PatientPoint).collect()
}

/// Letters, where the crosshair stands, what the marks are, and the badge, whose place is answered.
fn texts(
    painter: &egui::Painter,
    rect: Rect,
    state: &AppState,
    active: &ActiveSeries,
    camera: &Camera,
) -> Option<Rect> {
    let font = overlay::font(rect);
    let below = Rect::from_min_max(rect.min + vec2(0.0, HEADER), rect.max).shrink(8.0);
    let places = [Align2::CENTER_TOP, Align2::RIGHT_CENTER, Align2::CENTER_BOTTOM, Align2::LEFT_CENTER];
    for (direction, place) in camera.edges().into_iter().zip(places) {
        let letters = orientation_letters(direction);
        let font = FontId::proportional(font.size + 3.5);
        plated(painter, place.pos_in_rect(&below), place, &letters, font, theme::TEXT);
    }
    let mut lines: Vec<(String, Color32)> = Vec::new();
    if let Some(model) = state.model_in_use().filter(|_| !state.peak_points().is_empty()) {
        lines.push((format!("rings: where the network looked ({})", standing(model)), theme::WARNING));
    }
    if let Some(planes) = &active.planes {
        let p = planes.crosshair.0;
        lines.push((format!("({:.1}, {:.1}, {:.1}) mm, {}", p.x, p.y, p.z, crosshair_value(active)), theme::TEXT));
    }
    lines.push((format!("slice {} of {}", active.current + 1, active.slice_count()), theme::TEXT));
    let widest = below.width() * 0.5 - 16.0;
    let mut y = below.bottom();
    for (line, colour) in lines.into_iter().rev() {
        let galley = painter.layout(line, font.clone(), colour, widest);
        y -= galley.size().y;
        painter.rect_filled(Rect::from_min_size(pos2(below.left(), y), galley.size()).expand(1.0), 0.0, PLATE);
        painter.galley(pos2(below.left(), y), galley, colour);
    }
    let fidelity: Fidelity = state.surface_fidelity()?;
    let mut badge = Rect::NOTHING;
    let parts: Vec<&str> = fidelity.parts().collect();
    let mut y = below.bottom();
    for part in parts.into_iter().rev() {
        let at = pos2(below.right(), y);
        let drawn = plated(painter, at, Align2::RIGHT_BOTTOM, part, font.clone(), theme::WARNING);
        badge = badge.union(drawn);
        y -= font.size + 3.5;
    }
    Some(badge)
}

/// Text on a plate, since bone is as light as text. Answers where it stands.
fn plated(painter: &egui::Painter, at: Pos2, place: Align2, text: &str, font: FontId, colour: Color32) -> Rect {
    let size = painter.layout_no_wrap(text.to_owned(), font.clone(), colour).size();
    if size.x > 0.0 {
        painter.rect_filled(place.anchor_size(at, size).expand(1.0), 0.0, PLATE);
    }
    overlay::legible(painter, at, place, text, font, colour)
}

fn crosshair_value(active: &ActiveSeries) -> String {
    let unit = if active.series.values_are_hu { "HU" } else { "value" };
    let value = active.planes.as_ref().and_then(|p| p.stack.sample(p.crosshair, Sampling::Linear));
    value.map_or_else(|| "outside".to_owned(), |v| format!("{unit} {v:.0}"))
}

/// Where the crosshair stands, in words and numbers.
fn place(ui: &egui::Ui, rect: Rect, state: &AppState, active: &ActiveSeries, max_volume_side: usize) {
    let painter = ui.painter_at(rect);
    let Some(planes) = &active.planes else { return };
    let at = planes.crosshair.0;
    let mut rows = vec![
        ("Crosshair", format!("x {:.1}  y {:.1}  z {:.1} mm", at.x, at.y, at.z)),
        ("Value", crosshair_value(active)),
        ("Slice", format!("{} of {}", active.current + 1, active.slice_count())),
        ("Slab", plane_text::slab_text(&state.slab).unwrap_or_else(|| "none: planes without thickness".to_owned())),
    ];
    let reduction = state.reduction(max_volume_side).unwrap_or(1);
    let of_planes = state.fidelity(Pane::Across(planes.across()[0]), &PixelFromScreen::EXACT, reduction);
    rows.extend(of_planes.map(|fidelity| ("Planes", fidelity.sentence())));
    let leaning = [planes.acquired].into_iter().chain(planes.across()).filter(|plane| planes.is_turned(*plane));
    rows.extend(leaning.map(|plane| ("Leaning", planes.words(plane))));
    let (font, dim) = (FontId::proportional(13.0), FontId::proportional(12.0));
    let mut y = rect.top() + HEADER + 14.0;
    for (name, text) in rows {
        painter.text(pos2(rect.left() + 16.0, y), Align2::LEFT_TOP, name, dim.clone(), theme::DIM);
        let width = (rect.width() - 116.0).max(60.0);
        let galley = painter.layout(text, font.clone(), theme::TEXT, width);
        let height = galley.size().y;
        painter.galley(pos2(rect.left() + 100.0, y), galley, theme::TEXT);
        y += height + 7.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_cuts_a_box_in_a_polygon_that_lies_in_both() {
        let bounds = [PatientPoint(Vec3::new(-1.0, -2.0, -3.0)), PatientPoint(Vec3::new(1.0, 2.0, 3.0))];
        let flat = cut(bounds, PatientPoint::default(), Vec3::new(0.0, 0.0, 1.0));
        assert_eq!(flat.len(), 4);
        let across: f64 = (0..4).map(|i| (flat[i].0 - flat[(i + 1) % 4].0).length()).sum();
        assert!((across - 12.0).abs() < 1e-9, "in turn round the edge: {flat:?}");
        let normal = Vec3::new(0.5, 0.5, 0.7);
        for at in cut(bounds, PatientPoint::default(), normal) {
            assert!(at.0.dot(normal).abs() < 1e-9 && at.0.x.abs() <= 1.0 && at.0.y.abs() <= 2.0 && at.0.z.abs() <= 3.0);
        }
        assert!(cut(bounds, PatientPoint(Vec3::new(9.0, 0.0, 0.0)), Vec3::new(1.0, 0.0, 0.0)).is_empty());
    }
}
