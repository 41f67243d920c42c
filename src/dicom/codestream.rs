//! The beginnings of compressed pictures, read before any decoder sees them: what they say of size and depth must
//! agree with the data set, or a few bytes could ask for gigabytes.

use super::Problem;
use super::syntax::{Codec, Syntax};
use crate::study::Kind;

/// What a compressed picture says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub rows: u32,
    pub columns: u32,
    pub components: u32,
    pub precision: u8,
}

/// What the data set says that the picture is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub rows: usize,
    pub columns: usize,
    pub bits_allocated: u16,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk::<2>()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

/// Finds the frame header of a JPEG or JPEG-LS stream (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2) and its marker.
fn jpeg_frame(bytes: &[u8]) -> Option<(u8, FrameHeader)> {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return None;
    }
    let mut at = 2usize;
    loop {
        if *bytes.get(at)? != 0xFF {
            return None;
        }
        let marker = *bytes.get(at.checked_add(1)?)?;
        match marker {
            0xFF => at = at.checked_add(1)?,
            0x01 | 0xD0..=0xD7 => at = at.checked_add(2)?,
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF | 0xF7 => {
                let p = at.checked_add(4)?;
                let header = FrameHeader {
                    precision: *bytes.get(p)?,
                    rows: u16_at(bytes, p.checked_add(1)?)?.into(),
                    columns: u16_at(bytes, p.checked_add(3)?)?.into(),
                    components: (*bytes.get(p.checked_add(5)?)?).into(),
                };
                return Some((marker, header));
            }
            0xD9 | 0xDA => return None,
            _ => at = at.checked_add(2)?.checked_add(u16_at(bytes, at.checked_add(2)?)?.into())?,
        }
    }
}

/// The codestream inside JP2 boxes (ISO 15444-1 annex I), or the bytes themselves where there are none.
pub(super) fn jpeg_2000_stream(bytes: &[u8]) -> &[u8] {
    if u32_at(bytes, 4) != Some(u32::from_be_bytes(*b"jP  ")) {
        return bytes;
    }
    let mut rest = bytes;
    while let (Some(length), Some(kind)) = (u32_at(rest, 0), rest.get(4..8)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if kind == b"jp2c" {
            let end = if length == 0 { rest.len() } else { length.min(rest.len()) };
            return rest.get(8..end).unwrap_or_default();
        }
        let Some(next) = rest.get(length..).filter(|_| length >= 8) else { break };
        rest = next;
    }
    bytes
}

/// The SIZ segment (ISO 15444-1 A.5.1) and the number of tiles; `None` when subsampled or malformed.
fn jpeg_2000_size(bytes: &[u8]) -> Option<(FrameHeader, u64)> {
    if !bytes.starts_with(&[0xFF, 0x4F, 0xFF, 0x51]) {
        return None;
    }
    let word = |i: usize| u32_at(bytes, 8 + i * 4);
    let [x1, y1, x0, y0, tile_w, tile_h, tile_x, tile_y] =
        [word(0)?, word(1)?, word(2)?, word(3)?, word(4)?, word(5)?, word(6)?, word(7)?];
    let components = u16_at(bytes, 40)?;
    let [depth, dx, dy] = *bytes.get(42..)?.first_chunk::<3>()?;
    if (dx, dy) != (1, 1) || tile_w == 0 || tile_h == 0 {
        return None;
    }
    let tiles = |end: u32, start: u32, size: u32| u64::from(end.checked_sub(start)?.div_ceil(size)).into();
    let header = FrameHeader {
        rows: y1.checked_sub(y0)?,
        columns: x1.checked_sub(x0)?,
        components: components.into(),
        precision: (depth & 0x7F) + 1,
    };
    let across: Option<u64> = tiles(x1, tile_x, tile_w);
    let down: Option<u64> = tiles(y1, tile_y, tile_h);
    Some((header, across?.checked_mul(down?)?))
}

/// Whether all tile-parts of a JPEG 2000 stream are there (ISO 15444-1 A.4.2). The decoder fills what is missing with
/// zeros and says nothing.
pub(super) fn jpeg_2000_is_complete(bytes: &[u8]) -> bool {
    let Some((_, tiles)) = jpeg_2000_size(bytes) else { return false };
    let mut at = 2usize;
    let mut seen = std::collections::HashSet::new();
    loop {
        match u16_at(bytes, at) {
            Some(0xFF90) => {
                let (Some(tile), Some(length)) = (u16_at(bytes, at + 4), u32_at(bytes, at + 6)) else { return false };
                seen.insert(tile);
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length == 0 {
                    // Goes on to the end mark.
                    let tail = bytes.len().saturating_sub(4);
                    return seen.len() as u64 == tiles
                        && bytes.get(tail..).is_some_and(|t| t.windows(2).any(|w| w == [0xFF, 0xD9]));
                }
                match at.checked_add(length) {
                    Some(next) if length >= 14 && next <= bytes.len() => at = next,
                    _ => return false,
                }
            }
            Some(0xFFD9) | None => return seen.len() as u64 == tiles,
            // Marker segments of the main header.
            Some(marker) if marker >= 0xFF00 && seen.is_empty() => match u16_at(bytes, at + 2) {
                Some(length) if length >= 2 => at += 2 + usize::from(length),
                _ => return false,
            },
            // Padding behind the last tile-part.
            Some(_) => return seen.len() as u64 == tiles,
        }
    }
}

