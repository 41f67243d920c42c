//! What the viewer's analysis of a labelled case comes to, beside its labels: the row that an evaluation counts.

use super::baselines;
use super::dataset::{CaseRef, LabelledCase};
use crate::evaluation::{CasePrediction, Fracture, SlicePrediction, hottest_cell_touches};
use crate::findings::{Findings, SliceFinding, SliceOutcome, SliceState};
use crate::geometry::PixelBox;
use crate::study::describe::contrast_given;
use crate::truth::{CaseTruth, SliceLabel, SliceTruth};

/// The prediction of a case from its findings. Slices without a score are not in it.
///
/// # Errors
/// A sentence: the data set does not say whether the case is fractured, or the analysis gave no case score.
pub fn case_prediction(
    reference: &CaseRef,
    case: &LabelledCase,
    findings: &Findings,
) -> Result<CasePrediction, String> {
    let label = case
        .truth
        .fractured
        .or(reference.fractured)
        .ok_or("the data set does not say whether the case is fractured")?;
    let scored = findings.case.as_ref().ok_or_else(|| {
        let why = findings.warnings.last().map(|warning| format!(": {warning}")).unwrap_or_default();
        format!("the network gave no score for the case{why}")
    })?;
    let series = &case.loaded.series;
    Ok(CasePrediction {
        id: reference.id.clone(),
        patient: reference.patient.clone(),
        label,
        logit: f64::from(scored.logit),
        score: f64::from(scored.score),
        slices: slices(&findings.slices, &case.truth),
        fractures: case.truth.fractures.iter().map(fracture).collect(),
        sex: reference.sex,
        age_years: reference.age_years,
        slice_thickness_mm: series.technique.slice_thickness_mm,
        contrast: contrast_given(series),
        source: reference.source.clone(),
        twin: reference.twin.clone(),
        baselines: baselines::of_volume(&case.loaded),
    })
}

fn slices(states: &[SliceState], truth: &CaseTruth) -> Vec<SlicePrediction> {
    let of = |(index, state): (usize, &SliceState)| match state {
        SliceState::Done(SliceFinding { outcome: SliceOutcome::Scored { score, logit, region, cam }, .. }) => {
            let known = truth.slices.get(index);
            let boxes: &[PixelBox] = known.map_or(&[], |slice| &slice.boxes);
            Some(SlicePrediction {
                index,
                logit: f64::from(*logit),
                score: f64::from(*score),
                label: known.and_then(label),
                level: known.and_then(|slice| slice.level).map(|level| level.index()),
                peak_in_box: hottest_cell_touches(&cam.values, [cam.columns, cam.rows], *region, boxes),
            })
        }
        _ => None,
    };
    states.iter().enumerate().filter_map(of).collect()
}

fn label(slice: &SliceTruth) -> Option<bool> {
    match slice.label {
        SliceLabel::Positive => Some(true),
        SliceLabel::Negative => Some(false),
        SliceLabel::Ignore => None,
    }
}

fn fracture(found: &crate::truth::FractureTruth) -> Fracture {
    Fracture {
        level: found.level.index(),
        kind: found.kind.clone(),
        displacement_mm: found.displacement_mm,
        conspicuity: found.conspicuity,
    }
}
