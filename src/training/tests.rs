//! Whole trainings on pictures that are made here: a positive slice has a bright spot, a negative one has none.

use super::*;
use crate::evaluation::CasePrediction;
use crate::jobs::JobCtx;
use crate::model::{Backbone, Network, Weights};
use crate::random::Stream;
use crate::training::cache::{test_head, write};
use crate::training::sampler::Sampling;

const SIDE: usize = 64;
const SLICES: usize = 10;

/// A neck of grey noise; with a spot of 10 x 10 pixels where positive.
fn picture(stream: &mut Stream, positive: bool) -> Vec<u8> {
    let spot = positive.then(|| (16 + stream.below(22), 16 + stream.below(22)));
    let mut plane = vec![0u8; SIDE * SIDE];
    for (at, value) in plane.iter_mut().enumerate() {
        let (column, row) = (at % SIDE, at / SIDE);
        let inside = spot.is_some_and(|(x, y)| (x..x + 10).contains(&column) && (y..y + 10).contains(&row));
        *value = (70 + stream.below(60) + if inside { 90 } else { 0 }) as u8;
    }
    [&plane[..], &plane, &plane].concat()
}

/// Half the cases positive, with three positive slices each.
fn cases(folder: &Path, count: usize) -> Vec<Case> {
    (0..count)
        .map(|number| {
            let mut stream = Stream::named(5, "training test", number as u64);
            let fractured = number % 2 == 0;
            let first = stream.below(SLICES - 3);
            let positive = |slice: usize| fractured && (first..first + 3).contains(&slice);
            let planes: Vec<Vec<u8>> = (0..SLICES).map(|slice| picture(&mut stream, positive(slice))).collect();
            let boxes = |slice: usize| if positive(slice) { vec![[10.0, 10.0, 54.0, 54.0]] } else { Vec::new() };
            let known: Vec<_> = (0..SLICES).map(|slice| (Some(positive(slice)), boxes(slice))).collect();
            let path = folder.join(format!("{number}.slices"));
            case(number, write(&path, test_head(SIDE, fractured, &known), &planes).unwrap())
        })
        .collect()
}

const LARGE: usize = 96;

/// Larger slices with a fine bright cross where positive, and its box: lost in the whole, plain in a crop. Half of the cases
/// are positive, with three positive slices each.
fn boxed_cases(folder: &Path, count: usize) -> Vec<Case> {
    let slice = |stream: &mut Stream, positive: bool| {
        let corner = positive.then(|| (16 + stream.below(54), 16 + stream.below(54)));
        let mut plane = vec![0u8; LARGE * LARGE];
        for (at, value) in plane.iter_mut().enumerate() {
            let (column, row) = (at % LARGE, at / LARGE);
            let lit = corner.is_some_and(|(x, y)| {
                (x..x + 10).contains(&column)
                    && (y..y + 10).contains(&row)
                    && ((column - x) / 2 == 2 || (row - y) / 2 == 2)
            });
            *value = (70 + stream.below(60) + if lit { 110 } else { 0 }) as u8;
        }
        let boxes = corner.map(|(x, y)| [x, y, x + 10, y + 10].map(|edge| edge as f64));
        ([&plane[..], &plane, &plane].concat(), (Some(positive), boxes.into_iter().collect()))
    };
    (0..count)
        .map(|number| {
            let mut stream = Stream::named(6, "crop test", number as u64);
            let fractured = number % 2 == 0;
            let (planes, known): (Vec<_>, Vec<_>) = (0..6).map(|at| slice(&mut stream, fractured && at < 3)).unzip();
            let path = folder.join(format!("{number}.slices"));
            case(number, write(&path, test_head(LARGE, fractured, &known), &planes).unwrap())
        })
        .collect()
}

fn case(number: usize, stored: StoredCase) -> Case {
    Case {
        id: format!("c{number:02}"),
        patient: format!("p{number:02}"),
        sex: None,
        age_years: None,
        source: "test".into(),
        twin: None,
        stored,
    }
}

