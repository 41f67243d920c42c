//! The bidirectional LSTM over the slices' features, and how much each slice moved its answer.
//!
//! PyTorch's semantics: gates in the order input, forget, cell, output; two bias vectors that are added; the backward
//! direction runs over the reversed sequence. (candle 0.11's LSTM only takes the other weights for it and reads the
//! sequence forward.) The case logit is a linear layer on the forward state after the last slice and the backward state
//! after the first. It is small, so it runs on the CPU whatever the device of the backbone.

use super::checkpoint::Weights;
use super::matmul::{Matrix, SharedMatrix};
use super::resnet::FEATURES;
use super::{CaseForward, ModelError};
use rayon::prelude::*;

/// The sequence network. Hidden size per direction 96, 128 or 256.
pub struct Blstm {
    units: usize,
    forward: Direction,
    backward: Direction,
    /// First half for the forward state, second for the backward state.
    head_weight: Vec<f32>,
    head_bias: f32,
}

struct Direction {
    /// `(4 * units, 2048)`.
    input: Vec<f32>,
    /// `(4 * units, units)` and its transpose: one for each way through time.
    recurrent: Vec<f32>,
    recurrent_transposed: Vec<f32>,
    /// Both of PyTorch's bias vectors together.
    bias: Vec<f32>,
    reversed: bool,
}

/// What one direction did, row by row in the order of its own steps.
struct Trace {
    /// `input * feature` without bias, `(step, 4 * units)`.
    projected: Vec<f32>,
    /// Activated gates, `(step, 4 * units)`.
    gates: Vec<f32>,
    /// Cell states and outputs, `(step, units)`.
    cells: Vec<f32>,
    outputs: Vec<f32>,
}

impl Blstm {
    /// Takes the tensors `lstm.*` and `head.*`.
    pub fn new(weights: &Weights) -> Result<Self, ModelError> {
        let head_weight = weights.tensor("head.weight")?.to_vec();
        let head_bias = weights.tensor("head.bias")?.first().copied().unwrap_or(0.0);
        let units = head_weight.len() / 2;
        Ok(Self {
            units,
            forward: Direction::new(weights, units, false)?,
            backward: Direction::new(weights, units, true)?,
            head_weight,
            head_bias,
        })
    }

    /// The case logit and each slice's share, `sum_k f_nk * dy/df_nk`. `features`: one 2048-vector per slice, head to feet.
    ///
    /// # Errors
    /// No slices, or a vector of another length.
    pub fn forward(&self, features: &[Vec<f32>]) -> Result<CaseForward, ModelError> {
        let rows = stacked(features)?;
        let mut logit = self.head_bias;
        let mut attribution = vec![0.0f32; features.len()];
        let halves = self.head_weight.split_at(self.units);
        for (direction, head) in [(&self.forward, halves.0), (&self.backward, halves.1)] {
            let trace = direction.run(&rows, self.units);
            logit += dot(head, last_row(&trace.outputs, self.units));
            direction.attribute(&trace, head, &mut attribution);
        }
        Ok(CaseForward { logit, attribution })
    }

    /// The outputs of both directions for every slice, `(slice, 2 * units)`, as PyTorch returns them.
    ///
    /// # Errors
    /// As [`Blstm::forward`].
    pub fn outputs(&self, features: &[Vec<f32>]) -> Result<Vec<f32>, ModelError> {
        let rows = stacked(features)?;
        let traces = [self.forward.run(&rows, self.units), self.backward.run(&rows, self.units)];
        let steps = features.len();
        let row = |trace: &Trace, step: usize| trace.outputs[step * self.units..(step + 1) * self.units].to_vec();
        Ok((0..steps)
            .flat_map(|slice| [row(&traces[0], slice), row(&traces[1], steps - 1 - slice)])
            .flatten()
            .collect())
    }
}

impl Direction {
    fn new(weights: &Weights, units: usize, reversed: bool) -> Result<Self, ModelError> {
        let suffix = if reversed { "_reverse" } else { "" };
        let tensor = |part: &str| weights.tensor(&format!("lstm.{part}_l0{suffix}"));
        let recurrent = tensor("weight_hh")?.to_vec();
        let mut recurrent_transposed = vec![0.0; recurrent.len()];
        for (row, values) in recurrent.chunks_exact(units).enumerate() {
            for (column, &value) in values.iter().enumerate() {
                recurrent_transposed[column * 4 * units + row] = value;
            }
        }
        let bias = tensor("bias_ih")?.iter().zip(tensor("bias_hh")?).map(|(a, b)| a + b).collect();
        Ok(Self { input: tensor("weight_ih")?.to_vec(), recurrent, recurrent_transposed, bias, reversed })
    }

