//! Planes and slabs cut from a volume, by linear interpolation between the voxels around each point. The CPU twin of
//! `shaders/planes.wgsl`.

mod axial;

use std::sync::Arc;

pub use axial::AxialGrid;
use rayon::prelude::*;

use super::cubic::{Cubic, around};
use super::{Slice, SlicePixels, Volume};
use crate::geometry::{Bent, PatientPoint, PixelPoint, PlaneGrid, StackGeometry, Vec3, VoxelPoint};

/// A volume and where its voxels lie.
#[derive(Debug, Clone)]
pub struct Stack {
    pub volume: Arc<Volume>,
    pub geometry: Arc<StackGeometry>,
}

/// What becomes of the values across a slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Projection {
    /// Their mean: a thicker slice.
    #[default]
    Mean,
    /// The largest: maximum intensity projection.
    Mip,
    /// The smallest.
    MinIp,
}

impl Projection {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Mip => "MIP",
            Self::MinIp => "MinIP",
        }
    }
}

/// A layer around a plane, half of it on each side.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Slab {
    /// 0 for the plane itself.
    pub thickness_mm: f64,
    pub projection: Projection,
}

impl Slab {
    /// Distances from the plane at which values are taken: both faces, the plane itself, and evenly between, at most
    /// `step_mm` apart.
    pub fn offsets_mm(&self, step_mm: f64) -> impl Iterator<Item = f64> + use<> {
        let (half, steps) = (self.thickness_mm / 2.0, self.steps_per_side(step_mm));
        (-steps..=steps).map(move |i| if steps == 0 { 0.0 } else { half * f64::from(i) / f64::from(steps) })
    }
    /// Values are taken at so many places on each side of the plane, besides on it.
    pub fn steps_per_side(&self, step_mm: f64) -> i32 {
        /// Beyond this a slab is no slab but a mistake in its numbers.
        const MOST: f64 = 4096.0;
        let half_mm = self.thickness_mm / 2.0;
        if half_mm > 0.0 && step_mm > 0.0 { (half_mm / step_mm - 1e-6).ceil().clamp(1.0, MOST) as i32 } else { 0 }
    }
}

/// How values are taken between voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    Nearest,
    Linear,
    /// Linear in slabs, which average or select, and beside padding and what is no number.
    Cubic(Cubic),
}

impl Stack {
    /// The value at a point, edge voxels reaching half a voxel beyond their centres; `None` outside and beside a
    /// voxel that is no number.
    pub fn sample(&self, at: PatientPoint, sampling: Sampling) -> Option<f32> {
        let voxel = self.geometry.voxel_from_patient(at);
        let value = self.geometry.contains(voxel).then(|| self.sample_voxel(voxel, sampling)).flatten();
        let value = value.filter(|v| !v.is_nan())?;
        let cubic = if let Sampling::Cubic(cubic) = sampling { self.sample_cubic(voxel, cubic) } else { None };
        Some(cubic.unwrap_or(value))
    }

    /// By the 64 voxels around a place; `None` where one of them is padding or no number.
    fn sample_cubic(&self, at: VoxelPoint, cubic: Cubic) -> Option<f32> {
        let (columns, fc) = around(at.column, self.geometry.columns());
        let (rows, fr) = around(at.row, self.geometry.rows());
        let (slices, fs) = around(at.slice, self.geometry.positions().len());
        let [across, down, through] = [fc, fr, fs].map(|f| cubic.weights(f as f32));
        let mut sum = 0.0;
        for (position, share) in slices.into_iter().zip(through) {
            let slice = self.volume.slices().get(self.geometry.positions().get(position)?.index)?;
            for (row, weight) in rows.into_iter().zip(down) {
                for (column, part) in columns.into_iter().zip(across) {
                    let value = slice.at(column, row)?;
                    if value.is_nan() || slice.is_padding(value) {
                        return None;
                    }
                    sum += value * part * weight * share;
                }
            }
        }
        Some(sum)
    }

    fn sample_voxel(&self, at: VoxelPoint, sampling: Sampling) -> Option<f32> {
        let round = |v: f64| if sampling == Sampling::Nearest { (v + 0.5).floor() } else { v };
        let (c0, c1, fc) = neighbours(round(at.column), self.geometry.columns());
        let (r0, r1, fr) = neighbours(round(at.row), self.geometry.rows());
        let (s0, s1, fs) = neighbours(round(at.slice), self.geometry.positions().len());
        let plane = |s: usize| {
            let slice = self.volume.slices().get(self.geometry.positions().get(s)?.index)?;
            let values = slice.pixels.values();
            let value = |c: usize, r: usize| slice.at_in(values, c, r).map(f64::from);
            let (top, bottom) = (mix(value(c0, r0)?, value(c1, r0)?, fc), mix(value(c0, r1)?, value(c1, r1)?, fc));
            Some(mix(top, bottom, fr))
        };
        let near = plane(s0)?;
        Some(if fs > 0.0 { mix(near, plane(s1)?, fs) } else { near } as f32)
    }

