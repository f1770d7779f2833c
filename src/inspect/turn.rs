//! What is done with a client's turn, by what it is written in.

use std::{sync::Arc, time::Duration};

use super::{
    Context, Notice,
    message::{Message, Progress},
    mux::Mux,
    patience::PAUSE,
    piece::{Piece, Tail, Wire},
    scanner::Scanner,
    stream::{About, Call, Phase, Stream},
    tls::Tls,
    unit::settle,
};
use crate::{
    event::{Action, NameSource, Opaque, Place},
    sniff::{self, Protocol, Sniffed},
};

/// What became of the bytes at hand.
pub(super) enum Turn {
    /// This many were judged and go; there may be more to do.
    Go(usize),
    /// This many go, the rest waits.
    Wait {
        release: usize,
        wake: Option<Duration>,
    },
    /// This many go, the rest does not until somebody says so, or ever.
    Stop(usize),
}

impl Stream {
    /// Finds out what a turn is written in.
    pub(super) fn begin(&mut self, rest: &[u8], call: Call, cx: &mut Context<'_>) -> Turn {
        if rest.is_empty() {
            return Turn::Wait {
                release: 0,
                wake: None,
            };
        }
        let port = cx.facts.dst.port();
        let sniffed = if self.upgraded {
            sniff::sniff_upgraded(rest, port)
        } else {
            sniff::sniff(rest, port)
        };
        let protocol = match sniffed {
            Sniffed::Is(protocol) => protocol,
            Sniffed::Maybe(_) if call == Call::Finish => Protocol::Raw,
            Sniffed::Maybe(protocol) if self.is_paused(call, cx) || rest.len() >= cx.room => {
                protocol
            }
            Sniffed::Maybe(_) => {
                return Turn::Wait {
                    release: 0,
                    wake: Some(self.news + PAUSE),
                };
            }
        };
        self.unit.renew();
        self.unit.grant(rest.len());
        self.phase = match protocol {
            Protocol::Http1 => Phase::Http(Box::new(Message::new(self.base))),
            Protocol::Http2 => Phase::Mux(Box::new(Mux::http2(self.base, self.base))),
            Protocol::WebSocket => Phase::Mux(Box::new(Mux::websocket(self.base))),
            Protocol::Mqtt => Phase::Mux(Box::new(Mux::mqtt(self.base))),
            Protocol::Tls => {
                self.tell_opaque(Opaque::Tls, cx);
                let context = cx.rules.detector.context();
                Phase::Tls(Box::new(Tls::new(self.base, &[], context)))
            }
            Protocol::Dns => Phase::Dns,
            Protocol::Raw => self.raw_from(self.base),
        };
        Turn::Go(0)
    }

    fn raw_from(&mut self, start: u64) -> Phase {
        self.searched = self.searched.min(start);
        self.opaque = None;
        Phase::Raw {
            text: Box::new(Scanner::new(Place::Stream, &[], start)),
            watched: 0,
        }
    }

    /// Plain bytes from `at` on, where framing broke, of a stretch that began at `start`: a value may have begun in
    /// `before`.
    pub(super) fn raw_after(
        &mut self,
        start: u64,
        at: u64,
        before: &[u8],
        cx: &Context<'_>,
    ) -> Phase {
        let mut text = Box::new(Scanner::new(Place::Stream, &[], start));
        let wire = at.saturating_sub(before.len() as u64);
        text.inherit(before, wire, cx.rules.detector.context());
        self.opaque = None;
        Phase::Raw { text, watched: 0 }
    }

