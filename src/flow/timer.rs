//! One heap of deadlines for all flows.

use std::{cmp::Reverse, collections::BinaryHeap, num::NonZeroU64, time::Duration};

/// A moment on the engine's clock, in a word; so is one that may be missing.
///
/// Nanoseconds, of which five centuries fit; what is later is as good as never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NonZeroU64);

impl From<Duration> for Moment {
    fn from(at: Duration) -> Self {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }
}

impl From<Moment> for Duration {
    fn from(Moment(at): Moment) -> Self {
        Duration::from_nanos(at.get() - 1)
    }
}

/// Deadlines, lazily kept: an owner whose deadline moved later is not moved in the heap but asked again when its old
/// one comes. So a flow whose timer is pushed back by every packet costs nothing per packet.
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Duration, K)>>,
    /// More entries than this are looked through.
    many: usize,
}

impl<K: Ord + Copy> Timers<K> {
    /// Entries that are not worth looking through.
    const FEW: usize = 64;

    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            many: Self::FEW,
        }
    }

    /// Sees to it that `key` comes out at `deadline`. `armed` is the owner's note of its earliest entry here.
    pub(crate) fn arm<M>(&mut self, key: K, deadline: Duration, armed: &mut Option<M>)
    where
        M: Copy + From<Duration> + Into<Duration>,
    {
        if armed.is_none_or(|at| deadline < at.into()) {
            self.heap.push(Reverse((deadline, key)));
            *armed = Some(deadline.into());
        }
    }

    /// The earliest deadline. `due` gives the deadline of the owner of an entry by [`still_due`]; what has moved later
    /// moves here too, so that nobody is woken for nothing.
    pub(crate) fn next(
        &mut self,
        mut due: impl FnMut(K, Duration) -> Option<Duration>,
    ) -> Option<Duration> {
        if self.heap.len() > self.many {
            self.sweep(&mut due);
        }
        while let Some(&Reverse((at, key))) = self.heap.peek() {
            let deadline = due(key, at);
            if deadline.is_some_and(|deadline| deadline <= at) {
                return deadline;
            }
            self.heap.pop();
            self.heap
                .extend(deadline.map(|later| Reverse((later, key))));
        }
        None
    }

    /// Drops what is of no use any more. A connection leaves the deadline of its handshake behind, more than a minute away:
    /// without this, as many would be kept as are made in a minute. Done whenever the entries have doubled, it costs each
    /// of them next to nothing.
    fn sweep(&mut self, mut due: impl FnMut(K, Duration) -> Option<Duration>) {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.retain_mut(|Reverse((at, key))| match due(*key, *at) {
            Some(deadline) => {
                *at = deadline;
                true
            }
            None => false,
        });
        entries.sort_unstable();
        entries.dedup();
        self.many = (2 * entries.len()).max(Self::FEW);
        entries.shrink_to(self.many);
        self.heap = entries.into();
    }

    /// Takes out one entry that is due.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<(Duration, K)> {
        if self.heap.peek()?.0.0 > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

/// The owner's `deadline` as it is now, if the entry at `at` is the one it noted; the note follows.
pub(crate) fn still_due<M>(
    armed: &mut Option<M>,
    at: Duration,
    deadline: Option<Duration>,
) -> Option<Duration>
where
    M: Copy + From<Duration> + Into<Duration>,
{
    if armed.map(Into::into) != Some(at) {
        return None;
    }
    *armed = deadline.map(M::from);
    deadline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_exact_and_takes_a_word() {
        for at in [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_secs(1 << 33),
        ] {
            assert_eq!(Duration::from(Moment::from(at)), at);
        }
        let never = Duration::from(Moment::from(Duration::MAX));
        assert!(never > Duration::from_secs(1 << 34));
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }

    #[test]
    fn a_deadline_that_moves_later_adds_no_entry_and_an_earlier_one_comes_first() {
        let ms = Duration::from_millis;
        let mut timers = Timers::new();
        let mut armed: Option<Duration> = None;
        for at in [500, 600, 700, 400, 900] {
            timers.arm(1, ms(at), &mut armed);
        }
        assert_eq!((armed, timers.heap.len()), (Some(ms(400)), 2));
        assert_eq!(timers.expire(ms(399)), None);
        assert_eq!(timers.expire(ms(400)), Some((ms(400), 1)));
        armed = Some(ms(500));
        let mut next = |deadline| timers.next(|_, at| still_due(&mut armed, at, deadline));
        assert_eq!(
            next(Some(ms(900))),
            Some(ms(900)),
            "nobody is woken at the old time"
        );
        assert_eq!(next(None), None, "nobody is woken for nothing");
        assert_eq!(armed, None);
        assert!(timers.heap.is_empty());
    }

    #[test]
    fn what_is_of_no_use_any_more_is_dropped_long_before_its_time() {
        let s = Duration::from_secs;
        let mut timers = Timers::new();
        // Every owner has a late deadline, then an earlier one that comes, and then none; the last hundred are alive.
        let mut armed: Vec<Option<Duration>> = vec![None; 10_000];
        for (key, armed) in armed.iter_mut().enumerate() {
            timers.arm(key, s(75), armed);
            timers.arm(key, s(1), armed);
        }
        while timers.expire(s(1)).is_some() {}
        armed[..9_900].fill(None);
        armed[9_900..].fill(Some(s(75)));
        let next = |timers: &mut Timers<usize>, armed: &mut [Option<Duration>]| {
            timers.next(|key, at| still_due(&mut armed[key], at, Some(s(80))))
        };
        assert_eq!(next(&mut timers, &mut armed), Some(s(80)));
        assert_eq!(timers.heap.len(), 100);
        assert!(timers.heap.capacity() <= 200);
        for (key, armed) in armed.iter().enumerate().skip(9_900) {
            assert_eq!(*armed, Some(s(80)), "{key}");
        }
        assert_eq!(
            std::iter::from_fn(|| timers.expire(s(80))).count(),
            100,
            "who is alive is woken"
        );
    }
}
