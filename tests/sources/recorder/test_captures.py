"""The captured answers of the recorder, field by field; needs MARICOPA_CAPTURES."""

import datetime as dt
import json
import os
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from maricopa_scrapy.parsing.errors import PageError, SourceChanged, WrongDocument
from maricopa_scrapy.sources.recorder import document as recorder
from maricopa_scrapy.sources.recorder import legacy_pages, search
from tests.sources.recorder.test_rule import DETAIL

FOLDER = Path(os.environ.get("MARICOPA_CAPTURES", "")) / "recorder"
pytestmark = pytest.mark.skipif(
    not os.environ.get("MARICOPA_CAPTURES"), reason="MARICOPA_CAPTURES is not set"
)

DETAILS = sorted(path.name for path in FOLDER.glob("detail_*.json"))
SEARCHES = sorted(path.name for path in FOLDER.glob("search_*.json"))


def said_day(text: str) -> dt.date | None:
    if not text:
        return None
    month, day, year = text.split("-")
    return dt.date(int(year), int(month), int(day))


def no_zero(value: Any) -> str | None:
    return None if value in (0, "", "0") else str(value)


def check_detail(raw: dict[str, Any], page: recorder.DocumentPage) -> int:
    """Compare every key of a detail, and every value of its lists, with the rows; an unknown key fails."""
    document = page.document
    assert document is not None
    assert page.issues == []
    expected = {
        "names": page.names,
        "documentCodes": page.codes,
        "recordingNumber": document.recording_number,
        "recordingDate": document.recording_date,
        "pageAmount": document.page_amount,
        "docketBook": document.docket_book,
        "pageMap": document.page_map,
        "affidavitPresent": document.affidavit_present,
        "affidavitPageAmount": document.affidavit_page_amount,
        "restricted": document.restricted,
    }
    for key, value in raw.items():
        assert key in expected, f"{key} has no column"
        meant = (
            said_day(value)
            if key == "recordingDate"
            else no_zero(value)
            if key in ("docketBook", "pageMap")
            else value
        )
        assert expected[key] == meant, key
    assert document.name_count == len(raw["names"])
    assert sum(len(value) if isinstance(value, list) else 1 for value in raw.values()) >= 10
    return len(raw)


@pytest.mark.parametrize("name", DETAILS)
def test_every_field_of_a_captured_detail_is_stored(name: str) -> None:
    body = (FOLDER / name).read_bytes()
    raw = json.loads(body)
    page = recorder.parse_document(body, raw["recordingNumber"])
    assert check_detail(raw, page) == 10
    stored = [type(record).table for record in page.records]
    assert stored.count("recorder.party") == len(raw["names"])
    assert stored.count("recorder.document_code") == len(raw["documentCodes"])
    with pytest.raises(WrongDocument):
        recorder.parse_document(body, "20260000001")
    more = recorder.parse_document(orjson.dumps(raw | {"apn": "30478386"}), raw["recordingNumber"])
    assert more.records == page.records
    assert [(issue.kind, issue.signature) for issue in more.issues] == [("new_field", "apn")]


def test_the_documents_whose_day_is_of_another_year_are_read_as_they_are_told() -> None:
    # An excerpt in its publisher's keys: c is the first code, f the day, pg the pages.
    said = json.loads((FOLDER / "year_of_number_differs.json").read_bytes())
    others = {number: one for number, one in said["documents"].items() if number.isdecimal()}
    right = {
        number: {"c": "WAR DEED", "f": day, "pg": 1}
        for number, day in said["neighbours_with_the_right_date"].items()
    }
    assert (len(others), len(right)) == (2, 4)
    for number, one in (others | right).items():
        day = dt.date.fromisoformat(one["f"])
        body = DETAIL | {
            "recordingNumber": number,
            "recordingDate": f"{day.month}-{day:%d-%Y}",
            "documentCodes": [one["c"]],
            "pageAmount": one["pg"],
        }
        page = recorder.parse_document(orjson.dumps(body), number)
        assert page.document is not None
        assert (page.document.recording_date, page.document.page_amount, page.codes) == (
            day,
            one["pg"],
            [one["c"]],
        )
        assert [(issue.kind, issue.signature) for issue in page.issues] == [("year_differs", number)] * (
            number in others
        )
        row = {
            "names": "",
            "recordingNumber": int(number),
            "recordingSuffix": "",
            "recordingDate": body["recordingDate"],
            "documentCode": one["c"],
            "docketBook": "",
            "pageMap": "",
        }
        found = search.parse_search(orjson.dumps({"searchResults": [row], "totalResults": 1}))
        # A search of this year's days found it.
        search.check_answers(found, dt.date(2026, 1, 1), dt.date(2026, 11, 30), None, "WAR DEED")
        assert (found.rows[0].date, len(found.issues)) == (day, int(number in others))
    for number, codes in said["two_codes"].items():
        page = recorder.parse_document(
            orjson.dumps(DETAIL | {"recordingNumber": number, "documentCodes": codes}), number
        )
        assert page.codes == codes


