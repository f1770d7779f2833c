//! Facts → [`Verdict`].

use std::{
    borrow::Cow,
    cmp::Reverse,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    BlockedName, Limits,
    config::{Config, Defaults, Place, Placed},
    listfile::ListReport,
    lists::Lists,
    rules::{Query, Rules},
};
use crate::{
    ConfigError,
    event::{Action, Confidence, Kind, NameSource, Proto, Verdict},
};

/// Compiled rules and lists. Immutable: share it in an `Arc`.
///
/// A rule matches a flow by its address or by one of its names. The names that DNS gave speak for the address: an allow for
/// one of them is an allow for the flow, unless another of them is blocked. A name that only the flow itself gave (SNI,
/// Host) is a claim, which can tighten the verdict and never loosen it: a claim that DNS did not confirm is judged like a
/// destination of its own, and the strictest verdict counts.
pub struct Policy {
    pub(super) file: Arc<str>,
    pub(super) defaults: Defaults,
    pub(super) limits: Limits,
    pub(super) rules: Rules,
    pub(super) lists: Lists,
    /// `rule.N`, by position.
    names: Vec<Arc<str>>,
    default_names: [Arc<str>; 4],
}

/// What is known of a flow when it is judged.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Package names or executable, `uid:N`, `system`; empty where unknown: an app rule then never matches.
    pub app: Vec<Arc<str>>,
    /// The remote end.
    pub dst: SocketAddr,
    /// Transport protocol.
    pub proto: Proto,
    /// Every name the destination claims: DNS (whole CNAME chain), SNI, HTTP Host. Lower case, no trailing dot.
    pub names: Vec<(Arc<str>, NameSource)>,
    /// Wall clock, seconds since the epoch, for `until`.
    pub wall: u64,
}

impl Policy {
    /// Compiles a policy; `lists` are the texts of [`Config::lists`], in that order.
    pub fn new(config: Config, lists: Vec<Vec<u8>>) -> Result<Policy, ConfigError> {
        if lists.len() != config.lists.len() {
            let reason = format!(
                "{} lists are named, {} were read",
                config.lists.len(),
                lists.len()
            );
            return Err(ConfigError::file(config.file, reason));
        }
        let rules = Rules::new(config.rules);
        Ok(Policy {
            names: rules
                .all()
                .iter()
                .map(|rule| format!("rule.{}", rule.number).into())
                .collect(),
            default_names: DefaultKey::ALL
                .map(|default| format!("default.{}", default.key()).into()),
            lists: Lists::new(&config.lists, &lists)?,
            rules,
            file: config.file,
            defaults: config.defaults,
            limits: config.limits,
        })
    }

    /// Judges a connection (or a datagram flow) on everything but its content. Approves no identifier.
    pub fn connection(&self, facts: &Facts) -> Verdict {
        let cause = self.judge(&Query::of(facts), &facts.names, DefaultKey::Connection);
        self.verdict(cause, false)
    }

    /// Judges a name that is asked of the resolver, before there is an address.
    ///
    /// A rule blocks only what it would block at whatever address, port and protocol the name turned out to be used with; a
    /// list blocks unless a rule on the name, the app, a port or a protocol stands against it. An [`Action::Ask`] may as well
    /// be put when the connection comes, where it is judged again.
    pub fn name(&self, app: &[Arc<str>], name: &str, _wall: u64) -> Verdict {
        let query = Query {
            app,
            ip: None,
            port: None,
            proto: None,
            kind: None,
        };
        let names = [(name.into(), NameSource::Dns)];
        let cause = self.judge(&query, &names, DefaultKey::Connection);
        let open = |cause| match cause {
            Cause::Rule(position) => query.leaves_open(&self.rules.all()[position]),
            Cause::List(_) | Cause::Default(_) => false,
        };
        let by_place = self.rules.at_unknown_address(&query).map(Cause::Rule);
        match by_place.filter(|rule| *rule < cause && !matches!(cause, Cause::List(_))) {
            Some(rule) => Verdict {
                action: Action::Allow,
                ..self.verdict(rule, false)
            },
            None if open(cause) => Verdict {
                action: Action::Allow,
                ..self.verdict(cause, false)
            },
            None => self.verdict(cause, false),
        }
    }

