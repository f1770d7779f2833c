//! Questions to a person, who waits for them, and the answers that are remembered.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use super::{Engine, Now, Record, TimerKey, Waiter};
use crate::{
    event::{
        Action, AnswerEvent, AnsweredBy, AskEvent, Event, Finding, FindingEvent, Kind, NameSource,
        QuestionNumber, Scope, Verdict,
    },
    flow::still_due,
};

/// A person's word on a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `Allow` or `Block`; `Ask` counts as `Block`.
    pub action: Action,
    /// How far it reaches.
    pub scope: Scope,
}

/// Open questions and remembered answers.
#[derive(Default)]
pub(super) struct Questions {
    open: BTreeMap<QuestionNumber, Question>,
    last: QuestionNumber,
    grants: VecDeque<Grant>,
    pub(super) armed: Option<Duration>,
}

/// What makes two questions the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Subject {
    app: Option<Arc<str>>,
    to: Destination,
    /// In order, each once; none where it is about the connection.
    kinds: Vec<Kind>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    Name(Arc<str>),
    Address(IpAddr),
}

struct Question {
    subject: Subject,
    waiting: Vec<Waiter>,
    deadline: Duration,
    fallback: Action,
}

/// An answer that reaches further than the flows that waited.
struct Grant {
    subject: Subject,
    action: Action,
    until: Option<Duration>,
    once: bool,
}

/// What asking came to.
pub(super) enum Asked {
    /// The flow waits.
    Wait,
    /// It is settled already.
    Settled(Settled),
}

/// How a question ended for one flow.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    pub(super) action: Action,
    /// The rule that events name; none: the one that asked.
    pub(super) rule: Option<Arc<str>>,
    /// Whether a person approved it.
    pub(super) approved: bool,
}

impl Settled {
    /// By a person, now or before.
    fn by_person(action: Action) -> Self {
        Self {
            action,
            rule: Some(ANSWER.into()),
            approved: action == Action::Allow,
        }
    }

    fn by_fallback(action: Action) -> Self {
        Self {
            action,
            rule: None,
            approved: false,
        }
    }

    /// The verdict that takes the place of `asking`.
    pub(super) fn verdict(&self, asking: &Verdict) -> Verdict {
        Verdict {
            action: self.action,
            rule: self.rule.clone().unwrap_or_else(|| asking.rule.clone()),
            approved: self.approved,
        }
    }
}

/// The rule in events behind which a person's answer stands.
const ANSWER: &str = "answer";

impl Questions {
    /// Questions open at a time; a further one takes the fallback at once.
    const MOST: usize = 256;
    /// Answers remembered; the oldest go first.
    const MOST_GRANTS: usize = 1_024;
    /// How long "allow once" waits for a client that has gone to come again (design section 4).
    const ONCE: Duration = Duration::from_secs(600);
    /// Reach of [`Scope::Quarter`].
    const QUARTER: Duration = Duration::from_secs(900);

    fn deadline(&self) -> Option<Duration> {
        self.open.values().map(|question| question.deadline).min()
    }

    pub(super) fn still_due(&mut self, at: Duration) -> Option<Duration> {
        let deadline = self.deadline();
        still_due(&mut self.armed, at, deadline)
    }

    /// A remembered answer; one that counts once is used up.
    fn granted(&mut self, subject: &Subject, now: Duration) -> Option<Action> {
        self.grants
            .retain(|grant| grant.until.is_none_or(|until| until > now));
        let at = self.grants.iter().position(|grant| grant.covers(subject))?;
        let grant = self.grants.get(at)?;
        let action = grant.action;
        if grant.once {
            self.grants.remove(at);
        }
        Some(action)
    }

    fn remember(&mut self, grant: Grant) {
        if self.grants.len() >= Self::MOST_GRANTS {
            self.grants.pop_front();
        }
        self.grants.push_back(grant);
    }
}

impl Grant {
    fn covers(&self, subject: &Subject) -> bool {
        let kinds = match self.action {
            Action::Allow => {
                subject.kinds.is_empty() == self.subject.kinds.is_empty()
                    && subject
                        .kinds
                        .iter()
                        .all(|kind| self.subject.kinds.contains(kind))
            }
            Action::Ask | Action::Block => subject.kinds == self.subject.kinds,
        };
        kinds && subject.app == self.subject.app && subject.to == self.subject.to
    }
}

