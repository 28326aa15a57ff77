"""The rule of all parsers, on every body of the recorder: each key absent, renamed or of another kind, one at
a time.

Identity is refused by name. Anything else costs what it stands in, and is told: the other sections, columns
or rows are as they were.
"""

import datetime as dt
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from maricopa_scrapy.items import Issue, Record
from maricopa_scrapy.parsing.errors import PageError, SourceChanged
from maricopa_scrapy.sandbox.recorder.documents import Documents
from maricopa_scrapy.sandbox.recorder.legacy_pages import legacy_document, legacy_list
from maricopa_scrapy.sources.recorder import document, legacy_pages, search
from tests.conftest import ROOT

CAPTURES = Path(os.environ["MARICOPA_CAPTURES"]) / "recorder" if os.environ.get("MARICOPA_CAPTURES") else None
_ID = "ctl00_ContentPlaceHolder1_"
_DAY = dt.date(2025, 4, 8)
_WORLD = Documents(1, dt.date(2025, 4, 15))
_FACTS = next(facts for facts in _WORLD.of_day(_DAY) if len(facts.codes) > 1 and not facts.restricted)

DETAIL: dict[str, Any] = {
    "names": ["AGAVE ALICE", "SAGUARO SAM"],
    "documentCodes": ["WAR DEED", "AF DISCLS"],
    "recordingDate": "2-27-2013",
    "recordingNumber": "20130000449",
    "pageAmount": 5,
    "docketBook": 554,
    "pageMap": 19,
    "affidavitPresent": True,
    "affidavitPageAmount": 1,
    "restricted": False,
}
ROW: dict[str, Any] = {
    "names": "AGAVE ALICE",
    "recordingNumber": 20010000449,
    "recordingSuffix": "A",
    "recordingDate": "2-27-2001",
    "documentCode": "WAR DEED+",
    "docketBook": "12",
    "pageMap": "7",
}
SEARCH: dict[str, Any] = {
    "searchResults": [
        ROW,
        ROW | {"recordingNumber": 20010000450, "recordingSuffix": ""},
        ROW | {"recordingNumber": 20010000451},
    ],
    "totalResults": 3,
}
CODES = [
    {"docType": "NS", "docLongName": "NOTICE OF TRUSTEES SALE"},
    {"docType": "LP", "docLongName": "LIS PENDENS"},
]

# Of each kind of value one; what a key takes is left out by hand.
KINDS: dict[str, Any] = {
    "fraction": 12.5,
    "big": 2**62,
    "text": "x?",
    "flag": True,
    "object": {"a": 1},
    "list": ["x", {"a": [7]}],
}
TAKEN = {
    "docketBook": ("text",),
    "pageMap": ("text",),
    "affidavitPresent": ("flag",),
    "restricted": ("flag",),
    "documentCode": ("text",),
    "docLongName": ("text",),
}
SECTION = {"names": "party", "documentCodes": "document_code"}


def _captured(pattern: str) -> list[Any]:
    return [orjson.loads(path.read_bytes()) for path in sorted(CAPTURES.glob(pattern))] if CAPTURES else []


def _kinds(key: str, is_list: bool) -> Iterator[Any]:
    taken = TAKEN.get(key, () if is_list else ("text",) if key == "names" else ())
    for name, value in KINDS.items():
        if name not in taken and not (key in ("docketBook", "pageMap") and name == "big"):
            yield value