    /// Judges identifiers on their way to `facts`: the strictest over all of them.
    pub fn leak(&self, facts: &Facts, found: &[(Kind, Confidence)]) -> Verdict {
        let connection = self.connection(facts);
        if connection.action == Action::Block || found.is_empty() {
            return connection;
        }
        let causes = found
            .iter()
            .map(|(kind, confidence)| self.leak_cause(facts, kind, *confidence));
        match causes.max_by_key(|cause| self.strictness(*cause)) {
            Some(cause) => self.verdict(cause, matches!(cause, Cause::Rule(_))),
            None => connection,
        }
    }

    /// Judges a flow whose decoding budget is spent.
    pub fn oversize(&self) -> Verdict {
        self.verdict(Cause::Default(DefaultKey::Oversize), false)
    }

    /// Returns how long a question waits for its answer.
    pub fn ask_timeout(&self) -> Duration {
        self.defaults.ask_timeout.unwrap_or(Duration::from_secs(30))
    }

    /// Returns what a question becomes without an answer: never `Ask`.
    pub fn ask_fallback(&self) -> Action {
        self.defaults.ask_fallback.unwrap_or(Action::Block)
    }

    /// Returns what a blocked name is answered with.
    pub fn blocked_name(&self) -> BlockedName {
        self.defaults.blocked_name.unwrap_or(BlockedName::Nxdomain)
    }

    /// Returns whether any rule needs the owner of a flow.
    pub fn wants_owner(&self) -> bool {
        self.rules.all().iter().any(|rule| rule.app.is_some())
    }

    /// Returns `[limits]`.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns what became of each list: `list.NAME` and its report, lists that block first.
    pub fn list_reports(&self) -> impl Iterator<Item = (&Arc<str>, &ListReport)> {
        self.lists
            .lists
            .iter()
            .map(|list| (&list.verdict, &list.report))
    }

    /// Returns how many different names the lists hold, and the bytes of memory that takes.
    pub fn listed(&self) -> (usize, usize) {
        (self.lists.len(), self.lists.bytes())
    }

    pub(super) fn leak_cause(&self, facts: &Facts, kind: &Kind, confidence: Confidence) -> Cause {
        let default = match confidence {
            Confidence::Exact => DefaultKey::Leak,
            Confidence::Shape => DefaultKey::LeakShape,
        };
        self.judge(
            &Query {
                kind: Some(kind),
                ..Query::of(facts)
            },
            &facts.names,
            default,
        )
    }

    /// What decides for one query: the strictest over what the address goes by and every claim.
    pub(super) fn judge(
        &self,
        query: &Query<'_>,
        names: &[(Arc<str>, NameSource)],
        default: DefaultKey,
    ) -> Cause {
        let by_address = self.rules.by_address(query).map(Cause::Rule);
        let otherwise = by_address.unwrap_or(Cause::Default(default));
        let given = || {
            names
                .iter()
                .filter(|(_, source)| *source == NameSource::Dns)
        };
        let by_given = given().filter_map(|(name, _)| self.by_name(query, &wire(name), by_address));
        let mut strictest = by_given
            .max_by_key(|cause| self.strictness(*cause))
            .unwrap_or(otherwise);
        for (claim, source) in names {
            if *source == NameSource::Dns
                || given().any(|(name, _)| name == claim)
                || is_address(claim, query.ip)
            {
                continue;
            }
            let cause = self
                .by_name(query, &wire(claim), by_address)
                .unwrap_or(otherwise);
            strictest = std::cmp::max_by_key(strictest, cause, |cause| self.strictness(*cause));
        }
        strictest
    }

