//! One TCP connection's tun side (RFC 9293): the relay plays the remote end towards the app.
//!
//! Lossless: bytes for the app are kept until acknowledged; bytes from the app are acknowledged when accepted.
//! Timestamps, SACK and ECN are not negotiated; urgent data stays in band (RFC 6093).

use std::time::Duration;

use super::{
    Moment, Pool,
    assembler::Assembler,
    before,
    retain::{Place, Retain},
    rtt::Rtt,
};
use crate::wire::{Flags, Segment};

/// State of one connection, from the app's SYN on.
pub(crate) struct Tcp {
    state: State,
    /// Initial sequence number of the app.
    irs: u32,
    rcv_nxt: u32,
    /// Right edge of the window that the app was told; never moves left.
    rcv_edge: u32,
    fin_seen: bool,
    /// Where the app's FIN lies, when it came before bytes that precede it.
    fin_at: Option<u32>,
    early: Option<Box<Assembler>>,

    snd_una: u32,
    snd_nxt: u32,
    /// Highest sequence number ever sent, plus one.
    snd_max: u32,
    snd_wnd: u32,
    /// Sequence and acknowledgement number of the segment that last set `snd_wnd`.
    snd_wl: (u32, u32),
    scaled: bool,
    snd_shift: u8,
    mss: u16,
    data: Retain,
    /// Sequence number of the first byte of `data`.
    base: u32,
    eof: bool,
    fin_acked: bool,

    window: u32,
    duplicates: u8,
    /// Set while lost segments are being repaired: where that ends.
    recover: Option<u32>,
    rtt: Rtt,
    /// The sequence number that ends the segment whose round trip is measured, and when it was sent, in microseconds.
    timed: Option<(u32, u32)>,
    timer: Option<Moment>,
    /// Timeouts since the app was last heard.
    silent: u32,
    due: Due,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The SYN is parked until the upstream connection stands.
    Parked,
    SynReceived,
    Open,
}

/// What has to be said at the next occasion.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    syn_ack: bool,
    ack: bool,
    probe: bool,
    repeat: bool,
}

/// What a segment brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// New bytes in order, as a range of the segment's payload.
    pub(crate) new: std::ops::Range<usize>,
    /// The handshake is complete.
    pub(crate) opened: bool,
    /// A valid reset.
    pub(crate) reset: bool,
    /// An acknowledgement of what was never sent, during the handshake: answer it with a reset from there.
    pub(crate) stray: Option<u32>,
}

/// A segment to send to the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Emit {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    /// For [`Tcp::payload`].
    pub(crate) place: Place,
}

/// Why nothing can be received for the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The app's window is shut, or full of what is on its way.
    Window,
    /// All chunks are out.
    Pool,
}

/// What became of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Nothing was due, or there is something to send.
    Go,
    /// The app does not answer any more.
    GiveUp,
}

impl Tcp {
    /// Our window scale (RFC 7323): windows up to 4 MiB in steps of 64 bytes.
    const SHIFT: u8 = 6;
    /// The largest window that can be advertised.
    pub(crate) const MOST_WINDOW: u32 = 65_535 << Self::SHIFT;
    /// Bytes kept for one app at most: a link with 1 MiB in flight is full at any tun's round-trip time.
    const MOST_FLIGHT: u32 = 1024 * 1024;
    /// Repetitions in a row before the app is given up: about as long as Linux (`tcp_retries2`).
    const MOST_ATTEMPTS: u32 = 12;
    /// Repetitions of the SYN-ACK (`tcp_synack_retries`).
    const MOST_SYN_ACKS: u32 = 5;
    /// Smaller segments are not believed in: each would carry less than its header.
    const LEAST_MSS: u16 = 64;
    /// Default maximum segment size (RFC 9293 section 3.7.1).
    const DEFAULT_MSS: u16 = 536;

