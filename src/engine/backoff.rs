//! How often an app is told the same no.

use std::{
    hash::{BuildHasher, Hash},
    time::Duration,
};

use super::Seeded;

/// A bucket of tokens for each refusal that was given lately: an app that tries again at once, for ever, is left without
/// an answer once its bucket is empty, and then waits as for a packet that was lost.
pub(super) struct Backoff {
    seed: u64,
    /// Made with the first refusal. Where two share a place, the later one takes it with a full bucket.
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    tag: u64,
    tokens: u32,
    filled: Duration,
}

impl Backoff {
    /// Refusals remembered: 32 KiB.
    const PLACES: usize = 1_024;
    /// Answers at once: more than a page with many blocked parts tries of one address.
    pub(super) const BURST: u32 = 32;
    /// One more for each of these.
    pub(super) const EVERY: Duration = Duration::from_millis(250);

    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            buckets: Vec::new(),
        }
    }

    /// Whether to answer `what` once more.
    pub(super) fn answers(&mut self, what: impl Hash, now: Duration) -> bool {
        if self.buckets.is_empty() {
            self.buckets = vec![Bucket::default(); Self::PLACES];
        }
        let tag = Seeded(self.seed).hash_one(what) | 1;
        let place = (tag >> 32) as usize % Self::PLACES;
        let Some(bucket) = self.buckets.get_mut(place) else {
            return true;
        };
        if bucket.tag != tag {
            *bucket = Bucket {
                tag,
                tokens: Self::BURST,
                filled: now,
            };
        }
        let periods = now.saturating_sub(bucket.filled).as_millis() / Self::EVERY.as_millis();
        let new = u32::try_from(periods).unwrap_or(u32::MAX);
        if new > 0 {
            bucket.tokens = bucket.tokens.saturating_add(new).min(Self::BURST);
            bucket.filled = now;
        }
        let answers = bucket.tokens > 0;
        bucket.tokens = bucket.tokens.saturating_sub(1);
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_answered_at_the_pace_of_the_bucket_and_others_are_not_held_back() {
        let mut backoff = Backoff::new(7);
        let ms = Duration::from_millis;
        let storm = (0..10_000).filter(|at| backoff.answers("storm", ms(*at)));
        let answered = storm.count();
        let paced = 10_000 / Backoff::EVERY.as_millis() as usize;
        assert!(
            (paced..=paced + Backoff::BURST as usize + 1).contains(&answered),
            "{answered}"
        );
        assert!(!backoff.answers("storm", ms(9_999)));
        assert!(backoff.answers("other", ms(9_999)));
        assert!(backoff.answers("storm", ms(60_000)), "it is forgiven");
    }
}
