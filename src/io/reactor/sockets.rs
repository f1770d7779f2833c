//! What the engine wants done with sockets, and what happens to them.

use std::io::ErrorKind;

use mio::{Interest, Token, unix::SourceFd};

use super::{FIRST_SOCKET, Reactor, index, upstream};
use crate::{
    engine::{Command, SocketEvent, SocketId, recording::Note},
    event::Failure,
    io::{
        relayed::Relayed,
        socket::{Kind, Upstream},
    },
};

/// Which descriptor of a socket an event is about.
#[derive(Clone, Copy)]
enum Part {
    Itself = 0,
    Control = 1,
}

const PARTS: usize = 2;

fn token(id: SocketId, part: Part) -> Token {
    Token(FIRST_SOCKET + PARTS * index(id) + part as usize)
}

/// Reads from one socket before the others have their turn.
const READS_A_TURN: usize = 4;
/// Datagrams from one socket before the others have their turn.
const DATAGRAMS_A_TURN: usize = 32;

impl Reactor {
    pub(super) fn command(&mut self, command: Command) {
        let protect = &*self.protect;
        let (id, opened) = match command {
            Command::Connect { socket, to } if Some(to) == self.sink => {
                (socket, Ok(Upstream::sink()))
            }
            Command::Connect { socket, to } => (socket, Upstream::connect(to, protect)),
            Command::ConnectVia { socket, to } => {
                let way = self.engine.proxy(socket).zip(self.engine.target(socket));
                let opened = way
                    .ok_or(ErrorKind::NotFound.into())
                    .and_then(|(proxy, target)| {
                        Upstream::connect_via(to, proxy.connect(&target), protect)
                    });
                (socket, opened)
            }
            Command::OpenUdpVia { socket, to } => {
                let proxy = self.engine.proxy(socket);
                let opened = proxy
                    .ok_or(ErrorKind::NotFound.into())
                    .and_then(|proxy| Relayed::connect(&proxy, to, protect));
                (socket, opened.map(Upstream::relayed))
            }
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
                if let Some(socket) = upstream(&mut self.sockets, id) {
                    socket.shutdown();
                    self.list(id);
                }
                return;
            }
            Command::Close { socket, reset } => return self.close(socket, reset),
        };
        let opened = opened.and_then(|upstream| {
            let interest = match upstream.kind {
                Kind::Connecting | Kind::Handshaking | Kind::Stream => {
                    Interest::READABLE | Interest::WRITABLE
                }
                Kind::Datagram => Interest::READABLE,
            };
            let registry = self.poll.registry();
            if let Some(fd) = upstream.raw() {
                registry.register(&mut SourceFd(&fd), token(id, Part::Itself), interest)?;
            }
            if let Some(fd) = upstream.control() {
                let interest = Interest::READABLE | Interest::WRITABLE;
                registry.register(&mut SourceFd(&fd), token(id, Part::Control), interest)?;
            }
            Ok(upstream)
        });
        match opened {
            Ok(upstream) => {
                let at = index(id);
                if self.sockets.len() <= at {
                    self.sockets.resize_with(at + 1, || None);
                }
                let connected = upstream.kind == Kind::Stream;
                self.sockets[at] = Some((id, upstream));
                if connected {
                    self.tell(id, SocketEvent::Connected);
                }
            }
            Err(error) => self.tell(id, SocketEvent::Failed(error.kind())),
        }
    }

    /// Tells the engine what happened to a socket.
    pub(super) fn tell(&mut self, id: SocketId, event: SocketEvent) {
        let now = self.clock.read();
        if self.tape.is_on()
            && let Some(pair) = self.engine.pair_of(id)
        {
            match event {
                SocketEvent::Connected => self.tape.note(now, || Note::connect(pair, None)),
                SocketEvent::Failed(kind) => {
                    self.tape.note(now, || Note::connect(pair, Some(kind)));
                }
                SocketEvent::ProxyFailed(failure) => {
                    self.tape.note(now, || Note::proxy_failed(pair, failure));
                }
                SocketEvent::Unreachable(kind) => self.tape.note(now, || Note::broken(pair, kind)),
                SocketEvent::Writable => {}
            }
        }
        self.engine.handle_socket(id, event, now);
    }

    pub(super) fn broken(&mut self, id: SocketId, kind: ErrorKind) {
        if self.tape.is_on()
            && let Some(pair) = self.engine.pair_of(id)
        {
            self.tape.note(self.clock.last, || Note::broken(pair, kind));
        }
    }

    pub(super) fn close(&mut self, id: SocketId, reset: bool) {
        let Some(place) = self.sockets.get_mut(index(id)) else {
            return;
        };
        if let Some((_, upstream)) = place.take_if(|(open, _)| *open == id) {
            if reset {
                upstream.reset_on_close();
            }
            for fd in [upstream.raw(), upstream.control()].into_iter().flatten() {
                // Closing takes it out of the poll instance, too; an error here says that it is out already.
                let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
            }
        }
    }

    pub(super) fn socket_event(&mut self, token: usize, event: &mio::event::Event) {
        let Some(Some((id, upstream))) = self.sockets.get_mut(token / PARTS) else {
            return;
        };
        let id = *id;
        if token % PARTS == Part::Control as usize {
            return self.advance_relayed(id);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            upstream.readable = true;
            upstream.erring |= event.is_error();
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
        } else if upstream.kind == Kind::Handshaking {
            told = match upstream.advance() {
                Ok(true) => Some(SocketEvent::Connected),
                Ok(false) => None,
                Err(failure) => Some(SocketEvent::ProxyFailed(failure)),
            };
        } else if event.is_writable() {
            told = Some(SocketEvent::Writable);
        }
        if upstream.readable && !matches!(upstream.kind, Kind::Connecting | Kind::Handshaking) {
            self.list(id);
        }
        if let Some(told) = told {
            self.tell(id, told);
        }
    }

    /// Goes on with the connection that a proxy's datagrams live by.
    fn advance_relayed(&mut self, id: SocketId) {
        let Some(upstream) = upstream(&mut self.sockets, id) else {
            return;
        };
        let advanced = match upstream.as_relayed() {
            Some(relayed) => relayed.advance(&*self.protect, |at| self.engine.outward(at)),
            None => return,
        };
        let failure = match (advanced, upstream.raw()) {
            (Ok(true), Some(fd)) => {
                let registry = self.poll.registry();
                let token = token(id, Part::Itself);
                let added = registry.register(&mut SourceFd(&fd), token, Interest::READABLE);
                added.err().map(|_| Failure::ProxyUnreachable)
            }
            (Ok(_), _) => None,
            (Err(failure), _) => Some(failure),
        };
        if let Some(failure) = failure {
            self.tell(id, SocketEvent::ProxyFailed(failure));
        }
    }

    /// Puts a socket on the list of those to read from.
    pub(super) fn list(&mut self, id: SocketId) {
        if let Some(Some((open, upstream))) = self.sockets.get_mut(index(id))
            && *open == id
            && upstream.readable
            && !upstream.listed
        {
            upstream.listed = true;
            self.ready.push(id);
        }
    }

    pub(super) fn read_socket(&mut self, id: SocketId) {
        let Some(Some((open, upstream))) = self.sockets.get_mut(index(id)) else {
            return;
        };
        if *open != id {
            return;
        }
        upstream.listed = false;
        let now = self.clock.read();
        match upstream.kind {
            Kind::Connecting | Kind::Handshaking => {}
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
                if std::mem::take(&mut upstream.erring) {
                    let told = std::iter::from_fn(|| upstream.refused());
                    for refused in told.take(DATAGRAMS_A_TURN) {
                        self.engine
                            .handle_unreachable(id, refused.to, refused.why, now);
                    }
                }
                let mut left = DATAGRAMS_A_TURN;
                while left > 0 {
                    match upstream.recv_from(self.engine.datagram_room()) {
                        Ok(came) => {
                            left = left.saturating_sub(came.count());
                            self.engine
                                .handle_datagrams(id, came.from, came.len, came.each, now);
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            upstream.readable = false;
                            return;
                        }
                        Err(error) => {
                            left -= 1;
                            let event = match upstream.control() {
                                None => SocketEvent::Unreachable(error.kind()),
                                // Nobody takes the datagrams any more.
                                Some(_) => SocketEvent::ProxyFailed(Failure::ProxyUnreachable),
                            };
                            self.engine.handle_socket(id, event, now);
                        }
                    }
                }
            }
        }
        self.list(id);
    }
}
