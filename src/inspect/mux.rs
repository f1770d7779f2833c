//! Units that interleave on one connection, or that a framing shows as texts.

use std::time::Duration;

use super::{
    Context,
    deflated::Deflated,
    parcel::{Parcel, Search, Wait},
    patience::{PAUSE, TAIL},
    stream::{self, About, Call, Phase, Stream},
    turn::Turn,
};
use crate::{
    decode::Scratch,
    event::{Kind, NameSource, Place, Verdict, Wrapper},
    sniff::{self, Broken, Http2, Item, Mqtt, WebSocket},
};

/// The units of a connection on their way.
///
/// Every byte is read once: what a framing takes out of it waits here, unit by unit, for judgement. A unit that is whole and
/// judged is forgotten; of one that streams only a little context is kept.
pub(super) struct Mux {
    reader: Reader,
    wrappers: &'static [Wrapper],
    /// Bytes read so far, from the start of the stream.
    read: u64,
    parcels: Parcels,
    /// Destinations that were named since the last judgement.
    names: Vec<String>,
    /// The framing ended at `broken_at`; what follows from `read` on is something else.
    broken: bool,
    broken_at: u64,
    deflated: Deflated,
}

impl Mux {
    /// An HTTP/2 connection that began at `start`, whose preface was read up to `read`.
    pub(super) fn http2(start: u64, read: u64) -> Self {
        let reader = Http2::within_preface((read - start) as usize);
        Self::new(Reader::Http2(reader), &[Wrapper::Http2], read)
    }

    /// A WebSocket connection whose first frame begins at `start`.
    pub(super) fn websocket(start: u64) -> Self {
        let reader = Reader::WebSocket(WebSocket::default());
        Self::new(reader, &[Wrapper::Websocket], start)
    }

    /// An MQTT connection that begins at `start`.
    pub(super) fn mqtt(start: u64) -> Self {
        Self::new(Reader::Mqtt(Mqtt::default()), &[Wrapper::Mqtt], start)
    }

    fn new(reader: Reader, wrappers: &'static [Wrapper], read: u64) -> Self {
        Self {
            reader,
            wrappers,
            read,
            parcels: Parcels::default(),
            names: Vec::new(),
            broken: false,
            broken_at: 0,
            deflated: Deflated::default(),
        }
    }

    /// How many units have begun and not ended.
    #[cfg(test)]
    pub(super) fn open_units(&self) -> usize {
        self.parcels.open.len()
    }

    /// Reads on; what is before `base` has gone.
    fn read(&mut self, bytes: &[u8], base: u64, search: &mut Search<'_>) {
        let Mux {
            reader,
            wrappers,
            read,
            parcels,
            names,
            broken,
            broken_at,
            deflated,
        } = self;
        let at = *read;
        *read += bytes.len() as u64;
        let now = search.now;
        let pushed = reader.push(bytes, at, &mut |item| match item {
            Item::Frame { unit, at } => {
                parcels.get_or_insert(unit).frame(at, now);
            }
            Item::Text {
                unit,
                place,
                bytes,
                at,
            } => {
                if let Some(parcel) = parcels.get_mut(unit) {
                    parcel.grant(bytes.len());
                    parcel.text(place, bytes, at, false, wrappers, now);
                }
            }
            Item::Coded {
                unit,
                place,
                bytes,
                at,
            } => {
                if let Some(parcel) = parcels.get_mut(unit) {
                    parcel.grant(bytes.len());
                    parcel.text(place, bytes, at, true, wrappers, now);
                }
            }
            Item::Deflated { unit, bytes, at } => {
                if let Some(parcel) = parcels.get_mut(unit) {
                    parcel.grant(bytes.len());
                    let mut show =
                        |text: &[u8]| parcel.text(Place::Body, text, at, true, DEFLATED, now);
                    if !deflated.push(bytes, search.scratch.pool(), &mut show) {
                        parcel.unit.lose();
                    }
                }
            }
            Item::Close { unit, place } => {
                if let Some(parcel) = parcels.get_mut(unit) {
                    parcel.close(place, search);
                }
            }
            Item::Authority(authority) => names.extend(sniff::host(authority)),
            Item::Expect { unit } => {
                if let Some(parcel) = parcels.get_mut(unit) {
                    parcel.expects = true;
                }
            }
            Item::End { unit } => {
                parcels.end(unit, search);
            }
            Item::Lost { unit } => {
                if let Some(parcel) = parcels.get_mut(unit) {
                    parcel.unit.lose();
                }
            }
        });
        if let Err(Broken { at }) = pushed {
            (*read, *broken, *broken_at) = (at.max(base), true, at);
        }
    }

