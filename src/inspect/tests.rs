//! Whole flows through the pipeline: what is found, and what has gone by then, for every segmentation.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use proptest::prelude::*;

use super::*;

use crate::{
    decode::Scratch,
    detect::Identity,
    event::{Action, Kind, Place, Proto, Wrapper},
    policy::Config,
};

mod effort;
mod pieces;
mod wrapping;

pub(super) const IMEI: &str = "490154203237518";
const IMSI: &str = "242016100000007";
const ICCID: &str = "8947080000000000009";
const MAC: &str = "02:00:5e:10:20:3f";
pub(super) const EMAIL: &str = "kari.nordmann@mail.example";
const GAID: &str = "38400000-8cf0-11bd-b23e-10b96e40000d";

pub(super) fn rules(leak: &str) -> Rules {
    let identity = format!(
        "imei = \"{IMEI}\"\nimsi = \"{IMSI}\"\nwifi_mac = \"{MAC}\"\nemail = \"{EMAIL}\"\nadvertising_id = \"{GAID}\"\n"
    );
    let identity = Identity::parse("identity.toml", &identity).expect("the identity is valid");
    let config = Config::parse(
        "policy.toml",
        &format!("[default]\nleak = \"{leak}\"\nleak_shape = \"{leak}\"\n"),
    )
    .expect("the policy is valid");
    Rules {
        detector: Arc::new(Detector::new(&identity, &[7; 32])),
        policy: Arc::new(Policy::new(config, Vec::new()).expect("there are no lists")),
    }
}

/// An app's side of a flow: what it sent and what has gone.
pub(super) struct Flow<'r> {
    pub(super) stream: Stream,
    rules: &'r Rules,
    pub(super) facts: Facts,
    pub(super) now: Duration,
    pub(super) room: usize,
    pub(super) can_ask: bool,
    pub(super) notices: Vec<Notice>,
    /// Bytes that could not be read.
    pub(super) unread: u64,
    pub(super) held: Vec<u8>,
    pub(super) gone: usize,
    pub(super) wake: Option<Duration>,
    pub(super) gate: Gate,
}

impl<'r> Flow<'r> {
    pub(super) fn new(proto: Proto, port: u16, rules: &'r Rules) -> Self {
        Flow {
            stream: Stream::new(proto),
            rules,
            facts: Facts {
                app: Vec::new(),
                dst: ([203, 0, 113, 9], port).into(),
                proto,
                names: Vec::new(),
                wall: 0,
            },
            now: Duration::from_secs(1),
            room: 256 * 1024,
            can_ask: false,
            notices: Vec::new(),
            unread: 0,
            held: Vec::new(),
            gone: 0,
            wake: None,
            gate: Gate::Open,
        }
    }

    pub(super) fn call(&mut self, call: impl FnOnce(&mut Stream, &[u8], &mut Context<'_>) -> Step) {
        let mut cx = Context {
            rules: self.rules,
            facts: &mut self.facts,
            now: self.now,
            room: self.room,
            can_ask: self.can_ask,
            scratch: &mut Scratch::default(),
            notices: &mut self.notices,
        };
        let step = call(&mut self.stream, &self.held, &mut cx);
        self.notices.retain(|notice| match notice {
            Notice::Unread(bytes) => {
                self.unread += bytes;
                false
            }
            Notice::Finding { .. } | Notice::Name { .. } | Notice::Opaque(_) => true,
        });
        assert!(step.release <= self.held.len());
        self.held.drain(..step.release);
        self.gone += step.release;
        self.wake = step.wake;
        self.gate = step.gate;
        assert!(
            self.wake.is_none_or(|wake| wake > self.now),
            "a wake that has come"
        );
        if self.gate == Gate::Open && !self.held.is_empty() {
            assert!(self.wake.is_some(), "held without a deadline");
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.call(|stream, held, cx| stream.feed(held, cx));
    }

    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(wake) = self.wake.filter(|wake| *wake <= until) {
            self.now = wake;
            self.call(|stream, held, cx| stream.pause(held, cx));
        }
        self.now = until;
    }

    pub(super) fn finish(&mut self) {
        self.call(|stream, held, cx| stream.finish(held, cx));
    }

    pub(super) fn blocked(&self) -> bool {
        matches!(self.gate, Gate::Block(_))
    }

    pub(super) fn findings(&self) -> Vec<(Kind, Place, u64, Vec<Wrapper>)> {
        let mut found: Vec<_> = self
            .notices
            .iter()
            .filter_map(|notice| match notice {
                Notice::Finding { finding, .. } => Some((
                    finding.kind.clone(),
                    finding.at,
                    finding.offset,
                    finding.chain.clone(),
                )),
                Notice::Name { .. } | Notice::Opaque(_) | Notice::Unread(_) => None,
            })
            .collect();
        found.sort();
        found
    }
}

struct Fixture {
    name: &'static str,
    port: u16,
    bytes: Vec<u8>,
    /// Kind, place, and the wrappers.
    expected: Vec<(Kind, Place, Vec<Wrapper>)>,
    /// Whether the first value is in a framed unit that begins at the first byte.
    framed: bool,
}

fn registration() -> String {
    format!(
        concat!(
            r#"{{"REGVER":"4.0","MEID":"{imei}","MODEL":"TA-1046","SWVER":"00WW_2_39E","SIM1CDMAIMSI":"","UETYPE":"1","#,
            r#""SIM1ICCID":"{iccid}","SIM1LTEIMSI":"{imsi}","SIM1TYPE":"2","MACID":"{mac}","OSVER":"8.1.0","ROM":"64G","#,
            r#""RAM":"4G","IMEI1":"{imei}","SIM1CELLID":"26214657","DATASIM":"1","REGDATE":"2019-03-14 08:15:42"}}"#
        ),
        imei = IMEI,
        imsi = IMSI,
        iccid = ICCID,
        mac = MAC
    )
}

fn lines(text: &str, column: usize, end: &str) -> String {
    let mut out = String::new();
    for line in text.as_bytes().chunks(column) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push_str(end);
    }
    out
}

