//! What the world is told: events and the values in them.
//!
//! One schema for `--json`, the C and Kotlin faces and the journal; `docs/events.md` enumerates it.
//! Nothing here carries a registered value in clear: a [`Finding`] holds kind, last four and a keyed hash.

use std::{fmt, net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};

/// What an identifier is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// International mobile equipment identity; also IMEISV and its 14-digit form.
    Imei,
    /// Mobile equipment identifier (CDMA), 14 hex digits.
    Meid,
    /// International mobile subscriber identity.
    Imsi,
    /// SIM card serial number (ITU-T E.118).
    Iccid,
    /// Hardware serial number.
    Serial,
    /// MAC address of the Wi-Fi interface.
    WifiMac,
    /// MAC address of the Bluetooth interface.
    BluetoothMac,
    /// `Settings.Secure.ANDROID_ID`, 64 bits as 16 hex digits.
    AndroidId,
    /// Resettable advertising id (a UUID).
    AdvertisingId,
    /// Google Services Framework id.
    GsfId,
    /// Phone number (MSISDN).
    Phone,
    /// E-mail address.
    Email,
    /// Account name.
    Account,
    /// A pair of coordinates.
    Location,
    /// Cell id.
    CellId,
    /// Tracking or location area code.
    Tac,
    /// Wi-Fi network name.
    Ssid,
    /// MAC address of a Wi-Fi access point.
    Bssid,
    /// List of installed packages.
    InstalledApps,
    /// A value that the person named.
    Custom(Arc<str>),
}

impl Kind {
    /// The kinds that have a fixed name, in the order of `design`'s list.
    pub const NAMED: [(&'static str, Kind); 19] = [
        ("imei", Kind::Imei),
        ("meid", Kind::Meid),
        ("imsi", Kind::Imsi),
        ("iccid", Kind::Iccid),
        ("serial", Kind::Serial),
        ("wifi_mac", Kind::WifiMac),
        ("bluetooth_mac", Kind::BluetoothMac),
        ("android_id", Kind::AndroidId),
        ("advertising_id", Kind::AdvertisingId),
        ("gsf_id", Kind::GsfId),
        ("phone", Kind::Phone),
        ("email", Kind::Email),
        ("account", Kind::Account),
        ("location", Kind::Location),
        ("cell_id", Kind::CellId),
        ("tac", Kind::Tac),
        ("ssid", Kind::Ssid),
        ("bssid", Kind::Bssid),
        ("installed_apps", Kind::InstalledApps),
    ];

    /// Reads the name used in files, events and reports; `None` for an unknown one.
    pub fn from_name(name: &str) -> Option<Kind> {
        if let Some(custom) = name.strip_prefix("custom.") {
            return (!custom.is_empty()).then(|| Kind::Custom(custom.into()));
        }
        Self::NAMED
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| kind.clone())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Custom(name) => write!(f, "custom.{name}"),
            named => {
                let name = Self::NAMED.iter().find(|(_, kind)| kind == named);
                f.write_str(name.map_or("unnamed", |(name, _)| name))
            }
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Kind::from_name(&name).ok_or_else(|| {
            serde::de::Error::custom(format_args!("unknown kind of identifier {name:?}"))
        })
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The value is registered in the identity.
    Exact,
    /// Nobody registered it; structure and context say what it is.
    Shape,
}

/// A wrapper that was opened on the way to a value, from the wire inward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wrapper {
    /// Percent-encoding (RFC 3986) or form encoding.
    Percent,
    /// JSON (RFC 8259), escapes resolved.
    Json,
    /// Base64 (RFC 4648), either alphabet, padded or not, broken by LF or CRLF.
    Base64,
    /// Hexadecimal.
    Hex,
    /// Base32 (RFC 4648), either case, padded or not.
    Base32,
    /// gzip (RFC 1952).
    Gzip,
    /// zlib (RFC 1950).
    Zlib,
    /// Bare DEFLATE (RFC 1951).
    Deflate,
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// An entry of a zip archive.
    Zip,
    /// A part of a multipart message (RFC 2046).
    Multipart,
    /// A field of a protobuf message.
    Protobuf,
    /// UTF-16, either byte order.
    Utf16,
    /// Every byte XORed with the same one.
    Xor,
    /// Chunked transfer coding (RFC 9112).
    Chunked,
    /// Frames of an HTTP/2 stream (RFC 9113), header fields decompressed (RFC 7541).
    Http2,
    /// Frames of a WebSocket message (RFC 6455), unmasked.
    Websocket,
    /// An MQTT packet.
    Mqtt,
    /// A CoAP message (RFC 7252).
    Coap,
}

impl Wrapper {
    /// Whether it is a container or a transcoding as a whole, within which even what stands there to be read is explained by
    /// it; other encodings explain only what they change.
    pub fn is_opened(self) -> bool {
        matches!(
            self,
            Wrapper::Gzip
                | Wrapper::Zlib
                | Wrapper::Deflate
                | Wrapper::Brotli
                | Wrapper::Zstd
                | Wrapper::Zip
                | Wrapper::Multipart
                | Wrapper::Protobuf
                | Wrapper::Utf16
                | Wrapper::Xor
        )
    }
}

