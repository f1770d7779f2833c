//! Names that flows give: judged before the bytes that give them go.

use super::{
    tests::{Flow, IMEI, datagram, noise, rules},
    *,
};
use crate::{event::Proto, policy::Config};

/// Allows bank.example, and blocks everything else.
fn strict() -> Rules {
    let config =
        "[default]\nconnection = \"block\"\n[[rule]]\nto = \"bank.example\"\naction = \"allow\"\n";
    with(config)
}

/// Blocks tracker.example.
fn lenient() -> Rules {
    with("[[rule]]\nto = \"tracker.example\"\naction = \"block\"\n")
}

fn with(config: &str) -> Rules {
    let config = Config::parse("policy.toml", config).expect("the policy is valid");
    Rules {
        policy: Arc::new(Policy::new(config, Vec::new()).expect("no lists")),
        ..rules("allow")
    }
}

/// A ClientHello for `name`, in records of at most `record` bytes.
fn hello(name: &str, ech: bool, record: usize) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(noise(32));
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    let length = name.len() as u16;
    let mut extensions = vec![0, 0];
    for more in [5u16, 3] {
        extensions.extend((length + more).to_be_bytes());
    }
    extensions.push(0);
    extensions.extend(length.to_be_bytes());
    extensions.extend(name.as_bytes());
    if ech {
        extensions.extend([0xfe, 0x0d, 0, 4, 0, 1, 2, 3]);
    }
    extensions.extend([0, 21, 0, 100]);
    extensions.extend([0; 100]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let message = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    let records = message.chunks(record).flat_map(|part| {
        let length = (part.len() as u16).to_be_bytes();
        [&[22, 3, 1][..], &length, part].concat()
    });
    records.collect()
}

fn names<'f>(flow: &'f Flow<'_>) -> Vec<(&'f str, NameSource)> {
    let names = flow.facts.names.iter();
    names.map(|(name, from)| (&**name, *from)).collect()
}

#[test]
fn judges_a_server_name_before_any_of_the_hello_goes() {
    let rules = lenient();
    for record in [1 << 14, 40, 1] {
        let bytes = hello("www.tracker.example", false, record);
        for step in [bytes.len(), 100, 7, 1] {
            let mut flow = Flow::new(Proto::Tcp, 443, &rules);
            for piece in bytes.chunks(step) {
                if !flow.blocked() {
                    flow.send(piece);
                }
            }
            assert!(flow.blocked(), "records of {record} in pieces of {step}");
            assert_eq!(flow.gone, 0, "records of {record} in pieces of {step}");
            assert_eq!(names(&flow), [("www.tracker.example", NameSource::Sni)]);
        }
    }
}

#[test]
fn lets_a_fine_hello_go_as_soon_as_it_is_whole() {
    let rules = lenient();
    let bytes = hello("fine.example", false, 64);
    let mut flow = Flow::new(Proto::Tcp, 443, &rules);
    flow.send(&bytes[..bytes.len() - 1]);
    assert_eq!(
        (flow.gone, flow.wake),
        (0, Some(flow.now + Duration::from_millis(250)))
    );
    flow.send(&bytes[bytes.len() - 1..]);
    assert_eq!((flow.held.len(), flow.wake), (0, None));
    flow.send(b"\x14\x03\x03\0\x01\x01\x17\x03\x03\0\x05hello");
    assert!(flow.held.is_empty());
    assert_eq!(flow.notices[0], Notice::Opaque(Opaque::Tls));
    assert_eq!(flow.unread, 6, "the hello was read, what follows is not");
}

#[test]
fn a_hello_that_pauses_streams_and_is_judged_when_it_names() {
    let rules = lenient();
    let bytes = hello("tracker.example", false, 1 << 14);
    let name = bytes.len() - 104 - 15;
    let mut flow = Flow::new(Proto::Tcp, 443, &rules);
    flow.send(&bytes[..name]);
    flow.wait(Duration::from_millis(250));
    assert_eq!(flow.gone, name);
    flow.send(&bytes[name..name + 14]);
    assert!(!flow.blocked());
    flow.send(&bytes[name + 14..]);
    assert!(flow.blocked());
    assert!(flow.gone <= name + 14);
}

#[test]
fn an_allow_by_name_holds_for_dns_and_server_name_alike() {
    let rules = strict();
    for (given, claimed, passes) in [
        ("bank.example", "bank.example", true),
        ("bank.example", "www.bank.example", true),
        ("bank.example", "evil.example", false),
    ] {
        let mut flow = Flow::new(Proto::Tcp, 443, &rules);
        flow.facts.names.push((given.into(), NameSource::Dns));
        flow.send(&hello(claimed, false, 1 << 14));
        assert_eq!(flow.blocked(), !passes, "{given} is called {claimed}");
        assert_eq!(flow.held.is_empty(), passes);
    }
}

