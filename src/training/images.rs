//! Stage 1: the backbone learns single slices, and crops of them before where the settings ask for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::Warp;
use super::cache::StoredCase;
use super::crops::{Crops, Sides};
use super::log::LogRow;
use super::places::cell_targets;
use super::sampler::{Item, Pools, Shown};
use super::settings::{CropStage, ImageStage};
use super::{Event, Exec, TrainError};
use crate::evaluation::roc_auc;
use crate::model::{
    Architecture, DevicePreference, Evaluated, ModelCard, NamedTensors, OptimiserState, Places, TrainBackbone, Weights,
};
use crate::random::Stream;

/// Slices per forward pass outside training.
const EVALUATION_BATCH: usize = 32;
/// A checkpoint at least so often; what a power failure costs.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(120);
/// Slices that mean and standard deviation are measured on.
const STATISTICS_SLICES: usize = 4000;
/// Below this a channel counts as constant.
const SMALLEST_STD: f64 = 1e-3;
/// Crops that the inner validation is asked about at most, and of one slice at most.
const VALIDATION_CROPS: usize = 2000;
const VALIDATION_CROPS_PER_SLICE: usize = 8;
/// Sets their draw apart from those of the epochs, whose streams are fold and part.
const VALIDATION_STREAM: usize = 1 << 31;
/// Tensor of the head that learns places.
const LOCAL_HEAD: &str = "local.weight";
/// Tensors that tell a stage's weights from a whole network's.
const FIRST_LAYER: &str = "backbone.conv1.weight";
const HEAD: &str = "head.weight";

/// The slices that an epoch is judged by: at most `limit`, half of them positive where there are as many, in their order.
fn judges(all: &[Item], limit: Option<usize>, seed: u64) -> Vec<Item> {
    let Some(limit) = limit.filter(|&limit| limit < all.len()) else { return all.to_vec() };
    let mut stream = Stream::named(seed, "validation slices", 0);
    let mut kinds = [true, false].map(|kind| {
        let mut chosen: Vec<usize> = (0..all.len()).filter(|&index| all[index].positive == kind).collect();
        stream.shuffle(&mut chosen);
        chosen
    });
    let [positive, negative] = &mut kinds;
    positive.truncate((limit / 2).max(limit.saturating_sub(negative.len())));
    negative.truncate(limit - positive.len());
    let mut chosen = kinds.concat();
    chosen.sort_unstable();
    chosen.into_iter().map(|index| all[index]).collect()
}

/// Mean and standard deviation of each channel over the training slices.
pub(super) type Normal = ([f32; 3], [f32; 3]);

/// What one backbone is trained from.
pub(super) struct ImageJob<'a> {
    pub(super) cases: &'a [StoredCase],
    pub(super) origin: Origin<'a>,
    pub(super) pools: Pools,
    /// Labelled slices of the inner validation.
    pub(super) validation: Vec<Item>,
    /// Learned before the slices.
    pub(super) crops: Option<&'a CropStage>,
    pub(super) stage: &'a ImageStage,
    pub(super) network: Architecture,
    pub(super) seed: u64,
    /// From 1.
    pub(super) fold: usize,
    /// For the log: "images", or which part of a cross-fit.
    pub(super) name: &'a str,
    /// Sets this backbone's streams apart from those of the fold's others.
    pub(super) part: usize,
    pub(super) initial: Option<&'a Initial>,
    /// As in [`super::Settings`].
    pub(super) frozen: &'a [String],
    /// Checkpoints lie here.
    pub(super) folder: PathBuf,
}

/// Whence the cases are, for whoever goes on from the weights.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    /// Their ids.
    pub(super) names: &'a [String],
    /// Of the data: `phantom`, `rsna2022`, `hdn-cspine`, or `mixed`.
    pub(super) kind: &'a str,
}

/// A trained backbone.
pub(super) struct Trained {
    pub(super) backbone: TrainBackbone,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
    pub(super) best: Best,
    /// Every case of which a slice or a crop was shown to it, for training or validation.
    pub(super) fed: BTreeSet<usize>,
    /// The same for all that it learned, here and before.
    pub(super) seen: Seen,
    /// What it learned before whole slices.
    pub(super) crops: Option<LearnedCrops>,
    /// Where it was not trained here.
    pub(super) given: Option<Given>,
}

