//! The backbone while it learns.

use std::borrow::Cow;

use super::super::architecture::Plan;
use super::super::device::LearningPlace;
use super::super::init::drawn;
use super::super::resnet::conv_shapes;
use super::super::{Architecture, DevicePreference, ModelError, Weights};
use super::cpu::{self, CpuBackbone};
use super::norm::Running;
use super::on_device::{DeviceBackbone, DeviceForward};
use super::optimiser::{self, Parameter, same_length};
use super::pack::{pack, unpack};
use super::{AdamOptions, BatchLoss, Evaluated, NamedTensors, OptimiserState, Places, layers};
use crate::random::Stream;

/// Pictures at a time where no gradient is wanted.
const EVALUATION_BATCH: usize = 16;

/// Where the layers run.
enum Engine {
    Cpu(CpuBackbone),
    Device(DeviceBackbone),
}

/// A batch on its way through one of them.
enum Forward {
    Cpu(cpu::Forward),
    Device(DeviceForward),
}

impl Engine {
    fn running(&self) -> &[Running] {
        match self {
            Self::Cpu(layers) => &layers.running,
            Self::Device(layers) => &layers.running,
        }
    }

    fn set_running(&mut self, running: Vec<Running>) {
        match self {
            Self::Cpu(layers) => layers.running = running,
            Self::Device(layers) => layers.running = running,
        }
    }

    fn forward(&mut self, parameters: &[Parameter], pictures: &[f32], side: usize) -> Result<Forward, ModelError> {
        Ok(match self {
            Self::Cpu(layers) => Forward::Cpu(layers.forward(parameters, pictures, side)),
            Self::Device(layers) => Forward::Device(layers.forward(parameters, pictures, side)?),
        })
    }

    fn backward(
        &self,
        parameters: &mut [Parameter],
        forward: Forward,
        d_features: &[f32],
        d_maps: Option<&[f32]>,
    ) -> Result<(), ModelError> {
        match (self, forward) {
            (Self::Cpu(layers), Forward::Cpu(forward)) => layers.backward(parameters, forward, d_features, d_maps),
            (Self::Device(layers), Forward::Device(forward)) => {
                layers.backward(parameters, forward, d_features, d_maps)?;
            }
            _ => unreachable!("a batch comes back the way it went"),
        }
        Ok(())
    }

    fn evaluate(&self, parameters: &[Parameter], pictures: &[f32], side: usize) -> Result<Vec<f32>, ModelError> {
        match self {
            Self::Cpu(layers) => Ok(layers.evaluate(parameters, pictures, side)),
            Self::Device(layers) => layers.evaluate(parameters, pictures, side),
        }
    }
}

impl Forward {
    fn features(&self) -> &[f32] {
        match self {
            Self::Cpu(forward) => &forward.features,
            Self::Device(forward) => &forward.features,
        }
    }

    /// The last maps, `(picture, cell, channel)`.
    fn cells(&self) -> Result<Cow<'_, [f32]>, ModelError> {
        Ok(match self {
            Self::Cpu(forward) => Cow::Borrowed(forward.cells()),
            Self::Device(forward) => Cow::Owned(forward.cells()?),
        })
    }
}

/// The backbone with its gradients, running statistics and optimiser.
pub struct TrainBackbone {
    network: Architecture,
    layers: Engine,
    device_name: String,
    /// Convolutions' weights are kept as the layers want them; see [`pack`]. Three for each convolution, then weight and
    /// bias of `fc`, then, where places are learned, those of the local head.
    parameters: Vec<Parameter>,
    /// Index of `fc`'s weight.
    fc: usize,
    options: AdamOptions,
    steps: u64,
}

impl TrainBackbone {
    /// Seeded initial weights: Kaiming normal (fan out), batch norms 1 and 0, `fc` uniform within `1/sqrt(features)`.
    ///
    /// # Errors
    /// An architecture that cannot be built, or a device that was asked for by name and does not work.
    pub fn new(network: &Architecture, seed: u64, device: DevicePreference) -> Result<Self, ModelError> {
        network.check().map_err(ModelError::Forward)?;
        Self::build(network, &network.backbone.plan(), device, |name, shape| Ok(drawn(seed, network, name, shape)))
    }

