//! Tun devices of Linux: created or attached, set up, their limits read.

use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

use ipnet::IpNet;
use socket2::{Domain, Socket, Type};

use super::netlink::Netlink;
use crate::wire::Offload;

/// What a descriptor's packets are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// One packet of at most the MTU a read or write, as on Android.
    Plain,
    /// A virtio-net header before each (`IFF_VNET_HDR`), so that TCP segments of up to 64 KiB pass in one call and
    /// checksums are left out. A kernel that cannot do it gives plain ones.
    Offloaded,
}

/// A tun descriptor: non-blocking, one IP packet a read or write, without a packet information header.
///
/// A device that [`Tun::create`] made lives as long as its descriptor.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
}

impl Tun {
    /// Creates a device in the calling thread's network namespace; `%d` in `name` becomes a free number.
    pub fn create(name: &str, packets: Packets) -> Result<Tun, TunError> {
        Self::open(name, packets)
    }

    /// Attaches to a device that exists in the calling thread's network namespace.
    pub fn attach(name: &str, packets: Packets) -> Result<Tun, TunError> {
        if index(name).is_err() {
            return Err(TunError::Absent { name: name.into() });
        }
        Self::open(name, packets)
    }

    /// Takes over a descriptor that another process attached to a device.
    pub fn adopt(fd: OwnedFd) -> Tun {
        Tun { fd }
    }

    /// The device's name in its own namespace.
    pub fn name(&self) -> Result<String, TunError> {
        let mut request = request("").map_err(TunError::os("name the device"))?;
        ioctl(&self.fd, libc::TUNGETIFF, &mut request).map_err(TunError::os("name the device"))?;
        Ok(request
            .ifr_name
            .iter()
            .take_while(|&&c| c != 0)
            .map(|&c| c as u8 as char)
            .collect())
    }

    /// Sets MTU (bytes), queue (packets), addresses and, where `routes`, default routes of the addresses'
    /// families, and takes the device up. Returns the addresses that the kernel has no IPv6 for.
    ///
    /// Call it in the namespace that the device was created in.
    pub fn set_up(
        &self,
        mtu: u32,
        queue: u32,
        addresses: &[IpNet],
        routes: bool,
    ) -> Result<Vec<IpNet>, TunError> {
        let index = index(&self.name()?).map_err(TunError::os("find the device"))?;
        let mut netlink = Netlink::open().map_err(TunError::os("open netlink"))?;
        // Without IPv6 in the kernel this fails, and there is nothing to silence.
        let _ = netlink.silence(index);
        netlink
            .up(index, Some(mtu), Some(queue))
            .map_err(TunError::os("take the device up"))?;
        let mut refused = Vec::new();
        for &address in addresses {
            match netlink.add_address(index, address) {
                Ok(()) => {}
                Err(_) if matches!(address, IpNet::V6(_)) => {
                    refused.push(address);
                    continue;
                }
                Err(error) => return Err(TunError::os("give the device an address")(error)),
            }
            if routes {
                netlink
                    .add_default_route(index, address.addr())
                    .map_err(TunError::os("route to the device"))?;
            }
        }
        Ok(refused)
    }

