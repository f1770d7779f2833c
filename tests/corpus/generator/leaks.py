"""Leaks that were documented, in the wire formats that the reports and the senders' code give.

A value that is in a message twice, plain and hashed, is told once.
"""

import hashlib
import struct
import zlib

from . import encode, web, wire
from .case import Book, Expect
from .encode import base32ed, base64ed, compact, gzipped, hexed, protobuf, xored, zipped
from .values import PERSON
from .wrapped import FORM

KLASS = "leak documented"


def add(book: Book) -> None:
    registration(book)
    telemetry(book)
    advertising(book)
    devices(book)
    networks(book)


def found(*kinds: str, chain: tuple[str, ...] = (), at: tuple[str, ...] = ("body",)) -> list[Expect]:
    return [Expect(kind, chain, at) for kind in kinds]


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def registration(book: Book) -> None:
    """China Telecom's self-registration, as the Nokia 7 Plus sent it in 2019."""
    first, second = PERSON.imei
    later = {
        "REGVER": "4.0", "MEID": PERSON.meid.upper(), "MODEL": "Nokia-TA-1046", "SWVER": "00WW_2_39E",
        "SIM1CDMAIMSI": "", "UETYPE": "1", "SIM1ICCID": PERSON.iccid, "SIM1LTEIMSI": PERSON.imsi, "SIM1TYPE": "2",
        "SIM2CDMAIMSI": "", "SIM2ICCID": "", "SIM2LTEIMSI": "", "SIM2TYPE": "", "MACID": PERSON.wifi_mac,
        "OSVER": "8.1.0", "ROM": "64G", "RAM": "4G", "IMEI1": first, "IMEI2": second,
        "SIM1CELLID": str(PERSON.cell_id), "SIM2CELLID": "", "DATASIM": "1", "SIM1VoLTESW": "2", "SIM2VoLTESW": "2",
        "ACCESSTYPE": "2", "REGDATE": "2019-03-14 08:15:42",
    }  # fmt: skip
    # The client of 2014 wrote in the order of a hash map, "0" for what it had not.
    earlier = {key: later[key] or "0" for key in sorted(later, key=lambda key: zlib.crc32(key.encode()))}
    earlier |= {"REGVER": "1.0", "MEID": first}
    kinds = ("meid", "iccid", "imsi", "wifi_mac", "imei", "imei", "cell_id")
    old_kinds = ("iccid", "imsi", "wifi_mac", "imei", "imei", "cell_id")
    headers = {"Content-Type": "application/encrypted-json", "User-Agent": "Apache-HttpClient/UNAVAILABLE (java 1.4)"}
    for name, fields, found_kinds in [("2019", later, kinds), ("2014", earlier, old_kinds)]:
        data = compact(fields).encode()
        body = base64ed(data, column=76)
        book.add(
            KLASS,
            f"self-registration of {name}",
            web.post(body, headers, "/", "zzhc.vnet.example"),
            *found(*found_kinds, chain=("base64", "json")),
        )
        text = base64ed(data)
        modem = f"POST / HTTP/1.1\r\nContent-Length:{len(text)}\r\nUser-Agent:modem\r\nHost:zzhc.vnet.example:9999\r\nContent-Type:application/encrypted-json\r\n\r\n{text}"
        book.add(
            KLASS,
            f"self-registration of {name}, modem firmware",
            modem.encode(),
            *found(*found_kinds, chain=("base64", "json")),
            port=9999,
        )
        nul = text[:57] + "\0" + text[57:]
        book.add(
            KLASS,
            f"self-registration of {name}, NUL inside",
            nul.encode(),
            *found(*found_kinds, chain=("base64", "json"), at=("stream",)),
            port=9998,
        )
        message = wire.coap(["nb"], text.encode())
        book.datagram(
            KLASS,
            f"self-registration of {name}, NB-IoT",
            message,
            *found(*found_kinds, chain=("base64", "json"), at=("datagram", "body")),
            port=5683,
        )