fn crop_settings() -> Settings {
    let mut settings = settings();
    settings.input_side = LARGE;
    let mut crops = CropStage::preset(Backbone::Nano);
    crops.epoch_crops = 256;
    (crops.steps.epochs, crops.steps.batch, crops.steps.learning_rate) = (3, 16, 2e-3);
    settings.crops = Some(crops);
    (settings.images.steps.epochs, settings.images.epoch_images) = (1, Some(64));
    settings.cases.steps.epochs = 2;
    settings
}

fn settings() -> Settings {
    let mut settings = Settings::preset(Preset::Practical, Backbone::Nano, vec!["test:".into()]);
    (settings.input_side, settings.units, settings.folds) = (SIDE, 8, 4);
    settings.images.epoch_images = Some(128);
    (settings.images.steps.epochs, settings.images.steps.batch) = (4, 16);
    (settings.cases.steps.epochs, settings.cases.steps.learning_rate) = (4, 3e-3);
    settings
}

/// Trains in a folder; `stop_after` batches the work is cancelled.
fn train(
    settings: &Settings,
    cases: &[Case],
    out: &Path,
    threads: usize,
    stop_after: Option<usize>,
) -> Result<(Summary, Vec<String>), TrainError> {
    let ctx = JobCtx::detached();
    let (batches, notes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let on_event = |event: &Event| match event {
        Event::Batch { .. } if stop_after.is_some_and(|n| batches.fetch_add(1, Ordering::Relaxed) == n) => ctx.cancel(),
        Event::Note(text) => notes.lock().unwrap().push(text.clone()),
        _ => {}
    };
    std::fs::create_dir_all(out).unwrap();
    let log = Mutex::new(RunLog::open(out));
    let (device, log_path) = (DevicePreference::Cpu, out.join("log.csv"));
    let exec = Exec { ctx: &ctx, device, features: None, on_event: &on_event, log, log_path };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let summary = pool.install(|| train_cases(settings, cases, out, &exec))?;
    Ok((summary, notes.into_inner().unwrap()))
}

fn predictions(out: &Path, name: &str) -> Vec<CasePrediction> {
    serde_json::from_slice(&std::fs::read(out.join("predictions").join(name)).unwrap()).unwrap()
}

#[test]
fn a_training_learns_and_writes_what_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 48);
    let out = folder.path().join("run");
    let (summary, _) = train(&settings(), &cases, &out, 2, None).unwrap();
    let fold = &summary.folds[0];
    assert!(fold.validation.image.unwrap() > 0.85, "{fold:?}");
    assert!(fold.test.image.unwrap() > 0.85 && fold.test.case.unwrap() > 0.8, "{fold:?}");
    let (_, card, _) = Weights::load(&fold.model).unwrap();
    assert!(card.trained && card.recipe == "spine/1", "{card:?}");
    let network = Network::load(&fold.model, DevicePreference::Cpu).unwrap();
    let test = predictions(&out, "fold-1.json");
    let first = cases.iter().find(|case| case.id == test[0].id).unwrap();
    let planes: Vec<f32> = first.stored.planes(0).unwrap().iter().map(|&v| f32::from(v) / 255.0).collect();
    let again = f64::from(network.forward_slices(&planes, 1).unwrap()[0].logit);
    assert!((again - test[0].slices[0].logit).abs() < 1e-4, "the predictions are those of the weight file");
    assert!(test.iter().flat_map(|case| &case.slices).any(|slice| slice.peak_in_box == Some(true)));
    let log = log::read(&out.join("log.csv")).unwrap();
    assert!(log.iter().any(|row| row.stage == "images") && log.iter().any(|row| row.stage == "cases"));
}

