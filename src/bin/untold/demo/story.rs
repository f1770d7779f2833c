//! What the demonstration tells on the terminal.

use std::{
    fmt::Display,
    io::{self, Write},
    time::Duration,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use untold::event::Action;

use super::{APPROVED, Half, Outcome, collector::COLLECTOR, registration};
use crate::{
    failure::Failure,
    paint::{Look, Paint, To},
    print,
};

/// Prints the demonstration as it goes on.
pub struct Story {
    paint: Paint,
    message: Vec<u8>,
    /// Whether there was a network.
    live: bool,
}

impl Story {
    pub fn new() -> Story {
        Story {
            paint: Paint::new(To::Stdout),
            message: registration::message(),
            live: true,
        }
    }

    /// What this is about, and why it is not live where it is not.
    pub fn introduction(&mut self, missing: Option<&Failure>) {
        self.live = missing.is_none();
        self.line("");
        let title = self
            .paint
            .paint(Look::Bold, "untold demo: the 2019 registration");
        self.line(title);
        self.line("");
        self.line(
            "In 2019 phones of one model posted this to a server in China each time they were",
        );
        self.line(
            "switched on: unencrypted, for months. Nobody who held one could see or stop it.",
        );
        match missing {
            None => {
                self.line("Here it is again, with made-up values: a real TCP client in a network namespace");
                self.line("whose only way out is a tun device that untold reads. It stays on this machine.");
                self.line("");
                let way = format!(
                    "client ── tun ── untold ──▶ {} ({COLLECTOR})",
                    registration::HOST
                );
                self.line(format_args!("  {}", self.paint.paint(Look::Cyan, way)));
            }
            Some(failure) => {
                self.line("");
                let what = self.paint.paint(Look::Yellow, "Not live:");
                self.line(format_args!("{what} {failure}."));
                self.line("So the same bytes, with made-up values, go through the same engine from memory.");
            }
        }
    }

    /// The title of a half, and what is new in it.
    pub fn heading(&self, half: Half) {
        self.line("");
        let (number, title) = match half {
            Half::Unapproved => ("1", "Nobody approved it"),
            Half::Approved => ("2", "Approved by a rule"),
        };
        let rule = "─".repeat(WIDTH - title.chars().count() - 4);
        let heading = format!("{number}  {title} ");
        self.line(format_args!(
            "{}{}",
            self.paint.paint(Look::Bold, heading),
            self.paint.paint(Look::Dim, rule)
        ));
        self.line("");
        match half {
            Half::Unapproved => self.request(),
            Half::Approved => {
                let rule = APPROVED
                    .lines()
                    .skip_while(|line| !line.starts_with("[[rule]]"));
                rule.for_each(|line| {
                    self.line(format_args!("   {}", self.paint.paint(Look::Cyan, line)))
                });
                self.line("");
            }
        }
    }

    /// What came of a half; false where it is not what it should be.
    pub fn half(&self, half: Half, outcome: &Outcome) -> bool {
        if half == Half::Unapproved {
            self.findings(outcome);
        }
        let wanted = match half {
            Half::Unapproved => Action::Block,
            Half::Approved => Action::Allow,
        };
        let judged = outcome
            .verdict
            .as_ref()
            .is_some_and(|(action, _)| *action == wanted);
        match &outcome.verdict {
            Some((Action::Block, rule)) => self.fact(
                "verdict",
                format_args!(
                    "{}  by {rule}: no rule approves this",
                    self.paint.paint(Look::Red, "blocked")
                ),
                judged,
            ),
            Some((_, rule)) => self.fact(
                "verdict",
                format_args!("{}  by {rule}", self.paint.paint(Look::Green, "approved")),
                judged,
            ),
            None => self.fact("verdict", "nothing was found", false),
        }
        if let Some(client) = &outcome.client {
            self.fact("client saw", client, true);
        }
        judged & self.received(half, outcome)
    }

    /// The last word.
    pub fn end(&self, expected: bool, took: Duration) {
        let how = if self.live { "live" } else { "from memory" };
        let (look, words) = match expected {
            true => (
                Look::Green,
                "✔ Stopped where nobody approved it, untouched where somebody did",
            ),
            false => (
                Look::Red,
                "✘ That is not what should have happened: please report it",
            ),
        };
        self.line("");
        self.line(format_args!(
            "{}  ({how}, {:.2} s)",
            self.paint.paint(look, words),
            took.as_secs_f64()
        ));
        if self.live {
            self.line(self.paint.paint(
                Look::Dim,
                "  Now yours: untold run --identity me.toml -- curl http://example.com/",
            ));
        }
        self.line("");
    }

    /// The first lines of the request, as they go over the wire.
    fn request(&self) {
        let text = String::from_utf8_lossy(&self.message);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        for line in head.lines().filter(|line| !line.starts_with("Connection")) {
            self.line(format_args!("   {}", self.paint.paint(Look::Dim, line)));
        }
        self.line("");
        let first = body.lines().next().unwrap_or_default();
        let lines = body.lines().count();
        self.line(format_args!("   {}", self.paint.paint(Look::Dim, first)));
        let rest = format!(
            "… {} more lines: base64, whatever the content type says",
            lines.saturating_sub(1)
        );
        self.line(format_args!("   {}", self.paint.paint(Look::Dim, rest)));
        self.line("");
    }

    fn findings(&self, outcome: &Outcome) {
        self.line("   What was about to leave:");
        self.line("");
        for found in &outcome.findings {
            let what = print::what(&found.finding);
            let chain = print::chain(&found.finding);
            let place = print::place(&found.finding);
            let what = self.paint.paint(Look::Bold, format!("{what:<22}"));
            self.line(format_args!(
                "     {what}{chain:<20}  {}",
                self.paint.paint(Look::Dim, place)
            ));
        }
        self.line("");
    }

    fn received(&self, half: Half, outcome: &Outcome) -> bool {
        let (got, sent) = (outcome.received.len(), self.message.len());
        let right = match half {
            Half::Unapproved => got == 0,
            Half::Approved => outcome.received == self.message,
        };
        let label = if self.live { "server got" } else { "released" };
        let count = self
            .paint
            .paint(Look::Bold, format!("{got} of {sent} bytes"));
        let connections = match outcome.connections {
            Some(1) => " on 1 connection".into(),
            Some(n) => format!(" on {n} connections"),
            None => String::new(),
        };
        self.fact(label, format_args!("{count}{connections}"), right);
        if half == Half::Approved {
            self.fact("sha256 sent", hash(&self.message), true);
            self.fact("    received", hash(&outcome.received), right);
        }
        right
    }

    fn fact(&self, label: &str, value: impl Display, right: bool) {
        let mark = match right {
            true => self.paint.paint(Look::Green, "✔"),
            false => self.paint.paint(Look::Red, "✘"),
        };
        self.line(format_args!("   {mark} {label:<12} {value}"));
    }

    fn line(&self, line: impl Display) {
        // Nobody reads any more: the exit status still says how it went.
        let _ = writeln!(io::stdout(), "{line}");
    }
}

fn hash(bytes: &[u8]) -> String {
    let whole = HEXLOWER.encode(&Sha256::digest(bytes));
    format!("{}…{}", &whole[..32], &whole[56..])
}

/// Columns of a usual terminal.
const WIDTH: usize = 80;
