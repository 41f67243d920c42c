//! Writes synthetic patients as a data set on disk: RSNA 2022's layout and csv, and beside it what only geometry knows.
//!
//! A study appears whole or not at all, and the csv files always name exactly the studies that are there, also after
//! cancellation. The same order gives the same bytes.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::dicom::{self, Written};
use crate::files;
use crate::geometry::{PixelBox, SlicePose};
use crate::jobs::{Cancelled, JobCtx};
use crate::phantom::{self, Difficulty, PatientSpec, Person, Sex, SyntheticPatient};
use crate::random::Stream;
use crate::study::{LoadedSeries, Patient, Series, SliceInfo, StudyInfo};
use crate::truth::{Level, SliceLabel};
use crate::volume::nifti::LabelMap;

use super::oddities::{self, Oddities};
use super::{CaseRef, DatasetError, Place, dens, folder, synthetic};

const MASKS: &str = "masks";
/// What is added on each side of a vertebra for RSNA's loose boxes, mm.
const LOOSE_MM: f64 = 2.0;
/// Steps of progress per case.
const STEPS: usize = 100;

/// Which data set to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// In the words of `phantom:`, e.g. `1-20;difficulty=hard;twins`.
    pub patients: String,
    /// Share of the fractured studies that get boxes in `train_bounding_boxes.csv`.
    pub boxed_fraction: f64,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    pub cases: usize,
    pub fractured: usize,
    pub files: usize,
    /// It was stopped before the end; what is there is complete in itself.
    pub cancelled: bool,
}

/// Writes into a folder that must be empty or absent. Progress counts hundredths of cases.
///
/// # Errors
/// An order that cannot be read, a folder with something in it, or a disk that refuses.
pub fn write(order: &Order, out: &Path, ctx: &JobCtx) -> Result<Summary, DatasetError> {
    write_changed(order, out, ctx, &|_| {})
}

/// As [`write`], with a change to each patient before it is written (tests ask for rare files so).
pub(super) fn write_changed(
    order: &Order,
    out: &Path,
    ctx: &JobCtx,
    change: &dyn Fn(&mut SyntheticPatient),
) -> Result<Summary, DatasetError> {
    let wish = synthetic::Wish::parse(&order.patients)?;
    if !(0.0..=1.0).contains(&order.boxed_fraction) {
        return Err(DatasetError::Refused(format!(
            "a boxed fraction of {} is not between 0 and 1",
            order.boxed_fraction
        )));
    }
    prepare(out)?;
    let cases = wish.cases();
    let mut tables = Tables::default();
    let mut cancelled = false;
    for (index, case) in cases.iter().enumerate() {
        let Place::Phantom { spec } = &case.at else { continue };
        let step = step_of(ctx, index, cases.len());
        match ctx.check().map_err(DatasetError::from).and_then(|()| {
            let mut made = phantom::patient(spec, &step)?;
            change(&mut made);
            write_case(order, case, spec, &made, out, ctx)
        }) {
            Ok(rows) => tables.take(rows),
            Err(DatasetError::Cancelled(Cancelled)) => {
                cancelled = true;
                break;
            }
            Err(error) => {
                tables.write(order, &wish, out)?;
                return Err(error);
            }
        }
        ctx.progress((index + 1) * STEPS, cases.len() * STEPS);
    }
    tables.write(order, &wish, out)?;
    Ok(Summary { cases: tables.cases.len(), fractured: tables.fractured, files: tables.slices.len(), cancelled })
}

/// Makes the folders; refuses one that holds anything.
fn prepare(out: &Path) -> Result<(), DatasetError> {
    let refuse = |what: String| DatasetError::Refused(format!("{} {what}", out.display()));
    match fs::read_dir(out).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            return Err(refuse("is not empty; nothing was written. Name a new folder with --out".to_owned()));
        }
        Ok(false) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(refuse(format!("could not be read ({e}); name another folder with --out"))),
    }
    for name in [folder::IMAGES, folder::SEGMENTATIONS, MASKS] {
        fs::create_dir_all(out.join(name))
            .map_err(|e| refuse(format!("could not be made ({e}); name another folder with --out")))?;
    }
    Ok(())
}

