//! What is written in a policy and does not mean what it looks like.

use super::{
    Place,
    config::{RuleEntry, Sends},
    explain::word,
    judge::{Cause, DefaultKey, Facts, Policy},
    rules::Query,
    to::To,
};
use crate::{
    egress::Proxy,
    event::{Action, Kind, NameSource, Proto},
};

/// Something in a policy that a person may not have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it is written.
    pub place: Place,
    /// What it is and what would be better, one sentence without a full stop.
    pub text: String,
}

/// What a policy is checked against and does not know itself.
pub struct Surroundings<'a> {
    /// Whether anybody can register a name under this one, as under `co.uk`.
    pub is_public_suffix: &'a dyn Fn(&str) -> bool,
    /// Why no app can go by this name here, if so.
    pub no_such_app: &'a dyn Fn(&str) -> Option<String>,
}

/// How many rules there are, and what counts without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Rules on connections that allow, ask and block.
    pub connections: [usize; 3],
    /// Rules on identifiers that allow, ask and block.
    pub identifiers: [usize; 3],
    /// Keys of `[default]` with what they say, given or built in.
    pub defaults: [(&'static str, Action); 4],
}

impl Policy {
    /// Counts the rules.
    pub fn outline(&self) -> Outline {
        let count = |sends: bool, action| {
            let rules = self.rules.all().iter();
            rules
                .filter(|rule| rule.sends.is_some() == sends && rule.action == action)
                .count()
        };
        let actions = [Action::Allow, Action::Ask, Action::Block];
        Outline {
            connections: actions.map(|action| count(false, action)),
            identifiers: actions.map(|action| count(true, action)),
            defaults: DefaultKey::ALL.map(|key| (key.key(), self.action(Cause::Default(key)))),
        }
    }

    /// Says what may not have been meant, in the order of the file.
    pub fn check(&self, surroundings: &Surroundings<'_>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (position, rule) in self.rules.all().iter().enumerate() {
            let cause = Cause::Rule(position);
            let mut tell = |text: Option<String>| {
                let place = self.place_of(cause);
                let name = self.name_of(cause);
                warnings.extend(text.map(|text| Warning {
                    place,
                    text: format!("{name} {text}"),
                }));
            };
            tell(self.never_decides(position));
            tell(self.has_no_connection(rule));
            tell(suffix(rule, surroundings));
            tell(approves_much(rule));
            tell(portless(rule));
            tell(cannot_carry(rule));
            let app = rule.app.as_ref();
            tell(app.and_then(|app| {
                let why = (surroundings.no_such_app)(app)?;
                Some(format!("matches nothing here: {why}"))
            }));
        }
        self.check_lists(&mut warnings);
        self.check_defaults(&mut warnings);
        warnings.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
        warnings
    }

    /// Rules before this one that match whatever it matches.
    fn never_decides(&self, position: usize) -> Option<String> {
        let (before, rest) = self.rules.all().split_at(position);
        let rule = rest.first()?;
        let same = |other: &&RuleEntry| {
            (&other.app, &other.to, other.proto) == (&rule.app, &rule.to, rule.proto)
                && other.ports == rule.ports
        };
        let (winners, about) = match &rule.sends {
            None | Some(Sends::All) => {
                let same = |other: &&RuleEntry| same(other) && other.sends == rule.sends;
                (
                    vec![before.iter().position(|other| same(&other))?],
                    String::new(),
                )
            }
            Some(Sends::Kinds(kinds)) => {
                let winner = |kind: &Kind| {
                    let takes = |other: &RuleEntry| match &other.sends {
                        Some(Sends::Kinds(kinds)) => kinds.contains(kind),
                        Some(Sends::All) | None => false,
                    };
                    before.iter().position(|other| same(&other) && takes(other))
                };
                let taken: Vec<_> = kinds
                    .iter()
                    .filter_map(|kind| Some((kind.to_string(), winner(kind)?)))
                    .collect();
                let (names, winners): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
                let about = match names.len() == kinds.len() {
                    true => String::new(),
                    false => format!(" about {}", names.join(", ")),
                };
                (winners, about)
            }
        };
        let first = &self.rules.all()[*winners.first()?];
        let mut names: Vec<String> = winners
            .iter()
            .map(|&winner| {
                let cause = Cause::Rule(winner);
                format!("{} ({})", self.name_of(cause), self.place_of(cause))
            })
            .collect();
        names.dedup();
        let why = match (first.action == rule.action, first.via == rule.via) {
            (true, true) => "says the same",
            (true, false) => "is about the same and goes another way",
            (false, _) => "is about the same and stricter",
        };
        Some(format!(
            "never decides{about}: {} {why}",
            names.join(" and ")
        ))
    }

    /// A rule on identifiers of connections that are blocked before one can be sent.
    fn has_no_connection(&self, rule: &RuleEntry) -> Option<String> {
        let open = |other: &RuleEntry| {
            other.sends.is_none() && other.action != Action::Block && may_meet(rule, other)
        };
        if rule.sends.is_none() || rule.action == Action::Block || self.rules.all().iter().any(open)
        {
            return None;
        }
        let facts = example(rule);
        let cause = self.judge(&Query::of(&facts), &facts.names, DefaultKey::Connection);
        let (whole, remedy) = match cause {
            Cause::Rule(position) => (includes(&self.rules.all()[position], rule), ""),
            Cause::List(_) => (true, ""),
            Cause::Default(_) => (
                true,
                ": add a rule without `sends` that allows the connection",
            ),
        };
        if self.action(cause) != Action::Block || !whole || self.lists_allow() {
            return None;
        }
        Some(format!(
            "never counts: {} ({}) blocks the connection before anything is sent{remedy}",
            self.name_of(cause),
            self.place_of(cause)
        ))
    }

    fn lists_allow(&self) -> bool {
        let mut lists = self.lists.lists.iter();
        lists.any(|list| list.action != Action::Block)
    }

    fn check_lists(&self, warnings: &mut Vec<Warning>) {
        let empty = self
            .lists
            .lists
            .iter()
            .filter(|list| list.report.taken == 0);
        warnings.extend(empty.map(|list| Warning {
            place: Place {
                file: self.file.clone(),
                line: list.place.line,
            },
            text: format!("{} holds no name", list.verdict),
        }));
    }

    fn check_defaults(&self, warnings: &mut Vec<Warning>) {
        let mut tell = |line: Option<u32>, text: &str| {
            let place = Place {
                file: self.file.clone(),
                line,
            };
            warnings.push(Warning {
                place,
                text: text.into(),
            });
        };
        for (key, given) in [
            ("leak", self.defaults.leak),
            ("leak_shape", self.defaults.leak_shape),
        ] {
            if let Some(given) = given.filter(|given| given.value == Action::Allow) {
                tell(
                    given.line,
                    &format!(
                        "default.{key} lets identifiers go anywhere; that approves none, so the exit status still tells"
                    ),
                );
            }
        }
        if self.ask_fallback() == Action::Allow {
            tell(
                None,
                "default.ask_fallback lets go what nobody answered for",
            );
        }
        let limits = self.limits();
        if limits.hold_per_flow > limits.hold_per_app || limits.hold_per_app > limits.hold_total {
            tell(
                None,
                "limits: hold_per_flow should be at most hold_per_app, and that at most hold_total: the least of them counts",
            );
        }
    }
}

