"""The treasurer's deadlines in real years."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from maricopa_scrapy.sources.treasurer.calendar import instalments


def _after(day: str) -> dt.date:
    return dt.date.fromisoformat(day) + dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("tax_year", "first", "second"),
    [
        # 2025: the treasurer said November 3.
        (2025, "2025-11-03", "2026-05-01"),
        (2026, "2026-11-02", "2027-05-03"),
        (2027, "2027-11-01", "2028-05-01"),
        (2024, "2024-11-01", "2025-05-01"),
        (2023, "2023-11-01", "2024-05-01"),
        (2022, "2022-11-01", "2023-05-01"),
        (2021, "2021-11-01", "2022-05-02"),
        (2020, "2020-11-02", "2021-05-03"),
        (2019, "2019-11-01", "2020-05-01"),
        (2015, "2015-11-02", "2016-05-02"),
    ],
)
def test_halves(tax_year: int, first: str, second: str) -> None:
    found = instalments(tax_year, Decimal("100.01"))
    # 17:00 in Phoenix, which has no summer time.
    assert [str(until) for until in found if until] == [
        f"{_after(first)} 00:00:00+00:00",
        f"{_after(second)} 00:00:00+00:00",
    ]


@pytest.mark.parametrize(
    ("tax_year", "until"),
    # A Saturday before a New Year's Day that is kept on Monday; a Sunday before it; a Friday on which it is
    # kept; a plain Wednesday. 2027: a Friday again, before New Year's Day of a leap year; 2028: a Sunday
    # before New Year's Day on a Monday.
    [
        (2022, "2023-01-03"),
        (2023, "2024-01-02"),
        (2021, "2022-01-03"),
        (2025, "2025-12-31"),
        (2024, "2024-12-31"),
        (2026, "2026-12-31"),
        (2027, "2028-01-03"),
        (2028, "2029-01-02"),
    ],
)
def test_one_payment(tax_year: int, until: str) -> None:
    first, second = instalments(tax_year, Decimal("100.00"))
    assert (str(first), second) == (f"{_after(until)} 00:00:00+00:00", None)


def test_100_dollars_is_one_payment_and_a_cent_more_is_two() -> None:
    for year in (2025, 2026):
        assert instalments(year, Decimal("100.00"))[1] is None
        assert instalments(year, Decimal("100.01"))[1] is not None


def test_a_deadline_is_a_working_day_of_phoenix_at_five() -> None:
    phoenix = ZoneInfo("America/Phoenix")
    for year in range(2000, 2061):
        for day, until in zip(
            ((year, 11, 1), (year + 1, 5, 1)), instalments(year, Decimal(1000)), strict=True
        ):
            assert until is not None
            here = until.astimezone(phoenix)
            assert (here.hour, here.minute, here.utcoffset()) == (17, 0, dt.timedelta(hours=-7))
            assert here.weekday() < 5
            # Never earlier than the rule, and by no more than a weekend later.
            assert dt.timedelta(0) <= here.date() - dt.date(*day) <= dt.timedelta(days=2)
