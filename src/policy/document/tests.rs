use super::*;

fn fault(text: &str) -> String {
    Config::parse("p.toml", text)
        .map(|_| ())
        .unwrap_err()
        .to_string()
}

#[test]
fn every_key_is_read() {
    let text = r#"
            [default]
            leak = "block"
            connection = "ask"
            ask_timeout = "2m"
            ask_fallback = "allow"
            oversize = "block"
            leak_shape = "allow"
            blocked_name = "zero"
            [limits]
            hold_per_flow = 1024
            hold_per_app = "2 MiB"
            hold_total = "8 MiB"
            flows = 1000
            flows_per_app = 900
            buffers_total = "32 MiB"
            [[rule]]
            app = "uid:010123"
            to = "*.bank.example"
            port = "8000-8099"
            proto = "udp"
            sends = ["phone", "custom.badge"]
            action = "allow"
            [[rule]]
            port = 443
            sends = ["imei", "*"]
            action = "ask"
            [[list]]
            name = "ads"
            source = "lists/ads.txt"
            format = "hosts"
            action = "allow"
            [[list]]
            name = "more"
            source = "more.txt"
        "#;
    let config = Config::parse("p.toml", text).unwrap();
    let defaults = &config.defaults;
    let placed =
        |placed: Option<Placed<Action>>| placed.map(|placed| (placed.value, placed.line.unwrap()));
    assert_eq!(placed(defaults.leak), Some((Action::Block, 3)));
    assert_eq!(placed(defaults.connection), Some((Action::Ask, 4)));
    assert_eq!(placed(defaults.oversize), Some((Action::Block, 7)));
    assert_eq!(placed(defaults.leak_shape), Some((Action::Allow, 8)));
    assert_eq!(defaults.ask_timeout, Some(Duration::from_secs(120)));
    assert_eq!(defaults.ask_fallback, Some(Action::Allow));
    assert_eq!(defaults.blocked_name, Some(BlockedName::Zero));
    let limits = Limits {
        hold_per_flow: 1024,
        hold_per_app: 2 << 20,
        hold_total: 8 << 20,
        flows: 1000,
        flows_per_app: 900,
        buffers_total: 32 << 20,
    };
    assert_eq!(config.limits(), limits);
    let rules: Vec<_> = config
        .rules
        .iter()
        .map(|rule| (rule.number, rule.line, rule.to_string()))
        .collect();
    let first = "app = \"uid:10123\", to = \"*.bank.example\", port = \"8000-8099\", proto = \"udp\", \
            sends = [\"phone\", \"custom.badge\"], action = \"allow\"";
    let second = "port = \"443\", sends = [\"*\"], action = \"ask\"";
    assert_eq!(
        rules,
        [(1, Some(17), first.into()), (2, Some(24), second.into())]
    );
    let lists: Vec<_> = config
        .lists()
        .iter()
        .map(|list| (&*list.name, list.path.as_str(), list.format, list.action))
        .collect();
    assert_eq!(
        lists,
        [
            ("ads", "lists/ads.txt", Format::Hosts, Action::Allow),
            ("more", "more.txt", Format::Auto, Action::Block)
        ]
    );
    assert_eq!(
        config.lists()[1].error("cannot be read").to_string(),
        "p.toml:35:22: cannot be read"
    );
}

#[test]
fn an_empty_file_is_the_default_policy() {
    let config = Config::parse("p.toml", "").unwrap();
    assert!(config.rules.is_empty() && config.lists().is_empty());
    assert_eq!(config.limits(), Config::default_policy().limits());
    assert_eq!(
        config.limits(),
        Limits {
            hold_per_flow: 262_144,
            hold_per_app: 4_194_304,
            hold_total: 16_777_216,
            flows: 65_536,
            flows_per_app: 32_768,
            buffers_total: 67_108_864,
        }
    );
}

