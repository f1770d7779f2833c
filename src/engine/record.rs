//! What is kept of a flow for its events.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Names, Now};
use crate::{
    egress::Proxy,
    event::{
        Action, Event, Failure, FindingEvent, FlowEvent, FlowNumber, NameSource, Opaque, Proto,
        Verdict,
    },
    inspect::Notice,
    policy::Facts,
    wire::Pair,
};

/// Identity and tallies of one flow, live or from a capture.
pub(crate) struct Record {
    pub(crate) number: FlowNumber,
    /// The app's end, as on the wire.
    pub(crate) src: SocketAddr,
    pub(crate) facts: Facts,
    pub(crate) verdict: Verdict,
    pub(crate) opaque: Option<Opaque>,
    /// Payload bytes that could not be read.
    pub(crate) opaque_bytes: u64,
    /// Payload bytes released.
    pub(crate) bytes_out: u64,
    /// Payload bytes received.
    pub(crate) bytes_in: u64,
    /// The proxy that it goes through.
    pub(crate) via: Option<Arc<Proxy>>,
    /// Why it does not reach the remote end.
    pub(crate) failure: Option<Failure>,
}

impl Record {
    /// A flow as it is known at its first packet.
    pub(crate) fn new(
        number: FlowNumber,
        pair: Pair,
        proto: Proto,
        names: &Names,
        now: Now,
    ) -> Self {
        let known = names.of(pair.dst.ip());
        let facts = Facts {
            app: Vec::new(),
            dst: pair.dst,
            proto,
            names: known
                .iter()
                .map(|name| (name.clone(), NameSource::Dns))
                .collect(),
            wall: now.wall,
        };
        let verdict = Verdict {
            action: Action::Block,
            rule: "unjudged".into(),
            approved: false,
        };
        Self {
            number,
            src: pair.src,
            facts,
            verdict,
            opaque: None,
            opaque_bytes: 0,
            bytes_out: 0,
            bytes_in: 0,
            via: None,
            failure: None,
        }
    }

    /// Both ends, as on the wire.
    pub(crate) fn pair(&self) -> Pair {
        Pair {
            src: self.src,
            dst: self.facts.dst,
        }
    }

    /// The event that a notice becomes; what it says of the flow itself is taken in.
    pub(crate) fn notice(&mut self, notice: Notice, time: Duration) -> Option<Event> {
        match notice {
            Notice::Finding { finding, verdict } => {
                if verdict.action >= self.verdict.action {
                    self.verdict = verdict.clone();
                }
                Some(Event::Finding(FindingEvent {
                    time: time.as_secs_f64(),
                    flow: self.number,
                    proto: self.facts.proto,
                    dst: self.facts.dst,
                    app: self.facts.app.first().cloned(),
                    name: self.name().map(|(name, _)| name),
                    finding,
                    verdict: verdict.action,
                    rule: verdict.rule,
                    approved: verdict.approved,
                }))
            }
            // The stream has put it among the facts already.
            Notice::Name { .. } => None,
            Notice::Opaque(why) => {
                self.opaque = Some(why);
                None
            }
            Notice::Unread(bytes) => {
                self.opaque_bytes += bytes;
                None
            }
        }
    }

    /// The summary at the flow's end.
    pub(crate) fn flow_event(&self, time: Duration) -> Event {
        let (name, name_from) = self.name().unzip();
        Event::Flow(FlowEvent {
            time: time.as_secs_f64(),
            flow: self.number,
            proto: self.facts.proto,
            src: self.src,
            dst: self.facts.dst,
            app: self.facts.app.first().cloned(),
            name,
            name_from,
            opaque: self.opaque,
            opaque_bytes: self.opaque_bytes,
            bytes_out: self.bytes_out,
            bytes_in: self.bytes_in,
            verdict: self.verdict.action,
            rule: self.verdict.rule.clone(),
            via: self.via.as_ref().map(|proxy| proxy.name.clone()),
            failure: self.failure,
        })
    }

    /// The name closest to what the app asked for: its own claim, else the first name of the DNS chain.
    pub(crate) fn name(&self) -> Option<(Arc<str>, NameSource)> {
        let claimed = self
            .facts
            .names
            .iter()
            .rev()
            .find(|(_, from)| *from != NameSource::Dns);
        claimed.or(self.facts.names.first()).cloned()
    }

    /// As [`Record::name`], but from DNS where an answer gave the same name.
    pub(crate) fn proven_name(&self) -> Option<(Arc<str>, NameSource)> {
        let (name, from) = self.name()?;
        let given = (name.clone(), NameSource::Dns);
        Some(match self.facts.names.contains(&given) {
            true => given,
            false => (name, from),
        })
    }
}
