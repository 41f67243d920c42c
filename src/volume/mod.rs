//! The voxels of a series as HU (or as stored values where the file does not make them HU), and what can be
//! computed from them without a screen: windows, sampling, planes and slabs, statistics.

mod column;
mod cubic;
pub mod nifti;
pub mod nrrd;
mod resample;
mod solid;
mod table;
mod voxels;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use cubic::Cubic;
pub use resample::{AxialGrid, Projection, Sampling, Slab, Stack};
pub use solid::{BLOCK, Solid};
pub use table::{MOST_TABLE_ENTRIES, VoiTable};
pub use voxels::{Room, Voxels};
pub use window::{VoiFunction, Window, WindowParseError};

use crate::geometry::PixelPoint;

/// Identifies one immutable volume within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeId(u64);

impl VolumeId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Values of one slice, row-major, `rows * columns` of them.
#[derive(Debug, Clone, PartialEq)]
pub enum SlicePixels {
    /// Exact integers.
    I16(Voxels),
    /// Anything else.
    F32(Vec<f32>),
}

impl SlicePixels {
    pub fn len(&self) -> usize {
        match self {
            Self::I16(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The value at a row-major offset, `None` outside.
    pub fn get(&self, offset: usize) -> Option<f32> {
        self.values().get(offset)
    }
    fn values(&self) -> Values<'_> {
        match self {
            Self::I16(v) => Values::I16(v),
            Self::F32(v) => Values::F32(v),
        }
    }
    fn into_f32(self) -> Self {
        match self {
            Self::I16(v) => Self::F32(v.iter().copied().map(f32::from).collect()),
            f32s => f32s,
        }
    }
    pub fn bytes(&self) -> usize {
        match self {
            Self::I16(v) => v.len() * 2,
            Self::F32(v) => v.len() * 4,
        }
    }
}

/// The values of a slice where they lie: looked up once, where many are asked for.
#[derive(Clone, Copy)]
enum Values<'v> {
    I16(&'v [i16]),
    F32(&'v [f32]),
}

impl Values<'_> {
    fn get(self, offset: usize) -> Option<f32> {
        match self {
            Self::I16(v) => v.get(offset).map(|&v| f32::from(v)),
            Self::F32(v) => v.get(offset).copied(),
        }
    }
}

/// One decoded slice. Immutable, shared by `Arc` so that a slice can be shown before its series is complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    pub rows: usize,
    pub columns: usize,
    pub pixels: SlicePixels,
    /// Inclusive range of values that are padding and no measurement (PixelPaddingValue after rescale, PS3.3 C.7.5.1.1.2).
    pub padding: Option<[f32; 2]>,
}

impl Slice {
    /// The value of the pixel at whole coordinates, `None` outside.
    pub fn at(&self, column: usize, row: usize) -> Option<f32> {
        self.at_in(self.pixels.values(), column, row)
    }
    fn at_in(&self, values: Values<'_>, column: usize, row: usize) -> Option<f32> {
        (column < self.columns && row < self.rows).then(|| values.get(row * self.columns + column)).flatten()
    }
    pub fn is_padding(&self, value: f32) -> bool {
        self.padding.is_some_and(|[low, high]| value >= low && value <= high)
    }
    /// Bilinear sample with edge pixels repeated; the CPU twin of `shaders/slice.wgsl`'s sampling.
    /// `None` more than half a pixel outside the picture.
    pub fn sample_bilinear(&self, at: PixelPoint) -> Option<f32> {
        let (max_c, max_r) = (self.columns.checked_sub(1)? as f64, self.rows.checked_sub(1)? as f64);
        if !(at.column >= -0.5 && at.row >= -0.5 && at.column < max_c + 0.5 && at.row < max_r + 0.5) {
            return None;
        }
        let (c, r) = (at.column.clamp(0.0, max_c), at.row.clamp(0.0, max_r));
        let (c0, r0) = (c.floor(), r.floor());
        let (fc, fr) = ((c - c0) as f32, (r - r0) as f32);
        let (c0, r0) = (c0 as usize, r0 as usize);
        let (c1, r1) = ((c0 + 1).min(self.columns - 1), (r0 + 1).min(self.rows - 1));
        let values = self.pixels.values();
        let at = |column, row| self.at_in(values, column, row);
        let top = at(c0, r0)? * (1.0 - fc) + at(c1, r0)? * fc;
        let bottom = at(c0, r1)? * (1.0 - fc) + at(c1, r1)? * fc;
        Some(top * (1.0 - fr) + bottom * fr)
    }
    /// The value at a place by a cubic through or near the sixteen pixels around it, edges repeated; linear where one of
    /// them is padding or no number. `None` outside, as [`Slice::sample_bilinear`] has it.
    pub fn sample_cubic(&self, at: PixelPoint, cubic: Cubic) -> Option<f32> {
        let linear = self.sample_bilinear(at)?;
        let (columns, fc) = cubic::around(at.column, self.columns);
        let (rows, fr) = cubic::around(at.row, self.rows);
        let (across, down) = (cubic.weights(fc as f32), cubic.weights(fr as f32));
        let values = self.pixels.values();
        let mut sum = 0.0;
        for (row, weight) in rows.into_iter().zip(down) {
            let mut line = 0.0;
            for (column, share) in columns.into_iter().zip(across) {
                let value = self.at_in(values, column, row)?;
                if value.is_nan() || self.is_padding(value) {
                    return Some(linear);
                }
                line += value * share;
            }
            sum += line * weight;
        }
        Some(sum)
    }
    /// The slice with `factor` columns and rows averaged into one, whole numbers rounded; blocks at the right and lower
    /// edge may be smaller. Padding counts as what it is stored as.
    pub fn reduced(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        let (rows, columns) = (self.rows.div_ceil(factor), self.columns.div_ceil(factor));
        let values = self.pixels.values();
        let mean = |i: usize| {
            let (row, column) = (i / columns * factor, i % columns * factor);
            let (mut sum, mut n) = (0.0, 0.0);
            for r in row..(row + factor).min(self.rows) {
                for c in column..(column + factor).min(self.columns) {
                    sum += self.at_in(values, c, r).map_or(0.0, f64::from);
                    n += 1.0;
                }
            }
            sum / f64::max(n, 1.0)
        };
        let means = (0..rows * columns).map(mean);
        let pixels = match &self.pixels {
            SlicePixels::I16(_) => SlicePixels::I16(means.map(|v| v.round() as i16).collect()),
            SlicePixels::F32(_) => SlicePixels::F32(means.map(|v| v as f32).collect()),
        };
        Self { rows, columns, pixels, padding: self.padding }
    }
    /// The values of a part of a row, NaN where they are padding or no finite number. `None` where there are fewer.
    pub fn measured(&self, row: usize, columns: std::ops::Range<usize>) -> Option<Vec<f32>> {
        let start =
            row.checked_mul(self.columns)?.checked_add(columns.start).filter(|_| columns.end <= self.columns)?;
        let range = start..start.checked_add(columns.end.checked_sub(columns.start)?)?;
        Some(match &self.pixels {
            SlicePixels::I16(values) => {
                let [pad_low, pad_high] = whole_padding(self.padding);
                let measured = |v: i16| if v < pad_low || v > pad_high { f32::from(v) } else { f32::NAN };
                values.get(range)?.iter().map(|&v| measured(v)).collect()
            }
            SlicePixels::F32(values) => {
                let measured = |v: f32| if v.is_finite() && !self.is_padding(v) { v } else { f32::NAN };
                values.get(range)?.iter().map(|&v| measured(v)).collect()
            }
        })
    }
    /// Smallest and largest value that is not padding; `None` when there is none.
    pub fn min_max(&self) -> Option<[f32; 2]> {
        let values = match &self.pixels {
            SlicePixels::I16(values) => return whole_min_max(values, self.padding).map(|range| range.map(f32::from)),
            SlicePixels::F32(values) => values.iter().copied(),
        };
        let measured = values.filter(|v| v.is_finite() && !self.is_padding(*v));
        measured.fold(None, |range, v| Some(range.map_or([v, v], |[low, high]: [f32; 2]| [low.min(v), high.max(v)])))
    }
}

/// Smallest and largest value outside the padding, without a branch in the loop, so that many are compared at once.
fn whole_min_max(values: &[i16], padding: Option<[f32; 2]>) -> Option<[i16; 2]> {
    let [pad_low, pad_high] = whole_padding(padding);
    let (mut low, mut high) = (i16::MAX, i16::MIN);
    for &value in values {
        let measured = value < pad_low || value > pad_high;
        low = low.min(if measured { value } else { i16::MAX });
        high = high.max(if measured { value } else { i16::MIN });
    }
    (low <= high).then_some([low, high])
}

/// The whole numbers that are padding, inclusive; 1 to 0 where none is.
#[expect(clippy::cast_possible_truncation, reason = "a cast stays within the type")]
fn whole_padding(padding: Option<[f32; 2]>) -> [i16; 2] {
    let whole = |[low, high]: [f32; 2]| [low.ceil(), high.floor()];
    let some = |[low, high]: &[f32; 2]| low <= high && *high >= f32::from(i16::MIN) && *low <= f32::from(i16::MAX);
    padding.map(whole).filter(some).map_or([1, 0], |range| range.map(|v| v as i16))
}

/// What stands against making one volume of some slices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeError {
    #[error("a volume needs at least one slice")]
    Empty,
    #[error("slice {index} is {rows} x {columns} where {expected_rows} x {expected_columns} was expected")]
    SizeDiffers { index: usize, rows: usize, columns: usize, expected_rows: usize, expected_columns: usize },
}

