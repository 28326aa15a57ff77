"""A grid of the treasurer's page: rows by column, each cell checked against its column's kind. HTML in,
values out.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from parsel import Selector

from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.parsing.page_layout import Layout
from maricopa_scrapy.parsing.values import YEARS, date_of
from maricopa_scrapy.sources.treasurer.bill_status import status_of
from maricopa_scrapy.sources.treasurer.parcel_numbers import classes_of, text_of

_MONEY = re.compile(r"\$(\d{1,3}(?:,\d{3})+|\d{1,9})\.(\d{2})", re.ASCII)
_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_OF_TOTAL = re.compile(r"(\d+)\s*(?:-|–|to)\s*(\d+)\s+of\s+(\d+)(?:\s+items?)?", re.IGNORECASE)
PAGERS = ".k-pager, .k-pager-wrap, .k-pager-info"
# A grid that has only the rows that are in sight.
VIRTUAL = "[class*='k-virtual'], .k-grid-virtual, .k-height-container, .k-placeholder-line"
_TEXT_MOST = 500


class Grid:
    """The grid of a tab, its columns found by their headings, or by their positions where it has none. Raises
    SourceChanged.
    """

    def __init__(self, root: Selector, tab: str, layout: Layout, new_fields: list[str]) -> None:
        self.tab = tab
        self._layout = layout
        self._columns = layout.columns[tab]
        grids = root.css(layout.grid)
        fitting = [grid for grid in grids if self._places(_headings(grid))]
        if len(fitting) != 1:
            shown = [", ".join(filter(None, _headings(grid))) or "a grid without headings" for grid in grids]
            wanted = [column for column in self._columns.values() if not column.optional]
            named = ", ".join(
                column.headings[0] if column.headings else f"td {column.position}" for column in wanted
            )
            ask = (
                f"which of the page's columns are the columns of page.columns.{tab}, by heading or by"
                " position?"
            )
            raise SourceChanged(f"{tab}.headings", named, " | ".join(shown), ask)
        self._grid = fitting[0]
        self._root = root
        self._headings = _headings(self._grid)
        self._at = self._places(self._headings) or {}
        known = set(self._at.values())
        new_fields += [
            f"{tab}: {heading}" for at, heading in enumerate(self._headings) if heading and at not in known
        ]

    def _places(self, headings: list[str]) -> dict[str, int] | None:
        """Return where each column stands; None when one is missing or there twice, or two stand at one
        place.
        """
        is_named = any(headings)
        places = {}
        for column, one in self._columns.items():
            wanted = {name.casefold() for name in one.headings}
            found = [at for at, heading in enumerate(headings) if heading and heading.casefold() in wanted]
            is_blank = not is_named or (
                one.position is not None and headings[one.position : one.position + 1] == [""]
            )
            if not found and one.position is not None and is_blank:
                found = [one.position]
            if len(found) == 1:
                places[column] = found[0]
            elif found or not one.optional:
                return None
        return places if len(set(places.values())) == len(places) else None

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, values by column; an empty list only when the grid says that there are none.
        Raises SourceChanged.
        """
        if self._grid.css(VIRTUAL) or "k-grid-virtual" in classes_of(self._grid):
            raise SourceChanged(f"{self.tab}.rows", "all rows, not only those in sight", "a virtual grid")
        lines = [row for row in self._grid.xpath(".//tbody/tr") if "k-detail-row" not in classes_of(row)]
        said = [
            text_of(row)
            for row in lines
            if "k-grid-norecords" in classes_of(row) or row.xpath("self::tr[count(td) = 1]")
        ]
        if said or not lines:
            none = {text.casefold() for text in self._layout.none.get(self.tab, ())}
            if len(lines) != 1 or said[0].casefold() not in none:
                ask = (
                    f"does this text say that there are no rows? Then it belongs in page.none.{self.tab}"
                    if said
                    else ""
                )
                raise SourceChanged(
                    f"{self.tab}.rows", "rows, or a word that there are none", said[0] if said else None, ask
                )
            self._check_pagers(0)
            return []
        self._check_pagers(len(lines))
        width = len(self._headings) if any(self._headings) else len(lines[0].xpath("./td"))
        return [self._row(line, number, width) for number, line in enumerate(lines, start=1)]

    def _row(self, line: Selector, number: int, width: int) -> dict[str, Any]:
        cells = line.xpath("./td")
        if len(cells) != width or max(self._at.values()) >= width:
            raise SourceChanged(
                f"{self.tab}.row {number}",
                f"{max(width, *(at + 1 for at in self._at.values()))} cells",
                len(cells),
            )
        row: dict[str, Any] = dict.fromkeys(self._columns)
        for column, at in self._at.items():
            kind, path = self._columns[column].kind, f"{self.tab}.{column}"
            text = text_of(cells[at])
            if kind == "status":
                row[column] = (status_of(text, path, self._layout), text)
            else:
                row[column] = _KINDS[kind](text, path)
        return row

    def _check_pagers(self, count: int) -> None:
        """Whatever has a pager must say that it shows all: its own, and one that stands next to the grid."""
        others = {
            pager.root
            for grid in self._root.css(self._layout.grid)
            if grid.root is not self._grid.root
            for pager in grid.css(PAGERS)
        }
        check_pagers(
            f"{self.tab}.pager",
            (pager for pager in self._root.css(PAGERS) if pager.root not in others),
            count,
        )


def check_pagers(path: str, pagers: Iterable[Selector], count: int) -> None:
    """Return when each pager says that all of its rows are shown, and that they are so many. Raises
    SourceChanged.
    """
    for pager in pagers:
        told = [text_of(info) for info in pager.css(".k-pager-info")]
        match = _OF_TOTAL.fullmatch(told[0]) if len(told) == 1 else None
        if match is None or tuple(map(int, match.groups())) != (min(count, 1), count, count):
            raise SourceChanged(
                path, f"{min(count, 1)} - {count} of {count} items", ", ".join(told) or text_of(pager)
            )


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
    return [text_of(heading) for heading in grid.xpath("(.//thead)[1]/tr[1]/th")]
