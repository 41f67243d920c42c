//! Axial slices cut from a stack that has none: a volume of its own, by linear interpolation between measured voxels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{Sampling, Stack, neighbours};
use crate::geometry::{PatientPoint, SlicePose, StackGeometry, Vec3, VoxelPoint};
use crate::volume::{Slice, SlicePixels, Volume};

/// Edge of a pixel and distance of two slices, least and most, mm.
const PIXEL_MM: [f64; 2] = [0.25, 2.0];
const STEP_MM: [f64; 2] = [0.5, 2.0];
/// Columns and rows, at most: the pixels grow where the stack is larger.
const LONGEST_SIDE: f64 = 1024.0;

/// Where the axial slices lie: square pixels, rows to the left, columns to the back, head to feet.
#[derive(Debug, Clone, PartialEq)]
pub struct AxialGrid {
    pub pixel_mm: f64,
    pub step_mm: f64,
    pub columns: usize,
    pub rows: usize,
    pub slices: usize,
    /// Centre of the first pixel of the first slice.
    origin: PatientPoint,
}

impl AxialGrid {
    /// Over all of a stack, as fine as its smallest spacing.
    pub fn of(geometry: &StackGeometry) -> Self {
        let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
        let [x, y, z] = axes.map(|axis| geometry.reach_mm(axis));
        let (wide, deep, high) = (x[1] - x[0], y[1] - y[0], z[1] - z[0]);
        let finest_mm = geometry.smallest_spacing_mm();
        let pixel_mm = finest_mm.clamp(PIXEL_MM[0], PIXEL_MM[1]).max(wide.max(deep) / LONGEST_SIDE);
        let step_mm = finest_mm.clamp(STEP_MM[0], STEP_MM[1]);
        // A hair less than the whole, so that rounding makes no row that is half outside.
        let count = |mm: f64, each: f64| ((mm / each - 1e-6).ceil().max(1.0)) as usize;
        let origin = Vec3::new(x[0] + pixel_mm / 2.0, y[0] + pixel_mm / 2.0, z[1] - step_mm / 2.0);
        Self {
            pixel_mm,
            step_mm,
            columns: count(wide, pixel_mm),
            rows: count(deep, pixel_mm),
            slices: count(high, step_mm),
            origin: PatientPoint(origin),
        }
    }

    pub fn pose(&self, slice: usize) -> SlicePose {
        SlicePose {
            origin: PatientPoint(self.origin.0 - Vec3::new(0.0, 0.0, self.step_mm * slice as f64)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        }
    }

    /// Size of the voxels in memory.
    pub fn bytes(&self, whole_numbers: bool) -> u64 {
        let each = if whole_numbers { 2 } else { 4 };
        [self.columns, self.rows, self.slices].iter().fold(each, |bytes: u64, n| bytes.saturating_mul(*n as u64))
    }
}

impl Stack {
    /// The slices of a grid; `None` when `go_on`, told after each how many are done of how many, says no. Outside of the stack,
    /// and between voxels of which one is padding, they have padding, which lies below every value that was measured. Values
    /// stay whole numbers where the stack has such.
    pub fn axial(&self, grid: &AxialGrid, go_on: &(dyn Fn(usize, usize) -> bool + Sync)) -> Option<Volume> {
        let done = AtomicUsize::new(0);
        let lowest = self.volume.slices().iter().filter_map(|slice| slice.min_max()).map(|[low, _]| low);
        let outside = lowest.fold(-1024.0, f32::min).floor() - 1.0;
        let whole_numbers = self.volume.is_integer() && outside >= f32::from(i16::MIN);
        let slices: Option<Vec<Arc<Slice>>> = (0..grid.slices)
            .into_par_iter()
            .map(|index| {
                let values = self.axial_slice(grid, index, outside);
                let pixels = match whole_numbers {
                    true => SlicePixels::I16(values.into_iter().map(|v| v.round() as i16).collect()),
                    false => SlicePixels::F32(values),
                };
                let (rows, columns, padding) = (grid.rows, grid.columns, Some([outside; 2]));
                go_on(done.fetch_add(1, Ordering::Relaxed) + 1, grid.slices)
                    .then(|| Arc::new(Slice { rows, columns, pixels, padding }))
            })
            .collect();
        Volume::new(slices?).ok()
    }

    fn axial_slice(&self, grid: &AxialGrid, index: usize, outside: f32) -> Vec<f32> {
        let first = grid.pose(index).origin.0;
        let value = |i: usize| {
            let (column, row) = ((i % grid.columns) as f64, (i / grid.columns) as f64);
            let at = PatientPoint(first + Vec3::new(column * grid.pixel_mm, row * grid.pixel_mm, 0.0));
            self.sample(at, Sampling::Linear).filter(|_| !self.touches_padding(at)).unwrap_or(outside)
        };
        (0..grid.columns * grid.rows).map(value).collect()
    }

