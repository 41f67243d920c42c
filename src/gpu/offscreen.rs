//! Renders views without a window: for `dens render --renderer gpu`, tests, and exports.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::planes::PlaneViews;
use super::surface::{Pace, SurfaceViews};
use super::views::Views;
use super::{GpuError, check_slice};
use crate::view::ViewDraw;
use crate::view::planes::{PlaneDraw, Upload};
use crate::view::surface::{SurfaceDraw, SurfaceProgress};

/// The shader writes display values; a format without transfer function keeps them as they are.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
/// A picture is read back in parts of at most so many bytes, whatever its size.
const READBACK_BYTES: u64 = 32 << 20;
/// A device that needs longer for one picture hangs.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
const VIEW: u32 = 0;

/// A GPU device without a surface.
pub struct Offscreen {
    device: wgpu::Device,
    queue: wgpu::Queue,
    adapter_name: String,
    format: wgpu::TextureFormat,
    views: Mutex<Views>,
    planes: Mutex<PlaneViews>,
    surface: Mutex<SurfaceViews>,
}

impl Offscreen {
    /// Takes the first adapter there is, a software one last. `WGPU_BACKEND` and `WGPU_POWER_PREF` choose.
    pub fn new() -> Result<Self, GpuError> {
        Self::with_format(FORMAT)
    }

    fn with_format(format: wgpu::TextureFormat) -> Result<Self, GpuError> {
        let adapter = adapter()?;
        let (device, queue) = pollster::block_on(adapter.request_device(&super::device_descriptor(&adapter)))
            .map_err(|error| GpuError::Device(error.to_string()))?;
        Self::on(device, queue, super::adapter_words(&adapter.get_info()), format)
    }

