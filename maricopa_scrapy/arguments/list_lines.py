"""The records of a list's text: one dialect for the whole file, quoted cells with line breaks, comments."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator

from maricopa_scrapy.arguments.list_cells import SHEET_ERROR, cleaned
from maricopa_scrapy.arguments.list_file import UnreadableList

DELIMITERS = (",", ";", "\t", "|")
# For a list of one column whose cells are quoted.
_NONE = "\x1f"

Record = tuple[int, list[str]]


def records(
    lines: Iterable[str], delimiter: str | None, holds: Callable[[str], bool] | None
) -> Iterator[Record]:
    """Yield the number of the line on which a record begins, and its cells; comments and blank lines are left
    out.

    `holds` tells whether a cell holds what the list is of: a quote that swallows such a line is a mistake.
    Without it, of a sample that may end anywhere, quotes are not looked at.
    Raises UnreadableList.
    """
    supply = enumerate(lines, start=1)
    for number, line in supply:
        if '"' in line:
            cells, last, is_open = _quoted(line, number, supply, delimiter or _NONE)
            if last > number and holds is not None:
                _check(cells, number, delimiter or _NONE, holds, is_open)
        else:
            cells = [line] if delimiter is None else line.split(delimiter)
        if "#" in line and is_comment(line) and not (len(cells) > 1 and _is_numbering(cells[0])):
            continue
        if line and not line.isspace():
            yield number, cells


def is_comment(line: str) -> bool:
    """Tell whether a line is a comment: it begins with #, and not with what a spreadsheet writes for an
    error.
    """
    text = line.lstrip("\ufeff \t")
    return text.startswith("#") and not SHEET_ERROR.match(text)


def is_decoration(cells: list[str]) -> bool:
    """Tell whether a record has neither letter nor digit: an empty one, or a rule between heading and
    rows.
    """
    return not any(c.isalnum() for cell in cells for c in cell)


def _is_numbering(cell: str) -> bool:
    # A column that numbers the rows has no other heading.
    return cleaned(cell) == "#"


def _quoted(
    line: str, number: int, supply: Iterator[tuple[int, str]], delimiter: str
) -> tuple[list[str], int, bool]:
    last, is_open = number, False

    def pulled() -> Iterator[str]:
        nonlocal last, is_open
        yield line + "\n"
        for last, following in supply:  # noqa: B007
            yield following + "\n"
        # More was asked for: the quote is not closed.
        is_open = True

    # A blank before a quote is no part of its cell; any other stays, for tables that are copied.
    is_apart = re.search(rf'{re.escape(delimiter)} +"', line) is not None
    try:
        cells = next(csv.reader(pulled(), delimiter=delimiter, skipinitialspace=is_apart))
    except csv.Error as error:
        raise UnreadableList(
            f"line {number}: a quote opens a cell that does not end ({error}); close the quote, or double it"
        ) from None
    return [cell.removesuffix("\n") for cell in cells], last, is_open


def _check(
    cells: list[str], number: int, delimiter: str, holds: Callable[[str], bool], is_open: bool
) -> None:
    for cell in cells:
        if "\n" not in cell or holds(cell):
            continue
        for at, line in enumerate(cell.split("\n")[1:], start=number + 1):
            swallowed = next((part for part in line.split(delimiter) if holds(part)), None)
            if swallowed is not None:
                what = (
                    f"a quote opens a cell that goes on to {swallowed.strip()!r} of a later line (about line"
                    f" {at})"
                )
                raise UnreadableList(f"line {number}: {what}; close the quote, or double it")
    if is_open and not holds(cells[-1]):
        raise UnreadableList(
            f"line {number}: a quote opens a cell that goes on to the end of the file; close the quote, or"
            " double it"
        )