pub(super) fn post(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST / HTTP/1.1\r\nHost: collector.example\r\n{head}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes =
        b"POST /up HTTP/1.1\r\nHost: collector.example\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// What a client sent, as another encoder wrote it (`fuzz/seeds.py`).
macro_rules! seed {
    ($name:literal) => {
        include_bytes!(concat!("../../fuzz/corpus/", $name)).to_vec()
    };
}

fn fixtures() -> Vec<Fixture> {
    use Kind::{AdvertisingId, CellId, Email, Imei, Imsi, WifiMac};
    use Place::{Body, Header, Path, Query, Stream};
    use Wrapper::{Base64, Chunked, Deflate, Hex, Http2, Json, Mqtt, Percent, Websocket};
    let json = registration();
    let base64 = BASE64.encode(json.as_bytes());
    let all = |chain: &[Wrapper], at: Place| {
        vec![
            (Imei, at, chain.to_vec()),
            (Imsi, at, chain.to_vec()),
            (WifiMac, at, chain.to_vec()),
            // Nobody registered it: its name tells.
            (CellId, at, chain.to_vec()),
        ]
    };
    let nul = format!("{}\0{}", &base64[..57], &base64[57..]);
    let fixture = |name, port, bytes: Vec<u8>, expected, framed| Fixture {
        name,
        port,
        bytes,
        expected,
        framed,
    };
    vec![
        fixture("registration, LF every 76", 80, post("Content-Type: application/encrypted-json\r\n", lines(&base64, 76, "\n").as_bytes()), all(&[Base64, Json], Body), true),
        fixture("registration, CRLF every 64", 80, post("", lines(&base64, 64, "\r\n").as_bytes()), all(&[Base64, Json], Body), true),
        fixture("registration, LF every 5", 80, post("", lines(&base64, 5, "\n").as_bytes()), all(&[Base64, Json], Body), true),
        fixture(
            "modem firmware: no blank after the colon, unusual order, unbroken", 9999,
            format!("POST / HTTP/1.1\r\nContent-Length:{}\r\nUser-Agent:modem\r\nHost:collector.example\r\n\r\n{base64}", base64.len()).into_bytes(),
            all(&[Base64, Json], Body), true,
        ),
        fixture("raw socket, unbroken base64", 9999, base64.clone().into_bytes(), all(&[Base64, Json], Stream), false),
        fixture("raw socket, NUL inside the base64", 9998, nul.into_bytes(), all(&[Base64, Json], Stream), false),
        fixture("raw JSON lines", 9999, format!("{json}\n{{\"next\":1}}\n").into_bytes(), all(&[Json], Stream), false),
        fixture("URL-safe base64 in a form", 80, post("", format!("v=1&data={}&crc=7", BASE64URL_NOPAD.encode(json.as_bytes())).as_bytes()), all(&[Base64, Json], Body), true),
        fixture("percent-encoded base64 in a form", 80, post("", format!("data={}", base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")).as_bytes()), all(&[Base64, Json], Body), true),
        fixture("chunked JSON", 80, chunked(json.as_bytes(), 7), all(&[Chunked, Json], Body), true),
        fixture("chunked base64", 80, chunked(base64.as_bytes(), 11), all(&[Chunked, Base64, Json], Body), true),
        fixture(
            "query", 80,
            format!("GET /ad?udid=ifa%3A{GAID}&e={} HTTP/1.1\r\nHost: ads.example\r\n\r\n", EMAIL.replace('@', "%40")).into_bytes(),
            vec![(AdvertisingId, Query, vec![Percent]), (Email, Query, vec![Percent])], true,
        ),
        fixture("path", 80, format!("GET /users/{IMSI}/simservs.xml HTTP/1.1\r\n\r\n").into_bytes(), vec![(Imsi, Path, vec![])], true),
        fixture(
            "headers", 80,
            format!("GET / HTTP/1.1\r\nX-Id: {}\r\nCookie: m={}\r\n\r\n", HEXLOWER.encode(IMEI.as_bytes()), MAC.replace(':', "")).into_bytes(),
            vec![(Imei, Header, vec![Hex]), (WifiMac, Header, vec![])], true,
        ),
        fixture("JSON escapes", 80, post("", br#"{"mail":"kari.nordmann\u0040mail.example","x":"\/"}"#), vec![(Email, Body, vec![Json])], true),
        fixture("pipelined, the second one", 80, [post("", b"nothing"), post("", IMEI.as_bytes())].concat(), vec![(Imei, Body, vec![])], false),
        fixture("line protocol", 21, format!("USER anonymous\r\nPASS {EMAIL}\r\nQUIT\r\n").into_bytes(), vec![(Email, Stream, vec![])], false),
        fixture("noise around raw bytes", 7000, [&noise(3000)[..], &[2, 0, 0x5e, 0x10, 0x20, 0x3f], &noise(900)].concat(), vec![(WifiMac, Stream, vec![])], false),
        fixture("value at the very end", 7000, format!("id {IMEI}").into_bytes(), vec![(Imei, Stream, vec![])], false),
        fixture("broken chunking", 80, [&chunked(b"abc", 3)[..82], b"zz\r\n", IMEI.as_bytes(), b"\n"].concat(), vec![(Imei, Stream, vec![])], false),
        fixture("a value across the break", 80, [&chunked(b"abc", 3)[..74], b"3\r\n", IMEI.as_bytes(), b"\n"].concat(), vec![(Imei, Stream, vec![])], false),
        fixture("TLS, then cleartext", 443, [&tls()[..], format!("imei={IMEI};").as_bytes()].concat(), vec![(Imei, Stream, vec![])], false),
        fixture("a name in a ClientHello", 443, hello(IMEI.as_bytes()), vec![(Imei, Stream, vec![])], false),
        fixture("STARTTLS", 25, [b"EHLO a.example\r\nSTARTTLS\r\n", &tls()[..], b"MAIL FROM:<", EMAIL.as_bytes(), b">\r\n"].concat(), vec![(Email, Stream, vec![])], false),
        fixture("longer number", 80, post("", format!("1{IMEI} {IMEI}2").as_bytes()), vec![], true),
        fixture("one digit off", 9999, b"imei=490154203237519\n".to_vec(), vec![], false),
        fixture("HTTP/2, path and query", 80, seed!("http2/path-and-query"), vec![(Imei, Path, vec![Http2]), (Email, Query, vec![Http2])], false),
        fixture("HTTP/2, DATA in frames, one padded", 80, seed!("http2/data-in-frames"), vec![(Imei, Body, vec![Http2, Json]), (Email, Body, vec![Http2, Json])], false),
        fixture("HTTP/2, two messages in turns", 80, seed!("http2/interleaved"), vec![(Imei, Body, vec![Http2]), (Email, Body, vec![Http2])], false),
        fixture(
            "HTTP/2, continuation, table and eviction", 80, seed!("http2/continuation-and-table"),
            vec![(Imei, Header, vec![Http2]), (Imei, Header, vec![Http2]), (Email, Header, vec![Http2])], false,
        ),
        fixture("gRPC, and trailers", 80, seed!("http2/grpc-and-trailers"), vec![(Imei, Body, vec![Http2]), (Email, Header, vec![Http2])], false),
        fixture("HTTP/2, broken", 80, seed!("http2/broken"), vec![(Imei, Stream, vec![])], false),
        fixture(
            "HTTP/2, a table that is too large", 80, seed!("http2/lost-table"),
            vec![(Imei, Body, vec![Http2, Json]), (Imei, Stream, vec![Http2]), (Email, Body, vec![Http2, Json])], false,
        ),
        fixture("WebSocket, one message", 80, seed!("websocket/one-message"), vec![(Imei, Body, vec![Websocket, Json]), (Email, Body, vec![Websocket, Json])], false),
        fixture(
            "WebSocket, fragments around a ping", 80, seed!("websocket/fragments-around-a-ping"),
            vec![(Imei, Body, vec![Websocket]), (Email, Stream, vec![Websocket])], false,
        ),
        fixture("WebSocket, two messages", 80, seed!("websocket/two-messages"), vec![(Imei, Body, vec![Websocket]), (Email, Body, vec![Websocket])], false),
        fixture(
            "WebSocket, deflate with one context", 80, seed!("websocket/deflate-one-context"),
            vec![
                (Imei, Body, vec![Websocket, Deflate, Json]), (Imei, Body, vec![Websocket, Deflate, Json]),
                (Email, Body, vec![Websocket, Deflate, Json]), (Email, Body, vec![Websocket, Deflate, Json]),
            ],
            false,
        ),
        fixture("WebSocket, declined", 80, seed!("websocket/declined"), vec![(Imei, Query, vec![])], false),
        fixture("WebSocket, broken", 80, seed!("websocket/broken"), vec![(Email, Stream, vec![])], false),
        fixture("MQTT, client id and user", 1883, seed!("mqtt/client-id-and-user"), vec![(Imei, Header, vec![Mqtt]), (Email, Header, vec![Mqtt])], false),
        fixture(
            "MQTT, topic and payload", 9, seed!("mqtt/topic-and-payload"),
            vec![(Imei, Path, vec![Mqtt]), (Imei, Body, vec![Mqtt, Json]), (Email, Body, vec![Mqtt, Json])], false,
        ),
        fixture(
            "MQTT, will and properties", 1883, seed!("mqtt/will-and-properties"),
            vec![(Imei, Path, vec![Mqtt]), (Imei, Header, vec![Mqtt]), (Email, Body, vec![Mqtt])], false,
        ),
        fixture("MQTT, broken", 1883, seed!("mqtt/broken"), vec![(Imei, Stream, vec![])], false),
        fixture("DNS over TCP", 53, { let query = dns(&format!("{IMEI}.t.example")); [&(query.len() as u16).to_be_bytes()[..], &query].concat() }, vec![(Imei, Place::Name, vec![])], true),
    ]
}

pub(super) fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(count)
    .collect()
}

fn hello(name: &[u8]) -> Vec<u8> {
    let mut hello = vec![22, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3];
    hello.extend(noise(32));
    hello.extend([0; 40]);
    hello.extend_from_slice(name);
    hello.push(0);
    let length = hello.len() as u16;
    hello[3..5].copy_from_slice(&(length - 5).to_be_bytes());
    hello[7..9].copy_from_slice(&(length - 9).to_be_bytes());
    hello
}

pub(super) fn tls() -> Vec<u8> {
    let mut stream = hello(b"tls.example");
    stream.extend([20, 3, 3, 0, 1, 1, 23, 3, 3, 4, 0]);
    stream.extend_from_slice(IMEI.as_bytes());
    stream.extend(noise(1024 - IMEI.len()));
    stream
}

fn dns(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// Sends a fixture in pieces that end at `cuts`.
fn run<'r>(fixture: &Fixture, cuts: &[usize], rules: &'r Rules, pause: Duration) -> Flow<'r> {
    let mut flow = Flow::new(Proto::Tcp, fixture.port, rules);
    let mut from = 0;
    for cut in cuts.iter().copied().chain([fixture.bytes.len()]) {
        if cut > from && !flow.blocked() {
            flow.send(&fixture.bytes[from..cut]);
            flow.wait(pause);
            from = cut;
        }
    }
    if !flow.blocked() {
        flow.finish();
    }
    flow
}

/// Where the first value's last character is on the wire, found by sending byte after byte.
fn check_blocked(fixture: &Fixture, flow: &Flow<'_>, what: &str) {
    assert_eq!(
        flow.blocked(),
        !fixture.expected.is_empty(),
        "{}: {what}",
        fixture.name
    );
    if !flow.blocked() {
        return;
    }
    if fixture.framed {
        assert_eq!(flow.gone, 0, "{}: {what}", fixture.name);
    }
    let mut known = Flow::new(Proto::Tcp, fixture.port, flow.rules);
    known.send(&fixture.bytes[..flow.gone]);
    known.finish();
    assert!(
        known.findings().is_empty(),
        "{}: {what}: what had gone says it all",
        fixture.name
    );
}

#[test]
fn finds_every_fixture_and_lets_nothing_of_it_go() {
    let (allow, block) = (rules("allow"), rules("block"));
    for fixture in fixtures() {
        let flow = run(&fixture, &[], &allow, Duration::ZERO);
        let found: Vec<_> = flow
            .findings()
            .into_iter()
            .map(|(kind, at, _, chain)| (kind, at, chain))
            .collect();
        assert_eq!(found, fixture.expected, "{}", fixture.name);
        assert_eq!(flow.gone, fixture.bytes.len(), "{}", fixture.name);
        check_blocked(
            &fixture,
            &run(&fixture, &[], &block, Duration::ZERO),
            "in one piece",
        );
    }
}

#[test]
fn finds_the_same_for_every_cut() {
    let (allow, block) = (rules("allow"), rules("block"));
    for fixture in fixtures() {
        let whole = run(&fixture, &[], &allow, Duration::ZERO).findings();
        for cut in 1..fixture.bytes.len() {
            let what = format!("cut at {cut}");
            let flow = run(&fixture, &[cut], &allow, Duration::ZERO);
            assert_eq!(flow.findings(), whole, "{}: {what}", fixture.name);
            assert_eq!(flow.gone, fixture.bytes.len(), "{}: {what}", fixture.name);
            check_blocked(
                &fixture,
                &run(&fixture, &[cut], &block, Duration::ZERO),
                &what,
            );
        }
    }
}

#[test]
fn finds_the_same_byte_by_byte() {
    let (allow, block) = (rules("allow"), rules("block"));
    for fixture in fixtures() {
        let cuts: Vec<usize> = (1..fixture.bytes.len()).collect();
        let whole = run(&fixture, &[], &allow, Duration::ZERO).findings();
        assert_eq!(
            run(&fixture, &cuts, &allow, Duration::ZERO).findings(),
            whole,
            "{}",
            fixture.name
        );
        check_blocked(
            &fixture,
            &run(&fixture, &cuts, &block, Duration::ZERO),
            "byte by byte",
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn finds_the_same_in_random_pieces(
        number in 0usize..40, cuts in prop::collection::btree_set(1usize..900, 0..12),
    ) {
        let (allow, block) = (rules("allow"), rules("block"));
        let fixtures = fixtures();
        let fixture = &fixtures[number % fixtures.len()];
        let cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < fixture.bytes.len()).collect();
        let whole = run(fixture, &[], &allow, Duration::ZERO).findings();
        prop_assert_eq!(run(fixture, &cuts, &allow, Duration::ZERO).findings(), whole);
        check_blocked(fixture, &run(fixture, &cuts, &block, Duration::ZERO), "random pieces");
    }
}

#[test]
fn finds_the_same_with_a_pause_anywhere() {
    let (allow, block) = (rules("allow"), rules("block"));
    let pause = Duration::from_millis(300);
    for fixture in fixtures()
        .into_iter()
        .filter(|fixture| !fixture.expected.is_empty())
    {
        // A query over TCP that pauses is read as a plain stream from there on.
        if fixture.port == 53 {
            continue;
        }
        let whole = run(&fixture, &[], &allow, Duration::ZERO).findings();
        for cut in 1..fixture.bytes.len() {
            let flow = run(&fixture, &[cut], &allow, pause);
            let places = |found: Vec<(Kind, Place, u64, Vec<Wrapper>)>| {
                found
                    .into_iter()
                    .map(|(kind, at, offset, _)| (kind, at, offset))
                    .collect::<std::collections::BTreeSet<_>>()
            };
            // Half an address at a pause is one by its shape, before it is whole.
            assert_eq!(
                places(flow.findings()),
                places(whole.clone()),
                "{}: pause at {cut}",
                fixture.name
            );
            assert_eq!(
                flow.gone,
                fixture.bytes.len(),
                "{}: pause at {cut}",
                fixture.name
            );
            let unframed = Fixture {
                framed: false,
                expected: fixture.expected.clone(),
                bytes: fixture.bytes.clone(),
                ..fixture
            };
            check_blocked(
                &unframed,
                &run(&fixture, &[cut], &block, pause),
                "with a pause",
            );
        }
    }
}

#[test]
fn stops_a_value_before_its_last_character_however_slowly_it_comes() {
    let block = rules("block");
    for (pause, most) in [
        (Duration::from_millis(300), 12),
        (Duration::from_secs(6), 17),
    ] {
        let mut flow = Flow::new(Proto::Tcp, 9999, &block);
        for byte in format!("id={IMEI}\n").as_bytes() {
            if !flow.blocked() {
                flow.send(&[*byte]);
                flow.wait(pause);
            }
        }
        assert!(flow.blocked());
        assert!(flow.gone <= most, "{} of 18 bytes went", flow.gone);
    }
}

#[test]
fn holds_no_more_than_an_unfinished_value_for_five_seconds() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 9999, &block);
    flow.send(b"hello 490154203");
    assert_eq!(
        (flow.gone, flow.wake),
        (6, Some(flow.now + Duration::from_millis(250)))
    );
    flow.wait(Duration::from_millis(4_900));
    assert_eq!(flow.gone, 6);
    flow.wait(Duration::from_millis(200));
    assert_eq!((flow.gone, flow.wake), (15, None));
}

#[test]
fn sends_a_line_at_once() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 21, &block);
    for line in [
        "USER anonymous12345\r\n",
        "PASS abcdefghijklmnopqrstuvwxyz\r\n",
        "CWD /a/b/c/0123456789abcdef\r\n",
        "\r\n",
        "x",
        "{\"a\":\"b\\u00",
    ] {
        flow.send(line.as_bytes());
        assert!(flow.held.is_empty(), "{line:?}");
    }
}

#[test]
fn sends_a_head_that_waits_for_a_continue_and_holds_the_body() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    let bytes = post(
        "Expect: 100-continue\r\n",
        format!("imei={IMEI}").as_bytes(),
    );
    let head = bytes.len() - 20;
    flow.send(&bytes[..head - 1]);
    assert_eq!(flow.gone, 0);
    flow.send(&bytes[head - 1..head]);
    assert_eq!((flow.gone, flow.wake), (head, None));
    flow.send(&bytes[head..head + 4]);
    assert_eq!(flow.gone, head);
    flow.send(&bytes[head + 4..]);
    assert!(flow.blocked());
    assert_eq!(flow.gone, head);
}

