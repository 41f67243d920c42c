//! Finds the data set in a file and reads single attributes of it.

use dicom_core::Tag;

use super::Problem;
use super::elements::{self, Coding, Element, PixelElement, Segments, Sequence, Stop, Vr, Window, walk, walk_meta};
use super::source::Source;
use super::syntax::{EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Syntax};
use super::text::{self, Charset};
use crate::study::Kind;

const TRANSFER_SYNTAX: Tag = Tag(0x0002, 0x0010);
const MEDIA_STORAGE_CLASS: Tag = Tag(0x0002, 0x0002);
pub(super) const CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const DIRECTORY_RECORDS: Tag = Tag(0x0004, 0x1220);
const DIRECTORY_CLASS: &str = "1.2.840.10008.1.3.10";
const COPY_AGAIN: &str = "copy it again from its source";

/// The attributes before the pixels, and where the pixels are.
pub(super) struct DataSet {
    pub syntax: Syntax,
    pub coding: Coding,
    pub pixels: Option<PixelElement>,
    /// What was wrong with the file and could be mended.
    pub mended: Option<&'static str>,
    pub is_directory: bool,
    /// Offset of the first element.
    pub start: usize,
    segments: Segments,
    total: usize,
    elements: Vec<Element>,
    luts: Vec<Sequence>,
    charset: Charset,
}

/// What precedes a data set.
pub(super) struct Preface {
    /// Offset of the file header's elements, where there is one.
    pub meta: Option<usize>,
    /// Offset of the data set.
    pub start: usize,
    pub syntax: Syntax,
    class: String,
    mended: Option<&'static str>,
    /// There was no file header; failing to walk on means that the file is no DICOM.
    guessed: bool,
}

/// Reads everything before the pixels that `wanted` names. For a deflated data set `source` becomes what it inflated to.
pub(super) fn read(mut source: Source, wanted: impl Fn(Tag) -> bool) -> Result<(DataSet, Source), Problem> {
    if source.len() == 0 {
        return Err(Problem::new(Kind::NotDicom, "it is empty; copy it again from its source"));
    }
    let mut segments = vec![(0, source.head()?)];
    let preface = preface(&mut source, &mut segments)?;
    let mut start = preface.start;
    if preface.syntax.deflated {
        source = source.inflate(start)?;
        segments = vec![(0, source.head()?)];
        start = 0;
    }
    if source.len() == start {
        return Err(Problem::new(
            Kind::Truncated,
            format!("it ends after the file header, without a data set; {COPY_AGAIN}"),
        ));
    }
    let (coding, mislabelled) = coding(&preface, &segments, start);
    let wanted = |tag: Tag| tag == CHARACTER_SET || tag == DIRECTORY_RECORDS || wanted(tag);
    let walked = loop {
        match walk(&Window { segments: &segments, total: source.len() }, start, coding, wanted) {
            Err(Stop::NeedMore { offset, len }) => source.fetch(&mut segments, offset, len)?,
            Err(stop) if !preface.guessed => return Err(stopped(&stop, preface.syntax.name)),
            Err(_) => return Err(not_dicom(first_of(&segments))),
            Ok(walked) => break walked,
        }
    };
    if preface.guessed && walked.seen < 3 {
        return Err(not_dicom(first_of(&segments)));
    }
    let mut data = DataSet {
        syntax: preface.syntax,
        coding,
        pixels: walked.pixels,
        mended: preface
            .mended
            .or(mislabelled)
            .or(walked.mended.then_some("a broken sequence or type was stepped over")),
        is_directory: preface.class == DIRECTORY_CLASS,
        start,
        segments,
        total: source.len(),
        elements: walked.elements,
        luts: walked.luts,
        charset: Charset::default(),
    };
    data.is_directory |= data.value(DIRECTORY_RECORDS).is_some();
    data.charset = Charset::from_value(&data.plain(CHARACTER_SET));
    Ok((data, source))
}

