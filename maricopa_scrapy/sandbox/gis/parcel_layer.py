"""The county's parcels as its GIS layers tell them: one row for each of the first N APNs of the county, by
row id.

Row ids have gaps, where an APN does not exist. One parcel in some thousands is stacked: a later row has its
APN again, on floor 2. A period of change gives one parcel in a hundred another owner, deed and sale. One
parcel in five has the deed of the row before it. One owner in some hundreds is withheld, one deed number in
some thousands has another form than the recorder's.
"""

import datetime as dt
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from typing import Any

from maricopa_scrapy.sandbox.county.county import _BOOKS, _ITEMS, _SPACE, _STRIDE, County
from maricopa_scrapy.sandbox.county.invented_names import (
    BUSINESS,
    COMPANY,
    GIVEN,
    MAIL_TOWNS,
    STREETS,
    SUBDIVISION,
    SURNAMES,
    TOWNS,
)
from maricopa_scrapy.sandbox.county.periods import OWNER, change_in, is_late
from maricopa_scrapy.sandbox.county.seeded_chance import number

_BOOK_AT = {book: at for at, book in enumerate(_BOOKS)}
_UNSTRIDE = pow(_STRIDE, -1, _SPACE)
_STACK_EVERY, _STACK_AT, _STACK_BACK = 4000, 3500, 3001
_EPOCH = dt.date(1970, 1, 1)
_FIRST_DAY, _DAYS = 9_900, 10_600
_FUTURE_DAY = (dt.date(2048, 5, 14) - _EPOCH).days
_DAY_MS = 86_400_000
_PHOENIX_MS = 7 * 3_600_000
_DIRECTIONS = ("N", "S", "E", "W")
_USES = (
    ("0131", "SFR GRADE 010-3 URBAN"),
    ("0141", "SFR GRADE 010-4 URBAN"),
    ("0261", "COMMON AREA"),
    ("1507", "DATA CENTERS"),
    ("9400", "UTILITY"),
)

_WITHHELD_EVERY, _ODD_DEED_EVERY = 701, 1_999
# As clients met them: of a docket book, of a notice, with a letter behind it.
_ODD_DEEDS = ("{0:05d}-{1:04d}", "NOD-{0:05d}", "2013{1:07d}B")

# Columns of gis.parcel that a period of change touches.
CHANGING = ("owner_name", "deed_number", "deed_date", "sale_date", "sale_price")
Facts = dict[str, Any]


