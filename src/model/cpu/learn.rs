//! Convolutions that learn: forward and both gradients, whole batches, activations and sums in f32.
//!
//! All are matrix products. Forward, the rows are the windows of the output pixels. The gradient by the input of a
//! convolution with stride 1 is one more convolution, of the output's gradient with the kernel turned about; with a longer
//! stride the windows' gradients are made tile by tile and added to where the windows came from. The gradient by the weights
//! is the product of the output's gradient, turned on its side, with the windows. What goes into a product is narrowed to
//! the lanes' values while it is gathered.
//!
//! How the work is cut depends on the shapes alone, and every sum has one owner or is added up in the lanes' order, so the
//! result is the same to the last bit on any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::super::resnet::ConvShape;
use super::buffer::Buffer;
use super::lanes::{Job, Lanes, Value};
use super::maps::Arena;
use super::product::{Accumulate, Left, inner_steps, panel_columns};
use super::scratch::{sized, with_scratch};
use super::tile::Grid;

/// Tasks that a product is cut into where its shape has no more.
const TASKS: usize = 16;
/// Values of a task's gathered rows that stay in a core's cache.
const GATHERED_VALUES: usize = 96 * 1024;
/// Tiles of rows in a task at least and at most.
const TASK_TILES: [usize; 2] = [4, 24];
/// Columns of a product that are worth a task.
const TASK_COLUMNS: usize = 128;
/// The same of the weights' gradient with tile registers, which multiply quicker than the left side can be read again.
const MAX_TASK_COLUMNS: usize = 256;
/// Inner steps of the weights' gradient that are packed at a time: both sides stay in a core's cache.
const INNER_STEPS: usize = 192;
/// Tiles of inner steps that are worth sums of their own.
const LANE_TILES: usize = 6;
/// Values of windows' gradients that are made at a time.
const SCATTERED_VALUES: usize = 1 << 18;
/// Inner steps whose part of a panel stays in the nearest cache while columns are written into it.
const PACKED_STEPS: usize = 64;
/// Numbers in the widest vector.
const MAX_WIDTH: usize = 16;

/// Maps of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Size {
    pub(in super::super) count: usize,
    pub(in super::super) rows: usize,
    pub(in super::super) columns: usize,
    pub(in super::super) channels: usize,
}

impl Size {
    pub(in super::super) fn pixels(&self) -> usize {
        self.count * self.rows * self.columns
    }

    pub(in super::super) fn values(&self) -> usize {
        self.pixels() * self.channels
    }

    /// Values of one picture.
    pub(in super::super) fn picture(&self) -> usize {
        self.rows * self.columns * self.channels
    }
}

/// What a convolution makes of a size.
pub(in super::super) fn output_size(shape: &ConvShape, input: Size) -> Size {
    let edge = |length: usize| (length + 2 * shape.padding - shape.kernel) / shape.stride + 1;
    Size { rows: edge(input.rows), columns: edge(input.columns), channels: shape.channels_out, ..input }
}

/// Where the gradient by a convolution's input goes.
pub(in super::super) struct InputGradient<'a> {
    pub(in super::super) values: &'a mut [f32],
    /// Added to what is there, instead of written over it.
    pub(in super::super) add: bool,
}

/// Convolutions of batches `(picture, row, column, channel)`, weights `(channel out, kernel row, kernel column, channel in)`.
pub(in super::super) trait Learner: Send + Sync {
    /// `output` is overwritten.
    fn forward(&self, shape: &ConvShape, weight: &[f32], input: &[f32], size: Size, output: &mut [f32]);

    /// Sets the weights' gradient and the input's, where they are wanted.
    fn backward(
        &self,
        layer: (&ConvShape, &[f32]),
        input: (&[f32], Size),
        d_output: &[f32],
        d_weight: Option<&mut [f32]>,
        d_input: Option<InputGradient<'_>>,
    );
}

