//! `dens evaluate` from the command line, on the predictions of a training run.

use std::path::Path;
use std::process::Output;

use dens::evaluation::{CasePrediction, Fracture, SlicePrediction, sigmoid};
use dens::random::Stream;
use serde_json::Value;

use crate::support::dens;

/// Three folds of 20 cases, every fourth fractured, with scores that are somewhat right.
fn run_folder(run: &Path) {
    let mut stream = Stream::named(1, "evaluate test", 0);
    std::fs::create_dir_all(run.join("predictions")).expect("a folder");
    std::fs::write(run.join("run.toml"), "datasets = [\"phantom:1-60\"]\nrecipe = \"spine\"\n").expect("written");
    for fold in 1..=3 {
        let cases: Vec<CasePrediction> =
            (0..20).map(|i| case(&format!("{fold}-{i}"), i % 4 == 0, &mut stream)).collect();
        let text = serde_json::to_string(&cases).expect("plain data");
        std::fs::write(run.join(format!("predictions/fold-{fold}.json")), text).expect("written");
    }
}

fn case(id: &str, label: bool, stream: &mut Stream) -> CasePrediction {
    let mut slice = |index: usize| {
        let hit = label && (10..14).contains(&index);
        let logit = stream.normal() - 2.0 + if hit { 2.5 } else { 0.0 };
        let peak_in_box = hit.then_some(index.is_multiple_of(2));
        SlicePrediction { index, logit, score: sigmoid(logit), label: Some(hit), level: Some(index / 5), peak_in_box }
    };
    let slices: Vec<SlicePrediction> = (0..35).map(&mut slice).collect();
    let logit = stream.normal() + if label { 1.0 } else { -1.0 };
    let fracture = Fracture { level: 2, kind: "<lamina>".into(), displacement_mm: Some(1.0), conspicuity: Some(3.0) };
    CasePrediction {
        id: id.to_owned(),
        patient: id.to_owned(),
        label,
        logit,
        score: sigmoid(logit),
        slices,
        fractures: if label { vec![fracture] } else { Vec::new() },
        sex: Some('F'),
        age_years: Some(40.0 + 30.0 * stream.unit()),
        slice_thickness_mm: Some(1.0),
        contrast: None,
        source: "phantom".to_owned(),
        twin: None,
        baselines: [("mean-bone-hu".to_owned(), stream.unit())].into(),
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_runs_test_parts_become_numbers_tables_and_plots() {
    let folder = tempfile::tempdir().expect("a folder");
    run_folder(&folder.path().join("run"));
    let args = ["evaluate", "--run", "run", "--draws", "50", "--out", "all", "--out", "e.json", "--out", "e.html"];
    let output = dens(&args, folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("could not be read: 1, 2, 3"), "the models are not there: {}", stderr(&output));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let json: Value = serde_json::from_str(&read("e.json")).expect("JSON");
    for set in ["image/natural", "image/one_to_one", "image/case_balanced", "case/natural", "case/one_to_one"] {
        let auc = json.pointer(&format!("/{set}/metrics/roc_auc")).unwrap_or_else(|| panic!("{set}"));
        let [value, lower, upper] = ["value", "lower", "upper"].map(|key| auc[key].as_f64().expect("a number"));
        assert!(lower <= value && value <= upper && value > 0.7, "{set}: {auc}");
    }
    assert_eq!((&json["population"]["folds"], &json["population"]["cases"]), (&Value::from(3), &Value::from(60)));
    assert_eq!(read("all/evaluation.json"), read("e.json"), "the same input gives the same numbers");
    let html = read("e.html");
    assert!(html.contains("data:image/png;base64,") && html.contains("&lt;lamina&gt;") && !html.contains("<lamina>"));
    assert!(read("all/evaluation.md").contains("(plots/roc.png)"));
    let pdf = std::fs::read(folder.path().join("all/evaluation.pdf")).expect("a PDF");
    assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 100_000, "pages with plots: {} bytes", pdf.len());
    for plot in ["roc", "precision-recall", "reliability", "froc", "strips"] {
        let bytes = std::fs::read(folder.path().join(format!("all/plots/{plot}.png"))).expect("a plot");
        assert!(bytes.starts_with(b"\x89PNG"), "{plot}");
    }
    let predictions: Vec<CasePrediction> = serde_json::from_str(&read("all/predictions.json")).expect("JSON");
    assert_eq!(predictions.len(), 60);
}

#[test]
fn evaluate_refuses_before_any_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |args: &[&str], says: &str| {
        let output = dens(&[&["evaluate"], args].concat(), folder.path());
        let text = stderr(&output);
        assert!(!output.status.success() && text.contains(says), "{says:?} is not in {text}");
    };
    refused(&["--run", "none", "--out", "e.json"], "dens train");
    refused(&["--run", "none", "--out", "e.docx"], ".html");
    refused(&["--run", "none", "--out", "no/such/e.json"], "no/such is no folder");
    refused(&["--dataset", "soup:1", "--model", "none.safetensors", "--out", "e.json"], "none.safetensors");
    refused(&["--out", "e.json"], "--dataset");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was left behind");
}