/// A backbone that is used as it came with `--weights`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    /// Its logits speak of the natural prevalence already.
    pub(super) natural: bool,
    /// For the model card: what is known of its training.
    pub(super) story: serde_json::Value,
}

/// The cases whose slices or crops were shown to a backbone, for training or validation, by id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) cases: BTreeSet<String>,
    /// Of the data, as [`Origin::kind`]; of weights that do not say, `mixed`.
    #[serde(default = "unknown_kinds")]
    pub(super) kinds: BTreeSet<String>,
    /// It began with weights that do not say what they have seen.
    pub(super) and_others: bool,
}

/// What stands beside the tensors of a stage's best state, enough to use the backbone as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StageNote {
    mean: [f32; 3],
    std: [f32; 3],
    seen: Seen,
    best: Best,
}

/// What the crops came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LearnedCrops {
    /// Edge, pixels.
    pub(super) side: usize,
    /// Until the state that was kept.
    pub(super) shown: usize,
    pub(super) best: Best,
}

/// What the pictures of some epochs are.
pub(super) enum Source<'a> {
    Slices(&'a Pools),
    Crops(Crops<'a>),
}

/// What the weights of a lesson are before its first step.
#[derive(Clone, Copy)]
enum Start<'a> {
    Seeded,
    File(&'a Weights),
    /// Of the lesson before.
    After(&'a NamedTensors),
}

/// Epochs over one kind of picture, from the first to the best.
pub(super) struct Lesson<'a> {
    pub(super) cases: &'a [StoredCase],
    origin: Origin<'a>,
    /// By the weights that it begins with.
    seen_before: Seen,
    source: Source<'a>,
    validation: Vec<Shown>,
    pub(super) stage: ImageStage,
    /// Its input is the pictures' edge.
    pub(super) network: Architecture,
    seed: u64,
    pub(super) fold: usize,
    name: String,
    part: usize,
    frozen: &'a [String],
    folder: PathBuf,
    pub(super) normal: Normal,
}

/// How good the kept state is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    /// From 1; 0 is the state before the first step.
    pub(super) epoch: usize,
    #[serde(with = "exact_or_none")]
    pub(super) auc: Option<f64>,
    #[serde(with = "exact")]
    pub(super) loss: f64,
}

/// Numbers that must come back to the last bit, which decimals in JSON do not promise.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(value.to_bits())
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

/// As [`exact`], for what may be missing.
mod exact_or_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        value.map(f64::to_bits).serialize(to)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Option::<u64>::deserialize(from).map(|bits| bits.map(f64::from_bits))
    }
}

impl Best {
    /// A larger AUC, or the same one with a smaller loss; the loss alone where there is one class only.
    pub(super) fn beats(&self, other: Option<&Self>) -> bool {
        let Some(other) = other else { return true };
        match (self.auc, other.auc) {
            (Some(mine), Some(theirs)) if mine != theirs => mine > theirs,
            _ => self.loss < other.loss,
        }
    }
}

/// Where a stage stands; stored beside its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Progress {
    /// From 0.
    epoch: usize,
    /// Batches of this epoch that are done.
    batches: usize,
    /// Optimiser steps.
    steps: u64,
    #[serde(with = "exact")]
    loss_sum: f64,
    loss_count: usize,
    best: Option<Best>,
    /// Epochs since the best.
    waited: usize,
    finished: bool,
    fed: BTreeSet<usize>,
}

impl Progress {
    fn start() -> Self {
        Self {
            epoch: 0,
            batches: 0,
            steps: 0,
            loss_sum: 0.0,
            loss_count: 0,
            best: None,
            waited: 0,
            finished: false,
            fed: BTreeSet::new(),
        }
    }
}

