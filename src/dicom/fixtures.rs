//! Small multi-frame objects for tests, written byte by byte so that no reader of ours wrote them.

use std::path::Path;

/// Rows and columns of nearly all.
const SIZE: [u16; 2] = [4, 6];

/// Elements of one level, Explicit VR Little Endian.
#[derive(Clone, Default)]
pub(crate) struct Elements {
    bytes: Vec<u8>,
    /// Sequences and items say how long they are, or end with delimiters.
    defined: bool,
}

impl Elements {
    pub(crate) fn new(defined: bool) -> Self {
        Self { bytes: Vec::new(), defined }
    }
    fn head(&mut self, group: u16, element: u16, vr: &str) {
        self.bytes.extend(group.to_le_bytes());
        self.bytes.extend(element.to_le_bytes());
        self.bytes.extend(vr.as_bytes());
    }
    pub(crate) fn raw(mut self, group: u16, element: u16, vr: &str, value: &[u8]) -> Self {
        self.head(group, element, vr);
        let len = value.len().next_multiple_of(2);
        match vr {
            "OB" | "OV" | "OW" | "UN" | "UT" => {
                self.bytes.extend([0, 0]);
                self.bytes.extend(u32::try_from(len).expect("short").to_le_bytes());
            }
            _ => self.bytes.extend(u16::try_from(len).expect("short").to_le_bytes()),
        }
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len() + len - value.len(), if vr == "UI" { 0 } else { b' ' });
        self
    }
    pub(crate) fn text(self, group: u16, element: u16, vr: &str, value: &str) -> Self {
        self.raw(group, element, vr, value.as_bytes())
    }
    pub(crate) fn word(self, group: u16, element: u16, value: u16) -> Self {
        self.raw(group, element, "US", &value.to_le_bytes())
    }
    pub(crate) fn sequence(mut self, group: u16, element: u16, items: &[Self]) -> Self {
        let defined = self.defined;
        let length = |n: usize| if defined { u32::try_from(n).expect("short") } else { u32::MAX }.to_le_bytes();
        let mut inside = Vec::new();
        for item in items {
            inside.extend([0xFE, 0xFF, 0x00, 0xE0]);
            inside.extend(length(item.bytes.len()));
            inside.extend(&item.bytes);
            if !defined {
                inside.extend([0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0]);
            }
        }
        self.head(group, element, "SQ");
        self.bytes.extend([0, 0]);
        self.bytes.extend(length(inside.len()));
        self.bytes.extend(inside);
        if !defined {
            self.bytes.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        }
        self
    }
    /// Grey frames.
    fn picture(self, frames: usize, [rows, columns]: [u16; 2]) -> Self {
        self.word(0x28, 0x02, 1)
            .text(0x28, 0x04, "CS", "MONOCHROME2")
            .text(0x28, 0x08, "IS", &frames.to_string())
            .word(0x28, 0x10, rows)
            .word(0x28, 0x11, columns)
    }
    /// Encapsulated pixels: the offset table, the fragments, the delimiter.
    pub(crate) fn encapsulated(mut self, table: &[u32], fragments: &[&[u8]]) -> Self {
        self.head(0x7FE0, 0x10, "OB");
        self.bytes.extend([0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        let table: Vec<u8> = table.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        for part in std::iter::once(table.as_slice()).chain(fragments.iter().copied()) {
            let len = part.len().next_multiple_of(2);
            self.bytes.extend([0xFE, 0xFF, 0x00, 0xE0]);
            self.bytes.extend(u32::try_from(len).expect("short").to_le_bytes());
            self.bytes.extend(part);
            self.bytes.resize(self.bytes.len() + len - part.len(), 0);
        }
        self.bytes.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        self
    }
    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.file()).expect("written");
    }
    /// With preamble and file header.
    pub(crate) fn file(&self) -> Vec<u8> {
        self.file_in("1.2.840.10008.1.2.1")
    }
    /// As [`Elements::file`], with another transfer syntax named.
    pub(crate) fn file_in(&self, syntax: &str) -> Vec<u8> {
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        let meta = Self::default().text(2, 0x10, "UI", syntax);
        file.extend(&meta.bytes);
        file.extend(&self.bytes);
        file
    }
}

/// The value of every pixel of a frame (0-based) of [`enhanced_ct`], HU.
pub(crate) fn hu_of(frame: usize) -> i16 {
    i16::try_from(100 * frame).expect("few frames") - 1000
}

