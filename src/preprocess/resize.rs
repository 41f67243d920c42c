//! Bilinear resizing with antialiasing (a triangle filter, widened when shrinking; half-pixel centres), equal to
//! `torch.nn.functional.interpolate(mode="bilinear", antialias=True, align_corners=False)` within rounding.

/// What one output sample takes from the input: `weights[k]` of input sample `first + k`. Their sum is 1.
#[derive(Debug, Clone, PartialEq)]
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// One axis of what is resized: a stretch from `start` (0 or a part of a sample) over `length` samples, which lies within
/// `samples` whole ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub samples: usize,
    pub start: f64,
    pub length: f64,
}

impl Span {
    /// The stretch between two pixel edges, and how many samples of it lie before the pixel `first`.
    pub fn of_edges(low: f64, high: f64, first: usize) -> (Self, usize) {
        let whole = low.floor();
        let samples = (high.ceil() - whole).max(0.0) as usize;
        (Self { samples, start: low - whole, length: high - low }, (first as f64 - whole).max(0.0) as usize)
    }
}

/// The taps of every output sample. In f32 throughout, as PyTorch does for f32 pictures: where a filter edge falls
/// between two samples, its rounding shows in the fifth decimal of the result.
fn taps(span: Span, output: usize) -> Vec<Taps> {
    let input = span.samples;
    let scale = span.length as f32 / output as f32;
    let support = scale.max(1.0);
    let narrowing = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
    let sample = |i: usize| {
        let center = span.start as f32 + scale * (i as f32 + 0.5);
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

/// A rectangle of a larger one that is black (0) elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Padded<'a> {
    /// Row-major, `columns * rows`.
    pub values: &'a [f32],
    pub columns: usize,
    pub rows: usize,
    /// Black columns left of the rectangle, and black rows above it.
    pub left: usize,
    pub top: usize,
    /// What of the larger rectangle becomes the result.
    pub x: Span,
    pub y: Span,
}

/// The stretch `x` by `y` at `size * size`. Black is never multiplied out: only taps on the rectangle count.
pub fn resize(source: Padded<'_>, size: usize) -> Vec<f32> {
    let mut result = vec![0.0; size * size];
    if source.columns == 0 || source.rows == 0 {
        return result;
    }
    let (across, down) = (taps(source.x, size), taps(source.y, size));
    let mut narrowed = vec![0.0; source.rows * size];
    for (from, to) in source.values.chunks_exact(source.columns).zip(narrowed.chunks_exact_mut(size)) {
        for (value, tap) in to.iter_mut().zip(&across) {
            *value = weighed(from, source.left, tap);
        }
    }
    for (to, tap) in result.chunks_exact_mut(size).zip(&down) {
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

    fn all(samples: usize) -> Span {
        Span { samples, start: 0.0, length: samples as f64 }
    }

    fn whole(values: &[f32], side: usize) -> Padded<'_> {
        Padded { values, columns: side, rows: side, left: 0, top: 0, x: all(side), y: all(side) }
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

    #[test]
    fn a_stretch_between_pixels_is_sampled_where_it_lies() {
        // A ramp keeps its slope: sample i of 4 lies at 1.25 + (i + 1/2) * 1.5 in edges, half a pixel less in centres.
        let values: Vec<f32> = (0..64).map(|i| (i % 8) as f32).collect();
        let (x, left) = Span::of_edges(1.25, 7.25, 0);
        assert_eq!((x.samples, x.start, left), (7, 0.25, 0));
        let inside: Vec<f32> = (0..8).flat_map(|row| values[row * 8 + 1..row * 8 + 8].to_vec()).collect();
        let source = Padded { values: &inside, columns: 7, rows: 8, left: 0, top: 0, x, y: all(8) };
        let got = resize(source, 4);
        for (i, value) in got[4..8].iter().enumerate().take(3).skip(1) {
            assert!((value - (1.25 + (i as f32 + 0.5) * 1.5 - 0.5)).abs() < 1e-5, "{got:?}");
        }
        assert_eq!(Span::of_edges(-3.5, 2.5, 0).1, 4);
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
            let (x, y) = (all(side), all(side));
            let short = resize(Padded { values: &values, columns, rows, left, top, x, y }, size);
            let long = resize(whole(&square, side), size);
            for (a, b) in short.iter().zip(&long) {
                prop_assert!((a - b).abs() < 1e-6);
            }
        }
    }
}
