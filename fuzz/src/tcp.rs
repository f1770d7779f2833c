//! The relay against an independent TCP (smoltcp, as the app) and a model of the byte stream (as the remote end), with a
//! fake clock and a link that loses, duplicates, delays and reorders.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io::{ErrorKind, IoSlice},
    sync::{Arc, OnceLock},
    time::Duration,
};

use smoltcp::{
    iface::{Interface, SocketHandle, SocketSet},
    phy::{self, DeviceCapabilities, Medium},
    socket::tcp,
    time::Instant,
    wire::{HardwareAddress, IpAddress, IpCidr},
};
use untold::{
    detect::{Detector, Identity},
    engine::{Command, Config, Engine, Now, SocketEvent, SocketId, Transmit},
    inspect::Rules,
    policy,
    wire::{self, Checksum, Flags, MAX_HEADER, Packet, TcpOut},
};

/// A schedule of segments, losses, closes and resets: bytes arrive as they were sent, in order, all of them unless an end
/// broke off, and the end is an orderly one where both ends were.
pub fn schedule(bytes: &[u8]) {
    let plan = Plan::scheduled(bytes);
    if let Err(error) = World::new(plan.clone()).run() {
        panic!("{error} ({plan:?})");
    }
}

/// What one run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub mtu: usize,
    pub app_window: usize,
    pub up: usize,
    pub down: usize,
    /// Per mille.
    pub loss: u32,
    pub duplication: u32,
    /// Milliseconds at most, different for each packet: reordering.
    pub delay: u64,
    /// The remote end takes and gives this many bytes at a time at most.
    pub gulp: usize,
    /// The remote end stops reading now and then.
    pub slow: bool,
    pub v6: bool,
    /// The device cuts segments and computes checksums.
    pub offload: bool,
    /// The app aborts at this step, if the run takes as long.
    pub abort: Option<u64>,
    /// The remote end resets at this step, if the run takes as long.
    pub reset: Option<u64>,
    /// Decides in place of the generator as long as it lasts, two bytes at a time.
    pub script: Vec<u8>,
}

impl Plan {
    /// A schedule that a fuzzer wrote: what the run is made of first, then what the link and the ends do, turn by turn.
    pub fn scheduled(bytes: &[u8]) -> Self {
        let (head, script) = bytes.split_at(bytes.len().min(16));
        let byte = |at: usize| head.get(at).copied().unwrap_or_default();
        let pair = |at: usize| usize::from(byte(at)) << 8 | usize::from(byte(at + 1));
        let step = |at: usize| (byte(at) > 127).then(|| u64::from(byte(at) & 127));
        Self {
            seed: 0x9e37_79b9,
            mtu: [1_280, 1_500, 9_000, 65_535][usize::from(byte(0) % 4)],
            app_window: 600 + pair(1) % 40_000,
            up: pair(3) % 20_000,
            down: pair(5) % 20_000,
            loss: u32::from(byte(7)) % 150,
            duplication: u32::from(byte(8)) % 100,
            delay: u64::from(byte(9)) % 100,
            gulp: 1 + pair(10) % 20_000,
            slow: byte(12) & 1 == 1,
            v6: byte(12) & 2 == 2,
            offload: byte(12) & 4 == 4,
            abort: step(13),
            reset: step(14),
            script: script.to_vec(),
        }
    }
}

/// What a script says, then a small deterministic generator (xorshift).
struct Dice {
    script: VecDeque<u8>,
    state: u64,
}

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        if let (Some(high), Some(low)) = (self.script.pop_front(), self.script.pop_front()) {
            return (u64::from(high) << 8 | u64::from(low)) % below.max(1);
        }
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % below.max(1)
    }

    fn per_mille(&mut self, chance: u32) -> bool {
        self.roll(1_000) < u64::from(chance)
    }
}

/// One direction of the faulty link.
#[derive(Default)]
struct Link {
    queue: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
    count: u64,
}

