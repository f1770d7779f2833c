//! TOML → [`Config`].

use std::{collections::BTreeSet, ops::Range, sync::Arc, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    BlockedName, Limits,
    config::{Config, Defaults, ListSource, Place, Placed, ProxyEntry, RuleEntry, Sends},
    field::{Bytes, Count, Fallback, Format, ListAction, Ports, Read, Sent},
    lists::MOST_LISTS,
    nearest::offer,
    proxy::{self, ProxyTable},
    to::To,
};
use crate::{
    ConfigError,
    event::{Action, Proto},
};

pub(super) use faults::faults;

/// Reads and checks a policy.
pub(super) fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    parse_with(file, text, POLICY)
}

/// Reads and checks a file of answers: a policy of rules alone.
pub(super) fn parse_answers(file: &str, text: &str) -> Result<Config, ConfigError> {
    parse_with(file, text, &["rule"])
}

fn parse_with(file: &str, text: &str, sections: &[&str]) -> Result<Config, ConfigError> {
    let source = Source {
        file: file.into(),
        text,
    };
    let table = DeTable::parse(text).map_err(|error| source.toml_error(&error))?;
    check_keys(&source, table.get_ref(), sections)?;
    let document: Document = read(table).map_err(|error| source.toml_error(&error))?;
    let proxies = source.proxies(document.proxy)?;
    let rules = (1..)
        .zip(document.rule)
        .map(|(number, rule)| source.rule(number, rule, Some(&proxies)));
    Ok(Config {
        rules: rules.collect::<Result<_, _>>()?,
        lists: source.lists(document.list)?,
        proxies,
        defaults: source.defaults(document.default),
        limits: document.limits.resolve(),
        file: source.file,
    })
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    default: DefaultTable,
    #[serde(default)]
    limits: LimitsTable,
    #[serde(default)]
    rule: Vec<Spanned<RuleTable>>,
    #[serde(default)]
    list: Vec<Spanned<ListTable>>,
    #[serde(default)]
    proxy: Vec<Spanned<ProxyTable>>,
}

#[derive(Default, Deserialize)]
struct DefaultTable {
    leak: Option<Spanned<Read<Action>>>,
    connection: Option<Spanned<Read<Action>>>,
    leak_shape: Option<Spanned<Read<Action>>>,
    oversize: Option<Spanned<Read<Action>>>,
    ask_timeout: Option<Read<Duration>>,
    ask_fallback: Option<Read<Fallback>>,
    blocked_name: Option<Read<BlockedName>>,
}

#[derive(Default, Deserialize)]
struct LimitsTable {
    hold_per_flow: Option<Read<Bytes>>,
    hold_per_app: Option<Read<Bytes>>,
    hold_total: Option<Read<Bytes>>,
    flows: Option<Read<Count>>,
    flows_per_app: Option<Read<Count>>,
    buffers_total: Option<Read<Bytes>>,
}

impl LimitsTable {
    fn resolve(self) -> Limits {
        let bytes =
            |given: Option<Read<Bytes>>, default| given.map_or(default, |Read(Bytes(bytes))| bytes);
        let count =
            |given: Option<Read<Count>>, default| given.map_or(default, |Read(Count(count))| count);
        let default = Limits::default();
        Limits {
            hold_per_flow: bytes(self.hold_per_flow, default.hold_per_flow),
            hold_per_app: bytes(self.hold_per_app, default.hold_per_app),
            hold_total: bytes(self.hold_total, default.hold_total),
            flows: count(self.flows, default.flows),
            flows_per_app: count(self.flows_per_app, default.flows_per_app),
            buffers_total: bytes(self.buffers_total, default.buffers_total),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct RuleTable {
    app: Option<Spanned<Read<String>>>,
    to: Option<Read<To>>,
    port: Option<Read<Ports>>,
    proto: Option<Read<Proto>>,
    sends: Option<Spanned<Vec<Read<Sent>>>>,
    action: Read<Action>,
    via: Option<Spanned<Read<String>>>,
}

#[derive(Deserialize)]
struct ListTable {
    name: Spanned<Read<String>>,
    source: Spanned<Read<String>>,
    format: Option<Read<Format>>,
    action: Option<Read<ListAction>>,
}

impl RuleTable {
    pub(super) fn is_about_identifiers(&self) -> bool {
        self.sends.is_some()
    }

    pub(super) fn action(&self) -> Action {
        self.action.0
    }
}

/// What an error is told against.
pub(super) struct Source<'a> {
    pub(super) file: Arc<str>,
    text: &'a str,
}

impl Source<'_> {
    pub(super) fn error(&self, span: Range<usize>, reason: impl Into<String>) -> ConfigError {
        ConfigError::at(self.file.clone(), self.text, span.start, reason)
    }

    fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let reason = error.message().replace('\n', "; ");
        match error.span() {
            Some(span) => self.error(span, reason),
            None => ConfigError::file(self.file.clone(), reason),
        }
    }

