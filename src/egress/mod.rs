//! Ways out other than a socket of our own: proxies, and what is said to them before they carry anything.
//!
//! ```text
//! Proxy + Target ─► Egress (unsent ⇄ receive) ─► open, or a Failure
//! ```
#![forbid(unsafe_code)]

mod http;
pub mod socks5;

use std::{fmt, net::SocketAddr, sync::Arc};

use crate::event::Failure;

/// A proxy, as a `[[proxy]]` of the policy names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// What rules and events call it.
    pub name: Arc<str>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// Who we are to it, if it wants to know.
    pub login: Option<Login>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SOCKS version 5 (RFC 1928): TCP and UDP.
    Socks5,
    /// HTTP CONNECT (RFC 9110 section 9.3.6): TCP alone.
    Http,
}

/// User and password. Debug shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    user: Arc<str>,
    password: Arc<str>,
}

/// Whom a proxy is to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Address(SocketAddr),
    /// A name, which the proxy resolves, and a port.
    Name(Arc<str>, u16),
}

/// The exchange before a way out is open. Whoever drives it sends [`Egress::unsent`], gives it what comes, and reads no
/// further than it takes: what follows is the remote end's.
pub trait Egress: Send {
    /// Bytes to send now.
    fn unsent(&self) -> &[u8];

    /// The first `n` bytes of [`Egress::unsent`] have gone.
    fn sent(&mut self, n: usize);

    /// Takes from the front of `bytes` what belongs to the exchange, and returns how much that is.
    ///
    /// # Errors
    /// Why the way stays shut.
    fn receive(&mut self, bytes: &[u8]) -> Result<usize, Failure>;

    /// Whether the way is open.
    fn is_open(&self) -> bool;
}

impl Proxy {
    /// Whether it carries datagrams.
    pub fn carries_datagrams(&self) -> bool {
        match self.protocol {
            Protocol::Socks5 => true,
            Protocol::Http => false,
        }
    }

    /// Begins the exchange for a connection to `target`.
    pub fn connect(&self, target: &Target) -> Box<dyn Egress> {
        match self.protocol {
            Protocol::Socks5 => Box::new(socks5::Exchange::connect(target, self.login.as_ref())),
            Protocol::Http => Box::new(http::Exchange::new(target, self.login.as_ref())),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} at {})", self.name, self.protocol, self.address)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Socks5 => "socks5",
            Protocol::Http => "http",
        })
    }
}

impl Login {
    /// Bytes of either, at most (RFC 1929).
    pub const MOST: usize = 255;

    /// A user with a password; the error says what no proxy could be told.
    ///
    /// # Errors
    /// Where either is empty or too long, or the user has a colon or control characters (RFC 7617).
    pub fn new(user: &str, password: &str) -> Result<Login, &'static str> {
        if [user, password].iter().any(|part| part.len() > Self::MOST) {
            return Err("user and password have 255 bytes at most");
        }
        if user.is_empty() || password.is_empty() {
            return Err("user and password cannot be empty");
        }
        if user.contains(':')
            || [user, password]
                .iter()
                .any(|part| part.contains(char::is_control))
        {
            return Err("a user has no colon, and neither has control characters");
        }
        Ok(Login {
            user: user.into(),
            password: password.into(),
        })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// Bytes on their way, which are forgotten once they have gone.
#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    gone: usize,
}

impl Unsent {
    fn set(&mut self, bytes: Vec<u8>) {
        *self = Self { bytes, gone: 0 };
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.gone..).unwrap_or_default()
    }

    fn sent(&mut self, n: usize) {
        self.gone += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a proxy that answers each of `answers` in turn, cut at every byte or not at all; what was sent, what is left
    /// of the last answer, and how it ended.
    pub(super) fn play(
        mut egress: Box<dyn Egress>,
        answers: &[&[u8]],
        piece: usize,
    ) -> (Vec<Vec<u8>>, usize, Result<bool, Failure>) {
        let mut said = Vec::new();
        let mut left = 0;
        for answer in answers {
            let mut message = Vec::new();
            while let Some(&first) = egress.unsent().first() {
                message.push(first);
                egress.sent(1);
            }
            said.push(message);
            let mut rest = *answer;
            while !rest.is_empty() && !egress.is_open() {
                let seen = rest.get(..piece.min(rest.len())).unwrap();
                match egress.receive(seen) {
                    Ok(0) => break,
                    Ok(n) => rest = &rest[n..],
                    Err(failure) => return (said, rest.len(), Err(failure)),
                }
            }
            left = rest.len();
        }
        let open = egress.is_open();
        (said, left, Ok(open))
    }

    #[test]
    fn a_login_is_checked_and_not_shown() {
        assert!(Login::new("user", "pass word: é").is_ok());
        assert!(Login::new("a:b", "x").is_err());
        assert!(Login::new("", "x").is_err() && Login::new("x", "").is_err());
        assert!(Login::new("x", "a\r\nHost: b").is_err());
        assert!(Login::new(&"x".repeat(256), "x").is_err());
        let proxy = Proxy {
            name: "office".into(),
            protocol: Protocol::Socks5,
            address: "192.0.2.1:1080".parse().unwrap(),
            login: Login::new("somebody", "hunter2").ok(),
        };
        let shown = format!("{proxy:?} {:?}", proxy.login);
        assert_eq!(shown, "office (socks5 at 192.0.2.1:1080) Some(Login)");
    }
}
