//! What may make the numbers worth less: sentences that stand with the findings. None of them stops an analysis.

use crate::findings::describe::{EMPTY, OUTSIDE_RANGE};
use crate::preprocess::{CropPlan, NO_BONE, NO_CANAL};

/// Warnings about the device and the crops.
pub fn warnings(device_note: Option<&str>, plan: &CropPlan) -> Vec<String> {
    let mut warnings: Vec<String> = device_note.map(str::to_owned).into_iter().collect();
    let total = plan.crops.len();
    let borrowed = plan.crops.iter().flatten().filter(|crop| crop.flags.contains(&NO_BONE)).count();
    if borrowed > 0 {
        warnings.push(format!(
            "{borrowed} of {total} slices show no bone of their own; they were cropped as their neighbours or as the body"
        ));
    }
    let outside = plan.outside_range.iter().filter(|outside| **outside).count();
    if outside > 0 {
        warnings.push(format!("{outside} of {total} slices {OUTSIDE_RANGE}"));
    }
    let no_canal = plan.crops.iter().flatten().filter(|crop| crop.flags.contains(&NO_CANAL)).count();
    if no_canal > 0 {
        warnings.push("no spinal canal was found; the slices were cropped around the middle of the bone".to_owned());
    }
    let empty = plan.crops.iter().filter(|crop| crop.is_none()).count().saturating_sub(outside);
    if empty > 0 {
        warnings.push(format!("{empty} of {total} slices {EMPTY}"));
    }
    warnings
}
