//! The network (ResNet-50, BLSTM, Grad-CAM), its weight files and the device it runs on.
//! With `training`, the only place that knows candle.
//!
//! `architecture` says what a network is made of, `resnet` wires the layers, `cpu` runs them on the CPU and `conv` by
//! candle's kernels elsewhere, `gradcam` reads logit and heat off
//! the last maps, `blstm` and `pooling` join the slices, `checkpoint` and `card` are the weight file, `init` makes
//! untrained weights, `device` chooses where to run. `train` holds the layers that learn, with `matmul` for their
//! products.

use std::path::{Path, PathBuf};

mod architecture;
mod blstm;
mod card;
mod checkpoint;
mod conv;
mod cpu;
mod device;
mod golden;
mod gradcam;
mod import;
mod init;
mod matmul;
mod ood;
mod operating;
mod pooling;
mod resnet;
mod train;

pub use architecture::{Architecture, Backbone, Pooling, UNITS};
pub use blstm::Blstm;
pub use card::UNTRAINED;
pub use checkpoint::{CARD_KEY, Weights};
pub use import::{CONVERTER, ImportOptions, ImportReport, import};
pub use ood::FeatureDistance;
pub use operating::POINTS;
pub use resnet::FEATURES;
pub use train::{
    AdamOptions, BatchLoss, Evaluated, NamedTensors, OptimiserState, Places, SequenceCase, TrainBackbone,
    TrainSequence, cosine, fold_feature_scaling, step_decay,
};

use resnet::Pictures;

/// Where to run, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DevicePreference {
    #[default]
    Auto,
    /// The CPU, f32.
    Cpu,
    /// The CPU with weights and activations in bfloat16 where it multiplies them, which is about twice as fast.
    CpuHalf,
    Cuda,
    Metal,
}

/// A trained (or seeded) network on a device. Cheap to share by `Arc`; forward calls take `&self`.
pub struct Network {
    placed: device::Placed,
    sequence: Blstm,
    card: ModelCard,
    sha256: String,
    choice: Option<String>,
}

/// What the card says, in the form the rest of the program needs.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    pub name: String,
    pub architecture: String,
    /// The same for the program.
    pub network: Architecture,
    pub trained: bool,
    pub trained_on: String,
    pub recipe: String,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub threshold: f32,
    pub calibrated: bool,
    /// The whole card as stored.
    pub json: serde_json::Value,
}

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{path}: {reason}")]
    Refused { path: PathBuf, reason: String },
    #[error("the network failed: {0}")]
    Forward(String),
}

/// One slice through the backbone. A broken input comes out as NaN, never as a clean number.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceForward {
    pub logit: f32,
    /// The values after global average pooling, 2048 with ResNet-50.
    pub features: Vec<f32>,
    /// Grad-CAM at the last block of layer4, `cam_size x cam_size`, row-major, after the ReLU, unscaled.
    pub cam: Vec<f32>,
    pub cam_size: usize,
}

/// The sequence network's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseForward {
    pub logit: f32,
    /// `sum_k f_nk * dy/df_nk` per slice, in the order given.
    pub attribution: Vec<f32>,
}

/// What one part of the backbone put out for one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Activation {
    /// `stem` (after the pooling) or a block, `layer1.0` to `layer4.2`.
    pub name: String,
    pub side: usize,
    pub channels: usize,
    /// `side * side` pixels, row-major, with `channels` values each.
    pub values: Vec<f32>,
}

impl Network {
    /// Reads a `.safetensors` file with PyTorch names and a model card; refuses a file without a card, of wrong
    /// shape, or with NaN or infinity, and says which.
    ///
    /// # Errors
    /// [`ModelError::Refused`] as [`Weights::load`]. A device that does not work is no error but [`Network::device_note`].
    pub fn load(path: &Path, device: DevicePreference) -> Result<Self, ModelError> {
        let (weights, card, sha256) = Weights::load(path)?;
        Self::assemble(&weights, card, sha256, device)
    }

    /// As [`Network::load`] for a file in memory; `name` stands in the refusal.
    ///
    /// # Errors
    /// As [`Network::load`].
    pub fn from_bytes(bytes: &[u8], name: &Path, device: DevicePreference) -> Result<Self, ModelError> {
        let (weights, card, sha256) = Weights::from_bytes(bytes, name)?;
        Self::assemble(&weights, card, sha256, device)
    }

