//! What a [`ViewDraw`] becomes for `shaders/slice.wgsl`: numbers that are the same for every pixel, and one table per
//! axis. The mapping has no rotation by other than right angles, so columns and rows can be looked up separately; the
//! tables are made in f64 with the very expressions of the CPU twin, and no edge or rounding can come out differently.

use bytemuck::{Pod, Zeroable};

use crate::view::{HeatmapLayer, HeatmapStyle, ImageLayer, Interpolation, PixelFromScreen, ViewDraw};
use crate::volume::{SlicePixels, VoiFunction, VoiTable, Window};

pub const FLOAT_BITS: u32 = 1;
pub const INVERT: u32 = 2;
pub const PADDED: u32 = 4;
pub const WHOLE: u32 = 8;
pub const SIGMOID: u32 = 16;
pub const HEATMAP: u32 = 32;
pub const TABLE: u32 = 4096;
pub const CELLS: u32 = 1024;
pub const OUTLINE: u32 = 2048;
pub const CUBIC: u32 = 16384;
pub const SMOOTH: u32 = 32768;

/// The flag that goes with a style of the heatmap.
pub const fn style_flag(style: HeatmapStyle) -> u32 {
    match style {
        HeatmapStyle::Smooth => 0,
        HeatmapStyle::Cells => CELLS,
        HeatmapStyle::Outline => OUTLINE,
    }
}

/// `View` of `shaders/slice.wgsl`, field by field; a test compares the layouts.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct ViewUniforms {
    pub origin_px: [i32; 2],
    pub image_size: [i32; 2],
    pub cam_size: [i32; 2],
    pub neighbour: i32,
    pub flags: u32,
    pub voi: VoiUniforms,
    pub cam_maximum: f32,
    pub opacity: f32,
    pub size_px: [i32; 2],
}

/// `Voi` of `shaders/display.wgsl`: the window and the padding, as every `View` has them.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct VoiUniforms {
    pub low: f32,
    pub high: f32,
    pub offset: f32,
    pub denominator: f32,
    pub center: f32,
    pub width: f32,
    pub padding_low: f32,
    pub padding_high: f32,
    pub whole_offset: i32,
    pub whole_denominator: i32,
    pub table_first: i32,
    pub table_last: i32,
    pub table_white: i32,
    pub spare: i32,
    pub more_spare: [i32; 2],
}

impl ViewUniforms {
    /// `origin_px` is the framebuffer pixel of the view's corner, `size_px` its size; `shown` what of the draw can be
    /// shown.
    pub fn new(draw: &ViewDraw, shown: &Shown, (origin_px, size_px): ([i32; 2], [u32; 2])) -> Self {
        let image = &draw.image;
        let mut uniforms = Self {
            origin_px,
            image_size: shown.image.map(|n| i32::try_from(n).unwrap_or(0)),
            size_px: size_px.map(|n| i32::try_from(n).unwrap_or(0)),
            neighbour: if image.interpolation == Interpolation::Nearest { 0 } else { 1 },
            ..Self::zeroed()
        };
        (uniforms.voi, uniforms.flags) = VoiUniforms::new(&image.window, image.slice.padding);
        uniforms.flags |= image_flags(image);
        if let (Some(layer), Some(cells)) = (&draw.heatmap, shown.cam) {
            uniforms.flags |= HEATMAP | style_flag(layer.style);
            uniforms.cam_size = cells.map(|n| i32::try_from(n).unwrap_or(0));
            (uniforms.cam_maximum, uniforms.opacity) = (layer.maximum, layer.opacity);
        }
        uniforms
    }
}

impl VoiUniforms {
    /// With the flags that go with them.
    ///
    /// LINEAR is LINEAR_EXACT with half less for the centre and one less for the width (PS3.3 C.11.2.1.3.2), so both
    /// are 255 (2 x + w - 2 c) / (2 w).
    pub fn new(window: &Window, padding: Option<[f32; 2]>) -> (Self, u32) {
        let (center, width) = match window.function {
            VoiFunction::Linear => (window.center - 0.5, window.width - 1.0),
            VoiFunction::LinearExact | VoiFunction::Sigmoid => (window.center, window.width),
        };
        let (offset, denominator) = (width - 2.0 * center, 2.0 * width);
        let mut voi = Self {
            low: (center - width / 2.0) as f32,
            high: (center + width / 2.0) as f32,
            offset: offset as f32,
            denominator: denominator as f32,
            center: center as f32,
            width: width as f32,
            ..Self::zeroed()
        };
        [voi.padding_low, voi.padding_high] = padding.unwrap_or_default();
        let mut flags = if window.function == VoiFunction::Sigmoid { SIGMOID } else { 0 };
        // (2 * 32768 + 4e6) * 255 still fits an i32.
        if let (Some(offset), Some(denominator)) = (whole(offset), whole(denominator).filter(|d| *d > 0)) {
            (voi.whole_offset, voi.whole_denominator) = (offset, denominator);
            flags |= WHOLE;
        }
        if let Some(table) = &window.table {
            voi.table_first = table.first();
            voi.table_last = i32::try_from(table.entries().len()).unwrap_or(1) - 1;
            voi.table_white = table.maximum().into();
            flags |= TABLE;
        }
        (voi, flags)
    }
}

