//! All attributes of one file as a list to read. Sequences are followed with a stack of its own, never by recursion, and
//! nothing is read or kept by an unchecked length.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_object::StandardDataDictionary;

use super::Problem;
use super::dataset::{self, CHARACTER_SET};
use super::elements::{
    Coding, Header, ITEM, ITEM_END, MAX_NESTING, SEQUENCE_END, Segments, Stop, UNDEFINED, Vr, Window, is_pixels, is_vr,
    read_header,
};
use super::source::Source;
use super::text::{self, Charset};
use crate::study::attributes::{Attribute, Attributes};

/// More lines than anybody reads; a multi-frame object may have hundreds of thousands.
const MAX_LINES: usize = 20_000;
/// Of one value, bytes.
const MAX_TEXT: usize = 16 << 10;
/// Of all values together, bytes.
const MAX_TEXT_IN_ALL: usize = 8 << 20;
/// Numbers of one value that are written out.
const MAX_NUMBERS: usize = 128;

/// See [`super::attributes`].
pub(super) fn list(mut source: Source) -> Result<Attributes, Problem> {
    let mut segments = vec![(0, source.head()?)];
    let preface = dataset::preface(&mut source, &mut segments)?;
    let mut listing = Listing::default();
    if let Some(meta) = preface.meta {
        let coding = Coding { explicit: true, big_endian: false };
        listing.run(&mut source, &mut segments, [meta, preface.start], coding, "file header")?;
    }
    let mut start = preface.start;
    if preface.syntax.deflated {
        source = source.inflate(start)?;
        segments = vec![(0, source.head()?)];
        start = 0;
    }
    if listing.out.note.is_none() {
        let coding = dataset::coding(&preface, &segments, start).0;
        let end = source.len();
        listing.run(&mut source, &mut segments, [start, end], coding, preface.syntax.name)?;
    }
    Ok(listing.out)
}

/// A sequence or an item that has been entered.
struct Open {
    is_item: bool,
    /// `None` where a delimiter ends it.
    end: Option<usize>,
    coding: Coding,
    line: usize,
    items: usize,
}

#[derive(Default)]
struct Listing {
    out: Attributes,
    at: usize,
    end: usize,
    stack: Vec<Open>,
    charset: Charset,
    text_bytes: usize,
    /// Numbers whose sign the pixels decide are signed.
    signed_pixels: bool,
}

impl Listing {
    fn run(
        &mut self,
        source: &mut Source,
        segments: &mut Segments,
        [start, end]: [usize; 2],
        coding: Coding,
        syntax: &str,
    ) -> Result<(), Problem> {
        (self.at, self.end) = (start, end);
        loop {
            let step = self.step(&Window { segments, total: source.len() }, coding);
            match step {
                Ok(true) => break,
                Ok(false) => {}
                Err(Stop::NeedMore { offset, len }) => source.fetch(segments, offset, len)?,
                Err(stop) => {
                    let why = dataset::stopped(&stop, syntax).text;
                    self.out.note = Some(format!("The list ends early, because the file is damaged: {why}."));
                    break;
                }
            }
            if self.out.lines.len() >= MAX_LINES || self.text_bytes >= MAX_TEXT_IN_ALL {
                let lines = self.out.lines.len();
                self.out.note =
                    Some(format!("Only the first {lines} lines are listed; the file has more than is kept."));
                break;
            }
        }
        while let Some(open) = self.stack.pop() {
            self.close(&open);
        }
        Ok(())
    }

    /// One header and, where it is to be shown, its value. Nothing changes before all bytes are at hand. True at the end.
    fn step(&mut self, w: &Window, top: Coding) -> Result<bool, Stop> {
        while let Some(open) = self.stack.pop_if(|open| open.end.is_some_and(|end| self.at >= end)) {
            self.close(&open);
        }
        let Some(open) = self.stack.last() else {
            let left = self.end.saturating_sub(self.at);
            // Writers pad files with zeros.
            if left == 0 || (left < 8 && w.get(self.at, left)?.iter().all(|b| *b == 0)) {
                return Ok(true);
            }
            return self.element(w, top);
        };
        let coding = open.coding;
        if open.is_item { self.element(w, coding) } else { self.item(w, coding) }
    }

