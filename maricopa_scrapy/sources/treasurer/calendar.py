"""Until when a tax bill can be paid without becoming delinquent. Rules: the treasurer's tax calendar; Arizona
law, A.R.S. 42-18052.

A year's tax is billed in September. Its first half becomes delinquent after November 1, its second after May
1, 17:00 in Phoenix; a bill of 100 dollars or less is one payment, delinquent after December 31. On a weekend
or holiday it is the next business day.
"""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

_PHOENIX = ZoneInfo("America/Phoenix")
_CLOSING = dt.time(17, tzinfo=_PHOENIX)
_ONE_PAYMENT_MOST = Decimal(100)
_SATURDAY, _SUNDAY = 5, 6


def instalments(tax_year: int, assessed: Decimal) -> tuple[dt.datetime, dt.datetime | None]:
    """Return the moments (UTC) after which each half is delinquent; the second is None for a bill of one
    payment.

    >>> [str(until) for until in instalments(2025, Decimal("840.12"))]
    ['2025-11-04 00:00:00+00:00', '2026-05-02 00:00:00+00:00']
    >>> [str(until) for until in instalments(2022, Decimal("99.90"))]
    ['2023-01-04 00:00:00+00:00', 'None']
    """
    if assessed <= _ONE_PAYMENT_MOST:
        return _closing(dt.date(tax_year, 12, 31)), None
    return _closing(dt.date(tax_year, 11, 1)), _closing(dt.date(tax_year + 1, 5, 1))


def _closing(day: dt.date) -> dt.datetime:
    while day.weekday() >= _SATURDAY or _is_holiday(day):
        day += dt.timedelta(days=1)
    return dt.datetime.combine(day, _CLOSING).astimezone(dt.UTC)


def _is_holiday(day: dt.date) -> bool:
    """Whether it is New Year's Day, or the weekday that it is kept on: the only legal holiday that a deadline
    can meet (A.R.S. 1-301).
    """
    first = dt.date(day.year + (day.month == 12), 1, 1)
    if first.weekday() == _SATURDAY:
        return day in (first, first - dt.timedelta(days=1))
    return day in (first, first + dt.timedelta(days=1) if first.weekday() == _SUNDAY else first)
