//! AVX2, AVX-512 with and without bfloat16, and AMX.

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
