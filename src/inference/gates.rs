//! Quality gates: what stands against showing a score of this series (method 8.5). Each is a sentence for the reader.
//!
//! A stop means that a trained network gives no score unless the reader asks for it all the same; then the sentence
//! stands beside the score. An untrained network's numbers mean nothing anyhow, so there a stop is only a warning.

use crate::findings::{Doubt, Findings, ModelInfo};
use crate::preprocess::CropPlan;
use crate::study::{Series, describe};
use crate::volume::{Slice, Volume};

/// Slices further apart than this miss much of a vertebra, mm.
const MAX_SLICE_SPACING_MM: f64 = 3.05;
/// Less than this is no cervical spine, mm ...
const MIN_COVERAGE_MM: f64 = 60.0;
/// ... nor are fewer slices.
const MIN_SLICES: usize = 40;
/// Cosine of 20 degrees, the largest tilt of what is still called axial.
const MIN_AXIAL_COSINE: f64 = 0.9397;
/// Where air must lie in a calibrated scan, HU.
const AIR_HU: [f32; 2] = [-1100.0, -900.0];
/// Values below are no measurement: scanners fill what lies outside the scan circle with -2000 or -3024.
const NO_MEASUREMENT_HU: f32 = -1500.0;
/// Below this a pixel at the picture's edge is taken for air.
const THIN_HU: f32 = -600.0;
/// Share of the pixels along the edges that must be air before their mode is judged.
const MIN_AIR_SHARE: f64 = 0.02;
/// Bone and teeth reach this in every neck; less is a windowed or clipped export.
const MIN_BRIGHTEST_HU: f32 = 1000.0;
/// No tissue is as dense.
const METAL_HU: f32 = 3000.0;
const MIN_METAL_PIXELS: usize = 40;
/// Share of the scored range along which the canal must be found.
const MIN_TRACK: f64 = 0.7;
/// Slices thicker than this blur fine cracks, mm.
const MAX_THICKNESS_MM: f64 = 1.5;
/// Pixels that the models have seen, mm.
const PIXEL_MM: [f64; 2] = [0.2, 0.8];
/// Growth plates of younger patients look like fractures, years.
const MIN_AGE_YEARS: f64 = 16.0;
/// C1 lies within this height above the first closed canal; C7 ends at least this far below it, mm.
const C1_ABOVE_MM: f64 = 8.0;
const C7_BELOW_MM: f64 = 105.0;

/// Everything that stands against a score, without and with the model.
#[derive(Debug, Default)]
pub struct Gates {
    pub stops: Vec<String>,
    pub doubts: Vec<Doubt>,
    pub warnings: Vec<String>,
}

/// Judges series, voxels and crops before the network sees anything.
pub fn before(series: &Series, volume: &Volume, plan: &CropPlan, model: &ModelInfo) -> Gates {
    let mut gates = Gates { stops: stops(series, volume, plan), ..Gates::default() };
    if model.trained && model.operating.phantoms_only && !is_phantom(series) {
        gates.doubts.push(Doubt::outside_training(
            "outside the training data: the network was trained on synthetic necks only, and this is not one; \
             its score says nothing about this patient",
        ));
    }
    gates.warnings = technique_warnings(series);
    gates.warnings.extend(level_warning(plan));
    if metal_pixels(volume) >= MIN_METAL_PIXELS {
        let text = "something as dense as metal lies in the series; its streaks can hide or imitate fractures";
        gates.warnings.push(text.to_owned());
    }
    gates
}

/// What the finished findings say against themselves.
pub fn after(findings: &Findings) -> Option<String> {
    let case = findings.case.as_ref()?;
    let above = findings.slices.iter().any(|s| s.score().is_some_and(|score| score >= findings.threshold()));
    match (case.score >= findings.case_threshold(), above) {
        (true, false) => Some(
            "at the model card's thresholds the case score calls a finding, but no slice does: the two parts of the \
             network disagree"
                .into(),
        ),
        (false, true) => Some(
            "at the model card's thresholds slices call a finding, but the case score does not: the two parts of the \
             network disagree"
                .into(),
        ),
        _ => None,
    }
}

/// Whether the series says that it is a synthetic neck of this program.
fn is_phantom(series: &Series) -> bool {
    let named = describe::is_synthetic(series) || series.patient.name.to_uppercase().contains("PHANTOM");
    series.uid.starts_with("2.25.") && named
}