    /// One of the voxels that a value is interpolated from is padding.
    fn touches_padding(&self, at: PatientPoint) -> bool {
        if self.volume.padding().is_none() {
            return false;
        }
        let VoxelPoint { column, row, slice } = self.geometry.voxel_from_patient(at);
        let (c0, c1, fc) = neighbours(column, self.geometry.columns());
        let (r0, r1, fr) = neighbours(row, self.geometry.rows());
        let (s0, s1, fs) = neighbours(slice, self.geometry.positions().len());
        let padding = |s: usize, c: usize, r: usize| {
            let slice = self.geometry.positions().get(s).and_then(|p| self.volume.slices().get(p.index));
            slice.is_some_and(|slice| slice.at(c, r).is_some_and(|v| slice.is_padding(v)))
        };
        let near = |low: usize, high: usize, f: f64| [Some(low), (f > 0.0).then_some(high)].into_iter().flatten();
        near(s0, s1, fs).any(|s| near(r0, r1, fr).any(|r| near(c0, c1, fc).any(|c| padding(s, c, r))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HU that run straight through the patient, so that linear interpolation is exact.
    fn straight(at: Vec3) -> f64 {
        10.0 * at.x - 4.0 * at.y + 6.0 * at.z + 100.0
    }

    /// A stack of slices with these directions, `n` of them `gap_mm` apart, 24 x 20 pixels of 1 mm; a corner is padding.
    fn stack(along_row: Vec3, along_column: Vec3, n: usize, gap_mm: f64) -> Stack {
        let normal = along_row.cross(along_column);
        let pose = |k: usize| SlicePose {
            origin: PatientPoint(Vec3::new(-9.0, 5.0, 40.0) + normal * (gap_mm * k as f64)),
            along_row,
            along_column,
        };
        let slice = |k: usize| {
            let value = |i: usize| {
                let at = pose(k).origin.0 + along_row * (i % 24) as f64 + along_column * (i / 24) as f64;
                if i < 2 { -2000.0 } else { straight(at) as f32 }
            };
            let pixels = SlicePixels::F32((0..24 * 20).map(value).collect());
            Arc::new(Slice { rows: 20, columns: 24, pixels, padding: Some([-2000.0; 2]) })
        };
        let poses: Vec<Option<SlicePose>> = (0..n).map(|k| Some(pose(k))).collect();
        let geometry = StackGeometry::new(&poses, Some([1.0, 1.0]), 20, 24).expect("a stack");
        let volume = Volume::new((0..n).map(slice).collect()).expect("one size");
        Stack { volume: Arc::new(volume), geometry: Arc::new(geometry) }
    }

    #[test]
    fn values_lie_where_they_lay_and_outside_is_padding() {
        let (sin, cos) = 35_f64.to_radians().sin_cos();
        for (along_row, along_column) in [
            (Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, -1.0)),
            (Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 0.0, -1.0)),
            (Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, cos, sin)),
        ] {
            let stack = stack(along_row, along_column, 9, 2.0);
            let grid = AxialGrid::of(&stack.geometry);
            assert_eq!((grid.pixel_mm, grid.step_mm), (1.0, 1.0));
            let volume = stack.axial(&grid, &|_, _| true).expect("not stopped");
            let (mut inside, mut outside) = (0, 0);
            for (k, slice) in volume.slices().iter().enumerate() {
                for i in 0..grid.columns * grid.rows {
                    let at =
                        grid.pose(k).origin.0 + Vec3::new((i % grid.columns) as f64, (i / grid.columns) as f64, 0.0);
                    let voxel = stack.geometry.voxel_from_patient(PatientPoint(at));
                    let value = slice.pixels.get(i).expect("a pixel");
                    let beyond = voxel.slice < 0.0 || voxel.slice > 8.0 || voxel.column < 0.0 || voxel.column > 23.0;
                    if slice.is_padding(value) {
                        assert!(!stack.geometry.contains(voxel) || voxel.column < 2.0 && voxel.row < 1.0, "{voxel:?}");
                        outside += 1;
                    } else if !beyond && (0.0..=19.0).contains(&voxel.row) {
                        assert!((f64::from(value) - straight(at)).abs() < 1e-2, "{value} at {at:?}");
                        inside += 1;
                    }
                }
            }
            assert!(inside > 1500 && outside >= 9, "{inside} {outside}");
        }
    }

    #[test]
    fn whole_numbers_stay_and_padding_lies_below_them() {
        let slice =
            |hu: i16| Slice { rows: 8, columns: 8, pixels: SlicePixels::I16(vec![hu; 64].into()), padding: None };
        let volume = Volume::new(vec![Arc::new(slice(-3024)), Arc::new(slice(7))]).expect("one size");
        let poses = crate::geometry::test_poses(&[0.0, 3.0], 35.0);
        let geometry = StackGeometry::new(&poses, Some([1.0, 1.0]), 8, 8).expect("a stack");
        let stack = Stack { volume: Arc::new(volume), geometry: Arc::new(geometry) };
        let grid = AxialGrid::of(&stack.geometry);
        let volume = stack.axial(&grid, &|_, _| true).expect("not stopped");
        assert!(volume.is_integer());
        assert_eq!(volume.padding(), Some([-3025.0; 2]));
        assert_eq!(volume.bytes() as u64, grid.bytes(true));
        assert!(stack.axial(&grid, &|_, _| false).is_none());
    }

    #[test]
    fn a_large_stack_has_larger_pixels() {
        let poses = crate::geometry::test_poses(&[0.0, 0.1, 0.2], 0.0);
        let geometry = StackGeometry::new(&poses, Some([0.5, 0.5]), 4096, 100).expect("a stack");
        let grid = AxialGrid::of(&geometry);
        assert_eq!((grid.pixel_mm, grid.rows, grid.step_mm), (2.0, 1024, 0.5));
    }
}
