//! What a policy file says, checked.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use super::{
    BlockedName, Limits, document,
    field::{Format, Ports},
    to::To,
};
use crate::{
    ConfigError,
    egress::{Login, Protocol, Proxy},
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
    pub(super) proxies: Vec<ProxyEntry>,
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
            proxies: Vec::new(),
        }
    }

    /// Reads and checks a policy; `file` is its name in errors and explanations.
    pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
        document::parse(file, text)
    }

    /// Returns every fault of a file, in its order, where [`Config::parse`] gives the first alone; empty for a sound one.
    pub fn faults(file: &str, text: &str) -> Vec<ConfigError> {
        document::faults(file, text)
    }

    /// Adds the rules of a file of answers, on a par with the policy's own; verdicts call them `answer.N`.
    ///
    /// # Errors
    /// Where the text is no policy, or holds anything but rules.
    pub fn with_answers(mut self, file: &str, text: &str) -> Result<Config, ConfigError> {
        let answers = document::parse_answers(file, text)?;
        self.rules
            .extend(answers.rules.into_iter().map(|rule| RuleEntry {
                answers: Some(answers.file.clone()),
                ..rule
            }));
        Ok(self)
    }

    /// Returns how many rules there are, those of answers included.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Returns the lists whose text the shell has to read, in order; a relative path is relative to the policy file.
    pub fn lists(&self) -> &[ListSource] {
        &self.lists
    }

    /// Returns the proxies whose password stands in a file of its own, for the shell to read, in order; a relative path is
    /// relative to the policy file.
    pub fn password_files(&self) -> impl Iterator<Item = &PasswordFile> {
        self.proxies.iter().filter_map(|entry| match &entry.login {
            Some((_, Password::InFile(file))) => Some(file),
            Some((_, Password::Given(_))) | None => None,
        })
    }

    /// Gives the text of each of [`Config::password_files`], in that order; an end of line at a text's end is none of it.
    ///
    /// # Errors
    /// At the `password_file` whose text is no password.
    pub fn with_passwords(mut self, texts: &[String]) -> Result<Config, ConfigError> {
        let mut texts = texts.iter();
        for entry in &mut self.proxies {
            if let Some((user, Password::InFile(file))) = &entry.login {
                let Some(text) = texts.next() else { break };
                let text = text.strip_suffix('\n').unwrap_or(text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                let login = Login::new(user, text).map_err(|reason| file.error(reason))?;
                entry.login = Some((user.clone(), Password::Given(login)));
            }
        }
        for rule in &mut self.rules {
            if let Some(via) = &mut rule.via
                && let Some(entry) = self.proxies.iter().find(|entry| entry.name == via.name)
            {
                *via = entry.proxy();
            }
        }
        Ok(self)
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
    /// Line and column of `source`.
    pub(super) source: (Option<u32>, Option<u32>),
}

impl ListSource {
    /// Makes an error at this list's `source`, for one that cannot be read or used.
    pub fn error(&self, reason: impl Into<String>) -> ConfigError {
        let (line, column) = self.source;
        ConfigError {
            line,
            column,
            ..ConfigError::file(self.place.file.clone(), reason)
        }
    }
}

/// A `[[proxy]]`.
#[derive(Clone, Debug)]
pub(super) struct ProxyEntry {
    pub(super) name: Arc<str>,
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
    pub(super) login: Option<(Arc<str>, Password)>,
}

/// Where a password is.
#[derive(Clone, Debug)]
pub(super) enum Password {
    Given(Login),
    InFile(PasswordFile),
}

/// The file that a proxy's password stands in, for the shell to read.
#[derive(Clone, Debug)]
pub struct PasswordFile {
    /// Where it is.
    pub path: String,
    pub(super) file: Arc<str>,
    /// Line and column of `password_file`.
    pub(super) place: (Option<u32>, Option<u32>),
}

impl PasswordFile {
    /// Makes an error at this `password_file`, for one that cannot be read or used.
    pub fn error(&self, reason: impl Into<String>) -> ConfigError {
        let (line, column) = self.place;
        ConfigError {
            line,
            column,
            ..ConfigError::file(self.file.clone(), reason)
        }
    }
}

impl ProxyEntry {
    /// The proxy, without a login while that is still in a file.
    pub(super) fn proxy(&self) -> Arc<Proxy> {
        let login = match &self.login {
            Some((_, Password::Given(login))) => Some(login.clone()),
            Some((_, Password::InFile(_))) | None => None,
        };
        Arc::new(Proxy {
            name: self.name.clone(),
            protocol: self.protocol,
            address: self.address,
            login,
        })
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
    /// The file of answers that it stands in, where it does not stand in the policy itself.
    pub(super) answers: Option<Arc<str>>,
    pub(super) app: Option<Arc<str>>,
    pub(super) to: Option<To>,
    pub(super) ports: Option<Ports>,
    pub(super) proto: Option<Proto>,
    pub(super) sends: Option<Sends>,
    pub(super) action: Action,
    /// The proxy that its connections go through.
    pub(super) via: Option<Arc<Proxy>>,
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
            flows_per_app: 32_768,
            buffers_total: 64 << 20,
        }
    }
}
