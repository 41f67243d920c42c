//! What the pixels of a data set are, checked completely before any of them is read.

use dicom_core::Tag;

use super::Problem;
use super::codestream::{self, Expected};
use super::dataset::{DataSet, stopped};
use super::elements::{self, Encapsulated, PIXEL_DATA, PixelElement};
use super::source::Source;
use super::syntax::{Codec, Syntax};
use crate::study::{Kind, Photometric};

pub(super) const SOP_CLASS: Tag = Tag(0x0008, 0x0016);
pub(super) const MODALITY: Tag = Tag(0x0008, 0x0060);
const SAMPLES: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
const FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const BITS_STORED: Tag = Tag(0x0028, 0x0101);
const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
const PADDING_VALUE: Tag = Tag(0x0028, 0x0120);
const PADDING_LIMIT: Tag = Tag(0x0028, 0x0121);
const INTERCEPT: Tag = Tag(0x0028, 0x1052);
const SLOPE: Tag = Tag(0x0028, 0x1053);

/// Larger pictures are refused when compressed: a few bytes could ask for any size.
const MAX_COMPRESSED_PIXELS: usize = 1 << 26;
/// Enough of a compressed picture to find its frame header behind application segments.
const CODESTREAM_HEAD: usize = 64 << 10;

/// Is the tag needed to read the pixels.
pub(super) fn is_wanted(tag: Tag) -> bool {
    (tag.group() == 0x0028 && !elements::is_lut(tag)) || matches!(tag, SOP_CLASS | MODALITY)
}

/// Stored value to real value (PS3.3 C.11.1.1.2).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rescale {
    Linear {
        slope: f64,
        intercept: f64,
    },
    Absent,
    /// What it says, which is no rescale.
    Unreadable(String),
}

impl Rescale {
    /// `(slope, intercept)`; values stay as stored where there is no rescale that can be believed.
    pub(super) fn factors(&self) -> (f64, f64) {
        match self {
            Self::Linear { slope, intercept } => (*slope, *intercept),
            Self::Absent | Self::Unreadable(_) => (1.0, 0.0),
        }
    }
}

/// Where the bytes of the picture are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Whole { start: usize },
    Fragments(Vec<(usize, usize)>),
}

/// Everything that decoding needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    pub syntax: Syntax,
    pub rows: usize,
    pub columns: usize,
    /// 8 or 16.
    pub bits_allocated: u16,
    /// 1 to `bits_allocated`.
    pub bits_stored: u32,
    /// Unused bits below the stored ones.
    pub shift: u32,
    pub signed: bool,
    /// Samples are big endian words (also 8-bit samples in OW, PS3.5 8.2.1 and annex A.3).
    pub big_endian_words: bool,
    pub photometric: Photometric,
    pub photometric_assumed: bool,
    pub rescale: Rescale,
    /// Stored values that are padding, inclusive.
    pub padding: Option<[i32; 2]>,
    pub place: Place,
    /// Bytes behind the last sample.
    pub excess: usize,
}

impl Picture {
    pub(super) fn pixels(&self) -> usize {
        self.rows.saturating_mul(self.columns)
    }

    /// Where the bytes of the picture lie, in their order, as `(offset, length)`.
    pub(super) fn stored_ranges(&self) -> Vec<(usize, usize)> {
        match &self.place {
            Place::Whole { start } => {
                let pixels = self.pixels();
                // Swapped in pairs, so the pad byte is part of the last.
                let swapped = self.big_endian_words && self.bits_allocated == 8;
                let pixels = if swapped { pixels.next_multiple_of(2) } else { pixels };
                vec![(*start, pixels.saturating_mul(usize::from(self.bits_allocated / 8)))]
            }
            Place::Fragments(fragments) => fragments.clone(),
        }
    }

    /// The samples must be decoded and not only read.
    pub(super) fn is_compressed(&self) -> bool {
        !matches!(self.syntax.codec, Codec::Native | Codec::Fragmented)
    }

