//! A coarser copy of a volume for looking at its bone from any side: cubes along the axes of the body, whatever the tilt,
//! the gaps and the number of the slices. For orientation; nothing is measured in it.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Sampling, Stack, Volume};
use crate::geometry::{PatientPoint, Plane, Vec3};

/// Voxels of a solid, at most; a byte each.
const MOST_VOXELS: f64 = 20e6;
/// Voxels along one edge, at most: every graphics device has room for so many.
const LONGEST_SIDE: f64 = 1000.0;
/// HU per level of a voxel, and the HU of level 0.
const HU_PER_LEVEL: f32 = 8.0;
const LOWEST_HU: f32 = -104.0;
/// Voxels along the edge of a block.
pub const BLOCK: usize = 8;
/// The solid holds everything that is denser than this, HU, with a margin.
const BONE_HU: f32 = 130.0;
const MARGIN_MM: f64 = 6.0;

/// The copy; see the module's own words.
#[derive(Debug)]
pub struct Solid {
    /// Voxels to the left, to the back, to the head.
    pub size: [usize; 3],
    pub spacing_mm: f64,
    /// The centre of the first voxel.
    pub origin: PatientPoint,
    /// Levels, the first coordinate running fastest; see [`Solid::level`].
    pub values: Vec<u8>,
    pub blocks_size: [usize; 3],
    /// The largest level within each block of [`BLOCK`] voxels each way, and within the voxels that it borders on.
    pub blocks: Vec<u8>,
}

impl Solid {
    /// The level of a value in HU, as voxels hold it rounded.
    pub fn level(hu: f32) -> f32 {
        (hu - LOWEST_HU) / HU_PER_LEVEL
    }

    /// `None` where there is no bone, or when `go_on` says no.
    pub fn of(stack: &Stack, go_on: &(dyn Fn() -> bool + Sync)) -> Option<Self> {
        let [low, high] = bony_box(stack, go_on)?;
        let extent = high - low;
        let finest_mm = stack.geometry.smallest_spacing_mm();
        let longest_mm = extent.x.max(extent.y).max(extent.z);
        let fitting_mm = (extent.x * extent.y * extent.z / MOST_VOXELS).cbrt();
        let spacing_mm = finest_mm.max(fitting_mm).max(longest_mm / LONGEST_SIDE);
        let size = [extent.x, extent.y, extent.z].map(|mm| ((mm / spacing_mm).ceil() as usize).max(2));
        let reduced = reduced(stack, spacing_mm, go_on)?;
        let stack = reduced.as_ref().unwrap_or(stack);
        let origin = PatientPoint(low + Vec3::new(0.5, 0.5, 0.5) * spacing_mm);
        let values = sampled(stack, origin, spacing_mm, size, go_on)?;
        Some(Self::new(size, spacing_mm, origin, values))
    }

    /// From its voxels.
    fn new(size: [usize; 3], spacing_mm: f64, origin: PatientPoint, values: Vec<u8>) -> Self {
        let blocks_size = size.map(|n| n.div_ceil(BLOCK));
        let mut blocks = vec![0; blocks_size.iter().product()];
        let layer = blocks_size[0] * blocks_size[1];
        blocks.par_chunks_mut(layer.max(1)).enumerate().for_each(|(bz, layer)| {
            for (i, block) in layer.iter_mut().enumerate() {
                let at = [i % blocks_size[0], i / blocks_size[0], bz];
                *block = largest(&values, size, at);
            }
        });
        Self { size, spacing_mm, origin, values, blocks_size, blocks }
    }

