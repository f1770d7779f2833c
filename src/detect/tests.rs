//! The detector as its callers see it, against a search too simple to be wrong.

use proptest::{collection::vec, prelude::*};

use super::{
    Detector, Hit, Identity,
    boundary::{Boundary, Ending, is_framed},
    spellings::{self, Class},
};
use crate::event::{Kind, Spelling};

/// One value of every kind.
const EVERYTHING: &str = r#"
imei = ["490154203237518", "35-209900-176148-1"]
meid = "A10000009296F2"
imsi = "242016000000000"
iccid = "89470000000000000009"
serial = "R58M12ABCDE"
wifi_mac = "02:00:5e:10:a4:7f"
bluetooth_mac = "00-00-5E-00-53-AF"
android_id = "9774d56d682e549c"
advertising_id = "38400000-8cf0-11bd-b23e-10b96e40000d"
gsf_id = "3fd81c0a5e7b2d94"
phone = "+47 912 34 567"
email = "Kari.Nordmann@mail.example"
account = "kari.nordmann"
location = { latitude = 59.9139, longitude = 10.7522 }
cell_id = 137438953
tac = "12345"
ssid = "Kari og Ola 5G"
bssid = "0200.5eaa.bbcc"
installed_apps = ["com.example.bank", "org.example.chess"]
[custom]
employee = "EMP-0042-7731"
"#;

const KEY: [u8; 32] = [7; 32];

fn detector(identity: &str) -> Detector {
    let identity = Identity::parse("identity.toml", identity).expect("the identity is sound");
    Detector::new(&identity, &KEY)
}

/// Kinds, spellings and texts found in `haystack`.
fn found(detector: &Detector, haystack: &[u8]) -> Vec<(Kind, Spelling, String)> {
    let mut hits = Vec::new();
    detector.search(haystack, 0, &mut hits);
    hits.iter()
        .map(|hit| {
            let sighting = detector.describe(hit.needle);
            let text = String::from_utf8_lossy(&haystack[hit.start..hit.end]).into_owned();
            (sighting.kind.clone(), sighting.spelling, text)
        })
        .collect()
}