pub(super) struct Learn<L: Lanes> {
    values: Arena<L::Value>,
    singles: Arena<f32>,
}

impl<L: Lanes> Learner for Learn<L> {
    fn forward(&self, shape: &ConvShape, weight: &[f32], input: &[f32], size: Size, output: &mut [f32]) {
        let windows = Windows::of(shape, input, size);
        assert_eq!(output.len(), output_size(shape, size).values(), "output");
        let packed = self.packed_columns(weight, windows.depth(), shape.channels_out);
        self.multiply(&windows, &packed, output, shape.channels_out, false);
        self.values.give(packed);
    }

    fn backward(
        &self,
        (shape, weight): (&ConvShape, &[f32]),
        (input, size): (&[f32], Size),
        d_output: &[f32],
        d_weight: Option<&mut [f32]>,
        d_input: Option<InputGradient<'_>>,
    ) {
        let windows = Windows::of(shape, input, size);
        let out = output_size(shape, size);
        assert_eq!(d_output.len(), out.values(), "the output's gradient");
        if let Some(d_weight) = d_weight {
            self.weight_gradient(&windows, d_output, shape.channels_out, d_weight);
        }
        let Some(InputGradient { values: d_input, add }) = d_input else { return };
        assert_eq!(d_input.len(), size.values(), "the input's gradient");
        let ConvShape { channels_in, channels_out, kernel, stride, padding, .. } = *shape;
        let depth = kernel * kernel * channels_in;
        assert_eq!(weight.len(), channels_out * depth, "weights");
        if stride == 1 && padding < kernel {
            let turned = Windows {
                input: d_output,
                size: out,
                kernel,
                stride: 1,
                padding: kernel - 1 - padding,
                rows: size.rows,
                columns: size.columns,
            };
            let area = kernel * kernel;
            let packed = self.packed_rows(turned.depth(), channels_in, |index| {
                let (position, channel) = (index / channels_out, index % channels_out);
                &weight[channel * depth + (area - 1 - position) * channels_in..][..channels_in]
            });
            self.multiply(&turned, &packed, d_input, channels_in, add);
            self.values.give(packed);
        } else {
            let packed = self.packed_rows(channels_out, depth, |channel| &weight[channel * depth..][..depth]);
            self.scatter(&windows, &packed, (d_output, out), InputGradient { values: d_input, add });
            self.values.give(packed);
        }
    }
}

impl<L: Lanes> Learn<L> {
    pub(super) fn new() -> Self {
        Self { values: Arena::new(), singles: Arena::new() }
    }

    /// `output = windows * right`, or added to it, `columns` wide.
    fn multiply(&self, windows: &Windows<'_>, right: &[L::Value], output: &mut [f32], columns: usize, add: bool) {
        let (pixels, depth) = (windows.pixels(), windows.depth());
        let [least, most] = TASK_TILES.map(|tiles| tiles * L::TILE_ROWS);
        let task_rows = (GATHERED_VALUES / depth).clamp(least, most) / L::TILE_ROWS * L::TILE_ROWS;
        let tasks = pixels.div_ceil(task_rows);
        let panels = columns.div_ceil(panel_columns::<L>());
        let parts = TASKS.div_ceil(tasks).min(columns.div_ceil(TASK_COLUMNS)).max(1);
        let task_panels = panels.div_ceil(parts);
        let parts = panels.div_ceil(task_panels);
        let output = Grid { start: output.as_mut_ptr(), stride: columns };
        // One by one, as in the forward pass: cores are not equally fast.
        (0..tasks * parts).into_par_iter().with_max_len(1).for_each(|task| {
            let (first, panel) = (task / parts * task_rows, task % parts * task_panels);
            let range = first..(first + task_rows).min(pixels);
            with_scratch::<L, _>(|scratch| {
                let stride = row_stride::<L>(depth);
                let rows = sized(&mut scratch.rows, range.len() * stride);
                // SAFETY: the lanes are this machine's; every task writes rows and columns of its own.
                unsafe {
                    L::dispatch(Gather { windows, range: range.clone(), rows, stride });
                    L::dispatch(Accumulate::<L> {
                        left: Left { start: rows.as_ptr(), tile: stride * L::TILE_ROWS, row: stride, step: L::PAIR },
                        count: range.len(),
                        right,
                        steps: inner_steps::<L>(depth),
                        columns,
                        panels: panel..(panel + task_panels).min(panels),
                        output: output.at(range.start, 0),
                        add,
                    });
                }
            });
        });
    }

