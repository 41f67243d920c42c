//! NEON, with and without bfloat16 (FEAT_BF16: Armv8.6, Apple from the M2 on, Neoverse from V1 and N2 on).
//!
//! Rust has no stable intrinsics for bfloat16 here, nor for prefetching, so those instructions stand in `asm!`.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Bf16, Job, Lanes};

#[derive(Clone, Copy)]
pub(in super::super) struct Neon;
/// Pairs of bfloat16 multiplied, f32 sums.
#[derive(Clone, Copy)]
pub(in super::super) struct NeonBf16;

#[target_feature(enable = "neon")]
fn on_neon<J: Job<Neon>>(job: J) -> J::Output {
    // SAFETY: the caller has checked for the features that this function is compiled with.
    unsafe { job.run() }
}
#[target_feature(enable = "neon,bf16")]
fn on_neon_bf16<J: Job<NeonBf16>>(job: J) -> J::Output {
    // SAFETY: as above.
    unsafe { job.run() }
}

/// What both share. Of 32 registers 24 hold sums, two the right side and one the left.
macro_rules! f32_of_128 {
    () => {
        type Vector = float32x4_t;
        const WIDTH: usize = 4;
        const TILE_ROWS: usize = 12;
        const TILE_VECTORS: usize = 2;
        #[inline(always)]
        fn zero() -> float32x4_t {
            // SAFETY: no memory; callers run where the instructions are.
            unsafe { vdupq_n_f32(0.0) }
        }
        #[inline(always)]
        unsafe fn prefetch(address: *const u8) {
            unsafe { asm!("prfm pldl1keep, [{0}]", in(reg) address, options(readonly, nostack, preserves_flags)) }
        }
        #[inline(always)]
        unsafe fn prefetch_far(address: *const u8) {
            unsafe { asm!("prfm pldl2keep, [{0}]", in(reg) address, options(readonly, nostack, preserves_flags)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> float32x4_t {
            unsafe { vld1q_f32(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, vector: float32x4_t) {
            unsafe { vst1q_f32(to, vector) }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> float32x4_t {
            unsafe { vdupq_n_f32(value) }
        }
        #[inline(always)]
        unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vaddq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vsubq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
            unsafe { vfmaq_f32(c, a, b) }
        }
        #[inline(always)]
        unsafe fn larger(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vmaxq_f32(a, b) }
        }
    };
}

impl Lanes for Neon {
    single_values!(float32x4_t);
    f32_of_128!();
    #[inline(always)]
    unsafe fn dispatch<J: Job<Self>>(job: J) -> J::Output {
        unsafe { on_neon(job) }
    }
}

impl Lanes for NeonBf16 {
    f32_of_128!();
    type Value = Bf16;
    type Single = Neon;
    const PAIR: usize = 2;
    #[inline(always)]
    unsafe fn load_values(from: *const Bf16) -> float32x4_t {
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn store_values(to: *mut Bf16, vector: float32x4_t) {
        unsafe { vst1_u16(to.cast(), rounded(vector)) }
    }
    #[inline(always)]
    unsafe fn interleave(a: *const f32, b: *const f32, to: *mut Bf16) {
        unsafe { vst2_u16(to.cast(), uint16x4x2_t(rounded(Self::load(a)), rounded(Self::load(b)))) }
    }
    #[inline(always)]
    unsafe fn repeat(from: *const Bf16) -> float32x4_t {
        // Once is enough, since the multiplication repeats it.
        unsafe { vsetq_lane_f32::<0>(from.cast::<f32>().read_unaligned(), Self::zero()) }
    }
    #[inline(always)]
    unsafe fn operand(from: *const Bf16) -> float32x4_t {
        unsafe { vreinterpretq_f32_u16(vld1q_u16(from.cast())) }
    }
    #[inline(always)]
    unsafe fn multiply_add(left: float32x4_t, right: float32x4_t, mut sum: float32x4_t) -> float32x4_t {
        unsafe {
            asm!(
                "bfdot {sum:v}.4s, {right:v}.8h, {left:v}.2h[0]",
                sum = inout(vreg) sum,
                left = in(vreg) left,
                right = in(vreg) right,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }
    #[inline(always)]
    fn to_f32(value: Bf16) -> f32 {
        value.to_f32()
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Bf16 {
        Bf16::from_f32(value)
    }
    #[inline(always)]
    unsafe fn dispatch<J: Job<Self>>(job: J) -> J::Output {
        unsafe { on_neon_bf16(job) }
    }
}

/// To the nearest, ties to even.
///
/// # Safety
/// FEAT_BF16 is there.
#[inline(always)]
unsafe fn rounded(vector: float32x4_t) -> uint16x4_t {
    let half: uint16x4_t;
    unsafe {
        asm!(
            "bfcvtn {half:v}.4h, {vector:v}.4s",
            half = lateout(vreg) half,
            vector = in(vreg) vector,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    half
}
