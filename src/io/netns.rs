//! Network namespaces: a command whose only way out is a tun of ours.

mod error;
mod plan;
mod user;

use std::{
    io, iter,
    net::IpAddr,
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, Command},
};

use ipnet::IpNet;
use socket2::{Domain, Socket, Type};

use super::{
    owner::{DiagSocket, SockDiag},
    passing,
    tun::{self, Packets, Tun},
};
use error::At;
pub use error::{NetnsError, Step};
use plan::{Entered, Lack, Plan};

/// What the command's network looks like from inside.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Name of the tun device.
    pub name: String,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// How they are read and written.
    pub packets: Packets,
    /// Packets that the device queues towards us.
    pub queue: u32,
    /// Addresses of the device.
    pub addresses: Vec<IpNet>,
    /// Addresses that the command's resolv.conf names; not the device's own.
    pub resolvers: Vec<IpAddr>,
}

impl Default for Layout {
    fn default() -> Self {
        let net = |text: &str| text.parse().expect("a constant");
        Self {
            name: "untold0".into(),
            mtu: 65_535,
            packets: Packets::Offloaded,
            queue: 5_000,
            addresses: vec![net("198.18.0.2/30"), net("fd75:6e74:6f6c:64::2/64")],
            resolvers: RESOLVERS
                .map(|text| text.parse().expect("a constant"))
                .to_vec(),
        }
    }
}

/// A command that runs in a namespace of its own.
#[derive(Debug)]
pub struct Confined {
    /// The command.
    pub child: Child,
    /// The other end of its network.
    pub tun: Tun,
    /// Finds the programs that its flows belong to, where the kernel can.
    pub owners: Option<SockDiag>,
    /// What its namespace has to do without, in words.
    pub lacks: Vec<&'static str>,
}

/// Starts `command` in a network namespace whose only device besides loopback is a tun.
///
/// As root it runs as the user that called sudo, where one did; otherwise a user namespace in which the
/// caller has its own uid is made as well. Nothing of the calling process changes.
pub fn spawn(command: &mut Command, layout: &Layout) -> Result<Confined, NetnsError> {
    let (ours, theirs) =
        Socket::pair(Domain::UNIX, Type::SEQPACKET, None).map_err(|source| NetnsError::Setup {
            step: Step::Report,
            source,
        })?;
    let plan = Plan::new(layout.clone());
    if let Some(user) = &plan.user {
        command.envs([
            ("HOME", &user.home),
            ("USER", &user.name),
            ("LOGNAME", &user.name),
        ]);
    }
    let report = move |plan: &Plan| match plan.enter() {
        Ok(Entered {
            tun,
            index,
            sockets,
            lacks,
        }) => {
            let [a, b, c, d] = index.to_ne_bytes();
            let fds = iter::once(tun.as_fd()).chain(sockets.iter().map(AsFd::as_fd));
            let fds: Vec<_> = fds.collect();
            passing::send(&theirs, &[DONE, lacks, a, b, c, d], &fds)
        }
        Err((step, error)) => {
            let code = error.raw_os_error().unwrap_or(libc::EIO);
            let [a, b, c, d] = code.to_ne_bytes();
            passing::send(&theirs, &[step as u8, 0, a, b, c, d], &[])?;
            Err(io::Error::from_raw_os_error(code))
        }
    };
    // SAFETY: runs between fork and exec in a copy of one thread. It allocates, which the C libraries that
    // Linux programs use keep possible after fork, and takes no lock that another thread could have held.
    unsafe { command.pre_exec(move || report(&plan)) };
    let spawned = command.spawn();
    ours.set_nonblocking(true)
        .map_err(|source| NetnsError::Setup {
            step: Step::Report,
            source,
        })?;
    let mut message = [0; 6];
    let (_, fds) = passing::receive(&ours, &mut message).unwrap_or_default();
    let mut fds = fds.into_iter();
    let (tun, sockets) = (fds.next(), fds.next());
    // The device's index where it all went well, else an errno.
    let [step, lacks, number @ ..] = message;
    match (spawned, tun) {
        (Ok(child), Some(fd)) => Ok(Confined {
            child,
            tun: Tun::adopt(fd),
            owners: sockets.map(|fd| {
                SockDiag::of_namespace(DiagSocket::adopt(fd), u32::from_ne_bytes(number))
            }),
            lacks: Lack::words(lacks),
        }),
        (Err(source), Some(_)) => Err(NetnsError::Command { source }),
        (Err(source), None) => match Step::from_byte(step) {
            Some(step) => {
                let source = io::Error::from_raw_os_error(i32::from_ne_bytes(number));
                Err(NetnsError::Setup { step, source })
            }
            None => Err(NetnsError::Command { source }),
        },
        (Ok(mut child), None) => {
            // Without its network the command must not go on; that it may have ended already is fine.
            let _ = child.kill();
            let _ = child.wait();
            Err(NetnsError::Setup {
                step: Step::Report,
                source: io::ErrorKind::UnexpectedEof.into(),
            })
        }
    }
}

/// Moves the calling process, which must have one thread, into a network namespace with nothing but a
/// loopback device that has `addresses`.
pub fn enter(addresses: &[IpNet]) -> Result<(), NetnsError> {
    let plan = Plan::new(Layout::default());
    let entered = plan
        .unshare()
        .and_then(|()| tun::loopback(addresses).at(Step::Loopback));
    entered.map_err(|(step, source)| NetnsError::Setup { step, source })
}

/// Resolvers that the calling namespace's resolv.conf(5) names, at most three, in order; lines that cannot be used are skipped.
pub fn resolvers(resolv_conf: &str) -> Vec<std::net::SocketAddr> {
    let named = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("nameserver") {
            return None;
        }
        let word = words.next()?;
        let (address, zone) = word.split_once('%').unwrap_or((word, ""));
        match address.parse().ok()? {
            IpAddr::V4(v4) => Some((v4, 53).into()),
            IpAddr::V6(v6) => {
                let zone = if zone.is_empty() {
                    0
                } else {
                    zone.parse().ok().or(tun::index(zone).ok())?
                };
                Some(std::net::SocketAddrV6::new(v6, 53, 0, zone).into())
            }
        }
    });
    named.take(3).collect()
}

/// Where DNS is answered inside the tunnel, by default.
pub const RESOLVERS: [&str; 2] = ["198.18.0.1", "fd75:6e74:6f6c:64::1"];

const DONE: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read_and_unusable_lines_skipped() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1 # first\n\
                    nameserver\nnameserver nonsense\n  nameserver 2001:db8::1\nnameserver fe80::1%lo\n\
                    nameserver fe80::1%no-such-device\nnameserver 192.0.2.4\n";
        let found: Vec<String> = resolvers(text).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%1]:53"]
        );
        assert!(resolvers("").is_empty());
    }
}
