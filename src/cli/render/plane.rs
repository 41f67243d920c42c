//! `dens render --plane`: a plane or slab cut from the whole volume, as a PNG or as HU in an NRRD file.

use std::path::Path;

use super::{Picture, check_extension, exact_grey, picture_bytes, with_text};
use crate::cli::{Refusal, RenderArgs, load};
use crate::geometry::{PatientPoint, Plane, PlaneGrid};
use crate::report;
use crate::study::describe::Identity;
use crate::study::{LoadedSeries, plane_text};
use crate::view::fidelity::{Fidelity, PlaneCut};
use crate::view::{ImageLayer, Interpolation, PixelFromScreen, ViewDraw};
use crate::volume::{Slab, Stack, nrrd};

/// What the file holds where the volume has no value.
const OUTSIDE_HU: f32 = -1024.0;

/// What is to be cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    plane: Plane,
    through: PatientPoint,
    slab: Slab,
    grid: PlaneGrid,
}

impl Cut {
    fn shown(&self) -> plane_text::Cut {
        plane_text::Cut { plane: self.plane, through: self.through, pose: self.grid.pose }
    }
}

pub fn run(args: &RenderArgs, plane: Plane) -> Result<(), Refusal> {
    let as_nrrd = has_extension(&args.out, "nrrd");
    if !as_nrrd {
        check_extension(&args.out, "a PNG or NRRD file: let it end in .png or .nrrd")?;
    }
    let size = args.size.as_deref().map_or(Ok(super::DEFAULT_SIZE), super::parse_size)?;
    let slab = slab(args)?;
    let loaded = load::open_series(&args.path, args.series)?.loaded;
    let stack = loaded.stack().map_err(|error| Refusal(format!("no plane can be cut from this series: {error}")))?;
    let spacing_mm = args.spacing.unwrap_or_else(|| stack.geometry.smallest_spacing_mm());
    let at_mm = args.at.unwrap_or_else(|| plane.coordinate_mm(stack.geometry.centre()));
    let grid = PlaneGrid::covering(&stack.geometry, plane, at_mm, spacing_mm).map_err(Refusal::from_error)?;
    let cut = Cut { plane, through: plane.moved_to(stack.geometry.centre(), at_mm), slab, grid };
    let bytes = if as_nrrd { nrrd_bytes(&loaded, &stack, &cut)? } else { png(args, &loaded, &stack, &cut, size)? };
    report::write_atomically(&args.out, &bytes).map_err(Refusal::from_error)
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
    let values = stack.resample(&cut.grid, &cut.slab, outside);
    let unit = if loaded.series.values_are_hu { "HU" } else { "values as stored, no HU" };
    let content = format!("{}, {unit}", plane_text::place(&cut.shown(), &cut.slab).join(", "));
    let thickness_mm = if cut.slab.thickness_mm > 0.0 { cut.slab.thickness_mm } else { cut.grid.spacing_mm };
    nrrd::plane_bytes(&cut.grid, thickness_mm, &values, &content)
        .ok_or_else(|| Refusal("the plane has no pixels".to_owned()))
}

fn png(args: &RenderArgs, loaded: &LoadedSeries, stack: &Stack, cut: &Cut, size: [u32; 2]) -> Result<Vec<u8>, Refusal> {
    let series = &loaded.series;
    let image = ImageLayer {
        slice: stack.plane_slice(&cut.grid, &cut.slab).into(),
        window: args.window,
        invert: series.photometric == crate::study::Photometric::Monochrome1,
        interpolation: if args.exact { Interpolation::Nearest } else { Interpolation::Linear },
    };
    let draw = ViewDraw { pixel_from_screen: PixelFromScreen::EXACT, image, heatmap: None };
    if args.exact {
        return exact_grey(&draw, args.renderer).map(with_text);
    }
    let text = plane_text::corner_text(&cut.shown(), series, (&args.window, 1.0), Identity::Hidden);
    let made = PlaneCut {
        stack: &stack.geometry,
        slab: cut.slab,
        step_mm: stack.slab_step_mm(),
        reduction: 1,
        interpolation: Interpolation::Linear,
    };
    let fidelity = Some(Fidelity::of_plane(&made, series.technique.lossy.as_deref()));
    let spacing_mm = Some([cut.grid.spacing_mm; 2]);
    picture_bytes(Picture { draw, text, spacing_mm, lossy: None, fidelity }, size, args.renderer)
}
