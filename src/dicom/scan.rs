//! Finds the pictures under a path or in a zip archive and reads their headers, on all pool threads.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::group::{self, Found};
use super::picture::MODALITY;
use super::source::Source;
use super::{OpenError, Problem, archive, dataset, header, load, multiframe, text};
use crate::jobs::{Cancelled, JobCtx, panic_text};
use crate::study::password::{Password, Passwords};
use crate::study::{Catalog, Kind, LockedArchive, Packed, Refused, Series};

/// What one file turned out to be.
enum Outcome {
    /// One, or the frames of an object.
    Pictures(Vec<Found>),
    /// DICOMDIR.
    Directory,
    /// Files in a folder or an archive that do not even look like DICOM.
    Ignored,
    Refused(Refused),
}

/// A file to look into.
struct Item {
    /// The file, or the archive that holds it.
    path: PathBuf,
    /// What people see.
    file: String,
    /// Where in the archive, or why it is not looked into.
    place: Result<Option<Packed>, Problem>,
    /// Was named by the user, so that it is told whatever it is.
    asked_for: bool,
}

/// See [`super::scan_all`].
pub(super) fn scan(paths: &[PathBuf], passwords: &Passwords, ctx: &JobCtx) -> Result<Catalog, OpenError> {
    let several = paths.len() > 1;
    let (mut folders, mut archives, mut files, mut refused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        match kind_of(path) {
            Ok(Root::Folder) => folders.push(path.clone()),
            Ok(Root::Archive) => archives.push(path.clone()),
            Ok(Root::File) => {
                let (path, file) = (path.clone(), name_of(path));
                files.push(Item { path, file, place: Ok(None), asked_for: !several });
            }
            // One of several that cannot be read does not keep the others closed.
            Err(error) if several => refused.push(
                Problem::new(Kind::Unreadable, format!("it could not be read ({error}); check that you may read it"))
                    .refused(name_of(path)),
            ),
            Err(source) => {
                return Err(OpenError::Unreadable { path: text::clean(&path.display().to_string()), source });
            }
        }
    }
    let named: Vec<PathBuf> = files.iter().map(|item| item.path.clone()).collect();
    let opened = in_parallel(files, ctx)?;
    let mut outcomes = Vec::with_capacity(opened.len());
    for (path, outcome) in named.into_iter().zip(opened) {
        match outcome {
            // A DICOMDIR is opened as what it is an index of.
            Outcome::Directory => folders.push(folder_of(&path)),
            outcome => outcomes.push((path, outcome)),
        }
    }
    // What lies in a folder that is opened anyway is found there.
    let mut outcomes: Vec<Outcome> = outcomes
        .into_iter()
        .filter(|(path, _)| !folders.iter().any(|folder| path.starts_with(folder)))
        .map(|(_, outcome)| outcome)
        .collect();
    let mut items = Vec::new();
    for folder in outermost(folders) {
        let prefix = if several { format!("{}/", name_of(&folder)) } else { String::new() };
        let (files, unread) = walk(&folder, &prefix, ctx)?;
        items.extend(files);
        refused.extend(unread);
    }
    let mut counted = vec![(None, items.len())];
    for path in archives {
        let (files, doubts) = listed(&path, passwords.of(&path), ctx)?;
        counted.push((Some(path), files.len()));
        items.extend(files);
        refused.extend(doubts);
    }
    let encrypted: Vec<bool> = items.iter().map(is_encrypted).collect();
    let found = in_parallel(items, ctx)?;
    let mut locked = Vec::new();
    let mut left = found.iter().zip(encrypted);
    for (archive, count) in counted {
        let of_one: Vec<(&Outcome, bool)> = left.by_ref().take(count).collect();
        locked.extend(archive.and_then(|path| still_locked(path, passwords, &of_one)));
    }
    outcomes.extend(found);
    Ok(Catalog { locked, ..catalog(outcomes, refused, ctx)? })
}

