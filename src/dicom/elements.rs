//! The elements of a data set, walked without recursion (PS3.5 section 7).
//!
//! dicom-rs parses nested sequences by recursion without a limit, and an overflowing stack cannot be caught. So no
//! parser of it ever sees a file: this walk finds the top-level elements, steps over sequences of stated length
//! without looking into them, follows those of undefined length with a stack of its own that is bounded, and checks
//! every length against the bytes that exist before anything is read or reserved.

use dicom_core::Tag;

/// How deep sequences of undefined length may nest.
pub(super) const MAX_NESTING: usize = 64;
/// Values longer than this are stepped over even when they are asked for; no attribute of interest comes near.
const MAX_VALUE: usize = 64 << 10;

pub(super) const ITEM: Tag = Tag(0xFFFE, 0xE000);
pub(super) const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
pub(super) const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
pub(super) const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0008);
const DOUBLE_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0009);
pub(super) const MODALITY_LUTS: Tag = Tag(0x0028, 0x3000);
pub(super) const VOI_LUTS: Tag = Tag(0x0028, 0x3010);
pub(super) const UNDEFINED: u32 = u32::MAX;

pub(super) fn is_pixels(tag: Tag) -> bool {
    matches!(tag, PIXEL_DATA | FLOAT_PIXEL_DATA | DOUBLE_PIXEL_DATA)
}

/// A sequence that holds lookup tables of the picture.
pub(super) fn is_lut(tag: Tag) -> bool {
    matches!(tag, MODALITY_LUTS | VOI_LUTS)
}

/// Value representation, as two letters; zeros where the encoding does not say.
pub(super) type Vr = [u8; 2];

/// How element headers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coding {
    pub explicit: bool,
    pub big_endian: bool,
}

/// An element whose value lies in the bytes that were walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    pub tag: Tag,
    pub vr: Vr,
    pub start: usize,
    pub len: usize,
}

/// Where the pixels begin. The walk stops there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PixelElement {
    pub tag: Tag,
    pub vr: Vr,
    pub start: usize,
    /// `None` for fragments.
    pub len: Option<usize>,
}

/// A top-level sequence that is looked into later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    pub tag: Tag,
    /// Of the first item.
    pub start: usize,
    /// Of the value; of a sequence of undefined length the end of its delimiter.
    pub end: usize,
    /// Of the items.
    pub coding: Coding,
}

/// What a walk found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Walked {
    pub elements: Vec<Element>,
    pub pixels: Option<PixelElement>,
    /// The lookup tables of the picture.
    pub luts: Vec<Sequence>,
    /// How many top-level elements were seen, wanted or not.
    pub seen: usize,
    /// Things that the standard forbids and that could be stepped over.
    pub mended: bool,
}

/// Why a walk stopped early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// These bytes exist but are not at hand.
    NeedMore { offset: usize, len: usize },
    /// A length goes beyond the end of the data.
    Cut { tag: Option<Tag>, offset: usize, declared: usize },
    /// The bytes are no elements.
    Garbled { offset: usize, what: &'static str },
}

/// Parts of the data that were read, each with its offset.
pub(super) type Segments = Vec<(usize, Vec<u8>)>;

/// The bytes at hand of `total` bytes of data.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub segments: &'a [(usize, Vec<u8>)],
    pub total: usize,
}

impl<'a> Window<'a> {
    pub(super) fn get(&self, offset: usize, len: usize) -> Result<&'a [u8], Stop> {
        if offset.checked_add(len).is_none_or(|end| end > self.total) {
            return Err(Stop::Cut { tag: None, offset, declared: len });
        }
        let part = |(start, bytes): &'a (usize, Vec<u8>)| bytes.get(offset.checked_sub(*start)?..)?.get(..len);
        // The newest part is asked for most.
        self.segments.iter().rev().find_map(part).ok_or(Stop::NeedMore { offset, len })
    }
    fn u16(&self, offset: usize, big_endian: bool) -> Result<u16, Stop> {
        let b = self.get(offset, 2)?;
        let pair = [b.first().copied().unwrap_or(0), b.get(1).copied().unwrap_or(0)];
        Ok(if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    }
    fn u32(&self, offset: usize, big_endian: bool) -> Result<u32, Stop> {
        let (low, high) = (self.u16(offset, big_endian)?, self.u16(offset.saturating_add(2), big_endian)?);
        let (low, high) = if big_endian { (high, low) } else { (low, high) };
        Ok(u32::from(high) << 16 | u32::from(low))
    }
}

