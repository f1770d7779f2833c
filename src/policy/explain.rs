//! Why a verdict is what it is.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    config::{Place, RuleEntry, Sends},
    field::Ports,
    judge::{Cause, DefaultKey, Facts, Policy},
    rules::{Query, Rank},
    to::To,
};
use crate::{
    egress::Proxy,
    event::{Action, Confidence, Kind, NameSource, Proto, Verdict},
};

/// A verdict with what it stands on, for people. Display writes it as a few lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What is done.
    pub verdict: Verdict,
    /// The rule, list or default that decided.
    pub deciding: Reason,
    /// What decides for each identifier, where the verdict is about identifiers.
    pub identifiers: Vec<(Kind, Reason)>,
    /// The proxy that the connection would go through.
    pub via: Option<Arc<Proxy>>,
    /// What else matched, best first, the default last.
    pub runners_up: Vec<Reason>,
    /// Rules (TOML, each from its `[[rule]]` on) that together would turn the verdict: allow into block, all else into
    /// allow. Tried out; empty where none would.
    pub remedy: Vec<String>,
    /// What else would change the verdict, a sentence each; at most [`Explanation::MOST_CHANGES`] of another flow.
    pub changes: Vec<String>,
}

/// A rule, list or default that a query matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `rule.N`, `list.NAME` or `default.KEY`, as in [`Verdict::rule`].
    pub rule: Arc<str>,
    /// Where it is written; no line where a default is the built-in one.
    pub place: Place,
    /// What it says.
    pub action: Action,
    /// What it is about.
    pub text: String,
    /// Why it did not decide; empty for the one that did.
    pub lost: String,
}

impl Policy {
    /// Explains the verdict on a connection or, with kinds in `sends`, on registered identifiers sent over it.
    pub fn explain(&self, facts: &Facts, sends: &[Kind]) -> Explanation {
        let found: Vec<_> = sends
            .iter()
            .map(|kind| (kind.clone(), Confidence::Exact))
            .collect();
        let verdict = self.leak(facts, &found);
        let connection = self.judge(&Query::of(facts), &facts.names, DefaultKey::Connection);
        let leaks = sends
            .iter()
            .map(|kind| self.leak_cause(facts, kind, Confidence::Exact));
        let about_connection = sends.is_empty() || self.action(connection) == Action::Block;
        let leaks: Vec<_> = if about_connection {
            Vec::new()
        } else {
            leaks.collect()
        };
        let cause = leaks.iter().copied();
        let cause = cause
            .max_by_key(|cause| self.strictness(*cause))
            .unwrap_or(connection);
        let identifiers = sends
            .iter()
            .zip(&leaks)
            .map(|(kind, cause)| (kind.clone(), self.reason(*cause)));
        let identifiers = identifiers.collect();
        let sends = if about_connection { &[] } else { sends };
        let mut causes = BTreeSet::new();
        match about_connection {
            true => causes.extend(self.matching(facts, None, DefaultKey::Connection)),
            false => sends
                .iter()
                .for_each(|kind| causes.extend(self.matching(facts, Some(kind), DefaultKey::Leak))),
        }
        causes.remove(&cause);
        let runners_up = causes.into_iter().map(|other| {
            let about: Vec<String> = sends
                .iter()
                .zip(&leaks)
                .filter(|(_, decides)| **decides == other)
                .map(|(kind, _)| kind.to_string())
                .collect();
            let lost = match about.is_empty() {
                true => self.lost(other, cause),
                false => format!(
                    "decides about {} alone, and the strictest counts",
                    about.join(", ")
                ),
            };
            Reason {
                lost,
                ..self.reason(other)
            }
        });
        let runners_up = runners_up.collect();
        Explanation {
            verdict,
            deciding: self.reason(cause),
            identifiers,
            via: self
                .route(facts)
                .filter(|_| self.action(connection) != Action::Block)
                .cloned(),
            runners_up,
            remedy: self.remedy(facts, sends, cause).unwrap_or_default(),
            changes: self.changes(facts, sends, cause),
        }
    }

