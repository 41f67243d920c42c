//! `phantom:DIR`: the studies of a folder that `dens phantom` wrote, with the truth of their geometry.
//!
//! | File | Rows | Columns |
//! |---|---|---|
//! | `dens_cases.csv` | studies | who it is: id, patient, twin, sex, age, key of the content |
//! | `dens_slices.csv` | files | label, area of the fracture's mask, level |
//! | `dens_boxes.csv` | tight boxes | top left corner, width, height in pixels, file |
//! | `dens_fractures.csv` | fractures | level, kind, displacement, conspicuity, first and last file |
//!
//! `slice_number` is the N of `N.dcm`, as in RSNA 2022.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::geometry::PixelBox;
use crate::study::Series;
use crate::truth::{CaseTruth, FractureTruth, Level, SliceLabel, SliceTruth};

use super::table::{Row, Table};
use super::{CaseRef, Dataset, DatasetError, Excluded, Place, folder};

/// Takes one row of a table into its study, or says why not.
type ReadRow = fn(&Row, &mut Study) -> Result<(), String>;

pub(super) const CASES: &str = "dens_cases.csv";
pub(super) const SLICES: &str = "dens_slices.csv";
pub(super) const BOXES: &str = "dens_boxes.csv";
pub(super) const FRACTURES: &str = "dens_fractures.csv";
pub(super) const UID: &str = "StudyInstanceUID";
pub(super) const CASE_COLUMNS: [&str; 12] = [
    UID,
    "id",
    "patient",
    "twin",
    "source",
    "fractured",
    "sex",
    "age_years",
    "contrast",
    "levels",
    "files",
    "content_key",
];
pub(super) const SLICE_COLUMNS: [&str; 6] = [UID, "slice_number", "z_mm", "label", "mask_mm2", "level"];
pub(super) const BOX_COLUMNS: [&str; 6] = [UID, "slice_number", "x", "y", "width", "height"];
pub(super) const FRACTURE_COLUMNS: [&str; 7] =
    [UID, "level", "kind", "displacement_mm", "conspicuity", "first_slice", "last_slice"];
/// Who says so.
const SOURCE: &str = "phantom geometry";

/// What the csv files say of one study.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Study {
    pub(super) folder: PathBuf,
    fractured: bool,
    levels: [bool; 7],
    /// By number of the file.
    slices: HashMap<usize, SliceTruth>,
    /// With the numbers of the first and last file.
    fractures: Vec<(FractureTruth, Option<[usize; 2]>)>,
}

/// See [`super::open`].
pub(super) fn open(root: &Path) -> Result<Dataset, DatasetError> {
    if !root.is_dir() {
        return Err(DatasetError::Refused(format!(
            "{} is no folder; give seeds (phantom:1-200) or a folder that `dens phantom` wrote",
            root.display()
        )));
    }
    let missing: Vec<&str> =
        [CASES, SLICES, BOXES, FRACTURES].into_iter().filter(|f| !root.join(f).is_file()).collect();
    if !missing.is_empty() {
        return Err(DatasetError::Refused(format!(
            "{} lacks {}; a folder that `dens phantom` wrote has all of them (for RSNA 2022's own layout give rsna2022:DIR)",
            root.display(),
            missing.join(", ")
        )));
    }
    let tables = Tables::read(root, None)?;
    let folders = folder::studies(root)?;
    let mut dataset = Dataset {
        name: format!("phantom folder {}", root.display()),
        cases: Vec::new(),
        excluded: tables.excluded.clone(),
        notes: Vec::new(),
    };
    let mut absent = Vec::new();
    for (uid, (case, study)) in &tables.studies {
        match folders.get(uid) {
            Some(path) => {
                let study = Study { folder: path.clone(), ..study.clone() };
                dataset.cases.push(CaseRef { at: Place::Dens(Arc::new(study)), ..case.clone() });
            }
            None => absent.push(case.id.clone()),
        }
    }
    let unlisted = folders.keys().filter(|uid| !tables.studies.contains_key(*uid));
    let unlisted: Vec<String> = unlisted.map(|uid| folder::short_id(uid)).collect();
    dataset.notes.extend(told(&absent, "stand in dens_cases.csv and have no folder"));
    dataset.notes.extend(told(&unlisted, "have a folder and do not stand in dens_cases.csv"));
    dataset.cases.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(dataset)
}

