//! The only conductor: inputs in, polls out (design section 2). Being written on branch main.
#![forbid(unsafe_code)]
mod names;
mod record;

pub(crate) use names::{Answer, Names};
pub(crate) use record::Record;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The two clocks, given by the shell.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic, from any origin: timers.
    pub mono: Duration,
    /// Seconds since the Unix epoch: `until =`.
    pub wall: u64,
}

/// What an engine is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Randomness from the shell: initial sequence numbers, DNS ids, hash tables.
    pub seed: u64,
    /// Largest packet the device takes.
    pub mtu: usize,
    /// Packets the device queues towards us (`txqueuelen`).
    pub queue: usize,
    /// Addresses, inside the tunnel, at which DNS is answered.
    pub dns: Vec<IpAddr>,
    /// Where those questions go.
    pub resolvers: Vec<SocketAddr>,
    /// Whether somebody answers questions.
    pub can_ask: bool,
}
