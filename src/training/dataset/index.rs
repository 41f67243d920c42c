//! What the headers of a data set in RSNA 2022's layout say, read once and kept beside it as `dens_index.csv`.
//!
//! Reading a few hundred thousand headers takes minutes, and an unreadable file should be known before a training of
//! hours, not in the middle of it. A study is read again when its number of files has changed. Where the folder cannot be
//! written, the index is made anew each time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::dicom::{self, FileFacts};
use crate::jobs::{Cancelled, JobCtx};

use super::dens::UID;
use super::table::{Row, Table};
use super::{DatasetError, write};

pub(super) const FILE: &str = "dens_index.csv";
const COLUMNS: [&str; 13] = [
    UID,
    "slice",
    "z_mm",
    "row_spacing_mm",
    "column_spacing_mm",
    "thickness_mm",
    "rows",
    "columns",
    "intercept",
    "slope",
    "transfer_syntax",
    "kernel",
    "problem",
];

/// One file.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    /// Name of the file without its ending.
    slice: String,
    z_mm: Option<f64>,
    problem: String,
    /// All columns but the UID.
    texts: Vec<String>,
}

/// What matters of one study before it is loaded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Indexed {
    pub files: usize,
    /// How many files cannot be read, and why the first cannot.
    pub unreadable: Option<(usize, String)>,
    /// Numbers of the files run from foot to head.
    pub from_the_feet: bool,
}

/// The index of these studies; progress counts studies.
pub(super) fn read_or_make(
    root: &Path,
    studies: &BTreeMap<String, PathBuf>,
    ctx: &JobCtx,
) -> Result<BTreeMap<String, Indexed>, DatasetError> {
    let mut known = read(&root.join(FILE));
    known.retain(|uid, _| studies.contains_key(uid));
    let names: BTreeMap<&String, Vec<PathBuf>> = studies.iter().map(|(uid, path)| (uid, files(path))).collect();
    let fresh: Vec<(&String, &Vec<PathBuf>)> = names
        .iter()
        .filter(|(uid, files)| known.get(**uid).is_none_or(|known| known.len() != files.len()))
        .map(|(uid, files)| (*uid, files))
        .collect();
    if !fresh.is_empty() {
        let (done, total) = (AtomicUsize::new(0), fresh.len());
        ctx.progress(0, total);
        let study = |(uid, files): (&String, &Vec<PathBuf>)| -> Result<(String, Vec<Entry>), Cancelled> {
            ctx.check()?;
            let entries = files.iter().map(|path| entry(path)).collect();
            ctx.progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            Ok((uid.clone(), entries))
        };
        let made: Vec<(String, Vec<Entry>)> = fresh.into_par_iter().map(study).collect::<Result<_, _>>()?;
        known.extend(made);
        if let Err(error) = save(&root.join(FILE), &known) {
            log::warn!("the index of headers could not be kept and will be made again: {error}");
        }
    }
    Ok(known.into_iter().map(|(uid, entries)| (uid, summary(&entries))).collect())
}

/// The DICOM files of a study, in the order of their numbers.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    let number = |path: &PathBuf| path.file_stem().and_then(|s| s.to_str()?.parse::<u64>().ok());
    files.sort_by_key(|path| (number(path), path.clone()));
    files
}

fn entry(path: &Path) -> Entry {
    let slice = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (facts, problem) = match dicom::file_facts(path) {
        Ok(facts) => (facts, String::new()),
        Err(refused) => (FileFacts::default(), refused.text),
    };
    let text = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
    let [row_mm, column_mm] = facts.spacing_mm.map_or([None, None], |s| s.map(Some));
    let texts = vec![
        slice.clone(),
        text(facts.z_mm),
        text(row_mm),
        text(column_mm),
        text(facts.thickness_mm),
        facts.rows.to_string(),
        facts.columns.to_string(),
        text(facts.intercept),
        text(facts.slope),
        facts.transfer_syntax_uid,
        facts.kernel,
        problem.clone(),
    ];
    Entry { slice, z_mm: facts.z_mm, problem, texts }
}

/// Nothing where there is no index or it cannot be read: it is made again.
fn read(path: &Path) -> BTreeMap<String, Vec<Entry>> {
    let mut known: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    let Some(table) = path.is_file().then(|| Table::read(path, &COLUMNS).ok()).flatten() else { return known };
    for row in table.rows() {
        let text = |column: &&str| Row::text(&row, column).to_owned();
        known.entry(row.text(UID).to_owned()).or_default().push(Entry {
            slice: row.text("slice").to_owned(),
            z_mm: row.number_or_none("z_mm").unwrap_or(None),
            problem: row.text("problem").to_owned(),
            texts: COLUMNS.iter().skip(1).map(text).collect(),
        });
    }
    known
}

fn save(path: &Path, known: &BTreeMap<String, Vec<Entry>>) -> Result<(), DatasetError> {
    let line = |uid: &String, entry: &Entry| -> Vec<String> {
        std::iter::once(uid.clone()).chain(entry.texts.iter().cloned()).collect()
    };
    let rows: Vec<Vec<String>> =
        known.iter().flat_map(|(uid, entries)| entries.iter().map(move |entry| line(uid, entry))).collect();
    write::write_csv(path, &COLUMNS, &rows)
}

fn summary(entries: &[Entry]) -> Indexed {
    let bad: Vec<&Entry> = entries.iter().filter(|e| !e.problem.is_empty()).collect();
    let z_of = |entry: Option<&Entry>| entry.and_then(|e| e.z_mm);
    let from_the_feet = matches!((z_of(entries.first()), z_of(entries.last())), (Some(a), Some(b)) if a < b);
    Indexed {
        files: entries.len(),
        unreadable: bad.first().map(|first| (bad.len(), first.problem.clone())),
        from_the_feet,
    }
}
