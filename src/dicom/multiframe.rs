//! Objects of many frames: enhanced and flat multi-frame CT, and uncompressed segmentations (PS3.3 A.38, A.51).
//!
//! What a frame says of itself lies in nested sequences: the shared functional groups, then those of the frame, and in
//! flat objects the top level. They are looked into one level at a time, without recursion; all lengths are checked
//! against the bytes that exist.

mod moment;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dicom_core::Tag;

use super::dataset::{self, DataSet, stopped};
use super::decode;
use super::elements::{self, Coding, PixelElement, Stop, Vr, Window};
use super::fragments::{self, Tables};
use super::group::{self, Found};
use super::header::{self, Header, Stated, Units};
use super::picture::{Depth, Picture, Place, Rescale};
use super::source::Source;
use super::syntax::Codec;
use super::{Problem, text};
use crate::geometry::{PatientPoint, SlicePose, Vec3};
use crate::jobs::{Cancelled, JobCtx};
use crate::study::{Kind, LoadedSeries, Packed, Refused, Series, SliceInfo};
use crate::volume::Volume;

/// Everything before the pixels of a multi-frame object is smaller than this.
const MOST_HEADER: usize = 256 << 20;
const MOST_FRAMES: usize = 1 << 16;
/// All frames of an object decoded may grow by more than this only up to that many bytes.
const MOST_GROWTH: usize = 200;
const SMALL_WHEN_DECODED: usize = 1 << 30;
/// Sequences within sequences that are followed.
const MOST_NESTING: usize = 64;
const UNDEFINED: u32 = u32::MAX;
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

const SOP_CLASS: Tag = Tag(0x0008, 0x0016);
const SOP_INSTANCE: Tag = Tag(0x0008, 0x0018);
const REFERENCED_SERIES: Tag = Tag(0x0008, 0x1115);
const REFERENCED_INSTANCE: Tag = Tag(0x0008, 0x1155);
const REFERENCED_FRAME: Tag = Tag(0x0008, 0x1160);
const SOURCE_IMAGE: Tag = Tag(0x0008, 0x2112);
const DERIVATION_IMAGE: Tag = Tag(0x0008, 0x9124);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const SLICE_DISTANCE: Tag = Tag(0x0018, 0x0088);
const STUDY: Tag = Tag(0x0020, 0x000D);
const SERIES: Tag = Tag(0x0020, 0x000E);
const POSITION: Tag = Tag(0x0020, 0x0032);
const ORIENTATION: Tag = Tag(0x0020, 0x0037);
const PLANE_POSITION: Tag = Tag(0x0020, 0x9113);
const PLANE_ORIENTATION: Tag = Tag(0x0020, 0x9116);
const FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const PIXEL_SPACING: Tag = Tag(0x0028, 0x0030);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const INTERCEPT: Tag = Tag(0x0028, 0x1052);
const SLOPE: Tag = Tag(0x0028, 0x1053);
const PIXEL_MEASURES: Tag = Tag(0x0028, 0x9110);
const VALUE_TRANSFORMATION: Tag = Tag(0x0028, 0x9145);
const THICKNESS: Tag = Tag(0x0018, 0x0050);
const SHARED: Tag = Tag(0x5200, 0x9229);
const PER_FRAME: Tag = Tag(0x5200, 0x9230);
const EXTENDED_OFFSETS: Tag = Tag(0x7FE0, 0x0001);
const EXTENDED_LENGTHS: Tag = Tag(0x7FE0, 0x0002);
const UNASSIGNED_SHARED: Tag = Tag(0x0020, 0x9170);
const UNASSIGNED_PER_FRAME: Tag = Tag(0x0020, 0x9171);
const SEGMENTATION_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.66.4";
const MAXIMUM_FRACTION: Tag = Tag(0x0062, 0x000E);

/// What a file is, for whoever must match files by what they say of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFacts {
    pub is_segmentation: bool,
    pub modality: String,
    pub frames: usize,
    pub sop_instance_uid: String,
    pub series_uid: String,
    pub study_uid: String,
    /// Names the patient: never shown or logged.
    pub patient_id: String,
    /// SeriesInstanceUIDs that a segmentation was drawn on.
    pub drawn_on: Vec<String>,
}

/// A multi-frame object read completely.
#[derive(Debug, Clone)]
pub struct MultiFrame {
    pub loaded: LoadedSeries,
    pub sop_instance_uid: String,
    /// Frame of each slice, 0-based.
    pub frames: Vec<usize>,
}

/// One frame of a segmentation.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentationFrame {
    pub position: Option<PatientPoint>,
    /// SOP instance that it was drawn on, and the frame of it (0-based).
    pub drawn_on: Option<(String, Option<usize>)>,
    /// Row-major.
    pub mask: Vec<bool>,
}

/// All segments of a segmentation as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Segmentation {
    pub rows: usize,
    pub columns: usize,
    pub frames: Vec<SegmentationFrame>,
}

