//! Values that nobody registered: what a field's name says must be borne out by the value's own structure.

use super::{
    names::What,
    value::{Form, Value},
};
use crate::event::{Kind, Spelling};

/// A value that has the structure of what its name says, and what was done to it.
pub(super) fn of(what: &What, text: &str) -> Option<(Value, Spelling)> {
    let plain = |value: Option<Value>| Some((value?, Spelling::Plain));
    match what {
        What::Kind(kind) => plain(named(kind, text)),
        What::Device => plain(device(text)),
        What::Digest(kind) => digest(kind, text),
        What::Own(_)
        | What::Latitude { .. }
        | What::Longitude { .. }
        | What::Coordinates { .. }
        | What::Radio
        | What::Cell
        | What::Area
        | What::Naming => None,
    }
}

/// A number that a cell or an area may have.
pub(super) fn radio_number(kind: Kind, text: &str) -> Option<Value> {
    let unknown = [
        "2147483647",
        "65535",
        "268435455",
        "68719476735",
        "16777215",
    ]
    .contains(&text);
    value(kind, text).filter(|_| text.len() >= 2 && !unknown)
}

/// Whether `text` is a mobile country or network code, or another small number that is told of a radio cell.
pub(super) fn is_radio(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `text` names an Android package.
pub(super) fn is_package(text: &str) -> bool {
    let lower = |part: &str| part.starts_with(|c: char| c.is_ascii_lowercase());
    super::value::package_name(text).is_ok() && text.split('.').count() >= 2 && lower(text)
}

fn named(kind: &Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::Imei => imei(text),
        Kind::Meid => meid(text),
        Kind::Imsi => value(Kind::Imsi, text).filter(|value| is_subscriber(&value.canonical())),
        Kind::Iccid => value(Kind::Iccid, text).filter(|value| value.canonical().starts_with("89")),
        Kind::Serial => value(Kind::Serial, text).filter(|_| is_serial(text)),
        Kind::WifiMac | Kind::BluetoothMac | Kind::Bssid => mac(kind, text),
        Kind::AndroidId => android_id(text),
        Kind::AdvertisingId => advertising_id(text),
        Kind::GsfId => {
            let long = matches!(text.len(), 16 | 18..=20);
            value(Kind::GsfId, text).filter(|_| long && varied(text))
        }
        Kind::Phone => phone(text),
        Kind::Email => email(text),
        Kind::Tac => radio_number(Kind::Tac, text).filter(|_| text.len() >= 3),
        Kind::CellId => {
            // Ten digits that begin with 15 to 19 are seconds since 1970.
            let time = text.len() == 10 && text.starts_with(['1']) && text[1..] >= *"5";
            radio_number(Kind::CellId, text).filter(|_| text.len() >= 4 && !time)
        }
        Kind::Account => account(text),
        Kind::Ssid => ssid(text),
        // Places and lists have more than one field.
        Kind::Location | Kind::InstalledApps | Kind::Custom(_) => None,
    }
}

/// What identifies a device under a name that does not say which of its identifiers that is: only forms that nothing
/// else has.
fn device(text: &str) -> Option<Value> {
    let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    match text.len() {
        15 if !letters => imei(text),
        14 if letters => meid(text),
        16 if letters => android_id(text),
        17 => mac(&Kind::WifiMac, text),
        _ => None,
    }
}

fn imei(text: &str) -> Option<Value> {
    let value = value(Kind::Imei, text)?;
    let digits = value.canonical();
    let issued = digits
        .get(..2)
        .is_some_and(|body| REPORTING_BODIES.contains(&body));
    (issued && varied(&digits) && !counts(&digits)).then_some(value)
}

fn meid(text: &str) -> Option<Value> {
    let value = value(Kind::Meid, text)?;
    let digits = value.canonical();
    // The first two digits are A0 to FF, or 99 (3GPP2 S.R0048-A).
    let issued = digits.starts_with(|c: char| c.is_ascii_alphabetic()) || digits.starts_with("99");
    (issued && varied(&digits)).then_some(value)
}

