//! `dens analyze`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use indicatif::ProgressBar;

use super::load::{device_preference, open_series, progress_bar};
use super::{AnalyzeArgs, DeviceChoice, Refusal};
use crate::findings::Findings;
use crate::findings::describe::UNTRAINED;
use crate::inference::{Event, Request, analyse_or_on_cpu, default_network, default_threads, model_info};
use crate::jobs::JobCtx;
use crate::preprocess::PAPER_RECIPE;
use crate::report::{analysis_json, write_atomically};
use crate::study::LoadedSeries;

/// Runs the network over a series and writes the stable JSON.
pub fn run(args: &AnalyzeArgs) -> Result<(), Refusal> {
    check_recipe(&args.recipe)?;
    let opened = open_series(&args.path, args.series)?;
    let findings = analyse_loaded(&opened.loaded, opened.load_seconds, args.model.as_deref(), args.device)?;
    let json = analysis_json(&opened.loaded, &findings);
    let mut text = serde_json::to_string_pretty(&json).map_err(Refusal::from_error)?;
    text.push('\n');
    write_atomically(&args.out, text.as_bytes()).map_err(Refusal::from_error)
}

/// Refuses a recipe that this program does not have. `paper` is its current version.
pub fn check_recipe(recipe: &str) -> Result<(), Refusal> {
    if ["paper", PAPER_RECIPE].contains(&recipe) {
        return Ok(());
    }
    Err(Refusal(format!("there is no preprocessing recipe {recipe:?}; there is: paper (the same as {PAPER_RECIPE})")))
}

/// Analyses a series behind a progress bar and says on standard error what its numbers are worth.
///
/// # Errors
/// A hard stop (said before a network is built), a refused weight file, or a network that failed.
pub fn analyse_loaded(
    loaded: &LoadedSeries,
    load_seconds: f64,
    weights: Option<&Path>,
    device: DeviceChoice,
) -> Result<Findings, Refusal> {
    if let Some(reason) = loaded.series.analysis_stop() {
        return Err(Refusal(reason));
    }
    let preparing = progress_bar(1, "preparing the network");
    preparing.enable_steady_tick(Duration::from_millis(250)); // keeps the seconds running
    // In the global pool it may take all cores.
    let network = rayon::scope(|_| default_network(weights, device_preference(device)));
    preparing.finish_and_clear();
    let network = Arc::new(network.map_err(Refusal::from_error)?);
    let model = Arc::new(model_info(&network));
    if !model.trained {
        eprintln!("dens: {UNTRAINED}");
    }
    let request = Request {
        loaded: loaded.clone(),
        network,
        model,
        focus: Arc::new(AtomicUsize::new(loaded.volume.slices().len() / 2)),
        threads: threads(),
        load_seconds,
    };
    let bar = progress_bar(loaded.volume.slices().len() as u64, "slices analysed");
    bar.enable_steady_tick(Duration::from_millis(250));
    let findings = analyse_or_on_cpu(&request, weights, &JobCtx::detached(), &mut |event| follow(&bar, &event));
    bar.finish_and_clear();
    let findings = findings.map_err(Refusal::from_error)?;
    for warning in &findings.warnings {
        eprintln!("dens: {warning}");
    }
    Ok(findings)
}

fn follow(bar: &ProgressBar, event: &Event) {
    if let Event::Slice(..) = event {
        bar.inc(1);
    }
}

/// All cores: without a window nobody waits for one.
fn threads() -> usize {
    std::thread::available_parallelism().map_or_else(|_| default_threads(), std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_recipe_is_refused_with_those_there_are() {
        assert!(check_recipe("paper").is_ok() && check_recipe("paper/1").is_ok());
        let text = check_recipe("spine").expect_err("not there").0;
        assert!(text.contains("\"spine\"") && text.contains("paper"), "{text}");
    }
}
