//! Payload → texts, by layers, within a budget.
//!
//! [`walk`] shows a visitor every text that a window of bytes holds: the bytes themselves, and whatever percent-encoding,
//! JSON escapes, base64 and hexadecimal in them decode to, recursively. Every layer is *local*: what a few bytes decode to
//! depends on those bytes alone (base64 is read at each of its four phases), so that a window may begin anywhere in a
//! stream and still show what the whole would have shown.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod base64;
mod blocks;
mod budget;
mod digits;
mod escapes;
mod hex;
mod json;
mod packed;
mod percent;
mod runs;
#[cfg(test)]
mod tests;
mod text;
mod walk;
mod words;

pub use budget::Budget;
pub use json::is_document;
pub use text::Text;
pub use walk::{DEPTH, Scratch, Window, walk};
pub use words::run_across;
