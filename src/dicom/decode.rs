//! The pixels of one picture: bytes to stored values to real values.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dicom_core::value::C;
use dicom_encoding::adapters::{PixelDataObject, RawPixelData};
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::codestream::{Expected, check, jpeg_2000_is_complete, jpeg_2000_stream};
use super::picture::{Picture, Place};
use super::source::Source;
use super::syntax::Codec;
use super::{Problem, jpeg_ls, rle};
use crate::jobs::panic_text;
use crate::study::Kind;
use crate::volume::{Slice, SlicePixels};

/// Decodes a checked picture to a slice of real values.
pub(super) fn slice(picture: &Picture, source: &mut Source) -> Result<Slice, Problem> {
    let words = stored_words(picture, source)?;
    if words.len() != picture.pixels() {
        return Err(Problem::new(
            Kind::Truncated,
            format!("its picture decodes to {} of {} pixels; export it anew", words.len(), picture.pixels()),
        ));
    }
    Ok(Unfilled::of(picture).with(rescaled(words, picture)))
}

/// A slice without its values.
pub(super) struct Unfilled {
    rows: usize,
    columns: usize,
    padding: Option<[f32; 2]>,
}

impl Unfilled {
    fn of(picture: &Picture) -> Self {
        let (slope, intercept) = picture.rescale.factors();
        let padding = picture.padding.map(|range| {
            let [a, b] = range.map(|stored| real(stored, slope, intercept));
            [a.min(b), a.max(b)]
        });
        Self { rows: picture.rows, columns: picture.columns, padding }
    }

    pub(super) fn with(self, pixels: SlicePixels) -> Slice {
        let Self { rows, columns, padding } = self;
        Slice { rows, columns, pixels, padding }
    }
}

/// What became of a picture that was given a place in a room.
pub(super) enum Placed {
    /// Its values are there.
    There(Unfilled),
    /// They are no whole numbers of 16 bits; the place may be used again.
    Apart(Slice),
}

/// Offset of the picture's words of 16 bits where they are only to be read; `None` of all other pictures.
pub(super) fn words_start(picture: &Picture) -> Option<usize> {
    match picture.place {
        Place::Whole { start } if picture.bits_allocated == 16 => Some(start),
        _ => None,
    }
}

/// As [`slice`], of a picture whose words are at `start` and as many as `place` holds: they become values there.
pub(super) fn slice_at(
    place: &mut [i16],
    start: usize,
    picture: &Picture,
    source: &mut Source,
) -> Result<Placed, Problem> {
    let words: &mut [u16] = bytemuck::cast_slice_mut(place);
    read_words(words, picture, |bytes| source.read_at(start, bytes))?;
    let unfilled = Unfilled::of(picture);
    Ok(match rescale(words, picture) {
        None => Placed::There(unfilled),
        Some(values) => Placed::Apart(unfilled.with(SlicePixels::F32(values))),
    })
}

/// The bytes of one picture taken out of what holds it, to be decoded on another thread.
pub(super) fn lifted(picture: &Picture, source: &mut Source) -> Result<(Picture, Vec<u8>), Problem> {
    let bytes = joined(&picture.stored_ranges(), source)?;
    let place = match picture.place {
        Place::Whole { .. } => Place::Whole { start: 0 },
        Place::Fragments(_) => Place::Fragments(vec![(0, bytes.len())]),
    };
    Ok((Picture { place, ..picture.clone() }, bytes))
}

#[expect(clippy::cast_possible_truncation, reason = "f32 is what the volume holds")]
fn real(stored: i32, slope: f64, intercept: f64) -> f32 {
    (f64::from(stored) * slope + intercept) as f32
}

/// One word per pixel as stored, before masking.
fn stored_words(picture: &Picture, source: &mut Source) -> Result<Vec<u16>, Problem> {
    match &picture.place {
        Place::Whole { start } => plain_words(picture, |bytes| source.read_at(*start, bytes)),
        Place::Fragments(fragments) => {
            let bytes = joined(fragments, source)?;
            match picture.syntax.codec {
                Codec::Native | Codec::Fragmented => plain_words(picture, |into| {
                    let found = bytes.get(..into.len()).ok_or_else(|| {
                        Problem::new(
                            Kind::Truncated,
                            "its fragments hold fewer bytes than the picture needs; export it anew",
                        )
                    })?;
                    into.copy_from_slice(found);
                    Ok(())
                }),
                _ => compressed_words(picture, bytes),
            }
        }
    }
}