impl ImageJob<'_> {
    /// Trains, or goes on where a checkpoint lies, and gives back the best state.
    ///
    /// # Errors
    /// The loss stopped being a number, a slice or a checkpoint cannot be read or written, or the work was cancelled; a
    /// checkpoint is kept in each case but the first. Crops are asked for and there is no box to cut them by.
    pub(super) fn run(&self, exec: &Exec<'_>) -> Result<Trained, TrainError> {
        if self.stage.steps.epochs == 0 && self.crops.is_none() {
            return self.as_given(exec);
        }
        let normal = statistics(self.cases, &self.pools, exec)?;
        let (start, seen) = match self.initial {
            None => (Start::Seeded, Seen::default()),
            Some(Initial::Network(weights, card)) => (Start::File(weights), Seen::of_network(card)),
            Some(Initial::Stage(tensors, note)) => {
                (Start::After(tensors), note.as_ref().map_or_else(Seen::unknown, |note| note.seen.clone()))
            }
        };
        let Some(stage) = self.crops else { return self.slices(normal, seen).run(start, exec) };
        let lesson = self.crop_lesson(stage, normal, seen.clone())?;
        let Trained { backbone, best, fed, .. } = lesson.run(start, exec)?;
        let learned = backbone.tensors()?;
        // Two of them may be too much for a card.
        drop(backbone);
        let mut trained = self.slices(normal, seen.and(&fed, self.origin)).run(Start::After(&learned), exec)?;
        trained.fed.extend(fed);
        let shown = best.epoch * (stage.epoch_crops - stage.epoch_crops % stage.steps.batch);
        trained.crops = Some(LearnedCrops { side: stage.side, shown, best });
        Ok(trained)
    }

    /// The backbone of the weight file, as it is.
    fn as_given(&self, exec: &Exec<'_>) -> Result<Trained, TrainError> {
        let (backbone, (mean, std), seen, given) = match self.initial {
            Some(Initial::Network(weights, card)) => {
                let backbone = TrainBackbone::from_weights(&self.network, weights, exec.device)?;
                let story = card.json["training"].clone();
                (backbone, (card.mean, card.std), Seen::of_network(card), Given { natural: true, story })
            }
            Some(Initial::Stage(tensors, Some(note))) => {
                let mut backbone = TrainBackbone::new(&self.network, self.seed, exec.device)?;
                backbone.load_tensors(tensors)?;
                let story = serde_json::json!({
                    "kinds": note.seen.kinds, "cases": note.seen.cases.len(), "and_others": note.seen.and_others, "epoch": note.best.epoch,
                    "validation_auc": note.best.auc, "validation_loss": note.best.loss,
                });
                (backbone, (note.mean, note.std), note.seen.clone(), Given { natural: false, story })
            }
            Some(Initial::Stage(_, None)) => {
                return Err(TrainError::Refused(
                    "the checkpoint of --weights does not say how its slices were normalised, so its backbone cannot be used as \
                     it is; a checkpoint of this version of dens or a whole model (RUN/fold-K/model.safetensors) can"
                        .into(),
                ));
            }
            None => {
                return Err(TrainError::Refused("no epoch, and no --weights that could be used as they are".into()));
            }
        };
        let best = Best { epoch: 0, auc: None, loss: f64::NAN };
        Ok(Trained { backbone, mean, std, best, fed: BTreeSet::new(), seen, crops: None, given: Some(given) })
    }

    fn slices(&self, normal: Normal, seen_before: Seen) -> Lesson<'_> {
        let side = self.network.input_side;
        let whole = |&item: &Item| Shown::slice(item, side, Warp::IDENTITY, &[]);
        Lesson {
            cases: self.cases,
            origin: self.origin,
            seen_before,
            source: Source::Slices(&self.pools),
            validation: judges(&self.validation, self.stage.validation_images, self.seed).iter().map(whole).collect(),
            stage: *self.stage,
            network: self.network,
            seed: self.seed,
            fold: self.fold,
            name: self.name.to_owned(),
            part: self.part,
            frozen: self.frozen,
            folder: self.folder.clone(),
            normal,
        }
    }

    fn crop_lesson(&self, stage: &CropStage, normal: Normal, seen_before: Seen) -> Result<Lesson<'_>, TrainError> {
        let sides = Sides { slice: self.network.input_side, crop: stage.side };
        let training = Crops::new(self.cases, &self.pools, sides, stage.augmentation);
        let pools = Pools::new(&self.validation, |case| self.cases[case].head.fractured);
        let validation = training.for_validation(&pools);
        for (part, crops) in [("training part", &training), ("inner validation", &validation)] {
            if crops.boxed() == 0 {
                let number = self.fold;
                return Err(TrainError::OneClass(format!(
                    "fold {number} cannot learn crops: no slice of its {part} is marked as fractured and has a reference box \
                     that a crop of {} pixels shows; data with boxes, more cases or a training without --crops help",
                    stage.side
                )));
            }
        }
        let count = VALIDATION_CROPS.min(2 * VALIDATION_CROPS_PER_SLICE * validation.boxed());
        let folder = self.folder.join("crops");
        std::fs::create_dir_all(&folder).map_err(|error| TrainError::disk(&folder, error))?;
        Ok(Lesson {
            validation: validation.epoch(count, self.seed, VALIDATION_STREAM, 0),
            source: Source::Crops(training),
            stage: stage.as_images(),
            network: Architecture { input_side: stage.side, ..self.network },
            name: self.name.replacen("images", "crops", 1),
            folder,
            ..self.slices(normal, seen_before)
        })
    }
}