impl Subject {
    fn new(record: &Record, findings: &[Finding]) -> Self {
        let mut kinds: Vec<Kind> = findings
            .iter()
            .map(|finding| finding.kind.clone())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        // A name that the flow alone gives could be anybody's: an answer about it must not open another address.
        let to = match record.proven_name() {
            Some((name, NameSource::Dns)) => Destination::Name(name),
            _ => Destination::Address(record.facts.dst.ip()),
        };
        Self {
            app: record.facts.app.first().cloned(),
            to,
            kinds,
        }
    }
}

impl Engine {
    /// A person's answer to the question of an [`Event::Ask`]. One that is settled already is
    /// ignored.
    pub fn answer(&mut self, question: QuestionNumber, answer: Answer, now: Now) {
        self.now = now;
        let action = match answer.action {
            Action::Allow => Action::Allow,
            Action::Ask | Action::Block => Action::Block,
        };
        let Some(asked) = self.questions.open.remove(&question) else {
            return;
        };
        let alive = asked.waiting.iter().any(|waiter| self.still_waits(*waiter));
        let (until, once) = match answer.scope {
            Scope::Once if action == Action::Allow && !alive => {
                (Some(now.mono + Questions::ONCE), true)
            }
            Scope::Once | Scope::Flow => (Some(now.mono), false),
            Scope::Quarter => (Some(now.mono + Questions::QUARTER), false),
            Scope::Always => (None, false),
        };
        if until.is_none_or(|until| until > now.mono) {
            self.questions.remember(Grant {
                subject: asked.subject,
                action,
                until,
                once,
            });
        }
        self.tell_answer(question, action, answer.scope, AnsweredBy::Person);
        let settled = Settled::by_person(action);
        for waiter in asked.waiting {
            self.settle_waiter(waiter, &settled);
        }
    }

    /// Puts a question about a flow, unless it is answered already or open already.
    pub(super) fn ask(
        &mut self,
        waiter: Waiter,
        record: &Record,
        findings: &[Finding],
        verdict: &Verdict,
    ) -> Asked {
        let Some(rules) = &self.rules else {
            return Asked::Settled(Settled::by_fallback(Action::Block));
        };
        let (timeout, fallback) = (rules.policy.ask_timeout(), rules.policy.ask_fallback());
        let subject = Subject::new(record, findings);
        if let Some(action) = self.questions.granted(&subject, self.now.mono) {
            return Asked::Settled(Settled::by_person(action));
        }
        let same = self
            .questions
            .open
            .values_mut()
            .find(|question| question.subject == subject);
        if let Some(question) = same {
            question.waiting.push(waiter);
            return Asked::Wait;
        }
        if !self.config.can_ask || self.questions.open.len() >= Questions::MOST {
            return Asked::Settled(Settled::by_fallback(fallback));
        }
        self.questions.last += 1;
        let number = self.questions.last;
        let deadline = self.now.mono + timeout;
        self.questions.open.insert(
            number,
            Question {
                subject,
                waiting: vec![waiter],
                deadline,
                fallback,
            },
        );
        self.timers
            .arm(TimerKey::Questions, deadline, &mut self.questions.armed);
        let (name, name_from) = record.proven_name().unzip();
        self.events.push_back(Event::Ask(AskEvent {
            time: self.since_start().as_secs_f64(),
            question: number,
            flow: record.number,
            proto: record.facts.proto,
            dst: record.facts.dst,
            app: record.facts.app.first().cloned(),
            name,
            name_from,
            findings: findings.to_vec(),
            rule: verdict.rule.clone(),
            timeout: timeout.as_secs_f64(),
            fallback,
        }));
        Asked::Wait
    }

