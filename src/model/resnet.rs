//! Residual networks as torchvision lays them out (stride on the 3 x 3 convolution), one logit.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::architecture::{Block, Plan};
use super::checkpoint::Weights;
use super::conv::{self, CandleConv, Norm};
use super::cpu::{self, Extent, Folded, Precision};
use super::gradcam::{self, ReadOut};
use super::{Activation, Architecture, ModelError, SliceForward};

/// Length of ResNet-50's vector after global average pooling.
pub const FEATURES: usize = 2048;
/// Pictures at a time on a GPU.
const DEVICE_BATCH: usize = 8;
/// Pictures at a time on the CPU at most, each on threads of its own: threads that share one wait for each other after every
/// layer. Each picture more takes about 40 MB for ResNet-50 at 384 x 384.
const CPU_BATCH: usize = 4;

/// One of the convolutions (53 in ResNet-50) and the batch norm behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConvShape {
    /// Name of the weight tensor.
    pub(super) name: String,
    /// Prefix of the batch norm's tensors.
    pub(super) norm: String,
    pub(super) channels_in: usize,
    pub(super) channels_out: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

#[cfg(test)]
impl ConvShape {
    /// One that stands in no network, padded so that with stride 1 the picture keeps its size.
    pub(super) fn for_tests(channels: [usize; 2], kernel: usize, stride: usize) -> Self {
        Self {
            name: "test".into(),
            norm: String::new(),
            channels_in: channels[0],
            channels_out: channels[1],
            kernel,
            stride,
            padding: kernel / 2,
        }
    }
}

/// All convolutions in the order in which [`walk`] numbers them: in each block those of its own path, then the shortcut's.
pub(super) fn conv_shapes(plan: &Plan) -> Vec<ConvShape> {
    let shape = |conv: String, norm: String, channels: [usize; 2], kernel: usize, stride: usize| ConvShape {
        name: format!("backbone.{conv}.weight"),
        norm: format!("backbone.{norm}"),
        channels_in: channels[0],
        channels_out: channels[1],
        kernel,
        stride,
        padding: kernel / 2,
    };
    let mut all = vec![shape("conv1".into(), "bn1".into(), [3, plan.width], 7, 2)];
    let mut channels = plan.width;
    for (stage, blocks) in plan.blocks.into_iter().enumerate() {
        let width = plan.width << stage;
        let wide = width * plan.block.expansion();
        for block in 0..blocks {
            let at = format!("layer{}.{block}", stage + 1);
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            let own: Vec<([usize; 2], usize, usize)> = match plan.block {
                Block::Basic => vec![([channels, width], 3, stride), ([width, width], 3, 1)],
                Block::Bottleneck => {
                    vec![([channels, width], 1, 1), ([width, width], 3, stride), ([width, wide], 1, 1)]
                }
            };
            for (n, (pair, kernel, stride)) in (1..).zip(own) {
                all.push(shape(format!("{at}.conv{n}"), format!("{at}.bn{n}"), pair, kernel, stride));
            }
            if stride > 1 || channels != wide {
                let (conv, norm) = (format!("{at}.downsample.0"), format!("{at}.downsample.1"));
                all.push(shape(conv, norm, [channels, wide], 1, stride));
            }
            channels = wide;
        }
    }
    all
}

/// What [`walk`] does at each layer; the network's wiring itself is written once, in `walk`.
pub(super) trait Layers {
    type Maps: Clone;
    type Error;
    /// Convolution `index` of [`conv_shapes`] with its batch norm, then `+ residual`, then ReLU.
    fn conv(
        &mut self,
        index: usize,
        input: &Self::Maps,
        residual: Option<Self::Maps>,
        relu: bool,
    ) -> std::result::Result<Self::Maps, Self::Error>;
    /// The end of a block whose output has another shape than its input: convolution `own` of `inner` and convolution `shortcut`
    /// of the block's input, added, then ReLU.
    fn end_of_block(
        &mut self,
        [own, shortcut]: [usize; 2],
        inner: &Self::Maps,
        input: &Self::Maps,
    ) -> std::result::Result<Self::Maps, Self::Error> {
        let shortcut = self.conv(shortcut, input, None, false)?;
        self.conv(own, inner, Some(shortcut), true)
    }
    fn max_pool(&mut self, input: &Self::Maps) -> std::result::Result<Self::Maps, Self::Error>;
    /// Called with the output of the stem (`stem`) and of every block (`layer1.0` to `layer4.2`).
    fn reached(&mut self, _name: &str, _maps: &Self::Maps) -> std::result::Result<(), Self::Error> {
        Ok(())
    }
}

