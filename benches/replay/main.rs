//! Replaying a large capture: `cargo bench --bench replay [-- MEGABYTES]`. The capture is made once, under target/.
//!
//! The mark to beat: half the speed at which reading the file and searching its bytes alone would go.

mod traffic;

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use untold::{
    Config, Detector, Identity, Policy, Rules,
    engine::{
        capture::Replay,
        recording::{Note, Rerun},
    },
    io::pcap::{Item, Reader},
};

fn main() {
    let words = std::env::args().skip(1);
    let megabytes: u64 = words
        .filter_map(|word| word.parse().ok())
        .next()
        .unwrap_or(1024);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let capture = folder.join(format!("replay-{megabytes}.pcap"));
    let recording = folder.join(format!("replay-{megabytes}.pcapng"));
    if !capture.exists() || !recording.exists() {
        println!("making {megabytes} MB of traffic");
        traffic::write(megabytes * 1_000_000, &capture, &recording);
    }
    let identity = folder.join("replay-identity.toml");
    std::fs::write(&identity, IDENTITY).expect("the target folder takes files");
    let rules = rules();

    // Once for the page cache.
    time(&capture, read);
    time(&recording, read);
    let alone = time(&capture, read) + time(&capture, |path| search(path, &rules.detector));
    for (what, path, run) in [
        ("read", &capture, &read as &dyn Fn(&Path)),
        ("search, by packet", &capture, &|path: &Path| {
            search(path, &rules.detector)
        }),
        ("packets", &capture, &packets),
        ("packets of the recording", &recording, &packets),
        ("replay", &capture, &|path: &Path| replay(path, &rules)),
        ("replay of the recording", &recording, &|path: &Path| {
            rerun(path, &rules)
        }),
        ("untold replay", &capture, &|path: &Path| {
            program(path, &identity)
        }),
        (
            "untold replay, of the recording",
            &recording,
            &|path: &Path| program(path, &identity),
        ),
    ] {
        let took = (0..3).map(|_| time(path, run)).min().unwrap_or_default();
        let bytes = path.metadata().expect("it was written").len() as f64;
        println!(
            "{what:<32} {:>7.2} s {:>8.0} MB/s {:>6.2} × read and search alone",
            took.as_secs_f64(),
            bytes / took.as_secs_f64() / 1e6,
            took.as_secs_f64() / alone.as_secs_f64()
        );
    }
}

fn time(path: &Path, run: impl Fn(&Path)) -> Duration {
    let started = Instant::now();
    run(path);
    started.elapsed()
}

fn read(path: &Path) {
    let mut file = File::open(path).expect("it was written");
    let mut buffer = vec![0; 256 * 1024];
    while file.read(&mut buffer).expect("a file can be read") > 0 {}
}

/// Every payload byte of the file, whichever way it went, in the pieces that packets are.
fn search(path: &Path, detector: &Detector) {
    let mut file = File::open(path).expect("it was written");
    let mut buffer = vec![0; 256 * 1024];
    let mut hits = Vec::new();
    loop {
        let len = file.read(&mut buffer).expect("a file can be read");
        if len == 0 {
            return;
        }
        for piece in buffer[..len].chunks(1_460) {
            hits.clear();
            detector.search(piece, 0, &mut hits);
        }
    }
}

fn open(path: &Path) -> Reader<File> {
    Reader::new("capture", File::open(path).expect("it was written")).expect("a capture")
}

fn packets(path: &Path) {
    let mut reader = open(path);
    while reader.packet().expect("a whole capture").is_some() {}
}

fn replay(path: &Path, rules: &Rules) {
    let (mut reader, mut replay) = (open(path), Replay::new(rules.clone(), None, 0));
    while let Some(packet) = reader.packet().expect("a whole capture") {
        replay.packet(packet.ip, packet.time, packet.time.as_secs());
        while replay.poll_event().is_some() {}
    }
    replay.finish();
}

fn rerun(path: &Path, rules: &Rules) {
    let mut reader = open(path);
    let mut rerun = None;
    while let Some(item) = reader.item().expect("a whole recording") {
        match (item, &mut rerun) {
            (Item::Note(_, Note::Start(start)), _) => {
                rerun = Some(Rerun::new(&start, rules.clone(), 0));
            }
            (Item::Note(at, note), Some(rerun)) => rerun.note(&note, at),
            (Item::Packet(packet), Some(rerun)) => {
                rerun.packet(packet.ip, packet.outbound == Some(true), packet.time);
                while rerun.poll_event().is_some() {}
            }
            (_, None) => panic!("a recording begins with a start"),
        }
    }
}

fn program(path: &Path, identity: &PathBuf) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_untold"));
    command
        .args(["replay", "--json", "--identity"])
        .arg(identity)
        .arg(path);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(
        status
            .expect("the program starts")
            .code()
            .is_some_and(|code| code < 2)
    );
}

fn rules() -> Rules {
    let identity = Identity::parse("identity.toml", IDENTITY).expect("good values");
    let config = Config::parse("policy.toml", "").expect("a good policy");
    Rules {
        detector: Arc::new(Detector::new(&identity, &[0; 32])),
        policy: Arc::new(Policy::new(config, Vec::new()).expect("a good policy")),
    }
}

const IDENTITY: &str = "imei = [\"490154203237518\", \"356938035643809\"]\nimsi = \"001010123456789\"\n\
    iccid = \"8946001234567890124\"\nwifi_mac = \"02:00:5e:10:3f:a7\"\nandroid_id = \"9774d56d682e549c\"\n\
    advertising_id = \"38400000-8cf0-11bd-b23e-10b96e40000d\"\nphone = \"+4799900123\"\n\
    email = \"kari.nordmann@mail.example\"\n";
