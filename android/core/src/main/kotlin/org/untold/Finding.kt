package org.untold

/** One identifier found in one message. It holds no identifier in clear. */
public data class Finding(
    /** What it is. */
    val kind: Kind,
    /** How sure that is. */
    val confidence: Confidence,
    /** What it was wrapped in, from the wire inward. */
    val chain: List<Wrapper>,
    /** What was done to the registered value. */
    val spelling: Spelling,
    /** Last four characters; null for short values and for a location. */
    val last4: String?,
    /** Keyed hash of the registered value. */
    val hash: String,
    /** Which part of the message. */
    val at: Place,
    /** Bytes on the wire from the start of [at]. */
    val offset: Long,
)

/** How sure a finding is. */
public enum class Confidence {
    /** The value is registered in the identity. */
    Exact,

    /** Nobody registered it; structure and context say what it is. */
    Shape,
}

/** A wrapper that was opened on the way to a value. */
public enum class Wrapper {
    /** Percent- or form-encoding. */
    Percent,

    /** JSON. */
    Json,

    /** Base64, either alphabet. */
    Base64,

    /** Hexadecimal. */
    Hex,

    /** Chunked transfer coding. */
    Chunked,

    /** Base32. */
    Base32,

    /** gzip (RFC 1952). */
    Gzip,

    /** zlib (RFC 1950). */
    Zlib,

    /** DEFLATE without a header (RFC 1951). */
    Deflate,

    /** Brotli (RFC 7932). */
    Brotli,

    /** Zstandard (RFC 8878). */
    Zstd,

    /** An entry of a ZIP archive. */
    Zip,

    /** A part of a multipart message (RFC 2046). */
    Multipart,

    /** A field of a protobuf message. */
    Protobuf,

    /** UTF-16, either byte order. */
    Utf16,

    /** XOR with one byte. */
    Xor,

    /** HTTP/2 frames (RFC 9113). */
    Http2,

    /** WebSocket frames (RFC 6455). */
    Websocket,

    /** MQTT packets. */
    Mqtt,

    /** CoAP messages (RFC 7252). */
    Coap,

    /** One that this version of the face has no name for. */
    Other,
}

/** What was done to a registered value before it was sent. */
public enum class Spelling {
    /** As registered. */
    Plain,

    /** Other separators, or none. */
    Separators,

    /** The other letter case. */
    Case,

    /** Digits in reverse. */
    Reversed,

    /** Another country code, or none. */
    Prefix,

    /** With or without its check digit. */
    Length,

    /** Decimal digits of a hexadecimal value. */
    Decimal,

    /** Hex digits of a decimal value. */
    Hex,

    /** The bytes that its hex digits stand for. */
    Raw,

    /** A binary integer. */
    Integer,

    /** A base-128 integer. */
    Varint,

    /** Two decimal digits a byte. */
    Bcd,

    /** Its MD5. */
    Md5,

    /** Its SHA-1. */
    Sha1,

    /** Its SHA-256. */
    Sha256,

    /** Something that this version of the face has no name for. */
    Other,
}

/** Where in a message a finding lies. */
public enum class Place {
    /** Path of a request. */
    Path,

    /** Query of a request. */
    Query,

    /** Header fields. */
    Header,

    /** Body of a message. */
    Body,

    /** A domain name that was asked for. */
    Name,

    /** A byte stream without framing. */
    Stream,

    /** A datagram. */
    Datagram,

    /** A place that this version of the face has no name for. */
    Other,
}

/** What is done with a flow. */
public enum class Action {
    /** Lets it pass. */
    Allow,

    /** Parks it until a person answers. */
    Ask,

    /** Ends it at once. */
    Block,
}

/** Transport protocol. */
public enum class Proto(internal val number: Int) {
    /** TCP. */
    Tcp(6),

    /** UDP. */
    Udp(17),

    /** ICMP or ICMPv6 echo. */
    Icmp(1),
}

/** Why content could not be read. */
public enum class Opaque {
    /** TLS. */
    Tls,

    /** QUIC. */
    Quic,

    /** An encrypted ClientHello. */
    Ech,

    /** The decoding budget was spent. */
    Budget,

    /** A reason that this version of the face has no name for. */
    Other,
}
