//! What a proxy answers: exchanges of SOCKS and HTTP CONNECT against a reader of whole answers.

use std::net::{IpAddr, SocketAddr};

use untold::{
    egress::{
        Egress, Login, Protocol, Proxy, Target,
        socks5::{self, MOST_HEADER, read_header, write_header},
    },
    event::Failure,
};

/// An answer, and first how it comes: which exchange, in what pieces, how often over. However it is cut, the same is said to
/// the proxy and the same comes of it; where the way opens, no byte of the remote end was taken, and none of the proxy's left.
pub fn answers(script: &[u8]) {
    let (head, rest) = script.split_at(script.len().min(3));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let login = (byte(0) & 1 == 1).then(|| Login::new("user", "secret").expect("a good login"));
    let answer = rest.repeat(1 + usize::from(byte(2) % 32));
    let pieces = [usize::MAX, 1, 1 + usize::from(byte(1))];
    match byte(0) >> 1 & 3 {
        0 => {
            let open = || socks5::Exchange::associate(byte(0) & 8 == 8, login.as_ref());
            let ends = pieces.map(|piece| {
                let mut exchange = open();
                let end = play(&mut exchange, &answer, piece);
                (end, exchange.bound())
            });
            assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
            let (end, bound) = &ends[0];
            assert_eq!(
                end.taken(),
                socks(&answer, login.is_some()).map(|(len, _)| len)
            );
            let expected = socks(&answer, login.is_some()).and_then(|(_, address)| address);
            assert_eq!(*bound, expected);
        }
        kind => {
            let protocol = match kind {
                1 => Protocol::Http,
                _ => Protocol::Socks5,
            };
            let proxy = Proxy {
                name: "proxy".into(),
                protocol,
                address: ([192, 0, 2, 1], 1080).into(),
                login: login.clone(),
            };
            let target = match kind {
                2 => Target::Address(([203, 0, 113, 9], 443).into()),
                _ => Target::Name("host.example".into(), 443),
            };
            let ends = pieces.map(|piece| play(&mut *proxy.connect(&target), &answer, piece));
            assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
            let expected = match protocol {
                Protocol::Http => http(&answer),
                Protocol::Socks5 => socks(&answer, login.is_some()).map(|(len, _)| len),
            };
            assert_eq!(ends[0].taken(), expected);
        }
    }
    datagram(rest);
}

/// How an exchange ended: what was said, and how much of the answer was taken.
#[derive(Debug, PartialEq, Eq)]
struct End {
    said: Vec<u8>,
    outcome: Result<(usize, bool), Failure>,
}

impl End {
    /// How much of the answer was the proxy's, where the way opened.
    fn taken(&self) -> Option<usize> {
        self.outcome
            .ok()
            .and_then(|(taken, open)| open.then_some(taken))
    }
}

/// Sends what is to go and gives what comes, in pieces of this many bytes at most.
fn play(exchange: &mut dyn Egress, answer: &[u8], piece: usize) -> End {
    let mut said = Vec::new();
    let mut taken = 0;
    let outcome = loop {
        while !exchange.unsent().is_empty() {
            let n = exchange.unsent().len().min(piece);
            said.extend_from_slice(&exchange.unsent()[..n]);
            exchange.sent(n);
        }
        let rest = &answer[taken..];
        match exchange.receive(&rest[..rest.len().min(piece)]) {
            Ok(0) => break Ok((taken, exchange.is_open())),
            Ok(n) => taken += n,
            Err(failure) => break Err(failure),
        }
    };
    // Greeting, login and request; nothing that a proxy says makes them longer.
    assert!(said.len() < 1_024, "{} bytes were said", said.len());
    End { said, outcome }
}

/// How long the answers are that open a way through SOCKS, and the address they give.
fn socks(answer: &[u8], login: bool) -> Option<(usize, Option<SocketAddr>)> {
    let reply = match answer {
        [5, 0, reply @ ..] => reply,
        [5, 2, 1, 0, reply @ ..] if login => reply,
        _ => return None,
    };
    let [5, 0, _, kind, rest @ ..] = reply else {
        return None;
    };
    let (host, fixed) = match kind {
        1 => (4, 0),
        3 => (usize::from(*rest.first()?), 1),
        4 => (16, 0),
        _ => return None,
    };
    let host = rest.get(fixed..fixed + host)?;
    let port = rest
        .get(fixed + host.len()..)?
        .first_chunk()
        .copied()
        .map(u16::from_be_bytes)?;
    let ip = match kind {
        1 => <[u8; 4]>::try_from(host).ok().map(IpAddr::from),
        4 => <[u8; 16]>::try_from(host).ok().map(IpAddr::from),
        _ => None,
    };
    let front = answer.len() - rest.len();
    Some((
        front + fixed + host.len() + 2,
        ip.map(|ip| SocketAddr::new(ip, port)),
    ))
}

/// How long the heads are that open a way through HTTP CONNECT: interim ones, then one of success.
fn http(answer: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &answer[at..];
        let end = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&rest[..end]);
        let version = ["HTTP/1.0 ", "HTTP/1.1 "];
        let status = version
            .iter()
            .find_map(|version| head.strip_prefix(version))?;
        let code = status.split([' ', '\r']).next()?;
        let digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        if end > 16 << 10 || !digits {
            return None;
        }
        at += end;
        match code.as_bytes()[0] {
            b'1' => {}
            b'2' => return Some(at),
            _ => return None,
        }
    }
}

/// A datagram through SOCKS: its header is what would be written for the address it gives.
fn datagram(bytes: &[u8]) {
    let Some((from, payload)) = read_header(bytes) else {
        return;
    };
    let mut header = [0; MOST_HEADER];
    let len = write_header(&mut header, from);
    assert_eq!(&bytes[..payload.start], &header[..len]);
    assert_eq!(payload.end, bytes.len());
}
