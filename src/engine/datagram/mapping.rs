//! The sockets that carry datagrams: one for each port of the app (endpoint-independent mapping, RFC 4787).

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use crate::{
    egress::Proxy,
    engine::{Command, Engine, SocketEvent, SocketId, slots::Slot, sockets::Owner},
    event::{Failure, Proto},
    flow::Key,
    wire::{self, MAX_HEADER, Pair, Span, Unreachable},
};

/// A port of the app's, or an echo identifier, and the socket that stands for it.
pub(super) struct Mapping {
    proto: Proto,
    source: SocketAddr,
    /// The proxy that it goes through.
    via: Option<Arc<Proxy>>,
    /// Why that did not carry it, last.
    failure: Option<Failure>,
    /// None before its first datagram, and while its place was wanted for others.
    socket: Option<Key>,
    flows: usize,
    last: Duration,
    /// Where it stands in the order of the idle, while it has a socket.
    listed: Duration,
    /// When a socket could not be had.
    failed: Option<Duration>,
}

/// A port whose socket could not be had tries again after this.
const RETRY: Duration = Duration::from_secs(1);
/// Type of an ICMPv6 echo request (RFC 4443 section 4.1).
const ECHO_REQUEST_V6: u8 = 128;
/// Under pressure, sockets that were idle for this long close.
const IDLE: Duration = Duration::from_secs(20);

impl Engine {
    /// The mapping of a source, made where there is none; counts one more flow.
    pub(super) fn mapping(
        &mut self,
        proto: Proto,
        source: SocketAddr,
        via: Option<&Arc<Proxy>>,
    ) -> Key {
        let place = (proto, source, via.map(|proxy| proxy.name.clone()));
        let known = self.datagrams.by_source.get(&place).copied();
        let key = known.unwrap_or_else(|| {
            let key = self.datagrams.mappings.insert(Mapping {
                proto,
                source,
                via: via.cloned(),
                failure: None,
                socket: None,
                flows: 0,
                last: self.now.mono,
                listed: self.now.mono,
                failed: None,
            });
            self.datagrams.by_source.insert(place, key);
            key
        });
        if let Some(mapping) = self.datagrams.mappings.get_mut(key) {
            mapping.flows += 1;
        }
        key
    }

    /// Whose a mapping is.
    pub(in crate::engine) fn mapping_source(&self, key: Key) -> Option<(Proto, SocketAddr)> {
        let mapping = self.datagrams.mappings.get(key)?;
        Some((mapping.proto, mapping.source))
    }

    /// A flow of the mapping has ended; with the last one it goes.
    pub(super) fn leave_mapping(&mut self, key: Key) {
        let Some(mapping) = self.datagrams.mappings.get_mut(key) else {
            return;
        };
        mapping.flows -= 1;
        if mapping.flows == 0 {
            let name = mapping.via.as_ref().map(|proxy| proxy.name.clone());
            let source = (mapping.proto, mapping.source, name);
            self.close_mapping(key, None);
            self.datagrams.mappings.remove(key);
            self.datagrams.by_source.remove(&source);
        }
    }

    /// The proxy of a mapping.
    pub(in crate::engine) fn mapping_via(&self, key: Key) -> Option<Arc<Proxy>> {
        self.datagrams.mappings.get(key)?.via.clone()
    }

    /// Why the way of a flow did not carry it, if so.
    pub(super) fn mapping_failure(&self, flow: Key) -> Option<Failure> {
        let mapping = self.datagrams.flows.get(flow)?.mapping?;
        self.datagrams.mappings.get(mapping)?.failure
    }

    /// The socket that carries what the app sends from `pair.src` to `pair.dst`, or would to anybody, if there is one.
    pub(in crate::engine) fn datagram_socket(&self, proto: Proto, pair: Pair) -> Option<SocketId> {
        let flow = self.datagrams.by_pair.get(&(proto, pair));
        let mapping = flow
            .and_then(|flow| self.datagrams.flows.get(*flow)?.mapping)
            .or_else(|| {
                self.datagrams
                    .by_source
                    .get(&(proto, pair.src, None))
                    .copied()
            })?;
        self.datagrams.mappings.get(mapping)?.socket.map(SocketId)
    }

