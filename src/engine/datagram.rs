//! Conducts UDP and ICMP echo: one socket per port of the app (endpoint-independent mapping, RFC 4787), one flow per peer.

use std::{
    collections::{HashMap, VecDeque},
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    Command, Engine, Outgoing, Owner, OwnerId, Record, Seeded, SocketEvent, SocketId, TimerKey,
    Wait, Waiter,
    questions::{Asked, Settled},
    slots::Slot,
};
use crate::{
    event::{Action, Finding, NameSource, Proto, Verdict},
    flow::{Key, Slab, still_due},
    inspect::{Context, Gate, Stream},
    wire::{self, Datagram, Echo, MAX_HEADER, Pair, Span, Unreachable},
};

/// Datagram flows, their sockets, and what is to be sent.
pub(super) struct Datagrams {
    flows: Slab<Flow>,
    by_pair: HashMap<(Proto, Pair), Key, Seeded>,
    mappings: Slab<Mapping>,
    by_source: HashMap<(Proto, SocketAddr), Key, Seeded>,
    queue: VecDeque<Queued>,
    /// The datagram that was polled last, if it did not lie in a slot.
    current: Vec<u8>,
}

struct Flow {
    record: Record,
    /// Its key in `by_pair`: for echo, the identifier stands for the source port.
    pair: Pair,
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
    answered: bool,
    last: Duration,
    armed: Option<Duration>,
}

struct Mapping {
    proto: Proto,
    source: SocketAddr,
    socket: Key,
    flows: usize,
    failed: bool,
}

