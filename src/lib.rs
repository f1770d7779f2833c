//! untold: an on-device privacy firewall.
#![warn(missing_docs, unreachable_pub)]

mod error;
pub mod event;

pub mod decode;
pub mod detect;
pub mod engine;
pub mod flow;
pub mod inspect;
pub mod io;
pub mod policy;
pub mod sniff;
pub mod wire;

pub use error::ConfigError;
