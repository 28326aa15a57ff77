"""The recorder's JSON and its legacy pages under mutation."""

import datetime as dt
import os
import re
from pathlib import Path
from typing import Any

import orjson

from maricopa_scrapy.parsing.identifiers import RECORDING_NUMBER_PATTERN
from maricopa_scrapy.sandbox.recorder.codes import CODES, DISPLAY
from maricopa_scrapy.sandbox.recorder.documents import Documents, Facts
from maricopa_scrapy.sandbox.recorder.legacy_pages import legacy_document, legacy_list
from maricopa_scrapy.sources.recorder import document as recorder
from maricopa_scrapy.sources.recorder import legacy_pages
from maricopa_scrapy.sources.recorder import search as recorder_search
from tests.fuzz.reading import Subject, check_one_page, said, same, shown, storable, tree

CAPTURES = os.environ.get("MARICOPA_CAPTURES")
TODAY = dt.date(2025, 4, 15)
_DAY = dt.date(2025, 4, 8)
_ID = "ctl00_ContentPlaceHolder1_"


def _list(value: Any) -> list[str]:
    return list(dict.fromkeys(one.strip() for one in value or [] if one and one.strip() not in ("", "na")))


def _no_zero(value: Any) -> Any:
    return (
        None if value in (None, [], {}) or str(value).strip().strip("0") in ("", "na") else str(value).strip()
    )


_COLUMNS = {
    "recording_date": "recordingDate",
    "docket_book": "docketBook",
    "page_map": "pageMap",
    "page_amount": "pageAmount",
    "affidavit_present": "affidavitPresent",
    "affidavit_page_amount": "affidavitPageAmount",
    "restricted": "restricted",
}


def _is_told(value: Any, column: str, stored: Any) -> bool:
    return bool(stored == _no_zero(value)) if column in ("docket_book", "page_map") else same(value, stored)


def _check_document(body: bytes, number: str, page: recorder.DocumentPage) -> None:
    raw, document, unread = said(body), page.document, page.notes.unread
    assert page.number == number == re.sub(r"[\s-]", "", str(raw["recordingNumber"]))
    assert (document is None) == ("document" in unread)
    for column, key in _COLUMNS.items():
        if document is None:
            break
        if key in raw:
            assert _is_told(raw[key], column, getattr(document, column)), (column, raw[key])
            assert column not in document.absent
        else:
            assert (getattr(document, column), column in document.absent) == (None, True)
            assert key in page.notes.absent
    for found, key, section in (
        (page.names, "names", "party"),
        (page.codes, "documentCodes", "document_code"),
    ):
        if found is None:
            assert (section in unread) == (key in raw)
            assert key in raw or key in page.notes.absent
        else:
            assert found == [
                one.removesuffix("+").rstrip() if section == "document_code" else one
                for one in _list(raw[key])
            ]
    assert len(page.complete) == (page.names is not None) + (page.codes is not None)
    unknown = raw.keys() - {*_COLUMNS.values(), "names", "documentCodes", "recordingNumber"}
    assert bool(page.notes.new) == any("phone" not in key.lower() for key in unknown)
    for record in page.records:
        storable(list(record.__dict__.values()))


def _check_row(one: dict[str, Any], row: recorder_search.SearchRow, page: recorder_search.SearchPage) -> None:
    assert re.fullmatch(RECORDING_NUMBER_PATTERN, row.number), row.number
    suffix = (one.get("recordingSuffix") or "").strip()
    assert row.number == re.sub(r"[\s-]", "", str(one["recordingNumber"])).upper() + (
        "" if suffix == "na" else suffix
    )
    told = {
        "date": "recordingDate",
        "name": "names",
        "code": "documentCode",
        "docket_book": "docketBook",
        "page_map": "pageMap",
    }
    for column, key in told.items():
        stored = getattr(row, column)
        if column in row.absent:
            assert key not in one
            assert stored is None
            assert f"searchResults[].{key}" in page.notes.absent
        elif stored is None:
            assert not row.is_read or _is_told(one[key], column, None), (column, one[key])
        elif column == "code":
            assert row.display_code == one[key].strip().removesuffix("+").rstrip()
        else:
            assert _is_told(one[key], column, stored), (column, one[key])
    assert row.is_read or "row" in page.notes.unread


