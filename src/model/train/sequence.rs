//! The sequence network while it learns. It is small and runs on the CPU whatever the device of the backbone.
//!
//! Cases of different lengths are not padded: each case runs by itself from its own first to its own last slice and back,
//! which is what PyTorch's packed sequences amount to. The cases' gradients are added in their order.

use rayon::prelude::*;

use super::super::blstm::{Direction, Trace, by_slice, own_order};
use super::super::init::drawn;
use super::super::matmul::{Matrix, SharedMatrix};
use super::super::pooling::{Pool, Pooled, dot, top_mean, top_slices};
use super::super::{Architecture, ModelError, Pooling, Weights};
use super::optimiser::{self, Parameter, same_length};
use super::{AdamOptions, BatchLoss, NamedTensors, OptimiserState, layers};
use crate::random::Stream;

/// Input, recurrent and two bias tensors for each direction, in the layout's order.
const PER_DIRECTION: usize = 4;
const HEAD: usize = 2 * PER_DIRECTION;
/// The first tensor of a pooling that has some.
const EXTRA: usize = HEAD + 2;
/// An offset of the case's logit is looked for up to here.
const LARGEST_OFFSET: f64 = 20.0;

/// What the sequence network sees of one case, head to feet.
#[derive(Debug, Clone, Copy)]
pub struct SequenceCase<'a> {
    /// `slices * features` values of the backbone (scaled, where they are).
    pub features: &'a [f32],
    /// The slices' logits.
    pub logits: &'a [f32],
}

/// The BLSTM with its pooling, gradients and optimiser.
pub struct TrainSequence {
    network: Architecture,
    /// In the order of [`Weights::sequence_layout`].
    parameters: Vec<Parameter>,
    options: AdamOptions,
    steps: u64,
}

/// One case on its way.
struct Passed {
    traces: [Trace; 2],
    outputs: Vec<f32>,
    pooled: Pooled,
    /// The summary after dropout.
    dropped: Vec<f32>,
    /// Mean of the top slice logits.
    top: f32,
    logit: f32,
}

impl TrainSequence {
    /// Seeded initial weights: LSTM uniform within `1/sqrt(units)`, linear layers within `1/sqrt(fan in)`; with
    /// [`Pooling::TopkResidual`] the head is 0 and the logit the mean of the three largest slice logits.
    ///
    /// # Errors
    /// An architecture that cannot be built.
    pub fn new(network: &Architecture, seed: u64) -> Result<Self, ModelError> {
        network.check().map_err(ModelError::Forward)?;
        let residual = network.pooling == Pooling::TopkResidual;
        Self::build(network, |name, shape| {
            let length = shape.iter().product();
            Ok(match name {
                "topk.weight" => vec![1.0],
                "topk.bias" => vec![0.0],
                "head.weight" | "head.bias" if residual => vec![0.0; length],
                _ => drawn(seed, network, name, shape),
            })
        })
    }

    /// Goes on from weights.
    ///
    /// # Errors
    /// As [`TrainSequence::new`]; a tensor is missing.
    pub fn from_weights(network: &Architecture, weights: &Weights) -> Result<Self, ModelError> {
        network.check().map_err(ModelError::Forward)?;
        Self::build(network, |name, _| weights.tensor(name).map(<[f32]>::to_vec))
    }

    fn build(
        network: &Architecture,
        make: impl Fn(&str, &[usize]) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        let made = |(name, shape): (String, Vec<usize>)| {
            let values = same_length(&name, &make(&name, &shape)?, shape.iter().product())?;
            Ok(Parameter::new(name, shape, values))
        };
        let parameters = Weights::sequence_layout(network).into_iter().map(made).collect::<Result<_, ModelError>>()?;
        Ok(Self { network: *network, parameters, options: AdamOptions::default(), steps: 0 })
    }

    #[cfg(test)]
    pub(super) fn with_values(
        network: &Architecture,
        make: impl Fn(&str, &[usize]) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        Self::build(network, make)
    }

    #[cfg(test)]
    pub(super) fn last_gradients(&self) -> NamedTensors {
        let of = |p: &Parameter| (p.name.clone(), (p.shape.clone(), p.gradient.clone()));
        NamedTensors(self.parameters.iter().map(of).collect())
    }

