//! The machine-readable forms: the analysis as `dens analyze` writes it, and the report's JSON around it.

use serde_json::{Value, json};

use super::ReportInput;
use super::content::{Content, Fact, KeySlice, Outcome};
use crate::findings::{Findings, SliceOutcome, SliceState};
use crate::study::LoadedSeries;
use crate::study::mask::Mask;
use crate::{RESEARCH_LINE, SOFTWARE};

/// A single-precision number with the digits that belong to it (0.83, not 0.829999983); not finite becomes null.
pub(super) fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// JSON for people and programs: indented, but a row of plain values stays on one line; one line feed at the end.
pub fn json_bytes(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    write_value(&mut text, value, 0);
    text.push('\n');
    text.into_bytes()
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    let plain = |v: &Value| !v.is_array() && !v.is_object();
    let indent = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    match value {
        Value::Array(items) if !items.iter().all(plain) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                indent(out, depth + 1);
                write_value(out, item, depth + 1);
            }
            indent(out, depth);
            out.push(']');
        }
        Value::Object(entries) if !entries.is_empty() => {
            out.push('{');
            for (i, (key, item)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                indent(out, depth + 1);
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(": ");
                write_value(out, item, depth + 1);
            }
            indent(out, depth);
            out.push('}');
        }
        value => out.push_str(&value.to_string()),
    }
}

/// The analysis as the stable JSON of `dens analyze`. `index` counts from 1 in display order; `excluded` is the
/// kind of an [`crate::findings::Exclusion`], or `not-run` for a slice that was not reached; `box` in DICOM pixels
/// (0-based, half-open); `cam` the Grad-CAM rows before any scaling.
pub fn analysis_json(loaded: &LoadedSeries, findings: &Findings) -> Value {
    let series = &loaded.series;
    let model = &findings.provenance.model;
    let slices: Vec<Value> = findings
        .slices
        .iter()
        .enumerate()
        .map(|(index, state)| {
            let info = series.slices.get(index);
            slice_json(index, info.map_or("", |s| s.file.as_str()), info.and_then(|s| s.z_mm()), state)
        })
        .collect();
    let warnings: Vec<Value> = series
        .warnings
        .iter()
        .map(|w| json!({"kind": w.kind, "text": w.text}))
        .chain(findings.doubts.iter().map(|doubt| json!({"kind": doubt.kind, "text": doubt.text})))
        .chain(findings.warnings.iter().map(|text| json!({"kind": "analysis", "text": text})))
        .collect();
    let mut analysis = json!({
        "series_uid": series.uid,
        "model": {"name": model.name, "sha256": model.sha256, "trained_on": model.trained_on},
        "device": findings.provenance.device,
        "recipe": findings.provenance.recipe,
        "threshold": number(findings.threshold()),
        "slices": slices,
        "case_score": findings.case.as_ref().map_or(Value::Null, |case| number(case.score)),
        "seconds": findings.seconds,
        "warnings": warnings,
    });
    if let Some(made) = &series.reformatted {
        analysis["reformatted"] = json!({
            "from": made.from,
            "from_series_uid": made.from_uid,
            "interpolation": "linear",
            "pixel_mm": series.spacing_mm.map(|[mm, _]| mm),
            "slice_spacing_mm": series.slice_spacing_mm,
            "software": SOFTWARE,
        });
    }
    if let Some(computed) = &findings.provenance.computed_earlier {
        analysis["computed_earlier"] = json!({"at": computed, "software": findings.provenance.software});
    }
    analysis
}

fn slice_json(index: usize, file: &str, z_mm: Option<f64>, state: &SliceState) -> Value {
    let (mut score, mut excluded, mut region, mut cam_rows) = (Value::Null, Value::Null, Value::Null, Value::Null);
    match state {
        SliceState::NotRun | SliceState::Running => excluded = json!("not-run"),
        SliceState::Done(finding) => match &finding.outcome {
            SliceOutcome::Excluded(why) => excluded = json!(why),
            SliceOutcome::Scored { score: value, region: square, cam, .. } => {
                score = number(*value);
                region = json!(square);
                let row = |r| Value::from((0..cam.columns).map(|c| number(cam.at(r, c))).collect::<Vec<_>>());
                cam_rows = Value::from((0..cam.rows).map(row).collect::<Vec<_>>());
            }
        },
    }
    json!({
        "index": index + 1,
        "file": file,
        "z_mm": z_mm,
        "score": score,
        "excluded": excluded,
        "box": region,
        "cam": cam_rows,
    })
}

