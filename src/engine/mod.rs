//! The only conductor: inputs in, polls out. It holds every flow, asks `inspect` about every outbound byte, and tells
//! the shell what to do.
//!
//! The shell reads packets into [`Engine::rx_slots`], calls [`Engine::handle_packets`] for the batch, then drains
//! [`poll_command`](Engine::poll_command), [`poll_send`](Engine::poll_send), [`poll_datagrams`](Engine::poll_datagrams),
//! [`poll_recv`](Engine::poll_recv), [`poll_packet`](Engine::poll_packet) and [`poll_event`](Engine::poll_event) until
//! each gives `None`, in this order, before it reads the next batch.
#![forbid(unsafe_code)]

mod apps;
mod backoff;
mod budget;
pub mod capture;
mod control;
mod datagram;
mod dns;
mod egress;
mod icmp;
mod lookups;
mod mask;
mod names;
mod nat64;
mod network;
mod out;
mod pairs;
mod pressure;
mod questions;
mod record;
pub mod recording;
mod slots;
mod sockets;
mod tcp;
mod time_waits;
mod watch;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io::{ErrorKind, IoSlice},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{
    decode::Scratch,
    event::{Action, DropEvent, Event, Failure, Finding, FlowNumber, Proto},
    flow::{Key, Pool, Slab, Timers, still_due},
    inspect::{Notice, Rules},
    policy::Limits,
    wire::{self, MAX_HEADER, Offload, Packet, Pair, fragments::Reassembler},
};
use apps::Apps;
use backoff::Backoff;
use budget::Budget;
use control::Control;
use datagram::Datagrams;
use dns::Dns;
pub(crate) use names::{Names, Resolved, Seeded};
pub use nat64::Nat64;
pub use network::Network;
use out::Spare;
use pairs::Pairs;
pub use pressure::{Load, MemoryPressure};
pub use questions::Answer;
use questions::Questions;
pub(crate) use record::Record;
use slots::Refs;
pub use slots::Slot;
use sockets::{Owner, Sockets};
use tcp::{Batch, TcpFlow};
use time_waits::TimeWaits;

/// The two clocks, given by the shell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Monotonic, from any origin: timers.
    pub mono: Duration,
    /// Seconds since the Unix epoch: `until =`.
    pub wall: u64,
}

/// What an engine is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Randomness from the shell: initial sequence numbers, DNS ids, hash tables.
    pub seed: u64,
    /// Largest packet the device takes, in bytes.
    pub mtu: usize,
    /// Packets the device queues towards us (`txqueuelen`).
    pub queue: usize,
    /// Addresses, inside the tunnel, at which DNS is answered.
    pub dns: Vec<IpAddr>,
    /// Where those questions go; with none, they are answered SERVFAIL.
    pub resolvers: Vec<SocketAddr>,
    /// Whether somebody answers questions.
    pub can_ask: bool,
}

/// Names a socket of the shell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(Key);

impl SocketId {
    /// One word, for poll tokens.
    pub fn to_bits(self) -> u64 {
        self.0.to_bits()
    }

    /// The reverse of [`SocketId::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Self(Key::from_bits(bits))
    }
}

/// Names a flow whose owner is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(Waiter);

#[cfg(test)]
impl OwnerId {
    pub(crate) fn of_flow(number: u64) -> Self {
        Self(Waiter::Tcp(Key::from_bits(number)))
    }
}

/// A flow that waits for an owner or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Waiter {
    Tcp(Key),
    Datagrams(Key),
}

/// What a flow waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Nothing,
    /// Its owner; the shell's deadline is shorter than this one.
    Owner {
        until: Duration,
    },
    Question {
        asked: Duration,
    },
}

impl Wait {
    /// Longest wait for [`Engine::handle_owner`]: the flow then belongs to nobody known.
    const OWNER: Duration = Duration::from_secs(1);

    fn deadline(self) -> Option<Duration> {
        match self {
            Wait::Owner { until } => Some(until),
            Wait::Nothing | Wait::Question { .. } => None,
        }
    }
}