    /// `d_weight = d_output^T * windows`.
    fn weight_gradient(&self, windows: &Windows<'_>, d_output: &[f32], channels: usize, d_weight: &mut [f32]) {
        let (pixels, depth) = (windows.pixels(), windows.depth());
        assert_eq!(d_weight.len(), channels * depth, "the weights' gradient");
        let tile_pixels = INNER_STEPS * L::PAIR;
        let tiles = pixels.div_ceil(tile_pixels);
        let tile_values = channels.next_multiple_of(L::TILE_ROWS) * tile_pixels;
        let task_columns = if L::BLOCK > 1 { MAX_TASK_COLUMNS } else { TASK_COLUMNS };
        let ranges = depth.div_ceil(task_columns);
        let rows = |tile: usize| {
            &d_output[tile * tile_pixels * channels..][..tile_range(tile, tile_pixels, pixels).len() * channels]
        };
        // Several tasks read a tile of the left side, so it is turned before; one alone turns it when it comes to it.
        let mut left = self.values.take(if ranges > 1 { tiles * tile_values } else { 0 });
        if ranges > 1 {
            left[..tiles * tile_values].par_chunks_mut(tile_values).enumerate().for_each(|(tile, to)| {
                with_scratch::<L, _>(|scratch| turn::<L>(rows(tile), channels, &mut scratch.line, to));
            });
        }
        let lanes = TASKS.div_ceil(ranges).min(tiles.div_ceil(LANE_TILES)).max(1);
        let lane_tiles = tiles.div_ceil(lanes);
        let lanes = tiles.div_ceil(lane_tiles);
        let mut sums = if lanes > 1 { self.singles.take(lanes * d_weight.len()) } else { Buffer::default() };
        let target = if lanes > 1 { sums.as_mut_ptr() } else { d_weight.as_mut_ptr() };
        let target = Grid { start: target, stride: depth };
        let tiles_left = &left;
        (0..lanes * ranges).into_par_iter().with_max_len(1).for_each(|task| {
            let (lane, first) = (task / ranges, task % ranges * task_columns);
            let columns = first..(first + task_columns).min(depth);
            for tile in lane * lane_tiles..((lane + 1) * lane_tiles).min(tiles) {
                let range = tile_range(tile, tile_pixels, pixels);
                let steps = inner_steps::<L>(range.len());
                with_scratch::<L, _>(|scratch| {
                    let right = sized(&mut scratch.rows, steps * task_columns * L::PAIR);
                    let left = if ranges > 1 {
                        &tiles_left[tile * tile_values..][..tile_values]
                    } else {
                        let left = sized(&mut scratch.left, tile_values);
                        turn::<L>(rows(tile), channels, &mut scratch.line, left);
                        left
                    };
                    // SAFETY: the lanes are this machine's; every task has columns of its own in its lane's sums.
                    unsafe {
                        L::dispatch(PackWindows { windows, range, columns: columns.clone(), to: right });
                        L::dispatch(Accumulate::<L> {
                            left: Left {
                                start: left.as_ptr(),
                                tile: steps * L::TILE_ROWS * L::PAIR,
                                row: if L::BLOCK > 1 { steps * L::PAIR } else { L::PAIR },
                                step: if L::BLOCK > 1 { L::PAIR } else { L::TILE_ROWS * L::PAIR },
                            },
                            count: channels,
                            right,
                            steps,
                            columns: columns.len(),
                            panels: 0..columns.len().div_ceil(panel_columns::<L>()),
                            output: target.at(lane * channels, columns.start),
                            add: tile > lane * lane_tiles,
                        });
                    }
                });
            }
        });
        self.values.give(left);
        if lanes > 1 {
            let length = d_weight.len();
            d_weight.par_chunks_mut(1 << 12).enumerate().for_each(|(chunk, to)| {
                let lane = |lane: usize| &sums[lane * length + (chunk << 12)..][..to.len()];
                let all: Vec<&[f32]> = (0..lanes).map(lane).collect();
                to.fill(0.0);
                all.iter().for_each(|from| to.iter_mut().zip(*from).for_each(|(to, from)| *to += from));
            });
            self.singles.give(sums);
        }
    }

