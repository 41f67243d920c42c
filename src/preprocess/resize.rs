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
}

/// A way from the stretch `x` by `y` of a larger rectangle to `size * size`, for pictures one after the other.
pub struct Resize {
    across: Vec<Taps>,
    down: Vec<Taps>,
    /// The rows of the last picture at their new width.
    narrowed: Vec<f32>,
    /// Some rows of it, column by column.
    columns: Vec<[f32; TOGETHER]>,
}

impl Resize {
    pub fn new(x: Span, y: Span, size: usize) -> Self {
        Self { across: taps(x, size), down: taps(y, size), narrowed: Vec::new(), columns: Vec::new() }
    }

    /// Fills `result` of `size * size`. Black is never multiplied out: only taps on the rectangle count.
    pub fn run(&mut self, source: Padded<'_>, result: &mut [f32]) {
        result.fill(0.0);
        if source.columns == 0 || source.rows == 0 {
            return;
        }
        let Self { across, down, narrowed, columns } = self;
        let size = across.len();
        narrowed.resize(source.rows * size, 0.0);
        columns.resize(source.columns, [0.0; TOGETHER]);
        let sources = source.values.chunks(source.columns * TOGETHER);
        for (from, to) in sources.zip(narrowed.chunks_mut(size * TOGETHER)) {
            for (row, values) in from.chunks_exact(source.columns).enumerate() {
                columns.iter_mut().zip(values).for_each(|(column, value)| column[row] = *value);
            }
            for (x, tap) in across.iter().enumerate() {
                let sums = weighed(columns, source.left, tap);
                to.iter_mut().skip(x).step_by(size).zip(sums).for_each(|(value, sum)| *value = sum);
            }
        }
        for (to, tap) in result.chunks_exact_mut(size).zip(down) {
            for (k, weight) in tap.weights.iter().enumerate() {
                let row = (tap.first + k).checked_sub(source.top).filter(|&row| row < source.rows);
                let Some(row) = row else { continue };
                for (sum, value) in to.iter_mut().zip(&narrowed[row * size..][..size]) {
                    *sum += *weight * value;
                }
            }
        }
    }
}

/// Rows that are narrowed at a time, each in a lane of its own.
const TOGETHER: usize = 8;

/// The weighed sums of rows, given column by column, that begin `left` samples into the square.
fn weighed(columns: &[[f32; TOGETHER]], left: usize, tap: &Taps) -> [f32; TOGETHER] {
    let skipped = left.saturating_sub(tap.first);
    let start = tap.first.saturating_sub(left);
    let mut sums = [0.0; TOGETHER];
    if let (Some(weights), Some(columns)) = (tap.weights.get(skipped..), columns.get(start..)) {
        for (weight, values) in weights.iter().zip(columns) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(samples: usize) -> Span {
        Span { samples, start: 0.0, length: samples as f64 }
    }

    fn resize(source: Padded<'_>, [x, y]: [Span; 2], size: usize) -> Vec<f32> {
        let mut resize = Resize::new(x, y, size);
        let results = [(); 2].map(|()| {
            let mut result = vec![7.0; size * size];
            resize.run(source, &mut result);
            result
        });
        assert_eq!(results[0], results[1], "the second picture of two equal ones");
        results.into_iter().next().expect("two")
    }

    fn whole(values: &[f32], side: usize, size: usize) -> Vec<f32> {
        resize(Padded { values, columns: side, rows: side, left: 0, top: 0 }, [all(side); 2], size)
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let values: Vec<f32> = (0..25).map(|i| i as f32 / 25.0).collect();
        assert_eq!(whole(&values, 5, 5), values);
    }

    #[test]
    fn halving_weighs_with_a_triangle() {
        // Output 1 of 4 -> 2 is centred on input edge 3; distances 1.5, .5, .5, (1.5 outside) at half the slope.
        let row = [0.0, 1.0, 2.0, 4.0];
        let values: Vec<f32> = (0..4).flat_map(|_| row).collect();
        let expected = (0.25 * 1.0 + 0.75 * 2.0 + 0.75 * 4.0) / 1.75;
        let got = whole(&values, 4, 2);
        assert!((got[1] - expected).abs() < 1e-6 && (got[3] - expected).abs() < 1e-6, "{got:?}");
    }

    #[test]
    fn a_stretch_between_pixels_is_sampled_where_it_lies() {
        // A ramp keeps its slope: sample i of 4 lies at 1.25 + (i + 1/2) * 1.5 in edges, half a pixel less in centres.
        let values: Vec<f32> = (0..64).map(|i| (i % 8) as f32).collect();
        let (x, left) = Span::of_edges(1.25, 7.25, 0);
        assert_eq!((x.samples, x.start, left), (7, 0.25, 0));
        let inside: Vec<f32> = (0..8).flat_map(|row| values[row * 8 + 1..row * 8 + 8].to_vec()).collect();
        let source = Padded { values: &inside, columns: 7, rows: 8, left: 0, top: 0 };
        let got = resize(source, [x, all(8)], 4);
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
            let short = resize(Padded { values: &values, columns, rows, left, top }, [all(side); 2], size);
            let long = whole(&square, side, size);
            for (a, b) in short.iter().zip(&long) {
                prop_assert!((a - b).abs() < 1e-6);
            }
        }
    }
}
