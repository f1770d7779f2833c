//! The tun's own resolver address: questions are judged, passed on to the system's resolver over a pool of sockets, and
//! their answers give names to addresses.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use simple_dns::{
    Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE,
    rdata::{A, AAAA, RData},
};

use super::{
    Answer, Command, Engine, Owner, SocketEvent, SocketId, TimerKey, datagram::Fate, names::normal,
};
use crate::{
    event::{Action, Event, NameEvent, NameSource, Proto, Verdict},
    flow::{Key, still_due},
    policy::BlockedName,
    wire::{self, Datagram, MAX_HEADER, Pair},
};

/// Questions under way, and the sockets they went out by.
pub(super) struct Dns {
    pool: Vec<Option<Upstream>>,
    asked: BTreeMap<(usize, u16), Question>,
    /// Deadlines, oldest first.
    order: VecDeque<(Duration, (usize, u16))>,
    pub(super) armed: Option<Duration>,
}

struct Upstream {
    socket: Key,
    to: SocketAddr,
    open: usize,
}

struct Question {
    flow: Key,
    /// The app's end first.
    pair: Pair,
    id: u16,
    /// The question section as sent, to compare with the reply's (RFC 5452 section 9.1).
    section: Vec<u8>,
    asked: Duration,
    verdict: Verdict,
}

impl Dns {
    /// Sockets at most, each on a port of the kernel's choice: 4 bits of entropy beside the id's 16, and ports change
    /// whenever a socket has had nothing to do.
    const POOL: usize = 16;
    /// Questions under way at most.
    const MOST: usize = 4_096;
    /// How long a reply is waited for.
    const TIMEOUT: Duration = Duration::from_secs(10);

    pub(super) fn new() -> Self {
        Self {
            pool: std::iter::repeat_with(|| None).take(Self::POOL).collect(),
            asked: BTreeMap::new(),
            order: VecDeque::new(),
            armed: None,
        }
    }

    pub(super) fn still_due(&mut self, at: Duration) -> Option<Duration> {
        let Self {
            order,
            asked,
            armed,
            ..
        } = self;
        // Questions that were answered are passed over.
        while order
            .front()
            .is_some_and(|(until, key)| !is_asked(asked, *key, *until))
        {
            order.pop_front();
        }
        let deadline = order.front().map(|(until, _)| *until);
        still_due(armed, at, deadline)
    }
}

impl Engine {
    /// A question to the tun's resolver.
    pub(super) fn dns_question(&mut self, slot: usize, datagram: Datagram) {
        let pair = datagram.pair;
        let message = self
            .slots
            .get(slot)
            .map_or(&[][..], |packet| packet.get(datagram.payload));
        let Some((name, section)) = question(message) else {
            return self.count("dns_malformed");
        };
        let section = section.to_vec();
        let id = u16::from_be_bytes([message[0], message[1]]);
        let fate = self.judge_datagram(Proto::Udp, pair, pair, slot, datagram.payload);
        let (flow, leaks) = match fate {
            Fate::Go(flow) => (flow, false),
            Fate::Blocked(flow) => (flow, true),
            Fate::Gone => return,
        };
        let app = self.datagrams_app(flow);
        let Some(rules) = &self.rules else {
            return;
        };
        let verdict = rules.policy.name(&app, &name, self.now.wall);
        let blocked_as = rules.policy.blocked_name();
        let verdict = match verdict.action {
            Action::Ask => Verdict {
                action: rules.policy.ask_fallback(),
                ..verdict
            },
            Action::Allow | Action::Block => verdict,
        };
        let blocked = verdict.action == Action::Block;
        if let Some(record) = self.datagram_record(flow) {
            if !record.facts.names.iter().any(|(known, _)| *known == name) {
                record.facts.names.push((name.clone(), NameSource::Dns));
            }
            if blocked && !leaks {
                record.verdict = verdict.clone();
            }
        }
        if leaks || blocked {
            if blocked {
                self.name_event(name, Vec::new(), &verdict);
            }
            let answer = match blocked_as {
                BlockedName::Zero if !leaks => Refusal::Zero,
                _ => Refusal::Code(RCODE::NameError),
            };
            return self.dns_refuse(slot, datagram, answer);
        }
        let Some(key) = self.dns_socket_for(&pair, id) else {
            return self.dns_refuse(slot, datagram, Refusal::Code(RCODE::ServerFailure));
        };
        let (index, new_id) = key;
        let asked = self.now.mono;
        self.dns.asked.insert(
            key,
            Question {
                flow,
                pair,
                id,
                section,
                asked,
                verdict,
            },
        );
        let until = asked + Dns::TIMEOUT;
        self.dns.order.push_back((until, key));
        self.timers.arm(TimerKey::Dns, until, &mut self.dns.armed);
        if let Some(Upstream { socket, to, .. }) = self.dns.pool.get(index).and_then(Option::as_ref)
        {
            let start = datagram.payload.start as usize;
            if let Some(id) = self
                .slots
                .get_mut(slot)
                .and_then(|slot| slot.bytes.get_mut(start..start + 2))
            {
                id.copy_from_slice(&new_id.to_be_bytes());
            }
            self.datagrams
                .push(SocketId(*socket), *to, slot, datagram.payload);
        }
    }

