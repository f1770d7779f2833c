//! Whose a flow is: rules on `app`, end to end.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{TcpStream, UdpSocket},
    process::{Command, Output},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use serde_json::Value;
use untold::{event::Proto, io::FindOwner, wire::Pair};

use crate::{
    ns::{self, Namespace, alone, alone_with},
    program::{POLICY, PROGRAM, attach, finish, interrupt, text, write_files},
    server::{self, Echo, Server, eventually},
    world::{Setup, World, internet},
};

#[test]
fn a_rule_on_an_executable_decides_for_it_alone() {
    alone_with(&["curl", PYTHON], || {
        let (_relay, server, _link) = internet(None);
        let _web4 = Server::start(&server, "203.0.113.9:80", server::http);
        let _web6 = Server::start(&server, "[2001:db8::9]:80", server::http);
        let script = format!(
            "{FETCH} http://203.0.113.9/ || echo curl4 refused\n{FETCH} http://[2001:db8::9]/ || echo curl6 refused\n\
             {PYTHON} -c 'import socket; socket.create_connection((\"203.0.113.9\", 80))' 2>&-|| echo python refused\n"
        );
        let curl = executable("curl");
        for app in ["curl", &curl] {
            // Everything but the program of the rule, and nothing but it.
            for (default, action) in [("block", "allow"), ("allow", "block")] {
                let policy = format!("{}{}", connections(default), rule(app, action));
                let (events, said) = run(&policy, &["sh", "-c", &script]);
                let refused = |who: &str| said.contains(&format!("{who} refused"));
                let told = format!("{policy}{said}");
                assert_eq!(refused("curl4"), action == "block", "{told}");
                assert_eq!(refused("curl6"), action == "block", "{told}");
                assert_eq!(refused("python"), default == "block", "{told}");
                let python = base(&executable(PYTHON));
                assert_eq!(verdicts(&events, "curl"), [action; 2], "{told}");
                assert_eq!(verdicts(&events, &python), [default], "{told}");
            }
        }
    });
}

#[test]
fn datagrams_have_owners() {
    alone_with(&[PYTHON], || {
        let (_relay, server, _link) = internet(None);
        let _echo4 = Echo::start(&server, "203.0.113.9:7");
        let _echo6 = Echo::start(&server, "[2001:db8::9]:7");
        let script = "import socket
def send(family, to, connected):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(20)
    if connected:
        s.connect((to, 7))
        s.send(b'hello')
    else:
        s.sendto(b'hello', (to, 7))
    print(to, s.recv(9).decode())
for connected in (False, True):
    send(socket.AF_INET, '203.0.113.9', connected)
    send(socket.AF_INET6, '2001:db8::9', connected)
    send(socket.AF_INET6, '::ffff:203.0.113.9', connected)
";
        let python = base(&executable(PYTHON));
        let policy = format!("{}{}", connections("block"), rule(&python, "allow"));
        let (events, said) = run(&policy, &[PYTHON, "-c", script]);
        assert_eq!(said.matches("hello").count(), 6, "{said}");
        assert_eq!(verdicts(&events, &python), ["allow"; 6], "{said}");
    });
}

#[test]
fn a_rule_on_a_user_counts_for_whoever_became_it() {
    alone_with(&["curl", "setpriv"], || {
        let (_relay, server, _link) = internet(None);
        let _web = Server::start(&server, "203.0.113.9:80", server::http);
        let script = format!(
            "{FETCH} http://203.0.113.9/ && echo root passed\n{AS_ANOTHER} {FETCH} http://203.0.113.9/ && echo other passed\n"
        );
        for (uid, passes) in [("uid:12345", "other"), ("uid:0", "root")] {
            let policy = format!("{}{}", connections("block"), rule(uid, "allow"));
            let (events, said) = run(&policy, &["sh", "-c", &script]);
            for who in ["root", "other"] {
                let passed = said.contains(&format!("{who} passed"));
                assert_eq!(passed, who == passes, "{uid}: {said}");
            }
            let mut verdicts = verdicts(&events, "curl");
            verdicts.sort_unstable();
            assert_eq!(verdicts, ["allow", "block"], "{uid}: {said}");
        }
    });
}

