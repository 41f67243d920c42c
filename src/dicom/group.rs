//! Files to series: which belong together, in which order, and what about them must be kept in mind.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::header::{Header, Stated, Units};
use super::phases::{self, Stack};
use super::picture::Picture;
use super::source::Source;
use super::voi_lut;
use crate::geometry::SlicePose;
use crate::study::{Kind, Packed, Patient, Series, SliceInfo, StudyInfo, Warning};
use crate::volume::Window;

/// Positions closer than this are one position, mm.
pub(super) const SAME_POSITION_MM: f64 = 0.01;
/// Orientations that differ by less than about half a degree are one (cosine of it).
const SAME_DIRECTION: f64 = 0.999_96;
/// A stacking direction off the normal by more than this is told, degrees.
const TILT_TOLD_DEG: f64 = 0.5;

/// One picture that can be opened.
pub(super) struct Found {
    pub path: PathBuf,
    pub packed: Option<Packed>,
    /// Of a multi-frame object.
    pub frame: Option<usize>,
    pub file: String,
    pub bytes: usize,
    /// Apart, because grouping moves many of these about.
    pub header: Box<Header>,
    pub picture: Picture,
}

/// Groups, orders and judges. Returns the series and how many files were exact copies of others.
pub(super) fn series(mut found: Vec<Found>) -> (Vec<Series>, usize) {
    found.sort_by(|a, b| a.file.cmp(&b.file));
    let copies = drop_copies(&mut found);
    let mut groups: BTreeMap<Identity, Vec<Found>> = BTreeMap::new();
    for one in found {
        groups.entry(Identity::of(&one)).or_default().push(one);
    }
    let mut owners: HashMap<String, usize> = HashMap::new();
    for identity in groups.keys().filter(|i| i.is_stack()) {
        *owners.entry(identity.series.clone()).or_default() += 1;
    }
    let mut shared = Shared::default();
    let mut series = Vec::new();
    for (identity, members) in groups {
        let mixed = identity.is_stack() && owners.get(&identity.series).is_some_and(|n| *n > 1);
        let stacks = stacks(members);
        let overview: Vec<Overview> = stacks.iter().map(Overview::of).collect();
        for (index, stack) in stacks.into_iter().enumerate() {
            let mut warnings = split_warnings(&overview, index);
            if mixed && !identity.series.is_empty() {
                warnings.push(warning(
                    Kind::InconsistentSeries,
                    "Its SeriesInstanceUID is used for more than one patient or study. They were kept apart; check at \
                     the source which is which.",
                ));
            }
            series.extend(build(stack, warnings, &mut shared));
        }
    }
    series.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    (series, copies)
}

/// Parts of one series in their order, whatever their sizes.
type SortKey<'s> = (&'s str, &'s str, &'s str, bool, i64, bool, usize, std::cmp::Reverse<usize>, &'s str);

fn sort_key(s: &Series) -> SortKey<'_> {
    let first = s.slices.first().map_or("", |s| s.file.as_str());
    let number = s.number.unwrap_or(i64::MAX);
    let size = std::cmp::Reverse(s.slices.len());
    let part = s.part.as_ref().map_or(0, |part| part.number);
    (&s.study.date, &s.study.time, &s.study.uid, s.number.is_none(), number, s.is_localizer, part, size, first)
}

pub(super) fn warning(kind: Kind, text: impl Into<String>) -> Warning {
    Warning { kind, text: text.into() }
}

/// What must agree for pictures to be of one series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    study: String,
    series: String,
    patient: String,
    modality: String,
    /// Stands in for a missing series UID, or sets a picture that is no cross section apart.
    else_by: String,
}

