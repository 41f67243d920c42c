//! Batch norm with the shortcut and ReLU behind it, forward and backward, on `(pixel, channel)` values.

use rayon::prelude::*;

use super::super::cpu::widest;

/// torchvision's `BatchNorm2d` default.
const MOMENTUM: f64 = 0.1;
/// Pixels per partial sum: part of the result's last bits, so fixed.
const PIXELS: usize = 1024;
/// Pixels that are added in f32.
const BLOCK: usize = 32;

/// Mean and `1 / sqrt(variance + epsilon)` per channel of one batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: Vec<f32>,
    pub(super) inverse: Vec<f32>,
}

/// Running statistics as they stand in a weight file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Running {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
}

impl Running {
    /// What a norm in evaluation mode divides by.
    pub(super) fn moments(&self) -> Moments {
        let inverse = |&v: &f32| (1.0 / (f64::from(v) + super::super::conv::NORM_EPSILON).sqrt()) as f32;
        Moments { mean: self.mean.clone(), inverse: self.variance.iter().map(inverse).collect() }
    }
}

/// Two sums per channel over all pixels, in an order that the number of threads does not change: in f32 over the few pixels of
/// a block, whose first value `add` is told, in f64 over the blocks.
fn sums(pixels: usize, channels: usize, add: impl Fn(usize, [&mut [f32]; 2]) + Sync) -> [Vec<f64>; 2] {
    let part = |chunk: usize| {
        let mut totals = [vec![0.0f64; channels], vec![0.0f64; channels]];
        let mut blocks = [vec![0.0f32; channels], vec![0.0f32; channels]];
        let end = ((chunk + 1) * PIXELS).min(pixels);
        widest(
            #[inline(always)]
            || {
                for first in (chunk * PIXELS..end).step_by(BLOCK) {
                    blocks.iter_mut().for_each(|block| block.fill(0.0));
                    for pixel in first..(first + BLOCK).min(end) {
                        let [a, b] = &mut blocks;
                        add(pixel * channels, [a, b]);
                    }
                    for (totals, block) in totals.iter_mut().zip(&blocks) {
                        totals.iter_mut().zip(block).for_each(|(total, &sum)| *total += f64::from(sum));
                    }
                }
            },
        );
        totals
    };
    let parts: Vec<_> = (0..pixels.div_ceil(PIXELS)).into_par_iter().map(part).collect();
    let mut all = [vec![0.0; channels], vec![0.0; channels]];
    for part in parts {
        for (all, part) in all.iter_mut().zip(part) {
            all.iter_mut().zip(part).for_each(|(to, from)| *to += from);
        }
    }
    all
}

/// Moments of one batch; moves the running statistics towards them, with the unbiased variance as PyTorch does.
pub(super) fn measure(values: &[f32], channels: usize, running: &mut Running) -> Moments {
    let pixels = values.len() / channels;
    // About the running mean, so that a large mean does not swallow a small variance.
    let centre = running.mean.clone();
    let [sums, squares] = sums(pixels, channels, |start, [sums, squares]| {
        let values = &values[start..start + channels];
        for (((sum, square), &value), &centre) in sums.iter_mut().zip(squares).zip(values).zip(&centre) {
            let value = value - centre;
            *sum += value;
            *square += value * value;
        }
    });
    let count = pixels as f64;
    let [mut mean, mut inverse, mut unbiased] = [const { Vec::new() }; 3];
    for (channel, (sum, squares)) in sums.into_iter().zip(squares).enumerate() {
        let offset = sum / count;
        let variance = (squares / count - offset * offset).max(0.0);
        let average = f64::from(centre[channel]) + offset;
        mean.push(average as f32);
        inverse.push((1.0 / (variance + super::super::conv::NORM_EPSILON).sqrt()) as f32);
        unbiased.push((variance * count / (count - 1.0).max(1.0)) as f32);
    }
    move_towards(running, &mean, &unbiased);
    Moments { mean, inverse }
}

