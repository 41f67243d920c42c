//! What has been uploaded, least recently used out first. Knows no wgpu, so that it can be tested without a device.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Identity of a shared value. While a key lives its address cannot be used again, so a key never means another
/// value; it does not keep the value's contents alive.
#[derive(Debug, Clone)]
pub struct SourceKey(Weak<dyn Any + Send + Sync>);

impl SourceKey {
    pub fn of<T: Any + Send + Sync>(source: &Arc<T>) -> Self {
        let weak = Arc::downgrade(source);
        Self(weak)
    }
    fn address(&self) -> usize {
        self.0.as_ptr().cast::<()>() as usize
    }
    pub fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl PartialEq for SourceKey {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

struct Entry<T> {
    key: SourceKey,
    value: T,
    bytes: u64,
    used: u64,
}

/// Values by source, at most `budget` bytes of them, or a single larger one.
pub struct Cache<T> {
    entries: HashMap<usize, Entry<T>>,
    bytes: u64,
    budget: u64,
    clock: u64,
}

impl<T: Clone> Cache<T> {
    pub fn new(budget: u64) -> Self {
        Self { entries: HashMap::new(), bytes: 0, budget, clock: 0 }
    }
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
    /// The value made from `key`'s source, and marks it as used.
    pub fn get(&mut self, key: &SourceKey) -> Option<T> {
        self.clock += 1;
        let entry = self.entries.get_mut(&key.address())?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }
    /// Makes room, first of what belongs to dropped sources. Call before making the value, so that old and new do
    /// not lie in memory together.
    pub fn make_room(&mut self, bytes: u64) {
        self.entries.retain(|_, entry| !entry.key.is_gone());
        self.bytes = self.entries.values().map(|entry| entry.bytes).sum();
        while self.bytes + bytes > self.budget {
            let Some(oldest) = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(address, _)| *address) else {
                return;
            };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
    }
    pub fn insert(&mut self, key: SourceKey, value: T, bytes: u64) {
        self.clock += 1;
        let entry = Entry { key, value, bytes, used: self.clock };
        if let Some(replaced) = self.entries.insert(entry.key.address(), entry) {
            self.bytes -= replaced.bytes;
        }
        self.bytes += bytes;
    }
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &mut Cache<u32>, source: &Arc<u32>, bytes: u64) {
        cache.make_room(bytes);
        cache.insert(SourceKey::of(source), **source, bytes);
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let sources: Vec<Arc<u32>> = (0..4).map(Arc::new).collect();
        let mut cache = Cache::new(30);
        for source in &sources[..3] {
            put(&mut cache, source, 10);
        }
        assert_eq!(cache.get(&SourceKey::of(&sources[0])), Some(0));
        put(&mut cache, &sources[3], 10);
        assert_eq!(cache.get(&SourceKey::of(&sources[1])), None);
        assert_eq!(cache.get(&SourceKey::of(&sources[0])), Some(0));
        assert_eq!(cache.bytes(), 30);
    }

    #[test]
    fn what_belongs_to_dropped_sources_goes_before_anything_else() {
        let (kept, dropped) = (Arc::new(1), Arc::new(2));
        let mut cache = Cache::new(20);
        put(&mut cache, &kept, 10);
        put(&mut cache, &dropped, 10);
        drop(dropped);
        put(&mut cache, &Arc::new(3), 10);
        assert_eq!(cache.get(&SourceKey::of(&kept)), Some(1));
    }

    #[test]
    fn one_value_larger_than_the_budget_is_kept_alone() {
        let (small, large) = (Arc::new(1), Arc::new(2));
        let mut cache = Cache::new(20);
        put(&mut cache, &small, 10);
        put(&mut cache, &large, 100);
        assert_eq!((cache.bytes(), cache.get(&SourceKey::of(&large))), (100, Some(2)));
    }

    #[test]
    fn a_key_outlives_its_source_without_meaning_another() {
        let key = SourceKey::of(&Arc::new(7_u64));
        for value in 0..100_u64 {
            assert!(key != SourceKey::of(&Arc::new(value)));
        }
    }
}
