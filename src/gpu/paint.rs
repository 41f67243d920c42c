//! Views inside an egui window: a thin shell around [`super::views`].
//!
//! Once, in the creator of the app: [`init`]. Each frame and view: [`PhysicalRect::of`] gives the pixels to make the
//! [`ViewDraw`] for, [`paint_callback`] the shape to add to the painter.

use std::sync::Arc;

use super::GpuError;
use super::offscreen::Offscreen;
use super::planes::PlaneViews;
use super::self_test::{self, Fault};
use super::surface::{Pace, SurfaceViews};
use super::views::Views;
use crate::view::ViewDraw;
use crate::view::planes::{PlaneDraw, Upload};
use crate::view::surface::{SurfaceDraw, SurfaceProgress};

/// A rectangle of whole physical pixels. On fractional scales a rectangle in points rarely begins and ends on pixels;
/// a view that is drawn for anything but whole ones is blurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhysicalRect {
    pub left_px: i32,
    pub top_px: i32,
    pub width_px: u32,
    pub height_px: u32,
}

impl PhysicalRect {
    /// The pixels that egui will give to `rect`: edges rounded, each for itself.
    pub fn of(rect: egui::Rect, pixels_per_point: f32) -> Self {
        let px = |points: f32| (points * pixels_per_point).round() as i32;
        let (left_px, top_px) = (px(rect.min.x), px(rect.min.y));
        let extent = |from: i32, to: i32| u32::try_from(to.saturating_sub(from)).unwrap_or(0);
        Self { left_px, top_px, width_px: extent(left_px, px(rect.max.x)), height_px: extent(top_px, px(rect.max.y)) }
    }
    /// Corner and size.
    fn place(&self) -> ([i32; 2], [u32; 2]) {
        ([self.left_px, self.top_px], [self.width_px, self.height_px])
    }
    /// The same pixels in points, for hit tests and for text on the view.
    pub fn rect(&self, pixels_per_point: f32) -> egui::Rect {
        let points = |px: f32| px / pixels_per_point;
        egui::Rect::from_min_size(
            egui::pos2(points(self.left_px as f32), points(self.top_px as f32)),
            egui::vec2(points(self.width_px as f32), points(self.height_px as f32)),
        )
    }
    /// A point of the screen in the view's own pixels, which is what `PixelFromScreen` takes.
    pub fn view_px(&self, at: egui::Pos2, pixels_per_point: f32) -> [f64; 2] {
        let px = |points: f32, origin_px: i32| f64::from(points) * f64::from(pixels_per_point) - f64::from(origin_px);
        [px(at.x, self.left_px), px(at.y, self.top_px)]
    }
}

/// Builds the pipeline for the window's target and stores it with egui's renderer.
pub fn init(render_state: &egui_wgpu::RenderState) -> Result<(), GpuError> {
    let device = &render_state.device;
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let views = Views::new(device, &render_state.queue, render_state.target_format);
    let planes = PlaneViews::new(device, &render_state.queue, render_state.target_format);
    let pace = Pace::of(render_state.adapter.get_info().device_type);
    let surface = SurfaceViews::new(device, render_state.target_format, pace);
    if let Some(error) = pollster::block_on(scope.pop()) {
        return Err(GpuError::Device(error.to_string()));
    }
    // wgpu's own answer to an unforeseen error is to panic, which would take the reader's window away.
    if !cfg!(debug_assertions) {
        device.on_uncaptured_error(Arc::new(|error: wgpu::Error| log::error!("graphics: {error}")));
    }
    let mut renderer = render_state.renderer.write();
    renderer.callback_resources.insert(views);
    renderer.callback_resources.insert(planes);
    renderer.callback_resources.insert(surface);
    Ok(())
}

