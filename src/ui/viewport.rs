//! A pane: our own pipeline's picture, the mouse on it, the text over it.

use std::sync::Arc;

use egui::{Event, PointerButton, Pos2, Rect, Response, Sense};

use super::panes::{self, Line, PaneMap};
use super::{Pointed, Shown, ShownPane, UiCache, beside_pane, keys, magnifier, measure, overlay, side_strip, theme};
use crate::geometry::{Bent, PatientPoint, PixelPoint, Plane, Sheet};
use crate::gpu::{self, paint};
use crate::state::keymap::{Does, action};
use crate::state::{ActiveSeries, AppState, Beside, Command, DragDoes, Planes, Tool, ViewRect};
use crate::view::fidelity::Fidelity;
use crate::view::planes::{Layout, Pane};
use crate::view::{HeatmapLayer, ImageShape, ResolvedView, ViewDraw};
use crate::volume::Window;

/// What a drag that has begun is doing, fixed until the button is released.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gesture {
    Window,
    /// About the point of the press, physical pixels from the view's corner.
    Zoom {
        x: f64,
        y: f64,
    },
    Pan,
    /// Rest of the way to the next slice, points.
    Scroll {
        rest: f32,
    },
    /// The crosshair goes where the pointer is.
    Crosshair,
    /// The plane of another pane goes through the pointer.
    Line(Pane),
    /// A knot of the line that a bent plane follows goes where the pointer is.
    Knot(Plane, usize),
    /// The other panes' planes (or only one of them) turn with the pointer about the crosshair.
    Turn {
        within: Plane,
        only: Option<Plane>,
        /// Of the pointer about the crosshair, from rows towards columns; degrees.
        last_deg: f64,
    },
}

/// Distance at which a line is taken hold of, points.
const GRIP: f32 = 5.0;

/// The pane's place on the physical pixel grid.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub pane: Pane,
    pub rect: Rect,
    pub pixels_per_point: f32,
    pub view: ViewRect,
}

impl Place {
    pub fn new(pane: Pane, rect: Rect, pixels_per_point: f32, image: ImageShape) -> Self {
        let size = rect.size() * pixels_per_point;
        let view = ViewRect { image, width: f64::from(size.x.round()), height: f64::from(size.y.round()) };
        Self { pane, rect, pixels_per_point, view }
    }
    pub fn physical(&self, at: Pos2) -> (f64, f64) {
        let scale = f64::from(self.pixels_per_point);
        (f64::from(at.x - self.rect.left()) * scale, f64::from(at.y - self.rect.top()) * scale)
    }
}

