//! The backbone on the CPU: channels last, batch norm folded into the weights, bias, shortcut and ReLU done while the sums
//! are in registers, buffers used again.
//!
//! `lanes` is the one place that names instruction sets (tile registers in `lanes::tiles`), `tile` what vector registers hold at
//! a time, `product` the matrix product under every convolution, `blocks` the same by tile registers, `conv` a convolution as
//! such a product over windows, read where they lie or gathered, `winograd` the shorter way for 3 x 3 kernels and `strassen`
//! for 1 x 1, `pool` the stem's pooling, `learn` convolutions with their gradients, `maps` activations and `buffer` the memory
//! under them and under the weights, `scratch` what a thread keeps.
//! Unsafe code lives in `lanes` (instructions), `tile`, `product`, `blocks`, `winograd`, `strassen`, `pool` and `learn` (pointers into
//! grids whose sizes their callers check) and nowhere else.
//!
//! Few sums wait for a multiplication and many for memory. So what is needed next (weights, rows, the place of the output) is
//! asked for while other sums are being made, pixels do not lie a multiple of a page apart, long buffers lie in large pages,
//! and a picture comes with the zeros around it that its windows reach into.
//!
//! A sum runs up its inner dimension in one order however the work is cut, and the short ways cut pictures into tiles and rows
//! into blocks of their own, whatever the threads. So a result is the same to the last bit on any number of threads of one
//! machine; other instruction sets round otherwise.

mod blocks;
mod buffer;
mod conv;
mod lanes;
mod learn;
mod maps;
mod pool;
mod product;
mod scratch;
mod strassen;
mod tile;
mod winograd;

use std::convert::Infallible;
use std::sync::{LazyLock, Mutex, PoisonError};

use conv::{After, Conv, Shortcut};
#[cfg(target_arch = "aarch64")]
use lanes::neon::{Neon, NeonBf16};
#[cfg(target_arch = "x86_64")]
use lanes::x86::{AmxBf16, Avx2, Avx512, Avx512Bf16};
use lanes::{Isa, Job, Lanes, Portable};
pub(super) use learn::{InputGradient, Learner, Size, output_size};
use learn::{Learn, narrow};
pub(super) use maps::Extent;
use maps::{Maps, Workspace, clear_rim};
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
            #[cfg(target_arch = "aarch64")]
            Isa::NeonBf16 => {
                type $lanes = NeonBf16;
                $body
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => {
                type $lanes = Neon;
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

/// Writes the row of that number of a picture, `(column, channel)`, normalised; the second number is that of values from one
/// pixel's first to the next one's, which may be more than channels.
pub(super) type WriteRow<'a> = &'a (dyn Fn(usize, usize, &mut [f32]) + Sync);

trait Engine: Send + Sync {
    /// One picture to the last block's maps, which are returned in extent and whose pixels, all channels of each, go to `each`;
    /// what its parts put out goes to `seen`.
    fn forward(
        &self,
        plan: &Plan,
        extent: Extent,
        write_row: WriteRow<'_>,
        seen: Option<&mut Vec<Activation>>,
        each: &mut dyn FnMut(&[f32]),
    ) -> Extent;
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
        extent: Extent,
        write_row: WriteRow<'_>,
        seen: Option<&mut Vec<Activation>>,
        each: &mut dyn FnMut(&[f32]),
    ) -> Extent {
        self.engine.forward(plan, extent, write_row, seen, each)
    }
}

struct Convs<L: Lanes> {
    convs: Vec<Conv<L>>,
    /// Those that no picture uses, with the thread that last did.
    workspaces: Mutex<Vec<(Option<usize>, Workspace<L>)>>,
}

impl<L: Lanes> Convs<L> {
    fn new<'a>(layers: impl Iterator<Item = (&'a ConvShape, Folded<'a>)>) -> Self {
        let mut layers = layers.peekable();
        let mut alone_or_joined = Vec::new();
        while let Some(layer) = layers.next() {
            let other = layers.next_if(|(shape, _)| Conv::<L>::can_join(layer.0, shape));
            alone_or_joined.push((layer, other));
        }
        // In the order of the layers, whichever is ready first.
        let convs = alone_or_joined.into_par_iter().map(|((shape, own), other)| match other {
            Some((shortcut, other)) => Vec::from(Conv::joined([shape, shortcut], [own, other])),
            None => vec![Conv::new(shape, own, true)],
        });
        Self { convs: convs.flatten_iter().collect(), workspaces: Mutex::default() }
    }

    /// Calls with a workspace that nobody else has, of this thread if there is one: then much of it is still in its core's cache.
    fn with_workspace<R>(&self, then: impl FnOnce(&Workspace<L>) -> R) -> R {
        let free = || self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = rayon::current_thread_index();
        let taken = {
            let mut free = free();
            let own = free.iter().rposition(|(of, _)| *of == thread);
            own.or(free.len().checked_sub(1)).map(|index| free.swap_remove(index).1)
        };
        let workspace = taken.unwrap_or_else(Workspace::new);
        let result = then(&workspace);
        free().push((thread, workspace));
        result
    }
}

