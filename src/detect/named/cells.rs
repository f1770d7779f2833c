//! Radio cells and areas: their names are short and mean other things too, so something beside them must say that a cell
//! is meant.

use super::{PAIR, Search};
use crate::{
    detect::{fields::Token, names::Entry, shapes},
    event::{Kind, Spelling},
};

/// Fields about radio cells in one text.
#[derive(Default)]
pub(super) struct Cells<'s> {
    /// The last two fields of different names that say that a radio cell is meant.
    said: [Option<(&'s Entry, Token)>; 2],
    /// Numbers for which that was not said yet.
    waiting: Vec<Cell<'s>>,
}

/// A number that may be a cell or an area.
struct Cell<'s> {
    entry: &'s Entry,
    token: Token,
    kind: Kind,
}

impl<'s> Search<'s> {
    /// A cell or area that counts if something near says that a radio cell is meant, or if it is registered.
    pub(super) fn cell(&mut self, entry: &'s Entry, token: Token, kind: Kind) {
        let text = &self.text[token.range()];
        if let Some(short) = self.named.short(&kind, text) {
            self.tell(token, token.start, true, short.clone());
            return self.radio(entry, token);
        }
        let text = std::str::from_utf8(text).unwrap_or_default();
        if shapes::radio_number(kind.clone(), text).is_none() {
            return;
        }
        let said = self.cells.said.iter().flatten();
        let near = said
            .filter(|(other, _)| !std::ptr::eq(*other, entry))
            .any(|(_, said)| token.end - said.start <= PAIR);
        self.radio(entry, token);
        let cell = Cell { entry, token, kind };
        if near {
            self.tell_cell(&cell, token);
        } else if self.cells.waiting.len() < MOST_WAITING {
            self.cells.waiting.push(cell);
        }
    }

    /// A field that says that a radio cell is meant.
    pub(super) fn radio(&mut self, entry: &'s Entry, token: Token) {
        let waiting = std::mem::take(&mut self.cells.waiting);
        for cell in waiting {
            if token.end - cell.token.start > PAIR {
                continue;
            }
            if std::ptr::eq(cell.entry, entry) {
                self.cells.waiting.push(cell);
            } else {
                self.tell_cell(&cell, token);
            }
        }
        let [last, before] = &mut self.cells.said;
        if last.is_some_and(|(known, _)| !std::ptr::eq(known, entry)) {
            *before = *last;
        }
        *last = Some((entry, token));
    }

    /// Tells of a cell; `last` is the last field that was needed to know it for one.
    fn tell_cell(&mut self, cell: &Cell<'_>, last: Token) {
        let text = std::str::from_utf8(&self.text[cell.token.range()]).unwrap_or_default();
        if let Some(value) = shapes::radio_number(cell.kind.clone(), text) {
            let sighting = self.sighting(&value, Spelling::Plain);
            self.push(cell.token, cell.token.start, last, true, sighting);
        }
    }
}

/// Numbers that wait for what says that they are cells.
const MOST_WAITING: usize = 4;