    /// Parks a SYN. `iss` is our initial sequence number, `mss` the largest payload that the device carries.
    pub(crate) fn new(syn: &Segment, iss: u32, mss: u16) -> Self {
        let rcv_nxt = syn.seq.wrapping_add(1);
        let scaled = syn.window_scale.is_some();
        Self {
            state: State::Parked,
            irs: syn.seq,
            rcv_nxt,
            rcv_edge: rcv_nxt,
            fin_seen: false,
            fin_at: None,
            early: None,
            snd_una: iss,
            snd_nxt: iss,
            snd_max: iss,
            snd_wnd: u32::from(syn.window),
            snd_wl: (syn.seq, 0),
            scaled,
            snd_shift: syn.window_scale.unwrap_or(0).min(14),
            mss: syn
                .mss
                .unwrap_or(Self::DEFAULT_MSS)
                .clamp(Self::LEAST_MSS, mss.max(Self::LEAST_MSS)),
            data: Retain::default(),
            base: iss.wrapping_add(1),
            eof: false,
            fin_acked: false,
            window: Self::MOST_FLIGHT,
            duplicates: 0,
            recover: None,
            rtt: Rtt::new(),
            timed: None,
            timer: None,
            silent: 0,
            due: Due::default(),
        }
    }

    /// Whether `syn` is the one this connection began with, sent again.
    pub(crate) fn is_repeat(&self, syn: &Segment) -> bool {
        self.irs == syn.seq
    }

    /// The upstream connection stands: the SYN may be answered.
    pub(crate) fn accept(&mut self) {
        if self.state == State::Parked {
            self.state = State::SynReceived;
            self.due.syn_ack = true;
        }
    }

    /// Whether the SYN still waits for the upstream connection.
    pub(crate) fn is_parked(&self) -> bool {
        self.state == State::Parked
    }

    /// Sequence and acknowledgement number for a reset.
    pub(crate) fn reset_numbers(&self) -> (u32, u32) {
        (self.snd_max, self.rcv_nxt)
    }

    /// Whether both sides have said all and the app has heard all.
    pub(crate) fn is_done(&self) -> bool {
        self.fin_seen && self.fin_acked
    }

    /// Whether something of the app's has not been acknowledged yet.
    pub(crate) fn ack_is_due(&self) -> bool {
        self.due.ack
    }

    /// Whether the app's FIN and all bytes before it have come.
    pub(crate) fn fin_seen(&self) -> bool {
        self.fin_seen
    }

    /// Takes a segment of the app. `payload` are its bytes.
    pub(crate) fn segment(&mut self, segment: &Segment, payload: &[u8], now: Duration) -> Arrival {
        let mut arrival = Arrival::default();
        let seq = segment.seq;
        self.silent = 0;
        if segment.flags.contains(Flags::RST) {
            // RFC 5961 section 3.2: exact, or it is challenged.
            if seq == self.rcv_nxt {
                arrival.reset = true;
            } else if self.state != State::Parked
                && !before(seq, self.rcv_nxt)
                && before(seq, self.rcv_edge)
            {
                self.due.ack = true;
            }
            return arrival;
        }
        if self.state == State::Parked {
            return arrival;
        }
        if segment.flags.contains(Flags::SYN) {
            self.due.syn_ack |= self.state == State::SynReceived;
            self.due.ack |= self.state == State::Open;
            return arrival;
        }
        let fin = segment.flags.contains(Flags::FIN);
        let end = seq
            .wrapping_add(payload.len() as u32)
            .wrapping_add(u32::from(fin));
        let outside = before(self.rcv_edge, seq) || before(end, self.rcv_nxt);
        if outside {
            self.due.ack = true;
            return arrival;
        }
        // RFC 9293 section 3.10.7.4, fifth.
        if !segment.flags.contains(Flags::ACK) {
            return arrival;
        }
        if self.state == State::SynReceived {
            if segment.ack != self.snd_max || self.snd_max == self.snd_una {
                arrival.stray = Some(segment.ack);
                return arrival;
            }
            self.state = State::Open;
            arrival.opened = true;
            self.snd_wl = (seq.wrapping_sub(1), segment.ack);
        }
        if before(self.snd_max, segment.ack) {
            self.due.ack = true;
            return arrival;
        }
        self.acknowledge(segment, payload.is_empty() && !fin, now);
        arrival.new = self.accept_payload(seq, payload);
        if fin {
            let at = seq.wrapping_add(payload.len() as u32);
            if !before(self.rcv_edge, at) {
                self.fin_at = Some(at);
            }
            self.due.ack = true;
        }
        self.take_fin();
        arrival
    }