/// Reads what a file is, without its pixels.
///
/// # Errors
/// When it is no DICOM file that can be walked.
pub fn object_facts(path: &Path) -> Result<ObjectFacts, Refused> {
    let read = || -> Result<ObjectFacts, Problem> {
        let (object, _) = Object::open(path, None)?;
        let top = object.top()?;
        let drawn_on = object.items(&top, REFERENCED_SERIES)?.iter().map(|item| item.text(SERIES)).collect();
        Ok(ObjectFacts {
            is_segmentation: top.text(SOP_CLASS) == SEGMENTATION_STORAGE,
            modality: top.text(super::picture::MODALITY),
            frames: object.frame_count(&top).unwrap_or(1),
            sop_instance_uid: top.text(SOP_INSTANCE),
            series_uid: top.text(SERIES),
            study_uid: top.text(STUDY),
            patient_id: top.text(PATIENT_ID),
            drawn_on,
        })
    };
    read().map_err(|problem| problem.refused(name_of(path)))
}

/// Reads a multi-frame CT as a series with one slice per frame.
///
/// # Errors
/// Why it cannot be read; the outer error is cancellation.
pub fn load_multiframe(path: &Path, ctx: &JobCtx) -> Result<Result<MultiFrame, Refused>, Cancelled> {
    ctx.check()?;
    let read = || -> Result<Result<MultiFrame, Problem>, Cancelled> {
        let planned = match planned(path) {
            Ok(planned) => planned,
            Err(problem) => return Ok(Err(problem)),
        };
        decoded(planned, ctx)
    };
    Ok(read()?.map_err(|problem| problem.refused(name_of(path))))
}

/// Reads a segmentation, binary or fractional (from half on).
///
/// # Errors
/// Why it cannot be read.
pub fn load_segmentation(path: &Path) -> Result<Segmentation, Refused> {
    segmentation(path).map_err(|problem| problem.refused(name_of(path)))
}

fn name_of(path: &Path) -> String {
    text::clean(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

fn damaged(what: &str) -> Problem {
    Problem::new(Kind::Corrupt, format!("{what}; copy it again from its source or export it anew"))
}

/// The bytes before the pixels, and how they are written.
struct Object {
    data: DataSet,
    segments: elements::Segments,
}

/// One element of a level.
#[derive(Clone, Copy)]
struct Node {
    tag: Tag,
    vr: Vr,
    start: usize,
    /// End of the value; for a sequence of undefined length the end of its delimiter.
    end: usize,
    coding: Coding,
}

/// The elements of one level: the data set itself or one item.
struct Level<'a> {
    object: &'a Object,
    nodes: Vec<Node>,
}

impl Object {
    fn open(path: &Path, packed: Option<&Packed>) -> Result<(Self, Source), Problem> {
        let (data, mut source) = dataset::read(Source::open(path, packed)?, header::is_wanted)?;
        let end = data.pixels.map_or(source.len(), |p| p.start);
        if end > MOST_HEADER {
            return Err(damaged("what precedes its pixels is larger than 256 MiB"));
        }
        let segments = vec![(0, source.read_vec(0, end)?)];
        Ok((Self { data, segments }, source))
    }

    fn window(&self) -> Window<'_> {
        let total = self.segments.first().map_or(0, |(_, bytes)| bytes.len());
        Window { segments: &self.segments, total }
    }

    fn told(&self, stop: &Stop) -> Problem {
        stopped(stop, self.data.syntax.name)
    }

    fn top(&self) -> Result<Level<'_>, Problem> {
        let total = self.window().total;
        let (nodes, _) = self.level(self.data.start, total, self.data.coding)?;
        Ok(Level { object: self, nodes })
    }

    /// The elements from `at` to `end` or to the end of the item, and where they stop.
    fn level(&self, mut at: usize, end: usize, coding: Coding) -> Result<(Vec<Node>, usize), Problem> {
        let window = self.window();
        let mut nodes = Vec::new();
        while end.saturating_sub(at) >= 8 {
            let header = elements::read_header(&window, at, coding).map_err(|s| self.told(&s))?;
            if header.tag == ITEM_END {
                return Ok((nodes, header.start));
            }
            if header.tag == elements::PIXEL_DATA {
                break;
            }
            let inner = match &header.vr {
                b"UN" if header.len == UNDEFINED => Coding { explicit: false, big_endian: false },
                _ => coding,
            };
            let after = match header.len {
                UNDEFINED => self.behind(header.start, inner)?,
                len => self.end_of(header.start, len)?,
            };
            nodes.push(Node { tag: header.tag, vr: header.vr, start: header.start, end: after, coding: inner });
            at = after;
        }
        Ok((nodes, at))
    }

    fn end_of(&self, start: usize, len: u32) -> Result<usize, Problem> {
        let end = usize::try_from(len).ok().and_then(|len| start.checked_add(len));
        end.filter(|end| *end <= self.window().total).ok_or_else(|| damaged("an attribute is longer than the file"))
    }

    /// The offset behind a sequence of undefined length whose first item is at `at`.
    fn behind(&self, mut at: usize, coding: Coding) -> Result<usize, Problem> {
        let window = self.window();
        // What is open: true for an item, false for a sequence.
        let mut open = vec![false];
        while let Some(in_item) = open.last().copied() {
            if open.len() > 2 * MOST_NESTING {
                return Err(damaged("its sequences are nested too deep"));
            }
            let header = elements::read_header(&window, at, coding).map_err(|s| self.told(&s))?;
            at = header.start;
            match (header.tag, header.len) {
                (ITEM, UNDEFINED) if !in_item => open.push(true),
                (ITEM_END, _) if in_item => drop(open.pop()),
                (SEQUENCE_END, _) if !in_item => drop(open.pop()),
                (_, UNDEFINED) if in_item => open.push(false),
                (tag, len) if in_item || tag == ITEM => at = self.end_of(at, len)?,
                _ => return Err(damaged("a sequence holds something else than items")),
            }
        }
        Ok(at)
    }

    /// The items of a sequence; none where the level has no such sequence.
    fn items<'a>(&'a self, level: &Level<'a>, tag: Tag) -> Result<Vec<Level<'a>>, Problem> {
        let Some(node) = level.nodes.iter().find(|n| n.tag == tag) else { return Ok(Vec::new()) };
        let window = self.window();
        let (mut at, mut items) = (node.start, Vec::new());
        while node.end.saturating_sub(at) >= 8 && items.len() < MOST_FRAMES {
            let header = elements::read_header(&window, at, node.coding).map_err(|s| self.told(&s))?;
            if header.tag != ITEM {
                break;
            }
            let end = if header.len == UNDEFINED { node.end } else { self.end_of(header.start, header.len)? };
            let (nodes, stopped_at) = self.level(header.start, end, node.coding)?;
            items.push(Level { object: self, nodes });
            at = if header.len == UNDEFINED { stopped_at } else { end };
        }
        Ok(items)
    }

    /// The first item of a functional group.
    fn group<'a>(&'a self, level: Option<&Level<'a>>, tag: Tag) -> Result<Option<Level<'a>>, Problem> {
        level.map_or(Ok(None), |level| Ok(self.items(level, tag)?.into_iter().next()))
    }

    fn frame_count(&self, top: &Level) -> Option<usize> {
        let text = top.text(FRAMES);
        if text.is_empty() { Some(1) } else { text.parse().ok().filter(|n| (1..=MOST_FRAMES).contains(n)) }
    }
}

