//! Payload → texts, by layers, within a budget.
//!
//! [`walk`] shows a visitor every text that a window of bytes holds: the bytes themselves, and whatever their encodings
//! decode to, recursively. Most layers are *local*: what a few bytes of percent-encoding, JSON escapes, base64, base32,
//! hexadecimal or UTF-16 decode to depends on those bytes alone (base64 is read at each of its four phases), so that a window
//! may begin anywhere in a stream and still show what the whole would have shown.
//!
//! Containers (gzip, zlib, zip, zstd…) are read from their first byte on. They are found by what they begin with, wherever
//! they are; what begins with nothing that tells (bare DEFLATE, Brotli, protobuf, XOR) is tried on whole tokens and bodies.
//! A container that the window's end cuts is kept ([`Rest::keep`]) and read again when more is there; the content coding of
//! a stream is undone by a [`Decoder`] as it comes.
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod base32;
mod base64;
mod bits;
mod blocks;
mod brotli;
mod budget;
mod coding;
mod digits;
mod escapes;
mod hex;
mod inflate;
mod json;
mod magic;
mod multipart;
mod packed;
mod percent;
#[cfg(test)]
mod plain_tests;
mod protobuf;
mod runs;
mod scratch;
#[allow(unsafe_code)]
mod skim;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod unpack;
mod utf16;
mod walk;
mod words;
mod xor;
mod zip;
mod zstd;

pub(crate) use blocks::is_word;
pub use budget::{Budget, Effort};
pub use coding::{Coding, Decoder, Lease, Pool, Progress};
pub use json::is_document;
pub use multipart::is_multipart;
pub use scratch::Scratch;
pub use skim::Skim;
pub(crate) use skim::{Kind, TAG};
pub use text::Text;
pub use walk::{DEPTH, Rest, Unfinished, Window, walk};
pub use words::run_across;
