//! Decoding and streaming against references that do it the slow way.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use untold::{
    decode::{Budget, Scratch, Window, walk},
    detect::{Detector, Identity},
    event::{Opaque, Proto},
    inspect::{Context, Gate, Notice, Rules, Stream},
    policy::{Config, Facts, Policy},
    sniff::{Coap, Initials, is_long_header},
};

/// A needle in wrappers that the first bytes choose, among bytes that the rest gives: the walk shows it, wherever it looks
/// its index is inside the window, and what it shows is bounded.
pub fn decode(script: &[u8]) {
    let Some((&[wrappers, before], rest)) = script.split_first_chunk::<2>() else {
        return;
    };
    let (before, after) = rest.split_at(usize::from(before).min(rest.len()));
    let mut wrapped = IMEI.as_bytes().to_vec();
    for layer in 0..usize::from(wrappers >> 6) {
        wrapped = wrap(wrappers >> (2 * layer) & 3, &wrapped);
    }
    let window = [before, b" ", &wrapped, b" ", after].concat();
    let mut budget = Budget::new();
    budget.grant(window.len());
    let (mut found, mut shown) = (false, 0);
    let bounds = Window {
        open: after.len() % 2 == 1,
        ..Window::whole(&window)
    };
    let rest = walk(
        bounds,
        &mut Scratch::default(),
        &mut budget,
        &mut |text, _| {
            shown += text.bytes.len();
            let mut last = 0;
            for index in (0..text.bytes.len()).step_by(text.bytes.len() / 8 + 1) {
                let origin = text.origin(index);
                assert!(origin <= window.len());
                assert!(origin >= last || !text.chain(index).is_empty());
                last = origin;
            }
            found |= text
                .bytes
                .windows(IMEI.len())
                .any(|window| window == IMEI.as_bytes());
            text.bytes.len() / 2
        },
    );
    assert!(rest.hold.max(rest.keep) <= window.len());
    assert!(shown <= window.len() + 257 * 1024 + 24 * window.len());
    assert!(found || budget.is_spent());
}

/// A stream in pieces that the first bytes choose: the findings are those of the stream in one piece (offsets apart: where
/// bytes can be read in two ways, the one that is whole first counts), everything goes
/// where everything is allowed, and where nothing is, what has gone holds no finding.
pub fn stream(script: &[u8]) {
    let Some((&[cuts, seed], rest)) = script.split_first_chunk::<2>() else {
        return;
    };
    let bytes = expand(rest);
    let whole = send(&bytes, &[], "allow");
    let mut at = usize::from(seed);
    let mut ends = Vec::new();
    for _ in 0..cuts % 32 {
        at = (at * 31 + 7) % (bytes.len() + 1);
        ends.push(at);
    }
    ends.sort_unstable();
    let pieces = send(&bytes, &ends, "allow");
    assert_eq!(whole.gone, bytes.len());
    assert_eq!(pieces.gone, bytes.len());
    whole.assert_same(&pieces, &ends, &bytes);
    for ends in [&[][..], &ends] {
        let blocked = send(&bytes, ends, "block");
        blocked.assert_blocked(&whole);
        let gone = send(&bytes[..blocked.gone], &[], "allow");
        let told = |finding| blocked.findings.contains(finding);
        assert!(
            !blocked.blocked || !gone.findings.iter().any(told),
            "what had gone says it: {:?} in pieces at {ends:?}: {}",
            gone.findings,
            bytes[..blocked.gone].escape_ascii()
        );
    }
}

/// What a client sends in HTTP/2, with its preface or without.
pub fn http2(bytes: &[u8]) {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let rest = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    framed(&[PREFACE, rest].concat());
}

/// What a client sends after asking for WebSocket, with the question or without.
pub fn websocket(bytes: &[u8]) {
    const UPGRADE: &[u8] = b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    if bytes.starts_with(b"GET /chat") {
        framed(bytes);
    } else {
        framed(&[UPGRADE, bytes].concat());
    }
}

/// What a client sends in MQTT, with its CONNECT or without.
pub fn mqtt(bytes: &[u8]) {
    const CONNECT: &[u8] = b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02id";
    if bytes.first() == Some(&0x10) {
        framed(bytes);
    } else {
        framed(&[CONNECT, bytes].concat());
    }
}

