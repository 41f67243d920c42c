//! Curved reformats: a plane of the body that follows a line down the body, unrolled flat.
//!
//! The surface is straight along the rows of its picture (sideways for a coronal plane, from front to back for a sagittal
//! one) and bent down its columns. Such a surface unrolls without stretching: lengths along it are true in the picture,
//! both ways and in between. Moved sideways as a whole it keeps its shape, so a picture stands still while it is scrolled.

use std::sync::Arc;

use super::{PatientPoint, PixelPoint, Plane, PlaneGrid, SlicePose, StackGeometry, Vec3};

/// A smooth line down the body: cubic between its knots, straight down above the first and below the last.
#[derive(Debug, Clone, PartialEq)]
pub struct BodyPath {
    /// From head to feet, each at least [`KNOT_GAP_MM`] below the one before.
    knots: Vec<PatientPoint>,
}

/// Nearer than this in height two knots could bend a surface back on itself, mm.
const KNOT_GAP_MM: f64 = 2.0;
/// Longest way sideways to which a path goes over the same height: steeper than any neck.
const STEEPEST: f64 = 3.0;

impl BodyPath {
    /// Through points, from head to feet in whatever order they come; one that lies too close below another, or too far
    /// aside of it, is left out. `None` without any.
    pub fn through(points: impl IntoIterator<Item = PatientPoint>) -> Option<Self> {
        let mut points: Vec<PatientPoint> = points.into_iter().filter(|p| p.0.is_finite()).collect();
        points.sort_by(|a, b| b.0.z.total_cmp(&a.0.z));
        let mut knots: Vec<PatientPoint> = Vec::with_capacity(points.len());
        for point in points {
            let fits = |above: &PatientPoint| {
                let way = above.0 - point.0;
                way.z >= KNOT_GAP_MM && way.x.hypot(way.y) <= STEEPEST * way.z
            };
            if knots.last().is_none_or(fits) {
                knots.push(point);
            }
        }
        (!knots.is_empty()).then_some(Self { knots })
    }
    /// The same line by fewer knots, about so far apart in height.
    pub fn thinned(&self, gap_mm: f64) -> Self {
        let (Some(first), Some(last)) = (self.knots.first(), self.knots.last()) else { return self.clone() };
        let height_mm = first.0.z - last.0.z;
        let gaps = (height_mm / gap_mm).round().max(1.0);
        let knots = (0..=gaps as usize).map(|i| self.at(first.0.z - height_mm * i as f64 / gaps));
        Self::through(knots).unwrap_or_else(|| self.clone())
    }
    pub fn knots(&self) -> &[PatientPoint] {
        &self.knots
    }
    /// The same with one knot moved sideways, at its height; as it is without that knot.
    pub fn with_knot_at(&self, index: usize, at: PatientPoint) -> Self {
        let mut moved = self.clone();
        if let Some(knot) = moved.knots.get_mut(index).filter(|_| at.0.is_finite()) {
            knot.0 = Vec3::new(at.0.x, at.0.y, knot.0.z);
        }
        moved
    }
    /// The point of the line at a height.
    pub fn at(&self, z_mm: f64) -> PatientPoint {
        let below = self.knots.partition_point(|knot| knot.0.z > z_mm);
        let (above, below) = (below.checked_sub(1), Some(below).filter(|i| *i < self.knots.len()));
        let held = |i: usize| PatientPoint(Vec3::new(self.knots[i].0.x, self.knots[i].0.y, z_mm));
        match (above, below) {
            (Some(a), Some(b)) => {
                let (p, q) = (self.knots[a].0, self.knots[b].0);
                let height = p.z - q.z;
                let t = (p.z - z_mm) / height;
                let (m, n) = (self.slope(a) * height, self.slope(b) * height);
                // Hermite's cubic.
                let (t2, t3) = (t * t, t * t * t);
                let at = p * (2.0 * t3 - 3.0 * t2 + 1.0)
                    + m * (t3 - 2.0 * t2 + t)
                    + q * (3.0 * t2 - 2.0 * t3)
                    + n * (t3 - t2);
                PatientPoint(Vec3::new(at.x, at.y, z_mm))
            }
            (Some(end), None) | (None, Some(end)) => held(end),
            (None, None) => PatientPoint(Vec3::new(0.0, 0.0, z_mm)),
        }
    }
    /// Change per millimetre downwards at a knot: that of the parabola through it and its neighbours, and at an end that
    /// of the straight way to its neighbour.
    fn slope(&self, index: usize) -> Vec3 {
        let secant = |a: usize| {
            let (p, q) = (self.knots.get(a)?.0, self.knots.get(a + 1)?.0);
            Some(((q - p) * (1.0 / (p.z - q.z)), p.z - q.z))
        };
        match (index.checked_sub(1).and_then(secant), secant(index)) {
            (Some((above, high)), Some((below, low))) => (above * low + below * high) * (1.0 / (high + low)),
            (Some((only, _)), None) | (None, Some((only, _))) => only,
            (None, None) => Vec3::default(),
        }
    }
}

