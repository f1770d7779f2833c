//! The thread that owners are found on, and how long an answer of its is worth waiting for.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::Waker;

use super::{FindOwner, Request};
use crate::{engine::OwnerId, event::Proto, wire::Pair};

/// Asks on behalf of the engine's thread, which waits for nothing.
///
/// Dropping it waits for the search that is under way, so that whoever searches is called no more once the engine has
/// stopped.
pub(super) struct Finder {
    /// None only while it is dropped.
    questions: Option<SyncSender<Question>>,
    thread: Option<JoinHandle<()>>,
    /// Not answered yet, the oldest first.
    open: VecDeque<(Instant, OwnerId)>,
}

struct Question {
    flow: OwnerId,
    proto: Proto,
    pair: Pair,
    until: Instant,
}

impl Finder {
    /// Starts the thread. Its answers come as [`Request::Owner`].
    pub(super) fn start(
        find: Box<dyn FindOwner>,
        answers: Sender<Request>,
        waker: Arc<Waker>,
    ) -> io::Result<Finder> {
        let (questions, asked) = sync_channel(MOST_OPEN);
        let thread = thread::Builder::new()
            .name("untold-owner".into())
            .spawn(move || answer(find, &asked, &answers, &waker))?;
        Ok(Finder {
            questions: Some(questions),
            thread: Some(thread),
            open: VecDeque::new(),
        })
    }

    /// Whether the owner will be looked for; if so, the flow comes out of [`Finder::found`] or [`Finder::overdue`], once.
    pub(super) fn ask(&mut self, flow: OwnerId, proto: Proto, pair: Pair) -> bool {
        let until = Instant::now() + PATIENCE;
        let question = Question {
            flow,
            proto,
            pair,
            until,
        };
        let asked = self.open.len() < MOST_OPEN
            && self
                .questions
                .as_ref()
                .is_some_and(|asks| asks.try_send(question).is_ok());
        if asked {
            self.open.push_back((until, flow));
        }
        asked
    }

    /// Whether an answer has come in time.
    pub(super) fn found(&mut self, flow: OwnerId) -> bool {
        let at = self.open.iter().position(|(_, open)| *open == flow);
        at.and_then(|at| self.open.remove(at)).is_some()
    }

    /// When the next flow is [`overdue`](Finder::overdue).
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.front().map(|(until, _)| *until)
    }

    /// A flow whose owner was not found in time.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<OwnerId> {
        let (until, flow) = *self.open.front()?;
        if until > now {
            return None;
        }
        self.open.pop_front();
        Some(flow)
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            // A search that panicked has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

fn answer(
    mut find: Box<dyn FindOwner>,
    asked: &Receiver<Question>,
    answers: &Sender<Request>,
    waker: &Waker,
) {
    while let Ok(question) = asked.recv() {
        let Question {
            flow,
            proto,
            pair,
            until,
        } = question;
        if Instant::now() >= until {
            continue;
        }
        let owner = find.find(proto, pair);
        if answers.send(Request::Owner(flow, owner)).is_err() {
            return;
        }
        // Fails only where the poll instance is gone, and with it who waits.
        let _ = waker.wake();
    }
}

/// Flows whose owners are asked for at a time; those beyond are of unknown owners.
const MOST_OPEN: usize = 512;
/// How long a flow waits for its owner.
const PATIENCE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, channel};

    use mio::{Poll, Token};

    use super::*;

    /// Finds what it is told to, when it is told to.
    struct Told(Receiver<Vec<Arc<str>>>);

    impl FindOwner for Told {
        fn find(&mut self, _proto: Proto, _pair: Pair) -> Vec<Arc<str>> {
            self.0.recv().unwrap_or_default()
        }
    }

    /// Its fields go in their order: a search that waits to be told ends before its finder waits for it.
    struct Scene {
        tell: Sender<Vec<Arc<str>>>,
        finder: Finder,
        answers: Receiver<Request>,
        _poll: Poll,
    }

    impl Scene {
        fn new() -> Scene {
            let poll = Poll::new().unwrap();
            let waker = Waker::new(poll.registry(), Token(0)).unwrap();
            let (tell, told) = channel();
            let (requests, answers) = mpsc::channel();
            let finder = Finder::start(Box::new(Told(told)), requests, waker.into()).unwrap();
            Scene {
                tell,
                finder,
                answers,
                _poll: poll,
            }
        }

        fn ask(&mut self, flow: u64) -> bool {
            let pair = Pair {
                src: "198.18.0.2:1025".parse().unwrap(),
                dst: "203.0.113.9:80".parse().unwrap(),
            };
            self.finder.ask(OwnerId::of_flow(flow), Proto::Tcp, pair)
        }

        fn answer(&self) -> Option<(OwnerId, Vec<Arc<str>>)> {
            match self.answers.recv_timeout(Duration::from_secs(10)) {
                Ok(Request::Owner(flow, owner)) => Some((flow, owner)),
                Ok(_) | Err(_) => None,
            }
        }
    }

    #[test]
    fn an_answer_in_time_counts_once() {
        let mut scene = Scene::new();
        assert!(scene.ask(1) && scene.ask(2));
        scene.tell.send(vec!["fetch".into()]).unwrap();
        let (flow, owner) = scene.answer().unwrap();
        assert_eq!((flow, &*owner[0]), (OwnerId::of_flow(1), "fetch"));
        assert!(scene.finder.found(flow));
        assert!(!scene.finder.found(flow));
        assert!(scene.finder.deadline().is_some(), "the other one waits");
    }

    #[test]
    fn what_is_not_found_in_time_is_overdue_and_its_answer_too_late() {
        let mut scene = Scene::new();
        let before = Instant::now();
        assert!(scene.ask(1));
        assert_eq!(scene.finder.overdue(before), None);
        let until = scene.finder.deadline().unwrap();
        assert!(until - before >= PATIENCE);
        assert_eq!(scene.finder.overdue(until), Some(OwnerId::of_flow(1)));
        assert_eq!(scene.finder.overdue(until), None);
        assert_eq!(scene.finder.deadline(), None);
        assert!(!scene.finder.found(OwnerId::of_flow(1)));
    }

    #[test]
    fn a_search_that_does_not_end_bounds_the_questions() {
        let mut scene = Scene::new();
        let asked = (0..2 * MOST_OPEN as u64)
            .filter(|flow| scene.ask(*flow))
            .count();
        assert_eq!(asked, MOST_OPEN);
    }

    #[test]
    fn no_search_outlives_its_finder() {
        let mut scene = Scene::new();
        assert!(scene.ask(1));
        let Scene {
            tell,
            finder,
            answers,
            _poll,
        } = scene;
        let dropping = thread::spawn(move || drop(finder));
        thread::sleep(Duration::from_millis(50));
        assert!(!dropping.is_finished(), "a search is under way");
        drop(tell);
        dropping.join().unwrap();
        let rest: Vec<_> = answers.try_iter().collect();
        assert!(rest.len() <= 1);
        assert!(matches!(
            answers.try_recv(),
            Err(mpsc::TryRecvError::Disconnected)
        ));
    }
}
