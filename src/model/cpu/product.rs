//! The matrix product under every convolution: rows of values by packed weights, with bias, shortcut and ReLU while the
//! sums are still in registers.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::lanes::{Job, Lanes, TileProduct};

/// Inner steps whose weights (of one panel) and rows (of one tile) stay in the nearest caches.
const SLICE_STEPS: usize = 512;

/// The right side of products, `depth` by `columns`, cut into panels as wide as a register tile; in a panel the columns
/// of one inner step (one value, or a pair) lie side by side. Short panels and the last step are filled up with zeros.
pub(super) struct Packed<L: Lanes> {
    values: Vec<L::Value>,
    depth: usize,
    columns: usize,
}

impl<L: Lanes> Packed<L> {
    /// `fill` writes the `depth` values of a column.
    pub(super) fn new(depth: usize, columns: usize, fill: impl Fn(usize, &mut [f32])) -> Self {
        let steps = inner_steps::<L>(depth);
        let mut values = vec![L::Value::default(); steps * columns.next_multiple_of(L::WIDTH) * L::PAIR];
        let mut column_values = vec![0.0; depth];
        let firsts = (0..columns).step_by(panel_columns::<L>());
        for (first, panel) in firsts.zip(values.chunks_mut(steps * panel_columns::<L>() * L::PAIR)) {
            let count = (columns - first).min(panel_columns::<L>());
            let step_values = count.next_multiple_of(L::WIDTH) * L::PAIR;
            for column in 0..count {
                fill(first + column, &mut column_values);
                for (step, values) in panel.chunks_exact_mut(step_values).zip(column_values.chunks(L::PAIR)) {
                    let places = step[column * L::PAIR..].iter_mut().zip(values);
                    places.for_each(|(place, value)| *place = L::from_f32(*value));
                }
            }
        }
        Self { values, depth, columns }
    }

    pub(super) fn panels(&self) -> usize {
        self.columns.div_ceil(panel_columns::<L>())
    }

    fn steps(&self) -> usize {
        inner_steps::<L>(self.depth)
    }

