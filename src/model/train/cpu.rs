//! The backbone's way forward and back on the CPU. The wiring is [`walk`]'s: it is recorded once as a list of steps.

use std::sync::Mutex;

use super::super::architecture::Plan;
use super::super::cpu::{InputGradient, Learner, Precision, Size, learner, output_size, widest};
use super::super::resnet::{ConvShape, Layers, conv_shapes, walk};
use super::layers;
use super::norm::{self, Moments, Running};
use super::optimiser::Parameter;

/// One step of the network; maps are numbered, 0 is the input.
#[derive(Debug, Clone, Copy)]
enum Step {
    Conv { index: usize, input: usize, residual: Option<usize>, relu: bool },
    Pool { input: usize },
}

impl Step {
    /// The maps it reads.
    fn reads(self) -> [Option<usize>; 2] {
        match self {
            Self::Conv { input, residual, .. } => [Some(input), residual],
            Self::Pool { input } => [Some(input), None],
        }
    }
}

struct Recorder(Vec<Step>);

impl Layers for Recorder {
    type Maps = usize;
    type Error = std::convert::Infallible;

    fn conv(&mut self, index: usize, input: &usize, residual: Option<usize>, relu: bool) -> Result<usize, Self::Error> {
        self.0.push(Step::Conv { index, input: *input, residual, relu });
        Ok(self.0.len())
    }

    fn max_pool(&mut self, input: &usize) -> Result<usize, Self::Error> {
        self.0.push(Step::Pool { input: *input });
        Ok(self.0.len())
    }
}

/// Layers, wiring and what is kept between batches. Parameters stand in the order of [`conv_shapes`], three each:
/// weight, batch norm's weight and bias; then `fc`'s weight and bias.
pub(super) struct CpuBackbone {
    shapes: Vec<ConvShape>,
    steps: Vec<Step>,
    pub(super) running: Vec<Running>,
    buffers: Buffers,
    learner: Box<dyn Learner>,
}

/// Maps that were needed and will be needed again: fresh memory costs a page fault per 4 KB.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<f32>>>);

impl Buffers {
    /// As long as asked for; what it holds is left over.
    fn take(&self, length: usize) -> Vec<f32> {
        let mut free = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fits = |buffer: &Vec<f32>| buffer.capacity() >= length && buffer.capacity() <= 2 * length;
        let best = (0..free.len()).filter(|&i| fits(&free[i])).min_by_key(|&i| free[i].capacity());
        let mut buffer = best.map(|i| free.swap_remove(i)).unwrap_or_default();
        drop(free);
        buffer.resize(length, 0.0);
        buffer
    }

    fn give(&self, buffer: Vec<f32>) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(buffer);
    }
}

/// Maps of a batch.
struct Maps {
    size: Size,
    values: Vec<f32>,
}

/// The gradient of maps on the way back.
struct Gradient {
    values: Vec<f32>,
    /// Whether a later step left its share there; else the values are left over from something else.
    add: bool,
}

/// What the way back needs of one step.
enum Saved {
    Conv { bare: Vec<f32>, moments: Moments },
    Pool { chosen: Vec<u32> },
}

/// A batch on its way: from the pictures to the features, and what is needed to come back.
pub(super) struct Forward {
    maps: Vec<Maps>,
    saved: Vec<Saved>,
    /// `(picture, feature)`.
    pub(super) features: Vec<f32>,
}

impl Forward {
    /// The last maps, `(picture, cell, channel)`.
    pub(super) fn cells(&self) -> &[f32] {
        self.maps.last().map_or(&[], |maps| &maps.values)
    }
}

impl CpuBackbone {
    pub(super) fn new(plan: &Plan, running: Vec<Running>, precision: Precision) -> Self {
        let mut recorder = Recorder(Vec::new());
        let Ok(_) = walk(plan, &mut recorder, &0);
        Self {
            shapes: conv_shapes(plan),
            steps: recorder.0,
            running,
            buffers: Buffers::default(),
            learner: learner(precision),
        }
    }

