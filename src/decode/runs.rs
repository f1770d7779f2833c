//! Runs of digits of an encoding in one text, and what they decode to, gathered into one text for the search.

use std::ops::Range;

use super::{
    base32, base64,
    blocks::{is_break, is_hex, lowest},
    budget::Budget,
    digits::{BASE64_SHORTEST, Digits, Run, without_breaks},
    hex, packed,
    text::{Layer, Origin, Segment, Text},
};

/// Decoded runs of one text, with a byte between them that is part of no value.
pub(super) struct Runs {
    decoded: Vec<u8>,
    segments: Vec<Segment>,
    base64: Digits,
    base32: Digits,
    hex: Digits,
    /// Of the run of base64 that was read last.
    sextets: Vec<u8>,
    /// Digits without the breaks between them.
    joined: Vec<u8>,
    packed: Vec<u8>,
}

impl Runs {
    /// The next run of base64 in a stretch of the text.
    #[inline]
    pub(super) fn base64(&mut self, bytes: &[u8], within: Range<usize>) -> Option<Run> {
        self.base64.next(bytes, within)
    }

    /// The next run of base32 in a stretch of the text.
    #[inline]
    pub(super) fn base32(&mut self, bytes: &[u8], within: Range<usize>) -> Option<Run> {
        self.base32.next(bytes, within)
    }

    /// The next run of hexadecimal digits in a stretch of the text.
    #[inline]
    pub(super) fn hex(&mut self, bytes: &[u8], within: Range<usize>) -> Option<Run> {
        // A run of twelve digits has the twelfth byte or a later one in it; most words have none there.
        let twelfth = bytes.get(within.start.saturating_add(11))?;
        if within.len() < 24 && !is_hex(*twelfth) && !is_break(*twelfth) {
            return None;
        }
        self.hex.next(bytes, within)
    }