/// What was done to a registered value before it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Spelling {
    /// As registered.
    Plain,
    /// Other separators, or none.
    Separators,
    /// The other letter case.
    Case,
    /// Digits in reverse.
    Reversed,
    /// Another or no country code, `00` for `+`, or a national 0 (phone numbers).
    Prefix,
    /// With or without its check digit or software version.
    Length,
    /// Decimal digits of an identifier that is written in hex.
    Decimal,
    /// Hex digits of an identifier that is written in decimal.
    Hex,
    /// The bytes that its hex digits stand for.
    Raw,
    /// A binary integer, big- or little-endian.
    Integer,
    /// A base-128 varint (protobuf).
    Varint,
    /// Two decimal digits a byte, either nibble first.
    Bcd,
    /// Coordinates in other digits: rounded, or of a place within 200 metres.
    Rounded,
    /// Coordinates as whole numbers of millionths or ten-millionths of a degree.
    Scaled,
    /// Coordinates as IEEE 754 numbers.
    Float,
    /// Unsalted MD5 of a textual spelling, or its middle 16 digits.
    Md5,
    /// Unsalted SHA-1 of a textual spelling.
    Sha1,
    /// Unsalted SHA-256 of a textual spelling.
    Sha256,
}

/// Where in a message a finding lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Path of a request target.
    Path,
    /// Query of a request target.
    Query,
    /// Header fields.
    Header,
    /// Body of a message.
    Body,
    /// A domain name that was asked for.
    Name,
    /// A byte stream without framing.
    Stream,
    /// A datagram.
    Datagram,
}

/// One identifier found in one unit. Holds no identifier in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// How sure that is.
    pub confidence: Confidence,
    /// Wrappers from the wire inward.
    pub chain: Vec<Wrapper>,
    /// What was done to the value.
    pub spelling: Spelling,
    /// Last four characters; none for values under 8 characters and for a location.
    pub last4: Option<Arc<str>>,
    /// Keyed hash of the registered value: `k1:` and 16 hex digits of HMAC-SHA-256.
    pub hash: Arc<str>,
    /// Which part of the message.
    pub at: Place,
    /// Bytes on the wire from the start of `at`.
    pub offset: u64,
    /// What the sender calls it: a JSON pointer (RFC 6901), or the name of a form field, header, part or element. `*` stands
    /// for a name that holds a value.
    pub field: Option<Arc<str>>,
}

/// What is done with a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Lets it pass.
    Allow,
    /// Parks it until a person answers.
    Ask,
    /// Ends it at once.
    Block,
}

/// A decision and what it stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What is done.
    #[serde(rename = "verdict")]
    pub action: Action,
    /// The rule that decided: `rule.N` (counted from 1), `answer.N` (a rule of the file of answers),
    /// `list.NAME`, or `default.KEY`.
    pub rule: Arc<str>,
    /// Whether a rule with `sends`, or a person's answer, approved the identifiers concerned.
    pub approved: bool,
}

/// Transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proto {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// ICMP or ICMPv6 echo.
    Icmp,
}

/// Which evidence gave a flow its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NameSource {
    /// A DNS answer that named the address.
    Dns,
    /// Server name indication of a TLS ClientHello.
    Sni,
    /// Server name indication of a QUIC Initial.
    Quic,
    /// `Host` of an HTTP request (`:authority` in HTTP/2, `Uri-Host` in CoAP), or its absolute target.
    Http,
}

/// Why a flow's content could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Opaque {
    /// TLS records.
    Tls,
    /// QUIC packets.
    Quic,
    /// Encrypted ClientHello.
    Ech,
    /// The decoding budget was spent.
    Budget,
}

/// Why a flow that was let through did not reach its remote end, or was cut off from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The remote end refused it.
    Refused,
    /// No way leads there, or the network says so.
    Unreachable,
    /// Nobody answered in time.
    Timeout,
    /// The connection stood and broke.
    Broken,
    /// The proxy of its rule cannot be reached, or went away.
    ProxyUnreachable,
    /// The proxy does not know us, or wants a login.
    ProxyLogin,
    /// The proxy will not carry it, or such a proxy cannot.
    ProxyRefused,
    /// What answered is no such proxy.
    ProxyProtocol,
}

/// Number of a flow within one run, from 1; never reused.
pub type FlowNumber = u64;

/// One line of `--json`, one row of the journal, one callback of the other faces.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A flow ended (or the replay did).
    Flow(FlowEvent),
    /// An identifier was found on its way out.
    Finding(FindingEvent),
    /// A question is put to a person; the flows concerned wait.
    Ask(AskEvent),
    /// A question is settled.
    Answer(AnswerEvent),
    /// A DNS answer gave names to addresses, or a name was blocked.
    Name(NameEvent),
    /// Something was dropped without a flow to blame: malformed packets, other protocols. Counted.
    Drop(DropEvent),
    /// Something went wrong that a person can act on.
    Error(ErrorEvent),
    /// A probe crossed the tunnel, or did not.
    Health(HealthEvent),
}