#[test]
fn finds_a_value_however_it_is_spelled() {
    use Spelling::*;
    let detector = detector(EVERYTHING);
    let table: &[(&[u8], Kind, Spelling)] = &[
        (b"{\"imei\":\"490154203237518\"}", Kind::Imei, Plain),
        (b"imei490154203237518", Kind::Imei, Plain),
        (b"x490154203237518y", Kind::Imei, Plain),
        (b"35-209900-176148-1", Kind::Imei, Plain),
        (b"352099001761481", Kind::Imei, Separators),
        (b"49 015420 323751 8", Kind::Imei, Separators),
        (b"<urn:gsma:imei:35209900-176148-0>", Kind::Imei, Separators),
        (b"4901 5420 3237 518", Kind::Imei, Separators),
        (b"49015420323751", Kind::Imei, Length),
        (b"imeisv=4901542032375178&", Kind::Imei, Length),
        (b"\x94\x10\x45\x02\x23\x73\x15\x87", Kind::Imei, Bcd),
        (b"\x0a\x0f490154203237518\x32\x01", Kind::Imei, Plain),
        (b"\xa4imei\xaf4901542032375189", Kind::Imei, Plain),
        (b"\x63aid\x709774d56d682e549cdtest", Kind::AndroidId, Plain),
        (b"\x12\x0b\x2b4791234567\x38\x00", Kind::Phone, Prefix),
        (b"cuid=0A1B|815732302451094", Kind::Imei, Reversed),
        (b"1bdcaeb2b4c8e", Kind::Imei, Hex),
        (b"\x49\x01\x54\x20\x32\x37\x51\x8f", Kind::Imei, Bcd),
        (b"\x94\x10\x45\x02\x23\x73\x15\xf8", Kind::Imei, Bcd),
        (b"\x4a\x09\x51\x24\x30\x32\x57\x81", Kind::Imei, Bcd),
        (b"\x04\x90\x15\x42\x03\x23\x75\x18", Kind::Imei, Bcd),
        (b"a10000009296f2", Kind::Meid, Plain),
        (b"meidA10000009296F2;", Kind::Meid, Plain),
        (b"270113177609606898", Kind::Meid, Decimal),
        (b"sub:242016000000000@", Kind::Imsi, Plain),
        (b"242-01-6000000000", Kind::Imsi, Separators),
        (b"8947 0000 0000 0000 0009", Kind::Iccid, Separators),
        (b"r58m12abcde", Kind::Serial, Plain),
        (b"02:00:5E:10:A4:7F", Kind::WifiMac, Plain),
        (b"mac=02005e10a47f&", Kind::WifiMac, Separators),
        (b"mac02005e10a47f&", Kind::WifiMac, Separators),
        (b"02-00-5E-10-A4-7F", Kind::WifiMac, Separators),
        (b"0200.5e10.a47f", Kind::WifiMac, Separators),
        (b"2:0:5e:10:a4:7f", Kind::WifiMac, Separators),
        (b"\x01\x02\x00\x5e\x10\xa4\x7f\x09", Kind::WifiMac, Raw),
        (b"\x7f\xa4\x10\x5e\x00\x02", Kind::WifiMac, Raw),
        (b"00:00:5e:00:53:af", Kind::BluetoothMac, Separators),
        (b"AND9774d56d682e549c", Kind::AndroidId, Plain),
        (b"10913582462901572764", Kind::AndroidId, Decimal),
        (b"-7533161610807978852", Kind::AndroidId, Decimal),
        (b"\x97\x74\xd5\x6d\x68\x2e\x54\x9c", Kind::AndroidId, Raw),
        (b"\x9c\x54\x2e\x68\x6d\xd5\x74\x97", Kind::AndroidId, Raw),
        (
            b"38400000-8CF0-11BD-B23E-10B96E40000D",
            Kind::AdvertisingId,
            Plain,
        ),
        (
            b"384000008cf011bdb23e10b96e40000d",
            Kind::AdvertisingId,
            Separators,
        ),
        (b"+47 912 34 567", Kind::Phone, Plain),
        (b"+4791234567", Kind::Phone, Prefix),
        (b"004791234567", Kind::Phone, Prefix),
        (b"tel:91234567;", Kind::Phone, Prefix),
        (b"+47 91 23 45 67", Kind::Phone, Separators),
        (b"<kari.nordmann@MAIL.example>.", Kind::Email, Plain),
        (b"kari og ola 5g", Kind::Ssid, Plain),
        (b"02:00:5e:aa:bb:cc", Kind::Bssid, Separators),
        (b"cid=137438953&", Kind::CellId, Plain),
        (b"emp-0042-7731", Kind::Custom("employee".into()), Plain),
    ];
    for (haystack, kind, spelling) in table {
        let shown = String::from_utf8_lossy(haystack);
        let found = found(&detector, haystack);
        assert!(
            found.iter().any(|(k, s, _)| k == kind && s == spelling),
            "{kind} as {spelling:?} in {shown:?}: {found:?}"
        );
    }
}

