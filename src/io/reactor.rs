//! One thread, one poll instance, one engine.

use std::{
    fs::File,
    io::{self, ErrorKind, IoSlice, Read, Write},
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{Events, Interest, Poll, Token, Waker, unix::SourceFd};
use socket2::{SockAddr, SockRef};

use super::{
    Options, Protect, Request, descriptors,
    finder::Finder,
    record::Tape,
    socket::{Kind, Upstream},
};
use crate::{
    engine::{
        Command, Engine, Now, SocketEvent, SocketId,
        recording::{Basis, Note},
    },
    event::{ErrorEvent, Event},
};

/// Carries bytes and time between the engine and the machine.
pub(super) struct Reactor {
    engine: Engine,
    poll: Poll,
    tun: File,
    tun_ready: bool,
    protect: Box<dyn Protect>,
    events: Box<dyn FnMut(Event) + Send>,
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
const FIRST_SOCKET: usize = 2;

/// Reads from one socket before the others have their turn.
const READS_A_TURN: usize = 4;
/// Datagrams from one socket before the others have their turn.
const DATAGRAMS_A_TURN: usize = 32;
/// Parts of one vectored write: a batch of segments at MTU 1500.
const PARTS: usize = 128;

impl Reactor {
    pub(super) fn new(
        tun: OwnedFd,
        options: Options,
        (requests, inbox): (Sender<Request>, Receiver<Request>),
    ) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let find = options.owners;
        let finder = find.map(|find| Finder::start(find, requests, waker.clone()));
        SockRef::from(&tun).set_nonblocking(true)?;
        poll.registry()
            .register(&mut SourceFd(&tun.as_raw_fd()), TUN, Interest::READABLE)?;
        let mut clock = Clock {
            started: Instant::now(),
            last: Now::default(),
        };
        let sockets = descriptors::left();
        let tape = Tape::new(options.record, &options.config, sockets, since_epoch());
        let mut engine = Engine::new(options.config);
        engine.set_socket_limit(sockets);
        engine.set_rules(options.rules, clock.read());
        let reactor = Self {
            engine,
            poll,
            tun: File::from(tun),
            tun_ready: true,
            protect: options.protect,
            events: options.events,
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
            let busy = self.tun_ready || !self.ready.is_empty();
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
                    TUN => self.tun_ready = true,
                    WAKE => asked = true,
                    Token(token) => self.socket_event(token - FIRST_SOCKET, event),
                }
            }
            if asked && self.answer_requests() {
                return Ok(());
            }
            self.give_up_on_owners();
            self.pass_time();
            self.drain()?;
            if self.tun_ready {
                if let Err(error) = self.read_tun() {
                    self.fail(&error);
                    return Err(error);
                }
                self.drain()?;
            }
            for socket in std::mem::take(&mut self.ready) {
                self.read_socket(socket);
                self.drain()?;
            }
            self.record();
        }
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
        let owner = owner.map(|at| at.saturating_duration_since(self.clock.started));
        self.engine.poll_timeout().into_iter().chain(owner).min()
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
        let _ = self.drain();
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
        (self.events)(Event::Error(ErrorEvent { time, message }));
    }

    fn read_tun(&mut self) -> io::Result<()> {
        let mut filled = 0;
        for slot in self.engine.rx_slots() {
            match self.tun.read(&mut slot.bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => slot.len = len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.tun_ready = false;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => break,
                Err(error) => return Err(error),
            }
            filled += 1;
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
        Ok(())
    }

    /// Does all that the engine wants done.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            while let Some(command) = self.engine.poll_command() {
                self.command(command);
            }
            self.send();
            while let Some(socket) = self.engine.poll_recv() {
                self.list(socket);
            }
            self.write_tun()?;
            while let Some(event) = self.engine.poll_event() {
                self.tape.event(&event);
                (self.events)(event);
            }
            // Sending may have ended flows, and so on: a round that finds nothing is the last one.
            let Some(command) = self.engine.poll_command() else {
                return Ok(());
            };
            self.command(command);
        }
    }

    fn send(&mut self) {
        while let Some(id) = self.engine.poll_send() {
            let result = {
                let mut parts = [IoSlice::new(&[]); PARTS];
                let count = self.engine.send_parts(id, &mut parts);
                match socket(&self.sockets, id) {
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
        let mut lost = Vec::new();
        while let Some(datagram) = self.engine.poll_datagram() {
            if let Some(socket) = socket(&self.sockets, datagram.socket)
                && let Err(error) = socket.send_to(datagram.payload, datagram.to)
            {
                lost.push((datagram.socket, error.kind()));
            }
        }
        for (socket, why) in lost {
            self.engine.datagram_lost(socket, why);
        }
    }

    fn write_tun(&mut self) -> io::Result<()> {
        loop {
            let Some(packet) = self.engine.poll_packet() else {
                return Ok(());
            };
            let parts = [packet.header, packet.payload];
            self.tape.packet(self.clock.last, false, parts);
            let parts = parts.map(IoSlice::new);
            let written = match packet.payload {
                [] => self.tun.write(packet.header),
                _ => self.tun.write_vectored(&parts),
            };
            match written.map_err(|error| (error.kind(), error)) {
                Ok(_) => {}
                Err((ErrorKind::Interrupted, _)) => self.engine.packet_lost(),
                // A full queue, no memory, an interface that is down for a moment: the packet is lost, as on any link.
                Err((kind, error)) => match error.raw_os_error() {
                    Some(libc::EBADF | libc::EBADFD | libc::ENODEV) => {
                        self.fail(&error);
                        return Err(error);
                    }
                    _ if kind == ErrorKind::BrokenPipe => return Err(error),
                    _ => self.engine.packet_lost(),
                },
            }
        }
    }

    fn command(&mut self, command: Command) {
        let protect = &*self.protect;
        let (id, opened) = match command {
            Command::Connect { socket, to } => (socket, Upstream::connect(to, protect)),
            Command::OpenUdp { socket, v6, to } => (socket, Upstream::udp(v6, to, protect)),
            Command::OpenEcho { socket, v6 } => (socket, Upstream::echo(v6, protect)),
            Command::FindOwner { flow, proto, pair } => {
                self.tape.wanted(flow, proto, pair);
                let asked = self
                    .finder
                    .as_mut()
                    .is_some_and(|finder| finder.ask(flow, proto, pair));
                if !asked {
                    let now = self.clock.read();
                    self.tape.owner(now, flow, &[]);
                    self.engine.handle_owner(flow, Vec::new(), now);
                }
                return;
            }
            Command::Shutdown { socket: id } => {
                if let Some(socket) = socket(&self.sockets, id) {
                    socket.shutdown();
                }
                return;
            }
            Command::Close { socket, reset } => return self.close(socket, reset),
        };
        let opened = opened.and_then(|upstream| {
            let token = Token(index(id) + FIRST_SOCKET);
            let interest = match upstream.kind {
                Kind::Connecting | Kind::Stream => Interest::READABLE | Interest::WRITABLE,
                Kind::Datagram => Interest::READABLE,
            };
            self.poll
                .registry()
                .register(&mut SourceFd(&upstream.raw()), token, interest)?;
            Ok(upstream)
        });
        match opened {
            Ok(upstream) => {
                let at = index(id);
                if self.sockets.len() <= at {
                    self.sockets.resize_with(at + 1, || None);
                }
                self.sockets[at] = Some((id, upstream));
            }
            Err(error) => self.tell(id, SocketEvent::Failed(error.kind())),
        }
    }

    /// Tells the engine what happened to a socket.
    fn tell(&mut self, id: SocketId, event: SocketEvent) {
        let now = self.clock.read();
        if self.tape.is_on()
            && let Some(pair) = self.engine.pair_of(id)
        {
            match event {
                SocketEvent::Connected => self.tape.note(now, || Note::connect(pair, None)),
                SocketEvent::Failed(kind) => {
                    self.tape.note(now, || Note::connect(pair, Some(kind)));
                }
                SocketEvent::Unreachable(kind) => self.tape.note(now, || Note::broken(pair, kind)),
                SocketEvent::Writable => {}
            }
        }
        self.engine.handle_socket(id, event, now);
    }

    fn broken(&mut self, id: SocketId, kind: ErrorKind) {
        if self.tape.is_on()
            && let Some(pair) = self.engine.pair_of(id)
        {
            self.tape.note(self.clock.last, || Note::broken(pair, kind));
        }
    }

    fn close(&mut self, id: SocketId, reset: bool) {
        let Some(place) = self.sockets.get_mut(index(id)) else {
            return;
        };
        if let Some((_, upstream)) = place.take_if(|(open, _)| *open == id) {
            if reset {
                upstream.reset_on_close();
            }
            // Closing takes it out of the poll instance, too; an error here says that it is out already.
            let _ = self
                .poll
                .registry()
                .deregister(&mut SourceFd(&upstream.raw()));
        }
    }

    fn socket_event(&mut self, at: usize, event: &mio::event::Event) {
        let Some(Some((id, upstream))) = self.sockets.get_mut(at) else {
            return;
        };
        let id = *id;
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            upstream.readable = true;
        }
        let mut told = None;
        if upstream.kind == Kind::Connecting {
            told = match upstream.take_error() {
                Err(error) => Some(SocketEvent::Failed(error.kind())),
                Ok(()) if upstream.is_connected() => {
                    upstream.kind = Kind::Stream;
                    Some(SocketEvent::Connected)
                }
                Ok(()) => None,
            };
        } else if event.is_writable() {
            told = Some(SocketEvent::Writable);
        }
        if upstream.readable && upstream.kind != Kind::Connecting {
            self.list(id);
        }
        if let Some(told) = told {
            self.tell(id, told);
        }
    }

    /// Puts a socket on the list of those to read from.
    fn list(&mut self, id: SocketId) {
        if let Some(Some((open, upstream))) = self.sockets.get_mut(index(id))
            && *open == id
            && upstream.readable
            && !upstream.listed
        {
            upstream.listed = true;
            self.ready.push(id);
        }
    }

    fn read_socket(&mut self, id: SocketId) {
        let Some(Some((open, upstream))) = self.sockets.get_mut(index(id)) else {
            return;
        };
        if *open != id {
            return;
        }
        upstream.listed = false;
        let now = self.clock.read();
        match upstream.kind {
            Kind::Connecting => {}
            Kind::Stream => {
                for _ in 0..READS_A_TURN {
                    // No room: the engine names the socket when there is some.
                    let Some(room) = self.engine.recv_room(id) else {
                        return;
                    };
                    let result = upstream.read(room).map_err(|error| error.kind());
                    if result == Err(ErrorKind::Interrupted) {
                        continue;
                    }
                    let more = matches!(result, Ok(1..));
                    upstream.readable = more;
                    if let Err(kind) = result
                        && kind != ErrorKind::WouldBlock
                        && self.tape.is_on()
                        && let Some(pair) = self.engine.pair_of(id)
                    {
                        self.tape.note(now, || Note::broken(pair, kind));
                    }
                    self.engine.received(id, result, now);
                    if !more {
                        return;
                    }
                }
            }
            Kind::Datagram => {
                for _ in 0..DATAGRAMS_A_TURN {
                    match upstream.recv_from(self.engine.datagram_room()) {
                        Ok((len, from)) => self.engine.handle_datagram(id, from, len, now),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            upstream.readable = false;
                            return;
                        }
                        Err(error) => {
                            let event = SocketEvent::Unreachable(error.kind());
                            self.engine.handle_socket(id, event, now);
                        }
                    }
                }
            }
        }
        self.list(id);
    }
}

fn index(id: SocketId) -> usize {
    id.to_bits() as u32 as usize
}

fn socket(sockets: &[Option<(SocketId, Upstream)>], id: SocketId) -> Option<&Upstream> {
    let (open, upstream) = sockets.get(index(id))?.as_ref()?;
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
