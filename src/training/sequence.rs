//! Stage 2: the sequence network learns cases from the features of the frozen backbone.

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::images::{Best, cross_entropy};
use super::log::LogRow;
use super::settings::CaseStage;
use super::{Event, Exec, TrainError};
use crate::evaluation::roc_auc;
use crate::model::{
    Architecture, NamedTensors, OptimiserState, Pooling, SequenceCase, TrainSequence, fold_feature_scaling,
};
use crate::random::Stream;

/// A feature that varies less than this over all training slices is dead and only centred.
const SMALLEST_STD: f64 = 1e-6;
/// Cases per forward pass outside training.
const EVALUATION_BATCH: usize = 16;

/// What stage 2 sees of a case, head to feet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CaseFeatures {
    /// `slices * features`.
    pub(super) features: Vec<f32>,
    /// One per slice, already speaking of the natural prevalence.
    pub(super) logits: Vec<f32>,
    pub(super) positive: bool,
}

/// What one sequence network is trained from.
pub(super) struct CaseJob<'a> {
    pub(super) train: Vec<CaseFeatures>,
    pub(super) validation: Vec<CaseFeatures>,
    pub(super) stage: &'a CaseStage,
    pub(super) network: Architecture,
    pub(super) seed: u64,
    /// From 1.
    pub(super) fold: usize,
    /// Checkpoints lie here.
    pub(super) folder: PathBuf,
}

/// Where the stage stands; stored beside its tensors after each epoch, which takes seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Progress {
    /// From 0.
    epoch: usize,
    steps: u64,
    best: Option<Best>,
    waited: usize,
    finished: bool,
}

