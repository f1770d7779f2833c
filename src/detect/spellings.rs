//! The ways one registered value can be written.

use std::collections::HashSet;

use hmac::digest::Digest;
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;

use super::{
    boundary::Boundary,
    phone,
    value::{Form, Value, lower_hex, luhn_digit, uuid_text},
};
use crate::event::{Kind, Spelling};

/// One way to write a value.
#[derive(Clone)]
pub(super) struct Spelled {
    /// Text in lower case; raw bytes as they are.
    pub(super) bytes: Box<[u8]>,
    pub(super) class: Class,
    pub(super) spelling: Spelling,
    pub(super) left: Boundary,
    pub(super) right: Boundary,
}

/// How a spelling is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    /// Anywhere, in either letter case; [`MIN_TEXT`] bytes or more.
    Text,
    /// Anywhere, as it is; [`MIN_RAW`] bytes or more.
    Raw,
    /// Shorter text: only as a whole token beside a key that names it.
    Token,
}

/// The shortest text that is searched for anywhere.
pub(super) const MIN_TEXT: usize = 8;
/// The shortest binary form that is searched for anywhere.
pub(super) const MIN_RAW: usize = 6;

/// Every spelling of `value`, each once; where two readings give the same bytes the first counts.
pub(super) fn of(value: &Value) -> Vec<Spelled> {
    let mut speller = Speller::default();
    match &value.form {
        Form::Digits(digits) => speller.digits(value, digits),
        Form::Hex(digits) => speller.hex(value, digits),
        Form::Mac(octets) => speller.mac(value, octets),
        Form::Uuid(octets) => speller.uuid(value, octets),
        Form::Phone {
            digits,
            international,
        } => speller.phone(value, digits, *international),
        Form::Email(address) => {
            speller.text(Spelling::Plain, Boundary::Mail, address);
            speller.digests_in_each_case(address);
        }
        Form::Text(text) => {
            let account = value.kind == Kind::Account;
            let boundary = if account {
                Boundary::Mail
            } else {
                Boundary::Word
            };
            speller.text(Spelling::Plain, boundary, text);
            speller.digests_in_each_case(text);
        }
        Form::Apps(names) => {
            for name in names {
                speller.text(Spelling::Plain, Boundary::Mail, name);
            }
        }
        Form::Location { .. } => {}
    }
    speller.spelled
}

#[derive(Default)]
struct Speller {
    spelled: Vec<Spelled>,
    seen: HashSet<(Class, Box<[u8]>)>,
}

impl Speller {
    fn digits(&mut self, value: &Value, digits: &str) {
        self.text(Spelling::Plain, Boundary::Digit, &value.written);
        self.digit_string(Spelling::Separators, digits);
        self.digests(digits);
        self.digests(&value.written);
        for groups in groupings(digits.len()) {
            for separator in ["-", " ", "/", "."] {
                self.text(
                    Spelling::Separators,
                    Boundary::Digit,
                    &grouped(digits, groups, separator),
                );
            }
        }
        for other in other_lengths(value, digits) {
            self.digit_string(Spelling::Length, &other);
            self.digests(&other);
        }
        if value.kind == Kind::Imei {
            self.any_version(&digits[..14]);
            // Type allocation code, serial number and a spare digit (RFC 7254, 4).
            let urn = format!("{}-{}-0", &digits[..8], &digits[8..14]);
            self.text(Spelling::Separators, Boundary::Digit, &urn);
        }
        let reversed: String = digits.chars().rev().collect();
        self.text(Spelling::Reversed, Boundary::Digit, &reversed);
    }

    /// Equipment with whatever software version, which is two digits more and changes with updates.
    fn any_version(&mut self, body: &str) {
        for spelled in &mut self.spelled {
            if *spelled.bytes == *body.as_bytes() {
                spelled.right = Boundary::Version;
            }
        }
    }

    /// A number in decimal, hex, binary and BCD.
    fn digit_string(&mut self, spelling: Spelling, digits: &str) {
        self.text(spelling, Boundary::Digit, digits);
        if let Ok(number) = digits.parse::<u128>() {
            let hex = format!("{number:x}");
            self.text(Spelling::Hex, Boundary::Hex, &hex);
            self.text(Spelling::Hex, Boundary::Hex, &format!("{hex:0>16}"));
            if hex.len() % 2 == 1 {
                self.text(Spelling::Hex, Boundary::Hex, &format!("0{hex}"));
            }
            self.integer(number);
        }
        self.bcd(digits);
    }

