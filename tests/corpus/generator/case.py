"""A case of the corpus and how it is written down."""

import base64
import re
from dataclasses import dataclass, field

from . import encode

TEXT = re.compile(rb"[\t\r\n\x20-\x7e]{6,}")
# From this many of the same byte on, a count is shorter than the bytes.
RUN = re.compile(rb"(.)\1{199,}", re.DOTALL)


@dataclass(frozen=True)
class Expect:
    """One finding. `chain`: wrappers that lie around the value, from the wire inward; others may lie between them."""

    kind: str
    chain: tuple[str, ...] = ()
    at: tuple[str, ...] = ("body",)
    spelling: tuple[str, ...] = ()
    last4: str = ""

    def json(self) -> dict:
        out = {"kind": self.kind}
        if self.chain:
            out["chain"] = list(self.chain)
        out["at"] = list(self.at)
        if self.spelling:
            out["spelling"] = list(self.spelling)
        if self.last4:
            out["last4"] = self.last4
        return out


@dataclass
class Case:
    """What one side of a flow sends, and what is to be found in it.

    `sends`: writes of a stream, or datagrams. `klass`: the row of the table in docs/detection.md that it counts in.
    """

    klass: str
    name: str
    sends: list[bytes]
    expect: list[Expect] = field(default_factory=list)
    proto: str = "tcp"
    port: int = 80
    encoders: frozenset[str] = frozenset()
    # Somebody's values that look like values: nothing registered is in it, but what nobody registered may be found.
    others: bool = False

    def json(self) -> dict:
        out = {"class": self.klass, "name": self.name}
        if self.proto != "tcp":
            out["proto"] = self.proto
        if self.port != 80:
            out["port"] = self.port
        out["sends"] = [pieces(send) for send in self.sends]
        if self.expect:
            out["expect"] = [expect.json() for expect in self.expect]
        if self.others:
            out["others"] = True
        if self.encoders:
            out["encoders"] = sorted(self.encoders)
        return out


def pieces(data: bytes) -> list:
    """Text as it is, runs of one byte as [byte, count], the rest as {"base64": …}."""
    out, at = [], 0
    for run in RUN.finditer(data):
        out += plain(data[at : run.start()])
        out.append([run[1][0], len(run[0])])
        at = run.end()
    return out + plain(data[at:])


def plain(data: bytes) -> list:
    out, at = [], 0
    for text in TEXT.finditer(data):
        out += binary(data[at : text.start()])
        out.append(text[0].decode())
        at = text.end()
    return out + binary(data[at:])


def binary(data: bytes) -> list:
    return [{"base64": base64.b64encode(data).decode()}] if data else []


class Book:
    """Collects the cases of one half of the corpus."""

    def __init__(self):
        self.cases: list[Case] = []
        encode.uses.clear()

    def add(
        self,
        klass: str,
        name: str,
        sends: bytes | list[bytes],
        *expect: Expect,
        proto: str = "tcp",
        port: int = 80,
        others: bool = False,
    ) -> None:
        sends = [sends] if isinstance(sends, bytes) else sends
        self.cases.append(Case(klass, name, sends, list(expect), proto, port, frozenset(encode.uses), others))
        encode.uses.clear()

    def datagram(self, klass: str, name: str, sends: bytes | list[bytes], *expect: Expect, port: int = 7000) -> None:
        self.add(klass, name, sends, *expect, proto="udp", port=port)
