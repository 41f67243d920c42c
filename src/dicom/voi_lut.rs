//! The VOI LUT Sequence (0028,3010): tables that a file offers beside its windows (PS3.3 C.11.2.1.1).
//!
//! It is read of one picture of a series only, since a table can have 128 KiB. What cannot be used is left out and told.

use dicom_core::Tag;

use super::Problem;
use super::dataset::{self, DataSet};
use super::elements::{self, Coding, ITEM, ITEM_END, UNDEFINED, VOI_LUTS, Vr, Window};
use super::group::Found;
use super::picture::Picture;
use super::source::Source;
use crate::volume::{MOST_TABLE_ENTRIES, VoiTable};

const DESCRIPTOR: Tag = Tag(0x0028, 0x3002);
const EXPLANATION: Tag = Tag(0x0028, 0x3003);
const DATA: Tag = Tag(0x0028, 0x3006);
/// Tables that are read of one picture.
const MOST_TABLES: usize = 16;
/// That many of the largest tables with room for their other attributes.
const MOST_BYTES: usize = MOST_TABLES * (2 * MOST_TABLE_ENTRIES + 4096);
const LONGEST_NAME: usize = 64;

/// What a picture offers.
#[derive(Debug, Default)]
pub(super) struct VoiLuts {
    pub tables: Vec<VoiTable>,
    /// What was wrong with some, each as a clause.
    pub told: Vec<String>,
}

/// Reads the tables of a picture from its file.
pub(super) fn of(found: &Found) -> VoiLuts {
    let read = || -> Result<VoiLuts, Problem> {
        let (data, mut source) = dataset::read(Source::open(&found.path, found.packed.as_ref())?, |_| false)?;
        read(&data, &mut source, &found.picture)
    };
    read().unwrap_or_else(|problem| VoiLuts { told: vec![problem.text], ..VoiLuts::default() })
}

fn read(data: &DataSet, source: &mut Source, picture: &Picture) -> Result<VoiLuts, Problem> {
    let Some(place) = data.sequence(VOI_LUTS) else { return Ok(VoiLuts::default()) };
    let mut luts = VoiLuts::default();
    if data.sequence(elements::MODALITY_LUTS).is_some() {
        luts.told.push("they count on a modality LUT, which this program does not apply".to_owned());
        return Ok(luts);
    }
    let length = place.end.saturating_sub(place.start);
    if length > MOST_BYTES {
        luts.told.push(format!("they take {length} bytes, more than {MOST_TABLES} of the largest tables"));
        return Ok(luts);
    }
    let segments = vec![(0, source.read_vec(place.start, length)?)];
    let items = Items { window: Window { segments: &segments, total: length }, coding: place.coding };
    let mut at = 0;
    let mut number = 0;
    while let Some((item, behind)) = items.next(at) {
        (at, number) = (behind, number + 1);
        if number > MOST_TABLES {
            luts.told.push(format!("there are more than {MOST_TABLES}"));
            break;
        }
        match item.ok_or("its attributes cannot be read").and_then(|item| item.table(data, picture)) {
            Ok((table, note)) => {
                luts.told.extend(note.map(|note| format!("table {number}: {note}")));
                luts.tables.push(table);
            }
            Err(why) => luts.told.push(format!("table {number} was left out: {why}")),
        }
    }
    Ok(luts)
}

/// The values that a table is looked up with can be negative (PS3.3 C.11.2.1.1): what the rescale makes of the least or
/// largest stored value.
fn takes_signed(picture: &Picture) -> bool {
    let (slope, intercept) = picture.rescale.factors();
    let values = f64::from(2u32.pow(picture.bits_stored.min(16)));
    let (low, high) = if picture.signed { (-values / 2.0, values / 2.0 - 1.0) } else { (0.0, values - 1.0) };
    (slope * low).min(slope * high) + intercept < 0.0
}

/// The bytes of the sequence.
struct Items<'a> {
    window: Window<'a>,
    coding: Coding,
}

