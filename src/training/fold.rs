//! One fold from its cases to a weight file: both stages, what they say of validation and test, thresholds, calibration.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cache::{StoredCase, StoredSlice};
use super::features::{Features, SliceFeatures};
use super::folds::Parts;
use super::images::{Best, ImageJob, Initial, Origin, Trained, initial};
use super::sampler::{Item, Pools, shuffle_labels};
use super::sequence::CaseJob;
use super::settings::Settings;
use super::{Case, Event, Exec, FoldSummary, TrainError};
use crate::evaluation::{
    Calibration, CasePrediction, OperatingPoint, Scaling, SlicePrediction, TARGET, calibrate, high_sensitivity,
    high_specificity, roc_auc, sigmoid, youden,
};
use crate::model::{Architecture, FeatureDistance, ModelCard, NamedTensors, Network, Weights};
use crate::random::Stream;

/// One fold of a run.
pub(super) struct Fold<'a> {
    pub(super) cases: &'a [Case],
    pub(super) settings: &'a Settings,
    pub(super) network: Architecture,
    pub(super) parts: Parts,
    /// From 1.
    pub(super) number: usize,
    pub(super) run: &'a Path,
}

impl Fold<'_> {
    fn folder(&self) -> PathBuf {
        self.run.join(format!("fold-{}", self.number))
    }
    pub(super) fn model(&self) -> PathBuf {
        self.folder().join("model.safetensors")
    }
    fn predictions(&self, what: &str) -> PathBuf {
        self.run.join("predictions").join(format!("{what}-{}.json", self.number))
    }

    /// Trains what is not trained yet and writes predictions and weights.
    ///
    /// # Errors
    /// The training part has slices or cases of one class only; else as the stages.
    pub(super) fn train(&self, exec: &Exec<'_>) -> Result<FoldSummary, TrainError> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder).map_err(|error| TrainError::disk(&folder, error))?;
        let stored: Vec<StoredCase> = self.cases.iter().map(|case| case.stored.clone()).collect();
        let names: Vec<String> = self.cases.iter().map(|case| case.id.clone()).collect();
        let train = self.training_items(&stored);
        let positive = self.case_labels();
        let pools = Pools::new(&train, |case| positive[case]);
        self.check_classes(&pools, &positive)?;
        let weights = self.settings.weights.as_deref().map(|path| initial(path, &self.network)).transpose()?;
        self.check_given(weights.as_ref())?;
        let mut images = self.settings.images;
        if self.settings.shuffle_labels {
            // The boxes would say what the labels no longer do.
            images.box_weight = 0.0;
        }
        let job = ImageJob {
            cases: &stored,
            origin: Origin { names: &names, kind: kind_of(&self.settings.datasets) },
            validation: labelled(&stored, &self.parts.inner),
            crops: self.settings.crops.as_ref(),
            stage: &images,
            network: self.network,
            seed: self.settings.seed,
            fold: self.number,
            name: "images",
            part: 0,
            initial: weights.as_ref(),
            frozen: &self.settings.frozen,
            folder: folder.clone(),
            pools,
        };
        let trained = job.run(exec)?;
        // Our own invariant, checked on what was really shown.
        assert!(
            self.parts.test.iter().all(|case| !trained.fed.contains(case)),
            "a test case was shown to the backbone of its fold"
        );
        let seen_before = self.seen_before(&trained, exec);
        let shift = self.shift(&trained, &job.pools);
        let prevalence = job.pools.prevalence();
        let crossed = if self.settings.crossfit {
            Some(super::crossfit::features(self, &job, &trained, &train, &positive, exec)?)
        } else {
            None
        };
        let features = self.features(&trained, &folder, shift, exec)?;
        let labelled = |(&case, found): (&usize, &SliceFeatures)| found.labelled(positive[case]);
        let train_features = match crossed {
            Some(features) => features,
            None => {
                let found = features.of(&self.parts.train, "features", exec)?;
                self.parts.train.iter().zip(&found).map(labelled).collect()
            }
        };
        let inner = features.of(&self.parts.inner, "features", exec)?;
        let validation = self.parts.inner.iter().zip(&inner).map(labelled).collect();
        let width = self.network.features();
        let known = train_features.iter().map(|case| case.features.chunks_exact(width).map(<[f32]>::to_vec).collect());
        let known: Vec<Vec<Vec<f32>>> = known.collect();
        let case_job = CaseJob {
            train: train_features,
            validation,
            stage: &self.settings.cases,
            network: self.network,
            seed: self.settings.seed,
            fold: self.number,
            folder,
        };
        let (sequence, best_cases) = case_job.run(exec)?;
        let test = features.of(&self.parts.test, "test", exec)?;
        let facts = Facts { prevalence, best_cases, positive, features: known, inner, test, seen_before };
        self.finish(&trained, sequence, shift, facts, exec)
    }

    /// A whole model that is used as it is takes slices as it learned them.
    fn check_given(&self, weights: Option<&Initial>) -> Result<(), TrainError> {
        let (true, Some(Initial::Network(_, card))) = (self.settings.backbone_is_given(), weights) else {
            return Ok(());
        };
        let (side, ours) = (card.network.input_side, self.network.input_side);
        let (recipe, our_recipe) = (card.json["recipe"].as_str().unwrap_or_default(), self.settings.recipe.name());
        if side == ours && recipe == our_recipe {
            return Ok(());
        }
        let short = recipe.split('/').next().unwrap_or_default();
        Err(TrainError::Refused(format!(
            "the backbone of --weights learned slices of {side} pixels by the recipe {recipe} and would be used as it is on \
             {ours} pixels by {our_recipe}: --input {side} --recipe {short} make them the same"
        )))
    }

    /// What turns the backbone's slice logits to the natural prevalence.
    fn shift(&self, trained: &Trained, pools: &Pools) -> f32 {
        let natural = trained.given.as_ref().is_some_and(|given| given.natural);
        if natural { 0.0 } else { pools.prior_shift(self.settings.images.sampling) as f32 }
    }

    /// What the backbone makes of slices; a backbone that is used as it came serves all folds.
    pub(super) fn features(
        &self,
        trained: &Trained,
        folder: &Path,
        shift: f32,
        exec: &Exec<'_>,
    ) -> Result<Features<'_>, TrainError> {
        let folder = match (&trained.given, &exec.features) {
            (None, _) => folder.join("features"),
            (Some(_), None) => self.run.join("features"),
            (Some(_), Some(shared)) => shared.clone(),
        };
        Features::new((self.cases, self.number), (&self.network, trained), folder, shift, exec)
    }

    /// How many test cases a backbone that came with `--weights` has seen, where that is known: figures of those are not held
    /// out.
    fn seen_before(&self, trained: &Trained, exec: &Exec<'_>) -> Option<usize> {
        trained.given.as_ref()?;
        let seen = &trained.seen;
        let of_test = self.parts.test.iter().filter(|&&case| seen.cases.contains(&self.cases[case].id)).count();
        let (number, count) = (self.number, self.parts.test.len());
        if of_test > 0 {
            exec.tell(Event::Note(format!(
                "fold {number}: the backbone of --weights was trained on {of_test} of the {count} test cases, so their figures \
                 are not held out: of this fold stage 2 alone is"
            )));
        } else if seen.and_others && count > 0 {
            exec.tell(Event::Note(format!(
                "fold {number}: the weights do not say which cases their backbone was trained on; the figures of the test part \
                 are held out only if none of its cases was among them"
            )));
        }
        (!seen.and_others || of_test > 0).then_some(of_test)
    }

    /// The labels that stage 2 learns; dealt anew over the training part where labels are to be shuffled.
    fn case_labels(&self) -> Vec<bool> {
        let mut labels: Vec<bool> = self.cases.iter().map(|case| case.stored.head.fractured).collect();
        if self.settings.shuffle_labels {
            let mut dealt: Vec<bool> = self.parts.train.iter().map(|&case| labels[case]).collect();
            Stream::named(self.settings.seed, "shuffled case labels", self.number as u64).shuffle(&mut dealt);
            self.parts.train.iter().zip(dealt).for_each(|(&case, label)| labels[case] = label);
        }
        labels
    }

    fn training_items(&self, stored: &[StoredCase]) -> Vec<Item> {
        let mut items = labelled(stored, &self.parts.train);
        if self.settings.shuffle_labels {
            shuffle_labels(&mut items, self.settings.seed ^ self.number as u64);
        }
        items
    }

    fn check_classes(&self, pools: &Pools, positive: &[bool]) -> Result<(), TrainError> {
        let cases = self.parts.train.iter().filter(|&&case| positive[case]).count();
        let what = if pools.positive.is_empty() {
            "no slice with a fracture"
        } else if pools.positive.len() == pools.len() {
            "no slice without a fracture"
        } else if cases == 0 {
            "no case with a fracture"
        } else if cases == self.parts.train.len() {
            "no case without a fracture"
        } else {
            return Ok(());
        };
        let (number, count) = (self.number, self.parts.train.len());
        Err(TrainError::OneClass(format!(
            "fold {number} cannot be trained: among its {count} training cases there is {what}; more cases or fewer folds \
             help"
        )))
    }

    /// Joins the parts to one network, asks it about validation and test, and writes what came out.
    fn finish(
        &self,
        trained: &Trained,
        sequence: NamedTensors,
        shift: f32,
        facts: Facts,
        exec: &Exec<'_>,
    ) -> Result<FoldSummary, TrainError> {
        let mut tensors = trained.backbone.tensors()?;
        let bias = tensors.values("backbone.fc.bias")?.iter().map(|bias| bias + shift).collect();
        tensors.insert("backbone.fc.bias", vec![1], bias);
        tensors.absorb("", sequence);
        let weights = Weights::from_tensors(&self.network, &tensors)?;
        let mut card = ModelCard::template(&self.network, trained.mean, trained.std);
        self.describe(&mut card, trained, &facts);
        let plain = read_card(card.clone())?;
        let network = Network::from_weights(&weights, plain, exec.device)?;
        let inner = self.predict(&network, &self.parts.inner, &facts.inner)?;
        let test = self.predict(&network, &self.parts.test, &facts.test)?;
        let output = Output::of(&inner);
        output.note(self.number, exec);
        output.write(&mut card);
        card["golden"] = network.golden()?;
        if let Some(distance) = FeatureDistance::fit(&facts.features) {
            card["ood"] = distance.to_json();
        }
        card["output"]["prevalence"] = json!(share(&self.parts.train, &facts.positive));
        let summary = FoldSummary {
            fold: self.number,
            model: self.model(),
            image_epoch: trained.best.epoch,
            case_epoch: facts.best_cases.epoch,
            validation: Aucs::of(&inner),
            test: Aucs::of(&test),
        };
        card["training"]["validation"] = summary.validation.to_json(&inner);
        card["training"]["test"] = if test.is_empty() { Value::Null } else { summary.test.to_json(&test) };
        let card = read_card(card)?;
        self.write_predictions("inner", &inner)?;
        if !test.is_empty() {
            self.write_predictions("fold", &test)?;
        }
        weights.save(&card, &self.model())?;
        Ok(summary)
    }

    fn write_predictions(&self, what: &str, predictions: &[CasePrediction]) -> Result<(), TrainError> {
        let path = self.predictions(what);
        let folder = self.run.join("predictions");
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(&folder)?;
            super::files::write_whole(&path, |file| Ok(serde_json::to_writer(file, predictions)?))
        };
        write().map_err(|error| TrainError::disk(&path, error))
    }

    /// What the finished network says of some cases, whose slices it has seen.
    fn predict(
        &self,
        network: &Network,
        cases: &[usize],
        found: &[SliceFeatures],
    ) -> Result<Vec<CasePrediction>, TrainError> {
        let width = self.network.features();
        let one = |(&index, found): (&usize, &SliceFeatures)| {
            let case = &self.cases[index];
            let features: Vec<Vec<f32>> = found.features.chunks_exact(width).map(<[f32]>::to_vec).collect();
            let logit = f64::from(network.forward_case(&features)?.logit);
            Ok(CasePrediction {
                id: case.id.clone(),
                patient: case.patient.clone(),
                label: case.stored.head.fractured,
                logit,
                score: sigmoid(logit),
                slices: slice_predictions(case, found),
                fractures: case.stored.head.fractures.clone(),
                sex: case.sex,
                age_years: case.age_years,
                slice_thickness_mm: case.stored.head.slice_thickness_mm,
                contrast: case.stored.head.contrast,
                source: case.source.clone(),
                twin: case.twin.clone(),
                baselines: case.stored.head.baselines.clone(),
            })
        };
        cases.iter().zip(found).map(one).collect()
    }

    /// The card's words on where the weights come from; `on` completes "trained on".
    fn describe(&self, card: &mut Value, trained: &Trained, facts: &Facts) {
        let (settings, best) = (self.settings, trained.best);
        // Of all that the backbone has learned, and of what stage 2 learned.
        let others = trained.seen.kinds.iter().any(|kind| kind != kind_of(&settings.datasets));
        let kind = if others { "mixed" } else { kind_of(&settings.datasets) };
        let on = match (settings.shuffle_labels, kind) {
            (true, _) => "labels dealt at random: a check, not a model",
            (false, "phantom") => "synthetic necks only",
            (false, "rsna2022") => "RSNA 2022",
            (false, "hdn-cspine") => "Health Data Nexus cspine",
            (false, _) => "several data sets",
        };
        let part =
            if settings.folds > 1 { format!(" fold {} of {}", self.number, settings.folds) } else { String::new() };
        card["name"] = json!(format!("{} on {kind}, seed {}{part}", self.network.backbone.name(), settings.seed));
        card["recipe"] = json!(settings.recipe.name());
        card["input"]["z_step_mm"] = json!(settings.z_step_mm);
        let labels = |cases: &[usize]| json!({ "cases": cases.len(), "positive": positives(cases, &facts.positive) });
        card["training"] = json!({
            "trained": true,
            "on": on,
            "kind": kind,
            "settings": without_paths(settings),
            "fold": self.number,
            "train": labels(&self.parts.train),
            "inner_validation": labels(&self.parts.inner),
            "held_out": labels(&self.parts.test),
            "slice_prevalence": facts.prevalence,
            "image_stage": { "epoch": best.epoch, "validation_auc": best.auc, "validation_loss": best.loss },
            "case_stage": {
                "epoch": facts.best_cases.epoch, "validation_auc": facts.best_cases.auc,
                "validation_loss": facts.best_cases.loss
            },
        });
        if let Some(given) = &trained.given {
            // Stage 1 belongs to another run.
            card["training"]["image_stage"] = Value::Null;
            card["training"]["backbone"] = given.story.clone();
            card["training"]["held_out"]["seen_by_backbone"] = json!(facts.seen_before);
        }
        if let Some(crops) = trained.crops {
            card["training"]["crop_stage"] = json!({
                "side": crops.side,
                "crops_shown": crops.shown,
                "epoch": crops.best.epoch,
                "validation_auc": crops.best.auc,
                "validation_loss": crops.best.loss,
            });
        }
    }
}

