//! Where the voxels of a stack of parallel slices lie, each slice at its own position.
//!
//! A voxel is `(column, row, slice)`, whole numbers at voxel centres. `slice` counts the distinct positions of the
//! stack in display order, so that it is the slice's index wherever no two slices share a position. Between slices it
//! is a fraction of *that* gap: uneven spacing stays uneven, and stacks that lean (gantry tilt) lean in the mapping,
//! so that planes cut from it stand upright.

use super::{PatientPoint, PlaneGrid, SlicePose, Vec3};

/// A point in a stack, in voxels; see the module's own words.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VoxelPoint {
    pub column: f64,
    pub row: f64,
    pub slice: f64,
}

/// Why slices make no stack that planes can be cut from, in words for the reader.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StackError {
    #[error("slice {number} does not say where it lies, and planes across the slices need its position")]
    NoPose { number: usize },
    #[error("the pixel spacing is unknown, and planes across the slices need millimetres")]
    NoSpacing,
    #[error("slice {number} lies {angle_deg:.1} degrees off the first one; planes need parallel slices")]
    NotParallel { number: usize, angle_deg: f64 },
    #[error("the rows and columns of the slices are not at right angles")]
    NotPerpendicular,
    #[error("all slices lie at one position, and planes across them need at least two")]
    OnePosition,
}

/// Two slices closer than this lie at one position; the first of them stands for it.
const SAME_POSITION_MM: f64 = 0.01;
/// Positions are told apart from even ones beyond this; it moves no value by more than a thousandth of a step.
const EVEN_MM: f64 = 2e-4;
/// Directions of slices of one stack agree to this.
const PARALLEL_DEG: f64 = 0.5;

/// One position of the stack in the frame of the slices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlicePosition {
    /// Index of the slice in its series, display order.
    pub index: usize,
    /// The centre of the slice's first pixel along rows, along columns and along the stack, mm.
    pub along_row_mm: f64,
    pub along_column_mm: f64,
    pub depth_mm: f64,
}

/// The mapping between voxels and patient space of one stack.
#[derive(Debug, Clone, PartialEq)]
pub struct StackGeometry {
    rows: usize,
    columns: usize,
    /// `[between rows, between columns]`.
    spacing_mm: [f64; 2],
    along_row: Vec3,
    along_column: Vec3,
    /// The slice normal, in the sense of display order.
    onwards: Vec3,
    positions: Vec<SlicePosition>,
    even: bool,
}

