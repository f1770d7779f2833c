//! Questions to a person, and the answers that are remembered.

use crate::event::{Action, QuestionNumber, Scope};

/// A person's word on a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `Allow` or `Block`; `Ask` counts as `Block`.
    pub action: Action,
    /// How far it reaches.
    pub scope: Scope,
}

impl super::Engine {
    /// A person's answer to the question of an [`Event::Ask`](crate::event::Event::Ask). One that is settled already is
    /// ignored.
    pub fn answer(&mut self, _question: QuestionNumber, _answer: Answer, now: super::Now) {
        self.now = now;
    }
}
