//! Decodes the slices of a series.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::decode::{Placed, Unfilled};
use super::multiframe::FramePictures;
use super::picture::Picture;
use super::source::Source;
use super::{LoadError, Loaded, Problem, dataset, decode, group, picture};
use crate::jobs::{JobCtx, panic_text};
use crate::study::{Kind, LoadedSeries, Packed, Refused, Series, SliceInfo};
use crate::volume::{Room, Slice, SlicePixels, Volume};

type Decoded = Result<Arc<Slice>, Refused>;
/// What is to be decoded, and its bytes.
type Lifted = Result<(Picture, Vec<u8>), Problem>;

/// See [`super::decode_slice`].
pub(super) fn decode_slice(series: &Series, index: usize) -> Result<Slice, Refused> {
    let Some(info) = series.slices.get(index) else {
        let problem = Problem::new(Kind::BadDimensions, format!("slice {} does not exist", index.saturating_add(1)));
        return Err(problem.refused(String::new()));
    };
    let read = || {
        let pictures = match info.frame {
            Some(_) => FramePictures::of(&Series { slices: vec![info.clone()], ..series.clone() }),
            None => FramePictures::default(),
        };
        let (picture, mut source) = opened(series, info, &pictures)?;
        decode::slice(&picture, &mut source)
    };
    unless_it_panics(read).map_err(|problem| problem.refused(info.file.clone()))
}

/// What a slice shows, and where its pixels are read from.
fn opened<'p>(
    series: &Series,
    info: &SliceInfo,
    pictures: &'p FramePictures,
) -> Result<(Cow<'p, Picture>, Source), Problem> {
    if info.frame.is_some() {
        let picture = pictures.picture(series, info)?;
        return Ok((Cow::Borrowed(picture), FramePictures::source(&info.path, info.packed.as_ref())?));
    }
    let mut source = Source::open(&info.path, info.packed.as_ref())?;
    source.check_sum()?;
    let (data, mut source) = dataset::read(source, picture::is_wanted)?;
    let picture = Picture::read(&data, &mut source)?;
    if (picture.rows, picture.columns) != (series.rows, series.columns) {
        return Err(Problem::new(
            Kind::InconsistentSeries,
            format!(
                "it is {} x {} now and was {} x {} when the folder was read; open the folder again",
                picture.rows, picture.columns, series.rows, series.columns
            ),
        ));
    }
    Ok((Cow::Owned(picture), source))
}

fn unless_it_panics<T>(read: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        Err(Problem::new(Kind::Corrupt, format!("decoding it failed unexpectedly ({})", panic_text(panic.as_ref()))))
    })
}

/// Frames of objects in an archive: read one after the other as they are stored, since each place in an entry is reached
/// from the one before, and decoded some at a time on all pool threads.
fn load_packed_frames(
    series: &Arc<Series>,
    ctx: &JobCtx,
    on_slice: &(dyn Fn(usize, Arc<Slice>) + Sync),
) -> Result<Loaded, LoadError> {
    let pictures = FramePictures::of(series);
    let mut order: Vec<usize> = (0..series.slices.len()).collect();
    order
        .sort_by_key(|index| series.slices.get(*index).map(|info| (info.packed.as_ref().map(|p| p.start), info.frame)));
    let mut results: Vec<Option<Decoded>> = (0..order.len()).map(|_| None).collect();
    let mut open: Option<(&Packed, Result<Source, Problem>)> = None;
    let done = AtomicUsize::new(0);
    ctx.progress(0, order.len());
    for some in order.chunks(2 * rayon::current_num_threads()) {
        let mut read = Vec::with_capacity(some.len());
        for index in some.iter().copied() {
            ctx.check()?;
            let Some((info, packed)) = series.slices.get(index).and_then(|info| Some((info, info.packed.as_ref()?)))
            else {
                continue;
            };
            if open.as_ref().is_none_or(|(of, _)| *of != packed) {
                open = Some((packed, FramePictures::source(&info.path, Some(packed))));
            }
            let lifted = match &mut open {
                Some((_, Ok(source))) => pictures.picture(series, info).and_then(|p| decode::lifted(p, source)),
                Some((_, Err(problem))) => Err(problem.clone()),
                None => Err(Problem::new(Kind::Unreadable, "it could not be opened")),
            };
            read.push((index, info, lifted));
        }
        let one = |(index, info, lifted): (usize, &SliceInfo, Lifted)| {
            let decode = || lifted.and_then(|(p, bytes)| decode::slice(&p, &mut Source::of_bytes(bytes)));
            let result = unless_it_panics(decode).map(Arc::new).map_err(|problem| problem.refused(info.file.clone()));
            if let Ok(slice) = &result {
                on_slice(index, Arc::clone(slice));
            }
            ctx.progress(done.fetch_add(1, Ordering::Relaxed) + 1, order.len());
            (index, result)
        };
        for (index, result) in read.into_par_iter().map(one).collect::<Vec<_>>() {
            if let Some(place) = results.get_mut(index) {
                *place = Some(result);
            }
        }
    }
    ctx.check()?;
    assemble(series, results)
}

