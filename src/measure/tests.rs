use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::geometry::{PlaneGrid, StackGeometry, VoxelPoint};
use crate::view::{ImageShape, ViewState};
use crate::volume::{Projection, Slice, SlicePixels, Stack, Volume};

const HU: Values = Values { are_hu: true, are_lossy: false };

fn at(x: f64, y: f64, z: f64) -> PatientPoint {
    PatientPoint(Vec3::new(x, y, z))
}

/// An axial slice at z 0 with the first pixel at the origin.
pub(crate) fn axial(spacing: [f64; 2]) -> Ground {
    let pose = SlicePose {
        origin: PatientPoint::default(),
        along_row: Vec3::new(1.0, 0.0, 0.0),
        along_column: Vec3::new(0.0, 1.0, 0.0),
    };
    Ground { space: Space::Patient, pose, spacing, source: Source::Slice { index: 0 } }
}

pub(crate) fn drawn_on(ground: Ground, kind: Kind, points: Vec<PatientPoint>) -> Measurement {
    Measurement {
        id: MeasureId(1),
        kind,
        number: 1,
        name: String::new(),
        ground,
        points,
        label_at: None,
        reading: Reading::Nothing,
    }
}

fn slice_of(rows: usize, columns: usize, value: impl Fn(usize, usize) -> i16) -> Slice {
    let values = (0..rows * columns).map(|i| value(i % columns, i / columns)).collect();
    Slice { rows, columns, pixels: SlicePixels::I16(values), padding: None }
}

fn region(measurement: &Measurement, pixels: Pixels<'_>) -> Region {
    match Reading::of(measurement, pixels) {
        Reading::Region(region) => region,
        other => panic!("{other:?}"),
    }
}

/// A stack of axial slices that leans and is tilted as asked, with a ball of 10 mm in it whose edge is at 500.
fn ball(z_mm: &[f64], tilt_deg: f64, spacing_mm: [f64; 2]) -> (Stack, Vec<SlicePose>, PatientPoint) {
    let poses: Vec<Option<SlicePose>> = crate::geometry::test_poses(z_mm, tilt_deg);
    let (rows, columns) = ((30.0 / spacing_mm[0]) as usize, (30.0 / spacing_mm[1]) as usize);
    let geometry = StackGeometry::new(&poses, Some(spacing_mm), rows, columns).expect("a stack");
    let middle = VoxelPoint { column: (columns / 2) as f64, row: (rows / 2) as f64, slice: (z_mm.len() / 2) as f64 };
    let centre = geometry.patient_from_voxel(middle);
    let slice = |slice: usize| {
        Arc::new(slice_of(rows, columns, |column, row| {
            let voxel = VoxelPoint { column: column as f64, row: row as f64, slice: slice as f64 };
            let r = (geometry.patient_from_voxel(voxel).0 - centre.0).length();
            (500.0 + (5.0 - r) * 200.0).clamp(-1000.0, 2000.0) as i16
        }))
    };
    let volume = Volume::new((0..z_mm.len()).map(slice).collect()).expect("one size");
    let poses = poses.into_iter().flatten().collect();
    (Stack { volume: Arc::new(volume), geometry: Arc::new(geometry) }, poses, centre)
}

/// Goes from the centre outwards until the value falls below 500.
fn edge(ground: &Ground, pixels: Pixels<'_>, centre: PatientPoint, direction: Vec3) -> PatientPoint {
    let value = |mm: f64| {
        let at = PatientPoint(centre.0 + direction * mm);
        match pixels {
            Pixels::Slice(slice) => slice.sample_bilinear(ground.pixel(at)),
            Pixels::Volume(stack) => stack.sample(at, crate::volume::Sampling::Linear),
            Pixels::Missing => None,
        }
    };
    let mm = (0..1000).map(|i| f64::from(i) * 0.01).find(|mm| value(*mm).is_none_or(|v| v < 500.0));
    PatientPoint(centre.0 + direction * mm.expect("an edge"))
}

