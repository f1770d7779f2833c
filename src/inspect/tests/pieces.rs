//! What fuzzing found to depend on the pieces that a stream comes in.

use super::*;
use crate::event::Opaque;

/// What is found in a stream that comes in these pieces.
fn found(rules: &Rules, pieces: &[&[u8]]) -> Vec<(Kind, Place, u64)> {
    let mut flow = Flow::new(Proto::Tcp, 9999, rules);
    for piece in pieces {
        flow.send(piece);
    }
    flow.finish();
    assert!(flow.held.is_empty());
    let found = flow.findings().into_iter();
    found
        .map(|(kind, place, offset, _)| (kind, place, offset))
        .collect()
}

fn finds_the_same_cut_anywhere(bytes: &[u8], expected: &[(Kind, Place, u64)]) {
    let allow = rules("allow");
    assert_eq!(found(&allow, &[bytes]), expected);
    for cut in 1..bytes.len() {
        let (before, after) = bytes.split_at(cut);
        assert_eq!(found(&allow, &[before, after]), expected, "cut at {cut}");
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(found(&allow, &single), expected, "byte by byte");
}

#[test]
fn finds_an_encoded_value_that_empty_lines_follow_before_something_else() {
    let lines = "\r\n".repeat(12);
    let bytes = format!("{}{lines}\x03", BASE64URL_NOPAD.encode(EMAIL.as_bytes()));
    finds_the_same_cut_anywhere(bytes.as_bytes(), &[(Kind::Email, Place::Stream, 0)]);
}

#[test]
fn finds_an_address_whose_end_looks_like_an_encoded_container() {
    let bytes = b"\"-i542p3i@mail.example\"";
    finds_the_same_cut_anywhere(bytes, &[(Kind::Email, Place::Stream, 1)]);
}

#[test]
fn tells_a_registered_value_alone_where_it_begins_an_address() {
    let bytes = format!("\"{IMEI}n@mail.example\"");
    finds_the_same_cut_anywhere(bytes.as_bytes(), &[(Kind::Imei, Place::Stream, 1)]);
}

#[test]
fn recognises_a_hello_whose_first_bytes_waited_with_what_was_before() {
    let hello = [22, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3];
    let bytes = [b"x\x01s", &hello[..], &[0; 60]].concat();
    let allow = rules("allow");
    for first in 1..14 {
        for second in first + 1..15 {
            let mut flow = Flow::new(Proto::Tcp, 9999, &allow);
            for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                flow.send(piece);
            }
            let opaque = flow.notices.contains(&Notice::Opaque(Opaque::Tls));
            assert!(opaque, "cut at {first} and {second}");
        }
    }
}
