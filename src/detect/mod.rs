//! Texts → findings: which registered identifiers a decoded text holds, however they are spelled.
//!
//! An [`Identity`] is what a person registered. A [`Detector`] is made of it: `spellings` turns each value into the
//! ways it can be written, `grams` finds the few places where one of them can be, `boundary` tells a value from a
//! part of something longer, and `needles` puts this together.
//!
//! What is too short to be searched for, places, and values that nobody registered are found by what stands in front of
//! them: `fields` finds names and their values, `names` knows what each is a name of (`fields.tsv`), `shapes` checks that the
//! value has the structure of that, `places` measures, and `named` puts this together.
#![deny(unsafe_code)]

mod boundary;
mod doubts;
mod fields;
#[allow(unsafe_code)]
mod filter;
mod grams;
mod identity;
mod named;
mod names;
mod needles;
mod path;
mod phone;
mod places;
mod prefixes;
mod shapes;
mod spellings;
#[cfg(test)]
mod tests;
mod value;

pub use doubts::Doubt;
pub use identity::Identity;
pub use named::Seen;
pub use needles::{Detector, Hit, Registered, Sighting};
