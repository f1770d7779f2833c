use std::{cmp::Reverse, sync::Arc};

use super::{Context, Notice};
use crate::{
    decode::{Budget, Effort, Scratch},
    detect::Sighting,
    event::{Action, Confidence, Finding, Kind, Opaque, Place, Verdict, Wrapper},
};

/// What one unit (a message, a datagram, a stretch of a stream) was found to carry.
#[derive(Default)]
pub(super) struct Unit {
    /// Owns nothing until something is found.
    found: Found,
    budget: Budget,
    told_budget: bool,
    /// Something could not be followed.
    lost: bool,
    /// Lent by the caller while the stream runs.
    scratch: Scratch,
}

/// Findings of a unit: few units have any.
#[derive(Debug, Default)]
pub(super) struct Found(Option<Box<Findings>>);

/// Findings: those told, and those since.
#[derive(Debug, Default)]
struct Findings {
    told: Vec<(u32, Finding)>,
    fresh: Vec<(u32, Finding)>,
    /// What counts only if something registered is found too.
    doubtful: Vec<(u32, Finding)>,
    /// Items of lists: the list's value, the item's number, and the finding that enough of them make.
    parts: Vec<(u32, u32, Finding)>,
}

/// Where a value stands.
pub(super) struct Stands {
    /// On the wire, from the start of the place.
    pub(super) offset: u64,
    /// In which wrappers, outermost first.
    pub(super) chain: Vec<Wrapper>,
    /// Under which name.
    pub(super) field: Option<Arc<str>>,
}

impl Unit {
    /// Begins the next unit.
    pub(super) fn renew(&mut self) {
        self.found = Found::default();
        self.budget.renew();
        self.told_budget = false;
        self.lost = false;
    }

    /// Takes the caller's buffers, or gives them back.
    pub(super) fn swap_scratch(&mut self, scratch: &mut Scratch) {
        std::mem::swap(&mut self.scratch, scratch);
    }

    /// Adds what `bytes` newly arrived bytes entitle to.
    pub(super) fn grant(&mut self, bytes: usize) {
        self.budget.grant(bytes);
    }

    /// The caller's buffers.
    pub(super) fn scratch(&mut self) -> &mut Scratch {
        &mut self.scratch
    }

    /// Something in the unit could not be followed within its bounds: that is told as a spent budget is.
    pub(super) fn lose(&mut self) {
        self.lost = true;
    }

    /// Whether something in it was left unread.
    pub(super) fn is_spent(&self) -> bool {
        self.budget.is_spent() || self.lost
    }

    /// What reading took, from the first unit on.
    pub(super) fn effort(&self) -> Effort {
        self.budget.effort()
    }

    pub(super) fn parts(&mut self) -> (&mut Found, &mut Budget, &mut Scratch) {
        (&mut self.found, &mut self.budget, &mut self.scratch)
    }

    /// Judges what was found since the last time and tells of it. `allowed` are kinds that a person let go. `None`:
    /// there is nothing new to judge, or it may go.
    pub(super) fn judge(&mut self, allowed: &[Kind], cx: &mut Context<'_>) -> Option<Verdict> {
        let leak = self.judge_findings(allowed, cx);
        let oversize = self.judge_budget(cx);
        leak.into_iter()
            .chain(oversize)
            .max_by_key(|verdict| verdict.action)
    }

    /// The kinds found so far.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        let told = self.found.0.iter().flat_map(|found| &found.told);
        told.map(|(_, finding)| &finding.kind)
    }

    fn judge_findings(&mut self, allowed: &[Kind], cx: &mut Context<'_>) -> Option<Verdict> {
        let found = self.found.0.as_deref_mut()?;
        found.settle_doubts();
        if found.fresh.is_empty() {
            return None;
        }
        let mut fresh = std::mem::take(&mut found.fresh);
        fresh.sort_by_key(|(value, finding)| (finding.at, finding.offset, *value));
        let mut kinds: Vec<(Kind, Confidence)> = Vec::new();
        for (_, finding) in found.told.iter().chain(&fresh) {
            let known = (finding.kind.clone(), finding.confidence);
            if !allowed.contains(&finding.kind) && !kinds.contains(&known) {
                kinds.push(known);
            }
        }
        let verdict = if kinds.is_empty() {
            Verdict {
                action: Action::Allow,
                rule: ANSWER.into(),
                approved: true,
            }
        } else {
            settle(cx.rules.policy.leak(cx.facts, &kinds), cx)
        };
        for (_, finding) in &fresh {
            cx.notices.push(Notice::Finding {
                finding: finding.clone(),
                verdict: verdict.clone(),
            });
        }
        found.told.append(&mut fresh);
        (verdict.action != Action::Allow).then_some(verdict)
    }

    fn judge_budget(&mut self, cx: &mut Context<'_>) -> Option<Verdict> {
        if self.told_budget || !self.is_spent() {
            return None;
        }
        self.told_budget = true;
        cx.notices.push(Notice::Opaque(Opaque::Budget));
        let verdict = settle(cx.rules.policy.oversize(), cx);
        (verdict.action != Action::Allow).then_some(verdict)
    }
}

