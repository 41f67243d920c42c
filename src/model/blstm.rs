//! The bidirectional LSTM over the slices' features, and how much each slice moved its answer.
//!
//! PyTorch's semantics: gates in the order input, forget, cell, output; two bias vectors that are added; the backward
//! direction runs over the reversed sequence. (candle 0.11's LSTM only takes the other weights for it and reads the
//! sequence forward.) The case logit is a linear layer on the forward state after the last slice and the backward state
//! after the first. It is small, so it runs on the CPU whatever the device of the backbone.

use rayon::prelude::*;

use super::checkpoint::Weights;
use super::matmul::{Matrix, SharedMatrix};
use super::pooling::{Pool, dot, top_mean, top_slices};
use super::{Architecture, CaseForward, ModelError, Pooling};

/// The sequence network.
pub struct Blstm {
    units: usize,
    features: usize,
    pooling: Pooling,
    forward: Direction,
    backward: Direction,
    /// First half for the forward state, second for the backward state.
    head_weight: Vec<f32>,
    head_bias: f32,
    /// Empty without attention.
    attention: Vec<f32>,
    top: Option<TopSlices>,
}

/// What `topk-residual` needs: the backbone's last layer, so that slice logits come out of the features, and what is made
/// of their top three.
struct TopSlices {
    fc_weight: Vec<f32>,
    fc_bias: f32,
    factor: f32,
    offset: f32,
}

/// One direction of the LSTM.
pub(super) struct Direction {
    /// `(4 * units, features)`.
    pub(super) input: Vec<f32>,
    /// `(4 * units, units)` and its transpose: one for each way through time.
    pub(super) recurrent: Vec<f32>,
    recurrent_transposed: Vec<f32>,
    /// Both of PyTorch's bias vectors together.
    bias: Vec<f32>,
    pub(super) reversed: bool,
}

/// What one direction did, row by row in the order of its own steps.
pub(super) struct Trace {
    /// `input * feature` without bias, `(step, 4 * units)`.
    projected: Vec<f32>,
    /// Activated gates, `(step, 4 * units)`.
    gates: Vec<f32>,
    /// Cell states and outputs, `(step, units)`.
    cells: Vec<f32>,
    pub(super) outputs: Vec<f32>,
}

impl Blstm {
    /// Takes the tensors `lstm.*`, `head.*` and those of the pooling.
    pub fn new(network: &Architecture, weights: &Weights) -> Result<Self, ModelError> {
        let units = network.units;
        let number = |name: &str| Ok::<_, ModelError>(weights.tensor(name)?.first().copied().unwrap_or(0.0));
        let attention = match network.pooling {
            Pooling::Attention => weights.tensor("attention.weight")?.to_vec(),
            _ => Vec::new(),
        };
        let top = match network.pooling {
            Pooling::TopkResidual => Some(TopSlices {
                fc_weight: weights.tensor("backbone.fc.weight")?.to_vec(),
                fc_bias: number("backbone.fc.bias")?,
                factor: number("topk.weight")?,
                offset: number("topk.bias")?,
            }),
            _ => None,
        };
        Ok(Self {
            units,
            features: network.features(),
            pooling: network.pooling,
            forward: Direction::new(weights, units, false)?,
            backward: Direction::new(weights, units, true)?,
            head_weight: weights.tensor("head.weight")?.to_vec(),
            head_bias: number("head.bias")?,
            attention,
            top,
        })
    }

    /// The case logit and each slice's share, `sum_k f_nk * dy/df_nk`. `features`: one vector per slice, head to feet.
    ///
    /// # Errors
    /// No slices, or a vector of another length.
    pub fn forward(&self, features: &[Vec<f32>]) -> Result<CaseForward, ModelError> {
        let rows = self.stacked(features)?;
        let traces = [self.forward.run(&rows, self.units), self.backward.run(&rows, self.units)];
        let outputs = by_slice(&traces, self.units);
        let pool = Pool::new(self.pooling, &self.attention);
        let pooled = pool.forward(&outputs, self.units);
        let mut logit = self.head_bias + dot(&self.head_weight, &pooled.summary);
        let (d_outputs, _) = pool.backward(&outputs, &pooled, &self.head_weight, self.units);
        let mut attribution = vec![0.0f32; features.len()];
        for (half, direction) in [&self.forward, &self.backward].into_iter().enumerate() {
            let own = own_order(&d_outputs, half, self.units, direction.reversed);
            let d_gates = direction.back(&traces[half], &own, self.units);
            direction.attribute(&traces[half], &d_gates, self.units, &mut attribution);
        }
        if let Some(top) = &self.top {
            logit += top.add(features, &mut attribution);
        }
        Ok(CaseForward { logit, attribution })
    }

