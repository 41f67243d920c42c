//! Where one looks, how it looks, and the derived mapping between screen and image. Plain data and maths:
//! no egui, no wgpu. [`raster`] draws the same on the CPU and is the oracle for the shaders.

pub mod colormap;
pub mod fidelity;
pub mod planes;
pub mod raster;
pub mod surface;

use std::sync::Arc;

use crate::findings::{Cam, Findings, PixelBox};
use crate::geometry::PixelPoint;
use crate::volume::{Cubic, Sampling, Slice, Window};

/// Maps a point on the target (screen or picture, in target pixels, `(0, 0)` the top-left corner of the first
/// pixel, so its centre is `(0.5, 0.5)`) to image pixels (centre of the first pixel is `(0, 0)`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelFromScreen {
    pub column_per_x: f64,
    pub column_at_0: f64,
    pub row_per_y: f64,
    pub row_at_0: f64,
}

impl PixelFromScreen {
    /// One target pixel per image pixel, aligned at the top-left corner.
    pub const EXACT: Self = Self { column_per_x: 1.0, column_at_0: -0.5, row_per_y: 1.0, row_at_0: -0.5 };

    pub fn pixel(&self, x: f64, y: f64) -> PixelPoint {
        PixelPoint { column: self.column_per_x * x + self.column_at_0, row: self.row_per_y * y + self.row_at_0 }
    }
    pub fn screen(&self, at: PixelPoint) -> (f64, f64) {
        ((at.column - self.column_at_0) / self.column_per_x, (at.row - self.row_at_0) / self.row_per_y)
    }
    /// Every target pixel centre falls on an image pixel centre.
    pub fn is_exact(&self) -> bool {
        let whole = |v: f64| (v - v.round()).abs() < 1e-6;
        self.column_per_x == 1.0 && self.row_per_y == 1.0 && whole(self.column_at_0 + 0.5) && whole(self.row_at_0 + 0.5)
    }
}

/// Where one looks: survives scrolling, resizing and a change of display scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ViewState {
    /// 1 shows the whole slice; the fit is found anew for each rectangle.
    pub zoom: f64,
    /// Displacement of the image centre from the rectangle's centre, in fractions of the fitted image's size.
    pub pan: [f64; 2],
    pub flip_horizontal: bool,
    pub flip_vertical: bool,
}

impl Default for ViewState {
    fn default() -> Self {
        Self { zoom: 1.0, pan: [0.0, 0.0], flip_horizontal: false, flip_vertical: false }
    }
}

pub const MIN_ZOOM: f64 = 0.1;
pub const MAX_ZOOM: f64 = 60.0;

/// What the mapping needs to know of a slice: size in pixels and shape of a pixel (1 x 1 where spacing is unknown).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageShape {
    pub rows: usize,
    pub columns: usize,
    /// `[between rows, between columns]`.
    pub spacing: [f64; 2],
}

