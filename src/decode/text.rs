use std::ops::Range;

use super::{base64, hex, json, percent};
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
    /// Whether the text is a JSON document from its first byte on.
    pub(super) json: bool,
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
}

/// A decoder and how it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Base64 { phase: usize },
    Hex { phase: usize },
    Percent { plus: bool },
    Json,
}

impl Text<'_> {
    /// The index in the window of the first byte that encodes `bytes[index]`.
    pub fn origin(&self, index: usize) -> usize {
        match self.origin {
            Origin::Window(_) => index,
            Origin::Decoded {
                outer,
                start,
                encoded,
                layer,
            } => outer.origin(start.saturating_add(layer.locate(encoded, index))),
        }
    }

    /// The hexadecimal digits that adjoin `range` where it was decoded from such digits, the nearest first: before it, and
    /// after it. What bytes say there, their digits say as well, and a few more digits make another number of them.
    pub fn digits_around(&self, range: Range<usize>) -> Option<(Vec<u8>, Vec<u8>)> {
        let Origin::Decoded {
            encoded,
            layer: layer @ Layer::Hex { .. },
            ..
        } = self.origin
        else {
            return None;
        };
        let digits = |bytes: &[u8]| {
            bytes
                .iter()
                .copied()
                .filter(u8::is_ascii_hexdigit)
                .collect::<Vec<u8>>()
        };
        let mut before = digits(encoded.get(..layer.locate(encoded, range.start))?);
        before.reverse();
        let after = digits(encoded.get(layer.locate(encoded, range.end)..)?);
        Some((before, after))
    }

    /// The wrappers around `bytes[index]`, outermost first.
    pub fn chain(&self, index: usize) -> Vec<Wrapper> {
        let mut chain = match self.origin {
            Origin::Window(wrappers) => wrappers.to_vec(),
            Origin::Decoded {
                outer,
                start,
                layer,
                ..
            } => {
                let mut chain = outer.chain(start);
                let escapes_of_the_document =
                    layer == Layer::Json && chain.last() == Some(&Wrapper::Json);
                if !escapes_of_the_document {
                    chain.push(layer.wrapper());
                }
                chain
            }
        };
        if self.json || (json::is_value(self.bytes, index) && chain.last() != Some(&Wrapper::Json))
        {
            chain.push(Wrapper::Json);
        }
        chain
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
        }
    }

    fn wrapper(self) -> Wrapper {
        match self {
            Layer::Base64 { .. } => Wrapper::Base64,
            Layer::Hex { .. } => Wrapper::Hex,
            Layer::Percent { .. } => Wrapper::Percent,
            Layer::Json => Wrapper::Json,
        }
    }
}
