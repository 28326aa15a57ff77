"""What the county says otherwise than in an earlier epoch: the sandbox's own list, against which a
collection's can be held.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from maricopa_scrapy.sandbox.county.county import Change, County
from maricopa_scrapy.sandbox.recorder.documents import Documents
from maricopa_scrapy.sandbox.treasurer.bills import Bill, taxes
from maricopa_scrapy.sandbox.treasurer.site import identity

SOURCES = ("assessor", "treasurer", "recorder")


def of_parcel(county: County, documents: Documents, apn: str, since: int, source: str) -> Iterator[Change]:
    """Yield what differs of one parcel: changed values of the assessor, or of the treasurer; new rows of the
    treasurer or the recorder.

    A new row has no old value, and all of it as the new one. Money of the treasurer is in cents.
    """
    if source == "assessor":
        yield from county.changes(apn, since)
    elif source == "treasurer":
        yield from _treasurer(county, apn, since)
    else:
        yield from _recorder(county, documents, apn, since)


def _treasurer(county: County, apn: str, since: int) -> Iterator[Change]:
    then, now = (identity(one, apn) for one in (county.at(since), county))
    if then[0] != now[0]:
        yield "Account", "Owner", then[0], now[0]
    before, after = (taxes(county.seed, epoch, apn, county.changed) for epoch in (since, county.epoch))
    known = {bill.tax_year: bill for bill in before.bills}
    for bill in after.bills:
        if bill.tax_year in known:
            yield from _bill(known[bill.tax_year], bill)
        else:
            yield "Bills", str(bill.tax_year), None, asdict(bill)
    # The list has the newest first; two of a day and amount are two.
    rest = list(before.payments)
    for payment in after.payments:
        if payment in rest:
            rest.remove(payment)
        else:
            yield "Payments", str(payment.tax_year), None, asdict(payment)


def _bill(old: Bill, new: Bill) -> Iterator[Change]:
    was, now = asdict(old), asdict(new)
    yield from (
        ("Bills", f"{new.tax_year}.{name}", was[name], now[name]) for name in now if was[name] != now[name]
    )


def _recorder(county: County, documents: Documents, apn: str, since: int) -> Iterator[Change]:
    """The deeds that are new, of which the recorder has the document."""
    changed: Iterator[Any] = (
        new
        for table, key, _, new in county.changes(apn, since)
        if (table, key) == ("Owner", "MostCurrentDeed")
    )
    yield from (
        ("Documents", number, None, {"recordingNumber": number})
        for number in changed
        if number and documents.find(number)
    )