impl Level<'_> {
    fn bytes(&self, tag: Tag) -> Option<(&[u8], Node)> {
        let node = *self.nodes.iter().find(|n| n.tag == tag)?;
        Some((self.object.window().get(node.start, node.end.checked_sub(node.start)?).ok()?, node))
    }
    /// Trimmed and cleaned; empty when absent.
    fn text(&self, tag: Tag) -> String {
        let bytes = self.bytes(tag).map_or(&[][..], |(bytes, _)| bytes);
        text::plain(bytes)
    }
    fn numbers(&self, tag: Tag) -> Option<Vec<f64>> {
        let (bytes, node) = self.bytes(tag)?;
        if &node.vr == b"FL" {
            let bits = self.wholes(tag, 4).into_iter().map(|bits| u32::try_from(bits).ok().map(f32::from_bits));
            return bits.map(|v| v.map(f64::from).filter(|v| v.is_finite())).collect::<Option<Vec<f64>>>();
        }
        if &node.vr == b"FD" {
            let number = |c: &[u8]| {
                let eight = *c.first_chunk::<8>()?;
                Some(if node.coding.big_endian { f64::from_be_bytes(eight) } else { f64::from_le_bytes(eight) })
            };
            return bytes.chunks_exact(8).map(number).collect();
        }
        let text = self.text(tag);
        text.split('\\').map(dataset::decimal).collect::<Option<Vec<f64>>>().filter(|n| !n.is_empty())
    }
    fn word(&self, tag: Tag) -> Option<usize> {
        let (bytes, node) = self.bytes(tag)?;
        let pair = *bytes.first_chunk::<2>()?;
        Some(usize::from(if node.coding.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }))
    }
    /// Unsigned whole numbers of so many bytes.
    fn wholes(&self, tag: Tag, bytes_each: usize) -> Vec<i64> {
        let Some((bytes, node)) = self.bytes(tag) else { return Vec::new() };
        let number = |bytes: &[u8]| {
            let add = |sum: i64, byte: &u8| sum << 8 | i64::from(*byte);
            if node.coding.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
        };
        bytes.chunks_exact(bytes_each.clamp(1, 4)).map(number).collect()
    }
    fn vector(&self, tag: Tag) -> Option<Vec3> {
        match self.numbers(tag)?.as_slice() {
            [x, y, z] => Some(Vec3::new(*x, *y, *z)).filter(|v| v.is_finite() && v.length() < 1e6),
            _ => None,
        }
    }
}

/// A multi-frame CT whose frames are found and placed, before any is decoded.
struct Planned {
    /// Display order.
    series: Series,
    /// Frame and picture of each slice of it.
    pictures: Vec<(usize, Picture)>,
    sop_instance_uid: String,
    source: Source,
}

/// What one frame says, else all frames, else the object.
struct Said<'a> {
    object: &'a Object,
    top: &'a Level<'a>,
    shared: Option<&'a Level<'a>>,
    frame: Option<&'a Level<'a>>,
}

impl Said<'_> {
    fn of<T>(&self, group: Tag, read: impl Fn(&Level) -> Option<T>) -> Result<Option<T>, Problem> {
        for level in [self.frame, self.shared] {
            if let Some(value) = self.object.group(level, group)?.as_ref().and_then(&read) {
                return Ok(Some(value));
            }
        }
        Ok(read(self.top))
    }
}

fn planned(path: &Path) -> Result<Planned, Problem> {
    let Frames { found, sop_instance_uid, source } = frames(path, None, &name_of(path))?;
    let pictures: Vec<Picture> = found.iter().map(|f| f.picture.clone()).collect();
    let (mut series, _) = group::series(found);
    series.sort_by_key(|s| std::cmp::Reverse(s.slices.len()));
    let series = series.into_iter().next().ok_or_else(|| damaged("it has no frames"))?;
    let pictures = series.slices.iter().filter_map(|s| Some((s.frame?, pictures.get(s.frame?)?.clone())));
    Ok(Planned { pictures: pictures.collect(), series, sop_instance_uid, source })
}

