//! Convolution with both gradients on the CPU, all three as matrix products over tiles of gathered windows.
//!
//! Activations are `(picture, row, column, channel)`, weights `(channel out, kernel row, kernel column, channel in)`.
//! The way back gathers a tile's windows once more and uses them while they are in the cache: for the weights' gradient,
//! and, in the same place, for the windows' own gradient, which is added to where the windows came from. Pictures are
//! dealt to a fixed number of lanes, each with its own sum for the weights, added in the lanes' order.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::super::cpu::{Extent, gather_window};
use super::super::matmul::{Matrix, SharedMatrix};
use super::super::resnet::ConvShape;

/// Shares of a batch that have their own sums. Part of the result's last bits, so fixed.
const LANES: usize = 16;
/// Floats in a tile of gathered windows.
const TILE_VALUES: usize = 1 << 18;
/// Tiles of one convolution forward that are worth sharing.
const TASKS: usize = 16;

thread_local! {
    static WINDOWS: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Maps of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) count: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) channels: usize,
}

impl Size {
    pub(super) fn pixels(&self) -> usize {
        self.count * self.rows * self.columns
    }

    pub(super) fn values(&self) -> usize {
        self.pixels() * self.channels
    }

    /// Values of one picture.
    pub(super) fn picture(&self) -> usize {
        self.rows * self.columns * self.channels
    }
}

/// What a convolution makes of a size.
pub(super) fn output_size(shape: &ConvShape, input: Size) -> Size {
    let edge = |length: usize| (length + 2 * shape.padding - shape.kernel) / shape.stride + 1;
    Size { rows: edge(input.rows), columns: edge(input.columns), channels: shape.channels_out, ..input }
}

fn depth(shape: &ConvShape) -> usize {
    shape.kernel * shape.kernel * shape.channels_in
}

/// Whether the windows are not simply the input's rows.
fn gathers(shape: &ConvShape) -> bool {
    shape.kernel > 1 || shape.stride > 1
}

fn tile_pixels(shape: &ConvShape) -> usize {
    (TILE_VALUES / depth(shape)).clamp(96, 512)
}

/// `output` is overwritten.
pub(super) fn forward(shape: &ConvShape, weight: &[f32], input: &[f32], size: Size, output: &mut [f32]) {
    let out = output_size(shape, size);
    let (pixels, depth, channels) = (out.pixels(), depth(shape), shape.channels_out);
    let tile = tile_pixels(shape).min(pixels.div_ceil(TASKS).max(96));
    let tiles = pixels.div_ceil(tile);
    let tile_channels = if tiles >= TASKS { channels } else { channels.div_ceil(TASKS.div_ceil(tiles)).max(64) };
    let channel_tiles = channels.div_ceil(tile_channels);
    let shared = SharedMatrix::new(output, pixels, channels);
    (0..tiles * channel_tiles).into_par_iter().for_each(|task| {
        let (first, channel) = (task / channel_tiles * tile, task % channel_tiles * tile_channels);
        let range = first..(first + tile).min(pixels);
        let channel_range = channel..(channel + tile_channels).min(channels);
        let weight = &weight[channel_range.start * depth..channel_range.end * depth];
        let weight = Matrix::row_major(weight, channel_range.len(), depth).transposed();
        // SAFETY: every task has its own rectangle of the output.
        let mut block = unsafe { shared.block(range.clone(), channel_range) };
        with_windows(shape, input, size, range.clone(), |rows, _| {
            block.set_product(Matrix::row_major(rows, range.len(), depth), weight);
        });
    });
}

/// Sets the weights' gradient, and adds to the input's where one is wanted.
pub(super) fn backward(
    shape: &ConvShape,
    weight: &[f32],
    input: &[f32],
    size: Size,
    d_output: &[f32],
    d_weight: &mut [f32],
    d_input: Option<&mut [f32]>,
) {
    let out = output_size(shape, size);
    let lane_pictures = size.count.div_ceil(LANES).max(1);
    let part = |values: usize| lane_pictures * values;
    let lanes = input.par_chunks(part(size.picture())).zip(d_output.par_chunks(part(out.picture())));
    let lane = |(input, d_output): (&[f32], &[f32]), d_input: Option<&mut [f32]>| {
        let size = Size { count: input.len() / size.picture(), ..size };
        lane_backward(shape, weight, (input, size), d_output, d_input)
    };
    let sums: Vec<Vec<f32>> = match d_input {
        Some(d_input) => lanes
            .zip(d_input.par_chunks_mut(part(size.picture())))
            .map(|(lane_input, d_input)| lane(lane_input, Some(d_input)))
            .collect(),
        None => lanes.map(|lane_input| lane(lane_input, None)).collect(),
    };
    d_weight.par_chunks_mut(1 << 12).enumerate().for_each(|(chunk, target)| {
        let start = chunk << 12;
        target.fill(0.0);
        for sum in &sums {
            target.iter_mut().zip(&sum[start..]).for_each(|(to, from)| *to += from);
        }
    });
}

