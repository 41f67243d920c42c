//! Intel's tile registers (AMX): one instruction adds the product of 16 rows by 32 bfloat16 with 32 by 16 columns to 16 x 16
//! sums in f32.
//!
//! Rust has no stable intrinsics for them, so the instructions stand in `asm!`. Tiles and their configuration are a state of
//! the thread that compilers know nothing of and leave alone: [`begin`] sets it up, [`load`], [`multiply`] and [`store`] use it,
//! [`end`] clears it, all within one job.
//!
//! Sums are in registers 0 and 1 for the upper rows, in 2 and 3 for the lower ones; the left side in 4 and 5, the right one in
//! 6 and 7.

use std::arch::asm;
use std::sync::LazyLock;

/// Rows of a tile register at most; two of them lie above each other in a tile of sums.
pub(super) const ROWS: usize = 16;
/// Pairs of bfloat16 in a row of a tile register.
pub(super) const PAIRS: usize = 16;

/// Whether the processor has them and the system lets this process use them.
pub(super) fn available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(|| on_processor() && granted());
    *AVAILABLE
}

/// `AMX-TILE` and `AMX-BF16` (Intel's Software Developer's Manual, CPUID, leaf 7).
fn on_processor() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const BOTH: u32 = 1 << 24 | 1 << 22;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & BOTH == BOTH
}

/// Linux saves the tiles' eight kilobytes of a thread only for processes that have asked for it, once, for all their threads.
#[cfg(target_os = "linux")]
fn granted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: sets a permission of this process and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn granted() -> bool {
    false
}

/// What `LDTILECFG` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Config {
    /// For so many rows in the upper and the lower registers.
    fn new([upper, lower]: [usize; 2]) -> Self {
        let heights = [upper, upper, lower, lower, upper, lower, PAIRS, PAIRS];
        let mut config = Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        for (register, height) in heights.into_iter().enumerate().filter(|(_, height)| *height > 0) {
            config.row_bytes[register] = 64;
            config.rows[register] = height as u8;
        }
        config
    }
}

/// Makes the registers ready for tiles of 1 to 16 upper rows and of 0 to 16 lower ones.
///
/// # Safety
/// [`available`] has said yes.
pub(super) unsafe fn begin(rows: [usize; 2]) {
    assert!((1..=ROWS).contains(&rows[0]) && rows[1] <= ROWS, "{rows:?} rows");
    let config = Config::new(rows);
    // SAFETY: reads the 64 bytes of a configuration and changes nothing but tiles.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly, preserves_flags)) }
}

/// # Safety
/// [`available`] has said yes.
#[inline(always)]
pub(super) unsafe fn end() {
    // SAFETY: changes nothing but tiles.
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
}

/// Sets the sums of both halves and of one or two vectors of columns to zero.
///
/// # Safety
/// As for [`load`].
#[inline(always)]
pub(super) unsafe fn zero<const LOWER: bool, const VECTORS: usize>() {
    // SAFETY: changes nothing but tiles.
    unsafe {
        asm!("tilezero tmm0", options(nostack, nomem, preserves_flags));
        if VECTORS > 1 {
            asm!("tilezero tmm1", options(nostack, nomem, preserves_flags));
        }
        if LOWER {
            asm!("tilezero tmm2", options(nostack, nomem, preserves_flags));
        }
        if LOWER && VECTORS > 1 {
            asm!("tilezero tmm3", options(nostack, nomem, preserves_flags));
        }
    }
}

/// Sets the sums of both halves and of one or two vectors of columns. `stride` are bytes from row to row.
///
/// # Safety
/// [`begin`] was called for rows in both halves, or in the upper one alone; all places have the rows and columns.
#[inline(always)]
pub(super) unsafe fn load<const LOWER: bool, const VECTORS: usize>(from: [*const u8; 2], stride: usize) {
    // SAFETY: passed on.
    unsafe {
        asm!("tileloadd tmm0, [{} + {}]", in(reg) from[0], in(reg) stride, options(nostack, readonly, preserves_flags));
        if VECTORS > 1 {
            asm!("tileloadd tmm1, [{} + {} + 64]", in(reg) from[0], in(reg) stride, options(nostack, readonly, preserves_flags));
        }
        if LOWER {
            asm!("tileloadd tmm2, [{} + {}]", in(reg) from[1], in(reg) stride, options(nostack, readonly, preserves_flags));
        }
        if LOWER && VECTORS > 1 {
            asm!("tileloadd tmm3, [{} + {} + 64]", in(reg) from[1], in(reg) stride, options(nostack, readonly, preserves_flags));
        }
    }
}

/// Adds the product of 16 pairs of the inner dimension. `weights` holds, for each pair, the pairs of 16 columns side by side;
/// `row` are bytes from one to the next.
///
/// # Safety
/// As for [`load`].
#[inline(always)]
pub(super) unsafe fn multiply<const LOWER: bool, const VECTORS: usize>(
    left: [*const u8; 2],
    stride: usize,
    weights: [*const u8; 2],
    row: usize,
) {
    // Loads before products: where another thread has half of the core, the quickest order by a tenth; else all are alike.
    macro_rules! product {
        ([$($load:literal),*], [$($more:literal),*], [$($product:literal),*]) => {
            asm!(
                "tileloadd tmm4, [{upper} + {stride}]",
                $($load,)*
                "tileloadd tmm6, [{weights} + {row}]",
                $($more,)*
                "tdpbf16ps tmm0, tmm4, tmm6",
                $($product,)*
                upper = in(reg) left[0],
                lower = in(reg) left[1],
                stride = in(reg) stride,
                weights = in(reg) weights[0],
                second = in(reg) weights[1],
                row = in(reg) row,
                options(nostack, readonly, preserves_flags),
            )
        };
    }
    // SAFETY: passed on.
    unsafe {
        match (LOWER, VECTORS > 1) {
            (true, true) => product!(
                ["tileloadd tmm5, [{lower} + {stride}]"],
                ["tileloadd tmm7, [{second} + {row}]"],
                ["tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm1, tmm4, tmm7", "tdpbf16ps tmm3, tmm5, tmm7"]
            ),
            (true, false) => {
                product!(["tileloadd tmm5, [{lower} + {stride}]"], ["/* {second} */"], ["tdpbf16ps tmm2, tmm5, tmm6"])
            }
            (false, true) => {
                product!(["/* {lower} */"], ["tileloadd tmm7, [{second} + {row}]"], ["tdpbf16ps tmm1, tmm4, tmm7"])
            }
            (false, false) => product!(["/* {lower} */"], ["/* {second} */"], []),
        }
    }
}

/// Writes the sums.
///
/// # Safety
/// As for [`load`].
#[inline(always)]
pub(super) unsafe fn store<const LOWER: bool, const VECTORS: usize>(to: [*mut u8; 2], stride: usize) {
    // SAFETY: passed on.
    unsafe {
        asm!("tilestored [{} + {}], tmm0", in(reg) to[0], in(reg) stride, options(nostack, preserves_flags));
        if VECTORS > 1 {
            asm!("tilestored [{} + {} + 64], tmm1", in(reg) to[0], in(reg) stride, options(nostack, preserves_flags));
        }
        if LOWER {
            asm!("tilestored [{} + {}], tmm2", in(reg) to[1], in(reg) stride, options(nostack, preserves_flags));
        }
        if LOWER && VECTORS > 1 {
            asm!("tilestored [{} + {} + 64], tmm3", in(reg) to[1], in(reg) stride, options(nostack, preserves_flags));
        }
    }
}
