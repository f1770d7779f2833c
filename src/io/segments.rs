//! Several datagrams to or from one peer as one message, which the kernel cuts (udp(7), `UDP_SEGMENT`) or puts together
//! (`UDP_GRO`): the way through its stack, which is what a datagram costs, is gone once for all of them.

use std::{
    io::{self, ErrorKind, IoSlice},
    mem,
    net::SocketAddr,
    os::fd::{AsRawFd, BorrowedFd},
};

use socket2::{MsgHdr, SockAddr, SockAddrStorage, SockRef};

use super::errqueue;

const HEADER: usize = mem::size_of::<libc::cmsghdr>();
/// Bytes of the control message that says how long a segment is: its header, and an integer of 16 or 32 bits in one word
/// (cmsg(3), `CMSG_SPACE`).
const CONTROL: usize = HEADER + mem::size_of::<usize>();

/// What came as one message: datagrams of one peer's, all but the last as long as the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// Bytes in all.
    pub(super) len: usize,
    /// Bytes of each; of all where it is one datagram, which may be empty.
    pub(super) each: usize,
    pub(super) from: SocketAddr,
}

impl Received {
    /// How many datagrams.
    pub(super) fn count(self) -> usize {
        self.len.div_ceil(self.each.max(1)).max(1)
    }
}

/// Whether the kernel cuts, as Linux does from 4.18 on. An older one would send all as one datagram, for it passes over
/// control messages that it does not know.
pub(super) fn are_known(socket: BorrowedFd<'_>) -> bool {
    // Zero is the default: whole messages, where nothing else is said.
    errqueue::set(socket, libc::IPPROTO_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

/// Has datagrams that follow each other put together where the kernel can, as Linux does from 5.0 on; where it cannot, they
/// come one by one.
pub(super) fn join(socket: BorrowedFd<'_>) {
    let _ = errqueue::set(socket, libc::IPPROTO_UDP, libc::UDP_GRO, 1);
}

/// Receives one message.
///
/// # Errors
/// Those of recvmsg(2).
pub(super) fn receive(socket: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<Received> {
    let mut control = [0; CONTROL];
    let mut part = libc::iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: room.len(),
    };
    let receive = |name: *mut SockAddrStorage, len: *mut libc::socklen_t| {
        // SAFETY: all zeroes is an empty msghdr.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_name = name.cast();
        // SAFETY: socket2 gives a valid length.
        message.msg_namelen = unsafe { *len };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL as _;
        // SAFETY: every buffer in the header is valid for its length.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: as above.
        unsafe { *len = message.msg_namelen };
        Ok((received, message.msg_controllen as usize))
    };
    // SAFETY: the kernel has filled in as much of the address as it says.
    let ((len, used), from) = unsafe { SockAddr::try_init(receive) }?;
    let each = control.get(..used).and_then(each_of);
    Ok(Received {
        len,
        each: each.unwrap_or(len),
        from: from.as_socket().ok_or(ErrorKind::InvalidData)?,
    })
}

/// What a control message says of how long each datagram is, if it does.
fn each_of(control: &[u8]) -> Option<usize> {
    let (header, data) = control.split_at_checked(HEADER)?;
    let kind = header.get(mem::size_of::<usize>()..)?;
    let joined = kind.iter().copied().eq(kind_of(libc::UDP_GRO));
    let each = i32::from_ne_bytes(*data.first_chunk()?);
    usize::try_from(each)
        .ok()
        .filter(|each| joined && *each > 0)
}

/// Level and type of a control message of UDP's.
fn kind_of(kind: libc::c_int) -> impl Iterator<Item = u8> {
    libc::IPPROTO_UDP
        .to_ne_bytes()
        .into_iter()
        .chain(kind.to_ne_bytes())
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
    let used = HEADER + mem::size_of_val(&length);
    let fields = used
        .to_ne_bytes()
        .into_iter()
        .chain(kind_of(libc::UDP_SEGMENT))
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
    fn what_the_kernel_puts_together_is_told_apart() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (from, to) = (socket.local_addr().unwrap(), peer.local_addr().unwrap());
        join(peer.as_fd());
        let texts: [&[u8]; 3] = [b"first one", b"and other", b"last"];
        send(socket.as_fd(), &texts.map(IoSlice::new), Some(to)).unwrap();
        socket.send_to(b"alone", to).unwrap();
        socket.send_to(b"", to).unwrap();
        let mut room = [0; 64];
        let mut came = |len, each| {
            let received = receive(peer.as_fd(), &mut room).unwrap();
            assert_eq!(received, Received { len, each, from });
            assert_eq!(received.count(), if len > each { 3 } else { 1 });
            room[..len].to_vec()
        };
        assert_eq!(came(22, 9), texts.concat());
        assert_eq!(came(5, 5), b"alone");
        assert_eq!(came(0, 0), b"");
    }

    #[test]
    fn the_control_message_is_as_the_kernels_macros_read_it() {
        // SAFETY: both only compute with lengths.
        let (space, len) = unsafe { (libc::CMSG_SPACE(2), libc::CMSG_LEN(2)) };
        assert_eq!(CONTROL, space as usize);
        assert_eq!(control(1_200)[..4], len.to_ne_bytes());
    }
}
