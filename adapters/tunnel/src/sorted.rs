//! Small ordered maps and sets in one piece of memory, which can be reserved.

use alloc::vec::Vec;

/// A map in a sorted vector: a handful of entries, or some hundreds where the memory has to be fixed,
/// mostly added at the end.
#[derive(Debug, Default)]
pub struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K: Ord + Copy, V> SortedMap<K, V> {
    /// Empty, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Takes the memory for `count` entries.
    pub fn reserve(&mut self, count: usize) {
        self.entries.reserve(count);
    }

    /// Puts `value` in the place of `key`.
    pub fn insert(&mut self, key: K, value: V) {
        match self.find(&key) {
            Ok(at) => self.entries[at].1 = value,
            Err(at) => self.entries.insert(at, (key, value)),
        }
    }

    /// Takes the entry of `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key).ok()?;
        Some(self.entries.remove(at).1)
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        Some(&self.entries[self.find(key).ok()?].1)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        Some(&mut self.entries[at].1)
    }

    /// The entry with the least key.
    #[must_use]
    pub fn first(&self) -> Option<&K> {
        self.entries.first().map(|(key, _)| key)
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, key: &K) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| known.cmp(key))
    }
}

/// A set of the same kind.
pub type SortedSet<K> = SortedMap<K, ()>;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_tree(steps in prop::collection::vec((0u8..3, 0u8..20, 0u8..9), 0..200)) {
            let (mut map, mut tree) = (SortedMap::new(), BTreeMap::new());
            for (step, key, value) in steps {
                match step {
                    0 => prop_assert_eq!(map.remove(&key), tree.remove(&key)),
                    1 => prop_assert_eq!(map.get_mut(&key), tree.get_mut(&key)),
                    _ => {
                        map.insert(key, value);
                        tree.insert(key, value);
                    }
                }
                prop_assert_eq!(map.len(), tree.len());
                prop_assert_eq!(map.first(), tree.keys().next());
                prop_assert_eq!(map.get(&key), tree.get(&key));
            }
        }
    }
}
