//! Values of the policy file: words, durations, sizes, ports.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{Deserialize, Deserializer, de};

use super::{BlockedName, nearest::offer, to::To};
use crate::event::{Action, Kind, Proto};

/// What a TOML string (or number, where `NUMBER`) may say.
pub(super) trait Field: Sized {
    /// What is expected, after "expected".
    const EXPECTED: &str;
    /// Whether an integer does as well as a string.
    const NUMBER: bool = false;
    /// Reads the text; the error says what would be right.
    fn read(text: &str) -> Result<Self, String>;
}

/// A [`Field`] for serde.
#[derive(Clone, Debug)]
pub(super) struct Read<T>(pub(super) T);

impl<'de, T: Field> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(FieldVisitor(PhantomData))
            .map(Read)
    }
}

/// Inclusive range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) first: u16,
    pub(super) last: u16,
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.first < self.last {
            write!(f, "-{}", self.last)?;
        }
        Ok(())
    }
}

/// One entry of `sends`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// `*`
    Any,
    /// A kind by name.
    Kind(Kind),
}

/// A number of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes(pub(super) usize);

/// A number of things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub(super) usize);

/// `ask_fallback`: an action that asks nobody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fallback(pub(super) Action);

/// `action` of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListAction(pub(super) Action);

/// How the text of a list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Found by looking, line by line.
    Auto,
    /// `0.0.0.0 name …`
    Hosts,
    /// A name a line.
    Domains,
}

impl Field for String {
    const EXPECTED: &str = "a string";
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("an empty string matches nothing".into()),
            text => Ok(text.into()),
        }
    }
}

impl Field for Action {
    const EXPECTED: &str = "\"allow\", \"ask\" or \"block\"";
    fn read(text: &str) -> Result<Self, String> {
        word(
            text,
            "action",
            &[
                ("allow", Action::Allow),
                ("ask", Action::Ask),
                ("block", Action::Block),
            ],
        )
    }
}

impl Field for Fallback {
    const EXPECTED: &str = "\"allow\" or \"block\"";
    fn read(text: &str) -> Result<Self, String> {
        if text == "ask" {
            return Err(
                "nobody answered, so the fallback cannot ask again: \"block\" or \"allow\"".into(),
            );
        }
        word(
            text,
            "action",
            &[("allow", Action::Allow), ("block", Action::Block)],
        )
        .map(Fallback)
    }
}

impl Field for ListAction {
    const EXPECTED: &str = "\"block\" or \"allow\"";
    fn read(text: &str) -> Result<Self, String> {
        if text == "ask" {
            return Err("a list that asks is not supported yet: \"block\" or \"allow\"".into());
        }
        word(
            text,
            "action",
            &[("allow", Action::Allow), ("block", Action::Block)],
        )
        .map(ListAction)
    }
}

impl Field for Proto {
    const EXPECTED: &str = "\"tcp\", \"udp\" or \"icmp\"";
    fn read(text: &str) -> Result<Self, String> {
        word(
            text,
            "protocol",
            &[
                ("tcp", Proto::Tcp),
                ("udp", Proto::Udp),
                ("icmp", Proto::Icmp),
            ],
        )
    }
}

impl Field for BlockedName {
    const EXPECTED: &str = "\"nxdomain\" or \"zero\"";
    fn read(text: &str) -> Result<Self, String> {
        word(
            text,
            "answer",
            &[
                ("nxdomain", BlockedName::Nxdomain),
                ("zero", BlockedName::Zero),
            ],
        )
    }
}

impl Field for Format {
    const EXPECTED: &str = "\"auto\", \"hosts\" or \"domains\"";
    fn read(text: &str) -> Result<Self, String> {
        if matches!(text, "wildcard" | "adblock" | "dnsmasq" | "rpz" | "cidr") {
            return Err(format!(
                "format {text:?} is not supported yet: \"auto\", \"hosts\" or \"domains\""
            ));
        }
        word(
            text,
            "format",
            &[
                ("auto", Format::Auto),
                ("hosts", Format::Hosts),
                ("domains", Format::Domains),
            ],
        )
    }
}

impl Field for To {
    const EXPECTED: &str = "a destination such as \"bank.example\", \"192.0.2.0/24\" or \"lan\"";
    fn read(text: &str) -> Result<Self, String> {
        To::read(text)
    }
}

impl Field for Sent {
    const EXPECTED: &str = "a kind of identifier, such as \"imei\"";
    fn read(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Sent::Any);
        }
        if let Some(kind) = Kind::from_name(text) {
            return Ok(Sent::Kind(kind));
        }
        if text == "custom" || text == "custom." {
            return Err("a custom kind needs its name: \"custom.NAME\"".into());
        }
        let names = Kind::NAMED.map(|(name, _)| name);
        Err(format!(
            "unknown kind of identifier {text:?}: {}",
            offer(text, &names)
        ))
    }
}