    fn datagrams_app(&mut self, flow: Key) -> Vec<std::sync::Arc<str>> {
        self.datagram_record(flow)
            .map(|record| record.facts.app.clone())
            .unwrap_or_default()
    }

    /// A socket of the pool and a fresh id; `None` where there is no resolver, or too much under way.
    fn dns_socket_for(&mut self, pair: &Pair, id: u16) -> Option<(usize, u16)> {
        if self.config.resolvers.is_empty() || self.dns.asked.len() >= Dns::MOST {
            return None;
        }
        // A question that comes again goes to the next resolver.
        let again = self
            .dns
            .asked
            .values()
            .filter(|other| other.pair == *pair && other.id == id)
            .count();
        let to = *self
            .config
            .resolvers
            .get(again % self.config.resolvers.len())?;
        let mut index = (self.random() % Dns::POOL as u64) as usize;
        // A socket talks to one resolver: look for one that is free or talks to this one.
        for _ in 0..Dns::POOL {
            match self.dns.pool.get(index)? {
                Some(upstream) if upstream.to != to => index = (index + 1) % Dns::POOL,
                _ => break,
            }
        }
        if self
            .dns
            .pool
            .get(index)?
            .as_ref()
            .is_some_and(|upstream| upstream.to != to)
        {
            return None;
        }
        if self.dns.pool.get(index)?.is_none() {
            let socket = self.sockets.insert(Owner::Dns(index));
            let open = Command::OpenUdp {
                socket: SocketId(socket),
                v6: to.is_ipv6(),
                to: Some(to),
            };
            self.commands.push_back(open);
            *self.dns.pool.get_mut(index)? = Some(Upstream {
                socket,
                to,
                open: 0,
            });
        }
        let mut id = self.random() as u16;
        while self.dns.asked.contains_key(&(index, id)) {
            id = self.random() as u16;
        }
        self.dns.pool.get_mut(index)?.as_mut()?.open += 1;
        Some((index, id))
    }

    /// A datagram came to a socket of the pool.
    pub(super) fn dns_reply(&mut self, index: usize, from: SocketAddr, len: usize) {
        let expected = self
            .dns
            .pool
            .get(index)
            .and_then(Option::as_ref)
            .map(|upstream| upstream.to);
        let message = self.scratch.get(..len).unwrap_or(&[]);
        let id = match message {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => return self.count("dns_reply"),
        };
        let is_reply = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
        let section = question(message).map(|(_, section)| section);
        let matches = self.dns.asked.get(&(index, id)).is_some_and(|asked| {
            expected == Some(from) && is_reply && section == Some(asked.section.as_slice())
        });
        if !matches {
            return self.count("dns_reply");
        }
        let Some(asked) = self.dns_forget((index, id)) else {
            return;
        };
        let message = self.scratch.get_mut(..len).unwrap_or(&mut []);
        if let Some(id) = message.get_mut(..2) {
            id.copy_from_slice(&asked.id.to_be_bytes());
        }
        let message = self.scratch.get(..len).unwrap_or(&[]);
        self.control
            .push(|out| udp(out, asked.pair.reversed(), message));
        let answer = Answer::parse(message);
        self.datagram_answered(asked.flow, len);
        if let Some(answer) = answer {
            self.names.learn(&answer);
            if let Some(name) = answer.chain.first() {
                self.name_event(name.clone(), answer.addresses, &asked.verdict);
            }
        }
    }

    fn name_event(
        &mut self,
        name: std::sync::Arc<str>,
        addresses: Vec<std::net::IpAddr>,
        verdict: &Verdict,
    ) {
        self.events.push_back(Event::Name(NameEvent {
            time: self.since_start().as_secs_f64(),
            name,
            addresses,
            verdict: verdict.action,
            rule: verdict.rule.clone(),
        }));
    }

