//! Draws planes and slabs across the slices of a volume. Shader: `shaders/planes.wgsl` with `shaders/heat.wgsl` and
//! `shaders/display.wgsl`. CPU twin: [`crate::view::raster::plane_rgba8`].
//!
//! The volume is one 3-D texture of integers, brought to the device a part per frame so that no frame waits for it.

use std::collections::HashMap;

use bytemuck::{Pod, Zeroable};

use super::cache::SourceKey;
use super::uniforms::{FLOAT_BITS, HEATMAP, INVERT, PADDED, VoiUniforms, cubic_flag, style_flag};
use super::views::Texels;
use crate::geometry::{Bend, PatientPoint, SlicePosition, StackGeometry, Vec3};
use crate::view::Interpolation;
use crate::view::planes::{HeatStack, PlaneDraw, Upload};
use crate::volume::{Projection, SlicePixels, Volume};

/// The shader as the device gets it.
pub const SHADER: &str = concat!(
    include_str!("../../shaders/planes.wgsl"),
    "\n",
    include_str!("../../shaders/heat.wgsl"),
    "\n",
    include_str!("../../shaders/display.wgsl"),
    "\n",
    include_str!("../../shaders/target.wgsl")
);

pub const EVEN: u32 = 64;
pub const NEAREST: u32 = 128;
pub const MIP: u32 = 256;
pub const MINIP: u32 = 512;
pub const BENT: u32 = 8192;

/// Voxels that go to the device in one step: a few milliseconds.
const UPLOAD_BYTES: usize = 24 << 20;
/// A view that was not drawn for so many draws of others is gone.
const IDLE_DRAWS: u64 = 512;

/// `View` of `shaders/planes.wgsl`, field by field; a test compares the layouts.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct PlaneUniforms {
    pub origin_px: [i32; 2],
    pub steps: i32,
    pub flags: u32,
    pub size: [i32; 4],
    pub place: [f32; 4],
    pub per_x: [f32; 4],
    pub per_y: [f32; 4],
    pub per_step: [f32; 4],
    pub voi: VoiUniforms,
    pub heat_size: [i32; 4],
    pub cam_maximum: f32,
    pub opacity: f32,
    pub size_px: [i32; 2],
    pub bend: [f32; 4],
}

impl PlaneUniforms {
    pub fn new(draw: &PlaneDraw, (origin_px, size_px): ([i32; 2], [u32; 2])) -> Self {
        let geometry = draw.stack.geometry.reduced(draw.reduction);
        let normal = draw.grid.pose.normal();
        let first = draw.patient_from_screen(0.5, 0.5);
        let step_px = |x: f64, y: f64| draw.patient_from_screen(0.5 + x, 0.5 + y).0 - first.0;
        let steps = draw.slab.steps_per_side(draw.step_mm);
        let step_mm = if steps == 0 { 0.0 } else { draw.slab.thickness_mm / 2.0 / f64::from(steps) };
        let frame = Frame::new(&geometry);
        let (voi, mut flags) = VoiUniforms::new(&draw.window, draw.stack.volume.padding());
        let mut set = |on: bool, flag: u32| flags |= if on { flag } else { 0 };
        set(geometry.is_even(), EVEN);
        set(!draw.stack.volume.is_integer(), FLOAT_BITS);
        set(draw.invert, INVERT);
        set(draw.stack.volume.padding().is_some(), PADDED);
        set(draw.interpolation == Interpolation::Nearest, NEAREST);
        set(draw.slab.projection == Projection::Mip, MIP);
        set(draw.slab.projection == Projection::MinIp, MINIP);
        set(draw.bent.is_some(), BENT);
        flags |= cubic_flag(draw.interpolation);
        let heat = draw.heatmap.as_ref();
        if let Some(heat) = heat {
            flags |= HEATMAP | style_flag(heat.style);
        }
        let slices = geometry.positions().len();
        let whole = |n: usize| i32::try_from(n).unwrap_or(0);
        let (place, bend) = match &draw.bent {
            Some(bent) => {
                let table = |y: f64| (draw.pixel_from_screen.pixel(0.5, y).row + 0.5) * draw.grid.spacing_mm;
                let [at_0, at_1] = [0.5, 1.5].map(|y| table(y) / bent.bend.step_mm());
                // The rest of the place stands in the table.
                let plane = bent.bend.plane();
                let across = plane.directions()[0];
                let aside = across * first.0.dot(across) + plane.axis() * bent.shift_mm;
                (frame.way(aside), [at_0, at_1 - at_0, step_mm, 0.0].map(|v| v as f32))
            }
            None => (frame.place(first), [0.0; 4]),
        };
        Self {
            origin_px,
            steps,
            flags,
            size: [geometry.columns(), geometry.rows(), slices, 0].map(whole),
            heat_size: heat.map_or([1; 4], |heat| {
                let [columns, rows] = heat.stack.cells();
                [columns, rows, slices, 0].map(whole)
            }),
            cam_maximum: heat.map_or(1.0, |heat| heat.stack.maximum),
            opacity: heat.map_or(0.0, |heat| heat.opacity),
            size_px: size_px.map(|n| i32::try_from(n).unwrap_or(1)),
            place,
            per_x: frame.way(step_px(1.0, 0.0)),
            per_y: frame.way(step_px(0.0, 1.0)),
            per_step: frame.way(normal * step_mm),
            voi,
            bend,
        }
    }
}

