//! The occlusion check of a slice: the network sees it once for each cell of its heatmap, with that cell covered.

use super::{AnalysisError, SliceNetwork, pool_of, recipe_of};
use crate::findings::{ModelInfo, Occlusion};
use crate::jobs::JobCtx;
use crate::model::ModelError;
use crate::preprocess::{self, network_input};
use crate::study::LoadedSeries;

/// A logit may move so far between two runs of the same input on one device.
const SAME_LOGIT: f32 = 1e-2;

/// What is to be checked.
pub struct Check<'a> {
    pub loaded: &'a LoadedSeries,
    pub model: &'a ModelInfo,
    /// 0-based, display order.
    pub index: usize,
    /// Rows and columns of the slice's heatmap.
    pub cells: [usize; 2],
    /// What the analysis gave for the slice, to be sure that the same is looked at.
    pub logit: f32,
    pub threads: usize,
}

/// Covers one cell of the input after the other with the input's own mean (channel by channel). Progress counts
/// patches; cancelled between them.
///
/// # Errors
/// The slice has no input; its score is not the one of the analysis; the network failed; cancelled.
pub fn occlude(network: &dyn SliceNetwork, check: &Check<'_>, ctx: &JobCtx) -> Result<Occlusion, AnalysisError> {
    let LoadedSeries { series, volume } = check.loaded;
    let [rows, columns] = check.cells;
    ctx.progress(0, rows * columns);
    let recipe = recipe_of(check.model)?;
    let spacing_mm = series.spacing_mm.ok_or_else(|| failed("the pixel spacing is unknown"))?;
    let pool = pool_of(check.threads)?;
    let plan = pool.install(|| preprocess::plan(recipe, volume, spacing_mm, &series.position_mm(), ctx))?;
    let (Some(slice), Some(Some(crop))) = (volume.slices().get(check.index), plan.crops.get(check.index)) else {
        return Err(failed("the slice has no picture for the network"));
    };
    let side = network.input_side();
    let input = network_input(slice, crop, side);
    let logit_of = |input: &[f32]| -> Result<f32, AnalysisError> {
        ctx.check()?;
        let forward = pool.install(|| network.forward_slices(input, 1))?.pop();
        Ok(forward.ok_or_else(|| failed("it gave no answer for a slice"))?.logit)
    };
    let logit = logit_of(&input)?;
    let apart = (logit - check.logit).abs();
    if !apart.is_finite() || apart > SAME_LOGIT * check.logit.abs().max(1.0) {
        return Err(failed("the slice's score could not be repeated; run the analysis again first"));
    }
    let scaling = check.model.operating.slice_scaling;
    let means = means(&input, side);
    let mut scores = Vec::with_capacity(rows * columns);
    for cell in 0..rows * columns {
        let covered = covered(&input, side, patch(cell, check.cells, side), &means);
        scores.push(scaling.score(logit_of(&covered)?));
        ctx.progress(cell + 1, rows * columns);
    }
    Occlusion::new(check.index, crop.region, scaling.score(logit), check.cells, &scores)
        .ok_or_else(|| failed("it returned no finite number for a covered slice"))
}

fn failed(why: &str) -> AnalysisError {
    AnalysisError::Model(ModelError::Forward(why.to_owned()))
}

/// The mean of each channel.
fn means(input: &[f32], side: usize) -> Vec<f32> {
    let mean = |channel: &[f32]| channel.iter().map(|v| f64::from(*v)).sum::<f64>() / channel.len() as f64;
    input.chunks_exact((side * side).max(1)).map(|channel| mean(channel) as f32).collect()
}

/// Input pixels of a cell: first and last column and row, half-open.
fn patch(cell: usize, [rows, columns]: [usize; 2], side: usize) -> [[usize; 2]; 2] {
    let edge = |i: usize, n: usize| i * side / n.max(1);
    let (row, column) = (cell / columns.max(1), cell % columns.max(1));
    [[edge(column, columns), edge(column + 1, columns)], [edge(row, rows), edge(row + 1, rows)]]
}

