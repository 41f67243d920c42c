//! Quality gates: what stands for and against showing a score of this series. Each is a sentence for the reader. What the
//! header says is judged by [`crate::study::quality`], voxels and crops here.
//!
//! A stop means that a trained network gives no score unless the reader asks for it all the same; then the sentence
//! stands beside the score. An untrained network's numbers mean nothing anyhow, so there a stop is only a warning.

use rayon::prelude::*;

use super::{metal, noise, sharpness};
use crate::findings::{Doubt, Findings, ModelInfo};
use crate::preprocess::{CropPlan, SpineTrack};
use crate::study::quality::{LEVELS, Line, Weight, of_header};
use crate::study::{Series, describe};
use crate::volume::{Slice, Volume};

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
/// Share of the scored range along which the canal must be found.
const MIN_TRACK: f64 = 0.7;
/// C1 lies within this height above the first closed canal; C7 ends at least this far below it, mm.
const C1_ABOVE_MM: f64 = 8.0;
const C7_BELOW_MM: f64 = 105.0;

/// What stands for and against a score.
#[derive(Debug, Default)]
pub struct Gates {
    /// Of the header, the voxels and the crops.
    pub lines: Vec<Line>,
    /// Of the model.
    pub doubts: Vec<Doubt>,
}

impl Gates {
    pub fn texts(&self, weight: Weight) -> Vec<String> {
        self.lines.iter().filter(|line| line.weight == weight).map(|line| line.text.clone()).collect()
    }
}

/// Judges what the header says, of the series itself and against the model.
pub fn of_series(series: &Series, model: &ModelInfo) -> Gates {
    let mut gates = Gates { lines: of_header(series), doubts: Vec::new() };
    if model.trained && model.operating.phantoms_only && !is_phantom(series) {
        gates.doubts.push(Doubt::outside_training(
            "outside the training data: the network was trained on synthetic necks only, and this is not one; \
             its score says nothing about this patient",
        ));
    }
    gates
}