    /// Puts `d_output * right`, the windows' gradient, to where the windows came from.
    fn scatter(
        &self,
        windows: &Windows<'_>,
        right: &[L::Value],
        (d_output, out): (&[f32], Size),
        InputGradient { values: d_input, add }: InputGradient<'_>,
    ) {
        let (depth, channels) = (windows.depth(), out.channels);
        let area = out.rows * out.columns;
        let tile = (SCATTERED_VALUES / depth).clamp(L::TILE_ROWS, area.max(L::TILE_ROWS));
        d_input.par_chunks_mut(windows.size.picture()).enumerate().with_max_len(1).for_each(|(picture, d_input)| {
            if !add {
                d_input.fill(0.0);
            }
            let one = Size { count: 1, ..out };
            let rows = &d_output[picture * out.picture()..][..out.picture()];
            let rows = Windows { input: rows, size: one, kernel: 1, stride: 1, padding: 0, ..*windows };
            for first in (0..area).step_by(tile) {
                let range = first..(first + tile).min(area);
                with_scratch::<L, _>(|scratch| {
                    let stride = row_stride::<L>(channels);
                    let left = sized(&mut scratch.rows, range.len() * stride);
                    let d_windows = sized(&mut scratch.sums, range.len() * depth);
                    // SAFETY: the lanes are this machine's; everything belongs to this task.
                    unsafe {
                        L::dispatch(Gather { windows: &rows, range: range.clone(), rows: left, stride });
                        L::dispatch(Accumulate::<L> {
                            left: Left {
                                start: left.as_ptr(),
                                tile: stride * L::TILE_ROWS,
                                row: stride,
                                step: L::PAIR,
                            },
                            count: range.len(),
                            right,
                            steps: inner_steps::<L>(channels),
                            columns: depth,
                            panels: 0..depth.div_ceil(panel_columns::<L>()),
                            output: Grid { start: d_windows.as_mut_ptr(), stride: depth },
                            add: false,
                        });
                    }
                    for (pixel, window) in range.zip(d_windows.chunks_exact(depth)) {
                        windows.add_back(pixel, window, d_input);
                    }
                });
            }
        });
    }

    /// The right side of a product whose columns lie in `values` one after the other.
    fn packed_columns(&self, values: &[f32], depth: usize, columns: usize) -> Buffer<L::Value> {
        assert_eq!(values.len(), depth * columns, "weights");
        self.packed(depth, columns, |first, to| {
            // SAFETY: the lanes are this machine's.
            unsafe { L::dispatch(PackColumns { values, depth, columns, first, to }) }
        })
    }

    /// The right side of a product whose `index`-th inner row is `row(index)`.
    fn packed_rows<'a>(
        &self,
        depth: usize,
        columns: usize,
        row: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Buffer<L::Value> {
        self.packed(depth, columns, |first, to| {
            // SAFETY: the lanes are this machine's.
            unsafe { L::dispatch(PackRows { row: &row, depth, columns, first, to }) }
        })
    }

