//! Names of fields, and what a value behind one of them is.

use crate::event::Kind;

/// The names that are known, by their last three characters.
pub(super) struct Names {
    /// A bit for the last three characters of each name: most fields have another end.
    ends: Box<[u64; ENDS / 64]>,
    /// Where the entries of each bucket begin, and where the last ones end.
    starts: Box<[u16]>,
    /// By bucket, longer names first.
    entries: Box<[Entry]>,
}

/// A name of fields.
pub(super) struct Entry {
    /// In lower case, without separators.
    name: Box<[u8]>,
    tail: u32,
    fit: Fit,
    /// What a value behind it may be, in the order to try.
    pub(super) what: Box<[What]>,
}

/// What a value behind a name may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An identifier.
    Kind(Kind),
    /// An unsalted hash of one.
    Digest(Kind),
    /// An identifier, but only one that is registered: others write all sorts of things there.
    Own(Kind),
    /// Whatever identifies a device; its form says which.
    Device,
    /// Half a place; scaled: a whole number of millionths or ten-millionths of a degree.
    Latitude { scaled: bool },
    /// The other half.
    Longitude { scaled: bool },
    /// A place: two numbers, the latitude first, or the longitude.
    Coordinates { longitude_first: bool },
    /// Nothing of its own, but it says that a radio cell is meant.
    Radio,
    /// A cell, if that is said.
    Cell,
    /// A tracking or location area, if that is said.
    Area,
    /// The name of another field, whose value comes next.
    Naming,
}

/// How much of a field's name must be the known name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Whole,
    LastWords,
    End,
}

impl Names {
    /// The compiled-in table, and names of a person's own.
    pub(super) fn new(custom: impl Iterator<Item = Kind>) -> Names {
        let mut entries: Vec<Entry> = TABLE
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(Entry::parse)
            .collect();
        entries.extend(custom.filter_map(Entry::custom));
        entries.sort_by_key(|entry| (bucket(entry.tail), usize::MAX - entry.name.len()));
        let mut starts = vec![0u16; BUCKETS + 1];
        for entry in &entries {
            starts[bucket(entry.tail) + 1] += 1;
        }
        for bucket in 1..starts.len() {
            starts[bucket] += starts[bucket - 1];
        }
        let mut ends = Box::new([0; ENDS / 64]);
        for entry in &entries {
            let bit = spread::<ENDS>(entry.tail);
            ends[bit / 64] |= 1 << (bit % 64);
        }
        Names {
            ends,
            starts: starts.into(),
            entries: entries.into(),
        }
    }

    /// The known name that `text[..end]` ends with, and where the field's name begins. An index, a quote and blanks may
    /// stand between it and `end`.
    #[inline]
    pub(super) fn before(&self, text: &[u8], end: usize) -> Option<(&Entry, usize)> {
        let end = end_of_name(text, end)?;
        let tail = tail(&text[..end]);
        let bit = spread::<ENDS>(tail);
        if self.ends[bit / 64] >> (bit % 64) & 1 == 0 {
            return None;
        }
        self.ending(text, end, tail)
    }

    /// The known name that `text[..end]` ends with; `tail` are its last characters.
    #[cold]
    fn ending(&self, text: &[u8], end: usize, tail: u32) -> Option<(&Entry, usize)> {
        let bucket = bucket(tail);
        let range = usize::from(self.starts[bucket])..usize::from(self.starts[bucket + 1]);
        let entries = self.entries.get(range)?;
        let mut ending = entries.iter().filter(|entry| entry.tail == tail).peekable();
        ending.peek()?;
        if let Some(entry) = ending.find(|entry| entry.is_quoted(&text[..end])) {
            return Some((entry, end - entry.name.len()));
        }
        let words = Words::before(&text[..end]);
        let entry = entries.iter().find(|entry| entry.fits(&words))?;
        Some((entry, words.start))
    }

