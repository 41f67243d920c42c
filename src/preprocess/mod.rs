//! What the network sees of a slice: windows, crop, resize, and the way back. No candle.
//!
//! Two recipes decide where a slice is cut; both are versioned and stand in every model card. `paper` follows Salehinejad
//! et al., "Deep sequential learning for cervical spine fracture detection on computed tomography imaging" (ISBI 2021):
//! per slice the box of all bone by Otsu's threshold. `spine` cuts a square of constant size in millimetres around the
//! spinal canal, which it follows through the whole series. Windows, resizing and the order of channels are the same.
//!
//! Where the paper leaves something open, the choice stands beside the constant or function that makes it. Two
//! coordinate systems occur: DICOM pixels of the slice, and input pixels of the network (`side x side`); [`Crop`] leads
//! from one to the other.

mod canal;
mod components;
pub mod otsu;
mod paper;
mod resize;
mod spine;
mod track;

use std::ops::Range;

use crate::findings::PixelBox;
use crate::geometry::PixelPoint;
use crate::jobs::{Cancelled, JobCtx};
use crate::volume::{Slice, Volume};
use resize::{Padded, Resize, Span};

pub use spine::{CROP_MM, SpineTrack};

/// Edge of the paper's input in pixels.
pub const INPUT_SIZE: usize = 384;
/// The flag of a slice without bone of its own, whose box was borrowed.
pub const NO_BONE: &str = "no_bone";
/// The flag of a slice cut around the middle of the bone, because no spinal canal was found in the series.
pub const NO_CANAL: &str = "no_canal";

/// Padding and values that are no number count as this.
const AIR_HU: f32 = -1000.0;
/// Above this a pixel belongs to the body (or to what lies on the table). The lowest value that any window shows.
const BODY_HU: f32 = -400.0;
/// A slice with less body than this holds nothing but air, mm2.
const MIN_BODY_MM2: f64 = 100.0;
/// 200 HU in the 8-bit gross-bone window. With bone in the slice Otsu's threshold lies at 320 to 380 HU, without at 90
/// to 140 HU, where the box would only surround noise.
const MIN_BONE_THRESHOLD: u8 = 49;

/// How slices are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Recipe {
    /// Per slice the box of all bone, as the paper.
    #[serde(rename = "paper/1")]
    Paper,
    /// A fixed square around the spinal canal.
    #[serde(rename = "spine/1")]
    Spine,
}

impl Recipe {
    pub const ALL: [Self; 2] = [Self::Paper, Self::Spine];

    /// Name and version as stored in model cards.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper/1",
            Self::Spine => "spine/1",
        }
    }

    /// The recipe of a name with version, or of a name alone (its current version).
    pub fn parse(text: &str) -> Option<Self> {
        let without_version = |recipe: Self| recipe.name().split('/').next().unwrap_or_default();
        Self::ALL.into_iter().find(|&recipe| text == recipe.name() || text == without_version(recipe))
    }
}

/// A linear ramp from 0 at `center - width / 2` to 1 at `center + width / 2`. This is the paper's window; the viewer's
/// windows follow DICOM's formula (PS3.3 C.11.2.1.2), which differs by up to 1 HU.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    center: f32,
    width: f32,
}

impl Ramp {
    fn lower(self) -> f32 {
        self.center - self.width / 2.0
    }
    /// 0..=1.
    fn of(self, hu: f32) -> f32 {
        ((hu - self.lower()) / self.width).clamp(0.0, 1.0)
    }
    /// `floor(255 y + 1/2)` in 0..=255. With 255 multiplied in before the division, a whole HU gives the exact result:
    /// ties are representable, and everything else is far from one.
    fn of_u8(self, hu: f32) -> u8 {
        // The cast rounds towards zero and stays within 0..=255, which is floor and clamp in one.
        (255.0 * (hu - self.lower()) / self.width + 0.5) as u8
    }
}

const SOFT_TISSUE: Ramp = Ramp { center: 80.0, width: 300.0 };
const BONE: Ramp = Ramp { center: 500.0, width: 1800.0 };
const GROSS_BONE: Ramp = Ramp { center: 400.0, width: 650.0 };
/// In the order of the network's input.
const CHANNELS: [Ramp; 3] = [SOFT_TISSUE, BONE, GROSS_BONE];

