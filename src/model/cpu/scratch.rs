//! Buffers of one thread, kept from task to task.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;

use super::lanes::Lanes;

#[derive(Default)]
pub(super) struct Scratch<V> {
    pub(super) rows: Vec<V>,
    pub(super) left: Vec<V>,
    pub(super) line: Vec<V>,
    pub(super) sums: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<HashMap<TypeId, Box<dyn Any>>> = RefCell::new(HashMap::new());
}

pub(super) fn with_scratch<L: Lanes, R>(then: impl FnOnce(&mut Scratch<L::Value>) -> R) -> R {
    SCRATCH.with_borrow_mut(|all| {
        let entry = all.entry(TypeId::of::<L::Value>()).or_insert_with(|| Box::new(Scratch::<L::Value>::default()));
        then(entry.downcast_mut().expect("keyed by its type"))
    })
}

/// The first `length` values of a buffer that grows as needed; what they hold is left over from before.
pub(super) fn sized<V: Copy + Default>(buffer: &mut Vec<V>, length: usize) -> &mut [V] {
    if buffer.len() < length {
        buffer.resize(length, V::default());
    }
    &mut buffer[..length]
}
