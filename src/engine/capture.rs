//! Captures, judged as if they were live.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use super::{
    Now, Seeded, mask,
    watch::{DNS, Shared, Watch},
};
use crate::{
    event::{DropEvent, Event, FlowNumber, Proto},
    flow::{
        Key, Slab, Timers,
        passive::{Connection, Piece, Side},
    },
    inspect::Rules,
    wire::{self, Datagram, Echo, Flags, Packet, Pair, Segment, fragments::Reassembler},
};

/// Judges the packets of a capture, by the capture's own clock, and gives the events that the live engine would have given.
///
/// What the policy blocks ends a flow's judgement, although the capture shows that it went on. Flows are numbered from 1 in
/// the order of their first packets. Questions get the policy's fallback.
pub struct Replay {
    shared: Shared,
    flows: Slab<Flow>,
    by_ends: HashMap<Ends, Key, Seeded>,
    timers: Timers<Key>,
    fragments: Reassembler,
    last_flow: FlowNumber,
    /// Memory behind gaps, over all flows.
    waiting: usize,
    /// Time of the first packet.
    began: Option<Duration>,
}

impl Replay {
    /// A replay under `rules`, whose policy sets the limits. Every flow counts as `app`'s, where given; `seed` keeps the
    /// order of hash tables from whoever made the capture, and has no bearing on events.
    pub fn new(rules: Rules, app: Option<Arc<str>>, seed: u64) -> Self {
        Self {
            shared: Shared::new(rules, app, seed),
            flows: Slab::new(),
            by_ends: HashMap::with_hasher(Seeded(seed)),
            timers: Timers::new(),
            fragments: Reassembler::default(),
            last_flow: 0,
            waiting: 0,
            began: None,
        }
    }

    /// Takes one IP packet (no link header), captured at `time`, from any origin; `wall` is the same in seconds since the Unix
    /// epoch, for `until` in rules. Time that runs backwards stands still.
    pub fn packet(&mut self, ip: &[u8], time: Duration, wall: u64) {
        let began = *self.began.get_or_insert(time);
        let mono = time.saturating_sub(began);
        self.pass_time(mono);
        let now = &mut self.shared.now;
        *now = Now {
            mono: mono.max(now.mono),
            wall,
        };
        self.ip(ip, false);
    }

    /// Counts `n` records that never became an IP packet, for the `drop` event of that reason.
    pub fn count(&mut self, reason: &'static str, n: u64) {
        self.shared.count(reason, n);
    }

    /// Ends every flow and tells what was dropped.
    pub fn finish(&mut self) {
        let mut keys = self.flows.keys();
        keys.sort_by_key(|key| self.flows.get(*key).map(|flow| flow.watch.record.number));
        for key in keys {
            self.end(key);
        }
        self.shared
            .count("fragments", self.fragments.take_dropped());
        let time = self.shared.now.mono.as_secs_f64();
        for (reason, count) in std::mem::take(&mut self.shared.drops) {
            let event = Event::Drop(DropEvent {
                time,
                reason,
                count,
            });
            self.shared.events.push_back(event);
        }
    }

    /// Something to tell the world.
    pub fn poll_event(&mut self) -> Option<Event> {
        let mut event = self.shared.events.pop_front()?;
        mask::names(&mut event, &self.shared.rules.detector);
        Some(event)
    }

    fn ip(&mut self, packet: &[u8], rebuilt: bool) {
        let captured = match wire::parse_captured(packet) {
            Ok(captured) => captured,
            Err(reject) => return self.shared.count(reject.name(), 1),
        };
        self.shared.count("cut", u64::from(captured.missing > 0));
        match captured.packet {
            Packet::Tcp(segment) => {
                self.segment(&segment, segment.payload.of(packet), captured.missing)
            }
            Packet::Udp(datagram) => self.udp(&datagram, datagram.payload.of(packet)),
            Packet::Echo(echo) => self.echo(&echo, echo.payload.of(packet)),
            Packet::Unreachable(_) => self.shared.count("icmp_type", 1),
            Packet::Fragment if rebuilt => self.shared.count("fragments", 1),
            Packet::Fragment => {
                let whole = self.fragments.push(packet, self.shared.now.mono);
                self.shared
                    .count("fragments", self.fragments.take_dropped());
                if let Some(whole) = whole {
                    self.ip(&whole, true);
                }
            }
        }
    }

