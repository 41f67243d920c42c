//! What a zip archive holds, by its directory. Nothing is unpacked here and no name of an entry is used as a path.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::{Problem, text};
use crate::jobs::{Cancelled, JobCtx};
use crate::study::{Kind, Packed};

/// Entries of one archive.
const MOST_ENTRIES: u64 = 100_000;
/// All entries of one archive unpacked.
const MOST_BYTES: u128 = 64 << 30;
/// An entry may shrink by more than this only while it is small.
const MOST_RATIO: u64 = 200;
const SMALL: u64 = 4 << 20;
/// What the directory may take, and each entry's own header: bounds what a directory that lies makes us read and hold.
const DIRECTORY_BYTES: u64 = 32 << 20;
const HEADER_BYTES: u64 = 2 << 10;

/// Compression methods by number (APPNOTE 4.4.5).
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

const LOCAL_HEADERS: [&[u8]; 3] = [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"];
const END: &[u8] = b"PK\x05\x06";
/// The record at the end without its comment.
const END_BYTES: usize = 22;
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_BYTES: usize = 20;
const END_64: &[u8] = b"PK\x06\x06";
const COPY_AGAIN: &str = "copy the archive again from its source";

/// One file of an archive.
pub(super) struct Entry {
    /// In the archive, control characters replaced, `/` between parts.
    pub name: String,
    /// Where it lies, or why it is not read.
    pub place: Result<Packed, Problem>,
}

/// Why an archive could not be listed.
pub(super) enum Stop {
    Problem(Problem),
    Cancelled(Cancelled),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}
impl From<Cancelled> for Stop {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}

/// By its name, else by how it begins and ends. A DICOM file may begin with anything, so its own mark goes first.
pub(super) fn is_archive(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut head = Vec::new();
    if file.by_ref().take(132).read_to_end(&mut head).is_err() || head.get(128..132) == Some(b"DICM") {
        return false;
    }
    let begins = || LOCAL_HEADERS.iter().any(|mark| head.starts_with(mark));
    is_zip_name(path) || (begins() && declared_entries(&mut file).is_ok())
}

pub(super) fn is_zip_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// Lists the files of an archive, folders and links left out; the other value is a doubt about the whole.
pub(super) fn entries(path: &Path, ctx: &JobCtx) -> Result<(Vec<Entry>, Option<Problem>), Stop> {
    let mut file = File::open(path).map_err(|e| unreadable(&e))?;
    let count = declared_entries(&mut file)?;
    if count > MOST_ENTRIES {
        return Err(too_many(count).into());
    }
    let left = DIRECTORY_BYTES + count * HEADER_BYTES;
    // Headers lie far apart: a small buffer, since each jump throws it away.
    let reader = BufReader::with_capacity(1 << 10, Limited { file, left });
    let mut archive = ZipArchive::new(reader).map_err(|e| damaged(&e))?;
    let mut entries = Vec::with_capacity(archive.len());
    let mut total = 0u128;
    for index in 0..archive.len() {
        ctx.check()?;
        let listed = archive.by_index_data(index).map_err(|e| damaged(&e))?;
        if !listed.is_file() {
            continue;
        }
        let raw = listed.name().map_or_else(|_| String::from_utf8_lossy(listed.name_raw()).into_owned(), Into::into);
        let name = shown_name(&raw);
        let (method, bytes) = (listed.compression(), listed.size());
        let refusal = refusal(&name, listed.encrypted(), method, bytes, listed.compressed_size());
        let (packed_bytes, crc32) = (listed.compressed_size(), listed.crc32());
        total += u128::from(bytes);
        if total > MOST_BYTES {
            return Err(too_large().into());
        }
        let place = match refusal {
            Some(problem) => Err(problem),
            None => archive.by_index_raw(index).map_err(|e| damaged_entry(&e)).and_then(|entry| {
                let start = entry.data_start().ok_or_else(|| damaged_entry(&ZipError::FileNotFound))?;
                let deflated = number_of(method) == DEFLATED;
                Ok(Packed { start, packed_bytes, bytes, crc32, deflated })
            }),
        };
        entries.push(Entry { name, place });
    }
    let doubt = archive.has_duplicate_names().then(|| {
        Problem::new(
            Kind::Corrupt,
            "several of its files have one name, of which only the last was looked at; unpack it elsewhere if files are \
             missing here",
        )
    });
    Ok((entries, doubt))
}

/// Why an entry is not even looked into.
fn refusal(name: &str, encrypted: bool, method: CompressionMethod, bytes: u64, packed_bytes: u64) -> Option<Problem> {
    if encrypted {
        return Some(Problem::new(
            Kind::Encrypted,
            "it is encrypted, and this program opens no encrypted archives; unpack it with its password and open the folder",
        ));
    }
    if is_nested(name) {
        return Some(Problem::new(
            Kind::NestedArchive,
            "it is an archive within an archive and was not entered; unpack it and open it by itself",
        ));
    }
    let number = number_of(method);
    if !matches!(number, STORED | DEFLATED) {
        let known = CompressionMethod::name_from_u16(number);
        return Some(Problem::new(
            Kind::UnsupportedCompression,
            format!(
                "it is packed with method {number} ({known}), and only stored and deflated files are read; unpack the \
                 archive and open the folder"
            ),
        ));
    }
    if number == STORED && bytes != packed_bytes {
        return Some(Problem::new(
            Kind::Corrupt,
            format!("the archive gives it two sizes, {packed_bytes} and {bytes} bytes; {COPY_AGAIN}"),
        ));
    }
    let grows = bytes / packed_bytes.max(1);
    (bytes > SMALL && grows > MOST_RATIO).then(|| {
        Problem::new(
            Kind::ArchiveLimit,
            format!(
                "it would grow {grows} times to {} MiB, and more than {MOST_RATIO} times is allowed up to {} MiB only; \
                 unpack the archive and open the folder if you trust it",
                bytes >> 20,
                SMALL >> 20
            ),
        )
    })
}

#[expect(
    deprecated,
    reason = "entries are inflated here, and without the crate's inflater it knows their method as a number"
)]
fn number_of(method: CompressionMethod) -> u16 {
    method.to_u16()
}