    /// Reads a run of base64; gives the phases at which it can be meant.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], run: &Run, cut: bool) -> [bool; 4] {
        base64::read(
            without_breaks(run, bytes, &mut self.joined),
            &mut self.sextets,
        );
        base64::phases(&self.sextets, cut)
    }

    /// Values of the characters of the run of base64 that was read last.
    pub(super) fn sextets(&self) -> &[u8] {
        &self.sextets
    }

    /// The digits of a run, without breaks.
    pub(super) fn digits<'a>(&'a mut self, bytes: &'a [u8], run: &Run) -> &'a [u8] {
        without_breaks(run, bytes, &mut self.joined)
    }

    /// Adds what a run of base64 decodes to at each phase at which it can be meant, as far as the budget lasts.
    #[inline]
    pub(super) fn add_base64(&mut self, bytes: &[u8], run: &Run, budget: &mut Budget) {
        if run.digits < base64::LONG && !run.is_broken() {
            return self.add_short_base64(bytes, run, budget);
        }
        let phases = self.read(bytes, run, false);
        self.packed.clear();
        packed::pack_sextets(&self.sextets, &mut self.packed);
        for (phase, _) in phases.iter().enumerate().filter(|(_, tried)| **tried) {
            let left = run.digits.saturating_sub(phase);
            let layer = Layer::Base64 { phase };
            if left < BASE64_SHORTEST || !budget.charge(layer.expected(left)) {
                continue;
            }
            self.begin(run.range.clone(), layer);
            let (bit, count) = (phase.saturating_mul(6), base64::length(left));
            packed::append_from(&self.packed, bit, count, &mut self.decoded);
            self.decoded.push(BETWEEN);
        }
    }

    /// Most runs are words of a few letters: their bits are in one integer.
    #[inline]
    fn add_short_base64(&mut self, bytes: &[u8], run: &Run, budget: &mut Budget) {
        let (bits, separators) = base64::bits(&block_at(bytes, run.range.start));
        let phases = base64::phases_after(separators & lowest(run.digits));
        for (phase, _) in phases.iter().enumerate().filter(|(_, tried)| **tried) {
            let left = run.digits.saturating_sub(phase);
            let layer = Layer::Base64 { phase };
            if left >= BASE64_SHORTEST && budget.charge(layer.expected(left)) {
                self.begin(run.range.clone(), layer);
                self.append(
                    bits.wrapping_shl(6u32.wrapping_mul(phase as u32)),
                    base64::length(left),
                );
            }
        }
    }

    /// Adds what a run of base32 decodes to, if it can be meant, as far as the budget lasts.
    #[inline]
    pub(super) fn add_base32(&mut self, bytes: &[u8], run: &Run, budget: &mut Budget) {
        let characters = bytes.get(run.range.clone()).unwrap_or_default();
        let layer = Layer::Base32 { phase: 0 };
        if base32::is_length(run.digits)
            && base32::is_of_one_case(characters)
            && budget.charge(layer.expected(run.digits))
        {
            self.begin(run.range.clone(), layer);
            let digits = without_breaks(run, bytes, &mut self.joined);
            base32::decode(digits, 0, &mut self.decoded);
            self.decoded.push(BETWEEN);
        }
    }

    /// Adds what a run of hexadecimal digits decodes to from its first and from its second digit on, as far as the
    /// budget lasts.
    #[inline]
    pub(super) fn add_hex(&mut self, bytes: &[u8], run: &Run, budget: &mut Budget) {
        let short = run.range.len() < HEX_BITS && !run.is_broken();
        let mut bits = 0;
        if short {
            bits = hex::bits(&block_at(bytes, run.range.start));
        } else {
            let digits = without_breaks(run, bytes, &mut self.joined);
            self.packed.clear();
            packed::pack_hex(digits, &mut self.packed);
        }
        for phase in 0..2usize {
            let layer = Layer::Hex { phase };
            if !budget.charge(layer.expected(run.digits)) {
                continue;
            }
            self.begin(run.range.clone(), layer);
            let bit = phase.saturating_mul(4);
            let count = hex::length(run.digits.saturating_sub(phase));
            if short {
                self.append(bits.wrapping_shl(bit as u32), count);
            } else {
                packed::append_from(&self.packed, bit, count, &mut self.decoded);
                self.decoded.push(BETWEEN);
            }
        }
    }

    /// Adds what `decode` appends for a part of the text, at most `output` bytes, if the budget lasts.
    pub(super) fn add(
        &mut self,
        range: &Range<usize>,
        layer: Layer,
        output: usize,
        budget: &mut Budget,
        decode: impl FnOnce(&mut Vec<u8>),
    ) {
        if budget.charge(output) {
            self.begin(range.clone(), layer);
            decode(&mut self.decoded);
            self.decoded.push(BETWEEN);
        }
    }

    #[inline]
    fn begin(&mut self, range: Range<usize>, layer: Layer) {
        self.segments.push(Segment {
            start: self.decoded.len(),
            range,
            layer,
        });
    }

    /// Appends the highest `count` bytes of an integer, fewer than it has, and what stands between runs.
    #[inline]
    fn append(&mut self, bits: u128, count: usize) {
        let end = self.decoded.len().saturating_add(count);
        let after = (!u128::MAX.wrapping_shr((count as u32).wrapping_mul(8))) & bits;
        let between =
            u128::from(BETWEEN).wrapping_shl(120u32.saturating_sub((count as u32).wrapping_mul(8)));
        self.decoded
            .extend_from_slice(&(after | between).to_be_bytes());
        self.decoded.truncate(end.saturating_add(1));
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes added.
    pub(super) fn len(&self) -> usize {
        self.decoded.len()
    }

    /// All that was added, in one text.
    pub(super) fn text<'a>(&'a self, outer: &'a Text<'a>) -> Text<'a> {
        Text {
            bytes: &self.decoded,
            from: 0,
            cut: false,
            open: false,
            more: false,
            json: false,
            multipart: false,
            reopened: false,
            origin: Origin::Runs {
                outer,
                segments: &self.segments,
            },
        }
    }

    /// Forgets what was added.
    pub(super) fn clear(&mut self) {
        self.decoded.clear();
        self.segments.clear();
    }

    /// Makes ready for another text.
    pub(super) fn renew(&mut self) {
        self.clear();
        self.base64.renew();
        self.base32.renew();
        self.hex.renew();
    }

    /// Bytes that the buffers take.
    pub(super) fn capacity(&self) -> usize {
        let buffers = [&self.decoded, &self.sextets, &self.joined, &self.packed];
        let bytes: usize = buffers.iter().map(|buffer| buffer.capacity()).sum();
        bytes.saturating_add(
            self.segments
                .capacity()
                .saturating_mul(size_of::<Segment>()),
        )
    }
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            decoded: Vec::new(),
            segments: Vec::new(),
            base64: Digits::base64(),
            base32: Digits::base32(),
            hex: Digits::hex(),
            sextets: Vec::new(),
            joined: Vec::new(),
            packed: Vec::new(),
        }
    }
}

/// Bytes from `at` on; zeros beyond the end.
#[inline]
fn block_at(bytes: &[u8], at: usize) -> [u8; 32] {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(block) => *block,
        None => std::array::from_fn(|place| rest.get(place).copied().unwrap_or_default()),
    }
}

/// Fewer hexadecimal digits than this are in one integer, with room for what stands between runs.
const HEX_BITS: usize = 30;
/// What stands between decoded runs: neither printable nor a line break.
const BETWEEN: u8 = 0xff;
