//! Planes turned out of the body's own: rotations, and how far a plane leans, in numbers and words.

use super::{PatientPoint, Plane, PlaneGrid, SlicePose, Vec3};

/// A rotation of patient space about some point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotation {
    /// What becomes of the three axes.
    columns: [Vec3; 3],
}

impl Rotation {
    /// Right-handed about an axis; `None` for an axis without direction or an angle that is no number.
    pub fn about(axis: Vec3, angle_deg: f64) -> Option<Self> {
        let axis = axis.normalized().filter(|_| angle_deg.is_finite())?;
        let (sin, cos) = angle_deg.to_radians().sin_cos();
        let turned = |v: Vec3| v * cos + axis.cross(v) * sin + axis * (axis.dot(v) * (1.0 - cos));
        Some(Self { columns: UNIT.map(turned) })
    }
    /// The one that takes two perpendicular unit vectors to two others.
    pub fn between(from: [Vec3; 2], to: [Vec3; 2]) -> Self {
        let whole = |[a, b]: [Vec3; 2]| [a, b, a.cross(b)];
        let (from, to) = (whole(from), whole(to));
        let image = |v: Vec3| to[0] * from[0].dot(v) + to[1] * from[1].dot(v) + to[2] * from[2].dot(v);
        Self { columns: UNIT.map(image) }
    }
    pub fn apply(&self, v: Vec3) -> Vec3 {
        let [x, y, z] = self.columns;
        x * v.x + y * v.y + z * v.z
    }
}

const UNIT: [Vec3; 3] = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];

impl PlaneGrid {
    /// The grid turned as a rigid body about a point, which keeps its pixel where it lies on the grid.
    pub fn turned(&self, rotation: &Rotation, about: PatientPoint) -> Self {
        let pose = &self.pose;
        let origin = PatientPoint(about.0 + rotation.apply(pose.origin.0 - about.0));
        // Made perpendicular anew, so that a thousand small turns leave no shear.
        let along_row = rotation.apply(pose.along_row).normalized().unwrap_or(pose.along_row);
        let along_column = rotation.apply(pose.along_column);
        let along_column = along_column - along_row * along_row.dot(along_column);
        let along_column = along_column.normalized().unwrap_or(pose.along_column);
        Self { pose: SlicePose { origin, along_row, along_column }, ..*self }
    }
    /// The grid moved along its normal until a point lies in it.
    pub fn moved_through(&self, at: PatientPoint) -> Self {
        let normal = self.pose.normal();
        let by = normal * (at.0 - self.pose.origin.0).dot(normal);
        let pose = SlicePose { origin: PatientPoint(self.pose.origin.0 + by), ..self.pose };
        Self { pose, ..*self }
    }
}

/// How far a plane leans out of the plane of the body that it is named by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tilt {
    /// Axes of the body in letters and the angle about each, degrees; the larger first.
    leans: [(&'static str, f64); 2],
    /// Turned within itself, degrees.
    within_deg: f64,
}

/// Below this a lean is neither seen nor told, degrees.
const TOLD_DEG: f64 = 0.05;

impl Tilt {
    /// `None` for a plane that does not lean. `upright` are the directions along rows and columns of the plane when it
    /// stands as it is named.
    pub fn of(plane: Plane, pose: &SlicePose, upright: [Vec3; 2]) -> Option<Self> {
        let (axis, normal) = (plane.axis(), pose.normal());
        let normal = if normal.dot(axis) < 0.0 { normal * -1.0 } else { normal };
        // The lean about an axis of the body is what one sees when one looks along that axis.
        let about = |other: Plane| {
            let seen_along = other.axis();
            let aside = seen_along.cross(axis);
            normal.dot(aside).atan2(normal.dot(axis)).to_degrees().abs()
        };
        let mut leans = others(plane).map(|other| (letters(other), about(other)));
        if leans[1].1 > leans[0].1 {
            leans.swap(0, 1);
        }
        let [along_row, along_column] = upright;
        let within_deg = pose.along_row.dot(along_column).atan2(pose.along_row.dot(along_row)).to_degrees().abs();
        let tilt = Self { leans, within_deg };
        (leans[0].1 >= TOLD_DEG || within_deg >= TOLD_DEG).then_some(tilt)
    }
    /// One part per axis: "oblique, 12° about L-R", "and 5.2° about A-P".
    pub fn parts(&self) -> Vec<String> {
        let mut parts: Vec<String> = Vec::new();
        for (axis, deg) in self.leans.iter().filter(|(_, deg)| *deg >= TOLD_DEG) {
            let before = if parts.is_empty() { "oblique, " } else { "and " };
            parts.push(format!("{before}{}\u{b0} about {axis}", degrees(*deg)));
        }
        if parts.is_empty() {
            parts.push(format!("turned {}\u{b0} within itself", degrees(self.within_deg)));
        }
        parts
    }
    /// "oblique, 12° about L-R and 5.2° about A-P".
    pub fn words(&self) -> String {
        self.parts().join(" ")
    }
}

/// One decimal, but none for whole degrees.
fn degrees(deg: f64) -> String {
    let text = format!("{deg:.1}");
    text.trim_end_matches(".0").to_owned()
}

/// The planes of the body along whose axes a plane can lean.
fn others(plane: Plane) -> [Plane; 2] {
    match plane {
        Plane::Axial => [Plane::Sagittal, Plane::Coronal],
        Plane::Sagittal => [Plane::Coronal, Plane::Axial],
        Plane::Coronal => [Plane::Sagittal, Plane::Axial],
    }
}

/// The axis on which a plane of the body stands.
const fn letters(plane: Plane) -> &'static str {
    match plane {
        Plane::Axial => "H-F",
        Plane::Sagittal => "L-R",
        Plane::Coronal => "A-P",
    }
}