#[test]
fn says_that_a_name_is_encrypted_and_judges_the_one_in_clear() {
    let rules = lenient();
    for (name, blocked) in [("public.example", false), ("tracker.example", true)] {
        let mut flow = Flow::new(Proto::Tcp, 443, &rules);
        flow.send(&hello(name, true, 50));
        assert_eq!(flow.blocked(), blocked);
        assert_eq!(flow.stream.opaque(), Some(Opaque::Ech));
    }
}

#[test]
fn reads_the_hello_after_connect_and_after_every_starttls() {
    let rules = lenient();
    let table: [(u16, &[u8]); 7] = [
        (8080, b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"),
        (80, b"GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\n\r\n"),
        (587, b"EHLO a.example\r\nSTARTTLS\r\n"),
        (143, b"a1 CAPABILITY\r\na2 STARTTLS\r\n"),
        (21, b"AUTH TLS\r\n"),
        (5222, b"<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        (5432, b"\0\0\0\x08\x04\xd2\x16/"),
    ];
    for (port, before) in table {
        for step in [1, 1000] {
            let mut flow = Flow::new(Proto::Tcp, port, &rules);
            flow.send(before);
            flow.wait(Duration::from_secs(6));
            assert!(flow.held.is_empty(), "{port}");
            for piece in hello("tracker.example", false, 90).chunks(step) {
                if !flow.blocked() {
                    flow.send(piece);
                }
            }
            assert!(flow.blocked(), "{port}");
            assert!(flow.gone <= before.len() + 10, "{port}");
        }
    }
}

#[test]
fn finds_a_value_in_the_name_that_a_hello_gives() {
    let block = rules("block");
    for step in [1, 1000] {
        let mut flow = Flow::new(Proto::Tcp, 443, &block);
        for piece in hello(&format!("{IMEI}.t.example"), false, 1 << 14).chunks(step) {
            if !flow.blocked() {
                flow.send(piece);
            }
        }
        assert!(flow.blocked());
        assert!(flow.gone <= 5, "more than the record's header went");
    }
}

/// The datagrams of a seed: each with its length in front.
fn datagrams(mut seed: &[u8]) -> Vec<&[u8]> {
    let mut datagrams = Vec::new();
    while let Some((length, rest)) = seed.split_first_chunk() {
        let (datagram, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        datagrams.push(datagram);
        seed = rest;
    }
    datagrams
}

macro_rules! seed {
    ($name:literal) => {
        datagrams(include_bytes!(concat!("../../fuzz/corpus/quic/", $name)))
    };
}

#[test]
fn judges_the_name_in_quic_before_the_datagram_that_completes_it_goes() {
    let lenient = lenient();
    let block = with("[[rule]]\nto = \"quic.example\"\naction = \"block\"\n");
    for (what, datagrams, name_in) in [
        ("one", seed!("one"), 0),
        ("version 2", seed!("version-2"), 0),
        ("draft 29", seed!("draft-29"), 0),
        ("shuffled", seed!("shuffled"), 0),
        ("three datagrams", seed!("three-datagrams"), 2),
        ("after a retry", seed!("retry"), 3),
        ("ECH", seed!("ech"), 0),
    ] {
        let mut flow = Flow::new(Proto::Udp, 443, &lenient);
        for payload in &datagrams {
            datagram(&mut flow, payload);
            assert!(!flow.blocked() && flow.held.is_empty(), "{what}");
        }
        assert_eq!(names(&flow), [("quic.example", NameSource::Quic)], "{what}");
        let sent: usize = datagrams.iter().map(|payload| payload.len()).sum();
        assert_eq!(flow.unread, sent as u64, "{what}");
        let opaque = if what == "ECH" {
            Opaque::Ech
        } else {
            Opaque::Quic
        };
        assert_eq!(flow.stream.opaque(), Some(opaque), "{what}");
        let mut flow = Flow::new(Proto::Udp, 443, &block);
        for (number, payload) in datagrams.iter().enumerate() {
            if flow.blocked() {
                break;
            }
            datagram(&mut flow, payload);
            assert_eq!(flow.blocked(), number >= name_in, "{what}: {number}");
        }
    }
}

#[test]
fn searches_what_only_looks_like_quic() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Udp, 443, &block);
    datagram(&mut flow, seed!("forged")[0]);
    assert!(flow.blocked());
    let mut flow = Flow::new(Proto::Udp, 443, &block);
    let mut changed = seed!("one")[0].to_vec();
    changed[600] ^= 1;
    datagram(&mut flow, &changed);
    assert_eq!(flow.stream.opaque(), Some(Opaque::Quic), "it looks like it");
    datagram(
        &mut flow,
        format!("@\u{1}\u{2}\u{3} imei={IMEI} and on").as_bytes(),
    );
    assert!(flow.blocked());
}

#[test]
fn finds_a_value_in_the_name_that_quic_gives() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Udp, 443, &block);
    let [first, second] = seed!("value-in-the-name")[..] else {
        panic!("two datagrams");
    };
    datagram(&mut flow, first);
    assert!(!flow.blocked());
    datagram(&mut flow, second);
    assert!(flow.blocked());
    assert_eq!(flow.findings().len(), 1);
}