/// Runs the input through everything up to the last block's ReLU.
pub(super) fn walk<L: Layers>(plan: &Plan, layers: &mut L, input: &L::Maps) -> std::result::Result<L::Maps, L::Error> {
    let stem = layers.conv(0, input, None, true)?;
    let mut maps = layers.max_pool(&stem)?;
    layers.reached("stem", &maps)?;
    let own = match plan.block {
        Block::Basic => 2,
        Block::Bottleneck => 3,
    };
    let mut index = 1;
    let mut channels = plan.width;
    for (stage, blocks) in plan.blocks.into_iter().enumerate() {
        let wide = (plan.width << stage) * plan.block.expansion();
        for block in 0..blocks {
            let mut inner = layers.conv(index, &maps, None, true)?;
            for middle in 1..own - 1 {
                inner = layers.conv(index + middle, &inner, None, true)?;
            }
            let downsamples = (block == 0 && stage > 0) || channels != wide;
            let last = index + own - 1;
            maps = match downsamples {
                true => layers.end_of_block([last, last + 1], &inner, &maps)?,
                false => layers.conv(last, &inner, Some(maps), true)?,
            };
            layers.reached(&format!("layer{}.{block}", stage + 1), &maps)?;
            index += if downsamples { own + 1 } else { own };
            channels = wide;
        }
    }
    Ok(maps)
}

/// The backbone on its device.
pub(super) struct Resnet {
    plan: Plan,
    place: Place,
    fc_weight: Vec<f32>,
    fc_bias: f32,
}

enum Place {
    Cpu(cpu::Backbone),
    /// By candle's own operations.
    Device(Device, Vec<CandleConv>),
}

/// Where the backbone shall run.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Cpu(Precision),
    Device(&'a Device),
}

/// Inputs of one size with what the card says of their scale.
#[derive(Clone, Copy)]
pub(super) struct Pictures<'a> {
    /// `count * 3 * side * side`, windowed, 0..=1.
    pub(super) planes: &'a [f32],
    pub(super) count: usize,
    pub(super) side: usize,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
}

impl<'a> Pictures<'a> {
    fn batches(self, batch: usize) -> impl Iterator<Item = Self> + use<'a> {
        let size = 3 * self.side * self.side;
        self.planes.chunks(batch * size).map(move |planes| Pictures { planes, count: planes.len() / size, ..self })
    }

    fn extent(self) -> Extent {
        Extent::new(self.side, self.side, 3)
    }

    /// For the first of them: a row, as [`write_row`] has it.
    fn row_writer(self) -> impl Fn(usize, usize, &mut [f32]) + Sync {
        let Self { planes, side, mean, std, .. } = self;
        move |row, pixel_values, line| write_row((planes, side), mean, std, row, pixel_values, line)
    }

    fn on_device(self, device: &Device) -> Result<Tensor> {
        Tensor::from_vec(normalised(self), (self.count, 3, self.side, self.side), device)
    }
}

impl Resnet {
    pub(super) fn new(
        network: &Architecture,
        weights: &Weights,
        target: Target<'_>,
    ) -> std::result::Result<Self, ModelError> {
        let plan = network.backbone.plan();
        let shapes = conv_shapes(&plan);
        let parts: Vec<(&[f32], Norm<'_>)> = shapes
            .iter()
            .map(|shape| Ok((weights.tensor(&shape.name)?, norm_of(weights, shape)?)))
            .collect::<std::result::Result<_, ModelError>>()?;
        let layers = shapes.iter().zip(parts);
        let place = match target {
            Target::Cpu(precision) => {
                let folded = layers.map(|(shape, (weight, norm))| {
                    let (scale, shift) = norm.folded();
                    (shape, Folded { weight, scale, shift })
                });
                Place::Cpu(cpu::Backbone::new(folded, precision))
            }
            Target::Device(device) => {
                let convs = layers.map(|(shape, (weight, norm))| CandleConv::new(shape, weight, norm, device));
                Place::Device(device.clone(), convs.collect::<Result<_>>().map_err(forward_error)?)
            }
        };
        let fc_weight = weights.tensor("backbone.fc.weight")?.to_vec();
        let fc_bias = weights.tensor("backbone.fc.bias")?.first().copied().unwrap_or(0.0);
        Ok(Self { plan, place, fc_weight, fc_bias })
    }

    /// Whether it runs on the CPU with activations in half precision.
    pub(super) fn is_half(&self) -> bool {
        matches!(&self.place, Place::Cpu(backbone) if backbone.is_half())
    }

    pub(super) fn forward(&self, pictures: Pictures<'_>) -> Result<Vec<SliceForward>> {
        let mut out = Vec::with_capacity(pictures.count);
        for batch in pictures.batches(self.batch(rayon::current_num_threads())) {
            match &self.place {
                Place::Cpu(backbone) => {
                    let ones: Vec<Pictures<'_>> = batch.batches(1).collect();
                    let read = ones.into_par_iter().with_max_len(1).map(|one| self.on_cpu(backbone, one));
                    out.extend(read.collect::<Vec<_>>());
                }
                Place::Device(device, convs) => {
                    let maps = walk(&self.plan, &mut OnDevice { convs, seen: None }, &batch.on_device(device)?)?;
                    let (side, values) = from_device(&maps)?;
                    for picture in values.chunks_exact(side * side * self.fc_weight.len()) {
                        out.push(gradcam::read_out(picture, side, &self.fc_weight, self.fc_bias));
                    }
                }
            }
        }
        Ok(out)
    }

    fn on_cpu(&self, backbone: &cpu::Backbone, one: Pictures<'_>) -> SliceForward {
        let mut read_out = ReadOut::new(&self.fc_weight);
        let each = &mut |pixel: &[f32]| read_out.pixel(pixel);
        let last = backbone.forward(&self.plan, one.extent(), &one.row_writer(), None, each);
        read_out.finish(last.rows, self.fc_bias)
    }

    /// The output of the stem and of every block, for the first picture.
    pub(super) fn activations(&self, pictures: Pictures<'_>) -> Result<Vec<Activation>> {
        let mut seen = Vec::new();
        let Some(one) = pictures.batches(1).next() else { return Ok(seen) };
        match &self.place {
            Place::Cpu(backbone) => {
                backbone.forward(&self.plan, one.extent(), &one.row_writer(), Some(&mut seen), &mut |_| ());
            }
            Place::Device(device, convs) => {
                walk(&self.plan, &mut OnDevice { convs, seen: Some(&mut seen) }, &one.on_device(device)?)?;
            }
        }
        Ok(seen)
    }

    /// How many pictures go through the layers at a time with so many threads.
    pub(super) fn batch(&self, threads: usize) -> usize {
        match self.place {
            Place::Cpu(_) => threads.clamp(1, CPU_BATCH),
            Place::Device(..) => DEVICE_BATCH,
        }
    }
}

struct OnDevice<'a> {
    convs: &'a [CandleConv],
    seen: Option<&'a mut Vec<Activation>>,
}