class ParcelLayer:
    """All rows of the layers, by row id. `parcels` rows of the county of `epoch`."""

    def __init__(self, county: County, parcels: int) -> None:
        self._county = county
        self._seed = county.seed
        self._start = number(county.seed, "walk") % _SPACE
        self.parcels = parcels
        self.epoch = county.epoch

    @cached_property
    def ids(self) -> "array[int]":
        """Row ids in order."""
        found = array("I")
        at = self._start
        candidate = 0
        while len(found) < self.parcels:
            at = (at + _STRIDE) % _SPACE
            candidate += 1
            if self._county.exists(self._county._apn(at)):
                found.append(candidate)
        return found

    def apn(self, row: int) -> str:
        """Return the APN of a row."""
        return self._county._apn((self._start + self.base(row) * _STRIDE) % _SPACE)

    def base(self, row: int) -> int:
        """Return the row that has the APN first: another one for a stacked row."""
        if row % _STACK_EVERY == _STACK_AT and self.holds(row - _STACK_BACK):
            return row - _STACK_BACK
        return row

    def holds(self, row: int) -> bool:
        """Whether there is a row of that id."""
        at = bisect_left(self.ids, row)
        return at < len(self.ids) and self.ids[at] == row

    def rows_of(self, apn: str) -> list[int]:
        """Return the rows of a normalised APN."""
        book, rest = int(apn[:3]), apn[3:8]
        if book not in _BOOK_AT or rest[2:] == "000":
            return []
        at = (_BOOK_AT[book] * 100 + int(rest[:2])) * _ITEMS + int(rest[2:]) - 1
        row = (at - self._start) * _UNSTRIDE % _SPACE
        return [one for one in (row, row + _STACK_BACK) if self.holds(one) and self.apn(one) == apn]

    @property
    def stacked(self) -> int:
        """How many rows have an APN that an earlier row has."""
        return sum(1 for row in self.ids if row % _STACK_EVERY == _STACK_AT and self.base(row) != row)

    def changes(self, since_epoch: int) -> Iterator[tuple[str, str, Any, Any]]:
        """Yield what differs from the county of an earlier epoch: (APN, column of gis.parcel, before,
        after).
        """
        for row in self.ids:
            if self.base(row) == row and self._changed_in(row, since_epoch) != self._changed_in(
                row, self.epoch
            ):
                old, new = self.facts(row, since_epoch), self.facts(row, self.epoch)
                yield from (
                    (new["apn"], name, old[name], new[name]) for name in CHANGING if old[name] != new[name]
                )

    def _changed_in(self, row: int, epoch: int) -> int:
        chance = int.from_bytes(blake2b(b"%d|change|%d" % (self._seed, row), digest_size=4).digest(), "big")
        return sum(1 for period in range(1, epoch + 1) if (chance + period * 37) % 100 == 0)

    def facts(self, row: int, epoch: int | None = None) -> Facts:
        """Return what is true of a row, in plain values."""
        base = self.base(row)
        a, b, c, d, e, f, g, h = self._draw(base)
        version = self._changed_in(base, self.epoch if epoch is None else epoch)
        house = a % 10 < 8
        if a >> 8 & 3:
            owner = (
                f"{SURNAMES[(b + version) % len(SURNAMES)]}"
                f" {GIVEN[b >> 16 & 15]}/{GIVEN[16 + (b >> 24) % 13]}"
            )
        else:
            owner = f"{COMPANY[(b + version) % len(COMPANY)]} {BUSINESS[b >> 16 & 7]}"
        day = _FUTURE_DAY if c % 2_003 == 5 else _FIRST_DAY + (c + version * 631) % _DAYS
        year, sale_day = _CALENDAR.get(day) or _calendar(day)
        if version or a >> 40 & 7 >= 2:
            deed_year, deed_day, deed = year, day, g
        else:
            # Sold together with the row before it, by one deed.
            before = self._draw(base - 1)
            deed_day, deed = (
                _FUTURE_DAY if before[2] % 2_003 == 5 else _FIRST_DAY + before[2] % _DAYS,
                before[6],
            )
            deed_year = (_CALENDAR.get(deed_day) or _calendar(deed_day))[0]
        sold = (c >> 20) % 5 < 2
        town = TOWNS[d % len(TOWNS)]
        street, kind = STREETS[(d >> 8) % len(STREETS)].rsplit(" ", 1)
        mail = MAIL_TOWNS[(d >> 20) % len(MAIL_TOWNS)]
        use = _USES[(house and (d >> 30) % 2) or 2 + (d >> 30) % 3]
        vacant = e % 9 == 0
        is_withheld = f % _WITHHELD_EVERY == 9
        number = f"{deed_year}{deed % 1_100_000:07d}"
        if not version and h % _ODD_DEED_EVERY == 7:
            number = _ODD_DEEDS[h // _ODD_DEED_EVERY % 3].format(h % 90_000, h % 9_000)
        value = 500 if use[0] == "0261" else 90_000 + e % 900_000 // 100 * 100
        facts: Facts = {
            "row": row,
            "apn": self.apn(row),
            "floor": 1 if base == row else 2,
            "owner_name": None if is_withheld else owner,
            "is_withheld": is_withheld,
            "mail_address_1": (
                f"{100 + e % 9000} {_DIRECTIONS[e >> 13 & 3]} {STREETS[(e >> 20) % len(STREETS)]}"
            ),
            "mail_town": mail,
            "street": (
                None if use[0] == "0261" else (str(100 + f % 30_000), _DIRECTIONS[f >> 15 & 3], street, kind)
            ),
            "town": town[0],
            "jurisdiction": town[1],
            "zip": town[2][f % len(town[2])],
            "use": use,
            "class": "3.1" if house else "1.12",
            "lot_size_sqft": 4_000 + f % 40_000,
            "construction_year": 0 if vacant else 1950 + (f >> 20) % 76,
            "livable_sqft": None if vacant else 900 + (f >> 30) % 4_000,
            "full_cash_value": value,
            "limited_property_value": value * 61 // 100,
            "deed_number": number,
            "deed_date": deed_day,
            "sale_date": sale_day if sold else None,
            "sale_price": 50_000 + (g >> 24) % 9_000 * 100 + version if sold else None,
            "subdivision": SUBDIVISION[(g >> 40) % len(SUBDIVISION)],
            "lot": str(1 + (g >> 48) % 400),
            "mcr": f"{100 + h % 900}-{1 + (h >> 10) % 50:02d}",
            "section": str(1 + (h >> 16) % 36),
            "township": f"{1 + (h >> 22) % 6}{'NS'[h >> 25 & 1]}",
            "range": f"{1 + (h >> 26) % 8}{'EW'[h >> 30 & 1]}",
            "longitude": -113.0 + (h >> 31) % 1_800_000 / 1e6 + 1e-9 / 3,
            "latitude": 32.6 + (h >> 43) % 1_300_000 / 1e6 + 1e-9 / 3,
        }
        if self._county.changed is not None:
            facts |= self._agreed(facts["apn"], self.epoch if epoch is None else epoch)
        return facts

    def _agreed(self, apn: str, epoch: int) -> Facts:
        """Return what the layers have from the assessor, of a county whose offices agree."""
        assert self._county.changed is not None
        if epoch and change_in(self._seed, epoch, apn, self._county.changed) == OWNER:
            epoch -= is_late(self._seed, epoch, apn)
        said = self._county.at(epoch).known_to_others(apn)
        owner, told = said["Owner"], self._county.undrawn(apn)[0]["Owner"]
        values = next(row for row in said["Valuations"] if row["FullCashValue"] != "na")
        return {
            "owner_name": owner["Ownership"],
            "is_withheld": owner["Ownership"] is None or told["Ownership"] == "NA",
            "deed_number": owner["MostCurrentDeed"],
            "deed_date": _day_in(owner["DeedDate"]),
            "sale_date": _day_in(owner["SaleDate"]),
            "sale_price": int(owner["SalePrice"]) if owner["SalePrice"] else None,
            "full_cash_value": int(values["FullCashValue"]),
            "limited_property_value": int(values["LimitedPropertyValue"]),
        }

    def _draw(self, row: int) -> tuple[int, ...]:
        return struct.unpack("<8Q", blake2b(b"%d|gis|%d" % (self._seed, row)).digest())


_CALENDAR: dict[int, tuple[int, int]] = {}


def _calendar(day: int) -> tuple[int, int]:
    """Return a day's year, and the first day of its month."""
    date = _EPOCH + dt.timedelta(days=day)
    _CALENDAR[day] = date.year, day - date.day + 1
    return _CALENDAR[day]


def _day_in(text: str | None) -> int | None:
    """Return the day of a date as the assessor writes it."""
    return day_of(dt.datetime.strptime(text, "%m/%d/%Y").date()) if text else None  # noqa: DTZ007


def day_of(date: dt.date) -> int:
    """Return a date as days since 1970, as facts hold it."""
    return (date - _EPOCH).days


def date_of(day: int) -> dt.date:
    """Return the date of a day since 1970."""
    return _EPOCH + dt.timedelta(days=day)
