"""Records of the assessor's API: schema `assessor`, one class a table."""

import datetime as dt
from decimal import Decimal

from maricopa_scrapy.items import Json, Record


class Parcel(Record):
    """`assessor.parcel`: the property itself. Areas in square feet."""

    table = "assessor.parcel"
    key = ("apn",)

    apn: str
    mcr: str | None
    property_address: str | None
    property_description: str | None
    lot_size_sqft: int | None
    is_residential: bool | None
    is_commercial: bool | None
    is_rental: bool | None
    is_pending: bool | None
    is_cancelled: bool | None
    mapid_exists: bool | None
    section_township_range: str | None
    assessor_market: str | None
    area_neighborhood: str | None
    subdivision_name: str | None
    lot: str | None
    high_school_district: str | None
    elementary_school_district: str | None
    jurisdiction: str | None
    property_type: str | None
    parcel_status: str | None
    apl_flag: str | None
    tax_area_code: str | None
    property_use_code: str | None
    property_use: str | None
    latitude: Decimal | None
    longitude: Decimal | None
    geo_address: str | None
    zoning: str | Json | None
    parcels_in_subdivision: int | None
    parcels_in_mcr: int | None
    parcels_in_str: int | None


class Owner(Record):
    """`assessor.owner`: who owns the parcel, where the bill goes, and the last deed. Prices in whole dollars.

    Of an owner whom the county withholds `is_redacted` is true, and name and address are NULL.
    """

    table = "assessor.owner"
    key = ("apn",)

    apn: str
    owner_id: str | None
    ownership: str | None
    in_care_of: str | None
    contract_ownership: str | None
    mailing_address_1: str | None
    mailing_address_2: str | None
    mailing_city: str | None
    mailing_state: str | None
    mailing_zip: str | None
    mailing_country: str | None
    mailing_address: str | None
    deed_number: str | None
    deed_date: dt.date | None
    deed_type: str | None
    deed_type_id: str | None
    sale_price: int | None
    sale_date: dt.date | None
    is_redacted: bool | None


class Valuation(Record):
    """`assessor.valuation`: one tax year of one parcel. Values in whole dollars, the ratio a fraction."""

    table = "assessor.valuation"
    key = ("apn", "tax_year")

    apn: str
    tax_year: int
    full_cash_value: int | None
    limited_property_value: int | None
    assessed_fcv: int | None
    assessed_lpv: int | None
    assessment_ratio: Decimal | None
    legal_class_code: str | None
    legal_class: str | None
    valuation_source: str | None
    property_use_code: str | None
    property_use: str | None
    tax_area_code: str | None
    notice_of_change: bool | None


class Residence(Record):
    """`assessor.residence`: the building, also answered (mostly empty) for commercial parcels. Areas in
    square feet.
    """

    table = "assessor.residence"
    key = ("apn",)

    apn: str
    construction_year: int | None
    original_construction_year: int | None
    lot_size_sqft: int | None
    livable_sqft: int | None
    detached_livable_sqft: int | None
    assessor_market: str | None
    area_neighborhood: str | None
    has_pool: bool | None
    pool_sqft: int | None
    pe_quality_grade: str | None
    quality_grade: str | None
    covered_patios: int | None
    uncovered_patios: int | None
    patios: int | None
    patio_type: str | None
    exterior_walls: str | None
    roof_type: str | None
    bath_fixtures: int | None
    cooling: str | None
    heating: str | None
    garages: int | None
    carports: int | None
    parking_details_type: str | None
    parking_details_count: int | None
    parking_type: str | None
    has_covered_parking: bool | None
    locational_factors: str | None
    locational_characteristics: str | None
    other_structures: str | None
    physical_condition: str | None


class Improvement(Record):
    """`assessor.improvement`: one building or site improvement of a commercial parcel. Area in square
    feet.
    """

    table = "assessor.improvement"
    key = ("apn", "improvement_number")
    complete_by = "apn"

    apn: str
    improvement_number: str
    description: str | None
    construction_class: str | None
    effective_age: int | None
    square_feet: int | None
    quality_rank: str | None
    model: str | None


class Rental(Record):
    """`assessor.rental`: the rental registration. Telephone numbers are left out on purpose."""

    table = "assessor.rental"
    key = ("apn",)
    complete_by = "apn"

    apn: str
    account_number: str | None
    situs_address: str | None
    owner_business_entity: str | None
    property_type: str | None
    year_built: int | None
    ownership_type: str | None
    owner_name: str | None
    owner_address: str | None
    business_contact_name: str | None
    business_contact_address: str | None
    agent_name: str | None
    agent_address: str | None
    registered_on: dt.date | None
    updated_on: dt.date | None


class Related(Record):
    """`assessor.related`: what the parcel points at. It changes with other parcels, so it has a row of its
    own.
    """

    table = "assessor.related"
    key = ("apn",)

    apn: str
    associated_parcels: Json | None
    more_associated_parcels_exist: bool | None
    similar_parcels: Json | None
    map_files: Json | None
    sketch_pages: int | None
    sketches: Json | None
    treasurer_url: str | None
    deed_url: str | None
    mcr_url: str | None
