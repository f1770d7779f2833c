//! Recordings: where one goes, and whether one was made under the rules at hand.

use std::{fs, os::unix::fs::OpenOptionsExt, path::Path};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use untold::{
    detect::Identity,
    engine::recording::Basis,
    io::{pcap::Writer, record::Recording},
    policy,
};

use crate::{
    args,
    failure::Failure,
    load::{self, reason},
};

/// Opens the file that `--record` names. What it will hold is for its owner alone.
pub fn start(args: &args::Run) -> Result<Option<Recording>, Failure> {
    let Some(path) = &args.record else {
        return Ok(None);
    };
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::Input(format!("{}: {}", path.display(), reason(&error))))?;
    let writer = Writer::new(file).map_err(Failure::machine)?;
    Ok(Some(Recording {
        record: Box::new(writer),
        basis: basis(&args.rules)?,
    }))
}

/// What tells the rules of the command line from others.
pub fn basis(rules: &args::Rules) -> Result<Basis, Failure> {
    let mut basis = Basis {
        policy: Some(policy_digest(rules.policy.as_deref())?),
        ..Basis::default()
    };
    if let Some(path) = &rules.identity {
        let identity = Identity::parse(&path.display().to_string(), &load::read(path)?)?;
        let kinds = identity.kinds().into_iter();
        basis.identity = kinds
            .map(|kind| (kind.to_string(), identity.count(&kind)))
            .collect();
    }
    Ok(basis)
}

/// SHA-256 over the length and the bytes of the policy file and of each of its lists; without a file, over nothing.
fn policy_digest(path: Option<&Path>) -> Result<String, Failure> {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    if let Some(path) = path {
        let text = load::read(path)?;
        add(text.as_bytes());
        let config = policy::Config::parse(&path.display().to_string(), &text)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for source in config.lists() {
            let list = fs::read(folder.join(&source.path));
            add(&list.map_err(|error| source.error(reason(&error)))?);
        }
    }
    Ok(HEXLOWER.encode(&digest.finalize()))
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
