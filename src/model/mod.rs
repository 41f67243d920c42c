//! The network (ResNet-50, BLSTM, Grad-CAM), its weight files and the device it runs on.
//! With `training`, the only place that knows candle.

use std::path::{Path, PathBuf};

/// Where to run, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DevicePreference {
    #[default]
    Auto,
    Cpu,
    Cuda,
    Metal,
}

/// A trained (or seeded) network on a device. Cheap to share by `Arc`; forward calls take `&self`.
pub struct Network {}

/// What the card says, in the form the rest of the program needs.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    pub name: String,
    pub architecture: String,
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

/// One slice through the backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceForward {
    pub logit: f32,
    /// 2048 values after global average pooling.
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

impl Network {
    /// Reads a `.safetensors` file with PyTorch names and a model card; refuses a file without a card, of wrong
    /// shape, or with NaN or infinity, and says which.
    pub fn load(_path: &Path, _device: DevicePreference) -> Result<Self, ModelError> {
        Err(ModelError::Forward("not built yet".into()))
    }
    /// Seeded initial weights (PyTorch's default initialisation), hidden size 96, 128 or 256 per direction.
    /// `calibration` is `(n, 3 * 384 * 384 * n values)` of normalised input on which the batch-norm statistics are
    /// set, so that scores vary; the card says untrained.
    pub fn untrained(
        _seed: u64,
        _units: usize,
        _calibration: (usize, &[f32]),
        _device: DevicePreference,
    ) -> Result<Self, ModelError> {
        Err(ModelError::Forward("not built yet".into()))
    }
    pub fn card(&self) -> &ModelCard {
        unreachable!("stub")
    }
    /// SHA-256 of the weight file, or of the generated weights in name order, hex.
    pub fn sha256(&self) -> &str {
        ""
    }
    /// The device in words, e.g. "CPU" or "CUDA 0".
    pub fn device_name(&self) -> &str {
        ""
    }
    /// Why a wanted device is not the one in use, in a sentence; `None` when all is as asked.
    pub fn device_note(&self) -> Option<&str> {
        None
    }
    /// `planes` holds `count` images of `3 * 384 * 384` windowed values in 0..=1; the card's mean and standard deviation
    /// are applied inside. Runs on the current rayon pool.
    pub fn forward_slices(&self, _planes: &[f32], _count: usize) -> Result<Vec<SliceForward>, ModelError> {
        Err(ModelError::Forward("not built yet".into()))
    }
    /// `features`: one 2048-vector per slice, cranial to caudal.
    pub fn forward_case(&self, _features: &[Vec<f32>]) -> Result<CaseForward, ModelError> {
        Err(ModelError::Forward("not built yet".into()))
    }
}
