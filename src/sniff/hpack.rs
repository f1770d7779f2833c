//! Header compression of HTTP/2 (RFC 7541): the receiver's side.

use std::collections::VecDeque;

use super::huffman;

/// Decodes header blocks as their bytes come.
///
/// It keeps what the sender says it keeps: a table of at most [`MOST_TABLE`] bytes, and the bytes of one unfinished field.
#[derive(Default)]
pub(super) struct Decoder {
    table: Table,
    /// Bytes of a field that is not whole yet.
    partial: Vec<u8>,
    /// Where they stand on the wire: index in `partial`, and wire position from there on.
    stretches: Vec<(usize, u64)>,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// A header field, and where on the wire the strings that say it begin (at the same byte where one says all) and what follows
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) name_at: u64,
    pub(super) value_at: u64,
    pub(super) end: u64,
}

/// The block cannot be decoded, nor can any that follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

impl Decoder {
    /// Takes the next bytes of a block, which stand on the wire from `at` on, and shows the fields that they complete. Where
    /// it fails, the partial field is what is there from the field on that cannot be read.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        at: u64,
        show: &mut dyn FnMut(Field<'_>),
    ) -> Result<(), Lost> {
        if self.partial.is_empty() {
            let (used, read) = self.fields(bytes, &[(0, at)], show);
            let rest = bytes.get(used..).unwrap_or_default();
            self.keep(rest, at.saturating_add(used as u64));
            read?;
        } else {
            self.keep(bytes, at);
            let mut partial = std::mem::take(&mut self.partial);
            let mut stretches = std::mem::take(&mut self.stretches);
            let (used, read) = self.fields(&partial, &stretches, show);
            if used < partial.len() {
                let first = wire_at(&stretches, used);
                partial.drain(..used);
                stretches.retain(|(from, _)| *from > used);
                stretches
                    .iter_mut()
                    .for_each(|(from, _)| *from = from.saturating_sub(used));
                stretches.insert(0, (0, first));
                (self.partial, self.stretches) = (partial, stretches);
            }
            read?;
        }
        if self.partial.len() > MOST_FIELD {
            return Err(Lost);
        }
        Ok(())
    }

    /// Takes the next bytes as part of the field that is not whole yet, without reading them.
    pub(super) fn keep(&mut self, bytes: &[u8], at: u64) {
        if bytes.is_empty() {
            return;
        }
        if self.partial.is_empty() {
            self.stretches.clear();
        }
        if self.stretches.len() < MOST_STRETCHES {
            self.stretches.push((self.partial.len(), at));
        }
        self.partial.extend_from_slice(bytes);
    }

    /// The encoded bytes of a field that is not whole yet, and where the first one stands.
    pub(super) fn partial(&self) -> Option<(&[u8], u64)> {
        let at = wire_at(&self.stretches, 0);
        (!self.partial.is_empty()).then_some((&*self.partial, at))
    }

    /// As [`Decoder::partial`], at the end.
    pub(super) fn into_partial(self) -> Option<(Vec<u8>, u64)> {
        let at = wire_at(&self.stretches, 0);
        (!self.partial.is_empty()).then_some((self.partial, at))
    }

    /// A field that is not whole yet, as far as a receiver can decode it: its name, what there is of its value, and where
    /// the two strings begin.
    pub(super) fn unfinished(&self) -> Option<(Vec<u8>, Vec<u8>, u64, u64)> {
        let bits = literal(*self.partial.first()?)?;
        let (index, end) = integer(&self.partial, bits).ok()??;
        let (mut name, mut value) = (Vec::new(), Vec::new());
        let (mut name_at, mut at) = (0, end);
        if index == 0 {
            (name_at, at) = self.open_string(end, &mut name);
        } else {
            name.extend_from_slice(self.table.get(index)?.0);
        }
        let (value_at, _) = self.open_string(at, &mut value);
        let place = |index| wire_at(&self.stretches, index);
        Some((name, value, place(name_at), place(value_at)))
    }

    /// Decodes what there is of a string at `at`; returns where its bytes begin and end.
    fn open_string(&self, at: usize, out: &mut Vec<u8>) -> (usize, usize) {
        let Ok(Some((length, start))) = integer(self.partial.get(at..).unwrap_or_default(), 7)
        else {
            return (self.partial.len(), self.partial.len());
        };
        let start = at.saturating_add(start);
        let end = start.saturating_add(length).min(self.partial.len());
        let coded = self.partial.get(start..end).unwrap_or_default();
        if self.partial.get(at).is_some_and(|byte| byte & HUFFMAN != 0) {
            huffman::decode(coded, true, out);
        } else {
            out.extend_from_slice(coded);
        }
        (start, end)
    }

