//! From a person and a scan to slices: painting, the scanner, and what the fracture changed.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::jobs::{Cancelled, JobCtx};

use super::acquisition::{Acquisition, Protocol};
use super::build::Build;
use super::canvas::{Canvas, Grid};
use super::imaging::{self, Planes};
use super::patient::{Patient, PatientSpec};
use super::random::{Stream, Texture};
use super::reference::{self, Finding};
use super::workspace::Workspace;
use super::{spine, surroundings, tissue};

/// One finished slice.
pub struct Rendered {
    pub hu: Vec<i16>,
    /// 1 where the fracture is.
    pub mask: Vec<u8>,
    /// 1 to 8 for C1 to T1.
    pub labels: Vec<u8>,
    /// What each break shows in this slice.
    pub findings: Vec<Finding>,
}

pub fn acquisition(spec: &PatientSpec) -> Acquisition {
    Acquisition::new(&Protocol {
        seed: spec.seed,
        difficulty: spec.difficulty,
        domain: spec.domain,
        matrix: spec.matrix,
        slice_spacing_mm: spec.slice_spacing_mm,
    })
}

/// Where the samples lie: from skull base or C1 to T1 or a little below.
pub fn grid(spec: &PatientSpec, patient: &Patient, scan: &Acquisition) -> Grid {
    let mut draw = Stream::named(spec.seed, "scan range", 0);
    let scale = patient.posture.scale[2];
    let lowest = patient.spine.vertebrae.last().map_or(-137.0, |v| v.centre[2]);
    let top_mm = (draw.between(7.0, 17.0) as f32 * scale).round();
    let bottom_mm = (lowest - draw.between(4.0, 16.0) as f32) * scale;
    let slices = (f64::from(top_mm - bottom_mm) / scan.spacing_mm).ceil() as usize + 1;
    let shift = patient.posture.shift_mm;
    Grid {
        matrix: spec.matrix,
        pixel_mm: scan.pixel_mm() as f32,
        centre_mm: std::array::from_fn(|i| scan.centre_mm[i] as f32 + shift[i]),
        top_z_mm: top_mm,
        slice_mm: scan.spacing_mm as f32,
        slices,
    }
}

/// All slices in display order, on the current thread pool.
pub fn slices(patient: &Patient, scan: &Acquisition, grid: &Grid, ctx: &JobCtx) -> Result<Vec<Rendered>, Cancelled> {
    let (texture, build) = (Texture::new(patient.seed), Build::of(patient, scan));
    let done = AtomicUsize::new(0);
    (0..grid.slices)
        .into_par_iter()
        .map_init(Workspace::default, |work, index| {
            ctx.check()?;
            let slice = slice(patient, scan, grid, &texture, &build, index, work);
            ctx.progress(done.fetch_add(1, Ordering::Relaxed) + 1, grid.slices);
            Ok(slice)
        })
        .collect()
}

/// One slice: soft tissue is painted once, the vertebrae at several heights through the slice.
fn slice(
    patient: &Patient,
    scan: &Acquisition,
    grid: &Grid,
    texture: &Texture,
    build: &Build,
    index: usize,
    work: &mut Workspace,
) -> Rendered {
    let z_mm = grid.z_mm(index);
    let canvas_at = |z_mm: f32| Canvas::without_hu(z_mm, grid, patient, texture).moved(scan.motion_shift_mm(z_mm));
    let mut middle = canvas_at(z_mm);
    middle.hu = work.floats.take(grid.matrix * grid.matrix);
    middle.hu.fill(Canvas::AIR_HU);
    let skin = tissue::skin(&middle, build);
    surroundings::paint_before_spine(&mut middle, build, &skin);
    spine::paint_discs(&mut middle);
    spine::paint_canal(&mut middle);
    surroundings::paint_head(&mut middle, build);
    surroundings::paint_support(&mut middle, build, &skin);
    let beyond = tissue::beyond(&middle, build);
    let canvases: Vec<Canvas> = imaging::heights_in_slice(scan, z_mm).into_iter().map(canvas_at).collect();
    let mut planes = Vertebrae {
        patient,
        soft: std::mem::take(&mut middle.hu),
        within: canvases.iter().map(spine::pixels_of_vertebrae).reduce(spine::spanning).unwrap_or([0..0, 0..0]),
        canvases,
        labels: Vec::new(),
    };
    let taken = imaging::take_slice(scan, index, z_mm, &beyond, &mut planes, work);
    work.floats.give(planes.soft);
    let (mask, findings) = match &taken.difference_hu {
        Some(difference_hu) => reference::findings(&middle, difference_hu, |c, r| taken.noise_hu(scan, c, r)),
        None => (vec![0; grid.matrix * grid.matrix], Vec::new()),
    };
    Rendered { hu: taken.hu, mask, labels: planes.labels, findings }
}

/// The vertebrae at a slice's heights.
struct Vertebrae<'a> {
    patient: &'a Patient,
    soft: Vec<f32>,
    within: [Range<usize>; 2],
    canvases: Vec<Canvas<'a>>,
    /// Which vertebra each pixel belongs to at the first height.
    labels: Vec<u8>,
}

impl Planes for Vertebrae<'_> {
    fn soft(&self) -> &[f32] {
        &self.soft
    }
    fn within(&self) -> [Range<usize>; 2] {
        self.within.clone()
    }
    fn intact(&mut self, number: usize, hu: &mut Vec<f32>) {
        let (canvas, wanted) = (&mut self.canvases[number], self.labels.is_empty());
        canvas.hu = std::mem::take(hu);
        let labels = spine::paint_vertebrae(canvas, &[], wanted);
        if wanted {
            self.labels = labels;
        }
        *hu = std::mem::take(&mut canvas.hu);
    }
    fn is_broken(&self, number: usize) -> bool {
        let (patient, z_mm) = (self.patient, self.canvases[number].z_mm);
        patient.breaks.iter().any(|b| b.reaches(z_mm, patient.spine.vertebra(b.level)))
    }
    fn broken(&mut self, number: usize, hu: &mut Vec<f32>) {
        let canvas = &mut self.canvases[number];
        canvas.hu = std::mem::take(hu);
        spine::paint_vertebrae(canvas, &self.patient.breaks, false);
        *hu = std::mem::take(&mut canvas.hu);
    }
}
