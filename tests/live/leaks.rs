//! The leak of 2019, through a live tun: not one byte of it arrives, unless its destination was approved.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use untold::event::{Action, Confidence, Event, FindingEvent, FlowEvent, Kind, Wrapper};

use crate::{
    faultlink::Faults,
    ns::alone,
    peers::write_split,
    registration::{self, Breaks},
    server::{self, Server},
    world::{Setup, World},
};

#[test]
fn not_one_byte_of_the_registration_reaches_the_collector() {
    alone(|| {
        let mut world = World::new(Setup::default());
        let mut collectors = Vec::new();
        for (port, address, breaks) in cases() {
            let collector = Server::start(
                &world.server,
                &format!("{address}:{port}"),
                server::collector,
            );
            let mut stream = world
                .connect(collector.address)
                .expect("a connection alone is allowed");
            stream
                .write_all(&registration::request("collector.example", breaks))
                .expect("the app's kernel takes it");
            assert_reset(&mut stream, &format!("{address} {breaks:?}"));
            collectors.push(collector);
        }
        let events = world.stop();
        for collector in collectors {
            assert_eq!(collector.bytes(), b"", "{}", collector.address);
            assert_blocked(&events, collector.address);
        }
    });
}

#[test]
fn no_cut_into_segments_lets_a_byte_out() {
    alone(|| {
        let mut world = World::new(Setup::default());
        let request = registration::request("collector.example", Breaks::Lf);
        let quick = Duration::from_micros(300);
        let sizes = [
            1, 2, 3, 7, 75, 76, 77, 78, 100, 180, 255, 256, 257, 512, 536, 1000, 1220, 1448,
        ];
        for (port, size) in (8000..).zip(sizes) {
            let collector = Server::start(
                &world.server,
                &format!("203.0.113.9:{port}"),
                server::collector,
            );
            let mut stream = world
                .connect(collector.address)
                .expect("a connection alone is allowed");
            // The firewall may reset the flow before the last piece is written.
            let _ = write_split(&mut stream, &request, size, quick);
            assert_reset(&mut stream, &format!("pieces of {size}"));
            assert_eq!(collector.bytes(), b"", "pieces of {size}");
            assert!(
                world.tells(|event| is_flow(event, collector.address)),
                "pieces of {size}"
            );
        }
        let events = world.stop();
        for port in (8000..).take(sizes.len()) {
            assert_blocked(&events, SocketAddr::from(([203, 0, 113, 9], port)));
        }
    });
}

/// Within the pause of 250 ms a request stays one unit, however it is cut.
#[test]
fn a_short_pause_inside_the_request_lets_no_byte_out() {
    alone(|| {
        let world = World::new(Setup::default());
        let request = registration::request("collector.example", Breaks::Lf);
        let body = request
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head ends")
            + 4;
        for (port, cut) in (8000..).zip([1, 4, 40, body - 1, body, body + 1, body + 38, body + 100])
        {
            let collector = Server::start(
                &world.server,
                &format!("203.0.113.9:{port}"),
                server::collector,
            );
            let mut stream = world
                .connect(collector.address)
                .expect("a connection alone is allowed");
            stream.set_nodelay(true).expect("a socket option");
            stream
                .write_all(&request[..cut])
                .expect("the first part is nobody's");
            std::thread::sleep(Duration::from_millis(120));
            let _ = stream.write_all(&request[cut..]);
            assert_reset(&mut stream, &format!("cut at {cut}"));
            assert_eq!(collector.bytes(), b"", "cut at {cut}");
        }
    });
}

/// After the pause what was judged clean goes, and the unit streams: the values stay.
#[test]
fn a_long_pause_inside_the_request_lets_no_value_out() {
    alone(|| {
        let world = World::new(Setup::default());
        let request = registration::request("collector.example", Breaks::Lf);
        let body = request
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head ends")
            + 4;
        for (port, cut) in (8000..).zip([40, body, body + 20, body + 38]) {
            let collector = Server::start(
                &world.server,
                &format!("203.0.113.9:{port}"),
                server::collector,
            );
            let mut stream = world
                .connect(collector.address)
                .expect("a connection alone is allowed");
            stream.set_nodelay(true).expect("a socket option");
            stream
                .write_all(&request[..cut])
                .expect("the first part is nobody's");
            std::thread::sleep(Duration::from_millis(600));
            let _ = stream.write_all(&request[cut..]);
            assert_reset(&mut stream, &format!("cut at {cut}"));
            let got = collector.bytes();
            assert!(
                request.starts_with(&got) && got.len() <= cut,
                "cut at {cut}: {} bytes came",
                got.len()
            );
        }
    });
}

