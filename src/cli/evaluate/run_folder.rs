//! The predictions of a training run: each fold's network on the cases that it never saw.

use std::path::{Path, PathBuf};

use super::super::load::device_preference;
use super::super::{DeviceChoice, Refusal};
use super::{Gathered, card};
use crate::SOFTWARE;
use crate::evaluation::{CasePrediction, LeftOut, ModelProvenance, Part, Provenance, Scaling, Thresholds};
use crate::findings::ModelInfo;
use crate::inference::model_info;
use crate::model::Network;

/// Reads `RUN/predictions/fold-K.json` and what `RUN/fold-K/model.safetensors`, `run.toml` and `excluded.csv` say of them.
pub fn gather(run: &Path, device: DeviceChoice) -> Result<Gathered, Refusal> {
    let files = prediction_files(run)?;
    let mut unreadable = Vec::new();
    let (mut parts, mut models) = (Vec::new(), Vec::new());
    for (fold, path) in files {
        let text = std::fs::read_to_string(&path).map_err(|error| refused(&path, error))?;
        let cases: Vec<CasePrediction> = serde_json::from_str(&text).map_err(|error| refused(&path, error))?;
        let weights = run.join(format!("fold-{fold}")).join("model.safetensors");
        let model = Network::load(&weights, device_preference(device)).map(|network| model_info(&network));
        let (thresholds, scalings, provenance) = match model {
            Ok(model) => of_card(&model),
            Err(error) => {
                unreadable.push((fold, error.to_string()));
                let rule = "0.5, since the model could not be read".to_owned();
                let thresholds = Thresholds { slice: 0.5, case: 0.5, rule, named: Vec::new() };
                (thresholds, [Scaling::NONE; 2], ModelProvenance::default())
            }
        };
        let cases = cases.into_iter().map(|case| calibrated(case, scalings)).collect();
        parts.push(Part { name: format!("fold {fold}"), thresholds, cases });
        models.push(provenance);
    }
    let datasets = datasets(run);
    let synthetic = match datasets.as_slice() {
        [] => parts.iter().flat_map(|part| &part.cases).all(|case| case.source.contains("phantom")),
        named => named.iter().all(|spec| spec.starts_with("phantom:")),
    };
    let provenance = Provenance {
        software: SOFTWARE.to_owned(),
        models,
        datasets,
        dataset_names: vec![format!("test parts of {} folds of a cross-validation by patient", parts.len())],
        recipe: recipe(run),
        device: String::new(),
        synthetic,
    };
    Ok(Gathered { parts, left_out: excluded(run), provenance, notes: note(&unreadable) })
}

/// What follows from models that could not be read.
fn note(unreadable: &[(usize, String)]) -> Vec<String> {
    let Some((_, reason)) = unreadable.first() else { return Vec::new() };
    let folds: Vec<String> = unreadable.iter().map(|(fold, _)| fold.to_string()).collect();
    let folds = folds.join(", ");
    vec![format!(
        "The models of these folds could not be read: {folds} (the first: {reason}). Their scores stand as they are, their \
         thresholds at 0.5."
    )]
}

fn refused(path: &Path, error: impl std::fmt::Display) -> Refusal {
    Refusal(format!("{}: {error}", path.display()))
}