/// The shader's coordinates: voxels of an even stack, else pixels of the slices and millimetres along the stack, both
/// from the first slice's first pixel.
struct Frame<'a> {
    geometry: &'a StackGeometry,
    /// The first slice's first pixel in the frame of the slices, and the way from there to the last slice's; mm.
    first_mm: [f64; 3],
    through_mm: [f64; 3],
}

impl<'a> Frame<'a> {
    fn new(geometry: &'a StackGeometry) -> Self {
        let place = |p: &SlicePosition| [p.along_row_mm, p.along_column_mm, p.depth_mm];
        let first_mm = geometry.positions().first().map_or([0.0; 3], place);
        let last_mm = geometry.positions().last().map_or([0.0; 3], place);
        Self { geometry, first_mm, through_mm: std::array::from_fn(|i| last_mm[i] - first_mm[i]) }
    }
    fn place(&self, at: PatientPoint) -> [f32; 4] {
        let at_mm = self.geometry.stack_from_patient_mm(at);
        self.coordinates(std::array::from_fn(|i| at_mm[i] - self.first_mm[i]))
    }
    /// What a displacement in patient space is in the shader's coordinates.
    fn way(&self, by: Vec3) -> [f32; 4] {
        self.coordinates(self.geometry.stack_from_patient_mm(PatientPoint(by)))
    }
    fn coordinates(&self, [along_row_mm, along_column_mm, depth_mm]: [f64; 3]) -> [f32; 4] {
        let [between_rows_mm, between_columns_mm] = self.geometry.spacing_mm();
        if !self.geometry.is_even() {
            let (column, row) = (along_row_mm / between_columns_mm, along_column_mm / between_rows_mm);
            return [column as f32, row as f32, depth_mm as f32, 0.0];
        }
        let [aside_mm, back_mm, through_mm] = self.through_mm;
        let share = depth_mm / through_mm;
        let column = (along_row_mm - share * aside_mm) / between_columns_mm;
        let row = (along_column_mm - share * back_mm) / between_rows_mm;
        let slice = share * (self.geometry.positions().len() as f64 - 1.0);
        [column as f32, row as f32, slice as f32, 0.0]
    }
    /// The table of an uneven stack's positions, one texel each.
    fn positions(&self) -> Vec<[i32; 4]> {
        let [between_rows_mm, between_columns_mm] = self.geometry.spacing_mm();
        let [along_row_mm, along_column_mm, depth_mm] = self.first_mm;
        let texel = |p: &SlicePosition| {
            let column = (p.along_row_mm - along_row_mm) / between_columns_mm;
            let row = (p.along_column_mm - along_column_mm) / between_rows_mm;
            [p.depth_mm - depth_mm, column, row, 0.0].map(|v| (v as f32).to_bits() as i32)
        };
        self.geometry.positions().iter().map(texel).collect()
    }
}