pub fn show(
    ui: &mut egui::Ui,
    rect: Rect,
    pane: Pane,
    state: &AppState,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    let Some(active) = &state.active else { return };
    let pixels_per_point = ui.ctx().pixels_per_point();
    let rect = on_pixel_grid(rect, pixels_per_point);
    if pane == state.focused_pane() {
        cache.view_rect = Some(rect);
    }
    cache.shown.push(Shown { what: ShownPane::Pane(pane), rect });
    let response = ui.interact(rect, ui.scope_id().with(label_of(pane)), Sense::click_and_drag());
    let label = describe(state, active, pane);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, label.clone()));
    let Some(image) = shape(active, pane) else {
        return message(&ui.painter_at(rect), rect, &no_plane(active));
    };
    let place = Place::new(pane, rect, pixels_per_point, image);
    let view = place.view;
    let resolved = active.view_of(pane).resolve(view.image, view.width, view.height).map(ResolvedView::snapped);
    let bent = bent(active, pane);
    let map = resolved.and_then(|resolved| map(state, (active, pane, bent.as_ref()), rect, pixels_per_point, resolved));
    let lines = map.map(|map| panes::lines(state, active, pane, &map)).unwrap_or_default();
    let measuring =
        map.is_some_and(|map| measure::pointer(ui, &response, (pane, &map), state, active, cache, commands));
    if !measuring {
        drags(ui, &response, &place, (map.as_ref(), &lines), state, active, cache, commands);
    }
    let has_keys = pane == state.focused_pane() && !state.beside().is_some_and(Beside::is_focused);
    if let Some(resolved) = resolved.filter(|_| has_keys && std::mem::take(&mut cache.actual_pixels)) {
        commands.push(actual_pixels(&place, &resolved));
    }
    wheel(ui, &response, &place, &Command::FocusPane(pane), state.settings.wheel_slices, cache, commands);
    if response.double_clicked_by(PointerButton::Primary) && !measuring {
        commands.extend([Command::FocusPane(pane), Command::DoubleClick]);
    }
    response.context_menu(|ui| menu(ui, state, commands));
    let Some(resolved) = resolved else { return };
    let painter = ui.painter_at(rect);
    if let (Some(at), Some(map)) = (response.hover_pos(), map) {
        cache.pointed = Some(Pointed { beside: false, at: map.patient(at) });
    }
    let reduction = state.reduction(cache.max_volume_side).unwrap_or(1);
    let Some(fidelity) = state.fidelity(pane, &resolved.pixel_from_screen, reduction) else { return };
    let placed = match (pane, map) {
        (Pane::Across(plane), Some(map)) => {
            draw_plane(&painter, state, active, plane, &map, cache);
            draw_lines(&painter, &response, (pane, &map, &lines), state, active, cache);
            side_strip::paint(&painter, state, active, &map);
            let pointer = response.hover_pos().map(|at| map.patient(at));
            let notes = plane_notes(state, active, cache.max_volume_side);
            panes::paint_plane_text(&painter, state, active, plane, &map, pointer, (&notes, &fidelity))
        }
        _ => {
            draw(ui, state, active, (rect, view_id(pane)), &resolved, state.heatmap_layer(), cache);
            if let Some(map) = &map {
                draw_lines(&painter, &response, (pane, map, &lines), state, active, cache);
            }
            let pointer = response.hover_pos().filter(|_| active.slice().is_some()).map(|at| {
                let (x, y) = place.physical(at);
                resolved.pixel_from_screen.pixel(x, y)
            });
            overlay::paint(&painter, rect, state, active, &resolved, pointer, &fidelity)
        }
    };
    badge(ui, label_of(pane), placed.badge, &fidelity);
    if let Pane::Across(plane) = pane {
        let bars = map.filter(|map| side_strip::is_shown(state, active, map)).map_or(0.0, |_| side_strip::WIDTH);
        stand_up_button(ui, rect.center_top() + egui::vec2(bars / 2.0, 44.0), (state, active), plane, commands);
    }
    if let Some(map) = &map {
        measure::paint(ui, (pane, map), state, active, placed.taken, cache, commands);
    }
    if state.cine.is_some() && pane == state.focused_pane() {
        cine_line(&painter, rect, state, Some(active).filter(|_| pane == Pane::Slices));
    }
    if let (Some(at), Some(map), true) = (response.hover_pos(), &map, keys::is_held(ui.ctx(), state, "magnifier")) {
        magnifier::paint(&painter, (pane, map), state, active, cache, at);
    }
    super::scrolls_with_arrows(ui, &response, cache);
    if let Some(at) = response.hover_pos() {
        let on_image = over_image(active, pane, &place, &resolved, at);
        point(ui, at, (pane, map.as_ref(), &lines), on_image, state, active, cache);
    }
}

/// They lie on the picture and under the text.
fn draw_lines(
    painter: &egui::Painter,
    response: &Response,
    (pane, map, lines): (Pane, &PaneMap, &[Line]),
    state: &AppState,
    active: &ActiveSeries,
    cache: &UiCache,
) {
    let hovered = response.hover_pos();
    if let Some(planes) = &active.planes {
        panes::paint_lines(painter, lines, map.screen(planes.crosshair));
        let turning = cache.gesture.is_some_and(|(of, g)| of == pane && matches!(g, Gesture::Turn { .. }));
        if hovered.is_some() || turning {
            panes::paint_grips(painter, lines, map, planes, hovered);
        }
        panes::paint_knots(painter, lines, hovered);
    }
    beside_pane::paint_on_first(painter, state, map, cache.pointed_before);
}

