//! Whether a datagram flow may go: its owner, the verdict at its first datagram, and questions about it.

use std::sync::Arc;

use super::Flow;
use crate::{
    engine::{
        Command, Engine, OwnerId, Record, Wait, Waiter,
        questions::{Asked, Settled},
    },
    event::{Action, Failure, Finding, Proto, Verdict},
    flow::Key,
    inspect::{Context, Stream},
    wire::Pair,
};

impl Engine {
    pub(super) fn open_datagrams(&mut self, proto: Proto, wire: Pair, pair: Pair) -> Key {
        let record = self.record(wire, proto);
        let asking = record.verdict.clone();
        let now = self.now.mono;
        let key = self.datagrams.flows.insert(Flow {
            record,
            pair,
            app: None,
            mapping: None,
            stream: Box::new(Stream::new(proto)),
            wait: Wait::Nothing,
            packets: Vec::new(),
            pending: Vec::new(),
            asking,
            blocked: false,
            sequence: 0,
            stuck: false,
            answered: false,
            last: now,
            listed: now,
            armed: None,
        });
        self.datagrams.idle.insert(key, now);
        self.datagrams.by_pair.insert((proto, pair), key);
        if self.wants_owner() {
            if let Some(flow) = self.datagrams.flows.get_mut(key) {
                flow.wait = Wait::Owner {
                    until: self.now.mono + Wait::OWNER,
                };
            }
            let flow = OwnerId(Waiter::Datagrams(key));
            self.commands.push_back(Command::FindOwner {
                flow,
                proto,
                pair: wire,
            });
            self.arm_datagrams(key);
        } else {
            self.admit_datagrams(key);
        }
        key
    }

    /// Judges a flow on everything but its content. One with the tun's resolver is judged by the names it asks for.
    fn admit_datagrams(&mut self, key: Key) {
        let Some(flow) = self.datagrams.flows.get(key) else {
            return;
        };
        let resolver = self.is_own(flow.pair.dst.ip());
        let verdict = self.judge_connection(&flow.record);
        match verdict.action {
            Action::Allow => self.map(key, verdict),
            _ if resolver => self.map(
                key,
                Verdict {
                    action: Action::Allow,
                    ..verdict
                },
            ),
            Action::Ask => self.ask_about_datagrams(key, verdict),
            Action::Block => {
                if let Some(flow) = self.datagrams.flows.get_mut(key) {
                    flow.record.verdict = verdict;
                    flow.blocked = true;
                }
            }
        }
    }

    /// Lets a flow through: gives it a socket.
    pub(super) fn map(&mut self, key: Key, verdict: Verdict) {
        let Some(flow) = self.datagrams.flows.get_mut(key) else {
            return;
        };
        flow.record.verdict = verdict;
        let (proto, pair) = (flow.record.facts.proto, flow.pair);
        if !self.is_own(pair.dst.ip()) {
            let via = self
                .datagrams
                .flows
                .get(key)
                .and_then(|flow| self.route(&flow.record));
            let stuck = via
                .as_ref()
                .is_some_and(|proxy| proto != Proto::Udp || !proxy.carries_datagrams());
            let mapping = (!stuck).then(|| self.mapping(proto, pair.src, via.as_ref()));
            if let Some(flow) = self.datagrams.flows.get_mut(key) {
                (flow.mapping, flow.record.via, flow.stuck) = (mapping, via, stuck);
                flow.record.failure = stuck.then_some(Failure::ProxyRefused);
            }
        }
    }

    /// The owner of a flow is known, or will not be.
    pub(in crate::engine) fn datagrams_owner(&mut self, key: Key, owner: Vec<Arc<str>>) {
        if let Some(flow) = self.datagrams.flows.get_mut(key)
            && matches!(flow.wait, Wait::Owner { .. })
        {
            flow.wait = Wait::Nothing;
            flow.record.facts.app = owner;
            match self
                .apps
                .join(&mut flow.record.facts.app, self.limits.flows_per_app)
            {
                Ok(app) => {
                    flow.app = app;
                    if let Some(tally) = self.apps.get_mut(app) {
                        tally.held += flow.held();
                    }
                }
                Err(()) => {
                    self.count("app_flow_limit");
                    return self.forget_datagrams(key);
                }
            }
            self.admit_datagrams(key);
            if self
                .datagrams
                .flows
                .get(key)
                .is_some_and(|flow| flow.wait == Wait::Nothing)
            {
                self.resume_packets(key);
            }
        }
    }

