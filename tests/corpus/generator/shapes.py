"""Values of people who registered nothing: structure, and a name beside it that says what it is."""

from . import carriers, encode, web, wire
from .case import Book, Expect
from .encode import base64ed, compact, gzipped
from .values import Person, luhn, stranger

# Names of fields by kind, in the spellings that SDKs, device makers and their servers use.
NAMES = {
    "imei": "imei IMEI1 deviceImei imei_1 phone_imei deviceid device_imei X-IMEI udid did",
    "meid": "meid MEID deviceMeid cdma_meid",
    "imsi": "imsi IMSI subscriberId sim_imsi subscriber_id SIM1LTEIMSI",
    "iccid": "iccid ICCID simSerialNumber sim_serial SIM1ICCID iccId",
    "serial": "serial serialno serial_number SerialNumber ro.serialno sn",
    "wifi_mac": "mac wifi_mac macAddress MACID mac_address wlanMac wifimac X-MAC",
    "bluetooth_mac": "bt_mac bluetoothMac bluetooth_address btmac BTADDR",
    "android_id": "android_id androidId ANDROID_ID aid androidid Android-Id ssaid",
    "advertising_id": "gaid aaid advertising_id advertisingId idfa gps_adid ifa oaid google_ad_id rdid ad_id advertiser_id",
    "gsf_id": "gsf_id gsfId gsf",
    "phone": "msisdn phone phoneNumber phone_number mobile tel mdn",
    "email": "email e_mail userEmail mail user_email emailAddress",
    "account": "username user_name accountName login_name",
    "location": "",
    "cell_id": "cellid cell_id cellId ci SIM1CELLID eci",
    "tac": "tac lac tracking_area locationAreaCode",
    "ssid": "ssid wifi_ssid SSID essid wifiName",
    "bssid": "bssid BSSID wifi_bssid ap_mac",
    "installed_apps": "",
}


def add(book: Book) -> None:
    for kind, names in NAMES.items():
        for at, key in enumerate(names.split()):
            person = stranger(f"{kind} {at}")
            single(book, kind, key, at, person)
    variants(book)
    places(book)
    apps(book)
    wrapped(book)


def single(book: Book, kind: str, key: str, at: int, person: Person) -> None:
    """A value under each of its names, in a carrier that can have them."""
    value = person.text(kind)
    last4 = value.replace(":", "")[-4:] if len(value) >= 8 else ""
    if key.startswith("X-") or key == "Android-Id":
        request = web.get("/v1/ping", {key: value})
        return book.add(f"shape {kind}", f"header {key}", request, Expect(kind, (), ("header",), last4=last4))
    ways = [
        carriers.in_json,
        carriers.in_form,
        carriers.in_query,
        carriers.in_json_in_json,
        carriers.in_element,
        carriers.in_xml,
    ]
    carrier = ways[at % len(ways)]
    if "." in key and carrier in (carriers.in_element, carriers.in_xml):
        carrier = carriers.in_json
    request, place, chain = carrier(key, value)
    book.add(f"shape {kind}", f"{carrier.__name__[3:]}, {key}", request, Expect(kind, chain, place, last4=last4))


def variants(book: Book) -> None:
    """Other ways to write them."""

    def way(kind, name, body, *more, headers=None):
        book.add(f"shape {kind}", name, web.post(body, headers), Expect(kind), *more)

    person = stranger("variants")
    imei = person.imei[0]
    way("imei", "a JSON number", f'{{"imei":{imei}}}')
    way("imei", "two in one text", compact({"imei": ",".join(person.imei)}))
    way("imei", "a list", compact({"imeis": list(person.imei)}))
    way("imei", "software version", compact({"imeisv": imei[:14] + "01"}))
    way("imei", "groups", compact({"imei": f"{imei[:2]}-{imei[2:8]}-{imei[8:14]}-{imei[14]}"}))
    way("imei", "key in another member", compact({"name": "imei", "value": imei}))
    way("imei", "colon and blank", f"boot\nIMEI: {imei}\nok")
    way("imei", "no colon", f"AT+CGSN\r\nIMEI {imei}\r\n")
    way("iccid", "20 digits", compact({"iccid": luhn("8947081200317546923")}))
    way("iccid", "with a filler", compact({"ICCID": person.iccid + "F"}))
    way("wifi_mac", "bare, upper case", compact({"mac": person.wifi_mac.replace(":", "").upper()}))
    way("wifi_mac", "dashes", compact({"wifiMac": person.wifi_mac.replace(":", "-").upper()}))
    way("wifi_mac", "random, as phones have since Android 10", compact({"wlan0_mac": "da:a1:19:0c:44:7e"}))
    way("advertising_id", "bare", compact({"gaid": person.advertising_id.replace("-", "")}))
    way("advertising_id", "upper case", compact({"IDFA": person.advertising_id.upper()}))
    way("advertising_id", "prefix inside the value", f"udid=ifa%3A{person.advertising_id}")
    way("phone", "groups", compact({"phone": f"+44 7700 {person.phone[-6:]}"}))
    way("phone", "00", compact({"msisdn": "00" + person.phone[1:]}))
    way("email", "in a list", compact({"emails": [person.email]}))
    way("email", "in telemetry without a key", compact({"e": "login", "p": [person.email, 17]}))
    way("android_id", "upper case", compact({"AndroidID": person.android_id.upper()}))
    way(
        "android_id",
        "among parameters of parameters",
        "p=" + encode.percented(f"os=13&android_id={person.android_id}&l=nb"),
    )
    cell = compact({"cell": {"mcc": 242, "mnc": 1, "lac": person.tac, "cid": person.cell_id}})
    book.add("shape cell_id", "with its network", web.post(cell), Expect("cell_id"), Expect("tac"))
    wifi = compact({"wifi": [{"ssid": person.ssid[0], "bssid": person.bssid, "rssi": -61}]})
    book.add("shape bssid", "with its name", web.post(wifi), Expect("bssid"), Expect("ssid"))


