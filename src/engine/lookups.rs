//! Questions of a captured DNS flow, and the answers to them.

use std::{collections::VecDeque, sync::Arc};

use crate::event::Proto;

/// The questions of a DNS flow, and the messages of a TCP one in both directions.
#[derive(Default)]
pub(super) struct Lookups {
    pub(super) outbound: Framing,
    pub(super) inbound: Framing,
    /// The latest, oldest first.
    open: VecDeque<([u8; 2], Arc<str>)>,
    /// Whether questions are in the capture at all.
    pub(super) heard: bool,
}

impl Lookups {
    pub(super) fn ask(&mut self, id: [u8; 2], name: Arc<str>) {
        self.heard = true;
        if self.open.len() >= MOST_QUESTIONS {
            self.open.pop_front();
        }
        self.open.push_back((id, name));
    }

    /// Whether an answer belongs to a question, which it then closes. Where only answers were captured, each counts.
    pub(super) fn is_answer(&mut self, id: [u8; 2], name: &str) -> bool {
        let asked = self
            .open
            .iter()
            .position(|(open, asked)| *open == id && **asked == *name);
        if let Some(index) = asked {
            self.open.remove(index);
        }
        asked.is_some() || !self.heard
    }
}

/// DNS messages in a byte stream (RFC 1035 section 4.2.2).
#[derive(Default)]
pub(super) struct Framing {
    partial: Vec<u8>,
    lost: bool,
}

impl Framing {
    /// The messages that `bytes` complete; a datagram is one.
    pub(super) fn messages(&mut self, proto: Proto, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        if proto != Proto::Tcp {
            messages.push(bytes.to_vec());
        } else if !self.lost {
            self.partial.extend_from_slice(bytes);
            let mut rest = &self.partial[..];
            while let Some((len, after)) = rest.split_first_chunk()
                && let Some((message, after)) =
                    after.split_at_checked(u16::from_be_bytes(*len).into())
            {
                messages.push(message.to_vec());
                rest = after;
            }
            let done = self.partial.len() - rest.len();
            self.partial.drain(..done);
        }
        messages
    }

    /// Where a message begins is not known any more.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        self.partial = Vec::new();
    }
}

/// Unanswered questions kept per flow.
const MOST_QUESTIONS: usize = 64;
