//! `dens train`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::load::device_preference;
use super::signal::stop_at_signal;
use super::{DeviceChoice, Refusal};
use crate::jobs::JobCtx;
use crate::model::{Backbone, Pooling};
use crate::plots::{Chart, Legend, Look, Series, charts};
use crate::preprocess::Recipe;
use crate::report::write_atomically;
use crate::training::log::{self, LogRow};
use crate::training::sampler::Sampling;
use crate::training::{CropStage, Event, FoldSummary, Preset, Request, Settings, Summary, TrainError, run};

#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Data set to train on; may be given several times
    ///
    /// phantom:SEEDS (e.g. phantom:1-240, made on the way, nothing is written but the slice cache), phantom:DIR (a folder
    /// of `dens phantom`), rsna2022:DIR or hdn-cspine:DIR. Cases that cannot be used are listed with the reason in
    /// RUN/excluded.csv and the run goes on without them.
    #[arg(long = "dataset", value_name = "SPEC", required_unless_present = "resume", conflicts_with = "resume")]
    pub datasets: Vec<String>,
    /// Folder of the run; made if it is not there
    ///
    /// Holds run.toml (all settings), folds.csv, log.csv, excluded.csv, and for each fold checkpoints,
    /// fold-K/model.safetensors and predictions/fold-K.json for `dens evaluate --run`.
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
    /// Go on with the run in --out where it was stopped
    ///
    /// All settings come from its run.toml. Ctrl-C, SIGTERM or a power failure cost the work since the last checkpoint,
    /// two minutes at most; on the CPU the resumed run ends equal to an uninterrupted one to the last bit.
    #[arg(long)]
    pub resume: bool,
    /// Where the settings come from that are not given
    #[arg(long, value_enum, default_value_t = PresetChoice::Practical, conflicts_with = "resume")]
    pub preset: PresetChoice,
    /// The network for one slice: nano trains on a CPU, resnet50 is the paper's
    #[arg(long, value_enum, default_value_t = BackboneChoice::Nano, conflicts_with = "resume")]
    pub backbone: BackboneChoice,
    /// Hidden size of the BLSTM per direction [default: 64 with nano, 128 with resnet50]
    #[arg(long, conflicts_with = "resume")]
    pub units: Option<usize>,
    /// Edge of the network's input in pixels [default: 192 with nano, 384 with resnet50]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub input: Option<usize>,
    /// How slices are cut: paper (box of all bone) or spine (square around the canal) [default: by preset]
    #[arg(long, value_parser = recipe, conflicts_with = "resume")]
    pub recipe: Option<Recipe>,
    /// Distance to which slices are thinned out, mm [default: 2 with nano, 1 with resnet50]
    #[arg(long, value_name = "MM", conflicts_with = "resume")]
    pub z_step: Option<f64>,
    /// Parts of the cross-validation by patient
    ///
    /// Without this option the first fold of seven is trained: one split into training, inner validation and test. With it
    /// all folds are, unless --fold says which. 1: no test part, all cases train or validate.
    #[arg(long, conflicts_with = "resume")]
    pub folds: Option<usize>,
    /// Train only this fold, from 1; may be given several times
    #[arg(long = "fold", value_name = "K", conflicts_with = "resume")]
    pub fold: Vec<usize>,
    /// How slices become a case: last (the paper), mean, max, attention or topk-residual [default: by preset]
    #[arg(long, value_parser = pooling, conflicts_with = "resume")]
    pub pooling: Option<Pooling>,
    /// How stage 1 draws slices [default: class-aware]
    ///
    /// class-aware shows half positives, and of the negatives half from positive cases; the logits are corrected to the
    /// natural prevalence afterwards. paper-uniform draws from all slices alike.
    #[arg(long, value_enum, conflicts_with = "resume")]
    pub sampling: Option<SamplingChoice>,
    /// Weight of what the reference boxes teach of the fracture's place [default: 1 with practical, 0 with paper]
    ///
    /// A head over the cells of the last maps learns where the boxes lie and is dropped afterwards. Without it a small
    /// fracture has to be found from the label of its slice alone. Slices without boxes are not affected.
    #[arg(long, value_name = "W", conflicts_with = "resume")]
    pub box_weight: Option<f64>,
    /// Learn small cut-outs by the reference boxes before whole slices
    ///
    /// A crop of a ninth of the slice costs a ninth, so a hairline keeps its pixels while a step stays affordable. Half of
    /// the crops show a box; the others lie where other slices have one, so that the place gives nothing away, and touch
    /// none. Slices that are positive without a box are left out of this stage. It has a log, checkpoints and a best epoch of
    /// its own (RUN/fold-K/crops); stage 1 goes on from it. Not with --shuffle-labels.
    #[arg(long, conflicts_with = "resume")]
    pub crops: bool,
    /// Edge of a crop, pixels of the network's input [default: 128 with resnet50, 64 with nano]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub crop_side: Option<usize>,
    /// Epochs of crops [default: 8]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub crop_epochs: Option<usize>,
    /// Crops shown in an epoch [default: 16000]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub crop_images: Option<usize>,
    /// Crops per step [default: 32]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub crop_batch: Option<usize>,
    /// Learning rate of crops [default: 0.001]
    #[arg(long, value_name = "RATE", conflicts_with = "resume")]
    pub crop_lr: Option<f64>,
    /// Train stage 2 on features of backbones that have not seen the case (three more backbones)
    #[arg(long, conflicts_with = "resume")]
    pub crossfit: bool,
    /// Weight file whose backbone the training begins with
    ///
    /// Also the best backbone of a stage of another run (RUN/fold-K/crops/best.safetensors), so that crops can grow from run to
    /// run. Cases that it was trained on must not be held out here: the same data sets, folds and seed deal the same parts.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub weights: Option<PathBuf>,
    /// Part of the backbone whose convolutions keep the weights of --weights; may be given several times
    ///
    /// conv1 or layer1 to layer4. Batch norms go on learning.
    #[arg(long, value_name = "PART", requires = "weights", conflicts_with = "resume")]
    pub freeze: Vec<String>,
    /// Epochs of stage 1 at most
    ///
    /// 0 with --crops: the crops' backbone is used, apart from its batch norms' running statistics and its last layer, which are
    /// measured and fitted on whole slices. 0 with --weights alone: their backbone is used as it is, its features are made once
    /// for all folds, and stage 2 alone is trained.
    #[arg(long, conflicts_with = "resume")]
    pub epochs: Option<usize>,
    /// Slices shown in an epoch of stage 1 [default: 8000 with practical and nano, else all]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub epoch_images: Option<usize>,
    /// Slices of the inner validation that an epoch of stage 1 is judged by at most, half of them positive where there are as
    /// many [default: 2000 with practical and resnet50, else all]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub validation_images: Option<usize>,
    /// Slices per step of stage 1
    #[arg(long, conflicts_with = "resume")]
    pub batch: Option<usize>,
    /// Learning rate of stage 1
    #[arg(long, conflicts_with = "resume")]
    pub lr: Option<f64>,
    /// Blur half of the slices of stage 1, by a standard deviation of so many pixels at most [default: 0]
    #[arg(long, value_name = "PIXELS", conflicts_with = "resume")]
    pub blur: Option<f64>,
    /// Add noise to half of the slices of stage 1, with a standard deviation of so many HU at most [default: 0]
    #[arg(long, value_name = "HU", conflicts_with = "resume")]
    pub noise: Option<f64>,
    /// Epochs of stage 2 at most
    #[arg(long, conflicts_with = "resume")]
    pub case_epochs: Option<usize>,
    /// Learning rate of stage 2
    #[arg(long, conflicts_with = "resume")]
    pub case_lr: Option<f64>,
    /// Of all that is drawn: folds, initial weights, order, augmentation, dropout
    #[arg(long, default_value_t = 1, conflicts_with = "resume")]
    pub seed: u64,
    /// Deal the training labels at random: a check that must end at an AUC of 0.5
    #[arg(long, conflicts_with = "resume")]
    pub shuffle_labels: bool,
    /// Draw RUN/curves.png, loss and validation AUC of the stages, after each epoch
    #[arg(long)]
    pub plot: bool,
    /// Threads [default: all cores]; the result does not depend on them
    #[arg(long)]
    pub threads: Option<usize>,
    /// Folder of preprocessed slices, shared by runs [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Folder of the features of a backbone that is not trained (--epochs 0 --weights FILE), shared by runs [default: RUN/features]
    #[arg(long, value_name = "DIR")]
    pub features: Option<PathBuf>,
    /// Where the networks run
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PresetChoice {
    /// As the paper: Adam 1e-3 with step decay, 50 epochs; BLSTM with Adam 1e-6, 100 epochs
    Paper,
    /// For some hundred cases: AdamW with cosine, more augmentation, scaled features
    Practical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackboneChoice {
    Resnet50,
    Nano,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SamplingChoice {
    PaperUniform,
    ClassAware,
}

fn recipe(text: &str) -> Result<Recipe, String> {
    Recipe::parse(text).ok_or_else(|| "there are: paper, spine".to_owned())
}

fn pooling(text: &str) -> Result<Pooling, String> {
    Pooling::from_name(text).ok_or_else(|| format!("there are: {}", Pooling::ALL.map(Pooling::name).join(", ")))
}

/// Trains, or goes on with a training, until it is done or told to stop.
pub fn run_command(args: &TrainArgs) -> Result<(), Refusal> {
    let request = Request {
        settings: settings(args)?,
        out: args.out.clone(),
        cache: args.cache.clone().unwrap_or_else(default_cache),
        features: args.features.clone(),
        threads: args.threads.unwrap_or_else(all_cores),
        device: device_preference(args.device),
        resume: args.resume,
    };
    let ctx = JobCtx::detached();
    let _watch = stop_at_signal(&ctx)?;
    let screen = Screen::new();
    let drawing = AtomicBool::new(args.plot);
    let result = run(&request, &ctx, &|event| {
        screen.show(event);
        if matches!(event, Event::Epoch(_))
            && drawing.load(Ordering::Relaxed)
            && let Err(reason) = draw(&args.out)
        {
            drawing.store(false, Ordering::Relaxed);
            screen.say(&format!("note: {reason}; the training goes on without its picture"));
        }
    });
    screen.clear();
    match result {
        Ok(summary) => {
            println!("{}", ending(&summary, &args.out));
            Ok(())
        }
        Err(TrainError::Cancelled(_)) => {
            let out = args.out.display();
            Err(Refusal(format!("stopped; all work up to the last step is kept: dens train --resume --out {out}")))
        }
        Err(error) => Err(Refusal::from_error(error)),
    }
}

/// The curves of a run as they stand in its log.
fn draw(out: &Path) -> Result<(), Refusal> {
    let rows = log::read(&out.join("log.csv")).map_err(Refusal::from_error)?;
    let picture = charts(&curves(&rows), 2).map_err(Refusal::from_error)?;
    write_atomically(&out.join("curves.png"), &picture).map_err(Refusal::from_error)
}

/// Loss and validation AUC of the stages; one colour per fold.
fn curves(rows: &[LogRow]) -> Vec<Chart> {
    let mut found = Vec::new();
    let stages = [("crops", "Before stage 1: crops"), ("images", "Stage 1: slices"), ("cases", "Stage 2: cases")];
    for (stage, title) in stages {
        if stage == "crops" && rows.iter().all(|row| row.stage != stage) {
            continue;
        }
        let mut folds: Vec<usize> = rows.iter().filter(|row| row.stage == stage).map(|row| row.fold).collect();
        folds.sort_unstable();
        folds.dedup();
        let line = |name: &str, fold: usize, value: fn(&LogRow) -> Option<f64>| {
            let of_fold = rows.iter().filter(|row| row.stage == stage && row.fold == fold);
            let points = of_fold.filter_map(|row| Some((row.epoch as f64, value(row)?))).collect();
            Series { look: Look::Dots, ..Series::line(format!("fold {fold}{name}"), points) }
        };
        let losses = folds.iter().flat_map(|&fold| {
            [line(" training", fold, |row| row.train_loss), line(" validation", fold, |row| row.validation_loss)]
        });
        let aucs = folds.iter().map(|&fold| line("", fold, |row| row.validation_auc));
        let chart = |what: &str, series: Vec<Series>, y_range, legend| Chart {
            title: format!("{title}, {what}"),
            x_label: "epoch".into(),
            x_is_counted: true,
            y_label: what.into(),
            y_range,
            series,
            legend,
            ..Chart::default()
        };
        found.push(chart("cross-entropy", losses.collect(), None, Legend::UpperRight));
        found.push(chart("validation AUC", aucs.collect(), Some((0.0, 1.0)), Legend::LowerRight));
    }
    found
}

fn set<T: Clone>(target: &mut T, given: &Option<T>) {
    if let Some(given) = given {
        *target = given.clone();
    }
}

/// The stage of crops as the options ask for it.
fn crop_stage(args: &TrainArgs, backbone: Backbone) -> Result<Option<CropStage>, Refusal> {
    let given = [
        ("--crop-side", args.crop_side.is_some()),
        ("--crop-epochs", args.crop_epochs.is_some()),
        ("--crop-images", args.crop_images.is_some()),
        ("--crop-batch", args.crop_batch.is_some()),
        ("--crop-lr", args.crop_lr.is_some()),
    ];
    if !args.crops {
        return match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                Err(Refusal(format!("{option} says how crops are learned; --crops, which learns them, is missing")))
            }
            None => Ok(None),
        };
    }
    let mut stage = CropStage::preset(backbone);
    set(&mut stage.side, &args.crop_side);
    set(&mut stage.epoch_crops, &args.crop_images);
    set(&mut stage.box_weight, &args.box_weight);
    set(&mut stage.steps.epochs, &args.crop_epochs);
    set(&mut stage.steps.batch, &args.crop_batch);
    set(&mut stage.steps.learning_rate, &args.crop_lr);
    Ok(Some(stage))
}

