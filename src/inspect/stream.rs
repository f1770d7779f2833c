use std::{fmt, time::Duration};

use super::{
    Context, Gate, Notice, Step, datagram::Datagrams, message::Message, mux::Mux,
    patience::Patience, scanner::Scanner, tls::Tls, turn::Turn, unit::Unit,
};
use crate::{
    decode::Effort,
    event::{Action, Kind, Opaque, Proto, Verdict},
};

/// Inspection of the outbound direction of one flow.
///
/// It sees every accepted byte that was not released, and never keeps one but for a little context.
pub struct Stream {
    pub(super) proto: Proto,
    /// Bytes released so far.
    pub(super) base: u64,
    /// Bytes seen so far, from the start of the stream.
    pub(super) seen: u64,
    /// Bytes searched so far, from the start of the stream.
    pub(super) searched: u64,
    /// When the last new byte came.
    pub(super) news: Duration,
    pub(super) tail: Patience,
    pub(super) phase: Phase,
    pub(super) unit: Unit,
    /// Why the stream does not go on, if so.
    pub(super) stopped: Option<Box<Stopped>>,
    /// The verdict on the connection that the flow was let through with.
    pub(super) connection: Option<Verdict>,
    /// Whether the last turn asked to speak WebSocket from here on.
    pub(super) upgraded: bool,
    /// What was asked about its content, if anything was.
    pub(super) questions: Option<Box<Questions>>,
    pub(super) opaque: Option<Opaque>,
    /// Bytes that could not be read and were not told yet.
    pub(super) unread: u64,
    /// What is known of earlier datagrams, once there was one.
    pub(super) datagrams: Option<Box<Datagrams>>,
}

/// What a person was asked about a flow's content.
#[derive(Default)]
pub(super) struct Questions {
    /// Kinds that were let go in this flow.
    pub(super) allowed: Vec<Kind>,
    /// Kinds that the question of the last step is about, with all others in their unit.
    pub(super) asked: Vec<Kind>,
}

/// Why a stream does not go on.
pub(super) enum Stopped {
    /// A question is put: about the connection, or about what was found.
    Ask(Verdict, About),
    Block(Verdict),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Connection,
    Content,
}

pub(super) enum Phase {
    /// A client's turn begins: what it is written in is not known yet.
    Turn,
    Http(Box<Message>),
    /// Units that interleave, or come as texts.
    Mux(Box<Mux>),
    Tls(Box<Tls>),
    Dns,
    /// Plain bytes; `watched` of them were looked through for the beginning of TLS.
    Raw {
        text: Box<Scanner>,
        watched: u32,
    },
}

/// Why the stream is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Feed,
    Pause,
    Finish,
}

impl Stream {
    /// Begins with the first byte of a flow, or with the first that a capture has.
    pub fn new(proto: Proto) -> Self {
        Self {
            proto,
            base: 0,
            seen: 0,
            searched: 0,
            news: Duration::ZERO,
            tail: Patience::default(),
            phase: Phase::Turn,
            unit: Unit::default(),
            stopped: None,
            connection: None,
            upgraded: false,
            questions: None,
            opaque: None,
            unread: 0,
            datagrams: None,
        }
    }

    /// `unreleased` is every accepted byte that has not been released, contiguous, in order, from the first one on. Only
    /// those past what earlier calls saw are new. Called with the bytes in place in their slot when nothing is held.
    pub fn feed(&mut self, unreleased: &[u8], cx: &mut Context<'_>) -> Step {
        self.lent(cx, |stream, cx| stream.run(unreleased, Call::Feed, cx))
    }

    /// `wake` has come: nothing arrived for a while.
    pub fn pause(&mut self, unreleased: &[u8], cx: &mut Context<'_>) -> Step {
        self.lent(cx, |stream, cx| stream.run(unreleased, Call::Pause, cx))
    }

    /// The sender closed its half: no further bytes.
    pub fn finish(&mut self, unreleased: &[u8], cx: &mut Context<'_>) -> Step {
        self.lent(cx, |stream, cx| stream.run(unreleased, Call::Finish, cx))
    }

    /// A person (or the timeout) answered the question of the last step. Another question may follow.
    pub fn answer(&mut self, answer: Action, unreleased: &[u8], cx: &mut Context<'_>) -> Step {
        match (self.stopped.as_deref_mut(), answer) {
            (Some(Stopped::Ask(_, about)), Action::Allow) => {
                let about = *about;
                self.lent(cx, |stream, cx| stream.resume(about, unreleased, cx))
            }
            (Some(Stopped::Ask(verdict, _)), Action::Block) => {
                let verdict = Verdict {
                    action: Action::Block,
                    ..verdict.clone()
                };
                self.stop(verdict, About::Connection);
                self.closed(0)
            }
            (_, Action::Allow | Action::Ask | Action::Block) => self.closed(0),
        }
    }

