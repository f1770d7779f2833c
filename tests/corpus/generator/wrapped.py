"""Registered values inside wrappers: each by itself in its variants, then one inside another."""

import random
from urllib.parse import quote_plus

from . import encode, web
from .case import Book, Expect
from .encode import (
    base32ed,
    base64ed,
    brotlied,
    compact,
    deflated,
    gzipped,
    hexed,
    protobuf,
    xored,
    zipped,
    zlibbed,
    zstded,
)
from .values import PERSON

DEVICE = {"IMEI": PERSON.imei[0], "os": "13", "mac": PERSON.wifi_mac, "build": "TA-1046_00WW"}
INNER = compact(DEVICE)
FORM = "application/x-www-form-urlencoded"
BYTES = "application/octet-stream"


def device(*chain: str, at: tuple[str, ...] = ("body",)) -> list[Expect]:
    return [Expect("imei", chain, at), Expect("wifi_mac", chain, at)]


def add(book: Book) -> None:
    texts(book)
    compressed(book)
    archives(book)
    multiparts(book)
    messages(book)
    transcoded(book)
    masked(book)
    chunks(book)


def texts(book: Book) -> None:
    """Percent, JSON, base64, base32 and hex."""
    data = INNER.encode()
    post = web.post
    book.add("wrapper percent", "whole body", post("d=" + encode.percented(INNER), FORM), *device("percent"))
    book.add(
        "wrapper percent",
        "every byte, lower case",
        post("d=" + encode.percented(INNER, every=True, lower=True), FORM),
        *device("percent"),
    )
    book.add(
        "wrapper percent", "twice", post("d=" + encode.percented(encode.percented(INNER)), FORM), *device("percent")
    )
    book.add(
        "wrapper percent",
        "every byte, twice",
        web.get("/p?x=" + encode.percented(encode.percented(PERSON.imei[0], every=True))),
        Expect("imei", ("percent",), ("query",)),
    )
    book.add(
        "wrapper percent",
        "blanks as +",
        post("m=" + quote_plus(f"tel {PERSON.phone[:3]} {PERSON.phone[3:7]} {PERSON.phone[7:]}"), FORM),
        Expect("phone", ("percent",)),
    )
    book.add(
        "wrapper percent",
        "mixed case escapes",
        post("mail=ingrid%2esolheim%40Post%2Eexample", FORM),
        Expect("email", ("percent",)),
    )
    book.add(
        "wrapper percent",
        "MAC in a path",
        web.get("/d/" + PERSON.wifi_mac.replace(":", "%3A")),
        Expect("wifi_mac", ("percent",), ("path",)),
    )
    book.add(
        "wrapper json",
        "escapes in upper case",
        post('{"a":"' + encode.escaped(PERSON.email).upper().replace("\\U", "\\u") + '"}'),
        Expect("email", ("json",)),
    )
    book.add(
        "wrapper json",
        "escaped solidus and quotes",
        post('{"u":"https:\\/\\/x.example\\/?m=\\"' + PERSON.email + '\\""}'),
        Expect("email", ("json",)),
    )
    book.add("wrapper json", "a key", post(compact({"by": {PERSON.imei[1]: {"n": 1}}})), Expect("imei", ("json",)))
    four = INNER
    for depth in range(3):
        four = compact({"d": four})
    book.add("wrapper json", "strings four deep", post(four), *device("json"))
    book.add(
        "wrapper json", "lines of JSON", post("\n".join([compact({"n": 1}), INNER, compact({"n": 2})])), *device("json")
    )
    book.add(
        "wrapper json",
        "blanks everywhere",
        post('{ "id" :\r\n\t"' + PERSON.advertising_id + '" ,\n "x" : [ ] }'),
        Expect("advertising_id", ("json",)),
    )
    book.add(
        "wrapper json",
        "not closed",
        post('{"a":{"b":"' + PERSON.imei[0]),
        Expect(
            "imei",
            (),
        ),
    )
    book.add("wrapper json", "JSONP", post(f"cb_17({INNER});"), *device())
    for name, text in [
        ("padded", base64ed(data)),
        ("not padded", base64ed(data, padded=False)),
        ("URL alphabet", base64ed(b"\xff\xfe?" + data, url=True, padded=False)),
        ("LF every 76", base64ed(data, column=76)),
        ("CRLF every 64", base64ed(data, column=64, end="\r\n")),
        ("LF every 19", base64ed(data, column=19)),
        ("CRLF every 7", base64ed(data, column=7, end="\r\n")),
        ("LF every 76, indented", base64ed(data, column=76, end="\n  ")),
    ]:
        book.add("wrapper base64", f"body, {name}", post(text, "text/plain"), *device("base64"))
    one = base64ed(data)
    for name, request, at in [
        ("data URI", post(compact({"f": "data:application/json;base64," + one})), ("body",)),
        ("behind a version", post("v1." + one), ("body",)),
        ("behind a letter and a colon", post("k:" + one + ":end"), ("body",)),
        ("LF as escapes in JSON", post(compact({"d": base64ed(data, column=76)})), ("body",)),
        ("form, escaped", post("a=1&d=" + encode.percented(one) + "&b=2", FORM), ("body",)),
        ("query, URL alphabet", web.get("/t?d=" + base64ed(data, url=True, padded=False) + "&v=2"), ("query",)),
        ("path", web.get("/t/" + base64ed(data, url=True, padded=False) + "/x.gif"), ("path",)),
        (
            "header",
            web.get("/t", {"Authorization": "Basic " + base64ed(f"{PERSON.imei[0]}:{PERSON.wifi_mac}".encode())}),
            ("header",),
        ),
        ("cookie", web.get("/t", {"Cookie": "i=1; sess=" + one + "; z=2"}), ("header",)),
        ("XML", post(f"<d enc='b64'>\n{base64ed(data, column=64)}</d>"), ("body",)),
        ("three times", post(base64ed(base64ed(base64ed(data).encode()).encode())), ("body",)),
        (
            "middle of a JWT",
            post(
                compact(
                    {
                        "t": ".".join(
                            [
                                base64ed(b'{"alg":"none","typ":"JWT"}', url=True, padded=False),
                                base64ed(data, url=True, padded=False),
                                "",
                            ]
                        )
                    }
                )
            ),
            ("body",),
        ),
    ]:
        book.add("wrapper base64", name, request, *device("base64", at=at))
    for lead in range(3):
        text = base64ed(b"#" * lead + PERSON.imei[0].encode() + b";")
        book.add(
            "wrapper base64",
            f"one value, shifted by {lead}",
            web.get(f"/t?d={encode.percented(text)}"),
            Expect("imei", ("base64",), ("query",)),
        )
    for name, text in [
        ("padded", base32ed(data)),
        ("not padded", base32ed(data, padded=False)),
        ("lower case", base32ed(data, padded=False, lower=True)),
    ]:
        book.add("wrapper base32", f"body, {name}", post(text, "text/plain"), *device("base32"))
        book.add("wrapper base32", f"JSON, {name}", post(compact({"i": 4, "k": text})), *device("base32"))
    book.add(
        "wrapper base32",
        "one value, query",
        web.get("/q?t=" + base32ed(PERSON.android_id.encode(), padded=False)),
        Expect("android_id", ("base32",), ("query",)),
    )
    for name, text in [
        ("lower case", hexed(data)),
        ("upper case", hexed(data, upper=True)),
        ("0x", "0x" + hexed(data)),
    ]:
        book.add("wrapper hex", f"form, {name}", post(f"a=1&d={text}&z=9", FORM), *device("hex"))
    book.add("wrapper hex", "whole body", post(hexed(data)), *device("hex"))
    book.add(
        "wrapper hex",
        "one value, query",
        web.get("/q?t=" + hexed(PERSON.email.encode())),
        Expect("email", ("hex",), ("query",)),
    )
    book.add(
        "wrapper hex",
        "one value, JSON",
        post(compact({"t": hexed(PERSON.iccid.encode(), upper=True)})),
        Expect("iccid", ("hex",)),
    )
    book.add(
        "wrapper hex",
        "header",
        web.get("/q", {"X-T": hexed(PERSON.imei[0].encode())}),
        Expect("imei", ("hex",), ("header",)),
    )
    book.add(
        "wrapper hex",
        "broken into lines",
        post("\n".join(hexed(data)[at : at + 64] for at in range(0, 2 * len(data), 64))),
        *device("hex"),
    )