/// What the end of a fold needs to know of its beginning.
struct Facts {
    /// Share of positive training slices.
    prevalence: f64,
    best_cases: Best,
    positive: Vec<bool>,
    /// Of the training cases' slices.
    features: Vec<Vec<Vec<f32>>>,
    inner: Vec<SliceFeatures>,
    test: Vec<SliceFeatures>,
    /// Test cases that a backbone was trained on before it came here; `None`: unknown, or it was trained here.
    seen_before: Option<usize>,
}

fn slice_predictions(case: &Case, found: &SliceFeatures) -> Vec<SlicePrediction> {
    let known = found.logits.iter().zip(&found.peak_in_box);
    let one = |(stored, (&logit, &peak_in_box)): (&StoredSlice, (&f32, &Option<bool>))| {
        let logit = f64::from(logit);
        SlicePrediction {
            index: stored.index,
            logit,
            score: sigmoid(logit),
            label: stored.label,
            level: stored.level,
            peak_in_box,
        }
    };
    case.stored.head.slices.iter().zip(known).map(one).collect()
}

/// Labelled slices of some cases.
pub(super) fn labelled(stored: &[StoredCase], cases: &[usize]) -> Vec<Item> {
    let of = |&case: &usize| {
        let slices = stored[case].head.slices.iter().enumerate();
        slices.filter_map(move |(slice, known)| Some(Item { case, slice, positive: known.label? }))
    };
    cases.iter().flat_map(of).collect()
}

