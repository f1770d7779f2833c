//! Conducts TCP flows: between `flow::tcp` on the tun side, `inspect` in the middle and the shell's socket.

mod admission;
mod batch;
mod refusal;

use std::{
    io::{ErrorKind, IoSlice},
    time::Duration,
};

pub(super) use batch::Batch;

use super::{
    Command, Engine, LONGEST, Record, SocketEvent, SocketId, TimerKey, Transmit, Wait, apps::Apps,
    out::Out, slots::payload, sockets::Owner, time_waits::TimeWaits,
};
use crate::{
    event::{Failure, Finding, Proto, Verdict},
    flow::{Expiry, Key, Moment, NoRoom, Tcp},
    inspect::{Context, Gate, Step, Stream},
    policy::Limits,
    wire::{self, Flags, Offload, Pair, Segment, Span, TcpOut},
};

/// One relayed connection.
pub(super) struct TcpFlow {
    record: Record,
    tcp: Tcp,
    socket: Key,
    /// Its share, where its owner is known.
    app: Option<Key>,
    /// Inspection of what the app sends, from its first byte on.
    stream: Option<Box<Stream>>,
    out: Out,
    /// The shell was told to connect.
    opened: bool,
    /// What it waits for, if it does.
    wait: Option<Box<Wait>>,
    asked: Option<Box<Question>>,
    /// Held bytes that the totals count.
    noted: u32,
    /// Its SYN is not answered yet, and counts as such.
    parked: bool,
    /// It counts among those that wait for a proxy.
    proxied: bool,
    writable: bool,
    /// The app's FIN has been told to the stream.
    finished: bool,
    /// The app's FIN has been passed on.
    shut: bool,
    /// The remote end's FIN came first: the app's side ends in TIME-WAIT.
    closed_first: bool,
    /// The upstream connection broke: a reset follows what can still be delivered.
    broken: bool,
    queued: Queued,
    /// Round of the budget in which the app last sent.
    round: u32,
    /// When the stream wants to be asked again.
    wake: Option<Moment>,
    /// Until when a SYN stays parked.
    parked_until: Option<Moment>,
    pub(super) armed: Option<Moment>,
}

/// What a person is asked about a flow.
#[derive(Default)]
struct Question {
    findings: Vec<Finding>,
    /// The verdict that asks.
    verdict: Option<Verdict>,
    /// The app closed while it was kept waiting: what it sent is not delivered any more.
    gave_up: bool,
}

/// In which of the engine's queues a flow stands.
#[derive(Clone, Copy, Debug, Default)]
struct Queued {
    send: bool,
    recv: bool,
    transmit: bool,
    /// Its socket waits for the app's window.
    shut: bool,
    /// Its socket waits for a chunk.
    starved: bool,
}

/// Where bytes of the app come from.
enum Bytes<'a> {
    Slots {
        runs: &'a [(usize, Span)],
        /// What stands in the runs, if they are several.
        joined: &'a [u8],
    },
    Early(&'a [u8]),
}

