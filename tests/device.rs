//! The running engine and the descriptor that its packets come from: started, stopped, replaced, dead.

use std::{
    fs,
    io::{self, Read, Write},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use untold::{
    detect::{Detector, Identity},
    engine::Config,
    event::Event,
    inspect::Rules,
    io::{Handle, Options, Protect},
    policy,
    wire::{self, MAX_HEADER, Pair},
};

struct Nothing;

impl Protect for Nothing {
    fn protect(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }
}

type Events = Arc<Mutex<Vec<Event>>>;

fn start(tun: OwnedFd) -> (Handle, Events) {
    let config = policy::Config::default_policy();
    let rules = Rules {
        detector: Arc::new(Detector::new(&Identity::default(), &[0; 32])),
        policy: Arc::new(policy::Policy::new(config, Vec::new()).unwrap()),
    };
    let events = Events::default();
    let told = events.clone();
    let options = Options {
        config: Config {
            seed: 7,
            mtu: 1_500,
            queue: 500,
            dns: vec!["198.18.0.1".parse().unwrap()],
            resolvers: Vec::new(),
            can_ask: false,
        },
        rules,
        protect: Box::new(Nothing),
        owners: None,
        record: None,
        sink: None,
        events: Box::new(move |event| told.lock().unwrap().push(event)),
    };
    (Handle::start(tun, options).unwrap(), events)
}

/// Two ends of a queue of packets: the app's and the engine's.
fn device() -> (Socket, OwnedFd) {
    let (app, engine) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    app.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (app, engine.into())
}

/// A probe, which the engine sends back.
fn probe(number: u32) -> Vec<u8> {
    let pair = Pair {
        src: "198.18.0.2:4000".parse().unwrap(),
        dst: "198.18.0.1:7".parse().unwrap(),
    };
    let payload = number.to_be_bytes();
    let mut header = [0; MAX_HEADER];
    let n = wire::emit_udp(&mut header, pair, &payload);
    [&header[..n], &payload].concat()
}

fn answered(mut app: &Socket) -> u32 {
    let mut packet = [0; 1_500];
    let len = app.read(&mut packet).expect("an answer in time");
    u32::from_be_bytes(packet[len - 4..len].try_into().unwrap())
}

/// How many descriptors of the kinds that an engine opens are open: libc and the harness read files of /proc and /sys at
/// times of their own.
fn descriptors() -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|what| !what.is_absolute())
        .count()
}

/// Tests of this file count descriptors: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> impl Drop {
    struct Guard(
        #[allow(dead_code, reason = "held for its drop")] std::sync::MutexGuard<'static, ()>,
    );
    impl Drop for Guard {
        fn drop(&mut self) {}
    }
    Guard(ALONE.lock().unwrap_or_else(|error| error.into_inner()))
}

#[test]
fn r2_a_thousand_starts_and_stops_under_traffic_leave_nothing_open_and_read_nobody_elses_file() {
    let _alone = alone();
    let before = descriptors();
    for round in 0..1_000u32 {
        let (mut app, engine) = device();
        let number = engine.as_raw_fd();
        let (handle, _) = start(engine);
        app.write_all(&probe(round)).unwrap();
        if round % 2 == 0 {
            assert_eq!(answered(&app), round);
        }
        handle.stop().unwrap();
        // Whoever gets the number next keeps what is his.
        let (mut other, reused) = device();
        if reused.as_raw_fd() == number {
            other.write_all(b"not a packet of ours").unwrap();
            let mut kept = [0; 100];
            let mut reused = Socket::from(reused);
            assert_eq!(reused.read(&mut kept).unwrap(), 20, "round {round}");
        }
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn r3_the_device_is_replaced_a_thousand_times_and_no_packet_of_the_old_one_is_lost() {
    let _alone = alone();
    let before = descriptors();
    let (mut app, engine) = device();
    let (handle, _) = start(engine);
    for round in 0..1_000 {
        app.write_all(&probe(2 * round)).unwrap();
        let (next, engine) = device();
        let asked = Instant::now();
        handle.set_tun(engine);
        let old = std::mem::replace(&mut app, next);
        app.write_all(&probe(2 * round + 1)).unwrap();
        // Every packet is answered, to whichever device was there when it was.
        let mut answers = vec![answered(&app)];
        if answers != [2 * round] {
            answers.push(answered(&old));
        } else {
            answers.push(answered(&app));
        }
        answers.sort_unstable();
        assert_eq!(answers, [2 * round, 2 * round + 1]);
        assert!(asked.elapsed() < Duration::from_secs(1), "round {round}");
    }
    handle.stop().unwrap();
    drop(app);
    assert_eq!(descriptors(), before);
}

#[test]
fn r3_a_device_that_has_died_can_be_replaced_within_two_seconds() {
    let _alone = alone();
    let (app, engine) = device();
    let (handle, events) = start(engine);
    drop(app);
    std::thread::sleep(Duration::from_millis(500));
    assert!(!handle.is_finished());
    let (mut app, engine) = device();
    handle.set_tun(engine);
    app.write_all(&probe(1)).unwrap();
    assert_eq!(answered(&app), 1);
    drop(app);
    let died = Instant::now();
    while !handle.is_finished() {
        assert!(died.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(died.elapsed() > Duration::from_secs(1));
    assert!(handle.stop().is_err());
    let told = events.lock().unwrap();
    assert!(told.iter().any(|event| matches!(event, Event::Error(_))));
}

#[test]
fn whoever_gets_the_events_is_let_go_of_when_the_device_has_ended() {
    let _alone = alone();
    let (app, tun) = device();
    let (handle, events) = start(tun);
    drop(app);
    let ended = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        Arc::strong_count(&events) == 1
    });
    assert!(ended, "the callback is still held");
    assert!(handle.stop().is_err());
}
