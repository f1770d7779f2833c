//! One capture, judged packet by packet: by the engine of captures, or, where it is a recording, by the live one.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use untold::{
    engine::{
        capture::Replay,
        recording::{Basis, Note, Rerun, Start},
    },
    event::Event,
    inspect::Rules,
    io::pcap::{self, Item, Packet},
};

use crate::{failure::Failure, load::reason, recording};

/// What every capture is judged by.
pub struct Given {
    pub rules: Rules,
    pub basis: Basis,
    pub app: Option<Arc<str>>,
}

/// A capture whose first header was read.
pub struct Capture {
    pub name: String,
    /// Length of the file.
    pub bytes: u64,
    reader: pcap::Reader<File>,
}

impl Capture {
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let unreadable = |error| Failure::Input(format!("{name}: {}", reason(&error)));
        let file = crate::inspect::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_or(0, |data| data.len());
        let reader = pcap::Reader::new(name.as_str(), file)
            .map_err(|error| Failure::Input(error.to_string()))?;
        Ok(Self {
            name,
            bytes,
            reader,
        })
    }
}

/// A capture on its way through an engine of its own.
pub struct Judge<'a> {
    given: &'a Given,
    capture: Capture,
    engine: Engine,
    /// What came of it and was not fetched yet.
    pub events: Vec<Event>,
    /// Lines for people, the same.
    pub lines: Vec<String>,
}

enum Engine {
    /// Nothing was read yet.
    None,
    Capture {
        replay: Box<Replay>,
        first: Duration,
    },
    Recording {
        rerun: Box<Rerun>,
        /// Whether it said what its rules were.
        told: bool,
    },
}

impl<'a> Judge<'a> {
    pub fn new(capture: Capture, given: &'a Given) -> Self {
        Self {
            given,
            capture,
            engine: Engine::None,
            events: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Bytes of the file that were judged.
    pub fn offset(&self) -> u64 {
        self.capture.reader.offset()
    }

    /// Judges the next packet, or takes the next note; false at the end.
    pub fn step(&mut self) -> Result<bool, Failure> {
        let item = self.capture.reader.item();
        match item.map_err(|error| Failure::Input(error.to_string()))? {
            None => return Ok(false),
            Some(Item::Packet(packet)) => {
                Self::packet(&mut self.engine, self.given, &self.capture.name, &packet)?;
            }
            Some(Item::Note(at, note)) => self.note(at, &note),
        }
        self.drain();
        Ok(true)
    }

    /// Ends every flow.
    pub fn finish(&mut self) {
        let skipped = self.capture.reader.skipped();
        match &mut self.engine {
            Engine::None => {}
            Engine::Capture { replay, .. } => {
                replay.count("not_ip", skipped.not_ip);
                replay.count("link_type", skipped.link_type);
                replay.finish();
            }
            Engine::Recording { rerun, .. } => rerun.finish(),
        }
        self.drain();
    }

    fn packet(
        engine: &mut Engine,
        given: &Given,
        name: &str,
        packet: &Packet<'_>,
    ) -> Result<(), Failure> {
        if let Engine::None = engine {
            *engine = Engine::Capture {
                replay: Box::new(Replay::new(given.rules.clone(), given.app.clone(), SEED)),
                first: packet.time,
            };
        }
        match engine {
            Engine::None => {}
            Engine::Capture { replay, first } => replay.packet(
                packet.ip,
                packet.time.saturating_sub(*first),
                packet.time.as_secs(),
            ),
            Engine::Recording { rerun, .. } => {
                let outbound = packet.outbound.ok_or_else(|| {
                    Failure::Input(format!(
                        "{name}: a packet of a recording that does not say which way it went"
                    ))
                })?;
                rerun.packet(packet.ip, outbound, packet.time);
            }
        }
        Ok(())
    }

    fn note(&mut self, at: Duration, note: &Note) {
        if let Note::Start(start) = note {
            return self.start(start);
        }
        let Engine::Recording { rerun, told } = &mut self.engine else {
            return;
        };
        if let Note::Rules(basis) = note {
            let difference = match std::mem::replace(told, true) {
                false => recording::difference(basis, &self.given.basis),
                true => Some("rules that changed meanwhile"),
            };
            if let Some(difference) = difference {
                rerun.set_free();
                self.lines.push(format!(
                    "{}: recorded under {difference}, and judged by what is given now",
                    self.capture.name
                ));
            }
        }
        rerun.note(note, at);
    }

    /// A live engine was started: what comes from here on is its.
    fn start(&mut self, start: &Start) {
        self.finish();
        let mut rerun = Rerun::new(start, self.given.rules.clone(), SEED);
        if start.version != env!("CARGO_PKG_VERSION") {
            rerun.set_free();
        }
        self.engine = Engine::Recording {
            rerun: Box::new(rerun),
            told: false,
        };
    }

    fn drain(&mut self) {
        let next = || match &mut self.engine {
            Engine::None => None,
            Engine::Capture { replay, .. } => replay.poll_event(),
            Engine::Recording { rerun, .. } => rerun.poll_event(),
        };
        self.events.extend(std::iter::from_fn(next));
    }
}

/// It bears on nothing that shows; captures are no adversary on the network.
const SEED: u64 = 0;
