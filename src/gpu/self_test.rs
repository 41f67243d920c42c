//! The check at the start: pictures of a small made-up slice and volume by the graphics device beside those of the CPU
//! twin. A driver that draws other grey values is found out before a reader looks at any.

use std::sync::Arc;

use super::GpuError;
use super::offscreen::Offscreen;
use crate::geometry::{PatientPoint, Plane, PlaneGrid, SlicePose, StackGeometry, Vec3};
use crate::view::planes::PlaneDraw;
use crate::view::raster::Drawing;
use crate::view::{ImageLayer, Interpolation, PixelFromScreen, ViewDraw};
use crate::volume::{Projection, Slab, Slice, SlicePixels, Stack, Volume, Window};

/// Size of the pictures, pixels.
const SIZE: [u32; 2] = [96, 80];
/// Sides of the slice and number of slices.
const ROWS: usize = 29;
const COLUMNS: usize = 37;
const SLICES: usize = 7;
/// Grey values of this range are no measurement.
const PADDING: [f32; 2] = [-2000.0, -1900.0];
/// Share of a plane's pixels that may be more than one grey level apart: places are f32 on the device.
const PLANE_SHARE: f64 = 0.004;

/// Why the device's pictures are not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(
        "the graphics driver draws other grey values than the reference (largest difference {largest} of 255 levels, on \
         {percent:.1} % of a test picture)"
    )]
    Differs { largest: u8, percent: f64 },
    #[error("the graphics driver could not draw a test picture: {0}")]
    NoPicture(#[from] GpuError),
}

/// What a test picture is to look like, RGBA.
fn reference(picture: &Drawing) -> Vec<u8> {
    picture.rgba8(SIZE.map(|n| n as usize))
}

/// Compares what the device draws with the reference.
pub fn check(device: &Offscreen) -> Result<(), Fault> {
    compare(|picture| match picture {
        Drawing::Slice(draw) => device.render(draw, SIZE[0], SIZE[1]),
        Drawing::Plane(draw) => device.render_plane(draw, SIZE[0], SIZE[1]),
        Drawing::Surface(draw) => device.render_surface(draw, SIZE[0], SIZE[1]),
    })
}

/// The same for anything that draws.
pub fn compare(drawn: impl Fn(&Drawing) -> Result<Vec<u8>, GpuError>) -> Result<(), Fault> {
    for picture in pictures() {
        let allowed = if matches!(picture, Drawing::Plane(_)) { PLANE_SHARE } else { 0.0 };
        agree(&drawn(&picture)?, &reference(&picture), allowed)?;
    }
    Ok(())
}

/// At most one grey level apart, but for a share of the pixels.
fn agree(seen: &[u8], reference: &[u8], allowed: f64) -> Result<(), Fault> {
    if seen.len() != reference.len() {
        return Err(Fault::Differs { largest: 255, percent: 100.0 });
    }
    let pairs = seen.chunks_exact(4).zip(reference.chunks_exact(4));
    let apart = |(a, b): (&[u8], &[u8])| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    let (mut largest, mut differing, mut pixels) = (0, 0_u32, 0_u32);
    for difference in pairs.map(apart) {
        largest = largest.max(difference);
        differing += u32::from(difference > 1);
        pixels += 1;
    }
    let share = f64::from(differing) / f64::from(pixels.max(1));
    if share > allowed { Err(Fault::Differs { largest, percent: 100.0 * share }) } else { Ok(()) }
}

/// Window, padding, both ways of sampling, both polarities, mirrored, enlarged; a plane and a slab.
fn pictures() -> Vec<Drawing> {
    let slices: Vec<Arc<Slice>> = (0..SLICES).map(|k| Arc::new(slice(k))).collect();
    let map = PixelFromScreen { column_per_x: -0.41, column_at_0: 37.3, row_per_y: 0.37, row_at_0: -0.9 };
    let view = |window, invert, interpolation| {
        let image = ImageLayer { slice: slices[0].clone(), window, invert, interpolation };
        Drawing::Slice(ViewDraw { pixel_from_screen: map, image, heatmap: None })
    };
    let mut pictures =
        vec![view(Window::BONE, false, Interpolation::Linear), view(Window::SOFT_TISSUE, true, Interpolation::Nearest)];
    let stack = stack(&slices);
    for (plane, thickness_mm) in [(Plane::Sagittal, 0.0), (Plane::Coronal, 3.0)] {
        let draw = stack.clone().and_then(|stack| plane_draw(stack, plane, thickness_mm));
        pictures.extend(draw.map(|draw| Drawing::Plane(Box::new(draw))));
    }
    pictures
}

