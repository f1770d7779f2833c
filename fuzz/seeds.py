#!/usr/bin/env python3
"""Writes the seeds of the framing targets: HTTP/2 by h2 and hpack, the rest as the standards say.

    python3 fuzz/seeds.py

The values are synthetic, and those that the harness registers. Seeds are what a client sends.
"""

import base64
import json
import pathlib

import h2.config
import h2.connection
import h2.settings
import hpack
from hyperframe import frame

CORPUS = pathlib.Path(__file__).parent / "corpus"
IMEI = "490154203237518"
MAIL = "kari.nordmann@mail.example"
JSON = json.dumps({"device": {"imei": IMEI}, "mail": MAIL}).encode()


def write(target, name, seed):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(seed)


def connection():
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    conn.initiate_connection()
    return conn


def request(method, path, *more):
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", "collector.example"), *more]


def http2():
    conn = connection()
    conn.send_headers(1, request("GET", f"/u/{IMEI}?m={MAIL}"), end_stream=True)
    write("http2", "path-and-query", conn.data_to_send())

    conn = connection()
    conn.send_headers(1, request("POST", "/", ("content-type", "application/json")))
    conn.send_data(1, JSON[:25], pad_length=7)
    conn.send_data(1, JSON[25:31])
    conn.send_data(1, JSON[31:], end_stream=True)
    write("http2", "data-in-frames", conn.data_to_send())

    # Two uploads whose frames take turns: a value is cut by the other's frames.
    conn = connection()
    conn.send_headers(1, request("POST", "/one"))
    conn.send_headers(3, request("POST", "/two"))
    other = f"mail={MAIL}".encode()
    for at in range(0, 40, 5):
        conn.send_data(1, f"imei={IMEI}".encode()[at:at + 5])
        conn.send_data(3, other[at:at + 5])
    conn.end_stream(3)
    conn.ping(b"abcdefgh")
    conn.end_stream(1)
    write("http2", "interleaved", conn.data_to_send())

    # A value that the second request repeats by one byte, from the table; the third uses a smaller table.
    encoder = hpack.Encoder()
    block = encoder.encode(request("GET", "/", ("x-imei", IMEI), ("cookie", "a=" + "b" * 300)))
    frames = [frame.SettingsFrame(0)]
    parts = [block[at:at + 40] for at in range(0, len(block), 40)]
    frames.append(frame.HeadersFrame(1, parts[0], flags=["END_STREAM", "PRIORITY"]))
    frames += [frame.ContinuationFrame(1, part) for part in parts[1:]]
    frames[-1].flags.add("END_HEADERS")
    block = encoder.encode(request("GET", "/", ("x-imei", IMEI)))
    frames.append(frame.HeadersFrame(3, block, flags=["END_STREAM", "END_HEADERS"]))
    encoder.header_table_size = 64
    block = encoder.encode(request("GET", "/", ("m", MAIL)), huffman=False)
    frames.append(frame.HeadersFrame(5, block, flags=["END_STREAM", "END_HEADERS"]))
    write("http2", "continuation-and-table", PREFACE + b"".join(each.serialize() for each in frames))

    # gRPC: messages with a length in front, and trailers that no client sends but may.
    conn = connection()
    conn.send_headers(1, request("POST", "/pkg.Service/Report", ("te", "trailers"), ("content-type", "application/grpc")))
    for text in (b"hello", IMEI.encode(), b"bye"):
        message = b"\x0a" + bytes([len(text)]) + text
        conn.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message)
    conn.send_headers(1, [("x-last", MAIL)], end_stream=True)
    write("http2", "grpc-and-trailers", conn.data_to_send())

    # After a frame that no client sends, bytes are bytes.
    broken = frame.PushPromiseFrame(1, 2, b"x").serialize()
    write("http2", "broken", connection().data_to_send() + broken + f"imei={IMEI};".encode())

    # A table that nobody offers: the rest of the connection's fields are read as they stand.
    block = b"\x3f\xe1\xff\xff\x07" + hpack.Encoder().encode(request("POST", "/"), huffman=False)
    lost = frame.HeadersFrame(1, block, flags=["END_HEADERS"]).serialize()
    body = frame.DataFrame(1, JSON, flags=["END_STREAM"]).serialize()
    plain = b"\x00\x06x-imei" + bytes([len(IMEI)]) + IMEI.encode()
    more = frame.HeadersFrame(3, plain, flags=["END_HEADERS", "END_STREAM"]).serialize()
    write("http2", "lost-table", PREFACE + frame.SettingsFrame(0).serialize() + lost + body + more)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: collector.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(opcode, payload, key, fin=True, rsv1=False):
    """RFC 6455, 5.2."""
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        length = bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + len(payload).to_bytes(8, "big")
    return bytes([first]) + length + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def websocket():
    a, b, c = b"\x37\xfa\x21\x3d", b"\xa0\x01\x7f\x93", b"\0\0\0\0"
    text = f"imei={IMEI}".encode()
    write("websocket", "one-message", UPGRADE + masked(1, JSON, a))
    fragments = masked(1, text[:9], a, fin=False) + masked(9, b"ping", b) + masked(0, text[9:14], b, fin=False) + masked(0, text[14:], c)
    write("websocket", "fragments-around-a-ping", UPGRADE + fragments + masked(8, b"\x03\xe8" + MAIL.encode(), a))
    write("websocket", "two-messages", UPGRADE + masked(2, b"x" * 300, a) + masked(1, MAIL.encode(), b) + masked(1, IMEI.encode(), c))
    write("websocket", "declined", UPGRADE + f"GET /?imei={IMEI} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
    write("websocket", "broken", UPGRADE + masked(1, b"fine", a) + b"\x05then: " + MAIL.encode() + b"\n")


def packet(first, *parts):
    """MQTT 5.0, 2.1."""
    body = b"".join(parts)
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([first]) + digits + body


def string(text):
    return len(text).to_bytes(2, "big") + text.encode()


def mqtt():
    connect = packet(0x10, string("MQTT"), b"\x04\xc2\0\x3c", string(IMEI), string(MAIL), string("secret"))
    write("mqtt", "client-id-and-user", connect + packet(0xC0))
    plain = packet(0x10, string("MQTT"), b"\x04\x02\0\x3c", string("c1"))
    publish = packet(0x32, string(f"devices/{IMEI}/state"), b"\0\x07", JSON)
    write("mqtt", "topic-and-payload", plain + packet(0x82, b"\0\x01", string("a/#"), b"\0") + publish)
    five = packet(
        0x10, string("MQTT"), b"\x05\x06\0\x3c", b"\x05\x11\0\0\0\x0a", string("c1"),
        b"\0", string(f"gone/{IMEI}"), len(MAIL).to_bytes(2, "big") + MAIL.encode(),
    )
    publish = packet(0x30, string("a"), bytes([23]), b"\x26", string("imei"), string(IMEI[:14]), b"payload")
    write("mqtt", "will-and-properties", five + publish + packet(0xE0, b"\x04", b"\0"))
    write("mqtt", "broken", plain + b"\x20imei=" + IMEI.encode() + b"\n")


def message(options, payload=b"", code=2):
    """RFC 7252, 3: a request with a token of one byte."""
    out, number = b"\x41" + bytes([code]) + b"\x12\x34t", 0
    for option, value in options:
        delta, number = option - number, option
        extended = b""
        nibbles = []
        for part in (delta, len(value)):
            if part < 13:
                nibbles.append(part)
            elif part < 269:
                nibbles.append(13)
                extended += bytes([part - 13])
            else:
                nibbles.append(14)
                extended += (part - 269).to_bytes(2, "big")
        out += bytes([nibbles[0] << 4 | nibbles[1]]) + extended + value
    return out + (b"\xff" + payload if payload else b"")


def coap():
    registration = base64.b64encode(JSON)
    write("coap", "registration", message([(11, b"nb")], registration))
    write("coap", "path-and-query", message([(3, b"c.example"), (11, b"dev"), (11, IMEI.encode()), (15, f"m={MAIL}".encode())], code=1))
    write("coap", "block", message([(11, b"up"), (12, b""), (27, b"\x0a")], IMEI.encode()))
    write("coap", "answer", message([(4, b"etag"), (6, b"\x07"), (12, b"2")], JSON, code=69))
    write("coap", "proxied", message([(35, b"coap://c.example/" + b"x" * 300)]))


if __name__ == "__main__":
    http2()
    websocket()
    mqtt()
    coap()
