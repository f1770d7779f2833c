//! Events on their way to another language: the engine's thread never waits for those who read them.

mod queue;

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use crate::event::Event;
use queue::Queue;

/// Gets events, on a thread of its own ("untold-events").
pub trait Deliver: Send {
    /// Takes some events, a JSON object a line.
    fn batch(&mut self, lines: &[u8]);

    /// Learns that there is nothing more to come, and why, if nobody asked for it.
    fn end(&mut self, reason: Option<&str>);
}

/// The engine's end. Dropping it is the end of the events.
pub struct Inlet(Arc<Shared>);

/// The other end, before there is somebody to deliver to.
pub struct Outbox(Arc<Shared>);

/// The thread that delivers.
pub struct Delivery {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// Makes a queue with its two ends.
pub fn outbox() -> (Inlet, Outbox) {
    let shared = Arc::new(Shared::default());
    (Inlet(shared.clone()), Outbox(shared))
}

impl Inlet {
    /// Queues an event, at the cost of an older one where the queue is full.
    pub fn push(&self, event: Event) {
        let mut state = self.0.lock();
        if let Event::Error(error) = &event {
            state.fault = Some(error.message.clone());
        }
        state.queue.push(event);
        drop(state);
        self.0.changed.notify_one();
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_one();
    }
}

impl Outbox {
    /// Starts to deliver.
    ///
    /// # Errors
    /// Where there can be no further thread.
    pub fn deliver(self, to: Box<dyn Deliver>) -> io::Result<Delivery> {
        let shared = self.0.clone();
        let thread = thread::Builder::new()
            .name("untold-events".into())
            .spawn(move || shared.deliver(to))?;
        Ok(Delivery {
            shared: self.0,
            thread,
        })
    }
}

impl Delivery {
    /// Says that an end from now on is one that somebody asked for.
    pub fn expect_end(&self) {
        self.shared.lock().expected = true;
    }

    /// Waits until all is delivered. The [`Inlet`] must be gone, or go.
    pub fn join(self) {
        // A receiver that panics has seen its last event; who waits here has nothing to do about it.
        let _ = self.thread.join();
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue,
    closed: bool,
    expected: bool,
    /// What went wrong last.
    fault: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, mut to: Box<dyn Deliver>) {
        let mut batch = Vec::new();
        let mut lines = Vec::new();
        loop {
            let idle = |state: &mut State| state.queue.is_empty() && !state.closed;
            let mut state = self
                .changed
                .wait_while(self.lock(), idle)
                .unwrap_or_else(PoisonError::into_inner);
            state.queue.take(BATCH, &mut batch);
            if batch.is_empty() {
                let reason = match state.expected {
                    true => None,
                    false => Some(state.fault.take().unwrap_or_else(|| UNKNOWN.into())),
                };
                drop(state);
                return to.end(reason.as_deref());
            }
            drop(state);
            lines.clear();
            for event in batch.drain(..) {
                // Plain data and a vector that grows: there is nothing to fail.
                if serde_json::to_writer(&mut lines, &event).is_ok() {
                    lines.push(b'\n');
                }
            }
            to.batch(&lines);
        }
    }
}

/// Events in one batch, at most.
const BATCH: usize = 256;
const UNKNOWN: &str = "the engine ended by a fault of its own";

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::event::{DropEvent, ErrorEvent};

    /// Passes on what it gets, each time it is allowed to.
    struct Post {
        got: Sender<Result<String, Option<String>>>,
        gate: Receiver<()>,
    }

    impl Deliver for Post {
        fn batch(&mut self, lines: &[u8]) {
            let lines = String::from_utf8(lines.to_vec()).unwrap();
            self.got.send(Ok(lines)).unwrap();
            let _ = self.gate.recv();
        }

        fn end(&mut self, reason: Option<&str>) {
            self.got.send(Err(reason.map(str::to_owned))).unwrap();
        }
    }

    struct Scene {
        inlet: Inlet,
        delivery: Delivery,
        got: Receiver<Result<String, Option<String>>>,
        gate: Sender<()>,
    }

    fn scene() -> Scene {
        let (inlet, outbox) = outbox();
        let (got_from, got) = channel();
        let (gate, gated) = channel();
        let post = Post {
            got: got_from,
            gate: gated,
        };
        let delivery = outbox.deliver(Box::new(post)).unwrap();
        Scene {
            inlet,
            delivery,
            got,
            gate,
        }
    }

    fn dropped(count: u64) -> Event {
        Event::Drop(DropEvent {
            time: 0.5,
            reason: "test",
            count,
        })
    }

    #[test]
    fn events_that_come_while_a_batch_is_read_make_the_next_one() {
        let Scene {
            inlet,
            delivery,
            got,
            gate,
        } = scene();
        inlet.push(dropped(1));
        let line = |count| {
            format!("{{\"event\":\"drop\",\"time\":0.5,\"reason\":\"test\",\"count\":{count}}}\n")
        };
        assert_eq!(got.recv().unwrap(), Ok(line(1)));
        inlet.push(dropped(2));
        inlet.push(dropped(3));
        gate.send(()).unwrap();
        assert_eq!(got.recv().unwrap(), Ok(line(2) + &line(3)));
        delivery.expect_end();
        drop(inlet);
        drop(gate);
        assert_eq!(got.recv().unwrap(), Err(None));
        delivery.join();
    }

    #[test]
    fn an_end_that_nobody_asked_for_has_the_last_fault_as_its_reason() {
        for (fault, reason) in [
            (Some("the tun is gone"), "the tun is gone"),
            (None, UNKNOWN),
        ] {
            let Scene {
                inlet,
                delivery,
                got,
                gate,
            } = scene();
            drop(gate);
            if let Some(message) = fault {
                inlet.push(Event::Error(ErrorEvent {
                    time: 0.0,
                    message: message.into(),
                }));
                assert!(got.recv().unwrap().is_ok());
            }
            drop(inlet);
            assert_eq!(got.recv().unwrap(), Err(Some(reason.into())));
            delivery.join();
        }
    }
}