/// The frames of an object as pictures, in the order in which they are stored.
pub(super) struct Frames {
    pub(super) found: Vec<Found>,
    sop_instance_uid: String,
    source: Source,
}

/// Finds and places the frames of a multi-frame CT; `name` is the object's as people see it, and frames count from 1 in it.
pub(super) fn frames(path: &Path, packed: Option<&Packed>, name: &str) -> Result<Frames, Problem> {
    let (object, mut source) = Object::open(path, packed)?;
    let top = object.top()?;
    let data = &object.data;
    let count = object.frame_count(&top).ok_or_else(|| damaged("NumberOfFrames is no count"))?;
    let (rows, columns) = size(&top)?;
    let depth = Depth::read(data)?;
    let (photometric, photometric_assumed) = super::picture::photometric(data, 1)?;
    let frame_bytes = rows * columns * usize::from(depth.allocated / 8);
    let places = places(&top, &mut source, count, frame_bytes)?;
    let shared = object.items(&top, SHARED)?;
    let frames = object.items(&top, PER_FRAME)?;
    let dimensions = moment::dimensions(&object, &top)?;
    let mut found = Vec::with_capacity(count);
    for (index, place) in places.of_frames.into_iter().enumerate() {
        let said = Said { object: &object, top: &top, shared: shared.first(), frame: frames.get(index) };
        let rescale = |l: &Level| Some((*l.numbers(SLOPE)?.first()?, *l.numbers(INTERCEPT)?.first()?));
        let rescale = said.of(VALUE_TRANSFORMATION, rescale)?.filter(|(slope, _)| *slope != 0.0);
        let picture = Picture {
            syntax: data.syntax,
            rows,
            columns,
            bits_allocated: depth.allocated,
            bits_stored: depth.stored,
            shift: depth.shift,
            signed: depth.signed,
            big_endian_words: data.coding.big_endian && depth.allocated == 16,
            photometric,
            photometric_assumed,
            rescale: rescale.map_or(Rescale::Absent, |(slope, intercept)| Rescale::Linear { slope, intercept }),
            padding: super::picture::padding(data, depth.signed),
            place,
            excess: 0,
        };
        let mut header = frame_header(&said, &picture, index, count)?;
        header.mended = header.mended.or(places.mended);
        let (moment, acquisition) = moment::of(&said, &dimensions, &header.moment)?;
        header.moment = moment;
        header.acquisition_number = acquisition.or(header.acquisition_number);
        let file = format!("{name}#{}", index + 1);
        // The size tells copies of a file: frames are none of each other.
        let (path, packed) = (path.to_owned(), packed.cloned());
        found.push(Found { path, packed, frame: Some(index), file, bytes: index, header: Box::new(header), picture });
    }
    check_beginnings(&found, &mut source)?;
    let sop_instance_uid = top.text(SOP_INSTANCE);
    Ok(Frames { found, sop_instance_uid, source })
}

/// Where the bytes of each frame lie.
struct Places {
    of_frames: Vec<Place>,
    /// What was wrong and could be mended.
    mended: Option<&'static str>,
}

fn places(top: &Level, source: &mut Source, count: usize, frame_bytes: usize) -> Result<Places, Problem> {
    let data = &top.object.data;
    let none = || Problem::new(Kind::NoPixelData, "it holds no picture");
    let pixels = data.pixels.filter(|pixels| pixels.tag == elements::PIXEL_DATA).ok_or_else(none)?;
    match (data.syntax.codec, pixels.len) {
        (Codec::Native, Some(length)) => {
            let there = length.min(source.len().saturating_sub(pixels.start));
            if frame_bytes.checked_mul(count).is_none_or(|needed| needed > there) {
                return Err(Problem::new(
                    Kind::Truncated,
                    format!(
                        "its {count} frames need {frame_bytes} bytes each and {there} bytes are there; copy it again"
                    ),
                ));
            }
            let place = |index| Place::Whole { start: pixels.start + index * frame_bytes };
            Ok(Places { of_frames: (0..count).map(place).collect(), mended: None })
        }
        (Codec::Unsupported, _) => Err(Problem::new(
            Kind::UnsupportedTransferSyntax,
            format!("its frames are compressed as {}, which is not decoded; export it uncompressed", data.syntax.name),
        )),
        (_, None) => fragment_places(top, &pixels, source, count, frame_bytes),
        (_, Some(_)) => Err(damaged("its frames are not stored as its transfer syntax demands")),
    }
}

