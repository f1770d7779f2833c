use super::*;
use crate::policy::Config;

const POLICY: &str = "[default]\nleak = \"block\"\n\
    \n[[rule]]\nto = \"bank.example\"\nsends = [\"phone\"]\naction = \"allow\"\n\
    \n[[rule]]\nto = \"192.0.2.0/24\"\nport = \"1-1000\"\naction = \"block\"\n\
    \n[[rule]]\nto = \"*.shop.example\"\naction = \"allow\"\n\
    \n[[list]]\nname = \"ads\"\nsource = \"ads.txt\"\n";

fn told(dst: &str, names: &[(&str, NameSource)], sends: &[Kind]) -> String {
    let policy = Policy::new(
        Config::parse("p.toml", POLICY).unwrap(),
        vec![b"ads.example".to_vec()],
    )
    .unwrap();
    let facts = Facts {
        app: Vec::new(),
        dst: dst.parse().unwrap(),
        proto: Proto::Tcp,
        names: names
            .iter()
            .map(|(name, source)| ((*name).into(), *source))
            .collect(),
        wall: 0,
    };
    policy.explain(&facts, sends).to_string()
}

#[test]
fn the_decider_is_named_with_its_line_then_the_rest() {
    let shop = [("www.shop.example", NameSource::Dns)];
    assert_eq!(
        told("192.0.2.7:443", &shop, &[]),
        "allow: rule.3 (p.toml:14), to = \"*.shop.example\", action = \"allow\"\n\
         also matching:\n\
         \x20 block: rule.2 (p.toml:9), to = \"192.0.2.0/24\", port = \"1-1000\", action = \"block\" (less specific in its destination)\n\
         \x20 allow: default.connection (built in), [default] connection = \"allow\" (counts only where nothing else matches)\n\
         what would change it:\n\
         \x20 rule.3 itself (p.toml:14)\n\
         \x20 [[rule]] to = \"=www.shop.example\", action = \"block\"\n"
    );
    assert_eq!(
        told(
            "203.0.113.9:443",
            &[("x.ads.example", NameSource::Dns)],
            &[Kind::Imei]
        ),
        "block: list.ads (p.toml:18), the list \"ads\"\n\
         also matching:\n\
         \x20 allow: default.connection (built in), [default] connection = \"allow\" (counts only where nothing else matches)\n\
         what would change it:\n\
         \x20 list.ads itself (p.toml:18)\n\
         \x20 [[rule]] to = \"=x.ads.example\", action = \"allow\"\n"
    );
}

#[test]
fn a_leak_is_explained_by_what_would_approve_it() {
    let bank = [("bank.example", NameSource::Dns)];
    assert_eq!(
        told("203.0.113.9:443", &bank, &[Kind::Phone, Kind::Imei]),
        "block: default.leak (p.toml:2), [default] leak = \"block\"\n\
         also matching:\n\
         \x20 allow: rule.1 (p.toml:4), to = \"bank.example\", sends = [\"phone\"], action = \"allow\" \
         (decides about phone alone, and the strictest counts)\n\
         what would change it:\n\
         \x20 default.leak itself (p.toml:2)\n\
         \x20 [[rule]] to = \"=bank.example\", sends = [\"imei\"], action = \"allow\"\n"
    );
}

#[test]
fn a_claim_is_called_a_claim() {
    let text = told(
        "203.0.113.9:80",
        &[("bank.example", NameSource::Http)],
        &[Kind::Phone],
    );
    assert!(text.starts_with("block: default.leak (p.toml:2)"), "{text}");
    assert!(
        text.contains("[[rule]] to = \"203.0.113.9\", sends = [\"phone\"]"),
        "{text}"
    );
    assert!(
        text.contains("a DNS answer that gives \"bank.example\" for this address"),
        "{text}"
    );
    let text = told(
        "203.0.113.9:80",
        &[
            ("bank.example", NameSource::Dns),
            ("evil.example", NameSource::Http),
        ],
        &[Kind::Phone],
    );
    assert!(
        text.contains("[[rule]] to = \"=evil.example\", sends = [\"phone\"]"),
        "{text}"
    );
}
