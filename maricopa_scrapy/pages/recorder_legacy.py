"""The recorder's legacy pages: a list by code and days, one document, and the page that stands for a restricted one."""

import datetime as dt
from dataclasses import dataclass, field

from parsel import Selector

from maricopa_scrapy.identifiers import IdentifierError, parse_recording_number
from maricopa_scrapy.items_recorder import LegacyDocument
from maricopa_scrapy.pages.answers import check_whole
from maricopa_scrapy.pages.errors import ABSENT, Malformed, SourceChanged, WrongDocument
from maricopa_scrapy.pages.recorder import book, check_year, day, display_code, recording_number
from maricopa_scrapy.pages.values import count

_ID = "ctl00_ContentPlaceHolder1_"
_HEADINGS = ["RECORDING NUMBER", "RECORDING DATE", "DOCUMENT CODE"]
_NOTHING = "No results exist for this search"
_NO_SUCH_DAY = "is not a valid date"
_BLOCKED = "Information Blocked"


@dataclass(frozen=True, slots=True)
class LegacyRow:
    """A document as a list shows it."""

    number: str
    date: dt.date
    display_code: str


@dataclass(slots=True)
class LegacyList:
    """Rows, oldest first; `cursor` is the number that the next list begins with."""

    rows: list[LegacyRow] = field(default_factory=list)
    cursor: str = ""


def is_blocked(body: bytes) -> bool:
    """Whether the page says that the recorder withholds the document."""
    return _BLOCKED in (_page(body).xpath("//title/text()").get() or "")


def parse_legacy_list(body: bytes) -> LegacyList:
    """Read a list by code and days. Raises SourceChanged, also for an end date that has not come yet in Arizona."""
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
    headings = [_text(cell).upper() for cell in rows[:1].xpath("./th|./td")]
    if headings != _HEADINGS:
        raise SourceChanged("Grid1", ", ".join(_HEADINGS), ", ".join(headings))
    return LegacyList([_row(row, f"Grid1.{at}") for at, row in enumerate(rows[1:])], _hidden(page, "hiddenrec") or "")


def parse_legacy_document(body: bytes, number: str) -> LegacyDocument:
    """Read the page of one document, indexed or not. Raises WrongDocument, SourceChanged or Malformed."""
    page = _page(body)
    said = page.xpath(f"//*[@id='{_ID}lblRecNum']")
    if not said:
        raise SourceChanged("lblRecNum", "a document", _text(page.xpath("//title")) if page.xpath("//title") else ABSENT)
    found = recording_number(_text(said), "lblRecNum")
    suffix = _hidden(page, "hidsuf")
    if suffix and not (len(suffix) == 1 and "A" <= suffix <= "Z"):
        raise SourceChanged("hidsuf", "a letter", suffix)
    # The letter is beside the number, or in it too.
    if found is None or found.removesuffix(suffix or "") + (suffix or "") != number:
        raise WrongDocument("lblRecNum", number, found)
    recorded_at = _moment(_text(page.xpath(f"//*[@id='{_ID}lblRecDate']")), "lblRecDate")
    check_year(found, recorded_at.date() if recorded_at else None, "lblRecDate")
    pages = count(_hidden(page, "hidpgs"), "hidpgs")
    link = page.xpath(f"//a[@id='{_ID}lnkPages']")
    if link and pages is not None and count(_text(link), "lnkPages") != pages:
        raise SourceChanged("lnkPages", f"{pages} pages, as hidpgs says", _text(link))
    code = (_hidden(page, "hidcde") or "").upper() or None
    return LegacyDocument(
        recording_number=number,
        suffix=suffix,
        recorded_at=recorded_at,
        page_amount=pages,
        affidavit_page_amount=count(_hidden(page, "hidnaf"), "hidnaf"),
        docket_book=book(_hidden(page, "hidbk") or "", "hidbk"),
        page_map=book(_hidden(page, "hidmap") or "", "hidmap"),
        query_code=code,
        display_codes=[display_code(one)[0] for one in _lines(page, "lblRecDocCode") or _options(page)] or None,
        names=_lines(page, "lblRecDocName") or None,
        image_path=link.xpath("@href").get() if link else None,
    )


def _page(body: bytes) -> Selector:
    try:
        text = body.decode("utf-8").replace("\0", "")
    except UnicodeDecodeError as error:
        raise Malformed("body", f"UTF-8 ({error.reason})", body) from None
    if "<" not in text:
        raise Malformed("body", "an HTML page", body)
    check_whole("body", text)
    return Selector(text=text, type="html")


def _row(row: Selector, path: str) -> LegacyRow:
    cells = [_text(cell) for cell in row.xpath("./td")]
    if len(cells) != len(_HEADINGS):
        raise SourceChanged(path, f"{len(_HEADINGS)} cells", cells)
    try:
        number = parse_recording_number(cells[0])
    except IdentifierError:
        raise SourceChanged(f"{path}.number", "a recording number", cells[0]) from None
    date = day(cells[1], f"{path}.date")
    if date is None:
        raise SourceChanged(f"{path}.date", "a day", cells[1])
    check_year(number, date, f"{path}.date")
    return LegacyRow(number, date, display_code(cells[2])[0])


def _text(found: Selector | list[Selector]) -> str:
    parts = found.xpath(".//text()").getall() if hasattr(found, "xpath") else []
    return " ".join("".join(parts).split())


def _lines(page: Selector, name: str) -> list[str]:
    lines = [" ".join(line.split()) for line in page.xpath(f"//*[@id='{_ID}{name}']//text()").getall()]
    return [line for line in lines if line]


def _options(page: Selector) -> list[str]:
    return [text for option in page.xpath(f"//select[@id='{_ID}lbRecDocCode']/option") if (text := _text(option))]


def _hidden(page: Selector, name: str) -> str | None:
    return (page.xpath(f"//input[@id='{_ID}{name}']/@value").get() or "").strip() or None


def _moment(text: str, path: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        # Arizona's time of day, as the page writes it.
        return dt.datetime.strptime(text, "%m/%d/%Y %I:%M:%S %p")  # noqa: DTZ007
    except ValueError:
        raise SourceChanged(path, "a moment M/D/YYYY H:MM:SS AM", text) from None