/// The table of a bent surface: places, and under them what a millimetre across the surface is.
fn surface_texels(bend: &Bend, geometry: &StackGeometry) -> [Vec<[i32; 4]>; 2] {
    let frame = Frame::new(geometry);
    let bits = |v: [f32; 4]| v.map(|v| v.to_bits() as i32);
    [
        bend.table().map(|(point, _)| bits(frame.place(PatientPoint(point)))).collect(),
        bend.table().map(|(_, normal)| bits(frame.way(normal))).collect(),
    ]
}

/// Pipeline, the volume, and the views of one device.
pub struct PlaneViews {
    pipeline: wgpu::RenderPipeline,
    view_layout: wgpu::BindGroupLayout,
    volume_layout: wgpu::BindGroupLayout,
    table_layout: wgpu::BindGroupLayout,
    volume: Option<VolumeTexture>,
    heat: Option<HeatTexture>,
    /// Stands in where there is no heatmap.
    no_heat: wgpu::BindGroup,
    /// Stands in where the window has no table.
    no_table: wgpu::BindGroup,
    slots: HashMap<u32, Slot>,
    clock: u64,
    limit: u32,
    work: Work,
}

/// What has been brought to the device so far; tests count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    pub slices: u64,
    /// Stacks of maps.
    pub maps: u64,
    /// Buffers of views made anew, and views written.
    pub buffers: u64,
    pub views: u64,
}

/// The maps of the slices on the device; small, and new whenever a slice has been scored.
struct HeatTexture {
    key: SourceKey,
    volume: SourceKey,
    reduction: usize,
    group: wgpu::BindGroup,
}

/// The volume on the device; one at a time.
struct VolumeTexture {
    key: SourceKey,
    reduction: usize,
    texture: wgpu::Texture,
    group: wgpu::BindGroup,
    uploaded: usize,
    slices: usize,
}

struct Slot {
    uniforms: wgpu::Buffer,
    group: wgpu::BindGroup,
    /// Whose surface the group holds, in which volume, reduced how far.
    surface: Option<(SourceKey, SourceKey, usize)>,
    /// Of the window, and whose it is.
    table: Option<(SourceKey, wgpu::BindGroup)>,
    used: u64,
}