fn settings(args: &TrainArgs) -> Result<Settings, Refusal> {
    let preset = match args.preset {
        PresetChoice::Paper => Preset::Paper,
        PresetChoice::Practical => Preset::Practical,
    };
    let backbone = match args.backbone {
        BackboneChoice::Resnet50 => Backbone::Resnet50,
        BackboneChoice::Nano => Backbone::Nano,
    };
    let mut settings = Settings::preset(preset, backbone, args.datasets.clone());
    settings.train_folds = match (args.folds, args.fold.is_empty()) {
        (_, false) => args.fold.clone(),
        (Some(folds), true) => (1..=folds).collect(),
        (None, true) => vec![1],
    };
    set(&mut settings.folds, &args.folds);
    set(&mut settings.units, &args.units);
    set(&mut settings.input_side, &args.input);
    set(&mut settings.recipe, &args.recipe);
    set(&mut settings.z_step_mm, &args.z_step);
    set(&mut settings.pooling, &args.pooling.map(|pooling| pooling.name().to_owned()));
    set(&mut settings.images.steps.epochs, &args.epochs);
    set(&mut settings.images.steps.batch, &args.batch);
    set(&mut settings.images.steps.learning_rate, &args.lr);
    set(&mut settings.images.box_weight, &args.box_weight);
    set(&mut settings.images.augmentation.blur_px, &args.blur);
    set(&mut settings.images.augmentation.noise_hu, &args.noise);
    set(&mut settings.cases.steps.epochs, &args.case_epochs);
    set(&mut settings.cases.steps.learning_rate, &args.case_lr);
    if args.epoch_images.is_some() {
        settings.images.epoch_images = args.epoch_images;
    }
    if args.validation_images.is_some() {
        settings.images.validation_images = args.validation_images;
    }
    settings.images.sampling = match args.sampling {
        Some(SamplingChoice::PaperUniform) => Sampling::PaperUniform,
        Some(SamplingChoice::ClassAware) | None => Sampling::ClassAware,
    };
    (settings.weights, settings.frozen) = (args.weights.clone(), args.freeze.clone());
    settings.crops = crop_stage(args, backbone)?;
    (settings.crossfit, settings.seed, settings.shuffle_labels) = (args.crossfit, args.seed, args.shuffle_labels);
    Ok(settings)
}

