//! The bytes of one file, on disk or in a zip archive, read where they are needed and never by an unchecked length.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use hmac::Mac;

use super::Problem;
use super::cipher::{self, Plain, SEAL, Seal};
use super::elements::Segments;
use crate::study::{Kind, Packed};

/// What a deflated data set or a deflated entry of an archive may inflate to at most.
const INFLATED_MAX: usize = 256 << 20;
/// Up to this size several may be inflated at once, beyond it only one, so that a folder of bombs
/// holds the memory of one.
const INFLATED_SHARED: usize = 16 << 20;
/// The first read of a file; enough for nearly every header.
const HEAD: usize = 16 << 10;
/// What is read at once where a whole file passes through.
const PIECE: usize = 64 << 10;

static ONE_LARGE_INFLATION: Mutex<()> = Mutex::new(());

type OneAtATime = Option<MutexGuard<'static, ()>>;

fn one_at_a_time() -> OneAtATime {
    Some(ONE_LARGE_INFLATION.lock().unwrap_or_else(PoisonError::into_inner))
}

enum Bytes {
    /// `len` bytes from `start`: a whole file or a stored entry of an archive.
    File {
        file: File,
        start: u64,
        len: usize,
    },
    Memory {
        bytes: Vec<u8>,
        _one_at_a_time: OneAtATime,
    },
    Entry(Entry),
}

/// A deflated or encrypted entry of an archive, unpacked as far as somebody has read.
struct Entry {
    unpacker: Plain,
    bytes: Vec<u8>,
    /// As the archive says.
    len: usize,
    seal: Option<Sealed>,
    locked: bool,
    one_at_a_time: OneAtATime,
}

/// What proves an encrypted entry, and where its encrypted bytes lie.
struct Sealed {
    seal: Seal,
    file: File,
    start: u64,
    bytes: u64,
}

impl Sealed {
    /// Compares the encrypted bytes with the seal behind them.
    fn check(mut self) -> Result<(), Problem> {
        let mut packed = |file: &mut File| -> std::io::Result<[u8; SEAL]> {
            file.seek(SeekFrom::Start(self.start))?;
            let (mut piece, mut left) = (vec![0; PIECE], self.bytes);
            while left > 0 {
                let wanted = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                let Some(part) = piece.get_mut(..wanted) else { break };
                file.read_exact(part)?;
                self.seal.update(part);
                left -= wanted as u64;
            }
            let mut behind = [0; SEAL];
            file.read_exact(&mut behind)?;
            Ok(behind)
        };
        let behind = packed(&mut self.file).map_err(|e| damaged_entry(&e))?;
        self.seal.verify_truncated_left(&behind).map_err(|_| {
            Problem::new(
                Kind::Corrupt,
                "its bytes are not those that were encrypted (its seal is broken); copy the archive again from its source",
            )
        })
    }
}

impl Entry {
    fn open(mut file: File, path: &Path, packed: &Packed, len: usize) -> Result<Self, Problem> {
        file.seek(SeekFrom::Start(packed.start)).map_err(|e| unreadable(&e))?;
        let raw = file.take(packed.packed_bytes);
        let (plain, seal) = match &packed.lock {
            None => (Box::new(raw) as Plain, None),
            Some(lock) => {
                let (plain, seal) = cipher::open(raw, lock)?;
                let encrypted = packed.packed_bytes.saturating_sub(lock.cipher.overhead());
                let before = lock.cipher.overhead().saturating_sub(SEAL as u64);
                let sealed = |seal| -> Result<Sealed, Problem> {
                    let file = File::open(path).map_err(|e| unreadable(&e))?;
                    Ok(Sealed { seal, file, start: packed.start.saturating_add(before), bytes: encrypted })
                };
                (plain, seal.map(sealed).transpose()?)
            }
        };
        let unpacker = if packed.deflated { Box::new(DeflateDecoder::new(BufReader::new(plain))) } else { plain };
        Ok(Self { unpacker, bytes: Vec::new(), len, seal, locked: packed.lock.is_some(), one_at_a_time: None })
    }

