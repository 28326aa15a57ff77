"""The assessor's public page of a parcel, /mcs/?q={apn}&mod=pd: what the server itself writes into it, as one record.

No captured page exists. That labels stand in `td-header` and values in the next element, the hidden field APN_RAW and the
writing of areas and prices are those of a client of 2026-10; the rest is read strictly (docs/sources.md, "Public page").
Cells that a script fills (Valuations_*, ResidentialPropertyData_*) are empty here and never read.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from parsel import Selector

from maricopa_scrapy.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.items_page import PageParcel
from maricopa_scrapy.pages.answers import check_whole
from maricopa_scrapy.pages.errors import Malformed, NotFound, SourceChanged, WrongParcel
from maricopa_scrapy.pages.links import leads_elsewhere, parcels_in
from maricopa_scrapy.pages.values import INT8, clean, date_of
from maricopa_scrapy.pages.values import code as json_code

_SCRIPT = re.compile(rb"(<script\b[^>]*>).*?(?=</script|\Z)", re.IGNORECASE | re.DOTALL)
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_APN = re.compile(r"(?<![0-9A-Za-z])\d{3}-\d{2}-\d{3}[A-Za-z]?(?![0-9A-Za-z])", re.ASCII)
_NOT_LABEL = re.compile(r"[^0-9a-z/# ]")
_NUMBER = r"([0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})"
_MONEY = re.compile(rf"\$? ?{_NUMBER}(?:\.00)?")
_AREA = re.compile(rf"{_NUMBER} ?(?:sq\.? ?ft\.?|square feet)", re.IGNORECASE)
_DATE = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
_HEADERS = "//*[self::th or self::dt or contains(concat(' ', normalize-space(@class), ' '), ' td-header ')]"
_BY_SCRIPT = ("Valuations_", "ResidentialPropertyData_")
_SHOWN_TEXT = "//body//text()[not(ancestor::script or ancestor::style or ancestor::noscript)]"
_TEXT_MOST = 4000


@dataclass(frozen=True, slots=True)
class Layout:
    """What the page shows: labels by column, columns that may be missing, labels passed over, words for "no such parcel"."""

    columns: Mapping[str, tuple[str, ...]]
    optional: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.columns.keys() != READERS.keys() or not READERS.keys() >= set(self.optional):
            raise ValueError(f"labels.columns has {', '.join(READERS)}, and labels.optional some of them")


@dataclass(slots=True)
class Page:
    """What one page says; `record` is None when it says that there is no such parcel. `moved` is a link to the treasurer that
    leads elsewhere than expected."""

    record: PageParcel | None
    new_labels: list[str] = field(default_factory=list)
    moved: str | None = None


def without_scripts(body: bytes) -> bytes:
    """Return the page without what its scripts hold, and without UUIDs: the site's own token is among them, and not ours to keep."""
    return _UUID.sub(b"", _SCRIPT.sub(rb"\1", body))


def parse_page(body: bytes, apn: str, layout: Layout, treasurer: str | None = None) -> Page:
    """Read the page of the parcel that was asked for; `treasurer` is where its link to the treasurer should lead.

    Raises PageError: Malformed, WrongParcel, SourceChanged, NotFound for a page whose values are all empty.
    """
    try:
        html = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("body", f"UTF-8 ({error.reason})", body) from None
    check_whole("body", html)
    page = Selector(text=clean(html), type="html")
    cells, new_labels = _cells(page, layout)
    if not cells and _says_absent(page, apn, layout):
        return Page(None)
    links = [link for link in page.xpath("//a/@href").getall() if "treasurer" in link.lower() and parcels_in(link)]
    _check_identity(page, links, apn)
    columns = {column: _column(column, cells, layout) for column in READERS}
    if not any(value is not None for value in columns.values()):
        raise NotFound("page", "a value under any label", "")
    moved = next((link for link in links if treasurer and leads_elsewhere(link, treasurer, apn)), None)
    return Page(PageParcel(apn=apn, **columns), new_labels, moved)


