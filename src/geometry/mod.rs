//! Patient space (DICOM LPS: +x to the patient's left, +y to posterior, +z to the head; millimetres),
//! the pose of a slice in it, stacks of slices and planes across them, and the letters that name directions.

mod bend;
mod plane;
mod stack;
mod turn;

pub use bend::{Bend, Bent, BodyPath, PathOrigin, Sheet};
pub use plane::{Plane, PlaneError, PlaneGrid};
#[cfg(test)]
pub(crate) use stack::tests::poses as test_poses;
pub use stack::{SlicePosition, StackError, StackGeometry, VoxelPoint};
pub use turn::{Rotation, Tilt, through_words};

use std::ops::{Add, Mul, Sub};

/// A direction or displacement in patient space, mm where it is a length.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Vec3 {
    pub x: f64,
    pub y: f64,
    pub z: f64,
}

impl Vec3 {
    pub const fn new(x: f64, y: f64, z: f64) -> Self {
        Self { x, y, z }
    }
    pub fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }
    pub fn cross(self, o: Self) -> Self {
        Self::new(self.y * o.z - self.z * o.y, self.z * o.x - self.x * o.z, self.x * o.y - self.y * o.x)
    }
    pub fn length(self) -> f64 {
        self.dot(self).sqrt()
    }
    /// The same direction with length one, or `None` for a vector too short (or not finite) to have one.
    pub fn normalized(self) -> Option<Self> {
        let length = self.length();
        (length.is_finite() && length > 1e-9).then(|| self * (1.0 / length))
    }
    pub fn is_finite(self) -> bool {
        self.x.is_finite() && self.y.is_finite() && self.z.is_finite()
    }
}
impl Add for Vec3 {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self::new(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}
impl Sub for Vec3 {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self::new(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}
impl Mul<f64> for Vec3 {
    type Output = Self;
    fn mul(self, s: f64) -> Self {
        Self::new(self.x * s, self.y * s, self.z * s)
    }
}

/// A point in patient space (LPS, mm).
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct PatientPoint(pub Vec3);

/// A point in a slice, in pixels: `(0, 0)` is the centre of the first pixel (PS3.3 C.7.6.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PixelPoint {
    pub column: f64,
    pub row: f64,
}

/// Where a slice lies: the centre of its first pixel and the directions in which columns and rows are counted
/// (PS3.3 C.7.6.2, ImagePositionPatient and ImageOrientationPatient).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SlicePose {
    pub origin: PatientPoint,
    /// Unit vector of increasing column index (first half of ImageOrientationPatient).
    pub along_row: Vec3,
    /// Unit vector of increasing row index (second half).
    pub along_column: Vec3,
}

impl SlicePose {
    /// Row direction x column direction.
    pub fn normal(&self) -> Vec3 {
        self.along_row.cross(self.along_column)
    }
    /// Signed distance of the slice along its own normal, mm.
    pub fn position_along_normal_mm(&self) -> f64 {
        self.origin.0.dot(self.normal())
    }
    /// `spacing_mm` is `[between rows, between columns]` as in PixelSpacing.
    pub fn patient_from_pixel(&self, at: PixelPoint, spacing_mm: [f64; 2]) -> PatientPoint {
        PatientPoint(
            self.origin.0 + self.along_row * (at.column * spacing_mm[1]) + self.along_column * (at.row * spacing_mm[0]),
        )
    }
    /// The pixel at the foot of a point.
    pub fn pixel_from_patient(&self, at: PatientPoint, spacing_mm: [f64; 2]) -> PixelPoint {
        let from_origin = at.0 - self.origin.0;
        PixelPoint {
            column: from_origin.dot(self.along_row) / spacing_mm[1],
            row: from_origin.dot(self.along_column) / spacing_mm[0],
        }
    }
    /// The slice normal is within 45 degrees of the body axis.
    pub fn is_axial(&self) -> bool {
        self.normal().z.abs() > std::f64::consts::FRAC_1_SQRT_2
    }
}

/// Letters for a direction: the nearest axis first, a second one when the direction is oblique by more than
/// about 15 degrees (L/R, A/P, H/F). Empty for a null vector.
pub fn orientation_letters(direction: Vec3) -> String {
    let mut parts = [
        (direction.x, if direction.x > 0.0 { 'L' } else { 'R' }),
        (direction.y, if direction.y > 0.0 { 'P' } else { 'A' }),
        (direction.z, if direction.z > 0.0 { 'H' } else { 'F' }),
    ];
    parts.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    let length = direction.length();
    parts.iter().take(2).filter(|(c, _)| length > 1e-9 && c.abs() / length > 0.26).map(|(_, letter)| letter).collect()
}

/// A box in DICOM pixel edges: `[x0, y0, x1, y1]`, 0-based, half-open, may lie outside the picture.
pub type PixelBox = [f64; 4];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_name_axes_and_obliques() {
        assert_eq!(orientation_letters(Vec3::new(1.0, 0.0, 0.0)), "L");
        assert_eq!(orientation_letters(Vec3::new(-1.0, 0.0, 0.0)), "R");
        assert_eq!(orientation_letters(Vec3::new(0.0, 1.0, 0.1)), "P");
        assert_eq!(orientation_letters(Vec3::new(0.0, 0.95, -0.32)), "PF");
        assert_eq!(orientation_letters(Vec3::default()), "");
    }

    #[test]
    fn pixel_to_patient_uses_both_spacings() {
        let pose = SlicePose {
            origin: PatientPoint(Vec3::new(10.0, 20.0, 30.0)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        let p = pose.patient_from_pixel(PixelPoint { column: 2.0, row: 3.0 }, [8.0, 4.0]);
        assert_eq!(p.0, Vec3::new(18.0, 44.0, 30.0));
    }
}