#[test]
fn streams_a_message_that_pauses() {
    let (allow, block) = (rules("allow"), rules("block"));
    let body = format!("{} imei={IMEI} tail", "x".repeat(100));
    let bytes = chunked(body.as_bytes(), 30);
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    flow.send(&bytes[..100]);
    assert_eq!(
        (flow.gone, flow.wake),
        (0, Some(flow.now + Duration::from_millis(250)))
    );
    flow.wait(Duration::from_millis(250));
    assert_eq!((flow.gone, flow.wake), (100, None));
    flow.send(&bytes[100..130]);
    assert_eq!((flow.gone, flow.wake), (130, None), "no further waits");
    flow.send(&bytes[130..]);
    assert!(flow.blocked());
    let whole = run(
        &Fixture {
            name: "",
            port: 80,
            bytes: bytes.clone(),
            expected: vec![],
            framed: true,
        },
        &[],
        &allow,
        Duration::ZERO,
    );
    assert_eq!(flow.findings(), whole.findings());
}

#[test]
fn streams_a_message_for_which_there_is_no_room() {
    let block = rules("block");
    for room in [0, 1000] {
        let mut flow = Flow::new(Proto::Tcp, 80, &block);
        flow.room = room;
        let body = [noise(5000), IMEI.as_bytes().to_vec(), noise(5000)].concat();
        let bytes = post("", &body);
        for piece in bytes.chunks(500) {
            if !flow.blocked() {
                flow.send(piece);
                assert!(
                    flow.blocked() || flow.held.len() < room.max(1),
                    "{} held",
                    flow.held.len()
                );
            }
        }
        assert!(flow.blocked());
        assert!(flow.gone >= 4500 && flow.gone < bytes.len() - 5000 - 7);
    }
}

