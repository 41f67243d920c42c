//! The paper's preprocessing (recipe `paper`, version 1): three windows, per-slice Otsu crop on the gross-bone
//! window, 5 % margin, pad to a square, resize to 384 with antialiasing. No candle.
//!
//! After Salehinejad et al., "Deep sequential learning for cervical spine fracture detection on computed tomography
//! imaging" (ISBI 2021). Where the paper leaves something open, the choice stands beside the constant or function
//! that makes it. Two coordinate systems occur: DICOM pixels of the slice, and input pixels of the network
//! (`384 x 384`); [`Crop`] leads from one to the other.

mod components;
pub mod otsu;
mod resize;

use rayon::prelude::*;

use crate::findings::PixelBox;
use crate::geometry::PixelPoint;
use crate::jobs::{Cancelled, JobCtx};
use crate::volume::{Slice, SlicePixels, Volume};
use components::{Component, components, union};
use resize::{Padded, resize};

/// Edge of the network's input in pixels.
pub const INPUT_SIZE: usize = 384;
/// Recipe name and version as stored in model cards.
pub const PAPER_RECIPE: &str = "paper/1";
/// The flag of a slice without bone of its own, whose box was borrowed.
pub const NO_BONE: &str = "no_bone";

/// Padding and values that are no number count as this.
const AIR_HU: f32 = -1000.0;
/// Above this a pixel belongs to the body (or to what lies on the table). The lowest value that any window shows.
const BODY_HU: f32 = -400.0;
/// A slice with less body than this holds nothing but air, mm2.
const MIN_BODY_MM2: f64 = 100.0;
/// Smaller parts of the foreground are noise, mm2 ...
const MIN_PART_MM2: f64 = 20.0;
/// ... or pixels.
const MIN_PART_PIXELS: usize = 10;
/// A smaller foreground is no spine, mm2.
const MIN_BONE_MM2: f64 = 100.0;
/// 200 HU in the 8-bit gross-bone window. With bone in the slice Otsu's threshold lies at 320 to 380 HU, without at 90
/// to 140 HU, where the box would only surround noise.
const MIN_BONE_THRESHOLD: u8 = 49;
/// How far a slice without bone looks for neighbours' boxes, mm.
const NEIGHBOURHOOD_MM: f64 = 20.0;
/// One twentieth of the box's width and height is added on each side: the paper's 5 %.
const MARGIN_DIVISOR: usize = 20;

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
        (255.0 * (hu - self.lower()) / self.width + 0.5).floor().clamp(0.0, 255.0) as u8
    }
}

const SOFT_TISSUE: Ramp = Ramp { center: 80.0, width: 300.0 };
const BONE: Ramp = Ramp { center: 500.0, width: 1800.0 };
const GROSS_BONE: Ramp = Ramp { center: 400.0, width: 650.0 };
/// In the order of the network's input.
const CHANNELS: [Ramp; 3] = [SOFT_TISSUE, BONE, GROSS_BONE];

/// The crop of every slice, decided once for a series because a slice without bone borrows its neighbours' box.
#[derive(Debug, Clone, PartialEq)]
pub struct CropPlan {
    /// One per slice, display order; `None` for a slice that holds nothing but air or padding.
    pub crops: Vec<Option<Crop>>,
}

/// Where one slice is cut before it is padded to a square and resized.
#[derive(Debug, Clone, PartialEq)]
pub struct Crop {
    /// Half-open pixel box `[column0, row0, column1, row1]` inside the picture.
    pub inside: [usize; 4],
    /// The padded square, DICOM pixel edges; may reach outside the picture. This is what becomes 384 x 384.
    pub region: PixelBox,
    /// "no_bone" when the box was borrowed.
    pub flags: Vec<&'static str>,
}

impl Crop {
    /// Pads a box symmetrically to a square; an odd pixel goes to the right or to the bottom.
    fn new(inside: [usize; 4], flags: Vec<&'static str>) -> Self {
        let [column0, row0, ..] = inside;
        let (left, top, side) = padding_of(inside);
        let (x0, y0, side) = (column0 as f64 - left as f64, row0 as f64 - top as f64, side as f64);
        Self { inside, region: [x0, y0, x0 + side, y0 + side], flags }
    }

