#!/usr/bin/env python3
"""Draws the table of benches/soak.sh: soak.py TABLE.csv PICTURE.png. Nothing but the standard library is needed."""

import csv
import struct
import sys
import zlib

WIDTH, PANEL, MARGIN = 900, 130, 8
# Three columns by five rows of pixels a letter, most significant bit left.
GLYPHS = {
    "0": (7, 5, 5, 5, 7), "1": (2, 6, 2, 2, 7), "2": (7, 1, 7, 4, 7), "3": (7, 1, 7, 1, 7), "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7), "6": (7, 4, 7, 5, 7), "7": (7, 1, 1, 1, 1), "8": (7, 5, 7, 5, 7), "9": (7, 5, 7, 1, 7),
    ".": (0, 0, 0, 0, 2), " ": (0, 0, 0, 0, 0), "a": (0, 6, 1, 7, 7), "b": (4, 4, 7, 5, 7), "c": (0, 7, 4, 4, 7),
    "d": (1, 1, 7, 5, 7), "e": (7, 5, 7, 4, 7), "f": (3, 2, 7, 2, 2), "i": (2, 0, 2, 2, 2), "k": (4, 5, 6, 5, 5),
    "l": (2, 2, 2, 2, 3), "m": (0, 7, 7, 5, 5), "n": (0, 6, 5, 5, 5), "o": (0, 7, 5, 5, 7), "p": (7, 5, 7, 4, 4),
    "r": (0, 7, 4, 4, 4), "s": (3, 4, 2, 1, 6), "t": (2, 7, 2, 2, 3), "u": (0, 5, 5, 5, 7), "w": (0, 5, 5, 7, 7),
    "M": (5, 7, 7, 5, 5), "B": (6, 5, 6, 5, 6),
}


def main(table, picture):
    with open(table, newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    columns = [column for column in rows[0] if column != "seconds"]
    height = PANEL * len(columns)
    pixels = [bytearray(b"\xff" * WIDTH * 3) for _ in range(height)]
    last = rows[-1]["seconds"] or 1
    for number, column in enumerate(columns):
        top = number * PANEL
        most = max(row[column] for row in rows) or 1
        shown, unit = (most / 2**20, " MiB") if column in ("resident", "buffers") else (most, "")
        label = f"{column} to {shown:.0f}{unit} in {last:.0f} s"
        text(pixels, MARGIN, top + 4, label)
        line(pixels, MARGIN, top + PANEL - MARGIN, WIDTH - MARGIN, top + PANEL - MARGIN, (190, 190, 190))
        before = None
        for row in rows:
            x = MARGIN + int((WIDTH - 2 * MARGIN) * row["seconds"] / last)
            y = top + PANEL - MARGIN - int((PANEL - 32) * row[column] / most)
            if before:
                line(pixels, *before, x, y, (20, 90, 160))
            before = (x, y)
    with open(picture, "wb") as file:
        file.write(png(pixels, height))


def line(pixels, x0, y0, x1, y1, colour):
    steps = max(abs(x1 - x0), abs(y1 - y0), 1)
    for step in range(steps + 1):
        dot(pixels, x0 + (x1 - x0) * step // steps, y0 + (y1 - y0) * step // steps, colour)


def text(pixels, x, y, words):
    for letter in words:
        for row, bits in enumerate(GLYPHS.get(letter, GLYPHS[" "])):
            for column in range(3):
                if bits & (4 >> column):
                    for dx in range(2):
                        for dy in range(2):
                            dot(pixels, x + 2 * column + dx, y + 2 * row + dy, (0, 0, 0))
        x += 8


def dot(pixels, x, y, colour):
    if 0 <= y < len(pixels) and 0 <= x < WIDTH:
        pixels[y][3 * x : 3 * x + 3] = bytes(colour)


def png(pixels, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", WIDTH, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(row) for row in pixels), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


main(*sys.argv[1:])
