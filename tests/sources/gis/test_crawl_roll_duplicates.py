"""Stacked parcels and layers that change under a walk: what stands depends on neither the order of pages nor
on who else is at work.
"""

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.store_and_acknowledge import take_turns
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.sources.gis import layer_walk
from tests.conftest import Crawl, Database, maricopa
from tests.helpers.layer_stub import LayerStub, Query, apn, row
from tests.helpers.rolls import agrees, crawler

Serve = Callable[..., LayerStub]
_STACKED = "SELECT apn, floor, copies FROM gis.duplicate ORDER BY apn, floor"
_CHANGES = "SELECT key->>'apn', field, old, new FROM crawl.change ORDER BY id"


def _floor(number: int, of: int, floor: int) -> dict[str, Any]:
    return row(number, apn(of), "A", FLOOR=floor, OWNER_NAME=f"OWNER {floor}")


def _standing(database: Database, of: int) -> tuple[Any, ...]:
    (found,) = database.rows("SELECT floor, owner_name FROM gis.parcel WHERE apn = %s", apn(of))
    return found


def _whole(query: Query) -> bool:
    return "outFields" in query


@pytest.mark.parametrize("reverse", [False, True])
def test_a_parcel_that_becomes_stacked_keeps_its_lowest_floor_without_a_change(
    database: Database, serve: Serve, crawl: Callable[..., Crawl], reverse: bool
) -> None:
    stub = serve(30, layer="A")
    stub.rows[5] = _floor(5, 5, 1)
    assert crawl(stub, "-a", "layer=A").code == 0
    before = database.rows("SELECT apn, owner_name, changed_at FROM gis.parcel ORDER BY apn")
    # The row of before is repeated as it was; the new floor comes on another page, behind it or ahead of it.
    stub.rows[31 if not reverse else 1] = _floor(31 if not reverse else 1, 5, 2)
    if reverse:
        stub.rows[31] = row(31, apn(1), "A")
    second = crawl(stub, "-a", "layer=A", concurrency=1)
    assert second.code == 0, second.log
    assert _standing(database, 5) == (1, "OWNER 1")
    assert database.rows(_CHANGES) == []
    assert database.rows("SELECT apn, owner_name, changed_at FROM gis.parcel ORDER BY apn") == before
    assert database.rows(_STACKED) == [(apn(5), 1, 1), (apn(5), 2, 1)]
    assert (
        database.one("SELECT count(*) FROM gis.held_row")
        == database.one("SELECT count(*) FROM gis.seen")
        == 0
    )
    # When the lower one is gone, that is one change; then it is stacked no more.
    del stub.rows[5]
    stub.rows[40] = _floor(40, 40, 1)
    third = crawl(stub, "-a", "layer=A")
    assert third.code == 0, third.log
    assert _standing(database, 5) == (2, "OWNER 2")
    assert sorted(database.rows(_CHANGES)) == [
        (apn(5), "floor", "1", "2"),
        (apn(5), "owner_name", "OWNER 1", "OWNER 2"),
    ]
    assert database.rows(_STACKED) == []
    agrees(database)


