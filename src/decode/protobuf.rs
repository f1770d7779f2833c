//! Protobuf messages without their schema: what parses to the last byte is taken for one.

use std::{fmt, ops::Range};

/// A value in a message, and where it stands there.
pub(super) type Field = (Range<usize>, Value);

/// A value in a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// A string, or bytes that are no message themselves.
    Bytes,
    /// A number, as its sender means it.
    Number(Number),
}

/// What a number can mean; displayed in decimal digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Single(f32),
    Double(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Unsigned(number) => number.fmt(f),
            Number::Signed(number) => number.fmt(f),
            Number::Single(number) => number.fmt(f),
            Number::Double(number) => number.fmt(f),
        }
    }
}

/// Replaces `values` by every value in a message and in the messages inside it; `None` for what is no message.
pub(super) fn parse(message: &[u8], values: &mut Vec<Field>) -> Option<()> {
    values.clear();
    if message.is_empty() {
        return None;
    }
    fields(message, 0, DEPTH, values)
}

/// The range of the message in a gRPC frame (a flag and a length in front), if a text is one.
pub(super) fn in_grpc(text: &[u8]) -> Option<Range<usize>> {
    let [0, a, b, c, d, message @ ..] = text else {
        return None;
    };
    let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok()?;
    (length == message.len()).then_some(5..text.len())
}

fn fields(message: &[u8], start: usize, depth: usize, values: &mut Vec<Field>) -> Option<()> {
    let mut at = 0usize;
    while at < message.len() {
        let tag = varint(message, &mut at)?;
        let number = tag >> 3;
        if number == 0 || number > MOST_FIELD || values.len() >= MOST_VALUES {
            return None;
        }
        let first = at;
        let value = match tag & 7 {
            0 => Value::Number(integer(varint(message, &mut at)?)),
            1 => {
                let bytes = *message.get(at..)?.first_chunk()?;
                at = at.saturating_add(8);
                let double = f64::from_le_bytes(bytes);
                Value::Number(if is_angle(double) {
                    Number::Double(double)
                } else {
                    integer(u64::from_le_bytes(bytes))
                })
            }
            2 => {
                let length = usize::try_from(varint(message, &mut at)?).ok()?;
                let end = at.checked_add(length)?;
                let bytes = message.get(at..end)?;
                let place = start.saturating_add(at);
                at = end;
                let known = values.len();
                let deeper = depth.checked_sub(1).filter(|_| !bytes.is_empty());
                if let Some(deeper) = deeper.filter(|_| !is_text(bytes))
                    && fields(bytes, place, deeper, values).is_some()
                {
                    continue;
                }
                values.truncate(known);
                values.push((place..place.saturating_add(length), Value::Bytes));
                continue;
            }
            5 => {
                let bytes = *message.get(at..)?.first_chunk()?;
                at = at.saturating_add(4);
                let float = f32::from_le_bytes(bytes);
                Value::Number(if is_angle(float.into()) {
                    Number::Single(float)
                } else {
                    Number::Unsigned(u32::from_le_bytes(bytes).into())
                })
            }
            _ => return None,
        };
        values.push((start.saturating_add(first)..start.saturating_add(at), value));
    }
    Some(())
}

