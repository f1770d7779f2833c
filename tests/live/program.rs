//! The program itself, end to end: `untold run` around programs that others wrote.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    noise::{Noise, digest},
    ns::{self, Namespace, alone, alone_with},
    peers::{download, upload},
    registration::{self, Breaks},
    resolver::Resolver,
    server::{self, Server, eventually},
    world::{UPSTREAM_RESOLVER, internet, name_the_resolver},
};

#[test]
fn run_stops_the_registration_of_a_program() {
    alone_with(&["curl"], || {
        let (_relay, server, _link) = internet(None);
        let collector = Server::start(&server, "203.0.113.9:80", server::collector);
        write_files("");
        let ended = untold(
            &["run", "--identity", IDENTITY, "--policy", POLICY, "--"],
            &CURL,
        );
        let told = text(&ended.stderr);
        assert_eq!(collector.bytes().len(), 0, "{told}");
        assert_eq!(ended.status.code(), Some(1), "{told}");
        assert!(told.contains("7518") && told.contains("imei"), "{told}");
        assert_silent(&ended);
    });
}

#[test]
fn run_lets_an_approved_registration_through_byte_for_byte() {
    alone_with(&["curl"], || {
        let (_relay, server, _link) = internet(None);
        let collector = Server::start(&server, "203.0.113.9:80", server::collector);
        write_files("[[rule]]\nto = \"203.0.113.9\"\nsends = [\"*\"]\naction = \"allow\"\n");
        let ended = untold(
            &["run", "--identity", IDENTITY, "--policy", POLICY, "--"],
            &CURL,
        );
        assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
        assert_eq!(
            text(&ended.stdout),
            r#"{"resultCode":"0","resultDesc":"Success"}"#
        );
        assert!(
            collector
                .bytes()
                .ends_with(&fs::read(BODY).expect("it was written"))
        );
        assert_silent(&ended);
    });
}

#[test]
fn runs_json_is_events_and_nothing_else() {
    alone_with(&["curl"], || {
        let (_relay, server, _link) = internet(None);
        let _collector = Server::start(&server, "203.0.113.9:80", server::collector);
        write_files("");
        let words = [
            "run",
            "--json",
            "--identity",
            IDENTITY,
            "--policy",
            POLICY,
            "--",
        ];
        let ended = untold(
            &words,
            &[
                "sh",
                "-c",
                &format!("echo said by the program; {}", CURL.join(" ")),
            ],
        );
        let said = text(&ended.stdout);
        let events: Vec<Value> = said
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
            })
            .collect();
        let imei = events
            .iter()
            .find(|event| event["kind"] == "imei")
            .expect("an IMEI is told");
        assert_eq!(
            (&imei["event"], &imei["verdict"], &imei["last4"]),
            (&"finding".into(), &"block".into(), &"7518".into())
        );
        assert_eq!(imei["dst"], "203.0.113.9:80");
        let flow = events
            .iter()
            .find(|event| event["event"] == "flow")
            .expect("a flow is told");
        assert_eq!(
            (&flow["verdict"], &flow["bytes_out"]),
            (&"block".into(), &0.into())
        );
        assert!(
            text(&ended.stderr).contains("said by the program"),
            "the program's own output moves to stderr"
        );
        assert_silent(&ended);
    });
}

#[test]
fn run_ends_as_its_command_does() {
    alone(|| {
        let (_relay, _server, _link) = internet(None);
        write_files("");
        for (command, status) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)] {
            let ended = untold(&["run", "--policy", POLICY, "--"], &["sh", "-c", command]);
            assert_eq!(
                ended.status.code(),
                Some(status),
                "{command}: {}",
                text(&ended.stderr)
            );
        }
    });
}

#[test]
fn run_judges_by_names_that_the_system_resolves() {
    alone_with(&["curl"], || {
        let (_relay, server, _link) = internet(None);
        name_the_resolver("203.0.113.53");
        let names = [
            ("bank.example", "203.0.113.9"),
            ("tracker.example", "203.0.113.9"),
        ];
        let _resolver = Resolver::start(&server, UPSTREAM_RESOLVER, &names, &[]);
        let web = Server::start(&server, "203.0.113.9:80", server::http);
        write_files("[[rule]]\nto = \"tracker.example\"\naction = \"block\"\n");
        let fetch = |host: &str| {
            untold(
                &["run", "--policy", POLICY, "--"],
                &["curl", "-sS", "-m", "10", &format!("http://{host}/")],
            )
        };
        let allowed = fetch("bank.example");
        assert_eq!(
            text(&allowed.stdout),
            digest(b""),
            "{}",
            text(&allowed.stderr)
        );
        let blocked = fetch("tracker.example");
        assert_eq!(
            blocked.status.code(),
            Some(6),
            "curl could not resolve it: {}",
            text(&blocked.stderr)
        );
        assert_eq!(web.connections(), 1);
    });
}

#[test]
fn run_works_for_a_person_without_rights() {
    alone_with(&["curl", "setpriv", "mknod"], || {
        let (_relay, server, _link) = internet(None);
        let collector = Server::start(&server, "203.0.113.9:80", server::collector);
        write_files("");
        ns::run("mknod", &["/run/tun", "c", "10", "200"]);
        ns::run("chmod", &["0666", "/run/tun"]);
        ns::run("mount", &["--bind", "/run/tun", "/dev/net/tun"]);
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            "12345",
            "--regid",
            "12345",
            "--clear-groups",
            PROGRAM,
        ]);
        command
            .args(["run", "--identity", IDENTITY, "--policy", POLICY, "--"])
            .args(CURL);
        let ended = finish(command);
        assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stderr));
        assert_eq!(collector.bytes(), b"");
        assert_silent(&ended);
    });
}

