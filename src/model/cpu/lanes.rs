//! Vector registers: the one place that names instruction sets.
//!
//! [`Lanes`] is what the loops of this module need of a processor, [`Isa`] the choice at run time. A [`Job`] is a loop that
//! is compiled once for each instruction set: its `run` must be `#[inline(always)]`, so that it becomes part of a function
//! for which the compiler may use those instructions.

#[cfg(test)]
pub(super) mod emulated;

use super::Precision;

/// What a forward pass keeps of an activation.
pub(super) trait Value: bytemuck::Pod + Default + Send + Sync {
    /// Channels of a pixel are filled up to whole groups with zeros.
    const GROUP: usize;
    /// Of the two values that a number lies between, the one that is not the nearest, given the nearest.
    fn beyond(self, number: f32) -> Self;
}
impl Value for f32 {
    const GROUP: usize = 1;

    #[inline(always)]
    fn beyond(self, _: f32) -> Self {
        self
    }
}
/// bfloat16: the upper half of an f32.
#[derive(Clone, Copy, Default, PartialEq, Debug, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(transparent)]
pub(super) struct Bf16(pub(super) u16);
impl Value for Bf16 {
    /// So that windows begin with whole pairs, and a row of the stem's window, 7 pixels of 3 channels, fits one block.
    const GROUP: usize = 4;

    #[inline(always)]
    fn beyond(self, number: f32) -> Self {
        match self.to_f32() {
            nearest if nearest.abs() < number.abs() => Self(self.0.wrapping_add(1)),
            nearest if nearest.abs() > number.abs() => Self(self.0.wrapping_sub(1)),
            // It is the number, or no number.
            _ => self,
        }
    }
}

impl Bf16 {
    #[inline(always)]
    pub(super) fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// To the nearest, ties to even; NaN stays NaN.
    #[inline(always)]
    pub(super) fn from_f32(value: f32) -> Self {
        if value.is_nan() {
            return Self(0x7fc0);
        }
        let bits = value.to_bits();
        let round = 0x7fff + (bits >> 16 & 1);
        Self((bits.wrapping_add(round) >> 16) as u16)
    }
}

