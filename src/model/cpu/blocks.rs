//! The product by tile registers: whole blocks of the inner dimension at a time, sums of two halves of rows above each other.
//!
//! Sums leave tile registers by way of memory, so a tile's end (bias, shortcut, ReLU) is a pass of its own over a buffer that
//! stays in the nearest cache.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::lanes::Lanes;
use super::product::{Product, Side, panel_columns};
use super::tile::{Ahead, End, Grid, MAX_PANEL, MAX_ROWS, Runs, ZEROS, finish, prefetch};

/// Bytes of weights that stay in a core's own cache beside what else is read and written.
const WEIGHTS_IN_CACHE: usize = 640 << 10;

/// Rows of both halves of a tile.
#[inline(always)]
pub(super) fn in_halves(rows: usize, half: usize) -> [usize; 2] {
    let upper = rows.min(half);
    [upper, rows - upper]
}

/// Rows of a register tile that lie side by side, in vector registers all, in tile registers those of each half.
pub(super) const fn together<L: Lanes>() -> usize {
    if L::BLOCK == 1 { L::TILE_ROWS } else { L::TILE_ROWS / 2 }
}

/// The same where lines of so many rows lie apart; none where it does not come out even.
pub(super) fn together_of<L: Lanes>(line: usize) -> Option<usize> {
    let most = together::<L>();
    // With fewer rows, less than half of a tile register, loads would cost more than products.
    let least = if L::BLOCK == 1 { most } else { most.div_ceil(2) };
    (least..=most).rev().find(|rows| line.is_multiple_of(*rows))
}

/// Tile registers and the rows they are ready for.
pub(super) struct Ready<L: Lanes> {
    rows: [usize; 2],
    lanes: PhantomData<L>,
}

impl<L: Lanes> Default for Ready<L> {
    #[inline(always)]
    fn default() -> Self {
        Self { rows: [0; 2], lanes: PhantomData }
    }
}

impl<L: Lanes> Ready<L> {
    /// # Safety
    /// The instruction set of `L` is there.
    #[inline(always)]
    pub(super) unsafe fn for_rows(&mut self, rows: [usize; 2]) {
        if self.rows != rows {
            self.rows = rows;
            // SAFETY: passed on.
            unsafe { L::begin_tiles(rows) }
        }
    }
}

impl<L: Lanes> Drop for Ready<L> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.rows[0] > 0 {
            // SAFETY: they were made ready, so they are there.
            unsafe { L::end_tiles() }
        }
    }
}

/// The left side of a tile: first rows of the upper half and of the lower, values from row to row.
#[derive(Clone, Copy)]
pub(super) struct Halves<V> {
    pub(super) rows: [*const V; 2],
    pub(super) stride: usize,
    /// Whole blocks each.
    pub(super) runs: Runs,
}

impl<V> Halves<V> {
    pub(super) const NONE: Self =
        Self { rows: [std::ptr::null(); 2], stride: 0, runs: Runs { count: 0, ..Runs::one(0) } };
}

/// Both sides of one tile of sums.
pub(super) struct Blocks<L: Lanes> {
    /// One after the other in the inner dimension.
    pub(super) left: [Halves<L::Value>; 2],
    /// The first block of both vectors of columns, values from one inner step to the next, and from block to block.
    pub(super) weights: [*const L::Value; 2],
    pub(super) weight_row: usize,
    pub(super) weight_block: usize,
    /// Asked for at each block.
    pub(super) ahead: [Ahead; 2],
}

impl<L: Lanes> Blocks<L> {
    /// `to = from + left * weights`, or without `from`; rows of both halves follow each other there.
    ///
    /// # Safety
    /// Tile registers are ready for `halves`; so many rows and `vectors` vectors of columns are there on all sides.
    #[inline(always)]
    pub(super) unsafe fn run(&self, halves: [usize; 2], vectors: usize, from: Option<Grid<f32>>, to: Grid<f32>) {
        // SAFETY: passed on.
        unsafe {
            match (halves[1] > 0, vectors) {
                (false, 1) => self.sum::<false, 1>(halves[0], from, to),
                (false, _) => self.sum::<false, 2>(halves[0], from, to),
                (true, 1) => self.sum::<true, 1>(halves[0], from, to),
                (true, _) => self.sum::<true, 2>(halves[0], from, to),
            }
        }
    }

