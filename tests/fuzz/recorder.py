"""The recorder's JSON and its legacy pages under mutation."""

import datetime as dt
import os
import re
from pathlib import Path
from typing import Any

import orjson

from maricopa_scrapy.identifiers import RECORDING_NUMBER_PATTERN
from maricopa_scrapy.pages import recorder, recorder_legacy, recorder_search
from maricopa_scrapy.sandbox.recorder_codes import CODES, DISPLAY
from maricopa_scrapy.sandbox.recorder_documents import Documents, Facts
from maricopa_scrapy.sandbox.recorder_pages import legacy_document, legacy_list
from tests.fuzz.reading import Subject, check_one_page, said, same, shown, storable, tree

CAPTURES = os.environ.get("MARICOPA_CAPTURES")
TODAY = dt.date(2025, 4, 15)
_DAY = dt.date(2025, 4, 8)
_ID = "ctl00_ContentPlaceHolder1_"


def _list(value: Any) -> list[str]:
    values = [value] if isinstance(value, str) else value or []
    return list(dict.fromkeys(one.strip() for one in values if one and one.strip() not in ("", "na")))


def _no_zero(value: Any) -> Any:
    return None if value in (None, [], {}) or str(value).strip().strip("0") in ("", "na") else str(value).strip()


def _check_document(body: bytes, number: str, page: recorder.DocumentPage) -> None:
    raw, document = said(body), page.document
    assert document.recording_number == number == str(raw["recordingNumber"]).replace("-", "").strip().replace(" ", "")
    assert same(raw["recordingDate"], document.recording_date)
    assert page.names == _list(raw["names"])
    assert page.codes == [one.removesuffix("+").rstrip() for one in _list(raw["documentCodes"])]
    assert (document.docket_book, document.page_map) == (_no_zero(raw["docketBook"]), _no_zero(raw["pageMap"]))
    assert same(raw["pageAmount"], document.page_amount)
    assert same(raw["affidavitPageAmount"], document.affidavit_page_amount)
    assert (raw["affidavitPresent"], raw["restricted"]) == (document.affidavit_present, document.restricted)
    for record in page.records:
        storable(list(record.__dict__.values()))


def _check_search(body: bytes, key: str, page: recorder_search.SearchPage) -> None:
    raw = said(body)
    assert page.count == len(raw["searchResults"]) == len(page.rows) + page.junk
    assert page.total == (None if raw["totalResults"] < 0 else raw["totalResults"])
    # A row without a number stands for none; one without a day stands for its document.
    rows = [row for row in raw["searchResults"] if _no_zero(row["recordingNumber"])]
    assert len(rows) == len(page.rows)
    for one, row in zip(rows, page.rows, strict=True):
        assert re.fullmatch(RECORDING_NUMBER_PATTERN, row.number), row.number
        suffix = "".join(_list(one["recordingSuffix"]))
        assert row.number == re.sub(r"[\s-]", "", str(one["recordingNumber"])).upper() + suffix
        assert same(one["recordingDate"], row.date)
        assert row.name == next(iter(_list(one["names"])), "")
        assert row.display_code == _list(one["documentCode"])[0].removesuffix("+").rstrip()
        assert (row.docket_book, row.page_map) == (_no_zero(one["docketBook"]), _no_zero(one["pageMap"]))


def _check_codes(body: bytes, key: str, codes: recorder.CodeList) -> None:
    raw = said(body)
    assert len(raw) == len(codes.labels) + len(codes.odd)
    told = {(str(one["docType"]).strip(), one["docLongName"].strip() if isinstance(one["docLongName"], str) else None) for one in raw}
    assert all((one.query_code, one.label) in told or one.label is None for one in codes.labels)


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


