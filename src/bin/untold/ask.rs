//! Questions to the person at the terminal.

mod text;

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IsTerminal},
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant},
};

use untold::{
    engine::Answer,
    event::{Action, AnsweredBy, AskEvent, Event, QuestionNumber, Scope},
    io::{
        Handle,
        tty::{Prompt, Terminal},
    },
};

use crate::{
    answers,
    failure::{Failure, say},
    paint::Paint,
    run::Events,
};
use text::{Key, Line, done, hint, outcome, question, read, status};

/// Puts the engine's questions to a person, one after the other.
pub struct Asker<'a> {
    terminal: &'a Terminal,
    /// Where answers "always" are written.
    answers: Option<PathBuf>,
    inbox: Receiver<Told>,
    queue: VecDeque<Waiting>,
}

/// Ends [`Asker::run`] when told to; the questions left open are the engine's to settle.
pub struct Ender(Sender<Told>);

enum Told {
    Ask(Box<AskEvent>),
    Settled(QuestionNumber, Action, AnsweredBy),
    End,
}

struct Waiting {
    asked: Box<AskEvent>,
    deadline: Instant,
}

/// How a question came off the terminal.
enum Closed {
    Answered(Answer),
    /// Somebody or something else settled it, in words.
    Settled(String),
    /// The run is over.
    End,
}

impl<'a> Asker<'a> {
    /// Listens to what goes to `events`, and gives what takes its place.
    pub fn new(
        terminal: &'a Terminal,
        answers: Option<PathBuf>,
        mut events: Events,
    ) -> (Asker<'a>, Ender, Events) {
        let (sender, inbox) = mpsc::channel();
        let ender = Ender(sender.clone());
        let listening = move |event| {
            let told = match &event {
                Event::Ask(asked) => Some(Told::Ask(Box::new(asked.clone()))),
                Event::Answer(answer) => {
                    Some(Told::Settled(answer.question, answer.verdict, answer.by))
                }
                _ => None,
            };
            if let Some(told) = told {
                // Gone at the end of the run, when nobody answers any more.
                let _ = sender.send(told);
            }
            events(event);
        };
        let asker = Asker {
            terminal,
            answers,
            inbox,
            queue: VecDeque::new(),
        };
        (asker, ender, Box::new(listening))
    }

