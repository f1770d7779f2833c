//! First bytes → protocol and names.
//!
//! [`sniff`] says what a client's turn begins with. [`Http1`] and [`Records`] are resumable push machines: they take bytes as
//! they come and say, piece by piece, what part of a message they are, so that the pipeline knows what to search and what
//! belongs together. [`Http2`], [`WebSocket`] and [`Mqtt`], whose units interleave, are masked or have many parts, show decoded
//! texts instead ([`Item`]). Nothing here decides: broken framing only means that bytes are read as a plain stream.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod authority;
mod coap;
mod dns;
mod hello;
mod hpack;
mod http1;
mod http2;
mod huffman;
mod initial;
mod item;
mod mqtt;
mod quic;
mod tls;
mod turn;
mod websocket;

pub use authority::host;
pub use coap::Coap;
pub use dns::{Questions, is_dns_port};
pub use hello::{Hello, Indication};
pub use http1::{Event, Head, Http1, Part};
pub use http2::Http2;
pub use initial::Initials;
pub use item::{Broken, Item};
pub use mqtt::Mqtt;
pub use quic::{is_long_header, is_short_header};
pub use tls::{HELLO_HEAD, Record, Records, find_hello};
pub use turn::{Protocol, Sniffed, sniff, sniff_upgraded};
pub use websocket::WebSocket;