impl Identity {
    fn of(found: &Found) -> Self {
        let h = &found.header;
        let else_by = if !h.is_cross_section() && h.pose == Stated::Absent {
            found.file.clone()
        } else if h.series.is_empty() {
            let folder = Path::new(&found.file).parent().unwrap_or(Path::new("")).to_string_lossy();
            format!("{folder}\n{:?}\n{}", h.series_number, h.series_description)
        } else {
            String::new()
        };
        Self {
            study: h.study.uid.clone(),
            series: h.series.clone(),
            patient: h.patient.id.clone(),
            modality: h.modality.clone(),
            else_by,
        }
    }
    fn is_stack(&self) -> bool {
        self.else_by.is_empty()
    }
}

/// Leaves out files that are byte for byte the same as another. Equal or empty SOP Instance UIDs alone prove nothing.
fn drop_copies(found: &mut Vec<Found>) -> usize {
    let mut by_uid: HashMap<(String, usize), Vec<usize>> = HashMap::new();
    for (index, one) in found.iter().enumerate() {
        by_uid.entry((one.header.sop_instance.clone(), one.bytes)).or_default().push(index);
    }
    let mut drop = vec![false; found.len()];
    for indices in by_uid.values().filter(|indices| indices.len() > 1) {
        let mut seen = Vec::new();
        for &index in indices {
            let Some(digest) = found.get(index).and_then(digest) else { continue };
            if seen.contains(&digest)
                && let Some(flag) = drop.get_mut(index)
            {
                *flag = true;
            }
            seen.push(digest);
        }
    }
    let before = found.len();
    let mut flags = drop.into_iter();
    found.retain(|_| !flags.next().unwrap_or(false));
    before - found.len()
}

fn digest(one: &Found) -> Option<Vec<u8>> {
    if one.frame.is_some() {
        return frame_digest(one);
    }
    let mut source = Source::open(&one.path, one.packed.as_ref()).ok()?;
    let mut hash = Sha256::new();
    source.read_all(|bytes| hash.update(bytes)).ok()?;
    Some(hash.finalize().to_vec())
}

/// Of a frame its pixels tell; what is packed or deflated would be unpacked from its beginning for every frame.
fn frame_digest(one: &Found) -> Option<Vec<u8>> {
    if one.packed.is_some() || one.picture.syntax.deflated {
        return None;
    }
    let mut source = Source::open(&one.path, None).ok()?;
    let mut hash = Sha256::new();
    for (start, length) in one.picture.stored_ranges() {
        hash.update(source.read_vec(start, length).ok()?);
    }
    Some(hash.finalize().to_vec())
}

fn is_localizer(stack: &[Found]) -> bool {
    stack.iter().any(|f| f.header.is_localizer)
}

/// Splits the pictures of one series into stacks of one geometry and one phase, the largest first.
fn stacks(members: Vec<Found>) -> Vec<Stack> {
    let mut stacks: Vec<Vec<Found>> = Vec::new();
    for one in members {
        match stacks.iter_mut().find(|stack| stack.first().is_some_and(|first| stacks_with(first, &one))) {
            Some(stack) => stack.push(one),
            None => stacks.push(vec![one]),
        }
    }
    let mut stacks: Vec<Stack> = stacks.into_iter().flat_map(phases::split).collect();
    stacks.sort_by_key(|stack| (is_localizer(&stack.members), std::cmp::Reverse(stack.members.len())));
    stacks
}

fn stacks_with(a: &Found, b: &Found) -> bool {
    let same_pose = match (a.header.pose.get(), b.header.pose.get()) {
        (Some(a), Some(b)) => {
            a.along_row.dot(b.along_row) > SAME_DIRECTION && a.along_column.dot(b.along_column) > SAME_DIRECTION
        }
        (None, None) => true,
        _ => false,
    };
    let same_spacing = match (a.header.spacing_mm.get(), b.header.spacing_mm.get()) {
        (Some(a), Some(b)) => a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-3 * a.max(b)),
        (None, None) => true,
        _ => false,
    };
    let (fa, fb) = (&a.header.frame_of_reference, &b.header.frame_of_reference);
    same_pose
        && same_spacing
        && (a.picture.rows, a.picture.columns) == (b.picture.rows, b.picture.columns)
        && a.picture.photometric == b.picture.photometric
        && a.header.is_localizer == b.header.is_localizer
        && (a.header.units == Units::Hu) == (b.header.units == Units::Hu)
        && (fa == fb || fa.is_empty() || fb.is_empty())
}

