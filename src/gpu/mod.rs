//! Textures and pipelines on wgpu. Every shader in `shaders/` has a CPU twin in [`crate::view::raster`].

pub mod offscreen;

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
