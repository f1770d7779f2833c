//! Conducts UDP and ICMP echo: one socket per port of the app (endpoint-independent mapping, RFC 4787), one flow per peer.

mod admission;
mod mapping;

use std::{
    collections::{HashMap, VecDeque},
    io::IoSlice,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use super::{
    Engine, Outgoing, Record, Seeded, SocketId, TimerKey, Wait,
    slots::{Slot, payload},
};
use crate::{
    event::{Failure, Finding, NameSource, Proto, Verdict},
    flow::{Idle, Key, Slab, still_due},
    inspect::{Context, Gate, Stream},
    wire::{self, Datagram, Echo, MAX_HEADER, Pair, Span, Unreachable},
};
use mapping::Mapping;

/// Datagram flows, their sockets, and what is to be sent.
pub(super) struct Datagrams {
    flows: Slab<Flow>,
    by_pair: HashMap<(Proto, Pair), Key, Seeded>,
    /// Flows, by when they were last active.
    idle: Idle<Key>,
    mappings: Slab<Mapping>,
    /// Mappings that have a socket, by the same.
    idle_mappings: Idle<Key>,
    by_source: HashMap<Source, Key, Seeded>,
    queue: VecDeque<Queued>,
    /// Bytes of packets that wait with their flows.
    held: usize,
    /// The datagram that was polled last, if it did not lie in a slot.
    current: Vec<u8>,
}

struct Flow {
    record: Record,
    /// Its key in `by_pair`: for echo, the identifier stands for the source port.
    pair: Pair,
    /// Its share, where its owner is known.
    app: Option<Key>,
    /// None for questions to the tun's resolver: those go through the DNS pool.
    mapping: Option<Key>,
    stream: Box<Stream>,
    wait: Wait,
    /// Whole packets that wait with the flow.
    packets: Vec<Vec<u8>>,
    /// Findings that a person is asked about.
    pending: Vec<Finding>,
    /// The verdict that asks.
    asking: Verdict,
    blocked: bool,
    /// Of the last echo request.
    sequence: u16,
    /// Its way cannot carry it.
    stuck: bool,
    answered: bool,
    last: Duration,
    /// Where it stands in the order of the idle.
    listed: Duration,
    armed: Option<Duration>,
}

/// What a mapping stands for: a port of the app's, and the proxy that it goes through.
type Source = (Proto, SocketAddr, Option<Arc<str>>);

struct Queued {
    socket: SocketId,
    to: SocketAddr,
    payload: Payload,
    whole: bool,
}

enum Payload {
    Slot(usize, Span),
    Own(Vec<u8>),
}

/// What became of a datagram that was judged.
pub(super) enum Fate {
    Go(Key),
    Blocked(Key),
    /// Counted already.
    Gone,
}

impl Flow {
    fn deadline(&self) -> Duration {
        let idle = match self.answered {
            _ if self.mapping.is_none() && !self.blocked => DNS_IDLE,
            true => ANSWERED_IDLE,
            false => UNANSWERED_IDLE,
        };
        match self.wait {
            Wait::Nothing => self.last + idle,
            Wait::Owner { until } => until,
            // The question has a deadline of its own.
            Wait::Question { asked } => asked + LONGEST_QUESTION,
        }
    }

    /// Ends a flow, but for one with the tun's resolver: an app asks all its names from one port, and each question
    /// stands for itself.
    fn block(&mut self, verdict: Verdict) {
        self.record.verdict = verdict;
        self.blocked = self.mapping.is_some();
        *self.stream = Stream::new(self.record.facts.proto);
    }

    fn held(&self) -> usize {
        self.packets.iter().map(Vec::len).sum()
    }
}

/// Port of the engine's own address at which probes are sent back (RFC 862).
pub(crate) const ECHO: u16 = 7;
/// Bytes of a probe at most.
const MOST_PROBE: usize = 64;
/// Bytes of datagrams that go at once: as much as one may carry, over IPv4.
const MOST_AT_ONCE: usize = 65_507;
/// Packets of one flow that wait for an owner or an answer.
const MOST_PACKETS: usize = 8;
/// A question that is open longer than this is nobody's.
const LONGEST_QUESTION: Duration = Duration::from_secs(24 * 3_600);
/// How long a flow lives without a datagram, once both ends have spoken (RFC 4787 section 4.3 recommends 5 minutes).
const ANSWERED_IDLE: Duration = Duration::from_secs(300);
/// The same while nobody has answered.
const UNANSWERED_IDLE: Duration = Duration::from_secs(60);
/// Flows with the tun's resolver beyond the limit of flows.
const RESOLVER_FLOWS: usize = 1_024;
/// Idle time of an exchange with the tun's resolver.
const DNS_IDLE: Duration = Duration::from_secs(10);

impl Datagrams {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            flows: Slab::new(),
            by_pair: HashMap::with_hasher(Seeded(seed)),
            idle: Idle::new(),
            mappings: Slab::new(),
            idle_mappings: Idle::new(),
            by_source: HashMap::with_hasher(Seeded(seed)),
            queue: VecDeque::new(),
            held: 0,
            current: Vec::new(),
        }
    }

    pub(super) fn poll<'a>(
        &'a mut self,
        slots: &'a [Slot],
        payloads: &mut [IoSlice<'a>],
    ) -> Option<Outgoing> {
        let (room, others) = payloads.split_first_mut()?;
        let first = self.queue.pop_front()?;
        let mut outgoing = Outgoing {
            socket: first.socket,
            to: first.to,
            count: 1,
            whole: first.whole,
        };
        let (slot, span) = match first.payload {
            Payload::Slot(slot, span) => (slot, span),
            Payload::Own(bytes) => {
                self.current = bytes;
                *room = IoSlice::new(&self.current);
                return Some(outgoing);
            }
        };
        *room = IoSlice::new(payload(slots, slot, span));
        let (length, mut total) = (span.len(), span.len());
        for room in others {
            let Some(next) = self.queue.front() else {
                break;
            };
            let &Payload::Slot(slot, span) = &next.payload else {
                break;
            };
            let alike = (next.socket, next.to, next.whole) == (first.socket, first.to, first.whole);
            total += span.len();
            if !alike || !(1..=length).contains(&span.len()) || total > MOST_AT_ONCE {
                break;
            }
            *room = IoSlice::new(payload(slots, slot, span));
            outgoing.count += 1;
            self.queue.pop_front();
            if span.len() < length {
                break;
            }
        }
        Some(outgoing)
    }

    pub(super) fn push(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        (slot, span): (usize, Span),
        whole: bool,
    ) {
        self.queue.push_back(Queued {
            socket,
            to,
            whole,
            payload: Payload::Slot(slot, span),
        });
    }

    pub(super) fn push_own(&mut self, socket: SocketId, to: SocketAddr, payload: Vec<u8>) {
        self.queue.push_back(Queued {
            socket,
            to,
            whole: false,
            payload: Payload::Own(payload),
        });
    }

    /// Copies what lies in `slot`, which is about to be used again.
    fn detach(&mut self, index: usize, slots: &[Slot]) {
        for queued in &mut self.queue {
            if let Payload::Slot(at, span) = queued.payload
                && at == index
            {
                let bytes = payload(slots, at, span);
                queued.payload = Payload::Own(bytes.to_vec());
            }
        }
    }

    /// How many flows there are.
    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Bytes of packets that wait with their flows.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn still_due(&mut self, key: Key, at: Duration) -> Option<Duration> {
        let flow = self.flows.get_mut(key)?;
        let deadline = flow.deadline();
        still_due(&mut flow.armed, at, Some(deadline))
    }
}