    /// The same on a device that is there already, such as the window's, with targets as its own where they have four
    /// bytes per pixel. Errors of the pictures stay with the thread that draws them.
    pub(super) fn on(
        device: wgpu::Device,
        queue: wgpu::Queue,
        adapter_name: String,
        format: wgpu::TextureFormat,
    ) -> Result<Self, GpuError> {
        use wgpu::TextureFormat as F;
        let of_bytes = matches!(format, F::Rgba8Unorm | F::Rgba8UnormSrgb | F::Bgra8Unorm | F::Bgra8UnormSrgb);
        let format = if of_bytes { format } else { FORMAT };
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let views = Mutex::new(Views::new(&device, &queue, format));
        let planes = Mutex::new(PlaneViews::new(&device, &queue, format));
        let surface = Mutex::new(SurfaceViews::new(&device, format, Pace::WHOLE));
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(GpuError::Device(error.to_string()));
        }
        Ok(Self { device, queue, adapter_name, format, views, planes, surface })
    }

    /// The adapter in words.
    pub fn adapter_name(&self) -> &str {
        &self.adapter_name
    }

    /// Longest edge of a slice or picture, in pixels.
    pub fn max_texture_side(&self) -> u32 {
        self.device.limits().max_texture_dimension_2d
    }

    /// Size of the uploaded slices and maps that are kept for the next picture.
    pub fn texture_bytes(&self) -> u64 {
        self.views().texture_bytes()
    }

    /// RGBA, four bytes per pixel; the same picture as [`crate::view::raster::rgba8`] within one grey level.
    pub fn render(&self, draw: &ViewDraw, width: u32, height: u32) -> Result<Vec<u8>, GpuError> {
        let limit = self.max_texture_side();
        check_slice(limit, width as usize, height as usize)?;
        check_slice(limit, draw.image.slice.columns, draw.image.slice.rows)?;
        self.picture(width, height, |pass| {
            let mut views = self.views();
            views.prepare(&self.device, &self.queue, VIEW, draw, ([0, 0], [width, height]));
            views.record(pass, VIEW);
        })
    }

    /// RGBA of a plane; the same picture as [`crate::view::raster::plane_rgba8`] but for what f32 cannot hold of a
    /// place in the volume.
    pub fn render_plane(&self, draw: &PlaneDraw, width: u32, height: u32) -> Result<Vec<u8>, GpuError> {
        check_slice(self.max_texture_side(), width as usize, height as usize)?;
        let upload = Upload::default();
        self.picture(width, height, |pass| {
            let mut planes = self.planes.lock().unwrap_or_else(PoisonError::into_inner);
            let slices = draw.stack.geometry.positions().len();
            while upload.slices() < slices && !upload.failed() {
                planes.prepare(&self.device, &self.queue, VIEW, draw, ([0, 0], [width, height]), &upload);
            }
            planes.record(pass, VIEW);
        })
        .and_then(|picture| match upload.failed() {
            false => Ok(picture),
            true => Err(GpuError::Device("it has no room for a volume of this size".to_owned())),
        })
    }

    /// RGBA of the bone's surface; the same picture as [`crate::view::surface::rgba8`] but for the digits with which a device
    /// interpolates.
    pub fn render_surface(&self, draw: &SurfaceDraw, width: u32, height: u32) -> Result<Vec<u8>, GpuError> {
        check_slice(self.max_texture_side(), width as usize, height as usize)?;
        self.picture(width, height, |pass| {
            let mut surface = self.surface.lock().unwrap_or_else(PoisonError::into_inner);
            let place = ([0, 0], [width, height]);
            surface.prepare(&self.device, &self.queue, draw, place, false, &SurfaceProgress::default());
            surface.record(pass);
        })
    }

    #[cfg(test)]
    pub(super) fn device_and_queue(&self) -> (&wgpu::Device, &wgpu::Queue) {
        (&self.device, &self.queue)
    }

    /// Longest edge of a volume, in voxels.
    pub fn max_volume_side(&self) -> usize {
        self.device.limits().max_texture_dimension_3d as usize
    }

    /// Draws into a new target and reads it back; errors of the device on the way are errors of the picture.
    fn picture(
        &self,
        width: u32,
        height: u32,
        draw: impl FnOnce(&mut wgpu::RenderPass<'_>),
    ) -> Result<Vec<u8>, GpuError> {
        if width == 0 || height == 0 {
            return Ok(Vec::new());
        }
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let target = self.draw_target(draw, width, height);
        let pixels = self.read_back(&target);
        let invalid = pollster::block_on(validation.pop());
        let full = pollster::block_on(memory.pop());
        match invalid.or(full) {
            Some(error) => Err(GpuError::Device(error.to_string())),
            None => pixels,
        }
    }

    fn views(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw_target(&self, draw: impl FnOnce(&mut wgpu::RenderPass<'_>), width: u32, height: u32) -> wgpu::Texture {
        let target = self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("picture"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: self.format,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let view = target.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("picture"),
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: &view,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations {
                        load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                        store: wgpu::StoreOp::Store,
                    },
                })],
                ..Default::default()
            });
            draw(&mut pass);
        }
        self.queue.submit([encoder.finish()]);
        target
    }

    /// Rows without the padding that the copy needs.
    fn read_back(&self, target: &wgpu::Texture) -> Result<Vec<u8>, GpuError> {
        let (width, height) = (target.width(), target.height());
        let row_bytes = width as usize * 4;
        let padded = (width * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let rows_at_once = u32::try_from(READBACK_BYTES / u64::from(padded)).unwrap_or(u32::MAX).clamp(1, height);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read back"),
            size: u64::from(padded) * u64::from(rows_at_once),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut out = Vec::with_capacity(row_bytes * height as usize);
        let mut first_row = 0;
        while first_row < height {
            let rows = rows_at_once.min(height - first_row);
            self.copy_rows(target, &buffer, first_row, rows, padded);
            let part = buffer.slice(..u64::from(padded) * u64::from(rows));
            self.wait_until_mapped(&part)?;
            let mapped = part.get_mapped_range().map_err(device_error)?;
            for row in mapped.chunks_exact(padded as usize) {
                out.extend_from_slice(&row[..row_bytes]);
            }
            drop(mapped);
            buffer.unmap();
            first_row += rows;
        }
        if matches!(self.format, wgpu::TextureFormat::Bgra8Unorm | wgpu::TextureFormat::Bgra8UnormSrgb) {
            out.chunks_exact_mut(4).for_each(|px| px.swap(0, 2));
        }
        Ok(out)
    }

    fn copy_rows(&self, target: &wgpu::Texture, buffer: &wgpu::Buffer, first_row: u32, rows: u32, padded: u32) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_texture_to_buffer(
            wgpu::TexelCopyTextureInfo {
                texture: target,
                mip_level: 0,
                origin: wgpu::Origin3d { x: 0, y: first_row, z: 0 },
                aspect: wgpu::TextureAspect::All,
            },
            wgpu::TexelCopyBufferInfo {
                buffer,
                layout: wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(padded), rows_per_image: None },
            },
            wgpu::Extent3d { width: target.width(), height: rows, depth_or_array_layers: 1 },
        );
        self.queue.submit([encoder.finish()]);
    }

    fn wait_until_mapped(&self, part: &wgpu::BufferSlice<'_>) -> Result<(), GpuError> {
        let (tx, rx) = std::sync::mpsc::channel();
        part.map_async(wgpu::MapMode::Read, move |result| {
            tx.send(result).ok(); // receiver gone = the wait below gave up
        });
        self.device
            .poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(LONGEST_WAIT) })
            .map_err(device_error)?;
        // Where the window's thread polled the same device at that moment, it has taken the answer along and is about to give it.
        rx.recv_timeout(LONGEST_WAIT).map_err(device_error)?.map_err(device_error)
    }
}

