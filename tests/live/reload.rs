//! Policies swapped from another thread while packets pass (R11).

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, UdpSocket},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use untold::{
    detect::{Detector, Identity},
    engine::Config,
    event::Event,
    inspect::Rules,
    io::{Handle, Options, Protect},
    policy::{self, Policy},
    wire::{self, MAX_HEADER, Pair},
};

use crate::ns::{Namespace, alone};

const SWAPS: usize = 1_000;

#[test]
fn r11_nothing_passes_unjudged_and_nothing_is_lost_while_policies_are_swapped() {
    alone(|| {
        for address in ["203.0.113.9/32", "203.0.113.10/32"] {
            Namespace::own().ip(&format!("address add {address} dev lo"));
        }
        let allowed = listen("203.0.113.9:9");
        let blocked = listen("203.0.113.10:9");
        // Both block the one and allow the other, each in its own way.
        let policies = [
            rules("[[rule]]\nto = \"203.0.113.10\"\naction = \"block\"\n"),
            rules(
                "[default]\nconnection = \"block\"\n[[rule]]\nto = \"203.0.113.9\"\naction = \"allow\"\n",
            ),
        ];
        let (device, app) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).expect("a pair");
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = events.clone();
        let options = Options {
            config: Config {
                seed: 7,
                mtu: 1_500,
                queue: 500,
                dns: Vec::new(),
                resolvers: Vec::new(),
                can_ask: false,
            },
            rules: policies[0].clone(),
            protect: Box::new(Nothing),
            owners: None,
            record: None,
            sink: None,
            events: Box::new(move |event| kept.lock().unwrap().push(event)),
        };
        let handle = Handle::start(device.into(), options).expect("the engine starts");
        let mut app = File::from(OwnedFd::from(app));
        let (swapped, passed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let sent = thread::scope(|scope| {
            scope.spawn(|| {
                for swap in 1..=SWAPS {
                    handle.set_rules(policies[swap % 2].clone());
                    // On any machine a datagram passes between two swaps, now and then.
                    for _ in 0..1_000 {
                        if passed.load(Relaxed) >= swap / 2 {
                            break;
                        }
                        thread::sleep(Duration::from_micros(100));
                    }
                    swapped.store(swap, Relaxed);
                }
            });
            let (mut sent, mut bytes) = (0_u32, [0; 2_000]);
            while swapped.load(Relaxed) < SWAPS {
                for (to, what) in [(&allowed, b"pass"), (&blocked, b"halt")] {
                    let to = to.local_addr().expect("it is bound");
                    // New flows and old ones.
                    let source = SocketAddr::from(([198, 18, 0, 2], 2_000 + (sent % 500) as u16));
                    app.write_all(&datagram(source, to, what))
                        .expect("it is taken");
                }
                sent += 1;
                passed.fetch_add(1, Relaxed);
                let (len, _) = allowed
                    .recv_from(&mut bytes)
                    .expect("what is allowed passes");
                assert_eq!(&bytes[..len], b"pass");
                let len = app.read(&mut bytes).expect("what is blocked is told");
                assert_eq!(bytes[..len][9], 1, "by ICMP");
            }
            sent
        });
        handle.stop().expect("it was running");
        assert!(
            sent as usize >= SWAPS / 2,
            "only {sent} datagrams passed between {SWAPS} swaps"
        );
        blocked.set_nonblocking(true).expect("a socket");
        assert!(
            blocked.recv_from(&mut [0; 100]).is_err(),
            "something was let through"
        );
        let events = events.lock().unwrap();
        let drops = events
            .iter()
            .filter(|event| matches!(event, Event::Drop(_)));
        assert_eq!(drops.count(), 0);
    });
}

fn listen(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("the address is ours");
    let patience = Some(Duration::from_secs(5));
    socket.set_read_timeout(patience).expect("a socket");
    socket
}

fn datagram(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; MAX_HEADER];
    let len = wire::emit_udp(&mut header, Pair { src, dst }, payload);
    [&header[..len], payload].concat()
}

fn rules(text: &str) -> Rules {
    let identity = Identity::parse("identity.toml", "").expect("it is empty");
    let config = policy::Config::parse("policy.toml", text).expect("it is good");
    Rules {
        detector: Arc::new(Detector::new(&identity, &[0; 32])),
        policy: Arc::new(Policy::new(config, Vec::new()).expect("it names no list")),
    }
}

struct Nothing;

impl Protect for Nothing {
    fn protect(&self, _socket: std::os::fd::BorrowedFd<'_>) -> std::io::Result<()> {
        Ok(())
    }
}