#[test]
fn no_test_case_is_shown_to_the_backbone_of_its_fold() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 24);
    let mut settings = settings();
    (settings.images.steps.epochs, settings.cases.steps.epochs) = (1, 1);
    settings.train_folds = vec![1, 2, 3, 4];
    let out = folder.path().join("run");
    train(&settings, &cases, &out, 2, None).unwrap();
    let mut tested = Vec::new();
    for fold in 1..=4 {
        let last = out.join(format!("fold-{fold}/last.safetensors"));
        let (_, note) = crate::model::NamedTensors::load(&last).unwrap();
        let note: serde_json::Value = serde_json::from_str(&note).unwrap();
        // What was really fed, as the training noted it batch by batch.
        let fed: Vec<&str> =
            note["fed"].as_array().unwrap().iter().map(|i| cases[i.as_u64().unwrap() as usize].id.as_str()).collect();
        let test = predictions(&out, &format!("fold-{fold}.json"));
        let inner = predictions(&out, &format!("inner-{fold}.json"));
        assert!(fed.len() >= 12 && inner.iter().all(|case| fed.contains(&case.id.as_str())), "{fed:?}");
        assert!(test.iter().all(|case| !fed.contains(&case.id.as_str())), "fold {fold}");
        tested.extend(test.into_iter().map(|case| case.id));
    }
    tested.sort();
    assert_eq!(tested, cases.iter().map(|case| case.id.clone()).collect::<Vec<_>>());
}

#[test]
fn a_stopped_training_goes_on_and_ends_bit_equal_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 16);
    let mut settings = settings();
    settings.images.epoch_images = Some(64);
    (settings.images.steps.epochs, settings.cases.steps.epochs) = (2, 2);
    let whole = folder.path().join("whole");
    train(&settings, &cases, &whole, 2, None).unwrap();
    // In the first epoch, in a validation, and late enough for the second stage.
    for stop_after in [2, 5, 24] {
        let out = folder.path().join(format!("stopped-{stop_after}"));
        let stopped = train(&settings, &cases, &out, 1, Some(stop_after));
        assert!(matches!(stopped, Err(TrainError::Cancelled(_))), "{stop_after}: {stopped:?}");
        train(&settings, &cases, &out, 1, None).unwrap();
        for file in ["fold-1/model.safetensors", "predictions/fold-1.json", "predictions/inner-1.json"] {
            assert!(std::fs::read(out.join(file)).unwrap() == std::fs::read(whole.join(file)).unwrap(), "{file}");
        }
    }
}

#[test]
fn shuffled_labels_teach_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 48);
    let mut settings = settings();
    settings.shuffle_labels = true;
    let (summary, _) = train(&settings, &cases, &folder.path().join("run"), 2, None).unwrap();
    let auc = summary.folds[0].test.image.unwrap();
    assert!((auc - 0.5).abs() < 0.25, "{auc}");
    let (_, card, _) = Weights::load(&summary.folds[0].model).unwrap();
    assert!(card.trained_on.contains("at random"), "{}", card.trained_on);
}

#[test]
fn one_class_is_refused_with_the_fold_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let cases: Vec<Case> = cases(folder.path(), 24).into_iter().filter(|case| !case.stored.head.fractured).collect();
    let error = train(&settings(), &cases, &folder.path().join("run"), 2, None).unwrap_err().to_string();
    assert!(error.contains("fold 1") && error.contains("no slice with a fracture"), "{error}");
}

#[test]
fn cross_fitted_features_train_too() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 24);
    let mut settings = settings();
    settings.images.sampling = Sampling::PaperUniform;
    (settings.images.steps.epochs, settings.cases.steps.epochs, settings.crossfit) = (1, 1, true);
    let out = folder.path().join("run");
    train(&settings, &cases, &out, 2, None).unwrap();
    let log = log::read(&out.join("log.csv")).unwrap();
    assert!((1..=3).all(|part| log.iter().any(|row| row.stage == format!("images-crossfit-{part}"))));
}

