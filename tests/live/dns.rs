//! Names: asked at the tun's resolver, judged, remembered.

use std::io::Write;

use untold::event::{Action, Event, NameSource};

use crate::{
    ns::{alone, alone_with},
    peers::python,
    registration::{self, Breaks},
    resolver::{Forgery, LIE, NXDOMAIN, Reply, Resolver, ask},
    server::{self, Server},
    world::{RESOLVER, Setup, UPSTREAM_RESOLVER, World},
};

const NAMES: [(&str, &str); 3] = [
    ("collector.example", "203.0.113.9"),
    ("bank.example", "203.0.113.10"),
    ("ads.tracker.example", "203.0.113.9"),
];

#[test]
fn the_tuns_resolver_gives_the_systems_answers() {
    alone(|| {
        let world = World::new(Setup::default());
        let resolver = Resolver::start(&world.server, UPSTREAM_RESOLVER, &NAMES, &[]);
        assert_eq!(
            ask(&world.app, RESOLVER, "collector.example"),
            address("203.0.113.9")
        );
        assert_eq!(
            ask(&world.app, RESOLVER, "nowhere.example"),
            Some(Reply::Code(NXDOMAIN))
        );
        assert_eq!(resolver.asked(), ["collector.example", "nowhere.example"]);
    });
}

#[test]
fn programs_resolve_through_the_tun() {
    alone_with(&["python3"], || {
        let world = World::new(Setup::default());
        let _resolver = Resolver::start(&world.server, UPSTREAM_RESOLVER, &NAMES, &[]);
        let script = "import socket; print(socket.gethostbyname('bank.example'))";
        assert_eq!(python(&world.app, script, &[]).trim(), "203.0.113.10");
    });
}

#[test]
fn an_approval_by_name_holds_for_the_address_that_the_name_had() {
    alone(|| {
        let policy = "[[rule]]\nto = \"bank.example\"\nsends = [\"*\"]\naction = \"allow\"\n";
        let mut world = World::new(Setup {
            policy: policy.into(),
            ..Setup::default()
        });
        let _resolver = Resolver::start(&world.server, UPSTREAM_RESOLVER, &NAMES, &[]);
        assert_eq!(
            ask(&world.app, RESOLVER, "bank.example"),
            address("203.0.113.10")
        );
        assert_eq!(
            ask(&world.app, RESOLVER, "collector.example"),
            address("203.0.113.9")
        );
        let bank = Server::start(&world.server, "203.0.113.10:80", server::collector);
        let collector = Server::start(&world.server, "203.0.113.9:80", server::collector);
        let request = registration::request("bank.example", Breaks::Lf);
        for server in [&bank, &collector] {
            let mut stream = world
                .connect(server.address)
                .expect("a connection alone is allowed");
            stream
                .write_all(&request)
                .expect("the app's kernel takes it");
            let _ = std::io::Read::read(&mut stream, &mut [0; 100]);
        }
        assert!(bank.reaches("request"));
        assert_eq!(bank.bytes(), request);
        assert_eq!(
            collector.bytes(),
            b"",
            "a Host that the address does not have approves nothing"
        );
        let flows = world.stop().into_iter().filter_map(|event| match event {
            Event::Flow(flow) if flow.dst == bank.address => Some((flow.name, flow.name_from)),
            _ => None,
        });
        let [(Some(name), Some(from))] = &flows.collect::<Vec<_>>()[..] else {
            panic!("one named flow")
        };
        assert_eq!(&**name, "bank.example");
        assert!([NameSource::Dns, NameSource::Http].contains(from));
    });
}

#[test]
fn a_blocked_name_does_not_exist_and_is_not_asked_upstream() {
    alone(|| {
        let policy = "[[rule]]\nto = \"collector.example\"\naction = \"block\"\n\
                      [[list]]\nname = \"ads\"\nsource = \"ads.txt\"\naction = \"block\"\n";
        let lists = vec!["# hosts\n0.0.0.0 tracker.example\n0.0.0.0 other.example\n".to_owned()];
        let world = World::new(Setup {
            policy: policy.into(),
            lists,
            ..Setup::default()
        });
        let resolver = Resolver::start(&world.server, UPSTREAM_RESOLVER, &NAMES, &[]);
        for name in ["collector.example", "ads.tracker.example"] {
            assert_eq!(
                ask(&world.app, RESOLVER, name),
                Some(Reply::Code(NXDOMAIN)),
                "{name}"
            );
            let told = |event: &Event| matches!(event, Event::Name(told) if &*told.name == name && told.verdict == Action::Block);
            assert!(world.tells(told), "{name}");
        }
        assert_eq!(
            ask(&world.app, RESOLVER, "bank.example"),
            address("203.0.113.10")
        );
        assert_eq!(resolver.asked(), ["bank.example"]);
    });
}

#[test]
fn a_blocked_name_can_have_the_zero_address() {
    alone(|| {
        let policy = "[default]\nblocked_name = \"zero\"\n[[rule]]\nto = \"collector.example\"\naction = \"block\"\n";
        let world = World::new(Setup {
            policy: policy.into(),
            ..Setup::default()
        });
        let _resolver = Resolver::start(&world.server, UPSTREAM_RESOLVER, &NAMES, &[]);
        assert_eq!(
            ask(&world.app, RESOLVER, "collector.example"),
            address("0.0.0.0")
        );
    });
}

/// Anchor R18: a reply counts where id, question and socket are those of the question.
#[test]
fn r18_forged_replies_are_ignored() {
    alone(|| {
        let world = World::new(Setup::default());
        let forgeries = &[
            Forgery::Id,
            Forgery::Question,
            Forgery::Source,
            Forgery::Port,
        ];
        let resolver = Resolver::start(&world.server, UPSTREAM_RESOLVER, &NAMES, forgeries);
        for _ in 0..5 {
            assert_eq!(
                ask(&world.app, RESOLVER, "collector.example"),
                address("203.0.113.9")
            );
        }
        assert!(!resolver.asked().is_empty());
        let lied = |event: &Event| matches!(event, Event::Name(name) if name.addresses.contains(&LIE.into()));
        assert!(
            !world.events().iter().any(lied),
            "a forged answer became a name"
        );
    });
}

fn address(address: &str) -> Option<Reply> {
    Some(Reply::Addresses(vec![address.parse().expect("an address")]))
}
