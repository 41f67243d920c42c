//! 3 x 3 convolutions with stride 1 by Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray 2016): a tile of
//! 4 x 4 outputs costs 36 multiplications per pair of channels instead of 144.
//!
//! Tiles of 6 x 6 inputs are transformed (`B`), multiplied position by position as 36 matrix products, and transformed back
//! (`A`). All in f32, whatever the precision of the activations: the transforms lose digits.

use std::ops::Range;

use rayon::prelude::*;

use super::super::resnet::ConvShape;
use super::conv::After;
use super::lanes::{Job, Lanes};
use super::maps::{Arena, Extent};
use super::product::{Grid, Packed, Product, panel_columns};
use super::scratch::with_scratch;

/// Edge of a tile's output and input.
const OUT: usize = 4;
const IN: usize = 6;
const POSITIONS: usize = IN * IN;
/// Tiles whose transformed inputs and products stay in a core's own cache; and from how many such blocks on a picture is
/// shared by blocks.
const BLOCK_TILES: usize = 24;
const BLOCKS_FROM: usize = 6;
/// Columns of a product that are worth a task where there are few tiles.
const TASK_COLUMNS: usize = 256;
/// With fewer, the transforms cost more than the products save.
const FEWEST_CHANNELS: usize = 64;

/// Kernel to the six points: 0, 1, -1, 2, -2 and infinity.
const G: [[f64; 3]; IN] = [
    [0.25, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

pub(super) struct Winograd<L: Lanes> {
    channels_in: usize,
    channels_out: usize,
    /// One product per position of the tile.
    weights: Vec<Packed<L::Single>>,
}

/// Tiles of a picture, row by row.
#[derive(Clone, Copy)]
struct Tiling {
    columns: usize,
    count: usize,
}

/// Which way the values of a tile go.
struct Transform<'a, L: Lanes> {
    tiling: Tiling,
    extent: Extent,
    /// First tile of the chunk, and the tile at hand.
    first: usize,
    tile: usize,
    /// `POSITIONS` planes of a chunk's tiles, `plane` values each.
    spread: Grid<f32>,
    plane: usize,
    direction: Direction<'a, L>,
}

enum Direction<'a, L: Lanes> {
    In { input: &'a [L::Value] },
    Out { bias: &'a [f32], shortcut: Option<&'a [L::Value]>, relu: bool, output: Grid<L::Value> },
}

impl<L: Lanes> Winograd<L> {
    pub(super) fn suits(shape: &ConvShape) -> bool {
        let whole = |channels: usize| channels.is_multiple_of(L::WIDTH) && channels >= FEWEST_CHANNELS;
        // Tile registers are quicker by the straight way than vectors by the short one.
        L::BLOCK == 1
            && (shape.kernel, shape.stride, shape.padding) == (3, 1, 1)
            && whole(shape.channels_in)
            && whole(shape.channels_out)
    }

    /// `weight` is `(out, in, 3, 3)`, `scale` per channel out.
    pub(super) fn new(shape: &ConvShape, weight: &[f32], scale: &[f32]) -> Self {
        let ConvShape { channels_in, channels_out, .. } = *shape;
        let weights = (0..POSITIONS)
            .into_par_iter()
            .map(|position| {
                let (row, column) = (G[position / IN], G[position % IN]);
                Packed::new(channels_in, channels_out, |out, channel| {
                    let kernel = &weight[(out * channels_in + channel) * 9..][..9];
                    let sum: f64 = (0..9).map(|i| row[i / 3] * column[i % 3] * f64::from(kernel[i])).sum();
                    (sum * f64::from(scale[out])) as f32
                })
            })
            .collect();
        Self { channels_in, channels_out, weights }
    }

    pub(super) fn run(
        &self,
        input: &[L::Value],
        extent: Extent,
        bias: &[f32],
        after: After<'_, L::Value>,
        output: &mut [L::Value],
        arena: &Arena<f32>,
    ) {
        let After { shortcut, relu } = after;
        let columns = extent.columns.div_ceil(OUT);
        let tiling = Tiling { columns, count: extent.rows.div_ceil(OUT) * columns };
        let job = Picture::<L> {
            tiling,
            input,
            extent,
            bias,
            shortcut,
            relu,
            output: Grid { start: output.as_mut_ptr(), stride: self.channels_out },
        };
        if tiling.count >= BLOCKS_FROM * BLOCK_TILES {
            (0..tiling.count.div_ceil(BLOCK_TILES)).into_par_iter().for_each(|block| {
                let tiles = block * BLOCK_TILES..((block + 1) * BLOCK_TILES).min(tiling.count);
                with_scratch::<L::Single, _>(|scratch| {
                    let planes = self.planes(BLOCK_TILES, [&mut scratch.rows, &mut scratch.sums]);
                    tiles.clone().for_each(|tile| job.spread_out(tile, tiles.start, planes));
                    (0..POSITIONS).for_each(|position| {
                        self.multiply(position, 0..self.weights[position].panels(), planes, tiles.len());
                    });
                    tiles.clone().for_each(|tile| job.gather_in(tile, tiles.start, planes, self.channels_out));
                });
            });
            return;
        }
        // Few tiles come with many channels: each of the three steps is shared by itself.
        let count = tiling.count.next_multiple_of(L::TILE_ROWS);
        let mut buffers =
            [self.channels_in, self.channels_out].map(|channels| arena.take(POSITIONS * count * stride(channels)));
        let [spread, products] = &mut buffers;
        let planes = self.planes(count, [spread, products]);
        let panels = self.weights[0].panels();
        let task_panels = panels.div_ceil(panels.div_ceil(TASK_COLUMNS / panel_columns::<L::Single>()).max(1));
        let parts = panels.div_ceil(task_panels);
        (0..tiling.count).into_par_iter().for_each(|tile| job.spread_out(tile, 0, planes));
        (0..POSITIONS * parts).into_par_iter().for_each(|task| {
            let panel = task % parts * task_panels;
            self.multiply(task / parts, panel..(panel + task_panels).min(panels), planes, tiling.count);
        });
        (0..tiling.count).into_par_iter().for_each(|tile| job.gather_in(tile, 0, planes, self.channels_out));
        buffers.into_iter().for_each(|buffer| arena.give(buffer));
    }

    /// Room in two buffers for `count` tiles.
    fn planes(&self, count: usize, buffers: [&mut Vec<f32>; 2]) -> Planes {
        let grid = |buffer: &mut Vec<f32>, channels: usize| {
            let stride = stride(channels);
            if buffer.len() < POSITIONS * count * stride {
                buffer.resize(POSITIONS * count * stride, 0.0);
            }
            Grid { start: buffer.as_mut_ptr(), stride }
        };
        let [spread, products] = buffers;
        Planes { count, spread: grid(spread, self.channels_in), products: grid(products, self.channels_out) }
    }

    /// One of the 36 products, some of its columns.
    fn multiply(&self, position: usize, panels: Range<usize>, planes: Planes, tiles: usize) {
        // SAFETY: the planes have room for the position's tiles, and no one else has these columns of them.
        unsafe {
            L::Single::dispatch(Product {
                rows: planes.spread.at(position * planes.count, 0),
                count: tiles,
                weights: &self.weights[position],
                panels,
                bias: None,
                shortcut: None,
                relu: false,
                output: planes.products.at(position * planes.count, 0),
                sums: &mut Vec::new(),
            });
        }
    }
}

/// A line more per tile than its channels, so that the tiles of a product do not fall on the same lines of the cache.
fn stride(channels: usize) -> usize {
    channels + 16
}

/// Transformed inputs and their products: for each of the 36 positions a grid of `count` tiles by channels.
#[derive(Clone, Copy)]
struct Planes {
    count: usize,
    spread: Grid<f32>,
    products: Grid<f32>,
}

/// What is done with one picture.
struct Picture<'a, L: Lanes> {
    tiling: Tiling,
    input: &'a [L::Value],
    extent: Extent,
    bias: &'a [f32],
    shortcut: Option<&'a [L::Value]>,
    relu: bool,
    output: Grid<L::Value>,
}