    /// The panel's weights, its first column and its number of columns.
    fn panel(&self, panel: usize) -> (&[L::Value], usize, usize) {
        let first = panel * panel_columns::<L>();
        let columns = (self.columns - first).min(panel_columns::<L>());
        let start = first * self.steps() * L::PAIR;
        let length = columns.next_multiple_of(L::WIDTH) * self.steps() * L::PAIR;
        (&self.values[start..start + length], first, columns)
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

/// A grid of values that one task reads or writes: `stride` values from row to row.
#[derive(Clone, Copy)]
pub(super) struct Grid<T> {
    pub(super) start: *mut T,
    pub(super) stride: usize,
}

// SAFETY: a grid is an address and a number; whoever reads or writes through it answers for that.
unsafe impl<T> Send for Grid<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Grid<T> {}

impl<T> Grid<T> {
    /// The same grid from `row`, `column` on.
    ///
    /// # Safety
    /// That place lies in the same allocation.
    #[inline(always)]
    pub(super) unsafe fn at(self, row: usize, column: usize) -> Self {
        Self { start: unsafe { self.start.add(row * self.stride + column) }, ..self }
    }
}

/// What is made of finished sums and where it goes.
#[derive(Clone, Copy)]
pub(super) struct End<V> {
    /// Added; it may be the output itself.
    pub(super) shortcut: Option<Grid<V>>,
    pub(super) relu: bool,
    pub(super) output: Grid<V>,
}

impl<V> End<V> {
    /// The same from `row`, `column` on.
    ///
    /// # Safety
    /// That place lies in both grids.
    #[inline(always)]
    pub(super) unsafe fn at(self, row: usize, column: usize) -> Self {
        // SAFETY: passed on.
        unsafe {
            Self {
                shortcut: self.shortcut.map(|grid| grid.at(row, column)),
                output: self.output.at(row, column),
                ..self
            }
        }
    }
}

/// `output = rows * weights + bias + shortcut`, then ReLU, for `count` rows and some panels.
///
/// The sums begin with the bias and run up the inner dimension, so they do not depend on how the work is cut.
pub(super) struct Product<'a, L: Lanes> {
    /// `count` rows of at least the weights' depth, filled up to whole pairs with anything finite.
    pub(super) rows: Grid<L::Value>,
    pub(super) count: usize,
    pub(super) weights: &'a Packed<L>,
    pub(super) panels: std::ops::Range<usize>,
    /// One per column, filled up to whole vectors; or none.
    pub(super) bias: Option<&'a [f32]>,
    /// `count` rows of the weights' columns.
    pub(super) end: End<L::Value>,
    /// Sums between slices of the inner dimension.
    pub(super) sums: &'a mut Vec<f32>,
}

impl<L: Lanes> Job<L> for Product<'_, L> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { rows, count, weights, bias, end, sums, .. } = self;
        let steps = weights.steps();
        let first_panel = self.panels.start;
        let width = self.panels.len() * panel_columns::<L>();
        if steps > SLICE_STEPS && sums.len() < count * width {
            sums.resize(count * width, 0.0);
        }
        let mut ready = Ready::<L>::default();
        for first_step in (0..steps).step_by(SLICE_STEPS) {
            let slice = SLICE_STEPS.min(steps - first_step);
            let (is_first, is_last) = (first_step == 0, first_step + slice == steps);
            let tiles = count.div_ceil(L::TILE_ROWS);
            // Where all weights of the slice stay in the cache, whole rows of the output are written one after the other.
            let by_rows = slice * width * L::PAIR * size_of::<L::Value>() <= WEIGHTS_IN_CACHE;
            for index in 0..tiles * self.panels.len() {
                let (tile, panel) = if by_rows {
                    (index / self.panels.len(), index % self.panels.len())
                } else {
                    (index % tiles, index / tiles)
                };
                let row = tile * L::TILE_ROWS;
                let tile_rows = (count - row).min(L::TILE_ROWS);
                let column_of_sums = panel * panel_columns::<L>();
                let (values, column, columns) = weights.panel(first_panel + panel);
                let vectors = columns.div_ceil(L::WIDTH);
                let in_registers = L::BLOCK == 1 && columns == vectors * L::WIDTH;
                // SAFETY: rows, panel and output are as large as their fields say; `sums` was made large enough where
                // there is more than one slice, and is not touched where there is one.
                unsafe {
                    let end = end.at(row, column);
                    let partial =
                        Grid { start: sums.as_mut_ptr().wrapping_add(row * width + column_of_sums), stride: width };
                    let mut done = [MaybeUninit::<f32>::uninit(); MAX_ROWS * MAX_PANEL];
                    let done = Grid { start: done.as_mut_ptr().cast::<f32>(), stride: MAX_PANEL };
                    if is_last {
                        prefetch::<L, _>(tile_rows, columns, end.output);
                        if let Some(shortcut) = end.shortcut {
                            prefetch::<L, _>(tile_rows, columns, shortcut);
                        }
                    }
                    let tile = Tile::<L> {
                        rows: rows.at(row, first_step * L::PAIR),
                        step: L::PAIR,
                        weights: values.as_ptr().add(first_step * L::PAIR * vectors * L::WIDTH),
                        steps: slice,
                        from: match bias {
                            _ if !is_first => partial,
                            Some(bias) => Grid { start: bias[column..].as_ptr().cast_mut(), stride: 0 },
                            None => Grid { start: ZEROS.as_ptr().cast_mut(), stride: 0 },
                        },
                        to: if is_last { done } else { partial },
                        end: (is_last && in_registers).then_some(end),
                    };
                    ready.for_rows(tile_rows);
                    tile.run_rows(tile_rows, vectors);
                    if is_last && !in_registers {
                        finish::<L>(done, tile_rows, columns, end);
                    }
                }
            }
        }
    }
}

/// Bytes of weights beside which a tile's rows still fit a core's own cache.
const WEIGHTS_IN_CACHE: usize = 192 << 10;
static ZEROS: [f32; MAX_PANEL] = [0.0; MAX_PANEL];