impl CaseJob<'_> {
    /// Trains, or goes on where a checkpoint lies. Gives back the best state, which takes features as the backbone gives them,
    /// and how good it is.
    ///
    /// # Errors
    /// As stage 1.
    pub(super) fn run(mut self, exec: &Exec<'_>) -> Result<(NamedTensors, Best), TrainError> {
        let scaling = self.stage.scale_features.then(|| Scaling::of(&self.train, self.network.features()));
        if let Some(scaling) = &scaling {
            self.train.iter_mut().chain(&mut self.validation).for_each(|case| scaling.apply(&mut case.features));
        }
        let mut sequence = TrainSequence::new(&self.network, self.stream_index())?;
        sequence.set_optimiser(self.stage.steps.optimiser());
        let mut progress = match self.resume(&mut sequence)? {
            Some(progress) => progress,
            None => self.begin(&mut sequence, exec)?,
        };
        while !progress.finished {
            self.epoch(&mut sequence, &mut progress, exec)?;
        }
        let (mut tensors, _) = NamedTensors::load(&self.folder.join("best-cases.safetensors"))?;
        if let Some(scaling) = &scaling {
            fold_feature_scaling(&mut tensors, &scaling.mean, &scaling.std)?;
        }
        let best = progress.best.ok_or_else(|| TrainError::Refused("no epoch was kept".into()))?;
        Ok((tensors, best))
    }

    fn stream_index(&self) -> u64 {
        Stream::named(self.seed, "sequence", self.fold as u64).next_u64()
    }

    /// The state before the first step counts as an epoch where it already says something: what the slices say.
    fn begin(&self, sequence: &mut TrainSequence, exec: &Exec<'_>) -> Result<Progress, TrainError> {
        let mut progress = Progress { epoch: 0, steps: 0, best: None, waited: 0, finished: false };
        if self.network.pooling == Pooling::TopkResidual {
            let cases: Vec<SequenceCase<'_>> = self.train.iter().map(CaseFeatures::view).collect();
            let positive = self.train.iter().filter(|case| case.positive).count();
            sequence.fit_prior(&cases, positive as f64 / cases.len().max(1) as f64)?;
            let now = self.validate(sequence, 0)?;
            self.keep(sequence, &mut progress, now)?;
            exec.log(self.row(0, 0.0, None, &now, true, 0.0))?;
        }
        Ok(progress)
    }

    fn resume(&self, sequence: &mut TrainSequence) -> Result<Option<Progress>, TrainError> {
        let path = self.folder.join("last-cases.safetensors");
        if !path.exists() {
            return Ok(None);
        }
        let (tensors, note) = NamedTensors::load(&path)?;
        let Ok(progress) = serde_json::from_str::<Progress>(&note) else {
            return Err(TrainError::Refused(format!("{}: not a checkpoint of this program", path.display())));
        };
        sequence.load_tensors(&tensors.under("w."))?;
        let (first, second) = (tensors.under("m."), tensors.under("v."));
        sequence.load_optimiser_state(&OptimiserState { steps: progress.steps, first, second })?;
        Ok(Some(progress))
    }

    fn epoch(&self, sequence: &mut TrainSequence, progress: &mut Progress, exec: &Exec<'_>) -> Result<(), TrainError> {
        let steps = &self.stage.steps;
        let mut order: Vec<usize> = (0..self.train.len()).collect();
        Stream::named(self.stream_index(), "order", progress.epoch as u64).shuffle(&mut order);
        let batches: Vec<&[usize]> = order.chunks(steps.batch).collect();
        let total = batches.len() * steps.epochs;
        let started = Instant::now();
        let title = format!("cases epoch {}/{}", progress.epoch + 1, steps.epochs);
        exec.tell(Event::Phase { fold: self.fold, what: title, total: order.len() });
        let (mut loss_sum, mut rate, mut done) = (0.0, 0.0, 0);
        for (index, batch) in batches.iter().enumerate() {
            exec.ctx.check()?;
            rate = steps.rate(progress.epoch, progress.epoch * batches.len() + index, total);
            let cases: Vec<SequenceCase<'_>> = batch.iter().map(|&case| self.train[case].view()).collect();
            let targets: Vec<f32> = batch.iter().map(|&case| f32::from(u8::from(self.train[case].positive))).collect();
            let mut dropout = Stream::named(self.stream_index(), "dropout", progress.steps);
            let weights = vec![1.0; batch.len()];
            let found = sequence.gradients(&cases, &targets, &weights, steps.dropout as f32, &mut dropout)?;
            if !found.loss.is_finite() {
                let (epoch, batch) = (progress.epoch + 1, index + 1);
                return Err(TrainError::Diverged { fold: self.fold, stage: "cases".into(), epoch, batch, rate });
            }
            sequence.step(rate);
            progress.steps += 1;
            loss_sum += found.loss * batch.len() as f64;
            done += batch.len();
            exec.tell(Event::Batch { done, loss: Some(loss_sum / done as f64) });
        }
        let now = self.validate(sequence, progress.epoch + 1)?;
        let better = now.beats(progress.best.as_ref());
        if better {
            self.keep(sequence, progress, now)?;
        } else {
            progress.waited += 1;
        }
        progress.epoch += 1;
        let tired = steps.patience.is_some_and(|patience| progress.waited >= patience);
        progress.finished = tired || progress.epoch >= steps.epochs;
        let seconds = started.elapsed().as_secs_f64();
        let loss = loss_sum / done.max(1) as f64;
        exec.log(self.row(progress.epoch, rate, Some(loss), &now, better, seconds))?;
        self.save(sequence, progress)
    }

    fn row(
        &self,
        epoch: usize,
        learning_rate: f64,
        train_loss: Option<f64>,
        now: &Best,
        best: bool,
        seconds: f64,
    ) -> LogRow {
        LogRow {
            fold: self.fold,
            stage: "cases".into(),
            epoch,
            learning_rate,
            train_loss,
            validation_loss: Some(now.loss),
            validation_auc: now.auc,
            best,
            items_per_s: if seconds > 0.0 { self.train.len() as f64 / seconds } else { 0.0 },
            seconds,
        }
    }

    fn validate(&self, sequence: &TrainSequence, epoch: usize) -> Result<Best, TrainError> {
        let mut logits = Vec::with_capacity(self.validation.len());
        for batch in self.validation.chunks(EVALUATION_BATCH) {
            let cases: Vec<SequenceCase<'_>> = batch.iter().map(CaseFeatures::view).collect();
            logits.extend(sequence.evaluate(&cases)?.into_iter().map(f64::from));
        }
        let labels: Vec<bool> = self.validation.iter().map(|case| case.positive).collect();
        Ok(Best { epoch, auc: roc_auc(&logits, &labels), loss: cross_entropy(&logits, &labels) })
    }

    fn keep(&self, sequence: &TrainSequence, progress: &mut Progress, now: Best) -> Result<(), TrainError> {
        sequence.tensors().save("", &self.folder.join("best-cases.safetensors"))?;
        (progress.best, progress.waited) = (Some(now), 0);
        Ok(())
    }

    fn save(&self, sequence: &TrainSequence, progress: &Progress) -> Result<(), TrainError> {
        let state = sequence.optimiser_state();
        let mut all = NamedTensors::default();
        all.absorb("w.", sequence.tensors());
        all.absorb("m.", state.first);
        all.absorb("v.", state.second);
        let note = serde_json::to_string(progress).map_err(std::io::Error::other);
        let note = note.map_err(|error| TrainError::disk(&self.folder, error))?;
        Ok(all.save(&note, &self.folder.join("last-cases.safetensors"))?)
    }
}

