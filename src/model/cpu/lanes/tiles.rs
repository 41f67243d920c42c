//! Intel's tile registers (AMX): one instruction adds the product of 16 rows by 32 bfloat16 with 32 by 16 columns to 16 x 16
//! sums in f32.
//!
//! Rust has no stable intrinsics for them, so the instructions stand in `asm!`. Tiles and their configuration are a state of
//! the thread: [`begin`] sets it, [`multiply`] uses it, [`end`] clears it, all within one job.

use std::arch::asm;
use std::sync::LazyLock;

/// Rows of a tile register; two of them lie above each other in a tile of sums.
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
    /// Sums in registers 0 and 1 for the upper rows, 2 and 3 for the lower; the left side in 4 and 5, the right in 6 and 7.
    const fn new(rows: usize) -> Self {
        let upper = if rows < ROWS { rows } else { ROWS };
        let heights = [upper, upper, rows - upper, rows - upper, upper, rows - upper, PAIRS, PAIRS];
        let mut config = Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        let mut register = 0;
        while register < heights.len() {
            if heights[register] > 0 {
                config.row_bytes[register] = 64;
                config.rows[register] = heights[register] as u8;
            }
            register += 1;
        }
        config
    }
}

static CONFIGS: [Config; 2 * ROWS] = {
    let mut all = [const { Config::new(1) }; 2 * ROWS];
    let mut rows = 1;
    while rows <= 2 * ROWS {
        all[rows - 1] = Config::new(rows);
        rows += 1;
    }
    all
};

/// Makes the registers ready for tiles of 1 to 32 rows.
///
/// # Safety
/// [`available`] has said yes.
#[inline(always)]
pub(super) unsafe fn begin(rows: usize) {
    let config: *const Config = &CONFIGS[rows - 1];
    // SAFETY: reads the 64 bytes of a configuration and changes nothing but tiles.
    unsafe { asm!("ldtilecfg [{}]", in(reg) config, options(nostack, readonly, preserves_flags)) }
}

/// # Safety
/// [`available`] has said yes.
#[inline(always)]
pub(super) unsafe fn end() {
    // SAFETY: changes nothing but tiles.
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
}

/// A place in memory and the bytes from row to row.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) start: *const u8,
    pub(super) stride: usize,
}

/// `to = from + left * weights` for `rows` rows and `vectors` (1 or 2) vectors of 16 columns; `weights` holds, for each pair of
/// the inner dimension, the pairs of all columns side by side. `blocks` of 16 pairs, at least one.
///
/// # Safety
/// [`begin`] was called for as many rows; all places have the rows and columns.
#[inline(always)]
pub(super) unsafe fn multiply(
    rows: usize,
    vectors: usize,
    left: Place,
    weights: *const u8,
    blocks: usize,
    from: Place,
    to: Place,
) {
    // Sums of up to 16 rows by 16 columns, and what more there is for more of either: loads before the loop, loads and
    // products in it, stores after it.
    macro_rules! product {
        ($vectors:literal, [$($load:literal),*], [$($more:literal),*], [$($store:literal),*]) => {
            asm!(
                "tileloadd tmm0, [{from} + {from_stride}]",
                $($load,)*
                "2:",
                "tileloadd tmm4, [{left} + {left_stride}]",
                "tileloadd tmm6, [{weights} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                $($more,)*
                "add {left}, 64",
                "add {lower}, 64",
                "add {weights}, {block}",
                "dec {blocks}",
                "jnz 2b",
                "tilestored [{to} + {to_stride}], tmm0",
                $($store,)*
                left = inout(reg) left.start => _,
                lower = inout(reg) left.start.wrapping_add(ROWS * left.stride) => _,
                left_stride = in(reg) left.stride,
                weights = inout(reg) weights => _,
                row = in(reg) 64 * $vectors as usize,
                block = const 64 * PAIRS * $vectors,
                blocks = inout(reg) blocks => _,
                from = inout(reg) from.start => _,
                from_stride = in(reg) from.stride,
                to = inout(reg) to.start => _,
                to_stride = in(reg) to.stride,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            )
        };
    }
    // SAFETY: passed on.
    unsafe {
        match (rows > ROWS, vectors > 1) {
            (true, true) => product!(
                2,
                [
                    "tileloadd tmm1, [{from} + {from_stride} + 64]",
                    "lea {from}, [{from} + 8*{from_stride}]",
                    "lea {from}, [{from} + 8*{from_stride}]",
                    "tileloadd tmm2, [{from} + {from_stride}]",
                    "tileloadd tmm3, [{from} + {from_stride} + 64]"
                ],
                [
                    "tileloadd tmm7, [{weights} + {row} + 64]",
                    "tileloadd tmm5, [{lower} + {left_stride}]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm3, tmm5, tmm7"
                ],
                [
                    "tilestored [{to} + {to_stride} + 64], tmm1",
                    "lea {to}, [{to} + 8*{to_stride}]",
                    "lea {to}, [{to} + 8*{to_stride}]",
                    "tilestored [{to} + {to_stride}], tmm2",
                    "tilestored [{to} + {to_stride} + 64], tmm3"
                ]
            ),
            (true, false) => product!(
                1,
                [
                    "lea {from}, [{from} + 8*{from_stride}]",
                    "lea {from}, [{from} + 8*{from_stride}]",
                    "tileloadd tmm2, [{from} + {from_stride}]"
                ],
                ["tileloadd tmm5, [{lower} + {left_stride}]", "tdpbf16ps tmm2, tmm5, tmm6"],
                [
                    "lea {to}, [{to} + 8*{to_stride}]",
                    "lea {to}, [{to} + 8*{to_stride}]",
                    "tilestored [{to} + {to_stride}], tmm2"
                ]
            ),
            (false, true) => product!(
                2,
                ["tileloadd tmm1, [{from} + {from_stride} + 64]"],
                ["tileloadd tmm7, [{weights} + {row} + 64]", "tdpbf16ps tmm1, tmm4, tmm7"],
                ["tilestored [{to} + {to_stride} + 64], tmm1"]
            ),
            (false, false) => product!(1, [], [], []),
        }
    }
}
