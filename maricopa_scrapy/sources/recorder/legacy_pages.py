"""The recorder's legacy pages: a list by code and days, one document, and the page that stands for a
restricted one.
"""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from parsel import Selector

from maricopa_scrapy.items import Issue
from maricopa_scrapy.parsing.bodies import check_whole
from maricopa_scrapy.parsing.errors import ABSENT, Malformed, SourceChanged, WrongDocument
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_recording_number
from maricopa_scrapy.parsing.notes import Notes, record_of
from maricopa_scrapy.parsing.values import Coercion, count
from maricopa_scrapy.sources.recorder.document import (
    QUERY_CODE,
    book,
    day,
    display_code,
    recording_number,
    year_issues,
)
from maricopa_scrapy.sources.recorder.records import LegacyDocument

# Say whose page it is; of a list, the number does.
IDENTITY = ("lblRecNum", "hidsuf")
# Sections: of a document each column by itself, for all are in one table; of a list each row, and where it
# goes on.
SECTIONS = (
    "recorded_at", "page_amount", "affidavit_page_amount", "docket_book", "page_map", "query_code",
    "display_codes", "names", "image_path",
    "row", "cursor",
)  # fmt: skip
_ID = "ctl00_ContentPlaceHolder1_"
_NUMBER, _DATE, _CODE = "RECORDING NUMBER", "RECORDING DATE", "DOCUMENT CODE"
_NOTHING = "No results exist for this search"
_NO_SUCH_DAY = "is not a valid date"
_BLOCKED = "Information Blocked"
_WHOSE = "the recorder's legacy page"
# Fields that nothing is read from: what another field says as well, words for the reader, the reader's
# basket.
_ELSEWHERE = {
    "hidcls",
    "hidpages",
    "hidrec",
    "hidbasketid",
    "hidcustid",
    "hidShopId",
    "lblViewUnofficial",
    "lnkReportError2",
}


@dataclass(frozen=True, slots=True)
class LegacyRow:
    """A document as a list shows it; each part may be missing. `is_read`: none of them is odd."""

    number: str | None
    date: dt.date | None
    display_code: str | None
    is_read: bool = True


@dataclass(slots=True)
class LegacyList:
    """Rows, oldest first; `cursor` is the number that the next list begins with, None where the page does not
    say it.
    """

    rows: list[LegacyRow] = field(default_factory=list)
    cursor: str | None = None
    notes: Notes = field(default_factory=Notes)

    @property
    def issues(self) -> list[Issue]:
        """What a person must know of the list."""
        years = [one for row in self.rows if row.number for one in year_issues(row.number, row.date)]
        return self.notes.issues(_WHOSE) + years


@dataclass(slots=True)
class LegacyPage:
    """What the page of one document says."""

    document: LegacyDocument
    notes: Notes

    @property
    def issues(self) -> list[Issue]:
        """What a person must know of the page."""
        at = self.document.recorded_at
        return self.notes.issues(_WHOSE) + year_issues(
            self.document.recording_number, at.date() if at else None
        )


def is_blocked(body: bytes) -> bool:
    """Whether the page says that the recorder withholds the document."""
    return _BLOCKED in (_page(body).xpath("//title/text()").get() or "")


def parse_legacy_list(body: bytes) -> LegacyList:
    """Read a list by code and days; its columns are found by their headings.

    Raises Malformed; SourceChanged without a list or without its numbers, and for an end date that has not
    come yet in Arizona.
    """
    page = _page(body)
    table = page.xpath(f"//table[@id='{_ID}Grid1']")
    if not table:
        words = " ".join(page.xpath("//body//text()").getall())
        if _NO_SUCH_DAY in words:
            raise SourceChanged("endDate", "a day that the page takes", _NO_SUCH_DAY)
        if _NOTHING in words:
            return LegacyList()
        raise SourceChanged("Grid1", "a list, or that there is none", words[:80])
    rows = table.xpath(".//tr")
    found = LegacyList()
    headings = [_text(cell).upper() for cell in rows[:1].xpath("./th|./td")]
    for heading in headings:
        if headings.count(heading) > 1:
            raise SourceChanged("Grid1", f"one column {heading}", ", ".join(headings))
        if heading not in (_NUMBER, _DATE, _CODE):
            found.notes.is_new(f"Grid1.{heading}")
    if _NUMBER not in headings:
        raise SourceChanged(f"Grid1.{_NUMBER}", "this heading", ", ".join(headings))
    for heading in (_DATE, _CODE):
        if heading not in headings:
            found.notes.is_absent(f"Grid1.{heading}")
    found.rows = [_row(row, headings, found.notes) for row in rows[1:]]
    if found.rows and not any(row.number for row in found.rows):
        raise found.notes.unread["row"]
    with found.notes.section("cursor"):
        found.cursor = _cursor(_value(page, "hiddenrec"), found.notes)
    return found


