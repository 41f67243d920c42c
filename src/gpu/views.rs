//! What lives on the device between frames: textures by source, and per view a uniform buffer and its axes.
//! Knows no egui; [`super::paint`] and [`super::offscreen`] are shells around it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::cache::{Cache, SourceKey};
use super::pipeline::ViewPipeline;
use super::uniforms::{AxesKey, AxisTexel, Shown, ViewUniforms};
use crate::view::ViewDraw;
use crate::volume::{SlicePixels, VoiTable};

/// Uploaded slices and maps kept for scrolling back: 256 slices of 512 x 512 CT.
pub const TEXTURE_BUDGET_BYTES: u64 = 128 << 20;
/// A view that was not drawn for so many draws of others is gone; its buffers are given back.
const IDLE_DRAWS: u64 = 512;

/// Pipeline, textures and views of one device.
pub struct Views {
    pipeline: ViewPipeline,
    textures: Cache<wgpu::BindGroup>,
    /// Stands in where a view has no slice, no map or no table.
    blank: wgpu::BindGroup,
    slots: HashMap<u32, Slot>,
    clock: u64,
    limit: u32,
}

/// A texture that a view shows, and whose it is.
type Bound = (SourceKey, wgpu::BindGroup);

/// One view's own resources. egui prepares all views before it paints the first, so none may be shared.
struct Slot {
    uniforms: ViewUniforms,
    uniform_buffer: wgpu::Buffer,
    axes_key: AxesKey,
    axes: wgpu::Texture,
    group: wgpu::BindGroup,
    slice: Option<Bound>,
    cam: Option<Bound>,
    table: Option<Bound>,
    used: u64,
}

impl Views {
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, format: wgpu::TextureFormat) -> Self {
        let pipeline = ViewPipeline::new(device, format);
        let blank = Texels::blank().upload(device, queue, &pipeline.texture_layout);
        Self {
            pipeline,
            textures: Cache::new(TEXTURE_BUDGET_BYTES),
            blank,
            slots: HashMap::new(),
            clock: 0,
            limit: device.limits().max_texture_dimension_2d,
        }
    }
    /// Size of the uploaded slices and maps.
    pub fn texture_bytes(&self) -> u64 {
        self.textures.bytes()
    }
    /// Gives back everything but the pipeline.
    pub fn clear(&mut self) {
        self.textures.clear();
        self.slots.clear();
    }

    /// Brings the view up to date: uploads what is not there yet, writes what changed, and nothing else.
    /// `origin_px` and `size_px` are the view's place in the target.
    pub fn prepare(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        view: u32,
        draw: &ViewDraw,
        (origin_px, size_px): ([i32; 2], [u32; 2]),
    ) {
        self.clock += 1;
        let clock = self.clock;
        self.slots.retain(|_, slot| clock - slot.used < IDLE_DRAWS);
        let size_px = size_px.map(|n| n.min(self.limit));
        let shown = Shown::of(draw, self.limit);
        let axes_key = AxesKey::new(draw, shown, size_px);
        let uniforms = ViewUniforms::new(draw, &shown, (origin_px, size_px));
        let slice = (shown.image != [0, 0]).then(|| SourceKey::of(&draw.image.slice));
        let cam = draw.heatmap.as_ref().filter(|_| shown.cam.is_some()).map(|layer| SourceKey::of(&layer.cam));
        let table = draw.image.window.table.as_ref().map(SourceKey::of);

        let mut slot = match self.slots.remove(&view) {
            Some(slot) => slot,
            None => Slot::new(device, queue, &self.pipeline, axes_key, uniforms),
        };
        slot.used = clock;
        slot.set_uniforms(queue, uniforms);
        slot.set_axes(device, queue, &self.pipeline, axes_key);
        slot.slice = slice.map(|key| self.texture(device, queue, key, slot.slice.take(), draw, Texels::of_slice));
        slot.cam = cam.map(|key| self.texture(device, queue, key, slot.cam.take(), draw, Texels::of_cam));
        slot.table = table.map(|key| self.texture(device, queue, key, slot.table.take(), draw, Texels::of_table_of));
        self.slots.insert(view, slot);
    }

    /// Draws a prepared view into the pass's viewport; nothing for an unknown one.
    pub fn record(&self, pass: &mut wgpu::RenderPass<'_>, view: u32) {
        let Some(slot) = self.slots.get(&view) else { return };
        let or_blank =
            |texture: &Option<Bound>| texture.as_ref().map_or_else(|| self.blank.clone(), |(_, group)| group.clone());
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &slot.group, &[]);
        pass.set_bind_group(1, &or_blank(&slot.slice), &[]);
        pass.set_bind_group(2, &or_blank(&slot.cam), &[]);
        pass.set_bind_group(3, &or_blank(&slot.table), &[]);
        pass.draw(0..3, 0..1);
    }

    /// The texture of a source: the view's own if it shows that already, a kept one, or a new one.
    fn texture(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        key: SourceKey,
        shown_before: Option<Bound>,
        draw: &ViewDraw,
        texels: fn(&ViewDraw) -> Texels<'_>,
    ) -> Bound {
        let kept = self.textures.get(&key);
        // Also what had to leave the cache stays where it is on the screen: no upload in each frame.
        if let Some(bound) = shown_before.filter(|(before, _)| *before == key) {
            return bound;
        }
        if let Some(group) = kept {
            return (key, group);
        }
        let texels = texels(draw);
        let bytes = texels.bytes.len() as u64;
        self.textures.make_room(bytes);
        let group = texels.upload(device, queue, &self.pipeline.texture_layout);
        self.textures.insert(key.clone(), group.clone(), bytes);
        (key, group)
    }
}

