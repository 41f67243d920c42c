//! The small layers: max pooling, global average, dropout, the loss.

use rayon::prelude::*;

use super::super::cpu::Size;
use super::super::pooling::dot;
use crate::random::Stream;

/// What 3 x 3 / stride 2 / padding 1 max pooling makes of a size.
pub(super) fn pooled_size(input: Size) -> Size {
    Size { rows: (input.rows - 1) / 2 + 1, columns: (input.columns - 1) / 2 + 1, ..input }
}

/// The part of `0..length` that the window of an output reads.
fn window(at: usize, length: usize) -> std::ops::Range<usize> {
    (2 * at).saturating_sub(1)..(2 * at + 2).min(length)
}

/// Max pooling; `chosen` says which of the nine places gave each value (the first of equals). It is as wide as a value so that
/// both are chosen by the same instruction.
pub(super) fn max_pool(input: &[f32], size: Size, output: &mut [f32], chosen: &mut [u32]) {
    let (out, channels) = (pooled_size(size), size.channels);
    let line = out.columns * channels;
    output.par_chunks_mut(line).zip(chosen.par_chunks_mut(line)).enumerate().for_each(|(index, (output, chosen))| {
        let (picture, y) = (index / out.rows, index % out.rows);
        output.fill(f32::NEG_INFINITY);
        for source_y in window(y, size.rows) {
            let row = (picture * size.rows + source_y) * size.columns;
            let places = (source_y + 1 - 2 * y) * 3;
            for (x, (to, chosen)) in
                output.chunks_exact_mut(channels).zip(chosen.chunks_exact_mut(channels)).enumerate()
            {
                for source_x in window(x, size.columns) {
                    // At most 8: three rows of three.
                    let place = (places + source_x + 1 - 2 * x) as u32;
                    let from = &input[(row + source_x) * channels..][..channels];
                    for ((to, chosen), &value) in to.iter_mut().zip(chosen.iter_mut()).zip(from) {
                        let take = value > *to || value.is_nan();
                        *to = if take { value } else { *to };
                        *chosen = if take { place } else { *chosen };
                    }
                }
            }
        }
    });
}

/// Adds each output's gradient to the place that gave its value.
pub(super) fn max_pool_backward(chosen: &[u32], size: Size, d_output: &[f32], d_input: &mut [f32]) {
    let (out, channels) = (pooled_size(size), size.channels);
    let pictures = d_input.par_chunks_mut(size.picture());
    pictures.zip(d_output.par_chunks(out.picture()).zip(chosen.par_chunks(out.picture()))).for_each(
        |(d_input, (d_output, chosen))| {
            for (index, (&d, &place)) in d_output.iter().zip(chosen).enumerate() {
                let (pixel, channel) = (index / channels, index % channels);
                let (y, x) = (pixel / out.columns, pixel % out.columns);
                let (dy, dx) = (place as usize / 3, place as usize % 3);
                // The window begins at 2y - 1; what lies outside is never chosen.
                let source = (2 * y + dy - 1) * size.columns + 2 * x + dx - 1;
                d_input[source * channels + channel] += d;
            }
        },
    );
}

/// Mean over the pixels of each picture, `(picture, channel)`.
pub(super) fn average(input: &[f32], size: Size) -> Vec<f32> {
    let area = (size.rows * size.columns) as f64;
    let of = |picture: &[f32]| {
        let mut sums = vec![0.0f64; size.channels];
        for pixel in picture.chunks_exact(size.channels) {
            sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        sums.into_iter().map(|sum| (sum / area) as f32).collect::<Vec<_>>()
    };
    input.chunks_exact(size.picture()).flat_map(of).collect()
}

/// Sets every pixel's gradient from that of the mean.
pub(super) fn average_backward(d_features: &[f32], size: Size, d_input: &mut [f32]) {
    let area = (size.rows * size.columns) as f32;
    for (picture, d) in d_input.chunks_exact_mut(size.picture()).zip(d_features.chunks_exact(size.channels)) {
        for pixel in picture.chunks_exact_mut(size.channels) {
            pixel.iter_mut().zip(d).for_each(|(to, d)| *to = d / area);
        }
    }
}

/// What each value is multiplied by: 0 for the share that is dropped, `1 / (1 - share)` for the rest.
pub(super) fn dropout_factors(length: usize, share: f32, rng: &mut Stream) -> Vec<f32> {
    if share <= 0.0 {
        return vec![1.0; length];
    }
    let kept = if share < 1.0 { 1.0 / (1.0 - share) } else { 0.0 };
    (0..length).map(|_| if rng.chance(f64::from(share)) { 0.0 } else { kept }).collect()
}

/// Weighted mean of binary cross-entropies on logits and its gradient by each; safe for any finite logit.
pub(super) fn cross_entropy(logits: &[f32], targets: &[f32], weights: &[f32]) -> (f64, Vec<f32>) {
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    if total <= 0.0 {
        return (0.0, vec![0.0; logits.len()]);
    }
    let mut loss = 0.0;
    let mut gradient = Vec::with_capacity(logits.len());
    for ((&z, &y), &weight) in logits.iter().zip(targets).zip(weights) {
        let (z, y, weight) = (f64::from(z), f64::from(y), f64::from(weight) / total);
        let small = libm::exp(-z.abs());
        // `f64::max` would turn NaN into a clean loss.
        let positive = if z < 0.0 { 0.0 } else { z };
        loss += weight * (positive - z * y + libm::log1p(small));
        let sigmoid = if z < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) };
        gradient.push((weight * (sigmoid - y)) as f32);
    }
    (loss, gradient)
}

