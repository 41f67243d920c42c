//! Vector registers: the one place that names instruction sets.
//!
//! [`Lanes`] is what the loops of this module need of a processor, [`Isa`] the choice at run time. A [`Job`] is a loop that
//! is compiled once for each instruction set: its `run` must be `#[inline(always)]`, so that it becomes part of a function
//! for which the compiler may use those instructions.

#[cfg(test)]
pub(super) mod emulated;
#[cfg(target_arch = "x86_64")]
mod tiles;

use super::Precision;

/// What a forward pass keeps of an activation.
pub(super) trait Value: bytemuck::Pod + Default + Send + Sync {
    /// Channels of a pixel are filled up to whole groups with zeros.
    const GROUP: usize;
}
impl Value for f32 {
    const GROUP: usize = 1;
}
/// bfloat16: the upper half of an f32.
#[derive(Clone, Copy, Default, PartialEq, Debug, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(transparent)]
pub(super) struct Bf16(pub(super) u16);
impl Value for Bf16 {
    /// So that windows begin with whole pairs, and a row of the stem's window, 7 pixels of 3 channels, fits one block.
    const GROUP: usize = 4;
}

impl Bf16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// To the nearest, ties to even; NaN stays NaN.
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
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
    /// Reads `PAIR` values and repeats them `WIDTH` times: the left operand of [`Lanes::multiply_add`].
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

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64::*;

    use super::{Bf16, Job, Lanes, tiles};

    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512;
    /// Pairs of bfloat16 multiplied, f32 sums.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512Bf16;
    /// The same, whole tiles at a time.
    #[derive(Clone, Copy)]
    pub(in super::super) struct AmxBf16;
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn on_avx512<J: Job<Avx512>>(job: J) -> J::Output {
        // SAFETY: the caller has checked for the features that this function is compiled with.
        unsafe { job.run() }
    }
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    fn on_avx512_bf16<J: Job<Avx512Bf16>>(job: J) -> J::Output {
        // SAFETY: as above.
        unsafe { job.run() }
    }
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    fn on_amx_bf16<J: Job<AmxBf16>>(job: J) -> J::Output {
        // SAFETY: as above; tile registers are named in `asm!` alone.
        unsafe { job.run() }
    }
    #[target_feature(enable = "avx2,fma")]
    fn on_avx2<J: Job<Avx2>>(job: J) -> J::Output {
        // SAFETY: as above.
        unsafe { job.run() }
    }

    /// What both kinds of 512-bit lanes share.
    macro_rules! f32_of_512 {
        () => {
            type Vector = __m512;
            const WIDTH: usize = 16;
            const TILE_VECTORS: usize = 2;
            #[inline(always)]
            fn zero() -> __m512 {
                // SAFETY: no memory; callers run where the instructions are.
                unsafe { _mm512_setzero_ps() }
            }
            #[inline(always)]
            unsafe fn prefetch(address: *const u8) {
                unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
            }
            #[inline(always)]
            unsafe fn prefetch_far(address: *const u8) {
                unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> __m512 {
                unsafe { _mm512_loadu_ps(from) }
            }
            #[inline(always)]
            unsafe fn store(to: *mut f32, vector: __m512) {
                unsafe { _mm512_storeu_ps(to, vector) }
            }
            #[inline(always)]
            unsafe fn splat(value: f32) -> __m512 {
                unsafe { _mm512_set1_ps(value) }
            }
            #[inline(always)]
            unsafe fn add(a: __m512, b: __m512) -> __m512 {
                unsafe { _mm512_add_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn sub(a: __m512, b: __m512) -> __m512 {
                unsafe { _mm512_sub_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
                unsafe { _mm512_fmadd_ps(a, b, c) }
            }
            #[inline(always)]
            unsafe fn larger(a: __m512, b: __m512) -> __m512 {
                unsafe { _mm512_max_ps(a, b) }
            }
        };
    }

    impl Lanes for Avx512 {
        single_values!(__m512);
        f32_of_512!();
        const TILE_ROWS: usize = 12;
        #[inline(always)]
        unsafe fn dispatch<J: Job<Self>>(job: J) -> J::Output {
            unsafe { on_avx512(job) }
        }
    }

    /// What lanes of 512 bits share whose values are bfloat16.
    macro_rules! bf16_of_512 {
        () => {
            f32_of_512!();
            type Value = Bf16;
            type Single = Avx512;
            const PAIR: usize = 2;
            #[inline(always)]
            unsafe fn load_values(from: *const Bf16) -> __m512 {
                unsafe {
                    let half = _mm256_loadu_si256(from.cast());
                    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)))
                }
            }
            #[inline(always)]
            unsafe fn store_values(to: *mut Bf16, vector: __m512) {
                unsafe {
                    let half: __m256bh = _mm512_cvtneps_pbh(vector);
                    _mm256_storeu_si256(to.cast(), std::mem::transmute::<__m256bh, __m256i>(half));
                }
            }
            #[inline(always)]
            unsafe fn store_two(to: *mut Bf16, [first, second]: [__m512; 2]) {
                unsafe {
                    let both: __m512bh = _mm512_cvtne2ps_pbh(second, first);
                    _mm512_storeu_si512(to.cast(), std::mem::transmute::<__m512bh, __m512i>(both));
                }
            }
            #[inline(always)]
            unsafe fn interleave(a: *const f32, b: *const f32, to: *mut Bf16) {
                unsafe {
                    let half = |from| std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(Self::load(from)));
                    let (low, high) = (_mm512_cvtepu16_epi32(half(a)), _mm512_cvtepu16_epi32(half(b)));
                    _mm512_storeu_si512(to.cast(), _mm512_or_si512(low, _mm512_slli_epi32::<16>(high)));
                }
            }
            #[inline(always)]
            unsafe fn repeat(from: *const Bf16) -> __m512 {
                unsafe { _mm512_castsi512_ps(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
            }
            #[inline(always)]
            unsafe fn operand(from: *const Bf16) -> __m512 {
                unsafe { _mm512_loadu_ps(from.cast()) }
            }
            #[inline(always)]
            unsafe fn multiply_add(left: __m512, right: __m512, sum: __m512) -> __m512 {
                unsafe {
                    let (left, right) =
                        (std::mem::transmute::<__m512, __m512bh>(left), std::mem::transmute::<__m512, __m512bh>(right));
                    _mm512_dpbf16_ps(sum, left, right)
                }
            }
            #[inline(always)]
            fn to_f32(value: Bf16) -> f32 {
                value.to_f32()
            }
            #[inline(always)]
            fn from_f32(value: f32) -> Bf16 {
                Bf16::from_f32(value)
            }
        };
    }

    impl Lanes for Avx512Bf16 {
        bf16_of_512!();
        const TILE_ROWS: usize = 12;
        #[inline(always)]
        unsafe fn dispatch<J: Job<Self>>(job: J) -> J::Output {
            unsafe { on_avx512_bf16(job) }
        }
    }

    /// Sixteen rows of as many 32-bit values turned on their side: neighbours, pairs of neighbours, then quarters of registers
    /// change places.
    ///
    /// # Safety
    /// AVX-512 is there; rows lie `stride` and `to_stride` values apart.
    #[inline(always)]
    unsafe fn transpose_16_by_16(from: *const i32, stride: usize, to: *mut i32, to_stride: usize) {
        unsafe {
            let rows: [__m512i; 16] = std::array::from_fn(|row| _mm512_loadu_si512(from.add(row * stride).cast()));
            let mut twos = rows;
            for at in (0..16).step_by(2) {
                twos[at] = _mm512_unpacklo_epi32(rows[at], rows[at + 1]);
                twos[at + 1] = _mm512_unpackhi_epi32(rows[at], rows[at + 1]);
            }
            // In `fours[4 * k + c]` the quarter `q` holds column `4 * q + c` of rows `4 * k` to `4 * k + 3`.
            let mut fours = twos;
            for at in (0..16).step_by(4) {
                fours[at] = _mm512_unpacklo_epi64(twos[at], twos[at + 2]);
                fours[at + 1] = _mm512_unpackhi_epi64(twos[at], twos[at + 2]);
                fours[at + 2] = _mm512_unpacklo_epi64(twos[at + 1], twos[at + 3]);
                fours[at + 3] = _mm512_unpackhi_epi64(twos[at + 1], twos[at + 3]);
            }
            const EVEN: i32 = 0x88;
            const ODD: i32 = 0xdd;
            for column in 0..4 {
                let [a, b, c, d] = std::array::from_fn(|k| fours[4 * k + column]);
                let (even, more_even) = (_mm512_shuffle_i32x4::<EVEN>(a, b), _mm512_shuffle_i32x4::<EVEN>(c, d));
                let (odd, more_odd) = (_mm512_shuffle_i32x4::<ODD>(a, b), _mm512_shuffle_i32x4::<ODD>(c, d));
                let turned = [
                    _mm512_shuffle_i32x4::<EVEN>(even, more_even),
                    _mm512_shuffle_i32x4::<EVEN>(odd, more_odd),
                    _mm512_shuffle_i32x4::<ODD>(even, more_even),
                    _mm512_shuffle_i32x4::<ODD>(odd, more_odd),
                ];
                for (quarter, row) in turned.into_iter().enumerate() {
                    _mm512_storeu_si512(to.add((4 * quarter + column) * to_stride).cast(), row);
                }
            }
        }
    }

    impl Lanes for AmxBf16 {
        bf16_of_512!();
        const TILE_ROWS: usize = 2 * tiles::ROWS;
        const BLOCK: usize = tiles::PAIRS;
        #[inline(always)]
        unsafe fn transpose_pairs(from: *const Bf16, stride: usize, to: *mut Bf16, to_stride: usize) {
            unsafe { transpose_16_by_16(from.cast(), stride / 2, to.cast(), to_stride / 2) }
        }
        #[inline(always)]
        unsafe fn begin_tiles(rows: [usize; 2]) {
            unsafe { tiles::begin(rows) }
        }
        #[inline(always)]
        unsafe fn end_tiles() {
            unsafe { tiles::end() }
        }
        #[inline(always)]
        unsafe fn zero_tiles<const LOWER: bool, const VECTORS: usize>() {
            unsafe { tiles::zero::<LOWER, VECTORS>() }
        }
        #[inline(always)]
        unsafe fn load_tiles<const LOWER: bool, const VECTORS: usize>(from: [*const f32; 2], stride: usize) {
            unsafe { tiles::load::<LOWER, VECTORS>(from.map(<*const f32>::cast), stride * size_of::<f32>()) }
        }
        #[inline(always)]
        unsafe fn multiply_tiles<const LOWER: bool, const VECTORS: usize>(
            left: [*const Bf16; 2],
            stride: usize,
            weights: [*const Bf16; 2],
            row: usize,
        ) {
            const BYTES: usize = size_of::<Bf16>();
            let [left, weights] = [left, weights].map(|two| two.map(<*const Bf16>::cast));
            unsafe { tiles::multiply::<LOWER, VECTORS>(left, stride * BYTES, weights, row * BYTES) }
        }
        #[inline(always)]
        unsafe fn store_tiles<const LOWER: bool, const VECTORS: usize>(to: [*mut f32; 2], stride: usize) {
            unsafe { tiles::store::<LOWER, VECTORS>(to.map(<*mut f32>::cast), stride * size_of::<f32>()) }
        }
        #[inline(always)]
        unsafe fn dispatch<J: Job<Self>>(job: J) -> J::Output {
            unsafe { on_amx_bf16(job) }
        }
    }

    impl Lanes for Avx2 {
        single_values!(__m256);
        type Vector = __m256;
        const WIDTH: usize = 8;
        const TILE_ROWS: usize = 6;
        const TILE_VECTORS: usize = 2;
        #[inline(always)]
        fn zero() -> __m256 {
            // SAFETY: no memory; callers run where the instructions are.
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn prefetch(address: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        }
        #[inline(always)]
        unsafe fn prefetch_far(address: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, vector: __m256) {
            unsafe { _mm256_storeu_ps(to, vector) }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> __m256 {
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn larger(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn dispatch<J: Job<Self>>(job: J) -> J::Output {
            unsafe { on_avx2(job) }
        }
    }
}

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
