//! Convolution and pooling on the CPU, activations as `(pixels, channels)` with the channels side by side.
//!
//! A convolution is one matrix product, cut into tiles that the current rayon pool shares: a 1 x 1 convolution reads
//! its input as it lies, a larger one gathers the rows of its tile first. Scale, shift, shortcut and ReLU follow while
//! the tile is still in the cache. The tiles depend on the shape only, never on the number of threads, so a result is
//! the same to the last bit on any number of them.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor};
use rayon::prelude::*;

use super::matmul::{Block, Matrix, SharedMatrix};
use super::resnet::ConvShape;

thread_local! {
    /// The gathered rows of the tile at hand; kept so that a forward pass allocates once per thread.
    static GATHERED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A convolution and its batch norm, ready to run.
pub(super) struct PackedConv {
    shape: ConvShape,
    /// `channel out` by `(kernel row, kernel column, channel in)`.
    weight: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// What comes after the product.
#[derive(Clone, Copy)]
pub(super) struct After<'a> {
    pub(super) residual: Option<&'a Tensor>,
    pub(super) relu: bool,
}

/// Rows, columns and channels of one picture's activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) channels: usize,
}

/// The left side of a product, one row per output pixel.
#[derive(Clone, Copy)]
enum Rows<'a> {
    Ready(&'a [f32]),
    /// Input, its extent and the number of output columns.
    ToGather(&'a [f32], Extent, usize),
}

impl PackedConv {
    /// `weight` as PyTorch has it, `(out, in, row, column)`.
    pub(super) fn new(shape: &ConvShape, weight: &[f32], scale: Vec<f32>, shift: Vec<f32>) -> Self {
        let ConvShape { channels_in, kernel, .. } = *shape;
        let area = kernel * kernel;
        let depth = area * channels_in;
        let mut packed = weight.to_vec();
        if area > 1 {
            packed.par_chunks_mut(depth).zip(weight.par_chunks(depth)).for_each(|(row, source)| {
                for (index, value) in row.iter_mut().enumerate() {
                    let (position, channel) = (index / channels_in, index % channels_in);
                    *value = source[channel * area + position];
                }
            });
        }
        Self { shape: shape.clone(), weight: packed, scale, shift }
    }

    pub(super) fn forward(&self, input: &Tensor, after: After<'_>) -> Result<Tensor> {
        input.apply_op1_no_bwd(&ConvOp { conv: self, after })
    }

    /// `output` is `(pixels out, channels out)` of one picture.
    fn run(&self, input: &[f32], extent: Extent, residual: Option<&[f32]>, relu: bool, output: &mut [f32]) {
        let channels_out = self.shape.channels_out;
        let out = self.output_extent(extent);
        let pixels = out.rows * out.columns;
        let (tile_pixels, tile_channels) = tile(pixels, channels_out);
        let channel_tiles = channels_out.div_ceil(tile_channels);
        // Tiles over the same pixels share their gathered rows.
        let shared_rows = (self.gathers() && channel_tiles > 1).then(|| {
            let depth = self.depth();
            let mut rows = vec![0.0; pixels * depth];
            rows.par_chunks_mut(out.columns * depth).enumerate().for_each(|(row, rows)| {
                self.gather(input, extent, out.columns, row * out.columns, rows);
            });
            rows
        });
        let rows = match &shared_rows {
            Some(rows) => Rows::Ready(rows),
            None if self.gathers() => Rows::ToGather(input, extent, out.columns),
            None => Rows::Ready(input),
        };
        let shared = SharedMatrix::new(output, pixels, channels_out);
        (0..pixels.div_ceil(tile_pixels) * channel_tiles).into_par_iter().for_each(|task| {
            let (first_pixel, first_channel) =
                (task / channel_tiles * tile_pixels, task % channel_tiles * tile_channels);
            let pixel_range = first_pixel..(first_pixel + tile_pixels).min(pixels);
            let channel_range = first_channel..(first_channel + tile_channels).min(channels_out);
            // SAFETY: every task has its own rectangle of the grid.
            let mut block = unsafe { shared.block(pixel_range.clone(), channel_range.clone()) };
            self.product(rows, pixel_range.clone(), channel_range.clone(), &mut block);
            let (scale, shift) = (&self.scale[channel_range.clone()], &self.shift[channel_range.clone()]);
            for (row, pixel) in pixel_range.enumerate() {
                let values = block.row_mut(row);
                match residual {
                    Some(residual) => {
                        let start = pixel * channels_out + first_channel;
                        let residual = &residual[start..start + values.len()];
                        finish_with(values, scale, shift, residual, relu);
                    }
                    None => finish(values, scale, shift, relu),
                }
            }
        });
    }

    /// The bare product of one tile.
    fn product(&self, rows: Rows<'_>, pixels: Range<usize>, channels: Range<usize>, block: &mut Block<'_>) {
        let depth = self.depth();
        let weight = &self.weight[channels.start * depth..channels.end * depth];
        let weight = Matrix::row_major(weight, channels.len(), depth).transposed();
        match rows {
            Rows::Ready(rows) => {
                let rows = &rows[pixels.start * depth..pixels.end * depth];
                block.set_product(Matrix::row_major(rows, pixels.len(), depth), weight);
            }
            Rows::ToGather(input, extent, columns_out) => GATHERED.with_borrow_mut(|rows| {
                let length = pixels.len() * depth;
                if rows.len() < length {
                    rows.resize(length, 0.0);
                }
                self.gather(input, extent, columns_out, pixels.start, &mut rows[..length]);
                block.set_product(Matrix::row_major(rows, pixels.len(), depth), weight);
            }),
        }
    }

    /// Fills one row of `rows` after the other with the windows of the output pixels from `first_pixel` on.
    fn gather(&self, input: &[f32], extent: Extent, columns_out: usize, first_pixel: usize, rows: &mut [f32]) {
        let ConvShape { kernel, stride, padding, .. } = self.shape;
        for (pixel, row) in (first_pixel..).zip(rows.chunks_exact_mut(self.depth())) {
            let origin = (pixel / columns_out * stride, pixel % columns_out * stride);
            gather_window(input, extent, origin, kernel, padding, row);
        }
    }

    /// Whether the input's rows are not already those of the product.
    fn gathers(&self) -> bool {
        self.shape.kernel > 1 || self.shape.stride > 1
    }

    /// Values per window.
    fn depth(&self) -> usize {
        self.shape.kernel * self.shape.kernel * self.shape.channels_in
    }

    fn output_extent(&self, input: Extent) -> Extent {
        let edge = |length: usize| (length + 2 * self.shape.padding - self.shape.kernel) / self.shape.stride + 1;
        Extent { rows: edge(input.rows), columns: edge(input.columns), channels: self.shape.channels_out }
    }
}

/// Pixels and channels of one task. Large pictures are cut by pixels; small ones, which come with many channels, by both, so that
/// there are some sixteen tasks to share.
fn tile(pixels: usize, channels: usize) -> (usize, usize) {
    match pixels {
        2048.. => (192, channels),
        512.. => (144, channels.div_ceil(4).max(64)),
        _ => (pixels.clamp(1, 288), channels.div_ceil(16).max(64)),
    }
}

/// Copies the window whose unpadded top left is `origin`; what lies outside the picture becomes zero.
pub(super) fn gather_window(
    input: &[f32],
    extent: Extent,
    origin: (usize, usize),
    kernel: usize,
    padding: usize,
    row: &mut [f32],
) {
    // The columns of a window lie side by side, so a whole kernel row is one copy.
    let first = origin.1.max(padding) - padding;
    let last = (origin.1 + kernel).saturating_sub(padding).min(extent.columns);
    let before = (first + padding - origin.1) * extent.channels;
    let length = last.saturating_sub(first) * extent.channels;
    for (kernel_row, target) in row.chunks_exact_mut(kernel * extent.channels).enumerate() {
        let y = (origin.0 + kernel_row).checked_sub(padding).filter(|&y| y < extent.rows);
        let Some(y) = y.filter(|_| length > 0) else {
            target.fill(0.0);
            continue;
        };
        let start = (y * extent.columns + first) * extent.channels;
        target[..before].fill(0.0);
        target[before..before + length].copy_from_slice(&input[start..start + length]);
        target[before + length..].fill(0.0);
    }
}

fn finish(values: &mut [f32], scale: &[f32], shift: &[f32], relu: bool) {
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    for ((value, scale), shift) in values.iter_mut().zip(scale).zip(shift) {
        *value = clip(*value * scale + shift, floor);
    }
}

fn finish_with(values: &mut [f32], scale: &[f32], shift: &[f32], residual: &[f32], relu: bool) {
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    for (((value, scale), shift), residual) in values.iter_mut().zip(scale).zip(shift).zip(residual) {
        *value = clip(*value * scale + shift + residual, floor);
    }
}

/// `max` that lets NaN through, so that a broken input does not come out as a clean zero.
fn clip(value: f32, floor: f32) -> f32 {
    if value < floor { floor } else { value }
}

struct ConvOp<'a> {
    conv: &'a PackedConv,
    after: After<'a>,
}

