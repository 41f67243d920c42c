//! One convolution with bias, shortcut and ReLU.

use std::ops::Range;

use rayon::prelude::*;

use super::super::resnet::ConvShape;
use super::Folded;
use super::blocks::{together, together_of};
use super::lanes::{Lanes, Value};
use super::maps::{Extent, Workspace, clear_rim};
use super::product::{Lines, Packed, Product, SLICE_STEPS, Side, inner_steps, panel_columns};
use super::scratch::with_scratch;
use super::strassen::Strassen;
use super::tile::{End, Grid, Runs};
use super::winograd::Winograd;

/// Values of a task's gathered rows. They are read slice by slice of the inner dimension, and a slice of them stays in a core's
/// cache; with fewer rows the weights of the deepest layers would come from far away more often.
const GATHERED_VALUES: usize = 672 * 1024;
/// Runs below this many values are copied in steps of eight, which is quicker than calling for each.
const SHORT_RUN: usize = 64;
/// Rows of a task: all of the last maps of ResNet-50 at 384 x 384; by tile registers, which are done sooner, twice as many.
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
    Strassen(Strassen<L>),
    /// With the weights of the convolution whose output is added, behind its own in the inner dimension.
    Joined(Packed<L>),
    /// Whose weights another one has.
    Part,
}

impl<L: Lanes> Conv<L> {
    /// `short_cuts`: whether Winograd's way may be taken where it is quicker.
    pub(super) fn new(shape: &ConvShape, folded: Folded<'_>, short_cuts: bool) -> Self {
        let ConvShape { channels_in, channels_out, kernel, .. } = *shape;
        let Folded { weight, scale, shift: mut bias } = folded;
        let kind = if short_cuts && Winograd::<L>::suits(shape) {
            Kind::Winograd(Winograd::new(shape, weight, &scale))
        } else if short_cuts && Strassen::<L>::suits(shape) {
            Kind::Strassen(Strassen::new(shape, weight, &scale))
        } else {
            let area = kernel * kernel;
            let [pixel, row] = in_depth::<L>(shape);
            Kind::Direct(Packed::new(1, kernel * row, channels_out, |_, column, values| {
                let kernels = &weight[column * channels_in * area..][..channels_in * area];
                for position in 0..area {
                    let values = &mut values[position / kernel * row + position % kernel * pixel..][..channels_in];
                    let of_channels = kernels.iter().skip(position).step_by(area);
                    values.iter_mut().zip(of_channels).for_each(|(value, weight)| *value = weight * scale[column]);
                }
            }))
        };
        bias.resize(channels_out.next_multiple_of(L::WIDTH), 0.0);
        Self { shape: shape.clone(), kind, bias }
    }

    /// Whether two convolutions whose outputs are added can be one product: those at the end of a bottleneck, by tile registers,
    /// which write their sums to memory anyhow and so need not fetch those of the shortcut.
    pub(super) fn can_join(shape: &ConvShape, shortcut: &ConvShape) -> bool {
        let is_whole = |shape: &ConvShape| shape.kernel == 1 && shape.channels_in.is_multiple_of(L::PAIR * L::BLOCK);
        let is = |shape: &ConvShape, name: &str| shape.name.ends_with(name);
        L::BLOCK > 1
            && (is(shape, ".conv3.weight") && is(shortcut, ".downsample.0.weight"))
            && (is_whole(shape) && is_whole(shortcut) && shape.stride == 1)
    }