/// What the other stacks of a series must know of one.
struct Overview {
    is_localizer: bool,
    pictures: usize,
    /// Belongs to a phase that came before it in the list: no other kind of picture.
    is_later_phase: bool,
}

impl Overview {
    fn of(stack: &Stack) -> Self {
        Self {
            is_localizer: is_localizer(&stack.members),
            pictures: stack.members.len(),
            is_later_phase: stack.part.as_ref().is_some_and(|part| part.is_phase && part.number > 1),
        }
    }
}

/// What a stack must say when its series had to be split. Phases over time are as they should be.
fn split_warnings(overview: &[Overview], index: usize) -> Vec<Warning> {
    let Some(this) = overview.get(index) else { return Vec::new() };
    let this_is_localizer = this.is_localizer;
    let localizers: usize = overview.iter().filter(|o| o.is_localizer).map(|o| o.pictures).sum();
    let others = overview.iter().filter(|o| !o.is_localizer && !o.is_later_phase).count();
    let listed = overview.iter().filter(|o| !o.is_localizer).count();
    let mut warnings = Vec::new();
    if !this_is_localizer && localizers > 0 {
        warnings.push(warning(
            Kind::LocalizerExcluded,
            format!("{localizers} localizer picture(s) of the same series were left out of this stack; they are listed apart."),
        ));
    }
    if !this_is_localizer && others > 1 {
        warnings.push(warning(
            Kind::InconsistentSeries,
            format!(
                "The pictures of this series do not fit into one stack (size, orientation, spacing, values or kernel \
                 differ). They are listed as {listed} stacks; check that the one you read is the one you want."
            ),
        ));
    }
    warnings
}

/// Studies and patients that several series name.
#[derive(Default)]
struct Shared {
    studies: Vec<Arc<StudyInfo>>,
    patients: Vec<Arc<Patient>>,
}

fn share<T: PartialEq + Clone>(known: &mut Vec<Arc<T>>, value: &T) -> Arc<T> {
    if let Some(found) = known.iter().find(|k| ***k == *value) {
        return Arc::clone(found);
    }
    let new = Arc::new(value.clone());
    known.push(Arc::clone(&new));
    new
}

fn build(stack: Stack, mut warnings: Vec<Warning>, shared: &mut Shared) -> Option<Series> {
    let Stack { members: mut stack, part } = stack;
    order(&mut stack);
    warnings.extend(content_warnings(&stack));
    let slices: Vec<SliceInfo> = stack
        .iter()
        .map(|f| SliceInfo {
            path: f.path.clone(),
            packed: f.packed.clone(),
            frame: f.frame,
            file: f.file.clone(),
            sop_instance_uid: f.header.sop_instance.clone(),
            instance_number: f.header.instance_number,
            pose: f.header.pose.get(),
        })
        .collect();
    let (slice_spacing_mm, geometric) = geometry(&slices);
    warnings.extend(geometric);
    let middle = stack.get(stack.len() / 2)?;
    let Found { header, picture, .. } = middle;
    let (windows, told) = windows(middle);
    warnings.extend(told);
    Some(Series {
        uid: header.series.clone(),
        frame_of_reference: header.frame_of_reference.clone(),
        study: share(&mut shared.studies, &header.study),
        patient: share(&mut shared.patients, &header.patient),
        modality: header.modality.clone(),
        number: header.series_number,
        description: header.series_description.clone(),
        rows: picture.rows,
        columns: picture.columns,
        spacing_mm: header.spacing_mm.get(),
        slice_spacing_mm,
        slices,
        technique: header.technique.clone(),
        photometric: picture.photometric,
        values_are_hu: stack.iter().all(|f| f.header.units == Units::Hu),
        is_localizer: is_localizer(&stack),
        part,
        file_windows: windows.iter().map(|(window, _)| window.clone()).collect(),
        file_window_names: windows.into_iter().map(|(_, name)| name).collect(),
        reformatted: None,
        warnings,
    })
}

