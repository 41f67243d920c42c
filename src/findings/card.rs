//! What a model card says beyond the numbers in use, for people: data, results held out, remarks. The card as stored goes
//! into JSON reports and is printed by `dens model show --json`.

use serde_json::Value;

/// Told elsewhere, or for programs only.
const LEFT_OUT: [&str; 11] = [
    "schema",
    "name",
    "architecture",
    "recipe",
    "input",
    "output",
    "training",
    "software",
    "same_weights_as",
    "ood",
    "golden",
];
/// Longer entries are no reading matter, characters.
const LONGEST: usize = 240;

/// Name and text of each entry, in reading order.
pub fn lines(card: &Value) -> Vec<(String, String)> {
    let mut lines = training(card);
    let sets = card.pointer("/held_out").and_then(Value::as_object).into_iter().flatten();
    lines.extend(sets.map(|(name, set)| (format!("held out: {name}"), held_out(set))));
    for (key, value) in card.as_object().into_iter().flatten() {
        if key == "held_out" || LEFT_OUT.contains(&key.as_str()) {
            continue;
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let long = !value.is_string() && text.chars().count() > LONGEST;
        let text = if long { "see dens model show --json".to_owned() } else { text };
        lines.push((format!("card: {}", key.replace('_', " ")), text));
    }
    lines
}

fn training(card: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let texts = |field: &str| -> Vec<String> {
        let items = card.pointer(field).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let data = texts("/training/settings/datasets");
    if !data.is_empty() {
        lines.push(("training data".to_owned(), data.join(", ")));
    }
    let part = |name: &str, field: &str| {
        let number = |what: &str| card.pointer(&format!("/training/{field}/{what}")).and_then(Value::as_u64);
        let (cases, positive) = (number("cases")?, number("positive")?);
        (cases > 0).then(|| format!("{cases} {name} ({positive} fractured)"))
    };
    let parts: Vec<String> =
        [part("to train", "train"), part("to validate", "inner_validation"), part("to test", "held_out")]
            .into_iter()
            .flatten()
            .collect();
    if !parts.is_empty() {
        lines.push(("training cases".to_owned(), parts.join(", ")));
    }
    if let Some(crops) = card.pointer("/training/crop_stage") {
        let number = |what: &str| crops.get(what).and_then(Value::as_u64);
        if let (Some(shown), Some(side)) = (number("crops_shown"), number("side")) {
            let auc = crops.get("validation_auc").and_then(Value::as_f64);
            let auc = auc.map_or_else(String::new, |auc| format!(", validation AUC of crops {auc:.2}"));
            lines.push(("first learned".to_owned(), format!("{shown} crops of {side} pixels{auc}")));
        }
    }
    lines
}

/// "100 cases (55 fractured): case AUC 0.71 (0.60 to 0.80), ...".
fn held_out(set: &Value) -> String {
    let number = |field: &str| set.pointer(field).and_then(Value::as_u64);
    let mut parts = Vec::new();
    for (name, field) in [
        ("case AUC", "/case_auc"),
        ("slice AUC", "/image_auc"),
        ("heatmap inside the fracture's box", "/heatmap_hits"),
        ("fractured twin higher", "/twins/fractured_higher"),
        ("largest slice score alone", "/baseline_case_auc/max-of-slices"),
        ("age alone", "/baseline_case_auc/age"),
        ("bone density alone", "/baseline_case_auc/mean-bone-hu"),
        ("dark ridges alone", "/baseline_case_auc/dark-ridge"),
    ] {
        let part = |what: &str| set.pointer(&format!("{field}/{what}")).and_then(Value::as_f64);
        if let Some(value) = part("value") {
            let interval = part("lower").zip(part("upper"));
            let interval = interval.map_or_else(String::new, |(low, high)| format!(" ({low:.2} to {high:.2})"));
            parts.push(format!("{name} {value:.2}{interval}"));
        }
    }
    let head = match (number("/cases"), number("/positive_cases")) {
        (Some(cases), Some(positive)) => format!("{cases} cases ({positive} fractured): "),
        _ => String::new(),
    };
    let synthetic = set.pointer("/synthetic").and_then(Value::as_bool) == Some(true);
    format!("{head}{}{}", parts.join(", "), if synthetic { "; synthetic necks" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_card_is_told_in_words() {
        let card = json!({
            "name": "n", "golden": [1, 2], "licence": "MIT", "folds": {"number": 7}, "weights": vec![1.5; 200],
            "training": {
                "on": "synthetic necks only", "settings": {"datasets": ["phantom:1-9"]},
                "train": {"cases": 8, "positive": 5}, "held_out": {"cases": 0, "positive": 0},
                "crop_stage": {"side": 64, "crops_shown": 9600, "validation_auc": 0.913}
            },
            "held_out": {"iid": {
                "cases": 100, "positive_cases": 55, "synthetic": true,
                "case_auc": {"value": 0.7103, "lower": 0.598, "upper": 0.8016},
                "baseline_case_auc": {"age": {"value": 0.59, "lower": null, "upper": null}}
            }}
        });
        let lines = lines(&card);
        let told: Vec<(&str, &str)> = lines.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(
            told,
            [
                ("training data", "phantom:1-9"),
                ("training cases", "8 to train (5 fractured)"),
                ("first learned", "9600 crops of 64 pixels, validation AUC of crops 0.91"),
                (
                    "held out: iid",
                    "100 cases (55 fractured): case AUC 0.71 (0.60 to 0.80), age alone 0.59; synthetic necks"
                ),
                ("card: licence", "MIT"),
                ("card: folds", "{\"number\":7}"),
                ("card: weights", "see dens model show --json"),
            ]
        );
    }
}