#[test]
fn every_fault_is_told_with_line_column_and_remedy() {
    let table: &[(&str, &str)] = &[
        (
            "defualt = 1",
            "1:1: unknown key `defualt` in the policy: did you mean \"default\"?",
        ),
        (
            "[defaults]\nleak = \"ask\"",
            "1:2: unknown key `defaults` in the policy: did you mean \"default\"?",
        ),
        (
            "[zebra]",
            "1:2: unknown key `zebra` in the policy: expected one of default, limits, rule, list",
        ),
        (
            "[default]\nleek = \"ask\"",
            "2:1: unknown key `leek` in [default]: did you mean \"leak\"?",
        ),
        (
            "[default]\n\n  leak = \"alow\"",
            "3:10: unknown action \"alow\": did you mean \"allow\"?",
        ),
        (
            "[default]\nleak = \"deny\"",
            "2:8: unknown action \"deny\": expected one of allow, ask, block",
        ),
        (
            "[default]\nleak = 1",
            "2:8: invalid type: integer `1`, expected \"allow\", \"ask\" or \"block\"",
        ),
        (
            "[default]\nleak = true",
            "2:8: invalid type: boolean `true`, expected \"allow\", \"ask\" or \"block\"",
        ),
        (
            "[default]\nleak = [\"ask\"]",
            "2:8: invalid type: sequence, expected \"allow\", \"ask\" or \"block\"",
        ),
        (
            "[default]\nask_fallback = \"ask\"",
            "2:16: nobody answered, so the fallback cannot ask again: \"block\" or \"allow\"",
        ),
        (
            "[default]\nask_timeout = \"30\"",
            "2:15: bad duration \"30\": expected a duration such as \"30s\" or \"2m\"",
        ),
        (
            "[default]\nask_timeout = 30",
            "2:15: invalid type: integer `30`, expected a duration such as \"30s\" or \"2m\"",
        ),
        (
            "[default]\nblocked_name = \"zeros\"",
            "2:16: unknown answer \"zeros\": did you mean \"zero\"?",
        ),
        (
            "[[default]]\nleak = \"ask\"",
            "1:1: write [default], in single brackets: there is one",
        ),
        (
            "default = 3",
            "1:11: `default` is a section: write [default] on a line of its own",
        ),
        (
            "[limits]\nhold = 3",
            "2:1: unknown key `hold` in [limits]: expected one of hold_per_flow, hold_per_app, hold_total, flows, flows_per_app, buffers_total",
        ),
        (
            "[limits]\nhold_total = \"16 MB\"",
            "2:14: bad size \"16 MB\": expected a number of bytes, such as 262144 or \"256 KiB\"; the units are B, KiB, MiB and GiB",
        ),
        (
            "[limits]\nflows = 0",
            "2:9: bad count \"0\": expected a number from 1 to 1048576",
        ),
        (
            "[limits]\nflows = -1",
            "2:9: bad count \"-1\": expected a number from 1 to 1048576",
        ),
        (
            "[rule]\naction = \"allow\"",
            "1:1: write [[rule]], in two brackets: there can be many",
        ),
        ("[[rule]]\nto = \"lan\"", "1:1: missing field `action`"),
        (
            "[[rule]]\naction = \"allow\"\nsend = [\"imei\"]",
            "3:1: unknown key `send` in a [[rule]]: did you mean \"sends\"?",
        ),
        (
            "[[rule]]\naction = \"allow\"\n[[rule]]\naction = \"block\"\nsends = [\"phone\", \"imie\"]",
            "5:19: unknown kind of identifier \"imie\": did you mean \"imei\"?",
        ),
        (
            "[[rule]]\naction = \"allow\"\nsends = \"imei\"",
            "3:9: invalid type: string \"imei\", expected a sequence",
        ),
        (
            "[[rule]]\naction = \"allow\"\nsends = [\"custom.\"]",
            "3:10: a custom kind needs its name: \"custom.NAME\"",
        ),
        (
            "[[rule]]\naction = \"allow\"\nsends = []",
            "3:9: `sends` names nothing: list kinds, [\"*\"] for all, or leave it out for a rule on the connection",
        ),
        (
            "[[rule]]\naction = \"allow\"\nto = \"ba nk.example\"",
            "3:6: bad domain \"ba nk.example\": ' ' cannot stand in a domain name",
        ),
        (
            "[[rule]]\nto = \"192.0.2.0/33\"\naction = \"allow\"",
            "2:6: bad CIDR \"192.0.2.0/33\": the prefix length is a number from 0 to 32",
        ),
        (
            "[[rule]]\nto = \"country:NO\"\naction = \"allow\"",
            "2:6: `to = \"country:NO\"`: countries and AS numbers are not supported yet",
        ),
        (
            "[[rule]]\nto = \"AS3320\"\naction = \"allow\"",
            "2:6: `to = \"AS3320\"`: countries and AS numbers are not supported yet",
        ),
        (
            "[[rule]]\nport = \"https\"\naction = \"allow\"",
            "2:8: bad port \"https\": expected a port or a range, such as \"443\" or \"8000-8099\", from 0 to 65535",
        ),
        (
            "[[rule]]\nport = 65536\naction = \"allow\"",
            "2:8: bad port \"65536\": expected a port or a range, such as \"443\" or \"8000-8099\", from 0 to 65535",
        ),
        (
            "[[rule]]\nport = \"9-8\"\naction = \"allow\"",
            "2:8: the range \"9-8\" is empty: write \"8-9\"",
        ),
        (
            "[[rule]]\nproto = \"sctp\"\naction = \"allow\"",
            "2:9: unknown protocol \"sctp\": expected one of tcp, udp, icmp",
        ),
        (
            "[[rule]]\nnetwork = \"mobile\"\naction = \"allow\"",
            "2:1: `network` is not supported yet",
        ),
        (
            "[[rule]]\nscreen = \"off\"\naction = \"allow\"",
            "2:1: `screen` is not supported yet",
        ),
        (
            "[[rule]]\nuntil = \"reboot\"\naction = \"allow\"",
            "2:1: `until` is not supported yet",
        ),
        (
            "[[rule]]\napp = \"uid:x\"\naction = \"allow\"",
            "2:7: bad uid \"x\": expected a number, such as \"uid:10123\"",
        ),
        (
            "[[rule]]\napp = \"\"\naction = \"allow\"",
            "2:7: an empty string matches nothing",
        ),
        ("[[list]]\nname = \"ads\"", "1:1: missing field `source`"),
        (
            "[[list]]\nname = \"ads\"\nsource = \"https://lists.example/ads.txt\"",
            "3:10: lists from the network are not supported yet: download it and give its path",
        ),
        (
            "[[list]]\nname = \"ads\"\nsource = \"a\"\nformat = \"adblock\"",
            "4:10: format \"adblock\" is not supported yet: \"auto\", \"hosts\" or \"domains\"",
        ),
        (
            "[[list]]\nname = \"ads\"\nsource = \"a\"\nformat = \"host\"",
            "4:10: unknown format \"host\": did you mean \"hosts\"?",
        ),
        (
            "[[list]]\nname = \"ads\"\nsource = \"a\"\naction = \"ask\"",
            "4:10: a list that asks is not supported yet: \"block\" or \"allow\"",
        ),
        (
            "[[list]]\nname = \"ads\"\nsource = \"a\"\n[[list]]\nname = \"ads\"\nsource = \"b\"",
            "5:8: a second list named \"ads\": names are told apart in verdicts",
        ),
        ("[default]\n# ü\nleak = \"ask\" x", "3:14: "),
        (
            "[default]\nleak = \"ask\"\nleak = \"ask\"",
            "3:1: duplicate key",
        ),
        ("leak = \"ask", "1:"),
    ];
    for (text, expected) in table {
        let message = fault(text);
        let expected = format!("p.toml:{expected}");
        assert!(
            message.starts_with(&expected),
            "{text}\n  gives    {message}\n  expected {expected}"
        );
        assert!(!message.contains('\n'), "one line: {message:?}");
    }
}

