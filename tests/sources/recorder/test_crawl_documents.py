"""`scrapy crawl documents` against the sandbox's recorder: by number, and by code and days."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.recorder.codes import DISPLAY
from maricopa_scrapy.sources.recorder.spider import DocumentsSpider
from tests.conftest import Crawler, Database
from tests.helpers.recorder import SANDBOX, TODAY, agrees, crawler, documents, stored, truth

Start = Callable[..., SandboxProcess]
MARCH = (dt.date(2025, 3, 1), dt.date(2025, 3, 31))


def _numbers(count: int) -> list[str]:
    """Numbers of documents of all times."""
    years = [1948, 1965, 1979, 1999, 2004, 2013, 2022, 2024]
    found = [f"{years[n % len(years)]}{1 + n * 7919 % 1_200_000:07d}" for n in range(count)]
    return [number for number in found if documents().find(number)]


def _list(tmp_path: Path, lines: list[str]) -> str:
    path = tmp_path / "numbers.txt"
    path.write_text("\n".join(lines) + "\n")
    return f"recording_numbers={path}"


def test_documents_by_number_are_the_sandbox_s_truth(
    tmp_path: Path, database: Database, county: Start
) -> None:
    numbers, none = _numbers(200), ["20131299999", "19470000000"[:-1] + "9"]
    absent = [number for number in [*none, "20251299998"] if documents().find(number) is None]
    lines = [
        "recording number",
        *(f"{n[:4]}-{n[4:]}" if i % 2 else n for i, n in enumerate(numbers)),
        *numbers[:9],
        *absent,
    ]
    sandbox = county(track=True, **SANDBOX)
    crawl = Crawler(database, sandbox.url)("documents", "-a", _list(tmp_path, lines))
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": len(numbers) + 1, "gone": len(absent)}
    assert stored(database) == {number: truth(documents().find(number)) for number in numbers}
    assert set(sandbox.stats()["recorder"]["fetched"].values()) == {1}
    assert "WARNING" not in crawl.log
    assert (
        f"{len(numbers) + len(absent)} documents ({len(lines) - 1} given, 9 duplicates, 0 lines skipped)"
        in crawl.log
    )
    assert database.one("SELECT complete_until FROM recorder.name_index") == TODAY
    urls = database.rows("SELECT recording_number, image_url FROM recorder.document")
    assert {url for _, url in urls} == {
        f"https://publicapi.recorder.maricopa.gov/preview/pdf?recordingNumber={number}&suffix="
        for number, _ in urls
    }
    agrees(database)


MISTAKES: list[tuple[dict[str, str], str]] = [
    ({}, r"give one of -a recording_numbers="),
    ({"recording_numbers": "20261870426.0"}, r"neither a recording number .* nor a file"),
    ({"recording_numbers": "2001-0849180,000000267"}, r"'000000267' is not a recording number"),
    ({"since": "2025-03-01", "codes": "N/TR SALE"}, r"'N/TR SALE' is no query code"),
    ({"since": "2025-03-01", "until": "2999-01-01"}, r"`until`: 2999-01-01 is after today in Arizona"),
    ({"since": "2025-03-05", "until": "2025-03-01"}, r"`since`: 2025-03-05 is after until"),
    ({"since": "1901-01-01"}, r"is before 1947-01-01"),
    ({"owner": "WYATT PAUL", "codes": "NS"}, r"`codes`: does not go with `owner`"),
    ({"recording_numbers": "2001-0849180", "since": "2025-03-01"}, r"cannot be given together"),
]


@pytest.mark.parametrize(("given", "message"), MISTAKES)
def test_a_mistake_is_told(given: dict[str, str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        DocumentsSpider.read_arguments(given)


def test_a_mistake_is_one_line_and_exit_code_2(database: Database) -> None:
    crawl = Crawler(database, "http://127.0.0.1:9", rate=None)(
        "documents", "-a", "recording_numbers=20261870426.0"
    )
    assert crawl.code == 2, crawl.log
    assert len(crawl.error_lines()) == 1
    assert "Traceback" not in crawl.log
    assert database.one("SELECT count(*) FROM crawl.job") == 0


def test_a_month_by_code_is_found_whole_and_the_day_over_the_cap_is_read_on(
    tmp_path: Path, database: Database, county: Start
) -> None:
    world = documents(daily=100, rush=620)
    sandbox = county(recorder_daily=100, recorder_rush=620, track=True, **SANDBOX)
    crawl = Crawler(database, sandbox.url, rate=1500)(
        "documents", "-a", f"since={MARCH[0]}", "-a", f"until={MARCH[1]}"
    )
    assert crawl.code == 0, crawl.log
    expected = {facts.number: truth(facts) for day in world.days(*MARCH) for facts in world.of_day(day)}
    assert stored(database) == expected
    assert len(expected) > 2500
    # Each once, although those with two codes are found twice.
    assert set(sandbox.stats()["recorder"]["fetched"].values()) == {1}
    states = dict(database.rows("SELECT state, count(*) FROM recorder.search_window GROUP BY state"))
    assert states.keys() == {"complete", "split", "walked"}
    assert database.rows(
        "SELECT query, since, row_count, total FROM recorder.search_window WHERE state = 'walked'"
    ) == [
        (
            "LN",
            dt.date(2025, 3, 12),
            len(world.of_code("LN", dt.date(2025, 3, 12), dt.date(2025, 3, 12))),
            501,
        )
    ]
    found = database.rows(
        "SELECT query, sum(row_count) FROM recorder.search_window WHERE state IN ('complete', 'walked') GROUP"
        " BY query"
    )
    assert {code: rows for code, rows in found if rows} == {
        code: len(rows) for code in DISPLAY if (rows := world.of_code(code, *MARCH))
    }
    assert database.rows("SELECT kind, signature FROM crawl.issue") == [("walked_window", "LN 2025-03-12")]
    pairs = dict(
        database.rows("SELECT query_code, display_code FROM recorder.code WHERE display_code IS NOT NULL")
    )
    assert pairs == {code: display for code, display in DISPLAY.items() if world.of_code(code, *MARCH)}
    assert database.one("SELECT count(label) FROM recorder.code") == len(DISPLAY)
    agrees(database)
    # A search that its halves, each whole by its own total, do not add up to.
    database.rows(
        "UPDATE recorder.search_window SET total = 500 WHERE query = 'LN' AND state = 'split' RETURNING 1"
    )
    parts = database.rows(
        "UPDATE recorder.search_window SET row_count = 7 WHERE query = 'LN' AND state <> 'split' RETURNING 1"
    )
    told = f"LN {MARCH[0]} to {MARCH[1]}: 500 rows were reported, and the days of it have {7 * len(parts)};"
    session = Session(database.url)
    assert any(told in problem for problem in verify.problems(session))
    session.close()


def test_hidden_rows_are_told_by_the_days_that_are_short(
    tmp_path: Path, database: Database, county: Start
) -> None:
    world = documents(daily=150)
    sandbox = county(recorder_daily=150, **SANDBOX)
    sandbox.faults({"hidden_rows": 0.02}, source="recorder")
    asked = ("documents", "-a", "since=2025-03-03", "-a", "until=2025-03-14", "-a", "codes=NS, as,WD,LN")
    crawl = Crawler(database, sandbox.url, rate=1500)(*asked)
    assert crawl.code == 4, crawl.log
    got = {number for (number,) in database.rows("SELECT recording_number FROM recorder.document")}
    short = set()
    for code in ("NS", "AS", "WD", "LN"):
        for day in world.days(dt.date(2025, 3, 3), dt.date(2025, 3, 14)):
            there = world.of_code(code, day, day)
            missing = [facts for facts in there if facts.number not in got]
            if missing:
                short.add((code, day, len(there), len(there) - len(missing)))
    assert short
    reported = database.rows(
        "SELECT query, since, total, row_count FROM recorder.search_window WHERE state = 'short' AND since ="
        " until"
    )
    # A document of two codes is hidden from both searches, and missing in both.
    assert set(reported) == short
    shortfall = database.one("SELECT shortfall FROM crawl.job")
    for code, day, total, rows in short:
        assert f"{code} of {day}: {total} rows were reported, {rows} came" in shortfall
    assert database.one("SELECT count(*) FROM crawl.issue WHERE kind = 'short_window'") == len(short)
    assert database.rows("SELECT verdict FROM crawl.job") == [("incomplete",)]


def test_an_answer_whose_filter_was_dropped_stores_nothing(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(**SANDBOX)
    sandbox.faults({"dropped_filter": 1.0}, source="recorder")
    crawl = Crawler(database, sandbox.url)(
        "documents", "-a", "since=2025-03-03", "-a", "until=2025-03-04", "-a", "codes=NS,DC"
    )
    assert crawl.code == 3, crawl.log
    assert database.rows("SELECT key, cause FROM crawl.target WHERE state = 'dead' ORDER BY key") == [
        ("DC 2025-03-03..2025-03-04 page=1", "source_changed"),
        ("NS 2025-03-03..2025-03-04 page=1", "source_changed"),
    ]
    assert database.one("SELECT count(*) FROM recorder.document") == 0
    assert "dropped" in database.one("SELECT message FROM crawl.issue LIMIT 1")
    agrees(database)


def test_a_400_is_a_mistake_of_ours_and_not_tried_again(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(**SANDBOX)
    run = crawler(tmp_path, database, sandbox, search_page_size=500)
    crawl = run("documents", "-a", "since=2025-03-03", "-a", "until=2025-03-04", "-a", "codes=NS")
    assert crawl.code == 3, crawl.log
    assert sandbox.stats()["recorder"]["by_kind"]["search"] == 1
    assert database.rows("SELECT state, cause FROM crawl.target WHERE kind = 'window'") == [
        ("dead", "refused")
    ]


def test_a_number_with_a_suffix_is_not_asked_for_as_if_it_had_none(database: Database, county: Start) -> None:
    sandbox = county(**SANDBOX)
    crawl = Crawler(database, sandbox.url)("documents", "-a", "recording_numbers=2000-0784158A")
    assert crawl.code == 3, crawl.log
    assert sandbox.stats()["recorder"]["by_kind"].get("document", 0) == 0
    ((state, message),) = database.rows("SELECT state, message FROM crawl.target WHERE kind = 'document'")
    assert (state, "via=legacy" in message) == ("dead", True)


@pytest.mark.parametrize("fault", ["challenge", "soft_404"])
def test_a_page_where_json_is_due_ends_the_run(
    tmp_path: Path, database: Database, county: Start, fault: str
) -> None:
    sandbox = county(**SANDBOX)
    sandbox.faults({fault: 1.0}, source="recorder")
    crawl = Crawler(database, sandbox.url, rate=20)("documents", "-a", _list(tmp_path, _numbers(30)))
    assert crawl.code == 5, crawl.log
    assert set(database.states()) == {"pending"}
    assert sandbox.stats()["recorder"]["requests"] <= 4