    #[inline(always)]
    unsafe fn sum<const LOWER: bool, const V: usize>(&self, upper: usize, from: Option<Grid<f32>>, to: Grid<f32>) {
        let lower = |grid: Grid<f32>| grid.start.wrapping_add(upper.wrapping_mul(grid.stride));
        let [mut first, mut second] = self.ahead;
        let mut weights = self.weights;
        // SAFETY: passed on.
        unsafe {
            match from {
                Some(from) => L::load_tiles::<LOWER, V>([from.start, lower(from)], from.stride),
                None => L::zero_tiles::<LOWER, V>(),
            }
            for Halves { rows: [upper_start, lower_start], stride, runs } in self.left {
                for run in 0..runs.count {
                    let start = runs.start(run);
                    let [mut upper_row, mut lower_row] =
                        [upper_start.wrapping_add(start), lower_start.wrapping_add(start)];
                    for _ in 0..runs.steps / L::BLOCK {
                        first.ask::<L>();
                        second.ask::<L>();
                        L::multiply_tiles::<LOWER, V>([upper_row, lower_row], stride, weights, self.weight_row);
                        upper_row = upper_row.wrapping_add(L::BLOCK * L::PAIR);
                        lower_row = lower_row.wrapping_add(L::BLOCK * L::PAIR);
                        weights =
                            [weights[0].wrapping_add(self.weight_block), weights[1].wrapping_add(self.weight_block)];
                    }
                }
            }
            L::store_tiles::<LOWER, V>([to.start, lower(to)], to.stride);
        }
    }
}

/// The sums of one tile, each row on lines of its own.
#[repr(align(64))]
struct Done([MaybeUninit<f32>; MAX_ROWS * MAX_PANEL]);

/// The rows of one tile.
struct Rows<L: Lanes> {
    halves: [usize; 2],
    left: [Halves<L::Value>; 2],
    ends: [End<L::Value>; 2],
}

impl<V: Copy> Side<V> {
    /// # Safety
    /// The rows are there.
    #[inline(always)]
    unsafe fn halves(self, [upper, lower]: [usize; 2]) -> Halves<V> {
        let Self { rows, taken, runs } = self;
        // SAFETY: passed on.
        unsafe {
            let [upper, lower] = [rows.at(taken.row(upper), 0), rows.at(taken.row(lower), 0)];
            Halves { rows: [upper.start, lower.start], stride: rows.stride, runs }
        }
    }
}

impl<L: Lanes> Product<'_, L> {
    /// # Safety
    /// As for a product's run.
    #[inline(always)]
    pub(super) unsafe fn run_in_blocks(&self) {
        let tiles = self.count.div_ceil(2 * self.together);
        let panels = self.panels.len();
        let panel_bytes = self.weights.steps() * panel_columns::<L>() * L::PAIR * size_of::<L::Value>();
        let mut ready = Ready::<L>::default();
        let mut done = Done([MaybeUninit::uninit(); MAX_ROWS * MAX_PANEL]);
        let done = Grid { start: done.0.as_mut_ptr().cast::<f32>(), stride: MAX_PANEL };
        // SAFETY: passed on.
        unsafe {
            if panels * panel_bytes <= WEIGHTS_IN_CACHE {
                // All weights stay near, and whole rows of the output are written one after the other.
                for tile in 0..tiles {
                    let rows = self.rows(tile);
                    ready.for_rows(rows.halves);
                    for panel in 0..panels {
                        self.end_block_tile(&rows, panel, self.ahead_of_rows(tile, panel), done);
                    }
                }
            } else {
                for panel in 0..panels {
                    for tile in 0..tiles {
                        let rows = self.rows(tile);
                        ready.for_rows(rows.halves);
                        self.ask_for_ends(&rows, panel);
                        self.end_block_tile(&rows, panel, [self.ahead_of_panel(tile, panel), Ahead::NOTHING], done);
                    }
                }
            }
        }
    }

    /// # Safety
    /// The tile is one of the product's.
    #[inline(always)]
    unsafe fn rows(&self, tile: usize) -> Rows<L> {
        let row = tile * 2 * self.together;
        let halves = in_halves((self.count - row).min(2 * self.together), self.together);
        let lower = if halves[1] > 0 { row + halves[0] } else { row };
        // SAFETY: passed on.
        unsafe {
            Rows {
                halves,
                left: [
                    Side { rows: self.rows, taken: self.taken, runs: self.runs }.halves([row, lower]),
                    self.more.map_or(Halves::NONE, |side| side.halves([row, lower])),
                ],
                ends: [self.end.at(self.written.row(row), 0), self.end.at(self.written.row(lower), 0)],
            }
        }
    }

    /// Sums of one tile, and what is made of them.
    ///
    /// # Safety
    /// Tile registers are ready for the rows, which are the product's, as the panel is; `done` has room for a tile.
    #[inline(always)]
    unsafe fn end_block_tile(&self, rows: &Rows<L>, panel: usize, ahead: [Ahead; 2], done: Grid<f32>) {
        let (column, columns) = self.weights.panel(self.panels.start + panel);
        let vectors = columns.div_ceil(L::WIDTH);
        let bias = match self.bias {
            Some(bias) => bias[column..].as_ptr(),
            None => ZEROS.as_ptr(),
        };
        let is_whole = columns == 2 * L::WIDTH;
        let [upper, lower] = rows.halves;
        let weights = self.weights.weights_from(self.product, self.panels.start + panel, 0).as_ptr();
        let tile_values = L::BLOCK * L::WIDTH * L::PAIR;
        let blocks = Blocks::<L> {
            left: rows.left,
            weights: [weights, weights.wrapping_add(tile_values)],
            weight_row: L::WIDTH * L::PAIR,
            weight_block: vectors * tile_values,
            ahead,
        };
        // SAFETY: passed on.
        unsafe {
            // What is not whole is ended without a bias.
            let from = (!is_whole).then_some(Grid { start: bias.cast_mut(), stride: 0 });
            blocks.run(rows.halves, vectors, from, done);
            let (first, second) = (rows.ends[0].at(0, column), rows.ends[1].at(0, column));
            if is_whole {
                end_whole::<L>(done, upper, bias, first);
                end_whole::<L>(done.at(upper, 0), lower, bias, second);
            } else {
                finish::<L>(done, upper, columns, first);
                finish::<L>(done.at(upper, 0), lower, columns, second);
            }
        }
    }

    /// Asks for what is read or written at the end of a tile.
    ///
    /// # Safety
    /// The rows and the panel are the product's.
    #[inline(always)]
    unsafe fn ask_for_ends(&self, rows: &Rows<L>, panel: usize) {
        let (column, columns) = self.weights.panel(self.panels.start + panel);
        // SAFETY: passed on.
        unsafe {
            prefetch::<L>(rows.halves[0], columns * size_of::<L::Value>(), rows.ends[0].at(0, column).needed());
            prefetch::<L>(rows.halves[1], columns * size_of::<L::Value>(), rows.ends[1].at(0, column).needed());
        }
    }

    /// Times that a tile asks for memory.
    fn asks(&self) -> usize {
        self.weights.steps() / L::BLOCK
    }

    /// The next panel's weights, while this one's are used by all rows.
    #[inline(always)]
    fn ahead_of_panel(&self, tile: usize, panel: usize) -> Ahead {
        if panel + 1 == self.panels.len() {
            return Ahead::NOTHING;
        }
        let next = self.weights.weights_from(self.product, self.panels.start + panel + 1, 0);
        let values = (self.weights.steps() * panel_columns::<L>() * L::PAIR).min(next.len());
        Ahead::share(next.as_ptr(), values, self.asks(), tile, self.count.div_ceil(2 * self.together))
    }

    /// The next rows, and where they are written, while these are multiplied with all panels.
    ///
    /// # Safety
    /// The tile is one of the product's.
    #[inline(always)]
    unsafe fn ahead_of_rows(&self, tile: usize, panel: usize) -> [Ahead; 2] {
        let row = (tile + 1) * 2 * self.together;
        if row >= self.count {
            return [Ahead::NOTHING; 2];
        }
        let rows = (self.count - row).min(2 * self.together);
        let (asks, panels) = (self.asks(), self.panels.len());
        // SAFETY: those rows are the product's.
        unsafe {
            let left = self.rows.at(self.taken.row(row), 0);
            let left = Ahead::share(left.start, if self.far { rows * left.stride } else { 0 }, asks, panel, panels);
            let output = self.end.output.at(self.written.row(row), 0);
            let values = if panels == self.weights.panels() { rows * output.stride } else { 0 };
            [left, Ahead::share(output.start, values, asks, panel, panels)]
        }
    }
}