#[test]
fn the_first_fault_of_the_file_is_told() {
    assert!(
        fault("[[rule]]\nzap = 1\naction = \"allow\"\n[[list]]\nzip = 1")
            .starts_with("p.toml:2:1:")
    );
    assert!(fault("[[list]]\nzip = 1\n[[rule]]\nzap = 1").starts_with("p.toml:2:1:"));
}

#[test]
fn every_example_of_the_documentation_is_sound() {
    let document = include_str!("../../../docs/policy.md");
    let examples: Vec<_> = document
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(examples.len() >= 6);
    for example in &examples {
        if let Err(error) = Config::parse("docs/policy.md", example) {
            panic!("{error}\n{example}");
        }
    }
    let settings = Config::parse("docs/policy.md", examples.last().unwrap()).unwrap();
    assert_eq!(settings.limits(), Limits::default());
    let mistakes = document.split("```text\n").nth(1).unwrap();
    let told = |text: &str| fault(text).split_once(": ").unwrap().1.to_owned();
    assert!(mistakes.contains(&told("[[rule]]\nsend = []\naction = \"allow\"")));
    assert!(mistakes.contains(&told("[[rule]]\nto = \"192.0.2.7/24\"\naction = \"allow\"")));
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_no_fault() {
    let config = Config::parse("p.toml", "\u{feff}[default]\r\nleak = \"block\"\r\n").unwrap();
    assert_eq!(
        config.defaults.leak.map(|leak| leak.value),
        Some(Action::Block)
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_value_makes_reading_panic(key in "(app|to|port|proto|sends|action)", value in "\\PC{0,40}") {
        let text = format!("[[rule]]\naction = \"allow\"\n{key} = {value:?}\n[limits]\nhold_total = {value:?}\n");
        let whole = Config::parse("p.toml", &value).and(Config::parse("p.toml", &text));
        if let Err(error) = whole {
            proptest::prop_assert!(!error.to_string().contains('\n'), "{}", error);
        }
    }
}

#[test]
fn a_file_of_answers_holds_rules_alone() {
    let read = |text: &str| {
        Config::default_policy()
            .with_answers("answers.toml", text)
            .map(|config| config.rule_count())
            .map_err(|error| error.to_string())
    };
    assert_eq!(read("# none yet\n"), Ok(0));
    assert_eq!(read("[[rule]]\naction = \"block\"\n"), Ok(1));
    for section in [
        "[default]\nleak = \"allow\"",
        "[limits]\nflows = 1",
        "[[list]]\nname = \"a\"",
    ] {
        let error = read(&format!("\n{section}\n")).unwrap_err();
        assert!(error.starts_with("answers.toml:2:"), "{error}");
        assert!(error.contains("rules alone"), "{error}");
    }
}
