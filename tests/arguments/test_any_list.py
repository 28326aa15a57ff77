"""Lists drawn at random: whatever a program writes is read whole, and a line that is damaged is never passed
over.
"""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maricopa_scrapy.arguments import ApnList
from maricopa_scrapy.arguments.list_cells import APN
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from tests.helpers.written_lists import file, workbook

APNS = st.from_regex(r"[1-9][0-9]{2}[0-9]{2}[0-9]{3}[A-Z]?", fullmatch=True).filter(
    lambda apn: not apn.startswith(("19", "20"))
)
NOTATIONS = (
    lambda apn: apn,
    lambda apn: f"{apn[:3]}-{apn[3:5]}-{apn[5:]}",
    lambda apn: f" {apn[:3]} {apn[3:5]} {apn[5:8]} {apn[8:]}",
    lambda apn: f'="{apn}"',
    lambda apn: f"\u202a{apn[:3]}\u2013{apn[3:5]}\u2013{apn[5:]}\u202c",
    lambda apn: f"{apn[:3]}-{apn[3:5]}-{apn[5:]} 4".lower(),
)
# Cells of other columns: with all that quotes are for.
TEXTS = st.text(alphabet="abcXYZ ,;|'\"\t\n\u00e9.&-", max_size=12)
HEADINGS = st.sampled_from(["APN", "Assessor's Parcel Number", "Tax Parcel #", "parcel_id", "APN_DASH"])
DAMAGED = st.sampled_from(["12-34", "n/a", "1428837.0", "000-12-345", "2024-01-15", "142-88-37", "", "#N/A"])
_EACH = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def _written(rows: list[list[str]], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], int, list[str]]:
    """Rows below a heading, the column of the parcels, and the APNs."""
    apns = draw(st.lists(APNS, min_size=1, max_size=12))
    at, width = draw(st.integers(0, 2)), 3
    notation = draw(st.sampled_from(NOTATIONS))
    heading = ["Owner", "Note", "City"]
    heading[at] = draw(HEADINGS)
    rows = [[draw(TEXTS) for _ in range(width)] for _ in apns]
    for row, apn in zip(rows, apns, strict=True):
        row[at] = notation(apn)
        # A line that begins with # is a comment.
        row[0] = row[0] if at == 0 else f"x{row[0]}"
    return [heading, *rows], at, apns


@_EACH
@given(
    table=tables(),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_a_table_is_read_whole(
    tmp_path: Path, table: tuple[list[list[str]], int, list[str]], delimiter: str, encoding: str
) -> None:
    rows, _, apns = table
    assert list(ApnList("apns", file(tmp_path, _written(rows, delimiter).encode(encoding)))) == apns


@_EACH
@given(table=tables(), delimiter=st.sampled_from(",;\t|"), damaged=DAMAGED, data=st.data())
def test_a_damaged_row_is_named(
    tmp_path: Path,
    table: tuple[list[list[str]], int, list[str]],
    delimiter: str,
    damaged: str,
    data: st.DataObject,
) -> None:
    rows, at, apns = table
    row = data.draw(st.integers(1, len(apns)))
    rows[row][at] = damaged
    rows[row][(at + 1) % 3] += "x"
    path = file(tmp_path, _written(rows, delimiter))
    with pytest.raises(ArgumentError):
        list(ApnList("apns", path))
    if len(apns) > 1:
        left_out = ApnList("apns", path, skip_invalid=True)
        assert list(left_out) == apns[: row - 1] + apns[row:]
        assert left_out.left_out == 1


@_EACH
@given(
    lines=st.lists(st.lists(APNS, min_size=1, max_size=4), min_size=1, max_size=8),
    between=st.sampled_from([",", "; ", "\t", " ", " | "]),
)
def test_all_of_a_line_are_read(tmp_path: Path, lines: list[list[str]], between: str) -> None:
    text = "\n".join(between.join(f"{apn[:3]}-{apn[3:5]}-{apn[5:]}" for apn in line) for line in lines)
    apns = ApnList("apns", file(tmp_path, text))
    # Two columns that are the same in every line are one.
    expected = [apn for line in lines for apn in line]
    assert list(apns) == expected or (
        all(len(set(line)) == 1 for line in lines) and list(apns) == [line[0] for line in lines]
    )


@settings(_EACH, max_examples=15)
@given(table=tables())
def test_a_workbook_is_read_whole(tmp_path: Path, table: tuple[list[list[str]], int, list[str]]) -> None:
    rows, _, apns = table
    # A formula of a workbook is no text.
    rows = [[cell.removeprefix("=") for cell in row] for row in rows]
    assert list(ApnList("apns", file(tmp_path, workbook({"List": rows})))) == apns


@settings(_EACH, max_examples=400)
@given(cell=st.text(alphabet="0123456789- .,/#AE=\"'\u202a", max_size=16))
def test_a_cell_gives_its_own_digits_or_nothing(cell: str) -> None:
    if not APN.holds(cell):
        return
    digits = "".join(c for c in cell.split("#")[0] if c.isdigit())
    found = APN.values(cell)
    assert all(len(apn) in (8, 9) and apn[0] != "0" for apn in found)
    position = 0
    for apn in found:
        position = digits.index(apn[:8], position) + 8
