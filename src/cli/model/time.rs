//! `dens model time`: how long a slice, or a step of training, takes on this machine.

use std::time::Instant;

use clap::Args;
use rayon::ThreadPool;
use serde_json::{Value, json};

use super::super::{DeviceChoice, Refusal, load};
use crate::inference::{default_network, default_threads};
use crate::model::{Architecture, ModelError, TrainBackbone};
use crate::random::{Stream, scramble};

/// Times the backbone on one slice after the other, as an analysis runs it. The pictures are noise: the time does not
/// depend on them.
#[derive(Debug, Args)]
pub(super) struct TimeArgs {
    /// A weight file, nano or resnet50 for the weights that ship, or untrained for ResNet-50 with seeded ones (default: as an
    /// analysis chooses)
    #[arg(long)]
    model: Option<std::path::PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Compute threads on the CPU (default: one fewer than cores)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Slices handed over at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,
    /// How often; the median is told
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    runs: u16,
    /// Time a step of training instead: forward, back and optimiser
    #[arg(long)]
    train: bool,
    /// Edge of the training pictures in pixels (default: the model's)
    #[arg(long, requires = "train", value_parser = clap::value_parser!(u16).range(64..=512))]
    side: Option<u16>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &TimeArgs) -> Result<(), Refusal> {
    let device = load::device_preference(args.device);
    let network = default_network(args.model.as_deref(), device).map_err(Refusal::from_error)?;
    let threads = args.threads.map_or_else(default_threads, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(Refusal::from_error)?;
    let batch = usize::from(args.batch);
    let side = args.side.map_or(network.card().network.input_side, usize::from);
    let planes: Vec<f32> = (0..batch * 3 * side * side).map(|i| (scramble(i as u64) % 256) as f32 / 255.0).collect();
    let (seconds, device) = if args.train {
        let architecture = Architecture { input_side: side, ..network.card().network };
        let mut learner = TrainBackbone::new(&architecture, 1, device).map_err(Refusal::from_error)?;
        let targets: Vec<f32> = (0..batch).map(|i| (i % 2) as f32).collect();
        let (weights, mut rng) = (vec![1.0; batch], Stream::new(1, 1));
        let seconds = times(&pool, args.runs, || {
            learner.gradients(&planes, &targets, &weights, 0.0, &mut rng, None)?;
            learner.step(1e-4).map(drop)
        })?;
        (seconds, learner.device_name().to_owned())
    } else {
        let seconds = times(&pool, args.runs, || network.forward_slices(&planes, batch).map(drop))?;
        (seconds, network.device_name().to_owned())
    };
    if let Some(note) = network.device_note() {
        eprintln!("{note}");
    }
    let median = seconds[seconds.len() / 2];
    let report = json!({
        "model": network.card().name, "sha256": network.sha256(), "architecture": network.card().architecture,
        "what": if args.train { "training step" } else { "forward" }, "input_side": side, "device": device,
        "threads": threads, "batch": batch, "runs": args.runs, "median_s": median, "least_s": seconds[0],
        "slices_per_s": batch as f64 / median,
    });
    if args.json {
        println!("{report}");
    } else {
        tell(args, &report, median);
    }
    Ok(())
}

/// Seconds of each run, ascending. One run goes before: it fills caches and makes buffers.
fn times(
    pool: &ThreadPool,
    runs: u16,
    mut once: impl FnMut() -> Result<(), ModelError> + Send,
) -> Result<Vec<f64>, Refusal> {
    let mut timed = || {
        let start = Instant::now();
        pool.install(&mut once).map_err(Refusal::from_error)?;
        Ok::<_, Refusal>(start.elapsed().as_secs_f64())
    };
    timed()?;
    let mut seconds = (0..runs).map(|_| timed()).collect::<Result<Vec<_>, _>>()?;
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

fn tell(args: &TimeArgs, report: &Value, median: f64) {
    let text = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
    let (side, threads, batch) = (&report["input_side"], &report["threads"], f64::from(args.batch));
    println!("{}, {}, {side} x {side} pixels", text("model"), text("architecture"));
    println!("{}, {}, {threads} threads, batch {batch}, median of {} runs", text("what"), text("device"), args.runs);
    println!("{:.1} ms per slice, {:.1} slices per second", 1e3 * median / batch, batch / median);
    if !args.train {
        println!("300 slices: about {:.0} s", (300.0 * median / batch).ceil());
    }
}
