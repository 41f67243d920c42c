//! Pictures drawn by the processor and shown as plain textures: the way round a graphics driver that failed its check.

use std::collections::HashMap;
use std::sync::Arc;

use egui::{Color32, ColorImage, Painter, Rect, TextureHandle, TextureOptions, pos2};

use crate::view::planes::{PlaneDraw, PlaneHeat};
use crate::view::raster::Drawing;
use crate::view::surface::SurfaceDraw;
use crate::view::{HeatmapLayer, ViewDraw};

/// The last picture of each view; a view that has not changed is not drawn again.
#[derive(Default)]
pub struct Pictures(HashMap<u32, Kept>);

struct Kept {
    what: Drawing,
    size: [usize; 2],
    texture: TextureHandle,
}

impl Pictures {
    /// Draws a slice over `rect`. Each view has an id of its own.
    pub fn slice(&mut self, painter: &Painter, rect: Rect, view_id: u32, draw: ViewDraw) {
        self.paint(painter, rect, view_id, Drawing::Slice(draw));
    }
    /// The same for a plane.
    pub fn plane(&mut self, painter: &Painter, rect: Rect, view_id: u32, draw: PlaneDraw) {
        self.paint(painter, rect, view_id, Drawing::Plane(Box::new(draw)));
    }
    /// The bone's surface, with fewer pixels than the screen has: rays are slow to follow.
    pub fn surface(&mut self, painter: &Painter, rect: Rect, view_id: u32, draw: SurfaceDraw) {
        const MOST_PIXELS: f32 = 120_000.0;
        let px = rect.area() * painter.pixels_per_point().powi(2);
        let share = (MOST_PIXELS / px.max(1.0)).sqrt().min(1.0);
        self.paint_shrunk(painter, rect, view_id, Drawing::Surface(draw), share);
    }
    /// Pictures drawn so far are let go, with the study they are of.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn paint(&mut self, painter: &Painter, rect: Rect, view_id: u32, what: Drawing) {
        self.paint_shrunk(painter, rect, view_id, what, 1.0);
    }

    /// With `share` of the screen's pixels along each side.
    fn paint_shrunk(&mut self, painter: &Painter, rect: Rect, view_id: u32, what: Drawing, share: f32) {
        let px = |points: f32| (points * painter.pixels_per_point() * share).round().max(0.0) as usize;
        let size = [px(rect.width()), px(rect.height())];
        if size.contains(&0) {
            return;
        }
        let is_kept = |kept: &Kept| kept.size == size && same_drawing(&kept.what, &what);
        if !self.0.get(&view_id).is_some_and(is_kept) {
            let image = ColorImage::from_rgba_unmultiplied(size, &what.rgba8(size));
            let name = format!("view {view_id}");
            let options = if share < 1.0 { TextureOptions::LINEAR } else { TextureOptions::NEAREST };
            let texture = painter.ctx().load_texture(name, image, options);
            self.0.insert(view_id, Kept { what, size, texture });
        }
        if let Some(kept) = self.0.get(&view_id) {
            let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            painter.image(kept.texture.id(), rect, whole, Color32::WHITE);
        }
    }
}

fn same_drawing(a: &Drawing, b: &Drawing) -> bool {
    match (a, b) {
        (Drawing::Slice(a), Drawing::Slice(b)) => same_slice(a, b),
        (Drawing::Plane(a), Drawing::Plane(b)) => same_plane(a, b),
        (Drawing::Surface(a), Drawing::Surface(b)) => a.is_same(b),
        _ => false,
    }
}

fn same_slice(a: &ViewDraw, b: &ViewDraw) -> bool {
    let (x, y) = (&a.image, &b.image);
    Arc::ptr_eq(&x.slice, &y.slice)
        && (&x.window, x.invert, x.interpolation) == (&y.window, y.invert, y.interpolation)
        && a.pixel_from_screen == b.pixel_from_screen
        && same(a.heatmap.as_ref(), b.heatmap.as_ref(), |m: &HeatmapLayer, n: &HeatmapLayer| {
            Arc::ptr_eq(&m.cam, &n.cam)
                && (m.region, m.maximum, m.opacity, m.style) == (n.region, n.maximum, n.opacity, n.style)
        })
}

fn same_plane(a: &PlaneDraw, b: &PlaneDraw) -> bool {
    Arc::ptr_eq(&a.stack.volume, &b.stack.volume)
        && (a.grid, a.slab, a.step_mm, a.reduction) == (b.grid, b.slab, b.step_mm, b.reduction)
        && (&a.window, a.invert, a.interpolation) == (&b.window, b.invert, b.interpolation)
        && a.pixel_from_screen == b.pixel_from_screen
        && same(a.heatmap.as_ref(), b.heatmap.as_ref(), |m: &PlaneHeat, n: &PlaneHeat| {
            Arc::ptr_eq(&m.stack, &n.stack) && (m.opacity, m.style) == (n.opacity, n.style)
        })
}

fn same<T>(a: Option<&T>, b: Option<&T>, equal: impl Fn(&T, &T) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => equal(a, b),
        (None, None) => true,
        _ => false,
    }
}
