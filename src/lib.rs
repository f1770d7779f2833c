//! untold: an on-device privacy firewall.
//!
//! A tun device hands over every packet that apps send. untold reads what is in it, finds the identifiers of the person
//! who holds the device (IMEI, ICCID, MAC addresses, advertising id, location…), however they are wrapped, and lets them
//! go only where a policy approves. Everything else passes byte for byte.
//!
//! ```text
//! tun fd ─► wire ─► flow::tcp (relay) ──┐                                                     ┌─► socket / tun fd
//! capture ─► wire ─► flow::passive ─────┤  (flow, direction, offset, bytes, now)              │   forward · hold · reset · NXDOMAIN
//! app ──────────────────────────────────┴─► inspect: sniff ─► decode ─► detect ─► policy ─► Verdict
//!                                                    names    texts     findings          └─► Event ─► terminal, journal, UI
//! ```
//!
//! - [`inspect`] is the one pipeline: [`Inspector`] for a message at hand, [`inspect::Stream`] for one direction of a flow.
//! - [`engine`] conducts the flows of a tun device or of a capture, without a descriptor, a clock or a thread of its own.
//! - [`io`] is the machine: [`io::Handle`] runs an engine on a tun descriptor.
//! - [`detect`] knows what is looked for, [`policy`] what is done about it, [`event`] what the world is told.
//!
//! Inside an app, without any tun:
//!
//! ```
//! use std::sync::Arc;
//! use untold::{Config, Detector, Identity, Inspector, Policy, Request, Rules, event::Action};
//!
//! let identity = Identity::parse("identity.toml", r#"imei = "490154203237518""#)?;
//! let policy = r#"
//!     [[rule]]
//!     to = "192.0.2.0/24"
//!     sends = ["imei"]
//!     action = "allow"
//! "#;
//! let inspector = Inspector::new(Rules {
//!     detector: Arc::new(Detector::new(&identity, &[7; 32])),
//!     policy: Arc::new(Policy::new(Config::parse("policy.toml", policy)?, Vec::new())?),
//! });
//!
//! let post = |url| {
//!     let body: &[&[u8]] = &[b"eyJJTUVJMSI6IjQ5MDE1NDIw", b"MzIzNzUxOCJ9"]; // {"IMEI1":"490154203237518"}
//!     inspector.request(&Request { method: "POST", url, headers: &[], body })
//! };
//! assert_eq!(post("http://192.0.2.1/").verdict.action, Action::Allow);
//! assert_eq!(post("http://203.0.113.9/").verdict.action, Action::Ask);
//! assert_eq!(post("http://203.0.113.9/").findings[0].last4.as_deref(), Some("7518"));
//! # Ok::<(), untold::ConfigError>(())
//! ```
//!
//! What a rival would say first, we say here: of TLS and QUIC only names, sizes and times are seen.
#![warn(missing_docs, unreachable_pub)]
#![warn(clippy::disallowed_methods, clippy::disallowed_types)]

#[cfg(all(target_os = "android", feature = "unwinder"))]
extern crate unwinding as _;

#[cfg(feature = "capi")]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a shell"
)]
pub mod capi;
mod error;
pub mod event;

pub mod decode;
pub mod detect;
pub mod egress;
pub mod engine;
pub mod flow;
pub mod inspect;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a shell"
)]
pub mod io;
#[cfg(feature = "jni")]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a shell"
)]
mod jni;
pub mod policy;
pub mod sniff;
pub mod wire;

pub use detect::{Detector, Identity};
pub use error::ConfigError;
pub use inspect::{Inspection, Inspector, Request, Rules};
pub use policy::{Config, Policy};

/// The examples of the README are run with those of the library.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
