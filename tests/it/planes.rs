//! Planes against SimpleITK, on volumes that are made by the same formula here and in
//! `tests/fixtures/planes/make.py`, and on real series.

use std::sync::Arc;

use dens::geometry::{PatientPoint, PixelPoint, Plane, PlaneGrid, SlicePose, StackGeometry, Vec3};
use dens::jobs::JobCtx;
use dens::volume::{Slab, Slice, SlicePixels, Stack, Volume};
use serde::Deserialize;

use crate::support::shared_data;

#[derive(Deserialize)]
struct Golden {
    synthetic: Vec<Synthetic>,
    real: Vec<Real>,
    oblique_synthetic: Vec<Oblique>,
    oblique_real: Vec<Oblique>,
}

#[derive(Deserialize)]
struct Synthetic {
    name: String,
    z_mm: Vec<f64>,
    tilt_deg: f64,
    spacing_mm: [f64; 2],
    planes: Vec<Cut>,
}

#[derive(Deserialize)]
struct Real {
    folder: String,
    planes: Vec<Cut>,
}

#[derive(Deserialize)]
struct Cut {
    plane: Plane,
    at_mm: f64,
    #[serde(flatten)]
    sampled: Sampled,
}

/// Turned about two axes.
#[derive(Deserialize)]
struct Oblique {
    /// A synthetic case or a folder.
    of: String,
    along_row: [f64; 3],
    along_column: [f64; 3],
    through_mm: [f64; 3],
    #[serde(flatten)]
    sampled: Sampled,
}

#[derive(Deserialize)]
struct Sampled {
    spacing_mm: f64,
    rows: usize,
    columns: usize,
    origin_mm: [f64; 3],
    /// Pixels with a value.
    inside: usize,
    /// Row-major offsets of the samples, and what SimpleITK has there.
    pixels: Vec<usize>,
    values: Vec<f32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../fixtures/planes/golden.json")).expect("the fixture fits")
}

const ROWS: usize = 37;
const COLUMNS: usize = 45;

/// A stack by the formula of `make.py`, display order head to feet.
pub fn synthetic(z_mm: &[f64], tilt_deg: f64, spacing_mm: [f64; 2]) -> Stack {
    let value = |p: Vec3| (900.0 * (p.x / 3.0).sin() * (p.y / 4.0 + p.z / 2.5).cos() + 40.0 * p.z + 0.5).floor();
    let (sin, cos) = tilt_deg.to_radians().sin_cos();
    let pose = |z: &f64| SlicePose {
        origin: PatientPoint(Vec3::new(-18.0, -16.0, *z)),
        along_row: Vec3::new(1.0, 0.0, 0.0),
        along_column: Vec3::new(0.0, cos, -sin),
    };
    let poses: Vec<SlicePose> = z_mm.iter().rev().map(pose).collect();
    let slices = poses.iter().map(|pose| {
        let at = |i: usize| PixelPoint { column: (i % COLUMNS) as f64, row: (i / COLUMNS) as f64 };
        let values = (0..ROWS * COLUMNS).map(|i| value(pose.patient_from_pixel(at(i), spacing_mm).0) as i16).collect();
        Arc::new(Slice { rows: ROWS, columns: COLUMNS, pixels: SlicePixels::I16(values), padding: None })
    });
    let volume = Arc::new(Volume::new(slices.collect()).expect("one size"));
    let poses: Vec<Option<SlicePose>> = poses.into_iter().map(Some).collect();
    let geometry = StackGeometry::new(&poses, Some(spacing_mm), ROWS, COLUMNS).expect("a stack");
    Stack { volume, geometry: Arc::new(geometry) }
}

#[track_caller]
fn check(stack: &Stack, cut: &Cut, what: &str) {
    let what = format!("{what}, {} at {} mm", cut.plane.name(), cut.at_mm);
    let grid = PlaneGrid::covering(&stack.geometry, cut.plane, cut.at_mm, cut.sampled.spacing_mm).expect("inside");
    compare(stack, &grid, &cut.sampled, &what);
}

#[track_caller]
fn check_oblique(stack: &Stack, cut: &Oblique) {
    let vector = |[x, y, z]: [f64; 3]| Vec3::new(x, y, z);
    let directions = [cut.along_row, cut.along_column].map(vector);
    let through = PatientPoint(vector(cut.through_mm));
    let grid = PlaneGrid::through(&stack.geometry, through, directions, cut.sampled.spacing_mm).expect("inside");
    compare(stack, &grid, &cut.sampled, &format!("{}, oblique", cut.of));
}