    /// Inflates up to `end`, which must not lie behind the length.
    fn grow(&mut self, end: usize) -> Result<(), Problem> {
        if end > INFLATED_MAX {
            return Err(Problem::new(
                Kind::ArchiveLimit,
                format!(
                    "it is packed or encrypted and would need more than the {} MiB that such a file may grow to; unpack the archive \
                     and open the folder",
                    INFLATED_MAX >> 20
                ),
            ));
        }
        if end > INFLATED_SHARED && self.one_at_a_time.is_none() {
            self.one_at_a_time = one_at_a_time();
        }
        let missing = end.saturating_sub(self.bytes.len());
        let read = self.unpacker.by_ref().take(missing as u64).read_to_end(&mut self.bytes);
        read.map_err(|e| match damaged_entry(&e) {
            // A wrong password passes for one of 256 files of the older kind.
            Problem { kind: Kind::Corrupt, .. } if self.locked => Problem::new(
                Kind::Corrupt,
                format!(
                    "it is encrypted, and what the password gives is damaged ({e}): give another password, or copy the \
                     archive again from its source"
                ),
            ),
            problem => problem,
        })?;
        if self.bytes.len() < end {
            return Err(Problem::new(
                Kind::Truncated,
                format!(
                    "its packed data end after {} of the {} bytes that the archive declares; copy the archive again from \
                     its source",
                    self.bytes.len(),
                    self.len
                ),
            ));
        }
        Ok(())
    }
}

pub(super) fn damaged_entry(error: &std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Problem::new(Kind::Truncated, "its packed data end too early; copy the archive again from its source")
        }
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => Problem::new(
            Kind::Corrupt,
            format!("its packed data are damaged ({error}); copy the archive again from its source"),
        ),
        _ => Problem::new(Kind::Unreadable, format!("reading it failed ({error}); try again")),
    }
}

fn unreadable(error: &std::io::Error) -> Problem {
    Problem::new(Kind::Unreadable, format!("it could not be read ({error}); check that you may read it"))
}

/// Random access to a file, to an entry of an archive, or to what a deflated data set inflated to.
pub(super) struct Source {
    bytes: Bytes,
    /// It is an entry of an archive.
    packed: bool,
    /// Of an entry, where the archive has one.
    crc32: Option<u32>,
}

impl Source {
    /// Opens the file, or the entry at `packed` of the archive that it is.
    pub(super) fn open(path: &Path, packed: Option<&Packed>) -> Result<Self, Problem> {
        let file = File::open(path).map_err(|e| unreadable(&e))?;
        let metadata = file.metadata().map_err(|e| unreadable(&e))?;
        if !metadata.is_file() {
            return Err(Problem::new(Kind::Unreadable, "it is no regular file; give a file or a folder"));
        }
        let bytes = packed.map_or(metadata.len(), |p| p.bytes);
        let len =
            usize::try_from(bytes).map_err(|_| Problem::new(Kind::Unreadable, "it is too large for this machine"))?;
        let bytes = match packed {
            Some(packed) if packed.deflated || packed.lock.is_some() => {
                Bytes::Entry(Entry::open(file, path, packed, len)?)
            }
            _ => Bytes::File { file, start: packed.map_or(0, |p| p.start), len },
        };
        let summed = |p: &&Packed| p.lock.as_ref().is_none_or(|lock| lock.cipher.is_summed());
        Ok(Self { bytes, packed: packed.is_some(), crc32: packed.filter(summed).map(|p| p.crc32) })
    }