impl<L: Lanes> Picture<'_, L> {
    /// Transforms one tile of the input; `first` is the first tile of the planes.
    fn spread_out(&self, tile: usize, first: usize, planes: Planes) {
        let Planes { count, spread, .. } = planes;
        let (plane, direction) = (count * spread.stride, Direction::In { input: self.input });
        let (tiling, extent) = (self.tiling, self.extent);
        // SAFETY: every tile has its own rows of the planes.
        unsafe { L::dispatch(Transform::<L> { tiling, extent, first, tile, spread, plane, direction }) }
    }

    /// Transforms one tile of the products back into the output.
    fn gather_in(&self, tile: usize, first: usize, planes: Planes, channels: usize) {
        let Planes { count, products: spread, .. } = planes;
        let Self { bias, shortcut, relu, output, tiling, .. } = *self;
        let (plane, direction) = (count * spread.stride, Direction::Out { bias, shortcut, relu, output });
        let extent = Extent { channels, ..self.extent };
        // SAFETY: every tile writes pixels of its own.
        unsafe { L::dispatch(Transform::<L> { tiling, extent, first, tile, spread, plane, direction }) }
    }
}

impl<L: Lanes> Job<L> for Transform<'_, L> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: passed on.
        unsafe {
            match self.direction {
                Direction::In { input } => self.spread_out(input),
                Direction::Out { bias, shortcut, relu, output } => self.gather_in(bias, shortcut, relu, output),
            }
        }
    }
}