    /// The way back: a point of the network's input (centre of its first pixel is `(0, 0)`) in DICOM pixels.
    pub fn pixel_from_input(&self, at: PixelPoint) -> PixelPoint {
        let [x0, y0, x1, y1] = self.region;
        let place = |t: f64, low: f64, high: f64| low + (t + 0.5) * (high - low) / INPUT_SIZE as f64 - 0.5;
        PixelPoint { column: place(at.column, x0, x1), row: place(at.row, y0, y1) }
    }

    /// The way in: a point in DICOM pixels as a point of the network's input, which may lie outside `0..384`.
    pub fn input_from_pixel(&self, at: PixelPoint) -> PixelPoint {
        let [x0, y0, x1, y1] = self.region;
        let place = |t: f64, low: f64, high: f64| (t + 0.5 - low) * INPUT_SIZE as f64 / (high - low) - 0.5;
        PixelPoint { column: place(at.column, x0, x1), row: place(at.row, y0, y1) }
    }
}

/// Black columns to the left, black rows on top, and the edge of the square, in pixels.
fn padding_of([column0, row0, column1, row1]: [usize; 4]) -> (usize, usize, usize) {
    let (width, height) = (column1.saturating_sub(column0), row1.saturating_sub(row0));
    let side = width.max(height);
    ((side - width) / 2, (side - height) / 2, side)
}

/// Finds the crop of every slice. `spacing_mm` is `[between rows, between columns]`; `position_mm` the slices'
/// positions along the stacking direction, one per slice. Runs in parallel on the current rayon pool.
///
/// A slice's own box is taken only if Otsu's threshold and the area above it speak of bone. Otherwise the box is the
/// median of the boxes within 20 mm, else of the whole series, else the outline of the body; the slice is then flagged
/// [`NO_BONE`]. A position that is missing or no number has no neighbours.
pub fn plan_crops(
    volume: &Volume,
    spacing_mm: [f64; 2],
    position_mm: &[f64],
    ctx: &JobCtx,
) -> Result<CropPlan, Cancelled> {
    let area = spacing_mm[0] * spacing_mm[1];
    let pixel_mm2 = if area.is_finite() && area > 0.0 { area } else { 1.0 };
    let found = volume
        .slices()
        .par_iter()
        .map(|slice| ctx.check().map(|()| look_at(slice, pixel_mm2)))
        .collect::<Result<Vec<Found>, Cancelled>>()?;
    let position = |index: usize| position_mm.get(index).copied().unwrap_or(f64::NAN);
    let bones: Vec<(f64, [usize; 4])> = found
        .iter()
        .enumerate()
        .filter_map(|(i, found)| if let Found::Bone(inside) = found { Some((position(i), *inside)) } else { None })
        .collect();
    let crop = |(index, found): (usize, &Found)| match *found {
        Found::Air => None,
        Found::Bone(inside) => Some(Crop::new(inside, Vec::new())),
        Found::NoBone { body } => {
            let near = bones.iter().filter(|(at, _)| (at - position(index)).abs() <= NEIGHBOURHOOD_MM);
            let inside = median_box(near.map(|(_, b)| *b)).or_else(|| median_box(bones.iter().map(|(_, b)| *b)));
            Some(Crop::new(inside.unwrap_or(body), vec![NO_BONE]))
        }
    };
    Ok(CropPlan { crops: found.iter().enumerate().map(crop).collect() })
}

/// The network's input for one slice: `3 * 384 * 384` values in 0..=1, channels soft tissue, bone, gross bone,
/// windowed but not yet normalised by the model card's mean and standard deviation. `None` where the plan has none.
///
/// Windows come before resizing, since clipping and interpolation do not commute; the padding is black in every window.
pub fn network_input(volume: &Volume, plan: &CropPlan, index: usize) -> Option<Vec<f32>> {
    let crop = plan.crops.get(index)?.as_ref()?;
    let slice = volume.slices().get(index)?;
    let [column0, row0, column1, row1] = crop.inside;
    let (left, top, side) = padding_of(crop.inside);
    let (columns, rows) = (column1.checked_sub(column0)?, row1.checked_sub(row0)?);
    let mut hu = Vec::with_capacity(columns * rows);
    for row in row0..row1 {
        hu.extend(hu_of(slice, row * slice.columns + column0, columns)?);
    }
    let mut input = Vec::with_capacity(CHANNELS.len() * INPUT_SIZE * INPUT_SIZE);
    for ramp in CHANNELS {
        let values: Vec<f32> = hu.iter().map(|&hu| ramp.of(hu)).collect();
        let resized = resize(Padded { values: &values, columns, rows, left, top, side }, INPUT_SIZE);
        // Rounding of the weights may carry a saturated area one step above 1.
        input.extend(resized.into_iter().map(|value| value.min(1.0)));
    }
    Some(input)
}

