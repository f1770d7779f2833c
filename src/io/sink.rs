//! A remote end inside our own process, to which no packet goes.

use std::io::{self, ErrorKind, IoSlice};

use sha2::{Digest, Sha256};

/// Takes every byte and keeps none. Once its flow's outbound side has ended it answers, as an HTTP server, how many there
/// were and what their SHA-256 is, and ends its own side.
///
/// A pointer: it stands where a socket would, and few upstream ends are one.
#[derive(Default)]
pub(super) struct Sink(Box<Account>);

#[derive(Default)]
struct Account {
    taken: u64,
    digest: Sha256,
    /// What is still to be read of the answer, if it is time for one.
    answer: Option<io::Cursor<Vec<u8>>>,
}

impl Sink {
    pub(super) fn write(&mut self, parts: &[IoSlice<'_>]) -> usize {
        let mut taken = 0;
        for part in parts {
            self.0.digest.update(&**part);
            taken += part.len();
        }
        self.0.taken += taken as u64;
        taken
    }

    /// Ends the outbound side.
    pub(super) fn end(&mut self) {
        let digest = self.0.digest.clone().finalize();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = format!(
            "HTTP/1.1 204 No Content\r\nSink-Bytes: {}\r\nSink-SHA-256: {digest}\r\nConnection: close\r\n\r\n",
            self.0.taken
        );
        self.0.answer = Some(io::Cursor::new(answer.into_bytes()));
    }

    /// Reads as from a socket: nothing before the outbound side has ended, the answer then, and its end.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match &mut self.0.answer {
            Some(answer) => io::Read::read(answer, room),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }
}