#[track_caller]
fn compare(stack: &Stack, grid: &PlaneGrid, expected: &Sampled, what: &str) {
    assert_eq!((grid.rows, grid.columns), (expected.rows, expected.columns), "{what}");
    let [x, y, z] = expected.origin_mm;
    assert!((grid.pose.origin.0 - Vec3::new(x, y, z)).length() < 1e-4, "{what}: {:?}", grid.pose.origin);
    let values = stack.resample((grid, None), &Slab::default(), f32::NAN);
    let apart = expected.pixels.iter().zip(&expected.values).map(|(i, value)| (values[*i] - value).abs());
    let worst = apart.fold(0.0, |worst: f32, d| if d.is_nan() { f32::INFINITY } else { worst.max(d) });
    assert!(worst <= 0.05, "{what}: {worst} HU apart");
    // The volume's edge falls between pixels up to rounding.
    let inside = values.iter().filter(|v| !v.is_nan()).count();
    assert!(inside.abs_diff(expected.inside) <= expected.inside / 200, "{what}: {inside} of {}", expected.inside);
}

#[test]
fn planes_of_even_tilted_and_uneven_stacks_are_those_of_simpleitk() {
    let golden = golden();
    for case in &golden.synthetic {
        let stack = synthetic(&case.z_mm, case.tilt_deg, case.spacing_mm);
        for cut in &case.planes {
            check(&stack, cut, &case.name);
        }
        let turned: Vec<&Oblique> = golden.oblique_synthetic.iter().filter(|cut| cut.of == case.name).collect();
        assert_eq!(turned.len(), 2, "{}", case.name);
        turned.into_iter().for_each(|cut| check_oblique(&stack, cut));
    }
}

#[test]
fn planes_of_real_series_are_those_of_simpleitk() {
    let Some(data) = shared_data() else { return };
    let golden = golden();
    assert!(golden.oblique_real.iter().all(|cut| golden.real.iter().any(|case| case.folder == cut.of)));
    for case in &golden.real {
        let ctx = JobCtx::detached();
        let catalog = dens::dicom::scan(&data.join(&case.folder), &ctx).expect("a catalog");
        let series = Arc::new(catalog.series[catalog.likeliest().expect("a series")].clone());
        let loaded = dens::dicom::load_series(&series, 0, &ctx, &|_, _| {}).expect("reads").loaded;
        let stack = loaded.stack().expect("a stack");
        for cut in &case.planes {
            check(&stack, cut, &case.folder);
        }
        golden.oblique_real.iter().filter(|cut| cut.of == case.folder).for_each(|cut| check_oblique(&stack, cut));
    }
}

/// Distance, within the slices, of the place where planes open from the way of the spinal canal that the network's
/// recipe finds by itself; mm.
fn off_the_canal_mm(loaded: &dens::study::LoadedSeries) -> f64 {
    let stack = loaded.stack().expect("a stack");
    let at = stack.bony_column().expect("bone that stays");
    let spacing_mm = loaded.series.spacing_mm.expect("millimetres");
    let (position_mm, ctx) = (loaded.series.position_mm(), JobCtx::detached());
    let recipe = dens::preprocess::Recipe::Spine;
    let plan = dens::preprocess::plan(recipe, &loaded.volume, spacing_mm, &position_mm, &ctx).expect("a plan");
    let index = stack.geometry.nearest_slice(at);
    let [x0, y0, x1, y1] = plan.crops[index].as_ref().expect("bone here").region;
    let voxel = stack.geometry.voxel_from_patient(at);
    let [aside, back] =
        [(voxel.column + 0.5 - (x0 + x1) / 2.0) * spacing_mm[1], (voxel.row + 0.5 - (y0 + y1) / 2.0) * spacing_mm[0]];
    aside.hypot(back)
}

#[test]
fn planes_open_at_the_spine_of_synthetic_and_of_real_necks() {
    for seed in [dens::phantom::DEMO_SEED, 3, 4] {
        let off_mm = off_the_canal_mm(&dens::phantom::demo_study(seed));
        assert!(off_mm < 25.0, "seed {seed}: {off_mm:.0} mm from the canal");
    }
    let Some(data) = shared_data() else { return };
    let ctx = JobCtx::detached();
    let catalog = dens::dicom::scan(&data.join("ct-headneck"), &ctx).expect("a catalog");
    let series = Arc::new(catalog.series[catalog.likeliest().expect("a series")].clone());
    let loaded = dens::dicom::load_series(&series, 0, &ctx, &|_, _| {}).expect("reads").loaded;
    let off_mm = off_the_canal_mm(&loaded);
    assert!(off_mm < 25.0, "{off_mm:.0} mm from the canal");
    // Its midsagittal is column 244 (the data's README).
    let stack = loaded.stack().expect("a stack");
    let column = stack.geometry.voxel_from_patient(stack.bony_column().expect("bone")).column;
    assert!((column - 244.0).abs() < 8.0, "column {column}");
}
