//! Draws the surface of the bone into a texture of its own, and that texture into the view. Shaders:
//! `shaders/surface.wgsl` and `shaders/picture.wgsl`. CPU twin: [`crate::view::surface::rgba8`].
//!
//! A view that has not changed costs one textured triangle. One that has is drawn coarsely at once and then, while the
//! hand rests, in full a band per frame, so that no frame waits on a device without graphics hardware.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::cache::SourceKey;
use super::pipeline::render_pipeline;
use crate::geometry::{PatientPoint, Vec3};
use crate::view::surface::{Camera, SurfaceDraw, SurfaceProgress};
use crate::volume::Solid;

pub const SHADER: &str =
    concat!(include_str!("../../shaders/surface.wgsl"), "\n", include_str!("../../shaders/target.wgsl"));
pub const PICTURE_SHADER: &str =
    concat!(include_str!("../../shaders/picture.wgsl"), "\n", include_str!("../../shaders/target.wgsl"));

/// What the picture is drawn into; display values.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// How much of a picture is drawn in one frame, pixels.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Of a view that has just changed, as a whole.
    pub at_once: u32,
    /// Of the full picture that follows; more where it would come in more than [`MOST_FRAMES`] parts.
    pub per_frame: u32,
}

impl Pace {
    /// A device that draws with the processor has a thousandth of the speed.
    pub fn of(kind: wgpu::DeviceType) -> Self {
        match kind {
            wgpu::DeviceType::Cpu | wgpu::DeviceType::Other => Self { at_once: 24_000, per_frame: 64_000 },
            wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu => {
                Self { at_once: 500_000, per_frame: 500_000 }
            }
            wgpu::DeviceType::DiscreteGpu => Self::WHOLE,
        }
    }
    /// Everything at once.
    pub const WHOLE: Self = Self { at_once: u32::MAX, per_frame: u32::MAX };
}

/// A full picture comes in so many parts, at most.
const MOST_FRAMES: u32 = 8;

/// The coarse picture has so many times fewer pixels than the full one, at most.
const MOST_COARSER: u32 = 32;

/// `View` of `shaders/surface.wgsl`, field by field; a test compares the layouts.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct SurfaceUniforms {
    pub first: [f32; 4],
    pub per_x: [f32; 4],
    pub per_y: [f32; 4],
    pub along: [f32; 4],
    pub size: [i32; 4],
    pub blocks: [i32; 4],
    pub level: f32,
    pub reach: f32,
    pub spare: [f32; 2],
}

impl SurfaceUniforms {
    /// For a picture of so many pixels.
    pub fn new(draw: &SurfaceDraw, size_px: [u32; 2]) -> Self {
        let solid = &draw.solid;
        let camera = Camera::new(&draw.view, solid, size_px.map(f64::from));
        let origin = solid.voxel(PatientPoint::default());
        let way = |by: Vec3| {
            let end = solid.voxel(PatientPoint(by));
            [0, 1, 2].map(|i| (end[i] - origin[i]) as f32)
        };
        let four = |[x, y, z]: [f32; 3]| [x, y, z, 0.0];
        let count = |[x, y, z]: [usize; 3]| [x, y, z, 0].map(|n| i32::try_from(n).unwrap_or(0));
        Self {
            first: four(solid.voxel(camera.first).map(|v| v as f32)),
            per_x: four(way(camera.right * camera.mm_per_px)),
            per_y: four(way(camera.down * camera.mm_per_px)),
            along: four(way(camera.into * solid.spacing_mm)),
            size: count(solid.size),
            blocks: count(solid.blocks_size),
            level: Solid::level(draw.threshold_hu),
            reach: (camera.reach_mm / solid.spacing_mm) as f32,
            spare: [0.0; 2],
        }
    }
}

/// `View` of `shaders/picture.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
struct PictureUniforms {
    origin_px: [f32; 2],
    size_px: [f32; 2],
}