#[test]
fn finds_digests_of_every_common_spelling() {
    let detector = detector(EVERYTHING);
    // md5sum, sha1sum and sha256sum of the text in the comment.
    let table = [
        // 490154203237518
        (
            "0eaed834a1e6f4b2bf0c024e0013dea1",
            Kind::Imei,
            Spelling::Md5,
        ),
        // 490154203237518, middle 16
        ("a1e6f4b2bf0c024e", Kind::Imei, Spelling::Md5),
        // 02005E10A47F
        (
            "9b8f82fa91da5c17a50aab208993395e",
            Kind::WifiMac,
            Spelling::Md5,
        ),
        // 02:00:5e:10:a4:7f
        (
            "ae87c0e3b0f6a4d0b24f13dab85bebcd96842267",
            Kind::WifiMac,
            Spelling::Sha1,
        ),
        // kari.nordmann@mail.example
        (
            "7d30f0f8a54e4ac3d24091f7b837297ff71d0b87a5626a743b4675fa6478456d",
            Kind::Email,
            Spelling::Sha256,
        ),
        // +4791234567
        (
            "ffcbee1d17948bbad790c0b467ce90267dc1d9f9f4494f28451642fee49ff9a9",
            Kind::Phone,
            Spelling::Sha256,
        ),
        // 38400000-8CF0-11BD-B23E-10B96E40000D
        (
            "a4a67a7356aceb7f692d2c89ab18597fae34a031",
            Kind::AdvertisingId,
            Spelling::Sha1,
        ),
    ];
    for (digest, kind, spelling) in table {
        let octets = data_encoding::HEXLOWER
            .decode(digest.as_bytes())
            .expect("hex");
        let mut haystacks = vec![
            format!("h={digest}&").into_bytes(),
            format!("\"{}\"", digest.to_uppercase()).into_bytes(),
        ];
        haystacks.push(octets);
        for haystack in haystacks {
            let found = found(&detector, &haystack);
            assert!(
                matches!(&found[..], [(k, s, _)] if *k == kind && *s == spelling),
                "{kind} as {spelling:?}: {found:?}"
            );
        }
    }
}

#[test]
fn leaves_what_only_resembles_a_value() {
    let detector = detector(EVERYTHING);
    for haystack in [
        "1490154203237518",
        "490154203237519",
        "490154203237517 490154203237528",
        "49015420323751812",
        "4901542032375180",
        "0x9774d56d682e549c1",
        "f9774d56d682e549c",
        "9774d56d682e549d",
        "38400000-8cf0-11bd-b23e-10b96e40000d0",
        "38400001-8cf0-11bd-b23e-10b96e40000d",
        "912345678",
        "+46912345670",
        "02:00:5e:10:a4:7e",
        "02005e10a47f02",
        "02:00:5e:10:a4:7f:00:01",
        "00:02:00:5e:10:a4:7f",
        "XR58M12ABCDE",
        "12345",
        "59.9139",
        "1700000000000",
        "d41d8cd98f00b204e9800998ecf8427e",
    ] {
        assert_eq!(found(&detector, haystack.as_bytes()), [], "{haystack}");
    }
}

#[test]
fn leaves_addresses_and_accounts_of_other_people() {
    let detector = detector("email = \"kari.nordmann@mail.example\"\naccount = \"ola.nordmann\"");
    for haystack in [
        "<ole.kari.nordmann@mail.example>",
        "<o-kari.nordmann@mail.example>",
        "<kari.nordmann@mail.examples>",
        "<kari.nordmann@mail.example.org>",
        "<kari.nordmann@mail.example-net.example>",
        "<kari.nordmann2@mail.example>",
        "<xkari.nordmann@mail.example>",
        "user=per-ola.nordmann&",
        "user=ola.nordmann.jr&",
        "user=ola.nordmann2&",
    ] {
        assert_eq!(found(&detector, haystack.as_bytes()), [], "{haystack}");
    }
}

#[test]
fn gives_one_hit_for_one_value_and_the_longest_spelling() {
    let detector = detector("phone = \"+47 912 34 567\"\nimei = \"490154203237518\"");
    let table = [
        ("tel=+4791234567&", "+4791234567"),
        ("tel=004791234567&", "004791234567"),
        ("tel=4791234567&", "4791234567"),
        ("tel=+47 912 34 567&", "+47 912 34 567"),
        ("i=49-015420-323751-8&", "49-015420-323751-8"),
    ];
    for (haystack, text) in table {
        let found = found(&detector, haystack.as_bytes());
        assert_eq!(found.len(), 1, "{haystack}: {found:?}");
        assert_eq!(found[0].2, text);
    }
    assert_eq!(found(&detector, b"+4791234567,+4791234567").len(), 2);
}

