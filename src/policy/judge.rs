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
    config::{Config, Defaults, Place, Placed, ProxyEntry, RuleEntry},
    listfile::ListReport,
    lists::Lists,
    rules::{Query, Rules},
};
use crate::{
    ConfigError,
    egress::Proxy,
    event::{Action, Confidence, Kind, NameSource, Proto, Verdict},
};

/// Compiled rules and lists. Immutable: share it in an `Arc`.
///
/// A rule matches a flow by its address or by one of its names. The names that DNS gave speak for the address: an allow for
/// one of them is an allow for the flow, unless another of them is blocked. A name that only the flow itself gave (SNI,
/// Host) is a claim, which can tighten the verdict and never loosen it: each is judged like a destination of its own, and the
/// strictest verdict counts. So an allow by name holds where DNS gave an allowed name and every claim is allowed too.
pub struct Policy {
    pub(super) file: Arc<str>,
    pub(super) defaults: Defaults,
    pub(super) limits: Limits,
    pub(super) rules: Rules,
    pub(super) lists: Arc<Lists>,
    /// Whether any rule names a proxy.
    pub(super) routes: bool,
    pub(super) proxies: Vec<Arc<Proxy>>,
    /// `rule.N` or `answer.N`, by position.
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
    ///
    /// # Errors
    /// Where a list has no line that can be used, or a password was not given by [`Config::with_passwords`].
    pub fn new(config: Config, lists: Vec<Vec<u8>>) -> Result<Policy, ConfigError> {
        if lists.len() != config.lists.len() {
            let reason = format!(
                "{} lists are named, {} were read",
                config.lists.len(),
                lists.len()
            );
            return Err(ConfigError::file(config.file, reason));
        }
        if let Some(unread) = config.password_files().next() {
            return Err(unread.error("the password was not read"));
        }
        let lists = Arc::new(Lists::new(&config.lists, &lists)?);
        let proxies = config.proxies.iter().map(ProxyEntry::proxy).collect();
        Ok(Policy::compile(
            config.file,
            config.defaults,
            config.limits,
            config.rules,
            lists,
            proxies,
        ))
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
            answers: true,
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

    /// This policy with further rules of the person's.
    pub(super) fn with(&self, more: Vec<RuleEntry>) -> Policy {
        let rules = [self.rules.all().to_vec(), more].concat();
        Policy::compile(
            self.file.clone(),
            self.defaults.clone(),
            self.limits,
            rules,
            self.lists.clone(),
            self.proxies.clone(),
        )
    }

    fn compile(
        file: Arc<str>,
        defaults: Defaults,
        limits: Limits,
        rules: Vec<RuleEntry>,
        lists: Arc<Lists>,
        proxies: Vec<Arc<Proxy>>,
    ) -> Policy {
        let rules = Rules::new(rules);
        let routes = rules.all().iter().any(|rule| rule.via.is_some());
        let names = rules
            .all()
            .iter()
            .map(|rule| match rule.answers {
                None => format!("rule.{}", rule.number).into(),
                Some(_) => format!("answer.{}", rule.number).into(),
            })
            .collect();
        let default_names =
            DefaultKey::ALL.map(|default| format!("default.{}", default.key()).into());
        Policy {
            file,
            defaults,
            limits,
            rules,
            lists,
            routes,
            proxies,
            names,
            default_names,
        }
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
        let by_name = |name: &str| self.by_name(query, &wire(name), by_address);
        let stricter =
            |one, other| std::cmp::max_by_key(one, other, |cause| self.strictness(*cause));
        let given = names
            .iter()
            .filter(|(_, source)| *source == NameSource::Dns);
        let by_given = given.filter_map(|(name, _)| by_name(name)).reduce(stricter);
        let claims = names
            .iter()
            .filter(|(claim, source)| *source != NameSource::Dns && !is_address(claim, query.ip));
        let by_claims = claims.map(|(claim, _)| by_name(claim).unwrap_or(otherwise));
        by_claims.fold(by_given.unwrap_or(otherwise), stricter)
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
            Cause::Rule(position) => {
                let rule = &self.rules.all()[position];
                return Place {
                    file: rule.answers.as_ref().unwrap_or(&self.file).clone(),
                    line: rule.line,
                };
            }
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
            answers: true,
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
    pub(super) const ALL: [DefaultKey; 4] = [
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
mod tests;