/// A datagram in CoAP or nearly: its parts lie in it one after another, and what is in one of them is found.
pub fn coap(message: &[u8]) {
    for port in [5683, 9999] {
        let Some(coap) = Coap::parse(message, port) else {
            continue;
        };
        let options = [&coap.path, &coap.query, &coap.hosts, &coap.options];
        let mut parts: Vec<_> = options.into_iter().flatten().cloned().collect();
        parts.sort_by_key(|part| (part.start, part.end));
        parts.insert(0, coap.head.clone());
        parts.push(coap.payload.clone());
        for pair in parts.windows(2) {
            assert!(pair[0].end <= pair[1].start, "{pair:?}");
        }
        assert_eq!(coap.payload.end, message.len());
        let whole = |part: &std::ops::Range<usize>| &message[part.clone()] == IMEI.as_bytes();
        let mut notices = Vec::new();
        let step = Stream::new(Proto::Udp).datagram(
            message,
            &mut Context {
                rules: rules("block"),
                facts: &mut Facts {
                    app: Vec::new(),
                    dst: ([203, 0, 113, 9], port).into(),
                    proto: Proto::Udp,
                    names: Vec::new(),
                    wall: 0,
                },
                now: Duration::from_secs(1),
                room: usize::MAX,
                can_ask: false,
                scratch: &mut Scratch::default(),
                notices: &mut notices,
            },
        );
        let blocked = matches!(step.gate, Gate::Block(_));
        assert!(blocked || !parts.iter().any(whole));
        assert_eq!(step.release, if blocked { 0 } else { message.len() });
    }
}

/// Datagrams of QUIC, each with its length in front, in the order of the seed and reversed: what is read of the handshake does
/// not depend on what comes again, and reading ends.
pub fn quic(script: &[u8]) {
    let mut datagrams = Vec::new();
    let mut rest = script;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (datagram, after) = after.split_at(length);
        datagrams.push(datagram);
        rest = after;
    }
    let mut forwards = Initials::default();
    let authentic: Vec<_> = datagrams.iter().map(|each| forwards.read(each)).collect();
    let said = forwards.indication();
    assert!(said.name.is_none() || authentic.contains(&true));
    let mut again = Initials::default();
    for datagram in &datagrams {
        let authentic = again.read(datagram);
        assert!(!authentic || datagram.len() > 40);
    }
    for datagram in datagrams.iter().take(4) {
        again.read(datagram);
    }
    assert_eq!(again.indication().name, said.name);
    let mut endless = Initials::default();
    for datagram in datagrams.iter().cycle().take(64) {
        endless.read(datagram);
    }
    let initials = datagrams.iter().any(|each| is_long_header(each));
    assert!(!endless.read(&[]) && (initials || endless.indication().name.is_none()));
}

/// A stream of some framing, as it is: in whatever pieces it comes, the same is found in it, all of it goes where everything
/// is allowed, and where nothing is, what has gone holds no finding.
fn framed(bytes: &[u8]) {
    let whole = send(bytes, &[], "allow");
    assert_eq!(whole.gone, bytes.len());
    let sum = bytes
        .iter()
        .fold(7, |sum, byte| sum * 31 % 65_521 + usize::from(*byte));
    let step = sum % 23 + 1;
    let few = [sum % (bytes.len() + 1)];
    let many: Vec<usize> = (1..bytes.len()).step_by(step).collect();
    for ends in [&few[..], &many] {
        let pieces = send(bytes, ends, "allow");
        assert_eq!(pieces.gone, bytes.len());
        whole.assert_same(&pieces, ends, bytes);
    }
    for ends in [&[][..], &few, &many] {
        let blocked = send(bytes, ends, "block");
        blocked.assert_blocked(&whole);
        if blocked.blocked {
            let gone = send(&bytes[..blocked.gone], &[], "allow");
            let told = |finding| blocked.findings.contains(finding);
            assert!(
                !gone.findings.iter().any(told),
                "what had gone says it: {:?} in pieces at {ends:?}: {}",
                gone.findings,
                bytes[..blocked.gone].escape_ascii()
            );
        }
    }
}

struct Outcome {
    /// Kind and place, and the offset there.
    findings: Vec<(String, u64)>,
    gone: usize,
    blocked: bool,
    /// Whether something was left undecoded, and said so.
    spent: bool,
}

impl Outcome {
    /// The same was found in pieces as in the whole. Only of what is left undecoded because the budget was spent nothing is
    /// known: every arrival adds to the budget, so that it ends at another layer, and whoever is told of it knows that.
    fn assert_same(&self, pieces: &Outcome, ends: &[usize], bytes: &[u8]) {
        assert!(
            self.spent || pieces.spent || self.places() == pieces.places(),
            "{:?}, but in pieces at {ends:?} {:?}: {}",
            self.places(),
            pieces.places(),
            bytes.escape_ascii()
        );
    }

    /// It is blocked if something is found in the whole, as far as that was decoded.
    fn assert_blocked(&self, whole: &Outcome) {
        assert!(self.spent || whole.spent || self.blocked != whole.findings.is_empty());
    }

    fn places(&self) -> BTreeSet<&str> {
        self.findings
            .iter()
            .map(|(place, _)| place.as_str())
            .collect()
    }
}