impl Lesson<'_> {
    fn last(&self) -> PathBuf {
        self.folder.join("last.safetensors")
    }
    fn best(&self) -> PathBuf {
        self.folder.join("best.safetensors")
    }

    fn run(&self, start: Start<'_>, exec: &Exec<'_>) -> Result<Trained, TrainError> {
        let mut backbone = self.begin(start, exec)?;
        let mut progress = self.resume(&mut backbone)?.unwrap_or_else(Progress::start);
        let mut run = LessonRun { lesson: self, exec, backbone: &mut backbone, saved: Instant::now() };
        while !progress.finished {
            if self.stage.steps.epochs == 0 {
                run.carry_over(&mut progress)?;
            } else {
                run.epoch(&mut progress)?;
            }
        }
        let (tensors, _) = NamedTensors::load(&self.best())?;
        backbone.load_tensors(&tensors)?;
        let best = progress.best.ok_or_else(|| TrainError::Refused("no epoch was kept".into()))?;
        let (mean, std) = self.normal;
        let seen = self.seen_before.and(&progress.fed, self.origin);
        Ok(Trained { backbone, mean, std, best, fed: progress.fed, seen, crops: None, given: None })
    }

    /// For the best state.
    fn note(&self, fed: &BTreeSet<usize>, best: Best) -> Result<String, TrainError> {
        let seen = self.seen_before.and(fed, self.origin);
        let (mean, std) = self.normal;
        let note = serde_json::to_string(&StageNote { mean, std, seen, best });
        note.map_err(|error| TrainError::disk(&self.best(), error.into()))
    }

    fn begin(&self, start: Start<'_>, exec: &Exec<'_>) -> Result<TrainBackbone, TrainError> {
        let mut backbone = match start {
            Start::File(weights) => TrainBackbone::from_weights(&self.network, weights, exec.device)?,
            Start::Seeded | Start::After(_) => TrainBackbone::new(&self.network, self.key(), exec.device)?,
        };
        backbone.set_optimiser(self.stage.steps.optimiser());
        let before = if let Start::After(tensors) = start { Some(tensors) } else { None };
        // A local head that was learned goes on; one that was not begins anew.
        let knows_places = before.is_some_and(|tensors| tensors.0.contains_key(LOCAL_HEAD));
        if let Some(tensors) = before.filter(|_| !knows_places) {
            backbone.load_tensors(tensors)?;
        }
        if self.stage.box_weight > 0.0 {
            backbone.learn_places();
        }
        if let Some(tensors) = before.filter(|_| knows_places) {
            backbone.load_tensors(tensors)?;
        }
        backbone.freeze(self.frozen)?;
        Ok(backbone)
    }

    /// One number for each backbone and kind of picture of a run.
    fn key(&self) -> u64 {
        let purpose = match self.source {
            Source::Slices(_) => "backbone",
            Source::Crops(_) => "crop backbone",
        };
        Stream::named(self.seed, purpose, (self.fold as u64) << 8 | self.part as u64).next_u64()
    }

    /// The pictures of one epoch in order, with their warps.
    fn epoch(&self, epoch: usize) -> Vec<Shown> {
        let (stage, stream) = (&self.stage, (self.fold << 4) | self.part);
        let pools = match &self.source {
            Source::Slices(pools) => pools,
            Source::Crops(crops) => {
                return crops.epoch(stage.epoch_images.unwrap_or_default(), self.seed, stream, epoch);
            }
        };
        let order = pools.epoch(stage.sampling, stage.epoch_images, self.seed, stream, epoch);
        let (key, side) = (self.key(), self.network.input_side);
        // One number for each picture of the whole training.
        let first = epoch * (order.len() / self.batch(order.len())) * stage.steps.batch;
        let shown = |(index, item): (usize, Item)| {
            let warp = stage.augmentation.draw(&mut Stream::named(key, "augmentation", (first + index) as u64));
            Shown::slice(item, side, warp, &self.cases[item.case].head.slices[item.slice].boxes)
        };
        order.into_iter().enumerate().map(shown).collect()
    }

    /// Pictures in a batch where there are so many.
    fn batch(&self, pictures: usize) -> usize {
        self.stage.steps.batch.min(pictures).max(1)
    }

    /// Whole slices as an epoch would show them, un-augmented.
    pub(super) fn sample(&self, limit: usize) -> Vec<Item> {
        let Source::Slices(pools) = &self.source else { return Vec::new() };
        let count = self.stage.epoch_images.unwrap_or(pools.len()).min(limit);
        pools.epoch(self.stage.sampling, Some(count), self.seed, (self.fold << 4) | self.part, 0)
    }

    fn resume(&self, backbone: &mut TrainBackbone) -> Result<Option<Progress>, TrainError> {
        if !self.last().exists() {
            return Ok(None);
        }
        let (tensors, note) = NamedTensors::load(&self.last())?;
        let Ok(progress) = serde_json::from_str::<Progress>(&note) else {
            return Err(TrainError::Refused(format!("{}: not a checkpoint of this program", self.last().display())));
        };
        backbone.load_tensors(&tensors.under("w."))?;
        backbone.load_optimiser_state(&OptimiserState {
            steps: progress.steps,
            first: tensors.under("m."),
            second: tensors.under("v."),
        })?;
        Ok(Some(progress))
    }
}

