//! One registered identifier: checked for its kind, and taken apart into the form its spellings are made from.

use crate::event::Kind;

/// A registered identifier. Has no `Debug`, so that it cannot be printed by accident.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) kind: Kind,
    /// As the person wrote it, trimmed; empty for values that are not text.
    pub(super) written: Box<str>,
    pub(super) form: Form,
}

/// What the spellings of a value are made from.
#[derive(Clone, PartialEq)]
pub(super) enum Form {
    /// Decimal digits.
    Digits(Box<str>),
    /// Hex digits, lower case, an even number of them.
    Hex(Box<str>),
    /// EUI-48, in transmission order.
    Mac([u8; 6]),
    /// RFC 9562, in network byte order.
    Uuid([u8; 16]),
    /// A number with its country code (E.164) or, where that is unknown, as dialled.
    Phone {
        digits: Box<str>,
        international: bool,
    },
    /// An address with one `@`.
    Email(Box<str>),
    /// Anything else that is searched for as it stands.
    Text(Box<str>),
    /// WGS 84 degrees.
    Location { latitude: f64, longitude: f64 },
    /// Package names, sorted.
    Apps(Vec<Box<str>>),
}

impl Value {
    /// Checks `text` as an identifier of `kind`; the reason never quotes it.
    pub(super) fn text(kind: Kind, text: &str) -> Result<Value, String> {
        let written = text.trim();
        let form = match &kind {
            Kind::Imei => imei(written),
            Kind::Meid => hex(written, 14, "a MEID"),
            Kind::Imsi => digits_within(written, "an IMSI", 14, 15),
            Kind::Iccid => iccid(written),
            Kind::WifiMac | Kind::BluetoothMac | Kind::Bssid => mac(written),
            Kind::AndroidId => hex(written, 16, "an Android ID"),
            Kind::AdvertisingId => uuid(written),
            Kind::GsfId => gsf_id(written),
            Kind::Phone => phone(written),
            Kind::Email => email(written),
            Kind::CellId => number(written, "a cell id", MAX_CELL_ID),
            Kind::Tac => number(written, "a tracking area code", MAX_TAC),
            Kind::Ssid => free_text(written, "a network name", 1, MAX_SSID),
            Kind::Serial => free_text(written, "a serial number", 4, MAX_TEXT),
            Kind::Account => free_text(written, "an account name", 1, MAX_TEXT).map(recognise),
            Kind::Custom(_) => free_text(written, "a custom value", 1, MAX_TEXT).map(recognise),
            Kind::Location => Err("a location is a table { latitude = …, longitude = … }".into()),
            Kind::InstalledApps => Err("installed apps are a list of package names".into()),
        }?;
        Ok(Value {
            kind,
            written: written.into(),
            form,
        })
    }

    /// Checks a pair of coordinates.
    pub(super) fn location(latitude: f64, longitude: f64) -> Result<Value, String> {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err("latitude must lie between -90 and 90 degrees".into());
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err("longitude must lie between -180 and 180 degrees".into());
        }
        Ok(Value {
            kind: Kind::Location,
            written: "".into(),
            form: Form::Location {
                latitude,
                longitude,
            },
        })
    }

    /// Takes `text` as it is.
    pub(super) fn free(kind: Kind, text: &str) -> Value {
        Value {
            kind,
            written: text.into(),
            form: Form::Text(text.into()),
        }
    }

    /// Makes one value of all installed packages; every name was checked by [`package_name`].
    pub(super) fn installed_apps(mut names: Vec<Box<str>>) -> Value {
        names.sort_unstable();
        names.dedup();
        Value {
            kind: Kind::InstalledApps,
            written: "".into(),
            form: Form::Apps(names),
        }
    }

    /// The one text that stands for this value in its keyed hash and last four.
    pub(super) fn canonical(&self) -> String {
        match &self.form {
            Form::Digits(text) | Form::Hex(text) | Form::Text(text) => text.to_string(),
            Form::Email(text) => text.to_ascii_lowercase(),
            Form::Mac(octets) => lower_hex(octets),
            Form::Uuid(octets) => uuid_text(octets),
            Form::Phone {
                digits,
                international,
            } => {
                if *international {
                    format!("+{digits}")
                } else {
                    digits.to_string()
                }
            }
            Form::Location {
                latitude,
                longitude,
            } => format!("{latitude},{longitude}"),
            Form::Apps(names) => names.join("\n"),
        }
    }

    /// The last four characters of the canonical value; none below 8 characters, and none for places and lists.
    pub(super) fn last4(&self) -> Option<String> {
        if matches!(self.form, Form::Location { .. } | Form::Apps(_)) {
            return None;
        }
        let characters: Vec<char> = self.canonical().chars().collect();
        let tail = characters
            .len()
            .checked_sub(4)
            .filter(|_| characters.len() >= 8)?;
        Some(characters[tail..].iter().collect())
    }
}