/// A context for the work on one case: its progress becomes a part of the whole, and it is cancelled with the whole.
fn step_of(whole: &JobCtx, case: usize, cases: usize) -> JobCtx {
    let slot: Arc<OnceLock<JobCtx>> = Arc::default();
    let (own, whole) = (Arc::clone(&slot), whole.clone());
    let (start, all) = (case * STEPS, cases * STEPS);
    let step = JobCtx::with_wake(Arc::new(move |_| {
        let Some(step) = own.get() else { return };
        if whole.check().is_err() {
            step.cancel();
        }
        let (done, total) = step.progress_now();
        // The last tenth is for the files.
        whole.progress(start + done * (STEPS * 9 / 10) / total.max(1), all);
    }));
    slot.set(step.clone()).ok();
    step
}

/// What one study adds to the csv files.
struct Rows {
    uid: String,
    case: CaseRef,
    contrast: bool,
    levels: [bool; 7],
    files: usize,
    slices: Vec<[String; 6]>,
    boxes: Vec<[String; 6]>,
    loose_boxes: Vec<[String; 6]>,
    fractures: Vec<[String; 7]>,
    kinds: Vec<String>,
    person: Person,
    odd: Oddities,
}

fn write_case(
    order: &Order,
    case: &CaseRef,
    spec: &PatientSpec,
    made: &SyntheticPatient,
    out: &Path,
    ctx: &JobCtx,
) -> Result<Rows, DatasetError> {
    let slices = made.loaded.volume.slices();
    let odd = match spec.difficulty {
        Difficulty::Easy => Oddities::NONE,
        _ => keep_the_finding(Oddities::of(&made.acquisition.oddities, slices), made),
    };
    let uid = uid(&case.content_key, "study");
    let loaded = named(&made.loaded, case, &uid, &odd);
    let files = odd.files(slices.len());
    write_files(&loaded, case, &odd, &files, &out.join(folder::IMAGES).join(&uid), ctx)?;
    for (name, slices) in [(folder::SEGMENTATIONS, &made.segmentation), (MASKS, &made.fracture_mask)] {
        let path = out.join(name).join(format!("{uid}.nii"));
        let map = label_map(slices, &loaded.series);
        let map = map.ok_or_else(|| DatasetError::Refused(format!("{}: its masks have no place in space", case.id)))?;
        persist(&path, &map.to_nifti())?;
    }
    Ok(rows(order, case, spec, made, &loaded.series, &files, odd))
}

/// A fracture on one slice only does not get lost with it.
fn keep_the_finding(odd: Oddities, made: &SyntheticPatient) -> Oddities {
    let positive: Vec<usize> = (0..made.truth.slices.len())
        .filter(|&i| made.truth.slices.get(i).is_some_and(|s| s.label == SliceLabel::Positive))
        .collect();
    match (odd.missing, positive.as_slice()) {
        (Some(missing), [only]) if missing == *only => Oddities { missing: None, ..odd },
        _ => odd,
    }
}

/// The series under the names that the files bear, where they say that it lies.
fn named(loaded: &LoadedSeries, case: &CaseRef, study_uid: &str, odd: &Oddities) -> LoadedSeries {
    let age = case.age_years.map_or(String::new(), |years| format!("{:03.0}Y", years.floor().clamp(0.0, 999.0)));
    let series = &*loaded.series;
    let series = Series {
        uid: uid(&case.content_key, "series"),
        study: Arc::new(StudyInfo {
            uid: study_uid.to_owned(),
            description: "Synthetic neck, made by dens: no patient".to_owned(),
            ..StudyInfo::default()
        }),
        patient: Arc::new(Patient {
            name: format!("PHANTOM^{}", case.id.to_uppercase()),
            id: format!("PHANTOM-{}", case.patient.to_uppercase()),
            sex: case.sex.map_or(String::new(), String::from),
            age,
            ..Patient::default()
        }),
        number: Some(1),
        description: "Synthetic neck, no patient".to_owned(),
        slices: series.slices.iter().map(|s| SliceInfo { pose: s.pose.map(|p| odd.pose(p)), ..s.clone() }).collect(),
        ..series.clone()
    };
    LoadedSeries { series: Arc::new(series), volume: Arc::clone(&loaded.volume) }
}

