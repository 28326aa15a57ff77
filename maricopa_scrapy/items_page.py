"""What the assessor's public page says, as a row of its own: it never stands in for what the API said."""

import datetime as dt

from maricopa_scrapy.items import Record


class PageParcel(Record):
    """`assessor_page.parcel`: the few values that the assessor's public page shows. Area in square feet, price in whole dollars."""

    table = "assessor_page.parcel"
    key = ("apn",)

    apn: str
    ownership: str | None
    in_care_of: str | None
    mailing_address: str | None
    deed_number: str | None
    deed_date: dt.date | None
    sale_date: dt.date | None
    sale_price: int | None
    property_description: str | None
    lot_size_sqft: int | None
    mcr: str | None
