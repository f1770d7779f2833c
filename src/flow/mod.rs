//! Who talks to whom: the relay's TCP (`tcp`), reassembly of captures ([`passive`]), and what both stand on.
#![forbid(unsafe_code)]

mod assembler;
mod idle;
pub mod passive;
mod pool;
mod retain;
mod rtt;
mod slab;
mod tcp;
mod timer;

pub(crate) use idle::Idle;
pub(crate) use pool::Pool;
pub(crate) use slab::{Key, Slab};
pub(crate) use tcp::{Expiry, NoRoom, Tcp};
pub(crate) use timer::{Moment, Timers, still_due};

/// Whether sequence number `a` comes before `b` (RFC 9293 section 3.4, modulo 2³²).
pub(crate) fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}