    fn line(&self, span: Range<usize>) -> Option<u32> {
        self.error(span, "").line
    }

    fn defaults(&self, table: DefaultTable) -> Defaults {
        let placed = |given: Option<Spanned<Read<Action>>>| {
            given.map(|given| Placed {
                line: self.line(given.span()),
                value: given.into_inner().0,
            })
        };
        Defaults {
            leak: placed(table.leak),
            connection: placed(table.connection),
            leak_shape: placed(table.leak_shape),
            oversize: placed(table.oversize),
            ask_timeout: table.ask_timeout.map(|Read(timeout)| timeout),
            ask_fallback: table.ask_fallback.map(|Read(Fallback(action))| action),
            blocked_name: table.blocked_name.map(|Read(answer)| answer),
        }
    }

    /// Checks a rule; without `proxies`, not whether there is one of the name in `via`.
    fn rule(
        &self,
        number: u32,
        table: Spanned<RuleTable>,
        proxies: Option<&[ProxyEntry]>,
    ) -> Result<RuleEntry, ConfigError> {
        let line = self.line(table.span());
        let rule = table.into_inner();
        let via = match &rule.via {
            Some(via) => self.via(via, &rule, proxies)?,
            None => None,
        };
        Ok(RuleEntry {
            number,
            line,
            answers: None,
            app: rule.app.map(|app| self.app(app)).transpose()?,
            to: rule.to.map(|Read(to)| to),
            ports: rule.port.map(|Read(ports)| ports),
            proto: rule.proto.map(|Read(proto)| proto),
            sends: rule.sends.map(|sends| self.sends(sends)).transpose()?,
            action: rule.action.0,
            via,
        })
    }

    fn app(&self, app: Spanned<Read<String>>) -> Result<Arc<str>, ConfigError> {
        let span = app.span();
        let Read(name) = app.into_inner();
        if name.trim() != name {
            return Err(self.error(span, format!("spaces around the app {name:?}")));
        }
        let Some(uid) = name.strip_prefix("uid:") else {
            return Ok(name.into());
        };
        match uid.parse::<u32>() {
            Ok(uid) => Ok(format!("uid:{uid}").into()),
            Err(_) => Err(self.error(
                span,
                format!("bad uid {uid:?}: expected a number, such as \"uid:10123\""),
            )),
        }
    }

    fn sends(&self, sends: Spanned<Vec<Read<Sent>>>) -> Result<Sends, ConfigError> {
        let span = sends.span();
        let mut kinds = BTreeSet::new();
        let mut all = false;
        for Read(sent) in sends.into_inner() {
            match sent {
                Sent::Any => all = true,
                Sent::Kind(kind) => _ = kinds.insert(kind),
            }
        }
        match (all, kinds.is_empty()) {
            (true, _) => Ok(Sends::All),
            (false, false) => Ok(Sends::Kinds(kinds)),
            (false, true) => {
                let reason = "`sends` names nothing: list kinds, [\"*\"] for all, or leave it out for a rule on the connection";
                Err(self.error(span, reason))
            }
        }
    }

