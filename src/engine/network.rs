//! The machine moves from one network to another.

use std::net::SocketAddr;

use super::{Engine, Nat64, Now, SocketId, sockets::Owner};

/// What the shell knows of the network that it is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Where questions to the tun's resolver go; with none, they are answered SERVFAIL.
    pub resolvers: Vec<SocketAddr>,
    /// How IPv4 is reached where the network carries IPv6 alone and the machine does not translate by itself (464XLAT).
    pub nat64: Option<Nat64>,
}

impl Engine {
    /// Goes on by another network. Connections that wait for an answer are tried anew, and so are questions to the
    /// resolver; sockets that talk IPv4 by the wrong family close until their app sends again. Everything else is the
    /// shell's to look at: it tells of sockets that cannot survive by
    /// [`SocketEvent::Unreachable`](super::SocketEvent::Unreachable) or
    /// [`SocketEvent::Failed`](super::SocketEvent::Failed), and keeps the others.
    pub fn network_changed(&mut self, network: Network, now: Now) {
        self.now = now;
        let Network { resolvers, nat64 } = network;
        self.config.resolvers = resolvers;
        if std::mem::replace(&mut self.nat64, nat64) != nat64 {
            self.close_v4_mappings();
        }
        self.connect_again();
        self.dns_ask_again();
    }

    /// Connects anew for every SYN that is not answered yet.
    fn connect_again(&mut self) {
        for key in self.flows.keys() {
            let Some(flow) = self.flows.get(key) else {
                continue;
            };
            let old = flow.socket();
            if !flow.is_connecting() {
                continue;
            }
            self.close_socket(old, false);
            let socket = self.sockets.insert(Owner::Tcp(key));
            if let Some(flow) = self.flows.get_mut(key) {
                flow.set_socket(socket);
            }
            if let Some(command) = self.way_out(key) {
                self.open_socket(SocketId(socket), command);
            }
        }
    }
}
