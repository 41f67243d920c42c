//! `dens evaluate`: a network on labelled studies, or the test parts of a training run, in numbers, tables and plots.

mod card;
mod output;
mod run_folder;
mod scoring;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::load::progress_bar;
use super::signal::stop_at_signal;
use super::{DeviceChoice, Refusal};
use crate::evaluation::{CasePrediction, Evaluation, LeftOut, Options, Part, Picture, Provenance, account, evaluate};
use crate::jobs::JobCtx;
use crate::plots::{evaluation_pictures, strips};

use output::Outputs;

/// Strips drawn of each kind of case.
const STRIPS_OF_WORST: usize = 2;

#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// Weight file (.safetensors with a model card); without it the network that the viewer starts with
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    pub model: Option<PathBuf>,
    /// Labelled studies; may be given several times
    ///
    /// phantom:SEEDS (e.g. phantom:5000-5199, made on the way), phantom:DIR (a folder of `dens phantom`), rsna2022:DIR or
    /// hdn-cspine:DIR. Give data that the network was not trained on. A study that cannot be used is named with the
    /// reason, left out and counted.
    #[arg(long = "dataset", value_name = "SPEC", required_unless_present = "run", conflicts_with = "run")]
    pub datasets: Vec<String>,
    /// A folder of `dens train`: the test parts of all its finished folds, pooled
    ///
    /// Each case counts as its own fold's network judged it, with that network's thresholds and calibration; mean and
    /// standard deviation over folds stand beside the pooled numbers.
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Preprocessing recipe; must be the model's own [default: the model's]
    #[arg(long, conflicts_with = "run")]
    pub recipe: Option<String>,
    /// Where the network runs
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Of the bootstrap and of the balanced draws
    #[arg(long, default_value_t = Options::default().seed)]
    pub seed: u64,
    /// Bootstrap draws
    #[arg(long, default_value_t = Options::default().draws)]
    pub draws: usize,
    /// F.json, F.md, F.html, F.pdf, or a folder for all of them with plots and predictions; may be given several times
    #[arg(long = "out", value_name = "F", required = true)]
    pub outs: Vec<PathBuf>,
    /// Folder for the plots as PNG
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
}

/// What is to be summed up, whatever it comes from.
struct Gathered {
    parts: Vec<Part>,
    left_out: Vec<LeftOut>,
    provenance: Provenance,
    /// Sentences for the reader of the report.
    notes: Vec<String>,
}

/// Scores or reads the predictions, sums them up and writes what was asked for. What can be known to fail is refused first.
pub fn run(args: &EvaluateArgs) -> Result<(), Refusal> {
    let outputs = Outputs::new(&args.outs, args.plots.as_deref())?;
    let scoring = JobCtx::detached();
    let _watch = stop_at_signal(&scoring)?;
    let gathered = match &args.run {
        Some(folder) => run_folder::gather(folder, args.device)?,
        None => scoring::gather(args, &scoring)?,
    };
    let options = Options { seed: args.seed, draws: args.draws.max(1), ..Options::default() };
    let waiting = progress_bar(0, "drawing intervals");
    waiting.enable_steady_tick(Duration::from_millis(250));
    let Gathered { parts, left_out, provenance, notes } = gathered;
    let summed = evaluate(&parts, provenance, &left_out, &options, &JobCtx::detached());
    waiting.finish_and_clear();
    let mut evaluation = summed.map_err(Refusal::from_error)?;
    evaluation.notes.splice(0..0, notes);
    let pictures = pictures(&evaluation, &parts)?;
    let document = account(&evaluation, &pictures);
    let predictions: Vec<&CasePrediction> = parts.iter().flat_map(|part| &part.cases).collect();
    outputs.write(&evaluation, &document, &pictures, &predictions)?;
    say(&evaluation);
    args.outs.iter().chain(&args.plots).for_each(|out| println!("{}", out.display()));
    Ok(())
}

/// The plots of the numbers, and strips of the worst and the clearest cases.
fn pictures<'a>(evaluation: &Evaluation, parts: &'a [Part]) -> Result<Vec<Picture>, Refusal> {
    let mut pictures = evaluation_pictures(evaluation).map_err(Refusal::from_error)?;
    let usable = |case: &&'a CasePrediction| case.score.is_finite() && !case.slices.is_empty();
    let sorted = |label: bool| {
        let mut of_class: Vec<&'a CasePrediction> =
            parts.iter().flat_map(|part| &part.cases).filter(usable).filter(|case| case.label == label).collect();
        of_class.sort_by(|a, b| a.score.total_cmp(&b.score).then_with(|| a.id.cmp(&b.id)));
        of_class
    };
    let (positives, mut negatives) = (sorted(true), sorted(false));
    negatives.reverse();
    let mut shown: Vec<(String, &'a CasePrediction)> = Vec::new();
    let mut add = |title: &str, list: &[&'a CasePrediction], count: usize| {
        shown.extend(list.iter().take(count).map(|case| (title.to_owned(), *case)));
    };
    add("Fractured, lowest", &positives, STRIPS_OF_WORST);
    add("Not fractured, highest", &negatives, STRIPS_OF_WORST);
    if positives.len() > STRIPS_OF_WORST {
        add("Fractured, highest", &[positives[positives.len() - 1]], 1);
    }
    if negatives.len() > STRIPS_OF_WORST {
        add("Not fractured, lowest", &[negatives[negatives.len() - 1]], 1);
    }
    let threshold = parts.first().map_or(0.5, |part| part.thresholds.slice);
    pictures.extend(strips(&shown, threshold).map_err(Refusal::from_error)?);
    Ok(pictures)
}

/// The outcome in a few lines on standard output.
fn say(evaluation: &Evaluation) {
    use crate::evaluation::Metric::{BalancedAccuracy, RocAuc};
    for sentence in evaluation.notice.iter().chain(&evaluation.notes) {
        eprintln!("dens: {sentence}");
    }
    let population = &evaluation.population;
    println!(
        "{} cases ({} fractured), {} images ({} fractured), {} cases left out",
        population.cases,
        population.positive_cases,
        population.images,
        population.positive_images,
        population.left_out.len()
    );
    for (name, set) in [("cases", &evaluation.case.natural), ("images", &evaluation.image.natural)] {
        let text = |metric| {
            let found = set.metrics.get(metric);
            match (found.value, found.lower, found.upper) {
                (Some(value), Some(lower), Some(upper)) => format!("{value:.3} ({lower:.3} to {upper:.3})"),
                (Some(value), ..) => format!("{value:.3}"),
                _ => "undefined".to_owned(),
            }
        };
        println!("{name}: ROC-AUC {}, balanced accuracy {}", text(RocAuc), text(BalancedAccuracy));
    }
}