/// What a picture offers to be seen with, by name: its windows, then its tables. PS3.3 C.11.2 leaves the choice to the reader
/// where both are there.
fn windows(found: &Found) -> (Vec<(Window, String)>, Option<Warning>) {
    let mut windows = found.header.windows.clone();
    if !found.header.has_voi_luts {
        return (windows, None);
    }
    let luts = voi_lut::of(found);
    windows.extend(luts.tables.into_iter().map(|table| {
        let name = table.name().to_owned();
        (table.into_window(), name)
    }));
    let told = luts.told.join("; ");
    let text = format!("Of the VOI LUTs that the file offers: {told}. Look with a window instead, or export it anew.");
    (windows, (!told.is_empty()).then(|| warning(Kind::VoiLut, text)))
}

/// Display order (see the invariants of the crate).
fn order(stack: &mut [Found]) {
    let by_number = |f: &Found| (f.header.instance_number.is_none(), f.header.instance_number.unwrap_or(0));
    stack.sort_by(|a, b| by_number(a).cmp(&by_number(b)).then_with(|| a.file.cmp(&b.file)));
    let Some(pose) = stack.first().and_then(|f| f.header.pose.get()) else { return };
    let normal = pose.normal();
    let along = |f: &Found| f.header.pose.get().map_or(0.0, |p| p.origin.0.dot(normal));
    let head_first = pose.is_axial() && normal.z > 0.0;
    stack.sort_by(|a, b| if head_first { along(b).total_cmp(&along(a)) } else { along(a).total_cmp(&along(b)) });
}

/// Median of neighbouring distances and what is unusual about the positions, for slices in display order.
pub(super) fn geometry(slices: &[SliceInfo]) -> (Option<f64>, Vec<Warning>) {
    let poses: Vec<SlicePose> = slices.iter().filter_map(|s| s.pose).collect();
    let (Some(first), Some(last)) = (poses.first(), poses.last()) else { return (None, Vec::new()) };
    if poses.len() != slices.len() || poses.len() < 2 {
        return (None, Vec::new());
    }
    let normal = first.normal();
    let along: Vec<f64> = poses.iter().map(|p| p.origin.0.dot(normal)).collect();
    let mut steps: Vec<f64> = along.windows(2).filter_map(|w| Some((w.last()? - w.first()?).abs())).collect();
    let mut warnings = Vec::new();
    let repeated = steps.iter().filter(|s| **s < SAME_POSITION_MM).count();
    if repeated > 0 {
        let files: Vec<&str> = steps
            .iter()
            .zip(slices.windows(2))
            .filter(|(step, _)| **step < SAME_POSITION_MM)
            .take(3)
            .flat_map(|(_, pair)| pair.iter().map(|s| s.file.as_str()))
            .collect();
        warnings.push(warning(
            Kind::DuplicateSlices,
            format!(
                "{repeated} slice(s) lie at the position of another and differ from it ({}). All were kept, in the \
                 order of their numbers; check at the source which is right.",
                files.join(", ")
            ),
        ));
    }
    warnings.extend(irregular(&steps));
    let stacking = (last.origin.0 - first.origin.0).normalized();
    let tilt_deg = stacking.map(|d| d.dot(normal).abs().clamp(0.0, 1.0).acos().to_degrees());
    if let Some(tilt_deg) = tilt_deg.filter(|t| *t > TILT_TOLD_DEG) {
        warnings.push(warning(
            Kind::GantryTilt,
            format!(
                "The slices are stacked {tilt_deg:.1} degrees off their normal (gantry tilt). Every slice keeps its own \
                 position, and planes across the slices are resampled from there."
            ),
        ));
    }
    // Repeated positions are no spacing; where all positions are one there is none.
    steps.retain(|s| *s >= SAME_POSITION_MM);
    (median(&steps), warnings)
}

