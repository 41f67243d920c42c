//! One convolution with bias, shortcut and ReLU.

use std::ops::Range;

use rayon::prelude::*;

use super::super::resnet::ConvShape;
use super::Folded;
use super::lanes::Lanes;
use super::maps::{Extent, Workspace, clear_rim};
use super::product::{Lines, Packed, Product, SLICE_STEPS, inner_steps, panel_columns};
use super::scratch::with_scratch;
use super::tile::{End, Grid, Runs};
use super::winograd::Winograd;

/// Values of a task's gathered rows. They are read slice by slice of the inner dimension, and a slice of them stays in a core's
/// cache; with fewer rows the weights of the deepest layers would come from far away more often.
const GATHERED_VALUES: usize = 672 * 1024;
/// Runs below this many values are copied in steps of eight, which is quicker than calling for each.
const SHORT_RUN: usize = 64;
/// Rows of a task: all of the last maps of ResNet-50 at 384 x 384.
const TASK_ROWS: usize = 144;
/// Tasks for each thread where the picture is small.
const TASKS_PER_THREAD: usize = 2;

/// What follows the convolution and its bias.
#[derive(Clone, Copy)]
pub(super) struct After<'a, V> {
    pub(super) shortcut: Shortcut<'a, V>,
    pub(super) relu: bool,
    /// Zeros around the output; only where [`Conv::leaves_rim`].
    pub(super) rim: usize,
}

/// What is added.
#[derive(Clone, Copy)]
pub(super) enum Shortcut<'a, V> {
    None,
    /// As large as the output.
    Maps(&'a [V]),
    /// What the output holds before.
    Output,
}

pub(super) struct Conv<L: Lanes> {
    shape: ConvShape,
    kind: Kind<L>,
    bias: Vec<f32>,
}

enum Kind<L: Lanes> {
    Direct(Packed<L>),
    Winograd(Winograd<L>),
}

impl<L: Lanes> Conv<L> {
    /// `short_cuts`: whether Winograd's way may be taken where it is quicker.
    pub(super) fn new(shape: &ConvShape, folded: Folded<'_>, short_cuts: bool) -> Self {
        let ConvShape { channels_in, channels_out, kernel, .. } = *shape;
        let Folded { weight, scale, shift: mut bias } = folded;
        let kind = if short_cuts && Winograd::<L>::suits(shape) {
            Kind::Winograd(Winograd::new(shape, weight, &scale))
        } else {
            let area = kernel * kernel;
            Kind::Direct(Packed::new(1, area * channels_in, channels_out, |_, column, values| {
                let kernels = &weight[column * channels_in * area..][..channels_in * area];
                for (position, values) in values.chunks_exact_mut(channels_in).enumerate() {
                    let of_channels = kernels.iter().skip(position).step_by(area);
                    values.iter_mut().zip(of_channels).for_each(|(value, weight)| *value = weight * scale[column]);
                }
            }))
        };
        bias.resize(channels_out.next_multiple_of(L::WIDTH), 0.0);
        Self { shape: shape.clone(), kind, bias }
    }

    /// Without a rim.
    pub(super) fn output(&self, input: Extent) -> Extent {
        let ConvShape { kernel, stride, padding, channels_out, .. } = self.shape;
        let edge = |length: usize| (length + 2 * padding - kernel) / stride + 1;
        Extent::new(edge(input.rows), edge(input.columns), channels_out)
    }

    /// The rim with which an input can be read where it lies, or none where that is not so.
    pub(super) fn wanted_rim(&self, input: Extent) -> usize {
        let is_direct = matches!(self.kind, Kind::Direct(_));
        if is_direct && self.windows_lie_in_steps(input) { self.shape.padding } else { 0 }
    }

    /// Whether, in the order of [`super::super::resnet::conv_shapes`], `next` alone reads what this one puts out: the first two
    /// of a bottleneck's path.
    pub(super) fn goes_only_to(&self, next: &Self) -> bool {
        let is = |shape: &ConvShape, name: &str| shape.name.ends_with(name);
        self.shape.kernel == 1 && is(&self.shape, ".conv1.weight") && is(&next.shape, ".conv2.weight")
    }

    /// Whether it can write an output with a rim.
    pub(super) fn leaves_rim(&self, input: Extent) -> bool {
        let out = self.output(input);
        matches!(self.kind, Kind::Direct(_)) && out.columns.is_multiple_of(L::TILE_ROWS)
    }

    /// Whether the windows of each register tile's pixels lie equally far apart, and their values one by one.
    fn windows_lie_in_steps(&self, input: Extent) -> bool {
        L::PAIR == 1 && self.output(input).columns.is_multiple_of(L::TILE_ROWS)
    }

