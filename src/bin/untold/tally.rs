//! What a run came to.

use std::collections::BTreeMap;

use untold::event::{Action, Event};

use crate::{
    paint::{Look, Paint},
    print::word,
};

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub flows: u64,
    pub flows_blocked: u64,
    pub findings: u64,
    pub blocked: u64,
    /// Findings that neither a rule with `sends` nor an answer approved.
    pub unapproved: u64,
    pub names_blocked: u64,
    /// Payload bytes that left, and how many of them could not be read, by reason, in how many flows.
    pub bytes_out: u64,
    pub opaque: BTreeMap<String, (u64, u64)>,
    pub drops: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// 1 where an identifier went, or tried to go, where nobody approved it; else `otherwise`.
    pub fn status(&self, otherwise: u8) -> u8 {
        if self.unapproved > 0 { 1 } else { otherwise }
    }

    /// Takes in one event.
    pub fn count(&mut self, event: &Event) {
        match event {
            Event::Flow(flow) => {
                self.flows += 1;
                self.flows_blocked += u64::from(flow.verdict == Action::Block);
                self.bytes_out += flow.bytes_out;
                if let Some(why) = flow.opaque {
                    let (flows, bytes) = self.opaque.entry(word(&why)).or_default();
                    *flows += 1;
                    *bytes += flow.opaque_bytes;
                }
            }
            Event::Finding(found) => {
                self.findings += 1;
                self.unapproved += u64::from(!found.approved);
                self.blocked += u64::from(found.verdict == Action::Block);
            }
            Event::Name(name) => self.names_blocked += u64::from(name.verdict == Action::Block),
            Event::Drop(dropped) => *self.drops.entry(dropped.reason).or_default() += dropped.count,
            _ => {}
        }
    }
}

/// The lines at the end.
pub fn summary(paint: Paint, tally: &Tally) -> Vec<String> {
    let mut parts = vec![match tally.flows_blocked {
        0 => count(tally.flows, "flow"),
        blocked => format!("{} ({blocked} blocked)", count(tally.flows, "flow")),
    }];
    if tally.findings == 0 {
        parts.push("no identifier found".into());
    } else {
        let passed = tally.findings - tally.blocked;
        let mut of = Vec::new();
        if tally.blocked > 0 {
            of.push(format!("{} blocked", tally.blocked));
        }
        if passed > 0 {
            of.push(format!("{passed} passed"));
        }
        parts.push(format!(
            "{}: {}",
            count(tally.findings, "finding"),
            of.join(", ")
        ));
    }
    if tally.names_blocked > 0 {
        parts.push(format!("{} blocked", count(tally.names_blocked, "name")));
    }
    let look = match tally.unapproved {
        0 => Look::Green,
        _ => Look::Red,
    };
    let mut lines = vec![paint.paint(look, parts.join(", ")).to_string()];
    if !tally.opaque.is_empty() {
        let reasons: Vec<String> = tally
            .opaque
            .iter()
            .map(|(why, (flows, bytes))| {
                format!("{why} {} in {}", size(*bytes), count(*flows, "flow"))
            })
            .collect();
        let line = format!(
            "could not be read: {} of {} sent",
            reasons.join(", "),
            size(tally.bytes_out)
        );
        lines.push(paint.paint(Look::Dim, line).to_string());
    }
    if !tally.drops.is_empty() {
        let total: u64 = tally.drops.values().sum();
        let reasons: Vec<String> = tally
            .drops
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        let line = format!("{} dropped: {}", count(total, "packet"), reasons.join(", "));
        lines.push(paint.paint(Look::Dim, line).to_string());
    }
    lines
}

fn count(n: u64, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use untold::event::{DropEvent, Opaque};

    use super::*;
    use crate::print::tests::{flow, found};

    #[test]
    fn only_what_nobody_approved_makes_the_status_1() {
        let mut tally = Tally::default();
        tally.count(&Event::Finding(found(Action::Allow, true)));
        assert_eq!(tally.status(0), 0);
        assert_eq!(tally.status(7), 7);
        tally.count(&Event::Finding(found(Action::Block, false)));
        assert_eq!((tally.status(0), tally.status(7)), (1, 1));
    }

    #[test]
    fn the_summary_counts_and_admits_what_could_not_be_read() {
        let mut tally = Tally::default();
        tally.count(&Event::Finding(found(Action::Block, false)));
        tally.count(&Event::Flow(flow(Action::Block, None, 0)));
        tally.count(&Event::Flow(flow(Action::Allow, Some(Opaque::Tls), 2048)));
        tally.count(&Event::Drop(DropEvent {
            time: 0.0,
            reason: "checksum",
            count: 3,
        }));
        let lines = summary(Paint::plain(None), &tally);
        assert_eq!(
            lines,
            [
                "2 flows (1 blocked), 1 finding: 1 blocked",
                "could not be read: tls 1.0 KiB in 1 flow of 2.0 KiB sent",
                "3 packets dropped: checksum 3",
            ]
        );
    }
}
