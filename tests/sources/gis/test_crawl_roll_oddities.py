"""`scrapy crawl roll` over layers with rows and answers that the sandbox's county never has."""

import csv
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records import verify
from tests.conftest import Crawl, Database
from tests.helpers.layer_stub import LayerStub, Query, apn, row
from tests.helpers.rolls import agrees
from tests.records.test_roll_diff import maricopa

_ROLLS = "SELECT state, row_count, received, parcels, unkeyed, missing FROM gis.roll ORDER BY job_id, walk"
Serve = Callable[..., LayerStub]


def test_a_page_of_one_row_without_an_apn_stores_nothing_and_stops_nothing(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40, row(41, "STREET"))
    assert crawl(stub).code == 0
    stub.rows[3]["OwnerName"] = "QUAIL RUN LLC"
    second = crawl(stub)
    assert second.code == 0, second.log
    assert database.rows(_ROLLS) == [("complete", 41, 41, 40, 1, 0)] * 2
    assert database.rows("SELECT field, new FROM crawl.change") == [("owner_name", "QUAIL RUN LLC")]
    agrees(database)


def test_what_failed_before_a_reload_does_not_count_against_the_new_walk(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(100)

    def hook(query: Query) -> Any:
        if query["where"].startswith("OBJECTID>=11 ") and 101 not in stub.rows:
            return {"error": {"code": 500, "message": "Error performing query operation"}}
        if query["where"].startswith("OBJECTID>=91 "):
            stub.rows[101] = row(101, apn(101))
        return None

    stub.hook = hook
    ended = crawl(stub, concurrency=1, attempts=1)
    assert ended.code == 0, ended.log
    assert database.rows("SELECT walk, state, received FROM gis.roll ORDER BY walk") == [
        (1, "reloaded", None),
        (2, "complete", 101),
    ]
    assert "dead" not in database.states()
    assert database.rows("SELECT verdict, shortfall FROM crawl.job") == [("completed", None)]
    agrees(database)


def test_one_odd_value_costs_no_more_than_itself(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40)
    stub.rows[7]["SalePrice"] = -1
    stub.rows[8]["DeedDate"] += 3_600_000
    ended = crawl(stub)
    assert ended.code == 0, ended.log
    assert database.rows(_ROLLS) == [("complete", 40, 40, 40, 0, 0)]
    assert database.rows("SELECT apn FROM gis.parcel WHERE sale_price IS NULL") == [(apn(7),)]
    assert database.rows("SELECT apn FROM gis.parcel WHERE deed_date IS NULL") == [(apn(8),)]
    found = database.rows("SELECT kind, signature, example->>'value' FROM crawl.issue ORDER BY signature")
    assert found == [
        ("odd_value", "E.DeedDate", str(stub.rows[8]["DeedDate"])),
        ("odd_value", "E.SalePrice", "-1"),
    ]


def test_a_comparison_holds_what_a_list_found_between_two_rolls(
    tmp_path: Path, database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(60)
    assert crawl(stub).code == 0
    del stub.rows[60]
    assert crawl(stub).code == 0
    stub.rows[5]["OwnerName"] = "QUAIL RUN LLC"
    stub.rows[61] = row(61, apn(61))
    assert crawl(stub, "-a", f"apns={apn(5)},{apn(61)}").code == 0
    assert crawl(stub).code == 0
    path = tmp_path / "changes.csv"
    shown = maricopa(database, "diff", "--source", "gis", "--csv", str(path))
    assert shown.returncode == 0, shown.stderr
    assert "1 new parcels" in " ".join(shown.stdout.split())
    with path.open() as file:
        # What the roll before marked as missing was its own.
        assert [(one["apn"], one["field"], one["new"]) for one in csv.DictReader(file)] == [
            (apn(5), "owner_name", "QUAIL RUN LLC")
        ]


def test_a_full_page_that_says_it_was_cut_is_whole(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40)
    stub.hook = lambda query: (
        {**stub.answer(query), "exceededTransferLimit": True} if "outFields" in query else None
    )
    ended = crawl(stub)
    assert ended.code == 0, ended.log
    assert database.rows(_ROLLS) == [("complete", 40, 40, 40, 0, 0)]
    assert len(stub.asked) == 2 + 4


def test_a_layer_without_many_of_the_parcels_is_not_believed_though_it_has_as_many(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(100)
    # Incomplete: what is stored counts, whatever roll it came from.
    stub.hook = lambda query: {"features": []} if query["where"].startswith("OBJECTID>=91 ") else None
    assert crawl(stub, attempts=1).code == 4
    stub.hook = lambda query: None
    for number in range(1, 31):
        stub.rows[number]["APN"] = apn(500 + number)
    second = crawl(stub)
    assert second.code == 4, second.log
    assert "misses 30 of the 130 parcels" in database.one("SELECT shortfall FROM crawl.job WHERE id = 2")
    assert database.one("SELECT count(*) FROM gis.parcel WHERE removed_at IS NOT NULL") == 0
    assert crawl(stub, "-a", "accept_shrink=yes").code == 0
    assert database.one("SELECT count(*) FROM gis.parcel WHERE removed_at IS NOT NULL") == 30


def test_a_refusal_in_a_body_slows_the_source_and_costs_no_try(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40)
    refusals = iter([{"error": {"code": 429, "message": "Too many requests", "details": []}}] * 2)
    times = []

    def hook(query: Query) -> Any:
        if "outFields" in query:
            times.append(time.monotonic())
            return next(refusals, None)
        return None

    stub.hook = hook
    ended = crawl(stub, attempts=1, concurrency=1)
    assert ended.code == 0, ended.log
    assert database.rows("SELECT DISTINCT attempts FROM crawl.target") == [(0,)]
    assert database.one("SELECT (stats->>'maricopa/pace/refused/gis')::int FROM crawl.run") == 2
    # The slot may send another request or two while the first one's body is read.
    assert max(after - before for before, after in itertools.pairwise(times)) > 0.9


def test_what_a_layer_does_not_understand_is_asked_twice(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40)
    wrong = {"error": {"code": 400, "message": "Unable to complete operation.", "details": []}}
    stub.hook = lambda query: wrong if query["where"].startswith("OBJECTID>=11 ") else None
    assert crawl(stub).code == 4
    assert database.rows("SELECT key, cause, attempts FROM crawl.target WHERE state = 'dead'") == [
        ("E walk 1 ids 11-20", "source_changed", 2)
    ]
    assert sum(query["where"].startswith("OBJECTID>=11 ") for query in stub.asked) == 2


def test_a_walk_that_cannot_be_ended_is_incomplete_and_can_be_taken_up(
    database: Database, session: Session, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40)
    failure = {"error": {"code": 500, "message": "Error performing query operation"}}
    stub.hook = lambda query: failure if "outStatistics" in query and len(stub.asked) > 2 else None
    ended = crawl(stub, attempts=1)
    assert ended.code == 4, ended.log
    assert "no longer says how much it holds" in database.one("SELECT shortfall FROM crawl.job")
    (problem,) = verify.problems(session)
    assert "the walk did not" in problem
    stub.hook = lambda query: None
    again = crawl(stub, "-a", "job=1")
    assert again.code == 0, again.log
    assert database.rows(_ROLLS) == [("complete", 40, 40, 40, 0, 0)]
    assert database.one("SELECT shortfall FROM crawl.job") is None
    agrees(database)


def test_dead_layers_are_passed_over_one_after_the_other_down_to_the_last(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    for name in ("D", "F"):
        stub = serve(30, layer=name)
        ended = crawl(stub, "-a", "accept_shrink=yes")
        assert ended.code == 0, ended.log
        assert database.rows("SELECT layer, state FROM gis.roll ORDER BY job_id DESC LIMIT 1") == [
            (name, "complete")
        ]
    passed = database.rows(
        "SELECT kind, signature, count FROM crawl.issue WHERE job_id = 2 ORDER BY signature"
    )
    assert passed == [("layer_failed", f"layer {name}: server_error", 1) for name in "ACDE"]
    # E was tried twice before the others.
    assert database.rows("SELECT kind, attempts FROM crawl.target WHERE kind = 'layer'") == [("layer", 1)] * 2


def test_a_layer_with_sparse_ids_is_asked_for_them_and_not_for_empty_ranges(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(20, *(row(1_000_000 * number, apn(20 + number)) for number in range(1, 16)))
    ended = crawl(stub)
    assert ended.code == 0, ended.log
    assert database.rows(_ROLLS) == [("complete", 35, 35, 35, 0, 0)]
    # Two extents, the ids, and pages of ten rows.
    assert len(stub.asked) == 2 + 1 + 4
    agrees(database)


def test_one_polygon_that_cannot_be_read_costs_no_more_than_itself(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(20)
    square = [[-112.0, 33.0], [-112.0, 33.1], [-111.9, 33.1], [-111.9, 33.0], [-112.0, 33.0]]
    broken = [[-112.0, 33.0], [-112.0, "NaN"]]

    def hook(query: Query) -> Any:
        if "outFields" not in query:
            return None
        answer = stub.answer(query)
        for one in answer["features"]:
            one["geometry"] = {"rings": [broken if one["attributes"]["OBJECTID"] == 7 else square]}
        return answer

    stub.hook = hook
    ended = crawl(stub, "-a", "geometry=polygon")
    assert ended.code == 0, ended.log
    assert database.one("SELECT count(*) FROM gis.parcel WHERE owner_name = 'text'") == 20
    assert database.rows("SELECT apn FROM gis.outline WHERE geometry IS NULL") == [(apn(7),)]
    assert database.one("SELECT count(geometry) FROM gis.outline") == 19
    ((kind, signature, apns),) = database.rows("SELECT kind, signature, example->'apns' FROM crawl.issue")
    assert (kind, signature, apns) == ("odd_value", "E.geometry", [apn(7)])
    before = database.rows("SELECT apn, geometry FROM gis.outline ORDER BY apn")
    # Of more than one in a hundred, and more than one, the outlines of the page are unread, and its parcels
    # are stored.
    square.pop()
    stub.rows[3]["OwnerName"] = "QUAIL RUN LLC"
    assert crawl(stub, "-a", "geometry=polygon").code == 3
    assert database.rows(
        "SELECT DISTINCT state, unread FROM crawl.target WHERE job_id = 2 AND kind = 'range'"
    ) == [("done", ["outline"])]
    assert database.rows("SELECT apn, geometry FROM gis.outline ORDER BY apn") == before
    assert database.rows("SELECT field, new FROM crawl.change") == [("owner_name", "QUAIL RUN LLC")]


def test_an_apn_that_a_short_answer_left_out_is_found_by_the_second_look(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40)
    answers = iter(range(100))

    def hook(query: Query) -> Any:
        if "outFields" in query and next(answers) == 0:
            return {"features": stub.answer(query)["features"][:-1]}
        return None

    stub.hook = hook
    asked = [apn(number) for number in range(35, 45)]
    ended = crawl(stub, "-a", f"apns={','.join(asked)}")
    assert ended.code == 0, ended.log
    assert {one for (one,) in database.rows("SELECT apn FROM gis.parcel")} == set(asked[:6])
    assert {one for (one,) in database.rows("SELECT apn FROM gis.absent")} == set(asked[6:])
    # The list, how many there are of those that did not come, and those once more.
    assert len(stub.asked) == 3
    assert database.one("SELECT count(*) FROM gis.unfound") == 0
    agrees(database)


def test_a_list_asks_by_the_field_that_the_manifest_maps(
    tmp_path: Path, database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(3)
    assert crawl(stub, "-a", f"apns={apn(1)}").code == 0
    manifest = tmp_path / "settings" / "sources" / "gis.yaml"
    manifest.write_text(manifest.read_text().replace("apn: [APN, code]", "apn: [OwnerName, code]", 1))
    stub.rows[2]["OwnerName"] = apn(2)
    stub.hook = lambda query: {
        "features": [{"attributes": {name: stub.rows[2][name] for name in query["outFields"].split(",")}}]
    }
    assert crawl(stub, "-a", f"apns={apn(2)}").code == 0
    assert stub.asked[-1]["where"] == f"OwnerName IN ('{apn(2)}')"
    assert {one for (one,) in database.rows("SELECT apn FROM gis.parcel")} == {apn(1), apn(2)}