/// Moves running statistics a tenth of the way to those of a batch.
pub(super) fn move_towards(running: &mut Running, mean: &[f32], unbiased_variance: &[f32]) {
    let towards = |old: &mut f32, new: f32| {
        *old = (f64::from(*old) * (1.0 - MOMENTUM) + f64::from(new) * MOMENTUM) as f32;
    };
    running.mean.iter_mut().zip(mean).for_each(|(old, &new)| towards(old, new));
    running.variance.iter_mut().zip(unbiased_variance).for_each(|(old, &new)| towards(old, new));
}

/// `weight * (x - mean) * inverse + bias`, plus the shortcut, then ReLU where wanted.
pub(super) fn apply(
    values: &[f32],
    moments: &Moments,
    [weight, bias]: [&[f32]; 2],
    residual: Option<&[f32]>,
    relu: bool,
    output: &mut [f32],
) {
    let channels = weight.len();
    let (scale, shift): (Vec<f32>, Vec<f32>) = (0..channels)
        .map(|k| {
            let scale = f64::from(weight[k]) * f64::from(moments.inverse[k]);
            (scale as f32, (f64::from(bias[k]) - f64::from(moments.mean[k]) * scale) as f32)
        })
        .unzip();
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    // Not `max`, which would make NaN a clean 0.
    let clip = |value: f32| if value < floor { floor } else { value };
    let length = PIXELS * channels;
    output.par_chunks_mut(length).zip(values.par_chunks(length)).enumerate().for_each(|(chunk, (output, values))| {
        let residual = residual.map(|residual| &residual[chunk * length..]);
        widest(
            #[inline(always)]
            || {
                for (pixel, (to, from)) in
                    output.chunks_exact_mut(channels).zip(values.chunks_exact(channels)).enumerate()
                {
                    let line = from.iter().zip(&scale).zip(&shift);
                    match residual {
                        None => {
                            for (to, ((&x, &scale), &shift)) in to.iter_mut().zip(line) {
                                *to = clip(x * scale + shift);
                            }
                        }
                        Some(residual) => {
                            let extra = &residual[pixel * channels..(pixel + 1) * channels];
                            for ((to, ((&x, &scale), &shift)), &extra) in to.iter_mut().zip(line).zip(extra) {
                                *to = clip(x * scale + shift + extra);
                            }
                        }
                    }
                }
            },
        );
    });
}

/// Stops a gradient where the ReLU had.
pub(super) fn mask(gradient: &mut [f32], output: &[f32]) {
    gradient.par_chunks_mut(1 << 15).zip(output.par_chunks(1 << 15)).for_each(|(gradient, output)| {
        widest(
            #[inline(always)]
            || gradient.iter_mut().zip(output).for_each(|(d, &y)| *d = if y > 0.0 { *d } else { 0.0 }),
        );
    });
}