/// What the shell has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Opens a stream socket, protects it and starts to connect; [`SocketEvent`] says how that went.
    Connect {
        /// Its name from now on.
        socket: SocketId,
        /// Whom to connect to.
        to: SocketAddr,
    },
    /// As [`Command::Connect`], through a proxy, which [`Engine::proxy`] and [`Engine::target`] tell of. Only
    /// [`SocketEvent::Connected`] says that the remote end is reached.
    ConnectVia {
        /// Its name from now on.
        socket: SocketId,
        /// Where the proxy listens, on the network at hand.
        to: SocketAddr,
    },
    /// Opens a datagram socket on a port of the kernel's choice.
    OpenUdp {
        /// Its name from now on.
        socket: SocketId,
        /// Which family.
        v6: bool,
        /// The only peer, if there is only one.
        to: Option<SocketAddr>,
    },
    /// As [`Command::OpenUdp`], through the proxy of [`Engine::proxy`], to any peer; takes two descriptors.
    OpenUdpVia {
        /// Its name from now on.
        socket: SocketId,
        /// Where the proxy listens, on the network at hand.
        to: SocketAddr,
    },
    /// Opens an unprivileged ICMP echo socket.
    OpenEcho {
        /// Its name from now on.
        socket: SocketId,
        /// Which family.
        v6: bool,
    },
    /// Finds out whose a flow is, off the engine's thread, and tells [`Engine::handle_owner`] in any case.
    FindOwner {
        /// Names the flow.
        flow: OwnerId,
        /// Transport protocol.
        proto: Proto,
        /// As on the wire; ports are 0 for ICMP.
        pair: Pair,
    },
    /// Closes the sending half.
    Shutdown {
        /// Which.
        socket: SocketId,
    },
    /// Closes, and forgets the name.
    Close {
        /// Which.
        socket: SocketId,
        /// With a reset, so that the remote end cannot take what it got for the whole.
        reset: bool,
    },
}

/// What happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// The connection stands.
    Connected,
    /// It could not be opened, protected or connected.
    Failed(ErrorKind),
    /// The proxy did not open the way, or closed it.
    ProxyFailed(Failure),
    /// It takes bytes again.
    Writable,
    /// Something sent earlier came back as an ICMP error.
    Unreachable(ErrorKind),
}

/// A packet for the device, in two parts.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// IP and transport headers, or the whole packet.
    pub header: &'a [u8],
    /// What follows them.
    pub payload: &'a [u8],
    /// What is left to a device that offloads; all else is done.
    pub offload: Offload,
}

/// Datagrams for a socket.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Which socket.
    pub socket: SocketId,
    /// Whom they are for.
    pub to: SocketAddr,
    /// How many.
    pub count: usize,
    /// Whether each must go in one piece: where the path carries less, that is told by [`Engine::handle_unreachable`].
    pub whole: bool,
}

/// The firewall, without the machine: no descriptor, no clock, no thread.
pub struct Engine {
    config: Config,
    limits: Limits,
    rules: Option<Rules>,
    now: Now,
    /// Time of the first packet.
    began: Option<Duration>,
    random: u64,

    slots: Vec<Slot>,
    refs: Refs,
    batch: Batch,
    spare: Spare,
    pool: Pool,
    fragments: Reassembler,
    names: Names,
    budget: Budget,

    flows: Slab<TcpFlow>,
    by_pair: Pairs,
    time_waits: TimeWaits,
    datagrams: Datagrams,
    dns: Dns,
    questions: Questions,
    sockets: Sockets,
    apps: Apps,
    backoff: Backoff,
    timers: Timers<TimerKey>,
    last_flow: FlowNumber,
    /// Bytes accepted and not yet sent, over all flows.
    buffered: usize,
    /// Bytes that inspection holds.
    held: usize,
    /// Bytes of apps that came before those that precede them.
    early: usize,
    /// Connections whose SYN is not answered yet.
    parked: usize,
    /// Connections that wait for a proxy, by the remote end.
    proxied: HashMap<SocketAddr, usize, Seeded>,
    pressure: MemoryPressure,
    nat64: Option<Nat64>,
    /// The device computes checksums and cuts segments.
    offload: bool,

    commands: VecDeque<Command>,
    sends: VecDeque<Key>,
    recvs: VecDeque<Key>,
    /// Flows whose socket waits for a chunk of the pool.
    starved: VecDeque<Key>,
    transmits: VecDeque<Key>,
    control: Control,
    events: VecDeque<Event>,
    notices: Vec<Notice>,
    /// Buffers that inspection decodes into.
    decoding: Scratch,
    drops: BTreeMap<&'static str, u64>,

    header: [u8; MAX_HEADER],
    packet: Vec<u8>,
    scratch: Box<[u8]>,
}

/// Whose a deadline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TimerKey {
    Tcp(Key),
    Datagrams(Key),
    Dns,
    TimeWait,
    Fragments,
    Questions,
}