impl Seen {
    fn unknown() -> Self {
        Self { cases: BTreeSet::new(), kinds: unknown_kinds(), and_others: true }
    }
    /// A whole model names the kind of its data, not the cases.
    fn of_network(card: &ModelCard) -> Self {
        let kind = card.json["training"]["kind"].as_str().map(str::to_owned);
        Self { kinds: kind.map_or_else(unknown_kinds, |kind| BTreeSet::from([kind])), ..Self::unknown() }
    }
    /// With the cases that were shown here.
    fn and(&self, fed: &BTreeSet<usize>, origin: Origin<'_>) -> Self {
        let mut all = self.clone();
        all.cases.extend(fed.iter().filter_map(|&case| origin.names.get(case).cloned()));
        all.kinds.insert(origin.kind.to_owned());
        all
    }
}

fn unknown_kinds() -> BTreeSet<String> {
    BTreeSet::from(["mixed".to_owned()])
}

/// Mean and standard deviation of each channel over the training slices (method A11), from exact counts.
fn statistics(cases: &[StoredCase], pools: &Pools, exec: &Exec<'_>) -> Result<Normal, TrainError> {
    let all: Vec<Item> = [&pools.positive[..], &pools.near, &pools.far].concat();
    let stride = all.len().div_ceil(STATISTICS_SLICES).max(1);
    let chosen: Vec<Item> = all.into_iter().step_by(stride).collect();
    let counts = chosen
        .par_iter()
        .map(|item| {
            exec.ctx.check()?;
            let planes = cases[item.case].planes(item.slice)?;
            let mut counts = vec![0u64; 3 * 256];
            let area = planes.len() / 3;
            planes.iter().enumerate().for_each(|(i, &value)| counts[i / area * 256 + usize::from(value)] += 1);
            Ok(counts)
        })
        .try_reduce(
            || vec![0u64; 3 * 256],
            |mut a, b| {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                Ok::<_, TrainError>(a)
            },
        )?;
    let (mut mean, mut std) = ([0.0; 3], [1.0; 3]);
    for channel in 0..3 {
        let counts = &counts[channel * 256..(channel + 1) * 256];
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let moment = |power: i32| {
            let terms = counts.iter().enumerate().map(|(value, &n)| n as f64 * (value as f64 / 255.0).powi(power));
            terms.sum::<f64>() / total
        };
        let (first, second) = (moment(1), moment(2));
        let sd = (second - first * first).max(0.0).sqrt();
        mean[channel] = first as f32;
        std[channel] = if sd < SMALLEST_STD { 1.0 } else { sd as f32 };
    }
    Ok((mean, std))
}

