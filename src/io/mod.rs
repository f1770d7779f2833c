//! The only place with descriptors, clocks and threads. [`Handle`] is what shells hold.

pub mod descriptors;
mod device;
mod errqueue;
mod finder;
#[cfg(any(feature = "jni", feature = "capi"))]
pub mod foreign;
mod handshake;
mod health;
#[cfg(feature = "cli")]
mod netlink;
#[cfg(feature = "cli")]
pub mod netns;
#[cfg(any(feature = "jni", feature = "capi"))]
pub mod outbox;
#[cfg(feature = "cli")]
pub mod owner;
#[cfg(any(feature = "jni", feature = "capi"))]
pub mod panics;
#[cfg(feature = "cli")]
mod passing;
#[cfg(feature = "cli")]
pub mod pcap;
mod reactor;
pub mod record;
mod relayed;
mod segments;
#[cfg(feature = "cli")]
pub mod signal;
mod sink;
mod socket;
#[cfg(feature = "cli")]
pub mod tty;
#[cfg(feature = "cli")]
pub mod tun;
#[cfg(feature = "cli")]
pub mod watch;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        mpsc::{self, Sender, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::Waker;

use crate::{
    engine::{Answer, Config, Load, MemoryPressure, Network, OwnerId},
    event::{Event, Proto, QuestionNumber},
    inspect::Rules,
};
use health::Health;
use reactor::Reactor;

pub use crate::wire::Pair;

/// Keeps our own sockets out of the tunnel.
pub trait Protect: Send {
    /// Called on each socket before it is connected or sent from; on an error the socket is closed, never used.
    fn protect(&self, socket: BorrowedFd<'_>) -> io::Result<()>;
}

/// Finds out which app a flow belongs to.
pub trait FindOwner: Send {
    /// Called on a thread of its own, one flow at a time, never on the engine's. `pair` is as the app's kernel sees it.
    /// Returns executable or package names and `uid:N`; empty where unknown. What takes longer than 250 ms counts as
    /// unknown, and must end all the same: [`Handle::stop`] waits for it.
    fn find(&mut self, proto: Proto, pair: Pair) -> Vec<Arc<str>>;
}

/// How to run.
pub struct Options {
    /// Engine settings.
    pub config: Config,
    /// First policy and identity.
    pub rules: Rules,
    /// How sockets are kept out of the tunnel (`SO_MARK`, `SO_BINDTODEVICE`, `VpnService.protect`, nothing).
    pub protect: Box<dyn Protect>,
    /// How owners are found; without it they are unknown.
    pub owners: Option<Box<dyn FindOwner>>,
    /// Where packets, and what else verdicts stand on, are recorded, if they are.
    pub record: Option<record::Recording>,
    /// A remote end that is inside this process instead, if there is to be one: TCP connections to it are judged like any
    /// other, but no packet leaves. It takes and forgets every byte; once a client has ended its side it answers `HTTP/1.1
    /// 204` with the fields `Sink-Bytes` and `Sink-SHA-256`, which tell what has arrived.
    pub sink: Option<SocketAddr>,
    /// Gets every event, one at a time, most of them on the engine's thread; must be quick.
    pub events: Box<dyn FnMut(Event) + Send>,
}

/// A running engine. Dropping it stops the engine as [`Handle::stop`] does.
pub struct Handle {
    requests: Sender<Request>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<io::Result<()>>>,
    /// Let go of by the engine's thread when it ends, so that whoever gets the events hears of that.
    events: Weak<EventSink>,
    started: Instant,
    health: Mutex<Option<Health>>,
}

/// Whoever gets the events, from whatever thread they come.
struct EventSink(Mutex<Box<dyn FnMut(Event) + Send>>);

impl EventSink {
    fn tell(&self, event: Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (*events)(event);
    }
}

/// What a shell asks of the engine's thread.
enum Request {
    Rules(Rules),
    Answer(QuestionNumber, Answer),
    Owner(OwnerId, Vec<Arc<str>>),
    Complain(String),
    Memory(MemoryPressure),
    Network(Network),
    Tun(OwnedFd),
    Load(SyncSender<Load>),
    Stop,
}

impl Handle {
    /// Takes the tun descriptor (or any other that carries one IP packet a read) and starts the engine's thread. Sockets
    /// are opened in the calling thread's network namespace.
    ///
    /// # Errors
    /// Where the poll instance or the thread cannot be made.
    pub fn start(tun: OwnedFd, options: Options) -> io::Result<Handle> {
        let (requests, inbox) = mpsc::channel();
        let started = Instant::now();
        let (reactor, waker) = Reactor::new(tun, options, started, (requests.clone(), inbox))?;
        let events = Arc::downgrade(&reactor.events());
        let thread = thread::Builder::new()
            .name("untold".into())
            .spawn(move || reactor.run())?;
        Ok(Handle {
            requests,
            waker,
            thread: Some(thread),
            events,
            started,
            health: Mutex::new(None),
        })
    }

    /// Swaps policy and identity between two packets.
    pub fn set_rules(&self, rules: Rules) {
        self.request(Request::Rules(rules));
    }

    /// Passes on a person's answer to a question.
    pub fn answer(&self, question: QuestionNumber, answer: Answer) {
        self.request(Request::Answer(question, answer));
    }

    /// Goes on by another network: sockets are protected anew, connections whose own address is gone are reset, those
    /// that wait for an answer are tried again, and the others stay as they are.
    pub fn network_changed(&self, network: Network) {
        self.request(Request::Network(network));
    }

    /// Goes on with another tun descriptor of the same MTU. What is still to be read from the old one is read, then it is
    /// closed; no flow is lost. Where the old one has failed, there are two seconds to give a new one before the engine
    /// ends.
    pub fn set_tun(&self, tun: OwnedFd) {
        self.request(Request::Tun(tun));
    }

    /// Sends probes through the tunnel and tells what became of them as [`Event::Health`]: one at once and one `every` so
    /// often, in place of those sent before. `socket` must be connected to port 7 of one of [`Config::dns`], by a route
    /// that leads into the tun; the engine's thread sends its datagrams back.
    ///
    /// # Errors
    /// Where there can be no thread for it.
    pub fn watch_health(&self, socket: UdpSocket, every: Duration) -> io::Result<()> {
        let health = Health::start(socket, every, self.started, self.events.clone())?;
        let mut place = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(health);
        Ok(())
    }

    /// What is in use now; `None` where the engine's thread does not answer within a second.
    pub fn load(&self) -> Option<Load> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.request(Request::Load(answer));
        answered.recv_timeout(Duration::from_secs(1)).ok()
    }

    /// Sheds memory, and lowers the limits on it until [`MemoryPressure::None`] is told. No accepted byte is lost.
    pub fn set_memory_pressure(&self, pressure: MemoryPressure) {
        self.request(Request::Memory(pressure));
    }

    /// Tells whoever gets the events of something that a person can act on, as an [`Event::Error`].
    pub fn complain(&self, message: String) {
        self.request(Request::Complain(message));
    }

    /// Whether the engine's thread has ended by itself: the tun is gone.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends every flow, emits their `flow` events and the `drop` counts, and waits for the engine's thread and for the
    /// one that looks for owners: neither outlives this call.
    ///
    /// # Errors
    /// What ended the thread before, if it was not this call.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn request(&self, request: Request) {
        // A thread that is gone has nothing to be asked; `stop` tells why.
        if self.requests.send(request).is_ok() {
            let _ = self.waker.wake();
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.request(Request::Stop);
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the engine's thread panicked")))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