impl TcpFlow {
    pub(super) fn deadline(&self) -> Option<Duration> {
        [
            self.tcp.deadline(),
            self.wake.map(Into::into),
            self.parked_until.map(Into::into),
            self.wait().deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What it waits for.
    fn wait(&self) -> Wait {
        self.wait.as_deref().copied().unwrap_or(Wait::Nothing)
    }

    pub(super) fn socket(&self) -> Key {
        self.socket
    }

    pub(super) fn set_socket(&mut self, socket: Key) {
        self.socket = socket;
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// Whether what the app sends now cannot be read.
    fn is_opaque(&self) -> bool {
        let stream = self.stream.as_ref();
        stream.is_some_and(|stream| stream.opaque().is_some())
    }

    /// Whether the shell was told to connect and has not said how that went.
    pub(super) fn is_connecting(&self) -> bool {
        self.opened && self.tcp.is_parked()
    }

    /// Gives memory back that is not needed, and with `early` what the app will send again anyway.
    pub(super) fn shed(&mut self, early: bool, total: &mut usize) {
        self.out.shrink();
        if early {
            *total -= self.tcp.early_weight();
            self.tcp.discard_early();
        }
    }

    /// What a person is, or was to be, asked about.
    fn take_findings(&mut self) -> Vec<Finding> {
        let asked = self.asked.as_mut();
        asked.map_or(Vec::new(), |asked| std::mem::take(&mut asked.findings))
    }

    /// The upstream connection is gone, before its time.
    fn tear(&mut self) {
        self.broken = true;
        self.record.failure = Some(Failure::Broken);
    }

    /// Whether both directions are done with, upstream too.
    fn is_over(&self) -> bool {
        self.tcp.is_done() && self.shut
    }
}

/// A client that closes this long after a question was put has given up; one that closes sooner had said all.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a SYN waits after its last repetition (design section 4).
const PARKED: Duration = Duration::from_secs(75);
/// How long a proxy may take to reach the remote end, however often the SYN is repeated.
const PROXY: Duration = Duration::from_secs(30);

impl Engine {
    pub(super) fn handle_segment(&mut self, slot: usize, segment: &Segment) {
        let syn = segment.flags.contains(Flags::SYN) && !segment.flags.contains(Flags::ACK);
        if let Some(key) = self.by_pair.get(&segment.pair, &self.flows) {
            let Some(flow) = self.flows.get_mut(key) else {
                return;
            };
            if !syn || flow.tcp.is_repeat(segment) {
                if syn && flow.tcp.is_parked() {
                    if flow.record.via.is_none() {
                        flow.parked_until = Some((self.now.mono + PARKED).into());
                    }
                    return;
                }
                self.segment(key, slot, segment);
                return;
            }
            // The app has forgotten the old connection.
            self.end_flow(key, true);
        } else if self.time_waits.answers(segment, syn) {
            let (seq, ack) = self.time_waits.numbers(&segment.pair);
            self.bare_segment(segment.pair, seq, ack, Flags::ACK);
            return;
        }
        if syn {
            self.open(segment);
        } else if !segment.flags.contains(Flags::RST) {
            self.refuse_segment(segment);
        }
    }

    /// Segments for the app of `pair` must be no longer than `size` bytes.
    pub(super) fn tcp_too_big(&mut self, pair: Pair, size: u16) {
        if let Some(key) = self.by_pair.get(&pair, &self.flows) {
            if let Some(flow) = self.flows.get_mut(key) {
                flow.tcp.shrink_segments(size);
            }
            self.follow_up(key);
        }
    }

    fn segment_size(&self, pair: Pair) -> u16 {
        let headers = if pair.dst.is_ipv4() { 40 } else { 60 };
        (self.config.mtu - headers) as u16
    }

    /// A segment of a known flow.
    fn segment(&mut self, key: Key, slot: usize, segment: &Segment) {
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        if self.buffered > self.limits.buffers_total && !segment.payload.is_empty() {
            self.count("memory");
            return;
        }
        let early = flow.tcp.early_weight();
        let room = self.limits.buffers_total / EARLY_SHARE;
        if flow.tcp.is_early(segment.seq) && self.early + segment.payload.len() > room {
            self.count("memory");
            return;
        }
        let Some(packet) = self.slots.get(slot) else {
            return;
        };
        let arrival = flow
            .tcp
            .segment(segment, packet.get(segment.payload), self.now.mono);
        flow.tcp.reclaim(&mut self.pool);
        self.early = self.early + flow.tcp.early_weight() - early;
        if arrival.reset {
            // An app that has closed and heard all is gone: its kernel resets whatever comes late, and what was accepted
            // from it is still on its way.
            if !flow.tcp.is_done() {
                self.end_flow(key, true);
            }
            return;
        }
        if let Some(ack) = arrival.stray {
            return self.bare_segment(segment.pair, ack, 0, Flags::RST);
        }
        if arrival.opened {
            flow.parked_until = None;
        }
        if let Wait::Question { asked } = flow.wait()
            && flow.tcp.fin_seen()
            && self.now.mono >= asked + PATIENCE
        {
            flow.asked.get_or_insert_default().gave_up = true;
        }
        if !arrival.new.is_empty() {
            self.budget.touch(&mut flow.round, self.now.mono);
            let start = segment.payload.start + arrival.new.start as u32;
            let span = Span {
                start,
                end: start + arrival.new.len() as u32,
            };
            self.gather(key, slot, span);
            let Some(flow) = self.flows.get(key) else {
                return;
            };
            // What this leads to happens when the batch is judged.
            if flow.tcp.early_weight() == 0 && !flow.tcp.fin_seen() {
                return;
            }
            self.judge_batch();
            while let Some(bytes) = self.flows.get_mut(key).and_then(|flow| {
                let before = flow.tcp.early_weight();
                let bytes = flow.tcp.take_early();
                self.early -= before - flow.tcp.early_weight();
                bytes
            }) {
                self.outbound(key, Bytes::Early(&bytes));
            }
        } else if self.is_gathered(key)
            && self.flows.get(key).is_some_and(|flow| flow.tcp.fin_seen())
        {
            self.judge_batch();
        }
        self.follow_up(key);
    }

    /// Bytes of the app, accepted: judged, and queued as far as they may go.
    fn outbound(&mut self, key: Key, bytes: Bytes<'_>) {
        let (Some(flow), Some(rules)) = (self.flows.get_mut(key), &self.rules) else {
            return;
        };
        let before = flow.out.len();
        let here = match bytes {
            Bytes::Slots {
                runs: &[(slot, span)],
                ..
            } => payload(&self.slots, slot, span),
            Bytes::Slots { joined, .. } | Bytes::Early(joined) => joined,
        };
        if let (Wait::Question { .. }, Bytes::Slots { .. }) = (flow.wait(), &bytes) {
            flow.out.hold(here, &mut self.spare);
            self.buffered += here.len();
            return self.note_hold(key);
        }
        let room = room(&self.limits, &self.apps, self.held, flow);
        let TcpFlow {
            stream,
            out,
            record,
            writable,
            ..
        } = flow;
        let stream = stream.get_or_insert_with(|| Box::new(Stream::new(Proto::Tcp)));
        let mut cx = Context {
            rules,
            facts: &mut record.facts,
            now: self.now.mono,
            room,
            can_ask: self.config.can_ask,
            scratch: &mut self.decoding,
            notices: &mut self.notices,
        };
        let step = match bytes {
            Bytes::Slots { runs, .. } if out.held().is_empty() && *writable => {
                let step = stream.feed(here, &mut cx);
                let release = step.release.min(here.len());
                let mut left = release as u32;
                for &(slot, Span { start, end }) in runs {
                    let end = end.min(start + left);
                    left -= end - start;
                    self.refs.push(&mut out.refs, slot, Span { start, end });
                }
                if release < here.len() {
                    out.settle(&self.refs, &self.slots, &mut self.spare);
                    out.hold(here.get(release..).unwrap_or(&[]), &mut self.spare);
                }
                Step { release: 0, ..step }
            }
            Bytes::Slots { .. } | Bytes::Early(_) => {
                out.settle(&self.refs, &self.slots, &mut self.spare);
                out.hold(here, &mut self.spare);
                stream.feed(out.held(), &mut cx)
            }
        };
        self.buffered += flow.out.len() - before;
        self.take_step(key, step);
    }

    /// Acts on what the stream said.
    fn take_step(&mut self, key: Key, step: Step) {
        let time = self.since_start();
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        flow.out.release(step.release);
        flow.wake = step.wake.map(Into::into);
        self.note_hold(key);
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        let mut pending = flow.take_findings();
        Self::report(
            &mut self.events,
            &mut self.notices,
            &mut flow.record,
            &mut pending,
            time,
        );
        if !pending.is_empty() {
            flow.asked.get_or_insert_default().findings = pending;
        }
        match step.gate {
            Gate::Open => {
                // Before anything that the name came with leaves.
                if let Some(verdict) = self
                    .flows
                    .get(key)
                    .and_then(|flow| self.misled(&flow.record))
                    && let Some(flow) = self.flows.get_mut(key)
                {
                    flow.record.verdict = verdict;
                    self.block(key);
                }
            }
            Gate::Ask(verdict) => {
                // The FIN is told to the stream again once it goes on.
                flow.finished = false;
                self.ask_about(key, verdict);
            }
            Gate::Block(verdict) => {
                let pending = flow.take_findings();
                Self::tell_findings(&mut self.events, &flow.record, pending, &verdict, time);
                flow.record.verdict = verdict;
                self.block(key);
            }
        }
    }

    /// Brings the totals in line with what inspection holds of a flow.
    fn note_hold(&mut self, key: Key) {
        if let Some(flow) = self.flows.get_mut(key) {
            let held = flow.out.held().len();
            let (app, before) = (flow.app, std::mem::replace(&mut flow.noted, held as u32));
            self.note_held(app, before as usize, held);
        }
    }

    /// Lets the stream look again, without new bytes.
    fn consult(
        &mut self,
        key: Key,
        ask: impl FnOnce(&mut Stream, &[u8], &mut Context<'_>) -> Step,
    ) {
        let (Some(flow), Some(rules)) = (self.flows.get_mut(key), &self.rules) else {
            return;
        };
        let room = room(&self.limits, &self.apps, self.held, flow);
        let TcpFlow {
            stream: Some(stream),
            out,
            record,
            ..
        } = flow
        else {
            return;
        };
        let mut cx = Context {
            rules,
            facts: &mut record.facts,
            now: self.now.mono,
            room,
            can_ask: self.config.can_ask,
            scratch: &mut self.decoding,
            notices: &mut self.notices,
        };
        let step = ask(stream, out.held(), &mut cx);
        self.take_step(key, step);
    }

    /// After anything that happened to a flow: passes a FIN on, queues it where it has work, ends it where it is over.
    fn follow_up(&mut self, key: Key) {
        if self
            .flows
            .get(key)
            .is_some_and(|flow| flow.tcp.fin_seen() && !flow.finished && flow.wait.is_none())
        {
            if let Some(flow) = self.flows.get_mut(key) {
                flow.finished = true;
            }
            self.consult(key, |stream, held, cx| stream.finish(held, cx));
        }
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        if flow.finished && !flow.shut && !flow.tcp.is_parked() && flow.out.len() == 0 {
            flow.shut = true;
            self.commands.push_back(Command::Shutdown {
                socket: SocketId(flow.socket),
            });
        }
        if flow.writable && flow.out.sendable() > 0 && !flow.queued.send {
            flow.queued.send = true;
            self.sends.push_back(key);
        }
        if flow.queued.shut && flow.tcp.recv_room(self.now.mono, &mut self.pool).is_ok() {
            flow.tcp.received(0, &mut self.pool);
            flow.queued.shut = false;
            if !flow.queued.recv {
                flow.queued.recv = true;
                self.recvs.push_back(key);
            }
        }
        if !flow.queued.transmit {
            flow.queued.transmit = true;
            self.transmits.push_back(key);
        }
        if flow.is_over() {
            if flow.tcp.ack_is_due() {
                let (seq, ack) = flow.tcp.reset_numbers();
                let pair = flow.record.pair();
                self.bare_segment(pair, seq, ack, Flags::ACK);
            }
            self.end_flow(key, false);
        } else {
            self.arm(key);
        }
        self.wake_starved();
    }

    /// Flows whose socket waited for a chunk, while there is one.
    fn wake_starved(&mut self) {
        while self.pool.has_room()
            && let Some(key) = self.starved.pop_front()
        {
            if let Some(flow) = self.flows.get_mut(key) {
                flow.queued.starved = false;
                if !flow.queued.recv {
                    flow.queued.recv = true;
                    self.recvs.push_back(key);
                }
                break;
            }
        }
    }

    fn arm(&mut self, key: Key) {
        if let Some(flow) = self.flows.get_mut(key)
            && let Some(deadline) = flow.deadline()
        {
            self.timers
                .arm(TimerKey::Tcp(key), deadline, &mut flow.armed);
        }
    }

    pub(super) fn tcp_timeout(&mut self, key: Key, at: Duration) {
        let now = self.now.mono;
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        if flow.armed != Some(at.into()) {
            return;
        }
        flow.armed = None;
        if matches!(flow.wait(), Wait::Owner { until } if until <= now) {
            self.tcp_owner(key, Vec::new());
            return;
        }
        if flow.parked_until.is_some_and(|until| until <= now.into()) && flow.tcp.is_parked() {
            let opened = flow.opened;
            flow.record.failure = opened.then_some(Failure::Timeout);
            return match flow.record.via.is_some() && opened {
                true => self.fail_flow(key, Failure::ProxyUnreachable),
                false => self.end_flow(key, true),
            };
        }
        if flow.tcp.expire(now) == Expiry::GiveUp {
            return self.end_flow(key, true);
        }
        if flow.wake.is_some_and(|at| at <= now.into()) && flow.wait.is_none() {
            flow.wake = None;
            self.consult(key, |stream, held, cx| stream.pause(held, cx));
        }
        self.follow_up(key);
    }

    pub(super) fn tcp_socket(&mut self, key: Key, event: SocketEvent) {
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        match event {
            SocketEvent::Connected => {
                flow.tcp.accept();
                flow.parked_until = None;
                flow.writable = true;
                self.unpark(key);
            }
            SocketEvent::Writable => flow.writable = true,
            SocketEvent::Failed(why) if flow.tcp.is_parked() => {
                let failure = Failure::of(why, flow.record.via.as_ref());
                flow.record.failure = Some(failure);
                // Without a network an app that tries again at once would keep the machine busy.
                let known = why == ErrorKind::NetworkUnreachable || flow.record.via.is_some();
                let why = match flow.record.via {
                    None => why,
                    Some(_) => failure.as_error(),
                };
                return match !known || self.is_told_again(key) {
                    true => self.refuse_flow(key, why),
                    false => self.end_flow(key, true),
                };
            }
            SocketEvent::ProxyFailed(failure) if flow.tcp.is_parked() => {
                return self.fail_flow(key, failure);
            }
            SocketEvent::Failed(_) | SocketEvent::Unreachable(_) | SocketEvent::ProxyFailed(_) => {
                flow.tear();
            }
        }
        self.follow_up(key);
    }

    pub(super) fn poll_tcp_send(&mut self) -> Option<SocketId> {
        while let Some(key) = self.sends.pop_front() {
            if let Some(flow) = self.flows.get_mut(key) {
                flow.queued.send = false;
                if flow.writable && flow.out.sendable() > 0 {
                    return Some(SocketId(flow.socket));
                }
            }
        }
        None
    }

    fn flow_of(&self, socket: SocketId) -> Option<Key> {
        match self.sockets.get(socket.0)? {
            Owner::Tcp(key) => Some(key),
            Owner::Mapping(_) | Owner::Dns(_) => None,
        }
    }

    /// The ends of the app's connection that a stream socket belongs to.
    pub(crate) fn pair_of(&self, socket: SocketId) -> Option<Pair> {
        let flow = self.flows.get(self.flow_of(socket)?)?;
        Some(flow.record.pair())
    }

    pub(super) fn tcp_send_parts<'a>(
        &'a self,
        socket: SocketId,
        parts: &mut [IoSlice<'a>],
    ) -> usize {
        let flow = self.flow_of(socket).and_then(|key| self.flows.get(key));
        flow.map_or(0, |flow| flow.out.parts(&self.refs, &self.slots, parts).0)
    }

    pub(super) fn tcp_sent(&mut self, socket: SocketId, result: Result<usize, ErrorKind>) {
        let Some(key) = self.flow_of(socket) else {
            return;
        };
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        match result {
            Ok(n) => {
                let n = n.min(flow.out.sendable());
                flow.record.bytes_out += n as u64;
                self.buffered -= n;
                flow.out.sent(n, &mut self.refs, &mut self.spare);
            }
            Err(why) => {
                if why != ErrorKind::WouldBlock {
                    flow.tear();
                }
                flow.writable = false;
                flow.out.settle(&self.refs, &self.slots, &mut self.spare);
            }
        }
        self.follow_up(key);
    }

    pub(super) fn poll_tcp_recv(&mut self) -> Option<SocketId> {
        while let Some(key) = self.recvs.pop_front() {
            if let Some(flow) = self.flows.get_mut(key) {
                flow.queued.recv = false;
                return Some(SocketId(flow.socket));
            }
        }
        None
    }

    pub(super) fn tcp_recv_room(&mut self, socket: SocketId) -> Option<&mut [u8]> {
        let key = self.flow_of(socket)?;
        let now = self.now.mono;
        let flow = self.flows.get_mut(key)?;
        // Asked twice, because a borrow that is returned lasts too long to look at the other case.
        match flow.tcp.recv_room(now, &mut self.pool).err() {
            None => self
                .flows
                .get_mut(key)?
                .tcp
                .recv_room(now, &mut self.pool)
                .ok(),
            Some(NoRoom::Window) => {
                flow.queued.shut = true;
                self.arm(key);
                None
            }
            Some(NoRoom::Pool) => {
                if !std::mem::replace(&mut flow.queued.starved, true) {
                    self.starved.push_back(key);
                }
                None
            }
        }
    }

    /// As [`Engine::recv_room`], however little room there is.
    pub(super) fn any_recv_room(&mut self, socket: SocketId) -> Option<&mut [u8]> {
        let key = self.flow_of(socket)?;
        let now = self.now.mono;
        let tcp = &mut self.flows.get_mut(key)?.tcp;
        if tcp.any_recv_room(now, &mut self.pool).is_err() {
            return self.tcp_recv_room(socket);
        }
        let tcp = &mut self.flows.get_mut(key)?.tcp;
        tcp.any_recv_room(now, &mut self.pool).ok()
    }

    pub(super) fn tcp_received(&mut self, socket: SocketId, result: Result<usize, ErrorKind>) {
        let Some(key) = self.flow_of(socket) else {
            return;
        };
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        match result {
            Ok(0) => flow.tcp.finish(&mut self.pool),
            Ok(n) => {
                flow.tcp.received(n, &mut self.pool);
                flow.record.bytes_in += n as u64;
            }
            Err(ErrorKind::WouldBlock) => return flow.tcp.received(0, &mut self.pool),
            Err(_) => {
                flow.tcp.received(0, &mut self.pool);
                flow.tear();
            }
        }
        self.follow_up(key);
    }

    pub(super) fn poll_tcp_packet(&mut self) -> Option<Transmit<'_>> {
        let now = self.now.mono;
        let (key, emit, pair) = loop {
            let &key = self.transmits.front()?;
            let allowed = self.allowed(key);
            let Some(flow) = self.flows.get_mut(key) else {
                self.transmits.pop_front();
                continue;
            };
            let pair = flow.record.pair().reversed();
            let own = (self.config.mtu - if pair.dst.is_ipv4() { 40 } else { 60 }) as u16;
            let longest = match self.offload {
                true => LONGEST - wire::MAX_HEADER,
                false => 0,
            };
            if let Some(emit) = flow.tcp.next(allowed, now, own, longest) {
                flow.closed_first |= emit.flags.contains(Flags::FIN) && !flow.tcp.fin_seen();
                break (key, emit, pair);
            }
            self.transmits.pop_front();
            flow.queued.transmit = false;
            if flow.broken {
                self.reset_app(key);
                self.end_flow(key, true);
                let n = self.control.pop(&mut self.packet);
                if n {
                    return Some(Transmit {
                        header: &self.packet,
                        payload: &[],
                        offload: Offload::default(),
                    });
                }
                continue;
            }
            self.arm(key);
        };
        let flow = self.flows.get(key)?;
        let payload = flow.tcp.payload(emit.place);
        let tcp = TcpOut {
            pair,
            seq: emit.seq,
            ack: emit.ack,
            flags: emit.flags,
            window: emit.window,
            mss: emit.mss,
            window_scale: emit.window_scale,
        };
        let (n, offload) = match self.offload {
            true => {
                let segment = flow.tcp.segment_size();
                wire::emit_tcp_offloaded(&mut self.header, &tcp, payload.len(), segment)
            }
            false => {
                let n = wire::emit_tcp(&mut self.header, &tcp, payload);
                (n, Offload::default())
            }
        };
        Some(Transmit {
            header: self.header.get(..n)?,
            payload,
            offload,
        })
    }

    /// How many bytes beyond those accepted the app may send.
    fn allowed(&self, key: Key) -> u32 {
        let Some(flow) = self.flows.get(key) else {
            return 0;
        };
        if matches!(flow.wait(), Wait::Question { .. }) {
            return 0;
        }
        let window = self
            .budget
            .window(flow.round, self.segment_size(flow.record.pair()));
        if self.buffered > self.limits.buffers_total / 2 && flow.out.len() > 0 {
            return 0;
        }
        let room = (self.limits.hold_per_flow + window as usize).saturating_sub(flow.out.len());
        window.min(u32::try_from(room).unwrap_or(u32::MAX))
    }

    /// Copies what is left in the slots before they are filled anew.
    pub(super) fn settle(&mut self) {
        for &key in &self.sends {
            if let Some(flow) = self.flows.get_mut(key) {
                flow.out.settle(&self.refs, &self.slots, &mut self.spare);
            }
        }
        self.refs.clear();
    }

    /// Closes the socket, tells of the flow and forgets it.
    fn end_flow(&mut self, key: Key, reset: bool) {
        if self.is_gathered(key) {
            self.judge_batch();
        }
        let time = self.since_start();
        let Some(mut flow) = self.take_flow(key, reset) else {
            return;
        };
        if let Some(asked) = flow.asked.take() {
            let asking = asked.verdict.unwrap_or(flow.record.verdict.clone());
            let (events, record) = (&mut self.events, &mut flow.record);
            Self::tell_unsettled(events, record, asked.findings, &asking, time);
        }
        self.events.push_back(flow.record.flow_event(time));
    }

    /// Ends a flow of which nobody is told: nothing of it has gone.
    fn forget_flow(&mut self, key: Key) {
        self.take_flow(key, true);
    }

    fn take_flow(&mut self, key: Key, reset: bool) -> Option<TcpFlow> {
        self.unpark(key);
        let mut flow = self.flows.remove(key)?;
        self.by_pair.remove(&flow.record.pair(), key);
        match flow.opened {
            true => self.close_socket(flow.socket, reset),
            false => self.sockets.forget(flow.socket),
        }
        self.buffered -= flow.out.len();
        self.early -= flow.tcp.early_weight();
        self.note_held(flow.app, flow.noted as usize, 0);
        self.apps.leave(flow.app);
        flow.out.discard(&mut self.spare);
        flow.tcp.release(&mut self.pool);
        if !reset && flow.closed_first {
            let at = self.now.mono + TimeWaits::LENGTH;
            self.time_waits
                .insert(flow.record.pair(), flow.tcp.reset_numbers(), at);
            if let Some(at) = self.time_waits.deadline() {
                self.timers
                    .arm(TimerKey::TimeWait, at, &mut self.time_waits.armed);
            }
        }
        Some(flow)
    }

    pub(super) fn finish_tcp(&mut self) {
        for key in self.flows.keys() {
            self.end_flow(key, true);
        }
    }

    pub(super) fn time_waits_timeout(&mut self, at: Duration) {
        if self.time_waits.armed == Some(at) {
            self.time_waits.armed = None;
            self.time_waits.expire(self.now.mono);
            if let Some(at) = self.time_waits.deadline() {
                self.timers
                    .arm(TimerKey::TimeWait, at, &mut self.time_waits.armed);
            }
        }
    }
}

/// Bytes that inspection may hold of a flow.
fn room(limits: &Limits, apps: &Apps, held: usize, flow: &TcpFlow) -> usize {
    let total = limits.hold_total.saturating_sub(held);
    let app = apps.room(flow.app, limits.hold_per_app);
    let free = total.min(app).saturating_add(flow.noted as usize);
    limits.hold_per_flow.min(free)
}

/// The part of the limit on buffers that bytes before their turn may fill.
const EARLY_SHARE: usize = 4;
