//! A tile of sums, as large as a processor's registers hold: where its two sides lie, what is asked for on the way, what is
//! made of the sums.

use super::buffer::LINE;
use super::lanes::Lanes;

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
        // Within an allocation nothing overflows, and the checks would cost some hundred instructions for each register tile.
        let values = row.wrapping_mul(self.stride).wrapping_add(column);
        Self { start: unsafe { self.start.add(values) }, ..self }
    }

    pub(super) fn bytes(self) -> Grid<u8> {
        Grid { start: self.start.cast(), stride: self.stride * size_of::<T>() }
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

    /// What is read or written once the sums are there; if that is one grid, it stands twice.
    pub(super) fn needed(self) -> [Grid<u8>; 2] {
        let shortcut = self.shortcut.map(Grid::bytes);
        let output = self.output.bytes();
        [output, shortcut.unwrap_or(output)]
    }
}

/// How the inner dimension of a product lies in its rows: `count` runs of `steps`, as the pixels of a window do in a picture.
#[derive(Clone, Copy)]
pub(super) struct Runs {
    pub(super) count: usize,
    pub(super) steps: usize,
    /// Runs of a window's row, and values from one to the next, and from row to row.
    pub(super) across: usize,
    pub(super) right: usize,
    pub(super) down: usize,
}

impl Runs {
    /// All values of a row lie side by side.
    pub(super) const fn one(steps: usize) -> Self {
        Self { count: 1, steps, across: 1, right: 0, down: 0 }
    }

    /// Values from a row's first to the run's first.
    #[inline(always)]
    pub(super) fn start(self, run: usize) -> usize {
        run / self.across * self.down + run % self.across * self.right
    }
}

/// A part of the inner dimension.
#[derive(Clone, Copy)]
pub(super) struct Slice {
    pub(super) first_step: usize,
    pub(super) first_run: usize,
    pub(super) runs: usize,
    /// Of each run.
    pub(super) steps: usize,
    pub(super) is_last: bool,
    /// Where all weights of the slice stay in the cache, whole rows of the output are written one after the other.
    pub(super) by_rows: bool,
}

impl Slice {
    pub(super) fn steps(self) -> usize {
        self.runs * self.steps
    }

    /// How often a tile asks for memory.
    pub(super) fn asks(self) -> usize {
        self.runs * self.steps.div_ceil(ASK_STEPS)
    }
}

/// Inner steps between one asking for memory that is needed later and the next.
const ASK_STEPS: usize = 8;

/// Memory that is asked for while other sums are being made: what comes from far away would be waited for otherwise.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    line: *const u8,
    /// Each time.
    lines: usize,
}

impl Ahead {
    pub(super) const NOTHING: Self = Self { line: std::ptr::null(), lines: 0 };

    /// What one of `parts` tiles asks of so many values, `asks` times.
    #[inline(always)]
    pub(super) fn share<V>(start: *const V, values: usize, asks: usize, part: usize, parts: usize) -> Self {
        let all = (values * size_of::<V>()).div_ceil(LINE);
        let lines = all.div_ceil(parts * asks);
        let first = part * asks * lines;
        if first >= all { Self::NOTHING } else { Self { line: start.cast::<u8>().wrapping_add(first * LINE), lines } }
    }

    /// A few lines now and then: many at once would stand before what the sums need next.
    ///
    /// # Safety
    /// The instruction set of `L` is there.
    #[inline(always)]
    pub(super) unsafe fn ask<L: Lanes>(&mut self) {
        for _ in 0..self.lines {
            // SAFETY: a prefetch reads nothing that the program could see.
            unsafe { L::prefetch_far(self.line) }
            self.line = self.line.wrapping_add(LINE);
        }
    }
}

pub(super) static ZEROS: [f32; MAX_PANEL] = [0.0; MAX_PANEL];

/// Asks for so many bytes of each row of one grid, and of the other one if there is another.
#[inline(always)]
pub(super) unsafe fn prefetch<L: Lanes>(rows: usize, bytes: usize, [first, second]: [Grid<u8>; 2]) {
    let grids = if first.start == second.start { 1 } else { 2 };
    for grid in [first, second].into_iter().take(grids) {
        for row in 0..rows {
            for byte in (0..bytes).step_by(LINE) {
                // SAFETY: a prefetch reads nothing that the program could see.
                unsafe { L::prefetch(grid.at(row, byte).start) }
            }
        }
    }
}

/// Room for one panel of the widest lanes.
pub(super) const MAX_PANEL: usize = 32;

/// Rows of the highest tile, and of the highest that is made in vector registers.
pub(super) const MAX_ROWS: usize = 32;

const MAX_REGISTER_ROWS: usize = 12;

/// One tile of sums, as large as the vector registers hold: `to = from + rows * weights`, or what `end` makes of the sums.
pub(super) struct Tile<L: Lanes> {
    pub(super) rows: Grid<L::Value>,
    /// Values from one inner step of a row to the next.
    pub(super) step: usize,
    pub(super) runs: Runs,
    pub(super) slice: Slice,
    pub(super) weights: *const L::Value,
    pub(super) ahead: Ahead,
    /// Rows that are read or written once the sums are there, and asked for while they are being made.
    pub(super) needed: [Grid<u8>; 2],
    pub(super) from: Grid<f32>,
    pub(super) to: Grid<f32>,
    pub(super) end: Option<End<L::Value>>,
}

impl<L: Lanes> Tile<L> {
    /// # Safety
    /// `rows` rows and `vectors` vectors of columns are there in all grids.
    #[inline(always)]
    pub(super) unsafe fn run_rows(&self, rows: usize, vectors: usize) {
        // SAFETY: passed on.
        unsafe {
            if vectors == 1 {
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
            let Slice { first_run, runs, steps, .. } = self.slice;
            let mut weights = self.weights;
            let mut ahead = self.ahead;
            let [mut first_needed, mut second_needed] = self.needed.map(|grid| grid.start.cast_const());
            let rows_at_once = M.div_ceil(self.slice.asks());
            let mut asked = 0;
            for run in first_run..first_run + runs {
                let mut rows = self.rows.start.cast_const().add(self.runs.start(run));
                for first in (0..steps).step_by(ASK_STEPS) {
                    ahead.ask::<L>();
                    // Between the multiplications there is time for a few plain instructions and none for a wrong guess of
                    // where they go on: nothing depends on what is there, and a row too many does no harm.
                    if asked < M {
                        for _ in 0..rows_at_once {
                            for line in 0..(V * L::WIDTH * size_of::<L::Value>()).div_ceil(LINE) {
                                L::prefetch(first_needed.wrapping_add(line * LINE));
                                L::prefetch(second_needed.wrapping_add(line * LINE));
                            }
                            first_needed = first_needed.wrapping_add(self.needed[0].stride);
                            second_needed = second_needed.wrapping_add(self.needed[1].stride);
                        }
                        asked += rows_at_once;
                    }
                    for _ in 0..ASK_STEPS.min(steps - first) {
                        let right: [L::Vector; V] =
                            std::array::from_fn(|v| L::operand(weights.add(v * L::WIDTH * L::PAIR)));
                        for m in 0..M {
                            let left = L::repeat(rows.add(m.wrapping_mul(stride)));
                            for v in 0..V {
                                sums[m][v] = L::multiply_add(left, right[v], sums[m][v]);
                            }
                        }
                        rows = rows.add(self.step);
                        weights = weights.add(V * L::WIDTH * L::PAIR);
                    }
                }
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
pub(super) unsafe fn finish<L: Lanes>(done: Grid<f32>, rows: usize, columns: usize, end: End<L::Value>) {
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
