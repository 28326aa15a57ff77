"""The sandbox's affidavits as the tests change them."""

from collections.abc import Callable
from pathlib import Path

from maricopa_scrapy.sandbox.bulk.affidavits import HEADER, lines, write_zip
from maricopa_scrapy.sandbox.county.county import County

AT = {name: position for position, name in enumerate(HEADER.split("|"))}


def changed(line: str, **cells: str) -> str:
    """Return a line with other values, by the names of the header."""
    parts = line.split("|")
    for name, value in cells.items():
        parts[AT[name]] = value
    return "|".join(parts)


def cell(line: str, name: str) -> str:
    return line.split("|")[AT[name]]


def zipped(
    path: Path, count: int, dirty: int = 0, edit: Callable[[list[str]], object] = lambda text: None
) -> list[str]:
    """Write a zip of the sandbox's lines after `edit`; returns the lines, the header first."""
    text = list(lines(County(), count, dirty))
    edit(text)
    write_zip(path, text)
    return text
