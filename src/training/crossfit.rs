//! Features for stage 2 from backbones that have not seen the case (method 1.6): the training part is cut in three, and
//! each third gets the features of a backbone trained on the other two.
//!
//! Backbones trained apart name their features differently, so those of a third are carried over into the features of
//! the fold's own backbone by the linear map that fits best, in the sense of ridge regression, on the slices of the
//! inner validation, which neither of the two was trained on.

use rayon::prelude::*;

use super::fold::{Fold, labelled};
use super::folds::{Subject, deal};
use super::images::{ImageJob, Trained, evaluate};
use super::sampler::{Item, Pools};
use super::sequence::CaseFeatures;
use super::{Event, Exec, TrainError, subject};

/// Backbones, and parts of the training cases.
const PARTS: usize = 3;
/// Added to the diagonal of the normal equations, as a share of its mean.
const RIDGE: f64 = 1e-2;

/// Out-of-fold features of the training cases, in the order of the training part.
pub(super) fn features(
    fold: &Fold<'_>,
    job: &ImageJob<'_>,
    own: &Trained,
    items: &[Item],
    positive: &[bool],
    exec: &Exec<'_>,
) -> Result<Vec<CaseFeatures>, TrainError> {
    let train = &fold.parts.train;
    let subjects: Vec<Subject> = train.iter().map(|&case| subject(&fold.cases[case])).collect();
    let part_of = deal(&subjects, PARTS, fold.settings.seed ^ 0xc0ff_ee00 ^ fold.number as u64);
    let in_part = |case: usize, part: usize| train.iter().zip(&part_of).any(|(&c, &p)| c == case && p == part);
    let bridge = labelled(job.cases, &fold.parts.inner);
    let targets = rows(job, own, &bridge, "features to be met", exec)?;
    let mut found: Vec<Option<CaseFeatures>> = vec![None; fold.cases.len()];
    for part in 0..PARTS {
        let seen: Vec<Item> = items.iter().copied().filter(|item| !in_part(item.case, part)).collect();
        let name = format!("images-crossfit-{}", part + 1);
        let folder = job.folder.join(format!("crossfit-{}", part + 1));
        std::fs::create_dir_all(&folder).map_err(|error| TrainError::disk(&folder, error))?;
        let pools = Pools::new(&seen, |case| positive[case]);
        if pools.positive.is_empty() || pools.positive.len() == pools.len() {
            return Err(TrainError::OneClass(format!(
                "fold {} cannot be cross-fitted: two thirds of its training part have slices of one class only",
                fold.number
            )));
        }
        let other = ImageJob {
            cases: job.cases,
            origin: job.origin,
            validation: job.validation.clone(),
            crops: job.crops,
            stage: job.stage,
            network: job.network,
            seed: job.seed,
            fold: job.fold,
            name: &name,
            part: part + 1,
            initial: job.initial,
            frozen: job.frozen,
            folder: folder.clone(),
            pools,
        };
        let trained = other.run(exec)?;
        let out: Vec<usize> = train.iter().copied().filter(|&case| in_part(case, part)).collect();
        assert!(out.iter().all(|case| !trained.fed.contains(case)), "a case was shown to the backbone it is kept from");
        let map = Map::fit(&rows(&other, &trained, &bridge, "features to be carried over", exec)?, &targets);
        let prior = other.pools.prior_shift(other.stage.sampling) as f32;
        let made = fold.features(&trained, &folder, prior, exec)?.of(&out, "features", exec)?;
        for (&case, made) in out.iter().zip(made) {
            let mut features = made.labelled(positive[case]);
            features.features = map.apply(&features.features);
            found[case] = Some(features);
        }
    }
    Ok(train.iter().filter_map(|&case| found[case].take()).collect())
}

/// Features of some slices.
fn rows(
    job: &ImageJob<'_>,
    trained: &Trained,
    items: &[Item],
    what: &str,
    exec: &Exec<'_>,
) -> Result<Vec<Vec<f32>>, TrainError> {
    exec.tell(Event::Phase { fold: job.fold, what: what.to_owned(), total: items.len() });
    let found = evaluate(&trained.backbone, job.cases, items, (trained.mean, trained.std), exec, |_| {})?;
    Ok(found.into_iter().map(|one| one.features).collect())
}

/// An affine map between the features of two backbones.
struct Map {
    from_mean: Vec<f64>,
    to_mean: Vec<f64>,
    /// `from * to`, row-major.
    matrix: Vec<f64>,
}