/// "Left out, because they WHAT: 3 studies (a, b, c)."
pub(super) fn told(ids: &[String], what: &str) -> Option<String> {
    let named = ids.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let more = if ids.len() > 5 { ", ..." } else { "" };
    let studies = if ids.len() == 1 { "1 study".to_owned() } else { format!("{} studies", ids.len()) };
    (!ids.is_empty()).then(|| format!("left out, because they {what}: {studies} ({named}{more})."))
}

/// The truth of one study of a root, when that root is one of ours.
pub(super) fn study_beside(root: &Path, uid: &str) -> Option<Study> {
    if !root.join(CASES).is_file() {
        return None;
    }
    let tables = Tables::read(root, Some(uid)).ok()?;
    tables.studies.get(uid).map(|(_, study)| study.clone())
}

struct Tables {
    studies: BTreeMap<String, (CaseRef, Study)>,
    excluded: Vec<Excluded>,
}

impl Tables {
    /// Reads the four files, all studies or one.
    fn read(root: &Path, only: Option<&str>) -> Result<Self, DatasetError> {
        let mut tables = Self { studies: BTreeMap::new(), excluded: Vec::new() };
        let wanted = |row: &Row| only.is_none_or(|uid| row.text(UID) == uid);
        for row in Table::read(&root.join(CASES), &CASE_COLUMNS)?.rows().filter(wanted) {
            let uid = row.text(UID).to_owned();
            match case(&row) {
                Ok(_) if tables.studies.contains_key(&uid) => {
                    tables.exclude(&uid, format!("{}: the study stands there twice", row.place()));
                }
                Ok(found) => drop(tables.studies.insert(uid, found)),
                Err(reason) => tables.exclude(&uid, reason),
            }
        }
        let files: [(&str, &[&str], ReadRow); 3] = [
            (SLICES, &SLICE_COLUMNS, slice),
            (BOXES, &BOX_COLUMNS, slice_box),
            (FRACTURES, &FRACTURE_COLUMNS, fracture),
        ];
        for (file, columns, read) in files {
            for row in Table::read(&root.join(file), columns)?.rows().filter(wanted) {
                let Some((_, study)) = tables.studies.get_mut(row.text(UID)) else { continue };
                if let Err(reason) = read(&row, study) {
                    tables.exclude(row.text(UID), reason);
                }
            }
        }
        for (case, study) in tables.studies.values_mut() {
            case.content_key = super::digest(&["phantom folder", &case.content_key, &study.labels_in_words()]);
        }
        Ok(tables)
    }

    fn exclude(&mut self, uid: &str, reason: String) {
        let id = self.studies.remove(uid).map_or_else(|| folder::short_id(uid), |(case, _)| case.id);
        self.excluded.push(Excluded { id, reason });
    }
}

fn case(row: &Row) -> Result<(CaseRef, Study), String> {
    let text = |column| row.text(column).to_owned();
    if text(UID).is_empty() || text("id").is_empty() {
        return Err(format!("{}: the study has no name", row.place()));
    }
    let fractured = row.flag("fractured")?;
    let letters = row.text("levels");
    let levels = std::array::from_fn(|i| letters.split(' ').any(|name| name == Level::ALL[i].name()));
    let case = CaseRef {
        id: text("id"),
        patient: text("patient"),
        fractured: Some(fractured),
        sex: row.text("sex").chars().next().filter(|c| matches!(c, 'M' | 'F')),
        age_years: row.number_or_none("age_years")?,
        source: text("source"),
        twin: Some(text("twin")).filter(|twin| !twin.is_empty()),
        content_key: format!("{} {}", row.text("content_key"), row.text("files")),
        at: Place::Dens(Arc::new(Study::empty())),
    };
    Ok((case, Study { fractured, levels, ..Study::empty() }))
}

impl Study {
    fn empty() -> Self {
        Self {
            folder: PathBuf::new(),
            fractured: false,
            levels: [false; 7],
            slices: HashMap::new(),
            fractures: Vec::new(),
        }
    }

