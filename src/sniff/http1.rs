use super::{Protocol, Sniffed, authority, http2};

/// Reads HTTP/1 requests (RFC 9112) as their bytes come.
///
/// It takes what servers take: bare LF, no blank after the colon, folded header lines. Anything else is
/// [`Event::Broken`], and what follows is no HTTP.
#[derive(Clone, Default)]
pub struct Http1 {
    state: State,
    head: Head,
    /// The line so far, at most [`LINE_KEPT`] bytes of it, and in front of it the line that it may continue.
    line: Vec<u8>,
    /// Where in `line` the unfinished line begins.
    current: usize,
    /// The last bytes of the request line.
    tail: [u8; VERSION.len() + 1],
    size: usize,
}

/// What the next bytes of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This many bytes of a part.
    Piece(Part, usize),
    /// The head is whole; see [`Http1::head`].
    HeadEnd,
    /// The message is whole.
    End,
    /// More bytes are needed.
    More,
    /// What follows is not HTTP/1.
    Broken,
}

/// Part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The method and the blank after it.
    Method,
    /// The target up to its query.
    Path,
    /// The rest of the request line.
    Query,
    /// Header fields.
    Header,
    /// A body of known length.
    Body,
    /// Data of a chunked body.
    Chunk,
    /// Framing of a chunked body.
    Frame,
    /// Fields after a chunked body.
    Trailer,
}

/// What the framing and the policy need of a head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Names that the request is for: of an absolute target and of `Host`, lower case, without port.
    pub names: Vec<String>,
    /// Whether the client waits for `100 Continue` (RFC 9110, 10.1.1).
    pub expects: bool,
    /// Whether the client wants to speak WebSocket from here on (RFC 6455, 4.1).
    pub upgrades: bool,
    /// Body length, from `Content-Length`.
    length: Option<u64>,
    chunked: bool,
    /// Fields that contradict each other or cannot be read: where the message ends is anybody's guess.
    unclear: bool,
    /// The last of the content codings that were applied (RFC 9110, 8.4): the one to undo first. Lower case.
    pub coding: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Method,
    Path,
    Query,
    Fields,
    HeadEnd,
    Body(u64),
    Size {
        size: u64,
        digits: usize,
    },
    Extension(u64),
    Chunk(u64),
    ChunkEnd,
    Trailer,
    End,
    Broken,
}

impl Http1 {
    /// What the head says, once it is whole.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether it broke because the request line was the beginning of HTTP/2's preface.
    pub fn is_preface(&self) -> bool {
        matches!(self.state, State::Broken) && self.line.starts_with(http2::FIRST_LINE)
    }

    /// Takes the next piece from the front of `bytes`.
    pub fn next(&mut self, bytes: &[u8]) -> Event {
        match self.state {
            State::HeadEnd => {
                self.state = self.after_head();
                return Event::HeadEnd;
            }
            State::End => return Event::End,
            State::Broken => return Event::Broken,
            _ if bytes.is_empty() => return Event::More,
            _ => {}
        }
        let event = self.piece(bytes);
        if let Event::Piece(
            Part::Method | Part::Path | Part::Query | Part::Header | Part::Trailer,
            take,
        ) = event
        {
            self.size = self.size.saturating_add(take);
        }
        event
    }

    fn piece(&mut self, bytes: &[u8]) -> Event {
        match self.state {
            State::Method => self.method(bytes),
            State::Path => self.target(bytes, Part::Path),
            State::Query => self.target(bytes, Part::Query),
            State::Fields => self.fields(bytes, Part::Header),
            State::Trailer => self.fields(bytes, Part::Trailer),
            State::Body(left) => self.data(bytes, left, Part::Body),
            State::Chunk(left) => self.data(bytes, left, Part::Chunk),
            State::Size { size, digits } => self.chunk_size(bytes, size, digits),
            State::Extension(size) => self.extension(bytes, size),
            State::ChunkEnd => self.chunk_end(bytes),
            State::HeadEnd | State::End | State::Broken => Event::Broken,
        }
    }

