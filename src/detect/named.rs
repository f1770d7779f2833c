//! Values that the name in front of them tells: short registered ones, places, and what nobody registered.

mod cells;
mod pairs;
#[cfg(test)]
mod tests;

use std::ops::Range;

use cells::Cells;
use pairs::Pairs;

use super::{
    fields::{self, Token},
    names::{Entry, LONGEST, Names, What},
    needles::{Sighting, keyed_hash},
    places::Places,
    shapes,
    spellings::Spelled,
    value::{Form, Value},
};
use crate::{
    decode::Skim,
    event::{Confidence, Kind, Spelling},
};

/// A value that was seen by its name, or by its place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it stands; of a pair, its last half.
    pub value: Range<usize>,
    /// Where what shows it begins: of a pair, its first half.
    pub start: usize,
    /// Where what shows it ends.
    pub end: usize,
    /// Whether the byte that would tell its end lies beyond the text.
    pub open: bool,
    /// Whether it counts by itself: a short value without a name beside it does not, unless something registered is found
    /// in the same unit.
    pub alone: bool,
    /// What an event may say of it.
    pub sighting: Sighting,
}

/// What is looked for by names.
pub(super) struct Named {
    names: Names,
    shorts: Vec<Short>,
    /// A bit for the first two bytes of each of [`Named::shorts`].
    heads: u64,
    places: Places,
    /// What is said of each registered place, by its value.
    sightings: Vec<Sighting>,
    hash_key: [u8; 32],
}

/// A registered value that is too short to be searched for.
struct Short {
    /// In lower case.
    bytes: Box<[u8]>,
    sighting: Sighting,
}

impl Named {
    pub(super) fn new(kinds: Vec<Kind>, hash_key: &[u8; 32]) -> Named {
        Named {
            names: Names::new(kinds.into_iter()),
            shorts: Vec::new(),
            heads: 0,
            places: Places::default(),
            sightings: Vec::new(),
            hash_key: *hash_key,
        }
    }

    /// Adds a spelling that only counts as a whole token.
    pub(super) fn add_short(&mut self, spelled: &Spelled, sighting: Sighting) {
        self.heads |= head(&spelled.bytes);
        self.shorts.push(Short {
            bytes: spelled.bytes.clone(),
            sighting,
        });
    }

    /// Adds a place.
    pub(super) fn add_place(&mut self, value: &Value, sighting: Sighting) {
        if let Form::Location {
            latitude,
            longitude,
        } = value.form
        {
            let index = self.sightings.len() as u32;
            self.places.add(latitude, longitude, index);
            self.sightings.push(sighting);
        }
    }

    /// The registered value of `kind` that a whole token is.
    fn short(&self, kind: &Kind, text: &[u8]) -> Option<&Sighting> {
        let of_kind = self
            .shorts
            .iter()
            .filter(|short| short.sighting.kind == *kind);
        let mut same = of_kind.filter(|short| short.bytes.eq_ignore_ascii_case(text));
        same.next().map(|short| &short.sighting)
    }

    /// Appends what `text` shows beyond `from`, in order. `cut`: the text began before its first byte; `open`: it may go
    /// on. Returns how many bytes at the end may be the beginning of a value.
    pub(super) fn search(
        &self,
        text: &[u8],
        from: usize,
        cut: bool,
        open: bool,
        skim: &Skim,
        seen: &mut Vec<Seen>,
    ) -> usize {
        let first = from.saturating_sub(CONTEXT);
        let mut search = Search {
            named: self,
            text,
            from,
            cut,
            open,
            hold: 0,
            pairs: Pairs::default(),
            cells: Cells::default(),
            seen,
        };
        for at in skim.fields(first) {
            search.separator(at);
        }
        let mut hold = search.hold;
        if !self.places.is_empty() && !text.is_ascii() {
            let binary = |found| search.place(&found, Spelling::Float);
            hold = hold.max(self.places.binary(text, first, binary));
        }
        if open { hold } else { 0 }
    }
}

/// One search.
struct Search<'s> {
    named: &'s Named,
    text: &'s [u8],
    from: usize,
    cut: bool,
    open: bool,
    hold: usize,
    pairs: Pairs,
    cells: Cells<'s>,
    seen: &'s mut Vec<Seen>,
}

impl<'s> Search<'s> {
    #[inline]
    fn separator(&mut self, at: usize) {
        match self.text[at] {
            b'.' if self.named.places.is_empty() => return,
            b'.' => return self.point(at),
            b'@' => return self.address(at),
            _ => {}
        }
        if self.named.heads != 0 {
            self.unnamed(at);
        }
        if !self.named.names.may_end(self.text, at) {
            return;
        }
        if let Some((entry, start)) = self.named.names.before(self.text, at) {
            self.field(at, entry, start);
        }
    }