    /// Takes a question out; its socket closes with the last one.
    fn dns_forget(&mut self, key: (usize, u16)) -> Option<Question> {
        let question = self.dns.asked.remove(&key)?;
        let place = self.dns.pool.get_mut(key.0)?;
        if let Some(upstream) = place {
            upstream.open -= 1;
            if upstream.open == 0 {
                let socket = upstream.socket;
                *place = None;
                self.sockets.remove(socket);
                self.commands.push_back(Command::Close {
                    socket: SocketId(socket),
                    reset: false,
                });
            }
        }
        Some(question)
    }

    /// A socket of the pool does not reach its resolver: those who wait are told at once.
    pub(super) fn dns_socket(&mut self, index: usize, event: SocketEvent) {
        if event == SocketEvent::Writable || event == SocketEvent::Connected {
            return;
        }
        let lost: Vec<_> = self
            .dns
            .asked
            .keys()
            .filter(|(at, _)| *at == index)
            .copied()
            .collect();
        for key in lost {
            self.count("dns_unreachable");
            if let Some(asked) = self.dns_forget(key) {
                let [high, low] = asked.id.to_be_bytes();
                // A response, recursion desired and available, SERVFAIL, one question.
                let mut reply = vec![high, low, 0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0];
                reply.extend_from_slice(&asked.section);
                self.control
                    .push(|out| udp(out, asked.pair.reversed(), &reply));
                self.datagram_answered(asked.flow, reply.len());
            }
        }
    }

    pub(super) fn dns_timeout(&mut self, at: Duration) {
        if self.dns.armed != Some(at) {
            return;
        }
        self.dns.armed = None;
        while let Some(&(until, key)) = self.dns.order.front() {
            let current = is_asked(&self.dns.asked, key, until);
            if current && until > self.now.mono {
                self.timers.arm(TimerKey::Dns, until, &mut self.dns.armed);
                break;
            }
            self.dns.order.pop_front();
            if current {
                self.count("dns_timeout");
                self.dns_forget(key);
            }
        }
    }

    /// Answers a question ourselves.
    fn dns_refuse(&mut self, slot: usize, datagram: Datagram, refusal: Refusal) {
        let message = self
            .slots
            .get(slot)
            .map_or(&[][..], |packet| packet.get(datagram.payload));
        let Some(reply) = refuse(message, refusal) else {
            return self.count("dns_malformed");
        };
        self.control
            .push(|out| udp(out, datagram.pair.reversed(), &reply));
    }
}

/// Whether the question that was to time out at `until` is still open.
fn is_asked(asked: &BTreeMap<(usize, u16), Question>, key: (usize, u16), until: Duration) -> bool {
    asked
        .get(&key)
        .is_some_and(|question| question.asked + Dns::TIMEOUT == until)
}

/// How a question is refused.
#[derive(Clone, Copy)]
enum Refusal {
    Code(RCODE),
    /// The zero address for A and AAAA, no answer for the rest.
    Zero,
}

/// Seconds for which an app may keep a zero address.
const ZERO_TTL: u32 = 10;

fn udp(out: &mut Vec<u8>, pair: Pair, payload: &[u8]) -> bool {
    let mut header = [0; MAX_HEADER];
    let n = wire::emit_udp(&mut header, pair, payload);
    out.extend_from_slice(header.get(..n).unwrap_or(&[]));
    out.extend_from_slice(payload);
    true
}

/// Name and question section of a message with one question (RFC 1035 section 4.1.2).
pub(super) fn question(message: &[u8]) -> Option<(std::sync::Arc<str>, &[u8])> {
    if message.get(4..6)? != [0, 1] {
        return None;
    }
    let mut at = 12;
    let mut name = String::new();
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1;
        if len == 0 {
            break;
        }
        // A question is the first name of a message: it cannot be compressed.
        if len > 63 || at + len > 12 + 255 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(message.get(at..at + len)?));
        at += len;
    }
    Some((normal(&name), message.get(12..at + 4)?))
}

fn refuse(message: &[u8], refusal: Refusal) -> Option<Vec<u8>> {
    let asked = Packet::parse(message).ok()?;
    let mut reply = Packet::new_reply(asked.id());
    let question = asked.questions.first()?.clone();
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if asked.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    match refusal {
        Refusal::Code(code) => *reply.rcode_mut() = code,
        Refusal::Zero => {
            let data = match question.qtype {
                QTYPE::TYPE(TYPE::A) => Some(RData::A(A { address: 0 })),
                QTYPE::TYPE(TYPE::AAAA) => Some(RData::AAAA(AAAA { address: 0 })),
                _ => None,
            };
            if let Some(data) = data {
                let name = question.qname.clone();
                reply.answers.push(ResourceRecord::new(
                    name,
                    simple_dns::CLASS::IN,
                    ZERO_TTL,
                    data,
                ));
            }
        }
    }
    reply.questions.push(question);
    reply.build_bytes_vec().ok()
}
