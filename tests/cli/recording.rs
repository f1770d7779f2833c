//! Recordings: written by `run`, read by `replay`.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::Command,
    thread,
    time::Duration,
};

use untold::{
    engine::recording::{Basis, Note, Start},
    io::{pcap::Writer, record::Record},
    wire::Pair,
};

use crate::{
    capture,
    harness::{
        EMAIL, Folder, IDENTITY, IMEI, MAC, Ran, assert_tells_nothing, command, isolated, untold,
    },
};

#[test]
fn a_recording_of_a_command_replays_and_holds_nothing_that_was_not_sent() {
    isolated(
        "recording::a_recording_of_a_command_replays_and_holds_nothing_that_was_not_sent",
        || {
            let address = server();
            let folder = Folder::new();
            let identity = folder.file("i.toml", IDENTITY);
            let policy = folder.file("p.toml", format!("# {EMAIL}, {MAC}\n"));
            let file = folder.path("r.pcapng");
            let key = "07".repeat(32);
            let rules = [
                "--identity",
                &identity,
                "--policy",
                &policy,
                "--hash-key",
                &key,
                "--json",
            ];
            let live = client(
                &address,
                "leak",
                &[&["--record", &file][..], &rules].concat(),
            );
            assert_eq!(live.status, 1, "{live:?}");
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "what is in it is its owner's alone");
            let again = untold(&[&["replay", &file][..], &rules].concat());
            assert_eq!((again.status, again.stderr.as_str()), (1, ""));
            assert!(!live.findings().is_empty());
            assert_eq!(live.findings(), again.findings());
            // The IMEI went out in base64 only; the address and the MAC only stand in the person's files.
            assert_tells_nothing(&String::from_utf8_lossy(&fs::read(&file).unwrap()));

            let other = untold(&["replay", &file, "--identity", &identity, "--json"]);
            assert_eq!(other.status, 1);
            assert_eq!(other.stderr.lines().count(), 1, "{}", other.stderr);
            assert!(
                other.stderr.contains("recorded under another policy"),
                "{}",
                other.stderr
            );
            assert_eq!(other.findings().len(), live.findings().len());
        },
    );
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_firewall() {
    isolated(
        "recording::a_full_disk_ends_the_recording_and_not_the_firewall",
        || {
            let address = server();
            let mount = ["-t", "tmpfs", "-o", "size=256k", "none", "/mnt"];
            assert!(
                Command::new("mount")
                    .args(mount)
                    .status()
                    .unwrap()
                    .success()
            );
            let ran = client(&address, "much", &["--record", "/mnt/r.pcapng", "--json"]);
            // The client fails unless the server has got everything.
            assert_eq!(ran.status, 0, "{ran:?}");
            let events = ran.events();
            let errors: Vec<_> = events
                .iter()
                .filter(|event| event["event"] == "error")
                .collect();
            assert_eq!(errors.len(), 1, "{errors:?}");
            let message = errors[0]["message"].as_str().unwrap();
            assert!(
                message.contains("recording") && message.contains("No space left"),
                "{message}"
            );
            let flow = events
                .iter()
                .find(|event| event["event"] == "flow")
                .unwrap();
            assert!(flow["bytes_out"].as_u64().unwrap() >= MUCH as u64, "{flow}");
            let replayed = untold(&["replay", "/mnt/r.pcapng", "--json"]);
            assert_eq!(
                replayed.status, 0,
                "it ends with a whole block: {replayed:?}"
            );
            let again = replayed.events();
            let again = again.iter().find(|event| event["event"] == "flow").unwrap();
            assert_eq!(again["dst"], flow["dst"]);
        },
    );
}

#[test]
fn where_a_recording_cannot_go_nothing_is_run() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let nowhere = folder.path("no-such-folder/r.pcapng");
    let words = ["run", "--identity", &identity, "--record", &nowhere];
    let ran = untold(&[&words[..], &["--", "true"]].concat());
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.stderr,
        format!("untold: {nowhere}: no such file or directory\n")
    );
}