def _is_row(one: dict[str, Any], row: recorder_search.SearchRow) -> bool:
    """Whether a row may be what was read: one of the same number before it may be lost for its suffix."""
    number = re.sub(r"[\s-]", "", str(one["recordingNumber"])).upper()
    return number == row.number.removesuffix(row.suffix or "") and same(
        one.get("recordingSuffix"), row.suffix
    )


def _check_search(body: bytes, key: str, page: recorder_search.SearchPage) -> None:
    raw = said(body)
    assert page.count == len(raw["searchResults"]) == len(page.rows) + page.junk + page.lost
    if "totalResults" not in raw or "total" in page.notes.unread:
        assert page.total is None
    else:
        assert page.total == (None if raw["totalResults"] < 0 else raw["totalResults"])
    assert not page.lost or "row" in page.notes.unread
    # The rows that were read, in their order; one without a number stands for none, one without a day for its
    # document.
    left = iter(row for row in raw["searchResults"] if isinstance(row, dict) and "recordingNumber" in row)
    for row in page.rows:
        _check_row(next(one for one in left if _is_row(one, row)), row, page)


def _check_codes(body: bytes, key: str, codes: recorder.CodeList) -> None:
    raw = said(body)
    assert len(raw) == len(codes.codes) + len(codes.odd)
    assert len(codes.labels) == len(codes.codes) or "code_label" in codes.notes.unread
    told = {
        (
            one["docType"].strip(),
            one["docLongName"].strip() if isinstance(one.get("docLongName"), str) else None,
        )
        for one in raw
        if isinstance(one, dict) and isinstance(one.get("docType"), str)
    }
    assert all((one.query_code, one.label) in told or one.label is None for one in codes.labels)
    assert {code for code, _ in told}.issuperset(codes.codes)


def _check_index(body: bytes, key: str, day: dt.date) -> None:
    assert same(said(body), day)


def _root(body: bytes) -> Any:
    text = body.decode().replace("\0", "")
    check_one_page(text)
    return tree(text)


def _shown(root: Any, name: str) -> list[str]:
    return [" ".join(shown(one).split()) for one in root.xpath(f"//*[@id='{_ID}{name}']")]


def _value(root: Any, name: str) -> str:
    return next((one.get("value") or "" for one in root.xpath(f"//input[@id='{_ID}{name}']")), "").strip()


def _check_legacy_document(body: bytes, number: str, page: legacy_pages.LegacyPage) -> None:
    root, document = _root(body), page.document
    assert document.recording_number == number
    suffix = _value(root, "hidsuf")
    assert re.fullmatch("[A-Z]?", suffix)
    assert re.sub(r"[\s-]", "", "".join(_shown(root, "lblRecNum"))).removesuffix(suffix) + suffix == number
    # A broken page may have more than one root.
    text = " ".join(" ".join(root.xpath("//text()")).split())
    for name in document.names or []:
        assert " ".join(name.split()) in text
    for column, name in (("page_amount", "hidpgs"), ("affidavit_page_amount", "hidnaf")):
        if column not in document.absent:
            assert same(_value(root, name), getattr(document, column))
    for column, name in (("docket_book", "hidbk"), ("page_map", "hidmap")):
        assert column in document.absent or getattr(document, column) == _no_zero(_value(root, name))
    for column in document.absent:
        assert getattr(document, column) is None
    assert page.notes.unread.keys() <= document.absent
    storable(list(document.__dict__.values()))