impl Link {
    fn send(&mut self, packet: Vec<u8>, now: u64, plan: &Plan, dice: &mut Dice) {
        if dice.per_mille(plan.loss) {
            return;
        }
        let copies = 1 + u32::from(dice.per_mille(plan.duplication));
        for _ in 0..copies {
            self.count += 1;
            let at = now
                + if plan.delay == 0 {
                    0
                } else {
                    dice.roll(plan.delay)
                };
            self.queue.push(Reverse((at, self.count, packet.clone())));
        }
    }

    fn due(&mut self, now: u64) -> Option<Vec<u8>> {
        let ready = self
            .queue
            .peek()
            .is_some_and(|Reverse((at, ..))| *at <= now);
        ready
            .then(|| self.queue.pop().map(|Reverse((_, _, packet))| packet))
            .flatten()
    }

    fn next(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }
}

/// The app's network card: what it sends is collected, what it receives was put there.
struct Card {
    mtu: usize,
    inbox: VecDeque<Vec<u8>>,
    outbox: Vec<Vec<u8>>,
}

struct Received(Vec<u8>);
struct Sent<'a>(&'a mut Vec<Vec<u8>>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push(packet);
        result
    }
}

impl phy::Device for Card {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sent<'_>)> {
        let packet = self.inbox.pop_front()?;
        Some((Received(packet), Sent(&mut self.outbox)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.outbox))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

/// The remote end, as the engine's shell shows it.
#[derive(Default)]
struct Remote {
    id: Option<SocketId>,
    connected: bool,
    /// What the app's bytes became.
    got: Vec<u8>,
    got_fin: bool,
    to_send: VecDeque<u8>,
    sent_fin: bool,
    blocked: bool,
    closed: Option<bool>,
}

/// The app, the link, the engine and the remote end.
pub struct World {
    plan: Plan,
    dice: Dice,
    now: u64,
    engine: Engine,
    card: Card,
    iface: Interface,
    sockets: SocketSet<'static>,
    app: SocketHandle,
    up: Link,
    down: Link,
    remote: Remote,
    written: usize,
    read: Vec<u8>,
    app_closed: bool,
    /// The app was through with the connection, TIME-WAIT included, before the relay was.
    app_forgot: bool,
    /// What the app sends, and what the remote end sends.
    sent: [Vec<u8>; 2],
    /// How much of what came was compared with it.
    compared: [usize; 2],
}

fn bytes(len: usize, salt: u8) -> Vec<u8> {
    (0..len)
        .map(|n| (n.wrapping_mul(31) >> 3) as u8 ^ salt)
        .collect()
}

impl World {
    /// Both ends, ready to begin.
    pub fn new(plan: Plan) -> Self {
        let config = Config {
            seed: plan.seed,
            mtu: plan.mtu,
            queue: 500,
            dns: Vec::new(),
            resolvers: Vec::new(),
            can_ask: false,
        };
        let mut engine = Engine::new(config);
        engine.set_rules(rules(), Now::default());
        engine.set_offload(plan.offload);
        let mut card = Card {
            mtu: plan.mtu,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
        };
        let mut iface = Interface::new(
            smoltcp::iface::Config::new(HardwareAddress::Ip),
            &mut card,
            Instant::ZERO,
        );
        let (own, gateway, remote): (IpCidr, IpAddress, IpAddress) = match plan.v6 {
            false => (
                "192.0.2.1/24".parse().unwrap(),
                "192.0.2.9".parse().unwrap(),
                "203.0.113.7".parse().unwrap(),
            ),
            true => (
                "2001:db8::1/64".parse().unwrap(),
                "2001:db8::9".parse().unwrap(),
                "2001:db8:1::7".parse().unwrap(),
            ),
        };
        iface.update_ip_addrs(|addresses| addresses.push(own).unwrap());
        match gateway {
            IpAddress::Ipv4(gateway) => iface
                .routes_mut()
                .add_default_ipv4_route(gateway)
                .map(drop)
                .unwrap(),
            IpAddress::Ipv6(gateway) => iface
                .routes_mut()
                .add_default_ipv6_route(gateway)
                .map(drop)
                .unwrap(),
        }
        let buffer = |len| tcp::SocketBuffer::new(vec![0; len]);
        let mut socket = tcp::Socket::new(buffer(plan.app_window), buffer(plan.app_window));
        socket.set_timeout(None);
        socket
            .connect(iface.context(), (remote, 80), 49_152)
            .unwrap();
        let mut sockets = SocketSet::new(Vec::new());
        let app = sockets.add(socket);
        let sent = [bytes(plan.up, 0x3c), bytes(plan.down, 0xa5)];
        let remote = Remote {
            to_send: sent[1].clone().into(),
            ..Remote::default()
        };
        Self {
            dice: Dice {
                script: plan.script.clone().into(),
                state: plan.seed | 1,
            },
            now: 0,
            engine,
            card,
            iface,
            sockets,
            app,
            up: Link::default(),
            down: Link::default(),
            remote,
            written: 0,
            read: Vec::new(),
            app_closed: false,
            app_forgot: false,
            sent,
            compared: [0; 2],
            plan,
        }
    }

