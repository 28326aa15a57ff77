"""One page of a search of the recorder, and whether it answers what was asked: wrong parameters are ignored silently."""

import datetime as dt
from dataclasses import dataclass, field

from maricopa_scrapy.pages.answers import decode
from maricopa_scrapy.pages.errors import Malformed, SourceChanged
from maricopa_scrapy.pages.recorder import book, check_year, day, display_code, exactly, recording_number, texts

_ROW = ("names", "recordingNumber", "recordingSuffix", "recordingDate", "documentCode", "docketBook", "pageMap")
# The first row of the whole index: what an answer begins with whose filter was dropped.
FIRST_OF_ALL = "19470000001"
_FIRST_DAY = dt.date(1947, 1, 2)
# The total is exact up to here; one more means "more".
COUNTED_MOST = 500
# Where the index cuts a name.
NAME_MOST = 54
# Display codes that one query code may find: two while a code is renamed.
_DISPLAYS_MOST = 2


@dataclass(frozen=True, slots=True)
class SearchRow:
    """A document as a search lists it; `number` has the suffix. `date` may be missing.

    `name` is the one that matched, "" without a name in the query.
    """

    number: str
    suffix: str | None
    date: dt.date | None
    name: str
    display_code: str
    has_more_codes: bool
    docket_book: str | None
    page_map: str | None


@dataclass(slots=True)
class SearchPage:
    """`count` rows came, `junk` of them with 0 for a number, which hides it. `total` is None where the page does not say it."""

    rows: list[SearchRow] = field(default_factory=list)
    count: int = 0
    junk: int = 0
    total: int | None = None

    @property
    def pair(self) -> set[str]:
        """The display codes of documents that have no other."""
        return {row.display_code for row in self.rows if not row.has_more_codes}


def parse_search(body: bytes) -> SearchPage:
    """Read /documents/search. Raises SourceChanged, Malformed, NotFound or Soft404."""
    raw = decode(body)
    if not isinstance(raw, dict):
        raise Malformed("body", "a page of a search", raw)
    exactly(raw, ("searchResults", "totalResults"), "")
    results, total = raw["searchResults"], raw["totalResults"]
    if not isinstance(results, list):
        raise SourceChanged("searchResults", "a list", results)
    if type(total) is not int or not -1 <= total <= COUNTED_MOST + 1:
        raise SourceChanged("totalResults", f"a number from -1 to {COUNTED_MOST + 1}", total)
    page = SearchPage(count=len(results), total=None if total < 0 else total)
    for at, row in enumerate(results):
        read = _row(row, f"searchResults.{at}")
        if read is None:
            page.junk += 1
        else:
            page.rows.append(read)
    return page


def _row(raw: object, path: str) -> SearchRow | None:
    if not isinstance(raw, dict):
        raise SourceChanged(path, "an object", raw)
    exactly(raw, _ROW, path)
    number = recording_number(raw["recordingNumber"], f"{path}.recordingNumber")
    date = day(raw["recordingDate"], f"{path}.recordingDate")
    if number is None:
        return None
    check_year(number, date, f"{path}.recordingDate")
    suffix = "".join(texts(raw["recordingSuffix"], f"{path}.recordingSuffix", 1)) or None
    if suffix and not (len(suffix) == 1 and "A" <= suffix <= "Z"):
        raise SourceChanged(f"{path}.recordingSuffix", "a letter", suffix)
    names = texts(raw["names"], f"{path}.names", 300)
    codes = texts(raw["documentCode"], f"{path}.documentCode", 40)
    if not codes:
        raise SourceChanged(f"{path}.documentCode", "a code", raw["documentCode"])
    code, has_more = display_code(codes[0])
    return SearchRow(
        number + (suffix or ""), suffix, date, names[0] if names else "", code, has_more or len(codes) > 1,
        book(raw["docketBook"], f"{path}.docketBook"), book(raw["pageMap"], f"{path}.pageMap"),
    )  # fmt: skip


def check_answers(page: SearchPage, since: dt.date, until: dt.date, name: str | None, display: str | None) -> None:
    """Raise SourceChanged unless the rows are of the days, the name or the code that were asked for.

    `name` is the beginning of every matched name; `display` the display code of the query code, where it is known. A row with
    more codes may have matched by another of them.
    """
    for at, row in enumerate(page.rows):
        path = f"searchResults.{at}"
        if at == 0 and row.number == FIRST_OF_ALL and not (since <= _FIRST_DAY and name is None and page.pair == {display}):
            raise SourceChanged(path, "an answer to the filter; it was dropped", row.number)
        if row.date is not None and not since <= row.date <= until:
            raise SourceChanged(f"{path}.recordingDate", f"a day from {since} to {until}", str(row.date))
        if name is not None and not squeezed(row.name).startswith(name):
            raise SourceChanged(f"{path}.names", f"a name that begins with {name}", row.name)
        if name is None and display is not None and row.display_code != display and not row.has_more_codes:
            raise SourceChanged(f"{path}.documentCode", display, row.display_code)
    if name is None and len(page.pair) > _DISPLAYS_MOST:
        raise SourceChanged("searchResults", "documents of the code that was asked for", ", ".join(sorted(page.pair)))


def squeezed(name: str) -> str:
    """Return a name as it is compared: upper case, without blanks and punctuation.

    >>> squeezed("O'Hara  L L C")
    'OHARALLC'
    """
    return "".join(c for c in name.upper() if c.isalnum())
