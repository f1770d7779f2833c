//! A command, or a device, behind a live engine.

use std::{
    fs,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::process::ExitStatusExt,
    },
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::SockRef;
use untold::{
    engine::Config,
    event::{ErrorEvent, Event},
    inspect::Rules,
    io::{
        FindOwner, Handle, Options, Protect, descriptors,
        netns::{self, Confined, Layout, NetnsError},
        owner::SockDiag,
        record::Recording,
        signal::{Foreground, Hangup, Stop},
        tty::Terminal,
        tun::{self, Packets, Tun},
        watch::Stopper,
    },
};

use crate::{
    answers, args,
    ask::{Asker, Ender},
    failure::{Failure, say},
    load::{self, Sources},
    paint::To,
    recording,
    reload::Reloader,
    report::Reporter,
    tally::Tally,
};

/// `untold run`.
pub fn run(args: &args::Run) -> Result<u8, Failure> {
    crate::log::start(args.output.verbose.verbose);
    // Before there is any other thread.
    let hangup = Hangup::new().map_err(Failure::machine)?;
    let place = args.rules.answers.clone();
    let mut sources = Sources::new(&args.rules, place.or_else(answers::usual_place))?;
    let rules = sources.read()?;
    let rules = rules.expect("the first reading is a change");
    let record = match &args.record {
        Some(path) => Some(recording::start(path, sources.basis())?),
        None => None,
    };
    let (reloader, stopper) = Reloader::new(sources, Some(hangup), args.output.json)?;
    let reloading = (reloader, stopper);
    if args.rules.identity.is_none() {
        say("no --identity: only what looks like an identifier is found");
    }
    match &args.tun {
        Some(device) => attach(device, args, rules, record, reloading),
        None => command(args, rules, record, reloading),
    }
}

/// The terminal, where questions are to be asked and there is one.
fn terminal(args: &args::Run) -> Option<Terminal> {
    if !args.ask {
        return None;
    }
    match Terminal::open() {
        Ok(terminal) => Some(terminal),
        Err(error) => {
            let error = load::reason(&error);
            say(format_args!(
                "there is no terminal to ask on ({error}): questions take the fallback"
            ));
            None
        }
    }
}

/// Does `body` while files are read again and questions asked.
fn attended<T>(
    handle: &Handle,
    (reloader, stopper): (Reloader, Stopper),
    asking: Option<(Asker<'_>, Ender)>,
    body: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        scope.spawn(|| reloader.run(handle));
        let ender = asking.map(|(asker, ender)| {
            scope.spawn(|| asker.run(handle));
            ender
        });
        let done = body();
        drop(stopper);
        if let Some(ender) = ender {
            ender.end();
        }
        done
    })
}