#[test]
fn lets_a_large_body_through_in_bounded_room_and_time() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    flow.room = 64 * 1024;
    let block_of_body = noise(1 << 16);
    let total = 64u64 << 20;
    flow.send(
        format!("PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {total}\r\n\r\n").as_bytes(),
    );
    for _ in 0..total >> 16 {
        flow.send(&block_of_body);
        assert!(flow.held.len() <= flow.room);
    }
    assert!(flow.held.is_empty() && flow.findings().is_empty());
    flow.send(b"GET / HTTP/1.1\r\n\r\n");
    assert!(flow.held.is_empty());
}

#[test]
fn lets_large_text_through_that_is_all_words() {
    let block = rules("block");
    let line = "{\"name\":\"screen_view\",\"path\":\"a\\/b%20c+d\",\"ts\":1700000000000}\n";
    let text = line.repeat((1 << 16) / line.len());
    let mut flow = Flow::new(Proto::Tcp, 9999, &block);
    for _ in 0..16 {
        flow.send(text.as_bytes());
        assert!(flow.held.is_empty());
    }
    assert_eq!(flow.notices, []);
}

#[test]
fn lets_the_clean_one_of_two_pipelined_requests_go() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    let first = post("", b"nothing");
    flow.send(&[first.clone(), post("", IMEI.as_bytes())].concat());
    assert!(flow.blocked());
    assert_eq!(flow.gone, first.len());
}

