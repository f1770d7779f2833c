//! Colours and widths of a terminal.

use std::{
    env,
    fmt::{self, Display},
    io::IsTerminal,
};

/// Where lines for people go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Stdout,
    Stderr,
}

/// How lines for people look there.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colour: bool,
    /// Columns; none where it is no terminal.
    pub width: Option<usize>,
}

/// A look of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Paint {
    /// Looks at the terminal, `NO_COLOR` and `TERM`.
    pub fn new(to: To) -> Paint {
        let mut table = comfy_table::Table::new();
        let terminal = match to {
            To::Stdout => std::io::stdout().is_terminal(),
            To::Stderr => {
                table.use_stderr();
                std::io::stderr().is_terminal()
            }
        };
        let width = if terminal {
            table.width().map(usize::from).filter(|&width| width > 0)
        } else {
            None
        };
        Paint {
            colour: terminal && wanted(),
            width,
        }
    }

    /// For a terminal of this width.
    pub fn terminal(width: Option<usize>) -> Paint {
        Paint {
            colour: wanted(),
            width,
        }
    }

    /// Text without colour, for any width.
    #[cfg(test)]
    pub fn plain(width: Option<usize>) -> Paint {
        Paint {
            colour: false,
            width,
        }
    }

    /// `text` with a look, which takes no columns.
    pub fn paint<T: Display>(self, look: Look, text: T) -> Painted<T> {
        Painted {
            look: if self.colour { look } else { Look::Plain },
            text,
        }
    }
}

fn wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Text with a look. A width in the format is of the text alone.
#[derive(Debug)]
pub struct Painted<T> {
    look: Look,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.look {
            Look::Plain => return self.text.fmt(f),
            Look::Bold => "1",
            Look::Dim => "2",
            Look::Red => "1;31",
            Look::Green => "1;32",
            Look::Yellow => "1;33",
            Look::Cyan => "36",
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_takes_no_columns_and_none_is_sent_where_none_is_wanted() {
        let coloured = Paint {
            colour: true,
            width: None,
        };
        assert_eq!(
            format!("{:>5}|", coloured.paint(Look::Red, "ab")),
            "\x1b[1;31m   ab\x1b[0m|"
        );
        assert_eq!(
            format!("{:<5}|", Paint::plain(None).paint(Look::Red, "ab")),
            "ab   |"
        );
    }
}
