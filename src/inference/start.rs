//! The network an analysis starts with: a weight file, or seeded weights that are good for looking at the program only.

use std::path::{Path, PathBuf};
use std::time::Instant;

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

/// Weights that are built into the program, so that a lone executable works.
struct Shipped {
    /// Asks for them where a weight file is asked for.
    name: &'static str,
    bytes: Option<&'static [u8]>,
}

/// The small network, which is quick everywhere.
const SMALL: Shipped = Shipped {
    name: "nano",
    #[cfg(shipped_nano)]
    bytes: Some(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/dens-nano.safetensors"))),
    #[cfg(not(shipped_nano))]
    bytes: None,
};
/// The paper's network.
const LARGE: Shipped = Shipped {
    name: "resnet50",
    #[cfg(shipped_resnet50)]
    bytes: Some(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/dens-resnet50.safetensors"))),
    #[cfg(not(shipped_resnet50))]
    bytes: None,
};

/// A study of a neck in thin slices, and how long a reader may have to wait for its case score before the small network is
/// chosen.
const STUDY_SLICES: f64 = 300.0;
const PATIENCE_SECONDS: f64 = 120.0;

/// Names a weight file for who has given none.
const VARIABLE: &str = "DENS_MODEL";

/// The network of a weight file. Without one: that of the environment variable `DENS_MODEL`, else the best file in `models/`
/// beside the executable, else one built in (ResNet-50 where this device is fast enough for it, else the small one;
/// [`Network::choice`] says which and why), else a seeded, untrained network whose card says so. `nano`, `resnet50` and
/// [`UNTRAINED_NAME`] ask for one of those. Seeding takes some seconds: it runs twice over a few slices of the demo study, so
/// that its scores and maps vary as a trained one's do. Computes on the rayon pool it is called in, and called from elsewhere
/// leaves a core's worth of room.
///
/// # Errors
/// The weight file is refused, with the reason. A device that does not work is no error but [`Network::device_note`].
pub fn default_network(model: Option<&Path>, device: DevicePreference) -> Result<Network, ModelError> {
    // Packing weights would hold up whatever loads slices on the common pool.
    in_pool(|| wanted_network(model, device))
}

fn wanted_network(model: Option<&Path>, device: DevicePreference) -> Result<Network, ModelError> {
    let Some(model) = model else {
        return match std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) {
            Some(name) => wanted_network(Some(Path::new(&name)), device),
            None => beside_executable(device).map_or_else(|| built_in(device), Ok),
        };
    };
    let named = |shipped: &Shipped| shipped.bytes.filter(|_| model == Path::new(shipped.name));
    match named(&SMALL).or(named(&LARGE)) {
        Some(bytes) => read(bytes, device),
        None if model == Path::new(UNTRAINED_NAME) => untrained(device),
        None => Network::load(model, device),
    }
}

/// The network that was chosen before, for another device: as [`default_network`], but of the weights that ship those with
/// this hash, however fast the device is.
pub(super) fn again(model: Option<&Path>, sha256: &str, device: DevicePreference) -> Result<Network, ModelError> {
    if model.is_none() {
        for bytes in [SMALL.bytes, LARGE.bytes].into_iter().flatten() {
            let network = read(bytes, device)?;
            if network.sha256() == sha256 {
                return Ok(network);
            }
        }
    }
    default_network(model, device)
}

fn read(bytes: &[u8], device: DevicePreference) -> Result<Network, ModelError> {
    Network::from_bytes(bytes, Path::new("the built-in weights"), device)
}

fn in_pool<R: Send>(work: impl FnOnce() -> Result<R, ModelError> + Send) -> Result<R, ModelError> {
    match rayon::current_thread_index() {
        Some(_) => work(),
        None => super::pool_of(super::default_threads())?.install(work),
    }
}

/// Of the weights that ship those that suit the device.
fn built_in(device: DevicePreference) -> Result<Network, ModelError> {
    let (small, large) = match (SMALL.bytes, LARGE.bytes) {
        (Some(small), Some(large)) => (small, large),
        (Some(only), None) | (None, Some(only)) => return read(only, device),
        (None, None) => return untrained(device),
    };
    if cfg!(debug_assertions) {
        let why = "small network: this build of the program is not optimised, so ResNet-50 would take too long";
        return Ok(read(small, device)?.chosen(why.into()));
    }
    let large = read(large, device)?;
    let seconds = STUDY_SLICES * seconds_per_slice(&large)?;
    let (takes_large, why) = choice(seconds);
    Ok(if takes_large { large } else { read(small, device)? }.chosen(why))
}

/// Whether ResNet-50 is chosen that needs so many seconds for a study, and why in words.
fn choice(seconds: f64) -> (bool, String) {
    let slices = STUDY_SLICES;
    let about = if seconds < 10.0 {
        format!("{:.0} s", seconds.max(1.0))
    } else {
        format!("{:.0} s", (seconds / 5.0).round() * 5.0)
    };
    if seconds <= PATIENCE_SECONDS {
        (true, format!("ResNet-50: about {about} for {slices} slices on this device"))
    } else {
        (false, format!("small network: ResNet-50 would need about {about} for {slices} slices on this device"))
    }
}

/// The least of three, since whatever else runs only ever makes a slice slower.
fn seconds_per_slice(network: &Network) -> Result<f64, ModelError> {
    let side = network.card().network.input_side;
    // The time does not depend on the values.
    let picture: Vec<f32> = (0..3 * side * side).map(|i| (i * 193 % 256) as f32 / 255.0).collect();
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        network.forward_slices(&picture, 1)?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(least)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_network_is_chosen_where_a_study_does_not_take_too_long() {
        let (large, why) = choice(27.4);
        assert!(large && why.contains("about 25 s for 300 slices"), "{why}");
        assert!(choice(0.2).1.contains("about 1 s"));
        let (large, why) = choice(431.0);
        assert!(!large && why.contains("small") && why.contains("about 430 s"), "{why}");
        assert!(!choice(f64::INFINITY).0 && choice(PATIENCE_SECONDS).0);
    }

    #[test]
    fn a_name_asks_for_weights_that_ship() {
        for shipped in [SMALL, LARGE].iter().filter(|shipped| shipped.bytes.is_some()) {
            let network = default_network(Some(Path::new(shipped.name)), DevicePreference::Cpu).unwrap();
            assert_eq!((network.card().network.backbone.name(), network.choice()), (shipped.name, None));
            let same = again(None, network.sha256(), DevicePreference::Cpu).unwrap();
            assert_eq!(same.sha256(), network.sha256());
        }
    }
}