fn is_encrypted(item: &Item) -> bool {
    match &item.place {
        Ok(packed) => packed.as_ref().is_some_and(|packed| packed.lock.is_some()),
        Err(problem) => problem.kind == Kind::Encrypted,
    }
}

/// An archive whose encrypted files, told by the second value, could not be opened: for want of a password or because it
/// is wrong.
fn still_locked(path: PathBuf, passwords: &Passwords, found: &[(&Outcome, bool)]) -> Option<LockedArchive> {
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::Refused(refused) if refused.kind == Kind::Encrypted);
    let files = found.iter().filter(|(outcome, _)| refused(outcome)).count();
    let all = found.iter().filter(|(_, encrypted)| *encrypted).count();
    let name = name_of(&path);
    // A wrong password passes for one of 256 files of the older kind.
    (2 * files > all).then(|| LockedArchive { name, files, tried: passwords.of(&path).is_some(), path })
}

enum Root {
    Folder,
    Archive,
    File,
}

fn kind_of(path: &Path) -> std::io::Result<Root> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        std::fs::read_dir(path)?;
        return Ok(Root::Folder);
    }
    if !metadata.is_file() {
        let kind = std::io::ErrorKind::InvalidInput;
        return Err(std::io::Error::new(kind, "it is neither a file nor a folder"));
    }
    Ok(if archive::is_archive(path) { Root::Archive } else { Root::File })
}

