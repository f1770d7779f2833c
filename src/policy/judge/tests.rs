#![expect(clippy::type_complexity, reason = "tables of cases")]

use super::*;
use Action::{Allow, Ask, Block};
use NameSource::{Dns, Http, Sni};

fn policy(text: &str, lists: &[&str]) -> Policy {
    let config = Config::parse("p.toml", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Policy::new(
        config,
        lists.iter().map(|list| list.as_bytes().to_vec()).collect(),
    )
    .unwrap()
}

/// Rules in short: one a line, `action` first.
fn rules(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| {
            let (action, fields) = line.split_once(' ').unwrap_or((line, ""));
            let fields = fields.replace(", ", "\n");
            format!("[[rule]]\naction = \"{action}\"\n{fields}\n")
        })
        .collect()
}

fn facts(dst: &str, names: &[(&str, NameSource)]) -> Facts {
    Facts {
        app: vec![
            "com.example.bank".into(),
            "uid:10123".into(),
            "system".into(),
        ],
        dst: dst.parse().unwrap(),
        proto: Proto::Tcp,
        names: names
            .iter()
            .map(|(name, source)| ((*name).into(), *source))
            .collect(),
        wall: 0,
    }
}

fn shown(verdict: &Verdict) -> (Action, &str) {
    (verdict.action, &verdict.rule)
}

#[test]
fn the_most_specific_rule_decides() {
    let table: &[(&[&str], &str)] = &[
        (&["allow", "block to = \"lan\""], "rule.1"),
        (&["allow", "block to = \"192.0.2.0/24\""], "rule.2"),
        (
            &["block to = \"0.0.0.0/0\"", "allow to = \"192.0.2.0/24\""],
            "rule.2",
        ),
        (
            &["block to = \"192.0.2.7\"", "allow to = \"192.0.2.0/24\""],
            "rule.1",
        ),
        (
            &["block to = \"192.0.2.7\"", "allow to = \"example\""],
            "rule.2",
        ),
        (
            &["block to = \"bank.example\"", "allow to = \"*.example\""],
            "rule.1",
        ),
        (
            &[
                "block to = \"bank.example\"",
                "allow to = \"*.bank.example\"",
            ],
            "rule.2",
        ),
        (
            &[
                "block to = \"www.bank.example\"",
                "allow to = \"*.bank.example\"",
            ],
            "rule.1",
        ),
        (
            &[
                "block to = \"www.bank.example\"",
                "allow to = \"=www.bank.example\"",
            ],
            "rule.2",
        ),
        (&["block to = \"=bank.example\"", "allow"], "rule.2"),
        (&["block to = \"*.www.bank.example\"", "allow"], "rule.2"),
        (&["block to = \"ank.example\"", "allow"], "rule.2"),
        (
            &[
                "block app = \"com.example.bank\"",
                "allow to = \"=www.bank.example\"",
            ],
            "rule.1",
        ),
        (
            &[
                "block app = \"uid:10123\"",
                "allow app = \"com.example.bank\"",
            ],
            "rule.2",
        ),
        (
            &["block app = \"system\"", "allow app = \"uid:10123\""],
            "rule.2",
        ),
        (&["block app = \"com.example.other\"", "allow"], "rule.2"),
        (&["block port = 443", "allow to = \"0.0.0.0/0\""], "rule.2"),
        (&["block port = \"1-1000\"", "allow port = 443"], "rule.2"),
        (&["block port = 80", "allow"], "rule.2"),
        (
            &["block proto = \"tcp\"", "allow port = \"1-1000\""],
            "rule.2",
        ),
        (&["block proto = \"tcp\"", "allow"], "rule.1"),
        (&["block proto = \"udp\"", "allow"], "rule.2"),
        (
            &["block proto = \"tcp\"", "allow port = \"0-65535\""],
            "rule.1",
        ),
        (&["block sends = [\"*\"]", "allow"], "rule.2"),
    ];
    for (lines, expected) in table {
        let policy = policy(&rules(lines), &[]);
        let verdict = policy.connection(&facts("192.0.2.7:443", &[("www.bank.example", Dns)]));
        assert_eq!(&*verdict.rule, *expected, "{lines:?}");
        assert!(!verdict.approved, "a connection approves nothing");
    }
}

