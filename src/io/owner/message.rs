//! Questions to `NETLINK_SOCK_DIAG`, and its replies (sock_diag(7), linux/inet_diag.h).

use std::net::{IpAddr, SocketAddr};

use crate::{event::Proto, wire::Pair};

/// What the kernel says of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) local: SocketAddr,
    /// Unspecified where the socket is not connected.
    pub(super) remote: SocketAddr,
    pub(super) uid: u32,
    /// Of the socket's file; 0 where no process has it open.
    pub(super) inode: u32,
}

impl Holder {
    /// Whether a packet from `pair.src` to `pair.dst` can come from this socket: the kernel falls back on listeners, which
    /// send none.
    pub(super) fn sends(&self, proto: Proto, pair: Pair) -> bool {
        let is = |own: SocketAddr, wire: SocketAddr| {
            own.ip() == wire.ip().to_canonical() && own.port() == wire.port()
        };
        let (local, remote) = (self.local, self.remote);
        match proto {
            Proto::Tcp => is(local, pair.src) && is(remote, pair.dst),
            Proto::Udp => {
                let bound = local.ip().is_unspecified() && local.port() == pair.src.port();
                let unconnected = remote.ip().is_unspecified() && remote.port() == 0;
                (bound || is(local, pair.src)) && (unconnected || is(remote, pair.dst))
            }
            Proto::Icmp => false,
        }
    }
}

/// What a message of the kernel's is to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The socket.
    Found(Holder),
    /// There is none, or the kernel does not say.
    Missing,
    /// It answers another question.
    Stale,
}

/// Asks for the socket that sends from `pair.src` to `pair.dst` through the device with index `device`; `None` for a
/// protocol that the kernel keeps no such table of.
///
/// A socket that is bound to no device is found as well.
pub(super) fn question(proto: Proto, pair: Pair, device: u32, sequence: u32) -> Option<Vec<u8>> {
    let (src, dst) = (pair.src, pair.dst);
    let ends = match proto {
        Proto::Tcp => [src, dst],
        // "src and dst are swapped for historical reasons" (net/ipv4/udp_diag.c).
        Proto::Udp => [dst, src],
        Proto::Icmp => return None,
    };
    let mut body = request(family(src.ip()), proto, ALL_STATES)?;
    body.extend(ends.iter().flat_map(|end| end.port().to_be_bytes()));
    body.extend(ends.iter().flat_map(|end| words(end.ip())));
    body.extend(device.to_ne_bytes());
    body.extend(NO_COOKIE);
    Some(message(0, sequence, &body))
}

/// Asks for the sockets of `proto` that are in no state: none, but by a message of another kind where the kernel cannot
/// look for them.
pub(super) fn empty_dump(proto: Proto) -> Vec<u8> {
    let mut body = request(libc::AF_INET as u8, proto, 0).unwrap_or_default();
    body.resize(REQUEST, 0);
    message(libc::NLM_F_DUMP as u16, 0, &body)
}

/// Whether a message ends a dump without an error.
pub(super) fn is_end_of_dump(reply: &[u8]) -> bool {
    let code = reply.get(HEADER..).and_then(|body| number(body, 0));
    kind(reply) == Some(libc::NLMSG_DONE as u16) && code == Some(0)
}

/// Reads a message as a reply to the question numbered `sequence`.
pub(super) fn parse(reply: &[u8], sequence: u32) -> Reply {
    if number(reply, 8) != Some(sequence) {
        return Reply::Stale;
    }
    match (kind(reply), reply.get(HEADER..).and_then(holder)) {
        (Some(SOCK_DIAG_BY_FAMILY), Some(holder)) => Reply::Found(holder),
        _ => Reply::Missing,
    }
}

/// Reads an inet_diag_msg.
fn holder(body: &[u8]) -> Option<Holder> {
    let v6 = i32::from(*body.first()?) == libc::AF_INET6;
    let end = |port, address| {
        let port = u16::from_be_bytes(*body.get(port..)?.first_chunk()?);
        let words: [u8; 16] = *body.get(address..)?.first_chunk()?;
        let ip = match v6 {
            true => IpAddr::from(words).to_canonical(),
            false => IpAddr::from(*words.first_chunk::<4>()?),
        };
        Some(SocketAddr::new(ip, port))
    };
    Some(Holder {
        local: end(4, 8)?,
        remote: end(6, 24)?,
        uid: number(body, 64)?,
        inode: number(body, 68)?,
    })
}