/// What one slice shows on its own.
enum Found {
    /// Nothing.
    Air,
    /// Bone, with the margin added.
    Bone([usize; 4]),
    /// Something, but no bone: the outline of the largest part of it.
    NoBone { body: [usize; 4] },
}

fn look_at(slice: &Slice, pixel_mm2: f64) -> Found {
    let (columns, rows) = (slice.columns, slice.rows);
    let Some(hu) = hu_of(slice, 0, columns * rows) else { return Found::Air };
    let bone: Vec<u8> = hu.iter().map(|&hu| GROSS_BONE.of_u8(hu)).collect();
    let threshold = otsu::threshold(&otsu::histogram(&bone));
    if let Some(threshold) = threshold.filter(|&t| t >= MIN_BONE_THRESHOLD)
        && let Some(inside) = bone_box(&bone, threshold, columns, rows, pixel_mm2)
    {
        return Found::Bone(with_margin(inside, columns, rows));
    }
    let parts = components(columns, rows, |offset| hu[offset] > BODY_HU);
    match parts.iter().max_by_key(|part| part.pixels) {
        Some(body) if area_mm2(&parts, pixel_mm2) >= MIN_BODY_MM2 => Found::NoBone { body: body.bounds },
        _ => Found::Air,
    }
}

/// The box of all foreground above the threshold that is larger than noise; `None` where that is too little for bone.
fn bone_box(bone: &[u8], threshold: u8, columns: usize, rows: usize, pixel_mm2: f64) -> Option<[usize; 4]> {
    let mut parts = components(columns, rows, |offset| bone[offset] > threshold);
    parts.retain(|part| part.pixels >= MIN_PART_PIXELS && part.pixels as f64 * pixel_mm2 >= MIN_PART_MM2);
    if area_mm2(&parts, pixel_mm2) < MIN_BONE_MM2 {
        return None;
    }
    parts.iter().map(|part| part.bounds).reduce(union)
}

fn area_mm2(parts: &[Component], pixel_mm2: f64) -> f64 {
    parts.iter().map(|part| part.pixels).sum::<usize>() as f64 * pixel_mm2
}

/// The margin is a share of the box, not of the picture; rounded outward and cut off at the picture's edge.
fn with_margin([column0, row0, column1, row1]: [usize; 4], columns: usize, rows: usize) -> [usize; 4] {
    let (x, y) = ((column1 - column0).div_ceil(MARGIN_DIVISOR), (row1 - row0).div_ceil(MARGIN_DIVISOR));
    [column0.saturating_sub(x), row0.saturating_sub(y), (column1 + x).min(columns), (row1 + y).min(rows)]
}

/// The median of each edge; between two middle values the one further out, so that half a pixel is never lost.
fn median_box(boxes: impl Iterator<Item = [usize; 4]>) -> Option<[usize; 4]> {
    let boxes: Vec<[usize; 4]> = boxes.collect();
    let (low, high) = (boxes.len().checked_sub(1)? / 2, boxes.len() / 2);
    let sorted = |edge: usize| {
        let mut values: Vec<usize> = boxes.iter().map(|b| b[edge]).collect();
        values.sort_unstable();
        (values[low], values[high])
    };
    let inner = |edge: usize| usize::midpoint(sorted(edge).0, sorted(edge).1);
    let outer = |edge: usize| (sorted(edge).0 + sorted(edge).1).div_ceil(2);
    Some([inner(0), inner(1), outer(2), outer(3)])
}

/// `count` values from a row-major offset, padding and what is no finite number as air. `None` beyond the slice.
fn hu_of(slice: &Slice, offset: usize, count: usize) -> Option<Vec<f32>> {
    let range = offset..offset.checked_add(count)?;
    let clean = |v: f32| if v.is_finite() && !slice.is_padding(v) { v } else { AIR_HU };
    Some(match &slice.pixels {
        SlicePixels::I16(values) => values.get(range)?.iter().map(|&v| clean(f32::from(v))).collect(),
        SlicePixels::F32(values) => values.get(range)?.iter().map(|&v| clean(v)).collect(),
    })
}

#[cfg(test)]
mod tests;
