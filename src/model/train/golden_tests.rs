//! Loss, gradients, batch-norm buffers and optimiser steps against PyTorch, for weights and inputs given by formula.
//! `tests/fixtures/model/make_training_golden.py` made the expected values and holds the same formula.

use serde_json::Value;

use super::super::architecture::{Block, Plan};
use super::super::{Architecture, Pooling};
use super::optimiser::{AdamOptions, Parameter, adam};
use super::{NamedTensors, SequenceCase, TrainBackbone, TrainSequence, step_decay};
use crate::random::{Stream, key_of, scramble};

/// Share of the largest value that a value may be off by.
const RELATIVE: f32 = 1e-4;
const TARGETS: [f32; 3] = [1.0, 0.0, 1.0];
const WEIGHTS: [f32; 3] = [1.0, 2.0, 0.5];

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/model/training.json")).unwrap()
}

fn fractions(name: &str, count: usize) -> impl Iterator<Item = f32> + use<> {
    let key = key_of(name);
    (0..count as u64).map(move |index| (scramble(key ^ index) >> 40) as f32 / (1 << 24) as f32)
}

fn by_formula(name: &str, shape: &[usize]) -> Vec<f32> {
    let fractions = fractions(name, shape.iter().product());
    if shape.len() > 1 {
        let width = (6.0 / shape[1..].iter().product::<usize>() as f32).sqrt();
        return fractions.map(|f| (f - 0.5) * width).collect();
    }
    let about_one = name.ends_with("running_var") || (name.ends_with(".weight") && name.starts_with("backbone."));
    if about_one { fractions.map(|f| f + 0.5).collect() } else { fractions.map(|f| (f - 0.5) * 0.1).collect() }
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

#[track_caller]
fn check_close(what: &str, got: &[f32], expected: &[f32], allowed: f32) {
    assert_eq!(got.len(), expected.len(), "{what}: number of values");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= allowed, "{what} [{index}]: {got} instead of {expected}, allowed {allowed}");
    }
}

/// Every tensor that PyTorch named, by its largest and mean absolute value and some elements.
#[track_caller]
fn check_tensors(got: &NamedTensors, expected: &Value) {
    for (name, expected) in expected.as_object().unwrap() {
        let got = got.values(name).unwrap();
        let number = |key: &str| expected[key].as_f64().unwrap() as f32;
        let largest = got.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        check_close(name, &[largest], &[number("largest")], RELATIVE * number("largest"));
        let mean = got.iter().map(|v| f64::from(v.abs())).sum::<f64>() / got.len() as f64;
        check_close(name, &[mean as f32], &[number("mean_absolute")], RELATIVE * number("mean_absolute"));
        let samples: Vec<f32> = got.iter().copied().step_by(number("step") as usize).collect();
        check_close(name, &samples, &floats(&expected["samples"]), RELATIVE * number("largest"));
    }
}

#[track_caller]
fn check_backbone(block: Block) {
    let side = 39;
    let expected = golden()["backbone"][usize::from(block == Block::Bottleneck)].clone();
    let network = Architecture { input_side: side, ..Architecture::nano(16, Pooling::Last) };
    let plan = Plan { block, blocks: [1; 4], width: 8 };
    let mut backbone = TrainBackbone::with_plan(&network, &plan, |name, shape| Ok(by_formula(name, shape))).unwrap();
    let pictures: Vec<f32> = fractions("training.pictures", 3 * 3 * side * side).map(|f| f - 0.5).collect();
    let batch = backbone.gradients(&pictures, &TARGETS, &WEIGHTS, 0.0, &mut Stream::new(1, 1), None).unwrap();
    assert!((batch.loss - expected["loss"].as_f64().unwrap()).abs() < 1e-5, "loss {}", batch.loss);
    check_close("logits", &batch.logits, &floats(&expected["logits"]), 1e-4);
    check_tensors(&backbone.last_gradients(), &expected["gradients"]);
    check_tensors(&backbone.tensors().unwrap(), &expected["buffers"]);
}

#[test]
fn basic_blocks_equal_pytorch() {
    check_backbone(Block::Basic);
}

#[test]
fn bottlenecks_equal_pytorch() {
    check_backbone(Block::Bottleneck);
}

#[test]
fn packed_sequences_equal_pytorch() {
    let expected = &golden()["sequence"];
    let network = Architecture { units: 5, ..Architecture::nano(8, Pooling::Last) };
    let mut sequence = TrainSequence::with_values(&network, |name, shape| Ok(by_formula(name, shape))).unwrap();
    let features = [7, 3, 5]
        .map(|steps| fractions(&format!("training.case.{steps}"), steps * 128).map(|f| f - 0.5).collect::<Vec<f32>>());
    let zeros = [0.0; 7];
    let cases: Vec<SequenceCase<'_>> =
        features.iter().map(|f| SequenceCase { features: f, logits: &zeros[..f.len() / 128] }).collect();
    let batch = sequence.gradients(&cases, &TARGETS, &WEIGHTS, 0.0, &mut Stream::new(1, 1)).unwrap();
    assert!((batch.loss - expected["loss"].as_f64().unwrap()).abs() < 1e-6, "loss {}", batch.loss);
    check_close("logits", &batch.logits, &floats(&expected["logits"]), 1e-5);
    check_tensors(&sequence.last_gradients(), &expected["gradients"]);
}

#[test]
fn adam_and_step_decay_equal_pytorch() {
    for case in golden()["optimiser"].as_array().unwrap() {
        let options = AdamOptions { weight_decay: case["decay"].as_f64().unwrap(), ..AdamOptions::default() };
        let shape = vec![4, 3];
        let values = by_formula("training.parameter", &shape);
        let mut parameters = [Parameter::new("p".into(), shape.clone(), values)];
        let mut steps = 0;
        for (step, after) in case["after"].as_array().unwrap().iter().enumerate() {
            let rate = step_decay(0.1, step, 1, 0.2);
            assert!((rate - case["rates"][step].as_f64().unwrap()).abs() < 1e-12);
            parameters[0].gradient = by_formula(&format!("training.gradient.{step}"), &shape);
            adam(&mut parameters, &options, &mut steps, rate);
            check_close("parameter", &parameters[0].values, &floats(after), 1e-6);
        }
    }
}
