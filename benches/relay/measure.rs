//! One run of iperf3, and what the relay spent on it.

use std::{fmt, fs, process::Command};

use serde_json::Value;

use crate::{
    options::{Direction, Options},
    topology::{Running, SERVER, Topology},
};

/// One column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub direction: Direction,
    pub streams: u32,
}

/// What one run gave.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub gigabits: f64,
    /// Seconds of processor time (user and system) of the relay for 10⁹ bytes.
    pub seconds_per_gigabyte: f64,
    /// The same of the proxy behind it.
    pub proxy_seconds_per_gigabyte: f64,
    /// Segments that the sender sent again.
    pub retransmits: Option<u64>,
}

impl Cell {
    pub fn all(options: &Options) -> impl Iterator<Item = Cell> + '_ {
        options.directions.iter().flat_map(|direction| {
            options.streams.iter().map(|streams| Cell {
                direction: *direction,
                streams: *streams,
            })
        })
    }
}

/// Runs iperf3 once on the app's side.
pub fn run(_: &Topology, running: &Running, cell: Cell, seconds: u32) -> Result<Sample, String> {
    let (time, streams) = (seconds.to_string(), cell.streams.to_string());
    let mut words = running.client.to_vec();
    words.extend([
        "timeout",
        "60",
        "iperf3",
        "--client",
        SERVER,
        "--json",
        "--time",
        &time,
        "--parallel",
        &streams,
    ]);
    if cell.direction == Direction::Down {
        words.push("--reverse");
    }
    let before = (cost(running.relay.as_ref()), cost(running.proxy.as_ref()));
    let output = Command::new(words[0])
        .args(&words[1..])
        .output()
        .map_err(|error| format!("iperf3: {error}"))?;
    let after = (cost(running.relay.as_ref()), cost(running.proxy.as_ref()));
    let said: Value =
        serde_json::from_slice(&output.stdout).map_err(|_| format!("iperf3: {}", output.status))?;
    if let Some(error) = said["error"].as_str() {
        return Err(error.to_owned());
    }
    let end = &said["end"];
    let number = |value: &Value| value.as_f64().ok_or("iperf3 left out a figure");
    let gigabytes = number(&end["sum_received"]["bytes"])? / 1e9;
    if gigabytes == 0.0 {
        return Err("not one byte passed".into());
    }
    Ok(Sample {
        gigabits: number(&end["sum_received"]["bits_per_second"])? / 1e9,
        seconds_per_gigabyte: (after.0 - before.0) / gigabytes,
        proxy_seconds_per_gigabyte: (after.1 - before.1) / gigabytes,
        retransmits: end["sum_sent"]["retransmits"].as_u64(),
    })
}

/// Seconds of processor time that a process has spent so far, all threads, user and system.
fn cost(child: Option<&std::process::Child>) -> f64 {
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

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Up => "up",
            Direction::Down => "down",
        };
        write!(f, "{direction} × {}", self.streams)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} Gbit/s · {:.2} CPU-s/GB",
            self.gigabits, self.seconds_per_gigabyte
        )?;
        if self.proxy_seconds_per_gigabyte > 0.0 {
            write!(f, " (+ {:.2} proxy)", self.proxy_seconds_per_gigabyte)?;
        }
        match self.retransmits {
            Some(count) if count > 0 => write!(f, " · {count} retransmits"),
            _ => Ok(()),
        }
    }
}