/// Reads plain samples straight into the words that become the slice.
fn plain_words(picture: &Picture, mut read: impl FnMut(&mut [u8]) -> Result<(), Problem>) -> Result<Vec<u16>, Problem> {
    let pixels = picture.pixels();
    if picture.bits_allocated == 16 {
        let mut words = vec![0u16; pixels];
        read_words(&mut words, picture, read)?;
        return Ok(words);
    }
    // 8-bit samples in big endian words are swapped in pairs; the pad byte of an odd count belongs to the last pair.
    let swapped = picture.big_endian_words;
    let mut bytes = vec![0; if swapped { pixels.next_multiple_of(2) } else { pixels }];
    read(&mut bytes)?;
    if swapped {
        bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse);
    }
    bytes.truncate(pixels);
    Ok(bytes.into_iter().map(u16::from).collect())
}

fn read_words(
    words: &mut [u16],
    picture: &Picture,
    mut read: impl FnMut(&mut [u8]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    read(bytemuck::cast_slice_mut(words))?;
    match picture.big_endian_words {
        true => words.iter_mut().for_each(|w| *w = u16::from_be(*w)),
        false => words.iter_mut().for_each(|w| *w = u16::from_le(*w)),
    }
    Ok(())
}

/// All fragments of one frame, one behind the other (PS3.5 A.4).
fn joined(fragments: &[(usize, usize)], source: &mut Source) -> Result<Vec<u8>, Problem> {
    if let [(start, len)] = fragments {
        return source.read_vec(*start, *len);
    }
    let mut bytes = Vec::new();
    for (start, len) in fragments {
        bytes.extend(source.read_vec(*start, *len)?);
    }
    Ok(bytes)
}

fn compressed_words(picture: &Picture, bytes: Vec<u8>) -> Result<Vec<u16>, Problem> {
    let damaged = |why: String| {
        Problem::new(
            Kind::Corrupt,
            format!("its {} picture could not be decoded ({why}); export it anew", picture.syntax.name),
        )
    };
    if picture.syntax.codec == Codec::Rle {
        let bytes_per_sample = usize::from(picture.bits_allocated / 8);
        return rle::decode(&bytes, picture.pixels(), bytes_per_sample).map_err(|e| damaged(e.to_string()));
    }
    let expected = Expected { rows: picture.rows, columns: picture.columns, bits_allocated: picture.bits_allocated };
    let header = check(&picture.syntax, &bytes, expected)?;
    // A decoder's panic on a damaged stream is that stream's fault and must not end more than this picture.
    let decoded = catch_unwind(AssertUnwindSafe(|| match picture.syntax.codec {
        Codec::JpegLs => jpeg_ls::decode(&bytes).map(|image| image.samples).map_err(|e| damaged(e.to_string())),
        Codec::Jpeg2000 => {
            let stream = jpeg_2000_stream(&bytes);
            if !jpeg_2000_is_complete(stream) {
                return Err(Problem::new(
                    Kind::Truncated,
                    "its JPEG 2000 picture is not complete; copy it again from its source",
                ));
            }
            adapter_words(picture, stream.to_vec(), header.precision).map_err(damaged)
        }
        _ => adapter_words(picture, bytes, header.precision).map_err(damaged),
    }));
    decoded.unwrap_or_else(|panic| Err(damaged(panic_text(panic.as_ref()))))
}

/// Decodes with the adapters of dicom-rs, one or two bytes a sample by the precision of the stream.
fn adapter_words(picture: &Picture, bytes: Vec<u8>, precision: u8) -> Result<Vec<u16>, String> {
    let reader = TransferSyntaxRegistry
        .get(picture.syntax.uid)
        .and_then(|syntax| syntax.pixel_data_reader())
        .ok_or_else(|| "no decoder is built in".to_owned())?;
    // JPEG 2000 samples may be signed, so they need their sign bits; the JPEG decoder gives one byte up to 8 bits.
    let bits_allocated = if precision <= 8 && picture.syntax.codec != Codec::Jpeg2000 { 8 } else { 16 };
    let frame = Frame { picture, bytes, bits_allocated };
    let mut out = Vec::new();
    reader.decode_frame(&frame, 0, &mut out).map_err(|error| {
        // The outer error says only that decoding failed; the reason is in the source.
        let source = std::error::Error::source(&error).map(|s| s.to_string()).unwrap_or_default();
        super::text::clean(&format!("{error} {source}"))
    })?;
    Ok(match bits_allocated {
        8 => out.into_iter().map(u16::from).collect(),
        _ => out.chunks_exact(2).filter_map(|b| b.first_chunk::<2>()).map(|b| u16::from_le_bytes(*b)).collect(),
    })
}

/// One compressed frame as dicom-rs wants to see it.
struct Frame<'a> {
    picture: &'a Picture,
    bytes: Vec<u8>,
    bits_allocated: u16,
}