impl CaseFeatures {
    fn view(&self) -> SequenceCase<'_> {
        SequenceCase { features: &self.features, logits: &self.logits }
    }
}

/// Mean and standard deviation of each feature over the training slices (method A26).
#[derive(Debug, Clone, PartialEq)]
struct Scaling {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Scaling {
    fn of(cases: &[CaseFeatures], width: usize) -> Self {
        let slices = || cases.iter().flat_map(|case| case.features.chunks_exact(width));
        let count = slices().count().max(1) as f64;
        let mut mean = vec![0.0f64; width];
        slices().for_each(|slice| mean.iter_mut().zip(slice).for_each(|(m, &v)| *m += f64::from(v)));
        mean.iter_mut().for_each(|m| *m /= count);
        let mut variance = vec![0.0f64; width];
        for slice in slices() {
            for ((sum, &value), mean) in variance.iter_mut().zip(slice).zip(&mean) {
                *sum += (f64::from(value) - mean) * (f64::from(value) - mean);
            }
        }
        let std = |sum: &f64| if (sum / count).sqrt() < SMALLEST_STD { 1.0 } else { (sum / count).sqrt() as f32 };
        Self { std: variance.iter().map(std).collect(), mean: mean.iter().map(|&m| m as f32).collect() }
    }

    fn apply(&self, features: &mut [f32]) {
        for slice in features.chunks_exact_mut(self.mean.len().max(1)) {
            for ((value, mean), std) in slice.iter_mut().zip(&self.mean).zip(&self.std) {
                *value = (*value - mean) / std;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_features_have_mean_zero_and_variance_one() {
        let mut stream = Stream::named(1, "test", 0);
        let mut case = || CaseFeatures {
            features: (0..40 * 3)
                .map(|i| if i % 3 == 2 { 7.0 } else { (5.0 + 2.0 * stream.normal()) as f32 })
                .collect(),
            logits: vec![0.0; 40],
            positive: false,
        };
        let mut cases = vec![case(), case()];
        let scaling = Scaling::of(&cases, 3);
        cases.iter_mut().for_each(|case| scaling.apply(&mut case.features));
        let again = Scaling::of(&cases, 3);
        assert!(again.mean.iter().all(|m| m.abs() < 1e-5), "{again:?}");
        assert!((again.std[0] - 1.0).abs() < 1e-5 && (again.std[1] - 1.0).abs() < 1e-5);
        // The dead feature is centred and not blown up.
        assert!(cases[0].features.iter().skip(2).step_by(3).all(|&v| v == 0.0));
    }
}
