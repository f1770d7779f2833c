//! Where in a text there is anything to look for: what a block of sixty-four bytes can hold at all, in one pass over them.
//!
//! In noise most blocks can hold nothing but a value's raw bytes, which the search finds by itself; the passes over text
//! leave those blocks out. A block may be said to hold what it does not, never the other way round. The pass has a twin for
//! AVX2, as the mere compares of bytes are most of its work.

use wide::u8x16;

use super::blocks::{self, BLOCK};

/// What the blocks of a text can hold.
#[derive(Default)]
pub struct Skim {
    /// Bits of [`Kind`], for each block.
    kinds: Vec<u8>,
}

/// What a block can hold.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Part of eight word bytes in a row.
    Words = 1,
    /// Part of a run of characters and NULs in turn.
    Wide = 2,
    /// The mark between a name and a value, an address, or a number with a point.
    Field = 4,
}

impl Skim {
    /// Reads all of a text.
    pub fn of(text: &[u8]) -> Skim {
        let mut skim = Skim::default();
        skim.read(text, 0);
        skim
    }

    /// Reads another text. Blocks that end before `from` are not looked at, and may hold anything.
    pub(super) fn read(&mut self, text: &[u8], from: usize) {
        self.kinds.clear();
        let skipped = (from / BLOCK).saturating_sub(1);
        self.kinds.resize(skipped, ALL);
        let path = text.first() == Some(&b'/');
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { avx2::read(text, path, &mut self.kinds) };
        }
        read::<u8x16>(text, path, &mut self.kinds);
    }

    /// The first byte, at `at` or later, of a block that can hold this.
    #[inline]
    pub(crate) fn next(&self, kind: Kind, at: usize) -> Option<usize> {
        let block = at / BLOCK;
        let kinds = self.kinds.get(block..)?;
        let skipped = kinds.iter().position(|kinds| kinds & kind as u8 != 0)?;
        let start = block.saturating_add(skipped).saturating_mul(BLOCK);
        Some(start.max(at))
    }

    /// Bytes that it takes.
    pub(super) fn capacity(&self) -> usize {
        self.kinds.capacity()
    }
}

/// The first place at `at` or later where the first two bytes of a container may stand.
pub(super) fn find_container(text: &[u8], at: usize) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::find_container(text, at) };
    }
    find::<u8x16>(text, at)
}

/// Several bytes, asked at once.
trait Lanes: Copy {
    /// How many.
    const COUNT: usize;
    /// The first bytes of a block.
    fn load(block: &[u8; BLOCK], at: usize) -> Self;
    /// All bits of a byte where it is this one, none elsewhere.
    fn is(self, byte: u8) -> Self;
    /// The same where it is among `count` from `first` on.
    fn within(self, first: u8, count: u8) -> Self;
    fn or(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    /// The highest bit of each byte, the first one lowest.
    fn bits(self) -> u64;
}

/// One bit for each byte of a block, the first one lowest.
#[derive(Clone, Copy, Default)]
struct Masks {
    words: u64,
    nuls: u64,
    /// Marks of a field; and tags of values in a map, which a length follows.
    marks: u64,
    tags: u64,
    /// Printable bytes and blanks; bytes above 0x7f, and those of them that begin no character.
    text: u64,
    high: u64,
    inner: u64,
    points: u64,
    digits: u64,
}

impl Masks {
    #[inline(always)]
    fn of<L: Lanes>(block: &[u8; BLOCK], path: bool) -> Masks {
        let mut masks = Masks::default();
        let slash = if path { b'/' } else { b':' };
        let mut at = 0usize;
        while at < BLOCK {
            let bytes = L::load(block, at);
            let control = bytes.within(0x08, 8);
            let equals = bytes.within(b'=', 2).or(bytes.is(b':'));
            let marks = equals.or(bytes.is(b'@')).or(bytes.is(slash));
            let shift = at as u32;
            masks.words |= bytes
                .within(b'%', 0x5b)
                .or(control)
                .bits()
                .wrapping_shl(shift);
            masks.nuls |= bytes.is(0).bits().wrapping_shl(shift);
            masks.marks |= marks.bits().wrapping_shl(shift);
            masks.tags |= bytes.is(TAG).bits().wrapping_shl(shift);
            masks.text |= bytes
                .within(0x20, 0x60)
                .or(control)
                .bits()
                .wrapping_shl(shift);
            masks.high |= bytes.bits().wrapping_shl(shift);
            masks.inner |= bytes.within(0x80, 0x40).bits().wrapping_shl(shift);
            masks.points |= bytes.is(b'.').bits().wrapping_shl(shift);
            masks.digits |= bytes.within(b'0', 10).bits().wrapping_shl(shift);
            at = at.saturating_add(L::COUNT);
        }
        masks
    }
}

/// What is known of a block and needed for the next one.
struct Before {
    masks: Masks,
    /// Ends of two and of four word bytes in a row; where NULs and others take turns, and ends of two and of four such places.
    words: [u64; 2],
    turns: [u64; 3],
}

impl Before {
    /// What stands before a text may be a name.
    fn start() -> Before {
        Before {
            masks: Masks {
                text: u64::MAX,
                ..Masks::default()
            },
            words: [0; 2],
            turns: [0; 3],
        }
    }

