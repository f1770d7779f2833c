//! Who has been idle for longest.

use std::{collections::BTreeSet, time::Duration};

/// Members in the order in which they were last active, lazily kept: who is active is moved only when it is looked at,
/// so that activity costs nothing here.
pub(crate) struct Idle<K> {
    order: BTreeSet<(Duration, K)>,
}

impl<K: Ord + Copy> Idle<K> {
    pub(crate) fn new() -> Self {
        Self {
            order: BTreeSet::new(),
        }
    }

    /// Adds a member that was active at `at`, which it notes as where it is listed.
    pub(crate) fn insert(&mut self, key: K, at: Duration) {
        self.order.insert((at, key));
    }

    /// Takes a member out that is listed at `listed`.
    pub(crate) fn remove(&mut self, key: K, listed: Duration) {
        self.order.remove(&(listed, key));
    }

    /// The member that has been idle for longest. `relist` gives when a member was last active; it notes that as where it
    /// is listed from now on.
    pub(crate) fn longest(&mut self, mut relist: impl FnMut(K) -> Option<Duration>) -> Option<K> {
        loop {
            let (listed, key) = self.order.pop_first()?;
            let Some(last) = relist(key) else {
                continue;
            };
            self.order.insert((last, key));
            if last <= listed {
                return Some(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_active_since_it_was_listed_is_passed_over_and_listed_anew() {
        let s = Duration::from_secs;
        let mut idle = Idle::new();
        let mut last = [s(1), s(2), s(3)];
        for (key, at) in last.iter().enumerate() {
            idle.insert(key, *at);
        }
        last[0] = s(9);
        assert_eq!(idle.longest(|key| Some(last[key])), Some(1));
        idle.remove(1, s(2));
        assert_eq!(idle.longest(|key| Some(last[key])), Some(2));
        idle.remove(2, s(3));
        assert_eq!(idle.longest(|key| Some(last[key])), Some(0));
        assert_eq!(idle.longest(|_| None), None, "one that is gone is dropped");
    }
}
