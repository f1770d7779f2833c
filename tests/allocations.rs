//! No allocation per packet: the engine, once warm, moves packets without asking the allocator for anything. And little
//! memory for a flow that is idle.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::IoSlice,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use untold::{
    detect::{Detector, Identity},
    engine::{Command, Config, Engine, Now, SocketEvent, SocketId},
    inspect::Rules,
    policy::{self, Policy},
    wire::{self, Checksum, Flags, MAX_HEADER, Packet, Pair, Segment, TcpOut},
};

#[test]
fn an_upload_allocates_nothing_with_inspection_on() {
    let mut phone = Phone::new(&identity());
    assert_eq!(steady_uploads(&mut phone), 0);
}

#[test]
fn an_upload_of_text_full_of_encoded_runs_allocates_nothing() {
    type Line = fn(usize) -> String;
    let texts: [(&str, Line); 5] = [
        ("base64 in lines", |line| {
            format!(
                "{:016x}Q29sbGVjdGlvbg/+abcdefghijklmnop{:08}\n",
                line * 77_773,
                line
            )
        }),
        ("hexadecimal digits in JSON", |line| {
            format!(
                "{{\"id\":\"{:032x}\",\"t\":{}}},",
                line * 1_234_567_891,
                1_700_000_000 + line
            )
        }),
        ("escapes in JSON", |line| {
            format!("{{\"url\":\"https:\\/\\/a.example\\/{line}\",\"name\":\"\\u0041\\u0042\"}},")
        }),
        ("a form", |line| {
            format!("name=My+Home%20{line}&data=%7B%22n%22%3A{line}%7D&")
        }),
        ("prose", |line| {
            format!("The weather in Oslo was fine, {line} people say. ")
        }),
    ];
    for (name, line) in texts {
        let text: String = (0..100).map(line).collect();
        let mut phone = Phone::sending(&identity(), text.as_bytes()[..MSS].to_vec());
        assert_eq!(steady_uploads(&mut phone), 0, "{name}");
    }
}

#[test]
fn an_upload_allocates_nothing_without_an_identity() {
    let mut phone = Phone::new("");
    assert_eq!(steady_uploads(&mut phone), 0);
}

#[test]
fn an_upload_in_frames_allocates_nothing() {
    let mut http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // POST to /, and a frame of DATA as long as they go.
    http2.extend(b"\0\0\x03\x01\x04\0\0\0\x01\x83\x84\x86\xff\xff\xff\0\0\0\0\0\x01");
    let mut websocket = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec();
    websocket.extend(b"\x82\xff\0\0\0\x10\0\0\0\0\x37\xfa\x21\x3d");
    for beginning in [http2, websocket] {
        let mut phone = Phone::new(&identity());
        let mut flow = phone.connect(1);
        phone.say(&mut flow, &beginning);
        for _ in 0..WARM_UP {
            phone.upload(&mut flow);
        }
        let (allocations, bytes) =
            counted(|| (0..ROUNDS).map(|_| phone.upload(&mut flow)).sum::<usize>());
        assert!(bytes >= ROUNDS * 4 * MSS, "only {bytes} bytes went");
        assert_eq!(allocations, 0);
    }
}

#[test]
fn a_download_allocates_nothing() {
    let mut phone = Phone::new(&identity());
    let mut flow = phone.connect(1);
    for _ in 0..WARM_UP {
        phone.download(&mut flow);
    }
    let (allocations, bytes) = counted(|| {
        (0..ROUNDS)
            .map(|_| phone.download(&mut flow))
            .sum::<usize>()
    });
    assert!(bytes >= ROUNDS * BATCH * MSS, "only {bytes} bytes came");
    assert_eq!(allocations, 0);
}

#[test]
fn many_flows_in_turn_allocate_nothing() {
    let mut phone = Phone::new(&identity());
    let mut flows: Vec<Flow> = (1..=64).map(|number| phone.connect(number)).collect();
    let mut turn = |rounds: usize| {
        for _ in 0..rounds {
            for flow in &mut flows {
                phone.upload(flow);
                phone.download(flow);
            }
        }
    };
    turn(4);
    let (allocations, ()) = counted(|| turn(8));
    assert_eq!(allocations, 0);
}

