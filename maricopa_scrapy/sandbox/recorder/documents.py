"""The documents of the sandbox county by number and by day, from a seed.

A year's numbers are dealt to its working days in equal blocks: the first of a block are what the day's
searches list, the rest are deeds that only parcels name. A lead deed is followed by the deed of trust of the
same buyers.
"""

import datetime as dt
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from maricopa_scrapy.sandbox.county.invented_names import BUSINESS, COMPANY, GIVEN, SURNAMES
from maricopa_scrapy.sandbox.county.seeded_chance import number
from maricopa_scrapy.sandbox.recorder.codes import DEEDS, WEIGHTED

FIRST_YEAR = 1947
# Numbers of a year: those of real deeds end near 1.3 million.
_YEAR_SPACE = 1_300_000
_NAME_MOST = 54
_NAMED_DAYS = 60
_LENDERS = ("SAGUARO MORTGAGE LENDING LLC", "FIRST OCOTILLO BANK NA", "DESERT BLOOM CREDIT UNION")
_TITLES = ("RED MESA TITLE AGENCY INC", "SUNDIAL ESCROW AND TRUSTEE SERVICES LLC")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of one document. `names` are what the index will hold; `codes` are query codes, the first
    is what searches show.
    """

    number: str
    suffix: str
    date: dt.date
    codes: tuple[str, ...]
    names: tuple[str, ...]
    pages: int
    affidavit_pages: int
    docket_book: int
    page_map: int

    @property
    def restricted(self) -> bool:
        return self.codes[0] in ("DC", "OS")


class Documents:
    """The recorder's documents up to `today`; `daily` a working day, and `rush` liens more on one day a
    month.
    """

    def __init__(self, seed: int, today: dt.date, daily: int = 300, rush: int = 0) -> None:
        self._seed = seed
        self.today = today
        self.daily = daily
        self.rush = rush
        self._by_day: dict[dt.date, list[Facts]] = {}
        self._by_code: dict[dt.date, dict[str, list[Facts]]] = {}

    def find(self, recording_number: str) -> Facts | None:
        """Return the document of an 11-digit number; None when there is none."""
        year, running = int(recording_number[:4]), int(recording_number[4:])
        days = _working_days(year) if FIRST_YEAR <= year <= self.today.year else ()
        if not days or not running:
            return None
        block, at = divmod(running - 1, _YEAR_SPACE // len(days))
        if block >= len(days) or days[block] > self.today:
            return None
        return self._facts(days[block], recording_number, at + 1)

    def of_day(self, day: dt.date) -> list[Facts]:
        """Return what searches list for a day, by number."""
        if day not in self._by_day:
            self._by_day[day] = list(self._listed(day))
        return self._by_day[day]

    def of_code(self, code: str, since: dt.date, until: dt.date) -> list[Facts]:
        """Return the documents of a code, whichever of their codes it is, by number."""
        found: list[Facts] = []
        for day in self.days(since, until):
            if day not in self._by_code:
                by_code: dict[str, list[Facts]] = defaultdict(list)
                for facts in self.of_day(day):
                    for one in facts.codes:
                        by_code[one].append(facts)
                self._by_code[day] = by_code
            found += self._by_code[day].get(code, ())
        return found

    def days(self, since: dt.date, until: dt.date) -> list[dt.date]:
        """Return the working days of a span, none after today."""
        until = min(until, self.today)
        return [
            day
            for year in range(max(since.year, FIRST_YEAR), until.year + 1)
            for day in _working_days(year)
            if since <= day <= until
        ]

    def named(self, prefix: str, since: dt.date, until: dt.date) -> list[tuple[str, Facts]]:
        """Return (name, document) for each name that begins with the prefix, of the last weeks, by name and
        number.
        """
        directory = self._directory()
        at = bisect_left(directory, (prefix, ""), key=lambda entry: entry[:2])
        found = []
        while at < len(directory) and directory[at][0].startswith(prefix):
            name, _, facts = directory[at]
            if since <= facts.date <= until:
                found.append((name, facts))
            at += 1
        return found

    @lru_cache(maxsize=1)  # noqa: B019 - one object a server
    def _directory(self) -> list[tuple[str, str, Facts]]:
        days = self.days(self.today - dt.timedelta(days=_NAMED_DAYS), self.today)
        return sorted(
            (
                (name, facts.number, facts)
                for day in days
                for facts in self.of_day(day)
                for name in facts.names
            ),
            key=lambda entry: entry[:2],
        )

    def _listed(self, day: dt.date) -> Iterator[Facts]:
        days = _working_days(day.year)
        at = bisect_left(days, day)
        if at == len(days) or days[at] != day or day > self.today or day.year < FIRST_YEAR:
            return
        count = self._volume(day)
        rush = self.rush if is_rush_day(day) else 0
        size = _YEAR_SPACE // len(days)
        for position in range(1, min(count + rush, size) + 1):
            recording_number = f"{day.year}{at * size + position:07d}"
            facts = self._facts(day, recording_number, position, is_rush=position > count)
            yield facts
            if day.year in (2000, 2001) and position % 97 == 0:
                yield Facts(recording_number, "A", day, facts.codes[:1], facts.names[:1], 1, 0, 0, 0)

    def _volume(self, day: dt.date) -> int:
        return self.daily + number(self._seed, "volume", day) % (self.daily // 5 + 1) - self.daily // 10

    def _facts(
        self, day: dt.date, recording_number: str, position: int, is_rush: bool | None = None
    ) -> Facts:
        rolls = number(self._seed, "document", recording_number)
        if is_rush is None:
            # By number: the same document as the day lists it.
            count = self._volume(day)
            is_rush = is_rush_day(day) and count < position <= count + self.rush
        follows = position > 1 and self._leads(
            f"{recording_number[:4]}{int(recording_number[4:]) - 1:07d}", position - 1
        )
        if is_rush:
            codes: tuple[str, ...] = ("LN",)
        elif follows:
            codes = ("DT",)
        elif self._leads(recording_number, position):
            codes = ("WD",)
        elif position > self.daily * 6 // 5 + self.rush:
            codes = (DEEDS[rolls % len(DEEDS)],)
        else:
            codes = (WEIGHTED[rolls % 1000],)
        if not follows and (rolls >> 12) % 20 == 0 and codes[0] != "AF":
            codes = (*codes, "AF")
        before = number(self._seed, "document", f"{recording_number[:4]}{int(recording_number[4:]) - 1:07d}")
        names = (
            {*_buyers(before), _pick(_LENDERS, rolls >> 8), _pick(_TITLES, rolls >> 20)}
            if follows
            else {*_buyers(rolls), *_others(rolls)}
        )
        affidavit = 1 if codes[0] in DEEDS and (rolls >> 30) % 2 else 0
        book = 8_000 + rolls % 7_000 if day.year <= 1982 else 0
        return Facts(
            number=recording_number,
            suffix="",
            date=day,
            codes=codes,
            names=tuple(sorted(name[:_NAME_MOST].rstrip() for name in names)),
            pages=1 + (rolls >> 36) % 18,
            affidavit_pages=affidavit,
            docket_book=book,
            page_map=1 + (rolls >> 44) % 900 if book else 0,
        )

    def _leads(self, recording_number: str, position: int) -> bool:
        """Whether a deed is followed by its deed of trust."""
        return position % 2 == 1 and number(self._seed, "lead", recording_number) % 10 == 0


def is_rush_day(day: dt.date) -> bool:
    """Whether a day is the first working day of its month from the 12th on."""
    return 12 <= day.day <= 14 and day.weekday() < 5 and (day.day == 12 or day.weekday() == 0)


@lru_cache(maxsize=200)
def _working_days(year: int) -> tuple[dt.date, ...]:
    first = dt.date(year, 1, 2)
    return tuple(
        day for n in range(364) if (day := first + dt.timedelta(days=n)).weekday() < 5 and day.year == year
    )


def _pick(choices: tuple[str, ...], rolls: int) -> str:
    return choices[rolls % len(choices)]


def _buyers(rolls: int) -> list[str]:
    surname = SURNAMES[rolls % len(SURNAMES)]
    if (rolls >> 6) % 4 == 0:
        return [
            f"{COMPANY[(rolls >> 9) % len(COMPANY)]} {(rolls >> 14) % 60}"
            f" {BUSINESS[(rolls >> 20) % len(BUSINESS)]}"
        ]
    one, two = GIVEN[(rolls >> 9) % len(GIVEN)], GIVEN[(rolls >> 15) % len(GIVEN)]
    letter = chr(65 + (rolls >> 21) % 26)
    couple = [f"{surname} {one} {letter}", f"{surname} {two}"]
    return couple if (rolls >> 26) % 2 else [couple[0] + (" ETAL" if (rolls >> 27) % 12 == 0 else "")]


def _others(rolls: int) -> list[str]:
    other = number("other", rolls)
    found = _buyers(other)[:1]
    if other % 3 == 0:
        found.append(_pick(_TITLES, other >> 8))
    if other % 41 == 0:
        surname = SURNAMES[(other >> 9) % len(SURNAMES)]
        found.append(
            f"{GIVEN[other % 30]} H AND {GIVEN[(other >> 5) % 30]} L {surname} LIVING TRUST DATED FEBRUARY 7"
            " 2001"
        )
    return found
