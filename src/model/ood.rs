//! How far the features of a study lie from those of the training cases (method 8.5): principal components of the
//! features, variances along them, and one variance for what they leave. Plain arithmetic, f64.

use serde_json::{Value, json};

/// Components kept; the features of a slice vary along few directions.
const COMPONENTS: usize = 16;
/// Rounds of the subspace iteration; the components need not be exact, only the same everywhere.
const ROUNDS: usize = 24;
/// Slices taken at most, evenly over all.
const MAX_SLICES: usize = 4000;
/// Each variance is drawn towards the mean of all by this share: few cases estimate the small ones badly.
const SHRINKAGE: f64 = 0.05;
/// Training cases at or below the limit.
const LIMIT_SHARE: f64 = 0.99;

/// A description of the training features and the distance from it.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureDistance {
    mean: Vec<f64>,
    /// Unit vectors.
    components: Vec<Vec<f64>>,
    variances: Vec<f64>,
    /// Per direction, of what the components leave.
    rest_variance: f64,
    /// 99th percentile of the training cases' distances.
    pub limit: f64,
    /// Training cases.
    pub cases: usize,
}

impl FeatureDistance {
    /// Describes the features of the slices of the training cases. `None` for fewer than two cases or features of
    /// different lengths or no finite number.
    pub fn fit(cases: &[Vec<Vec<f32>>]) -> Option<Self> {
        let all: Vec<&Vec<f32>> = cases.iter().flatten().collect();
        let length = all.first()?.len();
        let sound = all.iter().all(|f| f.len() == length && f.iter().all(|v| v.is_finite()));
        if cases.len() < 2 || all.len() < 2 || length == 0 || !sound {
            return None;
        }
        let step = all.len().div_ceil(MAX_SLICES);
        let taken: Vec<&Vec<f32>> = all.iter().step_by(step).copied().collect();
        let count = taken.len() as f64;
        let mut mean = vec![0.0; length];
        taken.iter().for_each(|f| mean.iter_mut().zip(f.iter()).for_each(|(m, v)| *m += f64::from(*v) / count));
        let centred: Vec<Vec<f64>> =
            taken.iter().map(|f| f.iter().zip(&mean).map(|(v, m)| f64::from(*v) - m).collect()).collect();
        let kept = COMPONENTS.min(length).min(taken.len() - 1);
        let components = principal(&centred, length, kept);
        let total: f64 = centred.iter().flatten().map(|v| v * v).sum::<f64>() / count;
        let along = |c: &Vec<f64>| centred.iter().map(|f| dot(f, c).powi(2)).sum::<f64>() / count;
        let variances: Vec<f64> = components.iter().map(along).collect();
        let rest = (total - variances.iter().sum::<f64>()).max(0.0) / (length - kept).max(1) as f64;
        let usual = (total / length as f64).max(1e-12);
        let shrunk = |v: f64| (1.0 - SHRINKAGE) * v + SHRINKAGE * usual;
        let mut this = Self {
            mean,
            components,
            variances: variances.into_iter().map(shrunk).collect(),
            rest_variance: shrunk(rest),
            limit: f64::INFINITY,
            cases: cases.len(),
        };
        let mut distances: Vec<f64> = cases.iter().filter_map(|case| this.of_case(case)).collect();
        distances.sort_by(f64::total_cmp);
        let rank = (LIMIT_SHARE * distances.len() as f64).ceil() as usize;
        this.limit = *distances.get(rank.clamp(1, distances.len()) - 1)?;
        Some(this)
    }

    /// Median over the slices of the distance per direction: about 1 for slices such as those of the training.
    pub fn of_case(&self, features: &[Vec<f32>]) -> Option<f64> {
        let mut distances: Vec<f64> = features.iter().filter_map(|f| self.of_slice(f)).collect();
        distances.sort_by(f64::total_cmp);
        distances.get(distances.len() / 2).copied()
    }

    fn of_slice(&self, features: &[f32]) -> Option<f64> {
        if features.len() != self.mean.len() {
            return None;
        }
        let centred: Vec<f64> = features.iter().zip(&self.mean).map(|(v, m)| f64::from(*v) - m).collect();
        let (mut sum, mut explained) = (0.0, 0.0);
        for (component, variance) in self.components.iter().zip(&self.variances) {
            let along = dot(&centred, component);
            explained += along * along;
            sum += along * along / variance;
        }
        let rest = (dot(&centred, &centred) - explained).max(0.0);
        Some(((sum + rest / self.rest_variance) / self.mean.len() as f64).sqrt())
    }

