//! A picture that comes as pixels, such as a plot.

use super::ReportError;

/// Row-major RGBA, opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raster {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rgba: Vec<u8>,
}

impl Raster {
    /// Transparent pixels come to lie on white, as on paper.
    pub(super) fn from_png(png: &[u8]) -> Result<Self, ReportError> {
        let decoded = image::load_from_memory_with_format(png, image::ImageFormat::Png);
        let mut picture =
            decoded.map_err(|error| ReportError::Layout(format!("a plot is no PNG: {error}")))?.to_rgba8();
        for pixel in picture.pixels_mut() {
            let alpha = u32::from(pixel.0[3]);
            let on_white = |value: u8| ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
            let [red, green, blue, _] = pixel.0;
            pixel.0 = [on_white(red), on_white(green), on_white(blue), 255];
        }
        Ok(Self { width: picture.width(), height: picture.height(), rgba: picture.into_raw() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transparent_pixel_lies_on_white() {
        let png = crate::report::png_bytes(&[10, 20, 30, 255, 0, 0, 0, 0], 2, 1, image::ExtendedColorType::Rgba8);
        let raster = Raster::from_png(&png.expect("encoded")).expect("a PNG");
        assert_eq!((raster.width, raster.height), (2, 1));
        assert_eq!(raster.rgba, [10, 20, 30, 255, 255, 255, 255, 255]);
        assert!(Raster::from_png(b"no picture").is_err());
    }
}