/// Reads the frame header out of the first bytes of a picture and compares it with the data set.
///
/// # Errors
/// `corrupt` where the bytes are no such picture or contradict the data set, `unsupported-transfer-syntax` for JPEG
/// of a process or depth that is not decoded.
pub(super) fn check(syntax: &Syntax, bytes: &[u8], expected: Expected) -> Result<FrameHeader, Problem> {
    let unreadable = || {
        Problem::new(
            Kind::Corrupt,
            format!("its compressed picture does not begin as {} must; export it anew", syntax.name),
        )
    };
    let header = match syntax.codec {
        Codec::Jpeg2000 => jpeg_2000_size(jpeg_2000_stream(bytes)).ok_or_else(unreadable)?.0,
        _ => {
            let (marker, header) = jpeg_frame(bytes).ok_or_else(unreadable)?;
            check_process(syntax, marker, header.precision)?;
            header
        }
    };
    let same =
        usize::try_from(header.rows) == Ok(expected.rows) && usize::try_from(header.columns) == Ok(expected.columns);
    if !same || header.components != 1 || u16::from(header.precision) > expected.bits_allocated || header.precision == 0
    {
        return Err(Problem::new(
            Kind::Corrupt,
            format!(
                "its compressed picture is {} x {} with {} components of {} bits, the header says {} x {} with 1 of at \
                 most {}; export it anew",
                header.rows,
                header.columns,
                header.components,
                header.precision,
                expected.rows,
                expected.columns,
                expected.bits_allocated
            ),
        ));
    }
    Ok(header)
}

fn check_process(syntax: &Syntax, marker: u8, precision: u8) -> Result<(), Problem> {
    let supported = match syntax.codec {
        Codec::JpegLs => marker == 0xF7,
        // Lossless pictures are met under the lossy UIDs and the other way round; the stream decides.
        _ => matches!(marker, 0xC0..=0xC3) && (marker == 0xC3 || precision == 8),
    };
    if supported {
        return Ok(());
    }
    Err(Problem::new(
        Kind::UnsupportedTransferSyntax,
        format!(
            "its picture is {} with {precision} bits (JPEG frame type {marker:#04X}), which this program does not \
             decode; export it as Explicit VR Little Endian",
            syntax.name
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn siz(rows: u32, columns: u32, tile: u32) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
        for word in [columns, rows, 0, 0, tile, tile, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend([0, 1, 11, 1, 1]);
        bytes
    }
    fn tile_part(index: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0x90, 0, 10, 0, index];
        bytes.extend((14 + data.len() as u32).to_be_bytes());
        bytes.extend([0, 1, 0xFF, 0x93]);
        bytes.extend(data);
        bytes
    }

    #[test]
    fn size_and_completeness_of_jpeg_2000() {
        let mut bytes = siz(8, 16, 8);
        let (header, tiles) = jpeg_2000_size(&bytes).expect("a SIZ segment");
        assert_eq!((header.rows, header.columns, header.precision, tiles), (8, 16, 12, 2));
        bytes.extend(tile_part(0, &[1, 2, 3]));
        assert!(!jpeg_2000_is_complete(&bytes));
        bytes.extend(tile_part(1, &[1, 2, 3]));
        bytes.extend([0xFF, 0xD9]);
        assert!(jpeg_2000_is_complete(&bytes));
        assert!(!jpeg_2000_is_complete(&bytes[..bytes.len() - 4]));
    }

    #[test]
    fn contradictions_are_refused_before_decoding() {
        let syntax = Syntax::find("1.2.840.10008.1.2.4.90").expect("in the table");
        let expected = Expected { rows: 8, columns: 16, bits_allocated: 16 };
        assert!(check(&syntax, &siz(8, 16, 8), expected).is_ok());
        let error = check(&syntax, &siz(60_000, 60_000, 8), expected).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt);
        assert!(check(&syntax, b"garbage", expected).is_err());
    }
}