impl Engine {
    /// An engine without a policy: everything is dropped until [`Engine::set_rules`].
    pub fn new(config: Config) -> Self {
        let limits = Limits::default();
        let mtu = config.mtu.clamp(1_280, LONGEST);
        let seed = config.seed;
        Self {
            slots: slots::arena(mtu),
            refs: Refs::default(),
            batch: Batch::default(),
            spare: Spare::default(),
            pool: Pool::new(limits.buffers_total),
            fragments: Reassembler::default(),
            names: Names::new(seed),
            budget: Budget::new(config.queue, mtu),
            flows: Slab::new(),
            by_pair: Pairs::new(seed),
            time_waits: TimeWaits::new(seed),
            datagrams: Datagrams::new(seed),
            dns: Dns::new(seed),
            questions: Questions::default(),
            sockets: Sockets::new(),
            apps: Apps::new(seed),
            backoff: Backoff::new(seed),
            timers: Timers::new(),
            last_flow: 0,
            buffered: 0,
            held: 0,
            early: 0,
            parked: 0,
            proxied: HashMap::with_hasher(Seeded(seed)),
            pressure: MemoryPressure::None,
            nat64: None,
            offload: false,
            commands: VecDeque::new(),
            sends: VecDeque::new(),
            recvs: VecDeque::new(),
            starved: VecDeque::new(),
            transmits: VecDeque::new(),
            control: Control::default(),
            events: VecDeque::new(),
            notices: Vec::new(),
            decoding: Scratch::default(),
            drops: BTreeMap::new(),
            header: [0; MAX_HEADER],
            packet: Vec::new(),
            scratch: vec![0; 65_536].into_boxed_slice(),
            config: Config { mtu, ..config },
            limits,
            rules: None,
            now: Now::default(),
            began: None,
            random: seed,
        }
    }

    /// Puts a policy and an identity in force, between two packets. Flows in progress are judged again on what is
    /// known of them; one that may not go on is ended.
    pub fn set_rules(&mut self, rules: Rules, now: Now) {
        self.now = now;
        self.rules = Some(rules);
        self.apply_limits();
        self.judge_questions_again();
        self.judge_tcp_again();
        self.judge_datagrams_again();
    }

    /// Whether the device takes, and gives, TCP segments of up to 64 KiB and packets without checksums. To be said before
    /// the first packet, or after everything is drained.
    pub fn set_offload(&mut self, offload: bool) {
        if self.offload != offload {
            self.offload = offload;
            self.settle();
            self.slots = slots::arena(if offload { LONGEST } else { self.config.mtu });
        }
    }

    /// Where the shell reads packets into: fill from the front.
    pub fn rx_slots(&mut self) -> &mut [Slot] {
        self.settle();
        let last = self.slots.len() - 1;
        &mut self.slots[..last]
    }

