//! Captures, judged as if they were live.

use std::{fs::File, path::Path, time::Duration};

use untold::{engine::capture::Replay, inspect::Rules, io::pcap};

use crate::{
    args,
    failure::{Failure, say},
    load::{self, reason},
    paint::To,
    report::Reporter,
};

/// `untold replay`.
pub fn replay(args: &args::Replay) -> Result<u8, Failure> {
    crate::log::start(args.output.verbose.verbose);
    let rules = load::rules(&args.rules)?;
    let captures = args
        .captures
        .iter()
        .map(|path| open(path))
        .collect::<Result<Vec<_>, _>>()?;
    if args.rules.identity.is_none() {
        say("no --identity: only rules on connections count, since there is nothing to look for");
    }
    let mut reporter = Reporter::new(&args.output, To::Stdout)?;
    let mut ended = Ok(());
    for capture in captures {
        let judged = judge(capture, &rules, args.app.as_deref(), &mut reporter);
        ended = ended.and(judged);
    }
    let (tally, written) = reporter.close();
    ended.and(written)?;
    Ok(tally.status(0))
}

/// A capture whose first header was read.
type Capture = pcap::Reader<File>;

fn open(path: &Path) -> Result<Capture, Failure> {
    let name = path.display().to_string();
    let file = crate::inspect::open(path)
        .map_err(|error| Failure::Input(format!("{name}: {}", reason(&error))))?;
    pcap::Reader::new(name, file).map_err(|error| Failure::Input(error.to_string()))
}

/// Judges one capture with an engine of its own. What comes before a fault in the file counts.
fn judge(
    mut capture: Capture,
    rules: &Rules,
    app: Option<&str>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let mut replay = Replay::new(rules.clone(), app.map(Into::into), SEED);
    let mut first = None;
    let ended = loop {
        match capture.packet() {
            Ok(Some(packet)) => {
                let start: Duration = *first.get_or_insert(packet.time);
                replay.packet(
                    packet.ip,
                    packet.time.saturating_sub(start),
                    packet.time.as_secs(),
                );
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(Failure::Input(error.to_string())),
        }
        drain(&mut replay, reporter);
    };
    let skipped = capture.skipped();
    for (reason, count) in [("not_ip", skipped.not_ip), ("link_type", skipped.link_type)] {
        if count > 0 {
            replay.count(reason, count);
        }
    }
    replay.finish();
    drain(&mut replay, reporter);
    ended
}

fn drain(replay: &mut Replay, reporter: &mut Reporter) {
    while let Some(event) = replay.poll_event() {
        reporter.event(&event);
    }
}

/// It bears on nothing that shows; captures are no adversary on the network.
const SEED: u64 = 0;
