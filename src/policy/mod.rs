//! Facts → [`Verdict`].
#![forbid(unsafe_code)]
use crate::{
    ConfigError,
    event::{Action, Confidence, Kind, NameSource, Proto, Verdict},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// A policy file, read and checked, its lists not yet loaded.
pub struct Config {/* serde types in config.rs */}
impl Config {
    /// The policy in force where nobody gave a file: section 5's defaults, no rules.
    pub fn default_policy() -> Config {
        unimplemented!()
    }
    pub fn parse(_file: &str, _text: &str) -> Result<Config, ConfigError> {
        unimplemented!()
    }
    /// Local list files, in order: the shell reads them (paths relative to the policy file's folder are the shell's business).
    pub fn lists(&self) -> &[ListSource] {
        unimplemented!()
    }
    pub fn limits(&self) -> Limits {
        unimplemented!()
    }
}
/// A `[[list]]` whose text the shell has to read. On a read failure the shell makes an error with [`ListSource::error`] (file:line:column of `source`).
pub struct ListSource {
    pub name: Arc<str>,
    pub path: String, /* … */
}

/// `[limits]`. Bytes and counts, with defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// 256 KiB
    pub hold_per_flow: usize,
    /// 4 MiB
    pub hold_per_app: usize,
    /// 16 MiB
    pub hold_total: usize,
    /// 65,536
    pub flows: usize,
    /// 64 MiB: retransmission and send buffers
    pub buffers_total: usize,
}

/// Compiled rules and lists. Immutable: share it in an `Arc`.
pub struct Policy {/* … */}

/// What is known of a flow when it is judged.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Package names or executable, `uid:N`, `system`; empty where unknown: an app rule then never matches.
    pub app: Vec<Arc<str>>,
    pub dst: SocketAddr,
    pub proto: Proto,
    /// Every name the destination claims: DNS (whole CNAME chain), SNI, HTTP Host. Lower case, no trailing dot.
    pub names: Vec<(Arc<str>, NameSource)>,
    /// Wall clock, seconds since the epoch, for `until`.
    pub wall: u64,
}

impl Policy {
    /// `lists` are the texts of [`Config::lists`], in that order.
    pub fn new(_config: Config, _lists: Vec<Vec<u8>>) -> Result<Policy, ConfigError> {
        unimplemented!()
    }
    /// Judges a connection (or a datagram flow) on everything but its content.
    pub fn connection(&self, _facts: &Facts) -> Verdict {
        unimplemented!()
    }
    /// Judges a name that is asked of the resolver, before there is an address.
    pub fn name(&self, _app: &[Arc<str>], _name: &str, _wall: u64) -> Verdict {
        unimplemented!()
    }
    /// Judges identifiers on their way to `facts`: the strictest over all of them.
    pub fn leak(&self, _facts: &Facts, _found: &[(Kind, Confidence)]) -> Verdict {
        unimplemented!()
    }
    /// Decoding budget spent.
    pub fn oversize(&self) -> Verdict {
        unimplemented!()
    }
    pub fn ask_timeout(&self) -> Duration {
        unimplemented!()
    }
    /// What a question becomes without an answer: never `Ask`.
    pub fn ask_fallback(&self) -> Action {
        unimplemented!()
    }
    pub fn blocked_name(&self) -> BlockedName {
        unimplemented!()
    }
    /// Whether any rule needs the owner of a flow.
    pub fn wants_owner(&self) -> bool {
        unimplemented!()
    }
    pub fn limits(&self) -> &Limits {
        unimplemented!()
    }
}
/// What a blocked name is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedName {
    /// NXDOMAIN
    Nxdomain,
    /// 0.0.0.0 and ::
    Zero,
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
