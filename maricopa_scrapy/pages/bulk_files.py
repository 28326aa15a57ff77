"""The assessor's bulk files, some thousand lines at a time: pipe-delimited, most without a header, columns by position.

Without a header only the shape of each column tells a shifted file: a line that does not fit is set aside with its number and the reason.
Column order: docs/sources.md, "Bulk files" (captured: 16 rows of Secured Master, one of Residential Master, one of Sales Affidavits).
"""

import datetime as dt
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import methodcaller
from typing import Any

from maricopa_scrapy.items import Issue, Record, Rows
from maricopa_scrapy.items_bulk import BulkReject, ResidentialParcel, SecuredParcel
from maricopa_scrapy.pages.bulk_values import KINDS, Convert
from maricopa_scrapy.pages.errors import SourceChanged

# Of all lines of a file: beyond it the file is shifted, damaged or another one. With a header the columns are known for sure.
_MISFIT_MOST = 0.02
_MISFIT_MOST_HEADED = 0.1
_FEW = 5
_LINE_KEPT = 1000
_DIGEST_KEPT = 16
_SHORT_DEED = 9
# What decoding made of bytes that are not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")

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
    """One file: its record, and the kind of each column in order.

    `header`: names of the columns, where the file has a line of them. `key`: the columns by which a row is known, its APN first.
    Of a key that comes again the first line stands; with `is_numbered` all stand, and the record's last field numbers them.
    `raw`: columns that are also kept as they came. `dates`: fields that should not lie in the future.
    """

    name: str
    record: type[Record]
    kinds: Sequence[str]
    header: tuple[str, ...] = ()
    key: tuple[int, ...] = (0,)
    raw: tuple[int, ...] = ()
    is_numbered: bool = False
    dates: tuple[str, ...] = ()
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        fields = tuple(self.record.model_fields)
        object.__setattr__(self, "columns", fields[: len(self.kinds)])
        assert len(fields) == len(self.kinds) + len(self.raw) + self.is_numbered


FILES = {
    "secured_master": FileShape("Secured Master", SecuredParcel, _SECURED.split()),
    "residential_master": FileShape("Residential Master", ResidentialParcel, _RESIDENTIAL.split()),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one file has the columns of its shape: position of each, of `width`; `new` names columns that we do not know."""

    order: tuple[int, ...]
    width: int
    new: tuple[str, ...] = ()


def layout_of(shape: FileShape, first_line: str) -> Layout:
    """Read the header of a file. Raises SourceChanged when a column is not in it."""
    if not shape.header:
        return Layout(tuple(range(len(shape.kinds))), len(shape.kinds))
    names = first_line.split("|")
    at = {name.strip().upper(): position for position, name in enumerate(names)}
    missing = [name for name in shape.header if name not in at]
    if missing:
        raise SourceChanged("line 1", f"the column names of the {shape.name}, {', '.join(missing[:5])} among them", first_line)
    return Layout(tuple(at[name] for name in shape.header), len(names), tuple(name for name in at if name not in shape.header))


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that is set aside; `kind` is what the reason is without line numbers. `is_misfit`: it does not have the file's shape."""

    number: int
    reason: str
    line: str
    kind: str
    is_misfit: bool = True


@dataclass(slots=True)
class Lines:
    """What some lines of a file gave: rows for its table, the lines of these rows by number, and what is set aside."""

    pages: list[Rows]
    numbers: list[int]
    rejects: list[Reject]


class Repeats:
    """Keys that come more than once in a file, in whatever distance; `hashes` is what `rough_keys` of them hash to."""

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
        """Note a line. Returns its number among those of its key that differ, where the same stood before, and where the first stood."""
        known = self._places.setdefault(key, {})
        digest = blake2b(line.encode(), digest_size=16).digest()
        same, first = known.get(digest), next(iter(known.values()), None)
        known.setdefault(digest, place)
        return len(known), same, first


def rough_keys(lines: Sequence[bytes], shape: FileShape, layout: Layout) -> list[bytes]:
    """Return something that lines of the same key have in common, however the file writes it, at the price of a look."""
    apn, *others = [layout.order[position] for position in shape.key]
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
    lines: Sequence[str], shape: FileShape, place: str, first: int, layout: Layout | None = None, repeats: Repeats | None = None
) -> Lines:
    """Read some lines of a file, of which the first has number `first`."""
    reading = _Reading(lines, shape, place, first, layout or layout_of(shape, "|".join(shape.header)))
    if reading.good:
        reading.convert()
    if reading.good:
        reading.number(repeats)
    pages = [Rows(shape.record, reading.found)] if reading.good else []
    return Lines(pages, [first + at for at in reading.good], [reading.rejects[at] for at in sorted(reading.rejects)])