/// Entries of a table that stand in one row of its texture.
const TABLE_ROW: usize = 256;

/// A table as `shaders/display.wgsl` reads it: columns, rows, and the entries with zeros behind the last.
pub fn table_texels(table: &VoiTable) -> ([usize; 2], Vec<i32>) {
    let mut texels: Vec<i32> = table.entries().iter().map(|entry| i32::from(*entry)).collect();
    texels.resize(texels.len().next_multiple_of(TABLE_ROW), 0);
    ([TABLE_ROW, texels.len() / TABLE_ROW], texels)
}

fn whole(v: f64) -> Option<i32> {
    (v.fract() == 0.0 && v.abs() <= 4e6).then_some(v as i32)
}

fn image_flags(image: &ImageLayer) -> u32 {
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    flag(matches!(image.slice.pixels, SlicePixels::F32(_)), FLOAT_BITS)
        | flag(image.invert, INVERT)
        | flag(image.slice.padding.is_some(), PADDED)
        | cubic_flag(image.interpolation)
}

/// How the shaders know of a cubic.
pub(super) fn cubic_flag(interpolation: Interpolation) -> u32 {
    match interpolation {
        Interpolation::Nearest | Interpolation::Linear => 0,
        Interpolation::Cubic => CUBIC,
        Interpolation::Smooth => CUBIC | SMOOTH,
    }
}

/// What of a draw can be shown on this device: `[columns, rows]` of the slice (zero for none) and of the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    pub image: [usize; 2],
    pub cam: Option<[usize; 2]>,
}

impl Shown {
    /// Nothing of a slice or map whose sizes do not fit its values or the device's largest texture.
    pub fn of(draw: &ViewDraw, limit: u32) -> Self {
        let fits = |columns: usize, rows: usize, values: usize| {
            values > 0 && columns.checked_mul(rows) == Some(values) && super::check_slice(limit, columns, rows).is_ok()
        };
        let slice = &draw.image.slice;
        let image_fits = fits(slice.columns, slice.rows, slice.pixels.len());
        let cam_fits = |layer: &&HeatmapLayer| {
            layer.maximum > 0.0 && fits(layer.cam.columns, layer.cam.rows, layer.cam.values.len())
        };
        Self {
            image: if image_fits { [slice.columns, slice.rows] } else { [0, 0] },
            cam: draw.heatmap.as_ref().filter(cam_fits).map(|layer| [layer.cam.columns, layer.cam.rows]),
        }
    }
}

/// Everything that the tables depend on; while it stays the same, so do they.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AxesKey {
    pixel_from_screen: PixelFromScreen,
    interpolation: Interpolation,
    shown: Shown,
    /// Edges of the map in image pixels, `[x0, y0, x1, y1]`.
    region: [f64; 4],
    /// Target pixels.
    size_px: [u32; 2],
}

/// One texel of the tables: lower pixel (-1 outside), bits of the fraction, lower cell (-1 outside), bits of its fraction.
pub type AxisTexel = [i32; 4];
const OUTSIDE: AxisTexel = [-1, 0, -1, 0];

impl AxesKey {
    pub fn new(draw: &ViewDraw, shown: Shown, size_px: [u32; 2]) -> Self {
        Self {
            pixel_from_screen: draw.pixel_from_screen,
            interpolation: draw.image.interpolation,
            shown,
            region: draw.heatmap.as_ref().map_or([0.0; 4], |layer| layer.region),
            size_px,
        }
    }
    pub fn size_px(&self) -> [u32; 2] {
        self.size_px
    }
    /// The table of target columns (`axis` 0) or rows (`axis` 1), one texel per target pixel.
    pub fn table(&self, axis: usize) -> Vec<AxisTexel> {
        let m = &self.pixel_from_screen;
        let (per, at_0) = [(m.column_per_x, m.column_at_0), (m.row_per_y, m.row_at_0)][axis];
        let pixels = self.shown.image[axis];
        let cells = self.shown.cam.map(|cells| (self.region[axis], self.region[axis + 2], cells[axis]));
        (0..self.size_px[axis])
            .map(|target| {
                let at = per * (f64::from(target) + 0.5) + at_0;
                let Some((pixel, fraction)) = pixel_place(at, pixels, self.interpolation) else { return OUTSIDE };
                let (cell, cell_fraction) = cells.and_then(|c| cell_place(at, c)).unwrap_or((-1, 0.0));
                [pixel, fraction.to_bits() as i32, cell, cell_fraction.to_bits() as i32]
            })
            .collect()
    }
}

