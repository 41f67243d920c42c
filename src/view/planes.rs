//! Which planes are on the screen, and what one of them is made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{HeatmapStyle, Interpolation, PixelFromScreen};
use crate::findings::{Cam, Findings, PixelBox, SliceState};
use crate::geometry::{Bent, PatientPoint, Plane, PlaneGrid, Sheet, Vec3};
use crate::volume::{Sampling, Slab, Stack, Volume, Window};

/// How the screen is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    #[default]
    One,
    /// The slices and the two planes across them.
    Three,
    /// The same and a fourth pane.
    Four,
}

/// A part of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    /// The slices as they were acquired, exact.
    #[default]
    Slices,
    /// A plane cut from the volume.
    Across(Plane),
}

/// Everything needed to draw one plane, on the GPU or on the CPU.
#[derive(Debug, Clone)]
pub struct PlaneDraw {
    /// To pixels of the grid.
    pub pixel_from_screen: PixelFromScreen,
    pub grid: PlaneGrid,
    /// The plane is bent, and the grid lies on the surface unrolled.
    pub bent: Option<Bent>,
    pub stack: Stack,
    /// So many columns and rows of the volume are averaged into one before it is drawn; 1 draws every voxel.
    pub reduction: usize,
    pub slab: Slab,
    /// Distance of the places at which a slab's values are taken.
    pub step_mm: f64,
    pub window: Window,
    pub invert: bool,
    pub interpolation: Interpolation,
    pub heatmap: Option<PlaneHeat>,
}

/// The maps of all slices that are drawn. A plane across the slices shows, at each of its points, the map of the slice
/// nearest to it: nothing is interpolated from one slice to the next, so that a plane never shows heat where the slices
/// show none.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatStack {
    maps: Vec<Option<(PixelBox, Arc<Cam>)>>,
    cells: [usize; 2],
    /// Common scale: the study's largest map value.
    pub maximum: f32,
}

/// The heatmap over a plane, at the plane itself also where a slab is drawn.
#[derive(Debug, Clone)]
pub struct PlaneHeat {
    pub stack: Arc<HeatStack>,
    /// As [`super::HeatmapLayer::opacity`].
    pub opacity: f32,
    pub style: HeatmapStyle,
}

impl HeatStack {
    /// `maps` has one entry per slice of the series, display order, `None` where the slice shows no map; maps of another
    /// size than the first are none. `None` where nothing is left to be shown.
    pub fn new(mut maps: Vec<Option<(PixelBox, Arc<Cam>)>>, maximum: f32) -> Option<Self> {
        let cells = maps.iter().flatten().map(|(_, cam)| [cam.columns, cam.rows]).find(|n| !n.contains(&0))?;
        let whole =
            |cam: &Cam| [cam.columns, cam.rows] == cells && cells[0].checked_mul(cells[1]) == Some(cam.values.len());
        for map in &mut maps {
            *map = map.take().filter(|(_, cam)| whole(cam));
        }
        (maximum > 0.0 && maps.iter().any(Option::is_some)).then_some(Self { maps, cells, maximum })
    }
    /// By the rule of [`super::heatmap_layer`].
    pub fn of(findings: &Findings, everywhere: bool) -> Option<Self> {
        let threshold = findings.threshold();
        let map = |state: &SliceState| {
            let shown = everywhere || state.score()? >= threshold;
            state.cam().filter(|_| shown).map(|(region, cam)| (*region, cam.clone()))
        };
        Self::new(findings.slices.iter().map(map).collect(), findings.cam_maximum())
    }
    /// Columns and rows of the maps.
    pub fn cells(&self) -> [usize; 2] {
        self.cells
    }
    /// What a slice shows.
    pub fn map(&self, index: usize) -> Option<&(PixelBox, Arc<Cam>)> {
        self.maps.get(index)?.as_ref()
    }
}

impl PlaneDraw {
    /// The point of the patient at a target point.
    pub fn patient_from_screen(&self, x: f64, y: f64) -> PatientPoint {
        self.sheet().patient_from_pixel(self.pixel_from_screen.pixel(x, y))
    }
    /// Unit normal of what is drawn, at a target point's height.
    pub fn normal_at(&self, y: f64) -> Vec3 {
        self.sheet().normal_at_row(self.pixel_from_screen.pixel(0.0, y).row)
    }
    fn sheet(&self) -> Sheet<'_> {
        self.grid.sheet(self.bent.as_ref())
    }
    pub fn sampling(&self) -> Sampling {
        self.interpolation.sampling()
    }
}

/// Places of a slab on each side of the plane on the screen, at most.
const MOST_STEPS: f64 = 32.0;

/// The step of a slab that is fine enough for the eye and cheap enough for each frame.
pub fn screen_step_mm(slab: &Slab, smallest_spacing_mm: f64) -> f64 {
    smallest_spacing_mm.max(slab.thickness_mm / 2.0 / MOST_STEPS)
}

/// Graphics memory that the voxels of a volume may take.
pub const VOLUME_BUDGET_BYTES: u64 = 512 << 20;

/// How far columns and rows must be reduced for a volume to be drawn within `limit` voxels each way and the budget.
/// `None` where it cannot be, because there are more slices than that.
pub fn reduction_for(volume: &Volume, limit: usize) -> Option<usize> {
    let slices = volume.slices().len();
    let bytes_per_voxel = if volume.is_integer() { 2 } else { 4 };
    let fits = |factor: &usize| {
        let (columns, rows) = (volume.columns().div_ceil(*factor), volume.rows().div_ceil(*factor));
        let bytes = columns as u64 * rows as u64 * slices as u64 * bytes_per_voxel;
        columns <= limit && rows <= limit && bytes <= VOLUME_BUDGET_BYTES
    };
    (slices <= limit).then(|| (1..=64).find(fits)).flatten()
}

/// How far a volume has come on its way to the graphics device; written there, read for the screen.
#[derive(Debug, Default)]
pub struct Upload {
    slices: AtomicUsize,
    failed: AtomicBool,
}

impl Upload {
    pub fn slices(&self) -> usize {
        self.slices.load(Ordering::Relaxed)
    }
    pub fn set_slices(&self, slices: usize) {
        self.slices.store(slices, Ordering::Relaxed);
    }
    /// The device had no room for it.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
    pub fn set_failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::volume::{Slice, SlicePixels};

    fn volume(slices: usize, side: usize) -> Volume {
        let pixels = SlicePixels::I16(vec![0; side * side].into());
        let slice = Arc::new(Slice { rows: side, columns: side, pixels, padding: None });
        Volume::new(vec![slice; slices]).expect("one size")
    }

    #[test]
    fn two_thousand_slices_are_drawn_and_the_reduction_is_known() {
        assert_eq!(reduction_for(&volume(64, 512), 2048), Some(1));
        assert_eq!(reduction_for(&volume(1000, 512), 2048), Some(1));
        assert_eq!(reduction_for(&volume(2000, 512), 2048), Some(2));
        assert_eq!(reduction_for(&volume(4, 600), 256), Some(3));
        assert_eq!(reduction_for(&volume(300, 16), 256), None);
    }

    #[test]
    fn slabs_on_the_screen_are_never_more_than_a_few_places() {
        let slab = |thickness_mm| Slab { thickness_mm, ..Slab::default() };
        assert_eq!(screen_step_mm(&slab(10.0), 0.5), 0.5);
        assert_eq!(slab(640.0).steps_per_side(screen_step_mm(&slab(640.0), 0.5)), 32);
    }
}
