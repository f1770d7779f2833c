//! What the benchmarks of inspection work on, the same bytes in each: contents, and an identity to look for.

use std::fmt::Write;

use untold::detect::{Detector, Identity};

/// What bytes are like.
#[allow(dead_code, reason = "no benchmark uses all of them")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes without pattern: what is encrypted or compressed looks like this.
    Noise,
    /// TLS records.
    Tls,
    /// Requests of a telemetry library: heads, and JSON bodies.
    Http,
    /// JSON of the same kind, without heads.
    Json,
    /// Prose.
    Text,
    /// JSON that is mostly hexadecimal digits.
    HexJson,
    /// Noise in base64, in lines.
    Base64,
    /// JSON in base64, in JSON.
    Base64Json,
    /// Forms, percent-encoded.
    Form,
    /// Decimal digits alone.
    Digits,
    /// One byte over and over.
    Zeros,
}

impl Content {
    /// At least `length` bytes of it, cut to `length`.
    pub fn make(self, length: usize) -> Vec<u8> {
        let mut random = Random(1);
        let mut bytes = Vec::with_capacity(length + 20_000);
        while bytes.len() < length {
            match self {
                Content::Noise => bytes.extend(random.next().to_le_bytes()),
                Content::Tls => {
                    bytes.extend([23, 3, 3, 0x40, 0]);
                    bytes.extend(random.bytes(0x4000));
                }
                Content::Http => bytes.extend(http(&mut random).bytes()),
                Content::Json => {
                    bytes.extend(if bytes.is_empty() { "{\"e\":[" } else { "," }.bytes());
                    bytes.extend(event(&mut random).bytes());
                }
                Content::Text => {
                    bytes.extend(word(&mut random).bytes());
                    bytes.extend(
                        if random.next().is_multiple_of(8) {
                            ".\n"
                        } else {
                            " "
                        }
                        .bytes(),
                    );
                }
                Content::HexJson => bytes.extend(hex_json(&mut random).bytes()),
                Content::Base64 => {
                    bytes.extend(data_encoding::BASE64.encode(&random.bytes(57)).bytes());
                    bytes.push(b'\n');
                }
                Content::Base64Json => {
                    let body = http_body(&mut random);
                    let encoded = data_encoding::BASE64.encode(body.as_bytes());
                    bytes.extend(format!("{{\"v\":2,\"data\":\"{encoded}\"}}\n").bytes());
                }
                Content::Form => {
                    let value = event(&mut random);
                    bytes.extend(format!("n={}&e=", random.next() % 1000).bytes());
                    for byte in value.bytes() {
                        if byte.is_ascii_alphanumeric() {
                            bytes.push(byte);
                        } else {
                            bytes.extend(format!("%{byte:02X}").bytes());
                        }
                    }
                    bytes.push(b'&');
                }
                Content::Digits => bytes.extend(b"0123456789"),
                Content::Zeros => bytes.push(0),
            }
        }
        bytes.truncate(length);
        bytes
    }
}

const WORDS: &[&str] = &[
    "page", "view", "click", "open", "scroll", "banner", "price", "article", "weather", "oslo",
    "summer", "app", "start", "screen", "home", "settings", "player", "video", "season", "error",
    "retry", "network", "status",
];

fn word(random: &mut Random) -> &'static str {
    WORDS[random.next() as usize % WORDS.len()]
}

fn hex(random: &mut Random, bytes: usize) -> String {
    data_encoding::HEXLOWER.encode(&random.bytes(bytes))
}

fn hex_json(random: &mut Random) -> String {
    format!(
        "{{\"event_id\":\"{}\",\"session\":\"{}\",\"sha256\":\"{}\",\"ts\":{},\"n\":[{},{}]}},",
        hex(random, 16),
        hex(random, 8),
        hex(random, 32),
        1_700_000_000_000 + random.next() % 100_000_000_000,
        random.next(),
        random.next() % 1_000_000,
    )
}

fn event(random: &mut Random) -> String {
    let (name, screen, label) = (word(random), word(random), word(random));
    format!(
        "{{\"name\":\"{name}_{screen}\",\"timestamp\":{},\"params\":{{\"screen_name\":\"{screen}\",\
         \"label\":\"{label} {name} {label}\",\"duration_ms\":{},\"foreground\":true,\"score\":0.{}}}}}",
        1_700_000_000_000 + random.next() % 100_000_000_000,
        random.next() % 60_000,
        random.next() % 1_000_000,
    )
}

fn http_body(random: &mut Random) -> String {
    let events: Vec<String> = (0..8).map(|_| event(random)).collect();
    format!("{{\"events\":[{}]}}", events.join(","))
}

fn http(random: &mut Random) -> String {
    let body = http_body(random);
    format!(
        "POST /v2/collect/batch?app=com.example.reader&v=8.{}.1 HTTP/1.1\r\nHost: telemetry.analytics.example\r\n\
         User-Agent: Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0\r\n\
         Accept: */*\r\nAccept-Language: nb-NO,nb;q=0.9,en;q=0.8\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: keep-alive\r\n\r\n{body}",
        random.next() % 100,
        body.len(),
    )
}

/// An identity of as many values as `spellings` takes, of the kinds that a phone has.
pub fn identity(spellings: usize) -> Identity {
    for count in 1.. {
        let text = identity_file(count);
        let identity = Identity::parse("bench.toml", &text).expect("the values are sound");
        if Detector::new(&identity, &[0; 32]).spellings() >= spellings {
            return identity;
        }
    }
    unreachable!("every count adds spellings");
}

fn identity_file(count: usize) -> String {
    let mut random = Random(42);
    let mut file = String::new();
    let mut list = |kind: &str, make: &mut dyn FnMut(&mut Random) -> String| {
        let values: Vec<String> = (0..count)
            .map(|_| format!("\"{}\"", make(&mut random)))
            .collect();
        let _ = writeln!(file, "{kind} = [{}]", values.join(", "));
    };
    let digits = |random: &mut Random, length: u32| random.next() % 10u64.pow(length);
    list("imei", &mut |random| {
        luhn(format!("3520990{:07}", digits(random, 7)))
    });
    list("imsi", &mut |random| {
        format!("24201{:010}", digits(random, 10))
    });
    list("iccid", &mut |random| {
        luhn(format!("894701{:012}", digits(random, 12)))
    });
    list("wifi_mac", &mut |random| format!("02{}", hex(random, 5)));
    list("android_id", &mut |random| hex(random, 8));
    list("advertising_id", &mut |random| hex(random, 16));
    list("phone", &mut |random| {
        format!("+479{:07}", digits(random, 7))
    });
    list("email", &mut |random| {
        format!("user{}@mail.example", digits(random, 6))
    });
    list("serial", &mut |random| {
        format!("R58M{:07X}", digits(random, 8))
    });
    file
}

fn luhn(body: String) -> String {
    let sum = |digits: &str| -> u32 {
        let weigh = |(place, digit): (usize, char)| {
            let digit = digit.to_digit(10).expect("a digit");
            let weighted = if place % 2 == 0 { digit } else { digit * 2 };
            weighted / 10 + weighted % 10
        };
        digits.chars().rev().enumerate().map(weigh).sum()
    };
    (0..10)
        .map(|check| format!("{body}{check}"))
        .find(|digits| sum(digits).is_multiple_of(10))
        .expect("one of ten digits fits")
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }
}
