//! Events in words, for people.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    net::SocketAddr,
};

use serde::Serialize;
use untold::event::{
    Action, AskEvent, Confidence, Event, Finding, FindingEvent, FlowEvent, FlowNumber, Place,
    Spelling, Wrapper,
};

use crate::{
    paint::{Look, Paint, To},
    tally::{Tally, summary},
};

/// Lines for people.
pub struct People {
    out: Box<dyn Write + Send>,
    /// Before lines that could be a command's, too.
    prefix: &'static str,
    paint: Paint,
    /// Flows whose block was already told with a finding.
    told: BTreeSet<FlowNumber>,
}

impl People {
    /// Lines on one of the standard streams.
    pub fn new(to: To) -> People {
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

    /// What comes next is of this capture, one of several: its flows are numbered anew.
    pub fn capture(&mut self, name: &str) {
        self.told.clear();
        let line = self.paint.paint(Look::Bold, name).to_string();
        self.line(&line);
    }

    /// Tells what a person should know of an event.
    pub fn event(&mut self, event: &Event) {
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

    /// Tells what it came to.
    pub fn summary(&mut self, tally: &Tally) {
        for line in summary(self.paint, tally) {
            self.line(&format!("{}{line}", self.prefix));
        }
    }

    fn line(&mut self, line: &str) {
        // Nobody reads any more: the exit status still says what happened.
        let _ = writeln!(self.out, "{}{line}", crate::ask::over());
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
    let last4 = finding.last4.as_deref();
    let last4 = last4.map_or_else(String::new, |last4| format!(" …{last4}"));
    match finding.confidence {
        Confidence::Exact if last4.is_empty() => finding.kind.to_string(),
        Confidence::Exact => format!("{:<14}{last4}", finding.kind.to_string()),
        Confidence::Shape => format!("looks like {}{last4}", finding.kind),
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

/// A question in one line, for a comment.
pub fn subject(asked: &AskEvent) -> String {
    let app = asked.app.as_deref().unwrap_or("an unknown app");
    let to = destination(asked.name.as_deref(), asked.dst);
    let mut sends: Vec<String> = asked
        .findings
        .iter()
        .map(|found| what(found).split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    sends.sort_unstable();
    sends.dedup();
    let line = match &sends[..] {
        [] => format!("may {app} connect to {to}?"),
        sends => format!("may {app} send {} to {to}?", sends.join(", ")),
    };
    line.chars()
        .map(|c| if plain(c) { c } else { '\u{fffd}' })
        .collect()
}

/// Whether a character is itself and nothing more: no control, nothing that turns the direction of writing.
pub fn plain(letter: char) -> bool {
    let turns = matches!(letter, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !letter.is_control() && !turns
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

fn wrapper_word(wrapper: Wrapper) -> String {
    match wrapper {
        Wrapper::Json => "JSON".into(),
        Wrapper::Percent => "percent-encoding".into(),
        Wrapper::Utf16 => "UTF-16".into(),
        Wrapper::Xor => "XOR".into(),
        other => word(&other),
    }
}

/// The word of the event schema for a value.
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => String::new(),
    }
}

/// Columns between two fields.
const GAP: usize = 2;
/// Columns of time and verdict.
const INDENT: usize = 9 + GAP + 8;
/// Columns below which further lines begin under the time.
const NARROW: usize = 72;

#[cfg(test)]
pub mod tests {
    use untold::event::{Kind, Opaque, Proto};

    use super::*;

    pub fn found(verdict: Action, approved: bool) -> FindingEvent {
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
                field: None,
            },
            verdict,
            rule: "default.leak".into(),
            approved,
        }
    }

    pub fn flow(verdict: Action, opaque: Option<Opaque>, bytes_out: u64) -> FlowEvent {
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
            opaque_bytes: opaque.map_or(0, |_| bytes_out / 2),
            bytes_out,
            bytes_in: 0,
            verdict,
            rule: "rule.2".into(),
            via: None,
            failure: None,
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
    fn a_finding_by_shape_is_said_to_look_like_its_kind() {
        let mut found = found(Action::Block, false);
        found.finding.confidence = Confidence::Shape;
        assert_eq!(what(&found.finding), "looks like imei …7518");
        found.finding.kind = Kind::Location;
        found.finding.last4 = None;
        assert_eq!(what(&found.finding), "looks like location");
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
