"""CSV, of whatever is taken away: a table by Postgres itself, or rows as they come. A spreadsheet runs no
cell of either.
"""

import csv
import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import orjson

from maricopa_scrapy.records.export.selection import RISKY, Selection, Table

# A text that is a number and nothing else runs nothing.
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


class CsvWriter:
    """UTF-8, a header, texts in quotes, NULL as nothing between the commas; texts that a spreadsheet would
    run are defused.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, selection: Selection, table: Table) -> int:
        """Write a table; returns the number of its rows. Raises OSError."""
        with (self._folder / f"{table.name}.csv").open("wb") as file:
            return selection.copy(table, file, defused=True)

    def close(self) -> None:
        """All is written."""


class Rows:
    """Writes rows below a header to a file, each as it comes. Numbers stay numbers, None is nothing."""

    def __init__(self, file: IO[str], columns: Sequence[str]) -> None:
        self._writer = csv.writer(file)
        self._writer.writerow(columns)

    def write(self, row: Sequence[Any]) -> None:
        """Write one row, of values as `cell` returns them. Raises OSError."""
        self._writer.writerow([defused(value) for value in row])


def cell(value: Any) -> Any:
    """Return a value as CSV has it: lists and objects as JSON, moments by ISO 8601."""
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return value.isoformat() if isinstance(value, dt.datetime) else value


def defused(value: Any) -> Any:
    """Return a value with an apostrophe before a text that a spreadsheet would run."""
    is_risky = isinstance(value, str) and value[:1] in RISKY and value and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_risky else value
