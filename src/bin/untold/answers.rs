//! The file that answers "always" go to, as rules that people can read and edit.

use std::{
    env,
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use untold::{
    event::{Action, AskEvent, NameSource},
    policy::Config,
};

use crate::{
    load::{self, name, reason},
    print::{plain, subject, word},
};

/// Where that file is unless the command line says otherwise; none where there is no home for it, or `HOME` is somebody
/// else's that may not be entered (after `sudo -u`).
pub fn usual_place() -> Option<PathBuf> {
    let folder = |variable| {
        env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    let place = config?.join("untold/answers.toml");
    let entered = fs::symlink_metadata(&place).map_err(|error| error.kind());
    (entered.err() != Some(ErrorKind::PermissionDenied)).then_some(place)
}

/// Adds a rule to the file at `path`; what was there stays as it was, byte for byte.
///
/// The error says why the file was left alone.
pub fn append(path: &Path, asked: &AskEvent, action: Action) -> Result<(), String> {
    let rule = rule(asked, action, now());
    // A link leads to where the person keeps the file.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    write(&path, &rule).map_err(|error| match error {
        Refused::Fault(fault) => fault,
        Refused::Io(error) => format!("{}: {}", name(&path), reason(&error)),
    })
}

/// Why a file was left alone.
enum Refused {
    Fault(String),
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Io(error)
    }
}

fn write(path: &Path, rule: &str) -> Result<(), Refused> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let _lock = lock(folder)?;
    let before = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        read => Some(read?),
    };
    let check = |text: &str| {
        let read = Config::default_policy().with_answers(&name(path), text);
        read.map(drop)
            .map_err(|error| Refused::Fault(error.to_string()))
    };
    let mut text = match &before {
        None => HEADING.to_owned(),
        Some(bytes) => {
            load::text(path, bytes.clone()).map_err(|error| Refused::Fault(error.to_string()))?
        }
    };
    check(&text)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(rule);
    check(&text)?;
    replace(path, folder, text.as_bytes())?;
    Ok(())
}

/// Puts a file in the place of another in one step, with the owner and the mode of the other.
fn replace(path: &Path, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let file_name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
    let mut fresh = std::ffi::OsString::from(".");
    fresh.push(file_name);
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = folder.join(fresh);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        if let Ok(before) = fs::metadata(path) {
            file.set_permissions(before.permissions())?;
            let ours = file.metadata()?;
            if (before.uid(), before.gid()) != (ours.uid(), ours.gid()) {
                fchown(&file, Some(before.uid()), Some(before.gid()))?;
            }
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    })();
    if written.is_err() {
        // Not there if it could not be made.
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// Keeps other runs out of the folder while it lives. The folder, because the file itself is replaced.
fn lock(folder: &Path) -> io::Result<File> {
    let held = File::open(folder)?;
    for _ in 0..LOCK_TRIES {
        match held.try_lock() {
            Ok(()) => return Ok(held),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other("another program keeps the folder locked"))
}

/// The rule of an answer, with a comment that says what was asked.
fn rule(asked: &AskEvent, action: Action, seconds: u64) -> String {
    let mut rule = format!("\n# {}: {}\n[[rule]]\n", date(seconds), subject(asked));
    let mut line = |key: &str, value: String| {
        let _ = writeln!(rule, "{key} = {value}");
    };
    if let Some(app) = &asked.app {
        line("app", quoted(app));
    }
    let to = match (&asked.name, asked.name_from) {
        // Any flow could claim the name, and an approval by a claim would not count.
        (Some(name), Some(NameSource::Dns)) => format!("={name}"),
        (Some(name), _) if action == Action::Block => format!("={name}"),
        _ => asked.dst.ip().to_canonical().to_string(),
    };
    line("to", quoted(&to));
    let mut kinds: Vec<String> = asked
        .findings
        .iter()
        .map(|finding| quoted(&finding.kind.to_string()))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    if !kinds.is_empty() {
        line("sends", format!("[{}]", kinds.join(", ")));
    }
    line("action", quoted(&word(&action)));
    rule
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if plain(letter) => quoted.push(letter),
            letter => _ = write!(quoted, "\\U{:08x}", u32::from(letter)),
        }
    }
    quoted.push('"');
    quoted
}

/// Day and minute, UTC, in the proleptic Gregorian calendar, from the days since 0000-03-01.
fn date(seconds: u64) -> String {
    let (days, minutes) = (seconds / 86_400 + 719_468, seconds % 86_400 / 60);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02} UTC",
        minutes / 60,
        minutes % 60
    )
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

