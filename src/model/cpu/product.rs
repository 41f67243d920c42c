//! The matrix product under every convolution: rows of values by packed weights, with bias, shortcut and ReLU while the
//! sums are still in registers.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::blocks::{Blocks, Halves, Ready, in_halves, together};
use super::buffer::Buffer;
use super::lanes::{Job, Lanes, Value};
use super::tile::{Ahead, End, Grid, MAX_PANEL, MAX_ROWS, Runs, Slice, Tile, ZEROS, finish, prefetch};

/// Inner steps whose weights (of one panel) and rows (of one tile) stay in the nearest caches.
pub(super) const SLICE_STEPS: usize = 512;

/// How much a weight's own error counts beside that of the sum: with 10, one of eight is not rounded to the nearest.
const OWN_ERROR: f32 = 10.0;

/// The right sides of one or more products of one size, each `depth` by `columns`, cut into panels as wide as a register
/// tile; in a panel the columns of one inner step (one value, or a pair) lie side by side, or in a block those of one vector, step
/// by step, before those of the next. Short panels and the last step are filled up with zeros.
pub(super) struct Packed<L: Lanes> {
    values: Buffer<L::Value>,
    depth: usize,
    columns: usize,
}

impl<L: Lanes> Packed<L> {
    /// `fill` writes the `depth` values of a product's column.
    pub(super) fn new(
        products: usize,
        depth: usize,
        columns: usize,
        fill: impl Fn(usize, usize, &mut [f32]) + Sync,
    ) -> Self {
        let mut all = Self { values: Buffer::default(), depth, columns };
        all.values = Buffer::new(products * all.length());
        let steps = all.steps();
        all.values.par_chunks_mut(steps * columns.next_multiple_of(L::WIDTH) * L::PAIR).enumerate().for_each(
            |(product, values)| {
                let mut column_values = vec![0.0; depth];
                let firsts = (0..columns).step_by(panel_columns::<L>());
                for (first, panel) in firsts.zip(values.chunks_mut(steps * panel_columns::<L>() * L::PAIR)) {
                    let count = (columns - first).min(panel_columns::<L>());
                    let tile_values = L::BLOCK * L::WIDTH * L::PAIR;
                    let block_values = count.div_ceil(L::WIDTH) * tile_values;
                    for column in 0..count {
                        fill(product, first + column, &mut column_values);
                        round_weights::<L>(&mut column_values);
                        let blocks = panel.chunks_exact_mut(block_values);
                        for (block, values) in blocks.zip(column_values.chunks(L::BLOCK * L::PAIR)) {
                            let tile = &mut block[column / L::WIDTH * tile_values..][..tile_values];
                            let steps = tile.chunks_exact_mut(L::WIDTH * L::PAIR);
                            for (step, values) in steps.zip(values.chunks(L::PAIR)) {
                                let places = step[column % L::WIDTH * L::PAIR..].iter_mut().zip(values);
                                places.for_each(|(place, value)| *place = L::from_f32(*value));
                            }
                        }
                    }
                }
            },
        );
        all
    }

    pub(super) fn products(&self) -> usize {
        self.values.len() / self.length()
    }

    pub(super) fn panels(&self) -> usize {
        self.columns.div_ceil(panel_columns::<L>())
    }

    pub(super) fn steps(&self) -> usize {
        inner_steps::<L>(self.depth)
    }

    /// Values of one product.
    fn length(&self) -> usize {
        self.steps() * self.columns.next_multiple_of(L::WIDTH) * L::PAIR
    }

    /// The weights from this panel and inner step on: the panel's own, the next panels, the next products. None behind the last.
    pub(super) fn weights_from(&self, product: usize, panel: usize, step: usize) -> &[L::Value] {
        if panel >= self.panels() {
            return self.values.get((product + 1) * self.length()..).unwrap_or_default();
        }
        let (first, columns) = self.panel(panel);
        let width = columns.next_multiple_of(L::WIDTH);
        &self.values[product * self.length() + (first * self.steps() + step * width) * L::PAIR..]
    }

