"""The truth of the sandbox's treasurer: bills and payments of a parcel, from a seed. Money in cents."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from maricopa_scrapy.sandbox.county.periods import PAYMENT, last_change
from maricopa_scrapy.sandbox.county.seeded_chance import between, dice, pick, share

# The day on which the county of epoch 0 is looked at; each period adds thirty days.
_FIRST_DAY = dt.date(2025, 12, 10)
_PERIOD_DAYS = 30
_BILLED = (9, 15)
_PAYMENT = "Tax Payment"
_HABITS = ("full", "full", "full", "full", "halves", "halves", "halves", "late", "late", "never")
# Nearly as in the county, where one parcel in ten has something open that is due.
_PUNCTUAL = ("full",) * 10 + ("halves",) * 8 + ("late", "never")
_MONTHLY = 16 / 12 / 100
# Payments of one bill: the day, and what of the tax it is for.
_Plan = list[tuple[dt.date, int]]


@dataclass(frozen=True, slots=True)
class Bill:
    """One year's bill as the summary shows it. `assessed` + `interest` - `paid` = `due`."""

    tax_year: int
    status: str
    assessed: int
    paid: int
    interest: int
    due: int


@dataclass(frozen=True, slots=True)
class Payment:
    """One line of the payment history."""

    tax_year: int
    description: str
    amount: int
    paid_on: dt.date


@dataclass(frozen=True, slots=True)
class Taxes:
    """All that the treasurer knows of a parcel, newest first."""

    bills: tuple[Bill, ...]
    payments: tuple[Payment, ...]


def day_of(epoch: int) -> dt.date:
    """Return the day on which the county is looked at."""
    return _FIRST_DAY + dt.timedelta(days=_PERIOD_DAYS * epoch)


def taxes(seed: int, epoch: int, apn: str, changed: float | None = None) -> Taxes:
    """Return the parcel's bills and payments; two parcels in a hundred have never been billed. `changed`: as
    of the county; then fewer pay late, and a period in which all is paid is one of its changes.
    """
    today = day_of(epoch)
    if share(seed, "billed", apn) < 0.02:
        return Taxes((), ())
    rolls = dice(seed, "tax", apn)
    newest = today.year if (today.month, today.day) >= _BILLED else today.year - 1
    oldest = 2025 - between(rolls, 2, 11)
    assessed = between(rolls, 1_500, 10_000) if rolls.random() < 0.08 else between(rolls, 30_000, 900_000)
    habit = pick(rolls, _HABITS if changed is None else _PUNCTUAL)
    paid_up = None if changed is None else _paid_up(seed, epoch, apn, changed)
    stopped = 2025 - between(rolls, 0, 4)
    bills, payments = [], []
    for year in range(oldest, newest + 1):
        chance = dice(seed, "tax", apn, year)
        assessed = round(assessed * (0.97 + 0.09 * chance.random()))
        plan = list(_plan(chance, year, assessed, "never" if habit == "never" and year >= stopped else habit))
        if paid_up is not None and dt.date(year, *_BILLED) < paid_up:
            halves = [(paid_up, assessed // 2), (paid_up, assessed - assessed // 2)]
            plan = [(min(day, paid_up), part) for day, part in plan or halves]
        bill, paid = _bill(chance, year, assessed, [(day, part) for day, part in plan if day <= today], today)
        bills.append(bill)
        payments += paid
    payments.sort(key=lambda payment: (payment.paid_on, payment.tax_year, payment.amount))
    return Taxes(tuple(reversed(bills)), tuple(reversed(payments)))


def _paid_up(seed: int, epoch: int, apn: str, changed: float) -> dt.date | None:
    """Return the day on which the parcel paid all that was open, of its last period that did."""
    period = last_change(seed, epoch, apn, changed, PAYMENT)
    if not period:
        return None
    return day_of(period) - dt.timedelta(
        days=between(dice(seed, "paid up", period, apn), 0, _PERIOD_DAYS - 2)
    )


def _plan(rolls: Random, year: int, assessed: int, habit: str) -> Iterator[tuple[dt.date, int]]:
    autumn = dt.date(year, 9, 20) + dt.timedelta(days=between(rolls, 0, 38))
    if habit == "never":
        return
    if habit == "full" or assessed <= 10_000:
        yield autumn, assessed
    elif habit == "halves":
        yield autumn, assessed // 2
        yield dt.date(year + 1, 3, 1) + dt.timedelta(days=between(rolls, 0, 58)), assessed - assessed // 2
    else:
        # In two equal parts on one day, after the second half was due.
        late = dt.date(year + 1, 6, 1) + dt.timedelta(days=between(rolls, 0, 200))
        yield late, assessed // 2
        yield late, assessed - assessed // 2


def _bill(rolls: Random, year: int, assessed: int, plan: _Plan, today: dt.date) -> tuple[Bill, list[Payment]]:
    payments, interest, paid = [], 0, 0
    for number, (day, part) in enumerate(plan):
        owed = _interest(year, part, number, day)
        interest += owed
        paid += part + owed
        payments.append(Payment(year, _PAYMENT, part + owed, day))
    left = assessed - sum(part for _, part in plan)
    if left:
        # What is paid is paid of the first half first.
        first = max(0, left - (assessed - assessed // 2))
        interest += _interest(year, first, 0, today) + _interest(year, left - first, 1, today)
    due = assessed + interest - paid
    if not due:
        return Bill(year, "Paid", assessed, paid, interest, 0), payments
    status = "Unpaid"
    if today >= dt.date(year + 2, 2, 10):
        status = "Available Tax Lien" if rolls.random() < 0.3 else "Tax Lien"
    return Bill(year, status, assessed, paid, interest, due), payments


def _interest(year: int, part: int, half: int, day: dt.date) -> int:
    begins = dt.date(year, 11, 1) if half == 0 else dt.date(year + 1, 5, 1)
    if day <= dt.date(year, 12, 31):
        return 0
    months = (day.year - begins.year) * 12 + day.month - begins.month
    return round(part * _MONTHLY * max(0, months))