impl Plane {
    /// "sagittal, x 3.2 mm", or "axial, oblique, 12° about L-R, through (1.0, 2.0, 3.0) mm" for a plane that leans.
    pub fn words(self, pose: &SlicePose, through: PatientPoint) -> String {
        match Tilt::of(self, pose, self.directions()).filter(|tilt| tilt.leans[0].1 >= TOLD_DEG) {
            None => format!("{}, {} {:.1} mm", self.name(), self.letter(), self.coordinate_mm(through)),
            Some(tilt) => format!("{}, {}, {}", self.name(), tilt.words(), through_words(through)),
        }
    }
}

/// "through (1.0, 2.0, 3.0) mm".
pub fn through_words(PatientPoint(p): PatientPoint) -> String {
    format!("through ({:.1}, {:.1}, {:.1}) mm", p.x, p.y, p.z)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::{PixelPoint, orientation_letters};

    fn grid(plane: Plane) -> PlaneGrid {
        let [along_row, along_column] = plane.directions();
        let pose = SlicePose { origin: PatientPoint(Vec3::new(-30.0, 12.0, 55.0)), along_row, along_column };
        PlaneGrid { pose, spacing_mm: 0.5, rows: 100, columns: 120 }
    }

    fn apart(a: &PlaneGrid, b: &PlaneGrid) -> f64 {
        let d = |a: Vec3, b: Vec3| (a - b).length();
        d(a.pose.origin.0, b.pose.origin.0)
            + d(a.pose.along_row, b.pose.along_row)
            + d(a.pose.along_column, b.pose.along_column)
    }

    fn tilt(plane: Plane, turns: &[(Vec3, f64)]) -> Option<Tilt> {
        let mut grid = grid(plane);
        for (axis, deg) in turns {
            grid = grid.turned(&Rotation::about(*axis, *deg).expect("an axis"), PatientPoint::default());
        }
        Tilt::of(plane, &grid.pose, plane.directions())
    }

    #[test]
    fn a_turn_is_right_handed_and_keeps_its_pivot() {
        let turn = Rotation::about(Vec3::new(0.0, 0.0, 2.0), 90.0).expect("an axis");
        let [x, y] = [turn.apply(UNIT[0]), turn.apply(UNIT[1])];
        assert!((x - UNIT[1]).length() < 1e-12 && (y + UNIT[0]).length() < 1e-12);
        assert_eq!(Rotation::about(Vec3::default(), 5.0), None);
        assert_eq!(Rotation::about(UNIT[0], f64::NAN), None);
        let (grid, pivot) = (grid(Plane::Coronal), PatientPoint(Vec3::new(4.0, 12.0, 20.0)));
        let before = grid.pixel_from_patient(pivot);
        let after = grid.turned(&turn, pivot).pixel_from_patient(pivot);
        assert!((before.column - after.column).abs() < 1e-9 && (before.row - after.row).abs() < 1e-9);
    }

    #[test]
    fn leans_are_told_about_the_bodys_axes() {
        let words = |plane, turns: &[(Vec3, f64)]| tilt(plane, turns).map(|t| t.words());
        assert_eq!(words(Plane::Axial, &[]), None);
        assert_eq!(words(Plane::Axial, &[(UNIT[0], 12.0)]).as_deref(), Some("oblique, 12\u{b0} about L-R"));
        assert_eq!(words(Plane::Axial, &[(UNIT[1], -7.3)]).as_deref(), Some("oblique, 7.3\u{b0} about A-P"));
        assert_eq!(words(Plane::Sagittal, &[(UNIT[2], 30.0)]).as_deref(), Some("oblique, 30\u{b0} about H-F"));
        assert_eq!(words(Plane::Coronal, &[(UNIT[0], 3.0)]).as_deref(), Some("oblique, 3\u{b0} about L-R"));
        let double = words(Plane::Axial, &[(UNIT[0], 20.0), (UNIT[1], 10.0)]).expect("leans");
        assert!(double.starts_with("oblique, 20") && double.ends_with("and 10\u{b0} about A-P"), "{double}");
        assert_eq!(words(Plane::Axial, &[(UNIT[2], 5.0)]).as_deref(), Some("turned 5\u{b0} within itself"));
        assert_eq!(words(Plane::Axial, &[(UNIT[2], 0.01)]), None);
    }

    #[test]
    fn places_are_coordinates_or_leans() {
        let at = PatientPoint(Vec3::new(1.0, 2.0, 3.04));
        assert_eq!(Plane::Axial.words(&grid(Plane::Axial).pose, at), "axial, z 3.0 mm");
        let leaning = grid(Plane::Axial).turned(&Rotation::about(UNIT[0], 12.0).expect("an axis"), at);
        assert_eq!(
            Plane::Axial.words(&leaning.pose, at),
            "axial, oblique, 12\u{b0} about L-R, through (1.0, 2.0, 3.0) mm"
        );
    }

    #[test]
    fn letters_become_compound_as_a_plane_leans() {
        let letters = |deg: f64| {
            let turned =
                grid(Plane::Axial).turned(&Rotation::about(UNIT[2], deg).expect("an axis"), PatientPoint::default());
            [turned.pose.along_row, turned.pose.along_column].map(orientation_letters)
        };
        assert_eq!(letters(5.0), ["L", "P"]);
        assert_eq!(letters(25.0), ["LP", "PR"]);
        assert_eq!(letters(-65.0), ["AL", "LP"]);
    }

    proptest! {
        #[test]
        fn a_turn_and_its_inverse_give_the_same_plane(
            axis in prop::array::uniform3(-1.0f64..1.0),
            pivot in prop::array::uniform3(-200.0f64..200.0),
            turns in prop::collection::vec(-170.0f64..170.0, 1..40),
        ) {
            let axis = Vec3::new(axis[0], axis[1], axis[2] + 1.5);
            let pivot = PatientPoint(Vec3::new(pivot[0], pivot[1], pivot[2]));
            for plane in Plane::ALL {
                let start = grid(plane);
                let turned = turns.iter().fold(start, |g, deg| g.turned(&Rotation::about(axis, *deg).expect("an axis"), pivot));
                let back = Rotation::about(axis, -turns.iter().sum::<f64>()).expect("an axis");
                prop_assert!(apart(&turned.turned(&back, pivot), &start) < 1e-6);
                prop_assert!(turned.pose.along_row.dot(turned.pose.along_column).abs() < 1e-12);
                // The rotation between two grids is the one that was made.
                let between = Rotation::between(
                    [turned.pose.along_row, turned.pose.along_column],
                    [start.pose.along_row, start.pose.along_column],
                );
                prop_assert!(apart(&turned.turned(&between, pivot), &start) < 1e-6);
            }
        }

        #[test]
        fn a_grid_moved_along_its_normal_holds_the_point(deg in -80.0f64..80.0, at in prop::array::uniform3(-99.0f64..99.0)) {
            let at = PatientPoint(Vec3::new(at[0], at[1], at[2]));
            let leaning = grid(Plane::Sagittal).turned(&Rotation::about(UNIT[2], deg).expect("an axis"), PatientPoint::default());
            let moved = leaning.moved_through(at);
            prop_assert!((at.0 - moved.patient_from_pixel(moved.pixel_from_patient(at)).0).length() < 1e-9);
            let [a, b] = [leaning, moved].map(|g| g.patient_from_pixel(PixelPoint { column: 7.0, row: 9.0 }).0);
            prop_assert!((b - a).cross(leaning.pose.normal()).length() < 1e-9, "not moved within itself");
        }
    }
}