fn fragment_places(
    top: &Level,
    pixels: &PixelElement,
    source: &mut Source,
    count: usize,
    frame_bytes: usize,
) -> Result<Places, Problem> {
    let data = &top.object.data;
    let encapsulated = super::picture::encapsulated(data, pixels, source)?;
    let held = encapsulated.fragments.iter().fold(0usize, |sum, (_, len)| sum.saturating_add(*len));
    let grown = frame_bytes.saturating_mul(count);
    // Decoders may make any number of pixels out of a few bytes, and here one file may ask for that many times.
    if grown > SMALL_WHEN_DECODED && grown / held.max(1) > MOST_GROWTH {
        return Err(Problem::new(
            Kind::BadDimensions,
            format!(
                "its {count} frames would grow {} times to {} MiB, and more than {MOST_GROWTH} times is allowed up to {} \
                 MiB only; export it uncompressed",
                grown / held.max(1),
                grown >> 20,
                SMALL_WHEN_DECODED >> 20
            ),
        ));
    }
    let (table_at, table_len) = encapsulated.table;
    if table_len > 4 * MOST_FRAMES {
        return Err(damaged("its offset table has more entries than any object has frames"));
    }
    let basic = source.read_vec(table_at, table_len)?;
    let value = |tag| top.bytes(tag).map_or(&[][..], |(bytes, _)| bytes);
    let tables = Tables::of(&basic, value(EXTENDED_OFFSETS), value(EXTENDED_LENGTHS));
    let begins = |(start, len): (usize, usize)| {
        let head = source.read_vec(start, len.min(8))?;
        Ok(fragments::begins_picture(data.syntax.codec, &head))
    };
    let assigned = fragments::by_frame(&encapsulated, &tables, count, begins)?;
    Ok(Places { of_frames: assigned.frames.into_iter().map(Place::Fragments).collect(), mended: assigned.mended })
}

/// Refuses an object no frame of which begins as its syntax demands, or that is of a kind which is not decoded. Single
/// damaged frames are told when they are decoded.
fn check_beginnings(found: &[Found], source: &mut Source) -> Result<(), Problem> {
    let mut first_reason = None;
    for one in found {
        match one.picture.check_codestream(source) {
            Ok(()) => return Ok(()),
            Err(problem) if problem.kind == Kind::Corrupt => first_reason = first_reason.or(Some(problem)),
            Err(problem) => return Err(problem),
        }
    }
    first_reason.map_or(Ok(()), Err)
}

/// How the frames of objects are decoded that slices of a series lie in; each object is looked through once.
#[derive(Default)]
pub(super) struct FramePictures(HashMap<(PathBuf, Option<Packed>), Result<Vec<Picture>, Problem>>);

impl FramePictures {
    pub(super) fn of(series: &Series) -> Self {
        let mut all = HashMap::new();
        for slice in series.slices.iter().filter(|slice| slice.frame.is_some()) {
            let object = (slice.path.clone(), slice.packed.clone());
            all.entry(object).or_insert_with_key(|(path, packed)| {
                let read = || {
                    frames(path, packed.as_ref(), "")
                        .map(|frames| frames.found.into_iter().map(|f| f.picture).collect())
                };
                catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged("reading it failed unexpectedly")))
            });
        }
        Self(all)
    }
    /// The picture of the frame that a slice is.
    pub(super) fn picture(&self, series: &Series, slice: &SliceInfo) -> Result<&Picture, Problem> {
        let object = self.0.get(&(slice.path.clone(), slice.packed.clone()));
        let pictures = match object {
            Some(Ok(pictures)) => pictures,
            Some(Err(problem)) => return Err(problem.clone()),
            None => return Err(damaged("its frames were not found")),
        };
        let picture = slice.frame.and_then(|frame| pictures.get(frame));
        let same_size = |picture: &&Picture| (picture.rows, picture.columns) == (series.rows, series.columns);
        let picture = picture.filter(same_size).ok_or_else(|| {
            Problem::new(
                Kind::InconsistentSeries,
                "it is not as it was when the folder was read; open the folder again",
            )
        })?;
        Ok(picture)
    }
    /// Where the pixels of an object are read from.
    pub(super) fn source(path: &Path, packed: Option<&Packed>) -> Result<Source, Problem> {
        let mut source = Source::open(path, packed)?;
        source.check_sum()?;
        dataset::read(source, |_| false).map(|(_, source)| source)
    }
}

fn size(top: &Level) -> Result<(usize, usize), Problem> {
    match (top.word(ROWS), top.word(COLUMNS)) {
        (Some(rows), Some(columns)) if rows > 0 && columns > 0 => Ok((rows, columns)),
        _ => Err(Problem::new(Kind::BadDimensions, "Rows and Columns give no size; export it anew")),
    }
}