    pub(super) fn http(
        &mut self,
        mut message: Box<Message>,
        rest: &[u8],
        call: Call,
        cx: &mut Context<'_>,
    ) -> Turn {
        let progress = message.look_ahead(rest, self.base);
        if let Some(names) = message.names().filter(|_| !message.named) {
            let stops = self.name(names, NameSource::Http, cx);
            message.named = true;
            if stops {
                self.phase = Phase::Http(message);
                return Turn::Stop(0);
            }
        }
        let paused = self.is_paused(call, cx);
        let is_request = message.names().is_some() || message.streams;
        let (end, tail) = match progress {
            Progress::Broken(_) if message.is_preface() => {
                self.phase = Phase::Mux(Box::new(Mux::http2(message.start, self.base)));
                return Turn::Go(0);
            }
            Progress::Broken(_) if !is_request => {
                self.phase = self.raw_from(self.base);
                return Turn::Go(0);
            }
            Progress::End(end) | Progress::Broken(end) => (end, Tail::Closed),
            Progress::More => {
                let head = message
                    .waits_at()
                    .filter(|_| !message.continued && !message.streams);
                if let Some(head) = head.filter(|head| *head > self.base) {
                    message.continued = true;
                    ((head - self.base) as usize, Tail::Closed)
                } else if call == Call::Finish {
                    (rest.len(), Tail::Closed)
                } else if message.streams || paused || rest.len() >= cx.room {
                    message.streams = true;
                    (rest.len(), if paused { Tail::Paused } else { Tail::Open })
                } else {
                    self.phase = Phase::Http(message);
                    let wake = (!rest.is_empty()).then_some(self.news + PAUSE);
                    return Turn::Wait { release: 0, wake };
                }
            }
        };
        let known = self.known(end);
        let detector = &cx.rules.detector;
        let hold = message.scan(
            &rest[..end],
            self.base,
            known,
            tail,
            detector,
            &mut self.unit,
        );
        self.searched = self.searched.max(self.base + end as u64);
        if self.stops(cx) {
            self.phase = Phase::Http(message);
            return Turn::Stop(0);
        }
        let (hold, wake) = self.hold(hold, end, tail, call, cx);
        let release = end - hold;
        message.advance(&rest[..release], self.base, detector.context());
        match progress {
            Progress::End(_) => {
                self.upgraded = message.upgrades();
                Turn::Go(end)
            }
            Progress::Broken(_) => {
                let start = if message.names().is_some() {
                    self.base + end as u64
                } else {
                    message.start
                };
                self.phase = self.raw_after(start, self.base + end as u64, message.carried(), cx);
                Turn::Go(end)
            }
            Progress::More => {
                self.phase = Phase::Http(message);
                if tail == Tail::Closed && call != Call::Finish {
                    Turn::Go(release)
                } else {
                    Turn::Wait { release, wake }
                }
            }
        }
    }

    pub(super) fn dns(&mut self, rest: &[u8], call: Call, cx: &mut Context<'_>) -> Turn {
        let length = rest
            .first_chunk()
            .map(|length| usize::from(u16::from_be_bytes(*length)) + 2);
        match length.and_then(|length| Some((length, rest.get(2..length)?))) {
            Some((length, message)) => {
                self.scan_query(message, self.base + 2, cx);
                self.searched = self.searched.max(self.base + length as u64);
                if self.stops(cx) {
                    self.phase = Phase::Dns;
                    return Turn::Stop(0);
                }
                Turn::Go(length)
            }
            None if call == Call::Finish || self.is_paused(call, cx) || rest.len() >= cx.room => {
                self.phase = self.raw_from(self.base);
                Turn::Go(0)
            }
            None => {
                self.phase = Phase::Dns;
                Turn::Wait {
                    release: 0,
                    wake: Some(self.news + PAUSE),
                }
            }
        }
    }

    pub(super) fn raw(
        &mut self,
        mut text: Box<Scanner>,
        mut watched: u32,
        rest: &[u8],
        call: Call,
        cx: &mut Context<'_>,
    ) -> Turn {
        let known = self.known(rest.len());
        let hello = if watched < WATCHED && known < rest.len() {
            watched += (rest.len() - known) as u32;
            find_hello(text.carried(), rest, known)
        } else {
            None
        };
        let end = match hello {
            Some((_, at)) => at,
            None => rest.len(),
        };
        let tail = self.tail_of(hello.is_none(), call, cx);
        let wire = Wire::Stretch(self.base);
        let piece = Piece {
            text: &rest[..end],
            known: known.min(end),
            tail,
            wire,
        };
        let detector = &cx.rules.detector;
        let hold = text.scan(&piece, detector, &mut self.unit);
        self.searched = self.searched.max(self.base + end as u64);
        if self.stops(cx) {
            self.phase = Phase::Raw { text, watched };
            return Turn::Stop(0);
        }
        let (hold, wake) = self.hold(hold, end, tail, call, cx);
        let release = end - hold;
        if let Some((before, _)) = hello {
            self.tell_opaque(Opaque::Tls, cx);
            let start = self.base + end as u64 - before.len() as u64;
            let tls = Tls::new(start, &before, detector.context());
            self.phase = Phase::Tls(Box::new(tls));
            return Turn::Go(end);
        }
        text.absorb(&rest[..release], self.base, detector.context());
        self.phase = Phase::Raw { text, watched };
        Turn::Wait { release, wake }
    }