def compressed(book: Book) -> None:
    data = compact({"pad": "telemetry " * 20, "device": DEVICE, "more": "telemetry " * 20}).encode()
    post = web.post

    def way(wrapper, name, body, headers, *chain):
        book.add(f"wrapper {wrapper}", name, post(body, headers), *device(wrapper, *chain))

    def coding(name):
        return {"Content-Type": "application/json", "Content-Encoding": name}

    way("gzip", "Content-Encoding", gzipped(data), coding("gzip"), "json")
    way("gzip", "no header", gzipped(data), BYTES, "json")
    way("gzip", "with a file name", gzipped(data, name="batch.json"), {"Content-Encoding": "gzip"}, "json")
    way("gzip", "not compressed at all", gzipped(data, level=0), coding("gzip"), "json")
    way("gzip", "header says deflate", gzipped(data), coding("deflate"), "json")
    way("gzip", "two members", gzipped(data[:90]) + gzipped(data[90:]), coding("gzip"), "json")
    way("gzip", "twice", gzipped(gzipped(data)), coding("gzip, gzip"), "json")
    way("gzip", "cut before its end", gzipped(data)[:-12], coding("gzip"))
    way("gzip", "behind a head of its own", b"\x00\x01GZ\x00\x00" + gzipped(data), BYTES)
    way("gzip", "base64 in JSON", compact({"d": base64ed(gzipped(data))}), "application/json", "json")
    way("gzip", "x-gzip", gzipped(data), coding("x-gzip"), "json")
    way("zlib", "Content-Encoding: deflate", zlibbed(data), coding("deflate"), "json")
    way("zlib", "no header", zlibbed(data), BYTES, "json")
    way("zlib", "level 1", zlibbed(data, level=1), BYTES, "json")
    way("zlib", "base64 in a form", "d=" + encode.percented(base64ed(zlibbed(data))), FORM, "json")
    way("zlib", "hex in JSON", compact({"d": hexed(zlibbed(data))}), "application/json", "json")
    way("deflate", "Content-Encoding", deflated(data), coding("deflate"), "json")
    way("deflate", "base64 in a form", "SAMLRequest=" + encode.percented(base64ed(deflated(data))), FORM)
    way("brotli", "Content-Encoding", brotlied(data), coding("br"), "json")
    way("brotli", "quality 11", brotlied(data, quality=11), coding("br"), "json")
    way("brotli", "quality 0", brotlied(data, quality=0), coding("br"), "json")
    way("brotli", "short", brotlied(INNER.encode()), coding("br"), "json")
    way("zstd", "Content-Encoding", zstded(data), coding("zstd"), "json")
    way("zstd", "no header", zstded(data), BYTES, "json")
    way("zstd", "size unknown", zstded(data, size_known=False), BYTES, "json")
    way("zstd", "two frames", zstded(data[:90]) + zstded(data[90:]), coding("zstd"), "json")
    way("zstd", "behind a skippable frame", b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstded(data), BYTES, "json")
    way("zstd", "base64 in JSON", compact({"d": base64ed(zstded(data))}), "application/json", "json")
    for name, squeeze, header in [
        ("gzip", gzipped, "gzip"),
        ("deflate", deflated, "deflate"),
        ("zlib", zlibbed, "deflate"),
        ("brotli", brotlied, "br"),
    ]:
        noise = random.Random(name).randbytes(4_000).hex() * 3
        big = compact({"log": noise * 4, "device": DEVICE}).encode()
        way(name, "96 KiB before the value", squeeze(big), coding(header), "json")


