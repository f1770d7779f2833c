//! One heap of deadlines for all flows.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// Deadlines, lazily kept: an owner whose deadline moved later is not moved in the heap but asked again when its old
/// one comes. So a flow whose timer is pushed back by every packet costs nothing per packet.
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Duration, K)>>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
        }
    }

    /// Sees to it that `key` comes out at `deadline`. `armed` is the owner's note of its earliest entry here.
    pub(crate) fn arm(&mut self, key: K, deadline: Duration, armed: &mut Option<Duration>) {
        if armed.is_none_or(|at| deadline < at) {
            self.heap.push(Reverse((deadline, key)));
            *armed = Some(deadline);
        }
    }

    /// The earliest entry, which `is_live` has confirmed; others are dropped on the way.
    pub(crate) fn next(
        &mut self,
        mut is_live: impl FnMut(K, Duration) -> bool,
    ) -> Option<Duration> {
        while let Some(&Reverse((at, key))) = self.heap.peek() {
            if is_live(key, at) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes out one entry that is due.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<(Duration, K)> {
        if self.heap.peek()?.0.0 > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moves_later_adds_no_entry_and_an_earlier_one_comes_first() {
        let ms = Duration::from_millis;
        let mut timers = Timers::new();
        let mut armed = None;
        for at in [500, 600, 700, 400, 900] {
            timers.arm(1, ms(at), &mut armed);
        }
        assert_eq!((armed, timers.heap.len()), (Some(ms(400)), 2));
        assert_eq!(timers.expire(ms(399)), None);
        assert_eq!(timers.expire(ms(400)), Some((ms(400), 1)));
        assert_eq!(
            timers.next(|_, at| armed == Some(at)),
            None,
            "stale entries do not wake anybody"
        );
        assert!(timers.heap.is_empty());
    }
}
