//! Every instruction set that this machine has, against candle's own convolution.

use candle_core::{Device, Tensor};
use rayon::ThreadPoolBuilder;

use super::super::architecture::Block;
use super::super::resnet::conv_shapes;
use super::lanes::Bf16;
use super::lanes::emulated::{Blocks, Pairs};
use super::product::round_weights;
use super::*;

fn wave(length: usize, phase: f32) -> Vec<f32> {
    (0..length).map(|i| (i as f32 * 0.37 + phase).sin()).collect()
}

/// One convolution with everything that may follow it, for a picture of `rows` by `columns`.
struct Example {
    shape: ConvShape,
    extent: Extent,
    weight: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    input: Vec<f32>,
    shortcut: Vec<f32>,
    /// What candle makes of it.
    expected: Vec<f32>,
}

impl Example {
    fn new([rows, columns]: [usize; 2], channels: [usize; 2], kernel: usize, stride: usize) -> Self {
        let shape = ConvShape::for_tests(channels, kernel, stride);
        let depth = channels[0] * kernel * kernel;
        let weight: Vec<f32> = wave(depth * channels[1], 0.1).iter().map(|w| w / (depth as f32).sqrt()).collect();
        let (scale, shift) = (wave(channels[1], 0.2), wave(channels[1], 0.3));
        let extent = Extent::new(rows, columns, channels[0]);
        let device = Device::Cpu;
        let planes = Tensor::from_vec(wave(extent.values(), 0.4), (1, channels[0], rows, columns), &device).unwrap();
        let kernel_tensor = Tensor::from_slice(&weight, (channels[1], channels[0], kernel, kernel), &device).unwrap();
        let vector = |v: &[f32]| Tensor::from_slice(v, (1, channels[1], 1, 1), &device).unwrap();
        let plain = planes.conv2d(&kernel_tensor, kernel / 2, stride, 1, 1).unwrap();
        let shortcut = Tensor::from_vec(wave(plain.elem_count(), 0.5), plain.shape(), &device).unwrap();
        let expected = plain
            .broadcast_mul(&vector(&scale))
            .and_then(|t| t.broadcast_add(&vector(&shift)))
            .and_then(|t| t + &shortcut)
            .and_then(|t| t.relu())
            .unwrap();
        let last = |t: &Tensor| t.permute((0, 2, 3, 1)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (input, shortcut, expected) = (last(&planes), last(&shortcut), last(&expected));
        Self { shape, extent, weight, scale, shift, input, shortcut, expected }
    }

    fn run<L: Lanes>(&self, short_cuts: bool) -> Vec<f32> {
        let folded = Folded { weight: &self.weight, scale: self.scale.clone(), shift: self.shift.clone() };
        let conv = Conv::<L>::new(&self.shape, folded, short_cuts);
        let workspace = Workspace::<L>::new();
        let out = conv.output(self.extent);
        let input = narrowed(&workspace, self.extent, &self.input);
        let mut shortcut = narrowed(&workspace, out, &self.shortcut);
        let output = workspace.maps(out, |output| {
            output.fill(L::from_f32(f32::NAN));
            let after = After { shortcut: Shortcut::Maps(shortcut.values()), relu: true, rim: 0 };
            conv.run(input.values(), self.extent, after, output, &workspace);
        });
        let output = widened::<L>(&output);
        let after = After { shortcut: Shortcut::Output, relu: true, rim: 0 };
        let onto = shortcut.values_mut().expect("no other handle");
        conv.run(input.values(), self.extent, after, onto, &workspace);
        let same = widened::<L>(&shortcut).iter().zip(&output).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "in the shortcut's place: {:?}", self.shape);
        output
    }

