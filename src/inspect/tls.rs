//! TLS on its way: the server's name is judged before the ClientHello goes, what is in clear is searched, the rest passes.

use super::{
    Context,
    patience::PAUSE,
    piece::{Piece, Wire},
    scanner::Scanner,
    stream::{Call, Phase, Stream},
    turn::Turn,
};
use crate::{
    event::{NameSource, Opaque, Place},
    sniff::{Hello, Record, Records},
};

/// Records of TLS and what they hold in clear.
pub(super) struct Tls {
    records: Records,
    /// Where they begin, in bytes from the start of the stream.
    start: u64,
    /// Records in clear since the last one that is not: nobody reads across that.
    clear: Option<Box<Scanner>>,
    /// Until the ClientHello was read.
    ahead: Option<Box<Ahead>>,
}

/// Reads the ClientHello before it is let go.
struct Ahead {
    records: Records,
    hello: Hello,
    /// How far it came, in bytes from the start of the stream.
    at: u64,
    /// Whether the message paused, and is no longer held whole.
    streams: bool,
}

impl Tls {
    /// Records that begin at `start`, of which `before` has gone.
    pub(super) fn new(start: u64, before: &[u8], context: usize) -> Self {
        let mut ahead = Ahead {
            records: Records::default(),
            hello: Hello::default(),
            at: start,
            streams: false,
        };
        ahead.read(before, start);
        let mut records = Records::default();
        let mut header = before;
        while let Record::Header(take) | Record::Clear(take) | Record::Opaque(take) =
            records.next(header)
        {
            header = header.get(take..).unwrap_or_default();
        }
        let mut clear = None;
        if !before.is_empty() {
            clear_text(&mut clear, start).absorb(before, start, context);
        }
        Self {
            records,
            start,
            clear,
            ahead: Some(Box::new(ahead)),
        }
    }
}

/// The text that records in clear make, whose place begins at `start`.
fn clear_text(clear: &mut Option<Box<Scanner>>, start: u64) -> &mut Scanner {
    clear.get_or_insert_with(|| Box::new(Scanner::new(Place::Stream, &[], start)))
}

impl Ahead {
    /// Reads on in `bytes`, which begin at `base`; says whether there can be more of a ClientHello.
    fn read(&mut self, bytes: &[u8], base: u64) -> bool {
        let mut at = (self.at - base) as usize;
        let goes_on = loop {
            match self.records.next(&bytes[at..]) {
                Record::Header(take) => at += take,
                Record::Clear(take) => {
                    self.hello.push(&bytes[at..at + take]);
                    at += take;
                }
                Record::More => break true,
                Record::Opaque(_) | Record::Broken => break false,
            }
        };
        self.at = base + at as u64;
        goes_on
    }
}

impl Stream {
    pub(super) fn tls(
        &mut self,
        mut tls: Box<Tls>,
        rest: &[u8],
        call: Call,
        cx: &mut Context<'_>,
    ) -> Turn {
        let Some(ahead) = &mut tls.ahead else {
            return self.records(tls, rest, call, cx);
        };
        let goes_on = ahead.read(rest, self.base);
        let said = ahead.hello.indication();
        let done = said.done || !goes_on;
        let full = rest.len() >= cx.room;
        ahead.streams |= call == Call::Finish || full || self.is_paused(call, cx);
        if !done && !ahead.streams {
            self.phase = Phase::Tls(tls);
            return Turn::Wait {
                release: 0,
                wake: (!rest.is_empty()).then_some(self.news + PAUSE),
            };
        }
        if said.encrypted && self.opaque != Some(Opaque::Ech) {
            self.tell_opaque(Opaque::Ech, cx);
        }
        if done {
            tls.ahead = None;
        }
        if said
            .name
            .is_some_and(|name| self.name(&[name], NameSource::Sni, cx))
        {
            self.phase = Phase::Tls(tls);
            return Turn::Stop(0);
        }
        self.records(tls, rest, call, cx)
    }

    /// Walks the records: what is in clear is searched, what is not goes.
    fn records(
        &mut self,
        mut tls: Box<Tls>,
        rest: &[u8],
        call: Call,
        cx: &mut Context<'_>,
    ) -> Turn {
        let detector = &cx.rules.detector;
        let Tls {
            records,
            start,
            clear,
            ..
        } = &mut *tls;
        let mut at = 0;
        loop {
            match records.next(&rest[at..]) {
                Record::Header(take) => at += take,
                Record::Opaque(take) => {
                    *clear = None;
                    at += take;
                    self.unread += take as u64;
                }
                Record::Clear(take) => {
                    let end = at + take;
                    let tail = self.tail_of(end == rest.len(), call, cx);
                    let known = self.known(end).saturating_sub(at);
                    let wire = Wire::Stretch(self.base + at as u64);
                    let piece = Piece {
                        text: &rest[at..end],
                        known,
                        tail,
                        wire,
                    };
                    let clear = clear_text(clear, *start);
                    let hold = clear.scan(&piece, detector, &mut self.unit);
                    self.searched = self.searched.max(self.base + end as u64);
                    if self.stops(cx) {
                        records.unread(take);
                        self.phase = Phase::Tls(tls);
                        return Turn::Stop(at);
                    }
                    let (hold, wake) = self.hold(hold, end, tail, call, cx);
                    let hold = hold.min(take);
                    clear.absorb(
                        &rest[at..end - hold],
                        self.base + at as u64,
                        detector.context(),
                    );
                    if hold > 0 {
                        records.unread(hold);
                        self.phase = Phase::Tls(tls);
                        return Turn::Wait {
                            release: end - hold,
                            wake,
                        };
                    }
                    at = end;
                }
                Record::More => {
                    self.phase = Phase::Tls(tls);
                    return Turn::Wait {
                        release: at,
                        wake: None,
                    };
                }
                Record::Broken => {
                    let header = records.partial_header();
                    if header.is_empty() {
                        return Turn::Go(at);
                    }
                    let start = self.base + at as u64 - header.len() as u64;
                    self.unit.renew();
                    self.phase = self.raw_after(start, self.base + at as u64, header, cx);
                    return Turn::Go(at);
                }
            }
        }
    }
}