def places(book: Book) -> None:
    here = Expect("location")
    person = stranger("places")
    lat, lon = person.latitude, person.longitude
    for name, text in [
        ("lat and lng", f'{{"lat":{lat},"lng":{lon}}}'),
        ("latitude and longitude, texts", f'{{"latitude":"{lat:.5f}","longitude":"{lon:.5f}"}}'),
        ("lat and lon, 4 decimals", f'{{"t":4,"lat":{lat:.4f},"acc":12.5,"lon":{lon:.4f}}}'),
        ("E7", f'{{"latitudeE7":{round(lat * 1e7)},"longitudeE7":{round(lon * 1e7)}}}'),
        ("GeoJSON", f'{{"geometry":{{"type":"Point","coordinates":[{lon},{lat}]}}}}'),
        ("one text", f'{{"latlng":"{lat},{lon}"}}'),
        ("XML", f'<trkpt lat="{lat}" lon="{lon}"></trkpt>'),
        ("form", f"lat={lat}&lon={lon}&q=1"),
        ("location as one text", f'{{"location":"{lat:.6f},{lon:.6f}"}}'),
    ]:
        book.add("shape location", name, web.post(text), here)
    for name, query in [
        ("ll", f"ll={lat:.4f}%2C{lon:.4f}"),
        ("geo", f"geo={lat:.5f},{lon:.5f}"),
        ("x and y of a map", f"latitude={lat}&longitude={lon}"),
    ]:
        book.add("shape location", f"query, {name}", web.get(f"/w?{query}"), Expect("location", (), ("query",)))


def apps(book: Book) -> None:
    names = [
        f"com.{maker}.{app}"
        for maker in ("acme", "globex", "initech", "umbrella")
        for app in ("mail", "maps", "chess", "music.player")
    ]
    for name, body in [
        ("installed_apps", compact({"installed_apps": names})),
        ("applist", compact({"applist": [{"pkg": name, "ver": 3} for name in names]})),
        ("packages, joined", "packages=" + encode.percented(",".join(names))),
    ]:
        book.add("shape installed_apps", name, web.post(body), Expect("installed_apps"))


def wrapped(book: Book) -> None:
    """Shapes are found wherever registered values are."""
    person = stranger("wrapped")
    text = compact({"imei": person.imei[0], "android_id": person.android_id, "gaid": person.advertising_id})
    data = text.encode()

    def found(*chain, at=("body",)):
        return [Expect(kind, chain, at) for kind in ("imei", "android_id", "advertising_id")]

    klass = "shape wrapped"
    book.add(klass, "gzip", web.post(gzipped(data), {"Content-Encoding": "gzip"}), *found("gzip", "json"))
    book.add(klass, "base64", web.post(base64ed(data, column=76)), *found("base64", "json"))
    book.add(
        klass,
        "base64 of gzip in a form",
        web.post("d=" + encode.percented(base64ed(gzipped(data)))),
        *found("base64", "gzip", "json"),
    )
    book.add(klass, "hex", web.post(compact({"d": data.hex()})), *found("hex", "json"))
    book.add(klass, "brotli", web.post(encode.brotlied(data), {"Content-Encoding": "br"}), *found("brotli", "json"))
    book.add(klass, "zip", web.post(encode.zipped({"d.json": data})), *found("zip", "json"))
    book.add(
        klass,
        "multipart",
        web.post(
            encode.multipart([('Content-Disposition: form-data; name="imei"', person.imei[0].encode())], "b71"),
            "multipart/form-data; boundary=b71",
        ),
        Expect("imei", ("multipart",)),
    )
    book.add(klass, "HTTP/2", web.http2([([], data)]), *found("http2", at=("body", "stream")))
    book.add(klass, "WebSocket", web.upgrade() + web.websocket(data), *found("websocket", at=("body", "stream")))
    book.add(
        klass,
        "MQTT",
        wire.mqtt_connect("a") + wire.mqtt_publish("t", data),
        *found("mqtt", at=("body", "stream")),
        port=1883,
    )
    book.add(klass, "chunks of 3", web.chunked(data, [3]), *found("chunked", "json"))
    book.add(klass, "UTF-16", web.post(b"\xff\xfe" + text.encode("utf-16-le")), *found("utf16"))
    book.add(klass, "raw TCP", data + b"\n", *found("json", at=("stream",)), port=9999)
    book.datagram(klass, "datagram", data, *found("json", at=("datagram",)))
    fields = {
        "REGVER": "4.0",
        "SIM1ICCID": person.iccid,
        "SIM1LTEIMSI": person.imsi,
        "MACID": person.wifi_mac,
        "IMEI1": person.imei[0],
        "SIM1CELLID": str(person.cell_id),
    }
    body = base64ed(compact(fields).encode(), column=76)
    book.add(
        klass,
        "self-registration",
        web.post(body, "application/encrypted-json", "/"),
        *[Expect(kind, ("base64", "json")) for kind in ("iccid", "imsi", "wifi_mac", "imei", "cell_id")],
    )