    fn hex(&mut self, value: &Value, digits: &str) {
        self.text(Spelling::Plain, Boundary::Hex, &value.written);
        self.text(Spelling::Separators, Boundary::Hex, digits);
        self.digests_in_each_case(digits);
        let bare = digits.trim_start_matches('0');
        self.text(Spelling::Length, Boundary::Hex, bare);
        if bare.len() < digits.len() {
            self.digests_in_each_case(bare);
        }
        let pairs = paired(digits);
        for separator in [":", "-", " "] {
            self.text(Spelling::Separators, Boundary::Hex, &pairs.join(separator));
        }
        let reversed: String = digits.chars().rev().collect();
        self.text(Spelling::Reversed, Boundary::Hex, &reversed);
        if let Ok(octets) = data_encoding::HEXLOWER.decode(digits.as_bytes()) {
            self.both_orders(Spelling::Raw, &octets);
        }
        if digits.len() == 14 {
            self.meid(digits);
        } else if let Ok(number) = u64::from_str_radix(digits, 16) {
            let signed = number.cast_signed();
            for decimal in [number.to_string(), signed.to_string()] {
                self.text(Spelling::Decimal, Boundary::Digit, &decimal);
                self.digests(&decimal);
            }
            self.integer(number.into());
        }
    }

    /// The 18-digit decimal form: ten digits of the manufacturer, eight of the serial (3GPP2 C.S0072).
    fn meid(&mut self, digits: &str) {
        let halves = digits.split_at(8);
        let decimal = (
            u64::from_str_radix(halves.0, 16),
            u64::from_str_radix(halves.1, 16),
        );
        if let (Ok(manufacturer), Ok(serial)) = decimal {
            let decimal = format!("{manufacturer:010}{serial:08}");
            self.text(Spelling::Decimal, Boundary::Digit, &decimal);
            self.digests(&decimal);
        }
    }

    fn mac(&mut self, value: &Value, octets: &[u8; 6]) {
        let digits = lower_hex(octets);
        let pairs = paired(&digits);
        let quads: Vec<&str> = [0, 4, 8].map(|at| &digits[at..at + 4]).into();
        let between = if value.written.len() == 17 { ":" } else { "" };
        self.text(Spelling::Plain, octets_of(between), &value.written);
        for separator in [":", "-", "", ".", " ", "_"] {
            let text = pairs.join(separator);
            self.text(Spelling::Separators, octets_of(separator), &text);
            if matches!(separator, ":" | "-" | "") {
                self.digests_in_each_case(&text);
            }
        }
        for separator in [".", "-", ":"] {
            self.text(Spelling::Separators, Boundary::Hex, &quads.join(separator));
        }
        let short: Vec<String> = octets.iter().map(|octet| format!("{octet:x}")).collect();
        self.text(Spelling::Separators, Boundary::Hex, &short.join(":"));
        let reversed: String = digits.chars().rev().collect();
        self.text(Spelling::Reversed, Boundary::Hex, &reversed);
        let number = octets
            .iter()
            .fold(0u64, |number, octet| number << 8 | u64::from(*octet));
        self.text(Spelling::Decimal, Boundary::Digit, &number.to_string());
        self.both_orders(Spelling::Raw, octets);
        self.varint(number.into());
    }

    fn uuid(&mut self, value: &Value, octets: &[u8; 16]) {
        let dashed = uuid_text(octets);
        let bare = lower_hex(octets);
        self.text(Spelling::Plain, Boundary::Hex, &value.written);
        self.text(Spelling::Separators, Boundary::Hex, &dashed);
        self.text(
            Spelling::Separators,
            Boundary::Hex,
            &dashed.replace('-', "_"),
        );
        self.text(
            Spelling::Separators,
            Boundary::Hex,
            &dashed.replace('-', " "),
        );
        self.text(Spelling::Separators, Boundary::Hex, &bare);
        self.digests_in_each_case(&dashed);
        self.digests_in_each_case(&bare);
        let reversed: String = bare.chars().rev().collect();
        self.text(Spelling::Reversed, Boundary::Hex, &reversed);
        self.both_orders(Spelling::Raw, octets);
        let [a, b, c, d, e, f, g, h, rest @ ..] = *octets;
        let mut mixed = vec![d, c, b, a, f, e, h, g];
        mixed.extend(rest);
        self.raw(Spelling::Raw, &mixed);
    }

