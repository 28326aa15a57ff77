"""What odd rows, absent keys and days of another year cost a search, a list or a document: no more than
themselves, and they are told.
"""

import datetime as dt
import json
from typing import Any

import orjson
import pytest

from maricopa_scrapy.database.targets import detail_of
from maricopa_scrapy.items import Answer, Target
from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.sandbox.recorder.documents import Documents
from maricopa_scrapy.sandbox.recorder.legacy_pages import legacy_list
from maricopa_scrapy.sources.recorder.api_requests import PHOENIX
from maricopa_scrapy.sources.recorder.records import CodeLabel, Document, NameMatch, Neighbour, SearchWindow
from maricopa_scrapy.sources.recorder.spider import DocumentsSpider
from maricopa_scrapy.sources.recorder.target_details import DaysDetail, LegacyListDetail
from tests.helpers.answers import answered
from tests.sources.recorder.test_windows import (
    DAY,
    Row,
    _detail,
    _legacy,
    _pages,
    _row,
    _spider,
    _walk,
    _window,
)


def _kinds(readings: list[Answer]) -> set[str]:
    return {issue.kind for reading in readings for issue in reading.issues}


def _read(rows: list[Row], total: Any = None, **given: str) -> Any:
    """Read the first page of a search of one day, or of those given."""
    spider = _spider()
    work = spider.work(
        {"since": str(DAY), "until": str(DAY), "codes": "LN"} | given if "owner" not in given else given
    )
    wanted = next(one for one in work.targets if one.kind == "window")
    body = {"searchResults": rows} | ({} if total is None else {"totalResults": total})
    return spider.parse_window(
        orjson.dumps(body), Target(1, "recorder", "window", wanted.key, detail=wanted.detail)
    )


@pytest.mark.parametrize(
    ("odd", "is_lost"),
    [
        ({"recordingDate": 20250312}, False),
        ({"docketBook": {"a": 1}}, False),
        ({"recordingNumber": None}, True),
        ({"recordingSuffix": 7}, True),
    ],
)
def test_an_odd_row_costs_itself_and_its_document_is_asked_for_where_its_number_is_told(
    odd: Row, is_lost: bool
) -> None:
    rows = [_row(n) for n in range(1, 6)]
    rows[2] |= odd
    readings, found = _walk(_pages(rows), 5)
    assert len(found) == 5 - is_lost
    assert (_window(readings).state, _window(readings).row_count, _window(readings).total) == ("unread", 5, 5)
    assert [reading.unread for reading in readings] == [("row",)]
    assert readings[-1].shortfall is None
    assert _kinds(readings) == {"unread_section", "unread_window"}


def test_a_window_is_not_complete_though_the_odd_row_was_on_an_earlier_page() -> None:
    rows = [_row(n) for n in range(1, 396)]
    rows[7] |= {"recordingDate": "soon"}
    readings, found = _walk(_pages(rows), 395)
    assert [reading.unread for reading in readings] == [("row",), ()]
    assert (_window(readings).state, _window(readings).row_count, len(found)) == ("unread", 395, 395)
    # An odd row that comes again stands for no other one.
    readings, found = _walk(_pages([*rows[:50], rows[7]]), 51)
    assert (_window(readings).state, _window(readings).row_count) == ("short", 50)


def test_rows_of_which_none_has_a_number_are_refused() -> None:
    with pytest.raises(SourceChanged, match="recordingNumber"):
        _read([_row(1) | {"recordingNumber": "x"}, _row(2) | {"recordingNumber": 0}], 2)