    fn method(&mut self, bytes: &[u8]) -> Event {
        let letters = bytes.iter().position(|byte| !is_method(*byte));
        let take = letters.map_or(bytes.len(), |blank| blank.saturating_add(1));
        self.keep(bytes.get(..take).unwrap_or_default());
        match letters.map(|blank| bytes.get(blank)) {
            None if self.line.len() <= LONGEST_METHOD => Event::Piece(Part::Method, take),
            Some(Some(b' '))
                if (2..=LONGEST_METHOD.saturating_add(1)).contains(&self.line.len()) =>
            {
                self.state = State::Path;
                Event::Piece(Part::Method, take)
            }
            _ => self.broken(),
        }
    }

    fn target(&mut self, bytes: &[u8], part: Part) -> Event {
        if let [method @ .., b' '] = self.line.as_slice()
            && part == Part::Path
            && !method.contains(&b' ')
            && !begins_target(method, bytes)
        {
            return self.broken();
        }
        let stop = match part {
            Part::Path => memchr::memchr2(b'?', b'\n', bytes),
            _ => memchr::memchr(b'\n', bytes),
        };
        let take = stop.map_or(bytes.len(), |stop| stop.saturating_add(1));
        let piece = bytes.get(..take).unwrap_or_default();
        self.keep(piece);
        let mut line = piece;
        while let [rest @ .., b'\r' | b'\n'] = line {
            line = rest;
        }
        for byte in line
            .get(line.len().saturating_sub(self.tail.len())..)
            .unwrap_or_default()
        {
            self.tail.rotate_left(1);
            if let Some(last) = self.tail.last_mut() {
                *last = *byte;
            }
        }
        match stop.and_then(|stop| bytes.get(stop)) {
            Some(b'?') => self.state = State::Query,
            Some(_) => return self.request_line(take, part),
            None if self.is_too_long(take) => return self.broken(),
            None => {}
        }
        Event::Piece(part, take)
    }

    fn request_line(&mut self, take: usize, part: Part) -> Event {
        let [blank, version @ .., minor] = &self.tail;
        if *blank != b' ' || !version.eq_ignore_ascii_case(VERSION_START) || !minor.is_ascii_digit()
        {
            return self.broken();
        }
        self.head.note_target(&self.line);
        self.line.clear();
        self.state = State::Fields;
        Event::Piece(part, take)
    }

