//! Text for people, laid out for a width.

use std::io::{self, Write};

use crate::paint::{Look, Paint, To};

/// Lines that are put together first and then written at once.
pub struct Page {
    paint: Paint,
    text: String,
}

impl Page {
    /// A page for stdout.
    pub fn new() -> Page {
        Page::with(Paint::new(To::Stdout))
    }

    /// A page that looks so.
    pub fn with(paint: Paint) -> Page {
        Page {
            paint,
            text: String::new(),
        }
    }

    /// A heading, with an empty line before it.
    pub fn heading(&mut self, text: &str) {
        self.text
            .push_str(&format!("\n{}\n", self.paint.paint(Look::Bold, text)));
    }

    /// Words from `indent` on; lines after the first a step further in.
    pub fn words(&mut self, indent: usize, look: Look, text: &str) {
        let mut cells = Cells::default();
        cells.put(look, text);
        self.cells(indent, &cells);
    }

    /// Painted words from `indent` on; lines after the first a step further in.
    pub fn cells(&mut self, indent: usize, cells: &Cells) {
        let width = self.paint.width.unwrap_or(usize::MAX);
        let (mut indent, mut at) = (indent, 0);
        let mut run = (Look::Plain, String::new());
        for (look, word) in &cells.0 {
            let wide = word.chars().count();
            let fits = at == 0 || at + 1 + wide <= width;
            let gap = if at > 0 && fits { " " } else { "" };
            if !fits || run.0 != *look {
                self.run(&mut run);
                run.0 = *look;
            }
            if !fits {
                self.text.push('\n');
                at = 0;
            }
            if at == 0 {
                self.text.push_str(&" ".repeat(indent));
                at = indent;
                indent = if fits { indent + STEP } else { indent };
            }
            if run.1.is_empty() {
                self.text.push_str(gap);
            } else {
                run.1.push_str(gap);
            }
            run.1.push_str(word);
            at += gap.len() + wide;
        }
        self.run(&mut run);
        self.text.push('\n');
    }

    /// Writes out the words of one look.
    fn run(&mut self, (look, words): &mut (Look, String)) {
        if !words.is_empty() {
            let painted = self.paint.paint(*look, std::mem::take(words));
            self.text.push_str(&painted.to_string());
        }
    }

    /// Rows of columns, each as wide as its widest field but for the last, which goes on in lines of its own.
    pub fn table<const N: usize>(&mut self, looks: [Look; N], rows: &[[String; N]]) {
        let mut widths = [0; N];
        for (column, width) in widths.iter_mut().enumerate() {
            let fields = rows.iter().map(|row| row[column].chars().count());
            *width = fields.max().unwrap_or(0);
        }
        let last = STEP
            + widths[..N - 1]
                .iter()
                .map(|width| width + GAP)
                .sum::<usize>();
        for row in rows {
            self.text.push_str(&" ".repeat(STEP));
            for column in 0..N - 1 {
                let width = widths[column] + GAP;
                let field = self
                    .paint
                    .paint(looks[column], format!("{:<width$}", row[column]));
                self.text.push_str(&field.to_string());
            }
            let mut cells = Cells::default();
            cells.put(looks[N - 1], &row[N - 1]);
            let room = self
                .paint
                .width
                .map_or(usize::MAX, |width| width.saturating_sub(last));
            let below = room < LEAST_ROOM.min(row[N - 1].chars().count());
            let mut inner = Page::with(self.paint);
            inner.cells(if below { STEP * 2 } else { last }, &cells);
            match below {
                true => self.text = format!("{}\n{}", self.text.trim_end(), inner.text),
                false => self.text.push_str(inner.text.trim_start_matches(' ')),
            }
        }
    }

    /// A line as it is.
    pub fn line(&mut self, indent: usize, look: Look, text: &str) {
        let text = self.paint.paint(look, text);
        self.text.push_str(&format!("{:indent$}{text}\n", ""));
    }

    /// Writes it out; a closed stdout is nobody's loss.
    pub fn write(self) {
        let mut out = io::stdout();
        let _ = out.write_all(self.text.as_bytes());
        let _ = out.flush();
    }

    #[cfg(test)]
    pub fn into_text(self) -> String {
        self.text
    }
}

/// Words with looks.
#[derive(Default)]
pub struct Cells(Vec<(Look, String)>);

impl Cells {
    /// Adds the words of a text.
    pub fn put(&mut self, look: Look, text: &str) -> &mut Cells {
        let words = text.split(' ').filter(|word| !word.is_empty());
        self.0.extend(words.map(|word| (look, word.to_owned())));
        self
    }
}

/// Columns of one indentation.
pub const STEP: usize = 2;
/// Columns between two fields.
const GAP: usize = 2;
/// Columns below which a last field goes under its row.
const LEAST_ROOM: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_broken_at_the_width_and_nowhere_without_one() {
        let text = "one two three four five";
        let laid = |width| {
            let mut page = Page::with(Paint::plain(width));
            page.words(2, Look::Plain, text);
            page.into_text()
        };
        assert_eq!(laid(None), "  one two three four five\n");
        assert_eq!(laid(Some(12)), "  one two\n    three\n    four\n    five\n");
    }

    #[test]
    fn columns_are_aligned_and_a_long_last_field_stays_in_its_column_or_goes_under() {
        let rows = [
            [
                "a".to_owned(),
                "bbbb".to_owned(),
                "the last of them is long enough to be broken".to_owned(),
            ],
            ["aaa".to_owned(), "b".to_owned(), "short".to_owned()],
        ];
        let laid = |width| {
            let mut page = Page::with(Paint::plain(width));
            page.table([Look::Plain; 3], &rows);
            page.into_text()
        };
        let wide = laid(None);
        assert_eq!(wide.lines().count(), 2);
        assert_eq!(wide.lines().nth(1), Some("  aaa  b     short"));
        for width in [60, 44, 30] {
            let text = laid(Some(width));
            assert!(
                text.lines().all(|line| line.chars().count() <= width),
                "{width}:\n{text}"
            );
            assert_eq!(
                text.split_whitespace().collect::<Vec<_>>(),
                wide.split_whitespace().collect::<Vec<_>>()
            );
        }
        assert!(
            laid(Some(30)).starts_with("  a    bbbb\n    the last"),
            "{}",
            laid(Some(30))
        );
    }
}
