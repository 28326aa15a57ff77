"""The treasurer's page of a parcel: who is billed, every year's bill, the payments. HTML of each tab in, records out.

No real page was ever captured: headings are matched by their whole text, every cell is checked against its column's kind, and what
cannot be told for certain is an error, never a value (docs/sources.md).
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from parsel import Selector

from maricopa_scrapy.identifiers import IdentifierError, parse_bill_number
from maricopa_scrapy.items import Record
from maricopa_scrapy.items_treasurer import TaxAccount, TaxBill, TaxPayment
from maricopa_scrapy.pages import treasurer_tabs
from maricopa_scrapy.pages.answers import check_whole
from maricopa_scrapy.pages.errors import Malformed, Soft404, SourceChanged, WrongParcel
from maricopa_scrapy.pages.treasurer_calendar import instalments
from maricopa_scrapy.pages.treasurer_layout import Layout
from maricopa_scrapy.pages.values import YEARS, date_of

# APNs as they stand in text, with a bill's check digit or without; without dashes only where a heading names the parcel.
_DASHED = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{3}[A-Za-z]?(?:-\d)?(?![\w-])")
_NUMBER = re.compile(r"(?<![\w-])\d{3}-?\d{2}-?\d{3}[A-Za-z]?(?:-\d)?(?![\w-])")
_MONEY = re.compile(r"\$(\d{1,3}(?:,\d{3})+|\d{1,9})\.(\d{2})", re.ASCII)
_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_OF_TOTAL = re.compile(r"(\d+)\s*(?:-|–|to)\s*(\d+)\s+of\s+(\d+)(?:\s+items?)?", re.IGNORECASE)
_PAGERS = ".k-pager, .k-pager-wrap, .k-pager-info"
# A grid that has only the rows that are in sight.
_VIRTUAL = "[class*='k-virtual'], .k-grid-virtual, .k-height-container, .k-placeholder-line"
# What can be due beside the tax: 16 % a year, 5 % for advertising, and fees of a sale.
_YEARLY, _ADVERTISING, _FEES = Decimal("0.16"), Decimal("0.05"), Decimal(100)
_TEXT_MOST = 500


@dataclass(slots=True)
class Page:
    """What a page says: its records, and headings that nobody knows yet. `exists` is False when it says that there is no such parcel."""

    records: list[Record] = field(default_factory=list)
    new_fields: list[str] = field(default_factory=list)
    exists: bool = True


def parse_page(body: bytes, apn: str, layout: Layout) -> Page:
    """Read the kept tabs of a parcel: a TaxAccount, its TaxBills and, where that tab was opened, TaxPayments. Raises PageError."""
    tabs = treasurer_tabs.unpack(body)
    if tabs.kind == "shell":
        raise Soft404("page", "a parcel, or the search's view", _text(Selector(text=next(iter(tabs.html.values())), type="html")))
    page = Page(exists=tabs.kind == "parcel")
    if not page.exists:
        for html in tabs.html.values():
            check_absent(html, apn, layout)
        return page
    if "summary" not in tabs.html:
        raise Malformed("body", "the tab summary", list(tabs.html))
    for name, html in tabs.html.items():
        found = parse_tab(name, html, apn, layout)
        page.records += found.records
        page.new_fields += found.new_fields
    return page


def parse_tab(name: str, html: str, apn: str, layout: Layout) -> Page:
    """Read one tab. Raises PageError."""
    if name not in layout.columns:
        raise Malformed("body", f"one of the tabs {', '.join(layout.columns)}", name)
    check_whole(name, html)
    root = Selector(text=html, type="html")
    account = _account(root, layout)
    _check_identity(account, apn)
    page = Page([_owner(account, apn, layout)] if name == "summary" else [])
    rows = _Grid(root, name, layout, page.new_fields).rows()
    page.records += _bills(rows, apn) if name == "summary" else _payments(rows, apn)
    return page


def check_absent(html: str, apn: str, layout: Layout) -> None:
    """Return when the page says that there is no such parcel, in words that are known. Raises PageError."""
    check_whole("absent", html)
    found = Selector(text=html, type="html").css(layout.absent)
    if len(found) != 1:
        raise SourceChanged("absent", f"one {layout.absent}", len(found))
    text = _text(found[0])
    if text.casefold() not in {known.casefold() for known in layout.absent_texts}:
        raise SourceChanged("absent", f"one of the absent_texts: {', '.join(layout.absent_texts) or 'none is known'}", text)
    if any(_is_apn(number, apn) for number in _NUMBER.findall(text)):
        raise SourceChanged("absent", f"no parcel {apn} among those found", apn)


def _account(root: Selector, layout: Layout) -> Selector:
    for grid in root.css(layout.grid):
        beside = grid.xpath('ancestor::*[contains(concat(" ", normalize-space(@class), " "), " container-fluid ")][1]/..')
        found = beside.css(layout.account)
        if found:
            return found[0]
    raise SourceChanged("account", f"a {layout.account} beside a {layout.grid}", None)


def _check_identity(account: Selector, apn: str) -> None:
    text = _text(account)
    headings = " ".join(_text(heading) for heading in account.css("h3"))
    numbers = _DASHED.findall(text) or _NUMBER.findall(headings)
    if not numbers:
        raise SourceChanged("account", f"parcel {apn} named", text)
    for number in numbers:
        if not _is_apn(number, apn):
            raise WrongParcel("account", f"parcel {apn}", number)


def _is_apn(number: str, apn: str) -> bool:
    try:
        return parse_bill_number(number) == apn
    except IdentifierError:
        return False


def _owner(account: Selector, apn: str, layout: Layout) -> TaxAccount:
    blocks = {_text(heading): heading for heading in account.css("h3")[1:]}
    found: dict[str, str | None] = {}
    for column, words in layout.blocks.items():
        named = [heading for text, heading in blocks.items() if any(word.casefold() in text.casefold() for word in words)]
        if len(named) != 1:
            raise SourceChanged(f"account.{column}", f"one heading with {' or '.join(words)}", list(blocks))
        block = named[0].xpath("following-sibling::*[1][not(self::h3)]")
        if not block:
            raise SourceChanged(f"account.{column}", f"a text below {_text(named[0])}", None)
        lines = [" ".join(line.split()) for line in block.xpath(".//text()").getall()]
        found[column] = "\n".join(line for line in lines if line) or None
    return TaxAccount(apn=apn, **found)


class _Grid:
    """The grid of a tab, its columns found by their headings."""

    def __init__(self, root: Selector, tab: str, layout: Layout, new_fields: list[str]) -> None:
        self.tab = tab
        self._layout = layout
        self._columns = layout.columns[tab]
        fitting = [grid for grid in root.css(layout.grid) if self._places(_headings(grid))]
        if len(fitting) != 1:
            shown = [", ".join(filter(None, _headings(grid))) for grid in root.css(layout.grid)]
            wanted = ", ".join(column.headings[0] for column in self._columns.values() if not column.optional)
            raise SourceChanged(f"{tab}.headings", wanted, " | ".join(shown))
        self._grid = fitting[0]
        self._root = root
        self._headings = _headings(self._grid)
        self._at = self._places(self._headings) or {}
        known = set(self._at.values())
        new_fields += [f"{tab}: {heading}" for at, heading in enumerate(self._headings) if heading and at not in known]

    def _places(self, headings: list[str]) -> dict[str, int] | None:
        """Return where each column stands; None when one is missing or there twice."""
        places = {}
        for column, one in self._columns.items():
            wanted = {name.casefold() for name in one.headings}
            found = [at for at, heading in enumerate(headings) if heading.casefold() in wanted]
            if len(found) == 1:
                places[column] = found[0]
            elif found or not one.optional:
                return None
        return places

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, values by column; an empty list only when the grid says that there are none. Raises SourceChanged."""
        if self._grid.css(_VIRTUAL) or "k-grid-virtual" in _classes(self._grid):
            raise SourceChanged(f"{self.tab}.rows", "all rows, not only those in sight", "a virtual grid")
        lines = [row for row in self._grid.xpath(".//tbody/tr") if "k-detail-row" not in _classes(row)]
        said = [_text(row) for row in lines if "k-grid-norecords" in _classes(row) or row.xpath("self::tr[count(td) = 1]")]
        if said or not lines:
            none = {text.casefold() for text in self._layout.none.get(self.tab, ())}
            if len(lines) != 1 or said[0].casefold() not in none:
                raise SourceChanged(f"{self.tab}.rows", "rows, or a word that there are none", said[0] if said else None)
            self._check_pager(0)
            return []
        self._check_pager(len(lines))
        return [self._row(line, number) for number, line in enumerate(lines, start=1)]

    def _row(self, line: Selector, number: int) -> dict[str, Any]:
        cells = line.xpath("./td")
        if len(cells) != len(self._headings):
            raise SourceChanged(f"{self.tab}.row {number}", f"{len(self._headings)} cells", len(cells))
        row: dict[str, Any] = dict.fromkeys(self._columns)
        for column, at in self._at.items():
            kind, path = self._columns[column].kind, f"{self.tab}.{column}"
            text = _text(cells[at])
            row[column] = (self._status(text, path), text) if kind == "status" else _KINDS[kind](text, path)
        return row

    def _status(self, text: str, path: str) -> str:
        for known, ours in self._layout.statuses.items():
            if text.casefold() == known.casefold():
                return ours
        raise SourceChanged(path, f"one of {', '.join(self._layout.statuses)}", text)

    def _check_pager(self, count: int) -> None:
        """Whatever has a pager must say that it shows all: its own, and one that stands beside the grid."""
        others = {
            pager.root for grid in self._root.css(self._layout.grid) if grid.root is not self._grid.root for pager in grid.css(_PAGERS)
        }
        for pager in self._root.css(_PAGERS):
            if pager.root in others:
                continue
            told = [_text(info) for info in pager.css(".k-pager-info")]
            match = _OF_TOTAL.fullmatch(told[0]) if len(told) == 1 else None
            if match is None or tuple(map(int, match.groups())) != (min(count, 1), count, count):
                raise SourceChanged(f"{self.tab}.pager", f"{min(count, 1)} - {count} of {count} items", ", ".join(told) or _text(pager))


