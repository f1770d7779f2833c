//! What names tell, and what they do not.

use proptest::prelude::*;

use super::Seen;
use crate::{
    detect::{Detector, Identity},
    event::{Confidence, Kind, Spelling},
};

fn detector(identity: &str) -> Detector {
    let identity = Identity::parse("identity.toml", identity).expect("the identity is sound");
    Detector::new(&identity, &[7; 32])
}

fn seen(detector: &Detector, text: &str) -> Vec<Seen> {
    let mut seen = Vec::new();
    detector.search_named(text.as_bytes(), 0, false, false, &mut seen);
    seen
}

/// Kinds and values by shape in a text, for nobody in particular.
fn shapes(text: &str) -> Vec<(Kind, String)> {
    let detector = detector("");
    let told = seen(&detector, text).into_iter().map(|seen| {
        assert_eq!(seen.sighting.confidence, Confidence::Shape);
        (seen.sighting.kind, text[seen.value].to_owned())
    });
    told.collect()
}

#[test]
fn a_name_and_the_structure_of_its_value_make_a_shape() {
    let table: &[(&str, Kind, &str)] = &[
        (
            r#"{"imei":"490154203237518"}"#,
            Kind::Imei,
            "490154203237518",
        ),
        (
            r#"{"imei" : 490154203237518}"#,
            Kind::Imei,
            "490154203237518",
        ),
        (
            r#"{"IMEI1":"35-209900-176148-1","x":1}"#,
            Kind::Imei,
            "35-209900-176148-1",
        ),
        (
            r#"{"imeis":1,"imei":["490154203237518","352099001761481"]}"#,
            Kind::Imei,
            "352099001761481",
        ),
        (
            "v=1&deviceid=490154203237518&t=1700000000",
            Kind::Imei,
            "490154203237518",
        ),
        (
            "device[imei]=490154203237518&",
            Kind::Imei,
            "490154203237518",
        ),
        (
            "X-Device-Imei: 490154203237518\r\n",
            Kind::Imei,
            "490154203237518",
        ),
        (
            "<imei>490154203237518</imei>",
            Kind::Imei,
            "490154203237518",
        ),
        (
            "<string name=\"imei\">490154203237518</string>",
            Kind::Imei,
            "490154203237518",
        ),
        (
            "<key>imei</key>\n<string>490154203237518</string>",
            Kind::Imei,
            "490154203237518",
        ),
        (
            "/v1/imei/490154203237518/register",
            Kind::Imei,
            "490154203237518",
        ),
        (
            "\x0a\x17\x0a\x04imei\x12\x0f4901542032375182\x01",
            Kind::Imei,
            "490154203237518",
        ),
        (
            r#"[{"type":"imei","value":"490154203237518"}]"#,
            Kind::Imei,
            "490154203237518",
        ),
        (
            "name=\"imei\"\r\n\r\n490154203237518\r\n--x",
            Kind::Imei,
            "490154203237518",
        ),
        (
            "name=\"imei\"\r\nContent-Type: text/plain\r\n\r\n490154203237518\r\n--x",
            Kind::Imei,
            "490154203237518",
        ),
        (r#""MEID":"A10000009296F2""#, Kind::Meid, "A10000009296F2"),
        (
            r#""SIM1LTEIMSI":"242016100000017""#,
            Kind::Imsi,
            "242016100000017",
        ),
        (
            r#""SIM1ICCID":"8947080000000000007""#,
            Kind::Iccid,
            "8947080000000000007",
        ),
        ("ro.serialno=R58M12ABCDE\n", Kind::Serial, "R58M12ABCDE"),
        (
            r#""MACID":"02:00:5e:10:a4:7f""#,
            Kind::WifiMac,
            "02:00:5e:10:a4:7f",
        ),
        ("mac=02005e10a47f&", Kind::WifiMac, "02005e10a47f"),
        (
            r#""bt_mac":"00-00-5E-00-53-AF""#,
            Kind::BluetoothMac,
            "00-00-5E-00-53-AF",
        ),
        (
            r#""bssid":"02:00:5e:10:a4:7f""#,
            Kind::Bssid,
            "02:00:5e:10:a4:7f",
        ),
        (
            r#""android_id":"9774d56d682e549c""#,
            Kind::AndroidId,
            "9774d56d682e549c",
        ),
        ("did=9774d56d682e549c&", Kind::AndroidId, "9774d56d682e549c"),
        (
            "udid=ifa:38400000-8cf0-11bd-b23e-10b96e40000d&",
            Kind::AdvertisingId,
            "38400000-8cf0-11bd-b23e-10b96e40000d",
        ),
        (
            r#""advertisingId":"38400000-8cf0-11bd-b23e-10b96e40000d""#,
            Kind::AdvertisingId,
            "38400000-8cf0-11bd-b23e-10b96e40000d",
        ),
        (
            "gps_adid=38400000-8cf0-11bd-b23e-10b96e40000d&",
            Kind::AdvertisingId,
            "38400000-8cf0-11bd-b23e-10b96e40000d",
        ),
        (
            r#""gsf_id":"3fd81c0a5e7b2d94""#,
            Kind::GsfId,
            "3fd81c0a5e7b2d94",
        ),
        (r#""msisdn":"4791234567""#, Kind::Phone, "4791234567"),
        (
            r#""phoneNumber":"+47 912 34 567""#,
            Kind::Phone,
            "+47 912 34 567",
        ),
        (r#""手机号":"13812345678""#, Kind::Phone, "13812345678"),
        (
            "email=kari.nordmann@mail.example&",
            Kind::Email,
            "kari.nordmann@mail.example",
        ),
        (
            r#""account":"kari@mail.example""#,
            Kind::Email,
            "kari@mail.example",
        ),
        (r#""ssid":"Kari og Ola 5G""#, Kind::Ssid, "Kari og Ola 5G"),
        ("ssid=My Home&x=1", Kind::Ssid, "My Home"),
        (r#""SIM1CELLID":"26214657""#, Kind::CellId, "26214657"),
        (
            r#"{"mcc":242,"mnc":1,"lac":2311,"cid":12345}"#,
            Kind::CellId,
            "12345",
        ),
        (
            r#"{"mcc":242,"mnc":1,"lac":2311,"cid":12345}"#,
            Kind::Tac,
            "2311",
        ),
        (
            r#"{"cid":12345,"lac":2311,"mcc":242}"#,
            Kind::CellId,
            "12345",
        ),
        (
            r#"{"latitude":59.91391,"longitude":10.75221}"#,
            Kind::Location,
            "10.75221",
        ),
        ("lng=10.75221&lat=59.91391&", Kind::Location, "59.91391"),
        (
            r#"{"latitudeE7":599139100,"longitudeE7":107522100}"#,
            Kind::Location,
            "107522100",
        ),
        ("ll=59.91391,10.75221&", Kind::Location, "10.75221"),
        (
            r#"{"type":"Point","coordinates":[10.75221,59.91391]}"#,
            Kind::Location,
            "59.91391",
        ),
        (
            "X-Location: 59.91391, 10.75221\r\n",
            Kind::Location,
            "10.75221",
        ),
        (
            r#""installed_apps":["com.example.a","com.example.b","org.c.d","net.e.f","no.g.h","x.y"]"#,
            Kind::InstalledApps,
            "no.g.h",
        ),
        (
            "didmd5=0eaed834a1e6f4b2bf0c024e0013dea1&",
            Kind::Imei,
            "0eaed834a1e6f4b2bf0c024e0013dea1",
        ),
    ];
    for (text, kind, value) in table {
        let told = shapes(text);
        assert!(
            told.contains(&(kind.clone(), (*value).to_owned())),
            "{text:?}: {told:?}"
        );
    }
}

#[test]
fn other_names_and_other_structures_make_none() {
    for text in [
        // Numbers that are something else.
        "t=1700000000000&order=490154203237518&card=4111111111111111",
        r#"{"id":490154203237518,"parcel":"370722151234567890","tweet":"1745683434982342656"}"#,
        r#"{"imei":"490154203237519"}"#,
        r#"{"imei":null,"imsi":"","mac":"02:00:00:00:00:00","android_id":"unknown"}"#,
        r#"{"imei":"000000000000000","meid":"00000000000000"}"#,
        "imei=%s&mac={mac}&lat=$lat",
        // Random UUIDs, hashes, tokens.
        r#"{"request_id":"38400000-8cf0-11bd-b23e-10b96e40000d","uuid":"38400000-8cf0-11bd-b23e-10b96e40000d"}"#,
        r#"{"device_id":"38400000-8cf0-11bd-b23e-10b96e40000d","etag":"d41d8cd98f00b204e9800998ecf8427e"}"#,
        "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U\r\n",
        "Cookie: SID=DQAAAKLtt3Dc40; SSID=Ap4PGTEq567; NID=183\r\n",
        "fields=['imei', 'mac', 'lat', 'ssid']&ssid=ssid",
        "fields=%5B%27imei%27%2C%20%27imsi%27%2C%20%27ssid%27%5D&ssid=ssid",
        "%5B'imei',%20'imsi',%20'ssid'%5D&ssid=ssid",
        "['imei', 'imsi', 'mac', 'android_id', 'gaid', 'lat', 'lng', 'ssid']&ssid=ssid",
        "var username=this.form.name;x.login=f(a);",
        "\"@babel/core\":\"7.0.0\",\"src\":\"icon@2x.png\",\"to\":\"pkg@1.2.3\"",
        "gaid=00000000-0000-0000-0000-000000000000&",
        // Code.
        "function(e){this.imei=e.imei;this.mac=e.mac||null;var lat=t.lat,lng=t.lng;return{ssid:a.ssid,email:b}}",
        "if(a.phone===b.phone&&c.serial!=d){email=\"\"}var tel=/^[0-9]+$/;x={ssid:!0,lat:0,lon:1}",
        // Half a place, coarse places, no place.
        r#"{"lat":59.91391,"accuracy":10.7522}"#,
        r#"{"lat":59.91,"lng":10.75}"#,
        r#"{"lat":0.0000,"lng":0.0000}"#,
        r#"{"lat":159.91391,"lng":10.75221}"#,
        "ll=59.91391&",
        "location=/oslo/59.91391,10.75221x",
        "loc=https://a.example/&pos=1.0001",
        // Client ids of analytics, content ids, ports.
        "cid=1234567890.1700000000&tid=UA-1&ci=3",
        r#"{"cid":"5","tac":"x","cell":"B7"}"#,
        r#"{"cell":12,"row":4}"#,
        // Times under the names of telephones.
        r#"{"mobile":true,"phone":1700000000,"tel":"1700000000000","portable":"1"}"#,
        r#"{"serial":2024010101,"serialNumber":"1.2.3-4","version":"10.0.19041.1"}"#,
        r#"{"apps":["com.example.a","com.example.b"],"packages":5}"#,
        r#"{"mac":"5d41402abc4b2a76b9719d911017c592a1b2c3d4"}"#,
        r#"{"email":"","mail":"@","login":"a1","user":"admin","username":"admin"}"#,
        r#"{"type":"imei","value":"n/a"}"#,
        r#"{"name":"email","required":true,"position":4}"#,
        "src=\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk\"",
    ] {
        assert_eq!(shapes(text), [], "{text}");
    }
}

const PERSON: &str = r#"
    location = [{ latitude = 59.9139, longitude = 10.7522 }, { latitude = -33.8568, longitude = 151.2153 }]
    ssid = "Home"
    tac = "12345"
    cell_id = 98765
    account = "kari"
    installed_apps = ["com.example.bank", "org.example.chess", "no.example.news", "com.example.dating", "com.example.health", "com.example.radio"]
    [custom]
    badge = "4711"
"#;

#[test]
fn a_pair_near_a_registered_place_is_found_however_it_is_written() {
    use Spelling::{Plain, Rounded, Scaled};
    let detector = detector(PERSON);
    for (text, spelling) in [
        (r#"{"lat":59.9139,"lng":10.7522}"#, Plain),
        (r#"{"lat":59.91391,"lng":10.75221,"acc":12.5}"#, Rounded),
        (
            r#"{"longitude":"10.752233","speed":0.0,"latitude":"59.913868"}"#,
            Rounded,
        ),
        ("59.91390000001,10.75220000002", Rounded),
        ("p=10.7530,59.9142", Rounded),
        ("<p lat='-33.8567' lon='151.2150'/>", Rounded),
        ("GPS 59.9139 N 10.7522 E", Plain),
        (
            r#"{"latitudeE7":599139000,"longitudeE7":107522000}"#,
            Scaled,
        ),
        ("lat_e6=59913900&lng_e6=10752200", Scaled),
    ] {
        let told = seen(&detector, text);
        let exact: Vec<_> = told
            .iter()
            .filter(|seen| seen.sighting.confidence == Confidence::Exact)
            .map(|seen| (seen.sighting.kind.clone(), seen.sighting.spelling))
            .collect();
        assert_eq!(exact, [(Kind::Location, spelling)], "{text}: {told:?}");
        assert_eq!(told.len(), 1, "also told by shape: {text}");
    }
    for text in [
        "59.9139",
        "59.9139,59.9139",
        r#"{"lat":59.9139,"lng":10.7622}"#,
        "59.913,10.752",
        "159.9139,10.7522",
        "v59.9139.1,10.7522.3",
        &format!("59.9139 {} 10.7522", "x ".repeat(120)),
    ] {
        let told = seen(&detector, text);
        let exact = told
            .iter()
            .any(|seen| seen.sighting.confidence == Confidence::Exact);
        assert!(!exact, "{text}: {told:?}");
    }
}

#[test]
fn a_short_value_counts_as_a_whole_beside_its_name() {
    let detector = detector(PERSON);
    let exact = |text: &str, alone: bool| -> Vec<Kind> {
        let told = seen(&detector, text).into_iter();
        let told = told
            .filter(|seen| seen.sighting.confidence == Confidence::Exact && seen.alone == alone);
        told.map(|seen| seen.sighting.kind).collect()
    };
    for (text, kind) in [
        (r#"{"ssid":"home"}"#, Kind::Ssid),
        ("wifi_name=Home&", Kind::Ssid),
        ("tac=12345", Kind::Tac),
        (r#"{"cid": 98765}"#, Kind::CellId),
        ("user=Kari;", Kind::Account),
        (r#"{"SSID":"\"home\""}"#, Kind::Ssid),
        ("/account/kari/mail", Kind::Account),
        ("X-Badge: 4711\r\n", Kind::Custom("badge".into())),
    ] {
        assert_eq!(exact(text, true), std::slice::from_ref(&kind), "{text}");
    }
    for text in [
        "ssid=Homer",
        "ssid=xHome",
        "tac=123456",
        "x=12345",
        "badge=47110",
        "room=Home",
        "12345",
    ] {
        assert_eq!(exact(text, true), [], "{text}");
    }
    for text in ["x=12345&", r#"{"net":"Home"}"#, "/u/kari/", "{\"a\":4711}"] {
        assert_eq!(exact(text, false).len(), 1, "{text}");
    }
    for text in ["x=123456&", "x=karin&", "home", "{\"a\":47.11}"] {
        assert_eq!(exact(text, false), [], "{text}");
    }
}

#[test]
fn a_shape_has_the_hash_that_the_value_would_have_if_it_were_registered() {
    let registered = detector("imei = \"490154203237518\"");
    let told = seen(&detector(""), "imei=49-015420-323751-8&");
    assert_eq!(told[0].sighting.hash, registered.values()[0].hash);
    assert_eq!(told[0].sighting.last4.as_deref(), Some("7518"));
    let told = seen(&detector(""), "lat=59.91391&lng=10.75221");
    assert_eq!(told[0].sighting.last4, None);
}

/// Names, values and what stands between them.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\"imei\":\"490154203237518\",".to_owned()),
        Just("&mac=02:00:5e:10:a4:7f&".to_owned()),
        Just("lat=59.91391&lng=10.75221".to_owned()),
        Just("{\"mcc\":242,\"cid\":12345}".to_owned()),
        Just("ssid=Home&tac=12345".to_owned()),
        Just("59.9139,10.7522".to_owned()),
        Just("\"type\":\"imsi\",\"value\":\"242016100000017\"".to_owned()),
        Just("email: kari@mail.example\r\n".to_owned()),
        Just("\"imei\":[\"352099001761481\",".to_owned()),
        "[a-z0-9=:,\"{}&./ ]{0,12}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn sees_the_same_whatever_the_pieces(
        text in text(),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let detector = detector(PERSON);
        let bytes = text.as_bytes();
        let key = |seen: &Seen, shift: usize| (seen.start + shift, seen.sighting.hash.clone(), seen.alone);
        let whole: std::collections::BTreeSet<_> = seen(&detector, &text).iter().map(|seen| key(seen, 0)).collect();
        cuts.sort_unstable_by_key(|cut| cut.index(bytes.len() + 1));
        let mut pieced = std::collections::BTreeSet::new();
        let mut from = 0usize;
        for cut in cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([bytes.len()]) {
            let last = cut == bytes.len();
            let first = from.saturating_sub(detector.context());
            let mut told = Vec::new();
            let hold = detector.search_named(&bytes[first..cut], from - first, first > 0, !last, &mut told);
            prop_assert!(hold <= cut - first);
            pieced.extend(told.iter().filter(|seen| last || !seen.open).map(|seen| key(seen, first)));
            // What is open, or may yet be a value, is seen again; so is the end, whose neighbour was missing.
            let open = told.iter().filter(|seen| seen.open).map(|seen| seen.value.start + first);
            from = open.chain([cut.saturating_sub(12), cut - hold]).min().unwrap_or(cut).max(from);
        }
        prop_assert_eq!(pieced, whole);
    }

    #[test]
    fn bad_input_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), from in any::<prop::sample::Index>()) {
        let detector = detector(PERSON);
        let mut told = Vec::new();
        let hold = detector.search_named(&bytes, from.index(bytes.len() + 1), false, true, &mut told);
        prop_assert!(hold <= bytes.len());
    }
}
