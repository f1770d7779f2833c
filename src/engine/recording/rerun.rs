//! The live engine once more, on what a recording says it was told.

use std::{
    collections::{HashMap, VecDeque},
    io::IoSlice,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{Note, Start};
use crate::{
    engine::{
        Answer, Command, Config, Engine, Network, Now, OwnerId, Seeded, SocketEvent, SocketId,
    },
    event::{Event, FlowNumber, Proto, QuestionNumber},
    inspect::Rules,
    wire::{self, Flags, Packet, Pair, Segment},
};

/// Runs the engine on the packets and notes of a recording, and gives the events that it gave live.
///
/// What apps sent is judged by the engine itself; what the device was given stands in for what came from the network, and
/// notes for everything else. Sequence numbers of ours depend on the seed, which is not in a recording: they are translated.
pub struct Rerun {
    engine: Engine,
    /// Time of the latest input.
    now: Now,
    /// The packets' clock where the engine's stands at zero.
    began: Duration,
    /// Seconds by which the wall clock is ahead of the packets' clock.
    ahead: i64,
    /// Whether deadlines come by themselves, and not only where the recording says so.
    free: bool,
    /// Packets in the engine's slots that it has not been given yet.
    filled: usize,
    lanes: HashMap<Pair, Lane, Seeded>,
    by_socket: HashMap<SocketId, Pair, Seeded>,
    /// Sockets that the app's window had no room for.
    stalled: Vec<SocketId>,
    wanted: Vec<(OwnerId, Proto, Pair)>,
    questions: HashMap<FlowNumber, QuestionNumber, Seeded>,
    events: VecDeque<Event>,
}

/// The remote end's half of a connection.
struct Lane {
    socket: SocketId,
    /// Initial sequence numbers towards the app: as recorded, and of the engine at hand.
    recorded: Option<u32>,
    own: Option<u32>,
    /// One past the last byte that the engine at hand has sent to the app.
    sent: u32,
    /// The first recorded byte that has not been seen yet.
    next: u32,
    /// Bytes that the remote end sent and the engine has not taken yet.
    unread: usize,
    /// The remote end's FIN waits behind them.
    fin: bool,
}

impl Rerun {
    /// An engine as `start` says it was, under `rules`. `seed` keeps the order of hash tables from whoever made the
    /// recording, and has no bearing on events.
    pub fn new(start: &Start, rules: Rules, seed: u64) -> Self {
        let mut engine = Engine::new(Config {
            seed,
            mtu: start.mtu,
            queue: start.queue.min(MOST_QUEUED),
            dns: start.dns.clone(),
            resolvers: vec![RESOLVER; start.resolvers.min(MOST_RESOLVERS)],
            can_ask: start.can_ask,
        });
        if let Some(most) = start.sockets {
            engine.set_socket_limit(most);
        }
        engine.set_offload(start.offload);
        let now = Now {
            mono: Duration::ZERO,
            wall: start.began.as_secs(),
        };
        engine.set_rules(rules, now);
        Self {
            engine,
            now,
            began: start.began,
            ahead: 0,
            free: false,
            filled: 0,
            lanes: HashMap::with_hasher(Seeded(seed)),
            by_socket: HashMap::with_hasher(Seeded(seed)),
            stalled: Vec::new(),
            wanted: Vec::new(),
            questions: HashMap::with_hasher(Seeded(seed)),
            events: VecDeque::new(),
        }
    }

    /// From here on, deadlines come whenever they are due, and not only where they came live: for other rules than those
    /// in force then, or another version.
    pub fn set_free(&mut self) {
        self.free = true;
    }

    /// Takes one IP packet with its time, since the Unix epoch. `outbound`: an app sent it.
    pub fn packet(&mut self, ip: &[u8], outbound: bool, time: Duration) {
        let at = time.saturating_sub(self.began);
        if outbound {
            // Packets of one instant were read in one go, and were judged before anything was done about any of them.
            if at != self.now.mono || self.filled == self.engine.rx_slots().len() {
                self.pass(at);
            }
            self.outbound(ip);
        } else {
            self.pass(at);
            self.inbound(ip);
            self.drain();
        }
    }

    /// Takes one note, written when the engine's clock stood at `at`. A start or other rules are the caller's business.
    pub fn note(&mut self, note: &Note, at: Duration) {
        self.pass(at);
        let now = self.now;
        match note {
            Note::Start(_) | Note::Rules(_) => {}
            Note::Owner {
                proto,
                src,
                dst,
                app,
            } => {
                let pair = Pair {
                    src: *src,
                    dst: *dst,
                };
                let asked = |wanted: &(_, _, _)| (wanted.1, wanted.2) == (*proto, pair);
                if let Some(index) = self.wanted.iter().position(asked) {
                    let (flow, ..) = self.wanted.remove(index);
                    self.engine.handle_owner(flow, app.clone(), now);
                }
            }
            Note::Connect {
                src,
                dst,
                error,
                proxy,
            } => {
                let event = match (error, proxy) {
                    (_, Some(failure)) => SocketEvent::ProxyFailed(*failure),
                    (None, None) => SocketEvent::Connected,
                    (Some(fault), None) => SocketEvent::Failed((*fault).into()),
                };
                self.socket(*src, *dst, event);
            }
            Note::Broken { src, dst, error } => {
                self.socket(*src, *dst, SocketEvent::Unreachable((*error).into()));
            }
            Note::Answer {
                flow,
                verdict,
                scope,
            } => {
                if let Some(question) = self.questions.remove(flow) {
                    let answer = Answer {
                        action: *verdict,
                        scope: *scope,
                    };
                    self.engine.answer(question, answer, now);
                }
            }
            Note::Tick => self.engine.handle_timeout(now),
            Note::Clock { wall } => {
                let packets = self.began.saturating_add(at).as_secs();
                self.ahead = wall.saturating_sub(packets).cast_signed()
                    - packets.saturating_sub(*wall).cast_signed();
            }
            Note::Memory { pressure } => self.engine.set_memory_pressure(*pressure, now),
            Note::Network { resolvers } => {
                let network = Network {
                    resolvers: vec![RESOLVER; (*resolvers).min(MOST_RESOLVERS)],
                    nat64: None,
                };
                self.engine.network_changed(network, now);
            }
            Note::Stop => self.engine.finish(now),
        }
        self.drain();
    }

    /// Ends every flow and tells what was dropped, where the recording did not say so.
    pub fn finish(&mut self) {
        self.flush();
        self.engine.finish(self.now);
        self.drain();
    }

    /// Something to tell the world.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Time goes on to `at`: what was read before is judged first.
    fn pass(&mut self, at: Duration) {
        self.flush();
        while self.free
            && let Some(due) = self.engine.poll_timeout().filter(|due| *due < at)
        {
            self.set_now(due);
            self.engine.handle_timeout(self.now);
            self.drain();
        }
        self.set_now(at);
    }

    fn set_now(&mut self, at: Duration) {
        let mono = at.max(self.now.mono);
        let wall = self
            .began
            .saturating_add(mono)
            .as_secs()
            .saturating_add_signed(self.ahead);
        self.now = Now { mono, wall };
    }

    fn flush(&mut self) {
        let filled = std::mem::take(&mut self.filled);
        if filled > 0 {
            self.engine.handle_packets(filled, self.now);
            self.drain();
            if !self.stalled.is_empty() {
                for socket in std::mem::take(&mut self.stalled) {
                    self.read(socket);
                }
                self.drain();
            }
        }
    }

    fn outbound(&mut self, ip: &[u8]) {
        let index = self.filled;
        let Some(slot) = self.engine.rx_slots().get_mut(index) else {
            return;
        };
        // Longer than the device's: no device has handed that over.
        let Some(room) = slot.bytes.get_mut(..ip.len()) else {
            return;
        };
        room.copy_from_slice(ip);
        slot.len = ip.len();
        translate(room, &self.lanes);
        self.filled += 1;
    }

    /// What the device was given, which came from the network or from the engine.
    fn inbound(&mut self, ip: &[u8]) {
        let Ok(captured) = wire::parse_captured(ip) else {
            return;
        };
        match captured.packet {
            Packet::Tcp(segment) => {
                let Some(lane) = self.lanes.get_mut(&segment.pair.reversed()) else {
                    return;
                };
                if segment.flags.contains(Flags::SYN) {
                    lane.recorded = Some(segment.seq);
                    lane.next = segment.seq.wrapping_add(1);
                    return;
                }
                let len = segment.payload.len() as u32;
                let known = lane.next.wrapping_sub(segment.seq);
                if known <= len {
                    lane.unread += (len - known) as usize;
                    lane.next = segment.seq.wrapping_add(len);
                    lane.fin |= segment.flags.contains(Flags::FIN);
                }
                let socket = lane.socket;
                self.read(socket);
            }
            Packet::Udp(datagram) => {
                let payload = datagram.payload.of(ip);
                let pair = datagram.pair;
                if self.engine.is_own(pair.src.ip()) {
                    self.engine
                        .dns_reply_again(pair.reversed(), payload, self.now);
                } else if let Some(socket) =
                    self.engine.datagram_socket(Proto::Udp, pair.reversed())
                {
                    self.datagram(socket, pair.src, payload);
                }
            }
            Packet::Echo(echo) => {
                let mut app = echo.pair.reversed();
                app.src.set_port(echo.ident);
                let message = ip.get(echo.payload.start.saturating_sub(8) as usize..);
                if let (Some(socket), Some(message)) =
                    (self.engine.datagram_socket(Proto::Icmp, app), message)
                {
                    self.datagram(socket, echo.pair.src, message);
                }
            }
            Packet::Unreachable(_) | Packet::Fragment => {}
        }
    }

    fn datagram(&mut self, socket: SocketId, from: SocketAddr, payload: &[u8]) {
        if let Some(room) = self.engine.datagram_room().get_mut(..payload.len()) {
            room.copy_from_slice(payload);
            self.engine
                .handle_datagram(socket, from, payload.len(), self.now);
        }
    }

    /// Lets a socket have what the remote end sent, as far as the engine takes it. Inbound bytes are only counted: what
    /// they say is of no account.
    fn read(&mut self, socket: SocketId) {
        let Some(lane) = self
            .by_socket
            .get(&socket)
            .and_then(|pair| self.lanes.get_mut(pair))
        else {
            return;
        };
        while lane.unread > 0 || lane.fin {
            let Some(room) = self.engine.any_recv_room(socket) else {
                self.stalled.push(socket);
                return;
            };
            let taken = room.len().min(lane.unread);
            lane.unread -= taken;
            lane.fin &= taken > 0;
            self.engine.received(socket, Ok(taken), self.now);
        }
    }

    fn socket(&mut self, src: SocketAddr, dst: SocketAddr, event: SocketEvent) {
        if let Some(lane) = self.lanes.get(&Pair { src, dst }) {
            self.engine.handle_socket(lane.socket, event, self.now);
        }
    }

    /// Does what the engine wants done, as a shell whose sockets take everything at once.
    fn drain(&mut self) {
        loop {
            while let Some(command) = self.engine.poll_command() {
                self.command(command);
            }
            while let Some(socket) = self.engine.poll_send() {
                let mut parts = [IoSlice::new(&[]); PARTS];
                let count = self.engine.send_parts(socket, &mut parts);
                let bytes = parts.iter().take(count).map(|part| part.len()).sum();
                self.engine.sent(socket, Ok(bytes), self.now);
            }
            while self
                .engine
                .poll_datagrams(&mut [IoSlice::new(&[])])
                .is_some()
            {}
            while let Some(socket) = self.engine.poll_recv() {
                self.read(socket);
            }
            while let Some(packet) = self.engine.poll_packet() {
                if let Ok(captured) = wire::parse_captured(packet.header)
                    && let Packet::Tcp(segment) = captured.packet
                    && let Some(lane) = self.lanes.get_mut(&segment.pair.reversed())
                {
                    lane.sends(&segment, packet.payload.len());
                }
            }
            while let Some(event) = self.engine.poll_event() {
                if let Event::Ask(asked) = &event {
                    self.questions.insert(asked.flow, asked.question);
                }
                self.events.push_back(event);
            }
            let Some(command) = self.engine.poll_command() else {
                return;
            };
            self.command(command);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Connect { socket, .. } | Command::ConnectVia { socket, .. } => {
                if let Some(pair) = self.engine.pair_of(socket) {
                    let lane = Lane {
                        socket,
                        recorded: None,
                        own: None,
                        sent: 0,
                        next: 0,
                        unread: 0,
                        fin: false,
                    };
                    self.lanes.insert(pair, lane);
                    self.by_socket.insert(socket, pair);
                }
            }
            Command::FindOwner { flow, proto, pair } => self.wanted.push((flow, proto, pair)),
            Command::Close { socket, .. } => {
                if let Some(pair) = self.by_socket.remove(&socket)
                    && self
                        .lanes
                        .get(&pair)
                        .is_some_and(|lane| lane.socket == socket)
                {
                    self.lanes.remove(&pair);
                }
            }
            Command::OpenUdp { .. }
            | Command::OpenUdpVia { .. }
            | Command::OpenEcho { .. }
            | Command::Shutdown { .. } => {}
        }
    }
}

impl Lane {
    /// Takes in that the engine sends a segment to the app.
    fn sends(&mut self, segment: &Segment, payload: usize) {
        let opens = segment.flags.contains(Flags::SYN);
        let sequence = opens || segment.flags.contains(Flags::FIN);
        let end = segment
            .seq
            .wrapping_add(payload as u32 + u32::from(sequence));
        if opens {
            self.own = Some(segment.seq);
        }
        if opens || end.wrapping_sub(self.sent).cast_signed() > 0 {
            self.sent = end;
        }
    }

    /// What acknowledges here what `ack` acknowledged there; nothing that was not sent yet, which would void the segment.
    fn translated(&self, ack: u32) -> Option<u32> {
        let ack = ack.wrapping_sub(self.recorded?).wrapping_add(self.own?);
        let early = ack.wrapping_sub(self.sent).cast_signed() > 0;
        Some(if early { self.sent } else { ack })
    }
}

/// Has a segment acknowledge what the engine at hand sent, in place of what the recorded one did. The checksum stays as
/// right or wrong as it was (RFC 1624).
fn translate(ip: &mut [u8], lanes: &HashMap<Pair, Lane, Seeded>) {
    let Ok(captured) = wire::parse_captured(ip) else {
        return;
    };
    let Packet::Tcp(segment) = captured.packet else {
        return;
    };
    let before = segment.ack;
    let lane = lanes.get(&segment.pair);
    let Some(after) = lane
        .filter(|_| segment.flags.contains(Flags::ACK))
        .and_then(|lane| lane.translated(before))
    else {
        return;
    };
    // The header ends where the payload begins, and says itself how long it is: the only length that leads back to it.
    let end = segment.payload.start as usize;
    let start = (20..=60).step_by(4).find_map(|len| {
        let start = end.checked_sub(len)?;
        let header = ip.get(start..end)?;
        let fits = usize::from(*header.get(12)? >> 4) * 4 == len
            && header.get(4..8)? == segment.seq.to_be_bytes()
            && header.get(8..12)? == before.to_be_bytes()
            && header.get(..2)? == segment.pair.src.port().to_be_bytes();
        fits.then_some(start)
    });
    let Some(header) = start.and_then(|start| ip.get_mut(start..end)) else {
        return;
    };
    let [_, _, _, _, _, _, _, _, a, b, c, d, _, _, _, _, x, y, ..] = header else {
        return;
    };
    let halves = |word: u32| [(word >> 16) as u16, word as u16];
    let mut sum = u32::from(!u16::from_be_bytes([*x, *y]));
    for (old, new) in halves(before).into_iter().zip(halves(after)) {
        sum += u32::from(!old) + u32::from(new);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    [*a, *b, *c, *d] = after.to_be_bytes();
    [*x, *y] = (!(sum as u16)).to_be_bytes();
}

/// Stands in for the resolvers that were asked: nothing is sent to it (RFC 5737).
const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)), 53);
/// Packets in the device's queue believed.
const MOST_QUEUED: usize = 1 << 20;
/// Resolvers believed.
const MOST_RESOLVERS: usize = 64;
/// Parts of one write.
const PARTS: usize = 128;
