//! The backbone's way forward and back out of candle's tensor operations, for GPUs.
//!
//! candle 0.11 differentiates what is used here rightly on every device: matrix products, `maximum`, slices, sums. Its
//! own convolution has wrong or slow gradients on some, and its max pooling has none for 3 x 3 / stride 2, so both are
//! composed here: a convolution is the product with the gathered windows, a pooling the maximum over nine shifted
//! slices. Parameters and optimiser stay with the CPU, which is small beside the rest of a step.

use candle_core::{D, Device, Result, Tensor, Var};

use super::super::ModelError;
use super::super::architecture::Plan;
use super::super::conv::NORM_EPSILON;
use super::super::resnet::{ConvShape, Layers, conv_shapes, forward_error, walk};
use super::norm::{Running, move_towards};
use super::optimiser::Parameter;

/// Layers on a device; the counterpart of [`super::cpu::CpuBackbone`].
pub(super) struct DeviceBackbone {
    plan: Plan,
    shapes: Vec<ConvShape>,
    device: Device,
    pub(super) running: Vec<Running>,
}

/// A batch on its way; the tensor remembers how it was made.
pub(super) struct DeviceForward {
    parameters: Vec<Var>,
    maps: Tensor,
    pooled: Tensor,
    /// `(picture, feature)`.
    pub(super) features: Vec<f32>,
}

impl DeviceForward {
    /// The last maps, `(picture, cell, channel)`.
    pub(super) fn cells(&self) -> std::result::Result<Vec<f32>, ModelError> {
        let values = || self.maps.flatten_all()?.to_vec1();
        values().map_err(forward_error)
    }
}

impl DeviceBackbone {
    pub(super) fn new(plan: &Plan, running: Vec<Running>, device: Device) -> Self {
        Self { plan: *plan, shapes: conv_shapes(plan), device, running }
    }

    /// In training mode: batch norms by the batch's own moments, which also move the running statistics.
    pub(super) fn forward(
        &mut self,
        parameters: &[Parameter],
        pictures: &[f32],
        side: usize,
    ) -> std::result::Result<DeviceForward, ModelError> {
        self.try_forward(parameters, pictures, side).map_err(forward_error)
    }

    fn try_forward(&mut self, parameters: &[Parameter], pictures: &[f32], side: usize) -> Result<DeviceForward> {
        let convolutional = &parameters[..3 * self.shapes.len()];
        let upload = |p: &Parameter| Var::from_tensor(&self.tensor(p)?);
        let variables: Vec<Var> = convolutional.iter().map(upload).collect::<Result<_>>()?;
        let tensors: Vec<Tensor> = variables.iter().map(|var| var.as_tensor().clone()).collect();
        let mut pass = Pass { shapes: &self.shapes, parameters: &tensors, running: None, moments: Vec::new() };
        let maps = walk(&self.plan, &mut pass, &self.input(pictures, side)?)?;
        for (index, mean, variance) in std::mem::take(&mut pass.moments) {
            let (mean, variance) = (mean.to_vec1::<f32>()?, variance.to_vec1::<f32>()?);
            move_towards(&mut self.running[index], &mean, &variance);
        }
        let pooled = maps.mean((1, 2))?;
        let features = pooled.flatten_all()?.to_vec1()?;
        Ok(DeviceForward { parameters: variables, maps, pooled, features })
    }

    /// Sets the parameters' gradients (those of `fc` and the local head apart) from those of the features, and of the
    /// last maps themselves where something reads them.
    pub(super) fn backward(
        &self,
        parameters: &mut [Parameter],
        forward: DeviceForward,
        d_features: &[f32],
        d_maps: Option<&[f32]>,
    ) -> std::result::Result<(), ModelError> {
        let run = || -> Result<()> {
            let along = Tensor::from_slice(d_features, forward.pooled.shape(), &self.device)?;
            let mut sum = (&forward.pooled * along)?.sum_all()?;
            if let Some(d_maps) = d_maps {
                let along = Tensor::from_slice(d_maps, forward.maps.shape(), &self.device)?;
                sum = (sum + (&forward.maps * along)?.sum_all()?)?;
            }
            let gradients = sum.backward()?;
            for (variable, parameter) in forward.parameters.iter().zip(parameters) {
                let Some(gradient) = gradients.get(variable.as_tensor()) else {
                    candle_core::bail!("{} has no gradient", parameter.name);
                };
                parameter.gradient = gradient.flatten_all()?.to_vec1()?;
            }
            Ok(())
        };
        run().map_err(forward_error)
    }