    /// Asks until the run is over, or the terminal gone.
    pub fn run(mut self, handle: &Handle) {
        let mut told_to_wait = false;
        loop {
            // While another job has the terminal, it is looked at again and again, as long as there is a question.
            let patience = (!self.queue.is_empty()).then_some(PAUSE);
            if !self.listen(patience) {
                return;
            }
            if self.queue.is_empty() {
                continue;
            }
            match self.terminal.take() {
                Ok(prompt) => {
                    told_to_wait = false;
                    match self.ask_all(prompt, handle) {
                        Ok(true) => {}
                        Ok(false) => return,
                        Err(error) => return gone(&error),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !std::mem::replace(&mut told_to_wait, true) {
                        say("a question waits: bring this job to the foreground to answer it");
                    }
                }
                Err(error) => return gone(&error),
            }
        }
    }

    /// Takes in what has been told, waiting for the first of it; false at the end of the run.
    fn listen(&mut self, patience: Option<Duration>) -> bool {
        let first = match patience {
            None => self.inbox.recv().ok(),
            Some(patience) => match self.inbox.recv_timeout(patience) {
                Ok(told) => Some(told),
                Err(mpsc::RecvTimeoutError::Timeout) => return true,
                Err(mpsc::RecvTimeoutError::Disconnected) => None,
            },
        };
        match first {
            None | Some(Told::End) => return false,
            Some(told) => self.hear(told),
        };
        while let Ok(told) = self.inbox.try_recv() {
            if matches!(told, Told::End) {
                return false;
            }
            self.hear(told);
        }
        true
    }

    /// Queues a question, or takes one out that is settled; says how that one ended.
    fn hear(&mut self, told: Told) -> Option<(QuestionNumber, String)> {
        match told {
            Told::Ask(asked) => {
                let timeout = Duration::try_from_secs_f64(asked.timeout).unwrap_or_default();
                let deadline = Instant::now() + timeout;
                self.queue.push_back(Waiting { asked, deadline });
                None
            }
            Told::Settled(number, action, by) => {
                self.queue
                    .retain(|waiting| waiting.asked.question != number);
                let how = match by {
                    AnsweredBy::Person => "answered",
                    AnsweredBy::Timeout => "nobody answered",
                    AnsweredBy::Policy => "the new policy decides",
                };
                Some((number, format!("{how}: {}", done(action))))
            }
            Told::End => None,
        }
    }

    /// Asks all that wait; false at the end of the run.
    fn ask_all(&mut self, mut prompt: Prompt<'_>, handle: &Handle) -> io::Result<bool> {
        while let Some(waiting) = self.queue.pop_front() {
            match self.ask(&mut prompt, &waiting)? {
                Closed::Answered(answer) => {
                    // Said before anything comes of it.
                    let said = self.remember(&waiting.asked, answer);
                    let written = prompt.write(&format!("  {said}\n"));
                    handle.answer(waiting.asked.question, answer);
                    written?;
                }
                Closed::Settled(how) => prompt.write(&format!("  {how}\n"))?,
                Closed::End => {
                    prompt.write("  the command has ended\n")?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Shows one question until it is answered or settled.
    fn ask(&mut self, prompt: &mut Prompt<'_>, waiting: &Waiting) -> io::Result<Closed> {
        let shown = Instant::now();
        let paint = Paint::terminal(prompt.width());
        prompt.write(&question(paint, &waiting.asked, self.queue.len()))?;
        let (mut line, mut drawn) = (Line::default(), Drawn::new());
        loop {
            let left = waiting.deadline.saturating_duration_since(Instant::now());
            let seconds = left.as_secs_f64().ceil() as u64;
            drawn.draw(
                prompt,
                status(prompt.width(), waiting.asked.fallback, seconds, line.text()),
            )?;
            if let Some(byte) = prompt.key(TICK)? {
                match line.key(byte) {
                    Key::Interrupt => {
                        drawn.end(prompt)?;
                        self.terminal.interrupt();
                        return Ok(Closed::Answered(Answer {
                            action: Action::Block,
                            scope: Scope::Once,
                        }));
                    }
                    // Meant for the command, most likely, which had the terminal until now.
                    _ if shown.elapsed() < GUARD => line = Line::default(),
                    Key::Entered(typed) => {
                        drawn.end(prompt)?;
                        match read(&typed) {
                            Some((action, scope)) => {
                                return Ok(Closed::Answered(Answer { action, scope }));
                            }
                            None => prompt.write(&hint(prompt.width()))?,
                        }
                    }
                    Key::Nothing | Key::Changed => {}
                }
            }
            while let Ok(told) = self.inbox.try_recv() {
                if matches!(told, Told::End) {
                    drawn.end(prompt)?;
                    return Ok(Closed::End);
                }
                if let Some((number, how)) = self.hear(told)
                    && number == waiting.asked.question
                {
                    drawn.end(prompt)?;
                    return Ok(Closed::Settled(how));
                }
            }
        }
    }

    /// Writes an answer "always" down; says what the answer came to.
    fn remember(&self, asked: &AskEvent, answer: Answer) -> String {
        let outcome = outcome(answer.action, answer.scope);
        if answer.scope != Scope::Always {
            return outcome;
        }
        let written = match &self.answers {
            Some(path) => answers::append(path, asked, answer.action).map(|()| path.display()),
            None => {
                Err("there is no home folder for the file of answers (--answers gives one)".into())
            }
        };
        match written {
            Ok(path) => format!("{outcome}: written to {path}"),
            Err(reason) => format!("{outcome}, but for this run only: {reason}"),
        }
    }
}

impl Ender {
    /// Ends it now.
    pub fn end(self) {
        // It has ended by itself where the terminal was gone.
        let _ = self.0.send(Told::End);
    }
}

fn gone(error: &io::Error) {
    let error = Failure::machine(error);
    say(format_args!(
        "there is no terminal to ask on any more ({error}): questions take the fallback"
    ));
}

/// The line that counts down.
struct Drawn {
    line: String,
}

impl Drawn {
    fn new() -> Drawn {
        OVERWRITTEN.store(false, Ordering::SeqCst);
        Drawn {
            line: String::new(),
        }
    }

    fn draw(&mut self, prompt: &mut Prompt<'_>, line: String) -> io::Result<()> {
        if line == self.line && !OVERWRITTEN.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let length = line.chars().count();
        let before = self.line.chars().count();
        // Without escape sequences, so that every terminal understands it.
        if before > length {
            prompt.write(&format!("\r{:before$}", ""))?;
        }
        prompt.write(&format!("\r{line}"))?;
        COLUMNS.store(length, Ordering::SeqCst);
        self.line = line;
        Ok(())
    }

    /// Leaves the line where it is.
    fn end(&mut self, prompt: &mut Prompt<'_>) -> io::Result<()> {
        COLUMNS.store(0, Ordering::SeqCst);
        self.line.clear();
        prompt.write("\n")
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        COLUMNS.store(0, Ordering::SeqCst);
    }
}

/// What another line on stderr has to begin with, so that it does not run on from the one that counts down.
pub fn over() -> String {
    match COLUMNS.load(Ordering::SeqCst) {
        0 => String::new(),
        columns if io::stderr().is_terminal() => {
            OVERWRITTEN.store(true, Ordering::SeqCst);
            format!("\r{:columns$}\r", "")
        }
        _ => String::new(),
    }
}

/// Columns of the line that counts down; 0 while there is none. A process has one terminal.
static COLUMNS: AtomicUsize = AtomicUsize::new(0);
/// Whether another line has taken its place.
static OVERWRITTEN: AtomicBool = AtomicBool::new(false);
/// Time after which a countdown is looked at again.
const TICK: Duration = Duration::from_millis(200);
/// Time after which a terminal that another job has is looked at again.
const PAUSE: Duration = Duration::from_millis(500);
/// Time within which nobody can have read a question.
const GUARD: Duration = Duration::from_millis(300);

#[cfg(test)]
pub mod tests {
    use untold::event::{Confidence, Finding, Kind, NameSource, Place, Proto, Spelling, Wrapper};

    use super::*;

    /// A question that the 2019 registration would raise.
    pub fn asked() -> AskEvent {
        AskEvent {
            time: 1.2,
            question: 1,
            flow: 7,
            proto: Proto::Tcp,
            dst: "203.0.113.9:80".parse().unwrap(),
            app: Some("curl".into()),
            name: Some("collector.example".into()),
            name_from: Some(NameSource::Dns),
            findings: vec![Finding {
                kind: Kind::Imei,
                confidence: Confidence::Exact,
                chain: vec![Wrapper::Base64, Wrapper::Json],
                spelling: Spelling::Plain,
                last4: Some("7518".into()),
                hash: "k1:00".into(),
                at: Place::Body,
                offset: 214,
                field: None,
            }],
            rule: "default.leak".into(),
            timeout: 30.0,
            fallback: Action::Block,
        }
    }
}