def test_a_row_that_is_odd_still_tells_that_the_filter_was_dropped() -> None:
    first = _row(1) | {"recordingNumber": 19470000001, "recordingDate": 5}
    with pytest.raises(SourceChanged, match="dropped"):
        _read([first, _row(2)], 501)
    # Nor does the day of an odd row escape, nor its code.
    with pytest.raises(SourceChanged, match="recordingDate"):
        _read([_row(1), _row(2, day="4-12-2025") | {"docketBook": True}], 2)
    with pytest.raises(SourceChanged, match="documentCode"):
        _read([_row(1, "N/TR SALE"), _row(2, "LIEN") | {"docketBook": True}], 2, codes="NS")


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("documentCode", {}),
        ("names", {"owner": "AGAVE ALICE", "since": str(DAY), "until": str(DAY)}),
    ],
)
def test_rows_of_which_none_says_what_was_asked_for_are_no_answer(key: str, given: dict[str, str]) -> None:
    bare = [
        {name: value for name, value in _row(n, name="AGAVE ALICE").items() if name != key} for n in (1, 2)
    ]
    with pytest.raises(SourceChanged, match=key):
        _read(bare, 2, **given)
    # One that says it is enough.
    reading = _read([_row(3, name="AGAVE ALICE"), *bare], 3, **given)
    assert len([one for one in reading.follow_ons if one.kind == "document"]) == 3
    assert reading.unread == ()
    assert "absent_field" in _kinds([reading])
    assert len([one for one in reading.records if isinstance(one, NameMatch)]) == (key == "names")


def test_a_total_that_is_not_told_leaves_the_rows_uncounted() -> None:
    reading = _read([_row(1)])
    (again,) = [one for one in reading.follow_ons if one.kind == "window"]
    assert ([one.key for one in reading.follow_ons if one.kind == "document"], reading.unread) == (
        ["20250000001"],
        (),
    )
    assert _kinds([reading]) == {"absent_field"}
    assert again.detail is not None
    ended = _spider().parse_window(
        b'{"searchResults":[],"totalResults":-1}',
        Target(2, "recorder", "window", again.key, detail=again.detail),
    )
    assert [
        (one.state, one.total, one.row_count) for one in ended.records if isinstance(one, SearchWindow)
    ] == [("walked", None, 1)]
    for odd in ("1", 1234, [1]):
        assert _read([_row(1)], odd).unread == ("total",)
    # Of several days a full page is a sign of more than can be counted.
    full = _read([_row(n) for n in range(1, 201)], until=str(DAY + dt.timedelta(days=3)))
    assert [one.kind for one in full.follow_ons] == ["window", "window"]
    assert [(one.state, one.total) for one in full.records] == [("split", None)]


def test_a_row_of_another_year_is_kept_and_one_that_shows_that_the_days_were_ignored_is_not() -> None:
    readings, found = _walk(_pages([_row(1), _row(2, day="3-12-2014")]), 2)
    assert (found, _window(readings).state) == ({"20250000001", "20250000002"}, "complete")
    assert [(issue.kind, issue.signature) for issue in readings[-1].issues] == [
        ("year_differs", "20250000002")
    ]
    for row in (
        _row(3) | {"recordingNumber": 20140000003, "recordingDate": "3-12-2014"},
        _row(3) | {"recordingNumber": 20240000003, "recordingDate": "3-12-2014"},
        _row(3, day="3-13-2025"),
    ):
        with pytest.raises(SourceChanged, match="recordingDate"):
            _read([_row(1), row], 2)


def test_keys_that_nobody_knows_are_told_and_cost_nothing() -> None:
    reading = _read([_row(1) | {"feeAmount": 30}], 1)
    assert [(issue.kind, issue.signature) for issue in reading.issues] == [
        ("new_field", "searchResults[].feeAmount")
    ]
    assert (reading.unread, len(reading.follow_ons)) == ((), 1)


