//! The second series beside the first: its slices, the mouse on them, and what binds the two.

use egui::{Align, Layout, PointerButton, Rect, Response, Sense, pos2, vec2};

use super::panes::{self, PaneMap};
use super::viewport::{self, Gesture, Place};
use super::{Pointed, Shown, ShownPane, UiCache, overlay, theme};
use crate::geometry::{Sheet, SlicePose};
use crate::state::{ActiveSeries, AppState, Beside, BesideCommand, Command, Link, Tool};
use crate::view::planes::Pane;
use crate::view::{ResolvedView, ViewState};

/// Height of the bar over both, points.
const BAR: f32 = 28.0;
/// Points between the two.
const GAP: f32 = 3.0;
/// Of the pictures that are drawn; those of the first series and of the bone have smaller ones.
const VIEW_ID: u32 = 16;

/// The bar over both series, and the room that each has below it.
pub fn divide(ui: &mut egui::Ui, area: Rect, state: &AppState, commands: &mut Vec<Command>) -> (Rect, Option<Rect>) {
    let middle = area.center().x;
    let (bar, below) = area.split_top_bottom_at_y(area.top() + BAR);
    let left = Rect::from_min_max(below.min, pos2(middle - GAP / 2.0, below.bottom()));
    let right = Rect::from_min_max(pos2(middle + GAP / 2.0, below.top()), below.max);
    ui.painter().rect_filled(bar, 0.0, theme::PANEL);
    let (first, second) = bar.shrink2(vec2(6.0, 3.0)).split_left_right_at_x(middle);
    if let Some(active) = &state.active {
        let mut ui = ui.new_child(egui::UiBuilder::new().max_rect(first).layout(Layout::left_to_right(Align::Center)));
        let text = egui::RichText::new(state.series_title(active.index)).color(theme::TEXT);
        ui.add(egui::Label::new(text).truncate());
    }
    let second = Rect::from_min_max(second.min + vec2(6.0, 0.0), second.max);
    let mut ui = ui.new_child(egui::UiBuilder::new().max_rect(second).layout(Layout::right_to_left(Align::Center)));
    if let Some(beside) = state.beside() {
        bar_of_second(&mut ui, state, beside, commands);
    }
    (left, Some(right))
}

fn bar_of_second(ui: &mut egui::Ui, state: &AppState, beside: &Beside, commands: &mut Vec<Command>) {
    let mut send = |command: BesideCommand| commands.push(Command::Beside(command));
    let close = ui.button("x").on_hover_text(state.keymap.hint("One series again", "beside"));
    if close.accessible_name("Close the second series").clicked() {
        send(BesideCommand::Close);
    }
    let hint = state.keymap.hint("The two change places; scores are of the left one", "beside-swap");
    if ui.button("Swap").on_hover_text(hint).accessible_name("Swap the two series").clicked() {
        send(BesideCommand::Swap);
    }
    let on = beside.link != Link::Off;
    let link = ui.selectable_label(on, beside.link.words());
    let link = link.on_hover_text(state.keymap.hint(beside.link.sentence(), "beside-link"));
    if link.accessible_name(format!("Link of the two series: {}", beside.link.words())).clicked() {
        send(BesideCommand::ToggleLink);
    }
    let count = state.study.as_ref().map_or(0, |study| study.catalog.series.len());
    let first = state.active.as_ref().map(|active| active.index);
    let response = egui::ComboBox::from_id_salt("second series")
        .selected_text(state.series_title(beside.shown.index))
        .width(ui.available_width() - 12.0)
        .truncate()
        .show_ui(ui, |ui| {
            for index in (0..count).filter(|index| Some(*index) != first) {
                if ui.selectable_label(index == beside.shown.index, state.series_title(index)).clicked() {
                    send(BesideCommand::Open(index));
                }
            }
        })
        .response;
    response.accessible_name("Second series").on_hover_text("Which series is shown beside the one being read");
}

/// How the second series is looked at: laid out as the first one's slices lie in `first`, or for itself. A millimetre is as
/// long in both; beside several panes, which are smaller, the second is as large as the first would be in its place.
fn seen(state: &AppState, shown: &ActiveSeries, place: &Place, first: Option<Rect>) -> Option<(Place, ViewState)> {
    let (active, first) = (state.active.as_ref().filter(|_| state.besides_aligned())?, first?);
    let first = viewport::on_pixel_grid(first, place.pixels_per_point);
    let first = Place::new(Pane::Slices, first, place.pixels_per_point, active.image_shape());
    let view = first.view;
    let resolved = active.view.resolve(view.image, view.width, view.height)?;
    let pose = active.series.slices.get(active.current)?.pose?;
    let middle = resolved.pixel_from_screen.pixel(view.width / 2.0, view.height / 2.0);
    let at = pose.patient_from_pixel(middle, view.image.spacing);
    let pixel = shown.ground(Pane::Slices, state.slab)?.pixel(at);
    let size = (place.view.width, place.view.height);
    let scale = match state.panes().len() {
        1 => resolved.screen_px_per_unit,
        _ => active.view.resolve(view.image, size.0, size.1)?.screen_px_per_unit,
    };
    let seen = active.view.showing(shown.image_shape(), size, pixel, scale);
    // So far from its middle means so far from that of the first, so the pointer is read as if it were there.
    let larger = (scale / resolved.screen_px_per_unit) as f32;
    let rect = Rect::from_center_size(place.rect.center(), first.rect.size() * larger);
    Some((Place { rect, pixels_per_point: first.pixels_per_point / larger, ..first }, seen))
}

