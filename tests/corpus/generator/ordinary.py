"""What apps send that is nobody's identifier, by what it could be taken for."""

import hashlib
import random
import struct
import uuid
import zlib

from . import encode, spell, web, wire
from .carriers import document
from .case import Book
from .encode import base64ed, compact, gzipped, hexed
from .values import PERSON, luhn, stranger


def add(book: Book) -> None:
    numbers(book)
    identifiers_of_things(book)
    near(book)
    inside(book)
    too_little(book)
    placeholders(book)
    other_meanings(book)
    noise(book)
    opaque(book)
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
        book.add("ordinary timestamps", f"{unit}, query", web.get("/p?" + "&".join(f"t{at}={time}" for at, time in enumerate(times[:9]))))
    body(book, "timestamps", "compact dates", {"d": [f"201903{day:02}{hour:02}1542{ms:03}" for day in range(1, 20) for hour in (7, 19) for ms in (7, 418)]})
    dice = dice_for("parcels")
    body(book, "card and parcel numbers", "cards", {"cards": [luhn(prefix + digits(dice, 15 - len(prefix))) for prefix in ("4", "51", "2221", "6011", "35") for _ in range(8)]})
    body(book, "card and parcel numbers", "cards of 15", {"pan": [luhn("37" + digits(dice, 12)) for _ in range(20)]})
    body(book, "card and parcel numbers", "cards in groups", "\n".join(" ".join(luhn("4" + digits(dice, 14))[at : at + 4] for at in (0, 4, 8, 12)) for _ in range(20)), "text/plain")
    body(book, "card and parcel numbers", "parcels", {"track": ["1Z" + digits(dice, 16) for _ in range(9)] + [digits(dice, 12) for _ in range(9)] + ["JD" + digits(dice, 18) for _ in range(9)] + ["RR" + digits(dice, 9) + "NO" for _ in range(9)]})
    body(book, "card and parcel numbers", "pallets and articles", {"sscc": ["00" + digits(dice, 18) for _ in range(20)], "gtin": [digits(dice, 13) for _ in range(40)]})
    body(book, "card and parcel numbers", "bank accounts", {"iban": ["NO93" + digits(dice, 11) for _ in range(20)], "ref": [digits(dice, 25) for _ in range(9)]})
    body(book, "card and parcel numbers", "order numbers", "".join(f"order={digits(dice, 15)}&sku={digits(dice, 8)}&n=1\n" for _ in range(30)), "text/plain")
    for name, epoch in [("Twitter", 1_288_834_974_657), ("Discord", 1_420_070_400_000)]:
        dice = dice_for(name)
        ids = [(1_552_547_742_000 - epoch + dice.randrange(10**9)) << 22 | dice.randrange(1 << 22) for _ in range(50)]
        body(book, "snowflake ids", f"{name}, numbers", {"ids": ids})
        body(book, "snowflake ids", f"{name}, texts", [{"id": str(number), "author_id": str(number ^ 99991)} for number in ids])
        book.add("ordinary snowflake ids", f"{name}, path", web.get(f"/channels/{ids[0]}/messages/{ids[1]}?after={ids[2]}"))
    dice = dice_for("floats")
    body(book, "floats", "unit", {"w": [dice.random() for _ in range(200)]})
    body(book, "floats", "ranges", {"x": [dice.uniform(-180, 180) for _ in range(150)]})
    body(book, "floats", "frames", {"frames": [{"t": at * 16.666667, "d": round(dice.uniform(3, 40), 6)} for at in range(90)]})
    body(book, "floats", "raw doubles", struct.pack("<200d", *(dice.uniform(-90, 90) for _ in range(200))), "application/octet-stream")
    body(book, "floats", "raw singles", struct.pack("<400f", *(dice.gauss(0, 9) for _ in range(400))), "application/octet-stream")
    body(book, "floats", "money", {"prices": [round(dice.uniform(1, 9999), 4) for _ in range(100)], "fx": {"EUR": 9.7312, "USD": 8.5719}})
    dice = dice_for("versions")
    body(book, "versions", "dotted", {"deps": {f"lib{at}": ".".join(str(dice.randrange(40)) for _ in range(4)) for at in range(60)}})
    body(book, "versions", "build fingerprints", {"fp": [f"google/crosshatch/crosshatch:9/PQ{n}A.190305.002/5240{n}60:user/release-keys" for n in range(10, 40)]})
    body(book, "versions", "Chrome", "\n".join(f"Mozilla/5.0 (Linux; Android {n}; Pixel 3) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0.3{n}9.116 Mobile Safari/537.36" for n in range(10, 40)), "text/plain")
    body(book, "versions", "packages", "".join(f"react-{n}@17.0.{n}\nlodash.{n}@4.17.{n}\nicon@{n}x.png\n" for n in range(2, 30)), "text/plain")


