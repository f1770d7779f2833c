//! Events → lines: JSON for programs, words for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufWriter, Write},
    net::SocketAddr,
};

use serde::Serialize;
use untold::event::{
    Action, Event, Finding, FindingEvent, FlowEvent, FlowNumber, Place, Spelling, Wrapper,
};

use crate::{
    args::Output,
    failure::Failure,
    load::reason,
    paint::{Look, Paint, To},
};

/// Takes every event of a run, writes it out and keeps count.
pub struct Reporter {
    json: Option<Sink>,
    people: Option<People>,
    tally: Tally,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub flows: u64,
    pub findings: u64,
    pub blocked: u64,
    /// Findings that neither a rule with `sends` nor an answer approved.
    pub unapproved: u64,
    pub names_blocked: u64,
    /// Payload bytes that left, and how many of them in flows that could not be read, by reason.
    pub bytes_out: u64,
    pub opaque: BTreeMap<String, (u64, u64)>,
    pub drops: BTreeMap<&'static str, u64>,
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
            tally: Tally::default(),
        })
    }

    /// Writes one event out.
    pub fn event(&mut self, event: &Event) {
        self.tally.count(event);
        if let Some(json) = &mut self.json {
            json.object(event);
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

impl Tally {
    /// 1 where an identifier went, or tried to go, where nobody approved it; else `otherwise`.
    pub fn status(&self, otherwise: u8) -> u8 {
        if self.unapproved > 0 { 1 } else { otherwise }
    }

    /// Takes in one event.
    pub fn count(&mut self, event: &Event) {
        match event {
            Event::Flow(flow) => {
                self.flows += 1;
                self.bytes_out += flow.bytes_out;
                if let Some(why) = flow.opaque {
                    let (flows, bytes) = self.opaque.entry(word(&why)).or_default();
                    *flows += 1;
                    *bytes += flow.bytes_out;
                }
            }
            Event::Finding(found) => {
                self.findings += 1;
                self.unapproved += u64::from(!found.approved);
                self.blocked += u64::from(found.verdict == Action::Block);
            }
            Event::Name(name) => self.names_blocked += u64::from(name.verdict == Action::Block),
            Event::Drop(dropped) => *self.drops.entry(dropped.reason).or_default() += dropped.count,
            _ => {}
        }
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

    fn object(&mut self, event: &Event) {
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

/// Lines for people.
struct People {
    out: Box<dyn Write + Send>,
    /// Before lines that could be a command's, too.
    prefix: &'static str,
    paint: Paint,
    /// Flows whose block was already told with a finding.
    told: BTreeSet<FlowNumber>,
}

impl People {
    fn new(to: To) -> People {
        let (out, prefix): (Box<dyn Write + Send>, _) = match to {
            To::Stdout => (Box::new(io::stdout()), ""),
            To::Stderr => (Box::new(io::stderr()), "untold: "),
        };
        People {
            out,
            prefix,
            paint: Paint::new(to),
            told: BTreeSet::new(),
        }
    }

    fn event(&mut self, event: &Event) {
        let paint = self.paint;
        match event {
            Event::Finding(found) => {
                if found.verdict == Action::Block {
                    self.told.insert(found.flow);
                }
                self.line(&finding_line(paint, found));
            }
            Event::Flow(flow) => {
                let told = self.told.remove(&flow.flow);
                if flow.verdict == Action::Block && !told {
                    self.line(&blocked_flow_line(paint, flow));
                }
            }
            Event::Name(name) if name.verdict == Action::Block => {
                let verdict = paint.paint(Look::Red, format!("{:<8}", "blocked"));
                let rule = paint.paint(Look::Dim, &name.rule);
                self.line(&format!(
                    "{:>9.3}  {verdict}  name → {}  {rule}",
                    name.time, name.name
                ));
            }
            Event::Error(error) => {
                let word = paint.paint(Look::Yellow, format!("{:<8}", "error"));
                self.line(&format!("{:>9.3}  {word}  {}", error.time, error.message));
            }
            _ => {}
        }
    }

    fn summary(&mut self, tally: &Tally) {
        for line in summary(self.paint, tally) {
            self.line(&format!("{}{line}", self.prefix));
        }
    }

    fn line(&mut self, line: &str) {
        // Nobody reads any more: the exit status still says what happened.
        let _ = writeln!(self.out, "{line}");
    }
}

/// One finding in words; further lines where the terminal is too narrow for one.
fn finding_line(paint: Paint, found: &FindingEvent) -> String {
    let app = found
        .app
        .as_deref()
        .map(|app| format!("{app} "))
        .unwrap_or_default();
    let columns = [
        (Look::Bold, format!("{:<24}", what(&found.finding))),
        (Look::Plain, format!("{:<20}", chain(&found.finding))),
        (Look::Plain, format!("{:<17}", place(&found.finding))),
        (
            Look::Plain,
            format!("{app}→ {}", destination(found.name.as_deref(), found.dst)),
        ),
        (Look::Dim, found.rule.to_string()),
    ];
    let fits = |columns: &[(Look, String)]| {
        let wide: usize = columns
            .iter()
            .map(|(_, text)| GAP + text.chars().count())
            .sum();
        paint.width.is_none_or(|width| INDENT + wide <= width)
    };
    let mut line = format!(
        "{}  {}",
        paint.paint(Look::Dim, format!("{:>9.3}", found.time)),
        verdict(paint, found)
    );
    let aligned = fits(&columns);
    let indent = if paint.width.is_some_and(|width| width < NARROW) {
        9
    } else {
        INDENT
    };
    let mut at = INDENT;
    for (look, text) in &columns {
        let text = if aligned { text } else { text.trim_end() };
        let wide = GAP + text.chars().count();
        if !aligned && at > indent && paint.width.is_some_and(|width| at + wide > width) {
            line.push_str(&format!("\n{:indent$}", ""));
            at = indent;
        }
        line.push_str(&format!("{:GAP$}{}", "", paint.paint(*look, text)));
        at += wide;
    }
    line
}

fn blocked_flow_line(paint: Paint, flow: &FlowEvent) -> String {
    let time = paint.paint(Look::Dim, format!("{:>9.3}", flow.time));
    let verdict = paint.paint(Look::Red, format!("{:<8}", "blocked"));
    let to = destination(flow.name.as_deref(), flow.dst);
    let rule = paint.paint(Look::Dim, &flow.rule);
    format!("{time}  {verdict}  {} → {to}  {rule}", word(&flow.proto))
}

/// What was done, in a word of eight columns.
fn verdict(paint: Paint, found: &FindingEvent) -> String {
    let (look, word) = match (found.verdict, found.approved) {
        (Action::Block, _) => (Look::Red, "blocked"),
        (Action::Ask, _) => (Look::Yellow, "asked"),
        (Action::Allow, true) => (Look::Green, "approved"),
        (Action::Allow, false) => (Look::Yellow, "passed"),
    };
    paint.paint(look, format!("{word:<8}")).to_string()
}

/// Kind and last four characters.
pub fn what(finding: &Finding) -> String {
    let kind = match finding.confidence {
        untold::event::Confidence::Exact => finding.kind.to_string(),
        untold::event::Confidence::Shape => format!("{}?", finding.kind),
    };
    match &finding.last4 {
        Some(last4) => format!("{kind:<14} …{last4}"),
        None => kind,
    }
}

/// Wrappers from the wire inward, and what was done to the value.
pub fn chain(finding: &Finding) -> String {
    let mut words: Vec<String> = finding
        .chain
        .iter()
        .map(|&wrapper| wrapper_word(wrapper))
        .collect();
    match finding.spelling {
        Spelling::Plain => {}
        Spelling::Separators => words.push("other separators".into()),
        Spelling::Case => words.push("other case".into()),
        other => words.push(word(&other)),
    }
    if words.is_empty() {
        "in clear".into()
    } else {
        words.join(", then ")
    }
}

/// Part of the message, and how far into it.
pub fn place(finding: &Finding) -> String {
    let part = match finding.at {
        Place::Name => return "name asked for".into(),
        at => word(&at),
    };
    format!("{part}, byte {}", finding.offset)
}

/// A destination by the name it went by, and its address.
pub fn destination(name: Option<&str>, dst: SocketAddr) -> String {
    let port = match dst.port() {
        0 => String::new(),
        port => format!(":{port}"),
    };
    match name {
        Some(name) if dst.ip().is_unspecified() => format!("{name}{port}"),
        Some(name) => format!("{name}{port} ({})", dst.ip()),
        None if dst.ip().is_unspecified() => "unknown".into(),
        None => dst.to_string(),
    }
}

/// The lines at the end.
fn summary(paint: Paint, tally: &Tally) -> Vec<String> {
    let mut parts = vec![count(tally.flows, "flow")];
    if tally.findings == 0 {
        parts.push("no identifier found".into());
    } else {
        let passed = tally.findings - tally.blocked;
        let mut of = Vec::new();
        if tally.blocked > 0 {
            of.push(format!("{} blocked", tally.blocked));
        }
        if passed > 0 {
            of.push(format!("{passed} passed"));
        }
        parts.push(format!(
            "{}: {}",
            count(tally.findings, "finding"),
            of.join(", ")
        ));
    }
    if tally.names_blocked > 0 {
        parts.push(format!("{} blocked", count(tally.names_blocked, "name")));
    }
    let look = match tally.unapproved {
        0 => Look::Green,
        _ => Look::Red,
    };
    let mut lines = vec![paint.paint(look, parts.join(", ")).to_string()];
    if !tally.opaque.is_empty() {
        let reasons: Vec<String> = tally
            .opaque
            .iter()
            .map(|(why, (flows, bytes))| {
                format!("{why} {} in {}", size(*bytes), count(*flows, "flow"))
            })
            .collect();
        let line = format!(
            "could not be read: {} of {} sent",
            reasons.join(", "),
            size(tally.bytes_out)
        );
        lines.push(paint.paint(Look::Dim, line).to_string());
    }
    if !tally.drops.is_empty() {
        let total: u64 = tally.drops.values().sum();
        let reasons: Vec<String> = tally
            .drops
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        let line = format!("{} dropped: {}", count(total, "packet"), reasons.join(", "));
        lines.push(paint.paint(Look::Dim, line).to_string());
    }
    lines
}

fn wrapper_word(wrapper: Wrapper) -> String {
    match wrapper {
        Wrapper::Json => "JSON".into(),
        Wrapper::Percent => "percent-encoding".into(),
        other => word(&other),
    }
}

/// The word of the event schema for a value.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => String::new(),
    }
}

fn count(n: u64, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

/// Columns between two fields.
const GAP: usize = 2;
/// Columns of time and verdict.
const INDENT: usize = 9 + GAP + 8;
/// Columns below which further lines begin under the time.
const NARROW: usize = 72;

#[cfg(test)]
mod tests {
    use untold::event::{Confidence, DropEvent, Kind, Opaque, Proto};

    use super::*;

    fn found(verdict: Action, approved: bool) -> FindingEvent {
        FindingEvent {
            time: 1.2041,
            flow: 7,
            proto: Proto::Tcp,
            dst: "203.0.113.9:80".parse().unwrap(),
            app: None,
            name: Some("collector.example".into()),
            finding: Finding {
                kind: Kind::Imei,
                confidence: Confidence::Exact,
                chain: vec![Wrapper::Base64, Wrapper::Json],
                spelling: Spelling::Plain,
                last4: Some("7518".into()),
                hash: "k1:00".into(),
                at: Place::Body,
                offset: 214,
            },
            verdict,
            rule: "default.leak".into(),
            approved,
        }
    }

    fn flow(verdict: Action, opaque: Option<Opaque>, bytes_out: u64) -> FlowEvent {
        FlowEvent {
            time: 2.0,
            flow: 7,
            proto: Proto::Tcp,
            src: "198.18.0.2:4000".parse().unwrap(),
            dst: "[2001:db8::9]:443".parse().unwrap(),
            app: None,
            name: None,
            name_from: None,
            opaque,
            bytes_out,
            bytes_in: 0,
            verdict,
            rule: "rule.2".into(),
        }
    }

    #[test]
    fn a_finding_is_one_aligned_line_in_words() {
        let line = finding_line(Paint::plain(None), &found(Action::Block, false));
        assert_eq!(
            line,
            "    1.204  blocked   imei           …7518      base64, then JSON     body, byte 214     → \
             collector.example:80 (203.0.113.9)  default.leak"
        );
        let other = finding_line(Paint::plain(None), &found(Action::Allow, true));
        assert_eq!(line.find('→'), other.find('→'));
        assert!(other.contains("approved"), "{other}");
    }

    #[test]
    fn a_narrow_terminal_gets_lines_that_fit() {
        for (width, lines) in [(200, 1), (80, 2), (50, 4)] {
            let text = finding_line(Paint::plain(Some(width)), &found(Action::Allow, false));
            assert_eq!(text.lines().count(), lines, "{text}");
            let flat: Vec<&str> = text.split_whitespace().collect();
            let whole = "1.204 passed imei …7518 base64, then JSON body, byte 214 → collector.example:80 \
                         (203.0.113.9) default.leak";
            assert_eq!(flat.join(" "), whole);
            assert!(
                text.lines().all(|line| line.chars().count() <= width),
                "{text}"
            );
        }
    }

    #[test]
    fn only_what_nobody_approved_makes_the_status_1() {
        let mut tally = Tally::default();
        tally.count(&Event::Finding(found(Action::Allow, true)));
        assert_eq!(tally.status(0), 0);
        assert_eq!(tally.status(7), 7);
        tally.count(&Event::Finding(found(Action::Block, false)));
        assert_eq!((tally.status(0), tally.status(7)), (1, 1));
    }

    #[test]
    fn the_summary_counts_and_admits_what_could_not_be_read() {
        let mut tally = Tally::default();
        tally.count(&Event::Finding(found(Action::Block, false)));
        tally.count(&Event::Flow(flow(Action::Block, None, 0)));
        tally.count(&Event::Flow(flow(Action::Allow, Some(Opaque::Tls), 2048)));
        tally.count(&Event::Drop(DropEvent {
            time: 0.0,
            reason: "checksum",
            count: 3,
        }));
        let lines = summary(Paint::plain(None), &tally);
        assert_eq!(
            lines,
            [
                "2 flows, 1 finding: 1 blocked",
                "could not be read: tls 2.0 KiB in 1 flow of 2.0 KiB sent",
                "3 packets dropped: checksum 3",
            ]
        );
    }

    #[test]
    fn a_blocked_flow_is_told_once() {
        let shared = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let out = Box::new(Shared(shared.clone()));
        let mut people = People {
            out,
            prefix: "",
            paint: Paint::plain(None),
            told: BTreeSet::new(),
        };
        people.event(&Event::Finding(found(Action::Block, false)));
        people.event(&Event::Flow(flow(Action::Block, None, 0)));
        people.event(&Event::Flow(flow(Action::Block, None, 0)));
        people.event(&Event::Flow(flow(Action::Allow, None, 0)));
        let text = String::from_utf8(shared.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.ends_with("blocked   tcp → [2001:db8::9]:443  rule.2\n"),
            "{text}"
        );
    }
}
