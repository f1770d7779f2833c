use super::{
    Context, Gate, Step,
    piece::{Piece, Tail, Wire},
    scanner::Scanner,
    stream::Stream,
};
use crate::{
    event::{NameSource, Opaque, Place, Proto, Wrapper},
    sniff::{self, Coap, Initials, Questions},
};

impl Stream {
    /// A datagram, whole; `unreleased` of a datagram flow is always one datagram. State carries over between datagrams.
    pub fn datagram(&mut self, payload: &[u8], cx: &mut Context<'_>) -> Step {
        self.lent(cx, |stream, cx| stream.judge_datagram(payload, cx))
    }

    fn judge_datagram(&mut self, payload: &[u8], cx: &mut Context<'_>) -> Step {
        if self.stopped.is_some() {
            return self.closed(0);
        }
        self.unit.renew();
        self.unit.grant(payload.len());
        match self.quic(payload, cx) {
            Quic::Unread => {
                self.unread += payload.len() as u64;
                return Step {
                    release: payload.len(),
                    gate: Gate::Open,
                    wake: None,
                };
            }
            Quic::Stop => return self.closed(0),
            Quic::No => {}
        }
        if !sniff::is_long_header(payload) {
            self.opaque = None;
        }
        if sniff::is_dns_port(cx.facts.dst.port()) && self.proto == Proto::Udp {
            self.scan_query(payload, 0, cx);
        } else if let Some(coap) = self.coap(payload, cx) {
            let hosts = coap.hosts.iter().cloned();
            let hosts = hosts.filter_map(|host| sniff::host(&payload[host]));
            let hosts: Vec<_> = hosts.collect();
            if !hosts.is_empty() && self.name(&hosts, NameSource::Http, cx) {
                return self.closed(0);
            }
            self.scan_coap(payload, &coap, cx);
        } else {
            self.scan_part(Place::Datagram, payload, Wire::Stretch(0), 0, cx);
            self.scan_between(payload, cx);
        }
        if self.stops(cx) {
            return self.closed(0);
        }
        Step {
            release: payload.len(),
            gate: Gate::Open,
            wake: None,
        }
    }

    /// Searches a DNS message that begins at `start`: the names asked for, label by label and joined, and the rest.
    pub(super) fn scan_query(&mut self, message: &[u8], start: u64, cx: &mut Context<'_>) {
        let Some(questions) = Questions::parse(message) else {
            return self.scan_part(Place::Datagram, message, Wire::Stretch(start), start, cx);
        };
        for name in &questions.names {
            let first = start + name.start as u64;
            let bytes = &message[name.clone()];
            let dotted = Questions::dotted(bytes);
            self.scan_part(Place::Name, &dotted, Wire::Stretch(first + 1), first, cx);
            let (joined, origins) = Questions::joined(bytes);
            let origins: Vec<(usize, u64)> = origins
                .iter()
                .enumerate()
                .map(|(at, wire)| (at, first + *wire as u64))
                .collect();
            self.scan_part(Place::Name, &joined, Wire::Stretches(&origins), first, cx);
        }
        let rest = &message[questions.end..];
        self.scan_part(
            Place::Datagram,
            rest,
            Wire::Stretch(start + questions.end as u64),
            start,
            cx,
        );
    }

    fn coap(&self, payload: &[u8], cx: &Context<'_>) -> Option<Coap> {
        let udp = self.proto == Proto::Udp;
        udp.then(|| Coap::parse(payload, cx.facts.dst.port()))?
    }

    fn scan_coap(&mut self, message: &[u8], coap: &Coap, cx: &mut Context<'_>) {
        let chain = &[Wrapper::Coap];
        let joined = [
            (Place::Path, &coap.path, b"/"),
            (Place::Query, &coap.query, b"&"),
        ];
        for (place, parts, separator) in joined {
            let Some(first) = parts.first() else { continue };
            let (mut text, mut stretches) = (Vec::new(), Vec::new());
            for part in parts {
                if place == Place::Path || !text.is_empty() {
                    // It stands for the option's first byte or bytes.
                    stretches.push((text.len(), part.start as u64 - 1));
                    text.extend_from_slice(separator);
                }
                stretches.push((text.len(), part.start as u64));
                text.extend_from_slice(&message[part.clone()]);
            }
            let start = first.start as u64;
            self.scan_within(chain, place, &text, Wire::Stretches(&stretches), start, cx);
        }
        let others = [&coap.head]
            .into_iter()
            .chain(&coap.hosts)
            .chain(&coap.options);
        for part in others {
            let wire = Wire::Stretch(part.start as u64);
            self.scan_within(chain, Place::Header, &message[part.clone()], wire, 0, cx);
        }
        let payload = &message[coap.payload.clone()];
        let start = coap.payload.start as u64;
        self.scan_within(chain, Place::Body, payload, Wire::Stretch(start), start, cx);
        self.scan_between(payload, cx);
    }

