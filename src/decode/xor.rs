//! Bytes that were all XORed with the same one: keys under which they read like text.

/// Keys other than 0 that turn `bytes` into text, the likeliest first, at most [`MOST_KEYS`]; none where they are text as
/// they stand. Looks at the first [`SAMPLE`] bytes.
pub(super) fn keys(bytes: &[u8]) -> Vec<u8> {
    let sample = bytes.get(..SAMPLE).unwrap_or(bytes);
    if sample.len() < SHORTEST {
        return Vec::new();
    }
    // Text has no byte above 0x7f, or few: the highest bit is that of the key.
    let high = sample.iter().filter(|byte| **byte >= 0x80).count();
    let few = sample.len() / 16;
    let top = match (high <= few, sample.len().saturating_sub(high) <= few) {
        (true, _) => 0,
        (false, true) => 0x80,
        (false, false) => return Vec::new(),
    };
    let mut counts = [0u16; 256];
    for byte in sample {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let seen: Vec<(u8, i32)> = (0..=255u8)
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(byte, count)| (byte, count.into()))
        .collect();
    let score = |key: u8| -> i32 {
        let each = |(byte, count): &(u8, i32)| weight(byte ^ key).saturating_mul(*count);
        seen.iter().map(each).sum()
    };
    if sample.iter().filter(|byte| **byte == 0).count() > sample.len() / 4 {
        return Vec::new();
    }
    let own = score(0);
    let marks = sample.iter().filter(|byte| b"=&: ".contains(byte)).count();
    let rare = sample.iter().filter(|byte| weight(**byte) <= 0).count();
    let length = i32::try_from(sample.len()).unwrap_or(0);
    if own >= length.saturating_mul(USUAL) && marks > 0 && rare <= sample.len() / 32 {
        return Vec::new();
    }
    // Letters and digits alone may be text with its marks turned into letters.
    let allowance = if marks == 0 { own / 8 } else { 0 };
    let least = own
        .saturating_sub(allowance)
        .max(length.saturating_mul(LEAST));
    let mut keys: Vec<(i32, u8)> = (0..0x80)
        .map(|low| (score(top | low), top | low))
        .filter(|(score, key)| *key != 0 && *score >= least)
        .collect();
    keys.sort_unstable_by(|a, b| b.cmp(a));
    let best = keys.first().map_or(0, |(score, _)| *score);
    keys.retain(|(score, _)| best.saturating_sub(*score) <= best / 8);
    keys.truncate(MOST_KEYS);
    keys.into_iter().map(|(_, key)| key).collect()
}

/// How much a byte looks like one of a text that carries values.
fn weight(byte: u8) -> i32 {
    match byte {
        b'0'..=b'9' => 7,
        b'a'..=b'z' | b'"' => 6,
        b' ' | b':' | b',' | b'A'..=b'Z' => 4,
        b'=' | b'&' | b'.' | b'-' | b'_' | b'/' | b'@' | b'{' | b'}' => 4,
        b'\r' | b'\n' | b'\t' => 1,
        0x21..=0x7e => 0,
        _ => -12,
    }
}

/// Bytes that a value has at least (design: 12 or more characters).
const SHORTEST: usize = 12;
const SAMPLE: usize = 256;
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
                assert!(found.len() <= MOST_KEYS && !found.contains(&0));
                !found.contains(key)
            };
            // Under a few keys a text reads like another one.
            let missed: Vec<u8> = (0x20..=255).filter(is_missed).collect();
            assert!(missed.len() <= 8, "{}: {missed:x?}", text.escape_ascii());
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