#[test]
fn asks_once_and_goes_on_after_the_answer() {
    let ask = rules("ask");
    let mut flow = Flow::new(Proto::Tcp, 80, &ask);
    flow.can_ask = true;
    let bytes = post("", IMEI.as_bytes());
    flow.send(&bytes);
    assert!(matches!(&flow.gate, Gate::Ask(verdict) if &*verdict.rule == "default.leak"));
    flow.send(&bytes);
    assert!(matches!(flow.gate, Gate::Ask(_)));
    assert_eq!(flow.gone, 0);
    flow.call(|stream, held, cx| stream.answer(Action::Allow, held, cx));
    assert_eq!(
        (flow.gate.clone(), flow.gone),
        (Gate::Open, 2 * bytes.len()),
        "kinds let go are not asked about again"
    );
    flow.send(&post("", EMAIL.as_bytes()));
    assert!(matches!(flow.gate, Gate::Ask(_)), "another kind is");
    flow.call(|stream, held, cx| stream.answer(Action::Block, held, cx));
    assert!(flow.blocked());
    flow.send(b"more");
    assert!(flow.blocked());
    assert_eq!(flow.gone, 2 * bytes.len());
}

#[test]
fn falls_back_where_nobody_answers_and_names_the_rule() {
    let ask = rules("ask");
    let mut flow = Flow::new(Proto::Tcp, 80, &ask);
    flow.send(&post("", IMEI.as_bytes()));
    let Gate::Block(verdict) = &flow.gate else {
        panic!("{:?}", flow.gate)
    };
    assert_eq!(
        (verdict.action, &*verdict.rule, verdict.approved),
        (Action::Block, "default.leak", false)
    );
}

