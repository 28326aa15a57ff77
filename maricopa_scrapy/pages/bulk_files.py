"""The assessor's bulk files, some thousand lines at a time: pipe-delimited, no header, columns by position.

Without a header only the shape of each column tells a shifted file: a line that does not fit is rejected with its number, and a file of
which more than a few lines do not fit is refused. Column order: docs/sources.md, "Bulk files" (captured: 16 rows and 1 row).
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from maricopa_scrapy.identifiers import APN_PATTERN
from maricopa_scrapy.items import Record, Rows
from maricopa_scrapy.items_bulk import BulkReject, ResidentialParcel, SecuredParcel
from maricopa_scrapy.pages.errors import SourceChanged
from maricopa_scrapy.pages.values import INT4, INT8, YEARS

# Of the lines of one batch, and of a whole file: beyond it the file is shifted or another one.
REJECTED_MOST = 0.02
_FEW = 5
_LINE_KEPT = 1000

Convert = Callable[[Sequence[str]], Sequence[Any]]


def _text(values: Sequence[str]) -> Sequence[Any]:
    return [value.strip() or None for value in values]


def _matching(pattern: str, required: bool = False) -> Convert:
    matcher = re.compile(pattern, re.ASCII)

    def convert(values: Sequence[str]) -> Sequence[Any]:
        for value in set(values):
            if not (matcher.fullmatch(value) if value or required else True):
                raise ValueError(value)
        return [value or None for value in values]

    return convert


def _whole(most: int) -> Convert:
    def convert(values: Sequence[str]) -> Sequence[Any]:
        digits = "".join(values)
        if digits and not (digits.isdecimal() and digits.isascii()):
            raise ValueError(values)
        numbers = [int(value) if value else None for value in values]
        if max(filter(None, numbers), default=0) > most:
            raise ValueError(values)
        return numbers

    return convert


def _days(pattern: str) -> Convert:
    matcher = re.compile(pattern, re.ASCII)

    def day(value: str) -> dt.date | None:
        if not value:
            return None
        match = matcher.fullmatch(value)
        if match is None or not YEARS[0] <= int(match["y"]) <= YEARS[1]:
            raise ValueError(value)
        return dt.date(int(match["y"]), int(match["m"]), int(match["d"]))

    def convert(values: Sequence[str]) -> Sequence[Any]:
        days = {value: day(value) for value in set(values)}
        return [days[value] for value in values]

    return convert


def _years(values: Sequence[str]) -> Sequence[Any]:
    numbers = _whole(INT4)(values)
    if any(number and not YEARS[0] <= number <= YEARS[1] for number in numbers):
        raise ValueError(values)
    return [number or None for number in numbers]


# name: what a person is told was expected, and the conversion.
_KINDS: dict[str, tuple[str, Convert]] = {
    "apn": ("an APN", _matching(APN_PATTERN, required=True)),
    "text": ("text", _text),
    "state": ("letters of a state", _matching("[A-Za-z]{2,3}")),
    "mail_zip": ("a postal code", _matching("[0-9A-Za-z -]{3,12}")),
    "zip": ("a ZIP", _matching(r"\d{5}(-\d{4})?")),
    "word": ("one word", _matching("[A-Za-z0-9./ -]{1,40}")),
    "use": ("a use code of four digits", _matching(r"\d{4}")),
    "area": ("a tax area code of six digits", _matching(r"\d{6}")),
    "deed": ("a recording number", _matching("[0-9][0-9A-Za-z-]{3,19}")),
    "deed_type": ("a deed type", _matching("[A-Z0-9]{1,4}")),
    "type": ("a property type", _matching("[A-Z][A-Z /&-]*")),
    "classes": ("shares of legal classes", _matching(r"\d{1,3}(\.\d+)?% [0-9A-Z.]+(; ?\d{1,3}(\.\d+)?% [0-9A-Z.]+)*")),
    "yes_no": ("Y or N", _matching("[YN]")),
    "direction": ("a direction", _matching("[NSEW]{1,2}")),
    "stories": ("a number of stories", _matching(r"\d{1,3}(\.\d+)?")),
    "money": ("whole dollars", _whole(INT8)),
    "area_sqft": ("whole square feet", _whole(INT8)),
    "count": ("a whole number", _whole(INT4)),
    "year": ("a year", _years),
    "us_date": ("a date MMDDYYYY", _days(r"(?P<m>\d\d)(?P<d>\d\d)(?P<y>\d{4})")),
    "iso_date": ("a date YYYY-MM-DD", _days(r"(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)")),
}
_SECURED = """
    apn text text text text state mail_zip text text text text zip type deed us_date deed_type money money money money money money use
    text text text classes classes yes_no area_sqft area_sqft year area_sqft money us_date text text text area
