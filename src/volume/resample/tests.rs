use proptest::prelude::*;

use super::*;
use crate::geometry::{Plane, Rotation, SlicePose};

/// A stack whose values are a function of patient space, at slices of these heights with rows tilted by `tilt_deg`.
pub(crate) fn stack_of(
    z_mm: &[f64],
    tilt_deg: f64,
    spacing_mm: [f64; 2],
    [rows, columns]: [usize; 2],
    value: impl Fn(Vec3) -> f64,
) -> Stack {
    let (sin, cos) = tilt_deg.to_radians().sin_cos();
    let extent = [columns as f64 * spacing_mm[1], rows as f64 * spacing_mm[0]];
    let poses: Vec<Option<SlicePose>> = z_mm
        .iter()
        .map(|z| {
            let along_column = Vec3::new(0.0, cos, -sin);
            let middle = Vec3::new(0.0, 0.0, *z);
            let origin = middle - Vec3::new(extent[0] / 2.0, 0.0, 0.0) - along_column * (extent[1] / 2.0);
            Some(SlicePose { origin: PatientPoint(origin), along_row: Vec3::new(1.0, 0.0, 0.0), along_column })
        })
        .collect();
    let geometry = StackGeometry::new(&poses, Some(spacing_mm), rows, columns).expect("a stack");
    let slices = poses.iter().flatten().map(|pose| {
        let values = (0..rows * columns).map(|i| {
            let at = PixelPoint { column: (i % columns) as f64, row: (i / columns) as f64 };
            value(pose.patient_from_pixel(at, spacing_mm).0) as f32
        });
        Arc::new(Slice { rows, columns, pixels: SlicePixels::F32(values.collect()), padding: None })
    });
    Stack { volume: Arc::new(Volume::new(slices.collect()).expect("one size")), geometry: Arc::new(geometry) }
}

/// Inside and at least a voxel away from where edge voxels are repeated.
fn well_inside(stack: &Stack, at: PatientPoint) -> bool {
    let v = stack.geometry.voxel_from_patient(at);
    let within = |v: f64, n: usize| v >= 0.0 && v <= n as f64 - 1.0;
    within(v.column, stack.geometry.columns())
        && within(v.row, stack.geometry.rows())
        && within(v.slice, stack.geometry.positions().len())
}

const UNEVEN_MM: [f64; 8] = [20.0, 16.0, 12.0, 11.0, 4.0, -3.0, -10.0, -17.0];

#[test]
fn a_curved_plane_shows_a_curved_tube_straight_and_its_true_length() {
    use crate::geometry::{Bend, Bent, BodyPath};
    const RADIUS_MM: f64 = 90.0;
    /// The tube's middle at a height: an arc.
    fn middle_mm(z_mm: f64) -> f64 {
        (RADIUS_MM * RADIUS_MM - z_mm * z_mm).sqrt() - RADIUS_MM + 10.0
    }
    // Beads lie 20 mm of the arc apart.
    let bead = |i: i32| {
        let angle = f64::from(i) * 20.0 / RADIUS_MM;
        Vec3::new(3.0, RADIUS_MM * angle.cos() - RADIUS_MM + 10.0, RADIUS_MM * angle.sin())
    };
    let value = |p: Vec3| {
        let nearest = (-2..=2).map(|i| (p - bead(i)).length()).fold(f64::INFINITY, f64::min);
        1000.0 - 60.0 * (p.x - 3.0).hypot(p.y - middle_mm(p.z)) + 400.0 * (1.0 - nearest / 4.0).max(0.0)
    };
    let z_mm: Vec<f64> = (0..113).map(|i| 56.0 - f64::from(i)).collect();
    for tilt_deg in [0.0, 12.0] {
        let stack = stack_of(&z_mm, tilt_deg, [0.8, 0.8], [96, 64], value);
        let knots = (0..29)
            .map(|i| PatientPoint(Vec3::new(3.0, middle_mm(56.0 - 4.0 * f64::from(i)), 56.0 - 4.0 * f64::from(i))));
        let path = BodyPath::through(knots).expect("knots");
        let reach_mm = stack.geometry.reach_mm(Plane::Axial.axis());
        let bend = Bend::new(&path, Plane::Coronal, reach_mm, 0.8).expect("a bend");
        let bent = Bent { bend: Arc::new(bend), shift_mm: 0.0 };
        let grid = bent.grid(stack.geometry.reach_mm(Plane::Coronal.directions()[0]), PatientPoint::default(), 0.5);
        let values = stack.resample((&grid, Some(&bent)), &Slab::default(), f32::NAN);
        let sheet = grid.sheet(Some(&bent));
        let row_of = |at: Vec3| sheet.pixel_from_patient(PatientPoint(at)).row;
        let column = sheet.pixel_from_patient(PatientPoint(Vec3::new(3.0, 0.0, 0.0))).column;
        let at = |row: f64, aside: f64| values[row.round() as usize * grid.columns + (column + aside).round() as usize];
        for row in (row_of(bead(2)) as usize - 6..row_of(bead(-2)) as usize + 6).map(|row| row as f64) {
            assert!(at(row, 0.0) > 930.0, "the tube stays in the middle, row {row}: {}", at(row, 0.0));
            // 10 mm aside of it lies what lies 10 mm from it.
            assert!((at(row, 20.0) - 400.0).abs() < 40.0, "row {row}: {}", at(row, 20.0));
        }
        for i in -2..2 {
            let apart_mm = (row_of(bead(i)) - row_of(bead(i + 1))) * 0.5;
            assert!((apart_mm - 20.0).abs() < 0.1, "beads {apart_mm} mm apart along the surface");
            let brightest = (-8..=8).map(|d| at(row_of(bead(i)) + f64::from(d), 0.0)).fold(0.0, f32::max);
            assert!(brightest - at(row_of(bead(i)), 0.0) < 60.0, "and each is seen where it lies");
        }
    }
}

