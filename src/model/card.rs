//! The model card: what weights are, what they expect and what they were trained on. It travels as JSON in the header of the
//! weight file, under the key `dens.card`.

use serde_json::{Value, json};

use super::operating;
use super::{Architecture, ModelCard};

/// Major version of the card's layout that this program understands.
const SCHEMA_MAJOR: &str = "1";
/// Stands wherever a number of an untrained network stands.
pub const UNTRAINED: &str = "untrained: the numbers mean nothing";
/// Characters kept of a text from a card.
const TEXT_LIMIT: usize = 200;

impl ModelCard {
    /// Reads a card and checks that the program can honour what it says.
    ///
    /// # Errors
    /// A sentence that names the field: missing, of the wrong kind, or asking for something this program does not do.
    pub fn from_json(json: Value) -> Result<Self, String> {
        let schema = text(&json, "/schema")?;
        if schema.split('.').next() != Some(SCHEMA_MAJOR) {
            return Err(format!("the model card has schema {schema}; this program reads {SCHEMA_MAJOR}.x"));
        }
        let network = Architecture::from_card(&json)?;
        for (field, supported) in [
            ("/input/channels", json!(["soft-tissue", "bone", "gross-bone"])),
            ("/input/window_norm", json!("fixed")),
            ("/input/slice_order", json!("head-to-feet")),
        ] {
            supports(&json, field, &supported)?;
        }
        operating::from_card(&json)?;
        let std = triple(&json, "/input/std")?;
        if std.iter().any(|&value| value <= 0.0) {
            return Err("the model card's /input/std holds a value that is not above 0".into());
        }
        let threshold = number(&json, "/output/threshold")? as f32;
        if !(0.0..=1.0).contains(&threshold) {
            return Err(format!("the model card's /output/threshold is {threshold}, outside 0 to 1"));
        }
        Ok(Self {
            name: text(&json, "/name")?,
            architecture: network.describe(),
            network,
            trained: flag(&json, "/training/trained")?,
            trained_on: text(&json, "/training/on")?,
            recipe: text(&json, "/recipe")?,
            mean: triple(&json, "/input/mean")?,
            std,
            threshold,
            calibrated: flag(&json, "/output/calibrated")?,
            json,
        })
    }

    /// A card with every required field, for weights that are not trained; a training fills in the rest.
    pub fn template(network: &Architecture, mean: [f32; 3], std: [f32; 3]) -> Value {
        json!({
            "schema": "1.0",
            "name": "seeded initial weights",
            "architecture": network.to_json(),
            "recipe": "paper/1",
            "input": {
                "size": network.input_side,
                "channels": ["soft-tissue", "bone", "gross-bone"],
                "windows_width_centre": [[300, 80], [1800, 500], [650, 400]],
                "window_norm": "fixed",
                "mean": mean,
                "std": std,
                "slice_order": "head-to-feet"
            },
            "output": { "threshold": 0.5, "threshold_rule": "not selected on any data", "calibrated": false },
            "training": { "trained": false, "on": UNTRAINED },
            "software": crate::SOFTWARE,
            "intended_use": "research",
            "medical_device": "not a medical device"
        })
    }
}

pub(super) fn supports(json: &Value, field: &str, supported: &Value) -> Result<(), String> {
    let stored = json.pointer(field).ok_or_else(|| missing(field))?;
    if stored == supported {
        return Ok(());
    }
    let stored = shown(&stored.to_string());
    Err(format!("the model card's {field} is {stored}; this program supports only {supported}"))
}

fn text(json: &Value, field: &str) -> Result<String, String> {
    let stored = json.pointer(field).ok_or_else(|| missing(field))?;
    stored.as_str().map(shown).ok_or_else(|| format!("the model card's {field} is not a text"))
}

fn flag(json: &Value, field: &str) -> Result<bool, String> {
    let stored = json.pointer(field).ok_or_else(|| missing(field))?;
    stored.as_bool().ok_or_else(|| format!("the model card's {field} is not true or false"))
}

fn number(json: &Value, field: &str) -> Result<f64, String> {
    let stored = json.pointer(field).ok_or_else(|| missing(field))?;
    stored.as_f64().ok_or_else(|| format!("the model card's {field} is not a number"))
}

