//! Captures, judged as if they were live.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use untold::event::Event;

use crate::{
    args,
    failure::{Failure, say},
    judge::{Capture, Given, Judge},
    load,
    paint::To,
    progress::Progress,
    report::Reporter,
};

/// `untold replay`.
pub fn replay(args: &args::Replay) -> Result<u8, Failure> {
    crate::log::start(args.output.verbose.verbose);
    let (rules, basis) = load::rules_and_basis(&args.rules)?;
    let given = Given {
        rules,
        basis,
        app: args.app.as_deref().map(Into::into),
    };
    let captures = args
        .captures
        .iter()
        .map(|path| Capture::open(path))
        .collect::<Result<Vec<_>, _>>()?;
    if args.rules.identity.is_none() {
        say("no --identity: only what looks like an identifier is found");
    }
    let mut reporter = Reporter::new(&args.output, To::Stdout)?;
    let ended = judge_all(captures, &given, &mut reporter);
    let (tally, written) = reporter.close();
    ended.and(written)?;
    Ok(tally.status(0))
}

/// What comes of judging a capture, in order.
enum Said {
    Events(Vec<Event>),
    /// A line for people, on stderr.
    Line(String),
    Failed(Failure),
}

/// Judges all captures, as many at a time as there are cores, and reports in order. Gives the first failure; what was
/// judged before one counts.
fn judge_all(
    captures: Vec<Capture>,
    given: &Given,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let done = AtomicU64::new(0);
    let mut progress = Progress::new(captures.iter().map(|capture| capture.bytes).sum());
    let several = captures.len() > 1;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.min(captures.len());
    let (mut jobs, mut results) = (Vec::new(), Vec::new());
    for capture in captures {
        // A capture that is ahead of its turn waits when this is full.
        let (sender, receiver) = sync_channel(QUEUE);
        results.push((capture.name.clone(), receiver));
        jobs.push((capture, sender));
    }
    // Taken in order, so that the one whose turn it is is always being judged.
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().ok().and_then(|mut jobs| jobs.next());
    let ended = thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((capture, sender)) = next() {
                    judge(Judge::new(capture, given), &sender, &done);
                }
            });
        }
        let mut ended = Ok(());
        for (name, receiver) in results {
            if several {
                progress.aside(|| reporter.capture(&name));
            }
            let failed = report(&receiver, reporter, &mut progress, &done);
            if let (Some(failure), Err(_)) = (&failed, &ended) {
                progress.aside(|| say(failure));
            }
            ended = ended.and(failed.map_or(Ok(()), Err));
        }
        ended
    });
    progress.end();
    ended
}

/// Judges one capture.
fn judge(mut judge: Judge<'_>, sender: &SyncSender<Said>, done: &AtomicU64) {
    // Nobody listens any more only where the reporting thread has panicked.
    let send = |said| drop(sender.send(said));
    let mut counted = 0;
    loop {
        let step = judge.step();
        let more = step == Ok(true);
        if !more {
            judge.finish();
        }
        for line in judge.lines.drain(..) {
            send(Said::Line(line));
        }
        if judge.events.len() >= BATCH || judge.offset() - counted >= STRIDE || !more {
            done.fetch_add(judge.offset() - counted, Ordering::Relaxed);
            counted = judge.offset();
            if !judge.events.is_empty() {
                send(Said::Events(std::mem::take(&mut judge.events)));
            }
        }
        if let Err(failure) = step {
            send(Said::Failed(failure));
        }
        if !more {
            return;
        }
    }
}

/// Writes out what comes of one capture, and gives the failure that ended it.
fn report(
    receiver: &Receiver<Said>,
    reporter: &mut Reporter,
    progress: &mut Progress,
    done: &AtomicU64,
) -> Option<Failure> {
    let mut failed = None;
    loop {
        match receiver.recv_timeout(REFRESH) {
            Ok(Said::Events(events)) => progress.aside(|| {
                for event in &events {
                    reporter.event(event);
                }
            }),
            Ok(Said::Line(line)) => progress.aside(|| say(line)),
            Ok(Said::Failed(failure)) => failed = Some(failure),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return failed,
        }
        progress.at(done.load(Ordering::Relaxed), reporter.findings());
    }
}

/// Batches of events that wait for their capture's turn.
const QUEUE: usize = 64;
/// Events that go together.
const BATCH: usize = 256;
/// Bytes of a capture after which its progress, and what came of it, is told at the latest.
const STRIDE: u64 = 1 << 20;
/// How often the progress line moves while nothing comes.
const REFRESH: Duration = Duration::from_millis(200);
