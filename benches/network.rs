//! One slice through the backbone on the CPU, with as many threads as an analysis takes. How that stands beside other
//! engines is told by `benches/peers`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use dens::inference::default_threads;
use dens::model::{Architecture, DevicePreference, ModelCard, Network, Pooling, Weights};

/// Weights that keep activations alive through all layers; their values do not matter for the time.
fn network(architecture: &Architecture, device: DevicePreference) -> Network {
    let weights = Weights::from_fn(architecture, |name, shape| {
        let length: usize = shape.iter().product();
        let depth = (length / shape.first().copied().unwrap_or(1)).max(1) as f32;
        match name.rsplit('.').next() {
            Some("running_var") => vec![1.0; length],
            Some("weight") if shape.len() == 1 => vec![1.0; length],
            _ => (0..length).map(|i| (i as f32 * 12.9898).sin() / depth.sqrt()).collect(),
        }
    })
    .expect("weights of the right shape");
    let card = ModelCard::from_json(ModelCard::template(architecture, [0.4; 3], [0.3; 3])).expect("a card");
    Network::from_weights(&weights, card, device).expect("a network")
}

fn forward(criterion: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(default_threads()).build().expect("threads");
    let mut group = criterion.benchmark_group(format!("slices, {} threads", default_threads()));
    group.sample_size(10).throughput(Throughput::Elements(1));
    let architectures =
        [("ResNet-50", Architecture::paper(128)), ("nano", Architecture::nano(64, Pooling::TopkResidual))];
    for (name, architecture) in architectures {
        let side = architecture.input_side;
        let planes: Vec<f32> = (0..3 * side * side).map(|i| 0.5 + 0.5 * (i as f32 * 0.013).sin()).collect();
        for device in [DevicePreference::Cpu, DevicePreference::CpuHalf] {
            let network = network(&architecture, device);
            let label = format!("{side} x {side}, {}", network.device_name());
            group.bench_function(BenchmarkId::new(name, label), |bencher| {
                pool.install(|| bencher.iter(|| black_box(network.forward_slices(&planes, 1).expect("a slice"))));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
