//! Seeded initial weights, and batch-norm statistics measured on given pictures.
//!
//! PyTorch's defaults for these layers: Kaiming normal (fan out) for convolutions, 1 and 0 for batch norms, uniform
//! `+-1/sqrt(fan in)` for linear layers, uniform `+-1/sqrt(units)` for the LSTM. The random numbers are our own and use only
//! operations that IEEE 754 fixes to the last bit, so the same seed draws the same weights on every platform. (What is
//! measured afterwards agrees between platforms to rounding only.)

use rayon::prelude::*;
use serde_json::json;

use super::checkpoint::Weights;
use super::conv::Norm;
use super::cpu::{self, Extent, Single};
use super::resnet::{ConvShape, Layers, channels_last, conv_shapes, walk};
use super::{Architecture, ModelCard, ModelError, gradcam};
use crate::random::scramble;

/// Values drawn from one stream; the streams of a tensor are drawn in parallel.
const STREAM_LENGTH: usize = 1 << 16;
/// Mean and spread that the untrained logits are given on the calibration pictures: about a quarter of the slices then
/// score above 0.5, so strip, peaks and heatmap all have something to show.
const LOGIT_MEAN: f64 = -1.0;
const LOGIT_SPREAD: f64 = 1.5;

/// An untrained network and its card. `planes` holds `count` pictures of `3 * side * side` windowed values, 0..=1.
pub(super) fn untrained(
    seed: u64,
    network: &Architecture,
    count: usize,
    planes: &[f32],
    side: usize,
) -> Result<(Weights, ModelCard), ModelError> {
    let size = 3 * side * side;
    if count == 0 || count.checked_mul(size) != Some(planes.len()) {
        let have = planes.len();
        return Err(ModelError::Forward(format!("{count} calibration pictures and {have} values do not fit")));
    }
    if planes.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::Forward("the calibration pictures hold NaN or infinity".into()));
    }
    let mut weights = Weights::from_fn(network, |name, shape| drawn(seed, network, name, shape))?;
    let (mean, std) = moments(planes, side);
    let features = calibrate(&mut weights, network, planes, side, mean, std)?;
    let factor = spread_logits(&mut weights, &features)?;
    let mut card = ModelCard::template(network, mean, std);
    card["training"]["seed"] = json!(seed);
    card["training"]["initialisation"] = json!({
        "convolutions": "Kaiming normal, fan out",
        "lstm": "uniform within 1/sqrt(units)",
        "batch_norm": "weight 1, bias 0, statistics measured layer by layer on the calibration pictures",
        "calibration_pictures": count,
        "fc": "uniform within 1/sqrt(features), made orthogonal to the mean calibration feature, then scaled and shifted so that \
               the calibration logits have the stated mean and spread",
        "fc_factor": factor,
        "logit_mean": LOGIT_MEAN,
        "logit_spread": LOGIT_SPREAD,
    });
    let card = ModelCard::from_json(card).map_err(ModelError::Forward)?;
    Ok((weights, card))
}

/// PyTorch's default initialisation of one tensor.
pub(super) fn drawn(seed: u64, network: &Architecture, name: &str, shape: &[usize]) -> Vec<f32> {
    let length: usize = shape.iter().product();
    let within = |fan: usize| uniform(seed, name, length, 1.0 / (fan as f64).sqrt());
    match (name.split('.').next(), name.rsplit('.').next()) {
        (Some("lstm"), _) => within(network.units),
        (Some("head"), _) => within(2 * network.units),
        _ if name.starts_with("backbone.fc.") => within(network.features()),
        (_, Some("weight")) if shape.len() == 4 => {
            let fan_out = shape[0] * shape[2] * shape[3];
            normal(seed, name, length, (2.0 / fan_out as f64).sqrt())
        }
        (_, Some("weight" | "running_var")) => vec![1.0; length],
        _ => vec![0.0; length],
    }
}

fn uniform(seed: u64, name: &str, length: usize, bound: f64) -> Vec<f32> {
    in_streams(seed, name, length, |stream, values| {
        values.iter_mut().for_each(|value| *value = ((2.0 * stream.fraction() - 1.0) * bound) as f32);
    })
}