/// The whole report as JSON: everything that the pages say, and the analysis in the form of `dens analyze`.
pub(super) fn report_json(input: &ReportInput<'_>, content: &Content, mask: &Mask) -> Value {
    let facts =
        |facts: &[Fact]| facts.iter().map(|f| (f.label.clone(), json!(f.value))).collect::<serde_json::Map<_, _>>();
    let analysis = input.findings.map(|findings| masked(analysis_json(input.loaded, findings), mask));
    json!({
        "report": 1,
        "research_line": RESEARCH_LINE,
        "software": SOFTWARE,
        "created": input.created,
        "identity_hidden": content.identity_hidden,
        "synthetic": content.synthetic,
        "patient_and_study": facts(&content.patient),
        "series": facts(&content.series),
        "model": facts(&content.model),
        "reference": facts(&content.reference),
        "result": content.outcome.as_ref().map(|o| outcome_json(o, input.findings)),
        "analysis_note": content.analysis_note,
        "key_slices": content.key_slices.iter().map(key_slice_json).collect::<Vec<_>>(),
        "measurements": super::measures::json(input, mask),
        "slices_marked_by_the_reader": input.drawn.map_or_else(Vec::new, |d| d.key_slices.iter().map(|k| k.index + 1).collect()),
        "passport": {
            "verdict": content.passport.verdict,
            "weight": content.passport.weight,
            "lines": content.passport.lines,
        },
        "warnings": content.warnings,
        "slices_left_out_or_with_a_remark": content.excluded,
        "refused": content.refused,
        "analysis": analysis,
    })
}

fn outcome_json(outcome: &Outcome, findings: Option<&Findings>) -> Value {
    let score = |index: &usize| findings.and_then(|f| f.slices.get(*index)?.score()).map(number);
    let peaks: Vec<Value> =
        outcome.peaks.iter().map(|index| json!({"index": index + 1, "score": score(index)})).collect();
    let thresholds = findings.map(|f| {
        let (used, card) = (f.thresholds(), f.provenance.model.thresholds());
        json!({
            "slices": number(used.slice),
            "case": number(used.case),
            "chosen_by": if f.chosen.is_some() { "reader" } else { "model-card" },
            "model_card": {"slices": number(card.slice), "case": number(card.case)},
        })
    });
    json!({
        "thresholds": thresholds,
        "case_score": outcome.case_score.map(number),
        "standing": outcome.standing,
        "trained": outcome.trained,
        "sentences": outcome.sentences,
        "peaks": peaks,
    })
}

fn key_slice_json(key: &KeySlice) -> Value {
    json!({
        "index": key.index + 1,
        "title": key.title,
        "score": key.score.map(number),
        "heatmap": key.heatmap.is_some(),
        "lines": key.lines,
        "fidelity": {"words": key.fidelity.words(), "sentence": key.fidelity.sentence()},
    })
}

/// The analysis without what could name the patient: UID and file names become null, sentences are scrubbed.
fn masked(mut analysis: Value, mask: &Mask) -> Value {
    if !mask.hides() {
        return analysis;
    }
    if let Some(uid) = analysis.get_mut("series_uid") {
        *uid = Value::Null;
    }
    if let Some(uid) = analysis.pointer_mut("/reformatted/from_series_uid") {
        *uid = Value::Null;
    }
    for slice in analysis.get_mut("slices").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(file) = slice.get_mut("file") {
            *file = Value::Null;
        }
    }
    for warning in analysis.get_mut("warnings").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(text) = warning.get_mut("text") {
            *text = json!(mask.scrub(text.as_str().unwrap_or_default()));
        }
    }
    analysis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_json_reads_back_and_keeps_rows_together() {
        let value = json!({"a": [[1, 2.5], [null, "\u{e9}\"\n"]], "b": {}, "c": [], "d": {"e": [true]}, "f\"": 0.83});
        let text = String::from_utf8(json_bytes(&value)).expect("UTF-8");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
        assert!(text.contains("    [1,2.5],\n") && text.ends_with("}\n"), "{text}");
    }

    #[test]
    fn single_precision_numbers_keep_their_digits() {
        assert_eq!(number(0.83).to_string(), "0.83");
        assert_eq!(number(0.83).as_f64().map(|v| v as f32), Some(0.83));
        assert!(number(f32::NAN).is_null() && number(f32::INFINITY).is_null());
    }
}