#[test]
fn datagrams_of_a_known_flow_allocate_nothing() {
    // Field 1: a string of 27 bytes; field 2: a number; and so on.
    let protobuf = b"\x0a\x1bThe weather in Oslo is fine\x10\x96\x01".repeat(4);
    let json = br#"{"t":1700000000,"event":"screen_view","page":"settings/main","n":17,"next":"c2V0dGluZ3M="}"#;
    let texts = [protobuf, json.repeat(2)];
    let noises = (1..=40).map(|seed| noise(seed).take(MSS).collect());
    for payload in noises.chain(texts) {
        let start = payload[..100].escape_ascii().to_string();
        let mut phone = Phone::sending(&identity(), payload);
        assert_eq!(steady_datagrams(&mut phone), 0, "{start}");
    }
}

#[test]
fn an_idle_flow_takes_less_than_a_kibibyte_and_no_timer() {
    let request =
        b"GET /news/latest?page=2 HTTP/1.1\r\nHost: server.example\r\nAccept: */*\r\n\r\n";
    let record = [&[23, 3, 3, 0, 64][..], &[0x5a; 64]].concat();
    let hello = client_hello(b"server.example");
    let carried: [(&str, &[&[u8]]); 4] = [
        ("nothing", &[]),
        ("a byte", &[b"?"]),
        ("requests", &[request, request]),
        ("TLS", &[&hello, &record]),
    ];
    for (what, messages) in carried {
        let mut phone = Phone::new(&identity());
        // One flow sets up what all share.
        phone.exchange(0, messages);
        let before = HELD.get();
        for number in 1..IDLE {
            phone.exchange(number, messages);
        }
        // Whatever was armed is over by then.
        phone.let_pass(Duration::from_secs(100));
        assert_eq!(phone.engine.poll_timeout(), None, "{what}: nobody is woken");
        let each = (HELD.get() - before) / (i64::from(IDLE) - 1);
        assert!(each < MOST_IDLE, "{what}: {each} bytes");
        assert!(each > 400, "{what}: {each} bytes are too few to be true");
    }
}

#[test]
fn flows_that_have_ended_leave_nothing_behind() {
    let mut phone = Phone::new(&identity());
    let mut held = Vec::with_capacity(8);
    for round in 0..8u32 {
        for number in 0..2_000u16 {
            let host = format!("{round}-{number}.server.example");
            let request = format!("GET /{number} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let hello = client_hello(host.as_bytes());
            let messages: [&[u8]; 1] = match number % 2 {
                0 => [request.as_bytes()],
                _ => [&hello],
            };
            let flow = phone.exchange(number, &messages);
            match number % 3 {
                0 => phone.packet(segment(flow.pair, flow.seq, flow.ack, Flags::RST), 0),
                _ => phone.close(&flow),
            }
            phone.now.mono += Duration::from_millis(10);
            phone.let_pass(Duration::ZERO);
        }
        phone.let_pass(Duration::from_secs(200));
        assert_eq!(phone.engine.load().flows, 0);
        held.push(HELD.get());
    }
    let early = held[..4].iter().max();
    let late = held[4..].iter().max();
    assert!(late <= early, "{held:?} bytes");
}

#[test]
fn the_counter_counts() {
    let (allocations, _) = counted(|| vec![1, 2, 3]);
    assert_eq!(allocations, 1);
    let before = HELD.get();
    let mut bytes = vec![0u8; 100];
    bytes.resize(1_000, 0);
    assert_eq!(HELD.get() - before, bytes.capacity() as i64);
    drop(bytes);
    assert_eq!(HELD.get(), before);
}

fn steady_uploads(phone: &mut Phone) -> u64 {
    let mut flow = phone.connect(1);
    for _ in 0..WARM_UP {
        phone.upload(&mut flow);
    }
    let (allocations, bytes) =
        counted(|| (0..ROUNDS).map(|_| phone.upload(&mut flow)).sum::<usize>());
    // Inspection may keep a tail of what began like a value.
    assert!(bytes >= ROUNDS * 4 * MSS, "only {bytes} bytes went");
    allocations
}

fn steady_datagrams(phone: &mut Phone) -> u64 {
    let pair = Pair {
        src: address(1),
        dst: REMOTE.parse().unwrap(),
    };
    let socket = phone.first_datagram(pair);
    for _ in 0..4 {
        phone.datagrams(pair, socket);
    }
    let (allocations, sent) = counted(|| {
        (0..16)
            .map(|_| phone.datagrams(pair, socket))
            .sum::<usize>()
    });
    assert_eq!(sent, 16 * BATCH);
    allocations
}

/// Bytes of a generator (Knuth's MMIX constants): cleartext that is in no protocol and in no encoding.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
}