def test_there_are_details_and_searches() -> None:
    assert (len(DETAILS), len(SEARCHES)) == (6, 10)


@pytest.mark.parametrize("name", SEARCHES)
def test_every_field_of_a_captured_search_is_read(name: str) -> None:
    body = (FOLDER / name).read_bytes()
    raw = json.loads(body)
    page = search.parse_search(body)
    assert set(raw) == {"searchResults", "totalResults"}
    assert (page.total, page.count) == (raw["totalResults"], len(raw["searchResults"]))
    real = [row for row in raw["searchResults"] if row["recordingNumber"] and row["recordingDate"]]
    assert (len(page.rows), page.junk) == (len(real), len(raw["searchResults"]) - len(real))
    for row, said in zip(page.rows, real, strict=True):
        expected = {
            "names": row.name or "",
            "recordingNumber": int(row.number[:11]),
            "recordingSuffix": row.suffix or "",
            "recordingDate": row.date,
            "documentCode": f"{row.display_code}{'+' * row.has_more_codes}",
            "docketBook": row.docket_book,
            "pageMap": row.page_map,
        }
        for key, value in said.items():
            assert key in expected, f"{key} has no field"
            meant = (
                said_day(value)
                if key == "recordingDate"
                else no_zero(value)
                if key in ("docketBook", "pageMap")
                else value
            )
            assert expected[key] == meant, key


def test_what_the_captured_searches_show() -> None:
    def page(name: str) -> search.SearchPage:
        return search.parse_search((FOLDER / f"search_{name}.json").read_bytes())

    assert page("row_zero_number").junk == 1
    assert [row.number for row in page("row_with_suffix").rows] == ["20000784158A"]
    doubled = page("duplicate_numbers")
    assert (len(doubled.rows), len({row.number for row in doubled.rows})) == (39, 34)
    assert page("code_empty_names").pair == {"PART REL"}
    assert page("total_501_first20").total == 501


def test_a_captured_answer_whose_filter_was_dropped_raises() -> None:
    page = search.parse_search((FOLDER / "search_filter_dropped_excerpt.json").read_bytes())
    for since, name in (
        (dt.date(2026, 1, 1), None),
        (dt.date(1947, 1, 1), None),
        (dt.date(1947, 1, 1), "PORTER"),
    ):
        with pytest.raises(SourceChanged, match="filter"):
            search.check_answers(
                page, since, dt.date(2026, 4, 18), name, "N/TR SALE" if name is None else None
            )


@pytest.mark.parametrize(
    ("name", "words", "display"),
    [
        ("business_name", "STARKFAMILYREVOCABLETRUST", None),
        ("duplicate_numbers", "FAIRBANKTHEODOREM", None),
        ("exact_total", "BOYCEALVIN", None),
        ("total_501_first20", "HOLDEN", None),
        ("row_with_suffix", "HOLDEN", None),
        ("row_zero_number", "POWERHENRIETTA", None),
        ("code_FL_2rows", None, "FED TAX L"),
        ("code_empty_names", None, "PART REL"),
    ],
)
def test_a_captured_search_answers_what_was_asked_for(
    name: str, words: str | None, display: str | None
) -> None:
    page, today = _search(name), dt.date(2026, 4, 18)
    search.check_answers(page, dt.date(1947, 1, 1), today, words, display)
    with pytest.raises(SourceChanged):
        search.check_answers(page, dt.date(2026, 4, 17), today, words, display)