/// What has been done so far; tests count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Solids brought to the device.
    pub solids: u32,
    /// Pictures begun, coarse and full.
    pub pictures: u32,
    /// Pixels through which rays were sent.
    pub pixels: u64,
}

/// Pipelines, the solid and the picture of one device.
pub struct SurfaceViews {
    trace: wgpu::RenderPipeline,
    show: wgpu::RenderPipeline,
    view_layout: wgpu::BindGroupLayout,
    solid_layout: wgpu::BindGroupLayout,
    picture_layout: wgpu::BindGroupLayout,
    linear: wgpu::Sampler,
    solid: Option<SolidTextures>,
    shown: Option<Picture>,
    /// The full picture on its way.
    next: Option<Picture>,
    pace: Pace,
    work: Work,
}

/// The solid on the device; one at a time.
struct SolidTextures {
    key: SourceKey,
    group: wgpu::BindGroup,
    bytes: u64,
}

/// A picture, whole or in part.
struct Picture {
    /// What it shows: the view at its full size. (A coarse picture of the same has other uniforms of its own.)
    of: SurfaceUniforms,
    texture: wgpu::Texture,
    group: wgpu::BindGroup,
    shown_uniforms: wgpu::Buffer,
    shown_group: wgpu::BindGroup,
    rows_done: u32,
    full: bool,
}

