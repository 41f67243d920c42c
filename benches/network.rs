//! One slice through the backbone on the CPU, with as many threads as an analysis takes. How that stands beside other
//! engines is told by `benches/peers`.

use std::hint::black_box;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{BatchNorm, Conv2d, Conv2dConfig, Module, ModuleT, VarBuilder, VarMap, batch_norm, conv2d_no_bias};
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

/// ResNet-50 as one writes it with candle's own layers: what ours is measured by.
struct CandleResnet {
    stem: (Conv2d, BatchNorm),
    blocks: Vec<CandleBlock>,
}

struct CandleBlock {
    own: Vec<(Conv2d, BatchNorm)>,
    shortcut: Option<(Conv2d, BatchNorm)>,
}

fn layer(channels: [usize; 2], kernel: usize, stride: usize, at: VarBuilder<'_>) -> Result<(Conv2d, BatchNorm)> {
    let config = Conv2dConfig { stride, padding: kernel / 2, ..Conv2dConfig::default() };
    Ok((
        conv2d_no_bias(channels[0], channels[1], kernel, config, at.pp("conv"))?,
        batch_norm(channels[1], 1e-5, at.pp("norm"))?,
    ))
}

fn through((conv, norm): &(Conv2d, BatchNorm), maps: &Tensor) -> Result<Tensor> {
    norm.forward_t(&conv.forward(maps)?, false)
}

impl CandleResnet {
    fn new(at: VarBuilder<'_>) -> Result<Self> {
        let stem = layer([3, 64], 7, 2, at.pp("stem"))?;
        let (mut blocks, mut channels) = (Vec::new(), 64);
        for (stage, count) in [3, 4, 6, 3].into_iter().enumerate() {
            let width = 64 << stage;
            for block in 0..count {
                let at = at.pp(format!("{stage}.{block}"));
                let stride = if block == 0 && stage > 0 { 2 } else { 1 };
                let own = vec![
                    layer([channels, width], 1, 1, at.pp("1"))?,
                    layer([width, width], 3, stride, at.pp("2"))?,
                    layer([width, 4 * width], 1, 1, at.pp("3"))?,
                ];
                let shortcut =
                    (block == 0).then(|| layer([channels, 4 * width], 1, stride, at.pp("short"))).transpose()?;
                blocks.push(CandleBlock { own, shortcut });
                channels = 4 * width;
            }
        }
        Ok(Self { stem, blocks })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let stem = through(&self.stem, input)?.relu()?;
        let mut maps = stem.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?.max_pool2d_with_stride(3, 2)?;
        for CandleBlock { own, shortcut } in &self.blocks {
            let [first, second, third] = own.as_slice() else { unreachable!("three layers") };
            let inner = through(second, &through(first, &maps)?.relu()?)?.relu()?;
            let beside = shortcut.as_ref().map_or_else(|| Ok(maps.clone()), |layer| through(layer, &maps))?;
            maps = (through(third, &inner)? + beside)?.relu()?;
        }
        maps.mean((2, 3))
    }
}

fn candle_as_shipped(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slices, candle's own layers, all threads");
    group.sample_size(10).throughput(Throughput::Elements(1));
    let variables = VarMap::new();
    let network = CandleResnet::new(VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu)).expect("layers");
    let input = Tensor::rand(0f32, 1.0, (1, 3, 384, 384), &Device::Cpu).expect("a picture");
    group.bench_function("ResNet-50, 384 x 384", |bencher| {
        bencher.iter(|| black_box(network.forward(&input).expect("features")));
    });
    group.finish();
}

criterion_group!(benches, forward, candle_as_shipped);
criterion_main!(benches);