/// One lane's share of the weights' gradient.
fn lane_backward(
    shape: &ConvShape,
    weight: &[f32],
    (input, size): (&[f32], Size),
    d_output: &[f32],
    mut d_input: Option<&mut [f32]>,
) -> Vec<f32> {
    let (depth, channels) = (depth(shape), shape.channels_out);
    let pixels = output_size(shape, size).pixels();
    let weight = Matrix::row_major(weight, channels, depth);
    let mut d_weight = vec![0.0; channels * depth];
    let tile = tile_pixels(shape);
    for first in (0..pixels).step_by(tile) {
        let range = first..(first + tile).min(pixels);
        let d_rows = Matrix::row_major(&d_output[range.start * channels..range.end * channels], range.len(), channels);
        with_windows(shape, input, size, range.clone(), |rows, d_windows| {
            let sum = SharedMatrix::new(&mut d_weight, channels, depth);
            // SAFETY: the only block of this matrix.
            let mut sum = unsafe { sum.block(0..channels, 0..depth) };
            sum.add_product(d_rows.transposed(), Matrix::row_major(rows, range.len(), depth));
            let Some(d_input) = d_input.as_deref_mut() else { return };
            if gathers(shape) {
                let d_windows = sized(d_windows, range.len() * depth);
                let product = SharedMatrix::new(d_windows, range.len(), depth);
                // SAFETY: the only block of this matrix.
                unsafe { product.block(0..range.len(), 0..depth) }.set_product(d_rows, weight);
                scatter(shape, d_windows, size, range.clone(), d_input);
            } else {
                let target = &mut d_input[range.start * depth..range.end * depth];
                let product = SharedMatrix::new(target, range.len(), depth);
                // SAFETY: the only block of this matrix.
                unsafe { product.block(0..range.len(), 0..depth) }.add_product(d_rows, weight);
            }
        });
    }
    d_weight
}

/// Calls with the windows of the output pixels in `range`, one row each, and a buffer for the windows' gradient.
fn with_windows(
    shape: &ConvShape,
    input: &[f32],
    size: Size,
    range: Range<usize>,
    mut then: impl FnMut(&[f32], &mut Vec<f32>),
) {
    let depth = depth(shape);
    WINDOWS.with_borrow_mut(|[windows, spare]| {
        if !gathers(shape) {
            return then(&input[range.start * depth..range.end * depth], spare);
        }
        let rows = sized(windows, range.len() * depth);
        for (pixel, row) in range.zip(rows.chunks_exact_mut(depth)) {
            let (picture, origin) = place(shape, size, pixel);
            let extent = Extent { rows: size.rows, columns: size.columns, channels: size.channels };
            let input = &input[picture * size.picture()..(picture + 1) * size.picture()];
            gather_window(input, extent, origin, shape.kernel, shape.padding, row);
        }
        then(rows, spare);
    });
}

/// The first `length` values of a buffer that grows as needed; what they hold is left over from before.
fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

/// Picture and unpadded top left of an output pixel's window.
fn place(shape: &ConvShape, size: Size, pixel: usize) -> (usize, (usize, usize)) {
    let out = output_size(shape, size);
    let (line, column) = (pixel / out.columns, pixel % out.columns);
    (line / out.rows, (line % out.rows * shape.stride, column * shape.stride))
}

/// Adds the windows' gradients to where [`with_windows`] took their values from.
fn scatter(shape: &ConvShape, d_windows: &[f32], size: Size, range: Range<usize>, d_input: &mut [f32]) {
    let Size { rows, columns, channels, .. } = size;
    let ConvShape { kernel, padding, .. } = *shape;
    for (pixel, window) in range.zip(d_windows.chunks_exact(depth(shape))) {
        let (picture, origin) = place(shape, size, pixel);
        let first = origin.1.max(padding) - padding;
        let last = (origin.1 + kernel).saturating_sub(padding).min(columns);
        let length = last.saturating_sub(first) * channels;
        let before = (first + padding - origin.1) * channels;
        for (kernel_row, source) in window.chunks_exact(kernel * channels).enumerate() {
            let Some(y) = (origin.0 + kernel_row).checked_sub(padding).filter(|&y| y < rows) else { continue };
            let start = ((picture * rows + y) * columns + first) * channels;
            let target = &mut d_input[start..start + length];
            target.iter_mut().zip(&source[before..before + length]).for_each(|(to, from)| *to += from);
        }
    }
}