fn irregular(steps: &[f64]) -> Option<Warning> {
    let apart: Vec<f64> = steps.iter().copied().filter(|s| *s >= SAME_POSITION_MM).collect();
    let usual = median(&apart)?;
    // Positions are written with few digits.
    let tolerance = (0.02 * usual).max(0.05);
    let odd: Vec<String> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| **step >= SAME_POSITION_MM && (**step - usual).abs() > tolerance)
        .map(|(i, step)| format!("{step:.2} mm between slices {} and {}", i + 1, i + 2))
        .collect();
    if odd.is_empty() {
        return None;
    }
    let named = odd.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = if odd.len() > 3 { format!(" and {} more", odd.len() - 3) } else { String::new() };
    Some(warning(
        Kind::IrregularSpacing,
        format!(
            "Slices are {usual:.2} mm apart, except {named}{more}. Every slice keeps its own position and none was \
             invented; slices may be missing, check at the source."
        ),
    ))
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted.get(sorted.len() / 2 - 1)? + upper) / 2.0)
}

/// Warnings of single files, told once for the stack.
fn content_warnings(stack: &[Found]) -> Vec<Warning> {
    let mut warnings = geometry_statements(stack);
    warnings.extend(value_statements(stack));
    let mut tell = |kind, which: &dyn Fn(&Found) -> bool, text: &dyn Fn(&Found) -> String| {
        let mut hit = stack.iter().filter(|f| which(f));
        if let Some(first) = hit.next() {
            let place = match (1 + hit.count(), stack.len()) {
                (_, 1) => String::new(),
                (n, all) => format!(" ({n} of {all} files, the first is {})", first.file),
            };
            warnings.push(warning(kind, format!("{}{place}.", text(first))));
        }
    };
    tell(Kind::PhotometricAssumed, &|f| f.picture.photometric_assumed, &|_| {
        "PhotometricInterpretation is missing; low values are shown dark as in nearly every CT; check the picture"
            .to_owned()
    });
    tell(Kind::ExcessPixelData, &|f| f.picture.excess > 0, &|f| {
        format!("{} bytes behind the last pixel were ignored; the picture is complete", f.picture.excess)
    });
    tell(Kind::LossyCompression, &|f| f.header.technique.lossy.is_some(), &|f| {
        let how = f.header.technique.lossy.as_deref().unwrap_or_default();
        format!(
            "The picture was compressed with loss at some time ({how}); fine detail and values may differ from the original"
        )
    });
    tell(
        Kind::MissingUid,
        &|f| f.header.sop_instance.is_empty() || f.header.series.is_empty() || f.header.study.uid.is_empty(),
        &|_| {
            "Study, series or instance UIDs are empty; files were put together by folder and content; check that they \
             belong together"
                .to_owned()
        },
    );
    tell(Kind::RecoveredFile, &|f| f.header.mended.is_some(), &|f| {
        format!("The file is not well formed: {}; everything needed was read", f.header.mended.unwrap_or_default())
    });
    tell(Kind::DoubtfulText, &|f| f.header.doubtful_text, &|_| {
        "Some text does not fit its stated character set and is shown with replacement characters; names may be wrong"
            .to_owned()
    });
    warnings
}