    /// The known name that is a whole text.
    pub(super) fn of(&self, text: &[u8]) -> Option<&Entry> {
        let (entry, start) = self.before(text, text.len())?;
        (start == 0).then_some(entry)
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Entry> {
        let mut columns = line.split('\t');
        let fit = match columns.next()? {
            "whole" => Fit::Whole,
            "last" => Fit::LastWords,
            "end" => Fit::End,
            _ => return None,
        };
        let name = columns.next()?.as_bytes();
        let what: Option<Box<[What]>> = columns.next()?.split(',').map(What::parse).collect();
        Some(Entry {
            name: name.into(),
            tail: tail(name),
            fit,
            what: what?,
        })
    }

    /// The entry of a value that a person named.
    fn custom(kind: Kind) -> Option<Entry> {
        let Kind::Custom(name) = &kind else {
            return None;
        };
        let words = Words::before(name.as_bytes());
        let name: Box<[u8]> = words.bytes().into();
        Some(Entry {
            tail: tail(&name),
            name,
            fit: Fit::LastWords,
            what: [What::Kind(kind)].into(),
        })
    }

    /// Whether `text` ends with the bare name in quotes.
    fn is_quoted(&self, text: &[u8]) -> bool {
        let before = text.strip_suffix(&*self.name);
        before.is_some_and(|before| before.last() == Some(&b'"'))
    }

    fn fits(&self, words: &Words) -> bool {
        let bytes = words.bytes();
        let Some(start) = bytes.len().checked_sub(self.name.len()) else {
            return false;
        };
        let fits = match self.fit {
            Fit::Whole => start == 0 && words.is_whole,
            Fit::LastWords => words.begins >> start & 1 == 1,
            Fit::End => true,
        };
        fits && bytes[start..] == *self.name
    }
}

impl What {
    fn parse(word: &str) -> Option<What> {
        Some(match word {
            "device" => What::Device,
            "latitude" => What::Latitude { scaled: false },
            "longitude" => What::Longitude { scaled: false },
            "scaled_latitude" => What::Latitude { scaled: true },
            "scaled_longitude" => What::Longitude { scaled: true },
            "coordinates" => What::Coordinates {
                longitude_first: false,
            },
            "coordinates_xy" => What::Coordinates {
                longitude_first: true,
            },
            "radio" => What::Radio,
            "cell" => What::Cell,
            "area" => What::Area,
            "naming" => What::Naming,
            word => match word.split_once('/') {
                Some((kind, "digest")) => What::Digest(Kind::from_name(kind)?),
                Some((kind, "own")) => What::Own(Kind::from_name(kind)?),
                Some(_) => return None,
                None => What::Kind(Kind::from_name(word)?),
            },
        })
    }
}

/// The name of a field, taken apart.
struct Words {
    bytes: [u8; LONGEST],
    length: usize,
    /// A bit for each byte at which a word begins.
    begins: u64,
    /// Where it begins in the text.
    start: usize,
    /// Whether all of it is here.
    is_whole: bool,
}

impl Words {
    /// The name at the end of `text`.
    fn before(text: &[u8]) -> Words {
        let raw = text
            .iter()
            .rev()
            .take(LONGEST)
            .take_while(|byte| is_name(**byte))
            .count();
        let start = text.len() - raw;
        let mut words = Words {
            bytes: [0; LONGEST],
            length: 0,
            begins: 0,
            start,
            is_whole: raw < LONGEST,
        };
        let name = &text[start..];
        let mut before: Option<u8> = None;
        for (at, &byte) in name.iter().enumerate() {
            if is_between(byte) {
                before = None;
                continue;
            }
            let begins = match before {
                None => at > 0 || words.is_whole,
                Some(before) if before.is_ascii_digit() => byte.is_ascii_alphabetic(),
                Some(before) if byte.is_ascii_uppercase() => {
                    let next = name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
                    before.is_ascii_lowercase() || before.is_ascii_uppercase() && next
                }
                Some(_) => false,
            };
            words.begins |= u64::from(begins) << words.length;
            words.bytes[words.length] = byte.to_ascii_lowercase();
            words.length += 1;
            before = Some(byte);
        }
        words
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Where a name ends that a quote, blanks and an index may stand behind: `"imei" :`, `imei_1=`, `id[imei]=`.
#[inline]
fn end_of_name(text: &[u8], end: usize) -> Option<usize> {
    let mut end = end;
    let mut last = *text.get(end.checked_sub(1)?)?;
    if matches!(last, b'"' | b'\'' | b' ' | b']') {
        let skipped = text[..end]
            .iter()
            .rev()
            .take(8)
            .take_while(|byte| matches!(byte, b'"' | b'\'' | b' ' | b']' | b'\\'))
            .count();
        end -= skipped;
        last = *text.get(end.checked_sub(1)?)?;
    }
    if last.is_ascii_digit() || last == b'[' {
        let index = text[..end]
            .iter()
            .rev()
            .take(3)
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'[' | b'_' | b'-'))
            .count();
        end -= index;
        last = *text.get(end.checked_sub(1)?)?;
    }
    (last.is_ascii_alphabetic() || !last.is_ascii()).then_some(end)
}

/// The last three characters of a name in lower case, the last one lowest; fewer where it is shorter.
#[inline]
fn tail(name: &[u8]) -> u32 {
    if let [.., first, second, third] = name
        && [first, second, third]
            .iter()
            .all(|byte| byte.is_ascii_alphabetic())
    {
        return u32::from_be_bytes([0, *first, *second, *third]) | 0x0020_2020;
    }
    let mut tail = 0;
    let mut shift = 0;
    for &byte in name.iter().rev().take(5) {
        if is_between(byte) {
            continue;
        }
        if !is_name(byte) || shift == 24 {
            break;
        }
        tail |= u32::from(byte.to_ascii_lowercase()) << shift;
        shift += 8;
    }
    tail
}

fn bucket(tail: u32) -> usize {
    spread::<BUCKETS>(tail)
}

/// A number below `N`, a power of two.
#[inline]
fn spread<const N: usize>(tail: u32) -> usize {
    (tail.wrapping_mul(0x9e37_79b1) >> (u32::BITS - N.ilog2())) as usize
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_between(byte) || !byte.is_ascii() && byte != BETWEEN
}

fn is_between(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b'$' | b'[')
}

