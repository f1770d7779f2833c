//! The one pipeline: sniff → decode → detect → policy, per direction of a flow ([`Stream`]) or for one message ([`Inspector`]).
#![forbid(unsafe_code)]
use crate::{
    detect::Detector,
    event::{Action, Finding, NameSource, Opaque, Proto, Verdict},
    policy::{Facts, Policy},
};
use std::{sync::Arc, time::Duration};

/// What judging stands on; swapped as a whole.
#[derive(Clone)]
pub struct Rules {
    pub detector: Arc<Detector>,
    pub policy: Arc<Policy>,
}

/// What a call of [`Stream`] works with.
pub struct Context<'a> {
    pub rules: &'a Rules,
    /// Read, and extended by the stream with the names it meets (Host).
    pub facts: &'a mut Facts,
    /// Monotonic time.
    pub now: Duration,
    /// How many unreleased bytes the caller can keep for this flow: at this length a unit starts to stream.
    pub room: usize,
    /// Whether somebody can answer: if not, `Ask` becomes the policy's fallback at once.
    pub can_ask: bool,
    /// What was found, for events.
    pub notices: &'a mut Vec<Notice>,
}

/// Something the stream met.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    Finding { finding: Finding, verdict: Verdict },
    Name { name: Arc<str>, from: NameSource },
    Opaque(Opaque),
}

/// How far a stream may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// How many of the unreleased bytes (from the front) may leave now.
    pub release: usize,
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

/// Inspection of the outbound direction of one flow.
pub struct Stream {/* … */}

impl Stream {
    pub fn new(_proto: Proto) -> Self {
        unimplemented!()
    }
    /// `unreleased` is every accepted byte that has not been released, contiguous, in order, from the first one on. Only
    /// those past what earlier calls saw are new. Called with the bytes in place in their slot when nothing is held.
    pub fn feed(&mut self, _unreleased: &[u8], _cx: &mut Context<'_>) -> Step {
        unimplemented!()
    }
    /// A datagram, whole; `unreleased` of a datagram flow is always one datagram. State carries over between datagrams.
    pub fn datagram(&mut self, _payload: &[u8], _cx: &mut Context<'_>) -> Step {
        unimplemented!()
    }
    /// `wake` has come: nothing arrived for a while.
    pub fn pause(&mut self, _unreleased: &[u8], _cx: &mut Context<'_>) -> Step {
        unimplemented!()
    }
    /// The sender closed its half: no further bytes.
    pub fn finish(&mut self, _unreleased: &[u8], _cx: &mut Context<'_>) -> Step {
        unimplemented!()
    }
    /// A person (or the timeout) answered the question of the last step.
    pub fn answer(&mut self, _answer: Action, _unreleased: &[u8], _cx: &mut Context<'_>) -> Step {
        unimplemented!()
    }
    pub fn opaque(&self) -> Option<Opaque> {
        unimplemented!()
    }
}
