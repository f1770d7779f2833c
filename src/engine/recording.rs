//! Recordings of a live engine: what its verdicts stood on beside the packets, and the engine run once more on both.

mod rerun;

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Config, MemoryPressure};
use crate::{
    event::{Action, Failure, FlowNumber, Proto, Scope},
    wire::Pair,
};
pub use rerun::Rerun;

/// Something that an engine was told other than by a packet. Serialized as JSON it is the content of a custom block
/// (`docs/recording.md`). Holds no identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// A live engine starts; everything up to the next start is its doing.
    Start(Box<Start>),
    /// What the policy and the identity were; again wherever they change.
    Rules(Basis),
    /// Whose a flow is.
    Owner {
        /// Transport protocol.
        proto: Proto,
        /// The app's end.
        src: SocketAddr,
        /// The remote end.
        dst: SocketAddr,
        /// Names of the owner; empty where it could not be found out.
        app: Vec<Arc<str>>,
    },
    /// What an attempt to connect upstream came to.
    Connect {
        /// The app's end.
        src: SocketAddr,
        /// The remote end, as the app named it.
        dst: SocketAddr,
        /// Why it failed, if it did.
        error: Option<Fault>,
        /// Why a proxy that was reached did not make it, if one did not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proxy: Option<Failure>,
    },
    /// An upstream connection that stood has broken.
    Broken {
        /// The app's end.
        src: SocketAddr,
        /// The remote end, as the app named it.
        dst: SocketAddr,
        /// Why.
        error: Fault,
    },
    /// A person's answer to the question that a flow raised.
    Answer {
        /// The flow that raised the question.
        flow: FlowNumber,
        /// Allow or block.
        verdict: Action,
        /// How far it reaches.
        scope: Scope,
    },
    /// A deadline of the engine's had come.
    Tick,
    /// The wall clock no longer runs along with the packets' clock.
    Clock {
        /// Seconds since the Unix epoch.
        wall: u64,
    },
    /// The machine was short of memory, or no longer.
    Memory {
        /// How short.
        pressure: MemoryPressure,
    },
    /// The machine is on another network.
    Network {
        /// How many resolvers there are to ask.
        resolvers: usize,
    },
    /// The engine was told to end every flow.
    Stop,
}

/// What a live engine was made with, but for its seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Version of untold that wrote the recording.
    pub version: String,
    /// The packets' clock when the engine's stood at zero, since the Unix epoch.
    pub began: Duration,
    /// Largest packet of the device, bytes.
    pub mtu: usize,
    /// Packets that the device queues.
    pub queue: usize,
    /// Addresses at which DNS was answered inside the tunnel.
    pub dns: Vec<IpAddr>,
    /// How many resolvers there were to ask.
    pub resolvers: usize,
    /// Whether somebody answered questions.
    pub can_ask: bool,
    /// How many sockets could be open at a time, where that was limited.
    #[serde(default)]
    pub sockets: Option<usize>,
    /// Whether the device passed long segments.
    #[serde(default)]
    pub offload: bool,
}

impl Start {
    /// What `config` comes to in a recording.
    pub fn new(config: &Config, began: Duration) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            began,
            mtu: config.mtu,
            queue: config.queue,
            dns: config.dns.clone(),
            resolvers: config.resolvers.len(),
            can_ask: config.can_ask,
            sockets: None,
            offload: false,
        }
    }
}

/// Tells one policy and identity from another without telling them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// SHA-256 over the policy file and its lists, in hex; none where the shell does not say.
    pub policy: Option<String>,
    /// How many values were registered, by kind.
    pub identity: BTreeMap<String, usize>,
}

/// Why a connection failed or broke, as far as it bears on anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nobody listens.
    Refused,
    /// The remote end reset it.
    Reset,
    /// No route to the network.
    NetworkUnreachable,
    /// No route to the host.
    HostUnreachable,
    /// Nobody answered.
    TimedOut,
    /// The machine forbids it.
    PermissionDenied,
    /// Anything else.
    #[serde(other)]
    Other,
}

impl From<ErrorKind> for Fault {
    fn from(kind: ErrorKind) -> Fault {
        let known = FAULTS.iter().find(|(_, known)| *known == kind);
        known.map_or(Fault::Other, |(fault, _)| *fault)
    }
}

impl From<Fault> for ErrorKind {
    fn from(fault: Fault) -> ErrorKind {
        let known = FAULTS.iter().find(|(known, _)| *known == fault);
        known.map_or(ErrorKind::Other, |(_, kind)| *kind)
    }
}

const FAULTS: [(Fault, ErrorKind); 6] = [
    (Fault::Refused, ErrorKind::ConnectionRefused),
    (Fault::Reset, ErrorKind::ConnectionReset),
    (Fault::NetworkUnreachable, ErrorKind::NetworkUnreachable),
    (Fault::HostUnreachable, ErrorKind::HostUnreachable),
    (Fault::TimedOut, ErrorKind::TimedOut),
    (Fault::PermissionDenied, ErrorKind::PermissionDenied),
];

impl Note {
    /// Whose the flow between the ends of `pair` is.
    pub fn owner(proto: Proto, Pair { src, dst }: Pair, app: Vec<Arc<str>>) -> Self {
        Note::Owner {
            proto,
            src,
            dst,
            app,
        }
    }

    /// How connecting went for the app's connection `pair`.
    pub fn connect(Pair { src, dst }: Pair, error: Option<ErrorKind>) -> Self {
        Note::Connect {
            src,
            dst,
            error: error.map(Fault::from),
            proxy: None,
        }
    }

    /// The proxy did not open the way of the app's connection `pair`.
    pub fn proxy_failed(Pair { src, dst }: Pair, failure: Failure) -> Self {
        Note::Connect {
            src,
            dst,
            error: Some(failure.as_error().into()),
            proxy: Some(failure),
        }
    }

    /// The upstream half of the app's connection `pair` broke.
    pub fn broken(Pair { src, dst }: Pair, error: ErrorKind) -> Self {
        Note::Broken {
            src,
            dst,
            error: error.into(),
        }
    }
}
