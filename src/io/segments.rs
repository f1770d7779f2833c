//! Several datagrams to one peer as one message, which the kernel cuts (udp(7), `UDP_SEGMENT`): the way down through its
//! stack, which is what a datagram costs, is gone once for all of them.

use std::{
    io::{self, IoSlice},
    mem,
    net::SocketAddr,
    os::fd::BorrowedFd,
};

use socket2::{MsgHdr, SockRef};

use super::errqueue;

/// Bytes of the control message that says how long a segment is: its header, and an integer of 16 bits in one word
/// (cmsg(3), `CMSG_SPACE`).
const CONTROL: usize = mem::size_of::<libc::cmsghdr>() + mem::size_of::<usize>();

/// Whether the kernel cuts, as Linux does from 4.18 on. An older one would send all as one datagram, for it passes over
/// control messages that it does not know.
pub(super) fn are_known(socket: BorrowedFd<'_>) -> bool {
    // Zero is the default: whole messages, where nothing else is said.
    errqueue::set(socket, libc::IPPROTO_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

/// Sends `parts`, a datagram each; all but the last are as long as the first. All go, or none.
///
/// # Errors
/// Those of sendmsg(2), for all of them: also where the path takes no datagram of this length, or the device computes no
/// checksums.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    to: Option<SocketAddr>,
) -> io::Result<()> {
    let length = parts.first().map_or(0, |part| part.len());
    let control = control(u16::try_from(length).map_err(io::Error::other)?);
    let to = to.map(Into::into);
    let message = MsgHdr::new().with_buffers(parts).with_control(&control);
    let message = match &to {
        Some(to) => message.with_addr(to),
        None => message,
    };
    SockRef::from(&socket)
        .sendmsg(&message, libc::MSG_NOSIGNAL)
        .map(drop)
}

fn control(length: u16) -> [u8; CONTROL] {
    let used = mem::size_of::<libc::cmsghdr>() + mem::size_of_val(&length);
    let fields = used
        .to_ne_bytes()
        .into_iter()
        .chain(libc::IPPROTO_UDP.to_ne_bytes())
        .chain(libc::UDP_SEGMENT.to_ne_bytes())
        .chain(length.to_ne_bytes());
    let mut control = [0; CONTROL];
    control
        .iter_mut()
        .zip(fields)
        .for_each(|(byte, field)| *byte = field);
    control
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, os::fd::AsFd, time::Duration};

    use super::*;

    #[test]
    fn one_message_is_several_datagrams_for_the_peer() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert!(are_known(socket.as_fd()), "not by Linux {kernel}");
        let texts: [&[u8]; 3] = [b"first one", b"and other", b"last"];
        let parts = texts.map(IoSlice::new);
        let to = peer.local_addr().unwrap();
        send(socket.as_fd(), &parts, Some(to)).unwrap();
        socket.connect(to).unwrap();
        send(socket.as_fd(), &parts[1..], None).unwrap();
        for text in texts.iter().chain(&texts[1..]) {
            let mut buffer = [0; 64];
            let len = peer.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], *text);
        }
    }

    #[test]
    fn the_control_message_is_as_the_kernels_macros_read_it() {
        // SAFETY: both only compute with lengths.
        let (space, len) = unsafe { (libc::CMSG_SPACE(2), libc::CMSG_LEN(2)) };
        assert_eq!(CONTROL, space as usize);
        assert_eq!(control(1_200)[..4], len.to_ne_bytes());
    }
}