    pub(super) fn forward(&mut self, flow: Key, slot: usize, span: Span, to: SocketAddr) {
        let Some(flow) = self.datagrams.flows.get(flow) else {
            return;
        };
        let (proto, flow_via) = (flow.record.facts.proto, flow.record.via.is_some());
        match flow.mapping.and_then(|mapping| self.socket_of(mapping)) {
            Some(socket) => {
                let outward = match flow_via {
                    false => self.outward(to),
                    true => to,
                };
                if proto == Proto::Icmp && outward != to {
                    self.translate_echo(slot, span);
                }
                let whole = self.slots.get(slot).is_some_and(Slot::is_whole);
                self.datagrams.push(socket, outward, (slot, span), whole);
            }
            None => self.refuse(slot, Unreachable::Host),
        }
    }

    /// Makes an ICMP echo request one of ICMPv6; the kernel sets the checksum.
    fn translate_echo(&mut self, slot: usize, message: Span) {
        let first = self
            .slots
            .get_mut(slot)
            .and_then(|slot| slot.bytes.get_mut(message.start as usize));
        if let Some(first) = first {
            *first = ECHO_REQUEST_V6;
        }
    }

    /// The socket of a mapping, opened where there is none; `None` where none can be had now.
    fn socket_of(&mut self, key: Key) -> Option<SocketId> {
        let now = self.now.mono;
        let mapping = self.datagrams.mappings.get_mut(key)?;
        mapping.last = now;
        if let Some(socket) = mapping.socket {
            return Some(SocketId(socket));
        }
        if mapping.failed.is_some_and(|at| now < at + RETRY) {
            return None;
        }
        let (proto, via) = (mapping.proto, mapping.via.clone());
        let v6 = mapping.source.is_ipv6() || self.nat64.is_some();
        let proxy = match &via {
            Some(proxy) => Some(self.proxy_address(proxy)?),
            None => None,
        };
        if !self.socket_room() {
            self.count("socket_limit");
            return None;
        }
        let socket = self.sockets.insert(Owner::Mapping(key));
        let mapping = self.datagrams.mappings.get_mut(key)?;
        (mapping.socket, mapping.listed) = (Some(socket), now);
        self.datagrams.idle_mappings.insert(key, now);
        let id = SocketId(socket);
        let command = match (proxy, proto) {
            (Some(to), _) => Command::OpenUdpVia { socket: id, to },
            (None, Proto::Icmp) => Command::OpenEcho { socket: id, v6 },
            (None, Proto::Udp | Proto::Tcp) => Command::OpenUdp {
                socket: id,
                v6,
                to: None,
            },
        };
        self.open_socket(id, command);
        Some(id)
    }

    fn close_mapping(&mut self, key: Key, failed: Option<Duration>) {
        if let Some(mapping) = self.datagrams.mappings.get_mut(key)
            && let Some(socket) = mapping.socket.take()
        {
            mapping.failed = failed;
            self.datagrams.idle_mappings.remove(key, mapping.listed);
            self.close_socket(socket, false);
        }
    }

    /// Closes the socket that has been idle for longest; false where there is none. Its flows go on: the next datagram
    /// opens another.
    pub(in crate::engine) fn close_idlest_mapping(&mut self) -> bool {
        let idlest = self.idlest_mapping();
        if let Some((key, _)) = idlest {
            self.close_mapping(key, None);
        }
        idlest.is_some()
    }

    /// Closes the sockets that nobody has used for a while.
    pub(in crate::engine) fn close_idle_mappings(&mut self) {
        let before = self.now.mono.saturating_sub(IDLE);
        while let Some((key, last)) = self.idlest_mapping()
            && last < before
        {
            self.close_mapping(key, None);
        }
    }

    /// Closes the sockets of apps that speak IPv4: they are of the wrong family.
    pub(in crate::engine) fn close_v4_mappings(&mut self) {
        for key in self.datagrams.mappings.keys() {
            let mapping = self.datagrams.mappings.get(key);
            if mapping.is_some_and(|mapping| mapping.source.is_ipv4()) {
                self.close_mapping(key, None);
            }
        }
    }

