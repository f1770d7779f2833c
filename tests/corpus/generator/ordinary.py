"""What apps send that is nobody's identifier, by what it could be taken for."""

import hashlib
import random
import struct
import uuid

from . import web
from .case import Book
from .encode import base64ed, compact, gzipped, hexed
from .values import PERSON, luhn, stranger


def add(book: Book) -> None:
    numbers(book)
    identifiers_of_things(book)
    strangers(book)


def body(book: Book, klass: str, name: str, data, media: str = "application/json", others: bool = False) -> None:
    data = data if isinstance(data, (str, bytes)) else compact(data)
    book.add(f"ordinary {klass}", name, web.post(data, media), others=others)


def dice_for(name: str) -> random.Random:
    return random.Random(f"ordinary {name}")


def digits(dice: random.Random, count: int) -> str:
    return str(dice.randrange(1, 10)) + "".join(dice.choice("0123456789") for _ in range(count - 1))


def numbers(book: Book) -> None:
    for unit, factor in [("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)]:
        dice = dice_for(unit)
        times = [(1_552_547_742 + dice.randrange(10**7)) * factor + dice.randrange(factor) for _ in range(40)]
        body(book, "timestamps", f"{unit}, JSON", {"events": [{"t": time, "n": "tick"} for time in times]})
        body(book, "timestamps", f"{unit}, texts", {"t": [str(time) for time in times]})
        book.add(
            "ordinary timestamps",
            f"{unit}, query",
            web.get("/p?" + "&".join(f"t{at}={time}" for at, time in enumerate(times[:9]))),
        )
    body(
        book,
        "timestamps",
        "compact dates",
        {"d": [f"201903{day:02}{hour:02}1542{ms:03}" for day in range(1, 20) for hour in (7, 19) for ms in (7, 418)]},
    )
    dice = dice_for("parcels")
    body(
        book,
        "card and parcel numbers",
        "cards",
        {
            "cards": [
                luhn(prefix + digits(dice, 15 - len(prefix)))
                for prefix in ("4", "51", "2221", "6011", "35")
                for _ in range(8)
            ]
        },
    )
    body(book, "card and parcel numbers", "cards of 15", {"pan": [luhn("37" + digits(dice, 12)) for _ in range(20)]})
    body(
        book,
        "card and parcel numbers",
        "cards in groups",
        "\n".join(" ".join(luhn("4" + digits(dice, 14))[at : at + 4] for at in (0, 4, 8, 12)) for _ in range(20)),
        "text/plain",
    )
    body(
        book,
        "card and parcel numbers",
        "parcels",
        {
            "track": ["1Z" + digits(dice, 16) for _ in range(9)]
            + [digits(dice, 12) for _ in range(9)]
            + ["JD" + digits(dice, 18) for _ in range(9)]
            + ["RR" + digits(dice, 9) + "NO" for _ in range(9)]
        },
    )
    body(
        book,
        "card and parcel numbers",
        "pallets and articles",
        {"sscc": ["00" + digits(dice, 18) for _ in range(20)], "gtin": [digits(dice, 13) for _ in range(40)]},
    )
    body(
        book,
        "card and parcel numbers",
        "bank accounts",
        {"iban": ["NO93" + digits(dice, 11) for _ in range(20)], "ref": [digits(dice, 25) for _ in range(9)]},
    )
    body(
        book,
        "card and parcel numbers",
        "order numbers",
        "".join(f"order={digits(dice, 15)}&sku={digits(dice, 8)}&n=1\n" for _ in range(30)),
        "text/plain",
    )
    for name, epoch in [("Twitter", 1_288_834_974_657), ("Discord", 1_420_070_400_000)]:
        dice = dice_for(name)
        ids = [(1_552_547_742_000 - epoch + dice.randrange(10**9)) << 22 | dice.randrange(1 << 22) for _ in range(50)]
        body(book, "snowflake ids", f"{name}, numbers", {"ids": ids})
        body(
            book,
            "snowflake ids",
            f"{name}, texts",
            [{"id": str(number), "author_id": str(number ^ 99991)} for number in ids],
        )
        book.add(
            "ordinary snowflake ids", f"{name}, path", web.get(f"/channels/{ids[0]}/messages/{ids[1]}?after={ids[2]}")
        )
    dice = dice_for("floats")
    body(book, "floats", "unit", {"w": [dice.random() for _ in range(200)]})
    body(book, "floats", "ranges", {"x": [dice.uniform(-180, 180) for _ in range(150)]})
    body(
        book,
        "floats",
        "frames",
        {"frames": [{"t": at * 16.666667, "d": round(dice.uniform(3, 40), 6)} for at in range(90)]},
    )
    body(
        book,
        "floats",
        "raw doubles",
        struct.pack("<200d", *(dice.uniform(-90, 90) for _ in range(200))),
        "application/octet-stream",
    )
    body(
        book,
        "floats",
        "raw singles",
        struct.pack("<400f", *(dice.gauss(0, 9) for _ in range(400))),
        "application/octet-stream",
    )
    body(
        book,
        "floats",
        "money",
        {"prices": [round(dice.uniform(1, 9999), 4) for _ in range(100)], "fx": {"EUR": 9.7312, "USD": 8.5719}},
    )
    dice = dice_for("versions")
    body(
        book,
        "versions",
        "dotted",
        {"deps": {f"lib{at}": ".".join(str(dice.randrange(40)) for _ in range(4)) for at in range(60)}},
    )
    body(
        book,
        "versions",
        "build fingerprints",
        {
            "fp": [
                f"google/crosshatch/crosshatch:9/PQ{n}A.190305.002/5240{n}60:user/release-keys" for n in range(10, 40)
            ]
        },
    )
    body(
        book,
        "versions",
        "Chrome",
        "\n".join(
            f"Mozilla/5.0 (Linux; Android {n}; Pixel 3) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0.3{n}9.116 Mobile Safari/537.36"
            for n in range(10, 40)
        ),
        "text/plain",
    )
    body(
        book,
        "versions",
        "packages",
        "".join(f"react-{n}@17.0.{n}\nlodash.{n}@4.17.{n}\nicon@{n}x.png\n" for n in range(2, 30)),
        "text/plain",
    )


def identifiers_of_things(book: Book) -> None:
    dice = dice_for("uuids")
    uuids = [str(uuid.UUID(bytes=dice.randbytes(16), version=4)) for _ in range(60)]
    body(
        book,
        "UUIDs",
        "requests and sessions",
        [{"request_id": one, "session": two} for one, two in zip(uuids[:20], uuids[20:40])],
    )
    body(book, "UUIDs", "bare", {"ids": [one.replace("-", "") for one in uuids]})
    body(book, "UUIDs", "upper case", "\n".join(one.upper() for one in uuids), "text/plain")
    book.add(
        "ordinary UUIDs",
        "path and header",
        web.get(
            f"/v1/orders/{uuids[0]}/items/{uuids[1]}",
            {
                "X-Request-Id": uuids[2],
                "traceparent": f"00-{uuids[3].replace('-', '')}-{uuids[4][:8]}{uuids[5][:8]}-01",
            },
        ),
    )
    body(book, "UUIDs", "raw", b"".join(uuid.UUID(one).bytes for one in uuids), "application/octet-stream")
    body(
        book,
        "UUIDs",
        "of times",
        {"v1": [f"{one[:8]}-{one[9:13]}-11e9-{one[19:23]}-00163e{one[30:]}" for one in uuids]},
    )
    for name in ("md5", "sha1", "sha256", "sha512"):
        sums = [hashlib.new(name, f"file {at}".encode()) for at in range(40)]
        body(
            book,
            "hashes of other things",
            f"{name}, files",
            "".join(f"{one.hexdigest()}  lib/file{at}.so\n" for at, one in enumerate(sums)),
            "text/plain",
        )
        body(book, "hashes of other things", f"{name}, base64", {"etag": [base64ed(one.digest()) for one in sums]})
        body(
            book,
            "hashes of other things",
            f"{name}, raw",
            b"".join(one.digest() for one in sums),
            "application/octet-stream",
        )
    body(
        book,
        "hashes of other things",
        "salted",
        {
            "a": hashlib.sha256(f"pepper{PERSON.imei[0]}".encode()).hexdigest(),
            "b": hashlib.md5(f"{PERSON.email}:salt".encode()).hexdigest(),
        },
    )
    book.add(
        "ordinary hashes of other things",
        "Subresource Integrity",
        web.get("/a.js?v=" + hashlib.sha1(b"a").hexdigest(), {"If-None-Match": f'"{hashlib.md5(b"x").hexdigest()}"'}),
    )
    body(
        book,
        "hashes of other things",
        "git",
        {
            "commits": [
                {
                    "sha": hashlib.sha1(f"c{at}".encode()).hexdigest(),
                    "short": hashlib.sha1(f"c{at}".encode()).hexdigest()[:12],
                }
                for at in range(30)
            ]
        },
    )
    for at in range(6):
        dice = dice_for(f"jwt {at}")
        claims = compact(
            {
                "sub": digits(dice, 10),
                "iat": 1_552_547_742 + at,
                "exp": 1_552_551_342,
                "jti": str(uuid.UUID(bytes=dice.randbytes(16), version=4)),
                "scope": "read",
            }
        )
        parts = [
            base64ed(part, url=True, padded=False)
            for part in (b'{"alg":"RS256","typ":"JWT","kid":"17"}', claims.encode(), dice.randbytes(256))
        ]
        book.add("ordinary JWTs", f"bearer {at}", web.get("/me", {"Authorization": "Bearer " + ".".join(parts)}))
    book.add(
        "ordinary JWTs",
        "cookie",
        web.get(
            "/",
            {
                "Cookie": "sid=s%3A"
                + base64ed(dice.randbytes(24))
                + "; csrf="
                + hexed(dice.randbytes(16))
                + "; _ga=GA1.2.1829384756.1552547742"
            },
        ),
    )


def strangers(book: Book) -> None:
    """Other people's values under their names: none is the registered person's."""
    for at in range(10):
        person = stranger(f"other {at}")
        kinds = (
            "imei",
            "imsi",
            "iccid",
            "wifi_mac",
            "android_id",
            "advertising_id",
            "phone",
            "email",
            "serial",
            "bssid",
        )
        record = {kind: person.text(kind) for kind in kinds} | {"lat": person.latitude, "lng": person.longitude}
        data = compact(record)
        if at % 3 == 1:
            book.add(
                "ordinary other people",
                f"record {at}, gzip",
                web.post(gzipped(data.encode()), {"Content-Encoding": "gzip"}),
                others=True,
            )
        elif at % 3 == 2:
            body(book, "other people", f"record {at}, base64", base64ed(data.encode()), "text/plain", others=True)
        else:
            body(book, "other people", f"record {at}", data, others=True)