    pub(super) fn ask_about_datagrams(&mut self, key: Key, verdict: Verdict) {
        let Some(mut flow) = self.datagrams.flows.take(key) else {
            return;
        };
        let asked = self.ask(
            Waiter::Datagrams(key),
            &flow.record,
            &flow.pending,
            &verdict,
        );
        flow.asking = verdict;
        flow.wait = Wait::Question {
            asked: self.now.mono,
        };
        self.datagrams.flows.put_back(key, flow);
        match asked {
            Asked::Wait => self.arm_datagrams(key),
            Asked::Settled(settled) => self.settle_datagrams(key, &settled),
        }
    }

    /// Goes on, or ends, by an answer.
    pub(in crate::engine) fn settle_datagrams(&mut self, key: Key, settled: &Settled) {
        let time = self.since_start();
        let (Some(flow), Some(rules)) = (self.datagrams.flows.get_mut(key), &self.rules) else {
            return;
        };
        if !matches!(flow.wait, Wait::Question { .. }) {
            return;
        }
        flow.wait = Wait::Nothing;
        let verdict = settled.verdict(&flow.asking);
        let pending = std::mem::take(&mut flow.pending);
        match (verdict.action, pending.is_empty()) {
            (Action::Allow, true) if flow.mapping.is_none() => self.map(key, verdict),
            (Action::Allow, _) => {
                let mut cx = Context {
                    rules,
                    facts: &mut flow.record.facts,
                    now: self.now.mono,
                    room: self.limits.hold_per_flow,
                    can_ask: self.config.can_ask,
                    scratch: &mut self.decoding,
                    notices: &mut self.notices,
                };
                flow.stream.answer(Action::Allow, &[], &mut cx);
                if !verdict.approved {
                    Self::tell_findings(&mut self.events, &flow.record, pending, &verdict, time);
                }
                flow.record.verdict = verdict;
            }
            (Action::Ask | Action::Block, _) => {
                Self::tell_findings(&mut self.events, &flow.record, pending, &verdict, time);
                flow.record.verdict = verdict;
                flow.blocked = true;
            }
        }
        self.resume_packets(key);
        if let Some(flow) = self.datagrams.flows.get_mut(key)
            && flow.blocked
            && self.config.dns.contains(&flow.pair.dst.ip())
        {
            flow.blocked = false;
            *flow.stream = Stream::new(Proto::Udp);
        }
    }

    /// Whether an answer would still reach the client.
    pub(in crate::engine) fn datagrams_still_wait(&self, key: Key) -> bool {
        self.datagrams
            .flows
            .get(key)
            .is_some_and(|flow| matches!(flow.wait, Wait::Question { .. }))
    }

    /// A flow and what a person is asked about it.
    pub(in crate::engine) fn datagrams_pending(&self, key: Key) -> Option<(&Record, &[Finding])> {
        self.datagrams
            .flows
            .get(key)
            .map(|flow| (&flow.record, flow.pending.as_slice()))
    }

    /// Ends the flows that a new policy does not let go on, and those that it may let go on: their next datagram begins
    /// one of its own. What goes to the tun's resolver is judged question by question anyway.
    pub(in crate::engine) fn judge_datagrams_again(&mut self) {
        for key in self.datagrams.flows.keys() {
            let Some(flow) = self.datagrams.flows.get(key) else {
                continue;
            };
            if flow.wait != Wait::Nothing || self.is_own(flow.pair.dst.ip()) {
                continue;
            }
            let verdict = self.judge_connection(&flow.record);
            let blocks = verdict.action == Action::Block;
            let astray = (flow.mapping.is_some() || flow.stuck) && self.is_astray(&flow.record);
            if flow.blocked == blocks && !astray {
                continue;
            }
            if blocks && let Some(flow) = self.datagrams.flows.get_mut(key) {
                flow.record.verdict = verdict;
            }
            self.end_datagrams(key);
        }
    }
}