    /// How steps are made; plain Adam unless set.
    pub fn set_optimiser(&mut self, options: AdamOptions) {
        self.options = options;
    }

    /// Forward and backward through cases of any lengths; `dropout` is the share of the pooled states dropped before the head.
    ///
    /// # Errors
    /// A case without slices, or lengths that do not fit.
    pub fn gradients(
        &mut self,
        cases: &[SequenceCase<'_>],
        targets: &[f32],
        weights: &[f32],
        dropout: f32,
        rng: &mut Stream,
    ) -> Result<BatchLoss, ModelError> {
        if targets.len() != cases.len() || weights.len() != cases.len() {
            let (cases, targets, weights) = (cases.len(), targets.len(), weights.len());
            return Err(ModelError::Forward(format!("{cases} cases, {targets} targets and {weights} weights")));
        }
        let width = 2 * self.network.units;
        let factors = layers::dropout_factors(cases.len() * width, dropout, rng);
        let directions = self.directions();
        let passed = self.pass(&directions, cases, Some(&factors))?;
        let logits: Vec<f32> = passed.iter().map(|passed| passed.logit).collect();
        let (loss, d_logits) = layers::cross_entropy(&logits, targets, weights);
        let jobs: Vec<_> = passed.iter().zip(cases).zip(factors.chunks_exact(width)).zip(d_logits).collect();
        let parts: Vec<Vec<Vec<f32>>> = jobs
            .into_par_iter()
            .map(|(((passed, case), factors), d)| self.case_gradients(&directions, passed, case, factors, d))
            .collect();
        for parameter in &mut self.parameters {
            parameter.gradient.fill(0.0);
        }
        for part in parts {
            for (parameter, part) in self.parameters.iter_mut().zip(part) {
                parameter.gradient.iter_mut().zip(part).for_each(|(to, from)| *to += from);
            }
        }
        Ok(BatchLoss { loss, logits })
    }

    fn directions(&self) -> [Direction; 2] {
        [0, 1].map(|half| {
            let [input, recurrent, first, second] = self.values_of(half);
            Direction::from_parts(self.network.units, input, recurrent, [first, second], half == 1)
        })
    }

    fn values_of(&self, half: usize) -> [&[f32]; PER_DIRECTION] {
        std::array::from_fn(|part| self.parameters[half * PER_DIRECTION + part].values.as_slice())
    }

    fn pool(&self) -> Pool<'_> {
        let attention = match self.network.pooling {
            Pooling::Attention => self.parameters[EXTRA].values.as_slice(),
            _ => &[],
        };
        Pool::new(self.network.pooling, attention)
    }

    fn first_of(&self, parameter: usize) -> f32 {
        self.parameters[parameter].values.first().copied().unwrap_or(0.0)
    }