/// What the decoders put between texts that have nothing to do with each other.
const BETWEEN: u8 = 0xff;
/// Bytes of a name that are looked at: what stands before is not its last words.
pub(super) const LONGEST: usize = 48;
/// Bits, of which one in a hundred is set: 4 KiB.
const ENDS: usize = 1 << 15;
/// Buckets of names, so that two in three are empty.
const BUCKETS: usize = 1024;
const TABLE: &str = include_str!("fields.tsv");

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new([Kind::Custom("Employee-no".into())].into_iter())
    }

    #[test]
    fn every_line_of_the_table_is_an_entry() {
        let lines: Vec<&str> = TABLE
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert!(lines.len() > 200, "{} lines", lines.len());
        let mut seen = std::collections::HashSet::new();
        for line in lines {
            let entry = Entry::parse(line).unwrap_or_else(|| panic!("{line:?}"));
            let bare = Words::before(&entry.name);
            assert_eq!(
                bare.bytes(),
                &*entry.name,
                "{line:?} is not in its bare form"
            );
            assert_eq!(
                end_of_name(&entry.name, entry.name.len()),
                Some(entry.name.len())
            );
            assert!(seen.insert(entry.name.clone()), "{line:?} is there twice");
        }
    }

    #[test]
    fn knows_a_name_however_it_is_written() {
        let names = names();
        let is = |name: &str| {
            let text = format!("{{\"{name}");
            let (entry, start) = names.before(text.as_bytes(), text.len())?;
            assert_eq!(start, 2, "{name}");
            Some(entry.what[0].clone())
        };
        let imei = Some(What::Kind(Kind::Imei));
        for name in [
            "imei",
            "IMEI",
            "imei1",
            "IMEI_2",
            "deviceImei",
            "device_imei",
            "x-device-IMEI",
            "user.imei",
            "mImei",
            "phoneimei",
            "imei[0]",
            "device[imei]",
            "imei\"",
            "imei\" ",
            "ImeiSV",
        ] {
            assert_eq!(is(name), imei, "{name}");
        }
        assert_eq!(is("SIM1ICCID"), Some(What::Kind(Kind::Iccid)));
        assert_eq!(is("SIM2LTEIMSI"), Some(What::Kind(Kind::Imsi)));
        assert_eq!(is("MACID"), Some(What::Kind(Kind::WifiMac)));
        assert_eq!(is("wifiMac"), Some(What::Kind(Kind::WifiMac)));
        assert_eq!(is("手机号"), Some(What::Kind(Kind::Phone)));
        assert_eq!(is("latitudeE7"), Some(What::Latitude { scaled: true }));
        assert_eq!(
            is("employee_no"),
            Some(What::Kind(Kind::Custom("Employee-no".into())))
        );
        for name in [
            "imac",
            "simulate",
            "platform",
            "translation",
            "midi",
            "emac",
            "hostname",
            "did_it",
            "flat",
            "belong",
        ] {
            assert_eq!(is(name), None, "{name}");
        }
    }
}