/// An app's TCP and a shell, in one thread, whose own work allocates nothing.
struct Phone {
    engine: Engine,
    now: Now,
    /// A full segment.
    payload: Vec<u8>,
}

/// What the app's TCP knows.
struct Flow {
    pair: Pair,
    socket: SocketId,
    seq: u32,
    ack: u32,
    /// How far the engine's window reaches.
    edge: u32,
    scale: u8,
}

impl Flow {
    /// Takes a segment of the engine's; gives the bytes that it brought.
    fn take(&mut self, segment: &Segment, len: usize) -> usize {
        self.edge = segment
            .ack
            .wrapping_add(u32::from(segment.window) << self.scale);
        self.ack = self
            .ack
            .max(segment.seq.wrapping_add(u32::try_from(len).unwrap()));
        len
    }
}

impl Phone {
    fn new(identity: &str) -> Self {
        Self::sending(identity, noise(1).take(MSS).collect())
    }

    fn sending(identity: &str, payload: Vec<u8>) -> Self {
        let config = Config {
            seed: 1,
            mtu: 1500,
            queue: 5_000,
            dns: Vec::new(),
            resolvers: Vec::new(),
            can_ask: false,
        };
        let identity = Identity::parse("identity.toml", identity).expect("a good identity");
        let rules = Rules {
            detector: Arc::new(Detector::new(&identity, &[7; 32])),
            policy: Arc::new(
                Policy::new(policy::Config::default_policy(), Vec::new()).expect("a good policy"),
            ),
        };
        let now = Now {
            mono: Duration::from_secs(1),
            wall: 1_700_000_000,
        };
        let mut engine = Engine::new(config);
        engine.set_rules(rules, now);
        Self {
            engine,
            now,
            payload,
        }
    }

    /// A connection from port 1,000 + `number`, up to the app's ACK.
    fn connect(&mut self, number: u16) -> Flow {
        let pair = Pair {
            src: address(number),
            dst: REMOTE.parse().unwrap(),
        };
        self.packet(
            TcpOut {
                mss: Some(1460),
                window_scale: Some(10),
                ..segment(pair, 1, 0, Flags::SYN)
            },
            0,
        );
        let socket = loop {
            match self.engine.poll_command().expect("a connection is wanted") {
                Command::Connect { socket, .. } => break socket,
                _ => continue,
            }
        };
        self.engine
            .handle_socket(socket, SocketEvent::Connected, self.now);
        let answer = self.next_segment().expect("the SYN is answered").0;
        assert!(answer.flags.contains(Flags::SYN | Flags::ACK));
        let scale = answer.window_scale.expect("window scaling is negotiated");
        let edge = answer.ack.wrapping_add(u32::from(answer.window));
        let flow = Flow {
            pair,
            socket,
            seq: 2,
            ack: answer.seq.wrapping_add(1),
            edge,
            scale,
        };
        self.packet(segment(pair, flow.seq, flow.ack, Flags::ACK), 0);
        flow
    }

    /// A batch of full segments, as many as the window allows, sent on by the socket at once; gives the bytes that were.
    fn upload(&mut self, flow: &mut Flow) -> usize {
        self.tick();
        let room = usize::try_from(flow.edge.wrapping_sub(flow.seq)).unwrap();
        let count = (room / MSS).min(BATCH);
        for slot in 0..count {
            self.fill(
                slot,
                &segment(flow.pair, flow.seq, flow.ack, Flags::ACK),
                MSS,
            );
            flow.seq = flow.seq.wrapping_add(u32::try_from(MSS).unwrap());
        }
        self.engine.handle_packets(count, self.now);
        let sent = self.send();
        while let Some((segment, len)) = self.next_segment() {
            flow.take(&segment, len);
        }
        sent
    }

    /// One segment of these bytes.
    fn say(&mut self, flow: &mut Flow, bytes: &[u8]) {
        let mut payload = bytes.to_vec();
        std::mem::swap(&mut self.payload, &mut payload);
        let tcp = segment(flow.pair, flow.seq, flow.ack, Flags::ACK);
        self.packet(tcp, bytes.len());
        self.payload = payload;
        flow.seq = flow.seq.wrapping_add(u32::try_from(bytes.len()).unwrap());
        self.send();
        while let Some((segment, len)) = self.next_segment() {
            flow.take(&segment, len);
        }
    }

