use super::super::super::{DevicePreference, ModelCard, Network};
use super::super::differences::{check_gradient, scrambled};
use super::*;

const FEATURES: usize = 128;

fn architecture(pooling: Pooling) -> Architecture {
    Architecture::nano(8, pooling)
}

/// Three cases of different lengths, one of a single slice.
struct Example {
    features: [Vec<f32>; 3],
    logits: [Vec<f32>; 3],
}

impl Example {
    fn new() -> Self {
        let lengths = [(7, 1), (1, 2), (5, 3)];
        Self {
            features: lengths.map(|(steps, seed)| scrambled(steps * FEATURES, seed)),
            logits: lengths.map(|(steps, seed)| scrambled(steps, seed + 10)),
        }
    }

    fn cases(&self) -> [SequenceCase<'_>; 3] {
        std::array::from_fn(|i| SequenceCase { features: &self.features[i], logits: &self.logits[i] })
    }
}

const TARGETS: [f32; 3] = [1.0, 0.0, 1.0];
const WEIGHTS: [f32; 3] = [1.0, 2.0, 0.5];

/// A head of 0 would hide every gradient before it.
fn network(pooling: Pooling) -> TrainSequence {
    let mut network = TrainSequence::new(&architecture(pooling), 4).unwrap();
    network.parameters[HEAD].values = scrambled(16, 77).iter().map(|v| 2.0 * v).collect();
    network
}

#[track_caller]
fn check(pooling: Pooling) {
    let example = Example::new();
    let mut first = network(pooling);
    let run = |network: &mut TrainSequence| {
        network.gradients(&example.cases(), &TARGETS, &WEIGHTS, 0.3, &mut Stream::new(5, 5)).unwrap()
    };
    run(&mut first);
    let tensors = first.tensors();
    let other = std::cell::RefCell::new(network(pooling));
    for parameter in &first.parameters {
        let name = &parameter.name;
        // Wide enough for f32, short enough for the curves.
        check_gradient(name, &parameter.values, &parameter.gradient, 4e-3, |values| {
            let mut changed = tensors.clone();
            changed.insert(name.clone(), parameter.shape.clone(), values.to_vec());
            let mut other = other.borrow_mut();
            other.load_tensors(&changed).unwrap();
            run(&mut other).loss
        });
    }
}

#[test]
fn gradients_equal_differences_with_the_last_states() {
    check(Pooling::Last);
}

#[test]
fn gradients_equal_differences_with_the_mean() {
    check(Pooling::Mean);
}

#[test]
fn gradients_equal_differences_with_the_maximum() {
    check(Pooling::Max);
}

#[test]
fn gradients_equal_differences_with_attention() {
    check(Pooling::Attention);
}

#[test]
fn gradients_equal_differences_with_the_top_slices() {
    check(Pooling::TopkResidual);
}

/// A case among others is what it is alone, whatever their lengths.
#[test]
fn no_case_looks_at_another() {
    let example = Example::new();
    let network = network(Pooling::Last);
    let together = network.evaluate(&example.cases()).unwrap();
    let alone: Vec<f32> = example.cases().iter().flat_map(|case| network.evaluate(&[*case]).unwrap()).collect();
    assert_eq!(together, alone);
}

#[test]
fn top_slices_begin_as_their_mean() {
    let example = Example::new();
    let network = TrainSequence::new(&architecture(Pooling::TopkResidual), 1).unwrap();
    let got = network.evaluate(&example.cases()).unwrap();
    for (got, logits) in got.iter().zip(&example.logits) {
        let mut sorted = logits.clone();
        sorted.sort_by(f32::total_cmp);
        let top: Vec<f32> = sorted.into_iter().rev().take(3).collect();
        assert!((got - top.iter().sum::<f32>() / top.len() as f32).abs() < 1e-6);
    }
}

