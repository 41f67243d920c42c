//! The magnifier: while its key is held, a lens at the pointer with the same pixels at three times the view's scale.

use std::sync::Arc;

use egui::{Pos2, Rect, Stroke, StrokeKind, vec2};

use super::panes::PaneMap;
use super::{UiCache, theme};
use crate::gpu::paint;
use crate::state::{ActiveSeries, AppState};
use crate::view::planes::Pane;
use crate::view::{PixelFromScreen, ViewDraw};

const TIMES: f64 = 3.0;
/// Edge of the lens, points.
const SIDE: f32 = 230.0;
/// Views of the lens beside those of the panes.
const SLICE_VIEW: u32 = 1;
const PLANE_VIEWS: u32 = 3;
/// The lens among the pictures drawn by the processor.
const LENS_BY_PROCESSOR: u32 = 9;

/// The lens over a pane whose pointer is at `at`.
pub fn paint(
    painter: &egui::Painter,
    (pane, map): (Pane, &PaneMap),
    state: &AppState,
    active: &ActiveSeries,
    cache: &mut UiCache,
    at: Pos2,
) {
    let side = SIDE.min(map.rect.width()).min(map.rect.height());
    let scale = map.pixels_per_point;
    // Whole pixels, and wholly inside the pane.
    let corner = (at - vec2(side, side) / 2.0).clamp(map.rect.min, map.rect.max - vec2(side, side));
    let whole = |v: f32| (v * scale).round() / scale;
    let lens = Rect::from_min_size(egui::pos2(whole(corner.x), whole(corner.y)), vec2(whole(side), whole(side)));
    let pixels = |v: f32| f64::from(v * scale);
    let (x, y) = (pixels(at.x - map.rect.left()), pixels(at.y - map.rect.top()));
    let (half_x, half_y) = (pixels(at.x - lens.left()), pixels(at.y - lens.top()));
    let view = map.resolved.pixel_from_screen;
    // The point under the pointer stays under it.
    let pixel_from_screen = PixelFromScreen {
        column_per_x: view.column_per_x / TIMES,
        column_at_0: view.column_at_0 + view.column_per_x * (x - half_x / TIMES),
        row_per_y: view.row_per_y / TIMES,
        row_at_0: view.row_at_0 + view.row_per_y * (y - half_y / TIMES),
    };
    let (interpolation, by_processor) = (state.settings.interpolation, state.graphics_fault.is_some());
    match pane {
        Pane::Slices => {
            let Some(image) = active.image_layer(interpolation) else { return };
            let draw = ViewDraw { pixel_from_screen, image, heatmap: state.heatmap_layer() };
            painter.rect_filled(lens, 0.0, egui::Color32::BLACK);
            if by_processor {
                cache.by_processor.slice(painter, lens, LENS_BY_PROCESSOR, draw);
            } else {
                painter.add(paint::paint_callback(lens, SLICE_VIEW, Arc::new(draw)));
            }
        }
        Pane::Across(plane) => {
            let reduction = state.reduction(cache.max_volume_side);
            let draw = reduction.and_then(|reduction| active.plane_draw(plane, state.slab, reduction, interpolation));
            let (Some(planes), Some(mut draw)) = (&active.planes, draw) else { return };
            draw.pixel_from_screen = pixel_from_screen;
            painter.rect_filled(lens, 0.0, egui::Color32::BLACK);
            if by_processor {
                cache.by_processor.plane(painter, lens, LENS_BY_PROCESSOR, draw);
            } else {
                painter.add(paint::plane_callback(lens, PLANE_VIEWS + plane as u32, draw, planes.upload.clone()));
            }
        }
    }
    painter.rect_stroke(lens, 0.0, Stroke::new(1.0, theme::ACCENT), StrokeKind::Outside);
}
