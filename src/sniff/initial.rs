//! The packets that a QUIC client begins with: protected with keys that everybody can derive.

use aes_gcm::{
    AeadInOut, Aes128Gcm, KeyInit,
    aes::{Aes128, cipher::BlockCipherEncrypt},
};
use hkdf::Hkdf;
use sha2::Sha256;

use super::{
    hello::{Hello, Indication},
    quic::Long,
};

/// Follows the Initial packets (RFC 9000, 17.2.2) of one flow to the ClientHello that they carry, in whatever order and however
/// many CRYPTO frames and datagrams.
#[derive(Default)]
pub struct Initials {
    keys: Option<Keys>,
    crypto: Crypto,
    hello: Hello,
    /// Packets that were decrypted, or could not be.
    tried: usize,
}

impl Initials {
    /// Reads a datagram; says whether any packet in it was a client's Initial.
    pub fn read(&mut self, datagram: &[u8]) -> bool {
        let mut rest = datagram;
        let mut authentic = false;
        while let Some(packet) = Long::parse(rest) {
            if packet.is_initial() && self.tried < MOST_PACKETS {
                self.tried = self.tried.saturating_add(1);
                authentic |= self.packet(&packet).is_some();
            }
            rest = rest.get(packet.end..).unwrap_or_default();
        }
        authentic
    }

    /// What the ClientHello says, as far as it came.
    pub fn indication(&self) -> Indication {
        let indication = self.hello.indication();
        Indication {
            done: indication.done || self.tried >= MOST_PACKETS,
            ..indication
        }
    }

    /// The handshake as far as it came without a gap.
    pub fn handshake(&self) -> &[u8] {
        self.crypto
            .bytes
            .get(..self.crypto.taken)
            .unwrap_or_default()
    }

    /// Reads one packet; `None` if its protection fails.
    fn packet(&mut self, packet: &Long<'_>) -> Option<()> {
        let known = self
            .keys
            .as_ref()
            .filter(|keys| keys.version == packet.version);
        let mut payload = known.and_then(|keys| keys.open(packet));
        if payload.is_none() {
            // The first one of a flow, or the first after a Retry.
            let keys = Keys::new(packet.version, packet.destination)?;
            payload = keys.open(packet);
            if payload.is_some() {
                self.keys = Some(keys);
            }
        }
        let payload = payload?;
        // What a frame is that a client may not send here ends the reading, not the packet's being authentic.
        let _ = self.frames(&payload);
        self.hello.push(self.crypto.take_next());
        Some(())
    }

    /// RFC 9000, 12.4: what may be in an Initial.
    fn frames(&mut self, payload: &[u8]) -> Option<()> {
        let mut input = Input(payload);
        while !input.0.is_empty() {
            match input.varint()? {
                PADDING | PING => {}
                kind @ (ACK | ACK_ECN) => {
                    let (_largest, _delay) = (input.varint()?, input.varint()?);
                    let ranges = input.varint()?.saturating_mul(2).saturating_add(1);
                    let counts = if kind == ACK_ECN { 3 } else { 0 };
                    for _ in 0..ranges.saturating_add(counts) {
                        input.varint()?;
                    }
                }
                CRYPTO => {
                    let (offset, length) = (input.varint()?, input.varint()?);
                    let data = input.take(usize::try_from(length).ok()?)?;
                    self.crypto.insert(usize::try_from(offset).ok()?, data);
                }
                _ => return None,
            }
        }
        Some(())
    }
}

/// A stream of handshake bytes that come in any order; the first one to come counts.
#[derive(Default)]
struct Crypto {
    bytes: Vec<u8>,
    /// What of `bytes` came: ranges in order that do not touch.
    came: Vec<(usize, usize)>,
    taken: usize,
}

