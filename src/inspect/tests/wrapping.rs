//! What was compressed, encoded or tagged before it was sent, whole and in pieces.

use super::*;
use crate::decode::tests::{Wrapped, names, wrapped};

/// Kind, place and chain of what a flow was found to carry.
fn told(flow: &Flow<'_>) -> Vec<(Kind, Place, String)> {
    let findings = flow.findings().into_iter();
    findings
        .map(|(kind, at, _, chain)| (kind, at, names(&chain)))
        .collect()
}

fn fixture(row: &Wrapped, port: u16, bytes: Vec<u8>) -> Fixture {
    Fixture {
        name: row.name,
        port,
        bytes,
        expected: vec![(Kind::Imei, Place::Body, vec![])],
        framed: port == 80,
    }
}

/// Kind, place, offset and what was opened: of what is cut, not all is there that shows the form of a text.
fn places(flow: &Flow<'_>) -> Vec<(Kind, Place, u64, Vec<Wrapper>)> {
    let form = |wrapper: &Wrapper| {
        !matches!(
            wrapper,
            Wrapper::Json | Wrapper::Multipart | Wrapper::Protobuf
        )
    };
    let findings = flow.findings().into_iter();
    findings
        .map(|(kind, at, offset, chain)| {
            (kind, at, offset, chain.into_iter().filter(form).collect())
        })
        .collect()
}

/// Whether a container is found wherever it begins, in a stream without framing too.
fn is_marked(row: &Wrapped) -> bool {
    let marked = [
        "gzip",
        "zlib",
        "zstd",
        "zip",
        "base32",
        "utf16",
        "base64,gzip",
        "base64,zlib",
        "base64,zstd",
        "hex,zlib",
        "json,base64,gzip",
        "percent,base64,zlib",
    ];
    let first = row.chain.split(',').next().unwrap_or_default();
    marked.contains(&first) || marked.iter().any(|mark| row.chain.starts_with(mark))
}

fn coded(row: &Wrapped) -> &'static str {
    match row.chain.split(',').next() {
        Some("brotli") => "Content-Encoding: br\r\n",
        Some("deflate") => "Content-Encoding: deflate\r\n",
        _ => "",
    }
}

#[test]
fn finds_a_value_in_every_wrapper_of_a_body() {
    let (allow, block) = (rules("allow"), rules("block"));
    for row in wrapped() {
        for head in [
            "",
            coded(&row),
            "Content-Encoding: br\r\nContent-Type: text/plain\r\n",
        ] {
            let sent = fixture(&row, 80, post(head, &row.bytes));
            let flow = run(&sent, &[], &allow, Duration::ZERO);
            let chain = row.chain.to_owned();
            assert_eq!(
                told(&flow),
                [(Kind::Imei, Place::Body, chain)],
                "{}: {head}",
                row.name
            );
            assert_eq!(flow.gone, sent.bytes.len());
            check_blocked(&sent, &run(&sent, &[], &block, Duration::ZERO), "whole");
        }
        let sent = fixture(&row, 80, chunked(&row.bytes, 17));
        let flow = run(&sent, &[], &allow, Duration::ZERO);
        let chain = format!("chunked,{}", row.chain);
        assert_eq!(
            told(&flow),
            [(Kind::Imei, Place::Body, chain)],
            "{} in chunks",
            row.name
        );
    }
}

#[test]
fn finds_the_same_in_a_stream_cut_anywhere() {
    let (allow, block) = (rules("allow"), rules("block"));
    for row in wrapped().iter().filter(|row| is_marked(row)) {
        let bytes = [b"\x01\x02hello ", &*row.bytes, b"\n"].concat();
        let sent = fixture(row, 9999, bytes);
        let whole = run(&sent, &[], &allow, Duration::ZERO);
        assert_eq!(told(&whole).len(), 1, "{}: {:?}", row.name, told(&whole));
        for cut in 1..sent.bytes.len() {
            let flow = run(&sent, &[cut], &allow, Duration::ZERO);
            assert_eq!(places(&flow), places(&whole), "{} cut at {cut}", row.name);
            assert_eq!(flow.gone, sent.bytes.len(), "{} cut at {cut}", row.name);
            if cut % 5 == 0 {
                let flow = run(&sent, &[cut], &block, Duration::ZERO);
                check_blocked(&sent, &flow, &format!("cut at {cut}"));
            }
        }
    }
}

#[test]
fn finds_the_same_in_a_stream_byte_by_byte() {
    let (allow, block) = (rules("allow"), rules("block"));
    for row in wrapped().iter().filter(|row| is_marked(row)) {
        let sent = fixture(row, 9999, row.bytes.clone());
        let whole = places(&run(&sent, &[], &allow, Duration::ZERO));
        let cuts: Vec<usize> = (1..sent.bytes.len()).collect();
        let flow = run(&sent, &cuts, &allow, Duration::ZERO);
        assert_eq!(places(&flow), whole, "{}", row.name);
        check_blocked(
            &sent,
            &run(&sent, &cuts, &block, Duration::ZERO),
            "byte by byte",
        );
    }
}

#[test]
fn finds_the_same_in_a_body_that_pauses_anywhere() {
    let (allow, block) = (rules("allow"), rules("block"));
    let pause = Duration::from_millis(300);
    for row in wrapped() {
        let head = coded(&row);
        if head.is_empty() && !is_marked(&row) {
            continue;
        }
        for bytes in [post(head, &row.bytes), chunked(&row.bytes, 40)] {
            let coded = bytes.starts_with(b"POST /up");
            if coded && !head.is_empty() {
                continue;
            }
            let sent = Fixture {
                framed: false,
                ..fixture(&row, 80, bytes)
            };
            let whole = places(&run(&sent, &[], &allow, Duration::ZERO));
            for cut in (1..sent.bytes.len()).step_by(3) {
                let what = format!("{} with a pause at {cut}", row.name);
                let flow = run(&sent, &[cut], &allow, pause);
                assert_eq!(places(&flow), whole, "{what}");
                assert_eq!(flow.gone, sent.bytes.len(), "{what}");
                check_blocked(&sent, &run(&sent, &[cut], &block, pause), &what);
            }
        }
    }
}
