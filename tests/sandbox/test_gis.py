"""The sandbox's GIS layers over HTTP: envelopes, caps, queries, faults, and the same county for every
seed.
"""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.parcel_layer import CHANGING, ParcelLayer
from maricopa_scrapy.sandbox.process import SandboxProcess

ROWS = 4200


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(gis_parcels=ROWS) as process:
        yield process


@pytest.fixture(autouse=True)
def _well(sandbox: SandboxProcess) -> None:
    sandbox.clear_faults()
    sandbox.reset()


LAYER = ParcelLayer(County(), ROWS)


def ask(sandbox: SandboxProcess, path: str, form: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=30)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    connection.request("POST" if form else "GET", path, urlencode(form) if form else None, headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def query(sandbox: SandboxProcess, layer: str = "E", post: bool = False, **parameters: str) -> Any:
    given = {"f": "json", **parameters}
    status, body = (
        ask(sandbox, f"/gis/{layer}/query", given)
        if post
        else ask(sandbox, f"/gis/{layer}/query?{urlencode(given)}")
    )
    assert status == 200
    return json.loads(body)


def test_metadata_names_the_cap_and_every_field(sandbox: SandboxProcess) -> None:
    for layer, cap, count in (("E", 2000, 33), ("A", 1000, 56), ("D", 2000, 56), ("F", 2000, 49)):
        raw = json.loads(ask(sandbox, f"/gis/{layer}?f=json")[1])
        assert raw["maxRecordCount"] == cap
        types = {field["name"]: field["type"].removeprefix("esriFieldType") for field in raw["fields"]}
        assert len(types) == count + 1
        assert (types["OBJECTID"], types["SHAPE" if layer == "F" else "Shape"]) == ("OID", "Geometry")


def test_a_page_is_cut_silently_and_flagged(sandbox: SandboxProcess) -> None:
    for layer, cap in (("E", 2000), ("A", 1000)):
        page = query(
            sandbox,
            layer,
            where="1=1",
            outFields="APN,OBJECTID",
            resultRecordCount="5000",
            returnGeometry="false",
        )
        assert len(page["features"]) == cap
        assert page["exceededTransferLimit"] is True
        assert page["features"][0] == {
            "attributes": {"APN": LAYER.apn(LAYER.ids[0]), "OBJECTID": LAYER.ids[0]}
        }
    last = query(sandbox, where="1=1", outFields="*", resultOffset="4000")
    assert len(last["features"]) == 200
    assert "exceededTransferLimit" not in last
    assert len(last["features"][0]["geometry"]["rings"][0]) == 5


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("OBJECTID>=101 AND OBJECTID<=300", lambda row: 101 <= row <= 300),
        ("OBJECTID BETWEEN 101 AND 300", lambda row: 101 <= row <= 300),
        ("OBJECTID>4000", lambda row: row > 4000),
        ("OBJECTID < 50", lambda row: row < 50),
        ("OBJECTID=7", lambda row: row == 7),
        ("OBJECTID IN (3,1,99999999)", lambda row: row in (1, 3)),
        ("1=1", lambda row: True),
        (
            "DeedDate >= timestamp '2020-01-01 00:00:00' AND DeedDate <= timestamp '2021-12-31 23:59:59'",
            lambda row: 18262 <= LAYER.facts(row)["deed_date"] <= 18992,
        ),
    ],
)
def test_what_a_where_selects(sandbox: SandboxProcess, where: str, wanted: Any) -> None:
    rows = [row for row in LAYER.ids if wanted(row)]
    assert query(sandbox, where=where, returnCountOnly="true") == {"count": len(rows)}
    assert query(sandbox, where=where, returnIdsOnly="true")["objectIds"] == rows
    page = query(sandbox, where=where, outFields="OBJECTID", returnGeometry="false")
    assert [one["attributes"]["OBJECTID"] for one in page["features"]] == rows[:2000]


