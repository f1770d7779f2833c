//! Which way a flow goes out, and why it did not.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc};

use super::{Command, Engine, Record, SocketId, sockets::Owner};
use crate::{
    egress::{Proxy, Target},
    event::{Failure, Verdict},
    flow::Key,
};

impl Engine {
    /// The proxy that a socket goes through, if one.
    pub fn proxy(&self, socket: SocketId) -> Option<Arc<Proxy>> {
        match self.sockets.get(socket.0)? {
            Owner::Tcp(key) => self.flows.get(key)?.record().via.clone(),
            Owner::Mapping(key) => self.mapping_via(key),
            Owner::Dns(_) => None,
        }
    }

    /// Whom the proxy of a stream socket is to connect to: by name where DNS gave one and no rule is about addresses.
    pub fn target(&self, socket: SocketId) -> Option<Target> {
        let Owner::Tcp(key) = self.sockets.get(socket.0)? else {
            return None;
        };
        let record = self.flows.get(key)?.record();
        let policy = &self.rules.as_ref()?.policy;
        Some(match policy.proxied_name(&record.facts) {
            Some(name) => Target::Name(name.clone(), record.facts.dst.port()),
            None => Target::Address(record.facts.dst),
        })
    }

    /// The way that the policy in force has for a flow.
    pub(super) fn route(&self, record: &Record) -> Option<Arc<Proxy>> {
        if self.is_own(record.facts.dst.ip()) {
            return None;
        }
        let rules = self.rules.as_ref()?;
        rules.policy.route(&record.facts).cloned()
    }

    /// Whether what a flow calls its destination has a rule that would have led it another way.
    pub(super) fn misled(&self, record: &Record) -> Option<Verdict> {
        let rules = self.rules.as_ref()?;
        rules.policy.misled(&record.facts, record.via.as_ref())
    }

    /// Whether a flow that has begun goes a way that the policy in force does not have for it.
    pub(super) fn is_astray(&self, record: &Record) -> bool {
        self.route(record) != record.via
    }

    /// How a connection is made.
    pub(super) fn way_out(&self, key: Key) -> Option<Command> {
        let flow = self.flows.get(key)?;
        let (socket, record) = (SocketId(flow.socket()), flow.record());
        match &record.via {
            None => {
                let to = self.upstream(record.facts.dst)?;
                Some(Command::Connect { socket, to })
            }
            Some(proxy) => {
                let to = self.proxy_address(proxy)?;
                Some(Command::ConnectVia { socket, to })
            }
        }
    }

    /// Where a proxy is on the network at hand; `None` for one that would be ourselves.
    pub(super) fn proxy_address(&self, proxy: &Proxy) -> Option<SocketAddr> {
        let address = proxy.address;
        (!self.is_own(address.ip())).then(|| self.outward(address))
    }
}

impl Failure {
    /// What a failed connection of our own means, to the remote end or to a proxy.
    pub(super) fn of(why: ErrorKind, via: Option<&Arc<Proxy>>) -> Failure {
        match (via, why) {
            (Some(_), _) => Failure::ProxyUnreachable,
            (None, ErrorKind::ConnectionRefused) => Failure::Refused,
            (None, ErrorKind::TimedOut) => Failure::Timeout,
            (None, _) => Failure::Unreachable,
        }
    }

    /// What the app's kernel is told, as of a connection of its own.
    pub(crate) fn as_error(self) -> ErrorKind {
        match self {
            Failure::Refused => ErrorKind::ConnectionRefused,
            Failure::Timeout => ErrorKind::TimedOut,
            Failure::Unreachable
            | Failure::Broken
            | Failure::ProxyUnreachable
            | Failure::ProxyLogin
            | Failure::ProxyRefused
            | Failure::ProxyProtocol => ErrorKind::HostUnreachable,
        }
    }
}