def _cells(page: Selector, layout: Layout) -> tuple[dict[str, set[str]], list[str]]:
    """Return the values by label, and the labels that nobody knows."""
    wanted = {_label(label) for labels in layout.columns.values() for label in labels}
    known = wanted | {_label(label) for label in layout.ignored}
    cells: dict[str, set[str]] = {}
    unknown: dict[str, None] = {}
    for header in page.xpath(_HEADERS):
        label = _label(_text(header))
        value = header.xpath("following-sibling::*[1]")
        # A heading of a table's column has another beside it, or nothing.
        if not label or not value or value.xpath(_HEADERS.replace("//*", "self::*", 1)):
            continue
        if (value[0].xpath("string(@id)").get() or value[0].xpath("string(@name)").get() or "").startswith(_BY_SCRIPT):
            continue
        if label in wanted:
            cells.setdefault(label, set()).add(_text(value[0]))
        elif label not in known:
            unknown[label[:80]] = None
    return cells, list(unknown)


def _column(column: str, cells: dict[str, set[str]], layout: Layout) -> Any:
    labels = layout.columns[column]
    values = set().union(*(cells.get(_label(label), set()) for label in labels))
    if not values and column in layout.optional:
        return None
    if len(values) != 1:
        raise SourceChanged(labels[0], "this label, with one value beside it", sorted(values) if values else "a page without it")
    (value,) = values
    return None if value.lower() in ("", "n/a") else READERS[column](value, labels[0])


def _says_absent(page: Selector, apn: str, layout: Layout) -> bool:
    shown = " ".join(" ".join(page.xpath(_SHOWN_TEXT).getall()).split()).lower()
    digits = re.sub(r"(?<=[0-9a-z])-(?=[0-9a-z])", "", shown)
    return apn.lower() in re.findall(r"[0-9a-z]+", digits) and any(words.lower() in shown for words in layout.absent)


def _check_identity(page: Selector, links: list[str], apn: str) -> None:
    named = [("APN_RAW", value.strip()) for value in page.xpath("//*[@id='APN_RAW']/@value").getall() if value.strip()]
    named += [("heading", found) for text in page.xpath("//title|//h1").xpath("string()").getall() for found in _APN.findall(text)]
    named += [("link to the treasurer", number) for link in links for number in parcels_in(link)]
    if not named:
        raise Malformed("page", f"a page that names parcel {apn}", "one that names none")
    for path, number in named:
        try:
            same = parse_apn(number) == apn
        except IdentifierError:
            same = False
        if not same:
            raise WrongParcel(path, f"parcel {apn}", number)


def _label(text: str) -> str:
    return " ".join(_NOT_LABEL.sub(" ", text.lower()).split())


def _text(element: Selector) -> str:
    return " ".join(" ".join(element.xpath(".//text()[not(ancestor::style)]").getall()).split())


def _words(value: str, label: str) -> str:
    if len(value) > _TEXT_MOST:
        raise SourceChanged(label, f"text of at most {_TEXT_MOST} characters", value)
    return value


def _code(value: str, label: str) -> str | None:
    return json_code(value, label)


def _money(value: str, label: str) -> int:
    return _amount(_MONEY.fullmatch(value), label, "whole dollars", value)


def _area(value: str, label: str) -> int:
    return _amount(_AREA.fullmatch(value), label, "square feet", value)


def _amount(found: re.Match[str] | None, label: str, expected: str, value: str) -> int:
    if found is None:
        raise SourceChanged(label, expected, value)
    amount = int(found[1].replace(",", ""))
    if amount > INT8:
        raise SourceChanged(label, expected, value)
    return amount


def _date(value: str, label: str) -> dt.date:
    return date_of(_DATE.fullmatch(value), label, "a date MM/DD/YYYY", value)


READERS: dict[str, Callable[[str, str], Any]] = {
    "ownership": _words,
    "in_care_of": _words,
    "mailing_address": _words,
    "deed_number": _code,
    "deed_date": _date,
    "sale_date": _date,
    "sale_price": _money,
    "property_description": _words,
    "lot_size_sqft": _area,
    "mcr": _code,
}