    /// Shows the whole fields in `block`; returns where the first one begins that is not whole, or cannot be read.
    fn fields(
        &mut self,
        block: &[u8],
        wire: &[(usize, u64)],
        show: &mut dyn FnMut(Field<'_>),
    ) -> (usize, Result<(), Lost>) {
        let mut at = 0usize;
        while let Some(rest) = block.get(at..).filter(|rest| !rest.is_empty()) {
            let place = |index: usize| wire_at(wire, at.saturating_add(index));
            match self.field(rest, &place, show) {
                Ok(Some(length)) => at = at.saturating_add(length),
                Ok(None) => break,
                Err(lost) => return (at, Err(lost)),
            }
        }
        (at, Ok(()))
    }

    /// Reads one representation (RFC 7541, 6) from the front of `bytes`; returns its length, if it is whole.
    fn field(
        &mut self,
        bytes: &[u8],
        place: &dyn Fn(usize) -> u64,
        show: &mut dyn FnMut(Field<'_>),
    ) -> Result<Option<usize>, Lost> {
        let Some(first) = bytes.first().copied() else {
            return Ok(None);
        };
        if first & INDEXED != 0 {
            let Some((index, length)) = integer(bytes, 7)? else {
                return Ok(None);
            };
            let (name, value) = self.table.get(index).ok_or(Lost)?;
            let at = place(0);
            show(Field {
                name,
                value,
                name_at: at,
                value_at: at,
                end: place(length),
            });
            return Ok(Some(length));
        }
        let Some(bits) = literal(first) else {
            let Some((size, length)) = integer(bytes, 5)? else {
                return Ok(None);
            };
            self.table.resize(size)?;
            return Ok(Some(length));
        };
        let Some((index, mut at)) = integer(bytes, bits)? else {
            return Ok(None);
        };
        self.name.clear();
        self.value.clear();
        let mut name_at = 0;
        if index == 0 {
            let Some(coded) = string(bytes, at)? else {
                return Ok(None);
            };
            name_at = coded.start;
            at = coded.end;
            decode(bytes, coded, &mut self.name)?;
        } else {
            let (name, _) = self.table.get(index).ok_or(Lost)?;
            self.name.extend_from_slice(name);
        }
        let Some(coded) = string(bytes, at)? else {
            return Ok(None);
        };
        let (value_at, length) = (coded.start, coded.end);
        if length > MOST_FIELD {
            return Err(Lost);
        }
        decode(bytes, coded, &mut self.value)?;
        show(Field {
            name: &self.name,
            value: &self.value,
            name_at: place(name_at),
            value_at: place(value_at),
            end: place(length),
        });
        if first & INCREMENTAL != 0 {
            self.table.insert(&self.name, &self.value);
        }
        Ok(Some(length))
    }
}

/// The fields that a sender may refer to (RFC 7541, 2.3).
struct Table {
    /// The newest first: its bytes, and how many of them are the name.
    entries: VecDeque<(Box<[u8]>, usize)>,
    /// As RFC 7541, 4.1 counts.
    size: usize,
    most: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            most: INITIAL_TABLE,
        }
    }
}

impl Table {
    fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let index = index.checked_sub(1)?;
        match index.checked_sub(STATIC.len()) {
            None => STATIC.get(index).copied(),
            Some(index) => {
                let (bytes, name) = self.entries.get(index)?;
                bytes.split_at_checked(*name)
            }
        }
    }

    fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name
            .len()
            .saturating_add(value.len())
            .saturating_add(OVERHEAD);
        self.evict(self.most.saturating_sub(size));
        if size <= self.most {
            let entry = [name, value].concat().into_boxed_slice();
            self.entries.push_front((entry, name.len()));
            self.size = self.size.saturating_add(size);
        }
    }

    fn resize(&mut self, most: usize) -> Result<(), Lost> {
        if most > MOST_TABLE {
            return Err(Lost);
        }
        self.most = most;
        self.evict(most);
        Ok(())
    }

    fn evict(&mut self, most: usize) {
        while self.size > most
            && let Some((bytes, _)) = self.entries.pop_back()
        {
            let size = bytes.len().saturating_add(OVERHEAD);
            self.size = self.size.saturating_sub(size);
        }
    }
}

