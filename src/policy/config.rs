//! What a policy file says, checked.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    BlockedName, Limits, document,
    field::{Format, Ports},
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
