//! What the network said of datagrams that were sent: the error queue of a socket (ip(7), `IP_RECVERR`).

use std::{
    io, mem,
    net::SocketAddr,
    os::fd::{AsRawFd, BorrowedFd},
};

use socket2::{SockAddr, SockAddrStorage};

use crate::wire::Unreachable;

/// One error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Whom the datagram was for; port 0 where this machine itself refused it.
    pub(super) to: SocketAddr,
    pub(super) why: Unreachable,
}

/// Has errors kept in the queue, each with the datagram that it is about.
pub(super) fn keep(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    let (level, option) = match v6 {
        false => (libc::IPPROTO_IP, libc::IP_RECVERR),
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    set(socket, level, option, 1)
}

/// Has datagrams that are longer than the path carries refused, or sent in fragments.
pub(super) fn set_dont_fragment(socket: BorrowedFd<'_>, v6: bool, whole: bool) -> io::Result<()> {
    let (level, option, [always, as_needed]) = match v6 {
        false => (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            [libc::IP_PMTUDISC_DO, libc::IP_PMTUDISC_WANT],
        ),
        true => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            [libc::IPV6_PMTUDISC_DO, libc::IPV6_PMTUDISC_WANT],
        ),
    };
    set(
        socket,
        level,
        option,
        if whole { always } else { as_needed },
    )
}

/// Takes the oldest error of a socket, if there is one that means anything.
pub(super) fn take(socket: BorrowedFd<'_>) -> Option<Refused> {
    while let Ok((to, error)) = receive(socket) {
        let refused = to.and_then(|to| reason(&error?).map(|why| Refused { to, why }));
        if refused.is_some() {
            return refused;
        }
    }
    None
}

/// Sets an option that is an integer.
pub(super) fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the option takes an integer, which outlives the call.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    match status {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// One message of the queue: whom its datagram was for, and what is said of it.
fn receive(
    socket: BorrowedFd<'_>,
) -> io::Result<(Option<SocketAddr>, Option<libc::sock_extended_err>)> {
    // In words, so that control messages are aligned.
    let mut control = [0u64; 64];
    let mut error = None;
    let receive = |name: *mut SockAddrStorage, len: *mut libc::socklen_t| {
        // SAFETY: all zeroes is an empty msghdr.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_name = name.cast();
        // SAFETY: socket2 gives a valid length.
        message.msg_namelen = unsafe { *len };
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        // SAFETY: every buffer in the header is valid for its length; the datagram itself is not wanted.
        if unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) } == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        unsafe { *len = message.msg_namelen };
        error = extended(&message);
        Ok(())
    };
    // SAFETY: the kernel has filled in as much of the address as it says.
    let ((), name) = unsafe { SockAddr::try_init(receive) }?;
    Ok((name.as_socket(), error))
}

fn extended(message: &libc::msghdr) -> Option<libc::sock_extended_err> {
    let wanted = [
        (libc::IPPROTO_IP, libc::IP_RECVERR),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    ];
    // SAFETY: the kernel has written well-formed control messages into the buffer that the header names.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !at.is_null() {
        // SAFETY: `at` is a header within the buffer.
        let header = unsafe { *at };
        let needed = mem::size_of::<libc::cmsghdr>() + mem::size_of::<libc::sock_extended_err>();
        if wanted.contains(&(header.cmsg_level, header.cmsg_type))
            && header.cmsg_len as usize >= needed
        {
            // SAFETY: the length says that a whole structure follows; plain integers, read wherever they lie.
            return Some(unsafe {
                libc::CMSG_DATA(at)
                    .cast::<libc::sock_extended_err>()
                    .read_unaligned()
            });
        }
        // SAFETY: as above.
        at = unsafe { libc::CMSG_NXTHDR(message, at) };
    }
    None
}

fn reason(error: &libc::sock_extended_err) -> Option<Unreachable> {
    let (v4, v6) = (libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6);
    match (error.ee_origin, error.ee_type, error.ee_code) {
        // RFC 1812 section 5.2.7.1: prohibited for network, host, or at all.
        (origin, 3, 9 | 10 | 13) if origin == v4 => return Some(Unreachable::AdminProhibited),
        (origin, 1, 1 | 5 | 6) if origin == v6 => return Some(Unreachable::AdminProhibited),
        _ => {}
    }
    match error.ee_errno as libc::c_int {
        libc::EMSGSIZE => Some(Unreachable::TooBig { mtu: error.ee_info }),
        libc::ECONNREFUSED => Some(Unreachable::Port),
        libc::ENETUNREACH => Some(Unreachable::Network),
        libc::EHOSTUNREACH => Some(Unreachable::Host),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, os::fd::AsFd, thread, time::Duration};

    use super::*;

    #[test]
    fn a_port_where_nobody_listens_is_told_with_whom_it_was_for() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let nobody = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        keep(socket.as_fd(), false).unwrap();
        assert_eq!(take(socket.as_fd()), None);
        socket.send_to(b"hello", nobody).unwrap();
        thread::sleep(Duration::from_millis(20));
        let why = Unreachable::Port;
        assert_eq!(take(socket.as_fd()), Some(Refused { to: nobody, why }));
        assert_eq!(take(socket.as_fd()), None);
    }
}