    /// Searches for what began in the datagram before: the end of that, and the beginning of `text`.
    fn scan_between(&mut self, text: &[u8], cx: &mut Context<'_>) {
        let detector = &cx.rules.detector;
        let between = &mut self.datagrams.get_or_insert_default().between;
        if !between.carried().is_empty() {
            let near = text.len().min(detector.context());
            let tail = if near < text.len() {
                Tail::Open
            } else {
                Tail::Closed
            };
            let piece = Piece {
                text: &text[..near],
                known: 0,
                tail,
                wire: Wire::Stretch(0),
            };
            between.scan(&piece, detector, &mut self.unit);
        }
        between.absorb(text, 0, detector.context());
    }

    fn scan_part(
        &mut self,
        place: Place,
        text: &[u8],
        wire: Wire<'_>,
        start: u64,
        cx: &Context<'_>,
    ) {
        self.scan_within(&[], place, text, wire, start, cx);
    }

    fn scan_within(
        &mut self,
        wrappers: &'static [Wrapper],
        place: Place,
        text: &[u8],
        wire: Wire<'_>,
        start: u64,
        cx: &Context<'_>,
    ) {
        let piece = Piece {
            text,
            known: 0,
            tail: Tail::Closed,
            wire,
        };
        Scanner::new(place, wrappers, start).scan(&piece, &cx.rules.detector, &mut self.unit);
    }

    /// Recognises QUIC by an Initial that its keys open, and judges the name and whatever else is in its ClientHello. What
    /// only looks like QUIC, or comes without an Initial, is told as such, and searched all the same.
    fn quic(&mut self, payload: &[u8], cx: &mut Context<'_>) -> Quic {
        if self.proto != Proto::Udp {
            return Quic::No;
        }
        let quic = self.datagrams.as_ref().map(|datagrams| &datagrams.quic);
        let known = matches!(quic, Some(Handshake::Initials(_) | Handshake::Read));
        let begins = matches!(quic, None | Some(Handshake::None));
        if !sniff::is_long_header(payload) {
            return match known && sniff::is_short_header(payload) {
                true => Quic::Unread,
                false => Quic::No,
            };
        }
        if begins {
            self.tell_opaque(Opaque::Quic, cx);
        }
        let quic = &mut self.datagrams.get_or_insert_default().quic;
        if begins {
            *quic = Handshake::Unproven(Box::default());
        }
        let (Handshake::Initials(initials) | Handshake::Unproven(initials)) = &mut *quic else {
            return Quic::Unread;
        };
        let before = initials.handshake().len();
        let proven = initials.read(payload) || known;
        let said = initials.indication();
        let piece = Piece {
            text: initials.handshake(),
            known: before,
            tail: if said.done { Tail::Closed } else { Tail::Open },
            wire: Wire::Stretch(0),
        };
        Scanner::new(Place::Datagram, &[], 0).scan(&piece, &cx.rules.detector, &mut self.unit);
        if !proven {
            return Quic::No;
        }
        *quic = match std::mem::replace(quic, Handshake::Read) {
            Handshake::Initials(initials) | Handshake::Unproven(initials) if !said.done => {
                Handshake::Initials(initials)
            }
            _ => Handshake::Read,
        };
        if said.encrypted && self.opaque != Some(Opaque::Ech) {
            self.tell_opaque(Opaque::Ech, cx);
        }
        let names = said.name.as_slice();
        let stops = self.stops(cx) || !names.is_empty() && self.name(names, NameSource::Quic, cx);
        if stops { Quic::Stop } else { Quic::Unread }
    }
}

/// What of earlier datagrams bears on the next one.
pub(super) struct Datagrams {
    /// The end of the last one, in which a value may begin.
    between: Scanner,
    quic: Handshake,
}

impl Default for Datagrams {
    fn default() -> Self {
        Self {
            between: Scanner::new(Place::Datagram, &[], 0),
            quic: Handshake::default(),
        }
    }
}

/// What a datagram is to QUIC.
enum Quic {
    /// None of it, as far as is proven.
    No,
    /// A packet that only its receiver reads.
    Unread,
    /// A packet that does not go.
    Stop,
}

/// How much of a QUIC handshake was read.
#[derive(Default)]
enum Handshake {
    /// Nothing that looks like one.
    #[default]
    None,
    /// Packets that look like one, and none that proves it.
    Unproven(Box<Initials>),
    /// Some of the ClientHello.
    Initials(Box<Initials>),
    /// All there is.
    Read,
}