fn is_nested(name: &str) -> bool {
    let extension = Path::new(name).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("zip" | "7z" | "rar" | "tar" | "gz" | "tgz" | "bz2" | "xz" | "zst"))
}

/// Archives made on Windows have backslashes, hostile ones a root or "..": all of it is text here.
fn shown_name(raw: &str) -> String {
    text::clean(raw.replace('\\', "/").trim_start_matches('/'))
}

/// How many entries the record at the end declares, before anything is read that grows with their number.
fn declared_entries(file: &mut File) -> Result<u64, Problem> {
    let len = file.metadata().map_err(|e| unreadable(&e))?.len();
    // The record, the longest comment behind it, the 64-bit locator before it.
    let tail = len.min((LOCATOR_BYTES + END_BYTES + usize::from(u16::MAX)) as u64);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(len - tail))
        .and_then(|_| file.by_ref().take(tail).read_to_end(&mut bytes))
        .map_err(|e| unreadable(&e))?;
    let missing = || {
        Problem::new(
            Kind::Truncated,
            format!(
                "its directory, which lies at the end of a zip archive, is missing: it is cut short or no zip archive; {COPY_AGAIN}"
            ),
        )
    };
    let end = bytes.windows(END.len()).rposition(|w| w == END).ok_or_else(missing)?;
    let count = bytes.get(end + 10..end + 12).and_then(|b| b.first_chunk::<2>()).ok_or_else(missing)?;
    let count = u16::from_le_bytes(*count);
    let locator = end.checked_sub(LOCATOR_BYTES).and_then(|at| bytes.get(at..end)).filter(|b| b.starts_with(LOCATOR));
    let Some(locator) = locator else { return Ok(u64::from(count)) };
    let at = locator.get(8..16).and_then(|b| b.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b));
    let mut record = [0; 40];
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut record)).map_err(|_| missing())?;
    let count_64 = record.get(32..40).and_then(|b| b.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b));
    // With something before the archive the record lies elsewhere; the limit on what is read holds all the same.
    Ok(if record.starts_with(END_64) { count_64 } else { u64::from(count) })
}

/// Reads no more than `left` bytes in all.
struct Limited {
    file: File,
    left: u64,
}

impl Read for Limited {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 && !into.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is larger than it declares"));
        }
        let read = self.file.read(into.get_mut(..most).unwrap_or_default())?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

impl Seek for Limited {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

fn unreadable(error: &std::io::Error) -> Problem {
    Problem::new(Kind::Unreadable, format!("it could not be read ({error}); check that you may read it"))
}

fn too_many(count: u64) -> Problem {
    Problem::new(
        Kind::ArchiveLimit,
        format!(
            "it declares {count} files, and at most {MOST_ENTRIES} are read from one archive; unpack it and open the folder"
        ),
    )
}

fn too_large() -> Problem {
    Problem::new(
        Kind::ArchiveLimit,
        format!(
            "its files would take more than the {} GiB that are read from one archive; unpack it and open the folder",
            MOST_BYTES >> 30
        ),
    )
}

fn damaged(error: &ZipError) -> Problem {
    match error {
        ZipError::UnsupportedArchive(what) => Problem::new(
            Kind::UnsupportedCompression,
            format!("its form of zip is not read ({}); unpack it and open the folder", text::clean(what)),
        ),
        other => Problem::new(
            Kind::Corrupt,
            format!("its directory is damaged ({}); {COPY_AGAIN}", text::clean(&other.to_string())),
        ),
    }
}

fn damaged_entry(error: &ZipError) -> Problem {
    Problem::new(
        Kind::Corrupt,
        format!("it is not where the archive's directory says ({}); {COPY_AGAIN}", text::clean(&error.to_string())),
    )
}
