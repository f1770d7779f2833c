//! What is said of good input: verdicts, statuses, JSON, and no identifier in clear.

use std::fs;

use crate::{
    capture,
    harness::{Folder, IDENTITY, IMEI, MAC, assert_tells_nothing, untold, untold_with},
};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const APPROVES: &str =
    "[[rule]]\nto = \"collector.example\"\nsends = [\"imei\"]\naction = \"allow\"\n";

#[test]
fn help_names_every_command_and_the_exit_statuses() {
    let ran = untold(&["--help"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    for word in ["demo", "run", "replay", "inspect", "Exit status:"] {
        assert!(ran.stdout.contains(word), "{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("demo-client"), "{}", ran.stdout);
    for command in ["demo", "run", "replay", "inspect"] {
        let ran = untold(&[command, "--help"]);
        assert!(
            ran.status == 0 && ran.stdout.contains("Usage: untold "),
            "{}",
            ran.stdout
        );
        assert!(
            ran.stdout.lines().all(|line| line.chars().count() <= 100),
            "{}",
            ran.stdout
        );
    }
    assert_eq!(
        untold(&["--version"]).stdout,
        concat!("untold ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn an_identifier_that_nobody_approved_makes_the_status_1() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let sent = capture::request(&format!("{{\"imei\":\"{IMEI}\"}}"));
    let ran = untold_with(
        &[
            "inspect",
            "--identity",
            &identity,
            "--to",
            "collector.example",
            "--json",
            "--hash-key",
            KEY,
        ],
        &sent,
    );
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""));
    let findings = ran.findings();
    assert_eq!(findings.len(), 1, "{}", ran.stdout);
    let finding = &findings[0];
    for (field, value) in [
        ("kind", "imei"),
        ("confidence", "exact"),
        ("spelling", "plain"),
        ("last4", "7518"),
        ("at", "body"),
        ("verdict", "block"),
        ("rule", "default.leak"),
        ("name", "collector.example"),
    ] {
        assert_eq!(finding[field], value, "{finding}");
    }
    assert_eq!(finding["chain"], serde_json::json!(["base64", "json"]));
    assert_eq!(finding["approved"], false);
    assert!(
        finding["hash"].as_str().unwrap().starts_with("k1:"),
        "{finding}"
    );
    let events = ran.events();
    let flow = events.last().unwrap();
    assert_eq!(
        (&flow["event"], &flow["bytes_out"]),
        (&"flow".into(), &0.into()),
        "{flow}"
    );
    ran.assert_tells_nothing();
}

#[test]
fn an_approved_identifier_passes_with_status_0() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let policy = folder.file("p.toml", APPROVES);
    let sent = capture::request(&format!("{{\"imei\":\"{IMEI}\"}}"));
    let run = |to: &str| {
        let args = [
            "inspect",
            "--identity",
            &identity,
            "--policy",
            &policy,
            "--to",
            to,
            "--json",
        ];
        untold_with(&args, &sent)
    };
    let ran = run("collector.example");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.findings()[0]["rule"], "rule.1");
    assert_eq!(ran.events().last().unwrap()["bytes_out"], sent.len());
    assert_eq!(
        run("other.example").status,
        1,
        "the approval is for one destination"
    );
}

#[test]
fn clean_input_has_status_0_and_no_finding() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    // One digit off.
    let ran = untold_with(
        &["inspect", "--identity", &identity, "--json"],
        b"imei=490154203237510&x=1",
    );
    assert_eq!((ran.status, ran.findings().len()), (0, 0), "{ran:?}");
}

#[test]
fn a_datagram_is_inspected_whole() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let args = [
        "inspect",
        "--identity",
        &identity,
        "--proto",
        "udp",
        "--to",
        "192.0.2.1:5683",
        "--json",
    ];
    let ran = untold_with(&args, format!("\x01\x02 {MAC} \x03").as_bytes());
    assert_eq!(
        (ran.status, &ran.findings()[0]["at"]),
        (1, &"datagram".into()),
        "{ran:?}"
    );
    ran.assert_tells_nothing();
}

#[test]
fn replay_judges_a_capture_as_inspect_judges_its_bytes() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let sent = capture::request(&format!("{{\"imei\":\"{IMEI}\",\"mac\":\"{MAC}\"}}"));
    let inspected = untold_with(
        &[
            "inspect",
            "--identity",
            &identity,
            "--json",
            "--hash-key",
            KEY,
        ],
        &sent,
    );
    let strip = |events: Vec<serde_json::Value>| -> Vec<serde_json::Value> {
        let fields = [
            "kind", "chain", "spelling", "last4", "hash", "at", "offset", "verdict", "rule",
        ];
        let keep =
            |event: &serde_json::Value| fields.iter().map(|field| event[field].clone()).collect();
        events.iter().map(keep).collect()
    };
    for size in [1, 7, 76, 1_460] {
        let capture = folder.file("c.pcap", capture::pcap(&capture::connection(&sent, size)));
        let ran = untold(&[
            "replay",
            "--identity",
            &identity,
            "--json",
            "--hash-key",
            KEY,
            &capture,
        ]);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert_eq!(
            strip(ran.findings()),
            strip(inspected.findings()),
            "segments of {size}"
        );
        ran.assert_tells_nothing();
    }
}

