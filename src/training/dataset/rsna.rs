//! `rsna2022:DIR`: the layout of the RSNA 2022 cervical spine fracture data (Lin et al., Radiology: AI 2023;5:e230034).
//!
//! Nothing of that data set is shipped with this program; its licence forbids commercial use and re-identification.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::geometry::PixelBox;
use crate::jobs::JobCtx;
use crate::study::Series;
use crate::truth::{CaseTruth, Level, SliceTruth};
use crate::volume::nifti::LabelMap;

use super::dens::{UID, pixel_box, told};
use super::labels::{self, Known};
use super::table::{Row, Table};
use super::{CaseRef, Dataset, DatasetError, Excluded, Place, folder, index};

const CASES: &str = "train.csv";
const BOXES: &str = "train_bounding_boxes.csv";
const LEVELS: [&str; 7] = ["C1", "C2", "C3", "C4", "C5", "C6", "C7"];
/// A vertebra must have this area on a slice to be shown by it, mm2.
const SHOWN_MM2: f64 = 20.0;

/// What the csv files say of one study.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Study {
    pub(super) folder: PathBuf,
    fractured: bool,
    levels: [bool; 7],
    /// By number of the file.
    boxes: HashMap<usize, Vec<PixelBox>>,
    segmentation: Option<PathBuf>,
}

/// A study left out, or used with a warning.
#[derive(Debug, serde::Deserialize)]
struct Exception {
    id: String,
    #[serde(rename = "use")]
    used: bool,
    reason: String,
}

#[derive(Debug, serde::Deserialize)]
struct Exceptions {
    study: Vec<Exception>,
}

fn exceptions() -> Vec<Exception> {
    let list: Exceptions = toml::from_str(include_str!("rsna2022_exclusions.toml"))
        .expect("the list is part of the program and a test reads it");
    list.study
}

/// See [`super::open`].
pub(super) fn open(root: &Path, ctx: &JobCtx) -> Result<Dataset, DatasetError> {
    check_layout(root)?;
    let folders = folder::studies(root)?;
    let mut rows = Rows::read(root, None)?;
    let mut notes = std::mem::take(&mut rows.notes);
    let mut dataset = Dataset {
        name: format!("RSNA 2022 layout in {}", root.display()),
        cases: Vec::new(),
        excluded: std::mem::take(&mut rows.excluded),
        notes: Vec::new(),
    };
    for exception in exceptions() {
        let Some(uid) = rows.studies.keys().find(|uid| folder::short_id(uid) == exception.id).cloned() else {
            continue;
        };
        if exception.used {
            notes.push(format!("Study {}: {}; it is used.", exception.id, exception.reason));
        } else {
            rows.studies.remove(&uid);
            dataset.excluded.push(Excluded { id: exception.id, reason: exception.reason });
        }
    }
    let unlisted: Vec<&String> = folders.keys().filter(|uid| !rows.known.contains(*uid)).collect();
    let unlisted: Vec<String> = unlisted.into_iter().map(|uid| folder::short_id(uid)).collect();
    let used = folders.iter().filter(|(uid, _)| rows.studies.contains_key(*uid));
    let used: BTreeMap<String, PathBuf> = used.map(|(uid, path)| (uid.clone(), path.clone())).collect();
    let index = index::read_or_make(root, &used, ctx)?;
    let from_the_feet = index.values().filter(|indexed| indexed.from_the_feet).count();
    if from_the_feet > 0 {
        notes.push(format!(
            "The files of {from_the_feet} studies are numbered from the feet; slices are ordered by place."
        ));
    }
    let mut absent = Vec::new();
    let shorts = rows.studies.keys().map(|uid| folder::short_id(uid));
    let mut seen = BTreeMap::new();
    shorts.for_each(|short| *seen.entry(short).or_insert(0) += 1);
    for (uid, mut study) in rows.studies {
        let short = folder::short_id(&uid);
        // Two UIDs with one ending keep their whole length.
        let id = if seen.get(&short).is_some_and(|n| *n > 1) { uid.clone() } else { short };
        let Some(path) = folders.get(&uid) else {
            absent.push(id);
            continue;
        };
        let files = match index.get(&uid).map(|indexed| (indexed.files, &indexed.unreadable)) {
            Some((_, Some((count, first)))) => {
                let reason = format!("{count} of its files cannot be read; the first: {first}");
                dataset.excluded.push(Excluded { id, reason });
                continue;
            }
            None | Some((0, _)) => {
                dataset.excluded.push(Excluded { id, reason: "its folder is empty or cannot be read".to_owned() });
                continue;
            }
            Some((files, None)) => files,
        };
        study.folder.clone_from(path);
        dataset.cases.push(study.case(uid, id, files));
    }
    let boxed =
        dataset.cases.iter().filter(|c| matches!(&c.at, Place::Rsna(s) if s.fractured && s.boxes.is_empty())).count();
    if boxed > 0 {
        notes.push(format!(
            "{boxed} fractured studies have no boxes: their slices are ignored, their case label is used."
        ));
    }
    notes.extend(told(&absent, "stand in train.csv and have no folder in train_images"));
    notes.extend(told(&unlisted, "have a folder in train_images and do not stand in train.csv"));
    dataset.cases.sort_by(|a, b| a.id.cmp(&b.id));
    dataset.notes = notes;
    Ok(dataset)
}