    /// Everything that matches, by the address or by any name.
    fn matching(&self, facts: &Facts, kind: Option<&Kind>, default: DefaultKey) -> Vec<Cause> {
        let query = Query {
            kind,
            ..Query::of(facts)
        };
        let fits = |rule: &RuleEntry| {
            query.meets(rule) && rule.to.as_ref().is_none_or(|to| to.covers(facts))
        };
        let rules = self.rules.all().iter().enumerate();
        let mut causes: Vec<_> = rules
            .filter(|(_, rule)| fits(rule))
            .map(|(position, _)| Cause::Rule(position))
            .collect();
        if kind.is_none() {
            causes.extend(
                facts
                    .names
                    .iter()
                    .filter_map(|(name, _)| self.lists.find(name))
                    .map(Cause::List),
            );
        }
        causes.push(Cause::Default(default));
        causes
    }

    fn reason(&self, cause: Cause) -> Reason {
        let text = match cause {
            Cause::Rule(position) => self.rules.all()[position].to_string(),
            Cause::List(list) => format!("the list {:?}", self.lists.lists[list].name()),
            Cause::Default(default) => {
                format!(
                    "[default] {} = {:?}",
                    default.key(),
                    word(self.action(cause))
                )
            }
        };
        Reason {
            rule: self.name_of(cause).clone(),
            place: self.place_of(cause),
            action: self.action(cause),
            text,
            lost: String::new(),
        }
    }

    fn lost(&self, loser: Cause, winner: Cause) -> String {
        if loser < winner {
            return "does not hold for every name and identifier, and the strictest counts".into();
        }
        match (loser, winner) {
            (Cause::Rule(loser), Cause::Rule(winner)) => {
                let (loser, winner) = (&self.rules.all()[loser], &self.rules.all()[winner]);
                match Rank::of(loser).behind(Rank::of(winner)) {
                    Some(part) => format!("less specific in its {part}"),
                    None if loser.action < winner.action => "as specific, and less strict".into(),
                    None => "as specific and as strict, and further down".into(),
                }
            }
            (Cause::List(_), Cause::List(_)) => {
                "another list is nearer to the name, or stricter".into()
            }
            (Cause::List(_), Cause::Rule(_) | Cause::Default(_)) => {
                "rules come before lists".into()
            }
            (Cause::Default(_), Cause::Rule(_) | Cause::List(_)) => {
                "counts only where nothing else matches".into()
            }
            (Cause::Default(_), Cause::Default(_)) => "is about something else".into(),
            (Cause::Rule(_), Cause::List(_) | Cause::Default(_)) => {
                "does not hold for every name".into()
            }
        }
    }

    fn changes(&self, facts: &Facts, sends: &[Kind], cause: Cause) -> Vec<String> {
        let Reason { rule, place, .. } = self.reason(cause);
        let itself = match place.line {
            Some(_) => format!("{rule} itself ({place})"),
            None => format!("{rule} itself ({place}: a policy file can set it)"),
        };
        let mut changes = vec![itself];
        let given = || {
            facts
                .names
                .iter()
                .filter(|(_, source)| *source == NameSource::Dns)
        };
        let claims = facts.names.iter().filter(|(name, source)| {
            *source != NameSource::Dns && !given().any(|(other, _)| other == name)
        });
        changes.extend(claims.map(|(name, _)| {
            format!("a DNS answer that gives {name:?} for this address: until then the name is a mere claim, which loosens nothing")
        }));
        if let (Cause::Default(_), Action::Allow, false) =
            (cause, self.action(cause), sends.is_empty())
        {
            changes.push(
                "a rule with `sends` that allows: it would approve what passes unapproved now"
                    .into(),
            );
        }
        changes.extend(self.elsewhere(facts, sends));
        changes
    }