impl Crypto {
    fn insert(&mut self, offset: usize, data: &[u8]) {
        let end = offset.saturating_add(data.len());
        if end > MOST_CRYPTO || self.came.len() >= MOST_RANGES || data.is_empty() {
            return;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        for (at, byte) in (offset..end).zip(data) {
            let known = self
                .came
                .iter()
                .any(|(from, to)| (*from..*to).contains(&at));
            if let Some(slot) = self.bytes.get_mut(at).filter(|_| !known) {
                *slot = *byte;
            }
        }
        let touches = |range: &&(usize, usize)| range.0 <= end && offset <= range.1;
        let joined = self
            .came
            .iter()
            .filter(touches)
            .fold((offset, end), |(from, to), range| {
                (from.min(range.0), to.max(range.1))
            });
        self.came.retain(|range| range.0 > end || offset > range.1);
        let place = self.came.partition_point(|range| range.0 < joined.0);
        self.came.insert(place, joined);
    }

    /// What follows what was taken before, without a gap.
    fn take_next(&mut self) -> &[u8] {
        let end = match self.came.first() {
            Some((0, end)) => *end,
            _ => 0,
        };
        let start = self.taken;
        self.taken = end.max(start);
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// What protects a client's Initial packets (RFC 9001, 5.2).
struct Keys {
    version: u32,
    aead: Aes128Gcm,
    iv: [u8; 12],
    header: Aes128,
}

impl Keys {
    fn new(version: u32, destination: &[u8]) -> Option<Self> {
        let (salt, labels) = match version {
            1 => (&SALT_V1, ["quic key", "quic iv", "quic hp"]),
            V2 => (&SALT_V2, ["quicv2 key", "quicv2 iv", "quicv2 hp"]),
            0xff00_001d..=0xff00_0020 => (&SALT_DRAFT_29, ["quic key", "quic iv", "quic hp"]),
            0xff00_0017..=0xff00_001c => (&SALT_DRAFT_23, ["quic key", "quic iv", "quic hp"]),
            _ => return None,
        };
        let initial = Hkdf::<Sha256>::new(Some(salt), destination);
        let client: [u8; 32] = expand(&initial, "client in")?;
        let client = Hkdf::<Sha256>::from_prk(&client).ok()?;
        let [key, iv, header] = labels;
        let (key, header): ([u8; 16], [u8; 16]) = (expand(&client, key)?, expand(&client, header)?);
        Some(Self {
            version,
            aead: Aes128Gcm::new(&key.into()),
            iv: expand(&client, iv)?,
            header: Aes128::new(&header.into()),
        })
    }

    /// Takes the protection off (RFC 9001, 5.3 and 5.4); `None` if it is none of these keys'.
    fn open(&self, packet: &Long<'_>) -> Option<Vec<u8>> {
        let number_at = packet.number_at;
        let sample = packet.bytes.get(number_at.checked_add(4)?..)?;
        let sample: [u8; 16] = *sample.first_chunk()?;
        let mut mask = sample.into();
        self.header.encrypt_block(&mut mask);
        let [first_mask, number_mask @ ..] = <[u8; 16]>::from(mask);
        let mut first = *packet.bytes.first()?;
        first ^= first_mask & 0x0f;
        let length = usize::from(first & 3).checked_add(1)?;
        let payload_at = number_at.checked_add(length)?;
        let mut header = packet.bytes.get(..payload_at)?.to_vec();
        *header.first_mut()? = first;
        let mut nonce = self.iv;
        // The first packets of a client have small numbers: the bytes there are say all of it.
        let number = header.get_mut(number_at..)?;
        for (byte, mask) in number.iter_mut().zip(number_mask) {
            *byte ^= mask;
        }
        for (slot, byte) in nonce.iter_mut().rev().zip(number.iter().rev()) {
            *slot ^= *byte;
        }
        let protected = packet.bytes.get(payload_at..packet.end)?;
        let (text, tag) = protected.split_last_chunk::<16>()?;
        let mut text = text.to_vec();
        let opened = self.aead.decrypt_inout_detached(
            &nonce.into(),
            &header,
            text.as_mut_slice().into(),
            &(*tag).into(),
        );
        opened.ok().map(|()| text)
    }
}

/// HKDF-Expand-Label (RFC 8446, 7.1) with an empty context.
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &str) -> Option<[u8; N]> {
    let length = u8::try_from(label.len().checked_add(6)?).ok()?;
    let size = u16::try_from(N).ok()?.to_be_bytes();
    let info = [&size[..], &[length], b"tls13 ", label.as_bytes(), &[0]].concat();
    let mut out = [0; N];
    secret.expand(&info, &mut out).ok()?;
    Some(out)
}

/// Bytes that may end too early.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// RFC 9000, 16.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let first = *self.0.first()?;
        let bytes = self.take(1usize << (first >> 6))?;
        let value = bytes
            .iter()
            .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        // The first two bits are the length.
        let bits = (bytes.len() as u32).saturating_mul(8).saturating_sub(2);
        Some(value & (u64::MAX >> 64u32.saturating_sub(bits)))
    }
}