#[test]
fn an_attached_tun_serves_another_namespace() {
    alone(|| {
        let (relay, server, _link) = internet(None);
        let app = Namespace::new("app");
        let sink = Server::start(&server, "203.0.113.9:9", server::sink);
        let source = Server::start(&server, "203.0.113.9:19", server::source(4, 3 << 20));
        let collector = Server::start(&server, "203.0.113.9:80", server::collector);
        write_files("");
        relay.ip("tuntap add dev gate0 mode tun");
        let mut gate = attach(&["--identity", IDENTITY, "--policy", POLICY]);
        app.take("gate0");
        app.ip("addr add 10.0.0.2/24 dev gate0");
        app.ip("link set gate0 up");
        app.ip("route add default dev gate0");
        let connect = |to| {
            app.run(|| TcpStream::connect(to))
                .expect("the server listens")
        };
        upload(connect(sink.address), 3, 3 << 20);
        download(connect(source.address), 4, 3 << 20);
        assert_stopped(connect(collector.address));
        assert_eq!(collector.bytes(), b"");
        assert_eq!(
            interrupt(&mut gate),
            Some(1),
            "an identifier tried to leave"
        );
    });
}

#[test]
fn an_attached_tun_serves_its_own_namespace() {
    alone(|| {
        let (relay, server, _link) = internet(None);
        let echo = Server::start(&server, "203.0.113.9:7", server::echo);
        let collector = Server::start(&server, "203.0.113.9:80", server::collector);
        write_files("");
        relay.ip("tuntap add dev gate0 mode tun");
        relay.ip("addr add 10.0.0.2/24 dev gate0");
        relay.ip("link set gate0 up");
        // The program's own sockets: by device, then by mark.
        for keep_out in [["--bind-dev", "up0"], ["--mark", "77"]] {
            let mut gate =
                attach(&[&["--identity", IDENTITY, "--policy", POLICY][..], &keep_out].concat());
            if keep_out[0] == "--bind-dev" {
                relay.ip("route add 203.0.113.0/24 dev gate0");
            } else {
                relay.ip("rule add fwmark 77 lookup 77");
                relay.ip("route add default via 192.0.2.2 table 77");
            }
            let mut stream = TcpStream::connect(echo.address).expect("the echo listens");
            let bytes = Noise::new(5).bytes(10_000);
            stream.write_all(&bytes).expect("the flow is open");
            let mut answer = vec![0; bytes.len()];
            stream.read_exact(&mut answer).expect("the echo answers");
            assert_eq!(answer, bytes);
            assert_stopped(
                TcpStream::connect(collector.address).expect("a connection alone is allowed"),
            );
            assert_eq!(collector.bytes(), b"", "{keep_out:?}");
            assert_eq!(interrupt(&mut gate), Some(1), "{keep_out:?}");
        }
    });
}

/// Starts `untold run --tun gate0` and waits until it has attached, which the kernel tells in `fdinfo`.
pub fn attach(words: &[&str]) -> Child {
    let mut command = Command::new(PROGRAM);
    command
        .args(["run", "--tun", "gate0"])
        .args(words)
        .stdin(Stdio::null());
    let child = command.spawn().expect("the program starts");
    let folder = format!("/proc/{}/fdinfo", child.id());
    let holds_it = |file: fs::DirEntry| {
        fs::read_to_string(file.path()).is_ok_and(|info| info.contains("iff:\tgate0"))
    };
    let attached =
        || fs::read_dir(&folder).is_ok_and(|mut files| files.any(|file| file.is_ok_and(holds_it)));
    assert!(
        eventually(attached),
        "the program did not attach to its tun"
    );
    child
}

pub fn interrupt(child: &mut Child) -> Option<i32> {
    ns::run("kill", &["-INT", &child.id().to_string()]);
    child.wait().expect("it is our child").code()
}

fn assert_stopped(mut stream: TcpStream) {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket option");
    stream
        .write_all(&registration::request("collector.example", Breaks::Lf))
        .expect("the app's kernel takes it");
    let end = stream.read(&mut [0; 100]).expect_err("the flow is reset");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

/// Promise 6: what untold writes holds no registered value.
fn assert_silent(ended: &Output) {
    for (stream, bytes) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        let said = text(bytes).to_lowercase();
        for secret in registration::secrets() {
            assert!(
                !said.contains(&secret.to_lowercase()),
                "{stream} says a registered value in clear"
            );
        }
    }
}

fn untold(words: &[&str], command: &[&str]) -> Output {
    let mut program = Command::new(PROGRAM);
    program.args(words).args(command);
    finish(program)
}

pub fn finish(mut command: Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// The program and its files, where a person without rights can read them.
pub fn write_files(rules: &str) {
    let files = [
        (IDENTITY, registration::identity().into_bytes()),
        (POLICY, rules.as_bytes().to_vec()),
        (BODY, body()),
    ];
    for (file, bytes) in files {
        fs::write(file, bytes).expect("/run is ours");
    }
    fs::copy(env!("CARGO_BIN_EXE_untold"), PROGRAM).expect("/run is ours");
    ns::run("chmod", &["0755", "/run"]);
}

fn body() -> Vec<u8> {
    let request = registration::request("collector.example", Breaks::Lf);
    let head = request
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a head ends");
    request[head + 4..].to_vec()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub const PROGRAM: &str = "/run/untold";
const IDENTITY: &str = "/run/identity.toml";
pub const POLICY: &str = "/run/policy.toml";
const BODY: &str = "/run/body";
const CURL: [&str; 6] = [
    "curl",
    "-sS",
    "-m20",
    "--data-binary",
    "@/run/body",
    "http://203.0.113.9/",
];