    /// Takes whole lines as far as they go, up to and with the blank one.
    fn fields(&mut self, bytes: &[u8], part: Part) -> Event {
        let mut take = 0usize;
        loop {
            let rest = bytes.get(take..).unwrap_or_default();
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.keep(rest);
                break if self.is_too_long(bytes.len()) {
                    self.broken()
                } else {
                    Event::Piece(part, bytes.len())
                };
            };
            let end = end.saturating_add(1);
            self.keep(rest.get(..end).unwrap_or_default());
            take = take.saturating_add(end);
            if self.line_end(part) {
                self.state = if part == Part::Header {
                    State::HeadEnd
                } else {
                    State::End
                };
                break Event::Piece(part, take);
            }
            if self.is_too_long(take) {
                break self.broken();
            }
            if take >= bytes.len() {
                break Event::Piece(part, take);
            }
        }
    }

    /// Ends a line; says whether it was the blank one.
    fn line_end(&mut self, part: Part) -> bool {
        let line = self.line.get(self.current..).unwrap_or_default();
        let blank =
            line.trim_ascii().is_empty() && !line.starts_with(b" ") && !line.starts_with(b"\t");
        let folded = !blank && matches!(line.first(), Some(b' ' | b'\t')) && self.current > 0;
        if !folded {
            let before = self.line.get(..self.current).unwrap_or_default();
            if part == Part::Header {
                self.head.note_field(before);
            }
            self.line.drain(..self.current);
        }
        self.current = self.line.len();
        if blank {
            self.line = Vec::new();
            self.current = 0;
        }
        blank
    }

    fn data(&mut self, bytes: &[u8], left: u64, part: Part) -> Event {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.saturating_sub(take as u64);
        self.state = match (part, left) {
            (Part::Body, 0) => State::End,
            (Part::Body, left) => State::Body(left),
            (_, 0) => State::ChunkEnd,
            (_, left) => State::Chunk(left),
        };
        Event::Piece(part, take)
    }

    fn chunk_size(&mut self, bytes: &[u8], size: u64, digits: usize) -> Event {
        let (mut size, mut digits, mut take) = (size, digits, 0usize);
        let mut state = None;
        for byte in bytes {
            let digit = char::from(*byte).to_digit(16);
            let Some(digit) = digit.filter(|_| digits < MOST_SIZE_DIGITS) else {
                let ends = digits > 0 && digit.is_none() && b"\r\n; \t".contains(byte);
                state = Some(if ends {
                    State::Extension(size)
                } else {
                    State::Broken
                });
                break;
            };
            digits = digits.saturating_add(1);
            size = (size << 4) | u64::from(digit);
            take = take.saturating_add(1);
        }
        self.state = state.unwrap_or(State::Size { size, digits });
        match (take, self.state) {
            (0, State::Extension(size)) => self.extension(bytes, size),
            (0, _) => Event::Broken,
            (take, _) => Event::Piece(Part::Frame, take),
        }
    }

    fn extension(&mut self, bytes: &[u8], size: u64) -> Event {
        let end = memchr::memchr(b'\n', bytes).map(|end| end.saturating_add(1));
        if end.is_some() {
            self.state = if size == 0 {
                State::Trailer
            } else {
                State::Chunk(size)
            };
            self.size = 0;
        }
        Event::Piece(Part::Frame, end.unwrap_or(bytes.len()))
    }

    fn chunk_end(&mut self, bytes: &[u8]) -> Event {
        match bytes {
            [b'\n', ..] => self.size_of_next(1),
            [b'\r', b'\n', ..] => self.size_of_next(2),
            // A CR alone says nothing yet: the LF is expected next.
            [b'\r'] => Event::Piece(Part::Frame, 1),
            _ => self.broken(),
        }
    }

    fn size_of_next(&mut self, take: usize) -> Event {
        self.state = State::Size { size: 0, digits: 0 };
        Event::Piece(Part::Frame, take)
    }

    fn after_head(&self) -> State {
        match self.head {
            Head { unclear: true, .. } => State::Broken,
            Head { chunked: true, .. } => State::Size { size: 0, digits: 0 },
            Head {
                length: Some(left @ 1..),
                ..
            } => State::Body(left),
            Head { .. } => State::End,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_KEPT.saturating_sub(self.line.len().saturating_sub(self.current));
        self.line.extend(bytes.iter().take(room));
    }

    fn is_too_long(&self, take: usize) -> bool {
        self.size.saturating_add(take) > MOST_HEAD
    }

    fn broken(&mut self) -> Event {
        self.state = State::Broken;
        Event::Broken
    }
}

impl Head {
    /// Reads the names out of a request line.
    fn note_target(&mut self, line: &[u8]) {
        let mut words = line
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return;
        };
        let authority = match memchr::memmem::find(target, b"://") {
            Some(scheme) if !target.starts_with(b"/") => target.get(scheme.saturating_add(3)..),
            _ if method.eq_ignore_ascii_case(b"CONNECT") => Some(target),
            _ => None,
        };
        self.note_name(authority.unwrap_or_default());
    }

    fn note_field(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else {
            return;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let is = |other: &str| name.trim_ascii().eq_ignore_ascii_case(other.as_bytes());
        if is("host") {
            self.note_name(value);
        } else if is("content-length") {
            let length = std::str::from_utf8(value)
                .ok()
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let length = length.and_then(|digits| digits.parse().ok());
            self.unclear |=
                length.is_none() || self.length.is_some_and(|before| Some(before) != length);
            self.length = length;
        } else if is("content-encoding") {
            let last = value.rsplit(|byte| *byte == b',').next();
            let last =
                String::from_utf8(last.unwrap_or_default().trim_ascii().to_ascii_lowercase());
            self.coding = last.ok();
        } else if is("transfer-encoding") {
            let last = value
                .rsplit(|byte| *byte == b',')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            self.chunked = last.eq_ignore_ascii_case(b"chunked");
            self.unclear |= !self.chunked && !last.eq_ignore_ascii_case(b"identity");
        } else if is("upgrade") {
            self.upgrades |= value.eq_ignore_ascii_case(b"websocket");
        } else if is("expect") {
            self.expects |= value.eq_ignore_ascii_case(b"100-continue");
        }
    }

    fn note_name(&mut self, authority: &[u8]) {
        if let Some(name) = authority::host(authority).filter(|name| !self.names.contains(name)) {
            self.names.push(name);
        }
    }
}

