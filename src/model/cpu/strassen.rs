//! 1 x 1 convolutions as a product of halves: seven products for eight (Strassen 1969, in the form with 15 additions that
//! Winograd gave it). Those of the weights are made once; rows are paired within a block of a fixed number of them, so that
//! results do not depend on how the work is shared.
//!
//! In f32 alone: sums of rows and of weights, rounded to less, would lose what the shorter way saves. With one level the
//! bound of the error grows by a small factor (Higham 2002, section 23.2.2).

use rayon::prelude::*;

use super::super::resnet::ConvShape;
use super::buffer::LINE;
use super::lanes::{Job, Lanes};
use super::maps::Extent;
use super::product::{Lines, Packed, Product, panel_columns};
use super::scratch::{sized, with_scratch};
use super::tile::{End, Grid, Runs, prefetch};

/// Products of halves.
const PRODUCTS: usize = 7;
/// Sums of halves of rows.
const SUMS: usize = 4;
/// Rows of a block, upper and lower half together: so few that the seven products of a panel stay in the nearest cache. Which rows
/// are paired is part of the result.
const BLOCK_ROWS: usize = 48;
/// f32 values in a line of the cache.
const LINE_VALUES: usize = LINE / size_of::<f32>();
/// Tasks for each thread where the picture is small.
const TASKS_PER_THREAD: usize = 2;
/// With fewer channels in, or pairs of channels, the sums cost more than the eighth product.
const FEWEST_CHANNELS: usize = 256;
const FEWEST_PAIRS: usize = 256 * 256;

pub(super) struct Strassen<L: Lanes> {
    channels_in: usize,
    channels_out: usize,
    /// Panel of the left half by panel: those of the seven products.
    weights: Packed<L>,
}

impl<L: Lanes> Strassen<L> {
    pub(super) fn suits(shape: &ConvShape) -> bool {
        let ConvShape { channels_in, channels_out, kernel, stride, .. } = *shape;
        let is_single = L::PAIR == 1 && L::BLOCK == 1 && size_of::<L::Value>() == size_of::<f32>();
        is_single
            && (kernel, stride) == (1, 1)
            && channels_in >= FEWEST_CHANNELS
            && channels_in * channels_out >= FEWEST_PAIRS
            && channels_in.is_multiple_of(2 * L::WIDTH)
            && channels_out.is_multiple_of(2 * panel_columns::<L>())
    }

    /// `weight` is `(out, in)`, `scale` per channel out.
    pub(super) fn new(shape: &ConvShape, weight: &[f32], scale: &[f32]) -> Self {
        let ConvShape { channels_in, channels_out, .. } = *shape;
        let (depth, columns, panel) = (channels_in / 2, channels_out / 2, panel_columns::<L>());
        let weights = Packed::new(columns / panel * PRODUCTS, depth, panel, |product, column, values| {
            let left = product / PRODUCTS * panel + column;
            let halves = [left, left + columns].map(|column| {
                let (upper, lower) = weight[column * channels_in..][..channels_in].split_at(depth);
                [upper, lower].map(|half| (half, f64::from(scale[column])))
            });
            for (row, value) in values.iter_mut().enumerate() {
                let [[b11, b21], [b12, b22]] =
                    halves.map(|column| column.map(|(half, scale)| f64::from(half[row]) * scale));
                *value = match product % PRODUCTS {
                    0 => b11,
                    1 => b21,
                    2 => b22,
                    3 => b22 - b12 + b11 - b21,
                    4 => b12 - b11,
                    5 => b22 - b12 + b11,
                    _ => b22 - b12,
                } as f32;
            }
        });
        Self { channels_in, channels_out, weights }
    }

