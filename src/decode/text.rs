use std::ops::Range;

use super::{base32, base64, hex, json, multipart, percent, utf16};
use crate::event::Wrapper;

/// A text for the search, and the way back from it to the wire.
pub struct Text<'a> {
    /// The bytes themselves.
    pub bytes: &'a [u8],
    /// Bytes before this index are only context: what ends there or earlier was shown by an earlier window.
    pub from: usize,
    /// Whether the text began before the window, so that what stood left of its first byte is not known.
    pub cut: bool,
    /// Whether the text may go on after its last byte.
    pub open: bool,
    /// Whether the text goes on for certain, and what is open at its end will be shown again with what comes next.
    pub more: bool,
    /// Whether the text is a JSON document from its first byte on.
    pub(super) json: bool,
    /// Whether the text is a multipart message from its first byte on.
    pub(super) multipart: bool,
    /// Whether what began in the text before `from` was left unread until now.
    pub(super) reopened: bool,
    pub(super) origin: Origin<'a>,
}

/// Where a text comes from.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// The window itself, inside wrappers that were opened by others.
    Window(&'a [Wrapper]),
    /// Part of an outer text, through a decoder.
    Decoded {
        outer: &'a Text<'a>,
        start: usize,
        encoded: &'a [u8],
        layer: Layer,
    },
    /// Several parts of an outer text, one after another.
    Runs {
        outer: &'a Text<'a>,
        segments: &'a [Segment],
    },
}

/// A part of a text that is several.
pub(super) struct Segment {
    /// Where it begins in the text.
    pub(super) start: usize,
    /// What it was decoded from, in the outer text.
    pub(super) range: Range<usize>,
    pub(super) layer: Layer,
}

/// What a byte of a text was decoded from.
struct Source<'a> {
    outer: &'a Text<'a>,
    start: usize,
    encoded: &'a [u8],
    layer: Layer,
    /// Where the decoded part begins in the text.
    first: usize,
}

/// A decoder and how it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Base64 {
        phase: usize,
    },
    Hex {
        phase: usize,
    },
    Percent {
        plus: bool,
    },
    Json,
    Base32 {
        phase: usize,
    },
    Utf16 {
        first: usize,
    },
    Xor {
        key: u8,
    },
    /// A field of a protobuf message or a stored entry of an archive, as it stands there.
    Part(Wrapper),
    /// A number in a protobuf message, in decimal digits.
    Number,
    /// What is compressed: only where it begins can be told.
    Container(Wrapper),
}