fn cine_line(painter: &egui::Painter, rect: Rect, state: &AppState, slices: Option<&ActiveSeries>) {
    let (faster, slower) = (state.keymap.text("cine-faster"), state.keymap.text("cine-slower"));
    let pace = state.settings.cine_rate;
    let range = slices.and_then(|active| Some((active, active.slice_count())).filter(|_| !active.cine_range.is_all()));
    let range = range.map(|(active, count)| active.cine_range.of(count));
    let range = range.map_or_else(String::new, |[a, b]| format!(", slices {} to {}", a + 1, b + 1));
    let text = format!("cine{range}, {pace:.0} slices per second ({faster}, {slower}); any other key stops it");
    let at = rect.center_top() + egui::vec2(0.0, 32.0);
    overlay::legible(painter, at, egui::Align2::CENTER_TOP, &text, egui::FontId::proportional(13.0), theme::TEXT);
}

/// The pointer's form says what pressing would do.
fn point(
    ui: &egui::Ui,
    at: Pos2,
    (pane, map, lines): (Pane, Option<&PaneMap>, &[Line]),
    on_image: bool,
    state: &AppState,
    active: &ActiveSeries,
    cache: &UiCache,
) {
    let grabbed = map.and_then(|map| measure::cursor(at, (pane, map), state, active, cache));
    let grip = map.zip(active.planes.as_ref()).and_then(|(map, planes)| panes::turn_grip(lines, at, map, planes));
    let held = grip.is_some() || panes::knot_under(lines, at).is_some();
    let turn = match cache.gesture {
        Some((_, Gesture::Turn { .. } | Gesture::Knot(..))) => Some(egui::CursorIcon::Grabbing),
        _ => held.then_some(egui::CursorIcon::Grab),
    };
    let line = lines.iter().find(|line| line.distance(at) <= GRIP).map(Line::cursor);
    let plain = on_image.then_some(egui::CursorIcon::Crosshair);
    if let Some(icon) = grabbed.or(turn).or(line).or(plain) {
        ui.ctx().set_cursor_icon(icon);
    }
}

fn over_image(active: &ActiveSeries, pane: Pane, place: &Place, resolved: &ResolvedView, at: Pos2) -> bool {
    let (x, y) = place.physical(at);
    pane != Pane::Slices || (active.slice().is_some() && inside(active, resolved.pixel_from_screen.pixel(x, y)))
}

fn label_of(pane: Pane) -> &'static str {
    match pane {
        Pane::Slices => "slices",
        Pane::Across(plane) => plane.name(),
    }
}

/// Pixels of what a pane shows; `None` for a plane that is not there.
fn shape(active: &ActiveSeries, pane: Pane) -> Option<ImageShape> {
    match pane {
        Pane::Slices => Some(active.image_shape()),
        Pane::Across(plane) => {
            let grid = active.planes.as_ref()?.grid(plane)?;
            Some(ImageShape { rows: grid.rows, columns: grid.columns, spacing: [grid.spacing_mm; 2] })
        }
    }
}

fn bent(active: &ActiveSeries, pane: Pane) -> Option<Bent> {
    let Pane::Across(plane) = pane else { return None };
    active.planes.as_ref()?.bent(plane)
}

/// Where nothing is known of the patient's space, the slice's own plane stands in for it.
fn map<'a>(
    state: &AppState,
    (active, pane, bent): (&ActiveSeries, Pane, Option<&'a Bent>),
    rect: Rect,
    pixels_per_point: f32,
    resolved: ResolvedView,
) -> Option<PaneMap<'a>> {
    let sheet = match (pane, bent) {
        (Pane::Across(plane), Some(_)) => active.planes.as_ref()?.grid(plane)?.sheet(bent),
        _ => {
            let ground = active.ground(pane, state.slab)?;
            Sheet { pose: ground.pose, spacing_mm: ground.spacing, bent: None }
        }
    };
    Some(PaneMap { rect, pixels_per_point, resolved, sheet })
}