def test_a_captured_search_for_another_code_does_not() -> None:
    # "PR DEED" was cut to PR: the rows are of another code than a client asked for.
    with pytest.raises(SourceChanged, match="PROB DEED"):
        search.check_answers(
            _search("code_empty_names"), dt.date(1947, 1, 1), dt.date(2026, 4, 18), None, "PROB DEED"
        )


def _search(name: str) -> search.SearchPage:
    return search.parse_search((FOLDER / f"search_{name}.json").read_bytes())


def test_a_captured_400_is_no_answer() -> None:
    body = (FOLDER / "error_400.json").read_bytes()
    for parse in (
        search.parse_search,
        recorder.parse_index,
        lambda body: recorder.parse_document(body, "20130183449"),
    ):
        with pytest.raises(PageError):
            parse(body)


def test_every_field_of_the_captured_legacy_page_is_read() -> None:
    # The excerpt lacks the end of its page.
    body = (FOLDER / "legacy_detail_excerpt.html").read_bytes()
    read = legacy_pages.parse_legacy_document(body, "20260346190")
    document = read.document
    assert (read.issues, set(document.absent)) == ([], set())
    page = body.decode()

    def span(name: str) -> str:
        found = re.search(rf'id="ctl00_ContentPlaceHolder1_{name}"[^>]*>(.*?)</(?:span|a)>', page, re.DOTALL)
        assert found, name
        return found[1]

    def lines(name: str) -> list[str]:
        return [" ".join(line.split()) for line in span(name).split("<br>") if line.strip()]

    values = dict(re.findall(r'id="ctl00_ContentPlaceHolder1_hid(\w+)"(?: value="([^"]*)")?', page))
    # The reader's basket, and what another field says as well.
    elsewhere = {
        "cls": "RecorderDocuments",
        "pages": values["pgs"],
        "rec": document.recording_number,
        "basketid": "",
        "custid": "",
        "ShopId": "",
    }
    fields = {
        "naf": document.affidavit_page_amount,
        "pgs": document.page_amount,
        "suf": document.suffix,
        "cde": document.query_code,
        "bk": document.docket_book,
        "map": document.page_map,
    }
    for name, value in values.items():
        assert name in fields or elsewhere.get(name) == value, name
        if name in fields:
            assert ("" if fields[name] is None else str(fields[name])) == value, name
    assert document.names == lines("lblRecDocName")
    assert document.display_codes == lines("lblRecDocCode") == ["N/TR SALE"]
    assert f"{document.recorded_at:%-m/%-d/%Y %-I:%M:%S %p}" == lines("lblRecDate")[0]
    assert [document.recording_number] == lines("lblRecNum")
    assert str(document.page_amount) == span("lnkPages")
    assert (document.image_path or "").startswith("unofficialpdfdocs.aspx?rec=20260346190&")
    with pytest.raises(WrongDocument):
        legacy_pages.parse_legacy_document(body, "20260346191")
    assert not legacy_pages.is_blocked(body)


def test_the_captured_blocked_page_is_recognised() -> None:
    body = (FOLDER / "information_blocked.html").read_bytes()
    assert legacy_pages.is_blocked(body)
    with pytest.raises(SourceChanged, match="Information Blocked"):
        legacy_pages.parse_legacy_document(body, "20260141249")


def test_every_captured_body_is_read_by_some_test() -> None:
    known = {
        *DETAILS,
        *SEARCHES,
        "error_400.json",
        "information_blocked.html",
        "legacy_detail_excerpt.html",
        "year_of_number_differs.json",
    }
    assert {path.name for path in FOLDER.iterdir() if path.suffix in (".json", ".html")} == known
    labels = (FOLDER / "document_code_labels_272.txt").read_text().splitlines()
    listed = recorder.parse_codes(
        orjson.dumps(
            [
                {"docType": f"{i // 26 % 26 + 65:c}{i % 26 + 65:c}", "docLongName": x}
                for i, x in enumerate(labels)
            ]
        )
    )
    assert [entry.label for entry in listed.labels] == labels
