//! ICMP errors, from the network to the app and from the app to the network.

use std::net::{IpAddr, SocketAddr};

use super::{Engine, Now, SocketId, sockets::Owner};
use crate::{
    event::{Failure, Proto},
    wire::{self, Pair, Quoted, Unreachable},
};

impl Engine {
    /// The network says that a datagram of `socket` for `to` went nowhere. The app that sent it is told so, in terms of
    /// its own packet.
    pub fn handle_unreachable(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        why: Unreachable,
        now: Now,
    ) {
        self.now = now;
        let Some(Owner::Mapping(mapping)) = self.sockets.get(socket.0) else {
            return;
        };
        let Some((proto, source)) = self.mapping_source(mapping) else {
            return;
        };
        let (mut to, mut why) = (to, why);
        if let (true, Some(nat64)) = (source.is_ipv4(), self.nat64) {
            to = nat64.inward(to);
            if let Unreachable::TooBig { mtu } = &mut why {
                // The translated header is 20 bytes longer (RFC 7915 section 4.2).
                *mtu = mtu.saturating_sub(20);
            }
        }
        if let Unreachable::TooBig { mtu } = &mut why {
            let least = if source.is_ipv4() { LEAST_V4 } else { LEAST_V6 };
            *mtu = (*mtu).clamp(least, self.config.mtu as u32);
        }
        if proto == Proto::Icmp {
            to.set_port(0);
        }
        let pair = Pair {
            src: source,
            dst: to,
        };
        let failure = match why {
            Unreachable::Port => Some(Failure::Refused),
            Unreachable::TooBig { .. } => None,
            Unreachable::Network | Unreachable::Host | Unreachable::AdminProhibited => {
                Some(Failure::Unreachable)
            }
        };
        let Some((header, n)) = self.datagrams_failed(proto, pair, failure) else {
            return;
        };
        // The datagram itself is gone; its headers are all that the app's kernel looks at.
        self.control
            .push(|out| wire::emit_unreachable(out, why, header.get(..n).unwrap_or(&[])));
    }

    /// An app's kernel says that a packet for it went nowhere.
    pub(super) fn app_refused(&mut self, quoted: &Quoted) {
        let pair = quoted.pair.reversed();
        match (quoted.protocol, quoted.why) {
            // Nobody listens any more: once the port has no flow, its socket closes, and the kernel answers as the app's.
            (UDP, Unreachable::Port) => self.datagrams_refused(pair),
            (TCP, Unreachable::TooBig { mtu }) => {
                let (least, headers) = match pair.dst.ip() {
                    IpAddr::V4(_) => (LEAST_V4, 40),
                    IpAddr::V6(_) => (LEAST_V6, 60),
                };
                let size = mtu.clamp(least, 65_535) - headers;
                self.tcp_too_big(pair, size as u16);
            }
            _ => self.count("icmp_type"),
        }
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Every link carries this much (RFC 791, RFC 8200).
const LEAST_V4: u32 = 68;
const LEAST_V6: u32 = 1_280;
