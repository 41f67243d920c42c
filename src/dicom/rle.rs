//! RLE Lossless (PS3.5 annex G). dicom-rs 0.10 reserves memory by the segment count in the data and panics on short
//! segments, so this is decoded here.

/// Why an RLE picture could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RleError {
    #[error("its RLE header is damaged")]
    Header,
    #[error("it holds {found} RLE segments where {expected} are needed")]
    Segments { found: u32, expected: usize },
    #[error("RLE segment {segment} gives {found} of {expected} bytes")]
    Short { segment: usize, found: usize, expected: usize },
}

/// Decodes one grey picture of `pixels` samples with `bytes_per_sample` 1 or 2 to one word per sample.
pub(super) fn decode(bytes: &[u8], pixels: usize, bytes_per_sample: usize) -> Result<Vec<u16>, RleError> {
    let word = |i: usize| -> Option<u32> { Some(u32::from_le_bytes(*bytes.get(i * 4..)?.first_chunk::<4>()?)) };
    let found = word(0).ok_or(RleError::Header)?;
    if usize::try_from(found) != Ok(bytes_per_sample) || bytes.len() < 64 {
        return Err(RleError::Segments { found, expected: bytes_per_sample });
    }
    // A run of 128 pixels takes 2 bytes, so an honest picture is at most 64 times its compressed size.
    if pixels.div_ceil(64) > bytes.len() {
        return Err(RleError::Short { segment: 1, found: bytes.len().saturating_mul(64), expected: pixels });
    }
    let mut samples = vec![0u16; pixels];
    for segment in 0..bytes_per_sample {
        let start = word(segment + 1).and_then(|o| usize::try_from(o).ok()).ok_or(RleError::Header)?;
        let end = match segment + 1 < bytes_per_sample {
            true => word(segment + 2).and_then(|o| usize::try_from(o).ok()).ok_or(RleError::Header)?,
            false => bytes.len(),
        };
        let data = bytes.get(start..end).filter(|_| start >= 64).ok_or(RleError::Header)?;
        // The most significant byte comes first.
        let shift = 8 * (bytes_per_sample - 1 - segment);
        let filled = unpack(data, shift, &mut samples);
        if filled < pixels {
            return Err(RleError::Short { segment: segment + 1, found: filled, expected: pixels });
        }
    }
    Ok(samples)
}

/// Unpacks PackBits (G.3.1) into one byte of each sample; returns how many samples were filled.
fn unpack(mut data: &[u8], shift: usize, samples: &mut [u16]) -> usize {
    let total = samples.len();
    let mut left = samples;
    while let (Some((&control, rest)), false) = (data.split_first(), left.is_empty()) {
        data = rest;
        match control.cast_signed() {
            -128 => {}
            literal @ 0.. => {
                let count = usize::from(literal.unsigned_abs()) + 1;
                let (bytes, rest) = data.split_at(count.min(data.len()));
                let (now, later) = left.split_at_mut(bytes.len().min(left.len()));
                for (sample, byte) in now.iter_mut().zip(bytes) {
                    *sample |= u16::from(*byte) << shift;
                }
                (data, left) = (rest, later);
            }
            run => {
                let Some((&byte, rest)) = data.split_first() else { break };
                let count = usize::from(run.unsigned_abs()) + 1;
                let (now, later) = left.split_at_mut(count.min(left.len()));
                for sample in now {
                    *sample |= u16::from(byte) << shift;
                }
                (data, left) = (rest, later);
            }
        }
    }
    total - left.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(segments: &[&[u8]]) -> Vec<u8> {
        let mut bytes = (segments.len() as u32).to_le_bytes().to_vec();
        let mut offset = 64u32;
        for segment in segments {
            bytes.extend(offset.to_le_bytes());
            offset += segment.len() as u32;
        }
        bytes.resize(64, 0);
        bytes.extend(segments.concat());
        bytes
    }

    #[test]
    fn runs_and_literals_of_both_bytes() {
        // High bytes: 3 x 1, low bytes: 10, 20, 30.
        let bytes = picture(&[&[0xFE, 1], &[2, 10, 20, 30]]);
        assert_eq!(decode(&bytes, 3, 2), Ok(vec![266, 276, 286]));
    }

    #[test]
    fn damage_is_named() {
        let bytes = picture(&[&[0xFE, 1], &[2, 10, 20]]);
        assert_eq!(decode(&bytes, 3, 2), Err(RleError::Short { segment: 2, found: 2, expected: 3 }));
        assert_eq!(decode(&[], 3, 2), Err(RleError::Header));
        assert!(matches!(decode(&[0xFF; 70], 3, 2), Err(RleError::Segments { .. })));
        assert!(decode(&picture(&[&[0xFE, 1], &[0xFE, 1]]), usize::MAX, 2).is_err());
    }
}