    /// Edges of the voxels on both ends.
    pub fn bounds(&self) -> [PatientPoint; 2] {
        let half = Vec3::new(0.5, 0.5, 0.5) * self.spacing_mm;
        let [x, y, z] = self.size.map(|n| n as f64 * self.spacing_mm);
        let low = self.origin.0 - half;
        [PatientPoint(low), PatientPoint(low + Vec3::new(x, y, z))]
    }
    pub fn centre(&self) -> PatientPoint {
        let [low, high] = self.bounds();
        PatientPoint((low.0 + high.0) * 0.5)
    }
    /// A point in voxels, 0 at the centre of the first.
    pub fn voxel(&self, at: PatientPoint) -> [f64; 3] {
        let d = (at.0 - self.origin.0) * (1.0 / self.spacing_mm);
        [d.x, d.y, d.z]
    }
    pub fn patient(&self, [x, y, z]: [f64; 3]) -> PatientPoint {
        PatientPoint(self.origin.0 + Vec3::new(x, y, z) * self.spacing_mm)
    }
    /// The level at a place in voxels, linear between them, edges repeated.
    pub fn sample(&self, at: [f32; 3]) -> f32 {
        let [x, y, z] = [0, 1, 2].map(|i| {
            let last = self.size[i] - 1;
            let inside = at[i].clamp(0.0, last as f32);
            let low = inside.floor();
            (low as usize, (low as usize + 1).min(last), inside - low)
        });
        let value = |x: usize, y: usize, z: usize| {
            f32::from(self.values.get((z * self.size[1] + y) * self.size[0] + x).copied().unwrap_or(0))
        };
        let mix = |a: f32, b: f32, f: f32| a + (b - a) * f;
        let line = |y: usize, z: usize| mix(value(x.0, y, z), value(x.1, y, z), x.2);
        let plane = |z: usize| mix(line(y.0, z), line(y.1, z), y.2);
        mix(plane(z.0), plane(z.1), z.2)
    }
    /// The largest level in the block that holds a place.
    pub fn block(&self, at: [usize; 3]) -> u8 {
        let [x, y, z] = [0, 1, 2].map(|i| at[i].min(self.blocks_size[i] - 1));
        self.blocks.get((z * self.blocks_size[1] + y) * self.blocks_size[0] + x).copied().unwrap_or(0)
    }
}

/// The largest voxel that any place within a block is interpolated from.
fn largest(values: &[u8], size: [usize; 3], block: [usize; 3]) -> u8 {
    let [x, y, z] = [0, 1, 2].map(|i| block[i] * BLOCK..(block[i] * BLOCK + BLOCK + 1).min(size[i]));
    let line = |y: usize, z: usize| {
        let start = (z * size[1] + y) * size[0];
        values.get(start + x.start..start + x.end).and_then(|line| line.iter().max()).copied().unwrap_or(0)
    };
    z.flat_map(|z| y.clone().map(move |y| (y, z))).map(|(y, z)| line(y, z)).max().unwrap_or(0)
}

/// The volume with so many pixels of each slice averaged into one as fit into a voxel; `Some(None)` where none do.
fn reduced(stack: &Stack, spacing_mm: f64, go_on: &(dyn Fn() -> bool + Sync)) -> Option<Option<Stack>> {
    let [between_rows_mm, between_columns_mm] = stack.geometry.spacing_mm();
    let factor = (spacing_mm / between_rows_mm.max(between_columns_mm) + 0.25).floor() as usize;
    if factor < 2 {
        return Some(None);
    }
    let slices: Option<Vec<_>> =
        stack.volume.slices().par_iter().map(|slice| go_on().then(|| Arc::new(slice.reduced(factor)))).collect();
    let volume = Arc::new(Volume::new(slices?).ok()?);
    Some(Some(Stack { volume, geometry: Arc::new(stack.geometry.reduced(factor)) }))
}

/// Where there is bone: the box around all that is dense, mm. Blocks of pixels are looked at, so that noise does not count.
fn bony_box(stack: &Stack, go_on: &(dyn Fn() -> bool + Sync)) -> Option<[Vec3; 2]> {
    /// Pixels along the edge of such a block, and the distance of the slices that are looked at, mm.
    const PIXELS: usize = 8;
    const APART_MM: f64 = 2.0;
    let every = (APART_MM / stack.geometry.median_gap_mm()).floor().max(1.0) as usize;
    let geometry = stack.geometry.reduced(PIXELS);
    let looked_at: Vec<usize> = (0..geometry.positions().len()).step_by(every).collect();
    let empty = [[f64::INFINITY; 3], [f64::NEG_INFINITY; 3]];
    let join = |a: [[f64; 3]; 2], b: [[f64; 3]; 2]| {
        [std::array::from_fn(|i| a[0][i].min(b[0][i])), std::array::from_fn(|i| a[1][i].max(b[1][i]))]
    };
    let of_slice = |&k: &usize| {
        let position = geometry.positions().get(k).filter(|_| go_on())?;
        let means = stack.volume.slices().get(position.index)?.reduced(PIXELS);
        let mut found = empty;
        for i in 0..means.pixels.len() {
            let (column, row) = (i % means.columns, i / means.columns);
            let dense = means.at(column, row).is_some_and(|v| v >= BONE_HU && !means.is_padding(v));
            if dense {
                let voxel = crate::geometry::VoxelPoint { column: column as f64, row: row as f64, slice: k as f64 };
                let p = geometry.patient_from_voxel(voxel).0;
                found = join(found, [[p.x, p.y, p.z]; 2]);
            }
        }
        Some(found)
    };
    let boxes: Option<Vec<_>> = looked_at.par_iter().map(of_slice).collect();
    let [low, high] = boxes?.into_iter().fold(empty, join);
    let axes = [Plane::Sagittal, Plane::Coronal, Plane::Axial];
    let reach = axes.map(|plane| stack.geometry.reach_mm(plane.axis()));
    let [x, y, z] = [0, 1, 2].map(|i| {
        let [least, most] = reach[i];
        [(low[i] - MARGIN_MM).max(least), (high[i] + MARGIN_MM).min(most)]
    });
    let there = [x, y, z].iter().all(|[from, to]| from.is_finite() && to.is_finite() && to - from > 1.0);
    there.then(|| [Vec3::new(x[0], y[0], z[0]), Vec3::new(x[1], y[1], z[1])])
}