/// A whole run on synthetic patients, from seeds to weights: kinds of fracture that a small network sees in coarse slices.
fn phantoms(out: &Path, shuffle_labels: bool) -> FoldSummary {
    let kinds = "difficulty=easy;matrix=128;spacing=4;positive-fraction=0.6;type=jefferson+burst+dens-ii+hangman";
    let mut settings = settings();
    settings.datasets = vec![format!("phantom:1-32;{kinds}")];
    (settings.input_side, settings.z_step_mm, settings.shuffle_labels) = (96, 4.0, shuffle_labels);
    settings.images.epoch_images = Some(320);
    settings.images.steps.epochs = 3;
    let cache = out.parent().expect("a folder").join("cache");
    let (out, device) = (out.to_path_buf(), DevicePreference::Cpu);
    let request = Request { settings, out, cache, features: None, threads: 2, device, resume: false };
    let summary = run(&request, &JobCtx::detached(), &|_| {}).unwrap();
    assert_eq!((summary.cases, summary.excluded), (32, 0));
    summary.folds[0].clone()
}

#[test]
fn fractures_of_synthetic_patients_can_be_learned_and_dealt_labels_can_not() {
    let folder = tempfile::tempdir().unwrap();
    let learned = phantoms(&folder.path().join("learned"), false);
    assert!(learned.validation.image.unwrap() > 0.7, "{learned:?}");
    assert!(learned.test.image.unwrap() > 0.6, "{learned:?}");
    let dealt = phantoms(&folder.path().join("dealt"), true);
    let (image, learned) = (dealt.test.image.unwrap(), learned.test.image.unwrap());
    // Neighbouring slices are alike and the test part has eight cases: a level that is preferred by chance gives as much.
    assert!((image - 0.5).abs() < 0.3 && image < learned, "{dealt:?}");
}

#[test]
fn crops_teach_what_whole_slices_then_know() {
    let folder = tempfile::tempdir().unwrap();
    let cases = boxed_cases(folder.path(), 40);
    let mut settings = crop_settings();
    // No epoch of whole slices: all that the backbone knows are crops.
    settings.images.steps.epochs = 0;
    settings.crops.as_mut().unwrap().steps.epochs = 5;
    let out = folder.path().join("run");
    let (summary, _) = train(&settings, &cases, &out, 2, None).unwrap();
    let fold = &summary.folds[0];
    assert_eq!(fold.image_epoch, 0);
    assert!(fold.validation.image.unwrap() > 0.75 && fold.test.image.unwrap() > 0.75, "{fold:?}");
    let log = log::read(&out.join("log.csv")).unwrap();
    let crops: Vec<&LogRow> = log.iter().filter(|row| row.stage == "crops").collect();
    assert!(crops.len() == 5 && crops.iter().any(|row| row.validation_auc.unwrap() > 0.9), "{crops:?}");
    assert!(log.iter().any(|row| row.stage == "images" && row.epoch == 0));
    let (_, card, _) = Weights::load(&fold.model).unwrap();
    let stage = card.json["training"]["crop_stage"].clone();
    let epoch = stage["epoch"].as_u64().unwrap();
    assert_eq!((stage["side"].as_u64(), stage["crops_shown"].as_u64()), (Some(64), Some(256 * epoch)), "{stage}");
    assert!(stage["validation_auc"].as_f64().unwrap() > 0.9, "{stage}");
}

#[test]
fn a_training_begins_with_what_another_runs_crops_taught() {
    let folder = tempfile::tempdir().unwrap();
    let cases = boxed_cases(folder.path(), 40);
    let mut settings = crop_settings();
    settings.images.steps.epochs = 0;
    settings.crops.as_mut().unwrap().steps.epochs = 4;
    let first = folder.path().join("first");
    train(&settings, &cases, &first, 2, None).unwrap();
    let learned = first.join("fold-1/crops/best.safetensors");
    // One epoch that hardly moves: what it knows, it knew.
    let crops = settings.crops.as_mut().unwrap();
    (crops.steps.epochs, crops.steps.learning_rate) = (1, 1e-9);
    let auc = |weights: Option<&Path>, out: &str| {
        let settings = Settings { weights: weights.map(Path::to_path_buf), ..settings.clone() };
        let out = folder.path().join(out);
        train(&settings, &cases, &out, 2, None).unwrap();
        let log = log::read(&out.join("log.csv")).unwrap();
        log.iter().find(|row| row.stage == "crops").unwrap().validation_auc.unwrap()
    };
    let (with, without) = (auc(Some(&learned), "with"), auc(None, "without"));
    assert!(with > 0.85 && without < with - 0.1, "{with} {without}");
    // Of another backbone, or cut short.
    let (mut tensors, _) = crate::model::NamedTensors::load(&learned).unwrap();
    tensors.0.remove("backbone.bn1.weight");
    let broken = folder.path().join("broken.safetensors");
    tensors.save("", &broken).unwrap();
    settings.weights = Some(broken);
    let error = train(&settings, &cases, &folder.path().join("none"), 2, None).unwrap_err().to_string();
    assert!(error.contains("broken.safetensors") && error.contains("nano") && error.contains("bn1"), "{error}");
}

