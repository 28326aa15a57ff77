"""What the writers of all formats have in common, and how they write a number."""

from decimal import Decimal
from pathlib import Path
from typing import Protocol

from maricopa_scrapy.records.export.selection import Selection, Table


class ExportError(RuntimeError):
    """What was asked for cannot be exported; the message is one line with the remedy."""


class Writer(Protocol):
    """Writes the tables of one export into a folder; `close` when all are written."""

    def __init__(self, folder: Path) -> None: ...

    def write(self, selection: Selection, table: Table) -> int:
        """Write a table; returns the number of its rows. Raises OSError and ExportError."""
        ...

    def close(self) -> None: ...


def number(value: int | float | Decimal) -> int | float | str:
    """Return a number of 64 bits that says exactly the same, whole where it can be, or its text where there
    is none.

    >>> number(Decimal("1234.50")), number(Decimal("12")), number(Decimal("12345678901234567.89"))
    (1234.5, 12, '12345678901234567.89')
    """
    if -(2**53) < value < 2**53 and value == int(value):
        return int(value)
    near = float(value)
    return near if isinstance(value, float) or Decimal(repr(near)) == value else str(value)