/// Where a worker puts the slices of a series that it decodes: plain ones into rooms that several share ([`Room`]),
/// which are handed on when they are full. Its first slice stands alone, so that it can be seen at once.
struct Rooms {
    /// The series has slices for a room of each worker.
    wanted: bool,
    begun: bool,
    room: Option<Room>,
    /// What lies in the room, with the index of the slice.
    inside: Vec<(usize, Unfilled)>,
}

impl Rooms {
    fn of(series: &Series) -> Self {
        let per_room = Room::slices(series.rows.saturating_mul(series.columns));
        let wanted = per_room.is_some_and(|n| n.saturating_mul(rayon::current_num_threads()) <= series.slices.len());
        Self { wanted, begun: false, room: None, inside: Vec::new() }
    }

    /// Decodes a slice; `None` when it lies in the room and is handed on with it.
    fn decode(&mut self, series: &Series, index: usize, pictures: &FramePictures) -> Option<Decoded> {
        let info = series.slices.get(index)?;
        let read = || {
            let (picture, mut source) = opened(series, info, pictures)?;
            let start = decode::words_start(&picture).filter(|_| self.wanted);
            match start.and_then(|start| Some((start, self.place(picture.pixels())?))) {
                Some((start, place)) => decode::slice_at(place, start, &picture, &mut source),
                None => decode::slice(&picture, &mut source).map(Placed::Apart),
            }
        };
        match unless_it_panics(read) {
            Ok(Placed::Apart(slice)) => Some(Ok(Arc::new(slice))),
            Ok(Placed::There(unfilled)) => {
                self.room.as_mut().map(Room::keep);
                self.inside.push((index, unfilled));
                None
            }
            Err(problem) => Some(Err(problem.refused(info.file.clone()))),
        }
    }

    fn place(&mut self, pixels: usize) -> Option<&mut [i16]> {
        if !std::mem::replace(&mut self.begun, true) {
            return None;
        }
        if self.room.is_none() {
            self.room = Room::new(pixels);
        }
        self.room.as_mut()?.next_slice().filter(|place| place.len() == pixels)
    }

    fn is_full(&self) -> bool {
        self.room.as_ref().is_some_and(Room::is_full)
    }

    /// Hands the slices in the room on, with their indices.
    fn hand_on(&mut self) -> impl Iterator<Item = (usize, Decoded)> {
        let voxels = self.room.take().map(Room::into_slices).unwrap_or_default();
        let inside = std::mem::take(&mut self.inside);
        inside.into_iter().zip(voxels).map(|((index, slice), v)| (index, Ok(Arc::new(slice.with(SlicePixels::I16(v))))))
    }
}

