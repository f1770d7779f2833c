//! SOCKS version 5 (RFC 1928) with user and password (RFC 1929).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Range,
};

use super::{Egress, Login, Target, Unsent};
use crate::event::Failure;

/// The exchange before a connection or an association.
pub struct Exchange {
    stage: Stage,
    unsent: Unsent,
    /// What came of the message that is being read.
    seen: Vec<u8>,
    login: Option<Login>,
    request: Vec<u8>,
    bound: Option<SocketAddr>,
}

/// Which message is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Method,
    Login,
    Reply,
    Open,
}

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const ASSOCIATE: u8 = 3;
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

impl Exchange {
    /// For a connection to `target`.
    pub fn connect(target: &Target, login: Option<&Login>) -> Exchange {
        let mut request = vec![VERSION, CONNECT, 0];
        match target {
            Target::Address(address) => put_address(&mut request, *address),
            Target::Name(name, port) => {
                // A name that DNS gave is no longer than 253 bytes; a longer one would be refused by its first ones.
                let name = name.get(..name.len().min(255)).unwrap_or_default();
                request.extend([NAME, name.len() as u8]);
                request.extend(name.as_bytes());
                request.extend(port.to_be_bytes());
            }
        }
        Self::new(request, login)
    }

    /// For datagrams of a socket whose address nobody knows yet; `v6` is its family.
    pub fn associate(v6: bool, login: Option<&Login>) -> Exchange {
        let mut request = vec![VERSION, ASSOCIATE, 0];
        let any = match v6 {
            true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            false => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        put_address(&mut request, SocketAddr::new(any, 0));
        Self::new(request, login)
    }

    /// Where the proxy takes datagrams, once the association is open. The address may be unspecified: the proxy's own.
    pub fn bound(&self) -> Option<SocketAddr> {
        self.bound
    }

    fn new(request: Vec<u8>, login: Option<&Login>) -> Exchange {
        let mut unsent = Unsent::default();
        unsent.set(match login {
            None => vec![VERSION, 1, NO_LOGIN],
            Some(_) => vec![VERSION, 2, NO_LOGIN, USER_AND_PASSWORD],
        });
        Exchange {
            stage: Stage::Method,
            unsent,
            seen: Vec::new(),
            login: login.cloned(),
            request,
            bound: None,
        }
    }

    /// How long the message is that is being read, as far as its beginning tells.
    fn wanted(&self) -> usize {
        match (self.stage, self.seen.as_slice()) {
            (Stage::Open, _) => 0,
            (Stage::Method | Stage::Login, _) => 2,
            (Stage::Reply, [_, _, _, IPV4, ..]) => 10,
            (Stage::Reply, [_, _, _, IPV6, ..]) => 22,
            (Stage::Reply, [_, _, _, NAME, len, ..]) => 7 + usize::from(*len),
            (Stage::Reply, [_, _, _, _, _, ..]) => 5,
            (Stage::Reply, seen) => seen.len() + 1,
        }
    }

    /// Acts on a message as far as it has come.
    fn step(&mut self) -> Result<(), Failure> {
        let whole = self.seen.len() >= self.wanted();
        match (self.stage, self.seen.as_slice()) {
            (Stage::Method, [version, ..]) if *version != VERSION => {
                return Err(Failure::ProxyProtocol);
            }
            (Stage::Method, [_, method]) => match (*method, &self.login) {
                (NO_LOGIN, _) => self.request(),
                (USER_AND_PASSWORD, Some(login)) => {
                    let (user, password) = (login.user.as_bytes(), login.password.as_bytes());
                    let message = [
                        &[1, user.len() as u8],
                        user,
                        &[password.len() as u8],
                        password,
                    ];
                    self.unsent.set(message.concat());
                    self.stage = Stage::Login;
                }
                (NO_METHOD, _) => return Err(Failure::ProxyLogin),
                _ => return Err(Failure::ProxyProtocol),
            },
            (Stage::Login, [1, 0]) => self.request(),
            (Stage::Login, [1, _]) => return Err(Failure::ProxyLogin),
            (Stage::Login, [_, _]) => return Err(Failure::ProxyProtocol),
            (Stage::Reply, [version, ..]) if *version != VERSION => {
                return Err(Failure::ProxyProtocol);
            }
            // A proxy that refuses may say no more than this.
            (Stage::Reply, [_, code, ..]) if *code != 0 => return Err(refusal(*code)),
            (Stage::Reply, [_, _, _, kind, ..]) if ![IPV4, NAME, IPV6].contains(kind) => {
                return Err(Failure::ProxyProtocol);
            }
            (Stage::Reply, [_, _, _, address @ ..]) if whole => {
                self.bound = address_of(address).map(|(address, _)| address);
                self.stage = Stage::Open;
            }
            _ => return Ok(()),
        }
        self.seen.clear();
        Ok(())
    }

    fn request(&mut self) {
        self.unsent.set(std::mem::take(&mut self.request));
        self.stage = Stage::Reply;
    }
}

impl Egress for Exchange {
    fn unsent(&self) -> &[u8] {
        self.unsent.rest()
    }

