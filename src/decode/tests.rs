//! The walk over containers inside one another.

use crate::event::Wrapper;

use super::{Budget, Rest, Scratch, Unfinished, Window, walk};

/// A value in wrappers: `tests/wrappers/make.py` wrote it.
pub(crate) struct Wrapped {
    pub(crate) name: &'static str,
    /// Names of the wrappers, outermost first.
    pub(crate) chain: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Every row of `tests/wrappers/wrapped.txt`.
pub(crate) fn wrapped() -> Vec<Wrapped> {
    let rows = include_str!("../../tests/wrappers/wrapped.txt").lines();
    rows.map(|row| {
        let mut columns = row.split('\t');
        let mut column = || columns.next().expect("three columns");
        Wrapped {
            name: column(),
            chain: column(),
            bytes: data_encoding::HEXLOWER
                .decode(column().as_bytes())
                .expect("hexadecimal"),
        }
    })
    .collect()
}

/// The names of a chain, as in an event.
pub(crate) fn names(chain: &[Wrapper]) -> String {
    let name = |wrapper: &Wrapper| {
        let name = serde_json::to_string(wrapper).expect("a name");
        name.trim_matches('"').to_owned()
    };
    chain.iter().map(name).collect::<Vec<_>>().join(",")
}

pub(crate) const IMEI: &str = "490154203237518";

/// Bytes without pattern, the same in each run.
pub(super) fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let random = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    random.take(count).collect()
}

/// Chain and place of every sight of the value, what the walk came to, and whether the budget lasted.
fn sights(window: Window<'_>) -> (Vec<(String, usize)>, Rest, bool) {
    let mut budget = Budget::new();
    budget.grant(window.bytes.len());
    let mut found = Vec::new();
    let rest = walk(
        window,
        &mut Scratch::default(),
        &mut budget,
        &mut |text, _| {
            for at in memchr::memmem::find_iter(text.bytes, IMEI.as_bytes()) {
                found.push((names(&text.chain(at)), text.origin(at)));
            }
            0
        },
    );
    (found, rest, budget.is_spent())
}

#[test]
fn finds_a_value_in_every_wrapper() {
    let mut missed = Vec::new();
    for row in wrapped() {
        let (found, _, spent) = sights(Window::whole(&row.bytes));
        if spent || !found.iter().any(|(chain, _)| chain == row.chain) {
            missed.push((row.name, row.chain, found, spent));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn finds_containers_behind_other_bytes() {
    for row in wrapped() {
        let marked = ["gzip", "zlib,", "zstd", "zip", "base32", "utf16", "base64"];
        if !marked.iter().any(|mark| row.chain.starts_with(mark)) {
            continue;
        }
        let shifted = [&[0x05, 0xff, b' '], &*row.bytes, b"\xff\xff"].concat();
        let (found, ..) = sights(Window::whole(&shifted));
        let at = |wanted: &str| found.iter().find(|(chain, _)| chain.contains(wanted));
        let inner = row.chain.split(',').next_back().expect("a wrapper");
        assert!(
            at(inner).is_some_and(|(_, at)| *at >= 3),
            "{}: {found:?}",
            row.name
        );
    }
}

#[test]
fn finds_what_began_before_the_window_was_new() {
    for row in wrapped() {
        if !["hex,zlib,json", "base64,gzip,json", "base64,zlib,json"].contains(&row.chain) {
            continue;
        }
        for open in [false, true] {
            let window = Window {
                from: row.bytes.len() * 3 / 5,
                open,
                unfinished: Unfinished::Reopen,
                ..Window::whole(&row.bytes)
            };
            let (found, rest, _) = sights(window);
            assert!(!found.is_empty(), "{}: {rest:?}", row.name);
        }
    }
}
