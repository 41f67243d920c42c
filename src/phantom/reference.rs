//! The truth of a synthetic patient, from geometry: a voxel belongs to a fracture when it lies within 3 mm of a crack and
//! the fracture changed it by more than 40 HU before there was noise or turned half of its bone into gap.

use crate::truth::{CaseTruth, FractureTruth, Level, SliceLabel, SliceTruth};

use super::canvas::{Canvas, Grid};
use super::patient::Patient;
use super::render::Rendered;

/// How near to a crack a change counts, mm.
const NEAR_MM: f32 = 3.0;
/// What must change, HU.
const CHANGED_HU: f32 = 40.0;
/// A slice with at least this area is positive.
const POSITIVE_MM2: f64 = 4.0;
/// Between this and [`POSITIVE_MM2`] a slice is neither.
const IGNORE_MM2: f64 = 1.0;

/// What one break shows in one slice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// Which of the patient's breaks.
    pub number: usize,
    pub pixels: usize,
    /// `[x0, y0, x1, y1]` in pixels, half-open.
    pub box_px: [usize; 4],
    /// Sum over its pixels of (change / standard deviation of the noise) squared.
    pub signal: f64,
}

/// The mask of a slice, and what each break shows in it. `canvas` is at the middle of the slice.
pub fn findings(
    canvas: &Canvas,
    difference_hu: &[f32],
    noise_hu: impl Fn(usize, usize) -> f32,
) -> (Vec<u8>, Vec<Finding>) {
    let patient = canvas.patient;
    let mut mask = vec![0_u8; canvas.matrix * canvas.matrix];
    let mut findings = Vec::new();
    for (number, broken) in patient.breaks.iter().enumerate() {
        let vertebra = patient.spine.vertebra(broken.level);
        let Some((frame, extent)) = broken.place(vertebra, canvas.z_mm, &patient.posture) else { continue };
        let mut finding = Finding { number, pixels: 0, box_px: [usize::MAX, usize::MAX, 0, 0], signal: 0.0 };
        canvas.visit(extent, |x, y, [column, row]| {
            let at = row * canvas.matrix + column;
            let changed = difference_hu[at].abs();
            if changed < 0.5 * CHANGED_HU || mask[at] != 0 {
                return;
            }
            let (crack_mm, gap) = broken.probe(vertebra, frame.local(x, y), canvas.blur_mm, canvas.texture);
            if crack_mm > NEAR_MM || (gap < 0.5 && changed <= CHANGED_HU) {
                return;
            }
            mask[at] = 1;
            let signal = f64::from(changed / noise_hu(column, row).max(1.0));
            let [x0, y0, x1, y1] = finding.box_px;
            finding.box_px = [x0.min(column), y0.min(row), x1.max(column + 1), y1.max(row + 1)];
            finding.pixels += 1;
            finding.signal += signal * signal;
        });
        if finding.pixels > 0 {
            findings.push(finding);
        }
    }
    (mask, findings)
}

/// The level that fills most of a slice.
fn level_of(labels: &[u8]) -> Option<Level> {
    let mut counts = [0_usize; 8];
    for label in labels {
        if let Some(count) = usize::from(*label).checked_sub(1).and_then(|i| counts.get_mut(i)) {
            *count += 1;
        }
    }
    let (index, most) = counts.iter().enumerate().max_by_key(|(index, count)| (**count, 8 - index))?;
    (*most > 0).then(|| Level::ALL[index])
}

pub fn truth(patient: &Patient, grid: &Grid, slices: &[Rendered]) -> CaseTruth {
    let pixel_mm2 = f64::from(grid.pixel_mm) * f64::from(grid.pixel_mm);
    let area = |finding: &Finding| finding.pixels as f64 * pixel_mm2;
    let slice_truth = |slice: &Rendered| {
        let mask_mm2: f64 = slice.findings.iter().map(area).sum();
        let label = match mask_mm2 {
            a if a >= POSITIVE_MM2 => SliceLabel::Positive,
            a if a >= IGNORE_MM2 => SliceLabel::Ignore,
            _ => SliceLabel::Negative,
        };
        let largest = slice.findings.iter().max_by_key(|f| f.pixels).filter(|_| label == SliceLabel::Positive);
        let shown = slice.findings.iter().filter(|f| label == SliceLabel::Positive && area(f) >= IGNORE_MM2);
        SliceTruth {
            label,
            boxes: shown.map(|f| f.box_px.map(|edge| edge as f64)).collect(),
            level: largest.map(|f| patient.breaks[f.number].level).or_else(|| level_of(&slice.labels)),
            mask_mm2: Some(mask_mm2),
        }
    };
    let fracture = |(number, broken): (usize, &super::fracture::Break)| {
        let of = |slice: &Rendered| slice.findings.iter().find(|f| f.number == number).copied();
        let seen = |slice: &Rendered| of(slice).is_some_and(|f| area(&f) >= IGNORE_MM2);
        let (pixels, signal) = slices
            .iter()
            .filter_map(of)
            .fold((0_usize, 0.0), |(pixels, signal), f| (pixels + f.pixels, signal + f.signal));
        let first = slices.iter().position(seen);
        FractureTruth {
            level: broken.level,
            kind: broken.kind.name().to_owned(),
            displacement_mm: Some(broken.displacement_mm),
            conspicuity: (pixels > 0).then(|| (signal / pixels as f64).sqrt()),
            slices: first.zip(slices.iter().rposition(seen)).map(|(first, last)| [first, last]),
        }
    };
    let mut levels = [false; 7];
    for broken in &patient.breaks {
        if let Some(level) = levels.get_mut(broken.level.index()) {
            *level = true;
        }
    }
    CaseTruth {
        fractured: Some(patient.is_fractured()),
        levels: Some(levels),
        slices: slices.iter().map(slice_truth).collect(),
        fractures: patient.breaks.iter().enumerate().map(fracture).collect(),
        source: "phantom geometry".to_owned(),
    }
}
