//! Nothing is lost or altered: the relay between two kernels' TCP.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::{
    faultlink::Faults,
    noise::{Noise, digest},
    ns::alone,
    peers::{at, download, exchange, upload},
    server::{self, Server, eventually},
    world::{Setup, World},
};

#[test]
fn bodies_of_every_size_pass_unaltered_both_ways() {
    alone(|| {
        let world = World::new(Setup::default());
        for address in ["203.0.113.9", "[2001:db8::9]"] {
            let sink = Server::start(&world.server, &format!("{address}:9"), server::sink);
            for (seed, len) in (0..).zip(SIZES) {
                upload(
                    world.connect(sink.address).expect("the sink listens"),
                    seed,
                    len,
                );
                let source = Server::start(
                    &world.server,
                    &format!("{address}:0"),
                    server::source(seed, len),
                );
                download(
                    world.connect(source.address).expect("the source listens"),
                    seed,
                    len,
                );
            }
        }
    });
}

#[test]
fn bodies_pass_unaltered_at_the_largest_mtu() {
    alone(|| {
        let world = World::new(Setup {
            mtu: 65_535,
            ..Setup::default()
        });
        let sink = Server::start(&world.server, "203.0.113.9:9", server::sink);
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        for (seed, len) in (0..).zip(SIZES) {
            upload(
                world.connect(sink.address).expect("the sink listens"),
                seed,
                len,
            );
            let bytes = Noise::new(seed).bytes(len);
            let answer = exchange(
                world.connect(echo.address).expect("the echo listens"),
                &bytes,
            )
            .expect("an answer");
            assert_eq!(
                digest(&answer),
                digest(&bytes),
                "{len} bytes there and back"
            );
        }
    });
}

#[test]
fn the_apps_half_close_leaves_the_way_back_open() {
    alone(|| {
        let world = World::new(Setup::default());
        let late = Server::start(&world.server, "203.0.113.9:9", |mut stream, record| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes)?;
            record.add(&bytes);
            thread::sleep(Duration::from_millis(500));
            stream.write_all(&Noise::new(5).bytes(100_000))
        });
        let mut stream = world.connect(late.address).expect("the server listens");
        stream.write_all(b"that is all").expect("the flow is open");
        stream.shutdown(Shutdown::Write).expect("the flow is open");
        download(stream, 5, 100_000);
        assert_eq!(late.bytes(), b"that is all");
    });
}

#[test]
fn the_servers_half_close_leaves_the_way_there_open() {
    alone(|| {
        let world = World::new(Setup::default());
        let early = Server::start(&world.server, "203.0.113.9:9", server::source(6, 1000));
        let mut stream = world.connect(early.address).expect("the server listens");
        let mut down = Vec::new();
        stream
            .read_to_end(&mut down)
            .expect("the server ends its half well");
        assert_eq!(digest(&down), digest(&Noise::new(6).bytes(1000)));
        thread::sleep(Duration::from_millis(300));
        let up = Noise::new(7).bytes(200_000);
        stream.write_all(&up).expect("our half is open");
        stream.shutdown(Shutdown::Write).expect("our half is open");
        assert!(early.reaches("end"));
        assert_eq!(digest(&early.bytes()), digest(&up));
    });
}

/// An app that has closed is gone as far as its kernel is concerned; what was accepted from it is still on its way.
#[test]
fn what_was_accepted_arrives_after_the_app_has_closed() {
    alone(|| {
        let late_copies = Faults {
            seed: 14,
            duplicated: 300,
            delay: Duration::from_millis(2),
            jitter: Duration::from_millis(3),
            ..Faults::default()
        };
        for (seed, app_side) in [(13, None), (14, Some(late_copies))] {
            let world = World::new(Setup {
                app_side,
                ..Setup::default()
            });
            let late = Server::start(&world.server, "203.0.113.9:9", |stream, record| {
                SockRef::from(&stream).set_recv_buffer_size(4096)?;
                stream.shutdown(Shutdown::Write)?;
                thread::sleep(Duration::from_secs(1));
                server::sink(stream, record)
            });
            let mut stream = world.connect(late.address).expect("the server listens");
            assert_eq!(
                stream
                    .read(&mut [0])
                    .expect("the server has ended its half"),
                0
            );
            let bytes = Noise::new(seed).bytes(300_000);
            stream.write_all(&bytes).expect("our half is open");
            drop(stream);
            assert!(late.reaches("end"), "{app_side:?}: {:?}", late.marks());
            assert_eq!(digest(&late.bytes()), digest(&bytes));
        }
    });
}

