//! Recordings: what a live engine said, its replay says again.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream, UdpSocket},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use serde_json::Value;
use untold::{
    event::{Action, Event, Proto, Scope},
    io::FindOwner,
    wire::Pair,
};

use crate::{
    faultlink::Faults,
    noise::Noise,
    ns::{alone, alone_with},
    proxies::{Proxy, Speaks},
    registration::{self, Breaks},
    resolver::{self, Resolver},
    server::{self, Echo, Server},
    world::{RESOLVER, Setup, UPSTREAM_RESOLVER, World},
};

#[test]
fn a_blocked_registration_replays() {
    alone(|| {
        let live = recorded(Setup::default(), |world| {
            let collector = Server::start(&world.server, WEB, server::collector);
            exchange(world, &collector, &registration());
        });
        assert_eq!(live.verdicts("finding"), ["block"; 7]);
        assert_same(&live, "");
    });
}

#[test]
fn an_approved_registration_replays() {
    alone(|| {
        let policy = "[[rule]]\nto = \"203.0.113.9\"\nsends = [\"*\"]\naction = \"allow\"\n";
        let live = recorded(with_policy(policy), |world| {
            let collector = Server::start(&world.server, WEB, server::collector);
            exchange(world, &collector, &registration());
            assert!(collector.reaches("request"));
        });
        assert_eq!(live.verdicts("finding"), ["allow"; 7]);
        assert_same(&live, policy);
    });
}

/// The proxy is no part of a recording: verdicts stand on what the app sent.
#[test]
fn what_goes_through_a_proxy_replays() {
    alone(|| {
        let policy = "[[proxy]]\nname = \"p\"\ntype = \"socks5\"\naddress = \"203.0.113.10:1080\"\n\
            [[rule]]\naction = \"allow\"\nvia = \"p\"\n";
        let live = recorded(with_policy(policy), |world| {
            let _proxy = Proxy::start(
                world.server.again(),
                "203.0.113.10:1080",
                Speaks::Socks5,
                None,
            );
            let collector = Server::start(&world.server, WEB, server::collector);
            exchange(world, &collector, &registration());
            let refused = world.connect("203.0.113.9:81".parse().unwrap());
            assert!(refused.is_err(), "nobody listens");
            let echo = Echo::start(&world.server, "203.0.113.9:7");
            let socket = world.app.run(|| UdpSocket::bind("10.0.0.2:0")).unwrap();
            socket.set_read_timeout(Some(server::PATIENCE)).unwrap();
            socket.send_to(b"hello", echo.address).unwrap();
            assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 5);
        });
        assert_eq!(live.verdicts("finding"), ["block"; 7]);
        assert_same(&live, policy);
    });
}

#[test]
fn a_refused_connection_replays_and_sent_nothing() {
    alone(|| {
        let live = recorded(Setup::default(), |world| {
            for address in ["203.0.113.9:81", "[2001:db8::9]:81"] {
                let refused = world.connect(address.parse().expect("an address"));
                assert!(refused.is_err());
            }
        });
        assert_eq!(live.verdicts("flow"), ["allow"; 2]);
        assert!(live.all("flow").iter().all(|flow| flow["bytes_out"] == 0));
        assert_same(&live, "");
    });
}

#[test]
fn a_forbidden_connection_replays() {
    alone(|| {
        let policy = "[[rule]]\nto = \"203.0.113.0/24\"\nport = \"80\"\naction = \"block\"\n";
        let live = recorded(with_policy(policy), |world| {
            let _web = Server::start(&world.server, WEB, server::collector);
            assert!(world.connect(WEB.parse().expect("an address")).is_err());
        });
        assert_eq!(live.verdicts("flow"), ["block"]);
        assert_same(&live, policy);
    });
}

#[test]
fn a_registration_over_a_lossy_link_replays() {
    alone(|| {
        let faults = Faults {
            seed: 3,
            lost: 60,
            duplicated: 60,
            reordered: 60,
            jitter: Duration::from_millis(2),
            ..Faults::default()
        };
        let setup = Setup {
            app_side: Some(faults),
            ..Setup::default()
        };
        let live = recorded(setup, |world| {
            let collector = Server::start(&world.server, WEB, server::http);
            let big = Noise::new(4).bytes(200_000);
            let head = format!(
                "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n",
                big.len()
            );
            exchange(
                world,
                &collector,
                &[head.as_bytes(), &big, &registration()].concat(),
            );
        });
        assert_eq!(live.verdicts("finding"), ["block"; 7]);
        assert_same(&live, "");
    });
}

