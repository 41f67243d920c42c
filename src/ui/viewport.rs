//! The image view: our own pipeline's picture, the mouse on it, the text over it.

use std::sync::Arc;

use egui::{Event, PointerButton, Pos2, Rect, Response, Sense};

use super::{UiCache, overlay, theme};
use crate::geometry::PixelPoint;
use crate::gpu::{self, paint};
use crate::state::{ActiveSeries, AppState, Command, ExportKind, Tool, ViewRect};
use crate::view::{ResolvedView, ViewDraw};
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
}

/// The view's place on the physical pixel grid.
#[derive(Clone, Copy)]
struct Place {
    rect: Rect,
    pixels_per_point: f32,
    view: ViewRect,
}

impl Place {
    fn physical(&self, at: Pos2) -> (f64, f64) {
        let scale = f64::from(self.pixels_per_point);
        (f64::from(at.x - self.rect.left()) * scale, f64::from(at.y - self.rect.top()) * scale)
    }
}

pub fn show(ui: &mut egui::Ui, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let Some(active) = &state.active else { return };
    let pixels_per_point = ui.ctx().pixels_per_point();
    let rect = on_pixel_grid(ui.available_rect_before_wrap(), pixels_per_point);
    cache.view_rect = Some(rect);
    let response = ui.allocate_rect(rect, Sense::click_and_drag());
    let size = rect.size() * pixels_per_point;
    let view =
        ViewRect { image: active.image_shape(), width: f64::from(size.x.round()), height: f64::from(size.y.round()) };
    describe(&response, active);
    let place = Place { rect, pixels_per_point, view };
    drags(ui, &response, &place, state, active, cache, commands);
    wheel(ui, &response, &place, cache, commands);
    if response.double_clicked_by(PointerButton::Primary) {
        commands.push(Command::DoubleClick);
    }
    response.context_menu(|ui| menu(ui, state, commands));
    let Some(resolved) = active.view.resolve(view.image, view.width, view.height).map(ResolvedView::snapped) else {
        return;
    };
    draw(ui, state, active, &place, &resolved, &response);
}

/// Shrunk to whole physical pixels, so that one texture pixel can be one screen pixel at any display scale.
fn on_pixel_grid(rect: Rect, pixels_per_point: f32) -> Rect {
    let up = |v: f32| (v * pixels_per_point - 1e-3).ceil() / pixels_per_point;
    let down = |v: f32| (v * pixels_per_point + 1e-3).floor() / pixels_per_point;
    Rect::from_min_max(Pos2::new(up(rect.left()), up(rect.top())), Pos2::new(down(rect.right()), down(rect.bottom())))
}

fn describe(response: &Response, active: &ActiveSeries) {
    let label = format!("Image, slice {} of {}", active.current + 1, active.slice_count());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, label.clone()));
}

