//! Where in a text there is anything to look for: what a block of sixty-four bytes can hold at all, in one pass over them.
//!
//! In noise most blocks can hold nothing but a value's raw bytes, which the search finds by itself; the passes over text
//! leave those blocks out. A block may be said to hold what it does not, never the other way round. The pass has a twin for
//! AVX2, as the mere compares of bytes are most of its work.

use std::ops::Range;

use wide::u8x16;

use super::blocks::{self, BLOCK};

/// What the blocks of a text can hold.
#[derive(Default)]
pub struct Skim {
    /// Bits of [`Kind`], for each block.
    kinds: Vec<u8>,
    /// The bytes of each block where a field can begin; of blocks that were not looked at, none.
    fields: Vec<u64>,
}

/// What a block can hold.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Part of eight word bytes in a row.
    Words = 1,
    /// Part of a run of characters and NULs in turn.
    Wide = 2,
}

impl Skim {
    /// Reads all of a text.
    pub fn of(text: &[u8]) -> Skim {
        let mut skim = Skim::default();
        skim.read(text, 0);
        skim
    }

    /// Reads another text. Blocks that end before `from` are not looked at: they may hold anything but the beginning of a
    /// field.
    pub(super) fn read(&mut self, text: &[u8], from: usize) {
        let skipped = (from / BLOCK).saturating_sub(1);
        self.kinds.clear();
        self.kinds.resize(skipped, ALL);
        self.fields.clear();
        self.fields.resize(skipped, 0);
        let path = text.first() == Some(&b'/');
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { avx2::read(text, path, self) };
        }
        read::<u8x16>(text, path, self);
    }

    /// The first byte, at `at` or later, of a block that can hold this.
    #[inline]
    pub(crate) fn next(&self, kind: Kind, at: usize) -> Option<usize> {
        let start = self.seek(at / BLOCK, |kinds| kinds & kind as u8 != 0)?;
        Some(start.saturating_mul(BLOCK).max(at))
    }

    /// The stretches of the text, from `at` on, whose blocks can hold this. The last one may reach beyond the text.
    #[inline]
    pub(crate) fn stretches(&self, kind: Kind, at: usize) -> impl Iterator<Item = Range<usize>> {
        let mut block = at / BLOCK;
        std::iter::from_fn(move || {
            let start = self.seek(block, |kinds| kinds & kind as u8 != 0)?;
            let end = self.seek(start, |kinds| kinds & kind as u8 == 0);
            block = end.unwrap_or(self.kinds.len());
            Some(start.saturating_mul(BLOCK).max(at)..block.saturating_mul(BLOCK))
        })
    }

    /// The number of the first block, from this one on, of such kinds.
    #[inline]
    fn seek(&self, block: usize, is: impl Fn(u8) -> bool) -> Option<usize> {
        let skipped = self.kinds.get(block..)?.iter().position(|kinds| is(*kinds));
        Some(block.saturating_add(skipped?))
    }

    /// The bytes, from `at` on, that may stand between a name and its value; full stops between words, and tags in front of
    /// a length too.
    #[inline]
    pub(crate) fn fields(&self, at: usize) -> impl Iterator<Item = usize> {
        let first = at / BLOCK;
        let masks = self.fields.get(first..).unwrap_or_default().iter();
        masks.zip(first..).flat_map(move |(mask, block)| {
            let start = block.saturating_mul(BLOCK);
            let known = at.saturating_sub(start);
            let mut mask = mask & !blocks::lowest(known);
            std::iter::from_fn(move || {
                let place = (mask != 0).then_some(mask.trailing_zeros() as usize)?;
                mask = but_first(mask);
                Some(start.saturating_add(place))
            })
        })
    }

    /// Bytes that it takes.
    pub(super) fn capacity(&self) -> usize {
        let fields = self.fields.capacity().saturating_mul(size_of::<u64>());
        self.kinds.capacity().saturating_add(fields)
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
    /// The same where it is ASCII and above this.
    fn above(self, byte: u8) -> Self;
    /// The same where it is one of `0x08..=0x0f`, line breaks among them.
    fn is_control(self) -> Self;
    /// The same where it begins no character of UTF-8, but goes on with one.
    fn is_inner(self) -> Self;
    /// The same where it is one of these; each stands at its lowest four bits.
    fn is_among(self, set: &[u8; 16]) -> Self;
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
    /// Marks of a field; tags of values in a map, which a length follows; full stops.
    marks: u64,
    tags: u64,
    points: u64,
    /// Printable bytes and blanks; bytes above 0x7f, and those of them that begin no character.
    text: u64,
    high: u64,
    inner: u64,
}