/// Summary of a flow. `src` and `dst` are as on the wire.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowEvent {
    /// Seconds since the first packet.
    pub time: f64,
    /// Which flow.
    pub flow: FlowNumber,
    /// Transport protocol.
    pub proto: Proto,
    /// The app's end.
    pub src: SocketAddr,
    /// The remote end.
    pub dst: SocketAddr,
    /// Owner, where known.
    pub app: Option<Arc<str>>,
    /// The name that the destination goes by.
    pub name: Option<Arc<str>>,
    /// Where that name comes from.
    pub name_from: Option<NameSource>,
    /// Why content could not be read, if so.
    pub opaque: Option<Opaque>,
    /// Payload bytes from the app that could not be read, for that reason or an earlier one.
    pub opaque_bytes: u64,
    /// Payload bytes released towards the remote end.
    pub bytes_out: u64,
    /// Payload bytes received from the remote end.
    pub bytes_in: u64,
    /// How it was judged in the end.
    pub verdict: Action,
    /// The rule behind `verdict`.
    pub rule: Arc<str>,
    /// The proxy that it went through, or should have.
    pub via: Option<Arc<str>>,
    /// Why it did not reach the remote end though it was let through, if so.
    pub failure: Option<Failure>,
}

/// A finding with its flow and verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingEvent {
    /// Seconds since the first packet.
    pub time: f64,
    /// Which flow.
    pub flow: FlowNumber,
    /// Transport protocol.
    pub proto: Proto,
    /// Where it was going.
    pub dst: SocketAddr,
    /// Who was sending, where known.
    pub app: Option<Arc<str>>,
    /// The name that the destination went by at that time.
    pub name: Option<Arc<str>>,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// What was done.
    pub verdict: Action,
    /// The rule behind `verdict`.
    pub rule: Arc<str>,
    /// Whether a rule with `sends`, or an answer, approved it (the exit status stands on this).
    pub approved: bool,
}

/// Number of a question within one run, from 1.
pub type QuestionNumber = u64;

/// A question: may this app send these identifiers (or connect at all) there? The same question is put once, however
/// many flows wait for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AskEvent {
    /// Seconds since the first packet.
    pub time: f64,
    /// Which question.
    pub question: QuestionNumber,
    /// The flow that raised it.
    pub flow: FlowNumber,
    /// Transport protocol.
    pub proto: Proto,
    /// The remote end.
    pub dst: SocketAddr,
    /// Who is sending, where known.
    pub app: Option<Arc<str>>,
    /// The name that the destination goes by.
    pub name: Option<Arc<str>>,
    /// Where that name comes from: `dns` where an answer gave it, even if the flow claims it too; else a mere claim.
    pub name_from: Option<NameSource>,
    /// What was found, as far as it is known when the question is put; empty where it is about the connection.
    pub findings: Vec<Finding>,
    /// The rule that asks.
    pub rule: Arc<str>,
    /// Seconds until `fallback` counts.
    pub timeout: f64,
    /// What happens without an answer.
    pub fallback: Action,
}

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnswerEvent {
    /// Seconds since the first packet.
    pub time: f64,
    /// Which question.
    pub question: QuestionNumber,
    /// Allow or block.
    pub verdict: Action,
    /// How far it reaches.
    pub scope: Scope,
    /// Who gave it.
    pub by: AnsweredBy,
}

/// How far an answer reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The flows that wait; where their clients have gone, the next one like them within 10 minutes.
    Once,
    /// The flows that wait, and nothing else.
    Flow,
    /// Everything like it for 15 minutes.
    Quarter,
    /// Everything like it from now on; the shell writes a rule.
    Always,
}

/// Who settled a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    /// A person.
    Person,
    /// Nobody, in time.
    Timeout,
    /// A new policy made it pointless.
    Policy,
}

/// Names that a DNS answer gave, or that a rule or list kept from being resolved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NameEvent {
    /// Seconds since the first packet.
    pub time: f64,
    /// The name asked for, lower case, no trailing dot.
    pub name: Arc<str>,
    /// Addresses in the answer.
    pub addresses: Vec<std::net::IpAddr>,
    /// Whether the question was let through.
    pub verdict: Action,
    /// The rule behind `verdict`.
    pub rule: Arc<str>,
}

/// Packets dropped for one reason; printed at the end, one event a reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DropEvent {
    /// Seconds since the first packet.
    pub time: f64,
    /// Why, in one of the words of `docs/events.md`.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

/// A fault of the machine or the network, in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorEvent {
    /// Seconds since the first packet.
    pub time: f64,
    /// What happened and what to do about it.
    pub message: String,
}

/// What became of a probe that was sent through the tunnel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthEvent {
    /// Seconds since the first packet.
    pub time: f64,
    /// Whether it came back.
    pub healthy: bool,
    /// Seconds there and back.
    pub latency: Option<f64>,
}

#[cfg(test)]
mod schema;