def _check_legacy_list(body: bytes, key: str, found: legacy_pages.LegacyList) -> None:
    root = _root(body)
    rows = root.xpath(f"//table[@id='{_ID}Grid1']//tr")
    headings = [" ".join(shown(cell).split()).upper() for cell in rows[0].xpath("./th|./td")] if rows else []
    assert len(rows[1:]) == len(found.rows)
    for one, row in zip(rows[1:], found.rows, strict=True):
        cells = [" ".join(shown(cell).split()) for cell in one.xpath("./td")]
        told = dict(zip(headings, cells, strict=False))
        if row.number is not None:
            assert re.sub(r"[\s-]", "", told["RECORDING NUMBER"]).upper() == row.number
        if row.date is not None:
            assert same(told["RECORDING DATE"], row.date)
        if row.display_code is not None:
            assert "".join(told["DOCUMENT CODE"].split()).removesuffix("+") == "".join(
                row.display_code.split()
            )
        assert row.is_read or "row" in found.notes.unread
        assert row.number is not None or not row.is_read
        assert len(cells) == len(headings) or not row.is_read


def _detail(facts: Facts) -> bytes:
    return orjson.dumps(
        {
            "names": list(facts.names),
            "documentCodes": [DISPLAY[code] for code in facts.codes],
            "recordingDate": f"{facts.date.month}-{facts.date.day:02d}-{facts.date.year}",
            "recordingNumber": facts.number,
            "pageAmount": facts.pages,
            "docketBook": facts.docket_book,
            "pageMap": facts.page_map,
            "affidavitPresent": facts.affidavit_pages > 0,
            "affidavitPageAmount": facts.affidavit_pages,
            "restricted": facts.restricted,
        }
    )


def _row(facts: Facts) -> dict[str, Any]:
    return {
        "names": facts.names[0],
        "recordingNumber": int(facts.number),
        "recordingSuffix": facts.suffix,
        "recordingDate": f"{facts.date.month}-{facts.date.day:02d}-{facts.date.year}",
        "documentCode": DISPLAY[facts.codes[0]],
        "docketBook": "",
        "pageMap": "",
    }


def subjects() -> list[Subject]:
    documents = Documents(1, TODAY)
    facts = documents.of_day(_DAY)[:12]
    details = [(_detail(one), one.number) for one in facts]
    search = orjson.dumps({"searchResults": [_row(one) for one in facts[:5]], "totalResults": 5})
    searches = [(search, ""), (b'{"searchResults":[],"totalResults":0}', "")]
    if CAPTURES:
        folder = Path(CAPTURES) / "recorder"
        details += [
            (file.read_bytes(), orjson.loads(file.read_bytes())["recordingNumber"])
            for file in sorted(folder.glob("detail_*.json"))
        ]
        searches += [(file.read_bytes(), "") for file in sorted(folder.glob("search_*.json"))]
    codes = orjson.dumps([{"docType": code, "docLongName": label} for code, _, label, _ in CODES[:20]])
    day = f"{_DAY:%m/%d/%Y}"
    shown = legacy_list(documents, {"bdt": day, "edt": day, "cde": facts[0].codes[0], "max": "20"}).body
    pages = [
        (legacy_document(documents, one.number, "", TODAY, is_recent).body, one.number)
        for one in facts
        if not one.restricted
        for is_recent in (False, True)
    ]
    return [
        Subject(
            "recorder document",
            "json",
            details,
            lambda body, number: recorder.parse_document(body, number),
            _check_document,
        ),
        Subject(
            "recorder search",
            "json",
            searches,
            lambda body, _: recorder_search.parse_search(body),
            _check_search,
        ),
        Subject(
            "recorder codes", "json", [(codes, "")], lambda body, _: recorder.parse_codes(body), _check_codes
        ),
        Subject(
            "recorder index",
            "json",
            [(b'"4/15/2025"', "")],
            lambda body, _: recorder.parse_index(body),
            _check_index,
        ),
        Subject(
            "recorder legacy list",
            "html",
            [(shown, "")],
            lambda body, _: legacy_pages.parse_legacy_list(body),
            _check_legacy_list,
        ),
        Subject(
            "recorder legacy document",
            "html",
            pages,
            legacy_pages.parse_legacy_document,
            _check_legacy_document,
        ),
    ]
