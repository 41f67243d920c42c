//! Finds the pictures under a path and reads their headers, on all pool threads.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::group::{self, Found};
use super::source::Source;
use super::{OpenError, Problem, dataset, header, load, text};
use crate::jobs::{Cancelled, JobCtx, panic_text};
use crate::study::{Catalog, Kind, Refused, Series};

/// What one file turned out to be.
enum Outcome {
    Picture(Box<Found>),
    /// DICOMDIR, and in a folder files that do not even look like DICOM.
    Ignored,
    Refused(Refused),
}

/// See [`super::scan`].
pub(super) fn scan(path: &Path, ctx: &JobCtx) -> Result<Catalog, OpenError> {
    let unreadable = |source| OpenError::Unreadable { path: text::clean(&path.display().to_string()), source };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        std::fs::read_dir(path).map_err(unreadable)?;
        return scan_folder(path, ctx);
    }
    if !metadata.is_file() {
        let kind = std::io::ErrorKind::InvalidInput;
        return Err(unreadable(std::io::Error::new(kind, "it is neither a file nor a folder")));
    }
    scan_file(path, ctx)
}

fn scan_file(path: &Path, ctx: &JobCtx) -> Result<Catalog, OpenError> {
    let name = text::clean(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
    let outcome = open(path, name);
    if matches!(outcome, Outcome::Ignored) {
        // A DICOMDIR is opened as what it is an index of.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return scan_folder(folder, ctx);
    }
    ctx.progress(1, 1);
    Ok(catalog(vec![outcome], Vec::new(), ctx)?)
}

fn scan_folder(root: &Path, ctx: &JobCtx) -> Result<Catalog, OpenError> {
    let (files, refused) = walk(root, ctx)?;
    let (done, total) = (AtomicUsize::new(0), files.len());
    ctx.progress(0, total);
    let outcomes: Result<Vec<Outcome>, Cancelled> = files
        .into_par_iter()
        .map(|(path, file)| {
            ctx.check()?;
            let outcome = match open(&path, file) {
                Outcome::Refused(refused) if refused.kind == Kind::NotDicom && !may_be_dicom(&path) => Outcome::Ignored,
                outcome => outcome,
            };
            ctx.progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            Ok(outcome)
        })
        .collect();
    Ok(catalog(outcomes?, refused, ctx)?)
}

/// A file and its name relative to what was opened.
type Named = (PathBuf, String);

/// All regular files under a folder, and what could not be looked into. Links are followed, loops are not.
fn walk(root: &Path, ctx: &JobCtx) -> Result<(Vec<Named>, Vec<Refused>), Cancelled> {
    let (mut files, mut refused) = (Vec::new(), Vec::new());
    for entry in walkdir::WalkDir::new(root).follow_links(true).sort_by_file_name() {
        ctx.check()?;
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                let file = relative(entry.path(), root);
                files.push((entry.into_path(), file));
            }
            Ok(_) => {}
            // A link back to a folder above: everything there is found anyway.
            Err(error) if error.loop_ancestor().is_some() => {}
            Err(error) => {
                let file = error.path().map(|p| relative(p, root)).unwrap_or_default();
                // A link to nothing hides nothing.
                if error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
                    continue;
                }
                let why = error.io_error().map(ToString::to_string).unwrap_or_default();
                refused.push(
                    Problem::new(Kind::Unreadable, format!("it could not be read ({why}); check that you may read it"))
                        .refused(file),
                );
            }
        }
    }
    Ok((files, refused))
}

fn relative(path: &Path, root: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    let parts: Vec<String> = parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    text::clean(&parts.join("/"))
}

/// By its name a file could have been meant as DICOM, so that not being DICOM is worth telling.
fn may_be_dicom(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    !hidden
        && match extension.as_deref() {
            None => true,
            Some("dcm" | "dicom" | "dic" | "ima" | "img" | "acr") => true,
            // Parts of a UID or a number, as in IM.0001.
            Some(extension) => extension.bytes().all(|b| b.is_ascii_digit()),
        }
}

fn open(path: &Path, file: String) -> Outcome {
    let read = || -> Result<Option<Found>, Problem> {
        let source = Source::open(path)?;
        let bytes = source.len();
        let (data, mut source) = dataset::read(source, header::is_wanted)?;
        if data.is_directory {
            return Ok(None);
        }
        let (header, picture) = header::read(&data, &mut source)?;
        Ok(Some(Found { path: path.to_owned(), file: file.clone(), bytes, header, picture }))
    };
    let result = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        Err(Problem::new(Kind::Corrupt, format!("reading it failed unexpectedly ({})", panic_text(panic.as_ref()))))
    });
    match result {
        Ok(Some(found)) => Outcome::Picture(Box::new(found)),
        Ok(None) => Outcome::Ignored,
        Err(problem) => Outcome::Refused(problem.refused(file)),
    }
}

fn catalog(outcomes: Vec<Outcome>, mut refused: Vec<Refused>, ctx: &JobCtx) -> Result<Catalog, Cancelled> {
    let (mut found, mut ignored) = (Vec::new(), 0);
    for outcome in outcomes {
        match outcome {
            Outcome::Picture(picture) => found.push(*picture),
            Outcome::Ignored => ignored += 1,
            Outcome::Refused(one) => refused.push(one),
        }
    }
    let compressed: HashSet<PathBuf> =
        found.iter().filter(|f| f.picture.is_compressed()).map(|f| f.path.clone()).collect();
    let (series, copies) = group::series(found);
    let mut kept = Vec::with_capacity(series.len());
    // A lone compressed picture that cannot be decoded would be a series of nothing, so it is tried here; in a stack it
    // is one slice less, which loading tells.
    let tried: Result<Vec<(Series, Option<Refused>)>, Cancelled> = series
        .into_par_iter()
        .map(|series| {
            ctx.check()?;
            let lone = matches!(series.slices.as_slice(), [only] if compressed.contains(&only.path));
            let problem = if lone { load::decode_slice(&series, 0).err() } else { None };
            Ok((series, problem))
        })
        .collect();
    for (series, problem) in tried? {
        match problem {
            None => kept.push(series),
            Some(problem) => refused.push(problem),
        }
    }
    refused.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(Catalog { series: kept, refused, ignored: ignored + copies })
}