/// The crop of every slice, decided once for a series because slices learn from their neighbours.
#[derive(Debug, Clone, PartialEq)]
pub struct CropPlan {
    pub recipe: Recipe,
    /// One per slice, display order; `None` for a slice that is not scored: it holds nothing but air or padding, or it
    /// lies outside the range.
    pub crops: Vec<Option<Crop>>,
    /// One per slice: it lies above or below the neck as the recipe sees it.
    pub outside_range: Vec<bool>,
    /// What the recipe `spine` found; `None` with `paper`.
    pub spine: Option<SpineTrack>,
}

/// Where one slice is cut before it is resized.
#[derive(Debug, Clone, PartialEq)]
pub struct Crop {
    /// Half-open pixel box `[column0, row0, column1, row1]` inside the picture.
    pub inside: [usize; 4],
    /// What becomes the square of the input, DICOM pixel edges; may reach outside the picture, where it is black.
    pub region: PixelBox,
    /// "no_bone" or "no_canal" when the box was borrowed.
    pub flags: Vec<&'static str>,
}

impl Crop {
    /// Pads a box symmetrically to a square; an odd pixel goes to the right or to the bottom.
    fn square_around(inside: [usize; 4], flags: Vec<&'static str>) -> Self {
        let [column0, row0, column1, row1] = inside;
        let (width, height) = (column1.saturating_sub(column0), row1.saturating_sub(row0));
        let side = width.max(height);
        let (left, top) = ((side - width) / 2, (side - height) / 2);
        let (x0, y0, side) = (column0 as f64 - left as f64, row0 as f64 - top as f64, side as f64);
        Self { inside, region: [x0, y0, x0 + side, y0 + side], flags }
    }

    /// A region of any place and size in a picture of `columns x rows`.
    fn of_region(region: PixelBox, columns: usize, rows: usize, flags: Vec<&'static str>) -> Self {
        let [x0, y0, x1, y1] = region;
        let low = |edge: f64, limit: usize| edge.floor().clamp(0.0, limit as f64) as usize;
        let high = |edge: f64, limit: usize| edge.ceil().clamp(0.0, limit as f64) as usize;
        let inside = [low(x0, columns), low(y0, rows), high(x1, columns), high(y1, rows)];
        Self { inside, region, flags }
    }

    /// The way back: a point of the network's input of `side * side` pixels (centre of its first pixel is `(0, 0)`) in
    /// DICOM pixels.
    pub fn pixel_from_input(&self, at: PixelPoint, side: usize) -> PixelPoint {
        let [x0, y0, x1, y1] = self.region;
        let place = |t: f64, low: f64, high: f64| low + (t + 0.5) * (high - low) / side as f64 - 0.5;
        PixelPoint { column: place(at.column, x0, x1), row: place(at.row, y0, y1) }
    }

    /// The way in: a point in DICOM pixels as a point of the network's input, which may lie outside `0..side`.
    pub fn input_from_pixel(&self, at: PixelPoint, side: usize) -> PixelPoint {
        let [x0, y0, x1, y1] = self.region;
        let place = |t: f64, low: f64, high: f64| (t + 0.5 - low) * side as f64 / (high - low) - 0.5;
        PixelPoint { column: place(at.column, x0, x1), row: place(at.row, y0, y1) }
    }
}

/// Finds the crop of every slice. `spacing_mm` is `[between rows, between columns]`; `position_mm` the slices'
/// positions along the stacking direction, one per slice in display order (head to feet). Runs in parallel on the
/// current rayon pool.
///
/// `paper`: a slice's own box is taken only if Otsu's threshold and the area above it speak of bone. Otherwise the box is
/// the median of the boxes within 20 mm, else of the whole series, else the outline of the body; the slice is then
/// flagged [`NO_BONE`]. A position that is missing or no number has no neighbours.
///
/// `spine`: a square of [`CROP_MM`] around the smoothed track of the spinal canal; slices more than 25 mm above the first
/// closed canal, or more than 150 mm below it, are outside the range. Without any canal the square follows the middle of
/// the bone, every slice is in range, and each is flagged [`NO_CANAL`].
pub fn plan(
    recipe: Recipe,
    volume: &Volume,
    spacing_mm: [f64; 2],
    position_mm: &[f64],
    ctx: &JobCtx,
) -> Result<CropPlan, Cancelled> {
    match recipe {
        Recipe::Paper => paper::plan(volume, spacing_mm, position_mm, ctx),
        Recipe::Spine => spine::plan(volume, spacing_mm, position_mm, ctx),
    }
}

