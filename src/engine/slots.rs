//! The arena that the tun is read into, and what of it is still to be sent.

use crate::wire::{Checksum, Span};

/// Room for one packet from the device.
pub struct Slot {
    /// As long as the largest packet, or the longest segment that the device leaves whole.
    pub bytes: Box<[u8]>,
    /// Bytes of the packet that was read; set by the shell.
    pub len: usize,
    /// What the device says of its checksums; set by the shell.
    pub checksum: Checksum,
    /// Whether the packet came in fragments, or was kept: what is sent on may be fragmented again.
    pub(super) fragmentable: bool,
}

impl Slot {
    pub(super) fn get(&self, span: Span) -> &[u8] {
        self.bytes
            .get(span.start as usize..span.end as usize)
            .unwrap_or(&[])
    }

    /// Fills the slot with a packet.
    pub(super) fn put(&mut self, packet: &[u8]) {
        if self.bytes.len() < packet.len() {
            self.bytes = vec![0; packet.len()].into_boxed_slice();
        }
        if let Some(room) = self.bytes.get_mut(..packet.len()) {
            room.copy_from_slice(packet);
            self.len = packet.len();
            self.checksum = Checksum::Trust;
            self.fragmentable = true;
        }
    }

    /// Whether the packet must reach its destination in one piece, or not at all: in IPv6 that goes without saying.
    pub(super) fn is_whole(&self) -> bool {
        let dont_fragment = match self.bytes.first().map(|byte| byte >> 4) {
            Some(4) => self.bytes.get(6).is_some_and(|flags| flags & 0x40 != 0),
            _ => true,
        };
        dont_fragment && !self.fragmentable
    }

    /// The packet itself.
    pub(super) fn packet(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

/// The bytes of a span in a slot.
pub(super) fn payload(slots: &[Slot], slot: usize, span: Span) -> &[u8] {
    slots.get(slot).map_or(&[], |slot| slot.get(span))
}

/// Makes the arena for packets of at most `mtu` bytes: enough for a batch, about 2 MiB at most, and one more slot for
/// packets that were kept.
pub(super) fn arena(mtu: usize) -> Vec<Slot> {
    let bytes = mtu.max(1_500);
    let count = (2 * 1024 * 1024 / bytes).clamp(16, 128);
    let slot = || Slot {
        bytes: vec![0; bytes].into_boxed_slice(),
        len: 0,
        checksum: Checksum::Verify,
        fragmentable: false,
    };
    std::iter::repeat_with(slot).take(count + 1).collect()
}

/// Runs of payload in slots, chained per flow; one array for all flows, emptied with each batch.
#[derive(Default)]
pub(super) struct Refs {
    items: Vec<Ref>,
}

struct Ref {
    slot: u16,
    span: Span,
    next: u32,
}

/// One flow's runs, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefList {
    first: u32,
    last: u32,
    pub(super) bytes: usize,
}

impl Default for RefList {
    fn default() -> Self {
        Self {
            first: Refs::NONE,
            last: Refs::NONE,
            bytes: 0,
        }
    }
}

impl Refs {
    const NONE: u32 = u32::MAX;

    pub(super) fn push(&mut self, list: &mut RefList, slot: usize, span: Span) {
        if span.start == span.end {
            return;
        }
        let index = self.items.len() as u32;
        self.items.push(Ref {
            slot: slot as u16,
            span,
            next: Self::NONE,
        });
        match self.items.get_mut(list.last as usize) {
            Some(last) => last.next = index,
            None => list.first = index,
        }
        list.last = index;
        list.bytes += (span.end - span.start) as usize;
    }

    /// The runs of a list, in order.
    pub(super) fn iter<'a>(
        &'a self,
        list: &RefList,
        slots: &'a [Slot],
    ) -> impl Iterator<Item = &'a [u8]> {
        let mut at = list.first;
        std::iter::from_fn(move || {
            let item = self.items.get(at as usize)?;
            at = item.next;
            slots
                .get(item.slot as usize)
                .map(|slot| slot.get(item.span))
        })
    }

    /// Drops the first `n` bytes of a list.
    pub(super) fn consume(&mut self, list: &mut RefList, n: usize) {
        let mut left = n;
        while let Some(item) = self.items.get_mut(list.first as usize) {
            let here = (item.span.end - item.span.start) as usize;
            if left < here {
                item.span.start += left as u32;
                break;
            }
            left -= here;
            list.first = item.next;
        }
        list.bytes = list.bytes.saturating_sub(n);
        if list.bytes == 0 {
            *list = RefList::default();
        }
    }

    /// Forgets all runs: the slots are about to be filled anew.
    pub(super) fn clear(&mut self) {
        self.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_share_the_array_and_are_consumed_from_the_front() {
        let mut slots = arena(1_500);
        for (value, slot) in slots.iter_mut().enumerate() {
            slot.bytes.fill(value as u8);
        }
        let mut refs = Refs::default();
        let (mut one, mut two) = (RefList::default(), RefList::default());
        for slot in 0..3 {
            refs.push(&mut one, slot, Span { start: 10, end: 20 });
            refs.push(&mut two, slot, Span { start: 0, end: 5 });
        }
        refs.consume(&mut one, 14);
        let left: Vec<u8> = refs.iter(&one, &slots).flatten().copied().collect();
        assert_eq!(left, [[1; 6].as_slice(), &[2; 10]].concat());
        assert_eq!((one.bytes, two.bytes), (16, 15));
        refs.consume(&mut one, 16);
        assert_eq!(refs.iter(&one, &slots).count(), 0);
        refs.push(&mut one, 7, Span { start: 0, end: 1 });
        assert_eq!(
            refs.iter(&one, &slots)
                .flatten()
                .copied()
                .collect::<Vec<_>>(),
            [7]
        );
    }
}
