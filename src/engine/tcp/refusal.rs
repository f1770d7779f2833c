//! Ends that the app is told of at once.

use std::io::ErrorKind;

use crate::{
    engine::Engine,
    event::Failure,
    flow::Key,
    wire::{self, Flags, MAX_HEADER, Pair, Segment, TcpOut, Unreachable},
};

impl Engine {
    /// Ends a blocked flow: a reset for the app, nothing more for the remote end.
    pub(super) fn block(&mut self, key: Key) {
        self.reset_app(key);
        self.end_flow(key, true);
    }

    pub(super) fn reset_app(&mut self, key: Key) {
        if let Some(flow) = self.flows.get(key) {
            let (seq, ack) = flow.tcp.reset_numbers();
            self.bare_segment(flow.record.pair(), seq, ack, Flags::RST | Flags::ACK);
        }
    }

    /// The proxy did not make the connection: tells the app so.
    pub(super) fn fail_flow(&mut self, key: Key, failure: Failure) {
        if let Some(flow) = self.flows.get_mut(key) {
            flow.record.failure = Some(failure);
        }
        // What the remote end is the reason of is told as often as it happens, as without a proxy.
        let remote = matches!(
            failure,
            Failure::Refused | Failure::Unreachable | Failure::Timeout
        );
        match remote || self.is_told_again(key) {
            true => self.refuse_flow(key, failure.as_error()),
            false => self.end_flow(key, true),
        }
    }

    /// The upstream connection could not be made: tells the app so.
    pub(super) fn refuse_flow(&mut self, key: Key, why: ErrorKind) {
        let Some(flow) = self.flows.get(key) else {
            return;
        };
        let pair = flow.record.pair();
        let (_, next) = flow.tcp.reset_numbers();
        let why = match why {
            ErrorKind::NetworkUnreachable => Some(Unreachable::Network),
            ErrorKind::HostUnreachable | ErrorKind::TimedOut => Some(Unreachable::Host),
            ErrorKind::PermissionDenied => Some(Unreachable::AdminProhibited),
            _ => None,
        };
        match why {
            None => self.bare_segment(pair, 0, next, Flags::RST | Flags::ACK),
            Some(why) => {
                // The SYN itself is gone; its headers are all that the app's kernel looks at.
                let mut header = [0; MAX_HEADER];
                let syn = TcpOut {
                    pair,
                    seq: next.wrapping_sub(1),
                    ack: 0,
                    flags: Flags::SYN,
                    window: 0,
                    mss: None,
                    window_scale: None,
                };
                let n = wire::emit_tcp(&mut header, &syn, &[]);
                self.control
                    .push(|out| wire::emit_unreachable(out, why, header.get(..n).unwrap_or(&[])));
            }
        }
        self.end_flow(key, true);
    }

    /// Resets whoever sent a segment that belongs to nothing (RFC 9293 section 3.5.2).
    pub(super) fn refuse_segment(&mut self, segment: &Segment) {
        if segment.flags.contains(Flags::ACK) {
            self.bare_segment(segment.pair, segment.ack, 0, Flags::RST);
        } else {
            let len = segment.payload.len() as u32 + u32::from(segment.flags.contains(Flags::SYN));
            self.bare_segment(
                segment.pair,
                0,
                segment.seq.wrapping_add(len),
                Flags::RST | Flags::ACK,
            );
        }
    }

    /// A bare segment back to the app of `pair`.
    pub(super) fn bare_segment(&mut self, pair: Pair, seq: u32, ack: u32, flags: Flags) {
        let tcp = TcpOut {
            pair: pair.reversed(),
            seq,
            ack,
            flags,
            window: 0,
            mss: None,
            window_scale: None,
        };
        self.control.push(|out| {
            let mut header = [0; MAX_HEADER];
            let n = wire::emit_tcp(&mut header, &tcp, &[]);
            out.extend_from_slice(header.get(..n).unwrap_or(&[]));
            true
        });
    }
}