/// Marsaglia's polar method: no sine, and the only logarithm is our own.
fn normal(seed: u64, name: &str, length: usize, deviation: f64) -> Vec<f32> {
    in_streams(seed, name, length, |stream, values| {
        for pair in values.chunks_mut(2) {
            let (x, y, square) = loop {
                let (x, y) = (2.0 * stream.fraction() - 1.0, 2.0 * stream.fraction() - 1.0);
                let square = x * x + y * y;
                if square > 0.0 && square < 1.0 {
                    break (x, y, square);
                }
            };
            let radius = deviation * (-2.0 * natural_log(square) / square).sqrt();
            pair.iter_mut().zip([x, y]).for_each(|(value, part)| *value = (radius * part) as f32);
        }
    })
}

fn in_streams(seed: u64, name: &str, length: usize, fill: impl Fn(&mut Stream, &mut [f32]) + Sync) -> Vec<f32> {
    let mut values = vec![0.0; length];
    values.par_chunks_mut(STREAM_LENGTH).enumerate().for_each(|(block, values)| {
        fill(&mut Stream::new(seed, name, block as u64), values);
    });
    values
}

/// Random numbers for one stretch of one tensor (xoshiro256++, seeded through splitmix64).
struct Stream([u64; 4]);

impl Stream {
    fn new(seed: u64, name: &str, block: u64) -> Self {
        // FNV-1a of the name, so that a tensor's values do not depend on which others there are.
        let name = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut state = scramble(scramble(scramble(seed) ^ name) ^ block);
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            scramble(state)
        }))
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// In 0..1 with 53 bits.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

/// `ln(x)` for normal `x > 0` out of basic operations: the system's differs between platforms in the last bit.
fn natural_log(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)); at most 0.1716, so twelve terms are beyond f64.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let series = (0..12).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    2.0 * ratio * series + exponent as f64 * std::f64::consts::LN_2
}

/// Mean and standard deviation of each channel over all pictures; 1 for a channel without variation.
fn moments(planes: &[f32], side: usize) -> ([f32; 3], [f32; 3]) {
    let plane = side * side;
    let (mut mean, mut std) = ([0.0; 3], [1.0; 3]);
    for channel in 0..3 {
        let values = || planes.chunks_exact(plane).skip(channel).step_by(3).flatten().map(|&v| f64::from(v));
        let count = (planes.len() / 3) as f64;
        let average = values().sum::<f64>() / count;
        let variance = values().map(|v| (v - average) * (v - average)).sum::<f64>() / count;
        mean[channel] = average as f32;
        if variance > 1e-12 {
            std[channel] = variance.sqrt() as f32;
        }
    }
    (mean, std)
}

/// Sets every batch norm's running statistics to those of the pictures, layer by layer (momentum 1 in training mode), and returns
/// the pictures' features.
fn calibrate(
    weights: &mut Weights,
    network: &Architecture,
    planes: &[f32],
    side: usize,
    mean: [f32; 3],
    std: [f32; 3],
) -> Result<Vec<Vec<f32>>, ModelError> {
    let extent = Extent::new(side, side, 3);
    let pictures =
        planes.chunks_exact(3 * side * side).map(|picture| (extent, channels_last(picture, side, mean, std)));
    let pictures: Vec<Picture> = pictures.collect();
    let maps = walk(
        &network.backbone.plan(),
        &mut Calibration { weights, shapes: conv_shapes(&network.backbone.plan()) },
        &pictures,
    )?;
    let no_weight = vec![0.0; network.features()];
    let features = maps.iter().map(|(extent, values)| gradcam::read_out(values, extent.rows, &no_weight, 0.0).features);
    Ok(features.collect())
}

/// One picture's activations, channels last.
type Picture = (Extent, Vec<f32>);

/// The walk that measures: all pictures go through a layer before the next layer is looked at.
struct Calibration<'a> {
    weights: &'a mut Weights,
    shapes: Vec<ConvShape>,
}

