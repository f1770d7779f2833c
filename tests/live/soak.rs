//! Mixed traffic with faults for as long as one likes: memory, descriptors, flows and drops over time.
//!
//! Some seconds by default; `benches/soak.sh` makes an hour of it and draws what it measured.

use std::{
    env, fs,
    io::Write,
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use untold::engine::{MemoryPressure, Network};

use crate::{
    faultlink::Faults,
    noise::{Noise, digest},
    ns::{LONGER, alone},
    peers::{at, exchange},
    resolver::{self, Reply, Resolver},
    server::{self, Server, eventually},
    world::{self, Setup, World},
};

#[test]
fn r14_mixed_traffic_over_bad_links_reaches_a_plateau_and_gives_everything_back() {
    alone(|| {
        let seconds = env::var(LONGER).ok().and_then(|text| text.parse().ok());
        let time = Duration::from_secs(seconds.unwrap_or(12));
        let before = descriptors();
        let faults = Faults {
            seed: 41,
            lost: 5,
            duplicated: 5,
            reordered: 10,
            delay: Duration::from_millis(1),
            jitter: Duration::from_millis(1),
        };
        let mut world = World::new(Setup {
            app_side: Some(faults),
            policy: "[[rule]]\nto = \"203.0.113.10\"\naction = \"block\"\n".into(),
            ..Setup::default()
        });
        let names = [("host.example", "203.0.113.9")];
        let resolver = Resolver::start(&world.server, world::UPSTREAM_RESOLVER, &names, &[]);
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let datagrams = datagram_echo(&world);
        let over = AtomicBool::new(false);
        let samples = thread::scope(|scope| {
            for seed in 0..4 {
                let (world, over, echo) = (&world, &over, &echo);
                scope.spawn(move || streams(world, echo, seed, over));
            }
            scope.spawn(|| short_flows(&world, datagrams, &over));
            scope.spawn(|| changes(&world, &over));
            let forget = || {
                world.forget_events();
                resolver.forget();
                echo.forget_connections();
            };
            let samples = sample(&world, time, forget);
            over.store(true, Relaxed);
            samples
        });
        write_down(&samples);
        let (early, late) = samples.split_at(samples.len() / 2);
        let peak = |part: &[Sample]| part.iter().map(|sample| sample.resident).max();
        let grown = peak(late)
            .unwrap_or(0)
            .saturating_sub(peak(early).unwrap_or(0));
        assert!(grown < 16 << 20, "{grown} bytes more are resident late");
        assert!(samples.iter().all(|sample| sample.buffers < 64 << 20));
        world.stop();
        drop((world, resolver, echo));
        let given_back = || descriptors() <= before + 16;
        assert!(eventually(given_back), "{} are open", descriptors());
    });
}

/// What is measured at a time.
struct Sample {
    at: Duration,
    resident: usize,
    descriptors: usize,
    flows: usize,
    sockets: usize,
    buffers: usize,
    drops: u64,
}

/// Measures for a time; what the tests' own ends remember, which `forget` ends, is no part of what is measured.
fn sample(world: &World, time: Duration, forget: impl Fn()) -> Vec<Sample> {
    let started = Instant::now();
    let step = (time / 600).max(Duration::from_millis(200));
    let mut samples = Vec::new();
    while started.elapsed() < time {
        forget();
        // It answers within a second, on a machine that has nothing better to do.
        let load = (0..10).find_map(|_| world.engine().load());
        let load = load.expect("the engine answers");
        samples.push(Sample {
            at: started.elapsed(),
            resident: resident(),
            descriptors: descriptors(),
            flows: load.flows,
            sockets: load.sockets,
            buffers: load.buffers,
            drops: load.drops,
        });
        thread::sleep(step);
    }
    samples
}

/// Writes a table to where the script wants it.
fn write_down(samples: &[Sample]) {
    let Some(path) = env::var_os("UNTOLD_SOAK_TABLE") else {
        return;
    };
    let mut table = String::from("seconds,resident,descriptors,flows,sockets,buffers,drops\n");
    for sample in samples {
        table += &format!(
            "{:.1},{},{},{},{},{},{}\n",
            sample.at.as_secs_f64(),
            sample.resident,
            sample.descriptors,
            sample.flows,
            sample.sockets,
            sample.buffers,
            sample.drops
        );
    }
    let mut file = fs::File::create(path).expect("the script names a file that can be written");
    file.write_all(table.as_bytes()).expect("there is room");
}

/// Streams of every size, one after another, bytes compared.
fn streams(world: &World, echo: &Server, seed: u64, over: &AtomicBool) {
    for turn in 0.. {
        if over.load(Relaxed) {
            return;
        }
        let len = 1 << (turn % 18);
        let bytes = Noise::new(seed * 1_000 + turn).bytes(len);
        let stream = world.connect(echo.address).expect("the echo listens");
        let answer = exchange(stream, &bytes).unwrap_or_else(|error| panic!("{len}: {error}"));
        assert_eq!(digest(&answer), digest(&bytes), "{len} bytes");
    }
}

/// Sends datagrams back and remembers none, for there will be many.
fn datagram_echo(world: &World) -> SocketAddr {
    let socket = world
        .server
        .run(|| UdpSocket::bind("203.0.113.9:7"))
        .expect("the address is the server's");
    let address = socket.local_addr().expect("a bound socket has an address");
    thread::spawn(move || {
        let mut buffer = [0; 2_000];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..len], from);
        }
    });
    address
}

/// Datagrams, questions, refused and blocked connections.
fn short_flows(world: &World, echo: SocketAddr, over: &AtomicBool) {
    while !over.load(Relaxed) {
        let socket = world
            .app
            .run(|| UdpSocket::bind("10.0.0.2:0"))
            .expect("a port is free");
        for _ in 0..10 {
            socket.send_to(&[7; 1_200], echo).expect("the tun takes it");
        }
        for refused in ["203.0.113.9:81", "203.0.113.10:80"] {
            assert!(world.connect(at(refused)).is_err());
        }
        let answer = resolver::ask(&world.app, world::RESOLVER, "host.example");
        // One may be lost: the link is a bad one.
        if let Some(answer) = answer {
            let address = "203.0.113.9".parse().expect("an address");
            assert_eq!(answer, Reply::Addresses(vec![address]));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Networks and memory come and go.
fn changes(world: &World, over: &AtomicBool) {
    let pressures = [
        MemoryPressure::Moderate,
        MemoryPressure::Critical,
        MemoryPressure::None,
    ];
    for pressure in pressures.into_iter().cycle() {
        if over.load(Relaxed) {
            return;
        }
        world.engine().set_memory_pressure(pressure);
        world.engine().network_changed(Network {
            resolvers: vec![world::UPSTREAM_RESOLVER.parse().expect("an address")],
            nat64: None,
        });
        thread::sleep(Duration::from_millis(700));
    }
}

/// Bytes of this process, servers and clients included, that are in memory.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("procfs is mounted");
    let pages = pages.split_whitespace().nth(1);
    let pages = pages.and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number is resident pages") * 4_096
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd")
        .expect("procfs is mounted")
        .count()
}
