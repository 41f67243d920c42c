//! One convolution with bias, shortcut and ReLU.

use std::ops::Range;

use rayon::prelude::*;

use super::super::resnet::ConvShape;
use super::Folded;
use super::lanes::Lanes;
use super::maps::{Extent, Workspace};
use super::product::{End, Grid, Packed, Product, panel_columns};
use super::scratch::with_scratch;
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
            Kind::Direct(Packed::new(area * channels_in, channels_out, |column, values| {
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

    pub(super) fn output(&self, input: Extent) -> Extent {
        let edge = |length: usize| (length + 2 * self.shape.padding - self.shape.kernel) / self.shape.stride + 1;
        Extent { rows: edge(input.rows), columns: edge(input.columns), channels: self.shape.channels_out }
    }

    /// One picture.
    pub(super) fn run(
        &self,
        input: &[L::Value],
        extent: Extent,
        after: After<'_, L::Value>,
        output: &mut [L::Value],
        workspace: &Workspace<L>,
    ) {
        let out = self.output(extent);
        assert_eq!((extent.channels, input.len()), (self.shape.channels_in, extent.values()), "input");
        assert_eq!(output.len(), out.values(), "output");
        let output = Grid { start: output.as_mut_ptr(), stride: out.channels };
        let shortcut = match after.shortcut {
            Shortcut::None => None,
            Shortcut::Maps(maps) => {
                assert_eq!(maps.len(), out.values(), "shortcut");
                Some(Grid { start: maps.as_ptr().cast_mut(), stride: out.channels })
            }
            Shortcut::Output => Some(output),
        };
        let end = End { shortcut, relu: after.relu, output };
        match &self.kind {
            Kind::Direct(weights) => self.direct(weights, input, extent, end),
            Kind::Winograd(winograd) => winograd.run(input, extent, &self.bias, end, &workspace.singles),
        }
    }

    fn direct(&self, weights: &Packed<L>, input: &[L::Value], extent: Extent, end: End<L::Value>) {
        let out = self.output(extent);
        let pixels = out.pixels();
        let (task_rows, task_panels) = self.task(pixels, weights.panels());
        let panel_tasks = weights.panels().div_ceil(task_panels);
        // One by one: cores of a shared machine, or of two kinds, are not equally fast, and none should wait for another's share.
        (0..pixels.div_ceil(task_rows) * panel_tasks).into_par_iter().with_max_len(1).for_each(|task| {
            let (first, panel) = (task / panel_tasks * task_rows, task % panel_tasks * task_panels);
            let count = task_rows.min(pixels - first);
            with_scratch::<L, _>(|scratch| {
                let rows = if self.reads_in_place() {
                    // SAFETY: the row is one of the input's.
                    unsafe { Grid { start: input.as_ptr().cast_mut(), stride: extent.channels }.at(first, 0) }
                } else {
                    self.gather(input, extent, out.columns, first..first + count, &mut scratch.rows)
                };
                let panels = panel..(panel + task_panels).min(weights.panels());
                // SAFETY: every task writes rows and columns of its own; lengths were checked in `run`.
                unsafe {
                    L::dispatch(Product {
                        rows,
                        count,
                        weights,
                        panels,
                        bias: Some(&self.bias),
                        end: end.at(first, 0),
                        sums: &mut scratch.sums,
                    });
                }
            });
        });
    }

    /// Whether the input's pixels can be the product's rows as they lie: 1 x 1, whole pairs, and not so far apart that
    /// the rows of a tile fall on the same lines of the cache.
    fn reads_in_place(&self) -> bool {
        let ConvShape { channels_in, kernel, stride, .. } = self.shape;
        let bytes = channels_in * size_of::<L::Value>();
        kernel == 1 && stride == 1 && channels_in.is_multiple_of(L::PAIR * L::BLOCK) && !bytes.is_multiple_of(2048)
    }

    /// Rows and panels of one task. How the work is cut changes no sum.
    fn task(&self, pixels: usize, panels: usize) -> (usize, usize) {
        let depth = self.shape.kernel * self.shape.kernel * self.shape.channels_in;
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
    ) -> Grid<L::Value> {
        let ConvShape { channels_in, kernel, stride, padding, .. } = self.shape;
        let depth = kernel * kernel * channels_in;
        // One line further per row, so that rows do not fall on the same lines of the cache.
        let row_stride = depth.next_multiple_of(64 / size_of::<L::Value>()) + 64 / size_of::<L::Value>();
        let length = range.len() * row_stride;
        if rows.len() < length {
            rows.resize(length, L::Value::default());
        }
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
                gather_window(input, extent, origin, kernel, padding, &mut row[..depth]);
            }
            row[depth..].fill(L::Value::default());
        }
        Grid { start: rows.as_mut_ptr(), stride: row_stride }
    }
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

/// Copies the window whose unpadded top left is `origin`; what lies outside the picture becomes zero.
fn gather_window<T: Copy + Default>(
    input: &[T],
    extent: Extent,
    origin: (usize, usize),
    kernel: usize,
    padding: usize,
    row: &mut [T],
) {
    // The columns of a window lie side by side, so a whole kernel row is one copy.
    let first = origin.1.max(padding) - padding;
    let last = (origin.1 + kernel).saturating_sub(padding).min(extent.columns);
    let before = (first + padding - origin.1) * extent.channels;
    let length = last.saturating_sub(first) * extent.channels;
    for (kernel_row, target) in row.chunks_exact_mut(kernel * extent.channels).enumerate() {
        let y = (origin.0 + kernel_row).checked_sub(padding).filter(|&y| y < extent.rows);
        let Some(y) = y.filter(|_| length > 0) else {
            target.fill(T::default());
            continue;
        };
        let start = (y * extent.columns + first) * extent.channels;
        target[..before].fill(T::default());
        target[before..before + length].copy_from_slice(&input[start..start + length]);
        target[before + length..].fill(T::default());
    }
}