fn positives(cases: &[usize], positive: &[bool]) -> usize {
    cases.iter().filter(|&&case| positive[case]).count()
}

fn share(cases: &[usize], positive: &[bool]) -> f64 {
    positives(cases, positive) as f64 / cases.len().max(1) as f64
}

/// The settings as others may read them: of paths on this machine only the last part.
fn without_paths(settings: &Settings) -> Settings {
    let last = |path: &str| path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default().to_owned();
    let spec = |spec: &String| match spec.split_once(':') {
        Some((kind, place)) => format!("{kind}:{}", last(place)),
        None => last(spec),
    };
    Settings {
        datasets: settings.datasets.iter().map(spec).collect(),
        weights: settings.weights.as_ref().map(|path| last(&path.to_string_lossy()).into()),
        ..settings.clone()
    }
}

/// `phantom`, `rsna2022`, `hdn-cspine`, or `mixed`.
fn kind_of(datasets: &[String]) -> &str {
    let kind = |spec: &'_ String| spec.split(':').next().unwrap_or_default().to_owned();
    let first = datasets.first().map(kind).unwrap_or_default();
    if datasets.iter().any(|spec| kind(spec) != first) {
        return "mixed";
    }
    datasets.first().and_then(|spec| spec.split(':').next()).unwrap_or("mixed")
}