    fn lists(&self, tables: Vec<Spanned<ListTable>>) -> Result<Vec<ListSource>, ConfigError> {
        let mut lists: Vec<ListSource> = Vec::new();
        for table in tables {
            let line = self.line(table.span());
            let list = table.into_inner();
            let name = &list.name.get_ref().0;
            if lists.iter().any(|other| *other.name == **name) {
                return Err(self.error(
                    list.name.span(),
                    format!("a second list named {name:?}: names are told apart in verdicts"),
                ));
            }
            if lists.len() == MOST_LISTS {
                let reason = format!("at most {} lists fit", MOST_LISTS);
                return Err(self.error(list.name.span(), reason));
            }
            let path = &list.source.get_ref().0;
            if path.contains("://") {
                let reason =
                    "lists from the network are not supported yet: download it and give its path";
                return Err(self.error(list.source.span(), reason));
            }
            let at = self.error(list.source.span(), "");
            lists.push(ListSource {
                name: name.as_str().into(),
                path: path.clone(),
                format: list.format.map_or(Format::Auto, |Read(format)| format),
                action: list
                    .action
                    .map_or(Action::Block, |Read(ListAction(action))| action),
                place: Place {
                    file: self.file.clone(),
                    line,
                },
                source: (at.line, at.column),
            });
        }
        Ok(lists)
    }
}

fn read<T: DeserializeOwned>(table: Spanned<DeTable<'_>>) -> Result<T, toml::de::Error> {
    T::deserialize(toml::Deserializer::from(table))
}

/// The sections of a policy.
const POLICY: &[&str] = &["default", "limits", "rule", "list", "proxy"];

/// Refuses the first key, in the order of the file, that means nothing here.
fn check_keys(
    source: &Source<'_>,
    document: &DeTable<'_>,
    sections: &[&str],
) -> Result<(), ConfigError> {
    let first = key_faults(document, sections)
        .into_iter()
        .min_by_key(|(span, _)| span.start);
    match first {
        Some((span, reason)) => Err(source.error(span, reason)),
        None => Ok(()),
    }
}

/// Every key that means nothing here.
fn key_faults(document: &DeTable<'_>, sections: &[&str]) -> Vec<(Range<usize>, String)> {
    let mut faults = Vec::new();
    let what = match sections {
        ["rule"] => "a file of answers, which holds rules alone",
        _ => "the policy",
    };
    check_table(document, what, sections, &[], &mut faults);
    for (section, known, later) in SECTIONS {
        let Some(value) = document.get(*section) else {
            continue;
        };
        let repeated = matches!(*section, "rule" | "list" | "proxy");
        match value.get_ref() {
            DeValue::Table(_) if repeated => {
                let reason = format!("write [[{section}]], in two brackets: there can be many");
                faults.push((value.span(), reason));
            }
            DeValue::Table(table) => {
                check_table(table, &format!("[{section}]"), known, later, &mut faults)
            }
            DeValue::Array(_) if !repeated => {
                faults.push((
                    value.span(),
                    format!("write [{section}], in single brackets: there is one"),
                ));
            }
            DeValue::Array(entries) => {
                for table in entries
                    .iter()
                    .filter_map(|entry| entry.get_ref().as_table())
                {
                    check_table(
                        table,
                        &format!("a [[{section}]]"),
                        known,
                        later,
                        &mut faults,
                    );
                }
            }
            _ => faults.push((
                value.span(),
                format!("`{section}` is a section: write [{section}] on a line of its own"),
            )),
        }
    }
    faults
}

fn check_table(
    table: &DeTable<'_>,
    what: &str,
    known: &[&str],
    later: &[&str],
    faults: &mut Vec<(Range<usize>, String)>,
) {
    for key in table.keys() {
        let name = key.get_ref().as_ref();
        if known.contains(&name) {
            continue;
        }
        let reason = match later.contains(&name) {
            true => format!("`{name}` is not supported yet"),
            false => format!("unknown key `{name}` in {what}: {}", offer(name, known)),
        };
        faults.push((key.span(), reason));
    }
}

/// Section, its keys, and those of the contract that are not built yet.
const SECTIONS: &[(&str, &[&str], &[&str])] = &[
    (
        "default",
        &[
            "leak",
            "connection",
            "ask_timeout",
            "ask_fallback",
            "oversize",
            "leak_shape",
            "blocked_name",
        ],
        &[],
    ),
    (
        "limits",
        &[
            "hold_per_flow",
            "hold_per_app",
            "hold_total",
            "flows",
            "flows_per_app",
            "buffers_total",
        ],
        &[],
    ),
    (
        "rule",
        &["app", "to", "port", "proto", "sends", "action", "via"],
        &["network", "screen", "until"],
    ),
    ("list", &["name", "source", "format", "action"], &[]),
    ("proxy", proxy::KEYS, &[]),
];

mod faults;
#[cfg(test)]
mod tests;