impl Text<'_> {
    /// The index in the window of the first byte that encodes `bytes[index]`.
    pub fn origin(&self, index: usize) -> usize {
        match self.source(index) {
            None => index,
            Some(Source {
                outer,
                start,
                encoded,
                layer,
                first,
            }) => {
                let at = layer.locate(encoded, index.saturating_sub(first));
                outer.origin(start.saturating_add(at))
            }
        }
    }

    /// The text that `bytes[index]` was decoded from, and where in it.
    pub fn outer(&self, index: usize) -> Option<(&Text<'_>, usize)> {
        let source = self.source(index)?;
        let at = source
            .layer
            .locate(source.encoded, index.saturating_sub(source.first));
        Some((source.outer, source.start.saturating_add(at)))
    }

    /// The hexadecimal digits that adjoin `range` where it was decoded from such digits, the nearest first: before it, and
    /// after it. What bytes say there, their digits say as well, and a few more digits make another number of them.
    pub fn digits_around(&self, range: Range<usize>) -> Option<(Vec<u8>, Vec<u8>)> {
        let Source {
            encoded,
            layer: layer @ Layer::Hex { .. },
            first,
            ..
        } = self.source(range.start)?
        else {
            return None;
        };
        let locate = |index: usize| layer.locate(encoded, index.saturating_sub(first));
        let digits = |bytes: &[u8]| {
            bytes
                .iter()
                .copied()
                .filter(u8::is_ascii_hexdigit)
                .collect::<Vec<u8>>()
        };
        let mut before = digits(encoded.get(..locate(range.start))?);
        before.reverse();
        let after = digits(encoded.get(locate(range.end)..)?);
        Some((before, after))
    }

    /// The wrappers around `bytes[index]`, outermost first.
    pub fn chain(&self, index: usize) -> Vec<Wrapper> {
        let mut chain = match (self.source(index), self.origin) {
            (
                Some(Source {
                    outer,
                    start,
                    layer,
                    ..
                }),
                _,
            ) => {
                let mut chain = outer.chain(start);
                let escapes_of_the_document =
                    layer == Layer::Json && chain.last() == Some(&Wrapper::Json);
                if !escapes_of_the_document {
                    chain.push(layer.wrapper());
                }
                chain
            }
            (None, Origin::Window(wrappers)) => wrappers.to_vec(),
            (None, Origin::Decoded { .. } | Origin::Runs { .. }) => Vec::new(),
        };
        let mut first = match self.origin {
            Origin::Runs { .. } => self.source(index).map_or(0, |source| source.first),
            Origin::Window(_) | Origin::Decoded { .. } => 0,
        };
        let mut part = self.bytes.get(first..).unwrap_or_default();
        let is_run = matches!(self.origin, Origin::Runs { .. });
        let delimiter = multipart::delimiter(part).filter(|_| self.multipart || is_run);
        if self.multipart || delimiter.is_some() {
            chain.push(Wrapper::Multipart);
        }
        if let Some(delimiter) = delimiter {
            let inside = |body: &Range<usize>| body.contains(&index.saturating_sub(first));
            if let Some(body) = multipart::bodies(part, delimiter).find(inside) {
                first = first.saturating_add(body.start);
                part = part.get(body).unwrap_or_default();
            }
        }
        let document = self.json
            || self.multipart && json::is_document(part)
            || (first > 0 || matches!(self.origin, Origin::Runs { .. })) && json::is_document(part);
        let member = || {
            json::is_value(part, index.saturating_sub(first))
                && chain.last() != Some(&Wrapper::Json)
        };
        if document || member() {
            chain.push(Wrapper::Json);
        }
        chain
    }

    /// The parts of the text that stand for themselves and have `shortest` bytes or more: decoded runs from their first
    /// character on, bodies of a multipart message, or all of it.
    pub(super) fn parts(&self, shortest: usize) -> impl Iterator<Item = Range<usize>> {
        let segments = match self.origin {
            Origin::Runs { segments, .. } => segments,
            Origin::Window(_) | Origin::Decoded { .. } => &[],
        };
        let starts = segments.iter().skip(1).map(|next| next.start);
        let whole = segments
            .iter()
            .zip(starts.chain([self.bytes.len()]))
            .filter(|(segment, _)| segment.layer.is_whole())
            .map(|(segment, end)| segment.start..end.saturating_sub(1));
        let all = segments.is_empty().then_some(0..self.bytes.len());
        let parts = whole.chain(all).filter(move |part| part.len() >= shortest);
        parts.flat_map(|part| self.bodies(part))
    }

    /// The bodies of a part that is a multipart message, or the part.
    fn bodies(&self, part: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let bytes = self.bytes.get(part.clone()).unwrap_or_default();
        let delimiter = multipart::delimiter(bytes);
        let first = part.start;
        let place = move |body: Range<usize>| {
            first.saturating_add(body.start)..first.saturating_add(body.end)
        };
        let bodies = delimiter.map(|delimiter| multipart::bodies(bytes, delimiter).map(place));
        let all = delimiter.is_none().then_some(part);
        bodies.into_iter().flatten().chain(all)
    }

    /// The end of the part that `index` is in.
    pub(super) fn end_of_part(&self, index: usize) -> usize {
        match self.origin {
            Origin::Runs { segments, .. } => {
                let after = segments.partition_point(|segment| segment.start <= index);
                let next = segments.get(after).map(|next| next.start);
                next.unwrap_or(self.bytes.len()).saturating_sub(1)
            }
            Origin::Window(_) | Origin::Decoded { .. } => self.bytes.len(),
        }
    }

    /// Whether the text is the window itself.
    pub(super) fn is_window(&self) -> bool {
        matches!(self.origin, Origin::Window(_))
    }

    fn source(&self, index: usize) -> Option<Source<'_>> {
        match self.origin {
            Origin::Window(_) => None,
            Origin::Decoded {
                outer,
                start,
                encoded,
                layer,
            } => Some(Source {
                outer,
                start,
                encoded,
                layer,
                first: 0,
            }),
            Origin::Runs { outer, segments } => {
                let after = segments.partition_point(|segment| segment.start <= index);
                let segment = segments.get(after.checked_sub(1)?)?;
                Some(Source {
                    outer,
                    start: segment.range.start,
                    encoded: outer.bytes.get(segment.range.clone())?,
                    layer: segment.layer,
                    first: segment.start,
                })
            }
        }
    }
}

impl Layer {
    /// The index in `encoded` of the first byte that decodes to output byte `index`.
    pub(super) fn locate(self, encoded: &[u8], index: usize) -> usize {
        match self {
            Layer::Base64 { phase } => base64::locate(encoded, phase, index),
            Layer::Hex { phase } => hex::locate(encoded, phase, index),
            Layer::Percent { plus } => percent::locate(encoded, plus, index),
            Layer::Json => json::locate(encoded, index),
            Layer::Base32 { phase } => base32::locate(encoded, phase, index),
            Layer::Utf16 { first } => utf16::locate(encoded, first, index),
            Layer::Xor { .. } | Layer::Part(_) => index,
            Layer::Number | Layer::Container(_) => 0,
        }
    }

    /// Whether the encoding is read from its first character on.
    fn is_whole(self) -> bool {
        match self {
            Layer::Base64 { phase } | Layer::Hex { phase } | Layer::Base32 { phase } => phase == 0,
            _ => true,
        }
    }

    fn wrapper(self) -> Wrapper {
        match self {
            Layer::Base64 { .. } => Wrapper::Base64,
            Layer::Hex { .. } => Wrapper::Hex,
            Layer::Percent { .. } => Wrapper::Percent,
            Layer::Json => Wrapper::Json,
            Layer::Base32 { .. } => Wrapper::Base32,
            Layer::Utf16 { .. } => Wrapper::Utf16,
            Layer::Xor { .. } => Wrapper::Xor,
            Layer::Number => Wrapper::Protobuf,
            Layer::Part(wrapper) | Layer::Container(wrapper) => wrapper,
        }
    }
}
