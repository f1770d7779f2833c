//! Bad input: one line that says where and why, status 2, and nothing else done.

use std::{fs, path::Path};

use crate::{
    capture,
    harness::{Folder, IDENTITY, IMEI, untold},
};

/// Fails unless `args` are refused with one line that has `needle` in it.
fn refused(args: &[&str], needle: &str) {
    let ran = untold(args);
    assert_eq!(ran.status, 2, "{args:?}: {ran:?}");
    assert_eq!(ran.stdout, "", "{args:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {}", ran.stderr);
    assert!(
        ran.stderr.starts_with("untold: "),
        "{args:?}: {}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains(needle),
        "{args:?}: {} lacks {needle}",
        ran.stderr
    );
    ran.assert_tells_nothing();
}

#[test]
fn usage_that_makes_no_sense_is_refused() {
    for (args, needle) in [
        (&[][..], "no command given"),
        (&["frobnicate"], "frobnicate"),
        (&["run"], "nothing to run"),
        (&["run", "--"], "nothing to run"),
        (&["replay"], "CAPTURE"),
        (&["inspect", "--hash-key", "abc"], "64 hex digits"),
        (&["inspect", "--to", "host:port"], "port"),
        (&["inspect", "--no-such-option"], "--no-such-option"),
        (&["replay", "--ask", "c.pcap"], "--ask"),
    ] {
        refused(args, needle);
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let folder = Folder::new();
    let (missing, good) = (folder.path("missing"), folder.file("data", "x"));
    for args in [
        &["replay", &missing][..],
        &["inspect", &missing],
        &["inspect", "--identity", &missing, &good],
        &["inspect", "--policy", &missing, &good],
        &["run", "--policy", &missing, "--", "true"],
    ] {
        refused(args, &format!("{missing}: no such file or directory"));
    }
    refused(&["replay", &folder.path("")], "directory");
    refused(&["inspect", &folder.path("")], "directory");
}

#[test]
fn a_wrong_policy_is_refused_with_its_place() {
    let folder = Folder::new();
    let data = folder.file("data", "x");
    for (text, place) in [
        ("[default]\nleek = \"block\"\n", ":2:1: "),
        ("[default]\nleak = \"shred\"\n", ":2:8: "),
        ("[[rule]]\nto = \"a..b\"\naction = \"allow\"\n", ":2:"),
        (
            "[[rule]]\nto = \"192.0.2.0/33\"\naction = \"allow\"\n",
            ":2:",
        ),
        (
            "[[rule]]\nnetwork = \"mobile\"\naction = \"allow\"\n",
            "not supported yet",
        ),
        ("this is not toml\n", ":1:"),
        (
            "[[list]]\nname = \"ads\"\nsource = \"no-such-list\"\naction = \"block\"\n",
            ":3:",
        ),
    ] {
        let policy = folder.file("policy.toml", text);
        refused(&["inspect", "--policy", &policy, &data], &policy);
        refused(&["inspect", "--policy", &policy, &data], place);
    }
    let policy = folder.file("policy.toml", b"[default]\n# caf\xe9\n");
    refused(
        &["inspect", "--policy", &policy, &data],
        ":2:6: this is not UTF-8 text",
    );
}

#[test]
fn a_wrong_identifier_is_refused_without_being_quoted() {
    let folder = Folder::new();
    let data = folder.file("data", "x");
    for (text, place) in [
        ("imei = \"490154203237519\"\n", ":1:"),
        ("imei = \"4901542032\"\n", ":1:"),
        ("\nwifi_mac = \"02:00:5e:10:00\"\n", ":2:"),
        ("imie = \"490154203237518\"\n", ":1:1: "),
        ("imei = [490154203237518, true]\n", ":1:"),
    ] {
        let identity = folder.file("identity.toml", text);
        refused(&["inspect", "--identity", &identity, &data], place);
        let ran = untold(&["inspect", "--identity", &identity, &data]);
        for value in ["490154203237519", IMEI, "4901542032", "02:00:5e:10:00"] {
            assert!(!ran.stderr.contains(value), "{}", ran.stderr);
        }
    }
}

#[test]
fn captures_that_are_cut_off_or_none_are_refused_with_the_byte() {
    let folder = Folder::new();
    let whole = capture::pcap(&capture::connection(
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        1_000,
    ));
    for (name, content, needle) in [
        ("empty.pcap", &b""[..], "empty"),
        ("text.pcap", b"not a capture at all", "byte 0"),
        ("header.pcap", &whole[..20], "byte"),
    ] {
        refused(&["replay", &folder.file(name, content)], needle);
    }
    let cut = folder.file("cut.pcap", &whole[..whole.len() - 7]);
    let ran = untold(&["replay", "--json", &cut]);
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.stderr
            .lines()
            .filter(|line| line.contains("cut.pcap: byte "))
            .count(),
        1
    );
    assert!(
        ran.events().iter().any(|event| event["event"] == "flow"),
        "what was whole counts"
    );
}

#[test]
fn nothing_is_written_before_all_input_is_good() {
    let folder = Folder::new();
    let (identity, events) = (folder.file("i.toml", IDENTITY), folder.path("events"));
    refused(
        &[
            "inspect",
            "--identity",
            &identity,
            "--events",
            &events,
            &folder.path("missing"),
        ],
        "missing",
    );
    refused(
        &[
            "replay",
            "--identity",
            &identity,
            "--events",
            &events,
            &folder.path("missing"),
        ],
        "missing",
    );
    assert!(!Path::new(&events).exists());
    let nowhere = folder.path("no-such-folder/events");
    refused(
        &[
            "inspect",
            "--identity",
            &identity,
            "--events",
            &nowhere,
            &identity,
        ],
        &nowhere,
    );
    fs::create_dir(folder.path("folder")).unwrap();
    let directory = folder.path("folder");
    refused(
        &[
            "inspect",
            "--identity",
            &identity,
            "--events",
            &directory,
            &identity,
        ],
        "directory",
    );
}

#[test]
fn a_datagram_has_its_size() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let long = folder.file("long", vec![b'x'; 65_508]);
    refused(
        &["inspect", "--identity", &identity, "--proto", "udp", &long],
        "65507",
    );
}
