/// What may still be spent on decoding: one counter over all branches of a unit, charged by output bytes and calls.
#[derive(Clone, Debug)]
pub struct Budget {
    left: u64,
    spent: bool,
}

impl Budget {
    /// A budget for a unit of which nothing has arrived yet: 64 KiB.
    pub fn new() -> Self {
        Self {
            left: INITIAL,
            spent: false,
        }
    }

    /// Adds what `bytes` newly arrived bytes entitle to: 24 decoded bytes for each.
    pub fn grant(&mut self, bytes: usize) {
        let more = (bytes as u64).saturating_mul(RATIO);
        self.left = self.left.saturating_add(more).min(LIMIT);
    }

    /// Whether something was left undecoded because the budget was spent.
    pub fn is_spent(&self) -> bool {
        self.spent
    }

    /// Takes one decoder call with at most `output` bytes out of the budget; refuses when it is spent.
    pub(super) fn charge(&mut self, output: usize) -> bool {
        let price = (output as u64).saturating_add(CALL);
        match self.left.checked_sub(price) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.spent = true;
                false
            }
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// What a unit may spend before any of it has arrived.
const INITIAL: u64 = 64 * 1024;
/// Decoded bytes for one byte on the wire, over all branches: four base64 phases cost 3, and a nested one as much again.
const RATIO: u64 = 24;
/// What a quiet stream can save up: 16 MiB.
const LIMIT: u64 = 16 * 1024 * 1024;
/// What a decoder call costs beside its output.
const CALL: u64 = 16;