impl<L: Lanes> Transform<'_, L> {
    /// `B^T d B` of one tile, all channels.
    #[expect(clippy::needless_range_loop, reason = "r runs across the columns of a matrix")]
    #[inline(always)]
    unsafe fn spread_out(&self, input: &[L::Value]) {
        let Extent { rows, columns, channels } = self.extent;
        let (top, left) = (self.tile / self.tiling.columns * OUT, self.tile % self.tiling.columns * OUT);
        for channel in (0..channels).step_by(L::WIDTH) {
            // SAFETY: only pixels inside the picture are read, only this tile's rows of the planes written.
            unsafe {
                let mut half = [[L::zero(); IN]; IN];
                for (c, column) in half.iter_mut().enumerate() {
                    let mut d = [L::zero(); IN];
                    for (r, d) in d.iter_mut().enumerate() {
                        // The tile begins one pixel above and left of its outputs.
                        let (y, x) = (top + r, left + c);
                        if (1..=rows).contains(&y) && (1..=columns).contains(&x) {
                            let at = ((y - 1) * columns + x - 1) * channels + channel;
                            *d = L::load_values(input.as_ptr().add(at));
                        }
                    }
                    *column = to_points::<L>(d);
                }
                let to = self.spread.at(self.tile - self.first, channel).start;
                for r in 0..IN {
                    let line = to_points::<L>(std::array::from_fn(|c| half[c][r]));
                    for (c, value) in line.into_iter().enumerate() {
                        L::store(to.add((r * IN + c) * self.plane), value);
                    }
                }
            }
        }
    }

    /// `A^T m A` of one tile, bias, shortcut and ReLU.
    #[expect(clippy::needless_range_loop, reason = "r runs across the columns of a matrix")]
    #[inline(always)]
    unsafe fn gather_in(&self, bias: &[f32], shortcut: Option<&[L::Value]>, relu: bool, output: Grid<L::Value>) {
        let Extent { rows, columns, channels } = self.extent;
        let (top, left) = (self.tile / self.tiling.columns * OUT, self.tile % self.tiling.columns * OUT);
        for channel in (0..channels).step_by(L::WIDTH) {
            // SAFETY: only this tile's rows of the planes are read, only pixels inside the picture written.
            unsafe {
                let from = self.spread.at(self.tile - self.first, channel).start;
                let mut half = [[L::zero(); OUT]; IN];
                for (c, column) in half.iter_mut().enumerate() {
                    let m = std::array::from_fn(|r| L::load(from.add((r * IN + c) * self.plane)));
                    *column = from_points::<L>(m);
                }
                let bias = L::load(bias.as_ptr().add(channel));
                for r in 0..OUT.min(rows - top) {
                    let line = from_points::<L>(std::array::from_fn(|c| half[c][r]));
                    for (c, value) in line.into_iter().enumerate().take(OUT.min(columns - left)) {
                        let at = ((top + r) * columns + left + c) * channels + channel;
                        let mut value = L::add(value, bias);
                        if let Some(shortcut) = shortcut {
                            value = L::add(value, L::load_values(shortcut.as_ptr().add(at)));
                        }
                        if relu {
                            value = L::larger(L::zero(), value);
                        }
                        L::store_values(output.start.add(at), value);
                    }
                }
            }
        }
    }
}

/// One column of `B^T d`.
#[inline(always)]
unsafe fn to_points<L: Lanes>(d: [L::Vector; IN]) -> [L::Vector; IN] {
    // SAFETY: no memory.
    unsafe {
        let (two, four, minus_four, minus_five) = (L::splat(2.0), L::splat(4.0), L::splat(-4.0), L::splat(-5.0));
        let even = L::fma(minus_four, d[2], d[4]);
        let odd = L::fma(minus_four, d[1], d[3]);
        let even_2 = L::sub(d[4], d[2]);
        let odd_2 = L::sub(d[3], d[1]);
        [
            L::fma(four, d[0], L::fma(minus_five, d[2], d[4])),
            L::add(even, odd),
            L::sub(even, odd),
            L::fma(two, odd_2, even_2),
            L::sub(even_2, L::fma(two, odd_2, L::zero())),
            L::fma(four, d[1], L::fma(minus_five, d[3], d[5])),
        ]
    }
}

/// One column of `A^T m`.
#[inline(always)]
unsafe fn from_points<L: Lanes>(m: [L::Vector; IN]) -> [L::Vector; OUT] {
    // SAFETY: no memory.
    unsafe {
        let (two, four, eight) = (L::splat(2.0), L::splat(4.0), L::splat(8.0));
        let (near, near_odd) = (L::add(m[1], m[2]), L::sub(m[1], m[2]));
        let (far, far_odd) = (L::add(m[3], m[4]), L::sub(m[3], m[4]));
        [
            L::add(L::add(m[0], near), far),
            L::fma(two, far_odd, near_odd),
            L::fma(four, far, near),
            L::add(L::fma(eight, far_odd, near_odd), m[5]),
        ]
    }
}
