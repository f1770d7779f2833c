//! The decoders of runs against plain ones, byte by byte and bit by bit.

use std::{collections::BTreeSet, ops::Range};

use proptest::prelude::*;

use super::{
    Budget, DEPTH, Scratch, Window, percent,
    text::{Layer, Origin, Text},
    walk,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn shows_every_text_that_a_plain_decoder_finds_and_no_other(window in window()) {
        let mut expected = BTreeSet::new();
        plain(&window, DEPTH, &mut expected);
        prop_assert_eq!(shown(&window), expected);
    }
}

#[test]
fn shows_the_same_in_long_runs() {
    let values: Vec<u8> = (0..9_000u32).map(|at| ((at * at) >> 3) as u8).collect();
    let base64 = data_encoding::BASE64.encode(&values);
    let hex = data_encoding::HEXUPPER.encode(&values[..500]);
    let lines: Vec<String> = base64
        .as_bytes()
        .chunks(76)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    for window in [format!("x {base64} y"), hex, lines.join("\r\n")] {
        let mut expected = BTreeSet::new();
        plain(window.as_bytes(), DEPTH, &mut expected);
        assert_eq!(shown(window.as_bytes()), expected);
    }
}

/// What a walk shows; of a text that is several, each part.
fn shown(window: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut shown = BTreeSet::new();
    let mut budget = Budget::new();
    budget.grant(1 << 20);
    let window = Window::whole(window);
    walk(
        window,
        &mut Scratch::default(),
        &mut budget,
        &mut |text: &Text<'_>| {
            match text.origin {
                _ if is_from_other(text) => {}
                Origin::Window(_) | Origin::Decoded { .. } => {
                    shown.insert(text.bytes.to_vec());
                }
                Origin::Runs { segments, .. } => {
                    let ends = segments
                        .iter()
                        .skip(1)
                        .map(|next| next.start)
                        .chain([text.bytes.len()]);
                    for (segment, end) in segments.iter().zip(ends) {
                        assert_eq!(
                            text.bytes[end - 1],
                            0xff,
                            "a byte that is part of no value is between parts"
                        );
                        shown.insert(text.bytes[segment.start..end - 1].to_vec());
                    }
                }
            }
            0
        },
    );
    assert!(!budget.is_spent());
    shown
}

/// What depends on more than a word the plain decoder leaves to its own tests: escapes of JSON, characters with NULs
/// between them, and containers.
fn is_from_other(text: &Text<'_>) -> bool {
    let is_other = |layer: Layer| match layer {
        Layer::Base64 { .. } | Layer::Hex { .. } | Layer::Base32 { .. } | Layer::Percent { .. } => {
            false
        }
        Layer::Json
        | Layer::Utf16 { .. }
        | Layer::Xor { .. }
        | Layer::Part(_)
        | Layer::Number
        | Layer::Container(_) => true,
    };
    match text.origin {
        Origin::Window(_) => false,
        Origin::Decoded { outer, layer, .. } => is_other(layer) || is_from_other(outer),
        Origin::Runs { outer, segments } => {
            segments.iter().any(|segment| is_other(segment.layer)) || is_from_other(outer)
        }
    }
}

fn plain(bytes: &[u8], depth: usize, shown: &mut BTreeSet<Vec<u8>>) {
    shown.insert(bytes.to_vec());
    let Some(deeper) = depth.checked_sub(1) else {
        return;
    };
    for word in words(bytes) {
        for (plus, depth) in [(false, deeper), (true, 0)] {
            let applies = if plus {
                word.contains(&b'+')
            } else {
                percent::has_escape(word)
            };
            if applies {
                let mut decoded = Vec::new();
                percent::decode(word, plus, &mut decoded);
                plain(&decoded, depth, shown);
            }
        }
        for run in runs(word, |byte| sextet(byte).is_some(), 8) {
            let sextets: Vec<u8> = run.iter().filter_map(|byte| sextet(*byte)).collect();
            for phase in 0..4 {
                let after_a_separator =
                    (0..sextets.len()).any(|at| at % 4 == (phase + 3) % 4 && sextets[at] >= 62);
                let meant = phase == 0 || sextets.len() >= 20 || after_a_separator;
                if meant && sextets.len() - phase >= 8 {
                    plain(&unpacked(&sextets[phase..], 6), deeper, shown);
                }
            }
            for run in runs(run, |byte| quintet(byte).is_some(), 10) {
                let quintets: Vec<u8> = run.iter().filter_map(|byte| quintet(*byte)).collect();
                let [upper, lower] = [u8::is_ascii_uppercase, u8::is_ascii_lowercase]
                    .map(|is_of_case| run.iter().any(is_of_case));
                if !(upper && lower) && [0, 2, 4, 5, 7].contains(&(quintets.len() % 8)) {
                    plain(&unpacked(&quintets, 5), deeper, shown);
                }
            }
            for run in runs(run, |byte| byte.is_ascii_hexdigit(), 12) {
                let digits: Vec<u8> = run
                    .iter()
                    .filter_map(|digit| char::from(*digit).to_digit(16))
                    .map(|digit| digit as u8)
                    .collect();
                for phase in 0..2 {
                    plain(&unpacked(&digits[phase..], 4), deeper, shown);
                }
            }
        }
    }
}

