//! Values that names tell, in whole flows.

use super::*;
use crate::event::{Confidence, Spelling};

const PERSON: &str = r#"
    imei = "490154203237518"
    location = { latitude = 59.9139, longitude = 10.7522 }
    ssid = "Home"
    tac = "12345"
    installed_apps = ["com.example.bank", "org.example.chess", "no.example.news", "com.example.dating", "com.example.health", "com.example.radio"]
"#;

fn judged_by(identity: &str, action: &str) -> Rules {
    let identity = Identity::parse("identity.toml", identity).expect("the identity is valid");
    let policy = format!("[default]\nleak = \"{action}\"\nleak_shape = \"{action}\"\n");
    let config = Config::parse("policy.toml", &policy).expect("the policy is valid");
    Rules {
        detector: Arc::new(Detector::new(&identity, &[7; 32])),
        policy: Arc::new(Policy::new(config, Vec::new()).expect("there are no lists")),
    }
}

/// Kind, confidence, place and offset of everything found.
fn found(flow: &Flow<'_>) -> Vec<(Kind, Confidence, Place, u64)> {
    let mut found: Vec<_> = flow
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Finding { finding, .. } => Some((
                finding.kind.clone(),
                finding.confidence,
                finding.at,
                finding.offset,
            )),
            Notice::Name { .. } | Notice::Opaque(_) | Notice::Unread(_) => None,
        })
        .collect();
    found.sort();
    found
}

/// What names tell of a person, in several formats; whether it is in a framed unit.
fn flows() -> Vec<(Vec<u8>, Vec<Kind>)> {
    use Kind::{AdvertisingId, CellId, Email, Imei, InstalledApps, Location, Ssid, Tac, WifiMac};
    let json = r#"{"dev":{"imei":"352099001761481","mac":"02:00:5e:10:a4:7f"},"mcc":242,"cid":98765,"ssid":"Home","lat":59.91391,"lng":10.75221}"#;
    let apps =
        "com.example.bank,org.example.chess,no.example.news;com.example.health;com.example.radio";
    let pair = [&59.91392f64.to_le_bytes()[..], &10.75222f64.to_le_bytes()].concat();
    let of_json = vec![Imei, WifiMac, Location, CellId, Ssid];
    vec![
        (post("", json.as_bytes()), of_json.clone()),
        (post("", BASE64.encode(json.as_bytes()).as_bytes()), of_json.clone()),
        (chunked(json.as_bytes(), 9), of_json),
        (
            format!("GET /a?gaid={GAID}&email=kari%40mail.example&t=1700000000000 HTTP/1.1\r\nHost: a.example\r\n\r\n").into_bytes(),
            vec![AdvertisingId, Email],
        ),
        (b"imei=352099001761481;tac=12345\nmail: kari@mail.example\n".to_vec(), vec![Imei, Email, Tac]),
        (["n=Home;id=", IMEI, "\n"].concat().into_bytes(), vec![Imei, Ssid]),
        (b"n=Home;id=490154203237519\n".to_vec(), vec![]),
        (["apps ", apps, "\n"].concat().into_bytes(), vec![InstalledApps]),
        (apps.rsplit_once(';').expect("a list").0.into(), vec![]),
        ([b"\0\x01\x02", &pair[..], b"\xfe\xff\0"].concat(), vec![Location]),
    ]
}

#[test]
fn finds_what_names_tell_for_every_cut_and_lets_nothing_of_it_go() {
    let (allow, block) = (judged_by(PERSON, "allow"), judged_by(PERSON, "block"));
    for (bytes, kinds) in flows() {
        let fixture = |bytes: Vec<u8>| Fixture {
            name: "named",
            port: 9999,
            bytes,
            expected: Vec::new(),
            framed: false,
        };
        let shown = bytes.escape_ascii().to_string();
        let fixture = fixture(bytes);
        let whole = found(&run(&fixture, &[], &allow, Duration::ZERO));
        let told: Vec<_> = whole.iter().map(|found| found.0.clone()).collect();
        assert_eq!(told, kinds, "{shown}");
        for cut in 1..fixture.bytes.len() {
            let flow = run(&fixture, &[cut], &allow, Duration::ZERO);
            assert_eq!(found(&flow), whole, "cut at {cut}: {shown}");
            assert_eq!(flow.gone, fixture.bytes.len());
            let blocked = run(&fixture, &[cut], &block, Duration::ZERO);
            assert_eq!(
                blocked.blocked(),
                !kinds.is_empty(),
                "cut at {cut}: {shown}"
            );
        }
        let cuts: Vec<usize> = (1..fixture.bytes.len()).collect();
        let bytewise = run(&fixture, &cuts, &allow, Duration::ZERO);
        assert_eq!(found(&bytewise), whole, "byte by byte: {shown}");
        let blocked = run(&fixture, &cuts, &block, Duration::ZERO);
        if blocked.blocked() && !kinds.contains(&Kind::InstalledApps) {
            let gone = &fixture.bytes[..blocked.gone];
            let mut known = Flow::new(Proto::Tcp, 9999, &allow);
            known.send(gone);
            known.finish();
            let told = &found(&blocked);
            assert!(
                !found(&known).iter().any(|found| told.contains(found)),
                "{}",
                gone.escape_ascii()
            );
        }
    }
}