fn stops(series: &Series, volume: &Volume, plan: &CropPlan) -> Vec<String> {
    let mut stops = Vec::new();
    if series.is_localizer {
        stops.push("this is a localizer, not a stack of axial slices".to_owned());
    }
    let count = series.slices.len();
    if count < MIN_SLICES {
        stops.push(format!("the series has {count} slices; a cervical spine needs at least {MIN_SLICES}"));
    }
    if let Some(spacing) = series.slice_spacing_mm {
        let covered = spacing * count as f64;
        if covered < MIN_COVERAGE_MM {
            stops.push(format!("the series covers {covered:.0} mm, less than a cervical spine"));
        }
        if spacing > MAX_SLICE_SPACING_MM {
            stops.push(format!("the slices lie {spacing:.1} mm apart; a fracture may lie between them"));
        }
    }
    if let Some(pose) = series.slices.first().and_then(|slice| slice.pose)
        && pose.normal().z.abs() < MIN_AXIAL_COSINE
    {
        stops.push("the slices are more than 20 degrees off axial; reformat the series to axial slices".to_owned());
    }
    if let Some(mode) = air_mode(volume).filter(|mode| !(AIR_HU[0]..=AIR_HU[1]).contains(mode)) {
        stops.push(format!(
            "air around the body has {mode:.0} HU instead of about -1000: the values are not calibrated"
        ));
    }
    let brightest = volume.slices().iter().filter_map(|s| s.min_max()).map(|[_, high]| high).fold(f32::MIN, f32::max);
    if brightest < MIN_BRIGHTEST_HU {
        stops.push(format!(
            "nothing in the series is denser than {brightest:.0} HU: it is no neck, or its values were clipped"
        ));
    }
    if let Some(track) = plan.spine.as_ref().filter(|track| track.found < MIN_TRACK) {
        let percent = 100.0 * track.found;
        stops.push(format!(
            "the spinal canal was found along {percent:.0} % of the range only, so the crops may miss the spine"
        ));
    }
    stops
}

/// The commonest value, by steps of 20 HU, of the air along the pictures' edges; `None` where little air lies there.
fn air_mode(volume: &Volume) -> Option<f32> {
    const STEP: f32 = 20.0;
    let mut counts = [0_usize; 60];
    let mut seen = 0_usize;
    for slice in volume.slices() {
        for value in edge(slice).filter(|v| v.is_finite() && *v >= NO_MEASUREMENT_HU && !slice.is_padding(*v)) {
            seen += 1;
            if value < THIN_HU
                && let Some(count) = counts.get_mut(((value - NO_MEASUREMENT_HU) / STEP) as usize)
            {
                *count += 1;
            }
        }
    }
    let air: usize = counts.iter().sum();
    let (step, _) = counts.iter().enumerate().max_by_key(|(_, count)| **count)?;
    (air > 0 && air as f64 >= MIN_AIR_SHARE * seen as f64).then_some(NO_MEASUREMENT_HU + (step as f32 + 0.5) * STEP)
}

/// The pixels of the first and last row and column.
fn edge(slice: &Slice) -> impl Iterator<Item = f32> + '_ {
    let (columns, rows) = (slice.columns, slice.rows);
    let across = (0..columns).flat_map(move |column| [(column, 0), (column, rows.saturating_sub(1))]);
    let down = (0..rows).flat_map(move |row| [(0, row), (columns.saturating_sub(1), row)]);
    across.chain(down).filter_map(|(column, row)| slice.at(column, row))
}

fn metal_pixels(volume: &Volume) -> usize {
    let dense = |slice: &Slice| match slice.min_max() {
        Some([_, high]) if high >= METAL_HU => {
            let value = |offset| slice.pixels.get(offset).filter(|v| *v >= METAL_HU && !slice.is_padding(*v));
            (0..slice.pixels.len()).filter_map(value).count()
        }
        _ => 0,
    };
    volume.slices().iter().map(|slice| dense(slice)).sum()
}

fn technique_warnings(series: &Series) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(mm) = series.technique.slice_thickness_mm.filter(|mm| *mm > MAX_THICKNESS_MM) {
        warnings.push(format!(
            "slices of {mm} mm blur fine fracture lines; thin slices up to {MAX_THICKNESS_MM} mm are better"
        ));
    }
    if let Some([row, column]) = series.spacing_mm
        && [row, column].iter().any(|mm| !(PIXEL_MM[0]..=PIXEL_MM[1]).contains(mm))
    {
        let [low, high] = PIXEL_MM;
        warnings.push(format!("pixels of {row:.2} x {column:.2} mm lie outside the usual {low} to {high} mm"));
    }
    if let Some(years) = age_years(&series.patient.age).filter(|years| *years < MIN_AGE_YEARS) {
        warnings
            .push(format!("the patient is {years:.0} years old; open growth plates look like fractures to a network"));
    }
    if describe::contrast_given(series) == Some(true) {
        warnings.push(
            "the series was taken with contrast agent; networks of this kind change their scores with it".to_owned(),
        );
    }
    warnings
}

