//! Entries of zip archives (APPNOTE 4.3.7), by their local headers: each stands for itself, wherever it is.

/// Bytes of a local header before the name.
pub(super) const HEADER: usize = 30;

/// What a local header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    method: u16,
    /// Bytes of data; none where the size stands behind them.
    size: Option<usize>,
    /// Bytes of name and extra field, which come next.
    pub(super) names: usize,
}

impl Entry {
    /// Reads a local header; `None` for anything else, and for entries that are encrypted.
    pub(super) fn read(header: &[u8]) -> Option<Entry> {
        let header: &[u8; HEADER] = header.first_chunk()?;
        let word = |at: usize| {
            let bytes = header.get(at..)?.first_chunk()?;
            Some(u16::from_le_bytes(*bytes))
        };
        let (flags, method) = (word(6)?, word(8)?);
        let names = usize::from(word(26)?).saturating_add(word(28)?.into());
        let size = header.get(18..)?.first_chunk()?;
        let size = usize::try_from(u32::from_le_bytes(*size)).ok();
        let size = size.filter(|size| *size > 0);
        let known = header.starts_with(b"PK\x03\x04") && flags & ENCRYPTED == 0;
        known.then_some(Entry {
            method,
            size,
            names,
        })
    }

    /// Whether the data is DEFLATE; where it is stored, it stands there to be read.
    pub(super) fn is_deflated(&self) -> bool {
        self.method == 8
    }

    /// How many bytes of what follows are the data, where that is stored.
    pub(super) fn stored(&self, rest: &[u8]) -> usize {
        let next = || memchr::memmem::find(rest, b"PK").unwrap_or(rest.len());
        match (self.method, self.size) {
            (0, Some(size)) => size.min(rest.len()),
            (0, None) => next(),
            _ => 0,
        }
    }
}

const ENCRYPTED: u16 = 1;
