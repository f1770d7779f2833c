//! The policy file: TOML → [`Config`].

use std::{collections::BTreeSet, ops::Range, sync::Arc, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    BlockedName, Limits,
    field::{Bytes, Count, Fallback, Format, ListAction, Ports, Read, Sent},
    nearest::offer,
    to::To,
};
use crate::{
    ConfigError,
    event::{Action, Kind, Proto},
};

/// A policy file, read and checked, its lists not yet loaded.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) file: Arc<str>,
    pub(super) defaults: Defaults,
    pub(super) limits: Limits,
    pub(super) rules: Vec<RuleEntry>,
    pub(super) lists: Vec<ListSource>,
}

impl Config {
    /// Returns the policy in force where nobody gave a file: every default, no rules, no lists.
    pub fn default_policy() -> Config {
        Config {
            file: "built-in policy".into(),
            defaults: Defaults::default(),
            limits: Limits::default(),
            rules: Vec::new(),
            lists: Vec::new(),
        }
    }

    /// Reads and checks a policy; `file` is its name in errors and explanations.
    pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
        let source = Source {
            file: file.into(),
            text,
        };
        let table = DeTable::parse(text).map_err(|error| source.toml_error(&error))?;
        check_keys(&source, table.get_ref())?;
        let document: Document = read(table).map_err(|error| source.toml_error(&error))?;
        let rules = (1..)
            .zip(document.rule)
            .map(|(number, rule)| source.rule(number, rule))
            .collect::<Result<_, _>>()?;
        let lists = source.lists(document.list)?;
        Ok(Config {
            defaults: source.defaults(document.default),
            limits: document.limits.resolve(),
            rules,
            lists,
            file: source.file,
        })
    }

    /// Returns the lists whose text the shell has to read, in order; a relative path is relative to the policy file.
    pub fn lists(&self) -> &[ListSource] {
        &self.lists
    }

    /// Returns `[limits]`, defaults filled in.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

/// A `[[list]]`, for the shell to read.
#[derive(Clone, Debug)]
pub struct ListSource {
    /// Its name, as in the verdict `list.NAME`.
    pub name: Arc<str>,
    /// Where its text is.
    pub path: String,
    pub(super) format: Format,
    pub(super) action: Action,
    pub(super) place: Place,
    column: Option<u32>,
}

impl ListSource {
    /// Makes an error at this list's `source`, for one that cannot be read or used.
    pub fn error(&self, reason: impl Into<String>) -> ConfigError {
        ConfigError {
            column: self.column,
            line: self.place.line,
            ..ConfigError::file(self.place.file.clone(), reason)
        }
    }
}

/// Where in a policy file something stands; no line for what is built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// File name as given.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: Option<u32>,
}

/// `[default]`, each value with its line where the file gives it.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub(super) leak: Option<Placed<Action>>,
    pub(super) connection: Option<Placed<Action>>,
    pub(super) leak_shape: Option<Placed<Action>>,
    pub(super) oversize: Option<Placed<Action>>,
    pub(super) ask_timeout: Option<Duration>,
    pub(super) ask_fallback: Option<Action>,
    pub(super) blocked_name: Option<BlockedName>,
}

/// A value and its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) line: Option<u32>,
}

/// A checked `[[rule]]`.
#[derive(Clone, Debug)]
pub(super) struct RuleEntry {
    /// From 1, in the order of the file.
    pub(super) number: u32,
    pub(super) line: Option<u32>,
    pub(super) app: Option<Arc<str>>,
    pub(super) to: Option<To>,
    pub(super) ports: Option<Ports>,
    pub(super) proto: Option<Proto>,
    pub(super) sends: Option<Sends>,
    pub(super) action: Action,
}

/// The identifiers that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sends {
    /// `["*"]`
    All,
    /// These kinds.
    Kinds(BTreeSet<Kind>),
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            hold_per_flow: 256 << 10,
            hold_per_app: 4 << 20,
            hold_total: 16 << 20,
            flows: 65_536,
            buffers_total: 64 << 20,
        }
    }
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
    list: Vec<ListTable>,
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
    buffers_total: Option<Read<Bytes>>,
}