    fn sent(&mut self, n: usize) {
        self.unsent.sent(n);
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut taken = 0;
        for &byte in bytes {
            if self.stage == Stage::Open || !self.unsent.rest().is_empty() {
                break;
            }
            self.seen.push(byte);
            taken += 1;
            self.step()?;
        }
        Ok(taken)
    }

    fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }
}

/// Longest header of a datagram to an address.
pub const MOST_HEADER: usize = 22;

/// Writes the header of a datagram for `to` (RFC 1928 section 7), and returns its length.
pub fn write_header(header: &mut [u8; MOST_HEADER], to: SocketAddr) -> usize {
    let [a, b] = to.port().to_be_bytes();
    *header = [0; MOST_HEADER];
    match to.ip() {
        IpAddr::V4(ip) => {
            header[3] = IPV4;
            header[4..8].copy_from_slice(&ip.octets());
            header[8..10].copy_from_slice(&[a, b]);
            10
        }
        IpAddr::V6(ip) => {
            header[3] = IPV6;
            header[4..20].copy_from_slice(&ip.octets());
            header[20..].copy_from_slice(&[a, b]);
            22
        }
    }
}

/// Whom a datagram from a proxy is from, and where its payload lies; `None` for a fragment (RFC 1928 has whoever does not
/// reassemble drop them) and for what is malformed.
pub fn read_header(datagram: &[u8]) -> Option<(SocketAddr, Range<usize>)> {
    let [0, 0, 0, address @ ..] = datagram else {
        return None;
    };
    let (from, len) = address_of(address)?;
    Some((from, 3 + len..datagram.len()))
}

fn put_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.push(IPV4);
            out.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(IPV6);
            out.extend(ip.octets());
        }
    }
    out.extend(address.port().to_be_bytes());
}

/// The address at the front, and how long it is; `None` for a name.
fn address_of(bytes: &[u8]) -> Option<(SocketAddr, usize)> {
    let (ip, rest, len): (IpAddr, _, _) = match bytes.split_first()? {
        (&IPV4, rest) => {
            let (ip, rest) = rest.split_first_chunk::<4>()?;
            (IpAddr::from(*ip), rest, 7)
        }
        (&IPV6, rest) => {
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            (IpAddr::from(*ip), rest, 19)
        }
        _ => return None,
    };
    let (port, _) = rest.split_first_chunk::<2>()?;
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), len))
}