/// Smooth shapes and a hard edge; a corner of padding.
fn slice(k: usize) -> Slice {
    let value = |i: usize| {
        let (row, column) = ((i / COLUMNS) as f32, (i % COLUMNS) as f32);
        if row + column < 9.0 {
            return -2000;
        }
        let bone = if (row - 14.0).hypot(column - 19.0) < 7.0 + k as f32 / 3.0 { 800.0 } else { 0.0 };
        (bone + row * 17.0 - 300.0 + 220.0 * (column / 4.0 + k as f32 / 2.0).sin()) as i16
    };
    let pixels = SlicePixels::I16((0..ROWS * COLUMNS).map(value).collect());
    Slice { rows: ROWS, columns: COLUMNS, pixels, padding: Some(PADDING) }
}

/// Leaning slices at uneven distances.
fn stack(slices: &[Arc<Slice>]) -> Option<Stack> {
    let pose = |k: usize| {
        let z_mm = -(k as f64) * 2.0 - if k > 3 { 1.5 } else { 0.0 };
        Some(SlicePose {
            origin: PatientPoint(Vec3::new(0.0, 0.2 * z_mm, z_mm)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        })
    };
    let poses: Vec<Option<SlicePose>> = (0..slices.len()).map(pose).collect();
    let geometry = StackGeometry::new(&poses, Some([0.8, 0.7]), ROWS, COLUMNS).ok()?;
    Some(Stack { volume: Arc::new(Volume::new(slices.to_vec()).ok()?), geometry: Arc::new(geometry) })
}

fn plane_draw(stack: Stack, plane: Plane, thickness_mm: f64) -> Option<PlaneDraw> {
    let at_mm = plane.coordinate_mm(stack.geometry.centre());
    let grid = PlaneGrid::covering(&stack.geometry, plane, at_mm, 0.5).ok()?;
    let map = PixelFromScreen { column_per_x: 0.43, column_at_0: -0.6, row_per_y: 0.39, row_at_0: -0.7 };
    Some(PlaneDraw {
        pixel_from_screen: map,
        grid,
        bent: None,
        stack,
        reduction: 1,
        slab: Slab { thickness_mm, projection: Projection::Mip },
        step_mm: 0.5,
        window: Window::BONE,
        invert: false,
        interpolation: Interpolation::Linear,
        heatmap: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_agrees_with_itself_and_shows_something() {
        assert!(compare(|picture| Ok(reference(picture))).is_ok());
        let pictures = pictures();
        assert_eq!(pictures.len(), 4, "the planes are among them");
        for picture in &pictures {
            let mut greys: Vec<u8> = reference(picture).chunks_exact(4).map(|px| px[0]).collect();
            greys.sort_unstable();
            greys.dedup();
            assert!(greys.len() > 60 && greys[0] == 0, "{} grey levels", greys.len());
        }
    }

    #[test]
    fn other_grey_values_are_found_with_their_largest_difference() {
        // Every picture in turn has its brighter half 3 levels darker.
        for wrong in 0..4 {
            let count = std::cell::Cell::new(0);
            let fault = compare(|picture| {
                let mut seen = reference(picture);
                if count.replace(count.get() + 1) == wrong {
                    seen.iter_mut().filter(|v| **v > 127 && **v < 255).for_each(|v| *v -= 3);
                }
                Ok(seen)
            });
            let text = fault.expect_err("they differ").to_string();
            assert!(text.contains("other grey values than the reference (largest difference 3 of 255"), "{text}");
        }
        assert!(compare(|_| Ok(Vec::new())).is_err(), "no picture is no agreement");
        let failed = compare(|_| Err(GpuError::Device("lost".to_owned()))).expect_err("no picture").to_string();
        assert!(failed.contains("could not draw a test picture") && failed.contains("lost"), "{failed}");
    }

    #[test]
    fn one_level_apart_is_rounding() {
        let one_off = |picture: &Drawing| {
            let mut seen = reference(picture);
            seen.chunks_exact_mut(4).for_each(|px| px[0] = px[0].saturating_add(1));
            Ok(seen)
        };
        assert!(compare(one_off).is_ok());
    }

    #[test]
    fn the_device_here_passes() {
        match Offscreen::new() {
            Ok(device) => check(&device).expect("it draws as the reference does"),
            Err(error) => {
                assert!(std::env::var_os("DENS_REQUIRE_GPU").is_none(), "{error}");
                eprintln!("SKIPPED: no graphics adapter");
            }
        }
    }
}
