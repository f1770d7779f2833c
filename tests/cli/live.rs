//! Commands behind a live tun, each test in namespaces of its own.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    capture,
    harness::{
        Folder, IDENTITY, IMEI, Ran, UNTOLD, assert_tells_nothing, command, isolated, untold,
    },
};

/// A server outside the tun: gives each connection's bytes once it has ended.
fn collector() -> (u16, mpsc::Receiver<Vec<u8>>) {
    // Not loopback, which a namespace keeps to itself.
    let status = Command::new("ip")
        .args(["address", "add", "203.0.113.9/32", "dev", "lo"])
        .status();
    assert!(status.unwrap().success());
    let listener = TcpListener::bind((Ipv4Addr::new(203, 0, 113, 9), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            let _ = connection.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = connection.read_to_end(&mut bytes);
            let _ = sender.send(bytes);
        }
    });
    (port, receiver)
}

/// What a client does that was told to by [`client_to`].
#[test]
fn client() {
    let Ok(to) = std::env::var(CLIENT) else {
        return;
    };
    let mut connection = TcpStream::connect(to).unwrap();
    let _ = connection.write_all(&capture::request(&format!("{{\"imei\":\"{IMEI}\"}}")));
    let _ = connection.shutdown(std::net::Shutdown::Write);
    let _ = connection.read(&mut [0]);
}

/// Runs [`client`] under `untold run` with `options`.
fn client_to(port: u16, options: &[&str]) -> Ran {
    let output = command()
        .arg("run")
        .args(options)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "live::client", "--nocapture"])
        .env(CLIENT, format!("203.0.113.9:{port}"))
        .output();
    output.unwrap().into()
}

const CLIENT: &str = "UNTOLD_TEST_CLIENT";