impl SurfaceViews {
    pub fn new(device: &wgpu::Device, format: wgpu::TextureFormat, pace: Pace) -> Self {
        let uniform = |bytes: usize| wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: std::num::NonZeroU64::new(bytes as u64),
        };
        let texture = |view_dimension| wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: true },
            view_dimension,
            multisampled: false,
        };
        let sampler = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
        use wgpu::TextureViewDimension::{D2, D3};
        let layout = super::planes::layout;
        let view_layout = layout(device, "surface", &[uniform(size_of::<SurfaceUniforms>())]);
        let solid_layout = layout(device, "solid", &[texture(D3), texture(D3), sampler]);
        let picture = [uniform(size_of::<PictureUniforms>()), texture(D2), sampler];
        let picture_layout = layout(device, "surface picture", &picture);
        let groups = [Some(&view_layout), Some(&solid_layout)];
        let trace = render_pipeline(device, FORMAT, "surface", SHADER, &groups);
        let show = render_pipeline(device, format, "surface picture", PICTURE_SHADER, &[Some(&picture_layout)]);
        let linear = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("linear"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let (solid, shown, next, work) = (None, None, None, Work::default());
        Self { trace, show, view_layout, solid_layout, picture_layout, linear, solid, shown, next, pace, work }
    }
    pub fn work(&self) -> Work {
        self.work
    }
    /// Size of the solid on the device.
    pub fn texture_bytes(&self) -> u64 {
        self.solid.as_ref().map_or(0, |solid| solid.bytes)
    }
    /// Gives back everything but the pipelines.
    pub fn clear(&mut self) {
        (self.solid, self.shown, self.next) = (None, None, None);
    }
    /// Gives back a solid that was closed.
    pub fn forget_closed(&mut self) {
        if self.solid.as_ref().is_some_and(|s| s.key.is_gone()) {
            self.clear();
        }
    }

    /// Brings the picture a part further. `place` is the view's origin and size in the target's pixels; while `hold` the
    /// full picture waits; `progress` says whether more is to come.
    pub fn prepare(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        draw: &SurfaceDraw,
        (origin_px, size_px): ([i32; 2], [u32; 2]),
        hold: bool,
        progress: &SurfaceProgress,
    ) {
        if size_px.contains(&0) {
            return;
        }
        self.bring(device, queue, &draw.solid);
        let wanted = SurfaceUniforms::new(draw, size_px);
        if !self.shown.as_ref().is_some_and(|p| p.of == wanted) {
            self.next = None;
            let pixels = size_px[0].saturating_mul(size_px[1]);
            let coarse_px = coarser(size_px, self.pace.at_once.max(pixels / MOST_COARSER));
            let mut picture = self.picture(device, queue, (wanted, coarse_px), SurfaceUniforms::new(draw, coarse_px));
            picture.full = coarse_px == size_px;
            self.trace_rows(device, queue, &mut picture, u32::MAX);
            self.shown = Some(picture);
        } else if !hold && self.shown.as_ref().is_some_and(|p| !p.full) {
            let mut picture = match self.next.take().filter(|p| p.of == wanted) {
                Some(picture) => picture,
                None => self.picture(device, queue, (wanted, size_px), wanted),
            };
            // Every frame draws the other panes too, so that more and smaller parts would only make it longer.
            let rows = (self.pace.per_frame / size_px[0].max(1)).max(size_px[1].div_ceil(MOST_FRAMES));
            self.trace_rows(device, queue, &mut picture, rows);
            if picture.rows_done >= size_px[1] {
                picture.full = true;
                self.shown = Some(picture);
            } else {
                self.next = Some(picture);
            }
        }
        if let Some(shown) = &self.shown {
            let place = PictureUniforms { origin_px: origin_px.map(|v| v as f32), size_px: size_px.map(|v| v as f32) };
            queue.write_buffer(&shown.shown_uniforms, 0, bytemuck::bytes_of(&place));
        }
        progress.set_complete(self.shown.as_ref().is_some_and(|p| p.full));
    }

    /// Draws what there is into the pass's viewport.
    pub fn record(&self, pass: &mut wgpu::RenderPass<'_>) {
        let Some(picture) = &self.shown else { return };
        pass.set_pipeline(&self.show);
        pass.set_bind_group(0, &picture.shown_group, &[]);
        pass.draw(0..3, 0..1);
    }

    fn bring(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, solid: &Arc<Solid>) {
        let key = SourceKey::of(solid);
        if self.solid.as_ref().is_some_and(|s| s.key == key) {
            return;
        }
        self.clear(); // before its successor is made, so that both never lie in memory together
        use wgpu::TextureFormat::{R8Unorm, R16Float};
        // Halves, since devices interpolate bytes with bytes, which shows as terraces.
        let halves: Vec<u16> = solid.values.iter().map(|v| half(*v)).collect();
        let halves: &[u8] = bytemuck::cast_slice(&halves);
        let voxels = solid_texture(device, queue, R16Float, solid.size, halves);
        let blocks = solid_texture(device, queue, R8Unorm, solid.blocks_size, &solid.blocks);
        let views = [&voxels, &blocks].map(|t| t.create_view(&wgpu::TextureViewDescriptor::default()));
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("solid"),
            layout: &self.solid_layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&views[0]) },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(&views[1]) },
                wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::Sampler(&self.linear) },
            ],
        });
        let bytes = 2 * solid.values.len() as u64 + solid.blocks.len() as u64;
        self.solid = Some(SolidTextures { key, group, bytes });
        self.work.solids += 1;
    }

    /// An empty picture of `size_px` that stands for `of`.
    fn picture(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        (of, size_px): (SurfaceUniforms, [u32; 2]),
        uniforms: SurfaceUniforms,
    ) -> Picture {
        self.work.pictures += 1;
        let [width, height] = size_px;
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("surface picture"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        let buffer = |bytes: usize| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("surface"),
                size: bytes as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let (own, shown_uniforms) = (buffer(size_of::<SurfaceUniforms>()), buffer(size_of::<PictureUniforms>()));
        queue.write_buffer(&own, 0, bytemuck::bytes_of(&uniforms));
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("surface"),
            layout: &self.view_layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: own.as_entire_binding() }],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let shown_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("surface picture"),
            layout: &self.picture_layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: shown_uniforms.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(&view) },
                wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::Sampler(&self.linear) },
            ],
        });
        Picture { of, texture, group, shown_uniforms, shown_group, rows_done: 0, full: false }
    }

    /// Draws so many rows more.
    fn trace_rows(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, picture: &mut Picture, rows: u32) {
        let Some(solid) = &self.solid else { return };
        let (width, height) = (picture.texture.width(), picture.texture.height());
        let rows = rows.min(height - picture.rows_done);
        let view = picture.texture.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let first = picture.rows_done == 0;
            let load = if first { wgpu::LoadOp::Clear(wgpu::Color::BLACK) } else { wgpu::LoadOp::Load };
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("surface"),
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: &view,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations { load, store: wgpu::StoreOp::Store },
                })],
                ..Default::default()
            });
            pass.set_pipeline(&self.trace);
            pass.set_bind_group(0, &picture.group, &[]);
            pass.set_bind_group(1, &solid.group, &[]);
            pass.set_scissor_rect(0, picture.rows_done, width, rows);
            pass.draw(0..3, 0..1);
        }
        queue.submit([encoder.finish()]);
        picture.rows_done += rows;
        self.work.pixels += u64::from(width) * u64::from(rows);
    }
}

