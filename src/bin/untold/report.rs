//! Where events go: JSON for programs, lines for people, and the count.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

use serde::Serialize;
use untold::event::Event;

use crate::{args::Output, failure::Failure, load::reason, paint::To, print::People, tally::Tally};

/// Takes every event of a run, writes it out and keeps count.
pub struct Reporter {
    json: Option<Sink>,
    people: Option<People>,
    /// Of which of several captures the events are.
    capture: Option<String>,
    tally: Tally,
}

/// An event and the capture that it is of.
#[derive(Serialize)]
struct Of<'a> {
    #[serde(flatten)]
    event: &'a Event,
    capture: &'a str,
}

impl Reporter {
    /// Opens what `output` names; lines for people go `to`, unless JSON takes stdout.
    pub fn new(output: &Output, to: To) -> Result<Reporter, Failure> {
        let json = match &output.events {
            Some(path) => {
                let name = path.display().to_string();
                let file = File::create(path)
                    .map_err(|error| Failure::Input(format!("{name}: {}", reason(&error))))?;
                Some(Sink::new(name, Box::new(BufWriter::new(file))))
            }
            None if output.json => Some(Sink::new(
                "stdout".into(),
                Box::new(BufWriter::new(io::stdout())),
            )),
            None => None,
        };
        let people = (!output.json).then(|| People::new(to));
        Ok(Reporter {
            json,
            people,
            capture: None,
            tally: Tally::default(),
        })
    }

    /// What comes next is of this capture, one of several.
    pub fn capture(&mut self, name: &str) {
        self.capture = Some(name.into());
        if let Some(people) = &mut self.people {
            people.capture(name);
        }
    }

    /// Identifiers found so far.
    pub fn findings(&self) -> u64 {
        self.tally.findings
    }

    /// Writes one event out.
    pub fn event(&mut self, event: &Event) {
        self.tally.count(event);
        if let Some(json) = &mut self.json {
            match &self.capture {
                Some(capture) => json.object(&Of { event, capture }),
                None => json.object(event),
            }
        }
        if let Some(people) = &mut self.people {
            people.event(event);
        }
    }

    /// Makes what was written so far visible.
    pub fn flush(&mut self) {
        if let Some(json) = &mut self.json {
            json.flush();
        }
    }

    /// Writes the summary and gives the count, or the first write that failed.
    pub fn close(mut self) -> (Tally, Result<(), Failure>) {
        self.flush();
        if let Some(people) = &mut self.people {
            people.summary(&self.tally);
        }
        let written = match self.json.and_then(Sink::into_error) {
            Some(failure) => Err(failure),
            None => Ok(()),
        };
        (self.tally, written)
    }
}

/// Where JSON goes: one object a line, until a write fails.
struct Sink {
    name: String,
    out: Box<dyn Write + Send>,
    error: Option<io::Error>,
}

impl Sink {
    fn new(name: String, out: Box<dyn Write + Send>) -> Sink {
        Sink {
            name,
            out,
            error: None,
        }
    }

    fn object(&mut self, event: &impl Serialize) {
        let mut line = serde_json::to_vec(event).expect("events are plain values");
        line.push(b'\n');
        self.attempt(|out| out.write_all(&line));
    }

    fn flush(&mut self) {
        self.attempt(|out| out.flush());
    }

    fn attempt(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = write(&mut self.out).err();
        }
    }

    /// A reader that went away is no failure: it has read what it wanted.
    fn into_error(self) -> Option<Failure> {
        let error = self
            .error
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
        Some(Failure::machine(format_args!(
            "{}: {}",
            self.name,
            reason(&error)
        )))
    }
}
