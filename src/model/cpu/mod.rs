//! The backbone on the CPU: channels last, batch norm folded into the weights, bias, shortcut and ReLU done while the sums
//! are in registers, buffers used again.
//!
//! `lanes` is the one place that names instruction sets (tile registers in `lanes::tiles`), `product` the matrix product
//! under every convolution, `conv` a convolution as such a product over gathered windows, `winograd` the shorter way for
//! 3 x 3 kernels, `pool` the stem's pooling, `learn` convolutions with their gradients, `maps` activations and their buffers,
//! `scratch` what a thread keeps.
//! Unsafe code lives in `lanes` (instructions), `product`, `winograd`, `pool` and `learn` (pointers into grids whose sizes
//! their callers check) and nowhere else.
//!
//! A sum runs up its inner dimension in one order however the work is cut, so a result is the same to the last bit on any
//! number of threads of one machine; other instruction sets round otherwise.

mod conv;
mod lanes;
mod learn;
mod maps;
mod pool;
mod product;
mod scratch;
mod winograd;

use std::convert::Infallible;
use std::sync::LazyLock;

use conv::{After, Conv, Shortcut};
#[cfg(target_arch = "x86_64")]
use lanes::x86::{AmxBf16, Avx2, Avx512, Avx512Bf16};
use lanes::{Isa, Job, Lanes, Portable};
use learn::Learn;
pub(super) use learn::{InputGradient, Learner, Size, output_size};
pub(super) use maps::Extent;
use maps::{Maps, Workspace};
use rayon::prelude::*;

use super::Activation;
use super::architecture::Plan;
use super::resnet::{ConvShape, Layers, walk};

/// Values of the input that are worth a task.
const CHUNK: usize = 1 << 14;

/// How exact the backbone works on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// f32 throughout.
    Single,
    /// Weights and activations in bfloat16, sums in f32, where the processor multiplies them; else f32.
    Half,
}

/// Runs `$body` with `$lanes` as the type that belongs to an instruction set.
macro_rules! with_lanes {
    ($isa:expr, $lanes:ident => $body:expr) => {
        match $isa {
            #[cfg(target_arch = "x86_64")]
            Isa::AmxBf16 => {
                type $lanes = AmxBf16;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => {
                type $lanes = Avx512Bf16;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                type $lanes = Avx512;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                type $lanes = Avx2;
                $body
            }
            Isa::Portable => {
                type $lanes = Portable;
                $body
            }
        }
    };
}

/// A folded convolution as the weight file gives it: `weight` is `(out, in, row, column)`, the output is
/// `convolution * scale + shift`, per channel out.
pub(super) struct Folded<'a> {
    pub(super) weight: &'a [f32],
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

/// Runs plain loops over many values compiled for the widest instructions of this machine. `work` must be small enough to
/// become part of the function that is compiled for them.
pub(super) fn widest<R>(work: impl FnOnce() -> R) -> R {
    static ISA: LazyLock<Isa> = LazyLock::new(|| Isa::best(Precision::Single));
    // SAFETY: the lanes are this machine's.
    with_lanes!(*ISA, L => unsafe { L::dispatch(Loops(work)) })
}

struct Loops<F>(F);

impl<L: Lanes, R, F: FnOnce() -> R> Job<L> for Loops<F> {
    type Output = R;

    #[inline(always)]
    unsafe fn run(self) -> R {
        (self.0)()
    }
}

/// Whether this processor multiplies bfloat16.
pub(super) fn has_half() -> bool {
    Isa::best(Precision::Half).is_half()
}

/// Convolutions that learn, as exact as asked for and this machine can.
pub(super) fn learner(precision: Precision) -> Box<dyn Learner> {
    learner_on(Isa::best(precision))
}

fn learner_on(isa: Isa) -> Box<dyn Learner> {
    with_lanes!(isa, L => Box::new(Learn::<L>::new()))
}

/// All convolutions of a backbone, ready to run.
pub(super) struct Backbone {
    engine: Box<dyn Engine>,
    isa: Isa,
}

trait Engine: Send + Sync {
    /// One picture, `(row, column, channel)`, normalised, to the last block's maps; what its parts put out goes to `seen`.
    fn forward(
        &self,
        plan: &Plan,
        picture: &[f32],
        extent: Extent,
        seen: Option<&mut Vec<Activation>>,
    ) -> (Extent, Vec<f32>);
}

impl Backbone {
    /// `layers` in the order of [`super::resnet::conv_shapes`].
    pub(super) fn new<'a>(layers: impl Iterator<Item = (&'a ConvShape, Folded<'a>)>, precision: Precision) -> Self {
        let isa = Isa::best(precision);
        let engine = with_lanes!(isa, L => Box::new(Convs::<L>::new(layers)) as Box<dyn Engine>);
        Self { engine, isa }
    }

    /// Whether activations are kept in half precision.
    pub(super) fn is_half(&self) -> bool {
        self.isa.is_half()
    }

    /// As [`Engine::forward`].
    pub(super) fn forward(
        &self,
        plan: &Plan,
        picture: &[f32],
        extent: Extent,
        seen: Option<&mut Vec<Activation>>,
    ) -> (Extent, Vec<f32>) {
        self.engine.forward(plan, picture, extent, seen)
    }
}