fn read_card(card: Value) -> Result<ModelCard, TrainError> {
    ModelCard::from_json(card).map_err(TrainError::Refused)
}

/// Areas under the ROC curve of one part, where it has both classes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Aucs {
    pub image: Option<f64>,
    pub case: Option<f64>,
    /// Of the largest slice logit: what stage 2 has to beat.
    pub max_of_slices: Option<f64>,
}

impl Aucs {
    fn of(predictions: &[CasePrediction]) -> Self {
        let (slice_logits, slice_labels) = slices_of(predictions);
        let labels: Vec<bool> = predictions.iter().map(|case| case.label).collect();
        let largest = |case: &CasePrediction| case.slices.iter().map(|s| s.logit).fold(f64::NEG_INFINITY, f64::max);
        Self {
            image: roc_auc(&slice_logits, &slice_labels),
            case: roc_auc(&predictions.iter().map(|case| case.logit).collect::<Vec<_>>(), &labels),
            max_of_slices: roc_auc(&predictions.iter().map(largest).collect::<Vec<_>>(), &labels),
        }
    }

    fn to_json(self, predictions: &[CasePrediction]) -> Value {
        json!({
            "cases": predictions.len(),
            "positive": predictions.iter().filter(|case| case.label).count(),
            "image_auc": self.image,
            "case_auc": self.case,
            "max_of_slices_auc": self.max_of_slices,
        })
    }
}