/// GL only where nothing else answers: its libraries look for a display and a driver of their own and complain.
fn adapter() -> Result<wgpu::Adapter, GpuError> {
    let asked = super::backends();
    for backends in [asked - wgpu::Backends::GL, asked & wgpu::Backends::GL] {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends = backends;
        let instance = wgpu::Instance::new(descriptor);
        let options = wgpu::RequestAdapterOptions { power_preference: super::power_preference(), ..Default::default() };
        if let Ok(adapter) = pollster::block_on(instance.request_adapter(&options)) {
            return Ok(adapter);
        }
    }
    Err(GpuError::NoAdapter)
}

fn device_error(error: impl std::fmt::Display) -> GpuError {
    GpuError::Device(error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::view::{ImageLayer, Interpolation, PixelFromScreen, raster};
    use crate::volume::{Slice, SlicePixels, Window};

    fn ramp() -> ViewDraw {
        let values: Vec<i16> = (0..256).collect();
        let slice = Arc::new(Slice { rows: 1, columns: 256, pixels: SlicePixels::I16(values.into()), padding: None });
        let window = Window::covering(0.0, 255.0);
        let image = ImageLayer { slice, window, invert: false, interpolation: Interpolation::Nearest };
        ViewDraw { pixel_from_screen: PixelFromScreen::EXACT, image, heatmap: None }
    }

    /// The device, or `None` with a line on standard error where there is none.
    pub(in crate::gpu) fn device(format: wgpu::TextureFormat) -> Option<Offscreen> {
        match Offscreen::with_format(format) {
            Ok(offscreen) => Some(offscreen),
            Err(error) => {
                assert!(std::env::var_os("DENS_REQUIRE_GPU").is_none(), "{error}");
                eprintln!("SKIPPED: no graphics adapter");
                None
            }
        }
    }

    #[test]
    fn every_grey_level_comes_out_as_itself_also_from_a_target_that_encodes() {
        use wgpu::TextureFormat as F;
        for format in [F::Rgba8Unorm, F::Rgba8UnormSrgb, F::Bgra8Unorm, F::Bgra8UnormSrgb] {
            let Some(offscreen) = device(format) else { return };
            let picture = offscreen.render(&ramp(), 256, 1).expect("a picture");
            assert_eq!(picture, raster::rgba8(&ramp(), 256, 1), "{format:?}");
        }
    }

    #[test]
    fn rows_are_read_without_padding_and_in_parts() {
        let Some(offscreen) = device(FORMAT) else { return };
        let mut draw = ramp();
        // Rows of 7940 bytes, which are padded to 7936 + 256, and more of them than one part takes.
        draw.pixel_from_screen =
            PixelFromScreen { column_per_x: 256.0 / 1985.0, row_per_y: 1.0 / 4230.0, ..PixelFromScreen::EXACT };
        let (width, height) = (1985, 4230);
        assert!(u64::from(width * height * 4) > READBACK_BYTES);
        assert_eq!(
            offscreen.render(&draw, width, height).expect("a picture"),
            raster::rgba8(&draw, width as usize, height as usize)
        );
    }

    #[test]
    fn too_large_is_an_error_with_the_limit() {
        let Some(offscreen) = device(FORMAT) else { return };
        let limit = offscreen.max_texture_side();
        let error = offscreen.render(&ramp(), limit + 1, 1).unwrap_err();
        assert!(matches!(error, GpuError::TooLarge { limit: l, .. } if l == limit));
        assert_eq!(offscreen.render(&ramp(), 0, 7).expect("nothing"), Vec::<u8>::new());
    }
}
