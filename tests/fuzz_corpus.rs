//! Replays the committed fuzz corpus, on stable.

#[path = "../fuzz/src/lib.rs"]
mod harness;

use std::{collections::BTreeSet, fs, path::Path};

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = fs::read_dir(folder).expect("every target has a corpus");
    let mut seeds: Vec<_> = files
        .map(|file| {
            let path = file.expect("a readable folder").path();
            let name = path
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            (name, fs::read(&path).expect("a readable seed"))
        })
        .collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_passes_whole_cut_and_with_single_bytes_changed() {
    for (target, run) in harness::TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for (name, seed) in seeds {
            println!("{target}/{name}");
            run(&seed);
            let step = seed.len().div_ceil(64).max(1);
            for at in (0..seed.len()).step_by(step) {
                run(&seed[..at]);
                for bits in [0x01, 0x80, 0xff] {
                    let mut changed = seed.clone();
                    changed[at] ^= bits;
                    run(&changed);
                }
            }
        }
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let folders: BTreeSet<_> = fs::read_dir(corpus)
        .expect("a corpus")
        .map(|entry| {
            entry
                .expect("a readable folder")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let targets: BTreeSet<_> = harness::TARGETS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(folders, targets);
}