    /// Reads and checks. The order of the checks decides which of several troubles is told: what the file is not
    /// (no picture, cut short) before what this program does not do.
    pub(super) fn read(data: &DataSet, source: &mut Source) -> Result<Self, Problem> {
        let element = pixel_element(data)?;
        let (rows, columns) = dimensions(data)?;
        let extent = Extent::read(data, rows, columns)?;
        let place = extent.place(data, &element, source)?;
        let (photometric, photometric_assumed) = photometric(data, extent.samples)?;
        check_class(data, extent.frames)?;
        let depth = Depth::read(data)?;
        if data.syntax.codec == Codec::Unsupported {
            return Err(Problem::new(
                Kind::UnsupportedTransferSyntax,
                format!(
                    "its transfer syntax {} ({}) is not decoded by this program; export it as Explicit VR Little Endian",
                    data.syntax.name, data.syntax.uid
                ),
            ));
        }
        let picture = Self {
            syntax: data.syntax,
            rows,
            columns,
            bits_allocated: depth.allocated,
            bits_stored: depth.stored,
            shift: depth.shift,
            signed: depth.signed,
            big_endian_words: data.coding.big_endian && (depth.allocated == 16 || &element.vr == b"OW"),
            photometric,
            photometric_assumed,
            rescale: rescale(data)?,
            padding: padding(data, depth.signed),
            place: place.place,
            excess: place.excess,
        };
        picture.check_codestream(source)?;
        Ok(picture)
    }

    /// What a compressed picture says of itself at its beginning agrees with the header.
    pub(super) fn check_codestream(&self, source: &mut Source) -> Result<(), Problem> {
        let Place::Fragments(fragments) = &self.place else { return Ok(()) };
        if self.pixels() > MAX_COMPRESSED_PIXELS {
            return Err(Problem::new(
                Kind::BadDimensions,
                format!("{} x {} is larger than any picture this program decompresses", self.rows, self.columns),
            ));
        }
        let Some((start, len)) = fragments.iter().find(|(_, len)| *len > 0).copied() else {
            return Err(Problem::new(Kind::Corrupt, "its compressed picture is empty; export it anew"));
        };
        if matches!(self.syntax.codec, Codec::Rle | Codec::Fragmented | Codec::Native) {
            return Ok(());
        }
        let head = source.read_vec(start, len.min(CODESTREAM_HEAD))?;
        let expected = Expected { rows: self.rows, columns: self.columns, bits_allocated: self.bits_allocated };
        codestream::check(&self.syntax, &head, expected).map(|_| ())
    }
}

fn pixel_element(data: &DataSet) -> Result<PixelElement, Problem> {
    let modality = data.plain(MODALITY);
    let what =
        if modality.is_empty() { "this object".to_owned() } else { format!("this object (modality {modality})") };
    let element = data.pixels.ok_or_else(|| {
        Problem::new(Kind::NoPixelData, format!("{what} holds no picture; open the series that it belongs to"))
    })?;
    if element.tag != PIXEL_DATA {
        return Err(Problem::new(
            Kind::UnsupportedBitDepth,
            "its pixels are floating point numbers, which this program does not read; export them as 16-bit integers",
        ));
    }
    Ok(element)
}

fn dimensions(data: &DataSet) -> Result<(usize, usize), Problem> {
    if data.value(ROWS).is_none() && data.value(COLUMNS).is_none() {
        // Pixels without any description are a filler or a trace of another object.
        return Err(Problem::new(
            Kind::NoPixelData,
            "it describes no picture (neither Rows nor Columns); open the series that it belongs to",
        ));
    }
    let read = |tag, name: &str| {
        let value = data.integer(tag).filter(|v| (1..=i64::from(u16::MAX)).contains(v));
        value.and_then(|v| usize::try_from(v).ok()).ok_or_else(|| {
            let says = data.integer(tag).map_or("nothing".to_owned(), |v| v.to_string());
            Problem::new(Kind::BadDimensions, format!("{name} says {says}, so the picture has no size; export it anew"))
        })
    };
    Ok((read(ROWS, "Rows")?, read(COLUMNS, "Columns")?))
}

/// How many bytes the header promises.
struct Extent {
    samples: i64,
    frames: i64,
    /// Bytes of all frames, uncompressed.
    bytes: u128,
}