#[test]
fn cubics_keep_slopes_and_leave_gaps_to_linear() {
    let slope = |p: Vec3| 3.0 * p.x - 7.0 * p.y + 11.0 * p.z;
    let z_mm: Vec<f64> = (0..12).map(|i| 20.0 - 3.0 * f64::from(i)).collect();
    let mut stack = stack_of(&z_mm, 0.0, [0.9, 0.6], [48, 64], slope);
    let at = PatientPoint(Vec3::new(2.3, -4.1, 3.7));
    for cubic in [Cubic::Sharp, Cubic::Smooth] {
        let value = stack.sample(at, Sampling::Cubic(cubic)).expect("inside");
        assert!((f64::from(value) - slope(at.0)).abs() < 0.01, "{cubic:?}: {value}");
    }
    // A voxel that is no number, two slices away: the cubic would reach it, the linear value does not.
    let near = stack.geometry.voxel_from_patient(at);
    let offset = near.row.floor() as usize * 64 + near.column.floor() as usize;
    let mut slices = stack.volume.slices().to_vec();
    let index = stack.geometry.positions()[near.slice.floor() as usize - 1].index;
    let mut gap = Slice::clone(&slices[index]);
    if let SlicePixels::F32(values) = &mut gap.pixels {
        values[offset] = f32::NAN;
    }
    slices[index] = Arc::new(gap);
    stack.volume = Arc::new(Volume::new(slices).expect("one size"));
    let linear = stack.sample(at, Sampling::Linear);
    assert!(linear.is_some());
    assert_eq!(stack.sample(at, Sampling::Cubic(Cubic::Sharp)), linear);
    let slab = Slab { thickness_mm: 4.0, projection: Projection::Mean };
    let of = |sampling| stack.sample_slab(at, Vec3::new(0.0, 0.0, 1.0), &slab, 0.5, sampling);
    assert_eq!(of(Sampling::Cubic(Cubic::Smooth)), of(Sampling::Linear), "slabs are of linear values");
}

#[test]
fn a_slope_stays_a_slope_in_every_plane_tilt_and_spacing() {
    let slope = |p: Vec3| 3.0 * p.x - 7.0 * p.y + 11.0 * p.z;
    for tilt_deg in [0.0, 18.5, -25.0] {
        let stack = stack_of(&UNEVEN_MM, tilt_deg, [0.9, 0.6], [48, 64], slope);
        for plane in Plane::ALL {
            let grid = PlaneGrid::covering(&stack.geometry, plane, 1.3, 0.7).expect("inside");
            let values = stack.resample((&grid, None), &Slab::default(), f32::NAN);
            let mut seen = 0;
            for (i, value) in values.iter().enumerate() {
                let at = PixelPoint { column: (i % grid.columns) as f64, row: (i / grid.columns) as f64 };
                let point = grid.patient_from_pixel(at);
                if well_inside(&stack, point) {
                    seen += 1;
                    assert!((f64::from(*value) - slope(point.0)).abs() < 1e-2, "{plane:?}, tilt {tilt_deg}: {point:?}");
                }
            }
            assert!(seen > 300, "{plane:?}: only {seen} pixels inside");
        }
    }
}