impl ViewState {
    /// The mapping for a rectangle of `width` x `height` target pixels. `None` when either has no area.
    pub fn resolve(&self, image: ImageShape, width: f64, height: f64) -> Option<ResolvedView> {
        let (extent_x, extent_y) = (image.columns as f64 * image.spacing[1], image.rows as f64 * image.spacing[0]);
        if !(width > 0.0 && height > 0.0 && extent_x > 0.0 && extent_y > 0.0) {
            return None;
        }
        let fit = (width / extent_x).min(height / extent_y);
        let screen_px_per_unit = fit * self.zoom;
        let (shown_x, shown_y) = (extent_x * screen_px_per_unit, extent_y * screen_px_per_unit);
        let left = width / 2.0 - shown_x / 2.0 + self.pan[0] * extent_x * fit;
        let top = height / 2.0 - shown_y / 2.0 + self.pan[1] * extent_y * fit;
        let axis = |start: f64, shown: f64, n: usize, flip: bool| {
            let n = n as f64;
            let per = n / shown;
            if flip { (-per, n - 0.5 + start * per) } else { (per, -0.5 - start * per) }
        };
        let (column_per_x, column_at_0) = axis(left, shown_x, image.columns, self.flip_horizontal);
        let (row_per_y, row_at_0) = axis(top, shown_y, image.rows, self.flip_vertical);
        Some(ResolvedView {
            pixel_from_screen: PixelFromScreen { column_per_x, column_at_0, row_per_y, row_at_0 },
            width,
            height,
            screen_px_per_unit,
        })
    }
    /// Zooms so that the image point under the screen point `(x, y)` stays there.
    pub fn zoom_about(&mut self, image: ImageShape, width: f64, height: f64, x: f64, y: f64, factor: f64) {
        let Some(before) = self.resolve(image, width, height) else { return };
        let at = before.pixel_from_screen.pixel(x, y);
        self.zoom = (self.zoom * factor).clamp(MIN_ZOOM, MAX_ZOOM);
        let Some(after) = self.resolve(image, width, height) else { return };
        let (x1, y1) = after.pixel_from_screen.screen(at);
        self.pan_by(image, width, height, x - x1, y - y1);
    }
    /// This view with a pixel in the middle of the rectangle, a unit of the pixel's spacing `px_per_unit` target pixels
    /// long.
    pub fn showing(self, image: ImageShape, (width, height): (f64, f64), at: PixelPoint, px_per_unit: f64) -> Self {
        let (extent_x, extent_y) = (image.columns as f64 * image.spacing[1], image.rows as f64 * image.spacing[0]);
        let fit = (width / extent_x).min(height / extent_y);
        let mut view = Self { zoom: px_per_unit / fit, pan: [0.0, 0.0], ..self };
        let Some(resolved) = view.resolve(image, width, height) else { return self };
        let (x, y) = resolved.pixel_from_screen.screen(at);
        view.pan_by(image, width, height, width / 2.0 - x, height / 2.0 - y);
        view
    }
    /// Brings a pixel to the middle of the rectangle, or the whole image where it is not larger than that.
    pub fn centre_on(&mut self, image: ImageShape, at: PixelPoint) {
        let share = |place: f64, n: usize, flip: bool| {
            let share = (place + 0.5) / n as f64;
            if flip { 1.0 - share } else { share }
        };
        let shares =
            [share(at.column, image.columns, self.flip_horizontal), share(at.row, image.rows, self.flip_vertical)];
        self.pan = shares.map(|share| {
            let pan = self.zoom * (0.5 - share);
            if self.zoom > 1.0 && pan.is_finite() { pan } else { 0.0 }
        });
    }
    /// The pixel in the middle of the rectangle, or the image's nearest to it.
    pub fn middle(&self, image: ImageShape) -> PixelPoint {
        let place = |pan: f64, n: usize, flip: bool| {
            let share = 0.5 - pan / self.zoom;
            let share = if flip { 1.0 - share } else { share };
            (share * n as f64 - 0.5).clamp(0.0, n.saturating_sub(1) as f64)
        };
        PixelPoint {
            column: place(self.pan[0], image.columns, self.flip_horizontal),
            row: place(self.pan[1], image.rows, self.flip_vertical),
        }
    }
    /// Moves the image by target pixels.
    pub fn pan_by(&mut self, image: ImageShape, width: f64, height: f64, dx: f64, dy: f64) {
        let (extent_x, extent_y) = (image.columns as f64 * image.spacing[1], image.rows as f64 * image.spacing[0]);
        let fit = (width / extent_x).min(height / extent_y);
        if fit.is_finite() && fit > 0.0 {
            self.pan[0] += dx / (extent_x * fit);
            self.pan[1] += dy / (extent_y * fit);
        }
    }
}

/// Made each frame from state, image and rectangle; never stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResolvedView {
    pub pixel_from_screen: PixelFromScreen,
    pub width: f64,
    pub height: f64,
    /// Target pixels per mm (or per image pixel where the spacing is unknown).
    pub screen_px_per_unit: f64,
}