def identifiers_of_things(book: Book) -> None:
    dice = dice_for("uuids")
    uuids = [str(uuid.UUID(bytes=dice.randbytes(16), version=4)) for _ in range(60)]
    body(book, "UUIDs", "requests and sessions", [{"request_id": one, "session": two} for one, two in zip(uuids[:20], uuids[20:40])])
    body(book, "UUIDs", "bare", {"ids": [one.replace("-", "") for one in uuids]})
    body(book, "UUIDs", "upper case", "\n".join(one.upper() for one in uuids), "text/plain")
    book.add("ordinary UUIDs", "path and header", web.get(f"/v1/orders/{uuids[0]}/items/{uuids[1]}", {"X-Request-Id": uuids[2], "traceparent": f"00-{uuids[3].replace('-', '')}-{uuids[4][:8]}{uuids[5][:8]}-01"}))
    body(book, "UUIDs", "raw", b"".join(uuid.UUID(one).bytes for one in uuids), "application/octet-stream")
    body(book, "UUIDs", "of times", {"v1": [f"{one[:8]}-{one[9:13]}-11e9-{one[19:23]}-00163e{one[30:]}" for one in uuids]})
    for name in ("md5", "sha1", "sha256", "sha512"):
        sums = [hashlib.new(name, f"file {at}".encode()) for at in range(40)]
        body(book, "hashes of other things", f"{name}, files", "".join(f"{one.hexdigest()}  lib/file{at}.so\n" for at, one in enumerate(sums)), "text/plain")
        body(book, "hashes of other things", f"{name}, base64", {"etag": [base64ed(one.digest()) for one in sums]})
        body(book, "hashes of other things", f"{name}, raw", b"".join(one.digest() for one in sums), "application/octet-stream")
    body(book, "hashes of other things", "salted", {"a": hashlib.sha256(f"pepper{PERSON.imei[0]}".encode()).hexdigest(), "b": hashlib.md5(f"{PERSON.email}:salt".encode()).hexdigest()})
    book.add("ordinary hashes of other things", "Subresource Integrity", web.get("/a.js?v=" + hashlib.sha1(b"a").hexdigest(), {"If-None-Match": f'"{hashlib.md5(b"x").hexdigest()}"'}))
    body(book, "hashes of other things", "git", {"commits": [{"sha": hashlib.sha1(f"c{at}".encode()).hexdigest(), "short": hashlib.sha1(f"c{at}".encode()).hexdigest()[:12]} for at in range(30)]})
    for at in range(6):
        dice = dice_for(f"jwt {at}")
        claims = compact({"sub": digits(dice, 10), "iat": 1_552_547_742 + at, "exp": 1_552_551_342, "jti": str(uuid.UUID(bytes=dice.randbytes(16), version=4)), "scope": "read"})
        parts = [base64ed(part, url=True, padded=False) for part in (b'{"alg":"RS256","typ":"JWT","kid":"17"}', claims.encode(), dice.randbytes(256))]
        book.add("ordinary JWTs", f"bearer {at}", web.get("/me", {"Authorization": "Bearer " + ".".join(parts)}))
    book.add("ordinary JWTs", "cookie", web.get("/", {"Cookie": "sid=s%3A" + base64ed(dice.randbytes(24)) + "; csrf=" + hexed(dice.randbytes(16)) + "; _ga=GA1.2.1829384756.1552547742"}))


