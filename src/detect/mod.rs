//! Texts → findings: which registered identifiers a decoded text holds, however they are spelled.
//!
//! An [`Identity`] is what a person registered. A [`Detector`] is made of it: `spellings` turns each value into the
//! ways it can be written, `grams` finds the few places where one of them can be, `boundary` tells a value from a
//! part of something longer, and `needles` puts this together.
#![deny(unsafe_code)]

mod boundary;
mod doubts;
#[allow(unsafe_code)]
mod filter;
mod grams;
mod identity;
mod needles;
mod phone;
mod prefixes;
mod spellings;
#[cfg(test)]
mod tests;
mod value;

pub use doubts::Doubt;
pub use identity::Identity;
pub use needles::{Detector, Hit, Registered, Sighting};