/// The values of one item that matter.
#[derive(Default)]
struct Item<'a> {
    descriptor: Option<(Vr, &'a [u8])>,
    explanation: &'a [u8],
    data: Option<(Vr, &'a [u8])>,
    coding: Option<Coding>,
}

impl<'a> Items<'a> {
    /// The item at an offset and the offset behind it; the item is `None` where it cannot be read.
    fn next(&self, at: usize) -> Option<(Option<Item<'a>>, usize)> {
        let (coding, total) = (self.coding, self.window.total);
        let header = elements::read_header(&self.window, at, coding).ok().filter(|header| header.tag == ITEM)?;
        let stated = usize::try_from(header.len).ok().filter(|_| header.len != UNDEFINED);
        let end = stated.map_or(Some(total), |len| header.start.checked_add(len))?;
        if end > total {
            return Some((None, total));
        }
        let (mut item, mut at) = (Item { coding: Some(coding), ..Item::default() }, header.start);
        while end.saturating_sub(at) >= 8 {
            let Ok(element) = elements::read_header(&self.window, at, coding) else { break };
            if element.tag == ITEM_END {
                return Some((Some(item), element.start));
            }
            let length = usize::try_from(element.len).unwrap_or(usize::MAX);
            let Ok(value) = self.window.get(element.start, length) else { break };
            match element.tag {
                DESCRIPTOR => item.descriptor = Some((element.vr, value)),
                EXPLANATION => item.explanation = value,
                DATA => item.data = Some((element.vr, value)),
                _ => {}
            }
            at = element.start + length;
        }
        let whole = stated.is_some() && end.saturating_sub(at) < 8;
        Some((whole.then_some(item), end))
    }
}

impl Item<'_> {
    /// The table, and what about it does not agree.
    fn table(&self, data: &DataSet, picture: &Picture) -> Result<(VoiTable, Option<String>), &'static str> {
        let big_endian = self.coding.is_some_and(|coding| coding.big_endian);
        let word = |pair: &[u8]| {
            let pair = *pair.first_chunk::<2>()?;
            Some(if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
        };
        let (vr, descriptor) = self.descriptor.ok_or("it has no descriptor")?;
        let three: Vec<u16> = descriptor.chunks_exact(2).filter_map(word).collect();
        let [count, first, bits] = *three else { return Err("its descriptor has not three values") };
        let count = if count == 0 { MOST_TABLE_ENTRIES } else { usize::from(count) };
        // Where the encoding does not name the type, or names it wrongly, the values that are looked up decide.
        let signed = &vr == b"SS" || takes_signed(picture);
        let first = if signed { i32::from(first.cast_signed()) } else { i32::from(first) };
        let (vr, bytes) = self.data.ok_or("it has no data")?;
        let packed = bytes.len() == count.next_multiple_of(2) && bits <= 8 && count > 1;
        let mut note = None;
        let mut entries: Vec<u16> = if packed {
            // Two entries in a word, the first in its lower half (PS3.5 8.2).
            let swapped = big_endian && &vr != b"OB";
            let at = |i: usize| bytes.get(if swapped { i ^ 1 } else { i }).copied().map(u16::from);
            (0..count).filter_map(at).collect()
        } else {
            bytes.chunks_exact(2).filter_map(word).take(count).collect()
        };
        if entries.len() < count {
            return Err("its descriptor promises more entries than there are");
        }
        if !packed && bytes.len() > 2 * count {
            note = Some(format!("what follows its {count} entries was ignored"));
        }
        entries.truncate(count);
        let largest = entries.iter().copied().max().unwrap_or(0);
        let needed = (u16::BITS - largest.leading_zeros()).max(8);
        let mut bits = u32::from(bits);
        if !(8..=16).contains(&bits) || needed > bits {
            note = Some(format!("its descriptor says {bits} bits, its entries need {needed}, which were taken"));
            bits = needed;
        }
        let name: String = data.decoded(self.explanation).chars().take(LONGEST_NAME).collect();
        let table = VoiTable::new(&name, first, entries, bits).ok_or("its values are no table")?;
        Ok((table, note))
    }
}
