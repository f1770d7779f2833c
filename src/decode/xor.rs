//! Bytes that were all XORed with the same one: keys under which they read like text.

/// Keys other than 0 that turn `bytes` into text, the likeliest first, at most [`MOST_KEYS`]; none where they are text as
/// they stand. Looks at the first [`SAMPLE`] bytes.
pub(super) fn keys(bytes: &[u8]) -> Keys {
    let sample = bytes.get(..SAMPLE).unwrap_or(bytes);
    if sample.len() < SHORTEST {
        return Keys::default();
    }
    // Text has no byte above 0x7f, or few: the highest bit is that of the key.
    let high = sample.iter().filter(|byte| **byte >= 0x80).count();
    let few = sample.len() / 16;
    let top = match (high <= few, sample.len().saturating_sub(high) <= few) {
        (true, _) => 0,
        (false, true) => 0x80,
        (false, false) => return Keys::default(),
    };
    let nuls = sample.iter().filter(|byte| **byte == 0).count();
    // Keys below 16 turn digits into digits: what is a number is taken as it stands.
    if nuls > sample.len() / 4 || sample.iter().all(u8::is_ascii_digit) {
        return Keys::default();
    }
    let own: i32 = sample.iter().map(|byte| weight(*byte)).sum();
    let marks = sample.iter().filter(|byte| b"=&: ".contains(byte)).count();
    let rare = sample.iter().filter(|byte| weight(**byte) <= 0).count();
    let length = i32::try_from(sample.len()).unwrap_or(0);
    if own >= length.saturating_mul(USUAL) && marks > 0 && rare <= sample.len() / 32 {
        return Keys::default();
    }
    // Letters and digits alone may be text with its marks turned into letters.
    let allowance = if marks == 0 { own / 8 } else { 0 };
    let least = own
        .saturating_sub(allowance)
        .max(length.saturating_mul(LEAST));
    let scores = scores(sample, top);
    let mut keys = Keys::default();
    let tried = scores.into_iter().zip(top..=top | 0x7f);
    for (score, key) in tried.filter(|(score, key)| *key != 0 && *score >= least) {
        keys.add(score, key);
    }
    keys
}

/// The weight of `sample` under each key with the highest bit `top`.
///
/// The sum over all bytes of `count(byte) * weight(byte ^ key)` is a convolution over XOR: the Walsh-Hadamard transform
/// makes a product of it (Fino and Algazi, Unified matrix treatment of the fast Walsh-Hadamard transform, 1976).
fn scores(sample: &[u8], top: u8) -> [i32; HALF] {
    let mut scores = [0i32; HALF];
    let mut others = 0i32;
    for byte in sample {
        match scores.get_mut(usize::from(*byte ^ top)) {
            Some(count) => *count = count.wrapping_add(1),
            None => others = others.wrapping_add(1),
        }
    }
    transform(&mut scores);
    for (score, weight) in scores.iter_mut().zip(&TRANSFORMED) {
        *score = score.wrapping_mul(*weight);
    }
    transform(&mut scores);
    // Under such a key the others have their highest bit set.
    let others = others.wrapping_mul(NO_TEXT);
    scores.map(|score| score.wrapping_shr(HALF.ilog2()).wrapping_add(others))
}

/// The Walsh-Hadamard transform, in place; twice, it multiplies by [`HALF`].
const fn transform(values: &mut [i32; HALF]) {
    let mut half = 1;
    while half < HALF {
        let mut start = 0;
        while start < HALF {
            let (front, _) = values.split_at_mut(start.wrapping_add(half).wrapping_add(half));
            let (_, both) = front.split_at_mut(start);
            let (low, high) = both.split_at_mut(half);
            butterfly(low, high);
            start = start.wrapping_add(half).wrapping_add(half);
        }
        half = half.wrapping_add(half);
    }
}

#[inline]
const fn butterfly(low: &mut [i32], high: &mut [i32]) {
    let (mut low, mut high) = (low, high);
    while let (Some((a, lows)), Some((b, highs))) = (low.split_first_mut(), high.split_first_mut())
    {
        (*a, *b) = (a.wrapping_add(*b), a.wrapping_sub(*b));
        (low, high) = (lows, highs);
    }
}

/// The transform of the weights of bytes below 0x80.
static TRANSFORMED: [i32; HALF] = {
    let mut weights = [0; HALF];
    let mut rest: &mut [i32] = &mut weights;
    let mut byte = 0u8;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = weigh(byte) as i32;
        byte = byte.wrapping_add(1);
        rest = others;
    }
    transform(&mut weights);
    weights
};