    /// The value of a slab around a point; places outside the volume do not count, `None` where all are.
    pub fn sample_slab(
        &self,
        at: PatientPoint,
        normal: Vec3,
        slab: &Slab,
        step_mm: f64,
        sampling: Sampling,
    ) -> Option<f32> {
        let steps = slab.steps_per_side(step_mm);
        if steps == 0 {
            return self.sample(at, sampling);
        }
        let sampling = if let Sampling::Cubic(_) = sampling { Sampling::Linear } else { sampling };
        let (mut sum, mut weight, mut least, mut most) = (0.0, 0.0, f32::INFINITY, f32::NEG_INFINITY);
        for (offset_mm, i) in slab.offsets_mm(step_mm).zip(-steps..) {
            let Some(value) = self.sample(PatientPoint(at.0 + normal * offset_mm), sampling) else { continue };
            // The trapezoidal rule: exact for values that run straight between the places.
            let share = if i.abs() == steps { 0.5 } else { 1.0 };
            sum += f64::from(value) * share;
            weight += share;
            least = least.min(value);
            most = most.max(value);
        }
        (weight > 0.0).then(|| match slab.projection {
            Projection::Mean => (sum / weight) as f32,
            Projection::Mip => most,
            Projection::MinIp => least,
        })
    }

    /// Distance of the places at which [`Stack::resample`] takes the values of a slab: half the smallest spacing.
    pub fn slab_step_mm(&self) -> f64 {
        self.geometry.smallest_spacing_mm() / 2.0
    }

    /// The values on a grid (of a plane that is bent where `bent` says so), row by row; `outside` where the volume has none.
    pub fn resample(&self, (grid, bent): (&PlaneGrid, Option<&Bent>), slab: &Slab, outside: f32) -> Vec<f32> {
        let (sheet, step_mm) = (grid.sheet(bent), self.slab_step_mm());
        let mut values = vec![outside; grid.rows * grid.columns];
        values.par_chunks_mut(grid.columns.max(1)).enumerate().for_each(|(row, line)| {
            let normal = sheet.normal_at_row(row as f64);
            for (column, value) in line.iter_mut().enumerate() {
                let at = sheet.patient_from_pixel(PixelPoint { column: column as f64, row: row as f64 });
                if let Some(v) = self.sample_slab(at, normal, slab, step_mm, Sampling::Linear) {
                    *value = v;
                }
            }
        });
        values
    }

    /// The same volume with `factor` columns and rows averaged into one.
    pub fn reduced(&self, factor: usize) -> Self {
        let slices = self.volume.slices().iter().map(|slice| Arc::new(slice.reduced(factor))).collect();
        // All slices had one size, so have they now.
        let volume = Volume::new(slices).map_or_else(|_| self.volume.clone(), Arc::new);
        Self { volume, geometry: Arc::new(self.geometry.reduced(factor)) }
    }

    /// The plane as a slice to be shown: outside the volume, and where the volume has padding, it has padding.
    pub fn plane_slice(&self, surface: (&PlaneGrid, Option<&Bent>), slab: &Slab) -> Slice {
        let (grid, _) = surface;
        const OUTSIDE: f32 = f32::MIN;
        let padding = self.volume.padding();
        let values = self.resample(surface, slab, padding.map_or(OUTSIDE, |[low, _]| low));
        Slice {
            rows: grid.rows,
            columns: grid.columns,
            pixels: SlicePixels::F32(values),
            padding: Some(padding.unwrap_or([OUTSIDE, OUTSIDE])),
        }
    }
}

/// The two voxels around a place, edges repeated, and the fraction towards the second.
fn neighbours(at: f64, count: usize) -> (usize, usize, f64) {
    let last = count.saturating_sub(1);
    let inside = at.clamp(0.0, last as f64);
    let low = inside.floor();
    (low as usize, (low as usize + 1).min(last), inside - low)
}

fn mix(a: f64, b: f64, f: f64) -> f64 {
    a * (1.0 - f) + b * f
}

#[cfg(test)]
pub(super) mod tests;
