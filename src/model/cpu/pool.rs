//! Max pooling.

use rayon::prelude::*;

use super::lanes::{Job, Lanes};
use super::maps::Extent;

/// What [`max_pool`] makes of a picture.
pub(super) fn output(input: Extent) -> Extent {
    Extent::new(input.rows.div_ceil(2), input.columns.div_ceil(2), input.channels)
}

/// 3 x 3, stride 2, padding 1 with minus infinity, as ResNet's stem has it. `output` has half the rows and columns,
/// rounded up. What is not finite comes out as NaN, so that a broken input never ends as a clean number.
pub(super) fn max_pool<L: Lanes>(input: &[L::Value], extent: Extent, output: &mut [L::Value]) {
    let (out, stride) = (self::output(extent), extent.stride::<L::Value>());
    assert_eq!((input.len(), output.len()), (extent.room::<L::Value>(), out.room::<L::Value>()), "maps");
    output.par_chunks_mut(out.columns * stride).enumerate().for_each(|(y, line)| {
        // SAFETY: the lanes are those of the caller.
        unsafe { L::dispatch(Line::<L> { input, extent, stride, y, line }) }
    });
}

struct Line<'a, L: Lanes> {
    input: &'a [L::Value],
    extent: Extent,
    stride: usize,
    y: usize,
    line: &'a mut [L::Value],
}

impl<L: Lanes> Job<L> for Line<'_, L> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Extent { rows, columns, channels, .. } = self.extent;
        let stride = self.stride;
        let row_values = columns * stride;
        let source_rows = (2 * self.y).saturating_sub(1)..(2 * self.y + 2).min(rows);
        for (x, pixel) in self.line.chunks_exact_mut(stride).enumerate() {
            let source_columns = (2 * x).saturating_sub(1)..(2 * x + 2).min(columns);
            let from = self.input[(source_rows.start * columns + source_columns.start) * stride..].as_ptr();
            let mut channel = 0;
            // SAFETY: all places lie inside the picture and the pixel.
            unsafe {
                while channel + L::WIDTH <= channels {
                    let mut best = L::splat(f32::NEG_INFINITY);
                    // Zero, or NaN where a value is NaN or infinite: the comparison alone would lose it.
                    let mut broken = L::zero();
                    let mut from_row = from.wrapping_add(channel);
                    for _ in source_rows.clone() {
                        let mut from = from_row;
                        for _ in source_columns.clone() {
                            let value = L::load_values(from);
                            best = L::larger(best, value);
                            broken = L::fma(value, L::zero(), broken);
                            from = from.wrapping_add(stride);
                        }
                        from_row = from_row.wrapping_add(row_values);
                    }
                    L::store_values(pixel.as_mut_ptr().add(channel), L::add(best, broken));
                    channel += L::WIDTH;
                }
            }
            for (channel, to) in pixel[..channels].iter_mut().enumerate().skip(channel) {
                let (mut best, mut broken) = (f32::NEG_INFINITY, 0.0);
                for source_y in source_rows.clone() {
                    for source_x in source_columns.clone() {
                        let value = L::to_f32(self.input[(source_y * columns + source_x) * stride + channel]);
                        best = if value > best { value } else { best };
                        broken += value * 0.0;
                    }
                }
                *to = L::from_f32(best + broken);
            }
            pixel[channels..].fill(L::Value::default());
        }
    }
}
