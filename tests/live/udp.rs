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
        for (local, remote) in ENDS {
            let (_echo, socket) = connected(&world, local, remote);
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

/// What is read in one go is sent in one go where the kernel cuts it apart, and one by one where the path takes none.
#[test]
fn bursts_come_back_whole_and_in_order() {
    alone(|| {
        let world = World::new(Setup::default());
        for (local, remote) in ENDS {
            let (_echo, socket) = connected(&world, local, remote);
            for (seed, len) in (0..).zip([1, 300, 1_200, 3_000]) {
                let lens = [len; 16].into_iter().chain([len / 2, len, len]);
                let sent: Vec<_> = (seed * 100..)
                    .zip(lens)
                    .map(|(seed, len)| Noise::new(seed).bytes(len))
                    .collect();
                for datagram in &sent {
                    socket.send(datagram).expect("the tun takes it");
                }
                for (number, datagram) in sent.iter().enumerate() {
                    let mut buffer = vec![0; 65_536];
                    let came = socket
                        .recv(&mut buffer)
                        .unwrap_or_else(|error| panic!("{number} of {len} to {remote}: {error}"));
                    assert!(buffer[..came] == *datagram, "{number} of {len} to {remote}");
                }
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
        for (local, remote) in ENDS {
            let (echo, socket) = connected(&world, local, remote);
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

#[test]
fn a_port_where_nobody_listens_is_told_as_such() {
    alone(|| {
        let world = World::new(Setup::default());
        for (local, remote) in [
            ("10.0.0.2:0", "203.0.113.9:81"),
            ("[fd00::2]:0", "[2001:db8::9]:81"),
        ] {
            let socket = socket(&world, local);
            socket.connect(remote).expect("a route leads there");
            socket.send(b"hello").expect("the tun takes it");
            let error = socket.recv(&mut [0; 100]).expect_err("nobody listens");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{remote}");
        }
        // An error about one peer costs another one nothing.
        let echo = Echo::start(&world.server, "203.0.113.9:7");
        let socket = socket(&world, "10.0.0.2:0");
        for number in 0..20u8 {
            let nobody = ("203.0.113.9", 82 + u16::from(number));
            socket.send_to(b"hello", nobody).expect("the tun takes it");
            std::thread::sleep(Duration::from_millis(5));
            let sent = socket.send_to(&[number], echo.address);
            // The app's own kernel may tell of the error here.
            if sent.is_err() {
                socket
                    .send_to(&[number], echo.address)
                    .expect("it was told");
            }
            let mut heard = [0; 100];
            let answer = socket.recv(&mut heard).or_else(|error| {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                socket.recv(&mut heard)
            });
            assert_eq!(answer.expect("the echo answers"), 1);
            assert_eq!(heard[0], number);
        }
    });
}

/// QUIC finds out by datagrams of its own how long they may be (RFC 9000 section 14.3).
#[test]
fn datagrams_in_one_piece_pass_up_to_the_paths_mtu_and_beyond_it_the_app_is_told_what_fits() {
    alone(|| {
        let world = World::new(Setup::default());
        for (local, remote, headers) in [
            ("10.0.0.2:0", "203.0.113.9:7", 28),
            ("[fd00::2]:0", "[2001:db8::9]:7", 48),
        ] {
            world.relay.ip("link set up0 mtu 1500");
            world.server.ip("link set down0 mtu 1500");
            let echo = Echo::start(&world.server, remote);
            let socket = socket(&world, local);
            socket.connect(echo.address).expect("a route leads there");
            whole(&socket, true);
            let full = vec![7; 1_500 - headers];
            socket.send(&full).expect("the tun takes it");
            assert_eq!(socket.recv(&mut [0; 2_000]).expect("an answer"), full.len());
            world.relay.ip("link set up0 mtu 1300");
            world.server.ip("link set down0 mtu 1300");
            let too_long = eventually(|| {
                let refused = |error: std::io::Error| error.raw_os_error() == Some(libc::EMSGSIZE);
                socket.send(&full).is_err_and(refused)
            });
            assert!(too_long, "{remote}: the app is not told");
            let fits = vec![7; 1_300 - headers];
            // Errors of earlier ones may still have to be told, to whatever is done next.
            assert!(eventually(|| socket.send(&fits).is_ok()), "it fits");
            let answer = (0..10).find_map(|_| socket.recv(&mut [0; 2_000]).ok());
            assert_eq!(answer, Some(fits.len()), "{remote}");
            // Whoever does not care has fragments made of what is longer.
            whole(&socket, false);
            let mut long = None;
            for _ in 0..3 {
                socket.send(&full).expect("in fragments");
                long = long.or(socket.recv(&mut [0; 2_000]).ok());
            }
            assert_eq!(long, Some(full.len()), "{remote}");
        }
    });
}

/// Whether a socket's datagrams may be fragmented.
fn whole(socket: &UdpSocket, whole: bool) {
    let v6 = socket.local_addr().is_ok_and(|address| address.is_ipv6());
    let (level, option) = match v6 {
        false => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
        true => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
    };
    let value = match whole {
        true => libc::IP_PMTUDISC_DO,
        false => libc::IP_PMTUDISC_WANT,
    };
    // SAFETY: the option takes an integer, which outlives the call.
    let status = unsafe {
        libc::setsockopt(
            std::os::fd::AsRawFd::as_raw_fd(socket),
            level,
            option,
            (&raw const value).cast(),
            4,
        )
    };
    assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
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

/// An app's end and a server's, in IPv4 and in IPv6.
const ENDS: [(&str, &str); 2] = [
    ("10.0.0.2:0", "203.0.113.9:7"),
    ("[fd00::2]:0", "[2001:db8::9]:7"),
];

/// A server that sends back what comes, and a socket of the app that talks with it alone.
fn connected(world: &World, local: &str, remote: &str) -> (Echo, UdpSocket) {
    let echo = Echo::start(&world.server, remote);
    let socket = socket(world, local);
    socket.connect(echo.address).expect("a route leads there");
    (echo, socket)
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