/// The object's header with the place of one frame.
fn frame_header(said: &Said, picture: &Picture, index: usize, count: usize) -> Result<Header, Problem> {
    let mut header = Header::read(&said.object.data, picture);
    let own = said.object.group(said.frame, PLANE_POSITION)?.and_then(|l| l.vector(POSITION));
    let orientation = said.of(PLANE_ORIENTATION, |l| l.numbers(ORIENTATION).filter(|n| n.len() == 6))?;
    let axes = orientation.as_deref().and_then(|six| match six {
        [a, b, c, d, e, f] => Some((Vec3::new(*a, *b, *c).normalized()?, Vec3::new(*d, *e, *f).normalized()?)),
        _ => None,
    });
    let Some((along_row, along_column)) = axes.filter(|(a, b)| a.dot(*b).abs() < 0.02) else {
        return Err(Problem::new(Kind::BadGeometry, "its frames have no orientation, so they have no place in space"));
    };
    let normal = along_row.cross(along_column);
    let flat = || -> Option<Vec3> {
        // A flat object: the first frame's place and one distance for all.
        let step = said.top.numbers(SLICE_DISTANCE)?.first().copied().filter(|mm| mm.abs() > 1e-3)?;
        Some(said.top.vector(POSITION)? + normal * (step * index as f64))
    };
    let lone = || said.top.vector(POSITION).filter(|_| count == 1);
    let origin = own.or_else(flat).or_else(lone).ok_or_else(|| {
        Problem::new(Kind::BadGeometry, format!("frame {} does not say where it lies", index.saturating_add(1)))
    })?;
    header.pose = Stated::Is(SlicePose { origin: PatientPoint(origin), along_row, along_column });
    let spacing = said.of(PIXEL_MEASURES, |l| match l.numbers(PIXEL_SPACING)?.as_slice() {
        [rows_mm, columns_mm] if *rows_mm > 1e-3 && *columns_mm > 1e-3 => Some([*rows_mm, *columns_mm]),
        _ => None,
    })?;
    header.spacing_mm = spacing.map_or(Stated::Absent, Stated::Is);
    let thickness = said.of(PIXEL_MEASURES, |l| l.numbers(THICKNESS)?.first().copied())?;
    header.technique.slice_thickness_mm = thickness.filter(|mm| *mm > 0.0);
    header.instance_number = i64::try_from(index + 1).ok();
    header.technique.lossy = lossy(said, picture)?.or(header.technique.lossy);
    if header.modality == "CT" && matches!(picture.rescale, Rescale::Linear { .. }) && !header.is_localizer {
        header.units = Units::Hu;
    }
    Ok(header)
}

/// What the frame says, or all frames together, where it is not said for the object: conversions keep the attributes of
/// single slices in groups of their own (PS3.3 C.7.6.16.2.25).
fn lossy(said: &Said, picture: &Picture) -> Result<Option<String>, Problem> {
    for (level, group) in [(said.frame, UNASSIGNED_PER_FRAME), (said.shared, UNASSIGNED_SHARED)] {
        if let Some(own) = said.object.group(level, group)?
            && own.text(header::LOSSY) == "01"
        {
            let ratio = own.numbers(header::LOSSY_RATIO).and_then(|ratios| ratios.last().copied());
            return Ok(header::lossy("01", &own.text(header::LOSSY_METHOD), ratio, picture));
        }
    }
    Ok(None)
}

fn decoded(mut planned: Planned, ctx: &JobCtx) -> Result<Result<MultiFrame, Problem>, Cancelled> {
    let count = planned.pictures.len();
    let mut slices = Vec::with_capacity(count);
    for (done, (_, picture)) in planned.pictures.iter().enumerate() {
        ctx.check()?;
        ctx.progress(done, count);
        match decode::slice(picture, &mut planned.source) {
            Ok(slice) => slices.push(Arc::new(slice)),
            Err(problem) => return Ok(Err(problem)),
        }
    }
    ctx.progress(count, count);
    let Ok(volume) = Volume::new(slices) else { return Ok(Err(damaged("it has no frames"))) };
    Ok(Ok(MultiFrame {
        loaded: LoadedSeries { series: Arc::new(planned.series), volume: Arc::new(volume) },
        sop_instance_uid: planned.sop_instance_uid,
        frames: planned.pictures.iter().map(|(frame, _)| *frame).collect(),
    }))
}

fn segmentation(path: &Path) -> Result<Segmentation, Problem> {
    let (object, mut source) = Object::open(path, None)?;
    let top = object.top()?;
    if top.text(SOP_CLASS) != SEGMENTATION_STORAGE {
        return Err(Problem::new(Kind::UnsupportedSopClass, "it is no segmentation"));
    }
    let (Codec::Native, Some(pixels)) = (object.data.syntax.codec, object.data.pixels) else {
        return Err(Problem::new(Kind::UnsupportedTransferSyntax, "its frames are compressed; export it uncompressed"));
    };
    let count = object.frame_count(&top).ok_or_else(|| damaged("NumberOfFrames is no count"))?;
    let (rows, columns) = size(&top)?;
    let bits = top.word(BITS_ALLOCATED).filter(|bits| matches!(bits, 1 | 8));
    let bits = bits.ok_or_else(|| Problem::new(Kind::UnsupportedBitDepth, "its masks have neither 1 nor 8 bits"))?;
    let samples = rows * columns * count;
    let bytes = source.read_vec(pixels.start, (samples * bits).div_ceil(8))?;
    let half = top.word(MAXIMUM_FRACTION).unwrap_or(255).div_ceil(2).max(1);
    let set = |sample: usize| match bits {
        // Packed without gaps, the first sample in the lowest bit (PS3.5 8.1.1).
        1 => bytes.get(sample / 8).is_some_and(|byte| byte >> (sample % 8) & 1 == 1),
        _ => bytes.get(sample).is_some_and(|byte| usize::from(*byte) >= half),
    };
    let groups = object.items(&top, PER_FRAME)?;
    let mut frames = Vec::with_capacity(count);
    for index in 0..count {
        let group = groups.get(index);
        let position = object.group(group, PLANE_POSITION)?.and_then(|l| l.vector(POSITION)).map(PatientPoint);
        let derivation = object.group(group, DERIVATION_IMAGE)?;
        let drawn_on = object.group(derivation.as_ref(), SOURCE_IMAGE)?.map(|l| {
            let frame = l.text(REFERENCED_FRAME).split('\\').next().and_then(|t| t.trim().parse::<usize>().ok());
            (l.text(REFERENCED_INSTANCE), frame.and_then(|n| n.checked_sub(1)))
        });
        let first = index * rows * columns;
        frames.push(SegmentationFrame { position, drawn_on, mask: (first..first + rows * columns).map(set).collect() });
    }
    Ok(Segmentation { rows, columns, frames })
}