    /// Features in evaluation mode, `(picture, feature)`.
    pub(super) fn evaluate(
        &self,
        parameters: &[Parameter],
        pictures: &[f32],
        side: usize,
    ) -> std::result::Result<Vec<f32>, ModelError> {
        let run = || -> Result<Vec<f32>> {
            let convolutional = &parameters[..3 * self.shapes.len()];
            let tensors: Vec<Tensor> = convolutional.iter().map(|p| self.tensor(p)).collect::<Result<_>>()?;
            let running = Some(self.running.as_slice());
            let mut pass = Pass { shapes: &self.shapes, parameters: &tensors, running, moments: Vec::new() };
            let maps = walk(&self.plan, &mut pass, &self.input(pictures, side)?)?;
            maps.mean((1, 2))?.flatten_all()?.to_vec1()
        };
        run().map_err(forward_error)
    }

    /// Convolutions' weights become `(channel out, window)`.
    fn tensor(&self, parameter: &Parameter) -> Result<Tensor> {
        let first = parameter.shape[0];
        let shape = if parameter.shape.len() > 1 { vec![first, parameter.values.len() / first] } else { vec![first] };
        Tensor::from_slice(&parameter.values, shape, &self.device)
    }

    fn input(&self, pictures: &[f32], side: usize) -> Result<Tensor> {
        let count = pictures.len() / (3 * side * side);
        Tensor::from_slice(pictures, (count, 3, side, side), &self.device)?.permute((0, 2, 3, 1))?.contiguous()
    }
}

/// One way through the layers; maps are `(picture, row, column, channel)`.
struct Pass<'a> {
    shapes: &'a [ConvShape],
    parameters: &'a [Tensor],
    /// The statistics to use instead of the batch's own.
    running: Option<&'a [Running]>,
    /// Index of a norm, mean and unbiased variance of the batch.
    moments: Vec<(usize, Tensor, Tensor)>,
}

impl Pass<'_> {
    fn norm(&mut self, index: usize, bare: &Tensor) -> Result<Tensor> {
        let (channels, device) = (bare.dim(D::Minus1)?, bare.device());
        let rows = bare.reshape(((), channels))?;
        let (mean, variance) = match self.running {
            Some(running) => {
                let of = |values: &[f32]| Tensor::from_slice(values, (1, channels), device);
                (of(&running[index].mean)?, of(&running[index].variance)?)
            }
            None => {
                let count = rows.dim(0)? as f64;
                let mean = rows.mean_keepdim(0)?;
                let variance = rows.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?;
                let unbiased = (variance.detach() * (count / (count - 1.0).max(1.0)))?;
                self.moments.push((index, mean.detach().flatten_all()?, unbiased.flatten_all()?));
                (mean, variance)
            }
        };
        let deviation = (variance + NORM_EPSILON)?.sqrt()?;
        let normalised = rows.broadcast_sub(&mean)?.broadcast_div(&deviation)?;
        let [weight, bias] = [1, 2].map(|part| self.parameters[3 * index + part].reshape((1, channels)));
        normalised.broadcast_mul(&weight?)?.broadcast_add(&bias?)?.reshape(bare.shape())
    }
}

impl Layers for Pass<'_> {
    type Maps = Tensor;
    type Error = candle_core::Error;

    fn conv(&mut self, index: usize, input: &Tensor, residual: Option<Tensor>, relu: bool) -> Result<Tensor> {
        let shape = &self.shapes[index];
        let windows = windows(input, shape.kernel, shape.stride, shape.padding)?;
        let (count, rows, columns, depth) = windows.dims4()?;
        let product = windows.reshape(((), depth))?.matmul(&self.parameters[3 * index].t()?)?;
        let mut maps = self.norm(index, &product.reshape((count, rows, columns, shape.channels_out))?)?;
        if let Some(residual) = residual {
            maps = (maps + residual)?;
        }
        if relu { maps.relu() } else { Ok(maps) }
    }

    /// After a ReLU, a border of zeros never exceeds a value inside.
    fn max_pool(&mut self, input: &Tensor) -> Result<Tensor> {
        let slices = shifted(input, 3, 2, 1)?;
        let (first, rest) = slices.split_first().expect("nine slices");
        rest.iter().try_fold(first.clone(), |largest, slice| largest.maximum(slice))
    }
}

/// `(picture, row, column, window)`, a window being `(kernel row, kernel column, channel)`.
fn windows(input: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    if kernel == 1 && stride == 1 {
        return Ok(input.clone());
    }
    Tensor::cat(&shifted(input, kernel, stride, padding)?, 3)?.contiguous()
}