/// Recognises a method and the beginning of a target.
pub(super) fn sniff(bytes: &[u8]) -> Option<Sniffed> {
    let letters = bytes.iter().take_while(|byte| is_method(**byte)).count();
    if letters > LONGEST_METHOD {
        return None;
    }
    let (method, rest) = bytes.split_at_checked(letters)?;
    let target = match rest {
        [] => return Some(Sniffed::Maybe(Protocol::Http1)),
        [b' ', target @ ..] if letters > 0 => target,
        _ => return None,
    };
    let schemes: [&[u8]; 2] = [b"http://", b"https://"];
    match target {
        [] => Some(Sniffed::Maybe(Protocol::Http1)),
        [b'/' | b'*', ..] => Some(Sniffed::Is(Protocol::Http1)),
        _ if method.eq_ignore_ascii_case(b"CONNECT") => Some(Sniffed::Is(Protocol::Http1)),
        _ if schemes.iter().any(|scheme| starts_with(target, scheme)) => {
            Some(Sniffed::Is(Protocol::Http1))
        }
        _ if schemes.iter().any(|scheme| starts_with(scheme, target)) => {
            Some(Sniffed::Maybe(Protocol::Http1))
        }
        _ => None,
    }
}

/// Whether a target (RFC 9112, 3.2) can begin with the first of these bytes.
fn begins_target(method: &[u8], bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(b'/' | b'*' | b'h' | b'H'))
        || method.eq_ignore_ascii_case(b"CONNECT")
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_method(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'-' || byte == b'_'
}

const VERSION: &str = "HTTP/1.1";
const VERSION_START: &[u8] = b"HTTP/1.";
const LONGEST_METHOD: usize = 20;
/// What is kept of a line: the longest name and what stands around it.
const LINE_KEPT: usize = 512;
/// A head longer than this is no HTTP.
const MOST_HEAD: usize = 64 * 1024;
/// Digits of a chunk size: 2^48 bytes.
const MOST_SIZE_DIGITS: usize = 12;

#[cfg(test)]
mod tests {
    use super::{Part::*, *};

    /// The parts of a stream of which at most one request is read, fed in pieces of `step`; and how it ended.
    fn read(stream: &[u8], step: usize) -> (Vec<(Part, Vec<u8>)>, Event, Head) {
        let mut http = Http1::default();
        let mut parts: Vec<(Part, Vec<u8>)> = Vec::new();
        let (mut at, mut end) = (0, 0);
        loop {
            match http.next(&stream[at..end]) {
                Event::Piece(part, take) => {
                    assert!(take > 0 && at + take <= end);
                    match parts.last_mut() {
                        Some((last, bytes)) if *last == part => {
                            bytes.extend(&stream[at..at + take])
                        }
                        _ => parts.push((part, stream[at..at + take].to_vec())),
                    }
                    at += take;
                }
                Event::HeadEnd => {}
                Event::More if end < stream.len() => end = (end + step).min(stream.len()),
                last => return (parts, last, http.head().clone()),
            }
        }
    }

    fn parts(stream: &str, step: usize) -> (Vec<(Part, String)>, Event) {
        let (parts, last, _) = read(stream.as_bytes(), step);
        (
            parts
                .into_iter()
                .map(|(part, bytes)| (part, String::from_utf8(bytes).unwrap()))
                .collect(),
            last,
        )
    }