impl ResolvedView {
    /// The same view moved so that target pixels and image pixels are one to one wherever the scale allows it;
    /// avoids a blur by a fraction of a pixel at 100 %.
    pub fn snapped(mut self) -> Self {
        let m = &mut self.pixel_from_screen;
        if (m.column_per_x.abs() - 1.0).abs() < 1e-3 && (m.row_per_y.abs() - 1.0).abs() < 1e-3 {
            m.column_per_x = m.column_per_x.signum();
            m.row_per_y = m.row_per_y.signum();
            m.column_at_0 = (m.column_at_0 + 0.5).round() - 0.5;
            m.row_at_0 = (m.row_at_0 + 0.5).round() - 0.5;
        }
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Interpolation {
    Nearest,
    #[default]
    Linear,
    /// [`Cubic::Sharp`].
    Cubic,
    /// [`Cubic::Smooth`].
    Smooth,
}

impl Interpolation {
    pub const ALL: [Self; 4] = [Self::Linear, Self::Cubic, Self::Smooth, Self::Nearest];

    /// "linear", as the settings and the status line have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nearest => "squares",
            Self::Linear => "linear",
            Self::Cubic => "cubic, sharp",
            Self::Smooth => "cubic, smooth",
        }
    }
    /// The one that follows when one key leads through all.
    pub const fn next(self) -> Self {
        match self {
            Self::Linear => Self::Cubic,
            Self::Cubic => Self::Smooth,
            Self::Smooth => Self::Nearest,
            Self::Nearest => Self::Linear,
        }
    }
    pub const fn sampling(self) -> Sampling {
        match self {
            Self::Nearest => Sampling::Nearest,
            Self::Linear => Sampling::Linear,
            Self::Cubic => Sampling::Cubic(Cubic::Sharp),
            Self::Smooth => Sampling::Cubic(Cubic::Smooth),
        }
    }
}

/// The grey picture of one view.
#[derive(Debug, Clone)]
pub struct ImageLayer {
    pub slice: Arc<Slice>,
    pub window: Window,
    /// MONOCHROME1 and the invert key, combined.
    pub invert: bool,
    pub interpolation: Interpolation,
}

/// How a heatmap is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeatmapStyle {
    /// Interpolated between the network's cells, transparency by value.
    #[default]
    Smooth,
    /// The network's own cells, as coarse as they are.
    Cells,
    /// One line where the interpolated map is half of the study's largest value.
    Outline,
}

impl HeatmapStyle {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smooth => "smooth",
            Self::Cells => "cells",
            Self::Outline => "outline",
        }
    }
    /// The style that follows when one key leads through all.
    pub const fn next(self) -> Self {
        match self {
            Self::Smooth => Self::Cells,
            Self::Cells => Self::Outline,
            Self::Outline => Self::Smooth,
        }
    }
}

/// Share of the study's largest value along which the outline runs.
pub const OUTLINE_SHARE: f32 = 0.5;

/// The heatmap over it.
#[derive(Debug, Clone)]
pub struct HeatmapLayer {
    pub cam: Arc<Cam>,
    pub region: PixelBox,
    /// Common scale: the study's largest map value, never the slice's own.
    pub maximum: f32,
    /// Opacity of a cell at the maximum, 0..=1; an outline is always drawn in full.
    pub opacity: f32,
    pub style: HeatmapStyle,
}

/// Highest opacity that still lets the bone be seen.
pub const MAX_HEATMAP_OPACITY: f32 = 0.6;
pub const DEFAULT_HEATMAP_OPACITY: f32 = 0.45;

/// The heatmap of a slice as screen and report draw it: `None` when the slice has no score or its score is below
/// the threshold (unless `everywhere`). The scale is the study's maximum.
pub fn heatmap_layer(findings: &Findings, index: usize, everywhere: bool, opacity: f32) -> Option<HeatmapLayer> {
    let state = findings.slices.get(index)?;
    let shown = everywhere || state.score()? >= findings.threshold();
    let (region, cam) = state.cam().filter(|_| shown)?;
    let (maximum, style) = (findings.cam_maximum(), HeatmapStyle::default());
    Some(HeatmapLayer { cam: cam.clone(), region: *region, maximum, opacity, style })
}

/// Everything needed to draw one view, on the GPU or on the CPU.
#[derive(Debug, Clone)]
pub struct ViewDraw {
    pub pixel_from_screen: PixelFromScreen,
    pub image: ImageLayer,
    pub heatmap: Option<HeatmapLayer>,
}