fn triple(json: &Value, field: &str) -> Result<[f32; 3], String> {
    let mut values = [0.0; 3];
    for (index, value) in values.iter_mut().enumerate() {
        *value = number(json, &format!("{field}/{index}"))? as f32;
        if !value.is_finite() {
            return Err(format!("the model card's {field} holds a value too large for this program"));
        }
    }
    if json.pointer(&format!("{field}/3")).is_some() {
        return Err(format!("the model card's {field} has more than three values"));
    }
    Ok(values)
}

fn missing(field: &str) -> String {
    format!("the model card lacks {field}")
}

/// Text from a file as it may be shown: control characters and those that turn the writing direction replaced, and not
/// without end.
pub(super) fn shown(text: &str) -> String {
    let harmless = |c: char| {
        let turns_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns_direction { char::REPLACEMENT_CHARACTER } else { c }
    };
    text.chars().take(TEXT_LIMIT).map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Pooling;
    use super::*;

    #[track_caller]
    fn check_refused(field: &str, value: Value, expected: &str) {
        let mut json = ModelCard::template(&Architecture::paper(128), [0.5; 3], [0.25; 3]);
        *json.pointer_mut(field).unwrap() = value;
        let reason = ModelCard::from_json(json).unwrap_err();
        assert!(reason.contains(field) && reason.contains(expected), "{reason}");
    }

    #[test]
    fn template_reads_back() {
        let card =
            ModelCard::from_json(ModelCard::template(&Architecture::paper(256), [0.1, 0.2, 0.3], [1.0; 3])).unwrap();
        assert_eq!(card.architecture, "ResNet-50 + BLSTM-256");
        assert_eq!((card.trained, card.trained_on.as_str(), card.recipe.as_str()), (false, UNTRAINED, "paper/1"));
        assert_eq!(card.mean, [0.1, 0.2, 0.3]);
        assert_eq!(card.network, Architecture::paper(256));
    }

    #[test]
    fn small_network_reads_back() {
        let network = Architecture::nano(64, Pooling::TopkResidual);
        let card = ModelCard::from_json(ModelCard::template(&network, [0.5; 3], [0.25; 3])).unwrap();
        assert_eq!(card.network, network);
        assert_eq!(card.architecture, "ResNet-10 quarter width + BLSTM-64 + top three slices");
    }

    #[test]
    fn what_the_program_cannot_honour_is_refused() {
        check_refused("/architecture/units", json!(64), "96, 128 or 256");
        check_refused("/input/size", json!(48), "64 to 512");
        check_refused("/architecture/pooling", json!("sum"), "topk-residual");
        check_refused("/architecture/units", json!(-1), "whole number");
        check_refused("/architecture/backbone", json!("vgg"), "resnet50");
        check_refused("/input/window_norm", json!("per-image"), "fixed");
        check_refused("/input/std", json!([1.0, 0.0, 1.0]), "not above 0");
        check_refused("/input/mean", json!([1.0, 0.0, 1.0, 2.0]), "more than three");
        check_refused("/input/mean/1", json!("a"), "not a number");
        check_refused("/input/mean", json!([0.0, 1e300, 0.0]), "too large");
        check_refused("/output/threshold", json!(1.5), "outside 0 to 1");
        check_refused("/training/trained", json!("yes"), "true or false");
        let mut json = ModelCard::template(&Architecture::paper(128), [0.5; 3], [0.25; 3]);
        json["schema"] = json!("2.0");
        assert!(ModelCard::from_json(json.clone()).unwrap_err().contains("schema 2.0"));
        json["schema"] = json!("1.7");
        json["output"]["temperature"] = json!(-2.0);
        assert!(ModelCard::from_json(json).unwrap_err().contains("temperature"));
        assert!(ModelCard::from_json(json!([])).unwrap_err().contains("lacks /schema"));
    }

    #[test]
    fn text_is_made_harmless() {
        let mut json = ModelCard::template(&Architecture::paper(96), [0.5; 3], [0.25; 3]);
        json["name"] = json!("a\u{1b}[31m\u{202e}b");
        assert_eq!(ModelCard::from_json(json).unwrap().name, "a\u{fffd}[31m\u{fffd}b");
    }
}
