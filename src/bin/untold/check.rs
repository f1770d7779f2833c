//! A policy or an identity file, looked over.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path};

use serde::Serialize;
use untold::{
    ConfigError, Detector, Identity,
    event::{Action, Kind},
    policy::{Config, Surroundings},
};

use crate::{
    args,
    failure::{Failure, say},
    load::{self, reason},
    page::{Page, STEP},
    paint::Look,
    print::word,
};

/// `untold policy check`.
pub fn policy(args: &args::Check) -> Result<u8, Failure> {
    let name = args.file.display().to_string();
    refuse(Config::faults(&name, &text(&args.file)?))?;
    let rules = load::rules(&args::Rules {
        policy: Some(args.file.clone()),
        hash_key: Some([0; 32]),
        ..args::Rules::default()
    })?;
    let policy = &rules.policy;
    let outline = policy.outline();
    let mut warnings: Vec<Warning> = policy
        .check(&Surroundings {
            is_public_suffix: &is_public_suffix,
            no_such_app: &no_such_app,
        })
        .into_iter()
        .map(|warning| Warning {
            line: warning.place.line,
            file: warning.place.file.to_string(),
            text: warning.text,
        })
        .collect();
    warnings.extend(mode(&args.file, false));
    let lists: Vec<List> = policy
        .list_reports()
        .map(|(list, report)| List {
            list: list.to_string(),
            names: report.taken,
            rejected: report.rejected,
            first_rejected: report
                .first_rejected
                .iter()
                .map(|line| Rejected {
                    line: line.line,
                    reason: line.reason.clone(),
                })
                .collect(),
        })
        .collect();
    if args.json {
        return object(&Policy {
            file: &name,
            connection_rules: Actions::new(outline.connections),
            identifier_rules: Actions::new(outline.identifiers),
            default: outline.defaults.into_iter().collect(),
            lists: &lists,
            warnings: &warnings,
        });
    }
    let mut page = Page::new();
    page.words(0, Look::Bold, &format!("{name}: {}", verdict(&warnings)));
    page.heading("rules");
    let connections = ["on connections".into(), counted(outline.connections)];
    let identifiers = ["on identifiers".into(), counted(outline.identifiers)];
    page.table([Look::Plain; 2], &[connections, identifiers]);
    page.heading("otherwise");
    let defaults = outline.defaults.map(|(key, action)| {
        let more = match action {
            Action::Ask => {
                let timeout = policy.ask_timeout().as_secs_f64();
                format!(
                    "ask, and {} after {timeout} s",
                    word(&policy.ask_fallback())
                )
            }
            Action::Allow | Action::Block => word(&action),
        };
        [key.to_owned(), more]
    });
    page.table([Look::Plain; 2], &defaults);
    if !lists.is_empty() {
        page.heading("lists");
    }
    for list in &lists {
        let mut line = format!("{}: {}", list.list, many(list.names, "name"));
        if list.rejected > 0 {
            line += &format!(", {} that cannot be used", many(list.rejected, "line"));
        }
        page.words(STEP, Look::Plain, &line);
        for Rejected { line, reason } in &list.first_rejected {
            page.words(2 * STEP, Look::Dim, &format!("line {line}: {reason}"));
        }
        let more = list.rejected - list.first_rejected.len();
        if more > 0 {
            page.words(2 * STEP, Look::Dim, &format!("and {} more", more));
        }
    }
    tell(&mut page, &warnings);
    page.write();
    Ok(0)
}

/// `untold identity check`.
pub fn identity(args: &args::Check) -> Result<u8, Failure> {
    let name = args.file.display().to_string();
    let text = text(&args.file)?;
    refuse(Identity::faults(&name, &text))?;
    let identity = Identity::parse(&name, &text)?;
    let detector = Detector::new(&identity, &[0; 32]);
    let values: Vec<Value> = detector
        .values()
        .iter()
        .map(|value| Value {
            kind: value.kind.clone(),
            last4: value.last4.as_deref().map(Into::into),
            spellings: value.spellings,
            found: match (value.plain, value.spellings) {
                (true, _) => Found::Exactly,
                (false, 0) => Found::NotYet,
                (false, _) => Found::InPart,
            },
        })
        .collect();
    let mut warnings: Vec<Warning> = identity
        .doubts()
        .into_iter()
        .map(|doubt| Warning {
            file: name.clone(),
            line: None,
            text: format!("{} {}", values[doubt.value].name(), doubt.text),
        })
        .collect();
    warnings.extend(
        values
            .iter()
            .filter(|value| value.found != Found::Exactly)
            .map(|value| Warning {
                file: name.clone(),
                line: None,
                text: format!("{} {}", value.name(), value.why()),
            }),
    );
    if identity.is_empty() {
        warnings.push(Warning {
            file: name.clone(),
            line: None,
            text: "nothing is registered: nothing will be found".into(),
        });
    }
    warnings.extend(mode(&args.file, true));
    if args.json {
        return object(&File {
            file: &name,
            values: &values,
            spellings: detector.spellings(),
            warnings: &warnings,
        });
    }
    let mut page = Page::new();
    page.words(0, Look::Bold, &format!("{name}: {}", verdict(&warnings)));
    page.heading(&format!(
        "{}, looked for in {}",
        many(values.len(), "value"),
        many(detector.spellings(), "spelling")
    ));
    let rows: Vec<[String; 3]> = values
        .iter()
        .map(|value| {
            let last4 = value.last4.as_deref().map(|last4| format!("…{last4}"));
            [
                value.kind.to_string(),
                last4.unwrap_or_default(),
                value.how(),
            ]
        })
        .collect();
    page.table([Look::Bold, Look::Plain, Look::Plain], &rows);
    tell(&mut page, &warnings);
    page.write();
    Ok(0)
}