def _bills(rows: list[dict[str, Any]], apn: str) -> list[Record]:
    _check_years(rows)
    newest = max((row["tax_year"] for row in rows), default=0)
    bills: list[Record] = []
    for row in rows:
        row["status"], row["status_text"] = row["status"]
        _check_sums(row, newest)
        first, second = instalments(row["tax_year"], row["assessed"])
        bills.append(TaxBill(apn=apn, **row, first_half_until=first, second_half_until=second))
    _check_interest(rows, newest)
    return bills


def _check_years(rows: list[dict[str, Any]]) -> None:
    twice = [year for year, count in Counter(row["tax_year"] for row in rows).items() if count > 1]
    if twice:
        raise SourceChanged("summary.tax_year", "a row a year", twice[0])


def _check_sums(row: dict[str, Any], newest: int) -> None:
    """A bill that contradicts itself has its values in the wrong columns, or is not what we take it for."""
    status, assessed, paid, due = row["status"], row["assessed"], row["paid"], row["amount_due"]
    if row["interest"] is not None and assessed + row["interest"] - paid != due:
        raise SourceChanged("summary.amount_due", f"assessed + interest - paid = {assessed + row['interest'] - paid}", str(due))
    if status == "paid" and (due or paid < assessed):
        raise SourceChanged("summary.status", "nothing due where it is paid", f"paid {paid} of {assessed}, due {due}")
    if status != "paid" and not due and assessed:
        raise SourceChanged("summary.status", "something due where it is not paid", f"paid {paid} of {assessed}, due {due}")
    # Until the autumn after the next bill.
    most = assessed * (_YEARLY * (newest - row["tax_year"] + 2) + _ADVERTISING) + _FEES
    more = due + paid - assessed
    if not 0 <= more <= most:
        raise SourceChanged("summary.amount_due", f"interest and fees from 0 to {most:.2f} beside the tax", str(more))