    /// Both of [`Conv::can_join`]: to be run by [`Conv::run_joined`].
    pub(super) fn joined([shape, shortcut]: [&ConvShape; 2], [own, other]: [Folded<'_>; 2]) -> [Self; 2] {
        let (depth, more) = (shape.channels_in, shortcut.channels_in);
        let channels = shape.channels_out;
        let packed = Packed::new(1, depth + more, channels, |_, column, values| {
            let (own_values, other_values) = values.split_at_mut(depth);
            for (values, of) in [(own_values, &own), (other_values, &other)] {
                let weights = &of.weight[column * values.len()..][..values.len()];
                values.iter_mut().zip(weights).for_each(|(value, weight)| *value = weight * of.scale[column]);
            }
        });
        let mut bias: Vec<f32> = own.shift.iter().zip(&other.shift).map(|(a, b)| a + b).collect();
        bias.resize(channels.next_multiple_of(L::WIDTH), 0.0);
        let part = Self { shape: shortcut.clone(), kind: Kind::Part, bias: Vec::new() };
        [Self { shape: shape.clone(), kind: Kind::Joined(packed), bias }, part]
    }

    /// The shortcut that is part of this one.
    pub(super) fn is_joined(&self) -> bool {
        matches!(self.kind, Kind::Joined(_))
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
        matches!(self.kind, Kind::Direct(_)) && together_of::<L>(out.columns).is_some()
    }

    /// Whether the windows of pixels in a register tile lie equally far apart, and their values so that a product can take them
    /// as they are, given the rim.
    fn windows_lie_in_steps(&self, input: Extent) -> bool {
        let out = self.output(input);
        let ConvShape { stride, padding, .. } = self.shape;
        // What a row of a window is filled up with is read from the pixels behind it, with weights of zero.
        let last = (out.columns - 1) * stride * input.stride::<L::Value>() + in_depth::<L>(&self.shape)[1];
        let line = input.with_rim(padding).framed().columns * input.stride::<L::Value>();
        together_of::<L>(out.columns).is_some() && last <= line && self.runs(input).is_some()
    }

    /// How the inner dimension lies in a picture with the rim that it needs; none where it does not lie in whole blocks.
    fn runs(&self, input: Extent) -> Option<Runs> {
        let ConvShape { channels_in, kernel, padding, .. } = self.shape;
        let stride = input.stride::<L::Value>();
        let [pixel, row] = in_depth::<L>(&self.shape);
        let down = input.with_rim(padding).framed().columns * stride;
        let whole = L::PAIR * L::BLOCK;
        if pixel == stride && row / L::PAIR <= SLICE_STEPS {
            // The pixels of a window's row lie side by side.
            let runs = Runs { count: kernel, steps: row / L::PAIR, across: 1, right: 0, down };
            return row.is_multiple_of(whole).then_some(runs);
        }
        let runs = Runs { count: kernel * kernel, steps: channels_in / L::PAIR, across: kernel, right: stride, down };
        channels_in.is_multiple_of(whole).then_some(runs)
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
        if !out.channels.is_multiple_of(L::Value::GROUP) {
            let pixels = output.chunks_exact_mut(out.stride::<L::Value>());
            pixels.for_each(|pixel| pixel[out.channels..].fill(L::Value::default()));
        }
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
            Kind::Direct(weights) => self.direct(weights, (input, extent), None, out, end),
            Kind::Winograd(winograd) => winograd.run((input, extent), &self.bias, (end, out), &workspace.singles),
            Kind::Strassen(strassen) => strassen.run(input, extent, &self.bias, end),
            Kind::Joined(_) | Kind::Part => unreachable!("run by run_joined"),
        }
    }

    /// One that is joined: of `input`, plus its other `part` of what comes with it, then ReLU.
    pub(super) fn run_joined(
        &self,
        (input, extent): (&[L::Value], Extent),
        (part, more, of_more): (&Self, &[L::Value], Extent),
        output: &mut [L::Value],
    ) {
        let Kind::Joined(weights) = &self.kind else { unreachable!("not joined") };
        let out = self.output(extent);
        assert_eq!((extent.channels, input.len()), (self.shape.channels_in, extent.room::<L::Value>()), "input");
        assert_eq!((of_more.channels, more.len()), (part.shape.channels_in, of_more.room::<L::Value>()), "shortcut");
        assert_eq!((part.output(of_more), output.len()), (out, out.room::<L::Value>()), "output");
        let output = Grid { start: output.as_mut_ptr(), stride: out.stride::<L::Value>() };
        let end = End { shortcut: None, relu: true, output };
        self.direct(weights, (input, extent), Some((part, more, of_more)), out, end);
    }

