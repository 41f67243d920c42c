//! Textures and pipelines on wgpu. Every shader in `shaders/` has a CPU twin in [`crate::view::raster`] or
//! [`crate::view::surface`].
//!
//! [`pipeline`] is what never changes, [`uniforms`] what a draw becomes for the shader, [`cache`] and [`views`] what
//! lives on the device between frames, [`planes`] the same for planes across the slices, [`surface`] for the bone seen from
//! outside. [`paint`] is the thin shell for egui,
//! [`offscreen`] the one without a window, [`self_test`] compares a device with the CPU twin.

pub(crate) mod cache;
pub mod offscreen;
pub mod paint;
pub(crate) mod pipeline;
pub(crate) mod planes;
pub mod self_test;
pub mod surface;
pub(crate) mod uniforms;
pub(crate) mod views;

use std::sync::Arc;

/// Why there is no picture from the GPU, in a sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    #[error("no graphics adapter was found. {INSTALL_HINT}")]
    NoAdapter,
    #[error("the graphics device refused: {0}")]
    Device(String),
    #[error("the picture is {width} x {height} pixels and this graphics device takes at most {limit} each way")]
    TooLarge { width: u32, height: u32, limit: u32 },
}

/// What to do where no adapter exists.
pub const INSTALL_HINT: &str = "Install a graphics driver; on Debian or Ubuntu without a GPU a software driver does: \
     apt-get install mesa-vulkan-drivers libvulkan1";

/// Whether a picture of `width` x `height` pixels fits a device whose textures have at most `limit` pixels each way
/// ([`paint::max_texture_side`]). Ask before drawing: a slice that does not fit is drawn black.
pub fn check_slice(limit: u32, width: usize, height: usize) -> Result<(), GpuError> {
    let [width, height] = [width, height].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    if width > limit || height > limit { Err(GpuError::TooLarge { width, height, limit }) } else { Ok(()) }
}

/// Limits to ask of a device: the least that wgpu knows, since the pipelines need no more, but textures as large as
/// the adapter can have them, for large slices and large screens.
fn required_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
    let offered = adapter.limits();
    wgpu::Limits::downlevel_webgl2_defaults().using_resolution(offered.clone()).or_worse_values_from(&offered)
}

fn device_descriptor(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    wgpu::DeviceDescriptor {
        label: Some("dens"),
        required_features: wgpu::Features::empty(),
        required_limits: required_limits(adapter),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..Default::default()
    }
}

/// The adapter that drives the screen does for a few textured triangles, and a large GPU stays free for the network.
/// `WGPU_POWER_PREF` and `WGPU_BACKEND` overrule.
fn power_preference() -> wgpu::PowerPreference {
    wgpu::PowerPreference::from_env().unwrap_or(wgpu::PowerPreference::LowPower)
}

/// Vulkan, Metal or DX12, and GL where there is none of them.
fn backends() -> wgpu::Backends {
    wgpu::Backends::from_env()
        .unwrap_or(wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12 | wgpu::Backends::GL)
}

/// How eframe shall make its device: `NativeOptions::wgpu_options`. Leave `multisampling`, `depth_buffer` and
/// `stencil_buffer` at 0 there; the view pipeline is built for a plain target.
///
/// Frames wait for the screen (no tearing) and at most one is queued, so that the picture answers the hand.
pub fn wgpu_setup() -> egui_wgpu::WgpuConfiguration {
    let mut setup = egui_wgpu::WgpuSetupCreateNew::without_display_handle(); // eframe puts its own in
    setup.instance_descriptor.backends = backends();
    setup.power_preference = power_preference();
    setup.device_descriptor = Arc::new(device_descriptor);
    egui_wgpu::WgpuConfiguration {
        surface: egui_wgpu::SurfaceConfig::LOW_LATENCY,
        wgpu_setup: setup.into(),
        ..Default::default()
    }
}

/// An adapter in words: name, driver and the interface used.
fn adapter_words(info: &wgpu::AdapterInfo) -> String {
    let backend = format!("{:?}", info.backend);
    let parts = [info.name.as_str(), info.driver.as_str(), info.driver_info.as_str(), backend.as_str()];
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(", ")
}

/// What an error of eframe's at the start of the window means.
pub fn start_error(error: &egui_wgpu::WgpuError) -> GpuError {
    use egui_wgpu::WgpuError as E;
    match error {
        E::RequestAdapterError(_)
        | E::CustomNativeAdapterSelectionError(_)
        | E::NoSurfaceFormatsAvailable
        | E::CreateSurfaceError(_) => GpuError::NoAdapter,
        other => GpuError::Device(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_beyond_the_limit_are_refused_with_their_size() {
        assert!(check_slice(2048, 2048, 2048).is_ok());
        let error = check_slice(2048, 512, 4096).unwrap_err();
        assert!(error.to_string().contains("512 x 4096") && error.to_string().contains("2048"), "{error}");
        assert!(check_slice(u32::MAX - 1, usize::MAX, 1).is_err());
    }

    #[test]
    fn the_window_waits_for_the_screen_and_queues_one_frame() {
        let configuration = wgpu_setup();
        assert_eq!(configuration.surface.present_mode, wgpu::PresentMode::AutoVsync);
        assert_eq!(configuration.surface.desired_maximum_frame_latency, Some(1));
    }

    #[test]
    fn an_adapter_that_is_missing_is_told_with_what_to_install() {
        let error = egui_wgpu::WgpuError::CustomNativeAdapterSelectionError("none".into());
        assert!(start_error(&error).to_string().contains("apt-get install mesa-vulkan-drivers"));
    }
}
