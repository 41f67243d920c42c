//! `dens analyze`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use indicatif::ProgressBar;

use super::load::{device_preference, open_series, progress_bar};
use super::{AnalyzeArgs, DeviceChoice, Refusal};
use crate::findings::describe::UNTRAINED;
use crate::findings::{Findings, ModelInfo};
use crate::inference::{
    AnalysisError, Event, Request, analyse_or_on_cpu, default_network, default_threads, model_info,
};
use crate::jobs::JobCtx;
use crate::preprocess::Recipe;
use crate::report::{analysis_json, write_atomically};
use crate::study::LoadedSeries;
use crate::study::quality::{MAX_OFF_AXIAL_DEG, off_axial_deg};

/// Runs the network over a series and writes the stable JSON.
pub fn run(args: &AnalyzeArgs) -> Result<(), Refusal> {
    let wishes = Wishes {
        weights: args.model.as_deref(),
        device: args.device,
        recipe: parse_recipe(args.recipe.as_deref())?,
        force: args.force,
    };
    let mut opened = open_series(&args.path, args.series, &args.password)?;
    if args.reformat_axial {
        opened.reformat()?;
    }
    let findings = analyse_loaded(&opened.loaded, opened.load_seconds, wishes)?;
    let json = analysis_json(&opened.loaded, &findings);
    let mut text = serde_json::to_string_pretty(&json).map_err(Refusal::from_error)?;
    text.push('\n');
    write_atomically(&args.out, text.as_bytes()).map_err(Refusal::from_error)
}

/// How an analysis is to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes<'a> {
    /// `None`: the weights of the program.
    pub weights: Option<&'a Path>,
    pub device: DeviceChoice,
    /// `None`: that of the model.
    pub recipe: Option<Recipe>,
    /// Scores even what a quality gate stops.
    pub force: bool,
}

/// The recipe of a name, with or without version; refused with those there are.
pub fn parse_recipe(recipe: Option<&str>) -> Result<Option<Recipe>, Refusal> {
    let Some(name) = recipe else { return Ok(None) };
    let known = || Recipe::ALL.map(Recipe::name).join(", ");
    Recipe::parse(name).map(Some).ok_or_else(|| {
        Refusal(format!(
            "there is no preprocessing recipe {name:?}; there are: {} (the version may be left out)",
            known()
        ))
    })
}

/// A network sees only what it was trained on: another recipe than the card's is refused.
fn check_recipe(wanted: Option<Recipe>, model: &ModelInfo) -> Result<(), Refusal> {
    match wanted {
        Some(recipe) if recipe.name() != model.recipe => Err(Refusal(format!(
            "the model was trained with the recipe {}, not {}; leave --recipe out or take a model of that recipe",
            model.recipe,
            recipe.name()
        ))),
        _ => Ok(()),
    }
}

/// Analyses a series behind a progress bar and says on standard error what its numbers are worth.
///
/// # Errors
/// A hard stop (said before a network is built), a refused weight file, a recipe that is not the model's, a quality gate,
/// or a network that failed.
pub fn analyse_loaded(loaded: &LoadedSeries, load_seconds: f64, wishes: Wishes<'_>) -> Result<Findings, Refusal> {
    let Wishes { weights, device, recipe, force } = wishes;
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
    check_recipe(recipe, &model)?;
    if !model.trained {
        eprintln!("dens: {UNTRAINED}");
    }
    if let Some(choice) = &model.choice {
        eprintln!("dens: {choice}");
    }
    let request = Request {
        loaded: loaded.clone(),
        network,
        model,
        focus: Arc::new(AtomicUsize::new(loaded.volume.slices().len() / 2)),
        threads: threads(),
        load_seconds,
        force,
        resume: None,
    };
    let bar = progress_bar(loaded.volume.slices().len() as u64, "slices analysed");
    bar.enable_steady_tick(Duration::from_millis(250));
    let findings = analyse_or_on_cpu(&request, weights, &JobCtx::detached(), &mut |event| follow(&bar, &event));
    bar.finish_and_clear();
    let findings = findings.map_err(|error| match error {
        AnalysisError::Stopped(_) => {
            let leans = off_axial_deg(&loaded.series).is_some_and(|deg| deg > MAX_OFF_AXIAL_DEG);
            let reformat = if leans { " `dens analyze --reformat-axial` makes axial slices of it first." } else { "" };
            Refusal(format!(
                "{error}.{reformat} With --force it is scored all the same, and the reasons stand beside the score"
            ))
        }
        other => Refusal::from_error(other),
    })?;
    for doubt in &findings.doubts {
        eprintln!("dens: {}", doubt.text);
    }
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
        assert_eq!(parse_recipe(None).expect("the model's"), None);
        assert_eq!(parse_recipe(Some("paper")).expect("known"), Some(Recipe::Paper));
        assert_eq!(parse_recipe(Some("spine/1")).expect("known"), Some(Recipe::Spine));
        let text = parse_recipe(Some("soup")).expect_err("not there").0;
        assert!(text.contains("\"soup\"") && text.contains("paper/1, spine/1"), "{text}");
    }

    #[test]
    fn a_recipe_that_is_not_the_models_is_refused() {
        let model = (*crate::findings::tests::with_scores(&[]).provenance.model).clone();
        assert!(check_recipe(None, &model).is_ok() && check_recipe(Some(Recipe::Paper), &model).is_ok());
        let text = check_recipe(Some(Recipe::Spine), &model).expect_err("another").0;
        assert!(text.contains("paper/1, not spine/1"), "{text}");
    }
}