    fn phone(&mut self, value: &Value, digits: &str, international: bool) {
        self.text(Spelling::Plain, Boundary::Digit, &value.written);
        for form in phone::forms(digits, international) {
            self.text(Spelling::Prefix, Boundary::Digit, &form.joined());
            for text in form.grouped() {
                self.text(Spelling::Separators, Boundary::Digit, &text);
            }
            self.digests(&form.joined());
        }
        self.digests(&value.written);
        let reversed: String = digits.chars().rev().collect();
        self.text(Spelling::Reversed, Boundary::Digit, &reversed);
        if let Ok(number) = digits.parse() {
            self.integer(number);
        }
        self.bcd(digits);
    }

    /// Two digits a byte. Of an odd number of digits, the pairs from the first and those from the second are looked
    /// for: the digit left over has a filler or a type beside it (3GPP TS 24.008, 10.5.1.4).
    fn bcd(&mut self, digits: &str) {
        let nibbles: Vec<u8> = digits.bytes().map(|byte| byte.wrapping_sub(b'0')).collect();
        let odd = nibbles.len() % 2 == 1;
        for start in 0..=usize::from(odd) {
            let pairs = nibbles[start..].chunks_exact(2);
            let straight: Vec<u8> = pairs.clone().map(|pair| pair[0] << 4 | pair[1]).collect();
            let swapped: Vec<u8> = pairs.map(|pair| pair[1] << 4 | pair[0]).collect();
            let (mut sides, mut swapped_sides) = ([Boundary::Free; 2], [Boundary::Free; 2]);
            if let ([first, .., last], true) = (&nibbles[..], odd) {
                let (side, digit) = if start == 0 { (1, *last) } else { (0, *first) };
                let high = Boundary::Nibble {
                    mask: 0xf0,
                    bits: digit << 4,
                };
                let low = Boundary::Nibble {
                    mask: 0x0f,
                    bits: digit,
                };
                let [of_straight, of_swapped] = if start == 0 { [high, low] } else { [low, high] };
                sides[side] = of_straight;
                swapped_sides[side] = of_swapped;
            }
            self.raw_between(Spelling::Bcd, &straight, sides);
            self.raw_between(Spelling::Bcd, &swapped, swapped_sides);
        }
    }

    fn integer(&mut self, number: u128) {
        let octets = number.to_be_bytes();
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        self.both_orders(Spelling::Integer, &octets[zeros..]);
        self.varint(number);
    }

