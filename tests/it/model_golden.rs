//! The network against PyTorch, torchvision and pytorch-grad-cam, for weights and inputs that a formula gives.
//! `tests/fixtures/model/make_golden.py` made the expected values and holds the same formula.

use std::sync::OnceLock;

use dens::model::{Architecture, Blstm, DevicePreference, FEATURES, ModelCard, Network, Weights};
use serde_json::Value;

/// Share of the largest value that a value may be off by.
const RELATIVE: f32 = 1e-4;

fn golden() -> &'static Value {
    static GOLDEN: OnceLock<Value> = OnceLock::new();
    GOLDEN.get_or_init(|| serde_json::from_str(include_str!("../fixtures/model/golden.json")).expect("fixture"))
}

/// `count` fractions in 0..1 that belong to a name; each is a whole number over 2^24, so exact in f32.
fn fractions(name: &str, count: usize) -> impl Iterator<Item = f32> + use<> {
    let state = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (0..count as u64).map(move |index| {
        let mut z = (state ^ index).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    })
}

fn tensor_by_formula(name: &str, shape: &[usize]) -> Vec<f32> {
    let fractions = fractions(name, shape.iter().product());
    if let [_, rest @ ..] = shape
        && !rest.is_empty()
    {
        let fan_in: usize = rest.iter().product();
        let width = (6.0 / fan_in as f32).sqrt();
        return fractions.map(|f| (f - 0.5) * width).collect();
    }
    let spread_around_one =
        name.ends_with("running_var") || (name.ends_with(".weight") && name.starts_with("backbone."));
    if spread_around_one { fractions.map(|f| f + 0.5).collect() } else { fractions.map(|f| (f - 0.5) * 0.1).collect() }
}

fn picture_by_formula(side: usize) -> Vec<f32> {
    let noise = fractions(&format!("input.{side}"), 3 * side * side);
    noise.enumerate().map(|(i, noise)| noise * ((i / side % side + 1) as f32 / side as f32)).collect()
}

fn features_by_formula(steps: usize) -> Vec<Vec<f32>> {
    let all: Vec<f32> = fractions(&format!("features.{steps}"), steps * FEATURES).collect();
    all.chunks_exact(FEATURES).map(<[f32]>::to_vec).collect()
}

fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let triple = |key: &str| <[f32; 3]>::try_from(floats(&golden()[key])).expect("three values");
        let card = ModelCard::from_json(ModelCard::template(&Architecture::paper(96), triple("mean"), triple("std")))
            .expect("card");
        let weights = Weights::from_fn(&Architecture::paper(96), tensor_by_formula).expect("weights");
        Network::from_weights(&weights, card, DevicePreference::Cpu).expect("network")
    })
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().expect("array").iter().map(|v| v.as_f64().expect("number") as f32).collect()
}

fn float(value: &Value) -> f32 {
    value.as_f64().expect("number") as f32
}

fn count(value: &Value) -> usize {
    value.as_u64().expect("count") as usize
}

#[track_caller]
fn check_close(what: &str, got: &[f32], expected: &[f32], allowed: f32) {
    assert_eq!(got.len(), expected.len(), "{what}: number of values");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= allowed, "{what} [{index}]: {got} instead of {expected}, allowed {allowed}");
    }
}

fn every(values: &[f32], step: usize) -> Vec<f32> {
    values.iter().copied().step_by(step).collect()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

fn backbone_case(side: usize) -> &'static Value {
    let cases = golden()["backbone"].as_array().expect("cases");
    cases.iter().find(|case| count(&case["side"]) == side).expect("a case of this size")
}

#[track_caller]
fn check_backbone(side: usize) {
    let case = backbone_case(side);
    let slices = network().forward_pictures(&picture_by_formula(side), 1, side).expect("forward");
    let [slice] = slices.as_slice() else { panic!("one picture in, {} out", slices.len()) };
    check_close("logit", &[slice.logit], &[float(&case["logit"])], RELATIVE * float(&case["logit"]).abs());
    let features = every(&slice.features, count(&case["features_step"]));
    check_close("features", &features, &floats(&case["features"]), RELATIVE * float(&case["features_largest"]));
    assert_eq!((slice.features.len(), slice.cam_size), (FEATURES, count(&case["cam_side"])));
    let cam = floats(&case["cam"]);
    check_close("Grad-CAM by autograd", &slice.cam, &cam, RELATIVE * largest(&cam));
    // pytorch-grad-cam scales each picture: less the smallest, over the largest + 1e-7.
    let low = slice.cam.iter().copied().fold(f32::INFINITY, f32::min);
    let high = slice.cam.iter().map(|v| v - low).fold(0.0, f32::max);
    let scaled: Vec<f32> = slice.cam.iter().map(|v| (v - low) / (high + 1e-7)).collect();
    check_close("pytorch-grad-cam", &scaled, &floats(&case["cam_scaled"]), RELATIVE);
}

