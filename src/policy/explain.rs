//! Why a verdict is what it is.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    config::{Place, RuleEntry, Sends},
    judge::{Cause, DefaultKey, Facts, Policy},
    rules::{Query, Rank},
    to::To,
};
use crate::event::{Action, Confidence, Kind, NameSource, Verdict};

/// A verdict with what it stands on, for people. Display writes it as a few lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What is done.
    pub verdict: Verdict,
    /// The rule, list or default that decided.
    pub deciding: Reason,
    /// What else matched, best first, the default last.
    pub runners_up: Vec<Reason>,
    /// What would change the verdict, a sentence each.
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
        let leaks = || {
            sends
                .iter()
                .map(|kind| (Some(kind), self.leak_cause(facts, kind, Confidence::Exact)))
        };
        let about_connection = sends.is_empty() || self.action(connection) == Action::Block;
        let (kind, cause) = match about_connection {
            true => (None, connection),
            false => leaks()
                .max_by_key(|(_, cause)| self.strictness(*cause))
                .unwrap_or((None, connection)),
        };
        let mut causes = BTreeSet::new();
        match about_connection {
            true => causes.extend(self.matching(facts, None, DefaultKey::Connection)),
            false => sends
                .iter()
                .for_each(|kind| causes.extend(self.matching(facts, Some(kind), DefaultKey::Leak))),
        }
        causes.remove(&cause);
        let runners_up = causes.into_iter().map(|other| Reason {
            lost: self.lost(other, cause),
            ..self.reason(other)
        });
        Explanation {
            verdict,
            deciding: self.reason(cause),
            runners_up: runners_up.collect(),
            changes: self.changes(facts, kind, cause),
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
            Cause::Default(default) => format!("[default] {}", default.key()),
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
            return "holds for one of the names only, and the strictest over all names counts"
                .into();
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
                "counts where nothing else matches".into()
            }
            (Cause::Default(_), Cause::Default(_)) => "is about something else".into(),
            (Cause::Rule(_), Cause::List(_) | Cause::Default(_)) => {
                "does not hold for every name".into()
            }
        }
    }

    fn changes(&self, facts: &Facts, kind: Option<&Kind>, cause: Cause) -> Vec<String> {
        let mut changes = Vec::new();
        let given = || {
            facts
                .names
                .iter()
                .filter(|(_, source)| *source == NameSource::Dns)
        };
        let claims = facts.names.iter().filter(|(name, source)| {
            *source != NameSource::Dns && !given().any(|(other, _)| other == name)
        });
        let unconfirmed: Vec<_> = claims.map(|(name, _)| format!("{name:?}")).collect();
        let to = match given().next() {
            Some((name, _)) => format!("={name}"),
            None => facts.dst.ip().to_canonical().to_string(),
        };
        let sends = kind.map_or(String::new(), |kind| format!(", sends = [\"{kind}\"]"));
        let opposite = if self.action(cause) == Action::Allow {
            Action::Block
        } else {
            Action::Allow
        };
        if !unconfirmed.is_empty() {
            changes.push(format!(
                "the flow claims {}, which DNS did not give for {}: a claim can tighten the verdict, never loosen it",
                unconfirmed.join(" and "),
                facts.dst.ip().to_canonical(),
            ));
        }
        let app = match cause {
            Cause::Rule(position) => {
                let Reason { rule, place, .. } = self.reason(cause);
                changes.push(format!("{rule} itself, at {place}"));
                self.rules.all()[position]
                    .app
                    .as_ref()
                    .map_or(String::new(), |app| format!("app = {app:?}, "))
            }
            Cause::List(_) | Cause::Default(_) => String::new(),
        };
        let better = match cause {
            Cause::Rule(_) => "a more specific rule",
            Cause::List(_) => "a rule, which comes before every list",
            Cause::Default(_) => "a rule",
        };
        let port = match cause {
            Cause::Rule(_) => format!(", port = \"{}\"", facts.dst.port()),
            Cause::List(_) | Cause::Default(_) => String::new(),
        };
        changes.push(format!(
            "{better}, such as: {app}to = {to:?}{sends}{port}, action = {:?}",
            word(opposite)
        ));
        changes
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
        if !self.runners_up.is_empty() {
            writeln!(f, "also matching:")?;
        }
        for other in &self.runners_up {
            writeln!(f, "  {}: {other} ({})", word(other.action), other.lost)?;
        }
        writeln!(f, "what would change it:")?;
        for change in &self.changes {
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

impl fmt::Display for RuleEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(app) = &self.app {
            write!(f, "app = {app:?}, ")?;
        }
        if let Some(to) = &self.to {
            write!(f, "to = \"{to}\", ")?;
        }
        if let Some(ports) = &self.ports {
            write!(f, "port = \"{ports}\", ")?;
        }
        if let Some(proto) = &self.proto {
            write!(f, "proto = \"{}\", ", format!("{proto:?}").to_lowercase())?;
        }
        match &self.sends {
            Some(Sends::All) => f.write_str("sends = [\"*\"], ")?,
            Some(Sends::Kinds(kinds)) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| format!("\"{kind}\"")).collect();
                write!(f, "sends = [{}], ", kinds.join(", "))?;
            }
            None => {}
        }
        write!(f, "action = {:?}", word(self.action))
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Ask => "ask",
        Action::Block => "block",
    }
}