    /// `fill` is called with the first column of each panel and its place.
    fn packed(&self, depth: usize, columns: usize, fill: impl Fn(usize, &mut [L::Value]) + Sync) -> Buffer<L::Value> {
        let step_values = inner_steps::<L>(depth) * L::PAIR;
        let length = columns.next_multiple_of(L::WIDTH) * step_values;
        let mut packed = self.values.take(length);
        let panel = panel_columns::<L>();
        let panels = packed[..length].par_chunks_mut(panel * step_values).enumerate();
        panels.for_each(|(index, to)| fill(index * panel, to));
        packed
    }
}

/// The pixels of a tile of inner steps.
fn tile_range(tile: usize, tile_pixels: usize, pixels: usize) -> Range<usize> {
    tile * tile_pixels..((tile + 1) * tile_pixels).min(pixels)
}

/// Some pixels of the output's gradient as the left side of a product over pixels.
fn turn<L: Lanes>(rows: &[f32], channels: usize, line: &mut Vec<L::Value>, to: &mut [L::Value]) {
    let line = sized(line, channels.next_multiple_of(L::WIDTH) * L::PAIR * L::BLOCK);
    // SAFETY: the lanes are this machine's.
    unsafe { L::dispatch(TurnOnSide { rows, channels, line, to }) }
}

/// Values from one gathered row to the next: a line further than the row is long, so that the rows of a tile do not fall on
/// the same lines of the cache.
fn row_stride<L: Lanes>(depth: usize) -> usize {
    let line = 64 / size_of::<L::Value>();
    depth.next_multiple_of(line) + line
}

/// What the pixels of a convolution's output see of its input.
#[derive(Clone, Copy)]
struct Windows<'a> {
    input: &'a [f32],
    size: Size,
    kernel: usize,
    stride: usize,
    padding: usize,
    /// Of the output.
    rows: usize,
    columns: usize,
}

impl<'a> Windows<'a> {
    fn of(shape: &ConvShape, input: &'a [f32], size: Size) -> Self {
        assert_eq!((size.channels, input.len()), (shape.channels_in, size.values()), "input");
        let Size { rows, columns, .. } = output_size(shape, size);
        let ConvShape { kernel, stride, padding, .. } = *shape;
        Self { input, size, kernel, stride, padding, rows, columns }
    }

    /// Output pixels of the batch.
    fn pixels(&self) -> usize {
        self.size.count * self.rows * self.columns
    }

    /// Values of a window.
    fn depth(&self) -> usize {
        self.kernel * self.kernel * self.size.channels
    }

    /// The picture's values and the unpadded top left of an output pixel's window.
    #[inline(always)]
    fn place(&self, pixel: usize) -> (&'a [f32], [usize; 2]) {
        let (line, column) = (pixel / self.columns, pixel % self.columns);
        let (picture, row) = (line / self.rows, line % self.rows);
        let values = self.size.picture();
        (&self.input[picture * values..][..values], [row * self.stride, column * self.stride])
    }

    /// Of one row of a window: where its inside begins in the picture, and the values before it and in it.
    #[inline(always)]
    fn inside(&self, [top, left]: [usize; 2], kernel_row: usize) -> Option<(usize, usize, usize)> {
        let Size { rows, columns, channels, .. } = self.size;
        let y = (top + kernel_row).checked_sub(self.padding).filter(|&y| y < rows)?;
        let first = left.max(self.padding) - self.padding;
        let last = (left + self.kernel).saturating_sub(self.padding).min(columns);
        let length = last.checked_sub(first).filter(|&length| length > 0)?;
        Some(((y * columns + first) * channels, (first + self.padding - left) * channels, length * channels))
    }