    /// As it stands in a card under `/ood`; numbers are rounded to f32.
    pub fn to_json(&self) -> Value {
        let short = |values: &[f64]| {
            values.iter().map(|v| json!((*v as f32).to_string().parse::<f64>().unwrap_or(0.0))).collect::<Vec<_>>()
        };
        json!({
            "mean": short(&self.mean),
            "components": self.components.iter().map(|c| Value::from(short(c))).collect::<Vec<_>>(),
            "variances": short(&self.variances),
            "rest_variance": self.rest_variance,
            "limit": self.limit,
            "cases": self.cases,
        })
    }

    /// `None` where nothing (or nothing usable) is stored.
    pub fn from_json(stored: &Value) -> Option<Self> {
        let list = |value: &Value| value.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
        let mean = list(stored.get("mean")?)?;
        let components = stored.get("components")?.as_array()?.iter().map(list).collect::<Option<Vec<_>>>()?;
        let variances = list(stored.get("variances")?)?;
        let number = |name: &str| stored.get(name)?.as_f64().filter(|v| v.is_finite() && *v > 0.0);
        let fits = components.len() == variances.len()
            && components.iter().all(|c| c.len() == mean.len())
            && variances.iter().all(|v| *v > 0.0);
        let cases = usize::try_from(stored.get("cases")?.as_u64()?).ok()?;
        let (rest_variance, limit) = (number("rest_variance")?, number("limit")?);
        fits.then_some(Self { mean, components, variances, rest_variance, limit, cases })
    }
}

/// The first principal directions of centred rows, by subspace iteration from a fixed start.
fn principal(rows: &[Vec<f64>], length: usize, kept: usize) -> Vec<Vec<f64>> {
    // A start without symmetry: no direction of interest is orthogonal to all of it.
    let start = |k: usize| (0..length).map(|i| scattered(k * length + i)).collect();
    let mut basis: Vec<Vec<f64>> = (0..kept).map(start).collect();
    orthonormal(&mut basis);
    for _ in 0..ROUNDS {
        let mut next = vec![vec![0.0; length]; kept];
        for row in rows {
            for (to, direction) in next.iter_mut().zip(&basis) {
                let along = dot(row, direction);
                to.iter_mut().zip(row).for_each(|(t, v)| *t += along * v);
            }
        }
        basis = next;
        orthonormal(&mut basis);
    }
    basis
}

/// The same number in -0.5..0.5 for the same index, without order.
fn scattered(index: usize) -> f64 {
    let mut bits = (index as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (bits >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}

/// Gram-Schmidt; a direction that vanishes stays as nothing.
fn orthonormal(basis: &mut [Vec<f64>]) {
    for k in 0..basis.len() {
        let (before, rest) = basis.split_at_mut(k);
        let Some(this) = rest.first_mut() else { return };
        for other in before {
            let along = dot(this, other);
            this.iter_mut().zip(other.iter()).for_each(|(t, o)| *t -= along * o);
        }
        let norm = dot(this, this).sqrt();
        let scale = if norm > 1e-30 { 1.0 / norm } else { 0.0 };
        this.iter_mut().for_each(|t| *t *= scale);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases whose features vary mostly along two directions.
    fn cases(count: usize, shift: f32) -> Vec<Vec<Vec<f32>>> {
        let noise = |i: usize| scattered(i) as f32;
        (0..count)
            .map(|c| {
                (0..10)
                    .map(|s| {
                        let (a, b) = (noise(c * 31 + s * 7) * 4.0, noise(c * 17 + s * 3 + 5) * 2.0);
                        (0..12)
                            .map(|i| shift + a * (i % 2) as f32 + b * (i % 3) as f32 + noise(c * 101 + s * 13 + i))
                            .collect()
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn training_cases_lie_inside_and_shifted_ones_outside() {
        let fitted = FeatureDistance::fit(&cases(60, 0.0)).unwrap();
        let inside = cases(80, 0.0).iter().filter(|c| fitted.of_case(c).unwrap() <= fitted.limit).count();
        assert!(inside >= 76, "{inside} of 80");
        assert!(cases(20, 9.0).iter().all(|c| fitted.of_case(c).unwrap() > fitted.limit));
    }

    #[test]
    fn it_reads_back_and_refuses_what_does_not_fit() {
        let fitted = FeatureDistance::fit(&cases(30, 0.0)).unwrap();
        let read = FeatureDistance::from_json(&fitted.to_json()).unwrap();
        let case = &cases(3, 1.0)[2];
        assert!((read.of_case(case).unwrap() - fitted.of_case(case).unwrap()).abs() < 1e-4);
        assert_eq!(read.of_case(&[vec![0.0; 5]]), None);
        let mut broken = fitted.to_json();
        broken["variances"] = json!([1.0]);
        assert_eq!(FeatureDistance::from_json(&broken), None);
        assert_eq!(FeatureDistance::from_json(&Value::Null), None);
        assert_eq!(FeatureDistance::fit(&cases(1, 0.0)), None);
    }
}