impl Masks {
    #[inline(always)]
    fn of<L: Lanes>(block: &[u8; BLOCK], marks: &[u8; 16]) -> Masks {
        let mut masks = Masks::default();
        let mut at = 0usize;
        while at < BLOCK {
            let bytes = L::load(block, at);
            let control = bytes.is_control();
            let add = |mask: &mut u64, lanes: L| *mask |= lanes.bits().wrapping_shl(at as u32);
            add(&mut masks.words, bytes.above(b'$').or(control));
            add(&mut masks.nuls, bytes.is(0));
            add(&mut masks.marks, bytes.is_among(marks));
            add(&mut masks.tags, bytes.is(TAG));
            add(&mut masks.points, bytes.is(b'.'));
            add(&mut masks.text, bytes.above(0x1f).or(control));
            add(&mut masks.high, bytes);
            add(&mut masks.inner, bytes.is_inner());
            at = at.saturating_add(L::COUNT);
        }
        masks
    }
}

/// What is known of a block and needed for the next one: which of its last bytes are what, the last one uppermost.
struct Before {
    /// Word bytes; ends of two and of four of them in a row.
    words: Carry<1>,
    twos: Carry<2>,
    fours: Carry<4>,
    text: Carry<1>,
    /// Bytes above 0x7f, and ends of two of them in a row.
    high: Carry<1>,
    highs: Carry<1>,
    names: Carry<1>,
    /// Marks and full stops behind what they must stand behind.
    marks: Carry<1>,
    tags: Carry<1>,
    /// Lengths behind a tag.
    lengths: Carry<1>,
}

/// What the last bytes of a block are.
///
/// Kept where the next block wants it: of two words shifted together the compiler makes one instruction, which is slow on
/// many processors.
#[derive(Clone, Copy, Default)]
struct Carry<const BYTES: u32>(u64);

impl<const BYTES: u32> Carry<BYTES> {
    /// Each bit so many bytes further on, over the end of the block before; keeps what the next block needs.
    #[inline(always)]
    fn after(&mut self, mask: u64) -> u64 {
        let before = std::mem::replace(
            &mut self.0,
            mask.wrapping_shr(u64::BITS.wrapping_sub(BYTES)),
        );
        mask.wrapping_shl(BYTES) | before
    }
}

/// What a block can hold.
struct Now {
    own: u8,
    /// What the block before it can hold because of that.
    earlier: u8,
    /// Where fields begin in it, but for its last two bytes.
    fields: u64,
    /// The same of the last two bytes of the block before.
    last: u64,
}

impl Before {
    /// What stands before a text may be the first letter of a name.
    fn start() -> Before {
        Before {
            words: Carry(0),
            twos: Carry(0),
            fours: Carry(0),
            text: Carry(1),
            high: Carry(0),
            highs: Carry(0),
            names: Carry(0),
            marks: Carry(0),
            tags: Carry(0),
            lengths: Carry(0),
        }
    }

