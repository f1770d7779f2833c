//! The corpus of findings: what apps send, and what has to be found in it, against the floor of `docs/detection.md`.
//!
//! `cargo test --test corpus -- --nocapture` prints the table, and every miss and false alarm above it.
//! `generate.py` writes `data/`, by encoders that are not ours.

mod capture;
mod case;
mod floor;
mod score;
mod sender;

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use case::{Case, Half};
use score::Table;
use sender::Sender;

#[test]
fn finds_and_leaves_alone_at_least_what_the_document_says() {
    let mut table = Table::default();
    for half in Half::ALL {
        let sender = Sender::of(half);
        for case in case::read(half) {
            table.add(half, &case, &sender.whole(&case));
        }
    }
    let stranger = Sender::nobody();
    for case in case::read(Half::Ordinary) {
        if !case.others {
            table.without_identity(&case, &stranger.whole(&case));
        }
    }
    print!("{}\n{table}", table.complaints());
    let falls = floor::falls(table.rows());
    assert!(falls.is_empty(), "{}", falls.join("\n"));
}

#[test]
fn finds_nothing_of_somebody_one_character_off() {
    let mut found = Vec::new();
    for name in ["near-first", "near-second", "near-middle", "near-last"] {
        let sender = Sender::with(&case::identity(name));
        for case in case::read(Half::Exact) {
            let exact = sender.whole(&case).into_iter().filter(score::is_exact);
            found.extend(exact.map(|finding| {
                format!("{name}: {case}: {} as {:?}", finding.kind, finding.spelling)
            }));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn finds_the_same_wherever_a_stream_is_cut() {
    let mut differing = Vec::new();
    for half in Half::ALL {
        let sender = Sender::of(half);
        for (index, case) in case::read(half).into_iter().enumerate() {
            let whole = score::places(&sender.whole(&case));
            let mut turns = cuts(&case, index);
            let differs = turns.find_map(|cuts| {
                let pieces = score::places(&sender.cut(&case, &cuts, Duration::ZERO));
                (pieces != whole)
                    .then(|| format!("{case}: {whole:?}, but {pieces:?} if cut at {cuts:?}"))
            });
            differing.extend(differs);
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn loses_nothing_where_a_sender_pauses() {
    // Longer than a unit is held for, shorter than the tail of a stream is.
    let pause = Duration::from_millis(300);
    let sender = Sender::of(Half::Exact);
    let mut lost = Vec::new();
    for (index, case) in case::read(Half::Exact).into_iter().enumerate() {
        let whole = score::exact_kinds(&sender.whole(&case));
        let loses = cuts(&case, index).find_map(|cuts| {
            let pieces = score::exact_kinds(&sender.cut(&case, &cuts, pause));
            let gone: Vec<_> = whole.difference(&pieces).collect();
            (!gone.is_empty()).then(|| format!("{case}: {gone:?} if it pauses at {cuts:?}"))
        });
        let known = LOST_TO_PAUSES
            .iter()
            .any(|class| case.to_string().starts_with(class));
        lost.extend(loses.filter(|_| !known));
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Where a stream is cut, a few times over.
fn cuts(case: &Case, index: usize) -> impl Iterator<Item = Vec<usize>> + use<> {
    let length = case.sent();
    (0..3).map(move |turn| sender::cuts(length, index as u64 * 8 + turn))
}

/// What a pause may hide, as `docs/detection.md` says under its limits.
const LOST_TO_PAUSES: [&str; 9] = [
    // What has gone is not XORed with what is there.
    "wrapper xor: body",
    "leak documented: InMobi, XOR",
    // Every pause is charged for all that was decoded before.
    "wrapper gzip: 96 KiB",
    "wrapper deflate: 96 KiB",
    "wrapper zlib: 96 KiB",
    "wrapper brotli: 96 KiB",
    "late: gzip of 90 KiB",
    // A container that is decoded as a whole goes with what was clean of it.
    "nested 4: utf16 base32 multipart zip",
    "nested 4: base32 multipart zstd gzip",
];

#[test]
fn finds_the_same_in_packets_that_come_out_of_order_and_in_fragments() {
    let mut differing = Vec::new();
    for half in Half::ALL {
        let sender = Sender::of(half);
        for (index, case) in case::read(half).into_iter().enumerate() {
            let whole = score::places(&sender.whole(&case));
            let packets = score::places(&capture::findings(&sender, &case, index as u64));
            if packets != whole {
                differing.push(format!("{case}: {whole:?}, but {packets:?} in packets"));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn has_enough_of_everything() {
    let (exact, shape, ordinary) = (
        case::read(Half::Exact),
        case::read(Half::Shape),
        case::read(Half::Ordinary),
    );
    assert!(exact.len() + shape.len() >= 150);
    assert!(ordinary.len() >= 100);
    let kinds = |cases: &[Case]| -> BTreeSet<String> {
        let expected = cases.iter().flat_map(|case| &case.expect);
        expected.map(|expect| expect.kind.clone()).collect()
    };
    for (name, _) in untold::event::Kind::NAMED {
        assert!(kinds(&exact).contains(name), "{name} is never registered");
        assert!(kinds(&shape).contains(name), "{name} is never a shape");
    }
    assert!(ordinary.iter().all(|case| case.expect.is_empty()));
}

#[test]
fn is_what_the_generator_writes() {
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/generate.py");
    let packages = Command::new("python3")
        .args(["-c", "import brotli, cryptography, h2, zstandard"])
        .output();
    if !packages.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED python3 with brotli, cryptography, h2 and zstandard is not installed");
        return;
    }
    let output = Command::new("python3")
        .args(["-B".as_ref(), generator.as_os_str(), "--check".as_ref()])
        .output()
        .expect("python3 starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
