//! Ways out through proxies: nothing that a rule leads through one goes any other way.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use untold::{
    engine::{Nat64, Network},
    event::{Action, Event, Failure, FlowEvent, Proto},
};

use crate::{
    noise::{Noise, digest},
    ns::alone,
    peers::{at, exchange},
    proxies::{NAME, Proxy, Speaks},
    registration::{self, Breaks},
    resolver::{self, Resolver},
    server::{self, Echo, PATIENCE, Server},
    world::{self, Setup, World},
};

const PROXY: &str = "203.0.113.10:1080";
const PROXY_V6: &str = "[2001:db8::10]:1080";
const LOGIN: &str = "user = \"me\"\npassword = \"secret\"\n";
const KNOWN: Option<(&str, &str)> = Some(("me", "secret"));

#[test]
fn tcp_through_a_socks_proxy_is_byte_exact_both_ways() {
    alone(|| is_byte_exact(Speaks::Socks5));
}

#[test]
fn tcp_through_an_http_proxy_is_byte_exact_both_ways() {
    alone(|| is_byte_exact(Speaks::Http));
}

fn is_byte_exact(speaks: Speaks) {
    let mut world = world(speaks, LOGIN, "");
    let proxy = Proxy::start(world.server.again(), PROXY, speaks, KNOWN);
    let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
    let bytes = Noise::new(5).bytes(4 << 20);
    let stream = world.connect(echo.address).expect("the proxy connects");
    let answer = exchange(stream, &bytes).expect("the flow goes on");
    assert_eq!(digest(&answer), digest(&bytes));
    assert_eq!(proxy.asked(), ["203.0.113.9:7"]);
    let flow = ended(&mut world, Proto::Tcp);
    assert_eq!(flow.via.as_deref(), Some("p"));
    assert_eq!((flow.failure, flow.verdict), (None, Action::Allow));
    assert_eq!(flow.bytes_out, bytes.len() as u64);
}

/// What a server says first may come in one segment with the proxy's last word.
#[test]
fn a_server_that_speaks_first_is_heard_whole() {
    alone(|| {
        let world = world(Speaks::Http, "", "");
        let _proxy = Proxy::start(world.server.again(), PROXY, Speaks::Http, None);
        let source = Server::start(&world.server, "203.0.113.9:19", server::source(9, 100_000));
        let mut stream = world.connect(source.address).expect("the proxy connects");
        stream.shutdown(Shutdown::Write).expect("it is connected");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("it ends well");
        assert_eq!(digest(&heard), digest(&Noise::new(9).bytes(100_000)));
    });
}

#[test]
fn datagrams_go_through_a_socks_proxy_and_nowhere_else_when_it_is_gone() {
    alone(|| {
        let mut world = world(Speaks::Socks5, LOGIN, "");
        let proxy = Proxy::start(world.server.again(), PROXY, Speaks::Socks5, KNOWN);
        let echo = Echo::start(&world.server, "203.0.113.9:7");
        let socket = udp(&world, "203.0.113.9:7");
        for len in [0, 1, 1_200, 5_000] {
            let bytes = Noise::new(len as u64).bytes(len);
            assert_eq!(asked(&socket, &bytes).expect("the echo answers"), bytes);
        }
        assert_eq!(proxy.asked(), ["udp"]);
        // Whoever sent them is not the relay.
        assert!(!echo.seen().iter().any(|(from, _)| ours(from)));
        proxy.end_associations();
        // Another association stands for the same port of the app.
        let deadline = Instant::now() + PATIENCE;
        while asked(&socket, b"again").is_err() {
            assert!(Instant::now() < deadline, "{:?}", proxy.asked());
            thread::sleep(Duration::from_millis(100));
        }
        assert!(!echo.seen().iter().any(|(from, _)| ours(from)));
        let flow = ended(&mut world, Proto::Udp);
        assert_eq!((flow.via.as_deref(), flow.failure), (Some("p"), None));
    });
}

#[test]
fn datagrams_of_both_families_go_through_a_proxy_on_ipv4() {
    alone(|| carries_datagrams_of_both_families(PROXY));
}

