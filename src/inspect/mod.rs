//! The one pipeline: sniff → decode → detect → policy, per direction of a flow ([`Stream`]) or for one message ([`Inspector`]).
//!
//! ```text
//! bytes ─► sniff: what is a unit? ─► decode: texts ─► detect: hits ─► Unit: findings ─► policy ─► Step
//!          Message · Records · DNS    Scanner (carry, tail)           told once
//! ```
//! A framed unit (an HTTP message, a datagram) is held whole until it is judged. At the first pause inside it, or where
//! there is no room, it streams like everything unframed: all goes that was judged, except a tail that may yet become a value.
#![forbid(unsafe_code)]

mod datagram;
mod deflated;
#[cfg(test)]
mod framings;
mod inspector;
mod message;
mod mux;
#[cfg(test)]
mod names;
mod opened;
mod parcel;
mod patience;
mod piece;
mod scanner;
mod sources;
mod stream;
mod stretches;
#[cfg(test)]
mod tests;
mod tls;
mod turn;
mod unit;

use std::{sync::Arc, time::Duration};

use crate::{
    decode::Scratch,
    detect::Detector,
    event::{Finding, NameSource, Opaque, Verdict},
    policy::{Facts, Policy},
};

pub use inspector::{Destination, Inspection, Inspector, Request};
pub use sources::Sources;
pub use stream::Stream;

/// What judging stands on; swapped as a whole.
#[derive(Clone)]
pub struct Rules {
    /// What is looked for.
    pub detector: Arc<Detector>,
    /// What is done about it.
    pub policy: Arc<Policy>,
}

/// What a call of [`Stream`] works with.
pub struct Context<'a> {
    /// Policy and identity in force.
    pub rules: &'a Rules,
    /// Read, and extended by the stream with the names it meets (Host).
    pub facts: &'a mut Facts,
    /// Monotonic time.
    pub now: Duration,
    /// How many unreleased bytes the caller can keep for this flow: at this length a unit starts to stream.
    pub room: usize,
    /// Whether somebody can answer: if not, `Ask` becomes the policy's fallback at once.
    pub can_ask: bool,
    /// Buffers to decode into, the same for all streams of a caller.
    pub scratch: &'a mut Scratch,
    /// What was found, for events.
    pub notices: &'a mut Vec<Notice>,
}

/// Something the stream met.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// An identifier, once per unit, value and place.
    Finding {
        /// What and where.
        finding: Finding,
        /// How the unit was judged, with everything found up to then.
        verdict: Verdict,
    },
    /// A name that the flow says its destination has.
    Name {
        /// Lower case, no trailing dot.
        name: Arc<str>,
        /// Which evidence.
        from: NameSource,
    },
    /// From here on, content cannot be read; once per reason and stretch.
    Opaque(Opaque),
    /// This many of the bytes that came could not be read.
    Unread(u64),
}

/// How far a stream may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// How many of the unreleased bytes (from the front) may leave now, whatever the gate says of the rest.
    pub release: usize,
    /// Whether the flow goes on.
    pub gate: Gate,
    /// When to call [`Stream::pause`] if nothing else comes before (monotonic).
    pub wake: Option<Duration>,
}

/// Whether the flow goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    /// What is not released waits for more bytes or for `wake`.
    Open,
    /// Waits for a person: call [`Stream::answer`].
    Ask(Verdict),
    /// The flow ends; nothing unreleased may leave, ever.
    Block(Verdict),
}