#[test]
fn reports_an_account_inside_an_address_beside_the_address() {
    let detector = detector("email = \"kari.nordmann@mail.example\"\naccount = \"kari.nordmann\"");
    let kinds: Vec<Kind> = found(&detector, b"<kari.nordmann@mail.example>")
        .into_iter()
        .map(|f| f.0)
        .collect();
    assert_eq!(kinds, [Kind::Account, Kind::Email]);
}

#[test]
fn marks_a_hit_open_until_its_end_is_known() {
    let detector = detector(EVERYTHING);
    let table: &[(&str, bool)] = &[
        ("imei=490154203237518", true),
        ("imei=490154203237518&", false),
        ("<kari.nordmann@mail.example", true),
        ("<kari.nordmann@mail.example.", true),
        ("<kari.nordmann@mail.example. ", false),
        ("\u{1}\u{2}\u{0}^\u{10}z02:00:5e:10:a4:7f", true),
    ];
    for (haystack, open) in table {
        let mut hits = Vec::new();
        let settled = detector.search(haystack.as_bytes(), 0, &mut hits);
        assert!(!hits.is_empty(), "{haystack}");
        assert!(
            hits.iter().all(|hit| hit.open == (hit.end > settled)),
            "{haystack}"
        );
        assert_eq!(hits.iter().any(|hit| hit.open), *open, "{haystack}");
        assert_eq!(settled < haystack.len(), *open, "{haystack}");
    }
    let mut hits = Vec::new();
    assert_eq!(detector.search(b"nothing here", 0, &mut hits), 12);
    assert_eq!(hits, []);
}

#[test]
fn finds_nothing_for_nobody() {
    let detector = detector("");
    assert!(detector.is_empty());
    assert_eq!(found(&detector, b"490154203237518"), []);
    assert_eq!(detector.unfinished(b"490154203237518"), 0);
    assert_eq!(detector.longest(), 0);
}

