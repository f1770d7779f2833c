//! Storage with stable keys.

/// A vector with holes: keys of removed entries are never valid again.
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    len: usize,
}

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// Names one entry of one slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// For storage in one word, such as a poll token.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.insert_with(|_| value)
    }

    /// Inserts a value that others have to be told the key of while it is made.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        self.len += 1;
        if let Some(index) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            let generation = entry.generation;
            let key = Key { index, generation };
            entry.value = Some(make(key));
            return key;
        }
        let index = self.entries.len() as u32;
        let key = Key {
            index,
            generation: 0,
        };
        self.entries.push(Entry {
            generation: 0,
            value: Some(make(key)),
        });
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.index);
        self.len -= 1;
        Some(value)
    }

    /// Takes an entry out for a while; its key stays its own until [`Slab::put_back`].
    pub(crate) fn take(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        entry.value.take_if(|_| entry.generation == key.generation)
    }

    /// Puts an entry back in its place.
    pub(crate) fn put_back(&mut self, key: Key, value: T) {
        if let Some(entry) = self.entries.get_mut(key.index as usize)
            && entry.generation == key.generation
        {
            entry.value = Some(value);
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.index as usize)?;
        entry
            .value
            .as_ref()
            .filter(|_| entry.generation == key.generation)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        entry
            .value
            .as_mut()
            .filter(|_| entry.generation == key.generation)
    }

    /// Keys of all entries, by index.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let occupied = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.value.is_some());
        occupied
            .map(|(index, entry)| Key {
                index: index as u32,
                generation: entry.generation,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_its_entry_without_naming_the_next_one() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(Key::from_bits(second.to_bits())), Some(&"second"));
        assert_eq!((slab.len(), slab.keys()), (1, vec![second]));
    }
}
