//! The sink: judged like any other destination, and no packet leaves.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use sha2::{Digest, Sha256};
use untold::{
    engine::Network,
    event::{Action, Event, FlowEvent, Scope},
};

use crate::{
    ns::alone,
    registration::{self, Breaks},
    server::{self, Server},
    world::{Setup, World},
};

const SINK: &str = "203.0.113.9:80";

#[test]
fn what_is_allowed_arrives_whole_and_goes_nowhere() {
    alone(|| {
        let (mut world, server) = world();
        let request = registration::request("collector.example", Breaks::Lf);
        let mut stream = post(&world, &request);
        world.answer(Action::Allow, Scope::Once);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let digest = Sha256::digest(&request);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            answer,
            format!(
                "HTTP/1.1 204 No Content\r\nSink-Bytes: {}\r\nSink-SHA-256: {digest}\r\nConnection: close\r\n\r\n",
                request.len()
            )
        );
        assert_eq!(ended(&mut world).bytes_out, request.len() as u64);
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn what_is_blocked_does_not_arrive() {
    alone(|| {
        let (mut world, server) = world();
        let mut stream = post(
            &world,
            &registration::request("collector.example", Breaks::Lf),
        );
        world.answer(Action::Block, Scope::Once);
        let error = stream.read(&mut [0; 512]).expect_err("it is reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(ended(&mut world).bytes_out, 0);
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn more_than_any_buffer_holds_goes_through() {
    alone(|| {
        let (world, _server) = world();
        let mut stream = world.connect(SINK.parse().unwrap()).expect("it connects");
        let piece = [b'a'; 65_536];
        let mut digest = Sha256::new();
        for _ in 0..256 {
            stream.write_all(&piece).expect("it takes everything");
            digest.update(piece);
        }
        stream.shutdown(Shutdown::Write).expect("it is connected");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let digest: String = digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert!(answer.contains("Sink-Bytes: 16777216\r\n"), "{answer}");
        assert!(answer.contains(&digest), "{answer}");
    });
}

/// What stays in the process stands on no network.
#[test]
fn r10_a_change_of_network_leaves_the_sink_alone() {
    alone(|| {
        let (mut world, server) = world();
        let request = registration::request("collector.example", Breaks::Lf);
        let mut stream = world.connect(SINK.parse().unwrap()).expect("it connects");
        let (first, rest) = request.split_at(100);
        stream.write_all(first).expect("the app's kernel takes it");
        world.relay.ip("addr del 192.0.2.1/30 dev up0");
        world.engine().network_changed(Network::default());
        // Answered in order: by then the change is over.
        assert_eq!(world.engine().load().expect("it answers").sockets, 1);
        stream.write_all(rest).expect("the flow goes on");
        stream.shutdown(Shutdown::Write).expect("it is connected");
        world.answer(Action::Allow, Scope::Once);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let whole = format!("Sink-Bytes: {}\r\n", request.len());
        assert!(answer.contains(&whole), "{answer}");
        assert_eq!(ended(&mut world).failure, None);
        assert_eq!(server.connections(), 0);
    });
}

/// A world whose sink has the address of a server that would take everything.
fn world() -> (World, Server) {
    let world = World::new(Setup {
        can_ask: true,
        sink: Some(SINK.parse().unwrap()),
        ..Setup::default()
    });
    let server = Server::start(&world.server, SINK, server::collector);
    (world, server)
}

fn post(world: &World, request: &[u8]) -> TcpStream {
    let mut stream = world.connect(SINK.parse().unwrap()).expect("it connects");
    stream
        .write_all(request)
        .expect("the app's kernel takes it");
    stream.shutdown(Shutdown::Write).expect("it is connected");
    stream
}

fn ended(world: &mut World) -> FlowEvent {
    let flow = |event| match event {
        Event::Flow(flow) if flow.dst == SINK.parse().unwrap() => Some(flow),
        _ => None,
    };
    let flows = world.stop().into_iter().filter_map(flow);
    flows.last().expect("a flow is told of")
}