struct Found {
    place: Place,
    excess: usize,
}

impl Extent {
    fn read(data: &DataSet, rows: usize, columns: usize) -> Result<Self, Problem> {
        let samples = data.integer(SAMPLES).unwrap_or(1).max(1);
        let text = data.plain(FRAMES);
        let frames = match text.as_str() {
            "" | "0" => 1,
            said => said.parse::<i64>().ok().filter(|n| *n > 0).ok_or_else(|| {
                Problem::new(
                    Kind::Corrupt,
                    format!("NumberOfFrames says \"{said}\", which is no count; export it anew"),
                )
            })?,
        };
        // Two chroma samples are shared by two pixels (PS3.3 C.7.6.3.1.2).
        let samples_stored = if data.plain(PHOTOMETRIC) == "YBR_FULL_422" { 2 } else { samples };
        let bits = [data.integer(BITS_ALLOCATED).unwrap_or(16).clamp(1, 64), samples_stored, frames];
        let bits = bits.iter().map(|n| n.unsigned_abs().into()).fold((rows * columns) as u128, u128::saturating_mul);
        Ok(Self { samples, frames, bytes: bits.div_ceil(8) })
    }

    fn place(&self, data: &DataSet, element: &PixelElement, source: &mut Source) -> Result<Found, Problem> {
        let total = source.len();
        match element.len {
            None => Ok(Found { place: Place::Fragments(encapsulated(data, element, source)?.fragments), excess: 0 }),
            Some(declared) => {
                let there = total.saturating_sub(element.start);
                let held = declared.min(there);
                if declared > there || (!data.syntax.is_encapsulated() && (held as u128) < self.bytes) {
                    return Err(Problem::new(
                        Kind::Truncated,
                        format!(
                            "its pixels need {} bytes, {declared} are declared and {there} are there; copy it again from \
                             its source",
                            self.bytes
                        ),
                    ));
                }
                if data.syntax.is_encapsulated() {
                    return Err(Problem::new(
                        Kind::Corrupt,
                        format!("its pixels are not in fragments as {} demands; export it anew", data.syntax.name),
                    ));
                }
                let needed = usize::try_from(self.bytes).unwrap_or(usize::MAX);
                // One byte makes the length even (PS3.5 8.1.1).
                let excess = declared.saturating_sub(needed.saturating_add(needed % 2));
                Ok(Found { place: Place::Whole { start: element.start }, excess })
            }
        }
    }
}

/// Where the offset table and the fragments lie.
pub(super) fn encapsulated(
    data: &DataSet,
    element: &PixelElement,
    source: &mut Source,
) -> Result<Encapsulated, Problem> {
    let total = source.len();
    let read = |at, bytes: &mut [u8; 8]| source.read_at(at, bytes);
    elements::fragments(element.start, total, data.coding.big_endian, read)?
        .map_err(|stop| stopped(&stop, data.syntax.name))
}

pub(super) fn photometric(data: &DataSet, samples: i64) -> Result<(Photometric, bool), Problem> {
    let said = data.plain(PHOTOMETRIC).to_ascii_uppercase();
    match (said.as_str(), samples) {
        ("MONOCHROME2", 1) => Ok((Photometric::Monochrome2, false)),
        ("MONOCHROME1", 1) => Ok((Photometric::Monochrome1, false)),
        ("", 1) => Ok((Photometric::Monochrome2, true)),
        _ => Err(Problem::new(
            Kind::UnsupportedPhotometric,
            format!(
                "it is a colour picture ({said}, {samples} samples per pixel); this program shows grey pictures only"
            ),
        )),
    }
}