    /// Why what goes now cannot be read, if so.
    pub fn opaque(&self) -> Option<Opaque> {
        self.opaque
    }

    /// What reading the stream took so far; of messages that take turns (HTTP/2) it is not counted.
    pub fn effort(&self) -> Effort {
        let effort = self.unit.effort();
        match self.proto {
            // What begins a unit was granted to the one before it as well.
            Proto::Tcp => Effort {
                arrived: self.seen,
                ..effort
            },
            Proto::Udp | Proto::Icmp => effort,
        }
    }

    /// Runs with the caller's buffers.
    pub(super) fn lent(
        &mut self,
        cx: &mut Context<'_>,
        run: impl FnOnce(&mut Self, &mut Context<'_>) -> Step,
    ) -> Step {
        self.unit.swap_scratch(cx.scratch);
        let step = run(self, cx);
        self.unit.swap_scratch(cx.scratch);
        cx.scratch.trim();
        if self.unread > 0 {
            let unread = std::mem::take(&mut self.unread);
            cx.notices.push(Notice::Unread(unread));
        }
        step
    }

    /// Goes on although the last step was not to.
    pub(super) fn resume(&mut self, about: About, unreleased: &[u8], cx: &mut Context<'_>) -> Step {
        self.stopped = None;
        if about == About::Content
            && let Some(Questions { allowed, asked }) = self.questions.as_deref_mut()
        {
            for kind in asked.drain(..) {
                if !allowed.contains(&kind) {
                    allowed.push(kind);
                }
            }
        }
        match self.proto {
            Proto::Tcp => self.run(unreleased, Call::Feed, cx),
            Proto::Udp | Proto::Icmp => Step {
                release: unreleased.len(),
                gate: Gate::Open,
                wake: None,
            },
        }
    }

    /// The step of a stream that does not go on.
    pub(super) fn closed(&self, release: usize) -> Step {
        let gate = match self.stopped.as_deref() {
            None => Gate::Open,
            Some(Stopped::Ask(verdict, _)) => Gate::Ask(verdict.clone()),
            Some(Stopped::Block(verdict)) => Gate::Block(verdict.clone()),
        };
        Step {
            release,
            gate,
            wake: None,
        }
    }

    /// Judges what was found; says whether the stream stops.
    pub(super) fn stops(&mut self, cx: &mut Context<'_>) -> bool {
        match self.unit.judge(allowed(&self.questions), cx) {
            Some(verdict) => {
                let kinds = self.unit.kinds().cloned().collect();
                self.questions.get_or_insert_default().asked = kinds;
                self.stop(verdict, About::Content);
                true
            }
            None => false,
        }
    }

    pub(super) fn stop(&mut self, verdict: Verdict, about: About) {
        self.stopped = Some(Box::new(match verdict.action {
            Action::Block => Stopped::Block(verdict),
            Action::Ask | Action::Allow => Stopped::Ask(verdict, about),
        }));
    }

    fn run(&mut self, bytes: &[u8], call: Call, cx: &mut Context<'_>) -> Step {
        if self.stopped.is_some() {
            return self.closed(0);
        }
        let end = self.base + bytes.len() as u64;
        if end > self.seen {
            let new = end - self.seen;
            self.news = cx.now;
            self.unit.grant(new as usize);
            self.seen = end;
            if self.unit.is_spent() {
                self.unread += new;
            }
        }
        let mut done = 0;
        loop {
            let rest = &bytes[done..];
            match self.turn(rest, call, cx) {
                Turn::Go(count) => {
                    done += count;
                    self.base += count as u64;
                    self.tail.rest();
                }
                Turn::Wait { release, wake } => {
                    self.base += release as u64;
                    return Step {
                        release: done + release,
                        gate: Gate::Open,
                        wake,
                    };
                }
                Turn::Stop(count) => {
                    self.base += count as u64;
                    return self.closed(done + count);
                }
            }
        }
    }

    fn turn(&mut self, rest: &[u8], call: Call, cx: &mut Context<'_>) -> Turn {
        match std::mem::replace(&mut self.phase, Phase::Turn) {
            Phase::Turn => self.begin(rest, call, cx),
            Phase::Http(message) => self.http(message, rest, call, cx),
            Phase::Mux(mux) => self.mux(mux, rest, call, cx),
            Phase::Tls(tls) => self.tls(tls, rest, call, cx),
            Phase::Dns => self.dns(rest, call, cx),
            Phase::Raw { text, watched } => self.raw(text, watched, rest, call, cx),
        }
    }
}

/// Kinds that a person let go.
pub(super) fn allowed(questions: &Option<Box<Questions>>) -> &[Kind] {
    questions
        .as_deref()
        .map_or(&[], |questions| questions.allowed.as_slice())
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = (self.proto, self.base, self.seen, self.opaque);
        f.debug_tuple("Stream").field(&stream).finish()
    }
}
