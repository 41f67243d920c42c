//! Which fragments of encapsulated pixels make which frame (PS3.5 A.4, PS3.3 C.7.6.3.1.8).

use super::Problem;
use super::elements::Encapsulated;
use super::syntax::Codec;
use crate::study::Kind;

/// What the offset tables say, each empty where there is none. Offsets are from the first fragment's own header.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub basic: Vec<u64>,
    pub extended: Vec<u64>,
    /// Bytes of each frame.
    pub lengths: Vec<u64>,
}

impl Tables {
    /// From the values of the three elements.
    pub(super) fn of(basic: &[u8], extended: &[u8], lengths: &[u8]) -> Self {
        let four = |c: &[u8]| c.first_chunk::<4>().map(|b| u32::from_le_bytes(*b).into());
        let eight = |c: &[u8]| c.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
        Self {
            basic: basic.chunks_exact(4).filter_map(four).collect(),
            extended: extended.chunks_exact(8).filter_map(eight).collect(),
            lengths: lengths.chunks_exact(8).filter_map(eight).collect(),
        }
    }
}

/// Fragments of each frame as `(offset, length)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assigned {
    pub frames: Vec<Vec<(usize, usize)>>,
    /// What was wrong with the tables where the frames could be told without them.
    pub mended: Option<&'static str>,
}

/// What in a table is wrong, as the end of a sentence.
type Wrong = String;

/// Gives each of `count` frames its fragments: by an offset table that fits them, else one by one, else by those that
/// begin a picture. `begins` says whether a fragment does, read from its first bytes.
///
/// # Errors
/// When the frames cannot be told apart; nothing is guessed.
pub(super) fn by_frame(
    pixels: &Encapsulated,
    tables: &Tables,
    count: usize,
    mut begins: impl FnMut((usize, usize)) -> Result<bool, Problem>,
) -> Result<Assigned, Problem> {
    let fragments = &pixels.fragments;
    if fragments.len() < count {
        return Err(Problem::new(
            Kind::Truncated,
            format!(
                "its {count} frames need at least as many fragments and {} are there; copy it again from its source",
                fragments.len()
            ),
        ));
    }
    let mut wrong: Option<Wrong> = None;
    for (offsets, lengths) in [(&tables.extended, tables.lengths.as_slice()), (&tables.basic, &[])] {
        if offsets.is_empty() {
            continue;
        }
        match by_table(fragments, offsets, lengths, count) {
            Ok(frames) => return Ok(Assigned { frames, mended: None }),
            Err(what) => wrong = wrong.or(Some(what)),
        }
    }
    let mended = wrong.is_some().then_some("its offset table does not fit its frames");
    if count == 1 {
        return Ok(Assigned { frames: vec![fragments.clone()], mended });
    }
    if fragments.len() == count {
        return Ok(Assigned { frames: fragments.iter().map(|f| vec![*f]).collect(), mended });
    }
    let mut frames: Vec<Vec<(usize, usize)>> = Vec::new();
    for fragment in fragments {
        match (begins(*fragment)?, frames.last_mut()) {
            (false, Some(frame)) => frame.push(*fragment),
            // The first begins the first frame or nothing can be told.
            (false, None) => break,
            (true, _) => frames.push(vec![*fragment]),
        }
    }
    if frames.len() == count {
        return Ok(Assigned { frames, mended });
    }
    let reason = wrong.map_or_else(
        || "no offset table says which belong together".to_owned(),
        |what| format!("its offset table does not fit them ({what})"),
    );
    Err(Problem::new(
        Kind::Corrupt,
        format!(
            "its {count} frames lie in {} fragments, and {reason}; export it anew or uncompressed",
            fragments.len()
        ),
    ))
}

/// The fragments from each offset to the next.
fn by_table(
    fragments: &[(usize, usize)],
    offsets: &[u64],
    lengths: &[u64],
    count: usize,
) -> Result<Vec<Vec<(usize, usize)>>, Wrong> {
    if offsets.len() != count {
        return Err(format!("it has {} entries", offsets.len()));
    }
    if !lengths.is_empty() && lengths.len() != count {
        return Err(format!("it has {} lengths", lengths.len()));
    }
    let first = fragments.first().map_or(0, |(start, _)| *start);
    let offset_of = |start: usize| start.checked_sub(first).map(|offset| offset as u64);
    let mut frames: Vec<Vec<(usize, usize)>> = Vec::with_capacity(count);
    let mut expected = offsets.iter();
    let mut next = expected.next();
    for fragment in fragments {
        if offset_of(fragment.0) == next.copied() {
            next = expected.next();
            frames.push(vec![*fragment]);
            continue;
        }
        match frames.last_mut() {
            Some(frame) => frame.push(*fragment),
            None => return Err("the first frame does not begin at the first fragment".to_owned()),
        }
    }
    if let Some(offset) = next {
        return Err(format!("no fragment begins at {offset}, where frame {} should", frames.len().saturating_add(1)));
    }
    for (index, (frame, length)) in frames.iter().zip(lengths).enumerate() {
        let there = frame.iter().fold(0u64, |sum, (_, len)| sum.saturating_add(*len as u64));
        // A pad byte makes fragments even.
        if there.checked_sub(*length).is_none_or(|spare| spare > 1) {
            return Err(format!("frame {} has {there} bytes and should have {length}", index.saturating_add(1)));
        }
    }
    Ok(frames)
}

