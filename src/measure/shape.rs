//! The shape in which a measurement is drawn where nothing is known of it but its place, to be changed afterwards.

use super::{Ground, Kind};
use crate::geometry::PatientPoint;

/// Length of a line, mm (pixels, where a file does not say how large they are).
const LINE: f64 = 20.0;
/// Side of a region, in the same.
const SIDE: f64 = 10.0;

impl Kind {
    /// All its points about a place on its ground.
    pub fn about(self, ground: &Ground, at: PatientPoint) -> Vec<PatientPoint> {
        let (line, side) = (LINE / 2.0, SIDE / 2.0);
        // To the right and down from the place.
        let offsets: &[[f64; 2]] = match self {
            Self::Length => &[[-line, 0.0], [line, 0.0]],
            Self::Angle => &[[line, 0.0], [0.0, 0.0], [0.0, -line]],
            Self::Cobb => &[[-line, -line], [line, -line], [-line, line], [line, line]],
            Self::Ellipse | Self::Rectangle => &[[-side, -side], [side, side]],
            Self::Pin | Self::Vertebra => &[[0.0, 0.0]],
            // The tip lies at the place.
            Self::Arrow => &[[0.0, 0.0], [line, -line]],
        };
        let (foot, pose) = (ground.onto(at).0, &ground.pose);
        let point = |[right, down]: &[f64; 2]| PatientPoint(foot + pose.along_row * *right + pose.along_column * *down);
        offsets.iter().map(point).collect()
    }
}