/// See [`super::load_series`].
pub(super) fn load_series(
    series: &Arc<Series>,
    first: usize,
    ctx: &JobCtx,
    on_slice: &(dyn Fn(usize, Arc<Slice>) + Sync),
) -> Result<Loaded, LoadError> {
    if series.slices.iter().all(|info| info.frame.is_some() && info.packed.is_some()) {
        return load_packed_frames(series, ctx, on_slice);
    }
    let pictures = FramePictures::of(series);
    let count = series.slices.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|i| i.abs_diff(first));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<Option<Decoded>>> = Mutex::new((0..count).map(|_| None).collect());
    ctx.progress(0, count);
    let hand_on = |(index, result): (usize, Decoded)| {
        if let Ok(slice) = &result {
            on_slice(index, Arc::clone(slice));
        }
        if let Some(place) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
            *place = Some(result);
        }
        ctx.progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
    };
    let work = || {
        let mut rooms = Rooms::of(series);
        // Taken one by one so that the nearest slices really come first; halving the list would start in its middle.
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            if ctx.check().is_err() {
                return;
            }
            rooms.decode(series, index, &pictures).into_iter().for_each(|decoded| hand_on((index, decoded)));
            if rooms.is_full() {
                rooms.hand_on().for_each(hand_on);
            }
        }
        rooms.hand_on().for_each(hand_on);
    };
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads().min(count) {
            scope.spawn(|_| work());
        }
    });
    ctx.check()?;
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    assemble(series, results)
}

fn assemble(series: &Arc<Series>, results: Vec<Option<Decoded>>) -> Result<Loaded, LoadError> {
    let (mut slices, mut kept, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (result, info) in results.into_iter().zip(&series.slices) {
        match result {
            Some(Ok(slice)) => {
                slices.push(slice);
                kept.push(info.clone());
            }
            Some(Err(one)) => refused.push(one),
            None => {}
        }
    }
    let Ok(volume) = Volume::new(slices) else { return Err(LoadError::NothingDecoded(refused)) };
    let series = match refused.is_empty() {
        true => Arc::clone(series),
        false => Arc::new(without_refused(series, kept, &refused)),
    };
    Ok(Loaded { loaded: LoadedSeries { series, volume: Arc::new(volume) }, refused })
}

/// The series with what is left of it; its geometry is judged anew, since a slice left out leaves a gap.
fn without_refused(series: &Series, kept: Vec<SliceInfo>, refused: &[Refused]) -> Series {
    let (slice_spacing_mm, geometric) = group::geometry(&kept);
    let mut warnings = series.warnings.clone();
    let judged_anew = [Kind::IrregularSpacing, Kind::DuplicateSlices, Kind::GantryTilt];
    warnings.retain(|w| !judged_anew.contains(&w.kind));
    warnings.extend(geometric);
    let reason = refused.first().map_or("", |r| r.text.as_str());
    warnings.push(group::warning(
        Kind::SlicesExcluded,
        format!(
            "{} of {} slices could not be decoded and are missing here. The first reason: {reason}",
            refused.len(),
            series.slices.len()
        ),
    ));
    Series { slices: kept, slice_spacing_mm, warnings, ..series.clone() }
}

/// See [`super::file_facts`].
pub(super) fn file_facts(path: &std::path::Path) -> Result<super::FileFacts, Refused> {
    let read = || -> Result<super::FileFacts, Problem> {
        let (data, mut source) = dataset::read(Source::open(path, None)?, super::header::is_wanted)?;
        let (header, picture) = super::header::read(&data, &mut source)?;
        let (slope, intercept) = match picture.rescale {
            picture::Rescale::Linear { slope, intercept } => (Some(slope), Some(intercept)),
            _ => (None, None),
        };
        Ok(super::FileFacts {
            z_mm: header.pose.get().map(|p| p.origin.0.z),
            spacing_mm: header.spacing_mm.get(),
            thickness_mm: header.technique.slice_thickness_mm,
            rows: picture.rows,
            columns: picture.columns,
            slope,
            intercept,
            transfer_syntax_uid: picture.syntax.uid.to_owned(),
            kernel: header.technique.kernel,
        })
    };
    let name = super::text::clean(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|panic| {
            Err(Problem::new(Kind::Corrupt, format!("reading it failed unexpectedly ({})", panic_text(panic.as_ref()))))
        })
        .map_err(|problem| problem.refused(name))
}