fn map_of(
    rect: Rect,
    pixels_per_point: f32,
    resolved: ResolvedView,
    pose: SlicePose,
    shown: &ActiveSeries,
) -> Option<PaneMap<'static>> {
    let sheet = Sheet { pose, spacing_mm: shown.series.spacing_mm?, bent: None };
    Some(PaneMap { rect, pixels_per_point, resolved, sheet })
}

/// How far from a slice a place still counts as on it, mm.
fn reach_mm(shown: &ActiveSeries) -> f64 {
    shown.series.slice_spacing_mm.unwrap_or(1.0) / 2.0 + 0.01
}

/// What the second series puts on the panes of the first: the line of its slice, and the place that is pointed at in it.
pub fn paint_on_first(painter: &egui::Painter, state: &AppState, map: &PaneMap, pointed: Option<Pointed>) {
    let (Some(active), Some(beside)) = (&state.active, state.beside()) else { return };
    if beside.link != Link::Place {
        return;
    }
    let near = active.planes.as_ref().map_or(map.sheet.pose.origin, |planes| planes.crosshair);
    let own = beside.shown.series.slices.get(beside.shown.current).and_then(|slice| slice.pose);
    if let Some(pose) = own.filter(|_| state.lines_on) {
        panes::paint_cut(painter, map, &pose, near);
    }
    if let Some(pointed) = pointed.filter(|pointed| pointed.beside) {
        panes::paint_pointed(painter, map, pointed.at, reach_mm(active).max(reach_mm(&beside.shown)));
    }
}

pub fn show(
    ui: &mut egui::Ui,
    rect: Rect,
    first: Option<Rect>,
    state: &AppState,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    let Some(beside) = state.beside() else { return };
    let shown = &beside.shown;
    let pixels_per_point = ui.ctx().pixels_per_point();
    let rect = viewport::on_pixel_grid(rect, pixels_per_point);
    let response = ui.interact(rect, ui.scope_id().with("second series"), Sense::click_and_drag());
    let label =
        format!("Second series, slice {} of {}, {}", shown.current + 1, shown.slice_count(), beside.link.words());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, label.clone()));
    let own = Place::new(Pane::Slices, rect, pixels_per_point, shown.image_shape());
    let (place, view) = seen(state, shown, &own, first).unwrap_or((own, shown.view));
    if beside.is_focused() {
        cache.view_rect = Some(rect);
    }
    cache.shown.push(Shown { what: ShownPane::Beside(view), rect });
    let resolved = view.resolve(own.view.image, own.view.width, own.view.height).map(ResolvedView::snapped);
    let Some(resolved) = resolved else { return };
    let pose = shown.series.slices.get(shown.current).and_then(|slice| slice.pose);
    let map = pose.and_then(|pose| map_of(rect, pixels_per_point, resolved, pose, shown));
    let linked_map = map.filter(|_| beside.link == Link::Place);
    drags(ui, &response, &place, (state, shown), linked_map.as_ref(), cache, commands);
    if beside.is_focused() && std::mem::take(&mut cache.actual_pixels) {
        // On the second one's own pixels, which the first one's zoom may have to follow.
        commands.push(viewport::actual_pixels(&place, &resolved));
    }
    let focus = Command::Beside(BesideCommand::Focus(true));
    viewport::wheel(ui, &response, &place, &focus, state.settings.wheel_slices, cache, commands);
    if response.double_clicked_by(PointerButton::Primary) {
        commands.extend([focus, Command::DoubleClick]);
    }
    response.context_menu(|ui| menu(ui, state, commands));
    paint(ui, (rect, &response), state, beside, (&own, &view, &resolved), linked_map.as_ref(), cache);
    super::scrolls_with_arrows(ui, &response, cache);
    if response.hovered() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::Crosshair);
    }
    let colour = if beside.is_focused() { theme::ACCENT } else { theme::LINE };
    ui.painter().rect_stroke(rect, 0.0, egui::Stroke::new(1.0, colour), egui::StrokeKind::Inside);
}

