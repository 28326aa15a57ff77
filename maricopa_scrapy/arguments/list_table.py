"""A list of parcels as a table: every row with all its cells, and the parcel of the row or why it has
none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from maricopa_scrapy.arguments.list_layout import Layout
from maricopa_scrapy.arguments.list_lines import Record
from maricopa_scrapy.arguments.list_rows import Mistakes, Rows
from maricopa_scrapy.arguments.lists import ApnList


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a list as it came. `apn`: the first parcel of it; `reason`: why there is none."""

    cells: list[str]
    apn: str | None
    reason: str | None


class ApnTable(ApnList):
    """Reads a file row by row, as ApnList does, and keeps what that leaves out.

    `heading`: the cells of the heading, known once the first row is asked for; names where there is none.
    """

    def __init__(self, name: str, value: str, column: str | None = None) -> None:
        super().__init__(name, value, skip_invalid=True, column=column)
        self.heading: list[str] = []

    def rows(self) -> Iterator[TableRow]:
        """Yield the rows in their order. Raises ArgumentError for a file that cannot be read."""
        found: Iterator[Any] = iter(self)
        return found

    def _values(self, supply: Iterable[Record], laid: Layout, place: str) -> Iterator[Any]:
        # A parcel of another column is no mistake here: nothing of the row is lost.
        laid = replace(laid, is_strict=False, twin=None, priority=None)
        self.heading = [cell.strip() for cell in laid.heading] if laid.heading else []
        above = laid.above
        for number, cells in supply:
            if above:
                above -= any(cells)
                continue
            mistakes = Mistakes(self.kind, str(self.path), place, skip=True)
            values = Rows(self.kind, laid, mistakes, {}).read(number, cells)
            self.given += 1
            reason = mistakes.skipped[0].partition(", ")[2] if mistakes.skipped else None
            if len(values) > 1:
                reason = (
                    f"{place}{number}: {len(values)} parcels in it, {', '.join(values)}; the first counts"
                )
            yield TableRow(cells, values[0] if values else None, reason if values or reason else "no parcel")
