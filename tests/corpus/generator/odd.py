"""Registered values in messages that are odd without being rare: mistakes, mixtures and standards of other trades."""

import random
import struct
from urllib.parse import quote

from . import encode, web, wire
from .case import Book, Expect
from .encode import base64ed, compact, gzipped
from .values import PERSON
from .wrapped import FORM, INNER, device

KLASS = "odd"


def add(book: Book) -> None:
    json(book)
    requests(book)
    texts(book)
    telephony(book)
    maps(book)


def json(book: Book) -> None:
    imei, mail = PERSON.imei[0], PERSON.email

    def way(name, body, *expect):
        book.add(KLASS, f"JSON, {name}", web.post(body, "application/json"), *expect)

    one = Expect("imei", (), ("body",))
    way("the same key twice", f'{{"id":"none","id":"{imei}"}}', one)
    way("behind a byte order mark", b"\xef\xbb\xbf" + INNER.encode(), *device("json"))
    way("a label in the value", compact({"x": f"IMEI:{imei}"}), one)
    way("blanks in the value", compact({"x": f"  {imei}\t"}), one)
    way("single quotes", f"{{'id':'{imei}',}}", one)
    way("comments", f'{{/* id */ "id": "{imei}" // {mail}\n}}', one, Expect("email"))
    way("forty arrays deep", "[" * 40 + f'"{imei}"' + "]" * 40, one)
    way("ninety objects deep", '{"a":' * 90 + f'"{imei}"' + "}" * 90, one)
    way("beside a broken escape", '{"a":"\\u00zz","b":"' + encode.escaped(mail) + '"}', Expect("email"))
    way("half of it escaped", f'{{"m":"{mail[:6]}\\u002e{mail[7:]}"}}', Expect("email"))
    way(
        "in the middle of 500 members",
        compact({f"k{at}": at * 7919 for at in range(250)} | {"q": imei} | {f"l{at}": at for at in range(250)}),
        one,
    )
    way("numbers in a list", f"[1,2,{imei},4]", one)
    way("as a float", f'{{"n":{imei}.0}}', one)
    way("in a URL in a text", compact({"u": f"https://x.example/a?imei={imei}&m={quote(mail)}"}), one, Expect("email"))
    way(
        "base64 of JSON in JSON in base64",
        base64ed(compact({"p": base64ed(INNER.encode())}).encode()),
        *device("base64", "base64"),
    )
    way(
        "gzip of base64 of gzip", gzipped(base64ed(gzipped(INNER.encode())).encode()), *device("gzip", "base64", "gzip")
    )


def requests(book: Book) -> None:
    imei, mac = PERSON.imei[0], PERSON.wifi_mac

    def way(name, request, *expect, port=80):
        book.add(KLASS, f"HTTP, {name}", request, *expect, port=port)

    query, header = ("query",), ("header",)
    way("JSON in a query", web.get("/t?data=" + quote(INNER)), *device(at=query))
    way(
        "base64 in a query, + not escaped",
        web.get("/t?d=" + base64ed(b"\xfb\xef" + INNER.encode())),
        *device("base64", at=query),
    )
    way(
        "Referer",
        web.get("/i.gif", {"Referer": f"http://a.example/?mac={quote(mac)}&i={imei}"}),
        Expect("wifi_mac", (), header),
        Expect("imei", (), header),
    )
    way("JSON in a header", web.get("/", {"X-Context": INNER}), *device(at=header))
    way(
        "base64 of JSON in a header",
        web.get("/", {"X-Context": base64ed(INNER.encode())}),
        *device("base64", at=header),
    )
    way("JSON in a cookie", web.get("/", {"Cookie": "ctx=" + quote(INNER)}), *device(at=header))
    way(
        "user agent",
        web.get("/", {"User-Agent": f"Dalvik/2.1.0 (Linux; U; Android 13) App/{imei}"}),
        Expect("imei", (), header),
    )
    way(
        "absolute target",
        f"GET http://c.example/r?i={imei} HTTP/1.1\r\nHost: c.example\r\n\r\n".encode(),
        Expect("imei", (), query),
        port=8080,
    )
    way(
        "PUT",
        f"PUT /devices/{PERSON.android_id} HTTP/1.1\r\nHost: c.example\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
        Expect("android_id", (), ("path",)),
    )
    way("JSON as a form", web.post(INNER + "=", FORM), *device())
    way("a form as JSON", web.post(f"imei={imei}&mac={quote(mac)}", "application/json"), *device())
    way("semicolons between fields", web.post(f"a=1;i={imei};mac={mac};z", FORM), *device())
    way(
        "body of a GET",
        f"GET / HTTP/1.1\r\nHost: c.example\r\nContent-Length: {len(INNER)}\r\n\r\n{INNER}".encode(),
        *device(),
    )
    way(
        "lower-case names of fields",
        f"POST / HTTP/1.1\r\nhost: c.example\r\ncontent-length:{len(INNER)}\r\n\r\n{INNER}".encode(),
        *device(),
    )
    way("a blank line in front", b"\r\n" + web.post(INNER), *device(at=("body", "stream")))
    way(
        "multipart, LF alone",
        web.post(
            encode.multipart([('Content-Disposition: form-data; name="i"', imei.encode())], "b1").replace(
                b"\r\n", b"\n"
            ),
            "multipart/form-data; boundary=b1",
        ),
        Expect("imei"),
    )
    way(
        "multipart, wrong boundary",
        web.post(
            encode.multipart([('Content-Disposition: form-data; name="i"', gzipped(INNER.encode()))], "b1"),
            "multipart/form-data; boundary=b2",
        ),
        *device("gzip"),
    )
    way(
        "WebDAV",
        f"PROPFIND /~{PERSON.account}/ HTTP/1.1\r\nHost: c.example\r\nDepth: 1\r\n\r\n".encode(),
        Expect("account", (), ("path",)),
    )
    way(
        "Basic credentials",
        web.get("/", {"Authorization": "Basic " + base64ed(f"{PERSON.email}:pw".encode())}),
        Expect("email", ("base64",), header),
    )
    way("HTTP/1.0 without Host", f"GET /?i={imei} HTTP/1.0\r\n\r\n".encode(), Expect("imei", (), query))


