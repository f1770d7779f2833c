"""A synthetic person: identifiers that pass their own checks and belong to nobody."""

import random
from dataclasses import dataclass, replace


def luhn(body: str) -> str:
    """Completes digits by the check digit of ISO/IEC 7812-1."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        weighted = int(digit) * (2 if place % 2 == 0 else 1)
        total += weighted // 10 + weighted % 10
    return body + str(-total % 10)


@dataclass(frozen=True)
class Person:
    """One value of every kind (two where phones have two), as a person would enter them."""

    imei: tuple[str, str] = (luhn("35209900176148"), luhn("86073204915327"))
    meid: str = "a1000049d8f3c2"
    imsi: str = "242017304915826"
    iccid: str = luhn("894708120031754692")
    serial: str = "RZ8N70QKX4T"
    wifi_mac: str = "3c:5a:b4:1e:d7:92"
    bluetooth_mac: str = "58:cb:52:a0:6f:13"
    android_id: str = "9f3c71d2e84ab605"
    advertising_id: str = "c7e1f0b4-52a9-4d36-8b1f-6e0d93a7c254"
    gsf_id: str = "3d5b9a17c0e82f46"
    # Ofcom's range for drama.
    phone: str = "+447700900461"
    email: str = "ingrid.solheim@post.example"
    account: str = "ingridsolheim84"
    latitude: float = 59.913271
    longitude: float = 10.739417
    cell_id: int = 188335 * 256 + 41
    tac: int = 30519
    ssid: tuple[str, str] = ("Solheim Nett 5G", "Elva7")
    bssid: str = "f4:92:bf:63:0a:d8"
    apps: tuple[str, ...] = (
        "org.example.notes",
        "org.example.maps.offline",
        "com.example.bank.mobile",
        "com.example.dating",
        "com.example.health.tracker",
        "net.example.radio",
        "net.example.chess_club",
        "org.example.prayer.times",
    )
    badge: str = "EMP-20417-K"

    def text(self, kind: str) -> str:
        """The value of a kind that is one text, as it is written most often."""
        if kind == "imei":
            return self.imei[0]
        if kind == "ssid":
            return self.ssid[0]
        if kind == "custom.badge":
            return self.badge
        return str(getattr(self, kind))

    def toml(self) -> str:
        """The identity file."""

        def quoted(values):
            return ", ".join(f'"{value}"' for value in values)

        lines = [f"imei = [{quoted(self.imei)}]"]
        one = "meid imsi iccid serial wifi_mac bluetooth_mac android_id advertising_id gsf_id phone email account bssid"
        lines += [f'{kind} = "{getattr(self, kind)}"' for kind in one.split()]
        lines += [
            f"location = {{ latitude = {self.latitude}, longitude = {self.longitude} }}",
            f"cell_id = {self.cell_id}",
            f"tac = {self.tac}",
            f"ssid = [{quoted(self.ssid)}]",
            f"installed_apps = [{quoted(self.apps)}]",
            "[custom]",
            f'badge = "{self.badge}"',
        ]
        return "\n".join(lines) + "\n"

    def one_off(self, place: float) -> "Person":
        """Somebody else, each of whose values differs in one character; `place` says how far into the value (0 to 1).

        A check digit follows what it checks.
        """
        near = {}
        for kind in (
            "meid imsi serial wifi_mac bluetooth_mac android_id advertising_id gsf_id email account bssid badge".split()
        ):
            near[kind] = other_character(getattr(self, kind), place)
        # A number with another country code and one without any are the same number within a country: stay behind it.
        near["phone"] = self.phone[:3] + other_character(self.phone[3:], place)
        near["iccid"] = luhn(other_character(self.iccid[:-1], place))
        near["imei"] = tuple(luhn(other_character(imei[:-1], place)) for imei in self.imei)
        near["ssid"] = tuple(other_character(name, place) for name in self.ssid)
        near["apps"] = tuple(other_character(name, place) for name in self.apps)
        near["cell_id"] = int(other_character(str(self.cell_id), max(place, 0.2)))
        near["tac"] = int(other_character(str(self.tac), max(place, 0.3)))
        # Nearer than the third decimal is the same place.
        near["latitude"] = round(self.latitude + 0.01, 6)
        return replace(self, **near)


PERSON = Person()


def other_character(text: str, place: float) -> str:
    """Changes the letter or digit nearest to `place` into another of its class."""
    candidates = [at for at, char in enumerate(text) if char.isalnum()]
    wanted = place * (len(text) - 1)
    at = min(candidates, key=lambda at: (abs(at - wanted), at))
    char = text[at]
    for alphabet in ("0123456789", "abcdef", "ABCDEF", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        if char in alphabet:
            # Never 0 at the front, which would be a shorter number.
            other = alphabet[(alphabet.index(char) + 1) % len(alphabet)]
            other = "7" if other == "0" else other
            return text[:at] + other + text[at + 1 :]
    raise ValueError(f"nothing to change in {text!r}")


def stranger(name: str) -> Person:
    """A person of the same make whom nobody registered."""
    dice = random.Random(f"stranger {name}")

    def digits(count):
        return "".join(dice.choice("0123456789") for _ in range(count))

    def hexes(count):
        return "".join(dice.choice("0123456789abcdef") for _ in range(count))

    # Octets of makers' prefixes (IEEE OUI), then anything.
    def mac():
        return ":".join([dice.choice(["3c:5a:b4", "58:cb:52", "f4:92:bf", "00:1a:11"])] + [hexes(2) for _ in range(3)])

    uuid = f"{hexes(8)}-{hexes(4)}-4{hexes(3)}-{dice.choice('89ab')}{hexes(3)}-{hexes(12)}"

    def word():
        return dice.choice(["tone", "arne", "sofie", "marek", "julia", "omar", "lien"]) + digits(2)

    return Person(
        imei=(luhn(dice.choice(["352099", "356938", "860732", "013554"]) + digits(8)), luhn("35847310" + digits(6))),
        meid="a00000" + hexes(8),
        imsi=dice.choice(["24201", "310260", "46000", "26202"]).ljust(6, "7") + digits(9),
        iccid=luhn(dice.choice(["894708", "891410", "898600", "894921"]) + digits(12)),
        serial="R58M" + "".join(dice.choice("0123456789ABCDEFGHJKLMNPQRSTVWXYZ") for _ in range(7)),
        wifi_mac=mac(),
        bluetooth_mac=mac(),
        android_id=hexes(16).replace("0", "7", 1),
        advertising_id=uuid,
        gsf_id="3" + hexes(15),
        phone="+447700900" + digits(3),
        email=f"{word()}@mail.example",
        account=word() + "home",
        latitude=round(dice.uniform(44, 61) + 0.000013, 6),
        longitude=round(dice.uniform(5, 24) + 0.000017, 6),
        cell_id=int("1" + digits(7)),
        tac=int("1" + digits(4)),
        ssid=("Nett " + word(), "Net" + digits(2)),
        bssid=mac(),
    )