#[test]
fn judges_the_connection_again_when_the_host_is_known() {
    let config = "[[rule]]\nto = \"tracker.example\"\naction = \"block\"\n";
    let config = Config::parse("policy.toml", config).expect("the policy is valid");
    let rules = Rules {
        policy: Arc::new(Policy::new(config, Vec::new()).expect("no lists")),
        ..rules("allow")
    };
    let mut flow = Flow::new(Proto::Tcp, 80, &rules);
    flow.send(b"GET / HTTP/1.1\r\nHost: www.tracker.example\r\n\r\n");
    assert!(flow.blocked());
    assert_eq!(flow.gone, 0);
    assert_eq!(
        flow.notices,
        [Notice::Name {
            name: "www.tracker.example".into(),
            from: NameSource::Http
        }]
    );
    assert_eq!(
        flow.facts.names,
        [("www.tracker.example".into(), NameSource::Http)]
    );
}

#[test]
fn relays_tls_without_looking_and_says_so() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 443, &block);
    flow.send(&tls());
    assert_eq!(flow.notices, [Notice::Opaque(Opaque::Tls)]);
    assert_eq!(
        (flow.held.len(), flow.stream.opaque()),
        (0, Some(Opaque::Tls))
    );
}

pub(super) fn datagram(flow: &mut Flow<'_>, payload: &[u8]) {
    flow.held = payload.to_vec();
    flow.call(|stream, held, cx| stream.datagram(held, cx));
}

