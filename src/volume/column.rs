//! Where the spine runs through a stack, found from bone alone: good enough to open planes at.

use super::Stack;
use crate::geometry::{PatientPoint, VoxelPoint};

/// Spongy bone of the elderly reaches this, contrast in vessels rarely stays above it, HU.
const BONE_HU: f32 = 250.0;
/// Edge of a cell of the search, mm.
const CELL_MM: f64 = 2.0;
/// Edge of the square that holds a vertebra and the way it wanders along a neck, mm.
const SQUARE_MM: f64 = 46.0;
/// So many slices are looked at, evenly spread.
const SLICES: usize = 24;
/// A place that is bone in fewer of them on average holds no spine.
const LEAST_SHARE: f64 = 0.02;

impl Stack {
    /// The middle of the bone that runs through the stack, at the middle slice: the square in which most cells are bone
    /// in most slices, which is the spine wherever axial slices show one. Jaw, skull and shoulders have more bone, but
    /// in few slices. `None` where nothing stays.
    pub fn bony_column(&self) -> Option<PatientPoint> {
        let counts = Counts::of(self)?;
        let (mut column, mut row) = counts.best_square()?;
        // From the square to the bone within it; the square follows.
        for _ in 0..4 {
            (column, row) = counts.centre_within(column, row)?;
        }
        let middle = (self.geometry.positions().len() as f64 - 1.0) / 2.0;
        let pixel = |cell: f64, step: usize| (cell + 0.5) * step as f64 - 0.5;
        Some(self.geometry.patient_from_voxel(VoxelPoint {
            column: pixel(column, counts.step[1]),
            row: pixel(row, counts.step[0]),
            slice: middle.floor(),
        }))
    }
}

/// In how many of the slices each cell is bone, squared: what stays counts more than what is large.
struct Counts {
    columns: usize,
    rows: usize,
    /// Pixels per cell, `[between rows, between columns]`.
    step: [usize; 2],
    squares: Vec<f64>,
    looked_at: usize,
}

impl Counts {
    fn of(stack: &Stack) -> Option<Self> {
        let geometry = &stack.geometry;
        let step = geometry.spacing_mm().map(|mm| (CELL_MM / mm).round().clamp(1.0, 64.0) as usize);
        let (columns, rows) = (geometry.columns() / step[1], geometry.rows() / step[0]);
        let positions = geometry.positions();
        let looked_at = positions.len().min(SLICES);
        if columns == 0 || rows == 0 || looked_at == 0 {
            return None;
        }
        let mut counts = vec![0_u32; columns * rows];
        for k in 0..looked_at {
            let position = positions.get((2 * k + 1) * positions.len() / (2 * looked_at))?;
            let slice = stack.volume.slices().get(position.index)?;
            for (i, count) in counts.iter_mut().enumerate() {
                let at = (i % columns * step[1] + step[1] / 2, i / columns * step[0] + step[0] / 2);
                let value = slice.at(at.0, at.1).filter(|v| !slice.is_padding(*v));
                *count += u32::from(value.is_some_and(|v| v >= BONE_HU));
            }
        }
        let squares = counts.into_iter().map(|n| f64::from(n) * f64::from(n)).collect();
        Some(Self { columns, rows, step, squares, looked_at })
    }

    /// Half the square in cells.
    fn half(&self) -> usize {
        (SQUARE_MM / CELL_MM / 2.0).round() as usize
    }

    /// The cell in the middle of the fullest square.
    fn best_square(&self) -> Option<(f64, f64)> {
        let sums = self.sums();
        let (wide, half) = (self.columns + 1, self.half());
        let sum = |column: usize, row: usize| {
            let (x0, y0) = (column.saturating_sub(half), row.saturating_sub(half));
            let (x1, y1) = ((column + half + 1).min(self.columns), (row + half + 1).min(self.rows));
            let at = |x: usize, y: usize| sums.get(y * wide + x).copied().unwrap_or(0.0);
            at(x1, y1) - at(x0, y1) - at(x1, y0) + at(x0, y0)
        };
        let cells = (0..self.columns * self.rows).map(|i| (i % self.columns, i / self.columns));
        let (column, row) = cells.max_by(|a, b| sum(a.0, a.1).total_cmp(&sum(b.0, b.1)))?;
        let full = (2 * half + 1).pow(2) as f64 * (self.looked_at as f64).powi(2);
        (sum(column, row) >= LEAST_SHARE * full).then_some((column as f64, row as f64))
    }

