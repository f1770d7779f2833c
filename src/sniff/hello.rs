use super::authority;

/// A ClientHello (RFC 8446, 4.1.2) on its way, whatever records or frames carry it.
#[derive(Default)]
pub struct Hello {
    /// The handshake message so far.
    bytes: Vec<u8>,
}

/// What a ClientHello says of the destination, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indication {
    /// The server's name (RFC 6066, 3), lower case.
    pub name: Option<String>,
    /// Whether there is another name that only the server can read (RFC 9849), or what looks so: clients send the extension
    /// with noise in it as well.
    pub encrypted: bool,
    /// Whether nothing more is to be learned: the message is whole, or none.
    pub done: bool,
}

impl Hello {
    /// Takes the next bytes of the handshake.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = MOST.saturating_sub(self.bytes.len());
        let take = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.bytes.extend_from_slice(take);
    }

    /// Reads what came so far.
    pub fn indication(&self) -> Indication {
        let mut indication = Indication::default();
        let read = read(&self.bytes, &mut indication);
        let fault = read.is_err_and(|why| why == Fault::Wrong);
        indication.done = read.is_ok() || fault || self.bytes.len() >= MOST;
        indication
    }
}

/// Why a message cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// More bytes are needed.
    Short,
    /// It is none.
    Wrong,
}

fn read(bytes: &[u8], out: &mut Indication) -> Result<(), Fault> {
    let mut message = Input(bytes);
    if message.number(1)? != CLIENT_HELLO {
        return Err(Fault::Wrong);
    }
    let length = message.number(3)?;
    let mut hello = message.part(length);
    // Version and random.
    hello.0.skip(34)?;
    for width in [1, 2, 1] {
        let length = hello.0.number(width)?;
        hello.0.skip(length)?;
    }
    if hello.0.0.is_empty() && hello.1 {
        return Ok(());
    }
    let length = hello.0.number(2)?;
    let (mut extensions, whole) = hello.0.part(length);
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let length = extensions.number(2)?;
        let (mut extension, _) = extensions.part(length);
        match kind {
            SERVER_NAME => {
                extension.skip(2)?;
                if extension.number(1)? == HOST_NAME {
                    let length = extension.number(2)?;
                    out.name = authority::host(extension.take(length)?);
                }
            }
            ENCRYPTED_CLIENT_HELLO => out.encrypted = true,
            _ => {}
        }
        extensions.skip(length)?;
    }
    if whole && hello.1 {
        Ok(())
    } else {
        Err(Fault::Short)
    }
}

/// Bytes that may end too early.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Fault::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> Result<(), Fault> {
        self.take(count).map(|_| ())
    }

    fn number(&mut self, width: usize) -> Result<usize, Fault> {
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .fold(0usize, |value, byte| value << 8 | usize::from(*byte)))
    }

    /// The next `length` bytes, as far as they are there, and whether all are; they are not taken.
    fn part(&self, length: usize) -> (Input<'a>, bool) {
        match self.0.get(..length) {
            Some(part) => (Input(part), true),
            None => (Input(self.0), false),
        }
    }
}

const CLIENT_HELLO: usize = 1;
const SERVER_NAME: usize = 0;
const HOST_NAME: usize = 0;
const ENCRYPTED_CLIENT_HELLO: usize = 0xfe0d;
/// A longer message is not read to its end: with post-quantum keys they are about 2 KiB.
const MOST: usize = 16 * 1024;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ClientHello with these extensions.
    pub(in crate::sniff) fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([1, 9, 0, 2, 0x13, 1, 1, 0]);
        let mut list = Vec::new();
        for (kind, data) in extensions {
            list.extend(kind.to_be_bytes());
            list.extend((data.len() as u16).to_be_bytes());
            list.extend(data);
        }
        body.extend((list.len() as u16).to_be_bytes());
        body.extend(list);
        let length = (body.len() as u32).to_be_bytes();
        [&[1], &length[1..], &body].concat()
    }

    pub(in crate::sniff) fn server_name(name: &str) -> (u16, Vec<u8>) {
        let mut data = ((name.len() + 3) as u16).to_be_bytes().to_vec();
        data.push(0);
        data.extend((name.len() as u16).to_be_bytes());
        data.extend(name.as_bytes());
        (0, data)
    }

    fn read(bytes: &[u8]) -> Indication {
        let mut hello = Hello::default();
        hello.push(bytes);
        hello.indication()
    }

    #[test]
    fn reads_the_name_as_soon_as_it_is_there() {
        let message = hello(&[
            (10, vec![1; 8]),
            server_name("WWW.Bank.example"),
            (43, vec![2; 300]),
        ]);
        let name = memchr::memmem::find(&message, b"WWW").unwrap() + 16;
        for cut in 0..=message.len() {
            let indication = read(&message[..cut]);
            let expected = (cut >= name).then_some("www.bank.example");
            assert_eq!(indication.name.as_deref(), expected, "cut at {cut}");
            assert_eq!(indication.done, cut == message.len(), "cut at {cut}");
            assert!(!indication.encrypted);
        }
    }

    #[test]
    fn notes_what_is_encrypted_and_what_is_absent() {
        let message = hello(&[server_name("public.example"), (0xfe0d, vec![0; 200])]);
        assert_eq!(
            read(&message),
            Indication {
                name: Some("public.example".to_owned()),
                encrypted: true,
                done: true
            }
        );
        let none = Indication {
            done: true,
            ..Indication::default()
        };
        assert_eq!(read(&hello(&[])), none);
        assert_eq!(read(&hello(&[server_name("192.0.2.1")])), none);
        assert_eq!(read(b"\x02\0\0\x04abcd"), none);
        assert_eq!(read(b""), Indication::default());
    }

    #[test]
    fn reads_no_more_than_it_keeps() {
        let long = hello(&[(21, vec![0; 40_000]), server_name("late.example")]);
        let mut hello = Hello::default();
        for piece in long.chunks(1000) {
            hello.push(piece);
        }
        assert_eq!(hello.indication().name, None);
        assert!(hello.indication().done && hello.bytes.len() == MOST);
    }
}
