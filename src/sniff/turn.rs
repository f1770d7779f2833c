use super::{dns, http1, http2, mqtt, tls, websocket};

/// What a client's turn on a TCP connection is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// An HTTP/1.x request (RFC 9112).
    Http1,
    /// An HTTP/2 connection, from its preface on (RFC 9113, 3.4).
    Http2,
    /// An MQTT connection, from its CONNECT on.
    Mqtt,
    /// WebSocket frames (RFC 6455, 5).
    WebSocket,
    /// TLS records (RFC 8446, 5.1).
    Tls,
    /// DNS messages with a length in front (RFC 1035, 4.2.2).
    Dns,
    /// Anything else.
    Raw,
}

/// How sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// The bytes say so.
    Is(Protocol),
    /// The bytes so far could be the beginning of it, or else are raw.
    Maybe(Protocol),
}

/// Recognises the first bytes of a turn towards `port`. At most 27 bytes are waited for.
pub fn sniff(bytes: &[u8], port: u16) -> Sniffed {
    if dns::is_dns_port(port)
        && let Some(sniffed) = dns::sniff_framed(bytes)
    {
        return sniffed;
    }
    tls::sniff(bytes)
        .or_else(|| http2::sniff(bytes))
        .or_else(|| http1::sniff(bytes))
        .or_else(|| mqtt::sniff(bytes))
        .unwrap_or(Sniffed::Is(Protocol::Raw))
}

/// Recognises the first bytes of a turn after a request to speak WebSocket from then on, which may have been declined.
pub fn sniff_upgraded(bytes: &[u8], port: u16) -> Sniffed {
    websocket::sniff(bytes).unwrap_or_else(|| sniff(bytes, port))
}

#[cfg(test)]
mod tests {
    use super::{Protocol::*, Sniffed::*, *};

    #[test]
    fn recognises_turns_by_their_first_bytes() {
        let table: &[(&[u8], u16, Sniffed)] = &[
            (b"GET / HTTP/1.1\r\n", 80, Is(Http1)),
            (b"POST http://a.example/ HTTP/1.1", 80, Is(Http1)),
            (b"CONNECT a.example:443 HTTP/1.1", 8080, Is(Http1)),
            (b"OPTIONS * HTTP/1.1", 80, Is(Http1)),
            (b"M-SEARCH * HTTP/1.1", 80, Is(Http1)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", 80, Is(Http2)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", 80, Maybe(Http2)),
            (b"PRI", 80, Maybe(Http2)),
            (b"PR", 80, Maybe(Http1)),
            (b"PRI * HTTP/1.1", 80, Is(Http1)),
            (b"", 80, Maybe(Http1)),
            (b"PO", 80, Maybe(Http1)),
            (b"POST ", 80, Maybe(Http1)),
            (b"POST ht", 80, Maybe(Http1)),
            (b"USER alice\r\n", 21, Is(Raw)),
            (b"EHLO host.example\r\n", 25, Is(Raw)),
            (b"{\"imei\":1}\n", 9999, Is(Raw)),
            (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 80, Is(Raw)),
            (b"\x16\x03\x01\x02\x00\x01", 443, Is(Tls)),
            (b"\x17\x03\x03\x00\x20", 443, Is(Tls)),
            (b"\x16\x03", 443, Maybe(Tls)),
            (b"\x16\x03\x01\xff\xff\x01", 443, Is(Raw)),
            (b"\x16\x03\x01\x00\x00\x01", 443, Is(Raw)),
            (b"\x16\x02\x01\x02\x00\x01", 443, Is(Raw)),
            (b"\x10\x0e\x00\x04MQTT\x04\x02", 1883, Is(Mqtt)),
            (b"\x10\x8e\x01\x00\x04MQTT\x05", 1883, Is(Mqtt)),
            (b"\x10\x0e\x00\x06MQIsdp\x03", 9, Is(Mqtt)),
            (b"\x10", 1883, Maybe(Mqtt)),
            (b"\x10\x8e\x01\x00\x04MQ", 1883, Maybe(Mqtt)),
            (b"\x10\x0e\x00\x04MQTT\x09", 1883, Is(Raw)),
            (b"\x10\xff\xff\xff\xff\x00", 1883, Is(Raw)),
            (
                b"\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07",
                53,
                Is(Dns),
            ),
            (b"\x00\x1d\x12\x34", 53, Maybe(Dns)),
            (
                b"\x00\x1d\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07",
                53,
                Is(Raw),
            ),
            (
                b"\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07",
                80,
                Is(Raw),
            ),
        ];
        for (bytes, port, expected) in table {
            assert_eq!(
                sniff(bytes, *port),
                *expected,
                "{:?}",
                bytes.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn recognises_websocket_frames_only_after_an_upgrade() {
        let table: &[(&[u8], Sniffed)] = &[
            (&[0x81, 0x85, 1, 2, 3, 4], Is(WebSocket)),
            (&[0xc1, 0x85], Is(WebSocket)),
            (&[0x88, 0x80], Is(WebSocket)),
            (&[0x82], Maybe(WebSocket)),
            (&[0x81, 0x05], Is(Raw)),
            (&[0x80, 0x85], Is(Raw)),
            (b"GET / HTTP/1.1\r\n", Is(Http1)),
            (b"A", Maybe(Http1)),
            (b"", Maybe(Http1)),
        ];
        for (bytes, expected) in table {
            assert_eq!(sniff_upgraded(bytes, 80), *expected, "{bytes:x?}");
        }
        assert_eq!(sniff(&[0x81, 0x85, 1, 2, 3, 4], 80), Is(Raw));
    }
}
