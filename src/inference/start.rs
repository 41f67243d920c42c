//! The network an analysis starts with: a weight file, or seeded weights that are good for looking at the program only.

use std::path::{Path, PathBuf};

use crate::jobs::JobCtx;
use crate::model::{Backbone, DevicePreference, ModelError, Network};
use crate::phantom::{DEMO_SEED, demo_study};
use crate::preprocess::{INPUT_SIZE, Recipe, network_input, plan};

/// Of the seeded weights, so that the same program gives the same numbers.
const WEIGHT_SEED: u64 = 2021;
/// Hidden size per direction of the paper's figure.
const UNITS: usize = 128;
/// Slices of the demo study on which the batch-norm statistics are set. Few, since a start waits for them.
const CALIBRATION_SLICES: usize = 4;

/// Asks for the seeded weights by name, where a weight file is asked for.
pub const UNTRAINED_NAME: &str = "untrained";

/// The file in `models/` that is built into the program, so that a lone executable works.
#[cfg(shipped_model)]
const SHIPPED: Option<&[u8]> =
    Some(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/dens-nano.safetensors")));
#[cfg(not(shipped_model))]
const SHIPPED: Option<&[u8]> = None;

/// The network of a weight file. Without one: the best file in `models/` beside the executable, else the file built in,
/// else a seeded, untrained network whose card says so (also for the name [`UNTRAINED_NAME`]). The last takes some
/// seconds: it runs twice over a few slices of the demo study, so that its scores and maps vary as a trained one's do.
/// Computes on the rayon pool it is called in, and called from elsewhere leaves a core's worth of room.
///
/// # Errors
/// The weight file is refused, with the reason. A device that does not work is no error but [`Network::device_note`].
pub fn default_network(model: Option<&Path>, device: DevicePreference) -> Result<Network, ModelError> {
    let seeded = || match rayon::current_thread_index() {
        Some(_) => untrained(device),
        None => super::pool_of(super::default_threads())?.install(|| untrained(device)),
    };
    match model {
        Some(name) if name == Path::new(UNTRAINED_NAME) => seeded(),
        Some(path) => Network::load(path, device),
        None => match beside_executable(device) {
            Some(network) => Ok(network),
            None => match SHIPPED {
                Some(bytes) => Network::from_bytes(bytes, Path::new("the built-in weights"), device),
                None => seeded(),
            },
        },
    }
}

/// The best weight file in `models/` beside the executable. One that is refused is passed over, with a word in the log.
fn beside_executable(device: DevicePreference) -> Option<Network> {
    let folder = std::env::current_exe().ok()?.parent()?.join("models");
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_weights = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    let mut found: Vec<Network> = Vec::new();
    for path in files.filter(is_weights) {
        match Network::load(&path, device) {
            Ok(network) => found.push(network),
            Err(error) => log::warn!("a weight file beside the program is passed over: {error}"),
        }
    }
    // A directory lists its files in any order; the hash makes the choice the same every time.
    found.into_iter().max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| b.sha256().cmp(a.sha256())))
}

/// Trained before untrained, the paper's backbone before the small one.
fn rank(network: &Network) -> (bool, bool) {
    (network.card().trained, network.card().network.backbone == Backbone::Resnet50)
}

fn untrained(device: DevicePreference) -> Result<Network, ModelError> {
    let planes = calibration_planes();
    let count = planes.len() / (3 * INPUT_SIZE * INPUT_SIZE);
    Network::untrained(WEIGHT_SEED, UNITS, (count, &planes), device)
}

/// Network inputs of slices spread evenly over the demo study, one after the other.
fn calibration_planes() -> Vec<f32> {
    let demo = demo_study(DEMO_SEED);
    let position_mm = demo.series.position_mm();
    let spacing_mm = demo.series.spacing_mm.unwrap_or([1.0, 1.0]);
    // A context of its own is never cancelled.
    let context = JobCtx::detached();
    let Ok(plan) = plan(Recipe::Paper, &demo.volume, spacing_mm, &position_mm, &context) else { return Vec::new() };
    let count = demo.volume.slices().len();
    (0..CALIBRATION_SLICES)
        .map(|k| (2 * k + 1) * count / (2 * CALIBRATION_SLICES))
        .filter_map(|index| Some((demo.volume.slices().get(index)?, plan.crops.get(index)?.as_ref()?)))
        .flat_map(|(slice, crop)| network_input(slice, crop, INPUT_SIZE))
        .collect()
}
