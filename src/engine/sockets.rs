//! The shell's sockets: whose each one is, and how many may be open at a time.

use crate::{
    engine::{Command, Engine, SocketId, dns::Dns},
    flow::{Key, Slab},
};

/// Whose a socket is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner {
    Tcp(Key),
    /// A mapping of a UDP port or an echo identifier.
    Mapping(Key),
    /// A socket of the DNS pool.
    Dns(u16),
}

/// Every socket that has a name, and a count of those that the shell was told to open.
pub(super) struct Sockets {
    owners: Slab<Place>,
    open: usize,
    most: usize,
}

/// A socket's owner, and the descriptors that it takes, once it is to be opened.
struct Place {
    owner: Owner,
    descriptors: u8,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self {
            owners: Slab::new(),
            open: 0,
            most: usize::MAX,
        }
    }

    pub(super) fn insert(&mut self, owner: Owner) -> Key {
        self.owners.insert(Place {
            owner,
            descriptors: 0,
        })
    }

    pub(super) fn get(&self, key: Key) -> Option<Owner> {
        self.owners.get(key).map(|place| place.owner)
    }

    /// Forgets a socket that was never opened.
    pub(super) fn forget(&mut self, key: Key) {
        self.owners.remove(key);
    }

    /// Sockets that are open or about to be.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Sockets that the DNS pool may have, whatever else is open: names resolve to the last.
    pub(super) fn reserved(&self) -> usize {
        Dns::POOL.min((self.most / 2).max(1))
    }

    fn has_room(&self) -> bool {
        self.open < self.most.saturating_sub(self.reserved())
    }
}

impl Engine {
    /// How many sockets may be open at a time: what the shell's limit of descriptors leaves. Without it there is no limit.
    ///
    /// Where it is reached, the UDP or echo socket that has been idle for longest closes, to be opened again when its app
    /// sends; only where there is none is a new flow refused. A part is kept for DNS.
    pub fn set_socket_limit(&mut self, most: usize) {
        self.sockets.most = most;
    }

    /// Whether one more socket may be opened for anything but DNS, after making room for it where there is none.
    pub(super) fn socket_room(&mut self) -> bool {
        while !self.sockets.has_room() {
            if !self.close_idlest_mapping() {
                return false;
            }
            self.count("socket_evicted");
        }
        true
    }

    /// Has the shell open a socket.
    pub(super) fn open_socket(&mut self, SocketId(key): SocketId, command: Command) {
        let descriptors = match command {
            Command::OpenUdpVia { .. } => 2,
            _ => 1,
        };
        if let Some(place) = self.sockets.owners.get_mut(key) {
            place.descriptors = descriptors;
        }
        self.sockets.open += usize::from(descriptors);
        self.commands.push_back(command);
    }

    /// Has the shell close a socket that it was told to open, and forgets its name.
    pub(super) fn close_socket(&mut self, key: Key, reset: bool) {
        if let Some(place) = self.sockets.owners.remove(key) {
            self.sockets.open -= usize::from(place.descriptors);
            let socket = SocketId(key);
            self.commands.push_back(Command::Close { socket, reset });
        }
    }
}