struct Queued {
    socket: SocketId,
    to: SocketAddr,
    payload: Payload,
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

/// Packets of one flow that wait for an owner or an answer.
const MOST_PACKETS: usize = 8;
/// A question that is open longer than this is nobody's.
const LONGEST_QUESTION: Duration = Duration::from_secs(24 * 3_600);
/// How long a flow lives without a datagram, once both ends have spoken (RFC 4787 section 4.3 recommends 5 minutes).
const ANSWERED_IDLE: Duration = Duration::from_secs(300);
/// The same while nobody has answered.
const UNANSWERED_IDLE: Duration = Duration::from_secs(60);
/// Idle time of an exchange with the tun's resolver.
const DNS_IDLE: Duration = Duration::from_secs(10);

impl Datagrams {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            flows: Slab::new(),
            by_pair: HashMap::with_hasher(Seeded(seed)),
            mappings: Slab::new(),
            by_source: HashMap::with_hasher(Seeded(seed)),
            queue: VecDeque::new(),
            current: Vec::new(),
        }
    }

    pub(super) fn poll<'a>(&'a mut self, slots: &'a [Slot]) -> Option<Outgoing<'a>> {
        let Queued {
            socket,
            to,
            payload,
        } = self.queue.pop_front()?;
        let payload = match payload {
            Payload::Slot(slot, span) => slots.get(slot).map_or(&[][..], |slot| slot.get(span)),
            Payload::Own(bytes) => {
                self.current = bytes;
                &self.current
            }
        };
        Some(Outgoing {
            socket,
            to,
            payload,
        })
    }

    pub(super) fn push(&mut self, socket: SocketId, to: SocketAddr, slot: usize, span: Span) {
        self.queue.push_back(Queued {
            socket,
            to,
            payload: Payload::Slot(slot, span),
        });
    }

    /// Copies what lies in `slot`, which is about to be used again.
    fn detach(&mut self, index: usize, slots: &[Slot]) {
        for queued in &mut self.queue {
            if let Payload::Slot(at, span) = queued.payload
                && at == index
            {
                let bytes = slots.get(at).map_or(&[][..], |slot| slot.get(span));
                queued.payload = Payload::Own(bytes.to_vec());
            }
        }
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
        let key = match self.datagrams.by_pair.get(&(proto, pair)) {
            Some(&key) => key,
            None if self.datagrams.flows.len() >= self.limits.flows => {
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

    fn open_datagrams(&mut self, proto: Proto, wire: Pair, pair: Pair) -> Key {
        let record = self.record(wire, proto);
        let asking = record.verdict.clone();
        let key = self.datagrams.flows.insert(Flow {
            record,
            pair,
            mapping: None,
            stream: Box::new(Stream::new(proto)),
            wait: Wait::Nothing,
            packets: Vec::new(),
            pending: Vec::new(),
            asking,
            blocked: false,
            answered: false,
            last: self.now.mono,
            armed: None,
        });
        self.datagrams.by_pair.insert((proto, pair), key);
        if self.wants_owner() {
            if let Some(flow) = self.datagrams.flows.get_mut(key) {
                flow.wait = Wait::Owner {
                    until: self.now.mono + Wait::OWNER,
                };
            }
            let flow = OwnerId(Waiter::Datagrams(key));
            self.commands.push_back(Command::FindOwner {
                flow,
                proto,
                pair: wire,
            });
            self.arm_datagrams(key);
        } else {
            self.admit_datagrams(key);
        }
        key
    }

    /// Judges a flow on everything but its content. One with the tun's resolver is judged by the names it asks for.
    fn admit_datagrams(&mut self, key: Key) {
        let Some(flow) = self.datagrams.flows.get(key) else {
            return;
        };
        let resolver = self.is_own(flow.pair.dst.ip());
        let verdict = self.judge_connection(&flow.record);
        match verdict.action {
            Action::Allow => self.map(key, verdict),
            _ if resolver => self.map(
                key,
                Verdict {
                    action: Action::Allow,
                    ..verdict
                },
            ),
            Action::Ask => self.ask_about_datagrams(key, verdict),
            Action::Block => {
                if let Some(flow) = self.datagrams.flows.get_mut(key) {
                    flow.record.verdict = verdict;
                    flow.blocked = true;
                }
            }
        }
    }

    /// Lets a flow through: gives it a socket.
    fn map(&mut self, key: Key, verdict: Verdict) {
        let Some(flow) = self.datagrams.flows.get_mut(key) else {
            return;
        };
        flow.record.verdict = verdict;
        let (proto, pair) = (flow.record.facts.proto, flow.pair);
        if !self.is_own(pair.dst.ip()) {
            let mapping = self.mapping(proto, pair.src);
            if let Some(flow) = self.datagrams.flows.get_mut(key) {
                flow.mapping = Some(mapping);
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
            || self.held + packet.len() > self.limits.hold_total;
        if full {
            return self.count("hold_full");
        }
        self.held += packet.len();
        flow.packets.push(packet.to_vec());
    }

    /// Judges anew what waited with a flow.
    fn resume_packets(&mut self, key: Key) {
        let Some(flow) = self.datagrams.flows.get_mut(key) else {
            return;
        };
        self.held -= flow.held();
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

    /// The owner of a flow is known, or will not be.
    pub(super) fn datagrams_owner(&mut self, key: Key, owner: Vec<Arc<str>>) {
        if let Some(flow) = self.datagrams.flows.get_mut(key)
            && matches!(flow.wait, Wait::Owner { .. })
        {
            flow.wait = Wait::Nothing;
            flow.record.facts.app = owner;
            self.admit_datagrams(key);
            if self
                .datagrams
                .flows
                .get(key)
                .is_some_and(|flow| flow.wait == Wait::Nothing)
            {
                self.resume_packets(key);
            }
        }
    }

    fn ask_about_datagrams(&mut self, key: Key, verdict: Verdict) {
        let Some(mut flow) = self.datagrams.flows.take(key) else {
            return;
        };
        let asked = self.ask(
            Waiter::Datagrams(key),
            &flow.record,
            &flow.pending,
            &verdict,
        );
        flow.asking = verdict;
        flow.wait = Wait::Question {
            asked: self.now.mono,
        };
        self.datagrams.flows.put_back(key, flow);
        match asked {
            Asked::Wait => self.arm_datagrams(key),
            Asked::Settled(settled) => self.settle_datagrams(key, &settled),
        }
    }

    /// Goes on, or ends, by an answer.
    pub(super) fn settle_datagrams(&mut self, key: Key, settled: &Settled) {
        let time = self.since_start();
        let (Some(flow), Some(rules)) = (self.datagrams.flows.get_mut(key), &self.rules) else {
            return;
        };
        if !matches!(flow.wait, Wait::Question { .. }) {
            return;
        }
        flow.wait = Wait::Nothing;
        let verdict = settled.verdict(&flow.asking);
        let pending = std::mem::take(&mut flow.pending);
        match (verdict.action, pending.is_empty()) {
            (Action::Allow, true) if flow.mapping.is_none() => self.map(key, verdict),
            (Action::Allow, _) => {
                let mut cx = Context {
                    rules,
                    facts: &mut flow.record.facts,
                    now: self.now.mono,
                    room: self.limits.hold_per_flow,
                    can_ask: self.config.can_ask,
                    scratch: &mut self.decoding,
                    notices: &mut self.notices,
                };
                flow.stream.answer(Action::Allow, &[], &mut cx);
                if !verdict.approved {
                    Self::tell_findings(&mut self.events, &flow.record, pending, &verdict, time);
                }
                flow.record.verdict = verdict;
            }
            (Action::Ask | Action::Block, _) => {
                Self::tell_findings(&mut self.events, &flow.record, pending, &verdict, time);
                flow.record.verdict = verdict;
                flow.blocked = true;
            }
        }
        self.resume_packets(key);
        if let Some(flow) = self.datagrams.flows.get_mut(key)
            && flow.blocked
            && self.config.dns.contains(&flow.pair.dst.ip())
        {
            flow.blocked = false;
            *flow.stream = Stream::new(Proto::Udp);
        }
    }

    /// Whether an answer would still reach the client.
    pub(super) fn datagrams_still_wait(&self, key: Key) -> bool {
        self.datagrams
            .flows
            .get(key)
            .is_some_and(|flow| matches!(flow.wait, Wait::Question { .. }))
    }

    /// A flow and what a person is asked about it.
    pub(super) fn datagrams_pending(&self, key: Key) -> Option<(&Record, &[Finding])> {
        self.datagrams
            .flows
            .get(key)
            .map(|flow| (&flow.record, flow.pending.as_slice()))
    }

    /// The mapping of a source, made where there is none; counts one more flow.
    fn mapping(&mut self, proto: Proto, source: SocketAddr) -> Key {
        let v6 = source.is_ipv6();
        let known = self.datagrams.by_source.get(&(proto, source)).copied();
        let key = known.unwrap_or_else(|| {
            let key = self.datagrams.mappings.insert_with(|key| Mapping {
                proto,
                source,
                socket: self.sockets.insert(Owner::Mapping(key)),
                flows: 0,
                failed: false,
            });
            self.datagrams.by_source.insert((proto, source), key);
            let opened = self.datagrams.mappings.get(key);
            if let Some(socket) = opened.map(|mapping| SocketId(mapping.socket)) {
                self.commands.push_back(match proto {
                    Proto::Icmp => Command::OpenEcho { socket, v6 },
                    Proto::Udp | Proto::Tcp => Command::OpenUdp {
                        socket,
                        v6,
                        to: None,
                    },
                });
            }
            key
        });
        if let Some(mapping) = self.datagrams.mappings.get_mut(key) {
            mapping.flows += 1;
        }
        key
    }

    /// The socket that carries what `source` sends, if there is one.
    pub(super) fn datagram_socket(&self, proto: Proto, source: SocketAddr) -> Option<SocketId> {
        let mapping = self.datagrams.by_source.get(&(proto, source))?;
        Some(SocketId(self.datagrams.mappings.get(*mapping)?.socket))
    }

    fn forward(&mut self, flow: Key, slot: usize, span: Span, to: SocketAddr) {
        let mapping = self.datagrams.flows.get(flow).and_then(|flow| flow.mapping);
        let Some(mapping) = mapping.and_then(|key| self.datagrams.mappings.get(key)) else {
            return;
        };
        if mapping.failed {
            return self.refuse(slot, Unreachable::Host);
        }
        let socket = SocketId(mapping.socket);
        self.datagrams.push(socket, to, slot, span);
    }

    /// Tells the app that its packet in `slot` went nowhere.
    pub(super) fn refuse(&mut self, slot: usize, why: Unreachable) {
        if let Some(slot) = self.slots.get(slot) {
            self.control
                .push(|out| wire::emit_unreachable(out, why, slot.packet()));
        }
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

    pub(super) fn inbound_datagram(&mut self, mapping: Key, from: SocketAddr, len: usize) {
        let Some(&Mapping { proto, source, .. }) = self.datagrams.mappings.get(mapping) else {
            return;
        };
        let from = SocketAddr::new(
            unmapped(from.ip()),
            if proto == Proto::Icmp { 0 } else { from.port() },
        );
        let pair = Pair {
            src: source,
            dst: from,
        };
        let Some(&key) = self.datagrams.by_pair.get(&(proto, pair)) else {
            return self.count("unsolicited");
        };
        let Some(flow) = self.datagrams.flows.get_mut(key) else {
            return;
        };
        let bytes = self.scratch.get(..len).unwrap_or(&[]);
        let echo = proto == Proto::Icmp;
        let (payload, sequence) = match (echo, bytes) {
            (false, bytes) => (bytes, 0),
            // Type 0, or 129 in ICMPv6: a reply. The other fields are the kernel's.
            (true, [0 | 129, 0, _, _, _, _, high, low, payload @ ..]) => {
                (payload, u16::from_be_bytes([*high, *low]))
            }
            (true, _) => return self.count("icmp_type"),
        };
        let back = flow.record.pair.reversed();
        let added = self.control.push(|out| {
            let mut header = [0; MAX_HEADER];
            let n = match echo {
                true => wire::emit_echo(&mut header, back, true, source.port(), sequence, payload),
                false => wire::emit_udp(&mut header, back, payload),
            };
            out.extend_from_slice(header.get(..n).unwrap_or(&[]));
            out.extend_from_slice(payload);
            true
        });
        flow.record.bytes_in += payload.len() as u64;
        flow.answered = true;
        flow.last = self.now.mono;
        if !added {
            self.count("device_queue");
        }
        self.arm_datagrams(key);
    }

    pub(super) fn mapping_socket(&mut self, mapping: Key, event: SocketEvent) {
        if let (SocketEvent::Failed(_), Some(mapping)) =
            (event, self.datagrams.mappings.get_mut(mapping))
        {
            mapping.failed = true;
            self.count("socket");
        }
    }

    /// The shell could not send a datagram of [`Engine::poll_datagram`]. Datagrams may be lost; it is counted, and a
    /// question to a resolver is answered SERVFAIL.
    pub fn datagram_lost(&mut self, socket: SocketId, why: ErrorKind) {
        if why == ErrorKind::WouldBlock {
            return self.count("socket_full");
        }
        self.count("send_failed");
        if let Some(&Owner::Dns(index)) = self.sockets.get(socket.0) {
            self.dns_socket(index, SocketEvent::Failed(why));
        }
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

    /// Ends the flows that a new policy does not let go on, and those that it may let go on: their next datagram begins
    /// one of its own. What goes to the tun's resolver is judged question by question anyway.
    pub(super) fn judge_datagrams_again(&mut self) {
        for key in self.datagrams.flows.keys() {
            let Some(flow) = self.datagrams.flows.get(key) else {
                continue;
            };
            if flow.wait != Wait::Nothing || self.is_own(flow.pair.dst.ip()) {
                continue;
            }
            let verdict = self.judge_connection(&flow.record);
            let blocks = verdict.action == Action::Block;
            if flow.blocked == blocks {
                continue;
            }
            if blocks && let Some(flow) = self.datagrams.flows.get_mut(key) {
                flow.record.verdict = verdict;
            }
            self.end_datagrams(key);
        }
    }

    fn end_datagrams(&mut self, key: Key) {
        let time = self.since_start();
        let Some(mut flow) = self.datagrams.flows.remove(key) else {
            return;
        };
        self.datagrams
            .by_pair
            .remove(&(flow.record.facts.proto, flow.pair));
        self.held -= flow.held();
        let pending = std::mem::take(&mut flow.pending);
        Self::tell_unsettled(
            &mut self.events,
            &mut flow.record,
            pending,
            &flow.asking,
            time,
        );
        self.events.push_back(flow.record.flow_event(time));
        let Some(mapping_key) = flow.mapping else {
            return;
        };
        let Some(mapping) = self.datagrams.mappings.get_mut(mapping_key) else {
            return;
        };
        mapping.flows -= 1;
        if mapping.flows == 0 {
            let (proto, source, socket) = (mapping.proto, mapping.source, mapping.socket);
            self.datagrams.mappings.remove(mapping_key);
            self.datagrams.by_source.remove(&(proto, source));
            self.sockets.remove(socket);
            self.commands.push_back(Command::Close {
                socket: SocketId(socket),
                reset: false,
            });
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

/// An IPv4 address as itself, however a dual-stack socket says it.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