/// Lower pixel of the interpolation and the fraction towards the next, as `Slice::sample_bilinear` and the CPU
/// renderer's nearest sampling have them.
fn pixel_place(at: f64, pixels: usize, interpolation: Interpolation) -> Option<(i32, f32)> {
    let last = pixels.checked_sub(1)? as f64;
    match interpolation {
        Interpolation::Linear | Interpolation::Cubic | Interpolation::Smooth => {
            (at >= -0.5 && at < last + 0.5).then(|| {
                let inside = at.clamp(0.0, last);
                (inside.floor() as i32, (inside - inside.floor()) as f32)
            })
        }
        Interpolation::Nearest => {
            let nearest = (at + 0.5).floor();
            (nearest >= 0.0 && nearest <= last).then_some((nearest as i32, 0.0))
        }
    }
}

/// Lower cell of the map and the fraction towards the next, as `raster::map_coordinates` and `Cam::sample` have them.
fn cell_place(at: f64, (start, end, cells): (f64, f64, usize)) -> Option<(i32, f32)> {
    let share = (at + 0.5 - start) / (end - start);
    (0.0..=1.0).contains(&share).then(|| {
        let place = (share * cells as f64 - 0.5).clamp(0.0, cells.saturating_sub(1) as f64);
        (place.floor() as i32, (place - place.floor()) as f32)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::volume::Slice;

    fn draw(mapping: PixelFromScreen, interpolation: Interpolation) -> ViewDraw {
        let slice = Slice { rows: 2, columns: 3, pixels: SlicePixels::I16(vec![0; 6].into()), padding: None };
        let image = ImageLayer { slice: Arc::new(slice), window: Window::BONE, invert: false, interpolation };
        ViewDraw { pixel_from_screen: mapping, image, heatmap: None }
    }
    fn pixels(draw: &ViewDraw, axis: usize, size_px: [u32; 2]) -> Vec<i32> {
        AxesKey::new(draw, Shown::of(draw, 2048), size_px).table(axis).iter().map(|t| t[0]).collect()
    }

    #[test]
    fn one_to_one_hits_each_pixel_and_ends_with_the_picture() {
        for interpolation in Interpolation::ALL {
            let d = draw(PixelFromScreen::EXACT, interpolation);
            assert_eq!(pixels(&d, 0, [5, 5]), [0, 1, 2, -1, -1]);
            assert_eq!(pixels(&d, 1, [5, 5]), [0, 1, -1, -1, -1]);
        }
    }

    #[test]
    fn flipped_and_doubled() {
        let mapping = PixelFromScreen { column_per_x: -0.5, column_at_0: 2.5, row_per_y: 0.5, row_at_0: -0.5 };
        assert_eq!(pixels(&draw(mapping, Interpolation::Nearest), 0, [7, 4]), [2, 2, 1, 1, 0, 0, -1]);
    }

    #[test]
    fn a_mapping_that_is_not_finite_shows_nothing() {
        let mapping = PixelFromScreen { column_at_0: f64::NAN, ..PixelFromScreen::EXACT };
        assert_eq!(pixels(&draw(mapping, Interpolation::Linear), 0, [2, 2]), [-1, -1]);
    }

    #[test]
    fn a_slice_beyond_the_limit_or_of_wrong_length_shows_nothing() {
        let d = draw(PixelFromScreen::EXACT, Interpolation::Linear);
        assert_eq!(Shown::of(&d, 2).image, [0, 0]);
        let mut short = d.clone();
        short.image.slice =
            Arc::new(Slice { rows: 2, columns: 3, pixels: SlicePixels::I16(vec![0; 5].into()), padding: None });
        assert_eq!(Shown::of(&short, 2048).image, [0, 0]);
    }

    #[test]
    fn whole_windows_are_told_from_others() {
        let flags =
            |center, width, function| VoiUniforms::new(&Window { center, width, function, table: None }, None).1;
        assert_eq!(flags(500.0, 1800.0, VoiFunction::Linear), WHOLE);
        assert_eq!(flags(500.25, 1800.0, VoiFunction::Linear), 0);
        assert_eq!(flags(0.0, 1.0, VoiFunction::Linear), 0, "a step has no slope");
        assert_eq!(flags(0.0, 8e6, VoiFunction::Linear), 0, "would overflow");
        assert_eq!(flags(40.0, 400.0, VoiFunction::LinearExact), WHOLE);
    }
}