/// Reads a varint that is written in as few bytes as it needs.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for place in 0..10u32 {
        let byte = *bytes.get(*at)?;
        *at = at.saturating_add(1);
        let bits = u64::from(byte & 0x7f);
        let shifted = bits.checked_shl(place.saturating_mul(7))?;
        if place == 9 && bits > 1 || place > 0 && byte == 0 {
            return None;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Two coordinates in degrees that two integers can mean, one behind the other: ten-millionths of a degree, as most formats
/// have them, in each of the ways that protobuf writes negative ones.
pub(super) fn coordinates(one: Number, other: Number) -> impl Iterator<Item = [f64; 2]> {
    let pair = move |read: fn(Number) -> Option<f64>| Some([read(one)?, read(other)?]);
    let plain = pair(|number| degrees(plain(number)?));
    let folded = pair(|number| degrees(unfolded(number)?));
    plain.into_iter().chain(folded)
}

fn degrees(number: i64) -> Option<f64> {
    let degrees = number as f64 / TEN_MILLIONTHS;
    (LEAST_DEGREES..=180.0)
        .contains(&degrees.abs())
        .then_some(degrees)
}

/// An integer of 64 bits, or of 32 (`sfixed32`).
fn plain(number: Number) -> Option<i64> {
    match number {
        Number::Unsigned(number) => match u32::try_from(number) {
            Ok(short) => Some(short.cast_signed().into()),
            Err(_) => number.try_into().ok(),
        },
        Number::Signed(number) => Some(number),
        Number::Single(_) | Number::Double(_) => None,
    }
}

/// An integer whose sign is its lowest bit (`sint32`).
fn unfolded(number: Number) -> Option<i64> {
    match number {
        Number::Unsigned(number) => {
            Some((number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg())
        }
        Number::Signed(_) | Number::Single(_) | Number::Double(_) => None,
    }
}

/// A number as its sender means it: negative ones are written as 64 bits.
fn integer(value: u64) -> Number {
    let signed = value.cast_signed();
    if (NEGATIVE..0).contains(&signed) {
        return Number::Signed(signed);
    }
    Number::Unsigned(value)
}

/// Whether a number can be a coordinate in degrees.
fn is_angle(value: f64) -> bool {
    value.is_finite() && (1e-4..=180.0).contains(&value.abs()) && value.fract() != 0.0
}

/// Whether bytes are a string for people or programs.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let near = bytes.get(..SAMPLE).unwrap_or(bytes);
    let control =
        |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\r' | b'\n') || *byte == 0x7f;
    let valid = match std::str::from_utf8(near) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    valid && !near.iter().any(control)
}

/// Messages inside one another.
const DEPTH: usize = 8;
/// Values of one message.
const MOST_VALUES: usize = 4096;
/// The largest field number that is taken for one: schemas hardly go beyond.
const MOST_FIELD: u64 = 50_000;
/// Negative integers down to here are written in decimal.
const NEGATIVE: i64 = i64::MIN / 2;
const TEN_MILLIONTHS: f64 = 1e7;
/// Integers that mean fewer degrees are counts, flags and sizes.
const LEAST_DEGREES: f64 = 0.1;
/// Bytes that tell text from other bytes.
const SAMPLE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_of_messages_inside_messages() {
        // 1: "490", 2: { 1: 150, 3: 59.5 }, 4: bytes, 5: float, 15: -1
        let message = [
            &[0x0a, 3][..],
            b"490",
            &[0x12, 12, 0x08, 0x96, 0x01, 0x19],
            &59.5f64.to_le_bytes(),
            &[0x22, 2, 0xff, 0x00, 0x2d],
            &10.75f32.to_le_bytes(),
            &[
                0x78, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
        ]
        .concat();
        let mut values = Vec::new();
        parse(&message, &mut values).expect("a message");
        let said: Vec<_> = values
            .iter()
            .map(|(range, value)| match value {
                Value::Bytes => String::from_utf8_lossy(&message[range.clone()]).into_owned(),
                Value::Number(number) => number.to_string(),
            })
            .collect();
        assert_eq!(said, ["490", "150", "59.5", "\u{fffd}\0", "10.75", "-1"]);
    }

    #[test]
    fn reads_integers_as_coordinates_however_they_are_signed() {
        use Number::{Signed, Single, Unsigned};
        let read = |one, other| coordinates(one, other).collect::<Vec<_>>();
        let south = u64::from((-338_568_000i32).cast_unsigned());
        let cases = [
            (
                Unsigned(599_139_100),
                Unsigned(107_522_100),
                vec![[59.91391, 10.75221], [29.956955, 5.376105]],
            ),
            // sfixed32, int32 and sint32
            (
                Unsigned(south),
                Unsigned(1_512_153_000),
                vec![[-33.8568, 151.2153]],
            ),
            (
                Signed(-338_568_000),
                Unsigned(1_512_153_000),
                vec![[-33.8568, 151.2153]],
            ),
            (
                Unsigned(677_135_999),
                Unsigned(3_024_306_000),
                vec![[67.7135999, -127.0661296], [-33.8568, 151.2153]],
            ),
            (Unsigned(7), Unsigned(599_139_100), vec![]),
            (Single(59.9), Unsigned(599_139_100), vec![]),
        ];
        for (one, other, expected) in cases {
            assert_eq!(read(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn takes_nothing_for_a_message_that_does_not_parse_to_its_end() {
        for bytes in [
            &b""[..],
            b"{\"a\":1}",
            &[0x0a, 4, b'a', b'b', b'c'],
            &[0x08, 0x80, 0x00],
            &[0x0b, 0x0c],
            &[0x00, 0x01],
        ] {
            assert_eq!(parse(bytes, &mut Vec::new()), None, "{bytes:?}");
        }
    }

    #[test]
    fn ends_on_messages_nested_without_end() {
        let mut message = vec![0x08, 1];
        for _ in 0..2000 {
            let mut outer = vec![0x0a];
            let mut length = message.len();
            while length >= 0x80 {
                outer.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            outer.push(length as u8);
            outer.append(&mut message);
            message = outer;
        }
        let mut values = Vec::new();
        assert!(parse(&message, &mut values).is_some() && values.len() == 1);
    }

    #[test]
    fn finds_the_message_behind_a_grpc_prefix() {
        assert_eq!(in_grpc(&[0, 0, 0, 0, 2, 8, 1]), Some(5..7));
        assert_eq!(in_grpc(&[0, 0, 0, 0, 3, 8, 1]), None);
        assert_eq!(in_grpc(&[1, 0, 0, 0, 2, 8, 1]), None);
    }
}