def texts(book: Book) -> None:
    imei, mac = PERSON.imei[0], PERSON.wifi_mac

    def way(name, body, *expect):
        book.add(KLASS, f"text, {name}", web.post(body, "text/plain"), *expect)

    way("YAML", f"device:\n  imei: {imei}\n  mac: '{mac}'\n", *device())
    way("log", f"03-14 08:15:42.118  1204  1877 I Telephony: getDeviceId={imei}, wlan0={mac}.\n" * 3, *device())
    way("tabs", f"{imei}\t{mac}\tnb\n", *device())
    way(
        "property list",
        f"<dict><key>IMEI</key><string>{imei}</string><key>m</key><data>{base64ed(mac.encode())}</data></dict>",
        Expect("imei"),
        Expect("wifi_mac", ("base64",)),
    )
    way(
        "RADIUS, station and network",
        f"Calling-Station-Id={mac.upper().replace(':', '-')}:x Called-Station-Id={PERSON.bssid.upper().replace(':', '-')}:{PERSON.ssid[0]}",
        Expect("wifi_mac"),
        Expect("bssid"),
        Expect("ssid"),
    )
    way(
        "scan of twelve networks",
        "".join(f"{'f4:92:bf:00:00:%02x' % at if at != 8 else PERSON.bssid},-{40 + at},2412\n" for at in range(12)),
        Expect("bssid"),
    )
    way("URN", f"urn:gsma:imei:{imei[:8]}-{imei[8:14]}-{imei[14]}", Expect("imei"))
    way("tel URI", f"tel:{PERSON.phone};phone-context=x", Expect("phone"))
    way(
        "vCard",
        f"BEGIN:VCARD\r\nTEL;TYPE=CELL:+44-7700-{PERSON.phone[-6:]}\r\nEMAIL:{PERSON.email}\r\nEND:VCARD\r\n",
        Expect("phone"),
        Expect("email"),
    )
    way("mailto", f'<a href="mailto:{PERSON.email}?subject=x">', Expect("email"))
    way("Latin-1 beside it", b"navn=J\xf8rn;imei=" + imei.encode() + b";by=Troms\xf8", Expect("imei"))
    way("NULs around it", b"\0\0\0" + imei.encode() + b"\0\0" + mac.encode() + b"\0", *device())
    way("C struct", struct.pack("<I16s18sH", 7, imei.encode(), mac.encode(), 3), *device())
    way(
        "Java serialization",
        b"\xac\xed\x00\x05sr\x00\x08a.Device\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x01L\x00\x04imeit\x00\x12Ljava/lang/String;xpt"
        + wire.short(imei),
        Expect("imei"),
    )
    way("MessagePack", b"\x82\xa4imei\xaf" + imei.encode() + b"\xa3mac\xb1" + mac.encode(), *device())
    way("CBOR", b"\xa2\x64imei\x6f" + imei.encode() + b"\x63mac\x71" + mac.encode(), *device())
    way("CBOR, number", b"\xa1\x64imei\x1b" + struct.pack(">Q", int(imei)), Expect("imei"))
    way(
        "Thrift",
        b"\x82\x21\x01\x03log\x1c\x18\x0f" + imei.encode() + b"\x18\x11" + mac.encode() + b"\x00\x00",
        *device(),
    )
    way("BSON", b"\x1f\0\0\0\x02id\0\x10\0\0\0" + imei.encode() + b"\0\0", Expect("imei"))
    way("SQLite dump", f"INSERT INTO ids VALUES(1,'{imei}','{mac}');\n", *device())