#[test]
fn an_approved_registration_arrives_byte_for_byte() {
    alone(|| {
        let approval = "[[rule]]\nto = \"203.0.113.0/24\"\nsends = [\"*\"]\naction = \"allow\"\n\
                        [[rule]]\nto = \"2001:db8::/32\"\nsends = [\"*\"]\naction = \"allow\"\n";
        let mut world = World::new(Setup {
            policy: approval.into(),
            ..Setup::default()
        });
        let mut collectors = Vec::new();
        for (port, address, breaks) in cases() {
            let collector = Server::start(
                &world.server,
                &format!("{address}:{port}"),
                server::collector,
            );
            let request = registration::request("collector.example", breaks);
            let mut stream = world
                .connect(collector.address)
                .expect("the collector listens");
            write_split(&mut stream, &request, 500, Duration::ZERO).expect("the flow goes on");
            let mut answer = vec![0; 4096];
            let len = stream.read(&mut answer).expect("the collector answers");
            assert!(
                answer[..len].starts_with(b"HTTP/1.1 200 OK"),
                "{address} {breaks:?}"
            );
            assert_eq!(collector.bytes(), request, "{address} {breaks:?}");
            collectors.push((collector, request.len()));
        }
        let events = world.stop();
        for (collector, len) in collectors {
            let flow = flow(&events, collector.address);
            assert_eq!(
                (flow.verdict, flow.bytes_out),
                (Action::Allow, u64::try_from(len).unwrap())
            );
            let findings = findings(&events, flow.flow);
            assert!(
                !findings.is_empty(),
                "what is approved is told all the same"
            );
            assert!(
                findings
                    .iter()
                    .all(|finding| finding.approved && finding.verdict == Action::Allow)
            );
        }
    });
}

#[test]
fn a_rule_for_some_kinds_approves_no_others() {
    alone(|| {
        let approval =
            "[[rule]]\nto = \"203.0.113.0/24\"\nsends = [\"imei\", \"imsi\"]\naction = \"allow\"\n";
        let world = World::new(Setup {
            policy: approval.into(),
            ..Setup::default()
        });
        let collector = Server::start(&world.server, "203.0.113.9:80", server::collector);
        let mut stream = world
            .connect(collector.address)
            .expect("a connection alone is allowed");
        stream
            .write_all(&registration::request("collector.example", Breaks::Lf))
            .expect("the app's kernel takes it");
        assert_reset(&mut stream, "some kinds");
        assert_eq!(collector.bytes(), b"");
    });
}

#[test]
fn a_blocked_destination_is_reset_before_a_connection_is_made() {
    alone(|| {
        let policy = "[[rule]]\nto = \"203.0.113.9\"\naction = \"block\"\n";
        let world = World::new(Setup {
            policy: policy.into(),
            ..Setup::default()
        });
        let blocked = Server::start(&world.server, "203.0.113.9:80", server::sink);
        let allowed = Server::start(&world.server, "203.0.113.10:80", server::echo);
        let error = world
            .connect(blocked.address)
            .expect_err("the rule blocks it");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        world
            .connect(allowed.address)
            .expect("the rule is about another address");
        assert_eq!(blocked.connections(), 0);
    });
}

/// Where packets come twice, late and in another order, the relay must put them together before anything is judged.
#[test]
fn a_bad_link_lets_no_byte_out() {
    alone(|| {
        for seed in 1..=3 {
            let app_side = Faults {
                seed,
                lost: 50,
                duplicated: 100,
                reordered: 200,
                delay: Duration::from_millis(1),
                jitter: Duration::from_millis(2),
            };
            let world = World::new(Setup {
                app_side: Some(app_side),
                mtu: 1280,
                ..Setup::default()
            });
            let request = registration::request("collector.example", Breaks::Lf);
            for (port, size) in (8000..).zip([1, 60, 200, 1500]) {
                let collector = Server::start(
                    &world.server,
                    &format!("203.0.113.9:{port}"),
                    server::collector,
                );
                let mut stream = world
                    .connect(collector.address)
                    .expect("a connection alone is allowed");
                let _ = write_split(&mut stream, &request, size, Duration::from_micros(100));
                // The reset itself may be lost; the flow's event is not.
                assert!(
                    world.tells(|event| is_flow(event, collector.address)),
                    "seed {seed}, pieces of {size}"
                );
                assert_eq!(collector.bytes().len(), 0, "seed {seed}, pieces of {size}");
            }
        }
    });
}

#[test]
fn a_body_behind_a_granted_head_is_judged_on_its_own() {
    alone(|| {
        let world = World::new(Setup::default());
        let server = Server::start(&world.server, "203.0.113.9:80", server::http);
        let request = registration::request("collector.example", Breaks::Lf);
        let request = String::from_utf8(request).expect("it is text");
        let request = request.replacen("\r\nHost:", "\r\nExpect: 100-continue\r\nHost:", 1);
        let (head, body) = request.split_once("\r\n\r\n").expect("a head ends");
        let mut stream = world
            .connect(server.address)
            .expect("a connection alone is allowed");
        stream
            .write_all(format!("{head}\r\n\r\n").as_bytes())
            .expect("the app's kernel takes it");
        let mut answer = [0; 100];
        let len = stream
            .read(&mut answer)
            .expect("the server grants the body");
        assert!(answer[..len].starts_with(b"HTTP/1.1 100 Continue"));
        stream
            .write_all(body.as_bytes())
            .expect("the app's kernel takes it");
        assert_reset(&mut stream, "body");
        let marks: Vec<_> = server.marks().into_iter().map(|(mark, _)| mark).collect();
        assert_eq!(marks, ["head", "continue"], "the body did not arrive");
    });
}