    fn idlest_mapping(&mut self) -> Option<(Key, Duration)> {
        let mappings = &mut self.datagrams.mappings;
        let key = self.datagrams.idle_mappings.longest(|key| {
            let mapping = mappings.get_mut(key)?;
            mapping.listed = mapping.last;
            Some(mapping.last)
        })?;
        Some((key, mappings.get(key)?.last))
    }

    /// A datagram came, which lies in the scratch.
    pub(in crate::engine) fn inbound_datagram(
        &mut self,
        at: Key,
        from: SocketAddr,
        place: Range<usize>,
    ) {
        let now = self.now.mono;
        let Some(mapping) = self.datagrams.mappings.get_mut(at) else {
            return;
        };
        mapping.last = now;
        let direct = mapping.via.is_none();
        let (proto, source) = (mapping.proto, mapping.source);
        let from = match (source.is_ipv4(), self.nat64) {
            (true, Some(nat64)) if direct => nat64.inward(from),
            _ => from,
        };
        let from = SocketAddr::new(
            unmapped(from.ip()),
            if proto == Proto::Icmp { 0 } else { from.port() },
        );
        let pair = Pair {
            src: source,
            dst: from,
        };
        let Some(&key) = self.datagrams.by_pair.get(&(proto, pair)) else {
            return self.count("unsolicited");
        };
        let Some(flow) = self.datagrams.flows.get_mut(key) else {
            return;
        };
        // What did not come the way that the flow goes is nobody's answer.
        if flow.mapping != Some(at) {
            return self.count("unsolicited");
        }
        let bytes = self.scratch.get(place).unwrap_or(&[]);
        let echo = proto == Proto::Icmp;
        let (payload, sequence) = match (echo, bytes) {
            (false, bytes) => (bytes, 0),
            // Type 0, or 129 in ICMPv6: a reply. The other fields are the kernel's.
            (true, [0 | 129, 0, _, _, _, _, high, low, payload @ ..]) => {
                (payload, u16::from_be_bytes([*high, *low]))
            }
            (true, _) => return self.count("icmp_type"),
        };
        let back = flow.record.pair().reversed();
        let added = self.control.push(|out| {
            let mut header = [0; MAX_HEADER];
            let n = match echo {
                true => wire::emit_echo(&mut header, back, true, source.port(), sequence, payload),
                false => wire::emit_udp(&mut header, back, payload),
            };
            out.extend_from_slice(header.get(..n).unwrap_or(&[]));
            out.extend_from_slice(payload);
            true
        });
        flow.record.bytes_in += payload.len() as u64;
        flow.answered = true;
        flow.record.failure = None;
        flow.last = now;
        if !added {
            self.count("device_queue");
        }
        self.arm_datagrams(key);
    }

    pub(in crate::engine) fn mapping_socket(&mut self, mapping: Key, event: SocketEvent) {
        let failure = match (event, self.mapping_via(mapping)) {
            (SocketEvent::ProxyFailed(failure), _) => Some(failure),
            (SocketEvent::Failed(why), via @ Some(_)) => Some(Failure::of(why, via.as_ref())),
            _ => None,
        };
        if let Some(mapping) = self.datagrams.mappings.get_mut(mapping) {
            mapping.failure = failure.or(mapping.failure);
        }
        if let SocketEvent::Failed(_) | SocketEvent::ProxyFailed(_) = event {
            self.close_mapping(mapping, Some(self.now.mono));
            self.count("socket");
        }
    }

    /// The shell could not send a datagram of [`Engine::poll_datagrams`]. Datagrams may be lost; it is counted, and a
    /// question to a resolver is answered SERVFAIL.
    pub fn datagram_lost(&mut self, socket: SocketId, why: ErrorKind) {
        if why == ErrorKind::WouldBlock {
            return self.count("socket_full");
        }
        self.count("send_failed");
        if let Some(Owner::Dns(index)) = self.sockets.get(socket.0) {
            self.dns_socket(index.into(), SocketEvent::Failed(why));
        }
    }
}

/// An IPv4 address as itself, however a dual-stack socket says it.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