impl PixelDataObject for Frame<'_> {
    fn transfer_syntax_uid(&self) -> &str {
        self.picture.syntax.uid
    }
    fn rows(&self) -> Option<u16> {
        self.picture.rows.try_into().ok()
    }
    fn cols(&self) -> Option<u16> {
        self.picture.columns.try_into().ok()
    }
    fn samples_per_pixel(&self) -> Option<u16> {
        Some(1)
    }
    fn bits_allocated(&self) -> Option<u16> {
        Some(self.bits_allocated)
    }
    fn bits_stored(&self) -> Option<u16> {
        self.picture.bits_stored.try_into().ok()
    }
    fn photometric_interpretation(&self) -> Option<&str> {
        Some("MONOCHROME2")
    }
    fn number_of_frames(&self) -> Option<u32> {
        Some(1)
    }
    fn number_of_fragments(&self) -> Option<u32> {
        Some(1)
    }
    fn fragment(&self, fragment: usize) -> Option<Cow<'_, [u8]>> {
        (fragment == 0).then_some(Cow::Borrowed(&self.bytes))
    }
    fn offset_table(&self) -> Option<Cow<'_, [u32]>> {
        None
    }
    fn raw_pixel_data(&self) -> Option<RawPixelData> {
        let fragments: C<Vec<u8>> = std::iter::once(self.bytes.clone()).collect();
        Some(RawPixelData { fragments, offset_table: C::new() })
    }
}

/// Stored words to values: integers when every value is one.
fn rescaled(mut words: Vec<u16>, picture: &Picture) -> SlicePixels {
    match rescale(&mut words, picture) {
        None => SlicePixels::I16(bytemuck::cast_vec::<u16, i16>(words).into()),
        Some(values) => SlicePixels::F32(values),
    }
}

/// Stored words to values: unused bits off, sign extended, rescaled; in place when every value is an integer of 16
/// bits, else apart.
///
/// Nearly every CT has slope 1 and a whole intercept. That way goes over the words 16 bits at a time, in loops that the
/// compiler turns into vector instructions, and as seldom as it can.
fn rescale(words: &mut [u16], picture: &Picture) -> Option<Vec<f32>> {
    extend(words, picture);
    let (slope, intercept) = picture.rescale.factors();
    if let Some(offset) = whole_offset(slope, intercept)
        && (fits(possible_range(picture), offset) || fits(stored_range(words, picture.signed), offset))
    {
        // The sum fits 16 bits, so its low 16 bits are all of it.
        let [low, high, ..] = offset.to_le_bytes();
        let offset = u16::from_le_bytes([low, high]);
        if offset != 0 {
            words.iter_mut().for_each(|word| *word = word.wrapping_add(offset));
        }
        return None;
    }
    match picture.signed {
        true => by_formula(words, slope, intercept, |word| i32::from(word.cast_signed())),
        false => by_formula(words, slope, intercept, i32::from),
    }
}

/// Takes the stored bits out of each word, with their sign where they have one. Unused high bits may hold overlays or
/// garbage (PS3.5 8.1.1).
fn extend(words: &mut [u16], picture: &Picture) {
    let (spare, shift) = (16 - picture.bits_stored, picture.shift);
    if (spare, shift) == (0, 0) {
        return;
    }
    match picture.signed {
        true => words
            .iter_mut()
            .for_each(|word| *word = (((*word >> shift) << spare).cast_signed() >> spare).cast_unsigned()),
        false => words.iter_mut().for_each(|word| *word = ((*word >> shift) << spare) >> spare),
    }
}

/// The intercept as a whole number, where the slope is 1.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
fn whole_offset(slope: f64, intercept: f64) -> Option<i32> {
    (slope == 1.0 && intercept.fract() == 0.0 && intercept.abs() <= 65_536.0).then_some(intercept as i32)
}