def near(book: Book) -> None:
    """What the person's own values become with one character changed."""
    for place in (0.0, 0.3, 0.6, 1.0):
        other = PERSON.one_off(place)
        found_by_shape = {"phone", "email"}
        for half in (0, 1):
            texts = [(kind, text) for at, (kind, _, _, text) in enumerate(spell.texts(other)) if at % 2 == half]
            quiet = compact({f"p{at}": text for at, (kind, text) in enumerate(texts) if kind not in found_by_shape})
            body(book, "one character off", f"texts, {place}, {half}", quiet)
            loud = "\n".join(text for kind, text in texts if kind in found_by_shape)
            body(book, "one character off", f"phone and e-mail, {place}, {half}", loud, "text/plain", others=True)
        sums = spell.digests(other)
        body(book, "one character off", f"digests, {place}", {f"h{at}": digest.hex() for at, (_, _, _, digest) in enumerate(sums)})
        raws = b"".join(b"\x0a\x0b" + octets for _, _, _, octets in spell.raws(other))
        body(book, "one character off", f"raw, {place}", raws, "application/octet-stream")
    for at, key in enumerate(("imei", "deviceId", "IMEI1")):
        body(book, "one character off", f"check digit of an IMEI, {key}", document(key, PERSON.imei[at % 2][:-1] + str((int(PERSON.imei[at % 2][-1]) + 3) % 10)))
    body(book, "one character off", "check digit of an ICCID", document("iccid", PERSON.iccid[:-1] + str((int(PERSON.iccid[-1]) + 4) % 10)))
    body(book, "one character off", "two digits swapped", document("imei", PERSON.imei[0][:5] + PERSON.imei[0][6] + PERSON.imei[0][5] + PERSON.imei[0][7:]))


def inside(book: Book) -> None:
    """The person's own values as a part of something longer."""
    imei, mac, android = PERSON.imei[0], PERSON.wifi_mac.replace(":", ""), PERSON.android_id
    for name, text in [
        ("a digit before", f'{{"n":1{imei}}}'),
        ("three digits behind", f'{{"n":"{imei}725"}}'),
        ("both", f"n=9{imei}1"),
        ("a fraction", f'{{"n":0.{imei}17}}'),
        ("40 digits", f'{{"n":"{imei[::-1]}7{imei}3456789"}}'),
    ]:
        body(book, "inside something longer", f"IMEI, {name}", text)
    for name, text in [
        # Not on a byte's bounds, or its bytes would really be there.
        ("Android ID in a SHA-1", f'{{"h":"00ff3{android}77de01be55443322aa1"}}'),
        ("MAC in a long hex", f'{{"h":"7e5{mac}9d00aa1"}}'),
        ("MAC in eight octets", f'{{"eui":"{PERSON.wifi_mac}:ff:01"}}'),
        ("phone in a longer number", f'{{"n":"9{PERSON.phone[1:]}0077"}}'),
        ("ICCID and more digits", f'{{"n":"{PERSON.iccid}4455"}}'),
        ("IMSI and more digits", f'{{"n":"77{PERSON.imsi}"}}'),
        ("UUID and more", f'{{"n":"{PERSON.advertising_id}ab12"}}'),
        ("account in a longer word", f'{{"n":"x{PERSON.account}7"}}'),
        ("TAC in a number", f'{{"tac":"9{PERSON.tac}1"}}'),
    ]:
        body(book, "inside something longer", name, text, others="TAC" in name or "phone" in name or "UUID" in name)
    body(book, "inside something longer", "e-mail of a longer name", compact({"c": [f"x{PERSON.email}", f"{PERSON.email}.org"]}), others=True)


def too_little(book: Book) -> None:
    """Half of what would be a finding."""
    body(book, "too little", "a lone latitude", {"lat": PERSON.latitude, "zoom": 15})
    body(book, "too little", "a lone longitude", f"lon={PERSON.longitude}&v=1", "application/x-www-form-urlencoded")
    body(book, "too little", "coordinates of 1 decimal", {"lat": round(PERSON.latitude, 1), "lng": round(PERSON.longitude, 1)})
    body(book, "too little", "four apps", {"list": list(PERSON.apps[:4])})
    body(book, "too little", "one app", f"app={PERSON.apps[0]}&v=3.1", "application/x-www-form-urlencoded")
    body(book, "too little", "a short SSID without a key", {"name": PERSON.ssid[1], "n": 4})
    body(book, "too little", "a TAC without a key", {"n": PERSON.tac, "items": [PERSON.tac, 1, 2]})
    body(book, "too little", "a TAC as a price", f"price={PERSON.tac}&cur=NOK", "application/x-www-form-urlencoded")
    body(book, "too little", "the first half of an IMEI", {"tac": PERSON.imei[0][:8]}, others=True)
    body(book, "too little", "a maker's prefix", {"oui": PERSON.wifi_mac[:8]})
    body(book, "too little", "domain of the e-mail address", {"domain": PERSON.email.split("@")[1]})
    body(book, "too little", "an IMEI that nobody registered, without a key", {"n": stranger("bare").imei[0], "m": stranger("bare").iccid})
    body(book, "too little", "a MAC that nobody registered, without a key", {"n": [stranger(f"b{at}").wifi_mac.replace(":", "") for at in range(9)]})