    /// Bytes that came early and whose turn it is now.
    pub(crate) fn take_early(&mut self) -> Option<Vec<u8>> {
        let bytes = self.early.as_mut()?.take(self.rcv_nxt);
        if self.early.as_ref().is_some_and(|early| early.is_empty()) {
            self.early = None;
        }
        let bytes = bytes?;
        self.rcv_nxt = self.rcv_nxt.wrapping_add(bytes.len() as u32);
        self.take_fin();
        Some(bytes)
    }

    /// A link on the way to the app carries no more than `size` bytes a segment: what is on its way is sent again.
    pub(crate) fn shrink_segments(&mut self, size: u16) {
        if size < self.mss {
            self.mss = size.max(Self::LEAST_MSS);
            self.snd_nxt = self.snd_una;
            self.timed = None;
            self.recover = None;
        }
    }

    /// Whether bytes at `seq` would have to be kept until those before them come.
    pub(crate) fn is_early(&self, seq: u32) -> bool {
        before(self.rcv_nxt, seq)
    }

    /// Bytes of memory that early bytes take.
    pub(crate) fn early_weight(&self) -> usize {
        self.early.as_ref().map_or(0, |early| early.weight())
    }

    /// Gives up what came early: it was not acknowledged, and the app sends it again.
    pub(crate) fn discard_early(&mut self) {
        self.early = None;
    }

    /// Room for bytes from the remote end, in the very place they will be sent from.
    pub(crate) fn recv_room(
        &mut self,
        now: Duration,
        pool: &mut Pool,
    ) -> Result<&mut [u8], NoRoom> {
        let most = self.snd_wnd.min(Self::MOST_FLIGHT) as usize;
        let worth = usize::from(self.mss).min(most / 2).max(1);
        self.room_worth(worth, now, pool)
    }

    /// As [`Tcp::recv_room`], however little it is: for bytes of which is known that the app's window had room for them.
    pub(crate) fn any_recv_room(
        &mut self,
        now: Duration,
        pool: &mut Pool,
    ) -> Result<&mut [u8], NoRoom> {
        self.room_worth(1, now, pool)
    }

    fn room_worth(
        &mut self,
        worth: usize,
        now: Duration,
        pool: &mut Pool,
    ) -> Result<&mut [u8], NoRoom> {
        let most = self.snd_wnd.min(Self::MOST_FLIGHT) as usize;
        let room = most.saturating_sub(self.data.len());
        if self.state != State::Open || room < worth {
            self.arm_probe(now);
            return Err(NoRoom::Window);
        }
        self.data
            .room(room, self.mss.into(), pool)
            .ok_or(NoRoom::Pool)
    }

    /// `n` bytes were received into the room.
    pub(crate) fn received(&mut self, n: usize, pool: &mut Pool) {
        self.data.fill(n);
        if n == 0 {
            self.data.consume(0, pool);
        }
    }

    /// The remote end has said all.
    pub(crate) fn finish(&mut self, pool: &mut Pool) {
        self.eof = true;
        self.data.consume(0, pool);
    }

    /// Gives back all memory.
    pub(crate) fn release(&mut self, pool: &mut Pool) {
        self.data.clear(pool);
    }