def _check_legacy_document(body: bytes, number: str, document: Any) -> None:
    root = _root(body)
    assert document.recording_number == number
    suffix = _value(root, "hidsuf")
    assert re.fullmatch("[A-Z]?", suffix)
    assert re.sub(r"[\s-]", "", "".join(_shown(root, "lblRecNum"))).removesuffix(suffix) + suffix == number
    # A broken page may have more than one root.
    text = " ".join(" ".join(root.xpath("//text()")).split())
    for name in document.names or []:
        assert " ".join(name.split()) in text
    for column, name in (("page_amount", "hidpgs"), ("affidavit_page_amount", "hidnaf")):
        assert same(_value(root, name), getattr(document, column))
    assert (document.docket_book, document.page_map) == (_no_zero(_value(root, "hidbk")), _no_zero(_value(root, "hidmap")))
    storable(list(document.__dict__.values()))


def _check_legacy_list(body: bytes, key: str, found: recorder_legacy.LegacyList) -> None:
    root = _root(body)
    rows = root.xpath(f"//table[@id='{_ID}Grid1']//tr")[1:]
    assert len(rows) == len(found.rows)
    for one, row in zip(rows, found.rows, strict=True):
        cells = [" ".join(shown(cell).split()) for cell in one.xpath("./td")]
        assert re.sub(r"[\s-]", "", cells[0]).upper() == row.number
        assert same(cells[1], row.date)
        assert "".join(cells[2].split()).removesuffix("+") == "".join(row.display_code.split())


def _detail(facts: Facts) -> bytes:
    return orjson.dumps({
        "names": list(facts.names), "documentCodes": [DISPLAY[code] for code in facts.codes],
        "recordingDate": f"{facts.date.month}-{facts.date.day:02d}-{facts.date.year}", "recordingNumber": facts.number,
        "pageAmount": facts.pages, "docketBook": facts.docket_book, "pageMap": facts.page_map,
        "affidavitPresent": facts.affidavit_pages > 0, "affidavitPageAmount": facts.affidavit_pages, "restricted": facts.restricted,
    })  # fmt: skip


def _row(facts: Facts) -> dict[str, Any]:
    return {
        "names": facts.names[0], "recordingNumber": int(facts.number), "recordingSuffix": facts.suffix,
        "recordingDate": f"{facts.date.month}-{facts.date.day:02d}-{facts.date.year}",
        "documentCode": DISPLAY[facts.codes[0]], "docketBook": "", "pageMap": "",
    }  # fmt: skip


def subjects() -> list[Subject]:
    documents = Documents(1, TODAY)
    facts = documents.of_day(_DAY)[:12]
    details = [(_detail(one), one.number) for one in facts]
    search = orjson.dumps({"searchResults": [_row(one) for one in facts[:5]], "totalResults": 5})
    searches = [(search, ""), (b'{"searchResults":[],"totalResults":0}', "")]
    if CAPTURES:
        folder = Path(CAPTURES) / "recorder"
        details += [
            (file.read_bytes(), orjson.loads(file.read_bytes())["recordingNumber"]) for file in sorted(folder.glob("detail_*.json"))
        ]
        searches += [(file.read_bytes(), "") for file in sorted(folder.glob("search_*.json"))]
    codes = orjson.dumps([{"docType": code, "docLongName": label} for code, _, label, _ in CODES[:20]])
    day = f"{_DAY:%m/%d/%Y}"
    shown = legacy_list(documents, {"bdt": day, "edt": day, "cde": facts[0].codes[0], "max": "20"}).body
    pages = [(legacy_document(documents, one.number, "", TODAY, is_recent).body, one.number)
             for one in facts if not one.restricted for is_recent in (False, True)]  # fmt: skip
    return [
        Subject("recorder document", "json", details, lambda body, number: recorder.parse_document(body, number), _check_document),
        Subject("recorder search", "json", searches, lambda body, _: recorder_search.parse_search(body), _check_search),
        Subject("recorder codes", "json", [(codes, "")], lambda body, _: recorder.parse_codes(body), _check_codes),
        Subject("recorder index", "json", [(b'"4/15/2025"', "")], lambda body, _: recorder.parse_index(body), _check_index),
        Subject("recorder legacy list", "html", [(shown, "")], lambda body, _: recorder_legacy.parse_legacy_list(body), _check_legacy_list),
        Subject("recorder legacy document", "html", pages, recorder_legacy.parse_legacy_document, _check_legacy_document),
    ]
