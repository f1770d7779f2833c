//! The person's files → what judging stands on.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use untold::{
    ConfigError,
    detect::{Detector, Identity},
    inspect::Rules,
    policy::{self, Policy},
};

use crate::{args, failure::Failure};

/// Reads policy, lists and identity; nothing else has happened when one of them is refused.
pub fn rules(args: &args::Rules) -> Result<Rules, Failure> {
    let config = match &args.policy {
        Some(path) => policy::Config::parse(&name(path), &text(path)?)?,
        None => policy::Config::default_policy(),
    };
    let folder = args
        .policy
        .as_deref()
        .and_then(Path::parent)
        .unwrap_or(Path::new(""));
    let policy = policy(config, folder)?;
    let identity = match &args.identity {
        Some(path) => Identity::parse(&name(path), &text(path)?)?,
        None => Identity::default(),
    };
    let key = match args.hash_key {
        Some(key) => key,
        None => random()?,
    };
    Ok(Rules {
        detector: Arc::new(Detector::new(&identity, &key)),
        policy: Arc::new(policy),
    })
}

/// Reads the lists that a policy names, relative to `folder`, and compiles it.
pub fn policy(config: policy::Config, folder: &Path) -> Result<Policy, Failure> {
    let mut lists = Vec::new();
    for source in config.lists() {
        let path = folder.join(&source.path);
        lists.push(fs::read(&path).map_err(|error| source.error(reason(&error)))?);
    }
    Ok(Policy::new(config, lists)?)
}

/// Random bytes of the kernel's.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let read = fs::File::open(RANDOM).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Failure::machine(format_args!("{RANDOM}: {}", reason(&error))))?;
    Ok(bytes)
}

/// What the system says of a failed read or write, without the number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text,
    }
}

/// A file of the person's as text.
fn text(path: &PathBuf) -> Result<String, Failure> {
    let bytes = fs::read(path).map_err(|error| ConfigError::file(name(path), reason(&error)))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        ConfigError::at(name(path), &text, good, "this is not UTF-8 text").into()
    })
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

const RANDOM: &str = "/dev/urandom";