/// Scores in half precision, where this machine has it; elsewhere the device says that it is f32.
#[test]
fn half_precision_moves_no_score_by_a_hundredth() {
    let triple = |key: &str| <[f32; 3]>::try_from(floats(&golden()[key])).expect("three values");
    let card = ModelCard::from_json(ModelCard::template(&Architecture::paper(96), triple("mean"), triple("std")));
    let weights = Weights::from_fn(&Architecture::paper(96), tensor_by_formula).expect("weights");
    let half = Network::from_weights(&weights, card.expect("card"), DevicePreference::CpuHalf).expect("network");
    assert_eq!(half.device_name() == "CPU, bfloat16", half.device_note().is_none());
    let score = |logit: f32| 1.0 / (1.0 + (-logit).exp());
    for side in [64, 131] {
        let picture = picture_by_formula(side);
        let [exact, rounded] = [network(), &half].map(|n| n.forward_pictures(&picture, 1, side).expect("forward"));
        let off = (score(exact[0].logit) - score(rounded[0].logit)).abs();
        assert!(off <= 0.01, "{side}: {} and {}", exact[0].logit, rounded[0].logit);
        // A map of few cells, of weights without structure: it moves by 1 to 3 % of its largest value, whichever way they are rounded.
        let cam = largest(&exact[0].cam);
        check_close("Grad-CAM", &rounded[0].cam, &exact[0].cam, 0.05 * cam);
    }
}

#[test]
fn backbone_equals_torchvision_on_small_and_odd_sizes() {
    check_backbone(64);
    check_backbone(97);
    check_backbone(131);
}

#[test]
fn backbone_equals_torchvision_on_the_networks_size() {
    check_backbone(384);
}

/// The stem with its pooling, one block with and one without downsampling, and the end of every stage.
#[track_caller]
fn check_stages(side: usize) {
    let activations = network().activations(&picture_by_formula(side), side).expect("forward");
    assert_eq!(activations.len(), 17);
    for (name, expected) in backbone_case(side)["stages"].as_object().expect("stages") {
        let got = activations.iter().find(|a| a.name == *name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((got.side, got.channels), (count(&expected["side"]), count(&expected["channels"])), "{name}");
        let scale = float(&expected["largest"]);
        check_close(name, &[largest(&got.values)], &[scale], RELATIVE * scale);
        let mean = got.values.iter().map(|v| f64::from(v.abs())).sum::<f64>() / got.values.len() as f64;
        check_close(name, &[mean as f32], &[float(&expected["mean_absolute"])], 1e-5);
        let samples = every(&got.values, count(&expected["step"]));
        check_close(name, &samples, &floats(&expected["samples"]), RELATIVE * scale);
    }
}

#[test]
fn stem_and_stages_equal_torchvision() {
    check_stages(64);
    check_stages(97);
    check_stages(384);
}

#[test]
fn several_pictures_come_out_as_each_alone() {
    let (a, b) = (picture_by_formula(64), picture_by_formula(64).into_iter().rev().collect::<Vec<_>>());
    let both = [a.as_slice(), &b].concat();
    let together = network().forward_pictures(&both, 2, 64).expect("forward");
    let alone: Vec<_> = [a, b].iter().flat_map(|p| network().forward_pictures(p, 1, 64).expect("forward")).collect();
    assert_eq!(together, alone);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
    let elsewhere = pool.install(|| network().forward_pictures(&both, 2, 64)).expect("forward");
    assert_eq!(together, elsewhere, "the same on any number of threads");
    assert_ne!(together[0].logit, together[1].logit);
}

#[test]
fn wrong_input_is_an_error() {
    let text = network().forward_slices(&[0.0; 5], 1).unwrap_err().to_string();
    assert!(text.contains("1 pictures of 3 x 384 x 384 are not 5 values"), "{text}");
}

#[test]
fn a_broken_picture_gives_no_clean_number() {
    let mut picture = picture_by_formula(64);
    picture[1000] = f32::NAN;
    let slices = network().forward_pictures(&picture, 1, 64).expect("forward");
    assert!(slices[0].logit.is_nan());
}

#[track_caller]
fn check_sequence(units: usize) {
    let network = {
        let architecture = Architecture::paper(units);
        let weights = Weights::sequence_from_fn(&architecture, tensor_by_formula).expect("weights");
        Blstm::new(&architecture, &weights).expect("network")
    };
    let cases = golden()["sequence"].as_array().expect("cases").iter();
    let cases: Vec<_> = cases.filter(|case| count(&case["units"]) == units).collect();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let features = features_by_formula(count(&case["steps"]));
        let got = network.forward(&features).expect("forward");
        check_close("case logit", &[got.logit], &[float(&case["logit"])], 1e-5);
        let attribution = floats(&case["attribution"]);
        check_close("attribution", &got.attribution, &attribution, RELATIVE * largest(&attribution));
        let outputs = network.outputs(&features).expect("forward");
        assert_eq!(outputs.len(), features.len() * 2 * units);
        let outputs = every(&outputs, count(&case["outputs_step"]));
        check_close("outputs", &outputs, &floats(&case["outputs"]), 1e-5);
    }
}