/// The check of the window's device, to be run on a worker's thread: it draws a few small pictures offscreen.
pub fn self_test(render_state: &egui_wgpu::RenderState) -> impl FnOnce() -> Result<(), Fault> + Send + use<> {
    let (device, queue) = (render_state.device.clone(), render_state.queue.clone());
    let (name, format) = (adapter_name(render_state), render_state.target_format);
    move || self_test::check(&Offscreen::on(device, queue, name, format)?)
}

/// Longest edge of a slice that the window's device can show, in pixels; for [`super::check_slice`].
pub fn max_texture_side(render_state: &egui_wgpu::RenderState) -> u32 {
    render_state.device.limits().max_texture_dimension_2d
}

/// Longest edge of a volume that the window's device can hold, in voxels.
pub fn max_volume_side(render_state: &egui_wgpu::RenderState) -> usize {
    render_state.device.limits().max_texture_dimension_3d as usize
}

/// Whether the driver draws with the processor, for want of a graphics device.
pub fn has_software_driver(render_state: &egui_wgpu::RenderState) -> bool {
    render_state.adapter.get_info().device_type == wgpu::DeviceType::Cpu
}

/// The adapter in words, for the about page and the log.
pub fn adapter_name(render_state: &egui_wgpu::RenderState) -> String {
    super::adapter_words(&render_state.adapter.get_info())
}

/// Size of the uploaded slices, maps and volume.
pub fn texture_bytes(render_state: &egui_wgpu::RenderState) -> u64 {
    let renderer = render_state.renderer.read();
    let resources = &renderer.callback_resources;
    resources.get::<Views>().map_or(0, Views::texture_bytes)
        + resources.get::<PlaneViews>().map_or(0, PlaneViews::texture_bytes)
        + resources.get::<SurfaceViews>().map_or(0, SurfaceViews::texture_bytes)
}

/// Gives back all textures, when a study is closed. (Opening another one does so by itself, as it needs the room.)
pub fn clear(render_state: &egui_wgpu::RenderState) {
    let mut renderer = render_state.renderer.write();
    if let Some(views) = renderer.callback_resources.get_mut::<Views>() {
        views.clear();
    }
    if let Some(planes) = renderer.callback_resources.get_mut::<PlaneViews>() {
        planes.clear();
    }
    if let Some(surface) = renderer.callback_resources.get_mut::<SurfaceViews>() {
        surface.clear();
    }
}

/// What has been drawn of the bone's surface so far; tests count it.
pub fn surface_work(render_state: &egui_wgpu::RenderState) -> super::surface::Work {
    let renderer = render_state.renderer.read();
    renderer.callback_resources.get::<SurfaceViews>().map(SurfaceViews::work).unwrap_or_default()
}

/// The shape that draws a view. `rect` is in points, `draw` was made for the pixels of [`PhysicalRect::of`] that
/// rectangle. Each `view_id` may be drawn once per frame and keeps its buffers from frame to frame; give the same
/// view the same id.
pub fn paint_callback(rect: egui::Rect, view_id: u32, draw: Arc<ViewDraw>) -> egui::Shape {
    egui_wgpu::Callback::new_paint_callback(rect, ViewCallback { rect, view_id, draw }).into()
}

struct ViewCallback {
    rect: egui::Rect,
    view_id: u32,
    draw: Arc<ViewDraw>,
}

impl egui_wgpu::CallbackTrait for ViewCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        screen: &egui_wgpu::ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut egui_wgpu::CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(planes) = resources.get_mut::<PlaneViews>() {
            planes.forget_closed();
        }
        if let Some(surface) = resources.get_mut::<SurfaceViews>() {
            surface.forget_closed();
        }
        if let Some(views) = resources.get_mut::<Views>() {
            let place = PhysicalRect::of(self.rect, screen.pixels_per_point).place();
            views.prepare(device, queue, self.view_id, &self.draw, place);
        }
        Vec::new()
    }
    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &egui_wgpu::CallbackResources,
    ) {
        if let Some(views) = resources.get::<Views>() {
            views.record(pass, self.view_id);
        }
    }
}