/// Normalised pictures.
fn pictures(cases: &[StoredCase], shown: &[Shown], side: usize, (mean, std): Normal) -> Result<Vec<f32>, TrainError> {
    let length = 3 * side * side;
    let mut out = vec![0.0; shown.len() * length];
    out.par_chunks_mut(length).zip(shown).try_for_each(|(out, shown)| {
        let planes = cases[shown.item.case].planes(shown.item.slice)?;
        shown.cut.apply(&planes, mean, std, out);
        Ok::<_, TrainError>(())
    })?;
    Ok(out)
}

/// Un-augmented whole slices, normalised.
pub(super) fn whole_slices(
    cases: &[StoredCase],
    items: &[Item],
    side: usize,
    normal: Normal,
) -> Result<Vec<f32>, TrainError> {
    let shown: Vec<Shown> = items.iter().map(|&item| Shown::slice(item, side, Warp::IDENTITY, &[])).collect();
    pictures(cases, &shown, side, normal)
}

/// Logit and features of slices, un-augmented, in their order. `on_done` hears of each batch how many are done in it.
pub(super) fn evaluate(
    backbone: &TrainBackbone,
    cases: &[StoredCase],
    items: &[Item],
    normal: Normal,
    exec: &Exec<'_>,
    on_done: impl Fn(usize),
) -> Result<Vec<Evaluated>, TrainError> {
    let side = backbone.network().input_side;
    let shown: Vec<Shown> = items.iter().map(|&item| Shown::slice(item, side, Warp::IDENTITY, &[])).collect();
    evaluate_shown(backbone, cases, &shown, normal, exec, on_done)
}

fn evaluate_shown(
    backbone: &TrainBackbone,
    cases: &[StoredCase],
    shown: &[Shown],
    normal: Normal,
    exec: &Exec<'_>,
    on_done: impl Fn(usize),
) -> Result<Vec<Evaluated>, TrainError> {
    let side = backbone.network().input_side;
    let mut all = Vec::with_capacity(shown.len());
    for batch in shown.chunks(EVALUATION_BATCH) {
        exec.ctx.check()?;
        all.extend(backbone.evaluate(&pictures(cases, batch, side, normal)?, batch.len())?);
        on_done(batch.len());
    }
    Ok(all)
}

/// Mean binary cross-entropy of logits.
pub(super) fn cross_entropy(logits: &[f64], labels: &[bool]) -> f64 {
    let one = |(&z, &y): (&f64, &bool)| z.max(0.0) - if y { z } else { 0.0 } + libm::log1p(libm::exp(-z.abs()));
    logits.iter().zip(labels).map(one).sum::<f64>() / logits.len().max(1) as f64
}

struct LessonRun<'a> {
    lesson: &'a Lesson<'a>,
    exec: &'a Exec<'a>,
    backbone: &'a mut TrainBackbone,
    saved: Instant,
}