#[test]
fn equals_go_to_the_stricter() {
    for lines in [
        ["allow", "block"],
        ["block", "allow"],
        ["ask", "block"],
        ["block", "ask"],
    ] {
        assert_eq!(
            policy(&rules(&lines), &[])
                .connection(&facts("192.0.2.7:443", &[]))
                .action,
            Block
        );
    }
    for lines in [
        ["allow to = \"lan\"", "ask to = \"lan\""],
        ["ask to = \"lan\"", "allow to = \"lan\""],
    ] {
        assert_eq!(
            policy(&rules(&lines), &[])
                .connection(&facts("10.0.0.1:443", &[]))
                .action,
            Ask
        );
    }
    let twice = policy(&rules(&["block", "block"]), &[]);
    assert_eq!(
        &*twice.connection(&facts("192.0.2.7:443", &[])).rule,
        "rule.1"
    );
}

#[test]
fn rules_come_before_lists_and_lists_before_defaults() {
    let lists = "[default]\nconnection = \"ask\"\n[[list]]\nname = \"ads\"\nsource = \"a\"\n\
            [[list]]\nname = \"fine\"\nsource = \"b\"\naction = \"allow\"\n";
    let texts = [
        "ads.example\nboth.example\n",
        "fine.ads.example\nboth.example\n",
    ];
    let table: &[(&[&str], &str, (Action, &str))] = &[
        (&[], "other.example", (Ask, "default.connection")),
        (&[], "ads.example", (Block, "list.ads")),
        (&[], "x.y.ads.example", (Block, "list.ads")),
        (&[], "bads.example", (Ask, "default.connection")),
        (&[], "fine.ads.example", (Allow, "list.fine")),
        (&[], "x.fine.ads.example", (Allow, "list.fine")),
        (&[], "both.example", (Block, "list.ads")),
        (
            &["allow to = \"=ads.example\""],
            "ads.example",
            (Allow, "rule.1"),
        ),
        (
            &["allow to = \"=ads.example\""],
            "x.ads.example",
            (Block, "list.ads"),
        ),
        (
            &["allow to = \"192.0.2.0/24\""],
            "ads.example",
            (Allow, "rule.1"),
        ),
        (
            &["allow to = \"203.0.113.0/24\""],
            "ads.example",
            (Block, "list.ads"),
        ),
        (
            &["allow app = \"com.example.bank\""],
            "ads.example",
            (Allow, "rule.1"),
        ),
        (
            &["allow to = \"ads.example\", sends = [\"*\"]"],
            "ads.example",
            (Block, "list.ads"),
        ),
        (&["block"], "fine.ads.example", (Block, "rule.1")),
    ];
    for (lines, name, expected) in table {
        let policy = policy(&format!("{lists}{}", rules(lines)), &texts);
        let verdict = policy.connection(&facts("192.0.2.7:443", &[(name, Dns)]));
        assert_eq!(shown(&verdict), *expected, "{lines:?} {name}");
    }
}

#[test]
fn every_name_of_a_cname_chain_counts() {
    let table: &[(&[&str], (Action, &str))] = &[
        (&[], (Block, "list.ads")),
        (&["allow to = \"shop.example\""], (Block, "list.ads")),
        (
            &["allow to = \"shop.example\"", "allow to = \"ads.example\""],
            (Allow, "rule.1"),
        ),
        (
            &["block to = \"middle.example\"", "allow"],
            (Block, "rule.1"),
        ),
        (
            &[
                "allow to = \"=www.shop.example\"",
                "block to = \"middle.example\"",
            ],
            (Block, "rule.2"),
        ),
        (&["allow app = \"com.example.bank\""], (Allow, "rule.1")),
        (&["block", "allow to = \"shop.example\""], (Block, "rule.1")),
    ];
    let chain = [
        ("www.shop.example", Dns),
        ("x.middle.example", Dns),
        ("y.ads.example", Dns),
    ];
    for (lines, expected) in table {
        let text = format!("[[list]]\nname = \"ads\"\nsource = \"a\"\n{}", rules(lines));
        let verdict = policy(&text, &["ads.example"]).connection(&facts("192.0.2.7:443", &chain));
        assert_eq!(shown(&verdict), *expected, "{lines:?}");
    }
}

