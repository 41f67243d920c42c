//! What a card says of the numbers: calibration, thresholds, prevalence. Read apart from the rest of the card, because a
//! training fills it in last.
//!
//! ```text
//! /output/threshold            of slices, after calibration          /output/case_threshold   of cases; default: the same
//! /output/threshold_rule       in words                              /output/prevalence       of positive training cases
//! /output/temperature          T, or {"slice": T, "case": T}
//! /output/platt                {"slice": {"slope", "intercept"}, "case": ...}; wins over a temperature
//! /output/thresholds/NAME      {"slice", "case", "rule", "n"}: youden, high_sensitivity, high_specificity
//! /held_out/SET/operating_points   [{"threshold", "sensitivity": {"value", "lower", "upper"}, "specificity": ...}]
//! /training/kind               "phantom", "rsna2022", "hdn-cspine", "mixed"
//! ```

use serde_json::Value;

use super::ModelCard;
use super::card::shown;
use crate::findings::operating::{Measured, Rate, Validation};
use crate::findings::{Operating, OperatingPoint, Scaling};

/// Names of the operating points that a card may hold, in the order in which they are listed.
pub const POINTS: [&str; 3] = ["youden", "high_sensitivity", "high_specificity"];

impl ModelCard {
    /// Calibration and thresholds; a card that this program accepted has none that cannot be read.
    pub fn operating(&self) -> Operating {
        from_card(&self.json).unwrap_or_default()
    }
}

/// Reads and checks what is there; all of it is optional.
///
/// # Errors
/// A sentence with the field that cannot be honoured.
pub(super) fn from_card(card: &Value) -> Result<Operating, String> {
    let points = POINTS.into_iter().filter_map(|name| point(card, name).transpose()).collect::<Result<_, _>>()?;
    let prevalence = between_0_and_1(card, "/output/prevalence")?;
    Ok(Operating {
        slice_scaling: scaling(card, "slice")?,
        case_scaling: scaling(card, "case")?,
        case_threshold: between_0_and_1(card, "/output/case_threshold")?,
        rule: words(card, "/output/threshold_rule"),
        points,
        validation: validation(card),
        prevalence,
        phantoms_only: phantoms_only(card),
    })
}

/// A card that does not say the kind is judged by its words: better one warning too many on a real neck.
fn phantoms_only(card: &Value) -> bool {
    match card.pointer("/training/kind").and_then(Value::as_str) {
        Some(kind) => kind == "phantom",
        None => {
            let on = words(card, "/training/on").to_lowercase();
            ["synthetic", "phantom"].iter().any(|word| on.contains(word))
        }
    }
}

fn scaling(card: &Value, level: &str) -> Result<Scaling, String> {
    let platt = format!("/output/platt/{level}");
    if card.pointer(&platt).is_some_and(|stored| !stored.is_null()) {
        let slope = required(card, &format!("{platt}/slope"))?;
        if slope <= 0.0 {
            return Err(format!(
                "the model card's {platt}/slope is {slope}; it must be above 0, or it turns scores round"
            ));
        }
        return Ok(Scaling { slope, intercept: required(card, &format!("{platt}/intercept"))? });
    }
    let temperature = match card.pointer("/output/temperature") {
        None | Some(Value::Null) => return Ok(Scaling::default()),
        Some(Value::Object(_)) => optional(card, &format!("/output/temperature/{level}"))?.unwrap_or(1.0),
        Some(_) => required(card, "/output/temperature")?,
    };
    if temperature <= 0.0 {
        return Err(format!("the model card's /output/temperature is {temperature}; it must be above 0"));
    }
    Ok(Scaling { slope: 1.0 / temperature, intercept: 0.0 })
}

fn point(card: &Value, name: &str) -> Result<Option<OperatingPoint>, String> {
    let at = format!("/output/thresholds/{name}");
    if card.pointer(&at).is_none_or(Value::is_null) {
        return Ok(None);
    }
    Ok(Some(OperatingPoint {
        name: name.to_owned(),
        slice: between_0_and_1(card, &format!("{at}/slice"))?,
        case: between_0_and_1(card, &format!("{at}/case"))?,
        rule: words(card, &format!("{at}/rule")),
        n: card.pointer(&format!("{at}/n")).and_then(Value::as_u64),
    }))
}

/// Results on held-out cases, as `dens model annotate` writes them. They are shown and rule nothing, so what does not read
/// is passed over.
fn validation(card: &Value) -> Vec<Validation> {
    let sets = card.pointer("/held_out").and_then(Value::as_object).into_iter().flatten();
    let set = |(name, set): (&String, &Value)| {
        let count = |field: &str| set.get(field).and_then(Value::as_u64);
        let points = set.get("operating_points").and_then(Value::as_array).into_iter().flatten();
        let synthetic = set.get("synthetic").and_then(Value::as_bool) == Some(true);
        let cases = [count("cases")?, count("positive_cases")?];
        Validation::new(shown(name), cases, synthetic, points.filter_map(measured).collect())
    };
    sets.filter_map(set).collect()
}

