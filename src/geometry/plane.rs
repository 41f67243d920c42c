//! Planes through patient space and the grids of pixels on them.

use super::{Bent, PatientPoint, PixelPoint, Sheet, SlicePose, StackGeometry, Vec3};

/// The three planes of the body, as they are hung: patient's right on the left, anterior up or left, head up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plane {
    Axial,
    Sagittal,
    Coronal,
}

impl Plane {
    pub const ALL: [Self; 3] = [Self::Axial, Self::Sagittal, Self::Coronal];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Axial => "axial",
            Self::Sagittal => "sagittal",
            Self::Coronal => "coronal",
        }
    }
    /// The letter of the coordinate that is constant on the plane.
    pub const fn letter(self) -> char {
        match self {
            Self::Axial => 'z',
            Self::Sagittal => 'x',
            Self::Coronal => 'y',
        }
    }
    /// The direction in which that coordinate grows.
    pub const fn axis(self) -> Vec3 {
        match self {
            Self::Axial => Vec3::new(0.0, 0.0, 1.0),
            Self::Sagittal => Vec3::new(1.0, 0.0, 0.0),
            Self::Coronal => Vec3::new(0.0, 1.0, 0.0),
        }
    }
    /// Directions of increasing column and row index.
    pub const fn directions(self) -> [Vec3; 2] {
        const LEFT: Vec3 = Vec3::new(1.0, 0.0, 0.0);
        const BACK: Vec3 = Vec3::new(0.0, 1.0, 0.0);
        const FEET: Vec3 = Vec3::new(0.0, 0.0, -1.0);
        match self {
            Self::Axial => [LEFT, BACK],
            Self::Sagittal => [BACK, FEET],
            Self::Coronal => [LEFT, FEET],
        }
    }
    /// The constant coordinate of the plane through a point, mm.
    pub fn coordinate_mm(self, at: PatientPoint) -> f64 {
        at.0.dot(self.axis())
    }
    /// The point moved straight onto the plane of that coordinate.
    pub fn moved_to(self, at: PatientPoint, coordinate_mm: f64) -> PatientPoint {
        PatientPoint(at.0 + self.axis() * (coordinate_mm - self.coordinate_mm(at)))
    }
    /// The plane of the body that slices with this normal are nearest to.
    pub fn nearest(normal: Vec3) -> Self {
        let along = |plane: &Self| plane.axis().dot(normal).abs();
        Self::ALL.into_iter().max_by(|a, b| along(a).total_cmp(&along(b))).unwrap_or(Self::Axial)
    }
}

/// Pixels on a plane: square, in rows and columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlaneGrid {
    pub pose: SlicePose,
    pub spacing_mm: f64,
    pub rows: usize,
    pub columns: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum PlaneError {
    #[error("{letter} {at_mm} mm lies outside the volume, which reaches from {low_mm:.1} to {high_mm:.1} mm")]
    Outside { letter: char, at_mm: f64, low_mm: f64, high_mm: f64 },
    #[error("a spacing of {0} mm cannot be used: give one above 0")]
    Spacing(f64),
    #[error(
        "at {spacing_mm} mm the plane would have {columns:.0} x {rows:.0} pixels, more than {limit} each way; give a wider spacing"
    )]
    TooLarge { spacing_mm: f64, columns: f64, rows: f64, limit: usize },
}

/// Longest edge of a grid, pixels.
const MOST_PIXELS: usize = 16_384;

