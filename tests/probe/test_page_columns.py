"""Columns of an unknown page's grids, by headings, by cells and by sums, in any order."""

import random

import pytest

from maricopa_scrapy.probe.page_columns import Table, payment_columns, summary_columns
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.treasurer.bills import taxes
from maricopa_scrapy.sandbox.treasurer.skins import money

COUNTY = County()
BILLED = [apn for apn in COUNTY.apns(120) if taxes(COUNTY.seed, COUNTY.epoch, apn).bills]
ROLES = ("tax_year", "status", "assessed", "paid", "interest", "amount_due")
HEADINGS = (
    ("Tax Year", "Status", "Assessed Tax", "Tax Paid", "Interest/Fees", "Total Due"),
    ("Year", "Tax Status", "Billed", "Amount Paid", "Accrued Interest", "Balance"),
    ("Levy Year", "State", "Original Levy", "Payments Received", "Penalty & Interest", "Amount Owed"),
)


def summary(apns: list[str], order: list[int], headings: tuple[str, ...] = ()) -> Table:
    """The summaries of some parcels, their columns in another order behind an expander."""
    table = Table(["", *(headings[at] for at in order)] if headings else [])
    for apn in apns:
        rows = []
        for bill in taxes(COUNTY.seed, COUNTY.epoch, apn).bills:
            cells = [
                str(bill.tax_year),
                bill.status,
                *map(money, (bill.assessed, bill.paid, bill.interest, bill.due)),
            ]
            rows.append(["+", *(cells[at] for at in order)])
        table.parcels.append(rows)
    return table


@pytest.mark.parametrize("headings", HEADINGS)
def test_columns_with_headings_are_found_in_any_order(headings: tuple[str, ...]) -> None:
    rolls = random.Random(3)
    for _ in range(40):
        order = rolls.sample(range(6), 6)
        found, sums = summary_columns(summary(rolls.sample(BILLED, 2), order, headings))
        assert (found, sums) == ({role: order.index(at) + 1 for at, role in enumerate(ROLES)}, "right")


def test_columns_without_headings_are_found_in_the_known_order() -> None:
    rolls = random.Random(4)
    for _ in range(80):
        found, sums = summary_columns(summary(rolls.sample(BILLED, 2), list(range(6))))
        assert (found, sums) == ({role: at + 1 for at, role in enumerate(ROLES)}, "right")


def test_columns_without_headings_in_another_order_are_right_or_a_question() -> None:
    rolls = random.Random(5)
    right = 0
    for _ in range(80):
        order = rolls.sample(range(6), 6)
        found, sums = summary_columns(summary(rolls.sample(BILLED, 6), order))
        is_right = found == {role: order.index(at) + 1 for at, role in enumerate(ROLES)}
        assert is_right or sums == "several"
        right += is_right
    assert right > 60


def test_sums_that_contradict_are_told() -> None:
    table = summary(BILLED[:2], list(range(6)), HEADINGS[0])
    for rows in table.parcels:
        for row in rows:
            row[-1] = "$9,999,999.00"
    assert summary_columns(table)[1] == "wrong"


def test_payments_are_found_in_any_order() -> None:
    rolls = random.Random(6)
    roles = ("tax_year", "description", "amount", "paid_on")
    for headings in ((), ("Year", "Description", "Amount", "Paid Date")):
        for _ in range(20):
            order = rolls.sample(range(4), 4)
            table = Table([headings[at] for at in order] if headings else [])
            for apn in rolls.sample(BILLED, 3):
                cells = [
                    [str(one.tax_year), one.description, money(one.amount), f"{one.paid_on:%m/%d/%Y}"]
                    for one in taxes(COUNTY.seed, COUNTY.epoch, apn).payments
                ]
                table.parcels.append([[row[at] for at in order] for row in cells])
            assert payment_columns(table) == {role: order.index(at) for at, role in enumerate(roles)}