impl StackGeometry {
    /// `poses` in display order; `spacing_mm` is `[between rows, between columns]`.
    pub fn new(
        poses: &[Option<SlicePose>],
        spacing_mm: Option<[f64; 2]>,
        rows: usize,
        columns: usize,
    ) -> Result<Self, StackError> {
        let spacing_mm = spacing_mm.filter(|s| s.iter().all(|v| v.is_finite() && *v > 0.0));
        let spacing_mm = spacing_mm.ok_or(StackError::NoSpacing)?;
        let given = |(i, pose): (usize, &Option<SlicePose>)| pose.ok_or(StackError::NoPose { number: i + 1 });
        let poses: Vec<SlicePose> = poses.iter().enumerate().map(given).collect::<Result<_, _>>()?;
        let (first, last) = poses.first().zip(poses.last()).ok_or(StackError::OnePosition)?;
        let along_row = first.along_row.normalized().ok_or(StackError::NotPerpendicular)?;
        let normal = first.normal().normalized().ok_or(StackError::NotPerpendicular)?;
        if along_row.dot(first.along_column).abs() > 1e-2 {
            return Err(StackError::NotPerpendicular);
        }
        for (i, pose) in poses.iter().enumerate() {
            let angle_deg = angle_deg(pose.normal(), normal).max(angle_deg(pose.along_row, along_row));
            if angle_deg > PARALLEL_DEG {
                return Err(StackError::NotParallel { number: i + 1, angle_deg });
            }
        }
        let along_column = normal.cross(along_row);
        let ascends = (last.origin.0 - first.origin.0).dot(normal) >= 0.0;
        let onwards = if ascends { normal } else { normal * -1.0 };
        let mut positions: Vec<SlicePosition> = poses
            .iter()
            .enumerate()
            .map(|(index, pose)| SlicePosition {
                index,
                along_row_mm: pose.origin.0.dot(along_row),
                along_column_mm: pose.origin.0.dot(along_column),
                depth_mm: pose.origin.0.dot(onwards),
            })
            .collect();
        positions.sort_by(|a, b| a.depth_mm.total_cmp(&b.depth_mm)); // stable: the first of equals stays first
        positions.dedup_by(|later, kept| later.depth_mm - kept.depth_mm < SAME_POSITION_MM);
        if positions.len() < 2 {
            return Err(StackError::OnePosition);
        }
        let even = is_even(&positions);
        Ok(Self { rows, columns, spacing_mm, along_row, along_column, onwards, positions, even })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// `[between rows, between columns]`.
    pub fn spacing_mm(&self) -> [f64; 2] {
        self.spacing_mm
    }
    /// The distinct positions, display order, at least two.
    pub fn positions(&self) -> &[SlicePosition] {
        &self.positions
    }
    /// All gaps are the same, so that the mapping is one matrix.
    pub fn is_even(&self) -> bool {
        self.even
    }
    /// The unit vectors of the frame of the slices: along rows, along columns, onwards through the stack.
    pub fn directions(&self) -> [Vec3; 3] {
        [self.along_row, self.along_column, self.onwards]
    }
    /// Distances of neighbouring positions along the normal, mm.
    pub fn gaps_mm(&self) -> impl Iterator<Item = f64> + '_ {
        self.positions.windows(2).filter_map(|w| Some(w.last()?.depth_mm - w.first()?.depth_mm))
    }
    pub fn median_gap_mm(&self) -> f64 {
        let mut gaps: Vec<f64> = self.gaps_mm().collect();
        gaps.sort_by(f64::total_cmp);
        gaps.get(gaps.len() / 2).copied().unwrap_or(1.0)
    }
    /// Least and largest gap, mm.
    pub fn gap_range_mm(&self) -> [f64; 2] {
        self.gaps_mm().fold([f64::INFINITY, 0.0], |[low, high], gap| [low.min(gap), high.max(gap)])
    }
    /// The smallest of the volume's spacings: between rows, between columns, usually between slices.
    pub fn smallest_spacing_mm(&self) -> f64 {
        self.spacing_mm.iter().copied().fold(self.median_gap_mm(), f64::min)
    }
    /// Angle between the normal of the slices and the way they are stacked, degrees: the tilt of the gantry.
    pub fn tilt_deg(&self) -> f64 {
        match (self.positions.first(), self.positions.last()) {
            (Some(a), Some(b)) => {
                let aside = (b.along_row_mm - a.along_row_mm).hypot(b.along_column_mm - a.along_column_mm);
                aside.atan2(b.depth_mm - a.depth_mm).to_degrees()
            }
            _ => 0.0,
        }
    }

