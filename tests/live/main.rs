//! Live tests: real kernel TCP clients through a real tun device to servers of our own.
//!
//! Every test runs itself again in network, mount and process namespaces of its own (`ns::alone`), so
//! that nothing touches the machine's network and nothing outlives the test. Where that cannot be done
//! the test says `SKIPPED name: reason`, which `./test` counts.

mod faultlink;
mod noise;
mod ns;
mod peers;
mod proxies;
mod registration;
mod resolver;
mod server;
mod world;

mod change;
mod dns;
mod faults;
mod framings;
mod harness;
mod http;
mod icmp;
mod idle;
mod leaks;
mod limits;
mod offload;
mod owner;
mod program;
mod proxy;
mod recordings;
mod reload;
mod sink;
mod soak;
mod tcp;
mod tls;
mod udp;
