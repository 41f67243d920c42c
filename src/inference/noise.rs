//! Noise in the soft tissue around the spine, slice by slice: standard deviations from differences over a short way, taken
//! so that the edges of tissues do not count as noise.

use rayon::prelude::*;

use crate::preprocess::CropPlan;
use crate::study::Series;
use crate::study::quality::Line;
use crate::volume::{Slice, Volume};

/// Topic of the line.
pub const NOISE: &str = "Noise";
/// Edge of the cells in which noise is measured, mm.
const CELL_MM: f64 = 5.0;
/// Values that far apart have noise of their own with soft kernels too, mm.
const LAG_MM: f64 = 1.5;
/// The mean of a cell of soft tissue, HU.
const SOFT_HU: [f64; 2] = [-20.0, 120.0];
/// A slice with fewer such cells says nothing.
const MIN_CELLS: usize = 12;
/// Slices closer than this are not all looked at, mm.
const STEP_MM: f64 = 2.0;
/// Neighbours within this height are taken together, mm.
const HEIGHT_MM: f64 = 10.0;
/// The noise of the lower neck is strong from this on, HU, and where it is that many times the upper part's.
const STRONG_HU: f64 = 70.0;
const STRONG_TIMES: f64 = 1.6;
/// So much height of it is no single streak, mm.
const MIN_STRETCH_MM: f64 = 12.0;

/// Noise at a height.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    slice: usize,
    depth_mm: f64,
    noise_hu: f64,
}

/// What is said of the noise; `None` where too little soft tissue is seen.
pub fn judge(series: &Series, volume: &Volume, plan: &CropPlan) -> Option<Line> {
    let levels = smoothed(&levels(series, volume, plan));
    let upper_hu = upper(&levels)?;
    let Some((from, to, lower_hu)) = strong_stretch(&levels, upper_hu) else {
        let highest = levels.iter().map(|level| level.noise_hu).fold(0.0, f64::max);
        let text = format!("in soft tissue about {upper_hu:.0} HU in the upper part, at most {highest:.0} HU");
        return Some(Line::note(NOISE, text));
    };
    let place = |slice: usize| match series.slices.get(slice).and_then(|s| s.z_mm()) {
        Some(z) => format!("z {z:.1} mm (slice {})", slice + 1),
        None => format!("slice {}", slice + 1),
    };
    let text = format!(
        "from {} to {} the noise in soft tissue is {lower_hu:.0} HU, {:.1} times that of the upper part ({upper_hu:.0} HU), as it is \
         behind shoulders; fractures there are easily missed and imitated",
        place(from),
        place(to),
        lower_hu / upper_hu
    );
    Some(Line::warning(NOISE, text))
}

/// Head to feet.
fn levels(series: &Series, volume: &Volume, plan: &CropPlan) -> Vec<Level> {
    let spacing_mm = series.spacing_mm.unwrap_or([1.0, 1.0]);
    let position_mm = series.position_mm();
    let first = position_mm.iter().copied().find(|p| p.is_finite()).unwrap_or(0.0);
    let step_mm = series.slice_spacing_mm.unwrap_or(1.0);
    let depth = |slice: usize| match position_mm.get(slice).map(|p| (p - first).abs()) {
        Some(depth) if depth.is_finite() => depth,
        _ => slice as f64 * step_mm,
    };
    let every = (STEP_MM / step_mm).round().max(1.0) as usize;
    let wanted: Vec<usize> = (0..volume.slices().len()).step_by(every).collect();
    let measured = wanted.into_par_iter().filter_map(|index| {
        let region = plan.crops.get(index)?.as_ref()?.inside;
        let noise_hu = of_slice(volume.slices().get(index)?, region, spacing_mm)?;
        Some(Level { slice: index, depth_mm: depth(index), noise_hu })
    });
    measured.collect()
}

