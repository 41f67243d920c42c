//! `hdn-cspine:DIR`: multi-frame CT with segmentations of the fractures, as Health Data Nexus' "Fracture Detection on
//! Cervical Spine CT" (doi 10.57764/fhp6-nt41) describes its files.
//!
//! Names and folders are not looked at: a segmentation belongs to the series that it says it was drawn on. A CT with a
//! segmentation is fractured, one without is not, as that data set was put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::dicom::{self, MultiFrame, ObjectFacts, Segmentation};
use crate::geometry::PixelBox;
use crate::jobs::{Cancelled, JobCtx};
use crate::study::Series;
use crate::truth::{CaseTruth, SliceLabel, SliceTruth};

use super::{CaseRef, Dataset, DatasetError, LabelledCase, Place, folder};

/// From this area on a slice is positive, mm2; below [`IGNORED_MM2`] it is negative, between them neither (method 6.7).
const POSITIVE_MM2: f64 = 4.0;
const IGNORED_MM2: f64 = 1.0;

/// One CT and what was drawn on it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Study {
    ct: PathBuf,
    masks: Vec<PathBuf>,
}

/// See [`super::open`].
pub(super) fn open(root: &Path, ctx: &JobCtx) -> Result<Dataset, DatasetError> {
    if !root.is_dir() {
        return Err(DatasetError::Refused(format!("{} is no folder", root.display())));
    }
    let files: Vec<PathBuf> = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    let read = |path: &PathBuf| ctx.check().map(|()| (path.clone(), dicom::object_facts(path)));
    let facts: Vec<_> = files.par_iter().map(read).collect::<Result<_, Cancelled>>()?;
    let unread = facts.iter().filter(|(path, facts)| facts.is_err() && is_named_dicom(path)).count();
    let facts: Vec<(PathBuf, ObjectFacts)> = facts.into_iter().filter_map(|(p, f)| Some((p, f.ok()?))).collect();
    let (masks, pictures): (Vec<_>, Vec<_>) = facts.into_iter().partition(|(_, f)| f.is_segmentation);
    let scans: Vec<_> = pictures.into_iter().filter(|(_, f)| f.modality == "CT" && f.frames > 1).collect();
    if scans.is_empty() {
        return Err(DatasetError::Refused(format!(
            "{} holds no multi-frame CT among {} files; give the folder that was downloaded and unpacked",
            root.display(),
            files.len()
        )));
    }
    let drawn_on = |mask: &ObjectFacts, scan: &ObjectFacts| mask.drawn_on.contains(&scan.series_uid);
    let mut notes = Vec::new();
    let lost = masks.iter().filter(|(_, mask)| !scans.iter().any(|(_, scan)| drawn_on(mask, scan))).count();
    if lost > 0 {
        notes.push(format!("{lost} segmentations were drawn on a series that is not there; they were left out."));
    }
    if unread > 0 {
        notes.push(format!("{unread} files named .dcm could not be read; they were left out."));
    }
    let case = |(path, scan): &(PathBuf, ObjectFacts)| {
        let own: Vec<&(PathBuf, ObjectFacts)> = masks.iter().filter(|(_, mask)| drawn_on(mask, scan)).collect();
        case(path, scan, &own)
    };
    let mut cases: Vec<CaseRef> = scans.iter().map(case).collect();
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    // Two series with one ending keep the number of their order.
    for index in 1..cases.len() {
        if cases.get(index).map(|c| c.id.clone()) == cases.get(index - 1).map(|c| c.id.clone())
            && let Some(case) = cases.get_mut(index)
        {
            case.id = format!("{}-{}", case.id, index + 1);
        }
    }
    Ok(Dataset { name: format!("multi-frame CT in {}", root.display()), cases, excluded: Vec::new(), notes })
}

fn is_named_dicom(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("dcm"))
}

fn case(path: &Path, scan: &ObjectFacts, masks: &[&(PathBuf, ObjectFacts)]) -> CaseRef {
    let mut key = vec!["hdn-cspine", scan.sop_instance_uid.as_str()];
    key.extend(masks.iter().map(|(_, mask)| mask.sop_instance_uid.as_str()));
    let patient = if scan.patient_id.is_empty() { &scan.study_uid } else { &scan.patient_id };
    CaseRef {
        id: folder::short_id(&scan.series_uid),
        // A number that stands for the patient, not the patient's number.
        patient: super::digest(&["patient", patient]),
        fractured: Some(!masks.is_empty()),
        sex: None,
        age_years: None,
        source: "hdn-cspine".to_owned(),
        twin: None,
        content_key: super::digest(&key),
        at: Place::Hdn(Arc::new(Study {
            ct: path.to_owned(),
            masks: masks.iter().map(|(path, _)| path.clone()).collect(),
        })),
    }
}

