//! What real archives do to a series, done to some synthetic ones on purpose when they are written (method 6.4).
//!
//! The generator draws them from the seed alone ([`phantom::Oddities`]), so that they tell nothing of the label, and
//! twins share them. Studies of difficulty `easy` have none. Here is how they become files: an oblique orientation
//! turns the whole stack about the patient's left-right axis (the picture is the same, its place is not), numbers run
//! from the feet, one slice inside the stack is missing or there twice, values are stored in unusual ways.

use crate::dicom::Storage;
use crate::geometry::{PatientPoint, SlicePose, Vec3};
use crate::phantom;
use crate::volume::Slice;

/// Changes whenever the same patient would be written differently.
pub(super) const VERSION: &str = "files/1";

/// How one study is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Oddities {
    pub storage: Storage,
    pub turn_deg: f64,
    pub feet_first: bool,
    /// 0-based, display order, never the first or last.
    pub missing: Option<usize>,
    pub twice: Option<usize>,
}

impl Oddities {
    pub(super) const NONE: Self =
        Self { storage: Storage::USUAL, turn_deg: 0.0, feet_first: false, missing: None, twice: None };

    pub(super) fn of(drawn: &phantom::Oddities, slices: &[std::sync::Arc<Slice>]) -> Self {
        let count = slices.len();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the inner slices")]
        let inside = |at: f64| (count > 2).then(|| ((at * count as f64).max(1.0) as usize).min(count - 2));
        Self {
            storage: storage(drawn.storage, slices),
            turn_deg: drawn.gantry_tilt_deg,
            feet_first: drawn.feet_first,
            missing: drawn.missing_at.and_then(inside),
            twice: drawn.duplicate_at.and_then(inside),
        }
    }

    /// Which slice (0-based, display order) each file holds, in the order of the files' numbers.
    pub(super) fn files(&self, slices: usize) -> Vec<usize> {
        let mut files: Vec<usize> = (0..slices).filter(|i| self.missing != Some(*i)).collect();
        if let Some(at) = files.iter().position(|i| self.twice == Some(*i)) {
            files.insert(at, files[at]);
        }
        if self.feet_first {
            files.reverse();
        }
        files
    }

    /// Where a slice lies once the stack is turned about the left-right axis of patient space.
    pub(super) fn pose(&self, pose: SlicePose) -> SlicePose {
        if self.turn_deg == 0.0 {
            return pose;
        }
        let (sin, cos) = libm::sincos(self.turn_deg.to_radians());
        let turned = |v: Vec3| Vec3::new(v.x, v.y * cos - v.z * sin, v.y * sin + v.z * cos);
        SlicePose {
            origin: PatientPoint(turned(pose.origin.0)),
            along_row: turned(pose.along_row),
            along_column: turned(pose.along_column),
        }
    }
}

/// As drawn; signed where values below the intercept could not be stored otherwise.
fn storage(drawn: phantom::Storage, slices: &[std::sync::Arc<Slice>]) -> Storage {
    let intercept = i16::try_from(drawn.intercept).unwrap_or(Storage::USUAL.intercept);
    let lowest = slices.iter().filter_map(|s| s.min_max()).map(|[low, _]| low).fold(f32::MAX, f32::min);
    let signed = drawn.signed || lowest < f32::from(intercept);
    let padding = drawn.padding_hu.and_then(|hu| i16::try_from(hu - i32::from(intercept)).ok());
    Storage { signed, intercept, padding: padding.filter(|_| signed) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::volume::SlicePixels;

    #[test]
    fn files_follow_the_oddities() {
        let odd = Oddities { feet_first: true, missing: Some(1), twice: Some(3), ..Oddities::NONE };
        assert_eq!(odd.files(5), [4, 3, 3, 2, 0]);
        assert_eq!(Oddities::NONE.files(3), [0, 1, 2]);
    }

    #[test]
    fn turning_keeps_the_stack_rigid() {
        let odd = Oddities { turn_deg: 20.0, ..Oddities::NONE };
        let at = |z| SlicePose {
            origin: PatientPoint(Vec3::new(-50.0, -60.0, z)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        let (a, b) = (odd.pose(at(10.0)), odd.pose(at(12.0)));
        let step = b.origin.0 - a.origin.0;
        assert!((step.length() - 2.0).abs() < 1e-12 && (step.dot(a.normal()) - 2.0).abs() < 1e-12, "along the normal");
        assert!((a.along_column.z - 20f64.to_radians().sin()).abs() < 1e-12 && a.along_row.x == 1.0);
        assert_eq!(Oddities::NONE.pose(at(3.0)), at(3.0));
    }

    #[test]
    fn values_below_the_intercept_make_the_storage_signed() {
        let slice = |hu: i16| {
            [Arc::new(Slice { rows: 1, columns: 1, pixels: SlicePixels::I16(vec![hu].into()), padding: None })]
        };
        let drawn = phantom::Storage { signed: false, intercept: -1000, padding_hu: None };
        assert!(!storage(drawn, &slice(-1000)).signed && storage(drawn, &slice(-1024)).signed);
        let drawn = phantom::Storage { signed: true, intercept: 0, padding_hu: Some(-2000) };
        assert_eq!(storage(drawn, &slice(5)), Storage { signed: true, intercept: 0, padding: Some(-2000) });
    }
}