/// Runs of word bytes, joined over single NULs, of which one part has eight.
fn words(bytes: &[u8]) -> Vec<&[u8]> {
    let is_word = |byte: u8| matches!(byte, 0x25..=0x7f | 0x08..=0x0f);
    let joins = |at: usize| {
        bytes[at] == 0
            && at > 0
            && is_word(bytes[at - 1])
            && bytes.get(at + 1).is_some_and(|next| is_word(*next))
    };
    let words = stretches(bytes, |at| is_word(bytes[at]) || joins(at))
        .into_iter()
        .map(|word| &bytes[word]);
    words
        .filter(|word| word.split(|byte| *byte == 0).any(|part| part.len() >= 8))
        .collect()
}

/// Runs of so many digits, breaks between them.
fn runs(word: &[u8], is_digit: fn(u8) -> bool, shortest: usize) -> Vec<&[u8]> {
    let is_break = |byte: u8| matches!(byte, b'\r' | b'\n' | 0);
    let trimmed = |run: Range<usize>| {
        let run = &word[run];
        let first = run.iter().position(|byte| !is_break(*byte))?;
        let last = run.iter().rposition(|byte| !is_break(*byte))?;
        Some(&run[first..=last])
    };
    stretches(word, |at| is_digit(word[at]) || is_break(word[at]))
        .into_iter()
        .filter_map(trimmed)
        .filter(|run| run.iter().filter(|byte| is_digit(**byte)).count() >= shortest)
        .collect()
}

fn stretches(bytes: &[u8], is_in: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    for at in (0..bytes.len()).filter(|at| is_in(*at)) {
        match stretches.last_mut() {
            Some(stretch) if stretch.end == at => stretch.end += 1,
            _ => stretches.push(at..at + 1),
        }
    }
    stretches
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

fn quintet(byte: u8) -> Option<u8> {
    match byte.to_ascii_uppercase() {
        letter @ b'A'..=b'Z' => Some(letter - b'A'),
        digit @ b'2'..=b'7' => Some(digit - b'2' + 26),
        _ => None,
    }
}

/// The whole bytes that digits of so many bits stand for.
fn unpacked(digits: &[u8], width: usize) -> Vec<u8> {
    let bits: Vec<u8> = digits
        .iter()
        .flat_map(|digit| (0..width).rev().map(move |at| digit >> at & 1))
        .collect();
    let byte = |bits: &[u8; 8]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
    bits.as_chunks().0.iter().map(byte).collect()
}

/// Bytes with encoded parts in them, some inside one another, some torn by breaks.
fn window() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..40),
        3 => "[a-zA-Z0-9_/+-]{0,40}".prop_map(String::into_bytes),
        2 => "[0-9a-fA-F]{0,60}".prop_map(String::into_bytes),
        2 => r#"["{}:, =&.%]{1,6}"#.prop_map(String::into_bytes),
        1 => prop::sample::select(vec![&b"\n"[..], b"\r\n", b"\0", b"\0\0"]).prop_map(<[u8]>::to_vec),
    ];
    let parts = part.prop_recursive(4, 24, 4, |inner| {
        prop::collection::vec(
            (inner, 0..7).prop_map(|(inner, how)| match how {
                0 => data_encoding::BASE64.encode(&inner).into_bytes(),
                1 => data_encoding::BASE64URL_NOPAD.encode(&inner).into_bytes(),
                2 => data_encoding::HEXLOWER.encode(&inner).into_bytes(),
                3 => inner
                    .iter()
                    .flat_map(|byte| format!("%{byte:02X}").into_bytes())
                    .collect(),
                4 => data_encoding::BASE64
                    .encode(&inner)
                    .as_bytes()
                    .chunks(9)
                    .collect::<Vec<_>>()
                    .join(&b"\n"[..]),
                5 => data_encoding::BASE32.encode(&inner).into_bytes(),
                _ => inner,
            }),
            1..4,
        )
        .prop_map(|parts| parts.concat())
    });
    parts.prop_map(|mut bytes| {
        bytes.truncate(600);
        bytes
    })
}