    #[inline(always)]
    fn then(&mut self, now: Masks) -> Now {
        let behind_words = self.words.after(now.words);
        let twos = now.words & behind_words;
        let fours = twos & self.twos.after(twos);
        let words = fours & self.fours.after(fours);

        // A name ends with two printable bytes, one of them a quote or what stands in front of it, or with bytes above 0x7f
        // if it is not ASCII, a quote behind that or not.
        let texts = now.text & self.text.after(now.text);
        let highs = now.high & self.high.after(now.high);
        let names = texts | (now.inner | now.text) & self.highs.after(highs);
        let marks = now.marks & self.names.after(names) | now.points & behind_words;
        let lengths = self.tags.after(now.tags) & !(now.nuls | now.high);

        // Each is told by the byte that its value begins with, one further on or behind the length.
        let begins = now.text | now.high & !now.inner;
        let next = self.marks.after(marks) & begins;
        let behind = self.lengths.after(lengths) & begins;

        // In twelve bytes in a row half of which are NUL, one of two blocks has three of them.
        let but_two = but_first(but_first(now.nuls));
        let wide = kind(but_two, Kind::Wide);
        Now {
            own: kind(words, Kind::Words) | wide,
            earlier: kind(words & 0x7f, Kind::Words) | wide,
            fields: next.wrapping_shr(1) | behind.wrapping_shr(2),
            last: next.wrapping_shl(63) | behind.wrapping_shl(62),
        }
    }
}

/// All bits but the lowest one that is set.
#[inline(always)]
fn but_first(mask: u64) -> u64 {
    mask & mask.wrapping_sub(1)
}

#[inline(always)]
fn kind(mask: u64, kind: Kind) -> u8 {
    if mask == 0 { 0 } else { kind as u8 }
}

#[inline(always)]
fn read<L: Lanes>(text: &[u8], path: bool, skim: &mut Skim) {
    let known = skim.kinds.len();
    let rest = text.get(known.saturating_mul(BLOCK)..).unwrap_or_default();
    let (blocks, rest) = rest.as_chunks::<BLOCK>();
    let marks = marks(path);
    let mut before = Before::start();
    let mut last = (0, 0);
    let count = blocks.len().saturating_add(2);
    skim.kinds.reserve(count);
    skim.fields.reserve(count);
    let mut wide = 0;
    let mut next = |now: Now| {
        skim.kinds.push(last.0 | now.earlier | wide);
        skim.fields.push(last.1 | now.last);
        wide = last.0 & Kind::Wide as u8;
        last = (now.own, now.fields);
    };
    for block in blocks {
        next(before.then(Masks::of::<L>(block, &marks)));
    }
    if !rest.is_empty() {
        let mut block = [0; BLOCK];
        copy(rest, &mut block);
        next(before.then(Masks::of::<L>(&block, &marks)));
    }
    next(before.then(Masks::default()));
    // Each block was told when the next one was read.
    skim.kinds.remove(known);
    skim.fields.remove(known);
}

