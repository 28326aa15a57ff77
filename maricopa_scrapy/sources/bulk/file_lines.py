"""The assessor's bulk files, some thousand lines at a time: pipe-delimited, columns by the names of a header,
without one by position.

A line that does not fit is set aside with its number and the reason; a column that too many lines do not fit
is not read (file_layout.py). Column order: docs/sources.md, "Bulk files" (captured: 16 rows of Secured
Master, one of Residential Master, one of Sales Affidavits).
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import methodcaller
from typing import Any

from maricopa_scrapy.items import Issue, IssueKind, Rows
from maricopa_scrapy.sources.bulk.file_layout import FileShape, Layout, column_name
from maricopa_scrapy.sources.bulk.file_values import KINDS, NOT_BARE, Convert
from maricopa_scrapy.sources.bulk.records import BulkReject, ResidentialParcel, SecuredParcel

_LINE_KEPT = 1000
_DIGEST_KEPT = 16
_SHORT_DEED = 9
# What decoding made of bytes that are not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")

_SECURED = """
    apn text text text text state mail_zip text text text text zip type deed us_date deed_type money money
    money money money money use text text text classes classes yes_no area_sqft area_sqft year area_sqft
    money us_date text text text area
"""
_RESIDENTIAL = """
    apn stories text text text text count text text text year area_sqft area_sqft text text text text text
    text money iso_date text text use text text text text state mail_zip text word direction text word text
    text text zip
"""
_SECURED_NAMES = """
    Parcel Owner MailAddr1 MailAddr2 MailCity MailState MailZip MailCountry SitusAddr SitusSuite SitusCity
    SitusZip PropertyType DeedNumber DeedDate DeedType LandFCV ImprFCV TotalFCV FCVassessed LPV
    LPVassessed PUC Lot Block Tract LandClass ImprClass Rental LivingArea LotSqft ConstYear PoolSize
    SalePrice SaleDate MCR Subdivision Units TaxArea
"""
# Sixteen names are known of the header that the file has had since about September 2026; a dash is an unknown
# one.
_RESIDENTIAL_NAMES = """
    ParcelNumber - Class - - - - - - - - - - - - - - - - - - - - - OwnerName OwnerAddr1stLine
    OwnerAddr2ndLine OwnerCity OwnerState OwnerZipCode - SitusStreetNum SitusStreetDir SitusStreetName
    SitusStreetType SitusStreetPostDir SitusSuite SitusCity SitusZipCode
"""

FILES = {
    "secured_master": FileShape(
        "Secured Master", SecuredParcel, _SECURED.split(), tuple(_SECURED_NAMES.split())
    ),
    "residential_master": FileShape(
        "Residential Master",
        ResidentialParcel,
        _RESIDENTIAL.split(),
        tuple(["" if name == "-" else name for name in _RESIDENTIAL_NAMES.split()]),
    ),
}


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that is set aside; `kind` is what the reason is without line numbers. `is_misfit`: it does not
    have the file's shape.
    """

    number: int
    reason: str
    line: str
    kind: str
    is_misfit: bool = True


@dataclass(slots=True)
class Lines:
    """What some lines of a file gave: rows for its table, the lines of these rows by number, and what is set
    aside.
    """

    pages: list[Rows]
    numbers: list[int]
    rejects: list[Reject]


class Repeats:
    """Keys that come more than once in a file, in whatever distance; `hashes` is what `rough_keys` of them
    hash to.
    """

    def __init__(self, shape: FileShape, hashes: Collection[int]) -> None:
        self._shape = shape
        self._hashes = hashes
        # Key: its lines by what they say, each with the place where it stood first.
        self._places: dict[tuple[Any, ...], dict[bytes, str]] = {}

    def suspects(self, lines: Sequence[str], layout: Layout) -> list[int]:
        """Return the positions of the lines whose key comes again, before or after."""
        if not self._hashes:
            return []
        keys = rough_keys([line.encode() for line in lines], self._shape, layout)
        return [at for at, key in enumerate(keys) if hash(key) in self._hashes]

    def meet(self, key: tuple[Any, ...], line: str, place: str) -> tuple[int, str | None, str | None]:
        """Note a line. Returns its number among those of its key that differ, where the same stood before,
        and where the first stood.
        """
        known = self._places.setdefault(key, {})
        digest = blake2b(line.encode(), digest_size=16).digest()
        same, first = known.get(digest), next(iter(known.values()), None)
        known.setdefault(digest, place)
        return len(known), same, first


