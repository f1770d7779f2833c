//! How far a long replay has come, for a person who waits.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on stderr: bytes, findings, time left. There is none where stderr is no terminal, or the work is done soon.
pub struct Progress {
    bar: ProgressBar,
    began: Instant,
    /// Whether the line may still appear.
    waiting: bool,
    findings: u64,
}

impl Progress {
    /// Begins work on `bytes`.
    pub fn new(bytes: u64) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well-formed");
        bar.set_style(style.progress_chars("━╸─"));
        bar.set_message("no finding yet");
        Progress {
            bar,
            began: Instant::now(),
            waiting: std::io::stderr().is_terminal(),
            findings: 0,
        }
    }

    /// So many bytes are done, with so many findings.
    pub fn at(&mut self, bytes: u64, findings: u64) {
        if self.waiting && self.began.elapsed() > PATIENCE {
            self.waiting = false;
            self.bar
                .set_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS));
        }
        self.bar.set_position(bytes);
        if findings != self.findings {
            self.findings = findings;
            let s = if findings == 1 { "" } else { "s" };
            self.bar.set_message(format!("{findings} finding{s}"));
        }
    }

    /// Keeps the line out of the way of other lines.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the line away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

const TEMPLATE: &str = "{bar:24} {bytes}/{total_bytes}  {msg}  {eta} left";
/// Work that takes less shows no line.
const PATIENCE: Duration = Duration::from_millis(500);
/// Times a second that the line is drawn anew.
const REDRAWS: u8 = 5;
