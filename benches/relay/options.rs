//! What is measured.

use std::path::PathBuf;

#[derive(Debug)]
pub struct Options {
    pub parts: Vec<Part>,
    pub mtus: Vec<u32>,
    pub streams: Vec<u32>,
    pub directions: Vec<Direction>,
    pub contents: Vec<Content>,
    /// Numbers of idle flows.
    pub idle: Vec<u32>,
    /// What idle flows have carried.
    pub after: Vec<After>,
    pub seconds: u32,
    pub rounds: u32,
    /// Packets that the tun queues.
    pub queue: u32,
    /// Names of contenders; all where none is given.
    pub contenders: Vec<String>,
    /// Contenders of the caller's own: a name, and program and words with `{tun}` and `{mtu}`.
    pub rivals: Vec<(String, String)>,
    pub out: Option<PathBuf>,
}

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Streams,
    FirstByte,
    Connections,
    Dns,
    Udp,
    Idle,
}

/// What a connection has carried, there and back, before it is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum After {
    Nothing,
    Byte,
    /// A request.
    Http,
    /// A ClientHello and a record.
    Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Up,
    Down,
}

/// What an upload consists of; a download is noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Cleartext without pattern, which is inspected whole.
    Noise,
    /// A ClientHello, then records that nobody can read.
    Tls,
}

impl Options {
    pub fn parse<'a>(words: impl Iterator<Item = &'a String>) -> Result<Self, String> {
        let mut options = Self {
            parts: PARTS.map(|(_, part)| part).to_vec(),
            mtus: vec![1_500, 9_000, 65_535],
            streams: vec![1, 4, 16],
            directions: vec![Direction::Up, Direction::Down],
            contents: vec![Content::Noise, Content::Tls],
            idle: vec![10_000],
            after: vec![After::Byte],
            seconds: 3,
            rounds: 3,
            queue: 5_000,
            contenders: Vec::new(),
            rivals: Vec::new(),
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
                "--parts" => options.parts = named(value, &PARTS)?,
                "--mtu" => options.mtus = numbers(value)?,
                "--streams" => options.streams = numbers(value)?,
                "--direction" => options.directions = named(value, &DIRECTIONS)?,
                "--content" => options.contents = named(value, &CONTENTS)?,
                "--idle" => options.idle = numbers(value)?,
                "--idle-after" => options.after = named(value, &AFTER)?,
                "--seconds" => options.seconds = number(value)?.max(1),
                "--rounds" => options.rounds = number(value)?.max(1),
                "--queue" => options.queue = number(value)?,
                "--only" => options.contenders = value.split(',').map(String::from).collect(),
                "--rival" => {
                    let (name, command) = value
                        .split_once('=')
                        .ok_or_else(|| format!("--rival {value:?} is not NAME=COMMAND"))?;
                    options.rivals.push((name.into(), command.into()));
                }
                "--out" => options.out = Some(value.into()),
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

fn named<T: Copy>(list: &str, known: &[(&str, T)]) -> Result<Vec<T>, String> {
    let find = |word: &str| {
        let found = known.iter().find(|(name, _)| *name == word);
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| format!("{word:?} is none of {}", names.join(", ")))
    };
    list.split(',').map(find).collect()
}

const PARTS: [(&str, Part); 6] = [
    ("streams", Part::Streams),
    ("first-byte", Part::FirstByte),
    ("connections", Part::Connections),
    ("dns", Part::Dns),
    ("udp", Part::Udp),
    ("idle", Part::Idle),
];
/// As the client has them, too.
pub const AFTER: [(&str, After); 4] = [
    ("nothing", After::Nothing),
    ("byte", After::Byte),
    ("http", After::Http),
    ("tls", After::Tls),
];
const DIRECTIONS: [(&str, Direction); 2] = [("up", Direction::Up), ("down", Direction::Down)];
const CONTENTS: [(&str, Content); 2] = [("noise", Content::Noise), ("tls", Content::Tls)];

const HELP: &str = "\
cargo bench --bench relay -- [OPTIONS]
  --parts A,B      streams, first-byte, connections, dns, udp, idle (all)
  --mtu N,N        MTUs of the tun (1500,9000,65535); all but streams are measured at the first
  --streams N,N    parallel TCP streams (1,4,16)
  --direction A,B  up, down (both)
  --content A,B    noise, tls: what uploads consist of (both)
  --idle N,N       numbers of idle connections (10000)
  --idle-after A,B nothing, byte, http, tls: what they carried before, there and back (byte)
  --seconds N      length of one measurement (3)
  --rounds N       interleaved rounds, whose median counts (3)
  --queue N        packets that the tun queues (5000)
  --only A,B       contenders: direct, untold, untold-off, untold-offload, untold-offload-off,
                   tun2proxy, sing-box, and names of --rival (all)
  --rival NAME=CMD one more, its words with {tun} and {mtu}; it connects by itself
  --out FILE       write the tables there too";
