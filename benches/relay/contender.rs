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
    pub name: &'static str,
    /// Program and words; `{tun}`, `{mtu}` and `{socks}` stand for what a run gives. Empty: no tun at all.
    pub command: Vec<String>,
    /// Whether it relays to a SOCKS5 proxy, which is ours and whose cost is told apart.
    pub proxied: bool,
}

/// The contenders that were asked for. One that is not installed is installed where a registry has it.
pub fn all(work: &Path, options: &Options) -> Result<Vec<Contender>, String> {
    let mut all = Vec::new();
    if options.wants("direct") {
        all.push(Contender {
            name: "direct",
            command: Vec::new(),
            proxied: false,
        });
    }
    if options.wants("untold") {
        let count = spellings()?;
        if count < SPELLINGS {
            return Err(format!(
                "identity.toml gives {count} spellings, {SPELLINGS} at least are promised"
            ));
        }
        eprintln!("inspection on: {count} spellings of every kind of identifier");
        let identity = settings(work, "identity.toml", IDENTITY)?;
        let policy = settings(work, "policy.toml", POLICY)?;
        all.push(untold(
            "untold",
            &["--identity", &identity, "--policy", &policy],
        ));
    }
    if options.wants("untold-off") {
        let policy = settings(work, "policy.toml", POLICY)?;
        all.push(untold("untold-off", &["--policy", &policy]));
    }
    if options.wants("tun2proxy") {
        match tun2proxy(work) {
            Ok(program) => all.push(Contender {
                name: "tun2proxy",
                command: words(&format!(
                    "{} --tun {{tun}} --mtu {{mtu}} --proxy socks5://{{socks}} --ipv6-enabled --verbosity error",
                    program.display()
                )),
                proxied: true,
            }),
            Err(reason) => eprintln!("tun2proxy is left out: {reason}"),
        }
    }
    if let Some(command) = &options.rival {
        all.push(Contender {
            name: "rival",
            command: words(command),
            proxied: command.contains("{socks}"),
        });
    }
    if all.is_empty() {
        return Err("there is nobody to measure".into());
    }
    Ok(all)
}

fn untold(name: &'static str, settings: &[&str]) -> Contender {
    let program = env!("CARGO_BIN_EXE_untold");
    let given = ["run", "--tun", "{tun}"]
        .iter()
        .chain(settings)
        .map(|word| (*word).to_owned());
    Contender {
        name,
        command: [program.to_owned()].into_iter().chain(given).collect(),
        proxied: false,
    }
}

fn spellings() -> Result<usize, String> {
    let identity = Identity::parse("identity.toml", IDENTITY).map_err(|error| error.to_string())?;
    Ok(Detector::new(&identity, &[0; 32]).spellings())
}

/// tun2proxy from PATH, from an earlier run, or built now.
fn tun2proxy(work: &Path) -> Result<PathBuf, String> {
    let ours = work.join("rivals/bin/tun2proxy-bin");
    let on_path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&on_path).map(|folder| folder.join("tun2proxy-bin"));
    if let Some(program) = on_path
        .chain([ours.clone()])
        .find(|program| program.exists())
    {
        return Ok(program);
    }
    eprintln!("building tun2proxy {TUN2PROXY}, once");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "install",
            "--locked",
            "--quiet",
            "--version",
            TUN2PROXY,
            "tun2proxy",
            "--root",
        ])
        .arg(work.join("rivals"))
        .env("CARGO_TARGET_DIR", work.join("rivals/build"))
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(ours),
        Ok(status) => Err(format!("cargo install: {status}")),
        Err(error) => Err(format!("cargo install: {error}")),
    }
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

/// What makes "inspection on" mean something.
const SPELLINGS: usize = 1_000;

const POLICY: &str = "[default]\nleak = \"block\"\nconnection = \"allow\"\n";

/// Every kind, several of most: the tables of a person with two phones.
const IDENTITY: &str = include_str!("identity.toml");