    /// What a block can hold, and what the one before it can hold because of that.
    #[inline(always)]
    fn then(&mut self, now: Masks) -> (u8, u8) {
        let was = self.masks;
        let twos = now.words & after(now.words, was.words, 1);
        let fours = twos & after(twos, self.words[0], 2);
        let words = fours & after(fours, self.words[1], 4);
        self.words = [twos, fours];

        let turns = now.nuls ^ after(now.nuls, was.nuls, 1);
        let twos = turns & after(turns, self.turns[0], 1);
        let fours = twos & after(twos, self.turns[1], 2);
        let wide = fours & after(fours, self.turns[2], 4);
        self.turns = [turns, twos, fours];

        // From the byte behind a mark: what stands before the mark ends a name, a quote behind that or not, and the byte
        // itself can begin a value. Where a name is not ASCII, its last three bytes are above 0x7f.
        let (last, text) = (after(now.text, was.text, 2), after(now.text, was.text, 3));
        let inner = after(now.inner, was.inner, 2);
        let high = after(now.high, was.high, 3) & after(now.high, was.high, 4);
        let ascii = last & text;
        let other = high & (inner | last & after(now.high, was.high, 5));
        let begins = now.text | now.high & !now.inner;
        let marks = after(now.marks, was.marks, 1) & (ascii | other) & begins;
        let lengths = !(now.nuls | now.high);
        let lengths = after(lengths, !(was.nuls | was.high), 1);
        let tags = after(now.tags, was.tags, 2) & lengths & begins;
        let points =
            after(now.points, was.points, 1) & now.digits & after(now.digits, was.digits, 2);
        let fields = marks | tags | points;
        self.masks = now;

        let own = kind(words, Kind::Words) | kind(wide, Kind::Wide) | kind(fields, Kind::Field);
        let lowest = kind(words & 0x7f, Kind::Words)
            | kind(wide & 0xff, Kind::Wide)
            | kind(fields & 3, Kind::Field);
        (own, lowest)
    }
}

#[inline(always)]
fn kind(mask: u64, kind: Kind) -> u8 {
    if mask == 0 { 0 } else { kind as u8 }
}

/// Each bit `count` bytes further on; `before` is of the block before.
#[inline(always)]
fn after(mask: u64, before: u64, count: u32) -> u64 {
    mask.wrapping_shl(count) | before.wrapping_shr(u64::BITS.wrapping_sub(count))
}

#[inline(always)]
fn read<L: Lanes>(text: &[u8], path: bool, kinds: &mut Vec<u8>) {
    let known = kinds.len();
    let rest = text.get(known.saturating_mul(BLOCK)..).unwrap_or_default();
    let (blocks, rest) = rest.as_chunks::<BLOCK>();
    let mut before = Before::start();
    let mut last = 0;
    kinds.reserve(blocks.len().saturating_add(2));
    for block in blocks {
        let (own, earlier) = before.then(Masks::of::<L>(block, path));
        kinds.push(last | earlier);
        last = own;
    }
    if !rest.is_empty() {
        let mut block = [0; BLOCK];
        copy(rest, &mut block);
        let (own, earlier) = before.then(Masks::of::<L>(&block, path));
        kinds.push(last | earlier);
        last = own;
    }
    // Each block was told when the next one was read.
    if kinds.len() > known {
        kinds.remove(known);
        kinds.push(last);
    }
}

#[inline(always)]
fn find<L: Lanes>(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    while let Some(rest) = text.get(at..)
        && let [_, next @ ..] = rest
        && !next.is_empty()
    {
        let found = match (rest.first_chunk(), next.first_chunk()) {
            (Some(block), Some(next)) => containers::<L>(block, next),
            _ => {
                let (mut block, mut after) = ([0; BLOCK], [0; BLOCK]);
                copy(rest, &mut block);
                copy(next, &mut after);
                containers::<L>(&block, &after)
            }
        };
        if let Some(place) = found {
            return Some(at.saturating_add(place));
        }
        at = at.saturating_add(BLOCK);
    }
    None
}

/// The first place where a container may begin; `next` is the block one byte further on.
#[inline(always)]
fn containers<L: Lanes>(block: &[u8; BLOCK], next: &[u8; BLOCK]) -> Option<usize> {
    let mut at = 0usize;
    while at < BLOCK {
        let (own, next) = (L::load(block, at), L::load(next, at));
        let gzip = own.is(0x1f).and(next.is(0x8b));
        let zip = own.is(b'P').and(next.is(b'K'));
        let zstd = own.is(0x28).and(next.is(0xb5));
        let fast = next.is(1).or(next.is(0x5e));
        let levels = fast.or(next.is(0x9c)).or(next.is(0xda));
        let zlib = own.is(0x78).and(levels);
        let bits = gzip.or(zip).or(zstd).or(zlib).bits();
        if bits != 0 {
            return Some(at.saturating_add(bits.trailing_zeros() as usize));
        }
        at = at.saturating_add(L::COUNT);
    }
    None
}

fn copy(from: &[u8], to: &mut [u8; BLOCK]) {
    for (byte, own) in to.iter_mut().zip(from) {
        *byte = *own;
    }
}

impl Lanes for u8x16 {
    const COUNT: usize = 16;