/// Checks the name of an Android package.
pub(super) fn package_name(name: &str) -> Result<(), String> {
    let segment = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if name.len() > MAX_TEXT || !name.contains('.') || !name.split('.').all(segment) {
        return Err("not a package name: letters, digits and _ in parts joined by dots".into());
    }
    Ok(())
}

/// The lower-case hex digits of `octets`.
pub(super) fn lower_hex(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(octets)
}

/// The dashed lower-case text of a UUID.
pub(super) fn uuid_text(octets: &[u8; 16]) -> String {
    let digits = lower_hex(octets);
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// The digit that completes `digits` to a number that passes the check of ISO/IEC 7812-1 (Luhn).
pub(super) fn luhn_digit(digits: &str) -> char {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte.wrapping_sub(b'0'));
            let weighted = if place % 2 == 0 { digit * 2 } else { digit };
            weighted / 10 + weighted % 10
        })
        .sum();
    char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0')
}

fn luhn_holds(digits: &str) -> bool {
    digits
        .split_at_checked(digits.len().saturating_sub(1))
        .is_some_and(|(body, check)| check.starts_with(luhn_digit(body)))
}

fn imei(text: &str) -> Result<Form, String> {
    let digits = digits_of(text, "an IMEI")?;
    match digits.len() {
        15 if !luhn_holds(&digits) => Err("the check digit of this IMEI is wrong (Luhn)".into()),
        14..=16 => Ok(Form::Digits(digits)),
        other => Err(format!(
            "{other} digits: an IMEI has 15 (14 without its check digit, 16 with a software version)"
        )),
    }
}

fn iccid(text: &str) -> Result<Form, String> {
    let digits = digits_of(text.trim_end_matches(['F', 'f']), "an ICCID")?;
    match digits.len() {
        18..=20 if luhn_holds(&digits) => Ok(Form::Digits(digits)),
        18..=20 => Err("the check digit of this ICCID is wrong (Luhn)".into()),
        other => Err(format!("{other} digits: an ICCID has 18 to 20")),
    }
}

fn gsf_id(text: &str) -> Result<Form, String> {
    let decimal = text
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse::<u64>().ok());
    match decimal.flatten() {
        Some(id) if text.len() != 16 && id > u64::from(u32::MAX) => {
            Ok(Form::Hex(format!("{id:016x}").into()))
        }
        _ => hex(text, 16, "a GSF id (or its decimal form)"),
    }
}

fn phone(text: &str) -> Result<Form, String> {
    let (rest, international) = match (text.strip_prefix('+'), text.strip_prefix("00")) {
        (Some(rest), _) | (None, Some(rest)) => (rest, true),
        (None, None) => (text, false),
    };
    let rest = if international {
        rest.replace("(0)", "")
    } else {
        rest.to_owned()
    };
    let digits = strip(&rest, &[' ', '-', '.', '/', '(', ')', '\u{a0}']);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a phone number has digits, + in front, and spaces or dashes only".into());
    }
    if international && digits.starts_with('0') {
        return Err("no country code begins with 0".into());
    }
    match digits.len() {
        5..=15 => Ok(Form::Phone {
            digits: digits.into(),
            international,
        }),
        other => Err(format!(
            "{other} digits: a phone number has 5 to 15 (E.164)"
        )),
    }
}