impl CustomOp1 for ConvOp<'_> {
    fn name(&self) -> &'static str {
        "packed-conv"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, rows, columns, channels) = layout.shape().dims4()?;
        let input = contiguous(storage, layout)?;
        let extent = Extent { rows, columns, channels };
        let out = self.conv.output_extent(extent);
        let residual_guard = self.after.residual.map(Tensor::storage_and_layout);
        let residual = match &residual_guard {
            Some((guard, layout)) => match &**guard {
                Storage::Cpu(storage) => Some(contiguous(storage, layout)?),
                _ => candle_core::bail!("the shortcut is not on the CPU"),
            },
            None => None,
        };
        let (size_in, size_out) = (rows * columns * channels, out.rows * out.columns * out.channels);
        if channels != self.conv.shape.channels_in || residual.is_some_and(|r| r.len() != count * size_out) {
            candle_core::bail!("{}: input or shortcut of the wrong shape", self.conv.shape.name);
        }
        let mut output = vec![0.0; count * size_out];
        for (index, picture) in output.chunks_exact_mut(size_out).enumerate() {
            let residual = residual.map(|r| &r[index * size_out..(index + 1) * size_out]);
            self.conv.run(&input[index * size_in..(index + 1) * size_in], extent, residual, self.after.relu, picture);
        }
        Ok((CpuStorage::F32(output), Shape::from((count, out.rows, out.columns, out.channels))))
    }
}

