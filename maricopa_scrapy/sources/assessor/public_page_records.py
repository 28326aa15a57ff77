"""What the assessor's public page says, as a row of its own: it never stands in for what the API said."""

import datetime as dt

from maricopa_scrapy.items import Record


class PageParcel(Record):
    """`assessor_page.parcel`: what the server itself writes into the assessor's public page. Area in square
    feet, price in whole dollars.

    Of an owner whom the county withholds `is_redacted` is true, and owner, mailing address and situs are
    NULL.
    """

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
    is_redacted: bool | None
    property_address: str | None
    property_type: str | None
    lot: str | None
    section_township_range: str | None
    assessor_market: str | None
    area_neighborhood: str | None
    subdivision_name: str | None
    parcels_in_subdivision: int | None
    high_school_district: str | None
    elementary_school_district: str | None
    jurisdiction: str | None
