//! `dens render --plane`: a plane or slab cut from the whole volume, as a PNG or as HU in an NRRD file.

use std::path::Path;

use super::{Picture, check_extension, exact_grey, picture_bytes, with_text};
use crate::cli::{Refusal, RenderArgs, load};
use crate::geometry::{Bend, Bent, PathOrigin, PatientPoint, Plane, PlaneError, PlaneGrid, Rotation, Vec3};
use crate::inference::canal::canal_path;
use crate::report;
use crate::study::describe::Identity;
use crate::study::{LoadedSeries, plane_text};
use crate::view::fidelity::{Fidelity, PlaneCut};
use crate::view::{ImageLayer, Interpolation, PixelFromScreen, ViewDraw};
use crate::volume::{Slab, Stack, nrrd};

/// What the file holds where the volume has no value.
const OUTSIDE_HU: f32 = -1024.0;

/// What is to be cut.
#[derive(Debug, Clone)]
struct Cut {
    plane: Plane,
    through: PatientPoint,
    slab: Slab,
    grid: PlaneGrid,
    bent: Option<Bent>,
}

impl Cut {
    fn shown(&self) -> plane_text::Cut<'_> {
        plane_text::Cut { plane: self.plane, through: self.through, pose: self.grid.pose, bent: self.bent.as_ref() }
    }
    fn surface(&self) -> (&PlaneGrid, Option<&Bent>) {
        (&self.grid, self.bent.as_ref())
    }
}

pub fn run(args: &RenderArgs, plane: Plane) -> Result<(), Refusal> {
    let as_nrrd = has_extension(&args.out, "nrrd");
    if !as_nrrd {
        check_extension(&args.out, "a PNG or NRRD file: let it end in .png or .nrrd")?;
    }
    let size = args.size.as_deref().map_or(Ok(super::DEFAULT_SIZE), super::parse_size)?;
    let slab = slab(args)?;
    let loaded = load::open_series(&args.path, args.series, &args.password)?.loaded;
    let stack = loaded.stack().map_err(|error| Refusal(format!("no plane can be cut from this series: {error}")))?;
    let spacing_mm = args.spacing.unwrap_or_else(|| stack.geometry.smallest_spacing_mm());
    if args.curved {
        let cut = curved(&loaded, &stack, plane, (args.at.unwrap_or_default(), spacing_mm), slab)?;
        return write(args, &loaded, &stack, &cut, size);
    }
    let at_mm = args.at.unwrap_or_else(|| plane.coordinate_mm(stack.geometry.centre()));
    let mut grid = PlaneGrid::covering(&stack.geometry, plane, at_mm, spacing_mm).map_err(Refusal::from_error)?;
    let through = plane.moved_to(stack.geometry.centre(), at_mm);
    if let Some(normal) = &args.normal {
        let directions = turned(plane, direction(normal)?);
        grid = PlaneGrid::through(&stack.geometry, through, directions, spacing_mm).map_err(Refusal::from_error)?;
    }
    let cut = Cut { plane, through, slab, grid, bent: None };
    write(args, &loaded, &stack, &cut, size)
}

fn write(args: &RenderArgs, loaded: &LoadedSeries, stack: &Stack, cut: &Cut, size: [u32; 2]) -> Result<(), Refusal> {
    let as_nrrd = has_extension(&args.out, "nrrd");
    let bytes = if as_nrrd { nrrd_bytes(loaded, stack, cut)? } else { png(args, loaded, stack, cut, size)? };
    report::write_atomically(&args.out, &bytes).map_err(Refusal::from_error)
}

/// A plane that follows the spinal canal, `off_mm` behind its middle or to the left of it.
fn curved(
    loaded: &LoadedSeries,
    stack: &Stack,
    plane: Plane,
    (off_mm, spacing_mm): (f64, f64),
    slab: Slab,
) -> Result<Cut, Refusal> {
    let refused = |why: &str| Refusal(format!("no curved plane can be cut: {why}"));
    if plane == Plane::Axial {
        return Err(refused("only a coronal or a sagittal plane can follow the spinal canal"));
    }
    if !(spacing_mm.is_finite() && spacing_mm > 0.0 && off_mm.is_finite()) {
        return Err(Refusal::from_error(PlaneError::Spacing(spacing_mm)));
    }
    let path = load::with_bar("finding the canal", |ctx| canal_path(loaded, ctx)).map_err(Refusal::from_error)?;
    let path = path.ok_or_else(|| refused("no spinal canal was found in these slices"))?;
    let geometry = &stack.geometry;
    let bend = Bend::over(geometry, &path, plane).ok_or_else(|| refused("the slices reach over too little height"))?;
    let through = PatientPoint(path.at(geometry.centre().0.z).0 + plane.axis() * off_mm);
    let bent = Bent { bend: bend.into(), shift_mm: off_mm };
    let grid = bent.grid_over(geometry, through, spacing_mm).within_limits().map_err(Refusal::from_error)?;
    Ok(Cut { plane, through, slab, grid, bent: Some(bent) })
}

