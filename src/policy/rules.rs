//! Rules in order of precedence, found by what they are about.

use std::{cmp::Reverse, net::IpAddr, sync::Arc};

use rustc_hash::FxHashMap;

use super::{
    config::{RuleEntry, Sends},
    domain::suffixes,
    nets::{Nets, is_lan},
    to::To,
};
use crate::event::{Action, Kind, Proto};

/// The rules of one policy. A rule is named by its position, and of two that match the one at the lower position decides.
pub(super) struct Rules {
    /// Most specific first; equals by strictness, then the policy's before answers, as in the file.
    rules: Vec<RuleEntry>,
    connection: Index,
    leak: Index,
}

impl Rules {
    pub(super) fn new(mut rules: Vec<RuleEntry>) -> Rules {
        rules.sort_by_key(|rule| {
            // A way of its own is the stricter: what would go by a proxy goes no other way for want of an order.
            let place = (rule.via.is_none(), rule.answers.is_some(), rule.number);
            (Reverse(Rank::of(rule)), Reverse(rule.action), place)
        });
        let (mut connection, mut leak) = (Index::default(), Index::default());
        for (position, rule) in rules.iter().enumerate() {
            let index = if rule.sends.is_some() {
                &mut leak
            } else {
                &mut connection
            };
            index.insert(position, rule);
        }
        Rules {
            rules,
            connection,
            leak,
        }
    }

    pub(super) fn all(&self) -> &[RuleEntry] {
        &self.rules
    }

    /// The best rule that matches by `name`.
    pub(super) fn by_name(&self, query: &Query<'_>, name: &str) -> Option<usize> {
        let index = self.index(query);
        if index.names.is_empty() {
            return None;
        }
        let mut best = None;
        for suffix in suffixes(name) {
            let Some(positions) = index.names.get(suffix) else {
                continue;
            };
            let whole = suffix.len() == name.len();
            best = self.better(best, positions, |rule| {
                holds(rule, whole) && query.meets(rule)
            });
        }
        best
    }

    /// The best rule that matches whatever the name is.
    pub(super) fn by_address(&self, query: &Query<'_>) -> Option<usize> {
        let index = self.index(query);
        let meets = |rule: &RuleEntry| query.meets(rule);
        let mut best = self.better(None, &index.anywhere, meets);
        if !index.anywhere_by_app.is_empty() {
            for positions in query
                .app
                .iter()
                .filter_map(|app| index.anywhere_by_app.get(app))
            {
                best = self.better(best, positions, meets);
            }
        }
        let Some(ip) = query.ip else { return best };
        index
            .nets
            .cover(ip, |positions| best = self.better(best, positions, meets));
        if !index.lan.is_empty() && is_lan(ip) {
            best = self.better(best, &index.lan, meets);
        }
        best
    }

    /// The best rule that does not block and could match once the address is known.
    pub(super) fn at_unknown_address(&self, query: &Query<'_>) -> Option<usize> {
        let meets = |rule: &RuleEntry| rule.action != Action::Block && query.meets(rule);
        self.better(None, &self.index(query).somewhere, meets)
    }

    fn better(
        &self,
        best: Option<usize>,
        positions: &[usize],
        matches: impl Fn(&RuleEntry) -> bool,
    ) -> Option<usize> {
        let mut ahead = positions
            .iter()
            .copied()
            .take_while(|&position| best.is_none_or(|best| position < best));
        ahead
            .find(|&position| matches(&self.rules[position]))
            .or(best)
    }

    fn index(&self, query: &Query<'_>) -> &Index {
        if query.kind.is_some() {
            &self.leak
        } else {
            &self.connection
        }
    }
}

/// What a rule is held against, names apart. What is not known yet keeps a rule that blocks from matching, and no other:
/// so a name is refused only where every connection to it would be.
pub(super) struct Query<'a> {
    pub(super) app: &'a [Arc<str>],
    pub(super) ip: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) proto: Option<Proto>,
    /// None: about the connection.
    pub(super) kind: Option<&'a Kind>,
    /// Whether the person's answers count, beside the policy.
    pub(super) answers: bool,
}