/// What each place of the kernel sees: `(picture, row out, column out, channel)`.
fn shifted(input: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Vec<Tensor>> {
    let (_, rows, columns, _) = input.dims4()?;
    let edge = |length: usize| (length + 2 * padding - kernel) / stride + 1;
    let (rows_out, columns_out) = (edge(rows), edge(columns));
    // As far as the last window reaches when each of its strides is whole.
    let after = |length: usize, out: usize| (kernel - 1 + out * stride).saturating_sub(padding + length);
    let padded = input.pad_with_zeros(1, padding, after(rows, rows_out))?.pad_with_zeros(
        2,
        padding,
        after(columns, columns_out),
    )?;
    let mut slices = Vec::with_capacity(kernel * kernel);
    for row in 0..kernel {
        let lines = every(&padded, 1, row, stride, rows_out)?;
        for column in 0..kernel {
            slices.push(every(&lines, 2, column, stride, columns_out)?);
        }
    }
    Ok(slices)
}

/// Every `stride`-th element along a dimension, `count` of them from `first` on.
fn every(input: &Tensor, dimension: usize, first: usize, stride: usize, count: usize) -> Result<Tensor> {
    let part = input.narrow(dimension, first, count * stride)?;
    if stride == 1 {
        return Ok(part);
    }
    let mut shape = part.dims().to_vec();
    shape[dimension] = count;
    shape.insert(dimension + 1, stride);
    part.contiguous()?.reshape(shape)?.narrow(dimension + 1, 0, 1)?.squeeze(dimension + 1)
}

#[cfg(test)]
mod tests {
    use super::super::super::architecture::Block;
    use super::super::super::cpu::Precision;
    use super::super::cpu::CpuBackbone;
    use super::super::differences::scrambled;
    use super::super::norm::Running;
    use super::*;

    /// candle's automatic differentiation of composed operations against our own kernels.
    #[test]
    fn both_ways_through_the_network_agree() {
        let side = 37;
        for block in [Block::Basic, Block::Bottleneck] {
            let plan = Plan { block, blocks: [1; 4], width: 4 };
            let (mut parameters, mut running) = (Vec::new(), Vec::new());
            for (seed, shape) in (0..).step_by(3).zip(conv_shapes(&plan)) {
                let (out, depth) = (shape.channels_out, shape.kernel * shape.kernel * shape.channels_in);
                let scaled = |values: Vec<f32>, scale: f32, add: f32| values.iter().map(|v| v * scale + add).collect();
                let weight = scaled(scrambled(out * depth, seed), (12.0 / depth as f32).sqrt(), 0.0);
                let dims = vec![out, shape.channels_in, shape.kernel, shape.kernel];
                parameters.push(Parameter::new(shape.name, dims, weight));
                parameters.push(Parameter::new("w".into(), vec![out], scaled(scrambled(out, seed + 1), 0.5, 1.0)));
                parameters.push(Parameter::new("b".into(), vec![out], scrambled(out, seed + 2)));
                running.push(Running { mean: vec![0.0; out], variance: vec![1.0; out] });
            }
            let mut on_device = DeviceBackbone::new(&plan, running.clone(), Device::Cpu);
            let mut on_cpu = CpuBackbone::new(&plan, running, Precision::Single);
            let pictures = scrambled(3 * 3 * side * side, 99);
            let mut others = parameters.clone();
            let (a, b) =
                (on_cpu.forward(&parameters, &pictures, side), on_device.forward(&others, &pictures, side).unwrap());
            check_close("features", &a.features, &b.features);
            let d_features = scrambled(a.features.len(), 98);
            check_close("cells", a.cells(), &b.cells().unwrap());
            let d_maps = scrambled(a.cells().len(), 97);
            on_cpu.backward(&mut parameters, a, &d_features, Some(&d_maps));
            on_device.backward(&mut others, b, &d_features, Some(&d_maps)).unwrap();
            for (a, b) in parameters.iter().zip(&others) {
                check_close(&a.name, &a.gradient, &b.gradient);
            }
            for (a, b) in on_cpu.running.iter().zip(&on_device.running) {
                check_close("mean", &a.mean, &b.mean);
                check_close("variance", &a.variance, &b.variance);
            }
            let (a, b) = (
                on_cpu.evaluate(&parameters, &pictures, side),
                on_device.evaluate(&parameters, &pictures, side).unwrap(),
            );
            check_close("evaluation", &a, &b);
        }
    }

    #[track_caller]
    fn check_close(what: &str, a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len(), "{what}");
        let largest = a.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(largest > 0.0, "{what}");
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= 2e-4 * largest, "{what}: {a} against {b}, largest {largest}");
        }
    }
}
