"""The truth of the sandbox county: what exists and what every parcel says, from a seed. Nothing is stored."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from maricopa_scrapy.sandbox.county.drawings import map_ids, no_sketches
from maricopa_scrapy.sandbox.county.ownership import HOLDINGS
from maricopa_scrapy.sandbox.county.parcel import PROPERTY_INFO_KEYS, Situs, build, rare_forms
from maricopa_scrapy.sandbox.county.seeded_chance import number, share

# One changed value: the county's object, the key in it ("2026.FullCashValue" in Valuations), before, after.
Change = tuple[str, str, Any, Any]

_BOOKS = (*range(101, 178), *range(200, 220), *range(300, 314), *range(400, 405), *range(500, 511))
_ITEMS = 999
_SPACE = len(_BOOKS) * 100 * _ITEMS
# Coprime to the space, so that the walk meets every number once.
_STRIDE = 7_841_179
_UNSTRIDE = pow(_STRIDE, -1, _SPACE)
_WITH_LETTER = 0.06
# Examples take the first parcels of the walk: what is rare begins behind them.
_PLAIN = 300
_NO_PLACE = Situs("", "", "")
_PARTS = {
    "valuations": "Valuations",
    "residential-details": "ResidentialPropertyData",
    "owner-details": "Owner",
    "improvements": "Improvements",
    "sketches": "Sketches",
    "mapids": "MapIDs",
}
SUB_RESOURCES = ("propertyinfo", "address", *_PARTS, "rental-details")


class County:
    """The county of a seed after `epoch` periods of change. `existing` is the part of all well-formed APNs
    that exist; `changed` the part of the parcels that a period changes, so that all offices agree
    (periods.py).
    """

    def __init__(
        self, seed: int = 1, epoch: int = 0, existing: float = 0.98, changed: float | None = None
    ) -> None:
        if epoch < 0 or not 0 <= existing <= 1 or not 0 <= (changed or 0) <= 1:
            raise ValueError("epoch is 0 or more, existing and changed a part from 0 to 1")
        self.seed = seed
        self.epoch = epoch
        self.existing = existing
        self.changed = changed

    def exists(self, apn: str) -> bool:
        """Whether a parcel exists; `apn` is normalised. No period changes that."""
        return apn in HOLDINGS or share(self.seed, "exists", apn) < self.existing

    def walk(self, existing: bool = True) -> Iterator[str]:
        """Yield the county's existing (or absent) APNs, scattered over books and maps, each once; 6 in 100
        have a letter.
        """
        at = number(self.seed, "walk") % _SPACE
        for _ in range(_SPACE):
            at = (at + _STRIDE) % _SPACE
            apn = self._apn(at)
            if self.exists(apn) is existing:
                yield apn

    def apns(self, count: int) -> list[str]:
        """Return the first `count` existing APNs."""
        return list(islice(self.walk(), count))

    def absent(self, count: int) -> list[str]:
        """Return the first `count` well-formed APNs that don't exist."""
        if self.existing == 1 and count:
            raise ValueError("every parcel of this county exists")
        return list(islice(self.walk(existing=False), count))

    def _apn(self, at: int) -> str:
        rest, item = divmod(at, _ITEMS)
        book, map_ = divmod(rest, 100)
        base = f"{_BOOKS[book]}{map_:02d}{item + 1:03d}"
        letter = number(self.seed, "letter", base)
        return base + "ABCDEFGH"[letter % 8] if (letter >> 11) / 2**53 < _WITH_LETTER else base

    def parcel(self, apn: str) -> dict[str, Any]:
        """Return the answer of /parcel/{apn} for a normalised APN, whether it exists or not."""
        return self._said(self._built(self.epoch, apn, True)[0], apn)

    def undrawn(self, apn: str) -> tuple[dict[str, Any], Situs]:
        """Return the parcel without sketch and maps, and its address in parts, which are "" where it is
        withheld.
        """
        parcel, situs = self._built(self.epoch, apn)
        said = self._said(parcel, apn)
        return said, (_NO_PLACE if said["PropertyAddress"] == "N/A" else situs)

    def known_to_others(self, apn: str) -> dict[str, Any]:
        """Return the parcel, undrawn, with its owner, whom an office that withholds none tells."""
        return self._built(self.epoch, apn)[0]

    def _built(self, epoch: int, apn: str, drawn: bool = False) -> tuple[dict[str, Any], Situs]:
        return build(self.seed, epoch, apn, drawn, self.changed)

    def at(self, epoch: int) -> "County":
        """Return the same county of another epoch."""
        return County(self.seed, epoch, self.existing, self.changed)

    def _said(self, parcel: dict[str, Any], apn: str) -> dict[str, Any]:
        book = int(apn[:3])
        if book not in _BOOKS or apn[5:8] == "000":
            return parcel
        at = (_BOOKS.index(book) * 100 + int(apn[3:5])) * _ITEMS + int(apn[5:8]) - 1
        is_first = 0 < (at - number(self.seed, "walk")) * _UNSTRIDE % _SPACE <= _PLAIN
        return parcel if is_first else rare_forms(self.seed, apn, parcel)

    def part(self, apn: str, name: str) -> Any:
        """Return the answer of /parcel/{apn}/{name}, one of SUB_RESOURCES, for a parcel that exists."""
        if name == "rental-details":
            return []
        parcel = self.parcel(apn) if name in ("sketches", "mapids") else self.undrawn(apn)[0]
        if name == "address":
            return {"PropertyAddress": parcel["PropertyAddress"]}
        if name == "propertyinfo":
            info = dict(islice(parcel.items(), PROPERTY_INFO_KEYS))
            return info | {"PropertyType": info["PropertyType"].upper()}
        return parcel[_PARTS[name]]

    def absent_part(self, apn: str, name: str) -> Any | None:
        """Return what a sub-resource says of a parcel that doesn't exist; None for nothing."""
        if name == "sketches":
            return no_sketches()
        return map_ids(self.seed, apn, known=False) if name == "mapids" else None

    def changes(self, apn: str, since_epoch: int) -> list[Change]:
        """Return what differs in /parcel/{apn} from the county of an earlier epoch, outside sketch and
        maps.
        """
        old = self._said(self._built(since_epoch, apn)[0], apn)
        new = self.undrawn(apn)[0]
        return [change for key in new for change in _differences(key, old.get(key), new[key])]


def _differences(table: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(new, dict) and isinstance(old, dict):
        yield from ((table, key, old[key], new[key]) for key in new if old[key] != new[key])
    elif table == "Valuations":
        for was, now in zip(old, new, strict=True):
            yield from (
                (table, f"{now['TaxYear']}.{key}", was[key], now[key]) for key in now if was[key] != now[key]
            )
    else:
        yield table, "", old, new
