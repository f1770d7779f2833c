//! One flow of a capture: its outbound bytes on their way through inspection.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{Answer, Names, Now, Record, dns::question, lookups::Lookups};
use crate::{
    decode::Scratch,
    event::{Action, Event, FlowNumber, NameEvent, NameSource, Proto, Verdict},
    inspect::{Context, Gate, Notice, Rules, Step, Stream},
    policy::Limits,
    wire::Pair,
};

/// What all flows of a capture share.
pub(super) struct Shared {
    pub(super) rules: Rules,
    pub(super) limits: Limits,
    pub(super) app: Vec<Arc<str>>,
    pub(super) names: Names,
    /// `mono` counts from the first packet.
    pub(super) now: Now,
    pub(super) events: VecDeque<Event>,
    pub(super) drops: BTreeMap<&'static str, u64>,
    /// Bytes that inspection holds, over all flows.
    held: usize,
    notices: Vec<Notice>,
    scratch: Scratch,
}

impl Shared {
    pub(super) fn new(rules: Rules, app: Option<Arc<str>>, seed: u64) -> Self {
        Self {
            limits: *rules.policy.limits(),
            rules,
            app: app.into_iter().collect(),
            names: Names::new(seed),
            now: Now::default(),
            events: VecDeque::new(),
            drops: BTreeMap::new(),
            held: 0,
            notices: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    pub(super) fn count(&mut self, reason: &'static str, n: u64) {
        if n > 0 {
            *self.drops.entry(reason).or_default() += n;
        }
    }

    /// What is done where the policy would ask: nobody can be asked about the past.
    fn without_asking(&self, verdict: Verdict) -> Verdict {
        match verdict.action {
            Action::Ask => Verdict {
                action: self.rules.policy.ask_fallback(),
                ..verdict
            },
            Action::Allow | Action::Block => verdict,
        }
    }
}

/// A flow from its first packet to its event.
pub(super) struct Watch {
    pub(super) record: Record,
    stream: Option<Box<Stream>>,
    /// Seen and not released.
    held: Vec<u8>,
    /// When the stream wants to be asked again, counted from the first packet.
    pub(super) wake: Option<Duration>,
    /// Whether its event is out: nothing more counts.
    pub(super) ended: bool,
    /// Set where names are asked for.
    lookups: Option<Lookups>,
}

impl Watch {
    /// Judges a flow at its first packet.
    pub(super) fn new(number: FlowNumber, pair: Pair, proto: Proto, shared: &mut Shared) -> Self {
        let mut record = Record::new(number, pair, proto, &shared.names, shared.now);
        record.facts.app.clone_from(&shared.app);
        record.verdict = shared.without_asking(shared.rules.policy.connection(&record.facts));
        let blocked = record.verdict.action != Action::Allow;
        let mut watch = Self {
            record,
            stream: None,
            held: Vec::new(),
            wake: None,
            ended: false,
            lookups: (proto != Proto::Icmp && pair.dst.port() == DNS).then(Lookups::default),
        };
        if blocked {
            watch.end(shared);
        }
        watch
    }

    /// Whether what the server says is read, not only counted.
    pub(super) fn reads_answers(&self) -> bool {
        self.lookups.is_some()
    }

    /// The app's next bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8], shared: &mut Shared) {
        if self.ended {
            return;
        }
        self.ask_names(bytes, shared);
        if self.held.is_empty() {
            let step = self.consult(bytes, 0, shared, |stream, bytes, cx| stream.feed(bytes, cx));
            let released = step.release.min(bytes.len());
            self.hold(bytes.get(released..).unwrap_or_default(), shared);
            self.take(Step { release: 0, ..step }, released, shared);
        } else {
            self.hold(bytes, shared);
            self.reconsider(shared, |stream, held, cx| stream.feed(held, cx));
        }
    }

    /// The app's next datagram.
    pub(super) fn datagram(&mut self, payload: &[u8], shared: &mut Shared) {
        if self.ended {
            return;
        }
        if let Some((name, _)) = self.lookups.as_mut().and_then(|_| question(payload)) {
            self.asked(name, payload, shared);
        }
        let step = self.consult(payload, 0, shared, |stream, bytes, cx| {
            stream.datagram(bytes, cx)
        });
        match step.gate {
            Gate::Open => self.take(Step { release: 0, ..step }, payload.len(), shared),
            // An app asks all its names from one port: each question stands for itself.
            Gate::Ask(verdict) | Gate::Block(verdict) if self.lookups.is_some() => {
                self.record.verdict = blocked(verdict);
            }
            Gate::Ask(_) | Gate::Block(_) => self.take(step, 0, shared),
        }
    }

    /// What the remote end sent, where [`Watch::reads_answers`].
    pub(super) fn answer(&mut self, bytes: &[u8], shared: &mut Shared) {
        let Some(lookups) = &mut self.lookups else {
            return;
        };
        for message in lookups.inbound.messages(self.record.facts.proto, bytes) {
            let Some(answer) = Answer::parse(&message) else {
                continue;
            };
            let Some(name) = answer.chain.first().cloned() else {
                continue;
            };
            let id = message.first_chunk().copied().unwrap_or_default();
            if !lookups.is_answer(id, &name) {
                shared.count("dns_reply", 1);
                continue;
            }
            shared.names.learn(&answer);
            let verdict = shared
                .rules
                .policy
                .name(&self.record.facts.app, &name, shared.now.wall);
            let verdict = shared.without_asking(verdict);
            if verdict.action == Action::Allow || !lookups.heard {
                name_event(name, answer.addresses, verdict, shared);
            }
        }
    }

    /// Nothing came until `wake`.
    pub(super) fn pause(&mut self, shared: &mut Shared) {
        self.wake = None;
        if self.stream.is_some() {
            self.reconsider(shared, |stream, held, cx| stream.pause(held, cx));
        }
    }

    /// Bytes are missing in one direction.
    pub(super) fn gap(&mut self, outbound: bool, shared: &mut Shared) {
        if self.ended {
            return;
        }
        shared.count("gap", 1);
        if let Some(lookups) = &mut self.lookups {
            match outbound {
                true => lookups.outbound.lose(),
                false => lookups.inbound.lose(),
            }
        }
        if outbound {
            self.finish(shared);
        }
    }

    /// The app sends no more, or what it sends next does not follow what it sent before.
    pub(super) fn finish(&mut self, shared: &mut Shared) {
        if self.stream.is_some() && self.record.facts.proto == Proto::Tcp {
            self.reconsider(shared, |stream, held, cx| stream.finish(held, cx));
            self.release(self.held.len(), shared);
        }
        self.stream = None;
        self.wake = None;
    }

    /// The flow is over: finishes, and tells its event.
    pub(super) fn end(&mut self, shared: &mut Shared) {
        if !self.ended {
            self.finish(shared);
            self.over(shared);
        }
    }

    fn over(&mut self, shared: &mut Shared) {
        if !std::mem::replace(&mut self.ended, true) {
            shared
                .events
                .push_back(self.record.flow_event(shared.now.mono));
        }
        shared.held -= self.held.len();
        self.held = Vec::new();
        self.stream = None;
        self.wake = None;
        self.lookups = None;
    }

    fn reconsider(
        &mut self,
        shared: &mut Shared,
        ask: impl FnOnce(&mut Stream, &[u8], &mut Context<'_>) -> Step,
    ) {
        let held = std::mem::take(&mut self.held);
        let step = self.consult(&held, held.len(), shared, ask);
        self.held = held;
        self.take(step, 0, shared);
    }

    /// Asks the stream; `own` of the bytes that inspection holds are this flow's.
    fn consult(
        &mut self,
        bytes: &[u8],
        own: usize,
        shared: &mut Shared,
        ask: impl FnOnce(&mut Stream, &[u8], &mut Context<'_>) -> Step,
    ) -> Step {
        let proto = self.record.facts.proto;
        let stream = self
            .stream
            .get_or_insert_with(|| Box::new(Stream::new(proto)));
        let others = shared.held.saturating_sub(own);
        let free = shared.limits.hold_total.saturating_sub(others);
        let mut cx = Context {
            rules: &shared.rules,
            facts: &mut self.record.facts,
            now: shared.now.mono,
            room: shared.limits.hold_per_flow.min(free),
            can_ask: false,
            scratch: &mut shared.scratch,
            notices: &mut shared.notices,
        };
        let step = ask(stream, bytes, &mut cx);
        let notices = shared.notices.drain(..);
        let events = notices.filter_map(|notice| self.record.notice(notice, shared.now.mono));
        shared.events.extend(events);
        step
    }

    /// Acts on what the stream said; `released` bytes have left without being held.
    fn take(&mut self, step: Step, released: usize, shared: &mut Shared) {
        self.record.bytes_out += released as u64;
        self.release(step.release, shared);
        self.wake = step.wake;
        match step.gate {
            Gate::Open => {}
            Gate::Ask(verdict) | Gate::Block(verdict) => {
                self.record.verdict = blocked(verdict);
                self.over(shared);
            }
        }
    }

    fn hold(&mut self, bytes: &[u8], shared: &mut Shared) {
        self.held.extend_from_slice(bytes);
        shared.held += bytes.len();
    }

    fn release(&mut self, n: usize, shared: &mut Shared) {
        let n = n.min(self.held.len());
        self.record.bytes_out += n as u64;
        shared.held -= n;
        if n == self.held.len() {
            self.held = Vec::new();
        } else {
            self.held.drain(..n);
        }
    }

    fn ask_names(&mut self, bytes: &[u8], shared: &mut Shared) {
        let Some(lookups) = &mut self.lookups else {
            return;
        };
        for message in lookups.outbound.messages(Proto::Tcp, bytes) {
            if let Some((name, _)) = question(&message) {
                self.asked(name, &message, shared);
            }
        }
    }

    /// A question: its name is the destination's too, and a blocked one is told.
    fn asked(&mut self, name: Arc<str>, message: &[u8], shared: &mut Shared) {
        let facts = &mut self.record.facts;
        if !facts.names.iter().any(|(known, _)| *known == name) && facts.names.len() < MOST_NAMES {
            facts.names.push((name.clone(), NameSource::Dns));
        }
        let verdict = shared.rules.policy.name(&facts.app, &name, shared.now.wall);
        let verdict = shared.without_asking(verdict);
        if let Some(lookups) = &mut self.lookups {
            lookups.ask(
                message.first_chunk().copied().unwrap_or_default(),
                name.clone(),
            );
        }
        if verdict.action == Action::Block {
            self.record.verdict = verdict.clone();
            name_event(name, Vec::new(), verdict, shared);
        }
    }
}

fn blocked(verdict: Verdict) -> Verdict {
    Verdict {
        action: Action::Block,
        ..verdict
    }
}

fn name_event(
    name: Arc<str>,
    addresses: Vec<std::net::IpAddr>,
    verdict: Verdict,
    shared: &mut Shared,
) {
    shared.events.push_back(Event::Name(NameEvent {
        time: shared.now.mono.as_secs_f64(),
        name,
        addresses,
        verdict: verdict.action,
        rule: verdict.rule,
    }));
}

/// Port of DNS, over UDP and TCP.
pub(super) const DNS: u16 = 53;

/// Names that one flow to a resolver is remembered by.
const MOST_NAMES: usize = 64;
