//! How much the apps may have on its way to us.

use std::time::Duration;

use crate::flow::Tcp;

/// Shares the device's queue out among the flows that are busy.
///
/// The kernel drops what does not fit into the tun's queue, and a drop costs a retransmission timeout: the windows of all
/// busy flows together stay below it (design section 4). Busy is who sent within this round or the last one.
pub(super) struct Budget {
    total: usize,
    round: u32,
    busy: usize,
    busy_before: usize,
}

impl Budget {
    /// About one retransmission timeout.
    const ROUND: Duration = Duration::from_millis(200);
    /// Largest share: enough for a full link at a tun's round-trip time.
    const MOST: usize = 1024 * 1024;
    /// Segments that a flow may send before it counts as busy (RFC 6928).
    const INITIAL_SEGMENTS: usize = 10;

    /// For a device that queues `packets` of at most `segment` bytes.
    pub(super) fn new(packets: usize, segment: usize) -> Self {
        // Acknowledgements and other traffic share the queue: leave them a third.
        Self {
            total: packets * segment * 2 / 3,
            round: 0,
            busy: 0,
            busy_before: 0,
        }
    }

    /// A flow that last sent in `round` sends now.
    pub(super) fn touch(&mut self, round: &mut u32, now: Duration) {
        let current = (now.as_millis() / Self::ROUND.as_millis()) as u32 + 1;
        if self.round != current {
            self.busy_before = if self.round + 1 == current {
                self.busy
            } else {
                0
            };
            self.busy = 0;
            self.round = current;
        }
        if *round != current {
            *round = current;
            self.busy += 1;
        }
    }

    /// The window of a flow that last sent in `round` (0: never).
    pub(super) fn window(&self, round: u32, segment: u16) -> u32 {
        let segment = usize::from(segment);
        if round == 0 {
            return (Self::INITIAL_SEGMENTS * segment).min(65_535) as u32;
        }
        let share = self.total / self.busy.max(self.busy_before).max(1);
        share
            .clamp(2 * segment, Self::MOST.max(2 * segment))
            .min(Tcp::MOST_WINDOW as usize) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_flows_together_stay_below_the_queue_and_idle_ones_do_not_count() {
        let ms = Duration::from_millis;
        let mut budget = Budget::new(500, 1_448);
        let mut rounds = vec![0u32; 16];
        assert_eq!(budget.window(0, 1_448), 14_480);
        for round in &mut rounds {
            budget.touch(round, ms(10));
        }
        assert!(16 * budget.window(rounds[0], 1_448) as usize <= 500 * 1_448);
        for at in [300, 500] {
            budget.touch(&mut rounds[0], ms(at));
        }
        assert_eq!(
            budget.window(rounds[0], 1_448) as usize,
            500 * 1_448 * 2 / 3
        );
    }
}