impl Query<'_> {
    /// Whether everything but the destination fits.
    pub(super) fn meets(&self, rule: &RuleEntry) -> bool {
        self.covers(rule) && self.meets_but_for_kinds(rule)
    }

    fn meets_but_for_kinds(&self, rule: &RuleEntry) -> bool {
        let unknown = rule.action != Action::Block;
        let port = |port| {
            rule.ports
                .is_none_or(|ports| (ports.first..=ports.last).contains(&port))
        };
        let app = rule.app.as_ref().is_none_or(|app| self.app.contains(app));
        (self.answers || rule.answers.is_none())
            && app
            && self.port.map_or(unknown || rule.ports.is_none(), port)
            && rule
                .proto
                .is_none_or(|proto| self.proto.map_or(unknown, |known| known == proto))
    }

    /// Whether the rule is about what the query is about.
    fn covers(&self, rule: &RuleEntry) -> bool {
        match (self.kind, &rule.sends) {
            (None, None) | (Some(_), Some(Sends::All)) => true,
            (Some(kind), Some(Sends::Kinds(kinds))) => kinds.contains(kind),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// Whether a rule on addresses could be about this connection, or about what is sent over it, at some address.
    pub(super) fn could_meet_at_an_address(&self, rule: &RuleEntry) -> bool {
        let on_addresses = match rule.to {
            Some(To::Net(_) | To::Lan) => true,
            Some(To::Host(_) | To::Domain(_) | To::Under(_)) | None => false,
        };
        on_addresses && self.meets_but_for_kinds(rule)
    }

    /// Whether the rule hangs on something that is not known yet.
    pub(super) fn leaves_open(&self, rule: &RuleEntry) -> bool {
        let somewhere = matches!(rule.to, Some(To::Net(_) | To::Lan));
        self.ip.is_none() && somewhere
            || self.port.is_none() && rule.ports.is_some()
            || self.proto.is_none() && rule.proto.is_some()
    }
}

/// How specific a rule is: app, then destination, then identifiers, then conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    app: AppRank,
    to: ToRank,
    named_kinds: bool,
    /// 65,536 less the width of the range.
    port: u32,
    proto: bool,
}

impl Rank {
    pub(super) fn of(rule: &RuleEntry) -> Rank {
        let width = |first, last| u32::from(last) - u32::from(first) + 1;
        Rank {
            app: match rule.app.as_deref() {
                None => AppRank::Any,
                Some("system") => AppRank::System,
                Some(uid) if uid.starts_with("uid:") => AppRank::Uid,
                Some(_) => AppRank::Package,
            },
            to: match &rule.to {
                None => ToRank::Any,
                Some(To::Lan) => ToRank::Lan,
                Some(To::Net(net)) => ToRank::Net(net.prefix_len()),
                Some(To::Domain(name)) => ToRank::Domain {
                    labels: labels(name),
                    under: false,
                },
                Some(To::Under(name)) => ToRank::Domain {
                    labels: labels(name),
                    under: true,
                },
                Some(To::Host(name)) => ToRank::Host(labels(name)),
            },
            named_kinds: matches!(rule.sends, Some(Sends::Kinds(_))),
            port: rule
                .ports
                .map_or(0, |ports| 65_536 - width(ports.first, ports.last)),
            proto: rule.proto.is_some(),
        }
    }

    /// The part that decides between this rank and a higher one; none between equals.
    pub(super) fn behind(self, other: Rank) -> Option<&'static str> {
        let parts = [
            ("app", self.app.cmp(&other.app)),
            ("destination", self.to.cmp(&other.to)),
            ("identifiers", self.named_kinds.cmp(&other.named_kinds)),
            (
                "conditions",
                (self.port, self.proto).cmp(&(other.port, other.proto)),
            ),
        ];
        parts
            .into_iter()
            .find(|(_, order)| order.is_ne())
            .map(|(part, _)| part)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AppRank {
    Any,
    System,
    Uid,
    Package,
}

/// `*.d` is narrower than `d`, and both are wider than any name below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ToRank {
    Any,
    Lan,
    Net(u8),
    Domain { labels: usize, under: bool },
    Host(usize),
}

/// Positions of rules by destination, each list ascending.
#[derive(Default)]
struct Index {
    names: FxHashMap<Box<str>, Vec<usize>>,
    nets: Nets<Vec<usize>>,
    lan: Vec<usize>,
    /// All of `nets` and `lan`.
    somewhere: Vec<usize>,
    anywhere: Vec<usize>,
    anywhere_by_app: FxHashMap<Arc<str>, Vec<usize>>,
}

impl Index {
    fn insert(&mut self, position: usize, rule: &RuleEntry) {
        match (&rule.to, &rule.app) {
            (Some(To::Host(name) | To::Domain(name) | To::Under(name)), _) => {
                self.names.entry(name.clone()).or_default().push(position);
            }
            (Some(To::Net(net)), _) => {
                self.nets.entry(*net).push(position);
                self.somewhere.push(position);
            }
            (Some(To::Lan), _) => {
                self.lan.push(position);
                self.somewhere.push(position);
            }
            (None, Some(app)) => self
                .anywhere_by_app
                .entry(app.clone())
                .or_default()
                .push(position),
            (None, None) => self.anywhere.push(position),
        }
    }
}

/// Whether a rule that is filed under a suffix of a name holds for the name.
fn holds(rule: &RuleEntry, whole: bool) -> bool {
    match rule.to {
        Some(To::Host(_)) => whole,
        Some(To::Under(_)) => !whole,
        Some(To::Domain(_)) => true,
        Some(To::Net(_) | To::Lan) | None => false,
    }
}

fn labels(name: &str) -> usize {
    name.split('.').count()
}