    /// From `input` to as many pixels.
    pub(super) fn run(&self, input: &[L::Value], extent: Extent, bias: &[f32], end: End<L::Value>) {
        let rows = Grid { start: input.as_ptr().cast_mut(), stride: extent.stride::<L::Value>() };
        let (pixels, panels) = (extent.pixels(), self.weights.products() / PRODUCTS);
        let blocks = pixels.div_ceil(BLOCK_ROWS);
        let parts = (TASKS_PER_THREAD * rayon::current_num_threads()).div_ceil(blocks).min(panels);
        let task_panels = panels.div_ceil(parts);
        let parts = panels.div_ceil(task_panels);
        (0..blocks * parts).into_par_iter().with_max_len(1).for_each(|task| {
            let (first, panel) = (task / parts * BLOCK_ROWS, task % parts * task_panels);
            let count = BLOCK_ROWS.min(pixels - first);
            let upper = count.div_ceil(2);
            let depth = self.channels_in / 2;
            with_scratch::<L, _>(|scratch| {
                // A line more than there are values, so that rows do not fall on the same lines of the cache.
                let (sum, product) = (depth + LINE_VALUES, panel_columns::<L>());
                let product_values = upper * product + LINE_VALUES;
                let sums = sized(&mut scratch.rows, SUMS * upper * sum);
                let products = sized(&mut scratch.left, PRODUCTS * product_values);
                // SAFETY: every task writes rows and columns of its own, and so many there are.
                unsafe {
                    L::dispatch(Block {
                        rows: rows.at(first, 0),
                        halves: [upper, count - upper],
                        depth,
                        columns: self.channels_out / 2,
                        weights: &self.weights,
                        panels: panel..(panel + task_panels).min(panels),
                        sums: Grid { start: sums.as_mut_ptr(), stride: sum },
                        products: Grid { start: products.as_mut_ptr(), stride: product },
                        product_values,
                        between: &mut scratch.sums,
                        bias,
                        end: end.at(first, 0),
                    });
                }
            });
        });
    }
}

/// One block of rows, and some panels of the left half's columns with those of the right half.
struct Block<'a, L: Lanes> {
    rows: Grid<L::Value>,
    /// Rows of the upper half, and of the lower: as many or one less.
    halves: [usize; 2],
    /// Of a half of the inner dimension.
    depth: usize,
    /// From a column of the left half to that of the right.
    columns: usize,
    weights: &'a Packed<L>,
    panels: std::ops::Range<usize>,
    /// [`SUMS`] times the upper half's rows.
    sums: Grid<L::Value>,
    /// [`PRODUCTS`] times, `product_values` from one product's first row to the next one's.
    products: Grid<L::Value>,
    product_values: usize,
    /// As [`Product::sums`].
    between: &'a mut Vec<f32>,
    bias: &'a [f32],
    end: End<L::Value>,
}

impl<L: Lanes> Job<L> for Block<'_, L> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let [upper, lower] = self.halves;
        // SAFETY: all rows and columns are the block's, as its maker says.
        unsafe {
            self.sum_rows();
            let sum = |index: usize| (self.sums.at(index * upper, 0), upper);
            let first_lower = if lower > 0 { upper } else { 0 };
            let lefts = [
                (self.rows, upper),
                (self.rows.at(0, self.depth), upper),
                sum(3),
                (self.rows.at(first_lower, self.depth), lower),
                sum(0),
                sum(1),
                sum(2),
            ];
            for panel in self.panels.clone() {
                let column = panel * panel_columns::<L>();
                for (index, (rows, count)) in lefts.into_iter().enumerate() {
                    self.ask_for_ends(column, index);
                    let start = self.products.start.wrapping_add(index * self.product_values);
                    Product {
                        rows,
                        taken: Lines::all(0),
                        together: L::TILE_ROWS,
                        runs: Runs::one(self.depth),
                        more: None,
                        count,
                        far: false,
                        weights: self.weights,
                        product: panel * PRODUCTS + index,
                        panels: 0..1,
                        bias: None,
                        end: End { shortcut: None, relu: false, output: Grid { start, ..self.products } },
                        written: Lines::all(0),
                        sums: &mut *self.between,
                    }
                    .run();
                }
                self.finish(column);
            }
        }
    }
}