fn ct_head(defined: bool, class: &str, frames: usize, size: [u16; 2]) -> Elements {
    Elements::new(defined)
        .text(0x08, 0x08, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE")
        .text(0x08, 0x16, "UI", class)
        .text(0x08, 0x18, "UI", "2.25.71")
        .text(0x08, 0x60, "CS", "CT")
        .text(0x10, 0x10, "PN", "TEST^FRAMES")
        .text(0x10, 0x20, "LO", "T1")
        .text(0x20, 0x0D, "UI", "2.25.70")
        .text(0x20, 0x0E, "UI", "2.25.72")
        .text(0x20, 0x52, "UI", "2.25.73")
        .picture(frames, size)
}

/// BitsAllocated, BitsStored, HighBit, PixelRepresentation of nearly all.
const DEPTH: [u16; 4] = [16, 16, 15, 0];

fn ct_depth(elements: Elements, depth: [u16; 4]) -> Elements {
    (0x100..).zip(depth).fold(elements, |all, (element, value)| all.word(0x28, element, value))
}

/// What is stored of a frame: half of 1000 more than the HU, so that the rescale of each frame matters.
fn stored(frame: usize) -> u16 {
    u16::try_from(50 * frame).expect("few")
}

fn ct_pixels(frames: usize) -> Vec<u8> {
    (0..frames).flat_map(|f| std::iter::repeat_n(stored(f), 24)).flat_map(u16::to_le_bytes).collect()
}

/// A frame of [`enhanced_ct`] in RLE Lossless (PS3.5 annex G): one run for the high bytes, one for the low.
pub(crate) fn rle_frame(frame: usize) -> Vec<u8> {
    let [low, high] = stored(frame).to_le_bytes();
    let mut bytes: Vec<u8> = [2u32, 64, 66].iter().flat_map(|n| n.to_le_bytes()).collect();
    bytes.resize(64, 0);
    bytes.extend([233, high, 233, low]);
    bytes
}

/// An enhanced CT of 4 x 6 pixels; frames lie 2 mm apart and are stored from the feet.
pub(crate) fn enhanced_ct(frames: usize, defined: bool) -> Elements {
    enhanced_ct_head(frames, defined, SIZE).raw(0x7FE0, 0x10, "OW", &ct_pixels(frames))
}

/// [`enhanced_ct`] without its pixels, of any rows and columns.
pub(crate) fn enhanced_ct_head(frames: usize, defined: bool, size: [u16; 2]) -> Elements {
    let per_frame: Vec<Elements> = (0..frames).map(|f| frame_group(f, defined)).collect();
    enhanced_ct_of(&per_frame, defined, size, DEPTH)
}

/// What a frame of [`enhanced_ct`] says of itself.
pub(crate) fn frame_group(frame: usize, defined: bool) -> Elements {
    let position = format!("-10\\-20\\{}", 2 * frame);
    let position = Elements::new(defined).text(0x20, 0x32, "DS", &position);
    Elements::new(defined).sequence(0x20, 0x9113, &[position])
}

/// [`enhanced_ct`] without its pixels, with any groups of frames and any depth.
pub(crate) fn enhanced_ct_of(per_frame: &[Elements], defined: bool, size: [u16; 2], depth: [u16; 4]) -> Elements {
    let item = || Elements::new(defined);
    let measures = item().text(0x18, 0x50, "DS", "2").text(0x28, 0x30, "DS", "0.5\\0.75");
    let values = item().text(0x28, 0x1052, "DS", "-1000").text(0x28, 0x1053, "DS", "2");
    let shared = item()
        .sequence(0x20, 0x9116, &[item().text(0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0")])
        .sequence(0x28, 0x9110, &[measures])
        .sequence(0x28, 0x9145, &[values]);
    ct_depth(ct_head(defined, "1.2.840.10008.5.1.4.1.1.2.1", per_frame.len(), size), depth)
        .sequence(0x5200, 0x9229, &[shared])
        .sequence(0x5200, 0x9230, per_frame)
}

/// An enhanced CT whose positions are taken several times, one time after the other. `content` gives what a frame says of
/// itself (FrameContentSequence) by its number in time; `top` adds to the object.
pub(crate) fn enhanced_4d(
    places: usize,
    times: usize,
    top: Elements,
    content: fn(usize, usize) -> Elements,
) -> Elements {
    let item = || Elements::new(true);
    let shared = item()
        .sequence(0x20, 0x9116, &[item().text(0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0")])
        .sequence(0x28, 0x9110, &[item().text(0x28, 0x30, "DS", "0.5\\0.75")])
        .sequence(0x28, 0x9145, &[item().text(0x28, 0x1052, "DS", "-1000").text(0x28, 0x1053, "DS", "2")]);
    let frame = |f: usize| {
        let position = format!("-10\\-20\\{}", 2 * (f % places));
        item().sequence(0x20, 0x9111, &[content(f / places, f % places)]).sequence(
            0x20,
            0x9113,
            &[item().text(0x20, 0x32, "DS", &position)],
        )
    };
    let frames = places * times;
    let per_frame: Vec<Elements> = (0..frames).map(frame).collect();
    let mut head = ct_depth(ct_head(true, "1.2.840.10008.5.1.4.1.1.2.1", frames, SIZE), DEPTH);
    head.bytes.extend(top.bytes);
    head.sequence(0x5200, 0x9229, &[shared]).sequence(0x5200, 0x9230, &per_frame).raw(
        0x7FE0,
        0x10,
        "OW",
        &ct_pixels(frames),
    )
}

/// The same as a flat object: one place, one distance, everything at the top level.
pub(crate) fn flat_ct(frames: usize) -> Elements {
    let mut head = Elements::new(true)
        .text(0x08, 0x08, "CS", "DERIVED\\PRIMARY\\AXIAL")
        .text(0x08, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.2")
        .text(0x08, 0x18, "UI", "2.25.71")
        .text(0x08, 0x60, "CS", "CT")
        .text(0x18, 0x50, "DS", "2")
        .text(0x18, 0x88, "DS", "2")
        .text(0x20, 0x0D, "UI", "2.25.70")
        .text(0x20, 0x0E, "UI", "2.25.72")
        .text(0x20, 0x32, "DS", "-10\\-20\\0")
        .text(0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0")
        .picture(frames, SIZE)
        .text(0x28, 0x30, "DS", "0.5\\0.75");
    head = ct_depth(head, DEPTH).text(0x28, 0x1052, "DS", "-1000").text(0x28, 0x1053, "DS", "2");
    head.raw(0x7FE0, 0x10, "OW", &ct_pixels(frames))
}

/// A binary segmentation with one frame for each of some frames of [`enhanced_ct`]; `set` says which pixels (row-major).
pub(crate) fn segmentation(on_frames: &[usize], by_reference: bool, set: &[usize]) -> Elements {
    let item = || Elements::new(false);
    let frame = |f: &usize| match by_reference {
        true => {
            let source = item().text(0x08, 0x1155, "UI", "2.25.71").text(0x08, 0x1160, "IS", &(f + 1).to_string());
            item().sequence(0x08, 0x9124, &[item().sequence(0x08, 0x2112, &[source])])
        }
        false => {
            let position = format!("-10\\-20\\{}", 2 * f);
            item().sequence(0x20, 0x9113, &[item().text(0x20, 0x32, "DS", &position)])
        }
    };
    let frames: Vec<Elements> = on_frames.iter().map(frame).collect();
    let mut bits = vec![0u8; (24 * on_frames.len()).div_ceil(8)];
    for at in (0..on_frames.len()).flat_map(|f| set.iter().map(move |p| 24 * f + p)) {
        bits[at / 8] |= 1 << (at % 8);
    }
    Elements::new(false)
        .text(0x08, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.66.4")
        .text(0x08, 0x18, "UI", "2.25.81")
        .text(0x08, 0x60, "CS", "SEG")
        .sequence(0x08, 0x1115, &[item().text(0x20, 0x0E, "UI", "2.25.72")])
        .text(0x20, 0x0D, "UI", "2.25.70")
        .text(0x20, 0x0E, "UI", "2.25.82")
        .word(0x28, 0x02, 1)
        .text(0x28, 0x04, "CS", "MONOCHROME2")
        .text(0x28, 0x08, "IS", &on_frames.len().to_string())
        .word(0x28, 0x10, 4)
        .word(0x28, 0x11, 6)
        .word(0x28, 0x100, 1)
        .word(0x28, 0x101, 1)
        .word(0x28, 0x102, 0)
        .word(0x28, 0x103, 0)
        .text(0x62, 0x01, "CS", "BINARY")
        .sequence(0x5200, 0x9230, &frames)
        .raw(0x7FE0, 0x10, "OB", &bits)
}

/// An archive in a folder that stores one object.
pub(crate) fn packed(folder: &std::path::Path, object: &[u8]) -> std::path::PathBuf {
    use std::io::Write as _;
    let path = folder.join("a.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).expect("made"));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("CT/object.dcm", stored).expect("begun");
    archive.write_all(object).expect("written");
    archive.finish().expect("closed");
    path
}