    /// The end of a value, which must not lie behind that of what holds it.
    fn end_of(&self, header: &Header) -> Result<Option<usize>, Stop> {
        if header.len == UNDEFINED {
            return Ok(None);
        }
        let declared = usize::try_from(header.len).unwrap_or(usize::MAX);
        let end = header.start.checked_add(declared).filter(|end| *end <= self.end);
        let end = end.ok_or(Stop::Cut { tag: Some(header.tag), offset: header.start, declared })?;
        let holder = self.stack.iter().rev().find_map(|open| open.end);
        if holder.is_some_and(|holder| end > holder) {
            return Err(Stop::Garbled { offset: self.at, what: "bytes that reach beyond their sequence" });
        }
        Ok(Some(end))
    }

    fn element(&mut self, w: &Window, coding: Coding) -> Result<bool, Stop> {
        let header = read_header(w, self.at, coding)?;
        match header.tag {
            ITEM_END => {
                self.leave(1);
                self.at = header.start;
                return Ok(false);
            }
            SEQUENCE_END => {
                self.leave(2);
                self.at = header.start;
                return Ok(false);
            }
            ITEM => return Err(Stop::Garbled { offset: self.at, what: "an item inside an item" }),
            _ => {}
        }
        let end = self.end_of(&header)?;
        let (name, vr) = self.known(&header);
        if end.is_none() && is_pixels(header.tag) {
            self.line(Some(header.tag), name, vr, "fragments, which are not listed".to_owned(), false);
            return Ok(true);
        }
        if end.is_none() || &vr == b"SQ" {
            if self.stack.len() / 2 >= MAX_NESTING {
                return Err(Stop::Garbled { offset: header.start, what: "sequences nested deeper than 64" });
            }
            // An unknown sequence is written in implicit little endian (PS3.5 6.2.2 note 4).
            let unknown = &header.vr == b"UN";
            let inner = if unknown { Coding { explicit: false, big_endian: false } } else { coding };
            let line = self.line(Some(header.tag), name, *b"SQ", String::new(), true);
            self.stack.push(Open { is_item: false, end, coding: inner, line, items: 0 });
            self.at = header.start;
            return Ok(false);
        }
        let len = end.map_or(0, |end| end - header.start);
        let value = self.value(w, &header, vr, len, coding.big_endian)?;
        self.line(Some(header.tag), name, vr, value, false);
        self.at = header.start + len;
        Ok(false)
    }

    fn item(&mut self, w: &Window, coding: Coding) -> Result<bool, Stop> {
        let header = read_header(w, self.at, coding)?;
        match header.tag {
            ITEM => {
                let end = self.end_of(&header)?;
                let vr_there = |bytes: &[u8]| bytes.get(4..6).is_some_and(|vr| vr.try_into().is_ok_and(is_vr));
                let room = w.total.saturating_sub(header.start) >= 8 && end.is_none_or(|end| end >= header.start + 8);
                let explicit = coding.explicit || (room && vr_there(w.get(header.start, 8)?));
                let number = self.stack.last_mut().map_or(1, |open| {
                    open.items += 1;
                    open.items
                });
                let line = self.line(None, format!("Item {number}"), [0, 0], String::new(), true);
                self.stack.push(Open { is_item: true, end, coding: Coding { explicit, ..coding }, line, items: 0 });
            }
            SEQUENCE_END => self.leave(1),
            ITEM_END => {}
            _ => {
                return Err(Stop::Garbled { offset: self.at, what: "a sequence that holds something else than items" });
            }
        }
        self.at = header.start;
        Ok(false)
    }

    fn leave(&mut self, levels: usize) {
        for _ in 0..levels {
            if let Some(open) = self.stack.pop() {
                self.close(&open);
            }
        }
    }

    fn close(&mut self, open: &Open) {
        if let Some(line) = self.out.lines.get_mut(open.line).filter(|_| !open.is_item) {
            line.value = if open.items == 1 { "1 item".to_owned() } else { format!("{} items", open.items) };
        }
    }

    fn line(&mut self, tag: Option<Tag>, name: String, vr: Vr, value: String, holds_others: bool) -> usize {
        let parent = self.stack.last().map(|open| open.line);
        let above = parent.and_then(|p| self.out.lines.get(p)).map_or(0xCBF2_9CE4_8422_2325, |line| line.key);
        // FNV-1a over the way from the top.
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        let numbers = tag.map(|tag| [tag.group(), tag.element()]);
        let key = match numbers {
            Some(pair) => pair.iter().flat_map(|n| n.to_le_bytes()).fold(above, fold),
            None => name.bytes().fold(above, fold),
        };
        self.text_bytes += value.len();
        let vr = String::from_utf8_lossy(&vr).trim_matches('\0').to_owned();
        let depth = self.stack.len();
        self.out.lines.push(Attribute { depth, parent, key, tag: numbers, name, vr, value, holds_others });
        self.out.lines.len() - 1
    }