fn measured(point: &Value) -> Option<Measured> {
    let share = |value: Option<&Value>| value.and_then(Value::as_f64).filter(|v| (0.0..=1.0).contains(v));
    let rate = |name: &str| {
        let stored = point.get(name)?;
        let interval = share(stored.get("lower")).zip(share(stored.get("upper"))).map(|(low, high)| [low, high]);
        Some(Rate { value: share(stored.get("value"))?, interval })
    };
    let threshold = share(point.get("threshold"))? as f32;
    Some(Measured { threshold, sensitivity: rate("sensitivity")?, specificity: rate("specificity")? })
}

fn words(card: &Value, field: &str) -> String {
    card.pointer(field).and_then(Value::as_str).map(shown).unwrap_or_default()
}

fn between_0_and_1(card: &Value, field: &str) -> Result<Option<f32>, String> {
    match optional(card, field)? {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            Err(format!("the model card's {field} is {value}, outside 0 to 1"))
        }
        value => Ok(value),
    }
}

fn required(card: &Value, field: &str) -> Result<f32, String> {
    optional(card, field)?.ok_or_else(|| format!("the model card lacks {field}"))
}

fn optional(card: &Value, field: &str) -> Result<Option<f32>, String> {
    match card.pointer(field) {
        None | Some(Value::Null) => Ok(None),
        Some(stored) => {
            let value = stored.as_f64().map(|value| value as f32).filter(|value| value.is_finite());
            value.map(Some).ok_or_else(|| format!("the model card's {field} is not a number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_card_changes_nothing() {
        assert_eq!(from_card(&json!({})), Ok(Operating::default()));
    }

    #[test]
    fn temperatures_and_platt_become_scalings() {
        let card = json!({"output": {
            "temperature": {"slice": 2.0, "case": 4.0}, "platt": {"case": {"slope": 0.8, "intercept": -0.3}, "slice": null},
            "case_threshold": 0.3, "prevalence": 0.2, "threshold_rule": "youden",
            "thresholds": {"high_sensitivity": {"slice": 0.1, "case": 0.2, "rule": "lower bound >= 0.9", "n": 40}}
        }, "training": {"kind": "phantom"}});
        let got = from_card(&card).unwrap();
        assert_eq!(
            (got.slice_scaling, got.case_scaling),
            (Scaling { slope: 0.5, intercept: 0.0 }, Scaling { slope: 0.8, intercept: -0.3 })
        );
        assert_eq!((got.case_threshold, got.prevalence, got.phantoms_only), (Some(0.3), Some(0.2), true));
        assert_eq!(got.points.len(), 1);
        assert_eq!((got.points[0].case, got.points[0].n), (Some(0.2), Some(40)));
        assert_eq!(from_card(&json!({"output": {"temperature": 2.0}})).unwrap().case_scaling.slope, 0.5);
        let words = json!({"training": {"on": "trained on synthetic necks only"}});
        assert!(from_card(&words).unwrap().phantoms_only);
    }

    #[test]
    fn results_on_held_out_cases_are_read_and_odd_ones_passed_over() {
        let rate = |value: f64| json!({"value": value, "lower": value - 0.1, "upper": value + 0.1, "n": 9});
        let card = json!({"held_out": {
            "b": {"cases": 20, "positive_cases": 9, "synthetic": true, "operating_points": [
                {"threshold": 0.6, "sensitivity": rate(0.5), "specificity": rate(0.8)},
                {"threshold": 7.0, "sensitivity": rate(0.5), "specificity": rate(0.8)},
                {"threshold": 0.4, "sensitivity": {"value": 0.7, "lower": null}, "specificity": rate(0.6)}
            ]},
            "c": {"cases": 20, "operating_points": "many"}
        }});
        let sets = from_card(&card).unwrap().validation;
        assert_eq!(sets.len(), 1);
        assert_eq!(
            (sets[0].name.as_str(), sets[0].cases, sets[0].positive_cases, sets[0].synthetic),
            ("b", 20, 9, true)
        );
        let thresholds: Vec<f32> = sets[0].points().iter().map(|p| p.threshold).collect();
        assert_eq!(thresholds, [0.4, 0.6]);
        assert_eq!(sets[0].points()[0].sensitivity, Rate { value: 0.7, interval: None });
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        for (card, field) in [
            (json!({"output": {"temperature": 0.0}}), "/output/temperature"),
            (json!({"output": {"temperature": "hot"}}), "/output/temperature"),
            (json!({"output": {"platt": {"case": {"slope": -1.0, "intercept": 0.0}}}}), "/output/platt/case/slope"),
            (json!({"output": {"platt": {"slice": {"slope": 1.0}}}}), "/output/platt/slice/intercept"),
            (json!({"output": {"case_threshold": 1.2}}), "/output/case_threshold"),
            (json!({"output": {"thresholds": {"youden": {"case": 2}}}}), "/output/thresholds/youden/case"),
        ] {
            let reason = from_card(&card).unwrap_err();
            assert!(reason.contains(field), "{reason}");
        }
    }
}