#[test]
fn stage_2_alone_is_cross_validated_on_the_features_of_a_backbone_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 48);
    let (old, new) = cases.split_at(24);
    let first = folder.path().join("first");
    train(&settings(), old, &first, 2, None).unwrap();
    let stage = first.join("fold-1/best.safetensors");
    let mut settings = Settings { weights: Some(stage.clone()), train_folds: vec![1, 2, 3, 4], ..settings() };
    settings.images.steps.epochs = 0;
    let out = folder.path().join("second");
    let (summary, notes) = train(&settings, new, &out, 2, None).unwrap();
    assert!(summary.folds.iter().all(|fold| fold.image_epoch == 0), "{summary:?}");
    assert!(!notes.iter().any(|note| note.contains("held out")), "all cases are new: {notes:?}");
    // One file for each case, whatever the folds; no epoch of slices.
    assert_eq!(std::fs::read_dir(out.join("features")).unwrap().count(), new.len());
    assert!(!out.join("fold-1/features").exists());
    assert!(log::read(&out.join("log.csv")).unwrap().iter().all(|row| row.stage == "cases"));
    let mut tested: Vec<String> = Vec::new();
    for fold in 1..=4 {
        tested.extend(predictions(&out, &format!("fold-{fold}.json")).into_iter().map(|case| case.id));
        let path = out.join(format!("fold-{fold}/model.safetensors"));
        let (weights, card, _) = Weights::load(&path).unwrap();
        assert_eq!(
            (&card.json["training"]["held_out"]["seen_by_backbone"], &card.json["training"]["kind"]),
            (&0.into(), &"test".into())
        );
        assert!(
            card.json["training"]["image_stage"].is_null()
                && card.json["training"]["backbone"]["epoch"].as_u64() > Some(0)
        );
        // The first run's backbone as it was, its last layer's offset apart.
        let (best, _) = crate::model::NamedTensors::load(&stage).unwrap();
        for name in ["backbone.conv1.weight", "backbone.bn1.running_mean", "backbone.fc.weight"] {
            assert_eq!(weights.tensor(name).unwrap(), best.values(name).unwrap(), "{name}");
        }
    }
    tested.sort_unstable();
    assert_eq!(tested, new.iter().map(|case| case.id.clone()).collect::<Vec<_>>());
    // What a prediction says is what the written model says.
    let network = Network::load(&out.join("fold-1/model.safetensors"), DevicePreference::Cpu).unwrap();
    let told = &predictions(&out, "fold-1.json")[0];
    let case = new.iter().find(|case| case.id == told.id).unwrap();
    let pixels: Vec<f32> = case.stored.planes(0).unwrap().iter().map(|&value| f32::from(value) / 255.0).collect();
    let said = &network.forward_slices(&pixels, 1).unwrap()[0];
    assert!((f64::from(said.logit) - told.slices[0].logit).abs() < 1e-5, "{} {:?}", said.logit, told.slices[0]);
    // The cases that it was trained on are told of; so is a whole model, which does not know.
    let (_, notes) = train(&settings, old, &folder.path().join("third"), 2, None).unwrap();
    assert!(notes.iter().any(|note| note.contains("test cases") && note.contains("not held out")), "{notes:?}");
    settings.weights = Some(first.join("fold-1/model.safetensors"));
    settings.train_folds = vec![1];
    let (_, notes) = train(&settings, new, &folder.path().join("fourth"), 2, None).unwrap();
    assert!(notes.iter().any(|note| note.contains("do not say which cases")), "{notes:?}");
    let bias = |path: &Path| Weights::load(path).unwrap().0.tensor("backbone.fc.bias").unwrap().to_vec();
    let [whole, again] = ["first", "fourth"].map(|run| bias(&folder.path().join(run).join("fold-1/model.safetensors")));
    assert_eq!(whole, again, "its logits were natural already");
    // Stage 2 learned other data than the backbone: the model was trained on both.
    settings.datasets = vec!["other:".into()];
    let (summary, _) = train(&settings, new, &folder.path().join("fifth"), 2, None).unwrap();
    let (_, card, _) = Weights::load(&summary.folds[0].model).unwrap();
    assert_eq!((card.trained_on.as_str(), &card.json["training"]["kind"]), ("several data sets", &"mixed".into()));
    // Slices of another size would give other features.
    settings.input_side = SIDE + 32;
    let error = train(&settings, new, &folder.path().join("sixth"), 2, None).unwrap_err().to_string();
    assert!(error.contains(&format!("--input {SIDE} --recipe spine")), "{error}");
}

