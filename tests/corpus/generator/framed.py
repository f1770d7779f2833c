"""Registered values in framing other than HTTP/1, and cut by whatever cuts on the way."""

import hashlib
import struct

from . import encode, web, wire
from .case import Book, Expect
from .encode import base32ed, base64ed, compact, gzipped, hexed, protobuf
from .values import PERSON
from .wrapped import DEVICE, INNER, device


def add(book: Book) -> None:
    http2(book)
    websocket(book)
    mqtt(book)
    coap(book)
    names(book)
    hellos(book)


def http2(book: Book) -> None:
    data = INNER.encode()

    def way(name, stream, *expect):
        book.add("wrapper http2", name, stream, *expect)

    def body(*chain):
        return device("http2", *chain, at=("body", "stream"))

    def here(kind, *at):
        return Expect(kind, ("http2",), (*at, "stream"))

    way("JSON", web.http2([([("content-type", "application/json")], data)]), *body("json"))
    way("gzip", web.http2([([("content-encoding", "gzip")], gzipped(data))]), *body("gzip", "json"))
    way("brotli", web.http2([([("content-encoding", "br")], encode.brotlied(data))]), *body("brotli", "json"))
    way("frames of 5 bytes", web.http2([([], data)], frame_size=5), *body("json"))
    way(
        "gzip in frames of 7 bytes",
        web.http2([([("content-encoding", "gzip")], gzipped(data))], frame_size=7),
        *body("gzip"),
    )
    way(
        "two streams in turn",
        web.http2([([], b"idle " * 20), ([], data)], frame_size=11, interleaved=True),
        *body("json"),
    )
    way("path", web.http2([([(":path", f"/d/{PERSON.imei[0]}/x")], b"")]), here("imei", "path", "header"))
    way(
        "query",
        web.http2([([(":path", f"/d?mail={PERSON.email.replace('@', '%40')}")], b"")]),
        here("email", "query", "header"),
    )
    way("a header", web.http2([([("x-device", PERSON.android_id)], b"")]), here("android_id", "header"))
    way(
        "a header of the dynamic table",
        web.http2([([("x-a", "1"), ("x-device", PERSON.imei[1])], b""), ([("x-device", PERSON.imei[1])], b"")]),
        here("imei", "header"),
    )
    headers = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "c.example"),
        (":path", "/"),
        ("x-gaid", PERSON.advertising_id),
    ]
    way("without Huffman", web.http2_frames(headers, b"", huffman=False), here("advertising_id", "header"))
    way("CONTINUATION", web.http2_frames(headers, b"", split_headers=9), here("advertising_id", "header"))
    way(
        "padding and priority",
        web.http2_frames(headers, data, pad=31, priority=True),
        here("advertising_id", "header"),
        *body("json"),
    )
    grpc = [("content-type", "application/grpc"), ("te", "trailers")]
    message = protobuf((1, PERSON.imei[0]), (2, PERSON.wifi_mac))
    way("gRPC", web.http2([(grpc, web.grpc(message))]), *body())
    way("gRPC, gzip", web.http2([(grpc, web.grpc(message, compressed=True))]), *body("gzip"))
    way(
        "gRPC, the third message",
        web.http2([(grpc, web.grpc(b"") + web.grpc(protobuf((1, 2))) + web.grpc(message))]),
        *body(),
    )
    upgraded = web.get(
        "/", {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    )
    way("after an upgrade", upgraded + web.http2([([], data)]), *body("json"))
    many = [([("x-turn", str(turn))], b"idle") for turn in range(60)]
    way("the last of 60 requests", web.http2(many + [([], data)]), *body("json"))


def websocket(book: Book) -> None:
    data = INNER.encode()

    def way(name, frames, *expect, deflate=False):
        book.add("wrapper websocket", name, web.upgrade(deflate=deflate) + frames, *expect)

    def found(*chain):
        return device("websocket", *chain, at=("body", "stream"))

    frame = web.websocket
    way("text", frame(data), *found("json"))
    way("binary, protobuf", frame(protobuf((1, PERSON.imei[0]), (2, PERSON.wifi_mac)), opcode=2), *found())
    way(
        "a message in frames of 9",
        b"".join(
            frame(
                data[at : at + 9], opcode=0 if at else 1, final=at + 9 >= len(data), mask=bytes([at % 256, 7, 0, 255])
            )
            for at in range(0, len(data), 9)
        ),
        *found("json"),
    )
    way(
        "a ping inside a message",
        frame(data[:30], final=False) + frame(b"hi", opcode=9) + frame(data[30:], opcode=0),
        *found("json"),
    )
    way(
        "the last of many",
        b"".join(frame(b'{"n":%d}' % at, mask=struct.pack(">I", at * 2_654_435_761 % (1 << 32))) for at in range(200))
        + frame(data),
        *found("json"),
    )
    way("a long frame", frame(b"x" * 70_000 + data), *found())
    way("a mask of zeros", frame(data, mask=bytes(4)), *found("json"))
    way("base64", frame(base64ed(data).encode()), *found("base64", "json"))
    way("deflate", web.websocket_deflated([data]), *found(), deflate=True)
    way(
        "deflate, one context",
        web.websocket_deflated([b'{"imei":"none","mac":"none"}', data, b"bye"]),
        *found(),
        deflate=True,
    )
    way("in the URL", b"", Expect("imei", (), ("query",)))
    book.cases[-1].sends = [web.upgrade(f"/socket?imei={PERSON.imei[0]}")]
    way("a close reason", frame(b"\x03\xe8" + PERSON.email.encode(), opcode=8), Expect("email", (), ("body", "stream")))


def mqtt(book: Book) -> None:
    imei, android = PERSON.imei[0], PERSON.android_id
    at = ("stream", "body", "header", "path")

    def found(kind, *chain):
        return Expect(kind, ("mqtt", *chain), at)

    def way(name, stream, *expect):
        book.add("wrapper mqtt", name, stream, *expect, port=1883)

    connect, publish = wire.mqtt_connect, wire.mqtt_publish
    hello = connect("app-17")
    way("client id", connect(imei), found("imei"))
    way("client id with a prefix", connect(f"android_{android}"), found("android_id"))
    way("MQTT 5 client id", connect(android, version=5), found("android_id"))
    way("user name", connect("a", user=PERSON.email, password="x"), found("email"))
    way("password", connect("a", user="u", password=imei), found("imei"))
    way("will", connect("a", will=(f"dev/{imei}/gone", "1")), found("imei"))
    way("topic", hello + publish(f"t/{imei}/up", "{}"), found("imei"))
    way("payload", hello + publish("t/up", INNER), *device("mqtt", "json", at=at))
    way("gzip payload", hello + publish("t/up", gzipped(INNER.encode()), qos=1), *device("mqtt", "gzip", at=at))
    way(
        "protobuf payload",
        hello + publish("t/up", protobuf((1, imei), (2, PERSON.wifi_mac)), qos=2),
        *device("mqtt", at=at),
    )
    way("base64 payload", hello + publish("t/up", base64ed(INNER.encode())), *device("mqtt", "base64", at=at))
    way(
        "the last of many",
        hello + b"".join(publish("t/up", compact({"n": n})) for n in range(100)) + publish("t/up", INNER),
        *device("mqtt", "json", at=at),
    )
    way("subscription", hello + wire.mqtt(8, 2, b"\0\1" + wire.short(f"cmd/{imei}/#") + b"\1"), found("imei"))
    body = connect(imei)
    book.add(
        "wrapper mqtt",
        "in WebSocket",
        web.upgrade() + web.websocket(body, opcode=2),
        Expect("imei", ("websocket",), ("body", "stream")),
    )


def coap(book: Book) -> None:
    imei = PERSON.imei[0]

    def way(name, message, *expect, port=5683):
        book.datagram("wrapper coap", name, message, *expect, port=port)

    here = ("datagram", "body", "path", "query")
    way("payload", wire.coap(["r"], INNER.encode()), *device("coap", at=here))
    way("base64 payload", wire.coap(["nb"], base64ed(INNER.encode()).encode()), *device("coap", "base64", at=here))
    way("path", wire.coap(["d", imei, "up"], b"1"), Expect("imei", (), here))
    way("query", wire.coap(["d"], b"1", queries=["v=1", f"imei={imei}"]), Expect("imei", (), here))
    way("long options", wire.coap(["d" * 20, "e" * 300], INNER.encode(), options=[(2048, b"z")]), *device(at=here))
    way("on another port", wire.coap(["r"], gzipped(INNER.encode())), *device("gzip", at=here), port=7252)
    way("protobuf payload", wire.coap(["r"], protobuf((1, imei), (2, PERSON.wifi_mac))), *device(at=here))
    way(
        "raw BCD payload",
        wire.coap(["r"], b"\x01\x08" + encode.bcd(imei) + b"\x02"),
        Expect("imei", (), here, ("bcd",)),
    )


def names(book: Book) -> None:
    imei, android = PERSON.imei[0], PERSON.android_id
    at = ("name",)

    def way(name, asked, *expect):
        book.datagram("wrapper dns", name, wire.dns(asked), *expect, port=53)

    way("a label", f"{imei}.t.example", Expect("imei", (), at))
    way("part of a label", f"d-{android}-1.t.example", Expect("android_id", (), at))
    way("hex", f"{hexed(imei.encode())}.t.example", Expect("imei", ("hex",), at))
    way("base32", f"{base32ed(imei.encode(), padded=False, lower=True)}.t.example", Expect("imei", ("base32",), at))
    way(
        "base32, upper case",
        f"{base32ed(android.encode(), padded=False)}.t.example",
        Expect("android_id", ("base32",), at),
    )
    way(
        "mixed case",
        "".join(c.upper() if n % 2 else c for n, c in enumerate(f"{android}.t.example")),
        Expect("android_id", (), at),
    )
    way("cut by a dot", f"{imei[:7]}.{imei[7:]}.t.example", Expect("imei", (), at))
    way("dashes", PERSON.wifi_mac.replace(":", "-") + ".t.example", Expect("wifi_mac", (), at))
    way("octets as labels", PERSON.wifi_mac.replace(":", ".") + ".t.example", Expect("wifi_mac", (), at))
    text = hexed(compact(DEVICE).encode())
    way(
        "hex over labels",
        ".".join(text[n : n + 60] for n in range(0, len(text), 60)) + ".t.example",
        *device("hex", at=at),
    )
    text = base32ed(f"i={imei};m={PERSON.wifi_mac}".encode(), padded=False, lower=True)
    way(
        "base32 over labels",
        ".".join(text[n : n + 30] for n in range(0, len(text), 30)) + ".t.example",
        *device("base32", at=at),
    )
    way("MD5", "u." + hashlib.md5(imei.encode()).hexdigest() + ".t.example", Expect("imei", (), at, ("md5",)))
    query = wire.dns(f"{imei}.t.example", kind=16)
    book.add("wrapper dns", "over TCP", wire.short(query), Expect("imei", (), at), port=53)
    book.add(
        "wrapper dns",
        "host name of a request",
        web.get("/", host=f"{android}.t.example"),
        Expect("android_id", (), ("header",)),
    )


def hellos(book: Book) -> None:
    android = PERSON.android_id
    at = ("name", "stream", "datagram", "header")
    name = f"{android}.t.example"
    session = wire.tls_session(name, 200)
    book.add("name sni", "whole", session, Expect("android_id", (), at), port=443)
    book.add(
        "name sni",
        "in records of 40 bytes",
        wire.tls_session(name, 200, fragment=40),
        Expect("android_id", (), at),
        port=443,
    )
    book.add(
        "name sni",
        "hex",
        wire.tls_session(hexed(PERSON.imei[0].encode()) + ".t.example", 90),
        Expect("imei", ("hex",), at),
        port=443,
    )
    book.add(
        "name sni",
        "after STARTTLS",
        b"EHLO a.example\r\nSTARTTLS\r\n" + session,
        Expect("android_id", (), at),
        port=587,
    )
    book.add(
        "name sni",
        "after CONNECT",
        b"CONNECT c.example:443 HTTP/1.1\r\nHost: c.example:443\r\n\r\n" + session,
        Expect("android_id", (), at),
        port=3128,
    )
    for version, label in [(1, "v1"), (0x6B3343CF, "v2")]:
        book.datagram("name quic", label, wire.quic_initial(name, version), Expect("android_id", (), at), port=443)
    book.datagram(
        "name quic",
        "CRYPTO frames out of order",
        wire.quic_initial(name, splits=[60, 130]),
        Expect("android_id", (), at),
        port=443,
    )
    clear = wire.tls_session("c.example", 500) + f"imei={PERSON.imei[0]};".encode()
    book.add("name sni", "cleartext behind TLS records", clear, Expect("imei", (), ("stream",)), port=443)
    close = wire.tls_session("c.example", 500) + web.post(INNER)
    book.add("name sni", "a request behind TLS records", close, *device(at=("stream", "body")), port=443)
