//! Recipe `spine`: a square of constant size around the spinal canal.

use rayon::prelude::*;

use super::canal::{self, Look};
use super::otsu::{self, Histogram};
use super::track::{self, Knot};
use super::{Crop, CropPlan, GROSS_BONE, MIN_BONE_THRESHOLD, NO_CANAL, Recipe, hu_of};
use crate::jobs::{Cancelled, JobCtx};
use crate::volume::{Slice, SlicePixels, Volume};

/// Edge of the square, mm. C1 is 71 to 78 mm wide; the tips of spinous processes lie about 50 mm behind the canal.
pub const CROP_MM: f64 = 140.0;
/// The track is averaged over this height, mm.
const SMOOTHING_MM: f64 = 15.0;
/// The range that is scored begins this far above the first closed canal and ends this far below it, mm. C1 to C7
/// measure 110 to 135 mm. A first closed canal is the ring of C1, and the tip of the dens may lie 20 mm above the place
/// where a tilted ring closes.
const ABOVE_MM: f64 = 25.0;
const BELOW_MM: f64 = 150.0;
/// A slice belongs to the track when a closed canal lies within this height: between two vertebrae none closes, mm.
const NEAR_MM: f64 = 10.0;
/// Beyond its ends the track keeps its direction for this height, mm ...
const CONTINUED_MM: f64 = 20.0;
/// ... which is measured over this height.
const DIRECTION_MM: f64 = 25.0;

/// So many neighbours are asked at once whether all are black.
const BLACK_TOGETHER: usize = 16;

/// What is known of the spinal canal.
#[derive(Debug, Clone, PartialEq)]
pub struct SpineTrack {
    /// Share of the scored range, from the first closed canal on, with a closed canal within 10 mm; 0..=1.
    pub found: f64,
    /// Per slice, display order: a closed canal of the track lies in it.
    pub closed: Vec<bool>,
    /// The first and last slice with a closed canal; `None` without any.
    pub ends: Option<[usize; 2]>,
    /// Height of the scored range below the first closed canal, mm.
    pub below_first_mm: f64,
    /// Height of the series above the first closed canal, mm.
    pub above_first_mm: f64,
    /// Per slice: the canal's middle along rows and columns from the picture's upper left corner, mm, as the squares follow
    /// it.
    pub middles_mm: Vec<[f64; 2]>,
}

/// See [`super::plan`].
pub(super) fn plan(
    volume: &Volume,
    spacing_mm: [f64; 2],
    position_mm: &[f64],
    ctx: &JobCtx,
) -> Result<CropPlan, Cancelled> {
    let usable = spacing_mm.iter().all(|mm| mm.is_finite() && *mm > 0.0);
    let spacing_mm = if usable { spacing_mm } else { [1.0, 1.0] };
    let slices = volume.slices();
    let bone_hu = bone_hu(slices, ctx)?;
    let looks = slices
        .par_iter()
        .map(|slice| ctx.check().map(|()| canal::look_at(slice, spacing_mm, bone_hu)))
        .collect::<Result<Vec<Look>, Cancelled>>()?;
    let depth_mm = depth_mm(position_mm, slices.len());
    let holes: Vec<&[canal::Hole]> = looks.iter().map(|look| look.holes.as_slice()).collect();
    let knots = track::best(&holes, &depth_mm);
    let centres = match knots.is_empty() {
        false => follow(&knots, &depth_mm),
        true => middles(&looks, &depth_mm),
    };
    let flags = if knots.is_empty() { vec![NO_CANAL] } else { Vec::new() };
    let first_mm = knots.first().map(|knot| depth_mm[knot.slice]);
    let outside_range: Vec<bool> = depth_mm
        .iter()
        .map(|depth| first_mm.is_some_and(|first| *depth < first - ABOVE_MM || *depth > first + BELOW_MM))
        .collect();
    let crops = looks
        .iter()
        .zip(&centres)
        .zip(slices)
        .zip(&outside_range)
        .map(|(((look, centre), slice), outside)| {
            let kept = look.middle_mm.is_some() && !outside;
            kept.then(|| square(*centre, spacing_mm, slice, flags.clone()))
        })
        .collect();
    let spine = SpineTrack { middles_mm: centres, ..describe(&knots, &depth_mm, &outside_range) };
    Ok(CropPlan { recipe: Recipe::Spine, crops, outside_range, spine: Some(spine) })
}

