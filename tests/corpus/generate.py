#!/usr/bin/env python3
"""Writes the corpus of findings: `tests/corpus/generate.py`; `--check` says whether what is committed is what it writes.

Encoders are Python's standard library and the packages brotli, zstandard, h2 and cryptography (PyPI, or Debian's
python3-brotli, python3-zstandard, python3-h2, python3-cryptography), nothing of the program under test. Where their
versions differ from those that the index names, `--check` leaves out the cases that they would write differently.
"""

import argparse
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

try:
    from generator import (
        encode,
        exact,
        framed,
        leaks,
        lookalikes,
        nested,
        noise,
        odd,
        ordinary,
        shapes,
        streams,
        wrapped,
    )
    from generator.case import Book
    from generator.values import PERSON
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is not installed: pip install brotli zstandard h2 cryptography")

DATA = Path(__file__).parent / "data"

# A file each: the cases, and who adds to them.
BOOKS = {
    "exact.jsonl": (exact, wrapped, nested, framed, streams, odd, leaks),
    "shape.jsonl": (shapes,),
    "ordinary.jsonl": (ordinary, lookalikes, noise),
}

# Where in a value the one character lies that makes it somebody else's.
PLACES = {"near-first": 0.0, "near-second": 0.2, "near-middle": 0.5, "near-last": 1.0}


def written() -> dict[str, list[str]]:
    """Every file by name, line by line."""
    files = {"identity.toml": PERSON.toml().splitlines()}
    for name, place in PLACES.items():
        files[f"{name}.toml"] = PERSON.one_off(place).toml().splitlines()
    for name, authors in BOOKS.items():
        book = Book()
        for author in authors:
            author.add(book)
        lines = [json.dumps(case.json(), ensure_ascii=False) for case in book.cases]
        named = [(case.klass, case.name) for case in book.cases]
        twice = {name for name in named if named.count(name) > 1}
        if twice:
            sys.exit(f"{name}: two cases have the same name: {sorted(twice)}")
        files[name] = lines
    files["versions.json"] = [json.dumps(encode.VERSIONS, sort_keys=True)]
    return files


def comparable(line: str, differing: set[str]) -> bool:
    return not line.startswith('{"class"') or not differing & set(json.loads(line).get("encoders", []))


def check(files: dict[str, list[str]]) -> int:
    committed = json.loads((DATA / "versions.json").read_text())
    differing = {name for name, version in encode.VERSIONS.items() if committed.get(name) != version}
    stale = 0
    for name, lines in files.items():
        if name == "versions.json":
            continue
        path = DATA / name
        old = path.read_text().splitlines() if path.exists() else []
        old, new = ([line for line in side if comparable(line, differing)] for side in (old, lines))
        if old != new:
            changed = sum(a != b for a, b in zip(old, new)) + abs(len(old) - len(new))
            print(f"{path}: {changed} lines differ from what generate.py writes", file=sys.stderr)
            stale = 1
    if differing and not stale:
        print(f"not compared: cases made with another version of {', '.join(sorted(differing))}")
    return stale


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true", help="compare with what is committed, write nothing")
    files = written()
    if arguments.parse_args().check:
        return check(files)
    DATA.mkdir(exist_ok=True)
    for name, lines in files.items():
        (DATA / name).write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