/// Max pooling 3 x 3, stride 2, padding 1 with minus infinity, as ResNet's stem has it.
pub(super) struct MaxPool;

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool-3-2-1"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, rows, columns, channels) = layout.shape().dims4()?;
        let input = contiguous(storage, layout)?;
        let (rows_out, columns_out) = ((rows - 1) / 2 + 1, (columns - 1) / 2 + 1);
        let mut output = vec![f32::NEG_INFINITY; count * rows_out * columns_out * channels];
        output.par_chunks_mut(columns_out * channels).enumerate().for_each(|(line, target)| {
            let (picture, y) = (line / rows_out, line % rows_out);
            for source_y in (2 * y).saturating_sub(1)..(2 * y + 2).min(rows) {
                for (x, pixel) in target.chunks_exact_mut(channels).enumerate() {
                    for source_x in (2 * x).saturating_sub(1)..(2 * x + 2).min(columns) {
                        let start = ((picture * rows + source_y) * columns + source_x) * channels;
                        let source = &input[start..start + channels];
                        pixel.iter_mut().zip(source).for_each(|(to, &from)| *to = larger(*to, from));
                    }
                }
            }
        });
        Ok((CpuStorage::F32(output), Shape::from((count, rows_out, columns_out, channels))))
    }
}

fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("activations are not contiguous"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn wave(length: usize, phase: f32) -> Vec<f32> {
        (0..length).map(|i| (i as f32 * 0.37 + phase).sin()).collect()
    }

    /// Compares with candle's own convolution, which works on `(picture, channel, row, column)`.
    #[track_caller]
    fn check_conv(side: usize, channels: [usize; 2], kernel: usize, stride: usize) {
        let shape = ConvShape {
            name: "test".into(),
            norm: String::new(),
            channels_in: channels[0],
            channels_out: channels[1],
            kernel,
            stride,
            padding: kernel / 2,
        };
        let weight = wave(channels[0] * channels[1] * kernel * kernel, 0.1);
        let (scale, shift) = (wave(channels[1], 0.2), wave(channels[1], 0.3));
        let device = Device::Cpu;
        let input =
            Tensor::from_vec(wave(2 * channels[0] * side * side, 0.4), (2, channels[0], side, side), &device).unwrap();
        let kernel_tensor = Tensor::from_slice(&weight, (channels[1], channels[0], kernel, kernel), &device).unwrap();
        let vector = |v: &[f32]| Tensor::from_slice(v, (1, channels[1], 1, 1), &device).unwrap();
        let plain = input.conv2d(&kernel_tensor, kernel / 2, stride, 1, 1).unwrap();
        let residual = Tensor::from_vec(wave(plain.elem_count(), 0.5), plain.shape(), &device).unwrap();
        let expected = plain
            .broadcast_mul(&vector(&scale))
            .and_then(|t| t.broadcast_add(&vector(&shift)))
            .and_then(|t| t + &residual)
            .and_then(|t| t.relu())
            .unwrap();
        let swap = |t: &Tensor| t.permute((0, 2, 3, 1)).and_then(|t| t.contiguous()).unwrap();
        let conv = PackedConv::new(&shape, &weight, scale, shift);
        let residual = swap(&residual);
        let got = conv.forward(&swap(&input), After { residual: Some(&residual), relu: true }).unwrap();
        let expected = swap(&expected);
        assert_eq!(got.dims(), expected.dims());
        let values = |t: &Tensor| t.flatten_all().and_then(|t| t.to_vec1::<f32>()).unwrap();
        let largest = values(&expected).iter().fold(1.0f32, |m, v| m.max(v.abs()));
        for (got, expected) in values(&got).iter().zip(values(&expected)) {
            assert!((got - expected).abs() <= 1e-5 * largest, "{got} against {expected}");
        }
    }

    #[test]
    fn convolutions_equal_candles() {
        check_conv(9, [5, 70], 1, 1);
        check_conv(9, [4, 66], 1, 2);
        check_conv(8, [3, 10], 7, 2);
        check_conv(25, [6, 130], 3, 1);
        check_conv(11, [6, 8], 3, 2);
        check_conv(1, [6, 8], 3, 1);
        check_conv(50, [3, 4], 3, 1);
    }

    #[test]
    fn pooling_pads_with_minus_infinity() {
        let input =
            Tensor::from_vec(vec![-5.0f32, -2.0, -3.0, -4.0, -9.0, -6.0, -7.0, -8.0, -1.0], (1, 3, 3, 1), &Device::Cpu)
                .unwrap();
        let pooled = input.apply_op1_no_bwd(&MaxPool).unwrap();
        assert_eq!(pooled.dims(), [1, 2, 2, 1]);
        assert_eq!(pooled.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [-2.0, -2.0, -4.0, -1.0]);
    }

    #[test]
    fn nan_is_not_washed_out_by_relu_or_pooling() {
        assert!(clip(f32::NAN, 0.0).is_nan());
        assert!(larger(f32::NAN, 1.0).is_nan() && larger(1.0, f32::NAN).is_nan());
    }
}
