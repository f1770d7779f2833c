//! The search: `cargo bench --bench search`. Speeds in bytes a second of one core, aho-corasick beside ours.

use std::fmt::Write;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use divan::{Bencher, counter::BytesCount};
use untold::detect::{Detector, Hit, Identity};

/// Bytes that each round searches.
const HAYSTACK: usize = 4 << 20;
/// Bytes of one packet's payload.
const PACKET: usize = 1400;

fn main() {
    for spellings in [1_000, 5_000] {
        let detector = detector(spellings);
        println!(
            "{} spellings, tables of {} bytes",
            detector.spellings(),
            detector.table_bytes()
        );
    }
    divan::main();
}

#[divan::bench(args = [1_000, 5_000])]
fn build(bencher: Bencher<'_, '_>, spellings: usize) {
    let identity = identity(spellings);
    bencher.bench(|| Detector::new(&identity, &[0; 32]));
}

#[divan::bench(args = cases())]
fn search(bencher: Bencher<'_, '_>, case: &Case) {
    let (detector, haystack) = (detector(case.spellings), case.content.make(HAYSTACK));
    let mut hits: Vec<Hit> = Vec::with_capacity(64);
    bencher.counter(BytesCount::new(HAYSTACK)).bench_local(|| {
        hits.clear();
        detector.search(&haystack, 0, &mut hits)
    });
}

#[divan::bench(args = cases())]
fn search_in_packets(bencher: Bencher<'_, '_>, case: &Case) {
    let (detector, haystack) = (detector(case.spellings), case.content.make(HAYSTACK));
    let mut hits: Vec<Hit> = Vec::with_capacity(64);
    bencher.counter(BytesCount::new(HAYSTACK)).bench_local(|| {
        hits.clear();
        let (mut from, mut held) = (0, 0);
        for end in (PACKET..HAYSTACK).step_by(PACKET) {
            let first = from - detector.context().min(from);
            from = first + detector.search(&haystack[first..end], from - first, &mut hits);
            held += detector.unfinished(&haystack[first..end]);
        }
        held
    });
}

#[divan::bench(args = cases(), sample_count = 5)]
fn aho_corasick(bencher: Bencher<'_, '_>, case: &Case) {
    let (automaton, haystack) = (automaton(case.spellings), case.content.make(HAYSTACK));
    bencher
        .counter(BytesCount::new(HAYSTACK))
        .bench_local(|| automaton.find_overlapping_iter(&haystack).count());
}

/// What is searched, and for how many spellings.
#[derive(Clone, Copy)]
struct Case {
    content: Content,
    spellings: usize,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.content, self.spellings)
    }
}

fn cases() -> impl Iterator<Item = Case> {
    let contents = [
        Content::Noise,
        Content::Http,
        Content::HexJson,
        Content::Base64,
        Content::Zeros,
    ];
    contents
        .into_iter()
        .flat_map(|content| [1_000, 5_000].map(|spellings| Case { content, spellings }))
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Noise,
    Http,
    HexJson,
    Base64,
    Zeros,
}

impl Content {
    fn make(self, length: usize) -> Vec<u8> {
        let mut random = Random(1);
        let mut bytes = Vec::with_capacity(length + 4096);
        while bytes.len() < length {
            match self {
                Content::Noise => bytes.extend(random.next().to_le_bytes()),
                Content::Zeros => bytes.push(0),
                Content::Base64 => {
                    bytes.extend(data_encoding::BASE64.encode(&random.bytes(57)).bytes());
                    bytes.push(b'\n');
                }
                Content::HexJson => bytes.extend(hex_json(&mut random).bytes()),
                Content::Http => bytes.extend(http(&mut random).bytes()),
            }
        }
        bytes.truncate(length);
        bytes
    }
}

fn hex_json(random: &mut Random) -> String {
    let hex = |random: &mut Random, bytes| data_encoding::HEXLOWER.encode(&random.bytes(bytes));
    format!(
        "{{\"event_id\":\"{}\",\"session\":\"{}\",\"sha256\":\"{}\",\"ts\":{},\"n\":[{},{}]}},",
        hex(random, 16),
        hex(random, 8),
        hex(random, 32),
        1_700_000_000_000 + random.next() % 100_000_000_000,
        random.next(),
        random.next() % 1_000_000,
    )
}

