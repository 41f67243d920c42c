//! Values of a volume that need no network. What they tell of the label, a network may have learned without seeing a fracture.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::study::LoadedSeries;
use crate::volume::Slice;

/// Bone begins here, HU.
const BONE_HU: f32 = 200.0;
/// Above this it is enamel or metal.
const DENSE_HU: f32 = 2000.0;
/// On both sides of a ridge there is bone of at least this, HU.
const WALL_HU: f32 = 300.0;
/// Half the width of a ridge, mm: what is looked at on both sides.
const REACH_MM: f64 = 1.6;
/// A ridge is darker than both sides by at least this, HU.
const DEPTH_HU: f32 = 150.0;
/// The value of a case is the mean of this many slices with the largest ridges.
const TOP: usize = 3;

/// "mean-bone-hu" and "dark-ridge" of a series in HU; one that has no bone lacks them.
pub fn of_volume(loaded: &LoadedSeries) -> BTreeMap<String, f64> {
    let spacing_mm = loaded.series.spacing_mm.unwrap_or([1.0, 1.0]);
    let slices = loaded.volume.slices();
    let found: Vec<(f64, usize, f64)> = slices
        .par_iter()
        .map(|slice| {
            let (sum, count) = bone(slice);
            (sum, count, largest_ridge(slice, spacing_mm))
        })
        .collect();
    let (sum, count) = found.iter().fold((0.0, 0), |(sum, count), slice| (sum + slice.0, count + slice.1));
    let mut ridges: Vec<f64> = found.iter().map(|slice| slice.2).collect();
    ridges.sort_by(|a, b| b.total_cmp(a));
    ridges.truncate(TOP);
    let mut values = BTreeMap::new();
    if count > 0 {
        values.insert("mean-bone-hu".to_owned(), sum / count as f64);
        values.insert("dark-ridge".to_owned(), ridges.iter().sum::<f64>() / ridges.len().max(1) as f64);
    }
    values
}

/// Sum and number of the bone pixels.
fn bone(slice: &Slice) -> (f64, usize) {
    let values = (0..slice.pixels.len()).filter_map(|offset| slice.pixels.get(offset));
    let inside = values.filter(|value| (BONE_HU..DENSE_HU).contains(value) && !slice.is_padding(*value));
    inside.fold((0.0, 0), |(sum, count), value| (sum + f64::from(value), count + 1))
}

/// Size of the largest connected dark ridge between bone, HU times mm2: how much darker it is than its walls, summed.
fn largest_ridge(slice: &Slice, spacing_mm: [f64; 2]) -> f64 {
    let (rows, columns) = (slice.rows, slice.columns);
    let depth = depths(slice, spacing_mm);
    let mut seen = vec![false; depth.len()];
    let mut largest = 0.0f64;
    let mut waiting = Vec::new();
    for start in 0..depth.len() {
        if depth[start] <= 0.0 || seen[start] {
            continue;
        }
        let mut sum = 0.0;
        seen[start] = true;
        waiting.push(start);
        while let Some(at) = waiting.pop() {
            sum += f64::from(depth[at]);
            let (row, column) = (at / columns, at % columns);
            for r in row.saturating_sub(1)..=(row + 1).min(rows - 1) {
                for c in column.saturating_sub(1)..=(column + 1).min(columns - 1) {
                    let next = r * columns + c;
                    if depth[next] > 0.0 && !seen[next] {
                        seen[next] = true;
                        waiting.push(next);
                    }
                }
            }
        }
        largest = largest.max(sum * spacing_mm[0] * spacing_mm[1]);
    }
    largest
}

/// For each pixel how much darker it is than the bone on both sides, in the direction where that is most; 0 off any ridge.
fn depths(slice: &Slice, spacing_mm: [f64; 2]) -> Vec<f32> {
    let (rows, columns) = (slice.rows, slice.columns);
    let mut depth = vec![0.0f32; rows * columns];
    let steps = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, -1.0]].map(|[down, right]: [f64; 2]| {
        let length = down.hypot(right);
        let pixels = |part: f64, spacing: f64| (part / length * REACH_MM / spacing.max(0.05)).round() as isize;
        [pixels(down, spacing_mm[0]), pixels(right, spacing_mm[1])]
    });
    for row in 0..rows {
        for column in 0..columns {
            let Some(here) = slice.pixels.get(row * columns + column).filter(|&v| v > -200.0 && v < DENSE_HU) else {
                continue;
            };
            let beside = |[down, right]: [isize; 2]| {
                let (r, c) = (row.checked_add_signed(down)?, column.checked_add_signed(right)?);
                slice.at(c, r).filter(|&value| value >= WALL_HU)
            };
            for step in steps {
                if let Some(a) = beside(step)
                    && let Some(b) = beside(step.map(|part| -part))
                {
                    let darker = a.min(b).min(DENSE_HU) - here;
                    if darker >= DEPTH_HU {
                        depth[row * columns + column] = depth[row * columns + column].max(darker);
                    }
                }
            }
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::SlicePixels;

    /// A block of bone 20 mm wide at 0.5 mm, cut by a dark line of that many pixels, `dark` HU.
    fn block(width: usize, dark: i16) -> Slice {
        let side = 60;
        let value = |at: usize| {
            let (row, column) = (at / side, at % side);
            let inside = (10..50).contains(&row) && (10..50).contains(&column);
            let line = (30..30 + width).contains(&column) && (15..45).contains(&row);
            match (inside, line) {
                (true, true) => dark,
                (true, false) => 600,
                _ => 40,
            }
        };
        let pixels = SlicePixels::I16((0..side * side).map(value).collect());
        Slice { rows: side, columns: side, pixels, padding: None }
    }

    #[test]
    fn a_line_in_bone_is_a_ridge_and_whole_bone_has_none() {
        let spacing = [0.5, 0.5];
        assert_eq!(largest_ridge(&block(0, 0), spacing), 0.0);
        // 30 pixels of 0.25 mm2, 500 HU darker.
        let thin = largest_ridge(&block(1, 100), spacing);
        assert!((thin - 30.0 * 500.0 * 0.25).abs() < 0.1 * thin, "{thin}");
        assert!(largest_ridge(&block(2, 100), spacing) > 1.8 * thin);
        assert!(largest_ridge(&block(1, 400), spacing) < 0.5 * thin);
        assert_eq!(largest_ridge(&block(1, 500), spacing), 0.0, "too faint");
    }

    #[test]
    fn bone_is_averaged_without_enamel_and_soft_tissue() {
        let (sum, count) = bone(&block(1, 100));
        assert_eq!((sum, count), (600.0 * (1600.0 - 30.0), 1570));
    }
}
