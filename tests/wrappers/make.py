#!/usr/bin/env python3
"""Writes wrapped.txt: one value in every wrapper and in many of them at once, by encoders that are not ours.

Needs the packages brotli and zstandard. A line: name, chain (outermost first), bytes in hex; tabs between them.
"""

import base64
import gzip
import io
import json
import struct
import urllib.parse
import zipfile
import zlib
from pathlib import Path

import brotli
import zstandard

IMEI = "490154203237518"
RECORD = {
    "event": "registration",
    "model": "TA-1046",
    "firmware": "00WW_2_39E",
    "imei": IMEI,
    "screens": [{"name": "home", "shown": 17}, {"name": "settings", "shown": 2}],
    "date": "2019-03-14 08:15:42",
}
DOCUMENT = json.dumps(RECORD).encode()
NOTE = f"the phone says imei={IMEI}; model=TA-1046; that is all there is to say of it".encode()


def deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zipped(data, method=zipfile.ZIP_DEFLATED, name="log.json"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo("readme.txt"), b"nothing to see here")
        info = zipfile.ZipInfo(name)
        info.compress_type = method
        archive.writestr(info, data)
    return out.getvalue()


def multipart(data, kind, boundary="----untold7MA4YWxkTrZu0gW", encoding=None):
    fields = f"Content-Disposition: form-data; name=\"log\"; filename=\"log\"\r\nContent-Type: {kind}\r\n"
    if encoding:
        fields += f"Content-Transfer-Encoding: {encoding}\r\n"
    start = f"--{boundary}\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\n3\r\n--{boundary}\r\n{fields}\r\n"
    return start.encode() + data + f"\r\n--{boundary}--\r\n".encode()


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def protobuf(data):
    return field(1, 7) + field(2, field(1, b"nothing") + field(5, data)) + field(6, 1.5)


def xor(data, key):
    return bytes(byte ^ key for byte in data)


def quote(data):
    return urllib.parse.quote(base64.b64encode(data), safe="").encode()


def inside(data):
    return json.dumps({"v": 3, "data": base64.b64encode(data).decode()}).replace("/", "\\/").encode()


def u16(data, order):
    return data.decode().encode("utf-16-" + order)


def named_gzip():
    out = io.BytesIO()
    with gzip.GzipFile("log.json", "wb", 9, out, mtime=0) as file:
        file.write(DOCUMENT)
    return out.getvalue()