#[test]
fn what_the_server_refuses_is_refused() {
    alone(|| {
        let world = World::new(Setup::default());
        for address in ["203.0.113.9:81", "[2001:db8::9]:81"] {
            let started = Instant::now();
            let error = world.connect(at(address)).expect_err("nobody listens");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}");
            assert!(
                started.elapsed() < Duration::from_secs(3),
                "{address}: the app hung"
            );
        }
    });
}

#[test]
fn what_cannot_be_reached_is_unreachable() {
    alone(|| {
        let world = World::new(Setup::default());
        world.relay.ip("route add unreachable 203.0.113.77/32");
        world.server.ip("route add unreachable 203.0.113.78/32");
        world.server.set("net/ipv4/ip_forward", "1");
        for address in ["203.0.113.77:80", "203.0.113.78:80"] {
            let started = Instant::now();
            let error = world.connect(at(address)).expect_err("no way leads there");
            let unreachable = [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
            assert!(unreachable.contains(&error.kind()), "{address}: {error}");
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "{address}: the app hung"
            );
        }
    });
}

#[test]
fn a_reset_by_the_server_reaches_the_app() {
    alone(|| {
        let world = World::new(Setup::default());
        let server = Server::start(&world.server, "203.0.113.9:9", server::reset);
        let mut stream = world.connect(server.address).expect("the server listens");
        stream.write_all(b"x").expect("the flow is open");
        let error = stream.read(&mut [0]).expect_err("the server resets");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_by_the_app_reaches_the_server() {
    alone(|| {
        let world = World::new(Setup::default());
        let sink = Server::start(&world.server, "203.0.113.9:9", server::sink);
        let stream = world.connect(sink.address).expect("the sink listens");
        assert!(eventually(|| sink.connections() == 1));
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a socket option");
        drop(stream);
        assert!(sink.reaches("ConnectionReset"), "{:?}", sink.marks());
    });
}

#[test]
fn a_server_that_does_not_read_stops_the_app_and_loses_nothing() {
    alone(|| {
        let world = World::new(Setup::default());
        let go = Arc::new(Barrier::new(2));
        let slow = Server::start(
            &world.server,
            "203.0.113.9:9",
            server::slow(Arc::clone(&go)),
        );
        let bytes = Noise::new(8).bytes(64 << 20);
        let before = resident();
        let mut stream = world.connect(slow.address).expect("the server listens");
        let taken = write_until_stopped(&mut stream, &bytes);
        let grown = resident().saturating_sub(before);
        assert!(
            taken < 48 << 20,
            "{taken} bytes were taken from the app while nobody read them"
        );
        assert!(grown < 16 << 20, "{grown} bytes more are resident");
        go.wait();
        let answer = exchange(stream, &bytes[taken..]).expect("the server reads on");
        assert_eq!(String::from_utf8_lossy(&answer), digest(&bytes));
    });
}

#[test]
fn an_app_that_does_not_read_stops_the_server_and_loses_nothing() {
    alone(|| {
        let world = World::new(Setup::default());
        let bytes = Noise::new(9).bytes(64 << 20);
        let source = Server::start(&world.server, "203.0.113.9:9", {
            let bytes = bytes.clone();
            move |mut stream, record| {
                let taken = write_until_stopped(&mut stream, &bytes);
                record.mark(format!("stopped at {taken}"));
                stream.write_all(&bytes[taken..])
            }
        });
        let mut stream = world.connect(source.address).expect("the server listens");
        let before = resident();
        assert!(eventually(|| !source.marks().is_empty()));
        let grown = resident().saturating_sub(before);
        let (stopped, _) = source.marks().remove(0);
        let taken: usize = stopped
            .trim_start_matches("stopped at ")
            .parse()
            .expect("a number");
        assert!(
            taken < 48 << 20,
            "{taken} bytes were taken from the server while nobody read them"
        );
        assert!(grown < 16 << 20, "{grown} bytes more are resident");
        let mut down = Vec::new();
        stream.read_to_end(&mut down).expect("the server goes on");
        assert_eq!(digest(&down), digest(&bytes));
    });
}

#[test]
fn lines_go_at_once() {
    alone(|| {
        let world = World::new(Setup::default());
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let mut stream = world.connect(echo.address).expect("the echo listens");
        stream.set_nodelay(true).expect("a socket option");
        let mut waits: Vec<Duration> = (0..100)
            .map(|number| {
                let line = format!("line {number} of a protocol that waits for each answer\r\n");
                let asked = Instant::now();
                stream.write_all(line.as_bytes()).expect("the flow is open");
                let mut answer = vec![0; line.len()];
                stream.read_exact(&mut answer).expect("the echo answers");
                assert_eq!(answer, line.as_bytes());
                asked.elapsed()
            })
            .collect();
        waits.sort_unstable();
        // A hold until the pause of 250 ms would show in each line; a busy machine shows in few.
        assert!(
            waits[50] < Duration::from_millis(100),
            "half of the lines waited {:?} or more",
            waits[50]
        );
    });
}

#[test]
fn two_hundred_connections_at_a_time_all_get_their_own_bytes() {
    alone(|| {
        let world = World::new(Setup::default());
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let streams: Vec<_> = (0..200)
            .map(|_| world.connect(echo.address).expect("the echo listens"))
            .collect();
        thread::scope(|scope| {
            for (seed, stream) in (1000..).zip(streams) {
                scope.spawn(move || {
                    let bytes = Noise::new(seed).bytes(65_536);
                    let answer =
                        exchange(stream, &bytes).unwrap_or_else(|error| panic!("{seed}: {error}"));
                    assert_eq!(digest(&answer), digest(&bytes), "{seed}");
                });
            }
        });
    });
}

#[test]
fn a_port_can_be_used_again_at_once() {
    alone(|| {
        let world = World::new(Setup::default());
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        for seed in 0..20 {
            let socket = world.app.run(|| {
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
                socket.set_reuse_address(true)?;
                socket.bind(&at("10.0.0.2:4444").into())?;
                socket.set_linger(Some(Duration::ZERO))?;
                socket.connect(&echo.address.into())?;
                Ok::<_, std::io::Error>(socket)
            });
            let mut stream =
                std::net::TcpStream::from(socket.unwrap_or_else(|error| panic!("{seed}: {error}")));
            stream
                .set_read_timeout(Some(server::PATIENCE))
                .expect("a socket option");
            let bytes = Noise::new(seed).bytes(1000);
            stream.write_all(&bytes).expect("the flow is open");
            let mut answer = vec![0; bytes.len()];
            stream.read_exact(&mut answer).expect("the echo answers");
            assert_eq!(answer, bytes, "{seed}");
        }
    });
}

/// Writes until the other side takes nothing for a second; gives the number of bytes that were taken.
fn write_until_stopped(stream: &mut std::net::TcpStream, bytes: &[u8]) -> usize {
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .expect("a socket option");
    let mut taken = 0;
    while taken < bytes.len() {
        let end = bytes.len().min(taken + 65_536);
        match stream.write(&bytes[taken..end]) {
            Ok(len) => taken += len,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "after {taken} bytes");
                break;
            }
        }
    }
    stream
        .set_write_timeout(Some(server::PATIENCE))
        .expect("a socket option");
    taken
}

/// Bytes of this process (engine and test) that are in memory.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("procfs is mounted");
    let pages = pages
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number is resident pages") * 4096
}

const SIZES: [usize; 4] = [1, 1 << 10, 1 << 20, 64 << 20];
