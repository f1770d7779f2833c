//! The binary, its files, and namespaces for what must not touch the machine's own.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Values that must never be shown, all made up; the IMEI is Luhn-valid.
pub const IMEI: &str = "490154203237518";
pub const MAC: &str = "02:00:5e:10:00:07";
pub const EMAIL: &str = "ada.example@mail.example";

pub const IDENTITY: &str = "imei = \"490154203237518\"\nwifi_mac = \"02:00:5e:10:00:07\"\n\
                            email = \"ada.example@mail.example\"\n";

pub const UNTOLD: &str = env!("CARGO_BIN_EXE_untold");

/// A folder of one test's own, empty at first and removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cli-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a run said and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Every line of stdout as JSON; fails on anything else.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    pub fn findings(&self) -> Vec<serde_json::Value> {
        self.events()
            .into_iter()
            .filter(|event| event["event"] == "finding")
            .collect()
    }

    /// Fails where a registered value shows.
    pub fn assert_tells_nothing(&self) {
        for text in [&self.stdout, &self.stderr] {
            assert_tells_nothing(text);
        }
    }
}

pub fn assert_tells_nothing(text: &str) {
    let lower = text.to_lowercase();
    for value in [IMEI, MAC, "02005e100007", EMAIL] {
        assert!(!lower.contains(value), "{value} shows in:\n{text}");
    }
}

/// Runs the binary with nothing on its stdin.
pub fn untold(args: &[&str]) -> Ran {
    untold_with(args, b"")
}

/// Runs the binary with `input` on its stdin.
pub fn untold_with(args: &[&str], input: &[u8]) -> Ran {
    let mut child = command()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A child that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

/// The binary, as if nobody had called sudo, nor answered "always" before.
pub fn command() -> Command {
    let mut command = Command::new(UNTOLD);
    command.env_remove("SUDO_UID").env_remove("SUDO_GID");
    command.env("XDG_CONFIG_HOME", "/nowhere");
    command
}

/// Runs `body` in a process of its own, in network and mount namespaces of its own with loopback up.
///
/// `test` is the full name of the calling test. Where namespaces or tun devices are not to be had, it
/// prints SKIPPED and returns.
pub fn isolated(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        body();
        return;
    }
    if let Err(missing) = possible() {
        println!("SKIPPED {test}: {missing}");
        return;
    }
    let exe = std::env::current_exe().unwrap();
    let script = "mount --make-rprivate / && ip link set lo up && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", script, "sh"])
        .arg(exe)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, test)
        .output()
        .unwrap();
    let ran = Ran::from(output);
    assert!(ran.status == 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("1 passed"), "{}", ran.stdout);
}

fn possible() -> Result<(), &'static str> {
    let works = |program: &str, args: &[&str]| {
        let status = Command::new(program)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !Path::new("/dev/net/tun").exists() {
        return Err("no /dev/net/tun");
    }
    if !works(
        "unshare",
        &["--net", "--mount", "ip", "link", "set", "lo", "up"],
    ) {
        return Err("no permission to make namespaces, or no unshare and ip programs");
    }
    Ok(())
}

const INSIDE: &str = "UNTOLD_TEST_INSIDE";
