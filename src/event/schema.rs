//! The document of events says what the types say, neither less nor more.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::*;

const DOCUMENT: &str = include_str!("../../docs/events.md");

/// The words in the first column of the tables under a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let start = format!("\n## `{heading}`\n");
    let section = DOCUMENT.split(&start).nth(1);
    let section = section.unwrap_or_else(|| panic!("docs/events.md has no section {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let word = |line: &str| {
        line.strip_prefix("| `")?
            .split('`')
            .next()
            .map(str::to_owned)
    };
    section.lines().filter_map(word).collect()
}

fn check(heading: &str, words: impl IntoIterator<Item = String>) {
    assert_eq!(
        documented(heading),
        words.into_iter().collect(),
        "docs/events.md, {heading}"
    );
}

/// Every variant of an enum; does not compile where one is missing.
macro_rules! variants {
    ($enum:ident: $($variant:ident),+ $(,)?) => {{
        let complete = |value: &$enum| match value {
            $($enum::$variant => (),)+
        };
        let all = [$($enum::$variant),+];
        all.iter().for_each(complete);
        all.map(|value| word(&value))
    }};
}

fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => panic!("not a word: {other:?}"),
    }
}

#[test]
fn every_value_is_documented() {
    check("proto", variants!(Proto: Tcp, Udp, Icmp));
    check("verdict", variants!(Action: Allow, Ask, Block));
    check("name_from", variants!(NameSource: Dns, Sni, Quic, Http));
    check("opaque", variants!(Opaque: Tls, Quic, Ech, Budget));
    check(
        "failure",
        variants!(Failure: Refused, Unreachable, Timeout, Broken, ProxyUnreachable, ProxyLogin, ProxyRefused, ProxyProtocol),
    );
    check("confidence", variants!(Confidence: Exact, Shape));
    check(
        "chain",
        variants!(Wrapper: Percent, Json, Base64, Hex, Base32, Gzip, Zlib, Deflate, Brotli, Zstd, Zip, Multipart, Protobuf,
            Utf16, Xor, Chunked, Http2, Websocket, Mqtt, Coap),
    );
    check(
        "spelling",
        variants!(Spelling: Plain, Separators, Case, Reversed, Prefix, Length, Decimal, Hex, Raw, Integer, Varint, Bcd, Rounded, Scaled, Float,
            Md5, Sha1, Sha256),
    );
    check(
        "at",
        variants!(Place: Path, Query, Header, Body, Name, Stream, Datagram),
    );
    check("scope", variants!(Scope: Once, Flow, Quarter, Always));
    check("by", variants!(AnsweredBy: Person, Timeout, Policy));
    check("kind", Kind::NAMED.map(|(name, _)| name.to_owned()));
}

#[test]
fn every_event_and_field_is_documented() {
    let events = events();
    let mut names = BTreeSet::new();
    for event in events {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(&event) else {
            panic!("{event:?} is no object");
        };
        let Some(Value::String(name)) = fields.remove("event") else {
            panic!("{event:?} has no name");
        };
        assert!(fields.remove("time").is_some(), "{name}");
        if let Some(Value::Array(findings)) = fields.get("findings") {
            let Some(Value::Object(finding)) = findings.first() else {
                panic!("no example of a finding in {name}");
            };
            let line = DOCUMENT
                .lines()
                .find(|line| line.starts_with("| `findings`"));
            let line = line.expect("findings are documented");
            assert!(
                finding.keys().all(|key| line.contains(&format!("`{key}`"))),
                "{line}"
            );
        }
        check(&name, fields.into_iter().map(|(field, _)| field));
        names.insert(name);
    }
    let head = DOCUMENT.split("\n# Values").next().unwrap_or_default();
    let heads = head
        .lines()
        .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'));
    assert_eq!(names, heads.map(str::to_owned).collect());
}

/// One of each; does not compile where a field is missing, nor where an event is.
fn events() -> Vec<Event> {
    let finding = Finding {
        kind: Kind::Imei,
        confidence: Confidence::Exact,
        chain: vec![Wrapper::Json],
        spelling: Spelling::Plain,
        last4: None,
        hash: "k1:00".into(),
        at: Place::Body,
        offset: 0,
        field: None,
    };
    let dst: SocketAddr = "203.0.113.9:80".parse().expect("an address");
    let flow = FlowEvent {
        time: 0.0,
        flow: 1,
        proto: Proto::Tcp,
        src: dst,
        dst,
        app: None,
        name: None,
        name_from: None,
        opaque: None,
        opaque_bytes: 0,
        bytes_out: 0,
        bytes_in: 0,
        verdict: Action::Block,
        rule: "rule.1".into(),
        via: None,
        failure: None,
    };
    let found = FindingEvent {
        time: 0.0,
        flow: 1,
        proto: Proto::Tcp,
        dst,
        app: None,
        name: None,
        finding: finding.clone(),
        verdict: Action::Block,
        rule: "rule.1".into(),
        approved: false,
    };
    let ask = AskEvent {
        name_from: None,
        time: 0.0,
        question: 1,
        flow: 1,
        proto: Proto::Tcp,
        dst,
        app: None,
        name: None,
        findings: vec![finding],
        rule: "rule.1".into(),
        timeout: 30.0,
        fallback: Action::Block,
    };
    let answer = AnswerEvent {
        time: 0.0,
        question: 1,
        verdict: Action::Block,
        scope: Scope::Once,
        by: AnsweredBy::Person,
    };
    let name = NameEvent {
        time: 0.0,
        name: "host.example".into(),
        addresses: Vec::new(),
        verdict: Action::Allow,
        rule: "rule.1".into(),
    };
    let drop = DropEvent {
        time: 0.0,
        reason: "version",
        count: 1,
    };
    let error = ErrorEvent {
        time: 0.0,
        message: String::new(),
    };
    let health = HealthEvent {
        time: 0.0,
        healthy: false,
        latency: None,
    };
    let all = vec![
        Event::Flow(flow),
        Event::Finding(found),
        Event::Ask(ask),
        Event::Answer(answer),
        Event::Name(name),
        Event::Drop(drop),
        Event::Error(error),
        Event::Health(health),
    ];
    for event in &all {
        match event {
            Event::Flow(_)
            | Event::Finding(_)
            | Event::Ask(_)
            | Event::Answer(_)
            | Event::Name(_)
            | Event::Drop(_)
            | Event::Error(_)
            | Event::Health(_) => {}
        }
    }
    all
}
