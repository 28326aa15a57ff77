"""Records of the county's GIS layers: the parcel as a layer tells it, its outline, and what a layer does not
know.
"""

import datetime as dt

from maricopa_scrapy.items import Record


class GisParcel(Record):
    """`gis.parcel`: one parcel of a layer. Areas in square feet unless named otherwise, money in whole
    dollars, degrees WGS 84.

    Not every layer has every column: NULL means that the layer of the last roll says nothing.
    """

    table = "gis.parcel"
    key = ("apn",)
    # A complete roll marks what it has not seen; a parcel that comes back is unmarked by its page.
    complete_by = "apn"
    told_by = ("layer",)

    apn: str
    floor: int | None
    layer: str
    owner_name: str | None
    in_care_of: str | None
    mail_address_1: str | None
    mail_address_2: str | None
    mail_city: str | None
    mail_state: str | None
    mail_zip: str | None
    mail_country: str | None
    property_address: str | None
    street_number: str | None
    street_direction: str | None
    street_name: str | None
    street_type: str | None
    suite: str | None
    property_city: str | None
    property_zip: str | None
    property_use_code: str | None
    property_use: str | None
    legal_class_code: str | None
    previous_legal_class_code: str | None
    lot_size_sqft: int | None
    lot_size_acres: float | None
    construction_year: int | None
    livable_sqft: int | None
    stories: str | None
    pool: str | None
    rental: str | None
    tax_year: int | None
    full_cash_value: int | None
    limited_property_value: int | None
    previous_tax_year: int | None
    previous_full_cash_value: int | None
    previous_limited_property_value: int | None
    deed_number: str | None
    deed_date: dt.date | None
    sale_date: dt.date | None
    sale_price: int | None
    subdivision_name: str | None
    lot: str | None
    block: str | None
    tract: str | None
    mcr: str | None
    section_township_range: str | None
    township: str | None
    range: str | None
    section: str | None
    jurisdiction: str | None
    city_zoning: str | None
    longitude: float | None
    latitude: float | None


class GisOutline(Record):
    """`gis.outline`: the parcel's polygon as the text of a GeoJSON geometry, WGS 84; only where a roll asked
    for it.

    NULL: a polygon came that cannot be read.
    """

    table = "gis.outline"
    key = ("apn",)

    apn: str
    geometry: str | None


class GisWithheld(Record):
    """`gis.withheld`: a parcel of which a layer says that its owner is withheld (`said`: NA or N/A).

    It holds while `gis.parcel` has no owner: the view `public.withheld` has the parcels of all sources.
    """

    table = "gis.withheld"
    key = ("apn",)

    apn: str
    said: str


class GisAbsent(Record):
    """`gis.absent`: an APN that was asked for by list, twice, and that the layer does not have."""

    table = "gis.absent"
    key = ("apn",)
    comes_and_goes = True
    told_by = ("layer",)

    apn: str
    layer: str
