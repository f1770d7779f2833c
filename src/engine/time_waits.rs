//! Connections in TIME-WAIT, as compact entries.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::Seeded;
use crate::{
    flow::still_due,
    wire::{Flags, Pair, Segment},
};

/// Connections that are over, kept to answer a FIN that comes again (RFC 9293 section 3.6.1).
pub(super) struct TimeWaits {
    by_pair: HashMap<Pair, (u32, u32), Seeded>,
    order: VecDeque<(Duration, Pair)>,
    pub(super) armed: Option<Duration>,
}

impl TimeWaits {
    /// The app is on this machine: no segment of it is older than this.
    pub(super) const LENGTH: Duration = Duration::from_secs(2);
    /// Entries at most.
    const MOST: usize = 4_096;

    pub(super) fn new(seed: u64) -> Self {
        Self {
            by_pair: HashMap::with_hasher(Seeded(seed)),
            order: VecDeque::new(),
            armed: None,
        }
    }

    pub(super) fn insert(&mut self, pair: Pair, numbers: (u32, u32), until: Duration) {
        if self.by_pair.len() >= Self::MOST
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.by_pair.remove(&oldest);
        }
        self.by_pair.insert(pair, numbers);
        self.order.push_back((until, pair));
    }

    /// Whether `segment` belongs to an entry and wants an acknowledgement. A new SYN or a reset ends the entry.
    pub(super) fn answers(&mut self, segment: &Segment, syn: bool) -> bool {
        if !self.by_pair.contains_key(&segment.pair) {
            return false;
        }
        if syn || segment.flags.contains(Flags::RST) {
            self.by_pair.remove(&segment.pair);
            return false;
        }
        true
    }

    pub(super) fn numbers(&self, pair: &Pair) -> (u32, u32) {
        self.by_pair.get(pair).copied().unwrap_or_default()
    }

    pub(super) fn still_due(&mut self, at: Duration) -> Option<Duration> {
        let deadline = self.deadline();
        still_due(&mut self.armed, at, deadline)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.order.front().map(|(until, _)| *until)
    }

    pub(super) fn expire(&mut self, now: Duration) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, pair)) = self.order.pop_front() {
                self.by_pair.remove(&pair);
            }
        }
    }
}