/// A problem in words for a walk that stopped.
pub(super) fn stopped(stop: &Stop, syntax: &str) -> Problem {
    match stop {
        Stop::NeedMore { offset, .. } | Stop::Cut { tag: None, offset, .. } => {
            Problem::new(Kind::Truncated, format!("it ends inside an attribute at byte {offset}; {COPY_AGAIN}"))
        }
        Stop::Cut { tag: Some(tag), offset, declared } => Problem::new(
            Kind::Truncated,
            format!(
                "attribute {tag} at byte {offset} declares {declared} bytes, more than the file holds; {COPY_AGAIN}"
            ),
        ),
        Stop::Garbled { offset, what } => Problem::new(
            Kind::Corrupt,
            format!("at byte {offset} there are {what} (read as {syntax}); {COPY_AGAIN} or export it anew"),
        ),
    }
}

/// The beginning of the data.
fn first_of(segments: &Segments) -> &[u8] {
    segments.first().map_or(&[], |(_, bytes)| bytes.as_slice())
}

fn group_at(head: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(head.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn vr_at(head: &[u8], at: usize) -> Option<Vr> {
    head.get(at.checked_add(4)?..at.checked_add(6)?)?.try_into().ok()
}

pub(super) fn preface(source: &mut Source, segments: &mut Segments) -> Result<Preface, Problem> {
    let head = first_of(segments);
    let has_preamble = head.get(128..132) == Some(b"DICM");
    let (at, mended) = if has_preamble && (group_at(head, 132) == Some(2) || head.len() == 132) {
        (132, None)
    } else if head.starts_with(b"DICM") && group_at(head, 4) == Some(2) {
        (4, Some("the 128 bytes before the mark DICM are missing"))
    } else if group_at(head, 0) == Some(2) && vr_at(head, 0).is_some_and(elements::is_vr) {
        (0, Some("the file begins without preamble"))
    } else {
        return bare(head, has_preamble);
    };
    let (meta, start) = loop {
        match walk_meta(&Window { segments, total: source.len() }, at) {
            Err(Stop::NeedMore { offset, len }) => source.fetch(segments, offset, len)?,
            Err(stop) => return Err(stopped(&stop, "file header")),
            Ok(found) => break found,
        }
    };
    if start == source.len() || (start == at && source.len() < at + 8) {
        return Err(Problem::new(
            Kind::Truncated,
            format!("it ends after the file header, without a data set; {COPY_AGAIN}"),
        ));
    }
    let plain = |tag: Tag| -> String {
        let element = meta.iter().find(|e| e.tag == tag);
        let window = Window { segments, total: source.len() };
        let bytes = element.and_then(|e| window.get(e.start, e.len).ok()).unwrap_or_default();
        text::plain(bytes)
    };
    let uid = plain(TRANSFER_SYNTAX);
    if uid.is_empty() {
        return Err(Problem::new(
            Kind::Corrupt,
            "its file header names no transfer syntax, so the pixels cannot be read safely; export it anew",
        ));
    }
    let syntax = Syntax::find(&uid).ok_or_else(|| {
        Problem::new(
            Kind::UnsupportedTransferSyntax,
            format!("its transfer syntax {uid} is not known to this program; export it as Explicit VR Little Endian"),
        )
    })?;
    Ok(Preface { meta: Some(at), start, syntax, class: plain(MEDIA_STORAGE_CLASS), mended, guessed: false })
}

/// A data set without a file header: told by its first element, which is of group 8 nearly always.
fn bare(head: &[u8], has_preamble: bool) -> Result<Preface, Problem> {
    let starts = [0, 132].into_iter().take(if has_preamble { 2 } else { 1 });
    for start in starts {
        let Some(first) = head.get(start..).and_then(|rest| rest.first_chunk::<8>()) else { continue };
        let [g0, g1, e0, e1, v0, v1, ..] = *first;
        let explicit = elements::is_vr([v0, v1]);
        let length = u32::from_le_bytes([v0, v1, first[6], first[7]]);
        let syntax = match ([g0, g1], explicit) {
            ([8, 0], true) if e1 <= 0x10 => EXPLICIT_LE,
            ([0, 8], true) if e0 <= 0x10 => EXPLICIT_BE,
            ([8, 0], false) if e1 <= 0x10 && length <= 0x1000 => IMPLICIT_LE,
            _ => continue,
        };
        let mended = Some("the file has no DICOM file header; its encoding was recognised from its content");
        return Ok(Preface { meta: None, start, syntax, class: String::new(), mended, guessed: true });
    }
    match has_preamble {
        true => Err(Problem::new(
            Kind::Corrupt,
            format!("the mark DICM is there, but no DICOM data follow it; {COPY_AGAIN}"),
        )),
        false => Err(not_dicom(head)),
    }
}

/// What the first element shows, and a note when that differs from what the file header says.
pub(super) fn coding(preface: &Preface, segments: &Segments, start: usize) -> (Coding, Option<&'static str>) {
    let stated = Coding { explicit: !preface.syntax.implicit, big_endian: preface.syntax.big_endian };
    let head = first_of(segments);
    let Some(vr) = vr_at(head, start) else { return (stated, None) };
    let explicit = elements::is_vr(vr);
    // Group 8 first: a length that reads as two letters would be at least 16 kB there, which no first element has.
    let little = group_at(head, start) == Some(8);
    match (stated.explicit, explicit) {
        (false, true) if little => (
            Coding { explicit: true, big_endian: false },
            Some("the file header says Implicit VR, the data are Explicit VR; they were read as they are"),
        ),
        (true, false) if little && !stated.big_endian && vr != [0, 0] && vr[1] == 0 => (
            Coding { explicit: false, big_endian: false },
            Some("the file header says Explicit VR, the data are Implicit VR; they were read as they are"),
        ),
        _ => (stated, None),
    }
}

fn not_dicom(head: &[u8]) -> Problem {
    let kinds: [(&[u8], &str); 8] = [
        (b"PK\x03\x04", "a ZIP archive: unpack it and open the folder"),
        (b"\x1F\x8B", "a gzip archive: unpack it first"),
        (b"7z\xBC\xAF", "a 7z archive: unpack it and open the folder"),
        (b"%PDF", "a PDF document"),
        (b"\x89PNG", "a PNG picture without patient geometry"),
        (b"\xFF\xD8\xFF", "a JPEG picture without patient geometry"),
        (b"NRRD", "an NRRD volume: export the series as DICOM"),
        (b"Rar!", "a RAR archive: unpack it and open the folder"),
    ];
    let what = kinds.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what);
    Problem::new(
        Kind::NotDicom,
        match what {
            Some(what) => format!("it is no DICOM file but {what}"),
            None => "it is no DICOM file; open the folder or file that the scanner or archive exported".to_owned(),
        },
    )
}

/// A number as text (DS, IS): what it says, or the text that is none.
pub(super) type Numbers = Result<Vec<f64>, String>;

impl DataSet {
    fn element(&self, tag: Tag) -> Option<&Element> {
        self.elements.iter().find(|e| e.tag == tag)
    }
    /// The bytes of a value, also when empty.
    pub(super) fn value(&self, tag: Tag) -> Option<&[u8]> {
        let e = self.element(tag)?;
        Window { segments: &self.segments, total: self.total }.get(e.start, e.len).ok()
    }
    /// Text of a fixed repertoire (CS, UI, DA, DS ...), trimmed and cleaned; empty when absent.
    pub(super) fn plain(&self, tag: Tag) -> String {
        text::plain(self.value(tag).unwrap_or_default())
    }
    /// Text in the data set's character set; `doubtful` is set when bytes did not fit it.
    pub(super) fn text(&self, tag: Tag, doubtful: &mut bool) -> String {
        let (text, bad) = self.charset.decode(self.value(tag).unwrap_or_default());
        *doubtful |= bad;
        text
    }
    /// Text of an item, in the data set's character set.
    pub(super) fn decoded(&self, bytes: &[u8]) -> String {
        self.charset.decode(bytes).0
    }
    /// Where a sequence of lookup tables lies ([`elements::is_lut`]).
    pub(super) fn sequence(&self, tag: Tag) -> Option<Sequence> {
        self.luts.iter().find(|sequence| sequence.tag == tag).copied()
    }
    /// A whole number, binary (US, SS, UL, SL) or as text (IS). `None` when absent, empty or none.
    pub(super) fn integer(&self, tag: Tag) -> Option<i64> {
        let e = self.element(tag)?;
        let bytes = self.value(tag)?;
        let as_text = || self.plain(tag).split('\\').next().and_then(|t| t.trim().parse::<i64>().ok());
        match &e.vr {
            b"IS" | b"DS" | b"LO" | b"SH" | b"CS" => as_text(),
            b"SS" => self.u16_in(bytes).map(|v| i64::from(v.cast_signed())),
            b"UL" => self.u32_in(bytes).map(i64::from),
            b"SL" => self.u32_in(bytes).map(|v| i64::from(v.cast_signed())),
            b"US" | b"OW" | b"UN" => self.u16_in(bytes).map(i64::from),
            _ if bytes.len() == 4 && bytes.iter().skip(2).any(|b| *b != 0) => as_text(),
            _ => self.u16_in(bytes).map(i64::from),
        }
    }
    /// A whole number that is text by definition (IS), whatever the encoding says.
    pub(super) fn integer_text(&self, tag: Tag) -> Option<i64> {
        self.plain(tag).split('\\').next().and_then(|t| t.trim().parse::<i64>().ok())
    }
    /// Decimal numbers as text (DS) or binary (FD, FL); `None` when absent or empty.
    pub(super) fn decimals(&self, tag: Tag) -> Option<Numbers> {
        let e = self.element(tag)?;
        let bytes = self.value(tag)?;
        match &e.vr {
            b"FD" => Some(Ok(bytes.chunks_exact(8).filter_map(|c| self.f64_in(c)).collect())),
            b"FL" => Some(Ok(bytes
                .chunks_exact(4)
                .filter_map(|c| self.u32_in(c))
                .map(|v| f32::from_bits(v).into())
                .collect())),
            _ => {
                let text = self.plain(tag);
                if text.is_empty() {
                    return None;
                }
                let numbers: Option<Vec<f64>> = text.split('\\').map(decimal).collect();
                Some(numbers.ok_or(text))
            }
        }
    }
    /// The first of [`DataSet::decimals`], `None` also when it is no number.
    pub(super) fn decimal(&self, tag: Tag) -> Option<f64> {
        self.decimals(tag)?.ok()?.first().copied()
    }
    /// Two bytes as they stand, for values whose sign another attribute decides.
    pub(super) fn word(&self, tag: Tag) -> Option<u16> {
        self.value(tag).and_then(|bytes| self.u16_in(bytes))
    }
    fn u16_in(&self, bytes: &[u8]) -> Option<u16> {
        let pair = *bytes.first_chunk::<2>()?;
        Some(if self.coding.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    }
    fn u32_in(&self, bytes: &[u8]) -> Option<u32> {
        let four = *bytes.first_chunk::<4>()?;
        Some(if self.coding.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }
    fn f64_in(&self, bytes: &[u8]) -> Option<f64> {
        let eight = *bytes.first_chunk::<8>()?;
        Some(if self.coding.big_endian { f64::from_be_bytes(eight) } else { f64::from_le_bytes(eight) })
    }
}

/// A decimal string (DS, PS3.5 6.2): digits, sign, point, exponent. No comma, no "nan", no "inf".
pub(super) fn decimal(text: &str) -> Option<f64> {
    let text = text.trim_matches([' ', '\0']);
    let legal =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    legal.then(|| text.parse::<f64>().ok()).flatten().filter(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_strict() {
        assert_eq!(decimal(" 0.66 "), Some(0.66));
        assert_eq!(decimal("-1.5E2"), Some(-150.0));
        assert_eq!(decimal("+3"), Some(3.0));
        for bad in ["0,66", "nan", "inf", "", "1 2", "1e999", "0x10"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }
}
