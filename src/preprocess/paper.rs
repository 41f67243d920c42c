//! Recipe `paper`: per slice the box of all bone by Otsu's threshold, 5 % margin, padded to a square.

use rayon::prelude::*;

use super::components::{Component, components, union};
use super::{
    BODY_HU, Crop, CropPlan, GROSS_BONE, MIN_BODY_MM2, MIN_BONE_THRESHOLD, NO_BONE, Recipe, hu_of, otsu, pixel_mm2,
};
use crate::jobs::{Cancelled, JobCtx};
use crate::volume::{Slice, Volume};

/// Smaller parts of the foreground are noise, mm2 ...
const MIN_PART_MM2: f64 = 20.0;
/// ... or pixels.
const MIN_PART_PIXELS: usize = 10;
/// A smaller foreground is no spine, mm2.
const MIN_BONE_MM2: f64 = 100.0;
/// How far a slice without bone looks for neighbours' boxes, mm.
const NEIGHBOURHOOD_MM: f64 = 20.0;
/// One twentieth of the box's width and height is added on each side: the paper's 5 %.
const MARGIN_DIVISOR: usize = 20;

/// See [`super::plan`].
pub(super) fn plan(
    volume: &Volume,
    spacing_mm: [f64; 2],
    position_mm: &[f64],
    ctx: &JobCtx,
) -> Result<CropPlan, Cancelled> {
    let pixel_mm2 = pixel_mm2(spacing_mm);
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
        Found::Bone(inside) => Some(Crop::square_around(inside, Vec::new())),
        Found::NoBone { body } => {
            let near = bones.iter().filter(|(at, _)| (at - position(index)).abs() <= NEIGHBOURHOOD_MM);
            let inside = median_box(near.map(|(_, b)| *b)).or_else(|| median_box(bones.iter().map(|(_, b)| *b)));
            Some(Crop::square_around(inside.unwrap_or(body), vec![NO_BONE]))
        }
    };
    let crops: Vec<Option<Crop>> = found.iter().enumerate().map(crop).collect();
    Ok(CropPlan { recipe: Recipe::Paper, outside_range: vec![false; crops.len()], crops, spine: None })
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
    let lines: Option<Vec<Vec<f32>>> = (0..rows).map(|row| hu_of(slice, row, 0..columns)).collect();
    let Some(hu) = lines.map(|lines| lines.concat()) else { return Found::Air };
    let bone: Vec<u8> = hu.iter().map(|&hu| GROSS_BONE.of_u8(hu)).collect();
    let threshold = otsu::threshold(&otsu::histogram(&bone));
    if let Some(threshold) = threshold.filter(|&t| t >= MIN_BONE_THRESHOLD)
        && let Some(inside) = bone_box(&bone, threshold, columns, pixel_mm2)
    {
        return Found::Bone(with_margin(inside, columns, rows));
    }
    let parts = components(columns, &hu.iter().map(|&hu| u8::from(hu > BODY_HU)).collect::<Vec<u8>>());
    match parts.iter().max_by_key(|part| part.pixels) {
        Some(body) if area_mm2(&parts, pixel_mm2) >= MIN_BODY_MM2 => Found::NoBone { body: body.bounds },
        _ => Found::Air,
    }
}

/// The box of all foreground above the threshold that is larger than noise; `None` where that is too little for bone.
fn bone_box(bone: &[u8], threshold: u8, columns: usize, pixel_mm2: f64) -> Option<[usize; 4]> {
    let mut parts = components(columns, &bone.iter().map(|&grey| u8::from(grey > threshold)).collect::<Vec<u8>>());
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
