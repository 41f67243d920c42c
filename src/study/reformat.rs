//! Axial slices made here from a series that has none: a series of its own, which has no files and says at every turn that
//! it was interpolated.

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::describe::short;
use super::{Kind, LoadedSeries, Series, SliceInfo, Technique, Warning, quality};
use crate::geometry::{StackError, orientation_letters};
use crate::volume::{AxialGrid, Volume};

/// What such a series was made from, and its voxels, which no file holds.
#[derive(Debug, Clone)]
pub struct Reformatted {
    pub volume: Arc<Volume>,
    /// "series 3".
    pub from: String,
    pub from_uid: String,
    /// Distance of the slices that were acquired, mm.
    pub from_spacing_mm: Option<f64>,
    /// How thick they are, mm.
    pub from_thickness_mm: Option<f64>,
}

impl PartialEq for Reformatted {
    fn eq(&self, other: &Self) -> bool {
        self.volume.id() == other.volume.id() && self.from_uid == other.from_uid
    }
}

/// Why no axial slices are made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReformatError {
    #[error("it cannot be reformatted: {0}")]
    NoStack(#[from] StackError),
    #[error("its slices are axial within {off_deg:.0} degrees already")]
    Axial { off_deg: f64 },
    #[error(
        "as axial slices it would take {needed_mb} MB, more than the {limit_mb} MB that may stay in memory; Settings raise that"
    )]
    TooLarge { needed_mb: u64, limit_mb: u64 },
    #[error("cancelled")]
    Cancelled,
}

