//! The few requests of rtnetlink(7) that set a device up, so that no `ip` program is needed.

use std::{io, net::IpAddr};

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};

/// A socket to the kernel's routing tables of the calling thread's network namespace.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens the socket.
    pub(crate) fn open() -> io::Result<Netlink> {
        let domain = Domain::from(libc::AF_NETLINK);
        let protocol = Protocol::from(libc::NETLINK_ROUTE);
        Ok(Netlink {
            socket: Socket::new(domain, Type::RAW, Some(protocol))?,
            sequence: 0,
        })
    }

    /// Keeps the kernel from giving a device that is still down a link-local IPv6 address, and so
    /// from soliciting routers on it.
    pub(crate) fn silence(&mut self, index: u32) -> io::Result<()> {
        let mode = attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
        let inet6 = attribute(libc::AF_INET6 as u16, &mode);
        let body = [link(index, 0), attribute(IFLA_AF_SPEC, &inet6)].concat();
        self.request(libc::RTM_NEWLINK, 0, &body)
    }

    /// Sets MTU and queue length (packets), where given, and takes the device up.
    pub(crate) fn up(
        &mut self,
        index: u32,
        mtu: Option<u32>,
        queue: Option<u32>,
    ) -> io::Result<()> {
        let mut body = link(index, libc::IFF_UP as u32);
        if let Some(mtu) = mtu {
            body.extend(attribute(IFLA_MTU, &mtu.to_ne_bytes()));
        }
        if let Some(queue) = queue {
            body.extend(attribute(IFLA_TXQLEN, &queue.to_ne_bytes()));
        }
        self.request(libc::RTM_NEWLINK, 0, &body)
    }

    /// Gives the device an address, usable at once (no duplicate address detection).
    pub(crate) fn add_address(&mut self, index: u32, address: IpNet) -> io::Result<()> {
        let octets = octets(address.addr());
        let mut body = vec![family(address.addr()), address.prefix_len(), IFA_F_NODAD, 0];
        body.extend(index.to_ne_bytes());
        body.extend(attribute(IFA_LOCAL, &octets));
        body.extend(attribute(IFA_ADDRESS, &octets));
        self.request(libc::RTM_NEWADDR, CREATE, &body)
    }

    /// Sends everything of the address family of `like` to the device.
    pub(crate) fn add_default_route(&mut self, index: u32, like: IpAddr) -> io::Result<()> {
        let scope = libc::RT_SCOPE_LINK;
        let (table, origin) = (libc::RT_TABLE_MAIN, libc::RTPROT_STATIC);
        let mut body = vec![
            family(like),
            0,
            0,
            0,
            table,
            origin,
            scope,
            libc::RTN_UNICAST,
        ];
        body.extend(0u32.to_ne_bytes());
        body.extend(attribute(libc::RTA_OIF, &index.to_ne_bytes()));
        self.request(libc::RTM_NEWROUTE, CREATE, &body)
    }

    fn request(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        self.socket
            .send(&message(kind, flags, self.sequence, body))?;
        let mut reply = [0; 4096];
        let got = io::Read::read(&mut &self.socket, &mut reply)?;
        acknowledged(&reply[..got])
    }
}

/// A whole message: nlmsghdr, then `body`.
fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let flags = flags | (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0u32.to_ne_bytes());
    message.extend(body);
    message
}

/// Reads the kernel's acknowledgement: an `NLMSG_ERROR` with a negated errno, 0 for success.
fn acknowledged(reply: &[u8]) -> io::Result<()> {
    let kind = reply
        .get(4..6)
        .and_then(|b| b.try_into().ok())
        .map(u16::from_ne_bytes);
    let code = reply
        .get(HEADER..HEADER + 4)
        .and_then(|b| b.try_into().ok())
        .map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// An ifinfomsg that sets `flags`.
fn link(index: u32, flags: u32) -> Vec<u8> {
    let mut body = vec![libc::AF_UNSPEC as u8, 0, 0, 0];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body
}

/// An rtattr, padded to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut attribute = Vec::with_capacity(8 + value.len());
    attribute.extend((4 + value.len() as u16).to_ne_bytes());
    attribute.extend(kind.to_ne_bytes());
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Bytes of nlmsghdr.
const HEADER: usize = 16;
const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
// linux/netlink.h, linux/if_link.h and linux/if_addr.h.
const NLMSG_ERROR: u16 = 2;
const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_F_NODAD: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_say_their_own_length() {
        assert_eq!(attribute(8, &[1]).len(), 8);
        assert_eq!(attribute(8, &[1])[..2], 5u16.to_ne_bytes());
        assert_eq!(attribute(4, &[0; 4]).len(), 8);
    }

    #[test]
    fn a_message_says_its_length_and_asks_for_an_answer() {
        let bytes = message(libc::RTM_NEWADDR, CREATE, 7, &[0; 8]);
        assert_eq!(bytes.len(), 24);
        assert_eq!(bytes[..4], 24u32.to_ne_bytes());
        assert_eq!(bytes[6..8], 0x605u16.to_ne_bytes());
        assert_eq!(bytes[8..12], 7u32.to_ne_bytes());
    }

    #[test]
    fn answers_are_read_as_the_kernel_writes_them() {
        let answer = |kind: u16, code: i32| {
            let mut bytes = message(kind, 0, 1, &code.to_ne_bytes());
            bytes.extend([0; 16]);
            acknowledged(&bytes).map_err(|error| error.raw_os_error())
        };
        assert_eq!(answer(NLMSG_ERROR, 0), Ok(()));
        assert_eq!(answer(NLMSG_ERROR, -libc::EPERM), Err(Some(libc::EPERM)));
        assert_eq!(answer(3, 0), Err(None));
        assert!(acknowledged(&[]).is_err());
    }

    #[test]
    fn a_device_that_is_not_there_is_refused_by_the_kernel() {
        let error = Netlink::open()
            .unwrap()
            .up(0x7fff_fff0, None, None)
            .unwrap_err();
        assert!(
            matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EPERM)),
            "{error}"
        );
    }
}
