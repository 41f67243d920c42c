//! Layers that learn: the backbone and the sequence network with their gradients, Adam, checkpoints of both.
//!
//! On the CPU every layer is our own (`norm`, `layers`, `sequence`; `cpu` joins those of the backbone; convolutions are the
//! CPU backbone's [`Learner`](super::cpu::Learner)): products over tiles that the current rayon pool shares. Which values are added to which, and in what order, depends
//! on the shapes only, so a run is the same to the last bit on any number of threads. On other devices `on_device`
//! composes candle's operations.

mod backbone;
mod cpu;
#[cfg(test)]
mod differences;
#[cfg(test)]
mod golden_tests;
mod layers;
mod norm;
mod on_device;
mod optimiser;
mod pack;
mod sequence;
mod tensors;

pub use backbone::TrainBackbone;
pub use optimiser::{AdamOptions, OptimiserState, cosine, step_decay};
pub use sequence::{SequenceCase, TrainSequence, fold_feature_scaling};
pub use tensors::NamedTensors;

/// What one batch gave; its gradients wait in the network for the step.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchLoss {
    /// Weighted mean of the binary cross-entropies; 0 when all weights are 0.
    pub loss: f64,
    /// One per picture or case, as the network stood before the step.
    pub logits: Vec<f32>,
}

/// What a batch teaches of the places of fractures.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    /// `(picture, row, column)` over the cells of the last maps: 1 a fracture, 0 none, negative where nobody knows.
    pub targets: Vec<f32>,
    /// Of this loss beside that of the slices.
    pub weight: f32,
}

/// One picture through the backbone as it stands, batch norms in evaluation mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    pub logit: f32,
    pub features: Vec<f32>,
}