#[test]
fn what_is_registered_is_told_once_and_as_that() {
    let rules = judged_by(PERSON, "allow");
    let inspector = Inspector::new(rules);
    let inspection = inspector.request(&Request {
        method: "POST",
        url: "http://a.example/r?deviceid=490154203237518",
        headers: &[("X-Imei", IMEI)],
        body: &[br#"{"imei":"490154203237518","d":{"lat":"59.9139","lng":"10.7522"}}"#],
    });
    let told: Vec<_> = inspection
        .findings
        .iter()
        .map(|finding| {
            (
                &finding.kind,
                finding.confidence,
                finding.spelling,
                finding.at,
                finding.field.as_deref(),
            )
        })
        .collect();
    use Confidence::Exact;
    use Spelling::Plain;
    assert_eq!(
        told,
        [
            (&Kind::Imei, Exact, Plain, Place::Query, Some("deviceid")),
            (&Kind::Imei, Exact, Plain, Place::Header, Some("X-Imei")),
            (&Kind::Imei, Exact, Plain, Place::Body, Some("/imei")),
            (&Kind::Location, Exact, Plain, Place::Body, Some("/d/lat")),
        ]
    );
}

#[test]
fn a_shape_is_found_with_nothing_registered_and_judged_by_its_own_default() {
    let identity = Identity::parse("identity.toml", "").expect("the identity is valid");
    let inspector = Inspector::new(Rules {
        detector: Arc::new(Detector::new(&identity, &[7; 32])),
        policy: Arc::new(
            Policy::new(Config::default_policy(), Vec::new()).expect("there are no lists"),
        ),
    });
    let body = BASE64.encode(registration().as_bytes());
    let inspection = inspector.request(&Request {
        method: "POST",
        url: "http://collector.example/",
        headers: &[],
        body: &[body.as_bytes()],
    });
    let kinds: Vec<_> = inspection
        .findings
        .iter()
        .map(|finding| &finding.kind)
        .collect();
    assert_eq!(
        kinds,
        [&Kind::Imei, &Kind::Imsi, &Kind::WifiMac, &Kind::CellId]
    );
    assert!(
        inspection
            .findings
            .iter()
            .all(|finding| finding.confidence == Confidence::Shape)
    );
    assert_eq!(&*inspection.verdict.rule, "default.leak_shape");
    assert_eq!(inspection.verdict.action, Action::Ask);
}

#[test]
fn a_pause_ends_a_value_without_quotes_and_the_wait_for_one_with_them_is_bounded() {
    let allow = judged_by("", "allow");
    let mut flow = Flow::new(Proto::Tcp, 9999, &allow);
    flow.send(b"imei=352099001761481");
    assert_eq!((found(&flow).len(), flow.gone), (0, 5));
    flow.wait(Duration::from_millis(300));
    assert_eq!((found(&flow).len(), flow.gone), (1, 20));
    let mut flow = Flow::new(Proto::Tcp, 9999, &allow);
    flow.send(b"{\"imei\":\"352099001761481");
    flow.wait(Duration::from_millis(300));
    assert_eq!(found(&flow), []);
    assert_eq!(flow.gone, 9);
    flow.wait(Duration::from_secs(6));
    assert_eq!(flow.gone, 24);
}

#[test]
fn several_values_in_one_are_found_in_whatever_pieces_they_come() {
    let allow = rules("allow");
    let text = "\x01{\"phone\": \"+47 400 12 345; +47 400 12 346 of another\"}";
    for step in [text.len(), 9, 1] {
        let mut flow = Flow::new(Proto::Tcp, 4000, &allow);
        for piece in text.as_bytes().chunks(step) {
            flow.send(piece);
        }
        flow.finish();
        assert_eq!(flow.findings().len(), 1, "in pieces of {step}");
    }
}