LINES = [
    ("gzip", "gzip,json", gzip.compress(DOCUMENT, mtime=0)),
    ("gzip with a name", "gzip,json", named_gzip()),
    ("gzip, not compressed", "gzip,json", gzip.compress(DOCUMENT, 0, mtime=0)),
    ("gzip of a note", "gzip", gzip.compress(NOTE, mtime=0)),
    ("zlib", "zlib,json", zlib.compress(DOCUMENT, 9)),
    ("zlib, fast", "zlib,json", zlib.compress(DOCUMENT, 1)),
    ("deflate", "deflate,json", deflate(DOCUMENT)),
    ("brotli", "brotli,json", brotli.compress(DOCUMENT)),
    ("brotli, fast", "brotli,json", brotli.compress(DOCUMENT, quality=1, lgwin=16)),
    ("zstd", "zstd,json", zstandard.compress(DOCUMENT)),
    ("zstd, slow, with a checksum", "zstd,json", zstandard.ZstdCompressor(19, write_checksum=True).compress(DOCUMENT)),
    ("zip", "zip,json", zipped(DOCUMENT)),
    ("multipart", "multipart", multipart(NOTE, "text/plain")),
    ("multipart, JSON", "multipart,json", multipart(DOCUMENT, "application/json")),
    ("multipart, any boundary", "multipart,json", multipart(DOCUMENT, "application/json", "x")),
    ("multipart, base64", "multipart,base64,json", multipart(base64.encodebytes(DOCUMENT), "text/plain", encoding="base64")),
    ("multipart, gzip", "multipart,gzip,json", multipart(gzip.compress(DOCUMENT, mtime=0), "application/gzip")),
    ("multipart, deflate", "multipart,deflate,json", multipart(deflate(DOCUMENT), "application/octet-stream")),
    ("protobuf, a string before a digit's tag", "protobuf", field(1, IMEI.encode()) + field(6, b"x")),
    ("protobuf, a number", "protobuf", field(3, 1) + field(4, int(IMEI)) + field(5, b"abc")),
    ("protobuf, a message inside", "protobuf,json", protobuf(DOCUMENT)),
    ("protobuf, gzip", "protobuf,gzip,json", protobuf(gzip.compress(DOCUMENT, mtime=0))),
    ("gRPC", "protobuf,json", struct.pack(">BI", 0, len(protobuf(DOCUMENT))) + protobuf(DOCUMENT)),
    ("base32", "base32,json", base64.b32encode(DOCUMENT)),
    ("base32, lower case, no padding", "base32,json", base64.b32encode(DOCUMENT).rstrip(b"=").lower()),
    ("base32 of the value", "base32", b"id=" + base64.b32encode(IMEI.encode())),
    ("utf-16, little-endian", "utf16,json", u16(DOCUMENT, "le")),
    ("utf-16, big-endian, with a mark", "utf16,json", b"\xfe\xff" + u16(DOCUMENT, "be")),
    ("xor", "xor,json", xor(DOCUMENT, 0x5A)),
    ("xor, a high key", "xor,json", xor(DOCUMENT, 0xC3)),
    ("xor of a note", "xor", xor(NOTE, 0x33)),
    ("base64 of gzip", "base64,gzip,json", base64.b64encode(gzip.compress(DOCUMENT, mtime=0))),
    ("base64 of zlib, in lines", "base64,zlib,json", base64.encodebytes(zlib.compress(DOCUMENT))),
    ("base64 of deflate", "base64,deflate,json", base64.b64encode(deflate(DOCUMENT))),
    ("base64 of brotli", "base64,brotli,json", base64.b64encode(brotli.compress(DOCUMENT))),
    ("base64 of zstd", "base64,zstd,json", base64.b64encode(zstandard.compress(DOCUMENT))),
    ("base64 of protobuf", "base64,protobuf", base64.b64encode(protobuf(NOTE))),
    ("base64 of xor", "base64,xor,json", base64.b64encode(xor(DOCUMENT, 0x17))),
    ("base64 of utf-16", "base64,utf16,json", base64.b64encode(u16(DOCUMENT, "le"))),
    ("hex of zlib", "hex,zlib,json", zlib.compress(DOCUMENT).hex().encode()),
    ("hex of deflate", "hex,deflate,json", deflate(DOCUMENT).hex().upper().encode()),
    ("JSON with base64 of gzip", "json,base64,gzip,json", inside(gzip.compress(DOCUMENT, mtime=0))),
    ("JSON with base64 of deflate", "json,base64,deflate,json", inside(deflate(DOCUMENT))),
    ("form with base64 of zlib", "percent,base64,zlib,json", b"v=3&data=" + quote(zlib.compress(DOCUMENT)) + b"&crc=1"),
    ("gzip of gzip", "gzip,gzip,json", gzip.compress(gzip.compress(DOCUMENT, mtime=0), mtime=0)),
    ("gzip of base64", "gzip,base64,json", gzip.compress(base64.b64encode(DOCUMENT), mtime=0)),
    ("gzip of multipart", "gzip,multipart,json", gzip.compress(multipart(DOCUMENT, "application/json"), mtime=0)),
    ("gzip of utf-16", "gzip,utf16,json", gzip.compress(u16(DOCUMENT, "be"), mtime=0)),
    ("gzip of protobuf", "gzip,protobuf,json", gzip.compress(protobuf(DOCUMENT), mtime=0)),
    ("zip of gzip", "zip,gzip,json", zipped(gzip.compress(DOCUMENT, mtime=0), name="log.gz")),
    ("zip of zip", "zip,zip,json", zipped(zipped(DOCUMENT), name="log.zip")),
    ("zstd of base64 of gzip", "zstd,base64,gzip,json", zstandard.compress(base64.b64encode(gzip.compress(DOCUMENT, mtime=0)))),
    ("five layers", "json,base64,gzip,json,base64,zlib", inside(gzip.compress(inside(zlib.compress(NOTE)), mtime=0))),
]


def main():
    rows = []
    for name, chain, data in LINES:
        rows.append(f"{name}\t{chain}\t{data.hex()}\n")
    Path(__file__).with_name("wrapped.txt").write_text("".join(rows))


if __name__ == "__main__":
    main()