    /// The outputs of both directions for every slice, `(slice, 2 * units)`, as PyTorch returns them.
    ///
    /// # Errors
    /// As [`Blstm::forward`].
    pub fn outputs(&self, features: &[Vec<f32>]) -> Result<Vec<f32>, ModelError> {
        let rows = self.stacked(features)?;
        Ok(by_slice(&[self.forward.run(&rows, self.units), self.backward.run(&rows, self.units)], self.units))
    }

    fn stacked(&self, features: &[Vec<f32>]) -> Result<Vec<f32>, ModelError> {
        if features.is_empty() {
            return Err(ModelError::Forward("a case needs at least one slice".into()));
        }
        let expected = self.features;
        if let Some(index) = features.iter().position(|f| f.len() != expected) {
            let (slice, length) = (index + 1, features[index].len());
            return Err(ModelError::Forward(format!("slice {slice} has {length} features instead of {expected}")));
        }
        Ok(features.concat())
    }
}

impl TopSlices {
    /// This part's logit; adds to the attribution of the slices it took.
    fn add(&self, features: &[Vec<f32>], attribution: &mut [f32]) -> f32 {
        let logits: Vec<f32> = features.iter().map(|f| dot(f, &self.fc_weight) + self.fc_bias).collect();
        let top = top_slices(&logits);
        for &slice in &top {
            attribution[slice] += self.factor * (logits[slice] - self.fc_bias) / top.len() as f32;
        }
        self.factor * top_mean(&logits, &top) + self.offset
    }
}

/// Both directions' outputs side by side, `(slice, 2 * units)`.
pub(super) fn by_slice(traces: &[Trace; 2], units: usize) -> Vec<f32> {
    let steps = traces[0].outputs.len() / units;
    let row = |trace: &Trace, step: usize| trace.outputs[step * units..(step + 1) * units].to_vec();
    (0..steps).flat_map(|slice| [row(&traces[0], slice), row(&traces[1], steps - 1 - slice)]).flatten().collect()
}

/// One direction's half of gradients by slice, in the order of its own steps.
pub(super) fn own_order(d_outputs: &[f32], half: usize, units: usize, reversed: bool) -> Vec<f32> {
    let rows = d_outputs.chunks_exact(2 * units).map(|row| &row[half * units..(half + 1) * units]);
    if reversed { rows.rev().flatten().copied().collect() } else { rows.flatten().copied().collect() }
}

impl Direction {
    fn new(weights: &Weights, units: usize, reversed: bool) -> Result<Self, ModelError> {
        let suffix = if reversed { "_reverse" } else { "" };
        let tensor = |part: &str| weights.tensor(&format!("lstm.{part}_l0{suffix}"));
        let biases = [tensor("bias_ih")?, tensor("bias_hh")?];
        Ok(Self::from_parts(units, tensor("weight_ih")?, tensor("weight_hh")?, biases, reversed))
    }

    /// Out of PyTorch's four tensors.
    pub(super) fn from_parts(
        units: usize,
        input: &[f32],
        recurrent: &[f32],
        biases: [&[f32]; 2],
        reversed: bool,
    ) -> Self {
        let mut recurrent_transposed = vec![0.0; recurrent.len()];
        for (row, values) in recurrent.chunks_exact(units).enumerate() {
            for (column, &value) in values.iter().enumerate() {
                recurrent_transposed[column * 4 * units + row] = value;
            }
        }
        let bias = biases[0].iter().zip(biases[1]).map(|(a, b)| a + b).collect();
        Self { input: input.to_vec(), recurrent: recurrent.to_vec(), recurrent_transposed, bias, reversed }
    }

    /// The slice that step `step` reads.
    fn slice_of(&self, step: usize, steps: usize) -> usize {
        if self.reversed { steps - 1 - step } else { step }
    }