def parse_legacy_document(body: bytes, number: str) -> LegacyPage:
    """Read the page of one document, indexed or not.

    Raises Malformed, WrongDocument; SourceChanged without a number, and when no part of it can be read.
    """
    page = _page(body)
    said = page.xpath(f"//*[@id='{_ID}lblRecNum']")
    if not said:
        raise SourceChanged(
            "lblRecNum", "a document", _text(page.xpath("//title")) if page.xpath("//title") else ABSENT
        )
    found = recording_number(_text(said), "lblRecNum")
    suffix = _value(page, "hidsuf")
    letter = suffix if isinstance(suffix, str) else ""
    if letter and not (len(letter) == 1 and "A" <= letter <= "Z"):
        raise SourceChanged("hidsuf", "a letter", letter)
    # The letter is next to the number, or in it too.
    whole = None if found is None else found.removesuffix(letter) + letter
    if whole != number:
        raise WrongDocument("lblRecNum", number, whole)
    notes = Notes()
    if suffix is ABSENT:
        notes.is_absent("hidsuf")
    columns: dict[str, Any] = {"suffix": suffix if suffix is ABSENT else letter or None}
    for column, (name, coerce) in _HIDDEN.items():
        columns[column] = _column(notes, column, name, _value(page, name), coerce)
    columns["recorded_at"] = _column(
        notes, "recorded_at", "lblRecDate", _element(page, "lblRecDate"), _moment
    )
    columns |= _pages(page, columns["page_amount"], notes)
    # The page of a document whose names are not indexed has a list of codes to choose from, and no names.
    options, shown = page.xpath(f"//select[@id='{_ID}lbRecDocCode']"), _element(page, "lblRecDocCode")
    names = _element(page, "lblRecDocName")
    columns["names"] = (
        ABSENT if options and names is ABSENT else _column(notes, "names", "lblRecDocName", names, _names)
    )
    codes = [] if shown is ABSENT else _lines(shown)
    codes = codes or [text for option in options.xpath("./option") if (text := _text(option))]
    is_there = bool(options) or shown is not ABSENT
    columns["display_codes"] = _column(
        notes, "display_codes", "lblRecDocCode", codes if is_there else ABSENT, _codes
    )
    for name in page.xpath(f"//@id[starts-with(., '{_ID}')]").getall():
        shown_as = name.removeprefix(_ID)
        if shown_as[:3] in ("lbl", "hid", "lnk") and shown_as not in _KNOWN:
            notes.is_new(shown_as)
    notes.raise_if_all_unread()
    return LegacyPage(record_of(LegacyDocument, columns, recording_number=number), notes)


def _pages(page: Selector, said: object, notes: Notes) -> dict[str, Any]:
    """Return the link to the scan, and the number of pages: what the link shows may not contradict it."""
    link = page.xpath(f"//a[@id='{_ID}lnkPages']")
    if not link:
        notes.is_absent("lnkPages")
        return {"image_path": ABSENT}
    found: dict[str, Any] = {
        "image_path": _column(
            notes, "image_path", "lnkPages", link.xpath("@href").get(), lambda value, _: value
        )
    }
    if isinstance(said, int):

        def agreed(value: object, path: str) -> int:
            if count(value, path) != said:
                raise SourceChanged(path, f"{said} pages, as hidpgs says", value)
            return said

        found["page_amount"] = _column(notes, "page_amount", "lnkPages", _text(link), agreed)
    return found