    pub(super) fn questions_timeout(&mut self, at: Duration) {
        if self.questions.armed != Some(at) {
            return;
        }
        self.questions.armed = None;
        let now = self.now.mono;
        let due: Vec<QuestionNumber> = self
            .questions
            .open
            .iter()
            .filter(|(_, question)| question.deadline <= now)
            .map(|(n, _)| *n)
            .collect();
        for number in due {
            if let Some(question) = self.questions.open.remove(&number) {
                self.tell_answer(number, question.fallback, Scope::Flow, AnsweredBy::Timeout);
                let settled = Settled::by_fallback(question.fallback);
                for waiter in question.waiting {
                    self.settle_waiter(waiter, &settled);
                }
            }
        }
        if let Some(at) = self.questions.deadline() {
            self.timers
                .arm(TimerKey::Questions, at, &mut self.questions.armed);
        }
    }

    /// Settles the questions that a new policy answers by itself.
    pub(super) fn judge_questions_again(&mut self) {
        let numbers: Vec<QuestionNumber> = self.questions.open.keys().copied().collect();
        for number in numbers {
            let waiting = self
                .questions
                .open
                .get(&number)
                .map(|question| question.waiting.clone());
            let verdict = waiting
                .into_iter()
                .flatten()
                .find_map(|waiter| self.judge_waiter(waiter));
            let Some(verdict) = verdict.filter(|verdict| verdict.action != Action::Ask) else {
                continue;
            };
            if let Some(question) = self.questions.open.remove(&number) {
                self.tell_answer(number, verdict.action, Scope::Flow, AnsweredBy::Policy);
                let settled = Settled {
                    action: verdict.action,
                    rule: Some(verdict.rule),
                    approved: verdict.approved,
                };
                for waiter in question.waiting {
                    self.settle_waiter(waiter, &settled);
                }
            }
        }
    }

    /// What the policy in force says of a flow that waits.
    fn judge_waiter(&mut self, waiter: Waiter) -> Option<Verdict> {
        let (record, pending) = match waiter {
            Waiter::Tcp(key) => self.tcp_pending(key)?,
            Waiter::Datagrams(key) => self.datagrams_pending(key)?,
        };
        let policy = &self.rules.as_ref()?.policy;
        let connection = policy.connection(&record.facts);
        if pending.is_empty() || connection.action == Action::Block {
            return Some(connection);
        }
        let found: Vec<_> = pending
            .iter()
            .map(|finding| (finding.kind.clone(), finding.confidence))
            .collect();
        Some(policy.leak(&record.facts, &found))
    }

    fn still_waits(&self, waiter: Waiter) -> bool {
        match waiter {
            Waiter::Tcp(key) => self.tcp_still_waits(key),
            Waiter::Datagrams(key) => self.datagrams_still_wait(key),
        }
    }

    fn settle_waiter(&mut self, waiter: Waiter, settled: &Settled) {
        match waiter {
            Waiter::Tcp(key) => self.settle_tcp(key, settled),
            Waiter::Datagrams(key) => self.settle_datagrams(key, settled),
        }
    }

    fn tell_answer(
        &mut self,
        question: QuestionNumber,
        verdict: Action,
        scope: Scope,
        by: AnsweredBy,
    ) {
        let time = self.since_start().as_secs_f64();
        self.events.push_back(Event::Answer(AnswerEvent {
            time,
            question,
            verdict,
            scope,
            by,
        }));
    }

    /// Tells of findings of a flow that has ended before anybody answered: they went nowhere.
    pub(super) fn tell_unsettled(
        events: &mut VecDeque<Event>,
        record: &mut Record,
        findings: Vec<Finding>,
        asking: &Verdict,
        time: Duration,
    ) {
        if findings.is_empty() {
            return;
        }
        record.verdict = Verdict {
            action: Action::Block,
            ..asking.clone()
        };
        Self::tell_findings(events, record, findings, &record.verdict, time);
    }

    /// Tells of findings whose verdict was open until now.
    pub(super) fn tell_findings(
        events: &mut VecDeque<Event>,
        record: &Record,
        findings: Vec<Finding>,
        verdict: &Verdict,
        time: Duration,
    ) {
        for finding in findings {
            events.push_back(Event::Finding(FindingEvent {
                time: time.as_secs_f64(),
                flow: record.number,
                proto: record.facts.proto,
                dst: record.facts.dst,
                app: record.facts.app.first().cloned(),
                name: record.name().map(|(name, _)| name),
                finding,
                verdict: verdict.action,
                rule: verdict.rule.clone(),
                approved: verdict.approved,
            }));
        }
    }
}
