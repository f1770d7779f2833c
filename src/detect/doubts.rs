//! Registered values that look like nobody's own.

use std::sync::Arc;

use super::{
    Identity,
    value::{Form, Value},
};
use crate::event::Kind;

/// A registered value that a person may not have meant to register; nothing of it in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Index of the value in [`Detector::values`](super::Detector::values).
    pub value: usize,
    /// What is odd about it and what comes of that, one sentence without a full stop.
    pub text: String,
}

impl Identity {
    /// Says which values are placeholders, examples, or the same as another.
    pub fn doubts(&self) -> Vec<Doubt> {
        let values = self.values();
        let each = values.iter().enumerate().flat_map(|(index, value)| {
            let texts = [placeholder(value), twin(value, &values[..index])];
            texts
                .into_iter()
                .flatten()
                .map(move |text| Doubt { value: index, text })
        });
        each.collect()
    }
}

fn placeholder(value: &Value) -> Option<String> {
    let text = value.canonical();
    if let Some((_, why)) = SHARED.iter().find(|(shared, _)| *shared == text) {
        return Some(format!(
            "is {why}: others have the same, and theirs would be taken for yours"
        ));
    }
    let digits: Vec<u8> = match &value.form {
        Form::Digits(digits) | Form::Hex(digits) | Form::Phone { digits, .. } => {
            digits.bytes().collect()
        }
        Form::Mac(octets) => super::value::lower_hex(octets).into_bytes(),
        Form::Uuid(octets) => super::value::lower_hex(octets).into_bytes(),
        Form::Text(text) => text.to_ascii_lowercase().into_bytes(),
        Form::Email(address) => {
            let domain = address
                .rsplit('@')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            let reserved = |end: &str| domain == end || domain.ends_with(&format!(".{end}"));
            let example = RESERVED.iter().find(|end| reserved(end));
            return example.map(|end| format!("is under .{end}, which is reserved for examples"));
        }
        Form::Location {
            latitude,
            longitude,
        } => {
            let nowhere = *latitude == 0.0 && *longitude == 0.0;
            return nowhere.then(|| {
                "is 0, 0: that is what programs send that do not know where they are".into()
            });
        }
        Form::Apps(_) => return None,
    };
    let [first, rest @ ..] = &*digits else {
        return None;
    };
    if rest.len() >= MIN_REPEATED && rest.iter().all(|digit| digit == first) {
        return Some(
            "is one character over and over: a placeholder, which occurs in padding too".into(),
        );
    }
    let counts = digits.windows(2).all(|pair| {
        let next = match pair[0] {
            b'9' => b'0',
            other => other.wrapping_add(1),
        };
        pair[1] == next
    });
    (digits.len() >= MIN_COUNTED && counts).then(|| "counts up, 1 2 3 …: a placeholder".into())
}

/// The same value, or the same but for its length, under another entry.
fn twin(value: &Value, before: &[Value]) -> Option<String> {
    let text = value.canonical();
    let last4 = |value: &Value| {
        value
            .last4()
            .map(|last4| format!(" …{last4}"))
            .unwrap_or_default()
    };
    let same = before.iter().find(|other| other.canonical() == text);
    if let Some(other) = same {
        return Some(format!(
            "is the same value as {}{}: each finding is told twice",
            other.kind,
            last4(other)
        ));
    }
    let body = |value: &Value| match (&value.kind, &value.form) {
        (Kind::Imei, Form::Digits(digits)) => digits.get(..14).map(Arc::<str>::from),
        _ => None,
    };
    let body_here = body(value)?;
    let phone = before
        .iter()
        .find(|other| body(other).as_ref() == Some(&body_here))?;
    Some(format!(
        "is the same phone as imei{}, which is found at every length already",
        last4(phone)
    ))
}

/// Values that many devices have, in canonical form.
const SHARED: [(&str, &str); 8] = [
    ("490154203237518", "the IMEI of documentation"),
    (
        "004999010640000",
        "the IMEI of phones whose own was lost in a repair",
    ),
    ("358240051111110", "the emulator's IMEI"),
    ("310260000000000", "the emulator's IMSI"),
    (
        "9774d56d682e549c",
        "the Android ID that a fault gave to many phones",
    ),
    ("+15555215554", "the emulator's phone number"),
    ("unknown", "what Android tells apps that may not read it"),
    (
        "<unknown ssid>",
        "what Android tells apps that may not read it",
    ),
];

/// Names that nobody can register (RFC 2606).
const RESERVED: [&str; 6] = [
    "example",
    "test",
    "invalid",
    "example.com",
    "example.net",
    "example.org",
];

/// Fewer repeated characters happen by themselves.
const MIN_REPEATED: usize = 5;
/// Fewer counted characters happen by themselves.
const MIN_COUNTED: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn doubts(text: &str) -> Vec<(usize, String)> {
        let identity = Identity::parse("i.toml", text).unwrap();
        let doubts = identity.doubts().into_iter();
        doubts.map(|doubt| (doubt.value, doubt.text)).collect()
    }

    #[test]
    fn values_of_a_person_give_no_doubt() {
        let text = "imei = [\"356938035643809\", \"352099001761481\"]\nwifi_mac = \"02:00:5e:10:00:07\"\n\
            email = \"ada@mail-of-ada.net\"\nphone = \"+4722334455\"\nssid = \"home\"\ncell_id = 137438953\n\
            location = { latitude = 0.0, longitude = 10.75 }\nadvertising_id = \"6f1b2c3d-4e5f-4a0b-8c9d-0e1f2a3b4c5d\"\n";
        assert_eq!(doubts(text), []);
    }

    #[test]
    fn placeholders_are_told() {
        for (text, needle) in [
            ("imei = \"490154203237518\"", "documentation"),
            ("android_id = \"ffffffffffffffff\"", "over and over"),
            ("bssid = \"aa-aa-aa-aa-aa-aa\"", "over and over"),
            ("android_id = \"9774D56D682E549C\"", "a fault"),
            (
                "advertising_id = \"ffffffff-ffff-ffff-ffff-ffffffffffff\"",
                "over and over",
            ),
            ("serial = \"unknown\"", "may not read"),
            ("serial = \"0123456789\"", "counts up"),
            ("phone = \"+1234567890\"", "counts up"),
            ("email = \"me@example.com\"", "under .example.com"),
            ("email = \"me@mail.Example\"", "under .example,"),
            ("location = { latitude = 0, longitude = 0.0 }", "0, 0"),
            ("[custom]\nbadge = \"xxxxxxxx\"", "over and over"),
        ] {
            let told = doubts(text);
            assert_eq!(told.len(), 1, "{text}: {told:?}");
            assert!(told[0].1.contains(needle), "{text}: {told:?}");
        }
    }

    #[test]
    fn the_same_under_two_names_is_told_once_and_without_the_value() {
        let text =
            "imei = [\"356938035643809\", \"35693803564380\"]\nserial = \"356938035643809\"\n";
        let told = doubts(text);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0].0, 1);
        assert!(told[0].1.contains("same phone as imei …3809"), "{told:?}");
        assert_eq!(told[1].0, 2);
        assert!(told[1].1.contains("same value as imei …3809"), "{told:?}");
        assert!(
            told.iter().all(|(_, text)| !text.contains("35693803")),
            "{told:?}"
        );
    }
}