fn send(bytes: &[u8], ends: &[usize], leak: &'static str) -> Outcome {
    let rules = rules(leak);
    let mut facts = Facts {
        app: Vec::new(),
        dst: ([203, 0, 113, 9], 9999).into(),
        proto: Proto::Tcp,
        names: Vec::new(),
        wall: 0,
    };
    let mut notices = Vec::new();
    let mut stream = Stream::new(Proto::Tcp);
    let (mut gone, mut blocked) = (0, false);
    let mut scratch = Scratch::default();
    let last = ends.len();
    for (call, end) in ends
        .iter()
        .copied()
        .chain([bytes.len(), bytes.len()])
        .enumerate()
    {
        let mut cx = Context {
            rules,
            facts: &mut facts,
            now: Duration::from_secs(1),
            room: usize::MAX,
            can_ask: false,
            scratch: &mut scratch,
            notices: &mut notices,
        };
        let unreleased = &bytes[gone..end];
        let step = if call > last {
            stream.finish(unreleased, &mut cx)
        } else {
            stream.feed(unreleased, &mut cx)
        };
        assert!(step.release <= unreleased.len());
        gone += step.release;
        blocked = matches!(step.gate, Gate::Block(_));
    }
    let spent = notices.contains(&Notice::Opaque(Opaque::Budget));
    let findings = notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Finding { finding, .. } => {
                Some((format!("{} {:?}", finding.kind, finding.at), finding.offset))
            }
            Notice::Name { .. } | Notice::Opaque(_) | Notice::Unread(_) => None,
        })
        .collect();
    Outcome {
        findings,
        gone,
        blocked,
        spent,
    }
}

/// High bytes stand for what random bytes would hardly be.
fn expand(script: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for byte in script.iter().take(512) {
        match byte {
            0xe0 => bytes.extend_from_slice(IMEI.as_bytes()),
            0xe1 => bytes.extend_from_slice(MAIL.as_bytes()),
            0xe2..=0xe5 => bytes.extend(wrap(byte - 0xe2, IMEI.as_bytes())),
            0xe6..=0xe9 => bytes.extend(wrap(byte - 0xe6, MAIL.as_bytes())),
            0xea..=0xed => bytes.extend(wrap(
                byte - 0xea,
                format!("{{\"imei\":\"{IMEI}\",\"m\":\"{MAIL}\"}}").as_bytes(),
            )),
            0xee => bytes.extend_from_slice(&IMEI.as_bytes()[..9]),
            0xef => bytes.extend_from_slice(&IMEI.as_bytes()[9..]),
            0xf0 => bytes.extend_from_slice(
                b"POST /a?b=c HTTP/1.1\r\nHost: h.example\r\nContent-Length: 40\r\n\r\n",
            ),
            0xf1 => {
                bytes.extend_from_slice(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
            }
            0xf2 => bytes.extend_from_slice(b"GET /"),
            0xf3 => bytes.extend_from_slice(b" HTTP/1.1\r\n"),
            0xf4 => bytes.extend_from_slice(b"\r\n"),
            0xf5 => bytes.extend_from_slice(b"9\r\n"),
            0xf6 => bytes.extend_from_slice(b"\r\n0\r\n\r\n"),
            0xf7 => bytes.extend_from_slice(&[22, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3]),
            0xf8 => bytes.extend_from_slice(&[23, 3, 3, 0, 20]),
            0xf9 => bytes.extend_from_slice(b"\\u0034"),
            0xfa => bytes.extend_from_slice(b"%34"),
            0xfb => bytes.extend_from_slice(&[0; 17]),
            _ => bytes.push(*byte),
        }
    }
    bytes
}

/// Base64, hexadecimal, percent-encoding or JSON escapes, written the plain way.
pub(super) fn wrap(layer: u8, bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    match layer & 3 {
        0 => {
            let bits: Vec<u8> = bytes
                .iter()
                .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
                .collect();
            let sextet = |bits: &[u8]| {
                let value = (0..6).fold(0, |value, at| {
                    value << 1 | bits.get(at).copied().unwrap_or(0)
                });
                ALPHABET[usize::from(value)]
            };
            bits.chunks(6).map(sextet).collect()
        }
        1 => bytes
            .iter()
            .flat_map(|byte| format!("{byte:02x}").into_bytes())
            .collect(),
        2 => bytes
            .iter()
            .flat_map(|byte| format!("%{byte:02X}").into_bytes())
            .collect(),
        _ => bytes
            .iter()
            .flat_map(|byte| format!("\\u00{byte:02x}").into_bytes())
            .collect(),
    }
}

fn rules(leak: &'static str) -> &'static Rules {
    static RULES: OnceLock<[Rules; 2]> = OnceLock::new();
    let make = |leak: &str| {
        let identity = format!("imei = \"{IMEI}\"\nemail = \"{MAIL}\"");
        let identity = Identity::parse("identity", &identity).expect("a good identity");
        let policy = Config::parse(
            "policy",
            &format!("[default]\nleak = \"{leak}\"\nleak_shape = \"{leak}\""),
        )
        .and_then(|config| Policy::new(config, Vec::new()));
        Rules {
            detector: Arc::new(Detector::new(&identity, &[1; 32])),
            policy: Arc::new(policy.expect("a good policy")),
        }
    };
    let [allow, block] = RULES.get_or_init(|| ["allow", "block"].map(make));
    if leak == "allow" { allow } else { block }
}

pub(super) const IMEI: &str = "490154203237518";
const MAIL: &str = "kari.nordmann@mail.example";
