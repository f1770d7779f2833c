//! Another device, another network.

use std::{collections::BTreeMap, io::ErrorKind, os::fd::OwnedFd};

use super::Reactor;
use crate::{
    engine::{Network, Now, SocketEvent, recording::Note},
    event::Failure,
    io::socket::{self, Kind, Upstream},
};

/// Batches that are still read from a device that is replaced.
const LAST_BATCHES: usize = 64;

impl Reactor {
    /// Reads the old device empty, as far as that ends, and goes on with `tun`.
    pub(super) fn replace_tun(&mut self, tun: OwnedFd) {
        self.device.ready = true;
        for _ in 0..LAST_BATCHES {
            self.read_tun();
            self.drain();
            if !self.device.ready {
                break;
            }
        }
        if let Err(error) = self.device.replace(tun, self.poll.registry()) {
            self.device.lose(error, self.poll.registry());
        }
        self.engine.set_offload(self.device.offloads());
    }

    /// Moves what can be moved to another network.
    pub(super) fn change_network(&mut self, network: Network, now: Now) {
        let resolvers = network.resolvers.len();
        self.tape.note(now, || Note::Network { resolvers });
        self.engine.network_changed(network, now);
        // What is to be closed is closed before the rest is looked at.
        self.drain();
        let mut ours = BTreeMap::new();
        let mut survives = |upstream: &Upstream| {
            upstream.local().is_ok_and(|local| {
                // What stays in this process stands on no network.
                local.is_none_or(|local| {
                    *ours
                        .entry(local.ip())
                        .or_insert_with(|| socket::is_ours(local))
                })
            })
        };
        let mut gone = Vec::new();
        for (id, upstream) in self.sockets.iter().flatten() {
            match upstream.kind {
                Kind::Connecting | Kind::Handshaking => {}
                Kind::Stream => {
                    if !survives(upstream) {
                        gone.push((*id, SocketEvent::Unreachable(ErrorKind::NetworkDown)));
                    }
                }
                Kind::Datagram => {
                    // What lives by a connection ends with it; the other sockets are bound to no address.
                    let stands = upstream.control().is_none() || survives(upstream);
                    if !stands {
                        let failure = Failure::ProxyUnreachable;
                        gone.push((*id, SocketEvent::ProxyFailed(failure)));
                    } else if let Err(error) = upstream.protect(&*self.protect) {
                        gone.push((*id, SocketEvent::Failed(error.kind())));
                    }
                }
            }
        }
        for (id, event) in gone {
            self.tell(id, event);
        }
    }
}