/// Where a path comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathOrigin {
    /// The middle of the spinal canal, found in the slices.
    Canal,
    /// No canal was found, so it began straight through the crosshair.
    Straight,
    /// The reader has moved its knots.
    Reader,
}

impl PathOrigin {
    /// "the spinal canal, as found in the slices".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Canal => "the spinal canal, as found in the slices",
            Self::Straight => "a straight line, since no canal was found",
            Self::Reader => "a line that the reader has drawn",
        }
    }
}

/// A plane of the body bent along a path, at even steps of its length from the top.
#[derive(Debug, Clone, PartialEq)]
pub struct Bend {
    plane: Plane,
    step_mm: f64,
    /// At least two; coordinate 0 along the rows.
    points: Vec<Vec3>,
    /// Unit vectors across the surface.
    normals: Vec<Vec3>,
}

impl Bend {
    /// Over the height of a stack, as fine as can be seen. `None` as for [`Bend::new`].
    pub fn over(stack: &StackGeometry, path: &BodyPath, plane: Plane) -> Option<Self> {
        /// Steps, at most.
        const MOST: f64 = 1500.0;
        let [low_mm, high_mm] = stack.reach_mm(Plane::Axial.axis());
        Self::new(path, plane, [low_mm, high_mm], stack.smallest_spacing_mm().max((high_mm - low_mm) / MOST))
    }
    /// Over heights `[low, high]`, mm, in steps of `step_mm`. `None` for an axial plane, which no line down the body bends,
    /// and where nothing is left between the heights.
    pub fn new(path: &BodyPath, plane: Plane, [low_mm, high_mm]: [f64; 2], step_mm: f64) -> Option<Self> {
        /// Points taken of the path within each step.
        const FINE: f64 = 8.0;
        /// A body is shorter than this many steps.
        const MOST: usize = 16_384;
        let usable = step_mm.is_finite() && step_mm > 0.0 && high_mm - low_mm > step_mm;
        if plane == Plane::Axial || !usable {
            return None;
        }
        let [across, _] = plane.directions();
        let on_surface = |z_mm: f64| {
            let at = path.at(z_mm).0;
            at - across * at.dot(across)
        };
        let fine_mm = step_mm / FINE;
        let mut here = on_surface(high_mm);
        let mut points = vec![here];
        // Length since the last point.
        let mut since_mm = 0.0;
        let mut z_mm = high_mm;
        // One step further than the volume, so that its end lies within.
        while z_mm > low_mm - step_mm && points.len() < MOST {
            z_mm -= fine_mm;
            let next = on_surface(z_mm);
            let length = (next - here).length();
            if since_mm + length >= step_mm {
                let share = (step_mm - since_mm) / length;
                points.push(here + (next - here) * share);
                since_mm = (1.0 - share) * length;
            } else {
                since_mm += length;
            }
            here = next;
        }
        let normal = |i: usize| {
            let (before, after) = (points.get(i.saturating_sub(1))?, points.get(i + 1).or(points.last())?);
            across.cross(*after - *before).normalized()
        };
        let normals: Option<Vec<Vec3>> = (0..points.len()).map(normal).collect();
        (points.len() > 1).then_some(Self { plane, step_mm, normals: normals?, points })
    }
    pub fn plane(&self) -> Plane {
        self.plane
    }
    /// Distance of the points of the table, mm.
    pub fn step_mm(&self) -> f64 {
        self.step_mm
    }
    /// The table: points, and unit vectors across the surface there.
    pub fn table(&self) -> impl ExactSizeIterator<Item = (Vec3, Vec3)> {
        self.points.iter().copied().zip(self.normals.iter().copied())
    }
    pub fn length_mm(&self) -> f64 {
        self.step_mm * (self.points.len() as f64 - 1.0)
    }
    /// Direction of the rows.
    fn across(&self) -> Vec3 {
        self.plane.directions()[0]
    }
    /// Straight between two points of the table and beyond its ends.
    fn mixed(&self, table: &[Vec3], along_mm: f64) -> Vec3 {
        let place = along_mm / self.step_mm;
        let low = place.floor().clamp(0.0, self.points.len() as f64 - 2.0);
        match table.get(low as usize..) {
            Some([a, b, ..]) => *a + (*b - *a) * (place - low),
            _ => Vec3::default(),
        }
    }
    fn point(&self, along_mm: f64) -> Vec3 {
        self.mixed(&self.points, along_mm)
    }
    fn normal(&self, along_mm: f64) -> Vec3 {
        self.mixed(&self.normals, along_mm).normalized().unwrap_or(self.plane.axis())
    }
    /// The length down to the height of a point.
    fn along_mm(&self, z_mm: f64) -> f64 {
        self.along_where(|point| point.z - z_mm)
    }
    /// The length down to where a value is 0 that rises or falls along the surface, as beyond its ends too.
    fn along_where(&self, value: impl Fn(Vec3) -> f64) -> f64 {
        let starts_low = self.points.first().is_some_and(|point| value(*point) < 0.0);
        let after = self.points.partition_point(|point| (value(*point) < 0.0) == starts_low);
        let low = after.saturating_sub(1).min(self.points.len() - 2);
        let (a, b) = (value(self.points[low]), value(self.points[low + 1]));
        let share = if a == b { 0.0 } else { a / (a - b) };
        (low as f64 + share) * self.step_mm
    }
}

