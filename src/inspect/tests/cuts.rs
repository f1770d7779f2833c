//! What is found, and what has gone by then, for every segmentation.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use proptest::prelude::*;

use super::*;

pub(super) struct Fixture {
    pub(super) name: &'static str,
    pub(super) port: u16,
    pub(super) bytes: Vec<u8>,
    /// Kind, place, and the wrappers.
    pub(super) expected: Vec<(Kind, Place, Vec<Wrapper>)>,
    /// Whether the first value is in a framed unit that begins at the first byte.
    pub(super) framed: bool,
}

fn lines(text: &str, column: usize, end: &str) -> String {
    let mut out = String::new();
    for line in text.as_bytes().chunks(column) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push_str(end);
    }
    out
}

pub(super) fn chunked(body: &[u8], size: usize) -> Vec<u8> {
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

/// Sends a fixture in pieces that end at `cuts`.
pub(super) fn run<'r>(
    fixture: &Fixture,
    cuts: &[usize],
    rules: &'r Rules,
    pause: Duration,
) -> Flow<'r> {
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
pub(super) fn check_blocked(fixture: &Fixture, flow: &Flow<'_>, what: &str) {
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
