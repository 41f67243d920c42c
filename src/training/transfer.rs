//! A backbone that learned crops, made to fit whole slices without a step: the batch norms' running statistics are measured
//! on whole slices, and the last layer is fitted anew to their features by logistic regression.

use rayon::prelude::*;

use super::images::{Lesson, evaluate, whole_slices};
use super::{Event, Exec, TrainError};
use crate::model::TrainBackbone;

/// Slices that statistics are moved by at a time, and how often: of those of the crops `0.9^50`, half a percent, is left.
const STATISTICS_BATCH: usize = 16;
const STATISTICS_BATCHES: usize = 50;
/// Slices that the last layer is fitted to at most.
const FITTED_SLICES: usize = 4000;
/// Of the squared weights of features with standard deviation 1, against fitting chance.
const RIDGE: f64 = 1e-2;
const FIT_STEPS: usize = 300;
/// Rows that are summed by one thread; fixed, so that sums do not depend on their number.
const ROWS: usize = 256;

/// Gives back the cases that it looked at.
pub(super) fn fit_to_slices(
    lesson: &Lesson<'_>,
    backbone: &mut TrainBackbone,
    exec: &Exec<'_>,
) -> Result<Vec<usize>, TrainError> {
    let sample = lesson.sample(FITTED_SLICES);
    let side = lesson.network.input_side;
    let total = STATISTICS_BATCHES * STATISTICS_BATCH;
    exec.tell(Event::Phase { fold: lesson.fold, what: "running statistics".into(), total });
    let around = sample.iter().cycle().copied();
    for batch in 0..STATISTICS_BATCHES {
        exec.ctx.check()?;
        let items: Vec<_> = around.clone().skip(batch * STATISTICS_BATCH).take(STATISTICS_BATCH).collect();
        backbone.observe(&whole_slices(lesson.cases, &items, side, lesson.normal)?, items.len())?;
        exec.tell(Event::Batch { done: (batch + 1) * STATISTICS_BATCH, loss: None });
    }
    exec.tell(Event::Phase { fold: lesson.fold, what: "last layer".into(), total: sample.len() });
    let done = std::cell::Cell::new(0);
    let found = evaluate(backbone, lesson.cases, &sample, lesson.normal, exec, |count| {
        done.set(done.get() + count);
        exec.tell(Event::Batch { done: done.get(), loss: None });
    })?;
    let rows: Vec<Vec<f32>> = found.into_iter().map(|one| one.features).collect();
    let labels: Vec<bool> = sample.iter().map(|item| item.positive).collect();
    let (weight, bias) = logistic(&rows, &labels);
    let mut tensors = backbone.tensors()?;
    tensors.insert("backbone.fc.weight", vec![1, weight.len()], weight);
    tensors.insert("backbone.fc.bias", vec![1], vec![bias]);
    backbone.load_tensors(&tensors)?;
    Ok(sample.iter().map(|item| item.case).collect())
}

