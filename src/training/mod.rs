//! Training: data sets, augmentation, the two stages, cross-validation, checkpoints. With `model`, the only place that
//! knows candle.

pub mod dataset;