/// Area in mm2 of what is above half, on the plane through the ball's centre.
fn diameters_mm(stack: &Stack, plane: Plane, centre: Vec3) -> [f64; 2] {
    let spacing_mm = 0.25;
    let at_mm = plane.coordinate_mm(PatientPoint(centre));
    let grid = PlaneGrid::covering(&stack.geometry, plane, at_mm, spacing_mm).expect("inside");
    let values = stack.resample((&grid, None), &Slab::default(), 0.0);
    let foot = grid.pixel_from_patient(PatientPoint(centre));
    let inside = |column: usize, row: usize| values[row * grid.columns + column] >= 500.0;
    let (c, r) = (foot.column.round() as usize, foot.row.round() as usize);
    let across = (0..grid.columns).filter(|column| inside(*column, r)).count();
    let along = (0..grid.rows).filter(|row| inside(c, *row)).count();
    [across as f64 * spacing_mm, along as f64 * spacing_mm]
}

#[test]
fn a_ball_of_ten_millimetres_measures_ten_in_every_plane_tilt_and_spacing() {
    let centre = Vec3::new(2.0, -1.0, 3.0);
    // A soft edge, so that half height lies at the radius whatever the grid.
    let ball = |p: Vec3| 1000.0 * (5.5 - (p - centre).length()).clamp(0.0, 1.0);
    let even: Vec<f64> = (0..60).map(|i| 15.0 - 0.5 * f64::from(i)).collect();
    let uneven: Vec<f64> = (0..60).map(|i| 15.0 - 0.5 * f64::from(i) - if i > 22 { 0.4 } else { 0.0 }).collect();
    for (z_mm, tilt_deg) in [(&even, 0.0), (&even, 20.0), (&uneven, 0.0), (&uneven, -20.0)] {
        let stack = stack_of(z_mm, tilt_deg, [0.5, 0.4], [64, 80], ball);
        for plane in Plane::ALL {
            for measured in diameters_mm(&stack, plane, centre) {
                assert!((measured - 10.0).abs() <= 0.3, "{plane:?}, tilt {tilt_deg}: {measured} mm");
            }
        }
    }
}

#[test]
fn a_ball_of_ten_millimetres_measures_ten_on_leaning_planes_and_in_their_slabs() {
    let centre = Vec3::new(2.0, -1.0, 3.0);
    let ball = |p: Vec3| 1000.0 * (5.5 - (p - centre).length()).clamp(0.0, 1.0);
    for (tilt_deg, step_mm, spacing_mm) in [(0.0, 0.5, [0.5, 0.4]), (20.0, 0.5, [0.5, 0.4]), (-15.0, 0.9, [0.7, 0.7])] {
        let z_mm: Vec<f64> = (0..60).map(|i| 16.0 - step_mm * f64::from(i) - if i > 22 { 0.3 } else { 0.0 }).collect();
        let stack = stack_of(&z_mm, tilt_deg, spacing_mm, [64, 80], ball);
        for plane in Plane::ALL {
            for (axis, deg) in [([1.0, 0.0, 0.0], 33.0), ([0.0, 1.0, 0.2], -20.0), ([0.3, -0.5, 1.0], 61.0)] {
                let turn = Rotation::about(Vec3::new(axis[0], axis[1], axis[2]), deg).expect("an axis");
                let at_mm = plane.coordinate_mm(PatientPoint(centre));
                let upright = PlaneGrid::covering(&stack.geometry, plane, at_mm, 0.25).expect("inside");
                let grid = upright.turned(&turn, PatientPoint(centre));
                for thickness_mm in [0.0, 20.0] {
                    let slab = Slab { thickness_mm, projection: Projection::Mip };
                    let values = stack.resample((&grid, None), &slab, 0.0);
                    let foot = grid.pixel_from_patient(PatientPoint(centre));
                    let (c, r) = (foot.column.round() as usize, foot.row.round() as usize);
                    let inside = |column: usize, row: usize| values[row * grid.columns + column] >= 500.0;
                    let across = (0..grid.columns).filter(|column| inside(*column, r)).count() as f64 * 0.25;
                    let along = (0..grid.rows).filter(|row| inside(c, *row)).count() as f64 * 0.25;
                    for measured in [across, along] {
                        let what = format!("{plane:?} by {deg}, tilt {tilt_deg}, slab {thickness_mm}");
                        assert!((measured - 10.0).abs() <= 0.3, "{what}: {measured} mm");
                    }
                }
            }
        }
    }
}

