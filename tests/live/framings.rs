//! Clients that wait for each answer, in framings of their own: what is held stalls nobody.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use untold::event::{Event, FlowEvent, NameSource, Opaque};

use crate::{
    ns::alone,
    peers::at,
    server::{self, Server},
    world::{Setup, World},
};

/// Says each of these, and waits until all of it has come back; gives the time that each took, and what the flow came to.
fn converse(port: u16, says: &[Vec<u8>]) -> (Vec<Duration>, FlowEvent) {
    let mut world = World::new(Setup::default());
    let address = format!("203.0.113.9:{port}");
    let _server = Server::start(&world.server, &address, server::echo);
    let times = world.app.run(|| {
        let mut stream = TcpStream::connect(&address).expect("the server listens");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("a limit is fine");
        stream.set_nodelay(true).expect("no delay is fine");
        let round = |say: &Vec<u8>| {
            let begun = Instant::now();
            stream.write_all(say).expect("the connection stands");
            let mut back = vec![0; say.len()];
            stream.read_exact(&mut back).expect("an answer comes");
            assert_eq!(back, *say);
            begun.elapsed()
        };
        says.iter().map(round).collect()
    });
    let flow = world.stop().into_iter().find_map(|event| match event {
        Event::Flow(flow) if flow.dst == at(&address) => Some(flow),
        _ => None,
    });
    (times, flow.expect("the flow is told"))
}

/// Most answers come without the pause after which a unit streams.
fn assert_swift(times: &[Duration]) {
    let slow = times
        .iter()
        .filter(|time| **time >= Duration::from_millis(250));
    let slow = slow.count();
    assert!(
        slow * 2 < times.len(),
        "{slow} of {}: {times:?}",
        times.len()
    );
}

#[test]
fn a_websocket_answers_message_by_message() {
    alone(|| {
        let mut says =
            vec![b"GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\r\n".to_vec()];
        for number in 0..20u8 {
            says.push([&[0x81, 0x85, 1, 2, 3, 4][..], &[number; 5]].concat());
        }
        let (times, flow) = converse(80, &says);
        assert_swift(&times);
        assert_eq!((flow.opaque, flow.opaque_bytes), (None, 0));
    });
}

#[test]
fn a_call_over_http2_answers_message_by_message() {
    alone(|| {
        let mut head = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        // POST to /, whose body goes on.
        head.extend(b"\0\0\x03\x01\x04\0\0\0\x01\x83\x84\x86");
        let message = b"\0\0\x0a\0\0\0\0\0\x01\0\0\0\0\x05hello".to_vec();
        let says: Vec<_> = std::iter::once(head).chain(vec![message; 20]).collect();
        let (times, flow) = converse(50051, &says);
        assert_swift(&times);
        assert_eq!(flow.opaque, None);
    });
}

#[test]
fn mail_goes_on_in_tls_under_the_name_that_the_hello_gives() {
    alone(|| {
        let name = b"mail.example";
        let length = name.len() as u8;
        let extension = [
            &[0, 0, 0, length + 5, 0, length + 3, 0, 0, length][..],
            name,
        ]
        .concat();
        let mut hello = vec![3, 3];
        hello.extend([7; 32]);
        hello.extend([0, 0, 2, 0x13, 1, 1, 0, 0, extension.len() as u8]);
        hello.extend(extension);
        let size = hello.len() as u8;
        let record = [&[22, 3, 1, 0, size + 4, 1, 0, 0, size][..], &hello].concat();
        let data = [&[23, 3, 3, 0, 100][..], &[0xa5; 100]].concat();
        let says = [
            b"EHLO a.example\r\n".to_vec(),
            b"STARTTLS\r\n".to_vec(),
            record,
            data,
        ];
        let (times, flow) = converse(587, &says);
        assert!(times[3] < Duration::from_secs(5), "{times:?}");
        assert_eq!((flow.opaque, flow.opaque_bytes), (Some(Opaque::Tls), 100));
        assert_eq!(flow.name.as_deref(), Some("mail.example"));
        assert_eq!(flow.name_from, Some(NameSource::Sni));
    });
}