    /// The sums alone, of an input with a rim to an output with one, whose zeros are looked at and taken off.
    fn run_bare<L: Lanes>(&self, rims: [usize; 2]) -> Vec<f32> {
        let folded = Folded { weight: &self.weight, scale: self.scale.clone(), shift: self.shift.clone() };
        let conv = Conv::<L>::new(&self.shape, folded, false);
        let workspace = Workspace::<L>::new();
        let extent = self.extent.with_rim(rims[0]);
        let input = narrowed(&workspace, extent, &self.input);
        let out = conv.output(extent).with_rim(rims[1]);
        let output = workspace.maps(out, |output| {
            output.fill(L::from_f32(f32::NAN));
            let after = After { shortcut: Shortcut::None, relu: false, rim: rims[1] };
            conv.run(input.values(), extent, after, output, &workspace);
        });
        let (stride, line) = (out.stride::<L::Value>(), out.framed().columns);
        let mut inside = Vec::new();
        for (pixel, values) in output.values().chunks_exact(stride).enumerate() {
            let within = |at: usize, length: usize| (rims[1]..length + rims[1]).contains(&at);
            let values = values[..out.channels].iter().map(|&value| L::to_f32(value));
            if within(pixel / line, out.rows) && within(pixel % line, out.columns) {
                inside.extend(values);
            } else {
                assert!(values.into_iter().all(|value| value == 0.0), "{pixel} of {:?}", self.shape);
            }
        }
        inside
    }

    /// Windows read where they lie, and lines written apart, give the same bits as gathered windows and lines side by side.
    #[track_caller]
    fn check_rims(&self) {
        for isa in Isa::available() {
            let ways = with_lanes!(isa, L => self.rims_of::<L>());
            assert!(isa.is_half() || ways > 0, "{isa:?}: nothing with a rim: {:?}", self.shape);
        }
        self.rims_of::<Pairs>();
        self.rims_of::<Blocks>();
    }

    /// Returns how many ways there were with a rim.
    #[track_caller]
    fn rims_of<L: Lanes>(&self) -> usize {
        let (scale, shift) = (self.scale.clone(), self.shift.clone());
        let conv = Conv::<L>::new(&self.shape, Folded { weight: &self.weight, scale, shift }, false);
        let (wanted, leaves) = (conv.wanted_rim(self.extent), conv.leaves_rim(self.extent));
        let gathered = self.run_bare::<L>([0, 0]);
        let ways = [[wanted, 0], [0, if leaves { 2 } else { 0 }], [wanted, usize::from(leaves)]];
        for rims in ways {
            assert!(self.run_bare::<L>(rims) == gathered, "{:?} with rims of {rims:?}", self.shape);
        }
        ways.iter().filter(|rims| **rims != [0, 0]).count()
    }

    #[track_caller]
    fn compare(&self, got: &[f32], is_half: bool, lanes: &str) {
        let largest = self.expected.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        let allowed = if is_half { 1e-2 } else { 1e-5 } * largest;
        assert_eq!(got.len(), self.expected.len());
        for (index, (got, expected)) in got.iter().zip(&self.expected).enumerate() {
            let off = (got - expected).abs();
            assert!(off <= allowed, "{lanes} {:?} [{index}]: {got} against {expected}", self.shape);
        }
    }

    /// On every instruction set; Winograd's way loses some digits, half precision most.
    #[track_caller]
    fn check(&self) {
        for short_cuts in [false, true] {
            for isa in Isa::available() {
                let got = with_lanes!(isa, L => self.run::<L>(short_cuts));
                self.compare(&got, isa.is_half(), &format!("{isa:?}"));
            }
            self.compare(&self.run::<Pairs>(short_cuts), true, "pairs");
            self.compare(&self.run::<Blocks>(short_cuts), true, "blocks");
        }
    }
}

#[test]
fn convolutions_equal_candles() {
    Example::new([9, 9], [5, 70], 1, 1).check();
    Example::new([9, 7], [4, 66], 1, 2).check();
    Example::new([8, 8], [3, 10], 7, 2).check();
    Example::new([25, 23], [6, 130], 3, 1).check();
    Example::new([11, 11], [6, 8], 3, 2).check();
    Example::new([1, 1], [6, 8], 3, 1).check();
    Example::new([50, 50], [3, 4], 3, 1).check();
}

#[test]
fn a_long_inner_dimension_is_summed_in_slices() {
    Example::new([5, 5], [1100, 40], 1, 1).check();
    Example::new([3, 4], [512, 33], 1, 1).check();
    Example::new([4, 4], [130, 20], 3, 2).check();
}