#[test]
fn datagrams_of_both_families_go_through_a_proxy_on_ipv6() {
    alone(|| carries_datagrams_of_both_families(PROXY_V6));
}

fn carries_datagrams_of_both_families(place: &str) {
    let mut world = world_at(place, Speaks::Socks5, "", "");
    let proxy = Proxy::start(world.server.again(), place, Speaks::Socks5, None);
    for (local, remote) in [
        ("10.0.0.2:0", "203.0.113.9:7"),
        ("[fd00::2]:0", "[2001:db8::9]:7"),
    ] {
        let echo = Echo::start(&world.server, remote);
        let socket = udp_from(&world, local, remote);
        for len in [0, 1, 1_200, 5_000] {
            let bytes = Noise::new(len as u64).bytes(len);
            let answer = asked(&socket, &bytes);
            assert_eq!(answer.expect("the echo answers"), bytes, "to {remote}");
        }
        assert!(!echo.seen().iter().any(|(from, _)| ours(from)));
    }
    assert_eq!(proxy.asked(), ["udp", "udp"]);
    let flow = ended(&mut world, Proto::Udp);
    assert_eq!((flow.via.as_deref(), flow.failure), (Some("p"), None));
}

/// The proxy speaks IPv4 and so does the app; the network between them carries IPv6 alone.
#[test]
fn r24_a_proxy_behind_a_translator_carries_connections_and_datagrams() {
    alone(|| {
        let mut world = world(Speaks::Socks5, "", "");
        world
            .server
            .ip("addr add 64:ff9b::203.0.113.10/128 dev lo nodad");
        world.relay.ip("route del default");
        let at_translator = "[64:ff9b::203.0.113.10]:1080";
        let proxy = Proxy::start(world.server.again(), at_translator, Speaks::Socks5, None);
        world.engine().network_changed(Network {
            resolvers: Vec::new(),
            nat64: Nat64::new("64:ff9b::/96".parse().expect("a prefix")),
        });
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let bytes = Noise::new(64).bytes(100_000);
        let stream = world.connect(echo.address).expect("the proxy connects");
        let answer = exchange(stream, &bytes).expect("the flow goes on");
        assert_eq!(digest(&answer), digest(&bytes));
        let _udp = Echo::start(&world.server, "203.0.113.9:7");
        let socket = udp(&world, "203.0.113.9:7");
        assert_eq!(asked(&socket, b"hello").expect("an answer"), b"hello");
        assert_eq!(proxy.asked(), ["203.0.113.9:7", "udp"]);
        let flow = ended(&mut world, Proto::Udp);
        assert_eq!((flow.via.as_deref(), flow.failure), (Some("p"), None));
    });
}

#[test]
fn what_an_http_proxy_cannot_carry_goes_nowhere() {
    alone(|| {
        let mut world = world(Speaks::Http, "", "");
        let _proxy = Proxy::start(world.server.again(), PROXY, Speaks::Http, None);
        let echo = Echo::start(&world.server, "203.0.113.9:7");
        let socket = udp(&world, "203.0.113.9:7");
        socket.send(b"hello").expect("the tun takes it");
        let error = socket.recv(&mut [0; 10]).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(echo.seen().is_empty());
        let flow = ended(&mut world, Proto::Udp);
        assert_eq!(flow.failure, Some(Failure::ProxyRefused));
        assert_eq!((flow.verdict, flow.bytes_out), (Action::Allow, 0));
    });
}

#[test]
fn a_wrong_password_is_told_and_nothing_goes_directly() {
    alone(|| {
        for (speaks, port) in [(Speaks::Socks5, 1080), (Speaks::Http, 1081)] {
            let address = format!("203.0.113.10:{port}");
            let login = "user = \"me\"\npassword = \"wrong\"\n";
            let mut world = world_at(&address, speaks, login, "");
            let _proxy = Proxy::start(world.server.again(), &address, speaks, KNOWN);
            fails(&mut world, ErrorKind::HostUnreachable, Failure::ProxyLogin);
        }
    });
}

