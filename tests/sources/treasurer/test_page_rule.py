"""The rule of sections on the treasurer's page: account, bills and payments are one, so a heading or a cell
that is not as known costs all.

Each heading absent or renamed, each cell of another kind or empty, each part of the account gone, one at a
time: refused by name, or the column NULL where the manifest says that it may be missing, with every other
value as before. There is no other outcome.
"""

import copy

import pytest

from maricopa_scrapy.items import Record
from maricopa_scrapy.parsing.errors import PageError, SourceChanged, WrongParcel
from maricopa_scrapy.sources.treasurer.page import Page
from tests.sources.treasurer.test_page import BLOCKS, HISTORY, OWED, PAID, SUMMARY, grid, page, read

PAYMENT = ["+", "2024", "Tax Payment", "$617.28", "10/01/2024"]
KINDS = ("", "odd", "-3", "99/99/9999", "$1", "2O24", "{}")
Rows = dict[str, list[list[str]]]
WHOLE: Rows = {"summary": [SUMMARY, OWED, PAID], "payments": [HISTORY, PAYMENT]}


def outcome(rows: Rows, blocks: str = BLOCKS) -> Page | PageError:
    summary, payments = (page(grid(rows[tab][0], rows[tab][1:]), blocks) for tab in ("summary", "payments"))
    try:
        return read(summary, payments)
    except PageError as error:
        return error


def records(found: Page | PageError) -> list[Record]:
    assert isinstance(found, Page), found
    return found.records


BEFORE = records(outcome(WHOLE))


def changed(tab: str, row: int, at: int, text: str) -> Rows:
    rows = copy.deepcopy(WHOLE)
    rows[tab][row][at] = text
    return rows


@pytest.mark.parametrize(
    ("tab", "at"), [(tab, at) for tab, rows in WHOLE.items() for at in range(1, len(rows[0]))]
)
@pytest.mark.parametrize("how", ["absent", "renamed"])
def test_a_heading_that_is_gone_or_renamed(tab: str, at: int, how: str) -> None:
    heading = WHOLE[tab][0][at]
    rows = changed(tab, 0, at, f"{heading} Renamed") if how == "renamed" else copy.deepcopy(WHOLE)
    if how == "absent":
        rows[tab] = [row[:at] + row[at + 1 :] for row in rows[tab]]
    found = outcome(rows)
    if heading == "Interest/Fees":
        # It may be missing: NULL, and nothing else is otherwise.
        assert [
            (
                record.model_copy(update={"interest": None})
                if "interest" in type(record).model_fields
                else record
            )
            for record in BEFORE
        ] == (records(found))
        assert isinstance(found, Page)
        assert found.new_fields == ([f"summary: {heading} Renamed"] if how == "renamed" else [])
        return
    assert isinstance(found, SourceChanged)
    assert found.path == f"{tab}.headings"
    assert found.ask


@pytest.mark.parametrize(
    ("tab", "at"), [(tab, at) for tab, rows in WHOLE.items() for at in range(1, len(rows[0]))]
)
@pytest.mark.parametrize("text", KINDS)
def test_a_cell_of_another_kind(tab: str, at: int, text: str) -> None:
    found = outcome(changed(tab, 1, at, text))
    if WHOLE[tab][0][at] == "Description" and text:
        # Any text is a description: it is stored as it is said, and nothing else differs.
        assert [record for record in records(found) if record not in BEFORE] == [
            record.model_copy(update={"description": text})
            for record in BEFORE
            if record.table == "treasurer.payment"
        ]
        return
    assert isinstance(found, SourceChanged)
    assert found.path.startswith(f"{tab}.")


@pytest.mark.parametrize(
    "without", ["123-45-678-9", "<h3>Owner</h3>", "<h3>Property Situs</h3>", "<p>A TRUST<br>1 N MAIN ST</p>"]
)
def test_a_part_of_the_account_that_is_gone(without: str) -> None:
    assert without in BLOCKS
    found = outcome(WHOLE, BLOCKS.replace(without, ""))
    assert isinstance(found, SourceChanged)
    assert found.path.startswith("account")


def test_another_s_page_is_refused() -> None:
    assert isinstance(outcome(WHOLE, BLOCKS.replace("123-45-678-9", "123-45-679-9")), WrongParcel)