impl LessonRun<'_> {
    /// One epoch with its validation, from wherever `progress` stands in it.
    fn epoch(&mut self, progress: &mut Progress) -> Result<(), TrainError> {
        let (lesson, steps) = (self.lesson, &self.lesson.stage.steps);
        let order = lesson.epoch(progress.epoch);
        // A last batch of few would have a noisy batch norm; the next epoch draws others.
        let batches: Vec<&[Shown]> = order.chunks_exact(lesson.batch(order.len())).collect();
        let total = batches.len() * steps.epochs;
        let started = Instant::now();
        let mut shown = 0;
        let mut rate = 0.0;
        let title = format!("{} epoch {}/{}", lesson.name, progress.epoch + 1, steps.epochs);
        self.exec.tell(Event::Phase { fold: lesson.fold, what: title, total: order.len() });
        self.exec.tell(Event::Batch { done: progress.batches * steps.batch, loss: None });
        while let Some(batch) = batches.get(progress.batches) {
            if self.exec.ctx.check().is_err() || self.saved.elapsed() > CHECKPOINT_EVERY {
                self.save(progress)?;
                self.exec.ctx.check()?;
            }
            rate = steps.rate(progress.epoch, progress.epoch * batches.len() + progress.batches, total);
            let loss = self.batch(batch, rate, progress)?;
            progress.batches += 1;
            progress.loss_sum += loss;
            progress.loss_count += 1;
            shown += batch.len();
            let mean_loss = progress.loss_sum / progress.loss_count as f64;
            self.exec.tell(Event::Batch { done: progress.batches * steps.batch, loss: Some(mean_loss) });
        }
        let training = started.elapsed().as_secs_f64();
        let now = match self.validate(progress, progress.epoch + 1) {
            Ok(now) => now,
            Err(error) => {
                // Cancelled between the last batch and the end of the validation.
                self.save(progress)?;
                return Err(error);
            }
        };
        let better = now.beats(progress.best.as_ref());
        if better {
            self.backbone.tensors()?.save(&lesson.note(&progress.fed, now)?, &lesson.best())?;
            (progress.best, progress.waited) = (Some(now), 0);
        } else {
            progress.waited += 1;
        }
        let row = LogRow {
            fold: lesson.fold,
            stage: lesson.name.clone(),
            epoch: progress.epoch + 1,
            learning_rate: rate,
            train_loss: (progress.loss_count > 0).then(|| progress.loss_sum / progress.loss_count as f64),
            validation_loss: Some(now.loss),
            validation_auc: now.auc,
            best: better,
            items_per_s: shown as f64 / training.max(1e-9),
            seconds: started.elapsed().as_secs_f64(),
        };
        (progress.epoch, progress.batches) = (progress.epoch + 1, 0);
        (progress.loss_sum, progress.loss_count) = (0.0, 0);
        let tired = steps.patience.is_some_and(|patience| progress.waited >= patience);
        progress.finished = tired || progress.epoch >= steps.epochs;
        self.exec.log(row)?;
        self.save(progress)
    }

    /// One step; gives back the batch's loss.
    fn batch(&mut self, shown: &[Shown], rate: f64, progress: &mut Progress) -> Result<f64, TrainError> {
        let (lesson, stage) = (self.lesson, &self.lesson.stage);
        let pictures = pictures(lesson.cases, shown, lesson.network.input_side, lesson.normal)?;
        let targets: Vec<f32> = shown.iter().map(|shown| f32::from(u8::from(shown.item.positive))).collect();
        let weights = vec![1.0; shown.len()];
        let mut dropout = Stream::named(lesson.key(), "dropout", progress.steps);
        progress.fed.extend(shown.iter().map(|shown| shown.item.case));
        let places = (stage.box_weight > 0.0).then(|| self.places(shown));
        let share = stage.steps.dropout as f32;
        let found = self.backbone.gradients(&pictures, &targets, &weights, share, &mut dropout, places.as_ref())?;
        if !found.loss.is_finite() {
            return Err(TrainError::Diverged {
                fold: lesson.fold,
                stage: lesson.name.clone(),
                epoch: progress.epoch + 1,
                batch: progress.batches + 1,
                rate,
            });
        }
        self.backbone.step(rate)?;
        progress.steps += 1;
        Ok(found.loss)
    }

    /// Where the fractures of a batch lie in its pictures.
    fn places(&self, shown: &[Shown]) -> Places {
        let cells = self.backbone.cells_per_edge();
        let of = |shown: &Shown| cell_targets(&shown.boxes, shown.item.positive, cells);
        Places { targets: shown.iter().flat_map(of).collect(), weight: self.lesson.stage.box_weight as f32 }
    }

    /// No epoch: the backbone as it came, made to fit whole slices.
    fn carry_over(&mut self, progress: &mut Progress) -> Result<(), TrainError> {
        let started = Instant::now();
        progress.fed.extend(super::transfer::fit_to_slices(self.lesson, self.backbone, self.exec)?);
        let now = self.validate(progress, 0)?;
        self.backbone.tensors()?.save(&self.lesson.note(&progress.fed, now)?, &self.lesson.best())?;
        (progress.best, progress.finished) = (Some(now), true);
        self.exec.log(LogRow {
            fold: self.lesson.fold,
            stage: self.lesson.name.clone(),
            epoch: 0,
            learning_rate: 0.0,
            train_loss: None,
            validation_loss: Some(now.loss),
            validation_auc: now.auc,
            best: true,
            items_per_s: self.lesson.validation.len() as f64 / started.elapsed().as_secs_f64().max(1e-9),
            seconds: started.elapsed().as_secs_f64(),
        })?;
        self.save(progress)
    }

    fn validate(&self, progress: &mut Progress, epoch: usize) -> Result<Best, TrainError> {
        let lesson = self.lesson;
        let title = format!("{} validation", lesson.name);
        self.exec.tell(Event::Phase { fold: lesson.fold, what: title, total: lesson.validation.len() });
        progress.fed.extend(lesson.validation.iter().map(|shown| shown.item.case));
        let done = std::cell::Cell::new(0);
        let found =
            evaluate_shown(self.backbone, lesson.cases, &lesson.validation, lesson.normal, self.exec, |count| {
                done.set(done.get() + count);
                self.exec.tell(Event::Batch { done: done.get(), loss: None });
            })?;
        let logits: Vec<f64> = found.iter().map(|one| f64::from(one.logit)).collect();
        let labels: Vec<bool> = lesson.validation.iter().map(|shown| shown.item.positive).collect();
        let loss = cross_entropy(&logits, &labels);
        Ok(Best { epoch, auc: roc_auc(&logits, &labels), loss })
    }

    /// Writes the whole state; what was there stays until the new one is complete.
    fn save(&mut self, progress: &Progress) -> Result<(), TrainError> {
        let state = self.backbone.optimiser_state()?;
        let mut all = NamedTensors::default();
        all.absorb("w.", self.backbone.tensors()?);
        all.absorb("m.", state.first);
        all.absorb("v.", state.second);
        let note = serde_json::to_string(&Progress { steps: state.steps, ..progress.clone() });
        all.save(
            &note.map_err(std::io::Error::other).map_err(|e| TrainError::disk(&self.lesson.folder, e))?,
            &self.lesson.last(),
        )?;
        self.saved = Instant::now();
        Ok(())
    }
}