    /// `pictures` is `(picture, channel, row, column)`.
    fn input(&self, pictures: &[f32], side: usize) -> Maps {
        let area = side * side;
        let mut values = self.buffers.take(pictures.len());
        for (from, to) in pictures.chunks_exact(3 * area).zip(values.chunks_exact_mut(3 * area)) {
            for (pixel, to) in to.chunks_exact_mut(3).enumerate() {
                to.iter_mut().enumerate().for_each(|(channel, to)| *to = from[channel * area + pixel]);
            }
        }
        Maps { size: Size { count: pictures.len() / (3 * area), rows: side, columns: side, channels: 3 }, values }
    }

    /// In training mode: batch norms by the batch's own moments, which also move the running statistics.
    pub(super) fn forward(&mut self, parameters: &[Parameter], pictures: &[f32], side: usize) -> Forward {
        let mut maps = vec![self.input(pictures, side)];
        let mut saved = Vec::with_capacity(self.steps.len());
        for &step in &self.steps {
            match step {
                Step::Pool { input } => {
                    let size = layers::pooled_size(maps[input].size);
                    let mut values = self.buffers.take(size.values());
                    let mut chosen = vec![0; values.len()];
                    layers::max_pool(&maps[input].values, maps[input].size, &mut values, &mut chosen);
                    maps.push(Maps { size, values });
                    saved.push(Saved::Pool { chosen });
                }
                Step::Conv { index, input, residual, relu } => {
                    let (shape, own) = (&self.shapes[index], &parameters[3 * index..3 * index + 3]);
                    let size = output_size(shape, maps[input].size);
                    let mut bare = self.buffers.take(size.values());
                    self.learner.forward(shape, &own[0].values, &maps[input].values, maps[input].size, &mut bare);
                    let moments = norm::measure(&bare, shape.channels_out, &mut self.running[index]);
                    let mut values = self.buffers.take(size.values());
                    let extra = residual.map(|at| maps[at].values.as_slice());
                    norm::apply(&bare, &moments, [&own[1].values, &own[2].values], extra, relu, &mut values);
                    maps.push(Maps { size, values });
                    saved.push(Saved::Conv { bare, moments });
                }
            }
        }
        let last = maps.last().expect("the input is there");
        let features = layers::average(&last.values, last.size);
        Forward { maps, saved, features }
    }

    /// Sets the parameters' gradients (those of `fc` and the local head apart) from those of the features, and of the
    /// last maps themselves where something reads them.
    pub(super) fn backward(
        &self,
        parameters: &mut [Parameter],
        forward: Forward,
        d_features: &[f32],
        d_maps: Option<&[f32]>,
    ) {
        let Forward { mut maps, mut saved, .. } = forward;
        let mut gradients: Vec<Option<Vec<f32>>> = maps.iter().map(|_| None).collect();
        let last = maps.len() - 1;
        let mut d_last = self.buffers.take(maps[last].values.len());
        layers::average_backward(d_features, maps[last].size, &mut d_last);
        if let Some(d_maps) = d_maps {
            add(&mut d_last, d_maps);
        }
        gradients[last] = Some(d_last);
        for (number, &step) in self.steps.iter().enumerate().rev() {
            let output = number + 1;
            let done = maps.pop().expect("one for each step");
            let mut gradient = gradients[output].take().expect("every map is read by a later step");
            match (step, saved.pop()) {
                (Step::Pool { input }, Some(Saved::Pool { chosen })) => {
                    let mut d_input = self.gradient_of(&mut gradients, &maps, input);
                    if !d_input.add {
                        d_input.values.fill(0.0);
                    }
                    layers::max_pool_backward(&chosen, maps[input].size, &gradient, &mut d_input.values);
                    gradients[input] = Some(d_input.values);
                }
                (Step::Conv { index, input, residual, relu }, Some(Saved::Conv { bare, moments })) => {
                    if relu {
                        norm::mask(&mut gradient, &done.values);
                    }
                    if let Some(at) = residual {
                        let mut d = self.gradient_of(&mut gradients, &maps, at);
                        if d.add {
                            add(&mut d.values, &gradient);
                        } else {
                            d.values.copy_from_slice(&gradient);
                        }
                        gradients[at] = Some(d.values);
                    }
                    let [weight, scale, shift] = &mut parameters[3 * index..3 * index + 3] else {
                        unreachable!("three parameters for each convolution")
                    };
                    let (d_scale, d_shift) = (&mut scale.gradient, &mut shift.gradient);
                    norm::backward(&bare, &moments, &scale.values, &mut gradient, d_scale, d_shift);
                    self.buffers.give(bare);
                    // The pictures themselves need no gradient.
                    let mut d_input = (input > 0).then(|| self.gradient_of(&mut gradients, &maps, input));
                    self.learner.backward(
                        (&self.shapes[index], &weight.values),
                        (&maps[input].values, maps[input].size),
                        &gradient,
                        (!weight.frozen).then_some(&mut weight.gradient[..]),
                        d_input.as_mut().map(|d| InputGradient { values: &mut d.values, add: d.add }),
                    );
                    gradients[input] = d_input.map(|d| d.values);
                }
                _ => unreachable!("saved in step with the steps"),
            }
            self.buffers.give(done.values);
            self.buffers.give(gradient);
        }
        maps.into_iter().for_each(|maps| self.buffers.give(maps.values));
    }