/// An asker between the engine and `events`, where there is a terminal.
fn asking<'a>(
    args: &args::Run,
    terminal: Option<&'a Terminal>,
    events: Events,
) -> (Option<(Asker<'a>, Ender)>, Events) {
    let Some(terminal) = terminal else {
        return (None, events);
    };
    let place = args.rules.answers.clone().or_else(answers::usual_place);
    let (asker, ender, events) = Asker::new(terminal, place, events);
    (Some((asker, ender)), events)
}

/// Relays an existing device until SIGINT or SIGTERM.
fn attach(
    device: &str,
    args: &args::Run,
    rules: Rules,
    record: Option<Recording>,
    reloading: (Reloader, Stopper),
) -> Result<u8, Failure> {
    let tun = Tun::attach(device, packets(args)).map_err(Failure::machine)?;
    let (mtu, queue) = tun::limits(device).map_err(Failure::machine)?;
    let stop = Stop::new();
    let terminal = terminal(args);
    let reporter = Reporter::new(&args.output, To::Stderr)?;
    let (printer, events) = Printer::start(reporter, stop.trigger());
    let (asking, events) = asking(args, terminal.as_ref(), events);
    let config = Config {
        can_ask: terminal.is_some(),
        ..config(mtu, queue, upstream(&args.resolver))?
    };
    let protect: Box<dyn Protect> = match (args.mark, &args.bind_dev) {
        (Some(mark), _) => Box::new(Mark(mark)),
        (None, Some(device)) => Box::new(BindDevice(device.clone())),
        (None, None) => Box::new(Unprotected),
    };
    let options = Options {
        owners: finder(SockDiag::open(device)),
        record,
        sink: None,
        config,
        rules,
        protect,
        events,
    };
    let handle = start(tun, options).map_err(Failure::machine)?;
    attended(&handle, reloading, asking, || stop.wait());
    let ended = handle.stop();
    let tally = printer.finish()?;
    ended.map_err(Failure::machine)?;
    Ok(tally.status(0))
}

/// Runs a command behind a device of its own.
fn command(
    args: &args::Run,
    rules: Rules,
    record: Option<Recording>,
    reloading: (Reloader, Stopper),
) -> Result<u8, Failure> {
    let layout = Layout {
        mtu: args.mtu,
        packets: packets(args),
        ..Layout::default()
    };
    let [program, arguments @ ..] = &args.cmd[..] else {
        return Err(Failure::Input("nothing to run".into()));
    };
    let resolvers = upstream(&args.resolver);
    let terminal = terminal(args);
    let config = Config {
        can_ask: terminal.is_some(),
        ..config(layout.mtu as usize, layout.queue as usize, resolvers)?
    };
    let reporter = Reporter::new(&args.output, To::Stderr)?;
    let mut command = Command::new(program);
    command.args(arguments);
    if args.output.json && args.output.events.is_none() {
        let stderr = io::stderr()
            .as_fd()
            .try_clone_to_owned()
            .map_err(Failure::machine)?;
        command.stdout(Stdio::from(stderr));
    }
    let foreground = Foreground::take(terminal.as_ref());
    foreground.prepare(&mut command);
    let Confined {
        mut child,
        tun,
        owners,
        lacks,
    } = netns::spawn(&mut command, &layout)
        .map_err(|error| refused(program.to_string_lossy().as_ref(), error))?;
    for lack in lacks {
        say(lack);
    }
    let stopping = Arc::new(AtomicBool::new(false));
    let wanted = stopping.clone();
    let (printer, events) = Printer::start(reporter, move || {
        if !wanted.load(Ordering::SeqCst) {
            say("the relay has ended: the command has no network any more");
        }
    });
    let (asking, events) = asking(args, terminal.as_ref(), events);
    let options = Options {
        owners: owners.map(boxed),
        record,
        sink: None,
        config,
        rules,
        protect: Box::new(Unprotected),
        events,
    };
    let handle = start(tun, options).map_err(|error| {
        // Without a relay it would only wait; that it may have ended already is fine.
        let _ = child.kill();
        let _ = child.wait();
        Failure::machine(error)
    })?;
    let status = attended(&handle, reloading, asking, || foreground.wait(&mut child));
    let status = status.map_err(Failure::machine)?;
    stopping.store(true, Ordering::SeqCst);
    let ended = handle.stop();
    let tally = printer.finish()?;
    ended.map_err(Failure::machine)?;
    Ok(tally.status(code(status)))
}

fn packets(args: &args::Run) -> Packets {
    match args.no_offload {
        true => Packets::Plain,
        false => Packets::Offloaded,
    }
}

/// Owners of the flows of a device that is there already, where the kernel can tell.
fn finder(opened: io::Result<SockDiag>) -> Option<Box<dyn FindOwner>> {
    if let Err(error) = &opened {
        say(format_args!(
            "rules with `app` match nothing: the kernel does not tell whose a socket is ({error})"
        ));
    }
    opened.ok().map(boxed)
}

fn boxed(owners: SockDiag) -> Box<dyn FindOwner> {
    Box::new(owners)
}

/// Starts an engine with as many descriptors as the process may have; fewer flows fit where that is refused.
fn start(tun: Tun, options: Options) -> io::Result<Handle> {
    let _ = descriptors::raise_limit();
    Handle::start(tun.into(), options)
}

/// Engine settings of a device, with fresh randomness.
pub fn config(mtu: usize, queue: usize, resolvers: Vec<SocketAddr>) -> Result<Config, Failure> {
    let dns = netns::RESOLVERS
        .iter()
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .collect();
    let seed = u64::from_ne_bytes(load::random()?);
    Ok(Config {
        seed,
        mtu,
        queue,
        dns,
        resolvers,
        can_ask: false,
    })
}

/// A command's status as a shell tells it.
pub fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

/// Resolvers asked on the command's behalf.
fn upstream(chosen: &[SocketAddr]) -> Vec<SocketAddr> {
    if !chosen.is_empty() {
        return chosen.to_vec();
    }
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let mut found = netns::resolvers(&text);
    // Our own address inside a tunnel would send its questions back to us.
    found.retain(|resolver| {
        !netns::RESOLVERS
            .iter()
            .any(|ours| resolver.ip().to_string() == *ours)
    });
    if found.is_empty() {
        say(format_args!(
            "{RESOLV_CONF} names no resolver: names will not resolve (--resolver gives one)"
        ));
    }
    found
}

fn refused(program: &str, error: NetnsError) -> Failure {
    match error {
        NetnsError::Command { source } if source.kind() == io::ErrorKind::NotFound => {
            Failure::Input(format!("{program}: no such command"))
        }
        NetnsError::Command { source } => {
            Failure::Input(format!("{program}: {}", load::reason(&source)))
        }
        other => Failure::machine(other),
    }
}

/// Writes events out beside the engine's thread, which never waits for it.
pub struct Printer {
    lost: Arc<Lost>,
    thread: JoinHandle<Reporter>,
}

/// What the engine calls with each event.
pub type Events = Box<dyn FnMut(Event) + Send>;

/// What did not fit into the queue: it counts all the same.
#[derive(Default)]
struct Lost {
    events: AtomicU64,
    unapproved: AtomicU64,
}

impl Printer {
    /// Starts the thread, which calls `engine_gone` when the engine has dropped its end.
    pub fn start(
        reporter: Reporter,
        engine_gone: impl FnOnce() + Send + 'static,
    ) -> (Printer, Events) {
        let (sender, receiver) = sync_channel(QUEUE);
        let lost = Arc::new(Lost::default());
        let thread = thread::spawn(move || {
            let reporter = print(reporter, &receiver);
            engine_gone();
            reporter
        });
        let printer = Printer {
            lost: lost.clone(),
            thread,
        };
        let events = move |event| {
            if let Err(TrySendError::Full(event)) = sender.try_send(event) {
                lost.events.fetch_add(1, Ordering::Relaxed);
                let unapproved = matches!(&event, Event::Finding(found) if !found.approved);
                lost.unapproved
                    .fetch_add(u64::from(unapproved), Ordering::Relaxed);
            }
        };
        (printer, Box::new(events))
    }

    /// Waits for the last line, once the engine is gone.
    pub fn finish(self) -> Result<Tally, Failure> {
        let joined = self.thread.join();
        let mut reporter = joined.map_err(|_| Failure::machine("the printing thread panicked"))?;
        let lost = self.lost.events.load(Ordering::Relaxed);
        if lost > 0 {
            let message =
                format!("{lost} events were not written: whoever reads them was too slow");
            reporter.event(&Event::Error(ErrorEvent { time: 0.0, message }));
        }
        let (mut tally, written) = reporter.close();
        tally.unapproved += self.lost.unapproved.load(Ordering::Relaxed);
        if let Err(failure) = written {
            say(failure);
        }
        Ok(tally)
    }
}

fn print(mut reporter: Reporter, receiver: &Receiver<Event>) -> Reporter {
    while let Ok(event) = receiver.recv() {
        reporter.event(&event);
        while let Ok(event) = receiver.try_recv() {
            reporter.event(&event);
        }
        reporter.flush();
        // Waking a thread costs the engine more than what it says: lines that follow at once are taken together.
        thread::sleep(BREATH);
    }
    let _ = io::stderr().flush();
    reporter
}

/// Sockets that need no protection: they are opened outside the namespace that the tun serves.
pub struct Unprotected;

impl Protect for Unprotected {
    fn protect(&self, _socket: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }
}

struct Mark(u32);

impl Protect for Mark {
    fn protect(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        SockRef::from(&socket).set_mark(self.0)
    }
}

struct BindDevice(String);

impl Protect for BindDevice {
    fn protect(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        SockRef::from(&socket).bind_device(Some(self.0.as_bytes()))
    }
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How late a line may be.
const BREATH: Duration = Duration::from_millis(2);
/// Events waiting to be written, at most; one is a few hundred bytes.
const QUEUE: usize = 16_384;
