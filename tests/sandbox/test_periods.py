"""The county whose offices agree: a period changes one part of its parcels, each in one way, and all tell the
same.
"""

from collections import Counter

from maricopa_scrapy.sandbox.bulk.affidavits import lines
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.county.periods import OWNER, change_in, is_late
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer
from maricopa_scrapy.sandbox.treasurer.bills import taxes

CHANGED = 0.05
PARCELS = 1_000


def test_the_layers_and_the_affidavits_tell_what_the_assessor_tells() -> None:
    before, after = County(3, 0, changed=CHANGED), County(3, 1, changed=CHANGED)
    layer, ways, late = ParcelLayer(after, PARCELS), Counter[str](), 0
    sold = {line.split("|")[0]: line.split("|")[3] for line in list(lines(after, 20, told=PARCELS))[21:]}
    for row in layer.ids:
        apn = layer.apn(row)
        way = change_in(3, 1, apn, CHANGED)
        ways[str(way)] += 1
        told, owner = layer.facts(row), after.known_to_others(apn)["Owner"]
        is_behind = way == OWNER and is_late(3, 1, apn)
        late += is_behind
        assert (told["deed_number"] == owner["MostCurrentDeed"]) is not is_behind
        assert sold.get(apn) == (owner["MostCurrentDeed"] if way == OWNER else None)
        assert (before.known_to_others(apn) != after.known_to_others(apn)) is (
            way in ("owner", "deed", "value")
        )
    assert 0.7 * CHANGED < 1 - ways["None"] / PARCELS < 1.3 * CHANGED
    assert min(ways[way] for way in ("owner", "deed", "value", "payment")) > 0
    assert 0 < late < ways[OWNER] / 2


def test_who_paid_up_owes_nothing_and_interest_is_only_on_what_is_late() -> None:
    county = County(3, 1, changed=CHANGED)
    apns = county.apns(PARCELS)
    paid_up = [apn for apn in apns if change_in(3, 1, apn, CHANGED) == "payment"]
    assert not any(bill.due for apn in paid_up for bill in taxes(3, 1, apn, CHANGED).bills)
    assert any(bill.due for apn in paid_up for bill in taxes(3, 0, apn, CHANGED).bills)
    halves = [
        bill
        for apn in apns
        for bill in taxes(3, 1, apn, CHANGED).bills
        if bill.tax_year == 2025 and bill.paid == bill.assessed // 2 and bill.due
    ]
    assert halves
    assert {bill.interest for bill in halves} == {0}