def _check_interest(rows: list[dict[str, Any]], newest: int) -> None:
    """What is owed of earlier years bears interest. Where nothing was ever paid, columns in reverse add up, with the interest as paid."""
    owed = [row for row in rows if row["status"] != "paid" and row["tax_year"] < newest and row["interest"] is not None]
    if owed and all(row["paid"] and not row["interest"] for row in owed):
        raise SourceChanged("summary.interest", "interest on what is owed of earlier years", f"none, of {len(owed)} bills paid in part")


def _payments(rows: list[dict[str, Any]], apn: str) -> list[Record]:
    seen: Counter[tuple[Any, ...]] = Counter()
    payments: list[Record] = []
    for row in rows:
        same = tuple(row.values())
        seen[same] += 1
        payments.append(TaxPayment(apn=apn, **row, ordinal=seen[same]))
    return payments


def _year(text: str, path: str) -> int:
    if re.fullmatch(r"\d{4}", text, re.ASCII) and YEARS[0] <= int(text) <= YEARS[1]:
        return int(text)
    raise SourceChanged(path, "a year", text)


def _money(text: str, path: str) -> Decimal:
    match = _MONEY.fullmatch(text)
    if match is None:
        raise SourceChanged(path, "money such as $1,234.56", text)
    return Decimal(f"{match[1].replace(',', '')}.{match[2]}")


def _signed_money(text: str, path: str) -> Decimal:
    if text.startswith("-"):
        return -_money(text[1:], path)
    if text.startswith("(") and text.endswith(")"):
        return -_money(text[1:-1], path)
    return _money(text, path)


def _words(text: str, path: str) -> str:
    if not text or len(text) > _TEXT_MOST:
        raise SourceChanged(path, f"text of at most {_TEXT_MOST} characters", text)
    return text


def _date(text: str, path: str) -> dt.date:
    return date_of(_DATE.fullmatch(text), path, "a date MM/DD/YYYY", text)


_KINDS: dict[str, Callable[[str, str], Any]] = {
    "year": _year,
    "money": _money,
    "signed_money": _signed_money,
    "text": _words,
    "date": _date,
}


def _headings(grid: Selector) -> list[str]:
    return [_text(heading) for heading in grid.xpath("(.//thead)[1]/tr[1]/th")]


def _text(element: Selector) -> str:
    return " ".join(" ".join(element.xpath(".//text()").getall()).split())


def _classes(element: Selector) -> list[str]:
    return (element.attrib.get("class") or "").split()
