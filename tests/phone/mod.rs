//! An app's kernel on one side of the engine and a shell on the other, with a fake clock.
#![allow(dead_code, reason = "each test target uses its own part")]

use std::{io::IoSlice, net::SocketAddr, sync::Arc, time::Duration};

use untold::{
    detect::{Detector, Identity},
    engine::{Command, Config, Engine, Now, SocketEvent, SocketId},
    event::Event,
    inspect::Rules,
    policy,
    wire::{self, Checksum, Flags, MAX_HEADER, Packet, Pair, Segment, TcpOut},
};

/// An app's kernel, the engine, and everything the engine asked for.
pub struct Phone {
    pub engine: Engine,
    pub now: Duration,
    pub commands: Vec<Command>,
    pub packets: Vec<Vec<u8>>,
    pub events: Vec<Event>,
    pub sent: Vec<(SocketId, SocketAddr, Vec<u8>)>,
}

pub const APP: &str = "198.18.0.2:40000";
pub const WEB: &str = "203.0.113.9:80";
pub const RESOLVER: &str = "198.18.0.1:53";
pub const UPSTREAM: &str = "192.0.2.53:53";
pub const SYN: Flags = Flags::SYN;
pub const ACK: Flags = Flags::ACK;
pub const FIN: Flags = Flags(Flags::FIN.0 | Flags::ACK.0);
pub const RST: Flags = Flags::RST;
pub const ISS: u32 = 1_000;

/// A value that is registered: synthetic, Luhn-valid.
pub const IMEI: &str = "490154203237518";

pub fn rules(policy: &str) -> Rules {
    let identity = Identity::parse("identity.toml", &format!("imei = \"{IMEI}\"")).unwrap();
    let config = policy::Config::parse("policy.toml", policy).unwrap();
    Rules {
        detector: Arc::new(Detector::new(&identity, &[0; 32])),
        policy: Arc::new(policy::Policy::new(config, Vec::new()).unwrap()),
    }
}

pub fn pair(src: &str, dst: &str) -> Pair {
    Pair {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
    }
}

/// A segment of an app, as its kernel sends it.
pub fn segment(
    app: &str,
    [seq, ack]: [u32; 2],
    flags: Flags,
    window: u16,
    payload: &[u8],
) -> Vec<u8> {
    let tcp = TcpOut {
        pair: pair(app, WEB),
        seq,
        ack,
        flags,
        window,
        mss: flags.contains(SYN).then_some(1_460),
        window_scale: None,
    };
    let mut header = [0; MAX_HEADER];
    let n = wire::emit_tcp(&mut header, &tcp, payload);
    [&header[..n], payload].concat()
}

impl Phone {
    pub fn without_policy(can_ask: bool) -> Self {
        let engine = Engine::new(Config {
            seed: 7,
            mtu: 1_500,
            queue: 500,
            dns: vec!["198.18.0.1".parse().unwrap()],
            resolvers: vec![UPSTREAM.parse().unwrap()],
            can_ask,
        });
        let now = Duration::from_secs(5);
        let (commands, packets, events, sent) = Default::default();
        Self {
            engine,
            now,
            commands,
            packets,
            events,
            sent,
        }
    }

    pub fn new(policy: &str) -> Self {
        Self::with(policy, false)
    }

    /// Somebody answers questions.
    pub fn asking(policy: &str) -> Self {
        Self::with(policy, true)
    }

    pub fn with(policy: &str, can_ask: bool) -> Self {
        let mut phone = Self::without_policy(can_ask);
        phone.engine.set_rules(rules(policy), Now::default());
        phone
    }

    pub fn clock(&self) -> Now {
        Now {
            mono: self.now,
            wall: 1_800_000_000,
        }
    }

    pub fn packet(&mut self, packet: &[u8]) {
        self.batch(&[packet.to_vec()]);
        self.drain();
    }

    /// Packets that the device gives in one go; nothing is done yet of what they lead to.
    pub fn batch(&mut self, packets: &[Vec<u8>]) {
        for (slot, packet) in self.engine.rx_slots().iter_mut().zip(packets) {
            slot.bytes[..packet.len()].copy_from_slice(packet);
            slot.len = packet.len();
        }
        self.engine.handle_packets(packets.len(), self.clock());
    }

    pub fn drain(&mut self) {
        self.commands
            .extend(std::iter::from_fn(|| self.engine.poll_command()));
        loop {
            let mut payloads = [IoSlice::new(&[]); 64];
            let Some(out) = self.engine.poll_datagrams(&mut payloads) else {
                break;
            };
            let payloads = payloads[..out.count].iter();
            let sent = payloads.map(|payload| (out.socket, out.to, payload.to_vec()));
            self.sent.extend(sent);
        }
        while let Some(packet) = self.engine.poll_packet() {
            self.packets.push([packet.header, packet.payload].concat());
        }
        self.commands
            .extend(std::iter::from_fn(|| self.engine.poll_command()));
        self.events
            .extend(std::iter::from_fn(|| self.engine.poll_event()));
    }