#[test]
fn a_registration_in_long_segments_replays() {
    alone_with(&["tshark"], || {
        let setup = Setup {
            offload: true,
            ..Setup::default()
        };
        let live = recorded(setup, |world| {
            let collector = Server::start(&world.server, WEB, server::http);
            let big = Noise::new(4).bytes(200_000);
            let length = big.len();
            let head =
                format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {length}\r\n\r\n");
            let bytes = [head.as_bytes(), &big, &registration()].concat();
            exchange(world, &collector, &bytes);
        });
        assert_eq!(live.verdicts("finding"), ["block"; 7]);
        assert_same(&live, "");
        let filter = |words: &str| {
            says(
                "tshark",
                &["-r", FILE, "-o", "tcp.check_checksum:TRUE", "-Y", words],
            )
        };
        assert_eq!(filter("tcp.checksum.status == \"Bad\""), "");
        assert_ne!(filter("tcp.len > 1460"), "", "some segments are long");
    });
}

#[test]
fn a_registration_over_ipv6_replays() {
    alone(|| {
        let live = recorded(Setup::default(), |world| {
            let collector = Server::start(&world.server, "[2001:db8::9]:80", server::collector);
            exchange(world, &collector, &registration());
        });
        assert_eq!(live.verdicts("finding"), ["block"; 7]);
        assert_same(&live, "");
    });
}

#[test]
fn datagrams_replay() {
    alone(|| {
        let live = recorded(Setup::default(), |world| {
            for (local, remote) in [
                ("10.0.0.2:0", "203.0.113.9:7"),
                ("[fd00::2]:0", "[2001:db8::9]:7"),
            ] {
                let echo = Echo::start(&world.server, remote);
                let socket = world
                    .app
                    .run(|| UdpSocket::bind(local))
                    .expect("a port is free");
                socket
                    .set_read_timeout(Some(server::PATIENCE))
                    .expect("a socket option");
                socket.connect(echo.address).expect("a route leads there");
                // The last one leaves in fragments.
                for len in [1, 700, 3_000] {
                    socket
                        .send(&Noise::new(1).bytes(len))
                        .expect("the tun takes it");
                    socket.recv(&mut [0; 4_096]).expect("the echo answers");
                }
                let leak = format!("imei={}", registration::IMEI);
                socket.send(leak.as_bytes()).expect("the tun takes it");
                assert!(socket.recv(&mut [0; 4_096]).is_err(), "refused");
            }
        });
        assert_eq!(live.verdicts("finding"), ["block"; 2]);
        assert_same(&live, "");
    });
}

#[test]
fn names_and_what_they_lead_to_replay() {
    alone(|| {
        let policy = "[[rule]]\nto = \"tracker.example\"\naction = \"block\"\n\
                      [[rule]]\nto = \"bank.example\"\nsends = [\"imei\"]\naction = \"allow\"\n";
        let live = recorded(with_policy(policy), |world| {
            let names = [
                ("bank.example", "203.0.113.9"),
                ("tracker.example", "203.0.113.10"),
            ];
            let _resolver = Resolver::start(&world.server, UPSTREAM_RESOLVER, &names, &[]);
            let web = Server::start(&world.server, WEB, server::http);
            for name in ["bank.example", "tracker.example", "nowhere.example"] {
                assert!(resolver::ask(&world.app, RESOLVER, name).is_some());
            }
            let leak = format!("{}.tracker.example", registration::IMEI);
            assert!(resolver::ask(&world.app, RESOLVER, &leak).is_some());
            exchange(world, &web, &post("bank.example", registration::IMEI));
            exchange(world, &web, &post("bank.example", registration::EMAIL));
        });
        assert_eq!(live.verdicts("finding"), ["block", "allow", "block"]);
        assert_eq!(live.verdicts("name"), ["allow", "block", "block"]);
        assert_eq!(live.all("name")[2]["name"], "*.tracker.example");
        assert!(
            live.0
                .iter()
                .all(|event| !event.to_string().contains(registration::IMEI))
        );
        assert_same(&live, policy);
    });
}

