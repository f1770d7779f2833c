//! One run of a client, and what the relay spent on it.

use std::{
    fmt, fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Stdio},
};

use serde_json::Value;

use crate::{
    load,
    options::{AFTER, After, Content, Direction, Options, Part},
    topology::Running,
};

/// One column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// Streams at full speed.
    Streams {
        content: Content,
        direction: Direction,
        streams: u32,
    },
    /// Connect, ask, have an answer, one after the other.
    FirstByte,
    /// The same, many at a time.
    Connections,
    /// Questions by one socket, or by a new one each.
    Dns { fresh: bool },
    /// Datagrams there and back.
    Udp { size: u32 },
    /// Connections on which nothing happens, and an upload beside them.
    Idle { flows: u32, after: After },
}

/// The figures of one run, as [`Cell`] has them.
pub type Sample = Vec<f64>;

impl Cell {
    /// What is measured, in groups of which each has a relay of its own.
    pub fn all(options: &Options, everything: bool) -> Vec<Vec<Cell>> {
        let wants = |part| options.parts.contains(&part) && (everything || part == Part::Streams);
        let mut streams = Vec::new();
        if wants(Part::Streams) {
            for &content in &options.contents {
                for &direction in &options.directions {
                    // A download is opaque to everybody.
                    if direction == Direction::Down && content != options.contents[0] {
                        continue;
                    }
                    streams.extend(options.streams.iter().map(|&streams| Cell::Streams {
                        content,
                        direction,
                        streams,
                    }));
                }
            }
        }
        let mut rates = Vec::new();
        if wants(Part::FirstByte) {
            rates.push(Cell::FirstByte);
        }
        if wants(Part::Connections) {
            rates.push(Cell::Connections);
        }
        if wants(Part::Dns) {
            rates.extend([Cell::Dns { fresh: false }, Cell::Dns { fresh: true }]);
        }
        if wants(Part::Udp) {
            rates.extend([Cell::Udp { size: 64 }, Cell::Udp { size: 1_200 }]);
        }
        let mut groups = vec![streams, rates];
        if wants(Part::Idle) {
            // What a relay keeps from one number would hide what the next one takes.
            for &after in &options.after {
                let idle = options.idle.iter();
                groups.extend(idle.map(|&flows| vec![Cell::Idle { flows, after }]));
            }
        }
        groups.retain(|group| !group.is_empty());
        groups
    }

    fn words(self, resolver: &str, seconds: u32) -> Vec<String> {
        let seconds = seconds.to_string();
        let echo = load::address(0, load::ECHO).to_string();
        match self {
            Cell::Streams {
                content,
                direction,
                streams,
            } => stream(direction, content, streams, &seconds),
            Cell::FirstByte => vec!["first-byte".into(), seconds],
            Cell::Connections => vec!["connections".into(), seconds],
            Cell::Dns { fresh } => {
                let kind = if fresh { "fresh" } else { "datagrams" };
                vec![kind.into(), resolver.into(), "dns".into(), seconds]
            }
            Cell::Udp { size } => vec!["datagrams".into(), echo, size.to_string(), seconds],
            Cell::Idle { flows, after } => {
                vec!["idle".into(), flows.to_string(), word(after).into()]
            }
        }
    }
}

fn word(after: After) -> &'static str {
    let named = AFTER.iter().find(|(_, known)| *known == after);
    named.map_or("", |(word, _)| word)
}

fn stream(direction: Direction, content: Content, streams: u32, seconds: &str) -> Vec<String> {
    let direction = match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    };
    let content = match content {
        Content::Noise => "noise",
        Content::Tls => "tls",
    };
    let streams = streams.to_string();
    [direction, &streams, seconds, content]
        .map(String::from)
        .to_vec()
}

