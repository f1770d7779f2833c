//! Errors of construction. Packets never error: a malformed one is counted and dropped.

use std::{fmt, sync::Arc};

/// A file of the person's that cannot be used: where and why, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// File name as given.
    pub file: Arc<str>,
    /// Line, from 1; none when the file as a whole is at fault.
    pub line: Option<u32>,
    /// Column in characters, from 1.
    pub column: Option<u32>,
    /// What is wrong and what would be right. Never quotes an identifier.
    pub reason: String,
}

impl ConfigError {
    /// An error about a whole file.
    pub fn file(file: impl Into<Arc<str>>, reason: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
            reason: reason.into(),
        }
    }

    /// An error at a byte offset of `text`.
    pub fn at(
        file: impl Into<Arc<str>>,
        text: &str,
        offset: usize,
        reason: impl Into<String>,
    ) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self {
            file: file.into(),
            line: u32::try_from(line).ok(),
            column: u32::try_from(column).ok(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.reason)
    }
}