impl PlaneGrid {
    /// The plane at a coordinate, as wide and as high as the whole volume.
    pub fn covering(
        stack: &StackGeometry,
        plane: Plane,
        coordinate_mm: f64,
        spacing_mm: f64,
    ) -> Result<Self, PlaneError> {
        let [low_mm, high_mm] = stack.reach_mm(plane.axis());
        if !(coordinate_mm >= low_mm && coordinate_mm <= high_mm) {
            return Err(PlaneError::Outside { letter: plane.letter(), at_mm: coordinate_mm, low_mm, high_mm });
        }
        let on_plane = plane.moved_to(PatientPoint::default(), coordinate_mm);
        Self::through(stack, on_plane, plane.directions(), spacing_mm)
    }
    /// The plane through a point along two perpendicular unit vectors, as wide and as high as the whole volume. The
    /// first pixel begins at the volume's edge, so that pixels and voxels of one size fall together.
    pub fn through(
        stack: &StackGeometry,
        at: PatientPoint,
        [along_row, along_column]: [Vec3; 2],
        spacing_mm: f64,
    ) -> Result<Self, PlaneError> {
        if !(spacing_mm.is_finite() && spacing_mm > 0.0) {
            return Err(PlaneError::Spacing(spacing_mm));
        }
        let ([left, right], [top, bottom]) = (stack.reach_mm(along_row), stack.reach_mm(along_column));
        // Rounded, so that the last pixel's centre lies inside too.
        let count = |from: f64, to: f64| ((to - from) / spacing_mm - 1e-6).round().max(1.0);
        let (columns, rows) = (count(left, right), count(top, bottom));
        if !(columns <= MOST_PIXELS as f64 && rows <= MOST_PIXELS as f64) {
            return Err(PlaneError::TooLarge { spacing_mm, columns, rows, limit: MOST_PIXELS });
        }
        let normal = along_row.cross(along_column);
        let origin =
            along_row * (left + spacing_mm / 2.0) + along_column * (top + spacing_mm / 2.0) + normal * at.0.dot(normal);
        let pose = SlicePose { origin: PatientPoint(origin), along_row, along_column };
        Ok(Self { pose, spacing_mm, rows: rows as usize, columns: columns as usize })
    }
    /// Refuses a grid of more pixels than any picture has.
    pub fn within_limits(self) -> Result<Self, PlaneError> {
        let (columns, rows, spacing_mm) = (self.columns as f64, self.rows as f64, self.spacing_mm);
        let fits = self.columns <= MOST_PIXELS && self.rows <= MOST_PIXELS;
        if fits { Ok(self) } else { Err(PlaneError::TooLarge { spacing_mm, columns, rows, limit: MOST_PIXELS }) }
    }
    /// Where the grid lies, on a bent plane if there is one.
    pub fn sheet<'a>(&self, bent: Option<&'a Bent>) -> Sheet<'a> {
        Sheet { pose: self.pose, spacing_mm: [self.spacing_mm; 2], bent }
    }
    pub fn patient_from_pixel(&self, at: PixelPoint) -> PatientPoint {
        self.pose.patient_from_pixel(at, [self.spacing_mm; 2])
    }
    /// The foot of a point on the plane, in pixels.
    pub fn pixel_from_patient(&self, at: PatientPoint) -> PixelPoint {
        self.pose.pixel_from_patient(at, [self.spacing_mm; 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::orientation_letters;
    use crate::geometry::stack::tests::poses;

    fn stack() -> StackGeometry {
        StackGeometry::new(&poses(&[30.0, 27.0, 24.0], 0.0), Some([2.0, 0.5]), 11, 21).expect("a stack")
    }

    #[test]
    fn planes_are_hung_as_radiologists_hang_them() {
        let letters = |plane: Plane| plane.directions().map(orientation_letters);
        assert_eq!(letters(Plane::Axial), ["L", "P"]);
        assert_eq!(letters(Plane::Sagittal), ["P", "F"]);
        assert_eq!(letters(Plane::Coronal), ["L", "F"]);
    }

    #[test]
    fn the_grid_covers_the_volume_and_meets_its_voxels() {
        let stack = stack();
        let axial = PlaneGrid::covering(&stack, Plane::Axial, 27.0, 0.5).expect("inside");
        assert_eq!((axial.columns, axial.rows), (21, 44));
        assert_eq!(axial.pose.origin.0, Vec3::new(-10.0, -20.75, 27.0));
        let sagittal = PlaneGrid::covering(&stack, Plane::Sagittal, -3.0, 1.0).expect("inside");
        assert_eq!((sagittal.columns, sagittal.rows), (22, 9));
        assert_eq!(sagittal.pose.origin.0, Vec3::new(-3.0, -20.5, 31.0));
        let at = PixelPoint { column: 3.5, row: 2.0 };
        assert_eq!(sagittal.pixel_from_patient(sagittal.patient_from_pixel(at)), at);
    }

    #[test]
    fn a_plane_that_cannot_be_is_refused_with_the_reach() {
        let stack = stack();
        let error = PlaneGrid::covering(&stack, Plane::Axial, 40.0, 1.0).unwrap_err();
        assert_eq!(error.to_string(), "z 40 mm lies outside the volume, which reaches from 22.5 to 31.5 mm");
        assert!(PlaneGrid::covering(&stack, Plane::Axial, f64::NAN, 1.0).is_err());
        assert!(matches!(PlaneGrid::covering(&stack, Plane::Axial, 27.0, 0.0), Err(PlaneError::Spacing(_))));
        assert!(matches!(PlaneGrid::covering(&stack, Plane::Axial, 27.0, 1e-4), Err(PlaneError::TooLarge { .. })));
    }

    #[test]
    fn the_nearest_plane_of_a_tilted_normal() {
        assert_eq!(Plane::nearest(Vec3::new(0.0, 0.32, 0.95)), Plane::Axial);
        assert_eq!(Plane::nearest(Vec3::new(-0.9, 0.1, 0.4)), Plane::Sagittal);
    }
}