fn direction(text: &str) -> Result<Vec3, Refusal> {
    let numbers: Vec<f64> = text.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let direction = match numbers.as_slice() {
        &[x, y, z] if text.split(',').count() == 3 => Vec3::new(x, y, z).normalized(),
        _ => None,
    };
    direction.ok_or_else(|| {
        Refusal(format!("\"{text}\" is no direction: give three numbers such as 0,0.2,0.98, not all of them 0"))
    })
}

/// The directions along rows and columns of a plane whose normal has been turned the shortest way.
fn turned(plane: Plane, normal: Vec3) -> [Vec3; 2] {
    let axis = plane.axis();
    // A plane has two sides; the one it is hung by stays the one that is seen.
    let normal = if normal.dot(axis) < 0.0 { normal * -1.0 } else { normal };
    let about = axis.cross(normal);
    let angle_deg = about.length().atan2(axis.dot(normal)).to_degrees();
    let rotation = Rotation::about(about, angle_deg);
    plane.directions().map(|direction| rotation.map_or(direction, |rotation| rotation.apply(direction)))
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(wanted))
}

fn slab(args: &RenderArgs) -> Result<Slab, Refusal> {
    let thickness_mm = args.slab.unwrap_or(0.0);
    if !(thickness_mm.is_finite() && thickness_mm >= 0.0) {
        return Err(Refusal(format!("a slab of {thickness_mm} mm cannot be cut: give a thickness of 0 or more")));
    }
    Ok(Slab { thickness_mm, projection: args.projection.into() })
}

fn nrrd_bytes(loaded: &LoadedSeries, stack: &Stack, cut: &Cut) -> Result<Vec<u8>, Refusal> {
    let outside = if loaded.series.values_are_hu { OUTSIDE_HU } else { 0.0 };
    let values = stack.resample(cut.surface(), &cut.slab, outside);
    let unit = if loaded.series.values_are_hu { "HU" } else { "values as stored, no HU" };
    let content = format!("{}, {unit}", plane_text::place(&cut.shown(), &cut.slab).join(", "));
    let thickness_mm = if cut.slab.thickness_mm > 0.0 { cut.slab.thickness_mm } else { cut.grid.spacing_mm };
    let bytes = match cut.bent {
        Some(_) => nrrd::unrolled_bytes(&cut.grid, &values, &content),
        None => nrrd::plane_bytes(&cut.grid, thickness_mm, &values, &content),
    };
    bytes.ok_or_else(|| Refusal("the plane has no pixels".to_owned()))
}

fn png(args: &RenderArgs, loaded: &LoadedSeries, stack: &Stack, cut: &Cut, size: [u32; 2]) -> Result<Vec<u8>, Refusal> {
    let series = &loaded.series;
    let window = args.window.of(series)?;
    let image = ImageLayer {
        slice: stack.plane_slice(cut.surface(), &cut.slab).into(),
        window: window.clone(),
        invert: series.photometric == crate::study::Photometric::Monochrome1,
        interpolation: if args.exact { Interpolation::Nearest } else { Interpolation::Linear },
    };
    let draw = ViewDraw { pixel_from_screen: PixelFromScreen::EXACT, image, heatmap: None };
    if args.exact {
        return exact_grey(&draw, args.renderer).map(with_text);
    }
    let text = plane_text::corner_text(&cut.shown(), series, (&window, 1.0), Identity::Hidden);
    let made = PlaneCut {
        stack: &stack.geometry,
        slab: cut.slab,
        step_mm: stack.slab_step_mm(),
        reduction: 1,
        interpolation: Interpolation::Linear,
        follows: cut.bent.as_ref().map(|_| PathOrigin::Canal.words()),
    };
    let fidelity = Some(Fidelity::of_plane(&made, series.technique.lossy.as_deref()));
    let spacing_mm = Some([cut.grid.spacing_mm; 2]);
    picture_bytes(Picture { draw, text, spacing_mm, lossy: None, fidelity }, size, args.renderer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_is_turned_to_its_normal_and_hung_as_before() {
        for plane in Plane::ALL {
            for text in ["0.1,-0.3,0.9", "1,0.2,0", "0,0,-2", " -0.3, 1, 0.1"] {
                let normal = direction(text).expect("a direction");
                let [along_row, along_column] = turned(plane, normal);
                let made = along_row.cross(along_column);
                assert!(made.cross(normal).length() < 1e-9, "{plane:?} {text}");
                assert!((along_row.length() - 1.0).abs() < 1e-9 && along_row.dot(along_column).abs() < 1e-9);
                let upright = plane.directions();
                assert!(made.dot(upright[0].cross(upright[1])) >= -1e-9, "not seen from behind");
            }
        }
        for text in ["", "1,2", "0,0,0", "1,2,3,4", "a,b,c", "1,NaN,0"] {
            assert!(direction(text).is_err(), "{text}");
        }
    }
}