def rough_keys(lines: Sequence[bytes], shape: FileShape, layout: Layout) -> list[bytes]:
    """Return something that lines of the same key have in common, however the file writes it, at the price of
    a look.
    """
    apn, *others = [place for number in shape.key if (place := layout.order[number]) is not None]
    most = max(apn, *others, 0) + 1

    def joined(rows: list[list[bytes]]) -> list[bytes]:
        keys = [row[apn] for row in rows]
        for at in others:
            # Of a deed number the century is left out, which the file does not always write.
            keys = [key + row[at][-_SHORT_DEED:] for key, row in zip(keys, rows, strict=True)]
        return keys

    rows = [line.split(b"|", most) for line in lines]
    try:
        keys = joined(rows)
    except IndexError:
        rows = [row if len(row) >= most else [*row, *[b""] * most] for row in rows]
        keys = joined(rows)
    together = b"".join(keys)
    if together.isalnum() and together == together.upper():
        return keys
    return joined([[cell.translate(None, b" -.\r").upper() for cell in row[:most]] for row in rows])


def parse_lines(
    lines: Sequence[str],
    shape: FileShape,
    place: str,
    first: int,
    layout: Layout | None = None,
    repeats: Repeats | None = None,
) -> Lines:
    """Read some lines of a file, of which the first has number `first`; without a layout, columns are in the
    order of the shape.
    """
    layout = layout or Layout(tuple(range(len(shape.kinds))), len(shape.kinds), shape.is_headed)
    reading = _Reading(lines, shape, place, first, layout)
    if reading.good:
        reading.convert()
    if reading.good:
        reading.number(repeats)
    absent = {column: None for number, column in enumerate(shape.columns) if layout.place(number) is None}
    pages = [Rows(shape.record, reading.found, absent=absent)] if reading.good else []
    return Lines(
        pages, [first + at for at in reading.good], [reading.rejects[at] for at in sorted(reading.rejects)]
    )


