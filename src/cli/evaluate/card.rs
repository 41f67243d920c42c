//! Thresholds and calibration of a model card, as an evaluation needs them.

use serde_json::Value;

use crate::evaluation::{ModelProvenance, NamedThreshold, Scaling, Thresholds};
use crate::findings::ModelInfo;

/// Thresholds for scores after calibration.
pub fn thresholds(model: &ModelInfo) -> Thresholds {
    let card = &model.card;
    let slice = f64::from(model.threshold);
    let case = card.pointer("/output/case_threshold").and_then(Value::as_f64).unwrap_or(slice);
    let rule = card.pointer("/output/threshold_rule").and_then(Value::as_str).unwrap_or("not stated in the card");
    let points = card.pointer("/output/thresholds").and_then(Value::as_object);
    let named = points.into_iter().flatten().filter_map(|(name, point)| {
        Some(NamedThreshold {
            name: shown(name),
            case: point.get("case").and_then(Value::as_f64)?,
            rule: shown(point.get("rule").and_then(Value::as_str).unwrap_or("not stated in the card")),
            n: point.get("n").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()),
        })
    });
    Thresholds { slice, case, rule: shown(rule), named: named.collect() }
}

/// Calibration of slices and of cases: Platt's where the card has it, else the temperature.
pub fn scalings(card: &Value) -> [Scaling; 2] {
    ["slice", "case"].map(|level| {
        let number = |pointer: &str| card.pointer(pointer).and_then(Value::as_f64).filter(|v| v.is_finite());
        let platt = number(&format!("/output/platt/{level}/slope"))
            .zip(number(&format!("/output/platt/{level}/intercept")))
            .map(|(slope, intercept)| Scaling { slope, intercept });
        let temperature = number(&format!("/output/temperature/{level}")).or_else(|| number("/output/temperature"));
        let by_temperature = temperature.filter(|&t| t > 0.0).map(|t| Scaling { slope: 1.0 / t, intercept: 0.0 });
        platt.or(by_temperature).unwrap_or(Scaling::NONE)
    })
}

pub fn provenance(model: &ModelInfo) -> ModelProvenance {
    let thresholds = thresholds(model);
    ModelProvenance {
        name: model.name.clone(),
        architecture: model.architecture.clone(),
        sha256: model.sha256.clone(),
        trained_on: model.trained_on.clone(),
        slice_threshold: thresholds.slice,
        case_threshold: thresholds.case,
        threshold_rule: thresholds.rule,
        calibrated: model.calibrated,
    }
}

/// Text of a card without what could disturb a terminal, and not without end.
fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::findings::tests::with_scores;

    fn model(output: Value) -> ModelInfo {
        let mut model = (*with_scores(&[]).provenance.model).clone();
        model.card = json!({ "output": output });
        model
    }

    #[test]
    fn platt_wins_over_temperature_and_both_may_be_missing() {
        let both = json!({ "output": {
            "temperature": { "slice": 2.0, "case": 4.0 },
            "platt": { "slice": null, "case": { "slope": 0.5, "intercept": -1.0 } }
        }});
        let [slice, case] = scalings(&both);
        assert_eq!((slice, case), (Scaling { slope: 0.5, intercept: 0.0 }, Scaling { slope: 0.5, intercept: -1.0 }));
        assert_eq!(scalings(&json!({ "output": { "temperature": 2.0 } }))[1].slope, 0.5);
        assert_eq!(scalings(&json!({ "output": { "temperature": 0.0 } })), [Scaling::NONE; 2]);
        assert_eq!(scalings(&Value::Null), [Scaling::NONE; 2]);
    }

    #[test]
    fn the_cases_threshold_is_its_own_where_the_card_has_one() {
        let named = json!({ "high_sensitivity": { "slice": 0.1, "case": 0.2, "rule": "r", "n": 40 }, "odd": {} });
        let found =
            thresholds(&model(json!({ "case_threshold": 0.3, "threshold_rule": "youden", "thresholds": named })));
        assert_eq!((found.slice, found.case, found.rule.as_str()), (0.5, 0.3, "youden"));
        assert_eq!((found.named.len(), found.named[0].case, found.named[0].n), (1, 0.2, Some(40)));
        assert_eq!(thresholds(&model(json!({}))).case, 0.5);
    }
}
