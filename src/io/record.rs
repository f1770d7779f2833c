//! What a running engine is told, on its way into a recording.

use std::{collections::HashMap, io, time::Duration};

use crate::{
    engine::{
        Answer, Now, OwnerId,
        recording::{Basis, Note, Start},
    },
    event::{Event, FlowNumber, Proto, QuestionNumber},
    wire::Pair,
};

/// Keeps a recording.
///
/// Called on the engine's thread, so everything in it must be quick; times count from the start of the engine.
pub trait Record: Send {
    /// The engine starts; comes first.
    fn start(&mut self, start: Start);

    /// One IP packet, whole, in two parts. `outbound`: an app sent it.
    fn packet(&mut self, at: Duration, outbound: bool, parts: [&[u8]; 2]);

    /// Something the engine was told otherwise.
    fn note(&mut self, at: Duration, note: &Note);

    /// What was given so far belongs together and may be written.
    ///
    /// # Errors
    /// Where the recording cannot go on. Nothing more is given then.
    fn commit(&mut self) -> io::Result<()>;

    /// Waits until everything is written.
    ///
    /// # Errors
    /// Where it could not be.
    fn finish(&mut self) -> io::Result<()>;
}

/// What is recorded, and where.
pub struct Recording {
    /// Keeps it.
    pub record: Box<dyn Record>,
    /// Tells policy and identity from others.
    pub basis: Basis,
}

/// The recording of a running engine, which ends by itself where it cannot go on.
pub(super) struct Tape {
    record: Option<Box<dyn Record>>,
    owners: HashMap<OwnerId, (Proto, Pair)>,
    questions: HashMap<QuestionNumber, FlowNumber>,
    began: Duration,
    /// Seconds by which the wall clock is ahead of the packets'.
    ahead: i64,
}

impl Tape {
    /// Begins the recording of an engine that starts as `start` says.
    pub(super) fn new(recording: Option<Recording>, start: Start) -> Self {
        let began = start.began;
        let record = recording.map(|Recording { mut record, basis }| {
            record.start(start);
            record.note(Duration::ZERO, &Note::Rules(basis));
            record
        });
        Self {
            record,
            owners: HashMap::new(),
            questions: HashMap::new(),
            began,
            ahead: 0,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.record.is_some()
    }

    pub(super) fn packet(&mut self, now: Now, outbound: bool, parts: [&[u8]; 2]) {
        if let Some(record) = &mut self.record {
            record.packet(now.mono, outbound, parts);
        }
    }

    /// Keeps a note; what it takes to make one is spent only while recording.
    pub(super) fn note(&mut self, now: Now, note: impl FnOnce() -> Note) {
        if let Some(record) = &mut self.record {
            record.note(now.mono, &note());
        }
    }

    /// Takes in that time has come to `now`.
    pub(super) fn clock(&mut self, now: Now) {
        let Some(record) = &mut self.record else {
            return;
        };
        let packets = (self.began + now.mono).as_secs();
        let ahead = now.wall.cast_signed() - packets.cast_signed();
        // The two clocks are read one after the other: a second is no difference.
        if ahead.abs_diff(self.ahead) > 1 {
            self.ahead = ahead;
            record.note(now.mono, &Note::Clock { wall: now.wall });
        }
    }

    pub(super) fn wanted(&mut self, flow: OwnerId, proto: Proto, pair: Pair) {
        if self.is_on() {
            self.owners.insert(flow, (proto, pair));
        }
    }

    pub(super) fn owner(&mut self, now: Now, flow: OwnerId, app: &[std::sync::Arc<str>]) {
        if let Some((proto, pair)) = self.owners.remove(&flow) {
            self.note(now, || Note::owner(proto, pair, app.to_vec()));
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Ask(asked) if self.is_on() => {
                self.questions.insert(asked.question, asked.flow);
            }
            Event::Answer(answered) => drop(self.questions.remove(&answered.question)),
            _ => {}
        }
    }

    pub(super) fn answer(&mut self, now: Now, question: QuestionNumber, answer: Answer) {
        if let Some(&flow) = self.questions.get(&question) {
            self.note(now, || Note::Answer {
                flow,
                verdict: answer.action,
                scope: answer.scope,
            });
        }
    }

    /// Lets what was recorded so far be written; an error ends the recording and is given once.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        let result = self
            .record
            .as_mut()
            .map_or(Ok(()), |record| record.commit());
        if result.is_err() {
            self.record = None;
        }
        result
    }

    /// Ends the recording.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.commit()?;
        self.record
            .take()
            .map_or(Ok(()), |mut record| record.finish())
    }
}
