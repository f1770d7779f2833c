"""Messages that come close to a finding: a character off, half of it, its name with something else."""

import hashlib
import uuid

from . import encode, spell, web
from .carriers import document
from .case import Book
from .encode import base64ed, compact, gzipped, hexed
from .ordinary import body, dice_for, digits
from .values import PERSON, stranger


def add(book: Book) -> None:
    near(book)
    inside(book)
    too_little(book)
    placeholders(book)
    other_meanings(book)
    longer_names(book)


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
        body(
            book,
            "one character off",
            f"digests, {place}",
            {f"h{at}": digest.hex() for at, (_, _, _, digest) in enumerate(sums)},
        )
        raws = b"".join(b"\x0a\x0b" + octets for _, _, _, octets in spell.raws(other))
        body(book, "one character off", f"raw, {place}", raws, "application/octet-stream")
    for at, key in enumerate(("imei", "deviceId", "IMEI1")):
        body(
            book,
            "one character off",
            f"check digit of an IMEI, {key}",
            document(key, PERSON.imei[at % 2][:-1] + str((int(PERSON.imei[at % 2][-1]) + 3) % 10)),
        )
    body(
        book,
        "one character off",
        "check digit of an ICCID",
        document("iccid", PERSON.iccid[:-1] + str((int(PERSON.iccid[-1]) + 4) % 10)),
    )
    body(
        book,
        "one character off",
        "two digits swapped",
        document("imei", PERSON.imei[0][:1] + PERSON.imei[0][2] + PERSON.imei[0][1] + PERSON.imei[0][3:]),
    )


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
        ("MAC in a longer hex", f'{{"h":"7e5a1{mac}9d00b"}}'),
        ("MAC in eight octets", f'{{"eui":"{PERSON.wifi_mac}:ff:01"}}'),
        ("phone in a longer number", f'{{"n":"9{PERSON.phone[1:]}0077"}}'),
        ("ICCID and more digits", f'{{"n":"{PERSON.iccid}4455"}}'),
        ("IMSI and more digits", f'{{"n":"77{PERSON.imsi}"}}'),
        ("UUID and more", f'{{"n":"{PERSON.advertising_id}ab12"}}'),
        ("account in a longer word", f'{{"n":"x{PERSON.account}7"}}'),
        ("TAC in a number", f'{{"tac":"9{PERSON.tac}1"}}'),
    ]:
        body(book, "inside something longer", name, text, others="TAC" in name or "phone" in name or "UUID" in name)
    body(
        book,
        "inside something longer",
        "e-mail of a longer name",
        compact({"c": [f"x{PERSON.email}", f"{PERSON.email}.org"]}),
        others=True,
    )


def too_little(book: Book) -> None:
    """Half of what would be a finding."""
    body(book, "too little", "a lone latitude", {"lat": PERSON.latitude, "zoom": 15})
    body(book, "too little", "a lone longitude", f"lon={PERSON.longitude}&v=1", "application/x-www-form-urlencoded")
    body(
        book,
        "too little",
        "coordinates of 1 decimal",
        {"lat": round(PERSON.latitude, 1), "lng": round(PERSON.longitude, 1)},
    )
    body(book, "too little", "four apps", {"list": list(PERSON.apps[:4])})
    body(book, "too little", "one app", f"app={PERSON.apps[0]}&v=3.1", "application/x-www-form-urlencoded")
    body(book, "too little", "a short SSID without a key", {"name": PERSON.ssid[1], "n": 4})
    body(book, "too little", "a TAC without a key", {"n": PERSON.tac, "items": [PERSON.tac, 1, 2]})
    body(book, "too little", "a TAC as a price", f"price={PERSON.tac}&cur=NOK", "application/x-www-form-urlencoded")
    body(book, "too little", "the first half of an IMEI", {"tac": PERSON.imei[0][:8]}, others=True)
    body(book, "too little", "a maker's prefix", {"oui": PERSON.wifi_mac[:8]})
    body(book, "too little", "domain of the e-mail address", {"domain": PERSON.email.split("@")[1]})
    body(
        book,
        "too little",
        "an IMEI that nobody registered, without a key",
        {"n": stranger("bare").imei[0], "m": stranger("bare").iccid},
    )
    body(
        book,
        "too little",
        "a MAC that nobody registered, without a key",
        {"n": [stranger(f"b{at}").wifi_mac.replace(":", "") for at in range(9)]},
    )