/// A CoAP request with options, each with its distance from the one before.
fn request_by_coap(options: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0x41, 0x02, 0x12, 0x34, b't'];
    for (delta, value) in options {
        let nibble = |value: u8| value.min(13);
        let length = value.len() as u8;
        message.push(nibble(*delta) << 4 | nibble(length));
        let more = [*delta, length].into_iter().filter(|value| *value >= 13);
        message.extend(more.map(|value| value - 13));
        message.extend_from_slice(value);
    }
    if !payload.is_empty() {
        message.push(0xff);
        message.extend_from_slice(payload);
    }
    message
}

#[test]
fn judges_the_destination_that_coap_names() {
    let config = "[[rule]]\nto = \"tracker.example\"\naction = \"block\"\n";
    let config = Config::parse("policy.toml", config).expect("the policy is valid");
    let rules = Rules {
        policy: Arc::new(Policy::new(config, Vec::new()).expect("no lists")),
        ..rules("allow")
    };
    let mut flow = Flow::new(Proto::Udp, 5683, &rules);
    datagram(&mut flow, &request_by_coap(&[(3, b"fine.example")], b"x"));
    assert!(!flow.blocked());
    datagram(
        &mut flow,
        &request_by_coap(&[(3, b"tracker.example")], b"x"),
    );
    assert!(flow.blocked());
}

#[test]
fn judges_datagrams() {
    use Wrapper::{Base64, Coap, Hex, Json};
    let block = rules("block");
    let payload = BASE64.encode(registration().as_bytes());
    let coap = request_by_coap(&[(11, b"nb")], payload.as_bytes());
    type Expected = Option<(Kind, Place, Vec<Wrapper>)>;
    let table: Vec<(u16, Vec<u8>, Expected)> = vec![
        (
            5683,
            coap,
            Some((Kind::Imei, Place::Body, vec![Coap, Base64, Json])),
        ),
        (
            53,
            dns(&format!("{IMEI}.t.example")),
            Some((Kind::Imei, Place::Name, vec![])),
        ),
        (
            53,
            dns("4901542.03237518.t.example"),
            Some((Kind::Imei, Place::Name, vec![])),
        ),
        (
            53,
            dns(&format!("{}.t.example", HEXLOWER.encode(IMEI.as_bytes()))),
            Some((Kind::Imei, Place::Name, vec![Hex])),
        ),
        (
            53,
            dns(&format!(
                "{}.t.example",
                BASE64URL_NOPAD.encode(IMEI.as_bytes())
            )),
            Some((Kind::Imei, Place::Name, vec![Base64])),
        ),
        (53, dns("www.example"), None),
        (
            53,
            [dns("a.example"), IMEI.into()].concat(),
            Some((Kind::Imei, Place::Datagram, vec![])),
        ),
        (53, IMEI.into(), Some((Kind::Imei, Place::Datagram, vec![]))),
        (
            7777,
            request_by_coap(&[(3, b"c.example"), (8, b"dev"), (0, IMEI.as_bytes())], b""),
            Some((Kind::Imei, Place::Path, vec![Coap])),
        ),
        (
            5683,
            request_by_coap(&[(15, format!("m={EMAIL}").as_bytes())], b"{}"),
            Some((Kind::Email, Place::Query, vec![Coap])),
        ),
        (
            7777,
            request_by_coap(&[(3, IMEI.as_bytes())], b""),
            Some((Kind::Imei, Place::Header, vec![Coap])),
        ),
        (9, b"hello".to_vec(), None),
    ];
    for (port, payload, expected) in table {
        let mut flow = Flow::new(Proto::Udp, port, &block);
        datagram(&mut flow, &payload);
        assert_eq!(flow.blocked(), expected.is_some());
        assert_eq!(
            flow.gone,
            if expected.is_some() { 0 } else { payload.len() }
        );
        let found = flow
            .findings()
            .into_iter()
            .map(|(kind, at, _, chain)| (kind, at, chain))
            .next();
        assert_eq!(found, expected, "{}", payload.escape_ascii());
    }
}

