//! An identity file, looked over.

use serde::Serialize;
use untold::{
    Detector, Identity,
    detect::{Registered, Sighting},
    event::Kind,
};

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
            found: Found::of(value),
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
    warnings.extend(values.iter().filter_map(|value| {
        Some(Warning {
            file: name.clone(),
            line: None,
            text: format!("{} {}", value.name(), value.why()?),
        })
    }));
    if identity.is_empty() {
        warnings.push(Warning {
            file: name.clone(),
            line: None,
            text: "nothing is registered: only what looks like an identifier will be found".into(),
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
    /// In other spellings anywhere; as written beside its name.
    InPart,
    /// Beside its name, or with another value.
    BesideName,
    /// By its distance.
    Near,
    /// By how many of its items are in one message.
    Together,
}

impl Found {
    fn of(value: &Registered) -> Found {
        match (&value.kind, value.plain, value.spellings) {
            (Kind::Location, ..) => Found::Near,
            (Kind::InstalledApps, ..) => Found::Together,
            (_, true, _) => Found::Exactly,
            (_, false, 0) => Found::BesideName,
            (_, false, _) => Found::InPart,
        }
    }
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
                "in {}, and as written beside its name",
                many(self.spellings, "other spelling")
            ),
            Found::BesideName => "beside its name".into(),
            Found::Near => "pairs within 200 m".into(),
            Found::Together => format!(
                "{} of {} in one message",
                Sighting::PARTS,
                many(self.spellings, "package")
            ),
        }
    }

    fn why(&self) -> Option<&'static str> {
        match self.found {
            Found::InPart | Found::BesideName => Some(
                "has under 8 characters: as written it counts only as a whole field with a name of its kind, or with \
                 another of your values in the same message",
            ),
            Found::Together if self.spellings < Sighting::PARTS => {
                Some("is never found: it takes five packages in one message, and there are fewer")
            }
            Found::Exactly | Found::Near | Found::Together => None,
        }
    }
}