fn http(random: &mut Random) -> String {
    const WORDS: &[&str] = &[
        "page", "view", "click", "open", "scroll", "banner", "price", "article", "weather", "oslo",
        "summer", "app", "start", "screen", "home", "settings", "player", "video", "season",
        "error", "retry", "network", "status",
    ];
    let mut body = String::from("{\"events\":[");
    for _ in 0..8 {
        let word = |random: &mut Random| WORDS[random.next() as usize % WORDS.len()];
        let (name, screen, label) = (word(random), word(random), word(random));
        let _ = write!(
            body,
            "{{\"name\":\"{name}_{screen}\",\"timestamp\":{},\"params\":{{\"screen_name\":\"{screen}\",\
             \"label\":\"{label} {name} {label}\",\"duration_ms\":{},\"foreground\":true,\"score\":0.{}}}}},",
            1_700_000_000_000 + random.next() % 100_000_000_000,
            random.next() % 60_000,
            random.next() % 1_000_000,
        );
    }
    body.push_str("{}]}");
    format!(
        "POST /v2/collect/batch?app=com.example.reader&v=8.{}.1 HTTP/1.1\r\nHost: telemetry.analytics.example\r\n\
         User-Agent: Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0\r\n\
         Accept: */*\r\nAccept-Language: nb-NO,nb;q=0.9,en;q=0.8\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: keep-alive\r\n\r\n{body}",
        random.next() % 100,
        body.len(),
    )
}

/// An identity of as many values as `spellings` takes, of the kinds that a phone has.
fn identity(spellings: usize) -> Identity {
    for count in 1.. {
        let text = identity_file(count);
        let identity = Identity::parse("bench.toml", &text).expect("the values are sound");
        if Detector::new(&identity, &[0; 32]).spellings() >= spellings {
            return identity;
        }
    }
    unreachable!("every count adds spellings");
}

fn identity_file(count: usize) -> String {
    let mut random = Random(42);
    let mut file = String::new();
    let mut list = |kind: &str, make: &mut dyn FnMut(&mut Random) -> String| {
        let values: Vec<String> = (0..count)
            .map(|_| format!("\"{}\"", make(&mut random)))
            .collect();
        let _ = writeln!(file, "{kind} = [{}]", values.join(", "));
    };
    let digits = |random: &mut Random, length: u32| random.next() % 10u64.pow(length);
    let hex = |random: &mut Random, bytes| data_encoding::HEXLOWER.encode(&random.bytes(bytes));
    list("imei", &mut |random| {
        luhn(format!("3520990{:07}", digits(random, 7)))
    });
    list("imsi", &mut |random| {
        format!("24201{:010}", digits(random, 10))
    });
    list("iccid", &mut |random| {
        luhn(format!("894701{:012}", digits(random, 12)))
    });
    list("wifi_mac", &mut |random| format!("02{}", hex(random, 5)));
    list("android_id", &mut |random| hex(random, 8));
    list("advertising_id", &mut |random| hex(random, 16));
    list("phone", &mut |random| {
        format!("+479{:07}", digits(random, 7))
    });
    list("email", &mut |random| {
        format!("user{}@mail.example", digits(random, 6))
    });
    list("serial", &mut |random| {
        format!("R58M{:07X}", digits(random, 8))
    });
    file
}

fn luhn(body: String) -> String {
    let sum = |digits: &str| -> u32 {
        let weigh = |(place, digit): (usize, char)| {
            let digit = digit.to_digit(10).expect("a digit");
            let weighted = if place % 2 == 0 { digit } else { digit * 2 };
            weighted / 10 + weighted % 10
        };
        digits.chars().rev().enumerate().map(weigh).sum()
    };
    (0..10)
        .map(|check| format!("{body}{check}"))
        .find(|digits| sum(digits).is_multiple_of(10))
        .expect("one of ten digits fits")
}

fn detector(spellings: usize) -> Detector {
    Detector::new(&identity(spellings), &[0; 32])
}

/// Random needles of the same number and lengths: theirs see the same work.
fn automaton(spellings: usize) -> AhoCorasick {
    let mut random = Random(7);
    let needles: Vec<Vec<u8>> = (0..spellings)
        .map(|number| match number % 4 {
            0 => format!("{:015}", random.next() % 1_000_000_000_000_000).into_bytes(),
            1 => data_encoding::HEXLOWER
                .encode(&random.bytes(16))
                .into_bytes(),
            2 => data_encoding::HEXLOWER
                .encode(&random.bytes(32))
                .into_bytes(),
            _ => random.bytes(20),
        })
        .collect();
    AhoCorasickBuilder::new()
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .ascii_case_insensitive(true)
        .build(needles)
        .expect("the needles fit")
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
