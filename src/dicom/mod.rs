//! Files to a catalog of series, checks, decoding and volumes. The only place that knows dicom-rs.
//!
//! `archive` lists what a zip archive holds, `source` reads bytes, `elements` walks them without recursion and checks every length, `dataset` finds and reads
//! attributes, `attributes` lists them all, `picture` and `header` judge them, `voi_lut` reads tables, `group` and `phases` make series, `decode` makes slices. Of dicom-rs the character
//! sets and the picture decoders are used; its parser recurses without a limit and never sees a file.

mod archive;
mod attributes;
mod cipher;
mod codestream;
mod dataset;
mod decode;
mod digest;
mod elements;
#[cfg(test)]
pub(crate) mod fixtures;
mod fragments;
mod group;
mod header;
mod jpeg_ls;
mod load;
mod multiframe;
mod phases;
mod picture;
mod rle;
mod scan;
mod source;
mod syntax;
mod text;
mod voi_lut;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::jobs::{Cancelled, JobCtx, MaybeCancelled};
use crate::study::attributes::Attributes;
use crate::study::password::{Password, Passwords};
use crate::study::{Catalog, Kind, LoadedSeries, Packed, Refused, Series};
use crate::volume::Slice;

pub use digest::volume_sha256;
pub use multiframe::{
    MultiFrame, ObjectFacts, Segmentation, SegmentationFrame, load_multiframe, load_segmentation, object_facts,
};
pub use write::{SYNTHETIC_COMMENT, Storage, WriteError, Written, synthetic_ct};

/// What is wrong with one file, as the second half of a sentence that begins with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    kind: Kind,
    text: String,
}

impl Problem {
    fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
    fn refused(self, file: String) -> Refused {
        let Self { kind, text } = self;
        let text = if file.is_empty() { format!("{text}.") } else { format!("{file}: {text}.") };
        Refused { file, kind, text }
    }
}

/// Why nothing at all could be opened. Trouble with single files is in [`Catalog::refused`] instead.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} could not be read: {source}. Check that it exists and that you may read it.")]
    Unreadable { path: String, source: std::io::Error },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
impl MaybeCancelled for OpenError {
    fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

/// Why a series of the catalog gave no volume.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("no slice of this series could be decoded; the first reason was: {}", .0.first().map_or("unknown", |r| r.text.as_str()))]
    NothingDecoded(Vec<Refused>),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
impl MaybeCancelled for LoadError {
    fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

/// Walks a folder or a zip archive (or takes one file), reads headers in parallel, groups and orders. Pixels are not
/// decoded, but for lone compressed pictures, of which only those that can be shown are listed. Progress counts files. A
/// DICOMDIR is opened as the folder that it indexes; in a folder or an archive, files that are no DICOM are
/// told in [`Catalog::refused`] when their name suggests DICOM, else counted in [`Catalog::ignored`].
///
/// An archive is not unpacked: headers need the beginning of each entry, and slices are decoded from the entry. One that
/// is damaged or beyond the limits is in [`Catalog::refused`], as a damaged file is.
///
/// # Errors
/// When the path itself cannot be read, or on cancellation.
pub fn scan(path: &Path, ctx: &JobCtx) -> Result<Catalog, OpenError> {
    scan_all(&[path.to_owned()], &Passwords::default(), ctx)
}

/// As [`scan`], with several folders, archives and files as one catalog. Names then begin with that of the folder or
/// archive; one that cannot be read is in [`Catalog::refused`]. Encrypted archives are opened with `passwords`, and those
/// that ask for one are in [`Catalog::locked`].
///
/// # Errors
/// When the only path cannot be read, or on cancellation.
pub fn scan_all(paths: &[PathBuf], passwords: &Passwords, ctx: &JobCtx) -> Result<Catalog, OpenError> {
    scan::scan(paths, passwords, ctx)
}

/// Does the password open the archive? Some of its encrypted files are read whole to know.
///
/// # Errors
/// On cancellation. One that cannot be read is opened by no password.
pub fn password_opens(archive: &Path, password: &Password, ctx: &JobCtx) -> Result<bool, Cancelled> {
    match archive::opens(archive, password, ctx) {
        Ok(opens) => Ok(opens),
        Err(archive::Stop::Cancelled(cancelled)) => Err(cancelled),
        Err(archive::Stop::Problem(_)) => Ok(false),
    }
}

/// A series read completely. Slices that could not be decoded are gone from it and stand in `refused`;
/// a warning of kind `slices-excluded` says so.
#[derive(Debug)]
pub struct Loaded {
    pub loaded: LoadedSeries,
    pub refused: Vec<Refused>,
}

/// Decodes all slices on pool threads, those nearest `first` (0-based, display order) first, and calls `on_slice`
/// with each as it is done, on any thread; but for the first, plain ones that share memory when all of them are done.
/// Indices are those of `series`. Progress counts slices.
///
/// # Errors
/// When no slice at all could be decoded, or on cancellation.
pub fn load_series(
    series: &Arc<Series>,
    first: usize,
    ctx: &JobCtx,
    on_slice: &(dyn Fn(usize, Arc<Slice>) + Sync),
) -> Result<Loaded, LoadError> {
    load::load_series(series, first, ctx, on_slice)
}

/// Decodes one slice of a series (0-based, display order), for thumbnails and `dens render`.
///
/// # Errors
/// When the file is damaged, has changed since the scan, or holds what is not decoded.
pub fn decode_slice(series: &Series, index: usize) -> Result<Slice, Refused> {
    load::decode_slice(series, index)
}

/// What the header of one file says of its picture, for an index of many.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileFacts {
    /// z of the first pixel, LPS.
    pub z_mm: Option<f64>,
    /// Between rows, between columns.
    pub spacing_mm: Option<[f64; 2]>,
    pub thickness_mm: Option<f64>,
    pub rows: usize,
    pub columns: usize,
    pub slope: Option<f64>,
    pub intercept: Option<f64>,
    pub transfer_syntax_uid: String,
    pub kernel: String,
}

/// Reads the header of one file and checks that its picture is all there; pixels are not decoded.
///
/// # Errors
/// What stands against reading the picture.
pub fn file_facts(path: &Path) -> Result<FileFacts, Refused> {
    load::file_facts(path)
}

/// Lists the attributes of a file, or of the entry at `packed` of the archive that it is. `name` is what errors call it.
/// Long values and long lists are cut and say so; a file that is damaged further on gives what precedes the damage.
///
/// # Errors
/// When it cannot be read or is no DICOM.
pub fn attributes(path: &Path, packed: Option<&Packed>, name: &str) -> Result<Attributes, Refused> {
    let read = || attributes::list(source::Source::open(path, packed)?);
    std::panic::catch_unwind(read)
        .unwrap_or_else(|panic| {
            let text = format!("reading it failed unexpectedly ({})", crate::jobs::panic_text(panic.as_ref()));
            Err(Problem::new(Kind::Corrupt, text))
        })
        .map_err(|problem| problem.refused(name.to_owned()))
}