/// A bent plane, moved as a whole along the axis of the plane that it was bent from.
#[derive(Debug, Clone)]
pub struct Bent {
    pub bend: Arc<Bend>,
    pub shift_mm: f64,
}

impl Bent {
    /// Through a point: moved by how far that lies from the path.
    pub fn through(bend: Arc<Bend>, path: &BodyPath, at: PatientPoint) -> Self {
        let plane = bend.plane();
        let shift_mm = plane.coordinate_mm(at) - plane.coordinate_mm(path.at(at.0.z));
        Self { bend, shift_mm }
    }
    /// As [`Bent::grid`], sideways over the whole of a stack.
    pub fn grid_over(&self, stack: &StackGeometry, at: PatientPoint, spacing_mm: f64) -> PlaneGrid {
        self.grid(stack.reach_mm(self.bend.across()), at, spacing_mm)
    }
    /// The pixels of the unrolled surface, sideways over `[left, right]`, mm. Its pose is that of the plane that was bent,
    /// through a point: its rows lie where the pose says only along the rows.
    pub fn grid(&self, [left_mm, right_mm]: [f64; 2], at: PatientPoint, spacing_mm: f64) -> PlaneGrid {
        let plane = self.bend.plane();
        let [along_row, along_column] = plane.directions();
        let count = |mm: f64| (mm / spacing_mm - 1e-6).round().max(1.0) as usize;
        let origin = along_row * (left_mm + spacing_mm / 2.0)
            + plane.axis() * plane.coordinate_mm(at)
            + along_column * self.bend.points.first().map_or(0.0, |top| top.dot(along_column) + spacing_mm / 2.0);
        PlaneGrid {
            pose: SlicePose { origin: PatientPoint(origin), along_row, along_column },
            spacing_mm,
            rows: count(self.bend.length_mm()),
            columns: count(right_mm - left_mm),
        }
    }
    fn patient_from_pixel(&self, pose: &SlicePose, spacing_mm: [f64; 2], at: PixelPoint) -> PatientPoint {
        let [rows_mm, columns_mm] = spacing_mm;
        let across = self.bend.across();
        let sideways_mm = pose.origin.0.dot(across) + at.column * columns_mm;
        self.at((at.row + 0.5) * rows_mm, sideways_mm)
    }
    fn pixel_from_patient(&self, pose: &SlicePose, spacing_mm: [f64; 2], at: PatientPoint) -> PixelPoint {
        let [rows_mm, columns_mm] = spacing_mm;
        let column = (at.0 - pose.origin.0).dot(self.bend.across()) / columns_mm;
        PixelPoint { column, row: self.bend.along_mm(at.0.z) / rows_mm - 0.5 }
    }
    /// The point so far down the surface and so far along its rows, mm.
    fn at(&self, along_mm: f64, sideways_mm: f64) -> PatientPoint {
        let bend = &self.bend;
        PatientPoint(bend.point(along_mm) + bend.plane().axis() * self.shift_mm + bend.across() * sideways_mm)
    }
    /// Unit vector across the surface, at the height of a point.
    pub fn normal_at(&self, at: PatientPoint) -> Vec3 {
        self.bend.normal(self.bend.along_mm(at.0.z))
    }
    /// How far a point lies off the surface along the axis of the plane that was bent, mm.
    pub fn off_mm(&self, at: PatientPoint) -> f64 {
        let axis = self.bend.plane().axis();
        (at.0 - self.at(self.bend.along_mm(at.0.z), 0.0).0).dot(axis)
    }
    /// Points of the line in which a plane (unit normal, a point) cuts the surface, from `-FAR` to `FAR` sideways or from
    /// its top to its bottom.
    pub fn cut_by(&self, normal: Vec3, on_plane: Vec3) -> Vec<PatientPoint> {
        /// Further aside than any patient.
        const FAR_MM: f64 = 3000.0;
        /// A plane that meets the rows at less than about this many degrees runs along them.
        const STEEP: f64 = 0.3;
        let across = self.bend.across();
        let per_mm = normal.dot(across);
        if per_mm.abs() < STEEP {
            return [-FAR_MM, FAR_MM].map(|sideways_mm| self.cut_by_at(normal, on_plane, sideways_mm)).into();
        }
        let point = |along_mm: f64| {
            let middle = self.at(along_mm, 0.0);
            PatientPoint(middle.0 + across * ((on_plane - middle.0).dot(normal) / per_mm))
        };
        self.lengths_mm().map(point).collect()
    }
    /// The point at which a plane that runs along the rows cuts the surface, so far along them.
    pub fn cut_by_at(&self, normal: Vec3, on_plane: Vec3, sideways_mm: f64) -> PatientPoint {
        let aside = self.bend.plane().axis() * self.shift_mm + self.bend.across() * sideways_mm;
        let along_mm = self.bend.along_where(|point| (point + aside - on_plane).dot(normal));
        self.at(along_mm, sideways_mm)
    }
    /// Points of the line in which a surface that is bent the other way cuts this one.
    pub fn cut_by_bent(&self, other: &Self) -> Vec<PatientPoint> {
        let across = self.bend.across();
        let point = |along_mm: f64| {
            let middle = self.at(along_mm, 0.0);
            let there = other.at(other.bend.along_mm(middle.0.z), 0.0);
            PatientPoint(middle.0 + across * (there.0 - middle.0).dot(across))
        };
        self.lengths_mm().map(point).collect()
    }
    /// From top to bottom in steps that no eye can tell from a curve, mm.
    fn lengths_mm(&self) -> impl Iterator<Item = f64> {
        const STEP_MM: f64 = 2.0;
        let steps = (self.bend.length_mm() / STEP_MM).ceil().max(1.0);
        let each_mm = self.bend.length_mm() / steps;
        (0..=steps as usize).map(move |i| i as f64 * each_mm)
    }
    /// "coronal along a curve, 12.0 mm in front of it".
    pub fn words(&self) -> String {
        format!("{} along a curve, {}", self.bend.plane().name(), self.place_words())
    }
    /// "12.0 mm in front of it".
    pub fn place_words(&self) -> String {
        let side = match (self.bend.plane(), self.shift_mm > 0.0) {
            (Plane::Sagittal, true) => "left of it",
            (Plane::Sagittal, false) => "right of it",
            (_, true) => "behind it",
            (_, false) => "in front of it",
        };
        if self.shift_mm.abs() < 0.05 { "on it".to_owned() } else { format!("{:.1} mm {side}", self.shift_mm.abs()) }
    }
}