#[test]
fn a_dead_proxy_is_told_and_nothing_goes_directly() {
    alone(|| {
        let mut world = world(Speaks::Socks5, LOGIN, "");
        let failure = Failure::ProxyUnreachable;
        fails(&mut world, ErrorKind::HostUnreachable, failure);
    });
}

#[test]
fn what_is_no_proxy_is_told_and_nothing_goes_directly() {
    alone(|| {
        let mut world = world(Speaks::Socks5, LOGIN, "");
        let _other = Server::start(&world.server, PROXY, |mut stream, _| {
            stream.write_all(b"220 mail.example ready\r\n")?;
            stream.read_to_end(&mut Vec::new()).map(|_| ())
        });
        let failure = Failure::ProxyProtocol;
        fails(&mut world, ErrorKind::HostUnreachable, failure);
    });
}

#[test]
fn what_the_server_refuses_is_refused_and_not_blocked() {
    alone(|| {
        let mut world = world(Speaks::Socks5, "", "");
        let _proxy = Proxy::start(world.server.again(), PROXY, Speaks::Socks5, None);
        let error = world
            .connect(at("203.0.113.9:81"))
            .expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let flow = ended(&mut world, Proto::Tcp);
        assert_eq!(
            (flow.failure, flow.verdict),
            (Some(Failure::Refused), Action::Allow)
        );
    });
}

#[test]
fn the_proxy_resolves_a_name_where_no_rule_is_about_addresses() {
    alone(|| {
        for (more, expected) in [
            ("", "host.example:7"),
            (
                "[[rule]]\nto = \"192.0.2.0/24\"\naction = \"block\"\n",
                "203.0.113.9:7",
            ),
        ] {
            let world = world(Speaks::Socks5, "", more);
            let proxy = Proxy::start(world.server.again(), PROXY, Speaks::Socks5, None);
            let resolver = Resolver::start(&world.server, world::UPSTREAM_RESOLVER, &[NAME], &[]);
            let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
            resolver::ask(&world.app, world::RESOLVER, NAME.0).expect("it is resolved");
            let stream = world.connect(echo.address).expect("the proxy connects");
            let heard = exchange(stream, b"hello").expect("the flow goes on");
            assert_eq!(heard, b"hello");
            assert_eq!(proxy.asked(), [expected]);
            drop((world, proxy, resolver, echo));
        }
    });
}