    /// What decides for a destination of this name; none if no rule and no list is about it.
    fn by_name(&self, query: &Query<'_>, name: &str, by_address: Option<Cause>) -> Option<Cause> {
        if let Some(rule) = self.rules.by_name(query, name).map(Cause::Rule) {
            return Some(by_address.map_or(rule, |other| rule.min(other)));
        }
        if query.kind.is_some() {
            return None;
        }
        let list = self.lists.find(name)?;
        match by_address {
            None => Some(Cause::List(list)),
            Some(rule) => (self.lists.lists[list].action == Action::Block).then_some(rule),
        }
    }

    /// Orders causes by how strict they are. Among equals that allow, the one that approves least is the stricter.
    pub(super) fn strictness(&self, cause: Cause) -> impl Ord + use<> {
        let action = self.action(cause);
        let approves_less = action == Action::Allow && !matches!(cause, Cause::Rule(_));
        (action, approves_less, Reverse(cause))
    }

    pub(super) fn action(&self, cause: Cause) -> Action {
        match cause {
            Cause::Rule(position) => self.rules.all()[position].action,
            Cause::List(list) => self.lists.lists[list].action,
            Cause::Default(default) => default.action(&self.defaults).value,
        }
    }

    pub(super) fn name_of(&self, cause: Cause) -> &Arc<str> {
        match cause {
            Cause::Rule(position) => &self.names[position],
            Cause::List(list) => &self.lists.lists[list].verdict,
            Cause::Default(default) => &self.default_names[default as usize],
        }
    }

    pub(super) fn place_of(&self, cause: Cause) -> Place {
        let line = match cause {
            Cause::Rule(position) => self.rules.all()[position].line,
            Cause::List(list) => self.lists.lists[list].place.line,
            Cause::Default(default) => default.action(&self.defaults).line,
        };
        Place {
            file: self.file.clone(),
            line,
        }
    }

    pub(super) fn verdict(&self, cause: Cause, about_identifiers: bool) -> Verdict {
        let action = self.action(cause);
        Verdict {
            action,
            rule: self.name_of(cause).clone(),
            approved: about_identifiers && action == Action::Allow,
        }
    }
}

impl<'a> Query<'a> {
    /// About the connection of these facts.
    pub(super) fn of(facts: &'a Facts) -> Query<'a> {
        Query {
            app: &facts.app,
            ip: Some(facts.dst.ip().to_canonical()),
            port: Some(facts.dst.port()),
            proto: Some(facts.proto),
            kind: None,
        }
    }
}

/// What a verdict stands on. Ordered by precedence: rules, lists, defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// Position in [`Rules::all`].
    Rule(usize),
    /// Index in [`Lists`].
    List(usize),
    Default(DefaultKey),
}

/// A key of `[default]` that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DefaultKey {
    Connection,
    Leak,
    LeakShape,
    Oversize,
}

impl DefaultKey {
    const ALL: [DefaultKey; 4] = [
        DefaultKey::Connection,
        DefaultKey::Leak,
        DefaultKey::LeakShape,
        DefaultKey::Oversize,
    ];

    pub(super) fn key(self) -> &'static str {
        match self {
            DefaultKey::Connection => "connection",
            DefaultKey::Leak => "leak",
            DefaultKey::LeakShape => "leak_shape",
            DefaultKey::Oversize => "oversize",
        }
    }

    fn action(self, defaults: &Defaults) -> Placed<Action> {
        let (given, otherwise) = match self {
            DefaultKey::Connection => (defaults.connection, Action::Allow),
            DefaultKey::Leak => (defaults.leak, Action::Ask),
            DefaultKey::LeakShape => (defaults.leak_shape, Action::Ask),
            DefaultKey::Oversize => (defaults.oversize, Action::Allow),
        };
        given.unwrap_or(Placed {
            value: otherwise,
            line: None,
        })
    }
}

/// The name as rules and lists have it, should the caller not have seen to that.
fn wire(name: &str) -> Cow<'_, str> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    match bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(bare.to_ascii_lowercase()),
        false => Cow::Borrowed(bare),
    }
}