    #[test]
    fn names_every_part_whatever_the_pieces() {
        type Row<'a> = (&'a str, &'a [(Part, &'a str)], Event);
        let table: &[Row<'_>] = &[
            (
                "GET /a?b=c HTTP/1.1\r\nHost: h.example\r\n\r\nGET",
                &[
                    (Method, "GET "),
                    (Path, "/a?"),
                    (Query, "b=c HTTP/1.1\r\n"),
                    (Header, "Host: h.example\r\n\r\n"),
                ],
                Event::End,
            ),
            (
                "POST / HTTP/1.0\nContent-Length:3\nHost:h\n\nabcd",
                &[
                    (Method, "POST "),
                    (Path, "/ HTTP/1.0\n"),
                    (Header, "Content-Length:3\nHost:h\n\n"),
                    (Body, "abc"),
                ],
                Event::End,
            ),
            (
                "POST /a b HTTP/1.1\r\nContent-Length:\r\n 2\r\n\r\nab",
                &[
                    (Method, "POST "),
                    (Path, "/a b HTTP/1.1\r\n"),
                    (Header, "Content-Length:\r\n 2\r\n\r\n"),
                    (Body, "ab"),
                ],
                Event::End,
            ),
            (
                "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 1\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\nnext",
                &[
                    (Method, "PUT "),
                    (Path, "/ HTTP/1.1\r\n"),
                    (
                        Header,
                        "Transfer-Encoding: gzip, Chunked\r\nContent-Length: 1\r\n\r\n",
                    ),
                    (Frame, "3;x=y\r\n"),
                    (Chunk, "abc"),
                    (Frame, "\r\nA\r\n"),
                    (Chunk, "0123456789"),
                    (Frame, "\r\n0\r\n"),
                    (Trailer, "T: v\r\n\r\n"),
                ],
                Event::End,
            ),
            ("PASS /word\r\nmore", &[(Method, "PASS ")], Event::Broken),
            ("GET / SIP/2.0\r\n", &[(Method, "GET ")], Event::Broken),
            (
                "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                &[
                    (Method, "POST "),
                    (Path, "/ HTTP/1.1\r\n"),
                    (Header, "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
                ],
                Event::Broken,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabX",
                &[
                    (Method, "POST "),
                    (Path, "/ HTTP/1.1\r\n"),
                    (Header, "Transfer-Encoding: chunked\r\n\r\n"),
                    (Frame, "2\r\n"),
                    (Chunk, "ab"),
                ],
                Event::Broken,
            ),
        ];
        for (stream, expected, last) in table {
            let whole = parts(stream, stream.len());
            for step in [1, 2, 3, 7, stream.len()] {
                let read = parts(stream, step);
                assert_eq!(read.1, *last, "{stream:?} in pieces of {step}");
                // A request line in pieces is named as it comes, before it turns out to be none.
                if *last != Event::Broken {
                    assert_eq!(read, whole);
                }
            }
            let expected: Vec<_> = expected
                .iter()
                .map(|(part, text)| (*part, text.to_string()))
                .collect();
            assert_eq!(whole.0, expected, "{stream:?}");
        }
    }

    #[test]
    fn reads_the_names_of_targets_and_hosts() {
        let table: &[(&str, &[&str])] = &[
            (
                "GET / HTTP/1.1\r\nHost: Collector.EXAMPLE.:8080\r\n\r\n",
                &["collector.example"],
            ),
            ("GET / HTTP/1.1\r\nhost:c.example\r\n\r\n", &["c.example"]),
            (
                "GET http://u@a.example:80/x HTTP/1.1\r\nHost: b.example\r\n\r\n",
                &["a.example", "b.example"],
            ),
            (
                "CONNECT t.example:443 HTTP/1.1\r\nHost: t.example\r\n\r\n",
                &["t.example"],
            ),
            (
                "GET /?u=http://no.example/ HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n",
                &[],
            ),
            ("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", &[]),
            ("GET / HTTP/1.1\r\nX-Host: no.example\r\n\r\n", &[]),
        ];
        for (stream, names) in table {
            assert_eq!(read(stream.as_bytes(), 1).2.names, *names, "{stream:?}");
        }
    }

    #[test]
    fn sees_who_waits_for_a_continue() {
        let head = read(
            b"PUT / HTTP/1.1\r\nExpect:100-Continue\r\nContent-Length: 9\r\n\r\n",
            5,
        )
        .2;
        assert!(head.expects);
    }

    #[test]
    fn tells_the_coding_that_is_undone_first() {
        for (value, coding) in [("gzip", "gzip"), ("gzip, BR ", "br"), ("", "")] {
            let stream = format!("PUT / HTTP/1.1\r\nContent-Encoding: {value}\r\n\r\n");
            let head = read(stream.as_bytes(), 3).2;
            assert_eq!(head.coding.as_deref(), Some(coding), "{value}");
        }
        assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n", 9).2.coding, None);
    }

    #[test]
    fn gives_up_on_a_head_without_end() {
        let endless = format!(
            "GET / HTTP/1.1\r\n{}",
            "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(3000)
        );
        assert_eq!(read(endless.as_bytes(), 1400).1, Event::Broken);
        let endless = format!("GET /{}", "a".repeat(100_000));
        assert_eq!(read(endless.as_bytes(), 1400).1, Event::Broken);
    }
}