impl Layers for Calibration<'_> {
    type Maps = Vec<Picture>;
    type Error = ModelError;

    fn conv(
        &mut self,
        index: usize,
        input: &Self::Maps,
        residual: Option<Self::Maps>,
        relu: bool,
    ) -> Result<Self::Maps, ModelError> {
        let shape = &self.shapes[index];
        let channels = shape.channels_out;
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        let bare = Single::new(shape, self.weights.tensor(&shape.name)?);
        let maps: Vec<Picture> = input.iter().map(|(extent, values)| bare.run(values, *extent)).collect();
        let (mean, variance) = channel_moments(&maps, channels);
        let (scale, shift) = Norm { weight: &ones, bias: &zeros, mean: &mean, variance: &variance }.folded();
        self.weights.set(&format!("{}.running_mean", shape.norm), mean);
        self.weights.set(&format!("{}.running_var", shape.norm), variance);
        let finished = maps.into_iter().enumerate().map(|(picture, (extent, mut values))| {
            let residual = residual.as_ref().map(|all| &all[picture].1);
            values.par_chunks_mut(channels).enumerate().for_each(|(pixel, values)| {
                for (channel, value) in values.iter_mut().enumerate() {
                    let shortcut = residual.map_or(0.0, |r| r[pixel * channels + channel]);
                    let sum = *value * scale[channel] + shift[channel] + shortcut;
                    *value = if relu { sum.max(0.0) } else { sum };
                }
            });
            (extent, values)
        });
        Ok(finished.collect())
    }

    fn max_pool(&mut self, input: &Self::Maps) -> Result<Self::Maps, ModelError> {
        Ok(input.iter().map(|(extent, values)| cpu::max_pool(values, *extent)).collect())
    }
}

/// Mean and unbiased variance of each channel over all pictures and pixels, as PyTorch keeps them.
fn channel_moments(maps: &[Picture], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let sums = maps.par_iter().map(|(_, values)| {
        let mut sums = vec![[0.0f64; 2]; channels];
        for pixel in values.chunks_exact(channels) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                let value = f64::from(value);
                sum[0] += value;
                sum[1] += value * value;
            }
        }
        sums
    });
    // Added in the pictures' order, so that the outcome does not depend on the number of threads.
    let sums: Vec<Vec<[f64; 2]>> = sums.collect();
    let count = maps.iter().map(|(extent, _)| extent.pixels()).sum::<usize>() as f64;
    (0..channels)
        .map(|channel| {
            let [sum, squares] = sums.iter().fold([0.0; 2], |[a, b], s| [a + s[channel][0], b + s[channel][1]]);
            let mean = sum / count;
            let variance = (squares / count - mean * mean).max(0.0) * count / (count - 1.0).max(1.0);
            (mean as f32, variance as f32)
        })
        .unzip()
}