    #[cold]
    fn field(&mut self, at: usize, entry: &'s Entry, start: usize) {
        if self.cut && start == 0 || !fields::bounds(self.text, at, start) {
            return;
        }
        if entry.what.contains(&What::Kind(Kind::InstalledApps)) {
            return self.apps(at, start);
        }
        let Some(token) = fields::value(self.text, at) else {
            return;
        };
        if entry.what.contains(&What::Naming) {
            let name = self.named.names.of(&self.text[token.range()]);
            if let (Some(name), true) = (name, token.ended)
                && let Some(token) = fields::value_of_named(self.text, token.end)
            {
                self.value(at, name, start, token);
            }
            return;
        }
        self.value(at, entry, start, token);
        let mut token = token;
        let is_list = self.text[at..token.start].contains(&b'[');
        for _ in 1..ITEMS {
            match fields::next_item(self.text, token.end) {
                Some(next) if is_list => token = next,
                _ => break,
            }
            self.value(at, entry, start, token);
        }
    }

    fn value(&mut self, at: usize, entry: &'s Entry, name: usize, token: Token) {
        if token.start == token.end
            || token.end - token.start > fields::MOST
            || token.end - name > CONTEXT - LONGEST
        {
            return;
        }
        let waits = !token.ended && self.open && entry.what.iter().any(What::has_value);
        // The quote at its end is still to come, and no pause stands for it.
        if !(waits && token.quoted) && self.tried(at, entry, token) {
            return;
        }
        if waits {
            self.hold = self.hold.max(self.text.len() - token.start);
        }
    }

    /// Whether the value is something that the entry says.
    fn tried(&mut self, at: usize, entry: &'s Entry, token: Token) -> bool {
        let before = self.seen.len();
        for what in &entry.what {
            match what {
                What::Latitude { scaled } => self.half(0, *scaled, token),
                What::Longitude { scaled } => self.half(1, *scaled, token),
                What::Coordinates { longitude_first } => self.coordinates(token, *longitude_first),
                What::Radio => {
                    let text = std::str::from_utf8(&self.text[token.range()]);
                    if text.is_ok_and(shapes::is_radio) {
                        self.radio(entry, token);
                    }
                }
                What::Cell => self.cell(entry, token, Kind::CellId),
                What::Area => self.cell(entry, token, Kind::Tac),
                What::Kind(kind) => self.kind(entry, kind, what, token, at),
                What::Device | What::Digest(_) => self.shape(what, token),
                What::Own(kind) => {
                    let token = fields::with_blanks(self.text, token);
                    if let Some(short) = self.named.short(kind, &self.text[token.range()]) {
                        self.tell(token, token.start, true, short.clone());
                    }
                }
                What::Naming => {}
            }
            if self.seen.len() > before {
                return true;
            }
        }
        false
    }

    /// A short value under the name of its kind, or what has the shape of the kind.
    fn kind(&mut self, entry: &'s Entry, kind: &Kind, what: &What, token: Token, at: usize) {
        let in_words = matches!(
            kind,
            Kind::Ssid | Kind::Account | Kind::Custom(_) | Kind::Phone
        );
        let token = if in_words && self.text[at] != b'/' {
            fields::with_blanks(self.text, token)
        } else {
            token
        };
        let token = if *kind == Kind::Ssid {
            fields::unquoted(self.text, token)
        } else {
            token
        };
        match self.named.short(kind, &self.text[token.range()]) {
            Some(short) => self.tell(token, token.start, true, short.clone()),
            None if *kind == Kind::CellId || *kind == Kind::Tac => {
                self.radio(entry, token);
                self.shape(what, token);
            }
            // What nobody put quotes around is not told from code, except where nothing else can stand.
            None if matches!(kind, Kind::Ssid | Kind::Account)
                && !token.quoted
                && !self.is_field(at, token) => {}
            // Behind `/user/` stand the pages and files of a site as often.
            None if *kind == Kind::Account && self.text[at] == b'/' => {}
            None => self.shape(what, token),
        }
    }

    /// Whether a value without quotes is one of a form, of a path or of a line of its own.
    fn is_field(&self, at: usize, token: Token) -> bool {
        let line = || self.text.get(at + 1) == Some(&b' ') && !self.text[..at].ends_with(b"\"");
        match self.text[at] {
            b':' => line(),
            b'=' => matches!(
                self.text.get(token.end),
                None | Some(b'&' | b'\r' | b'\n' | 0xff)
            ),
            _ => true,
        }
    }

    fn shape(&mut self, what: &What, token: Token) {
        let Ok(text) = std::str::from_utf8(&self.text[token.range()]) else {
            return;
        };
        if let Some((value, spelling)) = shapes::of(what, text.trim_end()) {
            return self.tell_shape(token, token.start, &value, spelling);
        }
        // Phones with two cards send two in one.
        let mut start = token.start;
        for text in text.split([',', ';', '|']) {
            let part = Token {
                start,
                end: start + text.len(),
                ..token
            };
            start = part.end + 1;
            if part.range() != token.range()
                && let Some((value, spelling)) = shapes::of(what, text.trim())
            {
                // All of them are known when the last one is.
                let sighting = self.sighting(&value, spelling);
                self.push(part, part.start, token, true, sighting);
            }
        }
    }

