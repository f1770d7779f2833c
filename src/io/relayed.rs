//! Datagrams through a SOCKS proxy (RFC 1928 section 7): a connection that the association lives by, and a socket for the
//! datagrams themselves.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd,
    sync::Arc,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Protect, handshake::Handshake, socket};
use crate::{
    egress::{Proxy, socks5},
    event::Failure,
};

/// An association, or what is to become one.
pub(super) struct Relayed {
    control: Socket,
    handshake: Handshake<socks5::Exchange>,
    /// Once the proxy has said where its datagrams go.
    data: Option<Socket>,
    /// Datagrams with their headers, until then.
    waiting: VecDeque<Vec<u8>>,
    /// Where the proxy listens.
    proxy: SocketAddr,
}

/// Datagrams that wait for the association; what does not fit is lost.
const MOST_WAITING: usize = 16;

impl Relayed {
    /// Starts to connect to the proxy.
    pub(super) fn connect(
        proxy: &Arc<Proxy>,
        to: SocketAddr,
        protect: &dyn Protect,
    ) -> io::Result<Self> {
        Ok(Self {
            control: socket::connecting(to, protect)?,
            // A proxy behind a translator speaks IPv4, however it is reached.
            handshake: Handshake::new(socks5::Exchange::associate(
                proxy.address.is_ipv6(),
                proxy.login.as_ref(),
            )),
            data: None,
            waiting: VecDeque::new(),
            proxy: to,
        })
    }

    pub(super) fn control(&self) -> &Socket {
        &self.control
    }

    pub(super) fn data(&self) -> Option<&Socket> {
        self.data.as_ref()
    }

    /// Goes on with the connection to the proxy after something happened to it; true where the association has just come
    /// to stand. `outward` says where an address of the proxy's is on the network at hand.
    pub(super) fn advance(
        &mut self,
        protect: &dyn Protect,
        outward: impl FnOnce(SocketAddr) -> SocketAddr,
    ) -> Result<bool, Failure> {
        if self.data.is_some() {
            return self.still_stands().map(|()| false);
        }
        if !self.handshake.advance(&self.control)? {
            return Ok(false);
        }
        let bound = self.handshake.exchange().bound();
        let relay = bound.ok_or(Failure::ProxyProtocol)?;
        let relay = match relay.ip().is_unspecified() {
            // "Here": the address that the connection goes to.
            true => SocketAddr::new(self.proxy.ip(), relay.port()),
            false => outward(relay),
        };
        let data = open(relay, protect);
        let data = data.map_err(|_| Failure::ProxyUnreachable)?;
        for datagram in self.waiting.drain(..) {
            // Datagrams may be lost.
            let _ = data.send(&datagram);
        }
        self.data = Some(data);
        Ok(true)
    }

    /// The association ends with its connection (RFC 1928 section 7).
    fn still_stands(&self) -> Result<(), Failure> {
        loop {
            match self
                .control
                .recv(&mut [std::mem::MaybeUninit::uninit(); 64])
            {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Err(Failure::ProxyUnreachable),
            }
        }
    }

    pub(super) fn send_to(&mut self, payload: &[u8], to: SocketAddr) -> io::Result<usize> {
        let mut header = [0; socks5::MOST_HEADER];
        let n = socks5::write_header(&mut header, to);
        let header = &header[..n];
        match &self.data {
            Some(data) => {
                let parts = [IoSlice::new(header), IoSlice::new(payload)];
                data.send_vectored_with_flags(&parts, libc::MSG_NOSIGNAL)
            }
            None if self.waiting.len() < MOST_WAITING => {
                self.waiting.push_back([header, payload].concat());
                Ok(payload.len())
            }
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Receives a datagram's payload into the front of `room`.
    pub(super) fn recv_from(&self, room: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let data = self.data.as_ref().ok_or(ErrorKind::WouldBlock)?;
        let (len, _) = super::reactor::recv_from(data.as_fd(), room)?;
        let datagram = room.get(..len).unwrap_or_default();
        let Some((from, payload)) = socks5::read_header(datagram) else {
            // From nobody: the engine counts it.
            return Ok((0, (Ipv4Addr::UNSPECIFIED, 0).into()));
        };
        let len = payload.len();
        room.copy_within(payload, 0);
        Ok((len, from))
    }
}

fn open(to: SocketAddr, protect: &dyn Protect) -> io::Result<Socket> {
    let domain = Domain::for_address(to);
    let socket = socket::open(domain, Type::DGRAM, Some(Protocol::UDP), protect)?;
    socket.connect(&to.into())?;
    Ok(socket)
}