fn paint(
    ui: &mut egui::Ui,
    (rect, response): (Rect, &Response),
    state: &AppState,
    beside: &Beside,
    (place, view, resolved): (&Place, &ViewState, &ResolvedView),
    linked_map: Option<&PaneMap>,
    cache: &mut UiCache,
) {
    let shown = &beside.shown;
    let painter = ui.painter_at(rect);
    viewport::draw(ui, state, shown, (rect, VIEW_ID), resolved, None, cache);
    if let (Some(map), Some(active)) = (linked_map, &state.active) {
        if let Some(at) = response.hover_pos() {
            cache.pointed = Some(Pointed { beside: true, at: map.patient(at) });
        }
        paint_of_first(&painter, state, active, map);
        if let Some(pointed) = cache.pointed.filter(|pointed| !pointed.beside) {
            panes::paint_pointed(&painter, map, pointed.at, reach_mm(active).max(reach_mm(shown)));
        }
    }
    let pointer = response.hover_pos().filter(|_| shown.slice().is_some()).map(|at| {
        let (x, y) = place.physical(at);
        resolved.pixel_from_screen.pixel(x, y)
    });
    let Some(fidelity) = state.fidelity_beside(&resolved.pixel_from_screen) else { return };
    let placed = overlay::paint_beside(&painter, rect, state, (shown, view), resolved, pointer, &fidelity);
    viewport::badge(ui, "second series", placed.badge, &fidelity);
    if beside.is_loading() {
        let text = format!("reading, {} of {}", shown.decoded(), shown.slice_count());
        let at = rect.center_top() + vec2(0.0, 32.0);
        overlay::legible(&painter, at, egui::Align2::CENTER_TOP, &text, egui::FontId::proportional(13.0), theme::DIM);
    }
}

/// Where the planes of the first series cut the second one's slice.
fn paint_of_first(painter: &egui::Painter, state: &AppState, active: &ActiveSeries, map: &PaneMap) {
    if !state.lines_on {
        return;
    }
    let slice = active.series.slices.get(active.current).and_then(|slice| slice.pose);
    let near = active.planes.as_ref().map_or(map.sheet.pose.origin, |planes| planes.crosshair);
    for pane in state.panes() {
        let pose = match pane {
            Pane::Slices => slice,
            Pane::Across(_) => active.ground(pane, state.slab).map(|ground| ground.pose),
        };
        if let Some(pose) = pose {
            panes::paint_cut(painter, map, &pose, near);
        }
    }
}

fn gesture_for(ui: &egui::Ui, response: &Response, place: &Place, state: &AppState, linked: bool) -> Option<Gesture> {
    viewport::plain_gesture(ui, response, place, state).or_else(|| {
        // Nothing is measured here: what is drawn belongs to the series being read.
        let other = if state.tool == Tool::Crosshair && linked { Gesture::Crosshair } else { Gesture::Window };
        response.drag_started_by(PointerButton::Primary).then_some(other)
    })
}

fn drags(
    ui: &egui::Ui,
    response: &Response,
    place: &Place,
    (state, shown): (&AppState, &ActiveSeries),
    map: Option<&PaneMap>,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    if response.clicked() || response.secondary_clicked() {
        commands.push(Command::Beside(BesideCommand::Focus(true)));
    }
    if let Some(gesture) = gesture_for(ui, response, place, state, map.is_some()) {
        cache.beside_gesture = Some(gesture);
        commands.push(Command::Beside(BesideCommand::Focus(true)));
    }
    if !response.dragged() {
        cache.beside_gesture = None;
        return;
    }
    let delta = response.drag_delta();
    if delta == egui::Vec2::ZERO {
        return;
    }
    let scale = f64::from(place.pixels_per_point);
    match cache.beside_gesture.as_mut() {
        Some(Gesture::Window) => commands.push(viewport::window_drag(state, &shown.window, delta)),
        Some(Gesture::Zoom { x, y }) => {
            let factor = f64::from(-delta.y * 0.008).exp();
            commands.push(Command::Zoom { view: place.view, x: *x, y: *y, factor });
        }
        Some(Gesture::Pan) => {
            let (dx, dy) = (f64::from(delta.x) * scale, f64::from(delta.y) * scale);
            commands.push(Command::Pan { view: place.view, dx, dy });
        }
        Some(Gesture::Scroll { rest }) => {
            let points_per_slice = (response.rect.height() / (shown.slice_count() as f32).max(1.0)).min(12.0);
            *rest += delta.y / points_per_slice;
            let steps = rest.trunc();
            *rest -= steps;
            if steps != 0.0 {
                commands.push(Command::ScrollBy(steps as i64));
            }
        }
        Some(Gesture::Crosshair) => {
            if let (Some(at), Some(map)) = (response.interact_pointer_pos(), map) {
                commands.push(Command::MoveCrosshair(map.patient(at)));
            }
        }
        _ => {}
    }
}

fn menu(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    // What is chosen here is meant for the series under the pointer.
    let before = commands.len();
    viewport::window_entries(ui, state, commands);
    viewport::menu_entry(ui, state, ("The file's own window", "file-window"), commands);
    viewport::menu_entry(ui, state, ("Invert", "invert"), commands);
    viewport::menu_entry(ui, state, ("Reset view", "reset-view"), commands);
    if commands.len() > before {
        commands.insert(before, Command::Beside(BesideCommand::Focus(true)));
    }
    ui.separator();
    viewport::menu_entry(ui, state, ("Link or unlink the slices", "beside-link"), commands);
    viewport::menu_entry(ui, state, ("The two change places", "beside-swap"), commands);
    viewport::menu_entry(ui, state, ("Close the second series", "beside"), commands);
}