impl Layers for OnDevice<'_> {
    type Maps = Tensor;
    type Error = candle_core::Error;

    fn conv(&mut self, index: usize, input: &Tensor, residual: Option<Tensor>, relu: bool) -> Result<Tensor> {
        self.convs[index].forward(input, residual.as_ref(), relu)
    }

    fn max_pool(&mut self, input: &Tensor) -> Result<Tensor> {
        conv::max_pool(input)
    }

    fn reached(&mut self, name: &str, maps: &Tensor) -> Result<()> {
        if let Some(seen) = &mut self.seen {
            let (side, values) = from_device(maps)?;
            let channels = values.len() / (side * side);
            seen.push(Activation { name: name.into(), side, channels, values });
        }
        Ok(())
    }
}

/// Edge and values, channels last.
fn from_device(maps: &Tensor) -> Result<(usize, Vec<f32>)> {
    let maps = maps.permute((0, 2, 3, 1))?.contiguous()?;
    Ok((maps.dim(1)?, maps.flatten_all()?.to_vec1()?))
}

/// The batch norm behind a convolution.
fn norm_of<'a>(weights: &'a Weights, shape: &ConvShape) -> std::result::Result<Norm<'a>, ModelError> {
    let part = |name: &str| weights.tensor(&format!("{}.{name}", shape.norm));
    Ok(Norm {
        weight: part("weight")?,
        bias: part("bias")?,
        mean: part("running_mean")?,
        variance: part("running_var")?,
    })
}

/// `(value - mean) / std` per channel.
fn normalised(pictures: Pictures<'_>) -> Vec<f32> {
    let plane = pictures.side * pictures.side;
    let mut values = pictures.planes.to_vec();
    for picture in values.chunks_exact_mut(3 * plane) {
        for (channel, (mean, std)) in picture.chunks_exact_mut(plane).zip(pictures.mean.iter().zip(pictures.std)) {
            channel.iter_mut().for_each(|value| *value = (*value - mean) / std);
        }
    }
    values
}

/// Planes of one picture to `(value - mean) / std`, `(row, column, channel)`.
pub(super) fn channels_last(planes: &[f32], side: usize, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    let mut values = vec![0.0; planes.len()];
    let rows = values.par_chunks_exact_mut(3 * side).enumerate();
    rows.for_each(|(row, line)| write_row((planes, side), mean, std, row, 3, line));
    values
}