    /// Sums of everything above and to the left, one column and row larger than the cells.
    fn sums(&self) -> Vec<f64> {
        let wide = self.columns + 1;
        let mut sums = vec![0.0; wide * (self.rows + 1)];
        for row in 0..self.rows {
            let mut line = 0.0;
            for column in 0..self.columns {
                line += self.squares[row * self.columns + column];
                sums[(row + 1) * wide + column + 1] = sums[row * wide + column + 1] + line;
            }
        }
        sums
    }

    /// Centre of gravity of the square around a place, in cells.
    fn centre_within(&self, column: f64, row: f64) -> Option<(f64, f64)> {
        let half = self.half() as f64;
        let (mut x, mut y, mut weight) = (0.0, 0.0, 0.0);
        for (i, square) in self.squares.iter().enumerate() {
            let (c, r) = ((i % self.columns) as f64, (i / self.columns) as f64);
            if (c - column).abs() <= half && (r - row).abs() <= half {
                x += c * square;
                y += r * square;
                weight += square;
            }
        }
        (weight > 0.0).then(|| (x / weight, y / weight))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::geometry::{SlicePose, StackGeometry, Vec3};
    use crate::volume::{Slice, SlicePixels, Volume};

    /// 40 slices of 100 x 100 pixels of 2 mm, 3 mm apart from z 60 down; `hu` by column, row and slice.
    fn stack(hu: impl Fn(usize, usize, usize) -> i16) -> Stack {
        let slices = (0..40).map(|k| {
            let pixels = SlicePixels::I16((0..10_000).map(|i| hu(i % 100, i / 100, k)).collect());
            Arc::new(Slice { rows: 100, columns: 100, pixels, padding: None })
        });
        let volume = Arc::new(Volume::new(slices.collect()).expect("one size"));
        let pose = |k: usize| SlicePose {
            origin: PatientPoint(Vec3::new(-100.0, -100.0, 60.0 - 3.0 * k as f64)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        let poses: Vec<Option<SlicePose>> = (0..40).map(|k| Some(pose(k))).collect();
        let geometry = StackGeometry::new(&poses, Some([2.0, 2.0]), 100, 100).expect("a stack");
        Stack { volume, geometry: Arc::new(geometry) }
    }

    fn within(a: usize, centre: usize, half: usize) -> bool {
        a.abs_diff(centre) <= half
    }

    #[test]
    fn the_spine_is_found_beside_jaw_skull_and_shoulders() {
        let found = stack(|column, row, k| {
            // Vertebrae with discs between them, further back in the middle of the neck.
            let back = 60 + (20 - k.abs_diff(20)) / 4;
            let vertebra = k % 6 != 5 && within(column, 52, 7) && within(row, back, 6);
            let skull = k < 8 && (20..80).contains(&column) && (15..85).contains(&row);
            let jaw = (8..14).contains(&k) && within(row, 20, 4) && within(column, 52, 25);
            let shoulders = k > 32 && !(25..=78).contains(&column) && within(row, 60, 12);
            if vertebra || skull || jaw || shoulders { 700 } else { 40 }
        });
        let at = found.bony_column().expect("found").0;
        // Column 52 is x 4 mm; rows 60 to 65 are y 20 to 30 mm.
        assert!((at.x - 4.0).abs() < 4.0 && (15.0..35.0).contains(&at.y), "{at:?}");
    }

    #[test]
    fn without_bone_there_is_none() {
        assert_eq!(stack(|_, _, _| 40).bony_column(), None);
        assert_eq!(stack(|c, r, k| if (c, r, k) == (5, 5, 5) { 900 } else { -1000 }).bony_column(), None);
    }
}
