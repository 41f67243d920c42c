//! Writes small DICOM files, well formed or not. Written here and not by a library, because most tests need what no
//! library would write.

use std::collections::BTreeMap;
use std::io::Write;

type Tag = (u16, u16);

/// How a file is encoded.
#[derive(Debug, Clone, Copy)]
pub enum Encoding {
    ExplicitLe,
    ImplicitLe,
    ExplicitBe,
    Deflated,
    /// Explicit little endian that names another syntax.
    Named(&'static str),
    /// Explicit little endian with fragments as pixels.
    Encapsulated(&'static str),
    /// No preamble, no file header.
    BareExplicit,
    BareImplicit,
}

/// A data set; values as they are in little endian.
#[derive(Debug, Clone)]
pub struct Dcm {
    elements: BTreeMap<Tag, (&'static str, Vec<u8>)>,
    nested: usize,
    /// Tag, lengths stated or not, and the elements of each item.
    sequences: Vec<(Tag, bool, Vec<Item>)>,
}

/// Elements of an item, in the order of their tags.
pub type Item = Vec<(Tag, &'static str, Vec<u8>)>;

impl Dcm {
    /// A CT slice of 3 rows x 4 columns at `z_mm`, HU -1024 + `seed` + offset.
    pub fn ct(seed: i16, z_mm: f64) -> Self {
        let mut dcm = Self { elements: BTreeMap::new(), nested: 0, sequences: Vec::new() };
        dcm.text((0x08, 0x08), "CS", "ORIGINAL\\PRIMARY\\AXIAL")
            .text((0x08, 0x16), "UI", "1.2.840.10008.5.1.4.1.1.2")
            .text((0x08, 0x18), "UI", &format!("2.25.{}{}", seed, z_mm.to_bits()))
            .text((0x08, 0x60), "CS", "CT")
            .text((0x10, 0x10), "PN", "Test^Neck")
            .text((0x10, 0x20), "LO", "P1")
            .text((0x20, 0x0D), "UI", "2.25.1")
            .text((0x20, 0x0E), "UI", "2.25.2")
            .text((0x20, 0x13), "IS", &format!("{}", seed + 1))
            .text((0x20, 0x32), "DS", &format!("0\\0\\{z_mm}"))
            .text((0x20, 0x37), "DS", "1\\0\\0\\0\\1\\0")
            .us((0x28, 0x02), 1)
            .text((0x28, 0x04), "CS", "MONOCHROME2")
            .us((0x28, 0x10), 3)
            .us((0x28, 0x11), 4)
            .text((0x28, 0x30), "DS", "0.5\\0.5")
            .us((0x28, 0x100), 16)
            .us((0x28, 0x101), 16)
            .us((0x28, 0x102), 15)
            .us((0x28, 0x103), 0)
            .text((0x28, 0x1052), "DS", "-1024")
            .text((0x28, 0x1053), "DS", "1");
        let words: Vec<u16> = (0..12).map(|i| seed.unsigned_abs() + i).collect();
        dcm.words(&words);
        dcm
    }
    pub fn raw(&mut self, tag: Tag, vr: &'static str, mut value: Vec<u8>) -> &mut Self {
        if value.len() % 2 == 1 {
            value.push(if vr == "UI" || vr == "OB" { 0 } else { b' ' });
        }
        self.elements.insert(tag, (vr, value));
        self
    }
    pub fn text(&mut self, tag: Tag, vr: &'static str, value: &str) -> &mut Self {
        self.raw(tag, vr, value.as_bytes().to_vec())
    }
    pub fn us(&mut self, tag: Tag, value: u16) -> &mut Self {
        self.raw(tag, "US", value.to_le_bytes().to_vec())
    }
    pub fn words(&mut self, values: &[u16]) -> &mut Self {
        self.raw((0x7FE0, 0x10), "OW", values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
    pub fn remove(&mut self, tag: Tag) -> &mut Self {
        self.elements.remove(&tag);
        self
    }
    /// Adds a sequence of undefined length, so deep.
    pub fn nested(&mut self, depth: usize) -> &mut Self {
        self.nested = depth;
        self
    }
    /// Adds a sequence behind those that are there.
    pub fn sequence(&mut self, tag: Tag, defined: bool, items: Vec<Item>) -> &mut Self {
        self.sequences.push((tag, defined, items));
        self
    }
    pub fn elements(&self) -> impl Iterator<Item = (Tag, &'static str, &[u8])> {
        self.elements.iter().map(|(tag, (vr, value))| (*tag, *vr, value.as_slice()))
    }

    fn data_set(&self, explicit: bool, big: bool, fragments: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut pending = self.sequences.iter().peekable();
        let mut nested = Some(self.nested).filter(|depth| *depth > 0);
        for (tag, (vr, value)) in &self.elements {
            if tag.0 > 8
                && let Some(depth) = nested.take()
            {
                sequences(&mut out, depth, explicit, big);
            }
            while let Some((of, defined, items)) = pending.next_if(|(of, ..)| of < tag) {
                put_items(&mut out, *of, *defined, items, (explicit, big));
            }
            let value = if big { swapped(vr, value) } else { value.clone() };
            let fragments = fragments && tag.0 == 0x7FE0;
            let len = if fragments { u32::MAX } else { value.len() as u32 };
            header(&mut out, *tag, vr, len, explicit, big);
            out.extend(value);
        }
        out
    }

    pub fn bytes(&self, encoding: Encoding) -> Vec<u8> {
        let plain = |uid| part_10(uid, self.data_set(true, false, false));
        match encoding {
            Encoding::ExplicitLe => plain("1.2.840.10008.1.2.1"),
            Encoding::Named(uid) => plain(uid),
            Encoding::ImplicitLe => part_10("1.2.840.10008.1.2", self.data_set(false, false, false)),
            Encoding::ExplicitBe => part_10("1.2.840.10008.1.2.2", self.data_set(true, true, false)),
            Encoding::Encapsulated(uid) => part_10(uid, self.data_set(true, false, true)),
            Encoding::Deflated => part_10("1.2.840.10008.1.2.1.99", deflated(&self.data_set(true, false, false))),
            Encoding::BareExplicit => self.data_set(true, false, false),
            Encoding::BareImplicit => self.data_set(false, false, false),
        }
    }
}

fn swapped(vr: &str, value: &[u8]) -> Vec<u8> {
    match vr {
        "US" | "SS" | "OW" => value.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect(),
        _ => value.to_vec(),
    }
}

fn put16(out: &mut Vec<u8>, value: u16, big: bool) {
    out.extend(if big { value.to_be_bytes() } else { value.to_le_bytes() });
}

fn put32(out: &mut Vec<u8>, value: u32, big: bool) {
    out.extend(if big { value.to_be_bytes() } else { value.to_le_bytes() });
}

fn header(out: &mut Vec<u8>, tag: Tag, vr: &str, len: u32, explicit: bool, big: bool) {
    put16(out, tag.0, big);
    put16(out, tag.1, big);
    if !explicit || tag.0 == 0xFFFE {
        put32(out, len, big);
    } else if matches!(vr, "OB" | "OW" | "SQ" | "UT" | "UN") {
        out.extend(vr.as_bytes());
        out.extend([0, 0]);
        put32(out, len, big);
    } else {
        out.extend(vr.as_bytes());
        put16(out, len as u16, big);
    }
}

fn sequences(out: &mut Vec<u8>, depth: usize, explicit: bool, big: bool) {
    for _ in 0..depth {
        header(out, (0x08, 0x1140), "SQ", u32::MAX, explicit, big);
        header(out, (0xFFFE, 0xE000), "", u32::MAX, explicit, big);
    }
    for _ in 0..depth {
        header(out, (0xFFFE, 0xE00D), "", 0, explicit, big);
        header(out, (0xFFFE, 0xE0DD), "", 0, explicit, big);
    }
}

fn put_items(out: &mut Vec<u8>, tag: Tag, defined: bool, items: &[Item], (explicit, big): (bool, bool)) {
    let length = |bytes: &[u8]| if defined { bytes.len() as u32 } else { u32::MAX };
    let mut all = Vec::new();
    for item in items {
        let mut one = Vec::new();
        for (tag, vr, value) in item {
            header(&mut one, *tag, vr, value.len() as u32, explicit, big);
            one.extend(if big { swapped(vr, value) } else { value.clone() });
        }
        header(&mut all, (0xFFFE, 0xE000), "", length(&one), explicit, big);
        all.extend(one);
        if !defined {
            header(&mut all, (0xFFFE, 0xE00D), "", 0, explicit, big);
        }
    }
    header(out, tag, "SQ", length(&all), explicit, big);
    out.extend(all);
    if !defined {
        header(out, (0xFFFE, 0xE0DD), "", 0, explicit, big);
    }
}

fn part_10(uid: &str, data_set: Vec<u8>) -> Vec<u8> {
    let mut out = vec![0; 128];
    out.extend(b"DICM");
    let mut uid = uid.as_bytes().to_vec();
    if uid.len() % 2 == 1 {
        uid.push(0);
    }
    header(&mut out, (0x02, 0x10), "UI", uid.len() as u32, true, false);
    out.extend(uid);
    out.extend(data_set);
    out
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("to memory");
    encoder.finish().expect("to memory")
}

/// A file of some hundred kilobytes that inflates to `len` zeros.
pub fn deflate_bomb(len: usize) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    let block = vec![0; 1 << 20];
    for _ in 0..len >> 20 {
        encoder.write_all(&block).expect("to memory");
    }
    part_10("1.2.840.10008.1.2.1.99", encoder.finish().expect("to memory"))
}

/// Encapsulated pixels: an empty offset table, the fragments, the delimiter.
pub fn fragments(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    header(&mut out, (0xFFFE, 0xE000), "", 0, true, false);
    for part in parts {
        let len = part.len().next_multiple_of(2);
        header(&mut out, (0xFFFE, 0xE000), "", len as u32, true, false);
        out.extend(*part);
        out.resize(out.len() + len - part.len(), 0);
    }
    header(&mut out, (0xFFFE, 0xE0DD), "", 0, true, false);
    out
}