/// Names exactly what is missing; boxes and segmentations may be.
fn check_layout(root: &Path) -> Result<(), DatasetError> {
    if !root.is_dir() {
        return Err(DatasetError::Refused(format!("{} is no folder", root.display())));
    }
    let mut missing = Vec::new();
    if !root.join(CASES).is_file() {
        missing.push(format!("{CASES} ({UID}, patient_overall, C1 to C7)"));
    }
    if !root.join(folder::IMAGES).is_dir() {
        missing.push(format!("{}/ (one folder per study, files 1.dcm, 2.dcm, ...)", folder::IMAGES));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(DatasetError::Refused(format!(
        "{} is not in the layout of RSNA 2022: missing are {}. A part of the studies is enough.",
        root.display(),
        missing.join(" and ")
    )))
}

/// The truth of one study of a root in this layout.
pub(super) fn study_beside(root: &Path, uid: &str) -> Option<Study> {
    root.join(CASES).is_file().then_some(())?;
    Rows::read(root, Some(uid)).ok()?.studies.remove(uid)
}

struct Rows {
    studies: BTreeMap<String, Study>,
    /// All that stand in the csv, also those that cannot be used.
    known: BTreeSet<String>,
    excluded: Vec<Excluded>,
    notes: Vec<String>,
}

impl Rows {
    fn read(root: &Path, only: Option<&str>) -> Result<Self, DatasetError> {
        let mut rows =
            Self { studies: BTreeMap::new(), known: BTreeSet::new(), excluded: Vec::new(), notes: Vec::new() };
        let columns: Vec<&str> = [UID, "patient_overall"].into_iter().chain(LEVELS).collect();
        let wanted = |row: &Row| only.is_none_or(|uid| row.text(UID) == uid);
        for row in Table::read(&root.join(CASES), &columns)?.rows().filter(wanted) {
            let uid = row.text(UID).to_owned();
            match Study::read(&row, root) {
                // The same twice says nothing new; two different rows say nothing at all.
                Ok(study) if rows.known.contains(&uid) => {
                    if rows.studies.get(&uid).is_some_and(|known| *known != study) {
                        rows.exclude(
                            &uid,
                            format!("{}: the study stands there twice with different labels", row.place()),
                        );
                    } else if rows.studies.contains_key(&uid) {
                        rows.notes.push(format!("Study {} stands in {CASES} twice.", folder::short_id(&uid)));
                    }
                }
                Ok(study) => drop(rows.studies.insert(uid.clone(), study)),
                Err(reason) => rows.exclude(&uid, reason),
            }
            rows.known.insert(uid);
        }
        rows.read_boxes(root, wanted)?;
        Ok(rows)
    }

    fn read_boxes(&mut self, root: &Path, wanted: impl Fn(&Row) -> bool) -> Result<(), DatasetError> {
        let path = root.join(BOXES);
        if !path.is_file() {
            self.notes.push(format!(
                "{BOXES} is missing: no slice of a fractured study has a label, and the first stage can learn nothing from them."
            ));
            return Ok(());
        }
        let mut orphans = BTreeSet::new();
        for row in Table::read(&path, &[UID, "x", "y", "width", "height", "slice_number"])?.rows().filter(wanted) {
            let uid = row.text(UID);
            let Some(study) = self.studies.get_mut(uid) else {
                if !self.known.contains(uid) {
                    orphans.insert(folder::short_id(uid));
                }
                continue;
            };
            match (row.count("slice_number"), pixel_box(&row)) {
                (Ok(_), Ok(_)) if !study.fractured => {
                    self.exclude(
                        uid,
                        format!("{}: it has a box, and {CASES} says that nothing is fractured", row.place()),
                    );
                }
                (Ok(number), Ok(pixels)) => {
                    let there = study.boxes.entry(number).or_default();
                    if !there.contains(&pixels) {
                        there.push(pixels);
                    }
                }
                (Err(reason), _) | (_, Err(reason)) => self.exclude(uid, reason),
            }
        }
        let orphans: Vec<String> = orphans.into_iter().collect();
        self.notes.extend(told(&orphans, "have boxes and do not stand in train.csv"));
        Ok(())
    }

    fn exclude(&mut self, uid: &str, reason: String) {
        self.studies.remove(uid);
        self.excluded.push(Excluded { id: folder::short_id(uid), reason });
    }
}

impl Study {
    fn read(row: &Row, root: &Path) -> Result<Self, String> {
        let uid = row.text(UID);
        if uid.is_empty() || uid.contains(['/', '\\']) {
            return Err(format!("{}: \"{uid}\" is no UID", row.place()));
        }
        let mut levels = [false; 7];
        for (level, name) in levels.iter_mut().zip(LEVELS) {
            *level = row.flag(name)?;
        }
        let fractured = row.flag("patient_overall")?;
        if !fractured && levels.contains(&true) {
            return Err(format!("{}: patient_overall is 0 and a level is 1", row.place()));
        }
        let segmentation = ["nii", "nii.gz"].map(|end| root.join(folder::SEGMENTATIONS).join(format!("{uid}.{end}")));
        let segmentation = segmentation.into_iter().find(|path| path.is_file());
        Ok(Self { folder: PathBuf::new(), fractured, levels, boxes: HashMap::new(), segmentation })
    }

    fn case(self, uid: String, id: String, files: usize) -> CaseRef {
        let mut boxes: Vec<String> = self.boxes.iter().map(|(number, boxes)| format!("{number}:{boxes:?}")).collect();
        boxes.sort();
        let (levels, files) = (format!("{} {:?}", self.fractured, self.levels), files.to_string());
        let segmented = if self.segmentation.is_some() { "segmented" } else { "" };
        CaseRef {
            content_key: super::digest(&["rsna2022", &uid, &levels, &boxes.join(" "), segmented, &files]),
            patient: uid,
            id,
            fractured: Some(self.fractured),
            sex: None,
            age_years: None,
            source: "rsna2022".to_owned(),
            twin: None,
            at: Place::Rsna(Arc::new(self)),
        }
    }
}

/// The truth in the order of the slices as they were read. A segmentation that cannot be read counts as none.
pub(super) fn truth(study: &Study, series: &Series) -> CaseTruth {
    let boxes_of = |slice| folder::file_number(slice).and_then(|n| study.boxes.get(&n)).cloned().unwrap_or_default();
    let boxes: Vec<Vec<PixelBox>> = series.slices.iter().map(boxes_of).collect();
    let boxed: Vec<bool> = boxes.iter().map(|b| !b.is_empty()).collect();
    let map = study.segmentation.as_deref().and_then(|path| {
        let told = |error| log::warn!("the segmentation of study {} is not used: {error}", short_name(path));
        LabelMap::read(path).map_err(told).ok()
    });
    let areas: Option<Vec<[f64; 8]>> = map.map(|map| areas_mm2(&map, series));
    let shows = |areas: &[f64; 8]| std::array::from_fn(|level| areas[level] >= SHOWN_MM2);
    let shows: Option<Vec<[bool; 7]>> = areas.as_ref().map(|slices| slices.iter().map(shows).collect());
    let labels = labels::labels(&Known {
        fractured: Some(study.fractured),
        levels: Some(study.levels),
        boxed: &boxed,
        position_mm: &folder::positions_mm(series),
        shows: shows.as_deref(),
    });
    let level = |index: usize| largest(areas.as_ref()?.get(index)?);
    let slices = labels.into_iter().zip(boxes).enumerate();
    let slices = slices.map(|(i, (label, boxes))| SliceTruth { label, boxes, level: level(i), mask_mm2: None });
    CaseTruth {
        fractured: Some(study.fractured),
        levels: Some(study.levels),
        slices: slices.collect(),
        fractures: Vec::new(),
        source: "RSNA 2022 labels and boxes".to_owned(),
    }
}

/// What a study is called, of the file `UID.nii`.
fn short_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder::short_id(name.trim_end_matches(".gz").trim_end_matches(".nii"))
}

