"""Records of the treasurer's pages. Money in dollars and cents, exactly as shown."""

import datetime as dt
from decimal import Decimal
from typing import ClassVar

from maricopa_scrapy.items import Record


class TaxAccount(Record):
    """`treasurer.account`: whom the bill names. `owner` has a line of the page a line, the mailing address
    among them.
    """

    table = "treasurer.account"
    key = ("apn",)

    apn: str
    owner: str | None
    situs_address: str | None


class TaxBill(Record):
    """`treasurer.bill`: one year as it stood when it was read.

    `status` is ours (paid, unpaid, lien, state_lien), `status_text` the county's. `amount_due` holds for the
    moment of reading, which the view `tax` shows. Delinquent after `first_half_until` and
    `second_half_until`; a bill of one payment has no second. A year that the page no longer shows stays,
    since `unseen_since`: it is an issue, for a grid may have been filled in part.
    """

    table = "treasurer.bill"
    key = ("apn", "tax_year")
    complete_by = "apn"
    # What a complete answer lacks is not marked removed.
    stays: ClassVar[bool] = True

    apn: str
    tax_year: int
    status: str
    status_text: str
    assessed: Decimal
    paid: Decimal
    interest: Decimal | None
    amount_due: Decimal
    first_half_until: dt.datetime
    second_half_until: dt.datetime | None


class TaxPayment(Record):
    """`treasurer.payment`: one line of the payment history. `ordinal` tells lines apart that are alike, from
    1.
    """

    table = "treasurer.payment"
    key = ("apn", "tax_year", "paid_on", "description", "amount", "ordinal")
    complete_by = "apn"

    apn: str
    tax_year: int
    paid_on: dt.date
    description: str
    amount: Decimal
    ordinal: int