/// Resamples a series to axial slices. `progress` is called with slices done and their number, from several threads, and
/// says whether to go on.
///
/// # Errors
/// The series is no stack, is axial already (within 20 degrees), would take more than `limit_bytes`; or stopped.
pub fn to_axial(
    loaded: &LoadedSeries,
    limit_bytes: u64,
    progress: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<LoadedSeries, ReformatError> {
    let stack = loaded.stack()?;
    let off_deg = quality::off_axial_deg(&loaded.series).unwrap_or(0.0);
    if off_deg <= quality::MAX_OFF_AXIAL_DEG {
        return Err(ReformatError::Axial { off_deg });
    }
    let grid = AxialGrid::of(&stack.geometry);
    let needed = grid.bytes(stack.volume.is_integer());
    if needed > limit_bytes {
        return Err(ReformatError::TooLarge { needed_mb: needed.div_ceil(1 << 20), limit_mb: limit_bytes >> 20 });
    }
    let volume = stack.axial(&grid, progress).ok_or(ReformatError::Cancelled)?;
    let volume = Arc::new(volume);
    let series = Arc::new(axial_series(&loaded.series, &grid, &volume));
    Ok(LoadedSeries { series, volume })
}

impl Series {
    /// The series with its voxels, where it was made here; `None` where files have them.
    pub fn in_memory(self: &Arc<Self>) -> Option<LoadedSeries> {
        let volume = self.reformatted.as_ref()?.volume.clone();
        Some(LoadedSeries { series: self.clone(), volume })
    }
    /// "series 3", where it was made here from that.
    pub fn reformatted_from(&self) -> Option<&str> {
        self.reformatted.as_ref().map(|made| made.from.as_str())
    }
    /// The UID that [`to_axial`] gives to what it makes of this series; empty where the series has none.
    pub fn axial_uid(&self) -> String {
        let uid = self.uid.trim();
        if uid.is_empty() {
            return String::new();
        }
        // The stacks of one series that do not fit together are reformatted apart.
        let normal = self.slices.first().and_then(|s| s.pose).map(|p| p.normal());
        let stack = normal.map_or_else(String::new, |n| format!("{:.2} {:.2} {:.2}", n.x, n.y, n.z));
        let hash = Sha256::digest(format!("dens axial {uid} {} {} {stack}", self.rows, self.columns));
        let number = hash.iter().take(16).fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
        format!("2.25.{number}")
    }
}

fn axial_series(source: &Series, grid: &AxialGrid, volume: &Arc<Volume>) -> Series {
    let from = source.number.map_or_else(|| "a series without number".to_owned(), |n| format!("series {n}"));
    let slice = |index: usize| SliceInfo {
        path: PathBuf::new(),
        packed: None,
        frame: None,
        file: format!("reformatted/{:03}", index + 1),
        sop_instance_uid: String::new(),
        instance_number: i64::try_from(index + 1).ok(),
        pose: Some(grid.pose(index)),
    };
    // What is said of the places of its slices is said of the source's.
    let places = [Kind::GantryTilt, Kind::IrregularSpacing, Kind::DuplicateSlices];
    let kept = source.warnings.iter().filter(|w| !places.contains(&w.kind)).cloned();
    Series {
        uid: source.axial_uid(),
        number: None,
        description: format!("axial, reformatted from {from} by dens"),
        rows: grid.rows,
        columns: grid.columns,
        spacing_mm: Some([grid.pixel_mm; 2]),
        slice_spacing_mm: Some(grid.step_mm),
        slices: (0..grid.slices).map(slice).collect(),
        technique: Technique { slice_thickness_mm: None, gantry_tilt_deg: None, ..source.technique.clone() },
        warnings: std::iter::once(warning(source, grid, &from)).chain(kept).collect(),
        reformatted: Some(Reformatted {
            volume: volume.clone(),
            from,
            from_uid: source.uid.clone(),
            from_spacing_mm: source.slice_spacing_mm,
            from_thickness_mm: source.technique.slice_thickness_mm,
        }),
        ..source.clone()
    }
}

fn warning(source: &Series, grid: &AxialGrid, from: &str) -> Warning {
    let spacing = source
        .spacing_mm
        .map_or_else(String::new, |[row, column]| format!(" of {} x {} mm pixels", short(row), short(column)));
    let every = source.slice_spacing_mm.map_or_else(String::new, |mm| format!(" every {} mm", short(mm)));
    let facing =
        source.slices.first().and_then(|s| s.pose).map(|p| orientation_letters(p.normal())).unwrap_or_default();
    let text = format!(
        "these axial slices were not acquired: dens interpolated them, {} mm pixels every {} mm, from {from}, slices{spacing}{every} that \
         face {facing}. What that series does not resolve they do not show either; outside of it they have padding. They last until \
         the study is closed",
        short(grid.pixel_mm),
        short(grid.step_mm)
    );
    Warning { kind: Kind::Reformatted, text }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::geometry::{PatientPoint, SlicePose, Vec3};
    use crate::study::describe::tests::bare;
    use crate::volume::{Sampling, Slice, SlicePixels};

    /// HU that run straight through the patient, so that linear interpolation is exact.
    fn straight(at: Vec3) -> f64 {
        (2.0 * at.x + 3.0 * at.y - 4.0 * at.z).round()
    }

    /// Sagittal slices of 60 x 90 mm over 48 mm, as a scanner's own planes are, so many mm apart.
    fn sagittal(spacing_mm: f64) -> LoadedSeries {
        let (slices, columns, rows) = ((48.0 / spacing_mm) as usize, 60, 90);
        let pose = |index: usize| SlicePose {
            origin: PatientPoint(Vec3::new(spacing_mm * index as f64 - 20.0, -30.0, 45.0)),
            along_row: Vec3::new(0.0, 1.0, 0.0),
            along_column: Vec3::new(0.0, 0.0, -1.0),
        };
        let slice = |index: usize| {
            let at = |i: usize| {
                straight(pose(index).origin.0 + Vec3::new(0.0, (i % columns) as f64, -((i / columns) as f64)))
            };
            let pixels = SlicePixels::I16((0..rows * columns).map(|i| at(i) as i16).collect());
            Arc::new(Slice { rows, columns, pixels, padding: None })
        };
        let mut series = bare();
        let info = series.slices.remove(0);
        series.slices = (0..slices).map(|index| SliceInfo { pose: Some(pose(index)), ..info.clone() }).collect();
        (series.uid, series.frame_of_reference) = ("1.2.3".into(), "1.2.9".into());
        (series.rows, series.columns, series.spacing_mm) = (rows, columns, Some([1.0; 2]));
        series.slice_spacing_mm = Some(spacing_mm);
        series.technique.slice_thickness_mm = Some(spacing_mm);
        series.number = Some(4);
        let volume = Volume::new((0..slices).map(slice).collect()).expect("one size");
        LoadedSeries { series: Arc::new(series), volume: Arc::new(volume) }
    }

    #[test]
    fn a_sagittal_series_becomes_an_axial_one_that_says_so() {
        let source = sagittal(2.0);
        let seen = AtomicUsize::new(0);
        let made = to_axial(&source, u64::MAX, &|done, total| {
            assert!(done <= total);
            seen.fetch_add(1, Ordering::Relaxed);
            true
        })
        .expect("made");
        let series = &made.series;
        assert_eq!(seen.load(Ordering::Relaxed), series.slices.len());
        assert_eq!(quality::off_axial_deg(series), Some(0.0));
        assert_eq!(series.description, "axial, reformatted from series 4 by dens");
        assert_eq!(
            (&series.frame_of_reference, &series.study),
            (&source.series.frame_of_reference, &source.series.study)
        );
        assert!(series.uid.starts_with("2.25.") && series.uid == source.series.axial_uid());
        assert_ne!(series.uid, source.series.uid);
        let said = series.warnings.iter().find(|w| w.kind == Kind::Reformatted).expect("said");
        assert!(
            said.text.contains("interpolated") && said.text.contains("every 2 mm") && said.text.contains("series 4")
        );
        let z = |i: usize| series.slices[i].z_mm().expect("a place");
        assert!(z(0) > z(1), "head to feet");
        let at = Vec3::new(3.3, -4.2, 7.9);
        let value = made.stack().expect("a stack").sample(PatientPoint(at), Sampling::Linear).expect("inside");
        assert!((f64::from(value) - straight(at)).abs() <= 2.0, "the same place has the same value: {value}");
        assert_eq!(series.in_memory().map(|held| held.volume.id()), Some(made.volume.id()));
    }

    #[test]
    fn what_cannot_or_need_not_be_reformatted_is_refused_with_the_reason() {
        let refused =
            |loaded: &LoadedSeries, limit| to_axial(loaded, limit, &|_, _| true).expect_err("refused").to_string();
        let source = sagittal(8.0);
        let axial = to_axial(&source, u64::MAX, &|_, _| true).expect("made");
        assert!(refused(&axial, u64::MAX).contains("axial within 0 degrees already"));
        let error = to_axial(&source, 1 << 18, &|_, _| true).expect_err("too large");
        assert_eq!(error, ReformatError::TooLarge { needed_mb: 1, limit_mb: 0 });

        let mut unplaced = (*source.series).clone();
        unplaced.slices[1].pose = None;
        let unplaced = LoadedSeries { series: Arc::new(unplaced), volume: source.volume.clone() };
        assert!(refused(&unplaced, u64::MAX).contains("slice 2 does not say where it lies"));
        assert_eq!(to_axial(&source, u64::MAX, &|_, _| false).expect_err("stopped"), ReformatError::Cancelled);
    }

    #[test]
    fn slices_that_lie_far_apart_stay_a_stop_when_they_are_reformatted() {
        let made = to_axial(&sagittal(4.0), u64::MAX, &|_, _| true).expect("made");
        let lines = quality::of_header(&made.series);
        let stop = lines.iter().find(|l| l.weight == quality::Weight::Stop).expect("a stop");
        assert!(stop.text.contains("4.0 mm apart") && stop.text.contains("reformatted from"), "{}", stop.text);
        assert!(lines.iter().any(|l| l.topic == "Thickness" && l.weight == quality::Weight::Warning));
    }
}