fn no_plane(active: &ActiveSeries) -> String {
    match (&active.no_planes, &active.load_failed) {
        (Some(why), _) => format!("no plane here: {why}"),
        (None, Some(why)) => format!("no plane here: {why}"),
        (None, None) => {
            format!("planes follow when all slices have been read: {} of {}", active.decoded(), active.slice_count())
        }
    }
}

fn describe(state: &AppState, active: &ActiveSeries, pane: Pane) -> String {
    match (pane, &active.planes) {
        (Pane::Slices, _) => {
            let mut parts = vec![format!("Image, slice {} of {}", active.current + 1, active.slice_count())];
            parts.extend(state.evidence_lines());
            parts.join("; ")
        }
        (Pane::Across(plane), Some(planes)) => match planes.tilt(plane) {
            None if planes.is_bent(plane) => format!("Plane, {}", planes.words(plane)),
            Some(_) => format!("Plane, {}", planes.words(plane)),
            None => format!("Plane, {} at {} {:.1} mm", plane.name(), plane.letter(), planes.coordinate_mm(plane)),
        },
        (Pane::Across(plane), None) => format!("Plane, {}, not there", plane.name()),
    }
}

/// The badge answers to the pointer, and to a screen reader, with its reasons.
pub(super) fn badge(ui: &egui::Ui, name: &str, rect: Rect, fidelity: &Fidelity) {
    let id = ui.scope_id().with((name, "fidelity"));
    let response = ui.interact(rect.expand(2.0), id, Sense::hover());
    let label = format!("Shown, {name}: {}. {}", fidelity.words(), fidelity.sentence());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, label.clone()));
    response.on_hover_text(fidelity.sentence());
}

/// The way back from a turned or curved plane.
fn stand_up_button(
    ui: &mut egui::Ui,
    at: Pos2,
    (state, active): (&AppState, &ActiveSeries),
    plane: Plane,
    commands: &mut Vec<Command>,
) {
    let Some(planes) = &active.planes else { return };
    let (name, what, action, command) = match (planes.is_bent(plane), planes.is_turned(plane)) {
        (true, _) => ("Flat", "The plane of the body again, not curved", "curved", Command::ToggleCurved),
        (false, true) => {
            ("Upright", "The planes of the body again, and the slices as acquired", "upright", Command::StandUp)
        }
        (false, false) => return,
    };
    let at = Rect::from_center_size(at, egui::vec2(64.0, 20.0));
    let button = egui::Button::new(egui::RichText::new(name).size(12.0));
    let response = ui.put(at, button).on_hover_text(state.keymap.hint(what, action));
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("{name}, {}", plane.name())));
    if response.clicked() {
        // The key of the curve is for the plane that has the focus.
        commands.extend(planes.is_bent(plane).then_some(Command::FocusPane(Pane::Across(plane))));
        commands.push(command);
    }
}

/// Why a plane is not there at all. How it is drawn is said by its badge.
fn plane_notes(state: &AppState, active: &ActiveSeries, max_volume_side: usize) -> Vec<String> {
    match state.reduction(max_volume_side) {
        Some(_) => Vec::new(),
        None => vec![format!(
            "{} slices are more than this graphics device can hold ({max_volume_side}); only the slices are shown",
            active.slice_count()
        )],
    }
}

fn draw_plane(
    painter: &egui::Painter,
    state: &AppState,
    active: &ActiveSeries,
    plane: Plane,
    map: &PaneMap,
    cache: &mut UiCache,
) {
    let Some(planes) = &active.planes else { return };
    let draw = state
        .reduction(cache.max_volume_side)
        .and_then(|reduction| active.plane_draw(plane, state.slab, reduction, state.settings.interpolation));
    let Some(mut draw) = draw else { return };
    draw.pixel_from_screen = map.resolved.pixel_from_screen;
    draw.heatmap = state.plane_heat();
    if state.graphics_fault.is_some() {
        return cache.by_processor.plane(painter, map.rect, view_id(Pane::Across(plane)), draw);
    }
    painter.add(paint::plane_callback(map.rect, plane as u32, draw, planes.upload.clone()));
    if planes.upload.failed() {
        message(painter, map.rect, "the graphics device has no room for this volume; only the slices are shown");
    } else if planes.upload.slices() < planes.stack.geometry.positions().len() {
        // The rest of the volume goes to the device with the next frames.
        painter.ctx().request_repaint();
    }
}

