//! Facts → [`Verdict`](crate::event::Verdict): the policy file, its rules and lists.
//!
//! ```text
//! TOML ─► Config ─► Policy ◄─ texts of the lists
//!                     ▲
//!                   Facts ─► connection · name · leak ─► Verdict      explain ─► Explanation
//! ```
#![forbid(unsafe_code)]

mod check;
mod config;
mod document;
mod domain;
mod elsewhere;
mod explain;
mod field;
mod judge;
mod listfile;
mod lists;
#[cfg(test)]
mod model;
mod nearest;
mod nets;
mod proxy;
mod rules;
mod to;

pub use check::{Outline, Surroundings, Warning};
pub use config::{Config, ListSource, PasswordFile, Place};
pub use domain::wire_name;
pub use explain::{Explanation, Reason};
pub use judge::{Facts, Policy};
pub use listfile::{ListReport, RejectedLine};

/// `[limits]`. Bytes and counts, with defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes held of one flow; 256 KiB.
    pub hold_per_flow: usize,
    /// Bytes held of one app's flows; 4 MiB.
    pub hold_per_app: usize,
    /// Bytes held in all; 16 MiB.
    pub hold_total: usize,
    /// Flows at a time; 65,536.
    pub flows: usize,
    /// Flows of one app at a time; 32,768.
    pub flows_per_app: usize,
    /// Bytes of retransmission and send buffers; 64 MiB.
    pub buffers_total: usize,
}

/// What a blocked name is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedName {
    /// NXDOMAIN.
    Nxdomain,
    /// 0.0.0.0 and ::.
    Zero,
}
