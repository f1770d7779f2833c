use super::*;
use crate::policy::Config;

fn warnings(text: &str, lists: &[&str]) -> Vec<String> {
    let config = Config::parse("p.toml", text).unwrap();
    let lists = lists.iter().map(|list| list.as_bytes().to_vec()).collect();
    let surroundings = Surroundings {
        is_public_suffix: &|name| name == "co.uk",
        no_such_app: &|app| (app == "system").then(|| "no such app".into()),
    };
    let policy = Policy::new(config, lists).unwrap();
    let warnings = policy.check(&surroundings).into_iter();
    warnings
        .map(|Warning { place, text }| format!("{}: {text}", place.line.unwrap_or(0)))
        .collect()
}

#[test]
fn a_sound_policy_gives_no_warning() {
    let text = "[default]\nleak = \"block\"\nconnection = \"block\"\n\
        [[rule]]\nto = \"bank.example\"\nsends = [\"phone\"]\naction = \"allow\"\n\
        [[rule]]\nto = \"bank.example\"\nport = 443\naction = \"allow\"\n\
        [[rule]]\nto = \"bank.example\"\nport = 80\naction = \"block\"\n\
        [[rule]]\napp = \"curl\"\nto = \"x.co.uk\"\naction = \"allow\"\n\
        [[list]]\nname = \"ads\"\nsource = \"ads.txt\"\n";
    assert_eq!(warnings(text, &["ads.example"]), [""; 0]);
}

#[test]
fn a_rule_that_never_decides_is_told_with_what_decides_instead() {
    let text = "[[rule]]\nto = \"a.example\"\naction = \"allow\"\n\
        [[rule]]\nto = \"a.example\"\naction = \"block\"\n\
        [[rule]]\nto = \"b.example\"\nsends = [\"imei\", \"phone\"]\naction = \"ask\"\n\
        [[rule]]\nto = \"b.example\"\nsends = [\"imei\"]\naction = \"block\"\n\
        [[rule]]\nto = \"b.example\"\nsends = [\"phone\"]\naction = \"ask\"\n\
        [[rule]]\nto = \"c.example\"\naction = \"block\"\n\
        [[rule]]\nto = \"c.example\"\naction = \"block\"\n\
        [[rule]]\nto = \"b.example\"\nsends = [\"phone\", \"email\"]\naction = \"allow\"\n";
    assert_eq!(
        warnings(text, &[]),
        [
            "1: rule.1 never decides: rule.2 (p.toml:4) is about the same and stricter",
            "7: rule.3 never decides about imei: rule.4 (p.toml:11) is about the same and stricter",
            "15: rule.5 never decides: rule.3 (p.toml:7) says the same",
            "22: rule.7 never decides: rule.6 (p.toml:19) says the same",
            "25: rule.8 never decides about phone: rule.3 (p.toml:7) is about the same and stricter",
        ]
    );
}

#[test]
fn an_approval_without_a_connection_is_told() {
    let approval =
        "[[rule]]\nto = \"mail.bank.example\"\nsends = [\"phone\"]\naction = \"allow\"\n";
    let closed = format!("[default]\nconnection = \"block\"\n{approval}");
    let told = "3: rule.1 never counts: default.connection (p.toml:2) blocks the connection before anything \
                is sent: add a rule without `sends` that allows the connection";
    assert_eq!(warnings(&closed, &[]), [told]);
    let rule = |to: &str, action: &str| {
        format!("{approval}[[rule]]\nto = \"{to}\"\naction = \"{action}\"\n")
    };
    assert_eq!(
        warnings(&rule("bank.example", "block"), &[]),
        ["1: rule.1 never counts: rule.2 (p.toml:5) blocks the connection before anything is sent"]
    );
    for open in [
        rule("=mail.bank.example", "block"),
        rule("www.bank.example", "block"),
        rule("=mail.bank.example", "block")
            + "[[rule]]\nto = \"x.mail.bank.example\"\naction = \"allow\"\n",
        format!("{closed}[[rule]]\nport = 80\naction = \"ask\"\n"),
        format!("{closed}[[rule]]\nto = \"192.0.2.0/24\"\naction = \"allow\"\n"),
    ] {
        assert_eq!(warnings(&open, &[]), [""; 0], "{open}");
    }
    let listed = format!("{approval}[[list]]\nname = \"bad\"\nsource = \"bad.txt\"\n");
    assert_eq!(
        warnings(&listed, &["bank.example"]),
        [
            "1: rule.1 never counts: list.bad (p.toml:5) blocks the connection before anything is sent"
        ]
    );
}

#[test]
fn whatever_is_wider_than_it_looks_is_told() {
    for (text, expected) in [
        (
            "[[rule]]\nto = \"co.uk\"\naction = \"allow\"\n",
            "1: rule.1 is to allow every name that anybody registers under the public suffix \"co.uk\"",
        ),
        (
            "[[rule]]\nto = \"*.co.uk\"\naction = \"block\"\n",
            "1: rule.1 is to block every name that anybody registers under the public suffix \"co.uk\"",
        ),
        (
            "[[rule]]\nsends = [\"*\"]\naction = \"allow\"\n",
            "1: rule.1 approves every identifier to every destination: nothing is left to stop",
        ),
        (
            "[[rule]]\nto = \"a.example\"\nsends = [\"*\"]\naction = \"allow\"\n",
            "1: rule.1 approves every identifier, and those that you register later: name the kinds in `sends`",
        ),
        (
            "[[rule]]\napp = \"curl\"\nsends = [\"imei\"]\naction = \"allow\"\n",
            "1: rule.1 approves identifiers to every destination: name it in `to`",
        ),
        (
            "[[rule]]\nproto = \"icmp\"\nport = 7\naction = \"block\"\n",
            "1: rule.1 never matches: ICMP has no ports, and port 7 is asked for",
        ),
        (
            "[[rule]]\napp = \"system\"\naction = \"block\"\n",
            "1: rule.1 matches nothing here: no such app",
        ),
        (
            "[default]\nleak = \"allow\"\n",
            "2: default.leak lets identifiers go anywhere; that approves none, so the exit status still tells",
        ),
        (
            "[default]\nask_fallback = \"allow\"\n",
            "0: default.ask_fallback lets go what nobody answered for",
        ),
        (
            "[limits]\nhold_per_flow = \"8 MiB\"\n",
            "0: limits: hold_per_flow should be at most hold_per_app, and that at most hold_total: the least of them counts",
        ),
        (
            "[[list]]\nname = \"none\"\nsource = \"none.txt\"\n",
            "1: list.none holds no name",
        ),
    ] {
        assert_eq!(
            warnings(text, &["# nothing\n"][..text.matches("[[list]]").count()]),
            [expected],
            "{text}"
        );
    }
}

#[test]
fn rules_are_counted_by_what_they_are_about() {
    let text = "[default]\nleak = \"block\"\n[[rule]]\naction = \"allow\"\n\
        [[rule]]\nsends = [\"imei\"]\naction = \"ask\"\n[[rule]]\nsends = [\"*\"]\naction = \"block\"\n";
    let policy = Policy::new(Config::parse("p.toml", text).unwrap(), Vec::new()).unwrap();
    let outline = policy.outline();
    assert_eq!(
        (outline.connections, outline.identifiers),
        ([1, 0, 0], [0, 1, 1])
    );
    assert_eq!(outline.defaults[1], ("leak", Action::Block));
    assert_eq!(outline.defaults[0], ("connection", Action::Allow));
}
