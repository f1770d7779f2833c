"""How a registered value can be written."""

import base64
import hashlib
import struct

from .encode import bcd, varint
from .values import Person

# Spellings whose name depends on how the value was registered: any of these says it.
AS_TEXT = ("plain", "separators", "case", "prefix", "length", "rounded")


def texts(person: Person) -> list[tuple[str, str, tuple[str, ...], str]]:
    """Kind, name of the variant, spellings that name it, text: everything that is found anywhere in a text."""
    out = []

    def add(kind, name, spelling, text):
        out.append((kind, name, (spelling,) if isinstance(spelling, str) else spelling, text))

    for at, imei in enumerate(person.imei):
        add("imei", f"slot {at + 1}", "plain", imei)
    imei = person.imei[0]
    add("imei", "dashes", "separators", f"{imei[:2]}-{imei[2:8]}-{imei[8:14]}-{imei[14]}")
    add("imei", "blanks", "separators", f"{imei[:6]} {imei[6:8]} {imei[8:14]} {imei[14]}")
    add("imei", "14 digits", "length", imei[:14])
    add("imei", "IMEISV", "length", imei[:14] + "07")
    add("imei", "reversed", "reversed", imei[::-1])
    add("imei", "hexadecimal", "hex", f"{int(imei):x}")
    add("imei", "hexadecimal of 16", "hex", f"{int(imei):016X}")
    add("meid", "upper case", AS_TEXT, person.meid.upper())
    add("meid", "decimal", "decimal", f"{int(person.meid[:8], 16):010}{int(person.meid[8:], 16):08}")
    add("imsi", "dashes", "separators", f"{person.imsi[:3]}-{person.imsi[3:5]}-{person.imsi[5:]}")
    add("imsi", "reversed", "reversed", person.imsi[::-1])
    add("imsi", "hexadecimal", "hex", f"{int(person.imsi):x}")
    add("iccid", "without its check digit", "length", person.iccid[:-1])
    add("iccid", "with a filler", ("plain", "length"), person.iccid + "F")
    add("iccid", "blanks", "separators", " ".join(person.iccid[at : at + 4] for at in range(0, 19, 4)))
    add("iccid", "reversed", "reversed", person.iccid[::-1])
    add("serial", "lower case", AS_TEXT, person.serial.lower())
    for kind in ("wifi_mac", "bluetooth_mac", "bssid"):
        octets = person.text(kind).split(":")
        add(kind, "upper case", AS_TEXT, ":".join(octets).upper())
        add(kind, "bare", "separators", "".join(octets))
        add(kind, "bare upper case", "separators", "".join(octets).upper())
        add(kind, "dashes", "separators", "-".join(octets).upper())
        add(kind, "dots", "separators", ".".join("".join(octets[at : at + 2]) for at in (0, 2, 4)))
        add(kind, "blanks", "separators", " ".join(octets))
    bare = person.wifi_mac.replace(":", "")
    add("wifi_mac", "reversed", "reversed", bare[::-1])
    add("wifi_mac", "decimal", "decimal", str(int(bare, 16)))
    add("android_id", "upper case", AS_TEXT, person.android_id.upper())
    add("android_id", "decimal", "decimal", str(int(person.android_id, 16)))
    add("android_id", "signed decimal", "decimal", str(int(person.android_id, 16) - (1 << 64)))
    add("android_id", "after AND", AS_TEXT, f"AND{person.android_id}")
    add("gsf_id", "decimal", "decimal", str(int(person.gsf_id, 16)))
    add("advertising_id", "upper case", AS_TEXT, person.advertising_id.upper())
    add("advertising_id", "bare", "separators", person.advertising_id.replace("-", ""))
    add("advertising_id", "in braces", AS_TEXT, "{" + person.advertising_id + "}")
    digits = person.phone[1:]
    national = digits[2:]
    add("phone", "digits", "prefix", digits)
    add("phone", "00", "prefix", "00" + digits)
    add("phone", "national 0", "prefix", "0" + national)
    add("phone", "blanks", ("separators", "prefix"), f"+44 {national[:4]} {national[4:]}")
    add("phone", "national with a dash", ("separators", "prefix"), f"0{national[:4]}-{national[4:]}")
    add("email", "upper case", AS_TEXT, person.email.upper())
    add("email", "with a name", "plain", f"Ingrid <{person.email}>")
    add("account", "capital", AS_TEXT, person.account.capitalize())
    add("custom.badge", "lower case", AS_TEXT, person.badge.lower())
    return out