#[test]
fn notes_and_blocks_that_are_not_known_are_passed_over() {
    let folder = Folder::new();
    let (identity, file) = (folder.file("i.toml", IDENTITY), folder.path("r.pcapng"));
    record(&file, Basis::default());
    let bytes = fs::read(&file).unwrap();
    let custom = |number: u32, text: &[u8]| {
        let len = (16 + text.len().next_multiple_of(4)) as u32;
        let mut block = [0x0badu32, len, number].map(u32::to_ne_bytes).concat();
        block.extend(text);
        block.resize(len as usize - 4, 0);
        block.extend(len.to_ne_bytes());
        block
    };
    let strange = [
        custom(32_473, br#"{"at":1,"note":"of a later version","x":[1]}"#),
        custom(32_473, b"not even JSON"),
        custom(32_473, b""),
        custom(1, br#"{"at":1,"note":"stop"}"#),
        // A block type that nobody has.
        [0x7777_0001u32, 12, 12].map(u32::to_ne_bytes).concat(),
    ];
    // Before the last block, which is where the engine stops.
    let last = bytes.len() - u32::from_ne_bytes(*bytes.last_chunk().unwrap()) as usize;
    let mixed = [&bytes[..last], &strange.concat(), &bytes[last..]].concat();
    let mixed = folder.file("mixed.pcapng", mixed);
    let args = |file: &str| {
        let words = ["replay", "--json", "--identity", &identity, file];
        untold(&[&words[..], &["--hash-key", &"00".repeat(32)]].concat())
    };
    let (plain, mixed) = (args(&file), args(&mixed));
    assert_eq!(plain.findings().len(), 1, "{plain:?}");
    assert_eq!((mixed.stdout, mixed.stderr), (plain.stdout, plain.stderr));
}

#[test]
fn a_recording_that_is_cut_off_counts_as_far_as_it_goes() {
    let folder = Folder::new();
    let (identity, file) = (folder.file("i.toml", IDENTITY), folder.path("r.pcapng"));
    record(&file, Basis::default());
    let bytes = fs::read(&file).unwrap();
    for cut in [1, 30] {
        let short = folder.file("short.pcapng", &bytes[..bytes.len() - cut]);
        let ran = untold(&["replay", "--json", "--identity", &identity, &short]);
        assert_eq!((ran.status, ran.findings().len()), (2, 1), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("short.pcapng: byte "), "{}", ran.stderr);
        assert!(ran.events().iter().any(|event| event["event"] == "flow"));
    }
}

#[test]
fn an_answer_and_an_owner_in_a_recording_count() {
    let folder = Folder::new();
    let (identity, file) = (folder.file("i.toml", IDENTITY), folder.path("r.pcapng"));
    record(&file, Basis::default());
    let policy = folder.file(
        "p.toml",
        "[[rule]]\napp = \"mail\"\nsends = [\"imei\"]\naction = \"allow\"\n",
    );
    let ran = untold(&[
        "replay",
        "--json",
        "--identity",
        &identity,
        "--policy",
        &policy,
        &file,
    ]);
    assert_eq!(
        (ran.status, &ran.findings()[0]["app"]),
        (0, &"mail".into()),
        "{ran:?}"
    );
    // The recorded engine had somebody to ask, who allowed it.
    let policy = folder.file("p.toml", "[default]\nleak = \"ask\"\n");
    let ran = untold(&[
        "replay",
        "--json",
        "--identity",
        &identity,
        "--policy",
        &policy,
        &file,
    ]);
    let kinds: Vec<_> = ran
        .events()
        .iter()
        .map(|event| event["event"].clone())
        .collect();
    assert_eq!(kinds, ["ask", "answer", "finding", "flow"], "{ran:?}");
    assert_eq!(
        (ran.status, &ran.findings()[0]["verdict"]),
        (0, &"allow".into())
    );
}

#[test]
fn rules_that_changed_while_recording_are_told() {
    let folder = Folder::new();
    let file = folder.path("r.pcapng");
    let basis = Basis {
        policy: Some("00".repeat(32)),
        ..Basis::default()
    };
    record(&file, basis);
    let ran = untold(&["replay", "--json", &file]);
    assert_eq!(ran.status, 0);
    assert!(
        ran.stderr
            .contains("recorded under another policy, and judged"),
        "{}",
        ran.stderr
    );
}

#[test]
fn several_captures_are_told_in_order_and_apart() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let leak = capture::request(&format!("{{\"imei\":\"{IMEI}\"}}"));
    let mut files = Vec::new();
    for number in 0..9 {
        // The first ones are the longest.
        let sent = [leak.repeat(2), vec![b'x'; 100_000 / (number + 1)]].concat();
        let file = capture::pcap(&capture::connection(&sent, 1_000));
        files.push(folder.file(&format!("{number}.pcap"), file));
    }
    let words = ["replay", "--json", "--identity", &identity];
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    let ran = untold(&[&words[..], &names].concat());
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""));
    let mut told: Vec<String> = Vec::new();
    for event in ran.events() {
        let capture = event["capture"]
            .as_str()
            .expect("each says which capture")
            .to_owned();
        if told.last() != Some(&capture) {
            told.push(capture);
        }
    }
    assert_eq!(told, files);
    let one = untold(&[&words[..], &names[..1]].concat());
    assert!(
        one.events()
            .iter()
            .all(|event| event.get("capture").is_none())
    );
    let of_first = ran
        .events()
        .into_iter()
        .filter(|event| event["capture"] == files[0]);
    assert_eq!(of_first.count(), one.events().len());

    let people = untold(&["replay", "--identity", &identity, names[0], names[1]]);
    let headings: Vec<_> = people
        .stdout
        .lines()
        .filter(|line| names.contains(line))
        .collect();
    assert_eq!(headings, names[..2], "{}", people.stdout);
}