    /// Adds a window's gradient to that of its picture.
    fn add_back(&self, pixel: usize, window: &[f32], picture: &mut [f32]) {
        let origin = [pixel / self.columns * self.stride, pixel % self.columns * self.stride];
        for (kernel_row, from) in window.chunks_exact(self.kernel * self.size.channels).enumerate() {
            let Some((start, before, length)) = self.inside(origin, kernel_row) else { continue };
            let to = &mut picture[start..start + length];
            to.iter_mut().zip(&from[before..before + length]).for_each(|(to, from)| *to += from);
        }
    }

    /// Values `columns` of a pixel's window, a kernel row at a time: those lie side by side.
    #[inline(always)]
    fn part(&self, pixel: usize, columns: Range<usize>, to: &mut [f32]) {
        let run = self.kernel * self.size.channels;
        let (picture, origin) = self.place(pixel);
        for kernel_row in columns.start / run..columns.end.div_ceil(run) {
            let base = kernel_row * run;
            let (from, until) = (columns.start.max(base) - base, columns.end.min(base + run) - base);
            let to = &mut to[base + from - columns.start..][..until - from];
            let Some((start, before, length)) = self.inside(origin, kernel_row) else {
                to.fill(0.0);
                continue;
            };
            let first = before.clamp(from, until);
            let last = (before + length).clamp(first, until);
            to[..first - from].fill(0.0);
            if last > first {
                to[first - from..last - from].copy_from_slice(&picture[start + first - before..][..last - first]);
            }
            to[last - from..].fill(0.0);
        }
    }
}

/// Narrows values of `from` to as many in `to`.
#[inline(always)]
pub(super) fn narrow<L: Lanes>(from: &[f32], to: &mut [L::Value]) {
    let whole = from.len() / L::WIDTH * L::WIDTH;
    assert_eq!(from.len(), to.len(), "values to be narrowed");
    for at in (0..whole).step_by(L::WIDTH) {
        // SAFETY: inside both; called from jobs only.
        unsafe { L::store_values(to.as_mut_ptr().add(at), L::load(from.as_ptr().add(at))) }
    }
    from[whole..].iter().zip(&mut to[whole..]).for_each(|(&from, to)| *to = L::from_f32(from));
}

/// Inner neighbours `a` and `b` as right operands, filled up to whole vectors with zeros. Without `b` its place is zero.
#[inline(always)]
fn interleave<L: Lanes>(a: &[f32], b: Option<&[f32]>, to: &mut [L::Value]) {
    assert!(b.is_none_or(|b| b.len() == a.len()), "neighbours of one length");
    assert!(to.len() >= a.len().next_multiple_of(L::WIDTH) * L::PAIR, "room for whole vectors");
    let whole = a.len() / L::WIDTH * L::WIDTH;
    for at in (0..whole).step_by(L::WIDTH) {
        let b = b.map_or(NOTHING.as_ptr(), |b| b[at..].as_ptr());
        // SAFETY: inside all three; called from jobs only.
        unsafe { L::interleave(a.as_ptr().add(at), b, to.as_mut_ptr().add(at * L::PAIR)) }
    }
    if whole < a.len() {
        let mut rest = [[0.0f32; MAX_WIDTH]; 2];
        let [rest_a, rest_b] = &mut rest;
        rest_a[..a.len() - whole].copy_from_slice(&a[whole..]);
        if let Some(b) = b {
            rest_b[..b.len() - whole].copy_from_slice(&b[whole..]);
        }
        // SAFETY: the buffers have a vector each, `to` was checked.
        unsafe { L::interleave(rest_a.as_ptr(), rest_b.as_ptr(), to.as_mut_ptr().add(whole * L::PAIR)) }
    }
}

static NOTHING: [f32; MAX_WIDTH] = [0.0; MAX_WIDTH];

/// The windows of some output pixels, narrowed, one row each.
struct Gather<'a, V> {
    windows: &'a Windows<'a>,
    range: Range<usize>,
    rows: &'a mut [V],
    stride: usize,
}