def telemetry(book: Book) -> None:
    imei, phone, email = PERSON.imei[0], PERSON.phone, PERSON.email
    fields = {
        "ty": 3, "dl": {"imei": ",".join(PERSON.imei), "mo": phone, "sn": PERSON.serial, "imsi": PERSON.imsi},
        "net": {"essid": PERSON.ssid[0], "bssid": PERSON.bssid, "mac": PERSON.wifi_mac, "bt": PERSON.bluetooth_mac},
        "events": [{"id": "screen_on", "ts": 1507622400000 + at * 977} for at in range(12)],
    }  # fmt: skip
    kinds = ("imei", "phone", "serial", "imsi", "ssid", "bssid", "wifi_mac", "bluetooth_mac")
    book.add(
        KLASS,
        "OnePlus telemetry",
        web.post(
            gzipped(compact(fields).encode()),
            {"Content-Encoding": "gzip", "Content-Type": "application/json"},
            "/cloud/pushdata/",
        ),
        *found(*kinds, chain=("gzip", "json")),
    )
    events = [
        {
            "distinct_id": PERSON.android_id,
            "type": "track",
            "event": "$AppStart",
            "properties": {"$device_id": PERSON.android_id, "$lib": "Android", "phone": phone},
        }
    ]
    data = base64ed(gzipped(compact(events).encode()))
    body = f"crc={zlib.crc32(data.encode()) & 0x7FFFFFFF}&gzip=1&data_list={encode.percented(data)}"
    book.add(
        KLASS,
        "Sensors Analytics",
        web.post(body, FORM, "/sa?project=default"),
        *found("android_id", "phone", chain=("base64", "gzip", "json")),
    )
    one = encode.percented(base64ed(compact(events[0]).encode()))
    book.add(
        KLASS,
        "Sensors Analytics, without gzip",
        web.get(f"/sa?data={one}&ext=crc%3D-17"),
        *found("android_id", "phone", chain=("base64", "json"), at=("query",)),
    )
    body = "&".join([
        "app_id=1820", "attribution_id=", f"mac={PERSON.wifi_mac.upper()}".replace(":", "%3A"), f"imei={imei}", f"serial={PERSON.serial}",
        f"mac_md5={md5(PERSON.wifi_mac.replace(':', ''))}", f"imei_md5={md5(imei)}",
    ])  # fmt: skip
    book.add(KLASS, "Umeng, old", web.post(body, FORM), *found("wifi_mac", "imei", "serial"))
    reports = (
        b"\x00\x02\x00\x00\x01\x3d"
        + wire.short("3.2.1")
        + wire.short(f"AND{PERSON.android_id}")
        + struct.pack(">Bdd", 1, PERSON.latitude, PERSON.longitude)
        + wire.noise("flurry", 90)
    )
    book.add(
        KLASS, "Flurry", web.post(reports, "application/octet-stream", "/aap.do"), *found("android_id", "location")
    )
    checkin = protobuf(
        (1, imei), (2, int(PERSON.android_id, 16)), (3, "1-929a0dca0eee55513280171a8585da7dcd3700f8"),
        (4, protobuf((1, protobuf((1, "google/crosshatch"), (2, "android-google"))), (2, 1_552_547_742_000))),
        (9, PERSON.wifi_mac.replace(":", "")), (10, PERSON.meid.upper()), (11, f"[{email}]"), (11, "ya29.token"),
        (16, PERSON.serial), (6, "nb_NO"), (12, "Europe/Oslo"), (14, 3),
    )  # fmt: skip
    book.add(
        KLASS,
        "Google check-in",
        web.post(
            gzipped(checkin), {"Content-Encoding": "gzip", "Content-Type": "application/x-protobuffer"}, "/checkin"
        ),
        *found("imei", "android_id", "wifi_mac", "meid", "email", "serial", chain=("gzip",)),
    )