    /// Goes on from weights.
    ///
    /// # Errors
    /// As [`TrainBackbone::new`]; a tensor is missing.
    pub fn from_weights(
        network: &Architecture,
        weights: &Weights,
        device: DevicePreference,
    ) -> Result<Self, ModelError> {
        network.check().map_err(ModelError::Forward)?;
        Self::build(network, &network.backbone.plan(), device, |name, _| weights.tensor(name).map(<[f32]>::to_vec))
    }

    fn build(
        network: &Architecture,
        plan: &Plan,
        device: DevicePreference,
        make: impl Fn(&str, &[usize]) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        let (mut parameters, mut running) = (Vec::new(), Vec::new());
        let made = |name: String, shape: Vec<usize>| -> Result<Parameter, ModelError> {
            let length = shape.iter().product();
            let values = pack(&shape, &same_length(&name, &make(&name, &shape)?, length)?);
            Ok(Parameter::new(name, shape, values))
        };
        for shape in conv_shapes(plan) {
            let channels = shape.channels_out;
            parameters.push(made(shape.name, vec![channels, shape.channels_in, shape.kernel, shape.kernel])?);
            let part = |name: &str| made(format!("{}.{name}", shape.norm), vec![channels]);
            parameters.extend([part("weight")?, part("bias")?]);
            running.push(Running { mean: part("running_mean")?.values, variance: part("running_var")?.values });
        }
        parameters.push(made("backbone.fc.weight".into(), vec![1, plan.features()])?);
        parameters.push(made("backbone.fc.bias".into(), vec![1])?);
        let (place, device_name) = super::super::device::open(device)?;
        let layers = match place {
            LearningPlace::Cpu(precision) => Engine::Cpu(CpuBackbone::new(plan, running, precision)),
            LearningPlace::Device(device) => Engine::Device(DeviceBackbone::new(plan, running, device)),
        };
        let (options, fc) = (AdamOptions::default(), parameters.len() - 2);
        Ok(Self { network: *network, layers, device_name, parameters, fc, options, steps: 0 })
    }

    #[cfg(test)]
    pub(super) fn with_plan(
        network: &Architecture,
        plan: &Plan,
        make: impl Fn(&str, &[usize]) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        Self::build(network, plan, DevicePreference::Cpu, make)
    }

    #[cfg(test)]
    pub(super) fn last_gradients(&self) -> NamedTensors {
        let of = |p: &Parameter| (p.name.clone(), (p.shape.clone(), unpack(&p.shape, &p.gradient)));
        NamedTensors(self.parameters.iter().map(of).collect())
    }

    /// How steps are made; plain Adam unless set.
    pub fn set_optimiser(&mut self, options: AdamOptions) {
        self.options = options;
    }

    /// From now on the convolutions of these parts (`conv1`, `layer1` to `layer4`) keep their weights; their batch norms go on
    /// learning.
    ///
    /// # Errors
    /// There is no such part.
    pub fn freeze(&mut self, parts: &[String]) -> Result<(), ModelError> {
        for part in parts {
            let prefix = format!("backbone.{part}.");
            let inside = |p: &&mut Parameter| p.shape.len() == 4 && p.name.starts_with(&prefix);
            let mut any = false;
            self.parameters.iter_mut().filter(inside).for_each(|p| (p.frozen, any) = (true, true));
            if !any {
                let backbone = self.network.backbone.name();
                return Err(ModelError::Forward(format!("{backbone} has no part {part:?} that could be frozen")));
            }
        }
        Ok(())
    }

    /// The device in words.
    pub fn device_name(&self) -> &str {
        &self.device_name
    }

    /// Adds a head that says of each cell of the last maps whether a fracture lies in it. It serves [`Self::gradients`]
    /// only and does not stand in a weight file.
    pub fn learn_places(&mut self) {
        if !self.learns_places() {
            let width = self.network.features();
            self.parameters.push(Parameter::new("local.weight".into(), vec![1, width], vec![0.0; width]));
            self.parameters.push(Parameter::new("local.bias".into(), vec![1], vec![0.0]));
        }
    }

    fn learns_places(&self) -> bool {
        self.parameters.len() > self.fc + 2
    }

    /// Cells along one edge of the last maps: the input is halved five times, rounding up.
    pub fn cells_per_edge(&self) -> usize {
        self.network.input_side.div_ceil(32)
    }

