#!/usr/bin/env python3
"""Writes the seeds of the framing targets: HTTP/2 by h2 and hpack, QUIC by cryptography, the rest as the
standards say.

    python3 fuzz/seeds.py

The values are synthetic, and those that the harness registers. Seeds are what a client sends.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import zlib

import h2.config
import h2.connection
import h2.settings
import hpack
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
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
    # RFC 7692: the second message refers to the first; the third is in two frames.
    deflate = zlib.compressobj(wbits=-15)
    packed = []
    for part in (b"nothing yet", JSON, b'{"again": ' + JSON + b"}"):
        data = deflate.compress(part) + deflate.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(b"\0\0\xff\xff")
        packed.append(data[:-4])
    frames = masked(1, packed[0], a, rsv1=True) + masked(1, packed[1], b, rsv1=True)
    frames += masked(1, packed[2][:5], a, fin=False, rsv1=True) + masked(9, b"", a) + masked(0, packed[2][5:], c)
    write("websocket", "deflate-one-context", UPGRADE + frames)
    deflate = zlib.compressobj(9, wbits=-15)
    bomb = deflate.compress(bytes(4 << 20)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    write("websocket", "bomb", UPGRADE + masked(2, bomb[:-4], a, rsv1=True) + masked(1, IMEI.encode(), b))
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


SALTS = {
    1: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    0x6B3343CF: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    0xFF00001D: "afbfec289993d24c9e9786f19c6111e04390a899",
}


def varint(value):
    for width, bits in ((1, 6), (2, 14), (4, 30)):
        if value < 1 << bits:
            return (value | {1: 0, 2: 1, 4: 2}[width] << bits).to_bytes(width, "big")
    raise ValueError(value)


def expand(secret, label, length):
    """RFC 8446, 7.1."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return HKDFExpand(hashes.SHA256(), length, info).derive(secret)


def initial(frames, dcid=b"\x83\x94\xc8\xf0\x3e\x51\x57\x08", version=1, number=0, token=b"", size=1200):
    """RFC 9001, 5: a client's Initial."""
    mac = hmac.new(bytes.fromhex(SALTS[version]), dcid, hashlib.sha256).digest()
    client = expand(mac, b"client in", 32)
    prefix = b"quicv2 " if version == 0x6B3343CF else b"quic "
    key, iv, hp = expand(client, prefix + b"key", 16), expand(client, prefix + b"iv", 12), expand(client, prefix + b"hp", 16)
    kind = 1 if version == 0x6B3343CF else 0
    head = bytes([0xC1 | kind << 4]) + version.to_bytes(4, "big") + bytes([len(dcid)]) + dcid + b"\x05scid." + varint(len(token)) + token
    frames += b"\0" * max(0, size - len(head) - 4 - len(frames) - 16)
    head += (0x4000 | len(frames) + 18).to_bytes(2, "big")
    number_bytes = number.to_bytes(2, "big")
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    protected = AESGCM(key).encrypt(nonce, frames, head + number_bytes)
    sample = (number_bytes + protected)[4:20]
    encryptor = Cipher(algorithms.AES(hp), modes.ECB()).encryptor()
    mask = encryptor.update(sample)
    first = bytes([head[0] ^ mask[0] & 0x0F])
    return first + head[1:] + bytes(a ^ b for a, b in zip(number_bytes, mask[1:])) + protected


def crypto(message, start, end):
    return b"\x06" + varint(start) + varint(len(message[start:end])) + message[start:end]


def hello(name, keys=32, ech=False):
    """RFC 8446, 4.1.2, with a key share of as many bytes."""
    def extension(kind, data):
        return kind.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data

    sni = len(name).to_bytes(2, "big") + name.encode()
    extensions = extension(51, b"k" * keys) + extension(0, (len(sni) + 1).to_bytes(2, "big") + b"\0" + sni)
    extensions += extension(0xFE0D, b"\0" * 40) if ech else b""
    extensions += extension(57, b"\x01\x02\x43\xe8")
    body = b"\x03\x03" + b"r" * 32 + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + len(extensions).to_bytes(2, "big") + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def flow(*datagrams):
    return b"".join(len(each).to_bytes(2, "big") + each for each in datagrams)