impl PlaneViews {
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, format: wgpu::TextureFormat) -> Self {
        let uniforms = wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: std::num::NonZeroU64::new(size_of::<PlaneUniforms>() as u64),
        };
        let view_layout = layout(device, "plane", &[uniforms, texture(wgpu::TextureViewDimension::D2)]);
        let volume_layout = layout(
            device,
            "volume",
            &[texture(wgpu::TextureViewDimension::D3), texture(wgpu::TextureViewDimension::D2)],
        );
        let table_layout = layout(device, "table", &[texture(wgpu::TextureViewDimension::D2)]);
        let pipeline = super::pipeline::render_pipeline(
            device,
            format,
            "plane",
            SHADER,
            // Volume and maps are each a 3-D texture with a table of its slices.
            &[Some(&view_layout), Some(&volume_layout), Some(&volume_layout), Some(&table_layout)],
        );
        let limit = device.limits().max_texture_dimension_3d;
        let no_heat = maps_group(device, queue, &volume_layout, ([1, 1], &[0.0]), &[[0; 4]]);
        let no_table = Texels::blank().upload(device, queue, &table_layout);
        Self {
            pipeline,
            view_layout,
            volume_layout,
            table_layout,
            volume: None,
            heat: None,
            no_heat,
            no_table,
            slots: HashMap::new(),
            clock: 0,
            limit,
            work: Work::default(),
        }
    }
    /// Size of the volume on the device.
    pub fn texture_bytes(&self) -> u64 {
        self.volume.as_ref().map_or(0, |v| {
            let bytes = v.texture.format().block_copy_size(None).unwrap_or(4);
            u64::from(v.texture.width()) * u64::from(v.texture.height()) * v.slices as u64 * u64::from(bytes)
        })
    }
    #[cfg(test)]
    pub fn work(&self) -> Work {
        self.work
    }
    /// Gives back everything but the pipeline.
    pub fn clear(&mut self) {
        self.volume = None;
        self.heat = None;
        self.slots.clear();
    }
    /// Gives back a volume that was closed.
    pub fn forget_closed(&mut self) {
        if self.volume.as_ref().is_some_and(|v| v.key.is_gone()) {
            self.clear();
        }
    }

    /// Brings the view up to date and the volume a part further. `place` is the view's origin and size in the target's
    /// pixels; `upload` says how far the volume is.
    pub fn prepare(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        view: u32,
        draw: &PlaneDraw,
        place: ([i32; 2], [u32; 2]),
        upload: &Upload,
    ) {
        self.clock += 1;
        let clock = self.clock;
        self.slots.retain(|_, slot| clock - slot.used < IDLE_DRAWS);
        self.bring(device, queue, draw, upload);
        self.bring_heat(device, queue, draw);
        self.work.buffers += u64::from(!self.slots.contains_key(&view));
        self.work.views += 1;
        let slot = self.slots.entry(view).or_insert_with(|| Slot::new(device, queue, &self.view_layout));
        slot.used = clock;
        slot.bring_surface(device, queue, &self.view_layout, draw);
        slot.bring_table(device, queue, &self.table_layout, draw);
        queue.write_buffer(&slot.uniforms, 0, bytemuck::bytes_of(&PlaneUniforms::new(draw, place)));
    }

    /// Draws a prepared view into the pass's viewport; nothing before the volume is complete.
    pub fn record(&self, pass: &mut wgpu::RenderPass<'_>, view: u32) {
        let complete = self.volume.as_ref().filter(|v| v.uploaded == v.slices);
        let (Some(slot), Some(volume)) = (self.slots.get(&view), complete) else { return };
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &slot.group, &[]);
        pass.set_bind_group(1, &volume.group, &[]);
        pass.set_bind_group(2, self.heat.as_ref().map_or(&self.no_heat, |heat| &heat.group), &[]);
        pass.set_bind_group(3, slot.table.as_ref().map_or(&self.no_table, |(_, group)| group), &[]);
        pass.draw(0..3, 0..1);
    }

    fn bring(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, draw: &PlaneDraw, upload: &Upload) {
        let key = SourceKey::of(&draw.stack.volume);
        if !self.volume.as_ref().is_some_and(|v| v.key == key && v.reduction == draw.reduction) {
            self.volume = None; // before its successor is made, so that both never lie in memory together
            if upload.failed() {
                return;
            }
            self.volume = VolumeTexture::new(device, queue, draw, key, self.limit, &self.volume_layout);
            if self.volume.is_none() {
                upload.set_failed();
            }
        }
        let Some(volume) = &mut self.volume else { return };
        let before = volume.uploaded;
        volume.upload(queue, draw);
        self.work.slices += (volume.uploaded - before) as u64;
        upload.set_slices(volume.uploaded);
    }
}

impl PlaneViews {
    /// All panes show the same maps or none. A pane without leaves them for the next frame.
    fn bring_heat(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, draw: &PlaneDraw) {
        let Some(heat) = &draw.heatmap else { return };
        let (key, volume) = (SourceKey::of(&heat.stack), SourceKey::of(&draw.stack.volume));
        let is_same = |h: &HeatTexture| (&h.key, &h.volume, h.reduction) == (&key, &volume, draw.reduction);
        if self.heat.as_ref().is_some_and(is_same) {
            return;
        }
        let cells = heat.stack.cells();
        if cells.iter().any(|n| *n > self.limit as usize) {
            return;
        }
        let (values, regions) = maps_of(&heat.stack, cells, draw);
        let group = maps_group(device, queue, &self.volume_layout, (cells, &values), &regions);
        self.work.maps += 1;
        self.heat = Some(HeatTexture { key, volume, reduction: draw.reduction, group });
    }
}

