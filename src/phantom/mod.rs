//! Synthetic patients: a neck for every seed, whole or broken, with its truth. Made in code, unmistakably synthetic, to
//! teach and to exercise the whole program where no patient's data may be at hand, and no evidence of anything clinical.
//!
//! A [`PatientSpec`] gives a [`Person`] (age, size, posture, vertebrae, chance findings, fractures), drawn by purpose so
//! that a twin differs in the fracture alone. Slices are painted from the skin inwards as signed distances, then scanned.
//! Labels come from the geometry: from what the fracture changes before there is noise.
//!
//! Coordinates are LPS millimetres with x = 0 in the midline, y near 0 at the back of the vertebral bodies and
//! z = 0 at the tip of the dens.

mod acquisition;
mod build;
mod canvas;
mod coarse;
mod column;
mod fracture;
mod head;
mod imaging;
mod mimic;
mod noise;
mod patient;
mod random;
mod reference;
mod render;
mod series;
mod shapes;
mod shoulders;
mod spine;
mod surroundings;
mod table;
mod throat;
mod tissue;
mod trauma;
mod vessels;
mod workspace;

use std::sync::Arc;

use crate::jobs::{Cancelled, JobCtx};
use crate::study::LoadedSeries;
use crate::truth::CaseTruth;
use crate::volume::{Slice, SlicePixels, Volume};

pub use acquisition::{Acquisition, Oddities, Storage};
pub use fracture::{FractureKind, Kinds};
pub use patient::{Difficulty, Domain, Fractured, Patient as Person, PatientSpec, Sex};

/// Changes whenever the same spec gives other voxels or labels.
pub const GENERATOR_VERSION: &str = "densphan/1";

/// The seed of `dens demo`: of thirty, one whose fracture the network that ships sees well. It misses others.
pub const DEMO_SEED: u64 = 113;

/// A synthetic patient with everything that is known of him.
#[derive(Debug, Clone)]
pub struct SyntheticPatient {
    pub loaded: LoadedSeries,
    pub truth: CaseTruth,
    /// Per slice in display order, row-major: 1 where the fracture is.
    pub fracture_mask: Vec<Vec<u8>>,
    /// Per slice, row-major: 1 to 7 for C1 to C7, 8 for T1.
    pub segmentation: Vec<Vec<u8>>,
    pub age_years: f64,
    pub sex: Sex,
    /// Vessels are filled with contrast agent.
    pub contrast: bool,
    /// How he was scanned.
    pub acquisition: Acquisition,
}

/// Makes a patient: the same voxels on every platform for the same spec. Works on the current thread pool.
///
/// # Errors
/// Only when asked to stop.
pub fn patient(spec: &PatientSpec, ctx: &JobCtx) -> Result<SyntheticPatient, Cancelled> {
    let person = Person::new(spec);
    let acquisition = render::acquisition(spec);
    let grid = render::grid(spec, &person, &acquisition);
    let slices = render::slices(&person, &acquisition, &grid, ctx)?;
    let truth = reference::truth(&person, &grid, &slices);
    let (mut volume, mut fracture_mask, mut segmentation) = (Vec::new(), Vec::new(), Vec::new());
    for slice in slices {
        volume.push(Arc::new(Slice {
            rows: grid.matrix,
            columns: grid.matrix,
            pixels: SlicePixels::I16(slice.hu.into()),
            padding: None,
        }));
        fracture_mask.push(slice.mask);
        segmentation.push(slice.labels);
    }
    let series = Arc::new(series::series(spec, &person, &acquisition, &grid));
    let volume = Arc::new(Volume::new(volume).expect("a synthetic patient has slices, all of one size"));
    Ok(SyntheticPatient {
        loaded: LoadedSeries { series, volume },
        truth,
        fracture_mask,
        segmentation,
        age_years: person.age_years,
        sex: person.sex,
        contrast: person.contrast,
        acquisition,
    })
}

/// What the demo study is made from.
fn demo_spec(seed: u64, fractured: Fractured) -> PatientSpec {
    PatientSpec { difficulty: Difficulty::Easy, matrix: 384, fractured, ..PatientSpec::new(seed) }
}

fn demo(seed: u64, fractured: Fractured) -> SyntheticPatient {
    patient(&demo_spec(seed, fractured), &JobCtx::detached()).expect("nobody can cancel a detached context")
}

/// The demo study with all that is known of it: a broken neck.
pub fn demo_patient(seed: u64) -> SyntheticPatient {
    demo(seed, Fractured::Yes)
}

/// The demo study: a broken neck.
pub fn demo_study(seed: u64) -> LoadedSeries {
    demo_patient(seed).loaded
}

/// Where [`demo_study`] of the same seed is broken.
pub fn demo_truth(seed: u64) -> CaseTruth {
    demo(seed, Fractured::Yes).truth
}

/// The same neck as [`demo_study`], unbroken.
pub fn demo_twin(seed: u64) -> LoadedSeries {
    demo(seed, Fractured::Twin).loaded
}

#[cfg(test)]
mod tests;