/// Shrunk to whole physical pixels, so that one texture pixel can be one screen pixel at any display scale.
pub(super) fn on_pixel_grid(rect: Rect, pixels_per_point: f32) -> Rect {
    let up = |v: f32| (v * pixels_per_point - 1e-3).ceil() / pixels_per_point;
    let down = |v: f32| (v * pixels_per_point + 1e-3).floor() / pixels_per_point;
    Rect::from_min_max(Pos2::new(up(rect.left()), up(rect.top())), Pos2::new(down(rect.right()), down(rect.bottom())))
}

/// Of the pictures drawn by the processor.
fn view_id(pane: Pane) -> u32 {
    match pane {
        Pane::Slices => 0,
        Pane::Across(plane) => 1 + plane as u32,
    }
}

/// A slice over a rectangle; each view has an id of its own.
pub(super) fn draw(
    ui: &mut egui::Ui,
    state: &AppState,
    active: &ActiveSeries,
    (rect, view_id): (Rect, u32),
    resolved: &ResolvedView,
    heatmap: Option<HeatmapLayer>,
    cache: &mut UiCache,
) {
    let painter = ui.painter_at(rect);
    let limit = u32::try_from(ui.ctx().input(|i| i.max_texture_side)).unwrap_or(u32::MAX);
    match active.image_layer(state.settings.interpolation) {
        Some(image) => match gpu::check_slice(limit, image.slice.columns, image.slice.rows) {
            Ok(()) => {
                let pixel_from_screen = resolved.pixel_from_screen;
                let layers = ViewDraw { pixel_from_screen, image, heatmap };
                if state.graphics_fault.is_some() {
                    return cache.by_processor.slice(&painter, rect, view_id, layers);
                }
                painter.add(paint::paint_callback(rect, view_id, Arc::new(layers)));
            }
            Err(error) => message(&painter, rect, &error.to_string()),
        },
        None => message(&painter, rect, &missing(active)),
    }
}

fn inside(active: &ActiveSeries, at: PixelPoint) -> bool {
    let (columns, rows) = (active.series.columns as f64, active.series.rows as f64);
    at.column >= -0.5 && at.row >= -0.5 && at.column < columns - 0.5 && at.row < rows - 0.5
}

fn missing(active: &ActiveSeries) -> String {
    match &active.load_failed {
        Some(reason) => reason.clone(),
        None => format!("slice {} is being read", active.current + 1),
    }
}

pub(super) fn message(painter: &egui::Painter, rect: Rect, text: &str) {
    let font = egui::FontId::proportional(15.0);
    let galley = painter.layout(text.to_owned(), font, theme::DIM, rect.width() * 0.7);
    painter.galley(rect.center() - galley.size() / 2.0, galley, theme::DIM);
}

fn gesture_for(
    ui: &egui::Ui,
    response: &Response,
    place: &Place,
    (turning, lines): (Option<(&PaneMap, &Planes)>, &[Line]),
    state: &AppState,
) -> Option<Gesture> {
    let tool = state.tool;
    let plain = plain_gesture(ui, response, place, state);
    if !response.drag_started_by(PointerButton::Primary) {
        return plain;
    }
    let (alt, pan) = held(ui);
    let pressed = ui.input(|i| i.pointer.press_origin());
    if let Some((plane, index)) = pressed.and_then(|at| panes::knot_under(lines, at)) {
        return Some(Gesture::Knot(plane, index));
    }
    if let (Some((map, planes)), Some(at)) = (turning, pressed)
        && let Some(line) = panes::turn_grip(lines, at, map, planes)
    {
        let within = if let Pane::Across(plane) = place.pane { plane } else { planes.acquired };
        let last_deg = map.angle_deg(map.patient(at), planes.crosshair);
        return Some(Gesture::Turn { within, only: alt.then_some(line.plane), last_deg });
    }
    let lines_held: Vec<&Line> =
        lines.iter().filter(|line| pressed.is_some_and(|at| line.distance(at) <= GRIP)).collect();
    Some(match tool {
        _ if alt || pan => return plain,
        _ if lines_held.len() > 1 => Gesture::Crosshair,
        _ if lines_held.len() == 1 => Gesture::Line(lines_held[0].of),
        Tool::Crosshair => Gesture::Crosshair,
        // What the tools that measure do is decided at the press (see `measure`).
        _ => return plain,
    })
}