impl Engine {
    pub(super) fn outbound_udp(&mut self, slot: usize, datagram: Datagram) {
        let pair = datagram.pair;
        if self.is_own(pair.dst.ip()) {
            match pair.dst.port() {
                53 => self.dns_question(slot, datagram),
                ECHO if datagram.payload.len() <= MOST_PROBE => self.answer_probe(slot, datagram),
                _ => self.refuse(slot, Unreachable::Port),
            }
            return;
        }
        match self.judge_datagram(Proto::Udp, pair, pair, slot, datagram.payload, None) {
            Fate::Go(flow) => self.forward(flow, slot, datagram.payload, pair.dst),
            Fate::Blocked(_) => self.refuse(slot, Unreachable::AdminProhibited),
            Fate::Gone => {}
        }
    }

    pub(super) fn outbound_echo(&mut self, slot: usize, echo: Echo) {
        if echo.reply {
            return self.count("echo_reply");
        }
        if self.is_own(echo.pair.dst.ip()) {
            return self.answer_echo(slot, echo);
        }
        let mut keyed = echo.pair;
        keyed.src.set_port(echo.ident);
        match self.judge_datagram(Proto::Icmp, echo.pair, keyed, slot, echo.payload, None) {
            Fate::Go(flow) => {
                if let Some(flow) = self.datagrams.flows.get_mut(flow) {
                    flow.sequence = echo.sequence;
                }
                // The 8-byte ICMP header goes along; the kernel writes its own identifier and checksum into it.
                let span = Span {
                    start: echo.payload.start.saturating_sub(8),
                    end: echo.payload.end,
                };
                self.forward(flow, slot, span, echo.pair.dst);
            }
            Fate::Blocked(_) => self.refuse(slot, Unreachable::AdminProhibited),
            Fate::Gone => {}
        }
    }