#[test]
fn a_ball_of_10_mm_measures_10_mm_in_every_plane_tilt_and_spacing() {
    let even: Vec<f64> = (0..31).map(|i| f64::from(-i)).collect();
    let uneven: Vec<f64> = (0..31).map(|i| -f64::from(i) - 0.3 * f64::from(i % 3)).collect();
    for z_mm in [even, uneven] {
        for tilt_deg in [0.0, 18.5, -25.0] {
            for spacing_mm in [[0.5, 0.5], [1.0, 0.4], [0.3, 0.9]] {
                let (stack, poses, centre) = ball(&z_mm, tilt_deg, spacing_mm);
                let middle = z_mm.len() / 2;
                let source = Source::Slice { index: middle };
                let pose = poses[middle];
                let slice = Ground { space: Space::Patient, pose, spacing: spacing_mm, source };
                let mut grounds = vec![(slice, Pixels::Slice(&stack.volume.slices()[middle]))];
                for plane in Plane::ALL {
                    let spacing = stack.geometry.smallest_spacing_mm();
                    let coordinate = plane.coordinate_mm(centre);
                    let grid = PlaneGrid::covering(&stack.geometry, plane, coordinate, spacing).expect("inside");
                    let source = Source::Plane { plane, slab: Slab::default() };
                    let ground = Ground { space: Space::Patient, pose: grid.pose, spacing: [spacing; 2], source };
                    grounds.push((ground, Pixels::Volume(&stack)));
                }
                for (ground, pixels) in grounds {
                    for angle_deg in [0.0_f64, 33.0, 90.0] {
                        let (sin, cos) = angle_deg.to_radians().sin_cos();
                        let way = ground.pose.along_row * cos + ground.pose.along_column * sin;
                        let ends = [way, way * -1.0].map(|way| edge(&ground, pixels, centre, way));
                        let length = drawn_on(ground, Kind::Length, ends.into());
                        let Reading::Length(mm) = Reading::of(&length, pixels) else { panic!("no length") };
                        // A quarter of the widest step is what sampling costs.
                        assert!((mm - 10.0).abs() < 0.25, "{mm} mm: tilt {tilt_deg}, {spacing_mm:?}, {ground:?}");
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn lengths_and_angles_do_not_depend_on_zoom_pan_and_flip(
        points in prop::collection::vec((0.0..60.0f64, 0.0..60.0f64), 4),
        (zoom, pan, flips) in (0.2..20.0f64, (-0.5..0.5f64, -0.5..0.5f64), (any::<bool>(), any::<bool>())),
        spacing in (0.2..3.0f64, 0.2..3.0f64),
    ) {
        let ground = axial([spacing.0, spacing.1]);
        let view = ViewState { zoom, pan: [pan.0, pan.1], flip_horizontal: flips.0, flip_vertical: flips.1 };
        let shape = ImageShape { rows: 200, columns: 150, spacing: ground.spacing };
        let map = view.resolve(shape, 777.0, 555.0).expect("an area").pixel_from_screen;
        let there: Vec<PatientPoint> = points.iter().map(|(x, y)| at(*x, *y, 0.0)).collect();
        let back: Vec<PatientPoint> = there.iter().map(|p| {
            let (x, y) = map.screen(ground.pixel(*p));
            ground.point(map.pixel(x, y))
        }).collect();
        for kind in [Kind::Length, Kind::Angle, Kind::Cobb] {
            let read = |points: &[PatientPoint]| {
                Reading::of(&drawn_on(ground, kind, points[..kind.points()].to_vec()), Pixels::Missing)
            };
            match (read(&there), read(&back)) {
                (Reading::Length(a), Reading::Length(b)) | (Reading::Angle(a), Reading::Angle(b)) => {
                    prop_assert!((a - b).abs() < 1e-5, "{a} {b}");
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn everything_can_be_undone_and_redone(steps in prop::collection::vec((0..7u8, 0..6u64), 1..40)) {
        let mut sheet = Sheet::default();
        for (what, which) in steps {
            let id = sheet.measurements().get(which as usize).map_or(MeasureId(which), |m| m.id);
            match what {
                0 | 1 => {
                    let points = vec![at(0.0, 0.0, 0.0), at(which as f64 + 1.0, 0.0, 0.0)];
                    sheet.add(Kind::Length, axial([1.0; 2]), points, Reading::Nothing);
                }
                2 => drop(sheet.remove(id)),
                3 => drop(sheet.rename(id, format!("name {which}"))),
                4 => drop(sheet.nudge(id, |m| m.move_by(Vec3::new(1.0, 0.0, 0.0)))),
                5 => sheet.toggle_key_slice(KeySlice { index: which as usize, at: None }),
                _ => drop(sheet.clear()),
            }
        }
        let last = sheet.content().clone();
        let mut undone = 0;
        while sheet.undo() {
            undone += 1;
        }
        prop_assert_eq!(sheet.content(), &Content::default());
        for _ in 0..undone {
            prop_assert!(sheet.redo());
        }
        prop_assert!(!sheet.redo());
        prop_assert_eq!(sheet.content(), &last);
    }

    #[test]
    fn a_label_stays_in_the_view_and_clear_of_text(x in -50.0..450.0f64, y in -50.0..350.0f64, w in 0.0..80.0f64) {
        let taken = [[0.0, 0.0, 150.0, 60.0], [250.0, 0.0, 400.0, 90.0], [0.0, 240.0, 180.0, 300.0]];
        let view = [0.0, 0.0, 400.0, 300.0];
        let anchor = [x.clamp(0.0, 400.0), y.clamp(0.0, 300.0), (x + w).clamp(0.0, 400.0), (y + w).clamp(0.0, 300.0)];
        let [left, top] = place_label([90.0, 30.0], anchor, view, &taken, 8.0);
        prop_assert!(left >= 0.0 && top >= 0.0 && left + 90.0 <= 400.0 && top + 30.0 <= 300.0);
        for o in taken {
            prop_assert!(!(left < o[2] && o[0] < left + 90.0 && top < o[3] && o[1] < top + 30.0), "{left} {top}");
        }
    }
}

#[test]
fn statistics_are_of_the_pixels_whose_centres_lie_inside() {
    let slice = slice_of(4, 5, |column, row| (10 * row + column) as i16);
    let ground = axial([2.0, 1.0]);
    // Columns 1 to 3, rows 1 and 2.
    let rectangle = drawn_on(ground, Kind::Rectangle, vec![at(0.6, 1.1, 0.0), at(3.4, 5.0, 0.0)]);
    let r = region(&rectangle, Pixels::Slice(&slice));
    let s = r.statistics.expect("pixels");
    assert_eq!((r.n, s.min, s.max), (6, 11.0, 23.0));
    assert!((s.mean - 17.0).abs() < 1e-9 && (r.area - 2.8 * 3.9).abs() < 1e-9);
    // 11, 12, 13, 21, 22, 23: the squares about 17 sum to 154
    assert!((s.sd - (154.0_f64 / 5.0).sqrt()).abs() < 1e-9, "{}", s.sd);

    let mut padded = slice_of(4, 5, |column, row| if (column, row) == (1, 1) { -2000 } else { 7 });
    padded.padding = Some([-2000.0, -2000.0]);
    let r = region(&rectangle, Pixels::Slice(&padded));
    assert_eq!((r.n, r.left_out, r.statistics.map(|s| (s.mean, s.sd))), (5, 1, Some((7.0, 0.0))));

    let between = drawn_on(ground, Kind::Ellipse, vec![at(0.3, 0.5, 0.0), at(0.7, 1.5, 0.0)]);
    let r = region(&between, Pixels::Slice(&slice));
    assert_eq!((r.n, r.statistics), (0, None), "no centre inside");
    let beside = drawn_on(ground, Kind::Rectangle, vec![at(-90.0, -90.0, 0.0), at(-50.0, 900.0, 0.0)]);
    assert_eq!(region(&beside, Pixels::Slice(&slice)).n, 0);
    assert_eq!(Reading::of(&beside, Pixels::Missing), Reading::Nothing);
}

#[test]
fn the_mean_of_a_constant_is_the_constant_on_slices_planes_and_slabs() {
    let z_mm = [0.0, -2.0, -3.0, -7.0, -9.0];
    let (mut stack, poses, centre) = ball(&z_mm, 18.5, [0.7, 0.5]);
    let constant = Arc::new(slice_of(stack.volume.rows(), stack.volume.columns(), |_, _| 321));
    stack.volume = Arc::new(Volume::new(vec![constant.clone(); z_mm.len()]).expect("one size"));
    let slice =
        Ground { space: Space::Patient, pose: poses[2], spacing: [0.7, 0.5], source: Source::Slice { index: 2 } };
    for kind in [Kind::Ellipse, Kind::Rectangle] {
        let mut grounds = vec![(slice, Pixels::Slice(&constant))];
        for projection in [Projection::Mean, Projection::Mip, Projection::MinIp] {
            for thickness_mm in [0.0, 5.0] {
                let plane = Plane::Sagittal;
                let grid = PlaneGrid::covering(&stack.geometry, plane, centre.0.x, 0.5).expect("inside");
                let source = Source::Plane { plane, slab: Slab { thickness_mm, projection } };
                let ground = Ground { space: Space::Patient, pose: grid.pose, spacing: [0.5; 2], source };
                grounds.push((ground, Pixels::Volume(&stack)));
            }
        }
        for (ground, pixels) in grounds {
            let corner = |row: f64, column: f64| {
                let pose = &ground.pose;
                ground.onto(PatientPoint(centre.0 + pose.along_row * row + pose.along_column * column))
            };
            let m = drawn_on(ground, kind, vec![corner(-2.0, -1.5), corner(2.0, 1.5)]);
            let r = region(&m, pixels);
            let s = r.statistics.expect("pixels");
            assert!(r.n > 10 && (s.mean - 321.0).abs() < 1e-3 && s.sd < 1e-3, "{r:?}");
            assert!((s.min - 321.0).abs() < 1e-2 && (s.max - 321.0).abs() < 1e-2);
        }
    }
}

#[test]
fn a_region_on_a_plane_reads_what_the_plane_shows_and_nothing_beyond_the_volume() {
    let z_mm: Vec<f64> = (0..12).map(|i| f64::from(-i)).collect();
    let (stack, _, centre) = ball(&z_mm, 0.0, [1.0, 1.0]);
    let grid = PlaneGrid::covering(&stack.geometry, Plane::Coronal, centre.0.y, 1.0).expect("inside");
    let source = Source::Plane { plane: Plane::Coronal, slab: Slab::default() };
    let ground = Ground { space: Space::Patient, pose: grid.pose, spacing: [1.0; 2], source };
    let shown = stack.resample((&grid, None), &Slab::default(), f32::NAN);
    let far = 1e5;
    let whole = drawn_on(ground, Kind::Rectangle, vec![at(-far, centre.0.y, -far), at(far, centre.0.y, far)]);
    let sampled = Sampled::of(&whole, Pixels::Volume(&stack));
    let mut values = sampled.values.clone();
    let mut expected: Vec<f32> = shown.into_iter().filter(|v| v.is_finite()).collect();
    values.sort_by(f32::total_cmp);
    expected.sort_by(f32::total_cmp);
    assert_eq!(values, expected);
}

#[test]
fn the_pixels_of_an_ellipse_converge_to_its_area() {
    let mut last = f64::INFINITY;
    for (spacing, allowed) in [(1.0, 0.06), (0.5, 0.03), (0.25, 0.012), (0.125, 0.006)] {
        let side = (40.0 / spacing) as usize;
        let slice = slice_of(side, side, |_, _| 0);
        let ellipse = drawn_on(axial([spacing; 2]), Kind::Ellipse, vec![at(5.13, 8.21, 0.0), at(25.37, 20.9, 0.0)]);
        let r = region(&ellipse, Pixels::Slice(&slice));
        let off = (r.n as f64 * spacing * spacing / r.area - 1.0).abs();
        assert!(off < allowed, "{off} at {spacing}");
        last = off.min(last);
    }
    assert!(last < 0.004);
}

#[test]
fn pins_read_the_pixel_that_they_stand_on() {
    let slice = slice_of(4, 4, |column, row| (10 * row + column) as i16);
    let read =
        |x: f64, y: f64| Reading::of(&drawn_on(axial([0.5; 2]), Kind::Pin, vec![at(x, y, 0.0)]), Pixels::Slice(&slice));
    assert_eq!(read(0.6, 1.1), Reading::Value(Some(21.0)));
    assert_eq!(read(-0.3, 0.0), Reading::Value(None), "beside the picture");
}

#[test]
fn angles_have_the_fields_conventions() {
    let angle = |kind: Kind, points: &[(f64, f64)]| {
        let points = points.iter().map(|(x, y)| at(*x, *y, 0.0)).collect();
        match Reading::of(&drawn_on(axial([1.0; 2]), kind, points), Pixels::Missing) {
            Reading::Angle(degrees) => degrees,
            other => panic!("{other:?}"),
        }
    };
    assert!((angle(Kind::Angle, &[(1.0, 0.0), (0.0, 0.0), (-1.0, 1.0)]) - 135.0).abs() < 1e-9);
    // A Cobb angle does not ask in which sense the lines were drawn.
    let upper = [(0.0, 0.0), (10.0, 0.0)];
    for lower in [[(0.0, 9.0), (10.0, 7.0)], [(10.0, 7.0), (0.0, 9.0)]] {
        let degrees = angle(Kind::Cobb, &[upper, lower].concat());
        assert!((degrees - 0.2_f64.atan().to_degrees()).abs() < 1e-9, "{degrees}");
    }
}

#[test]
fn handles_move_what_they_belong_to() {
    let ground = axial([1.0; 2]);
    let mut ellipse = drawn_on(ground, Kind::Ellipse, vec![at(0.0, 0.0, 0.0), at(10.0, 4.0, 0.0)]);
    for (handle, to, axes) in [(2, at(14.0, 99.0, 7.0), [7.0, 2.0]), (1, at(50.0, -2.0, 0.0), [7.0, 3.0])] {
        ellipse.move_handle(handle, to);
        let half = ellipse.half_axes();
        assert!((half[0] - axes[0]).abs() < 1e-9 && (half[1] - axes[1]).abs() < 1e-9, "{half:?}");
        assert!(ellipse.points.iter().all(|p| p.0.z.abs() < 1e-9), "stays on its slice");
    }
    let mut rectangle = drawn_on(ground, Kind::Rectangle, vec![at(0.0, 0.0, 0.0), at(10.0, 4.0, 0.0)]);
    rectangle.move_handle(1, at(12.0, -1.0, 0.0));
    assert!((rectangle.half_axes()[0] - 6.0).abs() < 1e-9 && (rectangle.half_axes()[1] - 2.5).abs() < 1e-9);
    rectangle.move_by(Vec3::new(1.0, 1.0, 5.0));
    assert!((rectangle.centre().0 - Vec3::new(7.0, 2.5, 0.0)).length() < 1e-9);
    let nothing = drawn_on(ground, Kind::Length, vec![at(1.0, 1.0, 0.0); 2]);
    assert!(nothing.is_nothing() && nothing.is_sound() && !rectangle.is_nothing());
}

#[test]
fn values_say_what_they_are_not() {
    let mut m = drawn_on(axial([1.0; 2]), Kind::Length, vec![at(0.0, 0.0, 0.0), at(3.0, 4.0, 0.0)]);
    m.reading = Reading::of(&m, Pixels::Missing);
    assert_eq!(label(&m, HU), ["5.0 mm"]);
    assert_eq!((title(&m), place(&m)), ("Length 1".to_owned(), "slice 1".to_owned()));
    m.ground.space = Space::SlicePixels;
    assert_eq!(label(&m, HU), ["5.0 px", "spacing unknown: in pixels"]);
    m.name = "gap".to_owned();
    assert_eq!(label(&m, HU)[0], "gap");

    let slab = Slab { thickness_mm: 10.0, projection: Projection::Mip };
    let source = Source::Plane { plane: Plane::Sagittal, slab };
    let mut ground = Ground { source, ..axial([1.0; 2]) };
    [ground.pose.along_row, ground.pose.along_column] = Plane::Sagittal.directions();
    let mut pin = drawn_on(ground, Kind::Pin, vec![at(0.0, 0.0, 0.0)]);
    pin.reading = Reading::Value(Some(640.0));
    let lossy = Values { are_hu: false, are_lossy: true };
    assert_eq!(label(&pin, lossy), ["value 640", "MIP of 10 mm, lossy source"]);
    assert_eq!(described(&pin, HU), "HU pin 1\tHU 640\tMIP of 10 mm\tsagittal, x 0.0 mm\t(0.0, 0.0, 0.0) mm");
    pin.ground.source = Source::Plane { plane: Plane::Sagittal, slab: Slab::default() };
    assert_eq!(remark(&pin, HU).as_deref(), Some("interpolated"));
}

#[test]
fn a_drag_is_one_step_and_letters_are_undone_together() {
    let mut sheet = Sheet::default();
    let id = sheet.add(Kind::Pin, axial([1.0; 2]), vec![at(0.0, 0.0, 0.0)], Reading::Nothing);
    sheet.begin_drag();
    for _ in 0..5 {
        sheet.drag(id, |m| m.move_by(Vec3::new(1.0, 0.0, 0.0)));
    }
    assert!(sheet.end_drag());
    for name in ["a", "ab", "abc"] {
        sheet.rename(id, name.to_owned());
    }
    sheet.undo();
    assert_eq!(sheet.get(id).map(|m| (m.name.clone(), m.points[0].0.x)), Some((String::new(), 5.0)));
    sheet.undo();
    assert_eq!(sheet.get(id).map(|m| m.points[0].0.x), Some(0.0));
    sheet.begin_drag();
    assert!(!sheet.end_drag(), "nothing moved, nothing to undo");
    sheet.begin_drag();
    sheet.drag(id, |m| m.move_by(Vec3::new(1.0, 0.0, 0.0)));
    assert!(sheet.cancel_drag() && sheet.get(id).is_some_and(|m| m.points[0].0.x == 0.0));
}

#[test]
fn what_was_kept_joins_what_was_drawn_meanwhile() {
    let point = || vec![at(0.0, 0.0, 0.0)];
    let mut kept = Sheet::default();
    let old = kept.add(Kind::Pin, axial([1.0; 2]), point(), Reading::Nothing);
    let mut sheet = Sheet::default();
    let new = sheet.add(Kind::Pin, axial([1.0; 2]), point(), Reading::Nothing);
    sheet.join(kept.content().clone());
    assert_eq!(sheet.measurements().len(), 2);
    assert_eq!(sheet.selected, Some(MeasureId(old.0 + new.0)));
    sheet.undo();
    assert_eq!(sheet.measurements().iter().map(|m| m.id).collect::<Vec<_>>(), [old], "the old one was always there");
    let third = sheet.add(Kind::Pin, axial([1.0; 2]), point(), Reading::Nothing);
    assert!(third.0 > new.0 + old.0, "no name is given twice");
}

/// The values of `tests/fixtures/measure/make.py`, as a slice of one row.
#[test]
fn statistics_agree_with_scipy() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/fixtures/measure/golden.json")).expect("the fixture fits");
    let sets = golden["sets"].as_array().expect("sets");
    assert_eq!(sets.len(), 7);
    for set in sets {
        let values: Vec<i16> = set["values"].as_array().expect("values").iter().map(whole).collect();
        let slice = slice_of(1, values.len(), |column, _| values[column]);
        let last = values.len() as f64 - 0.5;
        let drawn = drawn_on(axial([1.0, 1.0]), Kind::Rectangle, vec![at(-0.5, -0.5, 0.0), at(last, 0.5, 0.0)]);
        let r = region(&drawn, Pixels::Slice(&slice));
        let s = r.statistics.expect("pixels");
        assert_eq!(r.n, values.len());
        for (name, got) in [
            ("mean", Some(s.mean)),
            ("sd", Some(s.sd)),
            ("median", Some(s.median)),
            ("skewness", s.skewness),
            ("excess_kurtosis", s.excess_kurtosis),
        ] {
            let expected = set[name].as_f64();
            let near = match (got, expected) {
                (Some(got), Some(expected)) => (got - expected).abs() <= 1e-9 * expected.abs().max(1.0),
                (got, expected) => got == expected,
            };
            assert!(near, "{}: {name} {got:?}, expected {expected:?}", set["name"]);
        }
    }
}

fn whole(value: &serde_json::Value) -> i16 {
    value.as_i64().and_then(|v| i16::try_from(v).ok()).expect("a whole number")
}

#[test]
fn lists_tell_how_values_lie_and_labels_stay_short() {
    let slice = slice_of(1, 4, |column, _| [1, 2, 2, 9][column]);
    let mut drawn = drawn_on(axial([1.0, 1.0]), Kind::Rectangle, vec![at(-0.5, -0.5, 0.0), at(3.5, 0.5, 0.0)]);
    drawn.reading = Reading::of(&drawn, Pixels::Slice(&slice));
    let said = value(&drawn, HU);
    assert!(said.ends_with("n 4, median 2.0, skewness 1.10, excess kurtosis -0.71"), "{said}");
    assert!(label(&drawn, HU).iter().all(|line| !line.contains("kurtosis")));
    let alike = slice_of(1, 4, |_, _| 7);
    drawn.reading = Reading::of(&drawn, Pixels::Slice(&alike));
    assert!(value(&drawn, HU).ends_with("median 7.0"), "{}", value(&drawn, HU));
}