    pub(super) fn tell_opaque(&mut self, why: Opaque, cx: &mut Context<'_>) {
        self.opaque = Some(why);
        cx.notices.push(Notice::Opaque(why));
    }

    /// How many of the first `end` unreleased bytes were searched before.
    pub(super) fn known(&self, end: usize) -> usize {
        usize::try_from(self.searched.saturating_sub(self.base)).map_or(end, |known| known.min(end))
    }

    pub(super) fn is_paused(&self, call: Call, cx: &Context<'_>) -> bool {
        call == Call::Pause && cx.now >= self.news + PAUSE
    }

    pub(super) fn tail_of(&self, reaches_the_end: bool, call: Call, cx: &Context<'_>) -> Tail {
        match call {
            _ if !reaches_the_end => Tail::Closed,
            Call::Finish => Tail::Closed,
            Call::Pause if self.is_paused(call, cx) => Tail::Paused,
            Call::Feed | Call::Pause => Tail::Open,
        }
    }

    /// How much of a tail of `hold` bytes waits after all, and until when.
    pub(super) fn hold(
        &mut self,
        hold: usize,
        end: usize,
        tail: Tail,
        call: Call,
        cx: &Context<'_>,
    ) -> (usize, Option<Duration>) {
        let hold = hold.min(end);
        let waits = tail != Tail::Closed && call != Call::Finish && hold <= cx.room;
        let paused = self.is_paused(call, cx);
        let end = self.base + end as u64;
        self.tail
            .wait(if waits { hold } else { 0 }, end, self.news, paused, cx.now)
    }

    /// Judges the connection again with what the flow calls its destination; says whether the stream stops.
    pub(super) fn name(
        &mut self,
        names: &[String],
        from: NameSource,
        cx: &mut Context<'_>,
    ) -> bool {
        let policy = &cx.rules.policy;
        let before = match self.connection.take() {
            Some(verdict) => verdict,
            None => policy.connection(cx.facts),
        };
        for name in names {
            let known = |known: &(Arc<str>, NameSource)| *known.0 == **name && known.1 == from;
            if cx.facts.names.iter().any(known) {
                continue;
            }
            // The same name from another source is kept once.
            let same = cx.facts.names.iter().find(|(known, _)| **known == **name);
            let name: Arc<str> = match same {
                Some((known, _)) => known.clone(),
                None => name.as_str().into(),
            };
            let is_claim = |(_, from): &(Arc<str>, NameSource)| *from != NameSource::Dns;
            let claims = cx.facts.names.iter().filter(|name| is_claim(name)).count();
            if claims >= MOST_CLAIMS
                && let Some(oldest) = cx.facts.names.iter().position(is_claim)
            {
                cx.facts.names.remove(oldest);
            }
            cx.facts.names.reserve_exact(1);
            cx.facts.names.push((name.clone(), from));
            cx.notices.push(Notice::Name { name, from });
        }
        let verdict = settle(policy.connection(cx.facts), cx);
        let another_question = verdict.action == Action::Ask && verdict.rule != before.rule;
        let stops = verdict.action > before.action || another_question;
        if stops {
            self.stop(verdict.clone(), About::Connection);
        }
        self.connection = Some(verdict);
        stops
    }
}

/// A ClientHello in what is new: its bytes that went before, and the index of its first byte in `rest` (or 0).
fn find_hello(carried: &[u8], rest: &[u8], known: usize) -> Option<(Vec<u8>, usize)> {
    let back = sniff::HELLO_HEAD - 1;
    if known < back && !carried.is_empty() {
        let before = &carried[carried.len().saturating_sub(back)..];
        let joined = [before, &rest[..rest.len().min(back)]].concat();
        if let Some(at) = sniff::find_hello(&joined) {
            return Some(match at.checked_sub(before.len()) {
                Some(at) => (Vec::new(), at),
                None => (before[at..].to_vec(), 0),
            });
        }
    }
    let from = known.saturating_sub(back);
    let at = sniff::find_hello(&rest[from..])?;
    Some((Vec::new(), from + at))
}

/// Bytes of a plain stream in which TLS may begin: what comes before it is a greeting.
const WATCHED: u32 = 64 * 1024;
/// Names of one flow that only the flow itself claims.
const MOST_CLAIMS: usize = 16;