    /// Finds or makes the flow of a datagram and judges both. `name` is what a question to the tun's resolver asks for.
    pub(super) fn judge_datagram(
        &mut self,
        proto: Proto,
        wire: Pair,
        pair: Pair,
        slot: usize,
        payload: Span,
        name: Option<Arc<str>>,
    ) -> Fate {
        let key = match self.datagrams.by_pair.get(&(proto, pair)).copied() {
            Some(key) => key,
            None if !self.flow_room(self.is_own(pair.dst.ip())) => {
                self.count("flow_limit");
                return Fate::Gone;
            }
            None => self.open_datagrams(proto, wire, pair),
        };
        let time = self.since_start();
        let (Some(flow), Some(rules)) = (self.datagrams.flows.get_mut(key), &self.rules) else {
            return Fate::Gone;
        };
        flow.last = self.now.mono;
        if flow.wait != Wait::Nothing {
            self.hold_packet(key, slot);
            return Fate::Gone;
        }
        if flow.stuck {
            self.arm_datagrams(key);
            // The only error that makes a UDP socket fail at once, and QUIC give way to TCP.
            self.refuse(slot, Unreachable::Port);
            return Fate::Gone;
        }
        if flow.blocked {
            self.arm_datagrams(key);
            return Fate::Blocked(key);
        }
        if let Some(name) = name {
            // Each question of a flow with the resolver stands for itself.
            flow.record.facts.names = vec![(name, NameSource::Dns)];
        }
        let bytes = self
            .slots
            .get(slot)
            .map_or(&[][..], |packet| packet.get(payload));
        let mut cx = Context {
            rules,
            facts: &mut flow.record.facts,
            now: self.now.mono,
            room: self.limits.hold_per_flow,
            can_ask: self.config.can_ask,
            scratch: &mut self.decoding,
            notices: &mut self.notices,
        };
        let step = flow.stream.datagram(bytes, &mut cx);
        Self::report(
            &mut self.events,
            &mut self.notices,
            &mut flow.record,
            &mut flow.pending,
            time,
        );
        match step.gate {
            Gate::Open => {
                if let Some(verdict) = rules
                    .policy
                    .misled(&flow.record.facts, flow.record.via.as_ref())
                {
                    flow.block(verdict);
                    self.arm_datagrams(key);
                    return Fate::Blocked(key);
                }
                flow.record.bytes_out += payload.len() as u64;
                self.arm_datagrams(key);
                Fate::Go(key)
            }
            Gate::Ask(verdict) => {
                self.hold_packet(key, slot);
                self.ask_about_datagrams(key, verdict);
                Fate::Gone
            }
            Gate::Block(verdict) => {
                let pending = std::mem::take(&mut flow.pending);
                Self::tell_findings(&mut self.events, &flow.record, pending, &verdict, time);
                flow.block(verdict);
                self.arm_datagrams(key);
                Fate::Blocked(key)
            }
        }
    }

