//! A device with virtio-net headers: long segments and missing checksums, both ways, at an MTU of 1,500.

use std::{fs, net::UdpSocket};

use crate::{
    faultlink::Faults,
    noise::{Noise, digest},
    ns::{Namespace, alone},
    peers::{download, exchange, upload},
    server::{self, Echo, PATIENCE, Server},
    world::{Setup, World},
};

#[test]
fn bodies_pass_unaltered_in_segments_longer_than_the_mtu() {
    alone(|| {
        let world = World::new(offloaded());
        for address in ["203.0.113.9", "[2001:db8::9]"] {
            let sink = Server::start(&world.server, &format!("{address}:9"), server::sink);
            for (seed, len) in (0..).zip(SIZES) {
                let stream = world.connect(sink.address).expect("the sink listens");
                upload(stream, seed, len);
                let source = Server::start(
                    &world.server,
                    &format!("{address}:0"),
                    server::source(seed, len),
                );
                let stream = world.connect(source.address).expect("the source listens");
                download(stream, seed, len);
            }
        }
        let [received, sent] = mean_packets(&world.app);
        assert!(received > 6_000, "{received} bytes a packet to the app");
        assert!(sent > 6_000, "{sent} bytes a packet from the app");
    });
}

#[test]
fn bodies_pass_unaltered_where_the_network_behind_loses_and_reorders() {
    alone(|| {
        let world = World::new(Setup {
            upstream: Some(Faults {
                seed: 11,
                lost: 20,
                reordered: 20,
                duplicated: 10,
                ..Faults::default()
            }),
            ..offloaded()
        });
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        let bytes = Noise::new(5).bytes(4 << 20);
        let stream = world.connect(echo.address).expect("the echo listens");
        let answer = exchange(stream, &bytes).expect("an answer");
        assert_eq!(digest(&answer), digest(&bytes));
    });
}

#[test]
fn datagrams_pass_with_checksums_that_the_kernel_left_out() {
    alone(|| {
        let world = World::new(offloaded());
        for (local, remote) in [
            ("10.0.0.2:0", "203.0.113.9:7"),
            ("[fd00::2]:0", "[2001:db8::9]:7"),
        ] {
            let echo = Echo::start(&world.server, remote);
            let socket = world.app.run(|| UdpSocket::bind(local));
            let socket = socket.expect("the address is the app's");
            socket.set_read_timeout(Some(PATIENCE)).expect("a time");
            socket.connect(echo.address).expect("a route leads there");
            for (seed, len) in (0..).zip([1, 1_200, 1_472, 20_000]) {
                let sent = Noise::new(seed).bytes(len);
                socket.send(&sent).expect("the tun takes it");
                let mut buffer = vec![0; 65_536];
                let came = socket.recv(&mut buffer).expect("the echo answers");
                assert_eq!(buffer[..came], sent, "{len} bytes to {remote}");
            }
        }
    });
}

fn offloaded() -> Setup {
    Setup {
        offload: true,
        ..Setup::default()
    }
}

/// Bytes of the packets that the app's device has received and sent, on average.
fn mean_packets(app: &Namespace) -> [u64; 2] {
    let text = app.run(|| fs::read_to_string("/proc/thread-self/net/dev"));
    let text = text.expect("procfs is mounted");
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with("tun0:"));
    // Bytes and packets received are the first two columns, those sent the ninth and tenth.
    let columns: Vec<u64> = line
        .expect("the app has its device")
        .split_whitespace()
        .skip(1)
        .map(|column| column.parse().expect("a number"))
        .collect();
    [0, 8].map(|at| columns[at] / columns[at + 1].max(1))
}

const SIZES: [usize; 4] = [1, 1 << 10, 1 << 20, 64 << 20];
