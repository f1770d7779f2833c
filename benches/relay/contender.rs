//! Who is measured, as data.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use untold::detect::{Detector, Identity};

use crate::options::Options;

#[derive(Debug)]
pub struct Contender {
    pub name: String,
    /// Program and words; `{tun}` and `{mtu}` stand for what a run gives. Empty: no tun at all.
    pub command: Vec<String>,
    /// Whom the app asks for names.
    pub resolver: &'static str,
}

impl Contender {
    fn new(name: &str, command: Vec<String>) -> Self {
        Self {
            name: name.into(),
            command,
            resolver: SERVERS_RESOLVER,
        }
    }
}

/// The contenders that were asked for. One that is not installed is installed where a registry has it.
pub fn all(work: &Path, options: &Options) -> Result<Vec<Contender>, String> {
    let mut all = Vec::new();
    if options.wants("direct") {
        all.push(Contender::new("direct", Vec::new()));
    }
    let count = spellings()?;
    if count < SPELLINGS {
        return Err(format!(
            "identity.toml gives {count} spellings, {SPELLINGS} at least are promised"
        ));
    }
    eprintln!("inspection on: {count} spellings of every kind of identifier");
    let identity = settings(work, "identity.toml", IDENTITY)?;
    let policy = settings(work, "policy.toml", POLICY)?;
    let (identity, policy) = (["--identity", &identity], ["--policy", &policy]);
    let plain = ["--no-offload"];
    for (name, given) in [
        ("untold", [&plain[..], &identity, &policy].concat()),
        ("untold-off", [&plain[..], &policy].concat()),
        ("untold-offload", [identity, policy].concat()),
        ("untold-offload-off", policy.to_vec()),
    ] {
        if options.wants(name) {
            all.push(untold(name, &given));
        }
    }
    if options.wants("tun2proxy") {
        let command = "--tun {tun} --mtu {mtu} --proxy none --dns direct --max-sessions 20000 --verbosity error";
        let installed = installed(work, "tun2proxy-bin", cargo_install);
        all.extend(rival("tun2proxy", installed, command));
    }
    if options.wants("sing-box") {
        let command = format!("run --config {}/sing-box-{{mtu}}.json", work.display());
        for mtu in &options.mtus {
            let text = SING_BOX_SETTINGS.replace("{mtu}", &mtu.to_string());
            settings(work, &format!("sing-box-{mtu}.json"), &text)?;
        }
        let installed = installed(work, "sing-box", go_install);
        all.extend(rival("sing-box", installed, &command));
    }
    for (name, command) in &options.rivals {
        if options.wants(name) {
            all.push(Contender::new(name, words(command)));
        }
    }
    if all.is_empty() {
        return Err("there is nobody to measure".into());
    }
    Ok(all)
}

fn untold(name: &str, settings: &[&str]) -> Contender {
    let program = env!("CARGO_BIN_EXE_untold");
    let given = ["run", "--tun", "{tun}", "--resolver", SERVERS_RESOLVER];
    let words = [&[program][..], &given, settings].concat();
    Contender {
        resolver: OWN_RESOLVER,
        ..Contender::new(name, words.into_iter().map(String::from).collect())
    }
}

/// A rival, where it is installed; says why where it is not.
fn rival(name: &str, installed: Result<PathBuf, String>, command: &str) -> Option<Contender> {
    match installed {
        Ok(program) => {
            let command = words(&format!("{} {command}", program.display()));
            Some(Contender::new(name, command))
        }
        Err(reason) => {
            eprintln!("{name} is left out: {reason}");
            None
        }
    }
}

fn spellings() -> Result<usize, String> {
    let identity = Identity::parse("identity.toml", IDENTITY).map_err(|error| error.to_string())?;
    Ok(Detector::new(&identity, &[0; 32]).spellings())
}

/// A program from PATH, from an earlier run, or installed now.
fn installed(
    work: &Path,
    program: &str,
    install: impl Fn(&Path) -> Command,
) -> Result<PathBuf, String> {
    let ours = work.join("rivals/bin").join(program);
    let on_path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&on_path).map(|folder| folder.join(program));
    if let Some(program) = on_path
        .chain([ours.clone()])
        .find(|program| program.exists())
    {
        return Ok(program);
    }
    eprintln!("installing {program}, once");
    let mut command = install(work);
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(ours),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn cargo_install(work: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["install", "--locked", "--quiet", "--version", TUN2PROXY])
        .arg("tun2proxy")
        .arg("--root")
        .arg(work.join("rivals"))
        .env("CARGO_TARGET_DIR", work.join("rivals/build"));
    command
}

fn go_install(work: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .args(["install", "-tags", "with_gvisor"])
        .arg(format!(
            "github.com/sagernet/sing-box/cmd/sing-box@{SING_BOX}"
        ))
        .env("GOBIN", work.join("rivals/bin"));
    command
}

fn settings(work: &Path, name: &str, text: &str) -> Result<String, String> {
    let file = work.join(name);
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    file.into_os_string()
        .into_string()
        .map_err(|file| format!("{file:?} is not text"))
}

fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(String::from).collect()
}

/// The version that the table in docs/performance.md was made with.
const TUN2PROXY: &str = "0.8.7";
/// The same.
const SING_BOX: &str = "v1.14.1";

/// Its stack for devices in another namespace: its "system" stack needs the device's addresses in its own.
const SING_BOX_SETTINGS: &str = r#"{
  "log": {"level": "error"},
  "inbounds": [{
    "type": "tun", "interface_name": "bench0", "address": ["10.9.0.1/24"],
    "mtu": {mtu}, "auto_route": false, "stack": "gvisor"
  }],
  "outbounds": [{"type": "direct"}]
}"#;

/// What answers names on the server's side, and inside the tunnel where a contender has a resolver of its own.
const SERVERS_RESOLVER: &str = "198.51.100.1:53";
const OWN_RESOLVER: &str = "198.18.0.1:53";

/// What makes "inspection on" mean something.
const SPELLINGS: usize = 1_000;

const POLICY: &str = "[default]\nleak = \"block\"\nconnection = \"allow\"\n";

/// Every kind, several of most: the tables of a person with two phones.
const IDENTITY: &str = include_str!("identity.toml");
