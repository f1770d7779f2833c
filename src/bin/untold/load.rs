//! The person's files → what judging stands on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use untold::{
    ConfigError,
    detect::{Detector, Identity},
    engine::recording::Basis,
    inspect::Rules,
    policy::{self, Policy},
};

use crate::{args, failure::Failure};

/// Reads policy, answers, lists and identity; nothing else has happened when one of them is refused.
pub fn rules(args: &args::Rules) -> Result<Rules, Failure> {
    Ok(rules_and_basis(args)?.0)
}

/// As [`rules`], with what tells them from others.
pub fn rules_and_basis(args: &args::Rules) -> Result<(Rules, Basis), Failure> {
    let mut sources = Sources::new(args, args.answers.clone())?;
    let read = sources.read()?;
    let rules = read.expect("the first reading is a change");
    Ok((rules, sources.basis()))
}

/// The person's files, which may change.
pub struct Sources {
    policy: Option<PathBuf>,
    answers: Option<PathBuf>,
    identity: Option<PathBuf>,
    hash_key: [u8; 32],
    /// What was last read of each, and is in force.
    texts: Texts,
    /// Every file that was ever asked for, there or not.
    files: BTreeSet<PathBuf>,
    detector: Option<Arc<Detector>>,
    basis: Basis,
}

/// Files as read; none for answers where there is no such file.
type Texts = BTreeMap<PathBuf, Option<Known>>;

/// What is kept of a file, to see whether it has changed.
#[derive(PartialEq, Eq)]
struct Known {
    hash: u64,
    empty: bool,
    /// The whole of a pipe, which gives its content once.
    pipe: Option<Vec<u8>>,
}

impl Sources {
    /// The files that the command line names; `answers` need not be there.
    pub fn new(args: &args::Rules, answers: Option<PathBuf>) -> Result<Sources, Failure> {
        Ok(Sources {
            policy: args.policy.clone(),
            answers,
            identity: args.identity.clone(),
            hash_key: match args.hash_key {
                Some(key) => key,
                None => random()?,
            },
            texts: Texts::new(),
            files: BTreeSet::new(),
            detector: None,
            basis: Basis::default(),
        })
    }

    /// Reads everything; none where nothing has changed since it was last read without a fault.
    pub fn read(&mut self) -> Result<Option<Rules>, Failure> {
        let mut reading = Reading {
            before: &self.texts,
            texts: Texts::new(),
            files: &mut self.files,
            digest: Sha256::new(),
        };
        let mut config = match &self.policy {
            Some(path) => policy::Config::parse(&name(path), &reading.text(path)?)?,
            None => policy::Config::default_policy(),
        };
        if let Some(path) = &self.answers
            && let Some(text) = reading.text_if_there(path)?
        {
            config = config.with_answers(&name(path), &text)?;
        }
        let folder = self.policy.as_deref().and_then(Path::parent);
        let folder = folder.unwrap_or(Path::new(""));
        let mut lists = Vec::new();
        for source in config.lists() {
            let bytes = reading.bytes(&folder.join(&source.path));
            lists.push(bytes.map_err(|reason| source.error(reason))?);
        }
        let digest = std::mem::take(&mut reading.digest).finalize();
        // After the digest, which is recorded: nobody is to try passwords against it.
        let mut passwords = Vec::new();
        for file in config.password_files() {
            let bytes = reading.bytes(&folder.join(&file.path));
            let text = bytes.and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
            });
            passwords.push(text.map_err(|reason| file.error(reason))?);
        }
        let config = config.with_passwords(&passwords)?;
        let identity = match &self.identity {
            Some(path) => Identity::parse(&name(path), &reading.text(path)?)?,
            None => Identity::default(),
        };
        let texts = reading.texts;
        let same = |path: &Option<PathBuf>| {
            path.as_ref()
                .is_none_or(|path| self.texts.get(path) == texts.get(path))
        };
        if self.detector.is_some() && texts == self.texts {
            return Ok(None);
        }
        let detector = match self.detector.clone().filter(|_| same(&self.identity)) {
            Some(detector) => detector,
            None => Arc::new(Detector::new(&identity, &self.hash_key)),
        };
        let policy = Arc::new(Policy::new(config, lists)?);
        self.detector = Some(detector.clone());
        self.texts = texts;
        let kinds = identity.kinds().into_iter();
        self.basis = Basis {
            policy: Some(HEXLOWER.encode(&digest)),
            identity: kinds
                .map(|kind| (kind.to_string(), identity.count(&kind)))
                .collect(),
        };
        Ok(Some(Rules { detector, policy }))
    }

    /// What tells the files last read from others.
    pub fn basis(&self) -> Basis {
        self.basis.clone()
    }

    /// Every file that was ever asked for, there or not.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }
}

/// One reading of all the files.
struct Reading<'a> {
    before: &'a Texts,
    texts: Texts,
    files: &'a mut BTreeSet<PathBuf>,
    /// Over the length and the bytes of each.
    digest: Sha256,
}

impl Reading<'_> {
    /// A file's bytes; the error is a reason in words.
    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        self.files.insert(path.to_owned());
        let before = self.before.get(path).and_then(Option::as_ref);
        let is_pipe = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        let bytes = match before.and_then(|before| before.pipe.as_ref()) {
            Some(pipe) => pipe.clone(),
            None if is_pipe && before.is_some() => return Err("a pipe is in its place now".into()),
            None => fs::read(path).map_err(|error| reason(&error))?,
        };
        if bytes.is_empty() && before.is_some_and(|before| !before.empty) {
            return Err("it is empty now, as if half written (a comment alone would do)".into());
        }
        self.digest.update((bytes.len() as u64).to_le_bytes());
        self.digest.update(&bytes);
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        let known = Known {
            hash: hasher.finish(),
            empty: bytes.is_empty(),
            pipe: is_pipe.then(|| bytes.clone()),
        };
        self.texts.insert(path.to_owned(), Some(known));
        Ok(bytes)
    }

    fn text(&mut self, path: &Path) -> Result<String, ConfigError> {
        let bytes = self.bytes(path);
        text(
            path,
            bytes.map_err(|reason| ConfigError::file(name(path), reason))?,
        )
    }

    fn text_if_there(&mut self, path: &Path) -> Result<Option<String>, ConfigError> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.files.insert(path.to_owned());
                self.texts.insert(path.to_owned(), None);
                Ok(None)
            }
            _ => self.text(path).map(Some),
        }
    }
}

/// Random bytes of the kernel's.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let read = fs::File::open(RANDOM).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Failure::machine(format_args!("{RANDOM}: {}", reason(&error))))?;
    Ok(bytes)
}

/// What the system says of a failed read or write, without the number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text,
    }
}

/// A file of the person's as text.
pub fn text(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        ConfigError::at(name(path), &text, good, "this is not UTF-8 text")
    })
}

/// A file's name as errors have it.
pub fn name(path: &Path) -> String {
    path.display().to_string()
}

const RANDOM: &str = "/dev/urandom";