#[test]
fn the_command_keeps_its_status_and_its_streams() {
    isolated("live::the_command_keeps_its_status_and_its_streams", || {
        let ran = untold(&["run", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (7, "out\n"));
        assert!(
            ran.stderr.contains("err\n") && ran.stderr.contains("0 flows"),
            "{}",
            ran.stderr
        );
        assert_eq!(
            untold(&["run", "--", "sh", "-c", "kill -9 $$"]).status,
            128 + 9
        );
        let ran = untold(&["run", "--json", "--", "sh", "-c", "echo out"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (0, ""));
        assert!(ran.stderr.contains("out\n"), "{}", ran.stderr);
        let folder = Folder::new();
        let ran = untold(&[
            "run",
            "--json",
            "--events",
            &folder.path("e"),
            "--",
            "sh",
            "-c",
            "echo out",
        ]);
        assert_eq!(ran.stdout, "out\n", "the events have a file of their own");
    });
}

#[test]
fn a_command_that_cannot_be_run_is_bad_input() {
    isolated("live::a_command_that_cannot_be_run_is_bad_input", || {
        let folder = Folder::new();
        let identity = folder.file("i.toml", IDENTITY);
        let plain = folder.file("plain", "no program");
        for (command, needle) in [
            ("no-such-command", "no such command"),
            (&plain, "permission denied"),
        ] {
            let ran = untold(&["run", "--identity", &identity, "--", command]);
            assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
            assert_eq!(ran.stderr, format!("untold: {command}: {needle}\n"));
        }
    });
}

#[test]
fn the_command_sees_a_network_of_its_own_and_its_own_resolver() {
    isolated(
        "live::the_command_sees_a_network_of_its_own_and_its_own_resolver",
        || {
            let before = fs::read("/etc/resolv.conf").unwrap();
            let script = "cat /etc/resolv.conf; ls /sys/class/net >/dev/null; cut -d: -f1 /proc/net/dev; id -u";
            let ran = untold(&["run", "--mtu", "1500", "--", "sh", "-c", script]);
            for line in ["nameserver 198.18.0.1", "untold0", "    lo"] {
                assert!(ran.stdout.contains(line), "{}", ran.stdout);
            }
            let ran = untold(&["run", "--mtu", "1500", "--", "ip", "address"]);
            for word in [
                "mtu 1500",
                "qlen 5000",
                "198.18.0.2/30",
                "fd75:6e74:6f6c:64::2/64",
            ] {
                assert!(ran.stdout.contains(word), "{}", ran.stdout);
            }
            assert!(
                !ran.stdout.contains("fe80") && !ran.stdout.contains("tentative"),
                "{}",
                ran.stdout
            );
            assert_eq!(
                fs::read("/etc/resolv.conf").unwrap(),
                before,
                "ours is a mount of the command's alone"
            );
        },
    );
}

#[test]
fn the_command_runs_as_whoever_called_sudo() {
    isolated("live::the_command_runs_as_whoever_called_sudo", || {
        let output = command()
            .args([
                "run",
                "--",
                "sh",
                "-c",
                "id -u; id -g; id -G; grep CapEff /proc/self/status",
            ])
            .env("SUDO_UID", "12345")
            .env("SUDO_GID", "23456")
            .output();
        let ran = Ran::from(output.unwrap());
        assert_eq!(
            ran.stdout, "12345\n23456\n23456\nCapEff:\t0000000000000000\n",
            "{ran:?}"
        );
    });
}

#[test]
fn a_user_needs_no_root_where_the_node_is_open_to_all() {
    isolated(
        "live::a_user_needs_no_root_where_the_node_is_open_to_all",
        || {
            let node = |mode: &str| {
                let script = format!(
                    "mount -t tmpfs none /dev/net && mknod -m {mode} /dev/net/tun c 10 200"
                );
                assert!(
                    Command::new("sh")
                        .args(["-c", &script])
                        .status()
                        .unwrap()
                        .success()
                );
            };
            // Where a user may read the binary, which need not be so in a build folder.
            let shared =
                "mount -t tmpfs none /mnt && cp \"$0\" /mnt/untold && chmod 755 /mnt/untold";
            assert!(
                Command::new("sh")
                    .args(["-c", shared, UNTOLD])
                    .status()
                    .unwrap()
                    .success()
            );
            let as_user = |script: &str| -> Ran {
                let command = [
                    "--reuid=12345",
                    "--regid=12345",
                    "--clear-groups",
                    "/mnt/untold",
                    "run",
                    "--",
                ];
                let output = Command::new("setpriv")
                    .args(command)
                    .args(["sh", "-c", script])
                    .current_dir("/")
                    // The caller's own home is closed to that user.
                    .env("XDG_CONFIG_HOME", "/nowhere")
                    .output();
                output.unwrap().into()
            };
            node("0666");
            let ran = as_user("id -u; head -1 /etc/resolv.conf; ip route show default; exit 5");
            assert_eq!(ran.status, 5, "{ran:?}");
            assert!(
                ran.stdout
                    .starts_with("12345\nnameserver 198.18.0.1\ndefault dev untold0"),
                "{ran:?}"
            );
            let demo = Command::new("setpriv")
                .args([
                    "--reuid=12345",
                    "--regid=12345",
                    "--clear-groups",
                    "/mnt/untold",
                    "demo",
                ])
                .output();
            let demo = Ran::from(demo.unwrap());
            assert!(
                demo.status == 0 && demo.stdout.contains("(live, "),
                "{demo:?}"
            );
            node("0600");
            let ran = as_user("true");
            assert!(
                ran.status == 3 && ran.stderr.contains("chmod 0666 /dev/net/tun"),
                "{ran:?}"
            );
        },
    );
}

#[test]
fn a_machine_without_tun_says_what_to_do() {
    isolated("live::a_machine_without_tun_says_what_to_do", || {
        let script = "mount -t tmpfs none /dev/net";
        assert!(
            Command::new("sh")
                .args(["-c", script])
                .status()
                .unwrap()
                .success()
        );
        let ran = untold(&["run", "--", "true"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (3, ""));
        assert!(
            ran.stderr.contains("mknod -m 0666 /dev/net/tun c 10 200"),
            "{}",
            ran.stderr
        );
        let ran = untold(&["run", "--tun", "no-such-tun"]);
        assert!(
            ran.status == 3 && ran.stderr.contains("ip tuntap add dev no-such-tun"),
            "{ran:?}"
        );
        let demo = untold(&["demo"]);
        assert_eq!(demo.status, 0, "{demo:?}");
        assert!(
            demo.stdout.contains("Not live:") && demo.stdout.contains("mknod"),
            "{}",
            demo.stdout
        );
    });
}

#[test]
fn a_leak_is_stopped_and_told_without_being_told() {
    isolated(
        "live::a_leak_is_stopped_and_told_without_being_told",
        || {
            let (port, received) = collector();
            let folder = Folder::new();
            let identity = folder.file("i.toml", IDENTITY);
            let ran = client_to(port, &["--identity", &identity, "--json"]);
            assert_eq!(ran.status, 1, "{ran:?}");
            let finding = &ran.findings()[0];
            assert_eq!(
                (&finding["kind"], &finding["verdict"]),
                (&"imei".into(), &"block".into()),
                "{finding}"
            );
            assert_eq!(finding["dst"], format!("203.0.113.9:{port}"));
            assert!(
                ran.events()
                    .iter()
                    .any(|event| event["event"] == "flow" && event["bytes_out"] == 0)
            );
            ran.assert_tells_nothing();
            assert_eq!(received.recv_timeout(Duration::from_secs(5)).unwrap(), b"");

            let policy = folder.file(
                "p.toml",
                "[[rule]]\nto = \"203.0.113.0/24\"\nsends = [\"imei\"]\naction = \"allow\"\n",
            );
            let ran = client_to(port, &["--identity", &identity, "--policy", &policy]);
            assert_eq!(ran.status, 0, "{ran:?}");
            assert!(
                ran.stderr.contains("approved")
                    && ran.stderr.contains("1 flow, 1 finding: 1 passed"),
                "{ran:?}"
            );
            ran.assert_tells_nothing();
            let whole = capture::request(&format!("{{\"imei\":\"{IMEI}\"}}"));
            assert_eq!(
                received.recv_timeout(Duration::from_secs(5)).unwrap(),
                whole
            );
        },
    );
}

#[test]
fn signals_reach_the_command_first() {
    isolated("live::signals_reach_the_command_first", || {
        for (signal, to_group, script, status) in [
            (
                "INT",
                true,
                "trap 'exit 33' INT; echo ready; while :; do sleep 0.1; done",
                33,
            ),
            (
                "TERM",
                false,
                "trap 'exit 34' TERM; echo ready; while :; do sleep 0.1; done",
                34,
            ),
            ("INT", true, "echo ready; exec sleep 60", 128 + 2),
        ] {
            use std::os::unix::process::CommandExt;
            // Whoever runs the tests in the background has SIGINT ignored, which a shell cannot trap.
            let mut child = Command::new("env")
                .arg("--default-signal=INT")
                .arg(command().get_program())
                .env_remove("SUDO_UID")
                .env_remove("SUDO_GID")
                .args(["run", "--", "sh", "-c", script])
                .process_group(0)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut [0; 6])
                .unwrap();
            let target = if to_group {
                format!("-{}", child.id())
            } else {
                child.id().to_string()
            };
            let kill = Command::new("kill")
                .args(["-s", signal, "--", &target])
                .status()
                .unwrap();
            assert!(kill.success());
            assert_eq!(child.wait().unwrap().code(), Some(status), "{signal}");
        }
    });
}

#[test]
fn an_attached_device_is_relayed_until_the_signal() {
    isolated(
        "live::an_attached_device_is_relayed_until_the_signal",
        || {
            let setup =
                "ip tuntap add dev t0 mode tun && ip link set t0 up mtu 1400 txqueuelen 700";
            assert!(
                Command::new("sh")
                    .args(["-c", setup])
                    .status()
                    .unwrap()
                    .success()
            );
            for signal in ["INT", "TERM"] {
                let child = command()
                    .args(["run", "--tun", "t0", "--mark", "0x75", "--json"])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                let until = Instant::now() + Duration::from_secs(5);
                while Instant::now() < until && !has_carrier("t0") {
                    thread::sleep(Duration::from_millis(20));
                }
                assert!(has_carrier("t0"), "not attached");
                let second = untold(&["run", "--tun", "t0"]);
                assert!(
                    second.status == 3 && second.stderr.contains("another program"),
                    "{second:?}"
                );
                let id = child.id().to_string();
                assert!(
                    Command::new("kill")
                        .args(["-s", signal, &id])
                        .status()
                        .unwrap()
                        .success()
                );
                let ran = Ran::from(child.wait_with_output().unwrap());
                assert_eq!(ran.status, 0, "{ran:?}");
                ran.events();
            }
        },
    );
}

/// The kernel gives a tun device its carrier while a program is attached.
fn has_carrier(device: &str) -> bool {
    let output = Command::new("ip")
        .args(["link", "show", device])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).contains("LOWER_UP")
}

#[test]
fn the_demonstration_shows_both_halves_in_time() {
    isolated("live::the_demonstration_shows_both_halves_in_time", || {
        let began = Instant::now();
        let ran = untold(&["demo"]);
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
        for words in [
            "blocked",
            "0 of ",
            "approved",
            "✔",
            "imei           …7518",
            "base64, then JSON",
        ] {
            assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
        }
        assert!(
            !ran.stdout.contains("Not live") && !ran.stdout.contains('✘'),
            "{}",
            ran.stdout
        );
        assert_tells_nothing(&ran.stdout);
    });
}