#[test]
fn a_bad_capture_among_several_does_not_hide_the_others() {
    let folder = Folder::new();
    let identity = folder.file("i.toml", IDENTITY);
    let leak = capture::request(&format!("{{\"imei\":\"{IMEI}\"}}"));
    let whole = capture::pcap(&capture::connection(&leak, 1_000));
    let good = folder.file("good.pcap", &whole);
    let (one, other) = (
        folder.file("one.pcap", &whole[..whole.len() - 1]),
        folder.file("other.pcap", &whole[..60]),
    );
    let ran = untold(&[
        "replay",
        "--json",
        "--identity",
        &identity,
        &one,
        &other,
        &good,
    ]);
    assert_eq!(ran.status, 2);
    for name in ["one.pcap: byte", "other.pcap: byte"] {
        assert_eq!(ran.stderr.matches(name).count(), 1, "{}", ran.stderr);
    }
    let of_good = |event: &&serde_json::Value| event["capture"] == good.as_str();
    assert_eq!(ran.findings().iter().filter(of_good).count(), 1);
}

/// A recording of one request with an IMEI in it, as a live engine with a person at hand would have made it.
fn record(file: &str, basis: Basis) {
    let leak = capture::request(&format!("{{\"imei\":\"{IMEI}\"}}"));
    let mut writer = Writer::new(File::create(file).unwrap()).unwrap();
    writer.start(Start {
        version: env!("CARGO_PKG_VERSION").into(),
        began: Duration::new(1_700_000_000, 5),
        mtu: 1_500,
        queue: 500,
        dns: Vec::new(),
        resolvers: 0,
        can_ask: true,
        sockets: None,
        offload: false,
    });
    writer.note(Duration::ZERO, &Note::Rules(basis));
    let pair = Pair {
        src: "192.0.2.2:40000".parse().unwrap(),
        dst: "203.0.113.9:80".parse().unwrap(),
    };
    let (src, dst) = (pair.src, pair.dst);
    let at = |number: usize| Duration::from_millis(10 * number as u64 + 1);
    for (number, packet) in capture::connection(&leak, 1_000).into_iter().enumerate() {
        let outbound = packet[12..16] == [192, 0, 2, 2];
        if number == 1 {
            writer.note(
                at(0),
                &Note::owner(untold::event::Proto::Tcp, pair, vec!["mail".into()]),
            );
            writer.note(
                at(0),
                &Note::Connect {
                    src,
                    dst,
                    error: None,
                    proxy: None,
                },
            );
        }
        writer.packet(at(number), outbound, [&capture::summed(packet), &[]]);
        writer.commit().unwrap();
    }
    let answer = Note::Answer {
        flow: 1,
        verdict: untold::event::Action::Allow,
        scope: untold::event::Scope::Once,
    };
    writer.note(at(90), &answer);
    writer.note(at(100), &Note::Stop);
    writer.finish().unwrap();
}

/// Reads all that comes, and says how much it was.
fn server() -> String {
    let add = ["address", "add", "203.0.113.9/32", "dev", "lo"];
    assert!(Command::new("ip").args(add).status().unwrap().success());
    let listener = TcpListener::bind((Ipv4Addr::new(203, 0, 113, 9), 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = connection.set_read_timeout(Some(Duration::from_secs(20)));
                let _ = connection.read_to_end(&mut bytes);
                let _ = connection.write_all(bytes.len().to_string().as_bytes());
            });
        }
    });
    address
}

/// Runs [`client_of_a_recording`] under `untold run` with `options`.
fn client(address: &str, sends: &str, options: &[&str]) -> Ran {
    let output = command()
        .arg("run")
        .args(options)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "recording::client_of_a_recording"])
        .env(CLIENT, format!("{address} {sends}"))
        .output();
    output.unwrap().into()
}

#[test]
fn client_of_a_recording() {
    let Ok(told) = std::env::var(CLIENT) else {
        return;
    };
    let (address, sends) = told.split_once(' ').unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    let mut said = String::new();
    if sends == "leak" {
        let _ = connection.write_all(&capture::request(&format!("{{\"imei\":\"{IMEI}\"}}")));
        let _ = connection.read_to_string(&mut said);
    } else {
        connection.write_all(&vec![b'\n'; MUCH]).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        connection.read_to_string(&mut said).unwrap();
        assert_eq!(said, MUCH.to_string());
    }
}

const CLIENT: &str = "UNTOLD_TEST_RECORDED_CLIENT";
const MUCH: usize = 4 << 20;