    fn direct(
        &self,
        weights: &Packed<L>,
        (input, extent): (&[L::Value], Extent),
        more: Option<(&Self, &[L::Value], Extent)>,
        out: Extent,
        end: End<L::Value>,
    ) {
        let pixels = out.pixels();
        let in_place = self.in_place(input, extent);
        let more_in_place = more.and_then(|(part, input, extent)| part.in_place(input, extent));
        let is_apart = |left: Option<Left<L>>| left.is_some_and(|left| left.taken.gap > 0);
        let is_in_lines = out.rim > 0 || is_apart(in_place) || is_apart(more_in_place);
        let of_line = together_of::<L>(out.columns).filter(|_| is_in_lines);
        let together = of_line.unwrap_or(together::<L>());
        let (task_rows, task_panels) = self.task(pixels, weights.panels(), together, in_place.is_some());
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
                let more = more.map(|(part, input, extent)| match more_in_place {
                    Some(left) => left.side(first),
                    None => part.gather(input, extent, out.columns, first..first + count, &mut scratch.left).side(0),
                });
                let panels = panel..(panel + task_panels).min(weights.panels());
                // SAFETY: every task writes rows and columns of its own; lengths were checked in `run`, and a tile's rows are
                // of one line of the picture wherever lines do not follow each other.
                unsafe {
                    L::dispatch(Product {
                        rows,
                        taken,
                        together,
                        runs,
                        more,
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
        // Counted in steps of `stride` pixels, a line of the input is as long as `columns` even where `stride` is 2, since
        // the next output's line is `stride` lines further.
        let taken = Lines { first: 0, length, gap: columns - length };
        let rows = Grid { start, stride: stride * pixel };
        self.runs(extent).map(|runs| Left { rows, taken, runs, far: false })
    }

    /// Rows and panels of one task. How the work is cut changes no sum.
    fn task(&self, pixels: usize, panels: usize, together: usize, in_place: bool) -> (usize, usize) {
        let depth = if in_place { 1 } else { self.shape.kernel * in_depth::<L>(&self.shape)[1] };
        let tile_rows = if L::BLOCK > 1 { 2 * together } else { L::TILE_ROWS };
        let most = if L::BLOCK > 1 { 2 * TASK_ROWS } else { TASK_ROWS };
        let rows = (GATHERED_VALUES / depth).clamp(2 * tile_rows, most) / tile_rows * tile_rows;
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
        let [pixel_values, row_values] = in_depth::<L>(&self.shape);
        let depth = kernel * row_values;
        // One line further per row, so that rows do not fall on the same lines of the cache.
        let row_stride = depth.next_multiple_of(64 / size_of::<L::Value>()) + 64 / size_of::<L::Value>();
        let length = range.len() * row_stride;
        if rows.len() < length {
            rows.resize(length, L::Value::default());
        }
        let pixel_stride = extent.stride::<L::Value>();
        let run = kernel * pixel_values;
        let is_short = run < SHORT_RUN && pixel_values == pixel_stride;
        for (pixel, row) in range.zip(rows.chunks_exact_mut(row_stride)) {
            let origin = (pixel / columns_out * stride, pixel % columns_out * stride);
            let inside = |at: usize, length: usize| at >= padding && at + kernel <= length + padding;
            if is_short && inside(origin.0, extent.rows) && inside(origin.1, extent.columns) {
                let first = ((origin.0 - padding) * extent.columns + origin.1 - padding) * pixel_values;
                for kernel_row in 0..kernel {
                    let from = &input[first + kernel_row * extent.columns * pixel_values..];
                    let to = &mut row[kernel_row * row_values..];
                    copy_run(from, to, run);
                    to[run..row_values].fill(L::Value::default());
                }
            } else {
                let channels = channels_in;
                let window =
                    Window { extent, pixel_stride, origin, kernel, padding, channels, pixel_values, row_values };
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

impl<L: Lanes> Left<L> {
    /// From a row on.
    fn side(self, first: usize) -> Side<L::Value> {
        Side { rows: self.rows, taken: Lines { first, ..self.taken }, runs: self.runs }
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

/// Values of a pixel and of a window's row of pixels in the inner dimension of a product: filled up so that rows can be read
/// where they lie.
fn in_depth<L: Lanes>(shape: &ConvShape) -> [usize; 2] {
    let ConvShape { channels_in, kernel, .. } = *shape;
    if kernel == 1 {
        return [channels_in; 2];
    }
    let pixel = channels_in.next_multiple_of(L::Value::GROUP);
    [pixel, (kernel * pixel).next_multiple_of(L::PAIR * L::BLOCK)]
}

/// A window of one picture whose unpadded top left is `origin`.
struct Window {
    extent: Extent,
    pixel_stride: usize,
    origin: (usize, usize),
    kernel: usize,
    padding: usize,
    channels: usize,
    /// As [`in_depth`] has them.
    pixel_values: usize,
    row_values: usize,
}

impl Window {
    /// Copies it; what lies outside the picture becomes zero.
    fn gather<T: Copy + Default>(&self, input: &[T], row: &mut [T]) {
        let Self { extent, pixel_stride, origin, kernel, padding, channels, pixel_values, row_values } = *self;
        let first = origin.1.max(padding) - padding;
        let last = (origin.1 + kernel).saturating_sub(padding).min(extent.columns);
        let before = (first + padding - origin.1) * pixel_values;
        let length = last.saturating_sub(first) * pixel_values;
        for (kernel_row, target) in row.chunks_exact_mut(row_values).enumerate() {
            let y = (origin.0 + kernel_row).checked_sub(padding).filter(|&y| y < extent.rows);
            let Some(y) = y.filter(|_| length > 0) else {
                target.fill(T::default());
                continue;
            };
            let from = &input[(y * extent.columns + first) * pixel_stride..];
            target[..before].fill(T::default());
            if pixel_stride == pixel_values {
                // The columns of a window lie side by side, so a whole kernel row is one copy.
                target[before..before + length].copy_from_slice(&from[..length]);
            } else {
                let pixels = target[before..before + length].chunks_exact_mut(pixel_values);
                pixels.zip(from.chunks(pixel_stride)).for_each(|(to, from)| {
                    to[..channels].copy_from_slice(&from[..channels]);
                    to[channels..].fill(T::default());
                });
            }
            target[before + length..].fill(T::default());
        }
    }
}