def test_statistics_of_the_row_ids(sandbox: SandboxProcess) -> None:
    asked = [
        {"statisticType": kind, "onStatisticField": "OBJECTID", "outStatisticFieldName": kind}
        for kind in ("min", "max", "count")
    ]
    found = query(sandbox, where="1=1", outStatistics=json.dumps(asked))
    assert found["features"] == [{"attributes": {"min": LAYER.ids[0], "max": LAYER.ids[-1], "count": ROWS}}]


def test_a_list_by_post_gives_all_rows_of_an_apn(sandbox: SandboxProcess) -> None:
    stacked = next(row for row in LAYER.ids if LAYER.base(row) != row)
    apns = [LAYER.apn(stacked), LAYER.apn(LAYER.ids[0]), *County().absent(3)]
    where = f"APN IN ({','.join(repr(apn) for apn in apns)})"
    page = query(sandbox, "A", post=True, where=where, outFields="APN,FLOOR", returnGeometry="false")
    found = sorted((one["attributes"]["APN"], one["attributes"]["FLOOR"]) for one in page["features"])
    assert found == sorted([(apns[0], 1), (apns[0], 2), (apns[1], 1)])
    assert sandbox.stats()["gis"]["by_kind"]["list"] == 1


@pytest.mark.parametrize("where", ["OWNER='X'", "OBJECTID LIKE '1'", "", "DeedDate > '2020-01-01'"])
def test_what_the_service_refuses_is_an_error_of_status_200(sandbox: SandboxProcess, where: str) -> None:
    assert query(sandbox, where=where)["error"]["code"] == 400
    assert query(sandbox, where="1=1", outFields="Colour")["error"]["code"] == 400
    assert json.loads(ask(sandbox, "/gis/Z/query?where=1=1")[1])["error"]["code"] == 404


def test_faults_of_pages_and_of_layers(sandbox: SandboxProcess) -> None:
    sandbox.faults({"short_page": 1.0, "missing_field": 1.0}, source="gis")
    assert (
        len(query(sandbox, where="OBJECTID<=20", outFields="APN")["features"])
        == len([row for row in LAYER.ids if row <= 20]) - 1
    )
    assert "SalePrice" not in ask(sandbox, "/gis/E?f=json")[1].decode()
    assert query(sandbox, where="1=1", returnCountOnly="true") == {"count": ROWS}
    sandbox.clear_faults()
    sandbox.faults({"error_body": 1.0}, source="gis")
    assert query(sandbox, where="1=1")["error"]["code"] == 500
    assert sandbox.stats()["gis"]["faults"] == {"short_page": 1, "missing_field": 1, "error_body": 1}
    assert sandbox.stats()["assessor"]["requests"] == 0


def test_a_budget_of_its_own(sandbox: SandboxProcess) -> None:
    sandbox.conduct(rate=1.0, burst=1.0)
    try:
        statuses = [ask(sandbox, "/gis/E?f=json")[0] for _ in range(3)]
    finally:
        sandbox.conduct(rate=None, burst=None)
    assert statuses == [200, 429, 429]


def test_a_period_changes_one_parcel_in_a_hundred_and_the_list_of_changes_is_the_difference() -> None:
    old, new = ParcelLayer(County(), 20_000), ParcelLayer(County(epoch=1), 20_000)
    assert old.ids == new.ids
    listed = set(new.changes(0))
    seen = set()
    for row in old.ids:
        if old.base(row) == row:
            before, after = old.facts(row), new.facts(row)
            seen |= {
                (before["apn"], name, before[name], after[name])
                for name in before
                if before[name] != after[name]
            }
    assert listed == seen
    assert {name for _, name, _, _ in listed} <= set(CHANGING)
    assert 0.007 < len({apn for apn, *_ in listed}) / 20_000 < 0.013
    assert ParcelLayer(County(seed=2), 500).facts(1) != old.facts(1)


def test_the_layers_know_the_parcels_that_the_api_knows() -> None:
    assert {LAYER.apn(row) for row in LAYER.ids} <= set(County().apns(ROWS))
    assert all(LAYER.rows_of(LAYER.apn(row))[0] == row for row in LAYER.ids if LAYER.base(row) == row)
    assert LAYER.rows_of(County().absent(1)[0]) == []
