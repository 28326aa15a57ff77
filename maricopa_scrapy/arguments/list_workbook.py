"""The sheets of an Excel workbook, row by row, as text that can be read as a list."""

import datetime as dt
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from maricopa_scrapy.arguments.list_file import UnreadableList

_FORMULA = re.compile(rb"<f[ >/]")
_ROW = re.compile(rb"<(?:\w+:)?row\s[^>]*?\br=\"(\d+)\"")
_CHUNK = 1 << 20


@dataclass(slots=True)
class Sheet:
    """A sheet and its rows, numbered from 1 as the spreadsheet shows them."""

    name: str
    _values: Any
    _formulas: Any

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row's number and cells. A formula whose value is not stored stands there as its text."""
        with _damage():
            for sheet in (self._values, self._formulas):
                if sheet is not None:
                    # What some programs write of a sheet's size is wrong.
                    sheet.reset_dimensions()
            if self._formulas is None:
                for number, row in enumerate(self._values.iter_rows(values_only=True), start=1):
                    yield number, [_text(value) for value in row]
                return
            pairs = zip(self._values.iter_rows(), self._formulas.iter_rows(values_only=True), strict=True)
            for number, (cells, formulas) in enumerate(pairs, start=1):
                yield (
                    number,
                    [_computed(cell, formula) for cell, formula in zip(cells, formulas, strict=True)],
                )


@contextmanager
def sheets(file: IO[bytes]) -> Iterator[list[Sheet]]:
    """Return the sheets that a person sees, or, where all are hidden, all of them. Raises UnreadableList."""
    from openpyxl import load_workbook

    # What it tells of a workbook's looks is no matter of a list.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"openpyxl\.")
    with _damage():
        has_formulas = _has_formulas(file)
        values = load_workbook(file, read_only=True, data_only=True)
        formulas = load_workbook(file, read_only=True) if has_formulas else None
        shown = [sheet for sheet in values.worksheets if sheet.sheet_state == "visible"] or values.worksheets
        found = [
            Sheet(sheet.title, sheet, None if formulas is None else formulas[sheet.title]) for sheet in shown
        ]
    try:
        yield found
    finally:
        values.close()
        if formulas is not None:
            formulas.close()


def grid(sheet: Sheet, most: int) -> list[tuple[int, list[str]]]:
    """Return the first rows of a sheet that are not empty, and no more than so many."""
    return list(islice((row for row in sheet.rows() if any(row[1])), most))


@contextmanager
def _damage() -> Iterator[None]:
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        yield
    except UnreadableList:
        raise
    except (
        InvalidFileException,
        zipfile.BadZipFile,
        ParseError,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
    ) as error:
        raise UnreadableList(
            f"the workbook is damaged, or is none of Excel's ({error}); save it anew, or as CSV UTF-8"
        ) from error


def _has_formulas(file: IO[bytes]) -> bool:
    """Tell whether a sheet has formulas. Raises UnreadableList where rows are not in order: openpyxl passes
    over one that comes late.
    """
    found = False
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/"):
                with archive.open(name) as sheet:
                    before, last = b"", 0
                    while chunk := sheet.read(_CHUNK):
                        whole, mark, rest = (before + chunk).rpartition(b"<")
                        found = found or bool(_FORMULA.search(whole))
                        for row in map(int, _ROW.findall(whole)):
                            if row <= last:
                                raise UnreadableList(
                                    f"the workbook is damaged: its row {row} comes after row {last}; save it"
                                    " anew in Excel"
                                )
                            last = row
                        before = mark + rest
    return found


def _computed(cell: Any, formula: Any) -> str:
    # A formula whose value is an empty text is stored as a text without one.
    if cell.value is None and formula is not None and cell.data_type != "s":
        return formula if isinstance(formula, str) else "=..."
    return _text(cell.value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return str(value.date())
    return str(value)


def names(found: list[Sheet]) -> str:
    """Return the names of sheets, as a message tells them."""
    return ", ".join(chain((repr(sheet.name) for sheet in found[:5]), ["..."] if len(found) > 5 else []))