    /// The least rules that turn the verdict, tried out: on one name or the address, then on all of them, then with more
    /// and more conditions.
    fn remedy(&self, facts: &Facts, sends: &[Kind], cause: Cause) -> Option<Vec<String>> {
        let wanted = if self.action(cause) == Action::Allow {
            Action::Block
        } else {
            Action::Allow
        };
        let concerned = sends.iter().filter(|kind| {
            wanted == Action::Block
                || self.action(self.leak_cause(facts, kind, Confidence::Exact)) != Action::Allow
        });
        let concerned = (!sends.is_empty()).then(|| Sends::Kinds(concerned.cloned().collect()));
        let found: Vec<_> = sends
            .iter()
            .map(|kind| (kind.clone(), Confidence::Exact))
            .collect();
        let names: BTreeSet<&str> = facts.names.iter().map(|(name, _)| &**name).collect();
        let mut to: Vec<To> = names
            .into_iter()
            .filter_map(|name| To::read(&format!("={name}")).ok())
            .collect();
        let named = to.len();
        if named == 0 || !facts.dst.ip().is_unspecified() {
            to.push(To::Net(facts.dst.ip().to_canonical().into()));
        }
        let mut destinations: Vec<&[To]> = to.chunks(1).collect();
        destinations.extend([&to[..named], &to]);
        let apps = std::iter::once(None).chain(facts.app.first().map(Some));
        let conditions =
            apps.flat_map(|app| [(app, false, false), (app, true, false), (app, true, true)]);
        conditions
            .flat_map(|conditions| destinations.iter().map(move |to| (conditions, *to)))
            .find_map(|((app, port, proto), to)| {
                let rule = |(number, to): (u32, &To)| RuleEntry {
                    number,
                    line: None,
                    answers: None,
                    app: app.cloned(),
                    to: Some(to.clone()),
                    ports: port.then_some(Ports {
                        first: facts.dst.port(),
                        last: facts.dst.port(),
                    }),
                    proto: proto.then_some(facts.proto),
                    sends: concerned.clone(),
                    action: wanted,
                    via: None,
                };
                let rules: Vec<RuleEntry> = (u32::MAX / 2..).zip(to).map(rule).collect();
                (self.with(rules.clone()).leak(facts, &found).action == wanted).then_some(rules)
            })
            .map(|rules| {
                let text = |rule: &RuleEntry| format!("[[rule]]\n{}\n", rule.fields().join("\n"));
                rules.iter().map(text).collect()
            })
    }
}

impl To {
    fn covers(&self, facts: &Facts) -> bool {
        let ip = facts.dst.ip().to_canonical();
        let named = |fits: &dyn Fn(&str) -> bool| facts.names.iter().any(|(name, _)| fits(name));
        let under = |name: &str, parent: &str| {
            name.strip_suffix(parent)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        match self {
            To::Host(host) => named(&|name| name == &**host),
            To::Domain(domain) => named(&|name| name == &**domain || under(name, domain)),
            To::Under(parent) => named(&|name| under(name, parent)),
            To::Net(net) => net.contains(&ip),
            To::Lan => super::nets::is_lan(ip),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", word(self.verdict.action), self.deciding)?;
        if let Some(via) = &self.via {
            writeln!(f, "through the proxy {via:?}")?;
        }
        if !self.runners_up.is_empty() {
            writeln!(f, "also matching:")?;
        }
        for other in &self.runners_up {
            writeln!(f, "  {}: {other} ({})", word(other.action), other.lost)?;
        }
        writeln!(f, "what would change it:")?;
        let (itself, others) = self.changes.split_at(self.changes.len().min(1));
        let remedy: Vec<_> = self.remedy.iter().map(|rule| one_line(rule)).collect();
        let remedy = (!remedy.is_empty()).then(|| remedy.join(" and "));
        for change in itself.iter().chain(&remedy).chain(others) {
            writeln!(f, "  {change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}), {}", self.rule, self.place, self.text)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str("built in"),
        }
    }
}

impl RuleEntry {
    /// `key = value` of each key given, as in the file.
    fn fields(&self) -> Vec<String> {
        let app = self.app.as_ref().map(|app| format!("app = {app:?}"));
        let to = self.to.as_ref().map(|to| format!("to = \"{to}\""));
        let port = self
            .ports
            .as_ref()
            .map(|ports| format!("port = \"{ports}\""));
        let proto = self
            .proto
            .map(|proto| format!("proto = {:?}", protocol(proto)));
        let sends = self.sends.as_ref().map(|sends| match sends {
            Sends::All => "sends = [\"*\"]".to_owned(),
            Sends::Kinds(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| format!("\"{kind}\"")).collect();
                format!("sends = [{}]", kinds.join(", "))
            }
        });
        let action = Some(format!("action = {:?}", word(self.action)));
        let via = self
            .via
            .as_ref()
            .map(|proxy| format!("via = {:?}", proxy.name));
        [app, to, port, proto, sends, action, via]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl fmt::Display for RuleEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fields().join(", "))
    }
}

/// A rule's TOML on one line.
fn one_line(rule: &str) -> String {
    let rest = rule.trim_end().replace('\n', ", ");
    rest.replacen("[[rule]], ", "[[rule]] ", 1)
}

pub(super) fn protocol(proto: Proto) -> &'static str {
    match proto {
        Proto::Tcp => "tcp",
        Proto::Udp => "udp",
        Proto::Icmp => "icmp",
    }
}

pub(super) fn word(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Ask => "ask",
        Action::Block => "block",
    }
}

#[cfg(test)]
mod tests;