impl<L: Lanes> Block<'_, L> {
    /// `A21 + A22`, that `- A11`, `A11 - A21`, and `A12 -` the second.
    #[inline(always)]
    unsafe fn sum_rows(&self) {
        let [upper, lower] = self.halves;
        for row in 0..upper {
            // Where the lower half is a row short, any finite one will do: what is made of it is not written.
            let below = if row < lower { upper + row } else { row };
            // SAFETY: passed on.
            unsafe {
                let (mut above, mut below) = (self.rows.at(row, 0).start, self.rows.at(below, 0).start);
                let mut to = self.sums.at(row, 0).start;
                let next = upper * self.sums.stride;
                for _ in (0..self.depth).step_by(L::WIDTH) {
                    let (a11, a12) = (L::load_values(above), L::load_values(above.add(self.depth)));
                    let (a21, a22) = (L::load_values(below), L::load_values(below.add(self.depth)));
                    let first = L::add(a21, a22);
                    let second = L::sub(first, a11);
                    L::store_values(to, first);
                    L::store_values(to.add(next), second);
                    L::store_values(to.add(2 * next), L::sub(a11, a21));
                    L::store_values(to.add(3 * next), L::sub(a12, second));
                    above = above.wrapping_add(L::WIDTH);
                    below = below.wrapping_add(L::WIDTH);
                    to = to.wrapping_add(L::WIDTH);
                }
            }
        }
    }

    /// Asks for a share of what is read and written at the end, while there is still something to multiply.
    #[inline(always)]
    unsafe fn ask_for_ends(&self, column: usize, index: usize) {
        let count: usize = self.halves.iter().sum();
        let share = count.div_ceil(PRODUCTS);
        let first = (index * share).min(count);
        let share = share.min(count - first);
        let bytes = panel_columns::<L>() * size_of::<L::Value>();
        // SAFETY: passed on.
        unsafe {
            prefetch::<L>(share, bytes, self.end.at(first, column).needed());
            prefetch::<L>(share, bytes, self.end.at(first, self.columns + column).needed());
        }
    }

    /// The four quarters of the output from the seven products, with bias, shortcut and ReLU.
    #[inline(always)]
    unsafe fn finish(&self, column: usize) {
        // SAFETY: passed on.
        unsafe {
            match self.end.shortcut {
                Some(shortcut) => self.finish_as::<true>(column, shortcut),
                None => self.finish_as::<false>(column, self.end.output),
            }
        }
    }

    #[inline(always)]
    unsafe fn finish_as<const SHORTCUT: bool>(&self, column: usize, shortcut: Grid<L::Value>) {
        let [upper, lower] = self.halves;
        for first in (0..panel_columns::<L>()).step_by(L::WIDTH) {
            let columns = [column + first, self.columns + column + first];
            // SAFETY: passed on.
            unsafe {
                let least = L::splat(if self.end.relu { 0.0 } else { f32::NEG_INFINITY });
                let biases = [L::load(self.bias.as_ptr().add(columns[0])), L::load(self.bias.as_ptr().add(columns[1]))];
                for row in 0..upper {
                    let mut from = self.products.at(row, first).start;
                    let mut p = [L::zero(); PRODUCTS];
                    for p in &mut p {
                        *p = L::load_values(from);
                        from = from.wrapping_add(self.product_values);
                    }
                    let second = L::add(p[0], p[5]);
                    let third = L::add(second, p[6]);
                    let above = [L::add(p[0], p[1]), L::add(L::add(second, p[4]), p[2])];
                    let below = [L::sub(third, p[3]), L::add(third, p[4])];
                    for half in 0..2 {
                        for (row, sums) in [(row, above), (upper + row, below)] {
                            if row < upper + lower {
                                let mut sum = L::add(sums[half], biases[half]);
                                if SHORTCUT {
                                    sum = L::add(sum, L::load_values(shortcut.at(row, columns[half]).start));
                                }
                                let to = self.end.output.at(row, columns[half]).start;
                                L::store_values(to, L::larger(least, sum));
                            }
                        }
                    }
                }
            }
        }
    }
}