    fn clock(&self) -> Now {
        Now {
            mono: Duration::from_millis(self.now),
            wall: 0,
        }
    }

    /// The app writes what it can, reads what there is, and closes when it has written all.
    fn app(&mut self) {
        let time = Instant::from_millis(self.now as i64);
        while let Some(packet) = self.down.due(self.now) {
            self.card.inbox.push_back(packet);
        }
        self.iface.poll(time, &mut self.card, &mut self.sockets);
        let socket = self.sockets.get_mut::<tcp::Socket>(self.app);
        let all = &self.sent[0];
        if socket.can_send() && self.written < all.len() {
            self.written += socket.send_slice(&all[self.written..]).unwrap();
        }
        while socket.can_recv() {
            let mut room = [0; 4_096];
            let n = socket.recv_slice(&mut room).unwrap();
            self.read.extend_from_slice(&room[..n]);
        }
        if self.written == all.len() && socket.may_send() && !self.app_closed {
            socket.close();
            self.app_closed = true;
        }
        self.iface.poll(time, &mut self.card, &mut self.sockets);
        for packet in self.card.outbox.drain(..) {
            self.up.send(packet, self.now, &self.plan, &mut self.dice);
        }
    }

    /// The shell: packets in batches, then everything the engine wants.
    fn shell(&mut self) {
        let clock = self.clock();
        self.engine.handle_timeout(clock);
        self.drain();
        loop {
            let mut n = 0;
            for slot in self.engine.rx_slots() {
                let Some(packet) = self.up.due(self.now) else {
                    break;
                };
                slot.bytes[..packet.len()].copy_from_slice(&packet);
                slot.len = packet.len();
                n += 1;
            }
            if n == 0 {
                break;
            }
            self.engine.handle_packets(n, clock);
            self.drain();
        }
        self.remote_speaks();
        self.drain();
    }

    fn drain(&mut self) {
        let clock = self.clock();
        loop {
            let mut idle = true;
            while let Some(command) = self.engine.poll_command() {
                idle = false;
                match command {
                    Command::Connect { socket, .. } => {
                        self.remote.id = Some(socket);
                        self.remote.connected = true;
                        self.engine
                            .handle_socket(socket, SocketEvent::Connected, clock);
                    }
                    Command::Shutdown { .. } => self.remote.got_fin = true,
                    Command::Close { reset, .. } => self.remote.closed = Some(reset),
                    other => panic!("unexpected {other:?}"),
                }
            }
            while let Some(socket) = self.engine.poll_send() {
                idle = false;
                self.remote_takes(socket);
            }
            while self.engine.poll_recv().is_some() {
                idle = false;
                self.remote_speaks();
            }
            while let Some(packet) = self.engine.poll_packet() {
                idle = false;
                for whole in cut(&packet) {
                    assert!(whole.len() <= self.plan.mtu, "a packet longer than the MTU");
                    self.down.send(whole, self.now, &self.plan, &mut self.dice);
                }
            }
            if idle {
                return;
            }
        }
    }