#[test]
fn one_port_on_two_addresses_has_two_owners() {
    alone_with(&[PYTHON, "setpriv"], || {
        let (_relay, server, _link) = internet(None);
        let echo = Echo::start(&server, "203.0.113.9:7");
        let send = |address: &str| {
            format!(
                "{PYTHON} -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((\"{address}\", 40000))
open(\"/run/shared/{address}\", \"w\").close()
import os
until = time.time() + 20
while len(os.listdir(\"/run/shared\")) < 2 and time.time() < until: time.sleep(0.01)
s.settimeout(2)
s.sendto(b\"{address}\", (\"203.0.113.9\", 7))
try: s.recv(99)
except OSError: pass
else: print(\"{address} passed\")
'"
            )
        };
        let script = format!(
            "ip addr add 198.18.0.6/32 dev untold0\n{} &\n{AS_ANOTHER} {}\nwait\n",
            send("198.18.0.2"),
            send("198.18.0.6")
        );
        for (uid, passes) in [("uid:0", "198.18.0.2"), ("uid:12345", "198.18.0.6")] {
            let _ = fs::remove_dir_all("/run/shared");
            ns::run("mkdir", &["-m", "0777", "/run/shared"]);
            let policy = format!("{}{}", connections("block"), rule(uid, "allow"));
            let (_, said) = run(&policy, &["sh", "-c", &script]);
            for address in ["198.18.0.2", "198.18.0.6"] {
                let passed = said.contains(&format!("{address} passed"));
                assert_eq!(passed, address == passes, "{uid}: {said}");
            }
        }
        let seen: Vec<_> = echo.seen().into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(seen, [&b"198.18.0.2"[..], b"198.18.0.6"]);
    });
}

#[test]
fn who_is_gone_at_once_is_known_or_unknown_and_never_somebody_else() {
    alone_with(&["bash"], || {
        let (_relay, server, _link) = internet(None);
        let _echo = Echo::start(&server, "203.0.113.9:7");
        let script = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do bash -c 'echo $0 >/dev/udp/203.0.113.9/7' $n; done; sleep 0.3";
        let (events, said) = run(&rule("bash", "block"), &["sh", "-c", script]);
        let flows = flows(&events);
        assert_eq!(flows.len(), 12, "{said}");
        for flow in flows {
            match flow["app"].as_str() {
                // Its socket, at least, was still there.
                Some("bash") => assert_eq!(flow["verdict"], "block"),
                Some(name) => assert_eq!((name, &flow["verdict"]), ("uid:0", &"allow".into())),
                None => assert_eq!(flow["verdict"], "allow"),
            }
        }
    });
}

#[test]
fn a_person_without_rights_has_owners_too() {
    alone_with(&["curl", "setpriv", "mknod"], || {
        let (_relay, server, _link) = internet(None);
        let _web = Server::start(&server, "203.0.113.9:80", server::http);
        ns::run("mknod", &["/run/tun", "c", "10", "200"]);
        ns::run("chmod", &["0666", "/run/tun"]);
        ns::run("mount", &["--bind", "/run/tun", "/dev/net/tun"]);
        for app in ["curl", "uid:12345"] {
            write_files(&format!("{}{}", connections("block"), rule(app, "allow")));
            let words = format!(
                "{AS_ANOTHER} {PROGRAM} run --json --policy {POLICY} -- {FETCH} http://203.0.113.9/"
            );
            let mut words = words.split(' ');
            let mut command = Command::new(words.next().expect("there are words"));
            command.args(words);
            let ended = finish(command);
            assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
            assert_eq!(verdicts(&events(&ended), "curl"), ["allow"]);
        }
    });
}

#[test]
fn an_unknown_owner_matches_no_rule() {
    alone(|| {
        let (relay, server, _link) = internet(None);
        let web = Server::start(&server, "203.0.113.9:7", server::echo);
        let echo = Echo::start(&server, "203.0.113.9:7");
        let app = Namespace::new("app");
        for (default, action) in [("block", "allow"), ("allow", "block")] {
            write_files(&format!(
                "{}{}",
                connections(default),
                rule("uid:0", action)
            ));
            relay.ip("tuntap add dev gate0 mode tun");
            let mut gate = attach(&["--policy", POLICY]);
            app.take("gate0");
            app.ip("addr add 10.0.0.2/24 dev gate0");
            app.ip("link set gate0 up");
            app.ip("route add default dev gate0");
            let stream = app.run(|| TcpStream::connect(web.address));
            assert_eq!(stream.is_ok(), default == "allow", "{stream:?}");
            // One of the same port in our own namespace, that is bound to no address, must not be taken for it.
            let socket = app
                .run(|| UdpSocket::bind("10.0.0.2:0"))
                .expect("it is the app's");
            let port = socket.local_addr().expect("it is bound").port();
            let _decoy = UdpSocket::bind(("0.0.0.0", port)).expect("the port is free here");
            let before = echo.seen().len();
            socket
                .set_read_timeout(Some(Duration::from_secs(2)))
                .expect("a socket option");
            socket.connect(echo.address).expect("a route leads there");
            let _ = socket.send(b"whose is it");
            let answered = socket.recv(&mut [0; 99]);
            assert_eq!(answered.is_ok(), default == "allow", "{answered:?}");
            assert_eq!(echo.seen().len() - before, usize::from(answered.is_ok()));
            assert_eq!(interrupt(&mut gate), Some(0));
            app.ip("link del gate0");
        }
    });
}

#[test]
fn an_attached_tun_knows_the_owners_of_its_own_namespace() {
    alone(|| {
        let (relay, server, _link) = internet(None);
        let echo = Server::start(&server, "203.0.113.9:7", server::echo);
        relay.ip("tuntap add dev gate0 mode tun");
        relay.ip("addr add 10.0.0.2/24 dev gate0");
        relay.ip("link set gate0 up");
        let exe = std::env::current_exe().expect("a running program has a path");
        let exe = exe.to_str().expect("it is a text");
        for (app, passes) in [(exe, true), ("uid:0", true), ("uid:12345", false)] {
            write_files(&format!("{}{}", connections("block"), rule(app, "allow")));
            let mut gate = attach(&["--policy", POLICY, "--bind-dev", "up0"]);
            relay.ip("route replace 203.0.113.0/24 dev gate0");
            let connected = TcpStream::connect(echo.address).and_then(|mut stream| {
                stream.write_all(b"echo")?;
                stream.read_exact(&mut [0; 4])
            });
            match connected {
                Ok(()) => assert!(passes, "{app}"),
                Err(error) => {
                    assert!(!passes, "{app}: {error}");
                    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                }
            }
            relay.ip("route del 203.0.113.0/24 dev gate0");
            assert_eq!(interrupt(&mut gate), Some(0));
        }
    });
}

#[test]
fn a_search_that_does_not_end_holds_up_nothing_but_its_flow() {
    alone(|| {
        let (tell, told) = channel();
        let mut world = World::new(Setup {
            policy: rule("uid:0", "block"),
            owners: Some(Box::new(Told(told))),
            ..Setup::default()
        });
        let echo = Server::start(&world.server, "203.0.113.9:7", server::echo);
        for _ in 0..3 {
            let mut stream = world
                .connect(echo.address)
                .expect("an unknown owner is let in");
            stream.write_all(b"echo").expect("the flow is open");
            stream.read_exact(&mut [0; 4]).expect("the echo answers");
        }
        assert!(eventually(|| echo.connections() == 3));
        // Whoever stops waits for a search that is under way: no callback comes after.
        drop(tell);
        world.stop();
    });
}

/// Finds an owner when it is told to.
struct Told(Receiver<()>);

impl FindOwner for Told {
    fn find(&mut self, _: Proto, _: Pair) -> Vec<Arc<str>> {
        let _ = self.0.recv();
        vec!["uid:0".into()]
    }
}

/// The events of a run, and all that was said.
fn run(policy: &str, command: &[&str]) -> (Vec<Value>, String) {
    write_files(policy);
    let mut program = Command::new(PROGRAM);
    program
        .args(["run", "--json", "--policy", POLICY, "--"])
        .args(command);
    let ended = finish(program);
    let said = format!("{}{}", text(&ended.stdout), text(&ended.stderr));
    (events(&ended), said)
}

fn events(ended: &Output) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    text(&ended.stdout).lines().map(parse).collect()
}

fn flows(events: &[Value]) -> Vec<&Value> {
    let flows = events.iter().filter(|event| event["event"] == "flow");
    flows.collect()
}

/// Verdicts on the flows of `app`, in order.
fn verdicts<'a>(events: &'a [Value], app: &str) -> Vec<&'a str> {
    let flows = flows(events).into_iter().filter(|flow| flow["app"] == app);
    flows.filter_map(|flow| flow["verdict"].as_str()).collect()
}

fn connections(action: &str) -> String {
    format!("[default]\nconnection = \"{action}\"\n")
}

fn rule(app: &str, action: &str) -> String {
    format!("[[rule]]\napp = \"{app}\"\naction = \"{action}\"\n")
}

/// The path of the file that runs as `program`.
fn executable(program: &str) -> String {
    let script = format!("readlink -f \"$(command -v {program})\"");
    let output = Command::new("sh").args(["-c", &script]).output();
    let output = output.expect("there is a shell");
    text(&output.stdout).trim().to_owned()
}

fn base(path: &str) -> String {
    path.rsplit('/').next().expect("it has parts").to_owned()
}

const PYTHON: &str = "/usr/bin/python3";
const FETCH: &str = "curl -sS -m 20 -o /dev/null";
const AS_ANOTHER: &str = "setpriv --reuid 12345 --regid 12345 --clear-groups";
