//! Unsalted digests of every common way of writing a value, as tokens and as bytes.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::*;
use crate::event::Spelling;

const REGISTERED: &str = r#"
    imei = "490154203237518"
    imsi = "242016100000007"
    iccid = "8947080000000000007"
    wifi_mac = "02:00:5e:10:a4:7f"
    android_id = "9774d56d682e549c"
    advertising_id = "38400000-8cf0-11bd-b23e-10b96e40000d"
    phone = "+47 912 34 567"
    email = "Kari.Nordmann@mail.example"
    serial = "R58M12ABCDE"
"#;

#[test]
fn a_digest_of_each_common_spelling_is_found_in_each_encoding() {
    let identity = Identity::parse("identity.toml", REGISTERED).expect("the identity is valid");
    let detector = Arc::new(Detector::new(&identity, &[7; 32]));
    let policy =
        Arc::new(Policy::new(Config::default_policy(), Vec::new()).expect("there are no lists"));
    let inspector = Inspector::new(Rules { detector, policy });
    let to = "collector.example:9999".parse().expect("a destination");
    let spelled: &[(Kind, &[&str])] = &[
        (Kind::Imei, &["490154203237518", "49015420323751"]),
        (Kind::Imsi, &["242016100000007"]),
        (Kind::Iccid, &["8947080000000000007", "894708000000000000"]),
        (
            Kind::WifiMac,
            &[
                "02:00:5e:10:a4:7f",
                "02:00:5E:10:A4:7F",
                "02005e10a47f",
                "02005E10A47F",
                "02-00-5e-10-a4-7f",
            ],
        ),
        (Kind::AndroidId, &["9774d56d682e549c", "9774D56D682E549C"]),
        (
            Kind::AdvertisingId,
            &[
                "38400000-8cf0-11bd-b23e-10b96e40000d",
                "38400000-8CF0-11BD-B23E-10B96E40000D",
                "384000008cf011bdb23e10b96e40000d",
            ],
        ),
        (
            Kind::Phone,
            &["+4791234567", "4791234567", "004791234567", "91234567"],
        ),
        (
            Kind::Email,
            &[
                "Kari.Nordmann@mail.example",
                "kari.nordmann@mail.example",
                "KARI.NORDMANN@MAIL.EXAMPLE",
            ],
        ),
        (Kind::Serial, &["R58M12ABCDE", "r58m12abcde"]),
    ];
    for (kind, texts) in spelled {
        for text in *texts {
            let md5 = Md5::digest(text).to_vec();
            for (digest, spelling) in [
                (md5[4..12].to_vec(), Spelling::Md5),
                (md5, Spelling::Md5),
                (Sha1::digest(text).to_vec(), Spelling::Sha1),
                (Sha256::digest(text).to_vec(), Spelling::Sha256),
            ] {
                let token = |token: String| format!("v=1&h={token}&x=2").into_bytes();
                for bytes in [
                    token(HEXLOWER.encode(&digest)),
                    token(HEXUPPER.encode(&digest)),
                    token(BASE64.encode(&digest)),
                    token(BASE64_NOPAD.encode(&digest)),
                    token(BASE64URL.encode(&digest)),
                    token(BASE64URL_NOPAD.encode(&digest)),
                    format!("{{\"h\":\"{}\"}}", BASE64.encode(&digest)).into_bytes(),
                    [b"\x0a\x10", &digest[..], b"\x10\x01"].concat(),
                ] {
                    let found = inspector.bytes(Proto::Tcp, &to, &bytes).findings;
                    let told: Vec<_> = found
                        .iter()
                        .map(|finding| (&finding.kind, finding.spelling))
                        .collect();
                    assert_eq!(
                        told,
                        [(kind, spelling)],
                        "{text} in {}",
                        bytes.escape_ascii()
                    );
                }
            }
        }
    }
}