/// Per position of the stack the map's values, one after the other, and where it lies in the voxels of the device.
fn maps_of(stack: &HeatStack, [columns, rows]: [usize; 2], draw: &PlaneDraw) -> (Vec<f32>, Vec<[i32; 4]>) {
    let positions = draw.stack.geometry.positions();
    let (mut values, mut regions) = (Vec::with_capacity(columns * rows * positions.len()), Vec::new());
    let factor = draw.reduction.max(1) as f64;
    for position in positions {
        let Some((region, cam)) = stack.map(position.index) else {
            values.resize(values.len() + columns * rows, 0.0);
            regions.push([0; 4]);
            continue;
        };
        values.extend_from_slice(&cam.values);
        let [x0, y0, x1, y1] = region.map(|edge| edge / factor);
        regions.push([x0, y0, 1.0 / (x1 - x0), 1.0 / (y1 - y0)].map(|v| (v as f32).to_bits() as i32));
    }
    (values, regions)
}

/// `values` of maps of `[columns, rows]` cells, as many as there are `regions`.
fn maps_group(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    layout: &wgpu::BindGroupLayout,
    (cells, values): ([usize; 2], &[f32]),
    regions: &[[i32; 4]],
) -> wgpu::BindGroup {
    let [width, height] = cells.map(|n| n as u32); // checked against the device's limit before
    let size = wgpu::Extent3d { width, height, depth_or_array_layers: regions.len() as u32 };
    let maps = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("maps"),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D3,
        format: wgpu::TextureFormat::R32Sint,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let rows = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(width * 4), rows_per_image: Some(height) };
    queue.write_texture(maps.as_image_copy(), bytemuck::cast_slice(values), rows, size);
    let regions = table_texture(device, queue, &[regions]);
    let views = [&maps, &regions].map(|t| t.create_view(&wgpu::TextureViewDescriptor::default()));
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("maps"),
        layout,
        entries: &[0, 1].map(|i| wgpu::BindGroupEntry {
            binding: i as u32,
            resource: wgpu::BindingResource::TextureView(&views[i]),
        }),
    })
}

impl VolumeTexture {
    /// `None` where the device has no room.
    fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        draw: &PlaneDraw,
        key: SourceKey,
        limit: u32,
        layout: &wgpu::BindGroupLayout,
    ) -> Option<Self> {
        let geometry = draw.stack.geometry.reduced(draw.reduction);
        let size = [geometry.columns(), geometry.rows(), geometry.positions().len()];
        let [width, height, depth] = size.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        if [width, height, depth].iter().any(|n| *n == 0 || *n > limit) {
            return None;
        }
        let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("volume"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: depth },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D3,
            format: format_of(&draw.stack.volume),
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        if pollster::block_on(scope.pop()).is_some() {
            return None;
        }
        let positions = table_texture(device, queue, &[&Frame::new(&geometry).positions()]);
        let views = [&texture, &positions].map(|t| t.create_view(&wgpu::TextureViewDescriptor::default()));
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("volume"),
            layout,
            entries: &[0, 1].map(|i| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: wgpu::BindingResource::TextureView(&views[i]),
            }),
        });
        Some(Self { key, reduction: draw.reduction, texture, group, uploaded: 0, slices: size[2] })
    }

    fn upload(&mut self, queue: &wgpu::Queue, draw: &PlaneDraw) {
        let mut bytes = 0;
        while self.uploaded < self.slices && bytes < UPLOAD_BYTES {
            let index = draw.stack.geometry.positions().get(self.uploaded).map(|p| p.index);
            let Some(slice) = index.and_then(|i| draw.stack.volume.slices().get(i)) else { return };
            let reduced = (self.reduction > 1).then(|| slice.reduced(self.reduction));
            let texels: &[u8] = match &reduced.as_ref().unwrap_or(slice).pixels {
                SlicePixels::I16(values) => bytemuck::cast_slice(values),
                SlicePixels::F32(values) => bytemuck::cast_slice(values),
            };
            let (width, height) = (self.texture.width(), self.texture.height());
            let row = width * self.texture.format().block_copy_size(None).unwrap_or(4);
            queue.write_texture(
                wgpu::TexelCopyTextureInfo {
                    texture: &self.texture,
                    mip_level: 0,
                    origin: wgpu::Origin3d { x: 0, y: 0, z: self.uploaded as u32 },
                    aspect: wgpu::TextureAspect::All,
                },
                texels,
                wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: Some(height) },
                wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            );
            bytes += texels.len();
            self.uploaded += 1;
        }
    }
}