const HEADING: &str = "\
# Answers \"always\" to questions of untold run --ask, as rules beside those of the policy.
# Edit or remove them as you like: they are read again at once.
";
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::ask::tests::asked;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path =
                env::temp_dir().join(format!("untold-answers-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn an_answer_is_a_rule_that_people_can_read() {
        let rule = |asked: &AskEvent, action| rule(asked, action, 1_795_519_380);
        assert_eq!(
            rule(&asked(), Action::Allow),
            "\n# 2026-11-24 11:23 UTC: may curl send imei …7518 to collector.example:80 (203.0.113.9)?\n[[rule]]\n\
             app = \"curl\"\nto = \"=collector.example\"\nsends = [\"imei\"]\naction = \"allow\"\n"
        );
        let connection = AskEvent {
            app: None,
            name: None,
            name_from: None,
            findings: Vec::new(),
            ..asked()
        };
        assert_eq!(
            rule(&connection, Action::Block),
            "\n# 2026-11-24 11:23 UTC: may an unknown app connect to 203.0.113.9:80?\n[[rule]]\n\
             to = \"203.0.113.9\"\naction = \"block\"\n"
        );
    }

    #[test]
    fn a_name_that_is_only_claimed_is_never_allowed_by_name() {
        let claimed = AskEvent {
            name_from: Some(NameSource::Http),
            ..asked()
        };
        assert!(rule(&claimed, Action::Allow, 0).contains("to = \"203.0.113.9\"\n"));
        assert!(rule(&claimed, Action::Block, 0).contains("to = \"=collector.example\"\n"));
    }

    #[test]
    fn no_name_breaks_out_of_its_string_or_comment() {
        let hostile = AskEvent {
            app: Some("a\"\naction = \"allow\" \u{1b}[2J\u{202e}\\".into()),
            ..asked()
        };
        let rule = rule(&hostile, Action::Block, 0);
        assert_eq!(rule.lines().count(), 7, "{rule}");
        assert!(rule.chars().all(|c| c == '\n' || plain(c)), "{rule:?}");
        let config = Config::default_policy()
            .with_answers("a.toml", &rule)
            .unwrap();
        assert_eq!(config.rule_count(), 1);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (1_798_761_599, "2026-12-31 23:59 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn the_file_is_made_for_its_owner_alone_and_grows_without_a_change_to_what_was_there() {
        let folder = Folder::new("grows");
        let path = folder.0.join("config/untold/answers.toml");
        append(&path, &asked(), Action::Allow).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let edited = format!(
            "{}# mine,  oddly   kept",
            fs::read_to_string(&path).unwrap()
        );
        fs::write(&path, &edited).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        append(&path, &asked(), Action::Block).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&format!("{edited}\n\n# ")), "{text}");
        assert_eq!(mode(&path), 0o640, "its mode is the person's business");
        let config = Config::default_policy()
            .with_answers("a.toml", &text)
            .unwrap();
        assert_eq!(config.rule_count(), 2);
        let others = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(others, 1, "nothing is left behind");
    }

    #[test]
    fn a_file_with_a_fault_is_not_touched() {
        let folder = Folder::new("fault");
        let path = folder.0.join("answers.toml");
        for (text, fault) in [
            (
                "[[rule]]\nacton = \"allow\"\n",
                "answers.toml:2:1: unknown key",
            ),
            ("[default]\nleak = \"allow\"\n", "answers.toml:1:"),
        ] {
            fs::write(&path, text).unwrap();
            let refused = append(&path, &asked(), Action::Allow).unwrap_err();
            assert!(refused.contains(fault), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, b"\xff").unwrap();
        let refused = append(&path, &asked(), Action::Allow).unwrap_err();
        assert!(refused.contains("UTF-8"), "{refused}");
    }

    #[test]
    fn a_place_that_cannot_be_written_says_so() {
        let folder = Folder::new("unwritable");
        let file = folder.0.join("file");
        fs::write(&file, "").unwrap();
        let refused = append(&file.join("answers.toml"), &asked(), Action::Allow).unwrap_err();
        assert!(refused.contains("answers.toml: "), "{refused}");
        let refused = append(&folder.0, &asked(), Action::Allow).unwrap_err();
        assert!(refused.contains("directory"), "{refused}");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = Folder::new("link");
        let (kept, link) = (folder.0.join("kept.toml"), folder.0.join("answers.toml"));
        fs::write(&kept, "").unwrap();
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        append(&link, &asked(), Action::Allow).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&kept).unwrap().contains("[[rule]]"));
    }

    #[test]
    fn answers_of_several_runs_at_once_are_all_kept() {
        let folder = Folder::new("several");
        let path = folder.0.join("answers.toml");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| append(&path, &asked(), Action::Allow).unwrap());
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("[[rule]]").count(), 8);
    }
}
