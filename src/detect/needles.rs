//! The search: every registered value in a haystack, in any of its spellings.

use std::{fmt, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    Identity,
    boundary::{Boundary, Ending, LOOK_BEHIND, VERSION, is_framed},
    grams::Grams,
    named::{CONTEXT, Named, Seen},
    path,
    prefixes::Prefixes,
    spellings::{self, Class},
    value::{Form, Value},
};
use crate::{
    decode::Skim,
    event::{Confidence, Kind, Spelling},
};

/// Search tables of one identity. Immutable: share it in an `Arc`.
///
/// # Streams
///
/// Bytes that arrive in pieces are searched with some context in front. [`Detector::search`] says up to where its
/// answer is final; the next call takes that as its `from`, over a haystack that begins [`Detector::context`] bytes
/// before it or at the beginning of the stream. Whatever the pieces, the hits that are not `open` are then the same.
pub struct Detector {
    needles: Vec<Needle>,
    bytes: Box<[u8]>,
    grams: Grams,
    prefixes: Prefixes,
    longest: usize,
    /// Whether two digits more decide about a match.
    versions: bool,
    sightings: Vec<Sighting>,
    values: Vec<Registered>,
    named: Named,
}

/// A registered value that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Where it begins in what was searched.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Which spelling: for [`Detector::describe`].
    pub needle: u32,
    /// Whether the byte that would tell its end lies beyond the haystack. At the end of a message this is a finding;
    /// before it, the bytes from `start` on must wait for the next call.
    pub open: bool,
}

/// What an event may say of a value that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What it is.
    pub kind: Kind,
    /// How sure that is.
    pub confidence: Confidence,
    /// What was done to it.
    pub spelling: Spelling,
    /// Last four characters of the canonical value; none under 8 characters and for locations.
    pub last4: Option<Arc<str>>,
    /// `k1:` and 16 hex digits of the keyed hash of kind and canonical value.
    pub hash: Arc<str>,
    /// Index of the registered value in [`Detector::values`], equal for all its spellings; [`Sighting::NOBODY`] for others.
    pub value: u32,
    /// Which item it is of a list that counts only if [`Sighting::PARTS`] of its items are in one unit.
    pub part: Option<u32>,
}

impl Sighting {
    /// The value is nobody's that is registered.
    pub const NOBODY: u32 = u32::MAX;
    /// Items of a list in one unit that make a finding.
    pub const PARTS: usize = super::named::APPS;
}

/// A registered value and how well it is covered; nothing of it in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// What it is.
    pub kind: Kind,
    /// As in [`Sighting`].
    pub last4: Option<Arc<str>>,
    /// As in [`Sighting`].
    pub hash: Arc<str>,
    /// Spellings that are searched for anywhere; 0 for what is too short or not text.
    pub spellings: usize,
    /// Whether it is found as it was registered, and not in other spellings alone.
    pub plain: bool,
}

impl Detector {
    /// Builds the tables; `hash_key` keys the HMAC-SHA-256 of [`Sighting::hash`].
    pub fn new(identity: &Identity, hash_key: &[u8; 32]) -> Detector {
        let mut builder = Builder::new(identity.kinds(), hash_key);
        for value in identity.values() {
            builder.add(value, hash_key);
        }
        builder.finish()
    }

    /// Whether nothing is registered that is searched for anywhere; shapes are looked for all the same.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Number of spellings searched for.
    pub fn spellings(&self) -> usize {
        self.needles.len()
    }

    /// Registered values, in the order of [`Identity`].
    pub fn values(&self) -> &[Registered] {
        &self.values
    }

    /// Bytes of the longest spelling.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// How many bytes before `from` a search depends on.
    pub fn context(&self) -> usize {
        (2 * self.longest + LOOK_BEHIND).max(CONTEXT)
    }

    /// Bytes that the tables take.
    pub fn table_bytes(&self) -> usize {
        self.grams.table_bytes()
            + self.prefixes.table_bytes()
            + self.bytes.len()
            + self.needles.len() * size_of::<Needle>()
    }

    /// Appends every hit that ends after `from` (bytes before it are only context), in order of start, then end.
    ///
    /// Of hits of one value that overlap, the one that ends first counts; of those that end together, the longest.
    /// Returns up to where this is final: the `from` of the next call. Hits that end after it are `open`.
    pub fn search(&self, haystack: &[u8], from: usize, hits: &mut Vec<Hit>) -> usize {
        self.search_where(haystack, from, None, hits)
    }

    /// The same of a haystack of which it is known what its blocks can hold: faster, where most of them hold no text.
    pub fn search_skimmed(
        &self,
        haystack: &[u8],
        from: usize,
        skim: &Skim,
        hits: &mut Vec<Hit>,
    ) -> usize {
        self.search_where(haystack, from, Some(skim), hits)
    }

