"""Messages that carry one value: the plain shapes of requests, by the place that the value has in them."""

from urllib.parse import quote, quote_plus

from . import encode, web
from .case import Expect

# What the value goes by in half of the messages; in the other half nothing says what it is.
KEYS = {
    "imei": "imei",
    "meid": "meid",
    "imsi": "subscriberId",
    "iccid": "simSerialNumber",
    "serial": "serialno",
    "wifi_mac": "wlan_mac",
    "bluetooth_mac": "btmac",
    "android_id": "androidId",
    "advertising_id": "gaid",
    "gsf_id": "gsfId",
    "phone": "msisdn",
    "email": "mail",
    "account": "login",
    "cell_id": "cellId",
    "tac": "tac",
    "ssid": "ssid",
    "bssid": "bssid",
    "custom.badge": "staff",
}

BODY, QUERY, PATH, HEADER = ("body",), ("query",), ("path",), ("header",)


def document(key: str, value) -> dict:
    """An event of an analytics SDK with the value in the middle."""
    return {
        "v": 3,
        "session": {"seq": 17, "fg": True},
        "device": {"os": "Android 13", "model": "TA-1046", key: value, "dpi": 420},
        "events": [{"n": "open", "t": 1552547742}],
    }


def in_json(key, value):
    return web.post(encode.compact(document(key, value)), "application/json"), BODY, ("json",)


def in_json_escaped(key, value):
    body = encode.compact(document(key, "@@")).replace("@@", encode.escaped(value))
    return web.post(body, "application/json"), BODY, ("json",)


def in_json_in_json(key, value):
    inner = encode.compact({"head": {"sdk": "4.1"}, "list": [1, {key: value}]})
    return web.post(encode.compact({"appkey": "k9", "payload": inner}), "text/plain"), BODY, ("json",)


def in_number(key, value):
    return web.post(encode.compact(document(key, int(value))), "application/json"), BODY, ("json",)


def in_form(key, value):
    body = f"sdk=4.1&{key}={quote_plus(value)}&lang=nb"
    return web.post(body, "application/x-www-form-urlencoded"), BODY, ()


def in_form_escaped(key, value):
    body = f"sdk=4.1&{key}={encode.percented(value, every=True)}&lang=nb"
    return web.post(body, "application/x-www-form-urlencoded"), BODY, ("percent",)


def in_query(key, value):
    return web.get(f"/ad/hit?pos=2&{key}={quote(value, safe='')}&r=81723"), QUERY, ()


def in_path(key, value):
    return web.get(f"/v1/devices/{quote(value, safe='')}/status?x=1"), PATH, ()


def in_header(key, value):
    return web.get("/ping", {"X-Client": f"app/3.2 ({key}={value}; nb)"}), HEADER, ()


def in_cookie(key, value):
    return web.get("/", {"Cookie": f"theme=dark; {key}={quote(value, safe=':')}; s=1"}), HEADER, ()


def in_xml(key, value):
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<reg><device {key}="{value}" model="TA-1046"/></reg>\n'
    return web.post(body, "text/xml; charset=utf-8"), BODY, ()


def in_element(key, value):
    return web.post(f"<r><{key}>{value}</{key}></r>", "application/soap+xml"), BODY, ()


def in_csv(key, value):
    return web.post(f"time;event;{key}\n1552547742;boot;{value}\n1552547743;idle;\n", "text/csv"), BODY, ()


def in_lines(key, value):
    return web.post(f"boot ok\n{key}: {value}\nend\n", "text/plain"), BODY, ()


ALL = [
    in_json,
    in_json_escaped,
    in_json_in_json,
    in_form,
    in_form_escaped,
    in_query,
    in_path,
    in_header,
    in_cookie,
    in_xml,
    in_element,
    in_csv,
    in_lines,
]


def carry(
    book, klass: str, name: str, carrier, key: str, value: str, kind: str, spelling: tuple[str, ...] = ()
) -> None:
    """Adds a case with one value."""
    request, at, chain = carrier(key, value)
    book.add(klass, name, request, Expect(kind, chain, at, spelling))
