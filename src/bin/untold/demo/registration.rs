//! The message that the 2019 client posted, with made-up values.

use data_encoding::{BASE64, Encoding, Specification};

/// Whom it was posted to.
pub const HOST: &str = "zzhc.vnet.cn";

/// What the server answered.
pub const REPLY: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 41\r\n\r\n\
                         {\"resultCode\":\"0\",\"resultDesc\":\"Success\"}";

/// The whole request, head and body, as it went over the wire.
pub fn message() -> Vec<u8> {
    let body = body();
    let head = format!(
        "POST / HTTP/1.1\r\nContent-Type: application/encrypted-json\r\nContent-Length: {}\r\nHost: {HOST}\r\n\
         Connection: Keep-Alive\r\nUser-Agent: Apache-HttpClient/UNAVAILABLE (java 1.4)\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

/// Base64 as Android's `Base64.DEFAULT` writes it: LF after every 76 characters and at the end.
fn body() -> String {
    let mut specification = BASE64.specification();
    specification.wrap.width = 76;
    specification.wrap.separator.push('\n');
    encoding(&specification).encode(json().as_bytes())
}

/// The JSON without the blanks that make the file readable.
fn json() -> String {
    let lines = include_str!("registration.json")
        .lines()
        .map(str::trim_start);
    lines
        .map(|line| line.replacen("\": \"", "\":\"", 1))
        .collect()
}

fn encoding(specification: &Specification) -> Encoding {
    specification.encoding().expect("a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_as_the_client_wrote_it() {
        let message = String::from_utf8(message()).unwrap();
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert!(body.ends_with('\n') && body.lines().rev().skip(1).all(|line| line.len() == 76));
        let decoded = BASE64.decode(body.replace('\n', "").as_bytes()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&decoded).unwrap();
        assert_eq!(json["IMEI1"], "490154203237518");
        assert!(!decoded.contains(&b'\n') && !decoded.windows(2).any(|pair| pair == b": "));
    }

    #[test]
    fn the_reply_says_its_length() {
        let (_, body) = REPLY.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), 41);
    }
}
