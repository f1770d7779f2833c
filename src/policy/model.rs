//! A policy judged the slow way, from the words of the contract, and the properties that hold for every policy.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use proptest::prelude::*;

use super::{Config, Facts, Policy};
use crate::event::{Action, Confidence, Kind, NameSource, Proto, Verdict};

/// A rule as written.
#[derive(Clone, Debug)]
struct Written {
    app: Option<&'static str>,
    to: Option<&'static str>,
    port: Option<(u16, u16)>,
    proto: Option<Proto>,
    sends: Option<Vec<&'static str>>,
    action: Action,
}

#[derive(Clone, Debug)]
struct World {
    rules: Vec<Written>,
    blocked: Vec<&'static str>,
    allowed: Vec<&'static str>,
    connection: Action,
    leak: Action,
    leak_shape: Action,
}

const NAMES: [&str; 6] = [
    "a.example",
    "b.a.example",
    "c.b.a.example",
    "b.example",
    "ba.example",
    "x.net",
];
const TOS: [&str; 14] = [
    "a.example",
    "=a.example",
    "*.a.example",
    "b.a.example",
    "*.b.a.example",
    "=b.a.example",
    "=c.b.a.example",
    "example",
    "lan",
    "192.0.2.0/24",
    "192.0.2.0/28",
    "192.0.2.1",
    "0.0.0.0/0",
    "2001:db8::/32",
];
const APPS: [&str; 4] = ["com.a", "com.b", "uid:1", "system"];
const DESTINATIONS: [&str; 6] = [
    "192.0.2.1",
    "192.0.2.20",
    "10.1.1.1",
    "203.0.113.9",
    "2001:db8::1",
    "::ffff:192.0.2.1",
];
const KINDS: [Kind; 3] = [Kind::Imei, Kind::Phone, Kind::Email];
const PORTS: [u16; 3] = [80, 443, 5353];

impl World {
    fn policy(&self) -> Policy {
        self.compile(&self.text())
    }

