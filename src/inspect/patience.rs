use std::time::Duration;

/// How long the unfinished end of a text has waited for what comes after it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    waiting: Option<Waiting>,
    /// End of a tail that went unfinished because it had waited long enough.
    overdue: u64,
}

/// A tail that waits for what comes after it.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Duration,
    /// Its first byte, from the start of the text.
    start: u64,
}

impl Patience {
    /// How much of a tail of `hold` bytes waits, where `end` bytes of the text came so far, and until when. `news` is when
    /// the last of them came, `paused` whether that is long ago.
    pub(super) fn wait(
        &mut self,
        hold: usize,
        end: u64,
        news: Duration,
        paused: bool,
        now: Duration,
    ) -> (usize, Option<Duration>) {
        let overdue = hold as u64 > end.saturating_sub(self.overdue);
        if hold == 0 || overdue {
            self.waiting = None;
            return (0, None);
        }
        let start = end - hold as u64;
        let waiting = match self.waiting {
            Some(waiting) if waiting.start >= start => waiting,
            _ => Waiting { since: now, start },
        };
        let until = waiting.since + TAIL;
        if now >= until {
            self.waiting = None;
            self.overdue = end;
            return (0, None);
        }
        self.waiting = Some(waiting);
        let wake = if paused {
            until
        } else {
            until.min(news + PAUSE)
        };
        (hold, Some(wake))
    }

    /// Nothing waits any more.
    pub(super) fn rest(&mut self) {
        self.waiting = None;
    }
}

/// No new byte for this long ends a token, and a framed unit's being held whole.
pub(super) const PAUSE: Duration = Duration::from_millis(250);
/// A tail waits this long at most.
pub(super) const TAIL: Duration = Duration::from_secs(5);
