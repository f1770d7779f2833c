//! One thread, one poll instance, one engine.

mod change;
mod sockets;

use std::{
    io::{self, ErrorKind, IoSlice},
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{Events, Poll, Token, Waker};
use socket2::{SockAddr, SockRef};

use super::{
    EventSink, Options, Protect, Request, descriptors, device::Device, finder::Finder,
    record::Tape, socket::Upstream,
};
use crate::{
    engine::{
        Engine, Now, SocketId,
        recording::{Basis, Note, Start},
    },
    event::{ErrorEvent, Event},
    wire::MAX_HEADER,
};

/// Carries bytes and time between the engine and the machine.
pub(super) struct Reactor {
    engine: Engine,
    poll: Poll,
    device: Device,
    protect: Box<dyn Protect>,
    sink: Option<SocketAddr>,
    events: Arc<EventSink>,
    inbox: Receiver<Request>,
    finder: Option<Finder>,
    /// By index of their id.
    sockets: Vec<Option<(SocketId, Upstream)>>,
    /// Sockets that may have something to read.
    ready: Vec<SocketId>,
    clock: Clock,
    tape: Tape,
}

/// The two clocks, as last read for the engine.
struct Clock {
    started: Instant,
    last: Now,
}

impl Clock {
    fn read(&mut self) -> Now {
        let wall = since_epoch().as_secs();
        let mono = self.started.elapsed();
        self.last = Now { mono, wall };
        self.last
    }
}

const TUN: Token = Token(0);
const WAKE: Token = Token(1);
/// Each socket has two tokens: its own, and that of a connection which it lives by.
const FIRST_SOCKET: usize = 2;

/// Parts of one vectored write: a batch of segments at MTU 1500.
const PARTS: usize = 128;
/// Datagrams that go at once; older kernels cut no more out of one message.
const DATAGRAMS: usize = 64;

impl Reactor {
    pub(super) fn new(
        tun: OwnedFd,
        options: Options,
        started: Instant,
        (requests, inbox): (Sender<Request>, Receiver<Request>),
    ) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let find = options.owners;
        let finder = find.map(|find| Finder::start(find, requests, waker.clone()));
        let device = Device::new(tun, TUN, poll.registry())?;
        let mut clock = Clock {
            started,
            last: Now::default(),
        };
        let sockets = descriptors::left();
        let start = Start {
            sockets: Some(sockets),
            offload: device.offloads(),
            ..Start::new(&options.config, since_epoch())
        };
        let tape = Tape::new(options.record, start);
        let mut engine = Engine::new(options.config);
        engine.set_socket_limit(sockets);
        engine.set_offload(device.offloads());
        engine.set_rules(options.rules, clock.read());
        let reactor = Self {
            engine,
            poll,
            device,
            protect: options.protect,
            sink: options.sink,
            events: Arc::new(EventSink(options.events.into())),
            inbox,
            finder: finder.transpose()?,
            sockets: Vec::new(),
            ready: Vec::new(),
            clock,
            tape,
        };
        Ok((reactor, waker))
    }

    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            let busy = self.device.ready || !self.ready.is_empty();
            let timeout = match self.deadline() {
                _ if busy => Some(Duration::ZERO),
                Some(at) => Some(at.saturating_sub(self.clock.started.elapsed())),
                None => None,
            };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let mut asked = false;
            for event in &events {
                match event.token() {
                    TUN => self.device.ready = true,
                    WAKE => asked = true,
                    Token(token) => self.socket_event(token - FIRST_SOCKET, event),
                }
            }
            if asked && self.answer_requests() {
                return Ok(());
            }
            self.give_up_on_owners();
            self.pass_time();
            self.drain();
            if self.device.ready {
                self.read_tun();
                self.drain();
            }
            for socket in std::mem::take(&mut self.ready) {
                self.read_socket(socket);
                self.drain();
            }
            self.record();
            if let Some(error) = self.device.take_end() {
                self.fail(&error);
                return Err(error);
            }
        }
    }

    /// Who gets the events.
    pub(super) fn events(&self) -> Arc<EventSink> {
        self.events.clone()
    }

    fn pass_time(&mut self) {
        let now = self.clock.read();
        if self.tape.is_on() {
            self.tape.clock(now);
            if self.engine.poll_timeout().is_some_and(|at| at <= now.mono) {
                self.tape.note(now, || Note::Tick);
            }
        }
        self.engine.handle_timeout(now);
    }

    /// When something is due, on the engine's clock.
    fn deadline(&mut self) -> Option<Duration> {
        let owner = self.finder.as_ref().and_then(Finder::deadline);
        let ours = [owner, self.device.deadline()].into_iter().flatten();
        let ours = ours.map(|at| at.saturating_duration_since(self.clock.started));
        ours.chain(self.engine.poll_timeout()).min()
    }

    /// Tells the engine that owners are unknown which were not found in time.
    fn give_up_on_owners(&mut self) {
        let Some(finder) = &mut self.finder else {
            return;
        };
        while let Some(flow) = finder.overdue(Instant::now()) {
            self.tape.owner(self.clock.read(), flow, &[]);
            self.engine.handle_owner(flow, Vec::new(), self.clock.last);
        }
    }

    /// Whether the engine is to stop.
    fn answer_requests(&mut self) -> bool {
        let now = self.clock.read();
        while let Ok(request) = self.inbox.try_recv() {
            match request {
                Request::Rules(rules) => {
                    self.tape.note(now, || Note::Rules(Basis::default()));
                    self.engine.set_rules(rules, now);
                }
                Request::Answer(question, answer) => {
                    self.tape.answer(now, question, answer);
                    self.engine.answer(question, answer, now);
                }
                Request::Memory(pressure) => {
                    self.tape.note(now, || Note::Memory { pressure });
                    self.engine.set_memory_pressure(pressure, now);
                }
                Request::Network(network) => self.change_network(network, now),
                Request::Tun(tun) => self.replace_tun(tun),
                Request::Load(answer) => {
                    // Whoever asked has given up where this fails.
                    let _ = answer.try_send(self.engine.load());
                }
                Request::Complain(message) => self.say(message),
                Request::Owner(flow, owner) => {
                    if self
                        .finder
                        .as_mut()
                        .is_some_and(|finder| finder.found(flow))
                    {
                        self.tape.owner(now, flow, &owner);
                        self.engine.handle_owner(flow, owner, now);
                    }
                }
                Request::Stop => {
                    self.finish();
                    return true;
                }
            }
        }
        false
    }

    fn finish(&mut self) {
        let now = self.clock.read();
        self.tape.note(now, || Note::Stop);
        self.engine.finish(now);
        // Whatever is left to say on the way out is said as far as the device takes it.
        self.drain();
        if let Err(error) = self.tape.finish() {
            self.recording_ended(&error);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.finish();
        self.say(format!(
            "the tun device can no longer be read ({error}): the firewall has stopped"
        ));
    }

    /// Lets what was recorded in this turn be written.
    fn record(&mut self) {
        if let Err(error) = self.tape.commit() {
            self.recording_ended(&error);
        }
    }

    fn recording_ended(&mut self, error: &io::Error) {
        self.say(format!(
            "the recording has ended ({error}): the firewall goes on without it"
        ));
    }

    fn say(&mut self, message: String) {
        let time = self.clock.started.elapsed().as_secs_f64();
        self.events.tell(Event::Error(ErrorEvent { time, message }));
    }

    fn read_tun(&mut self) {
        let mut filled = 0;
        let mut end = None;
        let slots = self.engine.rx_slots();
        let full = slots.len();
        for slot in slots {
            match self.device.read(slot, self.tape.is_on()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    end = self.device.rest(self.poll.registry()).err();
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => break,
                Err(error) => {
                    end = Some(error);
                    break;
                }
            }
            filled += 1;
        }
        if filled == full {
            self.device.unwatch(self.poll.registry());
        }
        if let Some(error) = end {
            self.device.lose(error, self.poll.registry());
        }
        if filled > 0 {
            let now = self.clock.read();
            if self.tape.is_on() {
                for slot in self.engine.rx_slots().iter().take(filled) {
                    let packet = slot.bytes.get(..slot.len).unwrap_or_default();
                    self.tape.packet(now, true, [packet, &[]]);
                }
            }
            self.engine.handle_packets(filled, now);
        }
    }

    /// Does all that the engine wants done.
    fn drain(&mut self) {
        loop {
            while let Some(command) = self.engine.poll_command() {
                self.command(command);
            }
            self.send();
            while let Some(socket) = self.engine.poll_recv() {
                self.list(socket);
            }
            self.write_tun();
            while let Some(event) = self.engine.poll_event() {
                self.tape.event(&event);
                self.events.tell(event);
            }
            // Sending may have ended flows, and so on: a round that finds nothing is the last one.
            let Some(command) = self.engine.poll_command() else {
                return;
            };
            self.command(command);
        }
    }

    fn send(&mut self) {
        while let Some(id) = self.engine.poll_send() {
            let result = {
                let mut parts = [IoSlice::new(&[]); PARTS];
                let count = self.engine.send_parts(id, &mut parts);
                match upstream(&mut self.sockets, id) {
                    Some(socket) => socket.write(&parts[..count]),
                    None => Err(ErrorKind::NotConnected.into()),
                }
            };
            let result = result.map_err(|error| error.kind());
            if result == Err(ErrorKind::Interrupted) {
                continue;
            }
            if let Err(kind) = result
                && kind != ErrorKind::WouldBlock
            {
                self.broken(id, kind);
            }
            // The moment of the input that this follows: what an event says must not hang on how fast a socket is.
            self.engine.sent(id, result, self.clock.last);
        }
        self.send_datagrams();
    }

    fn send_datagrams(&mut self) {
        let (mut lost, mut refused) = (Vec::new(), Vec::new());
        loop {
            let mut payloads = [IoSlice::new(&[]); DATAGRAMS];
            let Some(outgoing) = self.engine.poll_datagrams(&mut payloads) else {
                break;
            };
            let (id, to, whole) = (outgoing.socket, outgoing.to, outgoing.whole);
            let Some(upstream) = upstream(&mut self.sockets, id) else {
                continue;
            };
            let payloads = payloads.get(..outgoing.count).unwrap_or_default();
            if payloads.len() > 1 && upstream.send_all_to(payloads, to, whole).is_ok() {
                continue;
            }
            for payload in payloads {
                let mut sent = upstream.send_to(payload, to, whole);
                if sent
                    .as_ref()
                    .is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
                {
                    // It may be about an earlier datagram, for somebody else: then this one is sent again. What this
                    // machine refuses by itself is about this one.
                    let told: Vec<_> = std::iter::from_fn(|| upstream.refused()).collect();
                    let own = told.iter().any(|refused| refused.to.port() == 0);
                    if !own && !told.is_empty() {
                        sent = upstream.send_to(payload, to, whole);
                    }
                    for told in told {
                        let to = if told.to.port() == 0 { to } else { told.to };
                        refused.push((id, to, told.why));
                    }
                }
                if let Err(error) = sent {
                    lost.push((id, error.kind()));
                }
            }
        }
        for (socket, why) in lost {
            self.engine.datagram_lost(socket, why);
        }
        for (socket, to, why) in refused {
            self.engine
                .handle_unreachable(socket, to, why, self.clock.last);
        }
    }

    fn write_tun(&mut self) {
        let mut end = None;
        while let Some(packet) = self.engine.poll_packet() {
            if self.tape.is_on() {
                let mut whole = [0; MAX_HEADER];
                let parts = match whole.get_mut(..packet.header.len()) {
                    Some(header) => {
                        header.copy_from_slice(packet.header);
                        packet.offload.complete(header, packet.payload);
                        [&*header, packet.payload]
                    }
                    // Longer than any header: a packet in one part, complete as it is.
                    None => [packet.header, packet.payload],
                };
                self.tape.packet(self.clock.last, false, parts);
            }
            if let Err(error) = self.device.write(&packet) {
                // A full queue, no memory, an interface that is down for a moment: the packet is lost, as on any link.
                self.engine.packet_lost();
                let dead = [Some(libc::EBADF), Some(libc::EBADFD), Some(libc::ENODEV)];
                if dead.contains(&error.raw_os_error()) || error.kind() == ErrorKind::BrokenPipe {
                    end = Some(error);
                }
            }
        }
        if let Some(error) = end {
            self.device.lose(error, self.poll.registry());
        }
    }
}

fn index(id: SocketId) -> usize {
    id.to_bits() as u32 as usize
}

fn upstream(sockets: &mut [Option<(SocketId, Upstream)>], id: SocketId) -> Option<&mut Upstream> {
    let (open, upstream) = sockets.get_mut(index(id))?.as_mut()?;
    (*open == id).then_some(upstream)
}

/// The wall clock; a machine that is set to before 1970 has none.
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Receives into initialised memory, which socket2 does not offer with an address.
pub(super) fn recv_from(socket: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    // SAFETY: the slice is initialised, and `recv_from` writes only initialised bytes into it.
    let room = unsafe { &mut *(std::ptr::from_mut(room) as *mut [MaybeUninit<u8>]) };
    SockRef::from(&socket).recv_from(room)
}