def archives(book: Book) -> None:
    data = INNER.encode()
    post = web.post
    log = ("2019-03-14 idle\n" * 30).encode()
    for name, body in [
        ("one entry", zipped({"data.json": data})),
        ("stored", zipped({"data.json": data}, stored=True)),
        ("the last of three", zipped({"a.log": log, "b.log": log, "c/data.json": data})),
        ("sizes behind the data", zipped({"a.log": log, "data.json": data}, streamed=True)),
        ("stored, sizes behind the data", zipped({"data.json": data}, stored=True, streamed=True)),
        ("in a zip", zipped({"inner.zip": zipped({"data.json": data})})),
    ]:
        book.add("wrapper zip", name, post(body, "application/zip"), *device("zip"))
    book.add(
        "wrapper zip",
        "name of an entry",
        post(zipped({f"logs/{PERSON.imei[0]}.txt": log}), "application/zip"),
        Expect("imei"),
    )
    book.add(
        "wrapper zip",
        "base64 in JSON",
        post(compact({"z": base64ed(zipped({"d.json": data}), column=76)})),
        *device("base64", "zip"),
    )
    book.add(
        "wrapper zip", "gzip inside", post(zipped({"d.gz": gzipped(data)}), "application/zip"), *device("zip", "gzip")
    )


