//! The pipeline: `cargo bench --bench inspect`. For each content, at one packet and at 64 KiB a call: the search alone,
//! the decoding alone, and all of a stream.

mod payload;

use std::{io::Write, sync::Arc, time::Duration};

use divan::{Bencher, black_box, counter::BytesCount};
use flate2::{Compression, write::GzEncoder};
use payload::Content;
use untold::{
    decode::{self, Budget, Scratch, Window},
    detect::{Detector, Hit},
    event::Proto,
    inspect::{Context, Inspector, Notice, Request, Rules, Stream},
    policy::{Config, Facts, Policy},
};

fn main() {
    let detector = &rules().detector;
    println!(
        "{} spellings, tables of {} bytes",
        detector.spellings(),
        detector.table_bytes()
    );
    divan::main();
}

/// The search alone, without the context that it needs, and the tail that must wait.
#[divan::bench(args = cases())]
fn search(bencher: Bencher<'_, '_>, case: &Case) {
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

/// The decoding alone: every text is made, and none is searched.
#[divan::bench(args = cases())]
fn walk(bencher: Bencher<'_, '_>, case: &Case) {
    let bytes = case.content.make(TOTAL);
    let mut scratch = Scratch::default();
    bencher.counter(BytesCount::new(TOTAL)).bench_local(|| {
        let mut shown = 0;
        for chunk in bytes.chunks(case.chunk) {
            let mut budget = Budget::new();
            budget.grant(chunk.len());
            let window = Window::whole(chunk);
            decode::walk(window, &mut scratch, &mut budget, &mut |text, _| {
                shown += text.bytes.len();
                0
            });
        }
        black_box(shown)
    });
}

/// A whole stream: sniffing, search, decoding, holding.
#[divan::bench(args = cases())]
fn stream(bencher: Bencher<'_, '_>, case: &Case) {
    let (rules, bytes) = (rules(), case.content.make(TOTAL));
    bencher
        .counter(BytesCount::new(TOTAL))
        .bench_local(|| send(&rules, &bytes, case.chunk));
}

/// A whole message of 2 KB of JSON, as it is and compressed.
#[divan::bench(args = [false, true])]
fn json_post_of_2_kb(bencher: Bencher<'_, '_>, gzip: bool) {
    let inspector = Inspector::new(rules());
    let mut body = Content::Json.make(1998);
    body.extend_from_slice(b"]}");
    let mut headers = vec![
        (
            "User-Agent",
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)",
        ),
        ("Content-Type", "application/json"),
    ];
    if gzip {
        headers.push(("Content-Encoding", "gzip"));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&body).expect("a vector takes all");
        body = encoder.finish().expect("a vector takes all");
    }
    let request = Request {
        method: "POST",
        url: "https://telemetry.example/v2/collect?app=com.example.reader",
        headers: &headers,
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

const TOTAL: usize = 2 << 20;

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
        Content::Http,
        Content::Json,
        Content::Text,
        Content::Form,
        Content::HexJson,
        Content::Base64,
        Content::Base64Json,
        Content::Digits,
    ]
    .into_iter()
    .flat_map(|content| [1448, 65536].map(|chunk| Case { content, chunk }))
}

/// An identity with more than 1,000 spellings, under the default policy.
fn rules() -> Rules {
    Rules {
        detector: Arc::new(Detector::new(&payload::identity(1000), &[0; 32])),
        policy: Arc::new(Policy::new(Config::default_policy(), Vec::new()).expect("no lists")),
    }
}