    /// Keeps a packet until its flow may go on. The same packet again is one packet; what does not fit is lost.
    fn hold_packet(&mut self, key: Key, slot: usize) {
        let (Some(flow), Some(slot)) = (self.datagrams.flows.get_mut(key), self.slots.get(slot))
        else {
            return;
        };
        let packet = slot.packet();
        if flow.packets.iter().any(|held| same_datagram(held, packet)) {
            return;
        }
        let full = flow.packets.len() >= MOST_PACKETS
            || flow.held() + packet.len() > self.limits.hold_per_flow
            || self.apps.room(flow.app, self.limits.hold_per_app) < packet.len()
            || self.held + packet.len() > self.limits.hold_total;
        if full {
            return self.count("hold_full");
        }
        let (app, len) = (flow.app, packet.len());
        flow.packets.push(packet.to_vec());
        self.datagrams.held += len;
        self.note_held(app, 0, len);
    }

    /// Judges anew what waited with a flow.
    fn resume_packets(&mut self, key: Key) {
        let Some(flow) = self.datagrams.flows.get_mut(key) else {
            return;
        };
        let (app, held) = (flow.app, flow.held());
        self.datagrams.held -= held;
        self.note_held(app, held, 0);
        let Some(flow) = self.datagrams.flows.get_mut(key) else {
            return;
        };
        let index = self.slots.len() - 1;
        for packet in std::mem::take(&mut flow.packets) {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.put(&packet);
            }
            self.handle_slot(index);
            self.datagrams.detach(index, &self.slots);
        }
        self.arm_datagrams(key);
    }

    /// Tells the app that its packet in `slot` went nowhere.
    pub(super) fn refuse(&mut self, slot: usize, why: Unreachable) {
        if let Some(slot) = self.slots.get(slot) {
            self.control
                .push(|out| wire::emit_unreachable(out, why, slot.packet()));
        }
    }

    /// Sends a probe back, which so has crossed the tunnel both ways.
    fn answer_probe(&mut self, slot: usize, datagram: Datagram) {
        let Some(slot) = self.slots.get(slot) else {
            return;
        };
        let payload = slot.get(datagram.payload);
        self.control.push(|out| {
            let mut header = [0; MAX_HEADER];
            let n = wire::emit_udp(&mut header, datagram.pair.reversed(), payload);
            out.extend_from_slice(header.get(..n).unwrap_or(&[]));
            out.extend_from_slice(payload);
            true
        });
    }

    fn answer_echo(&mut self, slot: usize, echo: Echo) {
        let Some(slot) = self.slots.get(slot) else {
            return;
        };
        let payload = slot.get(echo.payload);
        self.control.push(|out| {
            let mut header = [0; MAX_HEADER];
            let pair = echo.pair.reversed();
            let n = wire::emit_echo(&mut header, pair, true, echo.ident, echo.sequence, payload);
            out.extend_from_slice(header.get(..n).unwrap_or(&[]));
            out.extend_from_slice(payload);
            true
        });
    }

    /// The record of a datagram flow.
    pub(super) fn datagram_record(&mut self, key: Key) -> Option<&mut Record> {
        self.datagrams
            .flows
            .get_mut(key)
            .map(|flow| &mut flow.record)
    }

    /// A flow with the tun's resolver heard an answer of `bytes`.
    pub(super) fn datagram_answered(&mut self, key: Key, bytes: usize) {
        if let Some(flow) = self.datagrams.flows.get_mut(key) {
            flow.record.bytes_in += bytes as u64;
            flow.last = self.now.mono;
        }
    }

    /// The network says that the other end of a flow cannot be reached; returns the headers of what was sent there last,
    /// and how long they are.
    pub(super) fn datagrams_failed(
        &mut self,
        proto: Proto,
        pair: Pair,
        why: Option<Failure>,
    ) -> Option<([u8; MAX_HEADER], usize)> {
        let key = self.datagrams.by_pair.get(&(proto, pair))?;
        let flow = self.datagrams.flows.get_mut(*key)?;
        if !flow.answered {
            flow.record.failure = why.or(flow.record.failure);
        }
        let mut header = [0; MAX_HEADER];
        let n = match proto {
            Proto::Icmp => {
                let wire = flow.record.pair();
                let ident = pair.src.port();
                wire::emit_echo(&mut header, wire, false, ident, flow.sequence, &[])
            }
            Proto::Udp | Proto::Tcp => wire::emit_udp(&mut header, pair, &[]),
        };
        Some((header, n))
    }

    /// The app does not listen for the other end of a flow any more.
    pub(super) fn datagrams_refused(&mut self, pair: Pair) {
        if let Some(&key) = self.datagrams.by_pair.get(&(Proto::Udp, pair)) {
            self.end_datagrams(key);
        }
    }

    fn arm_datagrams(&mut self, key: Key) {
        if let Some(flow) = self.datagrams.flows.get_mut(key) {
            let at = flow.deadline();
            self.timers
                .arm(TimerKey::Datagrams(key), at, &mut flow.armed);
        }
    }

    pub(super) fn datagrams_timeout(&mut self, key: Key, at: Duration) {
        let now = self.now.mono;
        let Some(flow) = self.datagrams.flows.get_mut(key) else {
            return;
        };
        if flow.armed != Some(at) {
            return;
        }
        flow.armed = None;
        if matches!(flow.wait, Wait::Owner { until } if until <= now) {
            return self.datagrams_owner(key, Vec::new());
        }
        if flow.deadline() <= now {
            self.end_datagrams(key)
        } else {
            self.arm_datagrams(key)
        }
    }

    /// Ends a flow and tells of it.
    fn end_datagrams(&mut self, key: Key) {
        let time = self.since_start();
        let failure = self.mapping_failure(key);
        let Some(mut flow) = self.take_datagrams(key) else {
            return;
        };
        if !flow.answered {
            flow.record.failure = flow.record.failure.or(failure);
        }
        let pending = std::mem::take(&mut flow.pending);
        Self::tell_unsettled(
            &mut self.events,
            &mut flow.record,
            pending,
            &flow.asking,
            time,
        );
        self.events.push_back(flow.record.flow_event(time));
    }

    /// Ends a flow that nobody is told of: nothing of it has gone.
    fn forget_datagrams(&mut self, key: Key) {
        self.take_datagrams(key);
    }

    fn take_datagrams(&mut self, key: Key) -> Option<Flow> {
        let flow = self.datagrams.flows.remove(key)?;
        self.datagrams
            .by_pair
            .remove(&(flow.record.facts.proto, flow.pair));
        self.datagrams.idle.remove(key, flow.listed);
        let held = flow.held();
        self.datagrams.held -= held;
        self.note_held(flow.app, held, 0);
        self.apps.leave(flow.app);
        if let Some(mapping) = flow.mapping {
            self.leave_mapping(mapping);
        }
        Some(flow)
    }

    /// Whether one more flow fits; where all are in use, the datagram flow that has been idle for longest makes room. One
    /// with the tun's resolver finds room for longer: names resolve to the last.
    pub(super) fn flow_room(&mut self, resolver: bool) -> bool {
        loop {
            let flows = self.flows.len() + self.datagrams.flows.len();
            if flows < self.limits.flows {
                return true;
            }
            let datagrams = &mut self.datagrams.flows;
            let idlest = self.datagrams.idle.longest(|key| {
                let flow = datagrams.get_mut(key)?;
                flow.listed = flow.last;
                Some(flow.last)
            });
            let Some(key) = idlest else {
                return resolver && flows < self.limits.flows + RESOLVER_FLOWS;
            };
            self.count("flow_evicted");
            self.end_datagrams(key);
        }
    }

    pub(super) fn finish_datagrams(&mut self) {
        for key in self.datagrams.flows.keys() {
            self.end_datagrams(key);
        }
    }
}

/// Whether two packets carry the same datagram: all but the IPv4 identification and the checksum over it.
fn same_datagram(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([0x40..=0x4f, ..], [0x40..=0x4f, ..]) => {
            let but = |packet: &[u8]| {
                let mut packet = packet.to_vec();
                packet.iter_mut().skip(4).take(2).for_each(|byte| *byte = 0);
                packet
                    .iter_mut()
                    .skip(10)
                    .take(2)
                    .for_each(|byte| *byte = 0);
                packet
            };
            one.len() == other.len() && but(one) == but(other)
        }
        _ => one == other,
    }
}