fn default_cache() -> PathBuf {
    let folders = directories::ProjectDirs::from("", "", "dens");
    folders.map_or_else(|| PathBuf::from("dens-cache"), |folders| folders.cache_dir().join("slices"))
}

fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Bars on a terminal, else one line per epoch.
struct Screen {
    bar: Mutex<ProgressBar>,
    terminal: bool,
    /// Of the phase that runs.
    since: Mutex<Instant>,
}

impl Screen {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal {
            let style = ProgressStyle::with_template("{prefix:<28} [{bar:28}] {pos}/{len} {msg}  {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style.progress_chars("=> "))
        } else {
            ProgressBar::hidden()
        };
        Self { bar: Mutex::new(bar), terminal, since: Mutex::new(Instant::now()) }
    }

    fn bar(&self) -> ProgressBar {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn clear(&self) {
        self.bar().finish_and_clear();
    }

    fn say(&self, line: &str) {
        if self.terminal {
            self.bar().println(line);
        } else {
            eprintln!("{line}");
        }
    }

    fn show(&self, event: &Event) {
        let bar = self.bar();
        match event {
            Event::Phase { fold, what, total } => {
                let prefix = if *fold == 0 { what.clone() } else { format!("fold {fold} {what}") };
                bar.reset();
                bar.set_length(*total as u64);
                bar.set_prefix(prefix.clone());
                bar.set_message("");
                *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                if !self.terminal && *fold == 0 {
                    self.say(&format!("{prefix}: {total} cases"));
                }
            }
            Event::Batch { done, loss } => {
                bar.set_position(*done as u64);
                let seconds = self.since.lock().unwrap_or_else(PoisonError::into_inner).elapsed().as_secs_f64();
                let speed = *done as f64 / seconds.max(1e-3);
                bar.set_message(match loss {
                    Some(loss) => format!("{speed:.1}/s, loss {loss:.4}"),
                    None => format!("{speed:.1}/s"),
                });
            }
            Event::Epoch(row) => self.say(&epoch_line(row)),
            Event::Note(text) => self.say(&format!("note: {text}")),
            Event::Fold(summary) => self.say(&fold_line(summary)),
        }
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

fn epoch_line(row: &LogRow) -> String {
    format!(
        "fold {} {} epoch {}: loss {}, validation loss {}, validation AUC {}{}, {:.1}/s, {:.0} s",
        row.fold,
        row.stage,
        row.epoch,
        number(row.train_loss),
        number(row.validation_loss),
        number(row.validation_auc),
        if row.best { " (best)" } else { "" },
        row.items_per_s,
        row.seconds
    )
}

fn fold_line(summary: &FoldSummary) -> String {
    let part = |name: &str, aucs: &crate::training::Aucs| {
        let (image, case, largest) = (number(aucs.image), number(aucs.case), number(aucs.max_of_slices));
        format!("{name} AUC: slices {image}, cases {case} (largest slice logit alone {largest})")
    };
    format!(
        "fold {} done: {}; {}; {}",
        summary.fold,
        part("inner validation", &summary.validation),
        part("test", &summary.test),
        summary.model.display()
    )
}

fn ending(summary: &Summary, out: &Path) -> String {
    let done = summary.folds.len() + summary.complete_before;
    let folds = if done == 1 { "1 fold".to_owned() } else { format!("{done} folds") };
    format!(
        "{folds} trained from {} cases ({} left out, see excluded.csv) in {}\n{}",
        summary.cases,
        summary.excluded,
        out.display(),
        crate::RESEARCH_LINE
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        train: TrainArgs,
    }

    fn parsed(words: &[&str]) -> Result<Settings, clap::Error> {
        Line::try_parse_from([&["dens"], words].concat()).map(|line| settings(&line.train).unwrap())
    }

    #[test]
    fn options_change_what_they_name_and_nothing_else() {
        let plain = parsed(&["--dataset", "phantom:1-9", "--out", "run"]).unwrap();
        assert_eq!(plain, Settings::preset(Preset::Practical, Backbone::Nano, vec!["phantom:1-9".into()]));
        let many = parsed(&[
            "--dataset",
            "a",
            "--dataset",
            "b",
            "--out",
            "run",
            "--preset",
            "paper",
            "--backbone",
            "resnet50",
            "--units",
            "256",
            "--recipe",
            "spine",
            "--pooling",
            "attention",
            "--folds",
            "5",
            "--epochs",
            "3",
            "--lr",
            "0.01",
        ])
        .unwrap();
        let mut expected = Settings::preset(Preset::Paper, Backbone::Resnet50, vec!["a".into(), "b".into()]);
        (expected.units, expected.recipe, expected.pooling) = (256, Recipe::Spine, "attention".into());
        (expected.folds, expected.train_folds) = (5, vec![1, 2, 3, 4, 5]);
        (expected.images.steps.epochs, expected.images.steps.learning_rate) = (3, 0.01);
        assert_eq!(many, expected);
        assert_eq!(parsed(&["--dataset", "a", "--out", "r", "--folds", "7", "--fold", "3"]).unwrap().train_folds, [3]);
    }

    const PLAIN: [&str; 4] = ["--dataset", "a", "--out", "run"];

    #[test]
    fn crops_are_learned_where_they_are_asked_for_and_as_they_are() {
        let with = |more: &[&str]| parsed(&[&PLAIN[..], more].concat()).unwrap().crops;
        assert_eq!(with(&[]), None);
        assert_eq!(with(&["--crops"]), Some(CropStage::preset(Backbone::Nano)));
        let large = with(&["--crops", "--backbone", "resnet50"]).unwrap();
        assert_eq!((large.side, large.epoch_crops, large.steps.batch, large.steps.epochs), (128, 16000, 32, 8));
        let words = ["--crops", "--crop-side", "96", "--crop-epochs", "2", "--crop-images", "640", "--crop-batch", "8"];
        let all = with(&[&words[..], &["--crop-lr", "0.01", "--box-weight", "0.5"]].concat()).unwrap();
        let mut expected = CropStage::preset(Backbone::Nano);
        (expected.side, expected.epoch_crops, expected.box_weight) = (96, 640, 0.5);
        (expected.steps.epochs, expected.steps.batch, expected.steps.learning_rate) = (2, 8, 0.01);
        assert_eq!(all, expected);
    }

    #[test]
    fn how_crops_are_learned_cannot_be_said_without_them() {
        for option in ["--crop-side", "--crop-epochs", "--crop-images", "--crop-batch", "--crop-lr"] {
            let line = Line::try_parse_from([&["dens"], &PLAIN[..], &[option, "64"]].concat()).unwrap();
            let Err(Refusal(reason)) = settings(&line.train) else { panic!("{option} was taken") };
            assert!(reason.contains(option) && reason.contains("--crops"), "{reason}");
        }
        assert!(parsed(&["--resume", "--out", "run", "--crops"]).is_err());
    }

    #[test]
    fn a_resumed_run_takes_no_other_settings() {
        assert!(parsed(&["--resume", "--out", "run"]).is_ok());
        for more in [["--dataset", "a"], ["--epochs", "3"], ["--seed", "2"]] {
            assert!(parsed(&[&["--resume", "--out", "run"], &more[..]].concat()).is_err(), "{more:?}");
        }
        assert!(parsed(&["--out", "run"]).is_err());
    }
}
