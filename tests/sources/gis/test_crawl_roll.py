"""`scrapy crawl roll` over the sandbox's layers: whole walks, what a second one changes, kills, faults, and
refusals.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Crawler, Database
from tests.helpers.rolls import agrees, apns, as_text, crawler, layer, stored, truth

Start = Callable[..., SandboxProcess]
_ROLLS = (
    "SELECT layer, state, row_count, received, parcels, duplicates, missing FROM gis.roll ORDER BY job_id,"
    " walk"
)


def test_the_whole_county_is_stored_exactly(tmp_path: Path, database: Database, county: Start) -> None:
    expected = layer(9000)
    sandbox = county(gis_parcels=9000)
    crawl = crawler(tmp_path, database, sandbox, page=2000)("roll")
    assert crawl.code == 0, crawl.log
    assert stored(database) == truth(expected)
    assert database.rows(_ROLLS) == [
        ("E", "complete", 9000, 9000, 9000 - expected.stacked, expected.stacked, 0)
    ]
    assert expected.stacked
    stats = sandbox.stats()["gis"]
    pages = -(-expected.ids[-1] // 2000)
    assert {kind: count for kind, count in stats["by_kind"].items() if count} == {
        "layer": 1,
        "statistics": 2,
        "page": pages,
        "count": 1,
    }
    assert stats["unknown_paths"] == []
    assert database.states() == {"done": pages + 3}
    assert database.one("SELECT count(*) FROM gis.seen") == 0
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    assert database.one("SELECT count(*) FROM crawl.capture") >= pages
    apn, address, source = database.rows(
        "SELECT apn, property_address, source FROM property ORDER BY apn LIMIT 1"
    )[0]
    assert (address, source) == (
        database.one("SELECT property_address FROM gis.parcel WHERE apn = %s", apn),
        "gis",
    )
    agrees(database)


@pytest.mark.parametrize("name", ["E", "A"])
def test_a_second_roll_records_exactly_what_changed(
    tmp_path: Path, database: Database, county: Start, name: str
) -> None:
    # Stacked rows of layer A differ by their floor, and stand on another page than the first.
    before, after = layer(8000), layer(8000, epoch=1)
    arguments = ("roll", "-a", f"layer={name}", "-a", "captures=failures")
    assert crawler(tmp_path, database, county(gis_parcels=8000), page=500)(*arguments).code == 0
    assert stored(database) == truth(before)
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    versions = dict(database.rows("SELECT apn, xmin::text FROM gis.parcel"))

    crawl = crawler(tmp_path, database, county(gis_parcels=8000, epoch=1), page=500)(*arguments)
    assert crawl.code == 0, crawl.log
    expected = {
        (apn, field, as_text(field, old), as_text(field, new)) for apn, field, old, new in after.changes(0)
    }
    changes = database.rows(
        "SELECT key->>'apn', field, old, new FROM crawl.change WHERE table_name = 'gis.parcel'"
    )
    assert len(changes) == len(expected) > 100
    assert set(changes) == expected
    changed = {apn for apn, *_ in expected}
    again = dict(database.rows("SELECT apn, xmin::text FROM gis.parcel"))
    assert {apn for apn in again if again[apn] != versions[apn]} == changed
    assert database.one("SELECT count(*) FROM crawl.capture WHERE body IS NOT NULL") == 0
    agrees(database)


def test_killed_three_times_amid_faults_it_still_ends_exactly(
    tmp_path: Path, database: Database, county: Start
) -> None:
    expected = layer(8_000)
    sandbox = county(gis_parcels=8_000, latency=0.02)
    faults = dict.fromkeys(("server_error", "error_body", "malformed", "short_page"), 0.0125)
    sandbox.faults(faults, source="gis")
    crawl = crawler(tmp_path, database, sandbox, page=40, rate=60, attempts=8)
    arguments: tuple[str, ...] = ("roll",)
    for kill in range(3):
        process = crawl.start(*arguments)
        goal = (kill + 1) * 40
        while database.states().get("done", 0) < goal:
            time.sleep(0.05)
            assert process.poll() is None
        time.sleep(random.uniform(0, 0.5))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        arguments = ("roll", "-a", "job=1")
    last = crawl(*arguments)
    assert last.code == 0, last.log
    assert stored(database) == truth(expected)
    assert database.rows(_ROLLS) == [
        ("E", "complete", 8_000, 8_000, 8_000 - expected.stacked, expected.stacked, 0)
    ]
    assert sum(sandbox.stats()["gis"]["faults"].values()) > 3
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    agrees(database)


def test_a_page_short_by_one_row_is_found_with_and_without_gaps_in_the_ids(
    tmp_path: Path, database: Database, county: Start
) -> None:
    for number, existing in enumerate((0.98, 1.0), start=1):
        sandbox = county(gis_parcels=2000, existing=existing)
        sandbox.faults({"short_page": {"probability": 1.0, "count": 2}}, source="gis")
        crawl = crawler(tmp_path, database, sandbox)("roll", "-a", "accept_shrink=yes")
        assert crawl.code == 0, crawl.log
        assert stored(database) == truth(layer(2000, existing=existing))
        assert database.one("SELECT received FROM gis.roll WHERE job_id = %s", number) == 2000
        # A layer without gaps tells at once, one with gaps at the end.
        again = database.one(
            "SELECT count(*) FROM crawl.target WHERE job_id = %s AND key LIKE '%% again %%'", number
        )
        assert (again > 0) == (existing < 1)
    agrees(database)


def test_a_range_that_fails_for_good_leaves_the_roll_incomplete(
    tmp_path: Path, database: Database, county: Start
) -> None:
    crawl = crawler(tmp_path, database, county(gis_parcels=1000))("roll")
    assert crawl.code == 0, crawl.log
    sandbox = county(gis_parcels=500)
    sandbox.faults({"error_body": {"probability": 1.0, "count": 2}}, source="gis")
    crawl = crawler(tmp_path, database, sandbox, attempts=1, concurrency=1)("roll")
    assert crawl.code == 4, crawl.log
    assert "failed for good" in database.one("SELECT shortfall FROM crawl.job WHERE id = 2")
    assert database.states(2)["dead"] == 2
    assert {cause for (cause,) in database.rows("SELECT cause FROM crawl.target WHERE state = 'dead'")} == {
        "server_error"
    }
    assert database.one("SELECT count(*) FROM gis.parcel WHERE removed_at IS NOT NULL") == 0
    assert database.one("SELECT state FROM gis.roll WHERE job_id = 2") == "incomplete"


def test_a_layer_that_is_down_is_tried_twice_before_the_next(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(gis_parcels=300)
    sandbox.faults({"server_error": {"probability": 1.0, "kind": "layer", "count": 2}}, source="gis")
    crawl = crawler(tmp_path, database, sandbox)("roll")
    assert crawl.code == 0, crawl.log
    assert database.rows("SELECT DISTINCT layer FROM gis.parcel") == [("C",)]


def test_a_new_field_is_an_issue_and_the_roll_goes_on(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(gis_parcels=300)
    sandbox.faults({"new_field": 1.0}, source="gis")
    crawl = crawler(tmp_path, database, sandbox)("roll")
    assert crawl.code == 0, crawl.log
    ((kind, message),) = database.rows("SELECT kind, message FROM crawl.issue")
    assert kind == "new_field"
    assert "GreenScore" in message


def test_parcels_that_a_roll_has_not_seen_are_marked_and_those_that_return_unmarked(
    tmp_path: Path, database: Database, county: Start
) -> None:
    whole, fewer = layer(3000), layer(2960)
    assert crawler(tmp_path, database, county(gis_parcels=3000))("roll").code == 0
    assert crawler(tmp_path, database, county(gis_parcels=2960))("roll").code == 0
    gone = apns(whole) - apns(fewer)
    missing = {apn for (apn,) in database.rows("SELECT apn FROM gis.parcel WHERE removed_at IS NOT NULL")}
    assert missing == gone != set()
    assert database.one("SELECT missing FROM gis.roll WHERE job_id = 2") == len(gone)
    assert database.one(
        "SELECT count(*) FROM crawl.change WHERE field = 'removed_at' AND new IS NOT NULL"
    ) == len(gone)
    assert crawler(tmp_path, database, county(gis_parcels=3000))("roll").code == 0
    assert database.one("SELECT count(*) FROM gis.parcel WHERE removed_at IS NOT NULL") == 0
    assert database.one(
        "SELECT count(*) FROM crawl.change WHERE field = 'removed_at' AND old IS NOT NULL"
    ) == len(gone)
    agrees(database)


def test_a_county_that_shrinks_is_not_believed_until_a_person_says_so(
    tmp_path: Path, database: Database, county: Start
) -> None:
    assert crawler(tmp_path, database, county(gis_parcels=3000))("roll").code == 0
    smaller = crawler(tmp_path, database, county(gis_parcels=2900))
    crawl = smaller("roll")
    assert crawl.code == 4, crawl.log
    assert "parcels that are stored (" in crawl.log
    assert database.one("SELECT count(*) FROM gis.parcel WHERE removed_at IS NOT NULL") == 0
    assert database.rows("SELECT verdict FROM crawl.job ORDER BY id") == [("completed",), ("incomplete",)]
    assert smaller("roll", "-a", "accept_shrink=yes").code == 0
    assert database.one("SELECT count(*) FROM gis.parcel WHERE removed_at IS NOT NULL") > 90


def test_a_layer_that_was_reloaded_meanwhile_is_walked_anew(
    tmp_path: Path, database: Database, county: Start
) -> None:
    first = county(gis_parcels=4000)
    crawl = crawler(tmp_path, database, first, page=100, rate=30)
    process = crawl.start("roll")
    while database.states().get("done", 0) < 15:
        time.sleep(0.05)
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    last = crawler(tmp_path, database, county(gis_parcels=4050, epoch=1), page=100)("roll", "-a", "job=1")
    assert last.code == 0, last.log
    assert stored(database) == truth(layer(4050, epoch=1))
    states = database.rows("SELECT walk, state, received FROM gis.roll ORDER BY walk")
    assert states == [(1, "reloaded", None), (2, "complete", 4050)]
    assert database.rows("SELECT kind, count FROM crawl.issue") == [("source_reloaded", 1)]
    assert database.states()["gone"] > 5
    agrees(database)


def test_two_runs_share_one_roll(tmp_path: Path, database: Database, county: Start) -> None:
    sandbox = county(gis_parcels=6000, latency=0.05)
    crawl = crawler(tmp_path, database, sandbox, page=100, rate=5)
    first = crawl.start("roll")
    while database.states().get("done", 0) < 3:
        time.sleep(0.05)
    sandbox.conduct(latency=2)
    second = crawl.start("roll", "-a", "job=1")
    while database.one("SELECT count(*) FROM crawl.run") < 2:
        time.sleep(0.05)
    sandbox.conduct(latency=0.05)
    for process in (first, second):
        log, _ = process.communicate(timeout=60)
        assert process.returncode == 0, log
    assert stored(database) == truth(layer(6000))
    assert database.one("SELECT count(DISTINCT run_id) FROM crawl.target WHERE kind = 'range'") == 2
    assert database.one("SELECT state FROM gis.roll") == "complete"
    agrees(database)


def test_outlines_are_geojson_and_only_where_asked_for(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(gis_parcels=400)
    assert crawler(tmp_path, database, sandbox)("roll", "-a", "geometry=polygon").code == 0
    assert (
        database.one("SELECT count(*) FROM gis.outline")
        == database.one("SELECT count(*) FROM gis.parcel")
        == 400
    )
    kinds = (
        "SELECT DISTINCT geometry::jsonb->>'type', jsonb_array_length(geometry::jsonb->'coordinates'->0) FROM"
        " gis.outline"
    )
    assert database.rows(kinds) == [("Polygon", 5)]
    assert crawler(tmp_path, database, sandbox)("roll").code == 0
    assert database.one("SELECT count(*) FROM gis.outline") == 400
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    agrees(database)


MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (("-a", "layer=Z"), "'Z' is not one of E, C, A, D, F"),
    (("-a", "layers=E"), "`layers`: unknown"),
    (("-a", "since=yesterday"), "is not a day; the form is 2026-09-01"),
    (("-a", "since=2126-01-01"), "is after today"),
    (("-a", "apns=165-28-054", "-a", "since=2026-09-01"), "cannot be given together"),
    (("-a", "apns=12-34"), "neither an APN"),
    (("-a", "geometry=circle"), "'circle' is not one of point, polygon"),
    (("-a", "secured_master=missing.txt"), "missing.txt is not a file"),
    (("-a", "since=2026-09-01", "-a", "accept_shrink=yes"), "does not go with `since`"),
    (("-a", "skip_invalid=yes"), "goes with a list of apns"),
    (("-a", "job=9"), "there is no job 9"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    database: Database, arguments: tuple[str, ...], message: str
) -> None:
    crawl = Crawler(database, "http://127.0.0.1:9", rate=None)("roll", *arguments)
    assert crawl.code == 2, crawl.log
    assert len(crawl.error_lines()) == 1
    assert message in crawl.error_lines()[0]
    assert database.one("SELECT count(*) FROM crawl.job") == 0
