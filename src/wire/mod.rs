//! Bytes ↔ packets. Parsing is etherparse's checked slices; what we emit is ours.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod emit;
pub mod fragments;
mod ip;
mod offload;
mod packet;
mod parse;
mod sum;
mod unreachable;

pub use emit::{MAX_HEADER, TcpOut, emit_echo, emit_tcp, emit_tcp_offloaded, emit_udp};
pub use offload::Offload;
pub use packet::{Checksum, Datagram, Echo, Flags, Packet, Pair, Quoted, Reject, Segment, Span};
pub use parse::{Captured, parse, parse_captured};
pub use unreachable::{Unreachable, emit_unreachable};