/// The size shrunk, sides alike, until a picture has at most so many pixels.
fn coarser([width, height]: [u32; 2], most: u32) -> [u32; 2] {
    let pixels = f64::from(width) * f64::from(height);
    if pixels <= f64::from(most) {
        return [width, height];
    }
    let share = (f64::from(most) / pixels).sqrt();
    [width, height].map(|n| ((f64::from(n) * share) as u32).max(1))
}

/// A whole number as a 16-bit float.
fn half(n: u8) -> u16 {
    match n.checked_ilog2() {
        None => 0,
        Some(power) => (((power + 15) << 10) + ((u32::from(n) - (1 << power)) << (10 - power))) as u16,
    }
}

fn solid_texture(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    format: wgpu::TextureFormat,
    size: [usize; 3],
    bytes: &[u8],
) -> wgpu::Texture {
    let [width, height, depth_or_array_layers] = size.map(|n| u32::try_from(n).unwrap_or(1));
    let size = wgpu::Extent3d { width, height, depth_or_array_layers };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("solid"),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D3,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let row = width * format.block_copy_size(None).unwrap_or(1);
    let rows = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: Some(height) };
    queue.write_texture(texture.as_image_copy(), bytes, rows, size);
    texture
}

#[cfg(test)]
mod tests {
    use super::super::pipeline::tests::{check_layout, offsets};
    use super::*;
    use crate::view::surface as twin;

    #[test]
    fn the_uniforms_lie_as_the_shaders_read_them() {
        let ours = offsets!(SurfaceUniforms, first, per_x, per_y, along, size, blocks, level, reach, spare);
        check_layout(SHADER, "View", size_of::<SurfaceUniforms>(), &ours);
        let ours = offsets!(PictureUniforms, origin_px, size_px);
        check_layout(PICTURE_SHADER, "View", size_of::<PictureUniforms>(), &ours);
    }

    #[test]
    fn the_shaders_numbers_are_the_twins() {
        let vec3 = |[r, g, b]: [f32; 3]| format!("vec3<f32>({r}, {g}, {b})");
        for (name, value) in [
            ("BLOCK", crate::volume::BLOCK.to_string()),
            ("STEP", twin::STEP.to_string()),
            ("HALVINGS", twin::HALVINGS.to_string()),
            ("BEYOND", twin::BEYOND.to_string()),
            ("AMBIENT", twin::AMBIENT.to_string()),
            ("FACING", twin::FACING.to_string()),
            ("FAR_SHADE", twin::FAR_SHADE.to_string()),
            ("BONE", vec3(twin::BONE)),
            ("GROUND", vec3(twin::GROUND)),
        ] {
            assert!(SHADER.contains(&format!("const {name} = {value};")), "{name} is {value}");
        }
    }

    #[test]
    fn halves_are_the_numbers() {
        for n in 0..=255_u8 {
            let bits = u32::from(half(n));
            let (exponent, rest) = (bits >> 10, bits & 0x3ff);
            let value =
                if bits == 0 { 0.0 } else { 2_f64.powi(exponent as i32 - 15) * (1.0 + f64::from(rest) / 1024.0) };
            assert_eq!(value, f64::from(n));
        }
    }

