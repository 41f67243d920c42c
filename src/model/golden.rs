//! A stored answer that every copy of a weight file must give again: inputs by formula, outputs in the card under
//! `/golden`. A file whose bytes are right may still be computed wrongly by a device or a later version.

use serde_json::{Value, json};

use super::{ModelError, Network};

/// Pictures of the input; their features also make the case.
const PICTURES: usize = 3;
/// What a device may differ by, of the value or at all.
const TOLERANCE: f64 = 2e-3;

impl Network {
    /// The network's answers to the formula input, as `/golden` stores them.
    ///
    /// # Errors
    /// The network failed.
    pub fn golden(&self) -> Result<Value, ModelError> {
        let side = self.golden_side();
        let mut logits = Vec::new();
        let mut features = Vec::new();
        for picture in 0..PICTURES {
            let forward = self.forward_pictures(&formula(picture, side), 1, side)?.pop();
            let forward = forward.ok_or_else(|| ModelError::Forward("it gave no answer for a picture".into()))?;
            logits.push(f64::from(forward.logit));
            features.push(forward.features);
        }
        let size = |f: &Vec<f32>| f.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        let sizes: Vec<f64> = features.iter().map(size).collect();
        let case = f64::from(self.forward_case(&features)?.logit);
        Ok(json!({"input": "formula/1", "side": side, "logits": logits, "feature_norms": sizes, "case_logit": case}))
    }

    /// Compares with the stored answers. `Ok(None)` where the card stores none; `Ok(Some(difference))` is the largest one.
    ///
    /// # Errors
    /// A difference beyond the tolerance, or the network failed.
    pub fn check_golden(&self) -> Result<Option<f64>, ModelError> {
        let Some(stored) = self.card().json.get("golden") else { return Ok(None) };
        if stored.get("input").and_then(Value::as_str) != Some("formula/1") {
            return Err(ModelError::Forward("its golden output is of a kind that this program does not know".into()));
        }
        let mine = self.golden()?;
        let list = |value: &Value| {
            let numbers = |name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
            let mut all: Vec<Option<f64>> = numbers("logits").iter().map(Value::as_f64).collect();
            all.extend(numbers("feature_norms").iter().map(Value::as_f64));
            all.push(value.get("case_logit").and_then(Value::as_f64));
            all
        };
        let (stored, mine) = (list(stored), list(&mine));
        let mut largest = 0.0_f64;
        for (stored, mine) in stored.iter().zip(&mine) {
            let difference = match (stored, mine) {
                (Some(stored), Some(mine)) if mine.is_finite() => (stored - mine).abs() / stored.abs().max(1.0),
                _ => f64::INFINITY,
            };
            largest = largest.max(difference);
        }
        if stored.len() != mine.len() || largest > TOLERANCE {
            return Err(ModelError::Forward(format!(
                "it does not give its golden output again: off by {largest:.2e}, at most {TOLERANCE:.0e} is allowed"
            )));
        }
        Ok(Some(largest))
    }

    /// Small, so that a check takes a moment; the weights are the same.
    fn golden_side(&self) -> usize {
        let full = self.card().json.pointer("/input/size").and_then(Value::as_u64).unwrap_or(96);
        usize::try_from(full).unwrap_or(96).min(96)
    }
}

/// A picture of blots and stripes in 0..=1 that is the same on every machine.
fn formula(picture: usize, side: usize) -> Vec<f32> {
    let value = |channel: usize, row: usize, column: usize| {
        let mut bits = ((picture * 3 + channel) as u64) << 40 | ((row / 4) as u64) << 20 | (column / 4) as u64;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let noise = ((bits ^ (bits >> 31)) >> 40) as f32 / (1_u64 << 24) as f32;
        if (row + column * (channel + 1)) % 23 < 11 { 0.25 + 0.5 * noise } else { 0.1 * noise }
    };
    let mut all = Vec::with_capacity(3 * side * side);
    for channel in 0..3 {
        for row in 0..side {
            all.extend((0..side).map(|column| value(channel, row, column)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_differ_and_stay_in_range() {
        let (a, b) = (formula(0, 32), formula(1, 32));
        assert_eq!(a.len(), 3 * 32 * 32);
        assert_ne!(a, b);
        assert!(a.iter().all(|v| (0.0..=1.0).contains(v)));
        assert_eq!(a, formula(0, 32));
    }
}
