//! Metrics against scikit-learn, scipy and numpy; `tests/fixtures/evaluation/make.py` made the values.

use dens::evaluation as ours;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../fixtures/evaluation/golden.json")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

#[track_caller]
fn check(what: &str, found: Option<f64>, golden: &Value, tolerance: f64) {
    match (found, golden.as_f64()) {
        (None, None) => {}
        (Some(a), Some(b)) if (a - b).abs() <= tolerance * (1.0 + b.abs()) => {}
        _ => panic!("{what}: {found:?} is not {golden}"),
    }
}

#[test]
fn metrics_are_those_of_scikit_learn() {
    for case in golden()["cases"].as_array().expect("cases") {
        let scores = numbers(&case["scores"]);
        let labels: Vec<bool> = case["labels"].as_array().expect("labels").iter().map(|v| v == true).collect();
        let name = case["name"].as_str().expect("a name");
        let counts = ours::Confusion::at(0.5, &scores, &labels);
        for (metric, found) in [
            ("tpr", counts.sensitivity()),
            ("tnr", counts.specificity()),
            ("ppv", counts.ppv()),
            ("npv", counts.npv()),
            ("f1", counts.f1()),
            ("accuracy", counts.accuracy()),
            ("balanced_accuracy", counts.balanced_accuracy()),
            ("mcc", counts.mcc()),
        ] {
            check(&format!("{name}: {metric}"), found, &case["confusion"][metric], 1e-12);
        }
        for (metric, found) in [
            ("roc_auc", ours::roc_auc(&scores, &labels)),
            ("average_precision", ours::average_precision(&scores, &labels)),
            ("brier", ours::brier(&scores, &labels)),
            ("log_loss", ours::log_loss(&scores, &labels)),
            ("calibration_error", ours::calibration_error(&scores, &labels, 10)),
        ] {
            check(&format!("{name}: {metric}"), found, &case[metric], 1e-12);
        }
    }
}

#[test]
fn calibration_and_comparisons_are_those_of_scipy() {
    let golden = golden();
    let two_classes = golden["cases"].as_array().expect("cases").iter().filter(|case| !case["logits"].is_null());
    for case in two_classes {
        let scores = numbers(&case["scores"]);
        let logits = numbers(&case["logits"]);
        let other = numbers(&case["other"]);
        let labels: Vec<bool> = case["labels"].as_array().expect("labels").iter().map(|v| v == true).collect();
        let name = case["name"].as_str().expect("a name");
        check(&format!("{name}: temperature"), ours::temperature(&logits, &labels), &case["temperature"], 1e-6);
        let platt = ours::platt(&logits, &labels);
        check(&format!("{name}: slope"), platt.map(|s| s.slope), &case["platt"][0], 1e-6);
        check(&format!("{name}: intercept"), platt.map(|s| s.intercept), &case["platt"][1], 1e-6);
        let line = ours::slope_and_intercept(&logits, &labels);
        check(&format!("{name}: calibration slope"), line.map(|s| s.slope), &case["slope_and_intercept"][0], 1e-6);
        check(&format!("{name}: its intercept"), line.map(|s| s.intercept), &case["slope_and_intercept"][1], 1e-6);
        let variance = ours::delong(&scores, &labels).and_then(|d| d.variance);
        check(&format!("{name}: variance"), variance, &case["delong_variance"], 1e-12);
        let p = ours::delong_difference(&scores, &other, &labels).and_then(|d| d.p);
        check(&format!("{name}: DeLong's p"), p, &case["delong_p"], 1e-9);
        let called = |scores: &[f64]| scores.iter().map(|&s| s >= 0.5).collect::<Vec<bool>>();
        let found = ours::mcnemar(&called(&scores), &called(&other), &labels);
        check(&format!("{name}: McNemar's p"), Some(found.p), &case["mcnemar_p"], 1e-9);
    }
}

#[test]
fn intervals_are_those_of_scipy() {
    for row in golden()["intervals"].as_array().expect("rows") {
        let (k, n) = (row["k"].as_u64().expect("k"), row["n"].as_u64().expect("n"));
        let exact = ours::clopper_pearson(k, n);
        let wilson = ours::wilson(k as f64 / n as f64, n as f64);
        for (what, found, golden) in [("exact", exact, &row["exact"]), ("wilson", wilson, &row["wilson"])] {
            check(&format!("{k}/{n} {what} lower"), found.lower, &golden[0], 1e-9);
            check(&format!("{k}/{n} {what} upper"), found.upper, &golden[1], 1e-9);
        }
    }
}