def telephony(book: Book) -> None:
    imei, imsi = PERSON.imei[0], PERSON.imsi
    urn = f"{imei[:8]}-{imei[8:14]}-0"
    register = (
        f"REGISTER sip:ims.mnc001.mcc242.3gppnetwork.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.17:5060\r\n"
        f"From: <sip:{imsi}@ims.mnc001.mcc242.3gppnetwork.example>;tag=1\r\n"
        f'Contact: <sip:192.0.2.17:5060>;+sip.instance="<urn:gsma:imei:{urn}>"\r\nContent-Length: 0\r\n\r\n'
    )
    at = ("datagram", "stream", "header", "path", "query")
    book.datagram(
        KLASS, "SIP registration", register.encode(), Expect("imsi", (), at), Expect("imei", (), at), port=5060
    )
    book.add(
        KLASS, "SIP registration over TCP", register.encode(), Expect("imsi", (), at), Expect("imei", (), at), port=5060
    )
    hostname = f"android-{PERSON.android_id}".encode()
    request = (
        b"\x01\x01\x06\x00"
        + wire.noise("dhcp 2", 4)
        + bytes(20)
        + bytes.fromhex(PERSON.wifi_mac.replace(":", ""))
        + bytes(202)
    )
    request += b"\x63\x82\x53\x63\x35\x01\x01\x0c" + bytes([len(hostname)]) + hostname + b"\xff"
    book.datagram(
        KLASS, "DHCP, name of the host", request, Expect("android_id", (), at), Expect("wifi_mac", (), at), port=67
    )
    mdns = wire.dns(f"phone-{PERSON.serial}.local")
    book.datagram(KLASS, "mDNS", mdns, Expect("serial", (), ("name", "datagram")), port=5353)
    dice = random.Random("attach")
    attach = (
        b"\x07\x41\x71\x08" + bytes([int(imsi[0]) << 4 | 9]) + encode.bcd(imsi[1:], swapped=True) + dice.randbytes(20)
    )
    book.add(KLASS, "NAS attach request in TCP", attach, Expect("imsi", (), ("stream",), ("bcd",)), port=9000)
    sim = b"\x98" + dice.randbytes(3) + encode.bcd(PERSON.iccid, swapped=True) + dice.randbytes(9)
    book.add(
        KLASS,
        "EF_ICCID as it is on the card",
        web.post(sim, "application/octet-stream"),
        Expect("iccid", (), ("body",), ("bcd",)),
    )


def maps(book: Book) -> None:
    lat, lon = PERSON.latitude, PERSON.longitude
    here = Expect("location")

    def way(name, body):
        book.add(KLASS, f"place, {name}", web.post(body, "text/plain"), here)

    way("geo URI", f"geo:{lat},{lon};u=35")
    way("WKT", f"POINT({lon} {lat})")
    way("map of Google", f"/maps/place/data=!3m1!4b1!4m5!3m4!8m2!3d{lat}!4d{lon}")
    way("CSV", f"1552547742;{lat};{lon};17.5\n")
    way("elements", f"<lat>{lat}</lat><lon>{lon}</lon>")
    way("ISO 6709", f"{lat:+.5f}{lon:+010.5f}/")
    way("the third of a track", compact({"track": [[lon + 1, lat + 1], [lon + 0.5, lat + 0.5], [lon, lat]]}))
    way("YAML", f"latitude: {lat}\nlongitude: {lon}\n")
    way("object of objects", compact({"lat": {"value": lat, "unit": "deg"}, "lon": {"value": lon, "unit": "deg"}}))