fn suffix(rule: &RuleEntry, surroundings: &Surroundings<'_>) -> Option<String> {
    let (To::Domain(name) | To::Under(name)) = rule.to.as_ref()? else {
        return None;
    };
    let whole = (surroundings.is_public_suffix)(name);
    whole.then(|| {
        let action = word(rule.action);
        format!("is to {action} every name that anybody registers under the public suffix {name:?}")
    })
}

fn approves_much(rule: &RuleEntry) -> Option<String> {
    let allows = rule.action == Action::Allow;
    match (&rule.sends, &rule.to) {
        (Some(Sends::All), None) if allows && rule.app.is_none() => {
            Some("approves every identifier to every destination: nothing is left to stop".into())
        }
        (Some(Sends::All), _) if allows => Some(
            "approves every identifier, and those that you register later: name the kinds in `sends`"
                .into(),
        ),
        (Some(Sends::Kinds(_)), None) if allows => {
            Some("approves identifiers to every destination: name it in `to`".into())
        }
        _ => None,
    }
}

/// A way that cannot carry what the rule is about.
fn cannot_carry(rule: &RuleEntry) -> Option<String> {
    let via = rule.via.as_ref()?;
    let carried = match rule.proto? {
        Proto::Tcp => true,
        Proto::Udp => via.carries_datagrams(),
        Proto::Icmp => false,
    };
    let Proxy { name, protocol, .. } = &**via;
    (!carried).then(|| {
        format!("lets nothing through: the proxy {name:?} ({protocol}) carries no such packets, and nothing goes around it")
    })
}

