//! Datagrams: each is judged by itself, and values that two of them share are found.

use super::*;

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