#[test]
fn an_allow_for_one_name_of_a_chain_is_not_undone_by_a_weaker_rule_for_all() {
    let chain = [("bank.example", Dns), ("edge.cdn.example", Dns)];
    for weaker in [
        "block",
        "block to = \"192.0.2.0/24\"",
        "block port = 443",
        "block to = \"example\"",
    ] {
        let policy = policy(&rules(&[weaker, "allow to = \"bank.example\""]), &[]);
        let expected = if weaker.contains("\"example\"") {
            Block
        } else {
            Allow
        };
        assert_eq!(
            policy.connection(&facts("192.0.2.7:443", &chain)).action,
            expected,
            "{weaker}"
        );
    }
    let closed = policy(
        "[default]\nconnection = \"block\"\n[[rule]]\nto = \"bank.example\"\naction = \"allow\"",
        &[],
    );
    assert_eq!(
        closed.connection(&facts("192.0.2.7:443", &chain)).action,
        Allow
    );
}

#[test]
fn a_claimed_name_approves_nothing_that_dns_did_not_confirm() {
    let text = "[default]\nleak = \"block\"\n[[rule]]\nto = \"bank.example\"\nsends = [\"imei\"]\naction = \"allow\"\n\
            [[rule]]\nto = \"192.0.2.0/24\"\nsends = [\"phone\"]\naction = \"allow\"";
    let policy = policy(text, &[]);
    let table: &[(&[(&str, NameSource)], Kind, bool)] = &[
        (&[("bank.example", Dns)], Kind::Imei, true),
        (
            &[("bank.example", Dns), ("bank.example", Http)],
            Kind::Imei,
            true,
        ),
        (
            &[("bank.example", Dns), ("WWW.bank.example.", Http)],
            Kind::Imei,
            true,
        ),
        (
            &[("www.shop.example", Dns), ("edge.bank.example", Dns)],
            Kind::Imei,
            true,
        ),
        (
            &[("bank.example", Dns), ("evil.example", Dns)],
            Kind::Imei,
            true,
        ),
        (
            &[
                ("bank.example", Dns),
                ("evil.example", Dns),
                ("bank.example", Http),
            ],
            Kind::Imei,
            true,
        ),
        (
            &[
                ("bank.example", Dns),
                ("evil.example", Dns),
                ("evil.example", Http),
            ],
            Kind::Imei,
            false,
        ),
        (
            &[("bank.example", Dns), ("192.0.2.7", Http)],
            Kind::Imei,
            true,
        ),
        (
            &[("bank.example", Dns), ("203.0.113.9", Http)],
            Kind::Imei,
            false,
        ),
        (&[("bank.example", Http)], Kind::Imei, false),
        (&[("bank.example", Sni)], Kind::Imei, false),
        (
            &[("evil.example", Dns), ("bank.example", Http)],
            Kind::Imei,
            false,
        ),
        (
            &[("bank.example", Dns), ("evil.example", Http)],
            Kind::Imei,
            false,
        ),
        (
            &[
                ("bank.example", Dns),
                ("bank.example", Sni),
                ("evil.example", Http),
            ],
            Kind::Imei,
            false,
        ),
        (&[], Kind::Imei, false),
        (&[], Kind::Phone, true),
        (&[("evil.example", Http)], Kind::Phone, true),
    ];
    for (names, kind, approved) in table {
        let verdict = policy.leak(
            &facts("192.0.2.7:80", names),
            &[(kind.clone(), Confidence::Exact)],
        );
        assert_eq!(verdict.approved, *approved, "{names:?} {kind}");
        assert_eq!(
            verdict.action,
            if *approved { Allow } else { Block },
            "{names:?} {kind}"
        );
    }
}