#[test]
fn several_captures_are_told_in_order_and_each_flow_once() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let clean = capture::pcap(&capture::connection(
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        999,
    ));
    let leak = capture::pcap(&capture::connection(
        &capture::request(&format!("\"{IMEI}\"")),
        999,
    ));
    let (clean, leak) = (folder.file("a.pcap", clean), folder.file("b.pcap", leak));
    let ran = untold(&["replay", "--identity", &identity, "--json", &clean, &leak]);
    let verdicts: Vec<_> = ran
        .events()
        .iter()
        .filter(|event| event["event"] == "flow")
        .map(|event| event["verdict"].clone())
        .collect();
    assert_eq!(
        (ran.status, verdicts),
        (1, vec!["allow".into(), "block".into()]),
        "{ran:?}"
    );
}

#[test]
fn people_get_one_line_a_finding_and_a_summary() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let sent = capture::request(&format!("{{\"imei\":\"{IMEI}\",\"mac\":\"{MAC}\"}}"));
    let ran = untold_with(
        &[
            "inspect",
            "--identity",
            &identity,
            "--to",
            "collector.example:80",
        ],
        &sent,
    );
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.stdout);
    assert!(
        lines[0].contains("blocked") && lines[0].contains("…7518"),
        "{}",
        lines[0]
    );
    assert!(lines[0].contains("base64, then JSON") && lines[0].contains("collector.example:80"));
    assert_eq!(lines[0].find('→'), lines[1].find('→'), "{}", ran.stdout);
    assert_eq!(lines[2], "1 flow (1 blocked), 2 findings: 2 blocked");
    assert!(!ran.stdout.contains('\x1b'), "no colour without a terminal");
    ran.assert_tells_nothing();
}

#[test]
fn events_go_to_the_file_that_was_named() {
    let folder = Folder::new();
    let (identity, events) = (folder.file("i.toml", IDENTITY), folder.path("events.jsonl"));
    let sent = capture::request(&format!("\"{IMEI}\""));
    let ran = untold_with(
        &["inspect", "--identity", &identity, "--events", &events],
        &sent,
    );
    assert!(
        ran.stdout.contains("1 finding"),
        "people are told all the same: {ran:?}"
    );
    let written = fs::read_to_string(&events).unwrap();
    assert!(
        written
            .lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    assert_eq!(written.lines().count(), 2, "{written}");
    assert_tells_nothing(&written);
    let quiet = untold_with(
        &[
            "inspect",
            "--identity",
            &identity,
            "--events",
            &events,
            "--json",
        ],
        &sent,
    );
    assert_eq!((quiet.stdout.as_str(), quiet.status), ("", 1));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let sent = folder.file("sent", capture::request(&format!("\"{IMEI}\"")));
    let script = format!(
        "{} inspect --json --identity {identity} {sent}; echo $? >&2",
        crate::harness::UNTOLD
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &format!("{{ {script}; }} | true")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr).trim(), "1");
}

#[test]
fn megabytes_of_one_side_are_read_within_the_hold() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let mut sent = format!(
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n",
        8 << 20
    )
    .into_bytes();
    sent.resize(sent.len() + (8 << 20), b'.');
    let total = sent.len();
    sent[total - 40..total - 25].copy_from_slice(IMEI.as_bytes());
    let ran = untold_with(&["inspect", "--identity", &identity, "--json"], &sent);
    assert_eq!((ran.status, ran.findings().len()), (1, 1), "{}", ran.stdout);
}

#[test]
fn a_rule_on_an_app_counts_for_the_app_that_was_named() {
    let folder = Folder::new();
    let policy = folder.file(
        "p.toml",
        "[[rule]]\napp = \"com.example.spy\"\naction = \"block\"\n",
    );
    let sent = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let capture = folder.file("c.pcap", capture::pcap(&capture::connection(sent, 99)));
    for (app, verdict) in [("com.example.spy", "block"), ("com.example.other", "allow")] {
        for args in [["replay", &capture], ["inspect", &capture]] {
            let ran = untold(&[
                args[0], "--policy", &policy, "--app", app, "--json", args[1],
            ]);
            let events = ran.events();
            let flow = events
                .iter()
                .find(|event| event["event"] == "flow")
                .unwrap();
            assert_eq!(
                (&flow["verdict"], &flow["app"]),
                (&verdict.into(), &app.into()),
                "{args:?}"
            );
        }
    }
}

#[test]
fn hashes_compare_between_runs_only_with_a_key() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let hash = |key: Option<&str>| {
        let mut args = vec!["inspect", "--identity", &identity, "--json"];
        args.extend(key.into_iter().flat_map(|key| ["--hash-key", key]));
        untold_with(&args, IMEI.as_bytes()).findings()[0]["hash"].clone()
    };
    assert_eq!(hash(Some(KEY)), hash(Some(KEY)));
    assert_ne!(hash(None), hash(None));
}