/// `(out, in, row, column)` to `(out, row, column, in)`.
pub(super) fn pack(shape: &[usize], values: &[f32]) -> Vec<f32> {
    reorder(shape, values, |packed, plain, from| (packed, from[plain]))
}

/// The way back from [`pack`].
pub(super) fn unpack(shape: &[usize], values: &[f32]) -> Vec<f32> {
    reorder(shape, values, |packed, plain, from| (plain, from[packed]))
}

fn reorder(shape: &[usize], values: &[f32], pick: impl Fn(usize, usize, &[f32]) -> (usize, f32)) -> Vec<f32> {
    let &[_, channels, rows, columns] = shape else { return values.to_vec() };
    let area = rows * columns;
    let mut all = vec![0.0; values.len()];
    for (to, from) in all.chunks_exact_mut(area * channels).zip(values.chunks_exact(area * channels)) {
        for position in 0..area {
            for channel in 0..channels {
                let (index, value) = pick(position * channels + channel, channel * area + position, from);
                to[index] = value;
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::differences::{check_gradient, scrambled};
    use super::*;

    /// Both gradients of a random linear function of the output, at batch 3.
    #[track_caller]
    fn check(rows: usize, columns: usize, channels: [usize; 2], kernel: usize, stride: usize) {
        let shape = ConvShape::for_tests(channels, kernel, stride);
        let size = Size { count: 3, rows, columns, channels: channels[0] };
        let input = scrambled(size.values(), 1);
        let weight = scrambled(channels[0] * channels[1] * kernel * kernel, 2);
        let out = output_size(&shape, size);
        let along = scrambled(out.values(), 3);
        let run = |input: &[f32], weight: &[f32]| {
            let mut output = vec![f32::NAN; out.values()];
            forward(&shape, weight, input, size, &mut output);
            output.iter().zip(&along).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
        };
        let (mut d_weight, mut d_input) = (vec![f32::NAN; weight.len()], vec![1.0; input.len()]);
        backward(&shape, &weight, &input, size, &along, &mut d_weight, Some(&mut d_input));
        // It adds to what is there.
        d_input.iter_mut().for_each(|d| *d -= 1.0);
        // Linear in each, so a wide step costs nothing.
        check_gradient("weight", &weight, &d_weight, 0.5, |w| run(&input, w));
        check_gradient("input", &input, &d_input, 0.5, |x| run(x, &weight));
        let mut alone = vec![0.0; weight.len()];
        backward(&shape, &weight, &input, size, &along, &mut alone, None);
        assert_eq!(alone, d_weight);
    }

    #[test]
    fn gradients_equal_differences() {
        check(5, 5, [3, 4], 1, 1);
        check(7, 6, [3, 5], 1, 2);
        check(5, 7, [2, 3], 3, 1);
        check(8, 9, [3, 4], 3, 2);
        check(9, 8, [4, 2], 3, 2);
        check(11, 13, [3, 2], 7, 2);
        check(1, 1, [5, 70], 3, 1);
    }

    #[test]
    fn many_pictures_share_the_lanes_and_threads_change_nothing() {
        let shape = ConvShape::for_tests([3, 5], 3, 2);
        let size = Size { count: 37, rows: 9, columns: 9, channels: 3 };
        let (input, weight) = (scrambled(size.values(), 1), scrambled(135, 2));
        let out = output_size(&shape, size);
        let along = scrambled(out.values(), 3);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut output, mut d_weight, mut d_input) =
                (vec![0.0; out.values()], vec![0.0; 135], vec![0.0; input.len()]);
            pool.install(|| {
                forward(&shape, &weight, &input, size, &mut output);
                backward(&shape, &weight, &input, size, &along, &mut d_weight, Some(&mut d_input));
            });
            (output, d_weight, d_input)
        };
        assert!(run(1) == run(3), "the same to the last bit");
    }

    #[test]
    fn packing_goes_both_ways() {
        let values: Vec<f32> = (0..2 * 3 * 4).map(|i| i as f32).collect();
        let packed = pack(&[2, 3, 2, 2], &values);
        assert_eq!(packed[..6], [0.0, 4.0, 8.0, 1.0, 5.0, 9.0]);
        assert_eq!(unpack(&[2, 3, 2, 2], &packed), values);
    }
}