    /// The panel's first column and its number of columns.
    pub(super) fn panel(&self, panel: usize) -> (usize, usize) {
        let first = panel * panel_columns::<L>();
        (first, (self.columns - first).min(panel_columns::<L>()))
    }
}

/// Rounds the weights of one sum to what the lanes keep, near the middle between two such values to the side on which the errors
/// so far cancel.
///
/// What is multiplied has been through a ReLU, but for the picture itself, so it is positive and much alike from channel to channel and pixel to pixel: errors of
/// weights that do not cancel move every sum to the same side, and the average over the last maps takes nothing off that. This
/// halves how far weights in bfloat16 move a slice's logit.
pub(super) fn round_weights<L: Lanes>(weights: &mut [f32]) {
    if size_of::<L::Value>() == size_of::<f32>() {
        return; // They are kept as they are, and there are many.
    }
    let mut sum = 0.0;
    for weight in weights {
        let nearest = L::from_f32(*weight);
        let choices = [nearest, nearest.beyond(*weight)].map(L::to_f32);
        let costs = choices.map(|choice| {
            let error = choice - *weight;
            (sum + error).powi(2) + OWN_ERROR * error.powi(2)
        });
        // What is no number stays as it is.
        let choice = if costs[1] < costs[0] { choices[1] } else { choices[0] };
        sum += if choice.is_finite() { choice - *weight } else { 0.0 };
        *weight = choice;
    }
}

/// Inner steps of a product, filled up to whole blocks.
pub(super) fn inner_steps<L: Lanes>(depth: usize) -> usize {
    depth.div_ceil(L::PAIR).next_multiple_of(L::BLOCK)
}

/// Columns of a full panel.
pub(super) fn panel_columns<L: Lanes>() -> usize {
    L::WIDTH * L::TILE_VECTORS
}

/// Which rows of a grid are taken, from `first` on: `length` side by side, `gap` left out, and so on.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub(super) first: usize,
    pub(super) length: usize,
    pub(super) gap: usize,
}

impl Lines {
    /// All from `first` on.
    pub(super) const fn all(first: usize) -> Self {
        Self { first, length: usize::MAX, gap: 0 }
    }

    #[inline(always)]
    pub(super) fn row(self, row: usize) -> usize {
        let row = self.first + row;
        row + row / self.length * self.gap
    }
}

/// Rows and how the inner dimension lies in them.
#[derive(Clone, Copy)]
pub(super) struct Side<V> {
    pub(super) rows: Grid<V>,
    pub(super) taken: Lines,
    pub(super) runs: Runs,
}

/// `output = rows * weights + bias + shortcut`, then ReLU, for `count` rows and some panels.
///
/// The sums begin with the bias and run up the inner dimension, so they do not depend on how the work is cut.
pub(super) struct Product<'a, L: Lanes> {
    /// Rows of at least the weights' depth, filled up to whole pairs with anything finite.
    pub(super) rows: Grid<L::Value>,
    /// Which of them; so many as `together` says lie side by side, here and where they are written.
    pub(super) taken: Lines,
    pub(super) together: usize,
    pub(super) runs: Runs,
    /// What follows in the inner dimension, from elsewhere; only tile registers take it.
    pub(super) more: Option<Side<L::Value>>,
    pub(super) count: usize,
    /// Whether the rows were not read just before, so that they come from far away.
    pub(super) far: bool,
    pub(super) weights: &'a Packed<L>,
    /// Which of the weights' products, and its panels.
    pub(super) product: usize,
    pub(super) panels: std::ops::Range<usize>,
    /// One per column, filled up to whole vectors; or none.
    pub(super) bias: Option<&'a [f32]>,
    /// Rows of the weights' columns, and which of them are written, as `taken` says it of the rows that are read.
    pub(super) end: End<L::Value>,
    pub(super) written: Lines,
    /// Sums between slices of the inner dimension.
    pub(super) sums: &'a mut Vec<f32>,
}

