//! The spinal canal as a line down the body, for planes that follow it.

use crate::geometry::{BodyPath, PixelPoint};
use crate::jobs::{Cancelled, JobCtx};
use crate::preprocess::{self, Recipe, SpineTrack};
use crate::study::{LoadedSeries, Series, SliceInfo};

/// Height between two knots, mm: about half a vertebra, so that the line bends as a neck does and no more.
const KNOTS_MM: f64 = 12.0;

/// The middle of the canal, as the recipe `spine` finds it in axial slices. `None` where none is found, or where slices
/// have no place in the patient.
pub fn canal_path(loaded: &LoadedSeries, ctx: &JobCtx) -> Result<Option<BodyPath>, Cancelled> {
    let LoadedSeries { series, volume } = loaded;
    let Some(spacing_mm) = series.spacing_mm else { return Ok(None) };
    let plan = preprocess::plan(Recipe::Spine, volume, spacing_mm, &series.position_mm(), ctx)?;
    let track = plan.spine.filter(|track| track.ends.is_some());
    Ok(track.and_then(|track| path(series, &track, spacing_mm)))
}

/// Where the track has no closed ring it goes on in its direction, then straight, as the track itself does.
fn path(series: &Series, track: &SpineTrack, [row_mm, column_mm]: [f64; 2]) -> Option<BodyPath> {
    let point = |(slice, [x_mm, y_mm]): (&SliceInfo, &[f64; 2])| {
        // From the picture's corner to the middle of its first pixel.
        let at = PixelPoint { column: x_mm / column_mm - 0.5, row: y_mm / row_mm - 0.5 };
        Some(slice.pose?.patient_from_pixel(at, [row_mm, column_mm]))
    };
    let points = series.slices.iter().zip(&track.middles_mm).filter_map(point);
    Some(BodyPath::through(points)?.thinned(KNOTS_MM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{PatientPoint, Vec3};
    use crate::phantom::{DEMO_SEED, demo_study};
    use crate::volume::Sampling;

    #[test]
    fn it_runs_down_the_canal_between_bone() {
        let loaded = demo_study(DEMO_SEED);
        let path = canal_path(&loaded, &JobCtx::detached()).expect("not cancelled").expect("a canal");
        let stack = loaded.stack().expect("a stack");
        let [low, high] = stack.geometry.reach_mm(Vec3::new(0.0, 0.0, 1.0));
        // Within the neck, clear of both ends.
        let heights: Vec<f64> = (1..40).map(|i| low + (high - low) * (0.1 + 0.6 * f64::from(i) / 40.0)).collect();
        let hu = |at: PatientPoint, back_mm: f64| {
            stack.sample(PatientPoint(at.0 + Vec3::new(0.0, back_mm, 0.0)), Sampling::Linear)
        };
        let in_canal = heights.iter().filter(|z| hu(path.at(**z), 0.0).is_some_and(|v| (-80.0..110.0).contains(&v)));
        assert!(in_canal.count() >= 36, "cord, fluid and fat stand on it");
        let before_bone = heights
            .iter()
            .filter(|z| (6..22).filter_map(|mm| hu(path.at(**z), -f64::from(mm))).any(|value| value > 200.0));
        assert!(before_bone.count() >= 18, "and vertebrae, with discs between, lie in front of it");
    }

    #[test]
    fn slices_without_a_canal_have_no_path() {
        let mut loaded = demo_study(DEMO_SEED);
        let mut series = (*loaded.series).clone();
        series.spacing_mm = None;
        loaded.series = series.into();
        assert_eq!(canal_path(&loaded, &JobCtx::detached()), Ok(None));
        let cancelled = JobCtx::detached();
        cancelled.cancel();
        assert_eq!(canal_path(&demo_study(DEMO_SEED), &cancelled), Err(Cancelled));
    }
}