/// Turns the drawn `fc` into one whose logits and maps show variety, and returns the factor.
///
/// As drawn, the logits of an untrained network are nearly the same for all slices: they are ruled by what all features
/// have in common. Without that common part a map has warm and cold cells in every slice, and a factor gives the logits a
/// visible spread.
fn spread_logits(weights: &mut Weights, features: &[Vec<f32>]) -> Result<f64, ModelError> {
    let count = features.len() as f64;
    let mut mean = vec![0.0f64; weights.tensor("backbone.fc.weight")?.len()];
    for feature in features {
        mean.iter_mut().zip(feature).for_each(|(mean, &value)| *mean += f64::from(value) / count);
    }
    let drawn: Vec<f64> = weights.tensor("backbone.fc.weight")?.iter().map(|&w| f64::from(w)).collect();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let length = product(&mean, &mean).max(f64::MIN_POSITIVE);
    let common = product(&drawn, &mean) / length;
    let centred: Vec<f64> = drawn.iter().zip(&mean).map(|(weight, mean)| weight - common * mean).collect();
    let logit = |feature: &Vec<f32>| feature.iter().zip(&centred).map(|(&f, w)| f64::from(f) * w).sum::<f64>();
    let variance = features.iter().map(|feature| logit(feature).powi(2)).sum::<f64>() / count;
    // One picture, or pictures that are all alike, have no spread to scale.
    let factor = if variance > 1e-12 { LOGIT_SPREAD / variance.sqrt() } else { 1.0 };
    weights.set("backbone.fc.weight", centred.iter().map(|weight| (weight * factor) as f32).collect());
    weights.set("backbone.fc.bias", vec![LOGIT_MEAN as f32]);
    Ok(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_is_right() {
        for x in [1e-12, 0.3, 0.7072, 0.999_999_9, 1.0, 1.4145, 2.0, 12345.678] {
            let got = natural_log(x);
            assert!((got - x.ln()).abs() <= 4.0 * f64::EPSILON * got.abs().max(1e-3), "ln {x}: {got}");
        }
    }

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        let values = normal(3, "a", 200_000, 0.5);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 2e5;
        let deviation = (values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 2e5).sqrt();
        let beyond_two = values.iter().filter(|v| v.abs() > 1.0).count() as f64 / 2e5;
        assert!(mean.abs() < 0.005 && (deviation - 0.5).abs() < 0.005, "{mean} {deviation}");
        assert!((beyond_two - 0.0455).abs() < 0.002, "{beyond_two}");
        let values = uniform(3, "a", 200_000, 0.5);
        assert!(values.iter().all(|v| v.abs() <= 0.5) && values.iter().any(|&v| v > 0.499));
    }

    /// Fixes the stream for good: a changed generator would silently change what a seed means.
    #[test]
    fn the_first_draws_of_a_seed_never_change() {
        let first = |seed: u64, name: &str| Stream::new(seed, name, 0).next();
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
        let bits: Vec<u32> = normal(7, "backbone.conv1.weight", 3, 1.0).iter().map(|v| v.to_bits()).collect();
        assert_eq!(bits, [3_206_733_457, 3_206_976_874, 1_001_460_517]);
    }

    #[test]
    fn initialisation_by_kind_of_tensor() {
        let largest = |values: Vec<f32>| values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let bound = 1.0 / (128.0f32).sqrt();
        let lstm = largest(drawn(1, &Architecture::paper(128), "lstm.bias_hh_l0_reverse", &[512]));
        assert!(lstm <= bound && lstm > 0.9 * bound);
        assert!(largest(drawn(1, &Architecture::paper(128), "head.weight", &[1, 256])) <= 1.0 / 16.0);
        assert_eq!(drawn(1, &Architecture::paper(128), "backbone.bn1.weight", &[2]), [1.0, 1.0]);
        assert_eq!(drawn(1, &Architecture::paper(128), "backbone.layer1.0.downsample.1.bias", &[2]), [0.0, 0.0]);
        assert_eq!(drawn(1, &Architecture::paper(128), "backbone.bn1.running_var", &[2]), [1.0, 1.0]);
    }
    #[test]
    fn the_number_of_threads_changes_nothing() {
        let side = 64;
        let planes: Vec<f32> = (0..2 * 3 * side * side).map(|i| 0.5 + 0.5 * (i as f32 * 0.01).sin()).collect();
        let made = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| untrained(seed, &Architecture::paper(96), 2, &planes, side)).unwrap()
        };
        let first = made(1, 5);
        assert!(first == made(3, 5), "the same seed, another number of threads");
        assert!(first.0 != made(1, 6).0, "another seed");
    }

    #[test]
    fn calibration_that_cannot_be_used_is_refused() {
        let refused =
            |count, planes: &[f32]| untrained(1, &Architecture::paper(96), count, planes, 2).unwrap_err().to_string();
        assert!(refused(0, &[]).contains("0 calibration pictures"));
        assert!(refused(2, &[0.0; 12]).contains("2 calibration pictures and 12 values"));
        assert!(refused(1, &[f32::NAN; 12]).contains("NaN"));
    }

    /// Two pictures that are alike leave nothing to scale, and one channel without variation nothing to divide by.
    #[test]
    fn constant_calibration_gives_finite_weights() {
        let (weights, card) = untrained(1, &Architecture::paper(96), 2, &[0.25; 2 * 3 * 32 * 32], 32).unwrap();
        assert!(weights.tensor("backbone.fc.weight").unwrap().iter().all(|w| w.is_finite()));
        assert_eq!((card.mean, card.std), ([0.25; 3], [1.0; 3]));
    }
}
