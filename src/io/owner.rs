//! Whose a flow is, on Linux: the kernel tells the socket (`NETLINK_SOCK_DIAG`), `/proc` the process that holds it.

mod message;
mod processes;

use std::{
    io::{self, ErrorKind, Read},
    net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{FindOwner, tun};
use crate::{event::Proto, wire::Pair};
use message::{Holder, Reply};
use processes::Processes;

/// Finds the program that a flow of this machine belongs to.
///
/// Its names are the executable's base name, its full path, and `uid:N` of who opened the socket; the first two are left
/// out where the process is gone or not ours to look at. ICMP, and whatever has no socket any more, is unknown.
#[derive(Debug)]
pub struct SockDiag {
    socket: DiagSocket,
    sequence: u32,
    /// Index of the tun device, which sockets may be bound to.
    device: u32,
    /// Whether the device may carry flows of other machines and namespaces, too.
    shared: bool,
    processes: Processes,
}

impl SockDiag {
    /// For flows that come through `device`, a tun of the calling thread's network namespace.
    ///
    /// # Errors
    /// Where there is no such device, or the kernel has no socket diagnostics ([`ErrorKind::Unsupported`]).
    pub fn open(device: &str) -> io::Result<SockDiag> {
        let device = tun::index(device)?;
        Ok(Self::new(DiagSocket::open()?, device, true))
    }

    /// For flows of the network namespace that `socket` was opened in, all of which come through `device`.
    pub(super) fn of_namespace(socket: DiagSocket, device: u32) -> SockDiag {
        Self::new(socket, device, false)
    }

    fn new(socket: DiagSocket, device: u32, shared: bool) -> SockDiag {
        SockDiag {
            socket,
            sequence: 0,
            device,
            shared,
            processes: Processes::new("/proc"),
        }
    }

    fn holder(&mut self, proto: Proto, pair: Pair) -> Option<Holder> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = message::question(proto, pair, self.device, self.sequence)?;
        let holder = self.socket.ask(&question, self.sequence).ok()??;
        let ours = !self.shared || self.is_local(pair.src);
        (ours && holder.sends(proto, pair)).then_some(holder)
    }

    /// Keeps a datagram that is only passing through from being taken for one of a socket here that is bound to its port
    /// and to no address.
    fn is_local(&self, address: SocketAddr) -> bool {
        let any_port = match address.ip() {
            IpAddr::V4(v4) => (v4, 0).into(),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, 0, 0, self.device).into(),
        };
        UdpSocket::bind::<SocketAddr>(any_port).is_ok()
    }
}

impl FindOwner for SockDiag {
    fn find(&mut self, proto: Proto, pair: Pair) -> Vec<Arc<str>> {
        let Some(Holder { uid, inode, .. }) = self.holder(proto, pair) else {
            return Vec::new();
        };
        let uid_name = format!("uid:{uid}").into();
        match inode {
            // A socket in TIME_WAIT belongs to nobody, and the kernel then says 0 for the uid, too.
            0 if uid == 0 => Vec::new(),
            0 => vec![uid_name],
            _ => {
                let mut names = self.processes.names(inode);
                names.push(uid_name);
                names
            }
        }
    }
}

/// A socket to the kernel's tables of sockets.
#[derive(Debug)]
pub(super) struct DiagSocket(Socket);

