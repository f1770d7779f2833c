//! Descriptors handed from process to process (unix(7), `SCM_RIGHTS`).

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, Socket};

/// Sends `bytes` and, where given, a descriptor along with them.
pub(crate) fn send(socket: &Socket, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let buffers = [IoSlice::new(bytes)];
    let message = MsgHdr::new().with_buffers(&buffers);
    let mut control = Control([0; SPACE]);
    let message = match fd {
        None => message,
        Some(fd) => {
            let header = [LENGTH.to_ne_bytes()].concat();
            let level = libc::SOL_SOCKET.to_ne_bytes();
            let kind = libc::SCM_RIGHTS.to_ne_bytes();
            let fd = fd.as_raw_fd().to_ne_bytes();
            for (to, from) in control
                .0
                .iter_mut()
                .zip(header.iter().chain(&level).chain(&kind).chain(&fd))
            {
                *to = *from;
            }
            message.with_control(&control.0)
        }
    };
    socket.sendmsg(&message, libc::MSG_NOSIGNAL).map(drop)
}

/// Receives one message into `bytes`: how much of it was filled, and the descriptor that came along.
pub(crate) fn receive(socket: &Socket, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut spare = vec![MaybeUninit::uninit(); bytes.len()];
    let mut buffers = [MaybeUninitSlice::new(&mut spare)];
    let mut control = Control([0; SPACE].map(MaybeUninit::new));
    let mut message = MsgHdrMut::new()
        .with_buffers(&mut buffers)
        .with_control(&mut control.0);
    let got = socket.recvmsg(&mut message, libc::MSG_CMSG_CLOEXEC)?;
    let filled = message.control_len();
    for (to, from) in bytes.iter_mut().zip(&spare[..got]) {
        // SAFETY: the kernel has written the first `got` bytes.
        *to = unsafe { from.assume_init() };
    }
    // SAFETY: the whole buffer was initialised before the kernel wrote to it.
    let control = control.0.map(|byte| unsafe { byte.assume_init() });
    let fd = (filled >= LENGTH).then(|| {
        let raw = i32::from_ne_bytes(std::array::from_fn(|at| control[LENGTH - 4 + at]));
        // SAFETY: a control message of this length holds one descriptor, which is ours now.
        unsafe { OwnedFd::from_raw_fd(raw) }
    });
    Ok((got, fd))
}

/// A buffer as aligned as cmsghdr.
#[repr(align(8))]
struct Control<T>([T; SPACE]);

/// Bytes of cmsghdr and one descriptor.
const LENGTH: usize = size_of::<usize>() + 3 * size_of::<i32>();
/// The same, as cmsg(3) pads it.
const SPACE: usize = LENGTH.next_multiple_of(size_of::<usize>());

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        os::fd::AsFd,
    };

    use socket2::{Domain, Type};

    use super::*;

    fn pair() -> (Socket, Socket) {
        Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap()
    }

    #[test]
    fn a_descriptor_arrives_with_its_message() {
        let (ours, theirs) = pair();
        let (reader, mut writer) = std::io::pipe().unwrap();
        send(&ours, b"fd", Some(reader.as_fd())).unwrap();
        let mut bytes = [0; 8];
        let (got, fd) = receive(&theirs, &mut bytes).unwrap();
        assert_eq!(&bytes[..got], b"fd");
        writer.write_all(b"x").unwrap();
        let mut byte = [0];
        File::from(fd.unwrap()).read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn a_message_without_one_brings_none() {
        let (ours, theirs) = pair();
        send(&ours, b"none", None).unwrap();
        let mut bytes = [0; 8];
        let (got, fd) = receive(&theirs, &mut bytes).unwrap();
        assert_eq!((&bytes[..got], fd.is_none()), (&b"none"[..], true));
        drop(ours);
        assert_eq!(receive(&theirs, &mut bytes).unwrap().0, 0);
    }
}