fn is_subscriber(digits: &str) -> bool {
    let country = digits.get(..3).and_then(|code| code.parse::<u16>().ok());
    let assigned = country.is_some_and(|code| {
        COUNTRIES
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&code))
    });
    assigned && varied(digits)
}

fn is_serial(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let upper = text
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let hex = matches!(text.len(), 8 | 12 | 16)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    (8..=20).contains(&text.len())
        && digits >= 2
        && digits < text.len()
        && (upper || hex)
        && varied(text)
}

fn mac(kind: &Kind, text: &str) -> Option<Value> {
    let separated = text.len() == 17;
    let bare = text.len() == 12 && text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let value = value(kind.clone(), text).filter(|_| separated || bare)?;
    let Form::Mac(octets) = &value.form else {
        return None;
    };
    // A group address belongs to nobody (IEEE 802, 8.2.2).
    let group = octets[0] & 1 == 1;
    let nobody = octets[..5] == [0; 5] || octets[1..] == [0; 5];
    (!group && !nobody && varied(&value.canonical())).then_some(value)
}

fn android_id(text: &str) -> Option<Value> {
    let padded = (text.len() == 15).then(|| format!("0{text}"));
    let text = padded.as_deref().unwrap_or(text);
    let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    value(Kind::AndroidId, text).filter(|_| text.len() == 16 && letters && varied(text))
}

fn advertising_id(text: &str) -> Option<Value> {
    // Makers' own services of the Mobile Security Alliance give 16 or 64 digits.
    if matches!(text.len(), 16 | 64) {
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        return (hex && varied(text)).then(|| Value::free(Kind::AdvertisingId, text));
    }
    value(Kind::AdvertisingId, text).filter(|value| varied(&value.canonical()))
}

fn phone(text: &str) -> Option<Value> {
    let value = value(Kind::Phone, text)?;
    let Form::Phone {
        digits,
        international,
    } = &value.form
    else {
        return None;
    };
    let bare = text.bytes().all(|byte| byte.is_ascii_digit());
    let plausible = match (international, digits.as_bytes()) {
        (true, digits) => (8..=15).contains(&digits.len()),
        // Without a plus it must be no time, no price and no counter.
        (false, [b'1' | b'7', ..]) => digits.len() == 11,
        (false, [b'2'..=b'9', ..]) => matches!(digits.len(), 9..=13),
        (false, [b'0', b'1'..=b'9', ..]) => matches!(digits.len(), 9..=12),
        (false, _) => false,
    };
    let written = bare || *international || text.contains([' ', '-', '(']);
    (plausible && written && varied(digits) && !counts(digits)).then_some(value)
}

fn email(text: &str) -> Option<Value> {
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let value = value(Kind::Email, text).filter(|_| text.is_ascii())?;
    let (local, domain) = text.split_once('@')?;
    let top = domain.rsplit('.').next()?;
    let top_level = top.len() >= 2
        && top.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !FILES.contains(&&*top.to_ascii_lowercase());
    let local_fits = local
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".!#$%&'*+-/=?^_`{|}~".contains(&byte));
    let role = [
        "noreply",
        "no-reply",
        "donotreply",
        "support",
        "info",
        "git",
    ]
    .contains(&&*local.to_ascii_lowercase());
    (top_level && local_fits && !role).then_some(value)
}

fn account(text: &str) -> Option<Value> {
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+'));
    let fits = (4..=32).contains(&text.len()) && plain && letters >= 3 && varied(text);
    let hex = text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let nobody = NOBODY.contains(&&*text.to_ascii_lowercase());
    (fits && !hex && !nobody).then(|| Value::free(Kind::Account, text))
}

fn ssid(text: &str) -> Option<Value> {
    let text = text
        .strip_prefix("\\\"")
        .and_then(|rest| rest.strip_suffix("\\\""))
        .unwrap_or(text);
    let text = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    let placeholder = NO_NETWORK.contains(&&*text.to_ascii_lowercase());
    let template = text.contains(['{', '}', '<', '>', '%', '(', ')', '\\']);
    let spelled = text.chars().any(char::is_alphabetic) && text.len() >= 2;
    value(Kind::Ssid, text).filter(|_| !placeholder && !template && spelled)
}

