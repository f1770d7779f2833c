//! Drives what is said to a proxy over a socket.

use std::io::{ErrorKind, Read};

use socket2::Socket;

use crate::{egress::Egress, event::Failure};

/// An exchange on a socket that connects or is connected. It reads not a byte more than is the proxy's.
pub(super) struct Handshake<E> {
    exchange: E,
    connected: bool,
}

/// Bytes looked at in one go.
const LOOK: usize = 2_048;

impl<E: Egress> Handshake<E> {
    pub(super) fn new(exchange: E) -> Self {
        Self {
            exchange,
            connected: false,
        }
    }

    pub(super) fn exchange(&self) -> &E {
        &self.exchange
    }

    /// Goes as far as the socket lets it; true once the way is open.
    pub(super) fn advance(&mut self, socket: &Socket) -> Result<bool, Failure> {
        if !self.connected {
            match socket.take_error() {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Err(Failure::ProxyUnreachable),
            }
            if socket.peer_addr().is_err() {
                return Ok(false);
            }
            self.connected = true;
        }
        loop {
            while !self.exchange.unsent().is_empty() {
                match socket.send_with_flags(self.exchange.unsent(), libc::MSG_NOSIGNAL) {
                    Ok(n) => self.exchange.sent(n),
                    Err(error) => match error.kind() {
                        ErrorKind::WouldBlock => return Ok(false),
                        ErrorKind::Interrupted => {}
                        _ => return Err(Failure::ProxyUnreachable),
                    },
                }
            }
            if self.exchange.is_open() {
                return Ok(true);
            }
            let mut seen = [std::mem::MaybeUninit::uninit(); LOOK];
            let len = match socket.peek(&mut seen) {
                // It ends where it owes an answer: whatever it is, it is no proxy for us.
                Ok(0) => return Err(Failure::ProxyRefused),
                Ok(len) => len,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(false),
                    ErrorKind::Interrupted => continue,
                    _ => return Err(Failure::ProxyUnreachable),
                },
            };
            // What was looked at is read again, as much of it as is the proxy's.
            let mut bytes = [0; LOOK];
            for (to, from) in bytes.iter_mut().zip(&seen[..len]) {
                // SAFETY: `peek` has initialised the first `len` bytes.
                *to = unsafe { from.assume_init() };
            }
            let taken = self.exchange.receive(&bytes[..len])?;
            let mut socket = socket;
            if socket.read_exact(&mut bytes[..taken]).is_err() {
                return Err(Failure::ProxyUnreachable);
            }
            if taken == 0 && !self.exchange.is_open() {
                // It speaks before its turn.
                return Err(Failure::ProxyProtocol);
            }
        }
    }
}

impl Egress for Box<dyn Egress> {
    fn unsent(&self) -> &[u8] {
        (**self).unsent()
    }

    fn sent(&mut self, n: usize) {
        (**self).sent(n);
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        (**self).receive(bytes)
    }

    fn is_open(&self) -> bool {
        (**self).is_open()
    }
}
