"""One page of a search of the recorder, and whether it answers what was asked: wrong parameters are ignored
silently.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from maricopa_scrapy.items import Issue
from maricopa_scrapy.parsing.bodies import decode
from maricopa_scrapy.parsing.errors import ABSENT, Malformed, SourceChanged
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.parsing.shapes import Shape, as_list
from maricopa_scrapy.parsing.values import Coercion, text
from maricopa_scrapy.sources.recorder.document import (
    CODE_MOST,
    NAME_MOST,
    book,
    check_days,
    day,
    display_code,
    recording_number,
    words,
    year_issues,
)

# Say which document a row is of; the suffix is a part of the number.
IDENTITY = ("recordingNumber", "recordingSuffix")
# A row that is odd is unread by itself; an odd total leaves the rows uncounted.
SECTIONS = ("total", "row")
# The first row of the whole index: what an answer begins with whose filter was dropped.
FIRST_OF_ALL = "19470000001"
_FIRST_DAY = dt.date(1947, 1, 2)
# The total is exact up to here; one more means "more".
COUNTED_MOST = 500
# Where the index cuts a name.
INDEXED_MOST = 54
# Display codes that one query code may find: two while a code is renamed.
_DISPLAYS_MOST = 2
_ROW = "searchResults[]"
# Of what the envelope and a row have besides what is read.
_ENVELOPE, _REST = Shape(""), Shape(_ROW)


@dataclass(frozen=True, slots=True)
class SearchRow:
    """A document as a search lists it; `number` has the suffix. Each of the others may be missing.

    `name` is the one that matched, None without a name in the query. `is_read`: no value of the row is odd;
    nothing is stored of one that has such a value, but its document is asked for. `absent`: what the row does
    not say at all.
    """

    number: str
    suffix: str | None
    date: dt.date | None
    name: str | None
    code: tuple[str, bool] | None
    docket_book: str | None
    page_map: str | None
    is_read: bool
    absent: tuple[str, ...]

    @property
    def display_code(self) -> str | None:
        return self.code[0] if self.code else None

    @property
    def has_more_codes(self) -> bool:
        return self.code is not None and self.code[1]


@dataclass(slots=True)
class SearchPage:
    """`count` rows came, `junk` of them with 0 for a number, which hides it, `lost` of them with a number
    that cannot be read.

    `total` is None where the page does not say it.
    """

    rows: list[SearchRow] = field(default_factory=list)
    count: int = 0
    junk: int = 0
    lost: int = 0
    total: int | None = None
    notes: Notes = field(default_factory=Notes)

    @property
    def unread(self) -> int:
        """Rows that could not be read, or not wholly."""
        return self.lost + sum(not row.is_read for row in self.rows)

    @property
    def pair(self) -> set[str]:
        """The display codes of documents that have no other, of rows without an odd value."""
        return _alone(row for row in self.rows if row.is_read)

    @property
    def issues(self) -> list[Issue]:
        """What a person must know of the page."""
        return self.notes.issues("the recorder's search") + [
            one for row in self.rows for one in year_issues(row.number, row.date)
        ]


def parse_search(body: bytes) -> SearchPage:
    """Read /documents/search. Raises Malformed, NotFound or Soft404; SourceChanged without a list, and when
    no row of it has a number.
    """
    raw = decode(body)
    if not isinstance(raw, dict):
        raise Malformed("body", "a page of a search", raw)
    results, total = raw.pop("searchResults", ABSENT), raw.pop("totalResults", ABSENT)
    if not isinstance(results, list):
        raise SourceChanged("searchResults", "a list", results)
    as_list(results, "searchResults")
    page = SearchPage(count=len(results))
    with page.notes.section("total"):
        page.total = _total(total, page.notes)
    _ENVELOPE.audit(raw, page.notes)
    for row in results:
        try:
            read = _row(row, page.notes)
        except SourceChanged as error:
            page.notes.unread["row"] = error
            page.lost += 1
        else:
            page.junk += read is None
            page.rows += [read] if read else []
    if page.lost and page.lost + page.junk == page.count:
        raise page.notes.unread["row"]
    return page


def _total(value: object, notes: Notes) -> int | None:
    if value is ABSENT:
        notes.is_absent("totalResults")
        return None
    if type(value) is not int or not -1 <= value <= COUNTED_MOST + 1:
        raise SourceChanged("totalResults", f"a number from -1 to {COUNTED_MOST + 1}", value)
    return None if value < 0 else value


def _row(raw: object, notes: Notes) -> SearchRow | None:
    """Read a row. Raises SourceChanged when its number cannot be read; any other odd value is noted, and
    missing.
    """
    if not isinstance(raw, dict):
        raise SourceChanged(_ROW, "an object", raw)
    rest = dict(raw)
    of_number, of_suffix = IDENTITY
    number = recording_number(rest.pop(of_number, ABSENT), f"{_ROW}.{of_number}")
    if number is None:
        return None
    suffix = _suffix(rest.pop(of_suffix, ABSENT), f"{_ROW}.{of_suffix}", notes)
    found: dict[str, Any] = dict.fromkeys(_FIELDS)
    absent: list[str] = []
    is_read = True
    for name, (key, coerce) in _FIELDS.items():
        value, path = rest.pop(key, ABSENT), f"{_ROW}.{key}"
        if value is ABSENT:
            absent.append(name)
            notes.is_absent(path)
            continue
        try:
            found[name] = coerce(value, path)
        except SourceChanged as error:
            notes.unread["row"] = error
            is_read = False
    _REST.audit(rest, notes)
    return SearchRow(number + (suffix or ""), suffix, **found, is_read=is_read, absent=tuple(absent))


def _suffix(value: object, path: str, notes: Notes) -> str | None:
    if value is ABSENT:
        notes.is_absent(path)
        return None
    suffix = text(value, path)
    if suffix is not None and not (len(suffix) == 1 and "A" <= suffix <= "Z"):
        raise SourceChanged(path, "a letter", suffix)
    return suffix


def _name(value: object, path: str) -> str | None:
    return words(value, path, NAME_MOST)


def _code(value: object, path: str) -> tuple[str, bool] | None:
    found = words(value, path, CODE_MOST)
    return None if found is None else display_code(found, path)


_FIELDS: dict[str, tuple[str, Coercion]] = {
    "date": ("recordingDate", day), "name": ("names", _name), "code": ("documentCode", _code),
    "docket_book": ("docketBook", book),
    "page_map": ("pageMap", book),
}  # fmt: skip


def _alone(rows: Iterable[SearchRow]) -> set[str]:
    return {row.display_code for row in rows if row.display_code and not row.has_more_codes}


def check_answers(
    page: SearchPage, since: dt.date, until: dt.date, name: str | None, display: str | None
) -> None:
    """Raise SourceChanged unless the rows are of the days, the name or the code that were asked for.

    `name` is the beginning of every matched name; `display` the display code of the query code, where it is
    known. A row with more codes may have matched by another of them. What a row does not say speaks for
    nothing and against nothing; but a page of which no row says a name (or a code) is no answer to it.
    """
    for at, row in enumerate(page.rows):
        path = f"searchResults.{at}"
        if (
            at == 0
            and row.number == FIRST_OF_ALL
            and not (since <= _FIRST_DAY and name is None and _alone(page.rows) == {display})
        ):
            raise SourceChanged(path, "an answer to the filter; it was dropped", row.number)
        check_days(row.number, row.date, since, until, f"{path}.recordingDate")
        if name is not None and row.name is not None and not squeezed(row.name).startswith(name):
            raise SourceChanged(f"{path}.names", f"a name that begins with {name}", row.name)
        if (
            name is None
            and display is not None
            and row.display_code not in (None, display)
            and not row.has_more_codes
        ):
            raise SourceChanged(f"{path}.documentCode", display, row.display_code)
    if name is None and len(alone := _alone(page.rows)) > _DISPLAYS_MOST:
        raise SourceChanged(
            "searchResults", "documents of the code that was asked for", ", ".join(sorted(alone))
        )
    if name is not None and page.rows and all(row.name is None for row in page.rows):
        raise SourceChanged(f"{_ROW}.names", f"a name that begins with {name}, of one row at least", ABSENT)
    if name is None and page.rows and all(row.code is None for row in page.rows):
        raise SourceChanged(f"{_ROW}.documentCode", "a code, of one row at least", ABSENT)


def squeezed(name: str) -> str:
    """Return a name as it is compared: upper case, without blanks and punctuation.

    >>> squeezed("O'Hara  L L C")
    'OHARALLC'
    """
    return "".join(c for c in name.upper() if c.isalnum())
