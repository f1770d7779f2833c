use std::time::Duration;

use super::{
    patience::{PAUSE, Patience},
    piece::{Piece, Tail, Wire},
    scanner::Scanner,
    unit::Unit,
};
use crate::{
    decode::Scratch,
    detect::Detector,
    event::{Place, Wrapper},
};

/// A unit whose bytes come among those of others, as texts that its framing took out.
pub(super) struct Parcel {
    /// Wire position of the first byte that is held, while it is held whole.
    pub(super) held: Option<u64>,
    /// Whether it is no longer held whole.
    pub(super) streams: bool,
    /// Whether its sender waits for a go-ahead, with what came so far.
    pub(super) expects: bool,
    /// Whether nothing more comes.
    pub(super) ended: bool,
    /// Whether anything came since its texts were searched.
    fresh: bool,
    /// When something came last.
    pub(super) news: Duration,
    /// Bytes that came when its budget was spent.
    pub(super) unread: u64,
    pub(super) unit: Unit,
    passages: Vec<Passage>,
}

/// How much of a parcel waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wait {
    /// From this wire position on.
    pub(super) from: Option<u64>,
    pub(super) wake: Option<Duration>,
}

/// What searching works with.
pub(super) struct Search<'a> {
    pub(super) detector: &'a Detector,
    pub(super) scratch: &'a mut Scratch,
    pub(super) now: Duration,
    /// How many bytes of a tail may wait.
    pub(super) room: usize,
}

impl Parcel {
    pub(super) fn new() -> Self {
        Self {
            held: None,
            streams: false,
            expects: false,
            ended: false,
            fresh: false,
            news: Duration::ZERO,
            unread: 0,
            unit: Unit::default(),
            passages: Vec::new(),
        }
    }

    /// A frame of it begins at `at`.
    pub(super) fn frame(&mut self, at: u64, now: Duration) {
        self.news = now;
        self.fresh = true;
        if self.held.is_none() && !self.streams {
            self.held = Some(at);
        }
    }

    /// This many bytes of it came: they entitle to as much decoding.
    pub(super) fn grant(&mut self, bytes: usize) {
        self.unit.grant(bytes);
        if self.unit.is_spent() {
            self.unread += bytes as u64;
        }
    }

    /// Bytes of text that are kept for it.
    pub(super) fn kept(&self) -> usize {
        self.passages.iter().map(|passage| passage.text.len()).sum()
    }

    /// More of one of its texts: as it stands on the wire from `at` on, or `coded` in a string that begins there.
    pub(super) fn text(
        &mut self,
        place: Place,
        bytes: &[u8],
        at: u64,
        coded: bool,
        wrappers: &'static [Wrapper],
        now: Duration,
    ) {
        self.news = now;
        self.fresh = true;
        let open = self
            .passages
            .iter()
            .position(|passage| passage.place == place && passage.coded == coded);
        let index = open.unwrap_or_else(|| {
            self.passages.push(Passage::new(place, coded, wrappers, at));
            self.passages.len() - 1
        });
        self.passages[index].push(bytes, at);
    }

    /// The text at `place` is whole.
    pub(super) fn close(&mut self, place: Place, search: &mut Search<'_>) {
        let Self { passages, unit, .. } = self;
        passages.retain_mut(|passage| {
            if passage.place != place {
                return true;
            }
            passage.scan(Tail::Closed, unit, search);
            false
        });
    }

    /// It is whole.
    pub(super) fn end(&mut self, search: &mut Search<'_>) {
        self.ended = true;
        for mut passage in self.passages.drain(..) {
            passage.scan(Tail::Closed, &mut self.unit, search);
        }
    }

    pub(super) fn is_paused(&self, now: Duration) -> bool {
        now >= self.news + PAUSE
    }

    /// Whether there is anything to search, or to let go, in what streams.
    pub(super) fn is_due(&self) -> bool {
        self.fresh || self.passages.iter().any(|passage| !passage.text.is_empty())
    }

    /// Searches what streams.
    pub(super) fn scan(&mut self, search: &mut Search<'_>) {
        let tail = if self.is_paused(search.now) {
            Tail::Paused
        } else {
            Tail::Open
        };
        for passage in &mut self.passages {
            passage.tail = passage.scan(tail, &mut self.unit, search);
        }
    }

    /// Another one, whose texts begin where those of this one did.
    pub(super) fn beginning(&self) -> Parcel {
        let again = |passage: &Passage| {
            Passage::new(
                passage.place,
                passage.coded,
                passage.wrappers,
                passage.start,
            )
        };
        Parcel {
            passages: self.passages.iter().map(again).collect(),
            ..Parcel::new()
        }
    }