    /// Keyword, and the VR of the file or, where it has none, of the dictionary.
    fn known(&self, header: &Header) -> (String, Vr) {
        let tag = header.tag;
        let private = tag.group() % 2 == 1;
        let entry = StandardDataDictionary.by_tag(tag).filter(|_| !private);
        let name = match entry {
            Some(entry) => entry.alias().to_owned(),
            None if private && (0x10..=0xFF).contains(&tag.element()) => "private creator".to_owned(),
            None if private => "private attribute".to_owned(),
            None => "not in the dictionary".to_owned(),
        };
        if header.vr != [0, 0] {
            return (name, header.vr);
        }
        let vr = match entry.map(DataDictionaryEntry::vr) {
            Some(VirtualVr::Exact(vr)) => vr,
            Some(VirtualVr::Xs) if self.signed_pixels => VR::SS,
            Some(VirtualVr::Xs) => VR::US,
            Some(VirtualVr::Ox | VirtualVr::Px | VirtualVr::Lt) => VR::OW,
            None if private && (0x10..=0xFF).contains(&tag.element()) => VR::LO,
            _ => VR::UN,
        };
        (name, vr.to_bytes())
    }

    fn value(&mut self, w: &Window, header: &Header, vr: Vr, len: usize, big: bool) -> Result<String, Stop> {
        let size = match &vr {
            b"US" | b"SS" => 2,
            b"UL" | b"SL" | b"FL" | b"AT" => 4,
            b"UV" | b"SV" | b"FD" => 8,
            b"OB" | b"OW" | b"OD" | b"OF" | b"OL" | b"OV" | b"SQ" => return Ok(in_bytes(len)),
            _ => 0,
        };
        if let Some(count) = len.checked_div(size) {
            let written = count.min(MAX_NUMBERS);
            let bytes = w.get(header.start, written * size)?;
            let numbers: Vec<String> = bytes.chunks_exact(size).filter_map(|chunk| number(chunk, vr, big)).collect();
            self.signed_pixels |= header.tag == Tag(0x28, 0x103) && numbers.first().is_some_and(|n| n == "1");
            let more = if count > written { format!(" ... {count} numbers") } else { String::new() };
            return Ok(numbers.join("\\") + &more);
        }
        let bytes = w.get(header.start, len.min(MAX_TEXT))?;
        if &vr == b"UN" && !bytes.iter().all(|b| *b == 0 || *b == b' ' || b.is_ascii_graphic()) {
            return Ok(in_bytes(len));
        }
        // Lines of a longer text follow each other here.
        let one_line: Vec<u8> =
            bytes.iter().map(|b| if matches!(b, b'\r' | b'\n' | b'\t' | 0x0C) { b' ' } else { *b }).collect();
        let (value, _) = match &vr {
            b"LO" | b"PN" | b"SH" | b"ST" | b"LT" | b"UT" | b"UC" => self.charset.decode(&one_line),
            _ => (text::plain(&one_line), false),
        };
        if header.tag == CHARACTER_SET && self.stack.is_empty() {
            self.charset = Charset::from_value(&value);
        }
        Ok(if len > MAX_TEXT { format!("{value} ... (the first {MAX_TEXT} of {len} bytes)") } else { value })
    }
}

fn in_bytes(len: usize) -> String {
    if len == 1 { "1 byte".to_owned() } else { format!("{len} bytes") }
}

