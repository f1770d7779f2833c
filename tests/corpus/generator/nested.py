"""Registered values inside one wrapper inside another."""

import itertools
import random

from . import encode, web
from .case import Book
from .encode import base32ed, base64ed, compact, gzipped, hexed, protobuf, zipped, zlibbed, zstded
from .wrapped import BYTES, INNER, device

# A layer takes bytes and gives bytes; the second says whether it gives text, the third whether it takes text alone.
LAYERS = {
    "json": (lambda data: compact({"v": 2, "data": data.decode(), "z": None}).encode(), True, True),
    "percent": (lambda data: b"v=2&data=" + encode.percented(data.decode()).encode() + b"&z=1", True, True),
    "base64": (lambda data: base64ed(data).encode(), True, False),
    "base32": (lambda data: base32ed(data, padded=False).encode(), True, False),
    "hex": (lambda data: hexed(data).encode(), True, False),
    "gzip": (gzipped, False, False),
    "zlib": (zlibbed, False, False),
    "zstd": (zstded, False, False),
    "zip": (lambda data: zipped({"d.bin": data}), False, False),
    "multipart": (
        lambda data: encode.multipart([('Content-Disposition: form-data; name="f"; filename="d.bin"', data)], "bnd-71"),
        False,
        False,
    ),
    "protobuf": (lambda data: protobuf((1, 4), (2, data), (6, "end")), False, False),
    "utf16": (lambda data: data.decode().encode("utf-16-le"), False, True),
}

# Bytes that these leave as they are may be found before they are opened; a short text is stored by zstd.
SEEN_THROUGH = {"json", "percent", "multipart", "protobuf", "zstd"}


def add(book: Book) -> None:
    """Two wrappers in every order that can be, then three and four by lot; the value innermost in plain JSON."""
    add_nests(book, 2, itertools.permutations(LAYERS, 2))
    for depth, count in ((3, 60), (4, 60)):
        dice = random.Random(f"nests of {depth}")
        chains = (tuple(dice.sample(sorted(LAYERS), depth)) for _ in range(10_000))
        add_nests(book, depth, chains, count)


def add_nests(book: Book, depth: int, chains, most: int = 1000) -> None:
    seen = set()
    for chain in chains:
        inward = [LAYERS[name] for name in chain]
        sound = all(
            gives_text or not takes_text for (_, _, takes_text), (_, gives_text, _) in itertools.pairwise(inward)
        )
        if not sound or chain in seen or len(seen) == most:
            continue
        seen.add(chain)
        data = INNER.encode()
        for wrap, _, _ in reversed(inward):
            data = wrap(data)
        opened = [name for name in chain if name not in SEEN_THROUGH]
        book.add(f"nested {depth}", " ".join(chain), web.post(data, BYTES), *device(*opened))
