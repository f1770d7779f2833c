//! Which flow a segment belongs to.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::{Seeded, tcp::TcpFlow};
use crate::{
    flow::{Key, Slab},
    wire::Pair,
};

/// The keys of flows by the ends of their connections, which only the flows themselves keep.
pub(super) struct Pairs {
    table: HashTable<Entry>,
    seed: Seeded,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    key: Key,
}

impl Entry {
    /// The table wants its bits spread over the whole of a word.
    fn spread(hash: u32) -> u64 {
        u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Pairs {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            table: HashTable::new(),
            seed: Seeded(seed),
        }
    }

    /// The flow of `flows` between the ends of `pair`.
    pub(super) fn get(&self, pair: &Pair, flows: &Slab<TcpFlow>) -> Option<Key> {
        let hash = self.hash(pair);
        let is_it = |entry: &Entry| {
            let flow = || flows.get(entry.key);
            entry.hash == hash && flow().is_some_and(|flow| flow.record().pair() == *pair)
        };
        let found = self.table.find(Entry::spread(hash), is_it)?;
        Some(found.key)
    }

    /// Takes note of a flow between ends that no other has.
    pub(super) fn insert(&mut self, pair: &Pair, key: Key) {
        let hash = self.hash(pair);
        let entry = Entry { hash, key };
        let again = |entry: &Entry| Entry::spread(entry.hash);
        self.table.insert_unique(Entry::spread(hash), entry, again);
    }

    /// Forgets a flow.
    pub(super) fn remove(&mut self, pair: &Pair, key: Key) {
        let hash = Entry::spread(self.hash(pair));
        if let Ok(entry) = self.table.find_entry(hash, |entry| entry.key == key) {
            entry.remove();
        }
    }

    fn hash(&self, pair: &Pair) -> u32 {
        let hash = self.seed.hash_one(pair);
        (hash ^ (hash >> 32)) as u32
    }
}
