//! Grad-CAM in closed form.
//!
//! The logit is `z = sum_k w_k * mean_ij A_k(i, j) + b`, so Grad-CAM's weights `mean_ij dz/dA_k` are `w_k / (rows * columns)`
//! exactly and no backward pass is needed.

use super::{SliceForward, cpu};

/// Pools the last block's maps of one picture and reads logit and Grad-CAM off them, pixel by pixel.
pub(super) struct ReadOut<'a> {
    fc_weight: &'a [f32],
    sums: Vec<f64>,
    heats: Vec<f64>,
}

/// Sums side by side, so that one need not wait for the other.
const LANES: usize = 16;

impl<'a> ReadOut<'a> {
    pub(super) fn new(fc_weight: &'a [f32]) -> Self {
        Self { fc_weight, sums: vec![0.0; fc_weight.len()], heats: Vec::new() }
    }

    /// The next pixel's channels.
    pub(super) fn pixel(&mut self, values: &[f32]) {
        let Self { fc_weight, sums, heats } = self;
        heats.push(cpu::widest(
            #[inline(always)]
            || {
                let mut heat = [0.0f64; LANES];
                let parts = sums.chunks_mut(LANES).zip(values.chunks(LANES)).zip(fc_weight.chunks(LANES));
                for ((sums, values), weights) in parts {
                    let channels = heat.iter_mut().zip(sums).zip(values.iter().zip(weights));
                    for ((heat, sum), (&value, &weight)) in channels {
                        *sum += f64::from(value);
                        *heat += f64::from(value) * f64::from(weight);
                    }
                }
                heat.iter().sum()
            },
        ));
    }

    /// After all `side * side` pixels.
    pub(super) fn finish(self, side: usize, fc_bias: f32) -> SliceForward {
        let Self { fc_weight, sums, heats } = self;
        let area = (side * side) as f64;
        let features: Vec<f32> = sums.iter().map(|sum| (sum / area) as f32).collect();
        let logit: f64 = sums.iter().zip(fc_weight).map(|(sum, &weight)| sum / area * f64::from(weight)).sum();
        // `max` would turn NaN into a clean 0.
        let above_zero = |heat: f64| if heat < 0.0 { 0.0 } else { heat as f32 };
        let cam = heats.into_iter().map(|heat| above_zero(heat / area)).collect();
        SliceForward { logit: (logit + f64::from(fc_bias)) as f32, features, cam, cam_size: side }
    }
}

/// The same of maps that lie in memory, `(pixel, channel)`.
pub(super) fn read_out(maps: &[f32], side: usize, fc_weight: &[f32], fc_bias: f32) -> SliceForward {
    let mut read_out = ReadOut::new(fc_weight);
    maps.chunks_exact(fc_weight.len()).for_each(|pixel| read_out.pixel(pixel));
    read_out.finish(side, fc_bias)
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device, Result, Tensor, Var};

    use super::*;

    /// Grad-CAM as its paper defines it, with candle's automatic differentiation from the logit back to the maps.
    fn by_autograd(maps: &[f32], side: usize, weight: &[f32]) -> Result<Vec<f32>> {
        let channels = weight.len();
        let maps = Var::from_slice(maps, (side * side, channels), &Device::Cpu)?;
        let weight = Tensor::from_slice(weight, (channels, 1), &Device::Cpu)?;
        let logit = maps.mean_keepdim(0)?.matmul(&weight)?.sum_all()?;
        let gradients = logit.backward()?;
        let gradient = gradients.get(&maps).expect("the logit depends on the maps");
        let alpha = gradient.mean_keepdim(0)?;
        maps.as_tensor().broadcast_mul(&alpha)?.sum(D::Minus1)?.relu()?.to_vec1()
    }

    #[test]
    fn closed_form_equals_autograd() {
        let (side, channels) = (5, 64);
        let maps: Vec<f32> = (0..side * side * channels).map(|i| (i as f32 * 0.731).sin().max(0.0)).collect();
        let weight: Vec<f32> = (0..channels).map(|i| (i as f32 * 1.37).cos()).collect();
        let slice = read_out(&maps, side, &weight, 0.25);
        let oracle = by_autograd(&maps, side, &weight).unwrap();
        assert!(oracle.iter().any(|&v| v > 0.0) && oracle.contains(&0.0), "the example shows both sides of the ReLU");
        for (got, expected) in slice.cam.iter().zip(&oracle) {
            assert!((got - expected).abs() < 1e-6, "{got} against {expected}");
        }
        let logit: f32 = slice.features.iter().zip(&weight).map(|(f, w)| f * w).sum::<f32>() + 0.25;
        assert!((logit - slice.logit).abs() < 1e-5);
    }

    #[test]
    fn nan_stays_visible() {
        let slice = read_out(&[f32::NAN, 1.0], 1, &[1.0, 1.0], 0.0);
        assert!(slice.logit.is_nan() && slice.cam[0].is_nan());
    }
}