/// Keys that make a drag with the left button scroll, and pan.
fn held(ui: &egui::Ui) -> (bool, bool) {
    ui.input(|i| (i.modifiers.alt, i.modifiers.shift || i.key_down(egui::Key::Space)))
}

/// What a drag that begins does by its button, the keys held and the tool alone.
pub(super) fn plain_gesture(ui: &egui::Ui, response: &Response, place: &Place, state: &AppState) -> Option<Gesture> {
    let begun = |does: DragDoes| match does {
        DragDoes::Pan => Gesture::Pan,
        DragDoes::Zoom => {
            let (x, y) = place.physical(response.interact_pointer_pos().unwrap_or(place.rect.center()));
            Gesture::Zoom { x, y }
        }
        DragDoes::Window => Gesture::Window,
        DragDoes::Scroll => Gesture::Scroll { rest: 0.0 },
    };
    if response.drag_started_by(PointerButton::Secondary) {
        return Some(begun(state.settings.right_drag));
    }
    if response.drag_started_by(PointerButton::Middle) {
        return Some(begun(state.settings.middle_drag));
    }
    if !response.drag_started_by(PointerButton::Primary) {
        return None;
    }
    let (alt, pan) = held(ui);
    let does = match state.tool {
        _ if alt => DragDoes::Scroll,
        _ if pan => DragDoes::Pan,
        Tool::Window => DragDoes::Window,
        Tool::Zoom => DragDoes::Zoom,
        Tool::Pan => DragDoes::Pan,
        Tool::Scroll => DragDoes::Scroll,
        Tool::Crosshair | Tool::Measure(_) | Tool::WindowRegion => return None,
    };
    Some(begun(does))
}

#[expect(clippy::too_many_arguments, reason = "all of a frame's state meets here")]
fn drags(
    ui: &egui::Ui,
    response: &Response,
    place: &Place,
    (map, lines): (Option<&PaneMap>, &[Line]),
    state: &AppState,
    active: &ActiveSeries,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    let pointer = response.interact_pointer_pos();
    if response.clicked_by(PointerButton::Primary) || response.clicked_by(PointerButton::Secondary) {
        commands.push(Command::FocusPane(place.pane));
    }
    if let (true, Some(at), Some(map)) = (response.clicked_by(PointerButton::Primary), pointer, map)
        && state.settings.layout != Layout::One
    {
        commands.push(Command::MoveCrosshair(map.patient(at)));
    }
    let turning = map.zip(active.planes.as_ref());
    if let Some(gesture) = gesture_for(ui, response, place, (turning, lines), state) {
        cache.gesture = Some((place.pane, gesture));
        commands.push(Command::FocusPane(place.pane));
    }
    if !response.dragged() {
        if cache.gesture.is_some_and(|(pane, _)| pane == place.pane) {
            cache.gesture = None;
        }
        return;
    }
    let delta = response.drag_delta();
    if delta == egui::Vec2::ZERO {
        return;
    }
    if let (Some((_, gesture)), Some(at), Some(map)) = (cache.gesture, pointer, map) {
        commands.extend(moved_crosshair(gesture, active, map.patient(at)).map(Command::MoveCrosshair));
        if let Gesture::Knot(plane, index) = gesture {
            commands.push(Command::MoveKnot { plane, index, at: map.patient(at) });
        }
        if let (Gesture::Turn { within, only, last_deg }, Some(planes)) = (gesture, &active.planes) {
            let now_deg = map.angle_deg(map.patient(at), planes.crosshair);
            let degrees = (now_deg - last_deg + 540.0).rem_euclid(360.0) - 180.0;
            commands.push(Command::TurnPlanes { within, degrees, only });
            cache.gesture = Some((place.pane, Gesture::Turn { within, only, last_deg: now_deg }));
        }
    }
    let scale = f64::from(place.pixels_per_point);
    match cache.gesture.as_mut().map(|(_, gesture)| gesture) {
        Some(Gesture::Window) => {
            commands.push(window_drag(state, &active.window, delta));
        }
        Some(Gesture::Zoom { x, y }) => {
            let factor = f64::from(-delta.y * 0.008).exp();
            commands.push(Command::Zoom { view: place.view, x: *x, y: *y, factor });
        }
        Some(Gesture::Pan) => {
            let (dx, dy) = (f64::from(delta.x) * scale, f64::from(delta.y) * scale);
            commands.push(Command::Pan { view: place.view, dx, dy });
        }
        Some(Gesture::Scroll { rest }) => {
            let points_per_slice = (place.rect.height() / steps_in(active, place.pane).max(1.0)).min(12.0);
            *rest += delta.y / points_per_slice;
            let steps = rest.trunc();
            *rest -= steps;
            if steps != 0.0 {
                commands.push(Command::ScrollBy(steps as i64));
            }
        }
        Some(Gesture::Crosshair | Gesture::Line(_) | Gesture::Knot(..) | Gesture::Turn { .. }) | None => {}
    }
}