    /// The slice that step `step` reads.
    fn slice_of(&self, step: usize, steps: usize) -> usize {
        if self.reversed { steps - 1 - step } else { step }
    }

    /// The input's part of all gates at once, `(step, 4 * units)`.
    fn project(&self, rows: &[f32], units: usize) -> Vec<f32> {
        let (steps, width) = (rows.len() / FEATURES, 4 * units);
        let mut by_slice = vec![0.0; steps * width];
        let shared = SharedMatrix::new(&mut by_slice, steps, width);
        (0..4).into_par_iter().for_each(|gate| {
            let weight =
                Matrix::row_major(&self.input[gate * units * FEATURES..(gate + 1) * units * FEATURES], units, FEATURES);
            // SAFETY: every gate has its own columns.
            let mut block = unsafe { shared.block(0..steps, gate * units..(gate + 1) * units) };
            block.set_product(Matrix::row_major(rows, steps, FEATURES), weight.transposed());
        });
        if !self.reversed {
            return by_slice;
        }
        by_slice.chunks_exact(width).rev().flatten().copied().collect()
    }

    fn run(&self, rows: &[f32], units: usize) -> Trace {
        let projected = self.project(rows, units);
        let width = 4 * units;
        let steps = projected.len() / width;
        let (mut gates, mut cells, mut outputs) =
            (Vec::with_capacity(steps * width), Vec::with_capacity(steps * units), Vec::with_capacity(steps * units));
        let (mut cell, mut output) = (vec![0.0f32; units], vec![0.0f32; units]);
        for projected in projected.chunks_exact(width) {
            let mut gate: Vec<f32> = projected.iter().zip(&self.bias).map(|(p, b)| p + b).collect();
            for (&value, row) in output.iter().zip(self.recurrent_transposed.chunks_exact(width)) {
                add_scaled(&mut gate, value, row);
            }
            activate(&mut gate, units);
            for k in 0..units {
                let (input, forget, candidate) = (gate[k], gate[units + k], gate[2 * units + k]);
                cell[k] = forget * cell[k] + input * candidate;
                output[k] = gate[3 * units + k] * cell[k].tanh();
            }
            gates.extend_from_slice(&gate);
            cells.extend_from_slice(&cell);
            outputs.extend_from_slice(&output);
        }
        Trace { projected, gates, cells, outputs }
    }

    /// Adds this direction's share of every slice: back through time from the last step, where `head` is the gradient.
    ///
    /// `sum_k f_nk * dy/df_nk` equals `sum_j dy/dgate_nj * (W f_n)_j`, and `W f_n` is known from the way forward, so the
    /// gradient by feature itself is never formed.
    fn attribute(&self, trace: &Trace, head: &[f32], attribution: &mut [f32]) {
        let units = head.len();
        let width = 4 * units;
        let steps = attribution.len();
        let (mut d_output, mut d_cell) = (head.to_vec(), vec![0.0f32; units]);
        let zeros = vec![0.0f32; units];
        for step in (0..steps).rev() {
            let gate = &trace.gates[step * width..(step + 1) * width];
            let cell = &trace.cells[step * units..(step + 1) * units];
            let before = if step == 0 { &zeros[..] } else { &trace.cells[(step - 1) * units..step * units] };
            let mut d_gate = vec![0.0f32; width];
            for k in 0..units {
                let (input, forget, candidate, out) =
                    (gate[k], gate[units + k], gate[2 * units + k], gate[3 * units + k]);
                let squashed = cell[k].tanh();
                let d = d_cell[k] + d_output[k] * out * (1.0 - squashed * squashed);
                d_gate[k] = d * candidate * input * (1.0 - input);
                d_gate[units + k] = d * before[k] * forget * (1.0 - forget);
                d_gate[2 * units + k] = d * input * (1.0 - candidate * candidate);
                d_gate[3 * units + k] = d_output[k] * squashed * out * (1.0 - out);
                d_cell[k] = d * forget;
            }
            attribution[self.slice_of(step, steps)] += dot(&d_gate, &trace.projected[step * width..(step + 1) * width]);
            d_output.fill(0.0);
            for (&d, row) in d_gate.iter().zip(self.recurrent.chunks_exact(units)) {
                add_scaled(&mut d_output, d, row);
            }
        }
    }
}