def multiparts(book: Book) -> None:
    data = INNER.encode()
    disposition = 'Content-Disposition: form-data; name="{}"'.format

    def way(name, parts, *expect, boundary="----WebKitFormBoundary7MA4YWxkTrZu0gW"):
        body = encode.multipart(parts, boundary)
        book.add("wrapper multipart", name, web.post(body, f"multipart/form-data; boundary={boundary}"), *expect)

    way(
        "a field",
        [(disposition("imei"), PERSON.imei[0].encode()), (disposition("x"), b"1")],
        Expect("imei", ("multipart",)),
    )
    way(
        "a JSON part",
        [(disposition("m"), b"1"), (disposition("d") + "\r\nContent-Type: application/json", data)],
        *device("multipart", "json"),
    )
    way(
        "a gzip part",
        [(disposition("f") + '; filename="l.gz"\r\nContent-Type: application/gzip', gzipped(data))],
        *device("multipart", "gzip"),
    )
    way(
        "a zip part",
        [(disposition("f") + '; filename="l.zip"\r\nContent-Type: application/zip', zipped({"d.json": data}))],
        *device("multipart", "zip"),
    )
    way(
        "a base64 part",
        [(disposition("f") + "\r\nContent-Transfer-Encoding: base64", base64ed(data, column=76).encode())],
        *device("multipart", "base64"),
    )
    way("a file name", [(disposition("f") + f'; filename="{PERSON.android_id}.log"', b"idle")], Expect("android_id"))
    way(
        "short values by the names of parts",
        [(disposition("ssid"), b"Elva7"), (disposition("tac"), str(PERSON.tac).encode())],
        Expect("ssid", ("multipart",)),
        Expect("tac", ("multipart",)),
    )
    way(
        "raw bytes",
        [(disposition("k"), bytes.fromhex(PERSON.android_id)), (disposition("x"), b"1")],
        Expect("android_id", ("multipart",)),
    )
    way(
        "an odd boundary",
        [(disposition("imei"), PERSON.imei[0].encode())],
        Expect("imei", ("multipart",)),
        boundary="0xKhTmLbOuNdArY",
    )
    inner = encode.multipart([("Content-Type: application/json", data)], "inner--1")
    way(
        "a multipart part",
        [(disposition("f") + "\r\nContent-Type: multipart/mixed; boundary=inner--1", inner)],
        *device("multipart", "json"),
    )


def messages(book: Book) -> None:
    """Protobuf without a schema."""
    protobuf_type = "application/x-protobuf"

    def way(name, body, *expect):
        book.add("wrapper protobuf", name, web.post(body, protobuf_type), *expect)

    imei, mac = PERSON.imei[0], PERSON.wifi_mac
    both = [Expect("imei", ("protobuf",)), Expect("wifi_mac", ("protobuf",))]
    way("texts", protobuf((1, imei), (2, 3), (5, mac)), *both)
    way("nested three deep", protobuf((1, 7), (2, protobuf((3, protobuf((1, imei), (15, mac))))), (9, "z")), *both)
    way("repeated", protobuf((4, "a"), (4, imei), (4, mac), (4, "b")), *both)
    way("high field numbers", protobuf((2047, imei), (19_001, mac), (1, 1)), *both)
    android = Expect("android_id", ("protobuf",))
    way("varint", protobuf((1, "os"), (7, int(PERSON.android_id, 16)), (8, 1)), android)
    way("fixed64", protobuf((1, "os"), (7, ("fixed64", int(PERSON.android_id, 16))), (8, 1)), android)
    way("bytes", protobuf((1, bytes.fromhex(PERSON.android_id)), (2, 5)), android)
    way("IMEI as a varint", protobuf((1, int(imei)), (2, "x")), Expect("imei", ("protobuf",)))
    way(
        "cell id as a varint, beside an IMEI",
        protobuf((1, imei), (2, PERSON.cell_id)),
        Expect("imei", ("protobuf",)),
        Expect("cell_id", ("protobuf",)),
    )
    way("JSON in a text", protobuf((1, 1), (2, INNER)), *device("protobuf", "json"))
    way("gzip in bytes", protobuf((1, 1), (2, gzipped(INNER.encode()))), *device("protobuf", "gzip"))
    delimited = b"".join(encode.varint(len(m)) + m for m in [protobuf((1, "a")), protobuf((1, imei), (2, mac))])
    book.add("wrapper protobuf", "delimited messages", web.post(delimited, BYTES), Expect("imei"), Expect("wifi_mac"))
    book.add(
        "wrapper protobuf",
        "gzip",
        web.post(gzipped(protobuf((1, imei), (2, mac))), {"Content-Encoding": "gzip", "Content-Type": protobuf_type}),
        Expect("imei", ("gzip",)),
        Expect("wifi_mac", ("gzip",)),
    )
    book.add(
        "wrapper protobuf",
        "base64 in JSON",
        web.post(compact({"pb": base64ed(protobuf((1, imei), (2, mac)))})),
        Expect("imei", ("base64",)),
        Expect("wifi_mac", ("base64",)),
    )