/// The judgement is the same as without a proxy, and comes before it hears of anything but the address.
#[test]
fn an_identifier_is_stopped_before_the_proxy_gets_it() {
    alone(|| {
        let mut world = world(Speaks::Http, "", "[default]\nleak = \"block\"\n");
        let _proxy = Proxy::start(world.server.again(), PROXY, Speaks::Http, None);
        let collector = Server::start(&world.server, "203.0.113.9:80", server::collector);
        let mut stream = world
            .connect(collector.address)
            .expect("the proxy connects");
        let request = registration::request("collector.example", Breaks::Lf);
        stream
            .write_all(&request)
            .expect("the app's kernel takes it");
        let error = stream.read(&mut [0; 10]).expect_err("it is reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(collector.bytes(), b"");
        let flow = ended(&mut world, Proto::Tcp);
        assert_eq!((flow.failure, flow.verdict), (None, Action::Block));
    });
}

/// The name comes when the flow has begun to go another way: none of its bytes may.
#[test]
fn a_claim_that_a_rule_leads_through_a_proxy_does_not_go_directly() {
    alone(|| {
        let policy = format!(
            "{}[[rule]]\nto = \"secret.example\"\naction = \"allow\"\nvia = \"p\"\n",
            proxy_table(PROXY, Speaks::Socks5, "")
        );
        let mut world = World::new(Setup {
            policy,
            ..Setup::default()
        });
        let collector = Server::start(&world.server, "203.0.113.9:80", server::collector);
        let mut stream = world.connect(collector.address).expect("it listens");
        let request = b"GET / HTTP/1.1\r\nHost: secret.example\r\n\r\n";
        stream
            .write_all(request)
            .expect("the app's kernel takes it");
        let error = stream.read(&mut [0; 10]).expect_err("it is reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(collector.bytes(), b"");
        let flow = ended(&mut world, Proto::Tcp);
        assert_eq!((flow.verdict, &*flow.rule), (Action::Block, "rule.1"));
    });
}

/// The proxy's own connections come through the tunnel and are led to it again.
#[test]
fn a_proxy_behind_the_tunnel_itself_makes_no_endless_loop() {
    alone(|| {
        let mut world = world_at("192.0.2.1:1080", Speaks::Socks5, "", "");
        let (inside, outside) = (world.relay.again(), world.app.again());
        let proxy = Proxy::between(inside, outside, "192.0.2.1:1080", Speaks::Socks5, None);
        let started = Instant::now();
        let error = world
            .connect(at("203.0.113.9:7"))
            .expect_err("the proxy goes round in circles");
        assert_eq!(error.kind(), ErrorKind::HostUnreachable);
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(proxy.asked().len(), 64);
        let events = world.stop();
        let told =
            |event: &Event| matches!(event, Event::Drop(drop) if drop.reason == "proxy_limit");
        assert!(events.iter().any(told));
    });
}

fn fails(world: &mut World, kind: ErrorKind, failure: Failure) {
    let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
    let error = world
        .connect(echo.address)
        .expect_err("the proxy does not connect");
    assert_eq!(error.kind(), kind);
    let flow = ended(world, Proto::Tcp);
    assert_eq!((flow.failure, flow.verdict), (Some(failure), Action::Allow));
    assert_eq!(flow.via.as_deref(), Some("p"));
    assert_eq!(echo.connections(), 0);
}

/// A world all of whose connections go through one proxy.
fn world(speaks: Speaks, login: &str, more: &str) -> World {
    world_at(PROXY, speaks, login, more)
}

fn world_at(address: &str, speaks: Speaks, login: &str, more: &str) -> World {
    let table = proxy_table(address, speaks, login);
    let policy = format!("{more}{table}[[rule]]\naction = \"allow\"\nvia = \"p\"\n");
    World::new(Setup {
        policy,
        ..Setup::default()
    })
}

fn proxy_table(address: &str, speaks: Speaks, login: &str) -> String {
    let speaks = match speaks {
        Speaks::Socks5 => "socks5",
        Speaks::Http => "http",
    };
    format!("[[proxy]]\nname = \"p\"\ntype = \"{speaks}\"\naddress = \"{address}\"\n{login}")
}

/// Whether a datagram came from the relay itself.
fn ours(from: &SocketAddr) -> bool {
    [at("192.0.2.1:0"), at("[2001:db8:1::1]:0")]
        .iter()
        .any(|relay| relay.ip() == from.ip())
}

fn udp(world: &World, to: &str) -> UdpSocket {
    udp_from(world, "10.0.0.2:0", to)
}

fn udp_from(world: &World, local: &str, to: &str) -> UdpSocket {
    let socket = world.app.run(|| UdpSocket::bind(local));
    let socket = socket.expect("a port is free");
    let wait = Some(Duration::from_secs(2));
    socket.set_read_timeout(wait).expect("a socket option");
    socket.connect(at(to)).expect("a route leads there");
    socket
}

/// What comes back.
fn asked(socket: &UdpSocket, bytes: &[u8]) -> io::Result<Vec<u8>> {
    socket.send(bytes)?;
    let mut buffer = [0; 65_536];
    let len = socket.recv(&mut buffer)?;
    Ok(buffer[..len].to_vec())
}

/// The last flow of this protocol with a server.
fn ended(world: &mut World, proto: Proto) -> FlowEvent {
    let flow = |event| match event {
        Event::Flow(flow) if flow.proto == proto && flow.dst.port() != 53 => Some(flow),
        _ => None,
    };
    let flows = world.stop().into_iter().filter_map(flow);
    flows.last().expect("a flow is told of")
}