"""
_RESIDENTIAL = """
    apn stories text text text text count text text text year area_sqft area_sqft text text text text text text money iso_date text text
    use text text text text state mail_zip text word direction text word text text text zip
"""


@dataclass(frozen=True)
class FileShape:
    """One file: its record, and the kind of each column in order."""

    name: str
    record: type[Record]
    kinds: Sequence[str]
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.record.model_fields))
        assert len(self.columns) == len(self.kinds)


FILES = {
    "secured_master": FileShape("Secured Master", SecuredParcel, _SECURED.split()),
    "residential_master": FileShape("Residential Master", ResidentialParcel, _RESIDENTIAL.split()),
}


@dataclass(slots=True)
class Lines:
    """What some lines of a file gave: rows for its table, and rejects (line number, reason)."""

    pages: list[Rows]
    rejects: list[tuple[int, str]]


def parse_lines(lines: Sequence[str], shape: FileShape, place: str, first: int) -> Lines:
    """Read some lines of a file, of which the first has number `first`. Raises SourceChanged when too many do not fit."""
    width = len(shape.kinds)
    cells = [line.split("|") for line in lines]
    rejects: dict[int, str] = {at: f"{len(row)} columns, not {width}" for at, row in enumerate(cells) if len(row) != width}
    _refuse_many(rejects, lines, shape, first)
    good = [at for at in range(len(cells)) if at not in rejects]
    columns = list(zip(*(cells[at] for at in good), strict=True))
    found: list[Sequence[Any]] = []
    for number, kind in enumerate(shape.kinds):
        if not columns:
            break
        expected, convert = _KINDS[kind]
        try:
            found.append(convert(columns[number]))
        except ValueError:
            bad = {at for at, value in zip(good, columns[number], strict=True) if not _fits(convert, value)}
            reason = f"column {number + 1} ({shape.columns[number]}): expected {expected}"
            rejects |= dict.fromkeys(bad, reason)
            _refuse_many(rejects, lines, shape, first)
            keep = [position for position, at in enumerate(good) if at not in bad]
            found = [[column[position] for position in keep] for column in found]
            columns = [tuple(column[position] for position in keep) for column in columns]
            good = [good[position] for position in keep]
            found.append(convert(columns[number]))
    pages = [Rows(shape.record, found)] if good else []
    if rejects:
        of = sorted(rejects.items())
        kept = [lines[at][:_LINE_KEPT] for at, _ in of]
        pages.append(Rows(BulkReject, [[f"{place}:{first + at}" for at, _ in of], [reason for _, reason in of], kept]))
    return Lines(pages, [(first + at, reason) for at, reason in sorted(rejects.items())])


def _fits(convert: Convert, value: str) -> bool:
    try:
        convert([value])
    except ValueError:
        return False
    return True


def _refuse_many(rejects: dict[int, str], lines: Sequence[str], shape: FileShape, first: int) -> None:
    if len(rejects) > max(_FEW, len(lines) * REJECTED_MOST):
        at, reason = min(rejects.items())
        raise SourceChanged(
            f"line {first + at}", f"the columns of the {shape.name} ({len(rejects)} of {len(lines)} lines are not: {reason})", lines[at]
        )