#[test]
fn several_requests_on_one_connection_replay() {
    alone(|| {
        let live = recorded(Setup::default(), |world| {
            let web = Server::start(&world.server, WEB, server::http);
            let mut stream = world.connect(web.address).expect("the server listens");
            for body in ["a=b", "c=d", registration::ICCID] {
                stream
                    .write_all(&post("a.example", body))
                    .expect("the flow is open");
                let answered = stream.read(&mut [0; 4_096]);
                assert_eq!(answered.is_ok(), body != registration::ICCID);
            }
        });
        assert_eq!(live.verdicts("finding"), ["block"]);
        assert_same(&live, "");
    });
}

#[test]
fn a_pause_within_a_body_replays() {
    alone(|| {
        let live = recorded(Setup::default(), |world| {
            let web = Server::start(&world.server, WEB, server::http);
            let mut stream = world.connect(web.address).expect("the server listens");
            let head = "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).expect("the flow is open");
            let (one, other) = registration::IMEI.split_at(9);
            for (chunk, pause) in [("x=1&imei=", 400), (one, 400), (other, 400), ("&y=2", 0)] {
                let chunk = format!("{:x}\r\n{chunk}\r\n", chunk.len());
                // After the value is whole, the flow is reset.
                let _ = stream.write_all(chunk.as_bytes());
                thread::sleep(Duration::from_millis(pause));
            }
        });
        assert_eq!(live.verdicts("finding"), ["block"]);
        assert_same(&live, "");
    });
}

#[test]
fn a_head_that_expects_replays() {
    alone(|| {
        let live = recorded(Setup::default(), |world| {
            let web = Server::start(&world.server, WEB, server::http);
            let mut stream = world.connect(web.address).expect("the server listens");
            let head = "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n";
            stream.write_all(head.as_bytes()).expect("the flow is open");
            let said = stream.read(&mut [0; 4_096]).expect("the server says go on");
            assert!(said > 0);
            stream
                .write_all(registration::IMEI.as_bytes())
                .expect("the app's kernel takes it");
            assert!(stream.read(&mut [0; 4_096]).is_err());
        });
        assert_eq!(live.verdicts("finding"), ["block"]);
        assert_same(&live, "");
    });
}

#[test]
fn tls_that_breaks_into_cleartext_replays() {
    alone(|| {
        let live = recorded(Setup::default(), |world| {
            let sink = Server::start(&world.server, "203.0.113.9:443", server::sink);
            let mut stream = world.connect(sink.address).expect("the server listens");
            stream
                .write_all(&client_hello("web.example"))
                .expect("the flow is open");
            for seed in 0..4 {
                let mut record = vec![23, 3, 3, 4, 0];
                record.extend(Noise::new(seed).bytes(1_024));
                stream.write_all(&record).expect("the flow is open");
                thread::sleep(Duration::from_millis(20));
            }
            let leak = format!("imei={}\r\n", registration::IMEI);
            stream
                .write_all(leak.as_bytes())
                .expect("the app's kernel takes it");
            let _ = stream.read(&mut [0; 100]);
        });
        assert_eq!(live.all("flow").len(), 1);
        assert_eq!(live.verdicts("finding"), ["block"]);
        assert_same(&live, "");
    });
}

#[test]
fn flows_side_by_side_that_end_every_way_replay() {
    alone(|| {
        let live = recorded(Setup::default(), |world| {
            let sink = Server::start(&world.server, "203.0.113.9:9", server::sink);
            let reset = Server::start(&world.server, "203.0.113.9:10", server::reset);
            let source = Server::start(&world.server, "203.0.113.9:19", server::source(4, 1 << 20));
            let web = Server::start(&world.server, WEB, server::http);
            thread::scope(|scope| {
                scope.spawn(|| exchange(world, &sink, &Noise::new(8).bytes(1 << 20)));
                scope.spawn(|| exchange(world, &reset, b"x"));
                scope.spawn(|| exchange(world, &source, b""));
                scope.spawn(|| exchange(world, &web, &post("a.example", registration::MAC)));
                scope.spawn(|| {
                    // Its client gives up while the body is held.
                    let mut stream = world.connect(web.address).expect("the server listens");
                    let part = &post("a.example", registration::PHONE)[..60];
                    stream.write_all(part).expect("the flow is open");
                    socket2::SockRef::from(&stream)
                        .set_linger(Some(Duration::ZERO))
                        .expect("a socket option");
                });
            });
        });
        assert_eq!(live.all("flow").len(), 5);
        assert_eq!(live.verdicts("finding"), ["block"]);
        assert_same(&live, "");
    });
}