fn name_of(path: &Path) -> String {
    text::clean(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Folders that lie in none of the others.
fn outermost(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort();
    folders.dedup_by(|inner, outer| inner.starts_with(outer));
    folders
}

/// The files of an archive, as if they lay in a folder of its name, and what is wrong with the whole.
fn listed(path: &Path, password: Option<&Password>, ctx: &JobCtx) -> Result<(Vec<Item>, Option<Refused>), Cancelled> {
    let name = name_of(path);
    let (entries, doubt) = match archive::entries(path, password, ctx) {
        Ok(listed) => listed,
        Err(archive::Stop::Cancelled(cancelled)) => return Err(cancelled),
        Err(archive::Stop::Problem(problem)) => return Ok((Vec::new(), Some(problem.refused(name)))),
    };
    let item = |entry: archive::Entry| Item {
        path: path.to_owned(),
        file: format!("{name}/{}", entry.name),
        place: entry.place.map(Some),
        asked_for: false,
    };
    Ok((entries.into_iter().map(item).collect(), doubt.map(|problem| problem.refused(name.clone()))))
}

/// Looks into files on all pool threads, until it is cancelled.
fn in_parallel(items: Vec<Item>, ctx: &JobCtx) -> Result<Vec<Outcome>, Cancelled> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let (done, total) = (AtomicUsize::new(0), items.len());
    ctx.progress(0, total);
    let one = |item: Item| -> Result<Outcome, Cancelled> {
        ctx.check()?;
        let outcome = look_into(item);
        ctx.progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
        Ok(outcome)
    };
    items.into_par_iter().map(one).collect()
}

fn look_into(item: Item) -> Outcome {
    let expected = item.asked_for || may_be_dicom(Path::new(&item.file));
    let packed = match item.place {
        Ok(packed) => packed,
        Err(problem) => {
            // What stands against a file that nobody would take for a picture is not worth telling.
            let told = expected || matches!(problem.kind, Kind::Encrypted | Kind::NestedArchive);
            return if told { Outcome::Refused(problem.refused(item.file)) } else { Outcome::Ignored };
        }
    };
    if packed.is_none() && archive::is_zip_name(&item.path) && archive::is_archive(&item.path) {
        let text = "it is a zip archive in a folder and was not entered; open it by itself";
        return Outcome::Refused(Problem::new(Kind::NestedArchive, text).refused(item.file));
    }
    match open(&item.path, packed.as_ref(), item.file) {
        Outcome::Refused(refused) if refused.kind == Kind::NotDicom && !expected => Outcome::Ignored,
        outcome => outcome,
    }
}

/// All regular files under a folder, and what could not be looked into. Links are followed, loops are not.
fn walk(root: &Path, prefix: &str, ctx: &JobCtx) -> Result<(Vec<Item>, Vec<Refused>), Cancelled> {
    let (mut files, mut refused) = (Vec::new(), Vec::new());
    for entry in walkdir::WalkDir::new(root).follow_links(true).sort_by_file_name() {
        ctx.check()?;
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                let file = format!("{prefix}{}", relative(entry.path(), root));
                files.push(Item { path: entry.into_path(), file, place: Ok(None), asked_for: false });
            }
            Ok(_) => {}
            // A link back to a folder above: everything there is found anyway.
            Err(error) if error.loop_ancestor().is_some() => {}
            Err(error) => {
                let file = format!("{prefix}{}", error.path().map(|p| relative(p, root)).unwrap_or_default());
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

fn open(path: &Path, packed: Option<&Packed>, file: String) -> Outcome {
    let read = || -> Result<Option<Vec<Found>>, Problem> {
        let source = Source::open(path, packed)?;
        let bytes = source.len();
        let (data, mut source) = dataset::read(source, header::is_wanted)?;
        if data.is_directory {
            return Ok(None);
        }
        match header::read(&data, &mut source) {
            Ok((header, picture)) => {
                let (path, packed, file, header) = (path.to_owned(), packed.cloned(), file.clone(), Box::new(header));
                Ok(Some(vec![Found { path, packed, frame: None, file, bytes, header, picture }]))
            }
            Err(problem) if problem.kind == Kind::UnsupportedSopClass && data.plain(MODALITY) == "CT" => {
                let frames = multiframe::frames(path, packed, &file);
                frames.map(|frames| Some(frames.found)).map_err(|own| match own.kind {
                    // What this program does not do with such objects, not what is wrong with them.
                    Kind::UnsupportedTransferSyntax | Kind::BadGeometry => {
                        Problem::new(Kind::UnsupportedSopClass, format!("it is a multi-frame object, and {}", own.text))
                    }
                    _ => own,
                })
            }
            Err(problem) => Err(problem),
        }
    };
    let result = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        Err(Problem::new(Kind::Corrupt, format!("reading it failed unexpectedly ({})", panic_text(panic.as_ref()))))
    });
    match result {
        Ok(Some(found)) => Outcome::Pictures(found),
        Ok(None) => Outcome::Directory,
        Err(problem) => Outcome::Refused(problem.refused(file)),
    }
}

fn catalog(outcomes: Vec<Outcome>, mut refused: Vec<Refused>, ctx: &JobCtx) -> Result<Catalog, Cancelled> {
    let (mut found, mut ignored) = (Vec::new(), 0);
    for outcome in outcomes {
        match outcome {
            Outcome::Pictures(pictures) => found.extend(pictures),
            Outcome::Directory | Outcome::Ignored => ignored += 1,
            Outcome::Refused(one) => refused.push(one),
        }
    }
    let compressed: HashSet<(PathBuf, Option<Packed>)> =
        found.iter().filter(|f| f.picture.is_compressed()).map(|f| (f.path.clone(), f.packed.clone())).collect();
    let (series, copies) = group::series(found);
    let mut kept = Vec::with_capacity(series.len());
    // A lone compressed picture that cannot be decoded would be a series of nothing, so it is tried here; in a stack it
    // is one slice less, which loading tells.
    let tried: Result<Vec<(Series, Option<Refused>)>, Cancelled> = series
        .into_par_iter()
        .map(|series| {
            ctx.check()?;
            let lone =
                matches!(series.slices.as_slice(), [only] if compressed.contains(&(only.path.clone(), only.packed.clone())));
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
    Ok(Catalog { series: kept, refused, ignored: ignored + copies, locked: Vec::new() })
}
