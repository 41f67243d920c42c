//! Forward and both gradients on every instruction set of this machine, against sums written out in f64.

use super::super::lanes::Isa;
use super::super::learner_on;
use super::*;
use crate::random::Stream;

fn scrambled(length: usize, seed: u64) -> Vec<f32> {
    let mut stream = Stream::named(seed, "layer test", 0);
    (0..length).map(|_| (stream.unit() - 0.5) as f32).collect()
}

struct Example {
    shape: ConvShape,
    size: Size,
    out: Size,
    weight: Vec<f32>,
    input: Vec<f32>,
    d_output: Vec<f32>,
}

/// Output, the weights' gradient, the input's.
type Found = [Vec<f32>; 3];

impl Example {
    fn new([count, rows, columns]: [usize; 3], channels: [usize; 2], kernel: usize, stride: usize) -> Self {
        let shape = ConvShape::for_tests(channels, kernel, stride);
        let size = Size { count, rows, columns, channels: channels[0] };
        let out = output_size(&shape, size);
        Self {
            weight: scrambled(kernel * kernel * channels[0] * channels[1], 1),
            input: scrambled(size.values(), 2),
            d_output: scrambled(out.values(), 3),
            shape,
            size,
            out,
        }
    }

    fn run(&self, learner: &dyn Learner) -> Found {
        let Self { shape, size, out, weight, input, d_output } = self;
        let mut output = vec![f32::NAN; out.values()];
        learner.forward(shape, weight, input, *size, &mut output);
        let (mut d_weight, mut d_input) = (vec![f32::NAN; weight.len()], vec![f32::NAN; input.len()]);
        let mut backward = |d_input: &mut Vec<f32>, add: bool| {
            let to = InputGradient { values: d_input, add };
            learner.backward((shape, weight), (input, *size), d_output, Some(&mut d_weight), Some(to));
        };
        backward(&mut d_input, false);
        let mut twice = d_input.clone();
        backward(&mut twice, true);
        let largest = d_input.iter().fold(0.0f32, |most, d| most.max(d.abs()));
        assert!(twice.iter().zip(&d_input).all(|(twice, once)| (twice - 2.0 * once).abs() < 1e-5 * largest));
        let mut alone = vec![f32::NAN; weight.len()];
        learner.backward((shape, weight), (input, *size), d_output, Some(&mut alone), None);
        assert_eq!(alone, d_weight);
        [output, d_weight, d_input]
    }

    fn written_out(&self) -> Found {
        let Self { shape, size, out, weight, input, d_output } = self;
        let ConvShape { channels_in, channels_out, kernel, stride, padding, .. } = *shape;
        let mut found = [out.values(), weight.len(), input.len()].map(|length| vec![0.0f64; length]);
        for pixel in 0..out.pixels() {
            let (line, x) = (pixel / out.columns, pixel % out.columns);
            let (picture, y) = (line / out.rows, line % out.rows);
            for position in 0..kernel * kernel {
                let row = (y * stride + position / kernel).wrapping_sub(padding);
                let column = (x * stride + position % kernel).wrapping_sub(padding);
                if row >= size.rows || column >= size.columns {
                    continue;
                }
                let from = ((picture * size.rows + row) * size.columns + column) * channels_in;
                for to in 0..channels_out {
                    let d = f64::from(d_output[pixel * channels_out + to]);
                    for channel in 0..channels_in {
                        let at = (to * kernel * kernel + position) * channels_in + channel;
                        let (value, weight) = (f64::from(input[from + channel]), f64::from(weight[at]));
                        found[0][pixel * channels_out + to] += value * weight;
                        found[1][at] += d * value;
                        found[2][from + channel] += d * weight;
                    }
                }
            }
        }
        found.map(|values| values.into_iter().map(|value| value as f32).collect())
    }
}

#[track_caller]
fn check(pictures: [usize; 3], channels: [usize; 2], kernel: usize, stride: usize) {
    let example = Example::new(pictures, channels, kernel, stride);
    let expected = example.written_out();
    for isa in Isa::available() {
        let found = example.run(&*learner_on(isa));
        // bfloat16 has eight digits of two.
        let share = if isa.is_half() { 0.01 } else { 1e-5 };
        for ((what, found), expected) in ["output", "weights", "input"].iter().zip(found).zip(&expected) {
            let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            assert!(largest > 0.0 && found.len() == expected.len());
            for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                let wrong = (found - expected).abs();
                assert!(wrong <= share * largest, "{isa:?}, {what} [{at}]: {found} instead of {expected}");
            }
        }
    }
}

#[test]
fn forward_and_gradients_equal_the_sums() {
    check([3, 5, 5], [3, 4], 1, 1);
    check([3, 7, 6], [3, 5], 1, 2);
    check([3, 5, 7], [2, 3], 3, 1);
    check([2, 8, 9], [3, 4], 3, 2);
    check([2, 9, 8], [4, 2], 3, 2);
    check([2, 11, 13], [3, 2], 7, 2);
    check([3, 1, 1], [5, 70], 3, 1);
}

#[test]
fn more_than_one_tile_in_every_direction() {
    // Pixels beyond a tile of both products, several lanes of the weights' gradient.
    check([2, 41, 37], [16, 33], 1, 1);
    check([1, 30, 31], [5, 20], 3, 1);
    // Columns and inner lengths beyond a panel, a task and a slice.
    check([1, 3, 4], [150, 140], 3, 1);
    check([2, 4, 3], [140, 300], 1, 2);
    check([1, 5, 5], [130, 48], 3, 2);
}

#[test]
fn threads_change_nothing() {
    for isa in Isa::available() {
        let learner = learner_on(isa);
        for example in [Example::new([37, 9, 9], [3, 5], 3, 2), Example::new([2, 40, 40], [20, 40], 3, 1)] {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| example.run(&*learner))
            };
            assert!(run(1) == run(3), "{isa:?}: the same to the last bit");
        }
    }
}
