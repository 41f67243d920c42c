//! What may make the numbers worth less: sentences that stand with the findings. None of them stops an analysis.

use crate::preprocess::{CropPlan, NO_BONE, NO_CANAL};
use crate::study::Series;

/// Warnings about the series, the device and the crops.
pub fn warnings(series: &Series, device_note: Option<&str>, plan: &CropPlan) -> Vec<String> {
    let mut warnings: Vec<String> = device_note.map(str::to_owned).into_iter().collect();
    warnings.extend(geometry_warnings(series));
    let total = plan.crops.len();
    let borrowed = plan.crops.iter().flatten().filter(|crop| crop.flags.contains(&NO_BONE)).count();
    if borrowed > 0 {
        warnings.push(format!(
            "{borrowed} of {total} slices show no bone of their own; they were cropped as their neighbours or as the body"
        ));
    }
    let outside = plan.outside_range.iter().filter(|outside| **outside).count();
    if outside > 0 {
        warnings.push(format!(
            "{outside} of {total} slices lie above or below the cervical spine as the program found it; they are not scored"
        ));
    }
    let no_canal = plan.crops.iter().flatten().filter(|crop| crop.flags.contains(&NO_CANAL)).count();
    if no_canal > 0 {
        warnings.push("no spinal canal was found; the slices were cropped around the middle of the bone".to_owned());
    }
    let empty = plan.crops.iter().filter(|crop| crop.is_none()).count().saturating_sub(outside);
    if empty > 0 {
        warnings.push(format!("{empty} of {total} slices hold nothing but air or padding and were left out"));
    }
    warnings
}

/// What the stops of [`super::gates`] do not say.
fn geometry_warnings(series: &Series) -> Vec<String> {
    let unplaced = series.slices.first().is_some_and(|slice| slice.pose.is_none());
    let text = "the slices have no position; the network expects axial slices from head to feet";
    unplaced.then(|| text.to_owned()).into_iter().collect()
}