#[test]
fn a_block_by_any_name_blocks() {
    let policy = policy(
        &rules(&["block to = \"evil.example\"", "allow to = \"bank.example\""]),
        &[],
    );
    for source in [Dns, Sni, NameSource::Quic, Http] {
        let names = [("bank.example", Dns), ("x.evil.example", source)];
        assert_eq!(
            shown(&policy.connection(&facts("192.0.2.7:80", &names))),
            (Block, "rule.1"),
            "{source:?}"
        );
    }
}

#[test]
fn identifiers_are_judged_one_by_one_and_the_strictest_counts() {
    let text = "[default]\nleak = \"ask\"\nleak_shape = \"block\"\n\
            [[rule]]\nto = \"bank.example\"\nsends = [\"phone\", \"email\"]\naction = \"allow\"\n\
            [[rule]]\nto = \"bank.example\"\nsends = [\"*\"]\nport = 80\naction = \"block\"\n\
            [[rule]]\nto = \"bank.example\"\naction = \"allow\"\n";
    let policy = policy(text, &[]);
    let (phone, email, imei) = (Kind::Phone, Kind::Email, Kind::Imei);
    let (exact, shape) = (Confidence::Exact, Confidence::Shape);
    let custom = || Kind::Custom("badge".into());
    let table: &[(&str, &str, Vec<(Kind, Confidence)>, (Action, &str, bool))] = &[
        (
            "bank.example",
            "192.0.2.7:443",
            vec![(phone.clone(), exact)],
            (Allow, "rule.1", true),
        ),
        (
            "bank.example",
            "192.0.2.7:443",
            vec![(phone.clone(), shape)],
            (Allow, "rule.1", true),
        ),
        (
            "bank.example",
            "192.0.2.7:443",
            vec![(phone.clone(), exact), (email, exact)],
            (Allow, "rule.1", true),
        ),
        (
            "bank.example",
            "192.0.2.7:443",
            vec![(phone.clone(), exact), (imei.clone(), exact)],
            (Ask, "default.leak", false),
        ),
        (
            "bank.example",
            "192.0.2.7:443",
            vec![(imei.clone(), shape)],
            (Block, "default.leak_shape", false),
        ),
        (
            "bank.example",
            "192.0.2.7:443",
            vec![(custom(), exact)],
            (Ask, "default.leak", false),
        ),
        (
            "bank.example",
            "192.0.2.7:80",
            vec![(custom(), exact)],
            (Block, "rule.2", false),
        ),
        (
            "bank.example",
            "192.0.2.7:80",
            vec![(phone.clone(), exact)],
            (Allow, "rule.1", true),
        ),
        (
            "shop.example",
            "192.0.2.7:443",
            vec![(phone.clone(), exact)],
            (Ask, "default.leak", false),
        ),
        (
            "bank.example",
            "192.0.2.7:443",
            vec![],
            (Allow, "rule.3", false),
        ),
    ];
    for (name, dst, found, (action, rule, approved)) in table {
        let verdict = policy.leak(&facts(dst, &[(name, Dns)]), found);
        assert_eq!(
            (shown(&verdict), verdict.approved),
            ((*action, *rule), *approved),
            "{name} {dst} {found:?}"
        );
    }
}

#[test]
fn a_blocked_connection_carries_no_identifier_whatever_approves_it() {
    let text = "[[list]]\nname = \"ads\"\nsource = \"a\"\n[[rule]]\nto = \"ads.example\"\nsends = [\"*\"]\naction = \"allow\"";
    let verdict = policy(text, &["ads.example"]).leak(
        &facts("192.0.2.7:80", &[("ads.example", Dns)]),
        &[(Kind::Imei, Confidence::Exact)],
    );
    assert_eq!(
        (shown(&verdict), verdict.approved),
        ((Block, "list.ads"), false)
    );
}