    /// The gradient that later steps left for these maps, or room for one.
    fn gradient_of(&self, gradients: &mut [Option<Vec<f32>>], maps: &[Maps], at: usize) -> Gradient {
        match gradients[at].take() {
            Some(values) => Gradient { values, add: true },
            None => Gradient { values: self.buffers.take(maps[at].values.len()), add: false },
        }
    }

    /// Features in evaluation mode, `(picture, feature)`.
    pub(super) fn evaluate(&self, parameters: &[Parameter], pictures: &[f32], side: usize) -> Vec<f32> {
        let mut maps = vec![Some(self.input(pictures, side))];
        let size_of = |maps: &[Option<Maps>], at: usize| maps[at].as_ref().map(|m| m.size).expect("still needed");
        for (number, &step) in self.steps.iter().enumerate() {
            let made = match step {
                Step::Pool { input } => {
                    let from = maps[input].as_ref().expect("still needed");
                    let size = layers::pooled_size(from.size);
                    let mut values = self.buffers.take(size.values());
                    layers::max_pool(&from.values, from.size, &mut values, &mut vec![0; size.values()]);
                    Maps { size, values }
                }
                Step::Conv { index, input, residual, relu } => {
                    let (shape, own) = (&self.shapes[index], &parameters[3 * index..3 * index + 3]);
                    let from = maps[input].as_ref().expect("still needed");
                    let size = output_size(shape, size_of(&maps, input));
                    let mut bare = self.buffers.take(size.values());
                    self.learner.forward(shape, &own[0].values, &from.values, from.size, &mut bare);
                    let mut values = self.buffers.take(size.values());
                    let extra = residual.and_then(|at| maps[at].as_ref()).map(|maps| maps.values.as_slice());
                    let moments = self.running[index].moments();
                    norm::apply(&bare, &moments, [&own[1].values, &own[2].values], extra, relu, &mut values);
                    self.buffers.give(bare);
                    Maps { size, values }
                }
            };
            maps.push(Some(made));
            for read in step.reads().into_iter().flatten() {
                let again = self.steps[number + 1..].iter().any(|later| later.reads().contains(&Some(read)));
                if !again && let Some(maps) = maps[read].take() {
                    self.buffers.give(maps.values);
                }
            }
        }
        let last = maps.pop().flatten().expect("the last maps are read by nobody");
        let features = layers::average(&last.values, last.size);
        self.buffers.give(last.values);
        features
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    use rayon::prelude::*;
    to.par_chunks_mut(1 << 15).zip(from.par_chunks(1 << 15)).for_each(|(to, from)| {
        widest(
            #[inline(always)]
            || to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
        );
    });
}
