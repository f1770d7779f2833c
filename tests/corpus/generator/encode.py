"""Wrappers, by Python's standard library and by packages that are not ours.

What an encoder writes may differ between its versions: `uses` keeps the names of those that a case was made with.
"""

import base64
import gzip
import io
import json
import struct
import zipfile
import zlib
from urllib.parse import quote

import brotli
import zstandard

VERSIONS = {
    "zlib": zlib.ZLIB_RUNTIME_VERSION,
    "brotli": brotli.__version__,
    "zstandard": zstandard.__version__,
}
uses: set[str] = set()


def gzipped(data: bytes, name: str = "", level: int = 9) -> bytes:
    """RFC 1952, with a file name where one is given."""
    uses.add("zlib")
    out = io.BytesIO()
    with gzip.GzipFile(filename=name, mode="wb", fileobj=out, mtime=0, compresslevel=level) as file:
        file.write(data)
    return out.getvalue()


def zlibbed(data: bytes, level: int = 9) -> bytes:
    """RFC 1950."""
    uses.add("zlib")
    return zlib.compress(data, level)


def deflated(data: bytes, level: int = 9) -> bytes:
    """RFC 1951 without a header."""
    uses.add("zlib")
    squeeze = zlib.compressobj(level, zlib.DEFLATED, -15)
    return squeeze.compress(data) + squeeze.flush()


def brotlied(data: bytes, quality: int = 9) -> bytes:
    """RFC 7932."""
    uses.add("brotli")
    return brotli.compress(data, quality=quality)


def zstded(data: bytes, size_known: bool = True) -> bytes:
    """RFC 8878."""
    uses.add("zstandard")
    return zstandard.ZstdCompressor(level=9, write_content_size=size_known, write_checksum=True).compress(data)


def zipped(files: dict[str, bytes], stored: bool = False, streamed: bool = False) -> bytes:
    """A ZIP archive; `streamed` puts sizes behind the data, as a writer that cannot seek does."""
    uses.add("zlib")

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.bytes = b""

        def writable(self):
            return True

        def write(self, data):
            self.bytes += bytes(data)
            return len(data)

    out = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (2019, 3, 14, 8, 15, 42))
            entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return out.bytes if streamed else out.getvalue()


def base64ed(data: bytes, url: bool = False, padded: bool = True, column: int = 0, end: str = "\n") -> str:
    """RFC 4648, broken into lines of `column` characters, each with an `end`."""
    text = (base64.urlsafe_b64encode if url else base64.b64encode)(data).decode()
    text = text if padded else text.rstrip("=")
    if column:
        text = "".join(text[at : at + column] + end for at in range(0, len(text), column))
    return text


def base32ed(data: bytes, padded: bool = True, lower: bool = False) -> str:
    """RFC 4648, section 6."""
    text = base64.b32encode(data).decode()
    text = text if padded else text.rstrip("=")
    return text.lower() if lower else text


def hexed(data: bytes, upper: bool = False) -> str:
    return data.hex().upper() if upper else data.hex()


def percented(text: str, every: bool = False, lower: bool = False) -> str:
    """Percent-encoding of what needs it, or of every byte."""
    if every:
        text = "".join(f"%{byte:02X}" for byte in text.encode())
    else:
        text = quote(text, safe="")
    return text.lower() if lower and every else text


def compact(document) -> str:
    """JSON as apps send it."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def escaped(text: str) -> str:
    """The inside of a JSON string, every character an escape."""
    return "".join(f"\\u{ord(char):04x}" for char in text)


def xored(data: bytes, key: int) -> bytes:
    return bytes(byte ^ key for byte in data)


def varint(number: int) -> bytes:
    """A base-128 varint of 64 bits; negative numbers as in two's complement."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def protobuf(*fields) -> bytes:
    """A message of (number, value): text and bytes by length, integers as varints, ("fixed64", n), floats as doubles."""
    out = b""
    for number, value in fields:
        match value:
            case str() | bytes():
                data = value.encode() if isinstance(value, str) else value
                out += varint(number << 3 | 2) + varint(len(data)) + data
            case int():
                out += varint(number << 3) + varint(value)
            case float():
                out += varint(number << 3 | 1) + struct.pack("<d", value)
            case ("fixed64", integer):
                out += varint(number << 3 | 1) + struct.pack("<Q", integer)
            case ("fixed32", integer):
                out += varint(number << 3 | 5) + struct.pack("<I", integer)
            case _:
                raise TypeError(f"no wire type for {value!r}")
    return out


def bcd(digits: str, swapped: bool = False, filler: str = "f") -> bytes:
    """Two digits a byte."""
    digits += filler if len(digits) % 2 else ""
    data = bytes.fromhex(digits)
    return bytes(byte >> 4 | (byte & 15) << 4 for byte in data) if swapped else data


def multipart(parts: list[tuple[str, bytes]], boundary: str = "----WebKitFormBoundary7MA4YWxkTrZu0gW") -> bytes:
    """RFC 2046; a part is its header lines, without Content-Disposition's name of the type, and its body."""
    out = b""
    for head, body in parts:
        out += f"--{boundary}\r\n{head}\r\n\r\n".encode() + body + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()