/// Pixels of so many channels do not lie side by side.
#[test]
fn many_channels_are_read_and_written_with_room_between() {
    Example::new([5, 7], [512, 1024], 1, 1).check();
    Example::new([5, 7], [1024, 512], 1, 2).check();
    Example::new([6, 5], [512, 70], 3, 2).check();
    Example::new([6, 5], [512, 512], 3, 1).check();
}

/// Twelve columns come out, which is a whole number of register tiles everywhere.
#[test]
fn windows_are_read_where_they_lie() {
    Example::new([9, 24], [3, 64], 7, 2).check_rims();
    Example::new([5, 12], [40, 33], 3, 1).check_rims();
    Example::new([6, 24], [130, 40], 3, 2).check_rims();
    // Too many channels for a row of a window in one slice, and so many that pixels do not lie side by side.
    Example::new([4, 24], [200, 40], 3, 2).check_rims();
    Example::new([4, 24], [512, 40], 3, 2).check_rims();
    Example::new([5, 24], [600, 512], 1, 2).check_rims();
    Example::new([5, 12], [64, 512], 1, 1).check_rims();
}

#[test]
fn winograds_way_takes_every_edge() {
    for edge in [1, 3, 4, 5, 8] {
        Example::new([edge, 9 - edge], [64, 128], 3, 1).check();
    }
    Example::new([27, 52], [64, 64], 3, 1).check();
    // By blocks, and with the smaller tile of many channels.
    Example::new([49, 46], [64, 64], 3, 1).check();
    for edge in [1, 2, 5] {
        Example::new([edge, 6 - edge], [512, 512], 3, 1).check();
    }
}

#[test]
fn winograds_way_with_stride_two_takes_every_edge() {
    for edge in [1, 2, 6, 7, 8, 9, 15] {
        Example::new([edge, 17 - edge], [64, 128], 3, 2).check();
    }
    Example::new([98, 95], [64, 64], 3, 2).check();
    for edge in [1, 2, 4, 7] {
        Example::new([edge, 9 - edge], [512, 512], 3, 2).check();
    }
}

#[test]
fn seven_products_for_eight_take_every_number_of_rows() {
    for rows in [1, 2, 7, 47, 48, 49] {
        Example::new([rows, 1], [256, 256], 1, 1).check();
    }
    Example::new([10, 11], [512, 128], 1, 1).check();
    // The inner dimension in slices, and pixels that do not lie side by side.
    Example::new([5, 7], [2048, 512], 1, 1).check();
}

/// A halved number of rows must not depend on the threads, nor on the rest of the picture.
#[test]
fn rows_are_paired_within_blocks_of_one_size() {
    let long = Example::new([96, 1], [256, 256], 1, 1);
    let mut short = Example::new([48, 1], [256, 256], 1, 1);
    short.input.copy_from_slice(&long.input[..48 * 256]);
    short.shortcut.copy_from_slice(&long.shortcut[..48 * 256]);
    for isa in Isa::available() {
        let [long, short] = [&long, &short].map(|example| with_lanes!(isa, L => example.run::<L>(true)));
        assert!(long[..48 * 256] == short, "{isa:?}");
    }
}