/// All slices of a series in display order, i16 when every value is exact in it, else f32 throughout.
#[derive(Debug, Clone)]
pub struct Volume {
    id: VolumeId,
    slices: Vec<Arc<Slice>>,
}

impl Volume {
    /// Takes slices in display order. If any holds f32, all are widened to f32.
    pub fn new(mut slices: Vec<Arc<Slice>>) -> Result<Self, VolumeError> {
        let first = slices.first().ok_or(VolumeError::Empty)?;
        let (expected_rows, expected_columns) = (first.rows, first.columns);
        for (index, s) in slices.iter().enumerate() {
            if (s.rows, s.columns) != (expected_rows, expected_columns) || s.pixels.len() != s.rows * s.columns {
                return Err(VolumeError::SizeDiffers {
                    index,
                    rows: s.rows,
                    columns: s.columns,
                    expected_rows,
                    expected_columns,
                });
            }
        }
        if slices.iter().any(|s| matches!(s.pixels, SlicePixels::F32(_))) {
            for s in &mut slices {
                if matches!(s.pixels, SlicePixels::I16(_)) {
                    let mut widened = Slice::clone(s);
                    widened.pixels = widened.pixels.into_f32();
                    *s = Arc::new(widened);
                }
            }
        }
        Ok(Self { id: VolumeId::next(), slices })
    }
    pub fn id(&self) -> VolumeId {
        self.id
    }
    pub fn rows(&self) -> usize {
        self.slices.first().map_or(0, |s| s.rows)
    }
    pub fn columns(&self) -> usize {
        self.slices.first().map_or(0, |s| s.columns)
    }
    /// Slices in display order.
    pub fn slices(&self) -> &[Arc<Slice>] {
        &self.slices
    }
    /// The padding of the first slice that has some.
    pub fn padding(&self) -> Option<[f32; 2]> {
        self.slices.iter().find_map(|s| s.padding)
    }
    pub fn is_integer(&self) -> bool {
        self.slices.iter().all(|s| matches!(s.pixels, SlicePixels::I16(_)))
    }
    /// Size of the voxels in memory.
    pub fn bytes(&self) -> usize {
        self.slices.iter().map(|s| s.pixels.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(values: Vec<i16>, rows: usize, columns: usize) -> Slice {
        Slice { rows, columns, pixels: SlicePixels::I16(values.into()), padding: None }
    }

    #[test]
    fn bilinear_hits_pixels_midpoints_and_edges() {
        let s = slice(vec![0, 10, 20, 30], 2, 2);
        let at = |column, row| s.sample_bilinear(PixelPoint { column, row });
        assert_eq!(at(0.0, 0.0), Some(0.0));
        assert_eq!(at(0.5, 0.5), Some(15.0));
        assert_eq!(at(-0.4, 1.4), Some(20.0));
        assert_eq!(at(-0.6, 0.0), None);
        assert_eq!(at(f64::NAN, 0.0), None);
    }

    #[test]
    fn cubics_meet_pixels_and_straight_lines_and_leave_padding_alone() {
        let ramp = slice((0..36).map(|i| (i % 6 * 10) as i16).collect(), 6, 6);
        let at = |s: &Slice, column, row, cubic| s.sample_cubic(PixelPoint { column, row }, cubic).expect("inside");
        for cubic in [Cubic::Sharp, Cubic::Smooth] {
            assert!((at(&ramp, 2.3, 2.7, cubic) - 23.0).abs() < 1e-4, "{cubic:?}");
            assert_eq!(ramp.sample_cubic(PixelPoint { column: -0.6, row: 1.0 }, cubic), None);
        }
        let mut dot = slice((0..36).map(|i| if i == 14 { 900 } else { 0 }).collect(), 6, 6);
        assert_eq!(at(&dot, 2.0, 2.0, Cubic::Sharp), 900.0);
        assert!((at(&dot, 2.0, 2.0, Cubic::Smooth) - 900.0 * 64.0 / 81.0).abs() < 0.01, "softened");
        assert!(at(&dot, 3.5, 2.0, Cubic::Sharp) < 0.0, "and overshoots beside an edge");
        dot.padding = Some([900.0, 900.0]);
        assert_eq!(at(&dot, 3.5, 2.0, Cubic::Sharp), 0.0, "linear beside padding");
    }

    #[test]
    fn one_float_slice_widens_all() {
        let float = Slice { rows: 1, columns: 1, pixels: SlicePixels::F32(vec![0.5]), padding: None };
        let volume = Volume::new(vec![Arc::new(slice(vec![7], 1, 1)), Arc::new(float)]).expect("same sizes");
        assert!(!volume.is_integer());
        assert_eq!(volume.slices()[0].at(0, 0), Some(7.0));
    }

    #[test]
    fn sizes_must_agree() {
        let error = Volume::new(vec![Arc::new(slice(vec![7], 1, 1)), Arc::new(slice(vec![1, 2], 1, 2))]).unwrap_err();
        assert!(matches!(error, VolumeError::SizeDiffers { index: 1, .. }));
    }

    #[test]
    fn min_max_leaves_padding_out() {
        let mut s = slice(vec![-2000, -100, 900], 1, 3);
        s.padding = Some([-2000.0, -2000.0]);
        assert_eq!(s.min_max(), Some([-100.0, 900.0]));
        s.padding = Some([-5000.5, 899.5]);
        assert_eq!(s.min_max(), Some([900.0, 900.0]));
        s.padding = Some([-1e9, 1e9]);
        assert_eq!(s.min_max(), None);
        // Between two whole numbers and beyond all of them lies none.
        for nothing in [[-100.5, -100.4], [40_000.0, 50_000.0], [-50_000.0, -40_000.0], [f32::NAN, f32::NAN]] {
            s.padding = Some(nothing);
            assert_eq!(s.min_max(), Some([-2000.0, 900.0]), "{nothing:?}");
        }
        s.pixels = SlicePixels::F32(vec![f32::NAN, 0.5, f32::INFINITY]);
        assert_eq!(s.min_max(), Some([0.5, 0.5]));
    }

    #[test]
    fn measured_values_are_what_lies_in_the_row() {
        let mut s = slice(vec![1, 2, 3, 4, 5, 6], 2, 3);
        s.padding = Some([5.0, 5.0]);
        let bits = |values: Option<Vec<f32>>| values.map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<_>>());
        let expected = |values: &[f32]| Some(values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        assert_eq!(bits(s.measured(1, 0..3)), expected(&[4.0, f32::NAN, 6.0]));
        assert_eq!(bits(s.measured(0, 1..2)), expected(&[2.0]));
        assert_eq!((s.measured(0, 1..4), s.measured(2, 0..1), s.measured(usize::MAX, 0..1)), (None, None, None));
        s.pixels = s.pixels.into_f32();
        assert_eq!(bits(s.measured(1, 0..3)), expected(&[4.0, f32::NAN, 6.0]));
    }
}
