//! Metal in a series: where it lies, and whether that is at the spine, where it speaks of an operation.

use rayon::prelude::*;

use crate::preprocess::{CropPlan, SpineTrack};
use crate::study::Series;
use crate::study::quality::Line;
use crate::volume::{Slice, Volume};

/// Topic of the line.
pub const METAL: &str = "Metal";
/// No tissue is as dense.
const METAL_HU: f32 = 3000.0;
/// Fewer pixels in the whole series are no metal.
const MIN_PIXELS: usize = 40;
/// From the middle of the canal, mm: bodies and their plates, pedicles and laminae lie within. Teeth do not.
const NEAR_MM: f64 = 25.0;
/// A slice with less of it near the canal does not count, mm2 ...
const MIN_AREA_MM2: f64 = 4.0;
/// ... and over less height it is no plate, screw or cage, mm.
const MIN_HEIGHT_MM: f64 = 5.0;

/// The metal of a slice, in pixels.
#[derive(Debug, Clone, Copy, Default)]
struct Metal {
    all: usize,
    near: usize,
}

/// `highest` is as [`super::gates::highest`] says.
pub fn judge(series: &Series, volume: &Volume, highest: &[Option<f32>], plan: &CropPlan) -> Option<Line> {
    let spacing_mm = series.spacing_mm.unwrap_or([1.0, 1.0]);
    let track = plan.spine.as_ref().filter(|track| track.ends.is_some());
    let found: Vec<Metal> = volume
        .slices()
        .par_iter()
        .zip(highest)
        .enumerate()
        .map(|(index, (slice, highest))| match highest {
            Some(highest) if *highest >= METAL_HU => {
                of_slice(slice, track.and_then(|track| middle(track, index)), spacing_mm)
            }
            _ => Metal::default(),
        })
        .collect();
    if found.iter().map(|metal| metal.all).sum::<usize>() < MIN_PIXELS {
        return None;
    }
    let streaks = "its streaks can hide or imitate fractures";
    let area_mm2 = |pixels: usize| pixels as f64 * spacing_mm[0] * spacing_mm[1];
    let at_spine = longest(series, |index| found.get(index).is_some_and(|m| area_mm2(m.near) >= MIN_AREA_MM2));
    if let Some((first, last)) = at_spine.filter(|(first, last)| height_mm(series, *first, *last) >= MIN_HEIGHT_MM) {
        let text = format!(
            "metal within {NEAR_MM:.0} mm of the spinal canal over {}: possibly an operated neck (fusion), whose changes a \
             network may take for fractures; {streaks}",
            range(series, first, last)
        );
        return Some(Line::warning(METAL, text));
    }
    let slices: Vec<usize> = (0..found.len()).filter(|index| found.get(*index).is_some_and(|m| m.all > 0)).collect();
    let (first, last) = (*slices.first()?, *slices.last()?);
    let beside = match (track, found.iter().any(|metal| metal.near > 0)) {
        (None, _) => "; where the spine lies is not known to this recipe",
        (Some(_), true) => "; little of it is near the spinal canal",
        (Some(_), false) => ", none of it near the spinal canal",
    };
    let n = slices.len();
    let count = if n == 1 { "1 slice".to_owned() } else { format!("{n} slices") };
    let text = format!("metal lies in {count}, {}{beside}; {streaks}", range(series, first, last));
    Some(Line::warning(METAL, text))
}

/// The middle of the canal where one is known: from the first closed ring to the end of the range.
fn middle(track: &SpineTrack, index: usize) -> Option<[f64; 2]> {
    let [first, last] = track.ends?;
    (first..=last).contains(&index).then(|| track.middles_mm.get(index).copied()).flatten()
}

fn of_slice(slice: &Slice, middle_mm: Option<[f64; 2]>, [row_mm, column_mm]: [f64; 2]) -> Metal {
    let mut metal = Metal::default();
    for offset in 0..slice.pixels.len() {
        let dense = slice.pixels.get(offset).is_some_and(|v| v >= METAL_HU && !slice.is_padding(v));
        if !dense {
            continue;
        }
        metal.all += 1;
        let columns = slice.columns.max(1);
        let [x, y] = [(offset % columns) as f64 + 0.5, (offset / columns) as f64 + 0.5];
        let near = middle_mm.is_some_and(|[cx, cy]| (x * column_mm - cx).hypot(y * row_mm - cy) <= NEAR_MM);
        metal.near += usize::from(near);
    }
    metal
}

/// The longest run of slices that hold it, first and last.
fn longest(series: &Series, holds: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for index in (0..series.slices.len()).filter(|index| holds(*index)) {
        match runs.last_mut() {
            // A slice between two of them may be without: screws lie apart.
            Some((_, last)) if index - *last <= 2 => *last = index,
            _ => runs.push((index, index)),
        }
    }
    runs.into_iter().max_by(|a, b| height_mm(series, a.0, a.1).total_cmp(&height_mm(series, b.0, b.1)))
}

