"""Registered values: every kind, every spelling, in plain messages."""

import random
import struct

from . import carriers, encode, spell, web
from .carriers import BODY, KEYS, QUERY, carry
from .case import Book, Expect
from .values import PERSON


def add(book: Book) -> None:
    kinds(book)
    short_values(book)
    places(book)
    apps(book)
    spellings(book)
    digests(book)
    raws(book)


def kinds(book: Book) -> None:
    """Each kind as written, in four plain messages; half of the time nothing says what it is."""
    free = [kind for kind in KEYS if kind != "tac"]
    for at, kind in enumerate(free):
        value = PERSON.text(kind)
        for turn in range(4):
            carrier = carriers.ALL[(4 * at + 3 * turn) % len(carriers.ALL)]
            key = KEYS[kind] if turn % 2 else "p7"
            carry(book, f"kind {kind}", f"{carrier.__name__[3:]}, {key}", carrier, key, value, kind)
    for kind in ("imei", "imsi", "iccid", "cell_id"):
        request, at, chain = carriers.in_number("p7", PERSON.text(kind))
        book.add(f"kind {kind}", "a JSON number", request, Expect(kind, chain, at))


def short_values(book: Book) -> None:
    """Values under 8 characters: with a key that names them, or beside another identifier."""
    tac, ssid, imei = str(PERSON.tac), PERSON.ssid[1], PERSON.imei[0]
    for key in ("tac", "lac", "TrackingAreaCode", "cell_tac"):
        carry(book, "kind tac", f"JSON, {key}", carriers.in_json, key, tac, "tac")
    carry(book, "kind tac", "form", carriers.in_form, "lac", tac, "tac")
    carry(book, "kind tac", "query", carriers.in_query, "tac", tac, "tac")
    for key in ("ssid", "wifiName", "wifi_ssid"):
        carry(book, "kind ssid", f"short, JSON, {key}", carriers.in_json, key, ssid, "ssid")
    carry(book, "kind ssid", "short, header", carriers.in_header, "ssid", ssid, "ssid")
    carry(book, "kind ssid", "short, query", carriers.in_query, "ssid", ssid, "ssid")
    book.add("kind ssid", "short, last in a query", web.get(f"/p?a=1&ssid={ssid}"), Expect("ssid", (), QUERY))
    carry(book, "kind ssid", "short, quoted as Android does", carriers.in_json, "SSID", f'"{ssid}"', "ssid")
    body = encode.compact({"a": ssid, "b": imei, "c": tac})
    book.add(
        "kind ssid",
        "short, no key, beside an IMEI",
        web.post(body, "application/json"),
        Expect("ssid", ("json",)),
        Expect("imei", ("json",)),
        Expect("tac", ("json",)),
    )


def places(book: Book) -> None:
    here = Expect("location", (), BODY)
    for name, members in spell.places(PERSON):
        book.add("kind location", name, web.post(f'{{"v":1,{members},"spd":0.0}}', "application/json"), here)
    lat, lon = PERSON.latitude, PERSON.longitude
    pairs = [
        ("query, one value", f"ll={lat:.4f},{lon:.4f}"),
        ("query, escaped comma", f"ll={lat:.5f}%2C{lon:.5f}"),
        ("query, two values", f"lat={lat:.4f}&t=4&lon={lon:.4f}"),
        ("query, path-like", f"q=@{lat:.6f},{lon:.6f},15z"),
    ]
    for name, query in pairs:
        book.add("kind location", name, web.get(f"/weather?{query}&u=c"), Expect("location", (), QUERY))
    book.add(
        "kind location", "header", web.get("/w", {"X-Geo": f"{lat:.4f};{lon:.4f}"}), Expect("location", (), ("header",))
    )
    book.add("kind location", "path", web.get(f"/forecast/{lat:.4f},{lon:.4f}"), Expect("location", (), ("path",)))
    book.add(
        "kind location",
        "XML",
        web.post(f'<gpx><trkpt lat="{lat:.6f}" lon="{lon:.6f}"/></gpx>', "application/gpx+xml"),
        here,
    )
    form = f"app=w&latitude={lat:.6f}&longitude={lon:.6f}"
    book.add("kind location", "form", web.post(form, "application/x-www-form-urlencoded"), here)
    for name, order in (("little-endian", "<dd"), ("big-endian", ">dd")):
        body = b"\x01\x00\x00\x10" + struct.pack(order, lat, lon) + b"\x00\x01\x41\xac\x00\x00"
        book.add("spelling doubles", f"raw, {name}", web.post(body, "application/octet-stream"), here)
    book.add(
        "spelling doubles",
        "protobuf",
        web.post(encode.protobuf((1, 7), (2, lat), (3, lon)), "application/x-protobuf"),
        here,
    )
    nested = encode.protobuf((4, encode.protobuf((1, lat), (2, lon), (3, 12.5))), (9, "x"))
    book.add("spelling doubles", "protobuf, nested", web.post(nested, "application/x-protobuf"), here)
    body = encode.protobuf((1, ("fixed32", round(lat * 1e7))), (2, ("fixed32", round(lon * 1e7))))
    book.add("spelling doubles", "protobuf, E7 as fixed32", web.post(body, "application/x-protobuf"), here)
    body = encode.protobuf((1, round(lat * 1e7)), (2, round(lon * 1e7)))
    book.add("spelling doubles", "protobuf, E7 as varints", web.post(body, "application/x-protobuf"), here)
    # The sign is the lowest bit (sint32); a message of its own, behind the time.
    body = encode.protobuf((1, 1_700_000_000), (2, encode.protobuf((3, round(lat * 1e7) << 1), (4, round(lon * 1e7) << 1))))
    book.add("spelling doubles", "protobuf, E7 as sint32", web.post(body, "application/x-protobuf"), here)