/// Whether a claim only repeats the address that the flow goes to.
fn is_address(claim: &str, ip: Option<IpAddr>) -> bool {
    let bare = claim
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(claim);
    bare.parse::<IpAddr>()
        .is_ok_and(|claimed| Some(claimed.to_canonical()) == ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Allow, Ask, Block};
    use NameSource::{Dns, Http, Sni};

    fn policy(text: &str, lists: &[&str]) -> Policy {
        let config = Config::parse("p.toml", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        Policy::new(config, lists.iter().map(|list| list.as_bytes().to_vec()).collect()).unwrap()
    }

    /// Rules in short: one a line, `action` first.
    fn rules(lines: &[&str]) -> String {
        lines.iter().map(|line| {
            let (action, fields) = line.split_once(' ').unwrap_or((line, ""));
            let fields = fields.replace(", ", "\n");
            format!("[[rule]]\naction = \"{action}\"\n{fields}\n")
        }).collect()
    }

    fn facts(dst: &str, names: &[(&str, NameSource)]) -> Facts {
        Facts {
            app: vec!["com.example.bank".into(), "uid:10123".into(), "system".into()],
            dst: dst.parse().unwrap(),
            proto: Proto::Tcp,
            names: names.iter().map(|(name, source)| ((*name).into(), *source)).collect(),
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
            (&["block to = \"0.0.0.0/0\"", "allow to = \"192.0.2.0/24\""], "rule.2"),
            (&["block to = \"192.0.2.7\"", "allow to = \"192.0.2.0/24\""], "rule.1"),
            (&["block to = \"192.0.2.7\"", "allow to = \"example\""], "rule.2"),
            (&["block to = \"bank.example\"", "allow to = \"*.example\""], "rule.1"),
            (&["block to = \"bank.example\"", "allow to = \"*.bank.example\""], "rule.2"),
            (&["block to = \"www.bank.example\"", "allow to = \"*.bank.example\""], "rule.1"),
            (&["block to = \"www.bank.example\"", "allow to = \"=www.bank.example\""], "rule.2"),
            (&["block to = \"=bank.example\"", "allow"], "rule.2"),
            (&["block to = \"*.www.bank.example\"", "allow"], "rule.2"),
            (&["block to = \"ank.example\"", "allow"], "rule.2"),
            (&["block app = \"com.example.bank\"", "allow to = \"=www.bank.example\""], "rule.1"),
            (&["block app = \"uid:10123\"", "allow app = \"com.example.bank\""], "rule.2"),
            (&["block app = \"system\"", "allow app = \"uid:10123\""], "rule.2"),
            (&["block app = \"com.example.other\"", "allow"], "rule.2"),
            (&["block port = 443", "allow to = \"0.0.0.0/0\""], "rule.2"),
            (&["block port = \"1-1000\"", "allow port = 443"], "rule.2"),
            (&["block port = 80", "allow"], "rule.2"),
            (&["block proto = \"tcp\"", "allow port = \"1-1000\""], "rule.2"),
            (&["block proto = \"tcp\"", "allow"], "rule.1"),
            (&["block proto = \"udp\"", "allow"], "rule.2"),
            (&["block proto = \"tcp\"", "allow port = \"0-65535\""], "rule.1"),
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
        for lines in [["allow", "block"], ["block", "allow"], ["ask", "block"], ["block", "ask"]] {
            assert_eq!(policy(&rules(&lines), &[]).connection(&facts("192.0.2.7:443", &[])).action, Block);
        }
        for lines in [["allow to = \"lan\"", "ask to = \"lan\""], ["ask to = \"lan\"", "allow to = \"lan\""]] {
            assert_eq!(policy(&rules(&lines), &[]).connection(&facts("10.0.0.1:443", &[])).action, Ask);
        }
        let twice = policy(&rules(&["block", "block"]), &[]);
        assert_eq!(&*twice.connection(&facts("192.0.2.7:443", &[])).rule, "rule.1");
    }

    #[test]
    fn rules_come_before_lists_and_lists_before_defaults() {
        let lists = "[default]\nconnection = \"ask\"\n[[list]]\nname = \"ads\"\nsource = \"a\"\n\
            [[list]]\nname = \"fine\"\nsource = \"b\"\naction = \"allow\"\n";
        let texts = ["ads.example\nboth.example\n", "fine.ads.example\nboth.example\n"];
        let table: &[(&[&str], &str, (Action, &str))] = &[
            (&[], "other.example", (Ask, "default.connection")),
            (&[], "ads.example", (Block, "list.ads")),
            (&[], "x.y.ads.example", (Block, "list.ads")),
            (&[], "bads.example", (Ask, "default.connection")),
            (&[], "fine.ads.example", (Allow, "list.fine")),
            (&[], "x.fine.ads.example", (Allow, "list.fine")),
            (&[], "both.example", (Block, "list.ads")),
            (&["allow to = \"=ads.example\""], "ads.example", (Allow, "rule.1")),
            (&["allow to = \"=ads.example\""], "x.ads.example", (Block, "list.ads")),
            (&["allow to = \"192.0.2.0/24\""], "ads.example", (Allow, "rule.1")),
            (&["allow to = \"203.0.113.0/24\""], "ads.example", (Block, "list.ads")),
            (&["allow app = \"com.example.bank\""], "ads.example", (Allow, "rule.1")),
            (&["allow to = \"ads.example\", sends = [\"*\"]"], "ads.example", (Block, "list.ads")),
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
            (&["allow to = \"shop.example\"", "allow to = \"ads.example\""], (Allow, "rule.1")),
            (&["block to = \"middle.example\"", "allow"], (Block, "rule.1")),
            (&["allow to = \"=www.shop.example\"", "block to = \"middle.example\""], (Block, "rule.2")),
            (&["allow app = \"com.example.bank\""], (Allow, "rule.1")),
        ];
        let chain = [("www.shop.example", Dns), ("x.middle.example", Dns), ("y.ads.example", Dns)];
        for (lines, expected) in table {
            let text = format!("[[list]]\nname = \"ads\"\nsource = \"a\"\n{}", rules(lines));
            let verdict = policy(&text, &["ads.example"]).connection(&facts("192.0.2.7:443", &chain));
            assert_eq!(shown(&verdict), *expected, "{lines:?}");
        }
    }

    #[test]
    fn an_allow_for_one_name_of_a_chain_is_not_undone_by_a_weaker_rule_for_all() {
        let chain = [("bank.example", Dns), ("edge.cdn.example", Dns)];
        for weaker in ["block", "block to = \"192.0.2.0/24\"", "block port = 443", "block to = \"example\""] {
            let policy = policy(&rules(&[weaker, "allow to = \"bank.example\""]), &[]);
            let expected = if weaker.contains("\"example\"") { Block } else { Allow };
            assert_eq!(policy.connection(&facts("192.0.2.7:443", &chain)).action, expected, "{weaker}");
        }
        let closed = policy("[default]\nconnection = \"block\"\n[[rule]]\nto = \"bank.example\"\naction = \"allow\"", &[]);
        assert_eq!(closed.connection(&facts("192.0.2.7:443", &chain)).action, Allow);
    }

    #[test]
    fn a_claimed_name_approves_nothing_that_dns_did_not_confirm() {
        let text = "[default]\nleak = \"block\"\n[[rule]]\nto = \"bank.example\"\nsends = [\"imei\"]\naction = \"allow\"\n\
            [[rule]]\nto = \"192.0.2.0/24\"\nsends = [\"phone\"]\naction = \"allow\"";
        let policy = policy(text, &[]);
        let table: &[(&[(&str, NameSource)], Kind, bool)] = &[
            (&[("bank.example", Dns)], Kind::Imei, true),
            (&[("bank.example", Dns), ("bank.example", Http)], Kind::Imei, true),
            (&[("bank.example", Dns), ("WWW.bank.example.", Http)], Kind::Imei, true),
            (&[("www.shop.example", Dns), ("edge.bank.example", Dns)], Kind::Imei, true),
            (&[("bank.example", Dns), ("192.0.2.7", Http)], Kind::Imei, true),
            (&[("bank.example", Dns), ("203.0.113.9", Http)], Kind::Imei, false),
            (&[("bank.example", Http)], Kind::Imei, false),
            (&[("bank.example", Sni)], Kind::Imei, false),
            (&[("evil.example", Dns), ("bank.example", Http)], Kind::Imei, false),
            (&[("bank.example", Dns), ("evil.example", Http)], Kind::Imei, false),
            (&[("bank.example", Dns), ("bank.example", Sni), ("evil.example", Http)], Kind::Imei, false),
            (&[], Kind::Imei, false),
            (&[], Kind::Phone, true),
            (&[("evil.example", Http)], Kind::Phone, true),
        ];
        for (names, kind, approved) in table {
            let verdict = policy.leak(&facts("192.0.2.7:80", names), &[(kind.clone(), Confidence::Exact)]);
            assert_eq!(verdict.approved, *approved, "{names:?} {kind}");
            assert_eq!(verdict.action, if *approved { Allow } else { Block }, "{names:?} {kind}");
        }
    }

    #[test]
    fn a_block_by_any_name_blocks() {
        let policy = policy(&rules(&["block to = \"evil.example\"", "allow to = \"bank.example\""]), &[]);
        for source in [Dns, Sni, NameSource::Quic, Http] {
            let names = [("bank.example", Dns), ("x.evil.example", source)];
            assert_eq!(shown(&policy.connection(&facts("192.0.2.7:80", &names))), (Block, "rule.1"), "{source:?}");
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
            ("bank.example", "192.0.2.7:443", vec![(phone.clone(), exact)], (Allow, "rule.1", true)),
            ("bank.example", "192.0.2.7:443", vec![(phone.clone(), shape)], (Allow, "rule.1", true)),
            ("bank.example", "192.0.2.7:443", vec![(phone.clone(), exact), (email, exact)], (Allow, "rule.1", true)),
            ("bank.example", "192.0.2.7:443", vec![(phone.clone(), exact), (imei.clone(), exact)], (Ask, "default.leak", false)),
            ("bank.example", "192.0.2.7:443", vec![(imei.clone(), shape)], (Block, "default.leak_shape", false)),
            ("bank.example", "192.0.2.7:443", vec![(custom(), exact)], (Ask, "default.leak", false)),
            ("bank.example", "192.0.2.7:80", vec![(custom(), exact)], (Block, "rule.2", false)),
            ("bank.example", "192.0.2.7:80", vec![(phone.clone(), exact)], (Allow, "rule.1", true)),
            ("shop.example", "192.0.2.7:443", vec![(phone.clone(), exact)], (Ask, "default.leak", false)),
            ("bank.example", "192.0.2.7:443", vec![], (Allow, "rule.3", false)),
        ];
        for (name, dst, found, (action, rule, approved)) in table {
            let verdict = policy.leak(&facts(dst, &[(name, Dns)]), found);
            assert_eq!((shown(&verdict), verdict.approved), ((*action, *rule), *approved), "{name} {dst} {found:?}");
        }
    }

    #[test]
    fn a_blocked_connection_carries_no_identifier_whatever_approves_it() {
        let text = "[[list]]\nname = \"ads\"\nsource = \"a\"\n[[rule]]\nto = \"ads.example\"\nsends = [\"*\"]\naction = \"allow\"";
        let verdict = policy(text, &["ads.example"]).leak(&facts("192.0.2.7:80", &[("ads.example", Dns)]), &[(Kind::Imei, Confidence::Exact)]);
        assert_eq!((shown(&verdict), verdict.approved), ((Block, "list.ads"), false));
    }

    #[test]
    fn a_default_that_allows_is_no_approval() {
        let policy = policy("[default]\nleak = \"allow\"\n[[rule]]\nsends = [\"phone\"]\naction = \"allow\"", &[]);
        let found = |kinds: &[Kind]| kinds.iter().map(|kind| (kind.clone(), Confidence::Exact)).collect::<Vec<_>>();
        let facts = facts("192.0.2.7:80", &[]);
        let verdict = policy.leak(&facts, &found(&[Kind::Imei]));
        assert_eq!((shown(&verdict), verdict.approved), ((Allow, "default.leak"), false));
        assert!(policy.leak(&facts, &found(&[Kind::Phone])).approved);
        let verdict = policy.leak(&facts, &found(&[Kind::Phone, Kind::Imei, Kind::Phone]));
        assert_eq!((shown(&verdict), verdict.approved), ((Allow, "default.leak"), false));
    }

    #[test]
    fn an_unknown_owner_matches_no_app_rule() {
        let policy = policy(&rules(&["block app = \"com.example.bank\"", "block app = \"system\""]), &[]);
        assert!(policy.wants_owner());
        let owned = facts("192.0.2.7:80", &[]);
        assert_eq!(policy.connection(&owned).action, Block);
        let unknown = Facts { app: Vec::new(), ..owned };
        assert_eq!(shown(&policy.connection(&unknown)), (Allow, "default.connection"));
    }

    #[test]
    fn a_mapped_address_is_the_address() {
        let policy = policy(&rules(&["block to = \"192.0.2.0/24\"", "block to = \"lan\""]), &[]);
        for dst in ["[::ffff:192.0.2.7]:80", "[::ffff:10.0.0.1]:80", "192.0.2.7:80"] {
            assert_eq!(policy.connection(&facts(dst, &[])).action, Block, "{dst}");
        }
    }

    #[test]
    fn a_name_is_refused_only_where_every_connection_to_it_would_be() {
        let list = "[[list]]\nname = \"ads\"\nsource = \"a\"\n";
        let closed = "[default]\nconnection = \"block\"\n";
        let table: &[(&str, &[&str], &str, (Action, &str))] = &[
            ("", &[], "bank.example", (Allow, "default.connection")),
            ("", &["block to = \"bank.example\""], "www.bank.example", (Block, "rule.1")),
            ("", &["block to = \"bank.example\", port = 80"], "bank.example", (Allow, "default.connection")),
            ("", &["block to = \"bank.example\", proto = \"udp\""], "bank.example", (Allow, "default.connection")),
            ("", &["block to = \"bank.example\"", "allow to = \"bank.example\", port = 80"], "bank.example", (Allow, "rule.2")),
            ("", &["block to = \"bank.example\"", "allow port = 80"], "bank.example", (Block, "rule.1")),
            ("", &["block to = \"192.0.2.0/24\""], "bank.example", (Allow, "default.connection")),
            ("", &["ask to = \"bank.example\""], "bank.example", (Ask, "rule.1")),
            ("", &["ask to = \"bank.example\", port = 80"], "bank.example", (Allow, "rule.1")),
            ("", &["block app = \"com.example.bank\""], "bank.example", (Block, "rule.1")),
            ("", &["block app = \"com.example.bank\"", "allow app = \"com.example.bank\", to = \"lan\""], "printer.example", (Allow, "rule.2")),
            (closed, &[], "bank.example", (Block, "default.connection")),
            (closed, &["allow to = \"lan\""], "bank.example", (Allow, "rule.1")),
            (closed, &["allow to = \"bank.example\""], "bank.example", (Allow, "rule.1")),
            (list, &[], "x.ads.example", (Block, "list.ads")),
            (list, &["allow to = \"lan\""], "ads.example", (Block, "list.ads")),
            (list, &["allow to = \"ads.example\", port = 443"], "ads.example", (Allow, "rule.1")),
            (list, &["allow to = \"ads.example\", sends = [\"imei\"]"], "ads.example", (Block, "list.ads")),
        ];
        for (head, lines, name, expected) in table {
            let lists: &[&str] = if head.contains("[[list]]") { &["ads.example"] } else { &[] };
            let policy = policy(&format!("{head}{}", rules(lines)), lists);
            let app = ["com.example.bank".into()];
            assert_eq!(shown(&policy.name(&app, name, 0)), *expected, "{head}{lines:?} {name}");
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
        assert_eq!(shown(&found(Confidence::Shape)), (Ask, "default.leak_shape"));
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
}