fn covered(input: &[f32], side: usize, [[x0, x1], [y0, y1]]: [[usize; 2]; 2], means: &[f32]) -> Vec<f32> {
    let mut covered = input.to_vec();
    for (channel, mean) in covered.chunks_exact_mut((side * side).max(1)).zip(means) {
        for line in channel.chunks_exact_mut(side.max(1)).take(y1).skip(y0) {
            line.iter_mut().take(x1).skip(x0).for_each(|v| *v = *mean);
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::model::{CaseForward, SliceForward};

    /// Its logit is four times the sum over one cell of 3 x 3 in the first channel, over the cell's area.
    struct LooksAt {
        cell: usize,
        seen: Mutex<usize>,
    }

    const SIDE: usize = 24;

    impl SliceNetwork for LooksAt {
        fn device_name(&self) -> &str {
            "CPU"
        }
        fn device_note(&self) -> Option<&str> {
            None
        }
        fn input_side(&self) -> usize {
            SIDE
        }
        fn forward_slices(&self, planes: &[f32], _count: usize) -> Result<Vec<SliceForward>, ModelError> {
            *self.seen.lock().expect("no panic") += 1;
            let [[x0, x1], [y0, y1]] = patch(self.cell, [3, 3], SIDE);
            let inside = |i: &usize| (x0..x1).contains(&(i % SIDE)) && (y0..y1).contains(&(i / SIDE));
            let sum: f32 = (0..SIDE * SIDE).filter(inside).map(|i| planes[i]).sum();
            let logit = 4.0 * sum / 64.0;
            Ok(vec![SliceForward { logit, features: Vec::new(), cam: Vec::new(), cam_size: 3 }])
        }
        fn forward_case(&self, _features: &[Vec<f32>]) -> Result<CaseForward, ModelError> {
            Err(ModelError::Forward("not asked".into()))
        }
    }

    #[test]
    fn cells_cover_the_input_without_gap_or_overlap() {
        for (cells, side) in [([6, 6], 192), ([12, 12], 384), ([3, 4], 97)] {
            let mut count = vec![0; side * side];
            for cell in 0..cells[0] * cells[1] {
                let [[x0, x1], [y0, y1]] = patch(cell, cells, side);
                (y0..y1).for_each(|y| (x0..x1).for_each(|x| count[y * side + x] += 1));
            }
            assert!(count.iter().all(|n| *n == 1), "{cells:?} over {side}");
        }
    }

    #[test]
    fn only_the_patch_is_covered_and_each_channel_with_its_own_mean() {
        let input: Vec<f32> = (0..3 * 16).map(|i| i as f32).collect();
        let means = means(&input, 4);
        assert_eq!(means, [7.5, 23.5, 39.5]);
        let covered = covered(&input, 4, [[1, 3], [0, 2]], &means);
        for (i, (before, after)) in input.iter().zip(&covered).enumerate() {
            let (x, y) = (i % 4, i / 4 % 4);
            let expected = if (1..3).contains(&x) && y < 2 { means[i / 16] } else { *before };
            assert_eq!(*after, expected, "{i}");
        }
    }

    #[test]
    fn the_place_that_a_network_looks_at_is_found() {
        let patient = crate::phantom::demo_patient(crate::phantom::DEMO_SEED);
        let index = patient.loaded.series.slices.len() / 2;
        let findings = crate::findings::tests::with_scores(&[Some(0.5)]);
        let model = findings.provenance.model;
        let network = LooksAt { cell: 4, seen: Mutex::new(0) };
        let check = |logit| Check { loaded: &patient.loaded, model: &model, index, cells: [3, 3], logit, threads: 2 };
        let ctx = JobCtx::detached();
        let error = occlude(&network, &check(-50.0), &ctx).expect_err("another score").to_string();
        assert!(error.contains("could not be repeated"), "{error}");
        let logit = {
            let spacing_mm = patient.loaded.series.spacing_mm.expect("millimetres");
            let position_mm = patient.loaded.series.position_mm();
            let recipe = preprocess::Recipe::Paper;
            let plan =
                preprocess::plan(recipe, &patient.loaded.volume, spacing_mm, &position_mm, &ctx).expect("a plan");
            let crop = plan.crops[index].as_ref().expect("bone");
            let input = network_input(&patient.loaded.volume.slices()[index], crop, SIDE);
            network.forward_slices(&input, 1).expect("an answer")[0].logit
        };
        *network.seen.lock().expect("no panic") = 0;
        let map = occlude(&network, &check(logit), &ctx).expect("a map");
        assert_eq!(*network.seen.lock().expect("no panic"), 10, "once whole, once for each cell");
        assert!(map.drops.at(1, 1) > 0.0, "{:?}", map.drops);
        assert!(map.drops.values.iter().enumerate().all(|(cell, drop)| cell == 4 || *drop == 0.0), "{:?}", map.drops);
        ctx.cancel();
        assert!(matches!(occlude(&network, &check(logit), &ctx), Err(AnalysisError::Cancelled(_))));
    }
}
