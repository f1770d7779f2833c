//! Whole flows through the pipeline.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

use super::*;

use crate::{
    decode::Scratch,
    detect::Identity,
    event::{Action, Kind, Place, Proto, Wrapper},
    policy::Config,
};

/// What a client sent, as another encoder wrote it (`fuzz/seeds.py`).
macro_rules! seed {
    ($name:literal) => {
        include_bytes!(concat!("../../../fuzz/corpus/", $name)).to_vec()
    };
}

mod cuts;
mod datagrams;
mod digests;
mod effort;
mod holding;
mod pieces;
mod shapes;
mod wrapping;

use cuts::{Fixture, check_blocked, chunked, run};

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

fn dns(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
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

pub(super) fn datagram(flow: &mut Flow<'_>, payload: &[u8]) {
    flow.held = payload.to_vec();
    flow.call(|stream, held, cx| stream.datagram(held, cx));
}
