//! untold: an on-device privacy firewall.
#![warn(missing_docs, unreachable_pub)]
#![warn(clippy::disallowed_methods, clippy::disallowed_types)]

mod error;
pub mod event;

pub mod decode;
pub mod detect;
pub mod engine;
pub mod flow;
pub mod inspect;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell")]
pub mod io;
pub mod policy;
pub mod sniff;
pub mod wire;

pub use error::ConfigError;
