"""Registered values in streams and datagrams without a known framing, in several places, and far behind."""

import struct

from . import encode, web, wire
from .case import Book, Expect
from .encode import base64ed, compact, gzipped, hexed, protobuf
from .values import PERSON
from .wrapped import DEVICE, INNER, device


def add(book: Book) -> None:
    line_protocols(book)
    datagrams(book)
    streams(book)
    several(book)
    late(book)


def line_protocols(book: Book) -> None:
    at = ("stream",)

    def way(name, port, stream, *expect):
        book.add("raw stream", name, stream.encode() if isinstance(stream, str) else stream, *expect, port=port)

    way("FTP", 21, f"USER anonymous\r\nPASS {PERSON.email}\r\nQUIT\r\n", Expect("email", (), at))
    way("SMTP", 25, f"EHLO phone\r\nMAIL FROM:<{PERSON.email}>\r\nRCPT TO:<a@b.example>\r\n", Expect("email", (), at))
    way(
        "IRC",
        6667,
        f"NICK {PERSON.account}\r\nUSER a 0 * :{PERSON.phone}\r\n",
        Expect("account", (), at),
        Expect("phone", (), at),
    )
    way("JSON lines", 9999, f'{{"op":1}}\n{INNER}\n{{"op":2}}\n', *device("json", at=at))
    way("length and JSON", 9999, struct.pack(">I", len(INNER)) + INNER.encode(), *device("json", at=at))
    way("length and gzip", 9999, struct.pack(">I", 99) + gzipped(INNER.encode()), *device("gzip", at=at))
    way("gzip", 9999, gzipped(INNER.encode()), *device("gzip", at=at))
    way("zlib", 9999, encode.zlibbed(INNER.encode()), *device("zlib", at=at))
    way(
        "length and protobuf",
        5228,
        b"\x29" + b"\x02\x40" + protobuf((1, "x"), (3, ("fixed64", int(PERSON.gsf_id, 16))), (4, PERSON.gsf_id)),
        Expect("gsf_id", (), at),
    )
    way("Redis", 6379, f"*3\r\n$3\r\nSET\r\n$6\r\ndevice\r\n$15\r\n{PERSON.imei[0]}\r\n", Expect("imei", (), at))
    way("STOMP", 61613, f"SEND\ndestination:/q\n\n{INNER}\0", *device("json", at=at))
    way("XMPP", 5222, f"<stream:stream to='x.example'><iq from='{PERSON.email}/phone'/>", Expect("email", (), at))
    way("a value alone", 9999, PERSON.imei[0], Expect("imei", (), at))
    way(
        "noise around it",
        9999,
        wire.noise("a", 900) + f" {PERSON.iccid} ".encode() + wire.noise("b", 900),
        Expect("iccid", (), at),
    )
    way(
        "tracker, GT06 login",
        5023,
        b"\x78\x78\x0d\x01" + bytes.fromhex("0" + PERSON.imei[0]) + b"\x00\x01\x8c\xdd\r\n",
        Expect("imei", (), at, ("bcd",)),
    )
    way("tracker, length and IMEI", 5027, wire.short(PERSON.imei[0]), Expect("imei", (), at))


def datagrams(book: Book) -> None:
    at = ("datagram", "stream")

    def way(name, sends, *expect, port=7000):
        book.datagram("raw datagram", name, sends, *expect, port=port)

    way(
        "syslog", f"<134>Mar 14 08:15:42 phone app: imei={PERSON.imei[0]} up".encode(), Expect("imei", (), at), port=514
    )
    way("StatsD", f"app.{PERSON.android_id}.start:1|c".encode(), Expect("android_id", (), at), port=8125)
    way(
        "SSDP",
        f"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nUSN: uuid:{PERSON.advertising_id}\r\n\r\n".encode(),
        Expect("advertising_id", (), at),
        port=1900,
    )
    way("JSON", INNER.encode(), *device("json", at=at))
    way("base64", base64ed(INNER.encode()).encode(), *device("base64", at=at))
    way("gzip", gzipped(INNER.encode()), *device("gzip", at=at))
    way("protobuf", protobuf((1, PERSON.imei[0]), (2, PERSON.wifi_mac)), *device(at=at))
    way(
        "raw MAC, as DHCP has it",
        b"\x01\x01\x06\x00" + wire.noise("dhcp", 24) + bytes.fromhex(PERSON.wifi_mac.replace(":", "")) + bytes(202),
        Expect("wifi_mac", (), at, ("raw", "integer")),
        port=67,
    )
    way(
        "wake-on-LAN",
        b"\xff" * 6 + bytes.fromhex(PERSON.wifi_mac.replace(":", "")) * 16,
        Expect("wifi_mac", (), at, ("raw", "integer")),
        port=9,
    )
    way("the last of 50", [compact({"n": n}).encode() for n in range(50)] + [INNER.encode()], *device("json", at=at))
    way(
        "cut between two",
        [INNER[:20].encode(), INNER[20:].encode()],
        Expect("imei", (), at),
        Expect("wifi_mac", (), at),
    )
    way(
        "cut between three",
        [b"id=" + PERSON.imei[0][:4].encode(), PERSON.imei[0][4:9].encode(), PERSON.imei[0][9:].encode() + b";"],
        Expect("imei", (), at),
    )