#[test]
fn shared_features_of_a_backbone_that_is_trained_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [out, cache] = ["out", "cache"].map(|name| folder.path().join(name));
    let (settings, device) = (settings(), DevicePreference::Cpu);
    let request =
        Request { settings, out: out.clone(), features: Some(cache.clone()), cache, threads: 1, device, resume: false };
    let error = run(&request, &JobCtx::detached(), &|_| {}).unwrap_err().to_string();
    assert!(!out.exists(), "nothing was begun");
    assert!(error.contains("--features") && error.contains("--epochs 0"), "{error}");
}

#[test]
fn a_checkpoint_that_does_not_say_how_its_slices_were_normalised_is_not_used_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 16);
    let mut settings = settings();
    settings.images.steps.epochs = 1;
    train(&settings, &cases, &folder.path().join("run"), 2, None).unwrap();
    let (tensors, _) = crate::model::NamedTensors::load(&folder.path().join("run/fold-1/best.safetensors")).unwrap();
    let bare = folder.path().join("bare.safetensors");
    tensors.save("", &bare).unwrap();
    (settings.weights, settings.images.steps.epochs) = (Some(bare), 0);
    let error = train(&settings, &cases, &folder.path().join("none"), 2, None).unwrap_err().to_string();
    assert!(error.contains("normalised") && error.contains("model.safetensors"), "{error}");
}

#[test]
fn frozen_convolutions_stay_and_the_rest_learns() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 16);
    let mut settings = settings();
    settings.images.steps.epochs = 1;
    train(&settings, &cases, &folder.path().join("first"), 2, None).unwrap();
    let before = folder.path().join("first/fold-1/best.safetensors");
    (settings.weights, settings.frozen) = (Some(before.clone()), vec!["layer4".into()]);
    train(&settings, &cases, &folder.path().join("second"), 2, None).unwrap();
    let [before, after] = [before, folder.path().join("second/fold-1/best.safetensors")]
        .map(|path| crate::model::NamedTensors::load(&path).unwrap().0);
    let mut frozen = 0;
    for (name, (shape, values)) in &before.0 {
        let stays = name.starts_with("backbone.layer4.") && shape.len() == 4;
        assert_eq!(after.values(name).unwrap() == values, stays, "{name}");
        frozen += usize::from(stays);
    }
    assert_eq!(frozen, 3, "two convolutions and the shortcut's");
    settings.frozen = vec!["layer9".into()];
    let error = train(&settings, &cases, &folder.path().join("third"), 2, None).unwrap_err().to_string();
    assert!(error.contains("layer9"), "{error}");
}

