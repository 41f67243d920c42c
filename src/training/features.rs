//! What a backbone makes of the stored slices of cases, kept on the disk: stage 2 learns from it, and the predictions of the
//! inner validation and of the test part are read from it.

use std::path::PathBuf;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::images::Trained;
use super::sequence::CaseFeatures;
use super::{Case, Event, Exec, TrainError};
use crate::evaluation::hottest_cell_touches;
use crate::model::{Architecture, ModelCard, NamedTensors, Network, TrainSequence, Weights};

/// Slices per forward pass.
const BATCH: usize = 16;

/// A backbone as a program will run it, which is quicker than one that can learn, and where its features lie.
pub(super) struct Features<'a> {
    cases: &'a [Case],
    network: Network,
    folder: PathBuf,
    /// Of everything but the case that a case's features depend on.
    hash: String,
    /// Added to the slices' logits: what turns the prevalence that was learned into the natural one.
    shift: f32,
    fold: usize,
}

/// What the backbone makes of the slices of one case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SliceFeatures {
    /// `slices * features`.
    pub(super) features: Vec<f32>,
    /// One per slice, speaking of the natural prevalence.
    pub(super) logits: Vec<f32>,
    /// Whether the hottest cell of the heatmap touches a reference box, where there is one.
    pub(super) peak_in_box: Vec<Option<bool>>,
}

impl<'a> Features<'a> {
    /// # Errors
    /// A tensor of the backbone is missing, the folder cannot be made, or the device failed.
    pub(super) fn new(
        (cases, fold): (&'a [Case], usize),
        (network, trained): (&Architecture, &Trained),
        folder: PathBuf,
        shift: f32,
        exec: &Exec<'_>,
    ) -> Result<Self, TrainError> {
        std::fs::create_dir_all(&folder).map_err(|error| TrainError::disk(&folder, error))?;
        let mut tensors = trained.backbone.tensors()?;
        let backbone = digest(&tensors, trained);
        // A sequence network of its own is not there yet and not asked.
        tensors.absorb("", TrainSequence::new(network, 0)?.tensors());
        let weights = Weights::from_tensors(network, &tensors)?;
        let card = ModelCard::template(network, trained.mean, trained.std);
        let card = ModelCard::from_json(card).map_err(TrainError::Refused)?;
        let network = Network::from_weights(&weights, card, exec.device)?;
        // Precisions differ, and so do devices.
        let hash = format!("{backbone} {}", network.device_name());
        Ok(Self { cases, network, folder, hash, shift, fold })
    }

    /// Of every stored slice of some cases, from the disk where this backbone made them before.
    ///
    /// # Errors
    /// Slices cannot be read, the disk is full, or the work was cancelled; what is there stays.
    pub(super) fn of(&self, cases: &[usize], what: &str, exec: &Exec<'_>) -> Result<Vec<SliceFeatures>, TrainError> {
        exec.tell(Event::Phase { fold: self.fold, what: what.to_owned(), total: cases.len() });
        let mut all = Vec::with_capacity(cases.len());
        for (done, case) in cases.iter().filter_map(|&case| self.cases.get(case)).enumerate() {
            let name = hex::encode(&Sha256::digest(case.id.as_bytes())[..8]);
            let path = self.folder.join(format!("{name}.safetensors"));
            let note = format!("{} {}", self.hash, case.stored.key());
            let kept = NamedTensors::load(&path).ok().filter(|(_, found)| *found == note).map(|(tensors, _)| tensors);
            let tensors = match kept {
                Some(tensors) => tensors,
                None => {
                    let tensors = self.make(case, exec)?;
                    tensors.save(&note, &path)?;
                    tensors
                }
            };
            let peak = |&value: &f32| if value < 0.0 { None } else { Some(value > 0.0) };
            all.push(SliceFeatures {
                features: tensors.values("features")?.to_vec(),
                logits: tensors.values("logits")?.iter().map(|logit| logit + self.shift).collect(),
                peak_in_box: tensors.values("peak_in_box")?.iter().map(peak).collect(),
            });
            exec.tell(Event::Batch { done: done + 1, loss: None });
        }
        Ok(all)
    }

    fn make(&self, case: &Case, exec: &Exec<'_>) -> Result<NamedTensors, TrainError> {
        let count = case.stored.head.slices.len();
        let (mut features, mut logits, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
        let side = self.network.card().network.input_side as f64;
        for first in (0..count).step_by(BATCH) {
            exec.ctx.check()?;
            let batch: Vec<usize> = (first..count.min(first + BATCH)).collect();
            let planes: Vec<Vec<u8>> =
                batch.par_iter().map(|&slice| case.stored.planes(slice)).collect::<Result<_, _>>()?;
            let values: Vec<f32> = planes.iter().flatten().map(|&value| f32::from(value) / 255.0).collect();
            let found = self.network.forward_slices(&values, batch.len())?;
            for (one, stored) in found.into_iter().zip(&case.stored.head.slices[first..]) {
                let cells = [one.cam_size; 2];
                let peak = hottest_cell_touches(&one.cam, cells, [0.0, 0.0, side, side], &stored.boxes);
                peaks.push(peak.map_or(-1.0, |inside| f32::from(u8::from(inside))));
                logits.push(one.logit);
                features.extend(one.features);
            }
        }
        let mut tensors = NamedTensors::default();
        tensors.insert("features", vec![count, features.len() / count.max(1)], features);
        tensors.insert("logits", vec![count], logits);
        tensors.insert("peak_in_box", vec![count], peaks);
        Ok(tensors)
    }
}

impl SliceFeatures {
    /// As stage 2 takes them.
    pub(super) fn labelled(&self, positive: bool) -> CaseFeatures {
        CaseFeatures { features: self.features.clone(), logits: self.logits.clone(), positive }
    }
}

/// SHA-256 of the tensors by name and value and of how slices are normalised.
fn digest(tensors: &NamedTensors, trained: &Trained) -> String {
    let mut hash = Sha256::new();
    for (name, (_, values)) in &tensors.0 {
        hash.update(name.as_bytes());
        values.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    trained.mean.iter().chain(&trained.std).for_each(|value| hash.update(value.to_le_bytes()));
    hex::encode(hash.finalize())
}