impl<L: Lanes> Job<L> for Gather<'_, L::Value> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let (windows, depth) = (self.windows, self.windows.depth());
        let run = windows.kernel * windows.size.channels;
        for (pixel, row) in self.range.zip(self.rows.chunks_exact_mut(self.stride)) {
            let (picture, origin) = windows.place(pixel);
            for (kernel_row, to) in row[..depth].chunks_exact_mut(run).enumerate() {
                let Some((start, before, length)) = windows.inside(origin, kernel_row) else {
                    to.fill(L::Value::default());
                    continue;
                };
                to[..before].fill(L::Value::default());
                narrow::<L>(&picture[start..start + length], &mut to[before..before + length]);
                to[before + length..].fill(L::Value::default());
            }
            row[depth..inner_steps::<L>(depth) * L::PAIR].fill(L::Value::default());
        }
    }
}

/// The output's gradient for the left side of a product over pixels: tiles of channels, in each the pixels one after the
/// other, or pairs of them.
struct TurnOnSide<'a, V> {
    /// `(pixel, channel)`.
    rows: &'a [f32],
    channels: usize,
    line: &'a mut [V],
    to: &'a mut [V],
}

impl<L: Lanes> Job<L> for TurnOnSide<'_, L::Value> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        if L::BLOCK > 1 { self.by_channels::<L>() } else { self.by_steps::<L>() }
    }
}

impl<V: Value> TurnOnSide<'_, V> {
    /// For vector registers: in a tile one step of all channels after the other.
    #[inline(always)]
    fn by_steps<L: Lanes<Value = V>>(self) {
        let Self { rows, channels, line, to } = self;
        let step_values = L::TILE_ROWS * L::PAIR;
        let steps = inner_steps::<L>(rows.len() / channels);
        for (step, pair) in rows.chunks(channels * L::PAIR).enumerate() {
            let (a, b) = pair.split_at(channels);
            interleave::<L>(a, Some(b).filter(|b| !b.is_empty()), line);
            let tiles = line[..channels * L::PAIR].chunks(step_values);
            for (tile, from) in tiles.enumerate() {
                let to = &mut to[(tile * steps + step) * step_values..][..step_values];
                if from.len() == step_values {
                    to.copy_from_slice(from);
                } else {
                    to[..from.len()].copy_from_slice(from);
                    to[from.len()..].fill(L::Value::default());
                }
            }
        }
    }

    /// For tile registers: all steps of one channel after the other.
    #[inline(always)]
    fn by_channels<L: Lanes<Value = V>>(self) {
        let Self { rows, channels, line, to } = self;
        let steps = inner_steps::<L>(rows.len() / channels);
        let width = channels.next_multiple_of(L::WIDTH) * L::PAIR;
        for (block, pixels) in rows.chunks(channels * L::PAIR * L::BLOCK).enumerate() {
            let pairs = pixels.chunks(channels * L::PAIR);
            line[width * pairs.len()..].fill(L::Value::default());
            for (pair, to) in pairs.zip(line.chunks_exact_mut(width)) {
                let (a, b) = pair.split_at(channels);
                interleave::<L>(a, Some(b).filter(|b| !b.is_empty()), to);
            }
            let whole = channels / L::WIDTH * L::WIDTH;
            for channel in (0..whole).step_by(L::WIDTH) {
                let to = &mut to[(channel * steps + block * L::BLOCK) * L::PAIR..];
                assert!(to.len() >= ((L::WIDTH - 1) * steps + L::BLOCK) * L::PAIR, "room for the channels");
                let from = &line[channel * L::PAIR..];
                assert!(from.len() >= ((L::BLOCK - 1) * width) + L::WIDTH * L::PAIR, "a line of each pair of pixels");
                // SAFETY: as long as was just checked; called from jobs only.
                unsafe { L::transpose_pairs(from.as_ptr(), width, to.as_mut_ptr(), steps * L::PAIR) }
            }
            for channel in whole..channels {
                let to = &mut to[(channel * steps + block * L::BLOCK) * L::PAIR..][..L::BLOCK * L::PAIR];
                let from = line[channel * L::PAIR..].chunks(width);
                for (to, from) in to.chunks_exact_mut(L::PAIR).zip(from) {
                    to.copy_from_slice(&from[..L::PAIR]);
                }
            }
        }
    }
}