/// What precedes a value.
pub(super) struct Header {
    pub tag: Tag,
    pub vr: Vr,
    /// Offset of the value.
    pub start: usize,
    pub len: u32,
    mended: bool,
}

/// VRs whose length has 32 bits in explicit encoding (PS3.5 7.1.2).
fn has_long_length(vr: Vr) -> bool {
    matches!(&vr, b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV")
}

/// Any VR of PS3.5 6.2.
pub(super) fn is_vr(vr: Vr) -> bool {
    has_long_length(vr)
        || matches!(
            &vr,
            b"AE" | b"AS" | b"AT" | b"CS" | b"DA" | b"DS" | b"DT" | b"FD" | b"FL" | b"IS" | b"LO" | b"LT" | b"PN"
        )
        || matches!(&vr, b"SH" | b"SL" | b"SS" | b"ST" | b"TM" | b"UI" | b"UL" | b"US")
}

/// Reads the tag, type and length at an offset.
pub(super) fn read_header(w: &Window, at: usize, coding: Coding) -> Result<Header, Stop> {
    let big = coding.big_endian;
    let tag = Tag(w.u16(at, big)?, w.u16(at.saturating_add(2), big)?);
    let length_at = at.saturating_add(4);
    if tag.group() == 0xFFFE || !coding.explicit {
        let len = w.u32(length_at, big)?;
        return Ok(Header { tag, vr: [0, 0], start: at.saturating_add(8), len, mended: false });
    }
    let letters = w.get(length_at, 2)?;
    let vr = [letters.first().copied().unwrap_or(0), letters.get(1).copied().unwrap_or(0)];
    if has_long_length(vr) || (vr.iter().all(u8::is_ascii_uppercase) && !is_vr(vr)) {
        // A VR not known yet has the long form too (PS3.5 6.2.2).
        let len = w.u32(at.saturating_add(8), big)?;
        Ok(Header { tag, vr, start: at.saturating_add(12), len, mended: false })
    } else if is_vr(vr) {
        let len = w.u16(at.saturating_add(6), big)?;
        Ok(Header { tag, vr, start: at.saturating_add(8), len: u32::from(len), mended: false })
    } else {
        // Some writers leave single elements without a VR; they can be told by a length that fits.
        let len = w.u32(length_at, big)?;
        let start = at.saturating_add(8);
        let fits = usize::try_from(len).ok().and_then(|len| start.checked_add(len)).is_some_and(|end| end <= w.total);
        if fits {
            Ok(Header { tag, vr: [0, 0], start, len, mended: true })
        } else {
            Err(Stop::Garbled { offset: at, what: "an element without a valid type" })
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Sequence,
    Item,
}

/// An unknown sequence is written in implicit little endian (PS3.5 6.2.2 note 4).
fn coding_inside(header: &Header, coding: Coding) -> Coding {
    match &header.vr {
        b"UN" => Coding { explicit: false, big_endian: false },
        _ => coding,
    }
}

struct Walk<'a, 'w> {
    window: &'w Window<'a>,
    at: usize,
    stack: Vec<(Level, Coding)>,
    out: Walked,
}

/// Walks from `at` to the pixels or the end, and notes the top-level elements that `wanted` names. The first of several
/// with one tag counts.
pub(super) fn walk(window: &Window, at: usize, coding: Coding, wanted: impl Fn(Tag) -> bool) -> Result<Walked, Stop> {
    let mut walk = Walk { window, at, stack: Vec::new(), out: Walked::default() };
    loop {
        let done = match walk.stack.last().copied() {
            None => walk.top_level(coding, &wanted)?,
            Some((Level::Sequence, coding)) => walk.in_sequence(coding)?,
            Some((Level::Item, coding)) => walk.in_item(coding)?,
        };
        if walk.stack.is_empty()
            && let Some(open) = walk.out.luts.last_mut().filter(|sequence| sequence.end < sequence.start)
        {
            open.end = walk.at;
        }
        if done {
            return Ok(walk.out);
        }
    }
}

impl Walk<'_, '_> {
    fn end_of(&self, header: &Header) -> Result<usize, Stop> {
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        header.start.checked_add(len).filter(|end| *end <= self.window.total).ok_or(Stop::Cut {
            tag: Some(header.tag),
            offset: header.start,
            declared: len,
        })
    }

    /// True when the data are finished or the pixels reached.
    fn top_level(&mut self, coding: Coding, wanted: &impl Fn(Tag) -> bool) -> Result<bool, Stop> {
        let left = self.window.total.saturating_sub(self.at);
        if left < 8 {
            // Writers pad files with zeros.
            return match self.window.get(self.at, left)?.iter().all(|b| *b == 0) {
                true => Ok(true),
                false => Err(Stop::Cut { tag: None, offset: self.at, declared: 8 }),
            };
        }
        let header = read_header(self.window, self.at, coding)?;
        self.out.mended |= header.mended;
        self.out.seen += 1;
        if is_pixels(header.tag) {
            let len =
                if header.len == UNDEFINED { None } else { Some(usize::try_from(header.len).unwrap_or(usize::MAX)) };
            self.out.pixels = Some(PixelElement { tag: header.tag, vr: header.vr, start: header.start, len });
            return Ok(true);
        }
        if matches!(header.tag, ITEM_END | SEQUENCE_END) && header.len == 0 {
            self.out.mended = true;
            self.at = header.start;
            return Ok(false);
        }
        if header.len == UNDEFINED {
            // Its end is known when it has been walked.
            self.note_lut(&header, 0, coding);
            self.enter_sequence(&header, coding)?;
            return Ok(false);
        }
        let end = self.end_of(&header)?;
        self.note_lut(&header, end, coding);
        let len = end - header.start;
        if wanted(header.tag) && len <= MAX_VALUE {
            self.window.get(header.start, len)?;
            if self.out.elements.iter().all(|e| e.tag != header.tag) {
                self.out.elements.push(Element { tag: header.tag, vr: header.vr, start: header.start, len });
            }
        }
        self.at = end;
        Ok(false)
    }

    fn enter_sequence(&mut self, header: &Header, coding: Coding) -> Result<(), Stop> {
        if self.stack.len() / 2 >= MAX_NESTING {
            return Err(Stop::Garbled { offset: header.start, what: "sequences nested deeper than 64" });
        }
        self.stack.push((Level::Sequence, coding_inside(header, coding)));
        self.at = header.start;
        Ok(())
    }

    fn note_lut(&mut self, header: &Header, end: usize, coding: Coding) {
        if is_lut(header.tag) && self.out.luts.iter().all(|sequence| sequence.tag != header.tag) {
            let coding = coding_inside(header, coding);
            self.out.luts.push(Sequence { tag: header.tag, start: header.start, end, coding });
        }
    }

    fn in_sequence(&mut self, coding: Coding) -> Result<bool, Stop> {
        let header = read_header(self.window, self.at, coding)?;
        match header.tag {
            ITEM if header.len == UNDEFINED => {
                self.at = header.start;
                let coding = Coding { explicit: coding.explicit || self.looks_explicit()?, ..coding };
                self.stack.push((Level::Item, coding));
            }
            ITEM => self.at = self.end_of(&header)?,
            SEQUENCE_END => {
                self.stack.pop();
                self.at = header.start;
            }
            ITEM_END => {
                self.out.mended = true;
                self.at = header.start;
            }
            _ => {
                return Err(Stop::Garbled { offset: self.at, what: "a sequence that holds something else than items" });
            }
        }
        Ok(false)
    }

    fn looks_explicit(&self) -> Result<bool, Stop> {
        if self.window.total.saturating_sub(self.at) < 8 {
            return Ok(false);
        }
        Ok(self.window.get(self.at, 8)?.get(4..6).is_some_and(|b| b.try_into().is_ok_and(is_vr)))
    }

    fn in_item(&mut self, coding: Coding) -> Result<bool, Stop> {
        let header = read_header(self.window, self.at, coding)?;
        self.out.mended |= header.mended;
        match header.tag {
            ITEM_END => {
                self.stack.pop();
                self.at = header.start;
            }
            SEQUENCE_END => {
                self.out.mended = true;
                self.stack.pop();
                self.stack.pop();
                self.at = header.start;
            }
            ITEM => return Err(Stop::Garbled { offset: self.at, what: "an item inside an item" }),
            _ if header.len == UNDEFINED => self.enter_sequence(&header, coding)?,
            _ => self.at = self.end_of(&header)?,
        }
        Ok(false)
    }
}

/// Reads the elements of group 2 (always explicit little endian, PS3.10 7.1) and the offset behind them.
pub(super) fn walk_meta(window: &Window, mut at: usize) -> Result<(Vec<Element>, usize), Stop> {
    let coding = Coding { explicit: true, big_endian: false };
    let mut elements = Vec::new();
    while window.total.saturating_sub(at) >= 8 && window.u16(at, false)? == 2 {
        let header = read_header(window, at, coding)?;
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        let end = header.start.checked_add(len).filter(|end| *end <= window.total);
        let end = end.ok_or(Stop::Cut { tag: Some(header.tag), offset: header.start, declared: len })?;
        if len <= MAX_VALUE {
            window.get(header.start, len)?;
            elements.push(Element { tag: header.tag, vr: header.vr, start: header.start, len });
        }
        at = end;
    }
    Ok((elements, at))
}

/// More fragments than any object has; bounds what a file of nothing else makes us hold.
const MOST_FRAGMENTS: usize = 1 << 20;

/// Encapsulated pixels, each part as `(offset, length)` of its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Encapsulated {
    /// The Basic Offset Table, which may be empty.
    pub table: (usize, usize),
    pub fragments: Vec<(usize, usize)>,
}

/// The offset table and the fragments of encapsulated pixels (PS3.5 A.4).
/// `read` fills the eight bytes at an offset. Data that end without the closing delimiter were cut, even between two
/// fragments: how many more there were cannot be known.
pub(super) fn fragments<E>(
    start: usize,
    total: usize,
    big_endian: bool,
    mut read: impl FnMut(usize, &mut [u8; 8]) -> Result<(), E>,
) -> Result<Result<Encapsulated, Stop>, E> {
    let mut found = Encapsulated::default();
    let mut first = true;
    let mut at = start;
    loop {
        if total.saturating_sub(at) < 8 {
            return Ok(Err(Stop::Cut { tag: Some(PIXEL_DATA), offset: at, declared: 8 }));
        }
        let mut bytes = [0; 8];
        read(at, &mut bytes)?;
        let segments = [(0, bytes.to_vec())];
        let window = Window { segments: &segments, total: 8 };
        let header = match read_header(&window, 0, Coding { explicit: false, big_endian }) {
            Ok(header) => header,
            Err(stop) => return Ok(Err(stop)),
        };
        at += 8;
        match header.tag {
            SEQUENCE_END => return Ok(Ok(found)),
            ITEM => {
                let len = usize::try_from(header.len).unwrap_or(usize::MAX);
                let Some(end) = at.checked_add(len).filter(|end| *end <= total) else {
                    return Ok(Err(Stop::Cut { tag: Some(PIXEL_DATA), offset: at, declared: len }));
                };
                if first {
                    found.table = (at, len);
                } else if found.fragments.len() < MOST_FRAGMENTS {
                    found.fragments.push((at, len));
                } else {
                    return Ok(Err(Stop::Garbled { offset: at, what: "more than a million pixel fragments" }));
                }
                first = false;
                at = end;
            }
            _ => return Ok(Err(Stop::Garbled { offset: at - 8, what: "pixel fragments that are none" })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LE: Coding = Coding { explicit: true, big_endian: false };

    fn walk_all(bytes: &[u8]) -> Result<Walked, Stop> {
        walk(&Window { segments: &[(0, bytes.to_vec())], total: bytes.len() }, 0, LE, |_| true)
    }
    fn nested(depth: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..depth {
            bytes.extend([0x08, 0, 0x15, 0x11, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
            bytes.extend([0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
        }
        for _ in 0..depth {
            bytes.extend([0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0]);
            bytes.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        }
        bytes
    }

    #[test]
    fn nesting_is_bounded_at_64() {
        assert!(walk_all(&nested(64)).is_ok());
        assert!(matches!(walk_all(&nested(65)), Err(Stop::Garbled { .. })));
        assert!(matches!(walk_all(&nested(200_000)), Err(Stop::Garbled { .. })));
    }

    #[test]
    fn lengths_are_checked_against_what_exists() {
        let bytes = [0x08, 0, 0x60, 0, b'U', b'T', 0, 0, 0xF0, 0xFF, 0xFF, 0xFF, 1, 2];
        assert!(matches!(walk_all(&bytes), Err(Stop::Cut { declared: 0xFFFF_FFF0, .. })));
        let segments = [(0, vec![0x08, 0, 0x60, 0, b'C', b'S', 2, 0])];
        let window = Window { segments: &segments, total: 10 };
        assert_eq!(walk(&window, 0, LE, |_| true), Err(Stop::NeedMore { offset: 8, len: 2 }));
    }

    #[test]
    fn first_of_two_equal_tags_counts_and_zero_padding_ends() {
        let bytes = [8, 0, 0x60, 0, b'C', b'S', 2, 0, b'C', b'T', 8, 0, 0x60, 0, b'C', b'S', 2, 0, b'M', b'R', 0, 0, 0];
        let walked = walk_all(&bytes).expect("well formed");
        assert_eq!(walked.elements, vec![Element { tag: Tag(8, 0x60), vr: *b"CS", start: 8, len: 2 }]);
    }
}
