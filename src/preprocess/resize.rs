//! Bilinear resizing with antialiasing (a triangle filter, widened when shrinking; half-pixel centres), equal to
//! `torch.nn.functional.interpolate(mode="bilinear", antialias=True, align_corners=False)` within rounding.

/// What one output sample takes from the input: `weights[k]` of input sample `first + k`. Their sum is 1.
#[derive(Debug, Clone, PartialEq)]
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// The taps of every output sample. In f32 throughout, as PyTorch does for f32 pictures: where a filter edge falls
/// between two samples, its rounding shows in the fifth decimal of the result.
fn taps(input: usize, output: usize) -> Vec<Taps> {
    let scale = input as f32 / output as f32;
    let support = scale.max(1.0);
    let narrowing = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
    let sample = |i: usize| {
        let center = scale * (i as f32 + 0.5);
        let first = ((center - support + 0.5) as isize).max(0) as usize;
        let end = ((center + support + 0.5) as usize).min(input).max(first);
        let mut weights: Vec<f32> =
            (first..end).map(|j| (1.0 - ((j as f32 - center + 0.5) * narrowing).abs()).max(0.0)).collect();
        let sum: f32 = weights.iter().sum();
        if sum > 0.0 {
            weights.iter_mut().for_each(|w| *w /= sum);
        }
        Taps { first, weights }
    };
    (0..output).map(sample).collect()
}

/// A rectangle of a square that is black (0) elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Padded<'a> {
    /// Row-major, `columns * rows`.
    pub values: &'a [f32],
    pub columns: usize,
    pub rows: usize,
    /// Black columns left of the rectangle, and black rows above it.
    pub left: usize,
    pub top: usize,
    /// Edge of the square.
    pub side: usize,
}

/// The square at `size * size`. Black is never multiplied out: only taps on the rectangle count.
pub fn resize(source: Padded<'_>, size: usize) -> Vec<f32> {
    let mut result = vec![0.0; size * size];
    if source.columns == 0 || source.rows == 0 {
        return result;
    }
    let taps = taps(source.side, size);
    let mut narrowed = vec![0.0; source.rows * size];
    for (from, to) in source.values.chunks_exact(source.columns).zip(narrowed.chunks_exact_mut(size)) {
        for (value, tap) in to.iter_mut().zip(&taps) {
            *value = weighed(from, source.left, tap);
        }
    }
    for (to, tap) in result.chunks_exact_mut(size).zip(&taps) {
        for (k, weight) in tap.weights.iter().enumerate() {
            let Some(row) = (tap.first + k).checked_sub(source.top).filter(|&row| row < source.rows) else { continue };
            for (sum, value) in to.iter_mut().zip(&narrowed[row * size..][..size]) {
                *sum += weight * value;
            }
        }
    }
    result
}

/// The weighed sum of a row that begins `left` samples into the square.
fn weighed(row: &[f32], left: usize, tap: &Taps) -> f32 {
    let skipped = left.saturating_sub(tap.first);
    let start = tap.first.saturating_sub(left);
    match (tap.weights.get(skipped..), row.get(start..)) {
        (Some(weights), Some(values)) => weights.iter().zip(values).map(|(w, v)| w * v).sum(),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(values: &[f32], side: usize) -> Padded<'_> {
        Padded { values, columns: side, rows: side, left: 0, top: 0, side }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let values: Vec<f32> = (0..25).map(|i| i as f32 / 25.0).collect();
        assert_eq!(resize(whole(&values, 5), 5), values);
    }

    #[test]
    fn halving_weighs_with_a_triangle() {
        // Output 1 of 4 -> 2 is centred on input edge 3; distances 1.5, .5, .5, (1.5 outside) at half the slope.
        let row = [0.0, 1.0, 2.0, 4.0];
        let values: Vec<f32> = (0..4).flat_map(|_| row).collect();
        let expected = (0.25 * 1.0 + 0.75 * 2.0 + 0.75 * 4.0) / 1.75;
        let got = resize(whole(&values, 4), 2);
        assert!((got[1] - expected).abs() < 1e-6 && (got[3] - expected).abs() < 1e-6, "{got:?}");
    }

    proptest! {
        #[test]
        fn skipping_the_black_border_changes_nothing(
            left in 0_usize..7, top in 0_usize..7, columns in 1_usize..9, rows in 1_usize..9,
            right in 0_usize..7, size in 1_usize..12,
        ) {
            let side = (left + columns + right).max(top + rows);
            let values: Vec<f32> = (0..columns * rows).map(|i| (i * 37 % 11) as f32 / 10.0).collect();
            let mut square = vec![0.0; side * side];
            for (i, value) in values.iter().enumerate() {
                square[(top + i / columns) * side + left + i % columns] = *value;
            }
            let short = resize(Padded { values: &values, columns, rows, left, top, side }, size);
            let long = resize(whole(&square, side), size);
            for (a, b) in short.iter().zip(&long) {
                prop_assert!((a - b).abs() < 1e-6);
            }
        }
    }
}
