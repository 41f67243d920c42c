//! Stage 1: the backbone learns single slices.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::Warp;
use super::cache::StoredCase;
use super::log::LogRow;
use super::places::cell_targets;
use super::sampler::{Item, Pools};
use super::settings::ImageStage;
use super::{Event, Exec, TrainError};
use crate::evaluation::roc_auc;
use crate::model::{Architecture, Evaluated, NamedTensors, OptimiserState, Places, TrainBackbone, Weights};
use crate::random::Stream;

/// Slices per forward pass outside training.
const EVALUATION_BATCH: usize = 32;
/// A checkpoint at least so often; what a power failure costs.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(120);
/// Slices that mean and standard deviation are measured on.
const STATISTICS_SLICES: usize = 4000;
/// Below this a channel counts as constant.
const SMALLEST_STD: f64 = 1e-3;

/// What one backbone is trained from.
pub(super) struct ImageJob<'a> {
    pub(super) cases: &'a [StoredCase],
    pub(super) pools: Pools,
    /// Labelled slices of the inner validation.
    pub(super) validation: Vec<Item>,
    pub(super) stage: &'a ImageStage,
    pub(super) network: Architecture,
    pub(super) seed: u64,
    /// From 1.
    pub(super) fold: usize,
    /// For the log: "images", or which part of a cross-fit.
    pub(super) name: &'a str,
    /// Sets this backbone's streams apart from those of the fold's others.
    pub(super) part: usize,
    pub(super) initial: Option<&'a Weights>,
    /// Checkpoints lie here.
    pub(super) folder: PathBuf,
}

/// A trained backbone.
pub(super) struct Trained {
    pub(super) backbone: TrainBackbone,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
    pub(super) best: Best,
    /// Every case of which a slice was shown to it, for training or validation.
    pub(super) fed: BTreeSet<usize>,
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
    fn last(&self) -> PathBuf {
        self.folder.join("last.safetensors")
    }
    fn best(&self) -> PathBuf {
        self.folder.join("best.safetensors")
    }

    /// Trains, or goes on where a checkpoint lies, and gives back the best state.
    ///
    /// # Errors
    /// The loss stopped being a number, a slice or a checkpoint cannot be read or written, or the work was cancelled; a
    /// checkpoint is kept in each case but the first.
    pub(super) fn run(&self, exec: &Exec<'_>) -> Result<Trained, TrainError> {
        let (mean, std) = self.statistics(exec)?;
        let mut backbone = match self.initial {
            Some(weights) => TrainBackbone::from_weights(&self.network, weights, exec.device)?,
            None => TrainBackbone::new(&self.network, self.stream_index(), exec.device)?,
        };
        backbone.set_optimiser(self.stage.steps.optimiser());
        if self.stage.box_weight > 0.0 {
            backbone.learn_places();
        }
        let mut progress = self.resume(&mut backbone)?.unwrap_or_else(Progress::start);
        let mut run = ImageRun { job: self, exec, mean, std, backbone: &mut backbone, saved: Instant::now() };
        while !progress.finished {
            run.epoch(&mut progress)?;
        }
        let (tensors, _) = NamedTensors::load(&self.best())?;
        backbone.load_tensors(&tensors)?;
        let best = progress.best.ok_or_else(|| TrainError::Refused("no epoch was kept".into()))?;
        Ok(Trained { backbone, mean, std, best, fed: progress.fed })
    }

