//! The network an analysis starts with: a weight file, or seeded weights that are good for looking at the program only.

use std::path::Path;

use crate::jobs::JobCtx;
use crate::model::{DevicePreference, ModelError, Network};
use crate::phantom::{DEMO_SEED, demo_study};
use crate::preprocess::{INPUT_SIZE, network_input, plan_crops};

/// Of the seeded weights, so that the same program gives the same numbers.
const WEIGHT_SEED: u64 = 2021;
/// Hidden size per direction of the paper's figure.
const UNITS: usize = 128;
/// Slices of the demo study on which the batch-norm statistics are set. Few, since a start waits for them.
const CALIBRATION_SLICES: usize = 4;

/// The network of the weight file, or without one a seeded, untrained network whose card says so. The latter takes some
/// seconds: it runs twice over a few slices of the demo study, so that its scores and maps vary as a trained one's do.
/// Computes on the rayon pool it is called in, and called from elsewhere leaves a core's worth of room.
///
/// # Errors
/// The weight file is refused, with the reason. A device that does not work is no error but [`Network::device_note`].
pub fn default_network(model: Option<&Path>, device: DevicePreference) -> Result<Network, ModelError> {
    match model {
        Some(path) => Network::load(path, device),
        None if rayon::current_thread_index().is_some() => untrained(device),
        None => super::pool_of(super::default_threads())?.install(|| untrained(device)),
    }
}

fn untrained(device: DevicePreference) -> Result<Network, ModelError> {
    let planes = calibration_planes();
    let count = planes.len() / (3 * INPUT_SIZE * INPUT_SIZE);
    Network::untrained(WEIGHT_SEED, UNITS, (count, &planes), device)
}

/// Network inputs of slices spread evenly over the demo study, one after the other.
fn calibration_planes() -> Vec<f32> {
    let demo = demo_study(DEMO_SEED);
    let position_mm = super::position_mm(&demo.series);
    let spacing_mm = demo.series.spacing_mm.unwrap_or([1.0, 1.0]);
    // A context of its own is never cancelled.
    let Ok(plan) = plan_crops(&demo.volume, spacing_mm, &position_mm, &JobCtx::detached()) else { return Vec::new() };
    let count = demo.volume.slices().len();
    (0..CALIBRATION_SLICES)
        .filter_map(|k| network_input(&demo.volume, &plan, (2 * k + 1) * count / (2 * CALIBRATION_SLICES)))
        .flatten()
        .collect()
}
