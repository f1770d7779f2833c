"""Bytes that say nothing, compressed or not, images, and ciphertext."""

import hashlib
import struct
import zlib

from . import encode, web, wire
from .case import Book
from .encode import base64ed, gzipped, hexed
from .ordinary import body, dice_for


def add(book: Book) -> None:
    noise(book)
    opaque(book)


def noise(book: Book) -> None:
    for at in range(12):
        dice = dice_for(f"noise {at}")
        data = dice.randbytes(1_500)
        body(book, "random bytes", f"body {at}", data, "application/octet-stream")
        if at < 4:
            book.datagram("ordinary random bytes", f"datagrams {at}", [dice.randbytes(300) for _ in range(3)])
            book.add("ordinary random bytes", f"TCP {at}", dice.randbytes(1_200), port=7000)
            body(book, "random bytes", f"base64 {at}", base64ed(dice.randbytes(900)), "text/plain")
            body(book, "random bytes", f"hex {at}", hexed(dice.randbytes(700)), "text/plain")
        words = " ".join(
            dice.choice(["idle", "sync", "tick", "open", "close", "page"]) + str(dice.randrange(10**6))
            for _ in range(300)
        ).encode()
        squeeze, header = [
            (gzipped, "gzip"),
            (encode.zlibbed, "deflate"),
            (encode.brotlied, "br"),
            (encode.zstded, "zstd"),
        ][at % 4]
        book.add("ordinary compressed noise", f"{header} {at}", web.post(squeeze(words), {"Content-Encoding": header}))
        fields = [
            (
                dice.randrange(1, 60),
                dice.choice(
                    [
                        dice.randrange(1 << 62),
                        dice.randbytes(12),
                        ("fixed64", dice.randrange(1 << 63)),
                        dice.random() * 100,
                        ("fixed32", dice.randrange(1 << 31)),
                    ]
                ),
            )
            for _ in range(60)
        ]
        body(
            book,
            "protobuf noise",
            f"message {at}",
            encode.protobuf((1, encode.protobuf(*fields[:20])), *fields[20:]),
            "application/x-protobuf",
        )
    for at in range(4):
        dice = dice_for(f"image {at}")
        rows = b"".join(b"\0" + bytes(dice.choice(range(at + 2)) for _ in range(96)) for _ in range(40))

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        png = (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 96, 40, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", encode.zlibbed(rows))
            + chunk(b"IEND", b"")
        )
        body(book, "images", f"PNG {at}", png, "image/png")
        body(
            book,
            "images",
            f"PNG {at}, multipart",
            encode.multipart(
                [('Content-Disposition: form-data; name="f"; filename="a.png"\r\nContent-Type: image/png', png)], "b-17"
            ),
            "multipart/form-data; boundary=b-17",
        )
        jpeg = (
            b"\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xdb\x00\x43\0"
            + dice.randbytes(64)
            + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
            + dice.randbytes(1_400)
            + b"\xff\xd9"
        )
        body(book, "images", f"JPEG {at}", jpeg, "image/jpeg")
        body(book, "images", f"JPEG {at}, data URI", {"img": "data:image/jpeg;base64," + base64ed(jpeg)})


def opaque(book: Book) -> None:
    """Ciphertext: nothing to see, and nothing to be seen in it."""
    for at in range(4):
        book.add("ordinary ciphertext", f"TLS {at}", wire.tls_session(f"c{at}.example", 1_800), port=443)
        dice = dice_for(f"quic {at}")
        sends = [wire.quic_initial(f"c{at}.example")] + [
            bytes([0x40 | dice.randrange(64)]) + dice.randbytes(400) for _ in range(3)
        ]
        book.datagram("ordinary ciphertext", f"QUIC {at}", sends, port=443)
        body(
            book,
            "ciphertext",
            f"AES in base64 {at}",
            {"d": base64ed(dice.randbytes(640)), "iv": hexed(dice.randbytes(16))},
        )
    for at, (name, kind) in enumerate([("A", 1), ("AAAA", 28), ("HTTPS", 65)]):
        book.datagram(
            "ordinary names",
            f"DNS, {name}",
            [
                wire.dns(f"{host}.example", kind)
                for host in ("www", "api.eu-west-1", "r3---sn-5go7yne6.cdn", "d2zr7ahk1n8gq.front")
            ],
            port=53,
        )
    book.datagram("ordinary names", "reverse DNS", wire.dns("9.113.0.203.in-addr.arpa", 12), port=53)
    book.datagram(
        "ordinary names",
        "long labels",
        wire.dns(f"{hashlib.sha1(b'cdn').hexdigest()}.{hexed(dice_for('label').randbytes(20))}.cdn.example"),
        port=53,
    )