struct Convs<L: Lanes> {
    convs: Vec<Conv<L>>,
    workspace: Workspace<L>,
}

impl<L: Lanes> Convs<L> {
    fn new<'a>(layers: impl Iterator<Item = (&'a ConvShape, Folded<'a>)>) -> Self {
        let layers: Vec<_> = layers.collect();
        // In the order of the layers, whichever is ready first.
        let convs = layers.into_par_iter().map(|(shape, folded)| Conv::new(shape, folded, true)).collect();
        Self { convs, workspace: Workspace::new() }
    }
}

impl<L: Lanes> Engine for Convs<L> {
    fn forward(
        &self,
        plan: &Plan,
        picture: &[f32],
        extent: Extent,
        seen: Option<&mut Vec<Activation>>,
    ) -> (Extent, Vec<f32>) {
        let Self { convs, workspace } = self;
        let input = workspace.maps(extent, |values| {
            values.par_chunks_mut(CHUNK).zip(picture.par_chunks(CHUNK)).for_each(|(to, from)| {
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = L::from_f32(from));
            });
        });
        let Ok(maps) = walk(plan, &mut Pass { convs, workspace, seen }, &input);
        (maps.extent(), widened::<L>(&maps))
    }
}

/// One picture on its way.
struct Pass<'a, L: Lanes> {
    convs: &'a [Conv<L>],
    workspace: &'a Workspace<L>,
    seen: Option<&'a mut Vec<Activation>>,
}

impl<L: Lanes> Layers for Pass<'_, L> {
    type Maps = Maps<L::Value>;
    type Error = Infallible;

    fn conv(
        &mut self,
        index: usize,
        input: &Self::Maps,
        mut residual: Option<Self::Maps>,
        relu: bool,
    ) -> Result<Self::Maps, Infallible> {
        let conv = &self.convs[index];
        let extent = input.extent();
        // Nobody needs the shortcut any more: the sums take its place, which saves fetching memory for them.
        if let Some(mut maps) = residual.take_if(|maps| maps.values_mut().is_some()) {
            let output = maps.values_mut().expect("just seen");
            let after = After { shortcut: Shortcut::Output, relu };
            conv.run(input.values(), extent, after, output, self.workspace);
            return Ok(maps);
        }
        Ok(self.workspace.maps(conv.output(extent), |output| {
            let shortcut = residual.as_ref().map_or(Shortcut::None, |maps| Shortcut::Maps(maps.values()));
            conv.run(input.values(), extent, After { shortcut, relu }, output, self.workspace);
        }))
    }

    fn max_pool(&mut self, input: &Self::Maps) -> Result<Self::Maps, Infallible> {
        let extent = input.extent();
        Ok(self.workspace.maps(pool::output(extent), |output| {
            pool::max_pool::<L>(input.values(), extent, output);
        }))
    }

    fn reached(&mut self, name: &str, maps: &Self::Maps) -> Result<(), Infallible> {
        if let Some(seen) = &mut self.seen {
            let Extent { rows, channels, .. } = maps.extent();
            seen.push(Activation { name: name.into(), side: rows, channels, values: widened::<L>(maps) });
        }
        Ok(())
    }
}

fn widened<L: Lanes>(maps: &Maps<L::Value>) -> Vec<f32> {
    maps.values().iter().map(|&value| L::to_f32(value)).collect()
}

/// One convolution by itself, f32, its sums as they are written down: for measuring what it puts out.
pub(super) struct Single(Box<dyn SingleLayer>);

trait SingleLayer: Send + Sync {
    fn run(&self, input: &[f32], extent: Extent) -> (Extent, Vec<f32>);
}

impl<L: Lanes<Value = f32>> SingleLayer for Conv<L> {
    fn run(&self, input: &[f32], extent: Extent) -> (Extent, Vec<f32>) {
        let out = self.output(extent);
        let mut output = vec![0.0; out.values()];
        self.run(input, extent, After { shortcut: Shortcut::None, relu: false }, &mut output, &Workspace::new());
        (out, output)
    }
}

impl Single {
    /// The bare convolution, `weight` as `(out, in, row, column)`.
    pub(super) fn new(shape: &ConvShape, weight: &[f32]) -> Self {
        let channels = shape.channels_out;
        let folded = Folded { weight, scale: vec![1.0; channels], shift: vec![0.0; channels] };
        Self(match Isa::best(Precision::Single) {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Bf16 | Isa::AmxBf16 => Box::new(Conv::<Avx512>::new(shape, folded, false)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Box::new(Conv::<Avx2>::new(shape, folded, false)),
            Isa::Portable => Box::new(Conv::<Portable>::new(shape, folded, false)),
        })
    }

    pub(super) fn run(&self, input: &[f32], extent: Extent) -> (Extent, Vec<f32>) {
        self.0.run(input, extent)
    }
}

/// The stem's pooling, f32.
pub(super) fn max_pool(input: &[f32], extent: Extent) -> (Extent, Vec<f32>) {
    let out = pool::output(extent);
    let mut output = vec![0.0; out.values()];
    pool::max_pool::<Portable>(input, extent, &mut output);
    (out, output)
}

#[cfg(test)]
mod tests;