fn portless(rule: &RuleEntry) -> Option<String> {
    let ports = rule.ports.filter(|ports| ports.first > 0)?;
    (rule.proto == Some(Proto::Icmp))
        .then(|| format!("never matches: ICMP has no ports, and port {ports} is asked for"))
}

/// Whether some flow could meet both rules, as far as destinations tell. An app goes by several names.
fn may_meet(one: &RuleEntry, other: &RuleEntry) -> bool {
    match (&one.to, &other.to) {
        (
            Some(To::Host(one) | To::Domain(one) | To::Under(one)),
            Some(To::Host(other) | To::Domain(other) | To::Under(other)),
        ) => is_under(one, other) || is_under(other, one),
        (Some(To::Net(one)), Some(To::Net(other))) => one.contains(other) || other.contains(one),
        _ => true,
    }
}

/// Whether every flow that meets `rule` meets `other`, identifiers apart.
fn includes(other: &RuleEntry, rule: &RuleEntry) -> bool {
    let ports = other.ports.is_none_or(|outer| {
        rule.ports
            .is_some_and(|inner| outer.first <= inner.first && inner.last <= outer.last)
    });
    let to = match (&other.to, &rule.to) {
        (None, _) => true,
        (Some(To::Domain(outer)), Some(To::Host(name) | To::Domain(name) | To::Under(name))) => {
            is_under(name, outer)
        }
        (Some(To::Under(outer)), Some(To::Host(name) | To::Domain(name))) => {
            name != outer && is_under(name, outer)
        }
        (Some(To::Under(outer)), Some(To::Under(name))) => is_under(name, outer),
        (Some(To::Net(outer)), Some(To::Net(inner))) => outer.contains(inner),
        (outer, inner) => outer == inner,
    };
    let app = other.app.is_none() || other.app == rule.app;
    let proto = other.proto.is_none() || other.proto == rule.proto;
    app && proto && ports && to
}

fn is_under(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A flow that the rule is about.
fn example(rule: &RuleEntry) -> Facts {
    let ip = match &rule.to {
        Some(To::Net(net)) => net.addr(),
        Some(To::Lan) => super::elsewhere::LAN,
        Some(To::Host(_) | To::Domain(_) | To::Under(_)) | None => [0, 0, 0, 0].into(),
    };
    let name = match &rule.to {
        Some(To::Host(name) | To::Domain(name)) => Some(name.to_string()),
        Some(To::Under(name)) => Some(format!("any.{name}")),
        Some(To::Net(_) | To::Lan) | None => None,
    };
    Facts {
        app: rule.app.iter().cloned().collect(),
        dst: (ip, rule.ports.map_or(0, |ports| ports.first)).into(),
        proto: rule.proto.unwrap_or(Proto::Tcp),
        names: name
            .map(|name| (name.into(), NameSource::Dns))
            .into_iter()
            .collect(),
        wall: 0,
    }
}

#[cfg(test)]
mod tests;