fn digest(kind: &Kind, text: &str) -> Option<(Value, Spelling)> {
    let spelling = match text.len() {
        16 | 32 => Spelling::Md5,
        40 => Spelling::Sha1,
        64 => Spelling::Sha256,
        _ => return None,
    };
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let empty = NOTHING_HASHED
        .iter()
        .any(|known| known.eq_ignore_ascii_case(text));
    let value = Value::free(kind.clone(), &text.to_ascii_lowercase());
    (hex && !empty && varied(text)).then_some((value, spelling))
}

fn value(kind: Kind, text: &str) -> Option<Value> {
    Value::text(kind, text).ok()
}

/// Whether a text has as many different characters as random ones of its length nearly always have.
fn varied(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut seen = 0u128;
    for byte in bytes {
        seen |= 1u128.checked_shl(u32::from(*byte)).unwrap_or(0);
    }
    seen.count_ones() as usize >= if bytes.len() < 14 { 3 } else { 4 }
}

/// Whether digits only count up, as placeholders do.
fn counts(digits: &str) -> bool {
    let up = |pair: &[u8]| pair[1] == pair[0] + 1 || pair == b"90";
    digits.as_bytes()[..digits.len() - 1].windows(2).all(up)
}

/// The bodies that issued type allocation codes (GSMA TS.06, Annex A).
const REPORTING_BODIES: [&str; 18] = [
    "01", "10", "30", "33", "35", "44", "45", "49", "50", "51", "52", "53", "54", "86", "91", "97",
    "98", "99",
];

/// Mobile country codes, from the first to the last of each range (ITU-T E.212, list of assigned codes), test networks
/// left out.
const COUNTRIES: [(u16, u16); 10] = [
    (202, 297),
    (302, 316),
    (330, 376),
    (400, 470),
    (472, 472),
    (502, 559),
    (602, 659),
    (702, 716),
    (722, 750),
    (901, 901),
];

/// What is sent where there is no network, or where an app may not know it.
const NO_NETWORK: [&str; 12] = [
    "<unknown ssid>",
    "unknown ssid",
    "unknown",
    "null",
    "nil",
    "none",
    "undefined",
    "false",
    "true",
    "n/a",
    "na",
    "ssid",
];

/// Accounts that are nobody's.
const NOBODY: [&str; 20] = [
    "admin",
    "administrator",
    "anonymous",
    "default",
    "email",
    "false",
    "guest",
    "login",
    "name",
    "none",
    "null",
    "password",
    "root",
    "test",
    "true",
    "undefined",
    "unknown",
    "user",
    "username",
    "account",
];

/// What ends the names of files, and no domain.
const FILES: [&str; 16] = [
    "png", "jpg", "jpeg", "gif", "webp", "svg", "js", "mjs", "css", "ts", "json", "html", "xml",
    "php", "txt", "so",
];

