//! The 2019 registration through a live tun loop: blocked, then approved.

mod collector;
mod registration;
mod story;

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use untold::{
    detect::{Detector, Identity},
    event::{Action, Event, FindingEvent, Proto},
    inspect::Rules,
    io::{
        Handle, Options,
        netns::{self, Confined, Layout},
        signal::Foreground,
    },
    policy::{self, Policy},
};

use crate::{
    args,
    failure::Failure,
    inspect::Destination,
    load,
    run::{Unprotected, code, config},
    sent::Sent,
};
use collector::{COLLECTOR, Collector, RESOLVER};
use story::Story;

/// Name of the hidden command that is the demonstration's client.
pub const CLIENT: &str = "demo-client";

/// `untold demo`: 0 where both halves went as expected.
pub fn demo(args: &args::Demo) -> Result<u8, Failure> {
    crate::log::start(args.verbose.verbose);
    let began = Instant::now();
    let mut story = Story::new();
    let stage = Stage::set();
    story.introduction(stage.as_ref().err());
    let mut expected = true;
    for (half, policy) in [(Half::Unapproved, UNAPPROVED), (Half::Approved, APPROVED)] {
        story.heading(half);
        let rules = rules(policy)?;
        let outcome = match &stage {
            Ok(stage) => stage.act(rules)?,
            Err(_) => rehearse(&rules),
        };
        expected &= story.half(half, &outcome);
    }
    story.end(expected, began.elapsed());
    Ok(u8::from(!expected))
}

/// The client, inside the namespace: posts the registration and says in one line what came of it.
pub fn client() -> Result<u8, Failure> {
    let said = match post() {
        Ok(reply) => reply
            .lines()
            .next()
            .unwrap_or("the connection was closed")
            .to_owned(),
        Err(error) => load::reason(&error),
    };
    let _ = writeln!(io::stdout(), "{said}");
    Ok(0)
}

/// The two acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Unapproved,
    Approved,
}

/// What came of one.
pub struct Outcome {
    pub findings: Vec<FindingEvent>,
    pub verdict: Option<(Action, Arc<str>)>,
    /// What the client saw; none where there was none.
    pub client: Option<String>,
    /// Connections that the collector saw; none where there was no network.
    pub connections: Option<usize>,
    /// What the collector received, or would have.
    pub received: Vec<u8>,
}

impl Outcome {
    fn new(events: &[Event], received: Vec<u8>) -> Outcome {
        let findings: Vec<FindingEvent> = events
            .iter()
            .filter_map(|event| match event {
                Event::Finding(found) => Some(found.clone()),
                _ => None,
            })
            .collect();
        let verdict = findings
            .first()
            .map(|found| (found.verdict, found.rule.clone()));
        Outcome {
            findings,
            verdict,
            client: None,
            connections: None,
            received,
        }
    }
}

/// A namespace with a collector and a resolver in it, where the relay's sockets are opened.
struct Stage {
    collector: Collector,
}

impl Stage {
    /// Leaves the namespace we were started in for good.
    fn set() -> Result<Stage, Failure> {
        let addresses = [COLLECTOR, RESOLVER].map(|address| ipnet::IpNet::from(address.ip()));
        netns::enter(&addresses).map_err(Failure::machine)?;
        // Whether there is a tun is known once one was made.
        let mut nothing = Command::new(OURSELVES);
        nothing.arg("--version").stdout(Stdio::null());
        let mut tried = netns::spawn(&mut nothing, &Layout::default()).map_err(Failure::machine)?;
        let _ = tried.child.wait();
        let collector = Collector::start().map_err(Failure::machine)?;
        collector::resolve().map_err(Failure::machine)?;
        Ok(Stage { collector })
    }

    /// Lets the client post through a tun of its own, relayed under `rules`.
    fn act(&self, rules: Rules) -> Result<Outcome, Failure> {
        let layout = Layout::default();
        let mut command = Command::new(OURSELVES);
        command
            .arg(CLIENT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let foreground = Foreground::take(None);
        let Confined { mut child, tun, .. } =
            netns::spawn(&mut command, &layout).map_err(Failure::machine)?;
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        let options = Options {
            config: config(layout.mtu as usize, layout.queue as usize, vec![RESOLVER])?,
            rules,
            owners: None,
            record: None,
            sink: None,
            protect: Box::new(Unprotected),
            events: Box::new(move |event| {
                seen.lock().expect("no thread panics with it").push(event)
            }),
        };
        let handle = Handle::start(tun.into(), options).map_err(Failure::machine)?;
        let status = foreground.wait(&mut child).map_err(Failure::machine)?;
        handle.stop().map_err(Failure::machine)?;
        let mut said = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut said).map_err(Failure::machine)?;
        }
        if !status.success() {
            return Err(Failure::Machine(format!(
                "the client ended with {}",
                code(status)
            )));
        }
        let received = self.collector.take();
        let events = events.lock().expect("no thread panics with it");
        let mut outcome = Outcome::new(&events, received.bytes);
        outcome.client = Some(said.trim_end().to_owned());
        outcome.connections = Some(received.connections);
        Ok(outcome)
    }
}

/// The same bytes through the same pipeline, without a network.
fn rehearse(rules: &Rules) -> Outcome {
    let to = Destination {
        name: Some(registration::HOST.into()),
        address: COLLECTOR,
    };
    let mut sent = Sent::new(rules, Proto::Tcp, &to, None);
    for segment in registration::message().chunks(SEGMENT) {
        sent.feed(segment);
    }
    sent.finish();
    sent.end();
    let received = sent.released().to_vec();
    let mut events = Vec::new();
    sent.drain(|event| events.push(event.clone()));
    Outcome::new(&events, received)
}

fn post() -> io::Result<String> {
    let address = (registration::HOST, COLLECTOR.port())
        .to_socket_addrs()?
        .next();
    let address = address.ok_or(io::ErrorKind::NotFound)?;
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(&registration::message())?;
    let mut reply = vec![0; registration::REPLY.len()];
    connection.read_exact(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn rules(text: &str) -> Result<Rules, Failure> {
    let identity = Identity::parse("identity.toml", IDENTITY)?;
    let config = policy::Config::parse("policy.toml", text)?;
    let policy = Policy::new(config, Vec::new())?;
    let detector = Detector::new(&identity, &load::random()?);
    Ok(Rules {
        detector: Arc::new(detector),
        policy: Arc::new(policy),
    })
}

/// The three files that a person would write.
const IDENTITY: &str = include_str!("demo/identity.toml");
const UNAPPROVED: &str = include_str!("demo/unapproved.toml");
const APPROVED: &str = include_str!("demo/approved.toml");
const OURSELVES: &str = "/proc/self/exe";
/// Payload of a usual segment.
const SEGMENT: usize = 1_448;
const PATIENCE: Duration = Duration::from_secs(3);