    /// All that a label or a box could be changed to, for the key of the content.
    fn labels_in_words(&self) -> String {
        let mut slices: Vec<(&usize, &SliceTruth)> = self.slices.iter().collect();
        slices.sort_by_key(|(number, _)| **number);
        let word = |(number, s): (&usize, &SliceTruth)| {
            format!("{number} {} {:?} {:?}", label_name(s.label), s.boxes, s.level)
        };
        format!("{} {:?} {}", self.fractured, self.levels, slices.into_iter().map(word).collect::<Vec<_>>().join(";"))
    }
}

pub(super) fn label_name(label: SliceLabel) -> &'static str {
    match label {
        SliceLabel::Negative => "negative",
        SliceLabel::Positive => "positive",
        SliceLabel::Ignore => "ignore",
    }
}

fn level(row: &Row) -> Result<Option<Level>, String> {
    let name = row.text("level");
    match Level::ALL.into_iter().find(|l| l.name() == name) {
        None if !name.is_empty() => Err(format!("{}: \"{name}\" is no level", row.place())),
        found => Ok(found),
    }
}

fn slice(row: &Row, study: &mut Study) -> Result<(), String> {
    let named = row.text("label");
    let label =
        [SliceLabel::Negative, SliceLabel::Positive, SliceLabel::Ignore].into_iter().find(|l| label_name(*l) == named);
    let label = label.ok_or_else(|| format!("{}: \"{named}\" is no label", row.place()))?;
    let truth = SliceTruth { label, boxes: Vec::new(), level: level(row)?, mask_mm2: row.number_or_none("mask_mm2")? };
    match study.slices.insert(row.count("slice_number")?, truth) {
        None => Ok(()),
        Some(_) => Err(format!("{}: slice {} stands there twice", row.place(), row.text("slice_number"))),
    }
}

/// The box of a row with x, y, width and height.
pub(super) fn pixel_box(row: &Row) -> Result<PixelBox, String> {
    let [x, y, width, height] = [row.number("x")?, row.number("y")?, row.number("width")?, row.number("height")?];
    if width <= 0.0 || height <= 0.0 {
        return Err(format!("{}: the box of {width} x {height} has no area", row.place()));
    }
    Ok([x, y, x + width, y + height])
}

fn slice_box(row: &Row, study: &mut Study) -> Result<(), String> {
    let number = row.count("slice_number")?;
    let pixels = pixel_box(row)?;
    let slice = study.slices.get_mut(&number);
    slice.ok_or_else(|| format!("{}: slice {number} stands in no row of {SLICES}", row.place()))?.boxes.push(pixels);
    Ok(())
}

fn fracture(row: &Row, study: &mut Study) -> Result<(), String> {
    let level = level(row)?.ok_or_else(|| format!("{}: the fracture has no level", row.place()))?;
    let end = |column| if row.text(column).is_empty() { Ok(None) } else { row.count(column).map(Some) };
    let ends = end("first_slice")?.zip(end("last_slice")?).map(|(first, last)| [first, last]);
    let fracture = FractureTruth {
        level,
        kind: row.text("kind").to_owned(),
        displacement_mm: row.number_or_none("displacement_mm")?,
        conspicuity: row.number_or_none("conspicuity")?,
        slices: None,
    };
    study.fractures.push((fracture, ends));
    Ok(())
}

/// The truth in the order of the slices as they were read.
pub(super) fn truth(study: &Study, series: &Series) -> CaseTruth {
    let numbers: Vec<Option<usize>> = series.slices.iter().map(folder::file_number).collect();
    let index_of = |number: usize| numbers.iter().position(|n| *n == Some(number));
    // A file that the csv does not know is none of ours.
    let unknown = || SliceTruth { label: SliceLabel::Ignore, boxes: Vec::new(), level: None, mask_mm2: None };
    let slice = |number: &Option<usize>| number.and_then(|n| study.slices.get(&n).cloned()).unwrap_or_else(unknown);
    let fracture = |(fracture, ends): &(FractureTruth, Option<[usize; 2]>)| {
        let ends = ends.and_then(|[first, last]| Some([index_of(first)?, index_of(last)?]));
        FractureTruth { slices: ends.map(|[a, b]| [a.min(b), a.max(b)]), ..fracture.clone() }
    };
    CaseTruth {
        fractured: Some(study.fractured),
        levels: Some(study.levels),
        slices: numbers.iter().map(slice).collect(),
        fractures: study.fractures.iter().map(fracture).collect(),
        source: SOURCE.to_owned(),
    }
}