/// Zooms about the middle until one pixel of the image is one of the screen.
pub(super) fn actual_pixels(place: &Place, resolved: &ResolvedView) -> Command {
    let (x, y) = (place.view.width / 2.0, place.view.height / 2.0);
    Command::Zoom { view: place.view, x, y, factor: resolved.pixel_from_screen.column_per_x.abs() }
}

/// How far a drag by so many points changes a window.
pub(super) fn window_drag(state: &AppState, window: &Window, delta: egui::Vec2) -> Command {
    // Fine on narrow windows, quick on wide ones; one screen width is about two window widths.
    let pace = f64::from(state.settings.drag_sensitivity);
    let per_point = (window.width / 400.0).clamp(0.25, 20.0) * pace;
    let upwards = if state.settings.invert_vertical_drag { -1.0 } else { 1.0 };
    Command::DragWindow { width: f64::from(delta.x) * per_point, center: f64::from(delta.y) * per_point * upwards }
}

/// Where a gesture takes the crosshair when the pointer is at a point of the patient.
fn moved_crosshair(gesture: Gesture, active: &ActiveSeries, at: PatientPoint) -> Option<PatientPoint> {
    let planes = active.planes.as_ref()?;
    match gesture {
        Gesture::Crosshair => Some(at),
        Gesture::Line(Pane::Slices) => Some(planes.onto_slice_through(at)),
        Gesture::Line(Pane::Across(plane)) => Some(planes.onto_plane_through(plane, at)),
        _ => None,
    }
}

/// Steps from one end of what a pane scrolls through to the other.
fn steps_in(active: &ActiveSeries, pane: Pane) -> f32 {
    match (pane, &active.planes) {
        (Pane::Across(plane), Some(planes)) => planes.steps(plane) as f32,
        _ => active.slice_count() as f32,
    }
}

/// `focus` is the wish that what lies under the pointer has the keys.
pub(super) fn wheel(
    ui: &egui::Ui,
    response: &Response,
    place: &Place,
    focus: &Command,
    slices_per_notch: u32,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    let Some(at) = response.hover_pos() else { return };
    let (events, time_s) = ui.input(|i| (i.events.clone(), i.time));
    let (x, y) = place.physical(at);
    for event in events {
        match event {
            Event::MouseWheel { unit, delta, modifiers, .. } => {
                let notches = cache.wheel.notches(unit, delta, time_s);
                commands.push(focus.clone());
                if modifiers.command || modifiers.ctrl {
                    let factor = f64::from(notches * 0.15).exp();
                    commands.push(Command::Zoom { view: place.view, x, y, factor });
                    continue;
                }
                let slices =
                    cache.wheel.slices(notches * slices_per_notch as f32 * if modifiers.shift { 5.0 } else { 1.0 });
                if slices != 0 {
                    commands.push(Command::ScrollBy(slices));
                }
            }
            Event::Zoom(factor) => {
                commands.push(focus.clone());
                commands.push(Command::Zoom { view: place.view, x, y, factor: f64::from(factor) });
            }
            _ => {}
        }
    }
}