/// RFC 9369.
pub(super) const V2: u32 = 0x6b33_43cf;
/// RFC 9001, 5.2; RFC 9369, 3.3.1; and the drafts 29 and 23 of the former.
const SALT_V1: [u8; 20] =
    *b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a";
const SALT_V2: [u8; 20] =
    *b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9";
const SALT_DRAFT_29: [u8; 20] =
    *b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99";
const SALT_DRAFT_23: [u8; 20] =
    *b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02";

const PADDING: u64 = 0;
const PING: u64 = 1;
const ACK: u64 = 2;
const ACK_ECN: u64 = 3;
const CRYPTO: u64 = 6;
/// Packets of one flow that are opened: a hello with post-quantum keys takes two or three.
const MOST_PACKETS: usize = 16;
/// Bytes of handshake that are kept.
const MOST_CRYPTO: usize = 16 * 1024;
/// Gaps in them.
const MOST_RANGES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9001, A.1 and RFC 9369, A.1.
    #[test]
    fn derives_the_keys_of_the_standards() {
        let id = b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";
        for (version, iv, mask) in [
            (
                1,
                "fa044b2f42a3fd3b46fb255c",
                "437b9aec36be423400cdd115d9db3241",
            ),
            (V2, "91f73e2351d8fa91660e909f", ""),
        ] {
            let keys = Keys::new(version, id).unwrap();
            assert_eq!(data_encoding::HEXLOWER.encode(&keys.iv), iv);
            if !mask.is_empty() {
                // RFC 9001, A.2: the sample and its mask.
                let mut block =
                    (*b"\xd1\xb1\xc9\x8d\xd7\x68\x9f\xb8\xec\x11\xd2\x42\xb1\x23\xdc\x9b").into();
                keys.header.encrypt_block(&mut block);
                assert_eq!(data_encoding::HEXLOWER.encode(&block), mask);
            }
        }
        assert!(Keys::new(7, id).is_none());
    }

    #[test]
    fn reads_integers_of_every_length() {
        // RFC 9000, A.1.
        for (bytes, value) in [
            (
                &b"\xc2\x19\x7c\x5e\xff\x14\xe8\x8c"[..],
                151_288_809_941_952_652,
            ),
            (b"\x9d\x7f\x3e\x7d", 494_878_333),
            (b"\x7b\xbd", 15_293),
            (b"\x25", 37),
        ] {
            assert_eq!(Input(bytes).varint(), Some(value));
            assert_eq!(Input(&bytes[..bytes.len() - 1]).varint(), None);
        }
    }

    #[test]
    fn joins_what_comes_in_any_order() {
        let text = b"abcdefghijklmnopqrstuvwxyz";
        let mut crypto = Crypto::default();
        let mut read = Vec::new();
        for range in [20..26, 5..9, 3..6, 9..15, 0..2, 0..3, 14..21] {
            crypto.insert(range.start, &text[range.clone()]);
            read.extend_from_slice(crypto.take_next());
        }
        assert_eq!(read, text);
        assert_eq!(crypto.came, [(0, 26)]);
        crypto.insert(usize::MAX, b"x");
        crypto.insert(MOST_CRYPTO, b"x");
        assert_eq!(crypto.bytes.len(), 26);
    }
}