def _column(notes: Notes, column: str, name: str, value: object, coerce: Coercion) -> Any:
    """Return a column's value; ABSENT where its field is not there, or is odd, which leaves the column
    unread.
    """
    if value is ABSENT:
        notes.is_absent(name)
        return ABSENT
    found: list[Any] = []
    with notes.section(column):
        found.append(coerce(value, name))
    return found[0] if found else ABSENT


def _page(body: bytes) -> Selector:
    try:
        text = body.decode("utf-8").replace("\0", "")
    except UnicodeDecodeError as error:
        raise Malformed("body", f"UTF-8 ({error.reason})", body) from None
    if "<" not in text:
        raise Malformed("body", "an HTML page", body)
    check_whole("body", text)
    return Selector(text=text, type="html")


def _row(row: Selector, headings: list[str], notes: Notes) -> LegacyRow:
    """Read a row; what is odd in it is noted, and missing."""
    cells = [_text(cell) for cell in row.xpath("./td")]
    found: dict[str, Any] = {"number": None, "date": None, "display_code": None}
    is_read = True
    for name, heading, coerce in _CELLS:
        try:
            if heading in headings:
                # Of a row with more or fewer cells only the number can be told: nothing else looks like it.
                at = headings.index(heading)
                found[name] = coerce(cells[at] if at < len(cells) else "", f"Grid1.{heading}")
            if len(cells) != len(headings):
                raise SourceChanged("Grid1", f"{len(headings)} cells", cells)
        except SourceChanged as error:
            notes.unread["row"], is_read = error, False
            if len(cells) != len(headings):
                break
    return LegacyRow(**found, is_read=is_read)


def _number(value: object, path: str) -> str:
    try:
        return parse_recording_number(str(value))
    except IdentifierError:
        raise SourceChanged(path, "a recording number", value) from None


def _code(value: object, path: str) -> str | None:
    return display_code(str(value), path)[0] if value else None


def _cursor(value: object, notes: Notes) -> str | None:
    if value is ABSENT:
        notes.is_absent("hiddenrec")
        return None
    return _number(value, "hiddenrec") if value else None


def _element(page: Selector, name: str) -> Any:
    return page.xpath(f"//*[@id='{_ID}{name}']") or ABSENT


def _value(page: Selector, name: str) -> Any:
    """Return what a hidden field holds, "" for nothing; ABSENT where there is no such field."""
    field_ = page.xpath(f"//input[@id='{_ID}{name}']")
    return (field_.xpath("@value").get() or "").strip() if field_ else ABSENT


def _text(found: Any) -> str:
    return " ".join("".join(found.xpath(".//text()").getall()).split())


def _lines(found: Any) -> list[str]:
    lines = [" ".join(line.split()) for line in found.xpath(".//text()").getall()]
    return [line for line in lines if line]


def _names(found: Any, _: str) -> list[str] | None:
    return _lines(found) or None


def _codes(found: Any, path: str) -> list[str] | None:
    return [display_code(code, path)[0] for code in found] or None


def _query_code(value: object, path: str) -> str | None:
    code = str(value).upper()
    if code and not QUERY_CODE.fullmatch(code):
        raise SourceChanged(path, "a code of two letters", value)
    return code or None


def _moment(found: Any, path: str) -> dt.datetime | None:
    text = _text(found)
    if not text:
        return None
    try:
        # Arizona's time of day, as the page writes it.
        return dt.datetime.strptime(text, "%m/%d/%Y %I:%M:%S %p")  # noqa: DTZ007
    except ValueError:
        raise SourceChanged(path, "a moment M/D/YYYY H:MM:SS AM", text) from None


# After the functions that read them. The number first.
_CELLS = (("number", _NUMBER, _number), ("date", _DATE, day), ("display_code", _CODE, _code))
_HIDDEN: dict[str, tuple[str, Coercion]] = {
    "page_amount": ("hidpgs", count), "affidavit_page_amount": ("hidnaf", count), "docket_book": ("hidbk",
    book),
    "page_map": ("hidmap", book), "query_code": ("hidcde", _query_code),
}  # fmt: skip
_KNOWN = {name for name, _ in _HIDDEN.values()} | _ELSEWHERE
_KNOWN |= {*IDENTITY, "lblRecDate", "lblRecDocName", "lblRecDocCode", "lnkPages"}
