//! Made-up traffic of a phone: half of it TLS, a third HTTP in clear, the rest noise and datagrams.

use std::{
    fs::File,
    io::{BufWriter, Write},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use untold::{
    engine::recording::{Note, Start},
    io::{pcap::Writer, record::Record},
};

/// Writes about `bytes` of traffic, as a capture and as a recording.
pub fn write(bytes: u64, capture: &Path, recording: &Path) {
    let mut both = Both::create(capture, recording);
    let mut flows: Vec<Flow> = (0..FLOWS)
        .map(|number| Flow::new(number, &mut both))
        .collect();
    let mut opened = FLOWS;
    while both.bytes < bytes {
        for flow in &mut flows {
            flow.turn(&mut both);
            if flow.sent > FLOW_BYTES {
                flow.close(&mut both);
                *flow = Flow::new(opened, &mut both);
                opened += 1;
            }
        }
    }
    for flow in &mut flows {
        flow.close(&mut both);
    }
    both.finish();
}

struct Both {
    capture: BufWriter<File>,
    recording: Writer,
    now: Duration,
    bytes: u64,
    random: Random,
}

impl Both {
    fn create(capture: &Path, recording: &Path) -> Self {
        let file = |path| File::create(path).expect("the target folder takes files");
        let mut capture = BufWriter::new(file(capture));
        for word in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 65_535, 101] {
            capture
                .write_all(&word.to_le_bytes())
                .expect("room on the disk");
        }
        let mut recording = Writer::new(file(recording)).expect("a thread can be had");
        recording.start(Start {
            version: env!("CARGO_PKG_VERSION").into(),
            began: BEGAN,
            mtu: 1_500,
            queue: 500,
            dns: Vec::new(),
            resolvers: 0,
            can_ask: false,
            sockets: None,
            offload: false,
        });
        Self {
            capture,
            recording,
            now: Duration::ZERO,
            bytes: 0,
            random: Random(7),
        }
    }

    fn packet(&mut self, outbound: bool, packet: &[u8]) {
        self.now += Duration::from_micros(20);
        let time = BEGAN + self.now;
        let len = packet.len() as u32;
        for word in [time.as_secs() as u32, time.subsec_nanos(), len, len] {
            self.capture
                .write_all(&word.to_le_bytes())
                .expect("room on the disk");
        }
        self.capture.write_all(packet).expect("room on the disk");
        self.recording.packet(self.now, outbound, [packet, &[]]);
        self.bytes += 16 + u64::from(len);
        self.commit();
    }

    fn note(&mut self, note: &Note) {
        self.recording.note(self.now, note);
    }

    fn commit(&mut self) {
        self.recording.commit().expect("a disk that keeps up");
    }

    fn finish(mut self) {
        self.note(&Note::Stop);
        self.capture.flush().expect("room on the disk");
        self.recording.finish().expect("room on the disk");
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Tls,
    Http,
    Noise,
    Datagrams,
}

struct Flow {
    kind: Kind,
    phone: SocketAddr,
    server: SocketAddr,
    /// Next sequence numbers of the phone and of the server.
    seq: [u32; 2],
    sent: u64,
}

impl Flow {
    fn new(number: u32, both: &mut Both) -> Self {
        let kind = match number % 16 {
            0..8 => Kind::Tls,
            8..13 => Kind::Http,
            13 | 14 => Kind::Noise,
            _ => Kind::Datagrams,
        };
        let port = match kind {
            Kind::Tls | Kind::Datagrams => 443,
            Kind::Http => 80,
            Kind::Noise => 7_000,
        };
        let mut flow = Self {
            kind,
            phone: ([10, 0, 0, 2], 20_000 + (number % 40_000) as u16).into(),
            server: ([203, 0, 113, (number % 250) as u8], port).into(),
            seq: [number.wrapping_mul(77), number.wrapping_mul(99)],
            sent: 0,
        };
        if !matches!(kind, Kind::Datagrams) {
            flow.tcp(both, true, SYN, &[]);
            let (src, dst) = (flow.phone, flow.server);
            both.note(&Note::Connect {
                src,
                dst,
                error: None,
                proxy: None,
            });
            flow.tcp(both, false, SYN | ACK, &[]);
            flow.tcp(both, true, ACK, &[]);
        }
        if let Kind::Tls = kind {
            let hello = hello(both);
            flow.say(both, true, &hello);
        }
        flow
    }

    /// One exchange: what the phone says, and what it hears.
    fn turn(&mut self, both: &mut Both) {
        match self.kind {
            Kind::Tls => {
                let (out, back) = (record(both, 2_000), record(both, 12_000));
                self.say(both, true, &out);
                self.say(both, false, &back);
            }
            Kind::Http => {
                let body = json(&mut both.random);
                let head = format!(
                    "POST /v2/events?batch={} HTTP/1.1\r\nHost: events.example\r\nUser-Agent: app/3.1 (Android 14)\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    both.random.next() % 10_000,
                    body.len()
                );
                self.say(both, true, (head + &body).as_bytes());
                let page = json(&mut both.random).repeat(2);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
                self.say(both, false, (head + &page).as_bytes());
            }
            Kind::Noise => {
                let noise = both.random.bytes(6_000);
                self.say(both, true, &noise);
            }
            Kind::Datagrams => {
                for outbound in [true, false, false, false] {
                    let mut payload = both.random.bytes(1_200);
                    payload[0] = 0x40 | payload[0] & 0x3f;
                    self.sent += 1_200;
                    let packet = udp(outbound, self.phone, self.server, &payload);
                    both.packet(outbound, &packet);
                }
            }
        }
    }

    fn say(&mut self, both: &mut Both, outbound: bool, bytes: &[u8]) {
        for segment in bytes.chunks(1_400) {
            self.tcp(both, outbound, ACK, segment);
        }
        self.tcp(both, !outbound, ACK, &[]);
        self.sent += bytes.len() as u64;
    }

    fn close(&mut self, both: &mut Both) {
        if !matches!(self.kind, Kind::Datagrams) {
            self.tcp(both, true, FIN | ACK, &[]);
            self.tcp(both, false, FIN | ACK, &[]);
            self.tcp(both, true, ACK, &[]);
        }
    }

    fn tcp(&mut self, both: &mut Both, outbound: bool, flags: u8, payload: &[u8]) {
        let [own, other] = match outbound {
            true => [0, 1],
            false => [1, 0],
        };
        let ack = if flags & ACK != 0 { self.seq[other] } else { 0 };
        let mut segment = Vec::with_capacity(20 + payload.len());
        segment.extend(ports(outbound, self.phone, self.server));
        segment.extend(self.seq[own].to_be_bytes());
        segment.extend(ack.to_be_bytes());
        segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        self.seq[own] =
            self.seq[own].wrapping_add(payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
        let packet = ip(6, 16, outbound, self.phone, self.server, segment);
        both.packet(outbound, &packet);
    }
}

fn udp(outbound: bool, phone: SocketAddr, server: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::from(ports(outbound, phone, server));
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    ip(17, 6, outbound, phone, server, datagram)
}

fn ports(outbound: bool, phone: SocketAddr, server: SocketAddr) -> [u8; 4] {
    let [a, b] = phone.port().to_be_bytes();
    let [c, d] = server.port().to_be_bytes();
    if outbound { [a, b, c, d] } else { [c, d, a, b] }
}

/// An IPv4 packet around a transport segment whose checksum stands at `at`.
fn ip(
    proto: u8,
    at: usize,
    outbound: bool,
    phone: SocketAddr,
    server: SocketAddr,
    mut segment: Vec<u8>,
) -> Vec<u8> {
    let (SocketAddr::V4(phone), SocketAddr::V4(server)) = (phone, server) else {
        unreachable!("all addresses are IPv4")
    };
    let [from, to] = if outbound {
        [phone, server]
    } else {
        [server, phone]
    };
    let mut header = vec![0x45, 0];
    header.extend((20 + segment.len() as u16).to_be_bytes());
    header.extend([0, 0, 0x40, 0, 64, proto, 0, 0]);
    header.extend(from.ip().octets());
    header.extend(to.ip().octets());
    let check = sum(&[&header]);
    header[10..12].copy_from_slice(&check);
    let length = (segment.len() as u16).to_be_bytes();
    let check = sum(&[&header[12..20], &[0, proto], &length, &segment]);
    segment[at..at + 2].copy_from_slice(&check);
    header.extend(segment);
    header
}

fn sum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u64 = words
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn hello(both: &mut Both) -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend(both.random.bytes(32));
    hello.extend([0, 0, 2, 0x13, 1, 1, 0, 0, 0]);
    let mut record = vec![22, 3, 1];
    record.extend((hello.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);
    record
}

fn record(both: &mut Both, len: usize) -> Vec<u8> {
    let mut record = vec![23, 3, 3];
    record.extend((len as u16).to_be_bytes());
    record.extend(both.random.bytes(len));
    record
}

fn json(random: &mut Random) -> String {
    let mut text = String::from("{\"events\":[");
    for _ in 0..24 {
        let [a, b, c] = [(); 3].map(|()| random.next());
        text += &format!(
            "{{\"name\":\"screen_view\",\"time\":{},\"session\":\"{b:016x}\",\"screen\":\"home/{}\",\"value\":{},\"ok\":true}},",
            1_700_000_000_000 + a % 1_000_000_000,
            c % 100,
            c % 1_000_000
        );
    }
    text + "{}]}"
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

const BEGAN: Duration = Duration::from_secs(1_700_000_000);
/// Flows at a time.
const FLOWS: u32 = 64;
/// Bytes after which a flow ends.
const FLOW_BYTES: u64 = 2_000_000;
const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;
