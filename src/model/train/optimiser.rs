//! Adam (Kingma and Ba 2015), with weight decay apart from the gradient as AdamW has it, gradient clipping, and the
//! two courses of the learning rate.

use rayon::prelude::*;

use super::super::ModelError;
use super::super::cpu::widest;
use super::NamedTensors;

/// Values per task; the sums of squares are taken over the same stretches on any number of threads.
const STRETCH: usize = 1 << 14;

/// How a step is made of gradients. The default is PyTorch's Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamOptions {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Decoupled (AdamW); works on tensors of two or more dimensions only, so not on biases and batch norms.
    pub weight_decay: f64,
    /// Largest allowed norm of all gradients together.
    pub clip_norm: Option<f64>,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, clip_norm: None }
    }
}

/// What an optimiser remembers, to be stored in a checkpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OptimiserState {
    pub steps: u64,
    /// First and second moments by the names of the parameters.
    pub first: NamedTensors,
    pub second: NamedTensors,
}

/// A trainable tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
    pub(super) gradient: Vec<f32>,
    /// Stays what it is.
    pub(super) frozen: bool,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Parameter {
    pub(super) fn new(name: String, shape: Vec<usize>, values: Vec<f32>) -> Self {
        let zeros = vec![0.0; values.len()];
        Self { name, shape, gradient: zeros.clone(), frozen: false, first: zeros.clone(), second: zeros, values }
    }
}

/// Norm of all gradients together that lead anywhere.
fn norm(parameters: &[Parameter]) -> f64 {
    let moving = parameters.iter().filter(|p| !p.frozen);
    let stretches: Vec<&[f32]> = moving.flat_map(|p| p.gradient.chunks(STRETCH)).collect();
    let squares = |stretch: &[f32]| stretch.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
    let parts: Vec<f64> = stretches.into_par_iter().map(squares).collect();
    parts.into_iter().sum::<f64>().sqrt()
}

/// One step down the gradients; `steps` counts those made before. Returns the norm of the gradients before clipping.
pub(super) fn adam(parameters: &mut [Parameter], options: &AdamOptions, steps: &mut u64, rate: f64) -> f64 {
    let norm = norm(parameters);
    let shrink = options.clip_norm.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0)) as f32;
    *steps += 1;
    let exponent = i32::try_from(*steps).unwrap_or(i32::MAX);
    let correction = (1.0 - options.beta1.powi(exponent), 1.0 - options.beta2.powi(exponent));
    let (beta1, beta2) = (options.beta1 as f32, options.beta2 as f32);
    let step = (rate / correction.0) as f32;
    let root = (1.0 / correction.1.sqrt()) as f32;
    let epsilon = options.epsilon as f32;
    for parameter in parameters.iter_mut().filter(|p| !p.frozen) {
        let keep = if parameter.shape.len() > 1 { (1.0 - rate * options.weight_decay) as f32 } else { 1.0 };
        let stretches = parameter
            .values
            .par_chunks_mut(STRETCH)
            .zip(parameter.gradient.par_chunks(STRETCH))
            .zip(parameter.first.par_chunks_mut(STRETCH).zip(parameter.second.par_chunks_mut(STRETCH)));
        stretches.for_each(|((values, gradient), (first, second))| {
            widest(
                #[inline(always)]
                || {
                    for (((value, &gradient), first), second) in values.iter_mut().zip(gradient).zip(first).zip(second)
                    {
                        let gradient = gradient * shrink;
                        *first += (1.0 - beta1) * (gradient - *first);
                        *second = beta2 * *second + (1.0 - beta2) * gradient * gradient;
                        *value = *value * keep - step * *first / (second.sqrt() * root + epsilon);
                    }
                },
            );
        });
    }
    norm
}

/// The moments of some parameters.
pub(super) fn state(parameters: &[Parameter], steps: u64) -> OptimiserState {
    let of = |moments: fn(&Parameter) -> &Vec<f32>| {
        NamedTensors(parameters.iter().map(|p| (p.name.clone(), (p.shape.clone(), moments(p).clone()))).collect())
    };
    OptimiserState { steps, first: of(|p| &p.first), second: of(|p| &p.second) }
}

/// Puts stored moments back.
pub(super) fn restore(parameters: &mut [Parameter], state: &OptimiserState) -> Result<(), ModelError> {
    for parameter in parameters {
        let length = parameter.values.len();
        parameter.first = same_length(&parameter.name, state.first.values(&parameter.name)?, length)?;
        parameter.second = same_length(&parameter.name, state.second.values(&parameter.name)?, length)?;
    }
    Ok(())
}

pub(super) fn same_length(name: &str, values: &[f32], length: usize) -> Result<Vec<f32>, ModelError> {
    if values.len() != length {
        let have = values.len();
        return Err(ModelError::Forward(format!("{name} has {have} values instead of {length}")));
    }
    Ok(values.to_vec())
}

/// PyTorch's `StepLR`: times `factor` after each `every` epochs.
pub fn step_decay(base: f64, epoch: usize, every: usize, factor: f64) -> f64 {
    base * factor.powi(i32::try_from(epoch / every.max(1)).unwrap_or(i32::MAX))
}

/// Linear rise over `warm_up` steps, then half a cosine down to 0 at `total` steps. `step` counts from 0.
pub fn cosine(base: f64, step: usize, total: usize, warm_up: usize) -> f64 {
    if step < warm_up {
        return base * (step + 1) as f64 / warm_up as f64;
    }
    let way = (step - warm_up) as f64 / total.saturating_sub(warm_up).max(1) as f64;
    0.5 * base * (1.0 + libm::cos(std::f64::consts::PI * way.min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_shrinks_to_the_limit() {
        let mut parameters = [Parameter::new("p".into(), vec![2], vec![0.0; 2])];
        parameters[0].gradient = vec![3.0, 4.0];
        let options = AdamOptions { clip_norm: Some(1.0), ..AdamOptions::default() };
        assert!((adam(&mut parameters, &options, &mut 0, 0.1) - 5.0).abs() < 1e-9);
        assert!((parameters[0].first[0] - 0.06).abs() < 1e-6, "a tenth of 3/5");
    }

    #[test]
    fn what_is_frozen_stays_and_counts_for_nothing() {
        let make = |name: &str| Parameter::new(name.into(), vec![2, 1], vec![1.0; 2]);
        let mut parameters = [make("moving"), Parameter { frozen: true, ..make("frozen") }];
        parameters.iter_mut().for_each(|p| p.gradient = vec![3.0, 4.0]);
        let options = AdamOptions { weight_decay: 0.1, ..AdamOptions::default() };
        assert!((adam(&mut parameters, &options, &mut 0, 0.1) - 5.0).abs() < 1e-9);
        assert!(parameters[0].values[0] < 1.0 && parameters[1].values == [1.0; 2]);
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let rates: Vec<f64> = (0..10).map(|step| cosine(1.0, step, 10, 2)).collect();
        assert_eq!(rates[..3], [0.5, 1.0, 1.0]);
        assert!((rates[6] - 0.5).abs() < 1e-12 && rates[9] < 0.05 && cosine(1.0, 10, 10, 2) < 1e-12);
        assert_eq!(step_decay(1.0, 4, 5, 0.2), 1.0);
        assert!((step_decay(1.0, 10, 5, 0.2) - 0.04).abs() < 1e-12);
    }
}