/// Judges series, voxels and crops before anybody is told of a score.
pub fn before(series: &Series, volume: &Volume, plan: &CropPlan, model: &ModelInfo) -> Gates {
    let mut gates = of_series(series, model);
    let highest = highest(volume);
    gates.lines.extend(voxels(volume, &highest));
    gates.lines.extend(canal(series, plan));
    gates.lines.extend(metal::judge(series, volume, &highest, plan));
    gates.lines.extend(noise::judge(series, volume, plan));
    gates.lines.extend(sharpness::judge(series, volume));
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

/// The largest value of each slice; none where all is padding.
pub(super) fn highest(volume: &Volume) -> Vec<Option<f32>> {
    volume.slices().par_iter().map(|slice| slice.min_max().map(|[_, high]| high)).collect()
}

/// `highest` is as [`highest`] says.
fn voxels(volume: &Volume, highest: &[Option<f32>]) -> Vec<Line> {
    let mut lines = Vec::new();
    match air_mode(volume) {
        Some(mode) if !(AIR_HU[0]..=AIR_HU[1]).contains(&mode) => lines.push(Line::stop(
            "Values",
            format!("air around the body has {mode:.0} HU instead of about -1000: the values are not calibrated"),
        )),
        Some(mode) => lines.push(Line::note("Values", format!("air around the body has about {mode:.0} HU"))),
        None => lines.push(Line::note("Values", "no air lies at the pictures' edges to check the calibration by")),
    }
    let brightest = highest.iter().flatten().copied().fold(f32::MIN, f32::max);
    if brightest < MIN_BRIGHTEST_HU {
        lines.push(Line::stop(
            "Values",
            format!(
                "nothing in the series is denser than {brightest:.0} HU: it is no neck, or its values were clipped or \
                 windowed when they were exported"
            ),
        ));
    } else {
        lines.push(Line::note("Values", format!("densest voxel {brightest:.0} HU, not clipped")));
    }
    lines
}

/// The spinal canal, which the crops follow, and the levels that it lets expect.
fn canal(series: &Series, plan: &CropPlan) -> Vec<Line> {
    let Some(track) = plan.spine.as_ref() else {
        return vec![Line::note(LEVELS, "not looked for: the model's recipe does not follow the spinal canal")];
    };
    let percent = 100.0 * track.found;
    let mut lines = vec![if track.found < MIN_TRACK {
        Line::stop(
            "Canal",
            format!(
                "the spinal canal was found along {percent:.0} % of the range only, so the crops may miss the spine"
            ),
        )
    } else {
        Line::note("Canal", format!("found along {percent:.0} % of the range"))
    }];
    lines.extend(levels(series, track));
    lines
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

/// Names the levels that may lie outside the series, with the millimetres that are missing.
fn levels(series: &Series, track: &SpineTrack) -> Option<Line> {
    let [first, _] = track.ends?;
    let z = series.slices.get(first).and_then(|s| s.z_mm()).map_or_else(String::new, |z| format!(" at z {z:.1} mm"));
    let (above, below) = (track.above_first_mm, track.below_first_mm);
    let mut missing = Vec::new();
    if above < C1_ABOVE_MM {
        missing.push(format!("C1 (the series begins {above:.0} mm above it, and C1 reaches {C1_ABOVE_MM:.0} mm)"));
    }
    if below < C7_BELOW_MM {
        missing.push(format!(
            "C7 and perhaps levels above it (what was assessed ends {below:.0} mm below it, and C7 ends at {C7_BELOW_MM:.0} mm \
             or lower)"
        ));
    }
    Some(if missing.is_empty() {
        let text = format!(
            "C1 to C7 are expected inside: the canal closes first{z}, and {below:.0} mm below that were assessed"
        );
        Line::note(LEVELS, text)
    } else {
        let text = format!(
            "the series may not cover {}; what it does not show was not assessed. Counted from the first closed ring of the \
             canal{z}",
            missing.join(" and ")
        );
        Line::warning(LEVELS, text)
    })
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
        assert_eq!((gates.texts(Weight::Stop), &gates.doubts), (Vec::<String>::new(), &Vec::new()));
        let mut real = (*demo.series).clone();
        real.uid = "1.2.840.1".into();
        let doubts = before(&real, &demo.volume, &plan, &model(true)).doubts;
        assert!(
            doubts[0].text.contains("outside the training data") && doubts[0].text.contains("synthetic necks only")
        );
        assert!(before(&real, &demo.volume, &plan, &model(false)).doubts.is_empty());
    }

    #[test]
    fn levels_that_are_not_covered_are_named_with_what_is_missing() {
        let series = (*demo_study(DEMO_SEED).series).clone();
        let track = |above_first_mm, below_first_mm| SpineTrack {
            found: 1.0,
            closed: Vec::new(),
            ends: Some([3, 9]),
            below_first_mm,
            above_first_mm,
            middles_mm: Vec::new(),
        };
        let line = |above, below| levels(&series, &track(above, below)).expect("a canal");
        assert_eq!(line(20.0, 140.0).weight, Weight::Note);
        let short = line(3.2, 82.4);
        assert_eq!(short.weight, Weight::Warning);
        let z = series.slices[3].z_mm().expect("a place");
        for part in
            ["C1 (the series begins 3 mm", "C7 and perhaps levels above it", "82 mm below", &format!("z {z:.1} mm")]
        {
            assert!(short.text.contains(part), "{part} in {}", short.text);
        }
        assert!(!line(20.0, 82.4).text.contains("C1 ("));
    }

    #[test]
    fn values_that_are_not_calibrated_are_seen() {
        let volume = |air: i16, bright: i16| {
            let mut values = vec![air; 64 * 64];
            values[64 * 20..64 * 40].fill(40);
            values[64 * 30 + 30] = bright;
            let slice = Slice { rows: 64, columns: 64, pixels: SlicePixels::I16(values.into()), padding: None };
            Volume::new(vec![Arc::new(slice)]).expect("one slice")
        };
        assert_eq!(air_mode(&volume(-1000, 1200)), Some(-990.0));
        assert_eq!(air_mode(&volume(-700, 1200)), Some(-690.0));
        // Fill of the scan circle says nothing; a body that fills the picture neither.
        assert_eq!(air_mode(&volume(-3024, 1200)), None);
        assert_eq!(air_mode(&volume(30, 1200)), None);
        let all = volume(-700, 255);
        let lines = voxels(&all, &highest(&all));
        let stops: Vec<&str> = lines.iter().filter(|l| l.weight == Weight::Stop).map(|l| l.text.as_str()).collect();
        let stops = stops.join("; ");
        assert!(stops.contains("-690 HU") && stops.contains("255 HU"), "{stops}");
    }
}