fn check_class(data: &DataSet, frames: i64) -> Result<(), Problem> {
    let modality = data.plain(MODALITY);
    if matches!(modality.as_str(), "RTDOSE" | "SEG" | "RWV" | "REG" | "OPTENF") {
        return Err(Problem::new(
            Kind::UnsupportedModality,
            format!("its pixels are no picture of a patient (modality {modality}); open the series that it belongs to"),
        ));
    }
    let class = data.plain(SOP_CLASS);
    let enhanced = [
        "1.2.840.10008.5.1.4.1.1.2.1",
        "1.2.840.10008.5.1.4.1.1.2.2",
        "1.2.840.10008.5.1.4.1.1.4.1",
        "1.2.840.10008.5.1.4.1.1.4.3",
        "1.2.840.10008.5.1.4.1.1.4.4",
        "1.2.840.10008.5.1.4.1.1.128.1",
        "1.2.840.10008.5.1.4.1.1.130",
        "1.2.840.10008.5.1.4.1.1.30",
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.77.1.6",
    ];
    if frames > 1 || enhanced.contains(&class.as_str()) {
        return Err(Problem::new(
            Kind::UnsupportedSopClass,
            format!(
                "it is an enhanced or multi-frame object of {frames} frames, which is opened of CT only; export the \
                 series as one file per slice"
            ),
        ));
    }
    Ok(())
}

/// How one sample is stored.
pub(super) struct Depth {
    pub allocated: u16,
    pub stored: u32,
    pub shift: u32,
    pub signed: bool,
}

impl Depth {
    pub(super) fn read(data: &DataSet) -> Result<Self, Problem> {
        let said = |tag| data.integer(tag);
        let refuse = |what: String| {
            Problem::new(Kind::UnsupportedBitDepth, format!("{what}; export it with 8 or 16 bits allocated"))
        };
        let allocated = match said(BITS_ALLOCATED) {
            Some(8) => 8u16,
            Some(16) => 16,
            Some(other) => return Err(refuse(format!("its samples have {other} bits"))),
            None => return Err(refuse("it does not say how many bits its samples have".to_owned())),
        };
        let stored = said(BITS_STORED).unwrap_or(allocated.into());
        let high = said(HIGH_BIT).unwrap_or(stored - 1);
        let fits = (1..=i64::from(allocated)).contains(&stored) && high < i64::from(allocated) && high >= stored - 1;
        let (Ok(stored), Ok(shift), true) = (u32::try_from(stored), u32::try_from(high - stored + 1), fits) else {
            return Err(refuse(format!("BitsStored {stored} and HighBit {high} do not fit into {allocated} bits")));
        };
        // Decoders hand out right-justified values; only plain samples can be shifted.
        let plain = matches!(data.syntax.codec, Codec::Native | Codec::Fragmented | Codec::Rle);
        let signed = said(PIXEL_REPRESENTATION) == Some(1);
        Ok(Self { allocated, stored, shift: if plain { shift } else { 0 }, signed })
    }
}

fn rescale(data: &DataSet) -> Result<Rescale, Problem> {
    let text = |tag| data.plain(tag);
    let first = |tag| match data.decimals(tag) {
        None => Ok(None),
        Some(Ok(numbers)) => Ok(numbers.first().copied()),
        Some(Err(said)) => Err(said),
    };
    // Beyond any unit in use; keeps every product finite.
    let believable = |v: f64| v.is_finite() && v.abs() <= 1e9;
    match (first(SLOPE), first(INTERCEPT)) {
        (Ok(None), Ok(None)) => Ok(Rescale::Absent),
        (Ok(Some(0.0)), _) => Err(Problem::new(
            Kind::Corrupt,
            "RescaleSlope is 0, which gives every pixel the same value; export it anew",
        )),
        (Ok(Some(slope)), Ok(Some(intercept))) if believable(slope) && believable(intercept) => {
            Ok(Rescale::Linear { slope, intercept })
        }
        _ => Ok(Rescale::Unreadable(format!("slope \"{}\", intercept \"{}\"", text(SLOPE), text(INTERCEPT)))),
    }
}

/// PixelPaddingValue and its range limit (PS3.3 C.7.5.1.1.2), in the sign of the pixels whatever their VR says.
pub(super) fn padding(data: &DataSet, signed: bool) -> Option<[i32; 2]> {
    let read = |tag| data.word(tag).map(|v| if signed { i32::from(v.cast_signed()) } else { i32::from(v) });
    let value = read(PADDING_VALUE)?;
    let limit = read(PADDING_LIMIT).unwrap_or(value);
    Some([value.min(limit), value.max(limit)])
}