#[test]
fn blstm_of_96_equals_pytorch() {
    check_sequence(96);
}

#[test]
fn blstm_of_128_equals_pytorch() {
    check_sequence(128);
}

#[test]
fn blstm_of_256_equals_pytorch() {
    check_sequence(256);
}

/// Pictures with something in them: a bright disc whose place and size change.
fn discs(pictures: usize) -> Vec<f32> {
    let side = 384;
    let disc = |picture: usize, channel: usize, i: usize| {
        let (x, y) = ((i % side) as f32, (i / side) as f32);
        let (cx, cy, r) = (100.0 + 60.0 * picture as f32, 190.0, 30.0 + 25.0 * picture as f32);
        let inside = (x - cx).powi(2) + (y - cy).powi(2) < r * r;
        if inside { 0.9 - 0.1 * channel as f32 } else { 0.3 + 0.1 * (x / 9.0 + channel as f32).sin() }
    };
    (0..pictures * 3 * side * side)
        .map(|i| disc(i / (3 * side * side), i / (side * side) % 3, i % (side * side)))
        .collect()
}

#[test]
fn untrained_network_says_so_and_shows_variety() {
    let planes = discs(2);
    let network = Network::untrained(11, 128, (2, &planes), DevicePreference::Cpu).expect("network");
    assert!(!network.card().trained);
    assert_eq!(network.card().trained_on, "untrained: the numbers mean nothing");
    assert_eq!(network.card().architecture, "ResNet-50 + BLSTM-128");
    let slices = network.forward_slices(&planes, 2).expect("forward");
    let logits: Vec<f32> = slices.iter().map(|slice| slice.logit).collect();
    let mean = logits.iter().sum::<f32>() / 2.0;
    let spread = (logits.iter().map(|z| (z - mean).powi(2)).sum::<f32>() / 2.0).sqrt();
    assert!((mean + 1.0).abs() < 1e-2 && (spread - 1.5).abs() < 1e-2, "{logits:?}");
    for slice in &slices {
        let warm = slice.cam.iter().filter(|&&v| v > 0.0).count();
        assert!((10..135).contains(&warm), "{warm} of 144 cells are warm");
    }
    let features: Vec<_> = slices.into_iter().map(|slice| slice.features).collect();
    let case = network.forward_case(&features).expect("case");
    assert!(case.logit.is_finite() && case.attribution.iter().all(|a| a.is_finite() && *a != 0.0));
}

#[test]
fn saved_weights_come_back_with_the_same_hash() {
    let card = ModelCard::from_json(ModelCard::template(&Architecture::paper(128), [0.1; 3], [0.2; 3])).expect("card");
    let weights = Weights::from_fn(&Architecture::paper(128), tensor_by_formula).expect("weights");
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("w.safetensors");
    let sha256 = weights.save(&card, &path).expect("saved");
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 1, "no temporary file is left");
    assert_eq!(weights.sha256(&card), sha256);
    assert_eq!(Weights::load(&path).expect("loaded"), (weights, card, sha256));
}

#[test]
fn a_device_that_is_not_there_falls_back_to_the_cpu() {
    if cfg!(any(feature = "cuda", target_os = "macos")) {
        eprintln!("SKIPPED: this build has an accelerator");
        return;
    }
    let card = ModelCard::from_json(ModelCard::template(&Architecture::paper(96), [0.5; 3], [0.5; 3])).expect("card");
    let weights =
        Weights::from_fn(&Architecture::paper(96), |_, shape| vec![0.01; shape.iter().product()]).expect("weights");
    let network = Network::from_weights(&weights, card, DevicePreference::Cuda).expect("network");
    assert_eq!(network.device_name(), "CPU");
    let note = network.device_note().expect("a note");
    assert!(note.contains("CUDA 0") && note.contains("CPU"), "{note}");
    assert_eq!(network_note_on_cpu(), None);
}

fn network_note_on_cpu() -> Option<&'static str> {
    network().device_note()
}
