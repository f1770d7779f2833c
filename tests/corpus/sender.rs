//! Cases through the pipeline, whole and in pieces.

use std::{sync::Arc, time::Duration};

use untold::{
    decode::Scratch,
    detect::{Detector, Identity},
    event::{Finding, Proto},
    inspect::{Context, Notice, Rules, Step, Stream},
    policy::{Config, Facts, Policy},
};

use crate::case::{self, Case, Half};

/// Sends cases under one identity; everything is allowed, so that everything is judged.
pub struct Sender {
    rules: Rules,
}

impl Sender {
    /// The person of `identity.toml`, or nobody for the cases that shapes have to carry.
    pub fn of(half: Half) -> Sender {
        match half {
            Half::Exact | Half::Ordinary => Sender::with(&case::identity("identity")),
            Half::Shape => Sender::nobody(),
        }
    }

    /// Somebody who registered nothing.
    pub fn nobody() -> Sender {
        Sender::with("")
    }

    pub fn with(identity: &str) -> Sender {
        let identity = Identity::parse("identity.toml", identity).expect("a good identity");
        let config = Config::parse(
            "policy.toml",
            "[default]\nleak = \"allow\"\nleak_shape = \"allow\"\n",
        );
        let policy = config.and_then(|config| Policy::new(config, Vec::new()));
        Sender {
            rules: Rules {
                detector: Arc::new(Detector::new(&identity, &[7; 32])),
                policy: Arc::new(policy.expect("a good policy")),
            },
        }
    }

    pub fn rules(&self) -> Rules {
        self.rules.clone()
    }

    /// Findings where every write arrives by itself, whole.
    pub fn whole(&self, case: &Case) -> Vec<Finding> {
        match case.proto {
            Proto::Tcp => {
                let mut end = 0;
                let ends = case.sends().into_iter().map(|send| {
                    end += send.len();
                    end
                });
                self.stream(case, &ends.collect::<Vec<_>>(), Duration::ZERO)
            }
            Proto::Udp | Proto::Icmp => self.datagrams(case),
        }
    }

    /// Findings where a stream is cut at `cuts`, and its sender pauses at each; datagrams come as they are.
    pub fn cut(&self, case: &Case, cuts: &[usize], pause: Duration) -> Vec<Finding> {
        match case.proto {
            Proto::Tcp => self.stream(case, cuts, pause),
            Proto::Udp | Proto::Icmp => self.datagrams(case),
        }
    }

    fn stream(&self, case: &Case, ends: &[usize], pause: Duration) -> Vec<Finding> {
        let bytes = case.sends().concat();
        let mut flow = Flow::new(self, case);
        let mut gone = 0;
        for end in ends.iter().copied().chain([bytes.len()]) {
            let mut step = flow.call(|stream, cx| stream.feed(&bytes[gone..end], cx));
            gone += step.release;
            let until = flow.now + pause;
            while let Some(wake) = step.wake.filter(|wake| *wake <= until) {
                flow.now = wake;
                step = flow.call(|stream, cx| stream.pause(&bytes[gone..end], cx));
                gone += step.release;
            }
            flow.now = until;
        }
        gone += flow
            .call(|stream, cx| stream.finish(&bytes[gone..], cx))
            .release;
        assert_eq!(gone, bytes.len(), "{case}: kept, although all is allowed");
        flow.findings()
    }

    fn datagrams(&self, case: &Case) -> Vec<Finding> {
        let mut flow = Flow::new(self, case);
        for payload in case.sends() {
            let gone = flow
                .call(|stream, cx| stream.datagram(&payload, cx))
                .release;
            assert_eq!(gone, payload.len(), "{case}: kept, although all is allowed");
        }
        flow.findings()
    }
}

struct Flow<'s> {
    rules: &'s Rules,
    stream: Stream,
    facts: Facts,
    now: Duration,
    scratch: Scratch,
    notices: Vec<Notice>,
}

impl<'s> Flow<'s> {
    fn new(sender: &'s Sender, case: &Case) -> Self {
        Flow {
            rules: &sender.rules,
            stream: Stream::new(case.proto),
            facts: Facts {
                app: Vec::new(),
                dst: ([203, 0, 113, 9], case.port).into(),
                proto: case.proto,
                names: Vec::new(),
                wall: 0,
            },
            now: Duration::from_secs(1),
            scratch: Scratch::default(),
            notices: Vec::new(),
        }
    }

    fn call(&mut self, call: impl FnOnce(&mut Stream, &mut Context<'_>) -> Step) -> Step {
        let mut cx = Context {
            rules: self.rules,
            facts: &mut self.facts,
            now: self.now,
            room: ROOM,
            can_ask: false,
            scratch: &mut self.scratch,
            notices: &mut self.notices,
        };
        call(&mut self.stream, &mut cx)
    }

    fn findings(self) -> Vec<Finding> {
        let finding = |notice| match notice {
            Notice::Finding { finding, .. } => Some(finding),
            Notice::Name { .. } | Notice::Opaque(_) | Notice::Unread(_) => None,
        };
        self.notices.into_iter().filter_map(finding).collect()
    }
}

/// What a flow may hold unless the policy says otherwise.
const ROOM: usize = 256 << 10;

/// Where to cut `length` bytes: a dozen places that `seed` chooses.
pub fn cuts(length: usize, seed: u64) -> Vec<usize> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut cuts: Vec<usize> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % (length + 1)
    })
    .take(12)
    .collect();
    cuts.sort_unstable();
    cuts
}