    /// A connection that carries messages, each answered by a few bytes that the app acknowledges.
    fn exchange(&mut self, number: u16, messages: &[&[u8]]) -> Flow {
        let mut flow = self.connect(number);
        for message in messages {
            self.say(&mut flow, message);
            let room = self
                .engine
                .recv_room(flow.socket)
                .expect("the window is open");
            room[..16].fill(b'd');
            self.engine.received(flow.socket, Ok(16), self.now);
            while let Some((segment, len)) = self.next_segment() {
                flow.take(&segment, len);
            }
            self.packet(segment(flow.pair, flow.seq, flow.ack, Flags::ACK), 0);
            while self.next_segment().is_some() {}
        }
        flow
    }

    /// Both ends close, the app first.
    fn close(&mut self, flow: &Flow) {
        let fin = Flags(Flags::FIN.0 | Flags::ACK.0);
        self.packet(segment(flow.pair, flow.seq, flow.ack, fin), 0);
        self.send();
        assert!(self.engine.recv_room(flow.socket).is_some());
        self.engine.received(flow.socket, Ok(0), self.now);
        while self.next_segment().is_some() {}
        let (seq, ack) = (flow.seq.wrapping_add(1), flow.ack.wrapping_add(1));
        self.packet(segment(flow.pair, seq, ack, Flags::ACK), 0);
    }

    /// Time passes, and whatever is due is done, said and sent.
    fn let_pass(&mut self, time: Duration) {
        self.now.mono += time;
        loop {
            self.send();
            while self.next_segment().is_some() {}
            while self.engine.poll_command().is_some() {}
            while self.engine.poll_event().is_some() {}
            let due = |at| at <= self.now.mono;
            if !self.engine.poll_timeout().is_some_and(due) {
                return;
            }
            self.engine.handle_timeout(self.now);
        }
    }

    /// A batch of received bytes, ACKed by the app; gives the bytes that reached it.
    fn download(&mut self, flow: &mut Flow) -> usize {
        self.tick();
        let mut left = BATCH * MSS;
        let mut came = 0;
        while left > 0 {
            while self.engine.poll_recv().is_some() {}
            if let Some(room) = self.engine.recv_room(flow.socket) {
                let len = room.len().min(left);
                room[..len].fill(b'd');
                left -= len;
                self.engine.received(flow.socket, Ok(len), self.now);
            }
            let before = came;
            while let Some((segment, len)) = self.next_segment() {
                assert_eq!(segment.pair.dst, flow.pair.src);
                came += flow.take(&segment, len);
            }
            self.packet(segment(flow.pair, flow.seq, flow.ack, Flags::ACK), 0);
            self.send();
            assert!(came > before, "the download stands still at {came} bytes");
        }
        came
    }

    fn first_datagram(&mut self, pair: Pair) -> SocketId {
        self.fill_datagram(0, pair);
        self.engine.handle_packets(1, self.now);
        while self
            .engine
            .poll_datagrams(&mut [IoSlice::new(&[])])
            .is_some()
        {}
        let mut opened = None;
        while let Some(command) = self.engine.poll_command() {
            if let Command::OpenUdp { socket, .. } = command {
                opened = Some(socket);
            }
        }
        opened.expect("a socket is wanted")
    }

    /// A batch of datagrams out, each answered; gives the number that went out.
    fn datagrams(&mut self, pair: Pair, socket: SocketId) -> usize {
        self.tick();
        for slot in 0..BATCH {
            self.fill_datagram(slot, pair);
        }
        self.engine.handle_packets(BATCH, self.now);
        let mut sent = 0;
        loop {
            let mut payloads = [IoSlice::new(&[]); BATCH];
            let Some(outgoing) = self.engine.poll_datagrams(&mut payloads) else {
                break;
            };
            sent += outgoing.count;
        }
        for _ in 0..sent {
            self.engine.datagram_room()[..100].fill(b'd');
            self.engine.handle_datagram(socket, pair.dst, 100, self.now);
            while self.engine.poll_packet().is_some() {}
        }
        sent
    }

    fn tick(&mut self) {
        self.now.mono += Duration::from_millis(1);
        if self
            .engine
            .poll_timeout()
            .is_some_and(|at| at <= self.now.mono)
        {
            self.engine.handle_timeout(self.now);
        }
    }

    fn packet(&mut self, tcp: TcpOut, len: usize) {
        self.fill(0, &tcp, len);
        self.engine.handle_packets(1, self.now);
    }