#[test]
fn half_precision_rounds_to_the_nearest_even() {
    for isa in Isa::available().into_iter().filter(|isa| isa.is_half()) {
        with_lanes!(isa, L => {
            let through = |value: f32| L::to_f32(L::from_f32(value));
            assert_eq!(through(1.0 + 1.0 / 256.0), 1.0);
            assert_eq!(through(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
            assert_eq!(through(-0.1), -(205.0 / 2048.0));
            assert!(through(f32::NAN).is_nan());
            assert_eq!(through(f32::INFINITY), f32::INFINITY);
        });
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let examples = [
        Example::new([40, 40], [3, 64], 7, 2),
        Example::new([30, 31], [64, 64], 3, 1),
        Example::new([60, 61], [64, 64], 3, 2),
        Example::new([12, 12], [512, 300], 1, 1),
        Example::new([13, 13], [256, 512], 1, 1),
    ];
    for example in &examples {
        for isa in Isa::available() {
            let on = |threads: usize| {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| with_lanes!(isa, L => example.run::<L>(true)))
            };
            assert!(on(1) == on(3), "{isa:?} {:?}", example.shape);
        }
    }
}

fn pooled<L: Lanes>(extent: Extent, values: &[f32]) -> Vec<f32> {
    let workspace = Workspace::<L>::new();
    let values = narrowed(&workspace, extent, values);
    widened::<L>(&workspace.maps(pool::output(extent), |output| pool::max_pool::<L>(values.values(), extent, output)))
}

#[test]
fn pooling_pads_with_minus_infinity() {
    let input = [-5.0f32, -2.0, -3.0, -4.0, -9.0, -6.0, -7.0, -8.0, -1.0];
    let extent = Extent::new(3, 3, 17);
    let spread: Vec<f32> = input.iter().flat_map(|&v| (0..17).map(move |c| v * (c + 1) as f32)).collect();
    for isa in Isa::available() {
        let got = with_lanes!(isa, L => pooled::<L>(extent, &spread));
        let expected: Vec<f32> =
            [-2.0f32, -2.0, -4.0, -1.0].iter().flat_map(|&v| (0..17).map(move |c| v * (c + 1) as f32)).collect();
        assert_eq!(got, expected, "{isa:?}");
    }
}

#[test]
fn nan_is_not_washed_out_by_relu_or_pooling() {
    for isa in Isa::available() {
        let mut example = Example::new([5, 5], [64, 64], 3, 1);
        let mut flat = Example::new([5, 5], [256, 256], 1, 1);
        example.input[12 * 64 + 7] = f32::NAN;
        flat.input[12 * 256 + 7] = f32::NAN;
        for short_cuts in [false, true] {
            let got = with_lanes!(isa, L => flat.run::<L>(short_cuts));
            assert!(got[12 * 256].is_nan() && got[12 * 256 + 255].is_nan(), "{isa:?}");
            let got = with_lanes!(isa, L => example.run::<L>(short_cuts));
            assert!(got[12 * 64].is_nan(), "{isa:?}");
            let pooled = with_lanes!(isa, L => pooled::<L>(Extent::new(5, 5, 64), &got));
            assert!(pooled[4 * 64].is_nan(), "{isa:?}");
        }
    }
}

/// The last maps of a small ResNet of bottlenecks.
fn network<L: Lanes>(side: usize) -> Vec<f32> {
    let plan = Plan { block: Block::Bottleneck, blocks: [1, 2, 1, 1], width: 16 };
    let shapes = conv_shapes(&plan);
    let weights: Vec<Vec<f32>> = shapes
        .iter()
        .map(|shape| {
            let depth = shape.channels_in * shape.kernel * shape.kernel;
            wave(depth * shape.channels_out, 0.1).iter().map(|w| 2.0 * w / (depth as f32).sqrt()).collect()
        })
        .collect();
    let layers = shapes.iter().zip(&weights).map(|(shape, weight)| {
        let channels = shape.channels_out;
        (shape, Folded { weight, scale: vec![1.0; channels], shift: wave(channels, 0.2) })
    });
    let picture = wave(3 * side * side, 0.7);
    let write_row = |row: usize, pixel_values: usize, to: &mut [f32]| {
        let pixels = picture[row * 3 * side..][..3 * side].chunks_exact(3);
        to.chunks_exact_mut(pixel_values).zip(pixels).for_each(|(to, pixel)| to[..3].copy_from_slice(pixel));
    };
    let mut values = Vec::new();
    let each = &mut |pixel: &[f32]| values.extend_from_slice(pixel);
    Convs::<L>::new(layers).forward(&plan, Extent::new(side, side, 3), &write_row, None, each);
    values
}

/// With sides at which windows lie in steps on all lanes, on some and on none.
#[test]
fn a_network_is_the_same_on_all_lanes() {
    /// What bfloat16 may lose on the way, of the root of the mean square: 0.064 in plain Rust. A layer out of place loses all.
    const HALF: f64 = 0.1;
    for side in [96, 64, 53] {
        let expected = network::<Portable>(side);
        let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(largest > 0.1 && expected.contains(&0.0), "{side}: up to {largest}");
        let power = |values: &mut dyn Iterator<Item = f32>| values.map(f64::from).map(|v| v * v).sum::<f64>();
        let whole = power(&mut expected.iter().copied());
        let check = |got: &[f32], allowed: f64, lanes: &str| {
            assert_eq!(got.len(), expected.len());
            let off = (power(&mut got.iter().zip(&expected).map(|(a, b)| a - b)) / whole).sqrt();
            assert!(off <= allowed, "{lanes}, {side}: off by {off}");
        };
        for isa in Isa::available() {
            let allowed = if isa.is_half() { HALF } else { 1e-5 };
            check(&with_lanes!(isa, L => network::<L>(side)), allowed, &format!("{isa:?}"));
        }
        check(&network::<Pairs>(side), HALF, "pairs");
        check(&network::<Blocks>(side), HALF, "blocks");
    }
}

/// Counts work instead of time: a picture finds all its buffers where the one before left them, and they are few.
#[test]
fn the_second_picture_takes_no_new_buffers() {
    let plan = Plan { block: Block::Bottleneck, blocks: [2, 2, 1, 1], width: 32 };
    let shapes = conv_shapes(&plan);
    let weights: Vec<Vec<f32>> =
        shapes.iter().map(|s| wave(s.channels_in * s.channels_out * s.kernel * s.kernel, 0.1)).collect();
    for isa in Isa::available() {
        with_lanes!(isa, L => {
            let layers = shapes.iter().zip(&weights).map(|(shape, weight)| {
                let channels = shape.channels_out;
                (shape, Folded { weight, scale: vec![0.05; channels], shift: vec![0.1; channels] })
            });
            let convs = Convs::<L>::new(layers);
            let extent = Extent::new(64, 64, 3);
            let picture = wave(extent.values(), 0.7);
            let buffers = || {
                let workspaces = convs.workspaces.lock().unwrap();
                let [(_, workspace)] = workspaces.as_slice() else { panic!("one workspace") };
                (workspace.activations.count(), workspace.singles.count())
            };
            let forward = || {
                let mut values = Vec::new();
                let write_row = |row: usize, pixel_values: usize, to: &mut [f32]| {
                    let pixels = picture[row * 192..][..192].chunks_exact(3);
                    to.chunks_exact_mut(pixel_values).zip(pixels).for_each(|(to, pixel)| to[..3].copy_from_slice(pixel));
                };
                convs.forward(&plan, extent, &write_row, None, &mut |pixel| values.extend_from_slice(pixel));
                values
            };
            let first = forward();
            assert!(!first.is_empty());
            let after_first = buffers();
            // Four are alive at a time (a block's input, its two inner maps, its shortcut, which becomes its output), and the first
            // ones are too small for what comes later; never one for each of the 21 layers.
            assert!(after_first.0 <= 8, "{isa:?}: {after_first:?}");
            assert_eq!(forward(), first);
            assert_eq!(buffers(), after_first, "{isa:?}");
        });
    }
}

#[test]
fn weights_are_rounded_so_that_errors_cancel() {
    let weights = wave(1000, 0.6);
    let mut same = weights.clone();
    round_weights::<Portable>(&mut same);
    assert_eq!(same, weights, "f32 needs no rounding");

    let mut rounded = weights.clone();
    round_weights::<Pairs>(&mut rounded);
    let nearest: Vec<f32> = weights.iter().map(|&weight| Bf16::from_f32(weight).to_f32()).collect();
    let mut elsewhere = 0;
    for ((&weight, &rounded), &nearest) in weights.iter().zip(&rounded).zip(&nearest) {
        assert_eq!(Bf16::from_f32(rounded).to_f32(), rounded, "a value of bfloat16");
        assert!((rounded - weight).abs() <= weight.abs() / 128.0, "{weight} rounded to {rounded}");
        elsewhere += usize::from(rounded != nearest);
    }
    let error = |rounded: &[f32]| rounded.iter().zip(&weights).map(|(r, w)| f64::from(r - w)).sum::<f64>().abs();
    assert!(error(&rounded) < 0.003 && error(&nearest) > 5.0 * error(&rounded), "{}", error(&nearest));
    assert!((50..200).contains(&elsewhere), "{elsewhere} of 1,000");

    let mut odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, 1e-40, 0.5];
    round_weights::<Pairs>(&mut odd);
    assert!(odd[0].is_nan() && odd[1..5] == [f32::INFINITY, f32::NEG_INFINITY, 0.0, 0.0] && odd[7] == 0.5, "{odd:?}");
}