/// One row of it, of three planes; `pixel_values` from one pixel's first to the next one's, of which three are written.
fn write_row(
    (planes, side): (&[f32], usize),
    mean: [f32; 3],
    std: [f32; 3],
    row: usize,
    pixel_values: usize,
    line: &mut [f32],
) {
    /// Pixels whose divisions are done together.
    const SOME: usize = 64;
    for (channel, plane) in planes.chunks_exact(side * side).take(3).enumerate() {
        let from = &plane[row * side..(row + 1) * side];
        for (pixels, from) in line.chunks_mut(pixel_values * SOME).zip(from.chunks(SOME)) {
            let mut normal = [0.0; SOME];
            for (to, value) in normal.iter_mut().zip(from) {
                *to = (value - mean[channel]) / std[channel];
            }
            for (pixel, value) in pixels.chunks_exact_mut(pixel_values).zip(normal) {
                pixel[channel] = value;
            }
        }
    }
}

/// The first line of candle's error: the rest is a backtrace.
pub(super) fn forward_error(error: candle_core::Error) -> ModelError {
    let text = error.to_string();
    ModelError::Forward(text.lines().next().unwrap_or_default().chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::super::Backbone;
    use super::*;

    #[test]
    fn shapes_are_resnet_50() {
        let shapes = conv_shapes(&Backbone::Resnet50.plan());
        assert_eq!(shapes.len(), 53);
        let convs: usize = shapes.iter().map(|s| s.channels_in * s.channels_out * s.kernel * s.kernel).sum();
        let norms: usize = shapes.iter().map(|s| 2 * s.channels_out).sum();
        // method.md 1.5: trainable parameters with an fc of one logit.
        assert_eq!(convs + norms + FEATURES + 1, 23_510_081);
        assert_eq!(shapes.last().unwrap().name, "backbone.layer4.2.conv3.weight");
        assert_eq!(shapes.iter().filter(|s| s.name.contains("downsample")).count(), 4);
    }
    /// The layout, the pooling and the folded norms of the two ways through the network differ; the answers must not.
    #[test]
    fn packed_and_candles_own_operations_agree() {
        let network = Architecture::paper(96);
        let weights = Weights::from_fn(&network, |name, shape| {
            let length: usize = shape.iter().product();
            let depth = (length / shape[0]).max(1) as f32;
            match name.rsplit('.').next() {
                Some("running_var") => (0..length).map(|i| 0.5 + (i % 7) as f32 * 0.2).collect(),
                Some("weight") if shape.len() == 1 => (0..length).map(|i| 0.6 + (i % 5) as f32 * 0.2).collect(),
                _ => (0..length).map(|i| (i as f32 * 12.9898).sin() / depth.sqrt()).collect(),
            }
        })
        .unwrap();
        let side = 65;
        let planes: Vec<f32> = (0..3 * side * side).map(|i| 0.5 + 0.5 * (i as f32 * 0.013).sin()).collect();
        let pictures = Pictures { planes: &planes, count: 1, side, mean: [0.4; 3], std: [0.3; 3] };
        let packed =
            Resnet::new(&network, &weights, Target::Cpu(Precision::Single)).unwrap().forward(pictures).unwrap();
        let candle = Resnet::new(&network, &weights, Target::Device(&Device::Cpu)).unwrap().forward(pictures).unwrap();
        let largest = packed[0].features.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(largest > 0.01);
        for (a, b) in packed[0].features.iter().zip(&candle[0].features) {
            assert!((a - b).abs() <= 1e-4 * largest, "{a} against {b}");
        }
        assert_eq!(packed[0].cam_size, 3);
        for (a, b) in packed[0].cam.iter().zip(&candle[0].cam) {
            assert!((a - b).abs() <= 1e-4 * largest, "{a} against {b}");
        }
    }

    /// Together on threads of their own, or one by one on all threads.
    #[test]
    fn pictures_together_give_the_same_bits() {
        let network = Architecture::nano(8, super::super::Pooling::Mean);
        let weights = Weights::from_fn(&network, |name, shape| {
            let length: usize = shape.iter().product();
            let spread = if name.ends_with("running_var") { 1.0 } else { 0.0 };
            (0..length).map(|i| spread + 0.3 * (i as f32 * 12.9898).sin()).collect()
        })
        .unwrap();
        let resnet = Resnet::new(&network, &weights, Target::Cpu(Precision::Single)).unwrap();
        let (side, count) = (64, 5);
        let planes: Vec<f32> = (0..count * 3 * side * side).map(|i| 0.5 + 0.5 * (i as f32 * 0.013).sin()).collect();
        let of = |planes: &[f32], count: usize| {
            let pictures = Pictures { planes, count, side, mean: [0.4; 3], std: [0.3; 3] };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            pool.install(|| resnet.forward(pictures).unwrap())
        };
        let together = of(&planes, count);
        assert_eq!(together.len(), count);
        for (one, planes) in together.iter().zip(planes.chunks_exact(3 * side * side)) {
            let alone = &of(planes, 1)[0];
            assert_eq!(
                (one.logit.to_bits(), &one.features, &one.cam),
                (alone.logit.to_bits(), &alone.features, &alone.cam)
            );
        }
        assert_ne!(together[0].features, together[1].features);
    }
}
