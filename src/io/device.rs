//! The descriptor that packets come from and go to, which may be replaced while they do.

use std::{
    fs::File,
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use mio::{Interest, Registry, Token, unix::SourceFd};
use socket2::SockRef;

use crate::{
    engine::{Slot, Transmit},
    wire::{Checksum, Offload},
};

/// A tun, or none for the moment between the end of one and its successor.
pub(super) struct Device {
    file: Option<File>,
    /// Whether it has a virtio-net header before every packet.
    offloads: bool,
    token: Token,
    /// Whether a read may give something (edge-triggered).
    pub(super) ready: bool,
    /// Whether the poll instance tells when it does.
    watched: bool,
    /// When the last one ended, and why.
    lost: Option<(Instant, io::Error)>,
}

impl Device {
    pub(super) fn new(tun: OwnedFd, token: Token, registry: &Registry) -> io::Result<Self> {
        let file = register(tun, token, registry)?;
        Ok(Self {
            offloads: has_headers(&file),
            file: Some(file),
            token,
            ready: true,
            watched: true,
            lost: None,
        })
    }

    /// Goes on with another descriptor; the old one is closed, whatever happens.
    pub(super) fn replace(&mut self, tun: OwnedFd, registry: &Registry) -> io::Result<()> {
        self.close(registry);
        let file = register(tun, self.token, registry)?;
        self.offloads = has_headers(&file);
        self.file = Some(file);
        (self.ready, self.watched, self.lost) = (true, true, None);
        Ok(())
    }

    /// Whether the engine may leave checksums, and the cutting of segments, to the device.
    pub(super) fn offloads(&self) -> bool {
        self.offloads
    }

    /// The descriptor is of no use any more: it is closed, and a successor is waited for.
    pub(super) fn lose(&mut self, why: io::Error, registry: &Registry) {
        self.close(registry);
        self.ready = false;
        self.lost.get_or_insert((Instant::now(), why));
    }

    /// When no successor is waited for any longer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lost.as_ref().map(|(at, _)| *at + PATIENCE)
    }

    /// Why the device ended, where no successor came in time.
    pub(super) fn take_end(&mut self) -> Option<io::Error> {
        self.lost
            .take_if(|(at, _)| at.elapsed() >= PATIENCE)
            .map(|(_, why)| why)
    }

    /// Does without being told of packets, which costs every packet a wake-up that nobody waits for: there are more of them
    /// than a batch takes, and one after the other is read until there is none.
    pub(super) fn unwatch(&mut self, registry: &Registry) {
        if let Some(file) = &self.file
            && std::mem::take(&mut self.watched)
        {
            // An error says that it is watched on.
            let _ = registry.deregister(&mut SourceFd(&file.as_raw_fd()));
        }
    }

    /// There is no packet to read: whether there is one is told from now on.
    pub(super) fn rest(&mut self, registry: &Registry) -> io::Result<()> {
        self.ready = false;
        if let Some(file) = &self.file
            && !std::mem::replace(&mut self.watched, true)
        {
            // A packet that came meanwhile is told of at once.
            let fd = file.as_raw_fd();
            registry.register(&mut SourceFd(&fd), self.token, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Reads one packet; with `complete`, as it would be on a wire.
    pub(super) fn read(&mut self, slot: &mut Slot, complete: bool) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let (len, checksum) = if self.offloads {
            let mut before = [0; Offload::LEN];
            let room = &mut [
                IoSliceMut::new(&mut before),
                IoSliceMut::new(&mut slot.bytes),
            ];
            let len = file.read_vectored(room)?;
            let len = len.saturating_sub(Offload::LEN);
            let offload = Offload::from_bytes(before);
            if complete {
                offload.complete(slot.bytes.get_mut(..len).unwrap_or_default(), &[]);
            }
            (len, offload.checksum())
        } else {
            (file.read(&mut slot.bytes)?, Checksum::Verify)
        };
        if len == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        (slot.len, slot.checksum) = (len, checksum);
        Ok(())
    }

    /// Writes one packet.
    pub(super) fn write(&mut self, packet: &Transmit<'_>) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let (header, payload) = (IoSlice::new(packet.header), IoSlice::new(packet.payload));
        if self.offloads {
            let before = packet.offload.to_bytes();
            return file.write_vectored(&[IoSlice::new(&before), header, payload]);
        }
        match packet.payload {
            [] => file.write(packet.header),
            _ => file.write_vectored(&[header, payload]),
        }
    }

    fn close(&mut self, registry: &Registry) {
        if let Some(file) = self.file.take() {
            // Before it is closed, so that no event of whoever gets its number next is taken for one of this; an error
            // says that the poll instance does not have it any more.
            let _ = registry.deregister(&mut SourceFd(&file.as_raw_fd()));
        }
    }
}

/// Whether a descriptor is that of a tun device with a virtio-net header before every packet. What is no tun device says
/// so, and has none.
fn has_headers(tun: &File) -> bool {
    // SAFETY: ifreq is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // SAFETY: the operation writes one ifreq at most, and the descriptor is open.
    let asked = unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNGETIFF as _, &raw mut request) };
    // SAFETY: the operation fills in the flags; every bit pattern is some.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    asked == 0 && i32::from(flags) & libc::IFF_VNET_HDR != 0
}

fn register(tun: OwnedFd, token: Token, registry: &Registry) -> io::Result<File> {
    SockRef::from(&tun).set_nonblocking(true)?;
    let file = File::from(tun);
    registry.register(&mut SourceFd(&file.as_raw_fd()), token, Interest::READABLE)?;
    Ok(file)
}

/// How long a successor is waited for: a shell that sets its tunnel up anew has it within a moment.
const PATIENCE: Duration = Duration::from_secs(2);
