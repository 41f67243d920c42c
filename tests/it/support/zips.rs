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
    /// Fields behind the name, in both headers.
    pub extra: Vec<u8>,
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
            extra: Vec::new(),
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
    /// Encrypted in PKWARE's traditional way (APPNOTE 6.1).
    pub fn locked(mut self, password: &str) -> Self {
        // The time is always 0 here.
        let check = if self.flags & STREAMED == 0 { self.crc32.to_be_bytes()[0] } else { 0 };
        let mut keys = [0x1234_5678u32, 0x2345_6789, 0x3456_7890];
        let step = |sum: u32, byte: u8| {
            (0..8).fold(sum ^ u32::from(byte), |s, _| if s & 1 == 1 { s >> 1 ^ 0xEDB8_8320 } else { s >> 1 })
        };
        let turn = |keys: &mut [u32; 3], byte: u8| {
            keys[0] = step(keys[0], byte);
            keys[1] = keys[1].wrapping_add(keys[0] & 0xFF).wrapping_mul(0x0808_8405).wrapping_add(1);
            keys[2] = step(keys[2], (keys[1] >> 24) as u8);
        };
        password.bytes().for_each(|byte| turn(&mut keys, byte));
        let head = (1..12).chain([check]);
        let encrypted = head.chain(self.packed.iter().copied()).map(|byte| {
            let word = keys[2] as u16 | 2;
            let key = (word.wrapping_mul(word ^ 1) >> 8) as u8;
            turn(&mut keys, byte);
            byte ^ key
        });
        self.packed = encrypted.collect();
        self.packed_bytes = self.packed.len() as u64;
        self.flags |= ENCRYPTED;
        self
    }
    /// Encrypted as WinZip does with AES, with a key of 16, 24 or 32 bytes; AE-2 leaves the checksum out.
    pub fn sealed(mut self, password: &str, key_bytes: usize, version: u16) -> Self {
        use aes::cipher::{BlockCipherEncrypt, KeyInit};
        use hmac::{Hmac, Mac};
        let salt: Vec<u8> = (0..key_bytes / 2).map(|i| (17 * i + usize::from(version)) as u8).collect();
        let mut keys = vec![0; 2 * key_bytes + 2];
        pbkdf2::pbkdf2::<Hmac<sha1::Sha1>>(password.as_bytes(), &salt, 1000, &mut keys).expect("a length");
        let block = |counter: u128| -> [u8; 16] {
            let mut block = counter.to_le_bytes().into();
            match key_bytes {
                16 => aes::Aes128::new_from_slice(&keys[..16]).expect("a key").encrypt_block(&mut block),
                24 => aes::Aes192::new_from_slice(&keys[..24]).expect("a key").encrypt_block(&mut block),
                _ => aes::Aes256::new_from_slice(&keys[..32]).expect("a key").encrypt_block(&mut block),
            }
            block.into()
        };
        for (counter, chunk) in (1..).zip(self.packed.chunks_mut(16)) {
            chunk.iter_mut().zip(block(counter)).for_each(|(byte, key)| *byte ^= key);
        }
        let mut seal = Hmac::<sha1::Sha1>::new_from_slice(&keys[key_bytes..2 * key_bytes]).expect("a key");
        seal.update(&self.packed);
        let seal = seal.finalize().into_bytes();
        self.packed = [&salt, &keys[2 * key_bytes..], &self.packed, &seal[..10]].concat();
        self.packed_bytes = self.packed.len() as u64;
        let [low, high] = self.method.to_le_bytes();
        self.extra = vec![0x01, 0x99, 7, 0, version as u8, 0, b'A', b'E', (key_bytes / 8 - 1) as u8, low, high];
        self.method = 99;
        self.flags |= ENCRYPTED;
        if version == 2 {
            self.crc32 = 0;
        }
        self
    }
    pub fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

const STREAMED: u16 = 1 << 3;
const ENCRYPTED: u16 = 1;

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
            &[
                (if behind { 0 } else { crc }, 4),
                (sizes(e.packed_bytes), 4),
                (sizes(e.bytes), 4),
                (name, 2),
                (e.extra.len() as u64, 2),
            ],
        );
        out.extend(e.name.as_bytes());
        out.extend(&e.extra);
        out.extend(&e.packed);
        if behind {
            put(&mut out, &[(0x0807_4B50, 4), (crc, 4), (e.packed_bytes, 4), (e.bytes, 4)]);
        }
        let [packed, bytes, offset] = [e.packed_bytes, e.bytes, at].map(|n| if form.zip64 { IN_EXTRA } else { n });
        let extra = e.extra.len() as u64 + if form.zip64 { 28 } else { 0 };
        put(&mut directory, &[(0x0201_4B50, 4), (20, 2), (20, 2), (flags, 2), (method, 2), (0, 4), (crc, 4)]);
        put(
            &mut directory,
            &[(packed, 4), (bytes, 4), (name, 2), (extra, 2), (0, 2), (0, 2), (0, 2), (0, 4), (offset, 4)],
        );
        directory.extend(e.name.as_bytes());
        directory.extend(&e.extra);
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
