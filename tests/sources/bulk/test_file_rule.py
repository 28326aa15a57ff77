"""The rule of all parsers, for the bulk files: each column absent, of another form or renamed, one at a time.

The column by which a row is known is refused by name. Of everything else the other columns are stored as
before, the one touched is unread or NULL, and a person is told. Files are invented, and the captured ones
where MARICOPA_CAPTURES names their folder.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.items import ISSUES_MOST, Issue
from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.sandbox.bulk.affidavits import lines
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.bulk.affidavits import SALES_AFFIDAVITS
from maricopa_scrapy.sources.bulk.file_check import decoded
from maricopa_scrapy.sources.bulk.file_layout import (
    FileShape,
    column_issues,
    layout_of,
    too_many,
    unread_columns,
)
from maricopa_scrapy.sources.bulk.file_lines import FILES, misfits, parse_lines
from tests.helpers.bulk import RESIDENTIAL_HEADER, residential_line, secured_line

_CAPTURES = os.environ.get("MARICOPA_CAPTURES")
SECURED, RESIDENTIAL = FILES["secured_master"], FILES["residential_master"]
_STRANGE = "?~?"
_NEW = "NobodyKnowsIt"


@dataclass
class Read:
    columns: dict[str, list[Any]]
    absent: set[str]
    unread: list[str]
    issues: list[Issue]


def _read(shape: FileShape, text: list[str]) -> Read:
    """As a load does, without its file."""
    layout = layout_of(shape, text[0])
    body = text[1:] if layout.is_headed else text
    strange = misfits(body, shape, layout)
    layout = replace(layout, unread=unread_columns(shape, layout, strange, len(body)))
    read = parse_lines(body, shape, "file", 1, layout)
    assert read.rejects == []
    fields = tuple(shape.record.model_fields)
    columns = {
        name: [value or None for value in column]
        for name, column in zip(fields, read.pages[0].columns, strict=True)
    }
    issues = column_issues(shape, layout, strange, len(body))
    return Read(
        columns,
        set(read.pages[0].absent),
        [shape.section(number) for number in sorted(layout.unread)],
        issues,
    )


def _captured(name: str) -> list[str]:
    assert _CAPTURES is not None
    return [line for line in (Path(_CAPTURES) / "bulk" / name).read_text().splitlines() if line]


def _secured(header: str = "") -> list[str]:
    return [*([header] if header else []), *(secured_line(number) for number in range(1, 40))]


def _files(is_headed: bool) -> Iterator[Any]:
    if is_headed:
        yield pytest.param(SECURED, _secured("|".join(SECURED.header)), id="secured")
        yield pytest.param(
            RESIDENTIAL, [RESIDENTIAL_HEADER, *map(residential_line, range(1, 40))], id="residential"
        )
        yield pytest.param(SALES_AFFIDAVITS, list(lines(County(), 40)), id="affidavits")
        if _CAPTURES:
            yield pytest.param(
                SALES_AFFIDAVITS, _captured("sales_affidavits_head.txt"), id="affidavits captured"
            )
            yield pytest.param(
                RESIDENTIAL,
                [RESIDENTIAL_HEADER, *_captured("residential_master_row.txt")],
                id="residential captured",
            )
    else:
        yield pytest.param(SECURED, _secured(), id="secured")
        yield pytest.param(RESIDENTIAL, list(map(residential_line, range(1, 40))), id="residential")
        if _CAPTURES:
            yield pytest.param(SECURED, _captured("secured_master_sample.txt"), id="secured captured")
            yield pytest.param(
                RESIDENTIAL, _captured("residential_master_row.txt"), id="residential captured"
            )


def _edited(text: list[str], at: int, edit: str, is_headed: bool) -> list[str]:
    found = []
    for number, line in enumerate(text):
        cells, is_names = line.split("|"), is_headed and number == 0
        if edit == "absent":
            del cells[at]
        elif edit == "renamed" and is_names:
            cells[at] = _NEW
        elif edit == "retyped" and not is_names:
            cells[at] = _STRANGE
        found.append("|".join(cells))
    return found


def _told(read: Read) -> set[tuple[str, str]]:
    return {(issue.kind, issue.signature) for issue in read.issues}


@pytest.mark.parametrize("edit", ["absent", "retyped", "renamed"])
@pytest.mark.parametrize(("shape", "text"), list(_files(is_headed=True)))
def test_each_column_of_a_file_with_a_header(shape: FileShape, text: list[str], edit: str) -> None:
    before = _read(shape, text)
    assert (before.absent, before.unread) == (set(), [])
    for number, (column, kind) in enumerate(zip(shape.columns, shape.kinds, strict=True)):
        changed = _edited(text, number, edit, True)
        name = shape.header[number]
        if number in shape.key:
            with pytest.raises(SourceChanged, match=name):
                _read(shape, changed)
            continue
        read = _read(shape, changed)
        told = _told(read) - _told(before)
        if edit == "retyped" and kind == "text":
            assert read.columns == {**before.columns, column: [_STRANGE] * len(before.columns[column])}
        elif edit == "retyped":
            assert read.columns == {**before.columns, column: [None] * len(before.columns[column])}
            assert (read.absent, read.unread) == ({column}, [shape.section(number)])
            assert [kind for kind, _ in told] == ["unread_section"]
        elif name:
            assert read.columns == {**before.columns, column: [None] * len(before.columns[column])}
            assert (read.absent, read.unread) == ({column}, [])
            assert told == {
                ("absent_field", f"{shape.name}.{name}"),
                *([("new_field", _NEW)] if edit == "renamed" else []),
            }
        elif edit == "renamed":
            # Of a column without a known name only the position counts.
            assert read.columns == before.columns
            assert [kind for kind, _ in told] == ["new_field"]
        else:
            # Which of those around it is gone, nothing tells.
            group = {
                other for other, known in zip(shape.columns, shape.header, strict=True) if not known
            } & read.absent
            assert column in group
            assert read.columns == {
                **before.columns,
                **{one: [None] * len(before.columns[one]) for one in group},
            }
            named, whole = (
                {signature for kind, signature in told if kind == "absent_field"},
                {f"{shape.name}.{one}" for one in group},
            )
            assert named <= whole
            assert len(named) == min(len(whole), ISSUES_MOST)
            assert (("more_issues", "more") in told) == (len(whole) > ISSUES_MOST)


@pytest.mark.parametrize("edit", ["absent", "retyped"])
@pytest.mark.parametrize(("shape", "text"), list(_files(is_headed=False)))
def test_each_column_of_a_file_without_a_header(shape: FileShape, text: list[str], edit: str) -> None:
    before = _read(shape, text)
    assert (before.absent, before.unread, before.issues) == (set(), [], [])
    for number, (column, kind) in enumerate(zip(shape.columns, shape.kinds, strict=True)):
        changed = _edited(text, number, edit, False)
        if edit == "absent":
            # As a load says it before it looks at a value.
            width = len(shape.kinds)
            assert too_many(sum(line.count("|") != width - 1 for line in changed), len(changed), False)
        elif number in shape.key:
            with pytest.raises(SourceChanged, match=column):
                _read(shape, changed)
        else:
            read = _read(shape, changed)
            is_unread = kind != "text"
            assert read.columns == {
                **before.columns,
                column: [None if is_unread else _STRANGE] * len(changed),
            }
            assert (read.absent, read.unread) == (
                ({column}, [shape.section(number)]) if is_unread else (set(), [])
            )
            assert [issue.kind for issue in read.issues] == ["unread_section"] * is_unread


def test_columns_of_a_file_without_names_that_have_moved_are_not_read_as_others() -> None:
    for spoilt in (
        ("property_type", "property_zip", "tax_area_code"),
        ("mail_state", "property_use_code", "rental", "property_zip"),
    ):
        text = _secured()
        for column in spoilt:
            text = _edited(text, SECURED.columns.index(column), "retyped", False)
        with pytest.raises(SourceChanged, match=spoilt[0]):
            _read(SECURED, text)
    # All of one kind have another form: dates.
    text = _secured()
    for column in ("deed_date", "sale_date"):
        text = _edited(text, SECURED.columns.index(column), "retyped", False)
    assert _read(SECURED, text).unread == ["secured_master.deed_date", "secured_master.sale_date"]


def test_columns_of_a_residential_master_are_found_by_the_names_that_are_known() -> None:
    line = residential_line(7)
    plain = _read(RESIDENTIAL, [line])
    assert _read(RESIDENTIAL, [RESIDENTIAL_HEADER, line]).columns == plain.columns
    for order, doubtful in (
        ([*range(24), 24, 27, 26, 25, 29, 28, *range(30, 39)], set()),
        # Where the columns without names are, the others do not tell any more.
        ([*range(24), 37, 38, *range(31, 37), 30, *range(24, 30)], {*range(3, 24), 30}),
        (list(range(38, -1, -1)), {1, *range(3, 24), 30}),
    ):
        moved = ["|".join([text.split("|")[at] for at in order]) for text in (RESIDENTIAL_HEADER, line)]
        read = _read(RESIDENTIAL, moved)
        assert read.absent == {RESIDENTIAL.columns[at] for at in doubtful}
        assert read.columns == {**plain.columns, **{column: [None] for column in read.absent}}
    spaced = RESIDENTIAL_HEADER.replace("OwnerAddr1stLine", " owner_addr1stline ").replace(
        "ParcelNumber", "PARCEL NUMBER"
    )
    assert _read(RESIDENTIAL, [spaced, line]).columns == plain.columns
    with pytest.raises(SourceChanged, match="ParcelNumber"):
        layout_of(RESIDENTIAL, RESIDENTIAL_HEADER.replace("ParcelNumber", "Account"))


@pytest.mark.skipif(not _CAPTURES, reason="MARICOPA_CAPTURES is not set")
def test_the_captured_names_of_the_residential_master_are_those_that_are_known() -> None:
    text = [
        line.split("  ")[0]
        for line in _captured("residential_master_header_names.txt")
        if not line.startswith("#")
    ]
    names = [name.strip() for line in text for name in line.split("|")]
    assert len(names) == 16
    assert [name for name in RESIDENTIAL.header if name] == names


def test_lines_are_utf_8_or_else_latin_1() -> None:
    names = ["LÓPEZ & SÖHNE", "QUAIL’S RUN", "PLAIN"]
    body = [
        names[0].encode(),
        names[0].encode("latin-1"),
        names[1].encode("cp1252"),
        names[2].encode(),
        b"\x81 ODD\r",
    ]
    assert decoded(body) == [names[0], names[0], names[1], names[2], "\x81 ODD"]
    assert decoded([b"\xef\xbb\xbfA", b"B\xe9"]) == ["A", "Bé"]
    whole = [secured_line(number, owner="PEÑA").encode("latin-1") for number in range(9)]
    assert _read(SECURED, decoded(whole)).columns["owner_name"] == ["PEÑA"] * 9


def test_a_few_lines_that_do_not_fit_leave_the_column_read() -> None:
    text = _secured() * 10
    found = Counter({SECURED.columns.index("sale_price"): 7})
    layout = layout_of(SECURED, text[0])
    assert unread_columns(SECURED, layout, found, 390) == frozenset()
    assert unread_columns(SECURED, layout, Counter({33: 8}), 390) == frozenset((33,))
    headed = replace(layout, is_headed=True)
    assert unread_columns(SECURED, headed, Counter({33: 39}), 390) == frozenset()
    assert unread_columns(SECURED, headed, Counter({33: 40}), 390) == frozenset((33,))