fn number(bytes: &[u8], vr: Vr, big: bool) -> Option<String> {
    let mut le = bytes.to_vec();
    if big {
        le.reverse();
    }
    let two = || le.first_chunk::<2>().copied();
    let four = || le.first_chunk::<4>().copied();
    let eight = || le.first_chunk::<8>().copied();
    Some(match &vr {
        b"US" => u16::from_le_bytes(two()?).to_string(),
        b"SS" => i16::from_le_bytes(two()?).to_string(),
        b"UL" => u32::from_le_bytes(four()?).to_string(),
        b"SL" => i32::from_le_bytes(four()?).to_string(),
        b"FL" => f32::from_le_bytes(four()?).to_string(),
        b"UV" => u64::from_le_bytes(eight()?).to_string(),
        b"SV" => i64::from_le_bytes(eight()?).to_string(),
        b"FD" => f64::from_le_bytes(eight()?).to_string(),
        b"AT" => {
            // Two numbers of two bytes, each in the data set's order.
            let word = |at: usize| {
                let pair: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
                Some(if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
            };
            format!("({:04X},{:04X})", word(0)?, word(2)?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::fixtures::{Elements, enhanced_ct};

    fn listed(bytes: &[u8]) -> Attributes {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        list(Source::open(file.path(), None).expect("opened")).expect("DICOM")
    }
    fn value<'a>(all: &'a Attributes, name: &str) -> &'a str {
        all.lines.iter().find(|line| line.name == name).map_or("no such line", |line| line.value.as_str())
    }

    #[test]
    fn sequences_of_both_lengths_are_followed() {
        for defined in [true, false] {
            let all = listed(&enhanced_ct(3, defined).file());
            assert_eq!(all.note, None);
            assert_eq!(value(&all, "PatientName"), "TEST^FRAMES");
            assert_eq!(value(&all, "Rows"), "4");
            assert_eq!(value(&all, "PerFrameFunctionalGroupsSequence"), "3 items");
            assert_eq!(value(&all, "PixelData"), "144 bytes");
            assert_eq!(value(&all, "TransferSyntaxUID"), "1.2.840.10008.1.2.1");
            let positions: Vec<&Attribute> =
                all.lines.iter().filter(|line| line.name == "ImagePositionPatient").collect();
            assert_eq!(positions.len(), 3);
            assert_eq!((positions[2].value.as_str(), positions[2].depth), ("-10\\-20\\4", 4));
            let holder = positions[2].parent.and_then(|p| all.lines[p].parent).expect("two levels");
            assert_eq!(all.lines[holder].name, "PlanePositionSequence");
            let keys: std::collections::BTreeSet<u64> = all.lines.iter().map(|line| line.key).collect();
            assert_eq!(keys.len(), all.lines.len(), "every place has its own key");
        }
    }

    #[test]
    fn what_is_damaged_or_endless_ends_the_list_with_a_sentence() {
        let whole = Elements::new(true).text(8, 0x60, "CS", "CT").text(0x10, 0x10, "PN", "DOE^JANE").file();
        let all = listed(&whole[..whole.len() - 4]);
        assert!(all.note.as_deref().is_some_and(|n| n.contains("ends early")), "{:?}", all.note);
        assert_eq!(value(&all, "Modality"), "CT");
        let long = "x".repeat(40_000);
        let all =
            listed(&Elements::new(true).text(8, 0x60, "CS", "CT").raw(0x20, 0x4000, "UT", long.as_bytes()).file());
        assert!(value(&all, "ImageComments").ends_with("(the first 16384 of 40000 bytes)"));
        let mut many = Elements::new(true).text(8, 0x60, "CS", "CT");
        let items: Vec<Elements> =
            (0..MAX_LINES).map(|_| Elements::new(true).text(8, 0x1155, "UI", "2.25.1")).collect();
        many = many.sequence(8, 0x1140, &items);
        let all = listed(&many.file());
        assert_eq!(all.lines.len(), MAX_LINES);
        assert!(all.note.as_deref().is_some_and(|n| n.contains("Only the first")), "{:?}", all.note);
    }

    #[test]
    fn numbers_tags_private_and_binary_values_read_well() {
        let bytes = Elements::new(true)
            .text(8, 0x60, "CS", "CT")
            .raw(9, 0x10, "LO", b"ACME")
            .raw(9, 0x1001, "UN", &[1, 2, 3, 4])
            .raw(9, 0x1002, "UN", b"plain ")
            .raw(0x18, 0x9310, "FD", &1.5f64.to_le_bytes())
            .raw(0x20, 0x5000, "AT", &[0x18, 0, 0x50, 0])
            .raw(0x20, 0x4000, "LT", b"two\r\nlines ")
            .file();
        let all = listed(&bytes);
        let values: Vec<&str> = all.lines.iter().skip_while(|l| l.tag != Some([8, 0x60])).map(|l| &*l.value).collect();
        assert_eq!(values, ["CT", "ACME", "4 bytes", "plain", "1.5", "(0018,0050)", "two  lines"]);
        assert_eq!((value(&all, "private creator"), value(&all, "private attribute")), ("ACME", "4 bytes"));
    }
}