    /// Seeded initial weights (PyTorch's default initialisation), hidden size 96, 128 or 256 per direction.
    /// `calibration` is a count and as many pictures as [`Network::forward_slices`] takes them. On them the input's mean
    /// and standard deviation and the batch-norm statistics are set, and the last layer is scaled so that scores vary; the
    /// card says untrained and how it was done. Costs about twice a forward pass over the pictures.
    ///
    /// # Errors
    /// Another hidden size; no pictures, or not `3 * 384 * 384` finite values for each.
    pub fn untrained(
        seed: u64,
        units: usize,
        calibration: (usize, &[f32]),
        device: DevicePreference,
    ) -> Result<Self, ModelError> {
        let (weights, card) = Self::untrained_weights(seed, units, calibration)?;
        Self::from_weights(&weights, card, device)
    }

    /// The weights and card of [`Network::untrained`], to be saved.
    ///
    /// # Errors
    /// As [`Network::untrained`].
    pub fn untrained_weights(
        seed: u64,
        units: usize,
        calibration: (usize, &[f32]),
    ) -> Result<(Weights, ModelCard), ModelError> {
        let network = Architecture::paper(units);
        init::untrained(seed, &network, calibration.0, calibration.1, network.input_side)
    }

    /// A network out of weights in memory.
    ///
    /// # Errors
    /// A tensor is missing.
    pub fn from_weights(weights: &Weights, card: ModelCard, device: DevicePreference) -> Result<Self, ModelError> {
        let sha256 = weights.sha256(&card);
        Self::assemble(weights, card, sha256, device)
    }

    fn assemble(
        weights: &Weights,
        card: ModelCard,
        sha256: String,
        device: DevicePreference,
    ) -> Result<Self, ModelError> {
        let placed = device::place(weights, &card, device)?;
        Ok(Self { placed, sequence: Blstm::new(&card.network, weights)?, card, sha256, choice: None })
    }

    /// The same with a sentence on why it was chosen, for who has named none.
    pub fn chosen(self, why: String) -> Self {
        Self { choice: Some(why), ..self }
    }

    /// Why it was chosen, where the program chose.
    pub fn choice(&self) -> Option<&str> {
        self.choice.as_deref()
    }

    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// SHA-256 of the weight file, or of the file that the generated weights would make, hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The device in words, e.g. "CPU" or "CUDA 0".
    pub fn device_name(&self) -> &str {
        &self.placed.name
    }

    /// Why a wanted device is not the one in use, in a sentence; `None` when all is as asked.
    pub fn device_note(&self) -> Option<&str> {
        self.placed.note.as_deref()
    }

    /// `planes` holds `count` images of `3 * side * side` windowed values in 0..=1 with the card's input side (384 with
    /// ResNet-50); the card's mean and standard deviation are applied inside. Runs on the current rayon pool; on the CPU the outcome does not depend on its size.
    ///
    /// # Errors
    /// The number of values does not fit, or the device failed.
    pub fn forward_slices(&self, planes: &[f32], count: usize) -> Result<Vec<SliceForward>, ModelError> {
        self.forward_pictures(planes, count, self.card.network.input_side)
    }

    /// How many pictures [`Network::forward_slices`] takes through the layers at a time with so many threads.
    pub fn slices_at_once(&self, threads: usize) -> usize {
        self.placed.backbone.batch(threads)
    }

    /// As [`Network::forward_slices`] for pictures of another edge length; the heatmap's edge is a 32nd of it, rounded up.
    ///
    /// # Errors
    /// As [`Network::forward_slices`].
    pub fn forward_pictures(&self, planes: &[f32], count: usize, side: usize) -> Result<Vec<SliceForward>, ModelError> {
        let pictures = self.pictures(planes, count, side)?;
        self.placed.backbone.forward(pictures).map_err(resnet::forward_error)
    }

    /// What the stem and every block put out for one picture of `3 * side * side` values, for tests and inspection.
    ///
    /// # Errors
    /// As [`Network::forward_slices`].
    pub fn activations(&self, planes: &[f32], side: usize) -> Result<Vec<Activation>, ModelError> {
        let pictures = self.pictures(planes, 1, side)?;
        self.placed.backbone.activations(pictures).map_err(resnet::forward_error)
    }

    fn pictures<'a>(&self, planes: &'a [f32], count: usize, side: usize) -> Result<Pictures<'a>, ModelError> {
        let expected = side.checked_mul(side).and_then(|area| area.checked_mul(3)).and_then(|s| s.checked_mul(count));
        if side == 0 || expected != Some(planes.len()) {
            let have = planes.len();
            return Err(ModelError::Forward(format!("{count} pictures of 3 x {side} x {side} are not {have} values")));
        }
        Ok(Pictures { planes, count, side, mean: self.card.mean, std: self.card.std })
    }

    /// `features`: one vector per slice as [`SliceForward`] has it, cranial to caudal.
    ///
    /// # Errors
    /// No slices, or a vector of another length.
    pub fn forward_case(&self, features: &[Vec<f32>]) -> Result<CaseForward, ModelError> {
        self.sequence.forward(features)
    }
}