def placeholders(book: Book) -> None:
    """What is sent where there is no value, under the names of values."""
    zeros = "00000000-0000-0000-0000-000000000000"
    for name, members in [
        (
            "unknown",
            {"imei": "unknown", "serial": "unknown", "mac": "", "gaid": None, "phone": "null", "email": "none"},
        ),
        (
            "zeros",
            {
                "imei": "0" * 15,
                "imsi": "0" * 15,
                "iccid": "0" * 19,
                "mac": "00:00:00:00:00:00",
                "idfa": zeros,
                "oaid": zeros,
                "android_id": "0" * 16,
            },
        ),
        ("shared by all phones", {"mac": "02:00:00:00:00:00", "bssid": "02:00:00:00:00:00", "ssid": "<unknown ssid>"}),
        ("broadcast and multicast", {"mac": "ff:ff:ff:ff:ff:ff", "bssid": "01:00:5e:00:00:fb"}),
        ("no fix", {"lat": 0.0, "lng": 0.0, "latitude": "0.000000", "longitude": "0.000000"}),
        ("truth", {"imei": False, "phone": True, "mobile": 1, "mac": False, "email": 0, "location": "denied"}),
        ("masked", {"imei": "35209******481", "phone": "+44******461", "email": "i***@p***.example"}),
        (
            "templates",
            {"imei": "{{IMEI}}", "gaid": "__GAID__", "mac": "${MAC}", "oaid": "[OAID]", "aid": "%ANDROID_ID%"},
        ),
        (
            "names of fields",
            {"fields": ["imei", "imsi", "mac", "android_id", "gaid", "lat", "lng", "ssid"], "ssid": "ssid"},
        ),
    ]:
        body(book, "placeholders", name, members)
        book.add(
            "ordinary placeholders",
            f"{name}, query",
            web.get("/p?" + "&".join(f"{key}={encode.percented(str(value))}" for key, value in members.items())),
        )


