//! What a tunnel costs while nobody uses it.

use std::{fs, thread, time::Duration};

use crate::{
    ns::alone,
    server::{self, Echo, Server, eventually},
    world::{Setup, World},
};

/// Anchor R9: screen off, connections open, and nothing to do.
#[test]
fn r9_without_traffic_the_engines_thread_does_not_wake_up() {
    alone(|| {
        let world = World::new(Setup::default());
        // The app's kernel looks for routers every few seconds: packets, but of nobody's asking.
        world
            .app
            .set("net/ipv6/conf/tun0/router_solicitations", "0");
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let udp = Echo::start(&world.server, "203.0.113.9:7");
        let streams: Vec<_> = (0..100)
            .map(|_| world.connect(echo.address).expect("the echo listens"))
            .collect();
        let socket = world
            .app
            .run(|| std::net::UdpSocket::bind("10.0.0.2:0"))
            .expect("a port is free");
        socket
            .send_to(b"hello", udp.address)
            .expect("the tun takes it");
        let task = engine();
        let busy = switches(&task);
        assert!(busy > 0, "the thread has worked before");
        // Acknowledgements and the like come to an end.
        let quiet = eventually(|| {
            let before = switches(&task);
            thread::sleep(Duration::from_secs(1));
            switches(&task) == before
        });
        assert!(quiet, "it never comes to rest");
        let before = switches(&task);
        thread::sleep(Duration::from_secs(5));
        assert_eq!(switches(&task) - before, 0, "wake-ups in 5 seconds");
        drop(streams);
        assert!(eventually(|| switches(&task) > before), "it is alive");
    });
}

/// The folder in procfs of the engine's thread.
fn engine() -> String {
    let tasks = fs::read_dir("/proc/self/task").expect("procfs is mounted");
    let folders = tasks.map(|task| task.expect("a thread").path().display().to_string());
    let mut named = folders.filter(|folder| {
        fs::read_to_string(format!("{folder}/comm")).is_ok_and(|name| name.trim() == "untold")
    });
    named.next().expect("the engine runs")
}

/// How often the thread was put to sleep and woken, by itself or not.
fn switches(task: &str) -> u64 {
    let status = fs::read_to_string(format!("{task}/status")).expect("the engine runs");
    let counts = status
        .lines()
        .filter_map(|line| line.split_once("ctxt_switches:"));
    counts
        .map(|(_, count)| count.trim().parse::<u64>().expect("a number"))
        .sum()
}