def placeholders(book: Book) -> None:
    """What is sent where there is no value, under the names of values."""
    zeros = "00000000-0000-0000-0000-000000000000"
    for name, members in [
        ("unknown", {"imei": "unknown", "serial": "unknown", "mac": "", "gaid": None, "phone": "null", "email": "none"}),
        ("zeros", {"imei": "0" * 15, "imsi": "0" * 15, "iccid": "0" * 19, "mac": "00:00:00:00:00:00", "idfa": zeros, "oaid": zeros, "android_id": "0" * 16}),
        ("shared by all phones", {"mac": "02:00:00:00:00:00", "bssid": "02:00:00:00:00:00", "ssid": "<unknown ssid>"}),
        ("broadcast and multicast", {"mac": "ff:ff:ff:ff:ff:ff", "bssid": "01:00:5e:00:00:fb"}),
        ("no fix", {"lat": 0.0, "lng": 0.0, "latitude": "0.000000", "longitude": "0.000000"}),
        ("truth", {"imei": False, "phone": True, "mobile": 1, "mac": False, "email": 0, "location": "denied"}),
        ("masked", {"imei": "35209******481", "phone": "+44******461", "email": "i***@p***.example"}),
        ("templates", {"imei": "{{IMEI}}", "gaid": "__GAID__", "mac": "${MAC}", "oaid": "[OAID]", "aid": "%ANDROID_ID%"}),
        ("names of fields", {"fields": ["imei", "imsi", "mac", "android_id", "gaid", "lat", "lng", "ssid"], "ssid": "ssid"}),
    ]:
        body(book, "placeholders", name, members)
        book.add("ordinary placeholders", f"{name}, query", web.get("/p?" + "&".join(f"{key}={encode.percented(str(value))}" for key, value in members.items())))