def advertising(book: Book) -> None:
    imei, gaid, android, mac = PERSON.imei[0], PERSON.advertising_id, PERSON.android_id, PERSON.wifi_mac
    bare = mac.replace(":", "").upper()
    body = f"app_token=4w565xzmb54d&gps_adid={gaid}&android_id={android}&mac_sha1={sha1(mac.upper())}&mac_md5={md5(bare)}&event_count=1"
    book.add(
        KLASS,
        "Adjust",
        web.post(body, FORM, "/session"),
        *found("advertising_id", "android_id"),
        Expect("wifi_mac", (), ("body",), ("sha1", "md5")),
    )
    query = (
        f"v=6&id=agltb3B1&udid=ifa%3A{gaid}&nsv=5.4&ll={PERSON.latitude:.4f}%2C{PERSON.longitude:.4f}&lla=21&z=%2B0100"
    )
    book.add(KLASS, "MoPub", web.get(f"/m/ad?{query}"), *found("advertising_id", "location", at=("query",)))
    cuid = f"{md5('device')[:30].upper()}|{imei[::-1]}"
    book.add(
        KLASS,
        "Baidu, query",
        web.get(f"/nav?cuid={encode.percented(cuid)}&os=13"),
        Expect("imei", (), ("query",), ("reversed",)),
    )
    book.add(
        KLASS,
        "Baidu, header",
        web.get("/nav", {"X-BDBoxApp-Cuid": cuid}),
        Expect("imei", (), ("header",), ("reversed",)),
    )
    hashed = compact(
        {
            "app_events": {
                "event": "MOBILE_APP_INSTALL",
                "advertiser_id": gaid,
                "ud": {"em": sha256(PERSON.email), "ph": sha256(PERSON.phone[1:])},
            }
        }
    )
    book.add(
        KLASS,
        "Facebook SDK",
        web.post(gzipped(hashed.encode()), {"Content-Encoding": "gzip"}, "/v9.0/1/activities"),
        Expect("advertising_id", ("gzip", "json")),
        Expect("email", ("gzip", "json"), ("body",), ("sha256",)),
        Expect("phone", ("gzip", "json"), ("body",), ("sha256",)),
    )
    query = f"a=17&os=0&ip=192.0.2.7&m6={md5(bare)}&m2={md5(imei)}&m1a={md5(android)}&m1={android}&ts=1552547742000"
    book.add(
        KLASS,
        "ad monitor of China",
        web.get(f"/x.gif?{query}"),
        Expect("wifi_mac", (), ("query",), ("md5",)),
        Expect("imei", (), ("query",), ("md5",)),
        Expect("android_id", (), ("query",), ("plain", "md5")),
    )
    query = f"gaid={gaid}&aid={android}&gaid2={md5(gaid)}&gaid3={sha1(gaid)}&imei_md5={md5(imei)}"
    book.add(
        KLASS,
        "Mintegral",
        web.get(f"/openapi/ad/v3?{query}"),
        *found("advertising_id", "android_id", "imei", at=("query",)),
    )
    ids = compact({"O1": sha1(android), "UM5": md5(android), "GPID": gaid, "SHA1_IMEI": sha1(imei)})
    book.add(
        KLASS,
        "InMobi, map of ids",
        web.post("u-id-map=" + encode.percented(ids), FORM),
        *found("advertising_id", chain=("percent",)),
        Expect("android_id", ("percent",), ("body",), ("sha1", "md5")),
        Expect("imei", ("percent",), ("body",), ("sha1",)),
    )
    book.add(
        KLASS,
        "InMobi, XOR",
        web.post("d=" + encode.percented(base64ed(xored(ids.encode(), 0x4E))), FORM),
        *found("advertising_id", "android_id", "imei", chain=("base64", "xor")),
    )
    for key in (0x02, 0x08, 0x0A):
        text = hexed(xored(f"imei={imei}&aid={android}".encode(), key & 0x0A))
        book.add(
            KLASS,
            f"ThreatMetrix, key {key:#04x}",
            web.get(f"/fp/clear.png?ja={text}"),
            *found("imei", "android_id", chain=("hex", "xor"), at=("query",)),
        )


