//! Recordings: where one goes, and whether one was made under the rules at hand.

use std::{fs, os::unix::fs::OpenOptionsExt, path::Path};

use untold::{
    engine::recording::Basis,
    io::{pcap::Writer, record::Recording},
};

use crate::{failure::Failure, load::reason};

/// Opens the file that `--record` names. What it will hold is for its owner alone.
pub fn start(path: &Path, basis: Basis) -> Result<Recording, Failure> {
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::Input(format!("{}: {}", path.display(), reason(&error))))?;
    let writer = Writer::new(file).map_err(Failure::machine)?;
    Ok(Recording {
        record: Box::new(writer),
        basis,
    })
}

/// In what a recording's rules differ from the ones at hand, in words; `None` where they do not, or it does not say.
pub fn difference(recorded: &Basis, own: &Basis) -> Option<&'static str> {
    let policy = recorded.policy.as_ref()?;
    let policy = own.policy.as_ref() != Some(policy);
    match (policy, recorded.identity != own.identity) {
        (true, true) => Some("another policy and identity"),
        (true, false) => Some("another policy"),
        (false, true) => Some("another identity"),
        (false, false) => None,
    }
}
