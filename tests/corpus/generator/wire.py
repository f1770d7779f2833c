"""Protocols beside HTTP: MQTT, CoAP, DNS, TLS and QUIC hellos, by their RFCs."""

import random
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .encode import varint


def noise(name: str, count: int) -> bytes:
    """Random bytes, the same for the same name."""
    return random.Random(name).randbytes(count)


def short(text: bytes | str) -> bytes:
    """Two bytes of length and the text."""
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(data)) + data


def mqtt(kind: int, flags: int, body: bytes) -> bytes:
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def mqtt_connect(
    client: str, user: str = "", password: str = "", will: tuple[str, str] | None = None, version: int = 4
) -> bytes:
    """CONNECT of MQTT 3.1.1 (4) or 5."""
    flags = 2 | (0x80 if user else 0) | (0x40 if password else 0) | (4 if will else 0)
    properties = b"\0" if version == 5 else b""
    body = short("MQTT") + bytes([version, flags]) + struct.pack(">H", 60) + properties + short(client)
    if will:
        body += properties + short(will[0]) + short(will[1])
    body += short(user) if user else b""
    body += short(password) if password else b""
    return mqtt(1, 0, body)


def mqtt_publish(topic: str, payload: bytes | str, qos: int = 0, version: int = 4) -> bytes:
    payload = payload.encode() if isinstance(payload, str) else payload
    packet = struct.pack(">H", 7) if qos else b""
    return mqtt(3, qos << 1, short(topic) + packet + (b"\0" if version == 5 else b"") + payload)


def coap(
    path: list[str], payload: bytes = b"", queries: list[str] = (), code: int = 2, options: list[tuple[int, bytes]] = ()
) -> bytes:
    """A confirmable POST (RFC 7252): Uri-Path is option 11, Uri-Query 15."""
    entries = [(11, part.encode()) for part in path] + [(15, query.encode()) for query in queries] + list(options)
    out = bytes([0x44, code]) + struct.pack(">H", 0x7A11) + b"\xde\xad\x01\x02"
    last = 0
    for number, value in sorted(entries, key=lambda entry: entry[0]):
        out += coap_head(number - last, len(value)) + value
        last = number
    return out + (b"\xff" + payload if payload else b"")


def coap_head(delta: int, length: int) -> bytes:
    def nibble(number):
        if number < 13:
            return number, b""
        if number < 269:
            return 13, bytes([number - 13])
        return 14, struct.pack(">H", number - 269)

    (first, more_delta), (second, more_length) = nibble(delta), nibble(length)
    return bytes([first << 4 | second]) + more_delta + more_length


def dns(name: str, kind: int = 1, ident: int = 0x1234) -> bytes:
    """A question with recursion desired, and an OPT record as resolvers send it."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    head = struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 1)
    return head + labels + struct.pack(">HH", kind, 1) + b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0)


def client_hello(name: str, extra: bytes = b"", alpn: list[str] = ("h2", "http/1.1")) -> bytes:
    """The handshake message, without its record."""
    dice = random.Random(f"hello {name}")
    server = struct.pack(">HHH", 0, len(name) + 5, len(name) + 3) + b"\0" + short(name)
    protocols = b"".join(bytes([len(protocol)]) + protocol.encode() for protocol in alpn)
    extensions = server + struct.pack(">HHH", 16, len(protocols) + 2, len(protocols)) + protocols
    extensions += struct.pack(">HH", 43, 5) + b"\x04\x03\x04\x03\x03"
    extensions += struct.pack(">HHHHH", 51, 38, 36, 29, 32) + dice.randbytes(32) + extra
    body = b"\x03\x03" + dice.randbytes(32) + b"\x20" + dice.randbytes(32)
    body += short(bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8")) + b"\x01\0" + short(extensions)
    return b"\x01" + len(body).to_bytes(3, "big") + body


def tls(kind: int, payload: bytes, version: int = 0x0303) -> bytes:
    """One record."""
    return struct.pack(">BH", kind, version) + short(payload)


def tls_session(name: str, sent: int, fragment: int = 0) -> bytes:
    """What a client sends: its hello (in records of `fragment` bytes, where given), then records of ciphertext."""
    hello = client_hello(name)
    step = fragment or len(hello)
    out = b"".join(tls(22, hello[at : at + step], 0x0301) for at in range(0, len(hello), step))
    return out + tls(20, b"\x01") + tls(23, noise(f"tls {name}", sent))


def quic_initial(name: str, version: int = 1, splits: list[int] = ()) -> bytes:
    """A client's first datagram (RFC 9000 17.2.2, RFC 9001 5, RFC 9369), CRYPTO frames cut at `splits` and out of order."""
    salt, labels, kind = {
        1: ("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", "quic", 0),
        0x6B3343CF: ("0dede3def700a6db819381be6e269dcbf9bd2ed9", "quicv2", 1),
    }[version]
    # A transport parameter alone, so that the hello is one of QUIC's.
    hello = client_hello(name, struct.pack(">HH", 57, 4) + b"\x01\x02\x67\x10", ["h3"])
    connection = noise(f"connection {name}", 8)
    secret = expand(extract(bytes.fromhex(salt), connection), "client in", 32)
    key, iv, mask_key = (
        expand(secret, f"{labels} {part}", size) for part, size in (("key", 16), ("iv", 12), ("hp", 16))
    )
    ends = [0, *splits, len(hello)]
    pieces = [(start, hello[start:end]) for start, end in zip(ends, ends[1:])]
    payload = b"".join(b"\x06" + quic_int(start) + quic_int(len(piece)) + piece for start, piece in reversed(pieces))
    payload += bytes(1_162 - len(payload))
    first = 0xC0 | kind << 4 | 3
    number = bytes(4)
    head = bytes([first]) + struct.pack(">I", version) + bytes([8]) + connection + b"\0\0"
    head += struct.pack(">H", 0x4000 | len(payload) + 4 + 16)
    sealed = AESGCM(key).encrypt(iv, payload, head + number)
    ecb = Cipher(algorithms.AES(mask_key), modes.ECB()).encryptor()
    mask = ecb.update(sealed[:16])
    head = bytes([first ^ mask[0] & 15]) + head[1:]
    return head + bytes(a ^ b for a, b in zip(number, mask[1:])) + sealed


def extract(salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract is an HMAC."""
    hmac = HMAC(salt, SHA256())
    hmac.update(secret)
    return hmac.finalize()


def expand(secret: bytes, label: str, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446, section 7.1) without a context."""
    full = f"tls13 {label}".encode()
    info = struct.pack(">H", size) + bytes([len(full)]) + full + b"\0"
    return HKDFExpand(SHA256(), size, info).derive(secret)


def quic_int(number: int) -> bytes:
    return struct.pack(">H", 0x4000 | number)
