//! 3 x 3 convolutions by Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray 2016): a tile of 4 x 4 outputs costs
//! 36 multiplications per pair of channels instead of 144. Where channels are many, so that the weights of 36 positions come
//! from far away for a few tiles each, F(2 x 2, 3 x 3): 16 instead of 36.
//!
//! With stride 2 the outer taps of a kernel meet every other pixel and the middle one those between, so along an edge it is
//! two filters with stride 1, of two taps and of one: 5 + 4 multiplications for 4 outputs, 3 + 2 for 2, which makes 81 for
//! 144 and 25 for 36.
//!
//! Tiles of inputs are transformed (`B`), multiplied position by position as so many matrix products, and transformed back
//! (`A`). All in f32, whatever the precision of the activations: the transforms lose digits.

use std::ops::Range;

use rayon::prelude::*;

use super::super::resnet::ConvShape;
use super::blocks::together;
use super::lanes::{Job, Lanes};
use super::maps::{Arena, Extent};
use super::product::{Lines, Packed, Product, panel_columns};
use super::scratch::{sized, with_scratch};
use super::tile::{End, Grid, Runs};

/// Edge of a tile's output, and from so many pairs of channels on.
const OUT: usize = 4;
const OUT_OF_MANY: usize = 2;
const MANY_PAIRS: usize = 512 * 512;
/// Tiles from which on they are shared by blocks whose transformed inputs and products stay in a core's own cache.
const BLOCKS_FROM: usize = 144;
/// Register tiles of a block at most: each block reads all weights once.
const BLOCK_HEIGHT: usize = 2;
/// Columns of a product that are worth a task where there are few tiles.
const TASK_COLUMNS: usize = 256;
/// With fewer, the transforms cost more than the products save.
const FEWEST_CHANNELS: usize = 64;

