//! What may make the numbers worth less: sentences that stand with the findings. None of them stops an analysis.

use crate::findings::ModelInfo;
use crate::preprocess::{CropPlan, NO_BONE, PAPER_RECIPE};
use crate::study::Series;

/// Slices further apart than this miss much of a vertebra, mm.
const MAX_SLICE_SPACING_MM: f64 = 3.05;
/// Less than this is no cervical spine, mm.
const MIN_COVERAGE_MM: f64 = 60.0;
/// Cosine of 20 degrees, the largest tilt of what is still called axial.
const MIN_AXIAL_COSINE: f64 = 0.9397;

/// Warnings about the series, the model and the crops.
pub fn warnings(series: &Series, model: &ModelInfo, device_note: Option<&str>, plan: &CropPlan) -> Vec<String> {
    let mut warnings: Vec<String> = device_note.map(str::to_owned).into_iter().collect();
    if model.recipe != PAPER_RECIPE {
        let wanted = &model.recipe;
        warnings.push(format!(
            "the model asks for the preprocessing recipe \"{wanted}\" and got \"{PAPER_RECIPE}\"; take a model that fits"
        ));
    }
    warnings.extend(geometry_warnings(series));
    let total = plan.crops.len();
    let borrowed = plan.crops.iter().flatten().filter(|crop| crop.flags.contains(&NO_BONE)).count();
    if borrowed > 0 {
        warnings.push(format!(
            "{borrowed} of {total} slices show no bone of their own; they were cropped as their neighbours or as the body"
        ));
    }
    let empty = plan.crops.iter().filter(|crop| crop.is_none()).count();
    if empty > 0 {
        warnings.push(format!("{empty} of {total} slices hold nothing but air or padding and were left out"));
    }
    warnings
}

fn geometry_warnings(series: &Series) -> Vec<String> {
    let mut warnings = Vec::new();
    match series.slices.first().and_then(|slice| slice.pose) {
        None => warnings.push("the slices have no position; the network expects axial slices from head to feet".into()),
        Some(pose) if pose.normal().z.abs() < MIN_AXIAL_COSINE => {
            warnings.push("the slices are more than 20 degrees off axial; the network expects axial slices".into());
        }
        Some(_) => {}
    }
    if let Some(spacing) = series.slice_spacing_mm {
        if spacing > MAX_SLICE_SPACING_MM {
            warnings.push(format!("the slices lie {spacing:.1} mm apart; a fracture may lie between them"));
        }
        let covered = spacing * series.slices.len() as f64;
        if covered < MIN_COVERAGE_MM {
            warnings.push(format!("the series covers {covered:.0} mm, less than a cervical spine"));
        }
    }
    warnings
}