impl Map {
    /// The ridge regression of `to` on `from`, about both means.
    fn fit(from: &[Vec<f32>], to: &[Vec<f32>]) -> Self {
        let (width, height) = (from.first().map_or(0, Vec::len), to.first().map_or(0, Vec::len));
        let (from_mean, to_mean) = (mean(from, width), mean(to, height));
        let x: Vec<Vec<f64>> = centred(from, &from_mean);
        let y: Vec<Vec<f64>> = centred(to, &to_mean);
        let product = |a: &[Vec<f64>], b: &[Vec<f64>], i: usize, j: usize| -> f64 {
            a[i].iter().zip(&b[j]).map(|(a, b)| a * b).sum()
        };
        let mut gram: Vec<f64> =
            (0..width * width).into_par_iter().map(|at| product(&x, &x, at / width, at % width)).collect();
        let trace: f64 = (0..width).map(|i| gram[i * width + i]).sum();
        let ridge = (RIDGE * trace / width.max(1) as f64).max(f64::MIN_POSITIVE);
        (0..width).for_each(|i| gram[i * width + i] += ridge);
        cholesky(&mut gram, width);
        let columns: Vec<Vec<f64>> = (0..height)
            .into_par_iter()
            .map(|j| {
                let mut column: Vec<f64> = (0..width).map(|i| product(&x, &y, i, j)).collect();
                solve(&gram, width, &mut column);
                column
            })
            .collect();
        let matrix = (0..width * height).map(|at| columns[at % height][at / height]).collect();
        Self { from_mean, to_mean, matrix }
    }

    fn apply(&self, features: &[f32]) -> Vec<f32> {
        let height = self.to_mean.len();
        let one = |slice: &[f32]| {
            let mut out = self.to_mean.clone();
            for ((value, mean), row) in slice.iter().zip(&self.from_mean).zip(self.matrix.chunks_exact(height.max(1))) {
                let centred = f64::from(*value) - mean;
                out.iter_mut().zip(row).for_each(|(out, weight)| *out += centred * weight);
            }
            out.into_iter().map(|value| value as f32).collect::<Vec<f32>>()
        };
        features.par_chunks_exact(self.from_mean.len().max(1)).flat_map_iter(one).collect()
    }
}

fn mean(rows: &[Vec<f32>], width: usize) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    rows.iter().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v)));
    mean.iter_mut().for_each(|m| *m /= rows.len().max(1) as f64);
    mean
}

/// One vector per feature, so that products run along memory.
fn centred(rows: &[Vec<f32>], mean: &[f64]) -> Vec<Vec<f64>> {
    (0..mean.len()).map(|i| rows.iter().map(|row| f64::from(row[i]) - mean[i]).collect()).collect()
}

/// The lower triangle of a positive definite matrix becomes its Cholesky factor.
fn cholesky(a: &mut [f64], n: usize) {
    for j in 0..n {
        let rest = &mut a[j * n..];
        let row_j: Vec<f64> = rest[..j].to_vec();
        let pivot = (rest[j] - row_j.iter().map(|v| v * v).sum::<f64>()).max(f64::MIN_POSITIVE).sqrt();
        rest[j] = pivot;
        rest[n..].par_chunks_mut(n).for_each(|row| {
            let sum: f64 = row[..j].iter().zip(&row_j).map(|(a, b)| a * b).sum();
            row[j] = (row[j] - sum) / pivot;
        });
    }
}

/// `L L^T x = b` in place.
fn solve(l: &[f64], n: usize, b: &mut [f64]) {
    for i in 0..n {
        let sum: f64 = l[i * n..i * n + i].iter().zip(&b[..i]).map(|(l, b)| l * b).sum();
        b[i] = (b[i] - sum) / l[i * n + i];
    }
    for i in (0..n).rev() {
        b[i] /= l[i * n + i];
        let x = b[i];
        (0..i).for_each(|k| b[k] -= l[i * n + k] * x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn a_linear_relation_is_found_and_applied() {
        let mut stream = Stream::named(1, "test", 0);
        let from: Vec<Vec<f32>> = (0..400).map(|_| (0..5).map(|_| stream.normal() as f32 + 3.0).collect()).collect();
        let to: Vec<Vec<f32>> = from.iter().map(|f| vec![2.0 * f[0] - f[3] + 1.0, f[1] + f[2] + f[4], -f[2]]).collect();
        let map = Map::fit(&from, &to);
        for (from, to) in from.iter().zip(&to).take(20) {
            let out = map.apply(from);
            assert!(out.iter().zip(to).all(|(a, b)| (a - b).abs() < 0.1), "{out:?} {to:?}");
        }
    }
}
