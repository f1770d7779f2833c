//! Why there is no verdict, and the exit status that says so.

use std::{fmt, io::Write, panic::Location};

use untold::ConfigError;

/// Bad usage or input.
pub const INPUT: u8 = 2;
/// The machine cannot do it.
pub const MACHINE: u8 = 3;

/// What ends a command early: one line for a person.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The person can mend it: usage or a file.
    Input(String),
    /// The machine lacks something.
    Machine(String),
}

impl Failure {
    pub fn status(&self) -> u8 {
        match self {
            Failure::Input(_) => INPUT,
            Failure::Machine(_) => MACHINE,
        }
    }

    /// A machine that cannot do something, with what it says about it but for error numbers.
    pub fn machine(what: impl fmt::Display) -> Failure {
        let mut words = what.to_string();
        while let Some(start) = words.find(" (os error ") {
            let end = words[start..]
                .find(')')
                .map_or(words.len(), |at| start + at + 1);
            words.replace_range(start..end, "");
        }
        Failure::Machine(words)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Input(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Input(reason) | Failure::Machine(reason)) = self;
        // One line, whatever a file name or a parser put into it.
        let words: Vec<&str> = reason
            .split(['\n', '\r'])
            .filter(|line| !line.is_empty())
            .collect();
        f.write_str(&words.join(" "))
    }
}

/// Writes a failure's line.
pub fn complain(failure: &Failure) {
    say(failure);
}

/// Writes one line of ours to stderr; a closed stderr is nobody's loss.
pub fn say(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{}untold: {line}", crate::ask::over());
}

/// Says where a panic happened, and nothing of what it was about: its text could hold an identifier.
pub fn report_panic(location: Option<&Location<'_>>) {
    match location {
        Some(at) => say(format_args!(
            "internal error at {}:{}:{}: please report it",
            at.file(),
            at.line(),
            at.column()
        )),
        None => say("internal error: please report it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_with_its_place() {
        let error = ConfigError::at("p.toml", "[default]\nleek = 1\n", 10, "unknown key");
        let failure = Failure::from(error);
        assert_eq!(failure.to_string(), "p.toml:2:1: unknown key");
        assert_eq!(failure.status(), INPUT);
        assert_eq!(Failure::Machine("a\nb".into()).to_string(), "a b");
        let numbered = Failure::machine("open x: no such file (os error 2): make it");
        assert_eq!(numbered.to_string(), "open x: no such file: make it");
    }
}