/// Kernel to the four points 0, 1, -1 and infinity.
const G_4: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
/// Kernel to the six points 0, 1, -1, 2, -2 and infinity.
const G_6: [[f64; 3]; 6] = [
    [0.25, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// The same with stride 2: the outer taps at 0, 1 and infinity, then the middle one at two pixels.
const G_5: [[f64; 3]; 5] = [[1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.0, 1.0], MIDDLE, MIDDLE];
/// The outer taps at 0, 1, -1, 2 and infinity, then the middle one at four pixels.
const G_9: [[f64; 3]; 9] = [
    [0.5, 0.0, 0.0],
    [-0.5, 0.0, -0.5],
    [-1.0 / 6.0, 0.0, 1.0 / 6.0],
    [1.0 / 6.0, 0.0, 1.0 / 3.0],
    [0.0, 0.0, 1.0],
    MIDDLE,
    MIDDLE,
    MIDDLE,
    MIDDLE,
];
const MIDDLE: [f64; 3] = [0.0, 1.0, 0.0];

pub(super) struct Winograd<L: Lanes> {
    channels_in: usize,
    channels_out: usize,
    stride: usize,
    /// Edge of a tile's output.
    out: usize,
    /// One product per position of the tile.
    weights: Packed<L::Single>,
}

/// Tiles of a picture, row by row.
#[derive(Clone, Copy)]
struct Tiling {
    /// Edge of a tile's output.
    out: usize,
    /// Of the convolution.
    stride: usize,
    columns: usize,
    count: usize,
}

impl Tiling {
    fn new(out: usize, stride: usize, output: Extent) -> Self {
        let columns = output.columns.div_ceil(out);
        Self { out, stride, columns, count: output.rows.div_ceil(out) * columns }
    }

    /// Row and column of the tile's first output.
    fn place(self, tile: usize) -> [usize; 2] {
        [tile / self.columns * self.out, tile % self.columns * self.out]
    }

    /// Row and column of its first input, counted from one pixel above and left of the picture.
    fn input_place(self, tile: usize) -> [usize; 2] {
        self.place(tile).map(|place| place * self.stride)
    }
}

/// Which way the values of a tile go, with the edges of its output and input.
struct Transform<'a, L: Lanes, const OUT: usize, const IN: usize> {
    tiling: Tiling,
    extent: Extent,
    /// First tile of the chunk, and the tile at hand.
    first: usize,
    tile: usize,
    /// `IN * IN` planes of a chunk's tiles, `plane` values each.
    spread: Grid<f32>,
    plane: usize,
    direction: Direction<'a, L>,
}

enum Direction<'a, L: Lanes> {
    In { input: &'a [L::Value] },
    Out { bias: &'a [f32], end: End<L::Value> },
}

/// The kernels at `IN * IN` points, scaled, as a product for each.
fn transformed<L: Lanes, const IN: usize>(
    shape: &ConvShape,
    weight: &[f32],
    scale: &[f32],
    points: &[[f64; 3]; IN],
) -> Packed<L::Single> {
    let ConvShape { channels_in, channels_out, .. } = *shape;
    // Per channel out, point by point: the kernels of all channels in.
    let at_points = |(out, kernels): (usize, &[f32])| -> Vec<f32> {
        let mut spread = vec![0.0; IN * IN * channels_in];
        for (channel, kernel) in kernels.as_chunks::<9>().0.iter().enumerate() {
            let kernel = kernel.map(|value| f64::from(value) * f64::from(scale[out]));
            // Along the rows, then along the columns, all points at once.
            for (row, p) in points.iter().enumerate() {
                let three = [0, 1, 2].map(|x| p[0] * kernel[x] + p[1] * kernel[3 + x] + p[2] * kernel[6 + x]);
                for (column, p) in points.iter().enumerate() {
                    let sum = p[0] * three[0] + p[1] * three[1] + p[2] * three[2];
                    spread[(row * IN + column) * channels_in + channel] = sum as f32;
                }
            }
        }
        spread
    };
    let spread: Vec<Vec<f32>> = weight.par_chunks(9 * channels_in).enumerate().map(at_points).collect();
    Packed::new(IN * IN, channels_in, channels_out, |position, out, values| {
        values.copy_from_slice(&spread[out][position * channels_in..][..channels_in]);
    })
}

impl<L: Lanes> Winograd<L> {
    pub(super) fn suits(shape: &ConvShape) -> bool {
        let whole = |channels: usize| channels.is_multiple_of(L::WIDTH) && channels >= FEWEST_CHANNELS;
        // Tile registers are quicker by the straight way than vectors by the short one.
        L::BLOCK == 1
            && (shape.kernel, shape.padding) == (3, 1)
            // Pairs make twice as many products in the time, and this saves less than a half.
            && (shape.stride == 1 || shape.stride == 2 && L::PAIR == 1)
            && whole(shape.channels_in)
            && whole(shape.channels_out)
    }

    /// `weight` is `(out, in, 3, 3)`, `scale` per channel out.
    pub(super) fn new(shape: &ConvShape, weight: &[f32], scale: &[f32]) -> Self {
        let ConvShape { channels_in, channels_out, stride, .. } = *shape;
        let out = if channels_in * channels_out < MANY_PAIRS { OUT } else { OUT_OF_MANY };
        let weights = match (out, stride) {
            (OUT, 1) => transformed::<L, 6>(shape, weight, scale, &G_6),
            (OUT, _) => transformed::<L, 9>(shape, weight, scale, &G_9),
            (_, 1) => transformed::<L, 4>(shape, weight, scale, &G_4),
            _ => transformed::<L, 5>(shape, weight, scale, &G_5),
        };
        Self { channels_in, channels_out, stride, out, weights }
    }

    /// From `input` of one extent to an output of the other.
    pub(super) fn run(
        &self,
        (input, extent): (&[L::Value], Extent),
        bias: &[f32],
        (end, output): (End<L::Value>, Extent),
        arena: &Arena<f32>,
    ) {
        let tiling = Tiling::new(self.out, self.stride, output);
        let job = Picture::<L> { tiling, input, extent, bias, end, output };
        if tiling.count >= BLOCKS_FROM {
            // Two blocks for each thread, if it can be.
            let height = tiling.count / (2 * L::TILE_ROWS * rayon::current_num_threads());
            let block_tiles = L::TILE_ROWS * height.clamp(1, BLOCK_HEIGHT);
            (0..tiling.count.div_ceil(block_tiles)).into_par_iter().with_max_len(1).for_each(|block| {
                let tiles = block * block_tiles..((block + 1) * block_tiles).min(tiling.count);
                with_scratch::<L::Single, _>(|scratch| {
                    let [spread, products] = self.lengths(block_tiles);
                    let (spread, products) = (sized(&mut scratch.rows, spread), sized(&mut scratch.sums, products));
                    let planes = self.planes(block_tiles, spread, products);
                    tiles.clone().for_each(|tile| job.spread_out(tile, tiles.start, planes));
                    (0..self.weights.products()).for_each(|position| {
                        self.multiply(position, 0..self.weights.panels(), planes, tiles.len());
                    });
                    tiles.clone().for_each(|tile| job.gather_in(tile, tiles.start, planes));
                });
            });
            return;
        }
        // Few tiles come with many channels: each of the three steps is shared by itself.
        let count = tiling.count.next_multiple_of(L::TILE_ROWS);
        let mut buffers = self.lengths(count).map(|length| arena.take(length));
        let [spread, products] = &mut buffers;
        let planes = self.planes(count, spread, products);
        let panels = self.weights.panels();
        let task_panels = panels.div_ceil(panels.div_ceil(TASK_COLUMNS / panel_columns::<L::Single>()).max(1));
        let parts = panels.div_ceil(task_panels);
        (0..tiling.count).into_par_iter().with_max_len(1).for_each(|tile| job.spread_out(tile, 0, planes));
        (0..self.weights.products() * parts).into_par_iter().with_max_len(1).for_each(|task| {
            let panel = task % parts * task_panels;
            self.multiply(task / parts, panel..(panel + task_panels).min(panels), planes, tiling.count);
        });
        (0..tiling.count).into_par_iter().with_max_len(1).for_each(|tile| job.gather_in(tile, 0, planes));
        buffers.into_iter().for_each(|buffer| arena.give(buffer));
    }

    /// What `count` tiles take: transformed inputs, and products.
    fn lengths(&self, count: usize) -> [usize; 2] {
        [self.channels_in, self.channels_out].map(|channels| self.weights.products() * count * stride(channels))
    }

    /// `spread` and `products` are as long as [`Winograd::lengths`] says.
    fn planes(&self, count: usize, spread: &mut [f32], products: &mut [f32]) -> Planes {
        let [least_spread, least_products] = self.lengths(count);
        assert!(spread.len() >= least_spread && products.len() >= least_products, "room for {count} tiles");
        let grid = |values: &mut [f32], channels| Grid { start: values.as_mut_ptr(), stride: stride(channels) };
        Planes { count, spread: grid(spread, self.channels_in), products: grid(products, self.channels_out) }
    }

    /// One of the products, some of its columns.
    fn multiply(&self, position: usize, panels: Range<usize>, planes: Planes, tiles: usize) {
        // SAFETY: the planes have room for the position's tiles, and no one else has these columns of them.
        unsafe {
            L::Single::dispatch(Product {
                rows: planes.spread.at(position * planes.count, 0),
                taken: Lines::all(0),
                together: together::<L::Single>(),
                runs: Runs::one(self.channels_in),
                more: None,
                count: tiles,
                far: false,
                weights: &self.weights,
                product: position,
                panels,
                bias: None,
                end: End { shortcut: None, relu: false, output: planes.products.at(position * planes.count, 0) },
                written: Lines::all(0),
                sums: &mut Vec::new(),
            });
        }
    }
}

/// A line more per tile than its channels, so that the tiles of a product do not fall on the same lines of the cache.
fn stride(channels: usize) -> usize {
    channels + 16
}

/// Transformed inputs and their products: for each of the tile's positions a grid of `count` tiles by channels.
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
    end: End<L::Value>,
    output: Extent,
}

impl<L: Lanes> Picture<'_, L> {
    /// Transforms one tile of the input; `first` is the first tile of the planes.
    fn spread_out(&self, tile: usize, first: usize, planes: Planes) {
        self.transform([first, tile], self.extent, planes.count, planes.spread, Direction::In { input: self.input });
    }

    /// Transforms one tile of the products back into the output.
    fn gather_in(&self, tile: usize, first: usize, planes: Planes) {
        let Self { bias, end, output, .. } = *self;
        self.transform([first, tile], output, planes.count, planes.products, Direction::Out { bias, end });
    }

    fn transform(
        &self,
        [first, tile]: [usize; 2],
        extent: Extent,
        count: usize,
        spread: Grid<f32>,
        direction: Direction<'_, L>,
    ) {
        let (tiling, plane) = (self.tiling, count * spread.stride);
        // SAFETY: every tile has its own rows of the planes and its own pixels of the output.
        unsafe {
            match (tiling.out, tiling.stride) {
                (OUT, 1) => {
                    L::dispatch(Transform::<L, OUT, 6> { tiling, extent, first, tile, spread, plane, direction })
                }
                (OUT, _) => {
                    L::dispatch(Transform::<L, OUT, 9> { tiling, extent, first, tile, spread, plane, direction })
                }
                (_, 1) => L::dispatch(Transform::<L, 2, 4> { tiling, extent, first, tile, spread, plane, direction }),
                _ => L::dispatch(Transform::<L, 2, 5> { tiling, extent, first, tile, spread, plane, direction }),
            }
        }
    }
}