    fn compile(&self, text: &str) -> Policy {
        let config =
            Config::parse("p.toml", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let list = |names: &[&str]| names.join("\n").into_bytes();
        Policy::new(config, vec![list(&self.allowed), list(&self.blocked)]).unwrap()
    }

    fn text(&self) -> String {
        let word = |action: Action| format!("{action:?}").to_lowercase();
        let mut text = format!(
            "[default]\nconnection = {:?}\nleak = {:?}\nleak_shape = {:?}\n",
            word(self.connection),
            word(self.leak),
            word(self.leak_shape)
        );
        for rule in &self.rules {
            text += &format!("[[rule]]\naction = {:?}\n", word(rule.action));
            text += &rule
                .app
                .map_or(String::new(), |app| format!("app = {app:?}\n"));
            text += &rule.to.map_or(String::new(), |to| format!("to = {to:?}\n"));
            text += &rule.port.map_or(String::new(), |(first, last)| {
                format!("port = \"{first}-{last}\"\n")
            });
            text += &rule.proto.map_or(String::new(), |proto| {
                format!("proto = \"{}\"\n", format!("{proto:?}").to_lowercase())
            });
            text += &rule
                .sends
                .as_ref()
                .map_or(String::new(), |sends| format!("sends = {sends:?}\n"));
        }
        text += "[[list]]\nname = \"allowed\"\nsource = \"a\"\naction = \"allow\"\n[[list]]\nname = \"blocked\"\nsource = \"b\"\n";
        text
    }

    fn connection(&self, facts: &Facts) -> Verdict {
        let (action, rule, _) = self.judge(facts, None, (self.connection, "default.connection"));
        Verdict {
            action,
            rule: rule.into(),
            approved: false,
        }
    }

    fn leak(&self, facts: &Facts, found: &[(Kind, Confidence)]) -> Verdict {
        let connection = self.connection(facts);
        if connection.action == Action::Block || found.is_empty() {
            return connection;
        }
        let each = found.iter().map(|(kind, confidence)| {
            let default = match confidence {
                Confidence::Exact => (self.leak, "default.leak"),
                Confidence::Shape => (self.leak_shape, "default.leak_shape"),
            };
            self.judge(facts, Some(kind), default)
        });
        let each: Vec<_> = each.collect();
        let action = each.iter().map(|(action, _, _)| *action).max().unwrap();
        let approved = each
            .iter()
            .all(|(action, _, by_rule)| *action == Action::Allow && *by_rule);
        let deciding = each.iter().find(|(each, _, by_rule)| {
            *each == action && (action != Action::Allow || approved || !by_rule)
        });
        Verdict {
            action,
            rule: deciding.unwrap().1.as_str().into(),
            approved,
        }
    }

    /// Action, name, and whether a rule (no list, no default) decided.
    fn judge(
        &self,
        facts: &Facts,
        kind: Option<&Kind>,
        default: (Action, &str),
    ) -> (Action, String, bool) {
        let ip = facts.dst.ip().to_canonical();
        let applicable: Vec<usize> = (0..self.rules.len())
            .filter(|&n| self.rules[n].applies(facts, kind))
            .collect();
        let by_address: Vec<usize> = applicable
            .iter()
            .copied()
            .filter(|&n| match self.rules[n].to {
                None => true,
                Some("lan") => ip.to_string() == "10.1.1.1",
                Some(to) => address_covers(to, ip),
            })
            .collect();
        let default = (default.0, default.1.to_owned(), false);
        let otherwise = self.winner(&by_address).unwrap_or(default);
        let for_name = |name: &str| {
            let by_name: Vec<usize> = applicable
                .iter()
                .copied()
                .filter(|&n| self.rules[n].to.is_some_and(|to| name_covers(to, name)))
                .collect();
            if !by_name.is_empty() {
                return self.winner(&[by_name, by_address.clone()].concat());
            }
            let listed = if kind.is_none() {
                self.listed(name)
            } else {
                None
            };
            match (listed, self.winner(&by_address)) {
                (Some(list), None) => Some(list),
                (Some((Action::Block, ..)), Some(rule)) => Some(rule),
                _ => None,
            }
        };
        let given: Vec<&str> = facts
            .names
            .iter()
            .filter(|(_, source)| *source == NameSource::Dns)
            .map(|(name, _)| &**name)
            .collect();
        let claimed = facts
            .names
            .iter()
            .filter(|(_, source)| *source != NameSource::Dns);
        let chain = given.iter().filter_map(|name| for_name(name));
        let mut verdicts = vec![strictest(chain.collect()).unwrap_or(otherwise.clone())];
        verdicts.extend(claimed.map(|(name, _)| for_name(name).unwrap_or(otherwise.clone())));
        strictest(verdicts).unwrap()
    }

    fn winner(&self, rules: &[usize]) -> Option<(Action, String, bool)> {
        let best = rules.iter().copied().max_by(|&a, &b| {
            let (one, other) = (&self.rules[a], &self.rules[b]);
            one.specificity()
                .cmp(&other.specificity())
                .then(one.action.cmp(&other.action))
                .then(b.cmp(&a))
        })?;
        Some((self.rules[best].action, format!("rule.{}", best + 1), true))
    }

    fn listed(&self, name: &str) -> Option<(Action, String, bool)> {
        let longest = |list: &[&'static str]| {
            list.iter()
                .filter(|entry| name_covers(entry, name))
                .map(|entry| entry.len())
                .max()
                .unwrap_or(0)
        };
        match (longest(&self.blocked), longest(&self.allowed)) {
            (0, 0) => None,
            (blocked, allowed) if blocked >= allowed => {
                Some((Action::Block, "list.blocked".into(), false))
            }
            _ => Some((Action::Allow, "list.allowed".into(), false)),
        }
    }
}

impl Written {
    fn applies(&self, facts: &Facts, kind: Option<&Kind>) -> bool {
        let about = match (&self.sends, kind) {
            (None, None) => true,
            (Some(sends), Some(kind)) => sends
                .iter()
                .any(|sent| *sent == "*" || *sent == kind.to_string()),
            _ => false,
        };
        about
            && self
                .app
                .is_none_or(|app| facts.app.iter().any(|known| **known == *app))
            && self
                .port
                .is_none_or(|(first, last)| first <= facts.dst.port() && facts.dst.port() <= last)
            && self.proto.is_none_or(|proto| proto == facts.proto)
    }

