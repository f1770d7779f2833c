//! Whole flows through the pipeline: what is found, and what has gone by then, for every segmentation.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use proptest::prelude::*;

use super::*;
use crate::{
    detect::Identity,
    event::{Action, Kind, Place, Proto, Wrapper},
    policy::Config,
};

const IMEI: &str = "490154203237518";
const IMSI: &str = "242016100000007";
const ICCID: &str = "8947080000000000009";
const MAC: &str = "02:00:5e:10:20:3f";
const EMAIL: &str = "kari.nordmann@mail.example";
const GAID: &str = "38400000-8cf0-11bd-b23e-10b96e40000d";

fn rules(leak: &str) -> Rules {
    let identity = format!(
        "imei = \"{IMEI}\"\nimsi = \"{IMSI}\"\nwifi_mac = \"{MAC}\"\nemail = \"{EMAIL}\"\nadvertising_id = \"{GAID}\"\n"
    );
    let identity = Identity::parse("identity.toml", &identity).expect("the identity is valid");
    let config = Config::parse("policy.toml", &format!("[default]\nleak = \"{leak}\"\n")).expect("the policy is valid");
    Rules {
        detector: Arc::new(Detector::new(&identity, &[7; 32])),
        policy: Arc::new(Policy::new(config, Vec::new()).expect("there are no lists")),
    }
}

/// An app's side of a flow: what it sent and what has gone.
struct Flow<'r> {
    stream: Stream,
    rules: &'r Rules,
    facts: Facts,
    now: Duration,
    room: usize,
    can_ask: bool,
    notices: Vec<Notice>,
    held: Vec<u8>,
    gone: usize,
    wake: Option<Duration>,
    gate: Gate,
}

impl<'r> Flow<'r> {
    fn new(proto: Proto, port: u16, rules: &'r Rules) -> Self {
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
            held: Vec::new(),
            gone: 0,
            wake: None,
            gate: Gate::Open,
        }
    }

    fn call(&mut self, call: impl FnOnce(&mut Stream, &[u8], &mut Context<'_>) -> Step) {
        let mut cx = Context {
            rules: self.rules,
            facts: &mut self.facts,
            now: self.now,
            room: self.room,
            can_ask: self.can_ask,
            notices: &mut self.notices,
        };
        let step = call(&mut self.stream, &self.held, &mut cx);
        assert!(step.release <= self.held.len());
        self.held.drain(..step.release);
        self.gone += step.release;
        self.wake = step.wake;
        self.gate = step.gate;
        assert!(self.wake.is_none_or(|wake| wake > self.now), "a wake that has come");
        if self.gate == Gate::Open && !self.held.is_empty() {
            assert!(self.wake.is_some() , "held without a deadline");
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.call(|stream, held, cx| stream.feed(held, cx));
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(wake) = self.wake.filter(|wake| *wake <= until) {
            self.now = wake;
            self.call(|stream, held, cx| stream.pause(held, cx));
        }
        self.now = until;
    }

    fn finish(&mut self) {
        self.call(|stream, held, cx| stream.finish(held, cx));
    }

    fn blocked(&self) -> bool {
        matches!(self.gate, Gate::Block(_))
    }

    fn findings(&self) -> Vec<(Kind, Place, u64, Vec<Wrapper>)> {
        let mut found: Vec<_> = self
            .notices
            .iter()
            .filter_map(|notice| match notice {
                Notice::Finding { finding, .. } => {
                    Some((finding.kind.clone(), finding.at, finding.offset, finding.chain.clone()))
                }
                Notice::Name { .. } | Notice::Opaque(_) => None,
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
        imei = IMEI, imsi = IMSI, iccid = ICCID, mac = MAC
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

fn post(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("POST / HTTP/1.1\r\nHost: collector.example\r\n{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = b"POST /up HTTP/1.1\r\nHost: collector.example\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn fixtures() -> Vec<Fixture> {
    use Kind::{AdvertisingId, Email, Imei, Imsi, WifiMac};
    use Place::{Body, Header, Path, Query, Stream};
    use Wrapper::{Base64, Chunked, Hex, Json, Percent};
    let json = registration();
    let base64 = BASE64.encode(json.as_bytes());
    let all = |chain: &[Wrapper], at: Place| {
        vec![(Imei, at, chain.to_vec()), (Imsi, at, chain.to_vec()), (WifiMac, at, chain.to_vec())]
    };
    let nul = format!("{}\0{}", &base64[..57], &base64[57..]);
    let fixture = |name, port, bytes: Vec<u8>, expected, framed| Fixture { name, port, bytes, expected, framed };
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
        fixture("DNS over TCP", 53, { let query = dns(&format!("{IMEI}.t.example")); [&(query.len() as u16).to_be_bytes()[..], &query].concat() }, vec![(Imei, Place::Name, vec![])], true),
    ]
}

fn noise(count: usize) -> Vec<u8> {
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

fn tls() -> Vec<u8> {
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
    assert_eq!(flow.blocked(), !fixture.expected.is_empty(), "{}: {what}", fixture.name);
    if !flow.blocked() {
        return;
    }
    if fixture.framed {
        assert_eq!(flow.gone, 0, "{}: {what}", fixture.name);
    }
    let mut known = Flow::new(Proto::Tcp, fixture.port, flow.rules);
    known.send(&fixture.bytes[..flow.gone]);
    known.finish();
    assert!(known.findings().is_empty(), "{}: {what}: what had gone says it all", fixture.name);
}

#[test]
fn finds_every_fixture_and_lets_nothing_of_it_go() {
    let (allow, block) = (rules("allow"), rules("block"));
    for fixture in fixtures() {
        let flow = run(&fixture, &[], &allow, Duration::ZERO);
        let found: Vec<_> = flow.findings().into_iter().map(|(kind, at, _, chain)| (kind, at, chain)).collect();
        assert_eq!(found, fixture.expected, "{}", fixture.name);
        assert_eq!(flow.gone, fixture.bytes.len(), "{}", fixture.name);
        check_blocked(&fixture, &run(&fixture, &[], &block, Duration::ZERO), "in one piece");
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
            check_blocked(&fixture, &run(&fixture, &[cut], &block, Duration::ZERO), &what);
        }
    }
}

#[test]
fn finds_the_same_byte_by_byte() {
    let (allow, block) = (rules("allow"), rules("block"));
    for fixture in fixtures() {
        let cuts: Vec<usize> = (1..fixture.bytes.len()).collect();
        let whole = run(&fixture, &[], &allow, Duration::ZERO).findings();
        assert_eq!(run(&fixture, &cuts, &allow, Duration::ZERO).findings(), whole, "{}", fixture.name);
        check_blocked(&fixture, &run(&fixture, &cuts, &block, Duration::ZERO), "byte by byte");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn finds_the_same_in_random_pieces(
        number in 0usize..27, cuts in prop::collection::btree_set(1usize..900, 0..12),
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