fn slices_of(predictions: &[CasePrediction]) -> (Vec<f64>, Vec<bool>) {
    let slices = predictions.iter().flat_map(|case| &case.slices);
    slices.filter_map(|slice| Some((slice.logit, slice.label?))).unzip()
}

/// Calibration and operating points of one level of output.
struct Level {
    calibration: Option<Calibration>,
    youden: Option<OperatingPoint>,
    high_sensitivity: Result<OperatingPoint, String>,
    high_specificity: Result<OperatingPoint, String>,
}

impl Level {
    fn of(logits: &[f64], labels: &[bool]) -> Self {
        // A slope that is not above 0 would turn the scores round; no calibration may do that.
        let sound = |platt: &Scaling| platt.slope > 0.0;
        let calibration =
            calibrate(logits, labels).map(|found| Calibration { platt: found.platt.filter(sound), ..found });
        let scaling = calibration.map_or(Scaling::NONE, |calibration| calibration.scaling());
        let scores: Vec<f64> = logits.iter().map(|&logit| scaling.probability(logit)).collect();
        Self {
            calibration,
            youden: youden(&scores, labels),
            high_sensitivity: high_sensitivity(&scores, labels, TARGET),
            high_specificity: high_specificity(&scores, labels, TARGET),
        }
    }