#[test]
fn answers_of_a_person_replay() {
    alone(|| {
        let live = recorded(asking(ASK), |world| {
            let web = Server::start(&world.server, WEB, server::http);
            for (value, action, scope) in [
                (registration::IMEI, Action::Allow, Scope::Once),
                (registration::IMEI, Action::Block, Scope::Flow),
                (registration::ICCID, Action::Allow, Scope::Quarter),
            ] {
                thread::scope(|scope_| {
                    scope_.spawn(|| exchange(world, &web, &post("a.example", value)));
                    world.answer(action, scope);
                });
            }
            // Answered already.
            exchange(world, &web, &post("a.example", registration::ICCID));
        });
        assert_eq!(live.verdicts("answer"), ["allow", "block", "allow"]);
        assert_eq!(
            live.verdicts("finding"),
            ["allow", "block", "allow", "allow"]
        );
        assert_same(&live, ASK);
    });
}

#[test]
fn questions_that_nobody_answers_replay() {
    alone(|| {
        let policy = "[default]\nconnection = \"ask\"\nask_timeout = \"1s\"\n";
        let live = recorded(asking(policy), |world| {
            let _web = Server::start(&world.server, WEB, server::http);
            assert!(world.connect(WEB.parse().expect("an address")).is_err());
            assert!(world.tells(|event| matches!(event, Event::Answer(_))));
        });
        assert_eq!(live.verdicts("answer"), ["block"]);
        assert_same(&live, policy);
    });
}

#[test]
fn owners_replay() {
    alone(|| {
        let policy = "[[rule]]\napp = \"bank\"\nsends = [\"imei\"]\naction = \"allow\"\n\
                      [[rule]]\napp = \"uid:7\"\nproto = \"udp\"\naction = \"block\"\n";
        let setup = Setup {
            owners: Some(Box::new(ByPort)),
            ..with_policy(policy)
        };
        let live = recorded(setup, |world| {
            let web = Server::start(&world.server, WEB, server::http);
            let other = Server::start(&world.server, "203.0.113.9:81", server::http);
            for server in [&web, &other] {
                exchange(world, server, &post("a.example", registration::IMEI));
            }
            let echo = Echo::start(&world.server, "203.0.113.9:7");
            let socket = world.app.run(|| UdpSocket::bind("10.0.0.2:0"));
            let socket = socket.expect("a port is free");
            socket.connect(echo.address).expect("a route leads there");
            socket.send(b"x").expect("the tun takes it");
            assert!(socket.recv(&mut [0; 10]).is_err(), "refused");
        });
        assert_eq!(live.verdicts("finding"), ["allow", "block"]);
        let apps: Vec<_> = live.all("flow").iter().map(|flow| &flow["app"]).collect();
        assert_eq!(apps, ["bank", "mail", "echo"]);
        assert_same(&live, policy);
    });
}

/// Takes its time, and knows an app by where it talks to.
struct ByPort;

impl FindOwner for ByPort {
    fn find(&mut self, _: Proto, pair: Pair) -> Vec<Arc<str>> {
        thread::sleep(Duration::from_millis(30));
        let name = match pair.dst.port() {
            80 => "bank",
            81 => "mail",
            _ => "echo",
        };
        vec![name.into(), "uid:7".into()]
    }
}

#[test]
fn tshark_reads_a_recording() {
    alone_with(&["tshark", "capinfos"], || {
        let live = recorded(Setup::default(), |world| {
            let collector = Server::start(&world.server, WEB, server::collector);
            exchange(world, &collector, &registration());
        });
        drop(live);
        let said = says(
            "tshark",
            &[
                "-r",
                FILE,
                "-Y",
                "http.request",
                "-T",
                "fields",
                "-e",
                "http.host",
            ],
        );
        assert_eq!(said.trim(), "collector.example");
        let ways = says(
            "tshark",
            &[
                "-r",
                FILE,
                "-T",
                "fields",
                "-e",
                "frame.packet_flags_direction",
            ],
        );
        assert!(ways.contains('1') && ways.contains('2'), "{ways}");
        let malformed = says(
            "tshark",
            &[
                "-r",
                FILE,
                "-Y",
                "_ws.malformed || tcp.checksum.status == \"Bad\"",
                "-o",
                "tcp.check_checksum:TRUE",
            ],
        );
        assert_eq!(malformed, "");
        let about = says("capinfos", &[FILE]);
        for word in ["pcapng", "nanoseconds (9)", "untold "] {
            assert!(about.contains(word), "{about}");
        }
    });
}