    fn search_where(
        &self,
        haystack: &[u8],
        from: usize,
        skim: Option<&Skim>,
        hits: &mut Vec<Hit>,
    ) -> usize {
        if self.is_empty() {
            return haystack.len();
        }
        let first = hits.len();
        self.scan(haystack, from, skim, hits);
        let Some(start) = hits[first..].iter().map(|hit| hit.start).min() else {
            return self.settled(haystack).max(from);
        };
        if start < from {
            hits.truncate(first);
            self.scan(haystack, start, skim, hits);
        }
        let last = hits.len();
        let found = &mut hits[first..last];
        let settled = found
            .iter()
            .filter(|hit| hit.open && hit.end > from)
            .map(|hit| hit.end - 1)
            .fold(self.settled(haystack).max(from), usize::min);
        found.sort_unstable_by_key(|hit| (self.value_of(hit), hit.end, hit.start, hit.needle));
        let mut kept = first;
        let mut before: Option<Hit> = None;
        for at in first..last {
            let hit = hits[at];
            let overlaps = before.is_some_and(|before| {
                self.value_of(&before) == self.value_of(&hit) && before.end > hit.start
            });
            before = Some(hit);
            if !overlaps && hit.end > from {
                hits[kept] = Hit {
                    open: hit.end > settled,
                    ..hit
                };
                kept += 1;
            }
        }
        hits.truncate(kept);
        hits[first..].sort_unstable();
        settled
    }

    /// The number of trailing bytes that must be held because a spelling may go on in them: the longest suffix of
    /// `haystack` that begins a spelling and is more than half as long as it (design 4). The bytes of an open
    /// [`Hit`] must be held beside.
    pub fn unfinished(&self, haystack: &[u8]) -> usize {
        let first = haystack
            .len()
            .saturating_sub(self.longest.saturating_sub(1));
        for start in first..haystack.len() {
            let suffix = &haystack[start..];
            for number in self.prefixes.of(suffix) {
                let needle = &self.needles[*number as usize];
                let long_enough =
                    suffix.len() < needle.length() && 2 * suffix.len() > needle.length();
                if long_enough
                    && needle.is(&self.bytes[needle.range()][..suffix.len()], suffix)
                    && needle.begins(haystack, start)
                {
                    return suffix.len();
                }
            }
        }
        0
    }

    /// Appends what the names in `haystack` tell beyond `from`: short registered values, places, and what looks like an
    /// identifier although nobody registered it. `cut` says that the text began before the haystack, `open` that it may go
    /// on, `skim` what its blocks can hold. Returns how many bytes at the end must wait because a value may go on in them; those of an open [`Seen`] must
    /// wait beside. What it sees depends on [`Detector::context`] bytes before `from` at most.
    pub fn search_named(
        &self,
        haystack: &[u8],
        from: usize,
        cut: bool,
        open: bool,
        skim: &Skim,
        seen: &mut Vec<Seen>,
    ) -> usize {
        self.named.search(haystack, from, cut, open, skim, seen)
    }

    /// Where the value at `index` of a text stands in the text's own structure: its JSON pointer (RFC 6901), or the name of
    /// its form field, header, part or element. Names that hold a value are not shown.
    pub fn field(&self, text: &[u8], index: usize) -> Option<String> {
        let shows = |name: &[u8]| {
            let mut hits = Vec::new();
            self.search(name, 0, &mut hits);
            hits.is_empty()
        };
        path::of(text, index, &shows)
    }

    /// What an event may say of a hit on `needle`, a number that [`Detector::search`] of this detector gave.
    pub fn describe(&self, needle: u32) -> &Sighting {
        &self.sightings[self.needles[needle as usize].sighting as usize]
    }

    /// Up to where it is known what is no hit.
    fn settled(&self, haystack: &[u8]) -> usize {
        let last = haystack.last().is_some_and(u8::is_ascii_digit);
        let behind = if self.versions && last { VERSION } else { 0 };
        haystack.len().saturating_sub(behind)
    }

    /// Appends every match that ends after `from`, overlapping ones too.
    fn scan(&self, haystack: &[u8], from: usize, skim: Option<&Skim>, hits: &mut Vec<Hit>) {
        self.grams.sweep(haystack, from, skim, |number, end| {
            let needle = &self.needles[number as usize];
            let Some(start) = end.checked_sub(needle.length()) else {
                return;
            };
            let Some(seen) = haystack.get(start..end) else {
                return;
            };
            if end <= from || !needle.is(&self.bytes[needle.range()], seen) {
                return;
            }
            let open = match needle.bounds(haystack, start) {
                Ending::Ends => false,
                Ending::Unknown => true,
                Ending::Continues => return,
            };
            hits.push(Hit {
                start,
                end,
                needle: number,
                open,
            });
        });
    }

    #[cfg(test)]
    pub(super) fn bytes_of(&self, needle: u32) -> &[u8] {
        &self.bytes[self.needles[needle as usize].range()]
    }

    #[cfg(test)]
    pub(super) fn needle(&self, needle: u32) -> (&[u8], Class, Boundary, Boundary) {
        let Needle {
            class, left, right, ..
        } = self.needles[needle as usize];
        (self.bytes_of(needle), class, left, right)
    }