#[cfg(test)]
mod compressed_tests;

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Elements, enhanced_4d, enhanced_ct, flat_ct, hu_of, packed, segmentation};
    use super::*;
    use crate::volume::Slice;

    fn file(elements: &Elements) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        elements.write(&folder.path().join("a.dcm"));
        folder
    }
    fn loaded(elements: &Elements) -> Result<MultiFrame, Refused> {
        load_multiframe(&file(elements).path().join("a.dcm"), &JobCtx::detached()).expect("not cancelled")
    }

    #[test]
    fn enhanced_and_flat_objects_give_placed_slices_from_the_head() {
        for elements in [enhanced_ct(5, false), enhanced_ct(5, true), flat_ct(5)] {
            let MultiFrame { loaded, frames, sop_instance_uid } = loaded(&elements).expect("reads");
            assert_eq!((frames, sop_instance_uid.as_str()), (vec![4, 3, 2, 1, 0], "2.25.71"));
            let series = &loaded.series;
            assert_eq!((series.rows, series.columns, series.slices.len()), (4, 6, 5));
            assert_eq!((series.spacing_mm, series.slice_spacing_mm), (Some([0.5, 0.75]), Some(2.0)));
            assert_eq!(series.technique.slice_thickness_mm, Some(2.0));
            assert!(series.values_are_hu && series.warnings.is_empty(), "{:?}", series.warnings);
            for (slice, (info, frame)) in loaded.volume.slices().iter().zip(series.slices.iter().zip([4, 3, 2, 1, 0])) {
                assert_eq!(info.z_mm(), Some(2.0 * f64::from(frame as u8)));
                assert!((0..24).all(|p| slice.pixels.get(p) == Some(f32::from(hu_of(frame)))));
            }
        }
    }

    fn opened(path: &Path) -> crate::study::Catalog {
        crate::dicom::scan(path, &JobCtx::detached()).expect("a catalog")
    }

    /// Values of all slices, by each of the ways that decode them; told from the head.
    fn hu_by_slice(series: &Series) -> Vec<f32> {
        let (series, seen) = (Arc::new(series.clone()), std::sync::Mutex::new(vec![None; series.slices.len()]));
        let on_slice = |index: usize, slice: Arc<Slice>| {
            seen.lock().expect("no panic")[index] = slice.pixels.get(0);
        };
        let done = crate::dicom::load_series(&series, 1, &JobCtx::detached(), &on_slice).expect("loads");
        assert!(done.refused.is_empty(), "{:?}", done.refused);
        let whole: Vec<f32> = done.loaded.volume.slices().iter().filter_map(|s| s.pixels.get(23)).collect();
        let lone = |index| crate::dicom::decode_slice(&series, index).expect("decodes").pixels.get(7);
        assert_eq!((0..series.slices.len()).filter_map(lone).collect::<Vec<f32>>(), whole);
        let seen = seen.into_inner().expect("no panic");
        assert_eq!(seen.into_iter().flatten().collect::<Vec<f32>>(), whole, "told as they come");
        whole
    }

    #[test]
    fn an_object_opens_like_a_series_of_files() {
        for elements in [enhanced_ct(5, false), enhanced_ct(5, true), flat_ct(5)] {
            let folder = file(&elements);
            let catalog = opened(folder.path());
            assert!(catalog.refused.is_empty(), "{:?}", catalog.refused);
            let [series] = catalog.series.as_slice() else { panic!("{} series", catalog.series.len()) };
            let frames: Vec<Option<usize>> = series.slices.iter().map(|slice| slice.frame).collect();
            assert_eq!(frames, [4, 3, 2, 1, 0].map(Some), "from the head");
            assert_eq!(series.slices[0].file, "a.dcm#5", "people count from 1");
            assert_eq!((series.slice_spacing_mm, series.values_are_hu), (Some(2.0), true));
            assert_eq!(hu_by_slice(series), [4, 3, 2, 1, 0].map(|frame| f32::from(hu_of(frame))));
        }
    }

    #[test]
    fn positions_taken_several_times_are_phases_whichever_way_the_frames_say_so() {
        let long = |n: usize| u32::try_from(n).expect("few").to_le_bytes();
        let item = || Elements::new(true);
        let pointers: Vec<Elements> = [[0x20, 0x9057], [0x20, 0x9128]]
            .map(|tag: [u16; 2]| item().raw(0x20, 0x9165, "AT", &tag.map(u16::to_le_bytes).concat()))
            .into();
        let none = |_, _| Elements::new(true);
        let content: [fn(usize, usize) -> Elements; 4] = [
            |time, _| Elements::new(true).raw(0x20, 0x9128, "UL", &(1 + time as u32).to_le_bytes()),
            |time, place| {
                let values = [1 + place as u32, 1 + time as u32].map(u32::to_le_bytes).concat();
                Elements::new(true).raw(0x20, 0x9157, "UL", &values)
            },
            |time, _| Elements::new(true).word(0x20, 0x9156, 1 + time as u16),
            |time, place| {
                let at = format!("2026010112{:02}{place:02}.5+0100", 10 + time);
                Elements::new(true).text(0x18, 0x9074, "DT", &at)
            },
        ];
        let words = ["temporal position", "temporal position", "acquisition", "+"];
        for (content, words) in content.into_iter().zip(words) {
            let top = item().sequence(0x20, 0x9222, &pointers);
            let folder = file(&enhanced_4d(3, 4, top, content));
            let catalog = opened(folder.path());
            assert_eq!(catalog.series.len(), 4, "{words}: {:?}", catalog.refused);
            for (time, series) in catalog.series.iter().enumerate() {
                let part = series.part.as_ref().expect("a phase");
                assert!(part.is_phase && part.by.starts_with(words), "{part:?}");
                assert_eq!((part.number, part.of, series.warnings.len()), (time + 1, 4, 0));
                let frames = [2, 1, 0].map(|place| 3 * time + place);
                assert_eq!(hu_by_slice(series), frames.map(|frame| f32::from(hu_of(frame))));
            }
        }
        // Where frames say nothing that helps they stay together.
        let folder = file(&enhanced_4d(3, 2, item(), none));
        let catalog = opened(folder.path());
        let [series] = catalog.series.as_slice() else { panic!("{} series", catalog.series.len()) };
        assert!(series.part.is_none() && series.warnings.iter().any(|w| w.kind == Kind::DuplicateSlices));
        let cut = item().raw(0x20, 0x9222, "UN", &long(7));
        assert_eq!(opened(file(&enhanced_4d(3, 2, cut, none)).path()).series.len(), 1);
    }

    #[test]
    fn copies_of_an_object_are_dropped_and_other_objects_are_not() {
        let folder = file(&enhanced_ct(3, false));
        std::fs::copy(folder.path().join("a.dcm"), folder.path().join("b.dcm")).expect("copied");
        let catalog = opened(folder.path());
        assert_eq!(catalog.series.iter().map(|s| s.slices.len()).collect::<Vec<_>>(), [3]);
        assert_eq!(catalog.ignored, 3, "frames of the copy");
    }

    #[test]
    fn an_object_in_an_archive_is_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = opened(&packed(folder.path(), &enhanced_ct(4, true).file()));
        let [series] = catalog.series.as_slice() else { panic!("{:?}", catalog.refused) };
        assert!(series.slices.iter().all(|slice| slice.packed.is_some()));
        assert_eq!(hu_by_slice(series), [3, 2, 1, 0].map(|frame| f32::from(hu_of(frame))));
    }

    #[test]
    fn an_object_that_changed_since_it_was_found_is_refused_slice_by_slice() {
        let folder = file(&enhanced_ct(4, false));
        let path = folder.path().join("a.dcm");
        let series = Arc::new(opened(&path).series.remove(0));
        let bytes = std::fs::read(&path).expect("read");
        for cut in (0..bytes.len()).step_by(11) {
            std::fs::write(&path, &bytes[..cut]).expect("written");
            let catalog = opened(&path);
            assert!(catalog.series.is_empty(), "cut at {cut}");
            assert!(crate::dicom::load_series(&series, 0, &JobCtx::detached(), &|_, _| {}).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn facts_tell_scans_from_segmentations() {
        let folder = file(&enhanced_ct(3, false));
        let facts = object_facts(&folder.path().join("a.dcm")).expect("reads");
        assert!(!facts.is_segmentation && facts.modality == "CT" && facts.frames == 3 && facts.series_uid == "2.25.72");
        let folder = file(&segmentation(&[1], true, &[0]));
        let facts = object_facts(&folder.path().join("a.dcm")).expect("reads");
        assert!(facts.is_segmentation && facts.drawn_on == ["2.25.72"]);
    }

    #[test]
    fn bits_of_a_segmentation_run_on_across_frames() {
        let folder = file(&segmentation(&[1, 2, 4], true, &[0, 7, 23]));
        let found = load_segmentation(&folder.path().join("a.dcm")).expect("reads");
        assert_eq!((found.rows, found.columns, found.frames.len()), (4, 6, 3));
        for (frame, on) in found.frames.iter().zip([1, 2, 4]) {
            let set: Vec<usize> = (0..24).filter(|p| frame.mask[*p]).collect();
            assert_eq!(set, [0, 7, 23]);
            assert_eq!(frame.drawn_on, Some(("2.25.71".to_owned(), Some(on))));
        }
    }

    #[test]
    fn damaged_objects_are_refused_in_words() {
        let kind = |elements: &Elements| loaded(elements).expect_err("refused").kind;
        let folder = file(&enhanced_ct(5, false));
        let path = folder.path().join("a.dcm");
        let bytes = std::fs::read(&path).expect("read");
        // Cut anywhere: an answer, never a panic, and never a volume.
        for cut in (0..bytes.len()).step_by(7) {
            std::fs::write(&path, &bytes[..cut]).expect("written");
            assert!(load_multiframe(&path, &JobCtx::detached()).expect("not cancelled").is_err(), "cut at {cut}");
        }
        // Any byte of the header changed: an answer, never a panic.
        for at in 132..bytes.len() - 240 {
            let mut other = bytes.clone();
            other[at] ^= 0xFF;
            std::fs::write(&path, &other).expect("written");
            drop(load_multiframe(&path, &JobCtx::detached()).expect("not cancelled"));
        }
        assert_eq!(kind(&segmentation(&[1], true, &[0])), Kind::UnsupportedBitDepth);
    }
}
