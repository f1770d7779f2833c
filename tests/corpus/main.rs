//! The corpus of findings: what apps send, and what has to be found in it, against the floor of `docs/detection.md`.
//!
//! `cargo test --test corpus -- --nocapture` prints the table, and every miss and false alarm above it.
//! `generate.py` writes `data/`, by encoders that are not ours.

mod capture;
mod case;
mod floor;
mod score;
mod sender;

use std::{collections::BTreeSet, path::Path, process::Command};

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
            for turn in 0..3 {
                let cuts = sender::cuts(case.sent(), index as u64 * 8 + turn);
                let pieces = score::places(&sender.cut(&case, &cuts));
                if pieces != whole {
                    differing.push(format!(
                        "{case}: {whole:?}, but {pieces:?} if cut at {cuts:?}"
                    ));
                    break;
                }
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

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
