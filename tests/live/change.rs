//! Networks, devices and the engine itself change or stand still, and flows go on where they can.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::BorrowedFd,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use untold::{
    engine::{Nat64, Network},
    event::{Event, HealthEvent},
    io::Protect,
};

use crate::{
    noise::{Noise, digest},
    ns::alone,
    peers::{at, download, exchange, upload},
    resolver::{self, Reply, Resolver},
    server::{self, Echo, PATIENCE, Server, eventually},
    world::{self, Setup, World},
};

/// Anchor R3: the descriptor is replaced while bytes pass both ways.
#[test]
fn r3_a_thousand_devices_in_the_middle_of_a_flow_lose_no_byte() {
    alone(|| {
        let world = World::new(Setup::default());
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let bytes = Noise::new(31).bytes(32 << 20);
        let stream = world.connect(echo.address).expect("the echo listens");
        let answer = thread::scope(|scope| {
            let flow = scope.spawn(|| exchange(stream, &bytes));
            for _ in 0..1_000 {
                let next = world.tun.try_clone().expect("a descriptor is left");
                world.engine().set_tun(next);
                thread::sleep(Duration::from_millis(1));
            }
            flow.join().expect("the peer does not panic")
        });
        let answer = answer.expect("the flow goes on");
        assert_eq!(digest(&answer), digest(&bytes));
    });
}

/// Anchor R10: one address of the machine goes, another one comes.
#[test]
fn r10_a_new_network_resets_what_stands_on_the_old_one_alone() {
    alone(|| {
        let world = World::new(Setup::default());
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let udp = Echo::start(&world.server, "203.0.113.9:7");
        let echo6 = Server::start(&world.server, "[2001:db8::9]:7", server::echo);
        let names = [("host.example", "203.0.113.9")];
        let resolver = Resolver::start(&world.server, "203.0.113.9:53", &names, &[]);
        let mut old = world.connect(echo.address).expect("the echo listens");
        let mut stays = world.connect(echo6.address).expect("the echo listens");
        let datagrams = world
            .app
            .run(|| UdpSocket::bind("10.0.0.2:0"))
            .expect("a port is free");
        datagrams.connect(udp.address).expect("a route leads there");
        datagrams
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        for round in 0..5u8 {
            turn(&mut old, round).expect("the flow is open");
            turn(&mut stays, round).expect("the flow is open");
            // Another address for IPv4, the same for IPv6.
            let (gone, new) = match round % 2 {
                0 => ("192.0.2.1/30", "198.51.100.1/30"),
                _ => ("198.51.100.1/30", "192.0.2.1/30"),
            };
            let far = if round % 2 == 0 {
                "198.51.100.2"
            } else {
                "192.0.2.2"
            };
            world.server.ip(&format!("addr replace {far}/30 dev down0"));
            world.relay.ip(&format!("addr add {new} dev up0"));
            world.relay.ip(&format!("addr del {gone} dev up0"));
            world.relay.ip(&format!("route replace default via {far}"));
            let changed = Instant::now();
            world.engine().network_changed(Network {
                resolvers: vec!["203.0.113.9:53".parse().expect("an address")],
                nat64: None,
            });
            let error = old.read(&mut [0]).expect_err("its address is gone");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            old = world.connect(echo.address).expect("by the new network");
            turn(&mut old, round).expect("the flow is open");
            turn(&mut stays, round).expect("IPv6 has not changed");
            datagrams.send(&[round]).expect("the tun takes it");
            let mut heard = [0; 10];
            assert_eq!(datagrams.recv(&mut heard).expect("the echo answers"), 1);
            assert_eq!(heard[0], round);
            let answer = resolver::ask(&world.app, world::RESOLVER, "host.example");
            let address = "203.0.113.9".parse().expect("an address");
            assert_eq!(answer, Some(Reply::Addresses(vec![address])));
            assert!(changed.elapsed() < Duration::from_secs(3));
        }
        assert!(resolver.asked().len() >= 5);
    });
}

#[test]
fn r10_what_survives_a_change_of_network_is_left_alone() {
    alone(|| {
        let world = World::new(Setup::default());
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let bytes = Noise::new(32).bytes(16 << 20);
        let stream = world.connect(echo.address).expect("the echo listens");
        let answer = thread::scope(|scope| {
            let flow = scope.spawn(|| exchange(stream, &bytes));
            for _ in 0..200 {
                world.engine().network_changed(Network::default());
                thread::sleep(Duration::from_millis(2));
            }
            flow.join().expect("the peer does not panic")
        });
        assert_eq!(digest(&answer.expect("the flow goes on")), digest(&bytes));
    });
}