/// Bias, shortcut, ReLU and the way into memory of two whole vectors of each row.
///
/// # Safety
/// `rows` rows are there in all grids, two vectors in `bias`.
#[inline(always)]
unsafe fn end_whole<L: Lanes>(done: Grid<f32>, rows: usize, bias: *const f32, end: End<L::Value>) {
    let End { shortcut, relu, output } = end;
    // SAFETY: passed on.
    unsafe {
        match shortcut {
            Some(shortcut) if relu => end_rows::<L, true, true>(done, rows, bias, shortcut, output),
            Some(shortcut) => end_rows::<L, true, false>(done, rows, bias, shortcut, output),
            None if relu => end_rows::<L, false, true>(done, rows, bias, output, output),
            None => end_rows::<L, false, false>(done, rows, bias, output, output),
        }
    }
}

/// Nothing but plain loops: what is called for each vector would not be compiled for the lanes.
#[inline(always)]
unsafe fn end_rows<L: Lanes, const SHORTCUT: bool, const RELU: bool>(
    done: Grid<f32>,
    rows: usize,
    bias: *const f32,
    shortcut: Grid<L::Value>,
    output: Grid<L::Value>,
) {
    // SAFETY: passed on.
    unsafe {
        let bias = [L::load(bias), L::load(bias.add(L::WIDTH))];
        let (mut from, mut added, mut to) = (done.start, shortcut.start.cast_const(), output.start);
        for _ in 0..rows {
            let mut first = L::add(bias[0], L::load(from));
            let mut second = L::add(bias[1], L::load(from.add(L::WIDTH)));
            if SHORTCUT {
                first = L::add(first, L::load_values(added));
                second = L::add(second, L::load_values(added.add(L::WIDTH)));
            }
            if RELU {
                first = L::larger(L::zero(), first);
                second = L::larger(L::zero(), second);
            }
            L::store_two(to, [first, second]);
            from = from.wrapping_add(done.stride);
            added = added.wrapping_add(shortcut.stride);
            to = to.wrapping_add(output.stride);
        }
    }
}
