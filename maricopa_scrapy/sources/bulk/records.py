"""Records of the assessor's bulk files: Secured Master, Residential Master, Sales Affidavits, and the lines
that are set aside.
"""

import datetime as dt

from maricopa_scrapy.items import Record


class SecuredParcel(Record):
    """`bulk.secured_master`: one secured parcel. Money in whole dollars, areas in square feet; assessed
    values are cut, not rounded.
    """

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
    """`bulk.residential_master`: one residential parcel. Columns that nobody has identified keep their
    position as their name.
    """

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


class Sale(Record):
    """`bulk.sale`: one affidavit of a sale, by deed and parcel. Whole dollars.

    `deed_number` has 11 digits, `deed_number_raw` is as the file has it. The file knows a sale's month, no
    day: `sale_month` is YYYY-MM.
    `occurrence` numbers the lines that a deed has for one parcel, in the order of the file.
    """

    table = "bulk.sale"
    key = ("deed_number", "apn", "occurrence")

    apn: str
    sale_month: str | None
    sale_price: int | None
    deed_number: str
    deed_date: dt.date | None
    deed_status: str | None
    deed_type: str | None
    property_type_code: str | None
    property_type: str | None
    property_type_other: str | None
    property_address: str | None
    suite: str | None
    property_city: str | None
    property_zip: str | None
    grantor_name: str | None
    grantor_address_1: str | None
    grantor_address_2: str | None
    grantor_city: str | None
    grantor_state: str | None
    grantor_zip: str | None
    grantor_country: str | None
    grantee_name: str | None
    grantee_address_1: str | None
    grantee_address_2: str | None
    grantee_city: str | None
    grantee_state: str | None
    grantee_zip: str | None
    grantee_country: str | None
    finance_type_code: str | None
    finance_type_other: str | None
    down_payment: int | None
    partial_interest: str | None
    partial_interest_percent: str | None
    partial_interest_description: str | None
    multi_parcel: str | None
    parcel_count: int | None
    related_parties: str | None
    relationship: str | None
    owner_occupancy: str | None
    assessor_code: str | None
    assessor_code_description: str | None
    personal_property: str | None
    personal_property_value: int | None
    personal_property_description: str | None
    deed_number_raw: str
    occurrence: int


class BulkReject(Record):
    """`bulk.reject`: a line of a bulk file that was set aside, as it came (its first 1,000 characters), and
    why.

    `file` says which of the bulk files it is, `place` is name:line, of a zip zip/member:line, `digest` begins
    the file's SHA-256.
    """

    table = "bulk.reject"
    key = ("digest", "place")

    digest: str
    place: str
    file: str
    line_number: int
    reason: str
    line: str | None
