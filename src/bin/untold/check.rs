//! A policy or an identity file, looked over.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path};

use serde::Serialize;
use untold::ConfigError;

use crate::{
    failure::{Failure, say},
    load::reason,
    page::{Page, STEP},
    paint::Look,
};

pub use identity::identity;
pub use policy::policy;

mod identity;
mod policy;

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
struct Warning {
    file: String,
    line: Option<u32>,
    text: String,
}
