//! What a question looks like, and what may be typed in answer.

use untold::event::{Action, AskEvent, NameSource, Scope};

use crate::{
    paint::{Look, Paint},
    print::{chain, destination, place, plain, what, word},
};

/// The lines of a question, for a terminal of `paint.width` columns; `more` questions wait behind it.
pub fn question(paint: Paint, asked: &AskEvent, more: usize) -> String {
    let width = paint.width.unwrap_or(USUAL_WIDTH).max(NARROWEST);
    let heading = match more {
        0 => "untold asks".to_owned(),
        1 => "untold asks (1 more question waits)".to_owned(),
        more => format!("untold asks ({more} more questions wait)"),
    };
    let mut text = format!("\n{}\n", paint.paint(Look::Yellow, heading));
    let mut field = |label: &str, look: Look, value: &str| {
        let clean: String = value
            .chars()
            .map(|c| if plain(c) { c } else { '\u{fffd}' })
            .collect();
        for (n, line) in wrap(&clean, width.saturating_sub(INDENT))
            .iter()
            .enumerate()
        {
            let label = if n == 0 { label } else { "" };
            let label = format!("  {label:<6}");
            text.push_str(&format!("{label}{}\n", paint.paint(look, line)));
        }
    };
    field("who", Look::Bold, asked.app.as_deref().unwrap_or("unknown"));
    field(
        "to",
        Look::Bold,
        &format!("{}, {}", whither(asked), word(&asked.proto)),
    );
    match &asked.findings[..] {
        [] => field(
            "what",
            Look::Plain,
            "a connection; what it will carry is not known yet",
        ),
        findings => {
            let shown = findings.len().min(MOST_SHOWN);
            for (n, found) in findings[..shown].iter().enumerate() {
                let label = if n == 0 { "sends" } else { "" };
                field(
                    label,
                    Look::Plain,
                    &format!(
                        "{}  {}  {}",
                        what(found).trim_end(),
                        chain(found),
                        place(found)
                    ),
                );
            }
            if findings.len() > shown {
                field(
                    "",
                    Look::Plain,
                    &format!("and {} more", findings.len() - shown),
                );
            }
        }
    }
    field("rule", Look::Dim, &asked.rule);
    field("", Look::Plain, HOW);
    text
}

/// What the person may do, for one who typed something else.
pub fn hint(width: Option<usize>) -> String {
    let width = width.unwrap_or(USUAL_WIDTH).max(NARROWEST);
    let lines = wrap(HOW, width.saturating_sub(INDENT));
    lines
        .iter()
        .map(|line| format!("{:INDENT$}{line}\n", ""))
        .collect()
}

/// The last line: what happens when, and what was typed so far; never as wide as the terminal.
pub fn status(width: Option<usize>, fallback: Action, seconds: u64, typed: &str) -> String {
    let line = format!("  {} in {seconds} s > {typed}", done(fallback));
    let most = width.unwrap_or(USUAL_WIDTH).max(NARROWEST) - 1;
    let length = line.chars().count();
    line.chars().skip(length.saturating_sub(most)).collect()
}

/// What an answer came to.
pub fn outcome(action: Action, scope: Scope) -> String {
    let reach = match scope {
        Scope::Once => "once",
        Scope::Flow => "for this flow",
        Scope::Quarter => "for 15 minutes",
        Scope::Always => "always",
    };
    format!("{} {reach}", done(action))
}

/// What was done, in a word.
pub fn done(action: Action) -> &'static str {
    match action {
        Action::Allow => "allowed",
        Action::Ask | Action::Block => "blocked",
    }
}

/// Reads what was typed; nothing typed blocks.
pub fn read(typed: &str) -> Option<(Action, Scope)> {
    let typed = typed.to_ascii_lowercase();
    let words: Vec<&str> = typed.split_ascii_whitespace().collect();
    let (first, rest) = match &words[..] {
        [] => return Some((Action::Block, Scope::Once)),
        [first, rest @ ..] => (*first, rest.join(" ")),
    };
    let begins = |whole: &str, part: &str| whole.starts_with(part);
    let action = match first {
        first if begins("allow", first) || begins("yes", first) => Action::Allow,
        first if begins("block", first) || begins("no", first) => Action::Block,
        _ => return None,
    };
    let scope = match &*rest {
        "" => Scope::Once,
        "15" | "15m" | "15 m" | "15 min" | "15 minutes" => Scope::Quarter,
        rest if begins("once", rest) => Scope::Once,
        rest if begins("flow", rest) || begins("this flow", rest) => Scope::Flow,
        rest if begins("always", rest) => Scope::Always,
        _ => return None,
    };
    Some((action, scope))
}

/// A line as it is typed.
#[derive(Default)]
pub struct Line {
    text: String,
    /// Within the sequence that an arrow or function key sends.
    escape: bool,
}

/// What a key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Nothing,
    Changed,
    /// Enter; the line starts anew.
    Entered(String),
    Interrupt,
}

impl Line {
    /// Takes one byte in.
    pub fn key(&mut self, byte: u8) -> Key {
        if self.escape {
            self.escape = matches!(byte, b'[' | b'O' | b'0'..=b'9' | b';');
            return Key::Nothing;
        }
        match byte {
            b'\n' | b'\r' => Key::Entered(std::mem::take(&mut self.text)),
            3 | 28 => Key::Interrupt,
            8 | 127 => self.text.pop().map_or(Key::Nothing, |_| Key::Changed),
            // Ctrl-U
            21 => {
                self.text.clear();
                Key::Changed
            }
            27 => {
                self.escape = true;
                Key::Nothing
            }
            b' '..=b'~' if self.text.len() < LONGEST => {
                self.text.push(char::from(byte));
                Key::Changed
            }
            _ => Key::Nothing,
        }
    }