/// What `--weights` named.
pub(super) enum Initial {
    Network(Weights, Box<ModelCard>),
    /// The best backbone of a stage of another run, with its local head, and what stands beside it.
    Stage(NamedTensors, Option<StageNote>),
}

/// Weights to begin from, if they have this backbone.
pub(super) fn initial(path: &Path, network: &Architecture) -> Result<Initial, TrainError> {
    if let Ok((tensors, note)) = NamedTensors::load(path)
        && tensors.0.contains_key(FIRST_LAYER)
        && !tensors.0.contains_key(HEAD)
    {
        let mut trial = TrainBackbone::new(network, 0, DevicePreference::Cpu)?;
        return match trial.load_tensors(&tensors) {
            Ok(()) => Ok(Initial::Stage(tensors, serde_json::from_str(&note).ok())),
            Err(error) => {
                let (name, ours) = (path.display(), network.backbone.name());
                Err(TrainError::Refused(format!("{name}: a stage's weights, but not of {ours} ({error})")))
            }
        };
    }
    let (weights, card, _) = Weights::load(path)?;
    if card.network.backbone != network.backbone {
        let (theirs, ours) = (card.network.backbone.name(), network.backbone.name());
        return Err(TrainError::Refused(format!("{}: its backbone is {theirs}, not {ours}", path.display())));
    }
    Ok(Initial::Network(weights, Box::new(card)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_validation_is_half_positive_as_far_as_there_are_such() {
        let items = |count: usize| -> Vec<Item> {
            (0..count).map(|slice| Item { case: 0, slice, positive: slice % 3 == 0 }).collect::<Vec<_>>()
        };
        let all = items(60);
        let count = |chosen: &[Item]| (chosen.len(), chosen.iter().filter(|item| item.positive).count());
        assert_eq!(judges(&all, None, 1), all);
        assert_eq!(judges(&all, Some(60), 1), all);
        assert_eq!(count(&judges(&all, Some(30), 1)), (30, 15));
        // Twenty positives at most; where negatives are missing positives make up for them.
        assert_eq!(count(&judges(&all, Some(50), 1)), (50, 20));
        let few: Vec<Item> = all.iter().filter(|item| item.positive || item.slice < 5).copied().collect();
        assert_eq!(count(&judges(&few, Some(20), 1)), (20, 17));
        let chosen = judges(&all, Some(30), 1);
        assert!(chosen.is_sorted_by_key(|item| item.slice) && chosen == judges(&all, Some(30), 1));
        assert_ne!(chosen, judges(&all, Some(30), 2));
    }
}