impl<L: Lanes> Job<L> for Product<'_, L> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        if L::BLOCK > 1 {
            // SAFETY: passed on.
            return unsafe { self.run_in_blocks() };
        }
        let (all, panels) = (self.weights.steps(), self.panels.len());
        let room = self.count * panels * panel_columns::<L>();
        let mut first_step = 0;
        while first_step < all {
            let slice = self.slice(first_step);
            if !slice.is_last && self.sums.len() < room {
                self.sums.resize(room, 0.0);
            }
            let sums = Grid { start: self.sums.as_mut_ptr(), stride: panels * panel_columns::<L>() };
            let tiles = self.count.div_ceil(L::TILE_ROWS);
            for index in 0..tiles * panels {
                let (tile, panel) =
                    if slice.by_rows { (index / panels, index % panels) } else { (index % tiles, index / tiles) };
                // SAFETY: passed on; `sums` was made large enough where there is more than one slice, and is not touched
                // where there is one.
                unsafe { self.tile(slice, tile, panel, sums) };
            }
            first_step += slice.steps();
        }
    }
}

impl<L: Lanes> Product<'_, L> {
    /// The part that begins with this step.
    fn slice(&self, first_step: usize) -> Slice {
        let (all, Runs { count, steps, .. }) = (self.weights.steps(), self.runs);
        let (first_run, runs, steps) = match count {
            1 => (0, 1, SLICE_STEPS.min(all - first_step)),
            _ => (first_step / steps, (SLICE_STEPS / steps).clamp(1, count - first_step / steps), steps),
        };
        let step_bytes = self.panels.len() * panel_columns::<L>() * L::PAIR * size_of::<L::Value>();
        let is_last = first_step + runs * steps == all;
        Slice { first_step, first_run, runs, steps, is_last, by_rows: runs * steps * step_bytes <= WEIGHTS_IN_CACHE }
    }

    /// The sums of one register tile over one slice.
    ///
    /// # Safety
    /// The instruction set of `L` is there; rows, panel and output are as large as the fields say, `sums` as large as what is
    /// kept between slices.
    #[inline(always)]
    unsafe fn tile(&self, slice: Slice, tile: usize, panel: usize, sums: Grid<f32>) {
        let row = tile * L::TILE_ROWS;
        let tile_rows = (self.count - row).min(L::TILE_ROWS);
        let (column, columns) = self.weights.panel(self.panels.start + panel);
        let vectors = columns.div_ceil(L::WIDTH);
        let in_registers = columns == vectors * L::WIDTH;
        // The runs of a window begin where they are; a single one begins where the slice does.
        let first_value = if self.runs.count == 1 { slice.first_step * L::PAIR } else { 0 };
        // SAFETY: passed on.
        unsafe {
            let end = self.end.at(self.written.row(row), column);
            let partial = Grid {
                start: sums.start.wrapping_add(row * sums.stride + panel * panel_columns::<L>()),
                stride: sums.stride,
            };
            let mut done = [MaybeUninit::<f32>::uninit(); MAX_ROWS * MAX_PANEL];
            let done = Grid { start: done.as_mut_ptr().cast::<f32>(), stride: MAX_PANEL };
            let needed = if slice.is_last { end.needed() } else { [partial.bytes(); 2] };
            let sums = Tile::<L> {
                rows: self.rows.at(self.taken.row(row), first_value),
                step: L::PAIR,
                runs: self.runs,
                slice,
                weights: self.weights.weights_from(self.product, self.panels.start + panel, slice.first_step).as_ptr(),
                ahead: self.ahead(slice, tile, panel),
                needed,
                from: match self.bias {
                    _ if slice.first_step > 0 => partial,
                    Some(bias) => Grid { start: bias[column..].as_ptr().cast_mut(), stride: 0 },
                    None => Grid { start: ZEROS.as_ptr().cast_mut(), stride: 0 },
                },
                to: if slice.is_last { done } else { partial },
                end: (slice.is_last && in_registers).then_some(end),
            };
            sums.run_rows(tile_rows, vectors);
            if slice.is_last && !in_registers {
                finish::<L>(done, tile_rows, columns, end);
            }
        }
    }

    /// What is needed after this tile: the next one's rows, or the weights that follow.
    #[inline(always)]
    fn ahead(&self, slice: Slice, tile: usize, panel: usize) -> Ahead {
        let (tiles, panels) = (self.count.div_ceil(L::TILE_ROWS), self.panels.len());
        let next_row = (tile + 1) * L::TILE_ROWS;
        let are_rows_far = self.far && slice.steps == self.weights.steps() && next_row < self.count;
        if are_rows_far && (slice.by_rows || panel == 0) {
            let start = self.rows.start.wrapping_add(self.taken.row(next_row) * self.rows.stride);
            let values = L::TILE_ROWS.min(self.count - next_row) * self.rows.stride;
            let (part, parts) = if slice.by_rows { (panel, panels) } else { (0, 1) };
            return Ahead::share(start, values, slice.asks(), part, parts);
        }
        let (next, step) = match panel + 1 < panels {
            _ if slice.by_rows => (panels, 0),
            true => (panel + 1, slice.first_step),
            false if slice.is_last => (panels, 0),
            false => (0, slice.first_step + slice.steps()),
        };
        let next = self.weights.weights_from(self.product, self.panels.start + next, step);
        let panel_values = slice.steps() * panel_columns::<L>() * L::PAIR;
        let (values, part, parts) = if slice.by_rows {
            (panel_values * panels, tile * panels + panel, tiles * panels)
        } else {
            (panel_values, tile, tiles)
        };
        Ahead::share(next.as_ptr(), values.min(next.len()), slice.asks(), part, parts)
    }
}