    fn open(name: &str, packets: Packets) -> Result<Tun, TunError> {
        let fd = device(PATH)?;
        let failed = |error: io::Error| match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => TunError::Permission {
                action: "attach to the tun device",
            },
            Some(libc::EBUSY) => TunError::Busy { name: name.into() },
            Some(libc::EINVAL) => TunError::NotTun { name: name.into() },
            _ => TunError::Os {
                action: "attach to the tun device",
                source: error,
            },
        };
        let mut request = request(name).map_err(failed)?;
        let plain = libc::IFF_TUN | libc::IFF_NO_PI;
        if packets == Packets::Offloaded {
            request.ifr_ifru.ifru_flags = (plain | libc::IFF_VNET_HDR) as libc::c_short;
            match ioctl(&fd, libc::TUNSETIFF, &mut request) {
                // Without the offloads the headers say that nothing was left out.
                Ok(()) => {
                    set_header_length(&fd).map_err(failed)?;
                    let _ = set_offloads(&fd, CHECKSUMS | TCP_V4 | TCP_V6);
                    return Ok(Tun { fd: fd.into() });
                }
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        request.ifr_ifru.ifru_flags = plain as libc::c_short;
        ioctl(&fd, libc::TUNSETIFF, &mut request).map_err(failed)?;
        if packets == Packets::Plain {
            // A device that outlived a program may still be set to leave checksums out.
            let _ = set_offloads(&fd, 0);
        }
        Ok(Tun { fd: fd.into() })
    }
}

impl From<Tun> for OwnedFd {
    fn from(tun: Tun) -> OwnedFd {
        tun.fd
    }
}

impl std::os::fd::AsFd for Tun {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Largest packet (bytes) and queue (packets) of a device in the calling thread's network namespace.
pub fn limits(name: &str) -> Result<(usize, usize), TunError> {
    let read = |operation| {
        let mut request = request(name)?;
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        ioctl(&socket, operation, &mut request)?;
        // SAFETY: both operations fill in an integer of this size; every bit pattern is one.
        Ok(usize::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or(0))
    };
    let mtu = read(libc::SIOCGIFMTU).map_err(TunError::os("read the device's MTU"))?;
    let queue =
        read(libc::SIOCGIFTXQLEN).map_err(TunError::os("read the device's queue length"))?;
    Ok((mtu, queue))
}

/// Takes the loopback device up and gives it further addresses; ones of IPv6 that the kernel refuses are left out.
pub fn loopback(addresses: &[IpNet]) -> io::Result<()> {
    let index = index("lo")?;
    let mut netlink = Netlink::open()?;
    netlink.up(index, None, None)?;
    for &address in addresses {
        match netlink.add_address(index, address) {
            Err(error) if matches!(address, IpNet::V4(_)) => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Why there is no tun, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunError {
    /// The device node is missing.
    #[error("{PATH} is missing: modprobe tun, or mknod -m 0666 {PATH} c 10 200")]
    NoNode,
    /// The kernel has no tun driver behind the node.
    #[error("the kernel has no tun driver ({PATH}): modprobe tun")]
    NoDriver,
    /// The caller may not.
    #[error(
        "no permission to {action}: run as root, or let everyone use {PATH} (chmod 0666 {PATH})"
    )]
    Permission {
        /// What was tried.
        action: &'static str,
    },
    /// Somebody else has the device.
    #[error("another program is attached to {name}: stop it, or choose another device")]
    Busy {
        /// The device.
        name: String,
    },
    /// The name belongs to something else, or cannot be a device's.
    #[error("{name} cannot be a tun device: ip tuntap add dev NAME mode tun makes one")]
    NotTun {
        /// The name.
        name: String,
    },
    /// There is no such device.
    #[error("there is no device {name}: ip tuntap add dev {name} mode tun makes one")]
    Absent {
        /// The name.
        name: String,
    },
    /// Anything else.
    #[error("cannot {action}: {source}")]
    Os {
        /// What was tried.
        action: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
}

impl TunError {
    fn os(action: &'static str) -> impl Fn(io::Error) -> TunError {
        move |source| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => TunError::Permission { action },
            _ => TunError::Os { action, source },
        }
    }
}

fn device(path: &str) -> Result<File, TunError> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => TunError::NoNode,
        Some(libc::ENODEV | libc::ENXIO) => TunError::NoDriver,
        Some(libc::EPERM | libc::EACCES) => TunError::Permission {
            action: "open the tun device",
        },
        _ => TunError::Os {
            action: "open the tun device",
            source: error,
        },
    })
}

pub(super) fn index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: the argument is a NUL-terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() || name.contains(['\0', '/']) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn ioctl(fd: &impl AsRawFd, operation: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: every operation used here reads and writes one ifreq at most.
    match unsafe { libc::ioctl(fd.as_raw_fd(), operation, std::ptr::from_mut(request)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn set_offloads(fd: &impl AsRawFd, offloads: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the argument of this operation is a number.
    match unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, offloads) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A device may have had a program that wanted longer headers.
fn set_header_length(fd: &impl AsRawFd) -> io::Result<()> {
    let length = Offload::LEN as libc::c_int;
    // SAFETY: the argument of this operation is a pointer to a number, which it reads.
    match unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const length) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// `TUN_F_CSUM`: packets without a checksum are taken.
const CHECKSUMS: libc::c_ulong = 1;
/// `TUN_F_TSO4`: so are long TCP segments over IPv4.
const TCP_V4: libc::c_ulong = 2;
/// `TUN_F_TSO6`: the same over IPv6.
const TCP_V6: libc::c_ulong = 4;

const PATH: &str = "/dev/net/tun";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_node_says_how_to_make_one() {
        let error = device("/dev/net/no-such-tun").unwrap_err();
        assert!(error.to_string().contains("mknod"), "{error}");
    }

    #[test]
    fn a_node_that_may_not_be_opened_says_what_to_do() {
        let error = TunError::os("route to the device")(io::Error::from_raw_os_error(libc::EPERM));
        assert!(error.to_string().contains("run as root"), "{error}");
    }

    #[test]
    fn names_that_cannot_be_a_device_are_refused() {
        for name in ["a-name-of-sixteen", "a/b", "a\0b"] {
            assert!(request(name).is_err(), "{name:?}");
        }
        assert!(matches!(
            Tun::attach("no-such-tun", Packets::Plain),
            Err(TunError::Absent { .. })
        ));
    }

    #[test]
    fn limits_of_the_loopback_device_are_read() {
        assert_eq!(limits("lo").unwrap().0, 65_536);
        assert!(limits("no-such-tun").is_err());
    }
}