class _Reading:
    """Lines on their way to columns; `good` are the positions of those that fit so far, `found` the columns that are converted."""

    def __init__(self, lines: Sequence[str], shape: FileShape, place: str, first: int, layout: Layout) -> None:
        self._lines, self._shape, self._place, self._first, self._layout = lines, shape, place, first, layout
        self.rejects: dict[int, Reject] = {}
        self.found: list[Sequence[Any]] = []
        if not "".join(lines).isascii():
            for at in [at for at, line in enumerate(lines) if _SURROGATE.search(line)]:
                self._set_aside(at, "not UTF-8 text")
        bars = layout.width - 1
        for at in [at for at, count in enumerate(map(methodcaller("count", "|"), lines)) if count != bars and at not in self.rejects]:
            self._set_aside(at, f"{lines[at].count('|') + 1} columns, not {layout.width}" if lines[at] else "an empty line")
        self.good = [at for at in range(len(lines)) if at not in self.rejects]
        # One split of all lines, and each column a slice of it: half the price of splitting and turning line by line.
        cells = "|".join(lines if len(self.good) == len(lines) else [lines[at] for at in self.good]).split("|")
        self._columns: list[Sequence[str]] = [cells[position :: layout.width] for position in layout.order] if self.good else []

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
            expected, convert = KINDS[kind]
            try:
                self.found.append(convert(self._columns[number]))
            except ValueError:
                self._columns[number] = [value.strip() for value in self._columns[number]]
                fitting = [_fits(convert, value) for value in self._columns[number]]
                for at, fits in zip(self.good, fitting, strict=True):
                    if not fits:
                        name = f"column {self._layout.order[number] + 1} ({(self._shape.header or self._shape.columns)[number]})"
                        self._set_aside(at, f"{name}: expected {expected}")
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


def _fits(convert: Convert, value: str) -> bool:
    try:
        convert([value])
    except ValueError:
        return False
    return True


def too_many(misfits: int, lines: int, shape: FileShape) -> bool:
    """Whether so many lines that do not fit make a file another than its shape: over a share of all and over five, or half of a few."""
    share = _MISFIT_MOST_HEADED if shape.header else _MISFIT_MOST
    return misfits > max(lines * share, min(_FEW, lines / 2))


def rejected(rejects: Sequence[Reject], file: str, place: str, digest: bytes) -> Rows:
    """Return what is set aside of a file, as rows."""
    columns = zip(
        *((digest.hex()[:_DIGEST_KEPT], f"{place}:{one.number}", file, one.number, one.reason, one.line) for one in rejects), strict=True
    )
    return Rows(BulkReject, [list(column) for column in columns])


def future_dates(lines: Lines, shape: FileShape, today: dt.date, place: str) -> list[Issue]:
    """Return an issue for each date of the rows that lies after `today`."""
    issues = []
    for page in lines.pages:
        for name in shape.dates:
            column = page.columns[shape.columns.index(name)]
            # A month as text sorts like a date.
            limit: Any = today if name != "sale_month" else f"{today:%Y-%m}"
            if max(filter(None, column), default=limit) > limit:
                issues += [
                    Issue("future_date", name, f"{place}, line {number}: {name} {value}, which is after {today}")
                    for number, value in zip(lines.numbers, column, strict=True) if value and value > limit
                ]  # fmt: skip
    return issues
