use super::{Context, Notice};
use crate::{
    decode::{Budget, Scratch},
    detect::Sighting,
    event::{Action, Confidence, Finding, Kind, Opaque, Place, Verdict, Wrapper},
};

/// What one unit (a message, a datagram, a stretch of a stream) was found to carry.
#[derive(Default)]
pub(super) struct Unit {
    found: Found,
    budget: Budget,
    told_budget: bool,
    /// Lent by the caller while the stream runs.
    scratch: Scratch,
}

/// Findings of a unit: those told, and those since.
#[derive(Debug, Default)]
pub(super) struct Found {
    told: Vec<(u32, Finding)>,
    fresh: Vec<(u32, Finding)>,
}

impl Unit {
    /// Begins the next unit.
    pub(super) fn renew(&mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        *self = Self {
            scratch,
            ..Self::default()
        };
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
        self.found.told.iter().map(|(_, finding)| &finding.kind)
    }

    fn judge_findings(&mut self, allowed: &[Kind], cx: &mut Context<'_>) -> Option<Verdict> {
        if self.found.fresh.is_empty() {
            return None;
        }
        let mut fresh = std::mem::take(&mut self.found.fresh);
        fresh.sort_by_key(|(value, finding)| (finding.at, finding.offset, *value));
        let mut kinds: Vec<(Kind, Confidence)> = Vec::new();
        for (_, finding) in self.found.told.iter().chain(&fresh) {
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
        self.found.told.append(&mut fresh);
        (verdict.action != Action::Allow).then_some(verdict)
    }

    fn judge_budget(&mut self, cx: &mut Context<'_>) -> Option<Verdict> {
        if self.told_budget || !self.budget.is_spent() {
            return None;
        }
        self.told_budget = true;
        cx.notices.push(Notice::Opaque(Opaque::Budget));
        let verdict = settle(cx.rules.policy.oversize(), cx);
        (verdict.action != Action::Allow).then_some(verdict)
    }
}

impl Found {
    /// Takes a sighting; `wire` gives offset and chain, and is asked only if the value is not known at the place.
    /// Of several sightings since the last judgement the first on the wire counts.
    pub(super) fn see(
        &mut self,
        sighting: &Sighting,
        at: Place,
        wire: impl FnOnce() -> (u64, Vec<Wrapper>),
    ) {
        let same =
            |(value, finding): &&mut (u32, Finding)| *value == sighting.value && finding.at == at;
        if self.told.iter_mut().any(|told| same(&&mut *told)) {
            return;
        }
        let (offset, chain) = wire();
        let finding = Finding {
            kind: sighting.kind.clone(),
            confidence: sighting.confidence,
            chain,
            spelling: sighting.spelling,
            last4: sighting.last4.clone(),
            hash: sighting.hash.clone(),
            at,
            offset,
        };
        let order = |finding: &Finding| (finding.offset, finding.chain.len(), finding.spelling);
        match self.fresh.iter_mut().find(same) {
            Some((_, before)) if order(&finding) < order(before) => *before = finding,
            Some(_) => {}
            None => self.fresh.push((sighting.value, finding)),
        }
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