    fn value_of(&self, hit: &Hit) -> u32 {
        self.describe(hit.needle).value
    }
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector")
            .field("values", &self.values.len())
            .field("spellings", &self.needles.len())
            .finish_non_exhaustive()
    }
}

/// A spelling that is searched for.
struct Needle {
    start: u32,
    length: u16,
    class: Class,
    left: Boundary,
    right: Boundary,
    sighting: u32,
}

impl Needle {
    fn length(&self) -> usize {
        self.length.into()
    }

    fn range(&self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.length()
    }

    /// Whether what stands before `start` leaves it possible that the needle begins a value there.
    fn begins(&self, haystack: &[u8], start: usize) -> bool {
        self.left.begins(haystack, start) || is_framed(haystack, start, self.length())
    }

    /// Whether the needle at `start` is a value by itself.
    fn bounds(&self, haystack: &[u8], start: usize) -> Ending {
        if is_framed(haystack, start, self.length()) {
            Ending::Ends
        } else if self.left.begins(haystack, start) {
            self.right.ends(haystack, start + self.length())
        } else {
            Ending::Continues
        }
    }

    /// Whether `seen` is `own`, this needle's bytes or as many of them.
    #[inline]
    fn is(&self, own: &[u8], seen: &[u8]) -> bool {
        match self.class {
            Class::Text => own.eq_ignore_ascii_case(seen),
            Class::Raw => own == seen,
            Class::Token => false,
        }
    }
}

struct Builder {
    needles: Vec<Needle>,
    bytes: Vec<u8>,
    sightings: Vec<Sighting>,
    values: Vec<Registered>,
    named: Named,
}

impl Builder {
    fn new(kinds: Vec<Kind>, hash_key: &[u8; 32]) -> Builder {
        Builder {
            needles: Vec::new(),
            bytes: Vec::new(),
            sightings: Vec::new(),
            values: Vec::new(),
            named: Named::new(kinds, hash_key),
        }
    }

    fn add(&mut self, value: &Value, hash_key: &[u8; 32]) {
        let index = self.values.len() as u32;
        let last4: Option<Arc<str>> = value.last4().map(Arc::from);
        let hash: Arc<str> = keyed_hash(value, hash_key).into();
        let first = self.needles.len();
        let known = self.sightings.len();
        let sighting = |spelling, part| Sighting {
            kind: value.kind.clone(),
            confidence: Confidence::Exact,
            spelling,
            last4: last4.clone(),
            hash: hash.clone(),
            value: index,
            part,
        };
        if let Form::Location { .. } = value.form {
            self.named.add_place(value, sighting(Spelling::Plain, None));
        }
        let is_list = matches!(value.form, Form::Apps(_));
        for (number, spelled) in (0..).zip(spellings::of(value)) {
            if spelled.class == Class::Token {
                self.named
                    .add_short(&spelled, sighting(spelled.spelling, None));
                continue;
            }
            let seen = sighting(spelled.spelling, is_list.then_some(number));
            let described = self.sightings[known..]
                .iter()
                .position(|other| *other == seen);
            let sighting = described.map_or(self.sightings.len(), |at| known + at);
            if described.is_none() {
                self.sightings.push(seen);
            }
            self.needles.push(Needle {
                start: self.bytes.len() as u32,
                length: u16::try_from(spelled.bytes.len()).expect("values have at most 254 bytes"),
                class: spelled.class,
                left: spelled.left,
                right: spelled.right,
                sighting: sighting as u32,
            });
            self.bytes.extend_from_slice(&spelled.bytes);
        }
        let spellings = self.needles.len() - first;
        let plain = self.sightings[known..]
            .iter()
            .any(|sighting| sighting.spelling == Spelling::Plain);
        self.values.push(Registered {
            kind: value.kind.clone(),
            last4,
            hash,
            spellings,
            plain,
        });
    }

    fn finish(self) -> Detector {
        let Builder {
            needles,
            bytes,
            sightings,
            values,
            named,
        } = self;
        let all = || needles.iter().map(|needle| &bytes[needle.range()]);
        let are_text = needles.iter().map(|needle| needle.class == Class::Text);
        Detector {
            grams: Grams::new(all().zip(are_text)),
            prefixes: Prefixes::new(all()),
            versions: needles
                .iter()
                .any(|needle| needle.right == Boundary::Version),
            longest: needles.iter().map(Needle::length).max().unwrap_or(0),
            bytes: bytes.into(),
            needles,
            sightings,
            values,
            named,
        }
    }
}

/// `k1:` and the first 16 hex digits of HMAC-SHA-256 over kind, NUL, canonical value.
pub(super) fn keyed_hash(value: &Value, hash_key: &[u8; 32]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(hash_key).expect("HMAC takes a key of any length");
    mac.update(value.kind.to_string().as_bytes());
    mac.update(&[0]);
    mac.update(value.canonical().as_bytes());
    let tag = mac.finalize().into_bytes();
    format!("k1:{}", data_encoding::HEXLOWER.encode(&tag[..8]))
}
