//! Namespaces of one test's own.

use std::{
    any::type_name,
    env, fs,
    io::Write,
    os::fd::AsRawFd,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

/// Runs `body` in network, mount and process namespaces of its own: the test runs itself again under
/// `unshare`. Says `SKIPPED` where the machine cannot do that.
pub fn alone<F: FnOnce()>(body: F) {
    alone_with(&[], body);
}

/// As [`alone`], for a test that needs these programs.
pub fn alone_with<F: FnOnce()>(programs: &[&str], body: F) {
    let name = test_name::<F>();
    if env::var(MARKER).is_ok_and(|marked| marked == name) {
        prepare();
        return body();
    }
    if let Some(reason) = obstacle(programs) {
        // Straight to the stream: libtest captures what the print macros write, and a skip must be seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {reason}");
        return;
    }
    let output = Command::new("timeout")
        .args(["-s", "KILL", &time_limit(), "unshare"])
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .arg(env::current_exe().expect("a running program has a path"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(MARKER, name)
        .stdin(Stdio::null())
        .output()
        .expect("timeout and unshare run");
    let status = output.status;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // Indented, so that nobody counts the inner run's lines as the outer one's.
    let words =
        format!("{said}{}", String::from_utf8_lossy(&output.stderr)).replace('\n', "\n    ");
    assert!(status.success(), "{name}: {status}\n    {words}");
    assert!(said.contains("1 passed"), "{name} did not run\n    {words}");
}

/// A network namespace.
pub struct Namespace {
    name: Option<&'static str>,
    file: fs::File,
}

impl Namespace {
    /// The one that the test's process is in.
    pub fn own() -> Self {
        let file = fs::File::open("/proc/self/ns/net").expect("procfs is mounted");
        Self { name: None, file }
    }

    /// A new one, its loopback up.
    pub fn new(name: &'static str) -> Self {
        run("ip", &["netns", "add", name]);
        let file = fs::File::open(format!("/run/netns/{name}")).expect("ip made the namespace");
        let namespace = Self {
            name: Some(name),
            file,
        };
        namespace.ip("link set lo up");
        namespace
    }

    /// The same one, for whoever outlives this value.
    pub fn again(&self) -> Self {
        let file = self.file.try_clone().expect("a descriptor is left");
        Self { file, ..*self }
    }

    /// Runs `ip` with these words.
    pub fn ip(&self, words: &str) {
        let inside = self.name.iter().flat_map(|name| ["-n", name]);
        run(
            "ip",
            &inside.chain(words.split_whitespace()).collect::<Vec<_>>(),
        );
    }

    /// Moves a device of the test's own namespace here.
    pub fn take(&self, device: &str) {
        let name = self.name.expect("a device moves to a named namespace");
        run("ip", &["link", "set", device, "netns", name]);
    }

    /// Runs `body` on a thread inside. Sockets that it makes stay inside, whoever uses them later.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                body()
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A program that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let Some(name) = self.name else {
            return Command::new(program);
        };
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{name}"))
            .arg("--")
            .arg(program);
        command
    }

    /// Writes a kernel setting of the namespace.
    pub fn set(&self, setting: &str, value: &str) {
        self.run(|| fs::write(format!("/proc/sys/{setting}"), value))
            .unwrap_or_else(|error| panic!("{setting}: {error}"));
    }

    fn enter(&self) {
        // SAFETY: setns takes a descriptor that stays open during the call and changes the calling thread alone.
        let done = unsafe { libc::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}

/// Runs a program to its end, which must be a good one.
pub fn run(program: &str, words: &[&str]) {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {}: {complained}",
        words.join(" ")
    );
}

/// `module::name` of the test whose closure `F` is.
fn test_name<F>() -> &'static str {
    let closure = type_name::<F>();
    let path = closure.split_once("::").map_or(closure, |(_, path)| path);
    path.trim_end_matches("::{{closure}}")
}

/// Why a live test cannot run here.
fn obstacle(programs: &[&str]) -> Option<String> {
    static MACHINE: OnceLock<Option<String>> = OnceLock::new();
    let machine = MACHINE.get_or_init(|| {
        let unshared = quiet("unshare", &["--net", "--mount", "--pid", "--fork", "true"]);
        if !unshared {
            return Some("no right to make namespaces (root is needed)".into());
        }
        let tun = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/net/tun");
        tun.err().map(|error| format!("no /dev/net/tun: {error}"))
    });
    let missing = || {
        let mut all = ["ip", "nsenter", "timeout"].iter().chain(programs);
        all.find(|program| !quiet("sh", &["-c", &format!("command -v {program}")]))
    };
    machine
        .clone()
        .or_else(|| missing().map(|program| format!("{program} is not installed")))
}

fn quiet(program: &str, words: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// `ip netns` keeps its names under /run, which the test must not share with the machine.
fn prepare() {
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    run("ip", &["link", "set", "lo", "up"]);
}

/// Seconds after which a test is killed, with all that it started.
fn time_limit() -> String {
    let longer = env::var(LONGER).ok().and_then(|text| text.parse().ok());
    (TIME_LIMIT + longer.unwrap_or(0u64)).to_string()
}

/// Says by how many seconds a test may take longer.
pub const LONGER: &str = "UNTOLD_SOAK_SECONDS";
/// Says to a test that it is already alone.
const MARKER: &str = "UNTOLD_LIVE_TEST";
/// Seconds that a test takes at most.
const TIME_LIMIT: u64 = 240;
