use serde::Serialize;

/// What may still be spent on decoding: one counter over all branches of a unit, charged by output bytes and calls.
#[derive(Clone, Debug)]
pub struct Budget {
    left: u64,
    spent: bool,
    effort: Effort,
}

/// What reading a message took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Effort {
    /// Bytes that arrived.
    pub arrived: u64,
    /// Bytes that decoders gave, over all branches.
    pub decoded: u64,
    /// How often a decoder was called.
    pub calls: u64,
}

impl Budget {
    /// A budget for a unit of which nothing has arrived yet: 256 KiB, so that a small body may be well compressed.
    pub fn new() -> Self {
        Self {
            left: INITIAL,
            spent: false,
            effort: Effort::default(),
        }
    }

    /// Begins the next unit; what reading took goes on to be counted.
    pub fn renew(&mut self) {
        let effort = self.effort;
        *self = Self {
            effort,
            ..Self::new()
        };
    }

    /// Adds what `bytes` newly arrived bytes entitle to: 24 decoded bytes for each, and 512 because what was there before is
    /// looked at again.
    pub fn grant(&mut self, bytes: usize) {
        self.effort.arrived = self.effort.arrived.saturating_add(bytes as u64);
        let more = (bytes as u64).saturating_mul(RATIO);
        let more = more.saturating_add(ARRIVAL);
        self.left = self.left.saturating_add(more).min(LIMIT);
    }

    /// Whether something was left undecoded because the budget was spent.
    pub fn is_spent(&self) -> bool {
        self.spent
    }

    /// What was spent so far.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Notes that something was left undecoded, for want of room or memory.
    pub fn exhaust(&mut self) {
        self.spent = true;
    }

    /// Takes `output` bytes that a stream's decoder gave out of the budget; refuses when it is spent.
    pub fn take(&mut self, output: usize) -> bool {
        self.pay(output, output as u64)
    }

    /// Takes one decoder call with at most `output` bytes out of the budget; refuses when it is spent.
    pub(super) fn charge(&mut self, output: usize) -> bool {
        self.pay(output, (output as u64).saturating_add(CALL))
    }

    /// As [`Self::charge`], for a decoder that is tried where nothing says that there is anything to decode, or that is dear
    /// to set up.
    pub(super) fn charge_try(&mut self) -> bool {
        self.pay(0, TRY)
    }

    /// How many decoded bytes can still be paid.
    pub(super) fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    fn pay(&mut self, output: usize, price: u64) -> bool {
        let Some(left) = self.left.checked_sub(price) else {
            self.spent = true;
            return false;
        };
        self.left = left;
        self.effort.decoded = self.effort.decoded.saturating_add(output as u64);
        self.effort.calls = self.effort.calls.saturating_add(1);
        true
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// What a unit may spend before any of it has arrived.
const INITIAL: u64 = 256 * 1024;
/// Decoded bytes for one byte on the wire, over all branches: four base64 phases cost 3, and a nested one as much again.
const RATIO: u64 = 24;
/// What may be spent for every arrival, however small.
const ARRIVAL: u64 = 512;
/// What a quiet stream can save up: 16 MiB.
const LIMIT: u64 = 16 * 1024 * 1024;
/// What a decoder call costs beside its output.
const CALL: u64 = 16;
/// What setting up a decompressor costs.
const TRY: u64 = 64;
