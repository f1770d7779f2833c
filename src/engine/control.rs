//! Whole packets on their way to the device: resets, ICMP, datagrams.

use std::collections::VecDeque;

/// A bounded queue of packets; its buffers are used again.
#[derive(Default)]
pub(super) struct Control {
    queue: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Control {
    /// Packets at most: a device whose queue stands this long loses datagrams, as a network does.
    const MOST: usize = 1_024;
    /// Buffers kept ready.
    const SPARE: usize = 64;

    /// Adds a packet that `write` makes; false where the queue is full or `write` says there is none.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        if self.queue.len() >= Self::MOST {
            return false;
        }
        let mut packet = self.spare.pop().unwrap_or_default();
        packet.clear();
        if !write(&mut packet) {
            self.spare.push(packet);
            return false;
        }
        self.queue.push_back(packet);
        true
    }

    /// Moves the first packet into `packet`.
    pub(super) fn pop(&mut self, packet: &mut Vec<u8>) -> bool {
        let Some(next) = self.queue.pop_front() else {
            return false;
        };
        let old = std::mem::replace(packet, next);
        if self.spare.len() < Self::SPARE && old.capacity() > 0 {
            self.spare.push(old);
        }
        true
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
    }
}
