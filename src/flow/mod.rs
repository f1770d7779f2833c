//! Who talks to whom.
#![forbid(unsafe_code)]
pub mod passive;