/// Bits of the index in a literal field's first byte; `None` for what is no literal.
fn literal(first: u8) -> Option<u32> {
    match first {
        _ if first & INDEXED != 0 => None,
        _ if first & INCREMENTAL != 0 => Some(6),
        _ if first & SIZE_UPDATE != 0 => None,
        // Without indexing, or never indexed.
        _ => Some(4),
    }
}

/// An integer with a prefix of `bits` (RFC 7541, 5.1), and its length.
fn integer(bytes: &[u8], bits: u32) -> Result<Option<(usize, usize)>, Lost> {
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let mask = 0xffu8 >> 8u32.saturating_sub(bits);
    let mut value = usize::from(first & mask);
    if value < usize::from(mask) {
        return Ok(Some((value, 1)));
    }
    for (count, byte) in rest.iter().enumerate() {
        let shift = count.saturating_mul(7) as u32;
        if shift > 21 {
            return Err(Lost);
        }
        value = value.saturating_add(usize::from(byte & 0x7f) << shift);
        if byte & 0x80 == 0 {
            return Ok(Some((value, count.saturating_add(2))));
        }
    }
    Ok(None)
}

/// A string literal (RFC 7541, 5.2) that begins at `at`.
struct Coded {
    /// Its first byte after the length.
    start: usize,
    end: usize,
    huffman: bool,
}

fn string(bytes: &[u8], at: usize) -> Result<Option<Coded>, Lost> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((length, start)) = integer(rest, 7)? else {
        return Ok(None);
    };
    if length > MOST_FIELD {
        return Err(Lost);
    }
    let start = at.saturating_add(start);
    let end = start.saturating_add(length);
    let huffman = rest.first().is_some_and(|byte| byte & HUFFMAN != 0);
    Ok((end <= bytes.len()).then_some(Coded {
        start,
        end,
        huffman,
    }))
}

fn decode(bytes: &[u8], coded: Coded, out: &mut Vec<u8>) -> Result<(), Lost> {
    let text = bytes.get(coded.start..coded.end).unwrap_or_default();
    if !coded.huffman {
        out.extend_from_slice(text);
        return Ok(());
    }
    if huffman::decode(text, false, out) {
        Ok(())
    } else {
        Err(Lost)
    }
}

fn wire_at(stretches: &[(usize, u64)], index: usize) -> u64 {
    let after = stretches.partition_point(|(from, _)| *from <= index);
    let (from, wire) = after
        .checked_sub(1)
        .and_then(|at| stretches.get(at))
        .copied()
        .unwrap_or_default();
    wire.saturating_add(index.saturating_sub(from) as u64)
}

const INDEXED: u8 = 0x80;
const INCREMENTAL: u8 = 0x40;
const SIZE_UPDATE: u8 = 0x20;
const HUFFMAN: u8 = 0x80;
/// What an entry counts beside its bytes (RFC 7541, 4.1).
const OVERHEAD: usize = 32;
/// Before anything is negotiated (RFC 9113, 6.5.2).
const INITIAL_TABLE: usize = 4096;
/// Largest table that is kept. Browsers use what the server offers, which is 64 KiB at most among common ones.
const MOST_TABLE: usize = 64 * 1024;
/// Longest encoded field.
const MOST_FIELD: usize = 64 * 1024;
/// Pieces of one unfinished field whose places are remembered; past that, places are off by the frame headers between.
const MOST_STRETCHES: usize = 64;

