//! A process that may have few descriptors.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::{
    ns::alone,
    peers::at,
    resolver::{self, Reply, Resolver},
    server::{Echo, eventually},
    world::{self, Setup, World},
};

/// Anchor R1: with 64 descriptors and 10,000 flows nothing panics, DNS answers, and every descriptor is given back.
#[test]
fn r1_ten_thousand_flows_fit_through_64_descriptors() {
    alone(|| {
        let baseline = descriptors();
        let mut world = with_limit(64, || World::new(Setup::default()));
        let names = [("host.example", "203.0.113.9")];
        let resolver = Resolver::start(&world.server, world::UPSTREAM_RESOLVER, &names, &[]);
        let echo = Echo::start(&world.server, "203.0.113.9:7");
        let before = descriptors();
        let mut most = 0;
        for round in 0..50 {
            let udp: Vec<_> = (0..100).map(|_| udp(&world, echo.address)).collect();
            let tcp: Vec<_> = (0..100)
                .map(|_| connecting(&world, at("203.0.113.9:81")))
                .collect();
            std::thread::sleep(Duration::from_millis(20));
            most = most.max(descriptors() - before - udp.len() - tcp.len());
            let answer = resolver::ask(&world.app, world::RESOLVER, "host.example");
            let expected = Reply::Addresses(vec!["203.0.113.9".parse().unwrap()]);
            assert_eq!(answer, Some(expected), "round {round}");
            let last = udp.last().expect("there are some");
            last.send(b"still there").expect("the tun takes it");
            let heard = || last.recv(&mut [0; 100]).expect("the echo answers");
            // Its first datagram may have been answered, too.
            assert!(heard() == 11 || heard() == 11, "round {round}");
        }
        assert!((8..64).contains(&most), "{most} descriptors were open");
        let events = world.stop();
        let evicted = |event: &untold::event::Event| matches!(event, untold::event::Event::Drop(drop) if drop.reason == "socket_evicted" && drop.count > 4_000);
        assert!(events.iter().any(evicted), "{:?}", events.last());
        drop((world, resolver, echo));
        // Threads of the test's servers end in their own time.
        let _ = eventually(|| descriptors() <= baseline + 8);
        assert!(descriptors() <= baseline + 8, "{}", descriptors());
    });
}

fn udp(world: &World, to: SocketAddr) -> UdpSocket {
    let socket = world
        .app
        .run(|| UdpSocket::bind("10.0.0.2:0"))
        .expect("a port is free");
    let patience = Some(crate::server::PATIENCE);
    socket.set_read_timeout(patience).expect("a socket option");
    socket.connect(to).expect("a route leads there");
    socket.send(b"hello").expect("the tun takes it");
    socket
}

fn connecting(world: &World, to: SocketAddr) -> Socket {
    world.app.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a socket option");
        let _ = socket.connect(&to.into());
        socket
    })
}

/// Does something while the process may have this many descriptors.
fn with_limit<T>(descriptors: libc::rlim_t, body: impl FnOnce() -> T) -> T {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is valid for the whole call.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    assert_eq!(status, 0);
    let set = |cur| {
        let limit = libc::rlimit {
            rlim_cur: cur,
            ..limit
        };
        // SAFETY: as above.
        let status = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
        assert_eq!(status, 0);
    };
    set(descriptors);
    let done = body();
    set(limit.rlim_max);
    done
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd")
        .expect("procfs is mounted")
        .count()
}
