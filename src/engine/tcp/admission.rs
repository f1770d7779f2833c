//! Whether a connection is made at all: its owner, the verdict at its SYN, and questions about it.

use std::{collections::hash_map::Entry, io::ErrorKind, net::SocketAddr, sync::Arc};

use super::{PARKED, PROXY, Question, Queued, TcpFlow};
use crate::{
    engine::{
        Command, Engine, OwnerId, Record, SocketId, Wait, Waiter,
        out::Out,
        questions::{Asked, Settled},
        sockets::Owner,
    },
    event::{Action, Failure, Finding, Proto, Verdict},
    flow::{Key, Tcp},
    wire::Segment,
};

impl Engine {
    /// Judges a connection at its SYN, and starts it upstream.
    pub(super) fn open(&mut self, syn: &Segment) {
        let pair = syn.pair;
        if self.upstream(pair.dst).is_none() {
            return self.refuse_segment(syn);
        }
        if self.parked >= MOST_PARKED {
            return self.count("syn_limit");
        }
        if !self.flow_room(false) {
            return self.count("flow_limit");
        }
        let record = self.record(pair, Proto::Tcp);
        let iss = self.random() as u32;
        let mss = self.segment_size(pair);
        let key = self.flows.insert_with(|key| TcpFlow {
            record,
            tcp: Tcp::new(syn, iss, mss),
            socket: self.sockets.insert(Owner::Tcp(key)),
            app: None,
            stream: None,
            out: Out::default(),
            opened: false,
            wait: None,
            asked: None,
            noted: 0,
            parked: true,
            proxied: false,
            writable: false,
            finished: false,
            shut: false,
            closed_first: false,
            broken: false,
            queued: Queued::default(),
            round: 0,
            wake: None,
            parked_until: Some((self.now.mono + PARKED).into()),
            armed: None,
        });
        self.parked += 1;
        self.by_pair.insert(&pair, key);
        if self.wants_owner() {
            if let Some(flow) = self.flows.get_mut(key) {
                flow.wait = Some(Box::new(Wait::Owner {
                    until: self.now.mono + Wait::OWNER,
                }));
            }
            let flow = OwnerId(Waiter::Tcp(key));
            self.commands.push_back(Command::FindOwner {
                flow,
                proto: Proto::Tcp,
                pair,
            });
            self.arm(key);
        } else {
            self.admit(key);
        }
    }

    /// The owner of a connection is known, or will not be.
    pub(in crate::engine) fn tcp_owner(&mut self, key: Key, owner: Vec<Arc<str>>) {
        if let Some(flow) = self.flows.get_mut(key)
            && matches!(flow.wait(), Wait::Owner { .. })
        {
            flow.wait = None;
            flow.record.facts.app = owner;
            match self
                .apps
                .join(&mut flow.record.facts.app, self.limits.flows_per_app)
            {
                Ok(app) => flow.app = app,
                Err(()) => {
                    self.count("app_flow_limit");
                    return self.forget_flow(key);
                }
            }
            if let Some(tally) = self.apps.get_mut(flow.app) {
                tally.parked += 1;
                if tally.parked > MOST_PARKED_PER_APP {
                    self.count("syn_limit");
                    return self.forget_flow(key);
                }
            }
            self.admit(key);
        }
    }

    /// A connection's SYN no longer waits.
    pub(super) fn unpark(&mut self, key: Key) {
        if let Some(flow) = self.flows.get_mut(key)
            && std::mem::take(&mut flow.parked)
        {
            let dst = flow.record.facts.dst;
            if std::mem::take(&mut flow.proxied)
                && let Entry::Occupied(mut waiting) = self.proxied.entry(dst)
            {
                *waiting.get_mut() -= 1;
                if *waiting.get() == 0 {
                    waiting.remove();
                }
            }
            self.parked -= 1;
            if let Some(tally) = self.apps.get_mut(flow.app) {
                tally.parked -= 1;
            }
        }
    }

    /// Judges a connection whose SYN is parked.
    pub(super) fn admit(&mut self, key: Key) {
        let (Some(flow), Some(rules)) = (self.flows.get_mut(key), &self.rules) else {
            return;
        };
        let verdict = rules.policy.connection(&flow.record.facts);
        match verdict.action {
            Action::Allow => self.connect(key, verdict),
            Action::Block => self.refuse_connection(key, verdict),
            Action::Ask => self.ask_about(key, verdict),
        }
    }

    pub(super) fn connect(&mut self, key: Key, verdict: Verdict) {
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        flow.record.verdict = verdict;
        let socket = SocketId(flow.socket);
        let via = self
            .flows
            .get(key)
            .and_then(|flow| self.route(&flow.record));
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        if via.is_some() {
            flow.parked_until = Some((self.now.mono + PROXY).into());
        }
        flow.record.via = via;
        if !self.socket_room() {
            self.count("socket_limit");
            return self.refuse_flow(key, ErrorKind::ConnectionRefused);
        }
        if !self.proxy_room(key) {
            self.count("proxy_limit");
            return self.fail_flow(key, Failure::ProxyRefused);
        }
        let Some(command) = self.way_out(key) else {
            return self.fail_flow(key, Failure::ProxyUnreachable);
        };
        if let Some(flow) = self.flows.get_mut(key) {
            flow.opened = true;
            self.open_socket(socket, command);
        }
        self.arm(key);
    }

    /// Whether one more connection to the same remote end may wait for a proxy; it counts from now on. A proxy whose own
    /// connections come through the tunnel, and are led to it again, would otherwise go round in circles.
    fn proxy_room(&mut self, key: Key) -> bool {
        let Some(flow) = self.flows.get_mut(key) else {
            return false;
        };
        if flow.record.via.is_none() {
            return true;
        }
        let waiting = self.proxied.entry(flow.record.facts.dst).or_default();
        if *waiting >= MOST_PROXIED {
            return false;
        }
        *waiting += 1;
        flow.proxied = true;
        true
    }