/// Where pixels lie in the patient: on a plane, or on a bent one that was unrolled.
#[derive(Debug, Clone, Copy)]
pub struct Sheet<'a> {
    /// Of the plane before it was bent, where it is bent: that of [`Bent::grid`].
    pub pose: SlicePose,
    /// `[between rows, between columns]`.
    pub spacing_mm: [f64; 2],
    pub bent: Option<&'a Bent>,
}

impl Sheet<'_> {
    pub fn patient_from_pixel(&self, at: PixelPoint) -> PatientPoint {
        match self.bent {
            Some(bent) => bent.patient_from_pixel(&self.pose, self.spacing_mm, at),
            None => self.pose.patient_from_pixel(at, self.spacing_mm),
        }
    }
    /// The foot of a point; on a bent plane along the axis of the plane that was bent.
    pub fn pixel_from_patient(&self, at: PatientPoint) -> PixelPoint {
        match self.bent {
            Some(bent) => bent.pixel_from_patient(&self.pose, self.spacing_mm, at),
            None => self.pose.pixel_from_patient(at, self.spacing_mm),
        }
    }
    /// Unit normal at a row.
    pub fn normal_at_row(&self, row: f64) -> Vec3 {
        self.bent.map_or(self.pose.normal(), |bent| bent.bend.normal((row + 0.5) * self.spacing_mm[0]))
    }
    /// How far a point lies off it, mm: along the normal, on a bent plane along the axis of the plane that was bent.
    pub fn off_mm(&self, at: PatientPoint) -> f64 {
        let flat = || (at.0 - self.pose.origin.0).dot(self.pose.normal());
        self.bent.map_or_else(flat, |bent| bent.off_mm(at))
    }
}