    fn segment(&mut self, segment: &Segment, payload: &[u8], missing: u32) {
        let ends = Ends::new(Proto::Tcp, segment.pair);
        let known = self.by_ends.get(&ends).copied();
        let known = known.filter(|key| {
            self.flows.get(*key).is_some_and(|flow| {
                let sender = flow.sender(segment.pair.src);
                !flow
                    .connection
                    .as_ref()
                    .is_some_and(|connection| connection.is_followed_by(sender, segment))
            })
        });
        let key = match known {
            Some(key) => key,
            // Without a connection there is nothing to reset.
            None if segment.flags.contains(Flags::RST) => return,
            None => {
                let sender = Connection::sender_of_first(segment);
                let pair = outward(segment.pair, sender);
                self.open(ends, pair, pair.src)
            }
        };
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        flow.last = self.shared.now.mono;
        let sender = flow.sender(segment.pair.src);
        let Flow {
            watch,
            connection: Some(connection),
            ..
        } = flow
        else {
            return;
        };
        let before = connection.weight();
        let shared = &mut self.shared;
        let mut sink = |side, piece: Piece<'_>| watch_piece(watch, side, piece, shared);
        connection.segment(sender, segment, payload, missing, &mut sink);
        if self.waiting + connection.weight() > before + shared.limits.buffers_total {
            connection.give_up_gaps(&mut |side, piece| watch_piece(watch, side, piece, shared));
        }
        watch.record.bytes_in = connection.received();
        if connection.is_over() {
            watch.end(shared);
        }
        if watch.ended {
            // It stays, so that what follows is not taken for another connection.
            connection.finish(&mut |_, _| {});
        }
        self.waiting = self.waiting + connection.weight() - before;
        self.arm(key);
    }

    fn udp(&mut self, datagram: &Datagram, payload: &[u8]) {
        let to_many = datagram.pair.dst.ip().is_multicast();
        let sender = if to_many {
            Side::Client
        } else {
            Side::of_first(datagram.pair)
        };
        self.datagram(Proto::Udp, datagram.pair, datagram.pair, sender, payload);
    }

    fn echo(&mut self, echo: &Echo, payload: &[u8]) {
        let sender = if echo.reply {
            Side::Server
        } else {
            Side::Client
        };
        // The identifier tells exchanges apart as a port would.
        let mut ports = echo.pair;
        match sender {
            Side::Client => ports.src.set_port(echo.ident),
            Side::Server => ports.dst.set_port(echo.ident),
        }
        self.datagram(Proto::Icmp, echo.pair, ports, sender, payload);
    }

    fn datagram(&mut self, proto: Proto, wire: Pair, ports: Pair, first: Side, payload: &[u8]) {
        let ends = Ends::new(proto, ports);
        let key = match self.by_ends.get(&ends) {
            Some(&key) => key,
            None => self.open(ends, outward(wire, first), outward(ports, first).src),
        };
        let shared = &mut self.shared;
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        flow.last = shared.now.mono;
        match flow.sender(ports.src) {
            Side::Client => flow.watch.datagram(payload, shared),
            Side::Server if !flow.watch.ended => {
                flow.answered = true;
                flow.watch.record.bytes_in += payload.len() as u64;
                flow.watch.answer(payload, shared);
            }
            Side::Server => {}
        }
        self.arm(key);
    }

    /// Makes a flow, in place of the one that had the same ends.
    fn open(&mut self, ends: Ends, wire: Pair, client: SocketAddr) -> Key {
        if let Some(&old) = self.by_ends.get(&ends) {
            self.end(old);
        }
        if self.flows.len() >= self.shared.limits.flows.max(1) {
            self.end_stalest();
        }
        self.last_flow += 1;
        let watch = Watch::new(self.last_flow, wire, ends.proto, &mut self.shared);
        let flow = Flow {
            connection: (ends.proto == Proto::Tcp).then(|| Connection::new(watch.reads_answers())),
            watch,
            ends,
            client,
            answered: false,
            last: self.shared.now.mono,
            armed: None,
        };
        let key = self.flows.insert(flow);
        self.by_ends.insert(ends, key);
        key
    }

