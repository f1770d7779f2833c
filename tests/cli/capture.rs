//! Captures written byte by byte, so that no reader of ours has had a hand in them.

/// A classic pcap of raw IP packets, a millisecond apart.
pub fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (number, packet) in packets.iter().enumerate() {
        let length = packet.len() as u32;
        for word in [1_700_000_000, 1_000 * number as u32, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// A connection from 192.0.2.2 to 203.0.113.9:80 on which `sent` goes out in segments of `size`.
pub fn connection(sent: &[u8], size: usize) -> Vec<Vec<u8>> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let mut packets = vec![
        tcp(true, 99, 0, SYN, b""),
        tcp(false, 499, 100, SYN | ACK, b""),
    ];
    let mut seq = 100;
    for segment in sent.chunks(size) {
        packets.push(tcp(true, seq, 500, ACK, segment));
        seq += segment.len() as u32;
    }
    packets.push(tcp(false, 500, seq, ACK, b""));
    packets
}

/// An HTTP request whose JSON body is base64.
pub fn request(json: &str) -> Vec<u8> {
    let body = data_encoding::BASE64.encode(json.as_bytes());
    let length = body.len();
    let head =
        format!("POST /r HTTP/1.1\r\nHost: collector.example\r\nContent-Length: {length}\r\n\r\n");
    (head + &body).into_bytes()
}

fn tcp(outbound: bool, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let phone = ([192, 0, 2, 2], 40_000u16);
    let server = ([203, 0, 113, 9], 80u16);
    let ((from, from_port), (to, to_port)) = if outbound {
        (phone, server)
    } else {
        (server, phone)
    };
    let mut packet = vec![0x45, 0];
    packet.extend((40 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    packet.extend(from_port.to_be_bytes());
    packet.extend(to_port.to_be_bytes());
    packet.extend(seq.to_be_bytes());
    packet.extend(ack.to_be_bytes());
    packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}

/// A packet of [`connection`] with the checksums that a live engine asks for.
pub fn summed(mut packet: Vec<u8>) -> Vec<u8> {
    let sum = |parts: &[&[u8]]| {
        let words = parts.iter().flat_map(|part| part.chunks(2));
        let word =
            |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        let mut sum: u32 = words.map(word).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    };
    let header = sum(&[&packet[..20]]);
    packet[10..12].copy_from_slice(&header);
    let length = (packet.len() as u16 - 20).to_be_bytes();
    let tcp = sum(&[&packet[12..20], &[0, 6], &length, &packet[20..]]);
    packet[36..38].copy_from_slice(&tcp);
    packet
}
