//! An identity file, looked over.

use serde::Serialize;
use untold::{Detector, Identity, event::Kind};

use super::{Warning, many, mode, object, refuse, tell, text, verdict};
use crate::{args, failure::Failure, page::Page, paint::Look};

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
