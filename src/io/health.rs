//! Whether packets get through: probes that cross the tunnel itself.

use std::{
    io,
    net::UdpSocket,
    sync::{
        Weak,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use super::EventSink;
use crate::event::{Event, HealthEvent};

/// A thread that sends probes; it ends once its `Health` is gone.
pub(super) struct Health {
    _ends: Sender<()>,
}

impl Health {
    /// Sends a probe by `socket` at once and then `every` so often, and tells `events` what became of each. Event times
    /// count from `started`.
    pub(super) fn start(
        socket: UdpSocket,
        every: Duration,
        started: Instant,
        events: Weak<EventSink>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        let (ends, ended) = mpsc::channel();
        thread::Builder::new()
            .name("untold-health".into())
            .spawn(move || {
                for number in 0u64.. {
                    let latency = probe(&socket, number);
                    let Some(events) = events.upgrade() else {
                        return;
                    };
                    events.tell(Event::Health(HealthEvent {
                        time: started.elapsed().as_secs_f64(),
                        healthy: latency.is_some(),
                        latency: latency.map(|latency| latency.as_secs_f64()),
                    }));
                    drop(events);
                    let waited = ended.recv_timeout(every);
                    if waited != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })?;
        Ok(Self { _ends: ends })
    }
}

/// How long a probe took there and back; `None` where it was lost.
fn probe(socket: &UdpSocket, number: u64) -> Option<Duration> {
    let asked = Instant::now();
    let message = number.to_be_bytes();
    socket.send(&message).ok()?;
    let mut answer = [0; 64];
    loop {
        let left = PATIENCE.checked_sub(asked.elapsed())?;
        socket
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .ok()?;
        match socket.recv(&mut answer) {
            // One that came late answers an earlier probe.
            Ok(len) if answer.get(..len) == Some(&message) => return Some(asked.elapsed()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// A probe that takes longer is lost: the tunnel stands still.
const PATIENCE: Duration = Duration::from_secs(3);
