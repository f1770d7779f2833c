//! Upstream ends: sockets, and the sink.

use std::{
    io::{self, ErrorKind, IoSlice, Read},
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, RawFd},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Protect, errqueue,
    handshake::Handshake,
    relayed::Relayed,
    segments::{self, Received},
    sink::Sink,
};
use crate::{egress::Egress, event::Failure};

/// A non-blocking end and what is known of its readiness (edge-triggered).
pub(super) struct Upstream {
    end: End,
    pub(super) kind: Kind,
    pub(super) readable: bool,
    /// There may be something in its error queue.
    pub(super) erring: bool,
    /// Whether datagrams go in one piece or not at all; a new socket of the kernel's fragments what is too long.
    whole: bool,
    /// Whether datagrams have one peer, to which the kernel knows the way.
    connected: bool,
    /// Whether the kernel cuts a message into datagrams, once that is known.
    cuts: Option<bool>,
    /// Stands in the list of sockets to read from.
    pub(super) listed: bool,
    /// What is said to a proxy first, until that is over.
    handshake: Option<Box<Handshake<Box<dyn Egress>>>>,
}

enum End {
    Socket(Socket),
    Sink(Sink),
    Relayed(Box<Relayed>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Connecting,
    /// To a proxy, and what is said to it.
    Handshaking,
    Stream,
    Datagram,
}

impl Upstream {
    /// Starts to connect.
    pub(super) fn connect(to: SocketAddr, protect: &dyn Protect) -> io::Result<Self> {
        let socket = connecting(to, protect)?;
        Ok(Self::new(End::Socket(socket), Kind::Connecting))
    }

    /// Starts to connect to a proxy at `to`, and through it.
    pub(super) fn connect_via(
        to: SocketAddr,
        exchange: Box<dyn Egress>,
        protect: &dyn Protect,
    ) -> io::Result<Self> {
        let socket = connecting(to, protect)?;
        Ok(Self {
            handshake: Some(Box::new(Handshake::new(exchange))),
            ..Self::new(End::Socket(socket), Kind::Handshaking)
        })
    }

    /// Starts to have datagrams carried by a proxy.
    pub(super) fn relayed(relayed: Relayed) -> Self {
        Self::new(End::Relayed(Box::new(relayed)), Kind::Datagram)
    }

    /// Opens a UDP socket, connected where there is one peer.
    pub(super) fn udp(v6: bool, to: Option<SocketAddr>, protect: &dyn Protect) -> io::Result<Self> {
        let socket = open(domain(v6), Type::DGRAM, Some(Protocol::UDP), protect)?;
        match to {
            Some(to) => socket.connect(&to.into())?,
            None => socket.bind(&any(v6).into())?,
        }
        if !v6 {
            socket.set_broadcast(true)?;
        }
        if to.is_none() {
            errqueue::keep(socket.as_fd(), v6)?;
            segments::join(socket.as_fd());
        }
        Ok(Self {
            connected: to.is_some(),
            ..Self::new(End::Socket(socket), Kind::Datagram)
        })
    }

    /// Opens an unprivileged ICMP echo socket (`net.ipv4.ping_group_range`).
    pub(super) fn echo(v6: bool, protect: &dyn Protect) -> io::Result<Self> {
        let protocol = if v6 {
            Protocol::ICMPV6
        } else {
            Protocol::ICMPV4
        };
        let socket = open(domain(v6), Type::DGRAM, Some(protocol), protect)?;
        errqueue::keep(socket.as_fd(), v6)?;
        Ok(Self {
            cuts: Some(false),
            ..Self::new(End::Socket(socket), Kind::Datagram)
        })
    }

    /// A remote end to which no packet goes; it is connected.
    pub(super) fn sink() -> Self {
        Self::new(End::Sink(Sink::default()), Kind::Stream)
    }

    fn new(end: End, kind: Kind) -> Self {
        Self {
            end,
            kind,
            readable: false,
            erring: false,
            whole: false,
            connected: false,
            cuts: None,
            listed: false,
            handshake: None,
        }
    }

    /// Goes on with what is said to a proxy; true once the connection through it stands.
    pub(super) fn advance(&mut self) -> Result<bool, Failure> {
        let (End::Socket(socket), Some(handshake)) = (&self.end, &mut self.handshake) else {
            return Ok(false);
        };
        let open = handshake.advance(socket)?;
        if open {
            self.handshake = None;
            self.kind = Kind::Stream;
        }
        Ok(open)
    }

    /// The proxy's part, where one carries datagrams.
    pub(super) fn as_relayed(&mut self) -> Option<&mut Relayed> {
        match &mut self.end {
            End::Relayed(relayed) => Some(relayed),
            End::Socket(_) | End::Sink(_) => None,
        }
    }

    /// The connection that a proxy's datagrams live by.
    pub(super) fn control(&self) -> Option<RawFd> {
        match &self.end {
            End::Relayed(relayed) => Some(relayed.control().as_raw_fd()),
            End::Socket(_) | End::Sink(_) => None,
        }
    }

    /// Keeps the socket out of the tunnel on a network that is new.
    pub(super) fn protect(&self, protect: &dyn Protect) -> io::Result<()> {
        protect.protect(self.socket()?.as_fd())
    }

    /// The address of ours that a connection stands on, where it leaves this process.
    pub(super) fn local(&self) -> io::Result<Option<SocketAddr>> {
        match &self.end {
            End::Socket(socket) => local(socket).map(Some),
            End::Relayed(relayed) => local(relayed.control()).map(Some),
            End::Sink(_) => Ok(None),
        }
    }

    /// What a connection attempt came to.
    pub(super) fn take_error(&self) -> io::Result<()> {
        self.socket()?.take_error()?.map_or(Ok(()), Err)
    }