/// One threshold for the whole series, so that a slice of shoulders is judged as its neighbours.
fn bone_hu(slices: &[std::sync::Arc<Slice>], ctx: &JobCtx) -> Result<f32, Cancelled> {
    let pooled = slices.par_iter().map(|slice| ctx.check().map(|()| grey_counts(slice)));
    let pooled = pooled.try_reduce(|| [0; 256], |a, b| Ok(sum(a, b)))?;
    let threshold = otsu::threshold(&pooled).unwrap_or_default().max(MIN_BONE_THRESHOLD);
    Ok(GROSS_BONE.lower() + GROSS_BONE.width * f32::from(threshold) / 255.0)
}

fn sum(mut counts: Histogram, more: Histogram) -> Histogram {
    counts.iter_mut().zip(more).for_each(|(a, b)| *a = a.saturating_add(b));
    counts
}

/// The greys of a slice in the window of gross bone.
fn grey_counts(slice: &Slice) -> Histogram {
    let values = match &slice.pixels {
        SlicePixels::I16(values) if slice.padding.is_none_or(|[_, high]| high <= GROSS_BONE.lower()) => values,
        _ => {
            let rows = (0..slice.rows).map_while(|row| hu_of(slice, row, 0..slice.columns));
            let greys = rows.map(|hu| hu.into_iter().map(|hu| GROSS_BONE.of_u8(hu)).collect::<Vec<u8>>());
            return greys.map(|greys| otsu::histogram(&greys)).fold([0; 256], sum);
        }
    };
    // Whole numbers above the window's lower end are counted as such, those above its upper end there, and greys made of
    // the counts. All others, padding among them, are black; most stand together and need no look each.
    let (low, width) = (GROSS_BONE.lower() as i16, GROSS_BONE.width as i16);
    let mut counts = vec![[0_u32; 2]; usize::from(width.unsigned_abs()) + 1];
    let mut count = |some: &[i16]| {
        // Neighbours are often equal: counted apart they do not wait for one another. There are fewer than 2^32.
        for (turn, value) in some.iter().enumerate() {
            let above = (*value).clamp(low, low.wrapping_add(width)).wrapping_sub(low);
            let count = &mut counts[usize::from(above.unsigned_abs())][turn % 2];
            *count = count.wrapping_add(1);
        }
    };
    let (together, rest) = values.as_chunks::<BLACK_TOGETHER>();
    for some in together {
        let mut highest = i16::MIN;
        some.iter().for_each(|value| highest = highest.max(*value));
        if highest > low {
            count(some);
        }
    }
    count(rest);
    let bright: u32 = counts.iter().skip(1).flatten().sum();
    counts[0] = [u32::try_from(values.len()).unwrap_or(u32::MAX).saturating_sub(bright), 0];
    let mut greys = [0_u32; 256];
    for (above, counts) in (0_u16..).zip(counts) {
        let grey = GROSS_BONE.of_u8(GROSS_BONE.lower() + f32::from(above));
        greys[usize::from(grey)] = counts.into_iter().fold(greys[usize::from(grey)], u32::saturating_add);
    }
    greys
}

/// How far each slice lies behind the first one in reading direction, never descending. Where a position is missing, or
/// stands against the order, a slice lies one step behind the one before.
fn depth_mm(position_mm: &[f64], count: usize) -> Vec<f64> {
    let at = |i: usize| position_mm.get(i).copied().filter(|p| p.is_finite());
    let mut steps: Vec<f64> =
        (1..count).filter_map(|i| Some((at(i)? - at(i - 1)?).abs())).filter(|s| *s > 0.0).collect();
    steps.sort_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(1.0);
    let mut depth = Vec::with_capacity(count);
    for i in 0..count {
        let before = depth.last().copied();
        let step = i.checked_sub(1).and_then(|j| Some((at(i)? - at(j)?).abs())).unwrap_or(usual);
        depth.push(before.map_or(0.0, |before| before + step));
    }
    depth
}

/// The smoothed track at every slice.
fn follow(knots: &[Knot], depth_mm: &[f64]) -> Vec<[f64; 2]> {
    let points: Vec<(f64, [f64; 2])> = knots.iter().map(|knot| (depth_mm[knot.slice], knot.hole.at_mm)).collect();
    let inner: Vec<[f64; 2]> = depth_mm.iter().map(|&depth| between(&points, depth)).collect();
    smoothed(&inner, depth_mm)
}

