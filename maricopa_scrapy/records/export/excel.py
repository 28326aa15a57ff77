"""One Excel workbook with a sheet a table, by XlsxWriter, which keeps a row in memory at a time."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException
from xlsxwriter.worksheet import Worksheet

from maricopa_scrapy.records.export.selection import RISKY, Selection, Table
from maricopa_scrapy.records.export.writers import ExportError, number

NAME = "maricopa.xlsx"
# What Excel allows: rows of a sheet, the header among them, and characters of a cell.
ROWS = 1_048_576
_CHARACTERS = 32_767
# Its calendar begins here, and has a day too many before March.
_FIRST_DAY = dt.date(1900, 3, 1)


class ExcelWriter:
    """Texts are texts, never formulas; those that look like one also bear Excel's own mark for that
    (quotePrefix).

    A table that is longer than a sheet goes on in further ones. Moments are texts: Excel knows no zones.
    """

    def __init__(self, folder: Path) -> None:
        # Its temporary files belong into the folder that is removed when the export fails.
        self._book = xlsxwriter.Workbook(
            folder / NAME, {"constant_memory": True, "tmpdir": str(folder), "use_zip64": True}
        )
        self._head = self._book.add_format({"bold": True})
        self._date = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._quoted = self._book.add_format({"quote_prefix": True})

    def write(self, selection: Selection, table: Table) -> int:
        """Write a table; returns the number of its rows. Raises OSError and ExportError."""
        sheet = self._sheet(table, 1)
        count = 0
        for chunk in selection.rows(table):
            for row in chunk:
                if count and count % (ROWS - 1) == 0:
                    sheet = self._sheet(table, count // (ROWS - 1) + 1)
                for at, value in enumerate(row):
                    if value is not None:
                        self._cell(sheet, table, count % (ROWS - 1) + 1, at, value)
                count += 1
        return count

    def _sheet(self, table: Table, part: int) -> Worksheet:
        sheet = self._book.add_worksheet(table.name if part == 1 else f"{table.name} {part}")
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, ROWS - 1, len(table.columns) - 1)
        for at, column in enumerate(table.columns):
            sheet.set_column(at, at, min(max(len(column.name), 12), 40))
            sheet.write_string(0, at, column.name, self._head)
        return sheet

    def _cell(self, sheet: Worksheet, table: Table, row: int, at: int, value: Any) -> None:
        if isinstance(value, bool):
            sheet.write_boolean(row, at, value)
        elif isinstance(value, int | float | Decimal) and not isinstance(exact := number(value), str):
            sheet.write_number(row, at, _Exact(exact) if isinstance(exact, float) else exact)
        elif isinstance(value, dt.date) and not isinstance(value, dt.datetime) and value >= _FIRST_DAY:
            sheet.write_datetime(row, at, value, self._date)
        else:
            text = _text(value)
            if len(text) > _CHARACTERS:
                where = f"{table.name}, row {row}: {table.columns[at].name}"
                raise ExportError(
                    f"{where} has {len(text):,} characters, Excel holds {_CHARACTERS:,}; take another"
                    " --format"
                )
            sheet.write_string(row, at, text, self._quoted if text[:1] in RISKY and text else None)

    def close(self) -> None:
        """Put the workbook together. Raises OSError."""
        try:
            self._book.close()
        except XlsxWriterException as error:
            raise OSError(0, str(error.args[0] if error.args else error)) from error


class _Exact(float):
    """A number that is written with all its digits: XlsxWriter writes 16, and some need 17."""

    def __format__(self, form: str) -> str:
        return repr(float(self))


def _text(value: Any) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    return orjson.dumps(value).decode() if isinstance(value, list) else str(value)