    /// Ends a flow and forgets it.
    fn end(&mut self, key: Key) {
        let Some(mut flow) = self.flows.remove(key) else {
            return;
        };
        if self.by_ends.get(&flow.ends) == Some(&key) {
            self.by_ends.remove(&flow.ends);
        }
        let Flow {
            watch, connection, ..
        } = &mut flow;
        let shared = &mut self.shared;
        if let Some(connection) = connection {
            self.waiting -= connection.weight();
            connection.finish(&mut |side, piece| watch_piece(watch, side, piece, shared));
            watch.record.bytes_in = connection.received();
        }
        watch.end(shared);
    }

    /// Makes room for many flows at once, so that each new one costs little.
    fn end_stalest(&mut self) {
        let mut stale: Vec<_> = self
            .flows
            .keys()
            .into_iter()
            .filter_map(|key| {
                self.flows
                    .get(key)
                    .map(|flow| (flow.last, flow.watch.record.number, key))
            })
            .collect();
        stale.sort_unstable();
        stale.truncate(stale.len().div_ceil(8));
        for (_, _, key) in stale {
            let live = self.flows.get(key).is_some_and(|flow| !flow.watch.ended);
            self.shared.count("flow_limit", u64::from(live));
            self.end(key);
        }
    }

    fn arm(&mut self, key: Key) {
        if let Some(flow) = self.flows.get_mut(key)
            && let Some(deadline) = flow.deadline()
        {
            self.timers.arm(key, deadline, &mut flow.armed);
        }
    }

    /// Does what was due until `now`, each thing at its own time.
    fn pass_time(&mut self, now: Duration) {
        while let Some((at, key)) = self.timers.expire(now) {
            let Some(flow) = self
                .flows
                .get_mut(key)
                .filter(|flow| flow.armed == Some(at))
            else {
                continue;
            };
            flow.armed = None;
            self.shared.now.mono = at.max(self.shared.now.mono);
            if flow.watch.wake.is_some_and(|wake| wake <= at) {
                flow.watch.pause(&mut self.shared);
            }
            if flow.expiry().is_some_and(|expiry| expiry <= at) {
                self.end(key);
            } else {
                self.arm(key);
            }
        }
        self.fragments.expire(now);
    }
}

fn watch_piece(watch: &mut Watch, side: Side, piece: Piece<'_>, shared: &mut Shared) {
    match (side, piece) {
        (Side::Client, Piece::Bytes(bytes)) => watch.bytes(bytes, shared),
        (Side::Client, Piece::End) => watch.finish(shared),
        (Side::Server, Piece::Bytes(bytes)) => watch.answer(bytes, shared),
        (Side::Server, Piece::End) => {}
        (side, Piece::Gap) => watch.gap(side == Side::Client, shared),
    }
}

struct Flow {
    watch: Watch,
    connection: Option<Connection>,
    ends: Ends,
    /// The app's end, as in `ends`.
    client: SocketAddr,
    answered: bool,
    last: Duration,
    armed: Option<Duration>,
}

impl Flow {
    fn sender(&self, src: SocketAddr) -> Side {
        if src == self.client {
            Side::Client
        } else {
            Side::Server
        }
    }

    /// When a flow of datagrams is over; the times are the live engine's.
    fn expiry(&self) -> Option<Duration> {
        if self.connection.is_some() {
            return None;
        }
        let idle = match (self.watch.record.facts.dst.port(), self.answered) {
            (DNS, _) => DNS_IDLE,
            (_, true) => ANSWERED_IDLE,
            (_, false) => UNANSWERED_IDLE,
        };
        Some(self.last + idle)
    }

    fn deadline(&self) -> Option<Duration> {
        self.expiry().into_iter().chain(self.watch.wake).min()
    }
}

/// What tells flows apart, equal for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    proto: Proto,
    low: SocketAddr,
    high: SocketAddr,
}

impl Ends {
    fn new(proto: Proto, Pair { src, dst }: Pair) -> Self {
        Self {
            proto,
            low: src.min(dst),
            high: src.max(dst),
        }
    }
}

fn outward(pair: Pair, sender: Side) -> Pair {
    match sender {
        Side::Client => pair,
        Side::Server => pair.reversed(),
    }
}

const DNS_IDLE: Duration = Duration::from_secs(10);
const ANSWERED_IDLE: Duration = Duration::from_secs(300);
const UNANSWERED_IDLE: Duration = Duration::from_secs(60);