def test_a_row_with_a_suffix_stores_what_it_says_and_no_more() -> None:
    row = _row(1) | {"recordingNumber": 20010000001, "recordingSuffix": "A", "recordingDate": "3-12-2001"}
    given = {"since": "2001-03-12", "until": "2001-03-12"}
    del row["docketBook"]
    (document,) = [one for one in _read([row], 1, **given).records if isinstance(one, Document)]
    assert document.absent == {
        "docket_book",
        "page_amount",
        "affidavit_present",
        "affidavit_page_amount",
        "restricted",
        "name_count",
        "image_url",
    }
    odd = _read([row | {"pageMap": True}], 1, **given)
    assert (odd.unread, [type(one) for one in odd.records], odd.follow_ons) == (("row",), [SearchWindow], [])
    assert "suffix" in _kinds([odd])


def _target(number: str, kind: str = "document", **detail: Any) -> Target:
    return Target(
        1, "recorder", kind, number, detail=detail_of(DocumentsSpider.details, kind, json.dumps(detail))
    )


def test_a_deed_whose_day_or_names_could_not_be_read_is_not_tied_to_anything() -> None:
    spider, number, names = _spider(), "20130000101", ["AGAVE ALICE"]
    whole = orjson.loads(_detail(number, dt.date(2013, 2, 27), names))
    for key, value, section in (("names", 5, "party"), ("recordingDate", 5, "document")):
        reading = spider.parse_document(orjson.dumps(whole | {key: value}), _target(number, neighbours=True))
        assert (reading.unread, reading.follow_ons) == ((section,), [])
    # Two documents without a day are not of the same day.
    bare = {key: value for key, value in whole.items() if key != "recordingDate"}
    first, *_ = spider.parse_document(orjson.dumps(bare), _target(number, neighbours=True)).follow_ons
    beside = orjson.dumps(bare | {"recordingNumber": "20130000102"})
    reading = spider.parse_neighbour(
        beside, Target(2, "recorder", "neighbour", first.key, detail=first.detail)
    )
    assert not [one for one in reading.records if isinstance(one, Neighbour)]


def test_names_are_asked_for_again_where_they_may_come_and_not_where_they_cannot_be_read() -> None:
    spider, today = _spider(), dt.datetime.now(PHOENIX).date()
    number = f"{today.year}0000101"
    whole = orjson.loads(_detail(number, today, []))
    lacking = {key: value for key, value in whole.items() if key != "names"}
    reading = spider.parse_document(orjson.dumps(lacking), _target(number))
    assert [one.key for one in reading.follow_ons] == [f"{number} again 1"]
    assert [(one.name_count, set(one.absent)) for one in reading.records if isinstance(one, Document)] == [
        (None, {"name_count"})
    ]
    assert [kind.table for kind, _ in reading.complete] == ["recorder.document_code"]
    assert spider.parse_document(orjson.dumps(whole | {"names": "AGAVE"}), _target(number)).follow_ons == []
    # By a day of another year nobody can tell whether names will come: a person is told.
    reading = spider.parse_document(orjson.dumps(whole | {"recordingDate": "3-24-2015"}), _target(number))
    assert reading.follow_ons == []
    assert {issue.kind for issue in reading.issues} == {"year_differs", "no_names"}


def test_an_odd_entry_of_the_list_of_codes_costs_itself() -> None:
    spider = _spider()
    entries = [
        {"docType": "NS", "docLongName": "NOTICE"},
        {"docType": "LP", "docLongName": 7},
        {"docType": 5, "docLongName": "X"},
        "FL",
    ]
    detail = DaysDetail(since=dt.date(2025, 3, 3), until=dt.date(2025, 3, 4))
    reading = spider.parse_codes(orjson.dumps(entries), Target(1, "recorder", "codes", "all", detail=detail))
    assert [one.key.split()[0] for one in reading.follow_ons] == ["NS", "LP"]
    assert [one.query_code for one in reading.records if isinstance(one, CodeLabel)] == ["NS"]
    assert reading.unread == ("code_label",)
    assert reading.shortfall == "documents of the codes 5, 'FL' were not searched"


_WORLD = Documents(1, dt.date(2025, 4, 15))
_LISTED: dict[str, Any] = {
    "code": "LN",
    "since": "2025-04-08",
    "until": "2025-04-08",
    "cursor": "0",
    "seen": 0,
}