impl DiagSocket {
    /// One to the tables of the calling thread's network namespace.
    pub(super) fn open() -> io::Result<DiagSocket> {
        let domain = Domain::from(libc::AF_NETLINK);
        let protocol = Protocol::from(libc::NETLINK_SOCK_DIAG);
        let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(protocol))?;
        let socket = DiagSocket(socket);
        for proto in [Proto::Tcp, Proto::Udp] {
            socket.supports(proto)?;
        }
        Ok(socket)
    }

    /// Takes over an open one.
    pub(super) fn adopt(fd: OwnedFd) -> DiagSocket {
        DiagSocket(fd.into())
    }

    /// Tells a kernel that finds no socket from one that cannot look for any: both say `ENOENT` to a question.
    fn supports(&self, proto: Proto) -> io::Result<()> {
        self.0.send(&message::empty_dump(proto))?;
        let mut room = [0; ROOM];
        let got = (&self.0).read(&mut room)?;
        match message::is_end_of_dump(room.get(..got).unwrap_or(&[])) {
            true => Ok(()),
            false => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// The socket that a question is about. The kernel answers within `send`, so that nothing here waits.
    fn ask(&self, question: &[u8], sequence: u32) -> io::Result<Option<Holder>> {
        self.0.send(question)?;
        for _ in 0..STALE {
            let mut room = [0; ROOM];
            let got = (&self.0).read(&mut room)?;
            match message::parse(room.get(..got).unwrap_or(&[]), sequence) {
                Reply::Found(holder) => return Ok(Some(holder)),
                Reply::Missing => return Ok(None),
                Reply::Stale => {}
            }
        }
        Err(ErrorKind::InvalidData.into())
    }
}

impl AsFd for DiagSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Bytes of a reply, at most; the part that is read comes first.
const ROOM: usize = 4096;
/// Replies to earlier questions that are passed over, at most.
const STALE: usize = 8;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    fn on_loopback() -> SockDiag {
        SockDiag::open("lo").unwrap()
    }

    fn names(proto: Proto, src: SocketAddr, dst: SocketAddr) -> Vec<Arc<str>> {
        on_loopback().find(proto, Pair { src, dst })
    }

    /// What every socket of this process is to be called.
    fn ours() -> Vec<Arc<str>> {
        let exe = std::env::current_exe().unwrap();
        let base = exe.file_name().unwrap().to_str().unwrap();
        // SAFETY: cannot fail, and touches no memory.
        let uid = unsafe { libc::geteuid() };
        vec![
            base.into(),
            exe.to_str().unwrap().into(),
            format!("uid:{uid}").into(),
        ]
    }

    #[test]
    fn a_connection_belongs_to_who_made_it() {
        for any in [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ] {
            let Ok(listener) = TcpListener::bind((any, 0)) else {
                continue;
            };
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (src, dst) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            assert_eq!(names(Proto::Tcp, src, dst), ours());
        }
    }

    #[test]
    fn a_connection_that_is_not_made_yet_has_its_owner() {
        // Nobody accepts, so that the queue is soon full and the kernel leaves SYNs without an answer.
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let callers: Vec<Socket> = (0..4)
            .map(|_| {
                let caller = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
                let _ = caller.connect(&address);
                caller
            })
            .collect();
        let waiting = callers.iter().rfind(|caller| caller.peer_addr().is_err());
        let src = waiting.expect("one is in SYN_SENT").local_addr().unwrap();
        let (src, dst) = (src.as_socket().unwrap(), address.as_socket().unwrap());
        assert_eq!(names(Proto::Tcp, src, dst), ours());
    }

    #[test]
    fn a_socket_that_is_bound_to_the_device_has_its_owner() {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        socket.bind(&any.into()).unwrap();
        socket.bind_device(Some(b"lo")).unwrap();
        let src = socket.local_addr().unwrap().as_socket().unwrap();
        let dst = "192.0.2.1:53".parse().unwrap();
        assert_eq!(names(Proto::Udp, src, dst), ours());
    }

    #[test]
    fn a_listener_does_not_own_what_comes_from_its_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dst = "192.0.2.1:80".parse().unwrap();
        let found = names(Proto::Tcp, listener.local_addr().unwrap(), dst);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_datagram_belongs_to_whoever_has_its_port() {
        let dst4: SocketAddr = "192.0.2.1:53".parse().unwrap();
        let dst6: SocketAddr = "[2001:db8::1]:53".parse().unwrap();
        let table: [(IpAddr, IpAddr, SocketAddr); 4] = [
            (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into(), dst4),
            (
                Ipv4Addr::UNSPECIFIED.into(),
                Ipv4Addr::LOCALHOST.into(),
                dst4,
            ),
            // A socket of both families sends IPv4 as well.
            (
                Ipv6Addr::UNSPECIFIED.into(),
                Ipv4Addr::LOCALHOST.into(),
                dst4,
            ),
            (
                Ipv6Addr::UNSPECIFIED.into(),
                Ipv6Addr::LOCALHOST.into(),
                dst6,
            ),
        ];
        for (bound, from, dst) in table {
            let Ok(socket) = UdpSocket::bind((bound, 0)) else {
                continue;
            };
            let src = (from, socket.local_addr().unwrap().port()).into();
            assert_eq!(names(Proto::Udp, src, dst), ours(), "{bound}");
        }
    }

    #[test]
    fn a_connected_datagram_socket_owns_what_goes_to_its_peer_alone() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(peer.local_addr().unwrap()).unwrap();
        let src = socket.local_addr().unwrap();
        assert_eq!(names(Proto::Udp, src, peer.local_addr().unwrap()), ours());
        let elsewhere = names(Proto::Udp, src, "192.0.2.1:53".parse().unwrap());
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }

    #[test]
    fn a_datagram_that_passes_through_is_nobodys_here() {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let src: SocketAddr = (Ipv4Addr::new(192, 0, 2, 7), port).into();
        let dst = "192.0.2.1:53".parse().unwrap();
        let found = names(Proto::Udp, src, dst);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn what_is_closed_is_unknown() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (src, dst) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let (server, _) = listener.accept().unwrap();
        // First to close: it goes to TIME_WAIT, which the kernel says uid 0 of.
        drop(stream);
        drop(server);
        let found = names(Proto::Tcp, src, dst);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn echoes_are_unknown() {
        let at = |text: &str| text.parse().unwrap();
        assert!(names(Proto::Icmp, at("127.0.0.1:0"), at("192.0.2.1:0")).is_empty());
    }

    #[test]
    fn many_questions_have_their_own_answers() {
        let mut diag = on_loopback();
        let dst = "192.0.2.1:53".parse().unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let src = socket.local_addr().unwrap();
        for _ in 0..50 {
            assert_eq!(diag.find(Proto::Udp, Pair { src, dst }), ours());
            let closed = Pair { src: dst, dst: src };
            assert!(diag.find(Proto::Tcp, closed).is_empty());
        }
    }
}