#[test]
fn a_training_with_crops_goes_on_where_it_was_stopped_and_ends_bit_equal() {
    let folder = tempfile::tempdir().unwrap();
    let cases = boxed_cases(folder.path(), 16);
    let mut settings = crop_settings();
    let crops = settings.crops.as_mut().unwrap();
    (crops.epoch_crops, crops.steps.epochs) = (64, 2);
    settings.images.epoch_images = Some(32);
    // Whole slices after the crops: stopped in the first epoch of crops, in its validation and in the second epoch. None: stopped
    // while the running statistics are measured.
    for (image_epochs, stops) in [(1, [2, 6, 9].as_slice()), (0, [24].as_slice())] {
        settings.images.steps.epochs = image_epochs;
        let whole = folder.path().join(format!("whole-{image_epochs}"));
        train(&settings, &cases, &whole, 2, None).unwrap();
        for stop_after in stops.iter().copied() {
            let out = folder.path().join(format!("stopped-{image_epochs}-{stop_after}"));
            let stopped = train(&settings, &cases, &out, 1, Some(stop_after));
            assert!(matches!(stopped, Err(TrainError::Cancelled(_))), "{stop_after}: {stopped:?}");
            train(&settings, &cases, &out, 1, None).unwrap();
            for file in ["fold-1/crops/best.safetensors", "fold-1/model.safetensors", "predictions/fold-1.json"] {
                assert!(std::fs::read(out.join(file)).unwrap() == std::fs::read(whole.join(file)).unwrap(), "{file}");
            }
        }
    }
}

#[test]
fn both_stages_have_the_same_mean_and_crops_see_no_test_case() {
    let folder = tempfile::tempdir().unwrap();
    let cases = boxed_cases(folder.path(), 24);
    let mut settings = crop_settings();
    settings.crossfit = true;
    settings.crops.as_mut().unwrap().steps.epochs = 1;
    // The local head is new after crops that had none.
    settings.crops.as_mut().unwrap().box_weight = 0.0;
    let out = folder.path().join("with");
    let (with, _) = train(&settings, &cases, &out, 2, None).unwrap();
    let test = predictions(&out, "fold-1.json");
    for part in ["fold-1/crops", "fold-1/crossfit-2/crops"] {
        let (_, note) = crate::model::NamedTensors::load(&out.join(part).join("last.safetensors")).unwrap();
        let note: serde_json::Value = serde_json::from_str(&note).unwrap();
        let fed: Vec<usize> = note["fed"].as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as usize).collect();
        assert!(fed.len() >= 8 && test.iter().all(|test| fed.iter().all(|&case| cases[case].id != test.id)), "{part}");
    }
    let log = log::read(&out.join("log.csv")).unwrap();
    assert!((1..=3).all(|part| log.iter().any(|row| row.stage == format!("crops-crossfit-{part}"))));
    (settings.crops, settings.crossfit) = (None, false);
    let (without, _) = train(&settings, &cases, &folder.path().join("without"), 2, None).unwrap();
    let normal = |summary: &Summary| Weights::load(&summary.folds[0].model).unwrap().1.json["input"].clone();
    assert_eq!(normal(&with), normal(&without));
}

#[test]
fn crops_without_boxes_are_refused_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases = boxed_cases(folder.path(), 16);
    cases.iter_mut().flat_map(|case| &mut case.stored.head.slices).for_each(|slice| slice.boxes.clear());
    let error = train(&crop_settings(), &cases, &folder.path().join("run"), 2, None).unwrap_err().to_string();
    assert!(error.contains("fold 1") && error.contains("training part") && error.contains("reference box"), "{error}");
}

#[test]
fn a_stage_that_diverges_names_the_option_that_helps() {
    let said =
        |stage: &str| TrainError::Diverged { fold: 1, stage: stage.into(), epoch: 1, batch: 1, rate: 1.0 }.to_string();
    let options = [("crops", "--crop-lr"), ("images-crossfit-1", "--lr"), ("cases", "--case-lr")];
    options
        .iter()
        .for_each(|(stage, option)| assert!(said(stage).contains(&format!("smaller {option} is")), "{stage}"));
}