    /// How much waits of a header field that is not whole, in a message that streams: nobody decodes it before its last
    /// byte, unless none comes any more. `news` is when the last byte came.
    fn hold_field(&mut self, news: Duration, search: &mut Search<'_>) -> Wait {
        let Reader::Http2(reader) = &self.reader else {
            return Wait::default();
        };
        let field = reader.field_at();
        let parcel = field.and_then(|(unit, _)| self.parcels.get_mut(unit));
        let (Some((_, at)), Some(parcel)) = (field, parcel) else {
            return Wait::default();
        };
        let until = |time| Wait {
            from: Some(at),
            wake: Some(news + time),
        };
        if search.now < news + PAUSE {
            return until(PAUSE);
        }
        let mut rest = parcel.beginning();
        reader.show_unfinished(&mut |item| {
            if let Item::Coded {
                place, bytes, at, ..
            } = item
            {
                rest.text(place, bytes, at, true, self.wrappers, search.now);
            }
        });
        let hold = parcel.scan_aside(rest, search);
        if hold > 0 && search.now < news + TAIL {
            until(TAIL)
        } else {
            Wait::default()
        }
    }
}

/// What takes the units out of the bytes.
enum Reader {
    Http2(Http2),
    WebSocket(WebSocket),
    Mqtt(Mqtt),
}

impl Reader {
    fn push(
        &mut self,
        bytes: &[u8],
        at: u64,
        show: &mut dyn FnMut(Item<'_>),
    ) -> Result<(), Broken> {
        match self {
            Reader::Http2(reader) => reader.push(bytes, at, show),
            Reader::WebSocket(reader) => reader.push(bytes, at, show),
            Reader::Mqtt(reader) => reader.push(bytes, at, show),
        }
    }

    /// The last bytes of what was pushed, as far as they say nothing yet, or turned out to begin something else.
    fn pending(&self) -> &[u8] {
        match self {
            Reader::Http2(reader) => reader.pending(),
            Reader::WebSocket(reader) => reader.pending(),
            Reader::Mqtt(reader) => reader.pending(),
        }
    }
}

/// Units on their way.
#[derive(Default)]
struct Parcels {
    /// Those that go on, by number.
    open: Vec<(u32, Parcel)>,
    /// Those that are whole and not judged yet, in the order of their ends.
    done: Vec<Parcel>,
}

impl Parcels {
    fn get_mut(&mut self, unit: u32) -> Option<&mut Parcel> {
        let index = self.find(unit).ok()?;
        Some(&mut self.open[index].1)
    }

    fn get_or_insert(&mut self, unit: u32) -> &mut Parcel {
        let index = self.find(unit).unwrap_or_else(|index| {
            self.open.insert(index, (unit, Parcel::new()));
            index
        });
        &mut self.open[index].1
    }

    fn end(&mut self, unit: u32, search: &mut Search<'_>) {
        if let Ok(index) = self.find(unit) {
            let (_, mut parcel) = self.open.remove(index);
            parcel.end(search);
            self.done.push(parcel);
        }
    }

    /// Ends the units that came to a stop longest ago where more are open than are followed.
    fn end_stalest(&mut self, search: &mut Search<'_>) {
        let excess = self.open.len().saturating_sub(MOST_UNITS);
        if excess == 0 {
            return;
        }
        let open = self.open.iter();
        let mut open: Vec<_> = open.map(|(unit, parcel)| (parcel.news, *unit)).collect();
        open.sort_unstable();
        for (_, unit) in open.iter().take(excess) {
            self.end(*unit, search);
        }
    }

    fn find(&self, unit: u32) -> Result<usize, usize> {
        self.open.binary_search_by_key(&unit, |(unit, _)| *unit)
    }
}

impl Stream {
    pub(super) fn mux(
        &mut self,
        mut mux: Box<Mux>,
        rest: &[u8],
        call: Call,
        cx: &mut Context<'_>,
    ) -> Turn {
        let mut scratch = Scratch::default();
        self.unit.swap_scratch(&mut scratch);
        let turn = self.run_mux(&mut mux, rest, call, &mut scratch, cx);
        self.unit.swap_scratch(&mut scratch);
        self.phase = match turn {
            Turn::Go(_) => {
                self.searched = mux.read;
                self.unit.renew();
                let gone = mux.reader.pending();
                let gone = &gone[..gone.len().min((mux.read - mux.broken_at) as usize)];
                self.raw_after(mux.broken_at, mux.read, gone, cx)
            }
            Turn::Wait { .. } | Turn::Stop(_) => Phase::Mux(mux),
        };
        turn
    }