#[test]
fn describes_without_the_value() {
    let detector = detector(EVERYTHING);
    let mut hits = Vec::new();
    detector.search(b"490154203237518,", 0, &mut hits);
    let sighting = detector.describe(hits[0].needle);
    assert_eq!(sighting.last4.as_deref(), Some("7518"));
    // printf 'imei\0490154203237518' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07
    assert_eq!(&*sighting.hash, "k1:6622b708ea6bc224");
    let last4 = |kind| {
        let value = detector.values().iter().find(|value| value.kind == kind);
        value
            .expect("registered")
            .last4
            .as_deref()
            .map(str::to_owned)
    };
    assert_eq!(last4(Kind::WifiMac).as_deref(), Some("a47f"));
    assert_eq!(last4(Kind::Tac), None);
    assert_eq!(last4(Kind::Location), None);
    assert_eq!(last4(Kind::InstalledApps), None);
    let shown = format!(
        "{detector:?} {:?} {:?}",
        detector.values(),
        Identity::parse("i", EVERYTHING)
    );
    for secret in [
        "490154203237518",
        "352099001761481",
        "9774d56d",
        "59.91",
        "kari",
        "Kari",
        "a47f:",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn hashes_tell_kinds_and_keys_apart() {
    let text = "serial = \"A1B2C3D4E5\"\naccount = \"A1B2C3D4E5\"";
    let identity = Identity::parse("i", text).expect("sound");
    let (one, other) = (
        Detector::new(&identity, &KEY),
        Detector::new(&identity, &[8; 32]),
    );
    assert_ne!(one.values()[0].hash, one.values()[1].hash);
    assert_ne!(one.values()[0].hash, other.values()[0].hash);
}

#[test]
fn spells_nothing_that_is_too_short_for_free_search() {
    let identity = Identity::parse("i", EVERYTHING).expect("sound");
    for spelled in identity.values().iter().flat_map(spellings::of) {
        match spelled.class {
            Class::Text => assert!(spelled.bytes.len() >= spellings::MIN_TEXT),
            Class::Raw => assert!(spelled.bytes.len() >= spellings::MIN_RAW),
            Class::Token => assert!(spelled.bytes.len() < spellings::MIN_TEXT),
        }
    }
}

#[test]
fn lets_no_more_than_half_of_a_value_out_before_it_is_found() {
    let detector = detector(EVERYTHING);
    for number in 0..detector.spellings() as u32 {
        let needle = detector.bytes_of(number).to_vec();
        let (_, _, left, right) = detector.needle(number);
        let beside = |boundary: Boundary| match boundary {
            Boundary::Nibble { bits, .. } => bits,
            _ => b'"',
        };
        let mut stream = vec![b'i', b'd', b'=', beside(left)];
        let start = stream.len();
        stream.extend_from_slice(&needle);
        stream.extend([beside(right), b' ']);
        let (mut from, mut released) = (0, 0usize);
        let mut seen = None;
        for length in 1..=stream.len() {
            let mut hits = Vec::new();
            from = detector.search(&stream[..length], from, &mut hits);
            if hits.iter().any(|hit| !hit.open) {
                seen = Some(length);
                break;
            }
            let open = hits.iter().map(|hit| length - hit.start).max().unwrap_or(0);
            let held = detector.unfinished(&stream[..length]).max(open);
            released = released.max(length - held);
        }
        let value_out = released.saturating_sub(start);
        assert!(seen.is_some(), "spelling {number} is not found");
        assert!(
            2 * value_out <= needle.len(),
            "{value_out} of {} bytes of spelling {number}",
            needle.len()
        );
    }
}

#[test]
fn holds_the_longest_beginning_and_nothing_else() {
    let detector = detector("imei = \"490154203237518\"");
    let table = [
        ("imei=4901542", 0),
        ("imei=49015420", 8),
        ("imei=4901542032375", 13),
        ("imei=14901542032375", 0),
        ("imei=4901542032376", 0),
        ("imei=490154203237518", 0),
        ("", 0),
        ("49", 0),
    ];
    for (haystack, held) in table {
        assert_eq!(detector.unfinished(haystack.as_bytes()), held, "{haystack}");
    }
}

#[test]
fn needles_of_five_thousand_fit_their_tables() {
    let mut identity = String::from("imei = [");
    for number in 0..120u32 {
        let body = format!("3520990{:07}", number * 7919);
        identity.push_str(&format!("\"{body}{}\",", super::value::luhn_digit(&body)));
    }
    identity.push(']');
    let detector = detector(&identity);
    assert!(detector.spellings() >= 5_000, "{}", detector.spellings());
    assert!(
        detector.table_bytes() as u64 * 5_000 / detector.spellings() as u64 <= 1 << 20,
        "{}",
        detector.table_bytes()
    );
}

/// Every hit, by comparing every needle at every place.
fn naive(detector: &Detector, haystack: &[u8], from: usize) -> Vec<(usize, usize, u32)> {
    let mut all: Vec<(usize, usize, u32)> = Vec::new();
    for number in 0..detector.spellings() as u32 {
        let (needle, class, left, right) = detector.needle(number);
        for (start, window) in haystack.windows(needle.len()).enumerate() {
            let same = match class {
                Class::Raw => window == needle,
                _ => window.to_ascii_lowercase() == needle,
            };
            let end = start + needle.len();
            let bounded =
                left.begins(haystack, start) && right.ends(haystack, end) != Ending::Continues;
            if same && (bounded || is_framed(haystack, start, needle.len())) {
                all.push((start, end, number));
            }
        }
    }
    let value = |hit: &(usize, usize, u32)| detector.describe(hit.2).value;
    let beats = |other: &(usize, usize, u32), hit: &(usize, usize, u32)| {
        let earlier = (other.1, other.0, other.2) < (hit.1, hit.0, hit.2);
        earlier && value(other) == value(hit) && other.1 > hit.0
    };
    let mut kept: Vec<_> = all
        .iter()
        .copied()
        .filter(|hit| !all.iter().any(|other| beats(other, hit)))
        .collect();
    kept.retain(|hit| hit.1 > from);
    kept.sort_unstable();
    kept
}

fn triples(hits: &[Hit]) -> Vec<(usize, usize, u32)> {
    hits.iter()
        .map(|hit| (hit.start, hit.end, hit.needle))
        .collect()
}

/// Haystacks made of needles, parts of needles, and what adjoins them in the wild.
fn haystack(detector: &'static Detector) -> impl Strategy<Value = Vec<u8>> {
    let needle = (
        any::<prop::sample::Index>(),
        any::<bool>(),
        any::<prop::sample::Index>(),
        0..4u8,
    )
        .prop_map(move |(number, upper, cut, part)| {
            let bytes = detector.bytes_of(number.index(detector.spellings()) as u32);
            let cut = cut.index(bytes.len());
            let mut bytes = match part {
                0 => bytes[cut..].to_vec(),
                1 => bytes[..cut].to_vec(),
                _ => bytes.to_vec(),
            };
            if upper {
                bytes.make_ascii_uppercase();
            }
            bytes
        });
    let glue = prop_oneof![
        Just(Vec::new()),
        "[0-9a-fA-Fx:. &=\"@+_-]{0,4}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..12),
    ];
    vec((needle, glue), 0..6).prop_map(|pieces| {
        pieces
            .into_iter()
            .flat_map(|(needle, glue)| [needle, glue].concat())
            .collect()
    })
}

fn everything() -> &'static Detector {
    static DETECTOR: once_cell::sync::Lazy<Detector> =
        once_cell::sync::Lazy::new(|| detector(EVERYTHING));
    &DETECTOR
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn takes_or_refuses_any_value_of_any_kind(
        kind in 0..Kind::NAMED.len(),
        value in prop_oneof!["\\PC{0,24}", "[+0-9a-fA-F:. @-]{0,40}", "[0-9]{13,21}"],
    ) {
        let quoted = toml::Value::String(value.clone()).to_string();
        let text = format!("{} = {quoted}\n[custom]\nx = {quoted}", Kind::NAMED[kind].0);
        match Identity::parse("identity.toml", &text) {
            Ok(identity) => prop_assert!(Detector::new(&identity, &KEY).values().len() <= 2),
            Err(error) => prop_assert!(value.len() < 8 || !error.reason.contains(&value)),
        }
    }

    #[test]
    fn searches_as_a_naive_search_does(
        haystack in haystack(everything()),
        from in any::<prop::sample::Index>(),
    ) {
        let from = from.index(haystack.len() + 1);
        let mut hits = Vec::new();
        everything().search(&haystack, from, &mut hits);
        prop_assert_eq!(triples(&hits), naive(everything(), &haystack, from));
    }

    #[test]
    fn finds_the_same_whatever_the_pieces(
        haystack in haystack(everything()),
        mut cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let detector = everything();
        cuts.sort_unstable_by_key(|cut| cut.index(haystack.len() + 1));
        let mut whole = Vec::new();
        detector.search(&haystack, 0, &mut whole);
        let mut pieced: Vec<Hit> = Vec::new();
        let mut from = 0usize;
        let cuts = cuts.iter().map(|cut| cut.index(haystack.len() + 1)).chain([haystack.len()]);
        for cut in cuts {
            let first = from.saturating_sub(detector.context()).min(cut);
            let mut hits = Vec::new();
            let settled = detector.search(&haystack[first..cut], from - first, &mut hits);
            from = first + settled;
            let last = cut == haystack.len();
            let shifted = hits.into_iter().filter(|hit| last || !hit.open);
            pieced.extend(shifted.map(|hit| Hit { start: hit.start + first, end: hit.end + first, ..hit }));
        }
        pieced.sort_unstable();
        pieced.dedup();
        prop_assert_eq!(triples(&pieced), triples(&whole));
    }
}