    fn specificity(&self) -> [usize; 7] {
        let app = match self.app {
            None => 0,
            Some("system") => 1,
            Some(app) if app.starts_with("uid:") => 2,
            Some(_) => 3,
        };
        let labels = |to: &str| to.matches('.').count() + 1;
        let (class, length, under) = match self.to {
            None => (0, 0, 0),
            Some("lan") => (1, 0, 0),
            Some(to) if to.parse::<IpNet>().is_ok() => {
                (2, usize::from(to.parse::<IpNet>().unwrap().prefix_len()), 0)
            }
            Some(to) if to.parse::<IpAddr>().is_ok() => {
                (2, if to.contains(':') { 128 } else { 32 }, 0)
            }
            Some(to) if to.starts_with('=') => (4, labels(to), 0),
            Some(to) if to.starts_with("*.") => (3, labels(to) - 1, 1),
            Some(to) => (3, labels(to), 0),
        };
        let kinds = usize::from(
            self.sends
                .as_ref()
                .is_some_and(|sends| !sends.contains(&"*")),
        );
        let port = self
            .port
            .map_or(0, |(first, last)| 65_535 - usize::from(last - first));
        [
            app,
            class,
            length,
            under,
            kinds,
            port,
            usize::from(self.proto.is_some()),
        ]
    }
}

fn address_covers(to: &str, ip: IpAddr) -> bool {
    match (to.parse::<IpNet>(), to.parse::<IpAddr>()) {
        (Ok(net), _) => net.contains(&ip),
        (_, Ok(one)) => one == ip,
        _ => false,
    }
}

fn name_covers(to: &str, name: &str) -> bool {
    if to == "lan" || to.parse::<IpNet>().is_ok() || to.parse::<IpAddr>().is_ok() {
        return false;
    }
    match (to.strip_prefix('='), to.strip_prefix("*.")) {
        (Some(host), _) => name == host,
        (_, Some(parent)) => name.ends_with(&format!(".{parent}")),
        _ => name == to || name.ends_with(&format!(".{to}")),
    }
}

fn strictest(verdicts: Vec<(Action, String, bool)>) -> Option<(Action, String, bool)> {
    verdicts
        .into_iter()
        .max_by_key(|(action, _, by_rule)| (*action, *action == Action::Allow && !by_rule))
}

fn actions() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![Action::Allow, Action::Ask, Action::Block])
}

fn written(
    sends: impl Strategy<Value = Option<Vec<&'static str>>>,
    action: impl Strategy<Value = Action>,
) -> impl Strategy<Value = Written> {
    let ports = prop::sample::select(vec![(80, 80), (443, 443), (1, 100), (0, 65_535)]);
    (
        prop::option::of(prop::sample::select(APPS.to_vec())),
        prop::option::weighted(0.8, prop::sample::select(TOS.to_vec())),
        prop::option::weighted(0.3, ports),
        prop::option::weighted(0.3, protos()),
        sends,
        action,
    )
        .prop_map(|(app, to, port, proto, sends, action)| Written {
            app,
            to,
            port,
            proto,
            sends,
            action,
        })
}

fn sends() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(vec![
        vec!["imei"],
        vec!["phone", "imei"],
        vec!["*"],
        vec!["email"],
    ])
}

fn protos() -> impl Strategy<Value = Proto> {
    prop::sample::select(vec![Proto::Tcp, Proto::Udp, Proto::Icmp])
}

fn worlds() -> impl Strategy<Value = World> {
    let names = || prop::sample::subsequence(NAMES.to_vec(), 0..3);
    (
        prop::collection::vec(written(prop::option::of(sends()), actions()), 0..8),
        names(),
        names(),
        actions(),
        actions(),
        actions(),
    )
        .prop_map(
            |(rules, blocked, allowed, connection, leak, leak_shape)| World {
                rules,
                blocked,
                allowed,
                connection,
                leak,
                leak_shape,
            },
        )
}

fn named() -> impl Strategy<Value = (Arc<str>, NameSource)> {
    let sources = vec![
        NameSource::Dns,
        NameSource::Dns,
        NameSource::Sni,
        NameSource::Http,
    ];
    (
        prop::sample::select(NAMES.to_vec()),
        prop::sample::select(sources),
    )
        .prop_map(|(name, source)| (name.into(), source))
}

fn facts() -> impl Strategy<Value = Facts> {
    (
        prop::sample::subsequence(APPS.to_vec(), 0..=3),
        prop::sample::select(DESTINATIONS.to_vec()),
        prop::sample::select(PORTS.to_vec()),
        protos(),
        prop::collection::vec(named(), 0..4),
    )
        .prop_map(|(app, ip, port, proto, names)| Facts {
            app: app.into_iter().map(Arc::from).collect(),
            dst: (ip.parse::<IpAddr>().unwrap(), port).into(),
            proto,
            names,
            wall: 0,
        })
}

fn found() -> impl Strategy<Value = Vec<(Kind, Confidence)>> {
    let confidences = prop::sample::select(vec![Confidence::Exact, Confidence::Shape]);
    prop::collection::vec((prop::sample::select(KINDS.to_vec()), confidences), 0..4)
}