    /// Reads, judges, and says what may go; [`Turn::Go`] means that the framing is over.
    fn run_mux(
        &mut self,
        mux: &mut Mux,
        rest: &[u8],
        call: Call,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> Turn {
        let rules = cx.rules;
        let mut search = Search {
            detector: &rules.detector,
            scratch,
            now: cx.now,
            room: cx.room,
        };
        if !mux.broken {
            let new = &rest[(mux.read - self.base) as usize..];
            mux.read(new, self.base, &mut search);
            mux.parcels.end_stalest(&mut search);
        }
        let names = std::mem::take(&mut mux.names);
        if !names.is_empty() && self.name(&names, NameSource::Http, cx) {
            return Turn::Stop(0);
        }
        let paused = cx.now >= self.news + PAUSE;
        let mut wait = Wait::default();
        if call != Call::Finish && !mux.broken {
            let pending = mux.reader.pending().len() as u64;
            if pending > 0 && !paused {
                wait.add(Wait {
                    from: Some(mux.read - pending),
                    wake: Some(self.news + PAUSE),
                });
            }
            wait.add(mux.hold_field(self.news, &mut search));
        }
        let mut judge = Judge {
            over: mux.broken || call == Call::Finish,
            full: rest.len() >= cx.room,
            base: self.base,
            unread: 0,
            stopped: None,
        };
        let allowed = stream::allowed(&self.questions);
        let mut keeps =
            |parcel: &mut Parcel| judge.keeps(parcel, &mut wait, allowed, &mut search, cx);
        mux.parcels.done.retain_mut(&mut keeps);
        mux.parcels.open.retain_mut(|(_, parcel)| keeps(parcel));
        self.unread += judge.unread;
        let end = self.base + rest.len() as u64;
        let from = wait.from.map_or(end, |from| from.clamp(self.base, end));
        let release = (from - self.base) as usize;
        if let Some((verdict, kinds)) = judge.stopped {
            self.questions.get_or_insert_default().asked = kinds;
            self.stop(verdict, About::Content);
            return Turn::Stop(release);
        }
        if mux.broken {
            return Turn::Go((mux.read - self.base) as usize);
        }
        Turn::Wait {
            release,
            wake: wait.wake.filter(|_| from < end),
        }
    }
}

/// Goes through the units, one by one.
struct Judge {
    /// No more comes of any.
    over: bool,
    /// There is no room to hold more.
    full: bool,
    /// Wire position of the first byte that has not gone.
    base: u64,
    /// Bytes that could not be read.
    unread: u64,
    /// The first verdict that is no allow, and the kinds of its unit. Those after it are judged when it is settled.
    stopped: Option<(Verdict, Vec<Kind>)>,
}

impl Judge {
    /// Whether more is to be expected of a unit, or it waits for judgement.
    fn keeps(
        &mut self,
        parcel: &mut Parcel,
        wait: &mut Wait,
        allowed: &[Kind],
        search: &mut Search<'_>,
        cx: &mut Context<'_>,
    ) -> bool {
        self.unread += std::mem::take(&mut parcel.unread);
        let start = parcel.held.unwrap_or(self.base);
        if self.stopped.is_some() {
            if parcel.held.is_some() || parcel.is_due() {
                wait.hold_from(start);
            }
            return true;
        }
        if self.over && !parcel.ended {
            parcel.end(search);
        }
        let whole = parcel.ended || parcel.expects;
        if !whole {
            let large = parcel.kept() > search.room;
            parcel.streams |= self.full || large || parcel.is_paused(search.now);
            if !parcel.streams {
                let wake = parcel.held.map(|_| parcel.news + PAUSE);
                let from = parcel.held;
                wait.add(Wait { from, wake });
                return true;
            }
            if !parcel.is_due() {
                return true;
            }
            parcel.scan(search);
        }
        if let Some(verdict) = parcel.unit.judge(allowed, cx) {
            self.stopped = Some((verdict, parcel.unit.kinds().cloned().collect()));
            wait.hold_from(start);
            return true;
        }
        parcel.held = None;
        parcel.expects = false;
        if !whole {
            wait.add(parcel.let_go(search));
        }
        !parcel.ended
    }
}

/// What a compressed message of WebSocket is wrapped in.
const DEFLATED: &[Wrapper] = &[Wrapper::Websocket, Wrapper::Deflate];
/// Units that are open at the same time: servers take 100 streams to 256.
const MOST_UNITS: usize = 256;