    fn remote_takes(&mut self, socket: SocketId) {
        let clock = self.clock();
        if self.plan.slow && self.dice.per_mille(300) {
            self.remote.blocked = true;
            return self.engine.sent(socket, Err(ErrorKind::WouldBlock), clock);
        }
        let most = 1 + self.dice.roll(self.plan.gulp as u64) as usize;
        let mut taken = 0;
        {
            let mut parts = [IoSlice::new(&[]); 8];
            let count = self.engine.send_parts(socket, &mut parts);
            for part in &parts[..count] {
                let here = part.len().min(most - taken);
                self.remote.got.extend_from_slice(&part[..here]);
                taken += here;
            }
        }
        assert!(taken > 0, "a socket was named that has nothing to go");
        self.engine.sent(socket, Ok(taken), clock);
    }

    fn remote_speaks(&mut self) {
        let clock = self.clock();
        let Some(socket) = self
            .remote
            .id
            .filter(|_| self.remote.connected && self.remote.closed.is_none())
        else {
            return;
        };
        // Edge-triggered: said once, a while after the socket had refused.
        if self.remote.blocked && self.dice.per_mille(500) {
            self.remote.blocked = false;
            self.engine
                .handle_socket(socket, SocketEvent::Writable, clock);
        }
        while !self.remote.sent_fin {
            let most = 1 + self.dice.roll(self.plan.gulp as u64) as usize;
            let Some(room) = self.engine.recv_room(socket) else {
                return;
            };
            let n = room.len().min(most).min(self.remote.to_send.len());
            for (place, byte) in room.iter_mut().zip(self.remote.to_send.drain(..n)) {
                *place = byte;
            }
            self.remote.sent_fin = n == 0;
            self.engine.received(socket, Ok(n), clock);
        }
    }

    fn is_over(&self) -> bool {
        self.remote.closed.is_some() && !self.sockets.get::<tcp::Socket>(self.app).is_active()
    }

    /// Whether the relay gave up on an app that so bad a link kept from answering: no orderly end follows, and what the app
    /// tries then is another connection.
    fn has_given_up(&self) -> bool {
        self.remote.closed == Some(true) && self.now >= GIVES_UP
    }

    /// The app gives up, or the remote end resets the connection, where the plan says so at this step.
    fn break_off(&mut self, step: u64) {
        if self.plan.abort == Some(step) {
            self.sockets.get_mut::<tcp::Socket>(self.app).abort();
            self.app_closed = true;
        }
        let clock = self.clock();
        if let (true, Some(socket), None) = (
            self.plan.reset == Some(step),
            self.remote.id,
            self.remote.closed,
        ) {
            self.remote.sent_fin = true;
            // A shell reads into the room, and so asks for it first.
            let _ = self.engine.recv_room(socket);
            let reset = Err(ErrorKind::ConnectionReset);
            self.engine.received(socket, reset, clock);
            self.drain();
        }
    }

    /// What has come since the last time is what was sent there.
    fn compare(&mut self) -> Result<(), &'static str> {
        let ends = [
            (
                &self.remote.got,
                "the remote end got other bytes than the app sent",
            ),
            (
                &self.read,
                "the app got other bytes than the remote end sent",
            ),
        ];
        for ((came, wrong), (sent, compared)) in ends
            .into_iter()
            .zip(self.sent.iter().zip(&mut self.compared))
        {
            if sent.get(*compared..came.len()) != Some(&came[*compared..]) {
                return Err(wrong);
            }
            *compared = came.len();
        }
        Ok(())
    }