/// Turns the gradient by the norm's output into that by its input, in place; sets those of weight and bias.
pub(super) fn backward(
    values: &[f32],
    moments: &Moments,
    weight: &[f32],
    gradient: &mut [f32],
    d_weight: &mut [f32],
    d_bias: &mut [f32],
) {
    let channels = weight.len();
    let pixels = values.len() / channels;
    let (read, mean) = (&*gradient, &moments.mean);
    let [sums, along] = sums(pixels, channels, |start, [sums, along]| {
        let rows = values[start..start + channels].iter().zip(&read[start..start + channels]).zip(mean);
        for ((sum, along), ((&value, &d), &mean)) in sums.iter_mut().zip(along).zip(rows) {
            *sum += d;
            *along += d * (value - mean);
        }
    });
    // dx = factor * d + slope * (x - mean) + offset
    let [mut factors, mut slopes, mut offsets] = [const { Vec::new() }; 3];
    for (channel, (sum, along)) in sums.into_iter().zip(along).enumerate() {
        let inverse = f64::from(moments.inverse[channel]);
        d_bias[channel] = sum as f32;
        d_weight[channel] = (along * inverse) as f32;
        let factor = f64::from(weight[channel]) * inverse;
        let slope = -factor * along * inverse * inverse / pixels as f64;
        factors.push(factor as f32);
        slopes.push(slope as f32);
        offsets.push((-factor * sum / pixels as f64) as f32);
    }
    let length = PIXELS * channels;
    gradient.par_chunks_mut(length).zip(values.par_chunks(length)).for_each(|(gradient, values)| {
        widest(
            #[inline(always)]
            || {
                for (gradient, values) in gradient.chunks_exact_mut(channels).zip(values.chunks_exact(channels)) {
                    let line = mean.iter().zip(&factors).zip(slopes.iter().zip(&offsets));
                    for ((d, &value), ((&mean, &factor), (&slope, &offset))) in
                        gradient.iter_mut().zip(values).zip(line)
                    {
                        *d = *d * factor + (value - mean) * slope + offset;
                    }
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::super::differences::{check_gradient, scrambled};
    use super::*;

    fn fresh(channels: usize) -> Running {
        Running { mean: vec![0.0; channels], variance: vec![1.0; channels] }
    }

    #[test]
    fn gradients_equal_differences_with_shortcut_and_relu() {
        let (channels, pixels) = (4, 3 * 25);
        let input: Vec<f32> = scrambled(channels * pixels, 1).iter().map(|v| 2.0 * v + 0.3).collect();
        let (weight, bias) = (vec![0.7, -1.2, 0.4, 1.0], vec![0.1, 0.2, -0.3, 0.0]);
        let residual = scrambled(input.len(), 2);
        let along = scrambled(input.len(), 3);
        let run = |input: &[f32], weight: &[f32], bias: &[f32], residual: &[f32]| {
            let moments = measure(input, channels, &mut fresh(channels));
            let mut output = vec![0.0; input.len()];
            apply(input, &moments, [weight, bias], Some(residual), true, &mut output);
            (output, moments)
        };
        let value = |output: &[f32]| output.iter().zip(&along).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let (output, moments) = run(&input, &weight, &bias, &residual);
        let mut gradient = along.clone();
        mask(&mut gradient, &output);
        let d_residual = gradient.clone();
        let (mut d_weight, mut d_bias) = (vec![0.0; channels], vec![0.0; channels]);
        backward(&input, &moments, &weight, &mut gradient, &mut d_weight, &mut d_bias);
        // A step short enough that next to no value passes the ReLU's corner.
        let step = 1e-3;
        check_gradient("input", &input, &gradient, step, |x| value(&run(x, &weight, &bias, &residual).0));
        check_gradient("residual", &residual, &d_residual, step, |r| value(&run(&input, &weight, &bias, r).0));
        check_gradient("weight", &weight, &d_weight, step, |w| value(&run(&input, w, &bias, &residual).0));
        check_gradient("bias", &bias, &d_bias, step, |b| value(&run(&input, &weight, b, &residual).0));
    }

    #[test]
    fn statistics_by_hand() {
        let mut running = fresh(1);
        let moments = measure(&[1.0, 3.0], 1, &mut running);
        assert_eq!(moments.mean, [2.0]);
        assert!((moments.inverse[0] - 1.0).abs() < 1e-4);
        // Unbiased variance 2: 0.9 + 0.1 * 2.
        assert!((running.mean[0] - 0.2).abs() < 1e-7 && (running.variance[0] - 1.1).abs() < 1e-6, "{running:?}");
        let mut output = [0.0; 2];
        apply(&[1.0, 3.0], &running.moments(), [&[2.0], &[0.5]], None, false, &mut output);
        let expected = 2.0 * 0.8 / 1.1f32.sqrt() + 0.5;
        assert!((output[0] - expected).abs() < 1e-4, "{output:?} against {expected}");
    }
}