/// Sigmoid on the input, forget and output gates, tanh on the cell gate.
fn activate(gate: &mut [f32], units: usize) {
    for (index, value) in gate.iter_mut().enumerate() {
        *value = if index / units == 2 { value.tanh() } else { 1.0 / (1.0 + (-*value).exp()) };
    }
}

fn stacked(features: &[Vec<f32>]) -> Result<Vec<f32>, ModelError> {
    if features.is_empty() {
        return Err(ModelError::Forward("a case needs at least one slice".into()));
    }
    if let Some(index) = features.iter().position(|f| f.len() != FEATURES) {
        let (slice, length) = (index + 1, features[index].len());
        return Err(ModelError::Forward(format!("slice {slice} has {length} features instead of {FEATURES}")));
    }
    Ok(features.concat())
}

fn last_row(rows: &[f32], width: usize) -> &[f32] {
    &rows[rows.len() - width..]
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}

fn add_scaled(target: &mut [f32], factor: f32, row: &[f32]) {
    target.iter_mut().zip(row).for_each(|(to, from)| *to += factor * from);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Blstm {
        let weights = Weights::sequence_from_fn(96, |name, shape| {
            let length: usize = shape.iter().product();
            let scale = if name.starts_with("lstm.weight_ih") { 0.05 } else { 0.4 };
            // Scrambled, because plain waves cancel each other.
            let scrambled = |i: usize| ((i * 7919 + name.len() * 104_729) % 10_007) as f32 / 10_007.0 - 0.5;
            (0..length).map(|i| scale * scrambled(i)).collect()
        })
        .unwrap();
        Blstm::new(&weights).unwrap()
    }

    fn features(steps: usize) -> Vec<Vec<f32>> {
        (0..steps).map(|n| (0..FEATURES).map(|k| ((n * 31 + k) as f32 * 0.17).sin().abs()).collect()).collect()
    }

    /// `sum_k f_nk * dy/df_nk` is the slope of the logit when slice n's vector is stretched.
    #[test]
    fn attribution_is_the_slope_of_the_logit() {
        let net = network();
        let features = features(7);
        let case = net.forward(&features).unwrap();
        let step = 2e-3;
        for slice in 0..features.len() {
            let stretched = |factor: f32| {
                let mut changed = features.clone();
                changed[slice].iter_mut().for_each(|v| *v *= factor);
                f64::from(net.forward(&changed).unwrap().logit)
            };
            let slope = (stretched(1.0 + step) - stretched(1.0 - step)) / (2.0 * f64::from(step));
            let got = f64::from(case.attribution[slice]);
            assert!((got - slope).abs() < 1e-3 + 0.01 * slope.abs(), "slice {slice}: {got} against {slope}");
        }
        assert!(case.attribution.iter().any(|a| a.abs() > 0.01), "the example has something to measure");
    }

    /// With both directions' weights equal, the reversed case must swap the two halves of the outputs.
    #[test]
    fn the_backward_direction_reads_backwards() {
        let mut net = network();
        net.backward = Direction { reversed: true, ..net.backward };
        net.backward.input = net.forward.input.clone();
        net.backward.recurrent_transposed = net.forward.recurrent_transposed.clone();
        net.backward.bias = net.forward.bias.clone();
        let forward = features(4);
        let reversed: Vec<_> = forward.iter().rev().cloned().collect();
        let (a, b) = (net.outputs(&forward).unwrap(), net.outputs(&reversed).unwrap());
        let half = |rows: &[f32], slice: usize, side: usize| {
            rows[(slice * 2 + side) * 96..(slice * 2 + side + 1) * 96].to_vec()
        };
        for slice in 0..4 {
            assert_eq!(half(&a, slice, 0), half(&b, 3 - slice, 1), "slice {slice}");
        }
        assert_ne!(half(&a, 0, 0), half(&a, 0, 1));
    }

    #[test]
    fn wrong_input_is_refused_with_its_place() {
        let net = network();
        assert!(net.forward(&[]).unwrap_err().to_string().contains("at least one slice"));
        let text = net.forward(&[vec![0.0; FEATURES], vec![0.0; 3]]).unwrap_err().to_string();
        assert!(text.contains("slice 2 has 3 features"), "{text}");
    }
}