fn draw(
    ui: &mut egui::Ui,
    state: &AppState,
    active: &ActiveSeries,
    place: &Place,
    resolved: &ResolvedView,
    response: &Response,
) {
    let painter = ui.painter_at(place.rect);
    let limit = u32::try_from(ui.ctx().input(|i| i.max_texture_side)).unwrap_or(u32::MAX);
    match active.image_layer(state.settings.interpolation) {
        Some(image) => match gpu::check_slice(limit, image.slice.columns, image.slice.rows) {
            Ok(()) => {
                let pixel_from_screen = resolved.pixel_from_screen;
                let layers = ViewDraw { pixel_from_screen, image, heatmap: state.heatmap_layer() };
                painter.add(paint::paint_callback(place.rect, 0, Arc::new(layers)));
            }
            Err(error) => message(&painter, place.rect, &error.to_string()),
        },
        None => message(&painter, place.rect, &missing(active)),
    }
    let pointer = response.hover_pos().filter(|_| active.slice().is_some()).map(|at| {
        let (x, y) = place.physical(at);
        resolved.pixel_from_screen.pixel(x, y)
    });
    if response.hovered() && pointer.is_some_and(|at| inside(active, at)) {
        ui.ctx().set_cursor_icon(egui::CursorIcon::Crosshair);
    }
    overlay::paint(&painter, place.rect, state, active, resolved, pointer);
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

fn message(painter: &egui::Painter, rect: Rect, text: &str) {
    let font = egui::FontId::proportional(15.0);
    let galley = painter.layout(text.to_owned(), font, theme::DIM, rect.width() * 0.7);
    painter.galley(rect.center() - galley.size() / 2.0, galley, theme::DIM);
}

fn gesture_for(ui: &egui::Ui, response: &Response, place: &Place, tool: Tool) -> Option<Gesture> {
    let zoom = || {
        let at = response.interact_pointer_pos().unwrap_or(place.rect.center());
        let (x, y) = place.physical(at);
        Gesture::Zoom { x, y }
    };
    if response.drag_started_by(PointerButton::Secondary) {
        return Some(zoom());
    }
    if response.drag_started_by(PointerButton::Middle) {
        return Some(Gesture::Pan);
    }
    if !response.drag_started_by(PointerButton::Primary) {
        return None;
    }
    let (alt, pan) = ui.input(|i| (i.modifiers.alt, i.modifiers.shift || i.key_down(egui::Key::Space)));
    Some(match tool {
        _ if alt => Gesture::Scroll { rest: 0.0 },
        _ if pan => Gesture::Pan,
        Tool::Window => Gesture::Window,
        Tool::Zoom => zoom(),
        Tool::Pan => Gesture::Pan,
        Tool::Scroll => Gesture::Scroll { rest: 0.0 },
    })
}

fn drags(
    ui: &egui::Ui,
    response: &Response,
    place: &Place,
    state: &AppState,
    active: &ActiveSeries,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    if let Some(gesture) = gesture_for(ui, response, place, state.tool) {
        cache.gesture = Some(gesture);
    }
    if !response.dragged() {
        cache.gesture = None;
        return;
    }
    let delta = response.drag_delta();
    if delta == egui::Vec2::ZERO {
        return;
    }
    let scale = f64::from(place.pixels_per_point);
    match &mut cache.gesture {
        Some(Gesture::Window) => {
            // Fine on narrow windows, quick on wide ones; one screen width is about two window widths.
            let per_point = (active.window.width / 400.0).clamp(0.25, 20.0);
            let upwards = if state.settings.invert_vertical_drag { -1.0 } else { 1.0 };
            commands.push(Command::DragWindow {
                width: f64::from(delta.x) * per_point,
                center: f64::from(delta.y) * per_point * upwards,
            });
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
            let points_per_slice = (place.rect.height() / active.slice_count().max(1) as f32).clamp(2.0, 12.0);
            *rest += delta.y / points_per_slice;
            let steps = rest.trunc();
            *rest -= steps;
            if steps != 0.0 {
                commands.push(Command::ScrollBy(steps as i64));
            }
        }
        None => {}
    }
}

fn wheel(ui: &egui::Ui, response: &Response, place: &Place, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let Some(at) = response.hover_pos() else { return };
    let (events, time_s) = ui.input(|i| (i.events.clone(), i.time));
    let (x, y) = place.physical(at);
    for event in events {
        match event {
            Event::MouseWheel { unit, delta, modifiers, .. } => {
                let notches = cache.wheel.notches(unit, delta, time_s);
                if modifiers.command || modifiers.ctrl {
                    let factor = f64::from(notches * 0.15).exp();
                    commands.push(Command::Zoom { view: place.view, x, y, factor });
                    continue;
                }
                let slices = cache.wheel.slices(notches * if modifiers.shift { 5.0 } else { 1.0 });
                if slices != 0 {
                    commands.push(Command::ScrollBy(slices));
                }
            }
            Event::Zoom(factor) => {
                commands.push(Command::Zoom { view: place.view, x, y, factor: f64::from(factor) });
            }
            _ => {}
        }
    }
}

fn menu(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let mut entry = |ui: &mut egui::Ui, text: &str, command: Command| {
        if ui.button(text).clicked() {
            commands.push(command);
            ui.close();
        }
    };
    for (i, (name, w)) in Window::PRESETS.iter().take(3).enumerate() {
        entry(ui, &format!("{name} {:.0}/{:.0}   {}", w.width, w.center, i + 1), Command::Preset(i + 1));
    }
    ui.separator();
    entry(ui, "Reset view   R", Command::ResetView);
    entry(ui, "Invert   I", Command::Invert);
    entry(ui, "Flip left and right   H", Command::FlipHorizontal);
    entry(ui, "Flip up and down   V", Command::FlipVertical);
    entry(ui, "Text on the image   O", Command::CycleOverlay);
    entry(ui, if state.heatmap_on { "Hide heatmap   F" } else { "Show heatmap   F" }, Command::ToggleHeatmap);
    ui.separator();
    entry(ui, "Copy the view   Ctrl+C", Command::CopyPicture);
    entry(ui, "Save the view as PNG   Ctrl+Shift+S", Command::BeginExport(ExportKind::Picture));
    entry(ui, "Report   Ctrl+E", Command::BeginExport(ExportKind::Report));
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
