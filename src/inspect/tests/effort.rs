//! What inspection may cost: bounded, and in proportion to what came.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::decode::{Effort, Pool};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

/// Sends a stream in segments, and says what reading it took and whether the budget lasted.
fn cost(bytes: &[u8], port: u16) -> (Effort, bool) {
    let allow = rules("allow");
    let mut flow = Flow::new(Proto::Tcp, port, &allow);
    for segment in bytes.chunks(4096) {
        flow.send(segment);
        assert!(flow.held.len() <= flow.room);
    }
    flow.finish();
    assert_eq!(flow.gone, bytes.len());
    let spent = flow.notices.contains(&Notice::Opaque(Opaque::Budget));
    (flow.stream.effort(), spent)
}

#[test]
fn costs_in_proportion_to_what_comes() {
    let json = |length: usize| {
        let item = r#"{"name":"screen_view","path":"a\/b","id":"dGhlIHF1aWNrIGJyb3duIGZveA=="},"#;
        format!("[{}0]", item.repeat(length / item.len())).into_bytes()
    };
    let gzipped = |length: usize| {
        let words = noise(length / 4)
            .into_iter()
            .flat_map(|byte| [b'a' + byte % 16, b' ']);
        gzip(&words.collect::<Vec<_>>())
    };
    let broken = |length: usize| [0xc3, 0x28, 0xff, b'a', 0xe2, 0x82].repeat(length / 6);
    type Maker<'a> = (&'a str, &'a dyn Fn(usize) -> Vec<u8>);
    let makers: [Maker<'_>; 5] = [
        ("JSON in one line", &json),
        ("gzip", &gzipped),
        ("UTF-8 that is none", &broken),
        ("noise", &noise),
        ("one-byte chunks", &|length| chunked(&noise(length / 16), 1)),
    ];
    for (name, make) in makers {
        let [small, large] = [200_000, 400_000].map(|length| {
            let bytes = make(length);
            let body = if name == "one-byte chunks" {
                bytes
            } else {
                post("", &bytes)
            };
            let (effort, spent) = cost(&body, 80);
            assert!(!spent, "{name}");
            assert_eq!(effort.arrived, body.len() as u64, "{name}");
            assert!(
                effort.decoded <= 24 * effort.arrived + 262_144,
                "{name}: {effort:?}"
            );
            effort
        });
        let grows = |small: u64, large: u64| large <= 5 * small / 2 + 1_000;
        assert!(
            grows(small.calls, large.calls),
            "{name}: {small:?} {large:?}"
        );
        assert!(
            grows(small.decoded, large.decoded),
            "{name}: {small:?} {large:?}"
        );
    }
}

#[test]
fn stops_at_a_bomb_and_says_so() {
    let zeros = gzip(&vec![0; 10 << 20]);
    let nested = (0..5).fold(vec![b'0'; 4 << 20], |inner, _| gzip(&inner));
    let records = gzip(&r#"{"a":1}"#.repeat(1 << 20).into_bytes());
    for (name, bomb) in [("zeros", zeros), ("five deep", nested), ("text", records)] {
        for (port, bytes) in [(80, post("", &bomb)), (9999, bomb.clone())] {
            let (effort, spent) = cost(&bytes, port);
            assert!(spent || name == "five deep", "{name}");
            let feeds = bytes.len() as u64 / 4096 + 2;
            let most = 24 * effort.arrived + 262_144 + 512 * feeds;
            assert!(effort.decoded <= most, "{name}: {effort:?}");
        }
    }
}

#[test]
fn asks_the_policy_where_the_budget_is_spent() {
    let config = "[default]\nleak = \"allow\"\noversize = \"block\"\n";
    let config = Config::parse("policy.toml", config).expect("the policy is valid");
    let rules = Rules {
        policy: Arc::new(Policy::new(config, Vec::new()).expect("no lists")),
        ..rules("allow")
    };
    let mut flow = Flow::new(Proto::Tcp, 80, &rules);
    flow.send(&post("", &gzip(&vec![0; 10 << 20])));
    assert!(matches!(&flow.gate, Gate::Block(verdict) if &*verdict.rule == "default.oversize"));
    assert_eq!(flow.gone, 0);
    let inspection = Inspector::new(rules).request(&Request {
        method: "POST",
        url: "http://a.example/",
        headers: &[],
        body: &[&gzip(&vec![0; 10 << 20])],
    });
    assert_eq!(inspection.verdict.action, Action::Block);
    assert_eq!(inspection.opaque, Some(Opaque::Budget));
}

#[test]
fn gives_memory_back_and_takes_no_more_than_there_is() {
    let allow = rules("allow");
    let begun = gzip(&noise(20_000));
    let mut scratch = Scratch::default();
    let pool = scratch.pool().clone();
    let (mut streams, mut told) = (Vec::new(), 0);
    while told == 0 {
        let mut facts = Flow::new(Proto::Tcp, 9999, &allow).facts;
        let mut notices = Vec::new();
        let mut stream = Stream::new(Proto::Tcp);
        let mut cx = Context {
            rules: &allow,
            facts: &mut facts,
            now: Duration::ZERO,
            room: usize::MAX,
            can_ask: false,
            scratch: &mut scratch,
            notices: &mut notices,
        };
        stream.feed(&begun[..5_000], &mut cx);
        assert!(pool.used() <= Pool::TOTAL);
        told = notices.len();
        streams.push(stream);
        assert!(streams.len() < 1_000, "the pool has an end");
    }
    assert!(streams.len() > Pool::TOTAL / Pool::FLOW);
    streams.clear();
    assert_eq!(pool.used(), 0);
}

#[test]
fn reads_all_of_a_small_body_that_is_well_compressed() {
    use flate2::write::{DeflateEncoder, ZlibEncoder};
    let filler = r#"{"t":1700000000,"name":"screen_view","ok":true},"#.repeat(2_000);
    let plain = format!(r#"[{filler}{{"imei":"{IMEI}"}}]"#).into_bytes();
    let deflated = {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder
            .write_all(&plain)
            .expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    };
    let zlib = {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder
            .write_all(&plain)
            .expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    };
    let allow = rules("allow");
    for (head, body) in [
        ("Content-Encoding: gzip\r\n", gzip(&plain)),
        ("Content-Encoding: deflate\r\n", zlib.clone()),
        ("Content-Encoding: deflate\r\n", deflated.clone()),
        ("", zlib),
        ("", deflated),
    ] {
        let mut flow = Flow::new(Proto::Tcp, 80, &allow);
        flow.send(&post(head, &body));
        assert_eq!(flow.findings().len(), 1, "{head}");
    }
}