/// With each pooling, trained weights run in the same way in the finished network, raw features folded in; the attribution is the
/// slope when a slice's features are stretched.
#[test]
fn inference_gives_the_same_logit_and_an_honest_attribution() {
    let (mean, std) = (scrambled(FEATURES, 20), scrambled(FEATURES, 21).iter().map(|v| v + 1.0).collect::<Vec<_>>());
    let raw = scrambled(6 * FEATURES, 22);
    let scaled: Vec<f32> = raw.iter().enumerate().map(|(i, v)| (v - mean[i % FEATURES]) / std[i % FEATURES]).collect();
    for pooling in Pooling::ALL {
        let architecture = architecture(pooling);
        let sequence = network(pooling);
        let mut folded = sequence.tensors();
        fold_feature_scaling(&mut folded, &mean, &std).unwrap();
        let weights = Weights::from_fn(&architecture, |name, shape| match folded.values(name) {
            Ok(values) => values.to_vec(),
            Err(_) => drawn(8, &architecture, name, shape),
        })
        .unwrap();
        let (fc, fc_bias) =
            (weights.tensor("backbone.fc.weight").unwrap(), weights.tensor("backbone.fc.bias").unwrap());
        let logits: Vec<f32> = raw.chunks_exact(FEATURES).map(|row| dot(row, fc) + fc_bias[0]).collect();
        let expected = sequence.evaluate(&[SequenceCase { features: &scaled, logits: &logits }]).unwrap()[0];
        let card = ModelCard::from_json(ModelCard::template(&architecture, [0.5; 3], [0.5; 3])).unwrap();
        let network = Network::from_weights(&weights, card, DevicePreference::Cpu).unwrap();
        let features: Vec<Vec<f32>> = raw.chunks_exact(FEATURES).map(<[f32]>::to_vec).collect();
        let case = network.forward_case(&features).unwrap();
        assert!((case.logit - expected).abs() < 1e-4, "{pooling:?}: {} against {expected}", case.logit);
        for slice in 0..6 {
            let stretched = |factor: f32| {
                let mut changed = features.clone();
                changed[slice].iter_mut().for_each(|v| *v *= factor);
                f64::from(network.forward_case(&changed).unwrap().logit)
            };
            let slope = (stretched(1.004) - stretched(0.996)) / 0.008;
            let got = f64::from(case.attribution[slice]);
            assert!((got - slope).abs() < 2e-3 + 0.02 * slope.abs(), "{pooling:?} {slice}: {got} against {slope}");
        }
    }
}

#[test]
fn learns_to_tell_two_kinds_apart_and_goes_on_after_a_pause() {
    let mut one = TrainSequence::new(&architecture(Pooling::Mean), 3).unwrap();
    one.set_optimiser(AdamOptions { weight_decay: 0.01, clip_norm: Some(1.0), ..AdamOptions::default() });
    let example = Example::new();
    let mut first = None;
    for _ in 0..30 {
        let batch = one.gradients(&example.cases(), &TARGETS, &[1.0; 3], 0.0, &mut Stream::new(1, 1)).unwrap();
        first.get_or_insert(batch.loss);
        one.step(0.01);
    }
    let mut other = TrainSequence::new(&architecture(Pooling::Mean), 9).unwrap();
    other.set_optimiser(one.options);
    other.load_tensors(&one.tensors()).unwrap();
    other.load_optimiser_state(&one.optimiser_state()).unwrap();
    for network in [&mut one, &mut other] {
        let batch = network.gradients(&example.cases(), &TARGETS, &[1.0; 3], 0.5, &mut Stream::new(2, 2)).unwrap();
        assert!(batch.loss < 0.5 * first.unwrap(), "{} after {first:?}", batch.loss);
        network.step(0.01);
    }
    assert!(one.parameters == other.parameters);
}

#[test]
fn what_does_not_fit_is_refused() {
    let example = Example::new();
    let short = SequenceCase { features: &example.features[0][1..], logits: &example.logits[0] };
    let text = network(Pooling::Last).evaluate(&[short]).unwrap_err().to_string();
    assert!(text.contains("case 1 of the batch has 7 slices and 895 values"), "{text}");
    let text = fold_feature_scaling(&mut network(Pooling::Last).tensors(), &[0.0], &[1.0]).unwrap_err().to_string();
    assert!(text.contains("1 features for weights of 128"), "{text}");
}

#[test]
fn the_prior_is_what_the_cases_have() {
    let example = Example::new();
    let mut network = TrainSequence::new(&architecture(Pooling::TopkResidual), 4).unwrap();
    network.fit_prior(&example.cases(), 0.4).unwrap();
    let logits = network.evaluate(&example.cases()).unwrap();
    let mean = logits.iter().map(|&z| 1.0 / (1.0 + libm::exp(-f64::from(z)))).sum::<f64>() / 3.0;
    assert!((mean - 0.4).abs() < 1e-5, "{mean}");
    let mut other = TrainSequence::new(&architecture(Pooling::Mean), 4).unwrap();
    let before = other.tensors();
    other.fit_prior(&example.cases(), 0.4).unwrap();
    assert_eq!(other.tensors(), before);
}