    /// A ball of bone, drawn in a view of 300 x 200 pixels at the pace of a slow device.
    fn ball() -> SurfaceDraw {
        use crate::geometry::{SlicePose, StackGeometry};
        use crate::volume::{Slice, SlicePixels, Stack, Volume};
        let pose = |k: usize| SlicePose {
            origin: PatientPoint(Vec3::new(-20.0, -20.0, 20.0 - k as f64)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        let poses: Vec<Option<SlicePose>> = (0..41).map(|k| Some(pose(k))).collect();
        let slice = |k: usize| {
            let value = |i: usize| {
                let p = Vec3::new((i % 41) as f64 - 20.0, (i / 41) as f64 - 20.0, 20.0 - k as f64);
                (900.0 - 60.0 * p.length()).max(-100.0) as i16
            };
            let pixels = SlicePixels::I16((0..41 * 41).map(value).collect());
            Arc::new(Slice { rows: 41, columns: 41, pixels, padding: None })
        };
        let volume = Arc::new(Volume::new((0..41).map(slice).collect()).expect("one size"));
        let geometry = Arc::new(StackGeometry::new(&poses, Some([1.0, 1.0]), 41, 41).expect("a stack"));
        let solid = Solid::of(&Stack { volume, geometry }, &|| true).expect("bone");
        SurfaceDraw { solid: Arc::new(solid), view: Default::default(), threshold_hu: 250.0 }
    }

    #[test]
    fn a_view_that_has_not_changed_is_not_drawn_again_and_no_frame_draws_more_than_its_share() {
        let Some(offscreen) = super::super::offscreen::tests::device(FORMAT) else { return };
        let (device, queue) = offscreen.device_and_queue();
        let pace = Pace { at_once: 5_000, per_frame: 6_000 };
        let mut views = SurfaceViews::new(device, FORMAT, pace);
        let (progress, place) = (SurfaceProgress::default(), ([0, 0], [300, 200]));
        let draw = ball();
        views.prepare(device, queue, &draw, place, true, &progress);
        let first = views.work();
        assert_eq!((first.solids, first.pictures, progress.is_complete()), (1, 1, false));
        assert!(first.pixels <= 5_000, "{first:?}");
        // While the hand moves and the view does not, nothing is done.
        views.prepare(device, queue, &draw, place, true, &progress);
        assert_eq!(views.work(), first);
        let mut frames = 0;
        while !progress.is_complete() {
            let before = views.work().pixels;
            views.prepare(device, queue, &draw, place, false, &progress);
            assert!(views.work().pixels - before <= 7_500, "an eighth of the picture");
            frames += 1;
        }
        assert_eq!((frames, views.work().pictures), (8, 2));
        assert_eq!(views.work().pixels - first.pixels, 300 * 200, "each pixel once");
        // Slices are scrolled, the crosshair moves: the bone stays as it is.
        let whole = views.work();
        for _ in 0..50 {
            views.prepare(device, queue, &draw, place, false, &progress);
        }
        assert_eq!(views.work(), whole);
        let turned = SurfaceDraw { view: draw.view.turned([10.0, 0.0]), ..draw };
        views.prepare(device, queue, &turned, place, true, &progress);
        assert_eq!((views.work().solids, views.work().pictures), (1, 3));
        assert!(!progress.is_complete());
        views.prepare(device, queue, &turned, ([0, 0], [0, 200]), false, &progress);
        drop(turned);
        views.forget_closed();
        assert_eq!(views.texture_bytes(), 0, "given back with the study");
    }

    #[test]
    fn a_coarse_picture_keeps_its_shape() {
        assert_eq!(coarser([600, 400], 1_000_000), [600, 400]);
        let [width, height] = coarser([600, 400], 24_000);
        assert!(width * height <= 24_000 && width.abs_diff(height * 3 / 2) <= 2, "{width} x {height}");
        assert_eq!(coarser([1, 9000], 10), [1, 300]);
    }
}