/// Asks for the lines that are read or written once the sums are there, while they are still being made.
#[inline(always)]
unsafe fn prefetch<L: Lanes, T: Copy>(rows: usize, columns: usize, grid: Grid<T>) {
    // SAFETY: a prefetch reads nothing that the program could see.
    unsafe {
        for row in 0..rows {
            for column in (0..columns).step_by(64 / size_of::<T>()) {
                L::prefetch(grid.at(row, column).start.cast());
            }
        }
    }
}

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
        let mut ready = Ready::<L>::default();
        for first_step in (0..steps).step_by(SLICE_STEPS) {
            let slice = SLICE_STEPS.min(steps - first_step);
            let add = self.add || first_step > 0;
            for index in 0..tiles * self.panels.len() {
                let (tile, panel) = (index % tiles, self.panels.start + index / tiles);
                let column = panel * panel_columns::<L>();
                let columns = (self.columns - column).min(panel_columns::<L>());
                let vectors = columns.div_ceil(L::WIDTH);
                let tile_rows = (count - tile * L::TILE_ROWS).min(L::TILE_ROWS);
                let mut room = [MaybeUninit::<f32>::uninit(); MAX_ROWS * MAX_PANEL];
                // SAFETY: both sides and the output are as large as the fields say; a tile that reaches beyond the last
                // column works on a copy.
                unsafe {
                    let own = output.at(tile * L::TILE_ROWS, column);
                    prefetch::<L, _>(tile_rows, columns, own);
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
                    let tile = Tile::<L> {
                        rows: Grid {
                            start: left.start.add(tile * left.tile + first_step * left.step).cast_mut(),
                            stride: left.row,
                        },
                        step: left.step,
                        weights: right.as_ptr().add((column * steps + first_step * vectors * L::WIDTH) * L::PAIR),
                        steps: slice,
                        from: if add { to } else { Grid { start: ZEROS.as_ptr().cast_mut(), stride: 0 } },
                        to,
                        end: None,
                    };
                    ready.for_rows(tile_rows);
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

/// Room for one panel of the widest lanes.
const MAX_PANEL: usize = 32;
/// Rows of the highest tile, and of the highest that is made in vector registers.
const MAX_ROWS: usize = 32;
const MAX_REGISTER_ROWS: usize = 12;

/// Tile registers and the rows they are ready for.
struct Ready<L: Lanes> {
    rows: usize,
    lanes: PhantomData<L>,
}

impl<L: Lanes> Default for Ready<L> {
    #[inline(always)]
    fn default() -> Self {
        Self { rows: 0, lanes: PhantomData }
    }
}

impl<L: Lanes> Ready<L> {
    /// # Safety
    /// The instruction set of `L` is there.
    #[inline(always)]
    unsafe fn for_rows(&mut self, rows: usize) {
        if L::BLOCK > 1 && self.rows != rows {
            self.rows = rows;
            // SAFETY: passed on.
            unsafe { L::begin_tiles(rows) }
        }
    }
}

impl<L: Lanes> Drop for Ready<L> {
    #[inline(always)]
    fn drop(&mut self) {
        if L::BLOCK > 1 && self.rows > 0 {
            // SAFETY: they were made ready, so they are there.
            unsafe { L::end_tiles() }
        }
    }
}

/// One tile of sums, as large as the registers hold: `to = from + rows * weights`, or what `end` makes of the sums.
struct Tile<L: Lanes> {
    rows: Grid<L::Value>,
    /// Values from one inner step of a row to the next.
    step: usize,
    weights: *const L::Value,
    steps: usize,
    from: Grid<f32>,
    to: Grid<f32>,
    end: Option<End<L::Value>>,
}

impl<L: Lanes> Tile<L> {
    /// # Safety
    /// `rows` rows and `vectors` vectors of columns are there in all grids.
    #[inline(always)]
    unsafe fn run_rows(&self, rows: usize, vectors: usize) {
        // SAFETY: passed on.
        unsafe {
            if L::BLOCK > 1 {
                L::multiply_tile(TileProduct {
                    rows,
                    vectors,
                    left: (self.rows.start, self.rows.stride),
                    weights: self.weights,
                    steps: self.steps,
                    from: (self.from.start, self.from.stride),
                    to: (self.to.start, self.to.stride),
                });
            } else if vectors == 1 {
                self.run_vectors::<1>(rows);
            } else {
                self.run_vectors::<2>(rows);
            }
        }
    }

    #[inline(always)]
    unsafe fn run_vectors<const V: usize>(&self, rows: usize) {
        // SAFETY: passed on.
        unsafe {
            match rows {
                1 => self.run::<1, V>(),
                2 => self.run::<2, V>(),
                3 => self.run::<3, V>(),
                4 => self.run::<4, V>(),
                5 => self.run::<5, V>(),
                6 => self.run::<6, V>(),
                7 => self.run::<7, V>(),
                8 => self.run::<8, V>(),
                9 => self.run::<9, V>(),
                10 => self.run::<10, V>(),
                11 => self.run::<11, V>(),
                _ => self.run::<MAX_REGISTER_ROWS, V>(),
            }
        }
    }

    /// The sums stay in registers only while every index into them is known at compile time: nothing but short loops of
    /// constant length here.
    #[expect(clippy::needless_range_loop, reason = "indices known at compile time are the point")]
    #[inline(always)]
    unsafe fn run<const M: usize, const V: usize>(&self) {
        if M > L::TILE_ROWS {
            return;
        }
        // SAFETY: passed on.
        unsafe {
            let mut sums = [[L::zero(); V]; M];
            for m in 0..M {
                for v in 0..V {
                    sums[m][v] = L::load(self.from.at(m, v * L::WIDTH).start);
                }
            }
            let stride = self.rows.stride;
            let mut rows = self.rows.start.cast_const();
            let mut weights = self.weights;
            for _ in 0..self.steps {
                let right: [L::Vector; V] = std::array::from_fn(|v| L::operand(weights.add(v * L::WIDTH * L::PAIR)));
                for m in 0..M {
                    let left = L::repeat(rows.add(m * stride));
                    for v in 0..V {
                        sums[m][v] = L::multiply_add(left, right[v], sums[m][v]);
                    }
                }
                rows = rows.add(self.step);
                weights = weights.add(V * L::WIDTH * L::PAIR);
            }
            let Some(End { shortcut, relu, output }) = self.end else {
                for m in 0..M {
                    for v in 0..V {
                        L::store(self.to.at(m, v * L::WIDTH).start, sums[m][v]);
                    }
                }
                return;
            };
            // All is read before anything is written: output and shortcut often lie a multiple of a page apart, and then a
            // read waits for the write before it.
            if let Some(shortcut) = shortcut {
                for m in 0..M {
                    for v in 0..V {
                        sums[m][v] = L::add(sums[m][v], L::load_values(shortcut.at(m, v * L::WIDTH).start));
                    }
                }
            }
            for m in 0..M {
                for v in 0..V {
                    let sum = if relu { L::larger(L::zero(), sums[m][v]) } else { sums[m][v] };
                    L::store_values(output.at(m, v * L::WIDTH).start, sum);
                }
            }
        }
    }
}

/// Shortcut, ReLU and the way into memory of one tile whose sums could not stay in registers.
///
/// # Safety
/// `rows` rows of `columns` values are there in `end`'s grids, of whole vectors in `done`.
#[inline(always)]
unsafe fn finish<L: Lanes>(done: Grid<f32>, rows: usize, columns: usize, end: End<L::Value>) {
    let End { shortcut, relu, output } = end;
    let whole = columns / L::WIDTH * L::WIDTH;
    // SAFETY: passed on; what reaches beyond the last column goes through a buffer of its own.
    unsafe {
        for row in 0..rows {
            for column in (0..whole).step_by(L::WIDTH) {
                let from = shortcut.map(|grid| grid.at(row, column).start.cast_const());
                let sum = L::load(done.at(row, column).start);
                L::store_values(output.at(row, column).start, finished::<L>(sum, from, relu));
            }
            if whole < columns {
                let mut buffer = [L::Value::default(); MAX_PANEL];
                let from = shortcut.map(|grid| {
                    let from = grid.at(row, whole).start.cast_const();
                    std::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), columns - whole);
                    buffer.as_ptr()
                });
                let sum = finished::<L>(L::load(done.at(row, whole).start), from, relu);
                L::store_values(buffer.as_mut_ptr(), sum);
                std::ptr::copy_nonoverlapping(buffer.as_ptr(), output.at(row, whole).start, columns - whole);
            }
        }
    }
}

/// One vector of sums with its shortcut, after the ReLU.
///
/// # Safety
/// `shortcut` points at a whole vector of values.
#[inline(always)]
unsafe fn finished<L: Lanes>(sum: L::Vector, shortcut: Option<*const L::Value>, relu: bool) -> L::Vector {
    // SAFETY: passed on.
    unsafe {
        let sum = shortcut.map_or(sum, |from| L::add(sum, L::load_values(from)));
        if relu { L::larger(L::zero(), sum) } else { sum }
    }
}