/// Of some slices, their own height with them.
fn height_mm(series: &Series, first: usize, last: usize) -> f64 {
    (last - first + 1) as f64 * series.slice_spacing_mm.unwrap_or(1.0)
}

/// "z 12.0 to -3.5 mm (slices 12 to 20)".
fn range(series: &Series, first: usize, last: usize) -> String {
    let z = |index: usize| series.slices.get(index).and_then(|s| s.z_mm());
    let slices = match first == last {
        true => format!("slice {}", first + 1),
        false => format!("slices {} to {}", first + 1, last + 1),
    };
    match (z(first), z(last)) {
        (Some(a), Some(b)) if first != last => format!("z {a:.1} to {b:.1} mm ({slices})"),
        (Some(a), _) => format!("z {a:.1} mm ({slices})"),
        _ => slices,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inference::noise::tests::{column, placed};
    use crate::preprocess::Recipe;
    use crate::study::quality::Weight;

    /// Thirty slices of 80 x 80 mm every 2 mm with the canal in the middle; metal where `dense` says, by mm beside and
    /// before the canal and slice.
    fn judged(with_track: bool, dense: impl Fn(f64, f64, usize) -> bool) -> Option<Line> {
        let series = placed(30, 80, 1.0, 2.0);
        let volume = column(30, 80, |slice, x, y| {
            let (x, y) = (x as f64 + 0.5 - 40.0, y as f64 + 0.5 - 40.0);
            if dense(x, -y, slice) { 3071.0 } else { 50.0 }
        });
        let track = SpineTrack {
            found: 1.0,
            closed: vec![true; 30],
            ends: Some([4, 27]),
            below_first_mm: 50.0,
            above_first_mm: 8.0,
            middles_mm: vec![[40.0, 40.0]; 30],
        };
        let plan = CropPlan {
            recipe: Recipe::Spine,
            crops: vec![None; 30],
            outside_range: vec![false; 30],
            spine: with_track.then_some(track),
        };
        judge(&series, &volume, &crate::inference::gates::highest(&volume), &plan)
    }

    #[test]
    fn a_plate_at_the_spine_speaks_of_an_operation_and_a_filling_does_not() {
        assert_eq!(judged(true, |_, _, _| false), None);
        // A plate 4 mm thick before the bodies, 18 mm before the canal.
        let plate = |x: f64, before: f64, slice: usize| {
            x.abs() < 6.0 && (16.0..20.0).contains(&before) && (10..=19).contains(&slice)
        };
        let line = judged(true, plate).expect("metal");
        assert_eq!(line.weight, Weight::Warning);
        for part in
            ["within 25 mm of the spinal canal", "z 80.0 to 62.0 mm (slices 11 to 20)", "possibly an operated neck"]
        {
            assert!(line.text.contains(part), "{part} in {}", line.text);
        }
        // Fillings: further before the canal, over as much height.
        let filling = |x: f64, before: f64, slice: usize| x.abs() < 6.0 && before > 34.0 && (10..=19).contains(&slice);
        let line = judged(true, filling).expect("metal");
        assert!(line.text.starts_with("metal lies in 10 slices, z 80.0 to 62.0 mm"), "{}", line.text);
        assert!(
            line.text.contains("none of it near the spinal canal") && !line.text.contains("operated"),
            "{}",
            line.text
        );
        // A clip over 2 slices is no plate; above the first ring of the canal nothing is called its neighbour.
        let clip =
            |x: f64, before: f64, slice: usize| x.abs() < 6.0 && before.abs() < 6.0 && (10..=11).contains(&slice);
        assert!(judged(true, clip).is_some_and(|line| line.text.contains("little of it is near")));
        let skull = |x: f64, before: f64, slice: usize| x.abs() < 6.0 && before.abs() < 6.0 && slice < 4;
        assert!(judged(true, skull).is_some_and(|line| line.text.contains("none of it near")));
        assert!(judged(false, plate).is_some_and(|line| line.text.contains("not known to this recipe")));
    }

    #[test]
    fn a_few_dense_pixels_are_no_metal() {
        let speck =
            |x: f64, before: f64, slice: usize| x.abs() < 1.0 && before.abs() < 1.0 && (10..=18).contains(&slice);
        assert_eq!(judged(true, speck), None, "36 pixels");
        let volume = Arc::new(column(1, 4, |_, _, _| 3071.0));
        assert_eq!(of_slice(&volume.slices()[0], Some([2.0, 2.0]), [1.0, 1.0]).near, 16);
    }
}