/// The bytes that may stand between a name and a value, each at its lowest four bits; slashes only where the text is a path.
fn marks(path: bool) -> [u8; 16] {
    // What stands at another place than its own is nothing.
    let mut marks = [0xff; 16];
    marks[15] = 0;
    for mark in *b":=>@" {
        if let Some(place) = marks.get_mut(usize::from(mark & 15)) {
            *place = mark;
        }
    }
    if path {
        marks[15] = b'/';
    }
    marks
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
    fn above(self, byte: u8) -> Self {
        blocks::within(self, byte.wrapping_add(1), 0x7f_u8.wrapping_sub(byte))
    }

    #[inline(always)]
    fn is_control(self) -> Self {
        blocks::within(self, 0x08, 8)
    }

    #[inline(always)]
    fn is_inner(self) -> Self {
        blocks::within(self, 0x80, 0x40)
    }

    #[inline(always)]
    fn is_among(self, set: &[u8; 16]) -> Self {
        let low = self & u8x16::splat(0x0f);
        u8x16::new(*set).shuffle(low).simd_eq(self)
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

    use super::{BLOCK, Lanes, Skim};

    #[target_feature(enable = "avx2")]
    pub(super) fn read(text: &[u8], path: bool, skim: &mut Skim) {
        super::read::<Half>(text, path, skim);
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
        fn above(self, byte: u8) -> Self {
            // SAFETY: AVX2 is there.
            Half(unsafe { _mm256_cmpgt_epi8(self.0, _mm256_set1_epi8(byte.cast_signed())) })
        }

        #[inline(always)]
        fn is_control(self) -> Self {
            // SAFETY: AVX2 is there.
            Half(unsafe {
                let upper = _mm256_and_si256(self.0, _mm256_set1_epi8(0xf8_u8.cast_signed()));
                _mm256_cmpeq_epi8(upper, _mm256_set1_epi8(0x08))
            })
        }

        #[inline(always)]
        fn is_inner(self) -> Self {
            // SAFETY: AVX2 is there.
            Half(unsafe { _mm256_cmpgt_epi8(_mm256_set1_epi8(0xc0_u8.cast_signed()), self.0) })
        }

        #[inline(always)]
        fn is_among(self, set: &[u8; 16]) -> Self {
            // SAFETY: AVX2 is there, and the load is of sixteen bytes.
            Half(unsafe {
                let set = _mm256_broadcastsi128_si256(_mm_loadu_si128(set.as_ptr().cast()));
                // Of a byte above 0x7f comes zero, which it is not.
                _mm256_cmpeq_epi8(_mm256_shuffle_epi8(set, self.0), self.0)
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

const ALL: u8 = Kind::Words as u8 | Kind::Wide as u8;
/// The tag of a value in a map of texts (protobuf).
pub(crate) const TAG: u8 = 0x12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::noise;
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
            let mut plain = Skim::default();
            read::<u8x16>(&text, path, &mut plain);
            let fast = Skim::of(&text);
            prop_assert_eq!((fast.kinds, fast.fields), (plain.kinds, plain.fields));
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
                ("imei=4", 4), ("\"imei\" : 4", 7), ("ci\x12\x034a", 2), ("\0\x12\x034a", 1), ("k:4", 1), ("a@b.c", 1), ("手机号=4", 9), ("手机号\":4", 10),
                ("59.9", 2), ("<imei>4", 5), ("ssid=\u{e5}", 4), ("\u{456}\u{43c}=\u{456}", 4),
            ][..]),
            after in texts(),
        ) {
            let (field, mark) = field;
            let text = [&before, &b"\n"[..], field.as_bytes(), &after].concat();
            let skim = Skim::of(&text);
            let at = before.len() + 1 + mark;
            prop_assert!(skim.fields(0).any(|field| field == at), "{}", text.escape_ascii());
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
            prop_assert_eq!(skim.fields.len(), skim.kinds.len());
            prop_assert!(skim.fields(from).eq(all.fields(from)));
        }
    }

    #[test]
    fn noise_holds_little() {
        let skim = Skim::of(&noise(1 << 16));
        let blocks = |kind: Kind| {
            let stretches = skim.stretches(kind, 0);
            stretches.map(|range| range.len() / BLOCK).sum::<usize>()
        };
        let told = [
            blocks(Kind::Words),
            blocks(Kind::Wide),
            skim.fields(0).count(),
        ];
        let most = [100, 20, 400];
        let few = told.iter().zip(most).all(|(told, most)| *told < most);
        assert!(few, "{told:?} of 1024");
    }

    #[test]
    fn a_field_is_told_once_and_nothing_else_is_at_every_place() {
        for (text, length) in [
            ("ab:4", 2),
            ("k=4", 1),
            ("b>4", 1),
            ("a@4", 1),
            ("手机号=4", 9),
            ("手机号\":4", 10),
            ("ab\x12\x034", 2),
            ("4.5", 1),
            ("\0\x12\x034", 1),
        ] {
            for before in 0..200 {
                let text = [&vec![b' '; before], text.as_bytes()].concat();
                let told: Vec<usize> = Skim::of(&text).fields(0).collect();
                assert_eq!(told, [before + length], "{}", text.escape_ascii());
            }
        }
    }
}