impl<L: Lanes> Engine for Convs<L> {
    fn forward(
        &self,
        plan: &Plan,
        extent: Extent,
        write_row: WriteRow<'_>,
        seen: Option<&mut Vec<Activation>>,
        each: &mut dyn FnMut(&[f32]),
    ) -> Extent {
        let convs = self.convs.as_slice();
        let rim = convs.first().map_or(0, |stem| stem.wanted_rim(extent));
        self.with_workspace(|workspace| {
            let input = written(workspace, extent.with_rim(rim), write_row);
            let Ok(maps) = walk(plan, &mut Pass { convs, workspace, seen }, &input);
            each_pixel::<L>(&maps, each);
            maps.extent()
        })
    }
}

impl<L: Lanes> Pass<'_, L> {
    /// The rim that the next convolution wants around what this one puts out, where that goes nowhere else.
    fn rim(&self, index: usize, input: Extent) -> usize {
        let conv = &self.convs[index];
        match self.convs.get(index + 1) {
            Some(next) if conv.goes_only_to(next) && conv.leaves_rim(input) => next.wanted_rim(conv.output(input)),
            _ => 0,
        }
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
            let after = After { shortcut: Shortcut::Output, relu, rim: 0 };
            conv.run(input.values(), extent, after, output, self.workspace);
            return Ok(maps);
        }
        let out = conv.output(extent);
        let rim = self.rim(index, extent);
        Ok(self.workspace.maps(out.with_rim(rim), |output| {
            let shortcut = residual.as_ref().map_or(Shortcut::None, |maps| Shortcut::Maps(maps.values()));
            conv.run(input.values(), extent, After { shortcut, relu, rim }, output, self.workspace);
        }))
    }

    fn end_of_block(
        &mut self,
        [own, shortcut]: [usize; 2],
        inner: &Self::Maps,
        input: &Self::Maps,
    ) -> Result<Self::Maps, Infallible> {
        let (conv, part) = (&self.convs[own], &self.convs[shortcut]);
        if !conv.is_joined() {
            let shortcut = self.conv(shortcut, input, None, false)?;
            return self.conv(own, inner, Some(shortcut), true);
        }
        Ok(self.workspace.maps(conv.output(inner.extent()), |output| {
            let more = (part, input.values(), input.extent());
            conv.run_joined((inner.values(), inner.extent()), more, output);
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

/// The maps whose rows are written one by one.
fn written<L: Lanes>(workspace: &Workspace<L>, extent: Extent, write_row: WriteRow<'_>) -> Maps<L::Value> {
    let Extent { rows, columns, channels, rim } = extent;
    let stride = extent.stride::<L::Value>();
    let line = extent.framed().columns * stride;
    let lines = (CHUNK / (columns * channels)).max(1);
    workspace.maps(extent, |maps| {
        clear_rim(extent, maps);
        let inside = maps[rim * line..][..rows * line].par_chunks_mut(lines * line).enumerate();
        inside.for_each(|(chunk, some)| {
            let mut row = vec![0.0; columns * stride];
            for (index, to) in some.chunks_exact_mut(line).enumerate() {
                write_row(chunk * lines + index, stride, &mut row);
                // SAFETY: the lanes are those of the caller.
                unsafe { L::dispatch(Narrow::<L> { from: &row, to: &mut to[rim * stride..][..columns * stride] }) }
            }
        });
    })
}

/// Values as the lanes keep them.
struct Narrow<'a, L: Lanes> {
    from: &'a [f32],
    to: &'a mut [L::Value],
}

impl<L: Lanes> Job<L> for Narrow<'_, L> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        narrow::<L>(self.from, self.to);
    }
}

/// `values` holds all channels of all pixels side by side.
fn narrowed<L: Lanes>(workspace: &Workspace<L>, extent: Extent, values: &[f32]) -> Maps<L::Value> {
    let length = extent.columns * extent.channels;
    written(workspace, extent, &|row, pixel_values, to| {
        let pixels = values[row * length..][..length].chunks_exact(extent.channels);
        let to = to.chunks_exact_mut(pixel_values).zip(pixels);
        to.for_each(|(to, pixel)| to[..extent.channels].copy_from_slice(pixel));
    })
}

/// Calls with all channels of each pixel, of maps without a rim.
fn each_pixel<L: Lanes>(maps: &Maps<L::Value>, each: &mut dyn FnMut(&[f32])) {
    let extent = maps.extent();
    assert_eq!(extent.rim, 0, "rim");
    let mut wide = vec![0.0; extent.channels];
    for pixel in maps.values().chunks_exact(extent.stride::<L::Value>()) {
        wide.iter_mut().zip(pixel).for_each(|(to, &from)| *to = L::to_f32(from));
        each(&wide);
    }
}

/// All channels of all pixels side by side.
fn widened<L: Lanes>(maps: &Maps<L::Value>) -> Vec<f32> {
    let mut values = Vec::with_capacity(maps.extent().values());
    each_pixel::<L>(maps, &mut |pixel| values.extend_from_slice(pixel));
    values
}

/// One convolution by itself, f32, its sums as they are written down: for measuring what it puts out.
pub(super) struct Single(Box<dyn SingleLayer>);

trait SingleLayer: Send + Sync {
    fn run(&self, input: &[f32], extent: Extent) -> (Extent, Vec<f32>);
}

impl<L: Lanes<Value = f32>> SingleLayer for Conv<L> {
    fn run(&self, input: &[f32], extent: Extent) -> (Extent, Vec<f32>) {
        let workspace = Workspace::<L>::new();
        let input = narrowed(&workspace, extent, input);
        let after = After { shortcut: Shortcut::None, relu: false, rim: 0 };
        let output = workspace.maps(self.output(extent), |output| {
            self.run(input.values(), extent, after, output, &workspace);
        });
        (output.extent(), widened::<L>(&output))
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
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::NeonBf16 => Box::new(Conv::<Neon>::new(shape, folded, false)),
            Isa::Portable => Box::new(Conv::<Portable>::new(shape, folded, false)),
        })
    }

    pub(super) fn run(&self, input: &[f32], extent: Extent) -> (Extent, Vec<f32>) {
        self.0.run(input, extent)
    }
}

/// The stem's pooling, f32.
pub(super) fn max_pool(input: &[f32], extent: Extent) -> (Extent, Vec<f32>) {
    let workspace = Workspace::<Portable>::new();
    let input = narrowed(&workspace, extent, input);
    let output = workspace.maps(pool::output(extent), |output| {
        pool::max_pool::<Portable>(input.values(), extent, output);
    });
    (output.extent(), widened::<Portable>(&output))
}

#[cfg(test)]
mod tests;