    /// The next segment for the app. `allowed` is how much it may be told to send: bytes beyond `rcv_nxt`. Where the device
    /// cuts segments, several go in one, of `longest` bytes at most.
    pub(crate) fn next(
        &mut self,
        allowed: u32,
        now: Duration,
        own_mss: u16,
        longest: usize,
    ) -> Option<Emit> {
        let allowed = allowed.min(65_535 << if self.scaled { Self::SHIFT } else { 0 });
        match self.state {
            State::Parked => return None,
            State::SynReceived => {
                if !std::mem::take(&mut self.due.syn_ack) {
                    return self
                        .due
                        .ack
                        .then(|| self.emit(self.snd_max, Place::default(), false, allowed));
                }
                let iss = self.snd_una;
                self.sent(iss.wrapping_add(1), now);
                let edge = self.rcv_nxt.wrapping_add(allowed.min(65_535));
                if before(self.rcv_edge, edge) {
                    self.rcv_edge = edge;
                }
                return Some(Emit {
                    seq: iss,
                    ack: self.rcv_nxt,
                    flags: Flags::SYN | Flags::ACK,
                    window: self.rcv_edge.wrapping_sub(self.rcv_nxt).min(65_535) as u16,
                    mss: Some(own_mss),
                    window_scale: self.scaled.then_some(Self::SHIFT),
                    place: Place::default(),
                });
            }
            State::Open => {}
        }
        if std::mem::take(&mut self.due.repeat) && before(self.snd_una, self.snd_max) {
            let place = self.data.place(0, self.mss.into());
            self.timed = None;
            self.start_timer(now);
            let fin = self.eof
                && self.snd_max == self.fin_seq().wrapping_add(1)
                && place.len() == self.data.len();
            return Some(self.emit(self.snd_una, place, fin, allowed));
        }
        let offset = self.snd_nxt.wrapping_sub(self.base) as usize;
        let unsent = self.data.len().saturating_sub(offset);
        let usable = (self.snd_wnd.min(self.window) as usize).saturating_sub(offset);
        let mss = usize::from(self.mss);
        let sendable = unsent.min(usable);
        let burst = (sendable.min(longest) / mss * mss).max(mss);
        let all = sendable == unsent && unsent <= longest;
        let place = self
            .data
            .place(offset, if all { unsent } else { sendable.min(burst) });
        // Sender's silly window avoidance: a runt goes only when it is all there is, or nothing is on its way.
        let runt = place.len() < mss && place.len() < unsent && place.len() == usable;
        let idle = self.snd_nxt == self.snd_una;
        if place.len() > 0 && (!runt || idle) {
            let seq = self.snd_nxt;
            let fin = self.eof && place.len() == unsent;
            let end = seq.wrapping_add(place.len() as u32 + u32::from(fin));
            self.sent(end, now);
            return Some(self.emit(seq, place, fin, allowed));
        }
        let fin_due = self.eof && unsent == 0 && self.snd_nxt == self.fin_seq() && !self.fin_acked;
        if fin_due {
            let seq = self.snd_nxt;
            self.sent(seq.wrapping_add(1), now);
            return Some(self.emit(seq, Place::default(), true, allowed));
        }
        if unsent > 0 {
            self.arm_probe(now);
        }
        if std::mem::take(&mut self.due.probe) {
            // As Linux: a byte that is acknowledged already makes the app say its window.
            return Some(self.emit(
                self.snd_una.wrapping_sub(1),
                Place::default(),
                false,
                allowed,
            ));
        }
        if self.due.ack || self.update_is_due(allowed) {
            return Some(self.emit(self.snd_max, Place::default(), false, allowed));
        }
        None
    }

    /// Bytes of the app's segments at most.
    pub(crate) fn segment_size(&self) -> u16 {
        self.mss
    }

    /// The bytes of a segment that [`Tcp::next`] has just given.
    pub(crate) fn payload(&self, place: Place) -> &[u8] {
        self.data.bytes(place)
    }

