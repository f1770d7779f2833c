//! What is measured.

use std::path::PathBuf;

#[derive(Debug)]
pub struct Options {
    pub mtus: Vec<u32>,
    pub streams: Vec<u32>,
    pub directions: Vec<Direction>,
    pub seconds: u32,
    pub rounds: u32,
    /// Packets that the tun queues.
    pub queue: u32,
    /// Names of contenders; all where none is given.
    pub contenders: Vec<String>,
    /// A contender of the caller's own: program and words with `{tun}`, `{mtu}` and `{socks}`.
    pub rival: Option<String>,
    pub out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Up,
    Down,
}

impl Options {
    pub fn parse<'a>(words: impl Iterator<Item = &'a String>) -> Result<Self, String> {
        let mut options = Self {
            mtus: vec![1500, 65_535],
            streams: vec![1, 4],
            directions: vec![Direction::Up, Direction::Down],
            seconds: 4,
            rounds: 3,
            queue: 5_000,
            contenders: Vec::new(),
            rival: None,
            out: None,
        };
        let mut words = words.map(String::as_str);
        while let Some(word) = words.next() {
            if word == "--help" {
                return Err(HELP.into());
            }
            let value = words
                .next()
                .ok_or_else(|| format!("{word} needs a value\n{HELP}"))?;
            match word {
                "--mtu" => options.mtus = numbers(value)?,
                "--streams" => options.streams = numbers(value)?,
                "--seconds" => options.seconds = number(value)?,
                "--rounds" => options.rounds = number(value)?,
                "--queue" => options.queue = number(value)?,
                "--only" => options.contenders = value.split(',').map(String::from).collect(),
                "--rival" => options.rival = Some(value.into()),
                "--out" => options.out = Some(value.into()),
                "--direction" => options.directions = vec![direction(value)?],
                _ => return Err(format!("{word} is no option\n{HELP}")),
            }
        }
        Ok(options)
    }

    pub fn wants(&self, contender: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|wanted| wanted == contender)
    }
}

fn numbers(list: &str) -> Result<Vec<u32>, String> {
    list.split(',').map(number).collect()
}

fn number(word: &str) -> Result<u32, String> {
    word.parse().map_err(|_| format!("{word:?} is no number"))
}

fn direction(word: &str) -> Result<Direction, String> {
    match word {
        "up" => Ok(Direction::Up),
        "down" => Ok(Direction::Down),
        _ => Err(format!("{word:?} is neither up nor down")),
    }
}

const HELP: &str = "\
cargo bench --bench relay -- [OPTIONS]
  --mtu N,N        MTUs of the tun (1500,65535)
  --streams N,N    parallel TCP streams (1,4)
  --direction up|down   one direction only (both)
  --seconds N      length of one measurement (4)
  --rounds N       interleaved rounds, whose median counts (3)
  --queue N        packets that the tun queues (5000)
  --only A,B       contenders: direct, untold, untold-off, tun2proxy, rival (all)
  --rival CMD      one more, its words with {tun}, {mtu} and {socks}
  --out FILE       write the table there too";