    fn pass(
        &self,
        directions: &[Direction; 2],
        cases: &[SequenceCase<'_>],
        factors: Option<&[f32]>,
    ) -> Result<Vec<Passed>, ModelError> {
        let (features, units) = (self.network.features(), self.network.units);
        for (number, case) in (1..).zip(cases) {
            if case.logits.is_empty() || case.features.len() != case.logits.len() * features {
                let (slices, values) = (case.logits.len(), case.features.len());
                return Err(ModelError::Forward(format!(
                    "case {number} of the batch has {slices} slices and {values} values; each slice has {features}"
                )));
            }
        }
        let one = |(index, case): (usize, &SequenceCase<'_>)| {
            let traces = [0, 1].map(|half: usize| directions[half].run(case.features, units));
            let outputs = by_slice(&traces, units);
            let pooled = self.pool().forward(&outputs, units);
            let dropped: Vec<f32> = match factors {
                Some(factors) => {
                    let factors = &factors[index * 2 * units..(index + 1) * 2 * units];
                    pooled.summary.iter().zip(factors).map(|(value, factor)| value * factor).collect()
                }
                None => pooled.summary.clone(),
            };
            let mut logit = self.first_of(HEAD + 1) + dot(&dropped, &self.parameters[HEAD].values);
            let top = top_mean(case.logits, &top_slices(case.logits));
            if self.network.pooling == Pooling::TopkResidual {
                logit += self.first_of(EXTRA) * top + self.first_of(EXTRA + 1);
            }
            Passed { traces, outputs, pooled, dropped, top, logit }
        };
        Ok(cases.par_iter().enumerate().map(one).collect())
    }

    /// One case's share of every parameter's gradient, in the parameters' order.
    fn case_gradients(
        &self,
        directions: &[Direction; 2],
        passed: &Passed,
        case: &SequenceCase<'_>,
        factors: &[f32],
        d_logit: f32,
    ) -> Vec<Vec<f32>> {
        let units = self.network.units;
        let head = &self.parameters[HEAD].values;
        let d_summary: Vec<f32> = head.iter().zip(factors).map(|(weight, factor)| d_logit * weight * factor).collect();
        let (d_outputs, d_attention) = self.pool().backward(&passed.outputs, &passed.pooled, &d_summary, units);
        let mut all = Vec::with_capacity(self.parameters.len());
        for (half, direction) in directions.iter().enumerate() {
            let own = own_order(&d_outputs, half, units, direction.reversed);
            let trace = &passed.traces[half];
            let d_gates = direction.back(trace, &own, units);
            all.extend(direction_gradients(trace, d_gates, case.features, units, direction.reversed));
        }
        all.push(passed.dropped.iter().map(|value| d_logit * value).collect());
        all.push(vec![d_logit]);
        match self.network.pooling {
            Pooling::Attention => all.push(d_attention),
            Pooling::TopkResidual => all.extend([vec![d_logit * passed.top], vec![d_logit]]),
            Pooling::Last | Pooling::Mean | Pooling::Max => {}
        }
        all
    }

    /// One optimiser step along the last gradients; returns their norm before clipping.
    pub fn step(&mut self, rate: f64) -> f64 {
        let norm = optimiser::adam(&mut self.parameters, &self.options, &mut self.steps, rate);
        if self.network.pooling == Pooling::TopkResidual {
            // A higher slice logit never lowers its part of the case's.
            self.parameters[EXTRA].values.iter_mut().for_each(|factor| *factor = factor.max(0.0));
        }
        norm
    }

    /// The cases' logits without dropout.
    ///
    /// # Errors
    /// As [`TrainSequence::gradients`].
    pub fn evaluate(&self, cases: &[SequenceCase<'_>]) -> Result<Vec<f32>, ModelError> {
        Ok(self.pass(&self.directions(), cases, None)?.into_iter().map(|passed| passed.logit).collect())
    }

    pub fn network(&self) -> &Architecture {
        &self.network
    }

    /// Parameters under the names of a weight file (`lstm.*`, `head.*` and those of the pooling).
    pub fn tensors(&self) -> NamedTensors {
        let all = self.parameters.iter().map(|p| (p.name.clone(), (p.shape.clone(), p.values.clone())));
        NamedTensors(all.collect())
    }

    /// Puts back what [`TrainSequence::tensors`] gave.
    ///
    /// # Errors
    /// A tensor is missing or of another length.
    pub fn load_tensors(&mut self, tensors: &NamedTensors) -> Result<(), ModelError> {
        for parameter in &mut self.parameters {
            parameter.values = same_length(&parameter.name, tensors.values(&parameter.name)?, parameter.values.len())?;
        }
        Ok(())
    }

    /// Moves the offset of [`Pooling::TopkResidual`] so that the mean score of the cases is their share of positives: the
    /// largest of many slice logits speaks too loudly of every case. Nothing happens with another pooling.
    ///
    /// # Errors
    /// As [`TrainSequence::gradients`].
    pub fn fit_prior(&mut self, cases: &[SequenceCase<'_>], share_positive: f64) -> Result<(), ModelError> {
        if self.network.pooling != Pooling::TopkResidual || cases.is_empty() {
            return Ok(());
        }
        let logits = self.evaluate(cases)?;
        let excess = |offset: f64| {
            let scores = logits.iter().map(|&logit| 1.0 / (1.0 + libm::exp(-f64::from(logit) - offset)));
            scores.sum::<f64>() / logits.len() as f64 - share_positive
        };
        let (mut low, mut high) = (-LARGEST_OFFSET, LARGEST_OFFSET);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            *(if excess(middle) > 0.0 { &mut high } else { &mut low }) = middle;
        }
        self.parameters[EXTRA + 1].values.iter_mut().for_each(|value| *value += (0.5 * (low + high)) as f32);
        Ok(())
    }

    /// What the optimiser remembers.
    pub fn optimiser_state(&self) -> OptimiserState {
        optimiser::state(&self.parameters, self.steps)
    }

    /// Puts back what [`TrainSequence::optimiser_state`] gave.
    ///
    /// # Errors
    /// A moment is missing or of another length.
    pub fn load_optimiser_state(&mut self, state: &OptimiserState) -> Result<(), ModelError> {
        optimiser::restore(&mut self.parameters, state)?;
        self.steps = state.steps;
        Ok(())
    }
}

/// Gradients of one direction's four tensors from those of its gates, which lie in the order of its own steps.
fn direction_gradients(
    trace: &Trace,
    d_gates: Vec<f32>,
    features: &[f32],
    units: usize,
    reversed: bool,
) -> [Vec<f32>; PER_DIRECTION] {
    let width = 4 * units;
    let steps = d_gates.len() / width;
    // Step n met the output of step n - 1; the first met zeros.
    let later = &d_gates[width..];
    let d_recurrent = transposed_product(later, &trace.outputs[..(steps - 1) * units], steps - 1, width, units);
    let mut d_bias = vec![0.0f32; width];
    for row in d_gates.chunks_exact(width) {
        d_bias.iter_mut().zip(row).for_each(|(to, from)| *to += from);
    }
    let by_slice = if reversed { d_gates.chunks_exact(width).rev().flatten().copied().collect() } else { d_gates };
    let d_input = transposed_product(&by_slice, features, steps, width, features.len() / steps);
    [d_input, d_recurrent, d_bias.clone(), d_bias]
}

/// `left^T * right` for `(steps, rows)` and `(steps, columns)`.
fn transposed_product(left: &[f32], right: &[f32], steps: usize, rows: usize, columns: usize) -> Vec<f32> {
    let mut product = vec![0.0; rows * columns];
    if steps > 0 {
        let shared = SharedMatrix::new(&mut product, rows, columns);
        // SAFETY: the only block.
        let mut block = unsafe { shared.block(0..rows, 0..columns) };
        block.set_product(Matrix::row_major(left, steps, rows).transposed(), Matrix::row_major(right, steps, columns));
    }
    product
}

/// Folds `(feature - mean) / std` into the LSTM's input weights and biases, so that the network takes raw features.
///
/// # Errors
/// A tensor is missing or the lengths do not fit.
pub fn fold_feature_scaling(tensors: &mut NamedTensors, mean: &[f32], std: &[f32]) -> Result<(), ModelError> {
    for suffix in ["", "_reverse"] {
        let (weight_name, bias_name) = (format!("lstm.weight_ih_l0{suffix}"), format!("lstm.bias_ih_l0{suffix}"));
        let mut weight = tensors.values(&weight_name)?.to_vec();
        let mut bias = tensors.values(&bias_name)?.to_vec();
        let features = weight.len() / bias.len().max(1);
        if [mean.len(), std.len()] != [features; 2] {
            let have = mean.len();
            return Err(ModelError::Forward(format!("a scaling of {have} features for weights of {features}")));
        }
        for (row, bias) in weight.chunks_exact_mut(features).zip(&mut bias) {
            let mut shift = 0.0f64;
            for ((weight, &mean), &std) in row.iter_mut().zip(mean).zip(std) {
                let scaled = f64::from(*weight) / f64::from(std);
                shift += scaled * f64::from(mean);
                *weight = scaled as f32;
            }
            *bias = (f64::from(*bias) - shift) as f32;
        }
        tensors.insert(weight_name, vec![bias.len(), features], weight);
        tensors.insert(bias_name, vec![bias.len()], bias);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