/// One instruction set and one precision of activations and weights. Sums are always f32.
///
/// # Safety
/// Every function may be called only where the instruction set is there; [`Lanes::dispatch`] checks nothing either.
/// Pointers must be valid for what the function says it reads or writes; none need be aligned.
pub(super) trait Lanes: Copy + Send + Sync + 'static {
    /// What activations and weights are kept as.
    type Value: Value;
    /// `WIDTH` numbers, f32.
    type Vector: Copy;
    /// The same registers with f32 activations.
    type Single: Lanes<Value = f32, Vector = Self::Vector>;
    /// Numbers in a vector.
    const WIDTH: usize;
    /// Values of the inner dimension that one multiplication takes: 1, or 2 where the hardware multiplies pairs.
    const PAIR: usize;
    /// Rows and vectors of sums that fit the registers beside the operands.
    const TILE_ROWS: usize;
    const TILE_VECTORS: usize;
    /// Inner steps that one multiplication takes: 1, or more where the processor has registers for tiles. Both sides of a
    /// product are filled up to whole blocks, and the left side's steps lie side by side in its rows.
    const BLOCK: usize = 1;

    fn zero() -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(to: *mut f32, vector: Self::Vector);
    /// Reads `WIDTH` values.
    unsafe fn load_values(from: *const Self::Value) -> Self::Vector;
    /// Writes `WIDTH` values, rounded to the nearest.
    unsafe fn store_values(to: *mut Self::Value, vector: Self::Vector);
    /// Writes twice as many.
    #[inline(always)]
    unsafe fn store_two(to: *mut Self::Value, [first, second]: [Self::Vector; 2]) {
        unsafe {
            Self::store_values(to, first);
            Self::store_values(to.add(Self::WIDTH), second);
        }
    }
    /// Reads `WIDTH` numbers each of `a` and `b`, which are neighbours along the inner dimension, and writes them as a right
    /// operand; where one value is an inner step, `b` is not read.
    unsafe fn interleave(a: *const f32, b: *const f32, to: *mut Self::Value);
    /// Reads `PAIR` values that count for all `WIDTH` sums: the left operand of [`Lanes::multiply_add`].
    unsafe fn repeat(from: *const Self::Value) -> Self::Vector;
    /// Reads `PAIR * WIDTH` values: the right operand.
    unsafe fn operand(from: *const Self::Value) -> Self::Vector;
    /// `sum + left * right`, for pairs `sum + left.0 * right.0 + left.1 * right.1`.
    unsafe fn multiply_add(left: Self::Vector, right: Self::Vector, sum: Self::Vector) -> Self::Vector;
    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c` in f32, whatever the precision of the values.
    unsafe fn fma(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of both; where `b` is NaN, NaN.
    unsafe fn larger(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Asks for the cache line at this address.
    unsafe fn prefetch(_address: *const u8) {}
    /// The same, not nearer than the second cache.
    unsafe fn prefetch_far(_address: *const u8) {}
    /// Turns `BLOCK` rows of `WIDTH` pairs of values to `WIDTH` rows of `BLOCK` pairs, where there are tile registers; strides are
    /// values from row to row.
    #[inline(always)]
    unsafe fn transpose_pairs(_from: *const Self::Value, _stride: usize, _to: *mut Self::Value, _to_stride: usize) {
        unreachable!("no tile registers");
    }
    /// Makes tile registers ready for so many rows in the upper half of a tile of sums and in the lower, where there are such.
    #[inline(always)]
    unsafe fn begin_tiles(_rows: [usize; 2]) {
        unreachable!("no tile registers");
    }
    #[inline(always)]
    unsafe fn end_tiles() {}
    /// Sets the sums in the tile registers to zero, of the upper half and, if so, the lower one; `VECTORS` vectors of each row.
    #[inline(always)]
    unsafe fn zero_tiles<const LOWER: bool, const VECTORS: usize>() {
        unreachable!("no tile registers");
    }
    /// Sets them to what lies there; `stride` is in values from row to row, here as below.
    #[inline(always)]
    unsafe fn load_tiles<const LOWER: bool, const VECTORS: usize>(_from: [*const f32; 2], _stride: usize) {
        unreachable!("no tile registers");
    }
    /// Adds the product of one block. `weights` are those of the first vector of columns and of the second, `row` the values from
    /// one inner step of them to the next.
    #[inline(always)]
    unsafe fn multiply_tiles<const LOWER: bool, const VECTORS: usize>(
        _left: [*const Self::Value; 2],
        _stride: usize,
        _weights: [*const Self::Value; 2],
        _row: usize,
    ) {
        unreachable!("no tile registers");
    }
    #[inline(always)]
    unsafe fn store_tiles<const LOWER: bool, const VECTORS: usize>(_to: [*mut f32; 2], _stride: usize) {
        unreachable!("no tile registers");
    }
    fn to_f32(value: Self::Value) -> f32;
    fn from_f32(value: f32) -> Self::Value;
    /// Runs `job` with these instructions.
    unsafe fn dispatch<J: Job<Self>>(job: J) -> J::Output;
}

/// A loop that is compiled for each instruction set.
pub(super) trait Job<L: Lanes> {
    type Output;
    /// # Safety
    /// The instruction set of `L` must be there.
    unsafe fn run(self) -> Self::Output;
}

/// An instruction set and the precision of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    #[cfg(target_arch = "x86_64")]
    AmxBf16,
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    NeonBf16,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

impl Isa {
    /// All that this machine can run, fastest first.
    pub(super) fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512bw") && has!("avx512vl") {
                if has!("avx512bf16") {
                    if tiles::available() {
                        all.push(Self::AmxBf16);
                    }
                    all.push(Self::Avx512Bf16);
                }
                all.push(Self::Avx512);
            }
            if has!("avx2") && has!("fma") {
                all.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use std::arch::is_aarch64_feature_detected as has;
            if has!("bf16") {
                all.push(Self::NeonBf16);
            }
            if has!("neon") {
                all.push(Self::Neon);
            }
        }
        all.push(Self::Portable);
        all
    }

    /// The fastest of this machine with that precision, or with f32 where it has no other.
    pub(super) fn best(precision: Precision) -> Self {
        let half = precision == Precision::Half;
        let mut all = Self::available().into_iter().filter(|isa| half || !isa.is_half());
        all.next().unwrap_or(Self::Portable)
    }

    /// Whether activations and weights are bfloat16.
    pub(super) fn is_half(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if matches!(self, Self::AmxBf16 | Self::Avx512Bf16) {
            return true;
        }
        #[cfg(target_arch = "aarch64")]
        if self == Self::NeonBf16 {
            return true;
        }
        false
    }
}

/// Lanes whose values are f32 as they are: what else they must say follows from loading, storing, repeating and fused
/// multiplication.
macro_rules! single_values {
    ($vector:ty) => {
        type Value = f32;
        type Single = Self;
        const PAIR: usize = 1;
        #[inline(always)]
        unsafe fn load_values(from: *const f32) -> $vector {
            unsafe { Self::load(from) }
        }
        #[inline(always)]
        unsafe fn store_values(to: *mut f32, vector: $vector) {
            unsafe { Self::store(to, vector) }
        }
        #[inline(always)]
        unsafe fn interleave(a: *const f32, _b: *const f32, to: *mut f32) {
            unsafe { Self::store(to, Self::load(a)) }
        }
        #[inline(always)]
        unsafe fn repeat(from: *const f32) -> $vector {
            unsafe { Self::splat(*from) }
        }
        #[inline(always)]
        unsafe fn operand(from: *const f32) -> $vector {
            unsafe { Self::load(from) }
        }
        #[inline(always)]
        unsafe fn multiply_add(left: $vector, right: $vector, sum: $vector) -> $vector {
            unsafe { Self::fma(left, right, sum) }
        }
        #[inline(always)]
        fn to_f32(value: f32) -> f32 {
            value
        }
        #[inline(always)]
        fn from_f32(value: f32) -> f32 {
            value
        }
    };
}

#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
#[cfg(target_arch = "x86_64")]
mod tiles;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

/// Four numbers at a time in plain Rust, which compilers turn into what the target always has.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Lanes for Portable {
    single_values!([f32; 4]);
    type Vector = [f32; 4];
    const WIDTH: usize = 4;
    const TILE_ROWS: usize = 4;
    const TILE_VECTORS: usize = 2;
    #[inline(always)]
    fn zero() -> [f32; 4] {
        [0.0; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 4] {
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: [f32; 4]) {
        unsafe { to.cast::<[f32; 4]>().write_unaligned(vector) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; 4] {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn larger(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn dispatch<J: Job<Self>>(job: J) -> J::Output {
        unsafe { job.run() }
    }
}