    /// What the network said of a datagram that was sent.
    pub(super) fn refused(&self) -> Option<errqueue::Refused> {
        errqueue::take(self.socket().ok()?.as_fd())
    }

    /// Whether the handshake is over.
    pub(super) fn is_connected(&self) -> bool {
        match &self.end {
            End::Socket(socket) => socket.peer_addr().is_ok(),
            End::Sink(_) => true,
            End::Relayed(_) => false,
        }
    }

    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match &mut self.end {
            End::Socket(socket) => socket.read(room),
            End::Sink(sink) => sink.read(room),
            End::Relayed(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.end {
            End::Socket(socket) => socket.send_vectored_with_flags(parts, libc::MSG_NOSIGNAL),
            End::Sink(sink) => Ok(sink.write(parts)),
            End::Relayed(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Sends a datagram, in one piece if it has to be `whole`.
    pub(super) fn send_to(
        &mut self,
        payload: &[u8],
        to: SocketAddr,
        whole: bool,
    ) -> io::Result<usize> {
        let socket = match &mut self.end {
            End::Relayed(relayed) => return relayed.send_to(payload, to),
            End::Socket(socket) => socket,
            End::Sink(_) => return Err(ErrorKind::Unsupported.into()),
        };
        keep_whole(socket, &mut self.whole, to, whole)?;
        match self.connected {
            true => socket.send_with_flags(payload, libc::MSG_NOSIGNAL),
            false => socket.send_to_with_flags(payload, &to.into(), libc::MSG_NOSIGNAL),
        }
    }

    /// Sends several datagrams at once, as [`Upstream::send_to`] would each, or none.
    ///
    /// # Errors
    /// Where they do not go like this, and may go one by one.
    pub(super) fn send_all_to(
        &mut self,
        payloads: &[IoSlice<'_>],
        to: SocketAddr,
        whole: bool,
    ) -> io::Result<()> {
        let End::Socket(socket) = &self.end else {
            return Err(ErrorKind::Unsupported.into());
        };
        let known = || segments::are_known(socket.as_fd());
        if !*self.cuts.get_or_insert_with(known) {
            return Err(ErrorKind::Unsupported.into());
        }
        keep_whole(socket, &mut self.whole, to, whole)?;
        let peer = (!self.connected).then_some(to);
        let sent = segments::send(socket.as_fd(), payloads, peer);
        // What says that the device or the route cannot; all else is about these datagrams.
        if let Err(error) = &sent
            && matches!(error.raw_os_error(), Some(libc::EIO | libc::EOPNOTSUPP))
        {
            self.cuts = Some(false);
        }
        sent
    }

    pub(super) fn recv_from(&self, room: &mut [u8]) -> io::Result<Received> {
        if let End::Relayed(relayed) = &self.end {
            let (len, from) = relayed.recv_from(room)?;
            return Ok(Received {
                len,
                each: len,
                from,
            });
        }
        segments::receive(self.socket()?.as_fd(), room)
    }

    pub(super) fn shutdown(&mut self) {
        match &mut self.end {
            // Fails only where the connection is gone, which the next read tells.
            End::Socket(socket) => drop(socket.shutdown(std::net::Shutdown::Write)),
            End::Sink(sink) => {
                sink.end();
                self.readable = true;
            }
            End::Relayed(_) => {}
        }
    }

    /// Makes closing send a reset.
    pub(super) fn reset_on_close(&self) {
        if let End::Socket(socket) = &self.end {
            let _ = socket.set_linger(Some(std::time::Duration::ZERO));
        }
    }

    /// The descriptor to wait for, where the end has one.
    pub(super) fn raw(&self) -> Option<RawFd> {
        self.socket().ok().map(AsRawFd::as_raw_fd)
    }

    fn socket(&self) -> io::Result<&Socket> {
        match &self.end {
            End::Socket(socket) => Ok(socket),
            End::Relayed(relayed) => relayed.data().ok_or(ErrorKind::NotConnected.into()),
            End::Sink(_) => Err(ErrorKind::Unsupported.into()),
        }
    }
}

/// Has what is sent from now on go in one piece, or not, as it has to.
fn keep_whole(socket: &Socket, kept: &mut bool, to: SocketAddr, whole: bool) -> io::Result<()> {
    if *kept != whole {
        errqueue::set_dont_fragment(socket.as_fd(), to.is_ipv6(), whole)?;
        *kept = whole;
    }
    Ok(())
}

fn local(socket: &Socket) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?.as_socket();
    Ok(address.ok_or(ErrorKind::InvalidData)?)
}

/// A stream socket that connects.
pub(super) fn connecting(to: SocketAddr, protect: &dyn Protect) -> io::Result<Socket> {
    let socket = open(Domain::for_address(to), Type::STREAM, None, protect)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket)
}

/// Whether an address is still one of this machine's.
pub(super) fn is_ours(address: SocketAddr) -> bool {
    let bound = Socket::new(Domain::for_address(address), Type::DGRAM, None).and_then(|socket| {
        let mut address = address;
        address.set_port(0);
        socket.bind(&address.into())
    });
    match bound {
        Err(error) => error.kind() != ErrorKind::AddrNotAvailable,
        Ok(()) => true,
    }
}

pub(super) fn open(
    domain: Domain,
    kind: Type,
    protocol: Option<Protocol>,
    protect: &dyn Protect,
) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind.nonblocking().cloexec(), protocol)?;
    protect.protect(socket.as_fd())?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn domain(v6: bool) -> Domain {
    if v6 { Domain::IPV6 } else { Domain::IPV4 }
}

fn any(v6: bool) -> SocketAddr {
    let address: std::net::IpAddr = if v6 {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    };
    SocketAddr::new(address, 0)
}
