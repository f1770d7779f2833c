//! The pipeline: `cargo bench --bench inspect`. What a stream costs over the search alone, at one packet and at 64 KiB a call.

use std::{fmt::Write, sync::Arc, time::Duration};

use divan::{Bencher, black_box, counter::BytesCount};
use untold::{
    decode::Scratch,
    detect::{Detector, Hit, Identity},
    event::Proto,
    inspect::{Context, Inspector, Notice, Request, Rules, Stream},
    policy::{Config, Facts, Policy},
};

fn main() {
    divan::main();
}

/// The search alone, with the context that it needs, and the tail that must wait.
#[divan::bench(args = cases())]
fn bare(bencher: Bencher<'_, '_>, case: &Case) {
    let (rules, bytes) = (rules(), case.content.make(TOTAL));
    let detector = &rules.detector;
    let mut hits: Vec<Hit> = Vec::new();
    bencher.counter(BytesCount::new(TOTAL)).bench_local(|| {
        let mut waits = 0;
        for chunk in bytes.chunks(case.chunk) {
            hits.clear();
            detector.search(chunk, 0, &mut hits);
            waits += detector.unfinished(chunk);
        }
        black_box(waits)
    });
}

#[divan::bench(args = cases())]
fn stream(bencher: Bencher<'_, '_>, case: &Case) {
    let (rules, bytes) = (rules(), case.content.make(TOTAL));
    bencher
        .counter(BytesCount::new(TOTAL))
        .bench_local(|| send(&rules, &bytes, case.chunk));
}

#[divan::bench]
fn json_post_of_2_kb(bencher: Bencher<'_, '_>) {
    let inspector = Inspector::new(rules());
    let mut body = Content::Json.make(2000);
    body.push(b'}');
    let request = Request {
        method: "POST",
        url: "https://telemetry.example/v2/collect?app=com.example.reader",
        headers: &[
            (
                "User-Agent",
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)",
            ),
            ("Content-Type", "application/json"),
        ],
        body: &[&body],
    };
    bencher.bench_local(|| inspector.request(black_box(&request)));
}

/// Sends `bytes` through a stream; what must wait is sent again in front of the next chunk.
fn send(rules: &Rules, bytes: &[u8], chunk: usize) -> usize {
    let mut facts = Facts {
        app: Vec::new(),
        dst: ([203, 0, 113, 9], 5201).into(),
        proto: Proto::Tcp,
        names: Vec::new(),
        wall: 0,
    };
    let mut notices: Vec<Notice> = Vec::new();
    let mut stream = Stream::new(Proto::Tcp);
    let mut scratch = Scratch::default();
    let (mut from, mut end) = (0, 0);
    while end < bytes.len() {
        end = (end + chunk).min(bytes.len());
        let mut cx = Context {
            rules,
            facts: &mut facts,
            now: Duration::from_secs(1),
            room: 256 * 1024,
            can_ask: false,
            scratch: &mut scratch,
            notices: &mut notices,
        };
        from += stream.feed(&bytes[from..end], &mut cx).release;
    }
    from
}

const TOTAL: usize = 4 << 20;

#[derive(Clone, Copy)]
struct Case {
    content: Content,
    chunk: usize,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.content, self.chunk)
    }
}

fn cases() -> impl Iterator<Item = Case> {
    [
        Content::Noise,
        Content::Tls,
        Content::Json,
        Content::Base64,
        Content::Digits,
    ]
    .into_iter()
    .flat_map(|content| [1448, 65536].map(|chunk| Case { content, chunk }))
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Noise,
    Tls,
    Json,
    Base64,
    Digits,
}

impl Content {
    fn make(self, length: usize) -> Vec<u8> {
        let mut random = Random(1);
        let mut bytes = Vec::with_capacity(length + 20_000);
        while bytes.len() < length {
            match self {
                Content::Noise => bytes.extend(random.next().to_le_bytes()),
                Content::Tls => {
                    bytes.extend([23, 3, 3, 0x40, 0]);
                    bytes.extend(random.bytes(0x4000));
                }
                Content::Json => {
                    let lead = if bytes.is_empty() { "{\"e\":[" } else { "" };
                    let _ = write!(
                        Text(&mut bytes),
                        "{lead}{{\"name\":\"screen_view\",\"timestamp\":{},\"params\":{{\"label\":\"summer in oslo\",\"ms\":{}}}}},",
                        1_700_000_000_000 + random.next() % 100_000_000_000,
                        random.next() % 60_000,
                    );
                }
                Content::Base64 => {
                    bytes.extend(data_encoding::BASE64.encode(&random.bytes(57)).bytes());
                    bytes.push(b'\n');
                }
                Content::Digits => bytes.extend(b"0123456789"),
            }
        }
        bytes.truncate(length);
        bytes
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// An identity with more than 1,000 spellings, under the default policy.
fn rules() -> Rules {
    let mut random = Random(42);
    let mut file = String::new();
    let mut list = |kind: &str, make: &mut dyn FnMut(&mut Random) -> String| {
        let values: Vec<String> = (0..6)
            .map(|_| format!("\"{}\"", make(&mut random)))
            .collect();
        let _ = writeln!(file, "{kind} = [{}]", values.join(", "));
    };
    let hex = |random: &mut Random, bytes| data_encoding::HEXLOWER.encode(&random.bytes(bytes));
    list("imsi", &mut |random| {
        format!("24201{:010}", random.next() % 10_000_000_000)
    });
    list("wifi_mac", &mut |random| format!("02{}", hex(random, 5)));
    list("android_id", &mut |random| hex(random, 8));
    list("advertising_id", &mut |random| hex(random, 16));
    list("phone", &mut |random| {
        format!("+479{:07}", random.next() % 10_000_000)
    });
    list("email", &mut |random| {
        format!("user{}@mail.example", random.next() % 1_000_000)
    });
    list("serial", &mut |random| {
        format!("R58M{:07X}", random.next() % 100_000_000)
    });
    let identity = Identity::parse("bench.toml", &file).expect("the values are sound");
    let detector = Detector::new(&identity, &[0; 32]);
    assert!(
        detector.spellings() >= 1000,
        "{} spellings",
        detector.spellings()
    );
    Rules {
        detector: Arc::new(detector),
        policy: Arc::new(Policy::new(Config::default_policy(), Vec::new()).expect("no lists")),
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }
}