def digests(person: Person) -> list[tuple[str, str, str, bytes]]:
    """Kind, name, spelling, digest."""
    bare = person.wifi_mac.replace(":", "")
    inputs = [
        ("imei", "plain", person.imei[0]),
        ("imei", "14 digits", person.imei[0][:14]),
        ("imsi", "plain", person.imsi),
        ("iccid", "plain", person.iccid),
        ("serial", "plain", person.serial),
        ("meid", "upper", person.meid.upper()),
        ("wifi_mac", "colons", person.wifi_mac),
        ("wifi_mac", "upper colons", person.wifi_mac.upper()),
        ("wifi_mac", "bare upper", bare.upper()),
        ("wifi_mac", "bare", bare),
        ("android_id", "plain", person.android_id),
        ("advertising_id", "plain", person.advertising_id),
        ("advertising_id", "upper", person.advertising_id.upper()),
        ("phone", "E.164", person.phone),
        ("phone", "digits", person.phone[1:]),
        ("email", "plain", person.email),
        ("gsf_id", "plain", person.gsf_id),
        ("account", "plain", person.account),
        ("bssid", "plain", person.bssid),
    ]
    return [
        (kind, f"{algorithm} of {name}", algorithm, hashlib.new(algorithm, text.encode()).digest())
        for kind, name, text in inputs
        for algorithm in ("md5", "sha1", "sha256")
    ]


def digest_texts(digest: bytes, name: str) -> list[tuple[str, str]]:
    """The ways a digest is sent as text."""
    out = [("hex", digest.hex()), ("upper hex", digest.hex().upper())]
    out += [("base64", base64.b64encode(digest).decode())]
    if name == "md5":
        out.append(("middle of hex", digest.hex()[8:24]))
    return out


def raws(person: Person) -> list[tuple[str, str, tuple[str, ...], bytes]]:
    """Kind, name, spellings, bytes: the binary forms of six bytes or more."""
    out = []
    for kind in ("wifi_mac", "bluetooth_mac", "bssid"):
        octets = bytes.fromhex(person.text(kind).replace(":", ""))
        out.append((kind, "raw", ("raw", "integer"), octets))
        out.append((kind, "raw backwards", ("raw", "integer"), octets[::-1]))
    for kind in ("android_id", "gsf_id", "meid"):
        octets = bytes.fromhex(person.text(kind))
        out.append((kind, "raw", ("raw", "integer"), octets))
        out.append((kind, "little-endian", ("raw", "integer"), octets[::-1]))
    out.append(("android_id", "varint", ("varint",), varint(int(person.android_id, 16))))
    out.append(("gsf_id", "varint", ("varint",), varint(int(person.gsf_id, 16))))
    out.append(("advertising_id", "raw", ("raw",), bytes.fromhex(person.advertising_id.replace("-", ""))))
    for kind, number in (("imei", person.imei[0]), ("imsi", person.imsi), ("iccid", person.iccid)):
        out.append(
            (
                kind,
                "big-endian",
                ("integer",),
                struct.pack(">Q", int(number)) if int(number) < 1 << 64 else int(number).to_bytes(9, "big"),
            )
        )
        out.append(
            (
                kind,
                "little-endian",
                ("integer",),
                int(number).to_bytes(9, "little")[:8] if int(number) < 1 << 64 else int(number).to_bytes(9, "little"),
            )
        )
        out.append((kind, "BCD", ("bcd",), bcd(number)))
        out.append((kind, "swapped BCD", ("bcd",), bcd(number, swapped=True)))
    out.append(("imei", "varint", ("varint",), varint(int(person.imei[0]))))
    # 3GPP TS 24.008 10.5.1.4: the first digit shares its byte with the type of identity.
    imsi = person.imsi
    out.append(("imsi", "mobile identity", ("bcd",), bytes([int(imsi[0]) << 4 | 9]) + bcd(imsi[1:], swapped=True)))
    out.append(("phone", "swapped BCD", ("bcd",), b"\x91" + bcd(person.phone[1:], swapped=True)))
    for name, digest in (("md5", 16), ("sha1", 20), ("sha256", 32)):
        raw = hashlib.new(name, person.imei[1].encode()).digest()
        assert len(raw) == digest
        out.append(("imei", f"raw {name}", (name,), raw))
    return out


def places(person: Person) -> list[tuple[str, str]]:
    """Name and JSON members or text of a pair of coordinates, all within 200 m."""
    lat, lon = person.latitude, person.longitude
    return [
        ("as registered", f'"lat":{lat},"lng":{lon}'),
        ("4 decimals", f'"latitude":{lat:.4f},"longitude":{lon:.4f}'),
        ("5 decimals as texts", f'"lat":"{lat:.5f}","lon":"{lon:.5f}"'),
        ("90 m away", f'"latitude":{lat + 0.0008:.6f},"longitude":{lon:.6f}'),
        ("more digits than a fix has", f'"lat":{lat + 0.0000031415926:.13f},"lng":{lon + 0.00000271828:.13f}'),
        ("millionths", f'"lat_e6":{round(lat * 1e6)},"lng_e6":{round(lon * 1e6)}'),
        ("E7", f'"latitudeE7":{round(lat * 1e7)},"longitudeE7":{round(lon * 1e7)}'),
        ("GeoJSON, longitude first", f'"geo":{{"type":"Point","coordinates":[{lon},{lat}]}}'),
        ("one text", f'"ll":"{lat:.6f},{lon:.6f}"'),
        ("between other members", f'"latitude":{lat},"accuracy":21.5,"time":1552547742,"longitude":{lon}'),
        ("longitude first", f'"lon":{lon},"lat":{lat}'),
        ("signed", f'"pos":"+{lat:.5f} +{lon:.5f}"'),
    ]