/// Keys, the likeliest first.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Score and key; those not there have a score that no key has.
    best: [(i32, u8); MOST_KEYS],
}

impl Keys {
    /// The keys that are hardly less likely than the first.
    pub(super) fn iter(&self) -> impl Iterator<Item = u8> {
        let [(most, _), ..] = self.best;
        let near =
            move |(score, _): &&(i32, u8)| *score > 0 && most.saturating_sub(*score) <= most / 8;
        self.best.iter().take_while(near).map(|(_, key)| *key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Takes a key among the best ones, if it is one.
    fn add(&mut self, score: i32, key: u8) {
        let mut next = (score, key);
        for place in &mut self.best {
            if next > *place {
                std::mem::swap(place, &mut next);
            }
        }
    }
}

/// How much a byte looks like one of a text that carries values.
#[inline]
fn weight(byte: u8) -> i32 {
    WEIGHTS
        .get(usize::from(byte))
        .copied()
        .unwrap_or_default()
        .into()
}

/// [`weight`] of every byte.
static WEIGHTS: [i8; 256] = {
    let mut weights = [0; 256];
    let mut rest: &mut [i8] = &mut weights;
    let mut byte = 0u8;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = weigh(byte);
        byte = byte.wrapping_add(1);
        rest = others;
    }
    weights
};

const fn weigh(byte: u8) -> i8 {
    match byte {
        b'0'..=b'9' => 7,
        b'a'..=b'z' | b'"' => 6,
        b' ' | b':' | b',' | b'A'..=b'Z' => 4,
        b'=' | b'&' | b'.' | b'-' | b'_' | b'/' | b'@' | b'{' | b'}' => 4,
        b'\r' | b'\n' | b'\t' => 1,
        0x21..=0x7e => 0,
        _ => NO_TEXT as i8,
    }
}

/// Bytes that a value has at least (design: 12 or more characters).
const SHORTEST: usize = 12;
const SAMPLE: usize = 256;
/// Keys of which the highest bit is known.
const HALF: usize = 128;
/// Weight of a byte that text does not have.
const NO_TEXT: i32 = -12;
const MOST_KEYS: usize = 8;
/// Weight of a byte of text, on average, at least.
const LEAST: i32 = 4;
/// Weight of a byte of text, on average, where it has its marks in it as well.
const USUAL: i32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_key_of_text() {
        for text in [
            &br#"{"imei":"490154203237518","model":"TA-1046"}"#[..],
            b"490154203237518",
            b"imei=490154203237518&mac=02:00:5e:10:20:3f",
            b"kari.nordmann@mail.example",
        ] {
            let is_missed = |key: &u8| {
                let hidden: Vec<u8> = text.iter().map(|byte| byte ^ key).collect();
                let found = keys(&hidden);
                assert!(found.iter().all(|found| found != 0));
                !found.iter().any(|found| found == *key)
            };
            // Under a few keys a text reads like another one.
            let missed: Vec<u8> = (0x20..=255).filter(is_missed).collect();
            assert!(missed.len() <= 8, "{}: {missed:x?}", text.escape_ascii());
        }
    }

    #[test]
    fn scores_as_byte_by_byte() {
        let samples: [&[u8]; 3] = [
            br#"{"imei":"490154203237518"}"#,
            b"\x80\xff\x00 a1",
            &[0xb5; SAMPLE],
        ];
        for sample in samples {
            for top in [0, 0x80] {
                let naive = |key: u8| sample.iter().map(|byte| weight(byte ^ key)).sum();
                let expected: Vec<i32> = (top..=top | 0x7f).map(naive).collect();
                assert_eq!(scores(sample, top)[..], expected);
            }
        }
    }

    #[test]
    fn leaves_text_and_noise_alone() {
        for text in [
            &br#"{"name":"screen_view","ts":1700000000000,"path":"/a/b/c"}"#[..],
            b"user_id=17&session=ab12cd34ef56&lang=en-GB",
            b"short",
        ] {
            assert!(keys(text).is_empty(), "{}", text.escape_ascii());
        }
        let mut state = 0x9e37_79b9u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(4096)
        .collect();
        assert!(noise.chunks(64).all(|chunk| keys(chunk).is_empty()));
    }
}