fn email(text: &str) -> Result<Form, String> {
    let wrong = || Err("not an e-mail address: expected name@domain".to_owned());
    let Some((local, domain)) = text.split_once('@') else {
        return wrong();
    };
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let sound = (1..=64).contains(&local.len())
        && !local
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>(),;:\\\"".contains(c))
        && domain.contains('.')
        && domain.split('.').all(label);
    if !sound {
        return wrong();
    }
    if text.len() > MAX_TEXT {
        return Err(format!(
            "{} bytes: an e-mail address has at most {MAX_TEXT}",
            text.len()
        ));
    }
    Ok(Form::Email(text.into()))
}

fn mac(text: &str) -> Result<Form, String> {
    let digits = strip(text, &[':', '-', '.', ' ']);
    let octets = octets::<6>(&digits)
        .ok_or("a MAC address has 12 hex digits, in pairs joined by :, -, . or nothing")?;
    if matches!(
        octets,
        [0, 0, 0, 0, 0, 0] | [2, 0, 0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
    ) {
        return Err("a placeholder that devices share, not the address of one".into());
    }
    Ok(Form::Mac(octets))
}

fn uuid(text: &str) -> Result<Form, String> {
    let bare = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(text);
    let dashes: Vec<usize> = bare.match_indices('-').map(|(at, _)| at).collect();
    let grouped = matches!(dashes[..], [] | [8, 13, 18, 23]);
    let octets = octets::<16>(&strip(bare, &['-']))
        .filter(|_| grouped)
        .ok_or("an advertising id is a UUID: 32 hex digits in groups of 8-4-4-4-12")?;
    if octets.iter().all(|octet| *octet == 0) {
        return Err("all zeros means that the advertising id was deleted".into());
    }
    Ok(Form::Uuid(octets))
}

fn hex(text: &str, length: usize, what: &str) -> Result<Form, String> {
    let digits = strip(text.strip_prefix("0x").unwrap_or(text), &[' ', '-', ':']);
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("{what} has {length} hex digits and nothing else"));
    }
    if digits.len() != length {
        return Err(format!("{} hex digits: {what} has {length}", digits.len()));
    }
    if digits.bytes().all(|byte| byte == b'0') {
        return Err(format!("all zeros: not {what}"));
    }
    Ok(Form::Hex(digits.to_ascii_lowercase().into()))
}

fn digits_within(text: &str, what: &str, least: usize, most: usize) -> Result<Form, String> {
    let digits = digits_of(text, what)?;
    if !(least..=most).contains(&digits.len()) {
        return Err(format!(
            "{} digits: {what} has {least} to {most}",
            digits.len()
        ));
    }
    Ok(Form::Digits(digits))
}

fn number(text: &str, what: &str, most: u64) -> Result<Form, String> {
    match text
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse::<u64>().ok())
        .flatten()
    {
        Some(value) if (1..=most).contains(&value) => Ok(Form::Digits(value.to_string().into())),
        _ => Err(format!("{what} is a whole number from 1 to {most}")),
    }
}

fn free_text(text: &str, what: &str, least: usize, most: usize) -> Result<Form, String> {
    if text.chars().any(char::is_control) {
        return Err(format!("{what} has no control characters"));
    }
    if !(least..=most).contains(&text.len()) {
        return Err(format!(
            "{} bytes: {what} has {least} to {most}",
            text.len()
        ));
    }
    Ok(Form::Text(text.into()))
}

/// Gives a free text that looks like a known form all the spellings of that form.
fn recognise(form: Form) -> Form {
    let Form::Text(text) = form else { return form };
    let all_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if (8..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Form::Digits(text);
    }
    if all_hex && text.len() >= 12 && text.len() != 32 && text.len().is_multiple_of(2) {
        return Form::Hex(text.to_ascii_lowercase().into());
    }
    let known = match text.len() {
        17 => mac(&text).ok(),
        32 | 36 => uuid(&text).ok(),
        _ => None,
    };
    known
        .or_else(|| email(&text).ok())
        .unwrap_or(Form::Text(text))
}