/// Area of C1 to C7 and T1 on each slice.
fn areas_mm2(map: &LabelMap, series: &Series) -> Vec<[f64; 8]> {
    let spacing_mm = series.spacing_mm.unwrap_or([1.0, 1.0]);
    let area = |slice: &crate::study::SliceInfo| {
        let mut areas = [0.0; 8];
        let Some(pose) = slice.pose else { return areas };
        for label in map.on_slice(&pose, [series.rows, series.columns], spacing_mm) {
            if let Some(area) = usize::from(label).checked_sub(1).and_then(|level| areas.get_mut(level)) {
                *area += spacing_mm[0] * spacing_mm[1];
            }
        }
        areas
    };
    series.slices.iter().map(area).collect()
}

fn largest(areas: &[f64; 8]) -> Option<Level> {
    let (level, area) = Level::ALL.into_iter().zip(areas).max_by(|a, b| a.1.total_cmp(b.1))?;
    (*area >= SHOWN_MM2).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_exceptions_is_readable_and_has_reasons() {
        let list = exceptions();
        let left_out: Vec<&str> = list.iter().filter(|e| !e.used).map(|e| e.id.as_str()).collect();
        assert_eq!(left_out, ["20574", "29952"]);
        assert!(list.len() == 5 && list.iter().all(|e| e.reason.len() > 10));
    }

    #[test]
    fn the_largest_vertebra_names_the_slice() {
        let mut areas = [0.0; 8];
        assert_eq!(largest(&areas), None);
        areas[4] = 300.0;
        areas[5] = 350.0;
        assert_eq!(largest(&areas), Some(Level::C6));
    }
}
