//! What one side of a flow sent, judged without a network.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use std::sync::Arc;

use untold::{
    decode::Scratch,
    event::{Action, Event, FindingEvent, FlowEvent, NameSource, Opaque, Proto, Verdict},
    inspect::{Context, Gate, Notice, Rules, Step, Stream},
    policy::Facts,
};

use crate::inspect::Destination;

/// A flow's outbound bytes on their way through the pipeline; no time passes meanwhile.
pub struct Sent<'a> {
    rules: &'a Rules,
    facts: Facts,
    stream: Stream,
    verdict: Verdict,
    opaque: Option<Opaque>,
    opaque_bytes: u64,
    /// Bytes that wait, at most the policy's `hold_per_flow` and one feed.
    held: Vec<u8>,
    released: Vec<u8>,
    /// Bytes released so far, those in `released` included.
    bytes_out: u64,
    notices: Vec<Notice>,
    events: Vec<Event>,
}

impl<'a> Sent<'a> {
    /// A flow that is connected, if the policy lets it.
    pub fn new(rules: &'a Rules, proto: Proto, to: &Destination, app: Option<&str>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let facts = Facts {
            app: app.into_iter().map(Into::into).collect(),
            dst: to.address,
            proto,
            names: to
                .name
                .iter()
                .map(|name| (name.clone(), NameSource::Dns))
                .collect(),
            wall: now.map_or(0, |since| since.as_secs()),
        };
        let mut verdict = rules.policy.connection(&facts);
        if verdict.action == Action::Ask {
            verdict.action = rules.policy.ask_fallback();
        }
        Sent {
            rules,
            facts,
            stream: Stream::new(proto),
            verdict,
            opaque: None,
            opaque_bytes: 0,
            held: Vec::new(),
            released: Vec::new(),
            bytes_out: 0,
            notices: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The next bytes of a stream; false once it is blocked.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        self.held.extend_from_slice(bytes);
        self.step(Stream::feed);
        // What is full would stop here, live, until time passes: so it does.
        while self.is_open() && self.held.len() >= self.room() {
            let before = self.held.len();
            self.step(Stream::pause);
            if self.held.len() == before {
                break;
            }
        }
        self.is_open()
    }

    /// The end of a stream.
    pub fn finish(&mut self) {
        self.step(Stream::finish);
    }

    /// A datagram, whole.
    pub fn datagram(&mut self, payload: &[u8]) {
        self.held.extend_from_slice(payload);
        self.step(Stream::datagram);
    }

    /// Ends the flow: its last event.
    pub fn end(&mut self) {
        let (name, name_from) = self.name().unzip();
        self.events.push(Event::Flow(FlowEvent {
            time: 0.0,
            flow: 1,
            proto: self.facts.proto,
            src: Destination::UNKNOWN.address,
            dst: self.facts.dst,
            app: self.facts.app.first().cloned(),
            name,
            name_from,
            opaque: self.opaque.or(self.stream.opaque()),
            opaque_bytes: self.opaque_bytes,
            bytes_out: self.bytes_out,
            bytes_in: 0,
            verdict: self.verdict.action,
            rule: self.verdict.rule.clone(),
            via: None,
            failure: None,
        }));
    }

    /// Hands over what happened since the last call, and forgets the bytes released.
    pub fn drain(&mut self, mut to: impl FnMut(&Event)) {
        self.events.drain(..).for_each(|event| to(&event));
        self.released.clear();
    }

    /// Bytes released since the last [`Sent::drain`].
    pub fn released(&self) -> &[u8] {
        &self.released
    }

    fn is_open(&self) -> bool {
        self.verdict.action == Action::Allow
    }

    fn room(&self) -> usize {
        self.rules.policy.limits().hold_per_flow
    }

    /// Calls the pipeline once and takes in what it met.
    fn step(&mut self, call: impl FnOnce(&mut Stream, &[u8], &mut Context<'_>) -> Step) {
        if !self.is_open() {
            return;
        }
        let mut cx = Context {
            rules: self.rules,
            facts: &mut self.facts,
            now: Duration::ZERO,
            room: self.rules.policy.limits().hold_per_flow,
            can_ask: false,
            scratch: &mut Scratch::default(),
            notices: &mut self.notices,
        };
        let step = call(&mut self.stream, &self.held, &mut cx);
        let release = step.release.min(self.held.len());
        self.released.extend(self.held.drain(..release));
        self.bytes_out += release as u64;
        for notice in std::mem::take(&mut self.notices) {
            match notice {
                Notice::Finding { finding, verdict } => {
                    let event = FindingEvent {
                        time: 0.0,
                        flow: 1,
                        proto: self.facts.proto,
                        dst: self.facts.dst,
                        app: self.facts.app.first().cloned(),
                        name: self.name().map(|(name, _)| name),
                        finding,
                        verdict: verdict.action,
                        rule: verdict.rule.clone(),
                        approved: verdict.approved,
                    };
                    self.events.push(Event::Finding(event));
                    if verdict.action >= self.verdict.action {
                        self.verdict = verdict;
                    }
                }
                Notice::Name { .. } => {}
                Notice::Opaque(why) => self.opaque = Some(why),
                Notice::Unread(bytes) => self.opaque_bytes += bytes,
            }
        }
        match step.gate {
            Gate::Open => {}
            Gate::Ask(verdict) | Gate::Block(verdict) => self.verdict = verdict,
        }
    }

    /// The name closest to what the app asked for: its own claim, else what the person said.
    fn name(&self) -> Option<(Arc<str>, NameSource)> {
        let claim = self
            .facts
            .names
            .iter()
            .rev()
            .find(|(_, from)| *from != NameSource::Dns);
        claim.or(self.facts.names.first()).cloned()
    }
}
