//! What a zip archive holds, by its directory. Nothing is unpacked here and no name of an entry is used as a path.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::source::Source;
use super::{Problem, text};
use crate::jobs::{Cancelled, JobCtx};
use crate::study::password::{Cipher, Lock, Password};
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
/// Stands for another one, which the extra field names.
const AES: u16 = 99;
const AES_EXTRA: u16 = 0x9901;
/// Bits of the flags: sizes and checksum stand behind the data; PKWARE's strong encryption.
const STREAMED: u16 = 1 << 3;
const STRONG: u16 = 1 << 6;
/// An entry's header in the directory without what follows it.
const CENTRAL_BYTES: usize = 46;
/// Files that a password is tried on, since the smallest may be damaged.
const MOST_TRIED: usize = 3;

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

/// Lists the files of an archive, folders and links left out; the other value is a doubt about the whole. Encrypted files
/// have a place only with a password, whether or not it is the right one.
pub(super) fn entries(
    path: &Path,
    password: Option<&Password>,
    ctx: &JobCtx,
) -> Result<(Vec<Entry>, Option<Problem>), Stop> {
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
        let (bytes, packed_bytes, crc32) = (listed.size(), listed.compressed_size(), listed.crc32());
        total += u128::from(bytes);
        if total > MOST_BYTES {
            return Err(too_large().into());
        }
        let method = number_of(listed.compression());
        let locked = listed.encrypted().then(|| Locked::read(path, listed.central_header_start(), method));
        let form = match locked {
            None => Ok((method, None)),
            Some(locked) => locked.and_then(|locked| locked.with(password)),
        };
        let place = form.and_then(|(method, lock)| {
            let overhead = lock.as_ref().map_or(0, |lock: &Lock| lock.cipher.overhead());
            refusal(&name, method, bytes, packed_bytes.saturating_sub(overhead)).map_or(Ok(()), Err)?;
            let entry = archive.by_index_raw(index).map_err(|e| damaged_entry(&e))?;
            let start = entry.data_start().ok_or_else(|| damaged_entry(&ZipError::FileNotFound))?;
            Ok(Packed { start, packed_bytes, bytes, crc32, deflated: method == DEFLATED, lock })
        });
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

/// How an encrypted entry is encrypted and, behind that, packed.
struct Locked {
    cipher: Cipher,
    method: u16,
}

impl Locked {
    /// By the entry's header in the directory (APPNOTE 4.3.12) at `at`, which names `method`.
    fn read(path: &Path, at: u64, method: u16) -> Result<Self, Problem> {
        let damaged = || damaged_entry(&ZipError::FileNotFound);
        let read = || -> std::io::Result<([u8; CENTRAL_BYTES], Vec<u8>)> {
            let mut file = File::open(path)?;
            let mut header = [0; CENTRAL_BYTES];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut header)?;
            let [name, extra] = [28, 30].map(|at| u16_at(&header, at).unwrap_or_default());
            file.seek(SeekFrom::Current(name.into()))?;
            let mut extras = vec![0; extra.into()];
            file.read_exact(&mut extras)?;
            Ok((header, extras))
        };
        let (header, extras) = read().map_err(|_| damaged())?;
        let [flags, time] = [8, 12].map(|at| u16_at(&header, at).unwrap_or_default());
        if flags & STRONG != 0 {
            return Err(Problem::new(
                Kind::UnsupportedCompression,
                "it is encrypted in PKWARE's strong way, which is not read; unpack the archive with its password and open \
                 the folder",
            ));
        }
        if method != AES {
            // A writer that did not know the checksum beforehand took the time instead.
            let [_, of_time] = time.to_le_bytes();
            let of_sum = *header.get(19).ok_or_else(damaged)?;
            let check = if flags & STREAMED != 0 { of_time } else { of_sum };
            return Ok(Self { cipher: Cipher::Traditional { check }, method });
        }
        // Version, "AE", strength, method (the specification of AE-1 and AE-2).
        let [version, _, _, _, strength, rest @ ..] =
            extra_field(&extras, AES_EXTRA).and_then(|field| field.first_chunk::<7>()).ok_or_else(damaged)?;
        let key_bytes = match strength {
            1 => 16,
            2 => 24,
            3 => 32,
            _ => return Err(damaged()),
        };
        Ok(Self { cipher: Cipher::Aes { key_bytes, summed: *version == 1 }, method: u16::from_le_bytes(*rest) })
    }

    /// The method that it is packed with, and what opens it.
    fn with(self, password: Option<&Password>) -> Result<(u16, Option<Lock>), Problem> {
        let Some(password) = password.cloned() else {
            return Err(Problem::new(
                Kind::Encrypted,
                "it is encrypted; give the archive's password (the window asks for it, other commands read --password-file or \
                 DENS_ZIP_PASSWORD), or unpack it and open the folder",
            ));
        };
        Ok((self.method, Some(Lock { cipher: self.cipher, password })))
    }
}

/// The value of one of the fields behind a name (APPNOTE 4.5).
fn extra_field(mut extras: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (id, length) = (u16_at(extras, 0)?, usize::from(u16_at(extras, 2)?));
        let value = extras.get(4..4 + length)?;
        if id == wanted {
            return Some(value);
        }
        extras = extras.get(4 + length..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk::<2>()?))
}

/// Whether the password opens the archive: the smallest of its encrypted files are read whole and compared with what the
/// archive has of them, since the two bytes that tell a wrong password may do so by chance.
pub(super) fn opens(path: &Path, password: &Password, ctx: &JobCtx) -> Result<bool, Stop> {
    let (entries, _) = entries(path, Some(password), ctx)?;
    let mut places: Vec<Packed> = entries.into_iter().filter_map(|entry| entry.place.ok()).collect();
    // Of nothing there is nothing to compare.
    places.retain(|place| place.lock.is_some() && place.bytes > 0);
    places.sort_by_key(|place| place.bytes);
    for place in places.iter().take(MOST_TRIED) {
        ctx.check()?;
        if Source::open(path, Some(place)).and_then(|mut source| source.check_sum()).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why an entry is not even looked into.
fn refusal(name: &str, method: u16, bytes: u64, packed_bytes: u64) -> Option<Problem> {
    if is_nested(name) {
        return Some(Problem::new(
            Kind::NestedArchive,
            "it is an archive within an archive and was not entered; unpack it and open it by itself",
        ));
    }
    if !matches!(method, STORED | DEFLATED) {
        let known = CompressionMethod::name_from_u16(method);
        return Some(Problem::new(
            Kind::UnsupportedCompression,
            format!(
                "it is packed with method {method} ({known}), and only stored and deflated files are read; unpack the \
                 archive and open the folder"
            ),
        ));
    }
    if method == STORED && bytes != packed_bytes {
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