def apps(book: Book) -> None:
    names = list(PERSON.apps)
    others = ["com.android.settings", "com.android.phone", "org.chromium.webview"]
    here = Expect("installed_apps", (), BODY)
    mixed = [name for pair in zip(names, others + others + others) for name in pair]
    ways = [
        ("JSON list", encode.compact({"apps": others + names}), "application/json"),
        ("JSON objects", encode.compact([{"pkg": name, "ver": "1.2"} for name in mixed]), "application/json"),
        ("five of eight", encode.compact({"list": names[:5]}), "application/json"),
        ("lines", "\n".join(names[3:] + others) + "\n", "text/plain"),
        ("joined by |", "apps=" + "|".join(names), "application/x-www-form-urlencoded"),
        ("output of pm", "".join(f"package:{name}\n" for name in names), "text/plain"),
        ("keys of an object", encode.compact({name: {"ver": at} for at, name in enumerate(names)}), "application/json"),
    ]
    for name, body, media in ways:
        book.add("kind installed_apps", name, web.post(body, media), here)
    book.add(
        "kind installed_apps",
        "base64 of gzip in a form",
        web.post("d=" + encode.percented(encode.base64ed(encode.gzipped("\n".join(names).encode())))),
        Expect("installed_apps", ("base64", "gzip")),
    )


def spellings(book: Book) -> None:
    """Every textual spelling, twice, in carriers that leave it as it is."""
    for kind, name, spelling, text in spell.texts(PERSON):
        dice = random.Random(f"spelling {kind} {name}")
        row = spelling[0] if len(spelling) == 1 else "separators" if "separators" in spelling else "case"
        for carrier in dice.sample(
            [carriers.in_json, carriers.in_form, carriers.in_query, carriers.in_lines, carriers.in_header], 2
        ):
            carry(
                book, f"spelling {row}", f"{kind}, {name}, {carrier.__name__[3:]}", carrier, "p7", text, kind, spelling
            )


def digests(book: Book) -> None:
    """Each digest in one way, every way many times over."""
    for at, (kind, name, algorithm, digest) in enumerate(spell.digests(PERSON)):
        ways = spell.digest_texts(digest, algorithm)
        way, text = ways[at // 3 % len(ways)]
        carrier = [carriers.in_query, carriers.in_json, carriers.in_form, carriers.in_header][at % 4]
        if way == "base64" and carrier is carriers.in_header:
            carrier = carriers.in_lines
        carry(book, f"spelling {algorithm}", f"{kind}, {name}, {way}", carrier, "h", text, kind, (algorithm,))


def raws(book: Book) -> None:
    """Binary forms among bytes that mean nothing."""
    for kind, name, spelling, octets in spell.raws(PERSON):
        dice = random.Random(f"raw {kind} {name}")
        body = b"\x00\x02" + dice.randbytes(18) + octets + dice.randbytes(11)
        row = spelling[0]
        book.add(
            f"spelling {row}",
            f"{kind}, {name}, body",
            web.post(body, "application/octet-stream"),
            Expect(kind, (), BODY, spelling),
        )
        body = dice.randbytes(5) + octets
        book.add(f"spelling {row}", f"{kind}, {name}, TCP", body, Expect(kind, (), ("stream",), spelling), port=7000)
