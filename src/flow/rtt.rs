//! Retransmission timeout (RFC 6298).

use std::time::Duration;

/// Smoothed round-trip time of one flow's tun side, and the timeout that follows from it.
///
/// Times are microseconds: a timeout of more than a minute is none.
pub(crate) struct Rtt {
    /// 0 before the first sample.
    smoothed: u32,
    variation: u32,
    timeout: u32,
    backoff: u8,
}

impl Rtt {
    /// Before the first sample (RFC 6298 section 2.1).
    const INITIAL: Duration = Duration::from_secs(1);
    /// As Linux: the RFC's second is meant for the internet, and the app is on this machine.
    const LEAST: Duration = Duration::from_millis(200);
    const MOST: Duration = Duration::from_secs(60);

    pub(crate) fn new() -> Self {
        Self {
            smoothed: 0,
            variation: 0,
            timeout: micros(Self::INITIAL),
            backoff: 0,
        }
    }

    /// Takes in a sample of a segment that was sent once (Karn's algorithm).
    pub(crate) fn sample(&mut self, rtt: Duration) {
        let rtt = micros(rtt.min(Self::MOST)).max(1);
        if self.smoothed == 0 {
            self.variation = rtt / 2;
            self.smoothed = rtt;
        } else {
            self.variation = (self.variation * 3 + self.smoothed.abs_diff(rtt)) / 4;
            self.smoothed = ((self.smoothed * 7 + rtt) / 8).max(1);
        }
        self.timeout = (self.smoothed + self.variation * 4).max(micros(Self::LEAST));
    }

    /// How long to wait for an acknowledgement now.
    pub(crate) fn timeout(&self) -> Duration {
        let timeout = Duration::from_micros(self.timeout.into());
        (timeout * (1 << self.backoff.min(10))).min(Self::MOST)
    }

    /// The wait was in vain.
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// New data was acknowledged.
    pub(crate) fn progress(&mut self) {
        self.backoff = 0;
    }
}

/// Of at most a minute, so that eight times as much still fits.
fn micros(time: Duration) -> u32 {
    time.as_micros() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_follows_samples_backs_off_and_recovers() {
        let mut rtt = Rtt::new();
        assert_eq!(rtt.timeout(), Duration::from_secs(1));
        for _ in 0..50 {
            rtt.sample(Duration::from_millis(100));
        }
        assert_eq!(rtt.timeout(), Rtt::LEAST);
        rtt.back_off();
        rtt.back_off();
        assert_eq!(rtt.timeout(), Rtt::LEAST * 4);
        for _ in 0..20 {
            rtt.back_off();
        }
        assert_eq!(rtt.timeout(), Rtt::MOST);
        rtt.progress();
        assert_eq!(rtt.timeout(), Rtt::LEAST);
        rtt.sample(Duration::from_secs(2));
        assert!(rtt.timeout() > Duration::from_secs(2));
    }
}
