//! The two ends of the traffic, each a process of its own: this program, called by another word.

mod client;
mod content;
mod server;

use std::{net::SocketAddr, process::ExitCode};

/// First words that make this program be one of the ends.
pub const SERVER: &str = "load-server";
pub const CLIENT: &str = "load-client";

/// Plays an end where `words` name one.
pub fn play(words: &[String]) -> Option<ExitCode> {
    let (first, rest) = words.split_first()?;
    let done = match first.as_str() {
        SERVER => server::serve(),
        CLIENT => client::run(&rest.iter().map(String::as_str).collect::<Vec<_>>()),
        _ => return None,
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{{\"error\":\"{error}\"}}");
            ExitCode::FAILURE
        }
    })
}

/// Where the server is, by several addresses, so that clients do not run out of ports.
pub fn address(number: usize, port: u16) -> SocketAddr {
    let host = (number % ADDRESSES) as u8 + 1;
    SocketAddr::from(([198, 51, 100, host], port))
}

/// Addresses of the server: 198.51.100.1 and those that follow.
pub const ADDRESSES: usize = 32;
/// Counts what it is sent and says how much that was.
pub const SINK: u16 = 7001;
/// Sends without end.
pub const SOURCE: u16 = 7002;
/// Answers each byte with a byte, and each datagram with the same.
pub const ECHO: u16 = 7003;
/// Answers a question of DNS with the same question.
pub const DNS: u16 = 53;