impl<L: Lanes, const OUT: usize, const IN: usize> Job<L> for Transform<'_, L, OUT, IN> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: passed on.
        unsafe {
            match self.direction {
                Direction::In { input } => self.spread_out(input),
                Direction::Out { bias, end } => self.gather_in(bias, end),
            }
        }
    }
}

impl<L: Lanes, const OUT: usize, const IN: usize> Transform<'_, L, OUT, IN> {
    /// `B^T d B` of one tile, all channels.
    #[inline(always)]
    unsafe fn spread_out(&self, input: &[L::Value]) {
        let Extent { rows, columns, .. } = self.extent;
        let [top, left] = self.tiling.input_place(self.tile);
        let is_inside = top >= 1 && left >= 1 && top + IN <= rows + 1 && left + IN <= columns + 1;
        // SAFETY: passed on.
        unsafe { if is_inside { self.spread_channels::<true>(input) } else { self.spread_channels::<false>(input) } }
    }

    #[expect(clippy::needless_range_loop, reason = "r runs across the columns of a matrix")]
    #[inline(always)]
    unsafe fn spread_channels<const INSIDE: bool>(&self, input: &[L::Value]) {
        let Extent { rows, columns, channels, .. } = self.extent;
        let [top, left] = self.tiling.input_place(self.tile);
        let stride = self.extent.stride::<L::Value>();
        let (line, to_line) = (columns * stride, IN * self.plane);
        // The tile's first pixel, which may lie outside.
        let from = input.as_ptr().wrapping_add(top * line + left * stride);
        let from = from.wrapping_sub(line + stride);
        for channel in (0..channels).step_by(L::WIDTH) {
            // SAFETY: only pixels inside the picture are read, only this tile's rows of the planes written.
            unsafe {
                let mut half = [[L::zero(); IN]; IN];
                let mut from_column = from.wrapping_add(channel);
                for (c, column) in half.iter_mut().enumerate() {
                    let mut d = [L::zero(); IN];
                    let mut from = from_column;
                    for (r, d) in d.iter_mut().enumerate() {
                        if INSIDE || ((1..=rows).contains(&(top + r)) && (1..=columns).contains(&(left + c))) {
                            *d = L::load_values(from);
                        }
                        from = from.wrapping_add(line);
                    }
                    *column = to_points::<L, IN>(d);
                    from_column = from_column.wrapping_add(stride);
                }
                let mut to_row = self.spread.at(self.tile - self.first, channel).start;
                for r in 0..IN {
                    let mut to = to_row;
                    for value in to_points::<L, IN>(std::array::from_fn(|c| half[c][r])) {
                        L::store(to, value);
                        to = to.wrapping_add(self.plane);
                    }
                    to_row = to_row.wrapping_add(to_line);
                }
            }
        }
    }

    /// `A^T m A` of one tile, bias, shortcut and ReLU.
    #[inline(always)]
    unsafe fn gather_in(&self, bias: &[f32], end: End<L::Value>) {
        let Extent { rows, columns, .. } = self.extent;
        let [top, left] = self.tiling.place(self.tile);
        let size = [OUT.min(rows - top), OUT.min(columns - left)];
        // SAFETY: passed on.
        unsafe {
            // All is known at compile time where a tile is whole, and sums stay in registers.
            if size == [OUT; 2] {
                self.gather_channels::<true>(size, bias, end);
            } else {
                self.gather_channels::<false>(size, bias, end);
            }
        }
    }

    #[expect(clippy::needless_range_loop, reason = "r runs across the columns of a matrix")]
    #[inline(always)]
    unsafe fn gather_channels<const WHOLE: bool>(
        &self,
        [rows_here, columns_here]: [usize; 2],
        bias: &[f32],
        end: End<L::Value>,
    ) {
        let Extent { columns, channels, .. } = self.extent;
        let [top, left] = self.tiling.place(self.tile);
        let first = top * columns + left;
        let from_line = IN * self.plane;
        for channel in (0..channels).step_by(L::WIDTH) {
            // SAFETY: only this tile's rows of the planes are read, only pixels inside the picture written.
            unsafe {
                let least = L::splat(if end.relu { 0.0 } else { f32::NEG_INFINITY });
                let mut from_column = self.spread.at(self.tile - self.first, channel).start;
                let mut half = [[L::zero(); OUT]; IN];
                for column in &mut half {
                    let mut from = from_column;
                    let mut m = [L::zero(); IN];
                    for m in &mut m {
                        *m = L::load(from);
                        from = from.wrapping_add(from_line);
                    }
                    *column = from_points::<L, OUT, IN>(m);
                    from_column = from_column.wrapping_add(self.plane);
                }
                let bias = L::load(bias.as_ptr().add(channel));
                let to = end.at(first, channel);
                for r in 0..OUT {
                    if !WHOLE && r >= rows_here {
                        break;
                    }
                    let line = from_points::<L, OUT, IN>(std::array::from_fn(|c| half[c][r]));
                    let to = to.at(r * columns, 0);
                    for c in 0..OUT {
                        if WHOLE || c < columns_here {
                            let mut value = L::add(line[c], bias);
                            if let Some(shortcut) = to.shortcut {
                                value = L::add(value, L::load_values(shortcut.at(c, 0).start));
                            }
                            L::store_values(to.output.at(c, 0).start, L::larger(least, value));
                        }
                    }
                }
            }
        }
    }
}

