"""Records of the assessor's bulk files: Secured Master, Residential Master, and the lines that fit neither."""

import datetime as dt

from maricopa_scrapy.items import Record


class SecuredParcel(Record):
    """`bulk.secured_master`: one secured parcel. Money in whole dollars, areas in square feet; assessed values are cut, not rounded."""

    table = "bulk.secured_master"
    key = ("apn",)

    apn: str
    owner_name: str | None
    mail_address_1: str | None
    mail_address_2: str | None
    mail_city: str | None
    mail_state: str | None
    mail_zip: str | None
    mail_country: str | None
    property_address: str | None
    suite: str | None
    property_city: str | None
    property_zip: str | None
    property_type: str | None
    deed_number: str | None
    deed_date: dt.date | None
    deed_type: str | None
    land_full_cash_value: int | None
    improvement_full_cash_value: int | None
    full_cash_value: int | None
    assessed_fcv: int | None
    limited_property_value: int | None
    assessed_lpv: int | None
    property_use_code: str | None
    lot: str | None
    block: str | None
    tract: str | None
    land_legal_class: str | None
    improvement_legal_class: str | None
    rental: str | None
    livable_sqft: int | None
    lot_size_sqft: int | None
    construction_year: int | None
    pool_sqft: int | None
    sale_price: int | None
    sale_date: dt.date | None
    mcr: str | None
    subdivision_name: str | None
    units: str | None
    tax_area_code: str | None


class ResidentialParcel(Record):
    """`bulk.residential_master`: one residential parcel. Columns that nobody has identified keep their position as their name."""

    table = "bulk.residential_master"
    key = ("apn",)

    apn: str
    stories: str | None
    construction_class: str | None
    column_3: str | None
    cooling: str | None
    heating: str | None
    bath_fixtures: int | None
    exterior_walls: str | None
    roof_type: str | None
    column_9: str | None
    construction_year: int | None
    area_1: int | None
    area_2: int | None
    column_13: str | None
    column_14: str | None
    column_15: str | None
    garage: str | None
    patio: str | None
    column_18: str | None
    sale_price: int | None
    sale_date: dt.date | None
    column_21: str | None
    column_22: str | None
    property_use_code: str | None
    owner_name: str | None
    mail_address_1: str | None
    mail_address_2: str | None
    mail_city: str | None
    mail_state: str | None
    mail_zip: str | None
    mail_country: str | None
    street_number: str | None
    street_direction: str | None
    street_name: str | None
    street_type: str | None
    column_35: str | None
    column_36: str | None
    property_city: str | None
    property_zip: str | None


class BulkReject(Record):
    """`bulk.reject`: a line of a bulk file that is not of its shape, as it came. `place` is file:line."""

    table = "bulk.reject"
    key = ("place",)

    place: str
    reason: str
    line: str