/// Some columns of the windows of some pixels as the right side of a product over pixels.
struct PackWindows<'a, V> {
    windows: &'a Windows<'a>,
    range: Range<usize>,
    columns: Range<usize>,
    to: &'a mut [V],
}

impl<L: Lanes> Job<L> for PackWindows<'_, L::Value> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { windows, range, columns, to } = self;
        let width = columns.len();
        let steps = inner_steps::<L>(range.len());
        let panel = panel_columns::<L>();
        let mut lines = [[0.0f32; MAX_TASK_COLUMNS]; 2];
        for step in 0..steps {
            for (index, line) in lines.iter_mut().enumerate().take(L::PAIR) {
                let pixel = range.start + step * L::PAIR + index;
                if pixel < range.end {
                    windows.part(pixel, columns.clone(), line);
                } else {
                    line.fill(0.0);
                }
            }
            let [a, b] = &lines;
            for first in (0..width).step_by(panel) {
                let count = (width - first).min(panel);
                let padded = count.next_multiple_of(L::WIDTH);
                let to = &mut to[(first * steps + step * padded) * L::PAIR..][..padded * L::PAIR];
                interleave::<L>(&a[first..first + count], Some(&b[first..first + count]), to);
            }
        }
    }
}

/// One panel of a right side whose columns lie one after the other.
struct PackColumns<'a, V> {
    values: &'a [f32],
    depth: usize,
    columns: usize,
    first: usize,
    to: &'a mut [V],
}

impl<L: Lanes> Job<L> for PackColumns<'_, L::Value> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { values, depth, columns, first, to } = self;
        let steps = inner_steps::<L>(depth);
        let width = to.len() / (steps * L::PAIR);
        let mut line = [L::Value::default(); 2 * PACKED_STEPS];
        for first_step in (0..steps).step_by(PACKED_STEPS) {
            let count = PACKED_STEPS.min(steps - first_step);
            let range = (first_step * L::PAIR).min(depth)..((first_step + count) * L::PAIR).min(depth);
            for column in 0..width {
                let line = &mut line[..count * L::PAIR];
                line.fill(L::Value::default());
                if first + column < columns {
                    let from = &values[(first + column) * depth..][range.clone()];
                    narrow::<L>(from, &mut line[..range.len()]);
                }
                for (step, value) in line.chunks_exact(L::PAIR).enumerate() {
                    let at = ((first_step + step) * width + column) * L::PAIR;
                    to[at..at + L::PAIR].copy_from_slice(value);
                }
            }
        }
    }
}

/// One panel of a right side whose inner rows `row` knows.
struct PackRows<'a, F, V> {
    row: &'a F,
    depth: usize,
    columns: usize,
    first: usize,
    to: &'a mut [V],
}

impl<'b, L: Lanes, F: Fn(usize) -> &'b [f32]> Job<L> for PackRows<'_, F, L::Value> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { row, depth, columns, first, to } = self;
        let steps = inner_steps::<L>(depth);
        let width = to.len() / (steps * L::PAIR);
        let own = first..(first + width).min(columns);
        for (step, to) in to.chunks_exact_mut(width * L::PAIR).enumerate() {
            let index = step * L::PAIR;
            if index >= depth {
                to.fill(L::Value::default());
                continue;
            }
            let a = &row(index)[own.clone()];
            let b = (L::PAIR == 2 && index + 1 < depth).then(|| &row(index + 1)[own.clone()]);
            interleave::<L>(a, b, to);
        }
    }
}

#[cfg(test)]
mod tests;