    /// Searches the texts of another one as part of this; returns how much of them must wait for more.
    pub(super) fn scan_aside(&mut self, other: Parcel, search: &mut Search<'_>) -> usize {
        self.fresh = true;
        let mut passages = other.passages;
        let scan = |passage: &mut Passage| passage.scan(Tail::Paused, &mut self.unit, search);
        passages.iter_mut().map(scan).max().unwrap_or(0)
    }

    /// Lets go what was searched and judged, but for tails that wait.
    pub(super) fn let_go(&mut self, search: &Search<'_>) -> Wait {
        self.fresh = false;
        let mut wait = Wait::default();
        let paused = self.is_paused(search.now);
        for passage in &mut self.passages {
            wait.add(passage.let_go(self.news, paused, search));
        }
        wait
    }
}

impl Wait {
    /// Waits from here on, for as long as it takes.
    pub(super) fn hold_from(&mut self, at: u64) {
        self.add(Wait {
            from: Some(at),
            wake: None,
        });
    }

    /// Waits for this as well.
    pub(super) fn add(&mut self, other: Wait) {
        self.from = self.from.into_iter().chain(other.from).min();
        self.wake = self.wake.into_iter().chain(other.wake).min();
    }
}

/// A text that arrives in pieces among those of others: what came, from the first byte that was not let go.
struct Passage {
    place: Place,
    /// Whether it was decoded from strings.
    coded: bool,
    wrappers: &'static [Wrapper],
    /// Wire position of its first byte.
    start: u64,
    scanner: Scanner,
    text: Vec<u8>,
    /// Where it stands on the wire: index in the text, and wire position.
    stretches: Vec<(usize, u64)>,
    /// Bytes of `text` that were searched.
    known: usize,
    /// Bytes at its end that must wait for more.
    tail: usize,
    /// Bytes of it that were let go.
    gone: u64,
    patience: Patience,
}

impl Passage {
    fn new(place: Place, coded: bool, wrappers: &'static [Wrapper], at: u64) -> Self {
        Self {
            place,
            coded,
            wrappers,
            start: at,
            scanner: Scanner::new(place, wrappers, at),
            text: Vec::new(),
            stretches: Vec::new(),
            known: 0,
            tail: 0,
            gone: 0,
            patience: Patience::default(),
        }
    }

    fn push(&mut self, bytes: &[u8], at: u64) {
        let length = self.text.len();
        let goes_on = |(from, wire): &(usize, u64)| match self.coded {
            true => *wire == at,
            false => wire + (length - from) as u64 == at,
        };
        if !self.stretches.last().is_some_and(goes_on) {
            self.stretches.push((length, at));
        }
        self.text.extend_from_slice(bytes);
    }

    /// Searches what is new; returns how many bytes at the end must wait for more.
    fn scan(&mut self, tail: Tail, unit: &mut Unit, search: &mut Search<'_>) -> usize {
        let wire = match self.coded {
            true => Wire::Strings(&self.stretches),
            false => Wire::Stretches(&self.stretches),
        };
        let piece = Piece {
            text: &self.text,
            known: self.known,
            tail,
            wire,
        };
        unit.swap_scratch(search.scratch);
        let hold = self.scanner.scan(&piece, search.detector, unit);
        unit.swap_scratch(search.scratch);
        self.known = self.text.len();
        hold
    }

    fn let_go(&mut self, news: Duration, paused: bool, search: &Search<'_>) -> Wait {
        let hold = match self.tail.min(self.text.len()) {
            hold if hold <= search.room => hold,
            _ => 0,
        };
        let end = self.gone + self.text.len() as u64;
        let (hold, wake) = self.patience.wait(hold, end, news, paused, search.now);
        let go = self.text.len() - hold;
        for (index, (from, wire)) in self.stretches.iter().enumerate() {
            let next = self.stretches.get(index + 1);
            let until = next.map_or(self.text.len(), |(from, _)| *from).min(go);
            if *from < until {
                let text = &self.text[*from..until];
                self.scanner.absorb(text, *wire, search.detector.context());
            }
        }
        self.drop_front(go);
        self.known = hold;
        self.gone += go as u64;
        Wait {
            from: (hold > 0).then(|| self.stretches.first().map_or(0, |(_, wire)| *wire)),
            wake,
        }
    }

    /// Forgets the first `count` bytes of the text and where they stand.
    fn drop_front(&mut self, count: usize) {
        self.text.drain(..count);
        let before = self
            .stretches
            .partition_point(|(from, _)| *from <= count)
            .saturating_sub(1);
        self.stretches.drain(..before);
        for (from, wire) in &mut self.stretches {
            if !self.coded {
                *wire += count.saturating_sub(*from) as u64;
            }
            *from = from.saturating_sub(count);
        }
        if self.text.is_empty() {
            self.stretches.clear();
        }
    }
}