/// The median over the cells of soft tissue of a half-open pixel box.
fn of_slice(slice: &Slice, [x0, y0, x1, y1]: [usize; 4], spacing_mm: [f64; 2]) -> Option<f64> {
    let pixels = |mm: f64, each: f64| ((mm / each).round() as usize).max(1);
    let (wide, high) = (pixels(CELL_MM, spacing_mm[1]).max(3), pixels(CELL_MM, spacing_mm[0]).max(3));
    let lag = pixels(LAG_MM, spacing_mm[0]);
    let lines: Option<Vec<Vec<f32>>> = (y0..y1).map(|row| slice.measured(row, x0..x1)).collect();
    let lines = lines?;
    // The values of a row of a cell, with those a lag above and below them.
    let threes = |row: usize, left: usize| {
        let [above, here, below] = [row - lag, row, row + lag].map(|row| &lines[row - y0][left - x0..][..wide]);
        above.iter().zip(here).zip(below).map(|((above, here), below)| (above - 2.0 * here + below, *here))
    };
    let mut cells = Vec::new();
    let mut differences = Vec::with_capacity(wide * high);
    for top in (y0 + lag..(y1 + 1).saturating_sub(lag + high).max(y0 + lag)).step_by(high) {
        for left in (x0..(x1 + 1).saturating_sub(wide).max(x0)).step_by(wide) {
            // Where one of the three is missing the difference is no number.
            let inside = || (top..top + high).flat_map(|row| threes(row, left)).filter(|(d, _)| !d.is_nan());
            let (sum, count) = inside().fold((0.0, 0.0), |(sum, n), (_, here)| (sum + f64::from(here), n + 1.0));
            let soft = count * 2.0 > (wide * high) as f64 && (SOFT_HU[0]..=SOFT_HU[1]).contains(&(sum / count));
            if soft {
                differences.clear();
                differences.extend(inside().map(|(difference, _)| difference));
                cells.push(deviation(&mut differences));
            }
        }
    }
    (cells.len() >= MIN_CELLS).then(|| median(&mut cells))
}

/// Robust standard deviation of the values whose second differences these are.
fn deviation(differences: &mut [f32]) -> f64 {
    let centre = middle(differences);
    differences.iter_mut().for_each(|d| *d = (*d - centre).abs());
    // 1.4826 makes a standard deviation of the median distance; a second difference has the variance of six values.
    1.4826 * f64::from(middle(differences)) / 6_f64.sqrt()
}

fn middle(values: &mut [f32]) -> f32 {
    let half = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(half, f32::total_cmp).1 }
}

fn median(values: &mut [f64]) -> f64 {
    let half = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(half, f64::total_cmp).1 }
}

/// Each the median of its surroundings.
fn smoothed(levels: &[Level]) -> Vec<Level> {
    let near = |depth_mm: f64| levels.iter().filter(move |other| (other.depth_mm - depth_mm).abs() <= HEIGHT_MM / 2.0);
    let around = |level: &Level| {
        let mut values: Vec<f64> = near(level.depth_mm).map(|other| other.noise_hu).collect();
        Level { noise_hu: median(&mut values), ..*level }
    };
    levels.iter().map(around).collect()
}

/// Of the upper half of the height that was measured.
fn upper(levels: &[Level]) -> Option<f64> {
    let (first, last) = (levels.first()?, levels.last()?);
    let half_mm = (first.depth_mm + last.depth_mm) / 2.0;
    let mut values: Vec<f64> = levels.iter().filter(|l| l.depth_mm <= half_mm).map(|l| l.noise_hu).collect();
    (!values.is_empty()).then(|| median(&mut values)).filter(|hu| *hu > 0.0)
}