fn digits_of(text: &str, what: &str) -> Result<Box<str>, String> {
    let digits = strip(text, &[' ', '-', '.', '/']);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "{what} has digits only (spaces and dashes may group them)"
        ));
    }
    if digits.bytes().all(|byte| byte == b'0') {
        return Err(format!("all zeros: not {what}"));
    }
    Ok(digits.into())
}

fn octets<const N: usize>(digits: &str) -> Option<[u8; N]> {
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

fn strip(text: &str, separators: &[char]) -> String {
    text.replace(separators, "")
}

/// The bytes of the longest free text; an e-mail address has at most 254 (RFC 5321, erratum 1690).
const MAX_TEXT: usize = 254;
/// The bytes of an SSID (IEEE 802.11).
const MAX_SSID: usize = 32;
/// The largest NR cell identity, 36 bits (3GPP TS 38.413).
const MAX_CELL_ID: u64 = (1 << 36) - 1;
/// The largest NR tracking area code, 24 bits (3GPP TS 38.413).
const MAX_TAC: u64 = (1 << 24) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_check_digits() {
        // IMEI of 3GPP TS 23.003 examples, the card number of ISO/IEC 7812-1 Annex B, a run of zeros.
        for (body, check) in [("49015420323751", '8'), ("7992739871", '3'), ("0000", '0')] {
            assert_eq!(luhn_digit(body), check);
        }
    }

    #[test]
    fn gives_one_canonical_text_to_all_ways_of_writing() {
        let table: &[(Kind, &str, &[&str])] = &[
            (
                Kind::Imei,
                "490154203237518",
                &["490154203237518", "49-015420-323751-8"],
            ),
            (
                Kind::WifiMac,
                "02005e10a47f",
                &["02:00:5E:10:A4:7F", "0200.5e10.a47f", "02005E10A47F"],
            ),
            (
                Kind::AndroidId,
                "9774d56d682e549c",
                &["9774D56D682E549C", "0x9774d56d682e549c"],
            ),
            (
                Kind::GsfId,
                "3fd81c0a5e7b2d94",
                &["3FD81C0A5E7B2D94", "4600457850219343252"],
            ),
            (
                Kind::Phone,
                "+4791234567",
                &["+47 912 34 567", "004791234567", "+47-91-23-45-67"],
            ),
            (
                Kind::Phone,
                "+442079460123",
                &["+44 (0)20 7946 0123", "+44 20 7946 0123"],
            ),
            (
                Kind::Email,
                "kari@mail.example",
                &["Kari@Mail.example", " kari@mail.example "],
            ),
            (
                Kind::AdvertisingId,
                "38400000-8cf0-11bd-b23e-10b96e40000d",
                &[
                    "{38400000-8CF0-11BD-B23E-10B96E40000D}",
                    "384000008cf011bdb23e10b96e40000d",
                ],
            ),
        ];
        for (kind, canonical, texts) in table {
            for text in *texts {
                let value = Value::text(kind.clone(), text);
                let value = value.unwrap_or_else(|reason| panic!("{text}: {reason}"));
                assert_eq!(value.canonical(), *canonical, "{text}");
            }
        }
    }

    #[test]
    fn gives_custom_values_the_form_that_they_look_like() {
        let form = |text: &str| Value::text(Kind::Custom("x".into()), text).map(|value| value.form);
        assert!(matches!(form("12345678"), Ok(Form::Digits(_))));
        assert!(matches!(form("1234567"), Ok(Form::Text(_))));
        assert!(matches!(form("00ff00ff00ffab"), Ok(Form::Hex(_))));
        assert!(matches!(form("02:00:5e:10:a4:7f"), Ok(Form::Mac(_))));
        assert!(matches!(
            form("38400000-8cf0-11bd-b23e-10b96e40000d"),
            Ok(Form::Uuid(_))
        ));
        assert!(matches!(form("kari@mail.example"), Ok(Form::Email(_))));
        assert!(matches!(form("EMP-0042"), Ok(Form::Text(_))));
    }
}