/// Anchor R24: nothing of IPv6, and an app that tries it all the same.
#[test]
fn r24_without_ipv6_its_connections_fail_at_once_and_ipv4_works() {
    alone(|| {
        let world = World::new(Setup::default());
        world.relay.set("net/ipv6/conf/all/disable_ipv6", "1");
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let started = Instant::now();
        let error = world
            .connect(at("[2001:db8::9]:7"))
            .expect_err("there is no IPv6");
        let told = [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable];
        assert!(told.contains(&error.kind()) || error.kind() == ErrorKind::ConnectionRefused);
        assert!(started.elapsed() < Duration::from_secs(1), "the app hung");
        let mut stream = world.connect(echo.address).expect("the echo listens");
        turn(&mut stream, 1).expect("the flow is open");
    });
}

#[test]
fn r24_on_a_network_of_ipv6_alone_ipv4_goes_through_its_translator() {
    alone(|| {
        let world = World::new(Setup::default());
        world
            .server
            .ip("addr add 64:ff9b::203.0.113.9/128 dev lo nodad");
        world.relay.ip("route del default");
        let echo = Server::start(&world.server, "[64:ff9b::203.0.113.9]:7", server::echo);
        let udp = Echo::start(&world.server, "[64:ff9b::203.0.113.9]:7");
        let nat64 = Nat64::new("64:ff9b::/96".parse().expect("a prefix"));
        world.engine().network_changed(Network {
            resolvers: Vec::new(),
            nat64,
        });
        let mut stream = world
            .connect(at("203.0.113.9:7"))
            .expect("the echo listens");
        turn(&mut stream, 7).expect("the flow is open");
        assert_eq!(echo.connections(), 1);
        let socket = world
            .app
            .run(|| UdpSocket::bind("10.0.0.2:0"))
            .expect("a port is free");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        socket
            .send_to(b"hello", "203.0.113.9:7")
            .expect("the tun takes it");
        let (len, from) = socket.recv_from(&mut [0; 100]).expect("an answer");
        assert_eq!((len, from), (5, at("203.0.113.9:7")));
        drop(udp);
    });
}

/// Anchor R25: a link upstream that carries less than the tun.
#[test]
fn r25_a_narrow_link_upstream_or_at_the_app_loses_no_byte() {
    alone(|| {
        let world = World::new(Setup::default());
        world.relay.ip("link set up0 mtu 1280");
        world.server.ip("link set down0 mtu 1280");
        world.app.ip("link set tun0 mtu 1400");
        let sink = Server::start(&world.server, "203.0.113.9:9", server::sink);
        let source = Server::start(&world.server, "203.0.113.9:19", server::source(3, 4 << 20));
        upload(
            world.connect(sink.address).expect("the sink listens"),
            2,
            4 << 20,
        );
        download(
            world.connect(source.address).expect("it listens"),
            3,
            4 << 20,
        );
    });
}

/// Anchor R22: the probe must not say that all is well while nothing passes.
#[test]
fn r22_health_is_told_with_latency_and_turns_red_while_the_loop_stands_still() {
    alone(|| {
        let wedge = Arc::new(Mutex::new(()));
        let world = World::new(Setup {
            protect: Some(Box::new(Wedge(wedge.clone()))),
            ..Setup::default()
        });
        let socket = world
            .app
            .run(|| {
                let socket = UdpSocket::bind("10.0.0.2:0")?;
                let own: SocketAddr = format!("{}:7", world::RESOLVER)
                    .parse()
                    .expect("an address");
                socket.connect(own)?;
                Ok::<_, io::Error>(socket)
            })
            .expect("a route leads into the tun");
        let every = Duration::from_millis(200);
        world
            .engine()
            .watch_health(socket, every)
            .expect("a thread");
        assert!(eventually(|| health(&world).len() > 3));
        for told in health(&world) {
            assert!(told.healthy && told.latency.is_some_and(|latency| latency < 3.0));
        }
        let held = wedge.lock().expect("nobody panicked");
        let stuck = Instant::now();
        let _waits = world.app.run(|| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            let _ = socket.connect(&at("203.0.113.9:81").into());
            Ok::<_, io::Error>(socket)
        });
        let red = || health(&world).last().is_some_and(|told| !told.healthy);
        assert!(eventually(red));
        assert!(stuck.elapsed() < Duration::from_secs(10));
        drop(held);
        let green = || health(&world).last().is_some_and(|told| told.healthy);
        assert!(eventually(green), "and green again");
    });
}

/// Stands still where it is told to.
struct Wedge(Arc<Mutex<()>>);

impl Protect for Wedge {
    fn protect(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        drop(self.0.lock());
        Ok(())
    }
}

fn health(world: &World) -> Vec<HealthEvent> {
    let told = world.events().into_iter().filter_map(|event| match event {
        Event::Health(health) => Some(health),
        _ => None,
    });
    told.collect()
}

/// A byte there and back.
fn turn(stream: &mut TcpStream, byte: u8) -> io::Result<()> {
    stream.write_all(&[byte])?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, [byte]);
    Ok(())
}