    fn platt(&self) -> Value {
        self.calibration.and_then(|calibration| calibration.platt).map_or(Value::Null, |platt| json!(platt))
    }
}

/// What the inner validation says about the network's outputs (method 8.1, 8.2).
struct Output {
    slice: Level,
    case: Level,
}

impl Output {
    fn of(inner: &[CasePrediction]) -> Self {
        let (logits, labels) = slices_of(inner);
        let case_logits: Vec<f64> = inner.iter().map(|case| case.logit).collect();
        let case_labels: Vec<bool> = inner.iter().map(|case| case.label).collect();
        Self { slice: Level::of(&logits, &labels), case: Level::of(&case_logits, &case_labels) }
    }

    fn note(&self, fold: usize, exec: &Exec<'_>) {
        for (what, level) in [("slices", &self.slice), ("cases", &self.case)] {
            if level.youden.is_none() {
                exec.tell(Event::Note(format!(
                    "fold {fold}: the inner validation has {what} of one class only; their threshold stays at 0.5 and their \
                     scores uncalibrated"
                )));
            }
            for point in [&level.high_sensitivity, &level.high_specificity] {
                if let Err(reason) = point {
                    exec.tell(Event::Note(format!("fold {fold}, {what}: {reason}; this operating point is left out")));
                }
            }
        }
    }

    fn write(&self, card: &mut Value) {
        let threshold = |level: &Level| level.youden.as_ref().map_or(0.5, |point| point.threshold);
        let temperature = |level: &Level| level.calibration.map_or(1.0, |calibration| calibration.temperature);
        let both = self.slice.calibration.is_some() && self.case.calibration.is_some();
        card["output"] = json!({
            "threshold": threshold(&self.slice),
            "case_threshold": threshold(&self.case),
            "threshold_rule": if self.case.youden.is_some() { "youden on the inner validation" } else { "not selected on any data" },
            "calibrated": both,
            "temperature": { "slice": temperature(&self.slice), "case": temperature(&self.case) },
            "platt": { "slice": self.slice.platt(), "case": self.case.platt() },
            "calibration_n": { "slice": self.slice.calibration.map(|c| c.n), "case": self.case.calibration.map(|c| c.n) },
        });
        let point = |slice: Option<&OperatingPoint>, case: Option<&OperatingPoint>| match (slice, case) {
            (Some(slice), Some(case)) => Some(json!({
                "slice": slice.threshold, "case": case.threshold, "rule": case.rule,
                "n": case.positives + case.negatives, "positives": case.positives,
                "sensitivity": case.sensitivity, "specificity": case.specificity,
            })),
            _ => None,
        };
        let named = [
            ("youden", point(self.slice.youden.as_ref(), self.case.youden.as_ref())),
            (
                "high_sensitivity",
                point(self.slice.high_sensitivity.as_ref().ok(), self.case.high_sensitivity.as_ref().ok()),
            ),
            (
                "high_specificity",
                point(self.slice.high_specificity.as_ref().ok(), self.case.high_specificity.as_ref().ok()),
            ),
        ];
        let found: serde_json::Map<String, Value> =
            named.into_iter().filter_map(|(name, point)| Some((name.to_owned(), point?))).collect();
        card["output"]["thresholds"] = Value::Object(found);
    }
}