#[test]
fn a_default_that_allows_is_no_approval() {
    let policy = policy(
        "[default]\nleak = \"allow\"\n[[rule]]\nsends = [\"phone\"]\naction = \"allow\"",
        &[],
    );
    let found = |kinds: &[Kind]| {
        kinds
            .iter()
            .map(|kind| (kind.clone(), Confidence::Exact))
            .collect::<Vec<_>>()
    };
    let facts = facts("192.0.2.7:80", &[]);
    let verdict = policy.leak(&facts, &found(&[Kind::Imei]));
    assert_eq!(
        (shown(&verdict), verdict.approved),
        ((Allow, "default.leak"), false)
    );
    assert!(policy.leak(&facts, &found(&[Kind::Phone])).approved);
    let verdict = policy.leak(&facts, &found(&[Kind::Phone, Kind::Imei, Kind::Phone]));
    assert_eq!(
        (shown(&verdict), verdict.approved),
        ((Allow, "default.leak"), false)
    );
}

#[test]
fn an_unknown_owner_matches_no_app_rule() {
    let policy = policy(
        &rules(&["block app = \"com.example.bank\"", "block app = \"system\""]),
        &[],
    );
    assert!(policy.wants_owner());
    let owned = facts("192.0.2.7:80", &[]);
    assert_eq!(policy.connection(&owned).action, Block);
    let unknown = Facts {
        app: Vec::new(),
        ..owned
    };
    assert_eq!(
        shown(&policy.connection(&unknown)),
        (Allow, "default.connection")
    );
}

#[test]
fn a_mapped_address_is_the_address() {
    let policy = policy(
        &rules(&["block to = \"192.0.2.0/24\"", "block to = \"lan\""]),
        &[],
    );
    for dst in [
        "[::ffff:192.0.2.7]:80",
        "[::ffff:10.0.0.1]:80",
        "192.0.2.7:80",
    ] {
        assert_eq!(policy.connection(&facts(dst, &[])).action, Block, "{dst}");
    }
}

#[test]
fn a_name_is_refused_only_where_every_connection_to_it_would_be() {
    let list = "[[list]]\nname = \"ads\"\nsource = \"a\"\n";
    let closed = "[default]\nconnection = \"block\"\n";
    let table: &[(&str, &[&str], &str, (Action, &str))] = &[
        ("", &[], "bank.example", (Allow, "default.connection")),
        (
            "",
            &["block to = \"bank.example\""],
            "www.bank.example",
            (Block, "rule.1"),
        ),
        (
            "",
            &["block to = \"bank.example\", port = 80"],
            "bank.example",
            (Allow, "default.connection"),
        ),
        (
            "",
            &["block to = \"bank.example\", proto = \"udp\""],
            "bank.example",
            (Allow, "default.connection"),
        ),
        (
            "",
            &[
                "block to = \"bank.example\"",
                "allow to = \"bank.example\", port = 80",
            ],
            "bank.example",
            (Allow, "rule.2"),
        ),
        (
            "",
            &["block to = \"bank.example\"", "allow port = 80"],
            "bank.example",
            (Block, "rule.1"),
        ),
        (
            "",
            &["block to = \"192.0.2.0/24\""],
            "bank.example",
            (Allow, "default.connection"),
        ),
        (
            "",
            &["ask to = \"bank.example\""],
            "bank.example",
            (Ask, "rule.1"),
        ),
        (
            "",
            &["ask to = \"bank.example\", port = 80"],
            "bank.example",
            (Allow, "rule.1"),
        ),
        (
            "",
            &["block app = \"com.example.bank\""],
            "bank.example",
            (Block, "rule.1"),
        ),
        (
            "",
            &[
                "block app = \"com.example.bank\"",
                "allow app = \"com.example.bank\", to = \"lan\"",
            ],
            "printer.example",
            (Allow, "rule.2"),
        ),
        (closed, &[], "bank.example", (Block, "default.connection")),
        (
            closed,
            &["allow to = \"lan\""],
            "bank.example",
            (Allow, "rule.1"),
        ),
        (
            closed,
            &["allow to = \"bank.example\""],
            "bank.example",
            (Allow, "rule.1"),
        ),
        (list, &[], "x.ads.example", (Block, "list.ads")),
        (
            list,
            &["allow to = \"lan\""],
            "ads.example",
            (Block, "list.ads"),
        ),
        (
            list,
            &["allow to = \"ads.example\", port = 443"],
            "ads.example",
            (Allow, "rule.1"),
        ),
        (
            list,
            &["allow to = \"ads.example\", sends = [\"imei\"]"],
            "ads.example",
            (Block, "list.ads"),
        ),
    ];
    for (head, lines, name, expected) in table {
        let lists: &[&str] = if head.contains("[[list]]") {
            &["ads.example"]
        } else {
            &[]
        };
        let policy = policy(&format!("{head}{}", rules(lines)), lists);
        let app = ["com.example.bank".into()];
        assert_eq!(
            shown(&policy.name(&app, name, 0)),
            *expected,
            "{head}{lines:?} {name}"
        );
    }
}