    fn fill(&mut self, slot: usize, tcp: &TcpOut, len: usize) {
        let mut header = [0; MAX_HEADER];
        let payload = &self.payload[..len];
        let header_len = wire::emit_tcp(&mut header, tcp, payload);
        let slot = &mut self.engine.rx_slots()[slot];
        slot.bytes[..header_len].copy_from_slice(&header[..header_len]);
        slot.bytes[header_len..header_len + len].copy_from_slice(payload);
        (slot.len, slot.checksum) = (header_len + len, Checksum::Verify);
    }

    fn fill_datagram(&mut self, slot: usize, pair: Pair) {
        let mut header = [0; MAX_HEADER];
        let payload = &self.payload[..100];
        let header_len = wire::emit_udp(&mut header, pair, payload);
        let slot = &mut self.engine.rx_slots()[slot];
        slot.bytes[..header_len].copy_from_slice(&header[..header_len]);
        slot.bytes[header_len..header_len + 100].copy_from_slice(payload);
        (slot.len, slot.checksum) = (header_len + 100, Checksum::Verify);
    }

    /// The sockets take all that they are given.
    fn send(&mut self) -> usize {
        let mut sent = 0;
        while let Some(socket) = self.engine.poll_send() {
            let mut parts = [IoSlice::new(&[]); 128];
            let count = self.engine.send_parts(socket, &mut parts);
            let bytes = parts[..count].iter().map(|part| part.len()).sum();
            self.engine.sent(socket, Ok(bytes), self.now);
            sent += bytes;
        }
        while self.engine.poll_command().is_some() {}
        sent
    }

    /// The next TCP segment for the app, and its payload's length.
    fn next_segment(&mut self) -> Option<(Segment, usize)> {
        let transmit = self.engine.poll_packet()?;
        let (header, len) = (transmit.header, transmit.payload.len());
        let mut packet = [0; 65_536];
        packet[..header.len()].copy_from_slice(header);
        packet[header.len()..header.len() + len].copy_from_slice(transmit.payload);
        match wire::parse(&packet[..header.len() + len], Checksum::Verify) {
            Ok(Packet::Tcp(segment)) => Some((
                segment,
                usize::try_from(segment.payload.end - segment.payload.start).unwrap(),
            )),
            other => panic!("a TCP segment is expected, not {other:?}"),
        }
    }
}

fn segment(pair: Pair, seq: u32, ack: u32, flags: Flags) -> TcpOut {
    TcpOut {
        pair,
        seq,
        ack,
        flags,
        window: 4_096,
        mss: None,
        window_scale: None,
    }
}

fn address(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 2], 1_000 + number))
}

fn identity() -> String {
    "imei = \"490154203237518\"\nwifi_mac = \"02:00:5e:10:3f:a7\"\nemail = \"kari.nordmann@mail.example\"\n".to_owned()
}

/// A record that opens TLS to `host`, of fewer than 100 bytes (RFC 8446 section 4.1.2).
fn client_hello(host: &[u8]) -> Vec<u8> {
    let sized = |head: &[u8], bytes: &[u8]| [head, &[0, bytes.len() as u8], bytes].concat();
    let server_name = sized(&[0, 0], &sized(&[], &sized(&[0], host)));
    let suites = [0, 0, 2, 0x13, 1, 1, 0];
    let hello = [&[3, 3][..], &[0x5a; 32], &suites, &sized(&[], &server_name)].concat();
    sized(&[22, 3, 1], &sized(&[1, 0], &hello))
}

/// Runs `body` and counts the calls of the allocator that ask for memory, on this thread.
fn counted<T>(body: impl FnOnce() -> T) -> (u64, T) {
    let before = ASKED.get();
    let value = body();
    (ASKED.get() - before, value)
}

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
    /// Bytes asked for and not given back.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, counting by thread.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain cell without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        HELD.set(HELD.get() + layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        HELD.set(HELD.get() + size as i64 - layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REMOTE: &str = "203.0.113.9:80";
const MSS: usize = 1460;
const BATCH: usize = 16;
/// Flows that fill the tables just so.
const IDLE: u16 = 8_192;
/// Bytes of an idle flow at most: a KiB with what the shell keeps of a socket, and the allocator of each piece.
const MOST_IDLE: i64 = 920;
const WARM_UP: usize = 64;
const ROUNDS: usize = 256;
