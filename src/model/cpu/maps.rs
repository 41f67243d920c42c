//! Activations and the buffers behind them, which are used again from layer to layer and from picture to picture.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::lanes::{Lanes, Value};

/// Rows, columns and channels of one picture's activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Extent {
    pub(in super::super) rows: usize,
    pub(in super::super) columns: usize,
    pub(in super::super) channels: usize,
}

impl Extent {
    pub(in super::super) fn pixels(self) -> usize {
        self.rows * self.columns
    }

    pub(in super::super) fn values(self) -> usize {
        self.pixels() * self.channels
    }
}

/// The buffers of pictures on their way through the network, one or several at a time.
pub(super) struct Workspace<L: Lanes> {
    pub(super) activations: Arc<Arena<L::Value>>,
    /// For what is f32 whatever the activations are.
    pub(super) singles: Arena<f32>,
}

impl<L: Lanes> Workspace<L> {
    pub(super) fn new() -> Self {
        Self { activations: Arc::new(Arena::new()), singles: Arena::new() }
    }

    /// Activations that `fill` writes; it gets exactly the extent's values to overwrite.
    pub(super) fn maps(&self, extent: Extent, fill: impl FnOnce(&mut [L::Value])) -> Maps<L::Value> {
        let mut values = self.activations.take(extent.values());
        fill(&mut values[..extent.values()]);
        Maps(Rc::new(Held { values, extent, arena: self.activations.clone() }))
    }
}

/// Buffers that are not in use.
pub(super) struct Arena<V>(Mutex<Vec<Vec<V>>>);

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
    pub(super) fn take(&self, length: usize) -> Vec<V> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let best = (0..free.len()).filter(|&i| free[i].len() >= length).min_by_key(|&i| free[i].len());
        match best {
            Some(index) => free.swap_remove(index),
            None => {
                drop(free);
                vec![V::default(); length]
            }
        }
    }

    pub(super) fn give(&self, buffer: Vec<V>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// One picture's activations, `(row, column, channel)`; the buffer goes back to its arena with the last handle.
#[derive(Clone)]
pub(super) struct Maps<V: Value>(Rc<Held<V>>);

struct Held<V: Value> {
    values: Vec<V>,
    extent: Extent,
    arena: Arc<Arena<V>>,
}

impl<V: Value> Drop for Held<V> {
    fn drop(&mut self) {
        self.arena.give(std::mem::take(&mut self.values));
    }
}

impl<V: Value> Maps<V> {
    pub(super) fn values(&self) -> &[V] {
        &self.0.values[..self.0.extent.values()]
    }

    /// To be written over, where no other handle reads them.
    pub(super) fn values_mut(&mut self) -> Option<&mut [V]> {
        let held = Rc::get_mut(&mut self.0)?;
        Some(&mut held.values[..held.extent.values()])
    }

    pub(super) fn extent(&self) -> Extent {
        self.0.extent
    }
}