/// Bytes of weights beside which a tile's rows still fit a core's own cache.
const WEIGHTS_IN_CACHE: usize = 192 << 10;

/// `output = left * right`, or added to what is there, with the sums in memory as f32: for layers that learn.
///
/// `right` lies in panels as [`Packed`] has them. Sums run up the inner dimension, as in [`Product`].
pub(super) struct Accumulate<'a, L: Lanes> {
    pub(super) left: Left<L::Value>,
    /// Rows of `left` and of `output`.
    pub(super) count: usize,
    pub(super) right: &'a [L::Value],
    /// Inner length in values or pairs.
    pub(super) steps: usize,
    /// Of the whole `right`, and of `output`.
    pub(super) columns: usize,
    pub(super) panels: std::ops::Range<usize>,
    pub(super) output: Grid<f32>,
    pub(super) add: bool,
}

/// Where the left side of a product lies: value distances from one tile of rows to the next, from row to row in a tile, and
/// from one inner step to the next.
#[derive(Clone, Copy)]
pub(super) struct Left<V> {
    pub(super) start: *const V,
    pub(super) tile: usize,
    pub(super) row: usize,
    pub(super) step: usize,
}

impl<L: Lanes> Job<L> for Accumulate<'_, L> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { left, count, right, steps, output, .. } = self;
        let tiles = count.div_ceil(L::TILE_ROWS);
        let columns_of = |panel: usize| (self.columns - panel * panel_columns::<L>()).min(panel_columns::<L>());
        let place = |panel: usize, step: usize| {
            let width = columns_of(panel).next_multiple_of(L::WIDTH);
            (panel * panel_columns::<L>() * steps + step * width) * L::PAIR
        };
        let mut ready = Ready::<L>::default();
        for first_step in (0..steps).step_by(SLICE_STEPS) {
            let slice = Slice {
                first_step,
                first_run: 0,
                runs: 1,
                steps: SLICE_STEPS.min(steps - first_step),
                is_last: false,
                by_rows: false,
            };
            let add = self.add || first_step > 0;
            for index in 0..tiles * self.panels.len() {
                let (tile, panel) = (index % tiles, self.panels.start + index / tiles);
                let column = panel * panel_columns::<L>();
                let columns = columns_of(panel);
                let vectors = columns.div_ceil(L::WIDTH);
                let tile_rows = (count - tile * L::TILE_ROWS).min(L::TILE_ROWS);
                let mut room = [MaybeUninit::<f32>::uninit(); MAX_ROWS * MAX_PANEL];
                // SAFETY: both sides and the output are as large as the fields say; a tile that reaches beyond the last
                // column works on a copy.
                unsafe {
                    let own = output.at(tile * L::TILE_ROWS, column);
                    if L::BLOCK > 1 {
                        prefetch::<L>(tile_rows, columns * size_of::<f32>(), [own.bytes(); 2]);
                    }
                    let aside = !columns.is_multiple_of(L::WIDTH);
                    let to =
                        if aside { Grid { start: room.as_mut_ptr().cast::<f32>(), stride: MAX_PANEL } } else { own };
                    if aside {
                        // Whole vectors are read.
                        room.as_mut_ptr().write_bytes(0, tile_rows * MAX_PANEL);
                        if add {
                            copy(own, to, tile_rows, columns);
                        }
                    }
                    let weights = right.as_ptr().add(place(panel, first_step));
                    let start = left.start.add(tile * left.tile + first_step * left.step);
                    let from = if add { to } else { Grid { start: ZEROS.as_ptr().cast_mut(), stride: 0 } };
                    if L::BLOCK > 1 {
                        let halves = in_halves(tile_rows, together::<L>());
                        let step = vectors * L::WIDTH * L::PAIR;
                        let rows = [start, start.wrapping_add(halves[0] * left.row)];
                        let blocks = Blocks::<L> {
                            left: [Halves { rows, stride: left.row, runs: Runs::one(slice.steps) }, Halves::NONE],
                            weights: [weights, weights.wrapping_add(L::WIDTH * L::PAIR)],
                            weight_row: step,
                            weight_block: step * L::BLOCK,
                            ahead: [Ahead::NOTHING; 2],
                        };
                        ready.for_rows(halves);
                        blocks.run(halves, vectors, add.then_some(to), to);
                        if aside {
                            copy(to, own, tile_rows, columns);
                        }
                        continue;
                    }
                    let tile = Tile::<L> {
                        rows: Grid { start: start.cast_mut(), stride: left.row },
                        step: left.step,
                        runs: Runs::one(slice.steps),
                        slice,
                        weights,
                        ahead: {
                            let (next, step) = match panel + 1 < self.panels.end {
                                true => (panel + 1, first_step),
                                false => (self.panels.start, first_step + slice.steps),
                            };
                            let next = right.get(place(next, step)..).filter(|_| step < steps).unwrap_or_default();
                            let values = slice.steps * panel_columns::<L>() * L::PAIR;
                            Ahead::share(next.as_ptr(), values.min(next.len()), slice.asks(), tile, tiles)
                        },
                        needed: [own.bytes(); 2],
                        from,
                        to,
                        end: None,
                    };
                    tile.run_rows(tile_rows, vectors);
                    if aside {
                        copy(to, own, tile_rows, columns);
                    }
                }
            }
        }
    }
}

/// # Safety
/// Both grids have the rows and columns and do not overlap.
#[inline(always)]
unsafe fn copy(from: Grid<f32>, to: Grid<f32>, rows: usize, columns: usize) {
    for row in 0..rows {
        // SAFETY: passed on.
        unsafe { std::ptr::copy_nonoverlapping(from.at(row, 0).start, to.at(row, 0).start, columns) }
    }
}
