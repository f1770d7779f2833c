//! The tun's own resolver address: questions are judged, passed on to the system's resolver over a pool of sockets, and
//! their answers give names to addresses.

mod message;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use simple_dns::RCODE;

use super::{
    Command, Engine, Now, Resolved, Seeded, SocketEvent, SocketId, TimerKey, datagram::Fate,
    sockets::Owner,
};
use crate::{
    event::{Action, Event, NameEvent, Proto, Verdict},
    flow::{Key, still_due},
    policy::BlockedName,
    wire::{self, Datagram, MAX_HEADER, Pair},
};
pub(super) use message::question;
use message::{Refusal, refuse, section, server_failure};

/// Questions under way, and the sockets they went out by.
pub(super) struct Dns {
    pool: Vec<Option<Upstream>>,
    asked: BTreeMap<(usize, u16), Question>,
    /// How often each question of an app is open.
    repeats: HashMap<(Pair, u16), usize, Seeded>,
    /// Deadlines, oldest first.
    order: VecDeque<(Duration, (usize, u16))>,
    pub(super) armed: Option<Duration>,
}

struct Upstream {
    socket: Key,
    to: SocketAddr,
    /// Questions that wait for their replies.
    open: usize,
    /// Questions that went out by it.
    asked: usize,
    /// Since when nobody waits.
    idle: Duration,
}

impl Upstream {
    /// When it closes, if nobody asks by it before.
    fn deadline(&self) -> Option<Duration> {
        (self.open == 0).then(|| self.idle + Dns::LINGER)
    }
}

struct Question {
    flow: Key,
    /// The app's end first.
    pair: Pair,
    id: u16,
    /// As the app sent it.
    message: Box<[u8]>,
    asked: Duration,
    verdict: Verdict,
}

impl Question {
    /// The question section, to compare with the reply's (RFC 5452 section 9.1).
    fn section(&self) -> &[u8] {
        section(&self.message).unwrap_or_default()
    }
}

impl Dns {
    /// Sockets at most, each on a port of the kernel's choice: 4 bits of entropy beside the id's 16 for who knows all
    /// ports, which nobody has the time to find out (RFC 5452 section 9.2).
    pub(super) const POOL: usize = 16;
    /// Questions that go out by one port.
    const MOST_BY_PORT: usize = 64;
    /// How long a port that nobody waits at stays open for the next question.
    const LINGER: Duration = Duration::from_secs(1);
    /// Questions under way at most.
    const MOST: usize = 4_096;
    /// How long a reply is waited for.
    const TIMEOUT: Duration = Duration::from_secs(10);

    pub(super) fn new(seed: u64) -> Self {
        Self {
            pool: std::iter::repeat_with(|| None).take(Self::POOL).collect(),
            asked: BTreeMap::new(),
            repeats: HashMap::with_hasher(Seeded(seed)),
            order: VecDeque::new(),
            armed: None,
        }
    }

    pub(super) fn still_due(&mut self, at: Duration) -> Option<Duration> {
        let Self {
            order,
            asked,
            armed,
            pool,
            ..
        } = self;
        // Questions that were answered are passed over.
        while order
            .front()
            .is_some_and(|(until, key)| !is_asked(asked, *key, *until))
        {
            order.pop_front();
        }
        let waiting = order.front().map(|(until, _)| *until);
        let idle = pool.iter().flatten().filter_map(Upstream::deadline);
        still_due(armed, at, idle.chain(waiting).min())
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
        let Some((name, _)) = question(message) else {
            return self.count("dns_malformed");
        };
        let copy: Box<[u8]> = message.into();
        let id = u16::from_be_bytes([message[0], message[1]]);
        let fate = self.judge_datagram(
            Proto::Udp,
            pair,
            pair,
            slot,
            datagram.payload,
            Some(name.clone()),
        );
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
        // A name may be resolved while the connection to it is still to be asked about.
        let verdict = match verdict.action {
            Action::Ask if self.config.can_ask => Verdict {
                action: Action::Allow,
                ..verdict
            },
            Action::Ask => Verdict {
                action: rules.policy.ask_fallback(),
                ..verdict
            },
            Action::Allow | Action::Block => verdict,
        };
        let blocked = verdict.action == Action::Block;
        if let Some(record) = self.datagram_record(flow)
            && blocked
            && !leaks
        {
            record.verdict = verdict.clone();
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
        let question = Question {
            flow,
            pair,
            id,
            message: copy,
            asked: self.now.mono,
            verdict,
        };
        let Some((index, new_id)) = self.dns_ask(question) else {
            return self.dns_refuse(slot, datagram, Refusal::Code(RCODE::ServerFailure));
        };
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
                .push(SocketId(*socket), *to, (slot, datagram.payload), false);
        }
    }