def quic():
    one = hello("quic.example")
    write("quic", "one", flow(initial(crypto(one, 0, None)), b"\x4f" + b"\xee" * 40))
    write("quic", "version-2", flow(initial(crypto(one, 0, None), version=0x6B3343CF)))
    write("quic", "draft-29", flow(initial(crypto(one, 0, None), version=0xFF00001D)))
    # Frames of one packet in any order, with others between.
    parts = [(60, 70), (0, 1), (70, None), (20, 60), (1, 20)]
    mixed = b"\x01".join(crypto(one, *part) for part in parts)
    write("quic", "shuffled", flow(initial(mixed, number=3)))
    # A hello of three datagrams, the last one first; and a packet of another kind behind the second.
    large = hello("quic.example", keys=2400)
    behind = b"\xd1\0\0\0\x01\x08" + b"\x83\x94\xc8\xf0\x3e\x51\x57\x08" + b"\x05scid." + varint(30) + b"z" * 30
    write("quic", "three-datagrams", flow(
        initial(crypto(large, 2000, None), number=2),
        initial(crypto(large, 1000, 2000), number=1, size=0) + behind,
        initial(crypto(large, 0, 1000), number=0),
    ))
    # After a Retry the client is called otherwise, and so are the keys derived.
    write("quic", "retry", flow(
        initial(crypto(large, 0, 1000)),
        initial(crypto(large, 0, 1000), dcid=b"retried!", token=b"token" * 10, number=1),
        initial(b"\x02\x01\0\0\x01" + crypto(large, 1000, 1900), dcid=b"retried!", token=b"token" * 10, number=2),
        initial(crypto(large, 1900, None), dcid=b"retried!", token=b"token" * 10, number=3),
    ))
    write("quic", "ech", flow(initial(crypto(hello("quic.example", ech=True), 0, None))))
    named = hello(f"{IMEI}.t.example", keys=1300)
    write("quic", "value-in-the-name", flow(initial(crypto(named, 0, 1360)), initial(crypto(named, 1360, None), number=1)))
    forged = b"\xc3\0\0\0\x01\x08 8 bytes\0\0\x41\x00imei=" + IMEI.encode() + b";" + b"p" * 300
    write("quic", "forged", flow(forged))


def egress():
    """What a proxy answers (RFC 1928, 1929, RFC 9110); before it which exchange, in what pieces, how often over."""
    associate, connect, http, login = 0, 4, 2, 1
    v4, v6, name = b"\x01\xc0\0\x02\x07\x048", b"\x04" + b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07\x048", b"\x03\x03a.b\x048"
    once = b"\x02\0"
    write("egress", "associate-v4", bytes([associate]) + once + b"\x05\0\x05\0\0" + v4)
    write("egress", "associate-v6", bytes([associate | 8 | login]) + once + b"\x05\x02\x01\0\x05\0\0" + v6)
    write("egress", "connect-name", bytes([connect | login]) + once + b"\x05\0\x05\0\0" + name + b"220 hello\r\n")
    write("egress", "wrong-login", bytes([connect | login]) + once + b"\x05\x02\x01\x01")
    write("egress", "refused", bytes([connect]) + once + b"\x05\0\x05\x05\0" + v4)
    write("egress", "datagram-v4", bytes([connect]) + once + b"\0\0\0" + v4 + b"payload")
    write("egress", "datagram-v6", bytes([connect]) + once + b"\0\0\0" + v6 + b"payload")
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    write("egress", "http-open", bytes([http | login]) + once + early + b"HTTP/1.1 200 Connection established\r\n\r\n220 hello\r\n")
    write("egress", "http-login", bytes([http]) + once + b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    write("egress", "http-interim-for-ever", bytes([http]) + b"\x10\x1f" + early)
    write("egress", "http-endless-head", bytes([http]) + b"\xff\x1f" + b"HTTP/1.1 200 OK\r\n" + b"x" * 700)


if __name__ == "__main__":
    http2()
    websocket()
    mqtt()
    coap()
    quic()
    egress()