    /// One number for each backbone of a run.
    fn stream_index(&self) -> u64 {
        Stream::named(self.seed, "backbone", (self.fold as u64) << 8 | self.part as u64).next_u64()
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

    /// Mean and standard deviation of each channel over the training slices (method A11), from exact counts.
    fn statistics(&self, exec: &Exec<'_>) -> Result<([f32; 3], [f32; 3]), TrainError> {
        let all: Vec<Item> = [&self.pools.positive[..], &self.pools.near, &self.pools.far].concat();
        let stride = all.len().div_ceil(STATISTICS_SLICES).max(1);
        let chosen: Vec<Item> = all.into_iter().step_by(stride).collect();
        let counts = chosen
            .par_iter()
            .map(|item| {
                exec.ctx.check()?;
                let planes = self.cases[item.case].planes(item.slice)?;
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
}

/// Normalised pictures of some slices, each changed by its warp.
fn pictures(
    cases: &[StoredCase],
    items: &[Item],
    side: usize,
    (mean, std): ([f32; 3], [f32; 3]),
    warp: impl Fn(usize) -> Warp + Sync,
) -> Result<Vec<f32>, TrainError> {
    let length = 3 * side * side;
    let mut out = vec![0.0; items.len() * length];
    out.par_chunks_mut(length).zip(items).enumerate().try_for_each(|(index, (out, item))| {
        let planes = cases[item.case].planes(item.slice)?;
        warp(index).apply(&planes, side, mean, std, out);
        Ok::<_, TrainError>(())
    })?;
    Ok(out)
}

/// Logit and features of slices, un-augmented, in their order. `on_done` hears how many are done.
pub(super) fn evaluate(
    backbone: &TrainBackbone,
    cases: &[StoredCase],
    items: &[Item],
    normal: ([f32; 3], [f32; 3]),
    exec: &Exec<'_>,
    on_done: impl Fn(usize),
) -> Result<Vec<Evaluated>, TrainError> {
    let side = backbone.network().input_side;
    let mut all = Vec::with_capacity(items.len());
    for batch in items.chunks(EVALUATION_BATCH) {
        exec.ctx.check()?;
        let pictures = pictures(cases, batch, side, normal, |_| Warp::IDENTITY)?;
        all.extend(backbone.evaluate(&pictures, batch.len())?);
        on_done(batch.len());
    }
    Ok(all)
}

/// Mean binary cross-entropy of logits.
pub(super) fn cross_entropy(logits: &[f64], labels: &[bool]) -> f64 {
    let one = |(&z, &y): (&f64, &bool)| z.max(0.0) - if y { z } else { 0.0 } + libm::log1p(libm::exp(-z.abs()));
    logits.iter().zip(labels).map(one).sum::<f64>() / logits.len().max(1) as f64
}

struct ImageRun<'a> {
    job: &'a ImageJob<'a>,
    exec: &'a Exec<'a>,
    mean: [f32; 3],
    std: [f32; 3],
    backbone: &'a mut TrainBackbone,
    saved: Instant,
}

impl ImageRun<'_> {
    /// One epoch with its validation, from wherever `progress` stands in it.
    fn epoch(&mut self, progress: &mut Progress) -> Result<(), TrainError> {
        let (job, steps) = (self.job, &self.job.stage.steps);
        let stream = (job.fold << 4) | job.part;
        let order = job.pools.epoch(job.stage.sampling, job.stage.epoch_images, job.seed, stream, progress.epoch);
        // A last batch of few would have a noisy batch norm; the next epoch draws others.
        let batches: Vec<&[Item]> = order.chunks_exact(steps.batch.min(order.len()).max(1)).collect();
        let total = batches.len() * steps.epochs;
        let started = Instant::now();
        let mut shown = 0;
        let mut rate = 0.0;
        let title = format!("{} epoch {}/{}", job.name, progress.epoch + 1, steps.epochs);
        self.exec.tell(Event::Phase { fold: job.fold, what: title, total: order.len() });
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
        let now = match self.validate(progress) {
            Ok(now) => now,
            Err(error) => {
                // Cancelled between the last batch and the end of the validation.
                self.save(progress)?;
                return Err(error);
            }
        };
        let better = now.beats(progress.best.as_ref());
        if better {
            self.backbone.tensors()?.save("", &job.best())?;
            (progress.best, progress.waited) = (Some(now), 0);
        } else {
            progress.waited += 1;
        }
        let row = LogRow {
            fold: job.fold,
            stage: job.name.to_owned(),
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
    fn batch(&mut self, items: &[Item], rate: f64, progress: &mut Progress) -> Result<f64, TrainError> {
        let (job, stage) = (self.job, self.job.stage);
        let key = job.stream_index();
        let first = progress.steps * stage.steps.batch as u64;
        let warp =
            |index: usize| stage.augmentation.draw(&mut Stream::named(key, "augmentation", first + index as u64));
        let pictures = pictures(job.cases, items, job.network.input_side, (self.mean, self.std), warp)?;
        let targets: Vec<f32> = items.iter().map(|item| f32::from(u8::from(item.positive))).collect();
        let weights = vec![1.0; items.len()];
        let mut dropout = Stream::named(key, "dropout", progress.steps);
        progress.fed.extend(items.iter().map(|item| item.case));
        let places = (stage.box_weight > 0.0).then(|| self.places(items, warp));
        let share = stage.steps.dropout as f32;
        let found = self.backbone.gradients(&pictures, &targets, &weights, share, &mut dropout, places.as_ref())?;
        if !found.loss.is_finite() {
            return Err(TrainError::Diverged {
                fold: job.fold,
                stage: job.name.to_owned(),
                epoch: progress.epoch + 1,
                batch: progress.batches + 1,
                rate,
            });
        }
        self.backbone.step(rate)?;
        progress.steps += 1;
        Ok(found.loss)
    }

    /// Where the fractures of a batch lie after each picture's warp.
    fn places(&self, items: &[Item], warp: impl Fn(usize) -> Warp) -> Places {
        let (side, cells) = (self.job.network.input_side, self.backbone.cells_per_edge());
        let of = |(index, item): (usize, &Item)| {
            let boxes = &self.job.cases[item.case].head.slices[item.slice].boxes;
            cell_targets(boxes, item.positive, &warp(index), side, cells)
        };
        Places { targets: items.iter().enumerate().flat_map(of).collect(), weight: self.job.stage.box_weight as f32 }
    }

    fn validate(&self, progress: &mut Progress) -> Result<Best, TrainError> {
        let job = self.job;
        let title = format!("{} validation", job.name);
        self.exec.tell(Event::Phase { fold: job.fold, what: title, total: job.validation.len() });
        progress.fed.extend(job.validation.iter().map(|item| item.case));
        let done = std::cell::Cell::new(0);
        let normal = (self.mean, self.std);
        let found = evaluate(self.backbone, job.cases, &job.validation, normal, self.exec, |count| {
            done.set(done.get() + count);
            self.exec.tell(Event::Batch { done: done.get(), loss: None });
        })?;
        let logits: Vec<f64> = found.iter().map(|one| f64::from(one.logit)).collect();
        let labels: Vec<bool> = job.validation.iter().map(|item| item.positive).collect();
        let loss = cross_entropy(&logits, &labels);
        Ok(Best { epoch: progress.epoch + 1, auc: roc_auc(&logits, &labels), loss })
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
            &note.map_err(std::io::Error::other).map_err(|e| TrainError::disk(&self.job.folder, e))?,
            &self.job.last(),
        )?;
        self.saved = Instant::now();
        Ok(())
    }
}

/// Weights to begin from, if they have this backbone.
pub(super) fn initial(path: &Path, network: &Architecture) -> Result<Weights, TrainError> {
    let (weights, card, _) = Weights::load(path)?;
    if card.network.backbone != network.backbone {
        let (theirs, ours) = (card.network.backbone.name(), network.backbone.name());
        return Err(TrainError::Refused(format!("{}: its backbone is {theirs}, not {ours}", path.display())));
    }
    Ok(weights)
}