fn sampled(
    stack: &Stack,
    origin: PatientPoint,
    spacing_mm: f64,
    [columns, rows, layers]: [usize; 3],
    go_on: &(dyn Fn() -> bool + Sync),
) -> Option<Vec<u8>> {
    let mut values = vec![0; columns * rows * layers];
    let done = values.par_chunks_mut(columns * rows).enumerate().all(|(z, layer)| {
        for (i, value) in layer.iter_mut().enumerate() {
            let place = Vec3::new((i % columns) as f64, (i / columns) as f64, z as f64) * spacing_mm;
            let hu = stack.sample(PatientPoint(origin.0 + place), Sampling::Linear);
            *value = hu.map_or(0, |hu| Solid::level(hu).round() as u8);
        }
        go_on()
    });
    done.then_some(values)
}

#[cfg(test)]
mod tests {
    use super::super::resample::tests::stack_of;
    use super::*;

    /// A ball of bone, 20 mm wide, in a wide nothing.
    fn ball(p: Vec3) -> f64 {
        if (p - Vec3::new(3.0, -2.0, 5.0)).length() <= 10.0 { 800.0 } else { -50.0 }
    }

    #[test]
    fn bone_is_found_where_it_lies_also_tilted_and_uneven() {
        let z_mm: Vec<f64> = (0..40).map(|i| 30.0 - f64::from(i) - if i > 20 { 0.7 } else { 0.0 }).collect();
        for tilt_deg in [0.0, 20.0] {
            let stack = stack_of(&z_mm, tilt_deg, [0.6, 0.6], [100, 120], ball);
            let solid = Solid::of(&stack, &|| true).expect("bone");
            let level = |x: f64, y: f64, z: f64| {
                let voxel = solid.voxel(PatientPoint(Vec3::new(x, y, z)));
                solid.sample(voxel.map(|v| v as f32))
            };
            assert!((level(3.0, -2.0, 5.0) - Solid::level(800.0)).abs() < 1.0, "tilt {tilt_deg}");
            assert!((level(3.0, -2.0 + 8.5, 5.0) - Solid::level(800.0)).abs() < 1.0);
            assert!(level(3.0, -2.0 + 12.5, 5.0) < 10.0);
            let [low, high] = solid.bounds();
            assert!(high.0.x - low.0.x < 45.0, "only the bone and a margin: {low:?} to {high:?}");
            assert_eq!(solid.spacing_mm, 0.6);
            let at = solid.patient(solid.voxel(PatientPoint(Vec3::new(1.0, 2.0, 3.0))));
            assert!((at.0 - Vec3::new(1.0, 2.0, 3.0)).length() < 1e-9);
        }
    }

    #[test]
    fn a_block_holds_the_largest_level_of_all_that_it_is_drawn_from() {
        let size = [19, 10, 9];
        let values: Vec<u8> = (0..19 * 10 * 9).map(|i| ((i * 7919) % 251) as u8).collect();
        let solid = Solid::new(size, 1.0, PatientPoint::default(), values);
        assert_eq!(solid.blocks_size, [3, 2, 2]);
        for (x, y, z) in [(0.3, 0.9, 7.99), (7.9, 8.2, 0.0), (17.99, 8.9, 7.5), (15.99, 7.99, 7.99)] {
            let sample = solid.sample([x, y, z]);
            let block = solid.block([x, y, z].map(|v: f32| v as usize / BLOCK));
            assert!(sample <= f32::from(block), "{sample} in a block of {block} at {x} {y} {z}");
        }
    }

    #[test]
    fn without_bone_or_time_there_is_none() {
        let z_mm: Vec<f64> = (0..9).map(f64::from).collect();
        let stack = stack_of(&z_mm, 0.0, [1.0, 1.0], [32, 32], |_| 40.0);
        assert!(Solid::of(&stack, &|| true).is_none());
        let stack = stack_of(&z_mm, 0.0, [1.0, 1.0], [32, 32], |_| 900.0);
        assert!(Solid::of(&stack, &|| true).is_some());
        assert!(Solid::of(&stack, &|| false).is_none());
    }
}
