//! Whole packets on their way to the device: resets, ICMP, datagrams.

use std::collections::VecDeque;

/// A bounded queue of packets; its buffers are used again.
#[derive(Default)]
pub(super) struct Control {
    queue: VecDeque<Vec<u8>>,
    /// Bytes in the queue.
    queued: usize,
    spare: Vec<Vec<u8>>,
}

impl Control {
    /// Packets at most: a device whose queue stands this long loses datagrams, as a network does.
    const MOST: usize = 1_024;
    /// Bytes at most, for packets may be long.
    const MOST_BYTES: usize = 4 << 20;
    /// Buffers kept ready.
    const SPARE: usize = 64;
    /// A larger one is not kept.
    const SPARE_BYTES: usize = 4_096;

    /// Adds a packet that `write` makes; false where the queue is full or `write` says there is none.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        if self.queue.len() >= Self::MOST || self.queued >= Self::MOST_BYTES {
            return false;
        }
        let mut packet = self.spare.pop().unwrap_or_default();
        packet.clear();
        if !write(&mut packet) {
            self.spare.push(packet);
            return false;
        }
        self.queued += packet.len();
        self.queue.push_back(packet);
        true
    }

    /// Moves the first packet into `packet`.
    pub(super) fn pop(&mut self, packet: &mut Vec<u8>) -> bool {
        let Some(next) = self.queue.pop_front() else {
            return false;
        };
        self.queued -= next.len();
        let old = std::mem::replace(packet, next);
        let fits = (1..=Self::SPARE_BYTES).contains(&old.capacity());
        if fits && self.spare.len() < Self::SPARE {
            self.spare.push(old);
        }
        true
    }

    /// Frees the buffers that nobody needs.
    pub(super) fn shed(&mut self) {
        self.spare = Vec::new();
    }

    /// Bytes of the packets that wait and of the buffers kept.
    pub(super) fn bytes(&self) -> usize {
        self.queued + self.spare.iter().map(Vec::capacity).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_in_order_and_the_queue_is_bounded() {
        let mut control = Control::default();
        for n in 0..2 * Control::MOST {
            let added = control.push(|packet| {
                packet.push(n as u8);
                true
            });
            assert_eq!(added, n < Control::MOST);
        }
        assert!(!control.push(|_| false));
        let mut packet = Vec::new();
        for n in 0..Control::MOST {
            assert!(control.pop(&mut packet));
            assert_eq!(packet, [n as u8]);
        }
        assert!(!control.pop(&mut packet));
        control.shed();
        let long = std::iter::from_fn(|| {
            let added = control.push(|packet| {
                packet.resize(65_535, 0);
                true
            });
            added.then_some(())
        });
        assert_eq!(long.count(), Control::MOST_BYTES.div_ceil(65_535));
        while control.pop(&mut packet) {}
        assert!(
            control.bytes() < Control::SPARE_BYTES,
            "long buffers are not kept"
        );
    }
}
