//! Long runs of values: they begin at a line of the cache, and the longest lie in large pages where the system has them.

use std::ops::{Deref, DerefMut, Range};

use super::lanes::Value;
use crate::pages::{LARGE_PAGE, Pages};

/// Bytes of a line of the cache.
pub(super) const LINE: usize = 64;

pub(super) struct Buffer<V> {
    memory: Memory<V>,
    /// The values that are used; those before them make the first fall on a line.
    range: Range<usize>,
}

enum Memory<V> {
    Own(Vec<V>),
    Pages(Pages),
}

impl<V: Value> Buffer<V> {
    /// `length` zeros.
    pub(super) fn new(length: usize) -> Self {
        let bytes = length * size_of::<V>();
        if let Some(pages) = (bytes >= LARGE_PAGE).then(|| Pages::new(bytes)).flatten() {
            return Self { memory: Memory::Pages(pages), range: 0..length };
        }
        let line = LINE / size_of::<V>();
        let values = vec![V::default(); length + line];
        let first = values.as_ptr().align_offset(LINE).min(line);
        Self { memory: Memory::Own(values), range: first..first + length }
    }
}

impl<V: Value> Default for Buffer<V> {
    /// Of no values.
    fn default() -> Self {
        Self { memory: Memory::Own(Vec::new()), range: 0..0 }
    }
}

impl<V: Value> Deref for Buffer<V> {
    type Target = [V];

    fn deref(&self) -> &[V] {
        let all = match &self.memory {
            Memory::Own(values) => values,
            Memory::Pages(pages) => bytemuck::cast_slice(pages),
        };
        &all[self.range.clone()]
    }
}

impl<V: Value> DerefMut for Buffer<V> {
    fn deref_mut(&mut self) -> &mut [V] {
        let all = match &mut self.memory {
            Memory::Own(values) => values,
            Memory::Pages(pages) => bytemuck::cast_slice_mut(pages),
        };
        &mut all[self.range.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Bf16;
    use super::*;

    fn is_zeros_at_a_line<V: Value + PartialEq>(length: usize) {
        let mut buffer = Buffer::<V>::new(length);
        assert_eq!(buffer.len(), length);
        assert!(buffer.iter().all(|value| *value == V::default()), "{length}");
        assert!((buffer.as_ptr() as usize).is_multiple_of(LINE), "{length}");
        buffer.reverse();
    }

    #[test]
    fn buffers_are_zeros_and_begin_at_a_line() {
        assert!(Buffer::<f32>::default().is_empty());
        // On both sides of a large page, and of two.
        for length in [0, 1, 100, (1 << 19) - 1, 1 << 19, (1 << 20) + 1] {
            is_zeros_at_a_line::<f32>(length);
            is_zeros_at_a_line::<Bf16>(length);
        }
    }
}