def other_meanings(book: Book) -> None:
    """Names that mean something else, and words of ordinary programs."""
    dice = dice_for("meanings")
    body(book, "names that mean something else", "message authentication codes", f"id=17&ts=1552547742&mac={hashlib.sha256(b'q').hexdigest()}", "application/x-www-form-urlencoded")
    book.add("ordinary names that mean something else", "Hawk", web.get("/r", {"Authorization": f'Hawk id="dh37", ts="1552547742", nonce="j4h3g2", mac="{base64ed(dice.randbytes(32))}"'}))
    book.add("ordinary names that mean something else", "cookies", web.get("/", {"Cookie": f"SID=DQAAAK{base64ed(dice.randbytes(30), url=True)}; HSID=AYQEVn{digits(dice, 5)}; SSID=Ap4PGTEq{digits(dice, 3)}; NID=183={base64ed(dice.randbytes(60), url=True)}"}))
    body(book, "names that mean something else", "latency", {"lat": 35.218433, "lng": "nb", "ll": 3, "loc": "nb_NO", "rtt": 120.5512})
    body(book, "names that mean something else", "sequence numbers", {"sn": 1021, "serial": 77, "ci": "build-4411", "tac": 3, "did": 18, "aid": 8839201})
    body(book, "names that mean something else", "campaigns", "cid=1829384756.1552547742&tid=UA-1234567-1&aid=com.example.app&aiid=com.android.vending&ul=nb-no", "application/x-www-form-urlencoded")
    body(book, "names that mean something else", "a decentralised identifier", {"did": "did:example:123456789abcdefghi", "account": {"type": "free"}})
    body(book, "names that mean something else", "models", {"phone": "Nokia 7 Plus", "mobile": "Android", "device_id": "web", "platform": "mac", "mac": "10.15.7"})
    body(book, "names that mean something else", "certificates", {"serial": "03:a1:bc:44:90:11:7e:d2:33:80:aa:fe:11:08:4c:77:fd:0e", "issuer": "R3"})
    body(book, "names that mean something else", "repositories", "git@git.example:team/app.git\nssh://git@git.example/x\n@media print\nuser@17\n", "text/plain", others=True)
    script = "!function(e,t){var n=%d,r=0x%x;e[t]=function(i){return i&&i.__esModule?i:{default:i}};for(var o in n)t.imei=o;" + 'e.exports={mac:/Mac OS X/.test(t),lat:.5*n,lng:r>>>3,phone:"mobile",ssid:null,"%s":%d}}(this,"a%d");'
    scripts = "".join(script % (dice.randrange(10**9), dice.randrange(1 << 32), hexed(dice.randbytes(10)), dice.randrange(10**15), at) for at in range(30))
    body(book, "scripts, styles and pages", "minified JavaScript", scripts, "text/javascript")
    body(book, "scripts, styles and pages", "minified JavaScript in JSON", {"src": scripts})
    body(book, "scripts, styles and pages", "source map", {"version": 3, "mappings": ";".join("".join(dice.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh") for _ in range(12)) for _ in range(150))})
    body(book, "scripts, styles and pages", "stack traces", "".join(f"at t.e (webpack:///./src/m{at}.js?{hexed(dice.randbytes(2))}:{at}:{dice.randrange(99999)})\n" for at in range(60)), "text/plain")
    style = "".join(f".c{at}{{color:#{hexed(dice.randbytes(3))};background:#{hexed(dice.randbytes(4))};margin:{dice.uniform(-9, 9):.4f}px {dice.uniform(-9, 9):.5f}em;transform:matrix({dice.random():.6f},{dice.random():.6f},0,0)}}" for at in range(60))
    body(book, "scripts, styles and pages", "CSS", style, "text/css")
    page = "<!doctype html><html lang=nb><head><meta name=viewport content='width=device-width'><title>T</title></head><body>" + "".join(f'<a id="i{at}" href="/a/{digits(dice, 8)}?u={hexed(dice.randbytes(6))}" data-t="{1552547742 + at}">{at}</a>' for at in range(60))
    body(book, "scripts, styles and pages", "HTML", page, "text/html")
    path = "M" + " ".join(f"{dice.uniform(0, 200):.4f},{dice.uniform(0, 200):.4f}" for _ in range(120)) + "z"
    body(book, "scripts, styles and pages", "SVG", f'<svg viewBox="0 0 200 200"><path d="{path}"/></svg>', "image/svg+xml")
    for at in range(8):
        telemetry(book, at)


def telemetry(book: Book, at: int) -> None:
    """An SDK's batch that says nothing of whose phone it is."""
    dice = dice_for(f"telemetry {at}")
    events = [
        {"name": dice.choice(["screen_view", "tap", "purchase", "network_error"]), "ts": 1_552_547_742_000 + n * dice.randrange(1, 9_000),
         "params": {"value": round(dice.uniform(0, 500), 2), "seq": n, "screen": f"S{dice.randrange(30)}", "dur": dice.randrange(90_000), "url": f"https://cdn.example/{hexed(dice.randbytes(8))}.webp"}}
        for n in range(18)
    ]  # fmt: skip
    batch = {
        "sdk": {"name": "metrics-android", "version": f"{dice.randrange(9)}.{dice.randrange(30)}.{dice.randrange(9)}"},
        "device": {"model": "TA-1046", "os": "13", "ram": 3_921_657_856, "disk": dice.randrange(10**11), "dpi": 420, "cpu": "arm64-v8a", "tz": "Europe/Oslo"},
        "session": str(uuid.UUID(bytes=dice.randbytes(16), version=4)),
        "events": events,
    }  # fmt: skip
    data = compact(batch).encode()
    ways = [
        ("plain", data, {"Content-Type": "application/json"}),
        ("gzip", gzipped(data), {"Content-Encoding": "gzip"}),
        ("base64", base64ed(data, column=76), {"Content-Type": "text/plain"}),
        ("form", "d=" + encode.percented(data.decode()), {"Content-Type": "application/x-www-form-urlencoded"}),
    ]
    name, wrapped, headers = ways[at % len(ways)]
    book.add("ordinary telemetry", f"batch {at}, {name}", web.post(wrapped, headers))


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
        words = " ".join(dice.choice(["idle", "sync", "tick", "open", "close", "page"]) + str(dice.randrange(10**6)) for _ in range(300)).encode()
        squeeze, header = [(gzipped, "gzip"), (encode.zlibbed, "deflate"), (encode.brotlied, "br"), (encode.zstded, "zstd")][at % 4]
        book.add("ordinary compressed noise", f"{header} {at}", web.post(squeeze(words), {"Content-Encoding": header}))
        fields = [(dice.randrange(1, 60), dice.choice([dice.randrange(1 << 62), dice.randbytes(12), ("fixed64", dice.randrange(1 << 63)), dice.random() * 100, ("fixed32", dice.randrange(1 << 31))])) for _ in range(60)]
        body(book, "protobuf noise", f"message {at}", encode.protobuf((1, encode.protobuf(*fields[:20])), *fields[20:]), "application/x-protobuf")
    for at in range(4):
        dice = dice_for(f"image {at}")
        rows = b"".join(b"\0" + bytes(dice.choice(range(at + 2)) for _ in range(96)) for _ in range(40))
        chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 96, 40, 8, 0, 0, 0, 0)) + chunk(b"IDAT", encode.zlibbed(rows)) + chunk(b"IEND", b"")
        body(book, "images", f"PNG {at}", png, "image/png")
        body(book, "images", f"PNG {at}, multipart", encode.multipart([('Content-Disposition: form-data; name="f"; filename="a.png"\r\nContent-Type: image/png', png)], "b-17"), "multipart/form-data; boundary=b-17")
        jpeg = b"\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xdb\x00\x43\0" + dice.randbytes(64) + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + dice.randbytes(1_400) + b"\xff\xd9"
        body(book, "images", f"JPEG {at}", jpeg, "image/jpeg")
        body(book, "images", f"JPEG {at}, data URI", {"img": "data:image/jpeg;base64," + base64ed(jpeg)})


def opaque(book: Book) -> None:
    """Ciphertext: nothing to see, and nothing to be seen in it."""
    for at in range(4):
        book.add("ordinary ciphertext", f"TLS {at}", wire.tls_session(f"c{at}.example", 1_800), port=443)
        dice = dice_for(f"quic {at}")
        sends = [wire.quic_initial(f"c{at}.example")] + [bytes([0x40 | dice.randrange(64)]) + dice.randbytes(400) for _ in range(3)]
        book.datagram("ordinary ciphertext", f"QUIC {at}", sends, port=443)
        body(book, "ciphertext", f"AES in base64 {at}", {"d": base64ed(dice.randbytes(640)), "iv": hexed(dice.randbytes(16))})
    for at, (name, kind) in enumerate([("A", 1), ("AAAA", 28), ("HTTPS", 65)]):
        book.datagram("ordinary names", f"DNS, {name}", [wire.dns(f"{host}.example", kind) for host in ("www", "api.eu-west-1", "r3---sn-5go7yne6.cdn", "d2zr7ahk1n8gq.front")], port=53)
    book.datagram("ordinary names", "reverse DNS", wire.dns("9.113.0.203.in-addr.arpa", 12), port=53)
    book.datagram("ordinary names", "long labels", wire.dns(f"{hashlib.sha1(b'cdn').hexdigest()}.{hexed(dice_for('label').randbytes(20))}.cdn.example"), port=53)


def strangers(book: Book) -> None:
    """Other people's values under their names: none is the registered person's."""
    for at in range(10):
        person = stranger(f"other {at}")
        kinds = ("imei", "imsi", "iccid", "wifi_mac", "android_id", "advertising_id", "phone", "email", "serial", "bssid")
        record = {kind: person.text(kind) for kind in kinds} | {"lat": person.latitude, "lng": person.longitude}
        data = compact(record)
        if at % 3 == 1:
            book.add("ordinary other people", f"record {at}, gzip", web.post(gzipped(data.encode()), {"Content-Encoding": "gzip"}), others=True)
        elif at % 3 == 2:
            body(book, "other people", f"record {at}, base64", base64ed(data.encode()), "text/plain", others=True)
        else:
            body(book, "other people", f"record {at}", data, others=True)
