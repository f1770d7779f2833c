//! Texts → findings.
#![forbid(unsafe_code)]
use crate::{
    ConfigError,
    event::{Confidence, Kind, Spelling},
};
use std::sync::Arc;

/// Registered identifiers, checked. Debug shows kinds and counts, never values.
#[derive(Clone, Default)]
pub struct Identity {/* values by kind */}

impl Identity {
    /// Reads an identity file (TOML). Every value is checked for its kind; the error never quotes a value.
    pub fn parse(_file: &str, _text: &str) -> Result<Identity, ConfigError> {
        unimplemented!()
    }
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }
    /// Kinds that have at least one value, each once, in order.
    pub fn kinds(&self) -> Vec<Kind> {
        unimplemented!()
    }
}

/// Search tables of one identity. Immutable: share it in an `Arc`.
pub struct Detector {/* … */}

/// A registered value that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Byte range in what was searched.
    pub start: usize,
    pub end: usize,
    /// Which spelling: for [`Detector::describe`].
    pub needle: u32,
}

/// What an event may say of a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub kind: Kind,
    pub confidence: Confidence,
    pub spelling: Spelling,
    pub last4: Option<Arc<str>>,
    pub hash: Arc<str>,
    /// Index of the registered value, equal for all its spellings.
    pub value: u32,
}

impl Detector {
    /// `hash_key` keys the HMAC-SHA-256 of [`Sighting::hash`].
    pub fn new(_identity: &Identity, _hash_key: &[u8; 32]) -> Detector {
        unimplemented!()
    }
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }
    /// Number of spellings searched for.
    pub fn spellings(&self) -> usize {
        unimplemented!()
    }
    /// Bytes of the longest spelling: how much context a search across a boundary needs (minus one).
    pub fn longest(&self) -> usize {
        unimplemented!()
    }
    /// Appends every hit that ends after `from` (so that bytes before it are only context), in order of start, then end.
    pub fn search(&self, _haystack: &[u8], _from: usize, _hits: &mut Vec<Hit>) {
        unimplemented!()
    }
    /// The number of trailing bytes that must be held because a spelling may go on in them: the longest suffix of
    /// `haystack` that begins a spelling and is more than half as long as it (design 4).
    pub fn unfinished(&self, _haystack: &[u8]) -> usize {
        unimplemented!()
    }
    pub fn describe(&self, _needle: u32) -> &Sighting {
        unimplemented!()
    }
}