#[test]
fn settings_have_their_defaults() {
    let policy = policy("", &[]);
    assert_eq!(shown(&policy.oversize()), (Allow, "default.oversize"));
    assert_eq!(policy.ask_timeout(), Duration::from_secs(30));
    assert_eq!(policy.ask_fallback(), Block);
    assert_eq!(policy.blocked_name(), BlockedName::Nxdomain);
    assert!(!policy.wants_owner());
    let found = |confidence| policy.leak(&facts("192.0.2.7:80", &[]), &[(Kind::Imei, confidence)]);
    assert_eq!(shown(&found(Confidence::Exact)), (Ask, "default.leak"));
    assert_eq!(
        shown(&found(Confidence::Shape)),
        (Ask, "default.leak_shape")
    );
}

#[test]
fn a_list_is_needed_for_each_that_is_named() {
    let config = Config::parse("p.toml", "[[list]]\nname = \"ads\"\nsource = \"a\"").unwrap();
    assert!(Policy::new(config, Vec::new()).is_err());
}

#[test]
fn policies_cross_threads() {
    fn assert<T: Send + Sync + std::panic::UnwindSafe>() {}
    assert::<Policy>();
    assert::<Config>();
}

#[test]
fn answers_stand_beside_the_rules_of_the_policy() {
    let to = |action: &str, to: &str| rules(&[&format!("{action} to = \"{to}\"")]);
    let table = [
        (
            to("block", "bank.example"),
            to("allow", "=bank.example"),
            "answer.1",
        ),
        (
            to("block", "=bank.example"),
            to("allow", "bank.example"),
            "rule.1",
        ),
        // Equals go to the stricter, whichever file it stands in.
        (
            to("allow", "bank.example"),
            to("block", "bank.example"),
            "answer.1",
        ),
        (
            to("block", "bank.example"),
            to("block", "bank.example"),
            "rule.1",
        ),
    ];
    for (rules, answers, decides) in table {
        let config = Config::parse("p.toml", &rules).unwrap();
        let config = config.with_answers("a.toml", &answers).unwrap();
        let policy = Policy::new(config, Vec::new()).unwrap();
        let facts = facts("192.0.2.7:443", &[("bank.example", Dns)]);
        assert_eq!(
            &*policy.connection(&facts).rule,
            decides,
            "{rules}{answers}"
        );
        let file = if decides == "rule.1" {
            "p.toml"
        } else {
            "a.toml"
        };
        let place = policy.explain(&facts, &[]).deciding.place;
        assert_eq!((&*place.file, place.line), (file, Some(1)));
    }
}
