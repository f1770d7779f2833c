//! Descriptors handed from process to process (unix(7), `SCM_RIGHTS`).

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, Socket};

/// Sends `bytes` and these descriptors, at most [`MOST`], along with them.
pub(crate) fn send(socket: &Socket, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > MOST {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let buffers = [IoSlice::new(bytes)];
    let message = MsgHdr::new().with_buffers(&buffers);
    let mut control = Control([0; SPACE]);
    let message = match fds {
        [] => message,
        fds => {
            let length = HEADER + size_of_val(fds);
            let header = length.to_ne_bytes().into_iter();
            let kind = [libc::SOL_SOCKET, libc::SCM_RIGHTS];
            let fds = fds.iter().map(AsRawFd::as_raw_fd);
            let words = kind.into_iter().chain(fds).flat_map(i32::to_ne_bytes);
            for (to, from) in control.0.iter_mut().zip(header.chain(words)) {
                *to = from;
            }
            message.with_control(&control.0[..length.next_multiple_of(size_of::<usize>())])
        }
    };
    socket.sendmsg(&message, libc::MSG_NOSIGNAL).map(drop)
}

/// Receives one message into `bytes`: how much of it was filled, and the descriptors that came along, in order.
pub(crate) fn receive(socket: &Socket, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
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
    // The kernel pads what it has filled, but not the length in the header.
    let (length, _) = control.split_first_chunk().expect("a header fits");
    let length = usize::from_ne_bytes(*length).min(filled);
    let (raw, _) = control.get(HEADER..length).unwrap_or(&[]).as_chunks();
    let fds = raw.iter().map(|raw| {
        // SAFETY: the socket is of a kind whose only control messages hold descriptors, and these are ours now.
        unsafe { OwnedFd::from_raw_fd(i32::from_ne_bytes(*raw)) }
    });
    Ok((got, fds.collect()))
}

/// A buffer as aligned as cmsghdr.
#[repr(align(8))]
struct Control<T>([T; SPACE]);

/// Descriptors in one message.
const MOST: usize = 2;
/// Bytes of cmsghdr.
const HEADER: usize = size_of::<usize>() + 2 * size_of::<i32>();
/// Of it and its descriptors, as cmsg(3) pads it.
const SPACE: usize = (HEADER + MOST * size_of::<i32>()).next_multiple_of(size_of::<usize>());

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
    fn descriptors_arrive_in_order_with_their_message() {
        for count in 1..=MOST {
            let (ours, theirs) = pair();
            let pipes: Vec<_> = (0..count).map(|_| std::io::pipe().unwrap()).collect();
            let fds: Vec<_> = pipes.iter().map(|(reader, _)| reader.as_fd()).collect();
            send(&ours, b"fd", &fds).unwrap();
            let mut bytes = [0; 8];
            let (got, fds) = receive(&theirs, &mut bytes).unwrap();
            assert_eq!((&bytes[..got], fds.len()), (&b"fd"[..], count));
            for (number, ((_, mut writer), fd)) in pipes.into_iter().zip(fds).enumerate() {
                writer.write_all(&[number as u8]).unwrap();
                let mut byte = [9];
                File::from(fd).read_exact(&mut byte).unwrap();
                assert_eq!(usize::from(byte[0]), number);
            }
        }
    }

    #[test]
    fn more_descriptors_than_fit_are_refused() {
        let (ours, _theirs) = pair();
        let fds = [ours.as_fd(); MOST + 1];
        assert!(send(&ours, b"fd", &fds).is_err());
    }

    #[test]
    fn a_message_without_one_brings_none() {
        let (ours, theirs) = pair();
        send(&ours, b"none", &[]).unwrap();
        let mut bytes = [0; 8];
        let (got, fds) = receive(&theirs, &mut bytes).unwrap();
        assert_eq!((&bytes[..got], fds.is_empty()), (&b"none"[..], true));
        drop(ours);
        assert_eq!(receive(&theirs, &mut bytes).unwrap().0, 0);
    }
}