    /// A short value that no name is beside.
    fn unnamed(&mut self, at: usize) {
        let Some(rest) = self.text.get(at + 1..) else {
            return;
        };
        let quote = usize::from(matches!(rest.first(), Some(b'"' | b' ')));
        let quote = quote + usize::from(rest.get(quote) == Some(&b'"'));
        if head(&rest[quote.min(rest.len())..]) & self.named.heads == 0 {
            return;
        }
        let Some(token) = fields::value(self.text, at) else {
            return;
        };
        let text = &self.text[token.range()];
        let short = self
            .named
            .shorts
            .iter()
            .find(|short| short.bytes.len() >= SHORT && short.bytes.eq_ignore_ascii_case(text));
        if let Some(short) = short {
            self.tell(token, token.start, false, short.sighting.clone());
        }
    }

    /// An address in quotes, whatever it is called: nothing else looks like one.
    #[cold]
    fn address(&mut self, at: usize) {
        let Some(token) = fields::around(self.text, at) else {
            return;
        };
        if token.ended {
            self.shape(&What::Kind(Kind::Email), token);
        } else if self.open {
            self.hold = self.hold.max(self.text.len() - token.start);
        }
    }

    /// A list of packages behind the separator at `at`, as many as tell a person's choice.
    fn apps(&mut self, at: usize, name: usize) {
        let end = self.text.len().min(name + CONTEXT - LONGEST);
        let mut start = at + 1;
        let mut names: Vec<&str> = Vec::new();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
        while let Some(length) = self
            .text
            .get(start..end)
            .map(|rest| rest.iter().take_while(|byte| is_name(byte)).count())
        {
            let token = Token {
                start,
                end: start + length,
                ended: start + length < self.text.len(),
                quoted: false,
            };
            let text = std::str::from_utf8(&self.text[token.range()]).unwrap_or_default();
            if shapes::is_package(text) {
                names.push(text);
            }
            if names.len() == APPS {
                let value = Value::installed_apps(names.into_iter().map(Into::into).collect());
                return self.tell_shape(token, at + 1, &value, Spelling::Plain);
            }
            start = token.end + 1;
        }
    }

    fn tell_shape(&mut self, token: Token, start: usize, value: &Value, spelling: Spelling) {
        let sighting = self.sighting(value, spelling);
        self.tell(token, start, true, sighting);
    }

    fn sighting(&self, value: &Value, spelling: Spelling) -> Sighting {
        Sighting {
            kind: value.kind.clone(),
            confidence: Confidence::Shape,
            spelling,
            last4: value.last4().map(Into::into),
            hash: keyed_hash(value, &self.named.hash_key).into(),
            value: Sighting::NOBODY,
            part: None,
        }
    }

    fn tell(&mut self, token: Token, start: usize, alone: bool, sighting: Sighting) {
        self.push(token, start, token, alone, sighting);
    }

    /// Takes note of what is seen, unless it was seen before: `last` is where what shows it ends.
    fn push(&mut self, token: Token, start: usize, last: Token, alone: bool, sighting: Sighting) {
        let end = last.end.max(token.end);
        if end > self.from {
            self.seen.push(Seen {
                value: token.range(),
                start,
                end,
                open: !last.ended || !token.ended,
                alone,
                sighting,
            });
        }
    }
}

impl What {
    /// Whether the beginning of a value under such a name must wait for its end.
    fn has_value(&self) -> bool {
        !matches!(
            self,
            What::Radio
                | What::Naming
                | What::Own(_)
                | What::Kind(Kind::Account | Kind::InstalledApps)
        )
    }
}

/// A bit for the first two bytes of a value, in either letter case.
fn head(bytes: &[u8]) -> u64 {
    match bytes {
        [first, second, ..] => {
            1 << ((u32::from(first | 0x20) * 31 + u32::from(second | 0x20)) % 64)
        }
        // A shorter value begins like everything.
        [_] => u64::MAX,
        [] => 0,
    }
}

/// Bytes before what is new that may show a value in it: its name, and the other half of a place.
pub(super) const CONTEXT: usize = 256;
/// Bytes within which two coordinates are a pair, and a cell belongs to a network.
const PAIR: usize = CONTEXT - LONGEST - 16;
/// Items of a list that are looked at.
const ITEMS: usize = 4;
/// Bytes of the shortest value that counts without a name beside it.
const SHORT: usize = 4;
/// Packages that make a list of installed ones.
pub(super) const APPS: usize = 5;