def _legacy_list(edit: Any = lambda body: body, **detail: Any) -> Any:
    body = legacy_list(
        _WORLD, {"bdt": "04/08/2025", "edt": "04/08/2025", "cde": "LN", "max": "250"}
    ).body.decode()
    return _legacy().parse_list(
        edit(body).encode(),
        Target(1, "recorder_legacy", "list", "LN", detail=LegacyListDetail(**_LISTED | detail)),
    )


_NUMBERS = [facts.number for facts in _WORLD.of_code("LN", dt.date(2025, 4, 8), dt.date(2025, 4, 8))]
_CELL = "<td>04/08/2025</td>"


@pytest.mark.parametrize(
    ("old", "new", "lost", "state", "kinds"),
    [
        ("", "", 0, "walked", set()),
        (_CELL, "<td>soon</td>", 0, "unread", {"unread_section"}),
        (f">{_NUMBERS[1]}<", ">pending<", 1, "unread", {"unread_section"}),
        (_CELL, "<td>04/08/2014</td>", 0, "walked", {"year_differs"}),
        ("DOCUMENT CODE", "CODE", 0, "walked", {"new_field", "absent_field"}),
    ],
)
def test_rows_of_a_legacy_list_are_read_each_by_itself(
    old: str, new: str, lost: int, state: str, kinds: set[str]
) -> None:
    reading = _legacy_list(lambda body: body.replace(old, new, 1))
    assert len(reading.follow_ons) == len(_NUMBERS) - lost
    (window,) = reading.records
    unread = ("row",) if state == "unread" else ()
    assert (window.state, window.row_count, reading.unread) == (state, len(_NUMBERS), unread)
    assert _kinds([reading]) == kinds


@pytest.mark.parametrize(
    ("old", "new"),
    [(_CELL, "<td>04/09/2025</td>"), ("RECORDING DATE", "RECORDED"), ("RECORDING NUMBER", "NUMBER")],
)
def test_a_legacy_list_of_other_days_or_columns_is_refused(old: str, new: str) -> None:
    with pytest.raises(SourceChanged, match="Grid1"):
        _legacy_list(lambda body: body.replace(old, new, 1))


@pytest.mark.parametrize("shown", [_NUMBERS[0], "pending"])
def test_the_first_row_of_a_list_that_goes_on_is_the_last_one_of_the_list_before(shown: str) -> None:
    reading = _legacy_list(
        lambda body: body.replace(f">{_NUMBERS[0]}<", f">{shown}<"), cursor=_NUMBERS[0], seen=1
    )
    assert [one.key for one in reading.follow_ons] == _NUMBERS[1:]


def test_a_list_that_goes_on_elsewhere_is_refused() -> None:
    with pytest.raises(SourceChanged, match="begins with"):
        _legacy_list(cursor="20250000001", seen=1)


def test_a_legacy_page_with_an_odd_cell_stores_the_others() -> None:
    number, at = "20250000101", "ctl00_ContentPlaceHolder1_"
    fields = {
        "lblRecDocName": "AGAVE ALICE<br>",
        "lblRecDocCode": "LIEN<br>",
        "lblRecDate": "today",
        "lblRecNum": number,
    }
    body = "".join(f'<span id="{at}{name}">{text}</span>' for name, text in fields.items())
    body += f'<input id="{at}hidcde" value="LN">'
    reading = answered(_legacy().parse_page(body.encode(), Target(1, "recorder_legacy", "page", number)))
    document, pair = reading.records
    assert (document.names, document.query_code, document.recorded_at) == (["AGAVE ALICE"], "LN", None)
    assert {"recorded_at", "page_amount", "docket_book"} < document.absent
    assert (reading.unread, pair.query_code) == (("recorded_at",), "LN")
    assert _kinds([reading]) == {"unread_section", "absent_field"}
