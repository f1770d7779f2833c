//! A seeded forwarder of packets between two descriptors, which loses, delays, reorders and duplicates.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::noise::Noise;

/// What is done to packets, the same in both directions. Shares are per 1,000 packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub seed: u64,
    pub lost: u32,
    pub duplicated: u32,
    /// Held back by [`OVERTAKEN`], so that later packets overtake.
    pub reordered: u32,
    /// Added to every packet.
    pub delay: Duration,
    /// Up to this much more, evenly spread: reorders too.
    pub jitter: Duration,
}

/// A running forwarder; dropping it ends it.
pub struct FaultLink {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

/// What happened so far, both directions together.
#[derive(Debug, Default)]
pub struct Counts {
    pub forwarded: AtomicU64,
    pub lost: AtomicU64,
    pub duplicated: AtomicU64,
    pub held_back: AtomicU64,
    /// Lost because the link's own queue was full.
    pub overflowed: AtomicU64,
}

impl FaultLink {
    /// Forwards whole packets between `one` and `other` (tuns, or sockets that keep message boundaries;
    /// non-blocking), on a thread of its own.
    pub fn start(one: OwnedFd, other: OwnedFd, faults: Faults) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let ends = [File::from(one), File::from(other)];
        let lanes = [Lane::new(faults, 0), Lane::new(faults, 1)];
        let thread = thread::spawn({
            let (stop, counts) = (Arc::clone(&stop), Arc::clone(&counts));
            move || forward(ends, lanes, &stop, &counts)
        });
        Self {
            stop,
            counts,
            thread: Some(thread),
        }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for FaultLink {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One direction: what is on its way, by when it is due.
struct Lane {
    faults: Faults,
    noise: Noise,
    queue: BTreeMap<(Instant, u64), Vec<u8>>,
    sequence: u64,
}

impl Lane {
    fn new(faults: Faults, direction: u64) -> Self {
        let noise = Noise::new(faults.seed.wrapping_mul(2).wrapping_add(direction));
        Self {
            faults,
            noise,
            queue: BTreeMap::new(),
            sequence: 0,
        }
    }

    fn accept(&mut self, packet: &[u8], now: Instant, counts: &Counts) {
        if self.noise.happens(self.faults.lost) {
            counts.lost.fetch_add(1, Relaxed);
            return;
        }
        let copies = if self.noise.happens(self.faults.duplicated) {
            2
        } else {
            1
        };
        counts.duplicated.fetch_add(copies - 1, Relaxed);
        for _ in 0..copies {
            if self.queue.len() >= QUEUE {
                counts.overflowed.fetch_add(1, Relaxed);
                return;
            }
            let mut due = now + self.faults.delay;
            if let Some(jitter) = u64::try_from(self.faults.jitter.as_micros())
                .ok()
                .filter(|us| *us > 0)
            {
                due += Duration::from_micros(self.noise.next() % jitter);
            }
            if self.noise.happens(self.faults.reordered) {
                due += OVERTAKEN;
                counts.held_back.fetch_add(1, Relaxed);
            }
            self.queue.insert((due, self.sequence), packet.to_vec());
            self.sequence += 1;
        }
    }

    fn deliver(&mut self, to: &mut File, now: Instant, counts: &Counts) {
        while let Some(first) = self.queue.first_entry() {
            if first.key().0 > now {
                return;
            }
            match to.write(first.get()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // A device that is down or gone takes nothing: as a cable that was pulled.
                Ok(_) | Err(_) => drop(first.remove()),
            }
            counts.forwarded.fetch_add(1, Relaxed);
        }
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        let (due, _) = self.queue.first_key_value()?.0;
        Some(
            due.saturating_duration_since(now)
                .max(Duration::from_millis(1)),
        )
    }
}

fn forward(mut ends: [File; 2], mut lanes: [Lane; 2], stop: &AtomicBool, counts: &Counts) {
    let mut packet = vec![0; 65_536];
    while !stop.load(Relaxed) {
        let now = Instant::now();
        let wait = lanes.iter().filter_map(|lane| lane.wait(now)).min();
        sleep_until_readable(&ends, wait.unwrap_or(IDLE).min(IDLE));
        for (from, lane) in lanes.iter_mut().enumerate() {
            for _ in 0..BATCH {
                match ends[from].read(&mut packet) {
                    Ok(0) | Err(_) => break,
                    Ok(len) => lane.accept(&packet[..len], Instant::now(), counts),
                }
            }
            lane.deliver(&mut ends[1 - from], Instant::now(), counts);
        }
    }
}

fn sleep_until_readable(ends: &[File; 2], wait: Duration) {
    let interest = |end: &File| libc::pollfd {
        fd: end.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut interests = ends.each_ref().map(interest);
    let millis = i32::try_from(wait.as_millis()).expect("waits are short");
    // SAFETY: the array outlives the call and its length is the one given.
    unsafe { libc::poll(interests.as_mut_ptr(), 2, millis) };
}

/// How long a reordered packet is held back.
const OVERTAKEN: Duration = Duration::from_millis(4);
/// Packets on their way in one direction; more are lost.
const QUEUE: usize = 4_096;
/// Packets read before the other direction has its turn.
const BATCH: usize = 64;
/// The longest sleep: how late a stop may be noticed.
const IDLE: Duration = Duration::from_millis(20);