    /// The input's part of all gates at once, `(step, 4 * units)`.
    fn project(&self, rows: &[f32], units: usize) -> Vec<f32> {
        let (width, features) = (4 * units, self.input.len() / (4 * units));
        let steps = rows.len() / features;
        let mut by_slice = vec![0.0; steps * width];
        let shared = SharedMatrix::new(&mut by_slice, steps, width);
        (0..4).into_par_iter().for_each(|gate| {
            let weight =
                Matrix::row_major(&self.input[gate * units * features..(gate + 1) * units * features], units, features);
            // SAFETY: every gate has its own columns.
            let mut block = unsafe { shared.block(0..steps, gate * units..(gate + 1) * units) };
            block.set_product(Matrix::row_major(rows, steps, features), weight.transposed());
        });
        if !self.reversed {
            return by_slice;
        }
        by_slice.chunks_exact(width).rev().flatten().copied().collect()
    }

    /// `rows` is `(slice, features)`.
    pub(super) fn run(&self, rows: &[f32], units: usize) -> Trace {
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

    /// Adds this direction's share of every slice.
    ///
    /// `sum_k f_nk * dy/df_nk` equals `sum_j dy/dgate_nj * (W f_n)_j`, and `W f_n` is known from the way forward, so the
    /// gradient by feature itself is never formed.
    fn attribute(&self, trace: &Trace, d_gates: &[f32], units: usize, attribution: &mut [f32]) {
        let (width, steps) = (4 * units, attribution.len());
        for (step, (d_gate, projected)) in
            d_gates.chunks_exact(width).zip(trace.projected.chunks_exact(width)).enumerate()
        {
            attribution[self.slice_of(step, steps)] += dot(d_gate, projected);
        }
    }

    /// Back through time: from the gradient by every output, `(step, units)`, to that by the gates before their activation,
    /// `(step, 4 * units)`.
    pub(super) fn back(&self, trace: &Trace, d_outputs: &[f32], units: usize) -> Vec<f32> {
        let width = 4 * units;
        let steps = d_outputs.len() / units;
        let (mut carried, mut d_cell) = (vec![0.0f32; units], vec![0.0f32; units]);
        let zeros = vec![0.0f32; units];
        let mut d_gates = vec![0.0f32; steps * width];
        for (step, d_gate) in d_gates.chunks_exact_mut(width).enumerate().rev() {
            let gate = &trace.gates[step * width..(step + 1) * width];
            let cell = &trace.cells[step * units..(step + 1) * units];
            let before = if step == 0 { &zeros[..] } else { &trace.cells[(step - 1) * units..step * units] };
            for k in 0..units {
                let (input, forget, candidate, out) =
                    (gate[k], gate[units + k], gate[2 * units + k], gate[3 * units + k]);
                let squashed = cell[k].tanh();
                let d_output = carried[k] + d_outputs[step * units + k];
                let d = d_cell[k] + d_output * out * (1.0 - squashed * squashed);
                d_gate[k] = d * candidate * input * (1.0 - input);
                d_gate[units + k] = d * before[k] * forget * (1.0 - forget);
                d_gate[2 * units + k] = d * input * (1.0 - candidate * candidate);
                d_gate[3 * units + k] = d_output * squashed * out * (1.0 - out);
                d_cell[k] = d * forget;
            }
            carried.fill(0.0);
            for (&d, row) in d_gate.iter().zip(self.recurrent.chunks_exact(units)) {
                add_scaled(&mut carried, d, row);
            }
        }
        d_gates
    }
}

/// Sigmoid on the input, forget and output gates, tanh on the cell gate.
fn activate(gate: &mut [f32], units: usize) {
    for (index, value) in gate.iter_mut().enumerate() {
        *value = if index / units == 2 { value.tanh() } else { 1.0 / (1.0 + (-*value).exp()) };
    }
}

fn add_scaled(target: &mut [f32], factor: f32, row: &[f32]) {
    target.iter_mut().zip(row).for_each(|(to, from)| *to += factor * from);
}

#[cfg(test)]
mod tests {
    use super::super::FEATURES;
    use super::*;

    fn network() -> Blstm {
        let weights = Weights::sequence_from_fn(&Architecture::paper(96), |name, shape| {
            let length: usize = shape.iter().product();
            let scale = if name.starts_with("lstm.weight_ih") { 0.05 } else { 0.4 };
            // Scrambled, because plain waves cancel each other.
            let scrambled = |i: usize| ((i * 7919 + name.len() * 104_729) % 10_007) as f32 / 10_007.0 - 0.5;
            (0..length).map(|i| scale * scrambled(i)).collect()
        })
        .unwrap();
        Blstm::new(&Architecture::paper(96), &weights).unwrap()
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