pub(super) fn load(id: &str, study: &Study, ctx: &JobCtx) -> Result<LabelledCase, DatasetError> {
    let refuse = |why: &str| DatasetError::Refused(format!("study {id} was left out: {why}"));
    let scan = dicom::load_multiframe(&study.ct, ctx)?.map_err(|refused| refuse(&refused.text))?;
    let series = &scan.loaded.series;
    if let Some(stop) = series.analysis_stop() {
        return Err(refuse(&stop));
    }
    let mut drawn = vec![vec![false; series.rows * series.columns]; series.slices.len()];
    for path in &study.masks {
        ctx.check()?;
        let mask = dicom::load_segmentation(path).map_err(|refused| refuse(&refused.text))?;
        lay(&mask, &scan, &mut drawn).map_err(|why| refuse(&why))?;
    }
    let truth = truth(!study.masks.is_empty(), &drawn, series);
    Ok(LabelledCase { truth, loaded: scan.loaded })
}

/// Adds the frames of a segmentation to the slices that they were drawn on.
fn lay(mask: &Segmentation, scan: &MultiFrame, drawn: &mut [Vec<bool>]) -> Result<(), String> {
    let series = &scan.loaded.series;
    if (mask.rows, mask.columns) != (series.rows, series.columns) {
        return Err(format!(
            "its segmentation is {} x {} and its slices are {} x {}",
            mask.rows, mask.columns, series.rows, series.columns
        ));
    }
    let positions = folder::positions_mm(series);
    let normal = series.slices.iter().find_map(|s| s.pose).map(|p| p.normal());
    let tolerance_mm = series.slice_spacing_mm.unwrap_or(1.0) * 0.5;
    for (number, frame) in (1..).zip(&mask.frames) {
        let by_frame = frame.drawn_on.as_ref().and_then(|(uid, at)| {
            let at = (*at)?;
            (*uid == scan.sop_instance_uid).then(|| scan.frames.iter().position(|f| *f == at)).flatten()
        });
        let by_place = || {
            let at = frame.position?.0.dot(normal?);
            let distance = |i: &usize| positions.get(*i).copied().flatten().map_or(f64::MAX, |p| (p - at).abs());
            let nearest = (0..positions.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
            (distance(&nearest) <= tolerance_mm).then_some(nearest)
        };
        let slice = by_frame.or_else(by_place).and_then(|index| drawn.get_mut(index));
        let slice = slice.ok_or_else(|| format!("frame {number} of its segmentation lies on none of its slices"))?;
        slice.iter_mut().zip(&frame.mask).for_each(|(all, one)| *all |= *one);
    }
    Ok(())
}

fn truth(fractured: bool, drawn: &[Vec<bool>], series: &Series) -> CaseTruth {
    let [rows_mm, columns_mm] = series.spacing_mm.unwrap_or([1.0, 1.0]);
    let slice = |mask: &Vec<bool>| {
        let area_mm2 = mask.iter().filter(|set| **set).count() as f64 * rows_mm * columns_mm;
        let label = match area_mm2 {
            a if a >= POSITIVE_MM2 => SliceLabel::Positive,
            a if a >= IGNORED_MM2 => SliceLabel::Ignore,
            _ => SliceLabel::Negative,
        };
        SliceTruth {
            label,
            boxes: bounds(mask, series.columns).into_iter().collect(),
            level: None,
            mask_mm2: Some(area_mm2),
        }
    };
    CaseTruth {
        fractured: Some(fractured),
        levels: None,
        slices: drawn.iter().map(slice).collect(),
        fractures: Vec::new(),
        source: "segmentations of the fractures".to_owned(),
    }
}

/// The smallest box that holds a mask.
fn bounds(mask: &[bool], columns: usize) -> Option<PixelBox> {
    let set = || mask.iter().enumerate().filter(|(_, set)| **set).map(|(i, _)| (i / columns, i % columns));
    let (top, bottom) = (set().map(|p| p.0).min()?, set().map(|p| p.0).max()?);
    let (left, right) = (set().map(|p| p.1).min()?, set().map(|p| p.1).max()?);
    Some([left as f64, top as f64, (right + 1) as f64, (bottom + 1) as f64])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_edges_of_what_is_set() {
        let mut mask = vec![false; 20];
        assert_eq!(bounds(&mask, 5), None);
        mask[7] = true;
        mask[11] = true;
        assert_eq!(bounds(&mask, 5), Some([1.0, 1.0, 3.0, 3.0]));
    }
}
