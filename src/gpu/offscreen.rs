//! Renders views without a window: for `dens render --renderer gpu`, tests, and exports.

use super::GpuError;
use crate::view::ViewDraw;

/// A GPU device without a surface.
pub struct Offscreen {}

impl Offscreen {
    pub fn new() -> Result<Self, GpuError> {
        Err(GpuError::NoAdapter)
    }
    /// The adapter in words.
    pub fn adapter_name(&self) -> &str {
        ""
    }
    /// RGBA, four bytes per pixel; the same picture as [`crate::view::raster::rgba8`] within one grey level.
    pub fn render(&self, _draw: &ViewDraw, _width: u32, _height: u32) -> Result<Vec<u8>, GpuError> {
        Err(GpuError::NoAdapter)
    }
}