    /// The geometry when `factor` columns and rows are taken together: the first of them has its centre in their middle.
    pub fn reduced(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        let aside = (factor as f64 - 1.0) / 2.0;
        let mut out = self.clone();
        (out.rows, out.columns) = (self.rows.div_ceil(factor), self.columns.div_ceil(factor));
        out.spacing_mm = self.spacing_mm.map(|s| s * factor as f64);
        for position in &mut out.positions {
            position.along_row_mm += aside * self.spacing_mm[1];
            position.along_column_mm += aside * self.spacing_mm[0];
        }
        out
    }
    /// The place of a point in the frame of the slices: along rows, along columns, onwards; mm.
    pub fn stack_from_patient_mm(&self, at: PatientPoint) -> [f64; 3] {
        [at.0.dot(self.along_row), at.0.dot(self.along_column), at.0.dot(self.onwards)]
    }
    /// The voxel at a point, also outside the volume, where the outermost gaps go on.
    pub fn voxel_from_patient(&self, at: PatientPoint) -> VoxelPoint {
        let [along_row_mm, along_column_mm, depth_mm] = self.stack_from_patient_mm(at);
        let (gap, [a, b]) = self.gap_at(depth_mm);
        let f = (depth_mm - a.depth_mm) / (b.depth_mm - a.depth_mm);
        VoxelPoint {
            column: (along_row_mm - between(a.along_row_mm, b.along_row_mm, f)) / self.spacing_mm[1],
            row: (along_column_mm - between(a.along_column_mm, b.along_column_mm, f)) / self.spacing_mm[0],
            slice: gap as f64 + f,
        }
    }
    /// The point at a voxel, also outside the volume.
    pub fn patient_from_voxel(&self, at: VoxelPoint) -> PatientPoint {
        let last_gap = self.positions.len() - 2;
        let gap = if at.slice > 0.0 { (at.slice as usize).min(last_gap) } else { 0 };
        let [a, b] = [self.positions[gap], self.positions[gap + 1]];
        let f = at.slice - gap as f64;
        PatientPoint(
            self.along_row * (between(a.along_row_mm, b.along_row_mm, f) + at.column * self.spacing_mm[1])
                + self.along_column * (between(a.along_column_mm, b.along_column_mm, f) + at.row * self.spacing_mm[0])
                + self.onwards * between(a.depth_mm, b.depth_mm, f),
        )
    }
    /// At most half a voxel outside the outermost voxel centres: where the volume has a value.
    pub fn contains(&self, at: VoxelPoint) -> bool {
        let within = |v: f64, n: usize| v >= -0.5 && v < n as f64 - 0.5;
        within(at.column, self.columns) && within(at.row, self.rows) && within(at.slice, self.positions.len())
    }
    /// The position nearest to a point along the stack: its index in the series.
    pub fn nearest_slice(&self, at: PatientPoint) -> usize {
        let depth_mm = self.stack_from_patient_mm(at)[2];
        let (_, [a, b]) = self.gap_at(depth_mm);
        if depth_mm - a.depth_mm <= b.depth_mm - depth_mm { a.index } else { b.index }
    }
    /// The pixels of the slice nearest to a point as a grid of square ones, as wide and as high as the slice.
    pub fn slice_grid(&self, at: PatientPoint) -> PlaneGrid {
        let (_, [a, b]) = self.gap_at(self.stack_from_patient_mm(at)[2]);
        let depth_mm = self.stack_from_patient_mm(at)[2];
        let here = if depth_mm - a.depth_mm <= b.depth_mm - depth_mm { a } else { b };
        let [between_rows_mm, between_columns_mm] = self.spacing_mm;
        let spacing_mm = self.smallest_spacing_mm();
        let count = |n: usize, mm: f64| (n as f64 * mm / spacing_mm).round().max(1.0) as usize;
        let first = |at_mm: f64, mm: f64| at_mm + (spacing_mm - mm) / 2.0;
        let origin = self.along_row * first(here.along_row_mm, between_columns_mm)
            + self.along_column * first(here.along_column_mm, between_rows_mm)
            + self.onwards * here.depth_mm;
        let pose =
            SlicePose { origin: PatientPoint(origin), along_row: self.along_row, along_column: self.along_column };
        let (rows, columns) = (count(self.rows, between_rows_mm), count(self.columns, between_columns_mm));
        PlaneGrid { pose, spacing_mm, rows, columns }
    }
    /// Points that span the volume to the outer edges of its voxels.
    pub fn corners(&self) -> Vec<PatientPoint> {
        let last = self.positions.len() - 1;
        let slices = std::iter::once(-0.5).chain((0..=last).map(|i| i as f64)).chain([last as f64 + 0.5]);
        let (right, bottom) = (self.columns as f64 - 0.5, self.rows as f64 - 0.5);
        slices
            .flat_map(|slice| {
                [(-0.5, -0.5), (right, -0.5), (-0.5, bottom), (right, bottom)]
                    .map(|(column, row)| self.patient_from_voxel(VoxelPoint { column, row, slice }))
            })
            .collect()
    }
    /// Reach of the volume along a direction, mm: `[least, largest]` scalar product of its corners with it.
    pub fn reach_mm(&self, direction: Vec3) -> [f64; 2] {
        self.corners()
            .iter()
            .map(|corner| corner.0.dot(direction))
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)])
    }
    /// The middle of the volume.
    pub fn centre(&self) -> PatientPoint {
        let middle = |n: usize| (n as f64 - 1.0) / 2.0;
        self.patient_from_voxel(VoxelPoint {
            column: middle(self.columns),
            row: middle(self.rows),
            slice: middle(self.positions.len()),
        })
    }

    /// The gap that holds a depth (the outermost one outside): its number and its two ends.
    fn gap_at(&self, depth_mm: f64) -> (usize, [SlicePosition; 2]) {
        let above = self.positions.partition_point(|p| p.depth_mm <= depth_mm);
        let gap = above.saturating_sub(1).min(self.positions.len() - 2);
        (gap, [self.positions[gap], self.positions[gap + 1]])
    }
}