impl Field for Ports {
    const EXPECTED: &str = "a port or a range, such as \"443\" or \"8000-8099\"";
    const NUMBER: bool = true;
    fn read(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>();
        let (Ok(first), Ok(last)) = (port(first), port(last)) else {
            return Err(format!(
                "bad port {text:?}: expected {}, from 0 to 65535",
                Self::EXPECTED
            ));
        };
        if first > last {
            return Err(format!(
                "the range {text:?} is empty: write \"{last}-{first}\""
            ));
        }
        Ok(Ports { first, last })
    }
}

impl Field for Duration {
    const EXPECTED: &str = "a duration such as \"30s\" or \"2m\"";
    fn read(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let millis = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        let millis = millis.and_then(|millis: u64| number.parse::<u64>().ok()?.checked_mul(millis));
        match millis {
            Some(0) => Err("a question needs some time: at least \"1s\"".into()),
            Some(millis) if millis <= LONGEST_QUESTION => Ok(Duration::from_millis(millis)),
            Some(_) => Err(format!(
                "{text:?} is too long for a question: at most \"24h\""
            )),
            None => Err(format!(
                "bad duration {text:?}: expected {}",
                Self::EXPECTED
            )),
        }
    }
}

impl Field for Bytes {
    const EXPECTED: &str = "a number of bytes, such as 262144 or \"256 KiB\"";
    const NUMBER: bool = true;
    fn read(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let shift = match unit {
            "" | "B" => Some(0),
            "KiB" => Some(10),
            "MiB" => Some(20),
            "GiB" => Some(30),
            _ => None,
        };
        let bytes = shift.and_then(|shift| number.parse::<usize>().ok()?.checked_mul(1 << shift));
        match bytes {
            Some(0) => {
                Err("a limit of 0 bytes lets nothing through: leave it out for its default".into())
            }
            Some(bytes) if bytes <= MOST_BYTES => Ok(Bytes(bytes)),
            Some(_) => Err(format!("{text:?} is too much: at most \"1 GiB\"")),
            None => Err(format!(
                "bad size {text:?}: expected {}; the units are B, KiB, MiB and GiB",
                Self::EXPECTED
            )),
        }
    }
}

impl Field for Count {
    const EXPECTED: &str = "a number from 1 to 1048576";
    const NUMBER: bool = true;
    fn read(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count @ 1..=MOST_FLOWS) => Ok(Count(count)),
            _ => Err(format!("bad count {text:?}: expected {}", Self::EXPECTED)),
        }
    }
}

/// Longest `ask_timeout`, milliseconds: a parked flow costs memory as long as it waits.
const LONGEST_QUESTION: u64 = 24 * 3_600_000;
/// Largest size in `[limits]`: what a 32-bit phone can address with room to spare.
const MOST_BYTES: usize = 1 << 30;
/// Largest flow table.
const MOST_FLOWS: usize = 1 << 20;

struct FieldVisitor<T>(PhantomData<T>);

impl<T: Field> de::Visitor<'_> for FieldVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        if !T::NUMBER {
            return Err(E::invalid_type(de::Unexpected::Signed(number), &self));
        }
        T::read(&number.to_string()).map_err(E::custom)
    }
}

pub(super) fn word<T: Copy>(text: &str, what: &str, words: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    Err(format!("unknown {what} {text:?}: {}", offer(text, &names)))
}

fn split_unit(text: &str) -> (&str, &str) {
    let unit = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_ports_are_read() {
        for (text, seconds) in [
            ("30s", 30.0),
            ("2m", 120.0),
            ("1h", 3600.0),
            ("250ms", 0.25),
        ] {
            assert_eq!(Duration::read(text).unwrap().as_secs_f64(), seconds);
        }
        for (text, bytes) in [
            ("1", 1),
            ("256 KiB", 262_144),
            ("4MiB", 4 << 20),
            ("1 GiB", 1 << 30),
            ("10 B", 10),
        ] {
            assert_eq!(Bytes::read(text).unwrap().0, bytes);
        }
        for (text, first, last) in [
            ("443", 443, 443),
            ("8000-8099", 8000, 8099),
            ("1 - 2", 1, 2),
            ("0-65535", 0, 65535),
        ] {
            assert_eq!(Ports::read(text).unwrap(), Ports { first, last });
        }
    }

    #[test]
    fn bad_durations_sizes_and_ports_are_told_what_would_be_right() {
        for text in [
            "",
            "30",
            "s",
            "30 secs",
            "0s",
            "-1s",
            "99999999999999999999s",
            "25h",
            "1.5m",
        ] {
            assert!(Duration::read(text).is_err(), "{text:?}");
        }
        for text in [
            "",
            "KiB",
            "0",
            "1 KB",
            "2 GiB",
            "-1",
            "1.5 MiB",
            "99999999999999999999",
        ] {
            assert!(Bytes::read(text).is_err(), "{text:?}");
        }
        for text in ["", "65536", "-1", "1-", "-", "9-8", "http", "1-2-3"] {
            assert!(Ports::read(text).is_err(), "{text:?}");
        }
        assert!(Ports::read("9-8").unwrap_err().contains("\"8-9\""));
    }
}
