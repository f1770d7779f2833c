//! Bad links on either side: nothing is lost, nothing is altered.

use std::time::Duration;

use crate::{
    faultlink::Faults,
    ns::alone,
    peers::{download, upload},
    server::{self, Server},
    world::{Setup, World},
};

#[test]
fn links_that_lose_on_the_apps_side_lose_nothing_of_a_stream() {
    alone(|| {
        passes_unaltered(&LOSSY, |faults| Setup {
            app_side: Some(faults),
            ..Setup::default()
        })
    });
}

#[test]
fn links_that_delay_on_the_apps_side_alter_nothing() {
    alone(|| {
        passes_unaltered(&SHUFFLING, |faults| Setup {
            app_side: Some(faults),
            ..Setup::default()
        })
    });
}

#[test]
fn links_that_lose_upstream_lose_nothing_of_a_stream() {
    alone(|| {
        passes_unaltered(&LOSSY, |faults| Setup {
            upstream: Some(faults),
            ..Setup::default()
        })
    });
}

#[test]
fn links_that_delay_upstream_alter_nothing() {
    alone(|| {
        passes_unaltered(&SHUFFLING, |faults| Setup {
            upstream: Some(faults),
            ..Setup::default()
        })
    });
}

#[test]
fn bad_links_on_both_sides_at_a_time_alter_nothing() {
    alone(|| {
        passes_unaltered(&[(WORST, 128 << 10)], |faults| Setup {
            app_side: Some(faults),
            upstream: Some(Faults {
                seed: faults.seed + 100,
                ..faults
            }),
            ..Setup::default()
        });
    });
}

#[test]
fn short_and_long_ways_alter_nothing() {
    alone(|| {
        passes_unaltered(&FAR, |faults| Setup {
            app_side: Some(faults),
            ..Setup::default()
        });
        passes_unaltered(&FAR, |faults| Setup {
            upstream: Some(faults),
            ..Setup::default()
        });
    });
}

#[test]
fn tiny_windows_and_segments_over_bad_links_alter_nothing() {
    alone(|| {
        for faults in [CLEAN, WORST] {
            let world = World::new(Setup {
                app_side: Some(faults),
                upstream: Some(faults),
                ..Setup::default()
            });
            // Both kernels announce no more than this, and send no longer segments.
            let small = "advmss 536 window 1500";
            world
                .app
                .ip(&format!("route replace default dev tun0 {small}"));
            let way = "default via 192.0.2.1 dev down0";
            world.server.ip(&format!("route replace {way} {small}"));
            passes(&world, faults.seed, 64 << 10);
        }
    });
}

fn passes_unaltered(links: &[(Faults, usize)], setup: impl Fn(Faults) -> Setup) {
    for (faults, len) in links {
        let world = World::new(setup(*faults));
        eprintln!("{faults:?}");
        passes(&world, faults.seed, *len);
        for link in world.app_link.iter().chain(&world.upstream_link) {
            eprintln!("{:?}", link.counts());
        }
    }
}

/// Bytes pass both ways, compared at the end.
fn passes(world: &World, seed: u64, len: usize) {
    let sink = Server::start(&world.server, "203.0.113.9:9", server::sink);
    let source = server::source(seed, len);
    let source = Server::start(&world.server, "203.0.113.9:19", source);
    let sink6 = Server::start(&world.server, "[2001:db8::9]:9", server::sink);
    upload(
        world.connect(sink.address).expect("the sink listens"),
        seed,
        len,
    );
    download(
        world.connect(source.address).expect("the source listens"),
        seed,
        len,
    );
    upload(
        world.connect(sink6.address).expect("the sink listens"),
        seed,
        10_000,
    );
}

const CLEAN: Faults = Faults {
    seed: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    delay: Duration::ZERO,
    jitter: Duration::ZERO,
};

/// Links, and the bytes that are sent each way over them.
const LOSSY: [(Faults, usize); 3] = [
    (
        Faults {
            seed: 1,
            lost: 10,
            ..CLEAN
        },
        2 << 20,
    ),
    (
        Faults {
            seed: 2,
            lost: 100,
            ..CLEAN
        },
        256 << 10,
    ),
    (WORST, 256 << 10),
];

const SHUFFLING: [(Faults, usize); 4] = [
    (
        Faults {
            seed: 3,
            duplicated: 100,
            ..CLEAN
        },
        2 << 20,
    ),
    (
        Faults {
            seed: 4,
            reordered: 100,
            ..CLEAN
        },
        2 << 20,
    ),
    (
        Faults {
            seed: 5,
            delay: Duration::from_millis(40),
            ..CLEAN
        },
        1 << 20,
    ),
    (
        Faults {
            seed: 6,
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(10),
            ..CLEAN
        },
        1 << 20,
    ),
];

const WORST: Faults = Faults {
    seed: 7,
    lost: 30,
    duplicated: 30,
    reordered: 50,
    delay: Duration::from_millis(5),
    jitter: Duration::from_millis(2),
};

const FAR: [(Faults, usize); 2] = [
    (
        Faults {
            seed: 8,
            lost: 5,
            delay: Duration::from_millis(1),
            ..CLEAN
        },
        1 << 20,
    ),
    (
        Faults {
            seed: 9,
            lost: 5,
            delay: Duration::from_millis(300),
            ..CLEAN
        },
        64 << 10,
    ),
];