/// Runs a world, recorded, to its end.
fn recorded(setup: Setup, act: impl FnOnce(&World)) -> Told {
    let setup = Setup {
        record: Some(FILE),
        ..setup
    };
    let mut world = World::new(setup);
    act(&world);
    // What is on its way is to be part of it.
    let mut before = 0;
    while before != world.events().len() {
        before = world.events().len();
        thread::sleep(Duration::from_millis(200));
    }
    // Through text, as the replay's: reading a number may round it.
    let text = |event| serde_json::to_string(&event).expect("a plain value");
    let events = world.stop().into_iter().map(text);
    Told(
        events
            .map(|line| serde_json::from_str(&line).expect("JSON"))
            .collect(),
    )
}

/// Events as JSON.
struct Told(Vec<Value>);

impl Told {
    fn all(&self, kind: &str) -> Vec<&Value> {
        self.0
            .iter()
            .filter(|event| event["event"] == kind)
            .collect()
    }

    fn verdicts(&self, kind: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|event| event["event"] == kind)
            .map(|event| event["verdict"].as_str().expect("a verdict is a word"))
            .collect()
    }
}

/// Fails unless the recording's replay says what was said live, at the same times.
fn assert_same(live: &Told, policy: &str) {
    let again = replay(policy);
    for kind in ["finding", "ask", "answer", "name"] {
        assert_eq!(live.all(kind), again.all(kind), "{kind}");
    }
    // A flow ends when its socket has taken everything, which in a replay is at once.
    let timeless = |told: &Told| {
        let mut flows: Vec<Value> = told.all("flow").into_iter().cloned().collect();
        flows.sort_by_key(|flow| flow["flow"].as_u64());
        let times: Vec<f64> = flows
            .iter_mut()
            .map(|flow| flow["time"].take().as_f64().expect("a number"))
            .collect();
        (flows, times)
    };
    let ((live, live_times), (again, again_times)) = (timeless(live), timeless(&again));
    assert_eq!(live, again);
    for (flow, (live, again)) in (1..).zip(live_times.iter().zip(again_times)) {
        let apart = (live - again).abs();
        assert!(
            apart < 0.1,
            "flow {flow} ended at {live} s live, at {again} s again"
        );
    }
}

fn replay(policy: &str) -> Told {
    fs::write("/run/policy.toml", policy).expect("/run is ours");
    fs::write("/run/identity.toml", registration::identity()).expect("/run is ours");
    let key = "07".repeat(32);
    let words = [
        "replay",
        "--json",
        "--hash-key",
        &key,
        "--policy",
        "/run/policy.toml",
        "--identity",
        "/run/identity.toml",
        FILE,
    ];
    let output = Command::new(env!("CARGO_BIN_EXE_untold"))
        .args(words)
        .stdin(Stdio::null())
        .output();
    let output = output.expect("the program starts");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("JSON is text");
    let lines = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is an object"));
    Told(lines.collect())
}

fn with_policy(policy: &str) -> Setup {
    Setup {
        policy: policy.into(),
        ..Setup::default()
    }
}

fn asking(policy: &str) -> Setup {
    Setup {
        can_ask: true,
        ..with_policy(policy)
    }
}

/// Sends everything, closes its half, and reads to the end, good or bad.
fn exchange(world: &World, server: &Server, bytes: &[u8]) {
    let mut stream: TcpStream = world.connect(server.address).expect("the server listens");
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

fn registration() -> Vec<u8> {
    registration::request("collector.example", Breaks::Lf)
}

fn post(host: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /p HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A ClientHello with nothing in it but a name (RFC 8446 section 4.1.2, RFC 6066 section 3).
fn client_hello(name: &str) -> Vec<u8> {
    let with_length = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
    let entry = [&[0][..], &with_length(name.as_bytes())].concat();
    let extension = [&[0, 0][..], &with_length(&with_length(&entry))].concat();
    let mut hello = vec![3, 3];
    hello.extend(Noise::new(5).bytes(32));
    hello.extend([0, 0, 2, 0x13, 1, 1, 0]);
    hello.extend(with_length(&extension));
    let handshake = [&[1, 0][..], &with_length(&hello)].concat();
    [&[22, 3, 1][..], &with_length(&handshake)].concat()
}

fn says(program: &str, words: &[&str]) -> String {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it says text")
}

const ASK: &str = "[default]\nleak = \"ask\"\nask_timeout = \"20s\"\n";
const FILE: &str = "/run/recording.pcapng";
const WEB: &str = "203.0.113.9:80";