    /// Forward and backward through one batch in training mode: `pictures` holds `3 * side * side` normalised values for each
    /// target (0 or 1). `weights` says how much each picture counts in the mean. Updates the running statistics, not the
    /// weights. `dropout` is the share of features dropped before `fc`, drawn from `rng`. `places` adds the local head's
    /// loss to what is learned, not to the loss that is given back.
    ///
    /// # Errors
    /// The lengths do not fit, or the device failed.
    pub fn gradients(
        &mut self,
        pictures: &[f32],
        targets: &[f32],
        weights: &[f32],
        dropout: f32,
        rng: &mut Stream,
        places: Option<&Places>,
    ) -> Result<BatchLoss, ModelError> {
        let count = targets.len();
        let side = self.check_pictures(pictures, count)?;
        if weights.len() != count {
            return Err(ModelError::Forward(format!("{count} targets and {} weights", weights.len())));
        }
        let forward = self.layers.forward(&self.parameters, pictures, side)?;
        let factors = layers::dropout_factors(forward.features().len(), dropout, rng);
        let dropped: Vec<f32> = forward.features().iter().zip(&factors).map(|(f, factor)| f * factor).collect();
        let logits = self.logits(&dropped);
        let (loss, d_logits) = layers::cross_entropy(&logits, targets, weights);
        let d_features = self.fc_backward(&dropped, &factors, &d_logits);
        let d_maps = match places {
            Some(places) if self.learns_places() => Some(self.local(&forward.cells()?, places, count)?),
            _ => None,
        };
        self.layers.backward(&mut self.parameters, forward, &d_features, d_maps.as_deref())?;
        Ok(BatchLoss { loss, logits })
    }

    /// A forward pass in training mode and nothing else: moves the batch norms' running statistics towards those of the
    /// pictures.
    ///
    /// # Errors
    /// As [`TrainBackbone::gradients`].
    pub fn observe(&mut self, pictures: &[f32], count: usize) -> Result<(), ModelError> {
        let side = self.check_pictures(pictures, count)?;
        self.layers.forward(&self.parameters, pictures, side).map(|_| ())
    }

    /// Sets the local head's gradients and gives those of the last maps.
    fn local(&mut self, cells: &[f32], places: &Places, count: usize) -> Result<Vec<f32>, ModelError> {
        let expected = count * self.cells_per_edge() * self.cells_per_edge();
        if places.targets.len() != expected {
            let have = places.targets.len();
            return Err(ModelError::Forward(format!("{have} targets for {expected} cells")));
        }
        let [weight, bias] = &mut self.parameters[self.fc + 2..] else { return Ok(vec![0.0; cells.len()]) };
        let offset = bias.values.first().copied().unwrap_or(0.0);
        let found = layers::local_head(cells, &weight.values, offset, &places.targets, places.weight);
        bias.gradient.fill(found.d_bias);
        weight.gradient = found.d_weights;
        Ok(found.d_cells)
    }

    /// `fc` on `(picture, feature)`.
    fn logits(&self, features: &[f32]) -> Vec<f32> {
        let [weight, bias, ..] = &self.parameters[self.fc..] else { return Vec::new() };
        let bias = bias.values.first().copied().unwrap_or(0.0);
        let rows = features.chunks_exact(weight.values.len());
        rows.map(|row| super::super::pooling::dot(row, &weight.values) + bias).collect()
    }

    /// Sets `fc`'s gradients and gives those of the features before dropout.
    fn fc_backward(&mut self, dropped: &[f32], factors: &[f32], d_logits: &[f32]) -> Vec<f32> {
        let [weight, bias, ..] = &mut self.parameters[self.fc..] else { return Vec::new() };
        let width = weight.values.len();
        bias.gradient.fill(d_logits.iter().sum());
        weight.gradient.fill(0.0);
        let mut d_features = Vec::with_capacity(dropped.len());
        for ((row, factors), &d) in dropped.chunks_exact(width).zip(factors.chunks_exact(width)).zip(d_logits) {
            weight.gradient.iter_mut().zip(row).for_each(|(to, value)| *to += d * value);
            d_features.extend(weight.values.iter().zip(factors).map(|(weight, factor)| d * weight * factor));
        }
        d_features
    }

