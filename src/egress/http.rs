//! HTTP CONNECT (RFC 9110 section 9.3.6) with Basic authentication (RFC 7617).

use data_encoding::BASE64;

use super::{Egress, Login, Target, Unsent};
use crate::event::Failure;

/// The exchange before a connection.
pub(super) struct Exchange {
    unsent: Unsent,
    /// The head of the answer, as far as it has come.
    head: Vec<u8>,
    open: bool,
}

/// Bytes of an answer's head at most.
const MOST_HEAD: usize = 16 << 10;
/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

impl Exchange {
    pub(super) fn new(target: &Target, login: Option<&Login>) -> Exchange {
        let target = match target {
            Target::Address(address) => address.to_string(),
            Target::Name(name, port) => format!("{name}:{port}"),
        };
        let login = login.map(|login| {
            let both = format!("{}:{}", login.user, login.password);
            let both = BASE64.encode(both.as_bytes());
            format!("Proxy-Authorization: Basic {both}\r\n")
        });
        let login = login.unwrap_or_default();
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n");
        let mut unsent = Unsent::default();
        unsent.set(request.into_bytes());
        Exchange {
            unsent,
            head: Vec::new(),
            open: false,
        }
    }

    /// Acts on a whole head.
    fn answered(&mut self) -> Result<(), Failure> {
        let status = status(&self.head).ok_or(Failure::ProxyProtocol)?;
        match status {
            // The final answer is still to come.
            100..200 => {}
            200..300 => self.open = true,
            407 => return Err(Failure::ProxyLogin),
            502 | 503 => return Err(Failure::Unreachable),
            504 => return Err(Failure::Timeout),
            _ => return Err(Failure::ProxyRefused),
        }
        Ok(())
    }
}

impl Egress for Exchange {
    fn unsent(&self) -> &[u8] {
        self.unsent.rest()
    }

    fn sent(&mut self, n: usize) {
        self.unsent.sent(n);
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut taken = 0;
        for &byte in bytes {
            if self.open {
                break;
            }
            self.head.push(byte);
            taken += 1;
            let wrong = !PREFIX.iter().zip(&self.head).all(|(a, b)| a == b);
            if wrong || self.head.len() > MOST_HEAD {
                return Err(Failure::ProxyProtocol);
            }
            if self.head.ends_with(END) {
                self.answered()?;
                self.head.clear();
            }
        }
        Ok(taken)
    }

    fn is_open(&self) -> bool {
        self.open
    }
}

const PREFIX: &[u8] = b"HTTP/1.";

/// The status code of `HTTP/1.x NNN …`.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(PREFIX)?;
    let [b'0' | b'1', b' ', code @ ..] = rest else {
        return None;
    };
    let (code, after) = code.split_first_chunk::<3>()?;
    let ends = matches!(after.first(), Some(b' ' | b'\r'));
    let digits = code.iter().all(u8::is_ascii_digit);
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    (ends && digits).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::play, *};

    fn ends(answer: &[u8], piece: usize) -> (usize, Result<bool, Failure>) {
        let target = Target::Address("203.0.113.9:443".parse().unwrap());
        let exchange = Exchange::new(&target, None);
        let (_, left, open) = play(Box::new(exchange), &[answer], piece);
        (left, open)
    }

    #[test]
    fn a_connection_is_asked_for_with_a_login_where_there_is_one() {
        let login = Login::new("Aladdin", "open sesame").unwrap();
        let target = Target::Name("host.example".into(), 443);
        let exchange = Exchange::new(&target, Some(&login));
        // RFC 7617 section 2 has this example.
        let expected = "CONNECT host.example:443 HTTP/1.1\r\nHost: host.example:443\r\n\
            Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
        assert_eq!(exchange.unsent(), expected.as_bytes());
        let target = Target::Address("[2001:db8::9]:80".parse().unwrap());
        let exchange = Exchange::new(&target, None);
        let expected = "CONNECT [2001:db8::9]:80 HTTP/1.1\r\nHost: [2001:db8::9]:80\r\n\r\n";
        assert_eq!(exchange.unsent(), expected.as_bytes());
    }

    #[test]
    fn an_answer_is_read_to_its_end_and_no_further_however_it_is_cut() {
        let answer =
            b"HTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\n220 hello\r\n";
        let interim = [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", &answer[..]].concat();
        for answer in [&answer[..], &interim] {
            for piece in 1..=answer.len() {
                assert_eq!(ends(answer, piece), (11, Ok(true)), "{piece}");
            }
        }
        assert_eq!(ends(b"HTTP/1.0 200\r\n\r\n", 1), (0, Ok(true)));
        assert_eq!(ends(b"HTTP/1.1 200 OK\r\n", 1), (0, Ok(false)));
    }

    #[test]
    fn every_way_to_refuse_is_told_apart() {
        let table: [(&[u8], Failure); 8] = [
            (
                b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                Failure::ProxyLogin,
            ),
            (b"HTTP/1.1 403 Forbidden\r\n\r\n", Failure::ProxyRefused),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Failure::Unreachable),
            (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", Failure::Timeout),
            (b"HTTP/1.1 2000 OK\r\n\r\n", Failure::ProxyProtocol),
            (b"HTTP/1.1 +20 OK\r\n\r\n", Failure::ProxyProtocol),
            (b"HTTP/2 200 OK\r\n\r\n", Failure::ProxyProtocol),
            (b"\x05\x00", Failure::ProxyProtocol),
        ];
        for (answer, failure) in table {
            for piece in [1, 100] {
                assert_eq!(ends(answer, piece).1, Err(failure), "{answer:?}");
            }
        }
        let endless = [b"HTTP/1.1 200 OK\r\n", &[b'x'; MOST_HEAD][..]].concat();
        assert_eq!(ends(&endless, endless.len()).1, Err(Failure::ProxyProtocol));
    }
}