#[test]
fn slabs_are_centred_and_as_thick_as_told() {
    // A wall of 1000 from z 5 to 7 in nothing.
    let wall = |p: Vec3| if (5.0..=7.0).contains(&p.z) { 1000.0 } else { 0.0 };
    let z_mm: Vec<f64> = (0..41).map(|i| 20.0 - f64::from(i)).collect();
    let stack = stack_of(&z_mm, 0.0, [1.0, 1.0], [8, 8], wall);
    let value = |thickness_mm, projection| {
        let at = PatientPoint(Vec3::new(0.0, 0.0, 6.0));
        stack.sample_slab(at, Vec3::new(0.0, 0.0, 1.0), &Slab { thickness_mm, projection }, 0.5, Sampling::Linear)
    };
    assert_eq!(value(0.0, Projection::Mean), Some(1000.0));
    // Slices 5, 6 and 7 with the slopes to 4 and 8: an area of 3 slices.
    assert_eq!(value(10.0, Projection::Mean), Some(300.0));
    assert_eq!(value(10.0, Projection::Mip), Some(1000.0));
    assert_eq!(value(10.0, Projection::MinIp), Some(0.0));
    assert_eq!(value(2.0, Projection::MinIp), Some(1000.0));
    assert_eq!(value(1000.0, Projection::Mip), Some(1000.0), "what lies outside does not count");
}

#[test]
fn offsets_hold_both_faces_and_the_plane() {
    let slab = Slab { thickness_mm: 5.0, projection: Projection::Mip };
    let offsets: Vec<f64> = slab.offsets_mm(1.0).collect();
    assert_eq!(offsets.first(), Some(&-2.5));
    assert_eq!(offsets.last(), Some(&2.5));
    assert!(offsets.contains(&0.0) && offsets.len() == 7);
    assert_eq!(Slab::default().offsets_mm(1.0).collect::<Vec<_>>(), [0.0]);
    assert_eq!(Slab { thickness_mm: f64::NAN, ..slab }.steps_per_side(1.0), 0);
}

#[test]
fn outside_is_padding_whether_the_volume_has_some_or_not() {
    let stack = stack_of(&[4.0, 0.0], 30.0, [1.0, 1.0], [8, 8], |_| 100.0);
    let grid = PlaneGrid::covering(&stack.geometry, Plane::Sagittal, 0.0, 0.5).expect("inside");
    let slice = stack.plane_slice((&grid, None), &Slab::default());
    let corner = slice.at(0, slice.rows - 1).expect("a pixel");
    assert!(slice.is_padding(corner), "the corner of a tilted stack holds nothing");
    assert_eq!(slice.min_max(), Some([100.0, 100.0]));
}

proptest! {
    #[test]
    fn a_voxel_centre_has_its_own_value(
        column in 0usize..9,
        row in 0usize..7,
        slice in 0usize..8,
        tilt_deg in -30.0f64..30.0,
    ) {
        let hash = |p: Vec3| ((p.x * 12.9898 + p.y * 78.233 + p.z * 37.719).sin() * 43758.5).fract() * 1000.0;
        let stack = stack_of(&UNEVEN_MM, tilt_deg, [0.9, 0.6], [7, 9], hash);
        let voxel = VoxelPoint { column: column as f64, row: row as f64, slice: slice as f64 };
        let expected = stack.volume.slices()[slice].at(column, row).expect("inside");
        for sampling in [Sampling::Linear, Sampling::Nearest] {
            let got = stack.sample(stack.geometry.patient_from_voxel(voxel), sampling).expect("inside");
            prop_assert!((got - expected).abs() < 1e-3, "{} is not {}", got, expected);
        }
    }
}