    /// Runs to the end, comparing bytes all the time.
    ///
    /// # Errors
    /// What went wrong.
    pub fn run(&mut self) -> Result<(), String> {
        let whole = self.plan.abort.is_none() && self.plan.reset.is_none();
        // An hour of fake time, in steps to the next thing that happens.
        for step in 0u64.. {
            if self.now >= 3_600_000 || self.is_over() {
                break;
            }
            self.break_off(step);
            self.app();
            self.shell();
            self.app();
            self.compare()?;
            let is_active = self.sockets.get::<tcp::Socket>(self.app).is_active();
            self.app_forgot |= !is_active && self.remote.closed.is_none();
            if self.has_given_up() {
                return Ok(());
            }
            let engine = self
                .engine
                .poll_timeout()
                .map(|at| at.as_millis() as u64 + 1);
            let app = self
                .iface
                .poll_at(Instant::from_millis(self.now as i64), &self.sockets);
            let app = app.map(|at| at.total_millis() as u64);
            let busy = self.remote.blocked && self.remote.closed.is_none();
            let next = [
                engine,
                app,
                self.up.next(),
                self.down.next(),
                busy.then_some(self.now + 5),
            ];
            let next = next.into_iter().flatten().min();
            if next.is_none() && !whole {
                // Whoever is left waits for somebody who is gone.
                break;
            }
            let next = next.unwrap_or(self.now + 100);
            self.now = next.max(self.now + 1).min(self.now + 10_000);
        }
        if !whole {
            return Ok(());
        }
        for (what, came, sent) in [
            ("of the app", self.remote.got.len(), self.plan.up),
            ("for the app", self.read.len(), self.plan.down),
        ] {
            if came != sent {
                return Err(format!("bytes {what} were lost: {came} of {sent} came"));
            }
        }
        if !self.remote.got_fin {
            return Err("the app's FIN was not passed on".into());
        }
        // Asked once more for an ACK that was lost, an app that has forgotten the connection resets it.
        if self.remote.closed != Some(false) && !self.app_forgot {
            return Err(format!("no orderly end: {:?}", self.remote.closed));
        }
        Ok(())
    }
}

/// Milliseconds after which a SYN-ACK that was repeated in vain is given up: 1 + 2 + 4 + 8 + 16 + 32 s (RFC 6298, 5.5).
const GIVES_UP: u64 = 63_000;

/// The default policy, and nobody's identity: the same for every world.
fn rules() -> Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    let make = || Rules {
        detector: Arc::new(Detector::new(&Identity::default(), &[0; 32])),
        policy: Arc::new(
            policy::Policy::new(policy::Config::default_policy(), Vec::new()).unwrap(),
        ),
    };
    RULES.get_or_init(make).clone()
}

/// What a device does with a packet: it computes the checksum that was left to it, and cuts a long segment.
fn cut(packet: &Transmit<'_>) -> Vec<Vec<u8>> {
    let mut header = packet.header.to_vec();
    packet.offload.complete(&mut header, packet.payload);
    let whole = [&header, packet.payload].concat();
    let [.., low, high, _, _, _, _] = packet.offload.to_bytes();
    let size = usize::from(u16::from_ne_bytes([low, high]));
    if size == 0 {
        return vec![whole];
    }
    let Ok(Packet::Tcp(segment)) = wire::parse(&whole, Checksum::Verify) else {
        panic!("a long packet that is no segment, or is damaged");
    };
    let last = packet.payload.len().div_ceil(size) - 1;
    let pieces = packet.payload.chunks(size).enumerate();
    let cut = pieces.map(|(number, piece)| {
        let ends = Flags::FIN.0 | Flags::PSH.0;
        let flags = match number == last {
            true => segment.flags,
            false => Flags(segment.flags.0 & !ends),
        };
        let tcp = TcpOut {
            pair: segment.pair,
            seq: segment.seq.wrapping_add((number * size) as u32),
            ack: segment.ack,
            flags,
            window: segment.window,
            mss: None,
            window_scale: None,
        };
        let mut header = [0; MAX_HEADER];
        let length = wire::emit_tcp(&mut header, &tcp, piece);
        [&header[..length], piece].concat()
    });
    cut.collect()
}
