//! From the BLSTM's outputs for every slice to one vector, and the way back for gradients (method: A23).

use super::Pooling;

/// Slices whose logits `topk-residual` averages.
const TOP: usize = 3;

/// A pooling with what it needs.
#[derive(Clone, Copy)]
pub(super) enum Pool<'a> {
    Last,
    Mean,
    Max,
    /// The weights of the linear score.
    Attention(&'a [f32]),
}

/// The pooled vector and what the way back needs.
pub(super) struct Pooled {
    pub(super) summary: Vec<f32>,
    /// Each slice's share (attention).
    shares: Vec<f32>,
    /// The slice that gave each element (max).
    chosen: Vec<usize>,
}

impl<'a> Pool<'a> {
    /// `attention`: the tensor of that name, where there is one.
    pub(super) fn new(pooling: Pooling, attention: &'a [f32]) -> Self {
        match pooling {
            Pooling::Last | Pooling::TopkResidual => Self::Last,
            Pooling::Mean => Self::Mean,
            Pooling::Max => Self::Max,
            Pooling::Attention => Self::Attention(attention),
        }
    }

    /// `outputs` is `(slice, 2 * units)`, at least one slice.
    pub(super) fn forward(self, outputs: &[f32], units: usize) -> Pooled {
        let width = 2 * units;
        let slices = outputs.len() / width;
        let (mut shares, mut chosen) = (Vec::new(), Vec::new());
        let summary = match self {
            Self::Last => [&outputs[(slices - 1) * width..][..units], &outputs[units..width]].concat(),
            Self::Mean => {
                shares = vec![1.0 / slices as f32; slices];
                weighted(outputs, &shares, width)
            }
            Self::Attention(weight) => {
                shares = softmax(outputs.chunks_exact(width).map(|row| dot(row, weight)).collect());
                weighted(outputs, &shares, width)
            }
            Self::Max => {
                chosen = vec![0; width];
                let mut best = outputs[..width].to_vec();
                for (slice, row) in outputs.chunks_exact(width).enumerate().skip(1) {
                    for ((best, chosen), &value) in best.iter_mut().zip(&mut chosen).zip(row) {
                        // NaN is taken over and kept.
                        if value > *best || value.is_nan() {
                            (*best, *chosen) = (value, slice);
                        }
                    }
                }
                best
            }
        };
        Pooled { summary, shares, chosen }
    }

    /// The gradient by `outputs`, and by the attention's weights (else empty), from that by the summary.
    pub(super) fn backward(
        self,
        outputs: &[f32],
        pooled: &Pooled,
        d_summary: &[f32],
        units: usize,
    ) -> (Vec<f32>, Vec<f32>) {
        let width = 2 * units;
        let slices = outputs.len() / width;
        let mut d_outputs = vec![0.0; outputs.len()];
        let mut d_weight = Vec::new();
        match self {
            Self::Last => {
                d_outputs[(slices - 1) * width..][..units].copy_from_slice(&d_summary[..units]);
                d_outputs[units..width].copy_from_slice(&d_summary[units..]);
            }
            Self::Max => {
                for (k, (&slice, &d)) in pooled.chosen.iter().zip(d_summary).enumerate() {
                    d_outputs[slice * width + k] = d;
                }
            }
            Self::Mean => {
                for (row, &share) in d_outputs.chunks_exact_mut(width).zip(&pooled.shares) {
                    row.iter_mut().zip(d_summary).for_each(|(to, d)| *to = share * d);
                }
            }
            Self::Attention(weight) => {
                d_weight = vec![0.0; width];
                let along = dot(&pooled.summary, d_summary);
                let rows = outputs.chunks_exact(width).zip(d_outputs.chunks_exact_mut(width));
                for ((row, d_row), &share) in rows.zip(&pooled.shares) {
                    let d_score = share * (dot(row, d_summary) - along);
                    for (k, to) in d_row.iter_mut().enumerate() {
                        *to = share * d_summary[k] + d_score * weight[k];
                        d_weight[k] += d_score * row[k];
                    }
                }
            }
        }
        (d_outputs, d_weight)
    }
}

/// The slices with the largest logits, at most three; NaN counts as largest, so that it shows.
pub(super) fn top_slices(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    let key = |slice: usize| if logits[slice].is_nan() { f32::INFINITY } else { logits[slice] };
    order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
    order.truncate(TOP);
    order
}

/// Mean over the slices that [`top_slices`] named.
pub(super) fn top_mean(logits: &[f32], top: &[usize]) -> f32 {
    top.iter().map(|&slice| logits[slice]).sum::<f32>() / top.len().max(1) as f32
}

fn weighted(outputs: &[f32], shares: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; width];
    for (row, &share) in outputs.chunks_exact(width).zip(shares) {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(share) * f64::from(value));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

fn softmax(scores: Vec<f32>) -> Vec<f32> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = scores.iter().map(|&score| libm::exp(f64::from(score) - f64::from(largest))).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| (power / total) as f32).collect()
}

pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pooling's gradient against differences of a linear function of the summary.
    #[test]
    fn gradients_equal_differences() {
        let (units, slices) = (3, 5);
        let outputs: Vec<f32> = (0..slices * 2 * units).map(|i| ((i * 7919) % 101) as f32 / 101.0 - 0.4).collect();
        let attention: Vec<f32> = (0..2 * units).map(|i| (i as f32 * 1.3).sin()).collect();
        let along: Vec<f32> = (0..2 * units).map(|i| (i as f32 * 0.7).cos()).collect();
        for pooling in Pooling::ALL {
            let value = |outputs: &[f32], attention: &[f32]| {
                f64::from(dot(&Pool::new(pooling, attention).forward(outputs, units).summary, &along))
            };
            let pool = Pool::new(pooling, &attention);
            let (d_outputs, d_weight) = pool.backward(&outputs, &pool.forward(&outputs, units), &along, units);
            let step = 1e-3f32;
            let slope = |values: &[f32], index: usize, at: &dyn Fn(&[f32]) -> f64| {
                let moved = |by: f32| {
                    let mut values = values.to_vec();
                    values[index] += by;
                    at(&values)
                };
                (moved(step) - moved(-step)) / (2.0 * f64::from(step))
            };
            for (index, &got) in d_outputs.iter().enumerate() {
                let expected = slope(&outputs, index, &|o| value(o, &attention));
                assert!((f64::from(got) - expected).abs() < 1e-3, "{pooling:?} {index}: {got} against {expected}");
            }
            for (index, &got) in d_weight.iter().enumerate() {
                let expected = slope(&attention, index, &|w| value(&outputs, w));
                assert!((f64::from(got) - expected).abs() < 1e-3, "attention {index}: {got} against {expected}");
            }
        }
    }

    #[test]
    fn top_three_are_the_largest_and_nan_shows() {
        assert_eq!(top_slices(&[0.0, 3.0, -1.0, 2.0, 5.0]), [4, 1, 3]);
        assert_eq!(top_mean(&[0.0, 3.0, -1.0, 2.0, 4.0], &[4, 1, 3]), 3.0);
        assert_eq!(top_slices(&[1.0]), [0]);
        let broken = [1.0, f32::NAN, 2.0, 9.0, 8.0];
        assert!(top_mean(&broken, &top_slices(&broken)).is_nan());
    }
}