    /// Activations with [`Extent::stride`] from pixel to pixel.
    pub(super) fn run(
        &self,
        input: &[L::Value],
        extent: Extent,
        after: After<'_, L::Value>,
        output: &mut [L::Value],
        workspace: &Workspace<L>,
    ) {
        let out = self.output(extent).with_rim(after.rim);
        assert_eq!((extent.channels, input.len()), (self.shape.channels_in, extent.room::<L::Value>()), "input");
        assert_eq!(output.len(), out.room::<L::Value>(), "output");
        assert!(after.rim == 0 || self.leaves_rim(extent), "rim");
        clear_rim(out, output);
        let stride = out.stride::<L::Value>();
        let output = Grid { start: output.as_mut_ptr(), stride };
        let shortcut = match after.shortcut {
            Shortcut::None => None,
            Shortcut::Maps(maps) => {
                assert_eq!(maps.len(), out.room::<L::Value>(), "shortcut");
                Some(Grid { start: maps.as_ptr().cast_mut(), stride })
            }
            Shortcut::Output => Some(output),
        };
        let end = End { shortcut, relu: after.relu, output };
        match &self.kind {
            Kind::Direct(weights) => self.direct(weights, input, extent, out, end),
            Kind::Winograd(winograd) => winograd.run(input, extent, &self.bias, end, &workspace.singles),
        }
    }

    fn direct(&self, weights: &Packed<L>, input: &[L::Value], extent: Extent, out: Extent, end: End<L::Value>) {
        let pixels = out.pixels();
        let in_place = self.in_place(input, extent);
        let (task_rows, task_panels) = self.task(pixels, weights.panels(), in_place.is_some());
        let panel_tasks = weights.panels().div_ceil(task_panels);
        // One by one: cores of a shared machine, or of two kinds, are not equally fast, and none should wait for another's share.
        (0..pixels.div_ceil(task_rows) * panel_tasks).into_par_iter().with_max_len(1).for_each(|task| {
            let (first, panel) = (task / panel_tasks * task_rows, task % panel_tasks * task_panels);
            let count = task_rows.min(pixels - first);
            with_scratch::<L, _>(|scratch| {
                let Left { rows, taken, runs, far } = match in_place {
                    Some(left) => Left { taken: Lines { first, ..left.taken }, ..left },
                    None => self.gather(input, extent, out.columns, first..first + count, &mut scratch.rows),
                };
                let panels = panel..(panel + task_panels).min(weights.panels());
                // SAFETY: every task writes rows and columns of its own; lengths were checked in `run`, and a tile's rows are
                // of one line of the picture wherever lines do not follow each other.
                unsafe {
                    L::dispatch(Product {
                        rows,
                        taken,
                        runs,
                        count,
                        far,
                        weights,
                        product: 0,
                        panels,
                        bias: Some(&self.bias),
                        end: end.at(out.first_pixel(), 0),
                        written: Lines { first, length: out.columns, gap: 2 * out.rim },
                        sums: &mut scratch.sums,
                    });
                }
            });
        });
    }

    /// The input's pixels as the product's rows where they lie, from the first output on; none where they must be gathered.
    fn in_place(&self, input: &[L::Value], extent: Extent) -> Option<Left<L>> {
        let ConvShape { channels_in, kernel, stride, padding, .. } = self.shape;
        let pixel = extent.stride::<L::Value>();
        let start = input.as_ptr().cast_mut();
        if kernel == 1 && stride == 1 {
            let left = Left {
                rows: Grid { start, stride: pixel },
                taken: Lines::all(0),
                runs: Runs::one(inner_steps::<L>(channels_in)),
                far: true,
            };
            return channels_in.is_multiple_of(L::PAIR * L::BLOCK).then_some(left);
        }
        if extent.rim != padding || !self.windows_lie_in_steps(extent) {
            return None;
        }
        let (columns, length) = (extent.framed().columns, self.output(extent).columns);
        let down = columns * pixel;
        let runs = if pixel == channels_in && kernel * channels_in <= SLICE_STEPS {
            // The pixels of a window's row lie side by side.
            Runs { count: kernel, steps: kernel * channels_in, across: 1, right: 0, down }
        } else {
            Runs { count: kernel * kernel, steps: channels_in, across: kernel, right: pixel, down }
        };
        // Counted in steps of `stride` pixels, a line of the input is as long as `columns` even where `stride` is 2, since
        // the next output's line is `stride` lines further.
        let taken = Lines { first: 0, length, gap: columns - length };
        Some(Left { rows: Grid { start, stride: stride * pixel }, taken, runs, far: false })
    }