/// Does a fragment that starts so begin a picture? RLE has no mark, and its frames are one fragment each (PS3.5 A.4.2).
pub(super) fn begins_picture(codec: Codec, head: &[u8]) -> bool {
    match codec {
        Codec::JpegDct | Codec::JpegLossless | Codec::JpegLs => head.starts_with(&[0xFF, 0xD8, 0xFF]),
        Codec::Jpeg2000 => head.starts_with(&[0xFF, 0x4F, 0xFF, 0x51]) || head.get(4..8) == Some(b"jP  "),
        Codec::Native | Codec::Fragmented | Codec::Rle | Codec::Unsupported => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fragments of some lengths, as they lie behind an empty table.
    fn laid(lengths: &[usize]) -> Encapsulated {
        let mut at = 100;
        let mut fragments = Vec::new();
        for len in lengths {
            fragments.push((at, *len));
            at += len + 8;
        }
        Encapsulated { table: (92, 0), fragments }
    }
    fn assigned(
        lengths: &[usize],
        tables: &Tables,
        count: usize,
        marked: &[usize],
    ) -> Result<(Vec<usize>, bool), Problem> {
        let pixels = laid(lengths);
        let marked: Vec<(usize, usize)> = marked.iter().map(|at| pixels.fragments[*at]).collect();
        let found = by_frame(&pixels, tables, count, |fragment| Ok(marked.contains(&fragment)))?;
        let joined: Vec<(usize, usize)> = found.frames.concat();
        assert_eq!(joined, pixels.fragments, "every fragment once and in order");
        Ok((found.frames.iter().map(Vec::len).collect(), found.mended.is_some()))
    }
    fn basic(offsets: &[u64]) -> Tables {
        Tables { basic: offsets.to_vec(), ..Tables::default() }
    }

    #[test]
    fn tables_that_fit_are_followed() {
        let tables = basic(&[0, 38, 56]);
        assert_eq!(assigned(&[10, 12, 10, 4, 6], &tables, 3, &[]), Ok((vec![2, 1, 2], false)));
        let extended = Tables { extended: vec![0, 38, 56], lengths: vec![22, 9, 10], ..basic(&[0]) };
        assert_eq!(assigned(&[10, 12, 10, 4, 6], &extended, 3, &[]), Ok((vec![2, 1, 2], false)));
        // The extended table is wrong, the basic one is not.
        let one_fits = Tables { extended: vec![0, 38, 57], ..basic(&[0, 38, 56]) };
        assert_eq!(assigned(&[10, 12, 10, 4, 6], &one_fits, 3, &[]), Ok((vec![2, 1, 2], false)));
    }

    #[test]
    fn without_a_table_one_each_or_by_their_beginnings() {
        assert_eq!(assigned(&[10, 12, 10], &Tables::default(), 3, &[]), Ok((vec![1, 1, 1], false)));
        assert_eq!(assigned(&[10, 12, 10], &Tables::default(), 1, &[]), Ok((vec![3], false)));
        assert_eq!(assigned(&[10, 12, 10], &Tables::default(), 2, &[0, 2]), Ok((vec![2, 1], false)));
        assert_eq!(assigned(&[10, 12, 10], &basic(&[0, 4, 8]), 3, &[]), Ok((vec![1, 1, 1], true)));
    }

    #[test]
    fn what_cannot_be_told_is_refused_with_the_reason() {
        let said = |lengths: &[usize], tables: &Tables, count, marked: &[usize]| {
            assigned(lengths, tables, count, marked).expect_err("refused").text
        };
        let none = Tables::default();
        assert!(said(&[10, 12], &none, 3, &[]).contains("need at least as many fragments and 2 are there"));
        assert!(said(&[10, 12, 10], &none, 2, &[]).contains("2 frames lie in 3 fragments, and no offset table"));
        // Marks of too many pictures, of too few, and none at the beginning.
        for marked in [&[0, 1, 2][..], &[0], &[1, 2]] {
            assert!(said(&[10, 12, 10], &none, 2, marked).contains("no offset table"));
        }
        assert!(said(&[10, 12, 10], &basic(&[0]), 2, &[]).contains("it has 1 entries"));
        assert!(said(&[10, 12, 10], &basic(&[18, 38]), 2, &[]).contains("first frame does not begin"));
        assert!(said(&[10, 12, 10], &basic(&[0, 39]), 2, &[]).contains("no fragment begins at 39, where frame 2"));
        assert!(said(&[10, 12, 10], &basic(&[0, 0]), 2, &[]).contains("no fragment begins at 0"));
        let lengths = Tables { extended: vec![0, 38], lengths: vec![22, 8], ..Tables::default() };
        assert!(said(&[10, 12, 10], &lengths, 2, &[]).contains("frame 2 has 10 bytes and should have 8"));
        let lengths = Tables { extended: vec![0, 38], lengths: vec![22], ..Tables::default() };
        assert!(said(&[10, 12, 10], &lengths, 2, &[]).contains("it has 1 lengths"));
        let huge = Tables { extended: vec![u64::MAX; 2], ..Tables::default() };
        assert!(said(&[10, 12, 10], &huge, 2, &[]).contains("does not fit"));
    }

    #[test]
    fn tables_are_read_as_they_lie() {
        let tables = Tables::of(&[1, 0, 0, 0, 2, 0, 0, 0, 9], &[3, 0, 0, 0, 0, 0, 0, 1], &[]);
        assert_eq!((tables.basic, tables.extended, tables.lengths), (vec![1, 2], vec![0x0100_0000_0000_0003], vec![]));
    }
}