fn format_of(volume: &Volume) -> wgpu::TextureFormat {
    // Floats as bits, as in the slices' textures.
    if volume.is_integer() { wgpu::TextureFormat::R16Sint } else { wgpu::TextureFormat::R32Sint }
}

/// Rows of equal length, at least one.
fn table_texture(device: &wgpu::Device, queue: &wgpu::Queue, rows: &[&[[i32; 4]]]) -> wgpu::Texture {
    let width = rows.first().map_or(0, |row| row.len()) as u32;
    let size = wgpu::Extent3d { width, height: rows.len() as u32, depth_or_array_layers: 1 };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("table of places"),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Sint,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(width * 16), rows_per_image: None };
    let texels = rows.concat();
    queue.write_texture(texture.as_image_copy(), bytemuck::cast_slice(&texels), layout, size);
    texture
}

impl Slot {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue, layout: &wgpu::BindGroupLayout) -> Self {
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("plane"),
            size: size_of::<PlaneUniforms>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let nothing = table_texture(device, queue, &[&[[0; 4]; 2]]);
        let group = Self::group(device, layout, &uniforms, &nothing);
        Self { uniforms, group, surface: None, table: None, used: 0 }
    }
    fn group(
        device: &wgpu::Device,
        layout: &wgpu::BindGroupLayout,
        uniforms: &wgpu::Buffer,
        surface: &wgpu::Texture,
    ) -> wgpu::BindGroup {
        let surface = surface.create_view(&wgpu::TextureViewDescriptor::default());
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("plane"),
            layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: uniforms.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(&surface) },
            ],
        })
    }
    /// A flat plane leaves the table of the surface before it, which nobody reads.
    fn bring_surface(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        layout: &wgpu::BindGroupLayout,
        draw: &PlaneDraw,
    ) {
        let Some(bent) = &draw.bent else { return };
        let key = (SourceKey::of(&bent.bend), SourceKey::of(&draw.stack.volume), draw.reduction);
        if self.surface.as_ref() == Some(&key) {
            return;
        }
        let [places, across] = surface_texels(&bent.bend, &draw.stack.geometry.reduced(draw.reduction));
        let texture = table_texture(device, queue, &[&places, &across]);
        self.group = Self::group(device, layout, &self.uniforms, &texture);
        self.surface = Some(key);
    }
    fn bring_table(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        layout: &wgpu::BindGroupLayout,
        draw: &PlaneDraw,
    ) {
        let Some(table) = &draw.window.table else { return self.table = None };
        let key = SourceKey::of(table);
        if self.table.as_ref().is_none_or(|(before, _)| *before != key) {
            self.table = Some((key, Texels::of_table(table).upload(device, queue, layout)));
        }
    }
}

fn texture(view_dimension: wgpu::TextureViewDimension) -> wgpu::BindingType {
    wgpu::BindingType::Texture { sample_type: wgpu::TextureSampleType::Sint, view_dimension, multisampled: false }
}

/// Bindings from 0, all for the fragment shader.
pub(super) fn layout(device: &wgpu::Device, label: &str, types: &[wgpu::BindingType]) -> wgpu::BindGroupLayout {
    let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..)
        .zip(types)
        .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty: *ty,
            count: None,
        })
        .collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries })
}

