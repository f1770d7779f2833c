//! Datagrams.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use crate::{
    noise::Noise,
    ns::alone,
    registration,
    server::{Echo, PATIENCE, eventually},
    world::{Setup, World},
};

#[test]
fn datagrams_come_back_whole() {
    alone(|| {
        let world = World::new(Setup::default());
        for (local, remote) in [
            ("10.0.0.2:0", "203.0.113.9:7"),
            ("[fd00::2]:0", "[2001:db8::9]:7"),
        ] {
            let echo = Echo::start(&world.server, remote);
            let socket = socket(&world, local);
            socket.connect(echo.address).expect("a route leads there");
            // 1,472 and more leave as fragments of an MTU of 1,500.
            for (seed, len) in (0..).zip([1, 100, 1200, 1472, 3000, 20_000]) {
                let sent = Noise::new(seed).bytes(len);
                socket.send(&sent).expect("the tun takes it");
                let mut buffer = vec![0; 65_536];
                let came = socket
                    .recv(&mut buffer)
                    .unwrap_or_else(|error| panic!("{len} bytes to {remote}: {error}"));
                assert_eq!(buffer[..came], sent, "{len} bytes to {remote}");
            }
        }
    });
}

/// Anchor R19: peers must see one source, or calls between them fail (RFC 4787, REQ-1).
#[test]
fn r19_all_servers_see_one_source_of_one_socket() {
    alone(|| {
        let world = World::new(Setup::default());
        let echoes: Vec<_> = ["203.0.113.9:7", "203.0.113.10:7", "203.0.113.9:8"]
            .iter()
            .map(|address| Echo::start(&world.server, address))
            .collect();
        let socket = socket(&world, "10.0.0.2:0");
        for echo in &echoes {
            socket
                .send_to(b"who am I", echo.address)
                .expect("the tun takes it");
            let (len, from) = socket.recv_from(&mut [0; 100]).expect("the echo answers");
            assert_eq!((len, from), (8, echo.address));
        }
        let sources: BTreeSet<SocketAddr> = echoes
            .iter()
            .flat_map(|echo| echo.seen())
            .map(|(source, _)| source)
            .collect();
        assert_eq!(sources.len(), 1, "{sources:?}");
    });
}

#[test]
fn a_blocked_datagram_is_refused_at_once() {
    alone(|| {
        let policy = "[[rule]]\nto = \"203.0.113.0/24\"\nproto = \"udp\"\naction = \"block\"\n\
                      [[rule]]\nto = \"2001:db8::/32\"\nproto = \"udp\"\naction = \"block\"\n";
        let world = World::new(Setup {
            policy: policy.into(),
            ..Setup::default()
        });
        for (local, remote) in [
            ("10.0.0.2:0", "203.0.113.9:7"),
            ("[fd00::2]:0", "[2001:db8::9]:7"),
        ] {
            let echo = Echo::start(&world.server, remote);
            let socket = socket(&world, local);
            socket.connect(echo.address).expect("a route leads there");
            assert_prohibited(&socket, b"hello");
            assert_eq!(echo.seen(), []);
        }
    });
}

#[test]
fn a_datagram_with_an_identifier_never_leaves() {
    alone(|| {
        let world = World::new(Setup::default());
        let echo = Echo::start(&world.server, "203.0.113.9:7");
        let socket = socket(&world, "10.0.0.2:0");
        socket.connect(echo.address).expect("a route leads there");
        socket.send(b"an innocent one").expect("the tun takes it");
        assert_eq!(socket.recv(&mut [0; 100]).expect("the echo answers"), 15);
        assert_prohibited(&socket, format!("id={}", registration::IMEI).as_bytes());
        assert!(eventually(|| !world.findings().is_empty()));
        assert_eq!(echo.seen().len(), 1, "only the first one arrived");
    });
}

fn assert_prohibited(socket: &UdpSocket, datagram: &[u8]) {
    let asked = Instant::now();
    socket.send(datagram).expect("the tun takes it");
    let error = socket.recv(&mut [0; 100]).expect_err("it is blocked");
    let told = [
        ErrorKind::ConnectionRefused,
        ErrorKind::HostUnreachable,
        ErrorKind::PermissionDenied,
    ];
    assert!(told.contains(&error.kind()), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(3), "the app hung");
}

fn socket(world: &World, local: &str) -> UdpSocket {
    let socket = world
        .app
        .run(|| UdpSocket::bind(local))
        .expect("a port is free");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket option");
    socket
}