/// Smallest and largest value that the stored bits can hold.
fn possible_range(picture: &Picture) -> [i32; 2] {
    match picture.signed {
        true => [i32::from(i16::MIN), i32::from(i16::MAX)].map(|v| v >> (16 - picture.bits_stored)),
        false => [0, i32::from(u16::MAX) >> (16 - picture.bits_stored)],
    }
}

/// Smallest and largest stored value.
fn stored_range(words: &[u16], signed: bool) -> [i32; 2] {
    // Flipping the highest bit makes unsigned numbers compare as signed ones do, for which every processor has
    // an instruction.
    let flip = if signed { 0 } else { 0x8000 };
    let (mut low, mut high) = (i16::MAX, i16::MIN);
    for word in words {
        let value = (word ^ flip).cast_signed();
        low = low.min(value);
        high = high.max(value);
    }
    [low, high].map(|v| if signed { i32::from(v) } else { i32::from(v.cast_unsigned() ^ flip) })
}

fn fits([low, high]: [i32; 2], offset: i32) -> bool {
    low + offset >= i32::from(i16::MIN) && high + offset <= i32::from(i16::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "each cast follows a check that the value fits, or makes the f32")]
fn by_formula(words: &mut [u16], slope: f64, intercept: f64, stored: impl Fn(u16) -> i32) -> Option<Vec<f32>> {
    let value = |w: u16| f64::from(stored(w)) * slope + intercept;
    let whole = |v: f64| v.fract() == 0.0 && v >= f64::from(i16::MIN) && v <= f64::from(i16::MAX);
    if words.iter().all(|w| whole(value(*w))) {
        words.iter_mut().for_each(|w| *w = (value(*w) as i16).cast_unsigned());
        return None;
    }
    Some(words.iter().map(|w| value(*w) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::picture::Rescale;
    use crate::dicom::syntax::EXPLICIT_LE;
    use crate::study::Photometric;

    fn picture(bits_stored: u32, shift: u32, signed: bool, slope: f64, intercept: f64) -> Picture {
        Picture {
            syntax: EXPLICIT_LE,
            rows: 1,
            columns: 2,
            bits_allocated: 16,
            bits_stored,
            shift,
            signed,
            big_endian_words: false,
            photometric: Photometric::Monochrome2,
            photometric_assumed: false,
            rescale: Rescale::Linear { slope, intercept },
            padding: None,
            place: Place::Whole { start: 0 },
            excess: 0,
        }
    }

    #[test]
    fn unused_bits_are_masked_and_signs_extended() {
        let unsigned = rescaled(vec![0xA001, 0xAFFF], &picture(12, 0, false, 1.0, -1024.0));
        assert_eq!(unsigned, SlicePixels::I16(vec![-1023, 3071].into()));
        let signed = rescaled(vec![0x0FFF, 0x07FF], &picture(12, 0, true, 1.0, 0.0));
        assert_eq!(signed, SlicePixels::I16(vec![-1, 2047].into()));
        let shifted = rescaled(vec![0xFFFF, 0x0010], &picture(12, 4, false, 1.0, 0.0));
        assert_eq!(shifted, SlicePixels::I16(vec![4095, 1].into()));
    }

    #[test]
    fn integers_stay_integers_and_nothing_wraps() {
        assert_eq!(rescaled(vec![2, 4], &picture(16, 0, false, 0.5, 0.0)), SlicePixels::I16(vec![1, 2].into()));
        assert_eq!(rescaled(vec![1, 4], &picture(16, 0, false, 0.5, 0.0)), SlicePixels::F32(vec![0.5, 2.0]));
        // What the bits could hold does not fit, what they do hold does.
        let high = |words| rescaled(words, &picture(12, 0, false, 1.0, 28_673.0));
        assert_eq!(high(vec![0, 4094]), SlicePixels::I16(vec![28_673, 32_767].into()));
        assert_eq!(high(vec![0, 4095]), SlicePixels::F32(vec![28_673.0, 32_768.0]));
        let low = rescaled(vec![0x0800, 0x07FF], &picture(12, 0, true, 1.0, -30_720.0));
        assert_eq!(low, SlicePixels::I16(vec![-32_768, -28_673].into()));
        let large = rescaled(vec![0, 65535], &picture(16, 0, false, 1.0, -1024.0));
        assert_eq!(large, SlicePixels::F32(vec![-1024.0, 64511.0]));
    }
}
