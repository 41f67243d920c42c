//! `dens model annotate`: results on data that no training saw, written into the card they belong to.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Refusal, may_write, read_json};
use crate::model::{ModelCard, Weights};

/// What `dens evaluate --out F.json` calls its layout.
const EVALUATION_SCHEMA: &str = "dens.evaluation/1";
/// Where a card lists the SHA-256 of the files that it was annotated from: results of those are results of this one.
pub(super) const SAME_WEIGHTS: &str = "same_weights_as";

#[derive(Debug, Args)]
pub(super) struct AnnotateArgs {
    file: PathBuf,
    /// The weight file to write; the tensors stay as they are
    #[arg(long)]
    out: PathBuf,
    /// Results of `dens evaluate --out F.json` of this very file, as NAME=F.json; may be given several times
    ///
    /// The card keeps areas, sensitivity, specificity, hits of the heatmap and trivial baselines with their intervals, and
    /// the data set by its words, so that anybody with the data can repeat them.
    #[arg(long = "evaluation", value_name = "NAME=F.json")]
    evaluations: Vec<String>,
    /// Shown on screen and in reports
    #[arg(long)]
    name: Option<String>,
    /// A sentence on what the weights are for
    #[arg(long)]
    note: Option<String>,
    /// Replace the file to be written if it is there
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(args: &AnnotateArgs) -> Result<(), Refusal> {
    may_write(&args.out, args.replace)?;
    let (weights, card, sha256) = Weights::load(&args.file).map_err(Refusal::from_error)?;
    let mut json = card.json;
    let mut known = strings(&json, SAME_WEIGHTS);
    known.push(sha256);
    for given in &args.evaluations {
        let (name, path) = given.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or_else(|| {
            Refusal(format!("--evaluation {given:?} does not read NAME=F.json, e.g. iid=evaluation.json"))
        })?;
        let result = summary(Path::new(path), &known)?;
        json["held_out"][name.trim()] = result;
    }
    json[SAME_WEIGHTS] = json!(known);
    for (field, text) in [("name", &args.name), ("note", &args.note)] {
        if let Some(text) = text {
            json[field] = json!(text);
        }
    }
    let card = ModelCard::from_json(json).map_err(Refusal)?;
    let sha256 = weights.save(&card, &args.out).map_err(Refusal::from_error)?;
    println!("{}: {}, SHA-256 {sha256}", args.out.display(), card.name);
    Ok(())
}

fn strings(json: &Value, field: &str) -> Vec<String> {
    let items = json.get(field).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// What the card keeps of an evaluation.
fn summary(path: &Path, known: &[String]) -> Result<Value, Refusal> {
    let evaluation = read_json(path)?;
    let shown = path.display();
    if evaluation.pointer("/schema").and_then(Value::as_str) != Some(EVALUATION_SCHEMA) {
        return Err(Refusal(format!("{shown} is no result of `dens evaluate --out F.json`")));
    }
    let models = evaluation.pointer("/provenance/models").and_then(Value::as_array);
    let hashes: Vec<&str> = models.into_iter().flatten().filter_map(|model| model["sha256"].as_str()).collect();
    match hashes[..] {
        [only] if known.iter().any(|hash| hash == only) => {}
        [only] => {
            return Err(Refusal(format!(
                "{shown} speaks of the weights {only}, not of this file; nothing was written. Evaluate this file and annotate \
                 it with what comes out"
            )));
        }
        _ => return Err(Refusal(format!("{shown} speaks of {} weight files, not of this one alone", hashes.len()))),
    }
    let mut kept = Map::new();
    for (field, from) in [
        ("datasets", "/provenance/datasets"),
        ("synthetic", "/provenance/synthetic"),
        ("software", "/provenance/software"),
        ("cases", "/population/cases"),
        ("positive_cases", "/population/positive_cases"),
        ("images", "/population/images"),
        ("positive_images", "/population/positive_images"),
        ("case_auc", "/case/natural/metrics/roc_auc"),
        ("image_auc", "/image/natural/metrics/roc_auc"),
        ("operating_points", "/operating_points"),
        ("case_calibration_error", "/case/natural/metrics/ece"),
        ("heatmap_hits", "/hit_rate/all"),
        ("heatmap_hits_of_called", "/hit_rate/called"),
        ("twins", "/twins"),
    ] {
        if let Some(value) = evaluation.pointer(from).filter(|value| !value.is_null()) {
            kept.insert(field.to_owned(), value.clone());
        }
    }
    let baselines = evaluation.pointer("/baselines").and_then(Value::as_array).into_iter().flatten();
    let areas: Map<String, Value> = baselines
        .filter_map(|baseline| Some((baseline["name"].as_str()?.to_owned(), baseline.get("roc_auc")?.clone())))
        .collect();
    kept.insert("baseline_case_auc".into(), Value::Object(areas));
    Ok(Value::Object(kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Architecture, Pooling};

    fn evaluation(sha256: &str) -> Value {
        json!({
            "schema": EVALUATION_SCHEMA,
            "provenance": { "models": [{ "sha256": sha256 }], "datasets": ["phantom:1-9"], "synthetic": true },
            "population": { "cases": 9, "positive_cases": 4 },
            "case": { "natural": { "metrics": { "roc_auc": { "value": 0.8, "lower": 0.5, "upper": 0.9, "n": 9 } } } },
            "baselines": [{ "name": "age-only", "roc_auc": { "value": 0.55 } }],
            "twins": null
        })
    }

    #[test]
    fn results_travel_with_the_weights_they_belong_to_and_with_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let network = Architecture::nano(8, Pooling::Last);
        let weights = Weights::from_fn(&network, |_, shape| vec![0.01; shape.iter().product()]).unwrap();
        let card = ModelCard::from_json(ModelCard::template(&network, [0.0; 3], [1.0; 3])).unwrap();
        let sha256 = weights.save(&card, &at("a.safetensors")).unwrap();
        let write = |name: &str, json: &Value| std::fs::write(at(name), json.to_string()).unwrap();
        write("iid.json", &evaluation(&sha256));
        write("other.json", &evaluation("beef"));
        let annotate = |from: &str, to: &str, results: &str| {
            run(&AnnotateArgs {
                file: at(from),
                out: at(to),
                evaluations: vec![format!("iid={}", at(results).display())],
                name: Some("small".into()),
                note: None,
                replace: false,
            })
        };
        annotate("a.safetensors", "b.safetensors", "iid.json").unwrap();
        let (_, read, _) = Weights::load(&at("b.safetensors")).unwrap();
        assert_eq!((read.name.as_str(), &read.json["held_out"]["iid"]["cases"]), ("small", &json!(9)));
        assert_eq!(read.json["held_out"]["iid"]["case_auc"]["value"], json!(0.8));
        assert_eq!(read.json["held_out"]["iid"]["baseline_case_auc"]["age-only"]["value"], json!(0.55));
        // The annotated file has another hash and the same weights.
        annotate("b.safetensors", "c.safetensors", "iid.json").unwrap();
        let refused = annotate("b.safetensors", "d.safetensors", "other.json").unwrap_err();
        assert!(refused.0.contains("beef") && !at("d.safetensors").exists(), "{}", refused.0);
        assert!(annotate("a.safetensors", "b.safetensors", "iid.json").unwrap_err().0.contains("is there already"));
    }
}