/// Tells all faults; the last is what the command ends with.
fn refuse(mut faults: Vec<ConfigError>) -> Result<(), Failure> {
    let Some(last) = faults.pop() else {
        return Ok(());
    };
    faults.iter().for_each(say);
    Err(last.into())
}

fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::Input(format!("{}: {}", path.display(), reason(&error))))
}

/// What others may do with the file.
fn mode(path: &Path, secret: bool) -> Option<Warning> {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mode = found.permissions().mode() & 0o777;
    let what = match (mode & 0o022 != 0, mode & 0o044 != 0) {
        (true, _) => "change",
        (false, true) if secret => "read",
        _ => return None,
    };
    let name = path.display().to_string();
    let wanted = if secret { "600" } else { "644" };
    Some(Warning {
        text: format!(
            "other users of this machine can {what} it (mode {mode:04o}): chmod {wanted} {name}"
        ),
        file: name,
        line: None,
    })
}

fn is_public_suffix(name: &str) -> bool {
    let suffix = psl::suffix(name.as_bytes());
    suffix.is_some_and(|suffix| suffix.is_known() && suffix == name)
}

/// On Linux an app is the name or the path of its executable, or a user.
fn no_such_app(app: &str) -> Option<String> {
    if app == "system" {
        return Some(
            "only Android has system apps; on Linux use the executable's name or uid:0".into(),
        );
    }
    let parts = app.split('.');
    let package = parts.clone().count() >= 3
        && parts.clone().all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
    package.then(|| {
        format!("{app:?} looks like an Android package; on Linux use the executable's name or path")
    })
}

fn tell(page: &mut Page, warnings: &[Warning]) {
    if !warnings.is_empty() {
        page.heading("warnings");
    }
    for warning in warnings {
        let text = match warning.line {
            Some(line) => format!("{}:{line}: {}", warning.file, warning.text),
            None => warning.text.clone(),
        };
        page.words(STEP, Look::Yellow, &text);
    }
}

fn verdict(warnings: &[Warning]) -> String {
    match warnings.len() {
        0 => "sound".into(),
        warnings => format!("usable, {}", many(warnings, "warning")),
    }
}

fn counted([allow, ask, block]: [usize; 3]) -> String {
    let parts: Vec<String> = [(allow, "allow"), (ask, "ask"), (block, "block")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, action)| format!("{count} {action}"))
        .collect();
    match parts.is_empty() {
        true => "none".into(),
        false => parts.join(", "),
    }
}

fn many(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

fn object(value: &impl Serialize) -> Result<u8, Failure> {
    let line = serde_json::to_string(value).expect("names and numbers only");
    // A closed stdout is nobody's loss.
    let _ = writeln!(std::io::stdout(), "{line}");
    Ok(0)
}

#[derive(Serialize)]
struct Policy<'a> {
    file: &'a str,
    connection_rules: Actions,
    identifier_rules: Actions,
    default: std::collections::BTreeMap<&'static str, Action>,
    lists: &'a [List],
    warnings: &'a [Warning],
}

#[derive(Serialize)]
struct Actions {
    allow: usize,
    ask: usize,
    block: usize,
}

impl Actions {
    fn new([allow, ask, block]: [usize; 3]) -> Actions {
        Actions { allow, ask, block }
    }
}

#[derive(Serialize)]
struct List {
    list: String,
    names: usize,
    rejected: usize,
    first_rejected: Vec<Rejected>,
}

#[derive(Serialize)]
struct Rejected {
    line: usize,
    reason: String,
}

#[derive(Serialize)]
struct Warning {
    file: String,
    line: Option<u32>,
    text: String,
}

#[derive(Serialize)]
struct File<'a> {
    file: &'a str,
    values: &'a [Value],
    spellings: usize,
    warnings: &'a [Warning],
}

#[derive(Serialize)]
struct Value {
    kind: Kind,
    last4: Option<String>,
    spellings: usize,
    found: Found,
}

/// How a value is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    /// As written, and in its other spellings.
    Exactly,
    /// In other spellings alone.
    InPart,
    NotYet,
}

impl Value {
    fn name(&self) -> String {
        match &self.last4 {
            Some(last4) => format!("{} …{last4}", self.kind),
            None => self.kind.to_string(),
        }
    }

    fn how(&self) -> String {
        match self.found {
            Found::Exactly => format!("exactly, in {}", many(self.spellings, "spelling")),
            Found::InPart => format!(
                "not as written; in {}",
                many(self.spellings, "other spelling")
            ),
            Found::NotYet => "not yet".into(),
        }
    }

    fn why(&self) -> &'static str {
        match (&self.kind, self.found) {
            (Kind::Location, _) => {
                "is not looked for yet: places are found by distance, which is not built"
            }
            (Kind::InstalledApps, _) => {
                "is not looked for yet: lists are found by how much of them is sent, which is not built"
            }
            (_, Found::InPart) => {
                "is not found as written: it has under 8 characters, and would be found by chance"
            }
            _ => "is not looked for: it has under 8 characters, and would be found by chance",
        }
    }
}