fn geometry_statements(stack: &[Found]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let Some(first) = stack.first() else { return warnings };
    let of = |bad: fn(&Header) -> Option<&String>| stack.iter().find_map(|f| bad(&f.header));
    fn bad_pose(h: &Header) -> Option<&String> {
        if let Stated::Bad(said) = &h.pose { Some(said) } else { None }
    }
    fn bad_spacing(h: &Header) -> Option<&String> {
        if let Stated::Bad(said) = &h.spacing_mm { Some(said) } else { None }
    }
    if let Some(said) = of(bad_pose) {
        warnings.push(warning(
            Kind::BadGeometry,
            format!("Position or orientation cannot be believed ({said}). The picture is shown without place in the patient."),
        ));
    } else if first.header.is_cross_section() && first.header.pose == Stated::Absent {
        warnings.push(warning(
            Kind::NoGeometry,
            "Position and orientation are missing. Slices are in the order of their numbers, without distances or \
             directions across them.",
        ));
    }
    if let Some(said) = of(bad_spacing) {
        warnings
            .push(warning(Kind::BadGeometry, format!("PixelSpacing \"{said}\" cannot be believed and is not used.")));
    }
    if first.header.spacing_mm.get().is_none() {
        warnings.push(warning(
            Kind::NoSpacing,
            "The pixel spacing is unknown: the picture is shown, but nothing is measured in millimetres and no analysis \
             is run.",
        ));
    }
    warnings
}

fn value_statements(stack: &[Found]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut once = |kind, text: String| {
        if warnings.iter().all(|w: &Warning| w.kind != kind) {
            warnings.push(warning(kind, text));
        }
    };
    for found in stack {
        match &found.header.units {
            Units::Hu | Units::Other => {}
            Units::NoRescale => once(
                Kind::NoRescale,
                "RescaleSlope and RescaleIntercept are missing. Stored values are shown; they are not Hounsfield units \
                 and no analysis is run."
                    .to_owned(),
            ),
            Units::BadRescale(said) => once(
                Kind::BadRescale,
                format!(
                    "The rescale cannot be read ({said}). Stored values are shown; they are not Hounsfield units and no \
                     analysis is run."
                ),
            ),
            Units::Stated(units) => once(
                Kind::NotHu,
                format!("RescaleType is \"{units}\": the values are not Hounsfield units and no analysis is run."),
            ),
            Units::Localizer => once(
                Kind::NotHu,
                "This is a localizer, a projection: its values are not Hounsfield units of tissue and no analysis is run."
                    .to_owned(),
            ),
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{PatientPoint, Vec3};

    fn slices(origins: &[[f64; 3]]) -> Vec<SliceInfo> {
        let pose = |[x, y, z]: [f64; 3]| SlicePose {
            origin: PatientPoint(Vec3::new(x, y, z)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        let info = |o: &[f64; 3]| SliceInfo {
            path: PathBuf::new(),
            packed: None,
            frame: None,
            file: String::new(),
            sop_instance_uid: String::new(),
            instance_number: None,
            pose: Some(pose(*o)),
        };
        origins.iter().map(info).collect()
    }
    #[track_caller]
    fn check(origins: &[[f64; 3]], spacing: Option<f64>, kinds: &[Kind]) {
        let (found, warnings) = geometry(&slices(origins));
        assert_eq!(found, spacing);
        assert_eq!(warnings.iter().map(|w| w.kind).collect::<Vec<_>>(), kinds);
    }

    #[test]
    fn spacing_gaps_repeats_and_tilt() {
        check(&[[0.0, 0.0, 9.0], [0.0, 0.0, 6.0], [0.0, 0.0, 3.0]], Some(3.0), &[]);
        check(&[[0.0; 3]], None, &[]);
        check(
            &[[0.0, 0.0, 9.0], [0.0, 0.0, 6.0], [0.0, 0.0, 3.0], [0.0, 0.0, -3.0]],
            Some(3.0),
            &[Kind::IrregularSpacing],
        );
        check(
            &[[0.0, 0.0, 9.0], [0.0, 0.0, 6.0], [0.0, 0.0, 6.0], [0.0, 0.0, 3.0]],
            Some(3.0),
            &[Kind::DuplicateSlices],
        );
        check(&[[0.0, 0.0, 0.0], [0.0, 1.0, 3.0], [0.0, 2.0, 6.0]], Some(3.0), &[Kind::GantryTilt]);
        check(&[[0.0, 0.0, 0.0], [0.0, 0.0, 0.63], [0.0, 0.0, 1.25]], Some(0.625), &[]);
    }
}