/// All files of a study under another name first, then all at once under their own.
fn write_files(
    loaded: &LoadedSeries,
    case: &CaseRef,
    odd: &Oddities,
    files: &[usize],
    study: &Path,
    ctx: &JobCtx,
) -> Result<(), DatasetError> {
    let parent = study.parent().unwrap_or(Path::new("."));
    let refused = |e: std::io::Error| unwritten(study, &e);
    let part = tempfile::Builder::new().prefix(".dens-").suffix(".part").tempdir_in(parent).map_err(refused)?;
    let frame = uid(&case.content_key, "frame");
    let name = &loaded.series.patient.name;
    let write = |(at, slice): (usize, &usize)| -> Result<(), DatasetError> {
        ctx.check()?;
        let number = at + 1;
        let sop = uid(&case.content_key, &format!("file {number}"));
        let written = Written {
            patient_name: name,
            study_id: &case.id,
            frame_of_reference_uid: &frame,
            sop_instance_uid: &sop,
            instance_number: number,
            storage: odd.storage,
        };
        let bytes = dicom::synthetic_ct(loaded, *slice, &written)
            .map_err(|e| DatasetError::Refused(format!("{}: {e}", case.id)))?;
        fs::write(part.path().join(format!("{number}.dcm")), bytes).map_err(refused)
    };
    files.par_iter().enumerate().map(|(at, slice)| write((at, slice))).collect::<Result<(), _>>()?;
    #[cfg(unix)]
    fs::set_permissions(part.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(refused)?;
    fs::rename(part.keep(), study).map_err(refused)
}

fn label_map(slices: &[Vec<u8>], series: &Series) -> Option<LabelMap> {
    let poses: Option<Vec<SlicePose>> = series.slices.iter().map(|s| s.pose).collect();
    let slices: Vec<&[u8]> = slices.iter().map(Vec::as_slice).collect();
    LabelMap::from_slices(&slices, &poses?, [series.rows, series.columns], series.spacing_mm?)
}

fn rows(
    order: &Order,
    case: &CaseRef,
    spec: &PatientSpec,
    made: &SyntheticPatient,
    series: &Series,
    files: &[usize],
    odd: Oddities,
) -> Rows {
    let truth = &made.truth;
    let boxed = Stream::named(spec.seed, "boxed", 0).chance(order.boxed_fraction);
    let mut rows = Rows {
        case: case.clone(),
        contrast: made.contrast,
        levels: truth.levels.unwrap_or_default(),
        files: files.len(),
        slices: Vec::new(),
        boxes: Vec::new(),
        loose_boxes: Vec::new(),
        fractures: Vec::new(),
        kinds: truth.fractures.iter().map(|f| f.kind.clone()).collect(),
        person: Person::new(spec),
        odd,
        uid: series.study.uid.clone(),
    };
    for (number, index) in (1..).zip(files) {
        let Some(slice) = truth.slices.get(*index) else { continue };
        let z_mm = series.slices.get(*index).and_then(|s| s.z_mm());
        rows.slices.push([
            rows.uid.clone(),
            number.to_string(),
            text(z_mm),
            dens::label_name(slice.label).to_owned(),
            text(slice.mask_mm2),
            slice.level.map_or("", Level::name).to_owned(),
        ]);
        rows.boxes.extend(slice.boxes.iter().map(|b| box_row(&rows.uid, number, *b)));
        if boxed && slice.label == SliceLabel::Positive {
            let loose = loose_box(&slice.boxes, slice.level, made.segmentation.get(*index), series);
            rows.loose_boxes.extend(loose.map(|b| {
                let [uid, number, x, y, width, height] = box_row(&rows.uid, number, b);
                [uid, x, y, width, height, number]
            }));
        }
    }
    let number_of = |index: usize| files.iter().position(|f| *f == index).map(|at| (at + 1).to_string());
    for fracture in &truth.fractures {
        // A missing file is no end.
        let shown: Vec<usize> =
            fracture.slices.map_or(Vec::new(), |[a, b]| (a..=b).filter(|i| files.contains(i)).collect());
        let end = |at: Option<&usize>| at.and_then(|i| number_of(*i)).unwrap_or_default();
        rows.fractures.push([
            rows.uid.clone(),
            fracture.level.name().to_owned(),
            fracture.kind.clone(),
            text(fracture.displacement_mm),
            text(fracture.conspicuity),
            end(shown.first()),
            end(shown.last()),
        ]);
    }
    rows
}

fn text(value: Option<f64>) -> String {
    // Adding nothing turns -0 into 0.
    value.map_or(String::new(), |v| (v + 0.0).to_string())
}

fn box_row(uid: &str, number: usize, [x0, y0, x1, y1]: PixelBox) -> [String; 6] {
    let numbers = [x0, y0, x1 - x0, y1 - y0].map(|v| v.to_string());
    let [x, y, width, height] = numbers;
    [uid.to_owned(), number.to_string(), x, y, width, height]
}

/// As RSNA's readers drew them: around the vertebra, not the fracture line, one per slice.
fn loose_box(tight: &[PixelBox], level: Option<Level>, labels: Option<&Vec<u8>>, series: &Series) -> Option<PixelBox> {
    let [rows_mm, columns_mm] = series.spacing_mm?;
    let vertebra = level.zip(labels).and_then(|(level, labels)| {
        let label = u8::try_from(level.index() + 1).ok()?;
        let mut found: Option<PixelBox> = None;
        for (row, line) in labels.chunks_exact(series.columns).enumerate() {
            let Some(first) = line.iter().position(|l| *l == label) else { continue };
            let last = line.iter().rposition(|l| *l == label).unwrap_or(first);
            found = Some(union(found, [first as f64, row as f64, (last + 1) as f64, (row + 1) as f64]));
        }
        found
    });
    let [x0, y0, x1, y1] = tight.iter().copied().fold(vertebra, |all, one| Some(union(all, one)))?;
    let (x, y) = (LOOSE_MM / columns_mm, LOOSE_MM / rows_mm);
    let (width, height) = (series.columns as f64, series.rows as f64);
    let rounded =
        [(x0 - x).floor().max(0.0), (y0 - y).floor().max(0.0), (x1 + x).ceil().min(width), (y1 + y).ceil().min(height)];
    Some(rounded)
}

fn union(a: Option<PixelBox>, b: PixelBox) -> PixelBox {
    a.map_or(b, |a| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
}

/// A UID under 2.25 (PS3.5 B.2) that follows from what it is for; the number is a UUID of version 8 (RFC 9562).
fn uid(key: &str, purpose: &str) -> String {
    let mut hash = Sha256::new();
    for part in [key, oddities::VERSION, purpose] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let number = hash.finalize().iter().take(16).fold(0u128, |n, byte| n << 8 | u128::from(*byte));
    let number = (number & !(0xF << 76)) | 8 << 76;
    let number = (number & !(0b11 << 62)) | 0b10 << 62;
    format!("2.25.{number}")
}

/// The csv files so far.
#[derive(Default)]
struct Tables {
    train: Vec<Vec<String>>,
    cases: Vec<Vec<String>>,
    slices: Vec<[String; 6]>,
    boxes: Vec<[String; 6]>,
    loose_boxes: Vec<[String; 6]>,
    fractures: Vec<[String; 7]>,
    fractured: usize,
    by_level: [usize; 7],
    by_kind: std::collections::BTreeMap<String, usize>,
    keys: Vec<String>,
    hurt: People,
    unhurt: People,
    odd: OddFiles,
}

impl Tables {
    fn take(&mut self, rows: Rows) {
        let digit = |yes: bool| u8::from(yes).to_string();
        let hurt = rows.case.fractured == Some(true);
        let levels = rows.levels.map(digit);
        let people = if hurt { &mut self.hurt } else { &mut self.unhurt };
        people.count(&rows.person);
        self.odd.count(&rows.odd);
        self.train.push([rows.uid.clone(), digit(hurt)].into_iter().chain(levels).collect());
        let names = Level::ALL.iter().zip(rows.levels).filter(|(_, hurt)| *hurt).map(|(level, _)| level.name());
        self.cases.push(vec![
            rows.uid,
            rows.case.id,
            rows.case.patient,
            rows.case.twin.unwrap_or_default(),
            rows.case.source,
            digit(hurt),
            rows.case.sex.map_or(String::new(), String::from),
            text(rows.case.age_years),
            digit(rows.contrast),
            names.collect::<Vec<_>>().join(" "),
            rows.files.to_string(),
            rows.case.content_key.clone(),
        ]);
        self.keys.push(rows.case.content_key);
        self.slices.extend(rows.slices);
        self.boxes.extend(rows.boxes);
        self.loose_boxes.extend(rows.loose_boxes);
        self.fractures.extend(rows.fractures);
        self.fractured += usize::from(hurt);
        self.by_level.iter_mut().zip(rows.levels).for_each(|(n, hurt)| *n += usize::from(hurt));
        rows.kinds.into_iter().for_each(|kind| *self.by_kind.entry(kind).or_default() += 1);
    }

    fn write(&self, order: &Order, wish: &synthetic::Wish, out: &Path) -> Result<(), DatasetError> {
        let train: Vec<&str> =
            [dens::UID, "patient_overall"].into_iter().chain(Level::ALL.map(Level::name)).take(9).collect();
        let boxes = [dens::UID, "x", "y", "width", "height", "slice_number"];
        write_csv(&out.join("train.csv"), &train, &self.train)?;
        write_csv(&out.join("train_bounding_boxes.csv"), &boxes, &self.loose_boxes)?;
        write_csv(&out.join(dens::CASES), &dens::CASE_COLUMNS, &self.cases)?;
        write_csv(&out.join(dens::SLICES), &dens::SLICE_COLUMNS, &self.slices)?;
        write_csv(&out.join(dens::BOXES), &dens::BOX_COLUMNS, &self.boxes)?;
        write_csv(&out.join(dens::FRACTURES), &dens::FRACTURE_COLUMNS, &self.fractures)?;
        let population = toml::to_string(&self.population(order, wish))
            .map_err(|e| DatasetError::Refused(format!("population.toml could not be made ({e})")))?;
        persist(&out.join("population.toml"), population.as_bytes())
    }

    fn population(&self, order: &Order, wish: &synthetic::Wish) -> Population {
        let template = &wish.template;
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        let levels = Level::ALL.iter().zip(self.by_level).map(|(level, n)| (level.name().to_owned(), n));
        Population {
            note: format!(
                "{}. Synthetic patients made by {}. {}",
                dicom::SYNTHETIC_COMMENT,
                crate::SOFTWARE,
                crate::RESEARCH_LINE
            ),
            generator_version: phantom::GENERATOR_VERSION.to_owned(),
            files_version: oddities::VERSION.to_owned(),
            content_hash: super::digest(&keys),
            order: OrderWritten {
                patients: order.patients.clone(),
                difficulty: template.difficulty,
                domain: template.domain,
                matrix: template.matrix,
                twins: wish.twins,
                match_age: template.match_age,
                boxed_fraction: order.boxed_fraction,
            },
            written: Counts {
                studies: self.cases.len(),
                fractured: self.fractured,
                files: self.slices.len(),
                positive_slices: self.labelled(SliceLabel::Positive),
                ignored_slices: self.labelled(SliceLabel::Ignore),
                fractures: self.fractures.len(),
            },
            fractured_by_level: levels.collect(),
            fractures_by_kind: self.by_kind.clone(),
            label_dependent: LABEL_DEPENDENT.iter().skip(usize::from(template.match_age)).copied().collect(),
            fractured: self.hurt.clone(),
            unhurt: self.unhurt.clone(),
            odd_files: self.odd.clone(),
        }
    }

    fn labelled(&self, label: SliceLabel) -> usize {
        self.slices.iter().filter(|row| row[3] == dens::label_name(label)).count()
    }
}

/// `population.toml`.
#[derive(serde::Serialize)]
struct Population {
    note: String,
    generator_version: String,
    files_version: String,
    /// Over the content keys of all studies.
    content_hash: String,
    /// What is drawn differently for the hurt and the unhurt beside the fracture itself.
    label_dependent: Vec<&'static str>,
    order: OrderWritten,
    written: Counts,
    fractured_by_level: std::collections::BTreeMap<String, usize>,
    fractures_by_kind: std::collections::BTreeMap<String, usize>,
    fractured: People,
    unhurt: People,
    odd_files: OddFiles,
}

/// The generator's documented dependences (method 6.5); age first, which an order can switch off.
const LABEL_DEPENDENT: [&str; 2] = [
    "age: hurt N(59, 23), unhurt N(50, 22), 18 to 100 years",
    "accompanying signs (prevertebral swelling, haematoma, malalignment, facet widening): more often in the hurt",
];

/// How many of the studies written have what, hurt and unhurt apart: what the label could be guessed from.
#[derive(Debug, Clone, Default, serde::Serialize)]
struct People {
    studies: usize,
    mean_age_years: f64,
    men: usize,
    contrast: usize,
    arms_down: usize,
    collar: usize,
    dental_fillings: usize,
    prevertebral_swelling: usize,
    haematoma: usize,
}

impl People {
    fn count(&mut self, person: &Person) {
        let before = self.studies as f64;
        self.studies += 1;
        self.mean_age_years = (self.mean_age_years * before + person.age_years) / self.studies as f64;
        let there = [
            (&mut self.men, person.sex == Sex::Male),
            (&mut self.contrast, person.contrast),
            (&mut self.arms_down, person.arms_down),
            (&mut self.collar, person.collar),
            (&mut self.dental_fillings, person.fillings),
            (&mut self.prevertebral_swelling, person.prevertebral.is_some()),
            (&mut self.haematoma, person.haematoma.is_some()),
        ];
        there.into_iter().for_each(|(count, there)| *count += usize::from(there));
    }
}

/// How many of the studies written have which oddity.
#[derive(Debug, Clone, Default, serde::Serialize)]
struct OddFiles {
    numbered_from_the_feet: usize,
    oblique: usize,
    slice_missing: usize,
    slice_twice: usize,
    padded: usize,
    signed: usize,
    by_intercept: std::collections::BTreeMap<String, usize>,
}

impl OddFiles {
    fn count(&mut self, odd: &Oddities) {
        let there = [
            (&mut self.numbered_from_the_feet, odd.feet_first),
            (&mut self.oblique, odd.turn_deg != 0.0),
            (&mut self.slice_missing, odd.missing.is_some()),
            (&mut self.slice_twice, odd.twice.is_some()),
            (&mut self.padded, odd.storage.padding.is_some()),
            (&mut self.signed, odd.storage.signed),
        ];
        there.into_iter().for_each(|(count, there)| *count += usize::from(there));
        *self.by_intercept.entry(odd.storage.intercept.to_string()).or_default() += 1;
    }
}

#[derive(serde::Serialize)]
struct OrderWritten {
    patients: String,
    difficulty: Difficulty,
    domain: phantom::Domain,
    matrix: usize,
    twins: bool,
    match_age: bool,
    boxed_fraction: f64,
}

#[derive(serde::Serialize)]
struct Counts {
    studies: usize,
    fractured: usize,
    files: usize,
    positive_slices: usize,
    ignored_slices: usize,
    fractures: usize,
}

/// A csv file, whole or not at all.
pub(super) fn write_csv<R: AsRef<[S]>, S: AsRef<[u8]>>(
    path: &Path,
    header: &[&str],
    rows: &[R],
) -> Result<(), DatasetError> {
    let made = || -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(header)?;
        for row in rows {
            writer.write_record(row.as_ref())?;
        }
        writer.into_inner().map_err(|e| e.into_error().into())
    };
    let bytes = made().map_err(|e| DatasetError::Refused(format!("{} could not be made ({e})", path.display())))?;
    persist(path, &bytes)
}

fn unwritten(path: &Path, error: &std::io::Error) -> DatasetError {
    DatasetError::Refused(format!(
        "{} could not be written ({error}); check that the disk has room. Studies written so far are complete",
        path.display()
    ))
}

/// Whole or not at all; without a sync, since a data set is many small files and the same command makes them again.
fn persist(path: &Path, bytes: &[u8]) -> Result<(), DatasetError> {
    files::write(path, bytes, files::Synced::Nothing).map_err(|error| unwritten(path, &error))
}