fn settled(verdict: &Verdict) -> (Action, bool) {
    (verdict.action, verdict.approved)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn verdicts_are_those_of_the_contract(world in worlds(), facts in facts(), found in found()) {
        let policy = world.policy();
        prop_assert_eq!(settled(&policy.connection(&facts)), settled(&world.connection(&facts)));
        prop_assert_eq!(settled(&policy.leak(&facts, &found)), settled(&world.leak(&facts, &found)));
        let alone = Facts { names: facts.names.iter().take(1).cloned().collect(), ..facts };
        if alone.names.iter().all(|(_, source)| *source == NameSource::Dns) {
            prop_assert_eq!(policy.connection(&alone), world.connection(&alone));
            let one = found.get(..1).unwrap_or_default();
            prop_assert_eq!(policy.leak(&alone, one), world.leak(&alone, one));
        }
    }

    #[test]
    fn the_order_of_rules_decides_nothing(world in worlds(), facts in facts(), found in found()) {
        let mut turned = world.clone();
        turned.rules.reverse();
        let (one, other) = (world.policy(), turned.policy());
        prop_assert_eq!(settled(&one.connection(&facts)), settled(&other.connection(&facts)));
        prop_assert_eq!(settled(&one.leak(&facts, &found)), settled(&other.leak(&facts, &found)));
    }

    #[test]
    fn the_order_of_names_and_findings_decides_nothing(world in worlds(), facts in facts(), found in found()) {
        let policy = world.policy();
        let turned = Facts { names: facts.names.iter().rev().cloned().collect(), ..facts.clone() };
        let found_turned: Vec<_> = found.iter().rev().cloned().collect();
        prop_assert_eq!(policy.connection(&facts), policy.connection(&turned));
        prop_assert_eq!(policy.leak(&facts, &found), policy.leak(&turned, &found_turned));
    }

    #[test]
    fn a_further_rule_that_blocks_never_loosens(
        world in worlds(),
        rule in written(prop::option::of(sends()), Just(Action::Block)),
        facts in facts(),
        found in found(),
    ) {
        let before = world.policy();
        let mut more = world;
        more.rules.push(rule);
        let after = more.policy();
        prop_assert!(after.connection(&facts).action >= before.connection(&facts).action);
        let (before, after) = (before.leak(&facts, &found), after.leak(&facts, &found));
        prop_assert!(after.action >= before.action);
        prop_assert!(before.approved || !after.approved);
    }

    #[test]
    fn a_further_name_never_loosens_unless_a_rule_or_list_says_so(
        world in worlds(),
        facts in facts(),
        name in named(),
        found in found(),
    ) {
        let policy = world.policy();
        let mut more = facts.clone();
        more.names.push(name.clone());
        let connection = policy.connection(&facts);
        let mut pairs = vec![(connection.clone(), policy.connection(&more))];
        if connection.action != Action::Block {
            // One at a time: of several, the one that a rule lets go leaves another to decide.
            pairs.extend(found.iter().map(std::slice::from_ref).map(|one| (policy.leak(&facts, one), policy.leak(&more, one))));
        }
        for (before, after) in pairs {
            let looser = after.action < before.action || after.approved && !before.approved;
            prop_assert!(!looser || name.1 == NameSource::Dns && !after.rule.starts_with("default."), "{:?} then {:?}", before, after);
        }
    }

    #[test]
    fn a_further_identifier_never_loosens(world in worlds(), facts in facts(), found in found()) {
        let policy = world.policy();
        let all = policy.leak(&facts, &found);
        for one in &found {
            let one = policy.leak(&facts, std::slice::from_ref(one));
            prop_assert!(all.action >= one.action);
            prop_assert!(one.approved || !all.approved);
        }
    }

    #[test]
    fn a_name_that_a_rule_refuses_is_refused_everywhere(world in worlds(), facts in facts(), name in prop::sample::select(NAMES.to_vec())) {
        let policy = world.policy();
        let asked = policy.name(&facts.app, name, 0);
        let facts = Facts { names: vec![(name.into(), NameSource::Dns)], ..facts };
        if asked.action == Action::Block && !asked.rule.starts_with("list.") {
            prop_assert_eq!(policy.connection(&facts).action, Action::Block);
        }
    }

    #[test]
    fn an_explanation_tells_the_verdict_and_a_remedy_that_works(world in worlds(), facts in facts(), found in found()) {
        let policy = world.policy();
        let kinds: Vec<Kind> = found.into_iter().map(|(kind, _)| kind).collect();
        let told = policy.explain(&facts, &kinds);
        let exact: Vec<_> = kinds.into_iter().map(|kind| (kind, Confidence::Exact)).collect();
        prop_assert_eq!(&told.verdict, &policy.leak(&facts, &exact));
        prop_assert_eq!((&told.deciding.rule, told.deciding.action), (&told.verdict.rule, told.verdict.action));
        prop_assert!(told.runners_up.iter().all(|other| other.rule != told.deciding.rule));
        prop_assert!(!told.remedy.is_empty(), "no remedy in {}", told);
        let more = told.remedy.concat();
        let turned = world.compile(&(world.text() + &more));
        let about_connection = exact.is_empty() || policy.connection(&facts).action == Action::Block;
        let turned = if about_connection { turned.connection(&facts) } else { turned.leak(&facts, &exact) };
        prop_assert!((turned.action == Action::Allow) != (told.verdict.action == Action::Allow), "{}", told);
    }
}
