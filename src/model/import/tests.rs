//! Names, channels and refusals, on files made here.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::*;
use crate::model::Pooling;

fn told() -> Value {
    json!({
        "recipe": "spine/1", "input": {"mean": [0.1, 0.2, 0.3], "std": [0.2, 0.2, 0.2]},
        "output": {"threshold": 0.4}, "training": {"on": "a test's numbers"}
    })
}

fn network() -> Architecture {
    Architecture::nano(16, Pooling::Last)
}

/// A whole network as PyTorch would save it under `prefix`, without the names that `skip` names.
fn state(prefix: &str, skip: impl Fn(&str) -> bool) -> HashMap<String, Tensor> {
    let drawn = |name: &str, shape: &[usize]| init::drawn(7, &network(), name, shape);
    Weights::layout(&network())
        .into_iter()
        .filter(|(name, _)| !skip(name))
        .map(|(name, shape)| {
            let tensor = Tensor::from_vec(drawn(&name, &shape), shape, &Device::Cpu).expect("a tensor");
            let foreign = name.strip_prefix("backbone.").map_or(name.clone(), |rest| format!("{prefix}{rest}"));
            (foreign, tensor)
        })
        .collect()
}

fn saved(tensors: HashMap<String, Tensor>) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    candle_core::safetensors::save(&tensors, file.path()).expect("written");
    file
}

fn options() -> ImportOptions {
    ImportOptions { card: told(), ..ImportOptions::default() }
}

#[test]
fn prefixes_come_off_and_the_values_are_the_same() {
    let file = saved(state("module.encoder.", |_| false));
    let (weights, card, report) = import(file.path(), &network(), &options()).expect("imported");
    assert_eq!((report.taken, report.filled.len(), report.unused.len()), (Weights::layout(&network()).len(), 0, 0));
    for (name, shape) in Weights::layout(&network()) {
        assert_eq!(weights.tensor(&name).expect("there"), init::drawn(7, &network(), &name, &shape), "{name}");
    }
    assert!(card.trained && card.trained_on == "a test's numbers" && card.recipe == "spine/1");
    assert_eq!(card.json["parent"]["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn what_does_not_match_is_named_both_ways() {
    let mut tensors = state("", |name| name.contains("layer2.0.bn1.running_var") || name.starts_with("head"));
    tensors.insert("neck.weight".into(), Tensor::zeros(3, DType::F32, &Device::Cpu).expect("zeros"));
    let file = saved(tensors);
    let text = import(file.path(), &network(), &options()).expect_err("refused").to_string();
    assert!(text.contains("backbone.layer2.0.bn1.running_var is missing") && text.contains("head.weight"), "{text}");
    assert!(text.contains("backbone.neck.weight"), "{text}");
    // A batch norm's buffers are never made up.
    let fill = ImportOptions { fill: true, ..options() };
    let text = import(file.path(), &network(), &fill).expect_err("refused").to_string();
    assert!(text.contains("running_var is missing") && !text.contains("head.weight is missing"), "{text}");
}

#[test]
fn a_backbone_alone_is_filled_on_request_and_counts_as_untrained() {
    let mut tensors = state("", |name| !name.starts_with("backbone.") || name.contains("fc."));
    tensors.insert("fc.weight".into(), Tensor::zeros((1000, 128), DType::F32, &Device::Cpu).expect("zeros"));
    let file = saved(tensors);
    let text = import(file.path(), &network(), &options()).expect_err("refused").to_string();
    assert!(text.contains("--fill"), "{text}");
    let (_, card, report) =
        import(file.path(), &network(), &ImportOptions { fill: true, ..options() }).expect("imported");
    assert!(!card.trained && report.filled.iter().any(|name| name == "backbone.fc.weight"));
    assert!(report.notes.iter().any(|note| note.contains("1000 classes")), "{:?}", report.notes);
}

#[test]
fn channels_are_repeated_and_reordered() {
    assert_eq!(inflated(&[3.0, 6.0], 2, 1, 1), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    let order = channel_order(&["bone", "gross-bone", "soft-tissue"].map(String::from)).expect("known");
    assert_eq!(reordered(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 1, order), [3.0, 1.0, 2.0, 6.0, 4.0, 5.0]);
    assert!(channel_order(&["bone".into()]).expect_err("too few").contains("soft-tissue"));
}

#[test]
fn names_of_other_programs() {
    for (foreign, ours) in [
        ("module.model.layer1.0.conv2.weight", "backbone.layer1.0.conv2.weight"),
        ("_orig_mod.backbone.bn1.running_mean", "backbone.bn1.running_mean"),
        ("last_linear.bias", "backbone.fc.bias"),
        ("model.fc.1.weight", "backbone.fc.weight"),
        ("module.lstm.weight_hh_l0_reverse", "lstm.weight_hh_l0_reverse"),
        ("resnet.embedder.embedder.convolution.weight", "backbone.conv1.weight"),
        ("resnet.encoder.stages.2.layers.4.layer.1.normalization.bias", "backbone.layer3.4.bn2.bias"),
        ("resnet.encoder.stages.0.layers.0.shortcut.convolution.weight", "backbone.layer1.0.downsample.0.weight"),
        ("classifier.1.weight", "backbone.fc.weight"),
    ] {
        assert_eq!(our_name(foreign), ours);
    }
}

#[test]
fn files_that_cannot_be_read_say_what_to_do() {
    let written = |bytes: &[u8]| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        import(file.path(), &network(), &options()).expect_err("refused").to_string()
    };
    assert!(written(&[0x80, 2, 0x8a, 10, 0x6c]).contains("save_file(state"));
    assert!(written(b"PK\x03\x04rest").contains("save_file(state"));
    assert!(written(b"not a weight file at all").contains("neither a safetensors file"));
    let file = saved(state("", |_| false));
    let text = import(file.path(), &network(), &ImportOptions::default()).expect_err("no card").to_string();
    assert!(text.contains("/input/mean"), "{text}");
}
