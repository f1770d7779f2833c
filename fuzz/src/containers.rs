//! Compressed data: what is found in it, against a search of what was put in; and a decoder in pieces, against it at once.

use std::io::Write;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use untold::decode::{Budget, Coding, Decoder, Progress, Scratch, Window, walk};

use super::inspection::{IMEI, wrap};

/// A value among bytes that the script gives, compressed and encoded as its first byte says: the walk shows it.
pub fn containers(script: &[u8]) {
    let Some((&[how, before], rest)) = script.split_first_chunk::<2>() else {
        return;
    };
    let (before, after) = rest.split_at(usize::from(before).min(rest.len()));
    let plain = [before, b" ", IMEI.as_bytes(), b" ", after].concat();
    let level = Compression::new(u32::from(how >> 6) * 3);
    let packed = match how & 3 {
        0 => packed(GzEncoder::new(Vec::new(), level), &plain, GzEncoder::finish),
        1 => packed(
            ZlibEncoder::new(Vec::new(), level),
            &plain,
            ZlibEncoder::finish,
        ),
        2 => packed(
            DeflateEncoder::new(Vec::new(), level),
            &plain,
            DeflateEncoder::finish,
        ),
        // Whatever the script is, as it stands.
        _ => rest.to_vec(),
    };
    let sent = match how >> 2 & 3 {
        layer @ 0..=1 => wrap(layer, &packed),
        _ => packed,
    };
    for open in [false, true] {
        let (mut found, mut shown) = (false, 0);
        let mut budget = Budget::new();
        budget.grant(sent.len());
        let window = Window {
            open,
            ..Window::whole(&sent)
        };
        let rest = walk(
            window,
            &mut Scratch::default(),
            &mut budget,
            &mut |text, _| {
                shown += text.bytes.len();
                for index in (0..text.bytes.len()).step_by(text.bytes.len() / 4 + 1) {
                    assert!(text.origin(index) <= sent.len());
                    assert!(text.chain(index).len() <= 16);
                }
                let value = IMEI.as_bytes();
                found |= text
                    .bytes
                    .windows(value.len())
                    .any(|window| window == value);
                0
            },
        );
        assert!(rest.hold.max(rest.keep) <= sent.len());
        assert!(shown as u64 <= 3 * (budget.effort().decoded + sent.len() as u64) + 64 * 1024);
        let is_marked = how & 3 < 2;
        assert!(found || budget.is_spent() || !is_marked);
    }
}

/// A decoder that is given its input in pieces gives what it gives for the whole, and as much at a time as was asked for.
pub fn coding(script: &[u8]) {
    let Some((&[which, step], input)) = script.split_first_chunk::<2>() else {
        return;
    };
    let coding = [
        Coding::Gzip,
        Coding::Zlib,
        Coding::Deflate,
        Coding::Zip,
        Coding::Brotli,
    ][usize::from(which) % 5];
    let (whole, broken) = decode(coding, input, input.len().max(1));
    let (pieces, breaks) = decode(coding, input, usize::from(step).max(1));
    // Of damaged data some of what stands before the damage may come out, or not.
    let short = whole.len().min(pieces.len());
    assert_eq!(whole[..short], pieces[..short]);
    assert!(broken || breaks || whole.len() == pieces.len());
    // Where no more is decoded, what would have come next is not known.
    assert!(broken == breaks || whole.len().max(pieces.len()) == MOST);
}

fn decode(coding: Coding, input: &[u8], step: usize) -> (Vec<u8>, bool) {
    let mut decoder = Decoder::new(coding, 256 * 1024);
    let mut out = Vec::new();
    for piece in input.chunks(step) {
        let mut rest = piece;
        loop {
            let length = out.len();
            let (taken, progress) = decoder.push(rest, &mut out, 1000);
            assert!(taken <= rest.len() && out.len() - length <= 1000);
            rest = &rest[taken..];
            if out.len() >= MOST {
                out.truncate(MOST);
                return (out, progress == Progress::Broken);
            }
            match progress {
                Progress::Full => {}
                Progress::Done | Progress::Broken => {
                    return (out, progress == Progress::Broken);
                }
                Progress::Starved => {
                    assert!(rest.is_empty());
                    break;
                }
            }
        }
    }
    (out, false)
}

fn packed<E: Write>(
    mut encoder: E,
    plain: &[u8],
    finish: impl FnOnce(E) -> std::io::Result<Vec<u8>>,
) -> Vec<u8> {
    encoder.write_all(plain).expect("a vector takes everything");
    finish(encoder).expect("a vector takes everything")
}

/// Decoded bytes after which it is enough.
const MOST: usize = 256 * 1024;