/// Linear between two knots; beyond the ends onward in the direction of the last 25 mm, for 20 mm.
fn between(points: &[(f64, [f64; 2])], depth: f64) -> [f64; 2] {
    let after = points.partition_point(|(at, _)| *at < depth);
    match (after.checked_sub(1).and_then(|i| points.get(i)), points.get(after)) {
        (Some(&(low, a)), Some(&(high, b))) => mix(a, b, (depth - low) / (high - low)),
        (None, Some(&(end, at))) => onward(points.iter(), end, at, end - depth),
        (Some(&(end, at)), None) => onward(points.iter().rev(), end, at, depth - end),
        (None, None) => [0.0, 0.0],
    }
}

fn onward<'a>(inward: impl Iterator<Item = &'a (f64, [f64; 2])>, end: f64, at: [f64; 2], beyond_mm: f64) -> [f64; 2] {
    let Some(&(inner, inside)) = inward.take_while(|(depth, _)| (depth - end).abs() <= DIRECTION_MM).last() else {
        return at;
    };
    let height_mm = (inner - end).abs();
    // A direction over less height than the smoothing's is noise.
    if height_mm < SMOOTHING_MM { at } else { mix(at, inside, -beyond_mm.min(CONTINUED_MM) / height_mm) }
}

fn mix(a: [f64; 2], b: [f64; 2], t: f64) -> [f64; 2] {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t]
}

/// Without a canal: the middles of the bone, smoothed; a slice of air has its neighbours'.
fn middles(looks: &[Look], depth_mm: &[f64]) -> Vec<[f64; 2]> {
    let points: Vec<(f64, [f64; 2])> =
        looks.iter().zip(depth_mm).filter_map(|(look, depth)| Some((*depth, look.middle_mm?))).collect();
    let inner: Vec<[f64; 2]> = depth_mm.iter().map(|&depth| between(&points, depth)).collect();
    smoothed(&inner, depth_mm)
}

/// The mean over the window around each slice. At the ends the window narrows, so that it stays around its slice.
fn smoothed(centres: &[[f64; 2]], depth_mm: &[f64]) -> Vec<[f64; 2]> {
    let (Some(first), Some(last)) = (depth_mm.first(), depth_mm.last()) else { return Vec::new() };
    let mean = |depth: f64| {
        let half_mm = (SMOOTHING_MM / 2.0).min(depth - first).min(last - depth) + 1e-6;
        let low = depth_mm.partition_point(|d| *d < depth - half_mm);
        let high = depth_mm.partition_point(|d| *d <= depth + half_mm);
        let count = (high - low) as f64;
        let sum = centres[low..high].iter().fold([0.0, 0.0], |sum, c| [sum[0] + c[0], sum[1] + c[1]]);
        [sum[0] / count, sum[1] / count]
    };
    depth_mm.iter().map(|&depth| mean(depth)).collect()
}

fn square(centre_mm: [f64; 2], spacing_mm: [f64; 2], slice: &Slice, flags: Vec<&'static str>) -> Crop {
    let (x, y) = (centre_mm[0] / spacing_mm[1], centre_mm[1] / spacing_mm[0]);
    let (wide, high) = (CROP_MM / spacing_mm[1] / 2.0, CROP_MM / spacing_mm[0] / 2.0);
    Crop::of_region([x - wide, y - high, x + wide, y + high], slice.columns, slice.rows, flags)
}

fn describe(knots: &[Knot], depth_mm: &[f64], outside_range: &[bool]) -> SpineTrack {
    let mut closed = vec![false; depth_mm.len()];
    knots.iter().for_each(|knot| closed[knot.slice] = true);
    let ends = knots.first().zip(knots.last()).map(|(first, last)| [first.slice, last.slice]);
    let depths: Vec<f64> = knots.iter().map(|knot| depth_mm[knot.slice]).collect();
    let near = |depth: f64| depths.iter().any(|knot| (knot - depth).abs() <= NEAR_MM + 1e-6);
    let first_mm = depths.first().copied();
    let in_range: Vec<f64> = depth_mm
        .iter()
        .zip(outside_range)
        .filter(|(depth, outside)| !**outside && first_mm.is_none_or(|first| **depth >= first))
        .map(|(depth, _)| *depth)
        .collect();
    let found = in_range.iter().filter(|depth| near(**depth)).count() as f64 / in_range.len().max(1) as f64;
    let below_first_mm = first_mm.zip(in_range.last()).map_or(0.0, |(first, last)| last - first);
    SpineTrack { found, closed, ends, below_first_mm, above_first_mm: first_mm.unwrap_or(0.0), middles_mm: Vec::new() }
}

#[cfg(test)]
mod tests;
