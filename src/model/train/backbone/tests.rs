use super::super::super::Pooling;
use super::super::differences::scrambled;
use super::*;

const SIDE: usize = 64;

fn small() -> Architecture {
    Architecture { input_side: SIDE, ..Architecture::nano(16, Pooling::Last) }
}

/// Bright squares in the left or right half.
fn example(count: usize) -> (Vec<f32>, Vec<f32>) {
    let mut pictures = scrambled(count * 3 * SIDE * SIDE, 7);
    let mut targets = Vec::new();
    for (index, picture) in pictures.chunks_exact_mut(3 * SIDE * SIDE).enumerate() {
        let positive = index % 2 == 0;
        targets.push(f32::from(u8::from(positive)));
        if positive {
            let (top, left) = (5 + 7 * index % 40, 3 + 11 * index % 40);
            for i in 0..3 * 64 {
                picture[i / 64 * SIDE * SIDE + (top + i % 64 / 8) * SIDE + left + i % 8] += 2.0;
            }
        }
    }
    (pictures, targets)
}

fn trained(threads: usize, steps: usize) -> TrainBackbone {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut network = TrainBackbone::new(&small(), 1, DevicePreference::Cpu).unwrap();
        let (pictures, targets) = example(10);
        let mut rng = Stream::named(1, "dropout", 0);
        for _ in 0..steps {
            network.gradients(&pictures, &targets, &[1.0; 10], 0.2, &mut rng, None).unwrap();
            network.step(1e-3).unwrap();
        }
        network
    })
}

#[test]
fn learns_and_is_the_same_on_any_number_of_threads() {
    let (one, three) = (trained(1, 20), trained(3, 20));
    assert!(one.parameters == three.parameters && one.layers.running() == three.layers.running());
    let (pictures, targets) = example(10);
    let mut one = one;
    let last = one.gradients(&pictures, &targets, &[1.0; 10], 0.0, &mut Stream::new(1, 1), None).unwrap();
    assert!(last.loss < 0.2, "{}", last.loss);
}

#[test]
fn a_stored_state_goes_on_to_the_last_bit() {
    let mut whole = trained(2, 3);
    let mut resumed = TrainBackbone::new(&small(), 99, DevicePreference::Cpu).unwrap();
    resumed.load_tensors(&whole.tensors().unwrap()).unwrap();
    resumed.load_optimiser_state(&whole.optimiser_state().unwrap()).unwrap();
    let (pictures, targets) = example(10);
    for network in [&mut whole, &mut resumed] {
        network.gradients(&pictures, &targets, &[1.0; 10], 0.5, &mut Stream::new(4, 4), None).unwrap();
        network.step(1e-3).unwrap();
    }
    assert!(whole.parameters == resumed.parameters && whole.layers.running() == resumed.layers.running());
}

/// What was trained is what [`Network`] runs afterwards.
///
/// [`Network`]: super::super::super::Network
#[test]
fn evaluation_equals_inference() {
    use super::super::super::{ModelCard, Network, TrainSequence};
    let network = small();
    let backbone = trained(2, 3);
    let (pictures, _) = example(3);
    let evaluated = backbone.evaluate(&pictures, 3).unwrap();
    let mut tensors = backbone.tensors().unwrap();
    tensors.absorb("", TrainSequence::new(&network, 1).unwrap().tensors());
    let weights = Weights::from_tensors(&network, &tensors).unwrap();
    let card = ModelCard::from_json(ModelCard::template(&network, [0.0; 3], [1.0; 3])).unwrap();
    let inference = Network::from_weights(&weights, card, DevicePreference::Cpu).unwrap();
    for (got, expected) in inference.forward_slices(&pictures, 3).unwrap().iter().zip(&evaluated) {
        assert!((got.logit - expected.logit).abs() < 1e-4, "{} against {}", got.logit, expected.logit);
        assert_eq!((got.features.len(), got.cam_size), (128, 2));
        assert!(got.features.iter().zip(&expected.features).all(|(a, b)| (a - b).abs() < 1e-4));
    }
    assert_eq!(TrainBackbone::from_weights(&network, &weights, DevicePreference::Cpu).unwrap().tensors().unwrap(), {
        backbone.tensors().unwrap()
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut network = trained(1, 0);
    let rng = &mut Stream::new(1, 1);
    let text = network.gradients(&[0.0; 7], &[1.0], &[1.0], 0.0, rng, None).unwrap_err().to_string();
    assert!(text.contains("1 pictures of 3 x 64 x 64 are not 7 values"), "{text}");
    let text = network.load_tensors(&NamedTensors::default()).unwrap_err().to_string();
    assert!(text.contains("backbone.bn1.running_mean"), "{text}");
}

/// The head that learns places changes what the layers learn, is stored with them, and stays out of a weight file.
#[test]
fn places_are_learned_beside_the_slices() {
    let (pictures, targets) = example(10);
    let mut plain = trained(2, 2);
    let mut placed = TrainBackbone::new(&small(), 1, DevicePreference::Cpu).unwrap();
    placed.learn_places();
    let cells = placed.cells_per_edge() * placed.cells_per_edge();
    let places = Places { targets: (0..10 * cells).map(|at| (at % 3) as f32 - 1.0).collect(), weight: 1.0 };
    let mut rng = Stream::named(1, "dropout", 0);
    for _ in 0..2 {
        placed.gradients(&pictures, &targets, &[1.0; 10], 0.2, &mut rng, Some(&places)).unwrap();
        placed.step(1e-3).unwrap();
    }
    let tensors = placed.tensors().unwrap();
    assert!(tensors.values("local.weight").unwrap().iter().any(|&w| w != 0.0));
    assert!(
        tensors.values("backbone.conv1.weight").unwrap()
            != plain.tensors().unwrap().values("backbone.conv1.weight").unwrap()
    );
    plain.learn_places();
    plain.load_tensors(&tensors).unwrap();
    assert!(plain.tensors().unwrap() == tensors);
    let short = Places { targets: vec![0.0; 3], weight: 1.0 };
    let error = placed.gradients(&pictures, &targets, &[1.0; 10], 0.2, &mut rng, Some(&short)).unwrap_err();
    assert!(error.to_string().contains("3 targets"), "{error}");
}

#[test]
fn looking_moves_the_running_statistics_as_a_step_does_and_nothing_else() {
    let (mut looked, mut stepped) = (trained(2, 2), trained(2, 2));
    let (pictures, targets) = example(10);
    let before = looked.parameters.clone();
    looked.observe(&pictures, 10).unwrap();
    stepped.gradients(&pictures, &targets, &[1.0; 10], 0.0, &mut Stream::new(1, 1), None).unwrap();
    assert!(looked.layers.running() == stepped.layers.running());
    assert!(looked.parameters == before && looked.layers.running() != trained(2, 2).layers.running());
    assert!(looked.observe(&pictures, 9).is_err());
}