/// RFC 7541, Appendix A.
const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER_PERMISSIVE as HEX;

    use super::*;

    type Fields = Vec<(String, String)>;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Feeds a block in pieces of `step`.
    fn push(decoder: &mut Decoder, block: &[u8], step: usize) -> Result<Fields, Lost> {
        let mut fields = Vec::new();
        for (number, piece) in block.chunks(step).enumerate() {
            decoder.push(piece, (number * step) as u64, &mut |field| {
                fields.push((text(field.name), text(field.value)));
            })?;
        }
        Ok(fields)
    }

    fn table(decoder: &Decoder) -> (usize, Fields) {
        let entries = decoder.table.entries.iter();
        let entries = entries.map(|(bytes, name)| (text(&bytes[..*name]), text(&bytes[*name..])));
        (decoder.table.size, entries.collect())
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    /// RFC 7541, C.3 and C.4.
    #[test]
    fn decodes_the_requests_of_the_standard() {
        let plain = [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ];
        let huffman = [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ];
        for (blocks, step) in [
            (plain, 100),
            (huffman, 100),
            (plain, 1),
            (huffman, 1),
            (huffman, 3),
        ] {
            let mut decoder = Decoder::default();
            let blocks = blocks.map(|block| HEX.decode(block.as_bytes()).unwrap());
            assert_eq!(
                push(&mut decoder, &blocks[0], step),
                Ok(fields(&[
                    (":method", "GET"),
                    (":scheme", "http"),
                    (":path", "/"),
                    (":authority", "www.example.com"),
                ]))
            );
            assert_eq!(
                push(&mut decoder, &blocks[1], step).unwrap()[3..],
                fields(&[
                    (":authority", "www.example.com"),
                    ("cache-control", "no-cache")
                ])
            );
            assert_eq!(
                push(&mut decoder, &blocks[2], step).unwrap()[2..],
                fields(&[
                    (":path", "/index.html"),
                    (":authority", "www.example.com"),
                    ("custom-key", "custom-value"),
                ])
            );
            let expected = fields(&[
                ("custom-key", "custom-value"),
                ("cache-control", "no-cache"),
                (":authority", "www.example.com"),
            ]);
            assert_eq!(table(&decoder), (164, expected));
            assert_eq!(decoder.partial(), None);
        }
    }

    #[test]
    fn says_where_strings_begin_although_frames_lie_between() {
        let block = HEX.decode(b"8240036162630378797a").unwrap();
        let mut decoder = Decoder::default();
        let mut places = Vec::new();
        let mut show = |field: Field<'_>| places.push((field.name_at, field.value_at));
        decoder.push(&block[..5], 100, &mut show).unwrap();
        decoder.push(&block[5..], 200, &mut show).unwrap();
        assert_eq!(places, [(100, 100), (103, 202)]);
    }

    #[test]
    fn forgets_the_oldest_entries() {
        let mut decoder = Decoder::default();
        // A table of 80 bytes holds two entries of 32 + 2.
        let mut block = vec![0x3f, 80 - 31];
        for letter in b"abc" {
            block.extend([0x40, 1, *letter, 1, *letter]);
        }
        push(&mut decoder, &block, 2).unwrap();
        assert_eq!(table(&decoder), (68, fields(&[("c", "c"), ("b", "b")])));
        // One that is larger than the table empties it.
        let mut block = vec![0x40, 1, b'x', 60];
        block.extend([b'y'; 60]);
        push(&mut decoder, &block, 7).unwrap();
        assert_eq!(table(&decoder), (0, vec![]));
    }

    #[test]
    fn gives_up_on_what_no_sender_may_write() {
        for block in [
            &[0x80][..],                                 // index 0
            &[0xbe],                                     // an entry that is not there
            &[0x3f, 0xe1, 0xff, 0x07],                   // a table of 128 KiB
            &[0x40, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f], // a name without end
            &[0x40, 0x01, b'a', 0x7f, 0x81, 0xff, 0x04], // a value of 64 KiB and more
            &[0x40, 0x81, 0x06],                         // padding that is none
        ] {
            for step in [1, 2, 100] {
                let lost = push(&mut Decoder::default(), block, step);
                assert_eq!(lost, Err(Lost), "{block:x?} in pieces of {step}");
            }
        }
    }

    #[test]
    fn shows_what_there_is_of_a_field() {
        let mut decoder = Decoder::default();
        // x-imei: 490154203237518, as text and in Huffman's code.
        for (block, most) in [
            (
                "4006782d696d65690f343930313534323033323337353138",
                ": 49015420323751",
            ),
            ("4085f2b1a929bf8b69f005b6840644cbad85ef", ": 4901542032375"),
        ] {
            let block = HEX.decode(block.as_bytes()).unwrap();
            let mut longest = String::new();
            for end in 1..block.len() {
                let mut decoder = Decoder::default();
                decoder
                    .push(&block[..end], 7, &mut |_| panic!("not whole"))
                    .unwrap();
                if let Some((name, value, name_at, value_at)) = decoder.unfinished() {
                    assert!(7 <= name_at && name_at <= value_at);
                    longest = format!("{}: {}", text(&name), text(&value));
                }
            }
            assert!(
                longest.starts_with("x-imei") && longest.contains(most),
                "{longest}"
            );
            push(&mut decoder, &block, 100).unwrap();
        }
    }
}