    /// Enters a question under a socket of the pool and an id of ours; `None` where it cannot be asked now.
    fn dns_ask(&mut self, question: Question) -> Option<(usize, u16)> {
        let (pair, id) = (question.pair, question.id);
        let key = self.dns_socket_for(&pair, id)?;
        let until = question.asked + Dns::TIMEOUT;
        self.dns.asked.insert(key, question);
        *self.dns.repeats.entry((pair, id)).or_default() += 1;
        let Dns { order, asked, .. } = &mut self.dns;
        if order.len() >= 2 * Dns::MOST {
            order.retain(|(until, key)| is_asked(asked, *key, *until));
        }
        order.push_back((until, key));
        self.timers.arm(TimerKey::Dns, until, &mut self.dns.armed);
        Some(key)
    }

    /// Asks all open questions by other sockets; those that cannot be asked now are answered SERVFAIL.
    pub(super) fn dns_ask_again(&mut self) {
        let open: Vec<_> = self.dns.asked.keys().copied().collect();
        let mut questions: Vec<_> = open
            .into_iter()
            .filter_map(|key| self.dns_forget(key))
            .collect();
        // Each keeps the time that it has, and deadlines stand in order.
        questions.sort_by_key(|question| question.asked);
        self.dns.order.clear();
        self.finish_dns();
        for question in questions {
            let (flow, pair, id) = (question.flow, question.pair, question.id);
            let failure = server_failure(id, question.section());
            let mut message = question.message.to_vec();
            match self.dns_ask(question) {
                Some((index, new_id)) => {
                    if let Some(id) = message.get_mut(..2) {
                        id.copy_from_slice(&new_id.to_be_bytes());
                    }
                    if let Some(Upstream { socket, to, .. }) =
                        self.dns.pool.get(index).and_then(Option::as_ref)
                    {
                        self.datagrams.push_own(SocketId(*socket), *to, message);
                    }
                }
                None => {
                    self.control.push(|out| udp(out, pair.reversed(), &failure));
                    self.datagram_answered(flow, failure.len());
                }
            }
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
        let again = self.dns.repeats.get(&(*pair, id)).copied().unwrap_or(0);
        let to = *self
            .config
            .resolvers
            .get(again % self.config.resolvers.len())?;
        let index = self.dns_place(to)?;
        if self.dns.pool.get(index)?.is_none() {
            let socket = self.sockets.insert(Owner::Dns(index as u16));
            let open = Command::OpenUdp {
                socket: SocketId(socket),
                v6: to.is_ipv6(),
                to: Some(to),
            };
            self.open_socket(SocketId(socket), open);
            *self.dns.pool.get_mut(index)? = Some(Upstream {
                socket,
                to,
                open: 0,
                asked: 0,
                idle: self.now.mono,
            });
        }
        let mut id = self.random() as u16;
        while self.dns.asked.contains_key(&(index, id)) {
            id = self.random() as u16;
        }
        let upstream = self.dns.pool.get_mut(index)?.as_mut()?;
        upstream.open += 1;
        upstream.asked += 1;
        Some((index, id))
    }

    /// A place of the pool for a question to `to`, by chance: one that is free, or whose socket talks to it and has not
    /// done so often; else one that may be made free; else any that talks to it.
    fn dns_place(&mut self, to: SocketAddr) -> Option<usize> {
        let pool = self.sockets.reserved();
        let first = (self.random() % pool as u64) as usize;
        let (mut idle, mut worn) = (None, None);
        for index in (first..pool).chain(0..first) {
            match self.dns.pool.get(index)? {
                None => return Some(index),
                Some(upstream) if upstream.to == to && upstream.asked < Dns::MOST_BY_PORT => {
                    return Some(index);
                }
                Some(upstream) if upstream.open == 0 => idle = idle.or(Some(index)),
                Some(upstream) if upstream.to == to => worn = worn.or(Some(index)),
                Some(_) => {}
            }
        }
        if let Some(index) = idle {
            self.dns_close(index);
        }
        idle.or(worn)
    }

    /// Closes every socket of the pool.
    pub(super) fn finish_dns(&mut self) {
        for index in 0..self.dns.pool.len() {
            self.dns_close(index);
        }
    }

    /// Closes a socket of the pool.
    fn dns_close(&mut self, index: usize) {
        if let Some(upstream) = self.dns.pool.get_mut(index).and_then(Option::take) {
            self.close_socket(upstream.socket, false);
        }
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
        let asked = section(message);
        let matches = self.dns.asked.get(&(index, id)).is_some_and(|question| {
            expected == Some(from) && is_reply && asked == Some(question.section())
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
        let answer = Resolved::parse(message);
        self.datagram_answered(asked.flow, len);
        if let Some(answer) = answer {
            self.names.learn(&answer);
            if let Some(name) = answer.chain.first() {
                self.name_event(name.clone(), answer.addresses, &asked.verdict);
            }
        }
    }

    /// A recorded reply to the question that the app of `pair` asked under the id in `message`, as if a resolver had
    /// sent it. Where no such question is open, it was a reply of ours.
    pub(super) fn dns_reply_again(&mut self, pair: Pair, message: &[u8], now: Now) {
        let [high, low, rest @ ..] = message else {
            return;
        };
        let id = u16::from_be_bytes([*high, *low]);
        let mut open = self.dns.asked.iter();
        let Some((&(index, new_id), _)) =
            open.find(|(_, asked)| asked.pair == pair && asked.id == id)
        else {
            return;
        };
        let Some(Some(Upstream { socket, to, .. })) = self.dns.pool.get(index) else {
            return;
        };
        let (socket, from) = (SocketId(*socket), *to);
        if let Some(room) = self.scratch.get_mut(..message.len()) {
            let (id, text) = room.split_at_mut(2);
            id.copy_from_slice(&new_id.to_be_bytes());
            text.copy_from_slice(rest);
            self.handle_datagram(socket, from, message.len(), now);
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

    /// Takes a question out; its socket closes soon after the last one.
    fn dns_forget(&mut self, key: (usize, u16)) -> Option<Question> {
        let question = self.dns.asked.remove(&key)?;
        let app = (question.pair, question.id);
        if let Some(open) = self.dns.repeats.get_mut(&app) {
            *open -= 1;
            if *open == 0 {
                self.dns.repeats.remove(&app);
            }
        }
        let upstream = self.dns.pool.get_mut(key.0)?.as_mut()?;
        upstream.open -= 1;
        upstream.idle = self.now.mono;
        let (worn, idle) = (upstream.asked >= Dns::MOST_BY_PORT, upstream.deadline());
        match idle {
            Some(_) if worn => self.dns_close(key.0),
            Some(at) => self.timers.arm(TimerKey::Dns, at, &mut self.dns.armed),
            None => {}
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
            .range((index, 0)..=(index, u16::MAX))
            .map(|(key, _)| *key)
            .collect();
        for key in lost {
            self.count("dns_unreachable");
            if let Some(asked) = self.dns_forget(key) {
                let reply = server_failure(asked.id, asked.section());
                self.control
                    .push(|out| udp(out, asked.pair.reversed(), &reply));
                self.datagram_answered(asked.flow, reply.len());
            }
        }
        self.dns_close(index);
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
        for index in 0..self.dns.pool.len() {
            let upstream = self.dns.pool.get(index).and_then(Option::as_ref);
            match upstream.and_then(Upstream::deadline) {
                Some(at) if at <= self.now.mono => self.dns_close(index),
                Some(at) => self.timers.arm(TimerKey::Dns, at, &mut self.dns.armed),
                None => {}
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

fn udp(out: &mut Vec<u8>, pair: Pair, payload: &[u8]) -> bool {
    let mut header = [0; MAX_HEADER];
    let n = wire::emit_udp(&mut header, pair, payload);
    out.extend_from_slice(header.get(..n).unwrap_or(&[]));
    out.extend_from_slice(payload);
    true
}
