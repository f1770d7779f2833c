//! The committed cases.

use std::{fmt, fs, path::PathBuf};

use serde::Deserialize;
use untold::event::Proto;

/// One side of a flow, and what is to be found in what it sends.
#[derive(Deserialize)]
pub struct Case {
    /// The row of the table that it counts in.
    pub class: String,
    name: String,
    #[serde(default = "tcp")]
    pub proto: Proto,
    #[serde(default = "http")]
    pub port: u16,
    sends: Vec<Vec<Piece>>,
    #[serde(default)]
    pub expect: Vec<Expect>,
    /// Values that nobody registered are in it, so that shapes may be found.
    #[serde(default)]
    pub others: bool,
}

/// One finding, and what may be said of it.
#[derive(Deserialize)]
pub struct Expect {
    pub kind: String,
    /// Wrappers around the value, from the wire inward; others may lie between.
    #[serde(default)]
    pub chain: Vec<String>,
    /// Any of these.
    pub at: Vec<String>,
    /// Any of these; of no account where empty.
    #[serde(default)]
    pub spelling: Vec<String>,
    /// Last four characters; of no account where absent.
    pub last4: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Piece {
    Text(String),
    Run(u8, usize),
    Base64 { base64: String },
}

/// Which file a case is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Registered values.
    Exact,
    /// Values of somebody who registered nothing.
    Shape,
    /// Nobody's values.
    Ordinary,
}

impl Half {
    pub const ALL: [Half; 3] = [Half::Exact, Half::Shape, Half::Ordinary];

    fn file(self) -> &'static str {
        match self {
            Half::Exact => "exact.jsonl",
            Half::Shape => "shape.jsonl",
            Half::Ordinary => "ordinary.jsonl",
        }
    }
}

/// Every case of a half, in the order of its file.
pub fn read(half: Half) -> Vec<Case> {
    let lines = data(half.file());
    let cases = lines.lines().map(|line| {
        serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{}: {error}: {line}", half.file()))
    });
    cases.collect()
}

/// An identity file.
pub fn identity(name: &str) -> String {
    data(&format!("{name}.toml"))
}

impl Case {
    /// Writes of a stream, or datagrams.
    pub fn sends(&self) -> Vec<Vec<u8>> {
        let bytes = |pieces: &Vec<Piece>| pieces.iter().flat_map(Piece::bytes).collect();
        self.sends.iter().map(bytes).collect()
    }

    /// Bytes in all.
    pub fn sent(&self) -> usize {
        self.sends().iter().map(Vec::len).sum()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.name)
    }
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Piece::Text(text) => text.as_bytes().to_vec(),
            Piece::Run(byte, count) => vec![*byte; *count],
            Piece::Base64 { base64 } => data_encoding::BASE64
                .decode(base64.as_bytes())
                .expect("the generator writes base64"),
        }
    }
}

fn data(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus/data")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn tcp() -> Proto {
    Proto::Tcp
}

fn http() -> u16 {
    80
}
