//! Conducts UDP and ICMP echo: one socket per port of the app (endpoint-independent mapping, RFC 4787), one flow per peer.

use std::{
    collections::{HashMap, VecDeque},
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{
    Command, Engine, Outgoing, Owner, Record, Seeded, SocketEvent, SocketId, TimerKey, slots::Slot,
};
use crate::{
    event::{Action, Proto, Verdict},
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
}

struct Flow {
    record: Record,
    /// Its key in `by_pair`: for echo, the identifier stands for the source port.
    pair: Pair,
    /// None for questions to the tun's resolver: those go through the DNS pool.
    mapping: Option<Key>,
    stream: Box<Stream>,
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
    slot: usize,
    span: Span,
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
        self.last
            + match self.answered {
                _ if self.mapping.is_none() && !self.blocked => DNS_IDLE,
                true => ANSWERED_IDLE,
                false => UNANSWERED_IDLE,
            }
    }
}

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
        }
    }

    pub(super) fn poll<'a>(&mut self, slots: &'a [Slot]) -> Option<Outgoing<'a>> {
        let next = self.queue.pop_front()?;
        let payload = slots
            .get(next.slot)
            .map_or(&[][..], |slot| slot.get(next.span));
        Some(Outgoing {
            socket: next.socket,
            to: next.to,
            payload,
        })
    }

    pub(super) fn push(&mut self, socket: SocketId, to: SocketAddr, slot: usize, span: Span) {
        self.queue.push_back(Queued {
            socket,
            to,
            slot,
            span,
        });
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
        match self.judge_datagram(Proto::Udp, pair, pair, slot, datagram.payload) {
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
        match self.judge_datagram(Proto::Icmp, echo.pair, keyed, slot, echo.payload) {
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

    /// Finds or makes the flow of a datagram and judges both.
    pub(super) fn judge_datagram(
        &mut self,
        proto: Proto,
        wire: Pair,
        pair: Pair,
        slot: usize,
        payload: Span,
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
        let mut blocked = flow.blocked;
        if !blocked {
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
            Self::report(&mut self.events, &mut self.notices, &mut flow.record, time);
            match step.gate {
                Gate::Open => flow.record.bytes_out += payload.len() as u64,
                Gate::Ask(verdict) | Gate::Block(verdict) => {
                    flow.record.verdict = Verdict {
                        action: Action::Block,
                        ..verdict
                    };
                    blocked = true;
                    // An app asks all its names from one port: each question stands for itself.
                    flow.blocked = flow.mapping.is_some();
                }
            }
        }
        self.arm_datagrams(key);
        if blocked {
            Fate::Blocked(key)
        } else {
            Fate::Go(key)
        }
    }

    fn open_datagrams(&mut self, proto: Proto, wire: Pair, pair: Pair) -> Key {
        let mut record = self.record(wire, proto);
        record.verdict = self.judge_connection(&record);
        let blocked = record.verdict.action != Action::Allow;
        let mapping =
            (!blocked && !self.is_own(pair.dst.ip())).then(|| self.mapping(proto, pair.src));
        let key = self.datagrams.flows.insert(Flow {
            record,
            pair,
            mapping,
            stream: Box::new(Stream::new(proto)),
            blocked,
            answered: false,
            last: self.now.mono,
            armed: None,
        });
        self.datagrams.by_pair.insert((proto, pair), key);
        key
    }

    /// The mapping of a source, made where there is none; counts one more flow.
    fn mapping(&mut self, proto: Proto, source: SocketAddr) -> Key {
        let v6 = source.is_ipv6();
        let known = self.datagrams.by_source.get(&(proto, source)).copied();
        let key = known.unwrap_or_else(|| {
            let socket = self.sockets.insert(Owner::Dns(usize::MAX));
            let mapping = Mapping {
                proto,
                source,
                socket,
                flows: 0,
                failed: false,
            };
            let key = self.datagrams.mappings.insert(mapping);
            if let Some(owner) = self.sockets.get_mut(socket) {
                *owner = Owner::Mapping(key);
            }
            self.datagrams.by_source.insert((proto, source), key);
            let socket = SocketId(socket);
            self.commands.push_back(match proto {
                Proto::Icmp => Command::OpenEcho { socket, v6 },
                Proto::Udp | Proto::Tcp => Command::OpenUdp {
                    socket,
                    v6,
                    to: None,
                },
            });
            key
        });
        if let Some(mapping) = self.datagrams.mappings.get_mut(key) {
            mapping.flows += 1;
        }
        key
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
        if flow.deadline() <= now {
            self.end_datagrams(key)
        } else {
            self.arm_datagrams(key)
        }
    }

    fn end_datagrams(&mut self, key: Key) {
        let time = self.since_start();
        let Some(flow) = self.datagrams.flows.remove(key) else {
            return;
        };
        self.datagrams
            .by_pair
            .remove(&(flow.record.facts.proto, flow.pair));
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

/// An IPv4 address as itself, however a dual-stack socket says it.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
