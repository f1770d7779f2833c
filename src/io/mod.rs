//! The only place with fds, clocks and threads.
use crate::{engine::Config, event::Event, inspect::Rules};
use std::{io, os::fd::OwnedFd};

/// Keeps our own sockets out of the tunnel.
pub trait Protect: Send {
    /// Called on each socket before it is connected or sent from; on an error the socket is closed.
    fn protect(&self, fd: std::os::fd::BorrowedFd<'_>) -> io::Result<()>;
}

/// A running engine: what shells hold.
pub struct Handle {/* … */}

/// How to run.
pub struct Options {
    /// Engine settings.
    pub config: Config,
    /// First policy and identity.
    pub rules: Rules,
    /// How sockets are kept out of the tunnel (`SO_MARK`, `SO_BINDTODEVICE`, VpnService.protect, nothing).
    pub protect: Box<dyn Protect>,
    /// Gets every event, on the engine's thread; must be quick.
    pub events: Box<dyn FnMut(Event) + Send>,
}

impl Handle {
    /// Takes the tun descriptor and starts the engine's thread. Sockets are opened in the calling thread's network namespace.
    pub fn start(_tun: OwnedFd, _options: Options) -> io::Result<Handle> {
        unimplemented!()
    }
    /// Swaps policy and identity between two packets.
    pub fn set_rules(&self, _rules: Rules) {
        unimplemented!()
    }
    /// Ends every flow, emits their `flow` events and the `drop` counts, joins the thread.
    pub fn stop(self) -> io::Result<()> {
        unimplemented!()
    }
}
