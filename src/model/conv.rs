//! Batch norms folded, and convolutions by candle's own kernels, for devices other than the CPU ([`super::cpu`]). There
//! activations are `(picture, channel, row, column)`.

use candle_core::{Device, Result, Tensor};

use super::resnet::ConvShape;

/// torchvision's `BatchNorm2d` default.
pub(super) const NORM_EPSILON: f64 = 1e-5;

/// The four vectors of a batch norm in evaluation mode.
#[derive(Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) mean: &'a [f32],
    pub(super) variance: &'a [f32],
}

impl Norm<'_> {
    /// Scale and shift per channel that do the same, worked out in f64 so that folding costs no digits.
    pub(super) fn folded(&self) -> (Vec<f32>, Vec<f32>) {
        let moments = self.mean.iter().zip(self.variance);
        self.weight
            .iter()
            .zip(self.bias)
            .zip(moments)
            .map(|((&weight, &bias), (&mean, &variance))| {
                let scale = f64::from(weight) / (f64::from(variance) + NORM_EPSILON).sqrt();
                (scale as f32, (f64::from(bias) - f64::from(mean) * scale) as f32)
            })
            .unzip()
    }
}

/// A convolution on a device of candle's: weights with the scale folded in.
pub(super) struct CandleConv {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    padding: usize,
}

impl CandleConv {
    /// `weight` is `(out, in, row, column)`.
    pub(super) fn new(shape: &ConvShape, weight: &[f32], norm: Norm<'_>, device: &Device) -> Result<Self> {
        let (scale, shift) = norm.folded();
        let depth = weight.len() / shape.channels_out;
        let folded: Vec<f32> =
            weight.chunks_exact(depth).zip(scale).flat_map(|(row, scale)| row.iter().map(move |w| w * scale)).collect();
        let dims = (shape.channels_out, shape.channels_in, shape.kernel, shape.kernel);
        Ok(Self {
            weight: Tensor::from_vec(folded, dims, device)?,
            bias: Tensor::from_vec(shift, (1, shape.channels_out, 1, 1), device)?,
            stride: shape.stride,
            padding: shape.padding,
        })
    }

    /// `relu(convolution + residual)`.
    pub(super) fn forward(&self, input: &Tensor, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
        let mut out = input.conv2d(&self.weight, self.padding, self.stride, 1, 1)?.broadcast_add(&self.bias)?;
        if let Some(residual) = residual {
            out = (out + residual)?;
        }
        if relu { out.relu() } else { Ok(out) }
    }
}

/// The stem's pooling. After a ReLU a border of zeros never exceeds a value inside, which is what minus infinity means.
pub(super) fn max_pool(input: &Tensor) -> Result<Tensor> {
    input.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?.max_pool2d_with_stride(3, 2)
}