def streams(book: Book) -> None:
    """Cut by writes, pipelining and broken framing; every case is cut at random by the runner as well."""
    imei = PERSON.imei[0]
    at = ("stream", "body")
    single = [bytes([byte]) for byte in web.post(INNER, "application/json")]
    book.add("cut", "a request byte by byte", single, *device("json"))
    single = [bytes([byte]) for byte in gzipped(INNER.encode())]
    book.add("cut", "gzip byte by byte", single, *device("gzip", at=at), port=9999)
    book.add("cut", "pipelined requests, the third", web.get("/a") + web.post("x=1") + web.post(INNER), *device("json"))
    book.add(
        "cut",
        "behind broken chunking",
        web.chunked(b"abc", [3])[:-7] + b"zz\r\n" + imei.encode() + b"\n",
        Expect("imei", (), at),
    )
    book.add("cut", "Expect: 100-continue", web.post(INNER, {"Expect": "100-continue"}), *device("json"))
    book.add(
        "cut",
        "no length, to the end",
        b"POST / HTTP/1.0\r\nHost: c.example\r\n\r\n" + INNER.encode(),
        Expect("imei", (), at),
        Expect("wifi_mac", (), at),
    )
    book.add(
        "cut",
        "a header of many lines",
        web.get("/", {"X-" + "y" * n: "z" * 40 for n in range(1, 60)} | {"X-Id": imei}),
        Expect("imei", (), ("header",)),
    )
    book.add(
        "cut", "a target of 8 KiB", web.get("/?pad=" + "0a" * 4096 + f"&id={imei}"), Expect("imei", (), ("query",))
    )
    book.add(
        "cut",
        "RTSP",
        f"OPTIONS rtsp://c.example/{imei} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode(),
        Expect("imei", (), ("path", "stream", "query", "header")),
        port=554,
    )
    book.add(
        "cut",
        "lines end with LF alone",
        f"POST / HTTP/1.1\nHost: c.example\nContent-Length: {len(INNER)}\n\n{INNER}".encode(),
        Expect("imei", (), at),
        Expect("wifi_mac", (), at),
    )


def several(book: Book) -> None:
    """A dozen values in one message: none hides another."""
    body = compact(
        {"a": [PERSON.text(kind) for kind in ("imei", "imsi", "iccid", "wifi_mac", "android_id", "email", "phone")]}
    )
    kinds = ("imei", "imsi", "iccid", "wifi_mac", "android_id", "email", "phone")
    book.add("several", "seven in a list", web.post(body), *[Expect(kind, ("json",)) for kind in kinds])
    body = "".join(f"{PERSON.text(kind)}," for kind in kinds)
    book.add("several", "seven, joined by commas", web.post(body), *[Expect(kind) for kind in kinds])
    body = f"IMEI{PERSON.imei[0]}IMSI{PERSON.imsi}MAC{PERSON.wifi_mac.replace(':', '')}OK"
    book.add(
        "several",
        "between words, without separators",
        web.post(body),
        Expect("imei"),
        Expect("imsi"),
        Expect("wifi_mac"),
    )
    body = compact(
        {
            "a": base64ed(PERSON.imei[0].encode()),
            "b": hexed(PERSON.email.encode()),
            "c": base64ed(gzipped(PERSON.iccid.encode())),
            "d": PERSON.imsi,
        }
    )
    book.add(
        "several",
        "each in its own wrapper",
        web.post(body),
        Expect("imei", ("base64",)),
        Expect("email", ("hex",)),
        Expect("iccid", ("gzip",)),
        Expect("imsi", ("json",)),
    )
    request = web.post(f"m={PERSON.wifi_mac}", {"X-I": PERSON.imei[0]}, target=f"/{PERSON.android_id}?e={PERSON.email}")
    book.add(
        "several",
        "in every part of a request",
        request,
        Expect("wifi_mac"),
        Expect("imei", (), ("header",)),
        Expect("android_id", (), ("path",)),
        Expect("email", (), ("query",)),
    )


def late(book: Book) -> None:
    """Values behind a long beginning, and at the very end."""
    for size in (4_090, 65_530, 262_140, 700_000):
        pad = "x" * size
        book.add(
            "late", f"{size} bytes before it, JSON", web.post(compact({"log": pad, "device": DEVICE})), *device("json")
        )
        book.add("late", f"{size} bytes before it, TCP", f"{pad} {INNER}".encode(), *device(at=("stream",)), port=9999)
    pad = compact({"log": "y" * 90_000, "device": DEVICE}).encode()
    book.add("late", "base64 of 120 KiB", web.post(base64ed(pad)), *device("base64"))
    book.add("late", "hex of 180 KiB", web.post(hexed(pad)), *device("hex"))
    book.add("late", "gzip of 90 KiB", web.post(gzipped(pad), {"Content-Encoding": "gzip"}), *device("gzip", "json"))
    book.add("late", "the last byte of a body", web.post(" " * 16_369 + PERSON.imei[0]), Expect("imei"))
    book.add(
        "late",
        "chunks, 100 KiB before it",
        web.chunked(b"z" * 100_000 + b" " + INNER.encode(), [4096]),
        *device("chunked"),
    )