/// What the local head gave: its loss and the gradients of its weights, its bias and the cells it read.
pub(super) struct LocalLoss {
    pub(super) loss: f64,
    pub(super) d_weights: Vec<f32>,
    pub(super) d_bias: f32,
    pub(super) d_cells: Vec<f32>,
}

/// A linear score of each cell, `(cell, channel)`, against its target: 1, 0, or negative where nobody knows. The loss is
/// half the mean cross-entropy of the cells with a fracture and half that of those without, which are many more, times
/// `share`; a batch of one kind only counts that kind by half.
pub(super) fn local_head(cells: &[f32], weights: &[f32], bias: f32, targets: &[f32], share: f32) -> LocalLoss {
    let count = |kind: f32| targets.iter().filter(|&&target| target == kind).count().max(1) as f32;
    let shares = [0.5 * share / count(0.0), 0.5 * share / count(1.0)];
    let mut found = LocalLoss {
        loss: 0.0,
        d_weights: vec![0.0; weights.len()],
        d_bias: 0.0,
        d_cells: Vec::with_capacity(cells.len()),
    };
    for (row, &target) in cells.chunks_exact(weights.len()).zip(targets) {
        if target < 0.0 {
            found.d_cells.extend(weights.iter().map(|_| 0.0));
            continue;
        }
        let share = shares[usize::from(target > 0.5)];
        let (loss, gradient) = cross_entropy(&[dot(row, weights) + bias], &[target], &[1.0]);
        let d = share * gradient.first().copied().unwrap_or(0.0);
        found.loss += f64::from(share) * loss;
        found.d_bias += d;
        found.d_weights.iter_mut().zip(row).for_each(|(to, value)| *to += d * value);
        found.d_cells.extend(weights.iter().map(|weight| d * weight));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::differences::{check_gradient, scrambled};
    use super::*;

    #[test]
    fn pooling_gradient_equals_differences() {
        for (rows, columns) in [(7, 8), (8, 7), (1, 1), (2, 5)] {
            let size = Size { count: 3, rows, columns, channels: 2 };
            let out = pooled_size(size);
            let input = scrambled(size.values(), 1);
            let along = scrambled(out.values(), 2);
            let run = |input: &[f32]| {
                let (mut output, mut chosen) = (vec![0.0; out.values()], vec![0; out.values()]);
                max_pool(input, size, &mut output, &mut chosen);
                (output, chosen)
            };
            let value =
                |input: &[f32]| run(input).0.iter().zip(&along).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            let mut gradient = vec![0.0; input.len()];
            max_pool_backward(&run(&input).1, size, &along, &mut gradient);
            check_gradient("pool", &input, &gradient, 1e-5, value);
        }
    }

    #[test]
    fn average_and_its_gradient() {
        let size = Size { count: 3, rows: 3, columns: 5, channels: 4 };
        let (input, along) = (scrambled(size.values(), 1), scrambled(12, 2));
        let mut gradient = vec![0.0; input.len()];
        average_backward(&along, size, &mut gradient);
        check_gradient("average", &input, &gradient, 0.5, |x| {
            average(x, size).iter().zip(&along).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        });
    }

    #[test]
    fn loss_gradient_equals_differences_and_extremes_stay_finite() {
        let (logits, targets, weights) = ([0.3, -2.0, 1.5], [1.0, 0.0, 0.0], [1.0, 3.0, 0.5]);
        let (_, gradient) = cross_entropy(&logits, &targets, &weights);
        check_gradient("loss", &logits, &gradient, 1e-2, |z| cross_entropy(z, &targets, &weights).0);
        let (loss, gradient) = cross_entropy(&[120.0, -120.0], &[1.0, 0.0], &[1.0; 2]);
        assert!(loss < 1e-40 && gradient.iter().all(|g| g.abs() < 1e-40), "{loss} {gradient:?}");
        assert_eq!(cross_entropy(&[120.0], &[0.0], &[1.0]), (120.0, vec![1.0]));
        assert!(cross_entropy(&[f32::NAN], &[0.0], &[1.0]).0.is_nan());
        assert_eq!(cross_entropy(&[1.0], &[0.0], &[0.0]), (0.0, vec![0.0]));
    }

    #[test]
    fn the_local_heads_gradients_equal_differences() {
        let (cells, weights, bias) = (scrambled(6 * 4, 1), scrambled(4, 2), 0.3);
        let targets = [0.0, 1.0, -1.0, 0.0, 1.0, 0.0];
        let found = local_head(&cells, &weights, bias, &targets, 0.7);
        let of = |cells: &[f32], weights: &[f32], bias| local_head(cells, weights, bias, &targets, 0.7).loss;
        check_gradient("cells", &cells, &found.d_cells, 1e-2, |x| of(x, &weights, bias));
        check_gradient("weights", &weights, &found.d_weights, 1e-2, |x| of(&cells, x, bias));
        check_gradient("bias", &[bias], &[found.d_bias], 1e-2, |x| of(&cells, &weights, x[0]));
        assert!(found.d_cells[8..12].iter().all(|&d| d == 0.0), "what nobody knows teaches nothing");
    }

    #[test]
    fn dropout_keeps_the_mean() {
        let factors = dropout_factors(20_000, 0.25, &mut Stream::named(1, "test", 0));
        let mean = factors.iter().map(|&f| f64::from(f)).sum::<f64>() / 2e4;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!(factors.iter().all(|&f| f == 0.0 || (f - 4.0 / 3.0).abs() < 1e-6));
    }
}
