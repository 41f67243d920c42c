//! The lanes of processors that multiply bfloat16, in plain Rust: so that the ways of pairs and of whole blocks are tested
//! on machines without such instructions.

use std::cell::RefCell;

use super::{Bf16, Job, Lanes, Portable};

/// As AVX-512 BF16 works: pairs.
#[derive(Clone, Copy)]
pub(in super::super) struct Pairs;
/// As AMX works: pairs, whole blocks of them at a time.
#[derive(Clone, Copy)]
pub(in super::super) struct Blocks;

const WIDTH: usize = <Portable as Lanes>::WIDTH;
type Vector = <Portable as Lanes>::Vector;

/// A pair of values in the place of one number.
fn pair(values: [Bf16; 2]) -> f32 {
    f32::from_bits(u32::from(values[0].0) | u32::from(values[1].0) << 16)
}

fn apart(pair: f32) -> [f32; 2] {
    let bits = pair.to_bits();
    [Bf16(bits as u16), Bf16((bits >> 16) as u16)].map(Bf16::to_f32)
}

/// What both share.
macro_rules! bf16_in_plain_rust {
    () => {
        type Value = Bf16;
        type Vector = Vector;
        type Single = Portable;
        const WIDTH: usize = WIDTH;
        const PAIR: usize = 2;
        const TILE_VECTORS: usize = 2;

        fn zero() -> Vector {
            Portable::zero()
        }
        unsafe fn load(from: *const f32) -> Vector {
            unsafe { Portable::load(from) }
        }
        unsafe fn store(to: *mut f32, vector: Vector) {
            unsafe { Portable::store(to, vector) }
        }
        unsafe fn load_values(from: *const Bf16) -> Vector {
            unsafe { from.cast::<[Bf16; WIDTH]>().read_unaligned().map(Bf16::to_f32) }
        }
        unsafe fn store_values(to: *mut Bf16, vector: Vector) {
            unsafe { to.cast::<[Bf16; WIDTH]>().write_unaligned(vector.map(Bf16::from_f32)) }
        }
        unsafe fn interleave(a: *const f32, b: *const f32, to: *mut Bf16) {
            unsafe {
                for at in 0..WIDTH {
                    to.add(2 * at).write(Bf16::from_f32(*a.add(at)));
                    to.add(2 * at + 1).write(Bf16::from_f32(*b.add(at)));
                }
            }
        }
        unsafe fn repeat(from: *const Bf16) -> Vector {
            unsafe { [pair([*from, *from.add(1)]); WIDTH] }
        }
        unsafe fn operand(from: *const Bf16) -> Vector {
            unsafe { std::array::from_fn(|at| pair([*from.add(2 * at), *from.add(2 * at + 1)])) }
        }
        unsafe fn multiply_add(left: Vector, right: Vector, sum: Vector) -> Vector {
            std::array::from_fn(|at| {
                let ([a, b], [c, d]) = (apart(left[at]), apart(right[at]));
                sum[at] + a * c + b * d
            })
        }
        unsafe fn splat(value: f32) -> Vector {
            unsafe { Portable::splat(value) }
        }
        unsafe fn add(a: Vector, b: Vector) -> Vector {
            unsafe { Portable::add(a, b) }
        }
        unsafe fn sub(a: Vector, b: Vector) -> Vector {
            unsafe { Portable::sub(a, b) }
        }
        unsafe fn fma(a: Vector, b: Vector, c: Vector) -> Vector {
            unsafe { Portable::fma(a, b, c) }
        }
        unsafe fn larger(a: Vector, b: Vector) -> Vector {
            unsafe { Portable::larger(a, b) }
        }
        fn to_f32(value: Bf16) -> f32 {
            value.to_f32()
        }
        fn from_f32(value: f32) -> Bf16 {
            Bf16::from_f32(value)
        }
        unsafe fn dispatch<J: Job<Self>>(job: J) -> J::Output {
            unsafe { job.run() }
        }
    };
}

impl Lanes for Pairs {
    bf16_in_plain_rust!();
    const TILE_ROWS: usize = 4;
}

impl Lanes for Blocks {
    bf16_in_plain_rust!();
    const TILE_ROWS: usize = 6;
    const BLOCK: usize = 16;

    unsafe fn begin_tiles(rows: [usize; 2]) {
        assert!((1..=Self::TILE_ROWS / 2).contains(&rows[0]) && rows[1] <= Self::TILE_ROWS / 2, "{rows:?} rows");
        TILES.set(Tiles { rows, ..Tiles::default() });
    }
    unsafe fn end_tiles() {
        TILES.take();
    }
    unsafe fn zero_tiles<const LOWER: bool, const VECTORS: usize>() {
        TILES.with_borrow_mut(|tiles| tiles.each::<LOWER, VECTORS>(|_, _, _, sum| *sum = 0.0));
    }
    unsafe fn load_tiles<const LOWER: bool, const VECTORS: usize>(from: [*const f32; 2], stride: usize) {
        TILES.with_borrow_mut(|tiles| {
            tiles.each::<LOWER, VECTORS>(|half, row, column, sum| {
                *sum = unsafe { *from[half].add(row * stride + column) };
            });
        });
    }
    unsafe fn multiply_tiles<const LOWER: bool, const VECTORS: usize>(
        left: [*const Bf16; 2],
        stride: usize,
        weights: [*const Bf16; 2],
        weight_row: usize,
    ) {
        TILES.with_borrow_mut(|tiles| {
            tiles.each::<LOWER, VECTORS>(|half, row, column, sum| {
                for step in 0..2 * Self::BLOCK {
                    let left = unsafe { *left[half].add(row * stride + step) };
                    let place = step / 2 * weight_row + column % WIDTH * 2 + step % 2;
                    let weight = unsafe { *weights[column / WIDTH].add(place) };
                    *sum += left.to_f32() * weight.to_f32();
                }
            });
        });
    }
    unsafe fn store_tiles<const LOWER: bool, const VECTORS: usize>(to: [*mut f32; 2], stride: usize) {
        TILES.with_borrow_mut(|tiles| {
            tiles.each::<LOWER, VECTORS>(|half, row, column, sum| unsafe {
                to[half].add(row * stride + column).write(*sum)
            });
        });
    }
}

thread_local! {
    static TILES: RefCell<Tiles> = RefCell::default();
}

/// Tile registers: sums of both halves, and the rows they are ready for.
#[derive(Default)]
struct Tiles {
    rows: [usize; 2],
    sums: [[[f32; 2 * WIDTH]; Blocks::TILE_ROWS / 2]; 2],
}

impl Tiles {
    /// Calls with half, row in it, column and sum.
    fn each<const LOWER: bool, const VECTORS: usize>(&mut self, mut then: impl FnMut(usize, usize, usize, &mut f32)) {
        assert!(self.rows[0] > 0 && LOWER == (self.rows[1] > 0), "ready for {:?} rows", self.rows);
        for (half, rows) in self.rows.into_iter().enumerate() {
            for (row, sums) in self.sums[half].iter_mut().take(rows).enumerate() {
                sums.iter_mut()
                    .take(VECTORS * WIDTH)
                    .enumerate()
                    .for_each(|(column, sum)| then(half, row, column, sum));
            }
        }
    }
}