/// A round length for the scale bar: the longest of 1, 2, 5 x 10^n mm that is at most `longest_mm`.
pub fn ruler_length_mm(longest_mm: f64) -> Option<f64> {
    if !(longest_mm.is_finite() && longest_mm > 0.0) {
        return None;
    }
    let decade = 10f64.powf(longest_mm.log10().floor());
    [5.0, 2.0, 1.0].iter().map(|m| m * decade).find(|l| *l <= longest_mm * (1.0 + 1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { rows: 100, columns: 200, spacing: [1.0, 1.0] };

    #[test]
    fn fit_shows_the_whole_picture_centred() {
        let v = ViewState::default().resolve(SHAPE, 400.0, 400.0).expect("area");
        let p = v.pixel_from_screen.pixel(200.0, 200.0);
        assert!((p.column - 99.5).abs() < 1e-9 && (p.row - 49.5).abs() < 1e-9);
        let corner = v.pixel_from_screen.screen(PixelPoint { column: -0.5, row: -0.5 });
        assert!((corner.0 - 0.0).abs() < 1e-9 && (corner.1 - 100.0).abs() < 1e-9);
    }

    #[test]
    fn pixels_that_are_not_square_keep_their_shape() {
        let shape = ImageShape { rows: 64, columns: 128, spacing: [8.0, 4.0] };
        let v = ViewState::default().resolve(shape, 512.0, 512.0).expect("area");
        assert!((v.pixel_from_screen.column_per_x - 0.25).abs() < 1e-12);
        assert!((v.pixel_from_screen.row_per_y - 0.125).abs() < 1e-12);
    }

    #[test]
    fn zoom_keeps_the_point_under_the_cursor_also_when_flipped() {
        for flip in [false, true] {
            let mut s = ViewState { flip_horizontal: flip, pan: [0.1, -0.2], ..Default::default() };
            let before = s.resolve(SHAPE, 300.0, 300.0).expect("area").pixel_from_screen.pixel(70.0, 90.0);
            s.zoom_about(SHAPE, 300.0, 300.0, 70.0, 90.0, 2.5);
            let after = s.resolve(SHAPE, 300.0, 300.0).expect("area").pixel_from_screen.pixel(70.0, 90.0);
            assert!((before.column - after.column).abs() < 1e-9 && (before.row - after.row).abs() < 1e-9);
        }
    }

    #[test]
    fn a_pixel_is_brought_to_the_middle_of_a_view_that_is_zoomed() {
        for flip in [false, true] {
            let mut s = ViewState { zoom: 3.0, flip_vertical: flip, pan: [0.4, 0.4], ..Default::default() };
            s.centre_on(SHAPE, PixelPoint { column: 30.0, row: 80.0 });
            let middle = s.resolve(SHAPE, 300.0, 260.0).expect("area").pixel_from_screen.pixel(150.0, 130.0);
            assert!((middle.column - 30.0).abs() < 1e-9 && (middle.row - 80.0).abs() < 1e-9, "{middle:?}");
            s.zoom = 0.8;
            s.centre_on(SHAPE, PixelPoint { column: 30.0, row: 80.0 });
            assert_eq!(s.pan, [0.0, 0.0]);
        }
    }

    #[test]
    fn snapping_makes_one_to_one_exact() {
        let v = ViewState::default().resolve(SHAPE, 200.0, 101.0).expect("area").snapped();
        assert!(v.pixel_from_screen.is_exact(), "{v:?}");
    }

    #[test]
    fn a_place_can_be_shown_at_a_given_scale() {
        for flip_horizontal in [false, true] {
            let flipped = ViewState { flip_horizontal, ..ViewState::default() };
            let at = PixelPoint { column: 31.0, row: 17.5 };
            let v = flipped.showing(SHAPE, (300.0, 200.0), at, 2.5).resolve(SHAPE, 300.0, 200.0).expect("area");
            assert!((v.screen_px_per_unit - 2.5).abs() < 1e-9);
            let middle = v.pixel_from_screen.pixel(150.0, 100.0);
            assert!((middle.column - at.column).abs() < 1e-9 && (middle.row - at.row).abs() < 1e-9, "{middle:?}");
            assert_eq!(v.pixel_from_screen.column_per_x < 0.0, flip_horizontal);
        }
    }

    #[test]
    fn ruler_lengths_are_round() {
        assert_eq!(ruler_length_mm(73.0), Some(50.0));
        assert_eq!(ruler_length_mm(20.0), Some(20.0));
        assert_eq!(ruler_length_mm(0.7), Some(0.5));
        assert_eq!(ruler_length_mm(f64::NAN), None);
    }
}