#[test]
fn a_line_with_an_identifier_is_stopped_and_those_before_it_are_not() {
    alone(|| {
        let world = World::new(Setup::default());
        let echo = Server::start(&world.server, "203.0.113.9:4000", |stream, record| {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line)? > 0 {
                record.add(&line);
                lines.get_mut().write_all(&line)?;
                line.clear();
            }
            Ok(())
        });
        let mut stream = world.connect(echo.address).expect("the server listens");
        for line in ["HELO phone.example\r\n", "STATUS battery=81\r\n"] {
            stream.write_all(line.as_bytes()).expect("the flow is open");
            let mut answer = vec![0; line.len()];
            stream
                .read_exact(&mut answer)
                .expect("the server answers each line");
            assert_eq!(answer, line.as_bytes());
        }
        stream
            .write_all(format!("STATUS imei={}\r\n", registration::IMEI).as_bytes())
            .expect("the app's kernel takes it");
        assert_reset(&mut stream, "third line");
        let got = String::from_utf8(echo.bytes()).expect("lines are text");
        let whole = format!(
            "HELO phone.example\r\nSTATUS battery=81\r\nSTATUS imei={}",
            &registration::IMEI[..8]
        );
        assert!(
            whole.starts_with(&got),
            "half of the value at most may have gone"
        );
    });
}

/// Promise 6, of the events themselves.
#[test]
fn no_event_says_a_registered_value() {
    alone(|| {
        let mut world = World::new(Setup::default());
        let collector = Server::start(&world.server, "203.0.113.9:80", server::collector);
        let request = registration::request("collector.example", Breaks::Lf);
        let plain = format!(
            "GET /{}/{}?m={} HTTP/1.1\r\n\r\n",
            registration::IMEI,
            registration::EMAIL,
            registration::MAC
        );
        for bytes in [&request[..], plain.as_bytes()] {
            let mut stream = world
                .connect(collector.address)
                .expect("a connection alone is allowed");
            stream.write_all(bytes).expect("the app's kernel takes it");
            assert_reset(&mut stream, "request");
        }
        let events = world.stop();
        let told = format!(
            "{events:?}{}",
            serde_json::to_string(&events).expect("events are values")
        )
        .to_lowercase();
        assert!(
            told.contains("7518") && told.contains("imei"),
            "the last four digits are told"
        );
        for secret in registration::secrets() {
            assert!(
                !told.contains(&secret.to_lowercase()),
                "an event says a registered value in clear"
            );
        }
    });
}

fn cases() -> impl Iterator<Item = (u16, &'static str, Breaks)> {
    let addresses = ["203.0.113.9", "[2001:db8::9]"];
    let cases = addresses.into_iter().flat_map(|address| {
        [Breaks::Lf, Breaks::CrLf, Breaks::None].map(|breaks| (address, breaks))
    });
    (8000..)
        .zip(cases)
        .map(|(port, (address, breaks))| (port, address, breaks))
}

fn assert_reset(stream: &mut TcpStream, what: &str) {
    let mut answer = [0; 100];
    match stream.read(&mut answer) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what}"),
        Ok(len) => panic!(
            "{what}: not reset, {:?} came",
            String::from_utf8_lossy(&answer[..len])
        ),
    }
}

fn assert_blocked(events: &[Event], destination: SocketAddr) {
    let flow = flow(events, destination);
    assert_eq!(
        (flow.verdict, flow.bytes_out, flow.bytes_in),
        (Action::Block, 0, 0),
        "{destination}"
    );
    let findings = findings(events, flow.flow);
    let imei = findings
        .iter()
        .find(|finding| finding.finding.kind == Kind::Imei);
    let imei =
        imei.unwrap_or_else(|| panic!("{destination}: no IMEI among {} findings", findings.len()));
    assert_eq!(imei.verdict, Action::Block);
    assert!(!imei.approved);
    assert_eq!(imei.finding.confidence, Confidence::Exact);
    assert_eq!(
        imei.finding.chain,
        [Wrapper::Base64, Wrapper::Json],
        "{destination}"
    );
    assert!([Some("7518"), Some("3809")].contains(&imei.finding.last4.as_deref()));
}

fn flow(events: &[Event], destination: SocketAddr) -> FlowEvent {
    let flow = events.iter().find_map(|event| match event {
        Event::Flow(flow) if flow.dst == destination => Some(flow.clone()),
        _ => None,
    });
    flow.unwrap_or_else(|| panic!("no flow event for {destination}"))
}

fn is_flow(event: &Event, destination: SocketAddr) -> bool {
    matches!(event, Event::Flow(flow) if flow.dst == destination)
}

fn findings(events: &[Event], number: u64) -> Vec<FindingEvent> {
    let findings = events.iter().filter_map(|event| match event {
        Event::Finding(finding) if finding.flow == number => Some(finding.clone()),
        _ => None,
    });
    findings.collect()
}
