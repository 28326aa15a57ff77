"""Lines of the bulk files under mutation."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from maricopa_scrapy.parsing.identifiers import parse_apn
from maricopa_scrapy.sandbox.bulk.affidavits import HEADER, lines
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.bulk.affidavits import SALES_AFFIDAVITS
from maricopa_scrapy.sources.bulk.file_check import decoded
from maricopa_scrapy.sources.bulk.file_layout import FileShape, layout_of
from maricopa_scrapy.sources.bulk.file_lines import FILES, Lines, Repeats, parse_lines, rough_keys
from tests.fuzz.reading import Subject, storable
from tests.helpers.bulk import residential_line, secured_line


def _split(body: bytes) -> list[str]:
    """As the loader does."""
    return decoded(body.split(b"\n"))


def _parse(shape: FileShape) -> Callable[[bytes, str], Lines]:
    def parse(body: bytes, key: str) -> Lines:
        text = _split(body)
        layout = layout_of(shape, "|".join(shape.header))
        keys = rough_keys([line.encode() for line in text], shape, layout)
        return parse_lines(
            text, shape, "file", 1, layout, Repeats(shape, {hash(one) for one in keys if keys.count(one) > 1})
        )

    return parse


def _check(shape: FileShape) -> Callable[[bytes, str, Lines], None]:
    def check(body: bytes, key: str, read: Lines) -> None:
        text = _split(body)
        assert sorted([*read.numbers, *(one.number for one in read.rejects)]) == list(range(1, len(text) + 1))
        assert all(one.reason for one in read.rejects)
        storable([one.line for one in read.rejects])
        rows = [row for page in read.pages for row in zip(*page.columns, strict=True)]
        assert len(rows) == len(read.numbers)
        for number, row in zip(read.numbers, rows, strict=True):
            cells = text[number - 1].split("|")
            assert len(cells) == len(shape.kinds)
            for cell, kind, stored in zip(cells, shape.kinds, row, strict=False):
                storable(stored)
                assert _same(kind, cell.strip(), stored), f"{kind}: {stored!r} of {cell!r}"

    return check


def _same(kind: str, cell: str, stored: Any) -> bool:
    if kind == "apn":
        return bool(parse_apn(cell) == stored)
    if kind == "recording_number":
        return bool(stored.endswith(cell)) and len(stored.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) == 11
    if kind == "month":
        return bool(stored == (f"{cell[2:]}-{cell[:2]}" if cell else None))
    if isinstance(stored, dt.date):
        return re.sub(r"\D", "", cell) in (f"{stored:%m%d%Y}", f"{stored:%Y%m%d}")
    if isinstance(stored, int):
        return re.fullmatch(r"[0-9]+(\.0*)?", cell) is not None and int(cell.split(".")[0]) == stored
    return cell == (stored.strip() if stored else "") or (
        stored is None and kind == "year" and not cell.strip("0")
    )


def subjects() -> list[Subject]:
    sales = [line for line in lines(County(), 30) if line != HEADER]
    seeds = {
        "secured": (FILES["secured_master"], [secured_line(number) for number in range(8)]),
        "residential": (FILES["residential_master"], [residential_line(number) for number in range(8)]),
        "affidavits": (SALES_AFFIDAVITS, sales[:8]),
    }
    return [
        Subject(
            f"bulk {name}",
            "lines",
            [("\n".join(some).encode(), ""), (some[0].encode(), "")],
            _parse(shape),
            _check(shape),
        )
        for name, (shape, some) in seeds.items()
    ]