/// One column of `B^T d`.
#[inline(always)]
unsafe fn to_points<L: Lanes, const IN: usize>(d: [L::Vector; IN]) -> [L::Vector; IN] {
    let mut points = d;
    // SAFETY: no memory. Indices are known at compile time, and so is which arm is left.
    unsafe {
        let (two, minus_two, minus_three) = (L::splat(2.0), L::splat(-2.0), L::splat(-3.0));
        match IN {
            4 => {
                points[0] = L::sub(d[0], d[2]);
                points[1] = L::add(d[1], d[2]);
                points[2] = L::sub(d[2], d[1]);
                points[3] = L::sub(d[3], d[1]);
            }
            5 => {
                points[0] = L::sub(d[0], d[2]);
                points[1] = d[2];
                points[2] = L::sub(d[4], d[2]);
                points[3] = d[1];
                points[4] = d[3];
            }
            6 => {
                let (four, minus_four, minus_five) = (L::splat(4.0), L::splat(-4.0), L::splat(-5.0));
                let even = L::fma(minus_four, d[2], d[4]);
                let odd = L::fma(minus_four, d[1], d[3]);
                let even_2 = L::sub(d[4], d[2]);
                let odd_2 = L::sub(d[3], d[1]);
                points[0] = L::fma(four, d[0], L::fma(minus_five, d[2], d[4]));
                points[1] = L::add(even, odd);
                points[2] = L::sub(even, odd);
                points[3] = L::fma(two, odd_2, even_2);
                points[4] = L::sub(even_2, L::fma(two, odd_2, L::zero()));
                points[5] = L::fma(four, d[1], L::fma(minus_five, d[3], d[5]));
            }
            _ => {
                // Every other pixel, then those between.
                let far = L::sub(d[6], d[2]);
                points[0] = L::fma(two, L::sub(d[0], d[4]), far);
                points[1] = L::sub(L::fma(minus_two, d[2], d[6]), d[4]);
                points[2] = L::fma(two, d[2], L::fma(minus_three, d[4], d[6]));
                points[3] = far;
                points[4] = L::fma(minus_two, far, L::sub(d[8], d[4]));
                points[5] = d[1];
                points[6] = d[3];
                points[7] = d[5];
                points[8] = d[7];
            }
        }
    }
    points
}