class _Reading:
    """Lines on their way to columns; `good` are the positions of those that fit so far, `found` the columns
    that are converted.
    """

    def __init__(
        self, lines: Sequence[str], shape: FileShape, place: str, first: int, layout: Layout
    ) -> None:
        self._lines, self._shape, self._place, self._first, self._layout = lines, shape, place, first, layout
        self.rejects: dict[int, Reject] = {}
        self.found: list[Sequence[Any]] = []
        joined = "|".join(lines)
        # No text of these lines has a blank at an end: to look once is a tenth of a look at each column.
        self._is_bare = joined.isascii() and not any(map(f"|{joined}|".__contains__, NOT_BARE))
        if not joined.isascii():
            for at in [at for at, line in enumerate(lines) if _SURROGATE.search(line)]:
                self._set_aside(at, "not UTF-8 text")
        bars = layout.width - 1
        for at in [
            at
            for at, count in enumerate(map(methodcaller("count", "|"), lines))
            if count != bars and at not in self.rejects
        ]:
            self._set_aside(
                at,
                f"{lines[at].count('|') + 1} columns, not {layout.width}" if lines[at] else "an empty line",
            )
        self.good = [at for at in range(len(lines)) if at not in self.rejects]
        # One split of all lines, and each column a slice of it: half the price of splitting and turning line
        # by line.
        if len(self.good) < len(lines):
            joined = "|".join([lines[at] for at in self.good])
        cells = joined.split("|")
        nothing = [""] * len(self.good)
        places = [layout.place(number) for number in range(len(shape.kinds))] if self.good else []
        self._columns: list[Sequence[str]] = [
            nothing if place is None else cells[place :: layout.width] for place in places
        ]

    def _set_aside(self, at: int, reason: str, kind: str = "", is_misfit: bool = True) -> None:
        line = _SURROGATE.sub("\ufffd", self._lines[at][:_LINE_KEPT])
        self.rejects[at] = Reject(self._first + at, reason, line, kind or reason, is_misfit)

    def _keep(self, positions: Sequence[int]) -> None:
        self.good = [self.good[at] for at in positions]
        self.found = [[column[at] for at in positions] for column in self.found]
        self._columns = [[column[at] for at in positions] for column in self._columns]

    def convert(self) -> None:
        """Check and convert column after column; a line that does not fit one is set aside."""
        for number, kind in enumerate(self._shape.kinds):
            if self._layout.place(number) is None:
                self.found.append([None] * len(self.good))
                continue
            expected, convert = KINDS[kind]
            if kind == "text" and self._is_bare:
                self.found.append(self._columns[number])
                continue
            try:
                self.found.append(convert(self._columns[number]))
            except ValueError:
                self._columns[number] = [value.strip() for value in self._columns[number]]
                fitting = [_fits(convert, value) for value in self._columns[number]]
                for at, fits in zip(self.good, fitting, strict=True):
                    if not fits:
                        self._set_aside(
                            at, f"{column_name(self._shape, self._layout, number)}: expected {expected}"
                        )
                self._keep([position for position, fits in enumerate(fitting) if fits])
                if not self.good:
                    return
                self.found.append(convert(self._columns[number]))
        self.found += [self._columns[position] for position in self._shape.raw]

    def number(self, repeats: Repeats | None) -> None:
        """Number the lines of a key, or let the first stand; one that says the same again is set aside."""
        occurrences = [1] * len(self.good)
        again = repeats.suspects([self._lines[at] for at in self.good], self._layout) if repeats else []
        for position in again:
            assert repeats is not None
            at = self.good[position]
            key = tuple([self.found[number][position] for number in self._shape.key])
            place = f"{self._place}:{self._first + at}"
            occurrences[position], same, earlier = repeats.meet(key, self._lines[at], place)
            if same:
                self._set_aside(at, f"the same as {same}", "a line that comes twice", is_misfit=False)
            elif earlier and not self._shape.is_numbered:
                reason = f"{' '.join(map(str, key))} comes again and says something else; {earlier} stands"
                self._set_aside(at, reason, "another line of a parcel", is_misfit=False)
        if self._shape.is_numbered:
            self.found.append(occurrences)
        if any(self.good[position] in self.rejects for position in again):
            self._keep([position for position, at in enumerate(self.good) if at not in self.rejects])


def misfits(lines: Sequence[str], shape: FileShape, layout: Layout) -> Counter[int]:
    """Count, by column, the lines whose value is not of its kind; lines with another number of columns count
    nowhere.
    """
    bars = layout.width - 1
    cells = "|".join([line for line in lines if line.count("|") == bars]).split("|")
    found: Counter[int] = Counter()
    for number, kind in enumerate(shape.kinds):
        place = layout.place(number)
        if kind == "text" or place is None or len(cells) < layout.width:
            continue
        convert, column = KINDS[kind][1], cells[place :: layout.width]
        try:
            convert(column)
        except ValueError:
            values = Counter(map(str.strip, column))
            found[number] = sum(count for value, count in values.items() if not _fits(convert, value))
    return found


def _fits(convert: Convert, value: str) -> bool:
    try:
        convert([value])
    except ValueError:
        return False
    return True


def rejected(rejects: Sequence[Reject], file: str, place: str, digest: bytes) -> Rows:
    """Return what is set aside of a file, as rows."""
    columns = zip(
        *(
            (digest.hex()[:_DIGEST_KEPT], f"{place}:{one.number}", file, one.number, one.reason, one.line)
            for one in rejects
        ),
        strict=True,
    )
    return Rows(BulkReject, [list(column) for column in columns])


def future_dates(lines: Lines, shape: FileShape, today: dt.date, place: str) -> list[Issue]:
    """Return an issue for each date of the rows that lies after `today`."""
    issues = []
    for page in lines.pages:
        for name in shape.dates:
            if name in page.absent:
                continue
            column = page.columns[shape.columns.index(name)]
            # A month as text sorts like a date.
            limit: Any = today if name != "sale_month" else f"{today:%Y-%m}"
            if max(filter(None, column), default=limit) > limit:
                issues += [
                    Issue(
                        IssueKind.FUTURE_DATE,
                        name,
                        f"{place}, line {number}: {name} {value}, which is after {today}",
                    )
                    for number, value in zip(lines.numbers, column, strict=True)
                    if value and value > limit
                ]
    return issues
