"""What a search of the recorder is held against: totals, pages, repeats, codes; its pages are answered here,
without a server.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from scrapy.http import TextResponse

from maricopa_scrapy.configuration import load
from maricopa_scrapy.items import Answer, Target
from maricopa_scrapy.pace.answer_check import Refusal
from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.sources.recorder.api_requests import PHOENIX
from maricopa_scrapy.sources.recorder.legacy_requests import LegacyPages
from maricopa_scrapy.sources.recorder.records import Document, Neighbour, SearchWindow
from maricopa_scrapy.sources.recorder.spider import DocumentsSpider
from maricopa_scrapy.sources.recorder.target_details import DocumentDetail, LegacyListDetail, WindowDetail
from tests.helpers.answers import answered

DAY = dt.date(2025, 3, 12)
Row = dict[str, Any]


def _row(running: int, code: str = "LIEN", day: str = "3-12-2025", name: str = "") -> Row:
    return {
        "names": name,
        "recordingNumber": 20250000000 + running,
        "recordingSuffix": "",
        "recordingDate": day,
        "documentCode": code,
        "docketBook": "",
        "pageMap": "",
    }


def _spider() -> DocumentsSpider:
    return DocumentsSpider.reader(load()[1])


def _legacy() -> LegacyPages:
    reader = LegacyPages("recorder_legacy")
    reader.manifest = load()[1]["recorder_legacy"]
    return reader


def _walk(answer: Callable[[int], list[Row]], total: int, **given: str) -> tuple[list[Answer], set[str]]:
    """Answer page after page of one day; returns what each was read as, and the documents that are asked
    for.
    """
    spider = _spider()
    work = spider.work({"since": str(DAY), "until": str(DAY), "codes": "LN"} | given)
    wanted = next(one for one in work.targets if one.kind == "window")
    readings: list[Answer] = []
    found: set[str] = set()
    while len(readings) < 1200:
        detail = WindowDetail.of(wanted)
        at = detail.page
        body = orjson.dumps({"searchResults": answer(at), "totalResults": total if at == 1 else -1})
        reading = spider.parse_window(body, Target(1, "recorder", "window", wanted.key, detail=detail))
        readings.append(reading)
        found |= {one.key for one in reading.follow_ons if one.kind == "document"}
        again = [one for one in reading.follow_ons if one.kind == "window"]
        if not again:
            return readings, found
        wanted = again[0]
    raise AssertionError("it has no end")


def _window(readings: list[Answer]) -> SearchWindow:
    (window,) = (record for record in readings[-1].records if isinstance(record, SearchWindow))
    return window


def _pages(rows: list[Row], size: int = 200) -> Callable[[int], list[Row]]:
    return lambda at: rows[(at - 1) * size : at * size]


def test_a_row_that_comes_twice_does_not_stand_for_one_that_is_missing() -> None:
    rows = [_row(n) for n in range(1, 300)]
    # The last of the first page comes again on the second, and the 300th never.
    readings, found = _walk(lambda at: rows[:200] if at == 1 else rows[199:299] if at == 2 else [], 300)
    assert (_window(readings).state, _window(readings).row_count) == ("short", 299)
    assert len(found) == 299
    assert "300 rows were reported, 299 came" in (readings[-1].shortfall or "")
    readings, _ = _walk(_pages([*rows[:50], rows[10]]), 51)
    assert (_window(readings).state, _window(readings).row_count) == ("short", 50)


def test_smaller_pages_than_were_asked_for_are_read_on() -> None:
    rows = [_row(n) for n in range(1, 96)]
    readings, found = _walk(_pages(rows, 20), 95)
    assert (_window(readings).state, len(found), readings[-1].shortfall) == ("complete", 95, None)


def test_a_server_that_repeats_its_last_page_leaves_the_window_short() -> None:
    rows = [_row(n) for n in range(1, 40)]
    readings, found = _walk(lambda _: rows, 41)
    assert (_window(readings).state, _window(readings).row_count, len(found)) == ("short", 39, 39)


@pytest.mark.parametrize(("hidden", "state"), [((), "walked"), ((350,), "short"), ((3, 4, 399), "short")])
def test_a_day_over_the_cap_is_short_where_a_page_before_its_last_has_a_gap(
    hidden: tuple[int, ...], state: str
) -> None:
    def answer(at: int) -> list[Row]:
        return [_row(n) for n in range((at - 1) * 200 + 1, min(at * 200, 634) + 1) if n not in hidden]

    readings, found = _walk(answer, 501)
    assert (_window(readings).state, _window(readings).row_count, len(found)) == (
        state,
        634 - len(hidden),
        634 - len(hidden),
    )
    assert (readings[-1].shortfall is None) == (not hidden)
    if hidden:
        assert f"pages before the last lack {len(hidden)}" in (readings[-1].shortfall or "")


def test_pages_without_an_end_are_no_end() -> None:
    readings, _ = _walk(lambda at: [_row(2 * at + n) for n in (1, 2)], 501)
    assert _window(readings).state == "saturated"
    assert "no end" in (readings[-1].shortfall or "")


def test_more_rows_than_were_reported_and_rows_of_all_codes_are_refused() -> None:
    with pytest.raises(SourceChanged, match="totalResults"):
        _walk(_pages([_row(n) for n in range(1, 8)]), 0)
    # A code whose display code nobody knows: the code was ignored, the days were not.
    with pytest.raises(SourceChanged, match="code that was asked for"):
        _walk(_pages([_row(1, "LIEN"), _row(2, "WAR DEED"), _row(3, "JUDGMENT")]), 3, codes="ZZ")


def test_a_row_without_a_date_is_a_document_and_one_without_a_number_is_not() -> None:
    rows = [
        _row(1),
        _row(2, day=""),
        _row(3) | {"recordingNumber": 0, "recordingDate": ""},
        _row(4) | {"recordingNumber": "0"},
    ]
    readings, found = _walk(_pages(rows), 4)
    assert found == {"20250000001", "20250000002"}
    assert (_window(readings).state, _window(readings).junk_rows) == ("complete", 2)


def test_a_404_for_a_document_that_a_search_listed_does_not_say_that_there_is_none() -> None:
    spider = _spider()
    body = orjson.dumps({"searchResults": [_row(1)], "totalResults": 1})
    wanted = next(
        one
        for one in spider.work({"since": str(DAY), "until": str(DAY), "codes": "LN"}).targets
        if one.kind == "window"
    )
    (listed,) = spider.parse_window(
        body, Target(1, "recorder", "window", wanted.key, detail=wanted.detail)
    ).follow_ons
    response = TextResponse("http://127.0.0.1/", status=404, body=b'{"status": 404}')
    for detail, is_none in ((listed.detail, False), (None, True)):
        assert (
            spider.says_none(response, Target(2, "recorder", "document", listed.key, detail=detail))
            is is_none
        )
    with pytest.raises(Refusal):
        spider.check_answer(response)


def test_an_owner_s_long_name_is_asked_for_as_the_index_cuts_it() -> None:
    owner = "CONSOLIDATED SONORAN DESERT FOOTHILLS HOLDINGS AND DEVELOPMENT COMPANY LLC"
    spider = _spider()
    work = spider.work({"owner": owner, "since": str(DAY), "until": str(DAY)})
    wanted = next(one for one in work.targets if one.kind == "window")
    assert WindowDetail.of(wanted).query == {"businessNames": owner[:54]}
    body = orjson.dumps({"searchResults": [_row(1, name=owner[:54])], "totalResults": 1})
    reading = answered(
        spider.parse_window(body, Target(1, "recorder", "window", wanted.key, detail=wanted.detail))
    )
    assert {one.key for one in reading.follow_ons} == {"20250000001"}
    assert reading.records[0].owner == owner


def _detail(number: str, day: dt.date, names: list[str]) -> bytes:
    said = f"{day.month}-{day:%d-%Y}"
    return orjson.dumps(
        {
            "names": names,
            "documentCodes": ["WAR DEED"],
            "recordingDate": said,
            "recordingNumber": number,
            "pageAmount": 2,
            "docketBook": 0,
            "pageMap": 0,
            "affidavitPresent": True,
            "affidavitPageAmount": 1,
            "restricted": False,
        }
    )


def test_a_fresh_deed_is_tied_to_its_neighbours_once_both_are_indexed() -> None:
    spider, today = _spider(), dt.datetime.now(PHOENIX).date()
    deed, loan, names = f"{today.year}0000101", f"{today.year}0000102", ["AGAVE ALICE", "SAGUARO SAM"]
    first = spider.parse_document(
        _detail(deed, today, []),
        Target(1, "recorder", "document", deed, detail=DocumentDetail(neighbours=True)),
    )
    (again,) = first.follow_ons
    assert (again.key, again.not_before is not None) == (f"{deed} again 1", True)
    indexed = spider.parse_document(
        _detail(deed, today, names), Target(2, "recorder", "document", again.key, detail=again.detail)
    )
    beside = indexed.follow_ons[0]
    assert [one.key for one in indexed.follow_ons] == [f"{deed}+1", f"{deed}+2"]
    fresh = spider.parse_neighbour(
        _detail(loan, today, []), Target(3, "recorder", "neighbour", beside.key, detail=beside.detail)
    )
    assert not [record for record in fresh.records if isinstance(record, Neighbour)]
    (later,) = fresh.follow_ons
    assert (later.kind, later.key) == ("neighbour", f"{deed}+1 again 1")
    tied = spider.parse_neighbour(
        _detail(loan, today, names[:1]), Target(4, "recorder", "neighbour", later.key, detail=later.detail)
    )
    assert [
        (one.recording_number, one.deed_number) for one in tied.records if isinstance(one, Neighbour)
    ] == [(loan, deed)]
    assert [one.name_count for one in tied.records if isinstance(one, Document)] == [1]
    # What can never be asked again is asked for with what there is.
    old = spider.parse_document(
        _detail("20130000101", dt.date(2013, 2, 27), []),
        Target(5, "recorder", "document", "20130000101", detail=DocumentDetail(neighbours=True)),
    )
    assert [one.key for one in old.follow_ons] == ["20130000101+1", "20130000101+2"]


def test_a_legacy_page_without_names_is_asked_for_again() -> None:
    reader, today = _legacy(), dt.datetime.now(PHOENIX).date()
    number, at = f"{today.year}0000101", "ctl00_ContentPlaceHolder1_"

    def page(names: str, day: dt.date = today) -> bytes:
        spans = {
            "lblRecDocName": names,
            "lblRecDocCode": "LIEN<br>",
            "lblRecDate": f"{day.month}/{day.day}/{day.year} 8:47:00 AM",
            "lblRecNum": f"{day.year}0000101",
        }
        return "".join(f'<span id="{at}{name}">{text}</span>' for name, text in spans.items()).encode()

    fresh = answered(reader.parse_recent(page(""), Target(1, "recorder_legacy", "page", number)))
    (again,) = fresh.follow_ons
    assert (again.kind, again.key, again.not_before is not None) == ("page", f"{number} again 1", True)
    named = answered(
        reader.parse_page(
            page("AGAVE ALICE<br>"), Target(2, "recorder_legacy", "page", again.key, detail=again.detail)
        )
    )
    assert (named.records[0].names, named.follow_ons) == (["AGAVE ALICE"], [])
    old = answered(
        reader.parse_recent(
            page("", dt.date(2013, 2, 27)), Target(3, "recorder_legacy", "page", "20130000101")
        )
    )
    assert old.follow_ons == []


def test_a_legacy_list_without_rows_has_a_cause() -> None:
    reader = _legacy()
    since, until = dt.date(2025, 3, 3), dt.date(2025, 3, 4)
    detail = LegacyListDetail(code="NS", since=since, until=until, cursor="0", seen=0)
    with pytest.raises(SourceChanged, match="Grid1"):
        reader.parse_list(
            b'<html><table id="ctl00_ContentPlaceHolder1_Grid1"></table></html>',
            Target(1, "recorder_legacy", "list", "NS", detail=detail),
        )