    #[inline(always)]
    fn load(block: &[u8; BLOCK], at: usize) -> Self {
        let quarter = block.get(at..).and_then(|rest| rest.first_chunk());
        u8x16::new(quarter.copied().unwrap_or_default())
    }

    #[inline(always)]
    fn is(self, byte: u8) -> Self {
        blocks::is(self, byte)
    }

    #[inline(always)]
    fn within(self, first: u8, count: u8) -> Self {
        blocks::within(self, first, count)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline(always)]
    fn bits(self) -> u64 {
        self.to_bitmask().into()
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{BLOCK, Lanes};

    #[target_feature(enable = "avx2")]
    pub(super) fn read(text: &[u8], path: bool, kinds: &mut Vec<u8>) {
        super::read::<Half>(text, path, kinds);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn find_container(text: &[u8], at: usize) -> Option<usize> {
        super::find::<Half>(text, at)
    }

    /// Half a block. Only the functions above, which have AVX2, make one.
    #[derive(Clone, Copy)]
    struct Half(__m256i);

    impl Lanes for Half {
        const COUNT: usize = 32;

        #[inline(always)]
        fn load(block: &[u8; BLOCK], at: usize) -> Self {
            let half: &[u8; 32] = if at == 0 {
                block.first_chunk()
            } else {
                block.last_chunk()
            }
            .unwrap_or(&[0; 32]);
            // SAFETY: AVX2 is there (see the type), and the load is of 32 bytes.
            Half(unsafe { _mm256_loadu_si256(half.as_ptr().cast()) })
        }

        #[inline(always)]
        fn is(self, byte: u8) -> Self {
            // SAFETY: AVX2 is there.
            Half(unsafe { _mm256_cmpeq_epi8(self.0, _mm256_set1_epi8(byte.cast_signed())) })
        }

        #[inline(always)]
        fn within(self, first: u8, count: u8) -> Self {
            // SAFETY: AVX2 is there.
            Half(unsafe {
                let place = _mm256_sub_epi8(self.0, _mm256_set1_epi8(first.cast_signed()));
                let last = _mm256_set1_epi8(count.wrapping_sub(1).cast_signed());
                _mm256_cmpeq_epi8(_mm256_min_epu8(place, last), place)
            })
        }

        #[inline(always)]
        fn or(self, other: Self) -> Self {
            // SAFETY: AVX2 is there.
            Half(unsafe { _mm256_or_si256(self.0, other.0) })
        }

        #[inline(always)]
        fn and(self, other: Self) -> Self {
            // SAFETY: AVX2 is there.
            Half(unsafe { _mm256_and_si256(self.0, other.0) })
        }

        #[inline(always)]
        fn bits(self) -> u64 {
            // SAFETY: AVX2 is there.
            u64::from(unsafe { _mm256_movemask_epi8(self.0) }.cast_unsigned())
        }
    }
}

const ALL: u8 = Kind::Words as u8 | Kind::Wide as u8 | Kind::Field as u8;
/// The tag of a value in a map of texts (protobuf).
pub(crate) const TAG: u8 = 0x12;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that are near each other in one class or another more often than by chance.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => any::<u8>(),
            2 => prop::sample::select(&b":=>@/\x12\x04.\"' \n\0\0\0"[..]),
            4 => b'a'..=b'z',
            2 => b'0'..=b'9',
            1 => 0x80u8..=0xbf,
        ];
        prop::collection::vec(byte, 0..300)
    }