/// DICOM's age string (PS3.5 6.2: "045Y", "006M", "012W", "003D"), years.
fn age_years(age: &str) -> Option<f64> {
    let text = age.trim();
    let number: f64 = text.get(..text.len().checked_sub(1)?)?.trim().parse().ok()?;
    match text.chars().last()? {
        'Y' => Some(number),
        'M' => Some(number / 12.0),
        'W' => Some(number / 52.18),
        'D' => Some(number / 365.25),
        _ => None,
    }
}

/// Names the levels that may lie outside the series.
fn level_warning(plan: &CropPlan) -> Option<String> {
    let track = plan.spine.as_ref().filter(|track| track.ends.is_some())?;
    let missing: Vec<&str> = [
        (track.above_first_mm < C1_ABOVE_MM, "C1"),
        (track.below_first_mm < C7_BELOW_MM, "C7 and perhaps levels above it"),
    ]
    .into_iter()
    .filter(|(is_missing, _)| *is_missing)
    .map(|(_, level)| level)
    .collect();
    (!missing.is_empty())
        .then(|| format!("the series may not cover {}; what it does not show was not assessed", missing.join(" and ")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::phantom::{DEMO_SEED, demo_study};
    use crate::preprocess::Recipe;
    use crate::volume::SlicePixels;

    fn model(phantoms_only: bool) -> ModelInfo {
        let mut model = (*crate::findings::tests::with_scores(&[]).provenance.model).clone();
        model.trained = true;
        model.operating.phantoms_only = phantoms_only;
        model
    }

    fn plan_of(slices: usize) -> CropPlan {
        CropPlan { recipe: Recipe::Paper, crops: vec![None; slices], outside_range: vec![false; slices], spine: None }
    }

    #[test]
    fn the_demo_passes_and_only_a_phantom_is_inside_a_phantom_models_data() {
        let demo = demo_study(DEMO_SEED);
        let plan = plan_of(demo.volume.slices().len());
        let gates = before(&demo.series, &demo.volume, &plan, &model(true));
        assert_eq!((gates.stops, gates.doubts), (Vec::<String>::new(), Vec::new()));
        let mut real = (*demo.series).clone();
        real.uid = "1.2.840.1".into();
        let doubts = before(&real, &demo.volume, &plan, &model(true)).doubts;
        assert!(
            doubts[0].text.contains("outside the training data") && doubts[0].text.contains("synthetic necks only")
        );
        assert!(before(&real, &demo.volume, &plan, &model(false)).doubts.is_empty());
    }

    #[track_caller]
    fn check_stop(change: impl Fn(&mut Series), expected: &str) {
        let demo = demo_study(DEMO_SEED);
        let mut series = (*demo.series).clone();
        change(&mut series);
        let stops = stops(&series, &demo.volume, &plan_of(0));
        assert!(stops.iter().any(|stop| stop.contains(expected)), "{stops:?}");
    }

    #[test]
    fn what_is_no_neck_is_stopped_with_the_value() {
        check_stop(|s| s.is_localizer = true, "localizer");
        check_stop(|s| s.slices.truncate(39), "39 slices");
        check_stop(|s| s.slice_spacing_mm = Some(3.1), "3.1 mm apart");
        check_stop(|s| s.slice_spacing_mm = Some(0.7), "less than a cervical spine");
        let tilt = |s: &mut Series| {
            for pose in s.slices.iter_mut().filter_map(|slice| slice.pose.as_mut()) {
                pose.along_column = pose.along_column * 0.9 + pose.normal() * 0.4359;
            }
        };
        check_stop(tilt, "20 degrees");
    }

    #[test]
    fn values_that_are_not_calibrated_are_seen() {
        let volume = |air: i16, bright: i16| {
            let mut values = vec![air; 64 * 64];
            values[64 * 20..64 * 40].fill(40);
            values[64 * 30 + 30] = bright;
            let slice = Slice { rows: 64, columns: 64, pixels: SlicePixels::I16(values), padding: None };
            Volume::new(vec![Arc::new(slice)]).expect("one slice")
        };
        assert_eq!(air_mode(&volume(-1000, 1200)), Some(-990.0));
        assert_eq!(air_mode(&volume(-700, 1200)), Some(-690.0));
        // Fill of the scan circle says nothing; a body that fills the picture neither.
        assert_eq!(air_mode(&volume(-3024, 1200)), None);
        assert_eq!(air_mode(&volume(30, 1200)), None);
        let series = (*demo_study(DEMO_SEED).series).clone();
        let stops = stops(&series, &volume(-700, 255), &plan_of(0)).join("; ");
        assert!(stops.contains("-690 HU") && stops.contains("255 HU"), "{stops}");
    }

    #[test]
    fn ages_are_read_in_all_units() {
        assert_eq!(["045Y", "006M", "", "abcY", "Y"].map(age_years), [Some(45.0), Some(0.5), None, None, None]);
    }
}