#[test]
fn finds_a_value_that_is_cut_between_datagrams() {
    let block = rules("block");
    // Without its check digit an IMEI is one already.
    for cut in 1..IMEI.len() - 1 {
        let mut flow = Flow::new(Proto::Udp, 9, &block);
        datagram(&mut flow, format!("id={}", &IMEI[..cut]).as_bytes());
        assert!(!flow.blocked());
        datagram(&mut flow, &IMEI.as_bytes()[cut..]);
        assert!(flow.blocked(), "cut at {cut}");
        // Blocks of one body (RFC 7959) are told from each other by their options.
        let mut flow = Flow::new(Proto::Udp, 5683, &block);
        for (number, part) in [&IMEI[..cut], &IMEI[cut..]].into_iter().enumerate() {
            let block1 = [(number as u8) << 4 | 0x08 | 2];
            datagram(
                &mut flow,
                &request_by_coap(&[(11, b"up"), (16, &block1)], part.as_bytes()),
            );
        }
        assert!(flow.blocked(), "cut at {cut}");
    }
}

#[test]
fn relays_quic_but_not_text_that_follows_it() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Udp, 443, &block);
    let initial = &seed!("quic/one")[2..1202];
    datagram(&mut flow, initial);
    assert!(!flow.blocked());
    datagram(&mut flow, &[&[0x4f][..], &noise(60)].concat());
    let name = Notice::Name {
        name: "quic.example".into(),
        from: NameSource::Quic,
    };
    assert_eq!(flow.notices, [Notice::Opaque(Opaque::Quic), name]);
    datagram(&mut flow, format!("{{\"imei\":\"{IMEI}\"}}").as_bytes());
    assert!(flow.blocked());
}

#[test]
fn inspects_a_request_in_every_place() {
    let inspector = Inspector::new(rules("ask"));
    let inspection = inspector.request(&Request {
        method: "POST",
        url: &format!("https://{IMEI}.t.example/u/{IMSI}?mail=kari.nordmann%40mail.example"),
        headers: &[("X-Mac", MAC), ("Cookie", "a=b")],
        body: &[
            format!("gaid={}", &GAID[..20]).as_bytes(),
            &GAID.as_bytes()[20..],
        ],
    });
    let found: Vec<_> = inspection
        .findings
        .iter()
        .map(|f| (f.kind.clone(), f.at, f.offset))
        .collect();
    assert_eq!(
        found,
        [
            (Kind::Imsi, Place::Path, 3),
            (Kind::Email, Place::Query, 5),
            (Kind::WifiMac, Place::Header, 7),
            (Kind::AdvertisingId, Place::Body, 5),
            (Kind::Imei, Place::Name, 0),
        ]
    );
    assert_eq!(
        (inspection.verdict.action, &*inspection.verdict.rule),
        (Action::Ask, "default.leak")
    );
}

#[test]
fn inspects_bytes_to_their_end_whatever_the_verdict() {
    let inspector = Inspector::new(rules("block"));
    let bytes = [post("", IMEI.as_bytes()), post("", EMAIL.as_bytes())].concat();
    let to = "collector.example".parse().expect("a destination");
    let inspection = inspector.bytes(Proto::Tcp, &to, &bytes);
    assert_eq!(
        inspection
            .findings
            .iter()
            .map(|f| &f.kind)
            .collect::<Vec<_>>(),
        [&Kind::Imei, &Kind::Email]
    );
    assert_eq!(inspection.verdict.action, Action::Block);
    let clean = inspector.bytes(Proto::Udp, &to, b"nothing");
    assert_eq!(
        (clean.findings.len(), clean.verdict.action),
        (0, Action::Allow)
    );
}

#[test]
fn never_shows_what_it_holds() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    flow.send(format!("GET /?imei={IMEI} HTTP/1.1\r\nX: {IMEI}").as_bytes());
    let mut raw = Flow::new(Proto::Tcp, 9, &block);
    raw.send(format!("id={IMEI}").as_bytes());
    for shown in [format!("{:?}", flow.stream), format!("{:?}", raw.stream)] {
        assert!(
            !shown.contains("4901") && !shown.contains("52, 57, 48"),
            "{shown}"
        );
    }
}

#[test]
fn says_when_the_budget_is_spent() {
    let allow = rules("allow");
    let mut bomb = "0".repeat(300);
    for _ in 0..3 {
        bomb = BASE64.encode(bomb.as_bytes());
    }
    let bomb = format!("+%2525252525{bomb}").repeat(20);
    let mut flow = Flow::new(Proto::Tcp, 9999, &allow);
    flow.send(bomb.as_bytes());
    assert_eq!(flow.notices, [Notice::Opaque(Opaque::Budget)]);
}

#[test]
fn holds_an_unfinished_value_behind_an_unfinished_escape() {
    let block = rules("block");
    for (write, width) in [(r"\u00", 6), ("%", 3)] {
        let value: String = EMAIL
            .bytes()
            .map(|byte| format!("{write}{byte:02x}"))
            .collect();
        let half = EMAIL.len() / 2 * width;
        for cut in half + width..value.len() {
            let mut flow = Flow::new(Proto::Tcp, 9999, &block);
            flow.send(&value.as_bytes()[..half]);
            flow.send(&value.as_bytes()[half..cut]);
            assert_eq!(flow.gone, half, "cut at {cut} of {value}");
        }
    }
}

mod digests;
mod shapes;