    /// A parked connection that may not be: reset at once, so that the app fails fast, unless it fails again and again.
    pub(super) fn refuse_connection(&mut self, key: Key, verdict: Verdict) {
        if let Some(flow) = self.flows.get_mut(key) {
            flow.record.verdict = verdict;
            match self.is_told_again(key) {
                true => self.refuse_flow(key, ErrorKind::ConnectionRefused),
                false => self.forget_flow(key),
            }
        }
    }

    /// Whether an app is told once more that a parked connection is not to be; otherwise that is counted.
    pub(super) fn is_told_again(&mut self, key: Key) -> bool {
        let Some(flow) = self.flows.get(key) else {
            return false;
        };
        let facts = &flow.record.facts;
        let what = (facts.proto, facts.app.first(), facts.dst);
        let told = self.backoff.answers(what, self.now.mono);
        if !told {
            self.count("backed_off");
        }
        told
    }

    /// Puts the question that `verdict` wants put, about what was found or, where nothing was, the connection.
    pub(super) fn ask_about(&mut self, key: Key, verdict: Verdict) {
        let Some(mut flow) = self.flows.take(key) else {
            return;
        };
        let question = flow.asked.get_or_insert_default();
        let (waiter, record) = (Waiter::Tcp(key), &flow.record);
        let asked = self.ask(waiter, record, &question.findings, &verdict);
        question.verdict = Some(verdict);
        flow.wait = Some(Box::new(Wait::Question {
            asked: self.now.mono,
        }));
        self.flows.put_back(key, flow);
        match asked {
            Asked::Wait => self.arm(key),
            Asked::Settled(settled) => self.settle_tcp(key, &settled),
        }
    }

    /// Goes on, or ends, by an answer.
    pub(in crate::engine) fn settle_tcp(&mut self, key: Key, settled: &Settled) {
        let time = self.since_start();
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        if !matches!(flow.wait(), Wait::Question { .. }) {
            return;
        }
        flow.wait = None;
        let Question {
            findings,
            verdict,
            gave_up,
        } = flow
            .asked
            .take()
            .map_or(Question::default(), |asked| *asked);
        let asking = verdict.unwrap_or(flow.record.verdict.clone());
        let verdict = settled.verdict(&asking);
        let told = if gave_up {
            Verdict {
                action: Action::Block,
                ..verdict.clone()
            }
        } else {
            verdict.clone()
        };
        Self::tell_findings(&mut self.events, &flow.record, findings, &told, time);
        let started = flow.stream.is_some();
        match verdict.action {
            Action::Allow if gave_up => self.block(key),
            Action::Allow if started => {
                flow.record.verdict = verdict;
                self.consult(key, |stream, held, cx| {
                    stream.answer(Action::Allow, held, cx)
                });
                self.follow_up(key);
            }
            Action::Allow => self.connect(key, verdict),
            Action::Ask | Action::Block if started => {
                flow.record.verdict = verdict;
                self.block(key);
            }
            Action::Ask | Action::Block => self.refuse_connection(key, verdict),
        }
    }

    /// Whether an answer would still reach the client.
    pub(in crate::engine) fn tcp_still_waits(&self, key: Key) -> bool {
        self.flows
            .get(key)
            .filter(|flow| matches!(flow.wait(), Wait::Question { .. }))
            .is_some_and(|flow| flow.asked.as_ref().is_none_or(|asked| !asked.gave_up))
    }

    /// A flow and what a person is asked about it.
    pub(in crate::engine) fn tcp_pending(&self, key: Key) -> Option<(&Record, &[Finding])> {
        let flow = self.flows.get(key)?;
        let findings = flow.asked.as_ref().map(|asked| asked.findings.as_slice());
        Some((&flow.record, findings.unwrap_or_default()))
    }

    /// Where a connection to `dst` really goes; `None` where nobody listens.
    pub(in crate::engine) fn upstream(&self, dst: SocketAddr) -> Option<SocketAddr> {
        match self.is_own(dst.ip()) {
            false => Some(self.outward(dst)),
            true if dst.port() == 53 => self.config.resolvers.first().copied(),
            true => None,
        }
    }

    pub(in crate::engine) fn judge_connection(&self, record: &Record) -> Verdict {
        match &self.rules {
            Some(rules) => rules.policy.connection(&record.facts),
            None => record.verdict.clone(),
        }
    }

    /// Ends the flows that a new policy does not let go on.
    pub(in crate::engine) fn judge_tcp_again(&mut self) {
        for key in self.flows.keys() {
            let verdict = self
                .flows
                .get(key)
                .map(|flow| self.judge_connection(&flow.record));
            if let (Some(verdict), Some(flow)) = (verdict, self.flows.get_mut(key))
                && verdict.action == Action::Block
            {
                flow.record.verdict = verdict;
                self.block(key);
            } else if self
                .flows
                .get(key)
                .is_some_and(|flow| flow.opened && self.is_astray(&flow.record))
            {
                // Whoever connects again goes the new way.
                self.block(key);
            }
        }
    }
}

/// SYNs that wait at a time, over all apps; one beyond is lost, and its kernel sends it again.
const MOST_PARKED: usize = 4_096;
/// Connections to one remote end that wait for a proxy at a time.
const MOST_PROXIED: usize = 64;
/// SYNs that wait at a time of one app.
const MOST_PARKED_PER_APP: usize = 1_024;
