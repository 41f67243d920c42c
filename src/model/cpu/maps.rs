//! Activations and the buffers behind them, which are used again from layer to layer and from picture to picture.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::buffer::{Buffer, LINE};
use super::lanes::{Lanes, Value};

/// Rows, columns and channels of one picture's activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Extent {
    pub(in super::super) rows: usize,
    pub(in super::super) columns: usize,
    pub(in super::super) channels: usize,
    /// Pixels of zeros on each side, not counted in `rows` and `columns`: so windows that reach over the edge can be read where
    /// they lie.
    pub(super) rim: usize,
}

impl Extent {
    /// Without a rim.
    pub(in super::super) fn new(rows: usize, columns: usize, channels: usize) -> Self {
        Self { rows, columns, channels, rim: 0 }
    }

    pub(super) fn with_rim(self, rim: usize) -> Self {
        Self { rim, ..self }
    }

    /// The rim counted in.
    pub(super) fn framed(self) -> Self {
        Self::new(self.rows + 2 * self.rim, self.columns + 2 * self.rim, self.channels)
    }

    /// Without the rim.
    pub(in super::super) fn pixels(self) -> usize {
        self.rows * self.columns
    }

    /// Without the rim, all channels of all pixels side by side.
    pub(in super::super) fn values(self) -> usize {
        self.pixels() * self.channels
    }

    /// The first pixel within the rim, counted with it.
    pub(super) fn first_pixel(self) -> usize {
        self.rim * (self.framed().columns + 1)
    }

    /// Values from pixel to pixel in a buffer of activations: whole groups. Where channels are many it is a line of the cache more
    /// than there are: pixels a multiple of 2 KiB apart would push each other out of it.
    pub(super) fn stride<V: Value>(self) -> usize {
        let line = LINE / size_of::<V>();
        let crowded = (self.channels * size_of::<V>()).is_multiple_of(CROWDED);
        self.channels.next_multiple_of(V::GROUP) + if crowded { line } else { 0 }
    }

    /// Length of a buffer of activations, the rim included.
    pub(super) fn room<V: Value>(self) -> usize {
        self.framed().pixels() * self.stride::<V>()
    }
}

/// Writes the zeros around a picture.
pub(super) fn clear_rim<V: Value>(extent: Extent, maps: &mut [V]) {
    if extent.rim == 0 {
        return;
    }
    let stride = extent.stride::<V>();
    let side = extent.rim * stride;
    let inside = extent.rim..extent.rim + extent.rows;
    for (row, line) in maps.chunks_exact_mut(extent.framed().columns * stride).enumerate() {
        if inside.contains(&row) {
            line[..side].fill(V::default());
            line[side + extent.columns * stride..].fill(V::default());
        } else {
            line.fill(V::default());
        }
    }
}

/// Bytes between addresses that few lines of a cache can hold together.
const CROWDED: usize = 2048;

/// The buffers of a picture on its way through the network.
pub(super) struct Workspace<L: Lanes> {
    pub(super) activations: Arc<Arena<L::Value>>,
    /// For what is f32 whatever the activations are.
    pub(super) singles: Arena<f32>,
}

impl<L: Lanes> Workspace<L> {
    pub(super) fn new() -> Self {
        Self { activations: Arc::new(Arena::new()), singles: Arena::new() }
    }

    /// Activations that `fill` writes; it gets exactly [`Extent::room`] to overwrite.
    pub(super) fn maps(&self, extent: Extent, fill: impl FnOnce(&mut [L::Value])) -> Maps<L::Value> {
        let room = extent.room::<L::Value>();
        let mut values = self.activations.take(room);
        fill(&mut values[..room]);
        Maps(Rc::new(Held { values, extent, arena: self.activations.clone() }))
    }
}

/// Buffers that are not in use.
pub(super) struct Arena<V>(Mutex<Vec<Buffer<V>>>);

impl<V: Value> Arena<V> {
    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The smallest buffer that is large enough, else a new one. What it holds is left over from before.
    pub(super) fn take(&self, length: usize) -> Buffer<V> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let best = (0..free.len()).filter(|&i| free[i].len() >= length).min_by_key(|&i| free[i].len());
        match best {
            Some(index) => free.swap_remove(index),
            None => {
                drop(free);
                Buffer::new(length)
            }
        }
    }

    pub(super) fn give(&self, buffer: Buffer<V>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// One picture's activations, `(row, column, channel)`; the buffer goes back to its arena with the last handle.
#[derive(Clone)]
pub(super) struct Maps<V: Value>(Rc<Held<V>>);

struct Held<V: Value> {
    values: Buffer<V>,
    extent: Extent,
    arena: Arc<Arena<V>>,
}

impl<V: Value> Drop for Held<V> {
    fn drop(&mut self) {
        self.arena.give(std::mem::take(&mut self.values));
    }
}

impl<V: Value> Maps<V> {
    /// [`Extent::stride`] from pixel to pixel.
    pub(super) fn values(&self) -> &[V] {
        &self.0.values[..self.0.extent.room::<V>()]
    }

    /// To be written over, where no other handle reads them.
    pub(super) fn values_mut(&mut self) -> Option<&mut [V]> {
        let held = Rc::get_mut(&mut self.0)?;
        Some(&mut held.values[..held.extent.room::<V>()])
    }

    pub(super) fn extent(&self) -> Extent {
        self.0.extent
    }
}