def test_a_roll_that_falls_short_still_stores_its_stacked_parcels_and_is_finished_by_what_failed(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(30, _floor(31, 77, 2), _floor(32, 77, 1), _floor(33, 78, 3), layer="A")
    stub.rows[15] = _floor(15, 78, 2)
    failure = {"error": {"code": 500, "message": "Error performing query operation"}}
    stub.hook = lambda query: failure if query["where"].startswith("OBJECTID>=11 ") else None
    short = crawl(stub, "-a", "layer=A", attempts=1)
    assert short.code == 4, short.log
    assert _standing(database, 77) == (1, "OWNER 1")
    assert _standing(database, 78) == (3, "OWNER 3")
    stub.hook = lambda query: None
    stub.asked.clear()
    rest = crawl(stub, "-a", "job=1")
    assert rest.code == 0, rest.log
    assert _standing(database, 78) == (2, "OWNER 2")
    assert database.rows(_CHANGES) == []
    assert database.rows("SELECT state, row_count, received, parcels, duplicates FROM gis.roll") == [
        ("complete", 33, 33, 31, 2)
    ]
    # The page that failed, the extent (again when it was read before that), and the count of what came twice.
    assert sum(map(_whole, stub.asked)) == 1
    assert len(stub.asked) in (3, 4)
    assert database.one("SELECT count(*) FROM gis.seen") == 0
    agrees(database)


def test_an_extent_that_comes_after_the_walk_s_end_begins_none(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(30, layer="A")
    assert crawl(stub, "-a", "layer=A").code == 0
    # As when it was asked for again together with what confirms the stacked parcels, and that came first.
    assert database.rows(
        "UPDATE crawl.target SET state = 'pending', done_at = NULL WHERE kind = 'extent' RETURNING 1"
    ) == [(1,)]
    late = crawl(stub, "-a", "job=1")
    assert late.code == 0, late.log
    assert database.rows("SELECT walk, state, received FROM gis.roll") == [(1, "complete", 30)]
    assert database.rows("SELECT DISTINCT state FROM crawl.target") == [("done",)]


def _counts(query: Query) -> bool:
    return "returnCountOnly" in query


def _measures(query: Query) -> bool:
    return "outStatistics" in query


def test_a_walk_that_is_taken_up_does_not_end_by_the_extent_that_was_read_before(
    tmp_path: Path, database: Database, serve: Serve
) -> None:
    stub = serve(30, _floor(31, 7, 2), layer="A")
    held = threading.Event()
    stub.hook = lambda query: held.wait(60) if _counts(query) else None
    process = crawler(tmp_path, database, stub, page=10).start("roll", "-a", "layer=A")
    until = time.monotonic() + 60
    while not any(map(_counts, stub.asked)) and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    # While nobody walked, the layer got a row; what confirms the stacked parcel comes before the extent that
    # says so.
    stub.rows[32] = row(32, apn(32), "A")
    counted = threading.Event()

    def hook(query: Query) -> Any:
        if _counts(query):
            threading.Timer(0.5, counted.set).start()
        elif _measures(query):
            counted.wait(60)
        return None

    stub.hook = hook
    held.set()
    rest = crawler(tmp_path, database, stub, page=10)("roll", "-a", "job=1")
    assert rest.code == 0, rest.log
    assert database.rows("SELECT state, row_count, received FROM gis.roll ORDER BY walk DESC LIMIT 1") == [
        ("complete", 32, 32)
    ]
    assert database.one("SELECT count(*) FROM gis.parcel") == 31
    agrees(database)


def test_the_extent_is_not_asked_for_again_while_a_confirmation_is_open(
    tmp_path: Path, database: Database, serve: Serve
) -> None:
    stub = serve(30, _floor(31, 7, 2), layer="A")
    failure = {"error": {"code": 500, "message": "Error performing query operation"}}
    stub.hook = lambda query: failure if _counts(query) else None
    short = crawler(tmp_path, database, stub, page=10, attempts=1)("roll", "-a", "layer=A")
    assert short.code == 4, short.log
    # A page of the walk comes late, as when two runs had asked for it, and the confirmation is still open.
    database.rows(
        "UPDATE crawl.target SET state = 'pending', attempts = 0, done_at = NULL WHERE kind = 'doubled'"
        " RETURNING 1"
    )
    session = Session(database.url)
    late = Run(1, 1, "gis")
    session.transact(lambda cursor: layer_walk.advance(cursor, late))
    session.close()
    assert database.rows("SELECT DISTINCT state FROM crawl.target WHERE kind = 'extent'") == [("done",)]


def test_of_a_confirmation_no_part_may_fail(tmp_path: Path, database: Database, serve: Serve) -> None:
    stub = serve(30, *(_floor(30 + number, number, 2) for number in range(1, 5)), layer="A")
    failure = {"error": {"code": 500, "message": "Error performing query operation"}}
    asked: list[str] = []

    def hook(query: Query) -> Any:
        if _counts(query):
            asked.append(query["where"])
            # The first part fails for good; the others confirm what came, and come after it.
            if len(asked) == 1:
                return failure
            time.sleep(0.5)
        return None

    stub.hook = hook
    one_by_one = crawler(tmp_path, database, stub, page=10, attempts=1, list=2)
    short = one_by_one("roll", "-a", "layer=A")
    assert len(asked) == 2
    assert short.code == 4, short.log
    assert database.rows("SELECT state, is_confirmed FROM gis.roll") == [("open", False)]
    stub.hook = lambda query: None
    rest = one_by_one("roll", "-a", "job=1")
    assert rest.code == 0, rest.log
    assert database.rows("SELECT state, received, duplicates FROM gis.roll") == [("complete", 34, 4)]
    agrees(database)


def test_a_walk_is_taken_up_before_or_after_another_run_ends_it_and_never_by_half(
    tmp_path: Path, database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(30, layer="A")
    failure = {"error": {"code": 500, "message": "Error performing query operation"}}
    stub.hook = lambda query: failure if query["where"].startswith("OBJECTID>=11 ") else None
    short = crawl(stub, "-a", "layer=A", attempts=1)
    assert short.code == 4, short.log
    stub.hook = lambda query: None
    # As it was before that run ended the walk; then it ends it, while another takes the job up.
    reason = database.one("SELECT shortfall FROM crawl.job")
    database.rows("UPDATE gis.roll SET state = 'open', finished_at = NULL RETURNING 1")
    database.rows("UPDATE crawl.job SET shortfall = NULL RETURNING 1")
    with contextlib.closing(psycopg2.connect(database.url)) as other, other.cursor() as cursor:
        take_turns(cursor, {"gis"})
        cursor.execute("UPDATE gis.roll SET state = 'incomplete', finished_at = now()")
        process = crawler(tmp_path, database, stub, page=10).start("roll", "-a", "job=1")
        until = time.monotonic() + 60
        waits = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type ="
            " 'Lock'"
        )
        runs = "SELECT count(*) FROM crawl.run WHERE state = 'running'"
        while not database.one(runs) and time.monotonic() < until:
            time.sleep(0.02)
        cursor.execute("UPDATE crawl.job SET shortfall = %s", (reason,))
        while not database.one(waits) and time.monotonic() < until:
            time.sleep(0.02)
        other.commit()
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert database.rows("SELECT state, received FROM gis.roll") == [("complete", 30)]
    agrees(database)


def test_two_walks_at_once_do_not_disturb_each_other(
    tmp_path: Path, database: Database, serve: Serve
) -> None:
    stub = serve(100, layer="A")
    for number, of, floor in ((3, 3, 1), (97, 3, 2), (8, 90, 2), (90, 90, 1), (14, 14, 2), (92, 14, 2)):
        stub.rows[number] = _floor(number, of, floor)
    started = crawler(tmp_path, database, stub, page=10, rate=8)
    first = started.start("roll", "-a", "layer=A")
    while database.states().get("done", 0) < 6:
        time.sleep(0.05)
        assert first.poll() is None
    second = started.start("roll", "-a", "layer=A")
    for process in (first, second):
        log, _ = process.communicate(timeout=60)
        assert process.returncode == 0, log
    assert (
        database.rows("SELECT state, received, parcels, duplicates, missing FROM gis.roll")
        == [("complete", 100, 97, 3, 0)] * 2
    )
    assert [_standing(database, of)[0] for of in (3, 90, 14)] == [1, 1, 2]
    assert database.rows(_CHANGES) == []
    assert database.rows(_STACKED) == [
        (apn(3), 1, 1),
        (apn(3), 2, 1),
        (apn(14), 2, 2),
        (apn(90), 1, 1),
        (apn(90), 2, 1),
    ]
    assert database.one("SELECT count(*) FROM gis.held_row") == 0
    agrees(database)


def test_the_deeds_since_a_day_do_not_raise_a_parcel_to_a_higher_floor(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(30, _floor(31, 77, 1), _floor(32, 77, 2), layer="A")
    assert crawl(stub, "-a", "layer=A").code == 0
    # Both have a new deed: the one of the higher floor is alone on its page.
    stub.rows[32]["DEED_NUMBER"] = "X2"
    stub.rows[4]["DEED_NUMBER"] = "X3"
    recent = [4, 32]

    def hook(query: Query) -> Any:
        if "returnIdsOnly" in query:
            return {"objectIds": recent}
        if query["where"].startswith("OBJECTID>="):
            return {
                "features": [
                    one for one in stub.answer(query)["features"] if one["attributes"]["OBJECTID"] in recent
                ]
            }
        return None

    stub.hook = hook
    ended = crawl(stub, "-a", "since=2013-01-01", "-a", "layer=A")
    assert ended.code == 0, ended.log
    assert _standing(database, 77) == (1, "OWNER 1")
    assert database.rows(_CHANGES) == [(apn(4), "deed_number", "X1", "X3")]
    assert [
        query["where"] for query in stub.asked if query["where"].startswith("APN IN") and _whole(query)
    ] == [f"APN IN ('{apn(77)}')"]
    # A list sees all floors as well.
    stub.rows[31]["DEED_NUMBER"] = "X4"
    assert crawl(stub, "-a", f"apns={apn(77)}", "-a", "layer=A").code == 0
    assert database.rows("SELECT floor, deed_number FROM gis.parcel WHERE apn = %s", apn(77)) == [(1, "X4")]
    agrees(database)


def test_a_reload_that_leaves_ids_and_count_as_they_were_is_noticed(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40, _floor(41, 7, 2), layer="A")
    seen = iter(range(1, 100))

    def hook(query: Query) -> Any:
        # The same rows under other ids, as soon as three pages were read.
        if _whole(query) and next(seen) == 4:
            rows = [stub.rows[number] for number in sorted(stub.rows)]
            for number, one in zip(range(1, 42), rows[20:] + rows[:20], strict=True):
                stub.rows[number] = {**one, "OBJECTID": number}
        return None

    stub.hook = hook
    ended = crawl(stub, "-a", "layer=A", concurrency=1)
    assert ended.code == 0, ended.log
    assert database.rows("SELECT walk, state, received, parcels FROM gis.roll ORDER BY walk") == [
        (1, "reloaded", None, None),
        (2, "complete", 41, 40),
    ]
    assert database.one("SELECT count(*) FROM gis.parcel") == 40
    assert database.rows("SELECT kind, count FROM crawl.issue") == [("source_reloaded", 1)]
    # What the roll before had twice needs no second look.
    stub.hook = lambda query: None
    stub.asked.clear()
    assert crawl(stub, "-a", "layer=A").code == 0
    assert len(stub.asked) == 2 + 5
    agrees(database)


def test_a_roll_of_another_layer_writes_no_change_of_what_only_one_has_and_misses_nothing_of_the_other(
    tmp_path: Path, database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    typed = serve(100)
    assert crawl(typed, "-a", "layer=E").code == 0
    # The same county, but for one owner; layer C says it in the same words, and does not have ten of the
    # parcels.
    typed.rows[3]["OwnerName"] = "QUAIL RUN LLC"
    typed.layer = "C"
    gone = {number: typed.rows.pop(number) for number in range(91, 101)}
    second = crawl(typed, "-a", "layer=C")
    assert second.code == 0, second.log
    assert database.rows(_CHANGES) == [(apn(3), "owner_name", "text", "QUAIL RUN LLC")]
    assert database.rows("SELECT layer, count(*) FROM gis.parcel GROUP BY layer ORDER BY layer") == [
        ("C", 1),
        ("E", 99),
    ]
    assert database.one("SELECT count(*) FROM gis.parcel WHERE removed_at IS NOT NULL") == 0
    assert (
        database.one(
            "SELECT count(*) FROM property WHERE last_seen_at < (SELECT max(finished_at) FROM gis.roll)"
        )
        == 10
    )
    # A parcel that layer C had and has no more is missing; what it never had is not.
    del typed.rows[7]
    third = crawl(typed, "-a", "layer=C")
    assert third.code == 0, third.log
    assert database.rows("SELECT apn FROM gis.parcel WHERE removed_at IS NOT NULL") == [(apn(7),)]
    typed.layer = "E"
    typed.rows |= gone
    assert crawl(typed, "-a", "layer=E").code == 0
    assert database.one("SELECT count(*) FROM gis.parcel WHERE removed_at IS NOT NULL") == 1
    # Layer A has other fields: only those that both map are compared.
    changes = database.one("SELECT count(*) FROM crawl.change")
    padded = serve(100, layer="A")
    padded.rows[3]["OWNER_NAME"] = "SAGUARO LLC"
    assert crawl(padded, "-a", "layer=A").code == 0
    fields = {
        field for (field,) in database.rows("SELECT DISTINCT field FROM crawl.change WHERE id > %s", changes)
    }
    both = set.intersection(
        *(
            set(columns)
            for _, columns in database.rows("SELECT layer, columns FROM gis.layer WHERE layer IN ('A', 'E')")
        )
    )
    assert fields <= both | {"removed_at"}
    assert "owner_name" in fields
    assert database.one("SELECT count(floor) FROM gis.parcel") == 100
    agrees(database)


def test_a_removed_parcel_is_marked_in_property_and_was_last_seen_by_the_roll_before(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(60)
    assert crawl(stub).code == 0
    del stub.rows[60]
    assert crawl(stub).code == 0
    stub.rows[61] = row(61, apn(61))
    assert crawl(stub, "-a", f"apns={apn(61)}").code == 0
    ends: list[dt.datetime] = [
        at for (at,) in database.rows("SELECT finished_at FROM gis.roll ORDER BY finished_at")
    ]
    seen = {
        key: (last, removed)
        for key, last, removed in database.rows("SELECT apn, last_seen_at, removed_at FROM property")
    }
    assert seen[apn(1)] == (ends[1], None)
    last, removed = seen[apn(60)]
    assert last == ends[0]
    assert ends[0] < removed < ends[1]
    shown = maricopa(database, "property", apn(60))
    assert "the county's roll has it no more: marked" in shown.stdout
    assert "no more" not in maricopa(database, "property", apn(61)).stdout
    last, removed = seen[apn(61)]
    assert (last > ends[1], removed) == (True, None)