    /// Rows and panels of one task. How the work is cut changes no sum.
    fn task(&self, pixels: usize, panels: usize, in_place: bool) -> (usize, usize) {
        let depth = if in_place { 1 } else { self.shape.kernel * self.shape.kernel * self.shape.channels_in };
        let rows = (GATHERED_VALUES / depth).clamp(2 * L::TILE_ROWS, TASK_ROWS) / L::TILE_ROWS * L::TILE_ROWS;
        let tasks = pixels.div_ceil(rows);
        let parts = (TASKS_PER_THREAD * rayon::current_num_threads())
            .div_ceil(tasks)
            .min(panels.div_ceil((128 / panel_columns::<L>()).max(1)))
            .max(1);
        (rows, panels.div_ceil(parts))
    }

    /// The windows of the output pixels in `range`, one row each.
    fn gather(
        &self,
        input: &[L::Value],
        extent: Extent,
        columns_out: usize,
        range: Range<usize>,
        rows: &mut Vec<L::Value>,
    ) -> Left<L> {
        let ConvShape { channels_in, kernel, stride, padding, .. } = self.shape;
        // Zeros that are there need not be made.
        let (extent, padding) = (extent.framed(), padding - extent.rim);
        let depth = kernel * kernel * channels_in;
        // One line further per row, so that rows do not fall on the same lines of the cache.
        let row_stride = depth.next_multiple_of(64 / size_of::<L::Value>()) + 64 / size_of::<L::Value>();
        let length = range.len() * row_stride;
        if rows.len() < length {
            rows.resize(length, L::Value::default());
        }
        let pixel_stride = extent.stride::<L::Value>();
        let run = kernel * channels_in;
        for (pixel, row) in range.zip(rows.chunks_exact_mut(row_stride)) {
            let origin = (pixel / columns_out * stride, pixel % columns_out * stride);
            let inside = |at: usize, length: usize| at >= padding && at + kernel <= length + padding;
            if run < SHORT_RUN && inside(origin.0, extent.rows) && inside(origin.1, extent.columns) {
                let first = ((origin.0 - padding) * extent.columns + origin.1 - padding) * channels_in;
                for kernel_row in 0..kernel {
                    let from = &input[first + kernel_row * extent.columns * channels_in..];
                    copy_run(from, &mut row[kernel_row * run..], run);
                }
            } else {
                let window = Window { extent, pixel_stride, origin, kernel, padding };
                window.gather(input, &mut row[..depth]);
            }
            row[depth..].fill(L::Value::default());
        }
        Left {
            rows: Grid { start: rows.as_mut_ptr(), stride: row_stride },
            taken: Lines::all(0),
            runs: Runs::one(inner_steps::<L>(depth)),
            far: false,
        }
    }
}

/// The left side of a product.
#[derive(Clone, Copy)]
struct Left<L: Lanes> {
    rows: Grid<L::Value>,
    taken: Lines,
    runs: Runs,
    far: bool,
}

/// Copies `length` values, and where both sides have room some more.
fn copy_run<T: Copy>(from: &[T], to: &mut [T], length: usize) {
    let eights = length.div_ceil(8);
    if from.len() < 8 * eights || to.len() < 8 * eights {
        return to[..length].copy_from_slice(&from[..length]);
    }
    for (to, from) in to.chunks_exact_mut(8).zip(from.chunks_exact(8)).take(eights) {
        to.copy_from_slice(from);
    }
}

/// A window of one picture whose unpadded top left is `origin`.
struct Window {
    extent: Extent,
    pixel_stride: usize,
    origin: (usize, usize),
    kernel: usize,
    padding: usize,
}

impl Window {
    /// Copies it; what lies outside the picture becomes zero.
    fn gather<T: Copy + Default>(&self, input: &[T], row: &mut [T]) {
        let Self { extent, pixel_stride, origin, kernel, padding } = *self;
        let channels = extent.channels;
        let first = origin.1.max(padding) - padding;
        let last = (origin.1 + kernel).saturating_sub(padding).min(extent.columns);
        let before = (first + padding - origin.1) * channels;
        let length = last.saturating_sub(first) * channels;
        for (kernel_row, target) in row.chunks_exact_mut(kernel * channels).enumerate() {
            let y = (origin.0 + kernel_row).checked_sub(padding).filter(|&y| y < extent.rows);
            let Some(y) = y.filter(|_| length > 0) else {
                target.fill(T::default());
                continue;
            };
            let from = &input[(y * extent.columns + first) * pixel_stride..];
            target[..before].fill(T::default());
            if pixel_stride == channels {
                // The columns of a window lie side by side, so a whole kernel row is one copy.
                target[before..before + length].copy_from_slice(&from[..length]);
            } else {
                let pixels = target[before..before + length].chunks_exact_mut(channels);
                pixels.zip(from.chunks(pixel_stride)).for_each(|(to, from)| to.copy_from_slice(&from[..channels]));
            }
            target[before + length..].fill(T::default());
        }
    }
}