def other_meanings(book: Book) -> None:
    """Names that mean something else, and words of ordinary programs."""
    dice = dice_for("meanings")
    body(
        book,
        "names that mean something else",
        "message authentication codes",
        f"id=17&ts=1552547742&mac={hashlib.sha256(b'q').hexdigest()}",
        "application/x-www-form-urlencoded",
    )
    book.add(
        "ordinary names that mean something else",
        "Hawk",
        web.get(
            "/r",
            {"Authorization": f'Hawk id="dh37", ts="1552547742", nonce="j4h3g2", mac="{base64ed(dice.randbytes(32))}"'},
        ),
    )
    book.add(
        "ordinary names that mean something else",
        "cookies",
        web.get(
            "/",
            {
                "Cookie": f"SID=DQAAAK{base64ed(dice.randbytes(30), url=True)}; HSID=AYQEVn{digits(dice, 5)}; SSID=Ap4PGTEq{digits(dice, 3)}; NID=183={base64ed(dice.randbytes(60), url=True)}"
            },
        ),
    )
    body(
        book,
        "names that mean something else",
        "latency",
        {"lat": 35.218433, "lng": "nb", "ll": 3, "loc": "nb_NO", "rtt": 120.5512},
    )
    body(
        book,
        "names that mean something else",
        "sequence numbers",
        {"sn": 1021, "serial": 77, "ci": "build-4411", "tac": 3, "did": 18, "aid": 8839201},
    )
    body(
        book,
        "names that mean something else",
        "campaigns",
        "cid=1829384756.1552547742&tid=UA-1234567-1&aid=com.example.app&aiid=com.android.vending&ul=nb-no",
        "application/x-www-form-urlencoded",
    )
    body(
        book,
        "names that mean something else",
        "a decentralised identifier",
        {"did": "did:example:123456789abcdefghi", "account": {"type": "free"}},
    )
    body(
        book,
        "names that mean something else",
        "models",
        {"phone": "Nokia 7 Plus", "mobile": "Android", "device_id": "web", "platform": "mac", "mac": "10.15.7"},
    )
    body(
        book,
        "names that mean something else",
        "certificates",
        {"serial": "03:a1:bc:44:90:11:7e:d2:33:80:aa:fe:11:08:4c:77:fd:0e", "issuer": "R3"},
    )
    body(
        book,
        "names that mean something else",
        "repositories",
        "git@git.example:team/app.git\nssh://git@git.example/x\n@media print\nuser@17\n",
        "text/plain",
        others=True,
    )
    script = (
        "!function(e,t){var n=%d,r=0x%x;e[t]=function(i){return i&&i.__esModule?i:{default:i}};for(var o in n)t.imei=o;"
        + 'e.exports={mac:/Mac OS X/.test(t),lat:.5*n,lng:r>>>3,phone:"mobile",ssid:null,"%s":%d}}(this,"a%d");'
    )
    scripts = "".join(
        script % (dice.randrange(10**9), dice.randrange(1 << 32), hexed(dice.randbytes(10)), dice.randrange(10**15), at)
        for at in range(30)
    )
    body(book, "scripts, styles and pages", "minified JavaScript", scripts, "text/javascript")
    body(book, "scripts, styles and pages", "minified JavaScript in JSON", {"src": scripts})
    body(
        book,
        "scripts, styles and pages",
        "source map",
        {
            "version": 3,
            "mappings": ";".join(
                "".join(dice.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh") for _ in range(12)) for _ in range(150)
            ),
        },
    )
    body(
        book,
        "scripts, styles and pages",
        "stack traces",
        "".join(
            f"at t.e (webpack:///./src/m{at}.js?{hexed(dice.randbytes(2))}:{at}:{dice.randrange(99999)})\n"
            for at in range(60)
        ),
        "text/plain",
    )
    style = "".join(
        f".c{at}{{color:#{hexed(dice.randbytes(3))};background:#{hexed(dice.randbytes(4))};margin:{dice.uniform(-9, 9):.4f}px {dice.uniform(-9, 9):.5f}em;transform:matrix({dice.random():.6f},{dice.random():.6f},0,0)}}"
        for at in range(60)
    )
    body(book, "scripts, styles and pages", "CSS", style, "text/css")
    page = (
        "<!doctype html><html lang=nb><head><meta name=viewport content='width=device-width'><title>T</title></head><body>"
        + "".join(
            f'<a id="i{at}" href="/a/{digits(dice, 8)}?u={hexed(dice.randbytes(6))}" data-t="{1552547742 + at}">{at}</a>'
            for at in range(60)
        )
    )
    body(book, "scripts, styles and pages", "HTML", page, "text/html")
    path = "M" + " ".join(f"{dice.uniform(0, 200):.4f},{dice.uniform(0, 200):.4f}" for _ in range(120)) + "z"
    body(
        book,
        "scripts, styles and pages",
        "SVG",
        f'<svg viewBox="0 0 200 200"><path d="{path}"/></svg>',
        "image/svg+xml",
    )
    for at in range(8):
        telemetry(book, at)


def longer_names(book: Book) -> None:
    """Names of fields that have another's name inside, beside what would be its value."""
    person = stranger("longer names")
    dice = dice_for("longer names")
    sessions = [
        ("PHPSESSID", 26),
        ("JSESSIONID", 32),
        ("ASPSESSIONIDQQ", 24),
        ("sessid", 16),
        ("BSSIDX", 12),
        ("essidx", 9),
    ]
    for name, length in sessions:
        value = "".join(dice.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(length))
        cookie = f"security=low; {name}={value}"
        book.add("ordinary names inside longer names", f"cookie {name}", web.get("/", {"Cookie": cookie}))
    mac, phone = person.wifi_mac.replace(":", ""), person.phone[1:]
    for name, members in [
        ("MAC", {"pharmacy": mac, "macro": mac, "stomach": mac, "Machine": mac, "emacs_key": mac}),
        ("phone", {"hotel": phone, "telescope": phone, "intel": phone, "saxophone": phone, "automobile": phone}),
        ("place", {"latest": person.latitude, "along": person.longitude, "plate": 61.223145, "belong": 8.440172}),
        ("UUID", {"idfamily": person.advertising_id, "brigade": person.advertising_id, "gaidx": person.advertising_id}),
        ("codes", {"contact": person.tac, "attack": 30618, "acid": 51882301, "place": 30618, "tactic": 30618}),
        ("IMEI", {"timeid": person.imei[0], "deviceidx": person.imei[0], "candid": person.imei[0]}),
        ("mail", {"gmail": "on", "snail": "slow", "email_opt_in": "yes", "mailbox": 17, "blackmail": "a@b"}),
        (
            "account",
            {"accounting": "monthly", "discount": "summer99", "loginform": "wide-form", "username_field": "usr_name"},
        ),
    ]:
        body(book, "names inside longer names", name, members)
    for name, target in [
        ("publisher", "/ad?account=newspaper&site=front&pos=3"),
        ("avatar", "/user/avatar_17.jpg"),
        ("page", "/account/settings.aspx?login=form&username="),
        ("sign in", "/users/sign_in?account=default"),
        ("image", "/login/background2.png?user=guest"),
    ]:
        book.add("ordinary names inside longer names", f"account, {name}", web.get(target))
    book.add(
        "ordinary names inside longer names",
        "user information of a URL",
        web.get("/", {"Referer": "http://anonymous@files.example/a"}),
    )


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
