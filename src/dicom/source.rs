//! The bytes of one file, read where they are needed and never by an unchecked length.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Problem;
use super::elements::Segments;
use crate::study::Kind;

/// What a deflated data set may inflate to at most.
const INFLATED_MAX: usize = 256 << 20;
/// Up to this size several data sets may be inflated at once, beyond it only one, so that a folder of bombs
/// holds the memory of one.
const INFLATED_SHARED: usize = 16 << 20;
/// The first read of a file; enough for nearly every header.
const HEAD: usize = 16 << 10;

static ONE_LARGE_INFLATION: Mutex<()> = Mutex::new(());

enum Bytes {
    File { file: File, len: usize },
    Memory { bytes: Vec<u8>, _one_at_a_time: Option<MutexGuard<'static, ()>> },
}

/// Random access to a file or to what a deflated one inflated to.
pub(super) struct Source(Bytes);

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        let unreadable = |e: std::io::Error| {
            Problem::new(Kind::Unreadable, format!("it could not be read ({e}); check that you may read it"))
        };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Problem::new(Kind::Unreadable, "it is no regular file; give a file or a folder"));
        }
        let len = usize::try_from(metadata.len())
            .map_err(|_| Problem::new(Kind::Unreadable, "it is too large for this machine"))?;
        Ok(Self(Bytes::File { file, len }))
    }

    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Bytes::File { len, .. } => *len,
            Bytes::Memory { bytes, .. } => bytes.len(),
        }
    }

    /// Fills `into` from `offset`. The caller has checked the range; a file that shrank meanwhile is `truncated`.
    pub(super) fn read_at(&mut self, offset: usize, into: &mut [u8]) -> Result<(), Problem> {
        let failed = |what: String| Problem::new(Kind::Truncated, what);
        match &mut self.0 {
            Bytes::File { file, .. } => {
                let wanted = into.len();
                file.seek(SeekFrom::Start(offset as u64)).and_then(|_| file.read_exact(into)).map_err(|e| {
                    match e.kind() {
                        std::io::ErrorKind::UnexpectedEof => failed(format!(
                            "it ends before the {wanted} bytes at offset {offset}; copy it again from its source"
                        )),
                        _ => Problem::new(Kind::Unreadable, format!("reading it failed ({e}); try again")),
                    }
                })
            }
            Bytes::Memory { bytes, .. } => {
                let found = offset.checked_add(into.len()).and_then(|end| bytes.get(offset..end)).ok_or_else(|| {
                    failed(format!("its inflated data end before offset {offset}; copy it again from its source"))
                })?;
                into.copy_from_slice(found);
                Ok(())
            }
        }
    }

    /// `len` bytes from `offset`, which must lie inside; memory is taken only for bytes that exist.
    pub(super) fn read_vec(&mut self, offset: usize, len: usize) -> Result<Vec<u8>, Problem> {
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(Problem::new(
                Kind::Truncated,
                format!("{len} bytes are declared at offset {offset} of {}; copy it again from its source", self.len()),
            ));
        }
        let mut bytes = vec![0; len];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The beginning of the data.
    pub(super) fn head(&mut self) -> Result<Vec<u8>, Problem> {
        self.read_vec(0, self.len().min(HEAD))
    }

    /// Reads the bytes that a walk asks for, and as many behind them as were read so far: the number of reads stays
    /// small, and large values that are stepped over are never read.
    pub(super) fn fetch(&mut self, segments: &mut Segments, offset: usize, len: usize) -> Result<(), Problem> {
        let so_far: usize = segments.iter().map(|(_, bytes)| bytes.len()).sum();
        let len = len.max(so_far).max(HEAD).min(self.len().saturating_sub(offset));
        segments.push((offset, self.read_vec(offset, len)?));
        Ok(())
    }

    /// The data set after `offset`, inflated (PS3.5 A.5), as a source of its own.
    pub(super) fn inflate(mut self, offset: usize) -> Result<Self, Problem> {
        let compressed = self.read_vec(offset, self.len().saturating_sub(offset))?;
        let mut inflater = flate2::read::DeflateDecoder::new(compressed.as_slice());
        let mut bytes = Vec::new();
        inflate_up_to(&mut inflater, INFLATED_SHARED, &mut bytes)?;
        let mut guard = None;
        if bytes.len() >= INFLATED_SHARED {
            guard = Some(ONE_LARGE_INFLATION.lock().unwrap_or_else(PoisonError::into_inner));
            inflate_up_to(&mut inflater, INFLATED_MAX - INFLATED_SHARED + 1, &mut bytes)?;
        }
        if bytes.len() > INFLATED_MAX {
            return Err(Problem::new(
                Kind::Corrupt,
                format!("its deflated data set grows beyond {} MiB; it was not opened", INFLATED_MAX >> 20),
            ));
        }
        Ok(Self(Bytes::Memory { bytes, _one_at_a_time: guard }))
    }
}

fn inflate_up_to(inflater: &mut impl Read, limit: usize, bytes: &mut Vec<u8>) -> Result<(), Problem> {
    inflater.take(limit as u64).read_to_end(bytes).map(|_| ()).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Problem::new(Kind::Truncated, "its deflated data set ends too early; copy it again from its source")
        }
        _ => Problem::new(
            Kind::Corrupt,
            format!("its deflated data set is damaged ({e}); copy it again from its source"),
        ),
    })
}