impl PartialEq for Bent {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bend, &other.bend) && self.shift_mm == other.shift_mm
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(x: f64, y: f64, z: f64) -> PatientPoint {
        PatientPoint(Vec3::new(x, y, z))
    }

    /// A circle's arc in the sagittal plane, as a lordosis of that radius.
    fn arc(radius_mm: f64) -> BodyPath {
        let at = |i: i32| {
            let z = f64::from(i) * 2.0;
            point(4.0, (radius_mm * radius_mm - z * z).sqrt() - radius_mm, z)
        };
        BodyPath::through((-30..=30).map(at)).expect("points")
    }

    #[test]
    fn a_path_goes_through_its_knots_and_smoothly_between() {
        let path = arc(150.0);
        for z in [-59.0, -31.0, 0.0, 17.3, 58.2] {
            let on_circle = (150.0_f64.powi(2) - f64::powi(z, 2)).sqrt() - 150.0;
            assert!((path.at(z).0.y - on_circle).abs() < 0.02, "at {z}: {:?} {on_circle}", path.at(z));
        }
        assert_eq!(path.at(100.0).0, Vec3::new(4.0, path.knots()[0].0.y, 100.0), "straight up beyond its end");
        let thin = path.thinned(15.0);
        assert_eq!(thin.knots().len(), 9);
        assert!((-59..60).all(|z| (thin.at(f64::from(z)).0 - path.at(f64::from(z)).0).length() < 0.15));
        let moved = thin.with_knot_at(3, point(9.0, 7.0, 500.0));
        assert_eq!(moved.knots()[3], point(9.0, 7.0, thin.knots()[3].0.z), "at its height");
    }

    #[test]
    fn points_that_would_bend_a_surface_back_on_itself_are_left_out() {
        let path = BodyPath::through([
            point(0.0, 0.0, 0.0),
            point(0.0, 0.0, -1.0),
            point(0.0, 90.0, -4.0),
            point(f64::NAN, 0.0, 9.0),
            point(0.0, 3.0, 10.0),
        ]);
        assert_eq!(path.expect("two points").knots(), [point(0.0, 3.0, 10.0), point(0.0, 0.0, 0.0)]);
        assert_eq!(BodyPath::through([]), None);
    }

    #[test]
    fn the_unrolled_surface_keeps_every_length() {
        let (radius, path) = (120.0, arc(120.0));
        let bend = Bend::new(&path, Plane::Coronal, [-50.0, 50.0], 0.5).expect("a bend");
        let length = 2.0 * radius * f64::asin(50.0 / radius);
        assert!((bend.length_mm() - length).abs() < 1.0, "{} against {length}", bend.length_mm());
        let bent = Bent { bend: Arc::new(bend), shift_mm: -7.0 };
        let grid = bent.grid([-40.0, 60.0], point(0.0, 0.0, 0.0), 0.5);
        assert_eq!(grid.columns, 200);
        let sheet = grid.sheet(Some(&bent));
        let place = |column, row| sheet.patient_from_pixel(PixelPoint { column, row });
        for row in [0.0, 40.0, 130.5, 190.0] {
            let (a, b) = (place(10.0, row), place(10.0, row + 4.0));
            assert!(((b.0 - a.0).length() - 2.0).abs() < 0.01, "{row}: {}", (b.0 - a.0).length());
            assert!(((place(30.0, row).0 - a.0).length() - 10.0).abs() < 1e-9);
            let normal = sheet.normal_at_row(row + 2.0);
            assert!(normal.dot((b.0 - a.0).normalized().expect("apart")).abs() < 0.01, "{row}");
            let on_circle = (radius.powi(2) - a.0.z.powi(2)).sqrt() - radius - 7.0;
            assert!((a.0.y - on_circle).abs() < 0.03, "{a:?} {on_circle}");
            assert!((bent.off_mm(PatientPoint(a.0 + Vec3::new(3.0, 2.5, 0.0))) - 2.5).abs() < 1e-6);
        }
    }

    #[test]
    fn a_plane_along_the_rows_cuts_the_surface_straight_and_one_across_them_in_its_curve() {
        let path = arc(150.0);
        let bent = Bent {
            bend: Arc::new(Bend::new(&path, Plane::Coronal, [-50.0, 50.0], 0.5).expect("a bend")),
            shift_mm: 3.0,
        };
        let axial = bent.cut_by(Vec3::new(0.0, 0.0, 1.0), Vec3::new(0.0, 0.0, 12.0));
        let y = path.at(12.0).0.y + 3.0;
        assert_eq!(axial.len(), 2);
        assert!(axial.iter().all(|p| (p.0.z - 12.0).abs() < 1e-6 && (p.0.y - y).abs() < 0.02), "{axial:?} {y}");
        let sagittal = bent.cut_by(Vec3::new(1.0, 0.0, 0.0), Vec3::new(9.0, 0.0, 0.0));
        assert!(
            sagittal.len() > 40 && sagittal.iter().all(|p| (p.0.x - 9.0).abs() < 1e-9 && bent.off_mm(*p).abs() < 1e-6)
        );
        let other = Bent {
            bend: Arc::new(Bend::new(&path, Plane::Sagittal, [-50.0, 50.0], 0.5).expect("a bend")),
            shift_mm: 1.0,
        };
        assert!(bent.cut_by_bent(&other).iter().all(|p| (p.0.x - 5.0).abs() < 0.02 && bent.off_mm(*p).abs() < 1e-6));
    }

    #[test]
    fn it_says_where_it_lies() {
        let path = arc(150.0);
        let words = |plane, at| {
            let bend = Arc::new(Bend::new(&path, plane, [-50.0, 50.0], 0.5).expect("a bend"));
            Bent::through(bend, &path, at).words()
        };
        let at = |dx, dy| PatientPoint(path.at(20.0).0 + Vec3::new(dx, dy, 0.0));
        assert_eq!(words(Plane::Coronal, at(5.0, -12.0)), "coronal along a curve, 12.0 mm in front of it");
        assert_eq!(words(Plane::Coronal, at(5.0, 2.0)), "coronal along a curve, 2.0 mm behind it");
        assert_eq!(words(Plane::Sagittal, at(5.0, 2.0)), "sagittal along a curve, 5.0 mm left of it");
        assert_eq!(words(Plane::Sagittal, at(0.0, 2.0)), "sagittal along a curve, on it");
        assert_eq!(Bend::new(&path, Plane::Axial, [0.0, 10.0], 0.5), None);
        assert_eq!(Bend::new(&path, Plane::Coronal, [0.0, 0.2], 0.5), None);
    }

    proptest! {
        #[test]
        fn pixels_come_back_from_the_patient(
            y in proptest::collection::vec(-20.0..20.0_f64, 5),
            column in 0.0..100.0_f64,
            row in 0.0..150.0_f64,
            shift_mm in -30.0..30.0_f64,
        ) {
            let knots = y.iter().zip(0..).map(|(y, i)| point(*y / 2.0, *y, 40.0 - 20.0 * f64::from(i)));
            let path = BodyPath::through(knots).expect("knots");
            for plane in [Plane::Coronal, Plane::Sagittal] {
                let bend = Arc::new(Bend::new(&path, plane, [-50.0, 50.0], 0.5).expect("a bend"));
                let bent = Bent { bend, shift_mm };
                let grid = bent.grid([-30.0, 30.0], point(0.0, 0.0, 0.0), 0.6);
                let sheet = grid.sheet(Some(&bent));
                let at = sheet.patient_from_pixel(PixelPoint { column, row });
                let back = sheet.pixel_from_patient(at);
                prop_assert!((back.column - column).abs() < 1e-6 && (back.row - row).abs() < 1e-3, "{back:?}");
                prop_assert!(sheet.off_mm(at).abs() < 1e-6);
            }
        }
    }
}