    /// Forgets what the app has acknowledged.
    pub(crate) fn reclaim(&mut self, pool: &mut Pool) {
        let acked = self.snd_una.wrapping_sub(self.base);
        if acked > 0 && !before(self.snd_una, self.base) {
            let bytes = (acked as usize).min(self.data.len());
            self.data.consume(bytes, pool);
            self.base = self.base.wrapping_add(bytes as u32);
        }
    }

    /// When [`Tcp::expire`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.timer.map(Into::into)
    }

    /// Time has come to `now`.
    pub(crate) fn expire(&mut self, now: Duration) -> Expiry {
        if self.deadline().is_none_or(|at| now < at) {
            return Expiry::Go;
        }
        self.timer = None;
        let most = if self.state == State::Open {
            Self::MOST_ATTEMPTS
        } else {
            Self::MOST_SYN_ACKS
        };
        let outstanding = before(self.snd_una, self.snd_max);
        self.rtt.back_off();
        self.silent += 1;
        if outstanding && self.silent > most {
            return Expiry::GiveUp;
        }
        if outstanding {
            // Go back to the first byte that is not acknowledged, and start slowly.
            self.timed = None;
            self.recover = None;
            self.duplicates = 0;
            self.window = 2 * u32::from(self.mss);
            self.snd_nxt = self.snd_una;
            // Into a window that has shut since, the first segment goes all the same: it is the probe.
            self.due.repeat = self.state == State::Open && self.snd_wnd == 0;
            self.due.syn_ack |= self.state == State::SynReceived;
            self.start_timer(now);
        } else {
            self.due.probe = true;
            self.start_timer(now);
        }
        Expiry::Go
    }

    /// Sequence number of our FIN, once `eof` is known.
    fn fin_seq(&self) -> u32 {
        self.base.wrapping_add(self.data.len() as u32)
    }

    fn acknowledge(&mut self, segment: &Segment, bare: bool, now: Duration) {
        let ack = segment.ack;
        let window = u32::from(segment.window) << if self.scaled { self.snd_shift } else { 0 };
        let outstanding = before(self.snd_una, self.snd_max);
        if before(self.snd_una, ack) {
            let acked = ack.wrapping_sub(self.snd_una);
            self.snd_una = ack;
            if before(self.snd_nxt, ack) {
                self.snd_nxt = ack;
            }
            if let Some((seq, at)) = self.timed
                && !before(ack, seq)
            {
                let took = micros(now).wrapping_sub(at);
                self.rtt.sample(Duration::from_micros(took.into()));
                self.timed = None;
            }
            self.rtt.progress();
            self.duplicates = 0;
            self.window = self.window.saturating_add(acked).min(Self::MOST_FLIGHT);
            self.fin_acked |= self.eof && ack == self.fin_seq().wrapping_add(1);
            match self.recover {
                // A partial acknowledgement shows the next hole (RFC 6582).
                Some(end) if before(ack, end) => self.due.repeat = true,
                _ => self.recover = None,
            }
            self.timer = None;
            if before(self.snd_una, self.snd_max) {
                self.start_timer(now);
            }
        } else if ack == self.snd_una && bare && outstanding && window == self.snd_wnd {
            self.duplicates = self.duplicates.saturating_add(1);
            if self.duplicates == 3 && self.recover.is_none() {
                self.recover = Some(self.snd_max);
                self.window =
                    (self.snd_max.wrapping_sub(self.snd_una) / 2).max(4 * u32::from(self.mss));
                self.due.repeat = true;
            }
        }
        let (wl_seq, wl_ack) = self.snd_wl;
        if before(wl_seq, segment.seq) || (wl_seq == segment.seq && !before(ack, wl_ack)) {
            if self.snd_wnd == 0 && window > 0 && !before(self.snd_una, self.snd_max) {
                self.timer = None;
                self.rtt.progress();
            }
            self.snd_wnd = window;
            self.snd_wl = (segment.seq, ack);
        }
    }

    /// Returns which part of `payload` is new and in order; keeps what came early.
    fn accept_payload(&mut self, seq: u32, payload: &[u8]) -> std::ops::Range<usize> {
        if payload.is_empty() {
            return 0..0;
        }
        self.due.ack = true;
        let known = if before(seq, self.rcv_nxt) {
            self.rcv_nxt.wrapping_sub(seq) as usize
        } else {
            0
        };
        let room = self.rcv_edge.wrapping_sub(seq) as usize;
        let end = payload.len().min(room);
        if self.fin_seen || known >= end {
            return 0..0;
        }
        if before(self.rcv_nxt, seq) {
            self.early
                .get_or_insert_default()
                .insert(seq, &payload[..end]);
            return 0..0;
        }
        self.rcv_nxt = seq.wrapping_add(end as u32);
        known..end
    }

    fn take_fin(&mut self) {
        if self.fin_at == Some(self.rcv_nxt) {
            self.fin_at = None;
            self.fin_seen = true;
            self.early = None;
            self.rcv_nxt = self.rcv_nxt.wrapping_add(1);
            if before(self.rcv_edge, self.rcv_nxt) {
                self.rcv_edge = self.rcv_nxt;
            }
        }
    }

    fn sent(&mut self, end: u32, now: Duration) {
        if before(self.snd_max, end) {
            if self.timed.is_none() && self.snd_nxt == self.snd_max {
                self.timed = Some((end, micros(now)));
            }
            self.snd_max = end;
        }
        self.snd_nxt = end;
        if self.timer.is_none() {
            self.start_timer(now);
        }
    }

    fn start_timer(&mut self, now: Duration) {
        self.timer = Some((now + self.rtt.timeout()).into());
    }

    /// Asks for the app's window when that is all that can be waited for.
    fn arm_probe(&mut self, now: Duration) {
        let waits = self.state == State::Open
            && self.timer.is_none()
            && !before(self.snd_una, self.snd_max);
        if waits && self.snd_wnd < u32::from(self.mss) {
            self.start_timer(now);
        }
    }

    fn update_is_due(&self, allowed: u32) -> bool {
        let open = self.rcv_edge.wrapping_sub(self.rcv_nxt);
        !self.fin_seen
            && allowed > open
            && open < allowed / 2
            && allowed - open >= 2 * u32::from(self.mss)
    }

    fn emit(&mut self, seq: u32, place: Place, fin: bool, allowed: u32) -> Emit {
        self.due.ack = false;
        let pushes = !place.len().is_multiple_of(self.mss.into()) || fin;
        let mut flags = Flags::ACK;
        if pushes {
            flags = flags | Flags::PSH;
        }
        if fin {
            flags = flags | Flags::FIN;
        }
        Emit {
            seq,
            ack: self.rcv_nxt,
            flags,
            window: self.advertise(allowed),
            mss: None,
            window_scale: None,
            place,
        }
    }

    /// Moves the right edge where `allowed` moves it to the right, and says it in the units of the window field.
    fn advertise(&mut self, allowed: u32) -> u16 {
        let shift = if self.scaled { Self::SHIFT } else { 0 };
        let open = self.rcv_edge.wrapping_sub(self.rcv_nxt);
        // Receiver's silly window avoidance: small steps wait.
        let step = allowed.saturating_sub(open);
        let open = if step >= u32::from(self.mss) {
            allowed
        } else {
            open
        };
        // Rounding up keeps the edge where it was said to be; without room it is rounded down, or the app could
        // push it on for ever, a byte at a time.
        let units = if allowed > 0 {
            open.div_ceil(1 << shift)
        } else {
            open >> shift
        }
        .min(65_535);
        let said = self.rcv_nxt.wrapping_add(units << shift);
        if before(self.rcv_edge, said) {
            self.rcv_edge = said;
        }
        units as u16
    }
}

/// A moment, for a difference of less than an hour: whoever does not answer for so long was given up.
fn micros(at: Duration) -> u32 {
    at.as_micros() as u32
}