/// Weights and bias of the logistic regression with a ridge, by Nesterov's accelerated descent on standardised features.
fn logistic(rows: &[Vec<f32>], labels: &[bool]) -> (Vec<f32>, f32) {
    let width = rows.first().map_or(0, Vec::len);
    let count = rows.len().max(1) as f64;
    let sums = |of: &(dyn Fn(usize, f64) -> f64 + Sync)| -> Vec<f64> {
        let mut all = vec![0.0; width];
        rows.iter().for_each(|row| all.iter_mut().zip(row).enumerate().for_each(|(i, (a, &v))| *a += of(i, v.into())));
        all.iter_mut().for_each(|sum| *sum /= count);
        all
    };
    let mean = sums(&|_, value| value);
    let variance = sums(&|i, value| (value - mean[i]) * (value - mean[i]));
    // A dead feature stays without weight.
    let inverse: Vec<f64> = variance.iter().map(|&v| if v > 1e-12 { 1.0 / v.sqrt() } else { 0.0 }).collect();
    let scaled = |row: &Vec<f32>| -> Vec<f64> {
        row.iter().zip(&mean).zip(&inverse).map(|((&v, m), inverse)| (f64::from(v) - m) * inverse).collect()
    };
    let scaled: Vec<Vec<f64>> = rows.iter().map(scaled).collect();
    // The last of the weights is the bias, of a feature that is always 1.
    let product = |row: &[f64], w: &[f64]| row.iter().zip(w).map(|(a, b)| a * b).sum::<f64>() + w[width];
    // The mean of `factor(index, row . w)` times the rows.
    let along = |w: &[f64], factor: &(dyn Fn(usize, f64) -> f64 + Sync)| -> Vec<f64> {
        let part = |(chunk, rows): (usize, &[Vec<f64>])| {
            let mut sum = vec![0.0; width + 1];
            for (index, row) in rows.iter().enumerate() {
                let f = factor(chunk * ROWS + index, product(row, w));
                sum.iter_mut().zip(row.iter().chain([&1.0])).for_each(|(sum, value)| *sum += f * value);
            }
            sum
        };
        let parts: Vec<Vec<f64>> = scaled.par_chunks(ROWS).enumerate().map(part).collect();
        let mut all = vec![0.0; width + 1];
        parts.iter().for_each(|part| all.iter_mut().zip(part).for_each(|(all, value)| *all += value / count));
        all
    };
    let norm = |w: &[f64]| w.iter().map(|v| v * v).sum::<f64>().sqrt();
    // The largest curvature is a quarter of the largest eigenvalue of the features' second moments; with a margin, because the
    // power method comes from below.
    let mut direction: Vec<f64> = (0..=width).map(|i| 1.0 + (i % 7) as f64).collect();
    let mut largest = 1.0;
    for _ in 0..30 {
        let length = norm(&direction).max(f64::MIN_POSITIVE);
        direction.iter_mut().for_each(|v| *v /= length);
        direction = along(&direction, &|_, value| value);
        largest = norm(&direction);
    }
    let step = 1.0 / (0.25 * 1.2 * largest.max(1.0) + RIDGE);
    let (mut w, mut ahead) = (vec![0.0; width + 1], vec![0.0; width + 1]);
    for round in 0..FIT_STEPS {
        let error = |index: usize, z: f64| {
            1.0 / (1.0 + libm::exp(-z)) - f64::from(u8::from(labels.get(index).copied().unwrap_or_default()))
        };
        let mut next = along(&ahead, &error);
        for (i, (next, at)) in next.iter_mut().zip(&ahead).enumerate() {
            let ridge = if i < width { RIDGE * at } else { 0.0 };
            *next = at - step * (*next + ridge);
        }
        let momentum = round as f64 / (round as f64 + 3.0);
        ahead = next.iter().zip(&w).map(|(next, w)| next + momentum * (next - w)).collect();
        w = next;
    }
    let weight: Vec<f64> = w.iter().zip(&inverse).map(|(w, inverse)| w * inverse).collect();
    let bias = w[width] - weight.iter().zip(&mean).map(|(w, m)| w * m).sum::<f64>();
    (weight.into_iter().map(|w| w as f32).collect(), bias as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Features of different scales, one of them dead; labels drawn by a known logit.
    fn drawn(count: usize) -> (Vec<Vec<f32>>, Vec<bool>) {
        let mut stream = Stream::named(1, "logistic", 0);
        let row = |stream: &mut Stream| -> Vec<f32> {
            let [a, b, c] = [(); 3].map(|()| stream.normal());
            [5.0 + a, 0.01 * b, 100.0 * c, 3.0].map(|value| value as f32).to_vec()
        };
        let rows: Vec<Vec<f32>> = (0..count).map(|_| row(&mut stream)).collect();
        let logit = |row: &[f32]| 1.5 * (f64::from(row[0]) - 5.0) - 80.0 * f64::from(row[1]) - 0.5;
        let labels = rows.iter().map(|row| stream.chance(1.0 / (1.0 + (-logit(row)).exp()))).collect();
        (rows, labels)
    }

    #[test]
    fn the_logit_that_labels_were_drawn_by_is_found() {
        let (rows, labels) = drawn(4000);
        let (weight, bias) = logistic(&rows, &labels);
        // The ridge pulls both towards 0, by a sixth at most, and by the same share.
        let share = [weight[0] / 1.5, weight[1] / -80.0];
        assert!(
            share.iter().all(|share| (0.8..1.05).contains(share)) && (share[0] - share[1]).abs() < 0.1,
            "{weight:?}"
        );
        assert!(weight[2].abs() < 1e-3 && weight[3] == 0.0, "{weight:?}");
        assert!((bias + 0.5 + 5.0 * weight[0]).abs() < 0.2, "{bias}");
    }

    #[test]
    fn the_fit_is_the_same_on_any_number_of_threads() {
        let (rows, labels) = drawn(700);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| logistic(&rows, &labels))
        };
        assert_eq!(on(1), on(3));
    }
}