    /// Takes the packets in the first `n` slots.
    pub fn handle_packets(&mut self, n: usize, now: Now) {
        self.now = now;
        self.began.get_or_insert(now.mono);
        for slot in 0..n.min(self.slots.len() - 1) {
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.fragmentable = false;
            }
            self.handle_slot(slot);
        }
        self.judge_batch();
    }

    /// A socket that has bytes to go.
    pub fn poll_send(&mut self) -> Option<SocketId> {
        self.poll_tcp_send()
    }

    /// The bytes that `socket` has to send, as parts for one vectored write; returns how many parts.
    pub fn send_parts<'a>(&'a self, socket: SocketId, parts: &mut [IoSlice<'a>]) -> usize {
        self.tcp_send_parts(socket, parts)
    }

    /// How the write of [`Engine::send_parts`] went.
    pub fn sent(&mut self, socket: SocketId, result: Result<usize, ErrorKind>, now: Now) {
        self.now = now;
        self.tcp_sent(socket, result);
    }

    /// The next datagrams to send, as many as follow each other by one socket to one peer and fit into `payloads`: UDP
    /// payloads, or one ICMP echo message whose identifier the kernel fills in. All but the last are of the same length,
    /// the last is no longer, and together they are no longer than a datagram may be: so the kernel can cut them out of
    /// one message.
    pub fn poll_datagrams<'a>(&'a mut self, payloads: &mut [IoSlice<'a>]) -> Option<Outgoing> {
        self.datagrams.poll(&self.slots, payloads)
    }

    /// A socket that has room again: whatever it has to read should be read now.
    pub fn poll_recv(&mut self) -> Option<SocketId> {
        self.poll_tcp_recv()
    }

    /// Room to receive into; `None` while the app takes no more, after which [`Engine::poll_recv`] will name the socket.
    pub fn recv_room(&mut self, socket: SocketId) -> Option<&mut [u8]> {
        self.tcp_recv_room(socket)
    }

    /// How the read into [`Engine::recv_room`] went: `Ok(0)` is the remote end's FIN.
    pub fn received(&mut self, socket: SocketId, result: Result<usize, ErrorKind>, now: Now) {
        self.now = now;
        self.tcp_received(socket, result);
    }

    /// Room to receive datagrams of one peer into.
    pub fn datagram_room(&mut self) -> &mut [u8] {
        &mut self.scratch
    }

    /// As [`Engine::handle_datagrams`], for a single one.
    pub fn handle_datagram(&mut self, socket: SocketId, from: SocketAddr, len: usize, now: Now) {
        self.handle_datagrams(socket, from, len, len, now);
    }

    /// The first `len` bytes of [`Engine::datagram_room`] came to `socket`: datagrams of `each` bytes, but for the last,
    /// which may be shorter.
    pub fn handle_datagrams(
        &mut self,
        socket: SocketId,
        from: SocketAddr,
        len: usize,
        each: usize,
        now: Now,
    ) {
        self.now = now;
        match self.sockets.get(socket.0) {
            Some(Owner::Mapping(key)) => {
                let each = each.max(1);
                // One at least: a datagram may be empty.
                for start in (0..len.max(1)).step_by(each) {
                    self.inbound_datagram(key, from, start..len.min(start + each));
                }
            }
            Some(Owner::Dns(index)) => self.dns_reply(index.into(), from, len),
            Some(Owner::Tcp(_)) | None => {}
        }
    }

    /// Something happened to a socket.
    pub fn handle_socket(&mut self, socket: SocketId, event: SocketEvent, now: Now) {
        self.now = now;
        match self.sockets.get(socket.0) {
            Some(Owner::Tcp(key)) => self.tcp_socket(key, event),
            Some(Owner::Mapping(key)) => self.mapping_socket(key, event),
            Some(Owner::Dns(index)) => self.dns_socket(index.into(), event),
            None => {}
        }
    }

    /// Whose a flow is, in answer to [`Command::FindOwner`]: executable or package names, `uid:N`, `system`; empty where
    /// that could not be found out in time.
    pub fn handle_owner(&mut self, flow: OwnerId, owner: Vec<Arc<str>>, now: Now) {
        self.now = now;
        match flow.0 {
            Waiter::Tcp(key) => self.tcp_owner(key, owner),
            Waiter::Datagrams(key) => self.datagrams_owner(key, owner),
        }
    }

    /// Time has come to [`Engine::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        while let Some((at, key)) = self.timers.expire(now.mono) {
            match key {
                TimerKey::Tcp(key) => self.tcp_timeout(key, at),
                TimerKey::Datagrams(key) => self.datagrams_timeout(key, at),
                TimerKey::Dns => self.dns_timeout(at),
                TimerKey::TimeWait => self.time_waits_timeout(at),
                TimerKey::Fragments => self.fragments.expire(now.mono),
                TimerKey::Questions => self.questions_timeout(at),
            }
        }
    }

    /// A packet for the device.
    pub fn poll_packet(&mut self) -> Option<Transmit<'_>> {
        if self.control.pop(&mut self.packet) {
            return Some(Transmit {
                header: &self.packet,
                payload: &[],
                offload: Offload::default(),
            });
        }
        self.poll_tcp_packet()
    }

    /// The device refused a packet of [`Engine::poll_packet`]: it is lost, and what matters is sent again.
    pub fn packet_lost(&mut self) {
        self.count("tun_refused");
    }

    /// Something for the shell to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Something to tell the world.
    pub fn poll_event(&mut self) -> Option<Event> {
        let mut event = self.events.pop_front()?;
        if let Some(rules) = &self.rules {
            mask::names(&mut event, &rules.detector);
        }
        Some(event)
    }

    /// When to call [`Engine::handle_timeout`]; `None`: never, unless something else happens.
    pub fn poll_timeout(&mut self) -> Option<Duration> {
        let Self {
            timers,
            flows,
            datagrams,
            dns,
            time_waits,
            fragments,
            questions,
            ..
        } = self;
        timers.next(|key, at| match key {
            TimerKey::Tcp(key) => {
                let flow = flows.get_mut(key)?;
                let deadline = flow.deadline();
                still_due(&mut flow.armed, at, deadline)
            }
            TimerKey::Datagrams(key) => datagrams.still_due(key, at),
            TimerKey::Dns => dns.still_due(at),
            TimerKey::TimeWait => time_waits.still_due(at),
            TimerKey::Fragments => fragments.deadline(),
            TimerKey::Questions => questions.still_due(at),
        })
    }

    /// Ends every flow and tells what was dropped.
    pub fn finish(&mut self, now: Now) {
        self.now = now;
        self.finish_tcp();
        self.finish_datagrams();
        self.finish_dns();
        let lost = self.fragments.take_dropped();
        if lost > 0 {
            *self.drops.entry("fragments").or_default() += lost;
        }
        let time = self.since_start().as_secs_f64();
        for (reason, count) in std::mem::take(&mut self.drops) {
            self.events.push_back(Event::Drop(DropEvent {
                time,
                reason,
                count,
            }));
        }
    }

    fn handle_slot(&mut self, index: usize) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if self.rules.is_none() {
            self.count("no_policy");
            return;
        }
        match wire::parse(slot.packet(), slot.checksum) {
            Ok(Packet::Tcp(segment)) => self.handle_segment(index, &segment),
            Ok(Packet::Udp(datagram)) => self.outbound_udp(index, datagram),
            Ok(Packet::Echo(echo)) => self.outbound_echo(index, echo),
            Ok(Packet::Unreachable(quoted)) => self.app_refused(&quoted),
            Ok(Packet::Fragment) => {
                let whole = self.fragments.push(slot.packet(), self.now.mono);
                if let Some(at) = self.fragments.deadline() {
                    self.timers
                        .arm(TimerKey::Fragments, at, &mut None::<Duration>);
                }
                if let Some(whole) = whole {
                    self.handle_reassembled(index, &whole);
                }
            }
            Err(reject) => self.count(reject.name()),
        }
    }

    /// Puts a packet that came in fragments into the slot of its last one.
    fn handle_reassembled(&mut self, index: usize, whole: &[u8]) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.put(whole);
            self.handle_slot(index);
        }
    }

    fn since_start(&self) -> Duration {
        self.now
            .mono
            .saturating_sub(self.began.unwrap_or(self.now.mono))
    }

    fn count(&mut self, reason: &'static str) {
        *self.drops.entry(reason).or_default() += 1;
    }

    /// What inspection holds of a flow was `before` bytes and is `after`.
    fn note_held(&mut self, app: Option<Key>, before: usize, after: usize) {
        self.held = self.held + after - before;
        if let Some(tally) = self.apps.get_mut(app) {
            tally.held = tally.held + after - before;
        }
    }

    fn next_flow(&mut self) -> FlowNumber {
        self.last_flow += 1;
        self.last_flow
    }

    /// The next number of a splitmix64 sequence from the shell's seed.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether the engine itself answers at this address.
    fn is_own(&self, address: IpAddr) -> bool {
        self.config.dns.contains(&address)
    }

    /// Where what is for `address` goes on the network at hand.
    pub(crate) fn outward(&self, address: SocketAddr) -> SocketAddr {
        self.nat64.map_or(address, |nat64| nat64.outward(address))
    }

    fn record(&mut self, pair: Pair, proto: Proto) -> Record {
        let number = self.next_flow();
        Record::new(number, pair, proto, &self.names, self.now)
    }

    /// Whether somebody has to know whose a flow is.
    fn wants_owner(&self) -> bool {
        let asked = self
            .rules
            .as_ref()
            .is_some_and(|rules| rules.policy.wants_owner());
        asked || self.config.can_ask
    }

    /// Turns what a stream met into events; findings that a person is asked about wait in `pending`.
    fn report(
        events: &mut VecDeque<Event>,
        notices: &mut Vec<Notice>,
        record: &mut Record,
        pending: &mut Vec<Finding>,
        time: Duration,
    ) {
        for notice in notices.drain(..) {
            match notice {
                Notice::Finding { finding, verdict } if verdict.action == Action::Ask => {
                    if pending.len() < MOST_PENDING {
                        pending.push(finding);
                    }
                }
                other => events.extend(record.notice(other, time)),
            }
        }
    }
}

/// Bytes of an IP packet at most.
const LONGEST: usize = 65_535;
/// Findings of one flow kept while their question is open.
const MOST_PENDING: usize = 64;