    /// Bytes that were read already.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::Memory { bytes, _one_at_a_time: None }, packed: false, crc32: None }
    }

    pub(super) fn len(&self) -> usize {
        match &self.bytes {
            Bytes::File { len, .. } => *len,
            Bytes::Memory { bytes, .. } => bytes.len(),
            Bytes::Entry(entry) => entry.len,
        }
    }

    /// Fills `into` from `offset`. The caller has checked the range; a file that shrank meanwhile is `truncated`.
    pub(super) fn read_at(&mut self, offset: usize, into: &mut [u8]) -> Result<(), Problem> {
        let failed = |what: String| Problem::new(Kind::Truncated, what);
        if let Bytes::File { file, start, .. } = &mut self.bytes {
            let wanted = into.len();
            let at = start.saturating_add(offset as u64);
            return file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(into)).map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => failed(format!(
                    "it ends before the {wanted} bytes at offset {offset}; copy it again from its source"
                )),
                _ => Problem::new(Kind::Unreadable, format!("reading it failed ({e}); try again")),
            });
        }
        if let Bytes::Entry(entry) = &mut self.bytes {
            entry.grow(offset.saturating_add(into.len()))?;
        }
        let (Bytes::Memory { bytes, .. } | Bytes::Entry(Entry { bytes, .. })) = &self.bytes else { return Ok(()) };
        let found = offset.checked_add(into.len()).and_then(|end| bytes.get(offset..end)).ok_or_else(|| {
            failed(format!("its inflated data end before offset {offset}; copy it again from its source"))
        })?;
        into.copy_from_slice(found);
        Ok(())
    }

    /// Passes all bytes through `take`, in pieces.
    pub(super) fn read_all(&mut self, mut take: impl FnMut(&[u8])) -> Result<(), Problem> {
        if let Bytes::Entry(entry) = &mut self.bytes {
            entry.grow(entry.len)?;
            take(&entry.bytes);
            return Ok(());
        }
        let (len, mut at) = (self.len(), 0);
        let mut piece = vec![0; PIECE.min(len)];
        while at < len {
            let wanted = PIECE.min(len - at);
            let Some(part) = piece.get_mut(..wanted) else { break };
            self.read_at(at, part)?;
            take(part);
            at += wanted;
        }
        Ok(())
    }

    /// Compares an entry of an archive with the sum and the seal that the archive has of it. What lies on disk by itself
    /// has none.
    pub(super) fn check_sum(&mut self) -> Result<(), Problem> {
        if !self.packed {
            return Ok(());
        }
        let mut sum = Crc::new();
        self.read_all(|bytes| sum.update(bytes))?;
        if let Bytes::Entry(entry) = &mut self.bytes {
            let mut more = [0];
            if entry.unpacker.read(&mut more).map_err(|e| damaged_entry(&e))? > 0 {
                return Err(Problem::new(
                    Kind::Corrupt,
                    format!(
                        "its packed data grow beyond the {} bytes that the archive declares; copy the archive again from its \
                         source",
                        entry.len
                    ),
                ));
            }
        }
        if self.crc32.is_some_and(|declared| declared != sum.sum()) {
            return Err(Problem::new(
                Kind::Corrupt,
                "its bytes are not those that the archive was made of (the checksum differs); copy the archive again from \
                 its source",
            ));
        }
        match &mut self.bytes {
            Bytes::Entry(entry) => entry.seal.take().map_or(Ok(()), Sealed::check),
            _ => Ok(()),
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
        // A large entry of an archive holds the lock already and hands it on.
        let mut guard = match self.bytes {
            Bytes::Entry(entry) => entry.one_at_a_time,
            _ => None,
        };
        let mut inflater = DeflateDecoder::new(compressed.as_slice());
        let mut bytes = Vec::new();
        inflate_up_to(&mut inflater, INFLATED_SHARED, &mut bytes)?;
        if bytes.len() >= INFLATED_SHARED {
            guard = guard.or_else(one_at_a_time);
            inflate_up_to(&mut inflater, INFLATED_MAX - INFLATED_SHARED + 1, &mut bytes)?;
        }
        if bytes.len() > INFLATED_MAX {
            return Err(Problem::new(
                Kind::Corrupt,
                format!("its deflated data set grows beyond {} MiB; it was not opened", INFLATED_MAX >> 20),
            ));
        }
        Ok(Self { bytes: Bytes::Memory { bytes, _one_at_a_time: guard }, packed: false, crc32: None })
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