    pub fn tcp(&mut self, seq: u32, ack: u32, flags: Flags, window: u16, payload: &[u8]) {
        self.tcp_from(APP, seq, ack, flags, window, payload);
    }

    pub fn tcp_from(
        &mut self,
        app: &str,
        seq: u32,
        ack: u32,
        flags: Flags,
        window: u16,
        payload: &[u8],
    ) {
        self.packet(&segment(app, [seq, ack], flags, window, payload));
    }

    pub fn udp(&mut self, src: &str, dst: &str, payload: &[u8]) {
        let mut header = [0; MAX_HEADER];
        let n = wire::emit_udp(&mut header, pair(src, dst), payload);
        self.packet(&[&header[..n], payload].concat());
    }

    pub fn socket(&mut self, socket: SocketId, event: SocketEvent) {
        self.engine.handle_socket(socket, event, self.clock());
        self.drain();
    }

    /// The remote end says something; how much of it was taken.
    pub fn remote_says(&mut self, socket: SocketId, bytes: &[u8]) -> usize {
        let now = self.clock();
        let Some(room) = self.engine.recv_room(socket) else {
            return 0;
        };
        let n = room.len().min(bytes.len());
        room[..n].copy_from_slice(&bytes[..n]);
        self.engine.received(socket, Ok(n), now);
        self.drain();
        n
    }

    /// The socket takes up to `most` bytes.
    pub fn remote_takes(&mut self, most: usize) -> Vec<u8> {
        let now = self.clock();
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(socket) = self.engine.poll_send()
        {
            let n = {
                let mut parts = [IoSlice::new(&[]); 8];
                let count = self.engine.send_parts(socket, &mut parts);
                let bytes: Vec<u8> = parts[..count]
                    .iter()
                    .flat_map(|part| part.iter().copied())
                    .collect();
                let n = bytes.len().min(most - taken.len());
                taken.extend_from_slice(&bytes[..n]);
                n
            };
            self.engine.sent(socket, Ok(n), now);
        }
        self.drain();
        taken
    }

    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.clock());
            self.drain();
        }
        self.now = until;
    }

    /// Segments for the app since the last look, with their payloads.
    pub fn segments(&mut self) -> Vec<(Segment, Vec<u8>)> {
        let packets = std::mem::take(&mut self.packets);
        let segments =
            packets
                .iter()
                .filter_map(|packet| match wire::parse(packet, Checksum::Verify) {
                    Ok(Packet::Tcp(segment)) => {
                        Some((segment, segment.payload.of(packet).to_vec()))
                    }
                    _ => None,
                });
        segments.collect()
    }

    pub fn only_segment(&mut self) -> Segment {
        let segments = self.segments();
        assert_eq!(segments.len(), 1, "{segments:?}");
        segments[0].0
    }

    pub fn connected_to(&self) -> Vec<(SocketId, SocketAddr)> {
        let connects = self.commands.iter().filter_map(|command| match command {
            Command::Connect { socket, to } => Some((*socket, *to)),
            _ => None,
        });
        connects.collect()
    }

    /// A connection that stands, its socket and our initial sequence number.
    pub fn open(&mut self, window: u16) -> (SocketId, u32) {
        self.open_from(APP, window)
    }

    pub fn open_from(&mut self, app: &str, window: u16) -> (SocketId, u32) {
        self.tcp_from(app, ISS, 0, SYN, window, b"");
        let (socket, _) = *self.connected_to().last().expect("no connect");
        self.socket(socket, SocketEvent::Connected);
        let syn_ack = self.only_segment();
        assert_eq!((syn_ack.flags, syn_ack.ack), (SYN | ACK, ISS + 1));
        self.tcp_from(app, ISS + 1, syn_ack.seq + 1, ACK, window, b"");
        (socket, syn_ack.seq)
    }

    pub fn drops(&mut self) -> Vec<(&'static str, u64)> {
        self.engine.finish(self.clock());
        self.drain();
        let drops = self.events.iter().filter_map(|event| match event {
            Event::Drop(drop) => Some((drop.reason, drop.count)),
            _ => None,
        });
        drops.collect()
    }
}

pub fn query(id: u16, name: &'static str) -> Vec<u8> {
    use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, TYPE};
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new_unchecked(name);
    packet
        .questions
        .push(Question::new(name, TYPE::A.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().unwrap()
}

pub fn reply(query: &[u8], address: [u8; 4]) -> Vec<u8> {
    use simple_dns::{CLASS, Packet, ResourceRecord, rdata};
    let asked = Packet::parse(query).unwrap();
    let mut packet = Packet::new_reply(asked.id());
    packet.questions.push(asked.questions[0].clone());
    let data = rdata::RData::A(rdata::A::from(std::net::Ipv4Addr::from(address)));
    packet.answers.push(ResourceRecord::new(
        asked.questions[0].qname.clone(),
        CLASS::IN,
        60,
        data,
    ));
    packet.build_bytes_vec().unwrap()
}