/// The network's input for one slice: `3 * side * side` values in 0..=1, channels soft tissue, bone, gross bone,
/// windowed but not yet normalised by the model card's mean and standard deviation.
///
/// Windows come before resizing, since clipping and interpolation do not commute; what the region covers outside the
/// picture is black in every window.
pub fn network_input(slice: &Slice, crop: &Crop, side: usize) -> Vec<f32> {
    let [column0, row0, column1, row1] = crop.inside;
    let (column1, row1) = (column1.min(slice.columns), row1.min(slice.rows));
    let (columns, rows) = (column1.saturating_sub(column0), row1.saturating_sub(row0));
    let mut hu = Vec::with_capacity(columns * rows);
    for row in row0..row1 {
        // A slice of fewer pixels than it says is black where they are missing.
        hu.extend(hu_of(slice, row, column0..column1).unwrap_or_else(|| vec![AIR_HU; columns]));
    }
    let [x0, y0, x1, y1] = crop.region;
    let (x, left) = Span::of_edges(x0, x1, column0);
    let (y, top) = Span::of_edges(y0, y1, row0);
    let mut input = vec![0.0; CHANNELS.len() * side * side];
    let (mut resize, mut values) = (Resize::new(x, y, side), Vec::with_capacity(hu.len()));
    for (ramp, resized) in CHANNELS.into_iter().zip(input.chunks_exact_mut((side * side).max(1))) {
        values.clear();
        values.extend(hu.iter().map(|&hu| ramp.of(hu)));
        resize.run(Padded { values: &values, columns, rows, left, top }, resized);
        // Rounding of the weights may carry a saturated area one step above 1.
        resized.iter_mut().for_each(|value| *value = value.min(1.0));
    }
    input
}

/// Of the scored slices (display order) those that a sequence network sees that was trained on every `step_mm`: the nearest
/// to each step from the first one on. All of them where they lie no closer than that, or where positions are missing.
pub fn thinned(scored: &[usize], position_mm: &[f64], step_mm: f64) -> Vec<usize> {
    let at = |index: usize| position_mm.get(index).copied().unwrap_or(f64::NAN);
    let Some(&first) = scored.first() else { return Vec::new() };
    if step_mm.is_nan() || step_mm <= 0.0 || scored.iter().any(|&index| !at(index).is_finite()) {
        return scored.to_vec();
    }
    let mut best: std::collections::BTreeMap<i64, (f64, usize)> = std::collections::BTreeMap::new();
    for &index in scored {
        let steps = (at(index) - at(first)).abs() / step_mm;
        let cell = steps.round();
        let off = (steps - cell).abs();
        let entry = best.entry(cell as i64).or_insert((off, index));
        if off < entry.0 {
            *entry = (off, index);
        }
    }
    let mut kept: Vec<usize> = best.into_values().map(|(_, index)| index).collect();
    kept.sort_unstable();
    kept
}

/// The area of a pixel; 1 where the series does not say.
fn pixel_mm2(spacing_mm: [f64; 2]) -> f64 {
    let area = spacing_mm[0] * spacing_mm[1];
    if area.is_finite() && area > 0.0 { area } else { 1.0 }
}

/// The values of some columns of a row, padding and what is no finite number as air. `None` beyond the slice.
fn hu_of(slice: &Slice, row: usize, columns: Range<usize>) -> Option<Vec<f32>> {
    let mut values = slice.measured(row, columns)?;
    values.iter_mut().for_each(|v| *v = if v.is_nan() { AIR_HU } else { *v });
    Some(values)
}

#[cfg(test)]
mod tests;
