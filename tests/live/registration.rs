//! The registration of 2019, with synthetic values.

use std::fmt::Write;

use data_encoding::BASE64;

/// How the client breaks the base64 of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaks {
    /// LF after every 76 characters and at the end: Android's `Base64.DEFAULT`.
    Lf,
    /// CRLF after every 76 characters and at the end: RFC 2045.
    CrLf,
    /// None: Android's `Base64.NO_WRAP`.
    None,
}

/// The request as the client writes it.
pub fn request(host: &str, breaks: Breaks) -> Vec<u8> {
    let body = body(breaks);
    let mut request = String::new();
    let length = body.len();
    write!(
        request,
        "POST / HTTP/1.1\r\nContent-Type: application/encrypted-json\r\nContent-Length: {length}\r\nHost: {host}\r\n\
         Connection: Keep-Alive\r\nUser-Agent: Apache-HttpClient/UNAVAILABLE (java 1.4)\r\n\r\n{body}"
    )
    .expect("a string takes everything");
    request.into_bytes()
}

/// The phone's values in an identity file.
pub fn identity() -> String {
    format!(
        "imei = [\"{IMEI}\", \"{IMEI2}\"]\nimsi = \"{IMSI}\"\niccid = \"{ICCID}\"\nmeid = \"{MEID}\"\n\
         wifi_mac = \"{MAC}\"\ncell_id = \"{CELL}\"\nphone = \"{PHONE}\"\nemail = \"{EMAIL}\"\n"
    )
}

/// Every registered value, in the spellings that no output may show.
pub fn secrets() -> Vec<String> {
    let plain = [IMEI, IMEI2, IMSI, ICCID, MEID, MAC, PHONE, EMAIL].map(String::from);
    let bare = [MAC.replace(':', ""), PHONE.trim_start_matches('+').into()];
    plain.into_iter().chain(bare).collect()
}

fn body(breaks: Breaks) -> String {
    let json = format!(
        "{{\"REGVER\":\"8.0\",\"MEID\":\"{MEID}\",\"MODEL\":\"TA-1046\",\"SWVER\":\"00WW_3_51F\",\"SIM1CDMAIMSI\":\"{IMSI}\",\
         \"UETYPE\":\"1\",\"SIM1ICCID\":\"{ICCID}\",\"SIM1LTEIMSI\":\"{IMSI}\",\"SIM1TYPE\":\"2\",\"SIM2CDMAIMSI\":\"\",\
         \"SIM2ICCID\":\"\",\"SIM2LTEIMSI\":\"\",\"SIM2TYPE\":\"\",\"MACID\":\"{MAC}\",\"OSVER\":\"9\",\"ROM\":\"64GB\",\
         \"RAM\":\"4GB\",\"IMEI1\":\"{IMEI}\",\"IMEI2\":\"{IMEI2}\",\"SIM1CELLID\":\"{CELL}\",\"SIM2CELLID\":\"\",\
         \"DATASIM\":\"1\",\"SIM1VoLTESW\":\"1\",\"SIM2VoLTESW\":\"\",\"ACCESSTYPE\":\"2\",\
         \"REGDATE\":\"2019-02-18 07:04:11\"}}"
    );
    let base64 = BASE64.encode(json.as_bytes());
    let newline = match breaks {
        Breaks::Lf => "\n",
        Breaks::CrLf => "\r\n",
        Breaks::None => return base64,
    };
    let lines = base64
        .as_bytes()
        .chunks(76)
        .map(|line| String::from_utf8_lossy(line));
    lines.map(|line| format!("{line}{newline}")).collect()
}

pub const IMEI: &str = "490154203237518";
pub const IMEI2: &str = "356938035643809";
pub const IMSI: &str = "001010123456789";
pub const ICCID: &str = "8946001234567890124";
pub const MEID: &str = "A0000049A1B2C3";
pub const MAC: &str = "02:00:5e:10:3f:a7";
pub const CELL: &str = "33722625";
pub const PHONE: &str = "+4799900123";
pub const EMAIL: &str = "kari.nordmann@mail.example";