/// One column of `A^T m`.
#[inline(always)]
unsafe fn from_points<L: Lanes, const OUT: usize, const IN: usize>(m: [L::Vector; IN]) -> [L::Vector; OUT] {
    // SAFETY: as above.
    unsafe {
        let mut line = [L::zero(); OUT];
        let (two, four, eight) = (L::splat(2.0), L::splat(4.0), L::splat(8.0));
        let (near, near_odd) = (L::add(m[1], m[2]), L::sub(m[1], m[2]));
        match IN {
            4 => {
                line[0] = L::add(m[0], near);
                line[1] = L::add(near_odd, m[3]);
            }
            5 => {
                line[0] = L::add(L::add(m[0], m[1]), m[3]);
                line[1] = L::add(near, m[4]);
            }
            6 => {
                let (far, far_odd) = (L::add(m[3], m[4]), L::sub(m[3], m[4]));
                line[0] = L::add(L::add(m[0], near), far);
                line[1] = L::fma(two, far_odd, near_odd);
                line[2] = L::fma(four, far, near);
                line[3] = L::add(L::fma(eight, far_odd, near_odd), m[5]);
            }
            _ => {
                line[0] = L::add(L::add(m[0], near), L::add(m[3], m[5]));
                line[1] = L::add(L::fma(two, m[3], near_odd), m[6]);
                line[2] = L::add(L::fma(four, m[3], near), m[7]);
                line[3] = L::add(L::fma(eight, m[3], near_odd), L::add(m[4], m[8]));
            }
        }
        line
    }
}