    /// The edge of `count` pictures.
    fn check_pictures(&self, pictures: &[f32], count: usize) -> Result<usize, ModelError> {
        let side = self.network.input_side;
        if count == 0 || count.checked_mul(3 * side * side) != Some(pictures.len()) {
            let have = pictures.len();
            return Err(ModelError::Forward(format!("{count} pictures of 3 x {side} x {side} are not {have} values")));
        }
        Ok(side)
    }

    /// One optimiser step along the last gradients; returns their norm before clipping.
    ///
    /// # Errors
    /// The device failed.
    pub fn step(&mut self, rate: f64) -> Result<f64, ModelError> {
        Ok(optimiser::adam(&mut self.parameters, &self.options, &mut self.steps, rate))
    }

    /// Logits and features of `count` normalised pictures, batch norms in evaluation mode.
    ///
    /// # Errors
    /// As [`TrainBackbone::gradients`].
    pub fn evaluate(&self, pictures: &[f32], count: usize) -> Result<Vec<Evaluated>, ModelError> {
        let side = self.check_pictures(pictures, count)?;
        let mut all = Vec::with_capacity(count);
        for batch in pictures.chunks(EVALUATION_BATCH * 3 * side * side) {
            let features = self.layers.evaluate(&self.parameters, batch, side)?;
            let logits = self.logits(&features);
            let width = features.len() / logits.len();
            let rows = features.chunks_exact(width).zip(logits);
            all.extend(rows.map(|(row, logit)| Evaluated { logit, features: row.to_vec() }));
        }
        Ok(all)
    }

    pub fn network(&self) -> &Architecture {
        &self.network
    }

    /// Parameters and running statistics under the names of a weight file (`backbone.*`).
    ///
    /// # Errors
    /// The device failed.
    pub fn tensors(&self) -> Result<NamedTensors, ModelError> {
        let mut all = NamedTensors::default();
        for parameter in &self.parameters {
            let values = unpack(&parameter.shape, &parameter.values);
            all.insert(parameter.name.clone(), parameter.shape.clone(), values);
        }
        for (norm, running) in self.norms().zip(self.layers.running()) {
            all.insert(format!("{norm}.running_mean"), vec![running.mean.len()], running.mean.clone());
            all.insert(format!("{norm}.running_var"), vec![running.variance.len()], running.variance.clone());
        }
        Ok(all)
    }

    /// Prefixes of the batch norms' names, in the layers' order.
    fn norms(&self) -> impl Iterator<Item = &str> {
        let weights = self.parameters[..self.fc].chunks_exact(3).map(|own| own[1].name.as_str());
        weights.map(|name| name.strip_suffix(".weight").unwrap_or(name))
    }

    /// Puts back what [`TrainBackbone::tensors`] gave.
    ///
    /// # Errors
    /// A tensor is missing or of another length.
    pub fn load_tensors(&mut self, tensors: &NamedTensors) -> Result<(), ModelError> {
        let mut running = Vec::with_capacity(self.layers.running().len());
        for (norm, old) in self.norms().zip(self.layers.running()) {
            let part = |name: &str| {
                let name = format!("{norm}.{name}");
                same_length(&name, tensors.values(&name)?, old.mean.len())
            };
            running.push(Running { mean: part("running_mean")?, variance: part("running_var")? });
        }
        for parameter in &mut self.parameters {
            let values = same_length(&parameter.name, tensors.values(&parameter.name)?, parameter.values.len())?;
            parameter.values = pack(&parameter.shape, &values);
        }
        self.layers.set_running(running);
        Ok(())
    }

    /// What the optimiser remembers.
    ///
    /// # Errors
    /// The device failed.
    pub fn optimiser_state(&self) -> Result<OptimiserState, ModelError> {
        let mut state = optimiser::state(&self.parameters, self.steps);
        for moments in [&mut state.first, &mut state.second] {
            moments.0.values_mut().for_each(|(shape, values)| *values = unpack(shape, values));
        }
        Ok(state)
    }

    /// Puts back what [`TrainBackbone::optimiser_state`] gave.
    ///
    /// # Errors
    /// A moment is missing or of another length.
    pub fn load_optimiser_state(&mut self, state: &OptimiserState) -> Result<(), ModelError> {
        let mut state = state.clone();
        for moments in [&mut state.first, &mut state.second] {
            moments.0.values_mut().for_each(|(shape, values)| *values = pack(shape, values));
        }
        optimiser::restore(&mut self.parameters, &state)?;
        self.steps = state.steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