def transcoded(book: Book) -> None:
    """UTF-16 of either order."""
    for order, mark in [("le", b"\xff\xfe"), ("be", b"\xfe\xff")]:
        data = INNER.encode(f"utf-16-{order}")
        book.add(
            "wrapper utf16",
            f"{order}, with a mark",
            web.post(mark + data, "application/json; charset=utf-16"),
            *device("utf16"),
        )
        book.add("wrapper utf16", f"{order}, without a mark", web.post(data, BYTES), *device("utf16"))
        book.add(
            "wrapper utf16", f"{order}, base64", web.post(compact({"e": base64ed(data)})), *device("base64", "utf16")
        )
        book.add(
            "wrapper utf16",
            f"{order}, among binary, odd offset",
            web.post(b"\x00\x01\x07" + f"id={PERSON.imei[0]};".encode(f"utf-16-{order}") + b"\x00\x00\x05", BYTES),
            Expect("imei", ("utf16",)),
        )
        book.add(
            "wrapper utf16",
            f"{order}, TCP",
            f"HELLO {PERSON.email}\r\n".encode(f"utf-16-{order}"),
            Expect("email", ("utf16",), ("stream",)),
            port=7000,
        )
        book.add(
            "wrapper utf16",
            f"{order}, gzip",
            web.post(gzipped(data), {"Content-Encoding": "gzip"}),
            *device("gzip", "utf16"),
        )


def masked(book: Book) -> None:
    """One byte XORed with all others, for values of 12 characters or more."""
    data = INNER.encode()
    for key in (0x01, 0x20, 0x5A, 0x80, 0xFF):
        book.add("wrapper xor", f"body, {key:#04x}", web.post(xored(data, key), BYTES), *device("xor"))
    book.add(
        "wrapper xor", "base64 in JSON", web.post(compact({"x": base64ed(xored(data, 0x33))})), *device("base64", "xor")
    )
    book.add(
        "wrapper xor",
        "hex in a query",
        web.get("/x?q=" + hexed(xored(PERSON.email.encode(), 0x17))),
        Expect("email", ("hex", "xor"), ("query",)),
    )
    book.add("wrapper xor", "TCP", b"\x00\x40" + xored(data, 0x6B), *device("xor", at=("stream",)), port=7000)
    book.datagram("wrapper xor", "datagram", xored(data, 0xA5), *device("xor", at=("datagram",)))


def chunks(book: Book) -> None:
    """Chunked transfer coding."""
    data = INNER.encode()
    for name, body in [
        ("chunks of 1", web.chunked(data, [1])),
        ("chunks of 5 and 2", web.chunked(data, [5, 2])),
        ("one chunk", web.chunked(data, [1 << 16])),
        ("extensions", web.chunked(data, [9], extension=';sig="ab;c"')),
        ("leading zeros in upper case", web.chunked(data, [10]).replace(b"\r\na\r\n", b"\r\n000A\r\n")),
    ]:
        book.add("wrapper chunked", name, body, *device("chunked", "json"))
    book.add(
        "wrapper chunked",
        "gzip",
        web.chunked(gzipped(data), [13], {"Content-Encoding": "gzip"}),
        *device("chunked", "gzip", "json"),
    )
    book.add(
        "wrapper chunked",
        "gzip as a transfer coding",
        web.chunked(gzipped(data), [40], {}).replace(
            b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked"
        ),
        *device("chunked", "gzip", "json"),
    )
    book.add(
        "wrapper chunked",
        "base64 with LF",
        web.chunked(base64ed(data, column=76), [33]),
        *device("chunked", "base64", "json"),
    )
    book.add(
        "wrapper chunked",
        "a trailer",
        web.chunked(b"ok", [2], trailers=f"X-Device: {PERSON.imei[0]}\r\n"),
        Expect("imei", (), ("header", "body")),
    )