/// The start of an inet_diag_req_v2.
fn request(family: u8, proto: Proto, states: u32) -> Option<Vec<u8>> {
    let protocol = match proto {
        Proto::Tcp => libc::IPPROTO_TCP,
        Proto::Udp => libc::IPPROTO_UDP,
        Proto::Icmp => return None,
    };
    let mut body = Vec::with_capacity(REQUEST);
    body.extend([family, protocol as u8, 0, 0]);
    body.extend(states.to_ne_bytes());
    Some(body)
}

/// A whole message: nlmsghdr, then `body`.
fn message(flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let flags = flags | libc::NLM_F_REQUEST as u16;
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0u32.to_ne_bytes());
    message.extend(body);
    message
}

fn kind(message: &[u8]) -> Option<u16> {
    let bytes = message.get(4..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

fn number(message: &[u8], at: usize) -> Option<u32> {
    let bytes = message.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

/// An address in the room of an IPv6 one.
fn words(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut words = [0; 16];
            words[..4].copy_from_slice(&v4.octets());
            words
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Bytes of nlmsghdr.
const HEADER: usize = 16;
/// Bytes of inet_diag_req_v2.
const REQUEST: usize = 56;
const ALL_STATES: u32 = u32::MAX;
const NO_COOKIE: [u8; 8] = [0xff; 8];
// linux/sock_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(src: &str, dst: &str) -> Pair {
        Pair {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
        }
    }

    /// An inet_diag_msg, with what follows it.
    fn body(family: i32, local: &str, remote: &str, uid: u32, inode: u32) -> Vec<u8> {
        let [local, remote]: [SocketAddr; 2] = [local, remote].map(|text| text.parse().unwrap());
        let mut body = vec![family as u8, 1, 0, 0];
        body.extend(local.port().to_be_bytes());
        body.extend(remote.port().to_be_bytes());
        body.extend(words(local.ip()));
        body.extend(words(remote.ip()));
        body.extend([0; 4 + 8 + 3 * 4]);
        body.extend(uid.to_ne_bytes());
        body.extend(inode.to_ne_bytes());
        body.extend([5, 0, 8, 0, 0, 0, 0, 0]);
        body
    }

    #[test]
    fn a_question_names_both_ends_the_device_and_no_cookie() {
        let pair = pair("198.18.0.2:41022", "203.0.113.9:80");
        let bytes = question(Proto::Tcp, pair, 7, 3).unwrap();
        assert_eq!(bytes.len(), 72);
        assert_eq!(bytes[..4], 72u32.to_ne_bytes());
        assert_eq!(bytes[4..6], 20u16.to_ne_bytes());
        assert_eq!(bytes[6..8], 1u16.to_ne_bytes());
        assert_eq!(bytes[8..12], 3u32.to_ne_bytes());
        assert_eq!(bytes[16..20], [2, 6, 0, 0]);
        assert_eq!(bytes[20..24], [0xff; 4]);
        assert_eq!(bytes[24..28], [0xa0, 0x3e, 0, 80]);
        assert_eq!(bytes[28..32], [198, 18, 0, 2]);
        assert_eq!(bytes[32..44], [0; 12]);
        assert_eq!(bytes[44..48], [203, 0, 113, 9]);
        assert_eq!(bytes[60..64], 7u32.to_ne_bytes());
        assert_eq!(bytes[64..], [0xff; 8]);
    }

    #[test]
    fn a_question_about_a_datagram_has_its_ends_swapped() {
        let pair = pair("[2001:db8::2]:4660", "[2001:db8::9]:53");
        let bytes = question(Proto::Udp, pair, 0, 1).unwrap();
        assert_eq!(bytes[16..20], [10, 17, 0, 0]);
        assert_eq!(bytes[24..28], [0, 53, 0x12, 0x34]);
        assert_eq!((bytes[43], bytes[59]), (9, 2));
    }

    #[test]
    fn there_is_no_question_about_an_echo() {
        let pair = pair("198.18.0.2:0", "203.0.113.9:0");
        assert_eq!(question(Proto::Icmp, pair, 0, 1), None);
    }

    #[test]
    fn a_reply_tells_who_holds_the_socket() {
        let table = [
            (
                body(libc::AF_INET, "198.18.0.2:1025", "203.0.113.9:80", 1000, 77),
                "198.18.0.2:1025",
                "203.0.113.9:80",
            ),
            (
                body(
                    libc::AF_INET6,
                    "[2001:db8::2]:1025",
                    "[2001:db8::9]:80",
                    1000,
                    77,
                ),
                "[2001:db8::2]:1025",
                "[2001:db8::9]:80",
            ),
            (
                body(
                    libc::AF_INET6,
                    "[::ffff:198.18.0.2]:1025",
                    "[::ffff:203.0.113.9]:80",
                    1000,
                    77,
                ),
                "198.18.0.2:1025",
                "203.0.113.9:80",
            ),
        ];
        for (body, src, dst) in table {
            let wire = pair(src, dst);
            let Reply::Found(holder) = parse(&message(0, 9, &body), 9) else {
                panic!("{src}");
            };
            assert_eq!((holder.local, holder.remote), (wire.src, wire.dst));
            assert_eq!((holder.uid, holder.inode), (1000, 77));
            assert!(holder.sends(Proto::Tcp, wire));
        }
    }

    #[test]
    fn only_a_whole_reply_to_the_question_counts() {
        let body = body(libc::AF_INET, "198.18.0.2:1025", "203.0.113.9:80", 1, 2);
        let reply = message(0, 9, &body);
        assert_eq!(parse(&reply, 8), Reply::Stale);
        for end in 12..HEADER + 72 {
            assert_eq!(parse(&reply[..end], 9), Reply::Missing, "{end}");
        }
        assert_eq!(parse(&[], 9), Reply::Stale);
        let mut error = reply.clone();
        error[4] = 2;
        assert_eq!(parse(&error, 9), Reply::Missing);
    }

    #[test]
    fn a_socket_sends_what_its_ends_allow() {
        let wire = pair("198.18.0.2:1025", "203.0.113.9:53");
        let (tcp, udp) = (Proto::Tcp, Proto::Udp);
        let table = [
            ("198.18.0.2:1025", "203.0.113.9:53", (true, true)),
            ("198.18.0.2:1025", "0.0.0.0:0", (false, true)),
            ("0.0.0.0:1025", "0.0.0.0:0", (false, true)),
            ("[::]:1025", "[::]:0", (false, true)),
            ("0.0.0.0:1026", "0.0.0.0:0", (false, false)),
            ("198.18.0.3:1025", "0.0.0.0:0", (false, false)),
            ("198.18.0.2:1025", "203.0.113.8:53", (false, false)),
            ("198.18.0.2:1025", "203.0.113.9:54", (false, false)),
        ];
        for (local, remote, expected) in table {
            let ends = pair(local, remote);
            let holder = Holder {
                local: ends.src,
                remote: ends.dst,
                uid: 0,
                inode: 1,
            };
            let sends = (holder.sends(tcp, wire), holder.sends(udp, wire));
            assert_eq!(sends, expected, "{local} {remote}");
            assert!(!holder.sends(Proto::Icmp, wire));
        }
    }

    #[test]
    fn a_dump_that_ends_in_an_error_is_told_from_an_empty_one() {
        let end = |kind: i32, code: i32| {
            let mut bytes = message(0, 0, &code.to_ne_bytes());
            bytes[4..6].copy_from_slice(&(kind as u16).to_ne_bytes());
            is_end_of_dump(&bytes)
        };
        assert!(end(libc::NLMSG_DONE, 0));
        assert!(!end(libc::NLMSG_DONE, -libc::ENOENT));
        assert!(!end(libc::NLMSG_ERROR, -libc::ENOENT));
        assert!(!is_end_of_dump(&[]));
        assert_eq!(empty_dump(Proto::Udp).len(), 72);
    }
}
