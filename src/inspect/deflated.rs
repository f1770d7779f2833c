use crate::decode::{Coding, Decoder, Lease, Pool, Progress};

/// Undoes the compression of a connection's messages (permessage-deflate, RFC 7692), which share one window.
#[derive(Default)]
pub(super) struct Deflated {
    machine: Option<(Decoder, Lease)>,
    /// What comes out, a piece at a time.
    out: Vec<u8>,
    /// Compressed bytes so far, and what they gave.
    came: u64,
    gave: u64,
    /// Nothing can be read from here on: each message builds on those before it.
    lost: bool,
}

impl Deflated {
    /// Takes the next compressed bytes and shows what they give; says whether they could be read.
    pub(super) fn push(&mut self, bytes: &[u8], pool: &Pool, show: &mut dyn FnMut(&[u8])) -> bool {
        self.came += bytes.len() as u64;
        if self.machine.is_none() && !self.lost {
            let lease = pool.lease(Decoder::bytes(Coding::Deflate));
            self.machine = lease.map(|lease| (decoder(), lease));
        }
        let Some((machine, _)) = &mut self.machine else {
            self.lost = true;
            return false;
        };
        let mut rest = bytes;
        loop {
            self.out.clear();
            let (took, progress) = machine.push(rest, &mut self.out, PIECE);
            rest = &rest[took..];
            self.gave += self.out.len() as u64;
            show(&self.out);
            let dear = self.gave > INITIAL + RATIO * self.came;
            match progress {
                Progress::Starved => return true,
                Progress::Full if !dear => {}
                // Whoever ends the data itself begins anew with the next message.
                Progress::Done => {
                    *machine = decoder();
                    return true;
                }
                Progress::Full | Progress::Broken => {
                    (self.machine, self.lost) = (None, true);
                    return false;
                }
            }
        }
    }
}

fn decoder() -> Decoder {
    Decoder::new(Coding::Deflate, 0)
}

/// Bytes that come out at once.
const PIECE: usize = 16 * 1024;
/// What may come out before anything went in, and for each byte of that: as the budget of a unit has it.
const INITIAL: u64 = 64 * 1024;
const RATIO: u64 = 24;