    fn varint(&mut self, number: u128) {
        let mut octets = Vec::new();
        let mut rest = number;
        while rest > 0x7f {
            octets.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        octets.push(rest as u8);
        if octets.len() <= 10 {
            self.raw(Spelling::Varint, &octets);
        }
    }

    fn both_orders(&mut self, spelling: Spelling, octets: &[u8]) {
        let reversed: Vec<u8> = octets.iter().rev().copied().collect();
        self.raw(spelling, octets);
        self.raw(spelling, &reversed);
    }

    fn digests_in_each_case(&mut self, text: &str) {
        self.digests(text);
        self.digests(&text.to_lowercase());
        self.digests(&text.to_uppercase());
    }

    fn digests(&mut self, text: &str) {
        if text.len() < MIN_TEXT {
            return;
        }
        let md5 = Md5::digest(text);
        let hex = lower_hex(&md5);
        self.text(Spelling::Md5, Boundary::Hex, &hex);
        self.text(Spelling::Md5, Boundary::Hex, &hex[8..24]);
        self.raw(Spelling::Md5, &md5);
        self.raw(Spelling::Md5, &md5[4..12]);
        let sha1 = Sha1::digest(text);
        self.text(Spelling::Sha1, Boundary::Hex, &lower_hex(&sha1));
        self.raw(Spelling::Sha1, &sha1);
        let sha256 = Sha256::digest(text);
        self.text(Spelling::Sha256, Boundary::Hex, &lower_hex(&sha256));
        self.raw(Spelling::Sha256, &sha256);
    }

    fn text(&mut self, spelling: Spelling, boundary: Boundary, text: &str) {
        let bytes: Box<[u8]> = text.to_ascii_lowercase().into_bytes().into();
        let side = |byte: Option<&u8>| match byte {
            Some(byte) if byte.is_ascii_alphanumeric() => boundary,
            _ => Boundary::Free,
        };
        let (left, right) = (side(bytes.first()), side(bytes.last()));
        let class = if bytes.len() < MIN_TEXT {
            Class::Token
        } else {
            Class::Text
        };
        self.add(Spelled {
            bytes,
            class,
            spelling,
            left,
            right,
        });
    }

    fn raw(&mut self, spelling: Spelling, octets: &[u8]) {
        self.raw_between(spelling, octets, [Boundary::Free; 2]);
    }

    fn raw_between(&mut self, spelling: Spelling, octets: &[u8], [left, right]: [Boundary; 2]) {
        if octets.len() < MIN_RAW || distinct(octets) < MIN_DISTINCT {
            return;
        }
        self.add(Spelled {
            bytes: octets.into(),
            class: Class::Raw,
            spelling,
            left,
            right,
        });
    }

    fn add(&mut self, spelled: Spelled) {
        if spelled.bytes.is_empty() {
            return;
        }
        if self.seen.insert((spelled.class, spelled.bytes.clone())) {
            self.spelled.push(spelled);
        } else if spelled.class == Class::Raw && spelled.left == Boundary::Free {
            // What another reading has beside it does not matter to this one.
            let known = self.spelled.iter_mut();
            let mut same =
                known.filter(|known| known.class == spelled.class && known.bytes == spelled.bytes);
            if let Some(known) = same.next().filter(|_| spelled.right == Boundary::Free) {
                (known.left, known.right) = (Boundary::Free, Boundary::Free);
            }
        }
    }
}

/// What bounds pairs of hex digits with this between them.
fn octets_of(separator: &str) -> Boundary {
    match separator {
        ":" | "-" => Boundary::Octets,
        _ => Boundary::Hex,
    }
}

/// Binary forms with fewer different bytes, such as 02:00:00:00:00:01, occur in padding and counters.
const MIN_DISTINCT: usize = 4;

fn distinct(octets: &[u8]) -> usize {
    octets
        .iter()
        .enumerate()
        .filter(|(at, octet)| !octets[..*at].contains(octet))
        .count()
}

/// How people group the digits of numbers of this length, each a list of group sizes.
fn groupings(length: usize) -> &'static [&'static [usize]] {
    match length {
        14 => &[&[2, 6, 6], &[6, 2, 6], &[8, 6]],
        15 => &[
            &[2, 6, 6, 1],
            &[6, 2, 6, 1],
            &[8, 6, 1],
            &[3, 2, 10],
            &[3, 3, 9],
            &[4, 4, 4, 3],
            &[3; 5],
        ],
        16 => &[&[2, 6, 6, 2], &[6, 2, 6, 2], &[8, 6, 2], &[4; 4]],
        18 => &[&[4, 4, 4, 4, 2], &[6, 6, 6], &[3; 6]],
        19 => &[
            &[4, 4, 4, 4, 3],
            &[5, 5, 5, 4],
            &[6, 4, 4, 5],
            &[2, 2, 2, 12, 1],
        ],
        20 => &[&[4; 5], &[5; 4], &[6, 4, 4, 6], &[2, 2, 2, 12, 2]],
        _ => &[],
    }
}

pub(super) fn grouped(digits: &str, sizes: &[usize], separator: &str) -> String {
    let mut rest = digits;
    let mut groups = Vec::with_capacity(sizes.len() + 1);
    for size in sizes {
        let (group, tail) = rest.split_at_checked(*size).unwrap_or((rest, ""));
        groups.push(group);
        rest = tail;
    }
    groups.push(rest);
    groups.retain(|group| !group.is_empty());
    groups.join(separator)
}

/// The same equipment or card with or without what comes after its serial number (3GPP TS 23.003, 6.2; ITU-T E.118).
fn other_lengths(value: &Value, digits: &str) -> Vec<String> {
    let mut others = Vec::new();
    match value.kind {
        Kind::Imei => {
            let body = &digits[..14];
            others.push(body.to_owned());
            others.push(format!("{body}{}", luhn_digit(body)));
        }
        Kind::Iccid => others.push(digits[..digits.len() - 1].to_owned()),
        _ => {}
    }
    others
}

fn paired(digits: &str) -> Vec<&str> {
    (0..digits.len() / 2)
        .map(|pair| &digits[2 * pair..2 * pair + 2])
        .collect()
}
