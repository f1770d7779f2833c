//! The tests' own machinery, on a path without the engine: what it says of the engine then holds.

use std::{
    io::Write,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use crate::{
    faultlink::Faults,
    ns::alone,
    peers::{at, download, upload},
    registration::{self, Breaks},
    resolver::{self, NXDOMAIN, Reply, Resolver},
    server::{self, Server},
    world::{self, Setup, World},
};

#[test]
fn the_collector_records_every_byte_of_a_registration() {
    alone(|| {
        let world = World::new(Setup {
            direct: true,
            ..Setup::default()
        });
        for address in ["203.0.113.9:80", "[2001:db8::9]:80"] {
            let collector = Server::start(&world.server, address, server::collector);
            let request = registration::request("collector.example", Breaks::Lf);
            let mut stream = world
                .connect(collector.address)
                .expect("the collector listens");
            stream.write_all(&request).expect("the collector reads");
            assert!(collector.reaches("request"));
            assert_eq!(collector.bytes(), request);
        }
    });
}

#[test]
fn the_fault_link_does_what_it_says_and_tcp_survives_it() {
    alone(|| {
        let delay = Duration::from_millis(20);
        let faults = Faults {
            seed: 3,
            lost: 30,
            duplicated: 50,
            reordered: 50,
            delay,
            jitter: Duration::ZERO,
        };
        let world = World::new(Setup {
            direct: true,
            app_side: Some(faults),
            ..Setup::default()
        });
        let sink = Server::start(&world.server, "203.0.113.9:9", server::sink);
        let source = Server::start(&world.server, "203.0.113.9:19", server::source(2, 300_000));
        let started = Instant::now();
        upload(
            world.connect(sink.address).expect("the sink listens"),
            1,
            300_000,
        );
        download(
            world.connect(source.address).expect("the source listens"),
            2,
            300_000,
        );
        assert!(
            started.elapsed() > delay * 8,
            "two connections cannot be quicker than their round trips"
        );
        let counts = world.app_link.as_ref().expect("there is a link").counts();
        for (what, count) in [
            ("lost", &counts.lost),
            ("duplicated", &counts.duplicated),
            ("held back", &counts.held_back),
        ] {
            assert!(count.load(Relaxed) > 0, "no packet was {what}: {counts:?}");
        }
        assert_eq!(counts.overflowed.load(Relaxed), 0, "{counts:?}");
    });
}

#[test]
fn the_resolver_answers_with_an_address_or_nxdomain() {
    alone(|| {
        let world = World::new(Setup {
            direct: true,
            ..Setup::default()
        });
        let names = [("collector.example", "203.0.113.9")];
        let resolver = Resolver::start(&world.server, world::UPSTREAM_RESOLVER, &names, &[]);
        let ask = |name| resolver::ask(&world.app, "203.0.113.53", name);
        assert_eq!(
            ask("collector.example"),
            Some(Reply::Addresses(vec!["203.0.113.9".parse().unwrap()]))
        );
        assert_eq!(ask("other.example"), Some(Reply::Code(NXDOMAIN)));
        assert_eq!(resolver.asked(), ["collector.example", "other.example"]);
    });
}

#[test]
fn a_port_where_nobody_listens_refuses() {
    alone(|| {
        let world = World::new(Setup {
            direct: true,
            ..Setup::default()
        });
        let error = world
            .connect(at("203.0.113.9:81"))
            .expect_err("nobody listens");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}