impl LimitsTable {
    fn resolve(self) -> Limits {
        let bytes =
            |given: Option<Read<Bytes>>, default| given.map_or(default, |Read(Bytes(bytes))| bytes);
        let default = Limits::default();
        Limits {
            hold_per_flow: bytes(self.hold_per_flow, default.hold_per_flow),
            hold_per_app: bytes(self.hold_per_app, default.hold_per_app),
            hold_total: bytes(self.hold_total, default.hold_total),
            flows: self.flows.map_or(default.flows, |Read(Count(count))| count),
            buffers_total: bytes(self.buffers_total, default.buffers_total),
        }
    }
}

#[derive(Deserialize)]
struct RuleTable {
    app: Option<Spanned<Read<String>>>,
    to: Option<Read<To>>,
    port: Option<Read<Ports>>,
    proto: Option<Read<Proto>>,
    sends: Option<Spanned<Vec<Read<Sent>>>>,
    action: Read<Action>,
}

#[derive(Deserialize)]
struct ListTable {
    name: Spanned<Read<String>>,
    source: Spanned<Read<String>>,
    format: Option<Read<Format>>,
    action: Option<Read<ListAction>>,
}

/// What an error is told against.
struct Source<'a> {
    file: Arc<str>,
    text: &'a str,
}

impl Source<'_> {
    fn error(&self, span: Range<usize>, reason: impl Into<String>) -> ConfigError {
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

    fn rule(&self, number: u32, table: Spanned<RuleTable>) -> Result<RuleEntry, ConfigError> {
        let line = self.line(table.span());
        let rule = table.into_inner();
        Ok(RuleEntry {
            number,
            line,
            app: rule.app.map(|app| self.app(app)).transpose()?,
            to: rule.to.map(|Read(to)| to),
            ports: rule.port.map(|Read(ports)| ports),
            proto: rule.proto.map(|Read(proto)| proto),
            sends: rule.sends.map(|sends| self.sends(sends)).transpose()?,
            action: rule.action.0,
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

    fn lists(&self, tables: Vec<ListTable>) -> Result<Vec<ListSource>, ConfigError> {
        let mut lists: Vec<ListSource> = Vec::new();
        for list in tables {
            let name = &list.name.get_ref().0;
            if lists.iter().any(|other| *other.name == **name) {
                return Err(self.error(
                    list.name.span(),
                    format!("a second list named {name:?}: names are told apart in verdicts"),
                ));
            }
            if lists.len() == super::lists::MOST_LISTS {
                let reason = format!("at most {} lists fit", super::lists::MOST_LISTS);
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
                    line: at.line,
                },
                column: at.column,
            });
        }
        Ok(lists)
    }
}

fn read<T: DeserializeOwned>(table: Spanned<DeTable<'_>>) -> Result<T, toml::de::Error> {
    T::deserialize(toml::Deserializer::from(table))
}

/// Refuses the first key, in the order of the file, that means nothing here.
fn check_keys(source: &Source<'_>, document: &DeTable<'_>) -> Result<(), ConfigError> {
    let mut faults = Vec::new();
    check_table(
        document,
        "the policy",
        &["default", "limits", "rule", "list"],
        &[],
        &mut faults,
    );
    for (section, known, later) in SECTIONS {
        let Some(value) = document.get(*section) else {
            continue;
        };
        let repeated = matches!(*section, "rule" | "list");
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
    match faults.into_iter().min_by_key(|(span, _)| span.start) {
        Some((span, reason)) => Err(source.error(span, reason)),
        None => Ok(()),
    }
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
            "buffers_total",
        ],
        &[],
    ),
    (
        "rule",
        &["app", "to", "port", "proto", "sends", "action"],
        &["network", "screen", "until"],
    ),
    ("list", &["name", "source", "format", "action"], &[]),
];

#[cfg(test)]
mod tests {
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
        let placed = |placed: Option<Placed<Action>>| {
            placed.map(|placed| (placed.value, placed.line.unwrap()))
        };
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
            [(1, Some(16), first.into()), (2, Some(23), second.into())]
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
            "p.toml:34:22: cannot be read"
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
                "2:1: unknown key `hold` in [limits]: expected one of hold_per_flow, hold_per_app, hold_total, flows, buffers_total",
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
}
