//! The search: `cargo bench --bench search`. Speeds in bytes a second of one core; beside ours, aho-corasick as an NFA and as
//! a DFA, and a set of regular expressions.

mod payload;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use divan::{Bencher, counter::BytesCount};
use payload::{Content, Random};
use regex::bytes::{RegexSet, RegexSetBuilder};
use untold::detect::{Detector, Hit};

/// Bytes that each round of ours searches.
const HAYSTACK: usize = 4 << 20;
/// Bytes that a round of the others searches.
const SHORT_HAYSTACK: usize = 256 << 10;
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
    let identity = payload::identity(spellings);
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
fn aho_corasick_nfa(bencher: Bencher<'_, '_>, case: &Case) {
    overlapping(bencher, case, AhoCorasickKind::ContiguousNFA);
}

#[divan::bench(args = cases(), sample_count = 5)]
fn aho_corasick_dfa(bencher: Bencher<'_, '_>, case: &Case) {
    overlapping(bencher, case, AhoCorasickKind::DFA);
}

fn overlapping(bencher: Bencher<'_, '_>, case: &Case, kind: AhoCorasickKind) {
    let (automaton, haystack) = (
        automaton(case.spellings, kind),
        case.content.make(SHORT_HAYSTACK),
    );
    bencher
        .counter(BytesCount::new(SHORT_HAYSTACK))
        .bench_local(|| automaton.find_overlapping_iter(&haystack).count());
}

#[divan::bench(args = cases(), sample_count = 5)]
fn regex_set(bencher: Bencher<'_, '_>, case: &Case) {
    let (set, haystack) = (
        regex_set_of(case.spellings),
        case.content.make(SHORT_HAYSTACK),
    );
    bencher
        .counter(BytesCount::new(SHORT_HAYSTACK))
        .bench_local(|| set.matches(&haystack).len());
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

fn detector(spellings: usize) -> Detector {
    Detector::new(&payload::identity(spellings), &[0; 32])
}

fn automaton(spellings: usize, kind: AhoCorasickKind) -> AhoCorasick {
    AhoCorasickBuilder::new()
        .kind(Some(kind))
        .ascii_case_insensitive(true)
        .build(needles(spellings))
        .expect("the needles fit")
}

fn regex_set_of(spellings: usize) -> RegexSet {
    let literal = |needle: Vec<u8>| -> String {
        let bytes = needle.iter().map(|byte| format!("\\x{byte:02x}"));
        format!("(?-u){}", bytes.collect::<String>())
    };
    RegexSetBuilder::new(needles(spellings).into_iter().map(literal))
        .case_insensitive(true)
        .size_limit(1 << 30)
        .build()
        .expect("the needles fit")
}

/// Random needles of the same number and lengths: the others see the same work.
fn needles(spellings: usize) -> Vec<Vec<u8>> {
    let mut random = Random(7);
    (0..spellings)
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
        .collect()
}
