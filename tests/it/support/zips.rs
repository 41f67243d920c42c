//! Writes zip archives, well formed or not. Written here and not by a library, because most tests need what no library
//! would write.

use std::io::Write;
use std::path::Path;

/// One file of an archive; every field may lie.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub method: u16,
    pub flags: u16,
    pub packed: Vec<u8>,
    pub packed_bytes: u64,
    pub bytes: u64,
    pub crc32: u32,
}

impl Entry {
    pub fn stored(name: &str, bytes: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let len = bytes.len() as u64;
        Self {
            name: name.to_owned(),
            method: 0,
            flags: 0,
            packed: bytes.to_vec(),
            packed_bytes: len,
            bytes: len,
            crc32: crc.sum(),
        }
    }
    pub fn deflated(name: &str, bytes: &[u8]) -> Self {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("to memory");
        let packed = encoder.finish().expect("to memory");
        Self { method: 8, packed_bytes: packed.len() as u64, packed, ..Self::stored(name, bytes) }
    }
    /// As a program writes that did not know the sizes beforehand: they stand behind the data.
    pub fn streamed(name: &str, bytes: &[u8]) -> Self {
        Self { flags: STREAMED, ..Self::deflated(name, bytes) }
    }
    pub fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

const STREAMED: u16 = 1 << 3;

/// How the whole is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form {
    pub zip64: bool,
    /// Bytes before the first file, as in an archive that unpacks itself.
    pub before: usize,
    /// Instead of the true number of files.
    pub count: Option<u64>,
}

fn put(out: &mut Vec<u8>, parts: &[(u64, usize)]) {
    for (value, bytes) in parts {
        out.extend(&value.to_le_bytes()[..*bytes]);
    }
}

pub fn archive(entries: &[Entry], form: Form) -> Vec<u8> {
    const IN_EXTRA: u64 = u32::MAX as u64;
    let mut out = vec![b'#'; form.before];
    let mut directory = Vec::new();
    for e in entries {
        let at = (out.len() - form.before) as u64;
        let behind = e.flags & STREAMED != 0;
        let sizes = |n: u64| if behind { 0 } else { n.min(u64::from(u32::MAX)) };
        let (flags, method, name) = (u64::from(e.flags), u64::from(e.method), e.name.len() as u64);
        let crc = u64::from(e.crc32);
        put(&mut out, &[(0x0403_4B50, 4), (20, 2), (flags, 2), (method, 2), (0, 4)]);
        put(
            &mut out,
            &[(if behind { 0 } else { crc }, 4), (sizes(e.packed_bytes), 4), (sizes(e.bytes), 4), (name, 2), (0, 2)],
        );
        out.extend(e.name.as_bytes());
        out.extend(&e.packed);
        if behind {
            put(&mut out, &[(0x0807_4B50, 4), (crc, 4), (e.packed_bytes, 4), (e.bytes, 4)]);
        }
        let [packed, bytes, offset] = [e.packed_bytes, e.bytes, at].map(|n| if form.zip64 { IN_EXTRA } else { n });
        let extra = if form.zip64 { 28 } else { 0 };
        put(&mut directory, &[(0x0201_4B50, 4), (20, 2), (20, 2), (flags, 2), (method, 2), (0, 4), (crc, 4)]);
        put(
            &mut directory,
            &[(packed, 4), (bytes, 4), (name, 2), (extra, 2), (0, 2), (0, 2), (0, 2), (0, 4), (offset, 4)],
        );
        directory.extend(e.name.as_bytes());
        if form.zip64 {
            put(&mut directory, &[(1, 2), (24, 2), (e.bytes, 8), (e.packed_bytes, 8), (at, 8)]);
        }
    }
    let (at, len) = ((out.len() - form.before) as u64, directory.len() as u64);
    let count = form.count.unwrap_or(entries.len() as u64);
    out.extend(directory);
    if form.zip64 {
        let end = out.len() as u64;
        put(
            &mut out,
            &[(0x0606_4B50, 4), (44, 8), (45, 2), (45, 2), (0, 4), (0, 4), (count, 8), (count, 8), (len, 8), (at, 8)],
        );
        put(&mut out, &[(0x0706_4B50, 4), (0, 4), (end, 8), (1, 4)]);
        put(&mut out, &[(0x0605_4B50, 4), (0, 4), (0xFFFF, 2), (0xFFFF, 2), (IN_EXTRA, 4), (IN_EXTRA, 4), (0, 2)]);
    } else {
        put(&mut out, &[(0x0605_4B50, 4), (0, 4), (count, 2), (count, 2), (len, 4), (at, 4), (0, 2)]);
    }
    out
}

/// All files under a folder, by the names that they have there.
pub fn folder(root: &Path, pack: impl Fn(&str, &[u8]) -> Entry) -> Vec<Entry> {
    let files = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().flatten();
    let packed = files.filter(|f| f.file_type().is_file()).map(|file| {
        let name = file.path().strip_prefix(root).expect("inside").to_string_lossy().replace('\\', "/");
        pack(&name, &std::fs::read(file.path()).expect("readable"))
    });
    packed.collect()
}