/// The longest stretch of strong noise: its first and last slice and its median.
fn strong_stretch(levels: &[Level], upper_hu: f64) -> Option<(usize, usize, f64)> {
    let limit = STRONG_HU.max(STRONG_TIMES * upper_hu);
    let stretches = levels.split(|level| level.noise_hu < limit);
    let height = |stretch: &[Level]| match (stretch.first(), stretch.last()) {
        (Some(first), Some(last)) => last.depth_mm - first.depth_mm,
        _ => 0.0,
    };
    let longest = stretches.max_by(|a, b| height(a).total_cmp(&height(b)))?;
    let (first, last) = (longest.first()?, longest.last()?);
    let mut values: Vec<f64> = longest.iter().map(|level| level.noise_hu).collect();
    (height(longest) >= MIN_STRETCH_MM).then(|| (first.slice, last.slice, median(&mut values)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::geometry::{PatientPoint, SlicePose, Vec3};
    use crate::preprocess::{Crop, Recipe};
    use crate::random::Stream;
    use crate::study::SliceInfo;
    use crate::study::describe::tests::bare;
    use crate::study::quality::Weight;
    use crate::volume::SlicePixels;

    /// Axial slices from z 100 down, square, with so many pixels each way.
    pub fn placed(slices: usize, side: usize, pixel_mm: f64, step_mm: f64) -> Series {
        let mut series = bare();
        let pose = |i: usize| SlicePose {
            origin: PatientPoint(Vec3::new(0.0, 0.0, 100.0 - step_mm * i as f64)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        let info = series.slices.remove(0);
        series.slices = (0..slices).map(|i| SliceInfo { pose: Some(pose(i)), ..info.clone() }).collect();
        (series.rows, series.columns, series.spacing_mm) = (side, side, Some([pixel_mm; 2]));
        series.slice_spacing_mm = Some(step_mm);
        series
    }

    /// A volume by slice, column and row.
    pub fn column(slices: usize, side: usize, hu: impl Fn(usize, usize, usize) -> f32) -> Volume {
        let slice = |k: usize| {
            let pixels = SlicePixels::F32((0..side * side).map(|i| hu(k, i % side, i / side)).collect());
            Arc::new(Slice { rows: side, columns: side, pixels, padding: None })
        };
        Volume::new((0..slices).map(slice).collect()).expect("one size")
    }

    /// Muscle with fat between, on a spine of bone, with noise of so many HU by slice.
    fn judged(noise_hu: impl Fn(usize) -> f64 + Sync) -> Line {
        let (slices, side, pixel_mm) = (60, 150, 0.8);
        let series = placed(slices, side, pixel_mm, 2.0);
        let volume = column(slices, side, |k, x, y| {
            let (x_mm, y_mm) = (x as f64 * pixel_mm, y as f64 * pixel_mm);
            let tissue = match (x_mm - 60.0).hypot(y_mm - 60.0) {
                r if r < 12.0 => 400.0,
                _ if (x_mm / 9.0).sin() * (y_mm / 13.0).cos() > 0.7 => -90.0,
                _ => 55.0,
            };
            let grain = Stream::named(5, "test noise", ((k * side + y) * side + x) as u64).normal();
            (tissue + noise_hu(k) * grain) as f32
        });
        let whole = [0.0, 0.0, side as f64, side as f64];
        let crop = Crop { inside: [0, 0, side, side], region: whole, flags: Vec::new() };
        let plan = CropPlan {
            recipe: Recipe::Spine,
            crops: vec![Some(crop); slices],
            outside_range: vec![false; slices],
            spine: None,
        };
        judge(&series, &volume, &plan).expect("soft tissue")
    }

    #[test]
    fn regions_smaller_than_a_cell_say_nothing() {
        for (columns, rows) in [(1, 1), (4, 200), (200, 4), (9, 9), (10, 13), (11, 17)] {
            let pixels = SlicePixels::I16(vec![40; columns * rows].into());
            let slice = Slice { rows, columns, pixels, padding: None };
            for region in [[0, 0, columns, rows], [columns / 2, rows / 2, columns, rows], [0, 0, 0, 0]] {
                assert_eq!(of_slice(&slice, region, [0.5, 0.5]), None, "{columns} x {rows}, {region:?}");
            }
            assert_eq!(of_slice(&slice, [0, 0, columns + 1, rows], [0.5, 0.5]), None);
        }
    }

    #[test]
    fn noise_behind_shoulders_is_said_with_its_place_and_amount() {
        let line = judged(|k| if k < 40 { 35.0 } else { 110.0 });
        assert_eq!(line.weight, Weight::Warning, "{}", line.text);
        let numbers: Vec<f64> =
            line.text.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|t| t.parse().ok()).collect();
        let [from_z, from_slice, _, to_slice, lower, times, upper] = numbers[..7] else { panic!("{}", line.text) };
        assert!((from_z - 20.0).abs() <= 4.0 && (from_slice - 41.0).abs() <= 2.0 && to_slice == 60.0, "{}", line.text);
        assert!(
            (lower - 110.0).abs() < 9.0 && (upper - 35.0).abs() < 4.0 && (times - 3.1).abs() < 0.4,
            "{}",
            line.text
        );
    }

    #[test]
    fn even_low_or_narrow_noise_is_no_warning() {
        let note = |line: Line| assert_eq!(line.weight, Weight::Note, "{}", line.text);
        note(judged(|_| 90.0));
        note(judged(|k| if k < 40 { 10.0 } else { 40.0 }));
        note(judged(|k| if (40..44).contains(&k) { 150.0 } else { 40.0 }));
    }
}