fn between(a: f64, b: f64, f: f64) -> f64 {
    a + (b - a) * f
}

fn angle_deg(a: Vec3, b: Vec3) -> f64 {
    a.cross(b).length().atan2(a.dot(b)).to_degrees()
}

/// Every position lies on the line from the first to the last, at its even share of the way.
fn is_even(positions: &[SlicePosition]) -> bool {
    let (Some(first), Some(last)) = (positions.first(), positions.last()) else { return false };
    let steps = positions.len() as f64 - 1.0;
    positions.iter().enumerate().all(|(i, p)| {
        let f = i as f64 / steps;
        let off = |a: f64, b: f64, v: f64| (between(a, b, f) - v).abs() < EVEN_MM;
        off(first.depth_mm, last.depth_mm, p.depth_mm)
            && off(first.along_row_mm, last.along_row_mm, p.along_row_mm)
            && off(first.along_column_mm, last.along_column_mm, p.along_column_mm)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Axial slices (columns to the left, rows to the back) at these heights, each `lean_mm_per_mm` further back per
    /// millimetre of height, rows tilted by `tilt_deg` about the left-right axis.
    pub(crate) fn poses(z_mm: &[f64], tilt_deg: f64) -> Vec<Option<SlicePose>> {
        let (sin, cos) = tilt_deg.to_radians().sin_cos();
        let pose = |z: &f64| SlicePose {
            origin: PatientPoint(Vec3::new(-10.0, -20.0, *z)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, cos, -sin),
        };
        z_mm.iter().map(|z| Some(pose(z))).collect()
    }

    #[test]
    fn an_upright_stack_is_a_grid() {
        let g = StackGeometry::new(&poses(&[30.0, 27.0, 24.0], 0.0), Some([2.0, 0.5]), 11, 21).expect("a stack");
        assert!(g.is_even());
        assert_eq!(g.tilt_deg(), 0.0);
        assert_eq!(g.median_gap_mm(), 3.0);
        assert_eq!(g.smallest_spacing_mm(), 0.5);
        let v = g.voxel_from_patient(PatientPoint(Vec3::new(-5.0, 0.0, 25.5)));
        assert_eq!(v, VoxelPoint { column: 10.0, row: 10.0, slice: 1.5 });
        assert_eq!(g.reach_mm(Vec3::new(0.0, 0.0, 1.0)), [22.5, 31.5]);
        assert_eq!(g.reach_mm(Vec3::new(1.0, 0.0, 0.0)), [-10.25, 0.25]);
    }

    #[test]
    fn uneven_gaps_and_tilt_keep_their_places() {
        let g = StackGeometry::new(&poses(&[0.0, 4.0, 5.0, 12.0], 18.5), Some([0.5, 0.5]), 8, 8).expect("a stack");
        assert!(!g.is_even());
        assert!((g.tilt_deg() - 18.5).abs() < 1e-9);
        // Stacked along z: the same pixel of every slice lies above itself, whatever the tilt.
        for (slice, z) in [(0.0, 0.0), (1.0, 4.0), (1.5, 4.5), (2.0, 5.0), (2.5, 8.5), (3.5, 15.5)] {
            let p = g.patient_from_voxel(VoxelPoint { column: 0.0, row: 0.0, slice });
            assert!((p.0 - Vec3::new(-10.0, -20.0, z)).length() < 1e-9, "{slice}: {p:?}");
        }
    }

    #[test]
    fn slices_at_one_position_count_once() {
        let g = StackGeometry::new(&poses(&[9.0, 6.0, 6.0, 3.0], 0.0), Some([1.0, 1.0]), 4, 4).expect("a stack");
        let indices: Vec<usize> = g.positions().iter().map(|p| p.index).collect();
        assert_eq!(indices, [0, 1, 3]);
        assert!(g.is_even());
        assert_eq!(g.nearest_slice(PatientPoint(Vec3::new(0.0, 0.0, 4.0))), 3);
        assert_eq!(g.nearest_slice(PatientPoint(Vec3::new(0.0, 0.0, 100.0))), 0);
    }

    #[test]
    fn what_is_no_stack_is_told_why() {
        let make = |poses: &[Option<SlicePose>], spacing| StackGeometry::new(poses, spacing, 4, 4).unwrap_err();
        let some = Some([1.0, 1.0]);
        assert_eq!(make(&poses(&[0.0, 1.0], 0.0), None), StackError::NoSpacing);
        assert_eq!(make(&poses(&[0.0, 1.0], 0.0), Some([0.0, 1.0])), StackError::NoSpacing);
        assert_eq!(make(&poses(&[5.0], 0.0), some), StackError::OnePosition);
        assert_eq!(make(&poses(&[5.0, 5.0], 0.0), some), StackError::OnePosition);
        assert_eq!(make(&[], some), StackError::OnePosition);
        let mut bad = poses(&[0.0, 1.0, 2.0], 0.0);
        bad[1] = None;
        assert_eq!(make(&bad, some), StackError::NoPose { number: 2 });
        bad[1] = poses(&[1.0], 8.0)[0];
        assert!(
            matches!(make(&bad, some), StackError::NotParallel { number: 2, angle_deg } if (angle_deg - 8.0).abs() < 1e-6)
        );
    }

    proptest! {
        #[test]
        fn there_and_back(
            gaps in prop::collection::vec(0.3f64..7.0, 1..9),
            tilt_deg in -30.0f64..30.0,
            head_first in any::<bool>(),
            spacing in [0.2f64..2.0, 0.2f64..2.0],
            at in (-5.0f64..70.0, -5.0f64..70.0, -1.5f64..10.0),
        ) {
            let mut z_mm = vec![0.0];
            for gap in gaps {
                z_mm.push(z_mm[z_mm.len() - 1] + if head_first { -gap } else { gap });
            }
            let g = StackGeometry::new(&poses(&z_mm, tilt_deg), Some(spacing), 64, 64).expect("a stack");
            let voxel = VoxelPoint { column: at.0, row: at.1, slice: at.2.min(z_mm.len() as f64) };
            let back = g.voxel_from_patient(g.patient_from_voxel(voxel));
            prop_assert!((back.column - voxel.column).abs() < 1e-6);
            prop_assert!((back.row - voxel.row).abs() < 1e-6);
            prop_assert!((back.slice - voxel.slice).abs() < 1e-6);
        }

        #[test]
        fn slices_lie_where_their_poses_say(
            tilt_deg in -30.0f64..30.0,
            column in 0.0f64..63.0,
            row in 0.0f64..63.0,
            slice in 0usize..4,
        ) {
            let poses = poses(&[40.0, 36.0, 35.0, 28.0], tilt_deg);
            let g = StackGeometry::new(&poses, Some([0.7, 0.4]), 64, 64).expect("a stack");
            let pose = poses[slice].expect("given");
            let expected = pose.patient_from_pixel(crate::geometry::PixelPoint { column, row }, [0.7, 0.4]);
            let got = g.patient_from_voxel(VoxelPoint { column, row, slice: slice as f64 });
            prop_assert!((got.0 - expected.0).length() < 1e-9);
        }
    }
}