impl Slot {
    fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        pipeline: &ViewPipeline,
        axes_key: AxesKey,
        uniforms: ViewUniforms,
    ) -> Self {
        let uniform_buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("view"),
            size: size_of::<ViewUniforms>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        queue.write_buffer(&uniform_buffer, 0, bytemuck::bytes_of(&uniforms));
        let axes = axes_texture(device, axes_key.size_px());
        write_axes(queue, &axes, &axes_key);
        let group = view_group(device, pipeline, &uniform_buffer, &axes);
        Self { uniforms, uniform_buffer, axes_key, axes, group, slice: None, cam: None, table: None, used: 0 }
    }
    fn set_uniforms(&mut self, queue: &wgpu::Queue, uniforms: ViewUniforms) {
        // Bytes, since a NaN in a window would never equal itself.
        if bytemuck::bytes_of(&self.uniforms) != bytemuck::bytes_of(&uniforms) {
            queue.write_buffer(&self.uniform_buffer, 0, bytemuck::bytes_of(&uniforms));
            self.uniforms = uniforms;
        }
    }
    fn set_axes(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, pipeline: &ViewPipeline, key: AxesKey) {
        if self.axes_key == key {
            return;
        }
        if self.axes.width() < longest(key.size_px()) {
            self.axes = axes_texture(device, key.size_px());
            self.group = view_group(device, pipeline, &self.uniform_buffer, &self.axes);
        }
        write_axes(queue, &self.axes, &key);
        self.axes_key = key;
    }
}

fn longest([width, height]: [u32; 2]) -> u32 {
    width.max(height).max(1)
}

/// Room for the tables of a view of that size, and to spare, so that dragging a splitter does not make a new one
/// each frame.
fn axes_texture(device: &wgpu::Device, size_px: [u32; 2]) -> wgpu::Texture {
    let limit = device.limits().max_texture_dimension_2d;
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some("view axes"),
        size: wgpu::Extent3d {
            width: longest(size_px).next_multiple_of(512).min(limit),
            height: 2,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Sint,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}

fn write_axes(queue: &wgpu::Queue, axes: &wgpu::Texture, key: &AxesKey) {
    for axis in [0, 1] {
        let table = key.table(axis);
        let width = table.len() as u32;
        if width == 0 {
            continue;
        }
        queue.write_texture(
            wgpu::TexelCopyTextureInfo {
                texture: axes,
                mip_level: 0,
                origin: wgpu::Origin3d { x: 0, y: axis as u32, z: 0 },
                aspect: wgpu::TextureAspect::All,
            },
            bytemuck::cast_slice(&table),
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(width * size_of::<AxisTexel>() as u32),
                rows_per_image: None,
            },
            wgpu::Extent3d { width, height: 1, depth_or_array_layers: 1 },
        );
    }
}

fn view_group(
    device: &wgpu::Device,
    pipeline: &ViewPipeline,
    uniforms: &wgpu::Buffer,
    axes: &wgpu::Texture,
) -> wgpu::BindGroup {
    let axes = axes.create_view(&wgpu::TextureViewDescriptor::default());
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("view"),
        layout: &pipeline.view_layout,
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: uniforms.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(&axes) },
        ],
    })
}

/// Values on their way to a texture, row-major.
pub(super) struct Texels<'a> {
    label: &'static str,
    format: wgpu::TextureFormat,
    /// Columns and rows.
    size: [usize; 2],
    bytes: Cow<'a, [u8]>,
}

impl Texels<'_> {
    fn of_slice(draw: &ViewDraw) -> Texels<'_> {
        let slice = &draw.image.slice;
        let (format, bytes) = match &slice.pixels {
            SlicePixels::I16(values) => (wgpu::TextureFormat::R16Sint, bytemuck::cast_slice(values)),
            // As bits: float textures may flush or filter, integer ones hand over what was put in.
            SlicePixels::F32(values) => (wgpu::TextureFormat::R32Sint, bytemuck::cast_slice(values)),
        };
        Texels { label: "slice", format, size: [slice.columns, slice.rows], bytes: Cow::Borrowed(bytes) }
    }
    fn of_cam(draw: &ViewDraw) -> Texels<'_> {
        let cam = draw.heatmap.as_ref().map(|layer| &layer.cam);
        let (size, values) = cam.map_or(([0, 0], &[][..]), |cam| ([cam.columns, cam.rows], &cam.values[..]));
        let bytes = Cow::Borrowed(bytemuck::cast_slice(values));
        Texels { label: "map", format: wgpu::TextureFormat::R32Sint, size, bytes }
    }
    fn of_table_of(draw: &ViewDraw) -> Texels<'_> {
        draw.image.window.table.as_deref().map_or_else(Self::blank, Self::of_table)
    }
    /// The entries of a window's table.
    pub(super) fn of_table<'t>(table: &VoiTable) -> Texels<'t> {
        let (size, texels) = super::uniforms::table_texels(table);
        let bytes = Cow::Owned(bytemuck::cast_slice(&texels).to_vec());
        Texels { label: "table of the window", format: wgpu::TextureFormat::R32Sint, size, bytes }
    }
    /// Stands in where there is nothing.
    pub(super) fn blank<'t>() -> Texels<'t> {
        Texels { label: "blank", format: wgpu::TextureFormat::R32Sint, size: [1, 1], bytes: Cow::Borrowed(&[0; 4]) }
    }

    pub(super) fn upload(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        layout: &wgpu::BindGroupLayout,
    ) -> wgpu::BindGroup {
        let [width, height] = self.size.map(|n| n as u32); // checked against the device's limit before
        let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some(self.label),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: self.format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let row = self.format.block_copy_size(None).unwrap_or(4) * width;
        let rows = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
        queue.write_texture(texture.as_image_copy(), &self.bytes, rows, size);
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.label),
            layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) }],
        })
    }
}