/// What the code of a reply means (RFC 1928 section 6).
fn refusal(code: u8) -> Failure {
    match code {
        3 | 4 => Failure::Unreachable,
        5 => Failure::Refused,
        6 => Failure::Timeout,
        _ => Failure::ProxyRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::play, *};

    const REPLY: [u8; 10] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

    fn login() -> Login {
        Login::new("user", "secret").unwrap()
    }

    fn target() -> Target {
        Target::Address("203.0.113.9:443".parse().unwrap())
    }

    #[test]
    fn a_connection_is_asked_for_as_the_rfcs_say_however_the_answers_are_cut() {
        let answer = [&REPLY[..], b"220 hello\r\n"].concat();
        for piece in 1..=answer.len() {
            let exchange = Exchange::connect(&target(), Some(&login()));
            let (said, left, open) = play(Box::new(exchange), &[&[5, 2], &[1, 0], &answer], piece);
            assert_eq!(open, Ok(true), "{piece}");
            assert_eq!(left, 11, "the remote end's bytes stay, {piece}");
            assert_eq!(said[0], [5, 2, 0, 2]);
            assert_eq!(said[1], b"\x01\x04user\x06secret");
            assert_eq!(said[2], [5, 1, 0, 1, 203, 0, 113, 9, 1, 187]);
        }
    }

    #[test]
    fn a_name_is_the_proxys_to_resolve() {
        let target = Target::Name("host.example".into(), 80);
        let exchange = Exchange::connect(&target, None);
        let (said, _, open) = play(Box::new(exchange), &[&[5, 0], &REPLY], 1);
        assert_eq!(open, Ok(true));
        assert_eq!(said[0], [5, 1, 0]);
        assert_eq!(said[1], b"\x05\x01\x00\x03\x0chost.example\x00\x50");
    }

    #[test]
    fn every_way_to_refuse_is_told_apart() {
        let table: [(&[&[u8]], Failure); 10] = [
            (&[&[5, 0xff]], Failure::ProxyLogin),
            (&[&[5, 2], &[1, 1]], Failure::ProxyLogin),
            (&[&[4, 0]], Failure::ProxyProtocol),
            (&[&[5, 1]], Failure::ProxyProtocol),
            (&[b"HTTP/1.1 400 Bad Request\r\n"], Failure::ProxyProtocol),
            (&[&[5, 0], &[5, 1]], Failure::ProxyRefused),
            (&[&[5, 0], &[5, 2, 0, 1]], Failure::ProxyRefused),
            (&[&[5, 0], &[5, 4, 0, 1]], Failure::Unreachable),
            (&[&[5, 0], &[5, 5, 0, 1]], Failure::Refused),
            (&[&[5, 0], &[5, 0, 0, 9]], Failure::ProxyProtocol),
        ];
        for (answers, failure) in table {
            for piece in [1, 100] {
                let exchange = Exchange::connect(&target(), Some(&login()));
                let (.., open) = play(Box::new(exchange), answers, piece);
                assert_eq!(open, Err(failure), "{answers:?}");
            }
        }
        // Without a login, none is given.
        let exchange = Exchange::connect(&target(), None);
        let (.., open) = play(Box::new(exchange), &[&[5, 2]], 1);
        assert_eq!(open, Err(Failure::ProxyProtocol));
    }

    #[test]
    fn a_proxy_that_speaks_before_its_turn_opens_nothing() {
        let mut exchange = Exchange::connect(&target(), None);
        assert_eq!(exchange.receive(&[5, 0, 5, 0]), Ok(0), "nothing was asked");
        exchange.sent(3);
        assert_eq!(exchange.receive(&[5, 0, 5, 0]), Ok(2));
        assert!(!exchange.is_open());
    }

    #[test]
    fn an_association_says_where_its_datagrams_go() {
        let long = [5, 0, 0, 3, 3, b'a', b'.', b'b', 4, 56];
        let six = [&[5, 0, 0, 4][..], &[0x20; 16], &[4, 56]].concat();
        let table: [(&[u8], Option<&str>); 3] = [
            (&[5, 0, 0, 1, 192, 0, 2, 7, 4, 56], Some("192.0.2.7:1080")),
            (&six, Some("[2020:2020:2020:2020:2020:2020:2020:2020]:1080")),
            (&long, None),
        ];
        for (reply, bound) in table {
            let mut exchange = Exchange::associate(false, None);
            exchange.sent(3);
            assert_eq!(exchange.receive(&[5, 0]), Ok(2));
            assert_eq!(exchange.unsent(), [5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
            exchange.sent(10);
            assert_eq!(exchange.receive(reply), Ok(reply.len()));
            assert!(exchange.is_open());
            assert_eq!(exchange.bound(), bound.map(|bound| bound.parse().unwrap()));
        }
    }

    #[test]
    fn headers_of_datagrams_are_read_as_they_are_written() {
        for to in ["192.0.2.1:53", "[2001:db8::1]:443"] {
            let to: SocketAddr = to.parse().unwrap();
            let mut header = [0; MOST_HEADER];
            let n = write_header(&mut header, to);
            let datagram = [&header[..n], b"payload"].concat();
            let (from, payload) = read_header(&datagram).unwrap();
            assert_eq!((from, &datagram[payload]), (to, &b"payload"[..]));
            for cut in 0..n {
                assert_eq!(read_header(&datagram[..cut]), None, "{cut}");
            }
            let mut fragment = datagram;
            fragment[2] = 1;
            assert_eq!(read_header(&fragment), None);
        }
    }
}