def _changed(raw: dict[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "absent", {name: value for name, value in raw.items() if name != key}
    yield "renamed", {f"{name}New" if name == key else name: value for name, value in raw.items()}
    for value in _kinds(key, isinstance(raw[key], list)):
        yield "retyped", raw | {key: value}


def _told(issues: list[Issue], how: str, path: str) -> None:
    kinds = {(issue.kind, issue.signature) for issue in issues}
    if how == "retyped":
        (told,) = [issue for issue in issues if issue.kind == "unread_section"]
        assert path in told.signature
        return
    assert ("absent_field", path) in kinds
    assert (("new_field", f"{path}New") in kinds) == (how == "renamed")
    assert not [issue for issue in issues if issue.kind == "unread_section"]


def _rows(records: list[Record]) -> dict[str, list[Record]]:
    tables: dict[str, list[Record]] = {"document": [], "document_code": [], "party": []}
    for record in records:
        tables[record.table.removeprefix("recorder.")].append(record)
    return tables


_COLUMN = {
    "recordingDate": "recording_date",
    "pageAmount": "page_amount",
    "docketBook": "docket_book",
    "pageMap": "page_map",
    "affidavitPresent": "affidavit_present",
    "affidavitPageAmount": "affidavit_page_amount",
    "restricted": "restricted",
    "names": "name_count",
}


def _check_detail(raw: dict[str, Any], key: str, how: str, body: dict[str, Any]) -> None:
    number = raw["recordingNumber"]
    before = _rows(document.parse_document(orjson.dumps(raw), number).records)
    page = document.parse_document(orjson.dumps(body), number)
    after, section = _rows(page.records), SECTION.get(key, "document")
    _told(page.issues, how, key)
    assert set(page.notes.unread) == ({section} if how == "retyped" else set())
    complete = {kind.table.removeprefix("recorder.") for kind, _ in page.complete}
    assert complete == {"document_code", "party"} - {section}
    for name in before.keys() - {section, "document"}:
        assert after[name] == before[name], (key, how, name)
    if section != "document" or how == "retyped":
        assert after[section] == []
    if section == "document" and how == "retyped":
        return
    (one,), (other,) = before["document"], after["document"]
    column = _COLUMN.get(key)
    assert other.absent == ({column} if column else set())
    assert other == one.model_copy(update={column: None} if column else {}), (key, how)


@pytest.mark.parametrize("raw", [DETAIL, *_captured("detail_*.json")], ids=lambda raw: raw["recordingNumber"])
def test_each_key_of_a_detail(raw: dict[str, Any]) -> None:
    for key in raw:
        for how, body in _changed(raw, key):
            if key != "recordingNumber":
                _check_detail(raw, key, how, body)
                continue
            with pytest.raises(PageError, match="recordingNumber"):
                document.parse_document(orjson.dumps(body), raw["recordingNumber"])


_FIELD = {
    "recordingDate": "date",
    "names": "name",
    "documentCode": "code",
    "docketBook": "docket_book",
    "pageMap": "page_map",
}


def _check_row(raw: dict[str, Any], at: int, key: str, how: str, body: dict[str, Any]) -> None:
    before = search.parse_search(orjson.dumps(raw))
    changed = {
        **raw,
        "searchResults": [body if i == at else row for i, row in enumerate(raw["searchResults"])],
    }
    is_junk = not raw["searchResults"][at]["recordingNumber"]
    path = f"searchResults[].{key}"
    is_lost = key == "recordingNumber" or (key == "recordingSuffix" and how == "retyped" and not is_junk)
    if is_junk and not is_lost:
        assert search.parse_search(orjson.dumps(changed)).rows == before.rows
        return
    if is_lost and len(before.rows) - (not is_junk) == 0:
        with pytest.raises(SourceChanged, match=re.escape(path)):
            search.parse_search(orjson.dumps(changed))
        return
    page = search.parse_search(orjson.dumps(changed))
    assert (page.count, page.total, page.unread) == (
        before.count,
        before.total,
        int(how == "retyped" or is_lost),
    )
    spot = at - sum(not row["recordingNumber"] for row in raw["searchResults"][:at])
    if is_lost:
        assert (page.lost, page.junk) == (1, before.junk - is_junk)
        assert page.rows == before.rows[:spot] + before.rows[spot + (not is_junk) :]
        assert [issue.kind for issue in page.issues] == ["unread_section"]
        assert path in page.issues[0].signature
        return
    _told(page.issues, how, path)
    assert page.rows[:spot] + page.rows[spot + 1 :] == before.rows[:spot] + before.rows[spot + 1 :]
    one, other = before.rows[spot], page.rows[spot]
    if key == "recordingSuffix":
        assert (other.number, other.suffix) == (one.number[:11], None)
        return
    for name in ("number", "suffix", *_FIELD.values()):
        assert getattr(other, name) == (None if name == _FIELD[key] else getattr(one, name)), (key, how, name)
    assert other.is_read == (how != "retyped")


SEARCHES = [raw for raw in [SEARCH, *_captured("search_*.json")] if raw["searchResults"]]


@pytest.mark.parametrize("raw", SEARCHES, ids=range(len(SEARCHES)))
def test_each_key_of_a_search(raw: dict[str, Any]) -> None:
    before = search.parse_search(orjson.dumps(raw))
    for how, body in _changed(raw, "totalResults"):
        page = search.parse_search(orjson.dumps(body))
        assert (page.rows, page.count, page.total) == (before.rows, before.count, None)
        _told(page.issues, how, "totalResults")
    for how, body in _changed(raw, "searchResults"):
        if how != "retyped" or not isinstance(body["searchResults"], list):
            with pytest.raises(SourceChanged, match="searchResults"):
                search.parse_search(orjson.dumps(body))
    # The first rows, the junk one among them, and the last.
    for at in {*range(min(3, before.count)), before.count - 1}:
        row = raw["searchResults"][at]
        for key in row:
            for how, body in _changed(row, key):
                _check_row(raw, at, key, how, body)


@pytest.mark.parametrize("raw", [CODES, "captured labels"])
def test_each_key_of_the_list_of_codes(raw: Any) -> None:
    if isinstance(raw, str):
        labels = (CAPTURES / "document_code_labels_272.txt").read_text().splitlines() if CAPTURES else []
        raw = [
            {"docType": f"{i // 26 + 65:c}{i % 26 + 65:c}", "docLongName": label}
            for i, label in enumerate(labels)
        ] or CODES
    before = document.parse_codes(orjson.dumps(raw))
    assert len(before.labels) == len(raw)
    for key in ("docType", "docLongName"):
        for how, entry in _changed(raw[0], key):
            codes = document.parse_codes(orjson.dumps([entry, *raw[1:]]))
            assert codes.labels[-len(raw) + 1 :] == before.labels[1:]
            if key == "docLongName":
                # It can be asked for all the same.
                assert (codes.codes, codes.odd) == (before.codes, [])
                _told(codes.issues, how, "[].docLongName")
                assert len(codes.labels) == len(raw) - (how == "retyped")
                assert how == "retyped" or (codes.labels[0].label, set(codes.labels[0].absent)) == (
                    None,
                    {"label"},
                )
            else:
                assert (codes.codes, len(codes.labels), len(codes.odd)) == (before.codes[1:], len(raw) - 1, 1)
                assert "odd_code" in {issue.kind for issue in codes.issues}
                assert entry.get("docType") == "x?" or "code_label" in codes.notes.unread
    for how, body in _changed({"docType": 1}, "docType"):
        with pytest.raises(SourceChanged, match="docType"):
            document.parse_codes(orjson.dumps([body]))
        assert how


# Field, its columns, and whether it has text that no value of it may have.
_LEGACY = {
    "lblRecDate": (("recorded_at",), True),
    "hidpgs": (("page_amount",), True),
    "hidnaf": (("affidavit_page_amount",), True),
    "hidcde": (("query_code",), True),
    "hidbk": (("docket_book",), False),
    "hidmap": (("page_map",), False),
    "lblRecDocName": (("names",), False),
    "lblRecDocCode": (("display_codes",), False),
    "lnkPages": (("image_path", "page_amount"), True),
    "hidsuf": (("suffix",), True),
    "lblRecNum": ((), True),
}


def _without(body: str, name: str) -> str:
    return (
        re.sub(
            rf'<(span|a|input)\b[^>]*id="{_ID}{name}"[^>]*>(?:(?:(?!</\1>).)*</\1>)?',
            "",
            body,
            count=1,
            flags=re.DOTALL,
        )
        if (not name.startswith("hid"))
        else re.sub(rf'<input\b[^>]*id="{_ID}{name}"[^>]*>', "", body, count=1)
    )


def _retyped(body: str, name: str) -> str:
    if name.startswith("hid"):
        return re.sub(rf'(<input\b[^>]*id="{_ID}{name}")[^>]*>', r'\1 value="x?">', body, count=1)
    return re.sub(rf'(id="{_ID}{name}"[^>]*>)((?!</(span|a)>).)*', r"\1x?", body, count=1, flags=re.DOTALL)


def _legacy_bodies() -> list[tuple[str, str]]:
    found = [
        (
            legacy_document(_WORLD, _FACTS.number, "", _WORLD.today, is_recent=False).body.decode(),
            _FACTS.number,
        )
    ]
    if CAPTURES:
        found.append(((CAPTURES / "legacy_detail_excerpt.html").read_text(), "20260346190"))
    return found


@pytest.mark.parametrize(
    ("body", "number"), _legacy_bodies(), ids=lambda value: value if len(value) == 11 else ""
)
def test_each_field_of_a_legacy_page(body: str, number: str) -> None:
    before = legacy_pages.parse_legacy_document(body.encode(), number).document
    assert before.absent == set()
    for name, (columns, can_be_odd) in _LEGACY.items():
        renamed = body.replace(f'id="{_ID}{name}"', f'id="{_ID}{name}New"')
        for how, changed in (
            ("absent", _without(body, name)),
            ("renamed", renamed),
            ("retyped", _retyped(body, name)),
        ):
            assert changed != body, (name, how)
            if how == "retyped" and not can_be_odd:
                continue
            if name == "lblRecNum" or (name == "hidsuf" and how == "retyped"):
                with pytest.raises(SourceChanged, match=name):
                    legacy_pages.parse_legacy_document(changed.encode(), number)
                continue
            page = legacy_pages.parse_legacy_document(changed.encode(), number)
            # The link has the address too, which is as it was; and it does not say how many pages there are.
            touched = {"page_amount"} if name == "lnkPages" and how == "retyped" else {columns[0]}
            assert page.document.absent == touched, (name, how)
            assert page.document == before.model_copy(update=dict.fromkeys(touched)), (name, how)
            kinds = {(issue.kind, issue.signature.partition(":")[0]) for issue in page.issues}
            if how == "retyped":
                assert kinds == {("unread_section", next(iter(touched)))}
            else:
                assert kinds == {("absent_field", name)} | (
                    {("new_field", f"{name}New")} if how == "renamed" else set()
                )


def _list() -> str:
    day = f"{_DAY:%m/%d/%Y}"
    body: str = legacy_list(_WORLD, {"bdt": day, "edt": day, "cde": "LN", "max": "20"}).body.decode()
    return body


HEADINGS = {"RECORDING NUMBER": "number", "RECORDING DATE": "date", "DOCUMENT CODE": "display_code"}


def _cell(body: str, at: int, edit: Callable[[str], str], tag: str = "td") -> str:
    """Edit a cell of the first row that has such."""
    cells = list(re.finditer(rf"<{tag}>(.*?)</{tag}>", body))
    return body[: cells[at].start()] + edit(cells[at][0]) + body[cells[at].end() :]


def test_each_column_of_a_legacy_list() -> None:
    body = _list()
    before = legacy_pages.parse_legacy_list(body.encode())
    assert len(before.rows) > 2
    for at, (heading, name) in enumerate(HEADINGS.items()):

        def without(row: re.Match[str], at: int = at) -> str:
            return _cell(_cell(row[0], at, lambda _: "", "t[hd]"), 0, str, "t[hd]")

        for how, changed in (
            ("absent", re.sub(r"<tr>(.*?)</tr>", without, body)),
            ("renamed", body.replace(f"<th>{heading}</th>", f"<th>{heading}New</th>")),
            ("retyped", _cell(body, at, lambda _: "<td>+</td>")),
        ):
            assert changed != body
            if name == "number" and how != "retyped":
                with pytest.raises(SourceChanged, match=heading):
                    legacy_pages.parse_legacy_list(changed.encode())
                continue
            found = legacy_pages.parse_legacy_list(changed.encode())
            signatures = {(issue.kind, issue.signature) for issue in found.issues}
            if how == "retyped":
                assert found.rows[1:] == before.rows[1:]
                (told,) = found.issues
                assert (told.kind, heading in told.signature) == ("unread_section", True)
            else:
                new = {("new_field", f"Grid1.{heading}NEW")} if how == "renamed" else set()
                assert signatures == {("absent_field", f"Grid1.{heading}")} | new
            for one, other in zip(
                before.rows[:1] if how == "retyped" else before.rows, found.rows, strict=False
            ):
                assert other.is_read == (how != "retyped")
                for part in HEADINGS.values():
                    assert getattr(other, part) == (None if part == name else getattr(one, part))


def test_the_docs_name_what_identifies_and_all_sections() -> None:
    text = (ROOT / "docs" / "sources.md").read_text().partition("## Recorder")[2].partition("## Bulk")[0]
    for module in (document, search, legacy_pages):
        for name in (*module.IDENTITY, *module.SECTIONS):
            assert f"`{name}`" in text, name