    /// What was typed so far.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Where it goes; a name that nobody but the flow gave is told as that.
fn whither(asked: &AskEvent) -> String {
    match (asked.name.as_deref(), asked.name_from) {
        (Some(name), Some(NameSource::Sni | NameSource::Quic | NameSource::Http)) => {
            format!("{} (calls itself {name})", destination(None, asked.dst))
        }
        (name, _) => destination(name, asked.dst),
    }
}

/// Lines of at most `width` columns, broken at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut column = 0;
    for part in text.split_inclusive(' ') {
        let bare = part.trim_end().chars().count();
        if column > 0 && column + bare > width {
            lines.push(String::new());
            column = 0;
        }
        for letter in part.chars() {
            if column == width {
                if letter == ' ' {
                    continue;
                }
                lines.push(String::new());
                column = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(letter);
            }
            column += 1;
        }
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// What the person may do.
const HOW: &str =
    "Enter blocks. Or type block or allow, and how far: once, flow, 15 (minutes) or always.";
const USUAL_WIDTH: usize = 80;
/// Columns below which lines break as they may.
const NARROWEST: usize = 24;
const INDENT: usize = 8;
/// Findings shown of one question.
const MOST_SHOWN: usize = 6;
/// Longest answer that can be typed.
const LONGEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::tests::asked;

    #[test]
    fn a_question_says_who_where_to_what_and_why() {
        let text = question(Paint::plain(Some(140)), &asked(), 0);
        assert_eq!(
            text,
            "\nuntold asks\n  who   curl\n  to    collector.example:80 (203.0.113.9), tcp\n  sends \
             imei           …7518  base64, then JSON  body, byte 214\n  rule  default.leak\n        \
             Enter blocks. Or type block or allow, and how far: once, flow, 15 (minutes) or always.\n"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_lines_that_fit_and_lose_nothing() {
        let mut long = asked();
        long.name = Some(format!("{}.collector.example", "a".repeat(63)).into());
        let flat = |text: &str| text.split_whitespace().collect::<String>();
        let whole = flat(&question(Paint::plain(Some(400)), &long, 2));
        for width in [24, 50, 80, 140] {
            let text = question(Paint::plain(Some(width)), &long, 2);
            assert!(
                text.lines()
                    .skip(2)
                    .all(|line| line.chars().count() <= width),
                "{text}"
            );
            assert_eq!(flat(&text), whole);
            let status = status(Some(width), Action::Block, 27, "allow always");
            assert!(status.chars().count() < width && status.ends_with("allow always"));
        }
    }

    #[test]
    fn a_question_about_a_connection_and_a_claimed_name_say_so() {
        let connection = AskEvent {
            findings: Vec::new(),
            name_from: Some(NameSource::Sni),
            app: None,
            ..asked()
        };
        let text = question(Paint::plain(None), &connection, 1);
        assert!(
            text.contains("203.0.113.9:80 (calls itself collector.example), tcp"),
            "{text}"
        );
        assert!(
            text.contains("a connection") && text.contains("who   unknown"),
            "{text}"
        );
        assert!(text.contains("(1 more question waits)"));
    }

    #[test]
    fn nothing_that_a_program_calls_itself_moves_the_cursor() {
        let hostile = AskEvent {
            app: Some("x\u{1b}[2J\r\n\u{202e}".into()),
            name: Some("a\u{7}.example".into()),
            ..asked()
        };
        let text = question(Paint::plain(Some(80)), &hostile, 0);
        assert!(text.chars().all(|c| c == '\n' || plain(c)), "{text:?}");
    }

    #[test]
    fn answers_are_words_or_their_beginnings() {
        let table = [
            ("", Some((Action::Block, Scope::Once))),
            ("b", Some((Action::Block, Scope::Once))),
            ("no", Some((Action::Block, Scope::Once))),
            ("a", Some((Action::Allow, Scope::Once))),
            ("  Allow  Once ", Some((Action::Allow, Scope::Once))),
            ("allow flow", Some((Action::Allow, Scope::Flow))),
            ("allow this flow", Some((Action::Allow, Scope::Flow))),
            ("a 15", Some((Action::Allow, Scope::Quarter))),
            ("yes 15 minutes", Some((Action::Allow, Scope::Quarter))),
            ("block always", Some((Action::Block, Scope::Always))),
            ("a a", Some((Action::Allow, Scope::Always))),
            ("always", None),
            ("allow for ever", None),
            ("allowed", None),
            ("x", None),
            ("15", None),
        ];
        for (typed, expected) in table {
            assert_eq!(read(typed), expected, "{typed:?}");
        }
    }

    #[test]
    fn a_line_can_be_mended_and_keys_that_type_nothing_do_nothing() {
        let mut line = Line::default();
        for byte in b"alx\x7flow\x1b[A\x1bOP\x1b[15~ a\x01\xff" {
            line.key(*byte);
        }
        assert_eq!(line.text(), "allow a");
        assert_eq!(line.key(b'\r'), Key::Entered("allow a".into()));
        for _ in 0..100 {
            line.key(b'a');
        }
        assert_eq!(line.text().len(), LONGEST);
        line.key(21);
        assert_eq!(line.key(8), Key::Nothing);
        assert_eq!(line.text(), "");
        assert_eq!(line.key(3), Key::Interrupt);
    }
}