/// `(K, path)` of each `fold-K.json`, by K.
fn prediction_files(run: &Path) -> Result<Vec<(usize, PathBuf)>, Refusal> {
    let folder = run.join("predictions");
    let entries = std::fs::read_dir(&folder).map_err(|error| {
        Refusal(format!(
            "{} could not be read ({error}): --run wants a folder of `dens train` with at least one finished fold",
            folder.display()
        ))
    })?;
    let number = |path: &Path| -> Option<usize> {
        path.file_name()?.to_str()?.strip_prefix("fold-")?.strip_suffix(".json")?.parse().ok()
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut files: Vec<(usize, PathBuf)> = paths.filter_map(|path| Some((number(&path)?, path))).collect();
    files.sort();
    if files.is_empty() {
        return Err(Refusal(format!("{} holds no fold-K.json: no fold of this run is finished", folder.display())));
    }
    Ok(files)
}

fn of_card(model: &ModelInfo) -> (Thresholds, [Scaling; 2], ModelProvenance) {
    (card::thresholds(model), card::scalings(&model.card), card::provenance(model))
}

/// A run keeps what the network gave; what is shown of it follows from the card that was written afterwards.
fn calibrated(mut case: CasePrediction, [slice, whole]: [Scaling; 2]) -> CasePrediction {
    case.score = whole.probability(case.logit);
    case.slices.iter_mut().for_each(|one| one.score = slice.probability(one.logit));
    case
}

fn settings(run: &Path) -> Option<toml::Table> {
    std::fs::read_to_string(run.join("run.toml")).ok()?.parse().ok()
}

fn datasets(run: &Path) -> Vec<String> {
    let stored = settings(run).and_then(|table| table.get("datasets").and_then(|value| value.as_array().cloned()));
    stored.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

fn recipe(run: &Path) -> String {
    settings(run).and_then(|table| Some(table.get("recipe")?.as_str()?.to_owned())).unwrap_or_default()
}

/// Of RUN/excluded.csv, where there is one.
fn excluded(run: &Path) -> Vec<LeftOut> {
    let Ok(mut reader) = csv::Reader::from_path(run.join("excluded.csv")) else { return Vec::new() };
    let row = |row: csv::StringRecord| Some(LeftOut { id: row.get(0)?.to_owned(), reason: row.get(1)?.to_owned() });
    reader.records().filter_map(|record| row(record.ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::SlicePrediction;

    fn prediction(id: &str, logit: f64) -> CasePrediction {
        let slice = SlicePrediction { index: 0, logit, score: 0.5, label: Some(false), level: None, peak_in_box: None };
        CasePrediction {
            id: id.into(),
            patient: id.into(),
            label: logit > 0.0,
            logit,
            score: 0.5,
            slices: vec![slice],
            fractures: Vec::new(),
            sex: None,
            age_years: None,
            slice_thickness_mm: None,
            contrast: None,
            source: "phantom".into(),
            twin: None,
            baselines: Default::default(),
        }
    }

    #[test]
    fn folds_come_in_order_and_a_missing_model_is_said() {
        let run = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(run.path().join("predictions")).expect("a folder");
        for fold in [10, 2] {
            let text = serde_json::to_string(&[prediction(&format!("c{fold}"), 1.0)]).expect("JSON");
            std::fs::write(run.path().join(format!("predictions/fold-{fold}.json")), text).expect("written");
        }
        std::fs::write(run.path().join("predictions/inner-1.json"), "[]").expect("written");
        std::fs::write(run.path().join("run.toml"), "datasets = [\"phantom:1-9\"]\nrecipe = \"spine\"\n")
            .expect("written");
        std::fs::write(run.path().join("excluded.csv"), "case,reason\nx,unreadable\n").expect("written");
        let found = gather(run.path(), DeviceChoice::Cpu).expect("a run");
        let names: Vec<&str> = found.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["fold 2", "fold 10"]);
        assert!(found.notes.len() == 1 && found.notes[0].contains("could not be read: 2, 10"), "{:?}", found.notes);
        assert!(found.provenance.synthetic && found.provenance.recipe == "spine");
        assert_eq!(found.left_out, [LeftOut { id: "x".into(), reason: "unreadable".into() }]);
    }

    #[test]
    fn a_folder_that_is_no_run_is_refused_in_a_sentence() {
        let run = tempfile::tempdir().expect("a folder");
        let refused = |run: &Path| gather(run, DeviceChoice::Cpu).err().expect("refused").0;
        assert!(refused(run.path()).contains("dens train"));
        std::fs::create_dir(run.path().join("predictions")).expect("a folder");
        assert!(refused(run.path()).contains("no fold of this run is finished"));
        std::fs::write(run.path().join("predictions/fold-1.json"), "{").expect("written");
        assert!(refused(run.path()).contains("fold-1.json"));
    }

    #[test]
    fn scores_follow_the_cards_calibration() {
        let half = Scaling { slope: 0.5, intercept: 0.0 };
        let found = calibrated(prediction("a", 2.0), [Scaling::NONE, half]);
        assert_eq!((found.score, found.slices[0].score), (half.probability(2.0), Scaling::NONE.probability(2.0)));
    }
}