#[cfg(test)]
mod tests {
    use super::super::pipeline::tests::{check_layout, offsets};
    use super::*;

    #[test]
    fn the_uniforms_lie_as_the_shader_reads_them() {
        let ours = offsets!(
            PlaneUniforms,
            origin_px,
            steps,
            flags,
            size,
            place,
            per_x,
            per_y,
            per_step,
            voi,
            heat_size,
            cam_maximum,
            opacity,
            size_px,
            bend
        );
        check_layout(SHADER, "View", size_of::<PlaneUniforms>(), &ours);
        for (name, bit) in [("EVEN", EVEN), ("NEAREST", NEAREST), ("MIP", MIP), ("MINIP", MINIP), ("BENT", BENT)] {
            assert!(SHADER.contains(&format!("const {name} = {bit}u;")), "{name}");
        }
    }

    #[test]
    fn a_click_on_the_strip_of_a_thousand_slices_brings_nothing_but_two_views_to_the_device() {
        use std::sync::Arc;

        use crate::findings::Cam;
        use crate::geometry::{Plane, PlaneGrid, SlicePose};
        use crate::view::planes::PlaneHeat;
        use crate::view::{HeatmapStyle, PixelFromScreen};
        use crate::volume::{Slab, Slice, SlicePixels, Stack, Window};

        let Some(offscreen) = super::super::offscreen::tests::device(wgpu::TextureFormat::Rgba8Unorm) else { return };
        let (device, queue) = offscreen.device_and_queue();
        let pixels = SlicePixels::I16(vec![100; 16 * 16].into());
        let slice = Arc::new(Slice { rows: 16, columns: 16, pixels, padding: None });
        let volume = Arc::new(Volume::new(vec![slice; 1000]).expect("one size"));
        let pose = |k: usize| SlicePose {
            origin: PatientPoint(Vec3::new(0.0, 0.0, -0.3 * k as f64)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        let poses: Vec<Option<SlicePose>> = (0..1000).map(|k| Some(pose(k))).collect();
        let geometry = Arc::new(StackGeometry::new(&poses, Some([1.0, 1.0]), 16, 16).expect("a stack"));
        let stack = Stack { volume, geometry };
        let cam = Arc::new(Cam { rows: 2, columns: 2, values: vec![1.0; 4] });
        let maps = vec![Some(([0.0, 0.0, 16.0, 16.0], cam)); 1000];
        let heat = PlaneHeat {
            stack: Arc::new(HeatStack::new(maps, 1.0).expect("maps")),
            opacity: 0.4,
            style: HeatmapStyle::Smooth,
        };
        let draw = |plane: Plane, at_mm: f64| PlaneDraw {
            pixel_from_screen: PixelFromScreen::EXACT,
            grid: PlaneGrid::covering(&stack.geometry, plane, at_mm, 0.3).expect("inside"),
            bent: None,
            stack: stack.clone(),
            reduction: 1,
            slab: Slab::default(),
            step_mm: 0.3,
            window: Window::BONE,
            invert: false,
            interpolation: Interpolation::Linear,
            heatmap: Some(heat.clone()),
        };
        let mut views = PlaneViews::new(device, queue, wgpu::TextureFormat::Rgba8Unorm);
        let upload = Upload::default();
        let mut frame = |at_mm: f64| {
            for (view, plane) in [(1, Plane::Sagittal), (2, Plane::Coronal)] {
                views.prepare(device, queue, view, &draw(plane, at_mm), ([0, 0], [50, 50]), &upload);
            }
            views.work()
        };
        let mut before = frame(1.0);
        while before.slices < 1000 {
            before = frame(1.0);
        }
        let after = frame(9.0);
        let expected = Work { views: before.views + 2, ..before };
        assert_eq!(after, expected);
        assert_eq!((after.slices, after.maps, after.buffers), (1000, 1, 2));
    }
}