impl Found {
    /// Takes a sighting; `wire` says where it stands, and is asked only if the value is not known at the place.
    /// Of several sightings since the last judgement the first on the wire counts; of those at one place, the one that
    /// explains most. One that does not count `alone` waits for something registered.
    pub(super) fn see(
        &mut self,
        sighting: &Sighting,
        at: Place,
        alone: bool,
        wire: impl FnOnce() -> Stands,
    ) {
        let found = self.0.get_or_insert_default();
        let same =
            |(_, finding): &(u32, Finding)| finding.hash == sighting.hash && finding.at == at;
        if found.told.iter().any(same) {
            return;
        }
        let Stands {
            offset,
            chain,
            field,
        } = wire();
        let finding = Finding {
            kind: sighting.kind.clone(),
            confidence: sighting.confidence,
            chain,
            spelling: sighting.spelling,
            last4: sighting.last4.clone(),
            hash: sighting.hash.clone(),
            at,
            offset,
            field,
        };
        match sighting.part {
            Some(part) => found.see_part(sighting.value, part, finding),
            None if alone => keep(&mut found.fresh, sighting.value, finding),
            None => keep(&mut found.doubtful, sighting.value, finding),
        }
    }
}

impl Findings {
    /// Takes an item of a list; enough different ones are a finding where the first of them is.
    fn see_part(&mut self, value: u32, part: u32, finding: Finding) {
        let of_list =
            |(list, _, known): &&(u32, u32, Finding)| *list == value && known.at == finding.at;
        let known: Vec<_> = self.parts.iter().filter(of_list).collect();
        if known.iter().any(|(_, number, _)| *number == part) || known.len() == Sighting::PARTS {
            return;
        }
        let first = known.iter().map(|(_, _, known)| known).chain([&finding]);
        let first = first.min_by_key(|known| known.offset).cloned();
        let enough = known.len() + 1 == Sighting::PARTS;
        self.parts.push((value, part, finding));
        if let Some(first) = first.filter(|_| enough) {
            keep(&mut self.fresh, value, first);
        }
    }

    /// What waited for something registered is a finding once there is some.
    fn settle_doubts(&mut self) {
        let exact = |(_, finding): &(u32, Finding)| finding.confidence == Confidence::Exact;
        if self.doubtful.is_empty() || !self.told.iter().chain(&self.fresh).any(exact) {
            return;
        }
        for (value, finding) in std::mem::take(&mut self.doubtful) {
            let same =
                |(_, known): &(u32, Finding)| known.hash == finding.hash && known.at == finding.at;
            if !self.told.iter().any(same) {
                keep(&mut self.fresh, value, finding);
            }
        }
    }
}

/// Adds a finding unless the value is there already, where the earlier one on the wire counts.
fn keep(findings: &mut Vec<(u32, Finding)>, value: u32, finding: Finding) {
    let order = |finding: &Finding| {
        let opened = finding.chain.iter().filter(|wrapper| wrapper.is_opened());
        let (opened, layers) = (opened.count(), finding.chain.len());
        (finding.offset, Reverse(opened), layers, finding.spelling)
    };
    let same =
        |(_, known): &&mut (u32, Finding)| known.hash == finding.hash && known.at == finding.at;
    match findings.iter_mut().find(same) {
        Some((_, before)) if order(&finding) < order(before) => *before = finding,
        Some(_) => {}
        None => findings.push((value, finding)),
    }
}

/// A question that nobody can answer gets the policy's fallback, and keeps the name of its rule.
pub(super) fn settle(verdict: Verdict, cx: &Context<'_>) -> Verdict {
    match verdict.action {
        Action::Ask if !cx.can_ask => Verdict {
            action: cx.rules.policy.ask_fallback(),
            ..verdict
        },
        Action::Allow | Action::Ask | Action::Block => verdict,
    }
}

/// The rule of what a person let go in this flow.
const ANSWER: &str = "answer";