/// MD5, SHA-1 and SHA-256 of nothing.
const NOTHING_HASHED: [&str; 3] = [
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn is(kind: Kind, text: &str) -> bool {
        of(&What::Kind(kind), text).is_some()
    }

    #[test]
    fn takes_values_that_have_the_structure_of_their_kind() {
        for (kind, text) in [
            (Kind::Imei, "490154203237518"),
            (Kind::Imei, "35-209900-176148-1"),
            (Kind::Imei, "3520990017614823"),
            (Kind::Meid, "A10000009296F2"),
            (Kind::Imsi, "242016000000017"),
            (Kind::Iccid, "8947080000000000007"),
            (Kind::Serial, "R58M12ABCDE"),
            (Kind::Serial, "0a388e93"),
            (Kind::WifiMac, "02:00:5E:10:a4:7f"),
            (Kind::BluetoothMac, "00-00-5E-00-53-AF"),
            (Kind::Bssid, "02005e10a47f"),
            (Kind::AndroidId, "9774d56d682e549c"),
            (Kind::AdvertisingId, "38400000-8cf0-11bd-b23e-10b96e40000d"),
            (Kind::GsfId, "3fd81c0a5e7b2d94"),
            (Kind::Phone, "+4791234567"),
            (Kind::Phone, "+47 912 34 567"),
            (Kind::Phone, "13812345678"),
            (Kind::Phone, "(212) 555-0123"),
            (Kind::Email, "kari.nordmann@mail.example"),
            (Kind::CellId, "137438953"),
            (Kind::Ssid, "Kari og Ola 5G"),
            (Kind::Ssid, "\\\"Home\\\""),
        ] {
            assert!(is(kind.clone(), text), "{kind} {text}");
        }
    }

    #[test]
    fn refuses_what_has_another_structure() {
        for (kind, text) in [
            (Kind::Imei, "490154203237519"),
            (Kind::Imei, "000000000000000"),
            (Kind::Imei, "123456789012347"),
            (Kind::Imei, "700000000000008"),
            (Kind::Imei, "null"),
            (Kind::Imsi, "999999999999999"),
            (Kind::Imsi, "170000000012345"),
            (Kind::Iccid, "1247000000000000009"),
            (Kind::Iccid, "8947080000000000008"),
            (Kind::Serial, "unknown"),
            (Kind::Serial, "2024010101"),
            (Kind::Serial, "v1.2.3-rc4"),
            (Kind::Serial, "ABCDEFGHIJ"),
            (Kind::WifiMac, "02:00:00:00:00:00"),
            (Kind::WifiMac, "ff:ff:ff:ff:ff:ff"),
            (Kind::WifiMac, "01:00:5e:10:a4:7f"),
            (Kind::WifiMac, "202401011230"),
            (Kind::AndroidId, "0000000000000000"),
            (Kind::AndroidId, "1700000000000123"),
            (Kind::AdvertisingId, "00000000-0000-0000-0000-000000000000"),
            (Kind::AdvertisingId, "12"),
            (Kind::Phone, "1700000000000"),
            (Kind::Phone, "1700000000"),
            (Kind::Phone, "42"),
            (Kind::Phone, "+1234567890"),
            (Kind::Email, "e.mail"),
            (Kind::Email, "logo@2x.png1"),
            (Kind::Email, "noreply@shop.example"),
            (Kind::CellId, "2147483647"),
            (Kind::CellId, "-1"),
            (Kind::Ssid, "<unknown ssid>"),
            (Kind::Ssid, "null"),
            (Kind::Ssid, "${ssid}"),
            (Kind::Account, "admin"),
            (Kind::Account, "4711"),
            (Kind::Account, "5d41402abc4b2a76b9719d91"),
            (Kind::Email, "icon@2x.png"),
        ] {
            assert!(!is(kind.clone(), text), "{kind} {text}");
        }
    }

    #[test]
    fn tells_a_device_id_by_its_form_alone() {
        let kind = |text: &str| of(&What::Device, text).map(|(value, _)| value.kind);
        assert_eq!(kind("490154203237518"), Some(Kind::Imei));
        assert_eq!(kind("9774d56d682e549c"), Some(Kind::AndroidId));
        assert_eq!(kind("A10000009296F2"), Some(Kind::Meid));
        assert_eq!(kind("02:00:5e:10:a4:7f"), Some(Kind::WifiMac));
        for text in [
            "38400000-8cf0-11bd-b23e-10b96e40000d",
            "1700000000123456",
            "17000000001234",
            "0eaed834a1e6f4b2bf0c024e0013dea1",
            "7",
        ] {
            assert_eq!(kind(text), None, "{text}");
        }
    }

    #[test]
    fn takes_a_digest_where_the_name_says_that_it_is_one() {
        let spelling =
            |text: &str| of(&What::Digest(Kind::Imei), text).map(|(_, spelling)| spelling);
        assert_eq!(
            spelling("0eaed834a1e6f4b2bf0c024e0013dea1"),
            Some(Spelling::Md5)
        );
        assert_eq!(
            spelling("ae87c0e3b0f6a4d0b24f13dab85bebcd96842267"),
            Some(Spelling::Sha1)
        );
        assert_eq!(spelling("D41D8CD98F00B204E9800998ECF8427E"), None);
        assert_eq!(spelling("490154203237518"), None);
    }
}