/// An entry that does what the action of that name does, with its key.
pub(super) fn menu_entry(ui: &mut egui::Ui, state: &AppState, (text, name): (&str, &str), commands: &mut Vec<Command>) {
    let Some(Does::Command(command)) = action(name).map(|action| &action.does) else { return };
    let key = state.keymap.keys(name).first().map(ToString::to_string).unwrap_or_default();
    if ui.add(egui::Button::new(text).right_text(key)).clicked() {
        commands.push(command.clone());
        ui.close();
    }
}

/// The first windows of the keys.
pub(super) fn window_entries(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    for (i, (name, w)) in Window::PRESETS.iter().take(3).enumerate() {
        let text = format!("{name} {:.0}/{:.0}", w.width, w.center);
        menu_entry(ui, state, (&text, &format!("window-{}", i + 1)), commands);
    }
}

fn menu(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    if let Some((active, selected)) = state.active.as_ref().and_then(|a| Some((a, a.measures.sheet.selected()?))) {
        ui.label(crate::measure::title(selected));
        super::measure_panel::menu(ui, selected, active, commands);
        ui.separator();
    }
    window_entries(ui, state, commands);
    let mut entry = |ui: &mut egui::Ui, text: &str, name: &str| menu_entry(ui, state, (text, name), commands);
    ui.separator();
    if state.study.as_ref().is_some_and(|study| study.catalog.series.len() > 1) {
        entry(ui, "A second series beside this one", "beside");
    }
    entry(ui, "Reset view", "reset-view");
    if state.active.as_ref().is_some_and(|a| a.planes.is_some()) {
        entry(ui, "Curved along the spinal canal, or flat", "curved");
    }
    if state.active.as_ref().and_then(|a| a.planes.as_ref()).is_some_and(Planes::any_turned) {
        entry(ui, "Planes upright", "upright");
    }
    for (text, name) in [
        ("Invert", "invert"),
        ("Flip left and right", "flip-horizontal"),
        ("Flip up and down", "flip-vertical"),
        ("Text on the image", "image-text"),
        ("From peak to evidence, and back", "evidence"),
    ] {
        entry(ui, text, name);
    }
    ui.separator();
    for (text, name) in [
        ("Length", "length"),
        ("Angle", "angle"),
        ("Ellipse", "ellipse"),
        ("Mark as key slice", "key-slice"),
        ("Cine begins at this slice", "cine-first"),
        ("Cine ends at this slice", "cine-last"),
        ("DICOM attributes", "attributes"),
    ] {
        entry(ui, text, name);
    }
    ui.separator();
    entry(ui, "Copy the view", "copy-view");
    entry(ui, "Save the view as PNG", "save-view");
    entry(ui, "Save all panes as PNG", "save-panes");
    entry(ui, "Report", "report");
    ui.separator();
    let text = if state.heatmap_on { "Hide heatmap" } else { "Show heatmap" };
    let key = state.keymap.text("heatmap");
    if ui.add(egui::Button::new(text).right_text(key)).clicked() {
        commands.push(Command::ToggleHeatmap);
        ui.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_lies_on_whole_pixels_at_fractional_scales() {
        for scale in [1.0_f32, 1.25, 1.5, 1.75, 2.0] {
            let rect = Rect::from_min_max(Pos2::new(10.3, 7.7), Pos2::new(500.9, 401.2));
            let r = on_pixel_grid(rect, scale);
            for v in [r.left(), r.top(), r.right(), r.bottom()] {
                assert!((v * scale - (v * scale).round()).abs() < 1e-3, "{v} at {scale}");
            }
            assert!(rect.expand(1e-3).contains_rect(r));
        }
    }
}