    proptest! {
        #[test]
        fn the_vectors_and_their_portable_twin_agree(text in texts(), path: bool) {
            let mut text = text;
            if path { text.insert(0, b'/'); }
            let path = text.first() == Some(&b'/');
            let mut plain = Vec::new();
            read::<u8x16>(&text, path, &mut plain);
            prop_assert_eq!(Skim::of(&text).kinds, plain);
            prop_assert_eq!(find_container(&text, 0), find::<u8x16>(&text, 0));
        }

        #[test]
        fn a_block_that_holds_a_run_says_so(text in texts()) {
            let skim = Skim::of(&text);
            let holds = |kind: Kind, at: usize| skim.next(kind, at) == Some(at);
            prop_assert_eq!(skim.kinds.len(), text.len().div_ceil(BLOCK));
            for (at, run) in text.windows(8).enumerate() {
                if run.iter().all(|byte| blocks::is_word(*byte)) {
                    prop_assert!(holds(Kind::Words, at) && holds(Kind::Words, at + 7));
                }
            }
            for (at, run) in text.windows(12).enumerate() {
                if run.windows(2).all(|pair| (pair[0] == 0) != (pair[1] == 0)) {
                    prop_assert!(holds(Kind::Wide, at) && holds(Kind::Wide, at + 11));
                }
            }
        }

        #[test]
        fn a_block_with_a_field_in_it_says_so(
            before in texts(),
            field in prop::sample::select(&[
                ("imei=4", 4), ("\"imei\" : 4", 7), ("ci\x12\x034a", 2), ("k:4", 1), ("a@b.c", 1), ("手机号=4", 9), ("手机号\":4", 10),
                ("59.9", 2), ("<imei>4", 5), ("ssid=\u{e5}", 4), ("\u{456}\u{43c}=\u{456}", 4),
            ][..]),
            after in texts(),
        ) {
            let (field, mark) = field;
            let text = [&before, &b"\n"[..], field.as_bytes(), &after].concat();
            let skim = Skim::of(&text);
            let at = before.len() + 1 + mark;
            prop_assert_eq!(skim.next(Kind::Field, at), Some(at), "{}", text.escape_ascii());
        }

        #[test]
        fn what_was_not_looked_at_may_hold_anything(text in texts(), from in 0usize..400) {
            let mut skim = Skim::default();
            skim.read(&text, from);
            let all = Skim::of(&text);
            prop_assert_eq!(skim.kinds.len().max(all.kinds.len()), skim.kinds.len());
            for (own, all) in skim.kinds.iter().zip(&all.kinds).skip(from / BLOCK + 1) {
                prop_assert_eq!(own & all, *all);
            }
        }
    }

    #[test]
    fn noise_holds_little() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .take(1 << 16)
        .collect();
        let skim = Skim::of(&noise);
        let share = |kind: Kind| {
            skim.kinds
                .iter()
                .filter(|kinds| **kinds & kind as u8 != 0)
                .count()
        };
        assert!(
            share(Kind::Words) < 100 && share(Kind::Wide) < 5,
            "{}",
            share(Kind::Words)
        );
        assert!(share(Kind::Field) < 512, "{} of 1024", share(Kind::Field));
    }
}