def devices(book: Book) -> None:
    imei, second = PERSON.imei
    files = {
        "dc_app_flow.json": compact({"apps": [{"pkg": name} for name in PERSON.apps]}).encode(),
        "DcMobileStatus.json": compact(
            {"imei": imei, "imei2": second, "imsi": PERSON.imsi, "mdn": PERSON.phone[1:], "mac": PERSON.wifi_mac}
        ).encode(),
        "DcTellMessage.json": wire.noise("sms under DES", 400),
    }
    part = (
        'Content-Disposition: form-data; name="file"; filename="20191029.zip"\r\nContent-Type: application/octet-stream'
    )
    body = encode.multipart(
        [('Content-Disposition: form-data; name="sn"', PERSON.serial.encode()), (part, zipped(files))], "*****"
    )
    book.add(
        KLASS,
        "Adups FOTA",
        web.post(body, "multipart/form-data;boundary=*****", "/fota5/mobileupload.action"),
        *found("imei", "imei", "imsi", "phone", "wifi_mac", "installed_apps", chain=("multipart", "zip", "json")),
        Expect("serial", ("multipart",)),
    )
    query = f"imei={imei}&imsi={PERSON.imsi}&lat={PERSON.latitude}&lon={PERSON.longitude}&apps=17"
    book.add(KLASS, "weather, query", web.get(f"/report?{query}"), *found("imei", "imsi", "location", at=("query",)))
    points = [
        {
            "ts": 1_552_547_742 + at,
            "lat": round(PERSON.latitude + at / 1e5, 6),
            "lon": round(PERSON.longitude - at / 1e5, 6),
            "hacc": 12.0,
        }
        for at in range(5)
    ]
    broker = compact(
        {
            "ad_id": PERSON.advertising_id,
            "locs": points,
            "wifi": {"BSSID": PERSON.bssid, "SSID": PERSON.ssid[0], "rssi": -51},
        }
    )
    book.add(
        KLASS,
        "location broker",
        web.post(broker, "application/json"),
        *found("advertising_id", "location", "bssid", "ssid", chain=("json",)),
    )
    scan = compact(
        {
            "radioType": "lte",
            "cellTowers": [
                {
                    "cellId": PERSON.cell_id,
                    "locationAreaCode": PERSON.tac,
                    "mobileCountryCode": 242,
                    "mobileNetworkCode": 1,
                }
            ],
            "wifiAccessPoints": [{"macAddress": PERSON.bssid, "signalStrength": -51}],
        }
    )
    book.add(
        KLASS,
        "geolocation by network",
        web.post(scan, "application/json", "/geolocation/v1/geolocate?key=k"),
        *found("cell_id", "tac", "bssid", chain=("json",)),
    )


def networks(book: Book) -> None:
    imei, imsi, android = PERSON.imei[0], PERSON.imsi, PERSON.android_id
    book.add(
        KLASS,
        "MQTT client id, IMEI",
        wire.mqtt_connect(imei),
        *found("imei", chain=("mqtt",), at=("stream", "body", "header")),
        port=1883,
    )
    book.add(
        KLASS,
        "MQTT client id, Android ID",
        wire.mqtt_connect(f"mqttjs_{android}", user="app"),
        *found("android_id", chain=("mqtt",), at=("stream", "body", "header")),
        port=1883,
    )
    for name, label, chain in [
        ("plain", imei, ()),
        ("hex", hexed(imei.encode()), ("hex",)),
        ("base32", base32ed(android.encode(), padded=False, lower=True), ("base32",)),
    ]:
        kind = "android_id" if name == "base32" else "imei"
        book.datagram(
            KLASS,
            f"DNS label, {name}",
            wire.dns(f"{label}.ping.example"),
            *found(kind, chain=chain, at=("name",)),
            port=53,
        )
    realm = f"ims.mnc{int(imsi[3:5]):03}.mcc{imsi[:3]}.3gppnetwork.example"
    target = f"/simservs.ngn.etsi.org/users/sip%3A{imsi}%40{realm}/simservs.xml"
    book.add(
        KLASS,
        "XCAP",
        web.get(target, {"X-3GPP-Intended-Identity": f'"sip:{imsi}@{realm}"'}, f"xcap.{realm}"),
        *found("imsi", at=("path",)),
        *found("imsi", at=("header",)),
    )
    entitlement = f"/?terminal_id={imei}&app=ap2004&IMSI={imsi}&token=&terminal_vendor=TA"
    book.add(KLASS, "entitlement server", web.get(entitlement), *found("imei", "imsi", at=("query",)))
    book.add(
        KLASS,
        "SUPL over TCP",
        b"\x00\x2a\x01\x00\x00\x80" + encode.bcd(imsi, swapped=True) + wire.noise("supl", 30),
        Expect("imsi", (), ("stream",), ("bcd",)),
        port=7276,
    )
