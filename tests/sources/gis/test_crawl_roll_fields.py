"""`scrapy crawl roll` over layers of which a field is absent, renamed, or of another type: the smallest thing
is left out, and told.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.sandbox.gis.parcel_layer import date_of
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Crawl, Database
from tests.helpers.layer_stub import LayerStub, Query, apn, row
from tests.helpers.rolls import agrees, as_text, crawler, layer, stored, truth

Start = Callable[..., SandboxProcess]
Serve = Callable[..., LayerStub]
_CHANGES = "SELECT key->>'apn', field, old, new FROM crawl.change WHERE table_name = 'gis.parcel'"
_ISSUES = "SELECT kind, signature, count FROM crawl.issue WHERE job_id = %s ORDER BY kind, signature"
_UNREAD = (
    "SELECT kind, unread, count(*) FROM crawl.target WHERE job_id = %s AND unread IS NOT NULL GROUP BY 1, 2"
    " ORDER BY 1, 2"
)
_PRICES = "SELECT apn, sale_price FROM gis.parcel"


def _expected(epoch: int, parcels: int, without: str = "") -> set[tuple[str, str, str | None, str | None]]:
    changes = layer(parcels, epoch=epoch).changes(epoch - 1)
    return {
        (apn, field, as_text(field, old), as_text(field, new))
        for apn, field, old, new in changes
        if field != without
    }


@pytest.mark.parametrize("fault", ["missing_field", "renamed_field", "retyped_field"])
def test_a_field_that_a_layer_lost_clears_nothing_and_the_rest_is_stored(
    tmp_path: Path, database: Database, county: Start, fault: str
) -> None:
    """Missing or renamed in the layer's metadata it is absent, of another type it is an unread section of the
    layer's target.
    """
    arguments = ("roll", "-a", "layer=E")
    assert crawler(tmp_path, database, county(gis_parcels=6000), page=500)(*arguments).code == 0
    prices = dict(database.rows(_PRICES))
    sandbox = county(gis_parcels=6000, epoch=1)
    sandbox.faults({fault: 1.0}, source="gis")
    crawl = crawler(tmp_path, database, sandbox, page=500)(*arguments)
    assert crawl.code == (3 if fault == "retyped_field" else 0), crawl.log
    expected = _expected(1, 6000, without="sale_price")
    changes = database.rows(_CHANGES)
    assert (len(changes), set(changes)) == (len(expected), expected)
    assert dict(database.rows(_PRICES)) == prices
    assert database.rows("SELECT DISTINCT layer FROM gis.parcel") == [("E",)]
    assert database.rows("SELECT state, missing FROM gis.roll") == [("complete", 0)] * 2
    is_unread = fault == "retyped_field"
    told = (
        ("unread_section", "parcel.sale_price: fields.SalePrice", 1)
        if is_unread
        else ("absent_field", "E.SalePrice", 1)
    )
    assert database.rows(_ISSUES, 2) == [
        told,
        *([("new_field", "layer E", 1)] if fault == "renamed_field" else []),
    ]
    assert database.rows(_UNREAD, 2) == ([("layer", ["parcel.sale_price"], 1)] if is_unread else [])
    verdict = "completed_with_failures" if is_unread else "completed"
    assert database.rows("SELECT verdict FROM crawl.job ORDER BY id") == [("completed",), (verdict,)]
    # What was not asked for is all that the next roll of a whole layer has to change.
    assert crawler(tmp_path, database, county(gis_parcels=6000, epoch=1), page=500)(*arguments).code == 0
    assert stored(database) == truth(layer(6000, epoch=1))
    assert {field for _, field, _, _ in database.rows(_CHANGES)[len(expected) :]} == {"sale_price"}
    agrees(database)


def test_a_page_of_another_type_keeps_the_stored_values_of_that_field_alone(
    tmp_path: Path, database: Database, county: Start
) -> None:
    arguments = ("roll", "-a", "layer=A")
    assert crawler(tmp_path, database, county(gis_parcels=4000), page=500)(*arguments).code == 0
    prices = dict(database.rows(_PRICES))
    sandbox = county(gis_parcels=4200, epoch=1)
    sandbox.faults({"retyped_field": {"probability": 1.0, "kind": "page", "count": 3}}, source="gis")
    crawl = crawler(tmp_path, database, sandbox, page=500, concurrency=1)(*arguments)
    assert crawl.code == 3, crawl.log
    assert database.rows(_UNREAD, 2) == [("range", ["parcel.sale_price"], 3)]
    assert database.rows(_ISSUES, 2) == [("unread_section", "parcel.sale_price: fields.SALE_PRICE", 3)]
    assert database.rows("SELECT verdict FROM crawl.job WHERE id = 2") == [("completed_with_failures",)]
    after = layer(4200, epoch=1)
    untouched, told = {after.apn(one) for one in after.ids if one <= 1500}, truth(after)
    found = stored(database)
    assert found.keys() == told.keys()
    assert {key: value[:4] for key, value in found.items()} == {key: value[:4] for key, value in told.items()}
    for key, (*_, price) in found.items():
        # A stacked row stands on a page of its own.
        assert price == (prices.get(key) if key in untouched else told[key][4]) or key in {
            after.apn(one) for one in after.ids if one > 3500
        }
    assert (
        database.one(
            "SELECT count(*) FROM crawl.change"
            " WHERE field = 'sale_price' AND new IS NULL AND key->>'apn' = ANY(%s)",
            list(untouched),
        )
        == 0
    )
    agrees(database)


def test_a_field_that_some_rows_lack_is_absent_in_these(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40)
    assert crawl(stub).code == 0
    for number in (3, 4, 14):
        stub.rows[number]["SalePrice"] = 999
    stub.rows[41] = row(41, apn(41))

    def hook(query: Query) -> Any:
        answer = stub.answer(query)
        for one in answer.get("features", []) if "outFields" in query else []:
            if one["attributes"]["OBJECTID"] in (3, 13, 41):
                del one["attributes"]["SalePrice"]
        return answer

    stub.hook = hook
    second = crawl(stub)
    assert second.code == 0, second.log
    assert sorted(database.rows(_CHANGES)) == [
        (apn(4), "sale_price", "100", "999"),
        (apn(14), "sale_price", "100", "999"),
    ]
    assert database.rows("SELECT apn FROM gis.parcel WHERE sale_price IS NULL") == [(apn(41),)]
    assert database.rows(_ISSUES, 2) == [("absent_field", "E.SalePrice", 3)]
    # One that is there and empty does clear.
    stub.hook = lambda query: None
    stub.rows[13]["SalePrice"] = None
    assert crawl(stub).code == 0
    assert (apn(13), "sale_price", "100", None) in database.rows(_CHANGES)
    agrees(database)


def test_without_its_apns_a_layer_is_left_for_the_next(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(30)
    stub.lost = ("APN",)
    ended = crawl(stub, "-a", "layer=E", attempts=1)
    assert ended.code == 3, ended.log
    assert database.rows("SELECT kind, cause FROM crawl.target") == [("layer", "source_changed")]
    ended = crawl(stub)
    assert "layer E is left for layer C (fields.APN: expected the type String" in ended.log
    assert database.one("SELECT count(*) FROM gis.parcel") == 0
    assert "Traceback" not in ended.log


def test_deeds_since_a_day_are_not_asked_of_a_layer_without_their_day(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(30)
    stub.lost = ("DeedDate",)
    ended = crawl(stub, "-a", "since=2013-01-01", "-a", "layer=E", attempts=1)
    assert ended.code == 3, ended.log
    assert database.rows("SELECT kind, cause FROM crawl.target") == [("layer", "source_changed")]
    assert crawl(stub, "-a", "layer=E").code == 0
    assert database.one("SELECT count(*) FROM gis.parcel WHERE deed_date IS NULL") == 30


@pytest.mark.parametrize("of", ["E", "A"])
def test_stacked_rows_each_keep_their_own_values_of_a_field_that_is_absent(
    database: Database, serve: Serve, crawl: Callable[..., Crawl], of: str
) -> None:
    owner, price, floor = (
        ("OwnerName", "SalePrice", "") if of == "E" else ("OWNER_NAME", "SALE_PRICE", "FLOOR")
    )
    stub = serve(30, layer=of)
    for at in range(12):
        number = 31 + at
        value = {owner: f"UNIT {at}", price: 1000 + at if of == "E" else str(1000 + at)} | (
            {floor: 1 + at % 2} if floor else {}
        )
        stub.rows[number] = row(number, apn(77 + at // 2), of, **value)
    stacked = "SELECT apn, owner_name, sale_price FROM gis.duplicate ORDER BY apn, owner_name"
    arguments = ("-a", f"layer={of}")
    assert crawl(stub, *arguments).code == 0
    before = (
        database.rows(stacked),
        sorted(database.rows("SELECT apn, owner_name, sale_price, changed_at FROM gis.parcel")),
    )
    assert len(before[0]) == 12
    stub.lost = (price,)
    second = crawl(stub, *arguments)
    assert second.code == 0, second.log
    after = (
        database.rows(stacked),
        sorted(database.rows("SELECT apn, owner_name, sale_price, changed_at FROM gis.parcel")),
    )
    assert after == before
    # By a list, which has all rows of its APNs, and by a page that has the field in another form.
    stub.lost = ()
    assert crawl(stub, "-a", f"apns={apn(77)},{apn(78)},{apn(1)}", *arguments).code == 0
    for one in stub.rows.values():
        one[price] = "12x"
    third = crawl(stub, *arguments)
    assert third.code == 3, third.log
    assert (
        database.rows(stacked),
        sorted(database.rows("SELECT apn, owner_name, sale_price, changed_at FROM gis.parcel")),
    ) == before
    assert database.rows(_CHANGES) == []
    agrees(database)


def test_an_owner_that_becomes_withheld_takes_its_addresses_with_it(
    database: Database, serve: Serve, crawl: Callable[..., Crawl]
) -> None:
    stub = serve(30)
    assert crawl(stub).code == 0
    stub.rows[7] |= {"OwnerName": "NA", "OwnerCity": "N/A", "PropertyZipCode": "0"}
    stub.rows[8] |= {"PropertyZipCode": "0", "DeedNumber": "12345-0678"}
    stub.lost = ("OwnerState",)
    second = crawl(stub)
    assert second.code == 0, second.log
    private = "owner_name, mail_city, mail_state, property_address, property_city, property_zip"
    assert database.rows(f"SELECT {private}, deed_number FROM gis.parcel WHERE apn = %s", apn(7)) == [
        (*[None] * 6, "X1")
    ]
    assert database.rows(
        "SELECT property_zip, mail_state, deed_number FROM gis.parcel WHERE apn = %s", apn(8)
    ) == [(None, "X1", "12345-0678")]
    changed = {(key, field) for key, field, _, _ in database.rows(_CHANGES)}
    assert changed == {
        *((apn(7), field) for field in private.split(", ")),
        (apn(8), "property_zip"),
        (apn(8), "deed_number"),
    }
    agrees(database)


def test_layer_f_is_read_as_e_by_its_days_of_phoenix(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(gis_parcels=5000)
    expected = layer(5000)
    withheld = {one["apn"] for row_id in expected.ids if (one := expected.facts(row_id))["is_withheld"]}
    for name in ("F", "D"):
        crawl = crawler(tmp_path, database, sandbox, page=2000)("roll", "-a", f"layer={name}")
        assert crawl.code == 0, crawl.log
        assert stored(database) == truth(expected)
        assert database.rows(_ISSUES, 1 if name == "F" else 2) == []
    assert sandbox.stats()["gis"]["by_kind"]["page"] == 2 * -(-expected.ids[-1] // 2000)
    hidden = (
        "owner_name IS NULL AND mail_address_1 IS NULL AND mail_zip IS NULL AND property_address IS NULL AND"
        " property_zip IS NULL"
    )
    assert {key for (key,) in database.rows(f"SELECT apn FROM gis.parcel WHERE {hidden}")} == withheld
    assert len(withheld) > 2
    lot, suite = database.rows(
        "SELECT lot, deed_date FROM gis.parcel WHERE apn = %s", expected.apn(expected.ids[0])
    )[0]
    facts = expected.facts(expected.ids[0])
    assert (lot, suite) == (facts["lot"], date_of(facts["deed_date"]))
    agrees(database)