/// The shape that draws a plane; otherwise as [`paint_callback`]. The volume comes to the device a part per frame: ask
/// for another frame until `upload` counts all slices.
pub fn plane_callback(rect: egui::Rect, view_id: u32, draw: PlaneDraw, upload: Arc<Upload>) -> egui::Shape {
    egui_wgpu::Callback::new_paint_callback(rect, PlaneCallback { rect, view_id, draw, upload }).into()
}

struct PlaneCallback {
    rect: egui::Rect,
    view_id: u32,
    draw: PlaneDraw,
    upload: Arc<Upload>,
}

impl egui_wgpu::CallbackTrait for PlaneCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        screen: &egui_wgpu::ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut egui_wgpu::CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(planes) = resources.get_mut::<PlaneViews>() {
            let place = PhysicalRect::of(self.rect, screen.pixels_per_point).place();
            planes.prepare(device, queue, self.view_id, &self.draw, place, &self.upload);
        }
        Vec::new()
    }
    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &egui_wgpu::CallbackResources,
    ) {
        if let Some(planes) = resources.get::<PlaneViews>() {
            planes.record(pass, self.view_id);
        }
    }
}

/// The shape that draws the surface of the bone; otherwise as [`paint_callback`]. It comes in parts: ask for another frame
/// until `progress` is complete. While `hold` (the hand moves) the full picture waits.
pub fn surface_callback(
    rect: egui::Rect,
    draw: SurfaceDraw,
    hold: bool,
    progress: Arc<SurfaceProgress>,
) -> egui::Shape {
    egui_wgpu::Callback::new_paint_callback(rect, SurfaceCallback { rect, draw, hold, progress }).into()
}

struct SurfaceCallback {
    rect: egui::Rect,
    draw: SurfaceDraw,
    hold: bool,
    progress: Arc<SurfaceProgress>,
}

impl egui_wgpu::CallbackTrait for SurfaceCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        screen: &egui_wgpu::ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut egui_wgpu::CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(surface) = resources.get_mut::<SurfaceViews>() {
            let place = PhysicalRect::of(self.rect, screen.pixels_per_point).place();
            surface.prepare(device, queue, &self.draw, place, self.hold, &self.progress);
        }
        Vec::new()
    }
    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &egui_wgpu::CallbackResources,
    ) {
        if let Some(surface) = resources.get::<SurfaceViews>() {
            surface.record(pass);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_an_edge_on_every_scale() {
        for scale in [1.0, 1.25, 1.5, 1.75, 2.0] {
            let cut = 333.3;
            let left = PhysicalRect::of(egui::Rect::from_min_max(egui::pos2(10.1, 5.0), egui::pos2(cut, 99.0)), scale);
            let right =
                PhysicalRect::of(egui::Rect::from_min_max(egui::pos2(cut, 5.0), egui::pos2(700.0, 99.0)), scale);
            assert_eq!(left.left_px + left.width_px as i32, right.left_px, "scale {scale}");
        }
    }

    #[test]
    fn the_snapped_rectangle_keeps_its_pixels() {
        for scale in [1.0, 1.25, 1.5, 1.7, 2.0] {
            let px =
                PhysicalRect::of(egui::Rect::from_min_max(egui::pos2(13.37, 7.7), egui::pos2(800.2, 601.9)), scale);
            assert_eq!(PhysicalRect::of(px.rect(scale), scale), px, "scale {scale}");
        }
    }

    #[test]
    fn a_point_on_the_screen_falls_on_the_views_pixel() {
        let px = PhysicalRect::of(egui::Rect::from_min_max(egui::pos2(10.0, 20.0), egui::pos2(110.0, 120.0)), 1.5);
        assert_eq!(px.view_px(egui::pos2(11.0, 22.0), 1.5), [1.5, 3.0]);
    }

    #[test]
    fn an_inverted_rectangle_has_no_area() {
        let px = PhysicalRect::of(egui::Rect::NOTHING, 1.0);
        assert_eq!((px.width_px, px.height_px), (0, 0));
    }
}