/// Runs a client once on the app's side.
pub fn run(running: &Running, cell: Cell, seconds: u32) -> Result<Sample, String> {
    let words = cell.words(running.resolver, seconds);
    if let Cell::Idle { flows, .. } = cell {
        return idle(running, flows, &words, seconds);
    }
    let (said, cost) = measured(running, &words)?;
    let number = |name: &str| said[name].as_f64().ok_or(format!("no {name} in {said}"));
    match cell {
        Cell::Streams { .. } => {
            let gigabytes = number("bytes")? / 1e9;
            if gigabytes == 0.0 {
                return Err("not one byte passed".into());
            }
            Ok(vec![8.0 * gigabytes / number("seconds")?, cost / gigabytes])
        }
        Cell::FirstByte => Ok(vec![number("p50")?, number("p99")?]),
        Cell::Connections | Cell::Dns { .. } | Cell::Udp { .. } | Cell::Idle { .. } => {
            let count = number("count")?;
            Ok(vec![count / number("seconds")?, cost * 1e6 / count])
        }
    }
}

/// What a client says, and the processor time that the relay spent meanwhile.
fn measured(running: &Running, words: &[String]) -> Result<(Value, f64), String> {
    let before = cost(running.relay.as_ref());
    let output = running
        .client(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("the client: {error}"))?;
    let after = cost(running.relay.as_ref());
    let said: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("the client: {}", output.status))?;
    match said["error"].as_str() {
        Some(error) => Err(error.into()),
        None => Ok((said, after - before)),
    }
}

/// Memory of idle connections, and what an upload beside them costs.
fn idle(running: &Running, flows: u32, words: &[String], seconds: u32) -> Result<Sample, String> {
    let before = resident(running.relay.as_ref());
    let mut client = running
        .client(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the client: {error}"))?;
    let mut lines = BufReader::new(client.stdout.take().expect("it is piped")).lines();
    let mut says = |wanted: &str| match lines.next() {
        Some(Ok(line)) if line.contains(wanted) => Ok(()),
        Some(Ok(line)) => Err(line),
        Some(Err(_)) | None => Err("the client ended".into()),
    };
    let result = says("open").and_then(|()| {
        let after = resident(running.relay.as_ref());
        let upload = stream(Direction::Up, Content::Tls, 1, &seconds.to_string());
        let (said, cost) = measured(running, &upload)?;
        let bytes = said["bytes"].as_f64().unwrap_or_default();
        if let Some(input) = &mut client.stdin {
            let _ = input.write_all(b"\n");
        }
        says("alive")?;
        let each = (after - before) / f64::from(flows);
        Ok(vec![each, after / 1024.0 / 1024.0, cost * 1e9 / bytes])
    });
    // It ends by itself where all went well.
    let _ = client.kill();
    let _ = client.wait();
    result
}

/// Seconds of processor time that a process has spent so far, all threads, user and system.
fn cost(child: Option<&Child>) -> f64 {
    let stat =
        child.and_then(|child| fs::read_to_string(format!("/proc/{}/stat", child.id())).ok());
    // The name, in parentheses, may hold blanks; user and system time are fields 14 and 15 (proc_pid_stat(5)).
    let after_name = stat
        .as_deref()
        .and_then(|stat| stat.rsplit_once(')'))
        .map_or("", |(_, rest)| rest);
    let ticks: u32 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u32>().ok())
        .sum();
    f64::from(ticks) / 100.0
}

/// Bytes of a process that are in memory.
fn resident(child: Option<&Child>) -> f64 {
    let status =
        child.and_then(|child| fs::read_to_string(format!("/proc/{}/status", child.id())).ok());
    let line = status
        .as_deref()
        .and_then(|status| status.lines().find(|line| line.starts_with("VmRSS:")));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Streams {
                content,
                direction,
                streams,
            } => {
                let name = match (direction, content) {
                    (Direction::Up, Content::Noise) => "up",
                    (Direction::Up, Content::Tls) => "up, TLS",
                    (Direction::Down, _) => "down",
                };
                write!(f, "{name} × {streams}")
            }
            Cell::FirstByte => write!(f, "first byte, p50 · p99, µs"),
            Cell::Connections => write!(f, "connections/s"),
            Cell::Dns { fresh: false } => write!(f, "DNS/s, one socket"),
            Cell::Dns { fresh: true } => write!(f, "DNS/s, new sockets"),
            Cell::Udp { size } => write!(f, "UDP/s, {size} bytes"),
            Cell::Idle {
                flows,
                after: After::Byte,
            } => write!(f, "{flows} idle"),
            Cell::Idle { flows, after } => write!(f, "{flows} idle after {}", word(*after)),
        }
    }
}
