use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use crate::event::{DropEvent, Event};

/// Events not yet read. When it is full, what matters least goes first, and is counted; a question that is open never goes.
#[derive(Default)]
pub(super) struct Queue {
    events: VecDeque<Event>,
    lost: u64,
    /// Time of the latest event.
    time: f64,
}

impl Queue {
    /// Events kept. Open questions, of which the engine has a few hundred at most, may go beyond.
    pub(super) const MOST: usize = 4_096;

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.lost == 0
    }

    pub(super) fn push(&mut self, event: Event) {
        if self.events.len() >= Self::MOST {
            self.make_room();
        }
        self.time = time(&event);
        self.events.push_back(event);
    }

    /// Moves up to `most` events, the oldest first, behind a count of those that were lost.
    pub(super) fn take(&mut self, most: usize, into: &mut Vec<Event>) {
        if self.lost > 0 {
            into.push(Event::Drop(DropEvent {
                time: self.events.front().map_or(self.time, time),
                reason: UNREAD,
                count: std::mem::take(&mut self.lost),
            }));
        }
        let count = most.min(self.events.len());
        into.extend(self.events.drain(..count));
    }

    fn make_room(&mut self) {
        let flow = |event: &Event| {
            matches!(
                event,
                Event::Flow(_) | Event::Name(_) | Event::Drop(_) | Event::Health(_)
            )
        };
        let finding = |event: &Event| matches!(event, Event::Finding(_));
        let error = |event: &Event| matches!(event, Event::Error(_));
        let _ = self.lose(flow) || self.lose(finding) || self.lose_settled() || self.lose(error);
    }

    /// Whether there was an event of this kind; the oldest of them is gone.
    fn lose(&mut self, kind: impl Fn(&Event) -> bool) -> bool {
        let at = self.events.iter().position(kind);
        let lost = at.and_then(|at| self.events.remove(at)).is_some();
        self.lost += u64::from(lost);
        lost
    }

    /// Loses a question that was put and settled without anybody having seen it.
    fn lose_settled(&mut self) -> bool {
        let answer_to = |event: &Event| match event {
            Event::Answer(answer) => Some(answer.question),
            _ => None,
        };
        let answered: FxHashSet<u64> = self.events.iter().filter_map(answer_to).collect();
        let settled = self.events.iter().find_map(|event| match event {
            Event::Ask(ask) if answered.contains(&ask.question) => Some(ask.question),
            _ => None,
        });
        let Some(question) = settled else {
            return false;
        };
        self.lose(|event| matches!(event, Event::Ask(ask) if ask.question == question))
            && self.lose(|event| answer_to(event) == Some(question))
    }
}

fn time(event: &Event) -> f64 {
    match event {
        Event::Flow(event) => event.time,
        Event::Finding(event) => event.time,
        Event::Ask(event) => event.time,
        Event::Answer(event) => event.time,
        Event::Name(event) => event.time,
        Event::Drop(event) => event.time,
        Event::Error(event) => event.time,
        Event::Health(event) => event.time,
    }
}

/// The reason of a `drop` event that counts events, not packets.
const UNREAD: &str = "unread";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        Action, AnswerEvent, AnsweredBy, AskEvent, ErrorEvent, HealthEvent, NameEvent, Proto, Scope,
    };

    fn name(n: usize) -> Event {
        Event::Name(NameEvent {
            time: n as f64,
            name: format!("{n}.example").into(),
            addresses: Vec::new(),
            verdict: Action::Allow,
            rule: "default.connection".into(),
        })
    }

    fn error() -> Event {
        Event::Error(ErrorEvent {
            time: 0.0,
            message: "a fault".into(),
        })
    }

    fn ask(question: u64) -> Event {
        Event::Ask(AskEvent {
            time: 0.0,
            question,
            flow: 1,
            proto: Proto::Tcp,
            dst: "203.0.113.9:80".parse().unwrap(),
            app: None,
            name: None,
            name_from: None,
            findings: Vec::new(),
            rule: "default.leak".into(),
            timeout: 30.0,
            fallback: Action::Block,
        })
    }

    fn answer(question: u64) -> Event {
        Event::Answer(AnswerEvent {
            time: 0.0,
            question,
            verdict: Action::Block,
            scope: Scope::Once,
            by: AnsweredBy::Timeout,
        })
    }

    fn drain(queue: &mut Queue) -> Vec<Event> {
        let mut events = Vec::new();
        queue.take(usize::MAX, &mut events);
        events
    }

    #[test]
    fn the_oldest_names_and_flows_are_lost_and_counted() {
        let mut queue = Queue::default();
        queue.push(error());
        queue.push(ask(1));
        for n in 0..Queue::MOST + 8 {
            queue.push(name(n));
        }
        let events = drain(&mut queue);
        assert_eq!(events.len(), 1 + Queue::MOST);
        assert!(
            matches!(&events[0], Event::Drop(lost) if lost.count == 10 && lost.reason == UNREAD)
        );
        assert_eq!(events[1..3], [error(), ask(1)]);
        assert_eq!(events[3], name(10));
        assert!(queue.is_empty());
        queue.push(name(0));
        assert_eq!(drain(&mut queue), [name(0)], "a loss is told once");
    }

    #[test]
    fn probes_make_room_for_what_matters_more() {
        let mut queue = Queue::default();
        for probe in 0..Queue::MOST {
            queue.push(Event::Health(HealthEvent {
                time: probe as f64,
                healthy: true,
                latency: Some(0.001),
            }));
        }
        queue.push(error());
        let events = drain(&mut queue);
        assert!(matches!(&events[0], Event::Drop(lost) if lost.count == 1));
        assert!(matches!(&events[1], Event::Health(oldest) if oldest.time == 1.0));
        assert_eq!(events.last(), Some(&error()));
    }

    #[test]
    fn an_open_question_is_never_lost() {
        let mut queue = Queue::default();
        for question in 0..2 * Queue::MOST as u64 {
            queue.push(ask(question));
        }
        assert_eq!(drain(&mut queue).len(), 2 * Queue::MOST);
    }

    #[test]
    fn questions_settled_unseen_do_not_pile_up() {
        let mut queue = Queue::default();
        queue.push(answer(0));
        queue.push(ask(u64::MAX));
        for question in 1..2 * Queue::MOST as u64 {
            queue.push(ask(question));
            queue.push(answer(question));
        }
        let events = drain(&mut queue);
        assert!(events.len() <= Queue::MOST + 1);
        assert!(events.contains(&answer(0)), "its question was seen");
        assert!(events.contains(&ask(u64::MAX)), "it is open");
    }

    #[test]
    fn a_batch_has_its_limit() {
        let mut queue = Queue::default();
        (0..5).for_each(|n| queue.push(name(n)));
        let mut batch = Vec::new();
        queue.take(2, &mut batch);
        assert_eq!(batch, [name(0), name(1)]);
        assert_eq!(drain(&mut queue).len(), 3);
    }
}
